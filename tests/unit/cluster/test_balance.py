"""Giving leadership back: only to a node that stays fit, one at a time."""

from __future__ import annotations

from memraft_cluster.balance import LOOK_TICKS, Balance


def looks(balance: Balance, count: int, is_fit: bool = True, group: int = 0) -> list[bool]:
    """Let ``count`` looks come due, and look at one group in each."""
    results: list[bool] = []
    while len(results) < count:
        if balance.is_look_due():
            results.append(balance.look(group, is_fit))
    return results


def test_a_node_that_stays_fit_gets_leadership_once() -> None:
    assert looks(Balance(after_ms=50 * LOOK_TICKS * 4, tick_ms=50), 6) == [False] * 3 + [True] + [False] * 2


def test_one_miss_is_forgiven_and_two_start_anew() -> None:
    balance = Balance(after_ms=50 * LOOK_TICKS * 4, tick_ms=50)
    assert looks(balance, 3) == [False] * 3
    assert looks(balance, 1, is_fit=False) == [False]
    assert looks(balance, 1) == [True]
    assert looks(balance, 3) == [False] * 3
    assert looks(balance, 2, is_fit=False) == [False] * 2
    assert looks(balance, 4) == [False] * 3 + [True]


def test_a_group_that_is_where_it_belongs_starts_anew() -> None:
    balance = Balance(after_ms=50 * LOOK_TICKS * 2, tick_ms=50)
    assert looks(balance, 1) == [False]
    balance.forget(0)
    assert looks(balance, 2) == [False, True]


def test_two_groups_are_not_handed_over_in_the_same_look() -> None:
    balance = Balance(after_ms=50 * LOOK_TICKS * 2, tick_ms=50, cooldown_ms=50 * LOOK_TICKS)
    handed: list[tuple[int, int]] = []
    look = 0
    while len(handed) < 2:
        if balance.is_look_due():
            look += 1
            handed += [(look, group) for group in (0, 1) if balance.look(group, True)]
    assert handed == [(2, 0), (3, 1)]

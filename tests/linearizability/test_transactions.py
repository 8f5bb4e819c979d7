"""One small history for each anomaly, and ones that have none."""

import pytest

from tests.linearizability import Operation, Outcome, check_transactions

Step = tuple[str, str, object]


def append(key: str, element: int) -> Step:
    return ("append", key, element)


def saw(key: str, *elements: int) -> Step:
    return ("r", key, list(elements))


def txn(start: float, end: float, *steps: Step, outcome: Outcome = Outcome.OK) -> Operation:
    asked = [[kind, key, None if kind == "r" else value] for kind, key, value in steps]
    answered = [list(step) for step in steps] if outcome is Outcome.OK else None
    return Operation(
        process=f"at {start:g}",
        kind="txn",
        value=asked,
        result=answered,
        invoked=start,
        returned=end,
        outcome=outcome,
    )


ALL = (0.0, 99.0)  # all at the same time: only dependencies tell an order

GOOD = {
    "nothing": [],
    "one after the other": [
        txn(0, 1, append("x", 1)), txn(2, 3, saw("x", 1), append("x", 2)), txn(4, 5, saw("x", 1, 2)),
    ],
    "its own append": [txn(0, 1, saw("x"), append("x", 1), saw("x", 1)), txn(2, 3, saw("x", 1))],
    "unknown, there": [txn(0, 1, append("x", 1), outcome=Outcome.INFO), txn(2, 3, saw("x", 1))],
    "unknown, not there": [txn(0, 1, append("x", 1), outcome=Outcome.INFO), txn(2, 3, saw("x"))],
    "refused": [txn(0, 1, append("x", 1), outcome=Outcome.FAIL), txn(2, 3, saw("x"))],
    "two keys at once": [
        txn(0, 9, append("x", 1), append("y", 1)), txn(1, 8, saw("x", 1), saw("y", 1)),
        txn(1, 8, saw("x"), saw("y")),
    ],
}  # fmt: skip
BAD = {
    "G0": [
        txn(*ALL, append("x", 1), append("y", 1)), txn(*ALL, append("x", 2), append("y", 2)),
        txn(*ALL, saw("x", 1, 2)), txn(*ALL, saw("y", 2, 1)),
    ],
    "G1a": [txn(*ALL, append("x", 1), outcome=Outcome.FAIL), txn(*ALL, saw("x", 1))],
    "G1b": [txn(*ALL, append("x", 1), append("x", 2)), txn(*ALL, saw("x", 1)), txn(*ALL, saw("x", 1, 2))],
    "G1c": [
        txn(*ALL, append("x", 1), saw("y", 1)), txn(*ALL, append("y", 1), saw("x", 1)),
    ],
    "G-single": [
        txn(*ALL, saw("x"), saw("y", 1)), txn(*ALL, append("x", 1), append("y", 1)), txn(*ALL, saw("x", 1)),
    ],
    "G2": [
        txn(*ALL, saw("x"), append("y", 1)), txn(*ALL, saw("y"), append("x", 1)),
        txn(*ALL, saw("x", 1)), txn(*ALL, saw("y", 1)),
    ],
    "internal": [txn(*ALL, append("x", 1), saw("x"))],
    "incompatible-order": [
        txn(*ALL, append("x", 1)), txn(*ALL, append("x", 2)), txn(*ALL, saw("x", 1)), txn(*ALL, saw("x", 2)),
    ],
    "duplicate": [txn(*ALL, append("x", 1)), txn(*ALL, saw("x", 1, 1))],
    "phantom": [txn(*ALL, saw("x", 1))],
    "G-single-realtime": [txn(0, 1, append("x", 1)), txn(2, 3, saw("x")), txn(4, 5, saw("x", 1))],
    "G0-realtime": [txn(0, 1, append("x", 1)), txn(2, 3, append("x", 2)), txn(4, 5, saw("x", 2, 1))],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_accepts(name: str) -> None:
    verdict = check_transactions(GOOD[name])
    assert verdict.ok is True, str(verdict)


@pytest.mark.parametrize("name", BAD)
def test_names_the_anomaly(name: str) -> None:
    verdict = check_transactions(BAD[name])
    assert verdict.ok is False
    assert verdict.problems[0].startswith(f"{name} ("), str(verdict)


def test_shows_the_cycle() -> None:
    (problem,) = check_transactions(BAD["G1c"]).problems
    assert "--wr on 'x'-->" in problem
    assert "--wr on 'y'-->" in problem


def test_an_acknowledged_transaction_that_vanishes_shows_in_time() -> None:
    history = [txn(0, 1, append("x", 1)), txn(2, 3, append("x", 2)), txn(4, 5, saw("x", 2))]
    assert check_transactions(history).ok is False


def test_without_time_an_old_state_may_be_read() -> None:
    assert check_transactions(BAD["G-single-realtime"], is_strict=False).ok is True


def test_elements_must_tell_appends_apart() -> None:
    with pytest.raises(ValueError, match="unique"):
        check_transactions([txn(0, 1, append("x", 1)), txn(2, 3, append("x", 1))])

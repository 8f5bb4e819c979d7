"""How old what a node's machine shows may be. Pure: who calls says what time it is.

A follower is up to date as of a heartbeat once it has applied all that the leader had committed when it sent
it. Having heard the leader is not enough: a replica that lags hears it just as often. A leader is up to date
as of its last contact with a quorum, once an entry of its own term is committed: before, entries of its
predecessor may have been acknowledged that it has yet to apply.
"""

from __future__ import annotations

from collections.abc import Sequence


class Freshness:
    """Of one group on one node.

    Args:
        node: this one's id.
        voters: node ids of the voters, of which this node may be one.
        now_s: monotonic seconds, as in all methods.
    """

    def __init__(self, node: int, voters: Sequence[int], now_s: float) -> None:
        self.has_caught_up = False
        """Whether this replica was up to date at least once."""
        self._node = node
        self._others: tuple[int, ...] = ()
        self._needed = 0
        """How many of the others make a majority, with this node where it is a voter."""
        self._fresh_at_s = now_s
        self._awaited: tuple[int, float] | None = None
        self._heard_at_s: dict[int, float] = {}
        self._is_leading = False
        self.set_voters(voters, now_s)

    def set_voters(self, voters: Sequence[int], now_s: float) -> None:
        """Others vote from now on; one that is new counts as heard now."""
        self._others = tuple(voter for voter in voters if voter != self._node)
        self._needed = min(len(voters) // 2 + (self._node not in voters), len(self._others))
        if self._is_leading:
            heard = self._heard_at_s
            self._heard_at_s = {voter: heard.get(voter, now_s) for voter in self._others}

    def told(self, commit: int, applied: int, now_s: float) -> None:
        """The leader said that it has committed ``commit``; this node has applied ``applied``."""
        if self._awaited is None:
            # A replica that lags waits for the oldest: later ones would move ahead of it for ever.
            self._awaited = commit, now_s
            self.applied(applied)

    def applied(self, index: int) -> None:
        """This node has applied ``index``."""
        if self._awaited is not None and index >= self._awaited[0]:
            self._fresh_at_s = self._awaited[1]
            self._awaited = None
            self.has_caught_up = True

    def lead(self, now_s: float) -> None:
        """This node leads, and an entry of its term has been applied."""
        if not self._is_leading:
            self._is_leading = self.has_caught_up = True
            self._heard_at_s = dict.fromkeys(self._others, now_s)

    def heard(self, peer: int, now_s: float) -> None:
        """A follower answered this leader."""
        if peer in self._heard_at_s:
            self._heard_at_s[peer] = now_s

    def follow(self, now_s: float) -> None:
        """This node leads no more, or in another term."""
        if self._is_leading:
            self._fresh_at_s = now_s - self.age_s(now_s)
            self._is_leading = False
            self._heard_at_s = {}

    def age_s(self, now_s: float) -> float:
        """Seconds since this node was up to date; since it started, when it never was."""
        if not self._is_leading:
            return now_s - self._fresh_at_s
        if not self._needed:
            return 0.0
        return now_s - sorted(self._heard_at_s.values())[-self._needed]

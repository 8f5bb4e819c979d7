"""Whether the replicas of a group have become the same. Pure.

Each replica keeps the fingerprints of its machine after the last entries. A follower tells one with each
answer to a heartbeat, the leader compares it with its own at the same index. A machine that is wrong about
one entry is wrong about all that follow, so that any later index tells it as well.

Whoever differs from a majority has to stop: it would answer reads with what nobody else has. Where no
majority has been heard to agree nobody is stopped: there is nothing yet to tell right from wrong by.
"""

from __future__ import annotations

from collections.abc import Sequence

KEPT = 1024
"""Entries whose fingerprints are kept: more than are committed between two heartbeats of a busy group, of
which a follower may lag by a few; what is older is compared at the next heartbeat."""


class Agreement:
    """Of one group on one node.

    Args:
        node: this one's id.
    """

    def __init__(self, node: int) -> None:
        self._node = node
        self._kept: list[tuple[int, bytes]] = [(0, b"")] * KEPT
        self._last = 0
        self._same: set[int] = set()
        self._differing: set[int] = set()

    def applied(self, index: int, fingerprint: bytes) -> None:
        """The machine has applied ``index``; an empty fingerprint says nothing and is not kept."""
        self._kept[index % KEPT] = index, fingerprint
        self._last = index

    def told(self) -> tuple[int, int]:
        """What a follower tells: an index, and the fingerprint there as a number; zeros for none."""
        index, fingerprint = self._kept[self._last % KEPT]
        return (index, _number(fingerprint)) if fingerprint else (0, 0)

    def heard(self, peer: int, index: int, number: int) -> None:
        """A follower has told what it has become; compared when this node knows that index, too."""
        at, fingerprint = self._kept[index % KEPT]
        if at != index or not fingerprint:
            return
        if number == _number(fingerprint):
            self._same.add(peer)
            self._differing.discard(peer)
        else:
            self._differing.add(peer)
            self._same.discard(peer)

    def settle(self, peer: int) -> None:
        """A peer that differs is told so; what it says after that counts anew."""
        self._differing.discard(peer)

    def forget(self) -> None:
        """This node leads no more, or in another term: others may have begun anew since."""
        self._same.clear()
        self._differing.clear()

    def wrong(self, voters: Sequence[int]) -> frozenset[int]:
        """Who must stop, as far as this leader can tell; itself perhaps."""
        if not self._differing:
            return frozenset()
        majority = len(voters) // 2 + 1
        if len((self._same | {self._node}).intersection(voters)) >= majority:
            return frozenset(self._differing)
        if len(self._differing.intersection(voters)) >= majority:
            return frozenset({self._node})
        return frozenset()


def _number(fingerprint: bytes) -> int:
    """Its first eight bytes; never 0, which stands for none."""
    return int.from_bytes(fingerprint[:8], "big") or 1

"""ReadIndex: linearizable reads without a log entry (thesis §6.4).

A read is served at the commit index as of its asking once a quorum has confirmed, after that, that this node
still leads. All reads that wait share one round of heartbeats; while it is under way newcomers gather for the
next one. So reads cost one round trip and a number of messages that does not depend on their number.

A round may also be wanted for itself: see `recovery`.
"""

from __future__ import annotations

from collections.abc import Iterable

from memraft_cluster.raft.messages import ReadState


class ReadRounds:
    """The reads that wait on a leader. Rounds are numbered from 1; 0 means none."""

    __slots__ = ("_acknowledged", "_gathering", "_index", "_is_wanted", "_pending", "round", "is_under_way")

    def __init__(self) -> None:
        self.round = 0
        self.is_under_way = False
        self._gathering: list[int] = []
        self._pending: list[int] = []
        self._index = 0
        self._is_wanted = False
        self._acknowledged: set[int] = set()

    def __len__(self) -> int:
        """How many reads wait."""
        return len(self._gathering) + len(self._pending)

    @property
    def can_begin(self) -> bool:
        """Whether reads wait, or somebody else for a round, and none is under way."""
        return not self.is_under_way and (bool(self._gathering) or self._is_wanted)

    def want_round(self) -> int:
        """Asks for a round even without reads; the number of the next one."""
        self._is_wanted = True
        return self.round + 1

    def add(self, request_id: int) -> None:
        """One more read for the next round."""
        self._gathering.append(request_id)

    def begin(self, commit: int) -> int:
        """Starts a round for all that gathered; `commit` is the commit index now. Returns its number."""
        self.round += 1
        self.is_under_way = True
        self._is_wanted = False
        self._index = commit
        self._pending, self._gathering = self._gathering, []
        self._acknowledged.clear()
        return self.round

    def acknowledge(self, sender: int, round_number: int, needed: int) -> list[ReadState]:
        """Voter `sender` answered a heartbeat of that round; the reads that this allows.

        `needed` voters besides the leader make a quorum.
        """
        if round_number != self.round or not self.is_under_way:
            return []
        self._acknowledged.add(sender)
        return self.finish_if(len(self._acknowledged) >= needed)

    def finish_if(self, confirmed: bool) -> list[ReadState]:
        """Ends the round when a quorum has confirmed it."""
        if not confirmed:
            return []
        self.is_under_way = False
        done, self._pending = self._pending, []
        index = self._index
        return [ReadState(index, request_id) for request_id in done]

    def restart(self) -> None:
        """Other nodes make a quorum now: what was under way begins anew, in a round of its own."""
        if self.is_under_way:
            self.is_under_way = False
            self._is_wanted = True
            self._gathering = self._pending + self._gathering
            self._pending = []

    def drop(self) -> Iterable[int]:
        """Gives up all reads and returns their ids."""
        dropped = self._pending + self._gathering
        self._pending = []
        self._gathering = []
        self.is_under_way = self._is_wanted = False
        return dropped

"""What a leader knows of each follower, and how much it may send there.

Three states, as in etcd's raft: `PROBE`, when the leader does not know where the logs meet, sends one append
and waits; `REPLICATE` sends optimistically, up to a window counted in messages and in bytes; `SNAPSHOT`, when
the log no longer has what comes next there, sends nothing until a snapshot has arrived.
"""

from __future__ import annotations

from collections import deque
from enum import Enum


class ProgressState(Enum):
    """How a leader treats a follower."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


# Looked up once: an attribute of an enum costs more than a comparison.
_PROBE = ProgressState.PROBE
_REPLICATE = ProgressState.REPLICATE
_SNAPSHOT = ProgressState.SNAPSHOT


class Progress:
    """One follower in the eyes of the leader of this term.

    `match` is the last index known to be durable there, `next` the first not yet sent, `commit_sent` the
    commit index it was told, `applied` how far its machine was when it last answered, `active` whether it was
    heard since the last check of the quorum, `was_active` whether it was between that check and the one
    before. Of one that `is_recovering`, `match` is what it acknowledged, maybe before it lost entries.
    """

    __slots__ = (
        "_inflight",
        "_is_snapshot_lost",
        "_is_step_back_spent",
        "_match_at_heartbeat",
        "_messages_max",
        "_bytes_max",
        "active",
        "applied",
        "commit_sent",
        "inflight_bytes",
        "is_recovering",
        "match",
        "next",
        "probe_sent",
        "state",
        "was_active",
    )

    def __init__(self, next_index: int, messages_max: int, bytes_max: int) -> None:
        self.match = 0
        self.next = next_index
        self.state = _PROBE
        self.probe_sent = False
        self.active = self.was_active = False
        self.applied = 0
        self.is_recovering = False
        self.commit_sent = 0
        self.inflight_bytes = 0
        self._inflight: deque[tuple[int, int]] = deque()
        self._match_at_heartbeat = -1
        self._is_snapshot_lost = False
        self._is_step_back_spent = False
        self._messages_max = messages_max
        self._bytes_max = bytes_max

    @property
    def inflight_messages(self) -> int:
        """Appends with entries that were not answered yet."""
        return len(self._inflight)

    @property
    def is_full(self) -> bool:
        """Whether the window allows no further append."""
        return len(self._inflight) >= self._messages_max or self.inflight_bytes >= self._bytes_max

    def sent(self, last_index: int, size_bytes: int) -> None:
        """Entries up to `last_index` are on their way."""
        self.next = last_index + 1
        self._inflight.append((last_index, size_bytes))
        self.inflight_bytes += size_bytes

    def acknowledged(self, index: int) -> bool:
        """The follower has everything up to `index`; says whether that, or its state, is news."""
        inflight = self._inflight
        while inflight and inflight[0][0] <= index:
            self.inflight_bytes -= inflight.popleft()[1]
        if self.state is _PROBE:
            if index < self.match:
                return False
            self.state = _REPLICATE
            self.probe_sent = False
            self.match = index
            self.next = index + 1
            return True
        if index <= self.match:
            return False
        self.match = index
        if self.state is _SNAPSHOT:
            return False
        if self.next <= index:
            self.next = index + 1
        return True

    def rejected(self, index: int, meeting_index: int) -> bool:
        """The follower does not have (index, its term); the logs can meet at `meeting_index` at most.

        Says whether that is news: answers to what was sent before the last step back are stale.
        """
        if index <= self.match:
            if not self.is_recovering or self.state is _SNAPSHOT or self._is_step_back_spent:
                return False
            # An acknowledgement from before the loss came late. The follower knows better now. Once a
            # heartbeat: were every refusal of a window that arrives out of order to open another window,
            # their number would grow without bound.
            self._is_step_back_spent = True
            self.match = 0
            self.probe(min(index, meeting_index + 1))
            return True
        if self.state is _REPLICATE:
            self.probe(self.match + 1)
            return True
        if self.state is _SNAPSHOT or index != self.next - 1:
            return False
        self.next = max(min(index, meeting_index + 1), self.match + 1)
        self.probe_sent = False
        return True

    def probe(self, next_index: int) -> None:
        """Gives up the window: what is under way may be lost."""
        self.state = _PROBE
        self.next = next_index
        self.probe_sent = False
        self._inflight.clear()
        self.inflight_bytes = 0

    def await_snapshot(self) -> None:
        """The log no longer has what comes next."""
        self.probe(self.next)
        self.state = _SNAPSHOT
        self._is_snapshot_lost = False

    def lost_snapshot(self) -> None:
        """The snapshot did not arrive; after an answer to a heartbeat there may be another."""
        self._is_snapshot_lost = True

    def begin_recovery(self, next_index: int) -> None:
        """The follower has lost entries; what it acknowledged is not known to be there."""
        self.is_recovering = True
        self.match = self.commit_sent = 0
        self.probe(next_index)

    def lost_connection(self) -> None:
        """What is under way may be lost; nothing is sent until an answer to a heartbeat comes."""
        if self.state is _REPLICATE:
            self.probe(self.match + 1)
        if self.state is _PROBE:
            self.probe_sent = True

    def heard_heartbeat(self) -> bool:
        """A heartbeat was answered; says whether an append should ask anew where the follower is.

        A lost probe, or a lost last append of a window, has no successor that would uncover the gap. A
        window without progress from one heartbeat to the next is suspect.
        """
        self._is_step_back_spent = False
        if self.state is _SNAPSHOT:
            if self._is_snapshot_lost:
                self.probe(self.match + 1)
            return self._is_snapshot_lost
        if self.state is _PROBE:
            self.probe_sent = False
            return True
        stalled = bool(self._inflight) and self.match == self._match_at_heartbeat
        self._match_at_heartbeat = self.match
        return stalled

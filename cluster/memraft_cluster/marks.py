"""The log's high-water mark and the second copy of every vote, in a file of its own beside the log.

A log that was cut off between two writes is whole as far as it goes, and says nothing of what is missing. The
mark does: it is written after each synced write, into memory of the operating system, so it survives the end
of the process at the price of one system call (2 µs). It is synced when a term or a vote changed, and about
once a second, so that loss of power takes at most the mark's last second, and no vote.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from .raft import HardState
from .slots import SlotFile, SlotsUnreadable

__all__ = ["FILE_NAME", "GroupMark", "Marks", "SlotsUnreadable", "read_marks"]

FILE_NAME = "marks"
SYNC_INTERVAL_S = 1.0
_MARK = b"mark"
_SLOT_BYTES = 256 << 10
_END = struct.Struct("<QQ")  # the last frame, the segment it is in
_GROUP = struct.Struct("<IQQQQB")


class GroupMark(msgspec.Struct, frozen=True):
    """What a group had on disk: ``is_whole`` as in its hard state; ``has_state`` False when it had none."""

    group: int
    term: int
    vote: int
    last_index: int
    last_term: int
    is_whole: bool = True
    has_state: bool = True


Note = tuple[int] | tuple[int, HardState | None, int, int]
"""The arguments of :meth:`Marks.drop` or :meth:`Marks.note`."""


class Marks:
    """Writes the marks of a log that is open. Not thread-safe.

    Args:
        directory: of the log.
        clock: seconds that never go back.
    """

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = SlotFile(directory / FILE_NAME, _MARK, _SLOT_BYTES)
        self._clock = clock
        self._record = bytearray(_END.size)
        self._offsets: dict[int, int] = {}
        self._votes: dict[int, tuple[int, int, bool]] = {}
        self._votes_noted = 0
        self._votes_synced = 0
        self._stored_seq = 0
        self._synced_at = clock()

    def create(self, seq: int, segment: int, marks: Iterable[GroupMark]) -> None:
        """Begin a new file with what the log was found to hold. Raises OSError."""
        for each in marks:
            state = HardState(each.term, each.vote, 0, each.is_whole) if each.has_state else None
            self.note(each.group, state, each.last_index, each.last_term)
        _END.pack_into(self._record, 0, seq, segment)
        self._slots.create(self._record)
        self._votes_synced, self._stored_seq = self._votes_noted, seq

    def apply(self, notes: Iterable[Note]) -> None:
        """:meth:`note` each, or :meth:`drop` it."""
        for each in notes:
            self.note(*each) if len(each) > 1 else self.drop(*each)

    def note(self, group: int, state: HardState | None, last_index: int, last_term: int) -> None:
        """What the group has now; :meth:`write` writes it down."""
        offset = self._offsets.get(group)
        if offset is None:
            offset = self._offsets[group] = len(self._record)
            self._record += bytes(_GROUP.size)
        if state is None:
            _GROUP.pack_into(self._record, offset, group, 0, 0, last_index, last_term, 0)
            return
        vote = (state.term, state.vote, state.is_whole)
        if self._votes.get(group) != vote:
            self._votes[group] = vote
            self._votes_noted += 1
        flags = 2 | state.is_whole
        _GROUP.pack_into(self._record, offset, group, state.term, state.vote, last_index, last_term, flags)

    def take(self, seq: int, segment: int) -> tuple[bytes, int, int]:
        """What :meth:`write` would write now, to be stored after a sync that takes its time."""
        _END.pack_into(self._record, 0, seq, segment)
        return bytes(self._record), self._votes_noted, seq

    def write(self, seq: int, segment: int) -> None:
        """Everything noted, and the log's frames up to ``seq``, are durable in the log. Raises OSError."""
        _END.pack_into(self._record, 0, seq, segment)
        self.store(self._record, self._votes_noted, seq)

    def store(self, record: bytes | bytearray, votes_noted: int, seq: int) -> None:
        """Write what :meth:`take` returned, unless a newer one has been written since. Raises OSError."""
        if seq < self._stored_seq:
            return
        self._stored_seq = seq
        self._slots.store(record)
        has_new_vote = votes_noted > self._votes_synced
        now = self._clock()
        if has_new_vote or now - self._synced_at >= SYNC_INTERVAL_S:
            self._slots.sync()
            self._synced_at = now
            self._votes_synced = max(self._votes_synced, votes_noted)
        if has_new_vote:
            self._slots.store(record)  # so that no slot alone tells an older vote

    def drop(self, group: int) -> None:
        """The group is gone from this node."""
        offset = self._offsets.pop(group, None)
        if offset is None:
            return
        self._votes.pop(group, None)
        del self._record[offset : offset + _GROUP.size]
        for other, place in self._offsets.items():
            if place > offset:
                self._offsets[other] = place - _GROUP.size
        self._votes_noted += 1

    def sync(self) -> None:
        """Raises OSError."""
        self._slots.sync()

    def close(self) -> None:
        self._slots.close()


def read_marks(directory: Path) -> tuple[int, int, dict[int, GroupMark]]:
    """(the last durable frame, the segment it is in, the mark of each group) of a log that is not open.

    Raises:
        SlotsUnreadable: both copies are damaged.
        FileNotFoundError, OSError
    """
    slots = SlotFile(directory / FILE_NAME, _MARK, _SLOT_BYTES)
    try:
        record = slots.open(for_writing=False)
    finally:
        slots.close()
    if (len(record) - _END.size) % _GROUP.size or len(record) < _END.size:
        raise SlotsUnreadable(f"{FILE_NAME}: a record of {len(record)} bytes")
    marks = {}
    for row in _GROUP.iter_unpack(record[_END.size :]):
        group, term, vote, last_index, last_term, flags = row
        marks[group] = GroupMark(group, term, vote, last_index, last_term, bool(flags & 1), bool(flags & 2))
    seq, segment = _END.unpack_from(record)
    return seq, segment, marks

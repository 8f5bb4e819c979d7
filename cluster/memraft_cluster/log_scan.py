"""Reads a log's segments from end to end, and tells what a crash left unfinished from what is damaged.

Writes are synced one after the other, so a crash can only tear what no later write knew to be durable. A bad
frame is torn, and nobody was promised what is in it, when neither a later frame, a later segment nor the mark
says that it had been synced; in every other case it is damaged. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from .groups import group_name
from .log_finder import FrameFinder
from .log_group import GroupLog, place
from .log_records import (
    FRAME_HEAD_BYTES,
    FRAME_MARK,
    SEGMENT_HEAD_BYTES,
    FrameHead,
    Record,
    RecordType,
    Unsound,
    decode_base,
    decode_frame_head,
    decode_hard_state,
    decode_segment_head,
    read_frame,
)
from .marks import GroupMark
from .raft import EntryKind
from .segments import segment_files, segment_name

PROGRESS_ENTRIES = 1024
"""How often progress is told."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not as it was written."""

    file: str
    offset: int | None
    detail: str
    group: int | None = None
    index: int | None = None

    def __str__(self) -> str:
        where = self.file if self.offset is None else f"{self.file}, offset {self.offset}"
        if self.group is not None:
            where += f", {group_name(self.group)}"
        if self.index is not None:
            where += f", index {self.index}"
        return f"{where}: {self.detail}"


@dataclass(slots=True)
class Scan:
    """What a log's files hold. With ``damages`` the groups show what can still be read."""

    groups: dict[int, GroupLog]
    paths: dict[int, Path] = field(default_factory=dict)
    """The segments that count, by id."""
    leftovers: list[Path] = field(default_factory=list)
    """Segments that do not count: all in them was cut, or the last was never begun."""
    damages: list[Damage] = field(default_factory=list)
    seq: int = 0
    """The last frame."""
    crc: int | None = None
    """Its checksum; None where it is not known."""
    end: int = 0
    """Where the last frame ends, in the last segment."""
    entries: int = 0
    torn_offset: int | None = None
    """Where a write stands that a crash tore, in the last segment."""
    marks: dict[int, GroupMark] = field(default_factory=dict)
    marked_seq: int = 0
    """The frame up to which the marks tell everything."""
    mark_problem: str = ""
    """Why there are no marks beside a log that has been written to."""
    unreadable: list[tuple[int, int, int]] = field(default_factory=list)
    """(group, index, place) of entries of which only the data is damaged: their terms are known."""
    gap: int = 0
    """The place behind which no frame is missing; 0 where none is missing at all."""
    lost_seq: int = 0
    """The last frame that is missing."""
    is_end_lost: bool = False
    """Frames are missing at the end."""
    hard_state_seqs: dict[int, int] = field(default_factory=dict)
    """The frame in which a group's hard state was read last."""

    @property
    def last_segment(self) -> int:
        return next(reversed(self.paths), 0)


class Scanner:
    """Scans one directory.

    Args:
        directory: of the log.
        first_segment: the oldest that counts.
        salt: of the log's frames.
        synced: the last frame that the mark says was durable, and the segment it is in.
        groups: where the scan begins: each group with its base and hard state as of the first segment.
        group_log: makes a group not met before.
        progress: called now and then with the count of entries checked so far.
    """

    def __init__(
        self,
        directory: Path,
        first_segment: int,
        salt: int,
        synced: tuple[int, int],
        groups: Mapping[int, GroupLog],
        group_log: Callable[[int], GroupLog],
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._directory = directory
        self._first = first_segment
        self._salt = salt
        self._synced, self._last_marked = synced
        self._group_log = group_log
        self._progress = progress
        self._scan = Scan(dict(groups))
        self._stopped = Unsound(0, "it is empty")
        self._finder = FrameFinder(memoryview(b""), salt)
        self._is_losing = False

    def run(self) -> Scan:
        scan = self._scan
        for segment, path in segment_files(self._directory).items():
            if segment < self._first:
                scan.leftovers.append(path)
            else:
                scan.paths[segment] = path
        last = scan.last_segment
        for segment in range(self._first, max(last, self._last_marked) + 1):
            if segment not in scan.paths:
                self._note(segment_name(segment), None, "the file is missing")
                self._lose(place(segment + 1, 0))
                continue
            self._scan_segment(segment, scan.paths[segment], segment == last)
        if self._synced > scan.seq:
            scan.is_end_lost = True
            if not scan.damages:
                self._note(segment_name(last or self._first), None, self._is_short())
        scan.is_end_lost |= self._is_losing
        for log in scan.groups.values():
            log.trim()
        if self._progress is not None:
            self._progress(scan.entries)
        return scan

    # -- segments --------------------------------------------------------------------------------------

    def _scan_segment(self, segment: int, path: Path, is_last: bool) -> None:
        scan = self._scan
        try:
            data = memoryview(path.read_bytes())
        except OSError as error:
            self._note(path.name, None, f"it cannot be read: {error.strerror}")
            self._lose(place(segment + 1, 0))
            return
        self._finder = FrameFinder(data, self._salt)
        head = decode_segment_head(bytes(data[:SEGMENT_HEAD_BYTES]))
        if head is None or head[0] != segment:
            if is_last and self._synced <= scan.seq and self._finder.after(0, scan.seq) is None:
                # A crash came before the head was durable, so nothing else was written.
                scan.leftovers.append(scan.paths.pop(segment))
                return
            self._note(path.name, 0, "the head of the segment is damaged")
            self._lose(place(segment, 0))
        elif segment == self._first or self._is_losing:
            scan.seq = max(head[1] - 1, scan.seq)
        elif head[1] != scan.seq + 1:
            stopped = self._stopped
            detail = f"{stopped.detail}; frames {scan.seq + 1} to {head[1] - 1} cannot be read"
            self._note(segment_name(segment - 1), stopped.offset, detail, stopped.group, stopped.index)
            scan.seq = head[1] - 1
            self._lose(place(segment, 0))
        scan.end = SEGMENT_HEAD_BYTES
        self._scan_frames(segment, path.name, data, is_last)

    def _scan_frames(self, segment: int, name: str, data: memoryview, is_last: bool) -> None:
        scan, offset = self._scan, SEGMENT_HEAD_BYTES
        while True:
            try:
                head = decode_frame_head(data, offset)
                if head is None:
                    raise Unsound(offset, "no frame begins here")
                self._check_order(offset, head)
                records = read_frame(data, offset, head, self._salt)
                self._apply(segment, head.seq, records)
            except Unsound as unsound:
                if head is None or not self._spare(segment, name, offset, head, unsound):
                    again = self._resume(segment, name, data, offset, unsound, is_last)
                    if again is None:
                        return
                    offset = again
                    continue
            if self._is_losing:
                scan.lost_seq, self._is_losing = head.seq - 1, False
            scan.seq, scan.crc = head.seq, head.crc
            self._synced = max(self._synced, head.synced)
            offset += FRAME_HEAD_BYTES + head.size
            scan.end = offset

    def _check_order(self, offset: int, head: FrameHead) -> None:
        scan = self._scan
        if head.seq != scan.seq + 1:
            raise Unsound(offset, f"frame {head.seq} stands where frame {scan.seq + 1} belongs")
        if scan.crc is not None and head.previous != scan.crc:
            raise Unsound(offset, f"frame {head.seq} was written after another frame {scan.seq}")

    def _spare(self, segment: int, name: str, offset: int, head: FrameHead, unsound: Unsound) -> bool:
        """Take what is sound of a frame in which only data of entries is damaged; False where more is, or
        where a crash may have torn it."""
        records = unsound.records
        if records is None or any(not each.is_sound and each.type != RecordType.ENTRY for each in records):
            return False
        self._finder.after(offset + 1, head.seq)
        self._synced = max(self._synced, self._finder.synced)
        if segment == self._scan.last_segment and self._synced < head.seq:
            return False
        try:
            self._apply(segment, head.seq, records)
        except Unsound:
            return False
        for each in records:
            if not each.is_sound:
                self._note(name, each.offset, unsound.detail, each.group, each.at)
                self._scan.unreadable.append((each.group, each.at, place(segment, each.offset)))
        return True

    def _resume(
        self, segment: int, name: str, data: memoryview, offset: int, unsound: Unsound, is_last: bool
    ) -> int | None:
        """Where to go on after something that is no sound frame of ours; None at the end of the segment."""
        scan, finder = self._scan, self._finder
        later = finder.after(offset + 1, scan.seq)
        self._synced = max(self._synced, finder.synced)
        if finder.is_exhausted:
            self._note(name, offset, "too much behind it looks like writes to tell whether any is one")
            self._lose(place(segment + 1, 0))
            return None
        if self._synced <= scan.seq and is_last:
            is_begun = bytes(data[offset : offset + 4]) == FRAME_MARK
            scan.torn_offset = offset if later or is_begun else None
            return None
        if not is_last and not later:
            # The next segment tells whether this is its end.
            self._stopped = unsound
            return None
        detail = unsound.detail if later or unsound.group is not None else self._is_short()
        self._note(name, unsound.offset, detail, unsound.group, unsound.index)
        if later is None:
            self._lose(place(segment + 1, 0))
            return None
        found, head = later
        scan.seq = head.seq - 1
        self._lose(place(segment, found))
        return found

    def _lose(self, behind: int) -> None:
        """Frames are missing before this place."""
        self._scan.gap, self._scan.crc, self._is_losing = behind, None, True

    def _is_short(self) -> str:
        return f"it ends with frame {self._scan.seq}, but frame {self._synced} was synced"

    def _note(
        self, name: str, offset: int | None, detail: str, group: int | None = None, index: int | None = None
    ) -> None:
        self._scan.damages.append(Damage(name, offset, detail, group, index))

    # -- records ---------------------------------------------------------------------------------------

    def _apply(self, segment: int, seq: int, found: list[Record]) -> None:
        scan = self._scan
        for each in found:
            log = scan.groups.get(each.group)
            if log is None:
                log = scan.groups[each.group] = self._group_log(each.group)
            try:
                if each.type == RecordType.ENTRY:
                    log.put(each.at, each.term, place(segment, each.offset), len(each.data))
                    if each.kind != EntryKind.COMMAND and each.is_sound:
                        log.note_membership(each.at, bytes(each.data))
                    scan.entries += 1
                    if self._progress is not None and scan.entries % PROGRESS_ENTRIES == 0:
                        self._progress(scan.entries)
                elif each.type == RecordType.HARD_STATE:
                    log.hard_state = decode_hard_state(each)
                    scan.hard_state_seqs[each.group] = seq
                elif each.type == RecordType.CUT:
                    base = decode_base(each)
                    if base is not None:
                        log.cut(base)
                elif each.type == RecordType.RESET:
                    log.reset(decode_base(each))
                elif each.type == RecordType.DROP:
                    log.drop()
                    scan.hard_state_seqs[each.group] = seq
            except msgspec.MsgspecError as error:
                raise Unsound(each.offset, f"cannot be understood: {error}", each.group, each.at) from None

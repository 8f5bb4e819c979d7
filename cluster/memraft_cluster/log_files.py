"""A log's files, open for writing: frames are appended, synced and marked, segments begun and given back."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .errors import DirectoryLocked, DiskError, LayoutChanged, LogCorrupted, WrongDirectory
from .log_cover import cover
from .log_group import GroupLog
from .log_head import GroupHead, LogHead, encode_head, head_file, read_head
from .log_records import FORMAT_VERSION, FRAME_HEAD_BYTES, FrameBuilder, Stamp
from .log_scan import Damage, Scan, Scanner
from .marks import GroupMark, Marks, Note, SlotsUnreadable, read_marks
from .raft import SnapshotMeta
from .segments import SEGMENT_BYTES, Segments
from .slots import make_directory, sync_directory

logger = logging.getLogger("memraft.log")

LOCK_NAME = "LOCK"
_DAMAGES_TOLD = 4


class LogFiles:
    """The files of one log, locked for this process. Every public method may be called by any thread.

    Args:
        directory: made when missing.
        stamp: whose it must be.
        group_log: makes the view of a group.
        progress: called while scanning, with the count of entries so far.
        segment_bytes: size of a segment.
        state_bases: what is durable of the groups' states: damage to what they cover is passed over.

    Raises:
        WrongDirectory, LayoutChanged, DirectoryLocked, FormatUnsupported, LogCorrupted, DiskError
    """

    def __init__(
        self,
        directory: Path,
        stamp: Stamp,
        group_log: Callable[[int], GroupLog],
        progress: Callable[[int], None] | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        state_bases: Mapping[int, SnapshotMeta] | None = None,
    ) -> None:
        self.directory = directory
        self.stamp = stamp
        self._lock = threading.Lock()
        self._lock_file = -1
        self._head = head_file(directory)
        self.marks = Marks(directory)
        self._segments: Segments | None = None
        try:
            read_head(directory, self._head, for_writing=False)  # refuses before anything is made
            self._head.close()
            make_directory(directory)
            self._take_lock()
            self.groups = self._open(group_log, progress, segment_bytes, state_bases)
        except OSError as error:
            self.close()
            raise DiskError(str(directory), str(error)) from error
        except BaseException:
            self.close()
            raise

    # -- opening ---------------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        self._lock_file = os.open(self.directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DirectoryLocked(str(self.directory)) from error

    def _open(
        self,
        group_log: Callable[[int], GroupLog],
        progress: Callable[[int], None] | None,
        segment_bytes: int,
        state_bases: Mapping[int, SnapshotMeta] | None,
    ) -> dict[int, GroupLog]:
        head = read_head(self.directory, self._head)
        if head is None:
            head = LogHead(FORMAT_VERSION, self.stamp, salt=secrets.randbits(32))
            self._head.create(encode_head(head))
        check_stamp(str(self.directory), head.stamp, self.stamp)
        self._salt = head.salt
        scan = scan_log(self.directory, head, group_log, progress, state_bases)
        refuse_damage(str(self.directory), scan)
        self._segments = segments = Segments(self.directory, segment_bytes)
        for path in scan.leftovers:
            path.unlink()
        if scan.leftovers:
            sync_directory(self.directory)
        if scan.torn_offset is not None:
            fields = {"segment": scan.last_segment, "offset": scan.torn_offset}
            logger.warning("dropped a write that a crash tore", extra={"fields": fields})
        self._seq, self._synced, self._crc = scan.seq, scan.seq, scan.crc or 0
        if scan.paths:
            segments.adopt(scan.paths, scan.end)
        else:
            segments.begin(head.first_segment, self._seq + 1)
        self.marks.create(self._seq, segments.current.id, map(_mark_of, scan.groups.values()))
        return scan.groups

    # -- writing ---------------------------------------------------------------------------------------

    @property
    def segments(self) -> Segments:
        assert self._segments is not None
        return self._segments

    def write(self, frame: FrameBuilder, notes: Sequence[Note] = ()) -> tuple[int, int]:
        """Append a frame; durable after :meth:`sync`. ``notes`` are what is marked of it then.

        Returns:
            (segment, offset in it where the frame's records begin)

        Raises:
            OSError
        """
        size = FRAME_HEAD_BYTES + frame.size
        with self._lock:
            segments = self.segments
            if not segments.has_room(size):
                segments.sync()
                self._synced = self._seq
                segments.begin(segments.current.id + 1, self._seq + 1)
            head, crc = frame.head(self._seq + 1, self._synced, self._crc, self._salt)
            offset = segments.end + FRAME_HEAD_BYTES
            segments.write([head, *frame.parts], size)
            self._seq, self._crc = self._seq + 1, crc
            self.marks.apply(notes)
            return segments.current.id, offset

    def sync(self) -> None:
        """Make everything written before durable, then mark it. Raises OSError."""
        with self._lock:
            seq, file = self._seq, self.segments.current
            if seq == self._synced:
                return
            mark = self.marks.take(seq, file.id)
        os.fdatasync(file.descriptor)
        with self._lock:
            if seq > self._synced:
                self._synced = seq
            self.marks.store(*mark)

    def sync_inline(self) -> None:
        """:meth:`sync` for the one thread that writes; nothing can be written meanwhile. Raises OSError."""
        with self._lock:
            self.segments.sync()
            self._synced = self._seq
            self.marks.write(self._seq, self.segments.current.id)

    def read(self, segment: int, offset: int, size: int) -> bytes:
        """Bytes of a segment; fewer where it ends. Raises OSError, KeyError for a segment that is missing."""
        return os.pread(self.segments.files[segment].descriptor, size, offset)

    def size(self) -> int:
        """Bytes of all segments."""
        with self._lock:
            return self.segments.size()

    # -- giving back -----------------------------------------------------------------------------------

    def give_back(self, first_segment: int, groups: Sequence[GroupHead]) -> None:
        """Everything before ``first_segment`` is cut: remember how the groups stand, then free the files.

        Raises:
            OSError: nothing was freed.
        """
        self.sync()
        head = LogHead(FORMAT_VERSION, self.stamp, first_segment, tuple(groups), self._salt)
        self._head.store(encode_head(head))
        self._head.sync()
        with self._lock:
            self.segments.retire(first_segment)

    def close(self) -> None:
        """Release the files. Harmless when called twice."""
        if self._segments is not None:
            self._segments.close()
        self.marks.close()
        self._head.close()
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1

    def leave_behind(self) -> None:
        """See `DurableLog.leave_behind`. To close a copy of a descriptor does not unlock."""
        descriptor, self._lock_file = self._lock_file, -1
        if descriptor >= 0:
            os.close(descriptor)


def check_stamp(path: str, found: Stamp, mine: Stamp) -> None:
    """Raises WrongDirectory, LayoutChanged."""
    if (found.cluster, found.node) != (mine.cluster, mine.node):
        raise WrongDirectory(path, str(found), str(mine))
    differences = list(found.layout.differences(mine.layout))
    if found.node_id != mine.node_id:
        differences.append((f"node id {found.node_id}", str(mine.node_id)))
    if differences:
        raise LayoutChanged(path, differences)


def scan_log(
    directory: Path,
    head: LogHead,
    group_log: Callable[[int], GroupLog],
    progress: Callable[[int], None] | None = None,
    state_bases: Mapping[int, SnapshotMeta] | None = None,
) -> Scan:
    """Read a whole log, changing nothing; what is wrong with it is among the result's damages, but for what
    the states in ``state_bases`` cover, where they are given. Raises OSError."""
    groups: dict[int, GroupLog] = {}
    for each in head.groups:
        groups[each.group] = log = group_log(each.group)
        log.reset(each.base)
        log.hard_state = each.hard_state
    synced, marked_segment, mark_problem = 0, 0, ""
    marks: dict[int, GroupMark] = {}
    try:
        synced, marked_segment, marks = read_marks(directory)
    except FileNotFoundError:
        mark_problem = "marks: the file is missing"
    except SlotsUnreadable as error:
        mark_problem = str(error)
    marked = (synced, marked_segment)
    scan = Scanner(directory, head.first_segment, head.salt, marked, groups, group_log, progress).run()
    scan.mark_problem = mark_problem if scan.seq else ""
    scan.marks, scan.marked_seq = marks, synced
    if scan.damages and state_bases is not None and cover(scan, state_bases):
        fields = {"path": str(directory), "damage": _told(scan)}
        logger.error("the log is damaged where states cover it, which does no harm", extra={"fields": fields})
        scan.damages = []
    if not scan.damages:
        _compare(scan, synced)
    return scan


def _compare(scan: Scan, synced: int) -> None:
    """Problems of groups whose every frame is sound, and marks that say otherwise than the log."""
    for group, log in scan.groups.items():
        problem = log.problem()
        if problem is not None:
            scan.damages.append(Damage("the log", None, problem[1], group, problem[0]))
        mark, state = scan.marks.get(group), log.hard_state
        if mark is None or not mark.has_state or synced != scan.seq:
            continue
        if state is None or (state.term, state.vote) != (mark.term, mark.vote):
            detail = f"term and vote are not those of the mark, {mark.term} and {mark.vote}"
            scan.damages.append(Damage("the log", None, detail, group))


def refuse_damage(path: str, scan: Scan) -> None:
    """Raises LogCorrupted, which names all that is damaged and what is lost by it."""
    if scan.mark_problem:
        logger.warning(
            "the log's mark is lost and made anew", extra={"fields": {"detail": scan.mark_problem}}
        )
    if not scan.damages:
        return
    first = scan.damages[0]
    group, index = first.group, first.index
    lost = list(lost_entries(scan))
    if lost and index is None:
        group, index = lost[0][:2]
    detail = _told(scan)
    for each, lo, hi in lost[:4]:
        detail += f"; group {each}: entries {lo} to {hi} cannot be read"
    raise LogCorrupted(path, detail, group, index)


def _told(scan: Scan) -> str:
    more = len(scan.damages) - _DAMAGES_TOLD
    told = "; ".join(map(str, scan.damages[:_DAMAGES_TOLD]))
    return f"{told}; and {more} more" if more > 0 else told


def lost_entries(scan: Scan) -> list[tuple[int, int, int]]:
    """(group, first, last) of entries that a damaged log should hold and does not."""
    found = []
    for group in sorted({*scan.groups, *scan.marks}):
        log, mark = scan.groups.get(group), scan.marks.get(group)
        if log is not None:
            base = log.base()
            expected = base.index + 1 if base is not None else 1
            if log.first_index() > expected:
                found.append((group, expected, log.first_index() - 1))
        last = log.last_index() if log is not None else 0
        if mark is not None and mark.last_index > last:
            found.append((group, last + 1, mark.last_index))
    return found


def _mark_of(log: GroupLog) -> GroupMark:
    state, last = log.hard_state, log.last_index()
    term = log.term(last) if last else 0
    if state is None:
        return GroupMark(log.group, 0, 0, last, term, has_state=False)
    return GroupMark(log.group, state.term, state.vote, last, term, state.is_whole)

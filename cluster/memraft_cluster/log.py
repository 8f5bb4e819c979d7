"""The durable log of a node: entries and hard state of all its groups, in one sequence of files.

One sequence holds every group, so that one synced write serves them all. A write is durable when
:meth:`DurableLog.persist` returns. It is written once: files of our own instead of a key-value store's log
and, later, its tables (``docs/decisions``, 0008). A replica that silently forgets may vote a leader into
being that lacks acknowledged entries, so nothing is taken for whole that is not proven to be (``log_scan``):

* every byte that counts is under a checksum that binds it to its place, group, index, term and kind;
* writes are chained and numbered: none can be missing between two others, and what is missing at the end is
  told by the mark beside (``marks``), which also is the second copy of every vote;
* only a write that no later one knew to be synced may be torn; anything else is damage, and refused.

What is cut away is given back file by file. The directory is stamped with cluster, node and layout; one of
another node, or made for another number of shards, is refused.

Files: ``HEAD`` (``log_head``), ``marks``, ``0000000001.log`` and so on, ``LOCK``.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path

import msgspec

from .errors import DirectoryLocked, DiskError, LogCorrupted
from .groups import group_name
from .layout import Layout
from .log_files import LogFiles
from .log_group import GroupLog, offset_of, place, segment_of
from .log_head import GroupHead
from .log_records import RECORD_HEAD_BYTES, FrameBuilder, RecordType, Stamp, Unsound, decode_entry
from .log_scan import Damage
from .marks import Note
from .raft import Entry, HardState, SnapshotMeta
from .segments import SEGMENT_BYTES, segment_name

__all__ = ["DirectoryLocked", "Durability", "DurableLog", "GroupUpdate"]

logger = logging.getLogger("memraft.log")

RELAXED_SYNC_MS = 100
_READ_AHEAD_BYTES = 64 << 10
_IDLE_SEGMENTS_MAX = 6
"""With more segments than this, groups of little that hold on to the oldest are written again at the end."""
_IDLE_GROUP_BYTES_MAX = 1 << 20


class Durability(StrEnum):
    """When a write counts as done."""

    COMMIT = "commit"
    """Synced before it returns: what was acknowledged survives the loss of power."""
    RELAXED = "relaxed"
    """Handed to the operating system; synced every 100 ms. Survives the end of the process, and loses up
    to 100 ms of acknowledged writes with the power of a majority of nodes."""


class GroupUpdate(msgspec.Struct, frozen=True, gc=False):
    """What one group wants to have on disk; entries replace everything from the first one's index."""

    group: int
    hard_state: HardState | None
    entries: Sequence[Entry]


class DurableLog:
    """All groups of one node on one disk. Not thread-safe, except that :meth:`persist` may run in another
    thread while nothing else of this object is called but reads.

    Args:
        path: directory of the files; made when missing.
        cluster: id of the cluster the node belongs to.
        node: the node's name.
        node_id: its number in the consensus core, which votes on disk name.
        layout: the shards of the cluster.
        durability: see :class:`Durability`.
        progress: called now and then while opening, with the count of entries checked so far.
        segment_bytes: how long a file grows before the next is begun.
        state_bases: what is durable of the groups' states; where they cover all that is damaged, the log
            begins behind them (``log_cover``).

    Raises:
        WrongDirectory, LayoutChanged, DirectoryLocked, FormatUnsupported, LogCorrupted, DiskError
    """

    def __init__(
        self,
        path: str | Path,
        *,
        cluster: str,
        node: str,
        node_id: int = 1,
        layout: Layout = Layout(),  # noqa: B008  (frozen)
        durability: Durability = Durability.COMMIT,
        progress: Callable[[int], None] | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        state_bases: Mapping[int, SnapshotMeta] | None = None,
    ) -> None:
        self.path = str(path)
        self.durability = Durability(durability)
        self._failure: DiskError | None = None
        self._is_closed = False
        self._pending: deque[list[list[int]]] = deque()
        stamp = Stamp(cluster, node, node_id, layout)
        self._files = LogFiles(Path(path), stamp, self._new_group, progress, segment_bytes, state_bases)
        self._groups: dict[int, GroupLog] = self._files.groups
        self._giver: ThreadPoolExecutor | None = None
        self._giving: Future[None] | None = None
        self._syncer = _BackgroundSync(self) if self.durability is Durability.RELAXED else None

    def _new_group(self, group: int) -> GroupLog:
        return GroupLog(group, self._read)

    # -- reading ---------------------------------------------------------------------------------------

    def group(self, group: int) -> GroupLog:
        """The log of one group (empty when never written); the ``LogStorage`` of its raft core."""
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = self._new_group(group)
        return found

    def groups(self) -> list[int]:
        """Groups that have something on disk, in order."""
        return sorted(g for g, log in self._groups.items() if log.last_index() or log.hard_state)

    def hard_state(self, group: int) -> HardState | None:
        return self.group(group).hard_state

    def disk_bytes(self) -> int:
        """Size of all files of entries, with what is kept to be used again."""
        return self._files.size()

    def replay(self, group: int, lo: int | None = None, hi: int | None = None) -> Iterator[Entry]:
        """Entries of [lo, hi) from disk, in order, checked; from the first one and to the end by default.

        Raises:
            LogCorrupted: a record is damaged, or the log begins behind ``lo``.
        """
        log = self.group(group)
        first = log.first_index() if lo is None else lo
        end = log.last_index() + 1 if hi is None else hi
        if first >= end:
            return
        if not log.first_index() <= first or end > log.last_index() + 1:
            index = first if first < log.first_index() else log.last_index() + 1
            raise LogCorrupted(self.path, f"{group_name(group)}: entry {index} is missing", group, index)
        data, segment, start = b"", -1, 0
        for index in range(first, end):
            at, size = log.place_of(index)
            offset, stop = offset_of(at), offset_of(at) + RECORD_HEAD_BYTES + size
            if segment != segment_of(at) or offset < start or stop > start + len(data):
                segment, start = segment_of(at), offset
                data = self._read_bytes(segment, offset, max(stop - offset, _READ_AHEAD_BYTES), group, index)
            try:
                yield decode_entry(data[offset - start : stop - start], group, index)
            except Unsound as unsound:
                damage = Damage(segment_name(segment), offset, unsound.detail, group, index)
                raise LogCorrupted(self.path, str(damage), group, index) from unsound

    def _read_bytes(self, segment: int, offset: int, size: int, group: int, index: int) -> bytes:
        try:
            return self._files.read(segment, offset, size)
        except OSError as error:
            damage = Damage(segment_name(segment), offset, f"it cannot be read: {error}", group, index)
            raise LogCorrupted(self.path, str(damage), group, index) from error

    def _read(self, group: int, lo: int, hi: int, bytes_max: int) -> list[Entry]:
        log, size, end = self.group(group), 0, lo
        while end < hi:
            size += log.place_of(end)[1]
            if end > lo and size > bytes_max:
                break
            end += 1
        return list(self.replay(group, lo, end))

    # -- writing ---------------------------------------------------------------------------------------

    def append(
        self, group: int, entries: Sequence[Entry], hard_state: HardState | None = None, sync: bool = True
    ) -> None:
        """Append to one group, truncating what conflicts, and make it durable. See :meth:`persist`."""
        updates = (GroupUpdate(group, hard_state, entries),)
        self.persist(updates, sync)
        self.accept(updates)

    def persist(self, updates: Sequence[GroupUpdate], sync: bool = True) -> None:
        """Write the updates of many groups as one frame, synced unless ``sync`` is False or the durability
        is relaxed. The view of the groups in memory does not change until :meth:`accept`.

        Raises:
            DiskError: the write failed. Nothing more can be written through this object: what is on disk
                is unknown, and a second sync that succeeds would prove nothing about the first.
        """
        frame = FrameBuilder()
        notes: list[Note] = []
        offsets = [self._add(frame, notes, update) for update in updates]
        segment, start = self._write(frame, notes, sync)
        self._pending.append([[place(segment, start + offset) for offset in each] for each in offsets])

    def accept(self, updates: Sequence[GroupUpdate]) -> None:
        """Let the groups show what :meth:`persist` wrote; once for each, in the same order."""
        for update, places in zip(updates, self._pending.popleft(), strict=True):
            log = self.group(update.group)
            if update.hard_state is not None:
                log.hard_state = update.hard_state
            log.accept(update.entries, places)

    def _write(self, frame: FrameBuilder, notes: Sequence[Note], sync: bool) -> tuple[int, int]:
        if self._failure is not None:
            raise self._failure
        try:
            where = self._files.write(frame, notes)
            if sync and self._syncer is None:
                self._files.sync_inline()
        except Exception as error:
            raise self.fail(error) from error
        if self._syncer is not None:
            self._syncer.note_write()
        return where

    def _add(self, frame: FrameBuilder, notes: list[Note], update: GroupUpdate) -> list[int]:
        group, entries = update.group, update.entries
        log = self.group(group)
        if entries:
            first, last = entries[0].index, entries[-1].index
            before, held = log.last_index(), log.first_index()
            if not held <= first <= before + 1 or last - first + 1 != len(entries):
                raise ValueError(f"group {group}: entries {first}..{last} do not continue {held}..{before}")
            last_term = entries[-1].term
        else:
            last = log.last_index()
            last_term = log.term(last)
        state = update.hard_state
        if state is not None:
            frame.add_hard_state(group, state)
        notes.append((group, state or log.hard_state, last, last_term))
        return [frame.add_entry(group, entry) for entry in entries]

    def sync(self) -> None:
        """Make everything written so far durable. Raises DiskError."""
        if self._failure is not None:
            raise self._failure
        try:
            self._files.sync()
        except Exception as error:
            raise self.fail(error) from error

    def fail(self, error: Exception) -> DiskError:
        """Refuse every later write; returns the error to raise."""
        if self._failure is None:
            self._failure = DiskError(self.path, str(error))
        return self._failure

    # -- cutting ---------------------------------------------------------------------------------------

    def cut(self, group: int, base: SnapshotMeta) -> None:
        """Entries up to ``base.index`` go: the caller has made a state that covers them durable.

        Costs a write without a sync (some 20 µs); files that nothing needs any more are given back by a
        thread of the log's own. A base no further than the present one is ignored.

        Raises:
            DiskError: as :meth:`persist`.
            ValueError: the base is beyond the log's end.
            LogCorrupted: a group that has to be written again is damaged.
        """
        log = self.group(group)
        if base.index < log.first_index():
            return
        if base.index > log.last_index():
            raise ValueError(f"group {group} ends at {log.last_index()}: it cannot be cut at {base.index}")
        frame = FrameBuilder()
        frame.add_base(RecordType.CUT, group, base)
        self._write(frame, (), sync=False)
        log.cut(base)
        self._tidy()

    def reset(self, group: int, base: SnapshotMeta | None) -> None:
        """All entries of the group go, and its log begins behind ``base``, or anew when that is None; synced.
        The hard state stays, but commits no more than the base. Raises DiskError."""
        log = self.group(group)
        index, term = (base.index, base.term) if base is not None else (0, 0)
        frame = FrameBuilder()
        frame.add_base(RecordType.RESET, group, base)
        state = log.hard_state
        if state is not None:
            state = HardState(state.term, state.vote, min(state.commit, index), state.is_whole)
            frame.add_hard_state(group, state)
        self._write(frame, [(group, state, index, term)], sync=True)
        log.hard_state = state
        log.reset(base)
        self._tidy()

    def drop_group(self, group: int) -> None:
        """The group leaves this node: entries, base, hard state, term and vote go; synced. Raises
        DiskError."""
        frame = FrameBuilder()
        frame.add_base(RecordType.DROP, group, None)
        self._write(frame, [(group,)], sync=True)
        self._groups.pop(group, None)
        self._tidy()

    def _tidy(self) -> None:
        """Have files given back that hold nothing any more, and free those that hold little."""
        segments = self._files.segments
        if self._giving is not None and not self._giving.done():
            return
        if len(segments.files) > _IDLE_SEGMENTS_MAX:
            for log in self._groups.values():
                at = log.first_place()
                if (
                    at is not None
                    and segment_of(at) == segments.first
                    and log.size_bytes <= _IDLE_GROUP_BYTES_MAX
                ):
                    self._write_again(log)
        needed = min(
            (segment_of(at) for log in self._groups.values() if (at := log.first_place()) is not None),
            default=segments.current.id,
        )
        if needed <= segments.first:
            return
        heads = [GroupHead(group, log.base(), log.hard_state) for group, log in self._groups.items()]
        if self._giver is None:
            self._giver = ThreadPoolExecutor(1, thread_name_prefix="memraft-log-cut")
        self._giving = self._giver.submit(self._give_back, needed, heads)

    def _write_again(self, log: GroupLog) -> None:
        """An idle group's few entries, at the end, so that the file they stand in can go."""
        frame = FrameBuilder()
        frame.add_base(RecordType.RESET, log.group, log.base())
        offsets = [frame.add_entry(log.group, entry) for entry in self.replay(log.group)]
        if log.hard_state is not None:
            frame.add_hard_state(log.group, log.hard_state)
        segment, start = self._write(frame, (), sync=False)
        log.move([place(segment, start + offset) for offset in offsets])

    def _give_back(self, first_segment: int, heads: Sequence[GroupHead]) -> None:
        try:
            self._files.give_back(first_segment, heads)
        except OSError as error:
            # A full disk is no reason to end: it is tried again with the next cut. A sync that failed is.
            if error.errno != errno.ENOSPC:
                self.fail(error)
            logger.error("giving back cut files failed", extra={"fields": {"error": str(error)}})

    def wait_given_back(self) -> None:
        """Wait until files cut so far are given back."""
        if self._giving is not None:
            self._giving.result()

    def close(self) -> None:
        """Sync what is not yet and release the directory. Harmless when called twice, and after a failed
        write, which its caller was told of: nothing is raised."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._giver is not None:
            self._giver.shutdown(wait=True)
        if self._syncer is not None:
            self._syncer.stop()
        try:
            if self._failure is None:
                self._files.sync()
                self._files.marks.sync()
        except OSError as error:
            logger.error("closing the log failed", extra={"fields": {"error": str(self.fail(error))}})
        if self._failure is None:
            self._failure = DiskError(self.path, "the log is closed")
        self._files.close()

    def leave_behind(self) -> None:
        """In a child of a fork: lets go of the lock, which stays the parent's for as long as that holds it.
        The files are the parent's, too: nothing may be done with this object any more."""
        self._files.leave_behind()


class _BackgroundSync:
    """Syncs a relaxed log every 100 ms while there is something to sync."""

    def __init__(self, log: DurableLog) -> None:
        self._log = log
        self._dirty = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memraft-log-sync", daemon=True)
        self._thread.start()

    def note_write(self) -> None:
        self._dirty.set()

    def stop(self) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._dirty.set()
        self._thread.join()
        self._sync()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._dirty.wait()
            self._dirty.clear()
            self._sync()
            self._stopping.wait(RELAXED_SYNC_MS / 1000)

    def _sync(self) -> None:
        try:
            self._log.sync()
        except DiskError as error:
            # The next write raises it where somebody can act on it.
            logger.critical("background sync failed", extra={"fields": {"error": str(error)}})

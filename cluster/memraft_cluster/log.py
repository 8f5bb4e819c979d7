"""The durable log of a node: entries and hard state of all its groups, in one RocksDB.

One database holds every group, so that one synced write batch serves them all. A write is durable when
:meth:`DurableLog.persist` returns. Three things are checked, because a replica that silently forgets
may vote a leader into being that lacks acknowledged entries:

* The write-ahead log is replayed with ``tolerate_corrupted_tail_records``: only an incomplete last
  record (a write that never returned) is dropped. RocksDB's default, ``point_in_time``, stops at the
  first bad record and silently drops all that follow: with one bit flipped in a log of 50 records it
  opened without a word in 40 of 40 trials, on average with half the records gone. What even the stricter
  mode takes for an incomplete record, a damaged length, is told apart by ``wal_tail``.
* Each entry carries a checksum that binds its data to group, index and term.
* On opening, every group's entries are read once and must be contiguous and reach the commit index.

The database is stamped with cluster, node and layout; one of another node, or made for another number of
shards or other nodes, is refused.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec
from rocksdict import (
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from .errors import (
    DirectoryLocked,
    DiskError,
    FormatUnsupported,
    LayoutChanged,
    LogCorrupted,
    WrongDirectory,
)
from .layout import Layout
from .log_group import GroupLog
from .log_records import (
    FORMAT_VERSION,
    INDEX_MAX,
    STAMP_KEY,
    Stamp,
    StampFormat,
    decode_entry,
    decode_hard_state,
    encode_entry,
    encode_hard_state,
    entry_key,
    entry_position,
    hard_state_group,
    hard_state_key,
)
from .raft import Entry, HardState
from .wal_tail import check_tails

logger = logging.getLogger("memraft.log")

RELAXED_SYNC_MS = 100
_DATA_FILE = re.compile(r"[0-9]{6,}\.(sst|blob|log)")
SINGLE_DELETES_MAX = 64
"""A longer conflict is cut with one range tombstone; a shorter one leaves no tombstone range to read over."""


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
        path: directory of the database; made when missing.
        cluster: id of the cluster the node belongs to.
        node: the node's name.
        node_id: its number in the consensus core, which votes on disk name.
        layout: the shards and nodes of the cluster.
        durability: see :class:`Durability`.
        progress: called now and then while opening, with the count of entries checked so far.

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
    ) -> None:
        self.path = str(path)
        self.durability = Durability(durability)
        self._groups: dict[int, GroupLog] = {}
        self._failure: DiskError | None = None
        self._synced = WriteOptions()
        self._synced.sync = True
        self._unsynced = WriteOptions()
        self._db = _open_database(Path(path))
        try:
            self._check_stamp(Stamp(FORMAT_VERSION, cluster, node, node_id, layout))
            self._scan(progress)
        except BaseException:
            self._close_database()
            raise
        self._syncer = _BackgroundSync(self) if self.durability is Durability.RELAXED else None

    # -- reading ---------------------------------------------------------------------------------------

    def group(self, group: int) -> GroupLog:
        """The log of one group (empty when never written); the ``LogStorage`` of its raft core."""
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = GroupLog(group, self._read)
        return found

    def groups(self) -> list[int]:
        """Groups that have something on disk, in order."""
        return sorted(g for g, log in self._groups.items() if log.last_index() or log.hard_state)

    def hard_state(self, group: int) -> HardState | None:
        return self.group(group).hard_state

    def replay(self, group: int, lo: int = 1, hi: int | None = None) -> Iterator[Entry]:
        """Entries of [lo, hi) from disk, in order, checked; ``hi`` None means to the end."""
        end = self.group(group).last_index() + 1 if hi is None else hi
        if lo >= end:
            return
        rows = self._db.iter()
        rows.seek(entry_key(group, lo))
        expected = lo
        while rows.valid() and expected < end:
            key = rows.key()
            if key[:1] != b"e" or entry_position(key) != (group, expected):
                break
            yield decode_entry(self.path, group, expected, rows.value())
            expected += 1
            rows.next()
        self._check_iteration(rows.status)
        if expected != end:
            raise LogCorrupted(self.path, f"group {group}: entry {expected} is missing", group, expected)

    def _read(self, group: int, lo: int, hi: int, bytes_max: int) -> list[Entry]:
        found: list[Entry] = []
        size = 0
        for entry in self.replay(group, lo, hi):
            size += len(entry.data)
            if found and size > bytes_max:
                break
            found.append(entry)
        return found

    # -- writing ---------------------------------------------------------------------------------------

    def append(
        self, group: int, entries: Sequence[Entry], hard_state: HardState | None = None, sync: bool = True
    ) -> None:
        """Append to one group, truncating what conflicts, and make it durable. See :meth:`persist`."""
        updates = (GroupUpdate(group, hard_state, entries),)
        self.persist(updates, sync)
        self.accept(updates)

    def persist(self, updates: Sequence[GroupUpdate], sync: bool = True) -> None:
        """Write the updates of many groups as one batch, synced unless ``sync`` is False or the durability
        is relaxed. The view of the groups in memory does not change until :meth:`accept`.

        Raises:
            DiskError: the write failed. Nothing more can be written through this object: what is on disk
                is unknown, and a second sync that succeeds would prove nothing about the first.
        """
        if self._failure is not None:
            raise self._failure
        batch = WriteBatch(raw_mode=True)
        for update in updates:
            self._add(batch, update)
        try:
            self._db.write(batch, self._unsynced)
            if sync and self._syncer is None:
                # Apart from the write, because the binding holds the interpreter's lock in `write`, synced or
                # not, and lets it go here.
                self._db.flush_wal(True)
        except Exception as error:
            raise self.fail(error) from error
        if self._syncer is not None:
            self._syncer.note_write()

    def accept(self, updates: Sequence[GroupUpdate]) -> None:
        """Let the groups show what :meth:`persist` wrote."""
        for update in updates:
            self.group(update.group).accept(update.hard_state, update.entries)

    def sync(self) -> None:
        """Make everything written so far durable. Raises DiskError."""
        if self._failure is not None:
            raise self._failure
        try:
            self._db.flush_wal(True)
        except Exception as error:
            raise self.fail(error) from error

    def fail(self, error: Exception) -> DiskError:
        """Refuse every later write; returns the error to raise."""
        if self._failure is None:
            self._failure = DiskError(self.path, str(error))
        return self._failure

    def close(self) -> None:
        """Sync what is not yet and release the directory. Harmless when called twice, and after a failed
        write, which its caller was told of: nothing is raised."""
        if self._syncer is not None:
            self._syncer.stop()
        self._close_database()

    def _close_database(self) -> None:
        try:
            self._db.close()
        except DbClosedError:
            pass
        except Exception as error:
            # It flushes before it closes. What counts as written is synced by now, so nothing is lost.
            if self._failure is None:
                logger.error("closing the log failed", extra={"fields": {"error": str(self.fail(error))}})

    def _add(self, batch: WriteBatch, update: GroupUpdate) -> None:
        group, entries = update.group, update.entries
        if update.hard_state is not None:
            batch.put(hard_state_key(group), encode_hard_state(group, update.hard_state))
        if not entries:
            return
        last_before = self.group(group).last_index()
        first, last = entries[0].index, entries[-1].index
        if not 0 < first <= last_before + 1 or last - first + 1 != len(entries):
            raise ValueError(f"group {group}: entries {first}..{last} do not continue 1..{last_before}")
        if last_before - last > SINGLE_DELETES_MAX:
            batch.delete_range(entry_key(group, last + 1), entry_key(group, INDEX_MAX))
        else:
            for index in range(last + 1, last_before + 1):
                batch.delete(entry_key(group, index))
        for entry in entries:
            batch.put(entry_key(group, entry.index), encode_entry(group, entry))

    # -- opening ---------------------------------------------------------------------------------------

    def _check_stamp(self, mine: Stamp) -> None:
        record = self._db.get(STAMP_KEY)
        if record is None:
            rows = self._db.iter()
            rows.seek_to_first()
            if rows.valid():
                raise LogCorrupted(self.path, "it has records but no stamp that says whose they are")
            try:
                self._db.put(STAMP_KEY, msgspec.json.encode(mine), self._synced)
            except Exception as error:
                raise self.fail(error) from error
            return
        try:
            found_format = msgspec.json.decode(record, type=StampFormat).format
            if found_format != FORMAT_VERSION:
                raise FormatUnsupported(self.path, found_format, FORMAT_VERSION)
            found = msgspec.json.decode(record, type=Stamp)
        except msgspec.MsgspecError as error:
            raise LogCorrupted(self.path, f"its stamp cannot be read: {error}") from error
        if (found.cluster, found.node) != (mine.cluster, mine.node):
            raise WrongDirectory(self.path, str(found), str(mine))
        differences = list(found.layout.differences(mine.layout))
        if found.node_id != mine.node_id:
            differences.append((f"node id {found.node_id}", str(mine.node_id)))
        if differences:
            raise LayoutChanged(self.path, differences)

    def _scan(self, progress: Callable[[int], None] | None) -> None:
        rows = self._db.iter()
        rows.seek(b"e")
        checked = 0
        while rows.valid():
            key = rows.key()
            kind = key[:1]
            if kind == b"e":
                self._scan_entry(key, rows.value())
                checked += 1
                if progress is not None and checked % 1024 == 0:
                    progress(checked)
            elif kind == b"h":
                group = hard_state_group(key)
                self.group(group).hard_state = decode_hard_state(self.path, group, rows.value())
            rows.next()
        self._check_iteration(rows.status)
        for group, log in self._groups.items():
            self._check_complete(group, log)
        if progress is not None:
            progress(checked)

    def _scan_entry(self, key: bytes, record: bytes) -> None:
        group, index = entry_position(key)
        log = self.group(group)
        expected = log.last_index() + 1
        if index != expected:
            raise LogCorrupted(
                self.path, f"group {group}: entry {expected} is missing before entry {index}", group, expected
            )
        entry = decode_entry(self.path, group, index, record)
        if index > 1 and entry.term < log.term(index - 1):
            raise LogCorrupted(
                self.path, f"group {group}: term {entry.term} of entry {index} goes back", group, index
            )
        log.note_term(index, entry.term)

    def _check_complete(self, group: int, log: GroupLog) -> None:
        state, last = log.hard_state, log.last_index()
        if state is not None and state.commit > last:
            raise LogCorrupted(
                self.path,
                f"group {group}: committed up to {state.commit}, but the last entry is {last}",
                group,
                last + 1,
            )
        if state is not None and last and log.term(last) > state.term:
            raise LogCorrupted(
                self.path, f"group {group}: entry {last} is of a later term than {state.term}", group, last
            )

    def _check_iteration(self, status: Callable[[], None]) -> None:
        try:
            status()
        except Exception as error:
            raise LogCorrupted(self.path, str(error)) from error


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


def _open_database(path: Path) -> Rdict:
    _refuse_headless(path)
    check_tails(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        return Rdict(str(path), _options())
    except Exception as error:
        message = str(error)
        if "LOCK" in message or "lock hold by" in message:
            raise DirectoryLocked(str(path)) from error
        if "Corruption" in message:
            logs = ", ".join(sorted(each.name for each in path.glob("*.log"))) or "none"
            raise LogCorrupted(str(path), f"{message} (write-ahead logs: {logs})") from error
        raise DiskError(str(path), message) from error


def _refuse_headless(path: Path) -> None:
    """RocksDB makes a new, empty database over one whose CURRENT file is lost: a replica that forgets."""
    if not path.is_dir() or (path / "CURRENT").exists():
        return
    remains = [each.name for each in path.iterdir() if _DATA_FILE.fullmatch(each.name)]
    if remains:
        raise LogCorrupted(str(path), f"file CURRENT is missing beside {', '.join(sorted(remains))}")


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_paranoid_checks(True)
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_write_buffer_size(32 << 20)
    options.set_max_write_buffer_number(3)
    options.set_max_background_jobs(2)
    options.set_compression_type(DBCompressionType.lz4())
    # Entries of some kilobytes go to blob files once and are not rewritten by every compaction.
    options.set_enable_blob_files(True)
    options.set_min_blob_size(2048)
    options.set_blob_compression_type(DBCompressionType.lz4())
    options.set_enable_blob_gc(True)
    options.set_bytes_per_sync(1 << 20)
    options.set_keep_log_file_num(4)
    options.set_max_log_file_size(4 << 20)
    options.set_stats_dump_period_sec(0)
    return options

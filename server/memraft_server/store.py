"""The state of a node's machines on disk: every version of every record, in one RocksDB for all groups.

It has no write-ahead log of its own: what it lacks after a crash is replayed from the log of entries. What
makes that right:

* RocksDB without a write-ahead log loses whole batches, the newest first: one column family, whose memory
  tables are flushed in the order of writing, and a batch is never in two of them. So after a crash at any
  point the store holds what the first n batches wrote, for some n.
* A save is written as batches of facts, at most `ROWS_A_BATCH` rows each, and one last batch with the rows
  that change (client sessions), what is left of the facts, and the label. Facts are only ever added, under
  keys that end with the version that made them. Hence, whatever n is: the label there is that of the last
  save whose every batch is there; of a later save there are facts at most, all of versions above the label's
  index. Those are passed over by whoever reads, and deleted when a group is loaded, before it saves again:
  for where power failed on a log that is not synced, other entries may come to stand at these indexes.

The rows of a group belong to a generation. A snapshot is received into a new one beside the one in force;
one batch with the pointer to it, its label and the deletion of the old one puts it into force.

Every row carries a checksum of key and value from where it was encoded to where it is decoded, and the label
counts the rows. RocksDB checks its own blocks.

The layout of keys; the last part of a row's key is as `machine.facts` has it::

    !                                  the stamp
    m group:4 generation:4             the label of a generation
    p group:4                          the generation in force
    r group:4 generation:4 row         rows
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
import threading
import traceback
import weakref
from pathlib import Path
from typing import Any

import msgspec
from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch, WriteOptions

from memraft_cluster.errors import (
    DirectoryLocked,
    DiskError,
    FormatUnsupported,
    StateCorrupted,
    WrongDirectory,
)
from memraft_cluster.raft import SnapshotMeta
from memraft_cluster.slots import make_directory
from memraft_server.machine.facts import CRC_BYTES, StateLabel, encode_body, is_intact, row
from memraft_server.store_group import GroupStore, RowReader

FORMAT = 1
BLOCK_CACHE_BYTES = 16 << 20
ROWS_A_BATCH = 1_000
"""Rows written at a time: the binding holds the interpreter's lock meanwhile, under a microsecond each."""

_STAMP = b"!"
_LABEL = struct.Struct(">cII")
_POINTER = struct.Struct(">cI")
_DATA_FILE = re.compile(r"[0-9]{6,}\.(sst|blob)")


class Stamp(msgspec.Struct, frozen=True):
    """Whose store this is."""

    format: int
    cluster: str
    node: str


class SavedState(msgspec.Struct, frozen=True, array_like=True):
    """What a generation holds: the entries up to `meta.index`, which made what `label` says."""

    meta: SnapshotMeta
    label: StateLabel


class StateStore:
    """The store of one node or embedded memory. Belongs to one thread, but for :meth:`flush`.

    Args:
        path: its directory, made when missing.
        cluster: id of the cluster the node belongs to. None: whosever it is, for a look.
        node: the node's name.

    Raises:
        WrongDirectory, DirectoryLocked, FormatUnsupported, StateCorrupted, DiskError
    """

    def __init__(self, path: str | Path, *, cluster: str | None, node: str = "") -> None:
        self.path = str(path)
        self._failure: DiskError | None = None
        self._is_dirty = False
        self._flushing = threading.Lock()
        self._groups: dict[int, GroupStore] = {}
        self._readers: weakref.WeakSet[RowReader] = weakref.WeakSet()
        self._unlogged = _unlogged()
        self._db: Any = _open_database(Path(path))
        _process.has_opened = True
        try:
            self._check_stamp(cluster, node)
            self._find_groups()
        except BaseException as error:
            # Iterators hold the database, and its lock, for as long as a frame of the error holds them.
            traceback.clear_frames(error.__traceback__)
            self._db.close()
            raise

    # -- groups ----------------------------------------------------------------------------------------

    def group(self, group: int) -> GroupStore:
        """The store of one group, empty when never saved."""
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = GroupStore(self, group, 1, None)
        return found

    def groups(self) -> list[int]:
        """Groups that have a state, in order."""
        return sorted(number for number, group in self._groups.items() if group.saved is not None)

    def bases(self) -> dict[int, SnapshotMeta]:
        """Which entries the states cover, by group: all that their logs may leave out."""
        return {number: group.saved.meta for number, group in self._groups.items() if group.saved is not None}

    # -- for the groups --------------------------------------------------------------------------------

    def write(self, batch: Any) -> None:
        """Write a batch, not durable before :meth:`flush`. Raises DiskError, now and ever after."""
        if self._failure is not None:
            raise self._failure
        try:
            self._db.write(batch, self._unlogged)
        except Exception as error:
            raise self.fail(error) from error
        self._is_dirty = True

    def read(self, group: int, prefix: bytes) -> RowReader:
        """A reader of all rows below a prefix, as they stand now whatever is written meanwhile."""
        reader = RowReader(self._db, self.path, group, prefix)
        self._readers.add(reader)
        return reader

    def get(self, key: bytes) -> bytes | None:
        """The value of one row as it stands now. Raises StateCorrupted."""
        return self._get(key)

    def put_label(self, batch: Any, group: int, generation: int, saved: SavedState) -> None:
        """Label a generation and put it into force, as part of a batch."""
        batch.put(*row(_LABEL.pack(b"m", group, generation), encode_body(saved)))
        batch.put(*row(_POINTER.pack(b"p", group), encode_body(generation)))

    def delete_generation(self, batch: Any, group: int, generation: int) -> None:
        """Delete a generation's rows and label, as part of a batch."""
        prefix = row_prefix(group, generation)
        batch.delete_range(prefix, _after(prefix))
        batch.delete(_LABEL.pack(b"m", group, generation))

    def delete_pointer(self, batch: Any, group: int) -> None:
        """Have no generation in force, as part of a batch."""
        batch.delete(_POINTER.pack(b"p", group))

    # -- the disk --------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Make everything written so far durable. Blocks; may run in any thread. Raises DiskError."""
        with self._flushing:
            if self._failure is not None:
                raise self._failure
            if not self._is_dirty:
                return
            self._is_dirty = False
            try:
                self._db.flush(True)
            except Exception as error:
                raise self.fail(error) from error

    def fail(self, error: Exception) -> DiskError:
        """Refuse every later write; returns the error to raise."""
        if self._failure is None:
            self._failure = DiskError(self.path, str(error))
        return self._failure

    def close(self) -> None:
        """Flush what is not yet, and release the directory. Harmless when called twice, and after a failure,
        which somebody was told of: what is lost is in the log."""
        for reader in list(self._readers):
            reader.close()
        if self._db is None:
            return
        db, self._db = self._db, None
        try:
            if self._failure is None and self._is_dirty:
                db.flush(True)
        except Exception as error:
            self.fail(error)
        try:
            db.close()
        except Exception as error:
            self.fail(error)

    # -- opening ---------------------------------------------------------------------------------------

    def _check_stamp(self, cluster: str | None, node: str) -> None:
        mine = Stamp(FORMAT, cluster or "", node)
        value = self._get(_STAMP)
        if value is None:
            if cluster is None:
                raise StateCorrupted(self.path, "it has no stamp that says whose it is")
            if next(iter(self._db.keys()), None) is not None:
                raise StateCorrupted(self.path, "it has rows but no stamp that says whose they are")
            batch = WriteBatch(raw_mode=True)
            batch.put(*row(_STAMP, msgspec.json.encode(mine)))
            self.write(batch)
            self.flush()
            return
        try:
            fields = msgspec.json.decode(value[:-CRC_BYTES], type=dict[str, Any])
            if is_intact(_STAMP, value) and fields["format"] != mine.format:
                raise FormatUnsupported(self.path, fields["format"], mine.format)
            found = msgspec.convert(fields, Stamp)
        except (msgspec.MsgspecError, LookupError) as error:
            raise StateCorrupted(self.path, f"its stamp cannot be read: {error}") from error
        if not is_intact(_STAMP, value):
            raise StateCorrupted(self.path, "the checksum of its stamp does not fit")
        if cluster is not None and (found.cluster, found.node) != (cluster, node):
            said = [f"node {each.node!r} of cluster {each.cluster!r}" for each in (found, mine)]
            raise WrongDirectory(self.path, *said)

    def _find_groups(self) -> None:
        """Read the pointers and labels, and delete the rows that belong to no generation in force."""
        for key, value in self._all(b"p"):
            group = _POINTER.unpack(key)[1]
            generation = self._decoded(key, value, int, group)
            label_key = _LABEL.pack(b"m", group, generation)
            label = self._get(label_key)
            if label is None:
                raise StateCorrupted(self.path, f"the label of generation {generation} is missing", group)
            saved = self._decoded(label_key, label, SavedState, group)
            self._groups[group] = GroupStore(self, group, generation, saved)
        batch = WriteBatch(raw_mode=True)
        for group, generation in self._generations():
            live = self._groups.get(group)
            if live is None or live.generation != generation:
                self.delete_generation(batch, group, generation)
        if batch.len():
            self.write(batch)

    def _all(self, kind: bytes) -> list[tuple[bytes, bytes]]:
        """The pointers, or the labels: there are few."""
        rows = self._db.iter()
        rows.seek(kind)
        found = []
        while rows.valid() and rows.key()[:1] == kind:
            found.append((rows.key(), rows.value()))
            rows.next()
        self._check(rows)
        return found

    def _generations(self) -> list[tuple[int, int]]:
        """(group, generation) of everything that has a label or rows."""
        found = {_LABEL.unpack(key)[1:] for key, _ in self._all(b"m")}
        rows = self._db.iter()
        rows.seek(b"r")
        while rows.valid() and rows.key()[:1] == b"r":
            _, group, generation = _LABEL.unpack(rows.key()[: _LABEL.size])
            found.add((group, generation))
            rows.seek(_after(row_prefix(group, generation)))
        self._check(rows)
        return sorted(found)

    def _decoded(self, key: bytes, value: bytes, type: Any, group: int) -> Any:
        if not is_intact(key, value):
            raise StateCorrupted(self.path, f"row {key.hex()}: its checksum does not fit", group)
        try:
            return msgspec.msgpack.decode(value[:-CRC_BYTES], type=type)
        except msgspec.MsgspecError as error:
            raise StateCorrupted(self.path, f"row {key.hex()} cannot be read: {error}", group) from error

    def _get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:
            raise StateCorrupted(self.path, str(error)) from error
        return value

    def _check(self, rows: Any) -> None:
        try:
            rows.status()
        except Exception as error:
            raise StateCorrupted(self.path, str(error)) from error


def row_prefix(group: int, generation: int) -> bytes:
    """How the keys of a generation's rows begin."""
    return _LABEL.pack(b"r", group, generation)


def _after(prefix: bytes) -> bytes:
    """The first key above all keys with this prefix."""
    return (int.from_bytes(prefix) + 1).to_bytes(len(prefix))


def _open_database(path: Path) -> Any:
    if path.is_dir() and not (path / "CURRENT").exists():
        remains = sorted(each.name for each in path.iterdir() if _DATA_FILE.fullmatch(each.name))
        if remains:  # RocksDB would make a new, empty database
            raise StateCorrupted(str(path), f"file CURRENT is missing beside {', '.join(remains)}")
    try:
        make_directory(path)
        return Rdict(str(path), _options())
    except Exception as error:
        message = str(error)
        if "LOCK" in message or "lock hold by" in message:
            raise DirectoryLocked(str(path)) from error
        if "Corruption" in message:
            raise StateCorrupted(str(path), message) from error
        raise DiskError(str(path), message) from error


class _Process:
    """What RocksDB was used for in this process and in those that it was forked from."""

    has_opened = False
    is_lost = False


_process = _Process()


def is_lost_in_fork() -> bool:
    """Whether this process was forked from one that had opened a store: RocksDB's threads are missing here,
    and whatever waits for one of them waits for ever."""
    return _process.is_lost


def _note_fork() -> None:
    if _process.has_opened and not _process.is_lost:
        _process.is_lost = True
        # As a process ends, once Python has, RocksDB waits for its threads. In a child there are none, and it
        # would crash or wait for ever. What is registered last runs first: flush what C has, and end.
        libc = ctypes.CDLL(None)
        if not hasattr(libc, "on_exit"):  # not glibc
            return
        libc.on_exit(libc._exit, None)
        libc.__cxa_atexit(libc.fflush, None, None)


os.register_at_fork(after_in_child=_note_fork)


def _unlogged() -> Any:
    options = WriteOptions()
    setattr(options, "disable_wal", True)  # noqa: B010  (the binding's types take it for a method)
    return options


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_paranoid_checks(True)
    options.set_write_buffer_size(32 << 20)
    options.set_max_write_buffer_number(4)
    options.set_max_background_jobs(2)
    options.set_compression_type(DBCompressionType.lz4())
    # A write must not wait for a compaction: whoever waits holds the interpreter's lock. There are many small
    # files after many small flushes, and most rows never change.
    options.set_level_zero_slowdown_writes_trigger(200)
    options.set_level_zero_stop_writes_trigger(400)
    options.set_soft_pending_compaction_bytes_limit(0)
    options.set_hard_pending_compaction_bytes_limit(0)
    # Large values are written once and not moved by every compaction.
    options.set_enable_blob_files(True)
    options.set_min_blob_size(16 << 10)
    options.set_blob_compression_type(DBCompressionType.lz4())
    options.set_enable_blob_gc(True)
    # Single rows are read by their whole key: versions of the past.
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)
    table.set_block_cache(Cache(BLOCK_CACHE_BYTES))
    options.set_block_based_table_factory(table)
    options.set_bytes_per_sync(1 << 20)
    options.set_keep_log_file_num(4)
    options.set_max_log_file_size(4 << 20)
    options.set_stats_dump_period_sec(0)
    return options

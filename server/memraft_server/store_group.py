"""The part of the state store that belongs to one group: its generation in force, and how rows are read."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from rocksdict import ReadOptions, WriteBatch

from memraft_cluster.errors import StateCorrupted
from memraft_server.machine.facts import Change, Row, is_intact

if TYPE_CHECKING:
    from memraft_server.store import SavedState, StateStore

READAHEAD_BYTES = 2 << 20
FIRST_READ_ROWS = 16
_PREFIX = struct.Struct(">cII")


class RowReader:
    """Reads rows in order of their keys, as they stood when the reader was made.

    RocksDB's iterators read one state for as long as they live, and keep what it consists of from being
    deleted meanwhile. (The binding's own snapshots do not: their iterators show what is written later.)
    """

    def __init__(self, db: Any, path: str, group: int, prefix: bytes) -> None:
        self._db = db
        self._path = path
        self._group = group
        self._prefix = prefix
        self._end = (int.from_bytes(prefix) + 1).to_bytes(len(prefix))
        self._last = prefix
        self._step = FIRST_READ_ROWS
        self._rows: Any = db.items(from_key=prefix, read_opt=self._options())

    def read(self, bytes_max: int) -> list[Row]:
        """The next rows, about `bytes_max` bytes of them; empty after the last."""
        found: list[Row] = []
        cut = len(self._prefix)
        room = bytes_max
        while room > 0 and self._rows is not None:
            part = list(islice(self._rows, self._step))
            if not part:
                break
            found += [(key[cut:], value) for key, value in part]
            size = sum([len(value) for _, value in part]) + len(part) * len(part[-1][0])
            room -= size
            self._step = max(1, min(1_000, room * len(part) // size))
        if found:
            self._last = self._prefix + found[-1][0]
        return found

    def check(self) -> None:
        """Look why there are no more rows: the plain iterator tells, the quick one just ends.

        Raises:
            StateCorrupted: with RocksDB's reason, which names the file, where the reason is a damaged file.
        """
        rows = self._db.iter(self._options())
        rows.seek(self._last)
        while rows.valid():
            rows.next()
        try:
            rows.status()
        except Exception as error:
            raise StateCorrupted(self._path, str(error), self._group) from error
        finally:
            del rows  # a traceback that somebody keeps must not keep the database open

    def close(self) -> None:
        """Let go of the state that is read. Harmless when called twice."""
        self._rows = self._db = None

    def _options(self) -> Any:
        options: Any = ReadOptions()
        options.set_iterate_upper_bound(self._end)
        options.set_readahead_size(READAHEAD_BYTES)
        options.fill_cache(False)
        return options


class Staging:
    """A generation that is being written beside the one in force."""

    def __init__(self, group: GroupStore, generation: int) -> None:
        self.group = group
        self.generation = generation

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows. Raises DiskError."""
        self.group.put(self.generation, rows)

    def read(self) -> RowReader:
        """A reader of all that was written."""
        return self.group.read(self.generation)


class GroupStore:
    """The rows of one group. Made by its `StateStore`.

    Attributes:
        number: of the group.
        generation: the one in force.
        saved: what it holds; None: nothing.
    """

    def __init__(self, store: StateStore, number: int, generation: int, saved: SavedState | None) -> None:
        self.number = number
        self.generation = generation
        self.saved = saved
        self._store = store
        self._newest = generation

    @property
    def path(self) -> str:
        """The directory of the store."""
        return self._store.path

    def write(self, changes: Sequence[Change], saved: SavedState | None) -> None:
        """Write a batch of changes, with the label that they complete, or None: more is to come.

        Raises:
            DiskError: see `StateStore.write`.
        """
        self.put(self.generation, changes, saved)
        if saved is not None:
            self.saved = saved

    def put(self, generation: int, changes: Sequence[Change], saved: SavedState | None = None) -> None:
        """Write a batch of changes to a generation; with a label, that generation is in force."""
        batch = WriteBatch(raw_mode=True)
        put, prefix = batch.put, _PREFIX.pack(b"r", self.number, generation)
        for key, value in changes:
            if value is None:
                batch.delete(prefix + key)
            else:
                put(prefix + key, value)
        if saved is not None:
            self._store.put_label(batch, self.number, generation, saved)
        self._store.write(batch)

    def read(self, generation: int | None = None) -> RowReader:
        """A reader of the generation in force, or of another one."""
        prefix = _PREFIX.pack(b"r", self.number, self.generation if generation is None else generation)
        return self._store.read(self.number, prefix)

    def get(self, generation: int, key: bytes) -> bytes:
        """The value of one row, intact.

        Raises:
            StateCorrupted: it is damaged, or missing.
        """
        value = self._store.get(_PREFIX.pack(b"r", self.number, generation) + key)
        if value is None:
            raise StateCorrupted(self.path, f"row {key.hex()} is missing", self.number)
        if not is_intact(key, value):
            raise StateCorrupted(self.path, f"row {key.hex()}: its checksum does not fit", self.number)
        return value

    def stage(self) -> Staging:
        """A new, empty generation beside the one in force."""
        self._newest += 1
        return Staging(self, self._newest)

    def adopt(self, staging: Staging, saved: SavedState) -> None:
        """Put a staged generation into force, in one batch of a few rows. Raises DiskError."""
        batch = WriteBatch(raw_mode=True)
        self._store.delete_generation(batch, self.number, self.generation)
        self._store.put_label(batch, self.number, staging.generation, saved)
        self._store.write(batch)
        self.generation, self.saved = staging.generation, saved

    def abandon(self, staging: Staging) -> None:
        """Delete a staged generation, unless it is in force."""
        if staging.generation != self.generation:
            batch = WriteBatch(raw_mode=True)
            self._store.delete_generation(batch, self.number, staging.generation)
            self._store.write(batch)

    def drop(self) -> None:
        """Delete everything: the group leaves this node. Harmless when called twice."""
        batch = WriteBatch(raw_mode=True)
        self._store.delete_pointer(batch, self.number)
        self._store.delete_generation(batch, self.number, self.generation)
        self._store.write(batch)
        self._newest += 1
        self.generation, self.saved = self._newest, None

    def flush(self) -> None:
        """Make everything written so far, of all groups, durable. Blocks. Raises DiskError."""
        self._store.flush()

"""Takes what a machine tells of itself to the store, in portions, and reads it back.

A save may have much to write, such as after an entry with a hundred thousand items. It is written in portions
over several calls, so that none holds its caller for long; `store` says why that is right.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec

from memraft_cluster.errors import StateCorrupted
from memraft_cluster.raft import SnapshotMeta
from memraft_server.machine import Limits, Machine
from memraft_server.machine.facts import (
    NUMBER_BYTES,
    Change,
    Encoder,
    StateLabel,
    ceiling_of,
    decode_author,
    record_of,
)
from memraft_server.machine.journal import Journal, Sealed
from memraft_server.machine.loader import DamagedRow, Loader
from memraft_server.projections.past import PAST_BYTES, PastRoom
from memraft_server.projections.versions import Author, Record
from memraft_server.store import ROWS_A_BATCH, SavedState
from memraft_server.store_group import GroupStore, RowReader

LARGE_ROW_BYTES = 16 << 10
"""Rows from this size on go to the store as they are made: gathered in one batch they are copied more often,
and each copy is to memory that is not in the processor's cache."""
LARGE_FACTS_MAX = 64
"""Where more facts wait, they are small: a save is made each MiB."""
BATCHES_A_SAVE = 1
"""Batches that one call writes: 1,000 rows take about 2 ms to encode and to write."""
SLICE_S = 0.005
"""How long loading holds the event loop before it lets others run."""
_AUTHORS_MAX = 4_096
PORTION_BYTES = 128 << 10
"""What of rows is read at a time: below 2 ms of work at 150 bytes a row."""

Progress = Callable[[int, int], None]
"""(rows loaded so far, rows to load)."""


class _Waiting(msgspec.Struct):
    """A save that is not written whole yet; `written` of its facts are."""

    sealed: Sealed
    meta: SnapshotMeta
    written: int = 0


class Saver:
    """Belongs to the thread of its machine and store.

    Args:
        machine: with a journal.
        store: of the machine's group.
    """

    def __init__(self, machine: Machine, store: GroupStore) -> None:
        self.machine = machine
        self.store = store
        self._encoder = Encoder()
        self._waiting: deque[_Waiting] = deque()
        self._last = store.saved.meta if store.saved is not None else None

    @property
    def unsaved(self) -> int:
        """How many facts and saves wait to be written; each call of :meth:`save` leaves less of them."""
        journal = self.machine.journal
        gathering = len(journal) if journal is not None else 0
        return gathering + self._waiting_facts + len(self._waiting)

    def save(self, meta: SnapshotMeta, batches_max: int = BATCHES_A_SAVE) -> None:
        """Seals what was applied up to `meta.index`, and writes up to so many batches. Raises DiskError.

        While a batch or more waits, facts gather in the machine's journal and are not sealed. Sessions are,
        when many were used: what changes goes in one batch with the label, which must not grow with the time
        that others wait.
        """
        if meta != self._last and (self._waiting_facts < ROWS_A_BATCH or self._sessions >= ROWS_A_BATCH // 2):
            self._last = meta
            self._waiting.append(_Waiting(self.machine.seal(), meta))
        for _ in range(batches_max):
            if not self._waiting:
                break
            self._write()
        self._settle_past()

    def _settle_past(self) -> None:
        """Lets versions leave the memory that are on the disk."""
        journal, saved = self.machine.journal, self.store.saved
        if journal is not None and journal.past is not None and saved is not None:
            journal.past.settle(int.from_bytes(ceiling_of(saved.label)))

    def finish(self) -> None:
        """Writes all that was sealed. Raises DiskError."""
        while self._waiting:
            self._write()

    def forget(self) -> None:
        """Drops what waits: another state is in force."""
        self._waiting.clear()
        self._last = self.store.saved.meta if self.store.saved is not None else None

    @property
    def _sessions(self) -> int:
        journal = self.machine.journal
        return journal.sessions if journal is not None else 0

    @property
    def _waiting_facts(self) -> int:
        return sum(len(each.sealed.facts) - each.written for each in self._waiting)

    def _write(self) -> None:
        """Writes one batch: of several saves where they are small, with the label of the last whole one.

        Large rows go before it, in batches of their own.
        """
        changes: list[Change] = []
        saved: SavedState | None = None
        room = ROWS_A_BATCH
        while self._waiting and room > 0:
            waiting = self._waiting[0]
            sealed, start = waiting.sealed, waiting.written
            facts = sealed.facts[start : start + room]
            step = 1 if len(facts) <= LARGE_FACTS_MAX else room
            for first in range(0, len(facts), step):
                changes += self._encoder.rows(facts[first : first + step])
                if len(changes[-1][1] or b"") >= LARGE_ROW_BYTES:
                    self.store.write(changes, saved)
                    changes, saved = [], None
            waiting.written += len(facts)
            room -= len(facts)
            if waiting.written < len(sealed.facts) or (changes and len(sealed.changes) > room):
                break
            changes += sealed.changes
            room -= len(sealed.changes)
            saved = SavedState(waiting.meta, sealed.label)
            self._waiting.popleft()
        self.store.write(changes, saved)


class StoredPast:
    """Reads versions that left the memory of a machine; see `projections.past`.

    Args:
        store: of the machine's group.
        generation: what the machine is loaded from, or saved to.
    """

    def __init__(self, store: GroupStore, generation: int) -> None:
        self._store = store
        self._generation = generation
        self._authors: dict[bytes, Author] = {}

    def record(self, key: bytes) -> Record:
        """See `PastReader`: some ten microseconds where the disk's block is cached. Raises StateCorrupted."""
        value = self._store.get(self._generation, key)
        return record_of(value, int.from_bytes(key[-NUMBER_BYTES:]), self._author)

    def _author(self, encoded: bytes) -> Author:
        found = self._authors.get(encoded)
        if found is None:
            if len(self._authors) >= _AUTHORS_MAX:
                self._authors.clear()
            found = self._authors[encoded] = decode_author(encoded)
        return found


def stored_journal(store: GroupStore, generation: int | None = None) -> Journal:
    """A journal for a machine that is kept in a store, whose old versions are read from there."""
    past = StoredPast(store, store.generation if generation is None else generation)
    return Journal(PastRoom(past, PAST_BYTES))


class StateReader:
    """Loads a machine from rows of the store, in portions.

    Args:
        shard: number of the machine.
        limits: of the machine.
        label: what the rows should be the state of.
        rows: all rows.
        path: of the store, for messages.
        journal: of the machine; None: one that keeps all versions in memory.
    """

    def __init__(
        self,
        shard: int,
        limits: Limits,
        label: StateLabel,
        rows: RowReader,
        path: str,
        journal: Journal | None = None,
    ) -> None:
        self.machine = Machine(shard, limits, Journal() if journal is None else journal)
        self._shard = shard
        self._path = path
        self._label = label
        self._rows = rows
        self._loader = Loader(self.machine, label)

    @property
    def beyond(self) -> list[bytes]:
        """Keys of rows to be deleted: what a save that was cut short left."""
        return self._loader.beyond

    def portions(self) -> Iterator[int]:
        """Yields the rows loaded so far, a few milliseconds apart; then the machine is ready.

        Raises:
            StateCorrupted: naming the file or the row.
        """
        try:
            while portion := self._rows.read(PORTION_BYTES):
                self._loader.feed(portion)
                yield self._loader.rows
            self._rows.check()
            self._loader.finish()
            for _ in self._loader.index_memories():
                yield self._loader.rows
        except DamagedRow as damaged:
            self._rows.check()  # where RocksDB knows which file it is, it says more than the row does
            raise StateCorrupted(self._path, str(damaged), self._shard) from damaged
        finally:
            self._rows.close()

    async def slices(self) -> AsyncIterator[int]:
        """The same, with the event loop let go in between."""
        slice_end = time.monotonic() + SLICE_S
        for done in self.portions():
            if time.monotonic() > slice_end:
                yield done
                await asyncio.sleep(0)
                slice_end = time.monotonic() + SLICE_S


def delete_beyond(store: GroupStore, keys: list[bytes]) -> None:
    """Deletes rows that do not belong to the state, before anything else is saved. Raises DiskError."""
    for start in range(0, len(keys), ROWS_A_BATCH):
        store.write([(key, None) for key in keys[start : start + ROWS_A_BATCH]], None)

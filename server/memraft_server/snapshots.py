"""A group's state on its way to another node: read from one store in chunks, written into another's.

Both ends hold a few chunks at a time, whatever the size of the state; what the receiver builds in memory is
the machine that it will serve from.
"""

from __future__ import annotations

from memraft_cluster.errors import SnapshotRefused, StateCorrupted
from memraft_cluster.raft import SnapshotMeta
from memraft_server.machine import Limits, Machine
from memraft_server.saver import StateReader, stored_journal
from memraft_server.snapshot_format import ChunkDamaged, ChunkReader, write_chunks
from memraft_server.store import ROWS_A_BATCH, SavedState
from memraft_server.store_group import GroupStore


class StoredSnapshot:
    """See ``memraft_cluster.state_machine.SnapshotSource``: the state in force as of now.

    Raises:
        SnapshotRefused: there is no state yet.
    """

    def __init__(self, store: GroupStore) -> None:
        if store.saved is None:
            raise SnapshotRefused(f"group {store.number} has saved no state yet")
        self._saved = store.saved
        self._group = store.number
        self._path = store.path
        self._rows = store.read()
        self._chunks = write_chunks(self._saved.meta, self._saved.label, self._rows.read)
        self._number = 0

    @property
    def meta(self) -> SnapshotMeta:
        """Which state."""
        return self._saved.meta

    def read(self, chunk: int) -> bytes | None:
        """The next chunk, about 2 ms of work; None after the last one. In order only.

        Raises:
            StateCorrupted: the store is damaged.
        """
        if chunk != self._number:
            raise ValueError(f"chunk {chunk} was asked for, {self._number} is next")
        self._number += 1
        try:
            return next(self._chunks, None)
        except ChunkDamaged as damaged:
            self._rows.check()
            raise StateCorrupted(self._path, str(damaged), self._group) from damaged

    def close(self) -> None:
        """Lets go of the state. Harmless when called twice."""
        self._rows.close()


class StagedSnapshot:
    """See ``memraft_cluster.state_machine.SnapshotSink``: a state that is received beside the one in force.

    Args:
        store: of the group.
        limits: of the machine that will be built.
        meta: what the snapshot should be of.
    """

    def __init__(self, store: GroupStore, limits: Limits, meta: SnapshotMeta) -> None:
        self.staging = store.stage()
        self.machine: Machine | None = None
        """The state in memory, once it is finished."""
        self._store = store
        self._limits = limits
        self._meta = meta
        self._reader = ChunkReader()
        self._number = 0
        self._is_over = False

    @property
    def saved(self) -> SavedState:
        """What the snapshot is of. Raises SnapshotRefused before the first chunk."""
        header = self._reader.header
        if header is None:
            raise SnapshotRefused("its header is missing")
        return SavedState(header.meta, header.label)

    def write(self, chunk: int, data: bytes) -> None:
        """Takes the next chunk: about 3 ms of work.

        Raises:
            SnapshotRefused: it is damaged, or not of this snapshot.
            DiskError: the store cannot be written.
        """
        if chunk != self._number:
            raise SnapshotRefused(f"chunk {chunk} came, {self._number} is next")
        try:
            rows = self._reader.feed(data)
        except ChunkDamaged as damaged:
            raise SnapshotRefused(str(damaged)) from damaged
        self._number += 1
        if self.saved.meta != self._meta:
            raise SnapshotRefused(f"it is of {self.saved.meta}, not of {self._meta}")
        for start in range(0, len(rows), ROWS_A_BATCH):
            self.staging.write(rows[start : start + ROWS_A_BATCH])

    async def finish(self) -> None:
        """Verifies and loads what was written, in slices. Raises SnapshotRefused."""
        if not self._reader.is_whole:
            raise SnapshotRefused(f"its end is missing: {self._number} chunks came")
        number, label = self._store.number, self.saved.label
        journal = stored_journal(self._store, self.staging.generation)
        reader = StateReader(number, self._limits, label, self.staging.read(), self._store.path, journal)
        try:
            async for _ in reader.slices():
                pass
        except StateCorrupted as damaged:
            raise SnapshotRefused(str(damaged)) from damaged
        if reader.beyond:
            raise SnapshotRefused(f"it has {len(reader.beyond)} rows from after its index")
        self.machine = reader.machine

    def abort(self) -> None:
        """Deletes what was written, unless it is in force by now. Harmless when called twice."""
        if not self._is_over:
            self._is_over = True
            self._store.abandon(self.staging)
            self.machine = None

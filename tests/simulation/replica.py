"""The real machine with a simulated store: the `StateMachine` of a simulated node.

The state on disk is the list of entries that made it; loading it applies them anew. What is compared is the
machine's running hash, so a state that is not what its label says shows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from memraft_cluster.raft import SnapshotMeta
from memraft_server.machine import Machine
from memraft_server.replica import Replica

Row = tuple[int, bytes]
"""Index and data of an entry."""

OnApplied = Callable[[int, bytes], None]
"""Called with an index and the machine's hash there."""


class SimStore:
    """What of a machine's state is on disk. It survives its node."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.meta: SnapshotMeta | None = None
        """What would be there after a crash now."""
        self.is_damaged = False

    @property
    def index(self) -> int:
        """The last entry that the durable state covers."""
        return self.meta.index if self.meta is not None else 0

    def wipe(self) -> None:
        self.rows, self.meta, self.is_damaged = [], None, False


class SimReplica:
    """One life of a machine: what is in memory, and what was handed to the store but is not flushed."""

    def __init__(self, store: SimStore, on_applied: OnApplied) -> None:
        self.machine = Machine(1)
        self._replica = Replica(self.machine)
        self._store = store
        self._on_applied = on_applied
        self._rows: list[Row] = []
        self._saved: SnapshotMeta | None = store.meta
        self._saved_rows = len(store.rows)
        for index, data in store.rows:
            self._apply(index, data, None)

    def _apply(self, index: int, data: bytes, local: Sequence[object] | None) -> Sequence[object]:
        replies = self._replica.apply(index, data, local)
        self._rows.append((index, data))
        self._on_applied(index, self.machine.applied_hash)
        return replies

    def apply(self, index: int, data: bytes, local: Sequence[object] | None) -> Sequence[object]:
        """As the driver's protocol says."""
        return self._apply(index, data, local)

    def saved(self) -> SnapshotMeta | None:
        return self._saved

    @property
    def unsaved(self) -> int:
        return len(self._rows) - self._saved_rows

    def save(self, meta: SnapshotMeta) -> None:
        self._saved, self._saved_rows = meta, len(self._rows)

    def flush(self) -> None:
        """What was saved is durable."""
        self._store.meta, self._store.rows = self._saved, self._rows[: self._saved_rows]

    def begin_snapshot(self, rows_a_chunk: int) -> list[bytes]:
        """The chunks of the state as it was saved last."""
        rows = self._rows[: self._saved_rows]
        chunks = [msgspec.msgpack.encode(self._saved)]
        for start in range(0, len(rows), rows_a_chunk):
            chunks.append(msgspec.msgpack.encode(rows[start : start + rows_a_chunk]))
        return chunks


def install(store: SimStore, chunks: Sequence[bytes], on_applied: OnApplied) -> SimReplica:
    """Puts a snapshot that was received into the store, durably, and loads it."""
    meta = msgspec.msgpack.decode(chunks[0], type=SnapshotMeta)
    rows = [row for chunk in chunks[1:] for row in msgspec.msgpack.decode(chunk, type=list[Row])]
    store.meta, store.rows, store.is_damaged = meta, rows, False
    return SimReplica(store, on_applied)

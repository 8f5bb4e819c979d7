"""The real machine with its real facts, and a simulated store of their rows: the `StateMachine` of a node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from memraft_cluster.errors import SnapshotRefused
from memraft_cluster.raft import SnapshotMeta
from memraft_server.machine import Machine
from memraft_server.machine.facts import Encoder, StateLabel
from memraft_server.machine.journal import Journal
from memraft_server.machine.loader import load
from memraft_server.replica import Replica

Row = tuple[bytes, bytes]
Rows = dict[bytes, bytes]

OnApplied = Callable[[int, bytes | None, bytes], None]
"""Called with an index, the entry's data (None: a state was loaded) and the machine's hash there."""

SHARD = 1


class State(msgspec.Struct):
    """Rows and what they are the state of."""

    rows: Rows
    meta: SnapshotMeta | None = None
    label: StateLabel = StateLabel()


class Save(msgspec.Struct, eq=False):
    """What one save writes: facts first, in any portions, then the changes together with the label."""

    facts: list[Row]
    changes: list[tuple[bytes, bytes | None]]
    meta: SnapshotMeta | None
    label: StateLabel

    def add_to(self, state: State) -> None:
        state.rows.update(self.facts)
        for key, value in self.changes:
            if value is None:
                state.rows.pop(key, None)
            else:
                state.rows[key] = value
        state.meta, state.label = self.meta, self.label


class SimStore:
    """What of a machine's state is on a disk: the durable state, and saves that are not flushed yet.

    It has no log of its own: a crash leaves the state of some save, at the earliest of the last flushed one,
    and maybe rows of the next, whose end was not written.
    """

    def __init__(self) -> None:
        self.durable = State({})
        self.pending: list[Save] = []
        self.is_damaged = False

    def take(self, count: int) -> None:
        """The first `count` pending saves are durable."""
        for save in self.pending[:count]:
            save.add_to(self.durable)
        del self.pending[:count]

    def crash(self, random: Random) -> None:
        """Some saves got through; of the next one, maybe, some facts."""
        self.take(random.randint(0, len(self.pending)))
        if self.pending and random.random() < 0.5:
            facts = self.pending[0].facts
            self.durable.rows.update(facts[: random.randint(0, len(facts))])
        self.pending.clear()

    def wipe(self) -> None:
        """Another disk."""
        self.durable = State({})
        self.pending.clear()
        self.is_damaged = False


class SimSource:
    """Chunks of a state: its label, then rows in order."""

    def __init__(self, state: State, rows_a_chunk: int) -> None:
        assert state.meta is not None
        self.meta = state.meta
        rows = sorted(state.rows.items())
        self._chunks = [msgspec.msgpack.encode(state.label)]
        for start in range(0, len(rows), rows_a_chunk):
            self._chunks.append(msgspec.msgpack.encode(rows[start : start + rows_a_chunk]))

    def read(self, chunk: int) -> bytes | None:
        return self._chunks[chunk] if chunk < len(self._chunks) else None

    def close(self) -> None:
        pass


class SimSink:
    """A state that is being received."""

    def __init__(self, meta: SnapshotMeta) -> None:
        self.meta = meta
        self.chunks: list[bytes] = []
        self.state = State({}, meta)
        self.machine: Machine | None = None

    def write(self, chunk: int, data: bytes) -> None:
        if chunk != len(self.chunks):
            raise SnapshotRefused(f"chunk {chunk} where {len(self.chunks)} is next")
        self.chunks.append(data)

    async def finish(self) -> None:
        self.state.label = msgspec.msgpack.decode(self.chunks[0], type=StateLabel)
        for chunk in self.chunks[1:]:
            self.state.rows.update(msgspec.msgpack.decode(chunk, type=list[Row]))
        self.machine = load(sorted(self.state.rows.items()), self.state.label, SHARD, Journal())[0]

    def abort(self) -> None:
        self.chunks.clear()


class SimReplica:
    """One life of a machine, as the driver sees it."""

    def __init__(self, store: SimStore, rows_a_chunk: int, on_applied: OnApplied) -> None:
        self.machine = Machine(SHARD, journal=Journal())
        self._replica = Replica(self.machine)
        self._encoder = Encoder()
        self._store = store
        self._rows_a_chunk = rows_a_chunk
        self._on_applied = on_applied
        self._beyond: list[bytes] = []
        self._loaded = State({})

    def apply(self, index: int, data: bytes, local: Sequence[object] | None) -> Sequence[object]:
        replies = self._replica.apply(index, data, local)
        self._on_applied(index, data, self.machine.applied_hash)
        return replies

    def saved(self) -> SnapshotMeta | None:
        store = self._store
        return store.pending[-1].meta if store.pending else store.durable.meta

    async def load(self, progress: Callable[[int, int], None]) -> None:
        state = self._store.durable
        self._loaded = State({}, state.meta, state.label)
        machine, self._beyond = load(sorted(state.rows.items()), state.label, SHARD, Journal())
        self._become(machine)

    def _become(self, machine: Machine) -> None:
        self.machine.become(machine)
        self._on_applied(self.machine.applied_index, None, self.machine.applied_hash)

    @property
    def fingerprint(self) -> bytes:
        return self.machine.applied_hash

    @property
    def unsaved(self) -> int:
        assert self.machine.journal is not None
        return len(self.machine.journal)

    def save(self, meta: SnapshotMeta) -> None:
        sealed = self.machine.seal()
        # What a save before a crash left must go before anything else is written.
        changes: list[tuple[bytes, bytes | None]] = [(key, None) for key in self._beyond]
        facts = self._encoder.rows(sealed.facts)
        if self._beyond:
            self._store.pending.append(Save([], changes, self._loaded.meta, self._loaded.label))
            changes, self._beyond = [], []
        self._store.pending.append(Save(facts, [*changes, *sealed.changes], meta, sealed.label))

    def begin_flush(self) -> Callable[[], None]:
        """Begins to make durable what was saved up to now."""
        pending = self._store.pending
        last = pending[-1] if pending else None

        def end() -> None:
            if last in self._store.pending:
                self._store.take(self._store.pending.index(last) + 1)

        return end

    def flush(self) -> None:
        self.begin_flush()()

    def begin_snapshot(self) -> SimSource:
        # What a flush would leave, without making it durable.
        state = self._store.durable
        ahead = SimStore()
        ahead.durable = State(dict(state.rows), state.meta, state.label)
        ahead.pending = list(self._store.pending)
        ahead.take(len(ahead.pending))
        for key in self._beyond:
            ahead.durable.rows.pop(key, None)
        return SimSource(ahead.durable, self._rows_a_chunk)

    def begin_install(self, meta: SnapshotMeta) -> SimSink:
        return SimSink(meta)

    def install(self, sink: Any) -> None:
        """In force at once, durable with the next flush: until then the state before stands."""
        assert sink.machine is not None
        store, state = self._store, sink.state
        known = store.durable.rows
        changes: list[tuple[bytes, bytes | None]] = [(key, None) for key in known]
        for earlier in store.pending:
            changes += [(key, None) for key, _ in (*earlier.facts, *earlier.changes)]
        changes += state.rows.items()
        store.pending.append(Save([], changes, state.meta, state.label))
        self._beyond = []
        self._become(sink.machine)

    def drop(self) -> None:
        self._store.wipe()

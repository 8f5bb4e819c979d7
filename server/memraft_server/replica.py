"""A replicated shard on this node: the machine behind the driver, and the shard before the handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, cast

from google.protobuf.message import Message

from memraft_cluster.driver import MultiRaft
from memraft_cluster.errors import SnapshotRefused
from memraft_cluster.raft import SnapshotMeta
from memraft_cluster.state_machine import LoadProgress, SnapshotSink, SnapshotSource, Volatile
from memraft_server.entries import EntryBuilder, decode_entry, decode_header, encode_command
from memraft_server.machine import Command, Machine, Refused
from memraft_server.remains import free_slowly
from memraft_server.saver import Saver, StateReader, delete_beyond, stored_journal
from memraft_server.snapshots import StagedSnapshot, StoredSnapshot
from memraft_server.store_group import GroupStore


class Replica(Volatile):
    """The driver's view of a machine: takes entries apart and applies them, once each, in order.

    On the node that proposed an entry the parsed commands come with it, so nothing is parsed twice.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @property
    def fingerprint(self) -> bytes:
        """What all replicas must agree on after the same entries."""
        return self.machine.applied_hash

    def apply(self, index: int, data: bytes, local: Sequence[object] | None) -> Sequence[object]:
        """See ``memraft_cluster.driver.StateMachine``; the replies are messages or ``Refused``."""
        if local is None:
            time_us, seed, commands = decode_entry(data)
        else:
            time_us, seed = decode_header(data)
            commands = cast("list[Command]", local)
        return self.machine.apply(index, time_us, seed, commands, data, is_answered=local is not None)


class StoredReplica(Replica):
    """A replica that keeps what its machine became in the store, and hands it to other nodes.

    Args:
        machine: new, with a journal.
        store: of the machine's group.
    """

    def __init__(self, machine: Machine, store: GroupStore) -> None:
        super().__init__(machine)
        self._store = store
        self._saver = Saver(machine, store)

    def saved(self) -> SnapshotMeta | None:
        """Which state the store holds: that of the last save that was written whole."""
        return self._store.saved.meta if self._store.saved is not None else None

    async def load(self, progress: LoadProgress) -> None:
        """Reads the state into memory: 2 s for a million documents.

        Raises:
            StateCorrupted: naming the file or the row that is damaged.
            DiskError: what a save that was cut short left could not be deleted.
        """
        store = self._store
        if store.saved is None:
            return
        label = store.saved.label
        limits, journal = self.machine.limits, stored_journal(store)
        reader = StateReader(self.machine.shard, limits, label, store.read(), store.path, journal)
        async for done in reader.slices():
            progress(done, label.rows)
        delete_beyond(store, reader.beyond)
        self.machine.become(reader.machine)
        progress(label.rows, label.rows)

    def save(self, meta: SnapshotMeta) -> None:
        """Hands what was applied to the store: at most 1,000 rows a call, about 2 µs each.

        Raises:
            DiskError: the store cannot be written.
        """
        self._saver.save(meta)

    @property
    def unsaved(self) -> int:  # type: ignore[override]
        """How many facts wait for a save."""
        return self._saver.unsaved

    def flush(self) -> None:
        """Makes what was saved durable. Blocks; for any thread. Raises DiskError."""
        self._store.flush()

    def begin_snapshot(self) -> SnapshotSource:
        """A source of the state as of `saved()`. Raises SnapshotRefused where there is none."""
        return StoredSnapshot(self._store)

    def begin_install(self, meta: SnapshotMeta) -> SnapshotSink:
        """A sink for the snapshot of another replica."""
        return StagedSnapshot(self._store, self.machine.limits, meta)

    def install(self, sink: SnapshotSink) -> None:
        """Puts a finished sink's state into force. What was is freed little by little.

        Raises:
            SnapshotRefused: the sink is not finished.
            DiskError: the store cannot be written.
        """
        if not isinstance(sink, StagedSnapshot) or sink.machine is None:
            raise SnapshotRefused("it is not finished")
        self._store.adopt(sink.staging, sink.saved)
        self._become(sink.machine)

    def drop(self) -> None:
        """Deletes the state: the replica leaves this node. Harmless when called twice. Raises DiskError."""
        self._store.drop()
        self._become(Machine(self.machine.shard, self.machine.limits, stored_journal(self._store)))

    def _become(self, machine: Machine) -> None:
        free_slowly(self.machine.become(machine))
        self._saver.forget()


class ReplicatedShard:
    """The handlers' view of the same machine: proposals and reads go through the driver.

    Args:
        number: the shard; its Raft group has the same number.
        machine: what the driver applies the group's entries to.
        driver: started before the first call; answers the group's entries by :func:`answer_replies`.
        builder: what the driver makes the group's entries with.
    """

    def __init__(self, number: int, machine: Machine, driver: MultiRaft, builder: EntryBuilder) -> None:
        self.number = number
        self.machine = machine
        self._driver = driver
        self._builder = builder

    @property
    def leads(self) -> bool:
        return self._driver.is_leader(self.number)

    def propose(self, command: Command, request: bytes | None) -> Awaitable[Message]:
        raw = command.request.SerializeToString() if request is None else request
        data = encode_command(command.kind, command.agent, raw, command.puts)
        return self._driver.propose(self.number, data, command)

    def read_barrier(self) -> Awaitable[int]:
        return self._driver.read_barrier(self.number)

    def wait_applied(self, index: int) -> Awaitable[int] | None:
        return self._driver.wait_applied(self.number, index)

    def settle(self, time_us: int) -> Awaitable[int]:
        barrier = self._driver.read_barrier(self.number)  # first: a follower raises here and promises nothing
        self._builder.keep_above(time_us)
        # Entries that are stamped already may be stamped below.
        return self._settled(barrier, self._driver.last_index(self.number))

    async def _settled(self, barrier: Awaitable[int], last_index: int) -> int:
        applied = await barrier
        waiting = self._driver.wait_applied(self.number, last_index)
        return applied if waiting is None else await waiting

    def age_us(self) -> int:
        return self._driver.age_us(self.number)


def answer_replies(futures: Sequence[asyncio.Future[Any]], replies: Sequence[object], index: int) -> None:
    """Gives each caller the machine's reply, or has its call fail; without a task for each."""
    for future, reply in zip(futures, replies, strict=True):
        if future.done():
            continue
        if isinstance(reply, Refused):
            # The machine keeps its replies for retries: a kept exception that is raised grows its traceback.
            future.set_exception(Refused(reply.reason, reply.message, reply.metadata))
            future.exception()  # whoever does not wait any more causes no line in the log
        else:
            future.set_result(reply)

"""A replicated shard on this node: the machine behind the driver, and the shard before the handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import cast

from google.protobuf.message import Message

from memraft_cluster.driver import Applied, MultiRaft
from memraft_cluster.state_machine import Volatile
from memraft_server.entries import EntryBuilder, decode_entry, decode_header, encode_command
from memraft_server.machine import Command, Machine, Refused


class Replica(Volatile):
    """The driver's view of a machine: takes entries apart and applies them, once each, in order.

    On the node that proposed an entry the parsed commands come with it, so nothing is parsed twice.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def apply(self, index: int, data: bytes, local: Sequence[object] | None) -> Sequence[object]:
        """See ``memraft_cluster.driver.StateMachine``; the replies are messages or ``Refused``."""
        if local is None:
            time_us, seed, commands = decode_entry(data)
        else:
            time_us, seed = decode_header(data)
            commands = cast("list[Command]", local)
        return self.machine.apply(index, time_us, seed, commands, data)


class ReplicatedShard:
    """The handlers' view of the same machine: proposals and reads go through the driver.

    Args:
        number: the shard; its Raft group has the same number.
        machine: what the driver applies the group's entries to.
        driver: started before the first call.
        builder: what the driver makes the group's entries with.
    """

    def __init__(self, number: int, machine: Machine, driver: MultiRaft, builder: EntryBuilder) -> None:
        self.number = number
        self.machine = machine
        self._driver = driver
        self._builder = builder

    def propose(self, command: Command, request: bytes | None) -> Awaitable[Message]:
        raw = command.request.SerializeToString() if request is None else request
        data = encode_command(command.kind, command.agent, raw)
        return _reply_of(self._driver.propose(self.number, data, command))

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


async def _reply_of(future: asyncio.Future[Applied]) -> Message:
    reply = (await future).reply
    if isinstance(reply, Refused):
        # The machine keeps its replies for retries: a kept exception that is raised grows its traceback.
        raise Refused(reply.reason, reply.message, reply.metadata)
    return cast(Message, reply)

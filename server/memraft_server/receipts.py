"""Receipts on their way to the log: a recall takes no commit, many of them share one.

A leader answers a recall with the id of a receipt, keeps the receipt for at most `GATHER_MS` or until
`GATHERED_MAX` have come together, and has them written by one command. What it has not written when it ceases
to lead, it hands to the node that leads then. So a receipt is lost only where its node dies before it was
written. A recall that cannot wait has its receipt written before it is answered.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple

from memraft_cluster.errors import ClusterError, NotLeader, Stopped
from memraft_proto.methods import KIND_RECORD_RECALLS
from memraft_proto.v1 import log_pb2, memory_pb2
from memraft_server.clock import steady_time_us
from memraft_server.machine import Command, Machine, Refused
from memraft_server.machine.handlers_receipts import receipts_over
from memraft_server.machine.ids import entry_parts, make_id
from memraft_server.recall.receipts import make_receipt
from memraft_server.shard import Shard

logger = logging.getLogger("memraft.receipts")

GATHER_MS = 100
"""How long a receipt waits for others."""
GATHERED_MAX = 64
"""Receipts that are written at once even if the first of them has not waited long."""
GATHERED_BYTES_MAX = 256 << 10
"""Likewise; a command has at most so many, and one receipt more."""
WAITING_MAX = 4_096
"""Receipts of one node that are not written. While there are so many, recalls are answered without one."""
WAITING_BYTES_MAX = 32 << 20
"""Likewise; each may be as long as `recall.receipts.RECEIPT_BYTES_MAX`."""
SWEEP_INTERVAL_S = 1.0
"""Between two looks for receipts whose time to live is over."""
OVER_MAX = 500
"""Receipts that one command ends."""
RETRY_S = 0.1
STOP_S = 2.0
"""How long a node that stops tries to have its receipts written."""
_POSITIONS = (1 << 20) - 1

HandOver = Callable[[int, int, log_pb2.RecordRecallsCommand], Awaitable[None]]
"""Has the node that leads a shard write a command: (shard, node or 0, command). Raises ConnectionError where
that does not come about."""


Make = Callable[[int], bytes]
"""Makes the body of a receipt: when it was recalled, in microseconds since the Unix epoch -> the body."""


class Waiting(NamedTuple):
    """A receipt that is not written."""

    namespace: str
    id: str
    body: Callable[[], bytes]
    """Returns it; may make it only then."""


class Gathering:
    """The receipts of one shard that wait to be written.

    Args:
        count_max: so many are to be written at once even if the first of them has not waited long.
    """

    def __init__(self, count_max: int = GATHERED_MAX) -> None:
        self._count_max = count_max
        self.waiting: list[Waiting] = []
        self._size = 0
        self._count = 0
        self._seed = random.SystemRandom().getrandbits(50)

    @property
    def is_full(self) -> bool:
        """Whether they are to be written now."""
        return len(self.waiting) >= self._count_max or self._size >= GATHERED_BYTES_MAX

    def add(
        self,
        machine: Machine,
        agent: str,
        request: memory_pb2.RecallRequest,
        response: memory_pb2.RecallResponse,
    ) -> int:
        """Makes the receipt of a recall, and tells its id in the answer; returns its size in bytes. None is
        made, and 0 returned, where the namespace does not exist: a read makes none."""
        namespace = request.namespace
        if machine.space(namespace) is None:
            return 0
        now_us = steady_time_us()
        body = make_receipt(agent, request, response, now_us)
        response.receipt = self._keep(namespace, now_us, lambda: body, len(body))
        return len(body)

    def add_unmade(self, machine: Machine, namespace: str, make: Make, size: int) -> str:
        """Has the receipt of a recall made once it is written, and returns its id; empty: as in `add`.

        Args:
            machine: of the shard.
            namespace: where it was recalled.
            make: makes it.
            size: its bytes, about.
        """
        if machine.space(namespace) is None:
            return ""
        now_us = steady_time_us()
        return self._keep(namespace, now_us, partial(make, now_us), size)

    def _keep(self, namespace: str, now_us: int, body: Callable[[], bytes], size: int) -> str:
        self._count += 1
        id = make_id(entry_parts(now_us, self._seed), self._count & _POSITIONS)
        self.waiting.append(Waiting(namespace, id, body))
        self._size += size
        return id

    def take(self) -> list[log_pb2.RecordRecallsCommand]:
        """Returns commands that write all that wait, one a namespace."""
        waiting, self.waiting, self._size = self.waiting, [], 0
        commands: dict[str, log_pb2.RecordRecallsCommand] = {}
        for namespace, id, body in waiting:
            command = commands.get(namespace)
            if command is None:
                command = commands[namespace] = log_pb2.RecordRecallsCommand(namespace=namespace)
            command.ids.append(id)
            command.receipts.append(body())
        return list(commands.values())


class Outbox:
    """The receipts of a node. Everything runs on the event loop.

    Args:
        shards: those on this node, by number; they may come and go.
        hand_over: has another node write what this one cannot any more.
    """

    def __init__(self, shards: Mapping[int, Shard], hand_over: HandOver) -> None:
        self._shards = shards
        self._hand_over = hand_over
        self._gathered: dict[int, Gathering] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._writing: dict[int, set[asyncio.Task[None]]] = {}
        self._waiting = self._waiting_bytes = 0
        self._sweeper: asyncio.Task[None] | None = None
        self._is_stopping = False

    def start(self) -> None:
        """Looks for receipts that are over from now on, on the running event loop."""
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="memraft-receipts")

    async def stop(self) -> None:
        """Has all receipts written, as far as that is possible in `STOP_S`. Recalls that are answered
        afterwards have theirs written before."""
        self._is_stopping = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait((self._sweeper,))
        for number in tuple(self._gathered):
            self._flush(number)
        tasks = [task for tasks in self._writing.values() for task in tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)

    def close(self) -> None:
        """Gives up what could not be written. Harmless when called twice."""
        for timer in self._timers.values():
            timer.cancel()
        for tasks in self._writing.values():
            for task in tasks:
                task.cancel()
        if self._waiting:
            logger.warning("receipts were not written", extra={"fields": {"receipts": self._waiting}})

    def answered(
        self,
        shard: Shard,
        agent: str,
        request: memory_pb2.RecallRequest,
        response: memory_pb2.RecallResponse,
    ) -> Awaitable[None] | None:
        """Makes the receipt of a recall; see `recalls.Receipts`."""
        if self._waiting >= WAITING_MAX or self._waiting_bytes >= WAITING_BYTES_MAX:
            if request.receipt == memory_pb2.RECEIPT_MODE_NOW:
                raise self._overloaded()
            return None
        number, is_now = shard.number, request.receipt == memory_pb2.RECEIPT_MODE_NOW
        gathering = self._gathered.get(number)
        if gathering is None:
            gathering = self._gathered[number] = Gathering()
        size = gathering.add(shard.machine, agent, request, response)
        if not size:
            return None
        self._waiting += 1
        self._waiting_bytes += size
        if is_now or self._is_stopping:
            return self._written(number)
        if gathering.is_full:
            self._flush(number)
        elif number not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[number] = loop.call_later(GATHER_MS / 1000, self._flush, number)
        return None

    def _overloaded(self) -> Refused:
        if self._waiting >= WAITING_MAX:
            return Refused("OVERLOADED", f"{WAITING_MAX} receipts wait to be written, at most {WAITING_MAX}")
        return Refused(
            "OVERLOADED",
            f"{self._waiting_bytes} bytes of receipts wait to be written, at most {WAITING_BYTES_MAX}",
        )

    def settle(self, shard: Shard) -> Awaitable[None] | None:
        """Has all receipts of a shard written; see `recalls.Receipts`."""
        number = shard.number
        gathering = self._gathered.get(number)
        if not self._writing.get(number) and (gathering is None or not gathering.waiting):
            return None
        return self._written(number)

    async def _written(self, number: int) -> None:
        self._flush(number)
        tasks = self._writing.get(number)
        if tasks:
            done, _ = await asyncio.wait(tuple(tasks))
            if any(task.cancelled() for task in done):
                raise Stopped("this node is stopping; a receipt was not written")

    def _flush(self, number: int) -> None:
        timer = self._timers.pop(number, None)
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        for command in self._gathered[number].take() if number in self._gathered else ():
            task = loop.create_task(self._write(number, command))
            tasks = self._writing.setdefault(number, set())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _write(self, number: int, command: log_pb2.RecordRecallsCommand) -> None:
        """Writes receipts, here or where the shard's leader is, until it is done."""
        try:
            while not await self._try_to_write(number, command):
                await asyncio.sleep(RETRY_S)
        finally:
            self._waiting -= len(command.ids)
            self._waiting_bytes -= sum(map(len, command.receipts))

    async def _try_to_write(self, number: int, command: log_pb2.RecordRecallsCommand) -> bool:
        shard = self._shards.get(number)
        try:
            if shard is None:
                raise NotLeader(number, 0)
            outcome = shard.propose(Command(KIND_RECORD_RECALLS, "", command), None)
            if isinstance(outcome, Awaitable):
                await outcome
        except NotLeader as refusal:
            try:
                await self._hand_over(number, refusal.leader, command)
            except ConnectionError as error:
                logger.info("receipts were not handed over", extra={"fields": {"error": str(error)}})
                return False
        except ClusterError as error:  # whether it was written or not: once more does no harm
            fields = {"shard": number, "error": str(error)}
            logger.info("receipts were not written and will be tried again", extra={"fields": fields})
            return False
        except Refused as refused:  # their fork was dropped
            fields = {"shard": number, "error": str(refused), "receipts": len(command.ids)}
            logger.info("receipts were refused", extra={"fields": fields})
        return True

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            for shard in tuple(self._shards.values()):
                if not shard.leads:
                    continue
                for command in receipts_over(shard.machine, steady_time_us(), OVER_MAX):
                    try:
                        outcome = shard.propose(command, None)
                        if isinstance(outcome, Awaitable):
                            await outcome
                    except (ClusterError, Refused) as error:  # whoever leads next finds the same
                        fields = {"shard": shard.number, "error": str(error)}
                        logger.info("the end of receipts was not proposed", extra={"fields": fields})

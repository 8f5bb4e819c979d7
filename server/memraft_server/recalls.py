"""Calls on recalls and what they leave behind: their receipts, and the answers that are tied to those."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from google.protobuf.message import Message

from memraft_cluster.errors import NotLeader
from memraft_proto.methods import KIND_RECORD_RECALLS
from memraft_proto.v1 import cluster_pb2, memory_pb2
from memraft_server.admission.identity import Caller, writing_agent
from memraft_server.admission.quotas import Cost, TenantQuota
from memraft_server.machine import Command, Refused
from memraft_server.machine.handlers_receipts import complete_influence
from memraft_server.machine.handlers_vectors import K_DEFAULT
from memraft_server.reads import STALE, Reader
from memraft_server.shard import Outcome, Shard

RECALL = "Recall"
LOGGED = frozenset((RECALL, "GetReceipt", "ListReceipts", "GetLineage"))
"""Reads that make receipts, or tell of them."""
RECEIPT_BYTES, HIT_BYTES = 600, 90
"""What a receipt counts for, and each memory in it, until the shard says what it takes."""
LEADER_HEARD_US = 300_000
"""A replica that has heard of its leader in this time sends recalls there: with it they have receipts."""


class Receipts(Protocol):
    """What has receipts of recalls written."""

    def answered(
        self,
        shard: Shard,
        agent: str,
        request: memory_pb2.RecallRequest,
        response: memory_pb2.RecallResponse,
    ) -> Awaitable[None] | None:
        """Makes the receipt of a recall that a leader answered, and writes its id into the answer.

        Returns:
            What to await before the answer is given, if anything. It raises Refused, ClusterError.
        """

    def settle(self, shard: Shard) -> Awaitable[None] | None:
        """After this, all receipts that were made of a shard's recalls can be read. None: they can."""


class Recalls:
    """Recalls of a node, and calls that tell of them.

    Args:
        reader: answers reads.
        receipts: has receipts written.
    """

    def __init__(self, reader: Reader, receipts: Receipts) -> None:
        self._reader = reader
        self._receipts = receipts

    def read(
        self, shard: Shard, quota: TenantQuota | None, caller: Caller, name: str, request: Any
    ) -> Outcome:
        """Answers a read of `LOGGED`; see `Reader.read`.

        Only a leader makes receipts. Another node sends recalls to it while it hears of it, and answers them
        without a receipt while it does not, unless the receipt is to be there before the answer. The same
        holds for a tenant that has no room left.

        Raises:
            Refused, ClusterError: as `Reader.read` does; WRONG_AGENT.
        """
        if name != RECALL:
            return self._read_settled(shard, name, request)
        agent = writing_agent(caller, request.agent)
        mode = request.receipt
        if mode == memory_pb2.RECEIPT_MODE_NONE:
            return self._reader.read(shard, name, request)
        if not shard.leads:
            is_now = mode == memory_pb2.RECEIPT_MODE_NOW
            if is_now or request.context.consistency != STALE:
                _refuse_led_elsewhere(shard, is_now)
            return self._reader.read(shard, name, request)
        if quota is not None and not _has_room(quota, request):
            return self._reader.read(shard, name, request)
        outcome: Any = self._reader.read(shard, name, request)
        if not isinstance(outcome, Message):
            return self._answered_later(outcome, shard, agent, request)
        wait = self._receipts.answered(shard, agent, request, outcome)  # type: ignore[arg-type]
        return outcome if wait is None else _after(wait, outcome)

    def influence(self, shard: Shard, request: Any, write: Callable[[], Outcome]) -> Outcome:
        """Writes which memories an answer was made from, once their receipt is there.

        Raises:
            Refused: NO_SUCH_RECEIPT; a memory is named that the receipt does not have.
        """
        settled = self._receipts.settle(shard) if shard.leads else None
        if settled is not None:
            return self._influence_later(settled, shard, request, write)
        if shard.leads:  # another node refuses the write
            complete_influence(shard.machine.space(request.namespace), request)
        return write()

    async def _influence_later(
        self, settled: Awaitable[None], shard: Shard, request: Any, write: Callable[[], Outcome]
    ) -> Message:
        await settled
        complete_influence(shard.machine.space(request.namespace), request)
        return await _message(write())

    def _read_settled(self, shard: Shard, name: str, request: Any) -> Outcome:
        is_settled = request.context.consistency == STALE or not shard.leads
        settled = None if is_settled else self._receipts.settle(shard)
        if settled is None:
            return self._reader.read(shard, name, request)
        return self._read_later(settled, shard, name, request)

    async def _read_later(self, settled: Awaitable[None], shard: Shard, name: str, request: Any) -> Message:
        await settled
        return await _message(self._reader.read(shard, name, request))

    async def _answered_later(
        self, outcome: Awaitable[Message], shard: Shard, agent: str, request: Any
    ) -> Message:
        response: Any = await outcome
        wait = self._receipts.answered(shard, agent, request, response) if shard.leads else None
        if wait is not None:
            await wait
        return response  # type: ignore[no-any-return]


def _has_room(quota: TenantQuota, request: memory_pb2.RecallRequest) -> bool:
    """Counts a receipt against its tenant's quota; False where there is no room for it.

    Raises:
        Refused: QUOTA_EXCEEDED, where the receipt is to be there before the answer.
    """
    size_bytes = RECEIPT_BYTES + HIT_BYTES * (request.k or K_DEFAULT) + len(request.query)
    try:
        quota.take(Cost(1, size_bytes))
    except Refused:
        if request.receipt == memory_pb2.RECEIPT_MODE_NOW:
            raise
        return False
    return True


def _refuse_led_elsewhere(shard: Shard, is_now: bool) -> None:
    """Raises NotLeader where another node is known to lead, or is to be waited for."""
    try:
        shard.read_barrier()  # it says who leads
    except NotLeader as refusal:
        if is_now or (refusal.leader and shard.age_us() <= LEADER_HEARD_US):
            raise


def record_recalls(shard: Shard | None, request: cluster_pb2.RecordRecallsRequest) -> Outcome:
    """Writes receipts of a node that led a shard before. Raises Refused, ClusterError."""
    if shard is None:
        raise NotLeader(request.shard, 0)
    return _recorded(shard.propose(Command(KIND_RECORD_RECALLS, "", request.command), None))


async def _recorded(outcome: Outcome) -> Message:
    await _message(outcome)
    return cluster_pb2.RecordRecallsResponse()


async def _after(wait: Awaitable[None], response: Message) -> Message:
    await wait
    return response


async def _message(outcome: Outcome) -> Message:
    return outcome if isinstance(outcome, Message) else await outcome

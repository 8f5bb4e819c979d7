"""One write: admitted, weighed, and proposed to its shard. What is refused here never reaches the log."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from memraft_cluster.errors import CommandTooLarge, NotLeader, Overloaded, Stopped
from memraft_proto.methods import KIND_BATCH, KIND_TXN
from memraft_proto.v1 import batch_pb2
from memraft_server.admission.identity import Caller, writing_agent
from memraft_server.admission.quotas import FREEING_BYTES, Cost, TenantQuota
from memraft_server.machine import Command
from memraft_server.machine.puts import Puts
from memraft_server.shard import Outcome, Shard

_FIELDS = batch_pb2.Operation.DESCRIPTOR.fields_by_name
KIND_OF_FIELD = {name: field.number for name, field in _FIELDS.items()}
MULTI_PUT = _FIELDS["multi_put"].number
APPEND_MANY = _FIELDS["append_many"].number
UPSERT_VECTOR = _FIELDS["upsert_vector"].number
UPSERT_MANY = _FIELDS["upsert_many"].number
UPSERT_GRAPH = _FIELDS["upsert_graph"].number
REMEMBER = _FIELDS["remember"].number
RECORD_TRACES = _FIELDS["record_traces"].number
MERGE_MEMORIES = _FIELDS["merge_memories"].number
STORE_EMBEDDINGS = _FIELDS["store_embeddings"].number
WEIGHED = frozenset(
    (
        MULTI_PUT,
        APPEND_MANY,
        UPSERT_VECTOR,
        UPSERT_MANY,
        UPSERT_GRAPH,
        REMEMBER,
        RECORD_TRACES,
        MERGE_MEMORIES,
        STORE_EMBEDDINGS,
    )
)
"""Kinds that may count as more than one operation, or as vectors."""
FREEING = frozenset(
    _FIELDS[name].number
    for name in (
        "delete",
        "delete_vector",
        "forget",
        "end_run",
        "release_lease",
        "drop_fork",
        "delete_node",
        "delete_edge",
        "forget_node",
        "set_retention",
    )
)
"""Kinds that a tenant over its quota of bytes may still use, within a reserve: to tidy up and to finish."""


def write(
    shard: Shard,
    quota: TenantQuota | None,
    caller: Caller,
    kind: int,
    request: Any,
    raw: bytes | None,
    puts: Puts | None = None,
) -> Outcome:
    """Proposes a write whose request has been checked and whose namespace the caller may touch.

    Args:
        shard: of the request's namespace.
        quota: of the caller's tenant, which has admitted the call; None: nothing is limited.
        caller: who writes.
        kind: as in ``memraft_proto.methods.COMMANDS``.
        request: the parsed request; kept until it is applied, so the caller must not change it.
        raw: its bytes as they came, or None where there were none.
        puts: what a Batch puts, where it does nothing else and came as bytes.

    Raises:
        Refused: WRONG_AGENT, RATE_LIMITED, QUOTA_EXCEEDED; from a local shard also what the machine refuses.
        ClusterError: at once where the shard cannot take the command.
    """
    command = Command(kind, writing_agent(caller, request.context.agent), request, puts)
    if quota is None:
        return shard.propose(command, raw)
    size_bytes = len(raw) if raw is not None else request.ByteSize()
    cost = cost_of(kind, request, size_bytes) if puts is None else Cost(len(puts.keys), size_bytes)
    quota.take(cost)
    return _propose(shard, command, raw, quota, cost)


def _propose(shard: Shard, command: Command, raw: bytes | None, quota: TenantQuota, cost: Cost) -> Outcome:
    try:
        return shard.propose(command, raw)
    except (NotLeader, Overloaded, CommandTooLarge, Stopped):
        quota.give_back(cost)
        raise


def cost_of(kind: int, request: Any, size_bytes: int) -> Cost:
    """What a write counts against its tenant's quotas.

    Args:
        kind: as in ``memraft_proto.methods.COMMANDS``.
        request: the parsed request.
        size_bytes: of the encoded request, which bounds what it stores.
    """
    if kind not in (KIND_BATCH, KIND_TXN):
        if kind in FREEING:
            return Cost(1, size_bytes + FREEING_BYTES, is_freeing=True)
        return Cost(_operations(kind, request), size_bytes, _vectors(kind, request))
    operations = len(request.reads) if kind == KIND_TXN else 0
    vectors = 0
    is_freeing = True
    for operation in request.operations:
        name = operation.WhichOneof("operation")
        if name is None:
            continue
        inner_kind = KIND_OF_FIELD[name]
        is_freeing = is_freeing and inner_kind in FREEING
        if inner_kind not in WEIGHED:
            operations += 1
            continue
        inner: Message = getattr(operation, name)
        operations += _operations(inner_kind, inner)
        vectors += _vectors(inner_kind, inner)
    operations = max(1, operations)
    if is_freeing:
        return Cost(operations, size_bytes + FREEING_BYTES, is_freeing=True)
    return Cost(operations, size_bytes, vectors)


def _operations(kind: int, request: Any) -> int:
    if kind == MULTI_PUT:
        return len(request.keys)
    if kind == APPEND_MANY:
        return len(request.payloads)
    if kind in (UPSERT_MANY, STORE_EMBEDDINGS):
        return len(request.ids)
    if kind == MERGE_MEMORIES:
        return 1 + len(request.ids)
    if kind == UPSERT_GRAPH:
        return len(request.ids) + len(request.sources)
    if kind == RECORD_TRACES:
        return len(request.traces)
    return 1


def _vectors(kind: int, request: Any) -> int:
    if kind in (UPSERT_MANY, STORE_EMBEDDINGS):
        return len(request.ids)
    if kind == UPSERT_VECTOR or (kind == REMEMBER and request.embedding):
        return 1
    return 0

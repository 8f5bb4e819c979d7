"""Checks a call before it reaches the log or the machine: malformed work is refused where it arrives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memraft_proto.methods import (
    KIND_BATCH,
    KIND_EVICT,
    KIND_EVICT_MEMORIES,
    KIND_EXPIRE,
    KIND_EXPIRE_LEASES,
    KIND_RECORD_RECALLS,
    KIND_TRIM,
    KIND_TXN,
)
from memraft_proto.v1 import batch_pb2
from memraft_server.machine import (
    feeds,
    handlers_forgetting,
    handlers_indexes,
    handlers_receipts,
    handlers_reembed,
    handlers_retention,
    handlers_settings,
    hosted,
    queries_index,
    queries_recall,
    queries_receipts,
    timeline,
    traces,
    validate_coordination,
    validate_forks,
    validate_graph,
    validate_kv,
    validate_log,
    validate_query,
    validate_vectors,
)
from memraft_server.machine.handlers_batch import KIND_OF_FIELD
from memraft_server.machine.limits import Limits
from memraft_server.machine.puts import Puts
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.turn import Check
from memraft_server.machine.validate_common import check_count, check_namespace, check_write_context
from memraft_server.machine.validate_coordination import check_txn
from memraft_server.machine.validate_kv import are_sound

__all__ = ["check_namespace", "check_read", "check_write"]

WRITE_CHECKS: dict[int, Check] = {
    **validate_kv.WRITE_CHECKS,
    **handlers_settings.WRITE_CHECKS,
    **handlers_retention.WRITE_CHECKS,
    **handlers_indexes.WRITE_CHECKS,
    **handlers_receipts.WRITE_CHECKS,
    **handlers_reembed.WRITE_CHECKS,
    **validate_log.WRITE_CHECKS,
    **validate_coordination.WRITE_CHECKS,
    **validate_forks.WRITE_CHECKS,
    **validate_vectors.WRITE_CHECKS,
    **handlers_forgetting.WRITE_CHECKS,
    **validate_graph.WRITE_CHECKS,
    **traces.WRITE_CHECKS,
}

READ_CHECKS: dict[str, Check] = {
    **validate_kv.READ_CHECKS,
    **handlers_settings.READ_CHECKS,
    **handlers_retention.READ_CHECKS,
    **timeline.READ_CHECKS,
    **handlers_indexes.READ_CHECKS,
    **validate_query.READ_CHECKS,
    **validate_log.READ_CHECKS,
    **feeds.READ_CHECKS,
    **validate_coordination.READ_CHECKS,
    **validate_forks.READ_CHECKS,
    **validate_vectors.READ_CHECKS,
    **handlers_forgetting.READ_CHECKS,
    **validate_graph.READ_CHECKS,
    **queries_index.READ_CHECKS,
    **queries_recall.READ_CHECKS,
    **queries_receipts.READ_CHECKS,
    **handlers_reembed.READ_CHECKS,
    **hosted.READ_CHECKS,
    **traces.READ_CHECKS,
}

_ITEMS_COLUMNS = {
    "multi_put": ("keys",),
    "append_many": ("payloads",),
    "upsert_many": ("ids",),
    "upsert_graph": ("ids", "sources"),
    "merge_memories": ("ids",),
    "record_traces": ("traces",),
}

_OWN_KINDS = frozenset(
    (KIND_EXPIRE, KIND_EXPIRE_LEASES, KIND_EVICT, KIND_TRIM, KIND_RECORD_RECALLS, KIND_EVICT_MEMORIES)
)
_ALONE = frozenset((
    "set_retention", "set_schema", "set_namespace_settings", "declare_index", "drop_index",
    "record_influence", "begin_reembed", "store_embeddings", "finish_reembed",
))  # fmt: skip
"""Operations that are no part of a Batch or a transaction: what was checked before might not hold after."""


def check_write(kind: int, request: Any, limits: Limits, puts: Puts | None = None) -> None:
    """Refuses a write that is malformed or over a limit; of a Batch, every operation is checked.

    Args:
        kind: As in `COMMANDS`.
        request: The request.
        limits: What it is checked against.
        puts: What a Batch puts, where it does nothing else.

    Raises:
        Refused: `INVALID_ARGUMENT`; the message names the thing and the limit.
    """
    if kind in _OWN_KINDS:
        return  # Made by the leader itself.
    check_namespace(request.namespace, limits)
    check_write_context(request.context, limits)
    if kind == KIND_BATCH:
        check_count("operations", len(request.operations), limits.items_max, least=1)
        if puts is None or not are_sound(puts, limits):
            _check_operations(request.operations, limits)
        return
    if kind == KIND_TXN:
        check_count("operations", len(request.operations), limits.items_max)
        _check_operations(request.operations, limits)
        check_txn(request, limits)
        return
    WRITE_CHECKS[kind](request, limits)


def check_read(name: str, request: Any, limits: Limits) -> None:
    """Refuses a read that is malformed or over a limit; raises as `check_write` does."""
    check_namespace(request.namespace, limits)
    READ_CHECKS[name](request, limits)


def _check_operations(operations: Sequence[batch_pb2.Operation], limits: Limits) -> None:
    items = len(operations)
    for i, operation in enumerate(operations):
        field = operation.WhichOneof("operation")
        if field is None:
            raise invalid(f"operations[{i}]: no operation in it", field=f"operations[{i}]")
        if field in _ALONE:
            raise invalid(
                f"operations[{i}].{field}: it is a call of its own, and no part of others",
                field=f"operations[{i}]",
            )
        inner = getattr(operation, field)
        if inner.namespace or inner.HasField("context"):
            raise invalid(
                f"operations[{i}].{field}: namespace and context are those of all; leave them out",
                field=f"operations[{i}].{field}",
            )
        try:
            WRITE_CHECKS[KIND_OF_FIELD[field]](inner, limits)
        except Refused as refused:
            message = f"operations[{i}].{field}.{refused.message}"
            raise Refused(refused.reason, message, refused.metadata) from None
        columns = _ITEMS_COLUMNS.get(field)
        if columns is not None:
            items += sum([len(getattr(inner, column)) for column in columns]) - 1
            check_count("operations: items in all", items, limits.items_max)

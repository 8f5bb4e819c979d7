"""Every call of the contract in one table, read from the descriptors of the `.proto` files.

Client, server and the embedded engine all route by this table, so that a call that is added to a `.proto`
file is known everywhere at once.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from memraft_proto.v1 import (
    batch_pb2,
    cluster_pb2,
    coordination_pb2,
    exchange_pb2,
    forgetting_pb2,
    fork_pb2,
    graph_pb2,
    history_pb2,
    index_pb2,
    kv_pb2,
    lease_pb2,
    log_pb2,
    memory_pb2,
    namespace_pb2,
    projection_pb2,
    query_pb2,
    recall_pb2,
    reembed_pb2,
    retention_pb2,
    run_pb2,
    state_pb2,
    stream_pb2,
    traces_pb2,
    txn_pb2,
    vector_pb2,
    watch_pb2,
)

SERVICE_FILES = (
    kv_pb2,
    query_pb2,
    namespace_pb2,
    stream_pb2,
    state_pb2,
    vector_pb2,
    memory_pb2,
    forgetting_pb2,
    recall_pb2,
    reembed_pb2,
    run_pb2,
    fork_pb2,
    graph_pb2,
    traces_pb2,
    index_pb2,
    projection_pb2,
    watch_pb2,
    batch_pb2,
    lease_pb2,
    coordination_pb2,
    txn_pb2,
    retention_pb2,
    history_pb2,
    exchange_pb2,
    cluster_pb2,
)

KIND_BATCH = 100
"""Kind of a whole BatchRequest in the log. The kinds below it are the numbers of `Operation`'s oneof."""

KIND_EXPIRE = 101
"""Kind of an ExpireCommand in the log."""

KIND_TXN = 102
"""Kind of a CommitTxnRequest in the log."""

KIND_EXPIRE_LEASES = 103
"""Kind of an ExpireLeasesCommand in the log."""

KIND_EVICT = 104
"""Kind of an EvictCommand in the log."""

KIND_TRIM = 105
"""Kind of a TrimCommand in the log."""

KIND_RECORD_RECALLS = 106
"""Kind of a RecordRecallsCommand in the log."""

KIND_EVICT_MEMORIES = 107
"""Kind of an EvictMemoriesCommand in the log."""


class Access(Enum):
    """What a call does, and to what."""

    WRITE = "write"
    READ = "read"
    CLUSTER = "cluster"
    EXCHANGE = "exchange"
    """It carries other calls."""


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """One call: its gRPC path, its messages, what it does and, for a write, its kind in the log (else 0).
    One that ``streams`` has many responses."""

    path: str
    service: str
    name: str
    request: type[Message]
    response: type[Message]
    access: Access
    kind: int
    streams: bool = False


_OPERATION = batch_pb2.Operation.DESCRIPTOR
_KIND_BY_REQUEST = {
    field.message_type.full_name: field.number
    for field in _OPERATION.fields
    if field.message_type is not None
}
_KIND_BY_REQUEST[batch_pb2.BatchRequest.DESCRIPTOR.full_name] = KIND_BATCH
_KIND_BY_REQUEST[txn_pb2.CommitTxnRequest.DESCRIPTOR.full_name] = KIND_TXN

OPERATION_FIELD: dict[int, str] = {field.number: field.name for field in _OPERATION.fields}
"""Kind -> name of the field in `Operation` and in `OperationResult`."""


def _access(request: Any, kind: int) -> Access:
    if kind:
        return Access.WRITE
    if "context" in request.fields_by_name:
        return Access.READ
    return Access.EXCHANGE if request.name == "ExchangeRequest" else Access.CLUSTER


def _methods() -> dict[str, Method]:
    found: dict[str, Method] = {}
    for file in SERVICE_FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            for call in service.methods:
                kind = _KIND_BY_REQUEST.get(call.input_type.full_name, 0)
                found[call.name] = Method(
                    path=f"/{service.full_name}/{call.name}",
                    service=service.full_name,
                    name=call.name,
                    request=GetMessageClass(call.input_type),
                    response=GetMessageClass(call.output_type),
                    access=_access(call.input_type, kind),
                    kind=kind,
                    streams=call.server_streaming,
                )
    return found


METHODS: dict[str, Method] = _methods()
"""Name of the call, such as `Put` -> what it is. Names are unique over all services."""

COMMANDS: dict[int, type[Message]] = {m.kind: m.request for m in METHODS.values() if m.kind}
"""Kind in the log -> the message whose bytes follow it."""
COMMANDS[KIND_EXPIRE] = log_pb2.ExpireCommand
COMMANDS[KIND_EXPIRE_LEASES] = log_pb2.ExpireLeasesCommand
COMMANDS[KIND_EVICT] = log_pb2.EvictCommand
COMMANDS[KIND_TRIM] = log_pb2.TrimCommand
COMMANDS[KIND_RECORD_RECALLS] = log_pb2.RecordRecallsCommand
COMMANDS[KIND_EVICT_MEMORIES] = log_pb2.EvictMemoriesCommand

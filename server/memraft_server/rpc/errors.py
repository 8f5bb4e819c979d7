"""The one place where an error becomes a gRPC status.

Every failure has a reason (`ErrorReason` of the contract), every reason one status code (`STATUS_CODES`).
Details are those that gRPC users know: ErrorInfo always, RetryInfo where waiting helps, QuotaFailure where a
quota refuses.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from memraft_cluster.errors import (
    CommandTooLarge,
    DiskFull,
    NotLeader,
    NotYetWritten,
    OutcomeUnknown,
    Overloaded,
    Stopped,
)
from memraft_cluster.groups import group_name
from memraft_server.machine import Refused
from memraft_server.machine.refused import STATUS_CODES

logger = logging.getLogger("memraft.rpc")

DOMAIN = "memraft.dev"
TYPE_PREFIX = "type.googleapis.com/google.rpc."
DETAILS_KEY = "grpc-status-details-bin"
MESSAGE_CHARS_MAX = 2_000
"""Trailers have to fit into gRPC's 8 KiB of metadata, twice: as message and in the details."""
METADATA_CHARS_MAX = 512
OTHER_CHARS_SHARE = 8
"""Where not all is ASCII, an eighth: a character may have 4 bytes, and 12 where it is percent-encoded."""
RETRY_SOON_MS = 50
"""How long to wait where a queue is full or a shard has no leader."""

_CODE_OF_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

Address = Callable[[int], str]
"""Node id -> host:port where clients reach it; empty where it is not known."""


def to_refused(error: BaseException, address: Address) -> Refused:
    """Any error of a call as one that the contract knows.

    Args:
        error: what the call raised.
        address: of a node, for clients.

    Returns:
        INTERNAL for an error that should not be: it is logged with its traceback and told without it.
    """
    match error:
        case Refused():
            return error
        case NotLeader():
            return _not_leader(error, address)
        case OutcomeUnknown():
            return Refused("OUTCOME_UNKNOWN", str(error), {"shard": str(error.group)})
        case Overloaded():
            limits = {"shard": str(error.group), "limit": error.limit, "value": str(error.value)}
            return Refused("OVERLOADED", str(error), limits | {"retry_after_ms": str(RETRY_SOON_MS)})
        case DiskFull():
            room = {"free_bytes": str(error.free_bytes), "reserve_bytes": str(error.reserve_bytes)}
            return Refused("DISK_FULL", str(error), room | {"retry_after_ms": str(RETRY_SOON_MS)})
        case NotYetWritten():
            return Refused("LAGGING", str(error), {"shard": str(error.group), "known": str(error.known)})
        case CommandTooLarge():
            size = {"limit": "command_bytes_max", "value": str(error.command_bytes_max)}
            return Refused("INVALID_ARGUMENT", str(error), size)
        case Stopped():
            return Refused("SHUTTING_DOWN", "this node is shutting down; ask another one")
    logger.error("internal error", exc_info=error)
    return Refused("INTERNAL", f"internal error ({type(error).__name__}); the node's log has it")


def _not_leader(error: NotLeader, address: Address) -> Refused:
    metadata = {"shard": str(error.group)}
    what = group_name(error.group, "shard")
    if not error.leader:
        message = f"{what} has no leader that this node knows; retry in {RETRY_SOON_MS} ms"
        return Refused("NO_LEADER", message, metadata | {"retry_after_ms": str(RETRY_SOON_MS)})
    leader = address(error.leader)
    message = f"this node does not lead {what}; node {error.leader} at {leader} does"
    return Refused("NOT_LEADER", message, metadata | {"leader": leader, "leader_node": str(error.leader)})


def status_of(refused: Refused) -> tuple[grpc.StatusCode, str, bytes]:
    """The status code, its message, and the bytes of the `grpc-status-details-bin` trailer."""
    code = _CODE_OF_NUMBER[STATUS_CODES.get(refused.reason, grpc.StatusCode.INTERNAL.value[0])]
    message = _cut(refused.message, MESSAGE_CHARS_MAX)
    metadata = {key: _cut(value, METADATA_CHARS_MAX) for key, value in refused.metadata.items()}
    status = status_pb2.Status(code=code.value[0], message=message)
    info = error_details_pb2.ErrorInfo(reason=refused.reason, domain=DOMAIN, metadata=metadata)
    _add(status, "ErrorInfo", info)
    if "retry_after_ms" in metadata:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(metadata["retry_after_ms"]))
        _add(status, "RetryInfo", retry)
    if refused.reason in ("RATE_LIMITED", "QUOTA_EXCEEDED"):
        _add(status, "QuotaFailure", _quota_failure(metadata, message))
    return code, message, status.SerializeToString()


def _quota_failure(metadata: Mapping[str, str], message: str) -> Message:
    subject = f"tenant:{metadata.get('tenant', '')}"
    violation = error_details_pb2.QuotaFailure.Violation(subject=subject, description=message)
    failure: Message = error_details_pb2.QuotaFailure(violations=[violation])
    return failure


def _add(status: status_pb2.Status, name: str, detail: Message) -> None:
    status.details.append(AnyMessage(type_url=TYPE_PREFIX + name, value=detail.SerializeToString()))


def _cut(text: str, chars_max: int) -> str:
    if not text.isascii():
        chars_max //= OTHER_CHARS_SHARE
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"

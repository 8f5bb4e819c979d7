"""What a failed gRPC call means: its status and the details in its trailer become one of our exceptions.

The details are read with messages of our own contract that are equal to Google's on the wire.
"""

import re
from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from memraft_proto.v1 import error_pb2

from . import errors

DETAILS_KEY = "grpc-status-details-bin"

CONNECT_FAILED = "CONNECT_FAILED"
"""Reason of ConnectionFailed where the request cannot have been sent."""
CONNECTION_LOST = "CONNECTION_LOST"
"""Reason of ConnectionFailed where it may have been."""
ATTEMPT_TIMEOUT = "ATTEMPT_TIMEOUT"
"""Reason of Unavailable where there was a connection and no answer came in time; it may have been sent."""

NOT_TAKEN = "the request was not taken"
"""How the lean engine's messages begin where the node told that it did nothing with a request, or where that
never left."""

LOOP_BLOCKED = "the event loop was blocked"
"""What the lean engine's messages contain where a connection was not made because of that."""
STILL_CONNECTING = f"still connecting; {LOOP_BLOCKED}"
"""And where it is yet being made: who asks again waits on for it."""

_NEVER_SENT = (
    NOT_TAKEN,
    "failed to connect",
    "Failed to connect",
    "connections to all backends failing",
    "DNS resolution",
)
"""How messages of either engine begin or what they contain where the request cannot have been acted upon."""

_TOO_LARGE = re.compile(
    r"((?:CLIENT|SERVER): (?:Sent|Received)) message larger than max \((\d+) vs\. (\d+)\)"
)
"""What gRPC says of a message over a limit, of this client or of a node."""

_BROKEN = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
"""Without details of ours they come from gRPC itself, as when a stream was reset: a write may be done."""

_BY_CODE: dict[grpc.StatusCode, type[errors.MemraftError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
}


def explain(failure: Any, address: str) -> errors.MemraftError:
    """Returns the exception for a failed call.

    Args:
        failure: the grpc.RpcError, of either API.
        address: who was called.
    """
    code: grpc.StatusCode = failure.code()
    message: str = failure.details() or code.name
    found = _details(failure.trailing_metadata() or ())
    if found is not None:
        info, retry_after_s = found
        return errors.from_reason(info.reason, message, info.metadata, retry_after_s)
    if code is grpc.StatusCode.UNAVAILABLE or code is grpc.StatusCode.CANCELLED:
        is_unsent = any(each in message for each in _NEVER_SENT)
        reason = CONNECT_FAILED if is_unsent else CONNECTION_LOST
        return errors.ConnectionFailed(f"{address}: {message}", reason=reason)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.Unavailable(f"{address}: no answer in time", reason=ATTEMPT_TIMEOUT)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        if "larger than max" in message:
            return errors.InvalidArgument(f"{address}: {_too_large(message)}")
        return errors.Overloaded(f"{address}: {message}")
    if code in _BROKEN:
        return errors.ConnectionFailed(f"{address}: {code.name}: {message}", reason=CONNECTION_LOST)
    return _BY_CODE.get(code, errors.ServerError)(f"{address}: {code.name}: {message}")


def explain_status(status: error_pb2.ErrorStatus, address: str) -> errors.MemraftError:
    """Returns the exception for a call that failed within another.

    Args:
        status: what its own trailer would hold.
        address: who was called.
    """
    found = _read(status)
    if found is None:
        return errors.ServerError(f"{address}: status {status.code}: {status.message}")
    info, retry_after_s = found
    return errors.from_reason(info.reason, status.message, info.metadata, retry_after_s)


def _too_large(message: str) -> str:
    """What a call has too much of. Only reads have answers that large: the machine bounds those of writes."""
    found = _TOO_LARGE.search(message)
    if found is None:
        return message
    place, size, size_max = found.groups()
    if place in ("CLIENT: Sent", "SERVER: Received"):
        return f"this call's request has {size} bytes, at most {size_max}: send less in one call"
    return f"this call's answer would have {size} bytes, at most {size_max}: ask for less in one call"


def _details(trailer: Iterable[tuple[str, str | bytes]]) -> tuple[error_pb2.ErrorInfo, float | None] | None:
    """The ErrorInfo and the seconds of the RetryInfo; None where there are no details of ours."""
    for key, value in trailer:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return _read(error_pb2.ErrorStatus.FromString(value))
            except DecodeError:
                return None
    return None


def _read(status: error_pb2.ErrorStatus) -> tuple[error_pb2.ErrorInfo, float | None] | None:
    """As `_details`. Raises DecodeError."""
    info: error_pb2.ErrorInfo | None = None
    retry_after_s: float | None = None
    for detail in status.details:
        name = detail.type_url.rpartition("/")[2]
        if name == "google.rpc.ErrorInfo":
            info = error_pb2.ErrorInfo.FromString(detail.value)
        elif name == "google.rpc.RetryInfo":
            delay = error_pb2.RetryInfo.FromString(detail.value).retry_delay
            retry_after_s = delay.seconds + delay.nanos / 1e9
    return (info, retry_after_s) if info is not None else None

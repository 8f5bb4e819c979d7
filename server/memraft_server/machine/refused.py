"""Why a command or a read is not carried out: one class, whose reason says how it is told to the caller.

Beside it, what is nobody's call to refuse: a broken invariant, which ends the replica.
"""

from __future__ import annotations

from collections.abc import Mapping

_NOTHING: Mapping[str, str] = {}

STATUS_CODES: dict[str, int] = {
    "INVALID_ARGUMENT": 3,
    "NO_IDENTITY": 16,
    "WRONG_TENANT": 7,
    "WRONG_AGENT": 7,
    "WRONG_ROLE": 7,
    "NOT_LEADER": 14,
    "NO_LEADER": 14,
    "OUTCOME_UNKNOWN": 14,
    "RATE_LIMITED": 8,
    "QUOTA_EXCEEDED": 8,
    "OVERLOADED": 8,
    "NO_SUCH_COLLECTION": 5,
    "COLLECTION_MISMATCH": 9,
    "EMBEDDING_MISMATCH": 9,
    "NO_SUCH_RUN": 5,
    "RUN_ENDED": 9,
    "NO_SUCH_FORK": 5,
    "NOT_RECORDED": 9,
    "UNRELATED": 9,
    "AT_IN_FUTURE": 11,
    "BEFORE_RETENTION": 11,
    "SESSION_EXPIRED": 9,
    "TOO_MANY_SESSIONS": 8,
    "LAGGING": 14,
    "SHUTTING_DOWN": 14,
    "INTERNAL": 13,
    "CHANGE_REFUSED": 9,
    "DISK_FULL": 14,
    "STALE_FENCE": 9,
    "TOO_MANY_WAITERS": 8,
    "NO_SUCH_NODE": 5,
    "NO_SUCH_MEMORY": 5,
    "NO_SUCH_RECEIPT": 5,
    "NO_SUCH_PROJECTION": 5,
    "PROJECTION_BUILDING": 14,
    "PROJECTION_FAILED": 9,
    "NODE_HAS_EDGES": 9,
    "SCHEMA_VIOLATION": 3,
    "SCHEMA_CHANGED": 14,
    "NO_SUCH_TRACE": 5,
    "NO_SUCH_EVENT": 5,
}
"""Reason -> gRPC status code, as `error.proto` says. Numbers, because the machine knows no gRPC."""


class BrokenInvariant(Exception):
    """What cannot be: the log or this program is damaged. The replica must stop."""


class Refused(Exception):
    """A refusal that is part of the contract, the same on every replica.

    Attributes:
        reason: A name of `ErrorReason` without its prefix, such as `NO_SUCH_RUN`.
        message: What was refused, and the limit, for a person.
        metadata: What the error is about, for a program, such as `limit`.
    """

    def __init__(self, reason: str, message: str, metadata: Mapping[str, str] = _NOTHING) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message
        self.metadata = metadata

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def invalid(message: str, **metadata: str) -> Refused:
    """Returns the refusal of an argument that is malformed or over its limit; `message` names both."""
    return Refused("INVALID_ARGUMENT", message, metadata)

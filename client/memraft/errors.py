"""Every exception that Memraft raises, defined once.

::

    MemraftError                      retryable = False
    ├── InvalidArgument               an argument is malformed or over its limit; also a ValueError
    │   ├── AtInFuture                `at=` lies in the future of the shard
    │   ├── BeforeRetention           from before what the namespace's retention keeps; says what that is
    │   └── SchemaViolation           a document is not what the schema of its prefix asks for; says where
    ├── Unauthenticated               no certificate, or one without a usable identity
    ├── PermissionDenied              another tenant's namespace, an agent that is not ours, another role
    ├── NotFound                      a collection, a run or a node of the graph that does not exist
    ├── LeaseLost                     a lease ended before its holder was done, or its token is over
    ├── LockTimeout                   retryable: somebody else held the lock for as long as we would wait
    ├── ConflictError                 `if_version` did not hold, or a run exists or has ended already
    │   └── MergeConflicts            a fork and its parent both changed the same; has what
    ├── NodeHasEdges                  a node of the graph that is to be deleted still has edges
    ├── NotRecorded                   a run that was not recorded, or lacks an output that a replay needs
    ├── RunEnded                      a write in a recorded run that has ended
    ├── RecordedError                 what a recorded call raised, in a replay of it
    ├── Unrelated                     a diff of what has nothing in common
    ├── ChangeRefused                 a change of the cluster's nodes or replicas that cannot be made
    ├── CollectionMismatch            the collection has another dimension, metric or fingerprint
    ├── EmbeddingMismatch             the embedding is of another model or dimension than those stored
    ├── EmbedderFailed                a service that embeds texts did not; `retryable` when it may yet
    ├── QuotaExceeded                 a tenant's quota; `retryable` when waiting helps
    ├── Unavailable                   retryable: nothing was written
    │   ├── Overloaded                the shard has more work than it may queue
    │   ├── DiskFull                  the disks of all nodes that could take the write are full
    │   └── ConnectionFailed          no connection was made, or it was lost; says what each address answered
    │       └── TlsError              retryable = False: certificates or TLS do not fit together
    ├── OutcomeUnknown                the write may or may not have been applied
    ├── TxnConflict                   retryable: what a transaction read was changed; nothing was written
    ├── TxnFailed                     an operation of a transaction could not be done; nothing was written
    ├── BatchFailed                   operations of a batch were refused; has every outcome
    ├── ProjectionFailed              the code of a registered projection failed
    ├── ConfigurationError            how this client was set up: files, addresses, missing packages
    │   └── DataDirectoryError        directory of `Memory(path=...)` is locked, damaged, failed or another's
    ├── ClosedError                   used after close() or a fork, or a batch after its block
    └── ServerError                   an error that should not be

``retryable`` says whether the same call may succeed later without being changed. The client has used up its
own time budget (``timeout_s``) by the time one of these arrives, so retrying at once rarely helps.

A compare-and-swap that does not swap is no exception: it is a result with ``swapped == False``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from .types_runs import MergeConflict


class MemraftError(Exception):
    """Root of the tree.

    Args:
        message: what happened, naming the thing and the limit.
        reason: a name of `ErrorReason` in `error.proto` without its prefix, such as ``WRONG_TENANT``; empty
            where the error did not come from a server.
        metadata: what the error is about, such as ``limit``, ``leader`` or ``shard``.
    """

    default_retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, reason: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata: dict[str, str] = dict(metadata or {})
        self.retryable: bool = self.default_retryable


class InvalidArgument(MemraftError, ValueError):
    """An argument is malformed or over its limit; the message names both."""


class AtInFuture(InvalidArgument):
    """`at=` lies in the future of the namespace's shard."""


class BeforeRetention(InvalidArgument):
    """What was asked for is from before what retention keeps; the message says what is kept."""

    @property
    def floor_index(self) -> int:
        """The first log index as of which reads are answered; 0 where events of a stream are meant."""
        return int(self.metadata.get("floor_index", 0))

    @property
    def first_sequence(self) -> int:
        """The first event of the stream that is kept; 0 where no stream is meant."""
        return int(self.metadata.get("first_sequence", 0))


class SchemaViolation(InvalidArgument):
    """A document is not what the schema of its prefix asks for; nothing of the call was written."""

    @property
    def key(self) -> str:
        """Of the document."""
        return self.metadata.get("key", "")

    @property
    def path(self) -> str:
        """Where in the document, such as `$.a.b[2]`."""
        return self.metadata.get("path", "")

    @property
    def asked(self) -> str:
        """What was asked for there: the schema's keyword and its value, shortened."""
        return self.metadata.get("asked", "")

    @property
    def prefix(self) -> str:
        """Whose schema it is."""
        return self.metadata.get("prefix", "")


class Unauthenticated(MemraftError):
    """The client has no certificate, or one without a usable identity."""


class PermissionDenied(MemraftError):
    """The certificate does not allow this: another tenant's namespace, another agent, another role."""


class NotFound(MemraftError):
    """The named collection, run, node, fork, memory or projection does not exist.

    An absent document is `None`, not an error.
    """


class ProjectionFailed(MemraftError):
    """The code of a registered projection failed; the message says where.

    At a change: then the projection was taken out until the node, or the memory in process, is started again.
    Or at this query.
    """


class ConflictError(MemraftError):
    """A precondition did not hold; nothing was written.

    Attributes:
        current_version: the version that stands there now; 0 where there is none.
    """

    def __init__(self, message: str, current_version: int) -> None:
        super().__init__(message, reason="CONFLICT")
        self.current_version = current_version


class NodeHasEdges(MemraftError):
    """A node that is to be deleted has edges; `detach=True` deletes them, too."""


class LeaseLost(MemraftError):
    """A lock or a lead was lost before its holder was done, or a write carried a token that is over.

    Somebody else may have it by now. A write that was refused with this was not made.
    """


class LockTimeout(MemraftError):
    """A lock was not granted in the time that the caller would wait."""

    default_retryable = True


class MergeConflicts(ConflictError):
    """A fork and its parent both changed the same things, differently; nothing was merged.

    Attributes:
        conflicts: up to 1,000 of them.
    """

    def __init__(self, message: str, conflicts: "tuple[MergeConflict, ...]") -> None:
        super().__init__(message, 0)
        self.conflicts = conflicts


class NotRecorded(MemraftError):
    """The run was not recorded, or its recording lacks an output that a replay needs."""


class RunEnded(MemraftError):
    """The run that the write belongs to was recorded, and has ended. Nothing was written."""


class RecordedError(MemraftError):
    """In a replay: what the recorded call raised, where that was no exception of Python's own.

    Attributes:
        kind: the name of the class that was raised.
    """

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class Unrelated(MemraftError):
    """What is to be compared has nothing in common: neither is a fork of the other, nor both of a third."""


class ChangeRefused(MemraftError):
    """A change of the cluster's nodes or replicas that cannot be made; the message says why not."""


class CollectionMismatch(MemraftError):
    """The collection exists with another dimension, metric or fingerprint."""


class EmbeddingMismatch(MemraftError):
    """The embedding's fingerprint or dimension is not the one that this namespace or collection has."""


class EmbedderFailed(MemraftError):
    """The service that embeds texts refused, or did not answer in time; nothing was written."""


class QuotaExceeded(MemraftError):
    """The tenant's quota is used up. The client never waits for a quota by itself.

    Attributes:
        limit: which limit, such as ``operations_per_second`` or ``bytes``; empty where the server did not
            say.
        retry_after_s: seconds after which another try may succeed; None where waiting does not help.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "QUOTA_EXCEEDED",
        limit: str = "",
        retry_after_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.limit = limit
        self.retry_after_s = retry_after_s
        self.retryable = retry_after_s is not None


class Unavailable(MemraftError):
    """The shard could not answer within the time budget. Nothing was written."""

    default_retryable = True


class Overloaded(Unavailable):
    """The shard has more work, client sessions or waiters for a lock than it may keep. Nothing was written.

    Attributes:
        retry_after_s: seconds after which another try may succeed; None where the server did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "OVERLOADED",
        retry_after_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.retry_after_s = retry_after_s


class DiskFull(Unavailable):
    """The disks of all nodes that could take the write are full. Nothing was written; reads go on, and so do
    writes once there is room."""


class ConnectionFailed(Unavailable):
    """No connection was made, or it was lost; the message says what each address answered."""


class TlsError(ConnectionFailed):
    """The two sides' certificates or their use of TLS do not fit together; waiting does not help.

    Attributes:
        kind: ``client_certificate_expired``, ``client_certificate_missing``, ``client_certificate_refused``,
            ``server_certificate_expired``, ``unknown_authority``, ``name_mismatch``, ``plaintext_port`` or
            ``tls_port``.
    """

    default_retryable = False

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message, reason=kind.upper())
        self.kind = kind


class OutcomeUnknown(MemraftError):
    """The time budget is over and the write may or may not have been applied.

    It will not be applied twice, and an attempt still under way is dropped by the shard as soon as it sees a
    later write of this client. Read before writing again, or make the write conditional with `if_version`.
    """


class BatchFailed(MemraftError):
    """Operations of a batch were refused. The others were applied: a batch is not a transaction.

    Attributes:
        results: the outcome of every operation in order: its result, or the exception it met.
        errors: position -> exception, for those that failed.
    """

    def __init__(self, results: Sequence[object]) -> None:
        self.results = tuple(results)
        self.errors = {i: each for i, each in enumerate(self.results) if isinstance(each, MemraftError)}
        position, first = next(iter(self.errors.items()))
        super().__init__(
            f"{len(self.errors)} of {len(self.results)} operations of a batch failed; "
            f"the first, operation {position}: {first}",
            reason=first.reason,
        )


@dataclass(frozen=True)
class Conflict:
    """What was in the way of a transaction.

    Attributes:
        kind: `document`, `state`, `counter`, `gate`, `lease`, `stream`, `memory` or `run`.
        name: its key, name or id.
        current_version: what it has now; see `Txn.expect`.
        is_read: whether the transaction read it, rather than only wrote it.
    """

    kind: str
    name: str
    current_version: int
    is_read: bool


class TxnConflict(MemraftError):
    """Something that a transaction read, or under snapshot isolation writes, was changed before it committed.
    Nothing was written. Running the transaction again may succeed: see `transact`.

    Attributes:
        conflicts: what was changed, at most 100.
    """

    default_retryable = True

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        self.conflicts = tuple(conflicts)
        first = self.conflicts[0]
        more = f" and {len(self.conflicts) - 1} more" if len(self.conflicts) > 1 else ""
        super().__init__(
            f"{first.kind} {first.name!r}{more} changed before this transaction committed: nothing written",
            reason="CONFLICT",
        )


class TxnFailed(MemraftError):
    """An operation of a transaction could not be done, so nothing of it was.

    Attributes:
        operation: its position, from 0.
        outcome: the exception that it would have met alone, or its result, as a `Swap` that did not swap.
    """

    def __init__(self, operation: int, outcome: object, said: str = "") -> None:
        self.operation = operation
        self.outcome = outcome
        why = said or outcome
        super().__init__(
            f"operation {operation} of a transaction could not be done, so nothing was written: {why}",
            reason=outcome.reason if isinstance(outcome, MemraftError) else "CONFLICT",
        )


class ConfigurationError(MemraftError):
    """This client cannot be set up as asked: a missing file, a malformed address, a missing package."""


class DataDirectoryError(ConfigurationError):
    """The directory of `Memory(path=...)` is locked, damaged or something else's, or its disk has failed.

    After a write that met `OutcomeUnknown` because the disk failed, every later write raises this and was
    certainly not made, while reads go on. Make room, where that was missing, close the memory and open it
    again.
    """


class ClosedError(MemraftError):
    """The memory was used after close(), or in a process that was forked after it was opened; or a batch was
    used after its block had ended."""


class ServerError(MemraftError):
    """An error that should not be: a defect of the server or of what stands between."""


_BY_REASON: dict[str, type[MemraftError]] = {
    "INVALID_ARGUMENT": InvalidArgument,
    "NO_IDENTITY": Unauthenticated,
    "WRONG_TENANT": PermissionDenied,
    "WRONG_AGENT": PermissionDenied,
    "WRONG_ROLE": PermissionDenied,
    "NOT_LEADER": Unavailable,
    "NO_LEADER": Unavailable,
    "OUTCOME_UNKNOWN": OutcomeUnknown,
    "NO_SUCH_COLLECTION": NotFound,
    "COLLECTION_MISMATCH": CollectionMismatch,
    "EMBEDDING_MISMATCH": EmbeddingMismatch,
    "NO_SUCH_RUN": NotFound,
    "RUN_ENDED": RunEnded,
    "NO_SUCH_FORK": NotFound,
    "NOT_RECORDED": NotRecorded,
    "UNRELATED": Unrelated,
    "AT_IN_FUTURE": AtInFuture,
    "BEFORE_RETENTION": BeforeRetention,
    "SCHEMA_VIOLATION": SchemaViolation,
    "SCHEMA_CHANGED": Unavailable,
    "SESSION_EXPIRED": OutcomeUnknown,
    "LAGGING": Unavailable,
    "SHUTTING_DOWN": Unavailable,
    "INTERNAL": ServerError,
    "DISK_FULL": DiskFull,
    "CHANGE_REFUSED": ChangeRefused,
    "STALE_FENCE": LeaseLost,
    "NO_SUCH_NODE": NotFound,
    "NO_SUCH_TRACE": NotFound,
    "NO_SUCH_EVENT": NotFound,
    "NO_SUCH_MEMORY": NotFound,
    "NO_SUCH_RECEIPT": NotFound,
    "NO_SUCH_PROJECTION": NotFound,
    "PROJECTION_BUILDING": Unavailable,
    "PROJECTION_FAILED": ProjectionFailed,
    "NODE_HAS_EDGES": NodeHasEdges,
}

_QUOTA_REASONS = ("RATE_LIMITED", "QUOTA_EXCEEDED")
_OVERLOAD_REASONS = ("OVERLOADED", "TOO_MANY_SESSIONS", "TOO_MANY_WAITERS")


_AT_FIELD = re.compile(r"context\.at_(?:time_us|index)\b")
_MICROSECONDS = re.compile(r"\b\d{15,17}\b")
"""A moment from 1973 to 5138, in microseconds since the Unix epoch."""


def _say_at(message: str) -> str:
    """The server's words about fields of the contract, in those of a caller: `at`, and times in ISO 8601."""
    if "at_time_us" in message:
        message = _say_times(message)
    return _AT_FIELD.sub("at", message)


def _say_times(message: str) -> str:
    return _MICROSECONDS.sub(lambda found: _iso(int(found[0])), message)


def _iso(time_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).isoformat()


def from_reason(
    reason: str,
    message: str,
    metadata: Mapping[str, str] | None = None,
    retry_after_s: float | None = None,
) -> MemraftError:
    """Returns the exception for an ErrorReason (without its prefix); ServerError for one that is not known.

    Args:
        reason: such as ``WRONG_TENANT``.
        message: for a person.
        metadata: of the ErrorInfo.
        retry_after_s: seconds, from a RetryInfo; None where there was none.
    """
    if reason in _QUOTA_REASONS:
        limit = (metadata or {}).get("limit", "")
        return QuotaExceeded(
            message, reason=reason, limit=limit, retry_after_s=retry_after_s, metadata=metadata
        )
    if reason in _OVERLOAD_REASONS:
        return Overloaded(message, reason=reason, retry_after_s=retry_after_s, metadata=metadata)
    if reason == "AT_IN_FUTURE":
        message = _say_at(message)
    elif reason == "BEFORE_RETENTION":
        message = _say_times(message)
    return _BY_REASON.get(reason, ServerError)(message, reason=reason, metadata=metadata)

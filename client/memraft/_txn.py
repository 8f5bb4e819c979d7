"""Between a transaction and the messages of its contract. Pure; shared by both facades."""

import random
from collections.abc import Iterable, Mapping, Sequence
from reprlib import repr as shown
from typing import Any, Literal, TypeAlias, get_args

from memraft_proto.v1 import txn_pb2

from . import _wire, errors
from .types import Swap

Isolation: TypeAlias = Literal["serializable", "snapshot"]
"""What a transaction is kept apart from.

``serializable`` (the default): all that it reads is compared when it commits, so it is as if transactions
came one after the other.
``snapshot``: it reads as of one moment, and only what it writes is compared (documents, records, memories):
two that read the same and write different things can both commit (write skew), unless they say with `expect`
what must still be so.
"""

Readable: TypeAlias = Literal[
    "document", "state", "counter", "gate", "lease", "stream", "memory", "run", "node", "edge"
]
"""What a version can be expected of."""

KINDS: Mapping[str, int] = {
    name: txn_pb2.ReadKind.Value(f"READ_KIND_{name.upper()}") for name in get_args(Readable)
}
_NAMES = {number: name for name, number in KINDS.items()}

PAUSE_FIRST_S = 0.005
PAUSE_MAX_S = 0.5


def pause_s(attempt: int) -> float:
    """Returns how long to wait after attempt number `attempt`, from 1: anything up to a bound that doubles,
    so that those who were in each other's way do not meet again."""
    return random.uniform(0, min(PAUSE_FIRST_S * 2.0 ** min(attempt, 16), PAUSE_MAX_S))


def check_isolation(isolation: Any) -> None:
    """Raises InvalidArgument for what is no isolation."""
    if isolation not in get_args(Isolation):
        raise errors.InvalidArgument(
            f"isolation must be one of {', '.join(map(repr, get_args(Isolation)))}, not {shown(isolation)}"
        )


def kind_number(kind: Any) -> int:
    """Returns the contract's number of what a version can be expected of; InvalidArgument for any other."""
    found = KINDS.get(kind) if isinstance(kind, str) else None
    if found is None:
        raise errors.InvalidArgument(f"kind must be one of {', '.join(map(repr, KINDS))}, not {shown(kind)}")
    return found


def request(
    where: Mapping[str, Any],
    operations: Sequence[Any],
    reads: Mapping[tuple[int, str], int],
    ranges: Iterable[tuple[str, str, str]],
    read_index: int | None,
    snapshot_index: int | None,
) -> txn_pb2.CommitTxnRequest:
    """Returns the request that commits.

    Args:
        where: namespace and context.
        operations: in order.
        reads: (kind, name) -> version.
        ranges: (prefix, start, end) of documents that were read.
        read_index: as of which they were.
        snapshot_index: as of which everything was read, where what is written is compared with it.
    """
    return _wire.build(
        txn_pb2.CommitTxnRequest,
        **where,
        operations=operations,
        reads=[
            txn_pb2.TxnRead(kind=kind, name=name, version=version)  # type: ignore[arg-type]
            for (kind, name), version in reads.items()
        ],
        ranges=[
            txn_pb2.TxnRange(prefix=prefix, start=start, end=end, read_index=read_index)
            for prefix, start, end in ranges
        ],
        snapshot_index=snapshot_index,
    )


def conflict(response: txn_pb2.CommitTxnResponse) -> errors.TxnConflict:
    """Returns the exception for a transaction that was in conflict."""
    found = tuple(
        errors.Conflict(_NAMES.get(each.kind, ""), each.name, each.current_version, each.read)
        for each in response.conflicts
    )
    return errors.TxnConflict(found)


def failure(operations: Sequence[tuple[Any, Any]], response: txn_pb2.CommitTxnResponse) -> errors.TxnFailed:
    """Returns the exception for a transaction one of whose operations could not be done."""
    place = response.failed_operation - 1
    operation, done = operations[place]
    result = response.results[0]
    which = result.WhichOneof("result") or ""
    outcome: object
    if which == "error":
        outcome = errors.from_reason(result.error.reason, result.error.message)
    else:
        try:
            outcome = done(operation, getattr(result, which))
        except errors.MemraftError as error:
            outcome = error
    said = ""
    if isinstance(outcome, Swap):
        said = (
            f"named record {operation.name!r}: expected version {operation.expected_version}, "
            f"found version {outcome.version}"
        )
    return errors.TxnFailed(place, outcome, said)

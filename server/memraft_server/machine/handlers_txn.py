"""Applies transactions: all operations, or none.

What was read is compared by version at the place in the log where the transaction is applied. Where all of it
is still so, the transaction is as if it had happened at that place: the isolation is serializable (optimistic
concurrency control by backward validation: Kung and Robinson, 1981). What a transaction reads without
declaring it is a snapshot; then what it writes must not have been written since: snapshot isolation, first
committer wins (Berenson et al., "A critique of ANSI SQL isolation levels", 1995).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from google.protobuf.message import Message

from memraft_proto.v1 import batch_pb2, txn_pb2
from memraft_server.machine.handlers_batch import KIND_OF_FIELD
from memraft_server.machine.limits import ITEMS_MAX, POSITION_BITS, POSITIONS_MAX
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import STATUS_CODES, BrokenInvariant, Refused, invalid
from memraft_server.machine.retention import is_before
from memraft_server.machine.trial import trial_of
from memraft_server.machine.turn import Handler, Turn
from memraft_server.projections.coordination import CountersProjection, GatesProjection
from memraft_server.projections.graph import GraphProjection
from memraft_server.projections.leases import LeasesProjection
from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.runs import RunsProjection
from memraft_server.projections.state import StateProjection
from memraft_server.projections.streams import StreamsProjection
from memraft_server.projections.versions import NOW, VersionedRecords

RANGE_KEYS_MAX = 20_000
"""Most keys in the ranges that one transaction has read: applying it looks at each. Part of the contract."""
CONFLICTS_MAX = 100
"""Most conflicts that a reply tells of."""

Handlers = Mapping[int, Handler]


def commit(
    turn: Turn, space: Namespace, request: txn_pb2.CommitTxnRequest, handlers: Handlers
) -> txn_pb2.CommitTxnResponse:
    """Applies the operations of `request` if nothing that was read has changed and all can be done."""
    response = txn_pb2.CommitTxnResponse(log_index=turn.version >> POSITION_BITS, time_us=turn.time_us)
    response.conflicts.extend(_conflicts(turn, space, request))
    if response.conflicts:
        return response
    operations = request.operations
    if len(operations) > 1:  # a single one is done or not, by itself
        trial_turn, trial_space = trial_of(turn, space)
        if _do(trial_turn, trial_space, operations, handlers, response):
            return response
        response.ClearField("results")
    first = turn.version
    failed = _do(turn, space, operations, handlers, response)
    if failed and len(operations) > 1:
        raise BrokenInvariant(f"{space.name!r}: operation {failed} was refused after its trial: {response}")
    turn.items = max(1, turn.version - first)
    turn.version = first
    response.committed = not failed
    return response


def _do(
    turn: Turn,
    space: Namespace,
    operations: Any,
    handlers: Handlers,
    response: txn_pb2.CommitTxnResponse,
) -> int:
    """Does operations and adds their results, up to the first that cannot be done; returns its place, from 1,
    with only its result, or 0."""
    first = turn.version
    for place, operation in enumerate(operations, 1):
        field = operation.WhichOneof("operation")
        turn.items = 1
        result = batch_pb2.OperationResult()
        try:
            if field is None or turn.version - first >= ITEMS_MAX:
                raise invalid(f"operations: empty, or over {ITEMS_MAX} items in all", limit=str(ITEMS_MAX))
            reply = handlers[KIND_OF_FIELD[field]](turn, space, getattr(operation, field))
            is_done = _is_done(field, reply)
            getattr(result, field).CopyFrom(reply)
        except Refused as refused:
            turn.items = 1
            is_done = False
            result.error.code = STATUS_CODES[refused.reason]
            result.error.reason = refused.reason
            result.error.message = refused.message
        if not is_done:
            response.ClearField("results")
            response.failed_operation = place
        response.results.append(result)
        if not is_done:
            return place
        turn.version += turn.items
    return 0


_SAYS_UNDONE = {"conflict": True, "swapped": False, "granted": False, "renewed": False, "released": False}
"""Fields of a reply -> what stands there where the operation was not done."""


_TELLING = {
    field.name: tuple(name for name in _SAYS_UNDONE if name in field.message_type.fields_by_name)
    for field in batch_pb2.OperationResult.DESCRIPTOR.fields
    if field.message_type is not None
}
"""Field in `OperationResult` -> the fields of its reply that say so."""


def _is_done(field: str, reply: Message) -> bool:
    return all(getattr(reply, name) is not _SAYS_UNDONE[name] for name in _TELLING[field])


def _conflicts(turn: Turn, space: Namespace, request: txn_pb2.CommitTxnRequest) -> list[txn_pb2.TxnConflict]:
    """What was read, or is written under snapshot isolation, and has changed since."""
    found: list[txn_pb2.TxnConflict] = []
    seen = set()
    for read in request.reads:
        version = _version(turn, space, read.kind, read.name, NOW)
        seen.add((read.kind, read.name))
        if version != read.version:
            found.append(_conflict(read.kind, read.name, version, read=True))
    found += _changed_ranges(space, request.ranges)
    if request.HasField("snapshot_index"):
        ceiling = _ceiling(request.snapshot_index)
        is_forgotten = is_before(space, ceiling)
        for kind, name in dict.fromkeys(_written(request.operations)):
            version = _version(turn, space, kind, name, NOW)
            if (kind, name) in seen:
                continue
            # What is not there now may have been there then, deleted since, and both forgotten.
            if version != _version(turn, space, kind, name, ceiling) or (is_forgotten and not version):
                found.append(_conflict(kind, name, version, read=False))
    return found[:CONFLICTS_MAX]


def _changed_ranges(space: Namespace, ranges: Any) -> Iterator[txn_pb2.TxnConflict]:
    """Yields one document of each range that was written since the range was read."""
    looked = 0
    at = space.kv.records.at
    for each in ranges:
        ceiling = _ceiling(each.read_index)
        if is_before(space, ceiling):  # what was deleted since may be forgotten
            yield _conflict(txn_pb2.READ_KIND_DOCUMENT, each.start or each.prefix, 0, read=True)
            continue
        for key, record in space.kv.scan(each.start, each.end, each.prefix, NOW):
            looked += 1
            if looked > RANGE_KEYS_MAX:
                raise invalid(
                    f"ranges: over {RANGE_KEYS_MAX} keys in all: read less in one transaction",
                    field="ranges",
                    limit=str(RANGE_KEYS_MAX),
                )
            version = record.version if record is not None else 0
            if version > ceiling or (not version and at(key, ceiling) is not None):
                yield _conflict(txn_pb2.READ_KIND_DOCUMENT, key, version, read=True)
                break


def _ceiling(index: int) -> int:
    return index << POSITION_BITS | (POSITIONS_MAX - 1)


def _conflict(kind: Any, name: str, version: int, *, read: bool) -> txn_pb2.TxnConflict:
    return txn_pb2.TxnConflict(kind=kind, name=name, current_version=version, read=read)


_RECORDS: dict[int, Callable[[Namespace], VersionedRecords]] = {
    txn_pb2.READ_KIND_DOCUMENT: lambda space: space.kv.records,
    txn_pb2.READ_KIND_STATE: lambda space: space.projection(StateProjection).records,
    txn_pb2.READ_KIND_COUNTER: lambda space: space.projection(CountersProjection).records,
    txn_pb2.READ_KIND_GATE: lambda space: space.projection(GatesProjection).records,
    txn_pb2.READ_KIND_EDGE: lambda space: space.projection(GraphProjection).edges,
}


def _version(turn: Turn, space: Namespace, kind: int, name: str, ceiling: int) -> int:
    """What `TxnRead.version` means for this kind, as of a version."""
    records = _RECORDS.get(kind)
    if records is not None:
        record = records(space).at(name, ceiling)
        return record.version if record is not None else 0
    if kind == txn_pb2.READ_KIND_LEASE:
        held = space.projection(LeasesProjection).held(name, turn.time_us)
        return held.token if held is not None else 0
    if kind == txn_pb2.READ_KIND_STREAM:
        stream = space.projection(StreamsProjection).find(name)
        return stream.count_at(ceiling) if stream is not None else 0
    if kind == txn_pb2.READ_KIND_MEMORY:
        memory = space.projection(MemoryStore).get(name, ceiling)
        return memory.version if memory is not None else 0
    if kind == txn_pb2.READ_KIND_NODE:
        found, body, record = space.projection(GraphProjection).resolve(name, ceiling)
        is_there = record is not None and body is not None and found == name and not body.is_forgotten
        return record.version if record is not None and is_there else 0
    if kind == txn_pb2.READ_KIND_RUN:
        run = space.projection(RunsProjection).at(name, ceiling)
        return max(run.began_version, run.ended_version) if run is not None else 0
    raise invalid(f"reads: kind {kind} of {name!r} is not known", field="reads")


def _written(operations: Any) -> Iterator[tuple[int, str]]:
    """Yields what operations write over: documents, named records and memories."""
    for operation in operations:
        field = operation.WhichOneof("operation")
        if field == "put" or field == "delete":
            yield txn_pb2.READ_KIND_DOCUMENT, getattr(operation, field).key
        elif field == "multi_put":
            for key in operation.multi_put.keys:
                yield txn_pb2.READ_KIND_DOCUMENT, key
        elif field == "compare_and_swap":
            yield txn_pb2.READ_KIND_STATE, operation.compare_and_swap.name
        elif field in ("remember", "update_memory", "forget") and getattr(operation, field).id:
            yield txn_pb2.READ_KIND_MEMORY, getattr(operation, field).id
        elif field == "merge_memories":
            for id in (operation.merge_memories.keep_id, *operation.merge_memories.ids):
                yield txn_pb2.READ_KIND_MEMORY, id

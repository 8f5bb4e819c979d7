"""Every write as a pair: arguments -> request message, and request and response -> result.

A call of its own and the same operation in a batch share both. `where` holds the fields `namespace` and
`context`; in a batch it is empty, for there the batch's own hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from memraft_proto.v1 import (
    batch_pb2,
    kv_pb2,
    memory_pb2,
    run_pb2,
    state_pb2,
    stream_pb2,
    vector_pb2,
)

from . import _json, _wire, errors
from ._moments import when_us
from ._streams import MISSING, NO_SCOPE, stream_name
from .types import (
    Appended,
    AppendedMany,
    Created,
    Deleted,
    MemoryChanges,
    Metric,
    Swap,
    Upserted,
    Written,
    WrittenMany,
)

Where = Mapping[str, Any]


def put(where: Where, key: str, value: Any, ttl_ms: int, if_version: int | None) -> kv_pb2.PutRequest:
    return _wire.build(
        kv_pb2.PutRequest,
        **where,
        key=key,
        value=_json.encode(value),
        ttl_ms=ttl_ms,
        if_version=if_version,
    )


def put_done(request: kv_pb2.PutRequest, response: kv_pb2.PutResponse) -> Written:
    if response.conflict:
        raise conflict(f"key {request.key!r}", request.if_version, response.version)
    return Written(id=request.key, version=response.version, time_us=response.time_us)


def conflict(what: str, expected: int, current: int) -> errors.ConflictError:
    def say(version: int) -> str:
        return f"version {version}" if version else "absent"

    return errors.ConflictError(f"{what}: expected {say(expected)}, found {say(current)}", current)


def delete(where: Where, key: str, if_version: int | None) -> kv_pb2.DeleteRequest:
    return _wire.build(kv_pb2.DeleteRequest, **where, key=key, if_version=if_version)


def delete_done(request: kv_pb2.DeleteRequest, response: kv_pb2.DeleteResponse) -> Deleted:
    if response.conflict:
        raise conflict(f"key {request.key!r}", request.if_version, response.version)
    return Deleted(id=request.key, version=response.version, time_us=response.time_us, found=response.found)


def put_many(
    where: Where, values: Mapping[str, Any], delete: Iterable[str], ttl_ms: int
) -> kv_pb2.MultiPutRequest:
    if not isinstance(values, Mapping):
        raise errors.InvalidArgument(f"values must be a mapping, key -> document, not {_wire.shown(values)}")
    deleted = [delete] if isinstance(delete, str) else _wire.listed(delete, "delete", "keys")
    return _wire.build(
        kv_pb2.MultiPutRequest,
        **where,
        kinds=bytes(len(values)) + b"\x01" * len(deleted) if deleted else b"",
        keys=[*values, *deleted],
        values=[*(_json.encode(each, "values") for each in values.values()), *(b"" for _ in deleted)],
        ttls_ms=[] if ttl_ms in (0, None) else [ttl_ms] * len(values) + [0] * len(deleted),
    )


def put_many_done(_request: kv_pb2.MultiPutRequest, response: kv_pb2.MultiPutResponse) -> WrittenMany:
    return WrittenMany(first_version=response.first_version, count=response.count, time_us=response.time_us)


def append(
    where: Where, stream: str | None, payload: Any, type: str, scope: Mapping[str, Any] = NO_SCOPE
) -> stream_pb2.AppendRequest:
    if payload is MISSING:
        raise errors.InvalidArgument("payload is missing: what happened, as anything that JSON can say")
    return _wire.build(
        stream_pb2.AppendRequest,
        **where,
        stream=stream_name(stream, scope),
        type=type,
        payload=_json.encode(payload, "payload"),
    )


def append_done(_request: stream_pb2.AppendRequest, response: stream_pb2.AppendResponse) -> Appended:
    return Appended(
        id=response.event_id,
        version=response.version,
        time_us=response.time_us,
        sequence=response.sequence,
        hash=response.hash,
    )


def append_many(
    where: Where,
    stream: str | None,
    payloads: Iterable[Any],
    type: str | Sequence[str],
    scope: Mapping[str, Any] = NO_SCOPE,
) -> stream_pb2.AppendManyRequest:
    if payloads is MISSING:
        raise errors.InvalidArgument("payloads is missing: what happened, an item for each event")
    return _wire.build(
        stream_pb2.AppendManyRequest,
        **where,
        stream=stream_name(stream, scope),
        types=[type] if isinstance(type, str) else _wire.listed(type, "type", "types"),
        payloads=_json.encode_each(_wire.listed(payloads, "payloads", "events"), "payloads"),
    )


def append_many_done(
    _request: stream_pb2.AppendManyRequest, response: stream_pb2.AppendManyResponse
) -> AppendedMany:
    return AppendedMany(
        first_version=response.first_version,
        count=response.count,
        time_us=response.time_us,
        first_sequence=response.first_sequence,
        last_hash=response.last_hash,
    )


def cas(
    where: Where, name: str, value: Any, expected_version: int, remove: bool
) -> state_pb2.CompareAndSwapRequest:
    if expected_version is None:  # The contract would take it for 0.
        raise errors.InvalidArgument("expected_version must be a version, or 0 for none, not None")
    return _wire.build(
        state_pb2.CompareAndSwapRequest,
        **where,
        name=name,
        expected_version=expected_version,
        value=b"" if remove else _json.encode(value),
        remove=remove,
    )


def cas_done(_request: state_pb2.CompareAndSwapRequest, response: state_pb2.CompareAndSwapResponse) -> Swap:
    return Swap(
        swapped=response.swapped,
        version=response.version,
        time_us=response.time_us,
        current=None if response.swapped else _json.decode_optional(response.current_value),
        is_current_omitted=response.current_value_omitted,
    )


def create_collection(
    where: Where, collection: str, dimension: int, metric: Metric, fingerprint: str
) -> vector_pb2.CreateCollectionRequest:
    return _wire.build(
        vector_pb2.CreateCollectionRequest,
        **where,
        collection=collection,
        dimension=dimension,
        metric=_wire.metric_number(metric),
        fingerprint=fingerprint,
    )


def create_collection_done(
    request: vector_pb2.CreateCollectionRequest, response: vector_pb2.CreateCollectionResponse
) -> Created:
    return Created(
        id=request.collection,
        version=response.version,
        time_us=response.time_us,
        created=response.created,
    )


def upsert(
    where: Where, collection: str, id: str, vector: Any, metadata: Mapping[str, Any] | None, fingerprint: str
) -> vector_pb2.UpsertVectorRequest:
    return _wire.build(
        vector_pb2.UpsertVectorRequest,
        **where,
        collection=collection,
        id=id,
        vector=_wire.vector_bytes(vector),
        metadata=_json.encode_object(metadata, "metadata"),
        fingerprint=fingerprint,
    )


def upsert_done(
    request: vector_pb2.UpsertVectorRequest, response: vector_pb2.UpsertVectorResponse
) -> Upserted:
    return Upserted(
        id=request.id, version=response.version, time_us=response.time_us, replaced=response.replaced
    )


def upsert_many(
    where: Where,
    collection: str,
    ids: Sequence[str],
    vectors: Any,
    metadatas: Sequence[Mapping[str, Any] | None] | None,
    fingerprint: str,
) -> vector_pb2.UpsertManyRequest:
    listed = _wire.listed(ids, "ids", "ids")
    objects = _metadatas(metadatas, len(listed))
    return _wire.build(
        vector_pb2.UpsertManyRequest,
        **where,
        collection=collection,
        ids=listed,
        vectors=_wire.matrix_bytes(vectors, "vectors", len(listed))[0],
        metadatas=objects,
        fingerprint=fingerprint,
    )


def _metadatas(metadatas: Sequence[Mapping[str, Any] | None] | None, count: int) -> list[bytes]:
    if metadatas is None:
        return []
    listed = _wire.listed(metadatas, "metadatas", "objects")
    if len(listed) != count:
        raise errors.InvalidArgument(
            f"metadatas must have an item for each of {count} ids, not {len(listed)}"
        )
    return [_json.encode_object(each, f"metadatas[{i}]") for i, each in enumerate(listed)]


def upsert_many_done(
    _request: vector_pb2.UpsertManyRequest, response: vector_pb2.UpsertManyResponse
) -> WrittenMany:
    return WrittenMany(first_version=response.first_version, count=response.count, time_us=response.time_us)


def delete_vector(where: Where, collection: str, id: str) -> vector_pb2.DeleteVectorRequest:
    return _wire.build(vector_pb2.DeleteVectorRequest, **where, collection=collection, id=id)


def delete_vector_done(
    request: vector_pb2.DeleteVectorRequest, response: vector_pb2.DeleteVectorResponse
) -> Deleted:
    return Deleted(id=request.id, version=response.version, time_us=response.time_us, found=response.found)


def remember(
    where: Where,
    text: str,
    embedding: tuple[bytes, str],
    metadata: Mapping[str, Any] | None,
    valid: tuple[datetime | None, datetime | None],
    **labels: Any,
) -> memory_pb2.RememberRequest:
    """Returns the request; `labels` are the fields of the message that go into it as they are."""
    if labels["salience"] is None:  # The contract would take it for 0.
        raise errors.InvalidArgument("salience must be a number from 0 to 1, not None")
    return _wire.build(
        memory_pb2.RememberRequest,
        **where,
        text=text,
        embedding=embedding[0],
        fingerprint=embedding[1],
        metadata=_json.encode_object(metadata, "metadata"),
        valid_from_us=when_us(valid[0], "valid_from"),
        valid_until_us=when_us(valid[1], "valid_until"),
        **labels,
    )


def remember_done(_request: memory_pb2.RememberRequest, response: memory_pb2.RememberResponse) -> Written:
    return Written(id=response.id, version=response.version, time_us=response.time_us)


def update_memory(where: Where, id: str, changes: MemoryChanges) -> memory_pb2.UpdateMemoryRequest:
    """Returns the request that makes these changes and no other. Raises InvalidArgument."""
    unknown = sorted(set(changes) - set(MemoryChanges.__annotations__))
    if unknown or not changes:
        known = ", ".join(MemoryChanges.__annotations__)
        raise errors.InvalidArgument(
            f"update_memory changes {known}; not {', '.join(unknown) if unknown else 'nothing'}"
        )
    given: dict[str, Any] = dict(changes)
    if "metadata" in given:
        given["metadata"] = _json.encode_object(given["metadata"], "metadata")
    for name in ("valid_from", "valid_until"):
        if name in given:
            given[name + "_us"] = when_us(given.pop(name), name) or 0
    for name, value in given.items():
        if value is None:  # The contract would leave it as it is.
            raise errors.InvalidArgument(f"{name} must not be None")
    return _wire.build(memory_pb2.UpdateMemoryRequest, **where, id=id, **given)


def update_memory_done(
    request: memory_pb2.UpdateMemoryRequest, response: memory_pb2.UpdateMemoryResponse
) -> Written:
    return Written(id=request.id, version=response.version, time_us=response.time_us)


def forget(where: Where, id: str, reason: str) -> memory_pb2.ForgetRequest:
    return _wire.build(memory_pb2.ForgetRequest, **where, id=id, reason=reason)


def forget_done(request: memory_pb2.ForgetRequest, response: memory_pb2.ForgetResponse) -> Deleted:
    return Deleted(id=request.id, version=response.version, time_us=response.time_us, found=response.found)


def begin_run(where: Where, run_id: str, inputs: Any, record: bool) -> run_pb2.BeginRunRequest:
    return _wire.build(
        run_pb2.BeginRunRequest,
        **where,
        run_id=run_id,
        inputs=b"" if inputs is None else _json.encode(inputs, "inputs"),
        record=record,
    )


def begin_run_done(request: run_pb2.BeginRunRequest, response: run_pb2.BeginRunResponse) -> Written:
    if response.conflict:
        raise errors.ConflictError(f"run {request.run_id!r} exists already", response.version)
    return Written(id=response.run_id, version=response.version, time_us=response.time_us)


def end_run(where: Where, run_id: str, status: str, outputs: Any) -> run_pb2.EndRunRequest:
    return _wire.build(
        run_pb2.EndRunRequest,
        **where,
        run_id=run_id,
        status=_wire.run_status_number(status),
        outputs=b"" if outputs is None else _json.encode(outputs, "outputs"),
    )


def end_run_done(request: run_pb2.EndRunRequest, response: run_pb2.EndRunResponse) -> Written:
    if response.conflict:
        raise errors.ConflictError(f"run {request.run_id!r} has ended already", response.version)
    return Written(id=request.run_id, version=response.version, time_us=response.time_us)


def batch_outcomes(
    operations: Sequence[tuple[Any, Any]], response: batch_pb2.BatchResponse
) -> tuple[object, ...]:
    """Returns the outcome of each operation: its result, or the exception that it met.

    Args:
        operations: of each, its request and the function that makes the result.
        response: what the shard answered.
    """
    outcomes: list[object] = []
    for (request, done), result in zip(operations, response.results, strict=True):
        which = result.WhichOneof("result")
        if which == "error":
            outcomes.append(errors.from_reason(result.error.reason, result.error.message))
            continue
        try:
            outcomes.append(done(request, getattr(result, which)))
        except errors.MemraftError as error:
            outcomes.append(error)
    return tuple(outcomes)

"""Applies commands on documents."""

from __future__ import annotations

from heapq import heappush

from memraft_proto.methods import KIND_EXPIRE
from memraft_proto.v1 import kv_pb2, log_pb2
from memraft_server.machine.limits import ITEMS_MAX
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Handler, Turn
from memraft_server.projections.versions import EXPIRED

_PutResponse = kv_pb2.PutResponse
_NEVER_US = (1 << 63) - 1


def _deadline(turn: Turn, space: Namespace, key: str, ttl_ms: int, version: int) -> int:
    """Queues the expiry of a document and returns its time in microseconds since the epoch."""
    expires_at_us = min(turn.time_us + ttl_ms * 1000, _NEVER_US)
    heappush(turn.expiries, (expires_at_us, version, space.name, key))
    return expires_at_us


def put(turn: Turn, space: Namespace, request: kv_pb2.PutRequest) -> kv_pb2.PutResponse:
    """Stores a document, if its key has the version that the caller expects."""
    response = _PutResponse()
    put_into(turn, space, request, response)
    return response


def put_into(turn: Turn, space: Namespace, request: kv_pb2.PutRequest, response: kv_pb2.PutResponse) -> None:
    """Does `put` with the response in place: a Batch saves one copy an operation that way."""
    version, time_us = turn.version, turn.time_us
    response.time_us = time_us
    key = request.key
    if request.HasField("if_version"):
        head = space.kv.records.head(key)
        current = head.version if head is not None else 0
        if current != request.if_version:
            response.version = current
            response.conflict = True
            return
    ttl_ms = request.ttl_ms
    settings = space.settings
    if settings is not None:
        ttl_ms = ttl_ms or settings.ttl_ms
    expires_at_us = 0
    if ttl_ms:
        expires_at_us = _deadline(turn, space, key, ttl_ms, version)
    space.kv.put(key, request.value, version, turn.author, expires_at_us)
    if settings is not None:
        turn.note_crowded(space)
    response.version = version


def delete(turn: Turn, space: Namespace, request: kv_pb2.DeleteRequest) -> kv_pb2.DeleteResponse:
    """Deletes a document, if its key has the version that the caller expects."""
    records = space.kv.records
    head = records.head(request.key)
    current = head.version if head is not None else 0
    if request.HasField("if_version") and current != request.if_version:
        return kv_pb2.DeleteResponse(
            version=current, time_us=turn.time_us, conflict=True, found=bool(current)
        )
    found = records.remove(request.key, turn.version, turn.author)
    return kv_pb2.DeleteResponse(version=turn.version, time_us=turn.time_us, found=found)


def multi_put(turn: Turn, space: Namespace, request: kv_pb2.MultiPutRequest) -> kv_pb2.MultiPutResponse:
    """Stores and deletes many documents; operation i makes version `first_version + i`."""
    keys, values, ttls_ms = request.keys, request.values, request.ttls_ms
    count = len(keys)
    kinds = request.kinds or bytes(count)
    if count > ITEMS_MAX or len(kinds) != count or len(values) != count or len(ttls_ms) not in (0, count):
        raise invalid("kinds, keys, values, ttls_ms: columns of different lengths or too long")
    version, time_us, author, kv = turn.version, turn.time_us, turn.author, space.kv
    turn.items = count
    settings = space.settings
    default_ttl_ms = settings.ttl_ms if settings is not None else 0
    for position, (key, value, kind) in enumerate(zip(keys, values, kinds, strict=True)):
        if kind:
            kv.records.remove(key, version + position, author)
            continue
        ttl_ms = (ttls_ms[position] if ttls_ms else 0) or default_ttl_ms
        expires_at_us = _deadline(turn, space, key, ttl_ms, version + position) if ttl_ms else 0
        kv.put(key, value, version + position, author, expires_at_us)
    turn.note_crowded(space)
    return kv_pb2.MultiPutResponse(first_version=version, count=count, time_us=time_us)


def expire(turn: Turn, space: Namespace, request: log_pb2.ExpireCommand) -> kv_pb2.MultiPutResponse:
    """Deletes the documents that still have the version that was due; counts them."""
    records = space.kv.records
    count = 0
    for key, version in zip(request.keys, request.versions, strict=False):
        head = records.head(key)
        if head is not None and head.version == version:
            records.remove(key, turn.version + count, EXPIRED)
            count += 1
    turn.items = max(1, count)
    return kv_pb2.MultiPutResponse(first_version=turn.version, count=count, time_us=turn.time_us)


HANDLERS: dict[int, Handler] = {1: put, 2: delete, 3: multi_put, KIND_EXPIRE: expire}

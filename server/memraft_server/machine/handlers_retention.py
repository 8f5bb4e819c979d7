"""Applies and answers calls on what of the past is kept."""

from __future__ import annotations

from collections.abc import Callable

from memraft_proto.methods import KIND_TRIM
from memraft_proto.names import FORK_MARK
from memraft_proto.v1 import kv_pb2, log_pb2, retention_pb2
from memraft_server.machine.limits import POSITION_BITS, Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import invalid
from memraft_server.machine.retention import (
    KEEP_ALL,
    RETENTION,
    SEPARATOR,
    Retention,
    encode_retention,
    floor_of,
    holders_of,
    pin_of,
    retention_of,
)
from memraft_server.machine.tables import RECORD_TABLES
from memraft_server.machine.turn import Check, Handler, Query, Turn, View
from memraft_server.projections import notes
from memraft_server.projections.floors import FloorsProjection
from memraft_server.projections.forgetting import ForgettingProjection
from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.streams import StreamsProjection
from memraft_server.projections.vectors import VectorStore

_LIMITS = ("versions", "age_ms", "events")
AGE_MS_MAX = 1 << 43
"""Some 278 years: so no time in the log is out of range."""


def set_retention(
    turn: Turn, space: Namespace, request: retention_pb2.SetRetentionRequest
) -> retention_pb2.SetRetentionResponse:
    """Changes the limits that the request has."""
    old = retention_of(space)
    rule = Retention(
        request.versions if request.HasField("versions") else old.versions,
        request.age_ms if request.HasField("age_ms") else old.age_ms,
        request.events if request.HasField("events") else old.events,
    )
    records = RECORD_TABLES[notes.SETTING](space)[0]
    if rule == KEEP_ALL:
        records.remove(RETENTION, turn.version, turn.author)
    else:
        records.store(RETENTION, encode_retention(rule), turn.version, turn.author, 0)
    turn.spaces.note_retention(space.name, rule != KEEP_ALL)
    return retention_pb2.SetRetentionResponse(version=turn.version, time_us=turn.time_us)


def trim(turn: Turn, space: Namespace, request: log_pb2.TrimCommand) -> kv_pb2.MultiPutResponse:
    """Forgets versions for ever, and notes from where on reads are as they were; counts them."""
    if space.origin is not None:
        return kv_pb2.MultiPutResponse(first_version=turn.version, time_us=turn.time_us)
    pin, count, floor = pin_of(space), 0, 0
    floors, streams = space.projection(FloorsProjection), space.projection(StreamsProjection)
    trimmed: dict[str, None] = {}
    memories = space.projection(MemoryStore)
    model = memories.model
    # All at first, as it refuses before anything is changed.
    trims = [_trim_of(turn, space, bytes((kind,))) for kind in request.kinds]
    for kind, trim, name, through in zip(request.kinds, trims, request.names, request.through, strict=False):
        gone, from_version = trim(name, through, pin)
        count += gone
        floor = max(floor, from_version)
        if gone and kind == notes.EVENT[0]:
            trimmed[name] = None
        if gone and kind == notes.MEMORY[0]:
            floors.note_model(model, turn.version)
    for name in trimmed:
        stream = streams.streams[name]
        floors.note_stream(name, stream.forgotten, stream.hash_of(stream.forgotten), turn.version)
    floors.raise_to(floor, turn.version)
    return kv_pb2.MultiPutResponse(first_version=turn.version, count=count, time_us=turn.time_us)


def _trim_of(turn: Turn, space: Namespace, kind: bytes) -> Callable[[str, int, int], tuple[int, int]]:
    """Returns what forgets versions of a kind; see `VersionedRecords.trim`."""
    if kind == notes.EVENT:
        return space.projection(StreamsProjection).trim
    if kind == notes.MEMORY:
        return lambda name, through, pin: _trim_memory(turn, space, name, through, pin)
    if kind == notes.VECTOR:
        return lambda name, through, pin: _trim_vector(space, name, through, pin)
    if kind == notes.SETTING:
        return lambda name, through, pin: _trim_setting(space, name, through, pin)
    if kind in RECORD_TABLES and kind != notes.FLOOR:
        return RECORD_TABLES[kind](space)[0].trim
    raise invalid(f"kinds: {kind!r} is no kind of what is forgotten")


def _trim_memory(turn: Turn, space: Namespace, id: str, through: int, pin: int) -> tuple[int, int]:
    """As `MemoryStore.trim`; why a memory was forgotten goes with it."""
    store, forgotten = space.projection(MemoryStore), space.projection(ForgettingProjection)
    ends = store.ended_of(id, store.count_ended(id))
    count, from_version = store.trim(id, through, pin)
    for ended in ends[:count]:
        forgotten.drop(ended, turn.version, turn.author)
    return count, from_version


def _trim_setting(space: Namespace, name: str, through: int, pin: int) -> tuple[int, int]:
    """As `VersionedRecords.trim`, but that a setting was removed is kept: `schemas_version` tells of it, by
    which writes are let through, and it must be the same where it is read from a disk."""
    records = space.make_settings().records
    head = records.heads.get(name)
    return records.trim(name, min(through, head.version - 1), pin) if head is not None else (0, 0)


def _trim_vector(space: Namespace, name: str, through: int, pin: int) -> tuple[int, int]:
    collection, _, id = name.partition(SEPARATOR)
    found = space.projection(VectorStore).get(collection)
    return found.trim(id, through, pin) if found is not None else (0, 0)


def get_retention(
    view: View, space: Namespace, request: retention_pb2.GetRetentionRequest
) -> retention_pb2.GetRetentionResponse:
    """Tells what is kept, and how far back reads reach by now."""
    rule = retention_of(space, view.ceiling)
    response = retention_pb2.GetRetentionResponse(
        versions=rule.versions, age_ms=rule.age_ms, events=rule.events
    )
    if floor := floor_of(space):
        response.floor_index = floor >> POSITION_BITS
        response.floor_time_us = view.entries.time_at(floor)
    if retention_of(space) != KEEP_ALL:
        response.held_back_by.extend(holders_of(space))
    return response


def _check_set(request: retention_pb2.SetRetentionRequest, limits: Limits) -> None:
    if FORK_MARK in request.namespace:
        raise invalid(
            f"namespace: {request.namespace!r} is a fork, of which everything is kept until it is dropped",
            field="namespace",
        )
    if not any(map(request.HasField, _LIMITS)):
        raise invalid(f"a limit is missing: at least one of {', '.join(_LIMITS)}; 0 is none")
    if request.age_ms > AGE_MS_MAX:
        raise invalid(f"age_ms: {request.age_ms} ms, at most {AGE_MS_MAX}; 0 is for ever", field="age_ms")


def _check_get(request: retention_pb2.GetRetentionRequest, limits: Limits) -> None:
    """Namespace and context are checked for every call."""


HANDLERS: dict[int, Handler] = {46: set_retention, KIND_TRIM: trim}
QUERIES: dict[str, Query] = {"GetRetention": get_retention}
WRITE_CHECKS: dict[int, Check] = {46: _check_set}
READ_CHECKS: dict[str, Check] = {"GetRetention": _check_get}

"""Requests and results of calls on the past of a namespace."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from reprlib import repr as shown
from typing import Any

from memraft_proto.v1 import history_pb2, retention_pb2

from . import _json, _wire
from ._moments import when_us
from .errors import InvalidArgument
from .types_history import Happening, Retention

Fields = Mapping[str, Any]


def set_retention(
    where: Fields, versions: int | None, age_ms: int | None, events: int | None
) -> retention_pb2.SetRetentionRequest:
    """Returns the request; the arguments are those of `Memory.set_retention`."""
    return _wire.build(
        retention_pb2.SetRetentionRequest, **where, versions=versions, age_ms=age_ms, events=events
    )


def retention(response: retention_pb2.GetRetentionResponse) -> Retention:
    """Returns what is kept."""
    return Retention(
        versions=response.versions,
        age_ms=response.age_ms,
        events=response.events,
        floor_index=response.floor_index,
        floor_time_us=response.floor_time_us,
        held_back_by=tuple(response.held_back_by),
    )


def record_history(
    fields: Fields, kind: str, name: str | Sequence[str], limit: int, cursor: str
) -> history_pb2.RecordHistoryRequest:
    """Returns the request; the arguments are those of `Memory.history_of`."""
    if not isinstance(name, str):
        parts = _wire.listed(name, "name", "source, type and target of an edge")
        if kind != "edge":
            raise InvalidArgument(f"name: of a {kind} it is a str, not {shown(name)}")
        name = _json.encode(parts).decode()
    return _wire.build(
        history_pb2.RecordHistoryRequest,
        **fields,
        kind=kind,
        name=name,
        limit=_wire.at_least_one(limit, "limit"),
        cursor=cursor,
    )


def timeline(
    fields: Fields, entity: str, since: datetime | None, limit: int, cursor: str
) -> history_pb2.TimelineRequest:
    """Returns the request; the arguments are those of `Memory.timeline`."""
    return _wire.build(
        history_pb2.TimelineRequest,
        **fields,
        entity=entity,
        from_time_us=when_us(since, "since") or 0,
        limit=_wire.at_least_one(limit, "limit"),
        cursor=cursor,
    )


def happening(found: history_pb2.Happening) -> Happening:
    """Returns the Happening of a message."""
    made = found.provenance
    name: Any = tuple(_json.decode(found.name.encode())) if found.kind == "edge" else found.name
    return Happening(
        kind=found.kind,
        name=name,
        what=found.what,
        value=_json.decode(found.value) if found.value else None,
        sequence=found.sequence,
        version=made.version,
        time_us=made.time_us,
        agent=made.agent,
        run=made.run,
        tool=made.tool,
    )

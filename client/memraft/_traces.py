"""Between Python values and the messages of traces."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from reprlib import repr as shown
from typing import Any, cast

from memraft_proto.v1 import traces_pb2

from . import _json, _wire
from ._moments import when_us
from ._operations import Where
from .errors import ConflictError, InvalidArgument
from .types import Written
from .types_traces import (
    Assumption,
    Citation,
    Confidence,
    Decision,
    ModelInput,
    ModelOutput,
    NewTrace,
    RecordedTraces,
    ToolCall,
    Trace,
    TraceContent,
    TraceKind,
    TraceTree,
)

_CONTENTS: Mapping[str, tuple[type[Any], type[Any]]] = {
    "tool_call": (ToolCall, traces_pb2.ToolCall),
    "model_input": (ModelInput, traces_pb2.ModelInput),
    "model_output": (ModelOutput, traces_pb2.ModelOutput),
    "citation": (Citation, traces_pb2.Citation),
    "decision": (Decision, traces_pb2.Decision),
    "confidence": (Confidence, traces_pb2.Confidence),
    "assumption": (Assumption, traces_pb2.Assumption),
}
"""Kind -> (what callers see, what is sent)."""
_KIND_OF = {seen: kind for kind, (seen, _) in _CONTENTS.items()}
_NUMBERS = {kind: getattr(traces_pb2, f"TRACE_KIND_{kind.upper()}") for kind in _CONTENTS}
_JSON_FIELDS = frozenset(("arguments", "result", "messages"))
_OBJECT_FIELDS = frozenset(("parameters",))


def kind_of(content: Any) -> TraceKind:
    """Returns the kind of what a trace tells. Raises InvalidArgument."""
    kind = _KIND_OF.get(type(content))
    if kind is None:
        names = ", ".join(seen.__name__ for seen in _KIND_OF)
        raise InvalidArgument(f"content must be one of {names}, not {shown(content)}")
    return cast(TraceKind, kind)


def content_message(content: TraceContent) -> Any:
    """Returns the message of what a trace tells. Raises InvalidArgument."""
    seen, sent = _CONTENTS[kind_of(content)]
    fields: dict[str, Any] = {}
    for name in seen.__struct_fields__:
        value = getattr(content, name)
        if name in _OBJECT_FIELDS:
            value = _json.encode_object(value, name)
        elif name in _JSON_FIELDS:
            value = _json.encode(value, name) if value is not None else b""
        elif name == "alternatives" or name == "finish_reasons":
            value = _wire.listed(value, name, "texts")
        fields[name] = value
    return _wire.build(sent, **fields)


def content(kind: str, message: Any) -> TraceContent:
    """Returns what a trace tells, of its message."""
    seen = _CONTENTS[kind][0]
    fields: dict[str, Any] = {}
    for name in seen.__struct_fields__:
        value = getattr(message, name)
        if name in _OBJECT_FIELDS:
            value = _json.decode_object(value)
        elif name in _JSON_FIELDS:
            value = _json.decode_optional(value)
        elif name == "holds":
            value = value if message.HasField(name) else None
        elif hasattr(value, "append"):
            value = tuple(value)
        fields[name] = value
    found: TraceContent = seen(**fields)
    return found


def _new_trace(trace: NewTrace) -> traces_pb2.NewTrace:
    if not isinstance(trace, NewTrace):
        raise InvalidArgument(f"traces must be NewTrace, not {shown(trace)}")
    return _wire.build(
        traces_pb2.NewTrace,
        id=trace.id,
        run=trace.run,
        stream=trace.stream,
        sequence=trace.sequence,
        parent=trace.parent,
        parent_item=trace.parent_item,
        name=trace.name,
        attributes=_json.encode_object(trace.attributes, "attributes"),
        started_at_us=when_us(trace.started_at, "started_at"),
        ended_at_us=when_us(trace.ended_at, "ended_at"),
        **{kind_of(trace.content): content_message(trace.content)},
    )


def record(where: Where, traces: Iterable[NewTrace]) -> traces_pb2.RecordTracesRequest:
    items = _wire.listed(traces, "traces", "NewTrace")
    return _wire.build(traces_pb2.RecordTracesRequest, **where, traces=[_new_trace(each) for each in items])


def record_done(
    _request: traces_pb2.RecordTracesRequest, response: traces_pb2.RecordTracesResponse
) -> RecordedTraces:
    _refuse_taken(response)
    return RecordedTraces(
        ids=tuple(response.ids), first_version=response.first_version, time_us=response.time_us
    )


def record_one_done(
    _request: traces_pb2.RecordTracesRequest, response: traces_pb2.RecordTracesResponse
) -> Written:
    _refuse_taken(response)
    return Written(id=response.ids[0], version=response.first_version, time_us=response.time_us)


def _refuse_taken(response: traces_pb2.RecordTracesResponse) -> None:
    if response.conflict:
        raise ConflictError(f"there is a trace {response.ids[0]!r} already", response.first_version)


def trace(found: Any) -> Trace:
    """Returns the Trace of a `Trace` message."""
    kind: TraceKind = found.WhichOneof("content")
    written = found.provenance
    return Trace(
        id=found.id,
        kind=kind,
        content=content(kind, getattr(found, kind)),
        run=found.run,
        stream=found.stream,
        sequence=found.sequence,
        parent=found.parent,
        name=found.name,
        attributes=_json.decode_object(found.attributes),
        started_at_us=found.started_at_us,
        ended_at_us=found.ended_at_us,
        version=written.version,
        time_us=written.time_us,
        agent=written.agent,
        tool=written.tool,
    )


def listing(
    fields: dict[str, Any],
    *,
    run: str = "",
    kind: TraceKind | Iterable[TraceKind] | None = None,
    agent: str = "",
    name: str = "",
    parent: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    filter: Mapping[str, Any] | None = None,
    newest_first: bool = False,
    limit: int = 1000,
    cursor: str = "",
) -> traces_pb2.ListTracesRequest:
    """Returns the request of a page of traces. Raises InvalidArgument."""
    kinds = [] if kind is None else [kind] if isinstance(kind, str) else _wire.listed(kind, "kind", "kinds")
    return _wire.build(
        traces_pb2.ListTracesRequest,
        **fields,
        run=run,
        kinds=[_wire.named(each, _NUMBERS, "kind") for each in kinds],
        agent=agent,
        name=name,
        parent=parent,
        roots=parent == "",
        from_time_us=_moment(since, "since"),
        until_time_us=_moment(until, "until"),
        filter=_json.encode_object(filter, "filter"),
        newest_first=newest_first,
        limit=_wire.at_least_one(limit, "limit"),
        cursor=cursor,
    )


def _moment(when: datetime | None, name: str) -> int:
    time_us = when_us(when, name)
    return 0 if time_us is None else max(1, time_us)  # whatever is before the epoch is before everything


def tree(run: str, traces: Sequence[Trace], is_truncated: bool, log_index: int) -> TraceTree:
    """Returns the tree of a run's traces."""
    return TraceTree(run=run, traces=tuple(traces), is_truncated=is_truncated, log_index=log_index)

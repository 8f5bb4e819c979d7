"""Applies and answers calls on traces, and checks them."""

from __future__ import annotations

from math import isfinite
from typing import Any

import msgspec

from memraft_proto.v1 import traces_pb2
from memraft_server.machine import cursors
from memraft_server.machine.limits import ITEMS_MAX, POSITION_BITS, Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.turn import Check, Handler, Query, Turn, View
from memraft_server.machine.validate_common import (
    check_count,
    check_json,
    check_json_object,
    check_text,
    shown,
)
from memraft_server.machine.validate_vectors import parse_filter
from memraft_server.projections.runs import RunsProjection
from memraft_server.projections.streams import StreamsProjection
from memraft_server.projections.traces import TraceBody, TracesProjection, decode_trace
from memraft_server.projections.versions import NOW, Record

PAGE_DEFAULT = 1_000
SOURCE_BYTES_MAX = 2_048
LABELS_MAX = 64
"""Most finish reasons of an answer, and most alternatives of a decision."""
_WIRE_BYTES = 200
_KEYS_A_TRACE = 10
"""It takes as long to look at a trace as at so many keys."""
_WHEN_US_MAX = 1 << 62

CONTENTS: dict[str, int] = {
    name.removeprefix("TRACE_KIND_").lower(): number
    for name, number in traces_pb2.TraceKind.items()
    if number
}
"""Name of the field of what a trace tells -> its kind."""
FIELDS = {kind: field for field, kind in CONTENTS.items()}

_MESSAGES = {
    kind: getattr(traces_pb2, "".join(part.capitalize() for part in field.split("_")))
    for kind, field in FIELDS.items()
}
_NAMING = {"tool_call": "tool", "model_input": "model", "model_output": "model", "citation": "source"}
_NAMING["decision"] = "choice"
"""What names a trace that was given no name."""

_decode = msgspec.json.Decoder().decode


# -- checks --------------------------------------------------------------------------------------------


def _record_traces(request: traces_pb2.RecordTracesRequest, limits: Limits) -> None:
    check_count("traces", len(request.traces), limits.items_max, least=1)
    for i, each in enumerate(request.traces):
        try:
            _new_trace(each, limits)
        except Refused as refused:
            message = f"traces[{i}].{refused.message}"
            raise Refused(refused.reason, message, refused.metadata) from None


def _new_trace(trace: traces_pb2.NewTrace, limits: Limits) -> None:
    check_text("id", trace.id, limits.key_bytes_max, empty=True)
    check_text("run", trace.run, limits.label_bytes_max, empty=True)
    check_text("stream", trace.stream, limits.key_bytes_max, empty=True)
    check_text("parent", trace.parent, limits.key_bytes_max, empty=True)
    check_text("name", trace.name, limits.label_bytes_max, empty=True)
    if trace.parent and trace.parent == trace.id:
        raise invalid(f"parent: {shown(trace.parent)} is the trace itself", field="parent")
    if trace.parent and trace.parent_item:
        raise invalid("parent_item: there is a parent already: give one of the two", field="parent_item")
    check_json_object("attributes", trace.attributes, limits.properties_bytes_max)
    for field in ("started_at_us", "ended_at_us"):
        time_us = getattr(trace, field)
        if not 0 <= time_us < _WHEN_US_MAX:
            raise invalid(f"{field}: {time_us}, microseconds since the Unix epoch, or 0", field=field)
    if trace.ended_at_us and trace.ended_at_us < trace.started_at_us:
        raise invalid(
            f"ended_at_us: {trace.ended_at_us} is before started_at_us: {trace.started_at_us}",
            field="ended_at_us",
        )
    field = _content_field(trace)
    _CONTENT_CHECKS[field](field, getattr(trace, field), limits)


def _content_field(trace: Any) -> str:
    field: str | None = trace.WhichOneof("content")
    if field is None:
        raise invalid(f"content: missing; one of {', '.join(CONTENTS)}", field="content")
    return field


def _check_labels(place: str, content: Any, limits: Limits, *fields: str) -> None:
    for field in fields:
        check_text(f"{place}.{field}", getattr(content, field), limits.label_bytes_max, empty=True)


def _check_texts(place: str, content: Any, limits: Limits, *fields: str) -> None:
    for field in fields:  # These may have lines.
        size = len(getattr(content, field).encode())
        if size > limits.text_bytes_max:
            raise invalid(
                f"{place}.{field}: {size} bytes, at most {limits.text_bytes_max}",
                field=f"{place}.{field}",
                limit=str(limits.text_bytes_max),
            )


def _check_list(place: str, content: Any, limits: Limits, field: str) -> None:
    check_count(f"{place}.{field}", len(getattr(content, field)), LABELS_MAX)
    for i, each in enumerate(getattr(content, field)):
        check_text(f"{place}.{field}[{i}]", each, limits.label_bytes_max)


def _tool_call(place: str, content: traces_pb2.ToolCall, limits: Limits) -> None:
    check_text(f"{place}.tool", content.tool, limits.label_bytes_max)
    _check_labels(place, content, limits, "call_id", "error_type")
    check_json(f"{place}.arguments", content.arguments, limits.value_bytes_max, empty=True)
    check_json(f"{place}.result", content.result, limits.value_bytes_max, empty=True)
    _check_texts(place, content, limits, "error_message")


def _model_input(place: str, content: traces_pb2.ModelInput, limits: Limits) -> None:
    check_text(f"{place}.model", content.model, limits.label_bytes_max)
    _check_labels(place, content, limits, "provider")
    check_json(f"{place}.messages", content.messages, limits.value_bytes_max, empty=True)
    check_json_object(f"{place}.parameters", content.parameters, limits.properties_bytes_max)


def _model_output(place: str, content: traces_pb2.ModelOutput, limits: Limits) -> None:
    check_text(f"{place}.model", content.model, limits.label_bytes_max)
    _check_labels(place, content, limits, "response_id", "error_type")
    check_json(f"{place}.messages", content.messages, limits.value_bytes_max, empty=True)
    _check_list(place, content, limits, "finish_reasons")
    _check_texts(place, content, limits, "error_message")


def _citation(place: str, content: traces_pb2.Citation, limits: Limits) -> None:
    check_text(f"{place}.source", content.source, SOURCE_BYTES_MAX)
    check_text(f"{place}.source_kind", content.source_kind, limits.name_bytes_max, empty=True)
    _check_texts(place, content, limits, "quote")


def _decision(place: str, content: traces_pb2.Decision, limits: Limits) -> None:
    check_text(f"{place}.choice", content.choice, limits.label_bytes_max)
    _check_list(place, content, limits, "alternatives")
    _check_texts(place, content, limits, "because")


def _confidence(place: str, content: traces_pb2.Confidence, limits: Limits) -> None:
    if not (isfinite(content.value) and 0 <= content.value <= 1):
        raise invalid(f"{place}.value: {content.value}, from 0 to 1", field=f"{place}.value")
    _check_texts(place, content, limits, "because")


def _assumption(place: str, content: traces_pb2.Assumption, limits: Limits) -> None:
    if not content.statement:
        raise invalid(f"{place}.statement: missing", field=f"{place}.statement")
    _check_texts(place, content, limits, "statement", "because")


_CONTENT_CHECKS: dict[str, Any] = {
    "tool_call": _tool_call,
    "model_input": _model_input,
    "model_output": _model_output,
    "citation": _citation,
    "decision": _decision,
    "confidence": _confidence,
    "assumption": _assumption,
}


def _get_trace(request: traces_pb2.GetTraceRequest, limits: Limits) -> None:
    check_text("id", request.id, limits.key_bytes_max)


def _list_traces(request: traces_pb2.ListTracesRequest, limits: Limits) -> None:
    check_text("run", request.run, limits.label_bytes_max, empty=True)
    check_text("agent", request.agent, limits.label_bytes_max, empty=True)
    check_text("name", request.name, limits.label_bytes_max, empty=True)
    check_text("parent", request.parent, limits.key_bytes_max, empty=True)
    check_count("kinds", len(request.kinds), len(CONTENTS))
    for kind in request.kinds:
        if kind not in FIELDS:
            raise invalid(f"kinds: {kind}, none of {', '.join(CONTENTS)}", field="kinds")
    if request.roots and request.parent:
        raise invalid("roots: what has no parent is no child of one: give one of the two", field="roots")
    for field in ("from_time_us", "until_time_us"):
        if getattr(request, field) < 0:
            raise invalid(f"{field}: microseconds since the Unix epoch, not negative", field=field)
    parse_filter(request.filter, limits)
    check_count("limit", request.limit, limits.page_items_max)


# -- writes --------------------------------------------------------------------------------------------


class _Taking:
    """The traces of one command, each looked at before any is stored."""

    def __init__(self, turn: Turn, space: Namespace) -> None:
        self.turn = turn
        self.traces = space.projection(TracesProjection)
        self.bodies: dict[str, TraceBody] = {}
        """Id -> trace, in the order of the request."""
        self._runs = space.projection(RunsProjection)
        self._streams = space.projection(StreamsProjection)
        self._space = space
        self._known_runs: set[str] = set()
        self._lasts: dict[str, int] = {}
        self._ids: list[str] = []

    def take(self, item: int, trace: traces_pb2.NewTrace) -> Record | None:
        """Looks at a trace. Returns the one that has its id already, if there is one; raises Refused."""
        id = trace.id or self.turn.new_id(item)
        place = f"traces[{item}]"
        if id in self.bodies:
            raise invalid(f"{place}.id: {shown(id)} stands there twice", field="id")
        taken = self.traces.records.head(id)
        if taken is not None:
            return taken
        field = _content_field(trace)
        content = getattr(trace, field)
        run = self._run(place, trace.run)
        stream, sequence = self._event(place, run, trace)
        self.bodies[id] = TraceBody(
            CONTENTS[field],
            run,
            stream,
            sequence,
            self._parent(place, item, run, trace),
            trace.name or (getattr(content, _NAMING[field]) if field in _NAMING else ""),
            trace.attributes,
            trace.started_at_us,
            trace.ended_at_us,
            content.SerializeToString(deterministic=True),
        )
        self._ids.append(id)
        return None

    def _run(self, place: str, given: str) -> str:
        run = given or self.turn.author.run
        if run not in self._known_runs:
            if not run:
                raise invalid(f"{place}.run: missing; a trace belongs to a run", field="run")
            if self._runs.find(run) is None:
                message = f"{place}.run: no run {shown(run)} in {shown(self._space.name)}"
                raise Refused("NO_SUCH_RUN", message, {"run": run})
            self._known_runs.add(run)
        return run

    def _event(self, place: str, run: str, trace: traces_pb2.NewTrace) -> tuple[str, int]:
        name = trace.stream or f"run/{run}"
        last = self._lasts.get(name)
        if last is None:
            stream = self._streams.find(name)
            last = self._lasts[name] = stream.count_at(NOW) if stream is not None else 0
        if trace.sequence > last or (trace.stream and not last):
            has = f"stream {shown(name)} has {last} events" if last else f"there is no stream {shown(name)}"
            raise Refused(
                "NO_SUCH_EVENT",
                f"{place}.sequence: {trace.sequence}: {has}",
                {"stream": name, "last_sequence": str(last)},
            )
        return name, trace.sequence or last

    def _parent(self, place: str, item: int, run: str, trace: traces_pb2.NewTrace) -> str:
        id = trace.parent
        if trace.parent_item:
            if trace.parent_item > item:
                raise invalid(
                    f"{place}.parent_item: {trace.parent_item}: trace {item + 1} of the request has {item} "
                    "before it",
                    field="parent_item",
                )
            id = self._ids[trace.parent_item - 1]
        if not id:
            return ""
        parent = self.bodies.get(id) or self.traces.find(id)
        if parent is None:
            raise Refused(
                "NO_SUCH_TRACE",
                f"{place}.parent: there is no trace {shown(id)}, nor is it among those before this one: "
                "parents come before their children, and never round in a circle",
                {"parent": id},
            )
        if parent.run != run:
            raise invalid(
                f"{place}.parent: {shown(id)} belongs to run {shown(parent.run)}, not to {shown(run)}",
                field="parent",
            )
        return id


def record_traces(
    turn: Turn, space: Namespace, request: traces_pb2.RecordTracesRequest
) -> traces_pb2.RecordTracesResponse:
    """Stores traces, all or none."""
    check_count("traces", len(request.traces), ITEMS_MAX, least=1)
    taking = _Taking(turn, space)
    for item, each in enumerate(request.traces):
        taken = taking.take(item, each)
        if taken is not None:
            return traces_pb2.RecordTracesResponse(
                first_version=taken.version, time_us=turn.time_us, ids=[each.id], conflict=True
            )
    turn.items = len(taking.bodies)
    for item, (id, body) in enumerate(taking.bodies.items()):
        taking.traces.store(id, body, turn.version + item, turn.author)
    return traces_pb2.RecordTracesResponse(
        first_version=turn.version, time_us=turn.time_us, ids=list(taking.bodies)
    )


# -- reads ---------------------------------------------------------------------------------------------


def get_trace(
    view: View, space: Namespace, request: traces_pb2.GetTraceRequest
) -> traces_pb2.GetTraceResponse:
    """Reads a trace."""
    record = space.projection(TracesProjection).records.at(request.id, view.ceiling)
    response = traces_pb2.GetTraceResponse()
    if record is not None and record.value is not None:
        fill_trace(view, response.trace, request.id, record)
    return response


def list_traces(
    view: View, space: Namespace, request: traces_pb2.ListTracesRequest
) -> traces_pb2.ListTracesResponse:
    """Lists traces. A page ends at the first of: traces, bytes, traces looked at."""
    traces, limits = space.projection(TracesProjection), view.limits
    asked = traces_pb2.ListTracesRequest()
    asked.CopyFrom(request)
    for field in ("namespace", "context", "cursor", "limit"):
        asked.ClearField(field)
    kind = cursors.kind_of("traces", asked.SerializeToString(deterministic=True))
    low, high = _range(view, request)
    if request.cursor:
        version = cursors.decode_number(kind, request.cursor)
        low, high = (low, min(high, version)) if request.newest_first else (max(low, version), high)
    items_max = min(request.limit or PAGE_DEFAULT, limits.page_items_max)
    response = traces_pb2.ListTracesResponse()
    size = 0
    places = traces.places(request.run, request.parent, low, high, request.newest_first)
    matches, count_max = _Matches(request, limits), looked_max(limits)
    for looked, place in enumerate(places):
        if looked >= count_max or len(response.traces) >= items_max:
            response.next_cursor = cursors.encode(kind, str(place[0]))
            break
        found = traces.at(place, view.ceiling)
        if found is None or not matches(*found):
            continue
        record = found[1]
        size += trace_wire_bytes(record)
        if size > limits.page_bytes_max and response.traces:
            response.next_cursor = cursors.encode(kind, str(place[0]))
            break
        fill_trace(view, response.traces.add(), place[1], record)
    return response


def looked_max(limits: Limits) -> int:
    """Returns how many traces one page looks at."""
    return max(1, limits.scan_keys_max // _KEYS_A_TRACE)


def _range(view: View, request: traces_pb2.ListTracesRequest) -> tuple[int, int]:
    """Returns the lowest and the highest version that are asked for."""
    low, high = 0, view.ceiling
    if request.from_time_us:
        low = (max(0, view.entries.index_at(request.from_time_us - 1)) + 1) << POSITION_BITS
    if request.until_time_us:
        until = (max(0, view.entries.index_at(request.until_time_us - 1)) + 1) << POSITION_BITS
        high = min(high, until - 1)
    return low, high


class _Matches:
    """Whether a trace is one of those that a request asks for."""

    def __init__(self, request: traces_pb2.ListTracesRequest, limits: Limits) -> None:
        self._request = request
        self._kinds = frozenset(request.kinds)
        self._passes = parse_filter(request.filter, limits)

    def __call__(self, body: TraceBody, record: Record) -> bool:
        asked = self._request
        return (
            (not asked.run or body.run == asked.run)
            and (not self._kinds or body.kind in self._kinds)
            and (not asked.agent or record.author.agent == asked.agent)
            and (not asked.name or body.name == asked.name)
            and not (asked.roots and body.parent)
            and (self._passes is None or self._passes(_filtered(body)))
        )


def _filtered(body: TraceBody) -> dict[str, Any]:
    """What a filter sees of a trace: its attributes, dots in their names as in paths, and its content."""
    seen: dict[str, Any] = {}
    attributes = _json(body.attributes)
    for name, value in attributes.items() if isinstance(attributes, dict) else ():
        *path, last = name.split(".")
        inner = seen
        for segment in path:
            found = inner.get(segment)
            if not isinstance(found, dict):
                found = inner[segment] = {}
            inner = found
        inner[last] = value
    seen["content"] = content_of(body)
    return seen


def content_of(body: TraceBody) -> dict[str, Any]:
    """Returns what a trace tells as JSON values."""
    message = _MESSAGES[body.kind].FromString(body.content)
    return {field.name: _plain(value) for field, value in message.ListFields()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return _json(value)
    return list(value) if hasattr(value, "append") else value


def _json(value: bytes) -> Any:
    try:
        return _decode(value) if value else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # beyond what numbers can be
        return None


def trace_wire_bytes(record: Record) -> int:
    """Returns about how many bytes a trace takes in a response."""
    return len(record.value or b"") + _WIRE_BYTES


def fill_trace(view: View, into: traces_pb2.Trace, id: str, record: Record) -> None:
    """Writes the trace `id` into a response; `record` has its value."""
    body = decode_trace(record.value or b"")
    into.id = id
    for field in (
        "run",
        "stream",
        "sequence",
        "parent",
        "name",
        "attributes",
        "started_at_us",
        "ended_at_us",
    ):
        setattr(into, field, getattr(body, field))
    view.fill_provenance(into.provenance, record.version, record.author)
    content = getattr(into, FIELDS[body.kind])
    content.SetInParent()
    content.MergeFromString(body.content)


def shown_trace(value: bytes) -> dict[str, Any]:
    """Returns what the record of a trace holds for a person: JSON values."""
    body = decode_trace(value)
    return {
        "kind": FIELDS[body.kind],
        "run": body.run,
        "parent": body.parent,
        "name": body.name,
        "event": f"{body.stream}#{body.sequence}",
        "attributes": _json(body.attributes) or {},
        "content": content_of(body),
    }


HANDLERS: dict[int, Handler] = {37: record_traces}
QUERIES: dict[str, Query] = {"GetTrace": get_trace, "ListTraces": list_traces}
WRITE_CHECKS: dict[int, Check] = {37: _record_traces}
READ_CHECKS: dict[str, Check] = {"GetTrace": _get_trace, "ListTraces": _list_traces}

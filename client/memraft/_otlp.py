"""Traces as OTLP/JSON, the file and wire format of OpenTelemetry, and back. Pure.

A run is one OpenTelemetry trace. Its span at the top is the run itself, `invoke_agent`; every trace below is
a span, where a model_output is one with the model_input that it answers. In OTLP/JSON ids are hexadecimal and
enums numbers, where JSON of Protocol Buffers has base64 and names.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from reprlib import repr as shown
from typing import Any, Literal

import msgspec
from google.protobuf import json_format
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status, TracesData

from . import _genai as genai
from . import _json
from ._interchange import ImportedRun
from ._moments import datetime_of
from .errors import InvalidArgument
from .types import Run
from .types_traces import ModelInput, ModelOutput, NewTrace, ToolCall, Trace, TraceContent, TraceTree

BYTES_MAX = 16 << 20
SPANS_MAX = 10_000

RUN = "memraft.run"
TRACE, OUTPUT = "memraft.trace", "memraft.output"
"""Attributes with JSON text: what the conventions have no words for."""

_IDS = ("traceId", "spanId", "parentSpanId")
_HEX = re.compile("[0-9a-f]{32}")
_NANOS = 1_000
_INT64_MAX = (1 << 63) - 1


class _Exact(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trace as it is here."""

    id: str
    kind: str
    content: msgspec.Raw
    parent: str = ""
    name: str = ""
    attributes: dict[str, Any] = msgspec.field(default_factory=dict)
    started_at_us: int = 0
    ended_at_us: int = 0
    event: str = ""
    """Stream and sequence, where it is from; it is not read back."""


class _ExactRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run as it is here."""

    id: str
    inputs: Any = None
    outputs: Any = None
    status: Literal["running", "succeeded", "failed"] = "running"


# -- export --------------------------------------------------------------------------------------------


def export_run(namespace: str, run: Run, tree: TraceTree) -> bytes:
    """Returns a run as OTLP/JSON.

    Args:
        namespace: where it is.
        run: the run.
        tree: its traces.
    """
    data = TracesData()
    resource = data.resource_spans.add(schema_url=genai.SCHEMA_URL)
    _add(resource.resource.attributes, {"service.name": "memraft", "memraft.namespace": namespace})
    scope = resource.scope_spans.add(schema_url=genai.SCHEMA_URL)
    scope.scope.name = "memraft"
    scope.spans.extend(_Export(namespace, run, tree).spans())
    plain = json_format.MessageToDict(data, use_integers_for_enums=True)
    _each_id(plain, lambda id: b64decode(id).hex())
    return _json.encode(plain)


class _Export:
    def __init__(self, namespace: str, run: Run, tree: TraceTree) -> None:
        self._place = f"{namespace}:{run.id}"
        self._run = run
        self._traces = tree.traces
        self._trace_id = bytes.fromhex(run.id) if _HEX.fullmatch(run.id) else self._hashed("", 16)
        self._output_of: dict[str, Trace] = {}
        """Id of a model_input -> the model_output that is one span with it."""
        self._span_of: dict[str, bytes] = {}
        inputs = {trace.id for trace in self._traces if trace.kind == "model_input"}
        for trace in self._traces:
            if trace.kind == "model_output" and trace.parent in inputs:
                self._output_of.setdefault(trace.parent, trace)
        self._joined = {trace.id for trace in self._output_of.values()}
        for trace in self._traces:
            self._span_of[trace.id] = self._span_id(trace.parent if trace.id in self._joined else trace.id)

    def spans(self) -> Iterator[Span]:
        """Yields the run's span, and those of its traces."""
        run = self._run
        ended_at_us = run.ended_at_us or max(
            [run.began_at_us, *(max(trace.time_us, trace.ended_at_us) for trace in self._traces)]
        )
        top = self._span(
            f"invoke_agent {run.agent}", self._hashed("run", 8), b"", run.began_at_us, ended_at_us
        )
        exact = _ExactRun(id=run.id, inputs=run.inputs, outputs=run.outputs, status=run.status)
        _add(top.attributes, {genai.OPERATION: "invoke_agent", RUN: _text(exact), **self._common(run.agent)})
        if run.status == "failed":
            top.status.code = Status.STATUS_CODE_ERROR
        yield top
        for trace in self._traces:
            if trace.id not in self._joined:
                yield self._trace_span(trace, self._output_of.get(trace.id), top.span_id)

    def _trace_span(self, trace: Trace, output: Trace | None, top: bytes) -> Span:
        parent = self._span_of.get(trace.parent, top)
        started_at_us = trace.started_at_us or trace.time_us
        last = output or trace
        ended_at_us = max(last.ended_at_us or last.time_us, started_at_us)
        span = self._span(genai.span_name(trace), self._span_of[trace.id], parent, started_at_us, ended_at_us)
        if trace.kind in ("model_input", "model_output"):
            span.kind = Span.SPAN_KIND_CLIENT
        found = {**trace.attributes, **self._common(trace.agent), **genai.conventional(trace.content)}
        found[TRACE] = _text(_exact(trace))
        if output is not None:
            found = {**output.attributes, **found, **genai.conventional(output.content)}
            found[OUTPUT] = _text(_exact(output))
        _add(span.attributes, found)
        if isinstance(last.content, ToolCall | ModelOutput) and last.content.error_type:
            span.status.code = Status.STATUS_CODE_ERROR
            span.status.message = last.content.error_message
        return span

    def _span(self, name: str, id: bytes, parent: bytes, started_at_us: int, ended_at_us: int) -> Span:
        return Span(
            trace_id=self._trace_id,
            span_id=id,
            parent_span_id=parent,
            name=name,
            kind=Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=started_at_us * _NANOS,
            end_time_unix_nano=ended_at_us * _NANOS,
        )

    def _common(self, agent: str) -> dict[str, Any]:
        return {"gen_ai.agent.name": agent, "gen_ai.conversation.id": self._run.id}

    def _span_id(self, id: str) -> bytes:
        """That of the span that a trace was imported from, or one of its own."""
        before, _, span = id.partition("-")
        if bytes.fromhex(before) == self._trace_id if _HEX.fullmatch(before) else False:
            if re.fullmatch("[0-9a-f]{16}", span):
                return bytes.fromhex(span)
        return self._hashed(f"trace:{id}", 8)

    def _hashed(self, what: str, length: int) -> bytes:
        return sha256(f"memraft.otlp.v1:{self._place}:{what}".encode()).digest()[:length]


def _exact(trace: Trace) -> _Exact:
    return _Exact(
        id=trace.id,
        kind=trace.kind,
        content=msgspec.Raw(_json.encode(trace.content)),
        parent=trace.parent,
        name=trace.name,
        attributes=trace.attributes,
        started_at_us=trace.started_at_us,
        ended_at_us=trace.ended_at_us,
        event=f"{trace.stream}#{trace.sequence}",
    )


def _text(value: Any) -> str:
    return _json.encode(value).decode()


def _add(attributes: Any, values: Mapping[str, Any]) -> None:
    attributes.extend(KeyValue(key=name, value=_any(value)) for name, value in values.items())


def _any(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, int) and abs(value) <= _INT64_MAX:
        return AnyValue(int_value=value)
    if isinstance(value, int | float):
        return AnyValue(double_value=float(value))
    found = AnyValue()
    if isinstance(value, list):
        found.array_value.SetInParent()
        found.array_value.values.extend(map(_any, value))
    elif isinstance(value, dict):
        found.kvlist_value.SetInParent()
        _add(found.kvlist_value.values, value)
    return found


# -- import --------------------------------------------------------------------------------------------


def read_runs(data: bytes | str, run: str) -> list[ImportedRun]:
    """Returns what an OTLP/JSON file says, a run for each OpenTelemetry trace in it.

    Args:
        data: the file: one JSON text, or one in each line, as collectors write them.
        run: the run that all belong to; empty: the one that was exported, else the trace's id.

    Raises:
        InvalidArgument: it is no such file, too large, or spans are their own ancestors.
    """
    if not isinstance(data, bytes | str):
        raise InvalidArgument(f"data must be bytes or a str, not {type(data).__name__}")
    text = data.encode() if isinstance(data, str) else data
    if len(text) > BYTES_MAX:
        raise InvalidArgument(f"data: {len(text)} bytes, at most {BYTES_MAX}")
    spans: dict[str, dict[str, Span]] = {}
    services: dict[str, str] = {}
    count = 0
    for resource in _resources(text):
        service = _values(resource.resource.attributes).get("service.name", "")
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            count += 1
            if count > SPANS_MAX:
                raise InvalidArgument(f"data: over {SPANS_MAX} spans: import them in parts")
            trace_id, span_id = _check_ids(span)
            group = spans.setdefault(trace_id, {})
            if span_id in group:
                raise InvalidArgument(f"data: span {span_id} stands in trace {trace_id} twice")
            group[span_id] = span
            services.setdefault(trace_id, str(service))
    if not spans:
        raise InvalidArgument("data: there are no spans in it")
    return [_Import(trace_id, each, run).result(services[trace_id]) for trace_id, each in spans.items()]


def _check_ids(span: Span) -> tuple[str, str]:
    if len(span.trace_id) != 16 or len(span.span_id) != 8 or len(span.parent_span_id) not in (0, 8):
        raise InvalidArgument(
            f"data: span {span.name!r}: traceId has 32 hexadecimal digits, spanId and parentSpanId have 16"
        )
    if not any(span.trace_id) or not any(span.span_id):
        raise InvalidArgument(f"data: span {span.name!r}: traceId or spanId is all zeros, which is none")
    return span.trace_id.hex(), span.span_id.hex()


def _resources(text: bytes) -> Iterator[ResourceSpans]:
    try:
        try:
            parts = [_json.decode(text)]
        except msgspec.DecodeError:
            parts = [_json.decode(line) for line in text.splitlines() if line.strip()]
        for part in parts:
            _each_id(part, lambda id: b64encode(bytes.fromhex(id)).decode())
            yield from json_format.ParseDict(part, TracesData(), ignore_unknown_fields=True).resource_spans
    except (
        msgspec.MsgspecError,
        json_format.Error,
        UnicodeError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise InvalidArgument(f"data: it is not OTLP/JSON with resourceSpans: {error}") from error


def _each_id(data: Any, changed: Any) -> None:
    """Changes the ids of the spans in OTLP/JSON in place."""
    for resource in data.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                for holder in (span, *span.get("links", ())):
                    for name in _IDS:
                        if id := holder.get(name):
                            holder[name] = _changed(id, changed, f"span {span.get('name')!r}: {name}")


def _changed(id: Any, changed: Any, what: str) -> Any:
    try:
        return changed(id)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what} {shown(id)}: {error}") from error


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> Any:
    field = value.WhichOneof("value")
    if field == "array_value":
        return [_value(each) for each in value.array_value.values]
    if field == "kvlist_value":
        return _values(value.kvlist_value.values)
    if field == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, field) if field is not None else None


class _Import:
    """One OpenTelemetry trace."""

    def __init__(self, trace_id: str, spans: Mapping[str, Span], run: str) -> None:
        self._trace_id = trace_id
        self._spans = spans
        self._asked = run
        self._exact_run: _ExactRun | None = None
        self._traces: list[NewTrace] = []
        self._ids: set[str] = set()
        self._left_out = 0

    def result(self, service: str) -> ImportedRun:
        """Returns what there is to store."""
        children: dict[str, list[str]] = {}
        for id, span in self._spans.items():
            parent = span.parent_span_id.hex()
            children.setdefault(parent if parent in self._spans else "", []).append(id)
        seen = 0
        waiting = [(id, "") for id in reversed(children.get("", []))]
        while waiting:
            id, above = waiting.pop()
            seen += 1
            below = self._take(id, self._spans[id], above)
            waiting += [(child, below) for child in reversed(children.get(id, ()))]
        if seen < len(self._spans):
            self._refuse_cycle()
        exact = self._exact_run or _ExactRun(id=self._trace_id)
        return ImportedRun(
            run=self._asked or exact.id,
            inputs=exact.inputs,
            outputs=exact.outputs,
            status=None if exact.status == "running" else exact.status,
            traces=tuple(self._traces),
            left_out=self._left_out,
            is_empty=not self._traces and self._exact_run is None,
            origin={"trace_id": self._trace_id, "service": service, "spans": len(self._spans)},
        )

    def _refuse_cycle(self) -> None:
        """Names a span that is its own ancestor."""
        for id in self._spans:
            path: dict[str, None] = {}
            at = id
            while at in self._spans and at not in path:
                path[at] = None
                at = self._spans[at].parent_span_id.hex()
            if at in path:
                name = self._spans[at].name
                raise InvalidArgument(
                    f"data: span {at} ({name!r}) of trace {self._trace_id} is its own ancestor"
                )

    def _take(self, id: str, span: Span, above: str) -> str:
        """Takes a span below a trace; returns the trace that its children are below."""
        attributes = _values(span.attributes)
        if TRACE in attributes:
            first = self._take_exact(attributes[TRACE], above)
            if OUTPUT in attributes:
                self._take_exact(attributes[OUTPUT], first)
            return first
        is_top = span.parent_span_id.hex() not in self._spans
        if is_top and attributes.get(genai.OPERATION) in genai.AGENT_OPERATIONS:
            self._take_run(attributes)
            return above
        has_failed = span.status.code == Status.STATUS_CODE_ERROR
        failure = ("error", span.status.message) if has_failed else ("", "")
        contents = genai.contents(attributes, span.name, failure)
        if not contents:
            self._left_out += 1
            return above
        place = f"{self._trace_id}-{id}"
        for content in contents:
            is_answer = isinstance(content, ModelOutput)
            self._add(
                content,
                id=f"{place}-output" if is_answer else place,
                parent=place if is_answer else above,
                attributes={} if is_answer else attributes,
                started_at_us=0 if is_answer else span.start_time_unix_nano // _NANOS,
                ended_at_us=0 if isinstance(content, ModelInput) else span.end_time_unix_nano // _NANOS,
            )
        return place

    def _take_run(self, attributes: dict[str, Any]) -> None:
        text = attributes.get(RUN)
        if self._exact_run is None and isinstance(text, str):
            try:
                self._exact_run = msgspec.json.decode(text.encode(), type=_ExactRun)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise InvalidArgument(f"data: attribute {RUN}: {error}") from error

    def _take_exact(self, text: Any, above: str) -> str:
        try:
            found = msgspec.json.decode(text.encode(), type=_Exact)
            content = genai.exact(found.kind, bytes(found.content).decode())
        except (msgspec.MsgspecError, AttributeError, KeyError, UnicodeError, RecursionError) as error:
            raise InvalidArgument(f"data: attribute {TRACE} or {OUTPUT}: {error}") from error
        self._add(
            content,
            id=found.id,
            parent=found.parent if found.parent in self._ids else above,
            name=found.name,
            attributes=found.attributes,
            started_at_us=found.started_at_us,
            ended_at_us=found.ended_at_us,
        )
        return found.id

    def _add(
        self,
        content: TraceContent,
        *,
        id: str,
        parent: str,
        attributes: Mapping[str, Any],
        started_at_us: int,
        ended_at_us: int,
        name: str = "",
    ) -> None:
        ended_at_us = max(started_at_us, ended_at_us) if ended_at_us else 0
        try:
            started_at, ended_at = (
                datetime_of(each) if each > 0 else None for each in (started_at_us, ended_at_us)
            )
        except OverflowError as error:
            raise InvalidArgument(f"data: trace {id!r}: its time is beyond year 9999") from error
        self._ids.add(id)
        self._traces.append(
            NewTrace(
                content=content,
                id=id,
                parent=parent,
                name=name,
                attributes=attributes,
                started_at=started_at,
                ended_at=ended_at,
            )
        )

"""Traces of what agents do and think in their runs."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from memraft_proto.v1 import traces_pb2

from .. import _traces as traces
from .. import _wire
from .._interchange import ImportedRun, otlp
from ..errors import InvalidArgument, NotFound
from ..types import (
    Assumption,
    At,
    Citation,
    Confidence,
    Consistency,
    Decision,
    ImportedTraces,
    ModelInput,
    ModelOutput,
    NewTrace,
    RecordedTraces,
    Results,
    ToolCall,
    Trace,
    TraceContent,
    TraceKind,
    TraceTree,
    Written,
)
from .base import METHOD, AsyncCalls
from .io import in_thread

if TYPE_CHECKING:
    from .memory import AsyncMemory

_RECORD, _GET, _LIST = METHOD["RecordTraces"], METHOD["GetTrace"], METHOD["ListTraces"]
_PAGE_TRACES = 1_000
EXPORTED_MAX = 9_999
"""Traces of a run that one file may hold: beside them the run is a span, too."""


class AsyncTraceCalls(AsyncCalls):
    """What agents did and thought: calls of tools and models, citations, decisions and the like."""

    async def record_trace(
        self,
        content: TraceContent,
        *,
        run: str = "",
        parent: str = "",
        name: str = "",
        attributes: Mapping[str, Any] | None = None,
        stream: str = "",
        sequence: int = 0,
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
        id: str = "",
    ) -> Written:
        """Records one trace; the result's `.id` tells its id. It is never changed.

        Args:
            content: what it tells: ToolCall, ModelInput, ModelOutput, Citation, Decision, Confidence or
                Assumption of `memraft.types`.
            run: the run that it belongs to, which exists; empty: the one that this memory writes in.
            parent: the id of a trace of the same run; empty: none.
            name: what it is known as; empty: the tool, the model, the choice or the source.
            attributes: more about it, to filter by: up to 64 KiB as JSON.
            stream: the stream of the event that it belongs to; empty: `run/<run>`.
            sequence: the event's place in it; 0: the last event by then.
            started_at: when what it tells of began, by the caller's clock: an aware datetime.
            ended_at: when it ended.
            id: its id; empty: a new one.

        Raises:
            NotFound: there is no such run, event or parent.
            ConflictError: a trace of this id exists already.
        """
        new = NewTrace(
            content=content,
            run=run,
            parent=parent,
            name=name,
            attributes=attributes or {},
            stream=stream,
            sequence=sequence,
            started_at=started_at,
            ended_at=ended_at,
            id=id,
        )
        request = traces.record(self._where, [new])
        return traces.record_one_done(request, await self._link.write(_RECORD, request))

    async def record_traces(self, new: Iterable[NewTrace]) -> RecordedTraces:
        """Records many traces in one log entry, all or none.

        Args:
            new: up to 10,000, parents before their children.

        Raises:
            NotFound: there is no such run, event or parent.
            ConflictError: a trace of one of the ids exists already.
        """
        request = traces.record(self._where, new)
        return traces.record_done(request, await self._link.write(_RECORD, request))

    async def trace(self, id: str, *, at: At = None, consistency: Consistency | None = None) -> Trace | None:
        """Reads one trace; None where there is none.

        Args:
            id: which one.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(traces_pb2.GetTraceRequest, **self._from(at, consistency), id=id)
        response: traces_pb2.GetTraceResponse = await self._link.read(_GET, request)
        return traces.trace(response.trace) if response.HasField("trace") else None

    async def traces(
        self,
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
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[Trace]:
        """Lists traces in the order in which they were written. All that is given has to hold.

        Args:
            run: only those of this run.
            kind: only those of this kind, or of one of these.
            agent: only those that this agent wrote.
            name: only those that are known as this.
            parent: only the children of this trace; an empty text: only those without a parent.
            since: only those committed at or after this aware datetime.
            until: only those committed before this aware datetime.
            filter: only those whose attributes pass, as in `search`; a dot in an attribute's name is like one
                in a path. Under `content` there are the fields of what they tell: `{"content.value":
                {"$lt": 0.5}}`.
            newest_first: begin with the newest.
            limit: at most this many a page, 1 to 10,000. A page may have fewer and yet not be the last.
            cursor: `next_cursor` of the page before, with the same arguments.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = traces.listing(
            self._from(at, consistency),
            run=run,
            kind=kind,
            agent=agent,
            name=name,
            parent=parent,
            since=since,
            until=until,
            filter=filter,
            newest_first=newest_first,
            limit=limit,
            cursor=cursor,
        )
        response: traces_pb2.ListTracesResponse = await self._link.read(_LIST, request)
        return _wire.results(response, tuple(map(traces.trace, response.traces)))

    async def trace_tree(
        self, run: str, *, limit: int = 10_000, at: At = None, consistency: Consistency | None = None
    ) -> TraceTree:
        """Reads the traces of a run as trees, all as of one moment.

        Args:
            run: which run; one without traces has none.
            limit: at most this many: the first ones that were written.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        if not run:
            raise InvalidArgument("run: name one")
        _wire.at_least_one(limit, "limit")
        found: list[Trace] = []
        cursor, fields = "", self._from(at, consistency)
        while True:
            page_max = min(limit - len(found), _PAGE_TRACES)
            request = traces.listing(fields, run=run, limit=page_max, cursor=cursor)
            response: traces_pb2.ListTracesResponse = await self._link.read(_LIST, request)
            found += map(traces.trace, response.traces)
            cursor = response.next_cursor
            # Whichever replica answers next has to have reached the moment that the first one saw.
            moment = response.stamp.applied_index if at is None else at
            if not cursor or len(found) >= limit:
                return traces.tree(run, found, bool(cursor), response.stamp.applied_index)
            at, fields = moment, self._from(moment, "session")

    async def export_traces(
        self, run: str, *, at: At = None, consistency: Consistency | None = None
    ) -> bytes:
        """Returns the traces of a run as OTLP/JSON, which any collector of OpenTelemetry takes.

        The run is a span of its own, `invoke_agent`; the attributes follow the GenAI conventions. Needs the
        package `opentelemetry-proto`: `pip install memraft[otel]`.

        Args:
            run: which run: one of up to 9,999 traces.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.

        Raises:
            NotFound: there is no such run.
        """
        tree = await self.trace_tree(run, limit=EXPORTED_MAX, at=at, consistency=consistency)
        if tree.is_truncated:
            raise InvalidArgument(f"run {run!r} has over {EXPORTED_MAX} traces: more than one file may hold")
        info = await cast("AsyncMemory", self).run_info(run, at=tree.log_index if at is None else at)
        if info is None:
            raise NotFound(f"there is no run {run!r} in {self._namespace!r}", reason="NO_SUCH_RUN")
        return await in_thread(otlp().export_run, self._namespace, info, tree)

    async def import_traces(self, data: bytes | str, *, run: str = "") -> ImportedTraces:
        """Stores the spans of an OTLP/JSON file as traces with their parents, each run whole or not at all.

        Spans of models become a model_input and a model_output, those of tools and of memory operations a
        tool_call. Others are left out, and their children become those of what was above. Each OpenTelemetry
        trace of which anything is left becomes a run, which is begun where it does not exist, and gets an
        event of type `otlp_import` that its traces belong to. Needs the package `opentelemetry-proto`:
        `pip install memraft[otel]`.

        Args:
            data: JSON text with `resourceSpans`: up to 16 MiB and 10,000 spans.
            run: the run that all of them belong to; empty: the run that was exported, else the trace's id.

        Raises:
            InvalidArgument: it is no such file, is too large, or spans are their own ancestors.
            TxnFailed: a run cannot be stored, as one that was imported before. Those before it were.
        """
        runs = await in_thread(otlp().read_runs, data, run)
        stored = [each for each in runs if not each.is_empty]
        for each in stored:
            await self._import(each)
        return ImportedTraces(
            runs=tuple(each.run for each in stored),
            count=sum(len(each.traces) for each in runs),
            left_out=sum(each.left_out for each in runs),
        )

    async def _import(self, found: ImportedRun) -> None:
        memory = cast("AsyncMemory", self)
        is_new = await memory.run_info(found.run) is None
        async with memory.scoped(run=found.run).txn() as t:
            if is_new:
                t.begin_run(found.run, inputs=found.inputs)
            t.append(run=found.run, payload=found.origin, type="otlp_import")
            if found.traces:
                t.record_traces(found.traces)
            if is_new and found.status is not None:
                t.end_run(found.run, found.status, outputs=found.outputs)


class AsyncRunTraces:
    """The traces of a run that goes on: `run.trace.decision("refund", because=..., confidence=0.8)`."""

    def __init__(self, memory: "AsyncMemory") -> None:
        self._memory = memory
        self.parent = ""
        """The parent of traces that say nothing else, those of `run.tool` and `run.model` among them."""

    @contextmanager
    def under(self, parent: str | Written) -> Iterator[None]:
        """What is recorded in the block gets this parent: `with run.trace.under(decision): ...`."""
        before, self.parent = self.parent, parent if isinstance(parent, str) else parent.id
        try:
            yield
        finally:
            self.parent = before

    async def tool_call(
        self,
        tool: str,
        *,
        arguments: Any = None,
        result: Any = None,
        call_id: str = "",
        error_type: str = "",
        error_message: str = "",
        parent: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Written:
        """Records that a tool was called; `run.tool` does so by itself."""
        content = ToolCall(tool, arguments, result, call_id, error_type, error_message)
        return await self._record(content, parent, attributes)

    async def model_input(
        self,
        model: str,
        messages: Any = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        provider: str = "",
        parent: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Written:
        """Records that a model is asked; `run.model` does so by itself."""
        return await self._record(ModelInput(model, messages, parameters or {}, provider), parent, attributes)

    async def model_output(
        self,
        model: str,
        messages: Any = None,
        *,
        finish_reasons: Iterable[str] = (),
        input_tokens: int = 0,
        output_tokens: int = 0,
        response_id: str = "",
        parent: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Written:
        """Records what a model answered; its parent is what it was asked."""
        content = ModelOutput(
            model, messages, tuple(finish_reasons), input_tokens, output_tokens, response_id
        )
        return await self._record(content, parent, attributes)

    async def citation(
        self,
        source: str,
        *,
        kind: str = "",
        version: int = 0,
        quote: str = "",
        parent: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Written:
        """Records that something is taken from a source, such as a memory."""
        return await self._record(Citation(source, kind, version, quote), parent, attributes)

    async def decision(
        self,
        choice: str,
        *,
        because: str = "",
        alternatives: Iterable[str] = (),
        confidence: float | None = None,
        parent: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Written:
        """Records what is chosen, and with `confidence`, a child, how sure the agent is of it (0 to 1)."""
        content = Decision(choice, tuple(alternatives), because)
        if confidence is None:
            return await self._record(content, parent, attributes)
        above = self.parent if parent is None else parent
        written = await self._memory.record_traces(
            (
                NewTrace(content=content, parent=above, attributes=attributes or {}),
                NewTrace(content=Confidence(confidence), parent_item=1),
            )
        )
        return Written(id=written.ids[0], version=written.first_version, time_us=written.time_us)

    async def confidence(
        self,
        value: float,
        *,
        because: str = "",
        parent: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Written:
        """Records how sure the agent is (0 to 1) of what the parent says."""
        return await self._record(Confidence(value, because), parent, attributes)

    async def assumption(
        self,
        statement: str,
        *,
        because: str = "",
        holds: bool | None = None,
        parent: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Written:
        """Records what is taken to be so, and whether it turned out to hold."""
        return await self._record(Assumption(statement, because, holds), parent, attributes)

    async def _record(
        self, content: TraceContent, parent: str | None, attributes: Mapping[str, Any] | None
    ) -> Written:
        above = self.parent if parent is None else parent
        return await self._memory.record_trace(content, parent=above, attributes=attributes)

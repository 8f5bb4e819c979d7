"""Traces: what agents did and thought in their runs. Frozen values, exported by `memraft.types`."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from ._moments import datetime_of

TraceKind: TypeAlias = Literal[
    "tool_call", "model_input", "model_output", "citation", "decision", "confidence", "assumption"
]
"""What a trace tells of."""


class ToolCall(msgspec.Struct, frozen=True):
    """A tool was called, and what came of it."""

    tool: str
    """What it is known as."""
    arguments: Any = None
    """What went in: anything that JSON can say; None: not said."""
    result: Any = None
    """What came out: anything that JSON can say; None: not said."""
    call_id: str = ""
    """The model's id of the call, if it has one."""
    error_type: str = ""
    """The class of what went wrong; empty: nothing did."""
    error_message: str = ""


class ModelInput(msgspec.Struct, frozen=True):
    """A model was asked."""

    model: str
    messages: Any = None
    """What it was given: anything that JSON can say; None: not said."""
    parameters: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """How it was asked, such as the temperature."""
    provider: str = ""
    """Whose it is, such as `openai`."""


class ModelOutput(msgspec.Struct, frozen=True):
    """A model answered. Its parent is usually what it was asked."""

    model: str
    messages: Any = None
    """What it gave: anything that JSON can say; None: not said."""
    finish_reasons: tuple[str, ...] = ()
    """Why it stopped, one for each answer."""
    input_tokens: int = 0
    """0: not said."""
    output_tokens: int = 0
    """0: not said."""
    response_id: str = ""
    """The provider's id of the answer."""
    error_type: str = ""
    """The class of what went wrong; empty: nothing did."""
    error_message: str = ""


class Citation(msgspec.Struct, frozen=True):
    """Something was taken from a source."""

    source: str
    """A key, the id of a memory or a node, a URL, ..."""
    source_kind: str = ""
    """What the source is, such as `memory`, `document`, `event` or `url`."""
    source_version: int = 0
    """The version of the source that was read; 0: not said."""
    quote: str = ""
    """The words that were taken."""


class Decision(msgspec.Struct, frozen=True):
    """Something was chosen."""

    choice: str
    alternatives: tuple[str, ...] = ()
    """What else there was to choose."""
    because: str = ""


class Confidence(msgspec.Struct, frozen=True):
    """How sure the agent was of what the parent says."""

    value: float
    """From 0, not at all, to 1, entirely."""
    because: str = ""


class Assumption(msgspec.Struct, frozen=True):
    """Something was taken to be so."""

    statement: str
    because: str = ""
    holds: bool | None = None
    """Whether it turned out to hold; None: not known."""


TraceContent: TypeAlias = ToolCall | ModelInput | ModelOutput | Citation | Decision | Confidence | Assumption
"""What a trace tells."""


class NewTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace to record."""

    content: TraceContent
    id: str = ""
    """Empty: a new one."""
    run: str = ""
    """The run that it belongs to, which exists; empty: the one that the memory writes in."""
    parent: str = ""
    """The id of a trace of the same run, or of one that stands before it among those to record."""
    parent_item: int = 0
    """Instead of `parent`: the place of one before it among those to record, from 1."""
    name: str = ""
    """What it is known as; empty: the tool, the model, the choice or the source."""
    attributes: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """More about it, to filter by."""
    stream: str = ""
    """The stream of the event that it belongs to; empty: `run/<run>`."""
    sequence: int = 0
    """The event's place in it; 0: the last event by then."""
    started_at: datetime | None = None
    """When what it tells of began: aware."""
    ended_at: datetime | None = None
    """When it ended: aware."""


class RecordedTraces(msgspec.Struct, frozen=True, kw_only=True):
    """Traces that were recorded in one entry: trace i has version `first_version + i`."""

    ids: tuple[str, ...]
    first_version: int
    time_us: int
    """Commit time in microseconds since the Unix epoch."""

    @property
    def log_index(self) -> int:
        """The log index of the entry."""
        return self.first_version >> 20


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One trace, and who wrote it when."""

    id: str
    kind: TraceKind
    content: TraceContent
    run: str
    stream: str
    """The stream of the event that it belongs to."""
    sequence: int
    """The event's place in it; 0: the run had no event yet."""
    parent: str
    """The id of its parent; empty: none."""
    name: str
    attributes: dict[str, Any]
    started_at_us: int
    """When what it tells of began, by its writer's clock, in µs since the Unix epoch; 0: not said."""
    ended_at_us: int
    """When it ended; 0: not said."""
    version: int
    time_us: int
    """Commit time in microseconds since the Unix epoch."""
    agent: str = ""
    tool: str = ""

    @property
    def log_index(self) -> int:
        """The log index of the entry, as every read takes it for `at=`."""
        return self.version >> 20

    @property
    def at(self) -> datetime:
        """Commit time, aware, in UTC."""
        return datetime_of(self.time_us)


class TraceTree(msgspec.Struct, frozen=True, kw_only=True):
    """The traces of a run, as of one moment. Iterating gives (depth, trace), parents before children."""

    run: str
    traces: tuple[Trace, ...]
    """In the order in which they were written."""
    is_truncated: bool
    """There are more than were asked for. A trace without its parent then stands among the roots."""
    log_index: int
    """As of when, as every read takes it for `at=`."""

    @property
    def roots(self) -> tuple[Trace, ...]:
        """Those without a parent."""
        here = {trace.id for trace in self.traces}
        return tuple(trace for trace in self.traces if trace.parent not in here)

    def children(self, id: str) -> tuple[Trace, ...]:
        """The children of a trace."""
        return tuple(trace for trace in self.traces if trace.parent == id)

    def __iter__(self) -> Iterator[tuple[int, Trace]]:
        children: dict[str, list[Trace]] = {}
        for trace in self.traces:
            children.setdefault(trace.parent, []).append(trace)
        waiting = [(0, trace) for trace in reversed(self.roots)]
        while waiting:
            depth, trace = waiting.pop()
            yield depth, trace
            waiting += [(depth + 1, child) for child in reversed(children.get(trace.id, ()))]

    def __len__(self) -> int:
        return len(self.traces)


class ImportedTraces(msgspec.Struct, frozen=True, kw_only=True):
    """What an import from OpenTelemetry stored."""

    runs: tuple[str, ...]
    """The runs that the traces belong to now."""
    count: int
    """How many traces."""
    left_out: int
    """How many spans were neither of a model, of a tool nor of this memory; their children stayed."""

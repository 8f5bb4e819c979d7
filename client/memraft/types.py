"""What calls return: frozen values.

Times come as integers of microseconds since the Unix epoch (`time_us`) and, computed when asked for, as aware
datetimes in UTC (`at`). A version is one integer, `log_index << 20 | position in the entry`; `log_index`
shows the part of it that every read takes as `at=`, as it takes the value itself.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypedDict, TypeVar, overload

import msgspec

from ._moments import datetime_of as datetime_of
from ._moments import time_us_of as time_us_of
from .types_embedding import EmbeddingModels as EmbeddingModels
from .types_embedding import NewMemory as NewMemory
from .types_embedding import Reembedded as Reembedded
from .types_forgetting import Consolidation as Consolidation
from .types_forgetting import ForgetReason as ForgetReason
from .types_forgetting import MemorySettings as MemorySettings
from .types_forgetting import MemorySettingsChanges as MemorySettingsChanges
from .types_forgetting import MemoryWorth as MemoryWorth
from .types_forgetting import MergedMemories as MergedMemories
from .types_forks import ForkInfo as ForkInfo
from .types_forks import Versioned as Versioned
from .types_graph import CrossDomainEdge as CrossDomainEdge
from .types_graph import Direction as Direction
from .types_graph import Edge as Edge
from .types_graph import Index as Index
from .types_graph import MergedInto as MergedInto
from .types_graph import MergedNode as MergedNode
from .types_graph import MergePolicy as MergePolicy
from .types_graph import Neighbour as Neighbour
from .types_graph import Node as Node
from .types_graph import Path as Path
from .types_graph import Reached as Reached
from .types_graph import Subgraph as Subgraph
from .types_graph import Traversal as Traversal
from .types_history import Happening as Happening
from .types_history import Retention as Retention
from .types_projections import ProjectionInfo as ProjectionInfo
from .types_projections import ProjectionState as ProjectionState
from .types_query import DocumentIndex as DocumentIndex
from .types_query import IndexState as IndexState
from .types_recall import FusionName as FusionName
from .types_recall import Reason as Reason
from .types_recall import RecallParameters as RecallParameters
from .types_recall import ReceiptId as ReceiptId
from .types_recall import ReceiptMode as ReceiptMode
from .types_recall import Rerank as Rerank
from .types_recall import why as _why
from .types_receipts import Lineage as Lineage
from .types_receipts import LineageMemory as LineageMemory
from .types_receipts import LineageReceipt as LineageReceipt
from .types_receipts import Receipt as Receipt
from .types_receipts import ReceiptHit as ReceiptHit
from .types_runs import MergeConflict as MergeConflict
from .types_runs import Merged as Merged
from .types_runs import RecordDifference as RecordDifference
from .types_runs import Replay as Replay
from .types_runs import RunDiff as RunDiff
from .types_runs import StepDifference as StepDifference
from .types_runs import Verdict as Verdict
from .types_settings import EndReason as EndReason
from .types_settings import NamespaceSettings as NamespaceSettings
from .types_settings import SchemaInfo as SchemaInfo
from .types_state import CounterInfo as CounterInfo
from .types_state import GateInfo as GateInfo
from .types_state import LeaseHolder as LeaseHolder
from .types_state import LeaseInfo as LeaseInfo
from .types_traces import Assumption as Assumption
from .types_traces import Citation as Citation
from .types_traces import Confidence as Confidence
from .types_traces import Decision as Decision
from .types_traces import ImportedTraces as ImportedTraces
from .types_traces import ModelInput as ModelInput
from .types_traces import ModelOutput as ModelOutput
from .types_traces import NewTrace as NewTrace
from .types_traces import RecordedTraces as RecordedTraces
from .types_traces import ToolCall as ToolCall
from .types_traces import Trace as Trace
from .types_traces import TraceContent as TraceContent
from .types_traces import TraceKind as TraceKind
from .types_traces import TraceTree as TraceTree


class Logged(Protocol):
    """What has its place in the log: results of writes and of reads, events, versions of records."""

    @property
    def log_index(self) -> int:
        """The log index of its entry."""


At: TypeAlias = datetime | int | Logged | None
"""As of when to read: an aware datetime (commit time), a log index, something that has one (the read shows
all of its entry), or None for now."""

Consistency: TypeAlias = Literal["session", "linearizable", "stale"]
"""How fresh an answer must be.

``session`` (the default): at least as new as everything this client has written or read in the shard.
``linearizable``: at least as new as everything anybody was told had been written when the call began.
``stale``: at once from any replica; the result's `age_us` says how old it may be.
"""

Metric: TypeAlias = Literal["cosine", "dot", "l2"]
"""How near two vectors are. A higher score is always nearer (`l2` is the negative squared distance)."""

RunStatus: TypeAlias = Literal["running", "succeeded", "failed"]

T = TypeVar("T")


def _with_log_index(shown: str, log_index: int) -> str:
    """A struct as `repr` shows it, and what to pass as `at=`."""
    return f"{shown[:-1]}, log_index={log_index})"


class _Stamped(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    """`log_index << 20 | position in the entry`; compare versions as integers."""
    time_us: int
    """Commit time in microseconds since the Unix epoch."""

    def __repr__(self) -> str:
        return _with_log_index(super().__repr__(), self.log_index)

    @property
    def log_index(self) -> int:
        """The log index of the entry, as every read takes it for `at=`."""
        return self.version >> 20

    @property
    def at(self) -> datetime:
        """Commit time, aware, in UTC."""
        return datetime_of(self.time_us)


class Written(_Stamped, frozen=True, kw_only=True):
    """A write that was acknowledged."""

    id: str
    """What was written: the key, the memory's id, the event's id, the vector's id, the run's id."""


class Deleted(Written, frozen=True, kw_only=True):
    """A deletion that was acknowledged."""

    found: bool
    """Whether there was something to delete."""


class Restored(Written, frozen=True, kw_only=True):
    """Something forgotten that is shown again."""

    found: bool
    """Whether there is one of this id."""


class WrittenMany(msgspec.Struct, frozen=True, kw_only=True):
    """Many things written in one entry: item i has version `first_version + i`."""

    first_version: int
    count: int
    time_us: int
    """Commit time in microseconds since the Unix epoch."""

    def __repr__(self) -> str:
        return _with_log_index(super().__repr__(), self.log_index)

    @property
    def log_index(self) -> int:
        """The log index of the entry."""
        return self.first_version >> 20

    @property
    def versions(self) -> range:
        """The versions, item by item."""
        return range(self.first_version, self.first_version + self.count)

    @property
    def at(self) -> datetime:
        """Commit time, aware, in UTC."""
        return datetime_of(self.time_us)


class Appended(Written, frozen=True, kw_only=True):
    """An event that was appended; `id` is the event's."""

    sequence: int
    """Its place in the stream, from 1."""
    hash: bytes
    """SHA-256 (32 bytes) of the event and of the hash before it."""


class AppendedMany(WrittenMany, frozen=True, kw_only=True):
    """Events that were appended in one entry: event i has sequence `first_sequence + i`."""

    first_sequence: int
    last_hash: bytes
    """The hash (32 bytes) of the last of them."""


class Swap(_Stamped, frozen=True, kw_only=True):
    """The outcome of a compare-and-swap."""

    swapped: bool
    """Whether it happened."""
    current: Any = None
    """Where it did not happen: the value that stands there, None where there is none."""
    is_current_omitted: bool = False
    """Whether `current` is left out although there is one: a reply, such as a batch's, has 1 MiB of them."""


class Record(_Stamped, frozen=True, kw_only=True):
    """A document or a state record, and who wrote it when."""

    key: str
    value: Any
    """The document, decoded from JSON; None in a listing with `keys_only`."""
    agent: str = ""
    run: str = ""
    tool: str = ""
    expires_at_us: int = 0
    """When it expires, in microseconds since the Unix epoch. 0: never."""

    @property
    def expires_at(self) -> datetime | None:
        """When it expires, aware, in UTC; None: never."""
        return datetime_of(self.expires_at_us) if self.expires_at_us else None


class KeyVersion(Record, frozen=True, kw_only=True):
    """One version of a document; `value` is None where that is an end."""

    deleted: bool = False
    """Whether it was deleted, has expired or was evicted."""
    reason: EndReason = ""
    """Which of these; empty where there is a document."""


class Event(_Stamped, frozen=True, kw_only=True):
    """One event of a stream."""

    sequence: int
    id: str
    type: str
    payload: Any
    agent: str = ""
    run: str = ""
    prev_hash: bytes
    hash: bytes


class StreamInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One stream in a listing."""

    name: str
    last_sequence: int


class ChainVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What recomputing a stream's hash chain found."""

    intact: bool
    count: int
    """How many events were checked. 0: there is no such stream, or none as of then."""
    last_hash: bytes
    first_broken_sequence: int
    """The first sequence whose hash does not hold. 0: none."""

    def __bool__(self) -> bool:
        return self.intact


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """A collection of vectors."""

    name: str
    dimension: int
    metric: Metric
    fingerprint: str
    count: int
    """How many vectors it holds as of the read."""


class Stored(Written, frozen=True, kw_only=True):
    """A node or an edge that was stored. An edge's `id` is `source-[type]->target`."""

    created: bool
    """Whether there was none before."""


class Created(Written, frozen=True, kw_only=True):
    """A collection that is there now; `id` is its name."""

    created: bool
    """False where it existed with the same settings already."""


class Upserted(Written, frozen=True, kw_only=True):
    """A vector that was stored."""

    replaced: bool
    """Whether it replaced one with the same id."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """One vector that a search found."""

    id: str
    score: float
    """Higher is nearer."""
    metadata: dict[str, Any]
    version: int


class MemoryItem(_Stamped, frozen=True, kw_only=True):
    """A memory, and who wrote it when."""

    id: str
    text: str
    about: str = ""
    """The entity it is about. Empty: none."""
    kind: str = ""
    salience: float = 0.0
    """How much it matters, from 0 to 1."""
    metadata: dict[str, Any]
    valid_from_us: int = 0
    """It is true in the world from then on, in microseconds since the Unix epoch. 0: it always was."""
    valid_until_us: int = 0
    """It is true until before then. 0: it has no end."""
    thread: str = ""
    """The conversation that it is a turn of. Empty: none."""
    speaker: str = ""
    """Who said it. Empty: nobody in particular."""
    pinned: bool = False
    """It is never forgotten to make room."""
    expires_at_us: int = 0
    """When it is forgotten, in microseconds since the Unix epoch. 0: never."""
    agent: str = ""
    run: str = ""
    tool: str = ""

    @property
    def valid_from(self) -> datetime | None:
        """`valid_from_us`, aware, in UTC; None where it always was."""
        return datetime_of(self.valid_from_us) if self.valid_from_us else None

    @property
    def valid_until(self) -> datetime | None:
        """`valid_until_us`, aware, in UTC; None where it has no end."""
        return datetime_of(self.valid_until_us) if self.valid_until_us else None


class Forgotten(_Stamped, frozen=True, kw_only=True):
    """A memory that was forgotten; version and time are those of its end."""

    memory: MemoryItem
    """It as it was then."""
    reason: ForgetReason
    note: str = ""
    """What who forgot it said about why. Empty: nothing."""
    worth: MemoryWorth | None = None
    """What it was worth, where it was evicted or pruned."""
    merged_into: str = ""
    """The id of the memory that it was merged into. Empty: it was not."""
    agent: str = ""
    """Who forgot it. Empty: the machine by itself."""
    run: str = ""
    tool: str = ""


class MemoryChanges(TypedDict, total=False):
    """What to change of a memory."""

    about: str
    kind: str
    salience: float
    metadata: Mapping[str, Any] | None
    valid_from: datetime | None
    valid_until: datetime | None
    pinned: bool
    ttl_ms: int


class Hit(MemoryItem, frozen=True, kw_only=True):
    """A memory that a recall found."""

    score: float
    """The sum of what its reasons added, at most 1: comparable within one recall. By an embedding alone: the
    cosine of its embedding and the query's. After a reranker: what that said."""
    reasons: tuple[Reason, ...] = ()
    """Why it was found, what counted most first."""

    def why(self) -> str:
        """Says in one line why it was found and where it came from."""
        origin = {"agent": self.agent, "run": self.run, "tool": self.tool, "version": self.version}
        return _why(self.score, self.reasons, origin)


class MemoryChange(_Stamped, frozen=True, kw_only=True):
    """What became of a memory that is watched."""

    id: str
    memory: MemoryItem | None
    """What it is now; None where it was forgotten, or is no longer one of those that are watched."""
    agent: str = ""
    """Who remembered, changed or forgot it."""
    run: str = ""
    tool: str = ""


class Run(_Stamped, frozen=True, kw_only=True):
    """One run; `time_us` and `at` are those of its latest change."""

    id: str
    status: RunStatus
    agent: str
    began_at_us: int
    ended_at_us: int
    """0: it has not ended."""
    inputs: Any
    outputs: Any
    began_version: int = 0
    """The version of its beginning."""
    recorded: bool = False
    """Whether its commands are recorded, so that it can be replayed."""
    steps: int = 0
    """How many of them are."""

    @property
    def began_at(self) -> datetime:
        """Commit time of its beginning."""
        return datetime_of(self.began_at_us)

    @property
    def ended_at(self) -> datetime | None:
        """Commit time of its end; None where it has not ended."""
        return datetime_of(self.ended_at_us) if self.ended_at_us else None


class Results(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What a read of several things found: a sequence that also says what the read saw."""

    items: tuple[T, ...]
    log_index: int
    """The applied log index of the replica that answered."""
    time_us: int
    """Commit time of that index in microseconds since the Unix epoch."""
    age_us: int = 0
    """For a stale read: microseconds since the replica last heard from a leader. 0 on the leader."""
    next_cursor: str = ""
    """Pass it as `cursor=` for the next page. Empty: this was the last one."""
    floor_index: int = 0
    """Of a history or a timeline: what a newer version replaced before this log index may have been
    forgotten, see `set_retention`. 0: nothing was."""

    @property
    def at(self) -> datetime:
        """Commit time of `log_index`, aware, in UTC."""
        return datetime_of(self.time_us)

    @property
    def version(self) -> int:
        """The highest version that the replica had applied: a watch goes on from it (`after_version=`)."""
        return ((self.log_index + 1) << 20) - 1

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]


class Recalled(Results[Hit], frozen=True, kw_only=True):
    """What a recall found, best first."""

    receipt: ReceiptId | None = None
    """Its receipt; None where there is none: it was not wanted, or the answer is not the leader's."""
    parameters: RecallParameters = {}
    """What was counted with."""


class QueryResults(Results[Record], frozen=True, kw_only=True):
    """A page of a query of documents."""

    at_index: int
    """The log index that this page and all after it are read at."""
    scanned: int
    """How many documents were looked at for this page."""
    index_used: str
    """The field whose index was used; empty: none was."""


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """Documents that `get_many` read at one applied log index: key -> value of those that exist."""

    values: dict[str, Any]
    versions: dict[str, int]
    log_index: int
    time_us: int
    age_us: int = 0

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def __contains__(self, key: object) -> bool:
        return key in self.values

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

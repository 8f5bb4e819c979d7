# Generated from _async/txn.py by scripts/generate_sync.py: edit that one.

"""Transactions: reads of one moment and writes of any kind, which happen together or not at all."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from memraft_proto.methods import Method
from memraft_proto.v1 import (
    coordination_pb2,
    graph_pb2,
    kv_pb2,
    lease_pb2,
    memory_pb2,
    run_pb2,
    state_pb2,
    stream_pb2,
)

from .. import _coordination as coordination
from .. import _graph, _json, _txn, _wire
from .. import _operations as operations
from .._own_writes import OwnWrites, edge_name
from .._txn import KINDS, Isolation, Readable
from ..errors import InvalidArgument, TxnConflict
from ..types import (
    Consistency,
    Documents,
    Edge,
    Event,
    GateInfo,
    LeaseInfo,
    MemoryItem,
    Node,
    Record,
    Results,
    Run,
)
from .base import METHOD, Calls
from .batch import Writes
from .io import sleep

if TYPE_CHECKING:
    from .memory import Memory

R = TypeVar("R")

ATTEMPTS = 10
"""How often a transaction is tried where the caller says nothing."""

_COMMIT = METHOD["CommitTxn"]
_SEEN_BYTES_MAX = 16 << 20
"""As much of what was read is kept, to see whether it is still the same; beyond it a conflict is final."""


class Txn(Writes):
    """A transaction. `with m.txn() as t:` reads with `t.get` and the like, as of one log index, and
    collects writes with `t.put` and the like; when the block ends without an exception all writes happen
    together, in one log entry, or none.

    A block cannot be run a second time. So where something that it read was written before it commits, all is
    read again: where the reads give just what the block was given, the block would have done just the same,
    and the commit is tried again, after a pause with jitter. Where they differ, TxnConflict is raised and
    nothing was written; `transact` runs a function again until it succeeds.

    What searches and walks find (`recall`, `search`, `neighbours` and the like) cannot be compared at commit,
    so a transaction does not have them: read with the memory itself, and then what matters of it with
    `t.memory`, `t.node`, `t.edge` and the like.

    An operation that cannot be done, as one whose `if_version` does not hold, raises TxnFailed, and nothing
    was written either.

    The block reads documents as it has written them itself (`get`, `get_many`). What comes of any other write
    is only known at commit: to read that (a counter after `add`, a record after `cas`, after `put` a list or
    the document's version) raises InvalidArgument.
    """

    _what = "transaction"

    def __init__(self, memory: "Memory", isolation: Isolation, attempts: int) -> None:
        _txn.check_isolation(isolation)
        super().__init__(memory._where, memory._embedding, memory._embeddings)
        self._memory = memory
        self._isolation = isolation
        self._attempts = _wire.at_least_one(attempts, "attempts")
        self._index: int | None = None
        self._reads: dict[tuple[int, str], int] = {}
        self._expected: dict[tuple[int, str], int] = {}
        self._ranges: dict[tuple[str, str, str], None] = {}
        self._seen: list[_Read] = []
        self._seen_bytes = 0
        self._own = OwnWrites()

    @property
    def read_index(self) -> int | None:
        """The log index as of which the transaction reads; None before its first read."""
        return self._index

    def _add(self, field: str, request: Any, done: Callable[[Any, Any], object]) -> int:
        place = super()._add(field, request, done)
        self._own.note(field, request)
        return place

    # -- reads -----------------------------------------------------------------------------------------

    def get(self, key: str, default: Any = None) -> Any:
        """Reads a document's value, `default` where there is none: see `Memory.get`. What the
        transaction itself has stored or deleted is read as such."""
        self._check_not_over()
        if (own := self._own.documents.get(key)) is not None:
            return _json.decode(own) if own else default
        found = self._documents((key,), _values)
        return _json.decode(found.values[0]) if found.kinds[0] else default

    def get_many(self, keys: Iterable[str]) -> Documents:
        """Reads many documents: see `Memory.get_many`. Those that the transaction itself has stored are in
        `values`, and not in `versions`."""
        wanted = (keys,) if isinstance(keys, str) else tuple(_wire.listed(keys, "keys", "keys"))
        own = self._own.documents
        others = tuple(key for key in wanted if key not in own)
        found = _wire.documents(others, self._documents(others, _everything))
        found.values.update({key: _json.decode(own[key]) for key in wanted if own.get(key)})
        return found

    def record(self, key: str) -> Record | None:
        """Reads a document with its version and who wrote it: see `Memory.record`."""
        self._own.check_document(key)
        if key in self._own.documents:
            self._check_not_over()
            return None
        found: kv_pb2.GetResponse = self._see(
            "Get", {"key": key}, lambda found: self._note("document", key, found.provenance.version)
        )
        return _wire.record(key, found) if found.found else None

    def list(
        self,
        prefix: str = "",
        *,
        start: str = "",
        end: str = "",
        limit: int = 1000,
        cursor: str = "",
        keys_only: bool = False,
    ) -> Results[Record]:
        """Lists documents: see `Memory.list`. The whole range counts as read, also what is on other pages: a
        document that somebody puts into it meanwhile is a conflict. A transaction may read ranges of at most
        20,000 keys in all."""
        self._own.check_range(prefix, start, end)
        arguments: dict[str, Any] = {"prefix": prefix, "start": start, "end": end, "cursor": cursor}
        arguments |= {"limit": _wire.at_least_one(limit, "limit"), "keys_only": keys_only}
        found = self._see("List", arguments, lambda _: self._note_range(prefix, start, end))
        return _wire.listing(found, keys_only)

    def state(self, name: str) -> Record | None:
        """Reads a record: see `Memory.state`."""
        self._own.check_unwritten("state", [name])
        found: state_pb2.GetStateResponse = self._see(
            "GetState", {"name": name}, lambda found: self._note("state", name, found.provenance.version)
        )
        return _wire.record(name, found) if found.found else None

    def counter(self, name: str) -> int:
        """Reads a counter: see `Memory.counter`."""
        self._own.check_unwritten("counter", [name])
        found: coordination_pb2.GetCounterResponse = self._see(
            "GetCounter",
            {"name": name},
            lambda found: self._note("counter", name, found.provenance.version),
            lambda found: found.value,
        )
        return found.value

    def gate_info(self, name: str) -> GateInfo:
        """Reads how a gate stands: see `Memory.gate`."""
        self._own.check_unwritten("gate", [name])
        found = self._see(
            "GetGate", {"name": name}, lambda found: self._note("gate", name, found.provenance.version)
        )
        return coordination.gate_info(name, found)

    def lease_info(self, name: str) -> LeaseInfo | None:
        """Reads who holds a lock: see `Memory.lease_info`. That another holds it by the end is a conflict."""
        found: lease_pb2.GetLeaseResponse = self._see(
            "GetLease", {"name": name}, lambda found: self._note("lease", name, found.current.token)
        )
        if not found.HasField("current"):
            return None
        return coordination.lease_info(name, found.current, found.waiting)

    def events(self, stream: str, *, from_sequence: int = 1, limit: int = 1000) -> Results[Event]:
        """Reads events in order: see `Memory.events`. That any event is appended meanwhile is a conflict."""
        self._own.check_unwritten("stream", [stream])
        arguments = {"stream": stream, "from_sequence": _wire.at_least_one(from_sequence, "from_sequence")}
        arguments["limit"] = _wire.at_least_one(limit, "limit")
        found: stream_pb2.ReadStreamResponse = self._see(
            "ReadStream", arguments, lambda found: self._note("stream", stream, found.last_sequence)
        )
        return _wire.results(found, tuple(map(_wire.event, found.events)))

    def memory(self, id: str) -> MemoryItem | None:
        """Reads one memory: see `Memory.memory`."""
        self._own.check_unwritten("memory", [id])
        found: memory_pb2.GetMemoryResponse = self._see(
            "GetMemory", {"id": id}, lambda found: self._note("memory", id, found.memory.provenance.version)
        )
        return MemoryItem(**_wire.memory_fields(found.memory)) if found.HasField("memory") else None

    def run_info(self, run_id: str) -> Run | None:
        """Reads one run: see `Memory.run_info`."""
        self._own.check_unwritten("run", [run_id])
        found: run_pb2.GetRunResponse = self._see(
            "GetRun", {"run_id": run_id}, lambda found: self._note("run", run_id, found.run.version)
        )
        return _wire.run(found.run) if found.HasField("run") else None

    def node(self, id: str) -> Node | None:
        """Reads a node: see `Memory.node`."""

        self._own.check_unwritten("node", [id])

        def note(found: graph_pb2.GetNodeResponse) -> None:
            self._note("node", id, found.node.provenance.version if found.node.id == id else 0)
            if found.node.id not in ("", id):  # the one that it was merged into
                self._note("node", found.node.id, found.node.provenance.version)

        found: graph_pb2.GetNodeResponse = self._see("GetNode", {"id": id}, note)
        self._own.check_unwritten("node", [found.node.id, *(each.id for each in found.node.merged_from)])
        return _graph.node(found.node) if found.HasField("node") else None

    def edge(self, source: str, type: str, target: str) -> Edge | None:
        """Reads an edge: see `Memory.edge`. Its ends are ids of nodes that were not merged into others."""
        self._own.check_edge(source, type, target)
        name = edge_name(source, type, target)
        arguments = {"source": source, "type": type, "target": target}
        found: graph_pb2.GetEdgeResponse = self._see(
            "GetEdge", arguments, lambda found: self._note("edge", name, found.provenance.version)
        )
        return _graph.edge(found.edge) if found.HasField("edge") else None

    if not TYPE_CHECKING:  # a type checker says it by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or not hasattr(type(self._memory), name):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            raise AttributeError(
                f"a transaction has no {name}: what it finds cannot be compared at commit. Read with the "
                "memory itself, then what matters with the transaction: documents, memories, nodes, edges"
            )

    def expect(self, kind: Readable, name: str, version: int) -> None:
        """Says what must be so at commit, whatever the isolation; else there is a conflict.

        Args:
            kind: of what: `document`, `state`, `counter`, `gate`, `memory`, `run` or `node`: its version;
                `lease`: the token of its holder; `stream`: its last sequence; `edge`: its version, where the
                name is source, type and target with U+0001 between them.
            name: its key, name or id.
            version: what it must have; 0: there must be none.
        """
        self._check_not_over()
        self._expected[_txn.kind_number(kind), name] = version

    # -- the block -------------------------------------------------------------------------------------

    def __enter__(self) -> "Txn":
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over = True
        if kind is None and (self._operations or self._expected):
            self._commit()

    def _commit(self) -> None:
        self._embed_texts()
        attempt = 0
        while True:
            attempt += 1
            response = self._memory._link.write(_COMMIT, self._request())
            if response.committed:
                self.results = operations.batch_outcomes(self._operations, response)
                self.log_index = response.log_index
                return
            if response.failed_operation:
                raise _txn.failure(self._operations, response)
            conflict = _txn.conflict(response)
            is_expected = any((each.kind, each.name) in self._expected for each in response.conflicts)
            if is_expected or attempt >= self._attempts or self._seen_bytes > _SEEN_BYTES_MAX:
                raise conflict
            sleep(_txn.pause_s(attempt))
            if not self._is_all_the_same():
                raise conflict

    def _request(self) -> Any:
        is_compared = self._isolation == "serializable"
        return _txn.request(
            self._where,
            self._wrapped,
            {**(self._reads if is_compared else {}), **self._expected},
            self._ranges if is_compared else (),
            self._index,
            None if is_compared else self._index,
        )

    def _is_all_the_same(self) -> bool:
        """Reads everything again as of now; whether the block would have been given just the same."""
        if not self._seen:
            return False
        before, self._seen, self._seen_bytes = self._seen, [], 0
        self._index = None
        self._reads.clear()
        for read in before:
            self._look(read)
            if self._seen[-1].shown != read.shown:
                return False
        return True

    def _documents(self, keys: tuple[str, ...], shown: Callable[[Any], Any]) -> Any:
        def note(found: kv_pb2.MultiGetResponse) -> None:
            for key, version in zip(keys, found.versions, strict=True):
                self._note("document", key, version)

        return self._see("MultiGet", {"keys": keys}, note, shown)

    def _see(
        self,
        name: str,
        arguments: dict[str, Any],
        note: Callable[[Any], None],
        shown: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Makes a read, and keeps how to make it again; `shown` says what of it the block is given."""
        self._check_not_over()
        return self._look(_Read(METHOD[name], arguments, note, shown or _everything))

    def _look(self, read: "_Read") -> Any:
        memory = self._memory
        level: Consistency | None = "session" if memory._consistency == "stale" else None
        request = _wire.build(read.method.request, **memory._from(self._index, level), **read.arguments)
        found = memory._link.read(read.method, request)
        if self._index is None:
            self._index = found.stamp.applied_index  # What a read of now saw is that index, no other.
        read.note(found)
        self._seen_bytes += found.ByteSize()
        if self._seen_bytes <= _SEEN_BYTES_MAX:
            shown = read.show(found)
            self._seen.append(_Read(read.method, read.arguments, read.note, read.show, shown))
        return found

    def _note(self, kind: Readable, name: str, version: int) -> None:
        self._reads[KINDS[kind], name] = version

    def _note_range(self, prefix: str, start: str, end: str) -> None:
        self._ranges[prefix, start, end] = None


class _Read:
    """One read of a transaction: how it is made, and what it showed."""

    __slots__ = ("arguments", "method", "note", "show", "shown")

    def __init__(
        self,
        method: Method,
        arguments: dict[str, Any],
        note: Callable[[Any], None],
        show: Callable[[Any], Any],
        shown: Any = None,
    ) -> None:
        self.method = method
        self.arguments = arguments
        self.note = note
        self.show = show
        self.shown = shown


def _values(found: kv_pb2.MultiGetResponse) -> Any:
    return bytes(found.kinds), list(found.values)


def _everything(found: Any) -> bytes:
    """All of a response but its stamp."""
    rest = type(found)()
    rest.CopyFrom(found)
    rest.ClearField("stamp")
    return bytes(rest.SerializeToString(deterministic=True))


class TxnCalls(Calls):
    """Transactions."""

    def txn(self, *, isolation: Isolation = "serializable", attempts: int = ATTEMPTS) -> Txn:
        """Returns a transaction: `with m.txn() as t: t.put("a", t.get("b"))`.

        Args:
            isolation: `serializable`: as if transactions came one after the other; `snapshot`: see
                `memraft.types.Isolation`.
            attempts: how often its commit is tried where something it read was written but reads the same.

        Raises:
            InvalidArgument: `isolation` or `attempts` is malformed.
            TxnConflict: of the block: something that it read was changed; nothing was written.
            TxnFailed: of the block: an operation could not be done; nothing was written.
        """
        return Txn(self, isolation, attempts)  # type: ignore[arg-type]  # All calls are one memory's.

    def transact(
        self,
        function: Callable[[Txn], R],
        *,
        isolation: Isolation = "serializable",
        attempts: int = ATTEMPTS,
    ) -> R:
        """Runs a function in a transaction, again and again until it commits, after pauses with jitter.

        Args:
            function: takes the transaction. It may run several times, so it should change nothing else.
            isolation: as of `txn`.
            attempts: how often it is run.

        Returns:
            What the function returned, in the run that was committed.

        Raises:
            TxnConflict: there were conflicts in all attempts; nothing was written.
            TxnFailed: an operation could not be done; nothing was written.
        """
        if not callable(function):
            raise InvalidArgument(f"function must be callable, not {function!r}")
        attempts = _wire.at_least_one(attempts, "attempts")
        attempt = 1
        while True:
            try:
                with self.txn(isolation=isolation) as t:
                    result = function(t)
                return result
            except TxnConflict:
                if attempt >= attempts:
                    raise
            sleep(_txn.pause_s(attempt))
            attempt += 1

# Generated from _async/batch.py by scripts/generate_sync.py: edit that one.

"""Many writes in one round trip and one log entry."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Protocol, Unpack

from memraft_proto.methods import Method
from memraft_proto.v1 import batch_pb2

from .. import _coordination as coordination
from .. import _graph as graph
from .. import _operations as operations
from .. import _traces as traces
from .. import _wire
from .._graph import EdgeFields, NodeFields, Properties
from .._streams import MISSING, Scope
from ..errors import BatchFailed, ClosedError, InvalidArgument, MemraftError
from ..types import MemoryChanges, MergePolicy, Metric, NewTrace, TraceContent
from .base import METHOD

_BATCH = METHOD["Batch"]
_NOWHERE: Mapping[str, Any] = {}
"""The namespace and the context of an operation in a batch: the batch's own hold."""


class Send(Protocol):
    """Carries the batch."""

    def __call__(self, method: Method, request: Any) -> Any: ...


Embed = Callable[[str, Any, str | None], tuple[bytes, str]]
"""(text, vector or None, fingerprint or None) -> the embedding's bytes and fingerprint."""

EmbedMany = Callable[[Sequence[str]], tuple[list[bytes], str]]
"""Texts -> the embeddings' bytes, and their fingerprint."""


class Writes:
    """Collects writes of one block, which are then sent together: what a batch and a transaction share.

    Each call takes the arguments of the memory's own call and returns the operation's position in `results`.
    """

    _what = "block of writes"

    def __init__(
        self,
        where: Mapping[str, Any],
        embed: Embed,
        embed_many: EmbedMany,
    ) -> None:
        self.results: tuple[Any, ...] = ()
        """After the block: of each operation, its result, or the exception that it met."""
        self.log_index = 0
        """After the block: the log index of the entry that holds it."""
        self._where = where
        self._embed = embed
        self._embed_many = embed_many
        self._unembedded: list[tuple[int, str, str | None]] = []
        """Of memories without an embedding yet: the place, the text, the fingerprint if one was given."""
        self._operations: list[tuple[Any, Any]] = []
        self._wrapped: list[batch_pb2.Operation] = []
        self._is_entered = False
        self._is_over = False

    def __len__(self) -> int:
        return len(self._operations)

    def _enter(self) -> None:
        self._check_not_over()
        if self._is_entered:
            raise InvalidArgument(f"this {self._what}'s block is under way already: begin another")
        self._is_entered = True

    def _check_not_over(self) -> None:
        if self._is_over:
            raise ClosedError(f"this {self._what} is over, its block has ended: begin another")

    def _add(self, field: str, request: Any, done: Callable[[Any, Any], object]) -> int:
        self._check_not_over()
        self._operations.append((request, done))
        self._wrapped.append(batch_pb2.Operation(**{field: request}))
        return len(self._operations) - 1

    def _embed_texts(self) -> None:
        """Has the texts of all memories embedded together."""
        waiting, self._unembedded = self._unembedded, []
        if not waiting:
            return
        embeddings, named = self._embed_many([text for _, text, _ in waiting])
        for (place, _, given), embedding in zip(waiting, embeddings, strict=True):
            request = self._wrapped[place].remember
            request.embedding, request.fingerprint = embedding, named if given is None else given

    def put(self, key: str, value: Any, *, ttl_ms: int = 0, if_version: int | None = None) -> int:
        """Stores a document: see `Memory.put`."""
        request = operations.put(_NOWHERE, key, value, ttl_ms, if_version)
        return self._add("put", request, operations.put_done)

    def delete(self, key: str, *, if_version: int | None = None) -> int:
        """Deletes a document: see `Memory.delete`."""
        return self._add("delete", operations.delete(_NOWHERE, key, if_version), operations.delete_done)

    def put_many(self, values: Mapping[str, Any], *, delete: Iterable[str] = (), ttl_ms: int = 0) -> int:
        """Stores and deletes many documents: see `Memory.put_many`."""
        request = operations.put_many(_NOWHERE, values, delete, ttl_ms)
        return self._add("multi_put", request, operations.put_many_done)

    def append(
        self,
        stream: str | None = None,
        payload: Any = MISSING,
        *,
        type: str = "event",
        **scope: Unpack[Scope],
    ) -> int:
        """Appends one event: see `Memory.append`."""
        request = operations.append(_NOWHERE, stream, payload, type, scope)
        return self._add("append", request, operations.append_done)

    def append_many(
        self,
        stream: str | None = None,
        payloads: Iterable[Any] = MISSING,
        *,
        type: str | Sequence[str] = "event",
        **scope: Unpack[Scope],
    ) -> int:
        """Appends many events: see `Memory.append_many`."""
        request = operations.append_many(_NOWHERE, stream, payloads, type, scope)
        return self._add("append_many", request, operations.append_many_done)

    def cas(self, name: str, value: Any, *, expected_version: int) -> int:
        """Replaces a record if it still has a version: see `Memory.cas`."""
        request = operations.cas(_NOWHERE, name, value, expected_version, False)
        return self._add("compare_and_swap", request, operations.cas_done)

    def cas_remove(self, name: str, *, expected_version: int) -> int:
        """Removes a record if it still has a version: see `Memory.cas_remove`."""
        request = operations.cas(_NOWHERE, name, None, expected_version, True)
        return self._add("compare_and_swap", request, operations.cas_done)

    def add(self, name: str, delta: int = 1) -> int:
        """Adds to a counter: see `Memory.add`."""
        request = coordination.add_counter(_NOWHERE, name, delta)
        return self._add("add_counter", request, coordination.add_counter_done)

    def open_gate(self, name: str) -> int:
        """Opens a gate: see `Memory.gate`."""
        request = coordination.set_gate(_NOWHERE, name, True)
        return self._add("set_gate", request, coordination.set_gate_done)

    def close_gate(self, name: str) -> int:
        """Closes a gate and forgets who arrived: see `Memory.gate`."""
        request = coordination.set_gate(_NOWHERE, name, False)
        return self._add("set_gate", request, coordination.set_gate_done)

    def create_collection(
        self, collection: str, dimension: int, *, metric: Metric = "cosine", fingerprint: str = ""
    ) -> int:
        """Creates a collection: see `Memory.create_collection`."""
        request = operations.create_collection(_NOWHERE, collection, dimension, metric, fingerprint)
        return self._add("create_collection", request, operations.create_collection_done)

    def upsert(
        self,
        collection: str,
        id: str,
        vector: Any,
        *,
        metadata: Mapping[str, Any] | None = None,
        fingerprint: str = "",
    ) -> int:
        """Stores one vector: see `Memory.upsert`."""
        request = operations.upsert(_NOWHERE, collection, id, vector, metadata, fingerprint)
        return self._add("upsert_vector", request, operations.upsert_done)

    def upsert_many(
        self,
        collection: str,
        ids: Sequence[str],
        vectors: Any,
        *,
        metadatas: Sequence[Mapping[str, Any] | None] | None = None,
        fingerprint: str = "",
    ) -> int:
        """Stores many vectors: see `Memory.upsert_many`."""
        request = operations.upsert_many(_NOWHERE, collection, ids, vectors, metadatas, fingerprint)
        return self._add("upsert_many", request, operations.upsert_many_done)

    def delete_vector(self, collection: str, id: str) -> int:
        """Deletes one vector: see `Memory.delete_vector`."""
        request = operations.delete_vector(_NOWHERE, collection, id)
        return self._add("delete_vector", request, operations.delete_vector_done)

    def remember(
        self,
        text: str,
        *,
        about: str = "",
        kind: str = "",
        salience: float = 0.5,
        metadata: Mapping[str, Any] | None = None,
        embedding: Any = None,
        fingerprint: str | None = None,
        id: str = "",
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        thread: str = "",
        speaker: str = "",
        pinned: bool = False,
        ttl_ms: int = 0,
    ) -> int:
        """Stores a memory: see `Memory.remember`. The embedder is called when the block ends, once for the
        texts of all of them."""
        vector = (b"", "")
        if embedding is not None:
            vector = self._embed(text, embedding, fingerprint)
        elif not isinstance(text, str):
            raise InvalidArgument(f"text must be a str, not {type(text).__name__}")
        request = operations.remember(
            _NOWHERE, text, vector, metadata, (valid_from, valid_until),
            about=about, kind=kind, salience=salience, id=id,
            thread=thread, speaker=speaker, pinned=pinned, ttl_ms=ttl_ms,
        )  # fmt: skip
        place = self._add("remember", request, operations.remember_done)
        if embedding is None:
            self._unembedded.append((place, text, fingerprint))
        return place

    def update_memory(self, id: str, **changes: Unpack[MemoryChanges]) -> int:
        """Changes what is known of a memory: see `Memory.update_memory`."""
        request = operations.update_memory(_NOWHERE, id, changes)
        return self._add("update_memory", request, operations.update_memory_done)

    def forget(self, id: str, *, reason: str = "") -> int:
        """Forgets a memory: see `Memory.forget`."""
        return self._add("forget", operations.forget(_NOWHERE, id, reason), operations.forget_done)

    def begin_run(self, run_id: str = "", *, inputs: Any = None, record: bool = False) -> int:
        """Begins a run: see `Memory.begin_run`."""
        return self._add(
            "begin_run", operations.begin_run(_NOWHERE, run_id, inputs, record), operations.begin_run_done
        )

    def end_run(
        self, run_id: str, status: Literal["succeeded", "failed"] = "succeeded", *, outputs: Any = None
    ) -> int:
        """Ends a run: see `Memory.end_run`."""
        request = operations.end_run(_NOWHERE, run_id, status, outputs)
        return self._add("end_run", request, operations.end_run_done)

    def put_node(
        self,
        id: str,
        properties: Properties = None,
        *,
        type: str = "",
        domain: str = "",
        if_version: int | None = None,
    ) -> int:
        """Stores a node: see `Memory.put_node`."""
        request = graph.put_node(_NOWHERE, id, properties, type, domain, if_version)
        return self._add("upsert_node", request, graph.node_done)

    def patch_node(
        self,
        id: str,
        changes: Properties = None,
        *,
        type: str | None = None,
        domain: str | None = None,
        if_version: int | None = None,
    ) -> int:
        """Changes a node: see `Memory.patch_node`."""
        request = graph.patch_node(_NOWHERE, id, changes, type, domain, if_version)
        return self._add("upsert_node", request, graph.node_done)

    def delete_node(self, id: str, *, detach: bool = False, if_version: int | None = None) -> int:
        """Deletes a node: see `Memory.delete_node`."""
        request = graph.delete_node(_NOWHERE, id, detach, if_version)
        return self._add("delete_node", request, graph.delete_node_done)

    def put_edge(
        self,
        source: str,
        type: str,
        target: str,
        properties: Properties = None,
        *,
        weight: float | None = None,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        if_version: int | None = None,
    ) -> int:
        """Stores an edge: see `Memory.put_edge`."""
        fields = (properties, weight, valid_from, valid_until, if_version)
        request = graph.put_edge(_NOWHERE, source, type, target, *fields, patch=False)
        return self._add("upsert_edge", request, graph.edge_done)

    def patch_edge(
        self,
        source: str,
        type: str,
        target: str,
        changes: Properties = None,
        *,
        weight: float | None = None,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        if_version: int | None = None,
    ) -> int:
        """Changes an edge: see `Memory.patch_edge`."""
        fields = (changes, weight, valid_from, valid_until, if_version)
        request = graph.put_edge(_NOWHERE, source, type, target, *fields, patch=True)
        return self._add("upsert_edge", request, graph.edge_done)

    def delete_edge(self, source: str, type: str, target: str, *, if_version: int | None = None) -> int:
        """Deletes an edge: see `Memory.delete_edge`."""
        request = graph.delete_edge(_NOWHERE, source, type, target, if_version)
        return self._add("delete_edge", request, graph.delete_edge_done)

    def put_graph(
        self,
        nodes: Iterable[str | NodeFields] = (),
        edges: Iterable[tuple[str, str, str] | EdgeFields] = (),
    ) -> int:
        """Stores many nodes and edges: see `Memory.put_graph`."""
        return self._add("upsert_graph", graph.put_graph(_NOWHERE, nodes, edges), graph.put_graph_done)

    def merge_nodes(
        self,
        id: str,
        merged: str,
        *,
        policy: MergePolicy = "keep",
        policies: Mapping[str, MergePolicy] | None = None,
    ) -> int:
        """Makes one node out of two: see `Memory.merge_nodes`."""
        request = graph.merge_nodes(_NOWHERE, id, merged, policy, policies)
        return self._add("merge_nodes", request, graph.merge_nodes_done)

    def forget_node(self, id: str) -> int:
        """Hides a node: see `Memory.forget_node`."""
        return self._add("forget_node", graph.forget_node(_NOWHERE, id, False), graph.forget_node_done)

    def restore_node(self, id: str) -> int:
        """Shows a forgotten node again: see `Memory.restore_node`."""
        return self._add("forget_node", graph.forget_node(_NOWHERE, id, True), graph.restore_node_done)

    def record_trace(
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
    ) -> int:
        """Records one trace: see `Memory.record_trace`."""
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
        return self._add("record_traces", traces.record(_NOWHERE, [new]), traces.record_one_done)

    def record_traces(self, new: Iterable[NewTrace]) -> int:
        """Records many traces, all or none: see `Memory.record_traces`."""
        return self._add("record_traces", traces.record(_NOWHERE, new), traces.record_done)


class Batch(Writes):
    """Collects writes and sends them when its `with` block ends without an exception.

    The operations are applied in order with nothing between them, in one log entry, once. A batch is not a
    transaction: an operation that is refused, or whose `if_version` does not hold, does not undo the others.
    It is sent once: after its block it only has results, and whatever else is asked of it raises ClosedError.
    Each call takes the arguments of the memory's own call and returns the operation's position in `results`.
    """

    _what = "batch"

    def __init__(
        self,
        send: Send,
        where: Mapping[str, Any],
        embed: Embed,
        embed_many: EmbedMany,
        errors: Literal["raise", "return"],
    ) -> None:
        if errors not in ("raise", "return"):
            raise InvalidArgument(f"errors must be 'raise' or 'return', not {errors!r}")
        super().__init__(where, embed, embed_many)
        self._send = send
        self._errors = errors

    def __enter__(self) -> "Batch":
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Before it is sent: also where the outcome is unknown, it must not be sent again as something new.
        self._is_over = True
        if kind is None and self._operations:
            self._commit()

    def _commit(self) -> None:
        self._embed_texts()
        request = _wire.build(batch_pb2.BatchRequest, **self._where, operations=self._wrapped)
        response: batch_pb2.BatchResponse = self._send(_BATCH, request)
        self.results = operations.batch_outcomes(self._operations, response)
        self.log_index = response.log_index
        if self._errors == "raise" and any(isinstance(each, MemraftError) for each in self.results):
            raise BatchFailed(self.results)

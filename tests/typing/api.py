"""What a user writes against the public API, type-checked by `make lint` and never run."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, assert_type

import numpy as np
import numpy.typing as npt

from memraft import (
    AgentRun,
    AsyncAgentRun,
    AsyncMemory,
    BatchFailed,
    ConflictError,
    HashedNgrams,
    Memory,
    MemraftError,
    MergeConflicts,
    OutcomeUnknown,
    QuotaExceeded,
    SchemaViolation,
)
from memraft.chain import ExportVerdict, verify_export
from memraft.embedders import EndpointEmbedder, FunctionEmbedder, OnnxEmbedder
from memraft.types import (
    Appended,
    AppendedMany,
    ChainVerdict,
    Collection,
    Confidence,
    Consolidation,
    CounterInfo,
    Created,
    CrossDomainEdge,
    Decision,
    Deleted,
    DocumentIndex,
    Documents,
    Edge,
    EmbeddingModels,
    EndReason,
    Event,
    Forgotten,
    ForkInfo,
    Happening,
    Hit,
    ImportedTraces,
    Index,
    IndexState,
    KeyVersion,
    Lineage,
    Match,
    MemoryChange,
    MemoryItem,
    MemorySettings,
    MergeConflict,
    Merged,
    MergedInto,
    NamespaceSettings,
    Neighbour,
    NewTrace,
    Node,
    Path,
    ProjectionState,
    QueryResults,
    Recalled,
    Receipt,
    ReceiptHit,
    Record,
    RecordDifference,
    RecordedTraces,
    Reembedded,
    Replay,
    Restored,
    Results,
    Run,
    RunDiff,
    SchemaInfo,
    StepDifference,
    Stored,
    StreamInfo,
    Subgraph,
    Swap,
    Trace,
    Traversal,
    Upserted,
    Written,
    WrittenMany,
)
from memraft_server.projections.protocol import Change, Projection


def my_embedder(text: str) -> list[float]:
    return [float(len(text))]


def my_array_embedder(text: str) -> npt.NDArray[np.float32]:
    return np.zeros(3, np.float32)


async def my_awaited_embedder(text: str) -> list[float]:
    return [float(len(text))]


def opening() -> None:
    Memory()
    Memory(path="directory")
    Memory("n1:7000,n2:7000", certs="certs", namespace="acme/support", agent="support/worker-3")
    Memory(["n1:7000"], certs="certs", timeout_s=2.5, consistency="linearizable")
    Memory("n1:7000", insecure=True, namespace="acme/x", engine="lean")
    Memory(embedder=my_embedder)
    Memory(embedder=my_array_embedder)
    Memory(embedder=HashedNgrams(1024))
    Memory(embedder=OnnxEmbedder("minilm.onnx"))
    Memory(embedder=FunctionEmbedder(my_embedder, fingerprint="mine:1"))
    service = EndpointEmbedder("https://api.example.org/v1", "small", api_key="key", timeout_s=5.0)
    AsyncMemory(embedder=service)
    AsyncMemory(embedder=my_awaited_embedder)
    assert_type(service.embed(["one", "two"]), npt.NDArray[np.float32])


def the_three_lines() -> None:
    m = Memory(agent="support", namespace="acme/support")
    m.remember("Refund for order #1458 initiated on 10/20", about="user:4321", salience=0.9)
    hits = m.recall("refund status", about="user:4321")
    moved = m.remember("lives in Oslo", valid_from=datetime(2024, 5, 1, tzinfo=UTC))
    assert_type(m.update_memory(moved.id, valid_until=datetime.now(UTC), kind="fact"), Written)
    assert_type(
        m.recall("where", valid_at=datetime.now(UTC), at=moved.log_index)[0].valid_until, datetime | None
    )
    assert_type(m.memory(moved.id, valid_at=datetime.now(UTC)), MemoryItem | None)
    assert_type(m.memories(valid_at=datetime.now(UTC)), Results[MemoryItem])
    assert_type(hits, Recalled)
    assert_type(m.receipts(run="r1", turn="7"), Results[Receipt])
    assert_type(m.lineage("answer"), Lineage)
    if hits.receipt is not None:
        assert_type(m.receipt(hits.receipt).hits, tuple[ReceiptHit, ...])
        assert_type(m.influence(hits.receipt, "answer", used=[hits[0].id]), Written)
    assert_type(hits[0], Hit)
    assert_type(hits[:2], tuple[Hit, ...])
    assert_type(hits[0].text, str)
    assert_type(hits[0].score, float)
    assert_type(hits[0].id, str)
    assert_type(hits[0].at, datetime)


class Count:
    name: ClassVar[str] = "count"
    kinds: ClassVar[tuple[str, ...]] = ("document",)

    def apply(self, change: Change) -> None:
        assert_type(change.version, int)

    def query(self, argument: Any) -> Any:
        return argument


def projections() -> None:
    _: Projection = Count()
    with Memory(projections=[Count, "package.module:Words"]) as m:
        assert_type(m.project("count", {"a": 1}, at=5), Any)
        assert_type(m.projections()[0].state, ProjectionState)


def documents(m: Memory) -> None:
    written = m.put("k", {"any": ["json", 1]}, ttl_ms=60_000, if_version=0)
    assert_type(written, Written)
    assert_type(written.log_index, int)
    assert_type(m.get("k"), Any)
    assert_type(m.record("k", at=written.log_index), Record | None)
    assert_type(m.record("k", at=written), Record | None)
    assert_type(m.record("k", at=datetime.now(UTC), consistency="stale"), Record | None)
    assert_type(m.delete("k"), Deleted)
    assert_type(m.list("prefix/"), Results[Record])
    assert_type(m.history("k"), Results[KeyVersion])
    found = m.query({"a.b": {"$gte": 1}}, sort=["-a.b", "c"], fields="a", limit=10, at=5)
    assert_type(found, QueryResults)
    assert_type(found[0], Record)
    assert_type(found.index_used, str)
    assert_type(m.declare_index("a.b"), Created)
    assert_type(m.indexes(), Results[DocumentIndex])
    assert_type(m.indexes()[0].state, IndexState)
    assert_type(m.drop_index("a.b"), Deleted)
    assert_type(m.get_many(["a", "b"]), Documents)
    assert_type(m.put_many({"a": 1}, delete=["b"]), WrittenMany)
    for record in m.list():
        assert_type(record, Record)


def settings(m: Memory) -> None:
    assert_type(m.set_schema("users/", {"type": "object"}), Written)
    assert_type(m.set_schema("", True), Written)
    assert_type(m.remove_schema("users/"), Deleted)
    assert_type(m.schemas("users", limit=10, at=5), Results[SchemaInfo])
    assert_type(m.schemas()[0].at, datetime)
    assert_type(m.set_settings(default_ttl_ms=1_000, entries_max=10, bytes_max=1 << 20), Written)
    assert_type(m.settings(at=datetime.now(UTC)), NamespaceSettings)
    assert_type(m.settings().entries, int)
    assert_type(m.history("k")[0].reason, EndReason)
    try:
        m.put("users/1", 1)
    except SchemaViolation as violation:
        assert_type((violation.key, violation.path, violation.asked), tuple[str, str, str])
    m.set_settings(60)  # type: ignore[call-arg]


def streams_states_runs(m: Memory) -> None:
    assert_type(m.append("s", {"a": 1}, type="message"), Appended)
    assert_type(m.append_many("s", [1, 2]), AppendedMany)
    assert_type(m.events("s", from_sequence=2), Results[Event])
    assert_type(m.verify("s"), ChainVerdict)
    assert_type(m.streams(), Results[StreamInfo])
    assert_type(m.append(entity="user:42", payload={"a": 1}), Appended)
    assert_type(m.events(run="r1", newest_first=True, since=datetime.now(UTC)), Results[Event])
    assert_type(m.export("s"), Iterator[bytes])
    assert_type(verify_export(m.export("s"), head=bytes(32)), ExportVerdict)
    for event in m.tail("s", from_sequence=1, idle_s=1.0):
        assert_type(event, Event)
    with m.watch("config/", after_version=m.list().version) as changes:
        assert_type(next(changes), KeyVersion)
    assert_type(next(m.watch_state("job/")), KeyVersion)
    assert_type(next(m.watch_memories(about="user:42")), MemoryChange)
    assert_type(m.state("leader"), Record | None)
    assert_type(m.states("lead"), Results[Record])
    assert_type(m.counters("hits/"), Results[CounterInfo])
    assert_type(m.cas("leader", "me", expected_version=0), Swap)
    begun = m.begin_run(inputs={"ticket": 1})
    in_run = m.scoped(run=begun.id, tool="crm")
    assert_type(in_run, Memory)
    assert_type(in_run.end_run(begun.id, "failed"), Written)
    assert_type(m.run_info(begun.id), Run | None)
    assert_type(m.runs(), Results[Run])


def vectors_and_memories(m: Memory, vectors: Sequence[Sequence[float]]) -> None:
    m.create_collection("docs", 3, metric="l2")
    assert_type(m.upsert("docs", "a", [1.0, 2.0, 3.0], metadata={"lang": "en"}), Upserted)
    assert_type(m.upsert_many("docs", ["a", "b"], vectors), WrittenMany)
    assert_type(m.search("docs", vectors[0], filter={"lang": "en"}), Results[Match])
    assert_type(m.collections(), Results[Collection])
    assert_type(m.memory("id"), MemoryItem | None)
    assert_type(m.memories(about="user:1"), Results[MemoryItem])
    assert_type(m.recall(embedding=np.zeros(3)), Recalled)
    assert_type(m.remember_many(["tea", {"text": "coffee", "about": "ann"}]), tuple[Written, ...])
    assert_type(m.reembed(HashedNgrams(), progress=print), Reembedded)
    assert_type(m.embedding_models(), EmbeddingModels)
    assert_type(m.with_embedder(my_embedder), Memory)
    assert_type(m.cancel_reembed(), bool)


def graph(m: Memory) -> None:
    assert_type(m.put_node("a", {"n": 1}, type="t", domain="d", if_version=0), Stored)
    assert_type(m.patch_node("a", {"n": None}), Stored)
    assert_type(m.put_edge("a", "t", "b", weight=2, valid_from=datetime.now(UTC)), Stored)
    assert_type(m.patch_edge("a", "t", "b", valid_until=datetime.now(UTC)), Stored)
    assert_type(m.put_graph([{"id": "a", "domain": "d"}, "b"], [("a", "t", "b")]), WrittenMany)
    assert_type(m.put_graph(["a", "b"], [{"source": "a", "type": "t", "target": "b"}]), WrittenMany)
    assert_type(m.merge_nodes("a", "b", policy="union", policies={"n": "max"}), MergedInto)
    assert_type(m.forget("a", reason="why"), Deleted)
    assert_type(m.forget_where(about="user:1", reason="why"), int)
    assert_type(m.forgotten(reason="evicted"), Results[Forgotten])
    assert_type(m.consolidate(dry_run=True), Consolidation)
    assert_type(m.settings().memories, MemorySettings)
    m.set_settings(memories={"entries_max": 5})
    assert_type(m.forget_node("a"), Deleted)
    assert_type(m.restore_node("a"), Restored)
    assert_type(m.delete_node("a", detach=True), Deleted)
    assert_type(m.node("a", at=7), Node | None)
    assert_type(m.edge("a", "t", "b"), Edge | None)
    assert_type(m.nodes(domain="d", filter={"n": 1}), Results[Node])
    assert_type(m.neighbours("a", direction="both", types=["t"]), Results[Neighbour])
    assert_type(m.traverse(["a"], depth=2), Traversal)
    assert_type(m.shortest_path("a", "b", weighted=True), Path | None)
    assert_type(m.subgraph("a", depth=1), Subgraph)
    assert_type(m.cross_domain_edges("d"), Results[CrossDomainEdge])
    assert_type(m.index(tokens=500), Index)


def batches(m: Memory) -> None:
    try:
        with m.batch() as b:
            assert_type(b.put("k", 1), int)
            b.remember("text")
        assert_type(b.results, tuple[Any, ...])
    except BatchFailed as failed:
        assert_type(failed.errors, dict[int, MemraftError])


def coordination(m: Memory) -> None:
    with m.lock("reindex", ttl=10) as lease:
        assert_type(lease.token, int)
        assert_type(lease.lost, bool)
        assert_type(lease.memory, Memory)
    with m.elect("planner") as election:
        assert_type(election.is_leader, bool)
    with m.txn(isolation="snapshot") as t:
        assert_type(t.record("k"), Record | None)
        t.put("k", 1)
        assert_type(t.get_many(["k"]), Documents)
    assert_type(m.fork("what-if"), Memory)
    assert_type(m.fork("then", before=m.put("k", 1)), Memory)
    assert_type(m.merge("what-if", on_conflict="theirs"), Merged)
    try:
        m.merge("what-if")
    except MergeConflicts as refused:
        assert_type(refused.conflicts, tuple[MergeConflict, ...])
    assert_type(m.diff(1, from_namespace="acme/a", kinds=["document"]), Results[RecordDifference])
    assert_type(m.list_forks(), Results[ForkInfo])
    assert_type(m.history_of("edge", ("a", "t", "b"), limit=1), Results[Happening])
    assert_type(m.timeline("user:1", since=datetime.now(UTC), at=1)[0].what, str)
    m.set_retention(versions=10, age_ms=1000, events=100)
    assert_type(m.retention().floor, datetime | None)
    assert_type(m.drop_fork("what-if"), Deleted)


def recorded_runs(m: Memory) -> None:
    with m.run("r1", inputs={"q": 1}) as run:
        assert_type(run.memory, Memory)
        assert_type(run.tool("length", len)("x"), int)
        assert_type(run.now(), datetime)
        assert_type(run.new_id(), str)
        assert_type(run.random(), float)
        run.outputs = 1
        chosen = run.trace.decision("refund", because="late", confidence=0.8)
        assert_type(chosen, Written)
        with run.trace.under(chosen):
            assert_type(run.trace.citation("m1", kind="memory"), Written)
    assert_type(m.record_trace(Confidence(0.5), run="r1", parent=chosen.id), Written)
    assert_type(m.record_traces([NewTrace(content=Decision("keep"), run="r1")]), RecordedTraces)
    assert_type(m.trace("t"), Trace | None)
    assert_type(next(m.watch_traces(run="r1", kind="decision")), Trace)
    assert_type(m.traces(run="r1", kind="decision", filter={"order": 7}, at=3), Results[Trace])
    assert_type(m.trace_tree("r1").roots, tuple[Trace, ...])
    assert_type(m.import_traces(m.export_traces("r1")), ImportedTraces)
    assert_type(m.replay("r1"), Replay)
    assert_type(m.replay("r1", agent=lambda run: run.inputs), Replay)

    def agent(run: AgentRun) -> str:
        return run.model("gpt", str.upper)("found")

    verdict = m.replay("r1", agent=agent)
    assert_type(verdict.verdict, Literal["same", "outside", "differs"])
    assert_type(verdict.first_difference, StepDifference | None)
    assert_type(m.begin_run("r2", record=True), Written)
    assert_type(m.run_info("r2", at=3), Run | None)
    diff = m.diff_runs("r1", "r2", other_namespace="acme/a@f")
    assert_type(diff, RunDiff)
    assert_type(diff.records, tuple[RecordDifference, ...])


def failures(m: Memory) -> None:
    try:
        m.put("k", 1, if_version=7)
    except ConflictError as conflict:
        assert_type(conflict.current_version, int)
    except QuotaExceeded as quota:
        assert_type(quota.retry_after_s, float | None)
        assert_type(quota.limit, str)
    except OutcomeUnknown as unknown:
        assert_type(unknown.retryable, bool)


async def asynchronously() -> None:
    async with AsyncMemory("n1:7000", certs="certs", namespace="acme/support") as m:
        assert_type(await m.put("k", 1), Written)
        async for event in m.tail("s", from_sequence=1):
            assert_type(event, Event)
        async with m.watch("config/") as changes:
            assert_type(await anext(changes), KeyVersion)
        assert_type(await m.recall("text"), Recalled)
        assert_type(m.scoped("acme/other"), AsyncMemory)
        async with m.batch(errors="return") as b:
            b.put("k", 1)
            await b.remember("text")

        async def agent(run: AsyncAgentRun) -> str:
            return await run.tool("upper", str.upper)("found")

        async with m.run("r1") as run:
            assert_type(run, AsyncAgentRun)
            assert_type(await run.now(), datetime)
        assert_type(await m.replay("r1", agent=agent), Replay)

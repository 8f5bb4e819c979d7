"""A machine that was written to rows and read back is the machine that never was: in replies, hashes, usage,
queries and everything else that it holds, wherever it was cut and whatever of a save a crash left behind."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memraft_proto.methods import OPERATION_FIELD
from memraft_proto.v1 import (
    batch_pb2,
    coordination_pb2,
    graph_pb2,
    kv_pb2,
    lease_pb2,
    memory_pb2,
    namespace_pb2,
    query_pb2,
    run_pb2,
    state_pb2,
    stream_pb2,
    traces_pb2,
    txn_pb2,
    vector_pb2,
)
from memraft_server.machine import Command, Machine, Refused
from memraft_server.machine.facts import Encoder, StateLabel
from memraft_server.machine.journal import Journal
from memraft_server.machine.loader import load
from memraft_server.projections.coordination import CountersProjection, GatesProjection
from memraft_server.projections.forgetting import ForgettingProjection
from memraft_server.projections.graph import GraphProjection
from memraft_server.projections.leases import LeasesProjection
from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.receipts import InfluencesProjection, ReceiptsProjection
from memraft_server.projections.runs import RunsProjection
from memraft_server.projections.settings import SettingsProjection
from memraft_server.projections.state import StateProjection
from memraft_server.projections.streams import StreamsProjection
from memraft_server.projections.traces import TracesProjection
from memraft_server.projections.vectors import VectorStore
from tests.properties import memory_requests
from tests.properties.test_machine import FIELD_OF, read_everything
from tests.unit.machine.harness import KINDS

SPACES = ("acme/a", "acme/b", "beta/a")
MINUTE_US = 60_000_000

names = st.sampled_from(("k", "k\0", "k\0\xff", "k1", "", "é", "\U0001f600"))
values = st.binary(max_size=4)
vectors = st.lists(st.sampled_from((-1.0, 0.0, 0.5, 3.0)), min_size=2, max_size=2).map(
    lambda components: np.array(components, "<f4").tobytes()
)


def multi_put(columns: list[tuple[str, bytes, int, int]]) -> kv_pb2.MultiPutRequest:
    keys, texts, kinds, ttls_ms = zip(*columns, strict=True)
    return kv_pb2.MultiPutRequest(keys=keys, values=texts, kinds=bytes(kinds), ttls_ms=ttls_ms)


def upsert_many(collection: str, columns: list[tuple[str, bytes, bytes]]) -> vector_pb2.UpsertManyRequest:
    ids, data, metadatas = zip(*columns, strict=True)
    return vector_pb2.UpsertManyRequest(
        collection=collection, ids=ids, vectors=b"".join(data), metadatas=metadatas
    )


collections = st.sampled_from(("c", "d"))
metadatas = st.sampled_from((b"", b'{"n":1}'))
ttls_ms = st.sampled_from((0, 0, 1, 60_000, 3_600_000))
singles: st.SearchStrategy[Any] = st.one_of(
    st.builds(kv_pb2.PutRequest, key=names, value=values, ttl_ms=ttls_ms),
    st.builds(kv_pb2.DeleteRequest, key=names),
    st.lists(st.tuples(names, values, st.integers(0, 1), ttls_ms), min_size=1, max_size=4).map(multi_put),
    st.builds(state_pb2.CompareAndSwapRequest, name=names, value=values, remove=st.booleans()),
    st.builds(
        stream_pb2.AppendManyRequest,
        stream=names,
        types=st.lists(names, min_size=1, max_size=1),
        payloads=st.lists(values, min_size=1, max_size=3),
    ),
    st.builds(run_pb2.BeginRunRequest, run_id=names, inputs=values),
    st.builds(run_pb2.BeginRunRequest, run_id=st.just("run"), inputs=values, record=st.just(True)),
    st.builds(run_pb2.EndRunRequest, run_id=names, status=st.integers(2, 3), outputs=values),
)
others: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        namespace_pb2.SetNamespaceSettingsRequest,
        default_ttl_ms=st.sampled_from((None, 0, 60_000)),
        entries_max=st.sampled_from((None, 0, 2)),
        bytes_max=st.sampled_from((None, None, 5)),
    ),
    st.builds(query_pb2.DeclareIndexRequest, field=st.sampled_from(("n", "a.b"))),
    st.builds(query_pb2.DropIndexRequest, field=st.sampled_from(("n", "a.b"))),
    st.builds(namespace_pb2.SetSchemaRequest, prefix=names, schema=st.sampled_from((b"", b"{}"))),
    st.builds(stream_pb2.AppendRequest, stream=names, type=names, payload=values),
    st.builds(
        vector_pb2.CreateCollectionRequest,
        collection=collections,
        dimension=st.just(2),
        metric=st.integers(0, 3),
    ),
    st.builds(
        vector_pb2.UpsertVectorRequest, collection=collections, id=names, vector=vectors, metadata=metadatas
    ),
    st.builds(
        upsert_many, collections, st.lists(st.tuples(names, vectors, metadatas), min_size=1, max_size=4)
    ),
    st.builds(vector_pb2.DeleteVectorRequest, collection=collections, id=names),
    st.builds(
        memory_pb2.RememberRequest,
        id=names,
        text=names,
        embedding=st.one_of(st.just(b""), vectors),
        metadata=metadatas,
        about=names,
        kind=names,
        salience=st.sampled_from((0.0, 0.1, float("inf"))),
        fingerprint=st.sampled_from(("", "", "f")),
    ),
    st.builds(memory_pb2.ForgetRequest, id=names),
    st.builds(
        traces_pb2.RecordTracesRequest,
        traces=st.lists(
            st.builds(
                traces_pb2.NewTrace,
                id=names,
                run=st.sampled_from(("run", "", "k")),
                parent=names,
                attributes=metadatas,
                decision=st.builds(traces_pb2.Decision, choice=names),
            ),
            min_size=1,
            max_size=3,
        ),
    ),
    st.builds(
        memory_pb2.UpdateMemoryRequest,
        id=names,
        kind=st.sampled_from([None, "", "fact"]),
        valid_from_us=st.sampled_from([None, 0, 10]),
        valid_until_us=st.sampled_from([None, 0, 20]),
    ),
    st.builds(
        graph_pb2.UpsertGraphRequest,
        ids=st.lists(names, min_size=1, max_size=3),
        domains=st.lists(names, max_size=1),
        sources=st.just(["k"]),
        edge_types=st.just(["t"]),
        targets=st.sampled_from((["k"], ["k1"], ["é"])),
    ),
    st.builds(graph_pb2.DeleteNodeRequest, id=names, detach=st.booleans()),
    st.builds(graph_pb2.MergeNodesRequest, id=names, merged=names),
    st.builds(
        lease_pb2.AcquireLeaseRequest,
        name=names,
        holder=names,
        ttl_ms=st.sampled_from((1, 60_000, 3_600_000)),
        wait_ms=ttls_ms,
    ),
    st.builds(
        lease_pb2.RenewLeaseRequest, name=names, token=st.sampled_from((2 << 20, 4 << 20)), ttl_ms=ttls_ms
    ),
    st.builds(lease_pb2.ReleaseLeaseRequest, name=names, holder=names),
    st.builds(coordination_pb2.AddCounterRequest, name=names, delta=st.sampled_from((1, -1, 2**63 - 1))),
    st.builds(coordination_pb2.SetGateRequest, name=names, open=st.booleans()),
    st.builds(coordination_pb2.ArriveAtGateRequest, name=names, arrival=names, parties=st.just(2)),
    memory_requests.operations,
    memory_requests.operations,
    memory_requests.alone,
)


@st.composite
def transactions(draw: st.DrawFn) -> txn_pb2.CommitTxnRequest:
    """Operations of any kind together, some after reads that are still so and some after others."""
    request = txn_pb2.CommitTxnRequest(snapshot_index=draw(st.sampled_from((None, None, 2))))
    for operation in draw(st.lists(singles | others, min_size=1, max_size=3)):
        request.operations.add(**{OPERATION_FIELD[KINDS[type(operation)]]: operation})
    if draw(st.booleans()):
        request.reads.add(
            kind=draw(st.integers(1, 8)), name=draw(names), version=draw(st.sampled_from((0, 0, 1)))
        )
    return request


@st.composite
def commands(draw: st.DrawFn) -> Command:
    """A command of any kind, some of them in a client's session, where numbers repeat and go on."""
    request = draw(singles | others | transactions() | memory_requests.own)
    if draw(st.integers(0, 5)) == 0:
        batch = batch_pb2.BatchRequest()
        for operation in draw(st.lists(singles, max_size=3)):
            batch.operations.add(**{FIELD_OF[type(operation)]: operation})
        request = batch
    # The same request may come again: what the strategy drew must not change.
    request = type(request).FromString(request.SerializeToString())
    request.namespace = draw(st.sampled_from(SPACES))
    if type(request) in memory_requests.OWN:
        return Command(KINDS[type(request)], "", request)
    request.context.run = draw(st.sampled_from(("", "run")))
    if draw(st.booleans()):
        request.context.client_id = draw(st.sampled_from((b"1" * 16, b"\xff" * 16, b"\0\xff\0", b"\0")))
        number = draw(st.integers(1, 6))
        request.context.request_number = number
        request.context.first_unanswered = draw(st.integers(1, number))
    return Command(KINDS[type(request)], draw(st.sampled_from(("alice", "bob"))), request)


Step = tuple[int, list[Command]]
steps = st.lists(
    st.tuples(st.sampled_from((1, MINUTE_US, 40 * MINUTE_US)), st.lists(commands(), max_size=4)),
    min_size=1,
    max_size=10,
)


def apply_step(machine: Machine, index: int, step: Step) -> list[Any]:
    """Applies one entry; every third one also removes what is due. Indexes skip, as no-ops make them."""
    time_us = machine.last_time_us + step[0]
    due = machine.due(time_us, 2) if index % 3 == 0 else []
    replies = machine.apply(2 * index, time_us, index, [*step[1], *due])
    return [(each.reason, each.message) if isinstance(each, Refused) else each for each in replies]


def records_of(records: Any) -> Any:
    return [(name, [*records.past.get(name, []), head]) for name, head in sorted(records.heads.items())]


def graph_of(graph: GraphProjection) -> Any:
    adjacency = graph.adjacency
    places = [
        (id, each.domain, each.version, each.is_node, each.is_hidden, each.out, each.into)
        for id, each in sorted(adjacency.places.items())
    ]
    counts = (adjacency.edge_count, sorted(adjacency.hidden))
    domains = [(domain, sorted(members)) for domain, members in sorted(adjacency.by_domain.items())]
    cross = [
        (ends, sorted(each.triples), sorted(each.types.items()))
        for ends, each in sorted(adjacency.cross.items())
    ]
    return records_of(graph.nodes), records_of(graph.edges), places, counts, domains, cross


def leases_of(leases: LeasesProjection) -> Any:
    queues = [(name, sorted(queue.items())) for name, queue in sorted(leases._queues.items())]
    return records_of(leases.records), sorted(leases.current.items()), queues


def traces_of(traces: TracesProjection) -> Any:
    places = [list(traces.places("", "", 0, 1 << 62))]
    places += [list(traces.places(run, "", 0, 1 << 62)) for run in ("run", "k", "")]
    places += [list(traces.places("", parent, 0, 1 << 62)) for parent in sorted(traces.records.heads)]
    return records_of(traces.records), places


def settings_of(settings: SettingsProjection | None) -> Any:
    if settings is None or not settings.records.heads:
        return None
    recency = settings.recency
    return (
        (records_of(settings.records), settings.ttl_ms, settings.bounds),
        (settings.receipts_ttl_ms, settings.memories),
        (settings.schemas_version, sorted(settings.schemas.items())),
        (list(recency._sizes.items()), recency.bytes) if recency is not None else None,
    )


def rows_of(rows: Any) -> Any:
    if rows is None:
        return None
    every = np.arange(rows.count)
    vectors = np.concatenate([chunk[: rows.count] for chunk in rows._chunks])[: rows.count]
    return rows._born[every].tolist(), rows._died[every].tolist(), rows.live_count, vectors.round(5).tolist()


def recalled_of(space: Any) -> Any:
    receipts, influences = space.projection(ReceiptsProjection), space.projection(InfluencesProjection)
    return (
        (
            records_of(receipts.records),
            list(receipts.names()),
            list(receipts.names("run")),
            receipts.oldest(9),
        ),
        sorted(receipts.accesses._versions.items()),
        records_of(influences.records),
        sorted(influences.influences._versions.items()),
        records_of(space.projection(ForgettingProjection).records),
    )


def held(machine: Machine) -> str:
    """Everything in a machine that an entry may depend on or a read may show, as text."""
    spaces = {}
    for name, space in machine._spaces.items():
        streams, runs = space.projection(StreamsProjection), space.projection(RunsProjection)
        memories, collections = space.projection(MemoryStore), space.projection(VectorStore)
        spaces[name] = (
            records_of(space.kv.records),
            settings_of(space.settings),
            list(space.kv.keys.from_name("")),
            records_of(space.projection(StateProjection).records),
            [(key, list(each.events), bytes(each.hashes)) for key, each in sorted(streams.streams.items())],
            list(streams.names.from_name("")),
            (sorted(runs.by_id), runs.in_order),
            [
                (
                    (each.name, each.settings, each.version, each.time_us),
                    (each._ids, each._metadatas),
                    sorted(each._row_by_id.items()),
                    rows_of(each.rows),
                )
                for each in collections.all()
            ],
            (memories.items, sorted(memories._heads.items()), sorted(memories._past.items())),
            [
                (began, list(each._row_of), rows_of(each.vectors))
                for began, each in sorted(memories.found_by.embedded.items())
            ],
            (memories._history.moves, memories.live_count, memories.model),
            (sorted(memories._enders.items()), sorted(memories._ended.items())),
            recalled_of(space),
            graph_of(space.projection(GraphProjection)),
            leases_of(space.projection(LeasesProjection)),
            traces_of(space.projection(TracesProjection)),
            records_of(space.projection(CountersProjection).records),
            records_of(space.projection(GatesProjection).records),
            (memories.dimension, memories.fingerprint, sorted(memories.found_by._about.items())),
        )
    tenants = {
        name: (
            (tenant.usage.bytes, tenant.usage.records, tenant.usage.vectors),
            [
                (
                    client,
                    each.floor,
                    each.used_at_us,
                    each.used_version,
                    each.bytes,
                    sorted(each.replies.items()),
                )
                for client, each in tenant.sessions._sessions.items()
            ],
        )
        for name, tenant in sorted(machine._tenants.items())
    }
    entries = machine._entries.columns(0, len(machine._entries))
    due = [(each.request.SerializeToString()) for each in machine.due(1 << 62, 1000)]
    stands = (machine.applied_index, machine.applied_hash, machine.last_time_us)
    return repr((stands, spaces, tenants, entries, due, machine.next_due_us()))


class Disk:
    """A store: rows in a dictionary, and the label of the last save that was whole."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.label = StateLabel()
        self._encoder = Encoder()

    def save(self, machine: Machine, crash_after: int | None = None) -> None:
        sealed = machine.seal()
        changes = sealed.all(self._encoder)
        if crash_after is not None:
            changes = self._encoder.rows(sealed.facts)[:crash_after]
        for key, value in changes:
            if value is None:
                del self.rows[key]
            else:
                self.rows[key] = value
        if crash_after is None:
            self.label = sealed.label

    def load(self) -> Machine:
        machine, beyond = load(sorted(self.rows.items()), self.label, journal=Journal())
        for key in beyond:
            del self.rows[key]
        assert len(self.rows) == self.label.rows
        return machine


@given(steps, st.data())
def test_a_machine_read_back_is_the_one_that_was_written(log: list[Step], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(log)), "cut")
    never_saved, machine, disk = Machine(0), Machine(0, journal=Journal()), Disk()
    for index, step in enumerate(log, 1):
        if index == cut + 1:
            disk.save(machine)
            machine = disk.load()
            assert held(machine) == held(never_saved)
        assert apply_step(machine, index, step) == apply_step(never_saved, index, step)
        assert machine.applied_hash == never_saved.applied_hash
    assert held(machine) == held(never_saved)
    assert read_everything(machine, None) == read_everything(never_saved, None)
    for index in range(machine.applied_index + 1):
        assert read_everything(machine, index) == read_everything(never_saved, index)


@given(steps, st.data())
def test_after_a_crash_at_any_point_the_last_whole_save_goes_on(log: list[Step], data: st.DataObject) -> None:
    never_saved, machine, disk = Machine(0), Machine(0, journal=Journal()), Disk()
    states = {0: held(never_saved)}
    applied = 0
    for _ in range(4 * len(log)):
        if applied == len(log):
            break
        event = data.draw(st.sampled_from(("apply", "apply", "apply", "save", "crash")))
        if event == "apply":
            applied += 1
            replies = apply_step(machine, applied, log[applied - 1])
            if 2 * applied not in states:
                assert replies == apply_step(never_saved, applied, log[applied - 1])
                states[2 * applied] = held(never_saved)
            assert held(machine) == states[2 * applied]
        elif event == "save":
            disk.save(machine)
        else:
            if data.draw(st.booleans()):
                disk.save(machine, crash_after=data.draw(st.integers(0, 20)))
            machine = disk.load()
            applied = machine.applied_index // 2
            assert held(machine) == states[machine.applied_index]


@given(steps)
def test_replicas_write_the_same_rows_whenever_they_save(log: list[Step]) -> None:
    one, other = Disk(), Disk()
    first, second = Machine(0, journal=Journal()), Machine(0, journal=Journal())
    for index, step in enumerate(log, 1):
        apply_step(first, index, step)
        apply_step(second, index, step)
        one.save(first)
    other.save(second)

    def lasting(disk: Disk) -> dict[bytes, bytes]:
        return {key: value for key, value in disk.rows.items() if key[:1] != b"a"}

    assert lasting(one) == lasting(other)

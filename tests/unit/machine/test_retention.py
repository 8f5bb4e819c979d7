"""Retention: what is forgotten for ever, what stays, and what reads from before that are told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from memraft_proto.v1 import (
    fork_pb2,
    graph_pb2,
    kv_pb2,
    memory_pb2,
    namespace_pb2,
    retention_pb2,
    run_pb2,
    state_pb2,
    stream_pb2,
    txn_pb2,
    vector_pb2,
    watch_pb2,
)
from memraft_server.machine import Refused, scans
from memraft_server.machine.facts import Encoder
from memraft_server.machine.feeds import open_feed
from memraft_server.machine.journal import Journal
from memraft_server.machine.limits import Limits
from memraft_server.machine.loader import load
from memraft_server.machine.machine import Machine
from memraft_server.machine.retention import TRIMMED_MAX, Trimmer
from memraft_server.machine.scans import SCAN_STEP, Scan
from memraft_server.machine.validate import check_write
from memraft_server.projections import notes
from tests.unit.machine.harness import NAMESPACE, SECOND_US, Shard


class Kept(Shard):
    """A machine that is kept, with a leader that lets go what it may."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(0, journal=Journal())
        self.trimmer = Trimmer(self.machine)

    def trim(self) -> int:
        """Applies what may go until nothing is left; returns how many versions went."""
        count = idle = 0
        while idle < 3:
            command = self.trimmer.step(self.time_us)
            idle = idle + 1 if command is None else 0
            if command is not None:
                self.time_us += 1
                reply: Any = self.machine.apply(self.machine.applied_index + 1, self.time_us, 7, [command])[0]
                assert len(command.request.names) <= TRIMMED_MAX
                count += reply.count
        return count

    def retain(self, **limits: int) -> None:
        self.write(retention_pb2.SetRetentionRequest(namespace=NAMESPACE, **limits))

    def put(self, key: str, value: bytes = b"1") -> int:
        version: int = self.write(kv_pb2.PutRequest(namespace=NAMESPACE, key=key, value=value)).version
        return version

    def delete(self, key: str) -> None:
        self.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key=key))

    def history(self, key: str) -> list[bytes]:
        found = self.read(kv_pb2.HistoryRequest(namespace=NAMESPACE, key=key))
        return [each.value for each in found.versions]

    def append(self, stream: str) -> None:
        self.write(stream_pb2.AppendRequest(namespace=NAMESPACE, stream=stream, payload=b"1"))

    def rest(self, hours: float = 1) -> None:
        self.time_us += int(3600 * hours * SECOND_US)

    @property
    def usage(self) -> tuple[int, int, int]:
        usage = self.machine.usage("acme")
        return usage.bytes, usage.records, usage.vectors

    def reloaded(self) -> Machine:
        """The machine that the rows make which this one tells of."""
        sealed = self.machine.seal()
        rows = {}
        for key, value in sealed.all(Encoder()):
            if value is None:
                del rows[key]
            else:
                rows[key] = value
        machine, beyond = load(sorted(rows.items()), sealed.label, journal=Journal())
        assert not beyond
        return machine


@pytest.fixture
def shard() -> Kept:
    return Kept()


def test_the_newest_versions_stay_and_reads_before_them_are_told_what_is_kept(shard: Kept) -> None:
    shard.put("other")
    for n in range(6):
        shard.put("k", b"%d" % n)
    before = shard.usage
    shard.retain(versions=2)
    assert shard.trim() == 4
    assert shard.history("k") == [b"5", b"4"] and shard.history("other") == [b"1"]
    assert shard.usage[0] < before[0]
    floor = 6  # the entry of the older of the two that stayed
    assert shard.read(kv_pb2.GetRequest(namespace=NAMESPACE, key="k"), at_index=floor).value == b"4"
    with pytest.raises(Refused, match=r"reach back to index 6 .*: retention keeps 2 versions") as refused:
        shard.read(kv_pb2.GetRequest(namespace=NAMESPACE, key="k"), at_index=floor - 1)
    assert refused.value.reason == "BEFORE_RETENTION"
    told = shard.read(retention_pb2.GetRetentionRequest(namespace=NAMESPACE))
    assert (told.versions, told.floor_index) == (2, floor)
    at_floor = shard.read(kv_pb2.GetRequest(namespace=NAMESPACE, key="k"), at_time_us=told.floor_time_us)
    assert at_floor.value == b"4"


def test_a_limit_that_is_not_given_stays_and_one_must_be(shard: Kept) -> None:
    get = retention_pb2.GetRetentionRequest(namespace=NAMESPACE)
    shard.retain(versions=2, events=3)
    shard.retain(age_ms=1_000)
    told = shard.read(get)
    assert (told.versions, told.age_ms, told.events) == (2, 1_000, 3)
    shard.retain(versions=0)
    told = shard.read(get)
    assert (told.versions, told.age_ms, told.events) == (0, 1_000, 3)
    with pytest.raises(Refused, match="at least one of versions, age_ms, events"):
        check_write(46, retention_pb2.SetRetentionRequest(namespace=NAMESPACE), Limits())


def test_the_forks_that_hold_retention_back_are_told_oldest_base_first(shard: Kept) -> None:
    get = retention_pb2.GetRetentionRequest(namespace=NAMESPACE)
    shard.put("k")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="late"))
    shard.write(fork_pb2.ForkRequest(namespace=f"{NAMESPACE}@late", fork="deep"))
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="early", at_index=1))
    assert not shard.read(get).held_back_by  # there is nothing to hold back
    for _ in range(30):
        shard.put("k")
    shard.retain(versions=2)
    assert shard.trim() == 0
    names = [f"{NAMESPACE}@{fork}" for fork in ("early", "late", "late@deep")]
    assert shard.read(get).held_back_by == names
    for name, fork in ((NAMESPACE, "early"), (f"{NAMESPACE}@late", "deep"), (NAMESPACE, "late")):
        shard.write(fork_pb2.DropForkRequest(namespace=name, fork=fork))
    assert not shard.read(get).held_back_by
    assert shard.trim() == 29


def test_what_was_replaced_long_ago_goes_and_what_lives_stays(shard: Kept) -> None:
    shard.put("old")
    shard.put("changed")
    shard.put("deleted")
    shard.rest(2)
    shard.put("changed", b"2")
    shard.delete("deleted")
    shard.retain(age_ms=3_600_000)
    assert shard.trim() == 0
    shard.rest(2)
    assert shard.trim() == 3  # the first of `changed`, `deleted` and its deletion
    assert shard.history("old") == [b"1"] and shard.history("changed") == [b"2"]
    assert shard.history("deleted") == []
    listed = shard.read(kv_pb2.ListRequest(namespace=NAMESPACE))
    assert list(listed.keys) == ["changed", "old"]
    shard.put("deleted", b"3")
    assert list(shard.read(kv_pb2.ListRequest(namespace=NAMESPACE)).keys) == ["changed", "deleted", "old"]


def test_a_lot_goes_in_portions(shard: Kept) -> None:
    shard.write(
        kv_pb2.MultiPutRequest(
            namespace=NAMESPACE, keys=["a", "b"] * 1500, values=[b"%d" % n for n in range(3000)]
        )
    )
    shard.retain(versions=1)
    assert shard.trim() == 2998
    assert shard.history("a") == [b"2998"] and shard.history("b") == [b"2999"]


class Frugal(list[Any]):
    """A past of which each version may be looked at a few times."""

    looks = 0

    def __iter__(self) -> Iterator[Any]:
        for each in super().__iter__():
            self.looks += 1
            yield each


def test_of_a_name_with_many_versions_a_step_looks_at_those_that_go(shard: Kept) -> None:
    writes = kv_pb2.MultiPutRequest(namespace=NAMESPACE, keys=["k"] * 10_000, values=[b"1"] * 10_000)
    shard.write(writes)
    space = shard.machine.space(NAMESPACE)
    assert space is not None
    past = space.kv.records.past["k"] = Frugal(space.kv.records.past["k"])
    shard.retain(versions=10)
    assert shard.trim() == 9_990 and len(shard.history("k")) == 10
    assert past.looks < 5 * 10_000


def test_events_go_by_age_and_number_and_the_chain_goes_on(shard: Kept) -> None:
    for _ in range(4):
        shard.append("s")
    shard.rest(2)
    for _ in range(3):
        shard.append("s")
    shard.retain(age_ms=3_600_000)
    shard.trim()
    page = shard.read(stream_pb2.ReadStreamRequest(namespace=NAMESPACE, stream="s"))
    assert [each.sequence for each in page.events] == [5, 6, 7] and page.last_sequence == 7
    verdict = shard.read(stream_pb2.VerifyStreamRequest(namespace=NAMESPACE, stream="s"))
    assert verdict.intact and verdict.count == 3
    for request in (stream_pb2.ReadStreamRequest, stream_pb2.TailStreamRequest):
        with pytest.raises(Refused, match="3 was forgotten; the first event that is kept is 5"):
            shard.read(request(namespace=NAMESPACE, stream="s", from_sequence=3))
    shard.retain(events=1)
    shard.trim()
    shard.rest(5)
    shard.append("s")
    shard.machine = shard.reloaded()
    shard.append("s")
    page = shard.read(stream_pb2.ReadStreamRequest(namespace=NAMESPACE, stream="s"))
    assert [each.sequence for each in page.events] == [7, 8, 9]
    assert page.events[1].prev_hash == page.events[0].hash
    assert shard.read(stream_pb2.VerifyStreamRequest(namespace=NAMESPACE, stream="s")).intact


def test_many_events_of_one_call_go_together(shard: Kept) -> None:
    many = stream_pb2.AppendManyRequest(
        namespace=NAMESPACE, stream="s", types=["t"], payloads=[b"%d" % n for n in range(3 * TRIMMED_MAX)]
    )
    shard.write(many)
    shard.retain(events=10)
    assert shard.trim() < 3 * TRIMMED_MAX - 10
    assert shard.trimmer.step(shard.time_us) is None  # a part of what is kept together must stay
    for _ in range(10):
        shard.append("s")
    shard.trim()
    page = shard.read(stream_pb2.ReadStreamRequest(namespace=NAMESPACE, stream="s"))
    assert [each.sequence for each in page.events] == list(range(3 * TRIMMED_MAX + 1, 3 * TRIMMED_MAX + 11))
    assert shard.reloaded().applied_hash == shard.machine.applied_hash


def test_the_last_event_always_stays(shard: Kept) -> None:
    shard.append("s")
    shard.append("s")
    shard.retain(age_ms=1)
    shard.rest()
    assert shard.trim() == 1
    page = shard.read(stream_pb2.ReadStreamRequest(namespace=NAMESPACE, stream="s"))
    assert [each.sequence for each in page.events] == [2]


def vector(*components: float) -> bytes:
    return np.array(components, "<f4").tobytes()


def fill_everything(shard: Kept) -> None:
    """Three versions of something of each kind, the last of which stands; and something that was deleted."""
    create = vector_pb2.CreateCollectionRequest(namespace=NAMESPACE, collection="c", dimension=2, metric=1)
    shard.write(create)
    stands = 0
    for n in (1.0, 2.0, 3.0):
        where: dict[str, Any] = {"namespace": NAMESPACE}
        shard.put("k", b"%d" % n)
        swap = state_pb2.CompareAndSwapRequest(**where, name="s", value=b"%d" % n, expected_version=stands)
        stands = shard.write(swap).version
        shard.append("stream")
        shard.write(
            memory_pb2.RememberRequest(**where, id="m", text=f"{n}", embedding=vector(1, n), fingerprint="f")
        )
        shard.write(
            vector_pb2.UpsertVectorRequest(
                **where, collection="c", id="v", vector=vector(1, n), metadata=b"{}"
            )
        )
        shard.write(
            graph_pb2.UpsertGraphRequest(
                **where, ids=["a", "b"], sources=["a"], edge_types=["t"], targets=["b"], weights=[n]
            )
        )
    shard.put("gone")
    shard.delete("gone")
    shard.write(
        memory_pb2.RememberRequest(**where, id="gone", text="x", embedding=vector(0, 1), fingerprint="f")
    )
    shard.write(memory_pb2.ForgetRequest(**where, id="gone"))
    shard.write(vector_pb2.UpsertVectorRequest(**where, collection="c", id="gone", vector=vector(1, 0)))
    shard.write(vector_pb2.DeleteVectorRequest(**where, collection="c", id="gone"))


def shown(machine: Machine) -> list[Any]:
    shard = Shard()
    shard.machine = machine
    where: dict[str, Any] = {"namespace": NAMESPACE}
    reads = [
        kv_pb2.ListRequest(**where),
        kv_pb2.HistoryRequest(**where, key="k"),
        state_pb2.GetStateRequest(**where, name="s"),
        stream_pb2.ReadStreamRequest(**where, stream="stream"),
        memory_pb2.ListMemoriesRequest(**where),
        memory_pb2.RecallRequest(**where, embedding=vector(1, 1), fingerprint="f", k=5),
        vector_pb2.SearchVectorsRequest(**where, collection="c", vector=vector(1, 1), k=5),
        graph_pb2.NeighboursRequest(**where, id="a"),
        retention_pb2.GetRetentionRequest(**where),
    ]
    return [shard.read(each) for each in reads]


def test_every_kind_forgets_and_what_is_left_is_what_the_disk_has(shard: Kept) -> None:
    fill_everything(shard)
    before, full = shown(shard.machine)[:-1], shard.usage
    shard.retain(versions=1, events=1)
    # Two versions each (the graph has two nodes and an edge), two events, and all of what was deleted.
    assert shard.trim() == 2 * 7 + 2 + 4
    after = shown(shard.machine)
    assert [each.ByteSize() for each in (after[0], after[2], *after[4:8])] == [
        each.ByteSize() for each in (before[0], before[2], *before[4:])
    ]
    assert len(after[1].versions) == 1 and len(after[3].events) == 1
    assert shard.usage[0] < full[0] and shard.usage[2] == full[2]
    loaded = shard.reloaded()
    assert shown(loaded) == after
    usage = loaded.usage("acme")
    assert (usage.bytes, usage.records, usage.vectors) == shard.usage
    assert loaded.applied_hash == shard.machine.applied_hash


def test_what_an_edge_took_is_given_back_before_it_is_made_again(shard: Kept) -> None:
    edge = {"source": "a", "type": "t", "target": "b"}
    for id in ("a", "b"):
        shard.write(graph_pb2.UpsertNodeRequest(namespace=NAMESPACE, id=id))
    shard.retain(versions=1)
    for _ in range(3):
        shard.write(graph_pb2.UpsertEdgeRequest(namespace=NAMESPACE, **edge))
        shard.write(graph_pb2.DeleteEdgeRequest(namespace=NAMESPACE, **edge))
        assert shard.trim() == 2
    usage = shard.reloaded().usage("acme")
    assert (usage.bytes, usage.records, usage.vectors) == shard.usage


def test_a_watch_does_not_go_on_where_changes_were_forgotten(shard: Kept) -> None:
    def watch(after: int) -> watch_pb2.WatchRequest:
        return watch_pb2.WatchRequest(
            namespace=NAMESPACE, target=watch_pb2.WATCH_TARGET_KV, after_version=after
        )

    seen = shard.put("k")
    feed = open_feed(shard.machine, "Watch", watch(seen), shard.read(watch(seen)), lambda: None)
    assert feed.next() is None
    shard.put("k", b"2")
    shard.delete("k")
    late = open_feed(shard.machine, "Watch", watch(1), shard.read(watch(1)), lambda: None)
    shard.retain(versions=1)
    assert shard.trim() == 3
    response: Any = feed.next()
    assert [each.deleted for each in response.changes] == [False, True]  # they were noted as they came
    for going_on in (late.next, lambda: shard.read(watch(seen))):
        with pytest.raises(Refused, match="retention keeps 1 version") as refused:
            going_on()
        assert refused.value.reason == "BEFORE_RETENTION"
    assert shard.read(watch(0)).after_version == 0


def test_a_watch_does_not_go_on_where_changes_were_forgotten_while_it_looked(
    shard: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "SCAN_STEP", 2)
    for name in range(5):
        shard.put(f"k{name}")
    seen = shard.put("last")
    shard.delete("last")
    shard.retain(versions=1)
    request = watch_pb2.WatchRequest(
        namespace=NAMESPACE, target=watch_pb2.WATCH_TARGET_KV, after_version=seen
    )
    feed = open_feed(shard.machine, "Watch", request, shard.read(request), lambda: None)
    assert feed.next() is None and feed.is_behind
    assert shard.trim() == 2
    with pytest.raises(Refused, match="retention keeps 1 version"):
        while feed.next() is None and feed.is_behind:
            pass


@pytest.mark.parametrize("kind", [notes.DOCUMENT, notes.EVENT])
def test_a_scan_stops_within_a_name_of_which_a_part_is_forgotten_meanwhile(shard: Kept, kind: bytes) -> None:
    for start in range(0, 3 * SCAN_STEP, 30):
        shard.write(kv_pb2.MultiPutRequest(namespace=NAMESPACE, keys=["k"] * 30, values=[b"1"] * 30))
        types, payloads = ["note"], [b"%d" % number for number in range(start, start + 30)]
        shard.write(
            stream_pb2.AppendManyRequest(namespace=NAMESPACE, stream="s", types=types, payloads=payloads)
        )
    scan = Scan(shard.machine.space(NAMESPACE), kind, 0, shard.machine.ceiling, 0)
    assert not scan.step() and len(scan.found) == SCAN_STEP - 1
    shard.retain(versions=2, events=2)
    shard.trim()
    while not scan.step():
        pass
    assert len(scan.found) == SCAN_STEP - 1 + 2


def test_a_loaded_replica_refuses_another_embedding_after_all_memories_were_forgotten(shard: Kept) -> None:
    where: dict[str, Any] = {"namespace": NAMESPACE}
    shard.write(
        memory_pb2.RememberRequest(**where, id="m", text="x", embedding=vector(1, 2), fingerprint="f")
    )
    shard.write(memory_pb2.ForgetRequest(**where, id="m"))
    shard.retain(versions=1)
    assert shard.trim() == 1
    other = memory_pb2.RememberRequest(**where, id="m", text="x", embedding=vector(1, 2, 3), fingerprint="f")
    loaded = shard.reloaded()
    with pytest.raises(Refused) as refused:
        shard.write(other)
    shard.machine = loaded
    with pytest.raises(Refused) as again:
        shard.write(other)
    assert refused.value.reason == again.value.reason == "EMBEDDING_MISMATCH"


def test_a_loaded_fork_has_the_embedding_of_a_parent_whose_memories_were_forgotten(shard: Kept) -> None:
    where: dict[str, Any] = {"namespace": NAMESPACE}
    shard.write(
        memory_pb2.RememberRequest(**where, id="m", text="x", embedding=vector(1, 2), fingerprint="f")
    )
    shard.write(memory_pb2.ForgetRequest(**where, id="m"))
    shard.retain(versions=1)
    assert shard.trim() == 1
    shard.write(fork_pb2.ForkRequest(**where, fork="what-if"))
    shard.write(memory_pb2.RememberRequest(namespace=f"{NAMESPACE}@what-if", id="n", text="x"))
    shard.machine = shard.reloaded()
    with pytest.raises(Refused, match="EMBEDDING_MISMATCH"):
        shard.write(
            memory_pb2.RememberRequest(
                namespace=f"{NAMESPACE}@what-if", id="m", text="x", embedding=vector(1, 2, 3), fingerprint="f"
            )
        )


def test_a_loaded_replica_lets_the_same_writes_through_after_a_schema_that_was_removed(shard: Kept) -> None:
    for schema in (b"{}", b'{"type": "object"}', b""):
        shard.write(namespace_pb2.SetSchemaRequest(namespace=NAMESPACE, prefix="p", schema=schema))
    shard.retain(versions=1)
    assert shard.trim() == 2, "that it was removed stays"
    leading = shard.reloaded().space(NAMESPACE)
    assert leading is not None and leading.settings is not None
    checked = {"schema_version": leading.settings.schemas_version}
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"1", context=checked))
    assert shard.history("k") == [b"1"]


def test_a_transaction_does_not_miss_what_was_deleted_and_forgotten_since(shard: Kept) -> None:
    shard.put("a/1")
    index = shard.machine.applied_index
    shard.delete("a/1")
    shard.retain(versions=1)
    assert shard.trim() == 2
    put = {"put": kv_pb2.PutRequest(key="a/1", value=b"2")}
    for request in (
        txn_pb2.CommitTxnRequest(namespace=NAMESPACE, snapshot_index=index),
        txn_pb2.CommitTxnRequest(namespace=NAMESPACE, ranges=[{"prefix": "a/", "read_index": index}]),
    ):
        request.operations.add(**put)
        reply = shard.write(request)
        assert not reply.committed and len(reply.conflicts) == 1
    now = shard.machine.applied_index
    later = txn_pb2.CommitTxnRequest(
        namespace=NAMESPACE, snapshot_index=now, ranges=[{"prefix": "a/", "read_index": now}]
    )
    later.operations.add(**put)
    assert shard.write(later).committed


def test_a_fork_keeps_what_it_shows_and_none_is_made_from_before(shard: Kept) -> None:
    shard.put("k", b"1")
    fork = fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f")
    shard.write(fork)
    for n in (2, 3, 4):
        shard.put("k", b"%d" % n)
    shard.retain(versions=1)
    assert shard.trim() == 0
    name = f"{NAMESPACE}@f"
    assert shard.read(kv_pb2.GetRequest(namespace=name, key="k")).value == b"1"
    with pytest.raises(Refused, match="is a fork, of which everything is kept"):
        shard.write(retention_pb2.SetRetentionRequest(namespace=name, versions=1))
    shard.write(fork_pb2.DropForkRequest(namespace=NAMESPACE, fork="f"))
    assert shard.trim() == 3
    with pytest.raises(Refused, match="retention keeps 1 version") as refused:
        shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="g", at_index=2))
    assert refused.value.reason == "BEFORE_RETENTION"
    with pytest.raises(Refused, match="retention keeps 1 version"):
        shard.read(fork_pb2.DiffRequest(namespace=NAMESPACE, from_index=2))


def test_the_recording_of_a_run_goes_as_a_whole(shard: Kept) -> None:
    shard.write(run_pb2.BeginRunRequest(namespace=NAMESPACE, run_id="r", record=True))
    for n in range(3):
        put = kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"%d" % n)
        put.context.run = "r"
        shard.write(put)
    shard.write(run_pb2.EndRunRequest(namespace=NAMESPACE, run_id="r", status=2))
    shard.retain(age_ms=3_600_000)
    assert shard.trim() == 0
    replay = run_pb2.ReplayRunRequest(namespace=NAMESPACE, run_id="r")
    assert shard.read(replay).verdict == run_pb2.REPLAY_VERDICT_SAME
    shard.rest(2)
    shard.put("other")
    assert shard.trim() > 2
    with pytest.raises(Refused, match="retention keeps 1 hour") as refused:
        shard.read(replay)
    assert refused.value.reason == "BEFORE_RETENTION"


def test_keeping_all_again_forgets_no_more(shard: Kept) -> None:
    for n in range(4):
        shard.put("k", b"%d" % n)
    shard.retain(versions=3)
    assert shard.trim() == 1
    shard.retain(versions=0)
    for n in range(4, 8):
        shard.put("k", b"%d" % n)
    assert shard.trim() == 0 and len(shard.history("k")) == 7
    with pytest.raises(Refused, match=r"to index 2 .*: retention had forgotten what was before"):
        shard.read(kv_pb2.GetRequest(namespace=NAMESPACE, key="k"), at_index=1)

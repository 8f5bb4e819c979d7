"""Recordings of runs, their replay, diffs and merges, in the machine."""

from typing import Any

import msgspec
import pytest

from memraft_proto.v1 import (
    batch_pb2,
    fork_pb2,
    graph_pb2,
    kv_pb2,
    memory_pb2,
    run_pb2,
    state_pb2,
    stream_pb2,
    vector_pb2,
)
from memraft_proto.v1.common_pb2 import WriteContext
from memraft_server.machine import Machine, Refused
from memraft_server.machine.journal import Journal
from memraft_server.machine.recording import stream_of
from memraft_server.projections.streams import StreamsProjection
from tests.properties.test_machine_store import Disk
from tests.unit.machine.harness import NAMESPACE, Shard, session

FORK = f"{NAMESPACE}@f"
VECTOR = b"\0\0\x80\x3f\0\0\0\x40"


def context(run: str) -> WriteContext:
    return WriteContext(run=run)


def put(shard: Shard, key: str, value: bytes, run: str = "", space: str = NAMESPACE, **more: Any) -> Any:
    more.setdefault("context", context(run))
    return shard.write(kv_pb2.PutRequest(namespace=space, key=key, value=value, **more))


def delete(shard: Shard, key: str, space: str = NAMESPACE) -> Any:
    return shard.write(kv_pb2.DeleteRequest(namespace=space, key=key))


def begin(shard: Shard, run_id: str, *, record: bool = True, space: str = NAMESPACE) -> Any:
    return shard.write(run_pb2.BeginRunRequest(namespace=space, run_id=run_id, inputs=b"1", record=record))


def end(shard: Shard, run_id: str, space: str = NAMESPACE) -> Any:
    request = run_pb2.EndRunRequest(namespace=space, run_id=run_id, status=2, outputs=b"2")
    request.context.run = run_id
    return shard.write(request)


def test_nothing_is_written_in_a_recorded_run_that_has_ended() -> None:
    shard = Shard()
    begin(shard, "r")
    put(shard, "a", b"1", "r")
    end(shard, "r")
    batch = batch_pb2.BatchRequest(namespace=NAMESPACE, context=context("r"))
    batch.operations.add().put.CopyFrom(kv_pb2.PutRequest(key="a", value=b"2"))
    in_session = kv_pb2.PutRequest(namespace=NAMESPACE, key="a", value=b"2", context=session(1))
    in_session.context.run = "r"
    for request in (
        kv_pb2.PutRequest(namespace=NAMESPACE, key="a", value=b"2", context=context("r")),
        run_pb2.BeginRunRequest(namespace=NAMESPACE, run_id="child", context=context("r")),
        batch,
        in_session,
        in_session,  # again: the refusal is kept
    ):
        with pytest.raises(Refused, match=r"RUN_ENDED: context.run: run 'r' in '.*' has ended; nothing was"):
            shard.write(request)
    assert shard.read(kv_pb2.GetRequest(namespace=NAMESPACE, key="a")).value == b"1"
    assert end(shard, "r").conflict  # not refused: it tells when it ended
    assert replay(shard, "r").verdict == run_pb2.REPLAY_VERDICT_SAME
    begin(shard, "quiet", record=False)
    end(shard, "quiet")
    for label in ("quiet", "never begun"):
        put(shard, "a", b"3", label)


def test_a_run_that_ended_in_its_parent_goes_on_in_a_fork_from_before() -> None:
    shard = Shard()
    begin(shard, "r")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    end(shard, "r")
    put(shard, "a", b"1", "r", FORK)
    end(shard, "r", FORK)
    with pytest.raises(Refused, match="RUN_ENDED"):
        put(shard, "a", b"2", "r", FORK)


def some_work(shard: Shard, run: str, space: str = NAMESPACE, answer: bytes = b'"yes"') -> None:
    """A run that writes a little of everything."""
    begin(shard, run, space=space)
    where: dict[str, Any] = {"namespace": space, "context": context(run)}
    first = put(shard, "a", b"1", run, space)
    put(shard, "a", answer, run, space, if_version=first.version)
    put(shard, "a", b"3", run, space, if_version=first.version)
    shard.write(stream_pb2.AppendRequest(**where, stream=f"run/{run}", type="tool", payload=answer))
    shard.write(state_pb2.CompareAndSwapRequest(**where, name="s", value=b"1"))
    made = shard.write(memory_pb2.RememberRequest(**where, text="t", embedding=VECTOR, fingerprint="m"))
    shard.write(memory_pb2.ForgetRequest(**where, id=made.id))
    shard.write(memory_pb2.RememberRequest(**where, id="m", text="t", embedding=VECTOR, fingerprint="m"))
    shard.write(vector_pb2.CreateCollectionRequest(**where, collection="c", dimension=2))
    shard.write(vector_pb2.UpsertVectorRequest(**where, collection="c", id="v", vector=VECTOR))
    with pytest.raises(Refused):
        shard.write(vector_pb2.UpsertVectorRequest(**where, collection="none", id="v", vector=VECTOR))
    batch = batch_pb2.BatchRequest(**where)
    batch.operations.add().put.CopyFrom(kv_pb2.PutRequest(key="b", value=b"1"))
    batch.operations.add().delete.CopyFrom(kv_pb2.DeleteRequest(key="b"))
    shard.write(batch)
    shard.write(graph_pb2.UpsertNodeRequest(**where, id="n1", type="t"))
    shard.write(graph_pb2.UpsertNodeRequest(**where, id="n2", type="t"))
    shard.write(graph_pb2.UpsertEdgeRequest(**where, source="n1", type="e", target="n2"))
    end(shard, run, space)


STEPS = 16


def replay(shard: Shard, run_id: str = "r1", space: str = NAMESPACE, **more: Any) -> Any:
    return shard.read(run_pb2.ReplayRunRequest(namespace=space, run_id=run_id, **more))


def test_a_replay_does_what_the_run_did_and_changes_nothing() -> None:
    shard = Shard()
    put(shard, "a", b"0")
    some_work(shard, "r1")
    put(shard, "a", b"9")
    before = (
        shard.machine.usage("acme").bytes,
        shard.machine.applied_hash,
        len(shard.machine.spaces.by_name),
    )
    found = replay(shard)
    assert (found.verdict, found.steps, found.recorded_steps) == (run_pb2.REPLAY_VERDICT_SAME, STEPS, STEPS)
    assert found.recorded_hash == found.replayed_hash != bytes(32) and not found.outside_steps
    assert not found.HasField("first_difference")
    after = (shard.machine.usage("acme").bytes, shard.machine.applied_hash, len(shard.machine.spaces.by_name))
    assert before == after and not shard.machine.spaces.by_name[NAMESPACE].forks
    part = replay(shard, steps_max=3)
    assert (part.steps, part.recorded_steps) == (3, STEPS)
    assert part.recorded_hash == part.replayed_hash != found.recorded_hash


def test_a_replay_survives_a_disk_and_works_in_a_fork() -> None:
    shard, disk = Shard(), Disk()
    shard.machine = Machine(0, journal=Journal())
    some_work(shard, "r1")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    expected = replay(shard)
    disk.save(shard.machine)
    shard.machine = disk.load()
    for space in (NAMESPACE, FORK):
        found = replay(shard, space=space)
        assert (found.verdict, found.replayed_hash) == (run_pb2.REPLAY_VERDICT_SAME, expected.replayed_hash)
    run = shard.read(run_pb2.GetRunRequest(namespace=NAMESPACE, run_id="r1")).run
    assert run.recorded and run.steps == STEPS and 0 < run.began_version < run.version


def test_a_step_that_depends_on_others_is_told_from_one_that_nothing_explains() -> None:
    shard = Shard()
    begin(shard, "r1")
    others = put(shard, "k", b"1")
    put(shard, "k", b"2", "r1", if_version=others.version)
    put(shard, "own", b"2", "r1")
    found = replay(shard)
    assert (found.verdict, found.outside_steps) == (run_pb2.REPLAY_VERDICT_OUTSIDE, 1)
    assert (found.first_difference.step, found.first_difference.call) == (1, "Put")
    assert found.first_difference.is_outside
    assert '"conflict":true' in found.first_difference.right
    assert '"conflict"' not in found.first_difference.left
    recording = shard.machine.spaces.by_name[NAMESPACE].projection(StreamsProjection).streams[stream_of("r1")]
    event = recording.events[1]
    event.payload = event.payload.replace(b"own", b"owl")  # what damage, or an old version, may have left
    found = replay(shard)
    assert found.verdict == run_pb2.REPLAY_VERDICT_DIFFERS and found.first_difference.step == 2
    assert "owl" in found.first_difference.left and not found.first_difference.right


def test_only_what_a_recorded_run_does_while_it_runs_is_recorded_and_once() -> None:
    shard = Shard()
    begin(shard, "r1")
    request = kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"1", context=session(1, run="r1"))
    assert shard.write(request) == shard.write(request)
    put(shard, "k", b"2")
    put(shard, "k", b"2", "another")
    end(shard, "r1")
    put(shard, "k", b"3")
    assert replay(shard).recorded_steps == 2
    listed = shard.read(stream_pb2.ListStreamsRequest(namespace=NAMESPACE))
    assert not listed.streams
    with pytest.raises(Refused, match="control character"):
        shard.read(stream_pb2.ReadStreamRequest(namespace=NAMESPACE, stream=stream_of("r1")))


def test_what_cannot_be_replayed_says_so() -> None:
    shard = Shard()
    begin(shard, "quiet", record=False)
    put(shard, "k", b"1", "quiet")
    with pytest.raises(Refused, match="NOT_RECORDED"):
        replay(shard, "quiet")
    with pytest.raises(Refused, match="NO_SUCH_RUN"):
        replay(shard, "none")
    begin(shard, "idle")
    found = replay(shard, "idle")
    assert (found.verdict, found.steps) == (run_pb2.REPLAY_VERDICT_SAME, 0)


def diff_runs(shard: Shard, left: str, right: str, **more: Any) -> Any:
    return shard.read(run_pb2.DiffRunsRequest(namespace=NAMESPACE, run_id=left, other_run_id=right, **more))


def test_runs_that_did_the_same_differ_in_nothing_but_ids_and_versions() -> None:
    shard = Shard()
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    some_work(shard, "r1")
    some_work(shard, "r2", FORK)
    found = diff_runs(shard, "r1", "r2", other_namespace=FORK)
    assert not found.HasField("first_difference"), found.first_difference
    assert (found.common_steps, found.steps, found.other_steps) == (STEPS, STEPS, STEPS)
    assert not found.records and not found.truncated


def test_runs_are_aligned_up_to_the_first_step_that_differs() -> None:
    shard = Shard()
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    some_work(shard, "r1")
    some_work(shard, "r2", FORK, answer=b'"no"')
    put(shard, "more", b"1")
    found = diff_runs(shard, "r1", "r2", other_namespace=FORK)
    assert (found.common_steps, found.first_difference.step, found.first_difference.call) == (1, 2, "Put")
    assert '"yes"' in found.first_difference.left and '"no"' in found.first_difference.right
    assert [(each.kind, each.name) for each in found.records] == [("document", "a")]
    assert (found.records[0].left, found.records[0].right) == ('"yes"', '"no"')


def test_a_run_that_went_on_differs_at_the_step_that_the_other_lacks() -> None:
    shard = Shard()
    for run in ("r1", "r2"):
        begin(shard, run)
        put(shard, f"key of {run}", b"1", run)
        put(shard, "k", b"1", run)
    put(shard, "k", b"2", "r2")
    shard.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key="k", context=context("r2")))
    found = diff_runs(shard, "r1", "r2")
    assert found.first_difference.step == 3 and not found.first_difference.left
    assert {(each.name, bool(each.left), bool(each.right)) for each in found.records} == {
        ("key of r2", False, True),
        ("k", True, False),
    }


def diff(shard: Shard, space: str = NAMESPACE, at_index: int | None = None, **more: Any) -> Any:
    return shard.read(fork_pb2.DiffRequest(namespace=space, **more), at_index=at_index)


def changes(found: Any) -> list[tuple[str, str, str, str]]:
    return [(each.kind, each.name, each.left, each.right) for each in found.records]


def test_two_moments_of_a_namespace() -> None:
    shard = Shard()
    put(shard, "a", b"1")
    put(shard, "b", b"1")
    start = shard.machine.applied_index
    put(shard, "a", b"2")
    delete(shard, "b")
    put(shard, "c", b"3")
    put(shard, "same", b"1")
    delete(shard, "same")
    middle = shard.machine.applied_index
    some_work(shard, "r1")
    assert changes(diff(shard, from_index=start, at_index=middle)) == [
        ("document", "a", "1", "2"),
        ("document", "b", "1", ""),
        ("document", "c", "", "3"),
    ]
    found = diff(shard, from_index=middle)
    kinds = {each.kind for each in found.records}
    assert kinds == {"document", "edge", "memory", "node", "run", "state", "stream", "vector"}
    assert [each.kind for each in found.records] == sorted(each.kind for each in found.records)
    backwards = diff(shard, from_index=middle, at_index=start)
    assert changes(backwards) == [
        (kind, name, right, left)
        for kind, name, left, right in changes(diff(shard, from_index=start, at_index=middle))
    ]
    assert not diff(shard, from_index=middle, at_index=middle).records
    assert {each.kind for each in diff(shard, from_index=middle, kinds=["node", "edge"]).records} == {
        "node",
        "edge",
    }
    with pytest.raises(Refused, match="no kind 'nodes'"):
        diff(shard, from_index=middle, kinds=["nodes"])
    with pytest.raises(Refused, match="AT_IN_FUTURE"):
        diff(shard, from_index=shard.machine.applied_index + 1)


def test_pages_of_a_diff() -> None:
    shard = Shard()
    start = shard.machine.applied_index
    put(shard, "z", b"0")
    for number in range(7):
        put(shard, f"k{number}", b"1")
        shard.write(state_pb2.CompareAndSwapRequest(namespace=NAMESPACE, name=f"s{number}", value=b"1"))
    whole = changes(diff(shard, from_index=start))
    found, cursor = [], ""
    while True:
        page = diff(shard, from_index=start, limit=3, cursor=cursor)
        found += changes(page)
        cursor = page.next_cursor
        if not cursor:
            break
        assert len(page.records) == 3
    assert found == whole and len(whole) == 15


def test_a_fork_and_its_parent_and_two_forks() -> None:
    shard = Shard()
    put(shard, "a", b"1")
    put(shard, "b", b"1")
    for name in ("f", "g"):
        shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork=name))
    put(shard, "a", b"2", space=FORK)
    delete(shard, "b", f"{NAMESPACE}@g")
    put(shard, "c", b"3")
    assert changes(diff(shard, FORK, from_namespace=NAMESPACE)) == [
        ("document", "a", "1", "2"),
        ("document", "c", "3", ""),
    ]
    assert changes(diff(shard, NAMESPACE, from_namespace=FORK)) == [
        ("document", "a", "2", "1"),
        ("document", "c", "", "3"),
    ]
    assert changes(diff(shard, FORK, from_namespace=f"{NAMESPACE}@g")) == [
        ("document", "a", "1", "2"),
        ("document", "b", "", "1"),
    ]
    with pytest.raises(Refused, match="UNRELATED"):
        diff(shard, FORK, from_namespace="acme/other")
    with pytest.raises(Refused, match="NO_SUCH_FORK"):
        diff(shard, FORK, from_namespace=f"{NAMESPACE}@none")


def merge(shard: Shard, on_conflict: int = 0, name: str = "f", space: str = NAMESPACE) -> Any:
    return shard.write(
        fork_pb2.MergeForkRequest(namespace=space, fork=name, on_conflict=on_conflict)  # type: ignore[arg-type]
    )


def test_a_merge_brings_all_that_was_written_in_the_fork() -> None:
    shard, disk = Shard(), Disk()
    shard.machine = Machine(0, journal=Journal())
    put(shard, "gone", b"1")
    shard.write(stream_pb2.AppendRequest(namespace=NAMESPACE, stream="log", payload=b"1"))
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    some_work(shard, "r1", FORK)
    delete(shard, "gone", FORK)
    shard.write(stream_pb2.AppendRequest(namespace=FORK, stream="log", payload=b"3"))
    shard.write(stream_pb2.AppendRequest(namespace=NAMESPACE, stream="log", payload=b"2"))
    put(shard, "others", b"1")
    reply = merge(shard)
    assert not reply.conflict and not reply.conflicts and reply.merged
    left = changes(diff(shard, FORK, from_namespace=NAMESPACE))
    assert [(kind, name) for kind, name, *_ in left] == [("document", "others"), ("stream", "log")]
    log = shard.read(stream_pb2.ReadStreamRequest(namespace=NAMESPACE, stream="log"))
    assert [event.payload for event in log.events] == [b"1", b"2", b"3"]
    verified = shard.read(stream_pb2.VerifyStreamRequest(namespace=NAMESPACE, stream="log"))
    assert verified.intact and verified.count == 3
    record = shard.read(kv_pb2.GetRequest(namespace=NAMESPACE, key="a"))
    assert (record.value, record.provenance.run) == (
        b'"yes"',
        "r1",
    ) and record.provenance.version >= reply.version
    recalled = shard.read(memory_pb2.RecallRequest(namespace=NAMESPACE, embedding=VECTOR, fingerprint="m"))
    assert [hit.memory.id for hit in recalled.hits] == ["m"]
    found = shard.machine.nearest(NAMESPACE, "c", [1.0, 2.0], 3)
    assert found is not None and found[0] == ["v"]
    again = merge(shard)
    assert again.merged == 0 and not again.conflicts
    disk.save(shard.machine)
    shard.machine = disk.load()
    assert merge(shard).merged == 0
    put(shard, "later", b"1", space=FORK)
    assert merge(shard).merged == 1


def test_conflicts_are_listed_and_nothing_is_merged_until_somebody_decides() -> None:
    shard = Shard()
    for key in ("both", "same", "deleted here", "deleted there", "mine"):
        put(shard, key, b"0")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    for space, value in ((NAMESPACE, b"1"), (FORK, b"2")):
        put(shard, "both", value, space=space)
        put(shard, "same", b"3", space=space)
        put(shard, "new", value, space=space)
    delete(shard, "deleted here")
    put(shard, "deleted here", b"2", space=FORK)
    delete(shard, "deleted there", FORK)
    put(shard, "deleted there", b"1")
    put(shard, "theirs", b"2", space=FORK)
    put(shard, "mine", b"1")

    def values() -> dict[str, bytes]:
        listed = shard.read(kv_pb2.ListRequest(namespace=NAMESPACE))
        return dict(zip(listed.keys, listed.values, strict=True))

    before = values()
    reply = merge(shard)
    assert reply.conflict and reply.merged == 0 and values() == before
    assert reply.conflict_count == 4
    names = {each.name: each for each in reply.conflicts}
    assert set(names) == {"both", "new", "deleted here", "deleted there"}
    assert names["new"].base_version == 0 < names["new"].ours_version < names["new"].theirs_version
    assert names["deleted here"].ours_version == 0 and names["deleted there"].theirs_version == 0
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="kept"))
    ours = merge(shard, fork_pb2.ON_CONFLICT_OURS)
    assert (ours.conflict, ours.merged, ours.conflict_count) == (False, 2, 4)
    assert values() == {**before, "theirs": b"2"}
    put(shard, "both", b"4", space=FORK)
    put(shard, "both", b"5")
    theirs = merge(shard, fork_pb2.ON_CONFLICT_THEIRS)
    assert (theirs.merged, theirs.conflict_count) == (1, 1)
    assert values()["both"] == b"4"
    with pytest.raises(Refused, match="NO_SUCH_FORK"):
        merge(shard, name="none")


def test_a_document_keeps_its_deadline_through_a_merge() -> None:
    shard = Shard()
    put(shard, "k", b"0")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    put(shard, "k", b"1", space=FORK, ttl_ms=60_000)
    asked = kv_pb2.GetRequest(namespace=FORK, key="k")
    deadline_us = shard.read(asked).expires_at_us
    merge(shard)
    asked.namespace = NAMESPACE
    assert shard.read(asked).expires_at_us == deadline_us == shard.machine.next_due_us()


def test_vectors_that_do_not_fit_by_now_stop_a_merge_before_it_began() -> None:
    shard = Shard()
    put(shard, "k", b"0")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    put(shard, "k", b"1", space=FORK)
    for space, dimension in ((NAMESPACE, 3), (FORK, 2)):
        shard.write(vector_pb2.CreateCollectionRequest(namespace=space, collection="c", dimension=dimension))
    shard.write(vector_pb2.UpsertVectorRequest(namespace=FORK, collection="c", id="v", vector=VECTOR))
    with pytest.raises(Refused, match="COLLECTION_MISMATCH"):
        merge(shard)
    assert shard.read(kv_pb2.GetRequest(namespace=NAMESPACE, key="k")).value == b"0"


def test_more_than_one_command_may_carry_is_not_merged() -> None:
    shard = Shard()
    put(shard, "k", b"0")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    keys = [f"k{number}" for number in range(10_000)]
    shard.write(kv_pb2.MultiPutRequest(namespace=FORK, keys=keys, values=[b"1"] * len(keys)))
    with pytest.raises(Refused, match="10000 records and events to merge, at most 9999"):
        merge(shard)


def test_what_is_shown_of_a_step_is_json() -> None:
    shard = Shard()
    begin(shard, "r1")
    begin(shard, "r2")
    put(shard, "k", b'{"n":1}', "r1")
    found = diff_runs(shard, "r1", "r2")
    shown = msgspec.json.decode(found.first_difference.left)
    assert shown["request"] == {"key": "k", "value": {"n": 1}} and shown["reply"]["version"]

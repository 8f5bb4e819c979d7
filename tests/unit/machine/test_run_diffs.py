"""What makes two steps of recorded runs the same: places in the log and ids may differ, answers may not."""

from typing import Any

import pytest

from memraft_proto.v1 import coordination_pb2, fork_pb2, kv_pb2, memory_pb2, run_pb2, stream_pb2
from memraft_proto.v1.common_pb2 import WriteContext
from tests.unit.machine.harness import NAMESPACE, Shard

FORK = f"{NAMESPACE}@f"


def write(shard: Shard, space: str, run: str, request: Any) -> Any:
    request.namespace = space
    request.context.CopyFrom(WriteContext(run=run))
    return shard.write(request)


@pytest.fixture
def shard() -> Shard:
    """With a run in a namespace, and another in a fork of it."""
    shard = Shard()
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    for space, run in ((NAMESPACE, "first"), (FORK, "other")):
        write(shard, space, "", run_pb2.BeginRunRequest(run_id=run, record=True))
    return shard


def diff(shard: Shard) -> Any:
    return shard.read(
        run_pb2.DiffRunsRequest(
            namespace=NAMESPACE, run_id="first", other_run_id="other", other_namespace=FORK
        )
    )


def test_ids_and_versions_that_a_run_was_told_stand_for_those_of_the_other(shard: Shard) -> None:
    write(shard, FORK, "", stream_pb2.AppendRequest(stream="log", type="t", payload=b"1"))
    for space, run in ((NAMESPACE, "first"), (FORK, "other")):
        made = write(shard, space, run, memory_pb2.RememberRequest(text="t"))
        write(shard, space, run, kv_pb2.PutRequest(key=f"about {made.id} in {run}", value=b'"%a"' % made.id))
        event = write(shard, space, run, stream_pb2.AppendRequest(stream="log", type="t", payload=b"1"))
        text = f'["{made.id}", "{event.event_id}", "run/{run}"]'.encode()
        put = write(shard, space, run, kv_pb2.PutRequest(key="k", value=text))
        write(shard, space, run, kv_pb2.DeleteRequest(key="k", if_version=put.version))
    found = diff(shard)
    assert (found.common_steps, found.HasField("first_difference")) == (5, False), found


def test_what_a_tool_gave_may_name_the_ids_of_the_run_that_was_recorded(shard: Shard) -> None:
    recorded = ""
    for space, run in ((NAMESPACE, "first"), (FORK, "other")):
        made = write(shard, space, run, memory_pb2.RememberRequest(text="t"))
        recorded = recorded or made.id
        call = f'{{"input":["{made.id}",{made.version}],"output":"{recorded} of 1 first"}}'.encode()
        write(shard, space, run, stream_pb2.AppendRequest(stream=f"run/{run}", type="t", payload=call))
    found = diff(shard)
    assert (found.common_steps, found.HasField("first_difference")) == (2, False), found


def test_a_run_that_was_told_another_number_did_not_do_the_same(shard: Shard) -> None:
    write(shard, FORK, "", coordination_pb2.AddCounterRequest(name="n", delta=2))
    for space, run in ((NAMESPACE, "first"), (FORK, "other")):
        write(shard, space, run, coordination_pb2.AddCounterRequest(name="n", delta=1))
    found = diff(shard)
    assert (found.common_steps, found.first_difference.call) == (0, "AddCounter")
    assert '"value":1' in found.first_difference.left and '"value":3' in found.first_difference.right


def test_another_id_than_the_one_it_was_told_is_a_difference(shard: Shard) -> None:
    for space, run in ((NAMESPACE, "first"), (FORK, "other")):
        made = [write(shard, space, run, memory_pb2.RememberRequest(text="t")) for _ in range(2)]
        told = made[run == "other"].id
        write(shard, space, run, kv_pb2.PutRequest(key="k", value=f'"{told}"'.encode()))
    found = diff(shard)
    assert (found.common_steps, found.first_difference.step) == (2, 3)


def test_events_that_were_added_on_both_sides_are_a_difference(shard: Shard) -> None:
    for space, run, payload in ((NAMESPACE, "first", b'"a"'), (FORK, "other", b'"b"')):
        write(shard, space, run, stream_pb2.AppendRequest(stream="log", type="t", payload=payload))
    found = diff(shard)
    assert [(each.kind, each.name) for each in found.records] == [("stream", "log")]
    assert '"a"' in found.records[0].left and '"b"' in found.records[0].right
    found = shard.read(fork_pb2.DiffRequest(namespace=FORK, from_namespace=NAMESPACE, kinds=["stream"]))
    assert [(each.kind, each.name) for each in found.records] == [("stream", "log")]
    assert (
        found.records[0].left == '{"events":[{"payload":"a","type":"t"}],"from_sequence":1,"last_sequence":1}'
    )
    assert '"payload":"b"' in found.records[0].right


def test_a_stream_is_shown_from_the_first_event_that_differs(shard: Shard) -> None:
    def append(space: str, *payloads: str) -> None:
        for payload in payloads:
            request = stream_pb2.AppendRequest(stream="log", type="t", payload=payload.encode())
            write(shard, space, "", request)

    append(NAMESPACE, "1", "2")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="g"))
    fork = f"{NAMESPACE}@g"
    append(fork, "3", "4")
    asked = fork_pb2.DiffRequest(namespace=fork, from_namespace=NAMESPACE, kinds=["stream"])
    (found,) = shard.read(asked).records
    assert found.left == '{"events":[],"from_sequence":3,"last_sequence":2}'
    assert '"payload":3' in found.right and '"from_sequence":3,"last_sequence":4' in found.right
    shard.write(fork_pb2.MergeForkRequest(namespace=NAMESPACE, fork="g"))
    assert not shard.read(asked).records
    append(NAMESPACE, "5")
    (found,) = shard.read(asked).records
    assert '{"payload":5,"type":"t"}],"from_sequence":5,"last_sequence":5' in found.left
    assert '"events":[],"from_sequence":5,"last_sequence":4' in found.right
    append(fork, "6")
    (found,) = shard.read(asked).records
    assert found.right == '{"events":[{"payload":6,"type":"t"}],"from_sequence":5,"last_sequence":5}'


def test_a_fork_that_a_run_makes_and_merges_is_left_out_of_its_replay() -> None:
    shard = Shard()
    write(shard, NAMESPACE, "", run_pb2.BeginRunRequest(run_id="r1", record=True))
    write(shard, NAMESPACE, "r1", fork_pb2.ForkRequest(fork="f"))
    write(shard, FORK, "r1", kv_pb2.PutRequest(key="k", value=b"1"))
    write(shard, NAMESPACE, "r1", fork_pb2.MergeForkRequest(fork="f"))
    version = shard.read(kv_pb2.GetRequest(namespace=NAMESPACE, key="k")).provenance.version
    assert write(shard, NAMESPACE, "r1", kv_pb2.DeleteRequest(key="k", if_version=version)).found
    assert write(shard, NAMESPACE, "r1", fork_pb2.DropForkRequest(fork="f")).found
    found = shard.read(run_pb2.ReplayRunRequest(namespace=NAMESPACE, run_id="r1"))
    assert (found.verdict, found.outside_steps) == (run_pb2.REPLAY_VERDICT_OUTSIDE, 2)
    assert (found.first_difference.step, found.first_difference.call) == (2, "MergeFork")

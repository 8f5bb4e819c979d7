"""What time does by itself while a run goes on is done again by its replay, at the same versions."""

from typing import Any

from memraft_proto.v1 import batch_pb2, fork_pb2, kv_pb2, lease_pb2, memory_pb2, namespace_pb2, run_pb2
from memraft_proto.v1.common_pb2 import WriteContext
from tests.unit.machine.harness import NAMESPACE, SECOND_US, Shard

FORK = f"{NAMESPACE}@f"


def write(shard: Shard, request: Any, *, run: str = "r1", space: str = NAMESPACE) -> Any:
    request.namespace = space
    request.context.CopyFrom(WriteContext(run=run))
    return shard.write(request)


def begin(shard: Shard, space: str = NAMESPACE) -> None:
    write(shard, run_pb2.BeginRunRequest(run_id="r1", record=True), run="", space=space)


def acquire(
    holder: str, *, ttl_s: int = 1, wait_s: int = 0, name: str = "k"
) -> lease_pb2.AcquireLeaseRequest:
    return lease_pb2.AcquireLeaseRequest(
        name=name, holder=holder, ttl_ms=1_000 * ttl_s, wait_ms=1_000 * wait_s
    )


def put(key: str, ttl_s: int = 0, **more: Any) -> kv_pb2.PutRequest:
    return kv_pb2.PutRequest(key=key, value=b"1", ttl_ms=1_000 * ttl_s, **more)


def lapse(shard: Shard, seconds: int = 2) -> int:
    """Lets time go by, and has the machine do what a leader would propose then; returns how much that was."""
    shard.time_us += seconds * SECOND_US
    due = shard.machine.due(shard.time_us, 100)
    shard.machine.apply(shard.machine.applied_index + 1, shard.time_us, 7, due)
    return len(due)


def replay(shard: Shard, space: str = NAMESPACE) -> Any:
    return shard.read(run_pb2.ReplayRunRequest(namespace=space, run_id="r1"))


def test_a_lease_that_lapsed_between_two_steps_lapses_between_them_again() -> None:
    shard = Shard()
    begin(shard)
    tokens = [write(shard, acquire("k")).current.token for _ in range(2)]
    assert tokens[0] != tokens[1]  # the clock goes on by a second with each write
    found = replay(shard)
    assert found.verdict == run_pb2.REPLAY_VERDICT_SAME, found


def test_a_replay_begins_with_the_leases_that_were_held_and_waited_for_then() -> None:
    shard = Shard()
    write(shard, acquire("a", ttl_s=60), run="")
    write(shard, acquire("b", ttl_s=60, wait_s=60), run="")
    write(shard, acquire("z", name="other", ttl_s=60), run="")
    begin(shard)
    assert not write(shard, acquire("c", wait_s=60)).granted
    assert write(shard, lease_pb2.ReleaseLeaseRequest(name="k", holder="a")).released
    assert write(shard, acquire("b")).granted
    write(shard, lease_pb2.ReleaseLeaseRequest(name="other", holder="z"), run="")
    write(shard, lease_pb2.ReleaseLeaseRequest(name="k", holder="b"), run="")
    found = replay(shard)
    assert found.verdict == run_pb2.REPLAY_VERDICT_SAME, found


def test_leases_that_the_leader_ended_between_two_steps_end_there_again() -> None:
    shard = Shard()
    begin(shard)
    for name in ("k", "l"):
        write(shard, acquire("a", ttl_s=4, name=name))
        write(shard, acquire("b", ttl_s=60, wait_s=60, name=name))
        write(shard, acquire("gone", wait_s=1, name=name))
    assert lapse(shard, 5) == 1
    for name in ("k", "l"):
        assert write(shard, acquire("b", ttl_s=60, name=name)).granted
        assert write(shard, acquire("c", wait_s=60, name=name)).position == 1
    found = replay(shard)
    assert found.verdict == run_pb2.REPLAY_VERDICT_SAME, found


def test_documents_that_expired_between_two_steps_expire_there_again() -> None:
    shard = Shard()
    begin(shard)
    write(shard, put("k", 1))
    batch = batch_pb2.BatchRequest()
    batch.operations.add().put.CopyFrom(put("in a batch", 1))
    batch.operations.add().put.CopyFrom(put("stays", 1_000))
    write(shard, batch)
    assert lapse(shard) == 1
    for key in ("k", "in a batch"):
        assert not write(shard, put(key, 1, if_version=0)).conflict
    assert write(shard, put("stays", if_version=0)).conflict
    assert lapse(shard) == 1
    assert not write(shard, kv_pb2.DeleteRequest(key="k")).found
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    for space in (NAMESPACE, FORK):
        found = replay(shard, space)
        assert found.verdict == run_pb2.REPLAY_VERDICT_SAME, found


def test_a_document_of_before_the_run_that_expired_in_it_is_told_from_a_step_that_differs() -> None:
    shard = Shard()
    write(shard, put("k", 1), run="")
    begin(shard)
    assert lapse(shard) == 1
    assert not write(shard, kv_pb2.DeleteRequest(key="k")).found
    assert replay(shard).verdict == run_pb2.REPLAY_VERDICT_OUTSIDE


def test_a_document_that_was_evicted_between_two_steps_is_evicted_there_again() -> None:
    shard = Shard()
    shard.write(namespace_pb2.SetNamespaceSettingsRequest(namespace=NAMESPACE, entries_max=2))
    begin(shard)
    for key in ("a", "b", "c"):
        write(shard, put(key))
    assert lapse(shard) == 1
    assert not write(shard, kv_pb2.DeleteRequest(key="a")).found
    assert not write(shard, put("a", if_version=0)).conflict
    found = replay(shard)
    assert found.verdict == run_pb2.REPLAY_VERDICT_SAME, found


def test_a_replay_goes_by_the_settings_of_its_run_not_by_those_of_now() -> None:
    shard = Shard()
    settings = namespace_pb2.SetNamespaceSettingsRequest(namespace=NAMESPACE, default_ttl_ms=1_000)
    shard.write(settings)
    begin(shard)
    write(shard, put("k"))
    assert lapse(shard) == 1
    assert not write(shard, put("k", if_version=0)).conflict
    settings.default_ttl_ms = 0
    shard.write(settings)
    found = replay(shard)
    assert found.verdict == run_pb2.REPLAY_VERDICT_SAME, found


def test_memories_that_the_machine_forgot_between_two_steps_are_forgotten_there_again() -> None:
    shard = Shard()
    limits = namespace_pb2.MemorySettings(entries_max=2)
    shard.write(namespace_pb2.SetNamespaceSettingsRequest(namespace=NAMESPACE, memories=limits))
    begin(shard)
    write(shard, memory_pb2.RememberRequest(id="brief", text="t", ttl_ms=1_000, salience=1.0))
    assert lapse(shard) == 1
    assert not write(shard, memory_pb2.ForgetRequest(id="brief")).found
    for id, salience in (("a", 0.5), ("b", 0.1), ("c", 0.9)):
        write(shard, memory_pb2.RememberRequest(id=id, text=id, salience=salience))
    assert lapse(shard) == 1
    assert not write(shard, memory_pb2.ForgetRequest(id="b")).found
    assert write(shard, memory_pb2.ForgetRequest(id="a")).found
    write(shard, memory_pb2.RememberRequest(id="b", text="b", ttl_ms=1_000_000))
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    for space in (NAMESPACE, FORK):
        found = replay(shard, space)
        assert found.verdict == run_pb2.REPLAY_VERDICT_SAME, found

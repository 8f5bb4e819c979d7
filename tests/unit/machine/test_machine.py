"""The machine as a whole: time, hash, what it refuses to be given."""

from typing import Any

import pytest
from google.protobuf.message import Message

from memraft_proto.methods import COMMANDS, KIND_BATCH, KIND_TXN, METHODS, Access
from memraft_proto.v1 import kv_pb2, run_pb2, state_pb2
from memraft_proto.v1.common_pb2 import WriteContext
from memraft_proto.v1.error_pb2 import ErrorReason
from memraft_server.machine import Command, Machine
from memraft_server.machine.refused import STATUS_CODES, BrokenInvariant
from memraft_server.machine.registry import HANDLERS, PORTIONED, QUERIES
from memraft_server.machine.validate import READ_CHECKS, WRITE_CHECKS
from tests.unit.machine.harness import NAMESPACE, Shard, command, session


def put(key: str, value: bytes = b"1", **more: Any) -> kv_pb2.PutRequest:
    return kv_pb2.PutRequest(namespace=NAMESPACE, key=key, value=value, **more)


def test_every_call_of_the_contract_has_its_handler_and_its_check() -> None:
    reads = {method.name for method in METHODS.values() if method.access is Access.READ}
    assert set(QUERIES) | set(PORTIONED) == reads
    assert set(READ_CHECKS) == reads
    wholes = {KIND_BATCH, KIND_TXN}
    assert set(HANDLERS) | wholes == set(COMMANDS)
    assert set(WRITE_CHECKS) | wholes == {method.kind for method in METHODS.values() if method.kind}


def test_every_reason_has_a_status_code() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118
    assert set(STATUS_CODES) == names - {"UNSPECIFIED"}


def test_commit_time_never_stands_still_nor_goes_back() -> None:
    machine = Machine(0)
    for index, stamped in enumerate((1_000, 1_000, 500, 2_000), 1):
        machine.apply(index, stamped, 0, [command(put("k"))])
    times = [machine.time_us(index << 20) for index in range(1, 5)]
    assert times == [1_000, 1_001, 1_002, 2_000]
    assert machine.last_time_us == 2_000


def test_log_indices_may_be_skipped_but_never_repeated() -> None:
    machine = Machine(3)
    machine.apply(5, 1_000, 0, [command(put("k", b"1"))])
    machine.apply(9, 2_000, 0, [command(put("k", b"2"))])
    request = kv_pb2.GetRequest(namespace=NAMESPACE, key="k")

    def at(**moment: int) -> Any:
        request.context.Clear()
        for name, value in moment.items():
            setattr(request.context, name, value)
        answer: Any = machine.query("Get", request)
        return answer.value

    assert [at(at_index=index) for index in (4, 5, 8, 9)] == [b"", b"1", b"1", b"2"]
    assert [at(at_time_us=time) for time in (999, 1_000, 1_999, 2_000)] == [b"", b"1", b"1", b"2"]
    with pytest.raises(BrokenInvariant, match="shard 3: entry 9 after entry 9"):
        machine.apply(9, 3_000, 0, [])


def test_an_apply_that_was_cut_short_is_never_done_again() -> None:
    """What it had changed is unknown; a second try would also give the entries after it wrong times."""
    machine = Machine(3)
    machine.apply(1, 1_000, 0, [command(put("k"))])
    with pytest.raises(BrokenInvariant, match="unknown kind"):
        machine.apply(2, 2_000, 0, [command(put("k")), Command(99, "alice", put("k"))])
    with pytest.raises(BrokenInvariant, match="entry 2 after entry 2"):
        machine.apply(2, 5_000, 0, [command(put("k"))])


def test_an_unknown_kind_stops_the_replica() -> None:
    with pytest.raises(BrokenInvariant, match="unknown kind 99"):
        Machine(0).apply(1, 1, 0, [Command(99, "alice", put("k"))])


def test_an_empty_entry_moves_the_clock_and_the_hash() -> None:
    machine = Machine(0)
    before = machine.applied_hash
    assert machine.apply(1, 1_000, 0, []) == []
    assert machine.applied_hash != before
    assert (machine.applied_index, machine.last_time_us) == (1, 1_000)


@pytest.mark.parametrize(
    "differ",
    [
        lambda m: m.apply(1, 1_001, 7, [command(put("k"))]),
        lambda m: m.apply(2, 1_000, 7, [command(put("k"))]),
        lambda m: m.apply(1, 1_000, 8, [command(put("k"))]),
        lambda m: m.apply(1, 1_000, 7, [command(put("k")), command(put("k"))]),
        lambda m: m.apply(1, 1_000, 7, [command(put("k", if_version=1))]),
        lambda m: m.apply(1, 1_000, 7, [command(put("k", b"2"))]),
        lambda m: m.apply(1, 1_000, 7, [command(put("k", ttl_ms=1))]),
        lambda m: m.apply(1, 1_000, 7, [command(put("k"), agent="bob")]),
        lambda m: m.apply(1, 1_000, 7, [command(put("k", context=WriteContext(run="r")))]),
        lambda m: m.apply(1, 1_000, 7, [command(put("k", context=WriteContext(tool="t")))]),
        lambda m: m.apply(1, 1_000, 7, [command(put("k"))], b"another entry"),
        lambda m: m.apply(1, 1_000, 7, [command(kv_pb2.DeleteRequest(namespace=NAMESPACE, key="k"))]),
        lambda m: m.apply(1, 1_000, 7, [command(run_pb2.EndRunRequest(namespace=NAMESPACE, run_id="r"))]),
        lambda m: m.apply(
            1, 1_000, 7, [command(state_pb2.CompareAndSwapRequest(namespace=NAMESPACE, name="k"))]
        ),
    ],
)
def test_what_was_applied_and_replied_shows_in_the_hash(differ: Any) -> None:
    one, same, other = Machine(0), Machine(0), Machine(0)
    one.apply(1, 1_000, 7, [command(put("k"))])
    same.apply(1, 1_000, 7, [command(put("k"))])
    differ(other)
    assert one.applied_hash == same.applied_hash
    assert one.applied_hash != other.applied_hash
    assert len(one.applied_hash) == 16


@pytest.mark.parametrize("other_write", [put("k", b"2"), put("k", context=WriteContext(run="r"))])
def test_a_divergence_stays_visible(other_write: Any) -> None:
    """A replica that applied anything else gives itself away at once and ever after, whatever the replies."""
    one, other = Machine(0), Machine(0)
    assert one.apply(1, 1_000, 7, [command(put("k"))]) == other.apply(1, 1_000, 7, [command(other_write)])
    assert one.applied_hash != other.applied_hash
    for index in range(2, 5):
        for machine in (one, other):
            machine.apply(index, 1_000 * index, 7, [command(put("j"))])
        assert one.applied_hash != other.applied_hash


def test_a_state_that_was_damaged_shows_at_the_first_reply_that_depends_on_it() -> None:
    one, other = Machine(0), Machine(0)
    one.apply(1, 1_000, 7, [command(put("k"))])
    other.apply(1, 1_000, 7, [command(put("k"))])
    other._spaces[NAMESPACE].kv.records.heads.clear()
    for machine in (one, other):
        machine.apply(2, 2_000, 7, [command(put("k", if_version=0))])
        machine.apply(3, 3_000, 7, [command(put("j"))])
    assert one.applied_hash != other.applied_hash


def test_replies_are_of_the_calls_own_type() -> None:
    reply: Message = Shard().write(put("k", context=session(1)))
    assert isinstance(reply, kv_pb2.PutResponse)


def test_records_of_one_author_share_who_wrote_them() -> None:
    shard = Shard()
    shard.write(put("a"))
    shard.write(put("b"))
    a, b = shard.machine.kv_head(NAMESPACE, "a"), shard.machine.kv_head(NAMESPACE, "b")
    assert a is not None and b is not None and a.author is b.author


def test_an_unknown_namespace_is_empty_not_an_error() -> None:
    shard = Shard()
    assert not shard.read(kv_pb2.GetRequest(namespace="acme/never", key="k")).found
    assert not shard.read(kv_pb2.ListRequest(namespace="acme/never")).keys
    assert not shard.read(run_pb2.ListRunsRequest(namespace="acme/never")).runs
    assert not shard.read(state_pb2.GetStateRequest(namespace="acme/never", name="n")).found
    assert shard.machine.usage("acme").bytes == 0

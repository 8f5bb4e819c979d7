"""Transactions: all operations or none, and none where what was read has changed."""

from typing import Any

import pytest

from memraft_proto.methods import OPERATION_FIELD
from memraft_proto.v1 import (
    batch_pb2,
    coordination_pb2,
    fork_pb2,
    kv_pb2,
    lease_pb2,
    memory_pb2,
    run_pb2,
    state_pb2,
    stream_pb2,
    txn_pb2,
    vector_pb2,
)
from memraft_proto.v1.txn_pb2 import (
    READ_KIND_COUNTER,
    READ_KIND_DOCUMENT,
    READ_KIND_GATE,
    READ_KIND_LEASE,
    READ_KIND_MEMORY,
    READ_KIND_RUN,
    READ_KIND_STATE,
    READ_KIND_STREAM,
)
from memraft_server.machine import Refused
from memraft_server.machine.handlers_txn import RANGE_KEYS_MAX
from tests.unit.machine.harness import KINDS, NAMESPACE, Shard, session
from tests.unit.machine.test_kv import get, put
from tests.unit.machine.test_leases import acquire, release


def txn(
    *operations: Any, reads: Any = (), ranges: Any = (), snapshot: int | None = None
) -> txn_pb2.CommitTxnRequest:
    request = txn_pb2.CommitTxnRequest(namespace=NAMESPACE, snapshot_index=snapshot)
    for operation in operations:
        operation.ClearField("namespace")
        request.operations.add(**{OPERATION_FIELD[KINDS[type(operation)]]: operation})
    for kind, name, version in reads:
        request.reads.add(kind=kind, name=name, version=version)
    for prefix, start, end, index in ranges:
        request.ranges.add(prefix=prefix, start=start, end=end, read_index=index)
    return request


def swap(name: str, expected: int) -> state_pb2.CompareAndSwapRequest:
    return state_pb2.CompareAndSwapRequest(
        namespace=NAMESPACE, name=name, expected_version=expected, value=b"1"
    )


def every_primitive() -> list[Any]:
    return [
        put("doc", b"1"),
        stream_pb2.AppendRequest(stream="log", payload=b"1"),
        swap("state", 0),
        vector_pb2.CreateCollectionRequest(collection="c", dimension=1),
        vector_pb2.UpsertVectorRequest(collection="c", id="v", vector=bytes(4)),
        memory_pb2.RememberRequest(id="m", text="hello"),
        run_pb2.BeginRunRequest(run_id="r"),
        acquire("a", ttl_s=100),
        coordination_pb2.AddCounterRequest(name="hits", delta=2),
        coordination_pb2.SetGateRequest(name="gate", open=True),
    ]


READS = [
    kv_pb2.GetRequest(namespace=NAMESPACE, key="doc"),
    stream_pb2.ReadStreamRequest(namespace=NAMESPACE, stream="log"),
    state_pb2.GetStateRequest(namespace=NAMESPACE, name="state"),
    vector_pb2.ListCollectionsRequest(namespace=NAMESPACE),
    memory_pb2.GetMemoryRequest(namespace=NAMESPACE, id="m"),
    run_pb2.GetRunRequest(namespace=NAMESPACE, run_id="r"),
    lease_pb2.GetLeaseRequest(namespace=NAMESPACE, name="reindex"),
    coordination_pb2.GetCounterRequest(namespace=NAMESPACE, name="hits"),
    coordination_pb2.GetGateRequest(namespace=NAMESPACE, name="gate"),
]


def everything(shard: Shard) -> list[Any]:
    found = []
    for request in READS:
        answer = shard.read(request)
        answer.ClearField("stamp")
        found.append(answer)
    return found


def test_operations_of_every_primitive_happen_together() -> None:
    shard = Shard()
    empty = everything(shard)
    reply = shard.write(txn(*every_primitive()))
    assert reply.committed and len(reply.results) == len(every_primitive())
    assert reply.log_index == 1 and reply.time_us == shard.time_us
    assert reply.results[0].put.version == 1 << 20
    assert reply.results[8].add_counter.value == 2
    assert all(now != before for now, before in zip(everything(shard), empty, strict=True))
    assert not shard.read(get("doc"), at_index=0).found


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (swap("other", 5), "compare_and_swap"),
        (kv_pb2.PutRequest(key="doc", value=b"2", if_version=7), "put"),
        (kv_pb2.DeleteRequest(key="doc", if_version=7), "delete"),
        (run_pb2.BeginRunRequest(run_id="r"), "begin_run"),
        (run_pb2.EndRunRequest(run_id="none", status=2), "NO_SUCH_RUN"),
        (acquire("b"), "acquire_lease"),
        (acquire("b", wait_s=50), "acquire_lease"),
        (release("b"), "release_lease"),
        (coordination_pb2.AddCounterRequest(name="hits", delta=2**63 - 1), "INVALID_ARGUMENT"),
        (coordination_pb2.ArriveAtGateRequest(name="gate2", arrival="x", parties=1), ""),
        (vector_pb2.UpsertVectorRequest(collection="d", id="v", vector=bytes(4)), "NO_SUCH_COLLECTION"),
        (vector_pb2.CreateCollectionRequest(collection="c", dimension=2), "COLLECTION_MISMATCH"),
        (fork_pb2.ForkRequest(fork="f"), "INVALID_ARGUMENT"),
    ],
)
def test_one_operation_that_cannot_be_done_undoes_all(last: Any, reason: str) -> None:
    shard = Shard()
    before = everything(shard)
    usage = shard.machine.usage("acme").bytes
    reply = shard.write(txn(*every_primitive(), last))
    if not reason:
        assert reply.committed
        return
    assert not reply.committed and reply.failed_operation == len(every_primitive()) + 1
    (result,) = reply.results
    which = result.WhichOneof("result")
    assert which == reason or (which == "error" and result.error.reason == reason)
    assert everything(shard) == before
    assert shard.machine.next_due_us() is None
    assert shard.machine.usage("acme").bytes - usage <= 2_000  # the namespace itself
    assert shard.write(txn(*every_primitive())).committed


def test_a_single_operation_is_done_or_not() -> None:
    shard = Shard()
    lost = shard.write(txn(swap("x", 5)))
    assert (lost.committed, lost.failed_operation) == (False, 1)
    assert shard.write(txn(swap("x", 0))).committed


def test_a_later_operation_sees_the_earlier_ones() -> None:
    for seen, is_committed in ((1 << 20, True), (0, False)):
        shard = Shard()
        twice = [
            kv_pb2.PutRequest(key="a", value=b"1", if_version=0),
            kv_pb2.PutRequest(key="a", value=b"2", if_version=seen),
        ]
        reply = shard.write(txn(*twice))
        assert (reply.committed, reply.failed_operation) == (is_committed, 0 if is_committed else 2)
        assert shard.read(get("a")).value == (b"2" if is_committed else b"")


def versions_of_everything(shard: Shard) -> list[tuple[Any, str, int]]:
    replies = shard.write(txn(*every_primitive())).results
    return [
        (READ_KIND_DOCUMENT, "doc", replies[0].put.version),
        (READ_KIND_STREAM, "log", 1),
        (READ_KIND_STATE, "state", replies[2].compare_and_swap.version),
        (READ_KIND_MEMORY, "m", replies[5].remember.version),
        (READ_KIND_RUN, "r", replies[6].begin_run.version),
        (READ_KIND_LEASE, "reindex", replies[7].acquire_lease.current.token),
        (READ_KIND_COUNTER, "hits", replies[8].add_counter.version),
        (READ_KIND_GATE, "gate", replies[9].set_gate.version),
        (READ_KIND_DOCUMENT, "absent", 0),
        (READ_KIND_LEASE, "free", 0),
    ]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (put("doc", b"2"), 0),
        (stream_pb2.AppendRequest(namespace=NAMESPACE, stream="log", payload=b"2"), 1),
        (memory_pb2.ForgetRequest(namespace=NAMESPACE, id="m"), 3),
        (run_pb2.EndRunRequest(namespace=NAMESPACE, run_id="r", status=2), 4),
        (release("a"), 5),
        (coordination_pb2.AddCounterRequest(namespace=NAMESPACE, name="hits", delta=0), 6),
        (coordination_pb2.SetGateRequest(namespace=NAMESPACE, name="gate", open=False), 7),
        (put("absent", b"2"), 8),
        (acquire("x", name="free"), 9),
    ],
)
def test_what_was_read_must_still_be_so(change: Any, place: int) -> None:
    shard = Shard()
    reads = versions_of_everything(shard)
    assert shard.write(txn(put("other", b"1"), reads=reads)).committed
    shard.write(change)
    reply = shard.write(txn(put("other", b"2"), reads=reads))
    assert not reply.committed and not reply.failed_operation and not reply.results
    (conflict,) = reply.conflicts
    assert (conflict.kind, conflict.name, conflict.read) == (*reads[place][:2], True)
    assert conflict.current_version != reads[place][2]
    assert shard.read(get("other")).value == b"1"


def test_reads_alone_can_be_committed() -> None:
    shard = Shard()
    reads = versions_of_everything(shard)
    reply = shard.write(txn(reads=reads))
    assert reply.committed and not reply.results
    assert not shard.write(txn(reads=[(READ_KIND_DOCUMENT, "doc", 3)])).committed


@pytest.mark.parametrize("change", ["k1", "k15", "k2", None])
def test_a_range_that_was_read_must_have_no_phantoms(change: str | None) -> None:
    shard = Shard()
    shard.entry(put("k1", b"1"), put("k2", b"2"), put("z", b"3"))
    shard.write(put("z", b"4"))
    shard.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key="k1") if change is None else put(change, b"5"))
    for ranges, is_changed in (
        ([("k", "", "", 2)], True),
        ([("", "k1", "k2", 2)], change != "k2"),
        ([("k", "", "", 3)], False),
        ([("z", "", "", 2)], False),
        ([("z", "", "", 1)], True),
    ):
        reply = shard.write(txn(put("out", b"1"), ranges=ranges))
        assert reply.committed is not is_changed, ranges
        assert len(reply.conflicts) == is_changed


def test_ranges_are_bounded() -> None:
    shard = Shard()
    for start in range(0, RANGE_KEYS_MAX + 1, 10_000):
        keys = [f"k{number}" for number in range(start, min(start + 10_000, RANGE_KEYS_MAX + 1))]
        shard.write(kv_pb2.MultiPutRequest(namespace=NAMESPACE, keys=keys, values=[b"1"] * len(keys)))
    with pytest.raises(Refused, match=f"ranges: over {RANGE_KEYS_MAX} keys"):
        shard.write(txn(put("out", b"1"), ranges=[("k", "", "", 3)]))


def test_under_snapshot_isolation_the_first_to_commit_wins() -> None:
    shard = Shard()
    shard.entry(put("a", b"1"), put("b", b"1"))
    first = shard.write(txn(put("a", b"2"), snapshot=1))
    assert first.committed
    second = shard.write(txn(put("a", b"3"), put("b", b"3"), snapshot=1))
    assert not second.committed
    (conflict,) = second.conflicts
    assert (conflict.name, conflict.current_version, conflict.read) == ("a", 2 << 20, False)
    assert shard.write(txn(put("b", b"3"), snapshot=1)).committed
    shard.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key="a"))
    assert not shard.write(txn(put("a", b"3"), snapshot=2)).committed
    assert shard.write(txn(put("a", b"3"), snapshot=5)).committed
    assert shard.write(txn(put("a", b"4"))).committed


def test_a_transaction_that_is_sent_again_is_applied_once() -> None:
    shard = Shard()
    request = txn(coordination_pb2.AddCounterRequest(name="hits", delta=1), put("a", b"1"))
    request.context.CopyFrom(session(1))
    first = shard.write(request)
    assert shard.write(request) == first
    assert shard.read(READS[7]).value == 1


def test_a_transaction_under_a_token_that_is_over_is_refused() -> None:
    shard = Shard()
    token = shard.write(acquire("a", ttl_s=10)).current.token
    request = txn(put("a", b"1"), put("b", b"1"))
    request.context.fence_lease, request.context.fence_token = "reindex", token
    assert shard.write(request).committed
    shard.write(release("a"))
    with pytest.raises(Refused, match="STALE_FENCE"):
        shard.write(request)


def test_versions_of_the_entry_go_on_after_a_transaction() -> None:
    shard = Shard()
    first, conflict, after = shard.entry(
        txn(put("a", b"1"), put("b", b"1"), put("c", b"1")), txn(swap("x", 9), put("a", b"1")), put("d", b"1")
    )
    assert first.results[2].put.version + 1 == after.version - 1 and not conflict.committed


@pytest.mark.parametrize(
    ("request_", "thing"),
    [
        (txn(), "operations: none"),
        (txn(put("", b"1")), r"operations\[0\].put.key"),
        (txn(put("a", b"1"), reads=[(0, "a", 1)]), r"reads\[0\].kind: 0, 1 to"),
        (txn(put("a", b"1"), reads=[(READ_KIND_DOCUMENT, "", 1)]), r"reads\[0\].name"),
        (txn(put("a", b"1"), ranges=[("\1", "", "", 1)]), r"ranges\[0\].prefix"),
        (txn(put("a", b"1"), ranges=[("", "", "", 1)] * 101), "ranges: 101, at most 100"),
        (txn(put("a", b"1"), snapshot=1 << 50), "snapshot_index"),
        (txn_pb2.CommitTxnRequest(namespace=NAMESPACE, operations=[batch_pb2.Operation()]), "no operation"),
    ],
)
def test_what_is_malformed_is_refused_by_name(request_: Any, thing: str) -> None:
    with pytest.raises(Refused, match=thing):
        Shard().write(request_)

"""Quotas: a token bucket for operations, and what the machines keep for bytes and vectors."""

from __future__ import annotations

import os

import pytest

from memraft_proto.methods import METHODS
from memraft_proto.v1 import (
    batch_pb2,
    common_pb2,
    forgetting_pb2,
    kv_pb2,
    memory_pb2,
    stream_pb2,
    traces_pb2,
    vector_pb2,
)
from memraft_server.admission.quotas import (
    FREEING_BYTES,
    FREEING_RESERVE_BYTES_MIN,
    TENANTS_MAX,
    Cost,
    Quota,
    Quotas,
    TenantQuota,
)
from memraft_server.machine import Command, Machine, Refused
from memraft_server.writes import cost_of


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def quota_of(quota: Quota, clock: Clock, machine: Machine | None = None) -> TenantQuota:
    return Quotas(quota, {}, [machine] if machine is not None else [], clock).of("acme")


def spend(quota: TenantQuota, cost: Cost) -> None:
    """A whole call: admitted, then weighed."""
    quota.admit()
    quota.take(cost)


def test_a_bucket_lets_the_burst_through_and_then_the_rate() -> None:
    clock = Clock()
    quota = quota_of(Quota(operations_per_s=10, burst_s=2.0), clock)
    for _ in range(20):
        spend(quota, Cost(1))
    with pytest.raises(Refused, match="over operations_per_s = 10 on this node; retry in 100 ms") as caught:
        spend(quota, Cost(1))
    assert caught.value.reason == "RATE_LIMITED"
    assert caught.value.metadata["retry_after_ms"] == "100"
    clock.now_s += 0.1
    spend(quota, Cost(1))
    clock.now_s += 3600
    spend(quota, Cost(20))
    with pytest.raises(Refused):
        spend(quota, Cost(1))


def test_a_batch_larger_than_the_bucket_passes_when_it_is_full_and_leaves_a_debt() -> None:
    clock = Clock()
    quota = quota_of(Quota(operations_per_s=10, burst_s=1.0), clock)
    spend(quota, Cost(100))
    with pytest.raises(Refused, match="retry in 9100 ms"):
        spend(quota, Cost(1))
    clock.now_s += 9.1
    spend(quota, Cost(1))


def test_what_was_not_proposed_is_given_back() -> None:
    quota = quota_of(Quota(operations_per_s=10, burst_s=1.0), Clock())
    spend(quota, Cost(10))
    quota.give_back(Cost(10))
    for _ in range(9):  # but for the call itself
        spend(quota, Cost(1))
    with pytest.raises(Refused):
        quota.admit()


def test_a_large_call_that_is_refused_leaves_the_bucket_as_it_was() -> None:
    clock = Clock()
    quota = quota_of(Quota(operations_per_s=10, burst_s=1.0), clock)
    spend(quota, Cost(4))
    for _ in range(20):
        with pytest.raises(Refused, match="retry in 400 ms"):
            spend(quota, Cost(100))
    clock.now_s += 0.401
    spend(quota, Cost(100))


def test_bytes_are_what_the_machines_keep_and_what_was_admitted_since() -> None:
    clock, machine = Clock(), Machine(0)
    quota = quota_of(Quota(bytes_max=10_000), clock, machine)
    put = kv_pb2.PutRequest(namespace="acme/x", key="k", value=b'"' + b"v" * 5_000 + b'"')
    machine.apply(1, 1, 1, [Command(1, "a", put)])
    used = machine.usage("acme").bytes
    assert 5_000 < used < 9_000
    spend(quota, Cost(1, 10_000 - used))
    spend(quota, Cost(1))  # a deletion
    clock.now_s += 1.0
    spend(quota, Cost(1, 10_000 - used))  # what was admitted did not arrive: the machine says so
    with pytest.raises(Refused, match=rf"uses {used} of bytes_max = 10000; .* up to 6000 more") as caught:
        spend(quota, Cost(1, 6_000))
    assert caught.value.reason == "QUOTA_EXCEEDED"


def test_deletions_go_beyond_the_quota_of_bytes_by_no_more_than_their_reserve() -> None:
    machine = Machine(0)
    quota = quota_of(Quota(bytes_max=8_000), Clock(), machine)
    with pytest.raises(Refused, match=r"of bytes_max = 8000 and of 65536 beyond it for calls that free"):
        for i in range(1, 20_001):
            context = common_pb2.WriteContext(client_id=os.urandom(16), request_number=1, first_unanswered=1)
            delete = kv_pb2.DeleteRequest(namespace=f"acme/n{i}", key="k", context=context)
            spend(quota, cost_of(METHODS["Delete"].kind, delete, delete.ByteSize()))
            machine.apply(i, 10**15, 1, [Command(METHODS["Delete"].kind, "a", delete)])
    assert 8_000 < machine.usage("acme").bytes <= 8_000 + FREEING_RESERVE_BYTES_MIN


def test_vectors_have_a_limit_of_their_own() -> None:
    quota = quota_of(Quota(vectors_max=3), Clock(), Machine(0))
    spend(quota, Cost(1, 0, 3))
    with pytest.raises(Refused, match="0 of vectors_max = 3"):
        spend(quota, Cost(1, 0, 4))


def test_each_tenant_has_a_bucket_and_they_are_bounded() -> None:
    quotas = Quotas(Quota(operations_per_s=1, burst_s=1), {"vip": Quota()}, [], Clock())
    spend(quotas.of("a"), Cost(1))
    spend(quotas.of("b"), Cost(1))
    for _ in range(100):
        spend(quotas.of("vip"), Cost(1))
    with pytest.raises(Refused):
        spend(quotas.of("a"), Cost(1))
    assert quotas.refusals == {"operations_per_s": 1, "bytes_max": 0, "vectors_max": 0}
    for i in range(TENANTS_MAX):
        quotas.of(f"t{i}")
    spend(quotas.of("a"), Cost(1))  # forgotten, and so begins anew


def test_a_call_costs_its_items() -> None:
    put = kv_pb2.PutRequest(key="k", value=b"1")
    delete = kv_pb2.DeleteRequest(key="k")
    remember = memory_pb2.RememberRequest(text="t", embedding=b"\0\0\0\0")
    operation = batch_pb2.Operation
    many = vector_pb2.UpsertManyRequest(ids=["a", "b"])
    cases = {
        "Put": (put, Cost(1, 9, 0)),
        "Delete": (delete, Cost(1, 9 + FREEING_BYTES, is_freeing=True)),
        "MultiPut": (kv_pb2.MultiPutRequest(keys=["a", "b", "c"]), Cost(3, 9, 0)),
        "AppendMany": (stream_pb2.AppendManyRequest(payloads=[b"1"] * 4), Cost(4, 9, 0)),
        "RecordTraces": (traces_pb2.RecordTracesRequest(traces=[{}] * 3), Cost(3, 9, 0)),
        "UpsertVector": (vector_pb2.UpsertVectorRequest(id="v"), Cost(1, 9, 1)),
        "UpsertMany": (many, Cost(2, 9, 2)),
        "Remember": (remember, Cost(1, 9, 1)),
        "MergeMemories": (forgetting_pb2.MergeMemoriesRequest(ids=["a", "b"]), Cost(3, 9, 0)),
        "Batch": (
            batch_pb2.BatchRequest(
                operations=[operation(put=put), operation(upsert_many=many), operation(remember=remember)]
            ),
            Cost(4, 9, 3),
        ),
    }
    for name, (request, cost) in cases.items():
        assert cost_of(METHODS[name].kind, request, 9) == cost, name
    freeing = batch_pb2.BatchRequest(operations=[operation(delete=delete)])
    assert cost_of(METHODS["Batch"].kind, freeing, 9) == Cost(1, 9 + FREEING_BYTES, is_freeing=True)

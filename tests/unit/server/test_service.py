"""What a call is measured by before work is done for it, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from memraft_proto.methods import METHODS
from memraft_proto.v1 import kv_pb2
from memraft_server.admission.identity import Caller, Role
from memraft_server.admission.quotas import Quota, Quotas
from memraft_server.embedded import LocalShard
from memraft_server.machine import Limits, Machine, Refused
from memraft_server.service import Service

AGENT = Caller(Role.AGENT, "support", "acme")
NAMESPACE = "acme/x"


class Nowhere:
    """A directory of no cluster."""

    def shard_map(self) -> Any:
        raise AssertionError("not asked here")

    node_status = shard_map

    def leader(self, shard: int) -> Any:
        raise AssertionError("not asked here")

    cluster_record = change_cluster = report_replicas = leader


def service(operations: int) -> Service:
    """A service whose tenants may do so many operations, and no more as the clock stands still."""
    machine = Machine(0)
    quotas = Quotas(Quota(operations_per_s=operations, burst_s=1.0), {}, [machine], lambda: 0.0)
    shard = LocalShard(machine, None)
    shards = {0: shard}
    return Service(shards, lambda _: 0, Nowhere(), limits=Limits(), quotas=quotas, request_bytes_max=1_000)


def refusal(made: Service, name: str, raw: bytes, caller: Caller = AGENT) -> str:
    with pytest.raises(Refused) as caught:
        made.call_bytes(caller, METHODS[name], raw)
    return caught.value.reason


INVALID = {
    "a bad argument": kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"no json").SerializeToString(),
    "a malformed namespace": kv_pb2.PutRequest(namespace="acme//x", key="k").SerializeToString(),
    "another tenant": kv_pb2.PutRequest(namespace="globex/x", key="k", value=b"1").SerializeToString(),
    "no message": b"\xff\xff\xff",
    "too large": b"\0" * 2_000,
}


@pytest.mark.parametrize("what", INVALID)
def test_a_call_that_is_refused_counts_as_an_operation(what: str) -> None:
    made = service(3)
    for _ in range(3):
        assert refusal(made, "Put", INVALID[what]) in ("INVALID_ARGUMENT", "WRONG_TENANT")
    assert refusal(made, "Put", INVALID[what]) == "RATE_LIMITED"


def test_a_tenant_over_its_rate_gets_no_arguments_checked() -> None:
    made = service(1)
    good = kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"1")
    made.call(AGENT, METHODS["Put"], good)
    assert refusal(made, "Put", INVALID["a bad argument"]) == "RATE_LIMITED"


def test_whose_a_call_is_comes_before_what_it_says() -> None:
    made = service(10)
    foreign = kv_pb2.PutRequest(namespace="globex/x", key="k", value=b"no json").SerializeToString()
    assert refusal(made, "Put", foreign) == "WRONG_TENANT"
    assert refusal(made, "Put", foreign, Caller(Role.OPERATOR, "olga")) == "WRONG_ROLE"


def test_a_read_of_many_keys_costs_as_many_operations() -> None:
    made = service(4)
    made.call(AGENT, METHODS["MultiGet"], kv_pb2.MultiGetRequest(namespace=NAMESPACE, keys=["a", "b", "c"]))
    made.call(AGENT, METHODS["Get"], kv_pb2.GetRequest(namespace=NAMESPACE, key="a"))
    one_more = kv_pb2.GetRequest(namespace=NAMESPACE, key="a").SerializeToString()
    assert refusal(made, "Get", one_more) == "RATE_LIMITED"

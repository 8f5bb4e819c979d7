"""Counters and gates."""

from typing import Any

import pytest

from memraft_proto.v1 import coordination_pb2
from memraft_server.machine import Refused
from tests.unit.machine.harness import NAMESPACE, Shard

INT64_MAX = (1 << 63) - 1


def add(delta: int, name: str = "hits") -> coordination_pb2.AddCounterRequest:
    return coordination_pb2.AddCounterRequest(namespace=NAMESPACE, name=name, delta=delta)


def counter(name: str = "hits") -> coordination_pb2.GetCounterRequest:
    return coordination_pb2.GetCounterRequest(namespace=NAMESPACE, name=name)


def set_gate(is_open: bool) -> coordination_pb2.SetGateRequest:
    return coordination_pb2.SetGateRequest(namespace=NAMESPACE, name="approved", open=is_open)


def arrive(arrival: str, parties: int = 2) -> coordination_pb2.ArriveAtGateRequest:
    return coordination_pb2.ArriveAtGateRequest(
        namespace=NAMESPACE, name="approved", arrival=arrival, parties=parties
    )


def gate() -> coordination_pb2.GetGateRequest:
    return coordination_pb2.GetGateRequest(namespace=NAMESPACE, name="approved")


def test_a_counter_adds_up_and_its_past_is_kept() -> None:
    shard = Shard()
    assert shard.read(counter()).value == 0 and not shard.read(counter()).HasField("provenance")
    assert [shard.write(add(delta)).value for delta in (3, -5, 0)] == [3, -2, -2]
    now = shard.read(counter())
    assert (now.value, now.provenance.agent, now.provenance.version) == (-2, "alice", 3 << 20)
    assert [shard.read(counter(), at_index=index).value for index in range(4)] == [0, 3, -2, -2]
    assert shard.read(counter("other")).value == 0


@pytest.mark.parametrize(("limit", "beyond"), [(INT64_MAX, 1), (-INT64_MAX - 1, -1)])
def test_a_sum_outside_of_64_bits_is_refused_and_nothing_is_added(limit: int, beyond: int) -> None:
    shard = Shard()
    assert shard.write(add(limit)).value == limit
    with pytest.raises(Refused, match=f"delta: counter 'hits' is {limit} and would be {limit + beyond}"):
        shard.write(add(beyond))
    assert shard.read(counter()).value == limit
    assert shard.write(add(-limit if limit > 0 else INT64_MAX)).value in (0, -1)


def test_a_gate_is_opened_and_closed() -> None:
    shard = Shard()
    assert not shard.read(gate()).open
    assert [shard.write(set_gate(each)).changed for each in (False, True, True, False)] == [
        False,
        True,
        False,
        True,
    ]
    assert [shard.read(gate(), at_index=index).open for index in range(1, 5)] == [False, True, True, False]


def test_a_gate_opens_when_all_have_arrived_and_can_be_used_again() -> None:
    shard = Shard()

    def arrives(arrival: str) -> tuple[bool, int]:
        reply: Any = shard.write(arrive(arrival))
        return reply.open, reply.arrived

    assert [arrives(each) for each in ("a", "a", "b", "c")] == [(False, 1), (False, 1), (True, 2), (True, 2)]
    answer = shard.read(gate())
    assert (answer.open, answer.arrived, answer.parties) == (True, 2, 2)
    assert shard.write(set_gate(False)).changed
    assert (shard.read(gate()).arrived, shard.read(gate()).parties) == (0, 0)
    assert arrives("a") == (False, 1)
    with pytest.raises(Refused, match="parties: 3, but gate 'approved' waits for 2"):
        shard.write(arrive("b", 3))
    assert not shard.write(set_gate(False)).changed
    assert shard.read(gate()).arrived == 0


@pytest.mark.parametrize(
    ("request_", "thing"),
    [
        (add(1, ""), "name"),
        (arrive("", 2), "arrival"),
        (arrive("a", 0), "parties: 0, from 1 to 1000"),
        (arrive("a", 1001), "parties: 1001"),
    ],
)
def test_what_is_malformed_is_refused_by_name(request_: Any, thing: str) -> None:
    with pytest.raises(Refused, match=thing):
        Shard().write(request_)

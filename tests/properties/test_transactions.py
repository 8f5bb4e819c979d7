"""Transactions against a serial model, and against batches: all of their operations, or no trace of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from memraft_proto.methods import KIND_BATCH, KIND_TXN, OPERATION_FIELD
from memraft_proto.v1 import batch_pb2, kv_pb2, txn_pb2
from memraft_proto.v1.txn_pb2 import READ_KIND_DOCUMENT
from memraft_server.machine import Command, Machine, Refused
from tests.properties.memory_requests import is_for_all
from tests.properties.test_machine_store import held, others, singles
from tests.unit.machine.harness import KINDS

operations = (singles | others).filter(is_for_all)

NAMESPACE = "acme/a"
SECOND_US = 1_000_000
KEYS = ("a", "b", "c")

Operations = list[Any]


def wrapped(operations: Operations) -> list[batch_pb2.Operation]:
    return [batch_pb2.Operation(**{OPERATION_FIELD[KINDS[type(each)]]: each}) for each in operations]


def apply(machine: Machine, kind: int, request: Any) -> Any:
    request.namespace = NAMESPACE
    space = machine.space(NAMESPACE)
    if space is not None and space.settings is not None:  # as if its documents had been checked just now
        request.context.schema_version = space.settings.schemas_version
    index = machine.applied_index + 1
    time_us = index * SECOND_US
    (reply,) = machine.apply(index, time_us, index, [Command(kind, "alice", request)])
    assert not isinstance(reply, Refused), reply
    return reply


def is_done(result: batch_pb2.OperationResult) -> bool:
    which = result.WhichOneof("result")
    reply = getattr(result, which or "")
    if which == "error" or getattr(reply, "conflict", False):
        return False
    return all(getattr(reply, name, True) for name in ("swapped", "granted", "renewed", "released"))


@settings(deadline=None)
@given(st.lists(st.lists(operations, min_size=1, max_size=4), min_size=1, max_size=6))
def test_a_transaction_does_what_a_batch_does_or_nothing(log: list[Operations]) -> None:
    """The twin applies the same operations as a batch where the transaction was committed, else nothing."""
    machine, twin = Machine(0), Machine(0)
    history: list[batch_pb2.BatchRequest] = []
    for operations in log:
        batch = batch_pb2.BatchRequest(operations=wrapped(operations))
        reply = apply(machine, KIND_TXN, txn_pb2.CommitTxnRequest(operations=wrapped(operations)))
        oracle = Machine(0)
        for before in history:
            apply(oracle, KIND_BATCH, before)
        answers = apply(oracle, KIND_BATCH, batch).results
        undone = [place for place, each in enumerate(answers, 1) if not is_done(each)]
        assert reply.committed is not bool(undone)
        if undone:
            assert reply.failed_operation == undone[0]
            assert list(reply.results) == [answers[undone[0] - 1]]
            batch = batch_pb2.BatchRequest()
        else:
            assert list(reply.results) == list(answers)
        history.append(batch)
        apply(twin, KIND_BATCH, batch)
        twin.applied_hash = machine.applied_hash
        assert held(machine) == held(twin)


@st.composite
def clients(draw: st.DrawFn) -> tuple[int, list[str], dict[str, int], str]:
    """How long ago a transaction began, what it reads, what it writes (key -> what it adds to the sum of what
    it read), and how it is isolated."""
    return (
        draw(st.integers(0, 3)),
        draw(st.lists(st.sampled_from(KEYS), unique=True)),
        draw(st.dictionaries(st.sampled_from(KEYS), st.integers(1, 5), min_size=1)),
        draw(st.sampled_from(("serializable", "serializable", "range", "snapshot"))),
    )


@settings(deadline=None)
@given(st.lists(clients(), min_size=1, max_size=12))
def test_transactions_are_as_if_one_came_after_the_other(log: list[Any]) -> None:
    machine = Machine(0)
    states: list[dict[str, tuple[int, int]]] = [{}]
    """Of each index: key -> value and version."""
    for age, keys, adds, isolation in log:
        index = max(0, machine.applied_index - age)
        seen, now = states[index], states[-1]
        keys = list(KEYS) if isolation == "range" else keys
        result = sum(seen.get(key, (0, 0))[0] for key in keys)
        puts = [kv_pb2.PutRequest(key=key, value=b"%d" % (result + add)) for key, add in adds.items()]
        request = txn_pb2.CommitTxnRequest(operations=wrapped(puts))
        if isolation == "range":
            request.ranges.add(prefix="", read_index=index)
        elif isolation == "serializable":
            for key in keys:
                request.reads.add(kind=READ_KIND_DOCUMENT, name=key, version=seen.get(key, (0, 0))[1])
        else:
            request.snapshot_index = index
        reply = apply(machine, KIND_TXN, request)
        compared = adds if isolation == "snapshot" else keys
        changed = [key for key in compared if seen.get(key) != now.get(key)]
        assert reply.committed is not bool(changed)
        assert sorted(each.name for each in reply.conflicts)[:1] == sorted(changed)[:1]
        after = dict(now)
        if reply.committed:
            # In its turn it would have read the same, so this is what a serial execution writes.
            serial = sum(now.get(key, (0, 0))[0] for key in keys)
            assert isolation == "snapshot" or serial == result
            for place, (key, add) in enumerate(adds.items()):
                after[key] = (result + add, (machine.applied_index << 20) + place)
        states.append(after)
        for key in KEYS:
            answer: Any = machine.query("Get", kv_pb2.GetRequest(namespace=NAMESPACE, key=key))
            value, version = after.get(key, (0, 0))
            assert (answer.value, answer.provenance.version) == (b"%d" % value if version else b"", version)

"""Batches: operations in order, an outcome each, applied once as a whole."""

from typing import Any

import pytest

from memraft_proto.v1 import batch_pb2, graph_pb2, kv_pb2, memory_pb2, run_pb2, state_pb2, stream_pb2
from memraft_server.machine import ITEMS_MAX, Refused, machine
from memraft_server.machine.limits import COPIED_BYTES_MAX
from tests.unit.machine.harness import NAMESPACE, Shard, session


def batch(*operations: dict[str, Any], **more: Any) -> batch_pb2.BatchRequest:
    return batch_pb2.BatchRequest(
        namespace=NAMESPACE, operations=[batch_pb2.Operation(**o) for o in operations], **more
    )


def put(key: str, value: bytes = b"1", **more: Any) -> dict[str, Any]:
    return {"put": kv_pb2.PutRequest(key=key, value=value, **more)}


def multi_put(count: int) -> dict[str, Any]:
    return {"multi_put": kv_pb2.MultiPutRequest(keys=[f"m{i}" for i in range(count)], values=[b"1"] * count)}


def test_each_operation_has_the_reply_of_its_own_call() -> None:
    shard = Shard()
    reply = shard.write(
        batch(
            put("a"),
            put("a", if_version=9),
            {"delete": kv_pb2.DeleteRequest(key="a")},
            multi_put(3),
            {"append": stream_pb2.AppendRequest(stream="s", type="t", payload=b"1")},
            {"append_many": stream_pb2.AppendManyRequest(stream="s", types=["t"], payloads=[b"2", b"3"])},
            {"compare_and_swap": state_pb2.CompareAndSwapRequest(name="n", value=b"1")},
            {"begin_run": run_pb2.BeginRunRequest(run_id="r")},
            {"end_run": run_pb2.EndRunRequest(run_id="r", status=run_pb2.RUN_STATUS_SUCCEEDED)},
        )
    )
    assert (reply.log_index, reply.time_us) == (1, shard.time_us)
    results = list(reply.results)
    assert results[0].put.version == 1 << 20
    assert results[1].put.conflict and results[1].put.version == 1 << 20
    assert results[2].delete.found
    assert results[3].multi_put.first_version == (1 << 20) + 3
    assert results[4].append.version == (1 << 20) + 6
    assert results[5].append_many.first_sequence == 2
    assert results[6].compare_and_swap.swapped
    assert results[7].begin_run.run_id == "r"
    assert results[8].end_run.version == (1 << 20) + 11


def test_a_refused_operation_does_not_stop_the_rest() -> None:
    shard = Shard()
    end = {"end_run": run_pb2.EndRunRequest(run_id="r9", status=run_pb2.RUN_STATUS_FAILED)}
    reply = shard.write(batch(put("a"), end, put("b")))
    error = reply.results[1].error
    assert (error.code, error.reason) == (5, "NO_SUCH_RUN")
    assert "r9" in error.message
    assert reply.results[2].put.version == (1 << 20) + 2
    assert shard.machine.kv_head(NAMESPACE, "b") is not None


def test_a_batch_is_applied_once_as_a_whole() -> None:
    shard = Shard()
    request = batch(put("a", if_version=0), put("b", if_version=0), context=session(1))
    first = shard.write(request)
    again = shard.write(request)
    assert again == first and again.log_index == 1
    assert shard.machine.applied_index == 2


def test_commands_after_a_batch_take_positions_after_its_items() -> None:
    shard = Shard()
    request = kv_pb2.PutRequest(namespace=NAMESPACE, key="z", value=b"1")
    _, after = shard.entry(batch(put("a"), multi_put(5)), request)
    assert after.version == (1 << 20) + 6


def test_an_operation_keeps_the_authors_context_of_the_batch() -> None:
    shard = Shard()
    shard.write(batch(put("a"), context=session(1, run="r1")))
    head = shard.machine.kv_head(NAMESPACE, "a")
    assert head is not None and head.author.run == "r1"


def test_items_of_a_batch_are_bounded_in_all() -> None:
    with pytest.raises(Refused, match=f"operations: items in all: {ITEMS_MAX + 1}, at most {ITEMS_MAX}"):
        Shard().write(batch(multi_put(ITEMS_MAX - 1), multi_put(2)))
    shard = Shard()
    shard.check = False
    reply = shard.write(batch(multi_put(ITEMS_MAX), put("a")))
    assert reply.results[1].error.reason == "INVALID_ARGUMENT"
    assert shard.machine.kv_head(NAMESPACE, "a") is None


def test_an_entry_never_runs_out_of_positions() -> None:
    shard = Shard()
    shard.check = False
    columns: Any = {"keys": ["k"] * ITEMS_MAX, "values": [b"1"] * ITEMS_MAX}
    request = kv_pb2.MultiPutRequest(namespace=NAMESPACE, **columns)
    replies = shard.entry(*[request] * 110)
    refused = [reply for reply in replies if isinstance(reply, Refused)]
    assert refused and {reply.reason for reply in refused} == {"OVERLOADED"}
    assert replies[-1] in refused
    assert shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"2")).version == 2 << 20


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({}, r"operations\[1\]: no operation in it"),
        (put(""), r"operations\[1\].put.key: missing; 1 to 512 bytes"),
        (put("k", b"{"), r"operations\[1\].put.value: not JSON in UTF-8"),
        (put("k", namespace="other/x"), r"operations\[1\].put: namespace and context are those of all"),
        (put("k", context=session(1)), r"operations\[1\].put: namespace and context are those of all"),
    ],
)
def test_a_malformed_operation_is_named(operation: dict[str, Any], message: str) -> None:
    shard = Shard()
    with pytest.raises(Refused, match=message) as refused:
        shard.write(batch(put("a"), operation))
    assert refused.value.reason == "INVALID_ARGUMENT"
    assert shard.machine.applied_index == 0


def test_swaps_that_fail_do_not_blow_up_the_reply() -> None:
    """A few bytes a swap would each bring back a value of up to 1 MiB, kept for retries too."""
    shard = Shard()
    value = b'"%s"' % (b"x" * 400_000)
    swap = state_pb2.CompareAndSwapRequest(name="n", value=value)
    shard.write(batch({"compare_and_swap": swap}))
    fails = {"compare_and_swap": state_pb2.CompareAndSwapRequest(name="n", value=b"1", expected_version=7)}
    request = batch(*[fails] * 300, context=session(1))
    reply = shard.write(request)
    swaps = [result.compare_and_swap for result in reply.results]
    assert all(not swap.swapped and swap.version == 1 << 20 for swap in swaps)
    assert [swap.current_value == value for swap in swaps] == [True] * 2 + [False] * 298
    assert [swap.current_value_omitted for swap in swaps] == [False] * 2 + [True] * 298
    assert reply.ByteSize() < 1 << 20 and shard.machine.usage("acme").bytes < 2 << 20
    assert shard.write(request) == reply
    again = shard.write(batch(fails))
    assert again.results[0].compare_and_swap.current_value == value, "the next command has room again"


def test_one_swap_brings_back_the_largest_value() -> None:
    shard = Shard()
    value = b'"%s"' % (b"x" * ((1 << 20) - 2))
    shard.write(state_pb2.CompareAndSwapRequest(namespace=NAMESPACE, name="n", value=value))
    lost = shard.write(state_pb2.CompareAndSwapRequest(namespace=NAMESPACE, name="n", value=b"1"))
    assert lost.current_value == value and not lost.current_value_omitted


def test_messages_of_refused_operations_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "REPLY_TEXTS_BYTES_MAX", 100)
    ends = [{"end_run": run_pb2.EndRunRequest(run_id=f"r{i}", status=2)} for i in range(5)]
    errors = [result.error for result in Shard().write(batch(*ends)).results]
    assert [error.reason for error in errors] == ["NO_SUCH_RUN"] * 5
    assert [bool(error.message) for error in errors] == [True] * 2 + [False] * 3


@pytest.mark.parametrize("kind", ["memory", "node", "edge"])
def test_small_changes_of_what_is_large_are_bounded_in_one_command(kind: str) -> None:
    shard = Shard()
    text = "x" * 60_000
    large = b'{"a": "%s"}' % text.encode()
    where: dict[str, Any] = {"namespace": NAMESPACE}
    shard.write(memory_pb2.RememberRequest(**where, id="m", text=text))
    for id in "no":
        shard.write(graph_pb2.UpsertNodeRequest(**where, id=id, properties=large))
    edge = {"source": "n", "target": "o", "type": "t"}
    shard.write(graph_pb2.UpsertEdgeRequest(**where, **edge, properties=large))
    change: dict[str, Any] = {
        "memory": {"update_memory": {"id": "m", "salience": 0.5}},
        "node": {"upsert_node": {"id": "n", "patch": True, "properties": b'{"b":1}'}},
        "edge": {"upsert_edge": {**edge, "patch": True, "properties": b'{"b":1}'}},
    }[kind]
    before = shard.machine.usage("acme").bytes
    results = shard.write(batch_pb2.BatchRequest(**where, operations=[change] * 500)).results
    done = [not each.HasField("error") for each in results]
    assert done == [True] * sum(done) + [False] * (500 - sum(done)) and 270 < sum(done) < 280
    assert shard.machine.usage("acme").bytes - before < COPIED_BYTES_MAX + 500 * 1_000
    again = shard.write(batch_pb2.BatchRequest(**where, operations=[change])).results[0]
    assert not again.HasField("error"), "each command has room of its own"

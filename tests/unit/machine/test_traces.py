"""Traces: what is kept of them, in which order, and what is refused."""

from typing import Any

import pytest

from memraft_proto.v1 import batch_pb2, common_pb2, fork_pb2, run_pb2, stream_pb2, traces_pb2, txn_pb2
from memraft_server.machine import Refused
from tests.unit.machine.harness import NAMESPACE, Shard

CALL = traces_pb2.ToolCall(tool="search", arguments=b'{"q":1}', result=b"[]")
CHOICE = traces_pb2.Decision(choice="refund", alternatives=["keep"], because="it was late\nand cold")


new = traces_pb2.NewTrace


def request(*traces: Any, run: str = "", namespace: str = NAMESPACE) -> traces_pb2.RecordTracesRequest:
    context = common_pb2.WriteContext(run=run)
    return traces_pb2.RecordTracesRequest(namespace=namespace, context=context, traces=traces)


def listed(shard: Shard, at_index: int | None = None, **fields: Any) -> list[str]:
    wanted = traces_pb2.ListTracesRequest(**{"namespace": NAMESPACE, **fields})
    return [each.id for each in shard.read(wanted, at_index=at_index).traces]


@pytest.fixture
def shard() -> Shard:
    shard = Shard()
    for run_id in ("r1", "r2"):
        shard.write(run_pb2.BeginRunRequest(namespace=NAMESPACE, run_id=run_id))
    return shard


def refusal(shard: Shard, *traces: Any, run: str = "r1") -> str:
    before = listed(shard)
    with pytest.raises(Refused) as caught:
        shard.write(request(*traces, run=run))
    assert listed(shard) == before, "a refused command has stored something"
    return str(caught.value)


def test_a_trace_keeps_what_it_was_given_and_where_it_belongs(shard: Shard) -> None:
    shard.write(stream_pb2.AppendRequest(namespace=NAMESPACE, stream="run/r1", type="e", payload=b"1"))
    shard.write(stream_pb2.AppendRequest(namespace=NAMESPACE, stream="other", type="e", payload=b"1"))
    stored = shard.write(
        request(
            new(tool_call=CALL, attributes=b'{"a":1}', started_at_us=5, ended_at_us=7),
            new(
                id="c", confidence=traces_pb2.Confidence(value=0.0), parent_item=1, stream="other", sequence=1
            ),
            new(decision=CHOICE, parent="c", name="what to do"),
            run="r1",
        )
    )
    assert [len(id) for id in stored.ids] == [26, 1, 26] and not stored.conflict
    found = shard.read(traces_pb2.ListTracesRequest(namespace=NAMESPACE, run="r1")).traces
    call, sure, choice = found
    assert [each.provenance.version for each in found] == [stored.first_version + i for i in range(3)]
    assert (call.run, call.stream, call.sequence, call.name) == ("r1", "run/r1", 1, "search")
    assert call.tool_call == CALL and (call.started_at_us, call.ended_at_us) == (5, 7)
    assert (sure.parent, sure.stream, sure.sequence, sure.name) == (call.id, "other", 1, "")
    assert sure.WhichOneof("content") == "confidence" and sure.confidence.value == 0.0
    assert choice.decision == CHOICE and (choice.parent, choice.name) == ("c", "what to do")
    one = shard.read(traces_pb2.GetTraceRequest(namespace=NAMESPACE, id="c")).trace
    assert one == sure and one.provenance.agent == "alice" and one.provenance.run == "r1"
    absent = shard.read(traces_pb2.GetTraceRequest(namespace=NAMESPACE, id="d"))
    assert not absent.HasField("trace")


def test_a_batch_ties_a_trace_to_the_event_that_it_appends_before(shard: Shard) -> None:
    batch = batch_pb2.BatchRequest(namespace=NAMESPACE, context=common_pb2.WriteContext(run="r1"))
    for payload in (b"1", b"2"):
        batch.operations.add(append=stream_pb2.AppendRequest(stream="run/r1", type="e", payload=payload))
        batch.operations.add(record_traces=traces_pb2.RecordTracesRequest(traces=[new(tool_call=CALL)]))
    results = shard.write(batch).results
    found = shard.read(traces_pb2.ListTracesRequest(namespace=NAMESPACE)).traces
    assert [each.sequence for each in found] == [1, 2]
    assert [each.provenance.version for each in found] == [
        results[i].record_traces.first_version for i in (1, 3)
    ]


def test_what_cannot_be_is_refused_and_says_why(shard: Shard) -> None:
    call = {"tool_call": CALL}
    sure = traces_pb2.Confidence
    for trace, said in {  # by what is wrong
        "no content": (new(), "traces[0].content: missing; one of tool_call"),
        "no run": (new(run="r3", **call), "NO_SUCH_RUN: traces[0].run: no run 'r3'"),
        "event": (
            new(sequence=1, **call),
            "NO_SUCH_EVENT: traces[0].sequence: 1: there is no stream 'run/r1'",
        ),
        "stream": (new(stream="s", **call), "NO_SUCH_EVENT: traces[0].sequence: 0: there is no stream 's'"),
        "parent": (new(parent="p", **call), "NO_SUCH_TRACE: traces[0].parent: there is no trace 'p'"),
        "itself": (new(id="p", parent="p", **call), "traces[0].parent: 'p' is the trace itself"),
        "place": (
            new(parent_item=1, **call),
            "traces[0].parent_item: 1: trace 1 of the request has 0 before",
        ),
        "both": (new(parent="p", parent_item=1, **call), "traces[0].parent_item: there is a parent already"),
        "above": (new(confidence=sure(value=1.01)), "traces[0].confidence.value: 1.01, from 0 to 1"),
        "below": (new(confidence=sure(value=-0.01)), "traces[0].confidence.value: -0.01, from 0 to 1"),
        "nan": (new(confidence=sure(value=float("nan"))), "confidence.value: nan, from 0 to 1"),
        "json": (new(attributes=b"[]", **call), "traces[0].attributes: a JSON object, or nothing"),
        "arguments": (new(tool_call=traces_pb2.ToolCall(tool="t", arguments=b"{")), "arguments: not JSON"),
        "tool": (new(tool_call=traces_pb2.ToolCall()), "traces[0].tool_call.tool: missing; 1 to 255 bytes"),
        "time": (new(started_at_us=5, ended_at_us=4, **call), "ended_at_us: 4 is before started_at_us: 5"),
        "size": (new(attributes=b'{"a":"%s"}' % bytes(70_000).replace(b"\0", b"x"), **call), "at most 65536"),
        "labels": (
            new(decision=traces_pb2.Decision(choice="c", alternatives=["a"] * 65)),
            "traces[0].decision.alternatives: 65, at most 64",
        ),
        "text": (
            new(assumption=traces_pb2.Assumption(statement="é" * 40_000)),
            "traces[0].assumption.statement: 80000 bytes, at most 65536",
        ),
    }.values():
        assert said in refusal(shard, trace)
    assert "traces[0].run: missing; a trace belongs to a run" in refusal(shard, new(**call), run="")


def test_no_order_of_traces_makes_a_circle(shard: Shard) -> None:
    circle = (new(id="a", parent="b", tool_call=CALL), new(id="b", parent="a", tool_call=CALL))
    assert "NO_SUCH_TRACE: traces[0].parent: there is no trace 'b'" in refusal(shard, *circle)
    assert "traces[1].id: 'a' stands there twice" in refusal(
        shard, new(id="a", tool_call=CALL), new(id="a", parent="a2", tool_call=CALL)
    )
    batch = batch_pb2.BatchRequest(namespace=NAMESPACE, context=common_pb2.WriteContext(run="r1"))
    for each in circle:
        batch.operations.add(record_traces=traces_pb2.RecordTracesRequest(traces=[each]))
    assert [each.error.reason for each in shard.write(batch).results] == ["NO_SUCH_TRACE", "NO_SUCH_TRACE"]
    shard.write(request(new(id="a", run="r2", tool_call=CALL)))
    assert "traces[0].parent: 'a' belongs to run 'r2', not to 'r1'" in refusal(
        shard, new(parent="a", tool_call=CALL)
    )


def test_an_id_is_taken_once(shard: Shard) -> None:
    first = shard.write(request(new(id="a", tool_call=CALL), run="r1"))
    again = shard.write(request(new(id="b", tool_call=CALL), new(id="a", decision=CHOICE), run="r1"))
    assert again.conflict and list(again.ids) == ["a"] and again.first_version == first.first_version
    assert listed(shard) == ["a"]
    txn = txn_pb2.CommitTxnRequest(namespace=NAMESPACE, context=common_pb2.WriteContext(run="r1"))
    txn.operations.add(append=stream_pb2.AppendRequest(stream="s", type="e", payload=b"1"))
    txn.operations.add(record_traces=traces_pb2.RecordTracesRequest(traces=[new(id="a", tool_call=CALL)]))
    done = shard.write(txn)
    assert not done.committed and done.failed_operation == 2
    assert not shard.read(stream_pb2.ReadStreamRequest(namespace=NAMESPACE, stream="s")).events


def some_traces(shard: Shard) -> None:
    """Six traces in two runs: t0 with the children t1 and t2 in r1, t3; t4 with t5 in r2."""
    kinds = ({"tool_call": CALL}, {"confidence": traces_pb2.Confidence(value=0.25)}, {"decision": CHOICE})
    for number, (run, parent) in enumerate(
        (("r1", ""), ("r1", "t0"), ("r1", "t0"), ("r1", ""), ("r2", ""), ("r2", "t4"))
    ):
        trace = new(
            id=f"t{number}",
            run=run,
            parent=parent,
            attributes=b'{"user.id":%d,"deep":{"tag":"x"}}' % number,
            **kinds[number % 3],
        )
        shard.write(request(trace), agent="alice" if number < 4 else "bob")


def test_traces_are_found_by_run_kind_agent_name_parent_time_and_filter(shard: Shard) -> None:
    some_traces(shard)
    first = shard.read(traces_pb2.ListTracesRequest(namespace=NAMESPACE)).traces
    assert listed(shard) == ["t0", "t1", "t2", "t3", "t4", "t5"]
    assert listed(shard, newest_first=True) == ["t5", "t4", "t3", "t2", "t1", "t0"]
    assert listed(shard, run="r1") == ["t0", "t1", "t2", "t3"]
    assert listed(shard, run="r3") == []
    assert listed(shard, kinds=[traces_pb2.TRACE_KIND_DECISION]) == ["t2", "t5"]
    assert listed(shard, kinds=[1, 6], run="r2") == ["t4"]
    assert listed(shard, agent="bob") == ["t4", "t5"]
    assert listed(shard, name="search") == ["t0", "t3"]
    assert listed(shard, parent="t0") == ["t1", "t2"]
    assert listed(shard, parent="t0", run="r2") == []
    assert listed(shard, roots=True) == ["t0", "t3", "t4"]
    since, until = first[1].provenance.time_us, first[4].provenance.time_us
    assert listed(shard, from_time_us=since, until_time_us=until) == ["t1", "t2", "t3"]
    assert listed(shard, filter=b'{"user.id":{"$gte":4}}') == ["t4", "t5"]
    assert listed(shard, filter=b'{"deep.tag":"x","content.value":{"$lt":0.3}}') == ["t1", "t4"]
    assert listed(shard, filter=b'{"content.choice":{"$prefix":"ref"}}') == ["t2", "t5"]
    assert listed(shard, filter=b'{"content.arguments.q":1}') == ["t0", "t3"]


def test_pages_go_on_where_they_ended_and_only_there(shard: Shard) -> None:
    some_traces(shard)
    for newest_first in (False, True):
        wanted = traces_pb2.ListTracesRequest(namespace=NAMESPACE, limit=4, newest_first=newest_first)
        page = shard.read(wanted)
        seen = [each.id for each in page.traces]
        wanted.cursor = page.next_cursor
        rest = shard.read(wanted)
        seen += [each.id for each in rest.traces]
        assert sorted(seen, reverse=newest_first) == seen and len(seen) == 6 and not rest.next_cursor
        wanted.run = "r1"
        with pytest.raises(Refused, match="not the next_cursor of a page of this call"):
            shard.read(wanted)


def test_the_past_has_the_traces_that_there_were(shard: Shard) -> None:
    some_traces(shard)
    last = shard.machine.applied_index
    assert listed(shard, at_index=last - 4) == ["t0", "t1"]
    assert listed(shard, at_index=last - 4, parent="t0") == ["t1"]
    gone = shard.read(traces_pb2.GetTraceRequest(namespace=NAMESPACE, id="t5"), at_index=last - 1)
    assert not gone.HasField("trace")


def test_a_fork_has_the_traces_of_its_parent_and_its_own(shard: Shard) -> None:
    some_traces(shard)
    fork = f"{NAMESPACE}@f"
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f", at_index=shard.machine.applied_index - 4))
    shard.write(request(new(id="own", run="r1", parent="t0", tool_call=CALL), namespace=fork))
    assert listed(shard, namespace=fork) == ["t0", "t1", "own"]
    assert listed(shard, namespace=fork, newest_first=True) == ["own", "t1", "t0"]
    assert listed(shard, namespace=fork, parent="t0") == ["t1", "own"]
    assert "t1" not in listed(shard, namespace=fork, agent="bob")
    with pytest.raises(Refused, match="there is no trace 't2'"):
        shard.write(request(new(run="r1", parent="t2", tool_call=CALL), namespace=fork))
    shard.write(fork_pb2.MergeForkRequest(namespace=NAMESPACE, fork="f"))
    assert listed(shard, parent="t0") == ["t1", "t2", "own"]
    difference = shard.read(fork_pb2.DiffRequest(namespace=NAMESPACE, kinds=["trace"], from_index=4))
    shown = {each.name: each.right for each in difference.records}
    assert '"kind":"decision"' in shown["t2"] and '"choice":"refund"' in shown["t2"] and "own" in shown


def test_a_merge_that_takes_a_trace_under_an_id_of_the_parent_shows_one_of_them(shard: Shard) -> None:
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    shard.write(request(new(id="x", run="r1", tool_call=CALL)))
    before = shard.machine.applied_index
    shard.write(request(new(id="x", run="r1", decision=CHOICE), namespace=f"{NAMESPACE}@f"))
    shard.write(
        fork_pb2.MergeForkRequest(namespace=NAMESPACE, fork="f", on_conflict=fork_pb2.ON_CONFLICT_THEIRS)
    )
    found = shard.read(traces_pb2.ListTracesRequest(namespace=NAMESPACE)).traces
    assert [each.WhichOneof("content") for each in found] == ["decision"]
    earlier = shard.read(traces_pb2.ListTracesRequest(namespace=NAMESPACE), at_index=before).traces
    assert [each.WhichOneof("content") for each in earlier] == ["tool_call"]

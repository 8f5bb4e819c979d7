"""Traces behave alike on every backend."""

import pytest

from memraft import InvalidArgument, Memory, NotFound
from memraft.types import Confidence, Decision, NewTrace, ToolCall


def test_a_run_leaves_traces_that_tell_what_was_done_and_why(memory: Memory) -> None:
    def run_with(view: Memory) -> None:
        with view.run("r1") as run:
            found = run.tool("search", lambda query: [query])("tea")
            chosen = run.trace.decision("refund", because="late", confidence=0.25, attributes={"order": 7})
            with run.trace.under(chosen):
                run.model("gpt", lambda prompt: prompt)(found[0])

    with memory.watch_traces(kind="decision", idle_s=30) as decided:
        run_with(memory)
        assert next(decided).name == "refund"
    before = memory.traces(run="r1")
    tree = memory.trace_tree("r1")
    told = [(depth, each.kind, each.name, each.sequence) for depth, each in tree]
    assert told == [
        (0, "tool_call", "search", 1),
        (0, "decision", "refund", 1),
        (1, "confidence", "", 1),
        (1, "model_input", "gpt", 2),
        (2, "model_output", "gpt", 2),
    ]
    call, chosen = tree.roots
    assert isinstance(call.content, ToolCall) and call.content.result == ["tea"]
    assert 0 < call.started_at_us <= call.ended_at_us and call.agent and call.log_index == before[0].log_index
    (event,) = (each for each in memory.events(run="r1") if each.sequence == call.sequence)
    assert event.type == "tool_call" and event.log_index == call.log_index, "one entry has both"
    assert memory.trace(chosen.id) == chosen and memory.trace("none") is None
    assert chosen.content == Decision("refund", (), "late") and chosen.attributes == {"order": 7}
    assert [each.kind for each in tree.children(chosen.id)] == ["confidence", "model_input"]
    assert [each.id for each in memory.traces(kind="decision", filter={"order": 7})] == [chosen.id]
    assert [each.kind for each in memory.traces(parent=chosen.id)] == ["confidence", "model_input"]
    assert [each.id for each in memory.traces(parent="", newest_first=True)] == [chosen.id, call.id]
    page = memory.traces(run="r1", limit=3)
    assert [*page, *memory.traces(run="r1", limit=3, cursor=page.next_cursor)] == list(before)
    assert len(memory.trace_tree("r1", limit=2)) == 2 and memory.trace_tree("r1", limit=2).is_truncated
    assert [each.id for each in memory.traces(at=call.log_index)] == [call.id]
    with memory.watch_traces(run="r1", after_version=0, idle_s=30) as watched:
        assert [next(watched) for _ in before] == list(before)
    with pytest.raises(InvalidArgument, match="none of tool_call"):
        next(memory.watch_traces(kind="thought"))  # type: ignore[arg-type]
    # A replay has traces of its own, in a fork that goes with it.
    assert memory.replay("r1").verdict == "same"
    assert list(memory.traces()) == list(before)

    with memory.txn() as t:
        t.put("k", 1)
        t.record_trace(Confidence(0.5), run="r1", parent=chosen.id)
    with memory.batch() as b:
        b.record_traces([NewTrace(content=Confidence(0.75), run="r1", parent=call.id, id="mine")])
    assert memory.trace_tree("r1").children(call.id)[0].id == b.results[0].ids[0] == "mine"
    fork = memory.fork("what-if", at=call.log_index)
    assert [each.kind for each in fork.traces()] == ["tool_call"]
    with pytest.raises(NotFound, match="no run 'r2'"):
        memory.record_trace(Confidence(1), run="r2")
    with pytest.raises(InvalidArgument, match="from 0 to 1"):
        memory.record_trace(Confidence(1.5), run="r1")


def test_an_agent_is_replayed_without_a_trace_twice(memory: Memory) -> None:
    def agent(run) -> None:  # type: ignore[no-untyped-def]
        chosen = run.trace.decision("look", confidence=0.5)
        with run.trace.under(chosen):
            run.model("gpt", lambda prompt: prompt)("tea")
        run.trace.citation("m1", kind="memory", parent=chosen.id)

    with memory.run("r1") as run:
        agent(run)
    before = list(memory.traces())
    replay = memory.replay("r1", agent=agent)
    assert (replay.verdict, replay.steps) == ("same", replay.recorded_steps)
    assert list(memory.traces()) == before and len(before) == 5
    with memory.run("r2") as run:
        agent(run)
    assert memory.diff_runs("r1", "r2").is_same, (
        "its traces are told apart by their ids, or by when they were"
    )
    other = memory.replay("r1", agent=lambda run: run.trace.decision("leap", confidence=0.5))
    assert other.verdict == "differs" and other.first_difference is not None
    assert "look" in other.first_difference.left and "leap" in other.first_difference.right

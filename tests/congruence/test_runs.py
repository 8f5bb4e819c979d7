"""Recorded runs, their replays, diffs and merges behave alike on every backend."""

import asyncio
import json
from typing import Any

import pytest

from memraft import (
    AsyncMemory,
    ConflictError,
    InvalidArgument,
    Memory,
    MergeConflicts,
    NotFound,
    NotRecorded,
    RecordedError,
    RunEnded,
    Unrelated,
)


class Shop:
    """A tool and a model whose answers change, so that a replay shows if it asks them."""

    def __init__(self) -> None:
        self.calls = 0

    def search(self, query: str, *, k: int = 1) -> list[str]:
        self.calls += 1
        return [f"{query} {n} ({self.calls})" for n in range(k)]

    def answer(self, prompt: str) -> str:
        self.calls += 1
        return f"{prompt}! ({self.calls})"


def agent_of(shop: Shop, wish: str = "found") -> Any:
    def agent(run: Any) -> Any:
        found = run.tool("search", shop.search)(run.inputs["query"], k=2)
        noted = run.memory.put("found", found)
        run.memory.put("found", {wish: found}, if_version=noted.version)
        answer = run.model("gpt", shop.answer)(found[0])
        made = run.memory.remember(answer, about="order:1")
        run.memory.append("log", {"id": run.new_id(), "memory": made.id, "chance": run.random()})
        run.memory.put("at", run.now().isoformat())
        return {"answer": answer}

    return agent


def recorded(memory: Memory, shop: Shop, run_id: str = "r1", wish: str = "found") -> Any:
    with memory.run(run_id, inputs={"query": "cup"}) as run:
        run.outputs = agent_of(shop, wish)(run)
    return run


def test_a_run_that_another_ended_takes_no_more_writes(memory: Memory) -> None:
    with pytest.raises(RunEnded, match=r"run 'r1' in .* has ended; nothing was written"):
        with memory.run("r1") as run:
            run.memory.put("a", 1)
            memory.end_run("r1")
            run.memory.put("a", 2)
    assert memory.get("a") == 1
    with pytest.raises(ConflictError, match="run 'r2' has ended already"):
        with memory.run("r2"):
            memory.end_run("r2")
    assert memory.replay("r1").verdict == "same"


def test_a_run_is_recorded_and_replayed_to_the_same_hash(memory: Memory) -> None:
    recorded(memory, Shop())
    info = memory.run_info("r1")
    assert info.status == "succeeded" and info.recorded and info.steps == 9
    assert info.outputs == {"answer": "cup 0 (1)! (2)"} and info.inputs == {"query": "cup"}
    calls = list(memory.events("run/r1"))
    assert [each.type for each in calls] == ["tool_call", "model_call", "clock"]
    assert calls[0].payload == {
        "name": "search",
        "input": {"args": ["cup"], "kwargs": {"k": 2}},
        "output": ["cup 0 (1)", "cup 1 (1)"],
    }
    verdict = memory.replay("r1")
    assert verdict and verdict.verdict == "same" and verdict.first_difference is None
    assert (verdict.steps, verdict.recorded_steps) == (9, 9)
    assert verdict.recorded_hash == verdict.replayed_hash and len(verdict.replayed_hash) == 32
    assert [each.name for each in memory.streams()] == ["log", "run/r1"]


def test_an_agent_is_replayed_with_what_was_recorded(memory: Memory) -> None:
    shop = Shop()
    recorded(memory, shop)
    memory.put("found", "something else since")
    verdict = memory.replay("r1", agent=agent_of(shop))
    assert verdict.verdict == "same" and verdict.steps == verdict.recorded_steps == 9, verdict
    assert shop.calls == 2
    assert len(memory.list_forks()) == 0 and memory.get("found") == "something else since"


def test_a_replay_stops_where_the_agent_does_something_else(memory: Memory) -> None:
    shop = Shop()
    recorded(memory, shop)

    def asks_otherwise(run: Any) -> None:
        run.tool("search", shop.search)("plate")

    verdict = memory.replay("r1", agent=asks_otherwise)
    assert not verdict and verdict.first_difference.call == "tool_call"
    assert '"cup"' in verdict.first_difference.left and '"plate"' in verdict.first_difference.right
    verdict = memory.replay("r1", agent=agent_of(shop, wish="lost"))
    assert not verdict and (verdict.first_difference.step, verdict.first_difference.call) == (3, "Put")
    assert '"found":' in verdict.first_difference.left and '"lost":' in verdict.first_difference.right
    assert shop.calls == 2
    verdict = memory.replay("r1", agent=lambda run: None)
    assert not verdict and verdict.first_difference.step == 1
    assert len(memory.list_forks()) == 0


def test_errors_of_tools_are_recorded_and_come_again(memory: Memory) -> None:
    class OutOfCups(Exception):
        pass

    def search(query: str) -> None:
        raise (ValueError if query == "?" else OutOfCups)("no cups")

    def agent(run: Any) -> str:
        tool = run.tool("search", search)
        try:
            tool("?")
        except ValueError as error:
            run.memory.put("error", str(error))
        try:
            tool("cup")
        except (OutOfCups, RecordedError) as error:
            return str(error)
        return "found"

    with memory.run("r1") as run:
        run.outputs = agent(run)
    assert memory.events("run/r1")[0].payload["error"] == {"type": "ValueError", "message": "no cups"}
    assert memory.run_info("r1").outputs == "no cups"
    assert memory.replay("r1", agent=agent).verdict == "same"


def test_an_exception_ends_the_run_as_failed(memory: Memory) -> None:
    def agent(run: Any) -> None:
        run.memory.put("k", 1)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"), memory.run("r1") as run:
        agent(run)
    info = memory.run_info("r1")
    assert (info.status, info.outputs) == (
        "failed",
        {"error": {"type": "RuntimeError", "message": "no more"}},
    )
    assert memory.replay("r1").verdict == "same"
    assert memory.replay("r1", agent=agent).verdict == "same"
    with pytest.raises(ConflictError), memory.run("r1"):
        pass


def test_what_is_missing_in_a_recording_is_said(memory: Memory) -> None:
    def ask(run: Any) -> object:
        return run.tool("make", object)()

    with memory.run("odd") as run:
        ask(run)
    with pytest.raises(NotRecorded, match="no recorded output for call 1, tool 'make'"):
        memory.replay("odd", agent=ask)
    began = memory.begin_run("cut", record=True)
    memory.scoped(run="cut").put("k", 1)

    def goes_on(run: Any) -> None:
        run.memory.put("k", 1)
        run.tool("more", len)("x")

    assert began.id == "cut"
    with pytest.raises(NotRecorded, match="it had not ended, and recorded 0 calls"):
        memory.replay("cut", agent=goes_on)
    assert memory.replay("cut", agent=lambda run: run.memory.put("k", 1)).verdict == "same"
    memory.begin_run("quiet")
    for agent in (None, ask):
        with pytest.raises(NotRecorded):
            memory.replay("quiet", agent=agent)
        with pytest.raises(NotFound):
            memory.replay("none", agent=agent)
    with memory.run("r2") as run, pytest.raises(InvalidArgument, match="must be JSON"):
        run.tool("search", len)(object())
    assert len(memory.list_forks()) == 0


def test_a_corrected_run_in_a_fork_is_compared_and_merged(memory: Memory) -> None:
    memory.remember("refunds take 30 days", id="policy")
    with memory.run("wrong") as run:
        hits = run.memory.recall("refunds")
        answer = run.memory.put("answer", hits[0].text)
    fork = memory.fork("corrected", before=answer)
    fork.remember("refunds take 5 days", id="policy")
    with fork.run("right") as run:
        run.memory.put("answer", run.memory.recall("refunds")[0].text)
    assert memory.replay("wrong") and fork.replay("right")
    diff = memory.diff_runs("wrong", "right", other_namespace=fork.namespace)
    assert not diff.is_same and (diff.common_steps, diff.first_difference.step) == (0, 1)
    assert [(each.kind, each.name, each.left, each.right) for each in diff.records] == [
        ("document", "answer", '"refunds take 30 days"', '"refunds take 5 days"')
    ]
    changed = {(each.kind, each.name) for each in fork.diff(from_namespace=memory.namespace)}
    assert {("document", "answer"), ("memory", "policy"), ("run", "right")} <= changed
    with pytest.raises(MergeConflicts) as refused:
        memory.merge("corrected")
    assert [(each.kind, each.name) for each in refused.value.conflicts] == [("document", "answer")]
    merged = memory.merge("corrected", on_conflict="theirs")
    assert merged.conflict_count == 1 and merged.merged >= 3
    assert memory.get("answer") == "refunds take 5 days"
    assert [each.text for each in memory.recall("refunds")] == ["refunds take 5 days"]
    assert memory.run_info("right").status == "succeeded"
    assert memory.merge("corrected").merged == 0
    assert len(fork.diff(from_namespace=memory.namespace, kinds=["document", "memory"])) == 0


def test_a_diff_and_a_merge_tell_of_a_graph_as_its_history_does(memory: Memory) -> None:
    memory.put_graph(["ann", "acme"], [("ann", "works_at", "acme")])
    fork = memory.fork("f")
    stored = memory.put_edge("ann", "works_at", "acme", weight=2.0)
    fork.put_edge("ann", "works_at", "acme", {"since": 2024})
    fork.put_node("bob", {"age": 41}, type="person", domain="hr")
    fork.gate("ready").open()
    found = {(each.kind, each.name): each for each in fork.diff(from_namespace=memory.namespace)}
    edge, node = found["edge", stored.id], found["node", "bob"]
    assert json.loads(edge.left) == memory.history_of("edge", ("ann", "works_at", "acme"))[0].value
    assert json.loads(edge.right) == {"weight": 1.0, "properties": {"since": 2024}}
    assert json.loads(node.right) == {"type": "person", "domain": "hr", "properties": {"age": 41}}
    assert not node.left
    assert json.loads(found["gate", "ready"].right)["open"] is True
    with pytest.raises(MergeConflicts, match=r"edge 'ann-\[works_at\]->acme'"):
        memory.merge("f")


def test_a_diff_of_moments_in_pages(memory: Memory) -> None:
    start = memory.put("k", 0)
    for number in range(5):
        memory.put(f"k{number}", number)
    whole = memory.diff(start.log_index)
    assert [(each.name, each.left, each.right) for each in whole] == [(f"k{n}", "", str(n)) for n in range(5)]
    page = memory.diff(start.at, limit=3)
    rest = memory.diff(start.at, limit=3, cursor=page.next_cursor)
    assert [*page, *rest] == [*whole] and not rest.next_cursor
    assert len(memory.diff(start.log_index, start.log_index)) == 0
    with pytest.raises(Unrelated):
        memory.diff(from_namespace="acme/another")
    with pytest.raises(Unrelated):
        memory.diff_runs("a", "b", other_namespace="acme/another")
    with pytest.raises(InvalidArgument, match="no kind"):
        memory.diff(kinds=["things"])
    with pytest.raises(InvalidArgument, match="on_conflict"):
        memory.merge("f", on_conflict="both")  # type: ignore[arg-type]


def test_coroutines_are_recorded_and_replayed_too() -> None:
    async def search(query: str) -> str:
        await asyncio.sleep(0)
        return query.upper()

    async def agent(run: Any) -> str:
        found: str = await run.tool("search", search)("cup")
        await run.memory.put("found", await run.model("plain", str.lower)(found))
        await run.now()
        return found

    async def go() -> None:
        async with AsyncMemory() as memory:
            async with memory.run("r1") as run:
                run.outputs = await agent(run)
            assert (await memory.run_info("r1")).outputs == "CUP"
            assert (await memory.replay("r1")).verdict == "same"
            assert (await memory.replay("r1", agent=agent)).verdict == "same"
            fork = await memory.fork("f")
            await fork.put("k", 1)
            assert (await memory.merge("f")).merged == 1
            assert len(await memory.list_forks()) == 1

    asyncio.run(go())


def test_ids_and_versions_of_the_replay_stand_for_the_recorded_ones_and_locks_do_not_count(
    memory: Memory,
) -> None:
    def agent(run: Any, other: bool = False) -> Any:
        with run.memory.lock("orders", ttl=60):
            first = run.memory.remember("first")
            second = run.memory.remember("second")
        told = second if other else first
        return run.tool("notify", lambda id, version: "told")(told.id, told.version)

    with memory.run("r1") as run:
        run.outputs = agent(run)
    assert memory.replay("r1").verdict == "same"
    verdict = memory.replay("r1", agent=agent)
    assert (verdict.verdict, verdict.steps, verdict.recorded_steps) == ("same", 4, 4), verdict
    verdict = memory.replay("r1", agent=lambda run: agent(run, other=True))
    assert not verdict and verdict.first_difference.call == "tool_call" and verdict.steps == 2
    assert any(each.id in verdict.first_difference.left for each in memory.memories())

"""The past: of everything, over restarts; what retention keeps of it; histories and timelines."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memraft import BeforeRetention, InvalidArgument, Memory
from memraft.types import ToolCall
from memraft_server.cli.devcluster import DevCluster


def write_everything(memory: Memory, n: int) -> Any:
    """Something of each kind, under names that stay and with contents that do not; returns the last write."""
    memory.put("k", {"n": n})
    memory.append("s", {"n": n})
    stands = memory.state("leader")
    memory.cas("leader", n, expected_version=stands.version if stands is not None else 0)
    memory.add("c")
    memory.remember(f"likes tea number {n}", about="user:1", id="m")
    memory.upsert("v", "id", [float(n), 1.0], metadata={"n": n})
    memory.put_node("a", {"n": n}, domain="d")
    memory.put_node("b")
    memory.put_edge("a", "knows", "b", weight=float(n))
    memory.append("run/r", {"n": n})
    memory.record_trace(ToolCall(tool="t", arguments={"n": n}), run="r")
    return memory.put("last", n)


def read_everything(memory: Memory, at: int) -> dict[str, Any]:
    """What there was, as of a log index."""
    state, node = memory.state("leader", at=at), memory.node("a", at=at)
    recalled = memory.recall("tea", at=at)
    return {
        "get": memory.get("k", at=at),
        "list": [(each.key, each.value) for each in memory.list(at=at)],
        "query": [each.value for each in memory.query({"n": {"$gte": 0}}, at=at)],
        "events": [each.payload for each in memory.events("s", at=at)],
        "state": state.value if state is not None else None,
        "counter": memory.counter("c", at=at),
        "recall": [each.text for each in recalled],
        "memories": [each.text for each in memory.memories(at=at)],
        "vectors": [each.metadata for each in memory.search("v", [1.0, 1.0], at=at)],
        "node": node.properties if node is not None else None,
        "neighbours": [(each.id, each.weight) for each in memory.neighbours("a", at=at)],
        "traces": [each.content.arguments for each in memory.traces(at=at)],
    }


def test_the_past_of_everything_is_what_it_was(memory: Memory) -> None:
    memory.create_collection("v", dimension=2)
    memory.begin_run("r")
    moments, was = [], []
    for n in (1, 2, 3):
        moments.append(write_everything(memory, n).log_index)
        was.append(read_everything(memory, moments[-1]))
    assert [each["get"] for each in was] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert was[0]["events"] == [{"n": 1}] and was[1]["counter"] == 2
    assert was[0]["vectors"] == [{"n": 1}] and was[0]["neighbours"] == [("b", 1.0)]
    memory.delete("k")
    memory.forget("m")
    assert [read_everything(memory, at) for at in moments] == was


def test_the_past_is_what_it_was_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memraft_server.saver.PAST_BYTES", 0)
    with Memory(path=tmp_path / "m") as memory:
        memory.create_collection("v", dimension=2)
        memory.begin_run("r")
        moments = [write_everything(memory, n).log_index for n in (1, 2, 3)]
        was = [read_everything(memory, at) for at in moments]
    with Memory(path=tmp_path / "m") as memory:
        assert [read_everything(memory, at) for at in moments] == was


def test_the_past_is_what_it_was_after_a_failover(nodes: DevCluster) -> None:
    certs = nodes.agent_certs("acme", "support")
    with Memory(nodes.endpoints, certs=certs, namespace="acme/failover", timeout_s=30) as memory:
        memory.create_collection("v", dimension=2)
        memory.begin_run("r")
        moments = [write_everything(memory, n).log_index for n in (1, 2, 3)]
        was = [read_everything(memory, at) for at in moments]
        for node in ("n1", "n2", "n3"):  # one of them led
            nodes.kill_node(node)
            assert [read_everything(memory, at) for at in moments] == was
            memory.put("after", node)
            nodes.start_node(node)
            nodes.wait_ready([node])


def test_retention_forgets_and_says_what_is_kept(memory: Memory) -> None:
    memory.put("k", 0)
    versions = [memory.put("k", n) for n in range(1, 6)]
    memory.append("s", 0)
    memory.append("s", 1)
    assert memory.retention().versions == 0 and memory.get("k", at=versions[0].log_index) == 1
    memory.set_retention(versions=2, events=1)
    deadline = time.monotonic() + 60
    while memory.retention().floor_index < versions[3].log_index or len(memory.events("s")) > 1:
        assert time.monotonic() < deadline, memory.retention()
        memory.put("other", 0)
    found = memory.history("k")
    assert [each.value for each in found] == [5, 4]
    # What is left of "other" may go between the two reads.
    assert versions[3].log_index <= found.floor_index <= memory.retention().floor_index
    with pytest.raises(BeforeRetention, match="retention keeps 2 versions / 1 event of a stream") as refused:
        memory.get("k", at=versions[0].log_index)
    kept = memory.retention()
    assert refused.value.floor_index == kept.floor_index
    assert kept.floor is not None and f"(time {kept.floor.isoformat()})" in str(refused.value)
    with pytest.raises(BeforeRetention):
        memory.fork("from-before", at=versions[0])
    assert [each.sequence for each in memory.events("s")] == [2] and memory.verify("s").intact
    fork = memory.fork("what-if")
    assert fork.get("k") == 5 and len(fork.history("k")) == 2
    with pytest.raises(InvalidArgument, match="is a fork"):
        fork.set_retention(versions=1)
    memory.drop_fork("what-if")


def test_histories_and_timelines_tell_what_happened(open_memory: Callable[..., Memory]) -> None:
    memory = open_memory()
    memory.put("user:1", {"name": "Ann"})
    memory.append("entity/user:1", {"n": 1})
    memory.put_node("user:1", {"name": "Ann"}, type="person")
    memory.put_node("user:2")
    memory.put_edge("user:1", "knows", "user:2")
    memory.put("user:1/address", "here")
    memory.put("user:10", "somebody else")
    memory.remember("likes tea", about="user:1", id="m")
    moment = memory.remember("likes coffee", about="user:1", id="m").log_index
    memory.forget("m")
    memory.delete("user:1")
    found = memory.timeline("user:1")
    told = [(each.kind, each.name, each.what) for each in found]
    assert told == [
        ("document", "user:1", "written"),
        ("event", "entity/user:1", "appended"),
        ("node", "user:1", "written"),
        ("edge", ("user:1", "knows", "user:2"), "written"),
        ("document", "user:1/address", "written"),
        ("memory", "m", "written"),
        ("memory", "m", "written"),
        ("memory", "m", "deleted"),
        ("document", "user:1", "deleted"),
    ]
    assert found[0].value == {"name": "Ann"} and found[6].value["text"] == "likes coffee"
    assert found[1].sequence == 1 and found[0].agent == memory.agent
    assert len(memory.timeline("user:1", at=moment)) == 7
    assert [each.kind for each in memory.timeline("user:1", since=found[7].at)] == ["memory", "document"]
    paged, cursor = [], ""
    while True:
        page = memory.timeline("user:1", limit=2, cursor=cursor)
        paged += page
        if not (cursor := page.next_cursor):
            break
    assert paged == list(found)
    with pytest.raises(InvalidArgument, match="cursor"):
        memory.timeline("user:2", cursor=memory.timeline("user:1", limit=1).next_cursor)
    assert [each.what for each in memory.history_of("memory", "m")] == ["deleted", "written", "written"]
    edge = memory.history_of("edge", ("user:1", "knows", "user:2"))
    assert [each.value for each in edge] == [{"weight": 1.0, "properties": {}}]
    assert [each.what for each in memory.history_of("document", "user:1")] == ["deleted", "written"]
    with pytest.raises(InvalidArgument, match="there is no kind 'nothing'"):
        memory.history_of("nothing", "x")
    fork = memory.fork("f", at=moment)
    fork.put("user:1", "in the fork")
    assert [each.what for each in fork.timeline("user:1")][-2:] == ["written", "written"]
    memory.drop_fork("f")

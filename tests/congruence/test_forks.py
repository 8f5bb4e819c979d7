"""Forks behave alike on every backend."""

from collections.abc import Callable

import pytest

from memraft import AtInFuture, ConflictError, InvalidArgument, Memory, NotFound


def filled(memory: Memory) -> None:
    memory.put("a", 1)
    memory.put("b", 1)
    memory.append("log", {"n": 1}, type="note")
    memory.cas("plan", "first", expected_version=0)
    memory.create_collection("docs", 2)
    memory.upsert("docs", "v1", [1.0, 0.0], metadata={"n": 1})
    memory.remember("the refund was sent", id="m1", about="order:1")
    memory.begin_run("r1", inputs={"q": 1})


def test_a_fork_shows_its_parent_and_goes_its_own_way(memory: Memory) -> None:
    filled(memory)
    fork = memory.fork("what-if")
    assert fork.namespace == f"{memory.namespace}@what-if"
    assert fork.get("a") == 1 and fork.record("a").version == memory.record("a").version
    fork.put("a", 2)
    fork.delete("b")
    fork.put("c", 3)
    memory.put("d", 4)
    assert [(each.key, each.value) for each in fork.list()] == [("a", 2), ("c", 3)]
    assert [(each.key, each.value) for each in memory.list()] == [("a", 1), ("b", 1), ("d", 4)]
    assert [each.value for each in fork.history("a")] == [2, 1]
    assert dict(fork.get_many(["a", "b", "c", "d"]).values) == {"a": 2, "c": 3}


def test_streams_states_and_runs_go_on_in_a_fork(memory: Memory) -> None:
    filled(memory)
    fork = memory.fork("what-if")
    added = fork.append("log", {"n": 2})
    memory.append("log", {"n": "other"})
    events = fork.events("log")
    assert [each.payload["n"] for each in events] == [1, 2]
    assert events[1].prev_hash == events[0].hash and added.sequence == 2
    verdict = fork.verify("log")
    assert verdict.intact and verdict.count == 2 and verdict.last_hash == added.hash
    first = fork.state("plan")
    assert fork.cas("plan", "second", expected_version=first.version).swapped
    assert memory.state("plan").value == "first" and fork.state("plan").value == "second"
    fork.end_run("r1", outputs={"a": 1})
    assert fork.run_info("r1").status == "succeeded" and memory.run_info("r1").status == "running"
    with pytest.raises(ConflictError):
        fork.begin_run("r1")


def test_vectors_and_memories_are_found_in_a_fork(memory: Memory) -> None:
    filled(memory)
    fork = memory.fork("what-if")
    fork.upsert("docs", "v2", [0.9, 0.1])
    memory.upsert("docs", "v3", [0.8, 0.2])
    assert [each.id for each in fork.search("docs", [1.0, 0.0], k=3)] == ["v1", "v2"]
    assert [each.id for each in memory.search("docs", [1.0, 0.0], k=3)] == ["v1", "v3"]
    fork.delete_vector("docs", "v1")
    assert [each.id for each in fork.search("docs", [1.0, 0.0], k=3)] == ["v2"]
    assert [each.count for each in fork.collections()] == [1]
    fork.remember("the refund was not sent", id="m1", about="order:1")
    memory.remember("a cat", id="m2")
    assert [each.text for each in fork.recall("refund", k=5)] == ["the refund was not sent"]
    assert {each.id for each in memory.recall("refund", k=5)} == {"m1", "m2"}
    assert fork.forget("m1").found and len(fork.memories()) == 0
    assert memory.memory("m1").text == "the refund was sent"


def test_a_fork_of_a_moment(memory: Memory) -> None:
    first = memory.put("k", 1)
    mistake = memory.put("k", 2)
    memory.put("k", 3)
    assert memory.fork("at-index", at=first.log_index).get("k") == 1
    assert memory.fork("at-time", at=first.at).get("k") == 1
    assert memory.fork("at-write", at=mistake).get("k") == 2
    before = memory.fork("before", before=mistake)
    assert before.get("k") == 1
    changed = before.put("k", "mended")
    assert before.get("k", at=first.log_index) == 1
    assert before.get("k", at=changed.log_index) == "mended"
    listed = memory.list_forks()
    assert [each.name for each in listed] == ["at-index", "at-time", "at-write", "before"]
    assert listed[2].base_version == mistake.version and listed[2].namespace.endswith("@at-write")
    assert [each.name for each in memory.list_forks(limit=2)] == ["at-index", "at-time"]
    page = memory.list_forks(limit=2)
    assert [each.name for each in memory.list_forks(limit=2, cursor=page.next_cursor)] == [
        "at-write",
        "before",
    ]


def test_forks_of_forks_and_how_deep(memory: Memory) -> None:
    memory.put("k", 0)
    deepest = memory
    for depth in range(1, 9):
        deepest = deepest.fork("f")
        assert deepest.get("k") == depth - 1
        deepest.put("k", depth)
    with pytest.raises(InvalidArgument, match="9 forks deep, at most 8"):
        deepest.fork("f")
    assert memory.get("k") == 0
    assert [each.value for each in deepest.history("k")] == list(range(8, -1, -1))


def test_a_dropped_fork_is_gone_and_its_name_free(memory: Memory) -> None:
    memory.put("k", 1)
    fork = memory.fork("f")
    child = fork.fork("g")
    fork.put("k", 2)
    with pytest.raises(ConflictError, match="forks of its own: 1"):
        memory.drop_fork("f")
    with pytest.raises(ConflictError, match="already"):
        memory.fork("f")
    assert fork.drop_fork("g").found and memory.drop_fork("f").found
    assert not memory.drop_fork("f").found
    for gone in (fork, child):
        for call in (
            lambda m: m.get("k"),
            lambda m: m.put("k", 3),
            lambda m: m.fork("x"),
            lambda m: m.list(),
        ):
            with pytest.raises(NotFound, match="has no fork"):
                call(gone)
    assert memory.fork("f").get("k") == 1
    assert memory.get("k") == 1


def test_what_is_no_fork_is_refused(memory: Memory) -> None:
    written = memory.put("k", 1)
    with pytest.raises(AtInFuture):
        memory.fork("f", at=written.log_index + 1_000_000)
    for name in ("", "a/b", "a@b", "-a", "x" * 64):
        with pytest.raises(InvalidArgument):
            memory.fork(name)
    with pytest.raises(InvalidArgument, match="not at both"):
        memory.fork("f", at=written, before=written)
    with pytest.raises(InvalidArgument):
        memory.scoped(f"{memory.namespace}@")
    assert len(memory.list_forks()) == 0


def test_a_fork_is_found_again_by_name(open_memory: Callable[..., Memory]) -> None:
    memory = open_memory()
    memory.put("k", 1)
    memory.fork("f").put("k", 2)
    again = open_memory(namespace=f"{memory.namespace}@f")
    assert again.get("k") == 2

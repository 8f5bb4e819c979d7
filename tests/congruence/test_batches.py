"""Batches behave alike on every backend."""

import pytest

from memraft import BatchFailed, ConflictError, InvalidArgument, Memory, NotFound


def test_a_batch_carries_every_kind_of_write_in_one_entry(memory: Memory) -> None:
    with memory.batch() as batch:
        batch.put("k", {"n": 1})
        batch.append("s", "first")
        batch.append_many("s", ["second", "third"])
        batch.cas("leader", "me", expected_version=0)
        batch.create_collection("docs", 2)
        batch.upsert("docs", "a", [1, 0])
        batch.upsert_many("docs", ["b", "c"], [[0, 1], [1, 1]])
        batch.delete_vector("docs", "c")
        batch.remember("likes tea", about="user:1")
        batch.begin_run("r1")
        batch.end_run("r1")
        batch.put_many({"x": 1, "y": 2}, delete=["k"])
        place = batch.put("last", True)
    assert len(batch) == len(batch.results) == 13
    assert {each.log_index for each in batch.results} == {batch.log_index}
    assert batch.results[place].id == "last"
    assert [each.version for each in batch.results[:2]] == sorted(each.version for each in batch.results[:2])
    assert memory.get_many(["k", "x", "y", "last"]).values == {"x": 1, "y": 2, "last": True}
    assert [each.payload for each in memory.events("s")] == ["first", "second", "third"]
    assert [each.id for each in memory.search("docs", [1, 0.1])] == ["a", "b"]
    assert memory.recall("tea")[0].about == "user:1"
    assert memory.run_info("r1").status == "succeeded"  # type: ignore[union-attr]


def test_what_fails_in_a_batch_is_raised_together_and_the_rest_is_done(memory: Memory) -> None:
    memory.put("taken", 1)
    with pytest.raises(BatchFailed, match="2 of 3") as failed:
        with memory.batch() as batch:
            batch.put("taken", 2, if_version=0)
            batch.put("free", 2, if_version=0)
            batch.upsert("nowhere", "a", [1.0])
    assert sorted(failed.value.errors) == [0, 2]
    assert isinstance(failed.value.errors[0], ConflictError)
    assert isinstance(failed.value.errors[2], NotFound)
    assert failed.value.results[1].id == "free"  # type: ignore[attr-defined]
    assert memory.get_many(["taken", "free"]).values == {"taken": 1, "free": 2}


def test_outcomes_can_be_returned_instead(memory: Memory) -> None:
    with memory.batch(errors="return") as batch:
        batch.end_run("unknown")
        batch.put("k", 1)
    assert isinstance(batch.results[0], NotFound)
    assert batch.results[1].id == "k"


def test_nothing_is_sent_where_the_block_fails_or_is_empty(memory: Memory) -> None:
    with pytest.raises(ZeroDivisionError):
        with memory.batch() as batch:
            batch.put("k", 1)
            raise ZeroDivisionError
    with memory.batch() as empty:
        pass
    assert empty.results == ()
    assert memory.get("k") is None


def test_a_malformed_operation_refuses_the_whole_batch(memory: Memory) -> None:
    with pytest.raises(InvalidArgument, match=r"operations\[1\].*key"):
        with memory.batch() as batch:
            batch.put("fine", 1)
            batch.put("", 2)
    assert memory.get("fine") is None
    with pytest.raises(InvalidArgument, match="operations"):
        with memory.batch() as large:
            for i in range(10_001):
                large.put(f"k{i}", i)


def test_a_batch_of_a_hundred(memory: Memory) -> None:
    with memory.batch() as batch:
        for i in range(100):
            batch.put(f"k{i:03}", i)
    assert [each.value for each in memory.list("k")] == list(range(100))


def test_a_batch_of_lost_swaps_brings_back_one_mebibyte_of_what_stands_and_says_so(memory: Memory) -> None:
    value = "x" * 400_000
    version = memory.cas("n", value, expected_version=0).version
    with memory.batch() as batch:
        for _ in range(40):
            batch.cas("n", 1, expected_version=version + 1)
    lost = batch.results
    assert all(not swap.swapped and swap.version == version for swap in lost)
    assert [swap.current for swap in lost] == [value] * 2 + [None] * 38
    assert [swap.is_current_omitted for swap in lost] == [False] * 2 + [True] * 38

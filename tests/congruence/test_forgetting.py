"""Memories are forgotten alike on every backend: by time, for want of room, on purpose, by being merged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from memraft import InvalidArgument, Memory
from memraft.types import MemorySettingsChanges

Open = Callable[..., Memory]
WAIT_S = 20.0


def gone(memory: Memory, count: int) -> list[tuple[str, str]]:
    """What was forgotten and why, once there are so many: commands of leaders come soon, not at once."""
    end_s = time.monotonic() + WAIT_S
    while len(found := memory.forgotten()) < count and time.monotonic() < end_s:
        threading.Event().wait(0.02)
    return [(each.memory.id, each.reason) for each in found]


def test_what_is_worth_least_goes_and_the_past_has_it(memory: Memory) -> None:
    memory.set_settings(memories={"entries_max": 2, "recency": 0.0, "frequency": 0.0, "impact": 0.0})
    memory.remember("the first", id="a", salience=0.2)
    memory.remember("the pinned one", id="p", salience=0.0, pinned=True)
    written = memory.remember("the better one", id="b", salience=0.8)
    assert gone(memory, 1) == [("a", "evicted")]
    (found,) = memory.forgotten("a")
    assert found.memory.text == "the first" and found.tool == "eviction" and not found.agent
    assert found.worth is not None and found.worth.score == pytest.approx(0.2, abs=1e-3)
    assert memory.memory("a") is None and memory.memory("p") is not None
    then = memory.memory("a", at=found.log_index - 1)
    assert then is not None and found.log_index > written.log_index
    assert [each.text for each in memory.recall("the first one", at=found.log_index - 1, k=1)] == [
        "the first"
    ]
    assert "the first" not in [each.text for each in memory.recall("the first one")]
    settings = memory.settings(consistency="linearizable")
    assert (settings.memories.entries_max, settings.memories.salience) == (2, 1.0)
    assert settings.memories_entries == 2 and settings.memories_bytes > 0
    with pytest.raises(InvalidArgument, match="half_life_days"):
        memory.set_settings(memories={"half_life_days": 0.0})
    with pytest.raises(InvalidArgument, match="half_life"):
        memory.set_settings(memories={"half_life": 2})  # type: ignore[typeddict-unknown-key]


def test_what_is_recalled_and_leads_to_answers_stays(memory: Memory) -> None:
    memory.set_settings(memories={"entries_max": 3, "recency": 0.0, "salience": 0.0})
    for id, text in (("tea", "Bob likes green tea"), ("chess", "Ann plays chess"), ("rain", "it rained")):
        memory.remember(text, id=id)
    for _ in range(2):
        assert [each.id for each in memory.recall("who plays chess", k=1, receipt="now")] == ["chess"]
    hits = memory.recall("green tea", k=1, receipt="now")
    assert hits.receipt is not None
    memory.influence(hits.receipt, "answer-1")
    memory.remember("something new", id="new")
    assert gone(memory, 1) == [("rain", "evicted")]
    memory.set_settings(memories={"entries_max": 1})
    assert gone(memory, 3) == [("chess", "evicted"), ("new", "evicted"), ("rain", "evicted")]
    worth = memory.forgotten("chess")[0].worth
    assert worth is not None
    # Two recalls give 2 / (2 + 4) of the half that frequency is; tea had 1 / 5 and, for its answer, 1 / 3.
    assert (worth.score, worth.frequency) == (pytest.approx(1 / 6), pytest.approx(1 / 6))
    assert memory.memory("tea") is not None


def test_bounds_count_what_was_there_before(memory: Memory) -> None:
    with memory.batch() as batch:
        for number in range(2_100):  # more than are counted at a time
            batch.remember("t", id=f"m{number}", salience=number / 2_100)
    memory.set_settings(memories={"entries_max": 2_050, "recency": 0.0})
    found = gone(memory, 70)  # a hundredth of the bound is left free
    assert {each for each, _ in found} == {f"m{number}" for number in range(70)}
    settings = memory.settings(consistency="linearizable")
    assert settings.memories_entries == len(memory.memories(limit=3_000)) == 2_030


def test_memories_expire_and_are_pruned(memory: Memory) -> None:
    memory.remember("for a moment", id="brief", ttl_ms=1)
    assert gone(memory, 1) == [("brief", "expired")]
    only_salience = MemorySettingsChanges(recency=0.0, frequency=0.0, impact=0.0)
    memory.set_settings(memories={"default_ttl_ms": 86_400_000, "prune_below": 0.1, **only_salience})
    memory.remember("of some use", id="useful", salience=0.9)
    day = memory.memory("useful")
    assert day is not None and day.expires_at_us == day.time_us + 86_400_000_000
    memory.remember("of no use", id="useless", salience=0.05)
    assert gone(memory, 2) == [("useless", "pruned"), ("brief", "expired")]
    assert memory.memory("useful") is not None


def test_who_forgets_says_why(memory: Memory) -> None:
    memory.remember("the address of bob", id="a")
    with memory.batch() as batch:
        batch.remember("something else", id="b")
        batch.forget("a", reason="bob asked for it")
    (found,) = memory.forgotten()
    assert (found.reason, found.note, found.agent) == ("forgotten", "bob asked for it", "support")
    assert memory.forgotten(reason="evicted").items == ()
    for number in range(3):
        memory.remember("again", id="c")
        memory.forget("c", reason=str(number))
    page = memory.forgotten(limit=2)
    assert [each.note for each in page] == ["2", "1"]
    rest = memory.forgotten(limit=2, cursor=page.next_cursor)
    assert [each.note for each in rest] == ["0", "bob asked for it"] and not rest.next_cursor
    with pytest.raises(InvalidArgument, match="reason is one of"):
        memory.forgotten(reason="lost")  # type: ignore[arg-type]


def test_near_duplicates_become_one(open_memory: Open) -> None:
    memory, other = open_memory(), open_memory(agent="support/other")
    for number, text in enumerate(
        (
            "Bob likes green tea",
            "Ann plays chess on Mondays",
            "Bob likes green tea.",
            "Bob does not like green tea",
            "Ann plays chess on Fridays",
            "bob really likes green tea",
        )
    ):
        memory.remember(text, id=f"m{number}", salience=number / 10, metadata={"n": number})
    memory.remember("Bob likes green tea", id="about", about="user:bob")
    plan = memory.consolidate(dry_run=True)
    assert [(each.kept, {*each.merged}) for each in plan.groups] == [("m5", {"m0", "m2"})]
    assert len(memory.memories()) == 7
    done = other.consolidate()
    assert (done.groups, done.merged, done.looked, done.conflicts) == (plan.groups, 2, 7, 0)
    kept = memory.memory("m5")
    assert kept is not None and kept.salience == pytest.approx(0.5)
    assert kept.metadata["n"] == 5 and sorted(kept.metadata["merged_from"]) == ["m0", "m2"]
    found = memory.forgotten(reason="merged")
    assert {each.memory.id for each in found} == {"m0", "m2"}
    assert {(each.merged_into, each.agent) for each in found} == {("m5", "support/other")}
    assert [each.text for each in memory.recall("does Bob like green tea", k=1, about="user:bob")] == [
        "Bob likes green tea"
    ]
    assert memory.consolidate().merged == 0


def test_all_of_which_something_holds_is_forgotten(memory: Memory) -> None:
    with memory.batch() as batch:
        for number in range(1_205):
            about, kind = f"user:{number % 3}", "fact" if number % 2 else "event"
            batch.remember("t", id=f"m{number}", about=about, kind=kind, speaker="ann", pinned=number < 9)
    assert memory.forget_where(about="user:1", kind="fact", reason="asked for") == 201
    assert memory.forget_where(about="user:1", kind="fact") == 0
    assert {each.note for each in memory.forgotten(limit=300)} == {"asked for"}
    assert len(memory.memories(about="user:1", limit=1_000)) == 201
    assert memory.forget_where(speaker="ann") == 1_004 and memory.memories().items == ()
    with pytest.raises(InvalidArgument, match="forget_where needs"):
        memory.forget_where(reason="all of it")

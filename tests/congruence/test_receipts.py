"""Receipts of recalls, and what is behind an answer, are alike on every backend."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from memraft import InvalidArgument, Memory, NotFound
from memraft.types import Hit, Receipt

WAIT_S = 20.0
ORDERS = [
    "Order 1458 was refunded on Monday",
    "Order 1459 waits for a courier",
    "The refund of order 1460 was refused",
    "Anna prefers to be called in the morning",
]


def fill(memory: Memory, texts: list[str] = ORDERS) -> list[str]:
    return [memory.remember(text, about="shop", metadata={"n": n}).id for n, text in enumerate(texts)]


def found(hits: Any) -> list[tuple[str, int, float]]:
    return [(hit.id, hit.version, hit.score) for hit in hits]


def reasons(hits: Any) -> list[list[tuple[str, int, float, float]]]:
    return [sorted((r.name, r.rank, r.value, r.share) for r in hit.reasons) for hit in hits]


def eventually(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_a_receipt_tells_what_was_asked_and_what_was_found_in_which_state(memory: Memory) -> None:
    fill(memory)
    with memory.run("r1") as run:
        hits = run.memory.recall(
            "refund", about="shop", k=3, filter={"n": {"$lt": 3}}, turn="turn 7",
            valid_at=datetime(2024, 5, 1, tzinfo=UTC), parameters={"salience": 0.25},
        )  # fmt: skip
    assert hits.receipt is not None
    receipt = memory.receipt(hits.receipt)
    assert receipt == memory.receipt(str(hits.receipt))
    assert (receipt.id, receipt.query, receipt.agent) == (hits.receipt.id, "refund", "support")
    assert (receipt.run, receipt.turn, receipt.about, receipt.k) == ("r1", "turn 7", "shop", 3)
    assert receipt.filter == {"n": {"$lt": 3}}
    assert receipt.valid_at_us == 1_714_521_600_000_000
    assert (receipt.log_index, receipt.at) == (hits.log_index, hits.at)
    assert receipt.parameters == hits.parameters and receipt.parameters["salience"] == 0.25
    assert found(receipt.hits) == found(hits) and len(hits) == 3
    assert reasons(receipt.hits) == reasons(hits) and all(reasons(hits))
    assert receipt.fingerprint and len(receipt.embedding_hash) == 32 and receipt.pipeline
    assert receipt.recalled_at_us <= receipt.committed_at_us and not receipt.is_cut
    assert (receipt.at_index, receipt.at_time_us) == (None, None)


def test_the_state_of_a_receipt_finds_the_same_again(memory: Memory) -> None:
    first = fill(memory)[0]
    hits = memory.recall("order refunded", k=2)
    memory.forget(first)
    memory.remember("Order 1461 was refunded, too")
    assert found(memory.recall("order refunded", k=2)) != found(hits)
    receipt = memory.receipt(hits.receipt or "")
    then = memory.recall("order refunded", k=2, at=receipt.log_index)
    assert found(then) == found(hits) == found(receipt.hits)
    again = memory.receipt(then.receipt or "")
    assert again.at_index == receipt.log_index and found(again.hits) == found(hits)


def test_when_a_receipt_is_durable_is_the_callers_choice(memory: Memory) -> None:
    fill(memory)
    now = memory.recall("refund", receipt="now")
    assert now.receipt is not None
    next_in_log = memory.put("answered", True)
    assert memory.receipt(now.receipt).committed_at_us <= next_in_log.time_us, "before the answer"
    assert [receipt.id for receipt in memory.receipts()] == [now.receipt.id]
    assert memory.recall("refund", receipt="none").receipt is None
    assert len(memory.receipts()) == 1
    with pytest.raises(InvalidArgument, match="receipt must be"):
        memory.recall("refund", receipt="later")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="that recall has none"):
        memory.influence(None, "a1")
    with pytest.raises(NotFound, match="there is no receipt '01NO'"):
        memory.receipt("01NO")


def test_receipts_are_found_by_run_turn_and_agent_newest_first(open_memory: Callable[..., Memory]) -> None:
    memory, other = open_memory(), open_memory(agent="support/bob")
    fill(memory)
    made: dict[tuple[str, str], str] = {}
    for run_id, turn in (("r1", "1"), ("r1", "2"), ("r2", "1"), ("r1", "3")):
        with memory.run(f"{run_id}-{turn}") as run:
            made[run_id, turn] = str(run.memory.recall("order", turn=turn).receipt)
    by_bob = str(other.recall("order", turn="1").receipt)
    newest = [by_bob, *reversed(made.values())]
    eventually(lambda: len(memory.receipts()) == len(newest))
    assert [each.id for each in memory.receipts()] == newest
    assert [each.id for each in memory.receipts(run="r1-2")] == [made["r1", "2"]]
    assert [each.id for each in memory.receipts(turn="1")] == [by_bob, made["r2", "1"], made["r1", "1"]]
    assert [each.id for each in memory.receipts(turn="1", agent="support/bob")] == [by_bob]
    assert not memory.receipts(run="r1-2", turn="1")
    paged: list[Receipt] = []
    cursor = ""
    while True:
        page = memory.receipts(limit=2, cursor=cursor)
        assert len(page) <= 2
        paged += page
        if not (cursor := page.next_cursor):
            break
    assert [each.id for each in paged] == newest
    before = memory.receipts(at=paged[2].version >> 20)
    assert paged[2].id in [each.id for each in before]
    with pytest.raises(InvalidArgument, match="cursor"):
        memory.receipts(turn="1", cursor=memory.receipts(limit=1).next_cursor)


def test_an_answer_is_walked_back_to_its_memories_and_who_wrote_them(memory: Memory) -> None:
    with memory.run("intake", inputs={"order": 1458}) as run:
        run.memory.append("run/intake", {"said": "my cup is broken"}, type="said")
        first, *_ = fill(run.memory)
        run.memory.append("run/intake", {"said": "after"}, type="said")
    hits = memory.recall("order 1458 refunded", k=3)
    used = [hits[0].id, hits[2].id]
    assert hits[0].id == first
    tied = memory.influence(hits.receipt, "answer 1", used=used)
    memory.update_memory(first, salience=0.1)
    assert [each.is_current for each in memory.lineage("answer 1").memories] == [True, True]
    memory.update_memory(first, valid_until=datetime(2025, 1, 1, tzinfo=UTC))
    lineage = memory.lineage("answer 1")
    [source] = lineage.receipts
    assert hits.receipt is not None and source.receipt is not None
    assert (source.id, source.version, source.agent) == (hits.receipt.id, tied.version, "support")
    assert (source.receipt.query, source.receipt.hits) == ("order 1458 refunded", ())
    assert [each.id for each in lineage.memories] == used and not lineage.is_cut
    changed, same = source.memories
    assert (changed.is_current, same.is_current) == (False, True)
    assert (changed.version, changed.score) == (hits[0].version, hits[0].score)
    assert changed.memory is not None and changed.memory.text == ORDERS[0]
    assert (changed.memory.run, changed.memory.salience) == ("intake", 0.5)
    assert [(each.kind, each.what) for each in changed.around] == [("event", "appended")]
    assert changed.around[0].value == {"said": "my cup is broken"}, "what came later is not behind it"
    assert not memory.lineage("answer 1", at=hits.log_index).receipts
    assert not memory.lineage("answer 2").receipts


def test_an_answer_may_have_several_receipts_and_one_is_replaced(memory: Memory) -> None:
    ids = fill(memory)
    one, two = memory.recall("refund", k=2), memory.recall("courier", k=1)
    memory.influence(one.receipt, "a", used=[one[0].id])
    memory.influence(two.receipt, "a")
    memory.influence(str(one.receipt), "a", used=[one[1].id])
    behind = memory.lineage("a")
    assert [each.id for each in behind.receipts] == sorted([str(one.receipt), str(two.receipt)])
    assert sorted(each.id for each in behind.memories) == sorted([one[1].id, two[0].id])
    stranger = next(id for id in ids if id not in [hit.id for hit in one])
    with pytest.raises(InvalidArgument, match=f"memory '{stranger}' is not in receipt"):
        memory.influence(one.receipt, "a", used=[stranger])
    with pytest.raises(InvalidArgument, match="used is empty"):
        memory.influence(one.receipt, "a", used=[])
    with pytest.raises(NotFound, match="there is no receipt '01NO'"):
        memory.influence("01NO", "a")
    assert memory.lineage("a").receipts == behind.receipts


def test_a_fork_has_the_receipts_of_its_parent_and_its_own(memory: Memory) -> None:
    fill(memory)
    before = str(memory.recall("refund", receipt="now").receipt)
    fork = memory.fork("what-if")
    own = fork.recall("courier", turn="in the fork")
    after = str(memory.recall("refund", receipt="now").receipt)
    assert [each.id for each in fork.receipts()] == [str(own.receipt), before]
    fork.influence(own.receipt, "a")
    fork.influence(before, "b")
    assert [each.id for each in memory.receipts()] == [after, before]
    assert fork.lineage("a").memories and fork.lineage("b").memories
    assert not memory.lineage("b").receipts
    assert not fork.diff(from_namespace=memory.namespace), "what was read is no difference"


def test_what_was_never_written_to_is_not_made_by_a_recall(memory: Memory) -> None:
    assert memory.recall("refund").receipt is None
    assert not memory.receipts()


def test_a_recall_that_finds_nothing_has_a_receipt_too(memory: Memory) -> None:
    memory.put("some", "document")
    hits = memory.recall("refund")
    receipt = memory.receipt(hits.receipt or "")
    assert (len(hits), receipt.hits, receipt.query) == (0, (), "refund")
    memory.influence(hits.receipt, "from nothing")
    [source] = memory.lineage("from nothing").receipts
    assert source.memories == ()


def test_receipts_go_when_their_time_is_over(memory: Memory) -> None:
    fill(memory)
    kept = memory.recall("refund", receipt="now")
    assert memory.settings().receipts_ttl_ms == 0
    later = memory.influence(kept.receipt, "a")
    memory.set_settings(receipts_ttl_ms=1)
    assert memory.settings().receipts_ttl_ms == 1
    eventually(lambda: not memory.receipts())
    index = memory.lineage("a").log_index
    assert [each.id for each in memory.receipts(at=later.log_index)] == [str(kept.receipt)]
    [source] = memory.lineage("a").receipts
    assert source.receipt is None and [each.id for each in source.memories] == [hit.id for hit in kept]
    memory.set_settings(receipts_ttl_ms=0)
    again = memory.recall("refund", receipt="now")
    assert [each.id for each in memory.receipts()] == [str(again.receipt)] and index


def test_many_recalls_share_commits(memory: Memory) -> None:
    fill(memory)
    began = memory.receipt(memory.recall("order", receipt="now").receipt or "").log_index
    hits: list[Hit] = []
    for _ in range(100):
        hits += memory.recall("order", k=1)
    eventually(lambda: len(memory.receipts(limit=1_000)) == 101)
    indexes = {each.version >> 20 for each in memory.receipts(limit=1_000)}
    assert len(indexes) < 60 and min(indexes) > began and len(hits) == 100


def test_a_run_with_recalls_and_influences_is_replayed_as_it_was(memory: Memory) -> None:
    fill(memory)

    def answer(run: Any) -> str:
        hits = run.memory.recall("refund", k=2, turn="1")
        run.memory.influence(hits.receipt, "answer", used=[hits[0].id])
        run.memory.put("answer", hits[0].text)
        return str(hits[0].text)

    with memory.run("r1") as run:
        run.outputs = answer(run)
    for replay in (memory.replay("r1"), memory.replay("r1", agent=answer)):
        assert (replay.verdict, replay.first_difference) == ("same", None)

"""Vectors and memories behave alike on every backend."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from memraft import CollectionMismatch, EmbeddingMismatch, InvalidArgument, Memory, NotFound


def test_the_three_lines(memory: Memory) -> None:
    memory.remember("Refund for order #1458 initiated on 10/20", about="user:4321", salience=0.9)
    hits = memory.recall("refund status", about="user:4321")
    assert hits[0].text == "Refund for order #1458 initiated on 10/20"
    assert 0 < hits[0].score <= 1
    assert hits[0].id
    assert isinstance(hits[0].at, datetime) and hits[0].at.tzinfo is not None
    assert (hits[0].about, hits[0].agent) == ("user:4321", "support")


def test_recall_ranks_what_shares_words_first(memory: Memory) -> None:
    memory.remember("The customer prefers to be called in the morning")
    memory.remember("Parcels to Norway take five days")
    wanted = memory.remember("Refunds are paid within three days of the return")
    hits = memory.recall("when is a refund paid?", k=2)
    assert len(hits) == 2
    assert hits[0].id == wanted.id
    assert hits[0].score > hits[1].score


def test_recall_is_confined_by_entity_kind_and_metadata(memory: Memory) -> None:
    memory.remember("likes tea", about="user:1", kind="fact", metadata={"lang": "en", "year": 2024})
    memory.remember("likes tea very much", about="user:2", kind="fact", metadata={"lang": "de"})
    memory.remember("likes tea, said so", about="user:1", kind="event")
    assert {each.about for each in memory.recall("tea", about="user:1")} == {"user:1"}
    assert [each.kind for each in memory.recall("tea", kind="event")] == ["event"]
    found = memory.recall("tea", filter={"lang": "en", "year": {"$gte": 2020}})
    assert [each.metadata for each in found] == [{"lang": "en", "year": 2024}]


def test_what_was_recalled_in_the_past_can_be_recalled_again(memory: Memory) -> None:
    first = memory.remember("the order number is 1458", about="user:1")
    second = memory.remember("the order number is 2077", about="user:1")
    gone = memory.forget(first.id)
    assert gone.found and not memory.forget(first.id).found
    assert [each.id for each in memory.recall("order number")] == [second.id]
    assert [each.id for each in memory.recall("order number", at=first.log_index)] == [first.id]
    both = memory.recall("order number", at=second.at)
    assert {each.id for each in both} == {first.id, second.id}
    assert both.log_index >= second.log_index


def test_a_memory_is_replaced_read_and_listed(memory: Memory) -> None:
    first = memory.remember("lives in Oslo", about="user:1", salience=0.25, metadata={"a": 1})
    memory.remember("lives in Bergen", about="user:1", id=first.id)
    other = memory.remember("likes tea", about="user:2")
    now = memory.memory(first.id)
    before = memory.memory(first.id, at=first.log_index)
    assert now is not None and before is not None
    assert (now.text, before.text) == ("lives in Bergen", "lives in Oslo")
    assert (before.salience, before.metadata, before.about) == (0.25, {"a": 1}, "user:1")
    assert memory.memory("unknown") is None
    assert [each.id for each in memory.memories()] == [other.id, first.id]
    assert [each.text for each in memory.memories(about="user:1")] == ["lives in Bergen"]
    page = memory.memories(limit=1)
    assert [each.id for each in memory.memories(cursor=page.next_cursor)] == [first.id]


def test_callers_may_bring_their_own_vectors(memory: Memory) -> None:
    memory.remember("north", embedding=[1.0, 0.0, 0.0])
    memory.remember("east", embedding=np.array([0.0, 1.0, 0.0]))
    hits = memory.recall(embedding=[0.9, 0.1, 0.0], k=1)
    assert hits[0].text == "north"
    assert hits[0].score == pytest.approx(0.9 / (0.81 + 0.01) ** 0.5)
    with pytest.raises(EmbeddingMismatch):
        memory.remember("with the built-in embedder")
    with pytest.raises(EmbeddingMismatch):
        memory.recall("with the built-in embedder")
    assert len(memory.memories()) == 2


def test_an_embedder_of_ones_own(open_memory: Callable[..., Memory]) -> None:
    def length_and_vowels(text: str) -> list[float]:
        return [float(len(text)), float(sum(text.count(vowel) for vowel in "aeiou"))]

    memory = open_memory(embedder=length_and_vowels)
    memory.remember("aaaa")
    memory.remember("bbbb")
    assert memory.recall("eeee", k=1)[0].text == "aaaa"
    with pytest.raises(EmbeddingMismatch):
        memory.recall("eeee", embedding=[1.0, 2.0], fingerprint="another")


def test_vectors_are_found_by_nearness_and_filter(memory: Memory) -> None:
    memory.create_collection("docs", 2, metric="l2", fingerprint="model-1")
    memory.upsert("docs", "a", [0, 0], metadata={"lang": "en"})
    memory.upsert_many("docs", ["b", "c"], [[1, 0], [5, 5]], metadatas=[{"lang": "de"}, None])
    found = memory.search("docs", [0.1, 0.0], k=2, fingerprint="model-1")
    assert [each.id for each in found] == ["a", "b"]
    assert found[0].score == pytest.approx(-0.01, abs=1e-5)
    assert [each.id for each in memory.search("docs", [0, 0], filter={"lang": "de"})] == ["b"]
    assert found[0].metadata == {"lang": "en"}


def test_vectors_are_replaced_deleted_and_still_there_in_the_past(memory: Memory) -> None:
    memory.create_collection("docs", 2)
    first = memory.upsert("docs", "a", [1, 0])
    assert not first.replaced
    assert memory.upsert("docs", "a", [0, 1]).replaced
    assert memory.search("docs", [0, 1])[0].score == pytest.approx(1.0)
    assert memory.search("docs", [0, 1], at=first.log_index)[0].score == pytest.approx(0.0, abs=1e-6)
    assert memory.delete_vector("docs", "a").found
    assert not memory.delete_vector("docs", "a").found
    assert len(memory.search("docs", [0, 1])) == 0
    assert len(memory.search("docs", [0, 1], at=first.log_index)) == 1


def test_a_collection_keeps_its_settings(memory: Memory) -> None:
    assert memory.create_collection("docs", 3, metric="dot", fingerprint="m").created
    assert not memory.create_collection("docs", 3, metric="dot", fingerprint="m").created
    with pytest.raises(CollectionMismatch):
        memory.create_collection("docs", 4, metric="dot", fingerprint="m")
    with pytest.raises(EmbeddingMismatch):
        memory.upsert("docs", "a", [1, 2, 3], fingerprint="another")
    memory.upsert("docs", "a", [1, 2, 3])
    collections = memory.collections()
    assert [(each.name, each.dimension, each.metric, each.count) for each in collections] == [
        ("docs", 3, "dot", 1)
    ]
    with pytest.raises(NotFound):
        memory.upsert("nowhere", "a", [1.0])
    with pytest.raises(NotFound):
        memory.search("nowhere", [1.0])


def test_many_vectors_are_found_while_and_after_they_are_indexed(memory: Memory) -> None:
    generator = np.random.default_rng(1)
    vectors = generator.standard_normal((3_000, 16)).astype(np.float32)
    memory.create_collection("docs", 16)
    for start in range(0, 3_000, 500):
        ids = [f"v{i}" for i in range(start, start + 500)]
        memory.upsert_many("docs", ids, vectors[start : start + 500])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    hit = 0
    for query in range(0, 3_000, 100):
        exact = set(np.argsort(-(unit @ unit[query]))[:10].tolist())
        found = memory.search("docs", vectors[query], k=10)
        assert found[0].id == f"v{query}"
        hit += len(exact & {int(each.id[1:]) for each in found})
    assert hit >= 0.95 * 300


@pytest.mark.parametrize(
    ("error", "thing", "call"),
    [
        (InvalidArgument, "dimension", lambda m: m.create_collection("c", 0)),
        (InvalidArgument, "dimension", lambda m: m.create_collection("c", 5_000)),
        (InvalidArgument, "metric", lambda m: m.create_collection("c", 2, metric="hamming")),
        (InvalidArgument, "vector", lambda m: m.upsert("docs", "a", [float("nan"), 1.0])),
        (InvalidArgument, "vector", lambda m: m.upsert("docs", "a", [[1.0, 2.0]])),
        (InvalidArgument, "vector", lambda m: m.upsert("docs", "a", "north")),
        (EmbeddingMismatch, "2", lambda m: m.upsert("docs", "a", [1.0, 2.0, 3.0])),
        (EmbeddingMismatch, "2", lambda m: m.search("docs", [1.0, 2.0, 3.0])),
        (InvalidArgument, "filter", lambda m: m.search("docs", [1.0, 2.0], filter={"a": {"$near": 1}})),
        (InvalidArgument, "k", lambda m: m.search("docs", [1.0, 2.0], k=1_001)),
        (InvalidArgument, "text", lambda m: m.remember("x" * 65_537)),
        (InvalidArgument, "text", lambda m: m.remember(17)),
        (InvalidArgument, "salience", lambda m: m.remember("x", salience=1.5)),
        (InvalidArgument, "embedding", lambda m: m.remember("x", embedding=[float("inf")])),
        (InvalidArgument, "query", lambda m: m.recall()),
    ],
)
def test_what_is_malformed_is_refused_by_name(
    memory: Memory, error: type[Exception], thing: str, call: Callable[[Memory], object]
) -> None:
    memory.create_collection("docs", 2)
    with pytest.raises(error, match=thing):
        call(memory)
    assert memory.collections()[0].count == 0
    assert len(memory.memories()) == 0


def test_a_fact_that_ended_is_told_apart_from_one_that_was_corrected(memory: Memory) -> None:
    may, june, july = (datetime(2024, month, 1, tzinfo=UTC) for month in (5, 6, 7))
    oslo = memory.remember("Ann lives in Oslo", about="ann", valid_from=may)
    ended = memory.update_memory(oslo.id, valid_until=july)
    with memory.txn() as t:
        t.remember("Ann lives in Bergen", about="ann", valid_from=july)
    places = [[each.text[-6:] for each in memory.memories(valid_at=when)] for when in (may, june, july)]
    assert places == [["n Oslo"], ["n Oslo"], ["Bergen"]]
    assert [hit.text for hit in memory.recall("where does Ann live", valid_at=june)] == ["Ann lives in Oslo"]
    # As of then nobody knew that it would end.
    [hit] = memory.recall("where does Ann live", valid_at=july, at=oslo.log_index)
    assert (hit.id, hit.valid_from, hit.valid_until) == (oslo.id, may, None)
    found = memory.memory(oslo.id, valid_at=june)
    assert found is not None and (found.valid_until, found.version) == (july, ended.version)
    assert memory.memory(oslo.id, valid_at=july) is None

    fork = memory.fork("what-if")
    fork.update_memory(oslo.id, valid_until=None, metadata={"why": "came back"})
    assert [each.text for each in fork.memories(valid_at=july)] == [
        "Ann lives in Oslo",
        "Ann lives in Bergen",
    ]
    assert len(fork.recall("Ann lives", valid_at=july)) == 2
    assert len(memory.recall("Ann lives", valid_at=july)) == 1
    memory.merge("what-if")
    back = memory.memory(oslo.id, valid_at=july)
    assert back is not None and (back.valid_until, back.metadata) == (None, {"why": "came back"})
    assert len(memory.recall("Ann lives", valid_at=july)) == 2


def test_what_cannot_be_true_in_the_world_is_refused(memory: Memory) -> None:
    when = datetime(2024, 5, 1, tzinfo=UTC)
    kept = memory.remember("text", valid_from=when)
    with pytest.raises(InvalidArgument, match=r"valid_until_us: .* is not after"):
        memory.remember("text", valid_from=when, valid_until=when)
    with pytest.raises(InvalidArgument, match=r"valid_until_us: .* is not after"):
        memory.update_memory(kept.id, valid_until=when)
    with pytest.raises(InvalidArgument, match="valid_from must be an aware datetime"):
        memory.remember("text", valid_from=5)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="valid_at: a datetime without a time zone"):
        memory.memories(valid_at=datetime(2024, 5, 1))
    with pytest.raises(InvalidArgument, match="not txt"):
        memory.update_memory(kept.id, txt="other")  # type: ignore[call-arg]
    with pytest.raises(InvalidArgument, match="not nothing"):
        memory.update_memory(kept.id)
    with pytest.raises(InvalidArgument, match="salience must not be None"):
        memory.update_memory(kept.id, salience=None)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="no memory 'unknown'"):
        memory.update_memory("unknown", kind="fact")
    assert len(memory.memories()) == 1

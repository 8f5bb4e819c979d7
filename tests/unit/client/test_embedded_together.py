"""Memories that are written together are embedded together."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from memraft import AsyncMemory, EmbeddingMismatch, Memory
from memraft.embedders import HashedNgrams, Vectors
from memraft.errors import InvalidArgument


class Counting:
    """Embeds by length and vowels, and notes what it was asked."""

    fingerprint = "counting:2"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked.append(list(texts))
        return np.array([(1 + len(text), 1 + text.count("a")) for text in texts], np.float32)


def test_a_batch_embeds_all_its_texts_in_one_call_and_each_once() -> None:
    embedder = Counting()
    with Memory(embedder=embedder) as m:
        with m.batch() as batch:
            for text in ("tea", "an apple", "tea"):
                batch.remember(text)
            batch.put("k", 1)
            batch.remember("made elsewhere", embedding=[1.0, 0.0], fingerprint="counting:2")
        assert embedder.asked == [["tea", "an apple"]]
        assert [each.text for each in m.recall(embedding=[9.0, 3.0], fingerprint="counting:2", k=1)] == [
            "an apple"
        ]
        assert len(m.recall(embedding=[9.0, 3.0], fingerprint="counting:2")) == 4


def test_a_transaction_embeds_its_texts_when_it_commits_and_only_then() -> None:
    embedder = Counting()
    with Memory(embedder=embedder) as m:
        with pytest.raises(ZeroDivisionError), m.txn() as t:
            t.remember("never")
            raise ZeroDivisionError
        with m.txn() as t:
            t.remember("tea", id="t")
            t.remember("coffee", id="c")
        assert embedder.asked == [["tea", "coffee"]]
        assert {each.id for each in m.recall("tea")} == {"t", "c"}


def test_nothing_of_a_batch_is_written_where_its_texts_cannot_be_embedded() -> None:
    class Broken(Counting):
        def embed(self, texts: Sequence[str]) -> Vectors:
            raise ConnectionError("no model")

    with Memory(embedder=Broken()) as m:
        with pytest.raises(ConnectionError), m.batch() as batch:
            batch.put("k", 1)
            batch.remember("tea")
        assert m.get("k") is None
        with pytest.raises(InvalidArgument, match="text must be a str"), m.batch() as batch:
            batch.remember(None)  # type: ignore[arg-type]


def test_a_fingerprint_that_is_given_stays_with_the_text_that_it_was_given_for() -> None:
    with Memory(embedder=Counting()) as m, m.batch(errors="return") as batch:
        batch.remember("tea", fingerprint="mine")
        batch.remember("coffee")
    assert batch.results[0].id and isinstance(batch.results[1], EmbeddingMismatch)


def test_many_memories_travel_a_thousand_at_a_time() -> None:
    embedder = Counting()
    with Memory(embedder=embedder) as m:
        assert m.remember_many([]) == ()
        written = m.remember_many(
            [*(f"text {i}" for i in range(2_100)), {"text": "who", "about": "ann", "id": "w"}]
        )
        assert [len(texts) for texts in embedder.asked] == [1_000, 1_000, 101]
        assert len({each.log_index for each in written}) == 3 and written[-1].id == "w"
        assert len({each.id for each in written}) == 2_101
        assert [each.text for each in m.memories(about="ann")] == ["who"]
        assert m.remember_many("one text")[0].version == m.memories(limit=1)[0].version


def test_the_same_in_tasks_with_an_embedder_that_is_awaited_or_quick() -> None:
    async def scene() -> None:
        asked: list[str] = []

        async def embed(text: str) -> list[float]:
            asked.append(text)
            return [1.0, float(len(text))]

        async with AsyncMemory(embedder=embed) as m:
            await m.remember_many(["a", "bb", "a"])
            assert sorted(asked) == ["a", "bb"]
        async with AsyncMemory(embedder=HashedNgrams()) as m:
            await m.remember_many(["green tea", "x" * 5_000])
            assert (await m.recall("green tea", k=1))[0].text == "green tea"

    asyncio.run(scene())

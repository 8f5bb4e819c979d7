"""Any callable is an embedder, and what was embedded once is kept."""

import asyncio
from collections.abc import Sequence
from threading import get_ident

import numpy as np
import pytest

from memraft import AsyncMemory, ConfigurationError, InvalidArgument, Memory
from memraft.embedders import Embedder, FunctionEmbedder, HashedNgrams
from memraft.embedders.base import as_embedder, fingerprint_of, unit_rows
from memraft.embedders.cache import VectorCache


def plain(text: str) -> list[float]:
    return [float(len(text)), 1.0]


class Named:
    fingerprint = "model-7"

    def __call__(self, text: str) -> list[float]:
        return [3.0, 4.0]


class Counting:
    """An embedder that tells who asked it what."""

    fingerprint = "counting:2"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.threads: set[int] = set()

    def embed(self, texts: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        self.asked += texts
        self.threads.add(get_ident())
        return unit_rows([plain(text) for text in texts], len(texts))


def test_fingerprints_name_the_model() -> None:
    assert fingerprint_of(as_embedder(plain), 2).endswith(".plain:2")
    assert fingerprint_of(as_embedder(Named()), 2) == "model-7"
    assert fingerprint_of(FunctionEmbedder(Named(), "model-8"), 2) == "model-8"
    assert fingerprint_of(as_embedder(HashedNgrams(8).__call__), 8).endswith("HashedNgrams.__call__:8")
    assert fingerprint_of(as_embedder(HashedNgrams(8)), 8) == "hashed-ngrams-v1:8"


def test_a_callable_becomes_an_embedder() -> None:
    embedder = as_embedder(Named())
    assert isinstance(embedder, Embedder)
    assert np.allclose(embedder.embed(["a", "b"]), np.array([[0.6, 0.8], [0.6, 0.8]]))


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([["a"]], "not a sequence of numbers"),
        ([[1.0], [2.0, 3.0]], "not a sequence of numbers"),
        ([[]], "one row of numbers"),
        ([[[1.0]]], "one row of numbers"),
        ([[float("nan")]], "not finite"),
        ([[1e300]], "not finite"),
    ],
)
def test_what_is_no_vector_is_refused(vectors: object, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        unit_rows(vectors, len(vectors))  # type: ignore[arg-type]


def test_rows_have_length_one_however_large_or_small_their_numbers_are() -> None:
    rows = unit_rows([[3e30, 4e30], [3e-30, 4e-30], [0, 0]], 3)
    assert np.allclose(rows, np.array([[0.6, 0.8], [0.6, 0.8], [0, 0]]))


def test_what_is_neither_embedder_nor_callable_is_refused() -> None:
    class Nameless:
        def embed(self, texts: Sequence[str]) -> None: ...

    with pytest.raises(ConfigurationError, match="callable"):
        Memory(embedder=7)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="fingerprint"):
        Memory(embedder=Nameless())  # type: ignore[arg-type]


def test_a_text_is_embedded_once() -> None:
    counting = Counting()
    with Memory(embedder=counting) as memory:
        memory.remember("likes tea")
        [meaning] = [each for each in memory.recall("likes tea")[0].reasons if each.name == "vector"]
        assert meaning.value == pytest.approx(1.0)
        memory.scoped(agent="another").recall("likes tea")
        memory.recall("likes coffee")
        assert counting.asked == ["likes tea", "likes coffee"]
        assert memory.embedder_fingerprint == "counting:2"


def test_beside_the_event_loop_unless_it_is_quick() -> None:
    async def use(counting: Counting) -> int:
        async with AsyncMemory(embedder=counting) as memory:
            await memory.remember("likes tea")
            return get_ident()

    slow, quick = Counting(), Counting()
    quick.inline_characters_max = 100  # type: ignore[attr-defined]
    assert slow.threads != {asyncio.run(use(slow))}
    assert {asyncio.run(use(quick))} == quick.threads


def test_a_coroutine_function_is_for_asyncio() -> None:
    async def awaited(text: str) -> list[float]:
        await asyncio.sleep(0)
        return plain(text)

    async def use() -> None:
        async with AsyncMemory(embedder=awaited) as memory:
            await memory.remember("likes tea")
            assert (await memory.recall("likes tea"))[0].text == "likes tea"

    asyncio.run(use())
    with Memory(embedder=awaited) as memory, pytest.raises(ConfigurationError, match="AsyncMemory"):
        memory.remember("likes tea")


def test_the_cache_keeps_what_was_used_last_within_its_bytes() -> None:
    cache = VectorCache(bytes_max=3 * (250 + 8))
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    cache.keep(["a", "b", "c"], rows[:3])
    assert [cache.find([text])[0] is not None for text in "abc"] == [True, True, True]
    cache.find(["a"])
    cache.keep(["d"], rows[3:])
    kept = cache.find(["a", "b", "c", "d", "\ud800"])
    assert [None if row is None else row.tolist() for row in kept] == [[0, 1], None, [4, 5], [6, 7], None]
    cache.keep(["d"], rows[:1])
    assert len(cache) == 3
    assert kept[0] is not None
    with pytest.raises(ValueError, match="read-only"):
        kept[0][0] = 1


def test_a_cache_of_no_bytes_keeps_nothing() -> None:
    cache = VectorCache(bytes_max=0)
    cache.keep(["a"], np.ones((1, 2), np.float32))
    assert cache.find(["a"]) == [None]

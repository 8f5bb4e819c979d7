"""Memories as conversations are: words of which a few are in most texts and most in few, turns in threads by
speakers, about somebody, and vectors in clusters, so that a cluster's texts share words as well."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from memraft_server.cli.bench.clustered import NOISE, VECTORS_PER_CLUSTER, FloatArray, normalised

WORDS = 20_000
WORDS_OF_A_TEXT = (6, 18)
OWN_WORDS = 12
"""Words of each cluster; a text has some of them."""
OWN_WORDS_OF_A_TEXT = 3
COMMON_WORDS_OF_A_QUERY = 3

TURNS_OF_A_THREAD = 20
SPEAKERS = 50

_SYLLABLES = [f"{consonant}{vowel}" for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some memories in a row: `vectors` is (texts, dimension), of length 1; the rest has one item a text."""

    texts: list[str]
    vectors: FloatArray
    threads: list[str]
    speakers: list[str]
    about: list[str]


class Query(NamedTuple):
    """A question: its text, its vector of length 1, and whom it is about."""

    text: str
    vector: FloatArray
    about: str


class Talk:
    """Draws memories and queries. Same arguments, same draws.

    Args:
        memories: how many there will be; they are drawn in chunks.
        dimension: of the vectors.
    """

    def __init__(self, memories: int, dimension: int, seed: int) -> None:
        self.memories = memories
        self._random = np.random.default_rng(seed)
        clusters = max(1, memories // VECTORS_PER_CLUSTER)
        self.entities = [f"user:{number}" for number in range(clusters)]
        self._centres = normalised(self._random.standard_normal((clusters, dimension)))
        odds = 1 / np.arange(1, WORDS + 1)
        self._cumulated = np.cumsum(odds / odds.sum())
        self._words = [_word(number) for number in range(WORDS)]
        self._own = self._random.integers(WORDS // 10, WORDS, (clusters, OWN_WORDS))

    def chunks(self, size: int) -> Iterator[Chunk]:
        """All memories, `size` at a time, in the order they are said."""
        for start in range(0, self.memories, size):
            count = min(size, self.memories - start)
            clusters = self._random.integers(len(self._centres), size=count)
            lengths = self._random.integers(*WORDS_OF_A_TEXT, size=count)
            numbers = range(start, start + count)
            yield Chunk(
                texts=self._texts(clusters, lengths),
                vectors=self._around(clusters),
                threads=[f"thread-{number // TURNS_OF_A_THREAD}" for number in numbers],
                speakers=[
                    f"speaker-{(number // TURNS_OF_A_THREAD + number % 2) % SPEAKERS}" for number in numbers
                ],
                about=[self.entities[cluster] for cluster in clusters],
            )

    def queries(self, count: int) -> list[Query]:
        """Questions of a few common and a few telling words."""
        clusters = self._random.integers(len(self._centres), size=count)
        texts = self._texts(clusters, np.full(count, COMMON_WORDS_OF_A_QUERY))
        return [
            Query(text, vector, self.entities[cluster])
            for text, cluster, vector in zip(texts, clusters.tolist(), self._around(clusters), strict=True)
        ]

    def _texts(self, clusters: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> list[str]:
        """A text of each of these clusters, of so many common words and some of the cluster's own."""
        drawn = np.searchsorted(self._cumulated, self._random.random(int(lengths.sum())))
        chosen = self._random.integers(OWN_WORDS, size=(len(clusters), OWN_WORDS_OF_A_TEXT))
        own = self._own[clusters[:, None], chosen]
        common = [self._words[number] for number in drawn.tolist()]
        ends = lengths.cumsum().tolist()
        return [
            " ".join((*common[end - length : end], *(self._words[number] for number in numbers)))
            for end, length, numbers in zip(ends, lengths.tolist(), own.tolist(), strict=True)
        ]

    def _around(self, clusters: npt.NDArray[np.int64]) -> FloatArray:
        dimension = self._centres.shape[1]
        noise = self._random.standard_normal((len(clusters), dimension), dtype=np.float32)
        return normalised(self._centres[clusters] + noise * (NOISE / dimension**0.5))


def _word(number: int) -> str:
    """A word of its own for each number, the longer the greater it is."""
    syllables = [_SYLLABLES[number % len(_SYLLABLES)]]
    while number := number // len(_SYLLABLES):
        syllables.append(_SYLLABLES[number % len(_SYLLABLES)])
    return "".join(syllables) + "x"


class Nearest:
    """The exact nearest of all vectors that were shown, for each query: only `k` a query are kept."""

    def __init__(self, queries: Sequence[Query], k: int) -> None:
        self._queries, self._k, self._seen = np.stack([query.vector for query in queries]), k, 0
        self._scores = np.full((len(queries), k), -np.inf, np.float32)
        self._places = np.zeros((len(queries), k), np.int64)

    def show(self, vectors: FloatArray) -> None:
        """The next vectors."""
        fresh_scores = self._queries @ vectors.T
        worth = np.flatnonzero((fresh_scores > self._scores.min(axis=1)[:, None]).any(axis=0))
        scores = np.hstack([self._scores, fresh_scores[:, worth]])
        fresh = np.broadcast_to(worth + self._seen, (len(scores), len(worth)))
        places = np.hstack([self._places, fresh])
        best = np.argpartition(-scores, self._k - 1, axis=1)[:, : self._k]
        self._scores = np.take_along_axis(scores, best, axis=1)
        self._places = np.take_along_axis(places, best, axis=1)
        self._seen += len(vectors)

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """(queries, k), unordered."""
        return self._places

"""The signals of the candidates of one query, gathered from the indexes of one namespace."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.products import dots
from memraft_server.projections.text import DEFAULT_WINDOW, Allowed, TextIndex, Window, Windows
from memraft_server.projections.text_terms import terms_of
from memraft_server.projections.vector_math import Floats, Rows
from memraft_server.projections.versions import NOW
from memraft_server.recall.cues import Cues, asks_when, words_of
from memraft_server.recall.fusion import NAMES, Weights, best, min_max, row_of, shares
from memraft_server.recall.lengths import mean_lengths

CANDIDATES_EACH = 15
"""The best by text and as many by vector, at least; their neighbours are candidates too. Twice as many find
no more and take twice the time (docs/recall-quality.md)."""

PASSAGE_VECTOR = np.float32(0.8)
"""What vectors count for beside texts in how good a passage is."""

NO_AUTHOR = -1

VectorsOf = Callable[[Rows], Floats]
"""Gives the vectors of rows, of unit length, zeros for a row that has none: shape (rows, dimension)."""

LengthsOf = Callable[[Rows, Windows, Floats], Floats]
"""Gives the lengths of the means of windows: (rows they are around, windows, vectors of `needed`)."""

_CUES = 4
_ASKS, _TELLS_TIME, _SUBSTANCE, _SALIENCE = range(_CUES)


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a query may find.

    Attributes:
        rows: Ascending.
        signals: Of each as measured, shape (rows, len(NAMES)).
        known: Vectors that were read, of unit length, and which of them is each row's; None: none were.
        scaled: The signals of `fusion.SCALED`, from 0 to 1 over these candidates; None: nothing is known.
    """

    rows: Rows
    signals: Floats
    known: tuple[Floats, Rows] | None = None
    scaled: tuple[Floats, ...] | None = None

    def best(self, weights: Weights, k: int) -> Rows:
        """The `k` rows of the highest scores, of equal ones the older first."""
        scores = shares(self.signals, row_of(weights)).sum(axis=1)
        return self.rows[best(self.rows, scores, k)]


class Columns:
    """What is kept of each row beside the indexes, 20 bytes: its author, its cues and its salience."""

    __slots__ = ("_authors", "_cues", "_first_rows", "_numbers", "_said")

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._first_rows: list[int] = []  # of each author: as of a version before, an author is not known yet
        self._said: dict[str, list[int]] = {}  # a word of names -> the authors whose name has it
        self._authors = array("i")
        self._cues = array("f")

    def append(self, author: str, cues: Cues, salience: float = 0.0) -> None:
        """Adds the next row. An empty author is none."""
        self._authors.append(self._number(author) if author else NO_AUTHOR)
        self._cues.extend((cues.asks, cues.tells_time, cues.substance, salience))

    def named(self, query: str, count: int) -> list[int]:
        """The numbers of the authors that a query names by a word, of those of the first `count` rows."""
        known = bisect_left(self._first_rows, count)
        found = {number for word in words_of(query) for number in self._said.get(word, ()) if number < known}
        return sorted(found)

    def said_by(self, rows: Rows, authors: list[int]) -> NDArray[np.bool_]:
        """Whether each row is of one of these authors."""
        said = np.equal.outer(authors, np.frombuffer(self._authors, np.int32)[rows])
        found: NDArray[np.bool_] = np.logical_or.reduce(said, axis=0)
        return found

    def cues(self, rows: Rows) -> Floats:
        """Whether it asks, whether it tells a time, its substance, its salience: shape (rows, 4)."""
        return np.frombuffer(self._cues, np.float32).reshape(-1, _CUES).take(rows, axis=0)

    def salience(self, rows: Rows) -> Floats:
        """How much each row was said to matter."""
        return self._each(rows, _SALIENCE)

    def asks(self, rows: Rows) -> Floats:
        """Whether each row ends with a question: 1 or 0; of the shape of `rows`."""
        return self._each(rows, _ASKS)

    def _each(self, rows: Rows, cue: int) -> Floats:
        return np.frombuffer(self._cues, np.float32).take(rows * _CUES + cue)

    def _number(self, author: str) -> int:
        number = self._numbers.get(author)
        if number is None:
            number = self._numbers[author] = len(self._numbers)
            self._first_rows.append(len(self._authors))
            for word in set(words_of(author)):
                self._said.setdefault(word, []).append(number)
        return number


def gather(
    query: str,
    nearest: Rows,
    query_vector: Floats | None,
    vectors: VectorsOf | None,
    text: TextIndex,
    columns: Columns,
    window: Window = DEFAULT_WINDOW,
    ceiling: int = NOW,
    allowed: Allowed | None = None,
    each: int = CANDIDATES_EACH,
    lengths: LengthsOf | None = None,
) -> Candidates:
    """Finds the candidates of a query and measures each. Nothing is scaled: `fusion` does that.

    Args:
        query: Its text; empty for a query that is a vector alone.
        nearest: The rows that the vector index found as of `ceiling`, or that else should be candidates.
        query_vector: Of unit length, shape (dimension,), or None.
        vectors: The vectors of rows, or None.
        columns: Of the same rows as `text`.
        window: How much neighbours count.
        ceiling: As of this version.
        allowed: Per row, whether it may be a candidate; None for all. What is not allowed still counts as
            the neighbour of what is.
        each: How many are found by text.
        lengths: Those of the means of vectors in windows, where they are kept.

    Returns:
        The candidates. Signals that are not of these indexes (`graph`, `recency`, `salience`) are 0.
    """
    asked: dict[str, float] = dict(Counter(terms_of(query)))
    found, _ = text.search(asked, each, ceiling, allowed)
    reach = max(len(window.before), len(window.after))
    rows = text.neighbours(np.concatenate((found, nearest)), reach, ceiling)
    if allowed is not None:
        rows = rows[allowed[rows]]
    columns_of = np.zeros((len(NAMES), len(rows)), np.float32)  # each signal is written in one piece
    signals = columns_of.T
    if not len(rows):
        return Candidates(rows, signals)
    windows = text.windows(rows, ceiling, window)
    known: Floats | None = None
    column = dict(zip(NAMES, columns_of, strict=True))
    column["text"][:] = text.around(asked, windows, ceiling)
    if query_vector is not None and vectors is not None:
        known = vectors(windows.needed)
        found_lengths = lengths(rows, windows, known) if lengths is not None else None
        column["vector"][:] = _nearness(query_vector, known, windows, found_lengths)
    authors = columns.named(query, text.count(ceiling))
    if authors:
        column["author"][:] = columns.said_by(rows, authors)
    scaled = min_max(column["text"]), min_max(column["vector"])
    cues = columns.cues(rows)
    column["question"][:] = cues[:, _ASKS]
    if window.before:
        there = windows.weights[1] > 0
        column["reply"][:] = columns.asks(windows.places[1]) * there
        column["passage"][:] = _best_around(rows, windows.places[1], there, *scaled)
    column["substance"][:] = cues[:, _SUBSTANCE]
    column["time"][:] = cues[:, _TELLS_TIME]
    if asks_when(query):
        column["time_asked"][:] = cues[:, _TELLS_TIME]
    own = (known, windows.index[0]) if known is not None else None
    return Candidates(rows, signals, own, scaled)


def _best_around(rows: Rows, before: Rows, there: NDArray[np.bool_], text: Floats, vector: Floats) -> Floats:
    """How good, from 0 to 1, the best of the candidates is that a row hangs together with in its thread.

    Args:
        rows: The candidates, ascending.
        before: The row before each in its thread, where it is `there`.
        text, vector: From 0 to 1.
    """
    scores = vector * PASSAGE_VECTOR
    scores += text
    scores *= np.float32(1 / (1 + PASSAGE_VECTOR))
    at = rows.searchsorted(before)
    at[at == len(rows)] = 0
    linked = there & (rows.take(at) == before)
    first = np.where(linked, at, np.arange(len(rows)))
    for _ in range(len(rows).bit_length()):  # each time from twice as far before
        further = first.take(first)
        if (further == first).all():
            break
        first = further
    highest = np.zeros(len(rows), np.float32)
    np.maximum.at(highest, first, scores)
    return highest.take(first)


def _nearness(query: Floats, known: Floats, windows: Windows, lengths: Floats | None) -> Floats:
    """Cosine of the query with the weighted mean of the vectors, those of `needed`, of each window; `lengths`
    are those of the means, None: they are to be found."""
    if lengths is None:
        lengths = mean_lengths(known, windows.index, windows.weights)
    products = np.einsum("pr,pr->r", dots(known, query).take(windows.index), windows.weights)
    return np.asarray(products / np.maximum(lengths, np.float32(1e-9)), np.float32)

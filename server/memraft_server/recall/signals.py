"""The signals of the candidates of one query, gathered from the indexes of one namespace."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.text import DEFAULT_WINDOW, TextIndex, Window, Windows
from memraft_server.projections.text_terms import terms_of
from memraft_server.projections.vector_math import Floats, Rows
from memraft_server.recall.cues import Cues, asks_when, author_named
from memraft_server.recall.fusion import Weights, min_max

CANDIDATES_EACH = 20
"""The best by text and as many by vector; their neighbours are candidates too (docs/recall-quality.md)."""

NAMES = tuple(field.name for field in fields(Weights))


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows and their signals: float32 of shape (rows, len(NAMES))."""

    rows: Rows
    signals: Floats

    def scores(self, weights: Weights) -> Floats:
        """The weighted sum of each row's signals."""
        return np.asarray(self.signals @ np.array(astuple(weights), np.float32), np.float32)

    def best(self, weights: Weights, k: int) -> Rows:
        """The `k` rows of the highest scores, of equal ones the older first."""
        return self.rows[np.lexsort((self.rows, -self.scores(weights)))[:k]]


class Columns:
    """What is kept of each row beside the indexes, 16 bytes: its author and its cues."""

    def __init__(self) -> None:
        self.authors: dict[str, int] = {}
        """Whose memories these are, numbered."""
        self._authors = array("i")
        self._cues = array("f")

    def append(self, author: str, cues: Cues) -> None:
        """Adds the next row."""
        self._authors.append(self.authors.setdefault(author, len(self.authors)))
        self._cues.extend((cues.asks, cues.tells_time, cues.substance))

    def said_by(self, rows: Rows, author: str) -> NDArray[np.bool_]:
        """Whether each row is of this author."""
        return np.equal(np.frombuffer(self._authors, np.int32)[rows], self.authors[author])

    def cues(self, rows: Rows) -> Floats:
        """Whether it asks, whether it tells a time, its substance: shape (rows, 3)."""
        return np.frombuffer(self._cues, np.float32).reshape(-1, 3)[rows]


def gather(
    query: str,
    nearest: Rows,
    query_vector: Floats | None,
    vectors: Floats | None,
    index: TextIndex,
    columns: Columns,
    window: Window = DEFAULT_WINDOW,
) -> Candidates:
    """Finds the candidates of a query and measures each.

    Args:
        nearest: The rows that the vector index found, empty without one.
        query_vector: Of unit length, shape (dimension,), or None.
        vectors: Of all rows, unit length, shape (rows, dimension), or None.
        columns: Of the same rows.
        window: How much neighbours count.
    """
    asked: dict[str, float] = dict(Counter(terms_of(query)))
    found, _ = index.search(asked, CANDIDATES_EACH)
    reach = max(len(window.before), len(window.after))
    rows = index.neighbours(np.union1d(found, nearest).astype(np.int64), reach)
    windows = index.windows(rows, window=window)
    signals = np.zeros((len(rows), len(NAMES)), np.float32)
    column = {name: signals[:, place] for place, name in enumerate(NAMES)}
    column["text"][:] = min_max(index.around(asked, windows))
    if query_vector is not None and vectors is not None and len(rows):
        column["vector"][:] = min_max(_nearness(query_vector, vectors, windows))
    author = author_named(query, columns.authors)
    if author is not None:
        column["author"][:] = columns.said_by(rows, author)
    cues = columns.cues(rows)
    column["question"][:] = cues[:, 0]
    if window.before and len(rows):
        column["reply"][:] = columns.cues(windows.places[1])[:, 0] * (windows.weights[1] > 0)
    column["substance"][:] = cues[:, 2]
    column["time"][:] = cues[:, 1]
    if asks_when(query):
        column["time_asked"][:] = cues[:, 1]
    return Candidates(rows, signals)


def _nearness(query: Floats, vectors: Floats, windows: Windows) -> Floats:
    """Cosine of the query with the weighted mean of the vectors of each window."""
    means = np.zeros((windows.places.shape[1], len(query)), np.float32)
    for rows, share in zip(windows.places, windows.weights, strict=True):
        means += vectors[rows] * share[:, None]
    lengths = np.sqrt(np.einsum("rv,rv->r", means, means))
    return np.asarray(means @ query / np.maximum(lengths, np.float32(1e-9)), np.float32)

"""Weighs the signals of candidates against each other and adds them up."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from functools import lru_cache

import numpy as np

from memraft_server.projections.products import dots
from memraft_server.projections.vector_math import Floats, Rows

RANK_OFFSET = 60
"""Of reciprocal rank fusion: Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion" (2009)."""


RANGE_MIN = 0.3
"""Of scaling: a share of the highest value. In conversations, where the worst candidates say nothing of what
is asked, it changes nothing; of a few memories that say nearly the same it makes none the worst."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What each signal counts for. `text` and `vector` go from 0, the worst candidate, to 1, the best.

    The defaults were fitted on five conversations, each time without the one that was asked, and rounded:
    docs/recall-quality.md.
    """

    text: float = 1.0
    """BM25 over the window of a memory."""
    vector: float = 0.55
    """Cosine with the mean vector of the window."""
    passage: float = 0.6
    """How good, by text and vector, the best turn is of the passage of its thread that was found with it."""
    author: float = 0.2
    """It was said by the one author whom the query names."""
    question: float = -0.2
    """It ends with a question."""
    reply: float = 0.15
    """What was said before it in its thread ends with a question."""
    substance: float = 0.4
    """How many different terms it has."""
    time: float = 0.1
    """It says when."""
    time_asked: float = 0.35
    """It says when, and the query asks for that."""
    dated: float = 0.8
    """It is of the time that the query names. Not of the indexes of texts."""
    graph: float = 0.3
    """How near what it is about is to what the query names, in the graph. Likewise."""
    recency: float = 0.0
    """How long ago it was written or read. Likewise."""
    salience: float = 0.1
    """How much it was said to matter, less what time took off. Likewise."""


NAMES = tuple(field.name for field in fields(Weights))
"""Of the signals: the columns of an array of them."""

SCALED = tuple(NAMES.index(name) for name in ("text", "vector"))
"""Those that say something only beside the other candidates' and are scaled over these."""


@lru_cache(maxsize=256)
def row_of(weights: Weights) -> Floats:
    """The weights in the order of `NAMES`, shape (len(NAMES),). Not to be changed."""
    return np.array(astuple(weights), np.float32)


def scaled(signals: Floats) -> Floats:
    """Returns a copy of signals as they were measured with those of `SCALED` from 0 to 1.

    Args:
        signals: Of all candidates of a query, shape (candidates, len(NAMES)).
    """
    values = signals.copy()
    for column in SCALED:
        values[:, column] = min_max(values[:, column])
    return values


def shares(signals: Floats, row: Floats, known: tuple[Floats, ...] | None = None) -> Floats:
    """What each signal adds to the score of each candidate: shape (candidates, len(NAMES)).

    Args:
        signals: As they were measured, of that shape.
        row: The weights, of `row_of`.
        known: The signals of `SCALED` as `min_max` scales them, where that was done.
    """
    parts: Floats = signals * row
    for place, column in enumerate(SCALED):
        values = known[place] if known is not None else min_max(signals[:, column])
        np.multiply(values, row[column], out=parts[:, column])
    return parts


def best(rows: Rows, scores: Floats, k: int) -> Rows:
    """Returns the places of the `k` highest scores, of equal ones those of the older rows first."""
    return np.lexsort((rows, -scores))[:k]


def min_max(values: Floats) -> Floats:
    """Scales to 0 for the lowest and 1 for the highest; zeros stay zeros.

    The range is at least `RANGE_MIN` of the highest: values that hardly differ, as those of few candidates
    may, all come near 1.
    """
    if not len(values):
        return values
    high = values.item(values.argmax())
    low = min(values.item(values.argmin()), high - RANGE_MIN * abs(high))
    if high <= low:
        return np.zeros_like(values)
    found: Floats = values - low
    found /= high - low
    return found


def reciprocal_ranks(scores: Floats) -> Floats:
    """1 / (60 + rank) for each score, of equal ones the first first; 0 for a score of 0."""
    ranks = np.empty(len(scores), np.float32)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1, dtype=np.float32)
    return np.where(scores > 0, 1 / (RANK_OFFSET + ranks), np.float32(0)).astype(np.float32)


def diversified(vectors: Floats, scores: Floats, k: int, relevance: float) -> Rows:
    """Returns the places of `k` candidates by maximal marginal relevance, best first.

    Args:
        vectors: Of unit length, shape (candidates, dimension).
        scores: From `min_max`, shape (candidates,).
        relevance: From 0 to 1; 1 ranks by score alone, less takes off for likeness to what was chosen before.

    Source: Carbonell and Goldstein, "The Use of MMR" (1998).
    """
    chosen: list[int] = []
    likeness = np.zeros(len(scores), np.float32)
    for _ in range(min(k, len(scores))):
        gains = relevance * scores - (1 - relevance) * likeness
        gains[chosen] = -np.inf
        best = int(gains.argmax())
        chosen.append(best)
        likeness = np.maximum(likeness, dots(vectors, vectors[best]))
    return np.array(chosen, np.int64)

"""From the signals of candidates to hits: scores, near-duplicates, diversity, reasons, what fits a budget."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.contents import tokens_of
from memraft_server.projections.memories import Remembered
from memraft_server.projections.products import dots_before
from memraft_server.projections.vector_math import Floats, Rows
from memraft_server.recall.fusion import (
    NAMES,
    SCALED,
    Weights,
    best,
    diversified,
    min_max,
    reciprocal_ranks,
    row_of,
    shares,
)
from memraft_server.recall.parameters import Parameters

PROFILE = "profile"
"""The kind of memories that come first where there is a budget."""


_DAY_US = 86_400_000_000
_COMPARED = 8
"""Candidates beyond the number asked for among which duplicates are looked for at once."""
_LOOKED_MAX = 2048
"""Candidates of which each is compared with all before it: where nearly all are duplicates, fewer hits are
returned than there could be."""
_DIVERSE_MAX, _DIVERSE_POOL_MAX = 256, 1024
"""The first hits that diversity chooses, and the best candidates among which: those after are in the order of
their scores."""
_COMPARED_AT_ONCE = 1 << 18
"""Values of all candidates with those of hits, to rank these: that many take a quarter of a MiB."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_NEGATIONS = frozenset(
    {"no", "not", "never", "none", "nobody", "nothing", "without", "cannot", "neither", "nor"}
)


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why hits were found, in columns; see `RecallSignals` in the contract."""

    names: list[str]
    weights: list[float]
    counts: list[int]
    places: list[int]
    ranks: list[int]
    values: list[float]
    shares: list[float]


NO_REASONS = Reasons([], [], [], [], [], [], [])


def faded(salience: Floats, age_us: Floats, decay_per_day: float) -> Floats:
    """What is left of salience after a time: salience * exp(-rate * days)."""
    return np.asarray(salience * np.exp(age_us * np.float32(-decay_per_day / _DAY_US)), np.float32)


def recent(age_us: Floats, half_life_days: float) -> Floats:
    """1 for what is new, half of it after each half-life."""
    return np.asarray(np.exp2(age_us * np.float32(-1 / (half_life_days * _DAY_US))), np.float32)


def weighed(signals: Floats, parameters: Parameters, scaled: tuple[Floats, ...] | None = None) -> Floats:
    """What each signal adds to the score of each candidate, shape (candidates, len(NAMES)).

    The shares are parts of the sum of all positive weights: no score is above 1.

    Args:
        signals: As they were measured, of that shape.
        parameters: The weights, and how text and vector are scaled.
        scaled: These, scaled by their lowest and highest, where that was done.
    """
    if parameters.by_ranks:
        signals, scaled = signals.copy(), None
        for column in SCALED:
            signals[:, column] = reciprocal_ranks(signals[:, column])
    row = row_of(parameters.weights)
    parts = shares(signals, row, scaled)
    for column in SCALED if len(signals) else ():
        values = signals[:, column]
        if 0 < values[0] == values[-1] and (values == values[0]).all():  # the one candidate there is, say
            parts[:, column] = row[column]
    parts *= np.float32(1 / (np.maximum(row, 0).sum() or 1))
    return parts


def chosen(
    items: Sequence[Remembered],
    keys: Rows,
    scores: Floats,
    vectors: Callable[[Rows], Floats] | None,
    k: int,
    parameters: Parameters,
) -> list[int]:
    """Returns the places of the best candidates, best first, without near-duplicates.

    Args:
        items: The candidates.
        keys: Their age in order, the lower the older: of equal scores the older comes first.
        scores: Shape (candidates,).
        vectors: Gives the vectors of places, of unit length, zeros where there is none; None: there are none.
        k: How many at most.
        parameters: Of them the diversity and the cosine of duplicates.
    """
    order = best(keys, scores, len(scores))
    if parameters.diversity > 0 and vectors is not None:
        # Likeness is only taken off where it could change who is among the first.
        pool, rest = np.split(order, [min(4 * k + 32, _DIVERSE_POOL_MAX)])
        relevance, count = 1 - parameters.diversity, min(k + _COMPARED, _DIVERSE_MAX)
        first = diversified(vectors(pool), min_max(scores[pool]), count, relevance)
        order = np.concatenate((pool[first], np.delete(pool, first), rest))
    looked = k + _COMPARED
    while True:
        kept = _distinct(items, order[:looked], vectors, k, parameters.duplicate_cosine)
        looked *= 2
        if len(kept) == k or looked >= 2 * len(order) or looked > max(_LOOKED_MAX, k + _COMPARED):
            return kept


def _distinct(
    items: Sequence[Remembered],
    order: Rows,
    vectors: Callable[[Rows], Floats] | None,
    k: int,
    cosine_min: float,
) -> list[int]:
    """Returns the first `k` of these places whose memory says something that none before it does."""
    near: NDArray[np.bool_] | None = None
    if vectors is not None and cosine_min <= 1 and len(order):
        known = vectors(order)
        likeness = dots_before(known)
        likeness.reshape(-1)[:: len(likeness) + 1] = -1
        if likeness.max() >= cosine_min:
            near = likeness >= np.float32(cosine_min)
    kept: list[int] = []
    taken: dict[int, int] = {}
    said: set[tuple[object, ...]] = set()
    for position, place in enumerate(order.tolist()):
        item = items[place]
        key = (*_labels(item), item.text.lower())
        if key in said:
            continue
        if near is not None:
            like: list[int] = np.flatnonzero(near[position, :position]).tolist()
            if any(other in taken and says_the_same(item, items[taken[other]]) for other in like):
                continue
        said.add(key)
        taken[position] = place
        kept.append(place)
        if len(kept) == k:
            break
    return kept


def _labels(item: Remembered) -> tuple[object, ...]:
    """What two memories must have in common to be duplicates."""
    return item.about, item.kind, item.speaker, item.valid_from_us, item.valid_until_us


def says_the_same(one: Remembered, other: Remembered) -> bool:
    """Whether two memories whose vectors are near may stand for each other: no number and no negation is in
    only one of them. A vector of the whole text hardly tells these."""
    if _labels(one) != _labels(other):
        return False
    differing = set(_WORD.findall(one.text.lower())) ^ set(_WORD.findall(other.text.lower()))
    return not any(
        word in _NEGATIONS or word.endswith("n't") or any(map(str.isdigit, word)) for word in differing
    )


def reasons(
    places: Sequence[int], signals: Floats, parts: Floats, weights: Weights, profile: int = 0
) -> Reasons:
    """Says of each of these candidates which signals made its score.

    Args:
        places: Of the candidates.
        signals: Of all candidates as measured, shape (candidates, len(NAMES)).
        parts: What they added to the scores, of the same shape.
        weights: What they were weighed with.
        profile: So many of them, the first, come first whatever their score.
    """
    at = np.array(places, np.int64)
    added = parts[at]  # `take` would copy all of them: each signal lies in one piece
    counted = np.flatnonzero(added)
    hits, order = counted // len(NAMES), np.abs(added).take(counted)
    counted = counted[np.lexsort((-order, hits))]  # `hits` is the same afterwards
    names = counted % len(NAMES)
    columns = np.ascontiguousarray(signals.T)
    values = columns.take(names * len(signals) + at[hits])
    told = Reasons(
        [*NAMES, PROFILE],
        [*row_of(weights).tolist(), 0.0],
        np.bincount(hits, minlength=len(places)).tolist(),
        names.tolist(),
        _ranks(columns, names, values).tolist(),
        values.tolist(),
        added.take(counted).tolist(),
    )
    _put_first(told, profile)
    return told


def _ranks(columns: Floats, names: Rows, values: Floats) -> Rows:
    """Returns the place of each of these values among those of all candidates by the same signal, of these
    columns; 0 where all have the same."""
    count = columns.shape[1]
    ranks, one_each = np.empty(len(values), np.int64), np.ones(count, np.float32)
    step = max(1, _COMPARED_AT_ONCE // count)
    for start in range(0, len(values), step):
        end = start + step
        better = columns.take(names[start:end], axis=0) > values[start:end, None]
        ranks[start:end] = 1 + better.astype(np.float32).dot(one_each)  # truth values are counted more slowly
    differ = (columns != columns[:, :1]).any(axis=1)
    ranks *= differ[names]
    return ranks


def _put_first(told: Reasons, profile: int) -> None:
    """Gives the first hits a first reason: that they are of the profile."""
    for hit in range(profile - 1, -1, -1):
        start = sum(told.counts[:hit])
        told.counts[hit] += 1
        told.places.insert(start, len(NAMES))
        told.ranks.insert(start, 0)
        told.values.insert(start, 1.0)
        told.shares.insert(start, 0.0)


def fitting(texts: Iterable[str], tokens: int) -> list[int]:
    """Returns which texts fit a budget, in their order; one that does not leaves room for those after it."""
    kept = []
    for place, text in enumerate(texts):
        cost = tokens_of(text)
        if cost <= tokens:
            tokens -= cost
            kept.append(place)
    return kept

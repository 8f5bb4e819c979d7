"""Steps of a search for the texts of the highest scores."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.text_postings import TIMES_BITS, TIMES_MAX, Packed
from memraft_server.projections.vector_math import Floats, Rows

MARKED_MAX = 1 << 14
"""Up to so many rows each is marked where it is one of some; of more some are sorted, in twice the time."""
TOGETHER_MAX = 4096
"""Postings of several terms that are looked at in one go: a step costs as much as a thousand of them."""

Number = TypeVar("Number", np.int64, np.uint64)
_ZERO = np.zeros(1, np.int64)


class Term(NamedTuple):
    """A term of a query as of a version: its packed postings ascending, and its weight: its idf times how
    often it is asked for."""

    postings: Packed
    weight: float

    def times_in(self, keys: Packed) -> Packed:
        """How often each of some rows, as `keys_of` gives them, says the term."""
        found = self.postings.take(self.postings.searchsorted(keys), mode="clip")
        found -= keys  # of another row the difference is more than any number of times, also below zero
        found[found > TIMES_MAX] = 0
        return found


def times_of(terms: list[Term], keys: Packed) -> Packed:
    """How often each of some rows says each of some terms, at least one: shape (terms, rows)."""
    found = np.empty((len(terms), len(keys)), np.uint32)
    for term, row in zip(terms, found, strict=True):
        postings = term.postings
        postings.take(postings.searchsorted(keys), mode="clip", out=row)
    found -= keys  # see `Term.times_in`
    found[found > TIMES_MAX] = 0
    return found


def count_together(terms: list[Term]) -> int:
    """How many of the first terms to look at in one go: at least one, and with more few postings."""
    postings, together = len(terms[0].postings), 1
    for term in terms[1:]:
        postings += len(term.postings)
        if postings > TOGETHER_MAX:
            break
        together += 1
    return together


def keys_of(rows: Rows) -> Packed:
    """Where the postings of rows would begin."""
    return (rows << TIMES_BITS).astype(np.uint32)


def unique(rows: Rows) -> Rows:
    """The different ones of some rows, ascending: quicker for few than numpy's."""
    ordered = np.sort(rows, axis=None)
    keep = np.empty(len(ordered), np.bool_)
    keep[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=keep[1:])
    return ordered[keep]


def distinct(rows: Rows, count: int) -> tuple[Rows, Rows]:
    """The different ones of some of the first `count` rows, ascending, and which of them each is."""
    if count > MARKED_MAX:
        ordered = unique(rows)
        return ordered, ordered.searchsorted(rows)
    there = np.zeros(count, np.bool_)
    there[rows] = True
    ordered = there.nonzero()[0]
    places = np.empty(count, np.int32)  # not so large that the system has to give it
    places[ordered] = np.arange(len(ordered))
    return ordered, places.take(rows).astype(np.int64)


def runs(ordered: NDArray[Number]) -> tuple[NDArray[Number], Rows]:
    """The different ones of some numbers that ascend, and how often each is there."""
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    bounds = np.concatenate((_ZERO[: len(ordered)], starts, [len(ordered)]))
    return ordered[bounds[:-1]], bounds[1:] - bounds[:-1]


def kth(values: Floats, k: int) -> float:
    """The `k`-th highest."""
    return float(np.partition(values, len(values) - k)[len(values) - k])


def best(rows: Rows, scores: Floats, k: int) -> tuple[Rows, Floats]:
    """The `k` best, of equal scores the older row first."""
    if len(rows) > k:
        keep = scores >= np.float32(kth(scores, k))
        rows, scores = rows[keep], scores[keep]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]

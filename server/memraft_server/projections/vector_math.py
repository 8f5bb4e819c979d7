"""Arithmetic on vectors that stores, segments and searches share."""

from __future__ import annotations

import math
from operator import neg
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
"""Row numbers of a store."""

FLOAT32 = np.dtype("<f4")

Floats = NDArray[np.float32]
"""Components, scores or distances."""

ONE_WITHIN = 2e-7
"""A squared length this near to one is one, to float32."""

Found = tuple[list[int], list[float]]
"""Rows and their scores, best first."""


def read_rows(chunks: list[Floats], bits: int, rows: Rows) -> Floats:
    """Returns a copy of these rows (ascending) out of chunks of `1 << bits` rows."""
    found = np.empty((len(rows), chunks[0].shape[1]), chunks[0].dtype)
    first, last = int(rows[0]) >> bits, int(rows[-1]) >> bits
    ends = rows.searchsorted(np.arange(first + 1, last + 2) << bits).tolist()
    low = 0
    for number, high in enumerate(ends, first):
        if low < high:
            places = rows[low:high] - (number << bits)
            chunks[number].take(places, axis=0, out=found[low:high], mode="clip")  # that copies once
            low = high
    return found


def unit(vector: Floats) -> Floats:
    """Returns the vector scaled to length one; a zero vector stays as it is and is near nothing."""
    exact = vector.astype(np.float64)  # squares of float32 fit, whatever their size
    length = math.sqrt(exact.dot(exact))
    if length == 0:
        return vector
    exact /= length
    return exact.astype(np.float32)


def direction(query: Floats) -> Floats:
    """Returns a query scaled to length one, itself where it is as long as that already, to float32."""
    exact = query.astype(np.float64)
    length = exact.dot(exact)
    return query if abs(length - 1) < ONE_WITHIN else unit(query)


def unit_rows(vectors: Floats) -> Floats:
    """Returns each row scaled to length one."""
    if len(vectors) == 1:
        return unit(vectors[0]).reshape(vectors.shape)
    exact = vectors.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", exact, exact))
    lengths[lengths == 0] = 1
    exact /= lengths[:, None]
    return exact.astype(np.float32)


def ranked(rows: list[int], scores: list[float]) -> Found:
    """Orders by score, best first; of equal scores the older row first."""
    order = sorted(zip(map(neg, scores), rows, strict=True))
    return [pair[1] for pair in order], [-pair[0] for pair in order]


def merged(parts: list[tuple[Rows, Floats]], k: int) -> Found:
    """Returns the `k` best of several results, ranked."""
    rows: list[int] = []
    scores: list[float] = []
    for part in parts:
        rows += part[0].tolist()
        scores += part[1].tolist()
    rows, scores = ranked(rows, scores)
    return rows[:k], scores[:k]


def all_finite(components: Floats) -> bool:
    """Whether no component, of one at least, is NaN or infinite."""
    finite = np.isfinite(components)
    return bool(finite[finite.argmin()])  # half of what `finite.all()` takes, which numpy has in Python


def as_float32(vector: Any) -> Floats:
    """Returns numbers as an array of float32, the same object where they are one already.

    What float32 cannot hold becomes infinite, without numpy's warning.

    Raises:
        TypeError, ValueError, OverflowError: they are no numbers, or not of one shape.
    """
    if type(vector) is np.ndarray and vector.dtype == FLOAT32:
        return vector
    with np.errstate(over="ignore"):  # Takes 2 µs, where all of a search takes 40.
        return np.asarray(vector, FLOAT32)

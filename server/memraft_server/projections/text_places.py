"""Places in threads: a new version of a text stands where the old one stood."""

from __future__ import annotations

from array import array
from bisect import bisect_left

import numpy as np

from memraft_server.projections.vector_math import Rows

NO_ROW = -1


class Places:
    """Which rows have stood, one after the other, at each place of the threads; needed once a row takes the
    place of another. The first row at a place is the one that its neighbours are linked to.

    Args:
        count: Of rows so far: each has its own place.
    """

    __slots__ = ("_first", "_last", "_later")

    def __init__(self, count: int) -> None:
        self._first = array("i", range(count))
        self._last = array("i", range(count))
        self._later: dict[int, list[int]] = {}

    def add(self, replaced: int) -> None:
        """Takes the next row, which stands where `replaced` stood, or with `NO_ROW` at a place of its own."""
        row = len(self._first)
        first = row if replaced == NO_ROW else self._first[replaced]
        self._first.append(first)
        self._last.append(row)
        if first != row:
            self._last[first] = row
            self._later.setdefault(first, []).append(row)

    def firsts(self, rows: Rows) -> Rows:
        """Returns the first row at the place of each of these."""
        found: Rows = np.frombuffer(self._first, np.int32)[rows].astype(np.int64)
        return found

    def shown(self, firsts: Rows, count: int) -> Rows:
        """Returns the last of the first `count` rows at each of these places; each has one among them."""
        rows: Rows = np.frombuffer(self._last, np.int32)[firsts].astype(np.int64)
        late = rows >= count
        if late.any():
            rows[late] = [self._as_of(first, count) for first in firsts[late].tolist()]
        return rows

    def _as_of(self, first: int, count: int) -> int:
        later = self._later[first]
        place = bisect_left(later, count)
        return later[place - 1] if place else first

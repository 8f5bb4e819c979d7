"""Valid time: from when until when something is true in the world, whenever it was written down.

The other axis is commit time: which versions there are. Together they answer what was believed at one moment
about another (R. Snodgrass, Developing Time-Oriented Database Applications in SQL, 1999, chapter 10).
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.rows import Accept
from memraft_server.projections.vector_math import Rows

UNORDERED_MAX = 1024
"""Rows that came last and are not in the order of time yet, of few."""


def holds_at(valid_from_us: int, valid_until_us: int, time_us: int) -> bool:
    """Whether what is true from (0: always) until before (0: without end) is true at a moment."""
    return valid_from_us <= time_us and (not valid_until_us or time_us < valid_until_us)


class Bounds:
    """Of the rows that are not true always: from when until when."""

    __slots__ = ("_from_us", "_ordered", "_rows", "_until_us")

    def __init__(self) -> None:
        self._ordered: tuple[NDArray[np.int64], Rows] = (np.empty(0, np.int64), np.empty(0, np.int64))
        """The first of the moments from which rows are true, in order, and their rows."""
        self._rows = array("q")
        self._from_us = array("q")
        self._until_us = array("q")

    def add(self, row: int, from_us: int, until_us: int) -> None:
        """Takes the next row, if it has a bound; 0 is none."""
        if from_us or until_us:
            self._rows.append(row)
            self._from_us.append(from_us)
            self._until_us.append(until_us)

    def at(self, time_us: int, accept: Accept | None) -> Accept | None:
        """Returns what accepts the rows that hold at a moment, of those that `accept` does."""
        if not self._rows:
            return accept
        until = np.array(self._until_us, np.int64)
        holds = (np.array(self._from_us, np.int64) <= time_us) & ((until == 0) | (time_us < until))
        return _Holding(np.array(self._rows, np.int64)[~holds], accept)

    def starting(self, start_us: int, end_us: int, count_max: int) -> Rows:
        """Returns the rows that become true from `start_us` to before `end_us`, of many the last `count_max`,
        ascending. What came last is looked through, and sorted in once it is an eighth of all."""
        times, rows = self._ordered
        recent = len(self._rows) - len(rows)
        if recent > max(UNORDERED_MAX, len(rows) >> 3):
            times = np.concatenate((times, np.array(self._from_us[len(times) :], np.int64)))
            rows = np.concatenate((rows, np.array(self._rows[len(rows) :], np.int64)))
            order = np.argsort(times, kind="stable")
            times, rows = self._ordered = times[order], rows[order]
        low, high = times.searchsorted((start_us, end_us))
        low = max(low, high - count_max)
        late, late_rows = np.array(self._from_us[len(times) :], np.int64), self._rows[len(rows) :]
        among = (start_us <= late) & (late < end_us)
        times = np.concatenate((times[low:high], late[among]))
        rows = np.concatenate((rows[low:high], np.array(late_rows, np.int64)[among]))
        return np.sort(rows[np.argsort(times, kind="stable")[-count_max:]])


class _Holding:
    """Accepts all but some rows.

    Args:
        others: These, ascending.
        accept: What else there is to pass.
    """

    __slots__ = ("_accept", "_others")

    def __init__(self, others: Rows, accept: Accept | None) -> None:
        self._others = others
        self._accept = accept

    def check(self, rows: Rows) -> NDArray[np.bool_]:
        passes = ~np.isin(rows, self._others)
        return passes & self._accept.check(rows) if self._accept is not None else passes

    def matching(self, count: int) -> Rows:
        if self._accept is not None:
            return np.setdiff1d(self._accept.matching(count), self._others, assume_unique=True)
        mask = np.ones(count, np.bool_)
        mask[self._others] = False
        return np.flatnonzero(mask)

    def is_complete(self) -> bool:
        return self._accept is not None and self._accept.is_complete()

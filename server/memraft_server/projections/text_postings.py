"""Which rows say a term, and how often: packed into 32 bits each."""

from __future__ import annotations

from array import array
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

TIMES_BITS, TIMES_MAX = 4, 15
"""Of a posting: how often the term is said, more than 15 times as 15 (which gives 1.8 of the 1.9 that BM25
gives at most); the bits above are the row."""

ASIDE_MAX = 32
"""Postings of a list that are kept without an array of numpy's: it takes as much as so many."""

Packed = NDArray[np.uint32]
NO_POSTINGS: Packed = np.empty(0, np.uint32)


class Postings(msgspec.Struct, gc=False):
    """A list that grows at its ends only: a view taken before stays as it was.

    What came since it was last looked at is kept aside: growing an array by single items takes numpy five
    times as long.

    Attributes:
        after: What is to be appended.
        before: What is to be prepended, the last first.
    """

    after: array[int] = msgspec.field(default_factory=partial(array, "I"))
    before: array[int] | None = None
    _packed: Packed | None = None
    _start: int = 0
    _stop: int = 0

    def prepend(self, packed: int) -> None:
        if self.before is None:
            self.before = array("I")
        self.before.append(packed)

    def view(self) -> Packed:
        before, after = self.before, self.after
        if self._packed is None and before is None and len(after) <= ASIDE_MAX:
            return np.array(after, np.uint32)
        if before or after:
            self._take(before or array("I"), after)
        packed: Packed = self._packed[self._start : self._stop] if self._packed is not None else NO_POSTINGS
        return packed

    def _take(self, before: array[int], after: array[int]) -> None:
        packed = self._packed if self._packed is not None else NO_POSTINGS
        start, stop = self._start - len(before), self._stop + len(after)
        if start < 0 or stop > len(packed):
            # Room for half as much again, on the side on which it grows.
            room = (stop - start) >> 1
            front = room if start < 0 else self._start
            grown = np.empty(front + stop - start + (room if stop > len(packed) else 0), np.uint32)
            grown[front + len(before) : front + len(before) + self._stop - self._start] = packed[
                self._start : self._stop
            ]
            start, stop, packed = front, front + stop - start, grown
        packed[start : start + len(before)] = before[::-1]
        packed[stop - len(after) : stop] = after
        self._packed, self._start, self._stop = packed, start, stop
        self.before, self.after = None, array("I")

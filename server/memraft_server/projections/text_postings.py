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
    """A list that grows at its end only: a view taken before stays as it was.

    What came since it was last looked at is kept aside: growing an array by single items takes numpy five
    times as long.

    Attributes:
        after: What is to be appended.
    """

    after: array[int] = msgspec.field(default_factory=partial(array, "I"))
    _packed: Packed | None = None
    _stop: int = 0

    def view(self) -> Packed:
        after = self.after
        if self._packed is None:
            if len(after) <= ASIDE_MAX:
                return np.array(after, np.uint32)
            self._packed = NO_POSTINGS
        if after:
            self._take(self._packed, after)
        return self._packed[: self._stop]

    def _take(self, packed: Packed, after: array[int]) -> None:
        start, self._stop = self._stop, self._stop + len(after)
        if self._stop > len(packed):
            grown = np.empty(self._stop + (self._stop >> 1), np.uint32)
            grown[:start] = packed[:start]
            packed = self._packed = grown
        packed[start : self._stop] = after
        self.after = array("I")

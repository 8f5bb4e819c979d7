"""What the machine remembers of every entry: when it was committed, and the seed of its ids."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from memraft_server.machine.ids import entry_parts, make_id
from memraft_server.machine.limits import POSITION_BITS, POSITIONS_MAX
from memraft_server.machine.refused import BrokenInvariant


class EntryTable:
    """Log index -> commit time and seed, in two packed columns of 8 bytes an entry.

    Records need not keep their commit time, and events not their id: both follow from the version.
    """

    __slots__ = ("_first", "_seeds", "_times_us")

    def __init__(self) -> None:
        self._first = 1
        self._times_us = array("q")
        self._seeds = array("Q")

    def add(self, index: int, time_us: int, seed: int) -> None:
        """Adds the entry at `index`. Skipped indices (no-ops) take the time before.

        Raises:
            BrokenInvariant: it is not above all others, such as after an apply that was cut short.
        """
        times_us = self._times_us
        if not times_us:
            self._first = index
        missing = index - self._first - len(times_us)
        if missing < 0:
            raise BrokenInvariant(f"entry {index} after entry {self._first + len(times_us) - 1}")
        if missing:
            times_us.extend([times_us[-1]] * missing)
            self._seeds.extend([0] * missing)
        times_us.append(time_us)
        self._seeds.append(seed)

    def __len__(self) -> int:
        return len(self._times_us)

    @property
    def last_index(self) -> int:
        """The log index of the last entry; 0 where there was none."""
        return self._first + len(self._times_us) - 1

    def columns(self, start: int, end: int) -> tuple[int, array[int], array[int]]:
        """Returns (first index, times, seeds) of the entries in places [start, end), from 0."""
        return self._first + start, self._times_us[start:end], self._seeds[start:end]

    def restore(self, first: int, times_us: Iterable[int], seeds: Iterable[int]) -> None:
        """Takes what `columns` gave: all of it, in order, in as many portions as it was asked for.

        Raises:
            BrokenInvariant: it does not follow what is here.
        """
        if not self._times_us:
            self._first = first
        if first != self._first + len(self._times_us):
            raise BrokenInvariant(f"entries {self._first + len(self._times_us)} to {first - 1} are missing")
        self._times_us.extend(times_us)
        self._seeds.extend(seeds)

    def time_us(self, version: int) -> int:
        """Returns the commit time of `version` in microseconds since the epoch."""
        return self._times_us[(version >> POSITION_BITS) - self._first]

    def times_of(self, versions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the commit times of versions, as `time_us` does that of one."""
        times: NDArray[np.int64] = np.frombuffer(self._times_us, np.int64)[
            (versions >> POSITION_BITS) - self._first
        ]
        return times

    def time_at(self, ceiling: int) -> int:
        """Returns the commit time of the last entry up to version `ceiling`; 0 where there is none."""
        place = min((ceiling >> POSITION_BITS) - self._first, len(self._times_us) - 1)
        return self._times_us[place] if place >= 0 else 0

    def seed(self, version: int) -> int:
        """Returns the seed of the entry of `version`."""
        return self._seeds[(version >> POSITION_BITS) - self._first]

    def id_of(self, version: int) -> str:
        """Returns the id that belongs to `version`."""
        place = (version >> POSITION_BITS) - self._first
        parts = entry_parts(self._times_us[place], self._seeds[place])
        return make_id(parts, version & (POSITIONS_MAX - 1))

    def index_at(self, time_us: int) -> int:
        """Returns the last log index committed at or before `time_us`; below the first if none was."""
        return self._first + bisect_right(self._times_us, time_us) - 1

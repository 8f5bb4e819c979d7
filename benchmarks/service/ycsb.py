"""The core workloads of YCSB, A to F: which record an operation takes, and what it does with it.

Source: Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", SoCC 2010, and its `workloada` to
`workloadf`. Pure: the same seed gives the same operations. What is not as there:

* An update writes the whole record (`writeallfields=true`), because a value is one document here.
* Which records are popular is spread over the keys by a permutation, where YCSB hashes: two ranks never meet.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

FIELDS = 10
FIELD_BYTES = 100
ZIPFIAN = 0.99
SCAN_RECORDS_MAX = 100
KEY_PREFIX = "user"
KEY_END = "uses"
"""The first key after all keys of records."""

Record = dict[str, str]


@dataclass(frozen=True, slots=True)
class Mix:
    """A workload: shares of operations, and whether reads prefer what was inserted last."""

    shares: dict[str, float]
    latest: bool = False


MIXES = {
    "a": Mix({"read": 0.5, "update": 0.5}),
    "b": Mix({"read": 0.95, "update": 0.05}),
    "c": Mix({"read": 1.0}),
    "d": Mix({"read": 0.95, "insert": 0.05}, latest=True),
    "e": Mix({"scan": 0.95, "insert": 0.05}),
    "f": Mix({"read": 0.5, "swap": 0.5}),
}
"""`swap`: reads a record and writes it back changed, if nobody else did meanwhile."""


def key_of(number: int) -> str:
    """The key of record `number`."""
    return f"{KEY_PREFIX}{number:012d}"


def records(count: int, seed: int) -> list[Record]:
    """Draws records of FIELDS fields of FIELD_BYTES letters and digits each."""
    letters = np.frombuffer((string.ascii_letters + string.digits).encode(), np.uint8)
    drawn = letters[np.random.default_rng(seed).integers(len(letters), size=(count, FIELDS, FIELD_BYTES))]
    return [{f"field{field}": row[field].tobytes().decode() for field in range(FIELDS)} for row in drawn]


RECORD_BYTES = len(msgspec.json.encode(records(1, 0)[0]))
"""Of a record as JSON, which is what each system stores."""


def zipfian_ranks(items: int, draws: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draws ranks from 0: rank r with a probability in proportion to 1 / (r + 1) ** ZIPFIAN.

    By inversion of the exact distribution; YCSB approximates it after Gray et al., SIGMOD 1994.
    """
    weights = np.cumsum(1.0 / np.arange(1, items + 1) ** ZIPFIAN)
    places = np.searchsorted(weights, random.random(draws) * weights[-1], side="right")
    ranks: npt.NDArray[np.int64] = np.minimum(places, items - 1).astype(np.int64)
    return ranks


class Population:
    """The records that there are: `count` from the start, and those that callers insert.

    A record may be chosen once it is acknowledged, and all before it are: `inserted` says so.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._begun = count
        self._early: set[int] = set()

    def begin(self) -> int:
        """The number of a record to insert."""
        self._begun += 1
        return self._begun - 1

    def inserted(self, number: int) -> None:
        """Notes that the record of that number is there."""
        self._early.add(number)
        while self.count in self._early:
            self._early.remove(self.count)
            self.count += 1


@dataclass(frozen=True, slots=True)
class Operation:
    """`what` is to be done with record `number`; `length`: of a scan."""

    what: str
    number: int
    length: int


class Draws:
    """Operations of one workload, drawn ahead and handed out in turn, for ever.

    Args:
        mix: which workload.
        population: of its records; shared by all callers.
        draws: after how many the same choices come again.
        seed: of what is drawn.
    """

    def __init__(self, mix: Mix, population: Population, draws: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        names = list(mix.shares)
        items = population.count
        ranks = zipfian_ranks(items, draws, random)
        self._latest = mix.latest
        self._population = population
        # The permutation is the same whatever the seed: a popular record stays popular.
        popular = np.random.default_rng(items).permutation(items)
        self._places: list[int] = (ranks if mix.latest else popular[ranks]).tolist()
        chosen = random.choice(len(names), size=draws, p=list(mix.shares.values()))
        self._whats = [names[each] for each in chosen]
        self._lengths: list[int] = random.integers(1, SCAN_RECORDS_MAX + 1, size=draws).tolist()

    def __iter__(self) -> Iterator[Operation]:
        while True:
            for what, place, length in zip(self._whats, self._places, self._lengths, strict=True):
                if what == "insert":
                    yield Operation(what, self._population.begin(), length)
                elif self._latest:
                    yield Operation(what, max(0, self._population.count - 1 - place), length)
                else:
                    yield Operation(what, place, length)

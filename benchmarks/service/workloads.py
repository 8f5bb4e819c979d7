"""What a caller does, again and again: one function without arguments for each caller of a line."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.service.lines import BATCH, EVENTS, Line
from benchmarks.service.stores import Store
from benchmarks.service.ycsb import MIXES, Draws, Operation, Population, Record, key_of, records

VALUE = {"text": "x" * 89}
"""100 bytes as JSON."""
EVENT = {"text": "x" * 189}
"""200 bytes as JSON."""
KEYS_TO_READ = 1_000
DRAWS = 1 << 15
RECORD_POOL = 128
SEED = 20_261_121
SWAPS_MAX = 1_000
"""Tries of one read-modify-write before it counts as failed."""

Call = Callable[[], Awaitable[object]]


class Starved(Exception):
    """An operation was overtaken every time it was tried."""


class Workload:
    """The state that the callers of one system share.

    Args:
        store: the system; None for those that need none.
        vectors: queries for searches, shape (count, dimension); None where there are none.
    """

    def __init__(self, store: Any, vectors: Any = None) -> None:
        self.store = store
        self.population = Population(0)
        self.tries = 0
        self._pool = records(RECORD_POOL, SEED)
        self._queries = vectors
        self._runs = itertools.count()

    # -- what is there before anything is measured ---------------------------------------------------------

    def fill(self, count: int) -> Iterator[dict[str, Any]]:
        """The records of YCSB and the keys to read, in portions to load."""
        self.population = Population(count)
        yield from _portions({key_of(number): self._record(number) for number in range(count)})

    def keys_to_read(self) -> Iterator[dict[str, Any]]:
        """The documents that `get` reads, in portions to load."""
        yield from _portions({read_key(number): VALUE for number in range(KEYS_TO_READ)})

    def _record(self, number: int) -> Record:
        return self._pool[number % RECORD_POOL]

    # -- callers ---------------------------------------------------------------------------------------------

    def callers(self, line: Line) -> list[Call]:
        """A call for each caller of a line. Each run has keys of its own to write to."""
        run, self.tries = next(self._runs), 0
        if line.work.startswith("ycsb-"):
            return [self._ycsb(line, run)] * line.callers
        make = getattr(self, f"_{line.work}")
        made: list[Call] = [make(line, f"r{run}c{caller}") for caller in range(line.callers)]
        return made

    def _put(self, line: Line, name: str) -> Call:
        store, numbers = self.store, itertools.count()
        return lambda: store.put(f"{name}/{next(numbers):09d}", VALUE)

    def _get(self, line: Line, name: str) -> Call:
        store, numbers = self.store, _numbers(name)
        return lambda: store.get(read_key(next(numbers) % KEYS_TO_READ), line.level)

    def _put_batch(self, line: Line, name: str) -> Call:
        store, numbers = self.store, itertools.count(step=BATCH)

        async def put_batch() -> None:
            first = next(numbers)
            await store.put_batch({f"{name}/{n:09d}": VALUE for n in range(first, first + BATCH)})

        return put_batch

    def _get_batch(self, line: Line, name: str) -> Call:
        store, numbers = self.store, itertools.count(step=BATCH)

        async def get_batch() -> None:
            first = next(numbers) % KEYS_TO_READ
            await store.get_batch([read_key(n) for n in range(first, first + BATCH)], line.level)

        return get_batch

    def _ingest(self, line: Line, name: str) -> Call:
        store, events = self.store, [EVENT] * EVENTS
        return lambda: store.append(name, events)

    def _empty(self, line: Line, name: str) -> Call:
        made: Call = self.store.empty
        return made

    def _search(self, line: Line, name: str) -> Call:
        store, queries, numbers = self.store, self._queries, _numbers(name)
        return lambda: store.search(queries[next(numbers) % len(queries)])

    def _ycsb(self, line: Line, run: int) -> Call:
        """One call for all callers: each takes the next operation."""
        mix = MIXES[line.work.removeprefix("ycsb-")]
        operations = iter(Draws(mix, self.population, DRAWS, SEED + run))
        return lambda: self._do(next(operations), self.store, line.level)

    async def _do(self, operation: Operation, store: Store, level: str) -> None:
        key = key_of(operation.number)
        match operation.what:
            case "read":
                await store.get(key, level)
            case "update":
                await store.put(key, self._record(operation.number + operation.length))
            case "insert":
                await store.insert(key, self._record(operation.number))
                self.population.inserted(operation.number)
            case "scan":
                await store.scan(key, operation.length, level)
            case _:
                await self._swap(key, operation, store, level)

    async def _swap(self, key: str, operation: Operation, store: Store, level: str) -> None:
        """Tries until nobody was faster, as an agent would have to."""
        value = self._record(operation.number + operation.length)["field0"]
        for _ in range(SWAPS_MAX):
            if await store.swap(key, "field0", value, level):
                return
            self.tries += 1
        raise Starved(f"{key} after {SWAPS_MAX} tries")


def read_key(number: int) -> str:
    """A document that `get` reads."""
    return f"read/{number:09d}"


def _numbers(name: str) -> Iterator[int]:
    """Counts from where the caller's name says: callers do not march in step."""
    return itertools.count(int(np.random.default_rng(list(name.encode())).integers(1 << 20)))


def _portions(values: dict[str, Any], size: int = BATCH) -> Iterator[dict[str, Any]]:
    items = iter(values.items())
    while portion := dict(itertools.islice(items, size)):
        yield portion

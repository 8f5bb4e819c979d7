"""The client of a cluster: AsyncMemory in as many namespaces as a load has."""

from __future__ import annotations

import itertools
import string
from typing import Any

import numpy as np

from benchmarks.scale.points import SCAN, Load
from benchmarks.service.figures import Round
from benchmarks.service.products import TIMEOUT_S, client_engine
from benchmarks.service.stores import Missing, Target
from benchmarks.service.worker import Worker
from benchmarks.service.workloads import SEED, Call
from memraft import AsyncMemory

LOAD_BYTES = 1_000_000
"""Of a request that loads records, about."""
STRIDE = 7_919
"""A prime that divides no number of keys: callers go through all keys, far from each other."""
JSON_BYTES = len('{"text":""}')


def value_of(size_bytes: int) -> dict[str, str]:
    """A value of that size as JSON, of letters and digits that hardly compress."""
    letters = np.frombuffer((string.ascii_letters + string.digits).encode(), np.uint8)
    drawn = np.random.default_rng(SEED).integers(len(letters), size=size_bytes - JSON_BYTES)
    return {"text": letters[drawn].tobytes().decode()}


def key_of(number: int) -> str:
    """The key of a record."""
    return f"record/{number:08d}"


class ScaleWorker(Worker):
    """Fills a cluster and plays loads on it. `target`: where it is."""

    def __init__(self, target: Target | None) -> None:
        super().__init__(target)
        assert target is not None
        self._where = target
        self._memories: list[AsyncMemory] = []

    async def open(self) -> None:
        """Opens the memory, on the running loop."""
        where = self._where
        self._memory = AsyncMemory(
            where.endpoints,
            certs=where.certs,
            namespace="acme/bench",
            timeout_s=TIMEOUT_S,
            **client_engine(where.engine),
        )

    async def load(self, load: Load) -> None:
        """Writes the records that a load reads."""
        self._spread(load)
        value, at_once = value_of(load.value_bytes), max(1, min(2_000, LOAD_BYTES // load.value_bytes))
        for memory in self._memories:
            for first in range(0, load.keys, at_once):
                numbers = range(first, min(first + at_once, load.keys))
                await memory.put_many({key_of(number): value for number in numbers})

    def _spread(self, load: Load) -> None:
        names = [f"acme/b{load.value_bytes}n{number}" for number in range(load.namespaces)]
        self._memories = [self._memory.scoped(name) for name in names]

    async def play_load(self, load: Load, seconds: float, pids: dict[str, int]) -> Round:
        """Plays a load for a round."""
        self._spread(load)
        value, starts = (
            value_of(load.value_bytes),
            np.random.default_rng(SEED).integers(load.keys, size=1_024),
        )
        calls = [
            self._call(load, self._memories[caller % load.namespaces], int(starts[caller]), value)
            for caller in range(load.callers)
        ]
        return await self.run(calls, seconds, pids, 1)

    def _call(self, load: Load, memory: AsyncMemory, start: int, value: Any) -> Call:
        keys = load.keys
        numbers, level = itertools.count(start, STRIDE), load.level
        if load.work == "put":
            return lambda: memory.put(key_of(next(numbers) % keys), value)
        if load.work == "get":
            return lambda: _get(memory, key_of(next(numbers) % keys), level)
        return lambda: _scan(memory, key_of(next(numbers) % (keys - SCAN)), level)


async def _get(memory: AsyncMemory, key: str, level: Any) -> None:
    if await memory.get(key, consistency=level) is None:
        raise Missing(key)


async def _scan(memory: AsyncMemory, key: str, level: Any) -> None:
    found = await memory.list("record/", start=key, limit=SCAN, consistency=level)
    if len(found) != SCAN:
        raise Missing(f"{SCAN - len(found)} of {SCAN} from {key}")

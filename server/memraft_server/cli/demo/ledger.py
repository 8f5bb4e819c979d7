"""Keeps the books of the demo: every write that was acknowledged, to be found again at the end, and how long
each operation took."""

import time
from collections import Counter, defaultdict
from collections.abc import Awaitable
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from memraft import MemraftError
from memraft_server.cli.figures import Latencies, latencies

T = TypeVar("T")


class Acknowledged(msgspec.Struct, frozen=True):
    """One write that a node said is stored: `value` under the key, stream, record or memory `name`."""

    kind: str
    namespace: str
    name: str
    value: Any
    version: int
    sequence: int = 0
    hash: bytes = b""


class Ledger:
    """The books of all agents and of the load. Not for several threads."""

    def __init__(self) -> None:
        self.began_at = time.monotonic()
        self.writes: list[Acknowledged] = []
        self.failures: Counter[str] = Counter()
        """`operation: error` -> how often. A write that failed was not acknowledged."""
        self._durations_s: dict[str, list[float]] = defaultdict(list)
        self._acknowledged_at: dict[str, list[float]] = defaultdict(list)
        self._writes_by_namespace: Counter[str] = Counter()

    def now_s(self) -> float:
        """Seconds since the books were opened."""
        return time.monotonic() - self.began_at

    async def timed(self, operation: str, call: Awaitable[T]) -> T:
        """Awaits `call` and books its duration under `operation`; its failure is booked and raised."""
        began = time.perf_counter()
        try:
            answer = await call
        except MemraftError as error:
            self.failures[f"{operation}: {type(error).__name__}"] += 1
            raise
        self._durations_s[operation].append(time.perf_counter() - began)
        return answer

    def acknowledge(self, write: Acknowledged) -> None:
        """Books a write that was acknowledged just now."""
        self.writes.append(write)
        self._acknowledged_at[write.namespace].append(self.now_s())
        self._writes_by_namespace[write.namespace] += 1

    def writes_by_namespace(self) -> Counter[str]:
        """Namespace -> acknowledged writes so far."""
        return Counter(self._writes_by_namespace)

    def latencies(self) -> dict[str, Latencies]:
        """Operation -> its latencies, the most frequent operation first."""
        ordered = sorted(self._durations_s.items(), key=lambda item: -len(item[1]))
        return {operation: latencies(durations) for operation, durations in ordered}

    def longest_pause_s(self, namespaces: set[str], from_s: float, until_s: float) -> float:
        """The longest time between `from_s` and `until_s` without an acknowledged write to `namespaces`."""
        moments = sorted(
            moment
            for namespace in namespaces
            for moment in self._acknowledged_at.get(namespace, ())
            if from_s <= moment <= until_s
        )
        edges = [from_s, *moments, until_s]
        return max((after - before for before, after in pairwise(edges)), default=0.0)

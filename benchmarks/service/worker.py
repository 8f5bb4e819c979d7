"""A process that is the client of one system: it loads records and plays lines when its driver says so.

It answers requests over a pipe, each a tuple whose first word says what is wanted; an answer is what came of
it, or a Failed. Between requests its event loop goes on, so that connections are kept alive.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.service import blocking
from benchmarks.service.figures import Round, Usage, usage
from benchmarks.service.lines import Line, units_of
from benchmarks.service.stores import STORES, Store, Target
from benchmarks.service.workloads import KEYS_TO_READ, SEED, VALUE, Call, Workload, read_key
from memraft_server.cli.bench.clustered import Clustered, clustered, exact_neighbours, recall
from memraft_server.cli.bench.vector import Settling
from memraft_server.cli.figures import latencies

K = 10
DIMENSION = 384
RECALL_QUERIES = 200


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a request could not be done."""

    reason: str


@dataclass(slots=True)
class _Course:
    """What the callers of one round have done so far."""

    ends: float
    durations_s: list[float] = field(default_factory=list)
    errors: int = 0
    first_error: str = ""

    def failed(self, error: Exception) -> None:
        """Notes an error; a caller stops at its first."""
        self.errors += 1
        if not self.first_error:
            self.first_error = describe(error)


def describe(error: BaseException) -> str:
    """An error in one short line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


async def _caller(call: Call, course: _Course) -> None:
    clock = time.perf_counter
    began = clock()
    while began < course.ends or not course.durations_s:
        try:
            await call()
        except Exception as error:  # whatever it is, the figure is refused with it
            course.failed(error)
            return
        now = clock()
        course.durations_s.append(now - began)
        began = now


def _call_in_turn(call: Callable[[int], object], course: _Course) -> None:
    clock = time.perf_counter
    began, number = clock(), 0
    while began < course.ends or not course.durations_s:
        try:
            call(number)
        except Exception as error:  # as above
            course.failed(error)
            return
        number += 1
        now = clock()
        course.durations_s.append(now - began)
        began = now


@dataclass(slots=True)
class _Meter:
    """Looks at processes before and after a round."""

    pids: dict[str, int]
    before: dict[str, Usage] = field(default_factory=dict)
    client_cpu_s: float = 0.0
    began: float = 0.0
    took_s: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        self.before = {name: usage(pid) for name, pid in self.pids.items()}
        self.client_cpu_s, self.began = time.process_time(), time.perf_counter()
        yield
        self.took_s = time.perf_counter() - self.began
        self.client_cpu_s = time.process_time() - self.client_cpu_s

    def read(self, course: _Course, units: int, tries: int) -> Round:
        """Makes a round of it."""
        after = {name: usage(pid) for name, pid in self.pids.items()}
        measured = latencies(course.durations_s)
        return Round(
            operations=len(course.durations_s) * units,
            took_s=self.took_s,
            p50_us=measured.p50_us,
            p99_us=measured.p99_us,
            client_cpu_s=self.client_cpu_s,
            node_cpu_s={name: after[name].cpu_s - self.before[name].cpu_s for name in self.pids},
            node_written_bytes={
                name: after[name].written_bytes - self.before[name].written_bytes for name in self.pids
            },
            errors=course.errors,
            first_error=course.first_error,
            tries=tries,
        )


class Worker:
    """The client of one system. `target`: of the system; None where an index is called in process."""

    def __init__(self, target: Target | None) -> None:
        self._target = target
        self._store: Store | None = None
        self._workload = Workload(None)
        self._blocking: blocking.BlockingStore | None = None
        self._index: Callable[[Any], list[int]] | None = None
        self._vectors: Clustered | None = None

    async def open(self) -> None:
        """Makes the store, on the running loop."""
        if self._target is not None:
            self._store = STORES[self._target.kind](self._target)
            self._workload = Workload(self._store)

    async def fill(self, count: int, is_first: bool) -> None:
        """Loads the records; not `is_first`: another worker has, and they are only to be known."""
        assert self._store is not None
        for portions in (self._workload.keys_to_read(), self._workload.fill(count)):
            for portion in portions:
                if is_first:
                    await self._store.load(portion)

    async def vectors(self, count: int, index: str) -> float:
        """Draws the vectors, stores them in the system or in an index in process, waits until that is as fast
        as it becomes, and returns the recall."""
        self._vectors = drawn = clustered(count, RECALL_QUERIES, DIMENSION, SEED)
        store: Any = self._store
        if index:
            self._index = nearest = blocking.open_index(index, drawn.vectors)

            async def search(query: Any) -> list[int]:
                return nearest(query)
        else:
            await store.load_vectors(drawn.vectors)
            self._workload = Workload(store, drawn.queries)
            search = store.search
        settling = Settling(count)
        while True:
            found, durations_s = [], []
            for query in drawn.queries:
                began = time.perf_counter()
                found.append(await search(query))
                durations_s.append(time.perf_counter() - began)
            if settling.is_over(durations_s):
                return recall(found, exact_neighbours(drawn.vectors, drawn.queries, K))

    async def play(self, line: Line, seconds: float, pids: dict[str, int]) -> Round:
        """Plays a line for a round."""
        if line.blocking:
            meter, call = _Meter(pids), self._blocking_call(line)
            with meter.running():
                course = _Course(time.perf_counter() + seconds)
                _call_in_turn(call, course)
            return meter.read(course, units_of(line.work), self._workload.tries)
        return await self.run(self._workload.callers(line), seconds, pids, units_of(line.work))

    async def run(self, calls: Sequence[Call], seconds: float, pids: dict[str, int], units: int) -> Round:
        """Has callers call again and again, each in turn with itself, for a round.

        Args:
            calls: of each caller.
            seconds: of the round.
            pids: of the processes to look at, by name.
            units: how many operations a call carries.
        """
        meter = _Meter(pids)
        with meter.running():
            course = _Course(time.perf_counter() + seconds)
            await asyncio.gather(*(_caller(call, course) for call in calls))
        return meter.read(course, units, self._workload.tries)

    def _blocking_call(self, line: Line) -> Callable[[int], object]:
        if line.work == "search":
            assert self._index is not None and self._vectors is not None
            search, queries = self._index, self._vectors.queries
            return lambda number: search(queries[number % len(queries)])
        assert self._target is not None
        if self._blocking is None:
            self._blocking = blocking.BlockingStore(self._target)
        store, name = self._blocking, f"s{time.monotonic_ns()}"
        if line.work == "put":
            return lambda number: store.put(f"{name}/{number:09d}", VALUE)
        return lambda number: store.get(read_key(number % KEYS_TO_READ), line.level)


async def _serve(worker: Worker, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    while True:
        what, *arguments = await loop.run_in_executor(None, pipe.recv)
        try:
            answer = await getattr(worker, what)(*arguments)
        except Exception as error:  # told to the driver, who refuses the figure
            answer = Failed(describe(error))
        pipe.send(answer)


def serve(target: Target | None, pipe: Connection, kind: type[Worker] = Worker) -> None:
    """The process: ends when the driver closes the pipe, not by a Ctrl-C that goes to all of a terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):  # the driver is gone
        asyncio.run(_serve(kind(target), pipe))

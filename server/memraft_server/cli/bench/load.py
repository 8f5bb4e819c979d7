"""A process that puts load on a cluster: many callers on one event loop, each with one call under way.

Run as `python -m memraft_server.cli.bench.load`: reads a LoadSpec as JSON from standard input and prints a
LoadResult. A process of its own, so that the callers do not share an interpreter with what measures them.
"""

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from memraft import AsyncMemory
from memraft_server.cli.errors import CliError
from memraft_server.cli.figures import Latencies, latencies

VALUE = {"text": "x" * 89}
"""100 bytes as JSON."""

KEYS_TO_READ = 1_000
OPERATIONS_A_BATCH = 100
START_TIMEOUT_S = 60.0

Operation = Literal["put", "get", "batch", "put_many"]


class LoadSpec(msgspec.Struct, frozen=True):
    """What to do: `callers` callers, spread over the namespaces, call `operation` for `rounds` rounds."""

    endpoints: str
    certs: str
    namespaces: list[str]
    operation: Operation
    callers: int
    warm_up_s: float
    round_s: float
    rounds: int


class LoadResult(msgspec.Struct, frozen=True):
    """What came of it: documents a second in each round, the p50 of each in microseconds, and all calls."""

    documents_per_s: list[float]
    p50_us: list[float]
    calls: Latencies


def generate(spec: LoadSpec) -> LoadResult:
    """Runs the load in a process of its own and returns what it measured. CliError where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "memraft_server.cli.bench.load"],
        input=msgspec.json.encode(spec),
        capture_output=True,
        timeout=START_TIMEOUT_S + spec.warm_up_s + spec.rounds * spec.round_s,
        check=False,
    )
    if done.returncode != 0:
        end = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise CliError(f"the load generator for {spec.operation} failed: {' '.join(end)}")
    return msgspec.json.decode(done.stdout, type=LoadResult)


class _Round:
    """Counts what is done until it is over."""

    def __init__(self, seconds: float) -> None:
        self.began = time.perf_counter()
        self.ends = self.began + seconds
        self.durations_s: list[float] = []


async def _caller(call: Callable[[], Awaitable[object]], current: _Round) -> None:
    clock = time.perf_counter
    began = clock()
    while began < current.ends:
        await call()
        now = clock()
        current.durations_s.append(now - began)
        began = now


def _calls(spec: LoadSpec, memory: AsyncMemory) -> tuple[list[Callable[[], Awaitable[object]]], int]:
    """A call for each caller, and how many documents one call carries."""
    views = [memory.scoped(namespace) for namespace in spec.namespaces]
    calls = [
        _call(spec.operation, view, f"c{number}")
        for number, view in zip(range(spec.callers), itertools.cycle(views), strict=False)
    ]
    return calls, OPERATIONS_A_BATCH if spec.operation in ("batch", "put_many") else 1


def _call(operation: Operation, view: AsyncMemory, name: str) -> Callable[[], Awaitable[object]]:
    numbers = itertools.count()

    async def put() -> object:
        return await view.put(f"{name}/{next(numbers):09d}", VALUE)

    async def get() -> object:
        return await view.get(f"read/{next(numbers) % KEYS_TO_READ:09d}")

    async def batch() -> object:
        first = next(numbers) * OPERATIONS_A_BATCH
        async with view.batch() as together:
            for number in range(first, first + OPERATIONS_A_BATCH):
                together.put(f"{name}/{number:09d}", VALUE)
        return together

    async def put_many() -> object:
        first = next(numbers) * OPERATIONS_A_BATCH
        keys = range(first, first + OPERATIONS_A_BATCH)
        return await view.put_many({f"{name}/{number:09d}": VALUE for number in keys})

    return {"put": put, "get": get, "batch": batch, "put_many": put_many}[operation]


async def _play(calls: list[Callable[[], Awaitable[object]]], seconds: float) -> _Round:
    current = _Round(seconds)
    await asyncio.gather(*(_caller(call, current) for call in calls))
    return current


async def measure(spec: LoadSpec) -> LoadResult:
    """Connects, warms up, and measures round after round."""
    async with AsyncMemory(
        spec.endpoints, certs=spec.certs, namespace=spec.namespaces[0], timeout_s=30.0
    ) as memory:
        if spec.operation == "get":
            documents = {f"read/{number:09d}": VALUE for number in range(KEYS_TO_READ)}
            for namespace in spec.namespaces:
                await memory.scoped(namespace).put_many(documents)
        calls, documents_a_call = _calls(spec, memory)
        await _play(calls, spec.warm_up_s)
        rounds = [await _play(calls, spec.round_s) for _ in range(spec.rounds)]
    return LoadResult(
        documents_per_s=[
            len(each.durations_s) * documents_a_call / (each.ends - each.began) for each in rounds
        ],
        p50_us=[latencies(each.durations_s).p50_us for each in rounds],
        calls=latencies([duration for each in rounds for duration in each.durations_s]),
    )


def main() -> None:
    """Reads the spec, puts the load, prints the result."""
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=LoadSpec)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(measure(spec))))


if __name__ == "__main__":
    main()

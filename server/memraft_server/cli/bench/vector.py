"""`memraft bench vector`: the nearest ten of many clustered vectors, in process, against the exact answer."""

import argparse
import statistics
import time
from collections.abc import Iterator

import msgspec

from memraft import Memory
from memraft_server.cli.bench.clustered import Clustered, FloatArray, clustered, exact_neighbours, recall
from memraft_server.cli.bench.result import Figure, at_least, at_most, figure, render, report
from memraft_server.cli.ending import Ending
from memraft_server.cli.figures import latencies
from memraft_server.cli.output import Progress, print_json, progress

K = 10
DIMENSIONS = (256, 384)
"""Of the default embedder and of all-MiniLM-L6-v2."""
COLLECTION = "bench"
VECTORS_A_CALL = 1_000
SEED = 20_260_101

SETTLE_TIMEOUT_S = 300.0
SETTLE_INTERVAL_S = 0.1
SETTLE_QUERIES = 20
SETTLE_PATIENCE_S = 2.0
SETTLE_PATIENCE_S_PER_ROW = 4e-5
"""Searches must not have become faster for so long: what it takes, with room, to build an index."""


class Scale(msgspec.Struct, frozen=True):
    """How many vectors to search in, how many queries make a round, and how many rounds there are."""

    sizes: tuple[int, ...]
    queries: int
    rounds: int


FULL = Scale(sizes=(10_000, 100_000), queries=1_000, rounds=5)
QUICK = Scale(sizes=(1_000, 4_000), queries=50, rounds=1)

P50_TARGETS = {10_000: at_most(80)}
RECALL_TARGETS = {10_000: at_least(0.99), 100_000: at_least(0.95)}


def run(arguments: argparse.Namespace) -> int:
    """Measures everything and prints it. The exit status is 0 whether targets are reached or not."""
    scale = QUICK if arguments.quick else FULL
    with Ending(at_once=True), progress(quiet=arguments.json) as shown:
        figures = [
            each
            for size in scale.sizes
            for dimension in DIMENSIONS
            for each in _size(size, dimension, scale, shown)
        ]
    result = report("vector", arguments.quick, figures)
    if arguments.json:
        print_json(result)
    else:
        print(render(result))
    return 0


def _size(size: int, dimension: int, scale: Scale, shown: Progress) -> Iterator[Figure]:
    title = f"k-NN, k={K}, {size:,} vectors of {dimension}"
    shown.step(f"{title}: drawing them …")
    data = clustered(size, scale.queries, dimension, SEED)
    exact = exact_neighbours(data.vectors, data.queries, K)
    with Memory(agent="bench", namespace="acme/bench") as memory:
        began = time.perf_counter()
        _store(memory, data, shown, title)
        stored_s = time.perf_counter() - began
        shown.step(f"{title}: waiting for the index …")
        _settle(memory, data)
        settled_s = time.perf_counter() - began
        shown.step(f"{title}: searching …")
        rounds = [_search(memory, data.queries) for _ in range(scale.rounds + 1)][1:]
    timings = [latencies(durations) for durations, _ in rounds]
    shares = [recall(found, exact) for _, found in rounds]
    p99 = max(each.p99_us for each in timings)
    yield figure(
        f"{title}, p50", "us", [each.p50_us for each in timings], P50_TARGETS.get(size), {"p99": p99}
    )
    yield figure(f"{title}, recall", "share", shares, RECALL_TARGETS.get(size))
    yield figure(f"{title}, stored", "per_s", [size / stored_s], detail={"settled after": settled_s * 1e6})


def _store(memory: Memory, data: Clustered, shown: Progress, title: str) -> None:
    memory.create_collection(COLLECTION, data.vectors.shape[1], metric="cosine")
    for start in range(0, len(data.vectors), VECTORS_A_CALL):
        rows = data.vectors[start : start + VECTORS_A_CALL]
        memory.upsert_many(COLLECTION, [str(start + place) for place in range(len(rows))], rows)
        shown.update(f"{title}: stored {start + len(rows):,}")


class Settling:
    """Says when an index, built beside the calls, is in use: when searches have stopped getting faster.

    Args:
        rows: vectors in it.
    """

    def __init__(self, rows: int) -> None:
        self._patience_s = SETTLE_PATIENCE_S + SETTLE_PATIENCE_S_PER_ROW * rows
        self._best_s = float("inf")
        self._began = self._improved_at = time.monotonic()

    def is_over(self, durations_s: list[float]) -> bool:
        """Takes what some searches took; true once they are as fast as they become, or it took too long."""
        median_s, now = statistics.median(durations_s), time.monotonic()
        if median_s < 0.8 * self._best_s:
            self._best_s, self._improved_at = median_s, now
        return now - self._improved_at > self._patience_s or now - self._began > SETTLE_TIMEOUT_S


def _settle(memory: Memory, data: Clustered) -> None:
    settling = Settling(len(data.vectors))
    while not settling.is_over(_search(memory, data.queries[:SETTLE_QUERIES])[0]):
        time.sleep(SETTLE_INTERVAL_S)


def _search(memory: Memory, queries: FloatArray) -> tuple[list[float], list[list[int]]]:
    """Searches for every query once: durations in seconds, and the places found."""
    clock = time.perf_counter
    durations: list[float] = []
    found: list[list[int]] = []
    for query in queries:
        began = clock()
        matches = memory.search(COLLECTION, query, k=K)
        durations.append(clock() - began)
        found.append([int(match.id) for match in matches])
    return durations, found

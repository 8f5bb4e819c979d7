"""`memraft bench graph`: neighbours and the index of a graph in process."""

import argparse
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec

from memraft import Memory
from memraft_server.cli.bench.result import Figure, at_most, figure, render, report
from memraft_server.cli.ending import Ending
from memraft_server.cli.figures import latencies
from memraft_server.cli.output import Progress, print_json, progress

EDGES_A_NODE = 10
DOMAINS = 20
TYPES = 5
NODES_A_CALL = 1_000
"""With their edges just under what one call takes."""
SEED = 20_260_101


class Scale(msgspec.Struct, frozen=True):
    """How many nodes there are, how many calls make a round, and how many rounds there are."""

    nodes: int
    calls: int
    rounds: int


FULL = Scale(nodes=100_000, calls=20_000, rounds=5)
QUICK = Scale(nodes=2_000, calls=200, rounds=1)

NEIGHBOURS_TARGET_US = at_most(12)
INDEX_TARGET_US = at_most(50)


def run(arguments: argparse.Namespace) -> int:
    """Measures everything and prints it. The exit status is 0 whether targets are reached or not."""
    scale = QUICK if arguments.quick else FULL
    with Ending(at_once=True), progress(quiet=arguments.json) as shown:
        figures = [*_graph(scale, shown)]
    result = report("graph", arguments.quick, figures)
    if arguments.json:
        print_json(result)
    else:
        print(render(result))
    return 0


def _graph(scale: Scale, shown: Progress) -> Iterator[Figure]:
    numbers = random.Random(SEED)
    title = f"{scale.nodes:,} nodes, {EDGES_A_NODE} edges each"
    with Memory(agent="bench", namespace="acme/bench") as memory:
        stored_s = _store(memory, scale.nodes, numbers, shown, title)
        shown.step(f"{title}: asking …")
        past = memory.put("mark", 1).log_index

        def ids() -> list[str]:
            return [_id(numbers.randrange(scale.nodes)) for _ in range(scale.calls)]

        def rounds(call: Callable[[str], object]) -> list[float]:
            return [_p50_us(call, ids()) for _ in range(scale.rounds + 1)][1:]

        now = datetime.now(UTC)
        yield figure(f"neighbours, {title}, p50", "us", rounds(memory.neighbours), NEIGHBOURS_TARGET_US)
        valid = rounds(lambda id: memory.neighbours(id, valid_at=now))
        yield figure("neighbours that hold at a moment, p50", "us", valid)
        yield figure(
            "neighbours as of the past, p50", "us", rounds(lambda id: memory.neighbours(id, at=past))
        )
        began = time.perf_counter()
        memory.index()
        made_us = (time.perf_counter() - began) * 1e6
        index = rounds(lambda _: memory.index())
        yield figure("index from cache, p50", "us", index, INDEX_TARGET_US, {"made in": made_us})
        memory.put_edge(_id(0), "says", _id(1))
        began = time.perf_counter()
        memory.index()
        again_us = (time.perf_counter() - began) * 1e6
        yield figure("index after one edge changed", "us", [again_us])
        items = scale.nodes * (1 + EDGES_A_NODE)
        yield figure("nodes and edges stored", "per_s", [items / stored_s])


def _id(number: int) -> str:
    return f"node:{number:06d}"


def _store(memory: Memory, nodes: int, numbers: random.Random, shown: Progress, title: str) -> float:
    """Stores the nodes and then the edges; returns the seconds that the calls took."""
    taken_s = 0.0
    for start in range(0, nodes, NODES_A_CALL):
        fields = [
            {"id": _id(n), "type": f"type-{n % TYPES}", "domain": f"domain-{n % DOMAINS}"}
            for n in range(start, min(start + NODES_A_CALL, nodes))
        ]
        taken_s += _timed(lambda fields=fields: memory.put_graph(nodes=fields))  # type: ignore[misc]
    for start in range(0, nodes, NODES_A_CALL):
        edges = [
            (_id(n), f"edge-{each % TYPES}", _id(target))
            for n in range(start, min(start + NODES_A_CALL, nodes))
            for each, target in enumerate(numbers.sample(range(nodes), EDGES_A_NODE))
        ]
        taken_s += _timed(lambda edges=edges: memory.put_graph(edges=edges))  # type: ignore[misc]
        shown.update(f"{title}: stored {start:,}")
    return taken_s


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _p50_us(call: Callable[[str], object], ids: list[str]) -> float:
    durations = []
    for id in ids:
        began = time.perf_counter()
        call(id)
        durations.append(time.perf_counter() - began)
    return latencies(durations).p50_us

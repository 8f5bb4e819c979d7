"""`memraft bench stream`: events of 200 bytes, appended many or one at a time, read, verified, in process."""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import repeat

import msgspec

from memraft import Memory
from memraft._target import Durability
from memraft_server.cli.bench.result import Figure, Target, at_least, figure, render, report
from memraft_server.cli.ending import Ending
from memraft_server.cli.figures import latencies
from memraft_server.cli.output import Progress, print_json, progress

PAYLOAD = {"text": "x" * 189}
"""200 bytes as JSON."""
EVENTS_A_CALL = 5_000
INGEST_TARGET = at_least(469_000)
DURABILITIES: dict[Durability, Target | None] = {"relaxed": INGEST_TARGET, "commit": None}


class Scale(msgspec.Struct, frozen=True):
    """How many calls with many events, and how many with one, make a round, and how many rounds there are."""

    many: int
    one: int
    rounds: int


FULL = Scale(many=20, one=10_000, rounds=5)
QUICK = Scale(many=2, one=100, rounds=1)


def run(arguments: argparse.Namespace) -> int:
    """Measures everything and prints it. The exit status is 0 whether targets are reached or not."""
    scale = QUICK if arguments.quick else FULL
    with Ending(at_once=True), progress(quiet=arguments.json) as shown:
        figures = [*_streams(scale, shown)]
    result = report("stream", arguments.quick, figures)
    if arguments.json:
        print_json(result)
    else:
        print(render(result))
    return 0


def _streams(scale: Scale, shown: Progress) -> Iterator[Figure]:
    for durability, target in DURABILITIES.items():
        where = f"in a directory, {durability}"
        shown.step(f"events of 200 bytes, {where} …")
        with tempfile.TemporaryDirectory(prefix="memraft-bench-") as directory:
            with Memory(
                path=directory, durability=durability, agent="bench", namespace="acme/bench"
            ) as memory:
                yield _ingest(memory, scale, where, target)
    shown.step("events of 200 bytes, in memory …")
    with Memory(agent="bench", namespace="acme/bench") as memory:
        yield _ingest(memory, scale, "in memory", INGEST_TARGET)
        one = [_p50_us(lambda: memory.append("one", PAYLOAD), scale.one) for _ in range(scale.rounds)]
        yield figure("one event appended, in memory, p50", "us", one)
        shown.step("reading and verifying …")
        began = time.perf_counter()
        count = len(memory.events("many", limit=10_000))
        yield figure("events read, 10,000 a call", "per_s", [count / (time.perf_counter() - began)])
        began = time.perf_counter()
        count = memory.verify("many").count
        yield figure("events verified", "per_s", [count / (time.perf_counter() - began)])


def _ingest(memory: Memory, scale: Scale, where: str, target: Target | None) -> Figure:
    payloads = list(repeat(PAYLOAD, EVENTS_A_CALL))
    memory.append_many("warm", payloads)
    rates, cpu_us = [], []
    for _ in range(scale.rounds):
        began, cpu_began = time.perf_counter(), time.process_time()
        for _ in range(scale.many):
            memory.append_many("many", payloads)
        count = scale.many * EVENTS_A_CALL
        rates.append(count / (time.perf_counter() - began))
        cpu_us.append((time.process_time() - cpu_began) / count * 1e6)
    title = f"events ingested, {EVENTS_A_CALL:,} a call, {where}"
    return figure(title, "per_s", rates, target, {"CPU an event, at best": min(cpu_us)})


def _p50_us(call: Callable[[], object], calls: int) -> float:
    durations = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        durations.append(time.perf_counter() - began)
    return latencies(durations).p50_us

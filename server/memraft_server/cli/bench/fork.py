"""`memraft bench fork`: forks of small and of large namespaces, replays, the past on disk, in process."""

import argparse
import random
import time
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory

import msgspec

from memraft import Memory
from memraft_server.cli.bench.result import Figure, at_most, figure, render, report
from memraft_server.cli.ending import Ending
from memraft_server.cli.figures import latencies
from memraft_server.cli.output import Progress, print_json, progress

DOCUMENT = {"status": "open", "note": "x" * 60}
DOCUMENTS_A_CALL = 1_000


class Scale(msgspec.Struct, frozen=True):
    """How many documents there are, how many forks make a round, how many rounds there are, how many steps
    the run has that is replayed, and how many documents have a past on the disk, of ten versions each."""

    documents: tuple[int, ...]
    forks: int
    rounds: int
    steps: int
    past: int


FULL = Scale(documents=(1_000, 1_000_000), forks=200, rounds=5, steps=5_000, past=20_000)
QUICK = Scale(documents=(100, 2_000), forks=10, rounds=1, steps=50, past=100)

FORK_TARGET_US = at_most(1_000)
PAST_TARGET_US = at_most(100)
PAST_VERSIONS = 10


def run(arguments: argparse.Namespace) -> int:
    """Measures everything and prints it. The exit status is 0 whether targets are reached or not."""
    scale = QUICK if arguments.quick else FULL
    with Ending(at_once=True), progress(quiet=arguments.json) as shown:
        figures = [each for documents in scale.documents for each in _forks(documents, scale, shown)]
        figures += _replay(scale, shown)
        figures += _past(scale, shown)
    result = report("fork", arguments.quick, figures)
    if arguments.json:
        print_json(result)
    else:
        print(render(result))
    return 0


def _forks(documents: int, scale: Scale, shown: Progress) -> Iterator[Figure]:
    title = f"{documents:,} documents"
    with Memory(agent="bench", namespace="acme/bench") as memory:
        for start in range(0, documents, DOCUMENTS_A_CALL):
            numbers = range(start, min(start + DOCUMENTS_A_CALL, documents))
            memory.put_many({_key(number): DOCUMENT for number in numbers})
            shown.update(f"{title}: stored {start:,}")
        past = memory.put(_key(0), DOCUMENT).log_index
        shown.step(f"{title}: making forks …")

        forks: list[Memory] = []

        def drop() -> None:
            for fork in forks:
                memory.drop_fork(fork.namespace.rpartition("@")[2])
            forks.clear()

        def measured(name: str, call: Callable[[str], object], before: Callable[[], None]) -> Figure:
            medians, slowest_us = [], 0.0
            for _ in range(scale.rounds + 1):
                before()
                taken_us = _timed_us(call, scale.forks)
                medians.append(latencies([each * 1e-6 for each in taken_us]).p50_us)
                slowest_us = max(slowest_us, *taken_us)
            target = FORK_TARGET_US if before is drop else None
            return figure(name, "us", medians[1:], target, {"slowest": slowest_us})

        yield measured(f"fork of {title}, p50", lambda name: forks.append(memory.fork(name)), drop)
        yield measured(
            "fork as of the past, p50", lambda name: forks.append(memory.fork(name, at=past)), drop
        )
        fork = forks[-1]
        yield measured("get in the fork, p50", lambda _: fork.get(_key(1)), lambda: None)
        yield measured("put in the fork, p50", lambda name: fork.put(name, DOCUMENT), lambda: None)


def _replay(scale: Scale, shown: Progress) -> Iterator[Figure]:
    shown.step(f"replaying {scale.steps:,} steps …")
    with Memory(agent="bench", namespace="acme/bench") as memory:
        with memory.run("r1") as run:
            for number in range(scale.steps - 1):  # its end is one, too
                run.memory.put(_key(number % 100), DOCUMENT)
        taken_us = [
            each / scale.steps for each in _timed_us(lambda _: memory.replay("r1"), scale.rounds + 1)[1:]
        ]
        yield figure("replay of a run, a step", "us", taken_us)


def _past(scale: Scale, shown: Progress) -> Iterator[Figure]:
    shown.step(f"reading the past of {scale.past:,} documents from the disk …")
    with TemporaryDirectory(prefix="memraft-bench-") as directory:
        with Memory(path=f"{directory}/m", agent="bench", namespace="acme/bench") as memory:
            moments = []
            for _ in range(PAST_VERSIONS):
                for start in range(0, scale.past, DOCUMENTS_A_CALL):
                    numbers = range(start, min(start + DOCUMENTS_A_CALL, scale.past))
                    moment = memory.put_many({_key(number): DOCUMENT for number in numbers}).log_index
                moments.append(moment)
        with Memory(path=f"{directory}/m", agent="bench", namespace="acme/bench") as memory:
            draw = random.Random(1)

            def read(_: str) -> None:
                memory.get(_key(draw.randrange(scale.past)), at=draw.choice(moments[:-1]))

            medians = []
            for _ in range(scale.rounds + 1):
                taken_us = _timed_us(read, min(scale.past, 2_000))
                medians.append(latencies([each * 1e-6 for each in taken_us]).p50_us)
            yield figure("get as of a version on the disk, p50", "us", medians[1:], PAST_TARGET_US)


def _key(number: int) -> str:
    return f"order:{number:07d}"


def _timed_us(call: Callable[[str], object], count: int) -> list[float]:
    """Calls it that many times, with a name of its own each; returns the durations in microseconds."""
    taken_us = []
    for number in range(count):
        name = f"f{number}"
        began = time.perf_counter()
        call(name)
        taken_us.append((time.perf_counter() - began) * 1e6)
    return taken_us

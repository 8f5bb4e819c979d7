"""Runs of many seeds on all cores, and what is done about a run that fails: it is made shorter."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context

from tests.simulation.schedule import Fault, Schedule
from tests.simulation.world import World

NOISES = 4
"""With how many noises a shorter schedule is tried before it counts as harmless."""


@dataclass(frozen=True)
class Failure:
    """A run that broke a promise: what went wrong, at which tick of which round."""

    schedule: Schedule
    kind: str
    message: str
    round: int
    tick: float

    def __str__(self) -> str:
        return f"{self.kind} in round {self.round} at tick {self.tick:.1f}: {self.message}"


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    schedule: Schedule
    counts: Counter[str]
    failure: Failure | None


def run(schedule: Schedule) -> Outcome:
    """Runs a schedule. Whatever is raised, by a check or by the code that is tried, is a failure."""
    world = World(schedule)
    failure = None
    try:
        world.run()
    except Exception as error:
        failure = Failure(schedule, type(error).__name__, str(error), world.round, world.agenda.now)
    return Outcome(schedule, world.counts, failure)


def run_seed(seed: int) -> Outcome:
    """Runs what a seed stands for."""
    return run(Schedule.of(seed))


def run_seeds(seeds: Iterable[int], workers: int = 0) -> Iterator[Outcome]:
    """Runs seeds on all cores, and yields outcomes as they come; closing the iterator ends it."""
    workers = workers or len(os.sched_getaffinity(0))
    waiting = iter(seeds)
    running: set[Future[Outcome]] = set()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            while True:
                while len(running) < 2 * workers and (seed := next(waiting, None)) is not None:
                    running.add(pool.submit(run_seed, seed))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in running:
                future.cancel()


def hunt(
    first_seed: int, seconds: float, report: Callable[[str], None], workers: int = 0
) -> tuple[Counter[str], Failure | None]:
    """Runs seeds from `first_seed` on for so long, or until one fails; tells now and then how it goes."""
    start = told = time.monotonic()
    total: Counter[str] = Counter()
    for outcome in run_seeds(count(first_seed), workers):
        total += outcome.counts
        total["runs"] += 1
        now = time.monotonic()
        if outcome.failure is not None:
            return total, outcome.failure
        if now - told >= 5 or now - start >= seconds:
            told = now
            report(
                f"{now - start:6.0f} s  {total['runs']:6} runs  {total['committed']:9} entries committed  "
                f"{total['acknowledged']:9} writes acknowledged  {total['reads served']:9} reads  "
                f"{total['crashes'] + total['power failures']:7} crashes  {total['elections']:7} elections"
            )
        if now - start >= seconds:
            return total, None
    raise AssertionError("seeds never end")


# Making a failure shorter.


def shrink(failure: Failure, seconds: float, report: Callable[[str], None]) -> Failure:
    """Leaves out faults as long as the run still fails in the same way (Zeller's delta debugging).

    A run with fewer faults is another run, as everything after the first one left out moves. So each is tried
    with a few noises, and the one that fails is kept.
    """
    deadline = time.monotonic() + seconds
    best = failure
    best = _shorten(best)
    size = max(1, len(best.schedule.faults) // 2)
    while size and time.monotonic() < deadline:
        shorter = _drop_one_piece(best, size, deadline)
        if shorter is None:
            size //= 2
            continue
        best = _shorten(shorter)
        size = min(size, max(1, len(best.schedule.faults) // 2))
        report(f"  {len(best.schedule.faults)} faults are enough")
    return best


def _shorten(failure: Failure) -> Failure:
    """Without what comes after the failure, and without rounds in which nothing happens."""
    for shorter in (_until_failure, _without_rounds):
        failure = _fails(shorter(failure), failure) or failure
    return failure


def _until_failure(failure: Failure) -> Schedule:
    """Nothing that was to come later."""
    faults = tuple(fault for fault in failure.schedule.faults if fault.round <= failure.round)
    return failure.schedule.with_faults(faults, failure.schedule.noise)


def _without_rounds(failure: Failure) -> Schedule:
    """No rounds without a fault."""
    rounds = sorted({fault.round for fault in failure.schedule.faults})
    faults = tuple(
        Fault(rounds.index(fault.round), fault.tick, fault.number, fault.name)
        for fault in failure.schedule.faults
    )
    return failure.schedule.with_faults(faults, failure.schedule.noise)


def _drop_one_piece(failure: Failure, size: int, deadline: float) -> Failure | None:
    """The first way to leave out `size` faults in a row that fails still."""
    faults = failure.schedule.faults
    for start in range(0, len(faults), size):
        rest = faults[:start] + faults[start + size :]
        shorter = _fails(failure.schedule.with_faults(rest, failure.schedule.noise), failure)
        if shorter is not None:
            return shorter
        if time.monotonic() > deadline:
            return None
    return None


def _fails(schedule: Schedule, failure: Failure) -> Failure | None:
    """Whether a schedule fails as `failure` did, with one noise or another."""
    if schedule == failure.schedule:
        return None
    noise = schedule.noise
    for each in (noise, *(other for other in range(NOISES) if other != noise)):
        found = run(schedule.with_faults(schedule.faults, each)).failure
        if found is not None and _is_alike(found, failure):
            return found
    return None


def _is_alike(one: Failure, other: Failure) -> bool:
    """Whether two failures are of one kind: the same words, whatever the numbers in them."""

    def words(failure: Failure) -> list[str]:
        return [word for word in failure.message.split()[:12] if word.isalpha()][:5]

    return one.kind == other.kind and words(one) == words(other)

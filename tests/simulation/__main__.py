"""The simulator as a program: `make simulate`, and the replay of what it has found."""

from __future__ import annotations

import argparse
import json
import resource
import sys
from dataclasses import replace

from tests.simulation.campaign import Failure, hunt, run, run_seed, shrink
from tests.simulation.schedule import Schedule
from tests.simulation.world import World

MEMORY_BYTES_MAX = 3 << 30


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed, or the only one to replay")
    parser.add_argument("--seconds", type=float, default=0, help="run seeds for so long; 0: replay one")
    parser.add_argument("--seeds", type=int, default=0, help="run so many, one by one, up to a failure")
    parser.add_argument(
        "--shrink-seconds", type=float, default=120, help="look for a shorter schedule so long"
    )
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one a core")
    parser.add_argument("--noise", type=int, default=0, help="replay: which noise")
    parser.add_argument("--rounds", type=int, default=0, help="replay: how many rounds")
    parser.add_argument("--faults", help="replay: numbers of the faults to keep, N or N@ROUND")
    parser.add_argument("--trace", type=float, metavar="TICK", help="replay: tell what happens from then on")
    options = parser.parse_args()
    if options.seconds:
        return _hunt(options)
    if options.seeds:
        return _first_failure(options)
    return _replay(options)


def _hunt(options: argparse.Namespace) -> int:
    say(f"simulating for {options.seconds:.0f} s from seed {options.seed} on")
    total, failure = hunt(options.seed, options.seconds, say, options.workers)
    if failure is None:
        say(f"{total['runs']} runs, no violation:")
        for name, number in sorted(total.items()):
            say(f"    {number:12,} {name}")
        return 0
    _tell(failure, options.shrink_seconds)
    return 1


def _first_failure(options: argparse.Namespace) -> int:
    """Seeds in order, so that how many it takes is always the same; the last line is for programs. Memory is
    bounded, as a bug may make messages or entries without end: that, too, is a failure."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    for number in range(options.seeds):
        failure = run_seed(options.seed + number).failure
        if failure is not None:
            say(json.dumps({"seeds": number + 1, "seed": options.seed + number, "failure": str(failure)}))
            return 1
    say(json.dumps({"seeds": options.seeds, "seed": None, "failure": None}))
    return 0


def _tell(failure: Failure, shrink_seconds: float) -> None:
    say(f"SEED {failure.schedule.seed} FAILS: {failure}")
    if shrink_seconds:
        say("looking for a shorter schedule")
        failure = shrink(failure, shrink_seconds, say)
        say(f"it fails like this, too: {failure}")
        say(str(failure.schedule))


def _replay(options: argparse.Namespace) -> int:
    schedule = Schedule.of(options.seed)
    if options.faults is not None:
        rounds = {}
        for word in filter(None, options.faults.split(",")):
            number, _, its_round = word.partition("@")
            rounds[int(number)] = its_round
        kept = [
            replace(fault, round=int(rounds[fault.number] or fault.round))
            for fault in schedule.faults
            if fault.number in rounds
        ]
        schedule = schedule.with_faults(tuple(kept), options.noise)
    schedule = replace(schedule, noise=options.noise, rounds=options.rounds or schedule.rounds)
    if options.trace is not None:
        return _trace(schedule, options.trace)
    outcome = run(schedule)
    say(f"seed {options.seed}: {outcome.failure or 'no violation'}")
    if outcome.failure is not None:
        _tell(outcome.failure, 0 if options.faults is not None else options.shrink_seconds)
    return 1 if outcome.failure is not None else 0


def _trace(schedule: Schedule, tick: float) -> int:
    world = World(schedule, lambda line: say(line) if world.agenda.now >= tick else None)
    world.run()
    say("no violation")
    return 0


if __name__ == "__main__":
    sys.exit(main())

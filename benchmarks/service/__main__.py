"""`make bench`: this service, Redis and etcd under the same loads on this machine, and one report of it.

Writes report.md, report.json, plots/*.svg and profiles/*.svg to benchmarks/, with --quick to build/bench/::

    python -m benchmarks.service [--rounds 5] [--seconds 0.5] [--engine lean] [--only put get-64] [--quick]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from memraft_server.cli.serve import BLAS_THREADS

os.environ.setdefault(BLAS_THREADS, "1")  # as a node has it, and before numpy is loaded

from benchmarks.service import embedded, limits, lines, plots, products, report
from benchmarks.service.driver import Found, Options, Stage, say
from benchmarks.service.profiling import Profiles
from benchmarks.service.targets import goals
from memraft_server.cli.bench.result import Report
from memraft_server.cli.ending import Ending, Interrupted
from memraft_server.cli.figures import machine

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT_SECONDS = 0.3
PROFILE_SECONDS = 4.0
QUICK_PROFILE_SECONDS = 1.0


def _options() -> tuple[Options, Path]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, help="of each line, interleaved (5; quick: 1)")
    parser.add_argument(
        "--seconds", type=float, help="of a round that a target is about; others less (0.5; quick: 0.1)"
    )
    parser.add_argument("--records", type=int, help="of YCSB (10,000; quick: 1,000)")
    parser.add_argument("--vectors", type=int, help="to search in (10,000; quick: 1,000)")
    parser.add_argument(
        "--shards", type=int, default=1, help="of Memraft; the namespace is in one of them (1)"
    )
    parser.add_argument("--engine", choices=products.ENGINES, help="what serves and carries Memraft's calls")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME",
        help="what begins so: put get put-64 put_batch get_batch ingest ycsb-a … vector limits embedded-kv …",
    )  # fmt: skip
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one short round, not warmed up, and less of YCSB: shows that it works",
    )
    parser.add_argument("--out", type=Path, help="a directory for the report")
    given = parser.parse_args()
    quick = given.quick
    options = Options(
        rounds=given.rounds or (1 if quick else 5),
        seconds=given.seconds or (0.1 if quick else 0.5),
        records=given.records or (1_000 if quick else 10_000),
        vectors=given.vectors or (1_000 if quick else 10_000),
        shards=given.shards,
        engine=given.engine or "",
        quick=quick,
        only=tuple(given.only),
    )
    return options, given.out or ROOT / ("build/bench" if quick else "benchmarks")


def _stage(options: Options, found: Found, systems: tuple[str, ...], shown: Profiles) -> None:
    groups = [each for each in lines.groups_of(systems) if options.wants(each.name)]
    if groups:
        with Stage(options, found, systems) as stage:
            stage.fill()
            stage.measure(groups)
            shown.of_lines(stage, goals(found.outcomes, {}, options.engine))


def _vector_stage(options: Options, found: Found, shown: Profiles) -> None:
    groups = [each for each in lines.vector_groups() if options.wants(each.name)]
    if groups:
        with Stage(options, found, ("memraft", "index", "hnswlib")) as stage:
            stage.load_vectors()
            stage.measure(groups)
            shown.of_lines(stage, goals(found.outcomes, {}, options.engine))


def _limits(options: Options) -> dict[str, list[float]]:
    if not options.wants("limits"):
        return {}
    say("limits of this machine …")
    with tempfile.TemporaryDirectory(prefix="memraft-bench-") as directory:
        return limits.measure(options.rounds, min(LIMIT_SECONDS, options.seconds), Path(directory))


def _embedded(options: Options) -> dict[str, Report | str]:
    found: dict[str, Report | str] = {}
    for name in embedded.COMMANDS:
        if options.wants(f"embedded-{name}"):
            say(f"memraft bench {name} …")
            found[name] = embedded.measure(name, options.quick)
    return found


def measure(options: Options, shown: Profiles) -> report.Result:
    """Measures all that is asked for, and has what missed its goal profiled."""
    found = Found()
    least = _limits(options)
    for systems in (lines.ONE_NODE, lines.THREE_NODES):
        _stage(options, found, systems, shown)
    _vector_stage(options, found, shown)
    inside = _embedded(options)
    shown.of_commands(goals({}, inside, options.engine))
    return report.Result(
        made_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        machine=machine(),
        options=options,
        versions=found.versions,
        goals=goals(found.outcomes, inside, options.engine),
        limits=least,
        groups=report.group_results(found),
        memory=found.memory,
        recall=found.recall,
        absent=found.absent,
        embedded=inside,
    )


def main() -> None:
    """Measures and writes the report."""
    options, out = _options()
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    shown = Profiles(out, QUICK_PROFILE_SECONDS if options.quick else PROFILE_SECONDS)
    try:
        with Ending(at_once=True):
            result = measure(options, shown)
    except Interrupted as interrupted:
        say(interrupted)
        raise SystemExit(interrupted.exit_status) from None
    drawn = plots.draw(result, out)
    (out / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    (out / "report.md").write_text(report.render(result, drawn, shown.drawn), encoding="utf-8")
    say(f"{out / 'report.md'}, after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

"""`make bench-scale`: how throughput, CPU, memory and start-up grow; some seven minutes.

Writes scale.md, scale.json, model.md and scale-*.svg to benchmarks/scale/results, and the model into
docs/scaling.md; with --quick to build/bench-scale/, and no page. A load any of whose calls failed has no
figure. Where something has none, or an axis could not be measured, it ends with status 1 and leaves the page
as it is::

    python -m benchmarks.scale [--engine lean] [--only shards nodes value records] [--quick]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from memraft_server.cli.serve import BLAS_THREADS

os.environ.setdefault(BLAS_THREADS, "1")  # as a node has it, and before numpy is loaded

from benchmarks.scale import model, plots, report
from benchmarks.scale.measure import Run, consensus_idle, places_of
from benchmarks.scale.points import NODES, RECORDS, SHARDS, VALUE_BYTES
from benchmarks.scale.results import Options, Result, curves, lacking
from benchmarks.scale.slopes import judged
from benchmarks.service.driver import say
from benchmarks.service.products import ENGINES, Unavailable
from memraft_server.cli.ending import Ending, Interrupted
from memraft_server.cli.errors import CliError
from memraft_server.cli.figures import machine

ROOT = Path(__file__).resolve().parent.parent.parent
AXES = ("shards", "nodes", "value", "records")


def _options() -> tuple[Options, Path, Path | None]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--visits", type=int, help="of each cluster, each started anew (3; quick: 1)")
    parser.add_argument("--rounds", type=int, help="of each load in a visit (2; quick: 1)")
    parser.add_argument("--seconds", type=float, help="of a round (0.5; quick: 0.2)")
    parser.add_argument("--engine", choices=ENGINES, help="what serves and carries calls")
    parser.add_argument("--only", nargs="+", default=[], choices=AXES, help="axes")
    parser.add_argument(
        "--quick", action="store_true", help="short axes, one short round: shows that it works"
    )
    parser.add_argument("--out", type=Path, help="a directory for the results")
    given = parser.parse_args()
    quick = given.quick
    options = Options(
        visits=given.visits or (1 if quick else 3),
        rounds=given.rounds or (1 if quick else 2),
        seconds=given.seconds or (0.2 if quick else 0.5),
        idle_s=0.5 if quick else 2.0,
        engine=given.engine or "",
        quick=quick,
        only=tuple(given.only),
        shards_most=2 if quick else SHARDS[-1],
        nodes_most=3 if quick else NODES[-1],
        value_bytes_most=10_000 if quick else VALUE_BYTES[-1],
        records_most=10_000 if quick else RECORDS[-1],
    )
    kept = ROOT / ("build/bench-scale" if quick else "benchmarks/scale/results")
    page = None if quick or given.only or given.out else ROOT / "docs/scaling.md"
    return options, given.out or kept, page


def measure(options: Options, keep: Callable[[Result], None]) -> Result:
    """Measures the axes that are asked for; one that cannot be is left out, and said so.

    keep: called with all that was found so far, after each axis.
    """
    run, axes, alone = Run(options), places_of(options), {}
    for name, places in axes.items():
        play = {"value": run.values, "records": run.records}.get(name, run.clusters)
        try:
            play(places)
        except (Unavailable, CliError, OSError) as error:
            say(f"  without {name}: {error}")
            run.absent[name] = str(error)
        if name == "shards":
            alone = _consensus(run)
        keep(_result(run, alone))
    return _result(run, alone)


def _consensus(run: Run) -> dict[int, float]:
    say("the consensus alone, at rest …")
    options = run.options
    try:
        return {shards: consensus_idle(shards, options.idle_s) for shards in (1, options.shards_most)}
    except (subprocess.SubprocessError, OSError) as error:
        run.absent["the consensus alone"] = str(error)
        return {}


def _result(run: Run, alone: dict[int, float]) -> Result:
    return Result(
        made_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        machine=machine(),
        version=run.version,
        options=run.options,
        measured=run.measured,
        idle=run.idle,
        sizes=run.sizes,
        consensus_idle=alone,
        absent=run.absent,
    )


def main() -> None:
    """Measures, judges, and writes the results."""
    options, out, page = _options()
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)

    def keep(found: Result) -> None:
        (out / "scale.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")

    try:
        with Ending(at_once=True):
            result = measure(options, keep)
    except Interrupted as interrupted:
        say(interrupted)
        raise SystemExit(interrupted.exit_status) from None
    verdicts = judged(curves(result))
    text = report.render(result, verdicts, plots.draw(result, out))
    (out / "scale.md").write_text(text, encoding="utf-8")
    print("\n".join(report.verdict_lines(verdicts)))
    failures = lacking(result)
    _write_model(result, out, None if failures else page)
    say(f"{out / 'scale.md'}, after {time.monotonic() - began:.0f} s")
    for each in failures:
        say(f"no figure: {each}")
    if failures:
        raise SystemExit(1)


def _write_model(result: Result, out: Path, page: Path | None) -> None:
    constants = model.fit(result)
    if isinstance(constants, str):
        say(f"no model: {constants}")
        return
    (out / "model.md").write_text(model.render(constants), encoding="utf-8")
    if page is not None:
        model.write_page(page, result, constants)


if __name__ == "__main__":
    main()

"""`make campaign`: runs faults against clusters of real processes under load, and prints what became of every
acknowledged write.

    python -m tests.acceptance.campaign [--faults a,b] [--rounds N] [--nodes 3,5] [--seed S] [--list]

Exit status 0: nothing acknowledged was lost or doubled, every history was linearizable, every cluster
recovered in time. 1: a violation. 2: a wrong argument, or no run was possible.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.acceptance.campaign.sandbox import SandboxError, run_inside, why_not

EXIT_GOOD, EXIT_VIOLATED, EXIT_USAGE = 0, 1, 2


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="campaign", description=__doc__, allow_abbrev=False)
    parser.add_argument("--faults", default="", metavar="A,B", help="by name; left out: all")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="how often each (1)")
    parser.add_argument(
        "--nodes",
        default="",
        metavar="3,5",
        help="numbers of nodes; left out: the first that the fault names",
    )
    parser.add_argument("--clients", type=int, default=6, metavar="N", help="clients that write (6)")
    parser.add_argument("--shards", type=int, default=2, metavar="N", help="shards (2)")
    parser.add_argument("--pace-ms", type=float, default=10.0, metavar="MS", help="pause between calls (10)")
    parser.add_argument("--seed", type=int, default=None, help="of the first round; left out: from the clock")
    parser.add_argument(
        "--json", default="build/campaign/report.json", metavar="FILE", help="where the report goes"
    )
    parser.add_argument("--list", action="store_true", help="print the faults and what they need, and end")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Makes the sandbox, and a directory that goes with it."""
    options = parse(arguments)
    if reason := why_not():
        print(f"campaign: SKIPPED, all of it: {reason}", file=sys.stderr)
        return EXIT_USAGE
    with tempfile.TemporaryDirectory(prefix="memraft-campaign-", ignore_cleanup_errors=True) as directory:
        try:
            return run_inside(lambda: _inside(options, Path(directory)))
        except SandboxError as error:
            print(f"campaign: SKIPPED, all of it: {error}", file=sys.stderr)
            return EXIT_USAGE


def _inside(options: argparse.Namespace, directory: Path) -> int:
    # Imported here, because gRPC starts threads, which do not survive the fork that made the sandbox.
    from tests.acceptance.campaign.catalogue import FAULTS

    wanted = options.faults.split(",") if options.faults else list(FAULTS)
    if unknown := [name for name in wanted if name not in FAULTS]:
        print(f"campaign: no fault {', '.join(unknown)}; there are {', '.join(FAULTS)}", file=sys.stderr)
        return EXIT_USAGE
    reasons = {name: next(filter(None, (need() for need in FAULTS[name].needs)), "") for name in wanted}
    if options.list:
        for name in wanted:
            sizes = "/".join(map(str, FAULTS[name].sizes))
            print(
                f"{name:<20} {sizes:<4} {FAULTS[name].about}",
                f"[SKIPPED: {reasons[name]}]" if reasons[name] else "",
            )
        return EXIT_GOOD
    return _campaign(options, directory, {name: FAULTS[name] for name in wanted}, reasons)


def _campaign(
    options: argparse.Namespace, directory: Path, faults: dict[str, Any], reasons: dict[str, str]
) -> int:
    from tests.acceptance.campaign import report, run

    settings = run.Options(options.shards, options.clients, options.pace_ms / 1_000)
    seed = random.SystemRandom().randrange(1 << 20) if options.seed is None else options.seed
    asked = [int(each) for each in options.nodes.split(",") if each]
    results: list[run.Result] = []
    began = time.monotonic()
    for round_number in range(options.rounds):
        for name, fault in faults.items():
            if reasons[name]:
                continue
            for nodes in [each for each in fault.sizes if each in asked] if asked else fault.sizes[:1]:
                where = directory / f"{name}-{nodes}-{round_number}"
                where.mkdir()
                label = (
                    f"[{time.monotonic() - began:4.0f} s] {name}, {nodes} nodes, seed {seed + round_number}"
                )
                result = run.perform(fault, nodes, seed + round_number, where, settings, _Shown(label))
                results.append(result)
                shutil.rmtree(where, ignore_errors=True)
                print(f"{label}: {_line(result)}", flush=True)
    skipped = {name: reason for name, reason in reasons.items() if reason}
    report.write_json(Path(options.json), results, skipped, vars(options) | {"seed": seed})
    print(f"\n{report.render(results, skipped, faults)}\n\nreport: {options.json}", flush=True)
    return EXIT_VIOLATED if any(result.violations for result in results) else EXIT_GOOD


def _line(result: object) -> str:
    from tests.acceptance.campaign.run import Result

    assert isinstance(result, Result)
    tally = result.tally
    notes = f" ({'; '.join(result.notes)})" if result.notes else ""
    return (
        f"{'VIOLATED: ' + result.violations[0][:300] if result.violations else 'ok'}; "
        f"{tally.acknowledged} acknowledged, "
        f"{tally.failed} failed, {tally.unknown} unknown, gap {result.gap_s:.1f} s, "
        f"recovered in {result.recovery_s:.1f} s, took {result.took_s:.0f} s{notes}"
    )


class _Shown:
    """Says on a terminal what a run is doing; elsewhere nothing."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __call__(self, phase: str) -> None:
        if sys.stdout.isatty():
            print(f"\r\033[K{self._label}: {phase} …", end="", flush=True)
            if phase == "checking":
                print("\r\033[K", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

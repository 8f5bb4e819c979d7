"""Plants each bug of tests/mutants in a copy of the tree, and shows that the simulation finds it.

A mutant is a patch whose first line says what it breaks. The copy is a temporary directory; the simulator,
and nothing else of the tests, runs seed after seed in it until one fails. A mutant that survives all of them
is either no bug or a hole in the simulation: the command fails, as it does when a patch no longer applies.

    scripts/mutants.py                     all of them
    scripts/mutants.py vote-twice ...      these
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "tests" / "mutants"
SOURCES = ("client", "cluster", "proto", "server")
COPIED = (*SOURCES, "tests/simulation", "tests/linearizability", "tests/properties")
TEXT_CHARACTERS_MAX = 100


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant; `seeds` is how many it took, 0 where it was not found."""

    name: str
    breaks: str
    seeds: int
    text: str
    seconds: float

    @property
    def is_found(self) -> bool:
        return self.seeds > 0


def plant(patch: Path, copy: Path) -> None:
    """Makes `copy` a tree with the bug in it. Raises CalledProcessError where the patch does not apply."""
    for folder in COPIED:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    # No repository around the copy, if there is one, is the one to patch.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent)}
    command = ["git", "apply", "--whitespace=nowarn", str(patch)]
    subprocess.run(command, cwd=copy, env=environment, check=True, capture_output=True)


def judge(patch: Path, seeds: int, seconds: float) -> Verdict:
    """Lets the simulator look for the bug of `patch` in at most so many seeds, one process, one core."""
    breaks = patch.read_text(encoding="utf-8").partition("\n")[0]
    start = time.monotonic()

    def verdict(found: int, text: str) -> Verdict:
        return Verdict(patch.stem, breaks, found, text, time.monotonic() - start)

    with tempfile.TemporaryDirectory(prefix="memraft-mutant-") as name:
        copy = Path(name)
        try:
            plant(patch, copy)
        except subprocess.CalledProcessError as error:
            return verdict(0, "the patch does not apply: " + error.stderr.decode().splitlines()[0])
        path = [copy, *(copy / folder for folder in SOURCES)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
        command = [sys.executable, "-m", "tests.simulation", "--seeds", str(seeds)]
        try:
            done = subprocess.run(
                command, cwd=copy, env=environment, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return verdict(0, f"no verdict within {seconds:.0f} s")
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return verdict(
            0, "the simulator did not run: " + " ".join(done.stderr.split())[-TEXT_CHARACTERS_MAX:]
        )
    if found["failure"] is None:
        return verdict(0, f"SURVIVED {found['seeds']} seeds")
    return verdict(found["seeds"], " ".join(found["failure"].split())[:TEXT_CHARACTERS_MAX])


def chosen(names: Sequence[str]) -> list[Path]:
    """The patches of these names, or all."""
    patches = sorted(MUTANTS.glob("*.patch"))
    unknown = set(names) - {patch.stem for patch in patches}
    if unknown:
        raise SystemExit(f"no such mutant: {', '.join(sorted(unknown))}")
    return [patch for patch in patches if not names or patch.stem in names]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="mutants to try; none: all")
    parser.add_argument("--seeds", type=int, default=400, help="how many seeds one may take")
    parser.add_argument("--seconds", type=float, default=900, help="how long one may take")
    parser.add_argument("--workers", type=int, default=0, help="how many at a time; 0: one a core")
    options = parser.parse_args()
    patches = chosen(options.names)
    width = max(len(patch.stem) for patch in patches)
    print(f"{'mutant':{width}}  {'seeds':>5}  {'s':>5}  violation", flush=True)
    lost = []
    with ThreadPoolExecutor(options.workers or len(os.sched_getaffinity(0))) as pool:
        for verdict in pool.map(lambda patch: judge(patch, options.seeds, options.seconds), patches):
            seeds = str(verdict.seeds) if verdict.is_found else "-"
            print(f"{verdict.name:{width}}  {seeds:>5}  {verdict.seconds:5.0f}  {verdict.text}", flush=True)
            if not verdict.is_found:
                lost.append(verdict)
    for verdict in lost:
        print(f"NOT FOUND: {verdict.name}: {verdict.breaks}")
    print(f"{len(patches) - len(lost)} of {len(patches)} mutants found")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

"""Checks files with histories and prints a verdict for each::

    python -m tests.linearizability FILE... [--model cells|streams|transactions]

A file is JSON lines as `save` writes them, a log of Jepsen's etcd test (``.log``), or a zip of these; a
``verdicts.json`` in the zip says what is expected. Ends with 1 where a history is not ok, or, with expected
verdicts, where one differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.linearizability import Operation, Verdict, check_cells, load
from tests.linearizability.jepsen import parse
from tests.linearizability.streams import check_streams
from tests.linearizability.transactions import check_transactions

MODELS: dict[str, Callable[[list[Operation]], Verdict]] = {
    "cells": check_cells,
    "streams": check_streams,
    "transactions": check_transactions,
}


def read_files(path: Path) -> Iterator[tuple[str, list[Operation], bool | None]]:
    """(name, history, expected verdict) of each history in a file."""
    if path.suffix == ".zip":
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
            names = sorted(name for name in archive.namelist() if name.endswith((".log", ".jsonl")))
            verdicts = Path(folder, "verdicts.json")
            expected = json.loads(verdicts.read_text(encoding="utf-8")) if verdicts.exists() else {}
            for name in names:
                for _, history, _ in read_files(Path(folder, name)):
                    yield name, history, expected.get(name)
    elif path.suffix == ".log":
        yield path.name, parse(path.read_text(encoding="utf-8").splitlines()), None
    else:
        yield path.name, load(path), None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.linearizability", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--model", choices=sorted(MODELS), default="cells")
    parser.add_argument("--quiet", action="store_true", help="no explanations")
    args = parser.parse_args()
    words = {True: "ok", False: "not ok", None: "undecided"}
    total = differ = bad = 0
    began = time.perf_counter()
    print(f"{'history':30} {'operations':>10} {'verdict':>10} {'expected':>10} {'ms':>8}")
    for path in args.files:
        for name, history, expected in read_files(path):
            started = time.perf_counter()
            verdict = MODELS[args.model](history)
            took_ms = (time.perf_counter() - started) * 1000
            total += 1
            bad += not verdict.ok
            differ += expected is not None and expected != verdict.ok
            wanted = "" if expected is None else words[expected]
            print(f"{name:30} {len(history):10} {words[verdict.ok]:>10} {wanted:>10} {took_ms:8.1f}")
            if not verdict.ok and expected is None and not args.quiet:
                print(*verdict.problems, sep="\n")
            bad -= not verdict.ok and expected is not None
    took = time.perf_counter() - began
    print(f"{total} histories in {took:.2f} s; {differ} differ from the verdict expected; {bad} not ok")
    return 1 if differ or bad else 0


if __name__ == "__main__":
    sys.exit(main())

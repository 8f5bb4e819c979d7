"""Figures of the memory in process: what `memraft bench` measures, each command in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import msgspec

from memraft_server.cli.bench.result import Report

COMMANDS: dict[str, tuple[str, ...]] = {
    "kv": ("kv", "--embedded"),
    "stream": ("stream",),
    "vector": ("vector",),
    "recall": ("recall",),
    "graph": ("graph",),
    "fork": ("fork",),
}
TIMEOUT_S = 900.0


def measure(name: str, quick: bool) -> Report | str:
    """Runs one of COMMANDS; its report, or why there is none."""
    options: Sequence[str] = ["--quick"] if quick else []
    command = [sys.executable, "-m", "memraft_server.cli", "bench", *COMMANDS[name], "--json", *options]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"not done after {TIMEOUT_S:.0f} s"
    if done.returncode:
        end = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return f"exit status {done.returncode}: {' '.join(end)}"
    return msgspec.json.decode(done.stdout, type=Report)

"""Flame graphs of the processes behind a figure that missed its goal, recorded by py-spy."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.flames import STARTS, flame_graph
from benchmarks.service.embedded import COMMANDS, TIMEOUT_S
from benchmarks.service.lines import NAMES, Line, callers_text
from benchmarks.service.products import Unavailable

SAMPLES_A_SECOND = 250
LEAST_PERCENT = 0.5
END_TIMEOUT_S = 30.0
"""What py-spy may take longer than it was to record."""
DIRECTORY = "profiles"
BENCH_STARTS = {"stream": "_ingest (memraft_server/cli/bench/stream.py"}
"""The function of a command of `memraft bench` whose work is drawn."""

Raw = dict[str, str]
"""What py-spy wrote, by process."""
Drawn = list[tuple[str, str]]
"""Processes and the paths of their graphs."""
Profiled = Drawn | str
"""What was drawn, or why nothing was."""


def _recorder() -> list[str]:
    path = shutil.which("py-spy", path=sysconfig.get_path("scripts")) or shutil.which("py-spy")
    if path is None:
        raise Unavailable("py-spy is not installed")
    return [path, "record", "--nonblocking", "--rate", str(SAMPLES_A_SECOND), "--format", "raw"]


@contextmanager
def recording(pids: Mapping[str, int], seconds: float) -> Iterator[Raw]:
    """Records processes, by name, while the block runs; what was recorded is there after it.

    Raises:
        Unavailable: py-spy is not there, or may not look at a process.
    """
    found: Raw = {}
    recorder = _recorder()
    with tempfile.TemporaryDirectory(prefix="memraft-bench-") as directory:
        outputs = {name: Path(directory) / f"{number}.txt" for number, name in enumerate(pids)}
        spies = {
            name: subprocess.Popen(
                [
                    *recorder,
                    "--duration",
                    f"{seconds:.0f}",
                    "--output",
                    str(outputs[name]),
                    "--pid",
                    str(pid),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for name, pid in pids.items()
        }
        try:
            yield found
            for name, spy in spies.items():
                found[name] = _ended(spy, outputs[name], seconds)
        finally:
            for spy in spies.values():
                spy.kill()
                spy.communicate()


def _ended(spy: subprocess.Popen[bytes], output: Path, seconds: float) -> str:
    try:
        _, errors = spy.communicate(timeout=seconds + END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise Unavailable("py-spy did not end") from None
    return _written(spy.returncode, errors, output)


def _written(status: int, errors: bytes, output: Path) -> str:
    if status or not output.exists():
        words = " ".join(errors.decode(errors="replace").split())[:200]
        raise Unavailable(f"py-spy ended with {status}: {words}")
    return output.read_text(encoding="utf-8")


def of_command(name: str) -> Raw:
    """Records a command of `memraft bench`, in a process of its own. Raises Unavailable."""
    with tempfile.TemporaryDirectory(prefix="memraft-bench-") as directory:
        output = Path(directory) / "raw.txt"
        bench = [sys.executable, "-m", "memraft_server.cli", "bench", *COMMANDS[name], "--json"]
        command = [*_recorder(), "--output", str(output), "--", *bench]
        try:
            done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"not done after {TIMEOUT_S:.0f} s") from None
        raw = _written(done.returncode, done.stderr, output)
    start = BENCH_STARTS[name]
    return {f"memraft bench {name}": "\n".join(each for each in raw.splitlines() if start in each)}


def draw(title: str, stem: str, raw: Raw, out: Path) -> Drawn:
    """Writes a graph for each process, and returns the processes and the graphs' paths within `out`.

    Args:
        title: of all graphs.
        stem: of the files' names.
        raw: what was recorded.
        out: the report's directory.
    """
    drawn: Drawn = []
    (out / DIRECTORY).mkdir(parents=True, exist_ok=True)
    for process, text in raw.items():
        path = f"{DIRECTORY}/{stem}-{process.replace(' ', '-')}.svg"
        starts = (*STARTS, *BENCH_STARTS.values())
        graph = flame_graph(text, f"{title}, {process}", LEAST_PERCENT, starts)
        (out / path).write_text(graph, encoding="utf-8")
        drawn.append((process, path))
    return drawn


def line_title(line: Line) -> str:
    """A line, in words."""
    level = f" ({line.level})" if line.level else ""
    return f"{NAMES[line.system]}: {line.work}{level}, {callers_text(line.callers)}"


def line_stem(line: Line) -> str:
    """What its files' names begin with."""
    parts = (line.system, line.work, str(line.callers), line.level)
    return "-".join(each.replace(" ", "-") for each in parts if each)

"""Commands that are interrupted: what they leave behind, nothing, and what they say, one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "memraft_server.cli"]
PATIENCE_S = 60.0


def start(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """Starts a command whose temporary files go into `directory`."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(directory)},
    )


def eventually(check: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < deadline, f"not in {PATIENCE_S} s: {what}"
        time.sleep(0.01)


def processes_of(directory: Path) -> list[str]:
    """The command lines of all processes that name the directory: those of its nodes."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue  # it has ended meanwhile
        if str(directory) in line:
            found.append(line)
    return found


def logs(directory: Path) -> list[Path]:
    return list(directory.glob("*/cluster/nodes/*/node.log"))


SIGNALS = {
    "SIGTERM": (signal.SIGTERM,),
    "SIGINT": (signal.SIGINT,),
    "SIGINT three times": (signal.SIGINT,) * 3,
    "SIGTERM, then SIGINT": (signal.SIGTERM, signal.SIGINT),
}


@pytest.mark.parametrize("numbers", SIGNALS.values(), ids=SIGNALS.keys())
@pytest.mark.parametrize("when", ["nodes start", "agents work"])
def test_a_demo_that_is_ended_leaves_nothing(
    tmp_path: Path, when: str, numbers: tuple[signal.Signals, ...]
) -> None:
    demo = start(tmp_path, "demo")
    try:
        if when == "nodes start":
            eventually(lambda: len(logs(tmp_path)) == 3, "three nodes are started")
        else:
            assert demo.stdout is not None
            assert "3 nodes" in demo.stdout.readline()
        for number in numbers:
            demo.send_signal(number)
            time.sleep(0.1)  # as a person presses it: what follows meets the stop under way
        _, complaints = demo.communicate(timeout=PATIENCE_S)
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 128 + numbers[0]
    said = "interrupted" if numbers[0] is signal.SIGINT else "ended by SIGTERM"
    assert complaints == f"memraft: {said}\n"
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_is_stopped_in_order_however_often_it_is_told(tmp_path: Path) -> None:
    up = start(tmp_path, "up", "--dir", str(tmp_path / "cluster"), "--nodes", "2")
    try:
        assert up.stdout is not None
        assert "2 nodes are ready" in up.stdout.readline()
        for _ in range(4):
            up.send_signal(signal.SIGINT)
            time.sleep(0.05)
        said, complaints = up.communicate(timeout=PATIENCE_S)
    finally:
        up.kill()
        up.wait()
    assert (up.returncode, complaints) == (0, "")
    assert "stopped; the same command resumes this cluster" in said
    assert processes_of(tmp_path) == []
    for name in ("n1", "n2"):
        log = (tmp_path / "cluster" / "nodes" / name / "node.log").read_text()
        assert log.splitlines()[-1].count('"event":"stopped"') == 1, "it was not killed"


SLOW_IMPORT = """
import os, signal, sys, threading
from memraft_server.cli import program

class Slow:  # stands for an import that takes long: Ctrl-C comes in the middle of it
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Slow())
sys.argv = ["memraft", "kv", "get", "k", "--path", ".", "--namespace", "a/b"]
sys.exit(program())
"""


@pytest.mark.parametrize("module", ["memraft_server.cli.app", "msgspec", "memraft", "numpy", "grpc"])
def test_ctrl_c_while_modules_are_imported_shows_no_traceback(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SLOW_IMPORT.format(module=module)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr == "memraft: interrupted\n"

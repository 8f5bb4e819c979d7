"""Runs every script `*.txt` beside this file. To accept the traces as they are now (read the diff!)::

MEMRAFT_REWRITE=1 .venv/bin/python -m pytest tests/scenarios
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.scenarios.raft.interpreter import Interpreter

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    written = path.read_text()
    happened = replay(written)
    if "MEMRAFT_REWRITE" in os.environ:
        path.write_text(happened)
    else:
        assert happened.splitlines() == written.splitlines()


def replay(script: str) -> str:
    """The script with the traces that its commands leave now."""
    interpreter = Interpreter()
    lines: list[str] = []
    for block in script.strip().split("\n\n"):
        told = block.split("\n----")[0]
        lines.append(told)
        commands = [line for line in told.splitlines() if line and not line.startswith("#")]
        assert len(commands) <= 1, f"one command a block, please: {commands}"
        if commands:
            lines += ["----", *interpreter.run(commands[0])]
        lines.append("")
    return "\n".join(lines)

"""`memraft leader` on the directory of an embedded memory."""

import json
from pathlib import Path

import pytest

from memraft import Memory
from tests.unit.cli.test_run_and_fork import Shell


def test_who_leads_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Memory(path=tmp_path / "memory", namespace="acme/a", agent="bob") as memory:
        # The lease of an election, that is not given up when the block ends.
        assert memory.lock("election/planner", ttl=3_600).acquire()
    shell = Shell(tmp_path / "memory", capsys)
    assert shell("leader", "show", "planner").splitlines()[1].split()[:2] == ["leads", "bob"]
    shown = json.loads(shell("leader", "show", "planner", "--json"))
    assert shown["agent"] == "bob" and shown["token"] > 0
    assert shell("leader", "show", "other") == "nobody leads\n"
    assert json.loads(shell("leader", "show", "other", "--json")) is None

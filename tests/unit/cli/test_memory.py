"""`memraft memory` on the directory of an embedded memory."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.test_run_and_fork import Shell


def test_one_memory_is_read_by_its_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell = Shell(tmp_path / "memory", capsys)
    validity = ("--until", "2025-01-01T00:00:00Z")
    shell("memory", "remember", "lives in Oslo", "--about", "bob", "--id", "m1", *validity)
    assert shell("memory", "get", "m1") == "lives in Oslo\n"
    found = json.loads(shell("memory", "get", "m1", "--json"))
    assert (found["about"], found["agent"]) == ("bob", "ann")
    assert shell("memory", "get", "m1", "--valid-at", "2024-08-01") == "lives in Oslo\n"
    assert "no memory with id 'm1'" in shell("memory", "get", "m1", "--valid-at", "2025-08-01", status=1)
    shell("memory", "forget", "m1")
    assert "no memory with id 'm1' in acme/a" in shell("memory", "get", "m1", status=1)
    assert shell("memory", "get", "m1", "--at", str(found["log_index"])) == "lives in Oslo\n"

"""`memraft retention`, `timeline`, `history` and `kv history` on the directory of an embedded memory."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from memraft import Memory
from tests.unit.cli.test_run_and_fork import Shell


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    with Memory(path=tmp_path / "memory", namespace="acme/a", agent="ann") as memory:
        for n in range(3):
            memory.put("user:1", {"n": n})
        memory.put_node("user:1")
        memory.put_node("acme")
        memory.put_edge("user:1", "works_at", "acme")
        memory.append("entity/user:1", {"n": 0})
    return Shell(tmp_path / "memory", capsys)


def test_a_timeline_in_pages(shell: Shell) -> None:
    lines = shell("timeline", "user:1", "--limit", "4").splitlines()
    assert "document user:1" in lines[1] and '{"n":0}' in lines[1] and "node user:1" in lines[4]
    page = json.loads(shell("timeline", "user:1", "--cursor", lines[-1].split()[-1], "--json"))
    assert [each["name"] for each in page["items"]] == [["user:1", "works_at", "acme"], "entity/user:1"]


def test_histories_of_any_kind(shell: Shell) -> None:
    assert "works_at" in shell("history", "edge", "user:1", "works_at", "acme")
    page = json.loads(shell("kv", "history", "user:1", "--limit", "2", "--json"))
    assert [each["value"] for each in page["items"]] == [{"n": 2}, {"n": 1}]
    rest = shell("kv", "history", "user:1", "--cursor", page["next_cursor"])
    assert '{"n":0}' in rest and "more:" not in rest
    assert "an edge is named by" in shell("history", "edge", "user:1", status=2)


def test_retention_is_set_shown_and_taken_back(shell: Shell) -> None:
    assert "all" in shell("retention", "show")
    assert "12:00:00" in shell("retention", "set", "--versions", "1", "--age", "12h")
    found = json.loads(shell("retention", "show", "--json"))
    assert (found["versions"], found["age_ms"], found["floor_index"]) == (1, 12 * 3_600_000, 3)
    refused = shell("kv", "get", "user:1", "--at", "1", status=1)
    assert "retention keeps 1 version / 12 hours" in refused
    shell("retention", "set", "--age", "30d")
    shown = shell("retention", "show")  # what was not given stayed
    assert re.search(r"versions of a record +1\n", shown) and re.search(r"replaced +30 days\n", shown)
    shell("fork", "make", "held")
    assert re.search(r"held back by +acme/a@held\n", shell("retention", "show"))
    assert "reads reach back to   log index" in shell("retention", "set", "--all")
    assert "retention had forgotten what was before" in shell("kv", "get", "user:1", "--at", "1", status=1)
    assert "give at least one" in shell("retention", "set", status=2)
    with pytest.raises(SystemExit):
        shell("retention", "set", "--age", "soon")

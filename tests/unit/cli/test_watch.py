"""`memraft watch` on the directory of an embedded memory."""

import json
from pathlib import Path

import pytest

from memraft import Memory
from memraft.types import Decision
from tests.unit.cli.test_run_and_fork import Shell

ALL = ("--after-version", "0", "--idle-s", "0.2")


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    with Memory(path=tmp_path / "memory", namespace="acme/a", agent="ann") as memory:
        memory.put("config/a", {"on": True})
        memory.put("other", 1)
        memory.delete("config/a")
        memory.cas("lead", "ann", expected_version=0)
        memory.remember("likes\ntea", about="bob", id="m1")
        memory.remember("is late", about="cy", id="m2")
        memory.forget("m1")
        memory.begin_run("r1")
        memory.record_trace(Decision("wait", because="rain"), run="r1")
    return Shell(tmp_path / "memory", capsys)


def _changes(printed: str) -> list[list[str]]:
    """What each line tells behind log index, time and agent."""
    lines = [line.split(maxsplit=3) for line in printed.splitlines()]
    assert all(line[2] == "ann" for line in lines)
    assert [int(line[0]) for line in lines] == sorted(int(line[0]) for line in lines)
    return [line[3].split(maxsplit=1) for line in lines]


def test_changes_of_documents_and_records_are_printed_in_order(shell: Shell) -> None:
    changes = _changes(shell("watch", "kv", "config/", *ALL))
    assert changes == [["config/a", '{"on":true}'], ["config/a", "(deleted)"]]
    assert _changes(shell("watch", "state", *ALL)) == [["lead", '"ann"']]
    assert shell("watch", "state", "x", *ALL) == ""


def test_what_is_remembered_forgotten_and_thought_is_printed(shell: Shell) -> None:
    assert _changes(shell("watch", "memory", "--about", "bob", *ALL))[-1] == ["m1", "(gone)"]
    assert ["m2", "is late"] in _changes(shell("watch", "memory", *ALL))
    assert _changes(shell("watch", "trace", "--run", "r1", *ALL)) == [["r1", "decision wait rain"]]
    assert shell("watch", "trace", "--kind", "citation", *ALL) == ""


def test_a_watch_ends_after_so_many_and_prints_json_in_lines(shell: Shell) -> None:
    first = json.loads(shell("watch", "kv", "--after-version", "0", "--limit", "1", "--json"))
    assert (first["key"], first["value"], first["log_index"]) == ("config/a", {"on": True}, 1)
    after = str(first["version"])
    rest = shell("watch", "kv", "--after-version", after, "--idle-s", "0.2", "--json").splitlines()
    assert [json.loads(line)["key"] for line in rest] == ["other", "config/a"]
    trace = json.loads(shell("watch", "trace", "--after-version", "0", "--limit", "1", "--json"))
    assert trace["content"]["choice"] == "wait"
    assert "--limit must be at least 1, not 0" in shell("watch", "kv", "--limit", "0", status=2)
    assert "idle_s must be" in shell("watch", "kv", "--idle-s", "-1", status=1)

"""`memraft state` on the directory of an embedded memory."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.test_run_and_fork import Shell


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path / "memory", capsys)


def test_a_record_is_replaced_only_from_the_version_that_was_seen(shell: Shell) -> None:
    assert shell("state", "cas", "lead", '{"by": "ann"}', "--if-version", "0").startswith("stored lead: ")
    seen = json.loads(shell("state", "get", "lead", "--json"))
    assert seen["value"] == {"by": "ann"} and seen["agent"] == "ann"
    version = str(seen["version"])
    refused = shell("state", "cas", "lead", "2", "--if-version", "0", status=1)
    assert f"record 'lead' has version {version}, not 0" in refused and '{"by":"ann"}' in refused
    answer = json.loads(shell("state", "cas", "lead", "2", "--if-version", "0", "--json", status=1))
    assert not answer["swapped"] and answer["current"] == {"by": "ann"}
    shell("state", "cas", "lead", "[draft", "--string", "--if-version", version)
    assert shell("state", "get", "lead") == '"[draft"\n'
    assert shell("state", "get", "lead", "--at", str(seen["log_index"])) == '{"by":"ann"}\n'


def test_a_record_is_removed_and_keeps_its_history(shell: Shell) -> None:
    stored = json.loads(shell("state", "cas", "lead", "1", "--if-version", "0", "--json"))
    assert "has version" in shell("state", "remove", "lead", "--if-version", "7", status=1)
    assert shell("state", "remove", "lead", "--if-version", str(stored["version"])).startswith("removed lead")
    assert "no record 'lead' in acme/a" in shell("state", "get", "lead", status=1)
    gone = shell("state", "cas", "lead", "2", "--if-version", str(stored["version"]), status=1)
    assert "there is no record 'lead'" in gone
    lines = [line.split() for line in shell("state", "history", "lead").splitlines()]
    assert [line[line.index("lead") + 1] for line in lines[1:]] == ["deleted", "written"]
    first = json.loads(shell("state", "history", "lead", "--limit", "1", "--json"))
    assert [item["what"] for item in first["items"]] == ["deleted"] and first["next_cursor"]


def test_records_are_listed_by_prefix(shell: Shell) -> None:
    for name in ("a/2", "a/1", "b"):
        shell("state", "cas", name, "7", "--if-version", "0")
    listed = json.loads(shell("state", "list", "--prefix", "a/", "--limit", "1", "--json"))
    assert [item["key"] for item in listed["items"]] == ["a/1"]
    rows = shell("state", "list", "--prefix", "a/", "--cursor", listed["next_cursor"]).splitlines()
    assert rows[0].startswith("NAME") and len(rows) == 2 and rows[1].split()[0] == "a/2"

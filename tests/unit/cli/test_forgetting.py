"""`memraft memory forgotten` and `consolidate` on the directory of an embedded memory."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.test_coordination import Shell


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path / "memory", capsys)


def test_what_was_forgotten_is_listed_with_its_reason(shell: Shell) -> None:
    shell("namespace", "set", "--memories-entries-max", "2", "--memories-salience", "2.5")
    shown = shell("namespace", "show")
    assert "0 of at most 2" in shown and "salience 2.5, impact 1; half in 30 days" in shown
    for number in range(3):
        shell("memory", "remember", f"memory {number}", "--id", f"m{number}", "--salience", f"0.{number}")
    assert "forgotten: m2" in shell("memory", "forget", "m2", "--reason", "of no use")
    lines = shell("memory", "forgotten").splitlines()
    assert lines[0].split() == ["ID", "AT", "AGENT", "REASON", "WORTH", "WHY", "OR", "TEXT"]
    assert lines[1].startswith("m2") and lines[1].endswith("of no use") and "forgotten" in lines[1]
    assert lines[2].startswith("m0") and lines[2].endswith("memory 0") and "evicted" in lines[2]
    (item,) = json.loads(shell("memory", "forgotten", "--reason", "evicted", "--json"))["items"]
    assert item["memory"]["id"] == "m0" and 0.1 < item["worth"]["score"] < 0.2
    assert "m1" not in shell("memory", "forgotten", "m1")
    assert "more: --cursor" in shell("memory", "forgotten", "--limit", "1")
    assert json.loads(shell("namespace", "show", "--json"))["memories"]["salience"] == 2.5
    assert "from 0 to 100" in shell("namespace", "set", "--memories-impact", "101", status=1)


def test_near_duplicates_are_shown_first_and_then_merged(shell: Shell) -> None:
    for number, text in enumerate(("Bob likes green tea", "bob likes green tea!", "Ann plays chess")):
        shell("memory", "remember", text, "--id", f"m{number}")
    assert "1 of 3 memories would be merged into others" in shell("memory", "consolidate", "--dry-run")
    done = json.loads(shell("memory", "consolidate", "--threshold", "0.8", "--json"))
    assert (done["merged"], done["looked"], done["conflicts"]) == (1, 3, 0)
    assert done["groups"][0]["kept"] == "m1" and done["groups"][0]["merged"] == ["m0"]
    assert "0 of 2 memories were merged" in shell("memory", "consolidate")
    assert "into m1" in shell("memory", "forgotten")


def test_all_about_an_entity_is_forgotten(shell: Shell) -> None:
    for number, about in enumerate(("user:1", "user:2", "user:1")):
        shell("memory", "remember", "text", "--id", f"m{number}", "--about", about)
    assert "which memories?" in shell("memory", "forget", status=2)
    assert "2 memories were forgotten" in shell("memory", "forget", "--about", "user:1", "--reason", "asked")
    assert json.loads(shell("memory", "forget", "--about", "user:1", "--json")) == {"forgotten": 0}
    assert "asked" in shell("memory", "forgotten", "m0")

"""`memraft memory` on the directory of an embedded memory."""

import json
from pathlib import Path

import pytest

from memraft import Memory
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


def test_a_recall_says_why_and_keeps_to_a_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell = Shell(tmp_path / "memory", capsys)
    shell("memory", "remember", "Is left-handed", "--about", "bob", "--kind", "profile")
    shell("memory", "remember", "The kettle of the house is blue", "--about", "kitchen")
    shell("memory", "remember", "The train was late")
    table = shell("memory", "recall", "which colour has the kettle").splitlines()
    assert table[1].endswith("The kettle of the house is blue") and "kitchen" in table[1]
    why = shell("memory", "recall", "which colour has the kettle", "--why", "-k", "1").splitlines()
    assert why[0] == "The kettle of the house is blue"
    assert " = text +" in why[1] and "agent ann" in why[1]
    found = json.loads(shell("memory", "recall", "kettle", "--tokens", "12", "--turn", "7", "--json"))
    assert [item["text"] for item in found["items"]] == ["Is left-handed", "The kettle of the house is blue"]
    assert found["items"][0]["reasons"][0]["name"] == "profile" and found["receipt"]
    assert shell("memory", "recall", "kettle", "--about", "bob", "--about-hops", "1").count("\n") == 2


def test_what_signals_count_for_is_given_to_a_recall_or_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(tmp_path / "memory", capsys)
    shell("memory", "remember", "the kettle is blue", "--salience", "0")
    shell("memory", "remember", "nothing in particular", "--salience", "1")

    def first(*options: str) -> str:
        items = json.loads(shell("memory", "recall", "the kettle", "--json", *options))["items"]
        return str(items[0]["text"])

    assert first() == "the kettle is blue"
    assert first("--parameters", '{"salience": 50}') == "nothing in particular"
    shell("namespace", "set", "--recall", '{"salience": 50, "fusion": "reciprocal-ranks"}')
    assert first() == "nothing in particular"
    assert "salience 50, fusion reciprocal-ranks" in shell("namespace", "show")
    assert json.loads(shell("namespace", "show", "--json"))["recall"]["salience"] == 50
    shell("namespace", "set", "--recall", "{}")
    assert first() == "the kettle is blue"
    assert "as measured best" in shell("namespace", "show")
    assert "there is no 'much'" in shell("memory", "recall", "x", "--parameters", '{"much": 1}', status=1)
    assert "--parameters" in shell("memory", "recall", "x", "--parameters", "[1]", status=2)


def test_how_many_is_not_taken_for_of_which_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell = Shell(tmp_path / "memory", capsys)
    shell("memory", "remember", "the kettle is blue")
    assert "the kettle is blue" in shell("memory", "recall", "kettle", "--k", "1")
    assert "k must be an integer from 1, not 0" in shell("memory", "recall", "kettle", "--k", "0", status=1)


def test_a_directory_that_was_just_opened_is_recalled_from_by_all_of_its_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(tmp_path / "memory", capsys)
    with Memory(path=shell.path, namespace="acme/a", agent="ann") as memory:
        memory.remember("the kettle is blue", about="oldest")
        memory.remember_many(f"nothing in particular, {number} of it" for number in range(999))
    found = json.loads(shell("memory", "recall", "kettle", "--json"))
    assert "text" in [reason["name"] for reason in found["items"][0]["reasons"]]
    assert len(json.loads(shell("receipt", "list", "--json"))["items"]) == 1

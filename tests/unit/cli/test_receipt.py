"""`memraft receipt` and `memraft lineage` on the directory of an embedded memory."""

import json
from pathlib import Path

import pytest

from memraft import Memory
from tests.unit.cli.test_run_and_fork import Shell


@pytest.fixture
def ids(tmp_path: Path) -> dict[str, str]:
    """A recall, and the memories that it found."""
    with Memory(path=tmp_path / "memory", namespace="acme/a", agent="ann") as memory:
        with memory.run("intake") as run:
            run.memory.append("run/intake", {"said": "it is broken"})
            first = run.memory.remember("The cup of order 7 is broken").id
        second = memory.remember("Order 8 is late").id
        hits = memory.recall("a broken cup", k=2, turn="3")
        return {"receipt": str(hits.receipt), "first": first, "second": second}


@pytest.fixture
def shell(tmp_path: Path, ids: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path / "memory", capsys)


def test_a_receipt_is_listed_and_shown_with_reasons(shell: Shell, ids: dict[str, str]) -> None:
    row = shell("receipt", "list", "--turn", "3", "--by", "ann").splitlines()[1]
    assert row.startswith(ids["receipt"]) and row.endswith("a broken cup")
    assert ids["receipt"] not in shell("receipt", "list", "--turn", "4")
    [listed] = json.loads(shell("receipt", "list", "--json"))["items"]
    assert (listed["id"], listed["turn"], listed["query"]) == (ids["receipt"], "3", "a broken cup")
    shown = shell("receipt", "show", ids["receipt"])
    assert "a broken cup" in shown and ids["first"] in shown and "text +" in shown
    found = json.loads(shell("receipt", "show", ids["receipt"], "--json"))
    assert {hit["id"] for hit in found["hits"]} == {ids["first"], ids["second"]}
    assert "there is no receipt '01NO'" in shell("receipt", "show", "01NO", status=1)


def test_an_answer_is_tied_and_walked_back(shell: Shell, ids: dict[str, str]) -> None:
    assert "nothing is known of answer 'a1'" in shell("lineage", "a1", status=1)
    shell("receipt", "influence", ids["receipt"], "a1", "--used", ids["first"])
    told = shell("lineage", "a1")
    assert "The cup of order 7 is broken" in told and "still so" in told and "in run intake" in told
    assert "it is broken" in told and ids["second"] not in told
    shell("memory", "forget", ids["first"])
    assert "no longer so" in shell("lineage", "a1")
    [source] = json.loads(shell("lineage", "a1", "--json"))["receipts"]
    assert source["id"] == ids["receipt"]
    assert [each["is_current"] for each in source["memories"]] == [False]


def test_how_long_receipts_are_kept_is_a_setting(shell: Shell) -> None:
    rows = shell("namespace", "show").splitlines()
    assert [row.split()[-1] for row in rows if row.startswith("receipts are kept for")] == ["ever"]
    shell("namespace", "set", "--receipts-ttl-ms", "86400000")
    assert json.loads(shell("namespace", "show", "--json"))["receipts_ttl_ms"] == 86_400_000

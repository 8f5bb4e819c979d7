"""`memraft vector` on the directory of an embedded memory."""

import json
from pathlib import Path
from typing import get_args

import pytest

from memraft.types import Metric
from memraft_server.cli import vector
from tests.unit.cli.test_run_and_fork import Shell


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    run = Shell(tmp_path / "memory", capsys)
    assert run("vector", "create", "docs", "2", "--fingerprint", "m").startswith("created docs: log index 1")
    run("vector", "put", "docs", "a", "[1, 0]", "--metadata", '{"lang": "en"}')
    run("vector", "put", "docs", "b", "[0.6, 0.8]", "--fingerprint", "m")
    return run


def test_the_nearest_vectors_are_found(shell: Shell) -> None:
    rows = [line.split() for line in shell("vector", "search", "docs", "[1, 0]").splitlines()]
    assert rows == [["SCORE", "ID", "METADATA"], ["1.000", "a", '{"lang":"en"}'], ["0.600", "b", "{}"]]
    found = json.loads(shell("vector", "search", "docs", "[0, 1]", "-k", "1", "--json"))
    assert [item["id"] for item in found["items"]] == ["b"]
    english = shell("vector", "search", "docs", "[0, 1]", "--filter", '{"lang": "en"}', "--json")
    assert [item["id"] for item in json.loads(english)["items"]] == ["a"]


def test_vectors_are_replaced_deleted_and_found_in_the_past(shell: Shell) -> None:
    assert shell("vector", "put", "docs", "b", "[1, 0]").startswith("replaced b: log index 4")
    assert shell("vector", "delete", "docs", "b").startswith("deleted b: ")
    assert "no vector 'b' in collection 'docs'" in shell("vector", "delete", "docs", "b", status=1)
    assert len(shell("vector", "search", "docs", "[1, 0]").splitlines()) == 2
    then = shell("vector", "search", "docs", "[1, 0]", "--at", "3").splitlines()
    assert then[-1].split()[:2] == ["0.600", "b"]


def test_collections_are_listed_and_created_once(shell: Shell) -> None:
    assert shell("vector", "create", "docs", "2", "--fingerprint", "m").startswith("there is already docs")
    assert shell("vector", "list").splitlines()[1].split() == ["docs", "2", "cosine", "2", "m"]
    assert json.loads(shell("vector", "list", "--at", "2", "--json"))["items"][0]["count"] == 1
    assert "docs" in shell("vector", "create", "docs", "3", "--fingerprint", "m", status=1)


def test_what_is_no_vector_of_the_collection_is_refused(shell: Shell) -> None:
    assert "must be a JSON list of numbers" in shell("vector", "put", "docs", "c", '["x"]', status=2)
    assert "must be a JSON list of numbers" in shell("vector", "search", "docs", "1,2", status=2)
    assert "docs" in shell("vector", "put", "docs", "c", "[1, 2, 3]", status=1)
    assert "papers" in shell("vector", "put", "papers", "c", "[1]", status=1)


def test_the_metrics_are_those_of_the_client() -> None:
    assert get_args(Metric) == vector.METRICS

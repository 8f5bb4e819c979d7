"""`memraft graph` and `memraft index` on the directory of an embedded memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memraft_server.cli import main


class Shell:
    """Runs commands of a person in one directory."""

    def __init__(self, path: Path, capture: pytest.CaptureFixture[str]) -> None:
        self._where = ["--path", str(path), "--namespace", "acme/a", "--agent", "ann"]
        self._capture = capture

    def __call__(self, *arguments: str, status: int = 0) -> str:
        assert main([*arguments, *self._where]) == status, self._capture.readouterr()
        printed = self._capture.readouterr()
        return printed.err if status else printed.out


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    run = Shell(tmp_path / "memory", capsys)
    run("graph", "put-node", "ann", '{"age": 41}', "--type", "person", "--domain", "hr")
    run("graph", "put-node", "acme", "--domain", "crm")
    run("graph", "put-edge", "ann", "works_at", "acme", "--from", "2024-05-01", "--weight", "2")
    return run


def test_what_is_stored_is_found(shell: Shell) -> None:
    assert json.loads(shell("graph", "node", "ann", "--json"))["domain"] == "hr"
    assert shell("graph", "node", "ann") == '{"age":41}\n'
    (item,) = json.loads(shell("graph", "neighbours", "acme", "--direction", "in", "--json"))["items"]
    assert (item["id"], item["type"], item["direction"]) == ("ann", "works_at", "in")
    assert "works_at" not in shell("graph", "neighbours", "ann", "--valid-at", "2024-04-30")
    assert "works_at" in shell("graph", "neighbours", "ann", "--valid-at", "2024-05-01")
    assert shell("graph", "path", "acme", "ann", "--direction", "both") == "acme ←[works_at]- ann\n"
    assert "person" in shell("graph", "list", "--filter", '{"age": {"$gt": 40}}')
    assert shell("graph", "crossing", "hr").splitlines()[1].split()[:4] == ["hr", "ann", "works_at", "acme"]
    assert [line.split()[1] for line in shell("graph", "walk", "ann").splitlines()[1:]] == ["ann", "acme"]


def test_nodes_are_merged_forgotten_restored_and_deleted(shell: Shell) -> None:
    shell("graph", "put-node", "anne", '{"age": 42}')
    done = shell("graph", "merge", "ann", "anne", "--field", "age=max")
    assert done.startswith("anne means ann now: 0 edges moved")
    assert shell("graph", "node", "anne") == '{"age":42}\n'
    assert shell("graph", "forget", "ann").startswith("forgotten: ann")
    assert "no node 'ann' in acme/a" in shell("graph", "node", "ann", status=1)
    assert shell("graph", "restore", "ann").startswith("restored: ann")
    assert "has 1 edge;" in shell("graph", "delete-node", "ann", status=1)
    assert shell("graph", "delete-edge", "ann", "works_at", "acme").startswith(
        "deleted: ann-[works_at]->acme"
    )
    assert shell("graph", "delete-node", "ann", "--detach").startswith("deleted: ann")
    assert "no path from" in shell("graph", "path", "ann", "acme", status=1)
    assert "NAME=POLICY" in shell("graph", "merge", "a", "b", "--field", "age", status=1)


def test_an_edge_ends_by_a_patch(shell: Shell) -> None:
    shell("graph", "put-edge", "ann", "works_at", "acme", "--until", "2025-01-01", "--patch")
    (item,) = json.loads(shell("graph", "neighbours", "ann", "--json"))["items"]
    assert (item["weight"], item["valid_until_us"]) == (2.0, 1_735_689_600_000_000)
    assert json.loads(shell("graph", "neighbours", "ann", "--valid-at", "1d", "--json"))["items"] == []


def test_the_index_is_markdown(shell: Shell) -> None:
    text = shell("index")
    assert text.startswith("# acme/a\n") and "hr → crm: 1 edge (works_at 1)" in text
    assert json.loads(shell("index", "--tokens", "500", "--json"))["text"] == text
    assert "tokens: 499, from 500 to 2000" in shell("index", "--tokens", "499", status=1)


def test_an_edge_and_a_part_of_the_graph_are_read(shell: Shell) -> None:
    before = str(json.loads(shell("graph", "node", "ann", "--json"))["log_index"])
    shell("graph", "put-edge", "ann", "works_at", "acme", '{"as": "lead"}', "--patch")
    assert shell("graph", "edge", "ann", "works_at", "acme").startswith('{"as":"lead"} 2024-05-01')
    edge = json.loads(shell("graph", "edge", "ann", "works_at", "acme", "--json"))
    assert (edge["source"], edge["target"], edge["weight"]) == ("ann", "acme", 2.0)
    missing = shell("graph", "edge", "ann", "works_at", "acme", "--at", before, status=1)
    assert "no edge 'ann works_at acme' in acme/a" in missing

    part = json.loads(shell("graph", "subgraph", "acme", "--depth", "1", "--json"))
    assert {node["id"] for node in part["nodes"]} == {"ann", "acme"} and len(part["edges"]) == 1
    assert json.loads(shell("graph", "subgraph", "acme", "--json"))["edges"] == []
    assert (
        json.loads(shell("graph", "subgraph", "ann", "acme", "--valid-at", "2024-01-01", "--json"))["edges"]
        == []
    )
    nodes, edges = shell("graph", "subgraph", "ann", "acme").split("\n\n")
    assert [line.split()[0] for line in nodes.splitlines()] == ["ID", "ann", "acme"]
    assert edges.splitlines()[1].split()[:3] == ["ann", "works_at", "acme"]
    assert "there is more: --limit" in shell("graph", "subgraph", "ann", "acme", "--limit", "1")

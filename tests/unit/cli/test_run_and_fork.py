"""`memraft run` and `memraft fork` on the directory of an embedded memory."""

import json
from pathlib import Path

import pytest

from memraft import Memory
from memraft_server.cli import main


class Shell:
    """Runs commands of a person in one directory."""

    def __init__(self, path: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._capture = capture

    def __call__(self, *arguments: str, status: int = 0, namespace: str = "acme/a") -> str:
        where = ["--path", str(self.path), "--namespace", namespace, "--agent", "ann"]
        assert main([*arguments, *where]) == status, self._capture.readouterr()
        printed = self._capture.readouterr()
        return printed.out or printed.err


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    with Memory(path=tmp_path / "memory", namespace="acme/a", agent="ann") as memory:
        memory.put("answer", "nothing yet")
        with memory.run("r1", inputs={"q": 1}) as run:
            run.memory.put("answer", run.tool("double", lambda n: 2 * n)(1))
            run.outputs = "two"
    return Shell(tmp_path / "memory", capsys)


def test_runs_are_listed_shown_and_replayed(shell: Shell) -> None:
    assert shell("run", "list").splitlines()[1].split()[:3] == ["r1", "succeeded", "ann"]
    shown = shell("run", "show", "r1")
    assert "3 commands recorded" in shown and 'outputs "two"' in shown and "tool_call" in shown
    assert json.loads(shell("run", "show", "r1", "--json"))["calls"][0]["payload"]["output"] == 2
    assert shell("run", "replay", "r1").startswith("same: 3 of 3 commands, hash ")
    assert json.loads(shell("run", "replay", "r1", "--json"))["verdict"] == "same"
    assert "no run 'r2'" in shell("run", "show", "r2", status=1)
    assert "no run 'r2'" in shell("run", "replay", "r2", status=1)


def test_runs_and_forks_are_compared_and_merged(shell: Shell) -> None:
    assert shell("fork", "make", "f", "--at", "1") == "made acme/a@f\n"
    with Memory(path=shell.path, namespace="acme/a@f", agent="ann") as fork, fork.run("r2") as run:
        run.memory.put("answer", run.tool("double", lambda n: 3 * n)(1))
    compared = shell("run", "diff", "r1", "r2", "--other-namespace", "acme/a@f")
    assert compared.startswith("0 steps in common, of 3 and 3\nfirst difference: step 1, Batch\n")
    lines = [line.split() for line in compared.splitlines()]
    assert lines[2] == ["FIELD", "R1", "R2"]
    assert ["operations[0].append.payload.output", "2", "3"] in lines and "_at_us" not in compared
    assert lines[-2:] == [["KIND", "NAME", "FIELD", "LEFT", "RIGHT"], ["document", "answer", "-", "2", "3"]]
    listed = shell("fork", "list").splitlines()
    assert listed[1].split()[0] == "f"
    assert len(shell("fork", "list", "--at", "1").splitlines()) == 1  # it was not there yet
    differs = shell("fork", "diff", "--from-namespace", "acme/a", "--kind", "document", namespace="acme/a@f")
    assert differs.splitlines()[1].split() == ["document", "answer", "-", "2", "3"]
    assert "both changed 1: document 'answer'" in shell("fork", "merge", "f", status=1)
    assert "1 conflicts: theirs" in shell("fork", "merge", "f", "--on-conflict", "theirs")
    assert shell("kv", "get", "answer") == "3\n"
    assert shell("fork", "diff", "--from-at", "1", "--to-at", "1") == "nothing differs\n"
    assert shell("fork", "drop", "f") == "dropped f\n"
    assert "no fork 'f' in acme/a" in shell("fork", "drop", "f", status=1)


def test_a_fork_begins_just_before_a_mistake(shell: Shell) -> None:
    mistake = json.loads(shell("kv", "put", "answer", "wrong", "--json"))
    assert shell("fork", "make", "f", "--before", str(mistake["version"])) == "made acme/a@f\n"
    assert shell("kv", "get", "answer", namespace="acme/a@f") == "2\n"
    assert shell("kv", "get", "answer") == '"wrong"\n'
    refused = shell("fork", "make", "g", "--before", str(mistake["log_index"]), status=2)
    assert "is no version: versions begin at 1048576" in refused


def test_a_run_is_begun_and_ended(shell: Shell) -> None:
    assert shell("run", "begin", "r2", "--inputs", '{"q": 2}', "--record") == "r2\n"
    assert "r2" in shell("run", "begin", "r2", status=1)
    assert shell("run", "end", "r2", "--outputs", "no answer", "--failed").startswith("r2 failed: log index ")
    ended = json.loads(shell("run", "show", "r2", "--json"))
    assert (ended["status"], ended["inputs"], ended["outputs"]) == ("failed", {"q": 2}, "no answer")
    assert ended["recorded"]
    begun = json.loads(shell("run", "begin", "--json"))  # an id is made for it
    assert shell("run", "end", begun["id"]).startswith(f"{begun['id']} succeeded: ")
    assert not json.loads(shell("run", "show", begun["id"], "--json"))["recorded"]
    assert "'r3'" in shell("run", "end", "r3", status=1)

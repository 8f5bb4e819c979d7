"""`memraft lock`, `counter`, `gate`, `txn` and `projection` on the directory of an embedded memory."""

import io
import json
import sys
from pathlib import Path

import pytest

from memraft import Memory
from memraft_server.cli import main
from memraft_server.cli.errors import CliError
from memraft_server.cli.lock import run_under


class Shell:
    """Runs commands of a person in one directory."""

    def __init__(self, path: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self.where = ["--path", str(path), "--namespace", "acme/a", "--agent", "ann"]
        self._capture = capture

    def __call__(self, *arguments: str, status: int = 0) -> str:
        place = arguments.index("--") if "--" in arguments else len(arguments)
        assert main([*arguments[:place], *self.where, *arguments[place:]]) == status, (
            self._capture.readouterr()
        )
        printed = self._capture.readouterr()
        return printed.out or printed.err


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    with Memory(path=tmp_path / "memory", namespace="acme/a", agent="ann") as memory:
        memory.put("k", 1)
    return Shell(tmp_path / "memory", capsys)


def test_a_command_runs_under_a_lock(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = "os.environ['MEMRAFT_LOCK_TOKEN'] + os.environ['MEMRAFT_LOCK']"
    code = f"import os; open({str(out)!r}, 'w').write({told})"
    shell("lock", "run", "reindex", "--ttl", "5", "--", sys.executable, "-c", code)
    first = out.read_text()
    assert first.endswith("reindex") and int(first.removesuffix("reindex")) > 0
    assert shell("lock", "show", "reindex") == "free\n"
    shell("lock", "run", "reindex", "--", sys.executable, "-c", "raise SystemExit(7)", status=7)
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    shell("lock", "run", "reindex", "--", sys.executable, "-c", killed, status=137)
    assert shell("lock", "show", "reindex") == "free\n"
    unknown = shell("lock", "run", "reindex", "--", "/nowhere/reindex", status=127)
    assert "/nowhere/reindex: No such file or directory" in unknown
    assert "Permission denied" in shell("lock", "run", "reindex", "--", str(out), status=126)
    assert shell("lock", "show", "reindex") == "free\n"
    assert "no command to run" in shell("lock", "run", "reindex", status=2)


def test_a_command_ends_when_its_lock_is_lost() -> None:
    with Memory() as memory:
        lease = memory.lock("reindex", ttl=0.3)
        assert lease.acquire()
        memory.close()  # nobody renews it from here on
        with pytest.raises(CliError, match="lock 'reindex' was lost, and the command ended"):
            run_under(lease, [sys.executable, "-c", "import time; time.sleep(600)"])


def test_a_lock_that_another_holds_is_shown_and_not_granted(shell: Shell) -> None:
    with Memory(path=shell.path, namespace="acme/a", agent="bob") as memory:
        assert memory.lock("reindex", ttl=3_600).acquire()
    shown = shell("lock", "show", "reindex").splitlines()[1].split()
    assert shown[:3] == ["holds", "it", "bob"]
    assert json.loads(shell("lock", "show", "reindex", "--json"))["agent"] == "bob"
    assert shell("lock", "list").splitlines()[1].split()[:2] == ["reindex", "bob"]
    assert json.loads(shell("lock", "list", "--json"))["items"][0]["name"] == "reindex"
    refused = shell("lock", "run", "reindex", "--wait-s", "0", "--", sys.executable, "-c", "", status=1)
    assert "lock 'reindex' was not granted within 0 s" in refused


def test_counters_and_gates(shell: Shell) -> None:
    assert shell("counter", "get", "jobs") == "0\n"
    assert shell("counter", "add", "jobs", "3") == "3\n"
    assert json.loads(shell("counter", "add", "jobs", "--json")) == {"name": "jobs", "value": 4}
    assert shell("counter", "get", "jobs", "--at", "1") == "0\n"
    shell("counter", "add", "hits")
    listed = json.loads(shell("counter", "list", "--limit", "1", "--json"))
    assert listed["items"][0]["name"] == "hits"
    rows = shell("counter", "list", "--cursor", listed["next_cursor"]).splitlines()
    assert rows[0].startswith("NAME") and rows[1].split()[:2] == ["jobs", "4"]
    assert "was not open within 0 s" in shell("gate", "wait", "ready", "--wait-s", "0", status=1)
    assert shell("gate", "open", "ready").startswith("open: ready, log index ")
    assert shell("gate", "wait", "ready") == "open: ready\n"
    assert shell("gate", "show", "ready") == "open, by ann\n"
    assert shell("gate", "close", "ready").startswith("closed: ready")
    assert json.loads(shell("gate", "show", "ready", "--json"))["is_open"] is False


def test_a_file_of_writes_is_done_as_one_or_not_at_all(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "writes"
    file.write_text('{"put": {"key": "a", "value": [1]}}\n\n{"add": {"name": "n", "delta": 2}}\n')
    assert shell("txn", "--file", str(file)).startswith("done: 2 writes, log index ")
    assert shell("kv", "get", "a") == "[1]\n"
    monkeypatch.setattr(
        "sys.stdin", io.StringIO('{"add": {"name": "n"}}\n{"put": {"key": "a", "value": 2, "if_version": 0}}')
    )
    assert "key 'a': expected absent" in shell("txn", status=1)
    assert shell("counter", "get", "n") == "2\n"
    for line, says in (
        ('{"put": 1}', "line 1: "),
        ('{"drop": {}}', "line 1: one of put, delete"),
        ('{"put": {"name": "a"}}', "line 1: put: missing a required argument: 'key'"),
        ('{"put": {"key": "a"}}', "line 1: put: missing a required argument: 'value'"),
        ('{"forget": {"id": "a", "b": 1}}', "line 1: forget: got an unexpected keyword argument 'b'"),
        ("", "no writes"),
    ):
        file.write_text(line)
        assert says in shell("txn", "--file", str(file), status=2)


def test_projections_are_listed_and_asked(shell: Shell) -> None:
    assert shell("projection", "list").split() == ["NAME", "STATE", "UP", "TO", "HASH", "FAULT"]
    assert json.loads(shell("projection", "list", "--json"))["items"] == []
    assert "no 'words' is registered here" in shell("projection", "query", "words", "{}", status=1)

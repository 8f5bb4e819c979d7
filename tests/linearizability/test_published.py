"""The published verdicts on Jepsen's etcd histories (from anishathalye/porcupine's test data).

They are not part of the project. MEMRAFT_HISTORIES names the folder or the zip that has them; without it they
are looked for beside the project.
"""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.linearizability import check_cells
from tests.linearizability.jepsen import parse

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "etcd_register.zip"


def archive() -> Path:
    named = os.environ.get("MEMRAFT_HISTORIES")
    path = Path(named) if named else ROOT.parent / "shared" / "data" / "histories"
    path = path / NAME if path.is_dir() else path
    if not path.is_file():
        pytest.skip(f"no {NAME} there: set MEMRAFT_HISTORIES to the folder that has it")
    return path


def test_gives_the_published_verdict_on_every_history() -> None:
    with zipfile.ZipFile(archive()) as opened:
        expected = json.loads(opened.read("verdicts.json"))
        logs = {name: opened.read(name).decode() for name in opened.namelist() if name.endswith(".log")}
    assert logs.keys() == expected.keys()
    found = {name: check_cells(parse(log.splitlines())).ok for name, log in logs.items()}
    assert found == expected
    assert len(found) == 102


def test_the_command_prints_a_verdict_for_each() -> None:
    command = [sys.executable, "-m", "tests.linearizability", str(archive())]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("etcd_") == 102
    assert "; 0 differ from the verdict expected" in ended.stdout


def test_a_log_without_operations_is_refused() -> None:
    with pytest.raises(ValueError, match="no operation"):
        parse(["INFO  something else"])


def test_jepsen_lines() -> None:
    log = """
    INFO  jepsen.util - 0\t:invoke\t:write\t3
    INFO  jepsen.util - 1   :invoke :cas    [3 4]
    INFO  jepsen.util - 2\t:invoke\t:read\tnil
    INFO  jepsen.util - 0\t:ok\t:write\t3
    INFO  jepsen.util - 1   :fail   :cas    [3 4]
    INFO  jepsen.util - 2\t:fail\t:read\t:timed-out
    INFO  jepsen.util - 0\t:invoke\t:write\t5
    """
    shown = sorted(f"{each} = {each.result}" for each in parse(log.splitlines()))
    assert shown == [
        "[1, 4] 0: write 3 = None",
        "[2, 5] 1: cas [3, 4] -> false = False",
        "[3, ...] 2: read -> info = None",
        "[7, ...] 0: write 5 -> info = None",
    ]

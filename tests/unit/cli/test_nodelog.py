"""The last error in a node's log."""

from pathlib import Path

import pytest

from memraft_server.cli.nodelog import TAIL_BYTES, last_error

INFO = '{"level":"info","event":"serving"}\n'
STOPPED = '{"level":"critical","event":"the node cannot start","error":"port 1 is in use"}\n'
DEFECT = '{"level":"error","event":"call failed","exception":"Traceback:\\n  x\\nKeyError: 7"}\n'


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("", ""),
        (INFO, ""),
        (STOPPED + INFO, "the node cannot start: port 1 is in use"),
        (DEFECT, "call failed: KeyError: 7"),
        (STOPPED + "Traceback (most recent call last):\n  x\nMemoryError\n\n", "MemoryError"),
        ("memraft: node.toml: no such file\n", "node.toml: no such file"),
        (INFO * 5_000, ""),
        (INFO * 5_000 + STOPPED, "the node cannot start: port 1 is in use"),
        (STOPPED + INFO + "{cut o", "{cut o"),
    ],
)
def test_the_last_error_is_found(tmp_path: Path, log: str, message: str) -> None:
    path = tmp_path / "node.log"
    path.write_text(log)
    assert last_error(path) == message


def test_an_earlier_life_of_the_node_and_a_log_that_is_not_there_tell_nothing(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    assert last_error(path) == ""
    path.write_text(STOPPED + INFO)
    assert last_error(path, begin=len(STOPPED)) == ""


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    path.write_text(STOPPED + INFO * (TAIL_BYTES // len(INFO) * 2) + DEFECT)
    assert last_error(path) == "call failed: KeyError: 7"

"""`memraft stream` on the directory of an embedded memory."""

from pathlib import Path

import pytest

from memraft import Memory
from tests.unit.cli.test_run_and_fork import Shell


def test_a_stream_that_does_not_exist_is_neither_intact_nor_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Memory(path=tmp_path / "memory", namespace="acme/a", agent="ann") as memory:
        memory.put("k", 1)
        memory.append("s", 1)
    shell = Shell(tmp_path / "memory", capsys)
    assert shell("stream", "verify", "s").startswith("intact: 1 events")
    assert "no stream 't' in acme/a" in shell("stream", "verify", "t", status=1)
    assert "no stream 's' in acme/a" in shell("stream", "verify", "s", "--at", "1", status=1)
    assert "no stream 't' in acme/a" in shell("stream", "export", "t", "--out", str(tmp_path / "t"), status=1)
    assert not (tmp_path / "t").exists()

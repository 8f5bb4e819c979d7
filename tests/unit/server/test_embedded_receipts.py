"""Receipts of a memory in process: written unasked and by `close`, but not once the disk has failed."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from memraft import Memory, MemraftError
from memraft_cluster.errors import DiskError
from memraft_server.embedded_receipts import GATHERED_IN_MEMORY_MAX
from memraft_server.embedded_storage import EmbeddedStorage
from tests.images import image

WAIT_S = 20.0


def opened(path: Path | None) -> Memory:
    memory = Memory(path=path, agent="ann", namespace="acme/a")
    if not memory.memories():
        memory.remember("The cup of order 7 is broken")
    return memory


def applied(memory: Memory) -> int:
    """The log index that the machine has applied."""
    return memory.memories().log_index


def of(path: Path) -> set[str]:
    """The receipts that are in a directory."""
    with Memory(path=path, agent="ann", namespace="acme/a") as memory:
        return {receipt.id for receipt in memory.receipts()}


def test_a_receipt_is_on_the_disk_soon_though_nothing_else_is_done(tmp_path: Path) -> None:
    with opened(tmp_path / "memory") as memory:
        before = applied(memory)
        made = str(memory.recall("cup").receipt)
        assert applied(memory) == before, "the recall took no commit"
        end_s = time.monotonic() + WAIT_S
        while applied(memory) == before:
            assert time.monotonic() < end_s
            time.sleep(0.01)
        assert of(image(tmp_path / "memory", tmp_path / "killed")) == {made}


def test_what_waits_is_written_by_close(tmp_path: Path) -> None:
    memory = opened(tmp_path / "memory")
    made = {str(memory.recall("cup").receipt) for _ in range(3)}
    memory.close()
    assert of(tmp_path / "memory") == made
    assert "memraft-receipts" not in [thread.name for thread in threading.enumerate()]


def test_a_receipt_that_was_asked_for_now_is_on_the_disk(tmp_path: Path) -> None:
    with opened(tmp_path / "memory") as memory:
        made = str(memory.recall("cup", receipt="now").receipt)
        assert of(image(tmp_path / "memory", tmp_path / "killed")) == {made}


def test_without_a_directory_many_share_a_commit_and_no_thread_is_needed() -> None:
    with opened(None) as memory:
        before = applied(memory)
        for _ in range(2 * GATHERED_IN_MEMORY_MAX - 1):
            memory.recall("cup")
        assert applied(memory) == before + 1
        assert "memraft-receipts" not in [thread.name for thread in threading.enumerate()]
        assert len(memory.receipts(limit=1_000)) == 2 * GATHERED_IN_MEMORY_MAX - 1
        assert applied(memory) == before + 2


def test_recalls_go_on_without_receipts_once_the_disk_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = opened(tmp_path / "memory")
    before = str(memory.recall("cup", receipt="now").receipt)
    waits = memory.recall("cup")
    assert waits.receipt is not None

    def fails(*_: Any) -> None:
        raise DiskError("log", "the disk is gone")

    monkeypatch.setattr(EmbeddedStorage, "append", fails)
    with pytest.raises(MemraftError):
        memory.put("k", 1)
    hits = memory.recall("cup")
    assert len(hits) == 1 and hits.receipt is None
    with pytest.raises(MemraftError, match="this write was not made"):
        memory.recall("cup", receipt="now")
    known = {receipt.id for receipt in memory.receipts()}
    assert before in known and known <= {before, waits.receipt.id}
    memory.close()
    monkeypatch.undo()
    assert of(tmp_path / "memory") == known


def test_many_threads_recall_and_no_receipt_is_lost(tmp_path: Path) -> None:
    made: list[str] = []
    with opened(tmp_path / "memory") as memory:

        def recall() -> None:
            made.extend([str(memory.recall("cup").receipt) for _ in range(50)])

        threads = [threading.Thread(target=recall) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(made)) == 200
    with Memory(path=tmp_path / "memory", agent="ann", namespace="acme/a") as memory:
        assert {receipt.id for receipt in memory.receipts(limit=1_000)} == set(made)

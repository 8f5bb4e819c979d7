"""The directory of an embedded memory: which one is taken, and what goes on where its disk is full."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from memraft import DataDirectoryError, Memory, OutcomeUnknown
from memraft_cluster.log import DurableLog
from memraft_cluster.raft import Entry
from memraft_server import embedded
from memraft_server.clock import steady_time_us
from memraft_server.embedded_directory import MARK

# -- which directory ---------------------------------------------------------------------------------------


def contents(path: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file below."""
    return {
        str(each.relative_to(path)): (each.stat().st_size, each.stat().st_mtime_ns)
        for each in path.rglob("*")
    }


def is_refused(path: Path, reason: str) -> None:
    before = contents(path)
    with pytest.raises(DataDirectoryError, match=reason) as refused:
        Memory(path=path)
    assert str(path) in str(refused.value)
    assert contents(path) == before


def test_a_new_or_empty_directory_is_taken_and_marked(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "new" / "deeper"):
        with Memory(path=path) as memory:
            memory.put("k", 1)
        assert (path / MARK).read_text().startswith("An embedded memory of Memraft")
        with Memory(path=path) as memory:
            assert memory.get("k") == 1


@pytest.mark.parametrize("is_running", [True, False])
def test_a_nodes_directories_are_refused_untouched(tmp_path: Path, is_running: bool) -> None:
    log = DurableLog(tmp_path / "n1" / "log", cluster="prod", node="n1")
    log.append(0, (Entry(1, 1, b"data"),))
    if not is_running:
        log.close()
    is_refused(tmp_path / "n1", r"is the data directory of a node, with its log in log/")
    is_refused(tmp_path / "n1" / "log", r"log or a database that is no embedded memory, such as a node's log")
    log.close()


def test_a_directory_with_other_files_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "lint.log").write_text("clean")
    is_refused(tmp_path, r"holds other files: 'lint\.log'; a memory wants a directory of its own")
    for number in range(9):
        (tmp_path / f"{number}\n.txt").mkdir()
    is_refused(tmp_path, r"holds other files: '.*' and more; a memory")


def test_a_memory_may_get_company_and_stays_one(tmp_path: Path) -> None:
    with Memory(path=tmp_path) as memory:
        memory.put("k", 1)
    (tmp_path / "lint.log").write_text("clean")
    with Memory(path=tmp_path) as memory:
        assert memory.get("k") == 1


def test_a_memory_that_lost_its_head_is_damaged_and_not_new(tmp_path: Path) -> None:
    with Memory(path=tmp_path) as memory:
        memory.put("k", 1)
    (tmp_path / "HEAD").unlink()
    (tmp_path / "lint.log").write_text("clean")
    with pytest.raises(DataDirectoryError, match=r"HEAD is missing beside (?!.*lint)\d{10}"):
        Memory(path=tmp_path)


def test_making_one_that_broke_off_is_made_up_for(tmp_path: Path) -> None:
    (tmp_path / MARK).write_bytes(b"")
    (tmp_path / "rocksdict-config.json").write_bytes(b"")
    with Memory(path=tmp_path) as memory:
        memory.put("k", 1)


@pytest.mark.parametrize(
    ("below", "reason"), [("file", "is a file"), ("file/memory", "Not a directory"), ("\0", "null byte")]
)
def test_what_can_be_no_directory_is_refused_with_the_reason(tmp_path: Path, below: str, reason: str) -> None:
    (tmp_path / "file").write_text("root:x:0:0")
    with pytest.raises(DataDirectoryError, match=reason):
        Memory(path=tmp_path / below)
    assert (tmp_path / "file").read_text() == "root:x:0:0"


def test_a_node_refuses_a_memory_by_name(tmp_path: Path) -> None:
    Memory(path=tmp_path).close()
    with pytest.raises(Exception, match="cluster 'embedded memory'"):
        DurableLog(tmp_path, cluster="prod", node="n1")


# -- a full disk -------------------------------------------------------------------------------------------

FILL = """
import os, resource, signal, sys
from memraft import DataDirectoryError, Memory, OutcomeUnknown
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
memory = Memory(path=sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
acknowledged = 0
try:
    while acknowledged < 1000:
        memory.put(f"k{acknowledged}", os.urandom(5000).hex())
        acknowledged += 1
except OutcomeUnknown as error:
    assert sys.argv[1] in str(error) and "File too large" in str(error), error
    assert "make room, then close this memory and open it again" in str(error), error
for write in (lambda: memory.put("k0", 1), lambda: memory.append("s", 1), lambda: memory.delete("k0")):
    try:
        write()
    except DataDirectoryError as error:
        assert "this write was not made; an earlier one failed: " in str(error), error
        assert "File too large" in str(error), error
        assert "make room, then close this memory and open it again" in str(error), error
    else:
        raise AssertionError("written")
assert len(memory.get("k0")) == 10_000
assert memory.get(f"k{acknowledged}") is None
assert len(memory.list(keys_only=True, limit=1000)) == acknowledged
memory.close()
memory.close()
print(acknowledged)
"""


def test_a_full_disk_fails_writes_with_the_reason_and_neither_reads_nor_closing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path / "m")],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    acknowledged = int(done.stdout)
    assert 50 < acknowledged < 200
    with Memory(path=tmp_path / "m") as memory:
        assert len(memory.list(keys_only=True, limit=1000)) >= acknowledged
        memory.put("more", 1)


def fail_disk(memory: Memory) -> Callable[[], None]:
    """Has the memory's log fail as a full disk makes it; returns what lets the time to live of all pass."""
    engine = memory._link._engine._call.__self__  # type: ignore[attr-defined]
    engine._storage.log.fail(OSError(28, "No space left on device"))
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(embedded, "steady_time_us", lambda: steady_time_us() + 10**12)
    return monkeypatch.undo


@pytest.mark.parametrize("first", ["read", "write"])
def test_what_is_due_fails_no_read_on_a_full_disk(tmp_path: Path, first: str) -> None:
    memory = Memory(path=tmp_path / "m")
    memory.put("kept", 1)
    memory.put("short", 1, ttl_ms=600_000)
    back_to_now = fail_disk(memory)
    try:
        if first == "write":
            with pytest.raises(DataDirectoryError):  # the expiry that went before it met the failing disk
                memory.put("k", 1)
        assert memory.get("kept") == 1
        assert memory.record("kept") is not None
        assert len(memory.list()) == 2
        with pytest.raises(DataDirectoryError, match=r"not made; an earlier one failed.*space"):
            memory.put("k", 1)
        memory.close()
    finally:
        back_to_now()
    with Memory(path=tmp_path / "m") as memory:
        assert memory.get("kept") == 1
        assert memory.get("k") is None


def test_only_the_write_that_failed_has_an_unknown_outcome(tmp_path: Path) -> None:
    memory = Memory(path=tmp_path / "m")
    memory._link._engine._call.__self__._storage.log.fail(OSError(28, "No space left on device"))  # type: ignore[attr-defined]
    with pytest.raises(OutcomeUnknown, match="No space left on device"):
        memory.put("k", 1)
    for _ in range(2):
        with pytest.raises(DataDirectoryError, match="this write was not made") as refused:
            memory.put("k", 1)
        assert not refused.value.retryable
    memory.close()


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root may mount a small disk"
)
def test_opening_on_a_full_disk_names_path_and_reason_and_is_made_up_for(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(OSError, match="No space left"), (disk / "rest").open("wb", 0) as rest:
            while True:
                rest.write(bytes(4096))
        with pytest.raises(DataDirectoryError, match=r"in .*/disk/m.*No space left on device"):
            Memory(path=disk / "m")
        (disk / "rest").unlink()
        with Memory(path=disk / "m") as memory:
            memory.put("k", 1)
    finally:
        subprocess.run(["umount", disk], check=True)

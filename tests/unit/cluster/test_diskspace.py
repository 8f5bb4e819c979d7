"""The reserve of a disk: a node refuses writes while it can still run, and starts where there is no room."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from memraft_cluster.diskspace import BALLAST_NAME, RESERVE_BYTES, DiskSpace
from memraft_cluster.errors import DiskError, DiskFull
from memraft_cluster.log import DurableLog
from memraft_cluster.raft import Entry, HardState, Membership, SnapshotMeta

MIB = 1 << 20


def test_a_disk_with_room_is_not_full(tmp_path: Path) -> None:
    space = DiskSpace(tmp_path, 1)
    assert space.check() is None and not space.is_full
    assert space.free_bytes > 0
    assert DiskSpace(tmp_path).reserve_bytes <= RESERVE_BYTES


def test_a_disk_with_less_room_than_the_reserve_is_full_and_says_how_much(tmp_path: Path) -> None:
    space = DiskSpace(tmp_path, 1 << 60)
    full = space.check()
    assert isinstance(full, DiskFull) and space.is_full
    assert full.path == str(tmp_path) and full.reserve_bytes == 1 << 60 and full.retryable
    assert f"{full.free_bytes} bytes are free" in str(full)
    assert not space.restore() and not (tmp_path / BALLAST_NAME).exists()


def test_the_ballast_is_made_and_given_up(tmp_path: Path) -> None:
    space = DiskSpace(tmp_path, 4 * MIB)
    assert space.restore() and space.restore()
    assert space.ballast_bytes == MIB
    assert space.release() == MIB
    assert space.release() == 0 and not (tmp_path / BALLAST_NAME).exists()


def test_a_negative_reserve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        DiskSpace(tmp_path, -1)


# -- a disk that is really small ---------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", path]).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def fill(disk: Path, leave: int) -> None:
    """Somebody else's file takes all room but for ``leave`` bytes."""
    room = os.statvfs(disk)
    with (disk / "others").open("ab", 0) as file:
        with suppress(OSError):
            rest = room.f_bavail * room.f_frsize - leave
            while rest > 0:
                rest -= file.write(bytes(min(rest, 64 << 10)))


def open_log(disk: Path) -> DurableLog:
    return DurableLog(disk / "log", cluster="c", node="n", segment_bytes=MIB)


def entry(index: int) -> list[Entry]:
    return [Entry(1, index, b"x" * 100_000)]


def test_on_a_small_disk_the_reserve_is_a_share_and_full_ends_with_room_to_spare(disk: Path) -> None:
    space = DiskSpace(disk)
    assert space.reserve_bytes == 16 * MIB // 20
    fill(disk, space.reserve_bytes - 4096)
    assert space.check() is not None
    with (disk / "others").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 8192)
    assert space.check() is not None, "not yet enough to begin again"
    with (disk / "others").open("r+b") as file:
        file.truncate(file.seek(0, 2) - space.reserve_bytes // 2)
    assert space.check() is None


def test_a_log_that_heeds_the_guard_meets_no_full_disk_and_goes_on_when_there_is_room(disk: Path) -> None:
    space = DiskSpace(disk, 2 * MIB)
    assert space.restore()
    log, index = open_log(disk), 0
    while space.check() is None:
        index += 1
        log.append(0, entry(index), HardState(1, 1, index - 1))
    assert index > 50
    log.append(0, (), HardState(2, 3, index))  # a vote still finds its place
    log.cut(0, SnapshotMeta(index - 5, 1, Membership.of((1,))))
    log.wait_given_back()
    assert space.check() is None, "cut files are given back"
    log.append(0, entry(index + 1))
    log.close()
    log = open_log(disk)
    assert (log.group(0).last_index(), log.hard_state(0)) == (index + 1, HardState(2, 3, index))
    log.close()


def test_a_full_disk_in_the_middle_of_a_write_is_an_error_and_loses_nothing_before(disk: Path) -> None:
    log, index = open_log(disk), 0
    log.append(0, entry(1), HardState(1, 1, 0))
    fill(disk, 300_000)
    with pytest.raises(DiskError, match="No space left on device"):
        for index in range(2, 100):
            log.append(0, entry(index))
    log.close()
    log = open_log(disk)
    assert log.group(0).last_index() == index - 1
    log.close()


def test_a_node_starts_on_a_disk_that_others_have_filled(disk: Path) -> None:
    space = DiskSpace(disk, 2 * MIB)
    assert space.restore()
    log = open_log(disk)
    for index in range(1, 61):
        log.append(0, entry(index), HardState(1, 1, index - 1))
    log.close()
    fill(disk, 0)
    space = DiskSpace(disk, 2 * MIB)
    assert space.free_bytes == 0 and space.is_full
    space.prepare_start()
    assert space.free_bytes >= MIB // 2
    log = open_log(disk)
    assert log.group(0).last_index() == 60
    log.cut(0, SnapshotMeta(55, 1, Membership.of((1,))))
    log.wait_given_back()
    assert space.check() is None
    log.append(0, entry(61))
    log.close()

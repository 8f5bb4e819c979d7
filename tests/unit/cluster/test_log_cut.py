"""Cutting, resetting and dropping groups: what goes, what stays, and that the disk gets its room back."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from memraft_cluster.log import DurableLog
from memraft_cluster.raft import Entry, EntryKind, HardState, Membership, SnapshotMeta

THREE = Membership.of((1, 2, 3))
FOUR = Membership.of((1, 2, 3, 4))


def open_log(path: Path) -> DurableLog:
    return DurableLog(path, cluster="c1", node="n1", segment_bytes=100_000)


def entries(first: int, last: int, term: int = 1, size: int = 1000) -> list[Entry]:
    return [Entry(term, index, index.to_bytes(4, "big") * (size // 4)) for index in range(first, last + 1)]


def reopened(log: DurableLog, tmp_path: Path) -> DurableLog:
    """As after SIGKILL: from the files as they are."""
    image = tmp_path / f"image{random.random()}"
    shutil.copytree(log.path, image)
    log.close()
    return open_log(image)


def test_a_cut_log_begins_behind_its_base(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, entries(1, 10), HardState(1, 1, 8))
    log.append(0, entries(11, 20, term=2), HardState(2, 1, 15))
    log.cut(0, SnapshotMeta(12, 2, THREE))
    for _ in range(2):
        group = log.group(0)
        assert (group.first_index(), group.last_index(), group.base()) == (
            13,
            20,
            SnapshotMeta(12, 2, THREE),
        )
        assert [group.term(index) for index in (12, 13, 20)] == [2, 2, 2]
        assert list(log.replay(0)) == entries(13, 20, term=2)
        assert group.size_bytes == 8000
        with pytest.raises(IndexError):
            group.term(11)
        with pytest.raises(IndexError, match=r"13\.\.20"):
            group.entries(12, 14, 100)
        log.cut(0, SnapshotMeta(5, 1, THREE))  # further back: nothing changes
        log = reopened(log, tmp_path)
    log.append(0, entries(13, 14, term=3), HardState(3, 1, 13))
    assert list(log.replay(0)) == entries(13, 14, term=3)
    log.cut(0, SnapshotMeta(14, 3, THREE))
    log = reopened(log, tmp_path)
    assert (log.group(0).first_index(), log.group(0).last_index(), log.group(0).term(14)) == (15, 14, 3)
    log.append(0, entries(15, 15, term=3))
    with pytest.raises(ValueError, match="cannot be cut at 16"):
        log.cut(0, SnapshotMeta(16, 3, THREE))
    log.close()


def test_memberships_are_known_by_index_and_go_with_their_entries(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, [*entries(1, 2), Entry(1, 3, THREE.encode(), EntryKind.MEMBERSHIP), *entries(4, 5)])
    log.append(0, [Entry(1, 6, FOUR.encode(), EntryKind.MEMBERSHIP)])
    for _ in range(2):
        assert list(log.group(0).memberships()) == [(3, THREE), (6, FOUR)]
        assert log.group(0).entries(3, 4, 1)[0].kind is EntryKind.MEMBERSHIP
        log = reopened(log, tmp_path)
    log.append(0, entries(6, 6, term=2))
    assert list(log.group(0).memberships()) == [(3, THREE)], "the conflicting one is gone"
    log.cut(0, SnapshotMeta(4, 1, THREE))
    for _ in range(2):
        assert list(log.group(0).memberships()) == []
        log = reopened(log, tmp_path)
    log.close()


def test_a_reset_log_is_empty_behind_its_base_and_keeps_the_vote(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, entries(1, 10), HardState(4, 2, 8, False))
    log.reset(0, SnapshotMeta(500, 3, THREE))
    log.append(0, entries(501, 502, term=4))
    for _ in range(2):
        assert log.hard_state(0) == HardState(4, 2, 8, False)
        assert list(log.replay(0)) == entries(501, 502, term=4)
        assert log.group(0).term(500) == 3
        log = reopened(log, tmp_path)
    log.reset(0, None)
    for _ in range(2):
        assert log.hard_state(0) == HardState(4, 2, 0, False), "nothing can be committed in it"
        assert (log.group(0).base(), log.group(0).first_index(), log.group(0).last_index()) == (None, 1, 0)
        log = reopened(log, tmp_path)
    log.append(0, entries(1, 3))
    log.close()


def test_a_dropped_group_is_gone_with_its_vote_and_may_come_back(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(1, entries(1, 3), HardState(7, 1, 2))
    log.append(0, entries(1, 200), HardState(7, 1, 2))
    log.drop_group(0)
    for _ in range(2):
        assert log.groups() == [1]
        assert log.hard_state(0) is None and log.group(0).last_index() == 0
        log = reopened(log, tmp_path)
    log.reset(0, SnapshotMeta(50, 1, THREE))
    log.append(0, entries(51, 60), HardState(2, 1, 50))
    log.append(1, entries(4, 300))
    log.cut(1, SnapshotMeta(299, 1, THREE))
    log.wait_given_back()
    log = reopened(log, tmp_path)
    assert log.hard_state(0) == HardState(2, 1, 50)
    assert list(log.replay(0)) == entries(51, 60)
    log.close()


def test_cut_entries_give_their_room_back_and_files_are_used_again(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(7, entries(1, 3), HardState(1, 1, 3))  # idle from now on: must not hold on to old files
    last, most = 0, 0
    for _ in range(60):
        log.append(0, entries(last + 1, last + 40), HardState(1, 1, last))
        last += 40
        log.cut(0, SnapshotMeta(last - 30, 1, THREE))
        log.wait_given_back()
        most = max(most, log.disk_bytes())
    log.wait_given_back()
    assert most < 1_200_000 < last * 1000
    log = reopened(log, tmp_path)
    assert log.disk_bytes() < 1_200_000
    assert list(log.replay(0)) == entries(last - 29, last)
    assert list(log.replay(7)) == entries(1, 3)
    assert log.hard_state(7) == HardState(1, 1, 3)
    log.append(7, entries(4, 5))
    log = reopened(log, tmp_path)
    assert list(log.replay(7)) == entries(1, 5)
    log.close()


def test_a_crash_at_any_moment_of_giving_back_loses_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    for first in range(1, 500, 50):
        log.append(0, entries(first, first + 49), HardState(1, 1, first))
    before = shutil.copytree(log.path, tmp_path / "before")
    log.cut(0, SnapshotMeta(450, 1, THREE))
    log.wait_given_back()
    after = shutil.copytree(log.path, tmp_path / "after")
    log.close()
    # The new HEAD is durable, and no file is gone yet.
    shutil.copy(after / "HEAD", before / "HEAD")
    log = open_log(before)
    assert list(log.replay(0)) == entries(451, 500)
    assert log.disk_bytes() < 300_000
    log.close()


def test_a_large_write_gets_a_file_of_its_own(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, entries(1, 2))
    log.append(0, entries(3, 4, size=300_000))
    log.append(0, entries(5, 6))
    log = reopened(log, tmp_path)
    assert list(log.replay(0)) == [*entries(1, 2), *entries(3, 4, size=300_000), *entries(5, 6)]
    log.close()


def test_how_much_of_a_log_to_keep_is_known_without_reading_it(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    group = log.group(0)
    assert (group.size_bytes, group.index_keeping(10), group.bytes_after(0)) == (0, 0, 0)
    log.append(0, entries(1, 10))
    assert group.size_bytes == 10_000
    assert [group.bytes_after(index) for index in (0, 1, 9, 10, 11)] == [10_000, 9000, 1000, 0, 0]
    assert [group.index_keeping(size) for size in (0, 999, 1000, 2500, 9999, 10_000, 1 << 30)] == [
        10,
        10,
        9,
        8,
        1,
        0,
        0,
    ]
    log.cut(0, SnapshotMeta(4, 1, THREE))
    assert group.size_bytes == 6000
    assert [group.bytes_after(index) for index in (0, 4, 5, 10)] == [6000, 6000, 5000, 0]
    assert [group.index_keeping(size) for size in (0, 2500, 6000)] == [10, 8, 4]
    log.close()

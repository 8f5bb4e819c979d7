"""What becomes of a log whose state is not there any more."""

import os
from pathlib import Path

import pytest

from memraft_cluster.errors import DataDirectoryError
from memraft_cluster.log import DurableLog
from memraft_cluster.raft import Entry, HardState, Membership, SnapshotMeta
from memraft_server.storage import LOG, STATE, keep_log_of_lost_states
from memraft_server.store_repair import SET_ASIDE_MAX, set_aside

BASE = SnapshotMeta(2, 1, Membership((1, 2, 3)))


def open_log(directory: Path) -> DurableLog:
    return DurableLog(directory / LOG, cluster="test", node="n1")


def cut_log(directory: Path) -> DurableLog:
    """A log of entries 3 and 4: what comes before them is in the state alone."""
    log = open_log(directory)
    log.append(7, [Entry(1, index, b"entry %d" % index) for index in range(1, 5)], HardState(1, 1, 4))
    log.cut(7, BASE)
    return log


def kept(directory: Path) -> list[Path]:
    return sorted(directory.glob("log.kept-*"))


def test_a_log_without_its_state_is_copied_with_all_its_entries(tmp_path: Path) -> None:
    log = cut_log(tmp_path)
    keep_log_of_lost_states(tmp_path, log, {})
    log.reset(7, None)
    log.close()

    (copy,) = kept(tmp_path)
    (tmp_path / "other").mkdir()
    copy.rename(tmp_path / "other" / LOG)
    found = open_log(tmp_path / "other")
    assert [entry.data for entry in found.replay(7)] == [b"entry 3", b"entry 4"]
    found.close()


def test_a_log_whose_state_reaches_it_is_not_copied(tmp_path: Path) -> None:
    log = cut_log(tmp_path)
    keep_log_of_lost_states(tmp_path, log, {7: BASE})
    log.close()
    assert kept(tmp_path) == []


def test_no_more_copies_are_kept_than_are_wanted(tmp_path: Path) -> None:
    log = cut_log(tmp_path)
    for _ in range(SET_ASIDE_MAX + 2):
        keep_log_of_lost_states(tmp_path, log, {})
    log.close()
    assert len(kept(tmp_path)) == SET_ASIDE_MAX


def test_a_copy_that_cannot_be_made_leaves_the_log_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = cut_log(tmp_path)

    def no_room(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copytree", no_room)
    with pytest.raises(DataDirectoryError, match=r"cannot be copied.*No space left"):
        keep_log_of_lost_states(tmp_path, log, {})
    assert log.group(7).last_index() == 4
    log.close()


def test_a_damaged_state_is_set_aside_durably(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, synced = os.fsync, set[int]()

    def fsync(descriptor: int) -> None:
        if any(tmp_path.glob("state.damaged-*")):
            synced.add(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / STATE).mkdir()
    kept = set_aside(tmp_path / STATE, "a row is lost")
    assert kept.is_dir() and not (tmp_path / STATE).exists()
    assert synced == {tmp_path.stat().st_ino}, "a crash must not bring the damaged one back"
    with pytest.raises(DataDirectoryError, match=r"state is damaged \(gone\) and cannot be set aside"):
        set_aside(tmp_path / STATE, "gone")

"""The mark beside the log: never torn, and the second copy of every vote."""

from __future__ import annotations

from pathlib import Path

import pytest

from memraft_cluster.marks import FILE_NAME, GroupMark, Marks, SlotsUnreadable, read_marks
from memraft_cluster.raft import HardState
from memraft_cluster.slots import SlotFile


def test_a_mark_comes_back_with_every_groups_vote(tmp_path: Path) -> None:
    marks = Marks(tmp_path)
    marks.create(3, 1, [GroupMark(7, 2, 1, 9, 2), GroupMark(8, 0, 0, 4, 1, has_state=False)])
    assert read_marks(tmp_path) == (
        3,
        1,
        {7: GroupMark(7, 2, 1, 9, 2), 8: GroupMark(8, 0, 0, 4, 1, False, False)},
    )
    marks.note(7, HardState(4, 2, 9, is_whole=False), 12, 4)
    marks.note(9, HardState(1, 0, 0), 0, 0)
    assert read_marks(tmp_path)[0] == 3, "not yet written"
    marks.write(5, 2)
    seq, segment, found = read_marks(tmp_path)
    assert (seq, segment) == (5, 2)
    assert found[7] == GroupMark(7, 4, 2, 12, 4, is_whole=False)
    assert found[9] == GroupMark(9, 1, 0, 0, 0)
    marks.drop(7)
    marks.write(6, 2)
    assert sorted(read_marks(tmp_path)[2]) == [8, 9]
    marks.note(9, HardState(2, 1, 0), 1, 2)
    marks.write(7, 2)
    assert read_marks(tmp_path)[2][9] == GroupMark(9, 2, 1, 1, 2)
    marks.close()


def test_a_write_torn_anywhere_leaves_the_last_durable_one(tmp_path: Path) -> None:
    marks = Marks(tmp_path)
    marks.create(1, 1, [GroupMark(0, 1, 1, 1, 1)])
    marks.note(0, HardState(1, 1, 0), 2, 1)
    marks.write(2, 1)
    marks.sync()
    before = (tmp_path / FILE_NAME).read_bytes()
    marks.note(0, HardState(1, 1, 0), 3, 1)
    marks.write(3, 1)
    marks.close()
    after = (tmp_path / FILE_NAME).read_bytes()
    changed = [at for at, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    for upto in changed:
        (tmp_path / FILE_NAME).write_bytes(after[:upto] + before[upto:])
        assert read_marks(tmp_path)[0] == 2
    (tmp_path / FILE_NAME).write_bytes(after)
    assert read_marks(tmp_path)[0] == 3


def test_a_new_vote_stands_in_both_copies(tmp_path: Path) -> None:
    marks = Marks(tmp_path)
    marks.create(1, 1, [GroupMark(0, 1, 1, 1, 1)])
    marks.note(0, HardState(9, 2, 0), 1, 1)
    marks.write(2, 1)
    marks.close()
    whole = (tmp_path / FILE_NAME).read_bytes()
    for start in (0, len(whole) // 2):
        damaged = bytearray(whole)
        at = next(place for place in range(start, len(whole)) if whole[place])
        damaged[at] ^= 1
        (tmp_path / FILE_NAME).write_bytes(damaged)
        assert read_marks(tmp_path)[2][0] == GroupMark(0, 9, 2, 1, 1)


def test_no_copy_is_written_while_the_other_is_not_durable(tmp_path: Path) -> None:
    """Power that fails in between could tear both, and with them the second copy of every vote."""
    now, unsynced = 0.0, set()
    marks = Marks(tmp_path, lambda: now)
    marks.create(1, 1, [GroupMark(0, 1, 1, 1, 1)])
    store, sync = marks._slots.store, marks._slots.sync

    def noting(record: bytes | bytearray) -> None:
        store(record)
        unsynced.add(marks._slots._version % 2)
        assert len(unsynced) == 1, "both copies are in the air"

    def clearing() -> None:
        sync()
        unsynced.clear()

    marks._slots.store, marks._slots.sync = noting, clearing  # type: ignore[method-assign]
    for seq in range(2, 30):
        now += 0.3
        marks.note(0, HardState(seq // 5 + 1, 0, seq), seq, 1)
        marks.write(seq, 1)
    marks.close()
    assert read_marks(tmp_path)[0] == 29


def test_marks_damaged_in_both_copies_are_unreadable(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_marks(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(bytes(100))
    with pytest.raises(SlotsUnreadable, match=FILE_NAME):
        read_marks(tmp_path)


def test_it_is_synced_with_each_new_vote_and_once_a_second(tmp_path: Path) -> None:
    now, synced = 0.0, 0
    marks = Marks(tmp_path, lambda: now)
    sync = marks._slots.sync

    def counting() -> None:
        nonlocal synced
        synced += 1
        sync()

    marks._slots.sync = counting  # type: ignore[method-assign]
    marks.create(1, 1, [GroupMark(0, 1, 1, 1, 1)])
    for last, state, at, expected in (
        (2, HardState(1, 1, 1), 0.1, 0),
        (3, HardState(1, 1, 2), 0.2, 0),
        (3, HardState(2, 0, 2), 0.3, 1),
        (4, HardState(2, 0, 3), 0.4, 1),
        (5, HardState(2, 0, 4), 1.4, 2),
        (6, HardState(2, 3, 4), 1.5, 3),
    ):
        now = at
        marks.note(0, state, last, 1)
        marks.write(last, 1)
        assert synced == expected
    marks.close()


def test_a_mark_that_comes_late_takes_nothing_back_and_a_vote_is_synced_by_whoever_comes_first(
    tmp_path: Path,
) -> None:
    synced = 0
    marks = Marks(tmp_path, lambda: 0.0)
    marks.create(1, 1, [GroupMark(0, 1, 1, 1, 1)])
    sync = marks._slots.sync

    def counting() -> None:
        nonlocal synced
        synced += 1
        sync()

    marks._slots.sync = counting  # type: ignore[method-assign]
    marks.note(0, HardState(2, 2, 1), 1, 1)
    late = marks.take(2, 1)  # a background sync begins, and takes its time
    marks.write(3, 1)
    assert synced == 1, "the vote that the other has taken, too, leaves no sooner than it is durable"
    marks.note(0, HardState(3, 3, 1), 1, 1)
    marks.write(4, 1)
    marks.store(*late)
    assert read_marks(tmp_path)[0] == 4
    assert read_marks(tmp_path)[2][0].vote == 3
    marks.close()


def test_a_record_too_large_for_a_slot_is_refused(tmp_path: Path) -> None:
    slots = SlotFile(tmp_path / "file", b"test", 100)
    slots.create(b"small")
    with pytest.raises(ValueError, match="too large"):
        slots.store(bytes(90))
    slots.close()
    assert SlotFile(tmp_path / "file", b"test", 100).open() == b"small"

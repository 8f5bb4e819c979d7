"""A damaged log is replaced by one that keeps the votes; nothing is guessed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from memraft_cluster.errors import LogCorrupted, VoteUnknown, WrongDirectory
from memraft_cluster.log import DurableLog
from memraft_cluster.raft import Entry, HardState, Membership, SnapshotMeta
from memraft_cluster.salvage import GroupSalvage, SalvageReport, open_or_salvage

BASE = SnapshotMeta(10, 2, Membership.of((1, 2, 3)))


def entries(first: int, last: int, term: int) -> list[Entry]:
    return [Entry(term, index, b"data %d" % index * 9) for index in range(first, last + 1)]


def write_log(path: Path) -> None:
    """Group 0 has a state up to 10 and a newest vote; group 3 has no state."""
    log = DurableLog(path, cluster="c1", node="n1")
    log.append(0, entries(1, 20, 2), HardState(2, 1, 15))
    log.append(3, entries(1, 5, 1), HardState(1, 0, 5))
    log.append(0, (), HardState(4, 3, 15))
    log.close()


def open_again(
    path: Path, bases: Mapping[int, SnapshotMeta] | None = None, **options: object
) -> tuple[DurableLog, SalvageReport | None]:
    args = {"cluster": "c1", "node": "n1", "state_bases": {0: BASE} if bases is None else bases, **options}
    return open_or_salvage(path, **args)  # type: ignore[arg-type]


def flip(file: Path, offset: int) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= 16
    file.write_bytes(data)


def test_a_sound_log_is_opened_as_it_is(tmp_path: Path) -> None:
    write_log(tmp_path / "log")
    log, report = open_again(tmp_path / "log")
    assert report is None and log.group(0).last_index() == 20
    log.close()
    assert [each.name for each in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize("damage", ["early flip", "the vote's record", "cut", "gone", "head"])
def test_a_damaged_log_is_set_aside_and_its_votes_live_on(tmp_path: Path, damage: str) -> None:
    write_log(tmp_path / "log")
    segment = tmp_path / "log" / "0000000001.log"
    used = len(segment.read_bytes().rstrip(b"\0"))
    match damage:
        case "early flip":
            flip(segment, 200)
        case "the vote's record":
            flip(segment, used - 10)
        case "cut":
            segment.write_bytes(segment.read_bytes()[: used - 40])
        case "gone":
            segment.unlink()
        case "head":
            (tmp_path / "log" / "HEAD").write_bytes(b"")
    log, report = open_again(tmp_path / "log")
    assert report is not None
    assert report.groups == (GroupSalvage(0, 4, 3, 10, 20), GroupSalvage(3, 1, 0, 0, 5))
    assert ("HEAD" if damage == "head" else segment.name) in report.damage
    assert log.hard_state(0) == HardState(4, 3, 10, is_whole=False)
    assert log.hard_state(3) == HardState(1, 0, 0, is_whole=False)
    assert (log.group(0).base(), log.group(0).last_index(), log.group(0).term(10)) == (BASE, 10, 2)
    assert (log.group(3).base(), log.group(3).last_index()) == (None, 0)
    log.append(0, entries(11, 12, 4))
    log.close()
    log, report = open_again(tmp_path / "log")
    assert report is None
    assert log.hard_state(0) == HardState(4, 3, 10, is_whole=False), "until it has caught up"
    assert log.group(0).last_index() == 12
    log.close()


@pytest.mark.parametrize("can_heal", [True, False])
def test_damage_to_what_the_state_covers_costs_no_vote(
    tmp_path: Path, can_heal: bool, caplog: pytest.LogCaptureFixture
) -> None:
    write_log(tmp_path / "log")
    segment = tmp_path / "log" / "0000000001.log"
    flip(segment, segment.read_bytes().index(b"data 7"))
    log, report = open_again(tmp_path / "log", can_heal=can_heal)
    assert report is None and "group 0, index 7" in str(vars(caplog.records[-1])["fields"])
    assert log.hard_state(0) == HardState(4, 3, 15), "it is whole, with the vote it gave"
    assert log.group(0).base() == BASE and list(log.replay(0)) == entries(11, 20, 2)
    log.close()
    flip(segment, segment.read_bytes().index(b"data 11"))
    if can_heal:
        log, report = open_again(tmp_path / "log")
        assert report is not None and log.hard_state(0) == HardState(4, 3, 10, is_whole=False)
        log.close()
    else:
        with pytest.raises(LogCorrupted, match="group 0, index 11"):
            open_again(tmp_path / "log", can_heal=False)


def test_where_nobody_else_has_the_entries_damage_is_raised(tmp_path: Path) -> None:
    write_log(tmp_path / "log")
    flip(tmp_path / "log" / "0000000001.log", 200)
    with pytest.raises(LogCorrupted):
        open_again(tmp_path / "log", can_heal=False)
    assert [each.name for each in tmp_path.iterdir()] == ["log"]


def test_a_node_whose_votes_are_lost_in_both_copies_does_not_start(tmp_path: Path) -> None:
    write_log(tmp_path / "log")
    flip(tmp_path / "log" / "0000000001.log", 200)
    (tmp_path / "log" / "marks").write_bytes(b"")
    with pytest.raises(VoteUnknown, match=r"marks.*Remove the node .*add it again"):
        open_again(tmp_path / "log")
    assert [each.name for each in tmp_path.iterdir()] == ["log"], "and nothing was touched"


@pytest.mark.parametrize("number", [2, 5])
def test_a_state_of_which_the_votes_copy_knows_nothing_is_a_lost_vote(tmp_path: Path, number: int) -> None:
    """Group 2 is in no mark; of group 5 the mark says that it never had a vote. A state came with one."""
    write_log(tmp_path / "log")
    log = DurableLog(tmp_path / "log", cluster="c1", node="n1")
    log.append(5, entries(1, 1, 1))
    log.close()
    flip(tmp_path / "log" / "0000000001.log", 200)
    with pytest.raises(VoteUnknown, match=rf"group {number} has a state up to index 10 and no vote"):
        open_again(tmp_path / "log", {0: BASE, number: BASE})
    assert [each.name for each in tmp_path.iterdir()] == ["log"], "and nothing was touched"
    log, report = open_again(tmp_path / "log", {0: BASE})
    assert report is not None and [each.group for each in report.groups] == [0, 3]
    log.close()


def test_a_log_without_a_vote_is_given_none_for_the_disk_may_be_new(tmp_path: Path) -> None:
    """Whoever has a term 0 and no vote would count as one that never voted, on the disk before either."""
    log = DurableLog(tmp_path / "log", cluster="c1", node="n1")
    log.append(
        0, (), HardState(2, 1, 0, is_whole=False)
    )  # a new disk, and its own vote: none is left to give
    log.append(5, entries(1, 1, 1))
    log.close()
    flip(tmp_path / "log" / "0000000001.log", 200)
    log, report = open_again(tmp_path / "log", {})
    assert report is not None and report.groups == (GroupSalvage(0, 2, 1, 0, 0),)
    assert log.hard_state(0) == HardState(2, 1, 0, is_whole=False)
    assert log.hard_state(5) is None and log.group(5).last_index() == 0
    log.close()


def test_a_state_without_any_log_is_a_lost_vote_and_no_new_node(tmp_path: Path) -> None:
    with pytest.raises(VoteUnknown, match="no log beside the node's state"):
        open_again(tmp_path / "log")
    (tmp_path / "log").mkdir()
    with pytest.raises(VoteUnknown, match="no log beside the node's state"):
        open_again(tmp_path / "log")
    log, report = open_again(tmp_path / "log", {})
    assert report is None and log.groups() == []
    log.close()


def test_anothers_directory_is_refused_and_not_salvaged(tmp_path: Path) -> None:
    write_log(tmp_path / "log")
    with pytest.raises(WrongDirectory):
        open_again(tmp_path / "log", node="n2")


def test_a_salvage_that_a_crash_broke_off_is_done_again_or_finished(tmp_path: Path) -> None:
    write_log(tmp_path / "log")
    flip(tmp_path / "log" / "0000000001.log", 200)
    shutil.copytree(tmp_path / "log", tmp_path / "damaged")
    (tmp_path / "log.salvage").mkdir()  # begun, and the damaged log is still in its place
    (tmp_path / "log.salvage" / "HEAD").write_bytes(b"begun")
    log, report = open_again(tmp_path / "log")
    assert report is not None
    log.close()
    (tmp_path / "log").rename(tmp_path / "log.salvage")  # done, but not yet put into place
    log, report = open_again(tmp_path / "log")
    assert report is None
    assert log.hard_state(0) == HardState(4, 3, 10, is_whole=False)
    log.close()


def test_no_more_than_two_damaged_logs_are_kept(tmp_path: Path) -> None:
    for _ in range(4):
        shutil.rmtree(tmp_path / "log", ignore_errors=True)
        write_log(tmp_path / "log")
        flip(tmp_path / "log" / "0000000001.log", 200)
        log, report = open_again(tmp_path / "log")
        log.close()
        assert report is not None and Path(report.set_aside).is_dir()
    assert len(list(tmp_path.glob("log.damaged-*"))) == 2

"""The log of the core: what is durable, what is in memory, and where entries give way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memraft_cluster.raft import (
    BadMessage,
    BrokenInvariant,
    EntriesUnavailable,
    Entry,
    EntryKind,
    Membership,
    SnapshotMeta,
)
from memraft_cluster.raft.log import ENTRY_OVERHEAD_BYTES, Log
from tests.simulation.disk import SimDisk

MANY_BYTES = 1 << 30
ONE = Membership((1,))
THREE = Membership((1, 2, 3), (4,))


def entries(first: int, *terms: int, data: bytes = b"x") -> list[Entry]:
    return [Entry(term, first + offset, data) for offset, term in enumerate(terms)]


def disk_with(*terms: int) -> SimDisk:
    disk = SimDisk()
    disk.log = entries(1, *terms)
    return disk


def terms_of(log: Log) -> list[int]:
    return [log.term(index) for index in range(1, log.last_index + 1)]


def test_an_empty_log_ends_before_its_first_entry() -> None:
    log = Log(SimDisk(), 0, 0, 0)
    assert (log.last_index, log.last_term, log.term(0)) == (0, 0, 0)
    assert log.matches(0, 0)
    assert log.unstable() == []
    assert log.entries(1, MANY_BYTES) == ()
    assert log.take_committed(MANY_BYTES) == []


def test_a_log_shorter_than_what_was_committed_is_not_opened() -> None:
    with pytest.raises(BrokenInvariant, match="ends at 2, but 3 was committed"):
        Log(disk_with(1, 1), committed=3, applied=0, cache_bytes_max=0)
    with pytest.raises(BrokenInvariant, match="ends at 2, but 3 was committed"):
        Log(disk_with(1, 1), committed=1, applied=3, cache_bytes_max=0)


def test_what_was_applied_is_committed() -> None:
    assert Log(disk_with(1, 1), committed=0, applied=2, cache_bytes_max=0).committed == 2


def test_entries_come_from_disk_and_then_from_memory() -> None:
    log = Log(disk_with(1, 1), 0, 0, 0)
    log.append(entries(3, 2, 2))
    assert log.entries(1, MANY_BYTES) == tuple(entries(1, 1, 1))
    assert log.entries(3, MANY_BYTES) == tuple(entries(3, 2, 2))
    assert log.unstable() == entries(3, 2, 2)


def test_a_conflict_cuts_disk_and_memory_from_there() -> None:
    log = Log(disk_with(1, 1, 1), 1, 1, 0)
    log.append(entries(4, 1))
    log.append(entries(2, 1, 2))
    assert terms_of(log) == [1, 1, 2]
    assert log.unstable() == entries(3, 2)
    assert log.durable == 2


def test_a_committed_entry_never_gives_way() -> None:
    log = Log(disk_with(1, 1), 2, 0, 0)
    with pytest.raises(BrokenInvariant, match="entry 2 conflicts"):
        log.append(entries(2, 2))


def test_a_commit_beyond_the_log_means_lost_entries() -> None:
    with pytest.raises(BrokenInvariant, match="log ends at 2"):
        Log(disk_with(1, 1), 0, 0, 0).commit_to(3)


def test_synced_entries_that_were_cut_meanwhile_are_not_durable() -> None:
    log = Log(SimDisk(), 0, 0, 0)
    log.append(entries(1, 1, 1, 1))
    handed_out = log.unstable()
    log.append(entries(2, 2, 2))
    log.synced(handed_out[-1])
    assert log.durable == 0
    log.synced(log.unstable()[-1])
    assert log.durable == 3


def test_bytes_bound_what_is_read_but_one_entry_always_comes() -> None:
    log = Log(SimDisk(), 0, 0, 0)
    log.append(entries(1, 1, 1, 1, data=b"12345678"))
    size = 8 + ENTRY_OVERHEAD_BYTES
    assert len(log.entries(1, 1)) == 1
    assert len(log.entries(1, 2 * size - 1)) == 1
    assert len(log.entries(1, 2 * size)) == 2
    assert len(log.entries(2, MANY_BYTES)) == 2
    assert log.bytes_between(2, 4) == 2 * size


def test_memory_keeps_what_is_not_durable_or_not_applied_and_the_newest_beyond() -> None:
    disk = SimDisk()
    log = Log(disk, 0, 0, cache_bytes_max=10 * ENTRY_OVERHEAD_BYTES)
    for index in range(1, 101):
        assert log.append_own(1, b"") == index
    log.commit_to(100)
    log.take_committed(MANY_BYTES)
    log.applied_to(100)
    assert log.bytes_between(1, 101) == 100 * ENTRY_OVERHEAD_BYTES, "nothing may go before it is durable"
    disk.write(None, log.unstable())
    disk.sync()
    log.synced(Entry(1, 100, b""))
    log.applied_to(100)
    assert log.bytes_between(1, 101) == 10 * ENTRY_OVERHEAD_BYTES
    assert [log.term(index) for index in (1, 90, 91, 100)] == [1, 1, 1, 1]
    assert log.entries(1, MANY_BYTES)[0].index == 1


def test_committed_entries_are_handed_out_once_in_pages() -> None:
    log = Log(disk_with(1, 1, 1), 3, 1, 0)
    assert log.take_committed(1) == entries(2, 1)
    assert log.take_committed(1) == entries(3, 1)
    assert log.take_committed(1) == []


def test_what_is_gone_is_named() -> None:
    disk = disk_with(1, 1, 2)
    disk.cut(SnapshotMeta(2, 1, THREE))
    log = Log(disk, 2, 2, 0)
    with pytest.raises(EntriesUnavailable, match="log entry 1 is gone: the log begins at 3"):
        log.term(1)
    with pytest.raises(EntriesUnavailable, match="log entry 2 is gone"):
        log.entries(2, MANY_BYTES)
    with pytest.raises(EntriesUnavailable, match="log entry 1 is gone"):
        log.label(1)
    assert (log.term(2), log.first_index, log.last_index) == (1, 3, 3)
    assert log.reaches_back_to(2)
    assert not log.reaches_back_to(1)


def test_a_log_that_is_cut_begins_with_what_its_base_says() -> None:
    disk = disk_with(1, 1, 2)
    disk.cut(SnapshotMeta(3, 2, THREE))
    log = Log(disk, 0, 3, 0, ONE)
    assert (log.committed, log.handed, log.last_index, log.last_term) == (3, 3, 3, 2)
    assert (log.membership, log.membership_index) == (THREE, 3)
    assert log.label(3) == SnapshotMeta(3, 2, THREE)
    log.append(entries(4, 2))
    assert log.unstable() == entries(4, 2)
    with pytest.raises(BrokenInvariant, match="2 was applied, but the log begins behind entry 3"):
        Log(disk, 0, 2, 0, ONE)


def test_where_logs_may_meet_is_never_sought_before_the_log() -> None:
    disk = disk_with(1, 2, 4, 4)
    disk.cut(SnapshotMeta(3, 4, THREE))
    log = Log(disk, 3, 3, 0)
    assert log.last_index_at_or_below_term(4, 4) == 4
    assert log.last_index_at_or_below_term(4, 3) == 3, "unknown from there on"
    assert log.last_index_at_or_below_term(2, 9) == 2


def test_the_log_is_cut_behind_the_back_of_the_core_and_memory_still_serves() -> None:
    disk = SimDisk()
    log = Log(disk, 0, 0, MANY_BYTES)
    log.append(entries(1, 1, 1, 1))
    disk.write(None, log.unstable())
    disk.sync()
    log.synced(Entry(1, 3, b""))
    log.commit_to(3)
    log.take_committed(MANY_BYTES)
    log.applied_to(3)
    disk.cut(log.label(3))
    assert log.entries(2, MANY_BYTES) == tuple(entries(2, 1, 1))
    assert log.reaches_back_to(1)


def membership_entry(index: int, term: int, membership: Membership) -> Entry:
    return Entry(term, index, membership.encode(), EntryKind.MEMBERSHIP)


def test_the_newest_membership_is_in_force_and_goes_with_its_entry() -> None:
    log = Log(SimDisk(), 0, 0, 0, ONE)
    assert (log.membership, log.membership_index) == (ONE, 0)
    log.append([*entries(1, 1), membership_entry(2, 1, THREE), *entries(3, 1)])
    assert (log.membership, log.membership_index, log.membership_before) == (THREE, 2, ONE)
    assert log.append_membership(1, ONE) == 4
    assert [log.label(index).membership for index in (1, 2, 3, 4)] == [ONE, THREE, THREE, ONE]
    log.append(entries(3, 2))
    assert (log.membership, log.membership_index) == (THREE, 2)
    log.append(entries(2, 2))
    assert (log.membership, log.membership_index) == (ONE, 0)


def test_memberships_are_found_on_disk_behind_the_base() -> None:
    disk = SimDisk()
    disk.log = [*entries(1, 1), membership_entry(2, 1, THREE), membership_entry(3, 1, ONE)]
    log = Log(disk, 0, 0, 0, ONE)
    assert [log.label(index).membership for index in (1, 2, 3)] == [ONE, THREE, ONE]
    disk.cut(SnapshotMeta(2, 1, THREE))
    assert Log(disk, 2, 2, 0, ONE).label(2).membership == THREE


def test_an_entry_that_is_no_membership_changes_nothing() -> None:
    log = Log(SimDisk(), 0, 0, 0, ONE)
    with pytest.raises(BadMessage, match="entry 2 holds no membership"):
        log.append([*entries(1, 1), Entry(1, 2, b"rubbish", EntryKind.MEMBERSHIP)])
    assert log.last_index == 0


def test_memberships_of_long_ago_are_forgotten() -> None:
    disk = SimDisk()
    log = Log(disk, 0, 0, 0, ONE)
    for _ in range(50):
        log.append_membership(1, THREE)
        disk.write(None, log.unstable())
        disk.sync()
        log.synced(Entry(1, log.last_index, b""))
        log.commit_to(log.last_index)
        log.take_committed(MANY_BYTES)
        log.applied_to(log.last_index)
        disk.cut(log.label(log.last_index))
    assert len(log._memberships) <= 2


def test_a_snapshot_takes_the_place_of_the_log_before_storage_knows() -> None:
    disk = disk_with(1, 1, 1, 1, 1, 1)
    log = Log(disk, 2, 1, 0, ONE)
    log.append(entries(7, 1))
    under_way = log.unstable()
    label = SnapshotMeta(5, 3, THREE)
    log.install(label)
    assert (log.first_index, log.last_index, log.committed, log.handed) == (6, 5, 5, 5)
    assert (log.term(5), log.membership, log.unstable()) == (3, THREE, [])
    with pytest.raises(EntriesUnavailable):
        log.term(4)
    log.append(entries(6, 3))
    assert log.unstable() == entries(6, 3)
    log.synced(under_way[-1])
    assert log.durable == 5, "what was being written before is gone with the reset"
    disk.reset(label)
    disk.write(None, log.unstable())
    disk.sync()
    log.installed(label)
    log.synced(Entry(3, 6, b""))
    assert (log.durable, log.applied, log.first_index, log.term(5)) == (6, 5, 6, 3)


def test_a_log_that_is_not_whole_may_end_before_what_was_committed() -> None:
    log = Log(disk_with(1, 1), 9, 1, 0, ONE, is_whole=False)
    assert (log.committed, log.last_index) == (2, 2)


@given(st.lists(st.integers(1, 5), max_size=30).map(sorted), st.integers(0, 35), st.integers(0, 6))
def test_where_logs_may_meet(terms: list[int], index: int, term: int) -> None:
    """The binary search finds what a walk backwards finds."""
    log = Log(disk_with(*terms), 0, 0, 0)
    expected = min(index, len(terms))
    while expected and terms[expected - 1] > term:
        expected -= 1
    assert log.last_index_at_or_below_term(index, term) == expected


@given(
    st.lists(st.integers(1, 3), max_size=12).map(sorted),
    st.lists(st.integers(1, 3), min_size=1, max_size=12).map(sorted),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_append_does_what_the_thesis_says(
    mine: list[int], leaders: list[int], on_disk: int, previous: int
) -> None:
    """Figure 3.1: conflicting entries and all that follow go, missing ones come, the rest stays."""
    on_disk = min(on_disk, len(mine))
    previous = min(previous, len(mine), len(leaders))
    if mine[:previous] != leaders[:previous]:
        return
    log = Log(disk_with(*mine[:on_disk]), 0, 0, 0)
    if on_disk < len(mine):
        log.append(entries(on_disk + 1, *mine[on_disk:]))
    expected = list(mine)
    for position in range(previous, len(leaders)):
        if position < len(expected) and expected[position] != leaders[position]:
            del expected[position:]
        if position >= len(expected):
            expected.append(leaders[position])
    if leaders[previous:]:
        log.append(entries(previous + 1, *leaders[previous:]))
    assert terms_of(log) == expected
    assert log.last_term == (expected[-1] if expected else 0)
    assert log.durable <= on_disk
    assert log.unstable() == entries(log.durable + 1, *expected[log.durable :])

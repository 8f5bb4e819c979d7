"""What a node makes of a state and a log that a crash left behind: where they meet, and where they do not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from memraft_cluster.driver_config import DriverConfig
from memraft_cluster.errors import LogCorrupted
from memraft_cluster.group import Group
from memraft_cluster.group_state import GroupSpec, Shared
from memraft_cluster.log import DurableLog
from memraft_cluster.raft import Entry, EntryKind, HardState, Membership, SnapshotMeta
from memraft_cluster.startup import start_group
from tests.unit.cluster.harness import NODES, Cluster, Lines, Recorder, Shelf, run_cluster, until
from tests.unit.cluster.test_snapshots import SMALL_LOG, a_follower, write_until_cut

VOTERS = Membership(NODES)


def open_log(path: Path) -> DurableLog:
    return DurableLog(path, cluster="test", node="n1")


def entries(first: int, last: int, term: int = 1) -> list[Entry]:
    return [Entry(term, index, b"command %d" % index) for index in range(first, last + 1)]


def shelf_at(index: int, term: int = 1) -> Shelf:
    shelf = Shelf()
    shelf.rows = [(each, b"command %d" % each) for each in range(1, index + 1)]
    shelf.meta = SnapshotMeta(index, term, VOTERS)
    return shelf


def start(log: DurableLog, shelf: Shelf) -> tuple[Group, Recorder]:
    """Start the group of node 1 as the driver does."""
    machine = Recorder(shelf)
    config = DriverConfig(1)

    async def run() -> Group:
        async def run_job(job: object) -> None:
            job()  # type: ignore[operator]

        spec = GroupSpec(machine, Lines(), voters=NODES)
        shared = Shared(config.group_limits())
        return await start_group(config, log, 0, spec, shared, run_job=run_job, seed=1)

    return asyncio.run(run()), machine


def test_what_is_committed_behind_the_state_is_replayed(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, entries(1, 10), HardState(1, 1, 8))
    group, machine = start(log, shelf_at(5))
    assert machine.applied_since_load == [6, 7, 8]
    assert machine.commands == [b"command %d" % index for index in range(1, 9)]
    assert group.applied == 8 and group.core.status().last_index == 10
    log.close()


def test_changes_of_members_are_not_shown_to_the_machine(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    change = Entry(1, 3, Membership(NODES, (4,)).encode(), EntryKind.MEMBERSHIP)
    log.append(0, [*entries(1, 2), change, *entries(4, 4)], HardState(1, 1, 4))
    group, machine = start(log, Shelf())
    assert machine.applied_since_load == [1, 2, 4]
    assert group.core.membership == Membership(NODES, (4,))
    assert group.label().membership == Membership(NODES, (4,))
    log.close()


def test_a_state_beyond_the_log_takes_its_place(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, entries(1, 10), HardState(1, 1, 8))
    group, machine = start(log, shelf_at(50, term=3))
    assert machine.applied_since_load == [] and len(machine.commands) == 50
    status = group.core.status()
    assert (group.applied, status.last_index, status.first_index) == (50, 50, 51)
    assert status.is_whole  # nothing that it acknowledged is lost
    log.close()
    log = open_log(tmp_path / "log")
    base = log.group(0).base()
    assert base is not None and (base.index, base.term) == (50, 3)
    log.close()


def test_a_log_with_another_entry_where_the_state_ends_is_given_up(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, entries(1, 20), HardState(1, 1, 4))
    group, _ = start(log, shelf_at(10, term=2))
    status = group.core.status()
    assert (group.applied, status.last_index) == (10, 10) and status.is_whole
    log.close()


@pytest.mark.parametrize("left", [0, 30])
def test_a_state_that_ends_before_the_log_begins_leaves_a_replica_that_is_not_whole(
    tmp_path: Path, left: int
) -> None:
    log = open_log(tmp_path / "log")
    log.append(0, entries(1, 60), HardState(2, 3, 60))
    log.cut(0, SnapshotMeta(50, 1, VOTERS))
    group, machine = start(log, shelf_at(left) if left else Shelf())
    status = group.core.status()
    assert not status.is_whole
    assert (status.term, status.vote) == (2, 3)  # what it promised stands
    assert group.applied == left == len(machine.commands)
    log.close()
    log = open_log(tmp_path / "log")  # and so it is after another crash
    state = log.hard_state(0)
    assert state is not None and not state.is_whole and (state.term, state.vote) == (2, 3)
    log.close()


def test_a_state_without_the_term_and_vote_it_came_with_is_refused(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    with pytest.raises(LogCorrupted, match="a state up to index 7 but no term and vote"):
        start(log, shelf_at(7))
    log.close()


def test_a_replica_whose_state_was_lost_is_healed_from_the_others_and_votes_again(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        hurt = a_follower(cluster, leader)
        written = await write_until_cut(cluster, leader, 20)
        await cluster.wait_equal(count=len(written))
        await until(
            lambda: bool((status := cluster.nodes[hurt].group_status(0)) and status.base_index), "a cut there"
        )
        await cluster.nodes.pop(hurt).stop()
        cluster.shelves[hurt][0] = Shelf()
        node = cluster.make(hurt)
        await node.start()
        status = node.group_status(0)
        assert status is not None and not status.is_whole
        assert await cluster.wait_equal(count=len(written)) == written
        await until(lambda: bool((now := node.group_status(0)) and now.is_whole), "the replica to be whole")
        assert cluster.machines[hurt][0].installs == 1
        # It votes again: with it the third node makes a majority.
        await cluster.kill(leader.config.node_id)
        await cluster.write(b"elected with its vote")

    run_cluster(Cluster(tmp_path, settings=SMALL_LOG), script)

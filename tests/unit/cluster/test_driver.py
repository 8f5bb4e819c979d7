"""The driver with real disks and streams: elect, commit, survive, refuse."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from memraft_cluster.driver import DriverConfig, MultiRaft
from memraft_cluster.errors import CommandTooLarge, NotLeader, OutcomeUnknown, Overloaded, Stopped
from memraft_cluster.log import Durability, DurableLog, GroupUpdate
from memraft_cluster.membership import LAG_MAX
from memraft_cluster.raft import Role, SnapshotMeta
from memraft_server.config import RaftSection
from tests.unit.cluster.harness import NODES, WAIT_S, Cluster, run_cluster, until

AS_SHIPPED: dict[str, object] = {"sync_in_thread": True, "entries_inflight_target": 1}
"""With grpcio; where the lean engine serves, the log is synced as by the driver's own defaults."""
AS_DRIVEN = pytest.mark.parametrize("settings", [{}, AS_SHIPPED], ids=["inline", "as nodes ship"])
"""What must hold with the driver's own defaults must hold with those of a node."""


def test_the_settings_tried_here_are_those_of_a_node() -> None:
    shipped = RaftSection()
    assert (shipped.sync_in_thread, shipped.entries_inflight_target) == ("auto", 1)


def test_a_command_is_applied_on_every_node_and_answered_once(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        local = object()
        applied = await leader.propose(0, b"hello", local)
        assert applied.reply == b"reply to hello"
        assert applied.position == 0
        assert await cluster.wait_equal(count=1) == [b"hello"]
        for node in NODES:
            machine = cluster.machines[node][0]
            assert machine.indexes == [applied.index]
            assert machine.locals == [local if node == leader.config.node_id else None]

    run_cluster(Cluster(tmp_path), script)


def test_commands_that_wait_share_entries(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        commands = [f"command {number}".encode() for number in range(500)]
        results = await asyncio.gather(*(leader.propose(0, command, None) for command in commands))
        assert [each.reply for each in results] == [b"reply to " + command for command in commands]
        assert len({(each.index, each.position) for each in results}) == len(commands)
        assert len({each.index for each in results}) < 10
        assert await cluster.wait_equal() == commands

    run_cluster(Cluster(tmp_path), script)


def test_who_waits_is_answered_before_the_state_is_saved(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        machine, loop = cluster.machines[leader.config.node_id][0], asyncio.get_running_loop()
        seen: list[tuple[str, int]] = []
        save = machine.save

        def note(meta: SnapshotMeta) -> None:
            seen.append(("saved", meta.index))
            save(meta)

        machine.save = note  # type: ignore[method-assign]
        for number in range(10):
            answer = leader.propose(0, b"command %d" % number, None)
            # As a serving engine: woken in one turn of the loop, it writes what it has to say in the next.
            answer.add_done_callback(
                lambda done: loop.call_soon(lambda: seen.append(("written", done.result().index)))
            )
            index = (await answer).index
            await until(lambda index=index: ("saved", index) in seen, "a save")  # type: ignore[misc]
            assert seen.index(("written", index)) < seen.index(("saved", index))

    run_cluster(Cluster(tmp_path, settings={"save_facts_max": 1}), script)


def test_an_entry_stays_near_its_target_size(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        results = await asyncio.gather(*(leader.propose(0, b"x" * 400, None) for _ in range(40)))
        per_entry = {each.index: 0 for each in results}
        for each in results:
            per_entry[each.index] += 400
        assert max(per_entry.values()) <= 1000

    run_cluster(Cluster(tmp_path, settings={"entry_bytes_target": 1000}), script)


def test_leaders_of_many_groups_spread_over_the_nodes(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        for group in range(6):
            await cluster.wait_leader(group)
        for group in range(6):
            await cluster.write(b"in group %d" % group, group)
        for group in range(6):
            assert await cluster.wait_equal(group, count=1) == [b"in group %d" % group]
        # Which node won is up to timing; that each group has the preferences dealt in turn is not.
        preferred = [status.preferred_leader for status in cluster.nodes[1].status()]
        assert preferred == [1, 2, 3, 1, 2, 3]

    run_cluster(Cluster(tmp_path, groups=6), script)


@AS_DRIVEN
def test_a_killed_leader_loses_nothing_and_comes_back_from_disk(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    async def script(cluster: Cluster) -> None:
        written = [f"before {number}".encode() for number in range(20)]
        for command in written:
            await cluster.write(command)
        victim = (await cluster.wait_leader()).config.node_id
        await cluster.kill(victim)
        for number in range(20):
            written.append(f"after {number}".encode())
            await cluster.write(written[-1])
        assert await cluster.wait_equal() == written
        await cluster.start([victim])
        assert await cluster.wait_equal(count=len(written)) == written

    run_cluster(Cluster(tmp_path, settings=settings), script)


@AS_DRIVEN
def test_a_follower_that_was_away_catches_up_from_the_leaders_disk(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        away = next(node for node in NODES if node != leader.config.node_id)
        await cluster.kill(away)
        big = b"x" * 300_000
        # More than the core keeps in memory, so that the oldest entries are read back from RocksDB.
        for number in range(80):
            await cluster.write(b"%d " % number + big)
        await cluster.start([away])
        commands = await cluster.wait_equal()
        assert [int(command.split()[0]) for command in commands] == list(range(80))

    run_cluster(Cluster(tmp_path, settings=settings), script)


@AS_DRIVEN
def test_all_nodes_stopped_at_once_keep_what_was_acknowledged(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    async def script(cluster: Cluster) -> None:
        written = [f"{number}".encode() for number in range(50)]
        leader = await cluster.wait_leader()
        await asyncio.gather(*(leader.propose(0, command, None) for command in written))
        for node in NODES:
            await cluster.kill(node)
        await cluster.start()
        assert await cluster.wait_equal(count=len(written)) == written

    run_cluster(Cluster(tmp_path, settings=settings), script)


def test_a_follower_refuses_commands_and_names_the_leader(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = (await cluster.wait_leader()).config.node_id
        follower = next(cluster.nodes[node] for node in NODES if node != leader)
        with pytest.raises(NotLeader) as refused:
            follower.propose(0, b"misdirected", None)
        assert (refused.value.group, refused.value.leader, refused.value.retryable) == (0, leader, True)
        with pytest.raises(NotLeader):
            follower.read_barrier(0)

    run_cluster(Cluster(tmp_path), script)


def test_a_read_barrier_waits_for_everything_acknowledged_before(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        index = await cluster.write(b"seen by every later read")
        barriers = [leader.read_barrier(0) for _ in range(100)]
        assert min(await asyncio.gather(*barriers)) >= index

    run_cluster(Cluster(tmp_path), script)


def test_a_follower_can_be_waited_on_for_an_index(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        follower = next(node for node in cluster.nodes.values() if node is not leader)
        await cluster.write(b"the leader's no-op is behind it")
        ahead = follower.wait_applied(0, leader.applied(0) + 1)
        assert ahead is not None
        index = await cluster.write(b"awaited elsewhere")
        assert await ahead >= index
        assert follower.wait_applied(0, index) is None

    run_cluster(Cluster(tmp_path), script)


def test_a_leader_that_is_cut_off_and_a_follower_that_hears_nobody_grow_old(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        await cluster.write(b"applied everywhere")
        await until(lambda: all(node.has_caught_up(0) for node in cluster.nodes.values()), "all caught up")
        for node in NODES:
            if node != leader.config.node_id:
                await cluster.kill(node)
        assert leader.is_leader(0)  # it believes so until its check of the quorum, seconds from now
        await until(lambda: leader.age_us(0) > 1_500_000, "the leader's age to grow")
        await until(lambda: not leader.is_leader(0), "the leader to step down")
        assert leader.age_us(0) > 1_500_000

    run_cluster(Cluster(tmp_path, settings={"election_ticks": 40, "outcome_wait_ms": 1}), script)


def test_full_queues_refuse_at_once_and_name_their_limit(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        accepted = [leader.propose(0, b"x", None) for _ in range(10)]
        with pytest.raises(Overloaded, match="queued_commands_max = 10"):
            leader.propose(0, b"one more", None)
        await asyncio.gather(*accepted)
        with pytest.raises(Overloaded, match="queued_bytes_max = 3000"):
            for _ in range(4):
                accepted.append(leader.propose(0, b"x" * 900, None))
        with pytest.raises(CommandTooLarge, match="command_bytes_max = 1000"):
            leader.propose(0, b"x" * 1001, None)
        await asyncio.gather(*accepted)
        assert (await leader.propose(0, b"room again", None)).index > 0

    settings: dict[str, object] = {
        "queued_commands_max": 10,
        "queued_bytes_max": 3000,
        "command_bytes_max": 1000,
    }
    run_cluster(Cluster(tmp_path, settings=settings), script)


def test_commands_of_a_leader_without_followers_end_with_an_unknown_outcome(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        for node in NODES:
            if node != leader.config.node_id:
                await cluster.kill(node)
        future = leader.propose(0, b"seen by nobody else", None)
        with pytest.raises(OutcomeUnknown):
            await future
        assert not leader.is_leader(0)
        with pytest.raises(NotLeader):
            leader.propose(0, b"no longer", None)

    run_cluster(Cluster(tmp_path), script)


def test_commands_in_flight_survive_a_transfer_of_leadership(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        other = next(node for node in NODES if node != leader.config.node_id)
        futures = [leader.propose(0, b"before %d" % number, None) for number in range(50)]
        leader.transfer_leadership(0, other)
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        await until(lambda: cluster.nodes[other].is_leader(0), "the transfer")
        acknowledged = sum(not isinstance(outcome, BaseException) for outcome in outcomes)
        refused = [each for each in outcomes if isinstance(each, BaseException)]
        assert all(isinstance(each, NotLeader) for each in refused)
        assert len(await cluster.wait_equal()) == acknowledged

    run_cluster(Cluster(tmp_path), script)


def test_leadership_goes_back_to_a_preferred_leader_that_returns(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        await cluster.wait_leader()
        await until(lambda: cluster.nodes[1].is_leader(0), "node 1 leads, as group 0 prefers")
        await cluster.kill(1)
        await cluster.wait_leader()
        await cluster.start([1])
        await until(lambda: cluster.nodes[1].is_leader(0), "node 1 leads again")

    run_cluster(Cluster(tmp_path, settings={"rebalance": True, "rebalance_after_ms": 700}), script)


def test_a_graceful_stop_hands_leadership_over(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        term = leader.status()[0].term
        await cluster.write(b"before the stop")
        await cluster.nodes.pop(leader.config.node_id).stop()
        with pytest.raises(Stopped):
            leader.propose(0, b"after the stop", None)
        successor = await cluster.wait_leader()
        # One term up: the heir was told to campaign, nobody waited for a timeout or split the vote.
        assert successor.status()[0].term == term + 1

    run_cluster(Cluster(tmp_path), script)


class SlowFollowers(Cluster):
    """Nodes 2 and 3 apply an entry a turn, so that they lag behind what is on their disks."""

    def make(self, node: int) -> MultiRaft:
        settings = {"committed_bytes_max": 1 << 18 if node == 1 else 1}
        self.settings |= {"entry_commands_max": 1, "stop_transfer_ms": 20_000, **settings}
        return super().make(node)


def test_a_node_that_stops_serves_until_its_heir_has_applied_the_log(tmp_path: Path) -> None:
    """A leader answers nothing before it has applied all that its predecessors committed."""

    async def script(cluster: Cluster) -> None:
        elected, leader = await cluster.wait_leader(), cluster.nodes[1]
        elected.transfer_leadership(0, 1)
        await until(lambda: leader.is_leader(0), "node 1 leads")
        others = [cluster.nodes[2], cluster.nodes[3]]
        await asyncio.gather(*(leader.propose(0, b"x", None) for _ in range(4 * LAG_MAX)))

        def behind() -> int:
            return leader.applied(0) - max(node.applied(0) for node in others)

        assert behind() > LAG_MAX, "all is on their disks, and not all applied"
        stopping = asyncio.create_task(cluster.nodes.pop(1).stop())
        with pytest.raises(Stopped):
            while leader.wait_applied(0, 1) is None:  # it is served on
                await asyncio.sleep(0)
        assert behind() <= LAG_MAX
        await stopping

    run_cluster(SlowFollowers(tmp_path), script)


def test_status_tells_role_lag_and_peers(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        index = await cluster.write(b"counted")
        await cluster.wait_equal()
        status = leader.status()[0]
        assert (status.role, status.leader) == (Role.LEADER, leader.config.node_id)
        assert status.commit == status.applied == status.last_index == index
        assert set(status.peers) == set(NODES) - {leader.config.node_id}
        await until(
            lambda: all(peer.match == index for peer in leader.status()[0].peers.values()), "full match"
        )

    run_cluster(Cluster(tmp_path), script)


def test_a_failed_write_is_fatal_and_never_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing() -> None:
        raise OSError(errno.EIO, "Input/output error")

    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        await cluster.write(b"fine")
        monkeypatch.setattr(leader._log._files, "sync_inline", failing)
        future = leader.propose(0, b"cannot be written here", None)
        await until(lambda: bool(cluster.failures), "the fatal callback")
        assert type(cluster.failures.pop()).__name__ == "DiskError"
        assert leader.failure is not None
        with pytest.raises(Stopped):
            leader.propose(0, b"after the failure", None)
        with pytest.raises(OutcomeUnknown):
            await future
        await cluster.nodes.pop(leader.config.node_id).stop()

    run_cluster(Cluster(tmp_path), script)


def test_replay_reports_its_progress(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        for number in range(20):
            await cluster.write(b"%d" % number)
        seen: list[tuple[int, str, int, int]] = []
        # Killed, its machine has nothing on disk and replays all; stopped, it has all and replays nothing.
        await cluster.wait_equal()
        await cluster.kill(1)
        node = cluster.make(1)
        node._progress = lambda *said: seen.append(said)
        await node.start()
        assert seen[0] == (0, "load", 0, 0)
        assert seen[-1][1] == "replay" and seen[-1][2] == seen[-1][3] >= 19
        assert len(await cluster.wait_equal(count=20)) == 20
        await cluster.nodes.pop(1).stop()
        seen.clear()
        node = cluster.make(1)
        node._progress = lambda *said: seen.append(said)
        await node.start()
        assert seen == [(0, "load", 20, 20)]
        assert cluster.machines[1][0].applied_since_load == []
        assert await cluster.wait_equal() == [b"%d" % number for number in range(20)]

    run_cluster(Cluster(tmp_path), script)


@pytest.mark.parametrize(
    "bad", [{"node_id": 0}, {"tick_ms": 0}, {"entry_commands_max": 1 << 20}], ids=lambda bad: next(iter(bad))
)
def test_a_config_that_cannot_work_names_the_setting(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        DriverConfig(**{"node_id": 1, **bad})  # type: ignore[arg-type]


def test_a_state_is_not_durable_before_the_log_of_its_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        machine, done = cluster.machines[leader.config.node_id][0], []
        monkeypatch.setattr(leader._log, "sync", lambda: done.append("log"))
        monkeypatch.setattr(machine, "flush", lambda: done.append("state"))
        await leader.flush(leader.groups[0])
        assert done == ["state"]  # every write was synced already
        monkeypatch.setattr(leader._log, "durability", Durability.RELAXED)
        await leader.flush(leader.groups[0])
        assert done == ["state", "log", "state"]
        monkeypatch.undo()

    run_cluster(Cluster(tmp_path), script)


def test_a_large_batch_is_synced_while_the_loop_goes_on(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        threads: list[str] = []
        persist = leader._log.persist

        def noted(updates: Sequence[GroupUpdate], sync: bool = True) -> None:
            if sync and any(update.entries for update in updates):
                threads.append(threading.current_thread().name)
            persist(updates, sync)

        leader._log.persist = noted  # type: ignore[method-assign]
        leader._sync_s = 0.0  # whatever the disk of this machine is like
        await cluster.write(b"small")
        assert set(threads) == {"MainThread"}
        await cluster.write(b"x" * 100_000)
        assert threads[-1].startswith("memraft-sync")

    run_cluster(Cluster(tmp_path), script)


def test_a_stop_while_a_log_is_to_be_cut_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last turn is still syncing when the cut is asked for, so nobody is left to make it."""

    async def script(cluster: Cluster) -> None:
        node = await cluster.wait_leader()
        await cluster.write(b"before")
        node.save(node.groups[0])
        held, release = threading.Event(), threading.Event()
        persist = node._log.persist

        def slow(*args: Any) -> None:
            held.set()
            release.wait(WAIT_S)
            persist(*args)

        monkeypatch.setattr(node._log, "persist", slow)
        future = node.propose(0, b"the last one", None)
        await until(held.is_set, "the sync began")
        saver = node._saver
        saver._flushing = asyncio.ensure_future(saver._flush_and_cut(list(node.groups.values())))
        await until(lambda: bool(node._jobs), "the cut waits for the turn to end")
        stopping = asyncio.ensure_future(cluster.nodes.pop(1).stop())
        await until(lambda: node._is_halting, "the node stops")
        release.set()
        await asyncio.wait([stopping])
        stopping.result()
        assert node.failure is None
        with pytest.raises(OutcomeUnknown):
            await future

    settings: dict[str, object] = {"sync_in_thread": True, "stop_transfer_ms": 20}
    run_cluster(Cluster(tmp_path, settings=settings, nodes=(1,), voters=(1,)), script)


def test_syncs_leave_the_loop_while_the_disk_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[str] = []
    persist = DurableLog.persist

    def noted(log: DurableLog, updates: Sequence[GroupUpdate], sync: bool = True) -> None:
        where.append(threading.current_thread().name)
        persist(log, updates, sync)

    monkeypatch.setattr(DurableLog, "persist", noted)

    async def script(cluster: Cluster) -> None:
        node = await cluster.wait_leader()
        node._sync_s = 0.0
        where.clear()
        await node.propose(0, b"on a quick disk", None)
        assert where[0] == threading.main_thread().name
        node._sync_s = 60.0
        where.clear()
        await node.propose(0, b"on a slow one", None)
        assert where[0].startswith("memraft-sync")
        assert node._sync_s < 60.0, "it may become quick again"

    run_cluster(Cluster(tmp_path, nodes=(1,), voters=(1,)), script)


def test_a_busy_loop_is_not_taken_for_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is synced in a thread waits for the loop before it is told of."""
    clock, persist = time.perf_counter, DurableLog.persist
    busy_s = 0.0

    def told() -> float:
        return clock() + (busy_s if threading.current_thread() is threading.main_thread() else 0.0)

    async def script(cluster: Cluster) -> None:
        node = await cluster.wait_leader()
        loop = asyncio.get_running_loop()

        def be_busy() -> None:
            nonlocal busy_s
            busy_s += 10_000.0

        def persisted(log: DurableLog, updates: Sequence[GroupUpdate], sync: bool = True) -> None:
            persist(log, updates, sync)
            loop.call_soon_threadsafe(be_busy)

        monkeypatch.setattr(DurableLog, "persist", persisted)
        monkeypatch.setattr(time, "perf_counter", told)
        await node.propose(0, b"in a thread", None)
        assert busy_s and node._sync_s < 100.0
        assert node.counters.sync_seconds_max < 100.0
        monkeypatch.undo()

    run_cluster(Cluster(tmp_path, settings={"sync_in_thread": True}, nodes=(1,), voters=(1,)), script)

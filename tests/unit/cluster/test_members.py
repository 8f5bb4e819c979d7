"""Groups and their members that change while everything runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from memraft_cluster.driver import MultiRaft
from memraft_cluster.errors import (
    LogCorrupted,
    MembershipRefused,
    NotLeader,
    OutcomeUnknown,
    Stopped,
    TransferRefused,
)
from memraft_cluster.raft import Membership, Role
from tests.unit.cluster.harness import NODES, Cluster, Recorder, run_cluster, until
from tests.unit.cluster.test_snapshots import SMALL_LOG, write_until_cut

FOUR = (1, 2, 3, 4)


async def change(cluster: Cluster, membership: Membership, group: int = 0) -> int:
    """Have a membership committed, as often as it takes."""
    while True:
        leader = await cluster.wait_leader(group)
        try:
            return await leader.change_membership(group, membership)
        except (NotLeader, MembershipRefused) as error:
            assert isinstance(error, NotLeader) or error.is_retryable, error
            await asyncio.sleep(0.01)


async def caught_up(cluster: Cluster, node: int, group: int = 0) -> None:
    def is_caught_up() -> bool:
        leader = cluster.leader(group)
        status = leader.group_status(group) if leader is not None else None
        peer = status.peers.get(node) if status is not None else None
        return (
            status is not None and peer is not None and peer.match >= status.commit and not peer.is_recovering
        )

    await until(is_caught_up, f"node {node} has caught up")


def test_a_new_node_learns_is_promoted_and_an_old_one_leaves_under_load(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        written: list[bytes] = []
        stop = asyncio.Event()

        async def load() -> None:
            while not stop.is_set():
                written.append(b"%d" % len(written))
                while True:
                    try:
                        await cluster.write(written[-1])
                        break
                    except OutcomeUnknown:
                        pass  # a command may be there twice then; this machine has no sessions
                await asyncio.sleep(0)

        loading = asyncio.ensure_future(load())
        await cluster.wait_leader()
        four = cluster.nodes[4]
        await four.add_group(0, cluster.spec(4, 0, voters=()))
        assert four.membership(0) == Membership(())
        await change(cluster, Membership(NODES, (4,)))
        await caught_up(cluster, 4)
        index = await change(cluster, Membership(FOUR))
        status = (await cluster.wait_leader()).group_status(0)
        assert status is not None and (status.membership, status.membership_index) == (
            Membership(FOUR),
            index,
        )
        await change(cluster, Membership((2, 3, 4), (1,)))
        await change(cluster, Membership((2, 3, 4)))
        await cluster.nodes[1].remove_group(0)
        stop.set()
        await loading
        assert len(await cluster.wait_equal(count=len(written))) >= len(written)
        assert four.membership(0) == Membership((2, 3, 4))
        assert not cluster.nodes[1].has_group(0) and cluster.machines[1][0].is_dropped
        # Three voters now, of which one may go.
        leader = await cluster.wait_leader()
        victim = next(node for node in (2, 3, 4) if node != leader.config.node_id)
        await cluster.kill(victim)
        await cluster.write(b"with two of three")

    run_cluster(Cluster(tmp_path, nodes=FOUR), script)


def test_a_new_node_gets_a_snapshot_where_the_log_begins_later(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        written = await write_until_cut(cluster, leader, 20)
        await cluster.nodes[4].add_group(0, cluster.spec(4, 0, voters=()))
        await change(cluster, Membership(NODES, (4,)))
        await caught_up(cluster, 4)
        assert cluster.machines[4][0].installs == 1
        await change(cluster, Membership(FOUR))
        assert await cluster.wait_equal(count=len(written)) == written
        await cluster.kill(4)
        await cluster.make(4).start()
        await cluster.nodes[4].add_group(0, cluster.spec(4, 0, voters=()))
        assert cluster.nodes[4].membership(0) == Membership(FOUR)
        assert await cluster.wait_equal() == written

    run_cluster(Cluster(tmp_path, nodes=FOUR, settings=SMALL_LOG), script)


def test_changes_that_cannot_be_are_refused_and_say_whether_they_may_later(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        await cluster.write(b"an entry of this term is committed")
        with pytest.raises(MembershipRefused) as refused:
            leader.change_membership(0, Membership((1, 2, 4)))
        assert not refused.value.is_retryable
        first = leader.change_membership(0, Membership(NODES, (4,)))
        with pytest.raises(MembershipRefused) as refused:
            leader.change_membership(0, Membership(NODES, (4, 5)))
        assert refused.value.is_retryable
        assert await first > 0
        follower = next(node for node in cluster.nodes.values() if node is not leader)
        with pytest.raises(NotLeader):
            follower.change_membership(0, Membership(NODES))
        with pytest.raises(TransferRefused) as impossible:
            leader.transfer_leadership(0, 4)
        assert not impossible.value.is_retryable

    run_cluster(Cluster(tmp_path), script)


def test_a_learner_neither_leads_nor_gets_leadership_at_a_graceful_stop(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = cluster.nodes[1]
        await cluster.nodes[2].add_group(0, cluster.spec(2, 0, voters=()))
        await change(cluster, Membership((1,), (2,)))
        await caught_up(cluster, 2)
        leader.set_preferred_leader(0, 2)
        await cluster.write(b"before the stop")
        await cluster.nodes.pop(1).stop()
        learner = cluster.nodes[2]
        await until(lambda: learner.leader(0) == 0 or not learner.connected(), "the leader is gone")
        await asyncio.sleep(3 * 0.5)
        status = learner.group_status(0)
        assert status is not None and status.role is Role.FOLLOWER and status.term <= 2

    settings = {"rebalance": True, "rebalance_after_ms": 100}
    run_cluster(Cluster(tmp_path, nodes=(1, 2), voters=(1,), settings=settings), script)


def test_a_preferred_leader_may_change_while_the_group_runs(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        other = next(node for node in NODES if node != leader.config.node_id)
        for node in cluster.nodes.values():
            node.set_preferred_leader(0, other)
            node.set_preferred_leader(99, other)  # not here: nothing happens
        await until(lambda: cluster.nodes[other].is_leader(0), "the preferred node leads")
        status = cluster.nodes[other].group_status(0)
        assert status is not None and status.preferred_leader == other

    run_cluster(Cluster(tmp_path, settings={"rebalance": True, "rebalance_after_ms": 350}), script)


def test_a_group_is_added_without_holding_up_the_others(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        await cluster.wait_leader()
        for node in NODES:
            cluster.machines[node].append(Recorder())
            cluster.shelves[node].append(cluster.machines[node][1].shelf)
        release = asyncio.Event()
        machine = cluster.machines[1][1]
        load = machine.load

        async def slow(progress: object) -> None:
            await release.wait()
            await load(progress)  # type: ignore[arg-type]

        machine.load = slow  # type: ignore[method-assign]
        adding = [
            asyncio.ensure_future(cluster.nodes[node].add_group(1, cluster.spec(node, 1))) for node in NODES
        ]
        with pytest.raises(ValueError, match="already"):
            await asyncio.sleep(0)
            await cluster.nodes[1].add_group(1, cluster.spec(1, 1))
        await asyncio.gather(*adding[1:])
        unknown = cluster.nodes[1].counters
        await until(lambda: unknown.messages_unknown_total > 0, "the others ask it for its vote")
        for number in range(20):
            await cluster.write(b"%d in the first group" % number, 0)
        assert not cluster.nodes[1].has_group(1)
        assert not cluster.nodes[1].counters.messages_bad_total
        release.set()
        await asyncio.gather(*adding)
        await cluster.write(b"in the new group", 1)
        assert await cluster.wait_equal(1, count=1) == [b"in the new group"]

    run_cluster(Cluster(tmp_path), script)


def test_a_group_that_leaves_tells_its_callers_and_may_come_back(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        await cluster.write(b"kept by the others")
        number = leader.config.node_id
        for node in NODES:
            if node != number:
                await cluster.kill(node)
        waiting = leader.propose(0, b"never committed", None)
        barrier = leader.read_barrier(0)
        await asyncio.sleep(0.02)
        await leader.remove_group(0)
        await leader.remove_group(0)  # harmless
        with pytest.raises(OutcomeUnknown):
            await waiting
        with pytest.raises(NotLeader):
            await barrier
        check_absent(leader)
        assert leader._log.hard_state(0) is None
        await cluster.start([node for node in NODES if node != number])
        cluster.machines[number][0] = Recorder(cluster.shelves[number][0])
        await leader.add_group(0, cluster.spec(number, 0))
        await cluster.write(b"together again")
        assert (await cluster.wait_equal(count=2))[0] == b"kept by the others"

    run_cluster(Cluster(tmp_path), script)


def check_absent(node: MultiRaft) -> None:
    assert not node.has_group(0) and node.group_status(0) is None and node.membership(0) is None
    assert (node.leader(0), node.applied(0), node.last_index(0)) == (0, 0, 0)
    assert not node.is_leader(0) and not node.has_caught_up(0)
    for call in (
        lambda: node.propose(0, b"x", None),
        lambda: node.read_barrier(0),
        lambda: node.wait_applied(0, 1),
        lambda: node.age_us(0),
        lambda: node.change_membership(0, Membership(NODES)),
    ):
        with pytest.raises(NotLeader):
            call()


def test_a_group_taken_off_without_dropping_it_starts_where_it_was(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        await cluster.write(b"one")
        await cluster.wait_equal(count=1)
        node = cluster.nodes[2]
        await node.remove_group(0, drop=False)
        assert not cluster.machines[2][0].is_dropped
        await cluster.write(b"two")
        cluster.machines[2][0] = Recorder(cluster.shelves[2][0])
        await node.add_group(0, cluster.spec(2, 0))
        assert cluster.machines[2][0].commands[:1] == [b"one"]
        assert await cluster.wait_equal(count=2) == [b"one", b"two"]

    run_cluster(Cluster(tmp_path), script)


def test_a_damaged_group_is_not_added_and_the_others_go_on(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        await cluster.wait_leader()
        lost = Recorder()
        lost.save(cluster.nodes[1].groups[0].label())
        cluster.machines[1].append(lost)
        with pytest.raises(LogCorrupted, match="group 1 has a state"):
            await cluster.nodes[1].add_group(1, cluster.spec(1, 1))
        assert not cluster.nodes[1].has_group(1)
        await cluster.write(b"still here")

    run_cluster(Cluster(tmp_path), script)


def test_nothing_is_added_to_a_node_that_stops(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        await cluster.wait_leader()
        node = cluster.nodes.pop(3)
        cluster.machines[3].append(Recorder())
        await node.stop()
        with pytest.raises(Stopped):
            await node.add_group(1, cluster.spec(3, 1))

    run_cluster(Cluster(tmp_path), script)

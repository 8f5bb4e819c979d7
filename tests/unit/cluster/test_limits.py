"""What is bounded: a disk that is full, and a follower that does not read."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from memraft_cluster.driver import MultiRaft
from memraft_cluster.errors import DiskFull, NotLeader
from tests.unit.cluster.harness import NODES, Cluster, run_cluster, until


def test_a_leader_whose_disk_is_full_hands_over_and_takes_writes_again_later(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        number = leader.config.node_id
        await cluster.write(b"before")
        cluster.spaces[number].free_bytes = 100
        await until(lambda: not leader.is_leader(0), "another node to lead")
        written = [b"before"]
        for each in range(20):
            written.append(b"while one disk is full %d" % each)
            await cluster.write(written[-1])
        assert leader.applied(0) < (await cluster.wait_leader()).applied(0)  # it takes no entries
        cluster.spaces[number].free_bytes = 1 << 30
        assert await cluster.wait_equal(count=len(written)) == written

    run_cluster(Cluster(tmp_path), script)


def has_noticed(node: MultiRaft) -> bool:
    return node._shared.disk_full is not None


def test_where_all_disks_are_full_writes_are_refused_and_reads_go_on(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        index = await cluster.write(b"before")
        # The followers first: a leader hands over to one that has not noticed yet that it is full, too.
        for number in sorted(NODES, key=lambda node: node == leader.config.node_id):
            cluster.spaces[number].free_bytes = 12_345
            node = cluster.nodes[number]
            await until(partial(has_noticed, node), "the node to notice")
        term = leader.group_status(0)
        for _ in range(3):
            with pytest.raises(DiskFull, match="12345 bytes are free, 1048576 are held in") as refused:
                await leader.propose(0, b"no room", None)
            assert refused.value.retryable and refused.value.free_bytes == 12_345
            assert await leader.read_barrier(0) >= index
            await asyncio.sleep(0.2)
        # Nobody took the lead from it: none of the others may write either.
        now = leader.group_status(0)
        assert term is not None and now is not None and now.term == term.term and leader.is_leader(0)
        for space in cluster.spaces.values():
            space.free_bytes = 1 << 30
        await until(lambda: leader._shared.disk_full is None, "the leader to notice")
        await cluster.write(b"after")
        assert await cluster.wait_equal(count=2) == [b"before", b"after"]

    run_cluster(Cluster(tmp_path, settings={"election_ticks": 40}), script)


def test_commands_that_were_queued_when_the_disk_filled_are_told_so(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        await cluster.write(b"before")
        waiting = leader.propose(0, b"queued", None)
        for space in cluster.spaces.values():
            space.free_bytes = 0
        leader._leadership.check_space()
        with pytest.raises((DiskFull, NotLeader)):
            await waiting

    run_cluster(Cluster(tmp_path), script)


def test_a_follower_that_reads_nothing_costs_its_leader_bounded_memory(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        number = leader.config.node_id
        slow = next(node for node in NODES if node != number)
        transport = cluster.transports[number]
        await until(lambda: slow in transport.connected(), "the stream to the slow node")
        for connection in list(cluster.transports[slow]._inbound):
            if connection.sender == number and connection.transport is not None:
                connection.transport.pause_reading()
        command, backlog = b"x" * 100_000, 0
        for _ in range(40):
            await asyncio.gather(*(leader.propose(0, command, None) for _ in range(10)))
            backlog = max(backlog, transport.backlog_bytes(slow))
        # 40 MB were written; what waits for the node that does not read is the window of the core, no more.
        assert backlog < 8 << 20
        assert leader.group_status(0).peers[slow].match < leader.applied(0)  # type: ignore[union-attr]

    run_cluster(Cluster(tmp_path), script)

"""States that travel: to followers that lag, to new nodes, over connections that break, out of damaged
chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from memraft_cluster import raft
from memraft_cluster.driver import MultiRaft
from memraft_cluster.errors import DiskError, SnapshotRefused
from memraft_cluster.group import Group
from memraft_cluster.raft import Membership, Message, MessageType
from tests.unit.cluster.harness import NODES, Cluster, Recorder, Sink, run_cluster, until

SMALL_LOG: dict[str, object] = {
    "log_keep_bytes": 20_000,
    "log_keep_entries": 1,
    "log_cache_bytes_max": 1_000,
    "save_interval_ms": 50,
    "entry_bytes_target": 2_000,
    "snapshot_resend_ms": 200,
}


async def write_until_cut(cluster: Cluster, leader: MultiRaft, beyond: int, group: int = 0) -> list[bytes]:
    """Write until the leader's log begins behind ``beyond``; returns what was written."""
    written: list[bytes] = []
    while base_index(leader, group) <= beyond:
        commands = [b"%d " % (len(written) + number) + b"x" * 500 for number in range(20)]
        await asyncio.gather(*(leader.propose(group, command, None) for command in commands))
        written += commands
        assert len(written) < 5_000, "the log is not cut"
    return written


def base_index(node: MultiRaft, group: int = 0) -> int:
    status = node.group_status(group)
    assert status is not None
    return status.base_index


def a_follower(cluster: Cluster, leader: MultiRaft) -> int:
    return next(node for node in NODES if node != leader.config.node_id)


def test_a_log_is_cut_behind_the_durable_state_and_a_restart_needs_only_the_rest(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        written = await write_until_cut(cluster, leader, 10)
        await cluster.wait_equal(count=len(written))
        await until(lambda: all(base_index(node) for node in cluster.nodes.values()), "every log is cut")
        for node in NODES:
            status = cluster.nodes[node].group_status(0)
            assert status is not None and status.base_index <= status.saved_index <= status.applied
        for node in NODES:
            await cluster.kill(node)
        await cluster.start()
        assert await cluster.wait_equal(count=len(written)) == written
        for node in NODES:
            machine = cluster.machines[node][0]
            assert min(machine.applied_since_load, default=100) > 10
            assert machine.installs == 0

    run_cluster(Cluster(tmp_path, settings=SMALL_LOG), script)


def test_a_follower_behind_the_log_gets_a_snapshot_and_then_entries(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        away = a_follower(cluster, leader)
        await cluster.kill(away)
        written = await write_until_cut(cluster, leader, 20)
        await cluster.start([away])
        more = asyncio.ensure_future(write_until_cut(cluster, leader, base_index(leader) + 20))
        written += await more
        assert await cluster.wait_equal(count=len(written)) == written
        assert cluster.machines[away][0].installs >= 1
        assert cluster.nodes[away].counters.snapshots_received_total >= 1
        await until(lambda: leader.counters.snapshots_sent_total >= 1, "the sender to know")
        assert all(source.is_closed for source in cluster.machines[leader.config.node_id][0].sources)
        # What it has now is durable: it starts from there.
        await cluster.kill(away)
        await cluster.start([away])
        assert await cluster.wait_equal() == written

    run_cluster(Cluster(tmp_path, settings=SMALL_LOG), script)


def test_other_groups_go_on_while_one_is_put_into_force(tmp_path: Path) -> None:
    """The flush of the state that is installed takes long; turns of other groups do not wait for it."""

    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader(0)
        away = a_follower(cluster, leader)
        await cluster.kill(away)
        written = await write_until_cut(cluster, leader, 20)
        node = cluster.make(away)
        held, release = asyncio.Event(), asyncio.Event()
        machine = cluster.machines[away][0]
        settle = node._resume

        def resume(group: object, ready: raft.Ready) -> None:
            held.set()
            release_task = asyncio.ensure_future(release.wait())
            release_task.add_done_callback(lambda _: settle(group, ready))  # type: ignore[arg-type]

        node._resume = resume  # type: ignore[method-assign,assignment]
        await node.start()
        await until(held.is_set, "the state is in force, its log not yet")
        before = node.applied(0)
        assert machine.installs == 1 and before < 20
        index = await cluster.write(b"in the other group", 1)
        await until(lambda: node.applied(1) >= index, "the other group on the same node")
        written.append(b"meanwhile")
        await cluster.write(written[-1])
        assert node.applied(0) == before
        release.set()
        assert await cluster.wait_equal(count=len(written)) == written

    run_cluster(Cluster(tmp_path, groups=2, settings=SMALL_LOG), script)


def test_a_transfer_goes_on_where_a_broken_connection_left_it(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        away = a_follower(cluster, leader)
        await cluster.kill(away)
        written = await write_until_cut(cluster, leader, 20)
        cluster.make(away)
        machine, breaks = cluster.machines[away][0], 0
        begin = machine.begin_install

        def breaking(meta: raft.SnapshotMeta) -> Sink:
            sink = begin(meta)
            write = sink.write

            def write_and_break(chunk: int, data: bytes) -> None:
                nonlocal breaks
                write(chunk, data)
                if chunk % 3 == 2 and breaks < 4:
                    breaks += 1
                    for connection in list(cluster.transports[away]._inbound):
                        connection.abort()

            sink.write = write_and_break  # type: ignore[method-assign]
            return sink

        machine.begin_install = breaking  # type: ignore[method-assign]
        await cluster.nodes[away].start()
        assert await cluster.wait_equal(count=len(written)) == written
        assert breaks == 4
        # One sink, into which every chunk went once: nothing began anew.
        assert len(machine.sinks) == 1 and machine.sinks[0].chunks == len(written) // machine.rows_per_chunk

    run_cluster(Cluster(tmp_path, settings=SMALL_LOG), script)


def test_a_damaged_chunk_is_refused_and_the_state_sent_anew(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        away = a_follower(cluster, leader)
        await cluster.kill(away)
        written = await write_until_cut(cluster, leader, 20)
        cluster.make(away)
        machine, refused = cluster.machines[away][0], 0
        begin = machine.begin_install

        def begin_with_damage(meta: raft.SnapshotMeta) -> Sink:
            sink = begin(meta)
            write = sink.write

            def damaged(chunk: int, data: bytes) -> None:
                nonlocal refused
                if chunk == 2 and not refused:
                    refused += 1
                    data = data[:-1] + bytes([data[-1] ^ 1])
                write(chunk, data)

            sink.write = damaged  # type: ignore[method-assign]
            return sink

        machine.begin_install = begin_with_damage  # type: ignore[method-assign]
        await cluster.nodes[away].start()
        assert await cluster.wait_equal(count=len(written)) == written
        assert refused == 1 and len(machine.sinks) == 2
        assert machine.sinks[0].is_aborted and machine.installs == 1
        assert leader.counters.snapshots_failed_total == 1

    run_cluster(Cluster(tmp_path, settings=SMALL_LOG), script)


def test_a_state_that_does_not_verify_is_not_put_into_force(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        away = a_follower(cluster, leader)
        await cluster.kill(away)
        written = await write_until_cut(cluster, leader, 20)
        cluster.make(away)
        machine = cluster.machines[away][0]
        begin = machine.begin_install

        def begin_unfinishable(meta: raft.SnapshotMeta) -> Sink:
            sink = begin(meta)
            if len(machine.sinks) == 1:

                async def finish() -> None:
                    raise SnapshotRefused("its digest is another")

                sink.finish = finish  # type: ignore[method-assign]
            return sink

        machine.begin_install = begin_unfinishable  # type: ignore[method-assign]
        await cluster.nodes[away].start()
        assert await cluster.wait_equal(count=len(written)) == written
        assert machine.installs == 1 and len(machine.sinks) == 2 and machine.sinks[0].is_aborted

    run_cluster(Cluster(tmp_path, settings=SMALL_LOG), script)


def test_the_senders_window_is_bounded_and_a_silent_receiver_is_given_up(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        away = a_follower(cluster, leader)
        await cluster.kill(away)
        await write_until_cut(cluster, leader, 20)
        node = cluster.make(away)
        chunks: list[int] = []

        def silent(group: object, message: Message) -> None:
            chunks.append(message.index)

        await node.start()
        node._receivers.on_chunk = silent  # type: ignore[method-assign,assignment]
        await until(lambda: leader.counters.snapshots_failed_total > 0, "the sender gives up")
        assert chunks and max(chunks) < 4
        del node._receivers.on_chunk  # type: ignore[attr-defined]
        await cluster.wait_equal()

    settings = {**SMALL_LOG, "snapshot_idle_ms": 900}
    run_cluster(Cluster(tmp_path, settings=settings), script)


def test_no_more_snapshots_are_sent_at_once_than_allowed(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = cluster.nodes[1]
        for group in range(3):
            found = await cluster.wait_leader(group)
            if found is not leader:
                found.transfer_leadership(group, 1)
                await until(partial(leader.is_leader, group), "node 1 leads")
        await cluster.kill(3)
        for group in range(3):
            await write_until_cut(cluster, leader, 20, group)
        active = 0
        begin = leader._senders._begin

        def counted(group: object, peer: int) -> None:
            nonlocal active
            begin(group, peer)  # type: ignore[arg-type]
            active = max(active, len(leader._senders._active))

        leader._senders._begin = counted  # type: ignore[method-assign,assignment]
        await cluster.start([3])
        for group in range(3):
            await cluster.wait_equal(group, count=1)
        assert active == 1
        assert [machine.installs for machine in cluster.machines[3]] == [1, 1, 1]

    run_cluster(Cluster(tmp_path, groups=3, settings={**SMALL_LOG, "snapshots_max": 1}), script)


def test_a_receiver_that_began_anew_has_the_state_sent_from_the_start(tmp_path: Path) -> None:
    """Chunks of a transfer whose beginning a former process took are turned away."""

    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        follower = cluster.nodes[a_follower(cluster, leader)]
        sent: list[Message] = []
        follower.send_now = lambda group, message: sent.append(message)  # type: ignore[method-assign,misc]
        group = follower.groups[0]
        meta = raft.SnapshotMeta(10_000, group.term, Membership(NODES))
        chunk = Message(
            MessageType.SNAPSHOT_CHUNK, leader.config.node_id, group.core.id, group.term, index=3, context=77
        )
        chunk.snapshot, chunk.data = meta, b"x"
        follower._receivers.on_chunk(group, chunk)
        assert [(each.reject, each.context) for each in sent] == [(True, 77)]
        assert not cluster.machines[follower.config.node_id][0].sinks

    run_cluster(Cluster(tmp_path), script)


def test_a_leader_that_was_deposed_announces_nothing(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        away = a_follower(cluster, leader)
        await asyncio.gather(*(leader.propose(0, b"%d" % number, None) for number in range(20)))
        group = leader.groups[0]
        leader._senders.want(group, away)
        out = leader._senders._active[0, away]
        follower = next(node for node in NODES if node not in (away, leader.config.node_id))
        group.core.step(
            Message(MessageType.APPEND_REPLY, follower, group.core.id, group.core.term + 1, reject=True)
        )
        assert group.core.role is raft.Role.FOLLOWER
        leader._senders.on_reply(
            group,
            Message(
                MessageType.SNAPSHOT_REPLY, away, group.core.id, out.term, commit=out.meta.index,
                context=out.context, snapshot=out.meta,
            ),
        )  # fmt: skip
        assert not leader._senders._active
        assert leader.failure is None

    run_cluster(Cluster(tmp_path, settings=SMALL_LOG), script)


def finish_installs_once(settled: asyncio.Event, machine: Recorder) -> None:
    """Has the states that a machine receives wait before they are whole."""
    begin = machine.begin_install

    def begin_slowly(meta: raft.SnapshotMeta) -> Sink:
        sink = begin(meta)
        finish = sink.finish

        async def finish_when_settled() -> None:
            await settled.wait()
            await finish()

        sink.finish = finish_when_settled  # type: ignore[method-assign]
        return sink

    machine.begin_install = begin_slowly  # type: ignore[method-assign]


def test_a_log_that_grew_while_a_state_travelled_is_kept_for_its_receiver(tmp_path: Path) -> None:
    """More is written meanwhile than followers may hold back otherwise, and what comes next is slow."""

    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        away = a_follower(cluster, leader)
        await cluster.kill(away)
        written = await write_until_cut(cluster, leader, 20)
        log = leader._log.group(0)
        settled, is_slow, looks = asyncio.Event(), True, 0
        transport, saver = cluster.transports[leader.config.node_id], leader._saver
        send, cut = transport.send, saver._cut

        def send_no_entries(to: int, group: int, message: Message) -> None:
            if not (is_slow and to == away and message.entries):
                send(to, group, message)

        def look(group: Group, durable_index: int) -> None:
            nonlocal looks
            cut(group, durable_index)
            looks += 1

        async def write_until(condition: Callable[[], bool]) -> None:
            while not condition():
                written.append(b"%d " % len(written) + b"x" * 500)
                await leader.propose(0, written[-1], None)

        async def have_it_looked_at() -> None:
            """Write what makes the log worth a look, and no more, however long the disk takes."""
            before, keep_bytes = looks, leader.config.log_keep_bytes
            await write_until(lambda: looks > before or log.size_bytes > saver._try_above.get(0, keep_bytes))
            await until(lambda: looks > before, "the log is looked at")

        transport.send = send_no_entries  # type: ignore[method-assign]
        saver._cut = look  # type: ignore[method-assign]
        node = cluster.make(away)
        machine = cluster.machines[away][0]
        finish_installs_once(settled, machine)
        await node.start()
        await until(lambda: bool(machine.sinks), "a state is on its way")
        await write_until(lambda: log.size_bytes > 6 * leader.config.log_keep_bytes)
        await have_it_looked_at()
        settled.set()
        await until(lambda: leader.counters.snapshots_sent_total == 1, "it has arrived")
        await have_it_looked_at()
        await have_it_looked_at()
        is_slow = False
        assert await cluster.wait_equal(count=len(written)) == written
        assert machine.installs == len(machine.sinks) == 1
        # Nor is it kept for longer.
        while log.size_bytes >= 2 * leader.config.log_keep_bytes:
            await have_it_looked_at()

    run_cluster(Cluster(tmp_path, settings=SMALL_LOG), script)


def test_a_disk_that_fails_while_a_state_is_received_ends_the_node(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        away = a_follower(cluster, leader)
        await cluster.kill(away)
        await write_until_cut(cluster, leader, 20)
        node = cluster.make(away)
        machine = cluster.machines[away][0]
        begin = machine.begin_install

        def fail(*_: object) -> None:
            raise DiskError("the store", "No space left on device")

        def begin_on_a_failing_disk(meta: raft.SnapshotMeta) -> Sink:
            sink = begin(meta)
            sink.write = sink.abort = fail  # type: ignore[method-assign]
            return sink

        machine.begin_install = begin_on_a_failing_disk  # type: ignore[method-assign]
        await node.start()
        await until(lambda: node.failure is not None, "the node ends itself")
        assert isinstance(cluster.failures.pop(), DiskError)
        await cluster.nodes.pop(away).stop()

    run_cluster(Cluster(tmp_path, settings=SMALL_LOG), script)

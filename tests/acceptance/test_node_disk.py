"""What a node keeps on its disk for bad times."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import pytest

from memraft import AsyncMemory, DiskFull
from memraft_cluster.diskspace import BALLAST_NAME
from memraft_proto.v1 import kv_pb2
from memraft_server.node import Node
from tests.acceptance.nodes import WAIT_S, Failed, Nodes, eventually, run


def test_a_node_that_serves_has_its_ballast_from_the_start(tmp_path: Path) -> None:
    """Its disk may fill up and the node die in its first seconds: the next start needs the room."""
    nodes = Nodes(tmp_path)

    async def script(_: Nodes) -> None:
        assert (tmp_path / "data" / "n1" / BALLAST_NAME).exists()

    run(nodes, script)


def test_a_full_disk_is_told_while_reads_go_on_and_no_longer_when_there_is_room(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        node, client = nodes.nodes[0], nodes.client()
        space, put = node._storage.space, kv_pb2.PutRequest(namespace="acme/a", key="k", value=b"1")
        await client.call("Put", put)
        reserve_bytes, space.reserve_bytes = space.reserve_bytes, 1 << 60
        await eventually(lambda: bool(node.not_ready()), "it is told")
        (reason,) = node.not_ready()
        assert reason.startswith(f"disk full: the disk that holds {tmp_path / 'data' / 'n1'} is full")
        assert list(node.directory.node_status().not_ready) == [reason]
        with pytest.raises(Failed, match="takes no writes"):
            await client.call("Put", put)
        get = kv_pb2.GetRequest(namespace="acme/a", key="k")
        assert (await client.call("Get", get)).value == b"1"
        space.reserve_bytes = reserve_bytes
        await eventually(lambda: not node.not_ready(), "it is ready again")
        await client.call("Put", put)

    run(Nodes(tmp_path), script)


def test_a_write_that_no_node_has_room_for_is_refused_long_before_its_time_is_up(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        space = nodes.nodes[0]._storage.space
        where = nodes.members[0]["client"]
        async with AsyncMemory(where, insecure=True, namespace="acme/a", timeout_s=100 * WAIT_S) as memory:
            await memory.put("k", 1)
            reserve_bytes, space.reserve_bytes = space.reserve_bytes, 1 << 60
            await eventually(lambda: bool(nodes.nodes[0].not_ready()), "it is full")
            with pytest.raises(DiskFull, match=f"the disk that holds {tmp_path / 'data' / 'n1'} is full"):
                await asyncio.wait_for(memory.put("k", 2), WAIT_S)
            assert await memory.get("k") == 1
            space.reserve_bytes = reserve_bytes
            await eventually(lambda: not nodes.nodes[0].not_ready(), "there is room")
            await memory.put("k", 3)

    run(Nodes(tmp_path, tls=False), script)


def test_a_node_that_begins_with_an_empty_directory_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(nodes: Nodes) -> None:
        def said() -> list[str]:
            found = [each for each in caplog.records if each.getMessage().startswith("no data here")]
            caplog.clear()
            return [each.fields["data_dir"] for each in found]  # type: ignore[attr-defined]

        data = tmp_path / "data" / "n2"
        assert str(data) in said()
        await nodes.nodes[1].stop()
        nodes.nodes[1] = Node(nodes.config(2))
        await nodes.nodes[1].start()
        assert said() == [], "it has its data"
        await nodes.nodes[1].stop()
        shutil.rmtree(data)
        nodes.nodes[1] = Node(nodes.config(2))
        await nodes.nodes[1].start()
        assert said() == [str(data)]
        await eventually(lambda: not nodes.nodes[1].not_ready(), "it has back what it had")

    with caplog.at_level(logging.WARNING):
        run(Nodes(tmp_path, 3), script)


def test_a_replica_that_became_another_is_told_and_made_anew_once_its_state_is_put_aside(
    tmp_path: Path,
) -> None:
    async def script(nodes: Nodes) -> None:
        leader = nodes.leader()
        odd = leader % 3
        client = nodes.client(number=leader)
        put = kv_pb2.PutRequest(namespace="acme/a", key="k", value=b"1")
        await client.call("Put", put)
        node = nodes.nodes[odd]
        node.machines[0].applied_hash = b"\x01" * 16
        await client.call("Put", put)
        await eventually(lambda: bool(node.not_ready()), "it is told")
        assert any("became another than that of a majority" in each for each in node.not_ready())
        assert list(node.directory.node_status().not_ready) == node.not_ready()
        await node.stop()
        data = tmp_path / "data" / f"n{odd + 1}"
        (data / "state").rename(data / "state.differs")  # as docs/damage.md says
        nodes.nodes[odd] = node = Node(nodes.config(odd + 1))
        await node.start()
        await eventually(lambda: not node.not_ready(), "it has become the same")
        hashes = {each.machines[0].applied_hash for each in nodes.nodes}
        assert len(hashes) == 1

    run(Nodes(tmp_path, 3), script)

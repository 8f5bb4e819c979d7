"""A cluster under load is backed up, and new clusters of other sizes begin with what was acknowledged."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from memraft import AsyncMemory
from memraft_proto.methods import METHODS
from memraft_proto.v1 import cluster_pb2, kv_pb2
from memraft_server import certs
from memraft_server.backup import BackupFolder, read_manifest, verify
from memraft_server.backup_source import STREAMS_MAX
from memraft_server.cli import main
from memraft_server.cli.backupclient import BackupClient
from memraft_server.cli.clusterview import Observer
from memraft_server.cli.devcluster import DevCluster
from tests.acceptance.nodes import WAIT_S, Failed, Nodes, eventually, run

NAMESPACES = ("acme/a", "acme/b", "acme/h")
"""On both shards."""
WRITERS_EACH = 4
KEYS_EACH = 200
SHARDS = 2
BEFORE = 300
"""Writes that are acknowledged before the backup begins."""


@asynccontextmanager
async def opened(cluster: DevCluster) -> AsyncIterator[dict[str, AsyncMemory]]:
    """A client of each namespace."""
    agent = cluster.agent_certs("acme", "support")
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(
                AsyncMemory(cluster.endpoints, certs=agent, namespace=name, timeout_s=WAIT_S)
            )
            for name in NAMESPACES
        }


class Load:
    """Writers that go on until they are told to stop, and what was acknowledged to them."""

    def __init__(self, cluster: DevCluster) -> None:
        self.acknowledged: dict[tuple[str, str], tuple[int, int]] = {}
        """(namespace, key) -> value, log index."""
        self._cluster = cluster
        self._stopping = False

    def __enter__(self) -> Load:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()

    async def _run(self) -> None:
        async with opened(self._cluster) as memories:
            every = [(name, writer) for name in NAMESPACES for writer in range(WRITERS_EACH)]
            await asyncio.gather(*(self._write(memories[name], name, writer) for name, writer in every))

    async def _write(self, memory: AsyncMemory, namespace: str, writer: int) -> None:
        number = 0
        while not self._stopping:
            number += 1
            key = f"{writer}/{number % KEYS_EACH}"  # many have a past
            written = await memory.put(key, number)
            self.acknowledged[namespace, key] = number, written.log_index

    def wait(self, count: int) -> dict[tuple[str, str], tuple[int, int]]:
        """What is acknowledged once so many keys are."""
        deadline = time.monotonic() + 3 * WAIT_S
        while len(self.acknowledged) < count:
            assert time.monotonic() < deadline, "the writers get on"
            time.sleep(0.01)
        return dict(self.acknowledged)


def command(cluster: DevCluster, *arguments: str) -> int:
    return main([*arguments, "--endpoints", cluster.endpoints, "--certs", str(cluster.operator_certs)])


def hashes(cluster: DevCluster) -> dict[int, set[str]]:
    """By shard, the hashes of the replicas that answer, once they have all applied everything."""
    deadline = time.monotonic() + 3 * WAIT_S
    with Observer(cluster.endpoints.split(","), cluster.operator_certs) as observer:
        while True:
            view = observer.look()
            if not view.leaderless and all(r.lag == 0 for shard in view.shards for r in shard.replicas):
                return {s.shard: {replica.applied_hash for replica in s.replicas} for s in view.shards}
            assert time.monotonic() < deadline, "all have applied everything"
            time.sleep(0.05)


async def check(
    cluster: DevCluster, expected: dict[tuple[str, str], tuple[int, int]], past: dict[Any, Any]
) -> None:
    async with opened(cluster) as memories:
        for namespace, memory in memories.items():
            keys = [key for name, key in expected if name == namespace]
            found: dict[str, Any] = {}
            for i in range(0, len(keys), 500):
                found |= (await memory.get_many(keys[i : i + 500], consistency="linearizable")).values
            assert set(found) == set(keys)
            for key in keys:
                # A writer may have written the key again before the moment of the backup.
                assert found[key] >= expected[namespace, key][0]
                assert (found[key] - expected[namespace, key][0]) % KEYS_EACH == 0
        for (namespace, key, index), value in past.items():
            assert await memories[namespace].get(key, at=index) == value
        for namespace, memory in memories.items():
            written = await memory.put("new", namespace)
            assert await memory.get("new", consistency="linearizable") == namespace
            assert all(written.log_index > at for (name, _), (_, at) in expected.items() if name == namespace)


async def tell(cluster: DevCluster) -> None:
    """An event stream with its chain, and something to recall."""
    async with opened(cluster) as memories:
        for number in range(20):
            await memories["acme/h"].append("ticket:1", {"number": number})
        await memories["acme/h"].remember("Prefers to be called after six", about="user:1")


async def check_told(cluster: DevCluster) -> None:
    async with opened(cluster) as memories:
        memory = memories["acme/h"]
        await memory.append("ticket:1", {"number": 20})
        proof = await memory.verify("ticket:1")
        assert proof.intact and proof.count == 21
        (found,) = await memory.recall("when to call", about="user:1")
        assert found.text.endswith("after six")


async def past_of(cluster: DevCluster, expected: dict[tuple[str, str], tuple[int, int]]) -> dict[Any, Any]:
    """Some documents as of some log indexes from before the backup."""
    seen: dict[Any, Any] = {}
    async with opened(cluster) as memories:
        for (namespace, key), (_, index) in list(expected.items())[::10]:
            for at in (index - 1, index):
                seen[namespace, key, at] = await memories[namespace].get(key, at=at)
    assert None in seen.values() and len(set(seen.values())) > 2
    return seen


def test_a_cluster_under_load_is_backed_up_and_restored_into_one_and_into_five_nodes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "backup"
    with DevCluster.open(tmp_path / "three", nodes=3, shards=SHARDS) as cluster:
        cluster.start()
        asyncio.run(tell(cluster))
        with Load(cluster) as load:
            expected = load.wait(BEFORE)
            capsys.readouterr()
            assert command(cluster, "backup", "--out", str(out), "--json") == 0
            facts = json.loads(capsys.readouterr().out)
            count = len(load.acknowledged)
            load.wait(min(count + 1, len(NAMESPACES) * WRITERS_EACH * KEYS_EACH))
            assert command(cluster, "backup", "--out", str(out)) == 0, "a later one takes its place"
            assert main(["backup", "verify", str(out)]) == 0
        past = asyncio.run(past_of(cluster, expected))
    manifest = read_manifest(out)
    assert facts["rows"] <= manifest.rows and len(manifest.shards) == SHARDS
    assert sum(each.index for each in manifest.shards) > sum(each["index"] for each in facts["shards"])
    for count in (1, 5):
        with DevCluster.open(tmp_path / f"new-{count}", nodes=count, shards=SHARDS) as cluster:
            for node in cluster.plan.nodes:
                config = tmp_path / f"new-{count}" / "nodes" / node.name / "node.toml"
                assert main(["restore", str(out), "--config", str(config)]) == 0
            cluster.start()
            told = {shard.shard: {shard.applied_hash} for shard in manifest.shards}
            assert hashes(cluster) == told
            asyncio.run(check(cluster, expected, past))
            asyncio.run(check_told(cluster))
            after = hashes(cluster)
            assert all(len(found) == 1 for found in after.values()) and after != told


# -- the call ------------------------------------------------------------------------------------------


async def stream(nodes: Nodes, directory: Path, number: int, shard: int = 0) -> list[bytes]:
    """The chunks that a node sends. Raises Failed."""
    method = METHODS["BackupShard"]
    call: Any = nodes.connect(directory, number).channel.unary_stream(
        method.path,
        request_serializer=method.request.SerializeToString,
        response_deserializer=method.response.FromString,
    )
    try:
        return [response.chunk async for response in call(cluster_pb2.BackupShardRequest(shard=shard))]
    except grpc.aio.AioRpcError as error:
        raise Failed(error) from None


def operator(nodes: Nodes) -> Path:
    out = nodes.directory / "operator"
    if not out.exists():
        certs.issue_operator(nodes.ca, out, "local")
    return out


async def fill(nodes: Nodes, documents: int, size: int = 100_000) -> None:
    """Writes documents to the only shard through its leader."""
    client = nodes.client(number=nodes.leader())
    value = b'"' + b"x" * size + b'"'
    for i in range(documents):
        await client.call("Put", kv_pb2.PutRequest(namespace="acme/x", key=f"k{i}", value=value))


def test_only_operators_read_a_shard_and_only_from_its_leader(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, 3)

    async def script(_: Nodes) -> None:
        await fill(nodes, 3)
        leader = nodes.leader()
        assert len(await stream(nodes, operator(nodes), leader)) >= 3
        for directory in (nodes.agent_certs("acme", "support"), nodes.node_certs("n1")):
            with pytest.raises(Failed, match="may not make a backup; that takes an operator's") as caught:
                await stream(nodes, directory, leader)
            assert caught.value.reason == "WRONG_ROLE"
        with pytest.raises(Failed, match="does not lead shard 0") as caught:
            await stream(nodes, operator(nodes), leader % 3 + 1)
        assert caught.value.metadata["leader"] == nodes.address(leader)
        with pytest.raises(Failed, match="shard: 1 is not one of 1"):
            await stream(nodes, operator(nodes), leader, shard=1)

    run(nodes, script)


def test_a_client_that_goes_frees_what_it_held_and_more_than_some_are_refused(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)

    async def script(_: Nodes) -> None:
        await fill(nodes, 120)
        source = nodes.nodes[0].backups
        method = METHODS["BackupShard"]
        channel = nodes.connect(operator(nodes)).channel
        start: Any = channel.unary_stream(method.path, request_serializer=method.request.SerializeToString)
        calls = [start(cluster_pb2.BackupShardRequest()) for _ in range(STREAMS_MAX)]
        for call in calls:
            await call.read()  # and no more: the rest waits
        assert source._running == STREAMS_MAX
        await fill(nodes, 3)
        with pytest.raises(Failed, match=f"read by {STREAMS_MAX} backups already") as caught:
            await stream(nodes, operator(nodes), 1)
        assert caught.value.reason == "OVERLOADED"
        for call in calls:
            call.cancel()
        await eventually(lambda: source._running == 0, "what was held is free")
        assert await stream(nodes, operator(nodes), 1)

    run(nodes, script)


def test_a_leader_that_stops_meanwhile_costs_a_new_beginning_of_its_shard(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, 3)
    told: list[tuple[int, int, str]] = []

    async def script(_: Nodes) -> None:
        await fill(nodes, 200)
        leader = nodes.leader()
        loop = asyncio.get_running_loop()

        def tell(shard: int, done: int, said: str) -> None:
            if not told:  # the client holds still, and with it the stream
                stopping = nodes.nodes.pop(leader - 1).stop()
                asyncio.run_coroutine_threadsafe(stopping, loop).result(WAIT_S)
            told.append((shard, done, said))

        def back_up() -> None:
            addresses = [nodes.address(number) for number in (1, 2, 3)]
            with (
                BackupFolder(tmp_path / "backup") as folder,
                Observer(addresses, operator(nodes)) as observer,
            ):
                BackupClient(observer, folder, tell).run()

        await asyncio.to_thread(back_up)
        done, said = next((done, said) for _, done, said in told if said)
        assert done and said.startswith(f"{nodes.address(leader)}: ")
        manifest = verify(tmp_path / "backup")
        assert manifest.size_bytes > 200 * 100_000
        assert manifest.shards[0].applied_hash == nodes.nodes[0].machines[0].applied_hash.hex()

    run(nodes, script)

"""Nodes that come and go, replicas and leaders that move, by `memraft cluster`, under the load of a client
that knows the first three nodes only: no call fails, and all that was acknowledged is there, also after a
restart."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from memraft import AsyncMemory
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.devplan import HOST

WAIT_S = 60.0
WRITERS = 8
SHARDS = 4


class Cluster:
    """A cluster of processes, and the command line of its operator."""

    def __init__(self, directory: Path, nodes: int = 3, shards: int = SHARDS) -> None:
        self.nodes = DevCluster.open(directory / "cluster", nodes=nodes, shards=shards)
        self.endpoints = self.nodes.endpoints

    def memraft(self, *arguments: str, fails: bool = False) -> str:
        """Runs `memraft cluster` and returns what it said."""
        where = ["--endpoints", self.endpoints, "--certs", str(self.nodes.operator_certs)]
        done = subprocess.run(
            [sys.executable, "-m", "memraft_server.cli", "cluster", *arguments, *where],
            capture_output=True, text=True, check=False, timeout=WAIT_S,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stderr if fails else done.stdout

    def show(self) -> dict[str, Any]:
        """The record."""
        found: dict[str, Any] = json.loads(self.memraft("show", "--json"))
        return found

    def ready(self, name: str) -> str:
        """What a node says of whether it is ready."""
        try:
            url = f"http://{HOST}:{self.nodes.node(name).metrics_port}/readyz"
            with urllib.request.urlopen(url, timeout=5.0) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return "it does not answer"

    def wait_ready(self, name: str, said: str) -> None:
        """Until a node says so."""
        deadline = time.monotonic() + WAIT_S
        while said not in (found := self.ready(name)):
            assert time.monotonic() < deadline, f"{name} says {found!r}, not {said!r}"
            time.sleep(0.1)


class Load:
    """Writers that never stop, each of its own keys in namespaces of all shards; no call may fail."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.acknowledged: dict[str, dict[str, int]] = {f"acme/{i}": {} for i in range(WRITERS)}
        self._is_over = False

    async def during(self, *steps: tuple[str, ...]) -> None:
        """Runs commands of an operator, one after the other, while the writers write."""
        certs = self.cluster.nodes.agent_certs("acme", "support")
        async with AsyncMemory(
            self.cluster.endpoints, certs=certs, namespace="acme/0", timeout_s=20.0
        ) as memory:
            self._is_over = False
            writing = [
                asyncio.create_task(self._write(memory.scoped(namespace), namespace))
                for namespace in self.acknowledged
            ]
            for step in steps:
                await asyncio.to_thread(self.cluster.memraft, *step)
            before = self.count()
            deadline = time.monotonic() + WAIT_S
            while self.count() < before + 50:
                assert time.monotonic() < deadline, "the writers get on"
                for each in writing:
                    if each.done():
                        each.result()
                await asyncio.sleep(0.01)
            self._is_over = True
            await asyncio.gather(*writing)

    async def _write(self, memory: AsyncMemory, namespace: str) -> None:
        mine = self.acknowledged[namespace]
        while not self._is_over:
            number = len(mine)
            await memory.put(f"k{number}", number)
            mine[f"k{number}"] = number
            if number % 20 == 19:
                assert await memory.get(f"k{number - 10}", consistency="linearizable") == number - 10

    def count(self) -> int:
        """Writes that were acknowledged."""
        return sum(map(len, self.acknowledged.values()))

    async def check(self) -> None:
        """All that was acknowledged is there."""
        certs = self.cluster.nodes.agent_certs("acme", "support")
        endpoints = self.cluster.nodes.endpoints
        async with AsyncMemory(endpoints, certs=certs, namespace="acme/0", timeout_s=WAIT_S) as memory:
            for namespace, written in self.acknowledged.items():
                keys = list(written)
                for i in range(0, len(keys), 1_000):
                    some = keys[i : i + 1_000]
                    there = memory.scoped(namespace)
                    found = await there.get_many(some, consistency="linearizable")
                    assert found.values == {key: written[key] for key in some}


def add(cluster: Cluster, *, is_started: bool) -> tuple[str, ...]:
    """Makes a node, starts it where that is to come first, and returns the command that adds it."""
    node = cluster.nodes.add_node()
    if is_started:
        cluster.nodes.start_node(node.name)
        cluster.wait_ready(node.name, "not one of the cluster's yet")
    addresses = ("--peer", node.peer_address, "--client", node.address)
    return "add-node", node.name, *addresses


def held(cluster: Cluster) -> dict[str, int]:
    """How many replicas each node has, by the record."""
    record = cluster.show()
    names = {node["id"]: node["name"] for node in record["nodes"]}
    return {
        name: sum(id_ in shard["actual"]["voters"] for shard in record["shards"])
        for id_, name in names.items()
    }


def test_nodes_join_replicas_move_and_a_node_leaves_while_a_client_writes(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    with cluster.nodes:
        cluster.nodes.start()
        load = Load(cluster)
        early = add(cluster, is_started=True)
        asyncio.run(load.during(early))
        late = add(cluster, is_started=False)
        asyncio.run(load.during(late))
        cluster.nodes.start_node("n5")
        for name in ("n4", "n5"):
            cluster.wait_ready(name, "ready")
        asyncio.run(load.during(("rebalance",)))
        assert sorted(held(cluster).values()) == [2, 2, 2, 3, 3]

        shard = next(each for each in cluster.show()["shards"] if 1 in each["replicas"])
        free = next(id_ for id_ in (2, 3, 4, 5) if id_ not in shard["replicas"])
        move = ("move-replica", str(shard["shard"]), "n1", f"n{free}")
        asyncio.run(load.during(move, ("transfer-leader", str(shard["shard"]), f"n{free}")))
        assert "already so" in cluster.memraft(*move)
        assert cluster.show()["shards"][shard["shard"]]["led_by"] == f"n{free}"

        asyncio.run(load.during(("remove-node", "n1"), ("rebalance",)))
        assert set(held(cluster)) == {"n2", "n3", "n4", "n5"}
        assert sum(held(cluster).values()) == 3 * SHARDS
        # The removed node knows so, and tells those who come to it still where to go.
        cluster.wait_ready("n1", "was removed from the cluster")
        assert "already so" in cluster.memraft("remove-node", "n1")
        asyncio.run(load.during())
        cluster.nodes.forget_node("n1")
        asyncio.run(load.during())
        asyncio.run(load.check())

        cluster.nodes.stop()
        cluster.nodes.start()
        asyncio.run(load.check())
        asyncio.run(load.during())


def test_a_dead_node_is_forced_out_and_disturbs_nobody_when_it_comes_back(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    with cluster.nodes:
        cluster.nodes.start()
        load = Load(cluster)
        asyncio.run(load.during())
        cluster.nodes.kill_node("n3")
        assert "or force it where n3 is lost for good" in cluster.memraft("remove-node", "n3", fails=True)
        asyncio.run(load.during(("remove-node", "n3", "--force")))
        assert held(cluster) == {"n1": SHARDS, "n2": SHARDS}

        cluster.nodes.start_node("n3")
        cluster.wait_ready("n3", "was removed from the cluster")
        asyncio.run(load.during())
        log = (cluster.nodes.directory / "nodes" / "n3" / "node.log").read_text(encoding="utf-8")
        assert "this node was removed from the cluster: its groups stop" in log
        said = cluster.memraft("add-node", "n9", "--peer", "h:1", "--client", "h:2", "--id", "3", fails=True)
        assert "id 3 was that of n3, which was removed at epoch" in said

        # Its place is taken by another, and the cluster is what it was.
        cluster.nodes.forget_node("n3")
        another = cluster.nodes.add_node()
        assert (another.id, another.name) == (4, "n4")
        cluster.nodes.start_node("n4")
        add = ("add-node", "n4", "--peer", another.peer_address, "--client", another.address)
        asyncio.run(load.during(add, ("rebalance",)))
        assert held(cluster) == {"n1": SHARDS, "n2": SHARDS, "n4": SHARDS}
        asyncio.run(load.check())


def test_a_command_that_is_interrupted_is_finished_by_the_cluster(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, nodes=4)
    with cluster.nodes:
        cluster.nodes.start()
        load = Load(cluster)
        asyncio.run(load.during())
        where = ["--endpoints", cluster.endpoints, "--certs", str(cluster.nodes.operator_certs)]
        removal = [sys.executable, "-m", "memraft_server.cli", "cluster", "remove-node", "n4", *where]
        with subprocess.Popen(removal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as told:
            try:
                assert told.stdout is not None and "n4 leaves" in told.stdout.readline()
                told.send_signal(signal.SIGINT)
                _, said = told.communicate(timeout=WAIT_S)
            finally:
                told.kill()
        if told.returncode:  # otherwise it was done before
            assert "it goes on without this command" in said
        assert "n4 is removed" in cluster.memraft("remove-node", "n4")
        assert held(cluster) == {f"n{number}": SHARDS for number in (1, 2, 3)}
        asyncio.run(load.check())

"""Nodes as processes of their own: what is left of them when they are killed, and how they begin and end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memraft import AsyncMemory
from memraft_server.cli.devcluster import DevCluster
from memraft_server.node import Node, _start
from tests.acceptance.nodes import WAIT_S, Nodes, run

WRITERS = 16
ROUNDS = 3


def test_all_nodes_killed_at_once_keep_what_was_acknowledged(tmp_path: Path) -> None:
    """SIGKILL for every node in the middle of whatever it does, three times over."""
    acknowledged: dict[str, int] = {}

    async def write(memory: AsyncMemory, writer: int, number: int) -> None:
        while True:
            number += 1
            await memory.put(f"{writer}/{number}", number)
            acknowledged[f"{writer}/{number}"] = number

    async def round_of_writes(cluster: DevCluster, certs: Path, begin: int) -> None:
        async with AsyncMemory(
            cluster.endpoints, certs=certs, namespace="acme/x", timeout_s=WAIT_S
        ) as memory:
            writing = [asyncio.create_task(write(memory, writer, begin)) for writer in range(WRITERS)]
            wanted = len(acknowledged) + 500
            deadline = time.monotonic() + 3 * WAIT_S
            while len(acknowledged) < wanted:
                assert time.monotonic() < deadline, "the writers get on"
                await asyncio.sleep(0.001)
            pids = [cluster.pid(node.name) for node in cluster.plan.nodes]
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            for each in writing:
                each.cancel()  # nobody is left; what was not acknowledged may be there or not
            await asyncio.gather(*writing, return_exceptions=True)
        for node in cluster.plan.nodes:
            cluster.kill_node(node.name)  # dead already: this collects it

    async def check(cluster: DevCluster, certs: Path) -> None:
        async with AsyncMemory(
            cluster.endpoints, certs=certs, namespace="acme/x", timeout_s=WAIT_S
        ) as memory:
            keys = list(acknowledged)
            for i in range(0, len(keys), 1_000):
                some = keys[i : i + 1_000]
                found = await memory.get_many(some, consistency="linearizable")
                assert found.values == {key: acknowledged[key] for key in some}

    with DevCluster.open(tmp_path / "cluster", nodes=3, shards=2) as cluster:
        certs = cluster.agent_certs("acme", "support")
        for begin in range(ROUNDS):
            cluster.start()
            asyncio.run(check(cluster, certs))
            asyncio.run(round_of_writes(cluster, certs, begin * 1_000_000))
        cluster.start()
        asyncio.run(check(cluster, certs))


def test_a_node_that_is_told_to_end_while_it_starts_does_so_and_can_start_again(tmp_path: Path) -> None:
    config = Nodes(tmp_path).config(1)

    async def body() -> None:
        ended = asyncio.Event()
        ended.set()
        assert not await _start(Node(config), ended)

    asyncio.run(body())
    nodes = Nodes(tmp_path)

    async def script(_: Nodes) -> None:
        assert nodes.leader() == 1

    run(nodes, script)


SERVE_AND_COUNT = """
import os, sys
from memraft_server.cli import main
assert "numpy" not in sys.modules
main(["serve", "--config", "/nowhere/node.toml"])
assert "numpy" in sys.modules
print(os.environ["OPENBLAS_NUM_THREADS"], len(os.listdir("/proc/self/task")))
"""


@pytest.mark.parametrize("told", ["", "2"], ids=["by default", "as told"])
def test_a_node_uses_one_thread_for_arithmetic_unless_told_otherwise(told: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if told:
        environment["OPENBLAS_NUM_THREADS"] = told
    done = subprocess.run(
        [sys.executable, "-c", SERVE_AND_COUNT], env=environment, capture_output=True, text=True, check=True
    )
    variable, threads = done.stdout.split()
    assert variable == (told or "1")
    assert int(threads) <= int(variable)  # and no more than there are cores

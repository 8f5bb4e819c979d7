"""What calls that travel together save: CPU time a point operation, of a client and of three nodes.

    .venv/bin/python -m benchmarks.together [--operations 6000]

CPU time, not the clock: it changes little on a busy machine. One row is one operation, so many callers, and
one way of carrying: every call alone; writes of a namespace in a Batch and all else alone; in exchanges, too;
and reads of a namespace in a MultiGet, too, which is how the client does it.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from memraft import AsyncMemory
from memraft._async.remote import AsyncRemoteLink
from memraft._gets import Shelf
from memraft_proto.methods import METHODS
from memraft_server.cli.devcluster import DevCluster

NAMESPACES = 64
DOCUMENT = {"text": "x" * 80}
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

Operation = Callable[[int], Awaitable[Any]]


def nobody(_key: Any, _deadline_s: float) -> None:
    """Lets nobody into a lane."""


def alone(link: AsyncRemoteLink) -> None:
    """Every call by itself."""
    with_batches(link)

    async def carry(write: Any) -> Any:
        return await link._send(write.method, write.request, write.destination, write.deadline_s)

    link._lanes.alone = nobody
    link._lanes.carry = carry  # type: ignore[method-assign]


def with_batches(link: AsyncRemoteLink) -> None:
    """Writes of one namespace together."""
    with_exchanges(link)
    exchanges = link._exchanges

    async def call(address: str, method: Any, request: Any, timeout_s: float) -> Any:
        deadline_s = time.monotonic() + timeout_s
        return await exchanges._send(method, request.SerializeToString(), address, deadline_s)

    exchanges.call = call  # type: ignore[method-assign]


def with_exchanges(link: AsyncRemoteLink) -> None:
    """And what else goes to one node."""

    async def value(shelf: Shelf, key: str, deadline_s: float) -> Any:
        return (await link.read(METHODS["Get"], shelf.get(key))).value

    link.value = value  # type: ignore[method-assign]


def as_it_is(link: AsyncRemoteLink) -> None:
    """And reads of one namespace."""


WAYS = (alone, with_batches, with_exchanges, as_it_is)


def cpu_s(cluster: DevCluster) -> float:
    """CPU seconds of all nodes so far."""
    ticks = 0
    for node in cluster.plan.nodes:
        fields = Path(f"/proc/{cluster.pid(node.name)}/stat").read_text("ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * TICK_S


def operations(memory: AsyncMemory) -> dict[str, Operation]:
    """Name -> one operation of caller i."""
    views = [memory.scoped(f"acme/together-{i}") for i in range(NAMESPACES)]

    async def mixed(i: int) -> None:
        await views[i % NAMESPACES].put("k", DOCUMENT)
        await memory.get(f"k{i % NAMESPACES}")

    return {
        "get, one namespace": lambda i: memory.get(f"k{i % NAMESPACES}"),
        "get, 64 namespaces": lambda i: views[i % NAMESPACES].get("k"),
        "linearizable get": lambda i: memory.get(f"k{i % NAMESPACES}", consistency="linearizable"),
        "put, one namespace": lambda i: memory.put(f"k{i % NAMESPACES}", DOCUMENT),
        "put, 64 namespaces": lambda i: views[i % NAMESPACES].put("k", DOCUMENT),
        "put, then get": mixed,
    }


async def spent(cluster: DevCluster, operation: Operation, callers: int, count: int) -> tuple[float, float]:
    """CPU microseconds an operation, of the client and of all nodes."""
    left = count

    async def caller(i: int) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await operation(i)

    nodes_s, client_s = cpu_s(cluster), time.process_time()
    await asyncio.gather(*(caller(i) for i in range(callers)))
    client_s, nodes_s = time.process_time() - client_s, cpu_s(cluster) - nodes_s
    return client_s / count * 1e6, nodes_s / count * 1e6


async def measure(cluster: DevCluster, count: int) -> None:
    certs = cluster.agent_certs("acme", "support")
    print(f"{'operation':20} {'callers':>7}  {'way':16} {'client':>8} {'nodes':>8}  µs of CPU an operation")
    for callers in (1, 64, 256):
        for name in operations(AsyncMemory()):
            for way in WAYS:
                async with AsyncMemory(cluster.endpoints, certs=certs, namespace="acme/together") as memory:
                    link = memory._link
                    assert isinstance(link, AsyncRemoteLink)
                    way(link)
                    for i in range(NAMESPACES):
                        await memory.put(f"k{i}", DOCUMENT)
                        await memory.scoped(f"acme/together-{i}").put("k", DOCUMENT)
                    operation = operations(memory)[name]
                    few = count // 10 if callers == 1 else count
                    await spent(cluster, operation, callers, few // 10)
                    client, nodes = await spent(cluster, operation, callers, few)
                print(f"{name:20} {callers:7}  {way.__name__:16} {client:8.1f} {nodes:8.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--operations", type=int, default=6_000)
    count = parser.parse_args().operations
    with tempfile.TemporaryDirectory() as name, DevCluster.open(Path(name), 3, 3, None) as cluster:
        cluster.start()
        asyncio.run(measure(cluster, count))


if __name__ == "__main__":
    main()

"""Each engine of the client with each engine of a node: the same answers, and nothing lost at a restart."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from memraft import AsyncMemory, ConflictError, Memory, PermissionDenied
from memraft_server.node import Node
from tests.acceptance.nodes import Nodes, eventually, run
from tests.unit.client_lean.servers import WAIT_S

ENGINES = ("grpcio", "lean")

clients = pytest.mark.parametrize("client", ENGINES)
nodes_of = pytest.mark.parametrize("server", ENGINES)


def nodes(directory: Path, server: str, tls: bool = True) -> Nodes:
    return Nodes(directory, tls=tls, client={"engine": server})


def where(nodes: Nodes, client: str) -> dict[str, Any]:
    """Arguments of a memory on the nodes."""
    found: dict[str, Any] = {"namespace": "acme/x", "timeout_s": WAIT_S, "engine": client}
    return found | ({"certs": nodes.agent_certs("acme", "support")} if nodes.tls else {"insecure": True})


@clients
@nodes_of
@pytest.mark.parametrize("tls", [True, False])
def test_calls_answers_and_errors_are_the_same(tmp_path: Path, client: str, server: str, tls: bool) -> None:
    large = "0123456789" * 50_000

    async def script(nodes: Nodes) -> None:
        async with AsyncMemory(nodes.address(), **where(nodes, client)) as memory:
            record = await memory.put("k", {"n": 1})
            with pytest.raises(ConflictError) as raised:
                await memory.put("k", 2, if_version=record.version + 1)
            assert raised.value.current_version == record.version
            if tls:
                with pytest.raises(PermissionDenied, match="umbrella") as refused:
                    await memory.scoped("umbrella/x").get("k")
                assert refused.value.reason == "WRONG_TENANT"
            await asyncio.gather(*(memory.put(f"k{i}", i) for i in range(200)))
            assert await asyncio.gather(*(memory.get(f"k{i}") for i in range(200))) == list(range(200))
            await memory.put("large", large)
            assert await memory.get("large") == large
            async with memory.batch() as batch:
                for number in range(100):
                    batch.append("s", number)
            feed = memory.tail("s", from_sequence=1)
            async with feed:
                tailed = [(await anext(feed)).payload for _ in range(100)]
                await memory.append("s", "as it happens")
                assert (await anext(feed)).payload == "as it happens"
            assert tailed == list(range(100))
        await asyncio.to_thread(blocking, nodes)

    def blocking(nodes: Nodes) -> None:
        with Memory(nodes.address(), **where(nodes, client)) as memory:
            assert memory.get("k") == {"n": 1}
            memory.put("large", large + "!")
            assert memory.get("large") == large + "!"
            with memory.tail("s", from_sequence=1, idle_s=0.2) as feed:
                assert [event.payload for event in feed][-1] == "as it happens"
            with pytest.raises(ConflictError):
                memory.put("k", 3, if_version=0)

    run(nodes(tmp_path, server, tls), script)


@clients
@nodes_of
def test_nothing_is_lost_or_doubled_when_a_node_restarts(tmp_path: Path, client: str, server: str) -> None:
    async def script(nodes: Nodes) -> None:
        async with AsyncMemory(nodes.address(), **where(nodes, client)) as memory:
            counts = [0] * 8
            is_over = False

            async def write(caller: int) -> None:
                while not is_over or counts[caller] < 5:
                    counts[caller] += 1
                    await memory.append(f"caller:{caller}", counts[caller])

            tasks = [asyncio.create_task(write(caller)) for caller in range(len(counts))]

            async def go_on() -> None:
                reached = max(counts)
                await eventually(lambda: min(counts) > reached, "all callers go on")

            for _ in range(2):
                await go_on()
                await nodes.nodes[0].stop()
                nodes.nodes[0] = Node(nodes.config(1))
                await nodes.nodes[0].start()
            await go_on()
            is_over = True
            await asyncio.gather(*tasks)
            for caller, count in enumerate(counts):
                found: list[int] = []
                while page := (await memory.events(f"caller:{caller}", from_sequence=len(found) + 1)).items:
                    found += [event.payload for event in page]
                assert found == list(range(1, count + 1))

    run(nodes(tmp_path, server), script)

"""A client in an event loop that other tasks hold up: only its caller's time bounds what it does."""

import asyncio
import re
import socket
import time

import pytest

from memraft import AsyncMemory, ConnectionFailed
from memraft_server.cli.devcluster import DevCluster

WAIT_S = 60.0


def hold_up(turn_s: float) -> None:
    """Work of another that leaves the event loop no time."""
    time.sleep(turn_s)


async def hog(turn_s: float) -> None:
    """Holds up every turn of the event loop."""
    while True:
        hold_up(turn_s)
        await asyncio.sleep(0)


@pytest.mark.parametrize("turn_s", [0.2, 0.6])
def test_the_first_write_succeeds_though_every_turn_takes_long(one_node: DevCluster, turn_s: float) -> None:
    async def script() -> None:
        certs = one_node.agent_certs("acme", "support")
        memory = AsyncMemory(one_node.endpoints, certs=certs, namespace="acme/support", timeout_s=WAIT_S)
        busy = asyncio.create_task(hog(turn_s))
        await memory.put("a", 1)
        assert await memory.get("a") == 1
        busy.cancel()
        await memory.close()

    asyncio.run(script())


def test_where_the_time_is_up_the_loop_is_blamed_rather_than_the_node() -> None:
    async def script() -> str:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            memory = AsyncMemory(address, insecure=True, namespace="acme/support", timeout_s=2.0)
            busy = asyncio.create_task(hog(0.5))
            with pytest.raises(ConnectionFailed) as raised:
                await memory.put("a", 1)
            busy.cancel()
            await memory.close()
            return str(raised.value)

    said = asyncio.run(script())
    assert re.search(r"the event loop was blocked for [\d.]+ s of the [\d.]+ s", said)
    assert "can be reached" not in said

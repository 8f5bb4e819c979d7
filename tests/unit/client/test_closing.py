"""A memory that is closed while somebody still waits: that is what they are told."""

from __future__ import annotations

import asyncio
import socket
from typing import Literal

import pytest

from memraft import AsyncMemory, ClosedError


@pytest.mark.parametrize("engine", ["lean", "grpcio"])
def test_who_looks_for_a_shard_is_told_that_the_memory_was_closed(
    engine: Literal["lean", "grpcio"],
) -> None:
    async def script(silent: socket.socket) -> None:
        port = silent.getsockname()[1]
        memory = AsyncMemory(
            f"127.0.0.1:{port}", namespace="acme/support", insecure=True, timeout_s=30, engine=engine
        )
        asking = asyncio.ensure_future(memory.get("k"))
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(silent)
        with connection:
            connection.setblocking(False)
            await loop.sock_recv(connection, 1)
            await memory.close()
            with pytest.raises(ClosedError, match="closed"):
                await asking

    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        asyncio.run(script(silent))


def test_who_is_cancelled_is_told_that() -> None:
    async def script(silent: socket.socket) -> None:
        port = silent.getsockname()[1]
        async with AsyncMemory(f"127.0.0.1:{port}", namespace="acme/support", insecure=True) as memory:
            asking = asyncio.ensure_future(memory.get("k"))
            connection, _ = await asyncio.get_running_loop().sock_accept(silent)
            with connection:
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking

    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        asyncio.run(script(silent))

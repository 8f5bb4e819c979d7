"""Scenes between a channel of the lean engine and a scripted server."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from memraft._lean.calls import LeanRpcError
from memraft._status import explain
from memraft_proto.http2.connection import Limits
from tests.unit.client_lean.servers import FACADES, Channel, Peer, Scripted, scripted

Scene = Callable[[Channel, Scripted], Coroutine[Any, Any, None]]

facades = pytest.mark.parametrize("facade", FACADES)


def play(facade: str, scene: Scene, limits: Limits | None = None, **changes: Any) -> None:
    """Runs a scene with a scripted server and a channel to it."""

    async def main() -> None:
        async with scripted(limits=limits) as server:
            channel = Channel(facade, server.address, **changes)
            try:
                await scene(channel, server)
            finally:
                await channel.close()

    asyncio.run(main())


async def failure(call: Coroutine[Any, Any, Any]) -> LeanRpcError:
    """How a call fails."""
    with pytest.raises(LeanRpcError) as raised:
        await call
    return raised.value


def reason(error: LeanRpcError) -> str:
    """What the client makes of it."""
    return explain(error, "n1:1").reason


def hold(peer: Peer, stream_id: int, path: str, request: bytes) -> None:
    """Takes a call and says nothing."""

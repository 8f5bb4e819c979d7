"""The sockets of the lean engine."""

import asyncio
import socket

from memraft_server.rpc.lean.server import _listeners


def test_what_is_accepted_is_sent_without_delay() -> None:
    async def script() -> int:
        accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await accepted.put(writer)

        (listener,) = _listeners("127.0.0.1", 0)
        async with await asyncio.start_server(take, sock=listener):
            _, ours = await asyncio.open_connection(*listener.getsockname())
            theirs = await accepted.get()
            found: int = theirs.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for writer in (ours, theirs):
                writer.close()
                await writer.wait_closed()
        return found

    assert asyncio.run(script()) == 1

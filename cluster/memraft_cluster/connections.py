"""The two ends of a node-to-node connection: ``Link`` dials and sends, ``Inbound`` receives."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections import deque
from typing import TYPE_CHECKING, cast

from .errors import ClusterError, MalformedFrame, PeerRefused
from .framing import (
    FrameReader,
    GroupMessage,
    decode_batch,
    decode_hello,
    encode_batch,
    encode_hello,
    message_bytes,
)
from .raft import Message, MessageType

if TYPE_CHECKING:
    from .transport import Peer, Transport

logger = logging.getLogger("memraft.transport")

HELLO_BYTES_MAX = 4096
HELLO_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
OFFLINE_BYTES_MAX = 64 << 10
"""What is kept for a peer that is not connected: the newest messages, old ones are of no use to it."""
WRITE_BUFFER_BYTES_MAX = 4 << 20
UNACKED_TIMEOUT_MS = 10_000


class Link:
    """Dials one peer for as long as it runs, and sends to it."""

    def __init__(self, owner: Transport, peer: Peer) -> None:
        self.owner = owner
        self.peer = peer
        self.node_id = peer.node_id
        self.queue: deque[tuple[int, int, Message]] = deque()
        self.dropped_total = 0
        self.up = False
        self._queue_bytes = 0
        self._connection: _Outbound | None = None
        self._task: asyncio.Task[None] | None = None
        self._reported = ""

    def start(self, jitter: random.Random) -> None:
        self._task = asyncio.get_running_loop().create_task(self._dial_forever(jitter))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self._connection is not None:
            await self._connection.close_and_wait()

    @property
    def backlog_bytes(self) -> int:
        written = self._connection.transport if self._connection is not None else None
        return self._queue_bytes + (written.get_write_buffer_size() if written is not None else 0)

    def send(self, group: int, message: Message) -> None:
        if not self.up and message.type is MessageType.HEARTBEAT:
            return  # It tells how things stand now; when the peer is back they will stand otherwise.
        size = message_bytes(message)
        self.queue.append((size, group, message))
        self._queue_bytes += size
        limit = self.owner.config.queue_bytes_max if self.up else OFFLINE_BYTES_MAX
        while self._queue_bytes > limit and self.queue:
            self._queue_bytes -= self.queue.popleft()[0]
            self.dropped_total += 1

    def flush(self) -> None:
        """Write what is queued, unless the peer reads too slowly or is not there."""
        connection = self._connection
        if not self.up or connection is None:
            return
        queue, target = self.queue, self.owner.config.frame_bytes_target
        while queue and connection.writable:
            frame: list[GroupMessage] = []
            room = target
            while queue and (not frame or queue[0][0] <= room):
                size, group, message = queue.popleft()
                room -= size
                self._queue_bytes -= size
                frame.append((group, message))
            connection.write(encode_batch(frame))

    def connected(self, connection: _Outbound) -> None:
        self.up = True
        self._report("peer connected", "", logging.INFO)
        self.flush()

    def disconnected(self) -> None:
        self.up = False
        self.queue.clear()
        self._queue_bytes = 0
        self.owner.disconnected(self.node_id)

    async def _dial_forever(self, jitter: random.Random) -> None:
        config = self.owner.config
        pause_ms = float(config.backoff_ms_min)
        while True:
            try:
                connection = await self._dial()
                pause_ms = config.backoff_ms_min
                reason = await connection.closed
                self._report("peer disconnected", reason, logging.WARNING)
            except (OSError, TimeoutError, ClusterError) as error:
                self._report("peer unreachable", str(error) or type(error).__name__, logging.WARNING)
            await asyncio.sleep(pause_ms * jitter.uniform(0.5, 1.5) / 1000)
            pause_ms = min(pause_ms * 2, config.backoff_ms_max)

    async def _dial(self) -> _Outbound:
        """Returns a connection that is up: identities checked both ways."""
        context = self.owner.dialling_context()
        loop = asyncio.get_running_loop()
        connection = _Outbound(self)
        self._connection = connection
        try:
            async with asyncio.timeout(self.owner.config.dial_timeout_ms / 1000):
                await loop.create_connection(lambda: connection, self.peer.host, self.peer.port, ssl=context)
                await connection.greeted
        except BaseException:
            connection.abort()
            raise
        return connection

    def _report(self, event: str, error: str, level: int) -> None:
        """Once per change, not once per attempt."""
        state = event + error
        if state == self._reported:
            return
        self._reported = state
        fields = {"peer": self.peer.name, "address": f"{self.peer.host}:{self.peer.port}", "error": error}
        logger.log(level, event, extra={"fields": fields})


class _Connection(asyncio.Protocol):
    """What both ends share: identity of the other side, closing."""

    def __init__(self, owner: Transport) -> None:
        self.owner = owner
        self.transport: asyncio.Transport | None = None
        self.certified: int | None = None
        self.reader = FrameReader(HELLO_BYTES_MAX)
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast(asyncio.Transport, transport)  # that of uvloop only looks like one
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES_MAX)
        raw = transport.get_extra_info("socket")
        if raw is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            # A peer that vanished without a word is noticed when data stays unacknowledged this long.
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKED_TIMEOUT_MS)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    async def close_and_wait(self) -> None:
        """Close after what was written has left, at most CLOSE_TIMEOUT_S later."""
        if self.transport is None or self.lost.is_set():
            return
        self.transport.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.lost.wait()
        except TimeoutError:
            self.transport.abort()
            await self.lost.wait()


class _Outbound(_Connection):
    """A dialled connection. It says hello first, and is up when the other side has said it too."""

    def __init__(self, link: Link) -> None:
        super().__init__(link.owner)
        self.link = link
        self.writable = True
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[str] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        try:
            self.certified = self.owner.certified_id(transport)
            if self.certified is not None and self.certified != self.link.node_id:
                raise PeerRefused(f"node {self.certified} answers where node {self.link.node_id} should be")
        except PeerRefused as error:
            self._fail(error)
            return
        self.write(encode_hello(self.owner.hello(self.link.node_id)))

    def data_received(self, data: bytes) -> None:
        try:
            for body in self.reader.feed(data):
                if self.greeted.done():
                    raise MalformedFrame("the dialled side sent more than its hello")
                hello = decode_hello(body)
                self.owner.check_hello(hello, self.certified)
                if hello.sender != self.link.node_id:
                    raise PeerRefused(f"node {hello.sender} answers where {self.link.node_id} should be")
                self.greeted.set_result(None)
                self.link.connected(self)
        except ClusterError as error:
            self._fail(error)

    def write(self, frame: bytearray) -> None:
        if self.transport is not None:
            self.transport.write(frame)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self.link.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        reason = str(exc) if exc else "closed by the other side"
        if self.greeted.done():
            if not self.greeted.cancelled() and self.greeted.exception() is None:
                self.link.disconnected()
        else:
            self.greeted.set_exception(PeerRefused(reason))
            self.greeted.exception()  # read here: the dialler may have given up already
        if not self.closed.done():
            self.closed.set_result(reason)

    def _fail(self, error: ClusterError) -> None:
        if not self.greeted.done():
            self.greeted.set_exception(error)
            self.greeted.exception()
        elif not self.closed.done():
            self.closed.set_result(str(error))
        self.abort()


class Inbound(_Connection):
    """A connection that a peer dialled: its hello is answered, then its batches are received."""

    def __init__(self, owner: Transport) -> None:
        super().__init__(owner)
        self.sender = 0
        self._hello_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self.owner.admit(self):
            self.abort()
            return
        try:
            self.certified = self.owner.certified_id(transport)
        except PeerRefused as error:
            self._refuse(error)
            return
        loop = asyncio.get_running_loop()
        self._hello_timer = loop.call_later(HELLO_TIMEOUT_S, self._no_hello)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self.reader.feed(data):
                if self.sender:
                    self._receive(body)
                else:
                    self._greet(body)
        except ClusterError as error:
            self._refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self._stop_timer()
        self.owner.discharge(self)

    def _greet(self, body: bytes) -> None:
        hello = decode_hello(body)
        self.owner.check_hello(hello, self.certified)
        self.sender = hello.sender
        self._stop_timer()
        self.owner.replace_older(self)
        self.reader.frame_bytes_max = self.owner.config.frame_bytes_max
        assert self.transport is not None
        self.transport.write(encode_hello(self.owner.hello(self.sender)))

    def _receive(self, body: bytes) -> None:
        batch = decode_batch(body)
        own = self.owner.config.node_id
        for _, message in batch:
            if message.sender != self.sender or message.to != own:
                raise PeerRefused(
                    f"node {self.sender} sent a message from {message.sender} to {message.to}; this is {own}"
                )
        self.owner.received(self.sender, batch, len(body))

    def _no_hello(self) -> None:
        self._refuse(PeerRefused(f"no hello within {HELLO_TIMEOUT_S:.0f} s"))

    def _refuse(self, error: ClusterError) -> None:
        address = self.transport.get_extra_info("peername") if self.transport is not None else None
        self.owner.refused(address, error)
        self.abort()

    def _stop_timer(self) -> None:
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None

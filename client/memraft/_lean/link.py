"""One connection of the engine for an event loop: its socket, and the calls that it carries."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from typing import Protocol

from memraft_proto.http2.connection import Stream
from memraft_proto.http2.frames import Code

from . import calls
from .calls import LeanRpcError, MadeHead, Options, Said
from .tls import Security
from .wire import READ_BYTES_MAX, Pending, Wire

HELD_MESSAGES_MAX, HELD_BYTES_MAX = 64, 1 << 20
"""Responses of a call that wait for whoever reads them: from so many on, or so large, the node is not asked
for more, until a quarter of that is left."""


class Owner(Protocol):
    """What a connection needs of its channel."""

    address: str
    security: Security
    options: Options
    loop: asyncio.AbstractEventLoop

    def has_changed(self, link: Link) -> None:
        """A connection has room, or takes no more calls, or is gone."""


class Unary(Pending):
    """A call with one response."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[bytes]) -> None:
        # Not by way of the class above: there is one of these for each call.
        self.future = future
        self.encoding = b""
        self.message: bytes | None = None

    def ended(self, error: LeanRpcError | None) -> None:
        future = self.future
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(self.message or b"")

    def replied(self, message: bytes) -> None:
        if not self.future.done():
            self.future.set_result(message)

    def abandoned(self) -> None:
        self.future.cancel()


class Many(Pending):
    """A call with many responses."""

    __slots__ = ("messages", "held_bytes", "is_over", "is_cancelled", "error", "waiter", "is_paused", "link")

    is_unary = False

    def __init__(self) -> None:
        super().__init__()
        self.messages: deque[bytes] = deque()
        self.held_bytes = 0
        self.is_over = self.is_cancelled = False
        self.error: LeanRpcError | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.is_paused = False
        self.link: Link | None = None

    def came(self, message: bytes) -> None:
        self.messages.append(message)
        self.held_bytes += len(message)
        is_much = len(self.messages) >= HELD_MESSAGES_MAX or self.held_bytes >= HELD_BYTES_MAX
        if is_much and not self.is_paused and self.link is not None:
            self.is_paused = True
            self.link.pause(self.stream_id)
        self.wake()

    def taken(self) -> bytes:
        """The first response that waits."""
        message = self.messages.popleft()
        self.held_bytes -= len(message)
        is_little = len(self.messages) <= HELD_MESSAGES_MAX >> 2 and self.held_bytes <= HELD_BYTES_MAX >> 2
        if is_little and self.is_paused and self.link is not None:
            self.is_paused = False
            self.link.go_on(self)
        return message

    def ended(self, error: LeanRpcError | None) -> None:
        if not self.is_over:
            self.is_over = True
            self.error = error
            self.wake()

    def abandoned(self) -> None:
        """The caller, or all of the channel, wants no more."""
        self.is_cancelled = True
        self.wake()

    def wake(self) -> None:
        """Lets whoever reads go on."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class Link(Wire):
    """One connection that is up: its socket, on the event loop."""

    def __init__(self, channel: Owner, sock: socket.socket) -> None:
        super().__init__(channel.options, channel.address, channel.security)
        self._channel = channel
        self._loop = channel.loop
        self._socket = sock
        self._unsent = bytearray()
        self._is_writing = False
        self._is_flush_due = False
        self._answered = 0
        self._due_s = float("inf")
        self._timer: asyncio.TimerHandle | None = None
        self._heard_s = self._loop.time()
        self._watch: asyncio.TimerHandle | None = None
        self._is_asked = False
        self.is_closing = False

    # -- opening -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Shakes hands and waits for the node's settings. Raises OSError (of which ssl.SSLError is one)."""
        loop, sock = self._loop, self._socket
        self.start_up()
        try:
            while not self.is_ready:
                if data := self.to_send():
                    await loop.sock_sendall(sock, data)
                self.opening(await loop.sock_recv(sock, READ_BYTES_MAX))
        except ssl.SSLError:
            if data := self.to_send():
                with contextlib.suppress(OSError):
                    await loop.sock_sendall(sock, data)
            raise
        loop.add_reader(sock, self._on_readable)
        self._write()
        self._watch = loop.call_later(self._channel.options.keepalive_s, self._look)

    # -- reading and writing -----------------------------------------------------------------------------

    def _on_readable(self) -> None:
        self._answered = 0
        try:
            data = self._socket.recv(READ_BYTES_MAX)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.lose(calls.lost(error))
            return
        self._heard_s = now_s = self._loop.time()
        self._is_asked = False
        try:
            self.received(data, now_s)
        except OSError as error:
            self.lose(calls.lost(error))
            return
        self._settle()

    def _settle(self) -> None:
        """After anything that may have ended calls: what is to be written leaves, and who waits for room goes
        on."""
        if self.fault is not None:
            self._write()
            self.lose(self.fault)
            return
        if self.out and not self._is_flush_due:
            self._write()
        self._channel.has_changed(self)

    def _write(self) -> None:
        """Sends what is gathered, as far as the socket takes it."""
        self._is_flush_due = False
        if self.is_closing:
            return
        try:
            data = self.to_send()
            if self._unsent:
                self._unsent += data
                self.has_sent()
                return
            if not data:
                return
            sent = self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self.lose(calls.lost(error))
            return
        self.has_sent()
        if sent < len(data):
            self._unsent += data[sent:]
            self._is_writing = True
            self._loop.add_writer(self._socket, self._on_writable)

    def _on_writable(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.lose(calls.lost(error))
            return
        del self._unsent[:sent]
        if not self._unsent:
            self._is_writing = False
            self._loop.remove_writer(self._socket)

    # -- calls -------------------------------------------------------------------------------------------

    def start(self, pending: Pending, made: MadeHead, message: bytes, deadline_s: float) -> None:
        """Sends a request; the pending learns what comes of it."""
        is_alone = not self.streams and self._answered <= 1
        self.begin_call(pending, made, message, deadline_s)
        if deadline_s < self._due_s:
            self._arm(deadline_s)
        if is_alone:
            self._write()
        elif not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._write)

    def on_reply(self, stream: Stream, head: Said, message: bytes, trailers: Said) -> None:
        self._answered += 1
        super().on_reply(stream, head, message, trailers)

    def stop(self, pending: Pending) -> None:
        """The caller wants no answer any more."""
        if self.cancel(pending):
            self._settle()

    def go_on(self, pending: Pending) -> None:
        """The caller takes more responses again."""
        self.resume(pending.stream_id)
        self._settle()

    def _arm(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due_s = due_s
        self._timer = self._loop.call_at(due_s, self._expire)

    def _expire(self) -> None:
        """The time of the call that had the least is up; looks when that of the others will be. A connection
        has this one timer: as most calls end long before their time, it seldom goes off."""
        self._on_readable()  # what came before the time was up, where the loop was held up and read nothing
        if self.is_closing:
            return
        self._timer = None
        self._due_s = float("inf")
        next_s = self.expire(self._loop.time())
        if next_s < float("inf"):
            self._arm(next_s)
        self._settle()

    # -- the connection's life ---------------------------------------------------------------------------

    def _look(self) -> None:
        """Asks for a sign of life where calls wait and nothing has been heard for long."""
        if self._is_asked:
            self._on_readable()  # the answer may be there, where the loop was held up and read nothing
            if self.is_closing:
                return
        options = self._channel.options
        silent_s = self._loop.time() - self._heard_s
        wait_s = options.keepalive_s - silent_s
        if wait_s <= 0 and self.streams:
            if self._is_asked:
                self.lose(calls.lost(f"no answer to a ping in {options.keepalive_answer_s:g} s"))
                return
            self._is_asked = True
            self.ping(b"memraft?")
            self._write()
            wait_s = options.keepalive_answer_s
        elif wait_s <= 0:
            wait_s = options.keepalive_s
        if not self.is_closing:
            self._watch = self._loop.call_later(wait_s, self._look)

    def lose(self, error: LeanRpcError) -> None:
        """The connection is gone: so are its calls."""
        self.close()
        self.fail_all(error)
        self._channel.has_changed(self)

    def leave(self) -> None:
        """Tells the node that nothing more comes, and closes."""
        if not self.is_closing:
            self.goaway(Code.NO_ERROR)
            with contextlib.suppress(OSError):
                self._socket.send(self.to_send())
        self.close()

    def close(self) -> None:
        """Closes the socket. It works after the loop is gone, too."""
        if self.is_closing:
            return
        self.is_closing = True
        self.peer_streams_max = -1  # no further calls
        for timer in (self._timer, self._watch):
            if timer is not None:
                timer.cancel()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            if self._is_writing:
                self._loop.remove_writer(self._socket)
        self._socket.close()

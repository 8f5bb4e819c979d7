"""A channel to one node for an event loop.

One connection carries all calls; what tasks send within one turn of the loop leaves in one write. The socket
is read and written here rather than by a transport of asyncio: that costs less, under TLS by a third, and a
channel can be closed when its loop is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from .._status import LOOP_BLOCKED, STILL_CONNECTING
from .._target import split_address
from . import calls
from .calls import Deserializer, Head, LeanRpcError, Options, Reconnects, Serializer
from .link import Link, Many, Unary
from .patience import Patience
from .tls import Security

_CLOSED = "Channel is closed."


class LeanChannel:
    """What this client uses of a channel of grpc.aio; it belongs to the running event loop.

    A connection is made with the first call that needs one, and anew where it was lost. Calls fail with
    `LeanRpcError`; those under way are cancelled when the channel is closed, and later ones raise
    grpc.aio.UsageError. It is not to be used on both sides of a fork, which would share its socket.

    Args:
        address: host:port.
        security: TLS, or none.
        options: as of a channel of grpcio.
    """

    def __init__(self, address: str, security: Security, options: Options) -> None:
        self.address = address
        self.security = security
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.is_closed = False
        self._link: Link | None = None
        self._draining: set[Link] = set()
        self._opening: asyncio.Task[LeanRpcError | None] | None = None
        self._patience = Patience(self.loop, options.connect_timeout_s)
        self._reconnects = Reconnects(options)
        self._room: deque[asyncio.Future[None]] = deque()

    # -- what callers use --------------------------------------------------------------------------------

    def unary_unary(
        self, path: str, *, request_serializer: Serializer, response_deserializer: Deserializer
    ) -> Callable[..., Awaitable[Any]]:
        """Returns the callable of a method with one response: `await call(request, timeout=seconds)`."""
        head = Head(path, self.address, self.security.is_on)
        loop, size_max = self.loop, self.options.send_bytes_max

        async def call(request: Any, *, timeout: float | None = None) -> Any:
            message = request_serializer(request)
            if len(message) > size_max:
                raise calls.too_large("Sent", len(message), size_max)
            deadline_s = float("inf") if timeout is None else loop.time() + timeout
            link = self._link
            if link is None or not link.has_room:
                link = await self.ready(deadline_s)
                timeout = None if timeout is None else max(0.001, deadline_s - loop.time())
            pending = Unary(loop.create_future())
            link.start(pending, head.made(timeout), message, deadline_s)
            try:
                reply = await pending.future
            except asyncio.CancelledError:
                link.stop(pending)
                raise
            try:
                return response_deserializer(reply)
            except Exception as error:
                raise calls.unread(error) from error

        return call

    def unary_stream(
        self, path: str, *, request_serializer: Serializer, response_deserializer: Deserializer
    ) -> Callable[..., LeanResponses]:
        """Returns the callable of a method with many responses."""
        head = Head(path, self.address, self.security.is_on)

        def call(request: Any, *, timeout: float | None = None) -> LeanResponses:
            message = request_serializer(request)
            return LeanResponses(self, head, message, response_deserializer, timeout)

        return call

    async def close(self) -> None:
        """Closes its connections; calls under way are cancelled. Harmless when called twice."""
        if self.is_closed:
            return
        self.is_closed = True
        links = [*self._draining, *([self._link] if self._link is not None else [])]
        self._link = None
        self._draining.clear()
        for link in links:
            link.leave()
        if self.loop.is_closed():
            return
        if self._opening is not None:
            self._opening.cancel()
        for link in links:
            for pending in list(link.pending.values()):
                pending.abandoned()
        while self._room:
            self._room.popleft().cancel()

    # -- connections -------------------------------------------------------------------------------------

    def has_changed(self, link: Link) -> None:
        """A connection has room, or takes no more calls, or is gone."""
        if link is self._link and not self._room and link.is_open:
            return
        if not link.is_open and self._link is link:
            self._link = None
            if not link.is_closing:
                self._draining.add(link)
        if link.is_closing:
            self._draining.discard(link)
        elif not link.is_open and not link.streams:
            self._draining.discard(link)
            link.leave()
        if self._room and (self._link is None or self._link.has_room):
            self._wake()

    def _wake(self) -> None:
        """Lets the next that waits for room look."""
        while self._room:
            waiter = self._room.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def ready(self, deadline_s: float) -> Link:
        """Returns a connection that takes a call. Raises LeanRpcError, or UsageError where this is closed."""
        while not self.is_closed:
            link = self._link
            if link is None:
                await self._connect(deadline_s)
            elif link.has_room:
                if self._room:
                    self.loop.call_soon(self._wake)
                return link
            else:
                await self._wait_for_room(deadline_s)
        raise grpc.aio.UsageError(_CLOSED)

    async def _wait_for_room(self, deadline_s: float) -> None:
        if len(self._room) >= calls.WAITING_MAX:
            raise calls.no_room(f"{calls.WAITING_MAX} calls wait for the node to take them")
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._room.append(waiter)
        try:
            await asyncio.wait((waiter,), timeout=self._left_s(deadline_s))
        except asyncio.CancelledError:
            if waiter.done():
                self._wake()  # it was this one's turn: it is the next one's
            raise
        finally:
            if not waiter.done():
                self._room.remove(waiter)
        if waiter.cancelled():
            raise asyncio.CancelledError
        if not waiter.done():
            raise calls.no_room("the node took no more calls in time")

    def _left_s(self, deadline_s: float) -> float | None:
        return None if deadline_s == float("inf") else max(0.0, deadline_s - self.loop.time())

    async def _connect(self, deadline_s: float) -> None:
        """Waits until a connection is there. Raises LeanRpcError; CancelledError where this was closed."""
        if self._opening is None:
            self._reconnects.check()
            self._opening = self.loop.create_task(self._open(), name=f"memraft connect {self.address}")
        opening = self._opening
        done, _ = await asyncio.wait((opening,), timeout=self._left_s(deadline_s))
        if not done:
            raise calls.not_connected(self.address, self._patience.said("not in time", STILL_CONNECTING))
        if (error := opening.result()) is not None:
            raise error.again()

    async def _open(self) -> LeanRpcError | None:
        """Connects. Returns why it could not."""
        timeout_s = self.options.connect_timeout_s
        patience = self._patience = Patience(self.loop, timeout_s)
        try:
            async with asyncio.timeout(None) as limit:
                patience.begin(limit)
                link = await self._opened()
        except TimeoutError:
            plain = f"no answer in {timeout_s:g} s"
            failure = calls.not_connected(self.address, patience.said(plain, f"{plain}; {LOOP_BLOCKED}"))
        except (OSError, UnicodeError) as error:
            failure = calls.not_connected(self.address, error)
        else:
            self._reconnects.succeeded()
            if self.is_closed:
                link.leave()
                return calls.not_connected(self.address, _CLOSED)
            self._link = link
            return None
        finally:
            patience.end()
            self._opening = None
        self._reconnects.failed(failure)
        return failure

    async def _opened(self) -> Link:
        """A connection to the first of the node's addresses that takes one. Raises OSError."""
        host, port = split_address(self.address)
        kind = socket.SOCK_STREAM
        try:
            # What is a number needs no thread to look it up, nor turns of the loop to hear of it.
            found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            found = await self.loop.getaddrinfo(host, port, type=kind)
        failure: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, place in found:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                await self.loop.sock_connect(sock, place)
                calls.tune(sock, self.options)
            except OSError as error:
                sock.close()
                failure = error
                continue
            except BaseException:
                sock.close()
                raise
            try:
                link = Link(self, sock)
                await link.open()
            except BaseException:
                sock.close()
                raise
            return link
        raise failure


class LeanResponses:
    """The responses of one call, one after the other. The call is made when the first is asked for.

    Args:
        channel: to whom.
        head: of the request.
        message: the request.
        deserializer: of responses.
        timeout_s: from now until the call is over; None: no limit.
    """

    def __init__(
        self,
        channel: LeanChannel,
        head: Head,
        message: bytes,
        deserializer: Deserializer,
        timeout_s: float | None,
    ) -> None:
        self._channel = channel
        self._head = head
        self._message = message
        self._deserialize = deserializer
        self._deadline_s = float("inf") if timeout_s is None else channel.loop.time() + timeout_s
        self._many = Many()

    async def read(self) -> Any:
        """The next response; grpc.aio.EOF: there are no more.

        Raises:
            LeanRpcError: the call has failed.
            asyncio.CancelledError: it was cancelled, or whoever waits here.
        """
        many = self._many
        try:
            if many.link is None:
                await self._begin()
            while not many.messages or many.is_cancelled:
                if many.is_cancelled:
                    raise asyncio.CancelledError
                if many.error is not None:
                    raise many.error.again()
                if many.is_over:
                    return grpc.aio.EOF
                many.waiter = self._channel.loop.create_future()
                await many.waiter
        except asyncio.CancelledError:
            self.cancel()
            raise
        reply = many.taken()
        try:
            return self._deserialize(reply)
        except Exception as error:
            self.cancel()
            raise calls.unread(error) from error

    def cancel(self) -> None:
        """Ends the call. Harmless when it is over."""
        many = self._many
        if many.link is not None:
            many.link.stop(many)
        many.abandoned()

    def __del__(self) -> None:
        many = self._many
        if many.link is not None and not many.is_over:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and the connection is as good as gone
                self._channel.loop.call_soon_threadsafe(many.link.stop, many)

    async def _begin(self) -> None:
        channel = self._channel
        if len(self._message) > channel.options.send_bytes_max:
            raise calls.too_large("Sent", len(self._message), channel.options.send_bytes_max)
        link = await channel.ready(self._deadline_s)
        if self._many.is_cancelled:
            raise asyncio.CancelledError
        left_s = None
        if self._deadline_s < float("inf"):
            left_s = max(0.001, self._deadline_s - channel.loop.time())
        self._many.link = link
        link.start(self._many, self._head.made(left_s), self._message, self._deadline_s)

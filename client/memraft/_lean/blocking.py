"""A channel to one node for threads.

A call has a connection to itself for as long as it takes, and its own thread writes and reads that: no thread
beside the callers', nothing to hand over. Connections that are done wait for the next call, the one used last
first. A call with many responses keeps its connection until it is over, and reads no further than its caller.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import grpc

from memraft_proto.http2.frames import Code

from .._target import split_address
from . import calls
from .calls import Deserializer, Head, LeanRpcError, MadeHead, Options, Reconnects, Serializer
from .tls import Security
from .wire import READ_BYTES_MAX, Pending, Wire

CONNECTIONS_MAX = 64
"""To a node, for calls with one response: that many threads call at once, further ones wait."""
OPENING_MAX = 4
"""Connections that are being made at a time: of many threads that call first, most can have the connection of
another that is done, and handshakes of all at once would take each other's time."""
STREAMS_MAX = 1_024
"""To a node, for calls with many responses."""

FOREVER_S = 1e9
"""Of a call without a limit; `poll` takes no infinity."""

_CLOSED = "Cannot invoke RPC on closed channel!"


class _Unary(Pending):
    """A call with one response."""

    __slots__ = ("is_over", "error")

    def __init__(self) -> None:
        # Not by way of the class above: there is one of these for each call.
        self.encoding = b""
        self.message: bytes | None = None
        self.is_over = False
        self.error: LeanRpcError | None = None

    def replied(self, message: bytes) -> None:
        if not self.is_over:
            self.message = message
            self.is_over = True

    def ended(self, error: LeanRpcError | None) -> None:
        if not self.is_over:
            self.is_over = True
            self.error = error


class _Many(_Unary):
    """A call with many responses."""

    __slots__ = ("messages",)

    is_unary = False

    def __init__(self) -> None:
        super().__init__()
        self.messages: deque[bytes] = deque()

    def replied(self, message: bytes) -> None:
        self.came(message)
        self.ended(None)

    def came(self, message: bytes) -> None:
        self.messages.append(message)


class _Link(Wire):
    """One connection, with its socket; one thread at a time uses it.

    Args:
        channel: whose it is.
        sock: connected.
    """

    def __init__(self, channel: BlockingChannel, sock: socket.socket) -> None:
        super().__init__(channel.options, channel.address, channel.security)
        self._keepalive_s = channel.options.keepalive_s
        self._keepalive_answer_s = channel.options.keepalive_answer_s
        self._socket = sock
        sock.setblocking(False)
        self._readable, self._either = select.poll(), select.poll()
        self._readable.register(sock, select.POLLIN)
        self._either.register(sock, select.POLLIN | select.POLLOUT)
        self._unsent = b""
        self._heard_s = 0.0
        self._is_asked = False

    def open(self, deadline_s: float) -> None:
        """Shakes hands and waits for the node's settings. Raises OSError."""
        self.start_up()
        try:
            while not self.is_ready:
                self._write()
                if not self._poll_for(deadline_s - time.monotonic()):
                    raise TimeoutError("no answer in time")
                with contextlib.suppress(BlockingIOError, InterruptedError):
                    self.opening(self._socket.recv(READ_BYTES_MAX))
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                self._write()
            raise

    # -- a call ------------------------------------------------------------------------------------------

    def is_usable(self) -> bool:
        """Takes what came since the last call; False where no call can be made any more."""
        try:
            while self._readable.poll(0):
                self._read(time.monotonic())
        except OSError:
            return False
        return self.is_open and self.fault is None

    def start(self, pending: Pending, made: MadeHead, message: bytes, deadline_s: float) -> None:
        """Makes a request; `step` sends it."""
        self.begin_call(pending, made, message, deadline_s)
        self._heard_s = time.monotonic()

    def step(self, deadline_s: float) -> None:
        """Writes what is to be written, then reads what comes, or what the wait for it has come to."""
        try:
            self._write()
            now_s = time.monotonic()
            limit_s = self._keepalive_answer_s if self._is_asked else self._keepalive_s
            due_s = min(deadline_s, self._heard_s + limit_s)
            if self._poll_for(due_s - now_s):
                self._read(time.monotonic())
            elif due_s < deadline_s:
                self._ask()
            else:
                self.expire(deadline_s)
                self._write()
        except OSError as error:
            self.fault = self.fault or calls.lost(error)
        if self.fault is not None:
            with contextlib.suppress(OSError):
                self._write()
            self.fail_all(self.fault)

    def _poll_for(self, wait_s: float) -> bool:
        """Waits until the socket can be read, or written where that is wanted; False when the time is up."""
        poll = self._either if self._unsent else self._readable
        return bool(poll.poll(max(0.0, wait_s * 1_000)))

    def _write(self) -> None:
        data = self._unsent + self.to_send() if self._unsent else self.to_send()
        if data:
            self._unsent = data
            try:
                self._unsent = data[self._socket.send(data) :]
            except (BlockingIOError, InterruptedError):
                pass
            self.has_sent()

    def _read(self, now_s: float) -> None:
        try:
            data = self._socket.recv(READ_BYTES_MAX)
        except (BlockingIOError, InterruptedError):
            return
        self._heard_s = now_s
        self._is_asked = False
        self.received(data, now_s)

    def _ask(self) -> None:
        """Nothing has come for long: is the node still there?"""
        if self._is_asked:
            raise ConnectionAbortedError(f"no answer to a ping in {self._keepalive_answer_s:g} s")
        self._is_asked = True
        self._heard_s = time.monotonic()
        self.ping(b"memraft?")

    # -- the end -----------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Ends the connection under whoever uses it, from any thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes the socket, which nobody uses any more."""
        if self.is_ready and self.is_open and self.fault is None and self._socket.fileno() >= 0:
            self.goaway(Code.NO_ERROR)
            with contextlib.suppress(OSError):
                self._write()
        self._socket.close()


class BlockingChannel:
    """What this client uses of a channel of grpc; threads may share it.

    Calls fail with `LeanRpcError`, also those under way when it is closed; later ones raise ValueError. After
    a fork it is the parent's: see `_left_behind`.

    Args:
        address: host:port.
        security: TLS, or none.
        options: as of a channel of grpcio.
    """

    def __init__(self, address: str, security: Security, options: Options) -> None:
        self.address = address
        self.security = security
        self.options = options
        self.is_closed = False
        self._reconnects = Reconnects(options)
        self._changed = threading.Condition()
        self._links: set[_Link] = set()
        self._idle: list[_Link] = []
        self._count = self._opening = self._streams = self._waiting = 0

    # -- what callers use --------------------------------------------------------------------------------

    def unary_unary(
        self, path: str, *, request_serializer: Serializer, response_deserializer: Deserializer
    ) -> Callable[..., Any]:
        """Returns the callable of a method with one response: `call(request, timeout=seconds)`."""
        head = Head(path, self.address, self.security.is_on)
        size_max = self.options.send_bytes_max

        def call(request: Any, *, timeout: float | None = None) -> Any:
            message = request_serializer(request)
            if len(message) > size_max:
                raise calls.too_large("Sent", len(message), size_max)
            deadline_s = time.monotonic() + (FOREVER_S if timeout is None else timeout)
            pending = _Unary()
            link = self._take(deadline_s)
            try:
                link.start(pending, head.made(timeout), message, deadline_s)
                while not pending.is_over:
                    link.step(deadline_s)
            except BaseException:
                self._drop(link)
                raise
            self._give(link)
            if pending.error is not None:
                raise pending.error
            try:
                return response_deserializer(pending.message or b"")
            except Exception as error:
                raise calls.unread(error) from error

        return call

    def unary_stream(
        self, path: str, *, request_serializer: Serializer, response_deserializer: Deserializer
    ) -> Callable[..., BlockingResponses]:
        """Returns the callable of a method with many responses."""
        head = Head(path, self.address, self.security.is_on)

        def call(request: Any, *, timeout: float | None = None) -> BlockingResponses:
            return BlockingResponses(self, head, request_serializer(request), response_deserializer, timeout)

        return call

    def close(self) -> None:
        """Closes its connections; calls under way fail. Harmless when called twice."""
        with self._changed:
            self.is_closed = True
            links = list(self._links)
            self._changed.notify_all()
        while self._idle:
            self._drop(self._idle.pop())
        for link in links:
            link.interrupt()

    # -- connections -------------------------------------------------------------------------------------

    def _take(self, deadline_s: float) -> _Link:
        """A connection for one call: the one used last, or a new one, or the first that is given back."""
        while not self.is_closed:
            try:
                link = self._idle.pop()
            except IndexError:
                if self._may_open(deadline_s):
                    return self._opened(deadline_s)
                continue
            if link.is_usable():
                return link
            self._drop(link)
        raise ValueError(_CLOSED)

    def _may_open(self, deadline_s: float) -> bool:
        """Whether there may be one more connection: True takes its place. Waits where there may not, until
        one is given back (False). Raises LeanRpcError when the time is up."""
        with self._changed:
            self._waiting += 1  # from here on who gives one back tells it
            try:
                while not self.is_closed and not self._idle:
                    if self._count < CONNECTIONS_MAX and self._opening < OPENING_MAX:
                        self._count += 1
                        self._opening += 1
                        return True
                    if not self._changed.wait(max(0.0, deadline_s - time.monotonic())):
                        raise calls.no_room(f"no connection was free in time, at most {CONNECTIONS_MAX}")
                return False
            finally:
                self._waiting -= 1

    def _give(self, link: _Link) -> None:
        """A call is over: the next may have its connection."""
        if not link.is_open or link.fault is not None or self.is_closed:
            self._drop(link)
            return
        self._idle.append(link)
        if self._waiting:
            with self._changed:
                self._changed.notify()
        if self.is_closed:
            with contextlib.suppress(ValueError):
                self._idle.remove(link)
                self._drop(link)

    def _drop(self, link: _Link) -> None:
        """Closes a connection: there may be another in its place."""
        link.close()
        with self._changed:
            self._links.discard(link)
            self._count -= 1
            self._changed.notify()

    def _opened(self, deadline_s: float) -> _Link:
        """A new connection, whose place has been taken. Raises LeanRpcError."""
        is_up = False
        try:
            link = self._open(deadline_s)
            is_up = True
            return link
        finally:
            with self._changed:
                self._opening -= 1
                self._count -= not is_up
                self._changed.notify()

    def _open(self, deadline_s: float) -> _Link:
        self._reconnects.check()
        until_s = min(deadline_s, time.monotonic() + self.options.connect_timeout_s)
        try:
            link = self._connected(until_s)
        except (OSError, UnicodeError) as error:
            failure = calls.not_connected(self.address, error)
            self._reconnects.failed(failure)
            raise failure from error
        self._reconnects.succeeded()
        with self._changed:
            if not self.is_closed:
                self._links.add(link)
                return link
        link.close()
        raise ValueError(_CLOSED)

    def _connected(self, until_s: float) -> _Link:
        sock = socket.create_connection(split_address(self.address), max(0.001, until_s - time.monotonic()))
        try:
            calls.tune(sock, self.options)
            link = _Link(self, sock)
            link.open(until_s)
        except BaseException:
            sock.close()
            raise
        return link

    # -- calls with many responses -----------------------------------------------------------------------

    def begin_stream(self, deadline_s: float) -> _Link:
        """A connection of its own for a call with many responses. Raises LeanRpcError, ValueError."""
        with self._changed:
            if self.is_closed:
                raise ValueError(_CLOSED)
            if self._streams >= STREAMS_MAX:
                raise calls.no_room(f"{STREAMS_MAX} calls with many responses are under way to the node")
            self._streams += 1
        try:
            return self._open(deadline_s)
        except BaseException:
            with self._changed:
                self._streams -= 1
            raise

    def end_stream(self, link: _Link) -> None:
        """The call is over."""
        link.close()
        with self._changed:
            self._links.discard(link)
            self._streams -= 1


class BlockingResponses:
    """The responses of one call, an iterator. The call is made when the first is asked for.

    One thread at a time reads; any may cancel.

    Args:
        channel: to whom.
        head: of the request.
        message: the request.
        deserializer: of responses.
        timeout_s: from now until the call is over; None: no limit.
    """

    def __init__(
        self,
        channel: BlockingChannel,
        head: Head,
        message: bytes,
        deserializer: Deserializer,
        timeout_s: float | None,
    ) -> None:
        self._channel = channel
        self._head = head
        self._message = message
        self._deserialize = deserializer
        self._timeout_s = timeout_s
        self._deadline_s = time.monotonic() + (FOREVER_S if timeout_s is None else timeout_s)
        self._many = _Many()
        self._link: _Link | None = None
        self._reading = threading.Lock()
        self._is_cancelled = False

    def __iter__(self) -> BlockingResponses:
        return self

    def __next__(self) -> Any:
        """The next response.

        Raises:
            LeanRpcError: the call has failed, or was cancelled.
        """
        many = self._many
        try:
            with self._reading:
                reply = self._next()
        finally:
            if many.is_over or self._is_cancelled:
                self._let_go()
        if reply is None:
            if self._is_cancelled:
                raise LeanRpcError(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")
            if many.error is not None:
                raise many.error.again()
            raise StopIteration
        try:
            return self._deserialize(reply)
        except Exception as error:
            self.cancel()
            raise calls.unread(error) from error

    def _next(self) -> bytes | None:
        many = self._many
        if self._link is None and not many.is_over and not self._is_cancelled:
            self._begin()
        while not many.messages and not many.is_over and not self._is_cancelled:
            assert self._link is not None
            self._link.step(self._deadline_s)
        return many.messages.popleft() if many.messages and not self._is_cancelled else None

    def _begin(self) -> None:
        size_max = self._channel.options.send_bytes_max
        if len(self._message) > size_max:
            raise calls.too_large("Sent", len(self._message), size_max)
        link = self._channel.begin_stream(self._deadline_s)
        link.start(self._many, self._head.made(self._timeout_s), self._message, self._deadline_s)
        self._link = link

    def cancel(self) -> None:
        """Ends the call. Harmless when it is over."""
        self._is_cancelled = True
        link = self._link
        if link is not None:
            link.interrupt()
        self._let_go()

    def _let_go(self) -> None:
        """Gives up the connection, unless a thread reads: that does so then."""
        if self._reading.acquire(blocking=False):
            try:
                link, self._link = self._link, None
                self._many.is_over = True
                if link is not None:
                    self._channel.end_stream(link)
            finally:
                self._reading.release()

    def __del__(self) -> None:
        if self._link is not None:
            self.cancel()

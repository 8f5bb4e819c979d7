"""Calls with one answer. One that is answered at once leaves nothing behind; one that waits is a callback of
the future that it waits for, and no task."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message

from memraft_proto.http2.compression import deflate
from memraft_proto.methods import Access, Method
from memraft_server.machine import Refused
from memraft_server.rpc.errors import RETRY_SOON_MS
from memraft_server.rpc.lean.deadlines import may_give_up
from memraft_server.rpc.lean.heads import Call, Head
from memraft_server.rpc.lean.replies import HEAD, HEAD_GZIP, OK, error_block, pack_reply

if TYPE_CHECKING:
    from memraft_server.rpc.lean.protocol import LeanConnection
    from memraft_server.rpc.lean.server import LeanServer

QUEUED_BYTES_MAX = 64 << 20
"""A connection whose client leaves so much unread gets no further calls."""

WAITING_BYTES_MAX = 256 << 20
"""Of the requests of all calls that wait for their outcome: beyond that no further one is taken."""

_clock = time.perf_counter


class StatusError(Exception):
    """An error that is gRPC's own and has no details."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_room(engine: LeanServer, connection: LeanConnection) -> None:
    """Raises Refused where a call would be one too many."""
    most = engine.config.concurrent_calls_max
    if engine.running >= most:
        raise Refused(
            "OVERLOADED",
            f"{engine.running} calls wait for an answer: concurrent_calls_max = {most} is reached",
            {"limit": "concurrent_calls_max", "value": str(most), "retry_after_ms": str(RETRY_SOON_MS)},
        )
    if engine.waiting_bytes > WAITING_BYTES_MAX:
        raise Refused(
            "OVERLOADED",
            f"requests of {engine.waiting_bytes} bytes wait for an answer, over {WAITING_BYTES_MAX}",
            {
                "limit": "waiting bytes",
                "value": str(WAITING_BYTES_MAX),
                "retry_after_ms": str(RETRY_SOON_MS),
            },
        )
    if connection.queued_bytes > QUEUED_BYTES_MAX:
        raise Refused(
            "OVERLOADED",
            f"{connection.queued_bytes} bytes wait for this client to read them, over {QUEUED_BYTES_MAX}",
            {"limit": "unread bytes", "value": str(QUEUED_BYTES_MAX), "retry_after_ms": str(RETRY_SOON_MS)},
        )


def check_size(encoded: bytes, bytes_max: int) -> None:
    """Raises StatusError for a message that is too large to send, in gRPC's own words."""
    if len(encoded) > bytes_max:
        text = f"SERVER: Sent message larger than max ({len(encoded)} vs. {bytes_max})"
        raise StatusError(grpc.StatusCode.RESOURCE_EXHAUSTED, text)


class UnaryRoute:
    """The calls of one method.

    Args:
        engine: whose.
        method: which.
    """

    def __init__(self, engine: LeanServer, method: Method) -> None:
        self.engine = engine
        self.method = method
        self.observe = engine.metrics.of(method.name).observe
        self._call = engine.service.call_bytes
        self._send_bytes_max = engine.config.send_bytes_max
        self._calls_max = engine.config.concurrent_calls_max

    def begin(self, connection: LeanConnection, stream_id: int, head: Head) -> OneMessage:
        """See `heads.Route`."""
        return OneMessage(self, connection, stream_id, head)

    def whole(self, connection: LeanConnection, stream_id: int, head: Head, message: bytes) -> None:
        """See `heads.Route`. The short way of a call is this function alone."""
        began_s = _clock()
        engine = self.engine
        try:
            if (
                engine.running >= self._calls_max
                or connection.queued_bytes
                or engine.waiting_bytes > WAITING_BYTES_MAX
            ):
                check_room(engine, connection)
            caller = connection.caller
            if caller is None:
                caller = connection.identify()
            outcome = self._call(caller, self.method, message)
            if not isinstance(outcome, Message):
                future = outcome if isinstance(outcome, asyncio.Future) else asyncio.ensure_future(outcome)
                Waiting(self, connection, stream_id, head, future, began_s, len(message))
                self._end_turn(connection)
                return
            encoded = outcome.SerializeToString()
            check_size(encoded, self._send_bytes_max)
        except Exception as error:
            self.fail(connection, stream_id, error, began_s)
            self._end_turn(connection)
            return
        if head.is_gzip:
            self.send_gzip(connection, stream_id, encoded)
        else:
            connection.send_reply(pack_reply, HEAD, stream_id, encoded, OK)
        now_s = _clock()
        self.observe("OK", now_s - began_s)
        if now_s > connection.turn_ends_s:
            connection.is_stopped = True

    def _end_turn(self, connection: LeanConnection) -> None:
        if _clock() > connection.turn_ends_s:
            connection.is_stopped = True

    def finish(self, waiting: Waiting, outcome: asyncio.Future[Message]) -> None:
        """Answers a call that had to wait."""
        connection, stream_id, began_s = waiting.connection, waiting.stream_id, waiting.began_s
        try:
            encoded = outcome.result().SerializeToString()
            check_size(encoded, self._send_bytes_max)
        except asyncio.CancelledError:
            connection.answer(stream_id, error_block(grpc.StatusCode.CANCELLED, "the call was cancelled"))
            self.observe("CANCELLED", _clock() - began_s)
            return
        except Exception as error:
            self.fail(connection, stream_id, error, began_s)
            return
        if waiting.head.is_gzip:
            self.send_gzip(connection, stream_id, encoded)
        else:
            connection.send_reply(pack_reply, HEAD, stream_id, encoded, OK)
        self.observe("OK", _clock() - began_s)

    def send_gzip(self, connection: LeanConnection, stream_id: int, encoded: bytes) -> None:
        """Answers one who speaks gzip."""
        compressed = deflate(encoded)
        if compressed is None:
            connection.send_reply(pack_reply, HEAD, stream_id, encoded, OK)
            return
        connection.known(stream_id)
        connection.send_headers(stream_id, HEAD_GZIP, False)
        connection.send_message(stream_id, compressed, is_compressed=True)
        connection.send_trailers(stream_id, OK)

    def fail(self, connection: LeanConnection, stream_id: int, error: Exception, began_s: float) -> None:
        """Answers with an error."""
        code, block = self.engine.error_of(error)
        connection.answer(stream_id, block)
        self.observe(code, _clock() - began_s)


class OneMessage(Call):
    """A call whose one message has not come yet, or not whole.

    Args:
        route: what makes the call when it is there.
        connection: on which.
        stream_id: of which stream.
        head: what it began with.
    """

    __slots__ = ("_route", "_connection", "_stream_id", "_message")

    def __init__(self, route: Any, connection: LeanConnection, stream_id: int, head: Head) -> None:
        self._route = route
        self._connection = connection
        self._stream_id = stream_id
        self.head = head
        self._message: bytes | None = None

    def take(self, message: bytes) -> None:
        """See `heads.Call`."""
        if self._message is None:
            self._message = message
            self._connection.hold(len(message))
        else:
            self._refuse("the request of this call is one message, and more came")

    def end(self) -> None:
        """See `heads.Call`."""
        message = self._message
        self.cancel()
        if message is None:
            self._refuse("the request of this call is one message, and none came")
        else:
            self._route.whole(self._connection, self._stream_id, self.head, message)

    def cancel(self) -> None:
        """See `heads.Call`. What is kept of it is let go."""
        if self._message is not None:
            self._connection.hold(-len(self._message))
            self._message = None

    def _refuse(self, text: str) -> None:
        self.cancel()
        self._connection.answer(self._stream_id, error_block(grpc.StatusCode.INTERNAL, text))

    def abandon(self) -> None:
        """See `heads.Call`."""
        _, block = self._route.engine.error_of(shutting_down())
        self._connection.answer(self._stream_id, block)


class Waiting(Call):
    """A call that waits for its outcome. ``size``: bytes of its request, which is kept meanwhile."""

    __slots__ = ("route", "connection", "stream_id", "began_s", "slot", "_future", "_is_over", "_size")

    def __init__(
        self,
        route: UnaryRoute,
        connection: LeanConnection,
        stream_id: int,
        head: Head,
        future: asyncio.Future[Message],
        began_s: float,
        size: int,
    ) -> None:
        self.route = route
        self.connection = connection
        self.stream_id = stream_id
        self.head = head
        self.began_s = began_s
        self.slot: Any = None
        self._future = future
        self._is_over = False
        self._size = size
        route.engine.running += 1
        route.engine.waiting_bytes += size
        connection.known(stream_id).owner = self
        if head.timeout_s is not None:
            route.engine.deadlines.add(self, head.timeout_s)
        future.add_done_callback(self._done)

    def _done(self, future: asyncio.Future[Message]) -> None:
        if self._is_over:
            if not future.cancelled():
                future.exception()  # it has been seen: asyncio need not tell of it
            return
        self._leave()
        self.route.finish(self, future)
        self.connection.flush_soon()

    def _leave(self) -> None:
        self._is_over = True
        self.route.engine.running -= 1
        self.route.engine.waiting_bytes -= self._size
        if self.slot is not None:
            self.slot.pop(self, None)

    def cancel(self) -> None:
        """See `heads.Call`."""
        if not self._is_over:
            self._leave()
            self.route.observe("CANCELLED", _clock() - self.began_s)
            self._future.cancel()

    def is_due(self) -> bool:
        """See `heads.Call`."""
        return may_give_up(self.head.timeout_s, _clock() - self.began_s)

    def expire(self) -> None:
        """See `deadlines.Expiring`."""
        self._end(error_block(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))

    def abandon(self) -> None:
        """See `heads.Call`."""
        error = shutting_down()
        if self.route.method.access is not Access.READ:  # others change the cluster, or carry writes
            error = Refused("OUTCOME_UNKNOWN", "this node stopped before the outcome was known")
        _, block = self.route.engine.error_of(error)
        self._end(block)

    def _end(self, block: bytes) -> None:
        if not self._is_over:
            self.connection.answer(self.stream_id, block)
            self.connection.flush_soon()
            self.cancel()


def shutting_down() -> Refused:
    """Nothing was done, and nothing will be."""
    return Refused("SHUTTING_DOWN", "this node is shutting down; ask another one")

"""Calls with many answers, one task each. An answer is made when the one before is on its way: a client that
reads slowly is waited for, and one that is gone ends the call."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message

from memraft_proto.http2.compression import deflate
from memraft_proto.methods import Method
from memraft_server.machine import Refused
from memraft_server.rpc.lean.deadlines import may_give_up
from memraft_server.rpc.lean.heads import Call, Head
from memraft_server.rpc.lean.replies import HEAD, HEAD_GZIP, OK
from memraft_server.rpc.lean.unary import OneMessage, StatusError, check_room, check_size, shutting_down

if TYPE_CHECKING:
    from memraft_server.rpc.lean.protocol import LeanConnection
    from memraft_server.rpc.lean.server import LeanServer


class TaskCall(Call, ABC):
    """A call that is a task.

    Args:
        engine: whose.
        connection: on which.
        stream_id: of which stream.
        head: what it began with.
    """

    def __init__(self, engine: LeanServer, connection: LeanConnection, stream_id: int, head: Head) -> None:
        self.engine = engine
        self.connection = connection
        self.stream_id = stream_id
        self.slot: Any = None
        self.code = "CANCELLED"
        self.head = head
        self._began_s = time.perf_counter()
        self.has_head = False
        self._room: asyncio.Future[None] | None = None
        self._refused: Refused | None = None
        try:
            check_room(engine, connection)
        except Refused as refused:
            self._refused = refused
        engine.running += 1
        connection.known(stream_id).owner = self
        if head.timeout_s is not None:
            engine.deadlines.add(self, head.timeout_s)
        self._task = engine.loop.create_task(self._run())
        self._task.add_done_callback(self._over)

    @abstractmethod
    async def produce(self) -> None:
        """Makes the answers, each with `send`."""

    @abstractmethod
    def observe(self, code: str, seconds: float) -> None:
        """Counts the call, now that it is over."""

    async def send(self, reply: Message) -> None:
        """Sends one answer; done when the client wants the next."""
        connection, stream_id = self.connection, self.stream_id
        encoded = reply.SerializeToString()
        check_size(encoded, self.engine.config.send_bytes_max)
        if not self.has_head:
            self.has_head = True
            connection.send_headers(stream_id, HEAD_GZIP if self.head.is_gzip else HEAD, False)
        compressed = deflate(encoded) if self.head.is_gzip else None
        if compressed is None:
            has_left = connection.send_message(stream_id, encoded)
        else:
            has_left = connection.send_message(stream_id, compressed, is_compressed=True)
        connection.flush()
        if not has_left:
            self._room = self.engine.loop.create_future()
            await self._room
        await connection.written()

    def writable(self) -> None:
        """See `heads.Call`."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def _run(self) -> None:
        try:
            if self._refused is not None:
                raise self._refused
            await self.produce()
        except Exception as error:
            self.fail(error)
            return
        self.code = "OK"
        if not self.has_head:
            self.connection.send_headers(self.stream_id, HEAD, False)
        self._answer(OK)

    def fail(self, error: Exception) -> None:
        """Ends the call with an error."""
        self.code, block = self.engine.error_of(error, self.has_head)
        self._answer(block)

    def _answer(self, block: bytes) -> None:
        self.connection.answer(self.stream_id, block)
        self.connection.flush_soon()

    def _over(self, task: asyncio.Task[None]) -> None:
        self.engine.running -= 1
        if self.slot is not None:
            self.slot.pop(self, None)
        if not task.cancelled():
            task.result()
        self.observe(self.code, time.perf_counter() - self._began_s)

    def cancel(self) -> None:
        """See `heads.Call`."""
        self._task.cancel()

    def is_due(self) -> bool:
        """See `heads.Call`."""
        return may_give_up(self.head.timeout_s, time.perf_counter() - self._began_s)

    def expire(self) -> None:
        """See `deadlines.Expiring`."""
        self.end_with(StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))

    def abandon(self) -> None:
        """See `heads.Call`."""
        self.end_with(shutting_down())

    def end_with(self, error: Exception) -> None:
        """Ends the call with an error from outside, unless it is over: its stream must be left alone then."""
        if not self._task.done():
            self.fail(error)
            self.cancel()


class StreamRoute:
    """The calls of one method with many responses.

    Args:
        engine: whose.
        method: which.
    """

    def __init__(self, engine: LeanServer, method: Method) -> None:
        self.engine = engine
        self.method = method
        self.observe = engine.metrics.of(method.name).observe

    def begin(self, connection: LeanConnection, stream_id: int, head: Head) -> OneMessage:
        """See `heads.Route`."""
        return OneMessage(self, connection, stream_id, head)

    def whole(self, connection: LeanConnection, stream_id: int, head: Head, message: bytes) -> None:
        """See `heads.Route`."""
        StreamCall(self, connection, stream_id, head, message)


class StreamCall(TaskCall):
    """A call of the contract that has many responses."""

    def __init__(
        self, route: StreamRoute, connection: LeanConnection, stream_id: int, head: Head, raw: bytes
    ) -> None:
        super().__init__(route.engine, connection, stream_id, head)
        self._route = route
        self._raw = raw

    async def produce(self) -> None:
        """See `TaskCall`."""
        caller = self.connection.caller or self.connection.identify()
        replies = self.engine.service.stream_bytes(caller, self._route.method, self._raw)
        async with aclosing(replies):
            async for reply in replies:
                await self.send(reply)

    def observe(self, code: str, seconds: float) -> None:
        """See `TaskCall`."""
        self._route.observe(code, seconds)

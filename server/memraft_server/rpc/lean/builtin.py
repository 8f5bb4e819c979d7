"""Health checks and reflection: the servicers that grpcio ships, over the lean engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from memraft_server.rpc.engine import SERVICES
from memraft_server.rpc.lean.heads import Head, Route
from memraft_server.rpc.lean.streams import TaskCall
from memraft_server.rpc.lean.unary import StatusError, shutting_down

if TYPE_CHECKING:
    from memraft_server.rpc.lean.protocol import LeanConnection
    from memraft_server.rpc.lean.server import LeanServer

HEALTH = "grpc.health.v1.Health"
REQUESTS_MAX = 16
"""Requests of a stream that wait for those before them; with more, its client has to wait."""

Work = Callable[["ServicerCall"], Awaitable[None]]


def builtin_routes(engine: LeanServer) -> dict[bytes, Route]:
    """Path -> what makes the calls that are not the contract's own."""
    health = engine.health
    servicer = ReflectionServicer((*SERVICES, HEALTH, reflection.SERVICE_NAME))

    async def check(call: ServicerCall) -> None:
        async for request in call.requests():
            await call.send(await health.Check(request, call))
            return
        raise StatusError(grpc.StatusCode.INTERNAL, "the request of this call is one message, and none came")

    async def watch(call: ServicerCall) -> None:
        async for request in call.requests():
            await health.Watch(request, call)

    async def reflect(call: ServicerCall) -> None:
        async for reply in servicer.ServerReflectionInfo(call.requests(), call):
            await call.send(reply)

    request = health_pb2.HealthCheckRequest
    return {
        f"/{HEALTH}/Check".encode(): ServicerRoute(engine, request, check),
        f"/{HEALTH}/Watch".encode(): ServicerRoute(engine, request, watch),
        f"/{reflection.SERVICE_NAME}/ServerReflectionInfo".encode(): ServicerRoute(
            engine, reflection_pb2.ServerReflectionRequest, reflect
        ),
    }


class ServicerRoute:
    """The calls of one method of a servicer.

    Args:
        engine: whose.
        request: what comes.
        work: answers a call.
    """

    def __init__(self, engine: LeanServer, request: type[Message], work: Work) -> None:
        self.engine = engine
        self.request = request
        self.work = work

    def begin(self, connection: LeanConnection, stream_id: int, head: Head) -> ServicerCall:
        """See `heads.Route`."""
        return ServicerCall(self, connection, stream_id, head)

    def whole(self, connection: LeanConnection, stream_id: int, head: Head, message: bytes) -> None:
        """See `heads.Route`."""
        call = self.begin(connection, stream_id, head)
        call.take(message)
        call.end()


class ServicerCall(TaskCall):
    """One call; to the servicer it is the context, as far as it needs one."""

    def __init__(self, route: ServicerRoute, connection: LeanConnection, stream_id: int, head: Head) -> None:
        super().__init__(route.engine, connection, stream_id, head)
        self._route = route
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._task.add_done_callback(self._let_go)

    async def produce(self) -> None:
        """See `TaskCall`."""
        await self._route.work(self)

    async def requests(self) -> AsyncIterator[Any]:
        """What the client asks, as it comes."""
        while (raw := await self._waiting.get()) is not None:
            self.connection.hold(-len(raw))
            if self._waiting.qsize() < REQUESTS_MAX:
                self.connection.resume(self.stream_id)
            try:
                yield self._route.request.FromString(raw)
            except DecodeError as error:
                name = self._route.request.DESCRIPTOR.name
                text = f"the request is no {name}: {error}"
                raise StatusError(grpc.StatusCode.INVALID_ARGUMENT, text) from None

    def take(self, message: bytes) -> None:
        """See `heads.Call`."""
        if self._task.done():
            return
        self._waiting.put_nowait(message)
        self.connection.hold(len(message))
        if self._waiting.qsize() >= REQUESTS_MAX:
            self.connection.pause(self.stream_id)

    def end(self) -> None:
        """See `heads.Call`."""
        self._waiting.put_nowait(None)

    def _let_go(self, _task: asyncio.Task[None]) -> None:
        while not self._waiting.empty():
            self.connection.hold(-len(self._waiting.get_nowait() or b""))

    def shut(self) -> None:
        """See `heads.Call`."""
        self.end_with(shutting_down())

    def observe(self, code: str, seconds: float) -> None:
        """See `TaskCall`: only the contract's calls are counted."""

    async def write(self, reply: Message) -> None:
        """As a servicer's context has it."""
        await self.send(reply)

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """As a servicer's context has it."""
        raise StatusError(code, details)

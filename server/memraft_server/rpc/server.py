"""The engine on grpcio: bytes in, bytes out, identity from the certificate, errors told in one form.

Requests are not deserialised by gRPC: the bytes travel into the log entry as they came and are parsed once,
by the service. Calls run on one event loop; a call costs the task that grpc.aio makes for it and no other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from memraft_proto.methods import METHODS, Method
from memraft_server.admission.identity import Caller
from memraft_server.metrics import CallMetrics
from memraft_server.rpc.engine import (
    KEEPALIVE_ANSWER_S,
    KEEPALIVE_S,
    PING_INTERVAL_MIN_S,
    PING_STRIKES_MAX,
    SERVICES,
    Engine,
    ListenFailed,
    RpcConfig,
    why_not,
)
from memraft_server.rpc.errors import DETAILS_KEY, Address
from memraft_server.service import Service

logger = logging.getLogger("memraft.rpc")

SETTLE_POLL_S = 0.05

Handler = Callable[[bytes, Any], Awaitable[bytes]]
StreamHandler = Callable[[bytes, Any], Awaitable[None]]


class RpcServer(Engine):
    """Serves through grpc.aio."""

    def __init__(self, config: RpcConfig, service: Service, address: Address, metrics: CallMetrics) -> None:
        super().__init__(config, service, address, metrics)
        self._begun = 0
        self._server: grpc.aio.Server | None = None

    def bind(self) -> None:
        server = grpc.aio.server(
            options=_options(self.config), maximum_concurrent_rpcs=self.config.concurrent_calls_max
        )
        for service in SERVICES:
            handlers: dict[str, Any] = {
                method.name: (
                    grpc.unary_stream_rpc_method_handler(self._stream_handler(method))
                    if method.streams
                    else grpc.unary_unary_rpc_method_handler(self._handler(method))
                )
                for method in METHODS.values()
                if method.service == service
            }
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        reflection.enable_server_reflection(
            (*SERVICES, "grpc.health.v1.Health", reflection.SERVICE_NAME), server
        )
        self.port = self._bind(server)
        self._server = server

    async def start(self) -> None:
        assert self._server is not None
        await self._server.start()
        self.is_serving = True
        await self.set_serving(True)

    def _bind(self, server: grpc.aio.Server) -> int:
        listen, tls = self.config.listen, self.config.tls
        try:
            if tls is None:
                port = server.add_insecure_port(listen)
            else:
                credentials = grpc.ssl_server_credentials(
                    [(tls.key, tls.certificate)], tls.authority, require_client_auth=True
                )
                port = server.add_secure_port(listen, credentials)
        except RuntimeError:
            port = 0
        if port == 0:
            raise ListenFailed(f"cannot listen for clients on {listen}: {why_not(listen)}")
        return port

    async def stop(self, grace_s: float) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        if not self.is_serving:
            await server.start()  # one that never ran keeps its port until it is collected
        else:
            await self._settle(grace_s)
        self.is_serving = False
        await server.stop(grace_s)

    async def _settle(self, grace_s: float) -> None:
        """Waits until no call comes or runs. gRPC would cancel calls that it has not handed over yet, and a
        caller cannot know that a cancelled call did nothing; here each learns where it stands."""
        deadline = time.monotonic() + grace_s
        seen = -1
        while time.monotonic() < deadline and (self.running or self._begun != seen):
            seen = self._begun
            await asyncio.sleep(SETTLE_POLL_S)

    # -- a call ----------------------------------------------------------------------------------------

    def _handler(self, method: Method) -> Handler:
        service = self.service
        call = service.call_bytes
        identify = self._identify
        fail = self._fail
        metrics = self.metrics.of(method.name)
        clock = time.perf_counter

        async def handle(raw: bytes, context: Any) -> bytes:
            began = clock()
            self._begun += 1
            self.running += 1
            try:
                outcome = call(identify(context), method, raw)
                reply = outcome if isinstance(outcome, Message) else await outcome
                encoded = reply.SerializeToString()
            except asyncio.CancelledError:
                metrics.observe("CANCELLED", clock() - began)
                raise
            except Exception as error:
                await fail(error, context, metrics.observe, began)
            finally:
                self.running -= 1
            metrics.observe("OK", clock() - began)
            return encoded

        return handle

    def _stream_handler(self, method: Method) -> StreamHandler:
        """Handles a call with many responses. Each is made when the one before is on its way: a client that
        reads slowly is waited for, and one that is gone ends the call."""
        service, metrics = self.service, self.metrics.of(method.name)

        async def handle(raw: bytes, context: Any) -> None:
            began = time.perf_counter()
            try:
                replies = service.stream_bytes(self._identify(context), method, raw)
                async with aclosing(replies):
                    async for reply in replies:
                        await context.write(reply.SerializeToString())
            except asyncio.CancelledError:
                metrics.observe("CANCELLED", time.perf_counter() - began)
                raise
            except Exception as error:
                await self._fail(error, context, metrics.observe, began)
            metrics.observe("OK", time.perf_counter() - began)

        return handle

    def _identify(self, context: Any) -> Caller:
        """The caller. Raises Refused (NO_IDENTITY)."""
        if self.config.tls is None:
            return self.identify(())
        return self.identify(tuple(context.auth_context().get("peer_uri", ())))

    async def _fail(
        self, error: Exception, context: Any, observe: Callable[[str, float], None], began: float
    ) -> NoReturn:
        code, message, details = self.failure(error)
        observe(code.name, time.perf_counter() - began)
        await context.abort(code, message, ((DETAILS_KEY, details),))
        raise AssertionError("abort raises")


def _options(config: RpcConfig) -> list[tuple[str, Any]]:
    return [
        # Two servers on one port would share its connections between them; one must fail, and say so.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", config.receive_bytes_max),
        ("grpc.max_send_message_length", config.send_bytes_max),
        # From 1,000 calls that the loop has yet to take up gRPC would drop some by chance, as CANCELLED.
        ("grpc.server.max_pending_requests", config.concurrent_calls_max),
        ("grpc.server.max_pending_requests_hard_limit", config.concurrent_calls_max + 1),
        # A client that is gone without a word is noticed within 50 s; one that pings more often than
        # every 10 s is told to go.
        ("grpc.keepalive_time_ms", 1_000 * KEEPALIVE_S),
        ("grpc.keepalive_timeout_ms", 1_000 * KEEPALIVE_ANSWER_S),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000 * PING_INTERVAL_MIN_S),
        ("grpc.http2.max_ping_strikes", PING_STRIKES_MAX),
    ]

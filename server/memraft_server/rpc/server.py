"""The gRPC server of a node: bytes in, bytes out, identity from the certificate, errors told in one form.

Requests are not deserialised by gRPC: the bytes travel into the log entry as they came and are parsed once,
by the service. Calls run on one event loop; a call costs the task that grpc.aio makes for it and no other.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from memraft_proto.methods import METHODS, Method
from memraft_server.admission.identity import Caller, Role, parse_identity
from memraft_server.config import split_address
from memraft_server.metrics import CallMetrics
from memraft_server.rpc.errors import DETAILS_KEY, Address, status_of, to_refused
from memraft_server.service import Service

logger = logging.getLogger("memraft.rpc")

IDENTITIES_MAX = 10_000
SETTLE_POLL_S = 0.05
SERVICES = tuple(sorted({method.service for method in METHODS.values()}))

Handler = Callable[[bytes, Any], Awaitable[bytes]]
StreamHandler = Callable[[bytes, Any], Awaitable[None]]


class ListenFailed(Exception):
    """The address for clients cannot be listened on."""


@dataclass(frozen=True, slots=True)
class TlsBytes:
    """PEM contents of the server's own certificate, its key, and the authority of its callers."""

    authority: bytes
    certificate: bytes
    key: bytes
    trust_domain: str


@dataclass(frozen=True, slots=True)
class RpcConfig:
    """How clients are served.

    Attributes:
        listen: host:port; port 0 takes a free one.
        tls: None: plain text without any identity, every caller may do everything.
        receive_bytes_max: largest message that gRPC takes at all. Above what the service takes, so that it is
            the service that refuses and names its setting.
        send_bytes_max: largest reply.
        concurrent_calls_max: further ones are refused by gRPC with RESOURCE_EXHAUSTED.
    """

    listen: str
    tls: TlsBytes | None
    receive_bytes_max: int
    send_bytes_max: int
    concurrent_calls_max: int


class RpcServer:
    """Serves the calls of the contract, health checks and reflection.

    Args:
        config: see :class:`RpcConfig`.
        service: answers the calls.
        address: of a node, for clients; for NOT_LEADER.
        metrics: counts the calls.
    """

    def __init__(self, config: RpcConfig, service: Service, address: Address, metrics: CallMetrics) -> None:
        self.config = config
        self.port = 0
        self.is_serving = False
        self._begun = 0
        self._running = 0
        self._service = service
        self._address = address
        self._metrics = metrics
        self._callers: dict[tuple[bytes, ...], Caller] = {}
        self._anonymous = Caller(Role.LOCAL, "anonymous")
        self._server: grpc.aio.Server | None = None
        self._health = HealthServicer()

    def bind(self) -> None:
        """Takes the port; calls wait until :meth:`start`. Raises ListenFailed, naming host and port."""
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
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (*SERVICES, "grpc.health.v1.Health", reflection.SERVICE_NAME), server
        )
        self.port = self._bind(server)
        self._server = server

    async def start(self) -> None:
        """Serves on the port that was taken."""
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
            raise ListenFailed(f"cannot listen for clients on {listen}: {_why_not(listen)}")
        return port

    async def set_serving(self, is_serving: bool) -> None:
        """What health checks are told, for the whole server and for each service."""
        status = health_pb2.HealthCheckResponse.SERVING
        if not is_serving:
            status = health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *SERVICES):
            await self._health.set(service, status)

    async def stop(self, grace_s: float) -> None:
        """Answers what has come in, takes no new calls, closes; each for at most ``grace_s``."""
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
        while time.monotonic() < deadline and (self._running or self._begun != seen):
            seen = self._begun
            await asyncio.sleep(SETTLE_POLL_S)

    # -- a call ----------------------------------------------------------------------------------------

    def _handler(self, method: Method) -> Handler:
        service = self._service
        call = service.call_bytes
        identify = self._identify
        fail = self._fail
        metrics = self._metrics.of(method.name)
        clock = time.perf_counter

        async def handle(raw: bytes, context: Any) -> bytes:
            began = clock()
            self._begun += 1
            self._running += 1
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
                self._running -= 1
            metrics.observe("OK", clock() - began)
            return encoded

        return handle

    def _stream_handler(self, method: Method) -> StreamHandler:
        """Handles a call with many responses. Each is made when the one before is on its way: a client that
        reads slowly is waited for, and one that is gone ends the call."""
        service, metrics = self._service, self._metrics.of(method.name)

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
        """The caller, from the URI of its certificate. Raises Refused (NO_IDENTITY)."""
        tls = self.config.tls
        if tls is None:
            return self._anonymous
        uris = tuple(context.auth_context().get("peer_uri", ()))
        caller = self._callers.get(uris)
        if caller is None:
            texts = tuple(uri.decode("utf-8", "replace") for uri in uris)
            caller = parse_identity(texts, tls.trust_domain)
            if len(self._callers) >= IDENTITIES_MAX:
                self._callers.clear()
            self._callers[uris] = caller
        return caller

    async def _fail(
        self, error: Exception, context: Any, observe: Callable[[str, float], None], began: float
    ) -> NoReturn:
        code, message, details = status_of(to_refused(error, self._address))
        observe(code.name, time.perf_counter() - began)
        await context.abort(code, message, ((DETAILS_KEY, details),))
        raise AssertionError("abort raises")


def _why_not(listen: str) -> str:
    """Why an address cannot be listened on, which gRPC tells nobody but its own log."""
    try:
        with socket.create_server(split_address(listen)):
            return "gRPC refused it"
    except OSError as error:
        return error.strerror or str(error)


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
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 2),
    ]

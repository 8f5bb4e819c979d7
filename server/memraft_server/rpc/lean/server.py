"""The lean engine: listens, and looks after its connections."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import socket
import ssl
import time
from functools import partial
from typing import Any

from memraft_proto.http2.connection import Limits
from memraft_proto.http2.frames import ConnectionFault
from memraft_proto.http2.headers import Fields
from memraft_proto.methods import METHODS
from memraft_proto.secured import Secured
from memraft_server.config import split_address
from memraft_server.metrics import CallMetrics
from memraft_server.rpc.engine import (
    PING_INTERVAL_MIN_S,
    PING_STRIKES_MAX,
    Engine,
    ListenFailed,
    RpcConfig,
    TlsBytes,
)
from memraft_server.rpc.errors import Address
from memraft_server.rpc.lean.builtin import builtin_routes
from memraft_server.rpc.lean.deadlines import Deadlines
from memraft_server.rpc.lean.heads import Head, Route, read_head
from memraft_server.rpc.lean.protocol import LeanConnection
from memraft_server.rpc.lean.replies import error_block
from memraft_server.rpc.lean.streams import StreamRoute
from memraft_server.rpc.lean.unary import StatusError, UnaryRoute
from memraft_server.service import Service

logger = logging.getLogger("memraft.rpc")

CONNECTIONS_MAX = 10_000
"""Connections, those that have not said yet who they are among them. One more has the place of the oldest of
those; where there is none, it is closed at once."""
FILES_SHARE = 0.75
"""So many of the files that the process may open may be connections: a node that cannot open the next file of
its log ends."""
HELD_BYTES_MAX = 512 << 20
"""What all connections may hold together of calls that have not come whole and of answers not read."""
BACKLOG = 1_024
ACCEPTS_MAX = 64
"""Connections taken before others have the event loop."""
ACCEPT_PAUSE_S = 0.5
"""Where the process has no more file descriptors, it looks again after so long."""
WATCH_S = 1.0
SETTLE_POLL_S = 0.01
CLOSE_S = 1.0
"""How long a client may take to take leave."""
STREAMS_SPARE = 100
"""Streams of a connection beyond the calls that there may be at all, so that those over are told why."""


class LeanServer(Engine):
    """Serves HTTP/2 on the event loop that it is started on."""

    loop: asyncio.AbstractEventLoop
    deadlines: Deadlines

    def __init__(self, config: RpcConfig, service: Service, address: Address, metrics: CallMetrics) -> None:
        super().__init__(config, service, address, metrics)
        self.limits = Limits(
            streams_max=config.concurrent_calls_max + STREAMS_SPARE,
            message_bytes_max=config.receive_bytes_max,
            ping_strikes_max=PING_STRIKES_MAX,
            period_s=PING_INTERVAL_MIN_S,
        )
        self.routes: dict[bytes, Route] = {
            method.path.encode(): StreamRoute(self, method) if method.streams else UnaryRoute(self, method)
            for method in METHODS.values()
        }
        self.routes |= builtin_routes(self)
        self.connections: dict[LeanConnection, None] = {}
        self.strangers: dict[LeanConnection, None] = {}
        self._connections_max = _connections_max()
        self.waiting_bytes = 0
        """Of the requests of calls that wait for their outcome."""
        self.is_stopping = False
        self._greeting: set[asyncio.Task[Any]] = set()
        self._listeners: list[socket.socket] = []
        self._tls: ssl.SSLContext | None = None
        self._watch: asyncio.TimerHandle | None = None

    # -- life ----------------------------------------------------------------------------------------------

    def bind(self) -> None:
        """See `Engine`."""
        listen = self.config.listen
        if self.config.tls is not None:
            self._tls = _tls_context(self.config.tls)
        try:
            self._listeners = _listeners(*split_address(listen))
        except OSError as error:
            why = error.strerror or str(error)
            raise ListenFailed(f"cannot listen for clients on {listen}: {why}") from None
        self.port = self._listeners[0].getsockname()[1]

    async def start(self) -> None:
        """See `Engine`."""
        self.loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self.loop)
        for listener in self._listeners:
            self.loop.add_reader(listener, self._accept, listener)
        self._watch = self.loop.call_later(WATCH_S, self._look_around)
        self.is_serving = True
        await self.set_serving(True)

    async def stop(self, grace_s: float) -> None:
        """See `Engine`. Clients are told to go elsewhere; a round trip later all calls that were on their way
        are here, and each of them is answered with where it stands."""
        self.is_stopping = True
        for listener in self._listeners:
            if self.is_serving:
                self.loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()
        if not self.is_serving:
            return
        self.is_serving = False
        for task in list(self._greeting):
            task.cancel()
        for connection in list(self.connections):
            connection.drain()
        await self._until_gone(grace_s)
        for connection in list(self.connections):
            connection.abandon()
        await self._until_gone(min(grace_s, CLOSE_S))
        for connection in list(self.connections):
            connection.abort()
        await asyncio.gather(*self._greeting, return_exceptions=True)
        await self._until_gone(CLOSE_S)
        if self._watch is not None:
            self._watch.cancel()

    async def _until_gone(self, most_s: float) -> None:
        deadline = time.monotonic() + most_s
        while (self.connections or self.running) and time.monotonic() < deadline:
            await asyncio.sleep(SETTLE_POLL_S)

    # -- connections ---------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                accepted, _address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                logger.error("cannot take a connection", extra={"fields": {"error": str(error)}})
                self.loop.remove_reader(listener)
                self.loop.call_later(ACCEPT_PAUSE_S, self._accept_again, listener)
                return
            if len(self.connections) + len(self._greeting) >= self._connections_max:
                if not self.strangers:
                    accepted.close()
                    continue
                stranger = next(iter(self.strangers))
                del self.strangers[stranger]
                stranger.abort()
            accepted.setblocking(False)
            made = self.loop.connect_accepted_socket(lambda: LeanConnection(self), accepted)
            task = self.loop.create_task(made)
            self._greeting.add(task)
            task.add_done_callback(partial(self._greeted, accepted))

    def _accept_again(self, listener: socket.socket) -> None:
        if not self.is_stopping:
            self.loop.add_reader(listener, self._accept, listener)

    def _greeted(self, accepted: socket.socket, task: asyncio.Task[Any]) -> None:
        self._greeting.discard(task)
        if task.cancelled():
            accepted.close()  # nobody has, where it was told to end before it had begun
        elif isinstance(error := task.exception(), Exception):
            accepted.close()
            self.note_stranger(error)

    def _look_around(self) -> None:
        now_s = self.loop.time()
        for connection in list(self.connections):
            connection.watch(now_s)
        self.shed()
        self._watch = self.loop.call_later(WATCH_S, self._look_around)

    def shed(self) -> None:
        """Closes those that hold the most where all together hold too much: each may be within its bounds."""
        held_bytes = sum(connection.held_bytes for connection in self.connections)
        if held_bytes <= HELD_BYTES_MAX:
            return
        for connection in sorted(self.connections, key=lambda each: each.held_bytes, reverse=True):
            logger.error(
                "closing a connection: all together hold too much",
                extra={"fields": {"held_bytes": connection.held_bytes, "all_held_bytes": held_bytes}},
            )
            held_bytes -= connection.held_bytes
            connection.abort()
            if held_bytes <= HELD_BYTES_MAX:
                return

    # -- for connections and calls -------------------------------------------------------------------------

    def read_head(self, fields: Fields) -> Head:
        """What a request's header fields mean."""
        return read_head(fields, self.routes)

    def error_of(self, error: Exception, has_head: bool = False) -> tuple[str, bytes]:
        """The name of an error's status code, and what a call is answered with."""
        if isinstance(error, StatusError):
            return error.code.name, error_block(error.code, str(error), has_head=has_head)
        code, message, details = self.failure(error)
        return code.name, error_block(code, message, details, has_head)

    def secured(self) -> Secured | None:
        """TLS for one more connection; None: plain text."""
        return Secured(self._tls, None, is_server=True) if self._tls is not None else None

    def note_stranger(self, error: Exception) -> None:
        """Somebody could not be let in."""
        logger.debug("a client was not let in", extra={"fields": {"error": str(error)}})

    def note_fault(self, fault: ConnectionFault) -> None:
        """A client broke a rule of HTTP/2, or a limit."""
        fields = {"code": fault.code.name, "error": fault.text}
        logger.info("closing a connection", extra={"fields": fields})


def _connections_max() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MAX if files < 0 else min(CONNECTIONS_MAX, int(files * FILES_SHARE))


def _tls_context(tls: TlsBytes) -> ssl.SSLContext:
    """Mutual TLS for HTTP/2, by RFC 9113, section 9.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=tls.authority.decode())
    context.set_alpn_protocols(["h2"])
    # A resumed session would be of use to nobody: connections live long.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    # OpenSSL reads keys from files alone; this one is in memory, and gone when it is closed.
    with open(os.memfd_create("memraft-certificate"), "wb") as file:
        file.write(tls.certificate + b"\n" + tls.key)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    return context


def _listeners(host: str, port: int) -> list[socket.socket]:
    """Sockets on all addresses of a host, on one port. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            # With the protocol named: only then does asyncio turn Nagle's delay off on what is accepted, and
            # that costs an answer of two writes 40 ms.
            listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listeners.append(listener)
            # Without SO_REUSEPORT: two servers on one port would share its connections between them.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, len(found) > 1)
            listener.bind((address[0], port, *address[2:]))
            listener.listen(BACKLOG)
            listener.setblocking(False)
            port = listener.getsockname()[1]
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners

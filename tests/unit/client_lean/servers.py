"""Servers of grpcio and scripted ones for the lean engine to talk to, and channels for both facades."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from memraft._async.remote import CHANNEL_OPTIONS
from memraft._lean.blocking import BlockingChannel
from memraft._lean.calls import Options
from memraft._lean.channel import LeanChannel
from memraft._lean.tls import Security
from memraft._target import Certificates
from memraft_proto.http2.connection import Connection, Limits
from memraft_proto.http2.headers import encode
from memraft_server import certs

HOST = "127.0.0.1"
WAIT_S = 20.0
OPTIONS = Options.of(CHANNEL_OPTIONS)
DETAILS = b"\x00\xff details \x80"
HEAD = encode(((b":status", b"200"), (b"content-type", b"application/grpc")))
OK = encode(((b"grpc-status", b"0"),))

FACADES = ("event loop", "threads")


def same(data: bytes) -> bytes:
    return data


class Files:
    """Certificates of one authority.

    Args:
        directory: where.
    """

    def __init__(self, directory: Path) -> None:
        self.ca = directory / "ca"
        self.node = directory / "node"
        self.agent = directory / "agent"
        certs.init_ca(self.ca, "memraft.local")
        certs.issue_node(self.ca, self.node, "n1", [HOST])
        certs.issue_agent(self.ca, self.agent, "acme", "support")


def certificates(directory: Path) -> Certificates:
    """What a client has read from a directory."""
    authority, certificate, key = ((directory / f"{name}.pem").read_bytes() for name in ("ca", "cert", "key"))
    return Certificates(directory=directory, authority=authority, certificate=certificate, key=key)


# -- channels --------------------------------------------------------------------------------------------


class Responses:
    """The responses of a call of either facade."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.cancel = call.cancel

    async def next(self) -> bytes | None:
        """The next; None: there are no more."""
        if isinstance(self._call, grpc.RpcContext) or hasattr(self._call, "__next__"):
            found: bytes | None = await asyncio.to_thread(next, self._call, None)
            return found
        response = await self._call.read()
        return None if response is grpc.aio.EOF else response

    async def rest(self) -> list[bytes]:
        """All further ones."""
        found = []
        while (response := await self.next()) is not None:
            found.append(response)
        return found


class Channel:
    """A channel of either facade, used from an event loop.

    Args:
        facade: one of FACADES.
        address: host:port.
        directory: with certificates; None: plain text.
        changes: to the options.
    """

    def __init__(self, facade: str, address: str, directory: Path | None = None, **changes: Any) -> None:
        security = Security(certificates(directory) if directory is not None else None)
        # As always, but with time for handshakes on a busy machine.
        options = OPTIONS._replace(**{"connect_timeout_s": WAIT_S, **changes})
        self.is_blocking = facade == "threads"
        kind = BlockingChannel if self.is_blocking else LeanChannel
        self.channel: Any = kind(address, security, options)

    async def call(self, request: bytes, path: str = "/s/Echo", timeout_s: float = WAIT_S) -> bytes:
        """One call with one response."""
        call = self.channel.unary_unary(path, request_serializer=same, response_deserializer=same)
        if self.is_blocking:
            return await in_own_thread(lambda: call(request, timeout=timeout_s))
        found: bytes = await call(request, timeout=timeout_s)
        return found

    def follow(self, request: bytes, path: str = "/s/Count", timeout_s: float = WAIT_S) -> Responses:
        """One call with many responses."""
        call = self.channel.unary_stream(path, request_serializer=same, response_deserializer=same)
        return Responses(call(request, timeout=timeout_s))

    async def close(self) -> None:
        """Closes it."""
        closed = self.channel.close()
        if isinstance(closed, Awaitable):
            await closed


async def in_own_thread(function: Callable[[], bytes]) -> bytes:
    """Runs a call in a thread of its own: a pool would bound how many there are at once."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()

    def settle(outcome: bytes | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            assert outcome is not None
            done.set_result(outcome)

    def run() -> None:
        try:
            outcome = function()
        except Exception as error:
            loop.call_soon_threadsafe(settle, None, error)
        else:
            loop.call_soon_threadsafe(settle, outcome, None)

    threading.Thread(target=run, daemon=True).start()
    return await done


# -- grpcio's server -------------------------------------------------------------------------------------


def _fail(request: bytes, context: Any) -> bytes:
    context.set_trailing_metadata((("grpc-status-details-bin", DETAILS), ("x-text", "plain")))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())
    raise AssertionError("abort raises")


def _count(request: bytes, context: Any) -> Iterator[bytes]:
    for number in range(int(request)):
        yield b"%d" % number


def _wait(request: bytes, context: Any) -> bytes:
    over = threading.Event()
    context.add_callback(over.set)
    over.wait(WAIT_S)
    return request


def _endless(request: bytes, context: Any) -> Iterator[bytes]:
    while context.is_active():
        yield request


def _zipped(request: bytes, context: Any) -> bytes:
    context.set_compression(grpc.Compression.Gzip)
    return request


@contextmanager
def grpcio_server(files: Path | None = None, port: int = 0) -> Iterator[str]:
    """The address of a server of grpcio with calls of every kind.

    Args:
        files: directory of its certificate; None: plain text.
        port: 0: any.
    """
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(32), options=[*options, ("grpc.so_reuseport", 0)])
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    calls = {
        "Echo": unary(lambda request, context: request),
        "Fail": unary(_fail),
        "Wait": unary(_wait),
        "Zipped": unary(_zipped),
        "Count": stream(_count),
        "Endless": stream(_endless),
        "FailLate": stream(lambda request, context: _fail_late(request, context)),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", calls),))
    if files is None:
        port = server.add_insecure_port(f"{HOST}:{port}")
    else:
        authority, certificate, key = ((files / f"{name}.pem").read_bytes() for name in ("ca", "cert", "key"))
        credentials = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
        port = server.add_secure_port(f"{HOST}:{port}", credentials)
    server.start()
    try:
        yield f"{HOST}:{port}"
    finally:
        server.stop(None).wait()


def _fail_late(request: bytes, context: Any) -> Iterator[bytes]:
    yield b"first"
    _fail(request, context)


# -- a scripted server -----------------------------------------------------------------------------------


class Peer(Connection, asyncio.Protocol):
    """One connection of a scripted server: each call is told to the script, which does with it what it likes.

    Args:
        script: called with the connection, the stream's id, the path and the request.
        limits: of the connection.
        peers: where it is noted, once it is up.
    """

    def __init__(self, script: Script, limits: Limits, peers: list[Peer]) -> None:
        super().__init__(limits, False)
        self._peers = peers
        self._script = script
        self._paths: dict[int, str] = {}
        self.was_reset: list[int] = []
        self.farewells: list[int] = []
        self.pings = 0
        self.transport: Any = None
        self.is_lost = False

    def connection_made(self, transport: Any) -> None:
        self._peers.append(self)
        self.transport = transport
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.receive(data)
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True

    def flush(self) -> None:
        """Writes what has gathered."""
        if data := self.take():
            self.transport.write(data)

    def interpret(self, fields: tuple[tuple[bytes, bytes], ...]) -> Any:
        return dict(fields)[b":path"].decode()

    def on_headers(self, stream_id: int, head: str, is_end: bool) -> None:
        self._paths[stream_id] = head

    def on_message(self, stream_id: int, message: bytes) -> None:
        self._script(self, stream_id, self._paths.pop(stream_id), message)

    def on_reset(self, stream_id: int, code: int) -> None:
        self.was_reset.append(stream_id)

    def _take_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        self.pings += 1
        super()._take_ping(flags, stream_id, payload)

    def on_goaway(self, last_stream_id: int, code: int, text: str) -> None:
        self.farewells.append(code)

    def answer(self, stream_id: int, message: bytes) -> None:
        """A whole answer, well."""
        self.send_headers(stream_id, HEAD, False)
        self.send_message(stream_id, message)
        self.send_trailers(stream_id, OK)
        self.flush()

    def abort(self) -> None:
        """Is gone, as a process that was killed."""
        self.transport.abort()


Script = Callable[[Peer, int, str, bytes], None]


def echo(peer: Peer, stream_id: int, path: str, request: bytes) -> None:
    peer.answer(stream_id, request)


class Scripted:
    """A scripted server.

    Attributes:
        address: host:port.
        peers: its connections, in the order in which they came.
    """

    def __init__(self, script: Script, limits: Limits) -> None:
        self.script = script
        self.address = ""
        self.peers: list[Peer] = []
        self._limits = limits

    def made(self) -> Peer:
        """A new connection."""
        return Peer(lambda *call: self.script(*call), self._limits, self.peers)


@asynccontextmanager
async def scripted(
    script: Script = echo,
    limits: Limits | None = None,
    port: int = 0,
    files: Path | None = None,
    protocols: Sequence[str] = ("h2",),
) -> AsyncIterator[Scripted]:
    """A scripted server on the running event loop."""
    server = Scripted(script, limits or Limits())
    context = None
    if files is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files / "cert.pem", files / "key.pem")
        context.load_verify_locations(files / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(list(protocols))
    listening = await asyncio.get_running_loop().create_server(server.made, HOST, port, ssl=context)
    server.address = f"{HOST}:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for peer in server.peers:
            if not peer.is_lost:
                peer.abort()
        await eventually(lambda: all(peer.is_lost for peer in server.peers), "connections are closed")


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Waits until a condition holds."""
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not in time: {what}"
        await asyncio.sleep(0.005)

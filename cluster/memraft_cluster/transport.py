"""Node-to-node streams: one mutual-TLS connection in each direction between two nodes, for all groups.

A node dials every other node and sends on the connection it dialled; what it receives comes in on the
connections that others dialled. All messages of one turn of the driver to one peer leave in one frame.
The consensus core tolerates loss, so every queue is bounded and drops its oldest messages when it is full.

Who the other nodes are may change at any time (:meth:`Transport.set_peers`): a new one is dialled and let in,
one that left is neither.

A connection counts once both sides have said hello and each found the other's name in its certificate.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from .connections import CLOSE_TIMEOUT_S, Inbound, Link
from .errors import ListenError, PeerRefused
from .framing import PROTOCOL_VERSION, GroupMessage, Hello
from .identity import node_name
from .layout import Layout
from .raft import Message
from .tls import TlsFiles, check_own_certificate, dialling_context, listening_context

logger = logging.getLogger("memraft.transport")

Receive = Callable[[int, list[GroupMessage], int], None]
"""(sender's node id, messages, their size in bytes); called from the event loop, must not block."""

Disconnected = Callable[[int], None]
"""(node id): what was on its way to that node may be lost."""

HANDSHAKE_TIMEOUT_S = 5.0
REPORT_AGAIN_S = 3600.0
REPORTED_MAX = 256


@dataclass(frozen=True, slots=True)
class Peer:
    """A node as others reach it.

    ``node_id`` is its number in the consensus core, ``name`` what its certificate and config call it.
    """

    node_id: int
    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class TransportConfig:
    """What the streams of one node need to know.

    Args:
        cluster: id of the cluster; nodes of another one are refused.
        node_id: which of ``peers`` this node is.
        peers: all nodes known at the start, this one included.
        tls: certificate files; None only together with ``insecure``.
        insecure: plain text without any identity, for experiments on one machine.
        listen_host, listen_port: where to listen when it is not the address others dial; port 0 takes a
            free one.
        frame_bytes_max: larger frames are refused, unread. Must exceed the largest message.
        frame_bytes_target: messages are gathered into frames of about this size.
        queue_bytes_max: what waits for one peer; beyond it the oldest messages are dropped.
        dial_timeout_ms: for one attempt to connect, TLS and hello included.
        backoff_ms_min, backoff_ms_max: pause between attempts: doubled each time, with jitter.
        inbound_connections_max: further ones are closed at once.
        shards: how many groups the cluster has; peers that say otherwise are refused.
    """

    cluster: str
    node_id: int
    peers: tuple[Peer, ...]
    tls: TlsFiles | None = None
    insecure: bool = False
    listen_host: str | None = None
    listen_port: int | None = None
    frame_bytes_max: int = 32 << 20
    frame_bytes_target: int = 1 << 20
    queue_bytes_max: int = 32 << 20
    dial_timeout_ms: int = 3_000
    backoff_ms_min: int = 50
    backoff_ms_max: int = 1_000
    inbound_connections_max: int = 64
    shards: int = 1

    def __post_init__(self) -> None:
        if self.tls is None and not self.insecure:
            raise ValueError("nodes speak mutual TLS: give tls, or say insecure=True")
        if self.tls is not None and self.insecure:
            raise ValueError("tls and insecure=True exclude each other")
        ids = [peer.node_id for peer in self.peers]
        names = [peer.name for peer in self.peers]
        if len(set(ids)) != len(ids) or len(set(names)) != len(names):
            raise ValueError(f"node ids and names must be unique: {ids}, {names}")
        if self.node_id not in ids:
            raise ValueError(f"node {self.node_id} is not among the peers {ids}")

    @property
    def layout(self) -> Layout:
        """What every peer must say, too."""
        return Layout(self.shards)

    @property
    def own(self) -> Peer:
        return next(peer for peer in self.peers if peer.node_id == self.node_id)


class Transport:
    """The streams of one node. Everything runs on the event loop that :meth:`start` was awaited on.

    Raises:
        CertificateError: this node's own certificate files cannot be used.
    """

    def __init__(self, config: TransportConfig) -> None:
        self.config = config
        self.rejected_total = 0
        self._receive: Receive = _discard
        self._disconnected: Disconnected = _ignore
        self._reported: dict[tuple[str, str], float] = {}
        self._server: asyncio.Server | None = None
        self._inbound: set[Inbound] = set()
        self._by_name: dict[str, int] = {}
        self._links: dict[int, Link] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._is_running = False
        self._listening: ssl.SSLContext | None = None
        self._dialling: ssl.SSLContext | None = None
        if config.tls is not None:
            check_own_certificate(config.tls, config.own.name)
            self._listening = listening_context(config.tls)
            self._dialling = dialling_context(config.tls)
        self.set_peers(config.peers)

    def bind(self, receive: Receive, disconnected: Disconnected) -> None:
        """Who gets what comes in, and hears of connections that broke. Call before :meth:`start`."""
        self._receive = receive
        self._disconnected = disconnected

    async def start(self) -> None:
        """Listen, and keep dialling all peers.

        Raises:
            ListenError: the address is in use or not of this machine.
        """
        own = self.config.own
        host = self.config.listen_host if self.config.listen_host is not None else own.host
        port = self.config.listen_port if self.config.listen_port is not None else own.port
        timeout_s = HANDSHAKE_TIMEOUT_S if self._listening is not None else None
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Inbound(self),
                host,
                port,
                ssl=self._listening,
                ssl_handshake_timeout=timeout_s,
            )
        except OSError as error:
            raise ListenError(host, port, error.strerror or str(error)) from error
        self._is_running = True
        for link in self._links.values():
            link.start(random.Random())

    def set_peers(self, peers: Iterable[Peer]) -> None:
        """From now on these are the nodes of the cluster. What stays as it is keeps its connections.

        Args:
            peers: all nodes; this one may be among them and is not looked at.
        """
        wanted = {peer.node_id: peer for peer in peers if peer.node_id != self.config.node_id}
        links = self._links
        for node_id, link in list(links.items()):
            if wanted.get(node_id) != link.peer:
                del links[node_id]
                self._drop(link, is_gone=node_id not in wanted)
        for node_id, peer in wanted.items():
            if node_id not in links:
                links[node_id] = Link(self, peer)
                if self._is_running:
                    links[node_id].start(random.Random())
        self._by_name = {link.peer.name: node_id for node_id, link in links.items()}
        self._by_name.setdefault(self.config.own.name, self.config.node_id)
        self._reported.clear()

    def _drop(self, link: Link, is_gone: bool) -> None:
        """Stop dialling where nobody is any more, and close what came from there."""
        if not self._is_running:
            return
        if is_gone:
            logger.info("peer left the cluster", extra={"fields": {"peer": link.peer.name}})
        for connection in self._inbound:
            if connection.sender == link.peer.node_id:
                connection.abort()
        task = asyncio.get_running_loop().create_task(link.stop(), name="memraft-link-stop")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Close every connection, after what was flushed has been handed to the kernel."""
        self._is_running = False
        server, self._server = self._server, None
        handshakes: asyncio.Task[None] | None = None
        if server is not None:
            loop = asyncio.get_running_loop()
            for listening in server.sockets:
                loop.remove_reader(listening.fileno())
            # Python 3.11: to wait begins before the close, or there is nothing to wait for; and what was
            # accepted becomes a connection before the close, or nobody closes it.
            handshakes = loop.create_task(server.wait_closed())
            await asyncio.sleep(0)
            server.close()
        closing: list[Awaitable[None]] = [link.stop() for link in self._links.values()]
        closing += [connection.close_and_wait() for connection in list(self._inbound)]
        closing += self._closing
        await asyncio.gather(*closing)
        if handshakes is not None:
            # What is left are handshakes, which `admit` ends; those of the silent are not waited for longer.
            await asyncio.wait([handshakes], timeout=CLOSE_TIMEOUT_S)
            handshakes.cancel()

    @property
    def port(self) -> int:
        """The port listened on (useful when port 0 was asked for)."""
        if self._server is None:
            raise RuntimeError("the transport is not started")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def send(self, to: int, group: int, message: Message) -> None:
        """Queue a message; it leaves with the next :meth:`flush`. Never blocks, may drop."""
        link = self._links.get(to)
        if link is not None:
            link.send(group, message)

    def flush(self) -> None:
        """Hand everything queued to the connections that are up."""
        for link in self._links.values():
            if link.queue:
                link.flush()

    def backlog_bytes(self, to: int) -> int:
        """What waits for a peer here: queued messages and what its connection has not taken yet."""
        link = self._links.get(to)
        return link.backlog_bytes if link is not None else 0

    def connected(self) -> frozenset[int]:
        """Ids of the peers that can be sent to right now."""
        return frozenset(node_id for node_id, link in self._links.items() if link.up)

    def dropped_total(self) -> int:
        """Messages that a full queue has dropped since the start."""
        return sum(link.dropped_total for link in self._links.values())

    # -- for connections -------------------------------------------------------------------------------

    def dialling_context(self) -> ssl.SSLContext | None:
        return self._dialling

    def hello(self, to: int) -> Hello:
        return Hello(PROTOCOL_VERSION, self.config.cluster, self.config.node_id, to, self.config.layout)

    def check_hello(self, hello: Hello, certified: int | None) -> None:
        """Raises PeerRefused unless the hello is of this cluster and its layout, to this node, and of a known
        peer whose certificate (``certified``; None in insecure mode) says the same."""
        if hello.protocol != PROTOCOL_VERSION:
            raise PeerRefused(f"it speaks protocol {hello.protocol}, this node speaks {PROTOCOL_VERSION}")
        if hello.cluster != self.config.cluster:
            raise PeerRefused(f"it is of cluster {hello.cluster!r}, this is {self.config.cluster!r}")
        for theirs, ours in hello.layout.differences(self.config.layout):
            raise PeerRefused(f"its config says {theirs}, this node's says {ours}")
        if hello.to != self.config.node_id:
            raise PeerRefused(f"it looks for node {hello.to}, this is node {self.config.node_id}")
        if hello.sender not in self._links:
            raise PeerRefused(f"node {hello.sender} is not a peer of this cluster")
        if certified is not None and hello.sender != certified:
            raise PeerRefused(f"it says it is node {hello.sender}, its certificate says {certified}")

    def certified_id(self, transport: asyncio.BaseTransport) -> int | None:
        """Node id in the certificate of the other side; None in insecure mode. Raises PeerRefused."""
        if self.config.tls is None:
            return None
        name = node_name(transport.get_extra_info("peercert"), self.config.tls.trust_domain)
        if name not in self._by_name:
            raise PeerRefused(f"node {name!r} is not a peer of this cluster")
        return self._by_name[name]

    def admit(self, connection: Inbound) -> bool:
        """Whether there is room for one more inbound connection; False closes it.

        There is none after the stop. A connection whose handshake was under way then would be made all the
        same, and the peer, who sees it stand, would send to it instead of dialling this node's next start.
        """
        if not self._is_running:
            return False
        if len(self._inbound) >= self.config.inbound_connections_max:
            self.rejected_total += 1
            return False
        self._inbound.add(connection)
        return True

    def discharge(self, connection: Inbound) -> None:
        self._inbound.discard(connection)

    def replace_older(self, connection: Inbound) -> None:
        """A peer has one inbound connection: the newest, since the older may be dead without knowing."""
        for other in list(self._inbound):
            if other is not connection and other.sender == connection.sender:
                other.abort()

    def received(self, sender: int, batch: list[GroupMessage], size_bytes: int) -> None:
        self._receive(sender, batch, size_bytes)

    def disconnected(self, node_id: int) -> None:
        self._disconnected(node_id)

    def refused(self, address: object, error: Exception) -> None:
        """Count it, and log it unless the same host was refused for the same reason within an hour."""
        self.rejected_total += 1
        host = str(address[0]) if isinstance(address, tuple) else str(address)
        now = asyncio.get_running_loop().time()
        if now - self._reported.get((host, str(error)), -REPORT_AGAIN_S) < REPORT_AGAIN_S:
            return
        if len(self._reported) >= REPORTED_MAX:
            self._reported.clear()
        self._reported[host, str(error)] = now
        logger.warning("connection refused", extra={"fields": {"address": host, "error": str(error)}})


def _discard(sender: int, batch: list[GroupMessage], size_bytes: int) -> None:
    pass


def _ignore(node_id: int) -> None:
    pass

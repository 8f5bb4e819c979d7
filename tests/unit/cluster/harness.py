"""Three real nodes in one event loop: TLS sockets on loopback, RocksDB, a machine that remembers."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from zlib import crc32

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from memraft_cluster.driver import DriverConfig, GroupSpec, MultiRaft
from memraft_cluster.errors import DiskFull, NotLeader, SnapshotRefused
from memraft_cluster.log import DurableLog
from memraft_cluster.raft import SnapshotMeta
from memraft_cluster.state_machine import SnapshotSink
from memraft_cluster.tls import TlsFiles
from memraft_cluster.transport import Peer, Transport, TransportConfig
from memraft_server.cli.ports import free_ports

NODES = (1, 2, 3)
DAY = datetime.timedelta(days=1)
WAIT_S = 30.0


class Authority:
    """Signs certificates in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.path = folder / f"{name}.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(True, 0), True)
            .sign(self._key, hashes.SHA256())
        )
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, uris: Sequence[str]) -> TlsFiles:
        """A certificate with these URIs, written as <name>.pem and <name>.key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        certificate = self._builder(subject, key).add_extension(names, False).sign(self._key, hashes.SHA256())
        certificate_path, key_path = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return TlsFiles(str(self.path), str(certificate_path), str(key_path), "test")

    def issue_node(self, name: str) -> TlsFiles:
        return self.issue(name, [f"spiffe://test/node/{name}"])

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder(self._name, subject)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .public_key(key.public_key())
        )


Row = tuple[int, bytes]
"""Index and command."""


class Shelf:
    """What a Recorder has on its disk. A crash takes it back to the last flush."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.meta: SnapshotMeta | None = None
        self._durable: tuple[list[Row], SnapshotMeta | None] = [], None
        self.flushes = 0

    def flush(self) -> None:
        self._durable = list(self.rows), self.meta
        self.flushes += 1

    def crash(self) -> None:
        self.rows, self.meta = list(self._durable[0]), self._durable[1]


class Source:
    """Chunks of a few rows: number of the chunk, then the rows; a checksum before all of it."""

    def __init__(self, shelf: Shelf, rows_per_chunk: int) -> None:
        assert shelf.meta is not None
        self.meta = shelf.meta
        self._rows = list(shelf.rows)
        self._step = rows_per_chunk
        self.is_closed = False

    def read(self, chunk: int) -> bytes | None:
        assert not self.is_closed
        rows = self._rows[chunk * self._step : (chunk + 1) * self._step]
        if not rows and chunk:
            return None
        body = msgspec.msgpack.encode((chunk, rows))
        return crc32(body).to_bytes(4, "big") + body

    def close(self) -> None:
        self.is_closed = True


class Sink:
    """Collects the rows; each chunk must be the next one and whole."""

    def __init__(self, meta: SnapshotMeta) -> None:
        self.meta = meta
        self.rows: list[Row] = []
        self.chunks = 0
        self.is_finished = self.is_aborted = False

    def write(self, chunk: int, data: bytes) -> None:
        assert not self.is_finished and not self.is_aborted and chunk == self.chunks
        if crc32(data[4:]).to_bytes(4, "big") != data[:4]:
            raise SnapshotRefused(f"chunk {chunk} is damaged")
        number, rows = msgspec.msgpack.decode(data[4:], type=tuple[int, list[Row]])
        assert number == chunk
        self.rows += rows
        self.chunks += 1

    async def finish(self) -> None:
        await asyncio.sleep(0)
        self.is_finished = True

    def abort(self) -> None:
        self.is_aborted = True


class Recorder:
    """A machine that remembers what was applied: commands are separated by newlines in an entry."""

    rows_per_chunk = 10

    def __init__(self, shelf: Shelf | None = None) -> None:
        self.commands: list[bytes] = []
        self.indexes: list[int] = []
        self.locals: list[object] = []
        self.shelf = shelf or Shelf()
        self.sources: list[Source] = []
        self.sinks: list[Sink] = []
        self.installs = 0
        self.is_dropped = False
        self.applied_since_load: list[int] = []
        self._journal: list[Row] = []

    def apply(self, index: int, data: bytes, local: Sequence[object] | None) -> Sequence[object]:
        commands = data.split(b"\n")
        self.commands += commands
        self.indexes += [index] * len(commands)
        self.locals += list(local) if local is not None else [None] * len(commands)
        self.applied_since_load.append(index)
        self._journal += [(index, command) for command in commands]
        return [b"reply to " + command for command in commands]

    @property
    def fingerprint(self) -> bytes:
        return crc32(b"\n".join(self.commands[-20:])).to_bytes(4, "big") + len(self.commands).to_bytes(
            4, "big"
        )

    def saved(self) -> SnapshotMeta | None:
        return self.shelf.meta

    async def load(self, progress: Callable[[int, int], None]) -> None:
        self._show(self.shelf.rows)
        progress(len(self.commands), len(self.commands))

    def save(self, meta: SnapshotMeta) -> None:
        assert self.shelf.meta is None or meta.index >= self.shelf.meta.index
        self.shelf.rows += self._journal
        self.shelf.meta = meta
        self._journal = []

    @property
    def unsaved(self) -> int:
        return len(self._journal)

    def flush(self) -> None:
        self.shelf.flush()

    def begin_snapshot(self) -> Source:
        self.sources.append(Source(self.shelf, self.rows_per_chunk))
        return self.sources[-1]

    def begin_install(self, meta: SnapshotMeta) -> Sink:
        self.sinks.append(Sink(meta))
        return self.sinks[-1]

    def install(self, sink: SnapshotSink) -> None:
        assert isinstance(sink, Sink) and sink.is_finished
        self.shelf.rows, self.shelf.meta = list(sink.rows), sink.meta
        self._journal = []
        self._show(sink.rows)
        self.installs += 1

    def drop(self) -> None:
        self.shelf.rows, self.shelf.meta = [], None
        self.is_dropped = True

    def _show(self, rows: Sequence[Row]) -> None:
        self.indexes[:] = [index for index, _ in rows]
        self.commands[:] = [command for _, command in rows]
        self.locals[:] = [None] * len(rows)


class Lines:
    """Joins commands with newlines."""

    def build(self, commands: Sequence[bytes]) -> bytes:
        return b"\n".join(commands)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Poll until the condition holds; fail with ``what`` after WAIT_S."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {WAIT_S:.0f} s: {what}")
        await asyncio.sleep(0.01)


class Space:
    """A disk that is as full as a test says."""

    def __init__(self) -> None:
        self.free_bytes = 1 << 30

    def check(self) -> DiskFull | None:
        return DiskFull("the data", self.free_bytes, 1 << 20) if self.free_bytes < 1 << 20 else None


class Cluster:
    """Nodes that can be started, killed and started again, each from its own directory.

    Args:
        folder: for certificates and data.
        groups: how many groups; node 1 is preferred by group 0, node 2 by group 1, and so on.
        settings: for every node's ``DriverConfig``.
        voters: of every group; further nodes have no replica until a test adds one.
        nodes: all there are.
    """

    def __init__(
        self,
        folder: Path,
        groups: int = 1,
        settings: Mapping[str, object] | None = None,
        voters: Sequence[int] = NODES,
        nodes: Sequence[int] = NODES,
    ) -> None:
        self.folder = folder
        self.groups = groups
        self.settings: dict[str, object] = {"rebalance": False, **(settings or {})}
        self.voters = tuple(voters)
        self.nodes: dict[int, MultiRaft] = {}
        self.machines: dict[int, list[Recorder]] = {}
        self.shelves = {node: [Shelf() for _ in range(groups)] for node in nodes}
        self.spaces = {node: Space() for node in nodes}
        self.transports: dict[int, Transport] = {}
        self.failures: list[BaseException] = []
        authority = Authority(folder)
        self.tls = {node: authority.issue_node(f"n{node}") for node in nodes}
        ports = free_ports(len(nodes))
        self.peers = tuple(
            Peer(node, f"n{node}", "127.0.0.1", port) for node, port in zip(nodes, ports, strict=True)
        )

    def data_path(self, node: int) -> Path:
        return self.folder / f"data{node}"

    def spec(self, node: int, group: int, voters: Sequence[int] | None = None) -> GroupSpec:
        """What a group is made of on a node, with a machine that has its shelf."""
        return GroupSpec(
            self.machines[node][group],
            Lines(),
            NODES[group % len(NODES)],
            tuple(self.voters if voters is None else voters),
        )

    def make(self, node: int) -> MultiRaft:
        """Open the node's log and wire a driver that is not started."""
        transport = Transport(TransportConfig("test", node, self.peers, self.tls[node]))
        log = DurableLog(self.data_path(node), cluster="test", node=f"n{node}", node_id=node)
        self.machines[node] = [Recorder(shelf) for shelf in self.shelves[node]]
        specs = {group: self.spec(node, group) for group in range(self.groups)} if node in self.voters else {}
        config = DriverConfig(node, **self.settings)  # type: ignore[arg-type]
        driver = MultiRaft(config, log, transport, specs, fatal=self.failures.append, space=self.spaces[node])
        self.transports[node] = transport
        self.nodes[node] = driver
        return driver

    async def start(self, nodes: Iterable[int] | None = None) -> None:
        for node in self.shelves if nodes is None else nodes:
            await self.make(node).start()

    async def stop(self) -> None:
        await asyncio.gather(*(self.nodes.pop(node).stop() for node in list(self.nodes)))

    async def kill(self, node: int) -> None:
        await self.nodes.pop(node).kill()
        for shelf in self.shelves[node]:
            shelf.crash()

    def leader(self, group: int = 0) -> MultiRaft | None:
        for number, node in self.nodes.items():
            members = node.membership(group)
            if members is None or not node.is_leader(group):
                continue
            others = [
                each
                for other, each in self.nodes.items()
                if each.has_group(group) and other in members.voters
            ]
            if all(each.leader(group) == number for each in others):
                return node
        return None

    async def wait_leader(self, group: int = 0) -> MultiRaft:
        """The node that every running voter takes for the leader."""
        await until(lambda: self.leader(group) is not None, f"a leader of group {group}")
        leader = self.leader(group)
        assert leader is not None
        return leader

    async def write(self, command: bytes, group: int = 0) -> int:
        """Have one command acknowledged, following changes of leaders; returns its index."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            leader = await self.wait_leader(group)
            try:
                return (await leader.propose(group, command, None)).index
            except NotLeader:
                await asyncio.sleep(0.01)
        raise AssertionError(f"{command!r} was not acknowledged within {WAIT_S:.0f} s")

    async def wait_equal(self, group: int = 0, count: int = 0) -> list[bytes]:
        """Wait until every running node has applied the same commands, at least ``count``; return them."""

        def logs() -> list[list[bytes]]:
            return [
                self.machines[node][group].commands
                for node, each in self.nodes.items()
                if each.has_group(group)
            ]

        def are_equal() -> bool:
            applied = {node.applied(group) for node in self.nodes.values() if node.has_group(group)}
            first = logs()[0]
            return len(applied) == 1 and len(first) >= count and all(each == first for each in logs())

        await until(are_equal, "the same commands on every node")
        return logs()[0]


def run_cluster(cluster: Cluster, script: Callable[[Cluster], Awaitable[None]]) -> None:
    """Start all nodes, run the script, stop what still runs; nothing may have been fatal."""

    async def run() -> None:
        try:
            await cluster.start()
            await script(cluster)
        finally:
            await cluster.stop()
        assert not cluster.failures

    asyncio.run(run())

"""Three real nodes in one event loop: TLS sockets on loopback, RocksDB, a machine that remembers."""

from __future__ import annotations

import asyncio
import datetime
import random
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from memraft_cluster.driver import DriverConfig, GroupSpec, MultiRaft
from memraft_cluster.errors import NotLeader
from memraft_cluster.log import DurableLog
from memraft_cluster.tls import TlsFiles
from memraft_cluster.transport import Peer, Transport, TransportConfig

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


class Recorder:
    """A machine that remembers what was applied: commands are separated by newlines in an entry."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []
        self.indexes: list[int] = []
        self.locals: list[object] = []

    def apply(self, index: int, data: bytes, local: Sequence[object] | None) -> Sequence[object]:
        commands = data.split(b"\n")
        self.commands += commands
        self.indexes += [index] * len(commands)
        self.locals += list(local) if local is not None else [None] * len(commands)
        return [b"reply to " + command for command in commands]


class Lines:
    """Joins commands with newlines."""

    def build(self, commands: Sequence[bytes]) -> bytes:
        return b"\n".join(commands)


def free_ports(count: int) -> list[int]:
    """Ports below the ephemeral range, so that no client's connection takes one while a node is down."""
    ports: list[int] = []
    candidates = iter(random.sample(range(20_000, 32_000), 1_000))
    while len(ports) < count:
        port = next(candidates)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        ports.append(port)
    return ports


async def until(condition: Callable[[], bool], what: str) -> None:
    """Poll until the condition holds; fail with ``what`` after WAIT_S."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {WAIT_S:.0f} s: {what}")
        await asyncio.sleep(0.01)


class Cluster:
    """Nodes that can be started, killed and started again, each from its own directory.

    Args:
        folder: for certificates and data.
        groups: how many groups; node 1 is preferred by group 0, node 2 by group 1, and so on.
        settings: for every node's ``DriverConfig``.
    """

    def __init__(
        self,
        folder: Path,
        groups: int = 1,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.folder = folder
        self.groups = groups
        self.settings: dict[str, object] = {"rebalance": False, **(settings or {})}
        self.nodes: dict[int, MultiRaft] = {}
        self.machines: dict[int, list[Recorder]] = {}
        self.failures: list[BaseException] = []
        authority = Authority(folder)
        self.tls = {node: authority.issue_node(f"n{node}") for node in NODES}
        ports = free_ports(len(NODES))
        self.peers = tuple(Peer(node, f"n{node}", "127.0.0.1", ports[node - 1]) for node in NODES)

    def data_path(self, node: int) -> Path:
        return self.folder / f"data{node}"

    def make(self, node: int) -> MultiRaft:
        """Open the node's log and wire a driver that is not started."""
        transport = Transport(TransportConfig("test", node, self.peers, self.tls[node]))
        log = DurableLog(self.data_path(node), cluster="test", node=f"n{node}")
        machines = [Recorder() for _ in range(self.groups)]
        specs = {
            group: GroupSpec(machines[group], Lines(), NODES[group % len(NODES)])
            for group in range(self.groups)
        }
        config = DriverConfig(node, NODES, **self.settings)  # type: ignore[arg-type]
        driver = MultiRaft(config, log, transport, specs, fatal=self.failures.append)
        self.machines[node] = machines
        self.nodes[node] = driver
        return driver

    async def start(self, nodes: Iterable[int] = NODES) -> None:
        for node in nodes:
            await self.make(node).start()

    async def stop(self) -> None:
        await asyncio.gather(*(self.nodes.pop(node).stop() for node in list(self.nodes)))

    async def kill(self, node: int) -> None:
        await self.nodes.pop(node).kill()

    def leader(self, group: int = 0) -> MultiRaft | None:
        for node in self.nodes.values():
            if node.is_leader(group) and all(
                each.leader(group) == node.config.node_id for each in self.nodes.values()
            ):
                return node
        return None

    async def wait_leader(self, group: int = 0) -> MultiRaft:
        """The node that every running node takes for the leader."""
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
            return [self.machines[node][group].commands for node in self.nodes]

        def are_equal() -> bool:
            applied = {node.applied(group) for node in self.nodes.values()}
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

"""Real nodes in the test's own process and event loop: real TLS, real disks, real ports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from google.protobuf.message import Message

from memraft_proto.methods import METHODS
from memraft_proto.v1 import error_pb2
from memraft_server import certs
from memraft_server.cli.ports import free_ports
from memraft_server.config import Config, parse
from memraft_server.node import Node

HOST = "127.0.0.1"
WAIT_S = 20.0


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Waits until ``condition`` holds; fails with ``what`` when it does not in time."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s: {what}"
        await asyncio.sleep(0.01)


class Failed(Exception):
    """A call's error as a client sees it: status code, message, and the details of the contract."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(f"{error.code().name}: {error.details()}")
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details() or ""
        self.reason = ""
        self.metadata: dict[str, str] = {}
        self.details: list[str] = []
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                self._read(error_pb2.ErrorStatus.FromString(value))

    def _read(self, status: error_pb2.ErrorStatus) -> None:
        assert status.code == self.code.value[0]
        for detail in status.details:
            self.details.append(detail.type_url.rpartition(".")[2])
            if detail.type_url == "type.googleapis.com/google.rpc.ErrorInfo":
                info = error_pb2.ErrorInfo.FromString(detail.value)
                assert info.domain == "memraft.dev"
                self.reason, self.metadata = info.reason, dict(info.metadata)


class Client:
    """One raw gRPC channel: what any client could send, without the library's own checks."""

    def __init__(self, address: str, directory: Path | None) -> None:
        if directory is None:
            self.channel = grpc.aio.insecure_channel(address)
        else:
            files = {name: directory / f"{name}.pem" for name in ("ca", "cert", "key")}
            contents = {name: path.read_bytes() if path.exists() else None for name, path in files.items()}
            credentials = grpc.ssl_channel_credentials(contents["ca"], contents["key"], contents["cert"])
            self.channel = grpc.aio.secure_channel(address, credentials)

    async def call(self, name: str, request: Message, timeout_s: float = WAIT_S) -> Any:
        """One call of the contract. Raises Failed."""
        method = METHODS[name]
        stub = self.channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        try:
            return await stub(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise Failed(error) from None


class Nodes:
    """A cluster in one event loop.

    Args:
        directory: for certificates and data.
        count: of nodes.
        shards: how many.
        settings: further sections of every node's configuration.
        tls: False: plain text.
    """

    def __init__(
        self, directory: Path, count: int = 1, shards: int = 1, tls: bool = True, **settings: Any
    ) -> None:
        self.directory = directory
        self.tls = tls
        self.settings = settings
        self.shards = shards
        ports = free_ports(3 * count)
        self.members = [
            {
                "id": i + 1,
                "name": f"n{i + 1}",
                "peer": f"{HOST}:{ports[3 * i]}",
                "client": f"{HOST}:{ports[3 * i + 1]}",
            }
            for i in range(count)
        ]
        self.metrics_ports = [ports[3 * i + 2] for i in range(count)]
        self.ca = directory / "ca"
        if not self.ca.exists():
            certs.init_ca(self.ca, "memraft.local")
        for member in self.members:
            self.node_certs(str(member["name"]))
        self.nodes: list[Node] = []
        self.clients: list[Client] = []

    def node_certs(self, name: str) -> Path:
        """The directory of a node's certificate, issued when first asked for."""
        out = self.directory / "certs" / name
        if not out.exists():
            certs.issue_node(self.ca, out, name, [HOST, "localhost"])
        return out

    def agent_certs(self, tenant: str, agent: str) -> Path:
        """The directory of an agent's certificate, issued when first asked for."""
        out = self.directory / "certs" / tenant / agent
        if not out.exists():
            certs.issue_agent(self.ca, out, tenant, agent)
        return out

    def config(self, number: int, **changes: Any) -> Config:
        """The configuration of node ``number``, from 1."""
        name = f"n{number}"
        files = self.node_certs(name)
        tls: dict[str, Any] = {"enabled": False}
        if self.tls:
            tls = {each: str(files / f"{each}.pem") for each in ("ca", "cert", "key")}
        tree: dict[str, Any] = {
            "node": {"id": number, "name": name, "data_dir": str(self.directory / "data" / name)},
            "cluster": {"name": "test", "shards": self.shards, "nodes": self.members},
            "metrics": {"listen": f"{HOST}:{self.metrics_ports[number - 1]}"},
            "tls": tls,
            **self.settings,
            **changes,
        }
        return parse(tree, "node.toml", self.directory)

    async def start(self) -> None:
        """Starts all nodes and waits until each is ready."""
        for number in range(1, len(self.members) + 1):
            node = Node(self.config(number), fatal=_fail)
            await node.start()
            self.nodes.append(node)
        await eventually(lambda: not any(node.not_ready() for node in self.nodes), "all nodes are ready")

    def address(self, number: int = 1) -> str:
        """Where clients reach node ``number``."""
        return str(self.members[number - 1]["client"])

    def client(self, tenant: str = "acme", agent: str = "support", number: int = 1) -> Client:
        """A client of node ``number`` with an agent's certificate."""
        return self.connect(self.agent_certs(tenant, agent) if self.tls else None, number)

    def connect(self, directory: Path | None, number: int = 1) -> Client:
        """A client of node ``number`` with the certificate in ``directory``; None: plain text."""
        client = Client(self.address(number), directory)
        self.clients.append(client)
        return client

    def leader(self, shard: int = 0) -> int:
        """The number of the node that leads a shard."""
        return self.nodes[0].driver.leader(shard)

    async def __aenter__(self) -> Nodes:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self.clients:
            await client.channel.close()
        await asyncio.gather(*(node.stop() for node in self.nodes))


def _fail(error: BaseException) -> None:
    raise AssertionError("a node ended itself") from error


def run(nodes: Nodes, script: Callable[[Nodes], Awaitable[None]]) -> None:
    """Runs ``script`` on started nodes and stops them."""

    async def body() -> None:
        async with nodes:
            await script(nodes)

    asyncio.run(body())


def reissue_expired(nodes: Nodes, out: Path) -> None:
    """Replaces the certificate in ``out`` by one that ended yesterday, signed by the same authority."""
    authority = x509.load_pem_x509_certificate((nodes.ca / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key((nodes.ca / "ca-key.pem").read_bytes(), None)
    old = x509.load_pem_x509_certificate((out / "cert.pem").read_bytes())
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        old.issuer, old.subject, old.public_key(), x509.random_serial_number(),
        now - timedelta(days=2), now - timedelta(days=1), list(old.extensions),
    )  # fmt: skip
    assert authority.subject == old.issuer
    expired = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    (out / "cert.pem").write_bytes(expired.public_bytes(serialization.Encoding.PEM))

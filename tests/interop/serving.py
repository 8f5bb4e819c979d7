"""A server of either engine over a shard in memory, in an event loop of its own, for clients of all kinds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc

from memraft_proto.v1 import cluster_pb2
from memraft_server import certs
from memraft_server.embedded import LocalShard
from memraft_server.following import Followers
from memraft_server.machine import Limits, Machine
from memraft_server.metrics import CallMetrics
from memraft_server.rpc import engines
from memraft_server.rpc.engine import RpcConfig, TlsBytes
from memraft_server.service import Service

HOST = "127.0.0.1"
WAIT_S = 20.0
VALUE_BYTES_MAX = 9 << 20
RECEIVE_BYTES_MAX = 12 << 20
CHUNK_BYTES = 64 << 10
TRUST_DOMAIN = "memraft.local"

ENGINES = tuple(engines.ENGINES)


class LaggingShard(LocalShard):
    """A shard that has not applied what sessions have seen elsewhere: their reads wait until let go."""

    def __init__(self) -> None:
        super().__init__(Machine(0), None)
        self.waiting: list[asyncio.Future[int]] = []

    def wait_applied(self, index: int) -> Any:
        """A promise that the test keeps."""
        promise: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.waiting.append(promise)
        return promise


class Chunks:
    """Backups of as many chunks as the number of the shard; they count how they ended."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.made = 0

    async def chunks(self, shard: int) -> AsyncGenerator[bytes, None]:
        """Chunk i is all bytes i."""
        self.begun += 1
        try:
            for number in range(shard):
                self.made += 1
                yield bytes([number % 251]) * CHUNK_BYTES
        finally:
            self.ended += 1


class Nowhere:
    """The directory of a cluster of one."""

    def shard_map(self) -> Any:
        return cluster_pb2.GetShardMapResponse(epoch=1, slot_count=1, cluster="test")

    def leader(self, shard: int) -> Any:
        raise AssertionError("there is one shard, and it is here")

    node_status = shard_map
    cluster_record = change_cluster = report_replicas = leader


class Certificates:
    """An authority, the server's certificate and those of callers, issued when first asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = directory / "ca"
        if not self.ca.exists():
            certs.init_ca(self.ca, TRUST_DOMAIN)
            certs.issue_node(self.ca, directory / "n1", "n1", [HOST, "localhost"])
            certs.issue_agent(self.ca, directory / "agent", "acme", "support")
            certs.issue_operator(self.ca, directory / "operator", "olga")

    def pem(self, owner: str) -> tuple[bytes, bytes, bytes]:
        """Authority, certificate and key of ``n1``, ``agent`` or ``operator``."""
        directory = self.directory / owner
        ca, cert, key = ((directory / name).read_bytes() for name in (certs.CA_CERT, certs.CERT, certs.KEY))
        return ca, cert, key

    def server_tls(self) -> TlsBytes:
        """What the server proves itself with."""
        ca, cert, key = self.pem("n1")
        return TlsBytes(ca, cert, key, TRUST_DOMAIN)

    def credentials(self, owner: str) -> grpc.ChannelCredentials:
        """What a stock client of ``agent`` or ``operator`` proves itself with."""
        ca, cert, key = self.pem(owner)
        return grpc.ssl_channel_credentials(ca, key, cert)


class Serving:
    """One server, while it is entered.

    Args:
        engine: ``grpcio`` or ``lean``.
        certificates: None: plain text, and every caller may do everything.
        concurrent_calls_max: see RpcConfig.
    """

    def __init__(
        self, engine: str, certificates: Certificates | None, concurrent_calls_max: int = 10_000
    ) -> None:
        self.engine = engine
        self.certificates = certificates
        self.shard = LaggingShard()
        self.chunks = Chunks()
        self.metrics = CallMetrics()
        self.loop = asyncio.new_event_loop()
        self.config = RpcConfig(
            listen=f"{HOST}:0",
            tls=certificates.server_tls() if certificates is not None else None,
            receive_bytes_max=RECEIVE_BYTES_MAX,
            send_bytes_max=RECEIVE_BYTES_MAX,
            concurrent_calls_max=concurrent_calls_max,
        )
        self._thread = threading.Thread(target=self.loop.run_forever, name=f"serving-{engine}")

    @property
    def address(self) -> str:
        """host:port."""
        return f"{HOST}:{self.server.port}"

    def __enter__(self) -> Serving:
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self.server.stop(0.5))
        self.run(asyncio.sleep(0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Does ``work`` on the server's loop and returns what it returns."""
        return self.begin(work).result(2 * WAIT_S)

    def begin(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Starts ``work`` on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def let_go(self) -> None:
        """Answers the reads that wait."""

        def let() -> None:
            for promise in self.shard.waiting:
                if not promise.done():
                    promise.set_result(0)

        self.loop.call_soon_threadsafe(let)

    async def _start(self) -> None:
        service = Service(
            {0: self.shard},
            lambda _namespace: 0,
            Nowhere(),
            limits=Limits(value_bytes_max=VALUE_BYTES_MAX),
            request_bytes_max=VALUE_BYTES_MAX + 1_024,
            lag_wait_ms=60_000,
            backups=self.chunks,
            followers=Followers(heartbeat_ms=20),
        )
        self.server = make_server(self.engine)(self.config, service, lambda _node: "", self.metrics)
        self.server.bind()
        await self.server.start()


def make_server(engine: str) -> Callable[..., Any]:
    """The class of an engine."""
    return engines.ENGINES[engine]


DEADLINES_S = (0.2, 2.0, WAIT_S)
"""Of a call that is to reach the server before its time is up: where it did not, the next gives it longer."""


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Waits until ``condition`` holds; fails with ``what`` when it does not in time."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s: {what}"
        time.sleep(0.005)

"""What the serving engines have in common: their settings, who calls, what an error says, health."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from memraft_proto.methods import METHODS
from memraft_server.admission.identity import Caller, Role, parse_identity
from memraft_server.config import split_address
from memraft_server.metrics import CallMetrics
from memraft_server.rpc.errors import Address, status_of, to_refused
from memraft_server.service import Service

IDENTITIES_MAX = 10_000
SERVICES = tuple(sorted({method.service for method in METHODS.values()}))

KEEPALIVE_S = 30
"""A client that has been silent for so long is asked for a sign of life."""
KEEPALIVE_ANSWER_S = 20
"""One that gives none within so long is gone."""
PING_INTERVAL_MIN_S = 10
"""A client that asks for signs of life more often than this, without calls between, is told to go."""
PING_STRIKES_MAX = 2
"""So many times it may."""


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
        receive_bytes_max: largest message that is taken at all. Above what the service takes, so that it is
            the service that refuses and names its setting.
        send_bytes_max: largest reply.
        concurrent_calls_max: further ones are refused with RESOURCE_EXHAUSTED.
    """

    listen: str
    tls: TlsBytes | None
    receive_bytes_max: int
    send_bytes_max: int
    concurrent_calls_max: int


class Engine(ABC):
    """Serves the calls of the contract, health checks and reflection.

    Args:
        config: see :class:`RpcConfig`.
        service: answers the calls.
        address: of a node, for clients; for NOT_LEADER.
        metrics: counts the calls.

    Attributes:
        port: the one that is listened on; 0 before :meth:`bind`.
        is_serving: between :meth:`start` and :meth:`stop`.
        running: calls that wait for an answer.
    """

    def __init__(self, config: RpcConfig, service: Service, address: Address, metrics: CallMetrics) -> None:
        self.config = config
        self.port = 0
        self.is_serving = False
        self.running = 0
        self.service = service
        self.metrics = metrics
        self.health = HealthServicer()
        self._address = address
        self._callers: dict[tuple[bytes, ...], Caller] = {}
        self._anonymous = Caller(Role.LOCAL, "anonymous")

    @abstractmethod
    def bind(self) -> None:
        """Takes the port; calls wait until :meth:`start`. Raises ListenFailed, naming host and port."""

    @abstractmethod
    async def start(self) -> None:
        """Serves on the port that was taken."""

    @abstractmethod
    async def stop(self, grace_s: float) -> None:
        """Answers what has come in, takes no new calls, closes; each for at most ``grace_s``."""

    async def set_serving(self, is_serving: bool) -> None:
        """What health checks are told, for the whole server and for each service."""
        status = health_pb2.HealthCheckResponse.SERVING
        if not is_serving:
            status = health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *SERVICES):
            await self.health.set(service, status)

    def identify(self, uris: tuple[bytes, ...]) -> Caller:
        """The caller, from the URIs of its certificate. Raises Refused (NO_IDENTITY)."""
        tls = self.config.tls
        if tls is None:
            return self._anonymous
        caller = self._callers.get(uris)
        if caller is None:
            texts = tuple(uri.decode("utf-8", "replace") for uri in uris)
            caller = parse_identity(texts, tls.trust_domain)
            if len(self._callers) >= IDENTITIES_MAX:
                self._callers.clear()
            self._callers[uris] = caller
        return caller

    def failure(self, error: BaseException) -> tuple[grpc.StatusCode, str, bytes]:
        """Status code, message and details of what a call raised."""
        return status_of(to_refused(error, self._address))


def why_not(listen: str) -> str:
    """Why an address cannot be listened on, which gRPC tells nobody but its own log."""
    try:
        with socket.create_server(split_address(listen)):
            return "gRPC refused it"
    except OSError as error:
        return error.strerror or str(error)

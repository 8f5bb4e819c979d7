"""The serving engines by name."""

from __future__ import annotations

from memraft_server.metrics import CallMetrics
from memraft_server.rpc.engine import Engine, RpcConfig
from memraft_server.rpc.errors import Address
from memraft_server.rpc.lean.server import LeanServer
from memraft_server.rpc.server import RpcServer
from memraft_server.service import Service

ENGINES: dict[str, type[Engine]] = {"grpcio": RpcServer, "lean": LeanServer}


def open_engine(
    name: str, config: RpcConfig, service: Service, address: Address, metrics: CallMetrics
) -> Engine:
    """The engine ``name`` of the setting ``client.engine``; see :class:`Engine`."""
    return ENGINES[name](config, service, address, metrics)

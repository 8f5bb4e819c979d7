"""What this Memraft can be asked for: its serving engines, and its lean client as others may use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memraft import AsyncMemory
from memraft._async.io import channel_opener
from memraft._async.remote import CHANNEL_OPTIONS
from memraft._target import ClusterTarget
from memraft_proto.methods import Access, Method

ENGINES = ("grpcio", "lean")
TIMEOUT_S = 30.0
"""Of a call."""
QUIET = ("grpc.keepalive_time_ms", 24 * 3_600_000)
"""Other servers end connections that ping while nothing is called."""


class Unavailable(Exception):
    """Something that a line needs is not there; the message says what."""


def client_engine(engine: str) -> dict[str, Any]:
    """The argument of Memory and AsyncMemory that chooses an engine; none for the one that it comes with."""
    return {"engine": engine} if engine else {}


def engine_text(engine: str) -> str:
    """An engine in words; empty: the one that nodes and clients come with."""
    return engine or "lean (the default)"


def set_node_engine(config: Path, engine: str) -> None:
    """Writes the engine into a development cluster's node.toml, before the node is started."""
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("[client]\n", f'[client]\nengine = "{engine}"\n', 1), encoding="utf-8")


def open_lean(address: str) -> Any:
    """A channel of the lean client to something else than Memraft, without TLS, on the running event loop."""
    cluster = ClusterTarget(addresses=(address,), certificates=None, timeout_s=TIMEOUT_S, engine="lean")
    return channel_opener(cluster, [*CHANNEL_OPTIONS, QUIET])(address)


def call_over(memory: AsyncMemory, address: str, path: str, request: type[Any], response: type[Any]) -> Any:
    """A call of another service over the memory's own channel to a node, whatever carries it."""
    link: Any = memory._link
    return link.callable(address, Method(path, "", path, request, response, Access.CLUSTER, 0))

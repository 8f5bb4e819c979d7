"""What this Memraft can be asked for: its serving engines, and its lean client as others may use it."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from memraft import AsyncMemory
from memraft._async.remote import CHANNEL_OPTIONS
from memraft_proto.methods import Access, Method
from memraft_server.config import ClientSection

ENGINES = ("grpcio", "lean")
NO_LEAN = "this Memraft has no lean client"


class Unavailable(Exception):
    """Something that a line needs is not there; the message says what."""


def engines() -> list[str]:
    """What has a choice of engines: the client, the node, both or, where there is but one engine, neither."""
    fields = {each.name for each in msgspec.structs.fields(ClientSection)}
    has_choice = {"client": inspect.signature(AsyncMemory).parameters, "node": fields}
    return [what for what, names in has_choice.items() if "engine" in names]


def client_engine(engine: str) -> dict[str, Any]:
    """The argument of Memory and AsyncMemory that chooses an engine; none for the one that it comes with."""
    return {"engine": engine} if engine and "client" in engines() else {}


def set_node_engine(config: Path, engine: str) -> None:
    """Writes the engine into a development cluster's node.toml, before the node is started."""
    if "node" not in engines():
        return
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("[client]\n", f'[client]\nengine = "{engine}"\n', 1), encoding="utf-8")


def has_lean() -> bool:
    """Whether the lean client is there."""
    return find_spec("memraft._lean") is not None and find_spec("memraft._lean.channel") is not None


def open_lean(address: str) -> Any:
    """A channel of the lean client, without TLS, on the running event loop. Raises Unavailable."""
    try:
        channel, calls = (import_module(f"memraft._lean.{each}") for each in ("channel", "calls"))
    except ImportError:
        raise Unavailable(NO_LEAN) from None
    return channel.LeanChannel(address, None, calls.Options.of(CHANNEL_OPTIONS))


def call_over(memory: AsyncMemory, address: str, path: str, request: type[Any], response: type[Any]) -> Any:
    """A call of another service over the memory's own channel to a node, whatever carries it."""
    link: Any = memory._link
    return link.callable(address, Method(path, "", path, request, response, Access.CLUSTER, 0))

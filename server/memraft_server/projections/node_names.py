"""By which names the nodes of a graph are called: their property `name`, in lower case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from memraft_server.projections.versions import Record

NAME_CHARACTERS_MAX = 100
"""A longer name is no name that a query would use."""


class _Named(msgspec.Struct):
    name: Any = ""


_decode = msgspec.json.Decoder(_Named).decode


class NodeNames:
    """Follows the records of nodes, and knows which of them now have a name.

    Args:
        properties_of: Reads the properties out of a node's record.
    """

    __slots__ = ("_ids", "_names", "_properties_of", "has")

    def __init__(self, properties_of: Callable[[bytes], bytes]) -> None:
        self._properties_of = properties_of
        self._ids: dict[str, dict[str, None]] = {}
        self.has: Callable[[str], bool] = self._ids.__contains__
        """Whether any node has this name, in lower case."""
        self._names: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._names)

    def changed(self, name: str, old: Record | None, new: Record) -> None:
        """See `projections.versions.Follower`."""
        said = ""
        if new.value is not None and b'"name"' in new.value:
            said = _name_of(self._properties_of(new.value))
        before = self._names.get(name, "")
        if said == before:
            return
        if before:
            ids = self._ids[before]
            del ids[name], self._names[name]
            if not ids:
                del self._ids[before]
        if said:
            self._names[name] = said
            self._ids.setdefault(said, {})[name] = None

    def find(self, said: str) -> list[str]:
        """Returns the ids of the nodes of a name in lower case, in the order in which they got it."""
        return list(self._ids.get(said, ()))


def _name_of(properties: bytes) -> str:
    try:
        name = _decode(properties).name
    except msgspec.MsgspecError:
        return ""
    if not isinstance(name, str) or len(name) > NAME_CHARACTERS_MAX:
        return ""
    return " ".join(name.lower().split())

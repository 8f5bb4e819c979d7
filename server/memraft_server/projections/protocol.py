"""What a projection of one's own is: a class in a file. `docs/projections.md` has an example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import msgspec

from memraft_server.projections.graph import SEPARATOR, decode_edge, decode_node
from memraft_server.projections.memories import Remembered
from memraft_server.projections.notes import DOCUMENT, EDGE, EVENT, MEMORY, NODE, STATE
from memraft_server.projections.versions import Author

KINDS = {
    "document": DOCUMENT,
    "state": STATE,
    "event": EVENT,
    "memory": MEMORY,
    "node": NODE,
    "edge": EDGE,
}
"""What a projection can be made from."""


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One committed change.

    Attributes:
        kind: Of what, as in `KINDS`.
        name: The document's key, the record's name, the event's stream, the memory's or the node's id, or an
            edge's (source, type, target) with spaces between.
        version: Of the change; each change of a kind has its own, and they rise.
        time_us: Commit time in microseconds since the Unix epoch.
        agent: Who wrote it, or took it away; empty: its time was over.
        run: In which run.
        type: An event's type; empty for all else.
        old: What there was before, None where there was nothing.
        value: What there is now, None where it was deleted. A document, a record of state and an event are
            the JSON value that was stored. A memory is a dict of `text`, `about`, `kind`, `salience`,
            `metadata`, `valid_from_us` and `valid_until_us`; a node of `type`, `domain` and `properties`; an
            edge of `source`, `type`, `target`, `weight`, `properties`, `valid_from_us` and `valid_until_us`.
    """

    kind: str
    name: str
    version: int
    time_us: int
    agent: str
    run: str
    type: str
    old: Any
    value: Any


@runtime_checkable
class Projection(Protocol):
    """A view of one namespace, derived from its changes: made without arguments, one for each namespace.

    What it holds must follow from the changes alone: no clock, no randomness, no files, no network. Then all
    replicas answer alike, and it may be made anew at any time. Both methods run where the shard runs, so they
    have to be quick: microseconds a change, milliseconds a query.

    Two methods more are used where a class has them: `query_at(argument, version)` answers as of a version in
    the past, and `state_hash()` returns bytes that are equal where what it holds is.
    """

    name: ClassVar[str]
    """How queries call it."""
    kinds: ClassVar[tuple[str, ...]]
    """Which changes it is given, of `KINDS`."""

    def apply(self, change: Change) -> None:
        """Takes the next change, in order of versions."""

    def query(self, argument: Any) -> Any:
        """Answers a query: a JSON value in and one out. ValueError is the caller's mistake."""


def _json(text: bytes | None) -> Any:
    return msgspec.json.decode(text) if text else None


def _memory(item: Remembered | None) -> Any:
    if item is None:
        return None
    return {
        "text": item.text,
        "about": item.about,
        "kind": item.kind,
        "salience": item.salience,
        "metadata": _json(item.metadata) or {},
        "valid_from_us": item.valid_from_us,
        "valid_until_us": item.valid_until_us,
    }


def _node(_name: str, data: bytes) -> Any:
    body = decode_node(data)
    if body.is_forgotten or body.merged_into:
        return None
    return {"type": body.type, "domain": body.domain, "properties": _json(body.properties) or {}}


def _edge(name: str, data: bytes) -> Any:
    body = decode_edge(data)
    source, type_, target = name.split(SEPARATOR)
    return {
        "source": source,
        "type": type_,
        "target": target,
        "weight": body.weight,
        "properties": _json(body.properties) or {},
        "valid_from_us": body.valid_from_us,
        "valid_until_us": body.valid_until_us,
    }


_OF_RECORD: dict[str, Callable[[str, bytes], Any]] = {
    "document": lambda _name, data: _json(data),
    "state": lambda _name, data: _json(data),
    "node": _node,
    "edge": _edge,
}


def change_of(kind: str, version: int, time_us: int, name: str, author: Author, old: Any, new: Any) -> Change:
    """Returns what a projection is told.

    Args:
        kind: As in `KINDS`.
        version: Of the change.
        time_us: Its commit time in microseconds since the epoch.
        name: Of what changed.
        author: Whose change it is.
        old: What the kind's own projection had, or None.
        new: What it has now; of the end of a memory None.
    """
    type_ = ""
    if kind == "event":
        before, after, type_ = None, _json(new.payload), new.type
    elif kind == "memory":
        before, after = _memory(old), _memory(new)
    else:
        value_of = _OF_RECORD[kind]
        before = value_of(name, old.value) if old is not None and old.value is not None else None
        after = value_of(name, new.value) if new.value is not None else None
    return Change(
        kind=kind,
        name=name.replace(SEPARATOR, " ") if kind == "edge" else name,
        version=version,
        time_us=time_us,
        agent=author.agent,
        run=author.run,
        type=type_,
        old=before,
        value=after,
    )

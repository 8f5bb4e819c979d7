"""All that a namespace holds, whatever it is, under names: what diffs and merges go through.

Records of any kind in `RECORD_TABLES` are among it; a primitive that keeps its data otherwise has its own
`Content` here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Protocol

import msgspec

from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.tables import RECORD_TABLES
from memraft_server.machine.traces import shown_trace
from memraft_server.projections import notes
from memraft_server.projections.coordination import decode_gate
from memraft_server.projections.graph import SEPARATOR, decode_edge, decode_node
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.runs import RunsProjection
from memraft_server.projections.streams import StreamsProjection
from memraft_server.projections.vectors import Collection, VectorStore
from memraft_server.projections.versions import VersionedRecords

DOCUMENT, LEASE, MEMORY, VECTOR, STREAM, RUN = "document", "lease", "memory", "vector", "stream", "run"
SETTING, TRACE, NODE, EDGE, GATE = "setting", "trace", "node", "edge", "gate"

_RECORD_NAMES: Mapping[bytes, str] = {
    notes.SETTING: SETTING,
    notes.NODE: NODE,
    notes.EDGE: EDGE,
    notes.DOCUMENT: DOCUMENT,
    notes.LEASE: LEASE,
    notes.STATE: "state",
    notes.COUNTER: "counter",
    notes.GATE: GATE,
    notes.TRACE: TRACE,
}
_NOT_CONTENTS = frozenset((notes.MERGE, notes.FLOOR, notes.RECEIPT, notes.INFLUENCE, notes.FORGOTTEN))
"""Records that tell of merges, of retention and of reads, and not what a namespace holds."""
_encode = msgspec.json.Encoder().encode

_COMPARED_EVENTS_MAX = 1_000
"""Streams are compared by how many events they have, and by what this many of the last ones say."""


class Item(msgspec.Struct, frozen=True):
    """What stands under a name at a moment: its version, and bytes that are equal where it is."""

    version: int
    value: bytes


class Content(Protocol):
    """Things of one kind in a namespace."""

    def changed(self, low: int, high: int) -> Iterator[str]:
        """Yields the names of what changed above version `low` and up to `high`, in the namespace itself and
        not in what it is a fork of; perhaps some of them twice."""

    def at(self, name: str, ceiling: int) -> Item | None:
        """Returns what there was under a name as of version `ceiling`, of the fork's parent where it is."""


class _Records:
    def __init__(self, records: VersionedRecords) -> None:
        self._records = records
        self.changed = records.changed

    def at(self, name: str, ceiling: int) -> Item | None:
        record = self._records.at(name, ceiling)
        return Item(record.version, record.value or b"") if record is not None else None


class _Traces(_Records):
    def at(self, name: str, ceiling: int) -> Item | None:
        item = super().at(name, ceiling)
        return Item(item.version, _encode(shown_trace(item.value))) if item is not None else None


def memory_fields(item: Remembered) -> dict[str, Any]:
    """Returns what a memory holds, its embedding aside: what JSON is made of."""
    fields = {"text": item.text, "about": item.about, "kind": item.kind, "salience": item.salience}
    fields["metadata"] = msgspec.Raw(item.metadata or b"{}")
    for name, time_us in (("valid_from_us", item.valid_from_us), ("valid_until_us", item.valid_until_us)):
        if time_us:
            fields[name] = time_us
    for name in ("thread", "speaker", "pinned", "expires_at_us"):
        if value := getattr(item, name):
            fields[name] = value
    return fields


class _Memories:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.changed = store.changed

    def at(self, name: str, ceiling: int) -> Item | None:
        item = self._store.get(name, ceiling)
        if item is None:
            return None
        return Item(item.version, _encode(memory_fields(item)))


class _Vectors:
    def __init__(self, store: VectorStore) -> None:
        self._store = store

    def changed(self, low: int, high: int) -> Iterator[str]:
        for name in self._store.names():
            collection = self._store.get(name)
            if collection is not None:
                yield from (f"{name}/{id}" for id in collection.changed(low, high))

    def at(self, name: str, ceiling: int) -> Item | None:
        found = self.find(name, ceiling)
        if found is None:
            return None
        collection, id = found
        version = collection.row_at(id, ceiling)
        if version is None:
            return None
        metadata, vector = collection.content_of(version)
        # Scaling to length one may differ in the last bit from one machine to another.
        components = [round(component, 5) for component in vector.tolist()]
        return Item(version, _encode({"metadata": msgspec.Raw(metadata or b"{}"), "vector": components}))

    def find(self, name: str, ceiling: int) -> tuple[Collection, str] | None:
        """The collection and the id of `collection/id`; either may have a slash in it."""
        start = 0
        while (slash := name.find("/", start)) >= 0:
            collection = self._store.get(name[:slash], ceiling)
            if collection is not None:
                return collection, name[slash + 1 :]
            start = slash + 1
        return None


class _Streams:
    def __init__(self, streams: StreamsProjection) -> None:
        self._streams = streams
        self.changed = streams.changed

    def at(self, name: str, ceiling: int) -> Item | None:
        stream = self._streams.find(name)
        count = stream.count_at(ceiling) if stream is not None else 0
        if stream is None or count <= stream.forgotten:
            return None
        last = stream.events[max(stream.forgotten, count - _COMPARED_EVENTS_MAX) : count]
        text = _encode([(event.type, event.payload) for event in last])
        return Item(
            last[-1].version, _encode({"last_sequence": count, "last_events": sha256(text).hexdigest()})
        )


class _Runs:
    def __init__(self, runs: RunsProjection) -> None:
        self._runs = runs
        self.changed = runs.changed

    def at(self, name: str, ceiling: int) -> Item | None:
        run = self._runs.at(name, ceiling)
        if run is None:
            return None
        ended = 0 < run.ended_version <= ceiling
        fields = {"status": run.status if ended else 1, "inputs": msgspec.Raw(run.inputs or b"null")}
        fields["outputs"] = msgspec.Raw(run.outputs if ended and run.outputs else b"null")
        return Item(run.ended_version if ended else run.began_version, _encode(fields))


def vectors_of(space: Namespace) -> _Vectors:
    """Returns the vectors of a namespace, under names that `_Vectors.find` takes apart."""
    return _Vectors(space.projection(VectorStore))


def kind_name(kind: bytes) -> str:
    """Returns how callers know a kind of records."""
    return _RECORD_NAMES.get(kind, kind.decode())


def shown_name(kind: str, name: str) -> str:
    """Returns how callers know something of a kind: an edge by the id that it was stored under."""
    if kind != EDGE:
        return name
    source, type, target = name.split(SEPARATOR)
    return f"{source}-[{type}]->{target}"


def shown_record(kind: str, value: bytes) -> bytes:
    """Returns what is kept of a record, as JSON that callers understand; nothing of one that ended."""
    if not value:
        return value
    if kind == NODE:
        node = decode_node(value)
        fields: dict[str, Any] = {"type": node.type, "domain": node.domain}
        fields["properties"] = _object(node.properties)
        fields |= {"forgotten": True} if node.is_forgotten else {}
        fields |= {"merged_into": node.merged_into} if node.merged_into else {}
        return _encode(fields)
    if kind == EDGE:
        edge = decode_edge(value)
        fields = {"weight": edge.weight, "properties": _object(edge.properties)}
        fields |= {"valid_from_us": edge.valid_from_us} if edge.valid_from_us else {}
        fields |= {"valid_until_us": edge.valid_until_us} if edge.valid_until_us else {}
        return _encode(fields)
    if kind == GATE:
        gate = decode_gate(value)
        return _encode({"open": gate.is_open, "parties": gate.parties, "arrivals": gate.arrivals})
    return value


def _object(value: bytes) -> msgspec.Raw:
    return msgspec.Raw(value or b"{}")


def contents_of(space: Namespace) -> dict[str, Content]:
    """Returns all that a namespace holds by kind, in order of kind."""
    found: dict[str, Content] = {
        kind_name(kind): _Records(table(space)[0])
        for kind, table in RECORD_TABLES.items()
        if kind not in _NOT_CONTENTS
    }
    found[TRACE] = _Traces(RECORD_TABLES[notes.TRACE](space)[0])
    found[MEMORY] = _Memories(space.projection(MemoryStore))
    found[VECTOR] = _Vectors(space.projection(VectorStore))
    found[STREAM] = _Streams(space.projection(StreamsProjection))
    found[RUN] = _Runs(space.projection(RunsProjection))
    return dict(sorted(found.items()))


def lineage(space: Namespace, ceiling: int) -> list[tuple[Namespace, int]]:
    """Returns a namespace, what it is a fork of and so on, each with the highest version that shows."""
    found = [(space, ceiling)]
    while space.origin is not None:
        ceiling = min(ceiling, space.origin.base)
        space = space.origin.parent
        found.append((space, ceiling))
    return found


def changed_between(kind: str, left: tuple[Namespace, int], right: tuple[Namespace, int]) -> set[str] | None:
    """Returns the names of one kind that may differ between two moments of related namespaces.

    Args:
        kind: Of what.
        left: A namespace and a version.
        right: Another.

    Returns:
        None where they have no common ancestor.
    """
    lefts, rights = lineage(*left), lineage(*right)
    ceilings = {id(space): ceiling for space, ceiling in rights}
    names: set[str] = set()
    for space, ceiling in lefts:
        other = ceilings.get(id(space))
        if other is not None:
            names.update(contents_of(space)[kind].changed(min(ceiling, other), max(ceiling, other)))
            for each, high in rights:
                if each is space:
                    return names
                names.update(contents_of(each)[kind].changed(0, high))
        names.update(contents_of(space)[kind].changed(0, ceiling))
    return None

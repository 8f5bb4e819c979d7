"""Nodes and edges as records, and the adjacency that finds a node's edges with one look-up.

A node is a record of kind NODE under its id, an edge one of kind EDGE under the name that its source, its
type and its target make. The adjacency follows both. It holds the edges that there are now, both ways and in
order, and the names of those that once were: a read of the past asks for the records of all of them.

The adjacency of a fork holds what was written in the fork, and asks that of its parent for the rest.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from memraft_server.projections import validity
from memraft_server.projections.node_names import NodeNames
from memraft_server.projections.notes import EDGE, NODE, Notes
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import NOW, Author, OrderedRecords, Record, VersionedRecords

_ADJACENCY = EDGE + b"adjacency"

SEPARATOR = "\1"
"""Between the parts of an edge's name; no id and no type has a control character."""
_WEIGHT = 1.0
"""The usual weight, one object for all edges: a read then meets ten objects less that are in no cache."""
ADJACENCY_BYTES = 400
"""What an edge takes beside its record."""
MERGED_MAX = 1_000
"""Ids that may have been merged into one node, and so the most steps from one of them to it."""


class NodeBody(msgspec.Struct, array_like=True, gc=False):
    """What the record of a node holds."""

    type: str = ""
    domain: str = ""
    properties: bytes = b""
    is_forgotten: bool = False
    merged_into: str = ""
    """The node that this id means now; then it is none itself."""
    merged_from: tuple[tuple[str, int], ...] = ()
    """(id, version) of what was merged into it, oldest first."""


class EdgeBody(msgspec.Struct, array_like=True, gc=False):
    """What the record of an edge holds."""

    weight: float = 1.0
    valid_from_us: int = 0
    valid_until_us: int = 0
    properties: bytes = b""


class Edge(msgspec.Struct, gc=False):
    """An edge as reads see it."""

    source: str
    type: str
    target: str
    weight: float
    valid_from_us: int
    valid_until_us: int
    properties: bytes
    version: int


class Which(msgspec.Struct, frozen=True):
    """Which edges a read looks at. `valid_at_us` is None for any, `types` is empty for all."""

    out: bool = True
    into: bool = False
    types: frozenset[str] = frozenset()
    domain: str = ""
    valid_at_us: int | None = None
    include_forgotten: bool = False


_BOTH_WAYS = Which(into=True)

encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
decode_node = msgspec.msgpack.Decoder(NodeBody).decode
decode_edge = msgspec.msgpack.Decoder(EdgeBody).decode


class _Salient(msgspec.Struct):
    salience: Any = 0


_decode_salient = msgspec.json.Decoder(_Salient).decode


def edge_name(source: str, type: str, target: str) -> str:
    """Returns the name of an edge's record."""
    return f"{source}{SEPARATOR}{type}{SEPARATOR}{target}"


def holds_at(edge: Edge, time_us: int) -> bool:
    """Whether an edge holds in the world at a moment."""
    return validity.holds_at(edge.valid_from_us, edge.valid_until_us, time_us)


def _out_key(edge: Edge) -> tuple[str, str]:
    return edge.type, edge.target


def _into_key(edge: Edge) -> tuple[str, str]:
    return edge.type, edge.source


def _edge(name: str, record: Record) -> Edge:
    source, type, target = name.split(SEPARATOR)
    body = decode_edge(record.value or b"")
    return Edge(
        source,
        type,
        target,
        body.weight,
        body.valid_from_us,
        body.valid_until_us,
        body.properties,
        record.version,
    )


class Place:
    """What the adjacency knows of one id."""

    __slots__ = (
        "domain",
        "gone_into",
        "gone_out",
        "id",
        "into",
        "is_hidden",
        "is_node",
        "out",
        "salience",
        "type",
        "version",
    )

    def __init__(self, id: str) -> None:
        self.id = id
        self.domain = ""
        self.type = ""
        self.salience = 0.0
        self.version = 0
        self.is_node = False
        """Whether there is a node here, not merged into another."""
        self.is_hidden = False
        self.out: list[Edge] = []
        """By type and target."""
        self.into: list[Edge] = []
        """By type and source."""
        self.gone_out: dict[str, None] | None = None
        """Names of edges that once left here."""
        self.gone_into: dict[str, None] | None = None

    @property
    def rank(self) -> tuple[float, int]:
        """How much it matters: its salience, then its edges."""
        return self.salience, len(self.out) + len(self.into)


class Outline(msgspec.Struct, frozen=True):
    """What was made of the nodes of a domain, of which it shows some.

    Attributes:
        made: By whoever asked for it.
        top: The ids of the nodes that it shows.
        bar: The lowest `Place.rank` among these; below it no node of another rank would be shown.
    """

    made: Any
    top: frozenset[str]
    bar: tuple[float, int]


class Crossings:
    """The edges from one domain to another, in no order that lasts."""

    __slots__ = ("_first", "triples", "types")

    def __init__(self) -> None:
        self.triples: dict[tuple[str, str, str], None] = {}
        """Of (source, type, target)."""
        self.types: dict[str, int] = {}
        """Type -> how many of them."""
        self._first: tuple[str, str, str] | None = None

    @property
    def first(self) -> tuple[str, str, str]:
        """The first of the triples, found anew where it left."""
        if self._first is None:
            self._first = min(self.triples)
        return self._first

    def join(self, triple: tuple[str, str, str]) -> None:
        """Takes an edge."""
        self.triples[triple] = None
        self.types[triple[1]] = self.types.get(triple[1], 0) + 1
        if self._first is not None and triple < self._first:
            self._first = triple

    def leave(self, triple: tuple[str, str, str]) -> None:
        """Lets an edge go."""
        del self.triples[triple]
        self.types[triple[1]] -= 1
        if not self.types[triple[1]]:
            del self.types[triple[1]]
        if triple == self._first:
            self._first = None


class Adjacency:
    """Follows the records of nodes and of edges."""

    __slots__ = ("_types", "_usage", "by_domain", "cross", "edge_count", "hidden", "outlines", "places")

    def __init__(self, usage: Usage) -> None:
        self.places: dict[str, Place] = {}
        """Every id that ever was a node or an edge's end."""
        self.by_domain: dict[str, dict[str, Place]] = {}
        """Domain -> its nodes, in no order that lasts."""
        self.cross: dict[tuple[str, str], Crossings] = {}
        """(domain, domain) -> the edges from one to the other."""
        self.outlines: dict[str, Outline] = {}
        """Domain -> what was made of its nodes; dropped when a change may show in it."""
        self.edge_count = 0
        self.hidden: dict[str, Place] = {}
        """Forgotten nodes, in no order that lasts."""
        self._usage = usage
        self._types: dict[str, str] = {}

    def place(self, id: str) -> Place:
        """Returns the place of an id, made if there is none."""
        found = self.places.get(id)
        if found is None:
            found = self.places[id] = Place(id)
        return found

    def node_changed(self, name: str, old: Record | None, new: Record) -> None:
        """`Follower.changed` for nodes."""
        place = self.place(name)
        if place.is_node:
            self._leave(place)
        body = decode_node(new.value) if new.value is not None else None
        before = place.domain
        self.outlines.pop(before, None)
        place.version = new.version
        place.is_node = body is not None and not body.merged_into
        if body is None or body.merged_into:
            place.domain, place.type, place.salience, place.is_hidden = "", "", 0.0, False
        else:
            place.domain, place.is_hidden = body.domain, body.is_forgotten
            place.type = self._types.setdefault(body.type, body.type)
            place.salience = _salience(body.properties)
            self.by_domain.setdefault(body.domain, {})[name] = place
            if body.is_forgotten:
                self.hidden[name] = place
            self.outlines.pop(body.domain, None)
        if place.domain != before:
            places = self.places
            for edge in place.out:
                other = place.domain if edge.target == name else places[edge.target].domain
                self._leave_cross((before, before if edge.target == name else other), edge)
                self._join_cross((place.domain, other), edge)
            for edge in place.into:
                if edge.source != name:
                    other = places[edge.source].domain
                    self._leave_cross((other, before), edge)
                    self._join_cross((other, place.domain), edge)

    def edge_changed(self, name: str, old: Record | None, new: Record) -> None:
        """`Follower.changed` for edges."""
        source, type, target = name.split(SEPARATOR)
        tail, head = self.place(source), self.place(target)
        ends = tail.domain, head.domain
        if old is None:
            self._usage.bytes += ADJACENCY_BYTES
        if new.value is None:
            self._note_degrees(tail, head)
            gone = _take_out(tail.out, (type, target), _out_key)
            if gone is not None:
                _take_out(head.into, (type, source), _into_key)
                self.edge_count -= 1
                self._leave_cross(ends, gone)
            tail.gone_out = _noted(tail.gone_out, name)
            head.gone_into = _noted(head.gone_into, name)
            return
        edge = _edge(name, new)
        # The ids and types of a million edges are few objects.
        edge.source, edge.target, edge.type = tail.id, head.id, self._types.setdefault(type, type)
        if edge.weight == _WEIGHT:
            edge.weight = _WEIGHT
        if _put_in(tail.out, edge, _out_key):
            self.edge_count += 1
            self._join_cross(ends, edge)
        _put_in(head.into, edge, _into_key)
        self._note_degrees(tail, head)
        if tail.gone_out:
            tail.gone_out.pop(name, None)
        if head.gone_into:
            head.gone_into.pop(name, None)

    def _note_degrees(self, *places: Place) -> None:
        """Drops the outlines in which edges that these places get or lose may show."""
        for place in places if self.outlines else ():
            outline = self.outlines.get(place.domain)
            if outline is not None and (place.rank >= outline.bar or place.id in outline.top):
                del self.outlines[place.domain]

    def edge_gone(self, name: str) -> None:
        """Nothing is left of an edge that was deleted, not even in the past."""
        source, _, target = name.split(SEPARATOR)
        self._usage.bytes -= ADJACENCY_BYTES
        for gone in (self.places[source].gone_out, self.places[target].gone_into):
            if gone is not None:
                gone.pop(name, None)

    def _leave(self, place: Place) -> None:
        members = self.by_domain[place.domain]
        del members[place.id]
        if not members:
            del self.by_domain[place.domain]
        self.hidden.pop(place.id, None)

    def _join_cross(self, ends: tuple[str, str], edge: Edge) -> None:
        one, other = ends
        if one and other and one != other:
            found = self.cross.get(ends)
            if found is None:
                found = self.cross[ends] = Crossings()
            found.join((edge.source, edge.type, edge.target))

    def _leave_cross(self, ends: tuple[str, str], edge: Edge) -> None:
        one, other = ends
        if one and other and one != other:
            found = self.cross[ends]
            found.leave((edge.source, edge.type, edge.target))
            if not found.triples:
                del self.cross[ends]


def _salience(properties: bytes) -> float:
    if b'"salience"' not in properties:
        return 0.0
    try:
        value = _decode_salient(properties).salience
    except msgspec.MsgspecError:
        return 0.0
    return float(value) if isinstance(value, float) or type(value) is int else 0.0


def _noted(names: dict[str, None] | None, name: str) -> dict[str, None]:
    if names is None:
        return {name: None}
    names[name] = None
    return names


def _put_in(edges: list[Edge], edge: Edge, key: Callable[[Edge], tuple[str, str]]) -> bool:
    """Puts an edge in its place in a sorted list, over one with its key; returns whether there was none."""
    wanted = key(edge)
    if not edges or key(edges[-1]) < wanted:
        edges.append(edge)
        return True
    at = bisect_left(edges, wanted, key=key)
    if key(edges[at]) == wanted:
        edges[at] = edge
        return False
    edges.insert(at, edge)
    return True


def _take_out(
    edges: list[Edge], wanted: tuple[str, str], key: Callable[[Edge], tuple[str, str]]
) -> Edge | None:
    at = bisect_left(edges, wanted, key=key)
    return edges.pop(at) if at < len(edges) and key(edges[at]) == wanted else None


class _Telling:
    """A follower that is one function."""

    __slots__ = ("changed",)

    def __init__(self, changed: Callable[[str, Record | None, Record], None]) -> None:
        self.changed = changed


class GraphProjection:
    """The nodes and edges of one namespace."""

    __slots__ = ("adjacency", "edges", "names", "nodes", "parent")

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.nodes = OrderedRecords(usage, notes, NODE)
        self.edges = VersionedRecords(usage, notes, EDGE)
        self.adjacency = Adjacency(usage)
        self.nodes.follow_own(_Telling(self.adjacency.node_changed))
        self.names = NodeNames(lambda value: decode_node(value).properties)
        self.nodes.follow_own(self.names)
        self.edges.follow_own(_Telling(self.adjacency.edge_changed))
        self.edges.on_gone = self.adjacency.edge_gone
        self.parent: GraphProjection | None = notes.join(_ADJACENCY, self) if notes is not None else None
        """Of a fork: the graph that it goes back to."""

    def is_short(self, ceiling: int) -> bool:
        """Whether the adjacency itself is the answer: a read of now, not in a fork."""
        return ceiling == NOW and self.parent is None

    def store_node(self, id: str, body: NodeBody, version: int, author: Author) -> None:
        """Makes `body` the latest version of a node."""
        self.nodes.store(id, encode(body), version, author, 0)

    def store_edge(self, name: str, body: EdgeBody, version: int, author: Author) -> None:
        """Makes `body` the latest version of an edge."""
        self.edges.store(name, encode(body), version, author, 0)

    def resolve(self, id: str, ceiling: int = NOW) -> tuple[str, NodeBody | None, Record | None]:
        """Returns (id, body, record) of the node that an id means; (id, None, None) where there is none."""
        at = id
        for _ in range(MERGED_MAX + 1):
            record = self.nodes.at(at, ceiling)
            if record is None or record.value is None:
                break
            body = decode_node(record.value)
            if not body.merged_into:
                return at, body, record
            at = body.merged_into
        return id, None, None

    def edge(self, source: str, type: str, target: str, ceiling: int = NOW) -> tuple[Edge, Record] | None:
        """Returns an edge and its record; the ends are ids of nodes that were not merged into others."""
        return self.named_edge(edge_name(source, type, target), ceiling)

    def edge_body(self, record: Record) -> EdgeBody:
        """Returns what the record of an edge holds, to be changed by whoever asked."""
        return decode_edge(record.value or b"")

    def edges_now(self, id: str, out: bool) -> list[Edge]:
        """Returns `edges_of` a node now, in a list of the caller's own."""
        return list(self.edges_of(id, NOW, out))

    def named_edge(self, name: str, ceiling: int) -> tuple[Edge, Record] | None:
        """Returns an edge and its record by the record's name."""
        record = self.edges.at(name, ceiling)
        return (_edge(name, record), record) if record is not None else None

    def salience_of(self, body: NodeBody) -> float:
        """Returns the number in the property `salience`, 0 for none."""
        return _salience(body.properties)

    def edges_of(self, id: str, ceiling: int, out: bool) -> list[Edge]:
        """Returns the edges that leave a node, or arrive at it, by type and other end. Not to be changed."""
        if self.is_short(ceiling):
            place = self.adjacency.places.get(id)
            return [] if place is None else place.out if out else place.into
        found = []
        for name in self.ever(id, out):
            record = self.edges.at(name, ceiling)
            if record is not None:
                found.append(_edge(name, record))
        found.sort(key=_out_key if out else _into_key)
        return found

    def ever(self, id: str, out: bool) -> dict[str, None]:
        """Returns the names of all edges that ever left a node, or that ever arrived at it."""
        names = self.parent.ever(id, out) if self.parent is not None else {}
        place = self.adjacency.places.get(id)
        if place is not None:
            live, gone = (place.out, place.gone_out) if out else (place.into, place.gone_into)
            names |= dict.fromkeys(edge_name(each.source, each.type, each.target) for each in live)
            names |= gone or {}
        return names

    def around(self, id: str, ceiling: int, which: Which) -> list[Edge]:
        """Returns the edges of a node that `which` lets through; those that leave first, a loop once."""
        found: list[Edge] = self.edges_of(id, ceiling, True) if which.out else []
        if which.into:
            into = self.edges_of(id, ceiling, False)
            found = [*found, *(edge for edge in into if edge.source != id)] if which.out else into
        if which.types:
            found = [edge for edge in found if edge.type in which.types]
        if which.valid_at_us is not None:
            found = [edge for edge in found if holds_at(edge, which.valid_at_us)]
        if which.domain or not self._all_shown(ceiling, which):
            found = [edge for edge in found if self.is_seen(other_end(edge, id), ceiling, which)]
        return found

    def adjacent(self, id: str, direction: str) -> list[Edge] | None:
        """Returns `around` a node now, None where it takes more than the adjacency to tell.

        Args:
            id: Of the node.
            direction: `out`, `in` or `both`.

        Returns:
            Not to be changed: it may be the adjacency's own.
        """
        adjacency = self.adjacency
        place = adjacency.places.get(id)
        if place is None or not place.is_node or adjacency.hidden or self.parent is not None:
            return None
        if direction == "out":
            return place.out
        if direction == "in":
            return place.into
        return self.around(id, NOW, _BOTH_WAYS) if direction == "both" else None

    def _all_shown(self, ceiling: int, which: Which) -> bool:
        return which.include_forgotten or (self.is_short(ceiling) and not self.adjacency.hidden)

    def is_seen(self, id: str, ceiling: int, which: Which) -> bool:
        """Whether a node is of the domain that is wanted, and not forgotten where that counts."""
        domain, is_hidden = self.standing(id, ceiling)
        return (not which.domain or domain == which.domain) and (which.include_forgotten or not is_hidden)

    def standing(self, id: str, ceiling: int) -> tuple[str, bool]:
        """Returns a node's domain and whether it is forgotten."""
        if self.is_short(ceiling):
            place = self.adjacency.places.get(id)
            return (place.domain, place.is_hidden) if place is not None else ("", False)
        record = self.nodes.at(id, ceiling)
        if record is None or record.value is None:
            return "", False
        body = decode_node(record.value)
        return body.domain, body.is_forgotten

    def listed(
        self, start: str, prefix: str, domain: str, ceiling: int
    ) -> Iterator[tuple[str, NodeBody | None, Record | None]]:
        """Yields (id, body, record) for every id that ever was from `start` on, None where there is no node.

        Args:
            start: The first id, included.
            prefix: Only ids that begin with it.
            domain: What is not of this domain may be left out; empty: nothing.
            ceiling: The highest version to see.
        """
        found: Iterable[tuple[str, Record | None]]
        if domain and self.is_short(ceiling):
            members = self.adjacency.by_domain.get(domain, ())
            ids = sorted(id for id in members if id >= start and id.startswith(prefix))
            found = ((id, self.nodes.heads[id]) for id in ids)
        else:
            found = self.nodes.scan(start, "", prefix, ceiling)
        for id, record in found:
            body = decode_node(record.value) if record is not None and record.value is not None else None
            yield (id, None, None) if body is None or body.merged_into else (id, body, record)

    def edge_names(self) -> dict[str, None]:
        """Returns the names of all edges that ever were."""
        names = self.parent.edge_names() if self.parent is not None else {}
        return names | dict.fromkeys(self.edges.heads)

    def crossing(self, start: str, ceiling: int) -> Iterator[tuple[str, Edge | None, str, str]]:
        """Yields (name, edge, domain it leaves, domain it arrives in) of edges between domains, by name.

        Args:
            start: The first name to look at.
            ceiling: The highest version to see.

        Yields None for an edge that was looked at and lies within one domain: a read counts what it looks at.
        """
        if self.is_short(ceiling):
            every = (edge_name(*triple) for each in self.adjacency.cross.values() for triple in each.triples)
            names = sorted(name for name in every if name >= start)
        else:
            names = sorted(name for name in self.edge_names() if name >= start)
        for name in names:
            record = self.edges.at(name, ceiling)
            if record is None:
                yield name, None, "", ""
                continue
            edge = _edge(name, record)
            one, other = self.standing(edge.source, ceiling)[0], self.standing(edge.target, ceiling)[0]
            yield name, edge if one and other and one != other else None, one, other


def other_end(edge: Edge, id: str) -> str:
    """Returns the end of an edge that is not `id`; of a loop, `id`."""
    return edge.target if edge.source == id else edge.source

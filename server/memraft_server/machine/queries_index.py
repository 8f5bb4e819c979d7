"""Gathers what the compressed index tells of a namespace, and keeps its text until something changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from heapq import nlargest, nsmallest
from itertools import islice
from math import inf

from memraft_proto.v1 import index_pb2
from memraft_server.machine.limits import Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Check, Query, View
from memraft_server.projections.contents import (
    TOP_NODES,
    Contents,
    Crossing,
    Domain,
    Group,
    NodeLine,
    render,
    tokens_of,
)
from memraft_server.projections.graph import Edge, GraphProjection, Outline, decode_node
from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.notes import Notes
from memraft_server.projections.streams import StreamsProjection
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import NOW

TOKENS_MIN = 500
TOKENS_MAX = 2_000
TOKENS_DEFAULT = 1_500
GROUPS_MAX = 20
CROSSINGS_MAX = 50
_NO_BAR = (-inf, 0)
_KEPT_MAX = 8
"""Texts of different budgets that are kept of a namespace."""


class KeptIndexes:
    """Texts of a namespace as it is now, by budget, with the version of the change that they are of."""

    def __init__(self, usage: Usage, notes: Notes | None) -> None:
        self.texts: dict[int, tuple[int, str]] = {}

    def get(self, tokens: int, version: int) -> str | None:
        """Returns the text of a budget, None where there is none of this version."""
        kept = self.texts.get(tokens)
        return kept[1] if kept is not None and kept[0] == version else None

    def keep(self, tokens: int, version: int, text: str) -> None:
        """Keeps the text of a budget, and forgets the oldest of too many."""
        self.texts.pop(tokens, None)
        while len(self.texts) >= _KEPT_MAX:
            del self.texts[next(iter(self.texts))]
        self.texts[tokens] = (version, text)


def kept_index(space: Namespace, tokens: int) -> str | None:
    """Returns the index of a namespace as it is now if it is kept."""
    return space.projection(KeptIndexes).get(tokens, space.changed_version)


def get_index(view: View, space: Namespace, request: index_pb2.GetIndexRequest) -> index_pb2.GetIndexResponse:
    """Returns the index of a namespace."""
    tokens = request.tokens or TOKENS_DEFAULT
    text = kept_index(space, tokens) if view.is_now else None
    if text is None:
        text = render(_contents(view, space, request.namespace), tokens)
        if view.is_now and space.name:  # What nobody ever wrote to is one namespace under many names.
            space.projection(KeptIndexes).keep(tokens, space.changed_version, text)
    return index_pb2.GetIndexResponse(text=text, tokens=tokens_of(text))


def _check(request: index_pb2.GetIndexRequest, limits: Limits) -> None:
    if request.tokens and not TOKENS_MIN <= request.tokens <= TOKENS_MAX:
        raise invalid(
            f"tokens: {request.tokens}, from {TOKENS_MIN} to {TOKENS_MAX}; 0 is {TOKENS_DEFAULT}",
            field="tokens",
            limit=str(TOKENS_MAX),
        )


def _contents(view: View, space: Namespace, namespace: str) -> Contents:
    graph = space.projection(GraphProjection)
    gather = _now if graph.is_short(view.ceiling) else _then
    node_count, edge_count, domains, crossings = gather(graph, view.limits.index_names_max, view.ceiling)
    documents, is_whole = _documents(view, space)
    streams, are_all = _streams(view, space)
    memories, are_whole = _memories(view, space)
    return Contents(
        namespace,
        node_count,
        edge_count,
        sorted(domains, key=lambda each: (not each.name, -each.count, each.name)),
        crossings,
        documents,
        streams,
        memories,
        is_whole and are_all and are_whole,
    )


_Graph = tuple[int, int, list[Domain], list[Crossing]]


def _now(graph: GraphProjection, names_max: int, ceiling: int) -> _Graph:
    """Gathers the graph from its adjacency; what was made of a domain is kept until it changes."""
    adjacency = graph.adjacency
    places = adjacency.places
    domains = []
    for name in adjacency.by_domain:
        outline = adjacency.outlines.get(name)
        if outline is None:
            outline = adjacency.outlines[name] = _outline(graph, name)
        if outline.made.count:
            domains.append(outline.made)
    hidden = {
        (edge.source, edge.type, edge.target): (places[edge.source].domain, places[edge.target].domain)
        for place in adjacency.hidden.values()
        for edge in (*place.out, *place.into)
    }
    hidden_in = Counter(hidden.values())
    counts = {ends: len(found.triples) - hidden_in[ends] for ends, found in adjacency.cross.items()}
    crossings = []
    for ends in nsmallest(CROSSINGS_MAX, filter(counts.get, counts), key=lambda ends: (-counts[ends], ends)):
        found = adjacency.cross[ends]
        types, example = found.types, found.first
        if hidden_in[ends]:
            types = +(Counter(types) - Counter(triple[1] for triple in hidden if hidden[triple] == ends))
            if example in hidden:
                example = min(triple for triple in found.triples if triple not in hidden)
        crossings.append(Crossing(*ends, types, example))
    return sum(each.count for each in domains), adjacency.edge_count, domains, crossings


def _outline(graph: GraphProjection, name: str) -> Outline:
    shown = [place for place in graph.adjacency.by_domain[name].values() if not place.is_hidden]
    # Salience and edges leave few to be compared in every respect, but for graphs where all nodes are alike.
    ranks = [(place.salience, len(place.out) + len(place.into)) for place in shown]
    bar = nlargest(TOP_NODES, ranks)[-1] if len(ranks) >= TOP_NODES else _NO_BAR
    top = nsmallest(
        TOP_NODES,
        [place for place, rank in zip(shown, ranks, strict=True) if rank >= bar],
        key=lambda each: (-each.salience, -len(each.out) - len(each.into), -each.version, each.id),
    )
    lines = []
    for each in top:
        properties = decode_node(graph.nodes.heads[each.id].value or b"").properties
        degree = len(each.out) + len(each.into)
        lines.append(NodeLine(each.id, each.type, each.salience, degree, each.version, properties))
    domain = Domain(name, len(shown), Counter([each.type for each in shown]), lines)
    return Outline(domain, frozenset([each.id for each in top]), bar)


def _then(graph: GraphProjection, names_max: int, ceiling: int) -> _Graph:
    """Gathers the graph of the past, or of a fork, from the records of all nodes and edges that ever were."""
    names = graph.edge_names()
    listed = list(islice(graph.listed("", "", "", ceiling), names_max + 1))
    if len(listed) + len(names) > names_max:
        raise invalid(
            f"context.at_index: of a fork or of the past the index is made of {names_max} nodes and edges "
            "at most, and here are more",
            limit=str(names_max),
        )
    edges = [found[0] for name in names if (found := graph.named_edge(name, ceiling)) is not None]
    degrees = Counter(id for edge in edges for id in (edge.source, edge.target))
    nodes = {
        id: (body, record)
        for id, body, record in listed
        if body is not None and record is not None and not body.is_forgotten
    }
    by_domain: dict[str, list[NodeLine]] = {}
    for id, (body, record) in nodes.items():
        salience, degree = graph.salience_of(body), degrees[id]
        line = NodeLine(id, body.type, salience, degree, record.version, body.properties)
        by_domain.setdefault(body.domain, []).append(line)
    domains = [
        Domain(
            name,
            len(lines),
            Counter(line.type for line in lines),
            nsmallest(TOP_NODES, lines, key=lambda line: line.rank),
        )
        for name, lines in by_domain.items()
    ]
    crossing = []
    for edge in edges:
        if edge.source in nodes and edge.target in nodes:
            one, other = nodes[edge.source][0].domain, nodes[edge.target][0].domain
            if one and other and one != other:
                crossing.append((one, other, edge))
    return len(nodes), len(edges), domains, _crossings(crossing)


def _crossings(crossing: Iterable[tuple[str, str, Edge]]) -> list[Crossing]:
    found: dict[tuple[str, str], tuple[Counter[str], tuple[str, str, str]]] = {}
    for source, target, edge in crossing:
        triple = (edge.source, edge.type, edge.target)
        if (source, target) not in found:
            found[source, target] = (Counter(), triple)
        types, example = found[source, target]
        types[edge.type] += 1
        if triple < example:
            found[source, target] = (types, triple)
    every = [Crossing(*ends, types, example) for ends, (types, example) in found.items()]
    return nsmallest(
        CROSSINGS_MAX, every, key=lambda each: (-sum(each.types.values()), each.source, each.target)
    )


def _documents(view: View, space: Namespace) -> tuple[list[Group], bool]:
    """Counts documents by what stands before the first `:` or `/` of their keys, that included."""
    counts: Counter[str] = Counter()
    ceiling, keys_max = view.ceiling, view.limits.scan_keys_max
    looked = 0
    for looked, (key, record) in enumerate(space.kv.scan("", "", "", ceiling), 1):
        if looked > keys_max:
            break
        if record is not None:
            ends = [at for at in (key.find(":"), key.find("/")) if at >= 0]
            counts[key[: min(ends) + 1] if ends else "(no prefix)"] += 1
    return _largest(counts), looked <= keys_max


def _streams(view: View, space: Namespace) -> tuple[list[Group], bool]:
    names_max = view.limits.scan_keys_max
    names = space.projection(StreamsProjection).names_from("", "", view.ceiling)
    found = list(islice(names, names_max + 1))
    return _largest(Counter({name: count for name, count in found if count})), len(found) <= names_max


def _memories(view: View, space: Namespace) -> tuple[list[Group], bool]:
    counts: Counter[str] = Counter()
    memories_max = view.limits.scan_keys_max
    looked = 0
    for looked, (_, item) in enumerate(space.projection(MemoryStore).newest("", view.ceiling, NOW), 1):
        if looked > memories_max:
            break
        if item is not None:
            counts[item.about or "(no entity)"] += 1
    return _largest(counts), looked <= memories_max


def _largest(counts: Counter[str]) -> list[Group]:
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    groups = [Group(name, count) for name, count in ranked[:GROUPS_MAX]]
    rest = sum(count for _, count in ranked[GROUPS_MAX:])
    return [*groups, Group(f"({len(ranked) - GROUPS_MAX:,} others)", rest)] if rest else groups


READ_CHECKS: dict[str, Check] = {"GetIndex": _check}
QUERIES: dict[str, Query] = {"GetIndex": get_index}

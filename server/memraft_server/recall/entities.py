"""Which entities a query names, and what is near them in the graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from memraft_server.projections.graph import GraphProjection, Which, other_end

WORDS_MAX = 48
"""Words of a query that are looked up as names; one that goes on longer names its subject before."""
NAME_WORDS_MAX = 3
ENTITIES_MAX = 64
"""Entities that are taken in, those that are named before those that are near."""
EDGES_MAX = 1_000
"""A node of more edges is near everything: nothing is looked for beyond it."""

_WORD = re.compile(r"[^\s?!,;.\"()\[\]]+(?:[.:][^\s?!,;.\"()\[\]]+)*")
_POSSESSIVE = re.compile("['\u2019]s?$")
_BOTH_WAYS = Which(into=True)


def named(
    query: str, graph: GraphProjection | None, ceiling: int, is_entity: Callable[[str], bool]
) -> list[str]:
    """Returns the ids of the entities that a query names, by id or by the name of their node, in the order of
    the query.

    Args:
        query: Its text.
        graph: Of the namespace; None: there is none.
        ceiling: As of this version.
        is_entity: Whether there is something about an id that is no node.
    """
    found: dict[str, None] = {}
    chain = list(_chain(graph))
    is_node, is_name = _nodes_of(chain), _names_of(chain)
    for said, lower, title in _said(query):
        if not (
            is_name(lower)
            or is_entity(said)
            or is_entity(lower)
            or is_entity(title)
            or is_node(said)
            or is_node(lower)
            or is_node(title)
        ):
            continue  # as mostly
        ids = [id for each in chain for id in each.names.find(lower)]
        for id in dict.fromkeys((said, lower, title, *ids)):
            if is_entity(id):
                found[id] = None
            if graph is not None and is_node(id):
                node, body, _ = graph.resolve(id, ceiling)
                if body is not None:
                    found[node] = None
                    found[id] = None
        if len(found) >= ENTITIES_MAX:
            break
    return list(found)[:ENTITIES_MAX]


def nearness(graph: GraphProjection, starts: Iterable[str], ceiling: int, depth_max: int) -> dict[str, float]:
    """Returns how near entities are to those of `starts`: 1 for these, half of it for each edge more.

    Args:
        graph: Of the namespace.
        starts: Ids.
        ceiling: As of this version.
        depth_max: How many edges away.
    """
    found = dict.fromkeys(starts, 1.0)
    front = list(found)
    is_node = _nodes_of(list(_chain(graph)))
    for depth in range(1, depth_max + 1):
        beyond: list[str] = []
        for id in front:
            if not is_node(id) or _degree(graph, id) > EDGES_MAX:
                continue
            for edge in graph.around(id, ceiling, _BOTH_WAYS):
                other = other_end(edge, id)
                if other not in found:
                    if len(found) >= ENTITIES_MAX:
                        return found
                    found[other] = 0.5**depth
                    beyond.append(other)
        front = beyond
    return found


def _said(query: str) -> Iterator[tuple[str, str, str]]:
    """Yields every run of one to three words, the longest first: as said, in lower case and as a title."""
    words = _WORD.findall(query)[:WORDS_MAX]
    if "'" in query or "\u2019" in query:
        words = [_POSSESSIVE.sub("", word) for word in words]
    # Word by word, which gives the same: a space ends a word in every case.
    lower, title = [word.lower() for word in words], [word.title() for word in words]
    for count in range(min(NAME_WORDS_MAX, len(words)), 1, -1):
        for start in range(len(words) - count + 1):
            run = slice(start, start + count)
            yield " ".join(words[run]), " ".join(lower[run]), " ".join(title[run])
    yield from zip(words, lower, title, strict=True)


def _chain(graph: GraphProjection | None) -> Iterator[GraphProjection]:
    """Yields a graph and what it is a fork of."""
    at = graph
    while at is not None:
        yield at
        at = at.parent


def _nodes_of(chain: list[GraphProjection]) -> Callable[[str], bool]:
    """Returns what says whether an id is that of a node."""
    places = [each.adjacency.places for each in chain]
    if len(places) == 1:
        return places[0].__contains__
    return lambda id: any(id in each for each in places)


def _names_of(chain: list[GraphProjection]) -> Callable[[str], bool]:
    """Returns what says whether any node has a name."""
    if len(chain) == 1:
        return chain[0].names.has
    return lambda name: any(each.names.has(name) for each in chain)


def _degree(graph: GraphProjection | None, id: str) -> int:
    places = (each.adjacency.places.get(id) for each in _chain(graph))
    return sum(len(place.out) + len(place.into) for place in places if place is not None)

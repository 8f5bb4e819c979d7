"""Answers reads of the graph."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec

from memraft_proto.v1 import graph_pb2
from memraft_server.machine import cursors
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Query, View
from memraft_server.machine.validate_vectors import parse_filter
from memraft_server.projections.graph import SEPARATOR, Edge, GraphProjection, NodeBody, Which, holds_at
from memraft_server.projections.versions import Record
from memraft_server.projections.walks import TooFar, breadth_first, fewest_edges, least_weight

PAGE_DEFAULT = 1_000
ADJACENT_MAX = 1_000
"""Edges of a node that come by the short way: these are few enough not to ask for their bytes."""
_DIRECTION = {
    name: graph_pb2.EdgeFilter(direction=direction).SerializeToString(deterministic=True)
    for name, direction in (
        ("out", graph_pb2.DIRECTION_OUT),
        ("in", graph_pb2.DIRECTION_IN),
        ("both", graph_pb2.DIRECTION_BOTH),
    )
}
"""Direction -> the encoded filter that says only this."""
_WIRE_BYTES = 64
_decode_properties = msgspec.json.Decoder().decode


def get_node(view: View, space: Namespace, request: graph_pb2.GetNodeRequest) -> graph_pb2.GetNodeResponse:
    """Reads a node."""
    id, body, record = space.projection(GraphProjection).resolve(request.id, view.ceiling)
    response = graph_pb2.GetNodeResponse()
    if body is not None and record is not None and (request.include_forgotten or not body.is_forgotten):
        _fill_node(view, response.node, id, body, record)
    return response


def get_edge(view: View, space: Namespace, request: graph_pb2.GetEdgeRequest) -> graph_pb2.GetEdgeResponse:
    """Reads an edge."""
    graph, ceiling = space.projection(GraphProjection), view.ceiling
    source, target = (graph.resolve(id, ceiling)[0] for id in (request.source, request.target))
    found = graph.edge(source, request.type, target, ceiling)
    response = graph_pb2.GetEdgeResponse()
    if found is not None:
        edge, record = found
        _fill_edge(response.edge, edge)
        view.fill_provenance(response.provenance, record.version, record.author)
    return response


def list_nodes(
    view: View, space: Namespace, request: graph_pb2.ListNodesRequest
) -> graph_pb2.ListNodesResponse:
    """Lists nodes in order of id. A page ends at the first of: nodes, bytes, ids looked at."""
    limits = view.limits
    predicate = parse_filter(request.filter, limits)
    query = (request.domain, request.type, request.prefix, request.filter, request.include_forgotten)
    kind = cursors.kind_of("nodes", *query)
    start = cursors.decode(kind, request.cursor) if request.cursor else ""
    nodes_max = min(request.limit or PAGE_DEFAULT, limits.page_items_max)
    response = graph_pb2.ListNodesResponse()
    size = 0
    listed = space.projection(GraphProjection).listed(start, request.prefix, request.domain, view.ceiling)
    for looked, (id, body, record) in enumerate(listed):
        if looked >= limits.scan_keys_max:
            response.next_cursor = cursors.encode(kind, id)
            break
        if body is None or record is None or (body.is_forgotten and not request.include_forgotten):
            continue
        if (request.domain and body.domain != request.domain) or (request.type and body.type != request.type):
            continue
        if predicate is not None and not predicate(_properties(body)):
            continue
        size += len(id) + len(body.properties) + _WIRE_BYTES
        if len(response.nodes) >= nodes_max or (size > limits.page_bytes_max and response.nodes):
            response.next_cursor = cursors.encode(kind, id)
            break
        _fill_node(view, response.nodes.add(), id, body, record)
    return response


def neighbours(
    view: View, space: Namespace, request: graph_pb2.NeighboursRequest
) -> graph_pb2.NeighboursResponse:
    """Lists the edges of a node."""
    graph, which, limits = space.projection(GraphProjection), _which(request.which), view.limits
    id, body, _ = graph.resolve(request.id, view.ceiling)
    response = graph_pb2.NeighboursResponse(id=id)
    if body is None or (body.is_forgotten and not which.include_forgotten):
        return response

    edges = graph.around(id, view.ceiling, which)
    kind = _neighbours_kind(id, request.which.SerializeToString(deterministic=True))
    first = 0
    if request.cursor:
        parts = cursors.decode(kind, request.cursor).split(SEPARATOR)
        first = bisect_right(edges, (parts[0] == "in", parts[1], parts[2]), key=partial(_place, id))
    size = 0
    edges_max = min(request.limit or PAGE_DEFAULT, limits.page_items_max)
    for position in range(first, len(edges)):
        edge = edges[position]
        size += _size_of(edge)
        if position - first >= edges_max or (size > limits.page_bytes_max and position > first):
            response.next_cursor = _after(kind, id, edges[position - 1])
            break
        _fill_edge(response.edges.add(), edge)
    return response


def adjacent(graph: GraphProjection, id: str, direction: str, limit: int) -> tuple[list[Edge], str] | None:
    """Returns the first `limit` edges of a node now and the cursor of a next page, as `neighbours` does, or
    None where that has more to ask than the adjacency tells."""
    edges = graph.adjacent(id, direction)
    if edges is None:
        return None
    page = edges[:limit]
    if len(edges) == len(page):
        return page, ""
    return page, _after(_neighbours_kind(id, _DIRECTION[direction]), id, page[-1])


def _neighbours_kind(id: str, which: bytes) -> str:
    return cursors.kind_of("neighbours", id, which)


def _place(id: str, edge: Edge) -> tuple[bool, str, str]:
    """What the edges of a node are in order of."""
    return (False, edge.type, edge.target) if edge.source == id else (True, edge.type, edge.source)


def _after(kind: str, id: str, edge: Edge) -> str:
    """Returns the cursor of the page after this edge of a node."""
    is_in, type, other = _place(id, edge)
    return cursors.encode(kind, SEPARATOR.join(("in" if is_in else "out", type, other)))


def traverse(view: View, space: Namespace, request: graph_pb2.TraverseRequest) -> graph_pb2.TraverseResponse:
    """Walks breadth first."""
    graph, which = space.projection(GraphProjection), _which(request.which)
    steps, truncated = breadth_first(
        graph,
        _starts(graph, view, request.ids, which),
        view.ceiling,
        which,
        request.depth or 1,
        min(request.limit or PAGE_DEFAULT, view.limits.page_items_max),
        view.limits.walk_edges_max,
    )
    ids, depths, previous, types = zip(*steps, strict=True) if steps else ((), (), (), ())
    return graph_pb2.TraverseResponse(
        ids=ids, depths=depths, previous=previous, types=types, truncated=truncated
    )


def shortest_path(
    view: View, space: Namespace, request: graph_pb2.ShortestPathRequest
) -> graph_pb2.ShortestPathResponse:
    """Finds a path between two nodes."""
    graph, which, limits, ceiling = (
        space.projection(GraphProjection),
        _which(request.which),
        view.limits,
        view.ceiling,
    )
    response = graph_pb2.ShortestPathResponse()
    ends = [_starts(graph, view, [id], which) for id in (request.source, request.target)]
    if not (ends[0] and ends[1]):
        return response
    (source,), (target,) = ends
    try:
        if request.weighted:
            edges = least_weight(graph, source, target, ceiling, which, limits.walk_edges_max)
        else:
            depth_max = request.depth or limits.walk_depth_max
            edges = fewest_edges(graph, source, target, ceiling, which, depth_max, limits.walk_edges_max)
    except TooFar:
        raise invalid(
            f"target: after {limits.walk_edges_max} edges node {target!r} was neither reached from "
            f"{source!r} nor ruled out: ask for fewer types, a domain or a smaller depth",
            limit=str(limits.walk_edges_max),
        ) from None
    if edges is None:
        return response
    response.found = True
    response.ids.append(source)
    for edge in edges:
        last = response.ids[-1]
        response.ids.append(edge.target if edge.source == last else edge.source)
        _fill_edge(response.edges.add(), edge)
        response.weight += edge.weight
    return response


def subgraph(view: View, space: Namespace, request: graph_pb2.SubgraphRequest) -> graph_pb2.SubgraphResponse:
    """Reads nodes, what is around them, and all edges between them."""
    graph, which, limits = space.projection(GraphProjection), _which(request.which), view.limits
    ceiling = view.ceiling
    steps, truncated = breadth_first(
        graph,
        _starts(graph, view, request.ids, which),
        ceiling,
        which,
        request.depth,
        min(request.limit or PAGE_DEFAULT, limits.page_items_max),
        limits.walk_edges_max,
    )
    response = graph_pb2.SubgraphResponse(truncated=truncated)
    inside: set[str] = set()
    size = 0
    for id, _, _, _ in steps:
        _, body, record = graph.resolve(id, ceiling)
        if body is None or record is None:
            continue
        size += len(id) + len(body.properties) + _WIRE_BYTES
        if size > limits.page_bytes_max and inside:
            response.truncated = True
            return response
        inside.add(id)
        _fill_node(view, response.nodes.add(), id, body, record)
    leaving = msgspec.structs.replace(which, out=True, into=False, domain="")
    looked = 0
    for node in response.nodes:
        for edge in graph.around(node.id, ceiling, leaving):
            looked += 1
            if edge.target not in inside:
                continue
            size += _size_of(edge)
            if looked > limits.walk_edges_max or size > limits.page_bytes_max:
                response.truncated = True
                return response
            _fill_edge(response.edges.add(), edge)
    return response


def cross_domain_edges(
    view: View, space: Namespace, request: graph_pb2.CrossDomainEdgesRequest
) -> graph_pb2.CrossDomainEdgesResponse:
    """Lists edges between domains. A page ends at the first of: edges, bytes, edges looked at."""
    graph, limits, ceiling = space.projection(GraphProjection), view.limits, view.ceiling
    valid_at_us = request.valid_at_us if request.HasField("valid_at_us") else None
    which = Which(include_forgotten=request.include_forgotten)
    wanted = (request.source_domain, request.target_domain)
    kind = cursors.kind_of("cross-domain", *wanted, valid_at_us, request.include_forgotten)
    start = cursors.decode(kind, request.cursor) if request.cursor else ""
    edges_max = min(request.limit or PAGE_DEFAULT, limits.page_items_max)
    response = graph_pb2.CrossDomainEdgesResponse()
    size = 0
    for looked, (name, edge, *domains) in enumerate(graph.crossing(start, ceiling)):
        if looked >= limits.scan_keys_max:
            response.next_cursor = cursors.encode(kind, name)
            break
        if edge is None or any(want not in ("", has) for want, has in zip(wanted, domains, strict=True)):
            continue
        if valid_at_us is not None and not holds_at(edge, valid_at_us):
            continue
        if not all(graph.is_seen(id, ceiling, which) for id in (edge.source, edge.target)):
            continue
        size += _size_of(edge)
        if len(response.edges) >= edges_max or (size > limits.page_bytes_max and response.edges):
            response.next_cursor = cursors.encode(kind, name)
            break
        _fill_edge(response.edges.add(), edge)
        response.source_domains.append(domains[0])
        response.target_domains.append(domains[1])
    return response


def _which(asked: graph_pb2.EdgeFilter) -> Which:
    direction = asked.direction
    return Which(
        out=direction != graph_pb2.DIRECTION_IN,
        into=direction in (graph_pb2.DIRECTION_IN, graph_pb2.DIRECTION_BOTH),
        types=frozenset(asked.types),
        domain=asked.domain,
        valid_at_us=asked.valid_at_us if asked.HasField("valid_at_us") else None,
        include_forgotten=asked.include_forgotten,
    )


def _starts(graph: GraphProjection, view: View, ids: Iterable[str], which: Which) -> list[str]:
    """Returns the nodes that ids mean, without those that a read is not to see."""
    found: dict[str, None] = {}
    for each in ids:
        id, body, _ = graph.resolve(each, view.ceiling)
        if body is not None and (which.include_forgotten or not body.is_forgotten):
            found[id] = None
    return list(found)


def _properties(body: NodeBody) -> Any:
    return _decode_properties(body.properties) if body.properties else {}


def _size_of(edge: Edge) -> int:
    return len(edge.source) + len(edge.target) + len(edge.properties) + _WIRE_BYTES


def _fill_node(view: View, node: Any, id: str, body: NodeBody, record: Record) -> None:
    node.id = id
    node.type = body.type
    node.domain = body.domain
    node.properties = body.properties
    node.forgotten = body.is_forgotten
    view.fill_provenance(node.provenance, record.version, record.author)
    for merged, version in body.merged_from:
        node.merged_from.add(id=merged, version=version)


def _fill_edge(into: Any, edge: Edge) -> None:
    into.source = edge.source
    into.type = edge.type
    into.target = edge.target
    into.properties = edge.properties
    into.weight = edge.weight
    into.valid_from_us = edge.valid_from_us
    into.valid_until_us = edge.valid_until_us
    into.version = edge.version


QUERIES: dict[str, Query] = {
    "GetNode": get_node,
    "GetEdge": get_edge,
    "ListNodes": list_nodes,
    "Neighbours": neighbours,
    "Traverse": traverse,
    "ShortestPath": shortest_path,
    "Subgraph": subgraph,
    "CrossDomainEdges": cross_domain_edges,
}

"""Applies commands on the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from memraft_proto.v1 import graph_pb2
from memraft_server.machine.limits import ITEMS_MAX, PROPERTIES_BYTES_MAX
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.turn import Handler, Turn
from memraft_server.machine.validate_common import refuse_early_end
from memraft_server.projections import merging
from memraft_server.projections.graph import (
    MERGED_MAX,
    SEPARATOR,
    Edge,
    EdgeBody,
    GraphProjection,
    NodeBody,
    edge_name,
)
from memraft_server.projections.versions import Record


def upsert_node(
    turn: Turn, space: Namespace, request: graph_pb2.UpsertNodeRequest
) -> graph_pb2.UpsertNodeResponse:
    """Stores or changes a node, if it has the version that the caller expects. What is forgotten stays so."""
    graph = space.projection(GraphProjection)
    id, body, record = graph.resolve(request.id)
    response = graph_pb2.UpsertNodeResponse(id=id, time_us=turn.time_us, created=body is None)
    if _conflicts(request, record, response):
        return response
    _refuse_separator("id", id)
    old = body or NodeBody()
    is_patch = request.patch
    properties = _patched(turn, old.properties, request.properties) if is_patch else request.properties
    new = NodeBody(
        type=request.type if request.HasField("type") or not is_patch else old.type,
        domain=request.domain if request.HasField("domain") or not is_patch else old.domain,
        properties=properties,
        is_forgotten=old.is_forgotten,
        merged_from=old.merged_from,
    )
    graph.store_node(id, new, turn.version, turn.author)
    response.version = turn.version
    return response


def delete_node(
    turn: Turn, space: Namespace, request: graph_pb2.DeleteNodeRequest
) -> graph_pb2.DeleteNodeResponse:
    """Deletes a node, with `detach` and its edges; refuses one that has edges without."""
    graph = space.projection(GraphProjection)
    id, _, record = graph.resolve(request.id)
    response = graph_pb2.DeleteNodeResponse(time_us=turn.time_us, found=record is not None)
    if _conflicts(request, record, response):
        return response
    response.version = turn.version
    if record is None:
        return response
    edges = _edges(graph, id)
    if edges and not request.detach:
        counted = "1 edge" if len(edges) == 1 else f"{len(edges)} edges"
        raise Refused(
            "NODE_HAS_EDGES",
            f"id: node {id!r} has {counted}; delete them first, or with it (detach)",
            {"edges": str(len(edges))},
        )
    if len(edges) >= ITEMS_MAX:
        raise invalid(
            f"id: node {id!r} has {len(edges)} edges, at most {ITEMS_MAX - 1} go with it: "
            "delete some of them before",
            limit=str(ITEMS_MAX - 1),
        )
    graph.nodes.remove(id, turn.version, turn.author)
    for item, edge in enumerate(edges, 1):
        graph.edges.remove(_name(edge), turn.version + item, turn.author)
    turn.items = 1 + len(edges)
    response.edges_deleted = len(edges)
    return response


def upsert_edge(
    turn: Turn, space: Namespace, request: graph_pb2.UpsertEdgeRequest
) -> graph_pb2.UpsertEdgeResponse:
    """Stores or changes an edge between two nodes that exist, if it has the version that is expected."""
    graph = space.projection(GraphProjection)
    name = _name_of(graph, request)
    record = graph.edges.head(name)
    response = graph_pb2.UpsertEdgeResponse(time_us=turn.time_us, created=record is None)
    if _conflicts(request, record, response):
        return response
    if not request.patch or record is None:
        weight = request.weight if request.HasField("weight") else 1.0
        properties = _patched(turn, b"", request.properties) if request.patch else request.properties
        body = EdgeBody(weight, request.valid_from_us, request.valid_until_us, properties)
    else:
        body = graph.edge_body(record)
        body.properties = _patched(turn, body.properties, request.properties)
        for field in ("weight", "valid_from_us", "valid_until_us"):
            if request.HasField(field):
                setattr(body, field, getattr(request, field))
    refuse_early_end("", body.valid_from_us, body.valid_until_us)
    graph.store_edge(name, body, turn.version, turn.author)
    response.version = turn.version
    return response


def delete_edge(
    turn: Turn, space: Namespace, request: graph_pb2.DeleteEdgeRequest
) -> graph_pb2.DeleteEdgeResponse:
    """Deletes an edge, if it has the version that the caller expects."""
    graph = space.projection(GraphProjection)
    source, target = graph.resolve(request.source)[0], graph.resolve(request.target)[0]
    name = edge_name(source, request.type, target)
    record = graph.edges.head(name)
    response = graph_pb2.DeleteEdgeResponse(time_us=turn.time_us, found=record is not None)
    if not _conflicts(request, record, response):
        graph.edges.remove(name, turn.version, turn.author)
        response.version = turn.version
    return response


def upsert_graph(
    turn: Turn, space: Namespace, request: graph_pb2.UpsertGraphRequest
) -> graph_pb2.UpsertGraphResponse:
    """Stores many nodes and then many edges; the item number i makes version `first_version + i`."""
    graph = space.projection(GraphProjection)
    nodes, edges = len(request.ids), len(request.sources)
    if not 0 < nodes + edges <= ITEMS_MAX:
        raise invalid(f"ids and sources: {nodes + edges} items, from 1 to {ITEMS_MAX}", limit=str(ITEMS_MAX))
    types = _column("types", request.types, nodes, "")
    domains = _column("domains", request.domains, nodes, "")
    properties = _column("properties", request.properties, nodes, b"")
    edge_types = _column("edge_types", request.edge_types, edges, None)
    targets = _column("targets", request.targets, edges, None)
    bodies = zip(
        _column("weights", request.weights, edges, 1.0),
        _column("valid_from_us", request.valid_from_us, edges, 0),
        _column("valid_until_us", request.valid_until_us, edges, 0),
        _column("edge_properties", request.edge_properties, edges, b""),
        strict=True,
    )
    known = _Known(graph, request.ids)
    names = [
        edge_name(known.end("sources", i, source), type, known.end("targets", i, target))
        for i, (source, type, target) in enumerate(zip(request.sources, edge_types, targets, strict=True))
    ]
    for type in set(edge_types):
        _refuse_separator("edge_types", type)
    turn.items = nodes + edges
    version = turn.version
    for name, type, domain, data in zip(request.ids, types, domains, properties, strict=True):
        id, old, _ = graph.resolve(name)
        new = NodeBody(type, domain, data)
        if old is not None:
            new.is_forgotten, new.merged_from = old.is_forgotten, old.merged_from
        graph.store_node(id, new, version, turn.author)
        version += 1
    for name, fields in zip(names, bodies, strict=True):
        graph.store_edge(name, EdgeBody(*fields), version, turn.author)
        version += 1
    return graph_pb2.UpsertGraphResponse(first_version=turn.version, count=turn.items, time_us=turn.time_us)


def merge_nodes(
    turn: Turn, space: Namespace, request: graph_pb2.MergeNodesRequest
) -> graph_pb2.MergeNodesResponse:
    """Makes one node out of two; see `MergeNodesRequest` for what becomes of their edges."""
    graph = space.projection(GraphProjection)
    id, stays, stays_record = _existing(graph, "id", request.id)
    gone_id, goes, goes_record = _existing(graph, "merged", request.merged)
    if id == gone_id:
        raise invalid(f"merged: {request.merged!r} is node {id!r} itself", field="merged")
    merged_from = (*stays.merged_from, *goes.merged_from, (gone_id, goes_record.version))
    if len(merged_from) > MERGED_MAX:
        raise invalid(f"id: {len(merged_from)} ids merged into {id!r}, at most {MERGED_MAX}", field="id")
    edges = _edges(graph, gone_id)
    if len(edges) > ITEMS_MAX - 2:
        raise invalid(
            f"merged: node {gone_id!r} has {len(edges)} edges, at most {ITEMS_MAX - 2} move",
            field="merged",
            limit=str(ITEMS_MAX - 2),
        )
    is_newer = goes_record.version > stays_record.version
    properties = _merged(request, stays.properties, goes.properties, is_newer)
    body = NodeBody(
        stays.type or goes.type,
        stays.domain or goes.domain,
        properties,
        stays.is_forgotten,
        "",
        merged_from,
    )
    graph.store_node(id, body, turn.version, turn.author)
    graph.store_node(gone_id, NodeBody(merged_into=id), turn.version + 1, turn.author)
    response = graph_pb2.MergeNodesResponse(version=turn.version, time_us=turn.time_us, id=id)
    turn.items = 2 + len(edges)
    for item, edge in enumerate(edges, 2):
        if _move(graph, edge, gone_id, id, turn.version + item, turn):
            response.edges_moved += 1
        else:
            response.edges_dropped += 1
    return response


def forget_node(
    turn: Turn, space: Namespace, request: graph_pb2.ForgetNodeRequest
) -> graph_pb2.ForgetNodeResponse:
    """Hides a node from reads, or shows it again."""
    graph = space.projection(GraphProjection)
    id, body, record = graph.resolve(request.id)
    response = graph_pb2.ForgetNodeResponse(time_us=turn.time_us, found=record is not None)
    if body is None or record is None:
        return response
    response.version = record.version
    if body.is_forgotten is request.restore:
        body.is_forgotten = not request.restore
        graph.store_node(id, body, turn.version, turn.author)
        response.version = turn.version
    return response


def _conflicts(request: Any, record: Record | None, response: Any) -> bool:
    """Whether `if_version` does not hold; the response then says so."""
    if not request.HasField("if_version"):
        return False
    current = record.version if record is not None else 0
    if current == request.if_version:
        return False
    response.version = current
    response.conflict = True
    return True


def _existing(graph: GraphProjection, field: str, id: str) -> tuple[str, NodeBody, Record]:
    found, body, record = graph.resolve(id)
    if body is None or record is None:
        raise Refused("NO_SUCH_NODE", f"{field}: there is no node {id!r}", {"field": field, "id": id})
    return found, body, record


def _name_of(graph: GraphProjection, request: graph_pb2.UpsertEdgeRequest) -> str:
    source = _existing(graph, "source", request.source)[0]
    target = _existing(graph, "target", request.target)[0]
    _refuse_separator("type", request.type)
    return edge_name(source, request.type, target)


def _refuse_separator(field: str, text: str) -> None:
    # No call brings one this far. In an edge's name it would be taken for the end of a part.
    if SEPARATOR in text:
        raise invalid(f"{field}: {text!r} has a control character", field=field)


class _Known:
    """Ids that edges may name: those that exist and those that come with them, each looked up once."""

    def __init__(self, graph: GraphProjection, coming: Sequence[str]) -> None:
        self._graph = graph
        self._ids = {}
        for id in coming:
            _refuse_separator("ids", id)
            self._ids[id] = graph.resolve(id)[0]

    def end(self, column: str, item: int, id: str) -> str:
        """Returns the node that an id means; raises Refused where there is none."""
        found = self._ids.get(id)
        if found is None:
            found = self._ids[id] = _existing(self._graph, f"{column}[{item}]", id)[0]
        return found


def _column(name: str, values: Sequence[Any], count: int, default: Any) -> Sequence[Any]:
    """Returns a column of `count` values: those given, the one given for all, or the default for all."""
    if len(values) == count:
        return values
    if len(values) == 1 and isinstance(values[0], str):
        return [values[0]] * count
    if not values and default is not None:
        return [default] * count
    raise invalid(f"{name}: {len(values)} elements for {count} items", field=name)


def _edges(graph: GraphProjection, id: str) -> list[Edge]:
    """Returns all edges of a node, a loop once."""
    out, into = graph.edges_now(id, True), graph.edges_now(id, False)
    return [*out, *(edge for edge in into if edge.source != id)]


def _name(edge: Edge) -> str:
    return edge_name(edge.source, edge.type, edge.target)


def _move(graph: GraphProjection, edge: Edge, old: str, new: str, version: int, turn: Turn) -> bool:
    """Lets an edge of node `old` be one of node `new`; returns False where it only ends."""
    before = _name(edge)
    source, target = (new if end == old else end for end in (edge.source, edge.target))
    after = edge_name(source, edge.type, target)
    joins_the_two = source == target and edge.source != edge.target
    moves = not joins_the_two and graph.edges.head(after) is None
    graph.edges.remove(before, version, turn.author)
    if moves:
        body = EdgeBody(edge.weight, edge.valid_from_us, edge.valid_until_us, edge.properties)
        graph.store_edge(after, body, version, turn.author)
    return moves


def _patched(turn: Turn, properties: bytes, change: bytes) -> bytes:
    turn.copy(len(properties))
    return _bounded(lambda: merging.patch(properties, change))


def _merged(request: graph_pb2.MergeNodesRequest, stays: bytes, goes: bytes, is_newer: bool) -> bytes:
    default = merging.Policy(request.policy or merging.Policy.KEEP)
    policies = {each.field: merging.Policy(each.policy or merging.Policy.KEEP) for each in request.policies}
    return _bounded(lambda: merging.merge(stays, goes, is_newer, default, policies))


def _bounded(make: Callable[[], bytes]) -> bytes:
    try:
        properties = make()
    except merging.MergeError as error:
        raise invalid(f"properties: {error}", field="properties") from None
    if len(properties) > PROPERTIES_BYTES_MAX:
        raise invalid(
            f"properties: they would have {len(properties)} bytes, at most {PROPERTIES_BYTES_MAX}",
            field="properties",
            limit=str(PROPERTIES_BYTES_MAX),
        )
    return properties


HANDLERS: dict[int, Handler] = {
    30: upsert_node,
    31: delete_node,
    32: upsert_edge,
    33: delete_edge,
    34: upsert_graph,
    35: merge_nodes,
    36: forget_node,
}

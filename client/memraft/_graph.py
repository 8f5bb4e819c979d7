"""Between Python values and the messages of the graph and of the index."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from reprlib import repr as shown
from typing import Any, TypedDict

from memraft_proto.v1 import graph_pb2, index_pb2

from . import _json, _wire
from ._moments import when_us
from ._operations import Where, conflict
from .errors import InvalidArgument
from .types import Deleted, Restored, Results, Stored, WrittenMany
from .types_graph import (
    CrossDomainEdge,
    Direction,
    Edge,
    Index,
    MergedInto,
    MergedNode,
    MergePolicy,
    Neighbour,
    Node,
    Path,
    Reached,
    Subgraph,
    Traversal,
)

Properties = Mapping[str, Any] | None

Adjacent = tuple[str, Sequence[Any], str, int, int]
"""(the node's id, its edges, the cursor of the next page, the applied index, its commit time in µs)."""

Contents = tuple[str, int, int]
"""(Markdown, the applied index, its commit time in µs)."""

_DIRECTION = {"out": graph_pb2.DIRECTION_OUT, "in": graph_pb2.DIRECTION_IN, "both": graph_pb2.DIRECTION_BOTH}
_POLICY = {
    "keep": graph_pb2.MERGE_POLICY_KEEP,
    "take": graph_pb2.MERGE_POLICY_TAKE,
    "newest": graph_pb2.MERGE_POLICY_NEWEST,
    "union": graph_pb2.MERGE_POLICY_UNION,
    "max": graph_pb2.MERGE_POLICY_MAX,
    "min": graph_pb2.MERGE_POLICY_MIN,
}


class _NodeRequired(TypedDict):
    id: str


class NodeFields(_NodeRequired, total=False):
    """A node to store with many others."""

    type: str
    domain: str
    properties: Mapping[str, Any]


class _EdgeRequired(TypedDict):
    source: str
    type: str
    target: str


class EdgeFields(_EdgeRequired, total=False):
    """An edge to store with many others."""

    properties: Mapping[str, Any]
    weight: float
    valid_from: datetime
    valid_until: datetime


def properties_json(properties: Properties, name: str = "properties") -> bytes:
    """Returns the JSON text of properties, empty for none. Raises InvalidArgument."""
    if not properties:
        if properties is None or isinstance(properties, Mapping):
            return b""
    elif isinstance(properties, Mapping):
        return _json.encode(properties, name)
    raise InvalidArgument(f"{name} must be a mapping, not {shown(properties)}")


def edge_filter(
    direction: Direction,
    types: str | Iterable[str] | None,
    domain: str,
    valid_at: datetime | None,
    include_forgotten: bool,
) -> graph_pb2.EdgeFilter:
    """Returns which edges a read looks at. Raises InvalidArgument."""
    return _wire.build(
        graph_pb2.EdgeFilter,
        direction=_wire.named(direction, _DIRECTION, "direction"),
        types=_types(types),
        domain=domain,
        valid_at_us=when_us(valid_at, "valid_at"),
        include_forgotten=include_forgotten,
    )


def _types(types: str | Iterable[str] | None) -> list[Any]:
    if types is None:
        return []
    return [types] if isinstance(types, str) else _wire.listed(types, "types", "types")


def put_node(
    where: Where, id: str, properties: Properties, type: str, domain: str, if_version: int | None
) -> graph_pb2.UpsertNodeRequest:
    return _wire.build(
        graph_pb2.UpsertNodeRequest,
        **where,
        id=id,
        type=type,
        domain=domain,
        properties=properties_json(properties),
        if_version=if_version,
    )


def patch_node(
    where: Where, id: str, changes: Properties, type: str | None, domain: str | None, if_version: int | None
) -> graph_pb2.UpsertNodeRequest:
    return _wire.build(
        graph_pb2.UpsertNodeRequest,
        **where,
        id=id,
        type=type,
        domain=domain,
        properties=properties_json(changes, "changes"),
        patch=True,
        if_version=if_version,
    )


def node_done(request: graph_pb2.UpsertNodeRequest, response: graph_pb2.UpsertNodeResponse) -> Stored:
    if response.conflict:
        raise conflict(f"node {request.id!r}", request.if_version, response.version)
    return Stored(
        id=response.id, version=response.version, time_us=response.time_us, created=response.created
    )


def delete_node(where: Where, id: str, detach: bool, if_version: int | None) -> graph_pb2.DeleteNodeRequest:
    return _wire.build(graph_pb2.DeleteNodeRequest, **where, id=id, detach=detach, if_version=if_version)


def delete_node_done(request: graph_pb2.DeleteNodeRequest, response: graph_pb2.DeleteNodeResponse) -> Deleted:
    if response.conflict:
        raise conflict(f"node {request.id!r}", request.if_version, response.version)
    return Deleted(id=request.id, version=response.version, time_us=response.time_us, found=response.found)


def put_edge(
    where: Where,
    source: str,
    type: str,
    target: str,
    properties: Properties,
    weight: float | None,
    valid_from: datetime | None,
    valid_until: datetime | None,
    if_version: int | None,
    *,
    patch: bool,
) -> graph_pb2.UpsertEdgeRequest:
    return _wire.build(
        graph_pb2.UpsertEdgeRequest,
        **where,
        source=source,
        type=type,
        target=target,
        properties=properties_json(properties, "changes" if patch else "properties"),
        patch=patch,
        weight=weight,
        valid_from_us=when_us(valid_from, "valid_from"),
        valid_until_us=when_us(valid_until, "valid_until"),
        if_version=if_version,
    )


def _named_edge(request: Any) -> str:
    return f"{request.source}-[{request.type}]->{request.target}"


def edge_done(request: graph_pb2.UpsertEdgeRequest, response: graph_pb2.UpsertEdgeResponse) -> Stored:
    name = _named_edge(request)
    if response.conflict:
        raise conflict(f"edge {name}", request.if_version, response.version)
    return Stored(id=name, version=response.version, time_us=response.time_us, created=response.created)


def delete_edge(
    where: Where, source: str, type: str, target: str, if_version: int | None
) -> graph_pb2.DeleteEdgeRequest:
    return _wire.build(
        graph_pb2.DeleteEdgeRequest,
        **where,
        source=source,
        type=type,
        target=target,
        if_version=if_version,
    )


def delete_edge_done(request: graph_pb2.DeleteEdgeRequest, response: graph_pb2.DeleteEdgeResponse) -> Deleted:
    name = _named_edge(request)
    if response.conflict:
        raise conflict(f"edge {name}", request.if_version, response.version)
    return Deleted(id=name, version=response.version, time_us=response.time_us, found=response.found)


def put_graph(
    where: Where,
    nodes: Iterable[str | NodeFields],
    edges: Iterable[tuple[str, str, str] | EdgeFields],
) -> graph_pb2.UpsertGraphRequest:
    listed_nodes = _wire.listed(nodes, "nodes", "ids or mappings")
    listed_edges = _wire.listed(edges, "edges", "triples or mappings")
    given_nodes = [_fields(each, ("id",), f"nodes[{i}]") for i, each in enumerate(listed_nodes)]
    given_edges = [_fields(each, _TRIPLE, f"edges[{i}]") for i, each in enumerate(listed_edges)]
    return _wire.build(
        graph_pb2.UpsertGraphRequest,
        **where,
        ids=[each["id"] for each in given_nodes],
        types=_column(given_nodes, "type", ""),
        domains=_column(given_nodes, "domain", ""),
        properties=_json_column(given_nodes, "nodes"),
        sources=[each["source"] for each in given_edges],
        edge_types=[each["type"] for each in given_edges],
        targets=[each["target"] for each in given_edges],
        edge_properties=_json_column(given_edges, "edges"),
        weights=_column(given_edges, "weight", 1.0),
        valid_from_us=_times(given_edges, "valid_from"),
        valid_until_us=_times(given_edges, "valid_until"),
    )


_TRIPLE = ("source", "type", "target")
_NODE_FIELDS = frozenset(("id", "type", "domain", "properties"))
_EDGE_FIELDS = frozenset((*_TRIPLE, "properties", "weight", "valid_from", "valid_until"))


def _fields(given: Any, required: Sequence[str], name: str) -> Mapping[str, Any]:
    """The fields of a node or an edge that may also be given as an id or a triple."""
    if isinstance(given, Mapping):
        known = _NODE_FIELDS if required == ("id",) else _EDGE_FIELDS
        if unknown := [field for field in given if field not in known]:
            raise InvalidArgument(
                f"{name} has no field {shown(unknown[0])}; there are {', '.join(sorted(known))}"
            )
        if missing := [field for field in required if field not in given]:
            raise InvalidArgument(f"{name} has no {missing[0]}")
        return given
    as_parts = required[0] if len(required) == 1 else f"({', '.join(required)})"
    parts = (given,) if isinstance(given, str) else given
    if isinstance(parts, Sequence) and not isinstance(parts, bytes) and len(parts) == len(required):
        return dict(zip(required, parts, strict=True))
    raise InvalidArgument(f"{name} must be a mapping or {as_parts}, not {shown(given)}")


def _column(items: Sequence[Mapping[str, Any]], field: str, default: Any) -> list[Any]:
    return [each.get(field, default) for each in items] if any(field in each for each in items) else []


def _json_column(items: Sequence[Mapping[str, Any]], name: str) -> list[bytes]:
    if not any("properties" in each for each in items):
        return []
    return [
        properties_json(each.get("properties"), f"{name}[{i}].properties") for i, each in enumerate(items)
    ]


def _times(items: Sequence[Mapping[str, Any]], field: str) -> list[int]:
    return [when_us(moment, field) or 0 for moment in _column(items, field, None)]


def put_graph_done(
    _request: graph_pb2.UpsertGraphRequest, response: graph_pb2.UpsertGraphResponse
) -> WrittenMany:
    return WrittenMany(first_version=response.first_version, count=response.count, time_us=response.time_us)


def merge_nodes(
    where: Where, id: str, merged: str, policy: MergePolicy, policies: Mapping[str, MergePolicy] | None
) -> graph_pb2.MergeNodesRequest:
    if policies is not None and not isinstance(policies, Mapping):
        raise InvalidArgument(f"policies must be a mapping, field -> policy, not {shown(policies)}")
    return _wire.build(
        graph_pb2.MergeNodesRequest,
        **where,
        id=id,
        merged=merged,
        policy=_wire.named(policy, _POLICY, "policy"),
        policies=[
            _wire.build(
                graph_pb2.FieldPolicy, field=field, policy=_wire.named(each, _POLICY, f"policies[{field!r}]")
            )
            for field, each in (policies or {}).items()
        ],
    )


def merge_nodes_done(
    _request: graph_pb2.MergeNodesRequest, response: graph_pb2.MergeNodesResponse
) -> MergedInto:
    return MergedInto(
        id=response.id,
        version=response.version,
        time_us=response.time_us,
        edges_moved=response.edges_moved,
        edges_dropped=response.edges_dropped,
    )


def forget_node(where: Where, id: str, restore: bool) -> graph_pb2.ForgetNodeRequest:
    return _wire.build(graph_pb2.ForgetNodeRequest, **where, id=id, restore=restore)


def forget_node_done(request: graph_pb2.ForgetNodeRequest, response: graph_pb2.ForgetNodeResponse) -> Deleted:
    return Deleted(id=request.id, version=response.version, time_us=response.time_us, found=response.found)


def restore_node_done(
    request: graph_pb2.ForgetNodeRequest, response: graph_pb2.ForgetNodeResponse
) -> Restored:
    return Restored(id=request.id, version=response.version, time_us=response.time_us, found=response.found)


def node(found: Any) -> Node:
    """Returns the Node of a `GraphNode` message."""
    written = found.provenance
    return Node(
        id=found.id,
        type=found.type,
        domain=found.domain,
        properties=_json.decode_object(found.properties),
        version=written.version,
        time_us=written.time_us,
        agent=written.agent,
        run=written.run,
        tool=written.tool,
        is_forgotten=found.forgotten,
        merged_from=tuple(MergedNode(id=each.id, version=each.version) for each in found.merged_from),
    )


def _edge_fields(found: Any) -> dict[str, Any]:
    return {
        "type": found.type,
        "properties": _json.decode_object(found.properties),
        "weight": found.weight,
        "valid_from_us": found.valid_from_us,
        "valid_until_us": found.valid_until_us,
        "version": found.version,
    }


def edge(found: Any) -> Edge:
    """Returns the Edge of a `GraphEdge` message."""
    return Edge(source=found.source, target=found.target, **_edge_fields(found))


def nodes(response: Any) -> Results[Node]:
    """Returns the nodes of a `ListNodesResponse`."""
    return _wire.results(response, tuple(map(node, response.nodes)))


def neighbours(id: str, edges: Iterable[Any]) -> tuple[Neighbour, ...]:
    """Returns the neighbours that edges of the node `id` lead to; edges as messages or of this process."""
    decode = _json.decode
    return tuple(
        [
            Neighbour(
                id=each.target if (leaves := each.source == id) else each.source,
                direction="out" if leaves else "in",
                type=each.type,
                properties=decode(each.properties) if each.properties else {},
                weight=each.weight,
                valid_from_us=each.valid_from_us,
                valid_until_us=each.valid_until_us,
                version=each.version,
            )
            for each in edges
        ]
    )


def adjacent(found: Adjacent) -> Results[Neighbour]:
    """Returns what a look-up in this process found."""
    id, edges, next_cursor, log_index, time_us = found
    return Results(items=neighbours(id, edges), log_index=log_index, time_us=time_us, next_cursor=next_cursor)


def traversal(response: graph_pb2.TraverseResponse) -> Traversal:
    """Returns the walk of a `TraverseResponse`."""
    columns = zip(response.ids, response.depths, response.previous, response.types, strict=True)
    return Traversal(
        items=tuple(
            Reached(id=id, depth=depth, previous=previous, type=type) for id, depth, previous, type in columns
        ),
        is_truncated=response.truncated,
        log_index=response.stamp.applied_index,
        time_us=response.stamp.applied_time_us,
    )


def path(response: graph_pb2.ShortestPathResponse) -> Path | None:
    """Returns the path of a `ShortestPathResponse`, None where there is none."""
    if not response.found:
        return None
    return Path(
        ids=tuple(response.ids),
        edges=tuple(map(edge, response.edges)),
        weight=response.weight,
        log_index=response.stamp.applied_index,
        time_us=response.stamp.applied_time_us,
    )


def subgraph(response: graph_pb2.SubgraphResponse) -> Subgraph:
    """Returns the part of the graph of a `SubgraphResponse`."""
    return Subgraph(
        nodes=tuple(map(node, response.nodes)),
        edges=tuple(map(edge, response.edges)),
        is_truncated=response.truncated,
        log_index=response.stamp.applied_index,
        time_us=response.stamp.applied_time_us,
    )


def crossing(response: graph_pb2.CrossDomainEdgesResponse) -> Results[CrossDomainEdge]:
    """Returns the edges of a `CrossDomainEdgesResponse`."""
    columns = zip(response.edges, response.source_domains, response.target_domains, strict=True)
    items = tuple(
        CrossDomainEdge(
            source=each.source,
            target=each.target,
            source_domain=source_domain,
            target_domain=target_domain,
            **_edge_fields(each),
        )
        for each, source_domain, target_domain in columns
    )
    return _wire.results(response, items)


def index(response: index_pb2.GetIndexResponse) -> Index:
    """Returns the table of contents of a `GetIndexResponse`."""
    stamp = response.stamp
    return Index(
        text=response.text,
        tokens=response.tokens,
        log_index=stamp.applied_index,
        time_us=stamp.applied_time_us,
    )


def contents(found: Contents) -> Index:
    """Returns a table of contents that was kept in this process."""
    text, log_index, time_us = found
    return Index(text=text, tokens=-(-len(text) // 4), log_index=log_index, time_us=time_us)

"""Checks of calls on the graph."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import msgspec

from memraft_proto.v1 import graph_pb2
from memraft_server.machine.limits import Limits
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Check
from memraft_server.machine.validate_common import (
    check_count,
    check_json_object,
    check_text,
    check_validity,
)
from memraft_server.machine.validate_vectors import parse_filter
from memraft_server.projections.merging import LEVELS_MAX

POLICIES_MAX = 256


def _properties(field: str, value: bytes, limits: Limits) -> None:
    check_json_object(field, value, limits.properties_bytes_max)
    try:
        decoded = msgspec.json.decode(value) if value else None
    except (msgspec.MsgspecError, RecursionError) as error:  # A number beyond floats is JSON, too.
        raise invalid(f"{field}: {error}", field=field) from None
    if value.count(b"{") + value.count(b"[") > LEVELS_MAX and _levels(decoded) > LEVELS_MAX:
        raise invalid(f"{field}: nested deeper than {LEVELS_MAX} levels", field=field, limit=str(LEVELS_MAX))


def _levels(value: Any) -> int:
    """Returns how deep a decoded JSON value is nested, and stops where it is too deep."""
    level, inner = 0, [value]
    while inner and level <= LEVELS_MAX:
        level += 1
        inner = [
            member
            for each in inner
            if isinstance(each, dict | list)
            for member in (each.values() if isinstance(each, dict) else each)
        ]
    return level


def _weight(field: str, weight: float) -> None:
    if not (isfinite(weight) and weight >= 0):
        raise invalid(f"{field}: {weight}, finite and not negative", field=field)


def _triple(request: Any, limits: Limits) -> None:
    check_text("source", request.source, limits.key_bytes_max)
    check_text("type", request.type, limits.name_bytes_max)
    check_text("target", request.target, limits.key_bytes_max)


def _upsert_node(request: graph_pb2.UpsertNodeRequest, limits: Limits) -> None:
    check_text("id", request.id, limits.key_bytes_max)
    check_text("type", request.type, limits.name_bytes_max, empty=True)
    check_text("domain", request.domain, limits.name_bytes_max, empty=True)
    _properties("properties", request.properties, limits)


def _id(request: Any, limits: Limits) -> None:
    check_text("id", request.id, limits.key_bytes_max)


def _upsert_edge(request: graph_pb2.UpsertEdgeRequest, limits: Limits) -> None:
    _triple(request, limits)
    _properties("properties", request.properties, limits)
    if request.HasField("weight"):
        _weight("weight", request.weight)
    check_validity("", request.valid_from_us, request.valid_until_us)


def _upsert_graph(request: graph_pb2.UpsertGraphRequest, limits: Limits) -> None:
    nodes, edges = len(request.ids), len(request.sources)
    check_count("ids and sources", nodes + edges, limits.items_max, least=1)
    for field, count, for_all in (
        ("types", nodes, True),
        ("domains", nodes, True),
        ("properties", nodes, False),
        ("edge_properties", edges, False),
        ("weights", edges, False),
        ("valid_from_us", edges, False),
        ("valid_until_us", edges, False),
    ):
        _column(field, getattr(request, field), count, for_all, least=0)
    _column("edge_types", request.edge_types, edges, True, least=min(1, edges))
    _column("targets", request.targets, edges, False, least=edges)
    for field, bytes_max, may_be_empty in (
        ("ids", limits.key_bytes_max, False),
        ("types", limits.name_bytes_max, True),
        ("domains", limits.name_bytes_max, True),
        ("sources", limits.key_bytes_max, False),
        ("edge_types", limits.name_bytes_max, False),
        ("targets", limits.key_bytes_max, False),
    ):
        for i, text in enumerate(getattr(request, field)):
            check_text(f"{field}[{i}]", text, bytes_max, empty=may_be_empty)
    for field in ("properties", "edge_properties"):
        for i, value in enumerate(getattr(request, field)):
            _properties(f"{field}[{i}]", value, limits)
    for i, weight in enumerate(request.weights):
        _weight(f"weights[{i}]", weight)
    from_us, until_us = request.valid_from_us, request.valid_until_us
    for i in range(edges if from_us or until_us else 0):
        check_validity(f"[{i}]", from_us[i] if from_us else 0, until_us[i] if until_us else 0)


def _column(field: str, values: Sequence[Any], count: int, for_all: bool, *, least: int) -> None:
    length = len(values)
    if length == count or (length == 1 and for_all and count) or (length == 0 and least == 0):
        return
    wanted = f"{count}, or 1 for all" if for_all else str(count)
    raise invalid(f"{field}: {length} elements, {wanted}{'' if least else ', or none'}", field=field)


def _merge_nodes(request: graph_pb2.MergeNodesRequest, limits: Limits) -> None:
    check_text("id", request.id, limits.key_bytes_max)
    check_text("merged", request.merged, limits.key_bytes_max)
    check_count("policies", len(request.policies), POLICIES_MAX)
    _policy("policy", request.policy)
    for i, each in enumerate(request.policies):
        check_text(f"policies[{i}].field", each.field, limits.properties_bytes_max, empty=True)
        _policy(f"policies[{i}].policy", each.policy)


def _policy(field: str, policy: int) -> None:
    if policy not in graph_pb2.MergePolicy.values():
        raise invalid(f"{field}: {policy}, none of {', '.join(graph_pb2.MergePolicy.keys())}", field=field)


def _which(which: graph_pb2.EdgeFilter, limits: Limits) -> None:
    if which.direction not in graph_pb2.Direction.values():
        raise invalid(
            f"which.direction: {which.direction}, none of {', '.join(graph_pb2.Direction.keys())}",
            field="which.direction",
        )
    check_count("which.types", len(which.types), limits.edge_types_max)
    for i, type_ in enumerate(which.types):
        check_text(f"which.types[{i}]", type_, limits.name_bytes_max)
    check_text("which.domain", which.domain, limits.name_bytes_max, empty=True)


def _neighbours(request: graph_pb2.NeighboursRequest, limits: Limits) -> None:
    check_text("id", request.id, limits.key_bytes_max)
    _which(request.which, limits)
    check_count("limit", request.limit, limits.page_items_max)


def _walk(request: graph_pb2.TraverseRequest | graph_pb2.SubgraphRequest, limits: Limits) -> None:
    check_count("ids", len(request.ids), limits.walk_ids_max, least=1)
    for i, id in enumerate(request.ids):
        check_text(f"ids[{i}]", id, limits.key_bytes_max)
    _which(request.which, limits)
    check_count("depth", request.depth, limits.walk_depth_max)
    check_count("limit", request.limit, limits.page_items_max)


def _shortest_path(request: graph_pb2.ShortestPathRequest, limits: Limits) -> None:
    check_text("source", request.source, limits.key_bytes_max)
    check_text("target", request.target, limits.key_bytes_max)
    _which(request.which, limits)
    check_count("depth", request.depth, limits.walk_depth_max)
    if request.weighted and request.depth:
        raise invalid(f"depth: {request.depth}, but a weighted path is not bounded by edges", field="depth")


def _list_nodes(request: graph_pb2.ListNodesRequest, limits: Limits) -> None:
    check_text("domain", request.domain, limits.name_bytes_max, empty=True)
    check_text("type", request.type, limits.name_bytes_max, empty=True)
    check_text("prefix", request.prefix, limits.key_bytes_max, empty=True)
    parse_filter(request.filter, limits)
    check_count("limit", request.limit, limits.page_items_max)


def _cross_domain_edges(request: graph_pb2.CrossDomainEdgesRequest, limits: Limits) -> None:
    check_text("source_domain", request.source_domain, limits.name_bytes_max, empty=True)
    check_text("target_domain", request.target_domain, limits.name_bytes_max, empty=True)
    check_count("limit", request.limit, limits.page_items_max)


WRITE_CHECKS: dict[int, Check] = {
    30: _upsert_node,
    31: _id,
    32: _upsert_edge,
    33: _triple,
    34: _upsert_graph,
    35: _merge_nodes,
    36: _id,
}
READ_CHECKS: dict[str, Check] = {
    "GetNode": _id,
    "GetEdge": _triple,
    "ListNodes": _list_nodes,
    "Neighbours": _neighbours,
    "Traverse": _walk,
    "ShortestPath": _shortest_path,
    "Subgraph": _walk,
    "CrossDomainEdges": _cross_domain_edges,
}

# Generated from _async/graph.py by scripts/generate_sync.py: edit that one.

"""Nodes, edges and the ways between them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from memraft_proto.v1 import graph_pb2

from .. import _graph, _json, _wire
from .._graph import EdgeFields, NodeFields, Properties
from .._moments import when_us
from ..types import At, Consistency, Deleted, Restored, Results, Stored, WrittenMany
from ..types_graph import (
    CrossDomainEdge,
    Direction,
    Edge,
    MergedInto,
    MergePolicy,
    Neighbour,
    Node,
    Path,
    Subgraph,
    Traversal,
)
from .base import METHOD, Calls


class GraphCalls(Calls):
    """Nodes with properties, each in a domain, and typed edges between them that are read both ways.

    An edge is named by its source, its type and its target. An id that was merged into another node means
    that node in every call.
    """

    def put_node(
        self,
        id: str,
        properties: Properties = None,
        *,
        type: str = "",
        domain: str = "",
        if_version: int | None = None,
    ) -> Stored:
        """Stores a node, or all of one anew. What was forgotten stays so.

        Args:
            id: 1 to 512 bytes of UTF-8 without control characters.
            properties: at most 64 KiB of JSON, 64 levels deep. A number `salience` ranks it in the index.
            type: what it is, such as `person`; at most 128 bytes.
            domain: the part of the world that it belongs to, such as `billing`; at most 128 bytes.
            if_version: store only if the node's version is this one; 0: only if there is none.

        Raises:
            ConflictError: `if_version` did not hold; it carries the current version.
        """
        request = _graph.put_node(self._where, id, properties, type, domain, if_version)
        return _graph.node_done(request, self._link.write(METHOD["UpsertNode"], request))

    def patch_node(
        self,
        id: str,
        changes: Properties = None,
        *,
        type: str | None = None,
        domain: str | None = None,
        if_version: int | None = None,
    ) -> Stored:
        """Changes a node, or stores it if there is none.

        Args:
            id: which one.
            changes: of its properties, as RFC 7396 says: objects are merged, None takes a property away.
            type: None: as it was.
            domain: None: as it was.
            if_version: change only if the node's version is this one.

        Raises:
            ConflictError: `if_version` did not hold; it carries the current version.
        """
        request = _graph.patch_node(self._where, id, changes, type, domain, if_version)
        return _graph.node_done(request, self._link.write(METHOD["UpsertNode"], request))

    def delete_node(self, id: str, *, detach: bool = False, if_version: int | None = None) -> Deleted:
        """Deletes a node. It stays readable with `at=`; `forget_node` only hides one.

        Args:
            id: which one. Deleting an absent one is no error: see `.found`.
            detach: delete its edges, too, up to 9,999.
            if_version: delete only if the node's version is this one.

        Raises:
            NodeHasEdges: it has edges, and `detach` is not given.
            ConflictError: `if_version` did not hold; it carries the current version.
        """
        request = _graph.delete_node(self._where, id, detach, if_version)
        return _graph.delete_node_done(request, self._link.write(METHOD["DeleteNode"], request))

    def put_edge(
        self,
        source: str,
        type: str,
        target: str,
        properties: Properties = None,
        *,
        weight: float | None = None,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        if_version: int | None = None,
    ) -> Stored:
        """Stores an edge between two nodes that exist, or all of one anew.

        Args:
            source: the node that it leaves.
            type: what it says, such as `works_at`; 1 to 128 bytes.
            target: the node that it arrives at.
            properties: at most 64 KiB of JSON.
            weight: what a weighted path pays for it, finite and not negative; None: 1.
            valid_from: it holds in the world from then on; None: it always did.
            valid_until: it holds until before then; None: it has no end.
            if_version: store only if the edge's version is this one; 0: only if there is none.

        Raises:
            NotFound: one of the nodes does not exist.
            ConflictError: `if_version` did not hold; it carries the current version.
        """
        fields = (properties, weight, valid_from, valid_until, if_version)
        request = _graph.put_edge(self._where, source, type, target, *fields, patch=False)
        return _graph.edge_done(request, self._link.write(METHOD["UpsertEdge"], request))

    def patch_edge(
        self,
        source: str,
        type: str,
        target: str,
        changes: Properties = None,
        *,
        weight: float | None = None,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        if_version: int | None = None,
    ) -> Stored:
        """Changes an edge, or stores it if there is none. Arguments as of `put_edge`; None: as it was.

        Args:
            source: the node that it leaves.
            type: what it says.
            target: the node that it arrives at.
            changes: of its properties, as RFC 7396 says.
            weight: what a weighted path pays for it.
            valid_from: it holds in the world from then on.
            valid_until: it holds until before then: how an agent says that something is over.
            if_version: change only if the edge's version is this one.
        """
        fields = (changes, weight, valid_from, valid_until, if_version)
        request = _graph.put_edge(self._where, source, type, target, *fields, patch=True)
        return _graph.edge_done(request, self._link.write(METHOD["UpsertEdge"], request))

    def delete_edge(self, source: str, type: str, target: str, *, if_version: int | None = None) -> Deleted:
        """Deletes an edge. It stays readable with `at=`.

        Args:
            source: the node that it leaves.
            type: what it says.
            target: the node that it arrives at. Deleting an absent edge is no error: see `.found`.
            if_version: delete only if the edge's version is this one.
        """
        request = _graph.delete_edge(self._where, source, type, target, if_version)
        return _graph.delete_edge_done(request, self._link.write(METHOD["DeleteEdge"], request))

    def put_graph(
        self,
        nodes: Iterable[str | NodeFields] = (),
        edges: Iterable[tuple[str, str, str] | EdgeFields] = (),
    ) -> WrittenMany:
        """Stores many nodes and then many edges in one log entry: all of them or, on an error, none.

        Args:
            nodes: ids, or mappings with `id` and, if there are, `type`, `domain`, `properties`.
            edges: (source, type, target), or mappings with these and, if there are, `properties`, `weight`,
                `valid_from`, `valid_until`. With the nodes at most 10,000.

        Raises:
            NotFound: an edge names a node that neither exists nor is among `nodes`.
        """
        request = _graph.put_graph(self._where, nodes, edges)
        return _graph.put_graph_done(request, self._link.write(METHOD["UpsertGraph"], request))

    def merge_nodes(
        self,
        id: str,
        merged: str,
        *,
        policy: MergePolicy = "keep",
        policies: Mapping[str, MergePolicy] | None = None,
    ) -> MergedInto:
        """Makes one node out of two. Edges of the one that goes move to the one that stays.

        Args:
            id: the node that stays.
            merged: the node that goes; its id means the one that stays from then on.
            policy: what becomes of a property that both have: see `types.MergePolicy`.
            policies: property -> policy, where another one holds.

        Raises:
            NotFound: one of them does not exist.
            InvalidArgument: they are the same node, or 9,999 edges or more would have to move.
        """
        request = _graph.merge_nodes(self._where, id, merged, policy, policies)
        return _graph.merge_nodes_done(request, self._link.write(METHOD["MergeNodes"], request))

    def forget_node(self, id: str) -> Deleted:
        """Hides a node and its edges from reads that do not say `include_forgotten`. Its history stays.

        Args:
            id: which one.
        """
        request = _graph.forget_node(self._where, id, False)
        return _graph.forget_node_done(request, self._link.write(METHOD["ForgetNode"], request))

    def restore_node(self, id: str) -> Restored:
        """Shows a forgotten node again; `.found` says whether there is one of this id.

        Args:
            id: which one.
        """
        request = _graph.forget_node(self._where, id, True)
        return _graph.restore_node_done(request, self._link.write(METHOD["ForgetNode"], request))

    def node(
        self,
        id: str,
        *,
        include_forgotten: bool = False,
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Node | None:
        """Reads a node; None where there is none.

        Args:
            id: which one. Of one that was merged into another, the other is returned.
            include_forgotten: read it even if it is forgotten.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        fields = self._from(at, consistency)
        request = _wire.build(graph_pb2.GetNodeRequest, **fields, id=id, include_forgotten=include_forgotten)
        response: graph_pb2.GetNodeResponse = self._link.read(METHOD["GetNode"], request)
        return _graph.node(response.node) if response.HasField("node") else None

    def edge(
        self, source: str, type: str, target: str, *, at: At = None, consistency: Consistency | None = None
    ) -> Edge | None:
        """Reads an edge; None where there is none.

        Args:
            source: the node that it leaves.
            type: what it says.
            target: the node that it arrives at.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        fields = self._from(at, consistency)
        request = _wire.build(graph_pb2.GetEdgeRequest, **fields, source=source, type=type, target=target)
        response: graph_pb2.GetEdgeResponse = self._link.read(METHOD["GetEdge"], request)
        return _graph.edge(response.edge) if response.HasField("edge") else None

    def nodes(
        self,
        *,
        domain: str = "",
        type: str = "",
        prefix: str = "",
        filter: Mapping[str, Any] | None = None,
        include_forgotten: bool = False,
        limit: int = 1000,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[Node]:
        """Lists nodes in the order of their ids.

        Args:
            domain: only nodes of this one; empty: of any.
            type: only nodes of this one; empty: of any.
            prefix: only nodes whose id begins with this.
            filter: over the properties, such as `{"age": {"$gte": 18}}`.
            include_forgotten: forgotten ones, too.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before. A page may be shorter than `limit` and yet not the last.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            graph_pb2.ListNodesRequest,
            **self._from(at, consistency),
            domain=domain,
            type=type,
            prefix=prefix,
            filter=_json.encode_object(filter, "filter"),
            include_forgotten=include_forgotten,
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        return _graph.nodes(self._link.read(METHOD["ListNodes"], request))

    def neighbours(
        self,
        id: str,
        *,
        direction: Direction = "out",
        types: str | Iterable[str] | None = None,
        domain: str = "",
        valid_at: datetime | None = None,
        include_forgotten: bool = False,
        limit: int = 1000,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[Neighbour]:
        """Lists the nodes beside one, and the edges to them: those it points to, then those that point to it.

        Args:
            id: the node. One that does not exist has no neighbours.
            direction: `out`, `in` or `both`.
            types: only edges of this type or these; None: of all.
            domain: only neighbours of this domain; empty: of any.
            valid_at: only edges that hold in the world then; None: whenever.
            include_forgotten: forgotten nodes, too.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before. A page may be shorter than `limit` and yet not the last.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.

        Returns:
            One for each edge, in the order of its type and of the neighbour's id.
        """
        if (
            self._adjacent is not None
            and types is None
            and valid_at is None
            and at is None
            and consistency is None
            and not (domain or cursor or include_forgotten)
        ):
            found = self._adjacent(self._namespace, id, direction, limit)
            if found is not None:
                return _graph.adjacent(found)
        request = _wire.build(
            graph_pb2.NeighboursRequest,
            **self._from(at, consistency),
            id=id,
            which=_graph.edge_filter(direction, types, domain, valid_at, include_forgotten),
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        response: graph_pb2.NeighboursResponse = self._link.read(METHOD["Neighbours"], request)
        return _wire.results(response, _graph.neighbours(response.id, response.edges))

    def traverse(
        self,
        start: str | Iterable[str],
        *,
        depth: int = 1,
        direction: Direction = "out",
        types: str | Iterable[str] | None = None,
        domain: str = "",
        valid_at: datetime | None = None,
        include_forgotten: bool = False,
        limit: int = 1000,
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Traversal:
        """Walks from nodes to their neighbours and on, breadth first.

        Args:
            start: a node, or up to 1,000. What does not exist is passed over.
            depth: how many edges away at most, 1 to 64.
            direction: `out`, `in` or `both`.
            types: only edges of this type or these; None: of all.
            domain: walk only to nodes of this domain; empty: to any.
            valid_at: only edges that hold in the world then; None: whenever.
            include_forgotten: forgotten nodes, too.
            limit: at most this many nodes, 1 to 10,000; the walk also ends at 100,000 edges.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            graph_pb2.TraverseRequest,
            **self._from(at, consistency),
            ids=_ids(start, "start"),
            which=_graph.edge_filter(direction, types, domain, valid_at, include_forgotten),
            depth=_wire.at_least_one(depth, "depth"),
            limit=_wire.at_least_one(limit, "limit"),
        )
        return _graph.traversal(self._link.read(METHOD["Traverse"], request))

    def shortest_path(
        self,
        source: str,
        target: str,
        *,
        weighted: bool = False,
        depth: int | None = None,
        direction: Direction = "out",
        types: str | Iterable[str] | None = None,
        domain: str = "",
        valid_at: datetime | None = None,
        include_forgotten: bool = False,
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Path | None:
        """Finds a path with the fewest edges, or with the least sum of weights; None where there is none.

        Args:
            source: where it begins.
            target: where it ends.
            weighted: the least sum of weights (Dijkstra) instead of the fewest edges.
            depth: how many edges it may have, 1 to 64, where it is not weighted; None: 64.
            direction: `out`, `in` or `both`.
            types: only edges of this type or these; None: of all.
            domain: only over nodes of this domain; empty: of any.
            valid_at: only edges that hold in the world then; None: whenever.
            include_forgotten: over forgotten nodes, too.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.

        Raises:
            InvalidArgument: 100,000 edges did not tell whether there is one.
        """
        request = _wire.build(
            graph_pb2.ShortestPathRequest,
            **self._from(at, consistency),
            source=source,
            target=target,
            which=_graph.edge_filter(direction, types, domain, valid_at, include_forgotten),
            weighted=weighted,
            depth=None if depth is None else _wire.at_least_one(depth, "depth"),
        )
        return _graph.path(self._link.read(METHOD["ShortestPath"], request))

    def subgraph(
        self,
        ids: str | Iterable[str],
        *,
        depth: int = 0,
        direction: Direction = "both",
        types: str | Iterable[str] | None = None,
        domain: str = "",
        valid_at: datetime | None = None,
        include_forgotten: bool = False,
        limit: int = 1000,
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Subgraph:
        """Reads nodes, all around them to a depth, and every edge between what it found.

        Args:
            ids: a node, or up to 1,000. What does not exist is passed over.
            depth: all nodes up to so many edges away, too, 0 to 64.
            direction: which way they are away: `out`, `in` or `both`.
            types: only edges of this type or these; None: of all.
            domain: walk only to nodes of this domain; empty: to any.
            valid_at: only edges that hold in the world then; None: whenever.
            include_forgotten: forgotten nodes, too.
            limit: at most this many nodes, 1 to 10,000.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            graph_pb2.SubgraphRequest,
            **self._from(at, consistency),
            ids=_ids(ids, "ids"),
            which=_graph.edge_filter(direction, types, domain, valid_at, include_forgotten),
            depth=depth,
            limit=_wire.at_least_one(limit, "limit"),
        )
        return _graph.subgraph(self._link.read(METHOD["Subgraph"], request))

    def cross_domain_edges(
        self,
        source_domain: str = "",
        target_domain: str = "",
        *,
        valid_at: datetime | None = None,
        include_forgotten: bool = False,
        limit: int = 1000,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[CrossDomainEdge]:
        """Lists edges whose ends are in different domains, in the order of source, type and target.

        Args:
            source_domain: only edges that leave this one; empty: any.
            target_domain: only edges that arrive in this one; empty: any.
            valid_at: only edges that hold in the world then; None: whenever.
            include_forgotten: edges of forgotten nodes, too.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before. A page may be shorter than `limit` and yet not the last.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            graph_pb2.CrossDomainEdgesRequest,
            **self._from(at, consistency),
            source_domain=source_domain,
            target_domain=target_domain,
            valid_at_us=when_us(valid_at, "valid_at"),
            include_forgotten=include_forgotten,
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        return _graph.crossing(self._link.read(METHOD["CrossDomainEdges"], request))


def _ids(ids: str | Iterable[str], name: str) -> list[Any]:
    return [ids] if isinstance(ids, str) else _wire.listed(ids, name, "ids")

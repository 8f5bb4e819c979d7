"""Walks through a graph: breadth first to a depth, and shortest paths. Bounded by nodes and by edges."""

from __future__ import annotations

from heapq import heappop, heappush

from memraft_server.projections.graph import Edge, GraphProjection, Which, other_end

Step = tuple[str, int, str, str]
"""(id, edges away, the node it was reached from, the type of the edge)."""


class TooFar(Exception):
    """A path was neither found nor ruled out within the edges that a read may look at."""


def breadth_first(
    graph: GraphProjection,
    starts: list[str],
    ceiling: int,
    which: Which,
    depth_max: int,
    nodes_max: int,
    edges_max: int,
) -> tuple[list[Step], bool]:
    """Walks from `starts`, ids of nodes that there are, to what is at most `depth_max` edges away.

    Returns:
        The nodes, nearest first, and whether the walk ended at a bound before it had seen all.
    """
    steps: list[Step] = [(id, 0, "", "") for id in starts[:nodes_max]]
    if len(starts) > nodes_max:
        return steps, True
    seen = set(starts)
    looked = 0
    for id, depth, _, _ in steps:  # It grows meanwhile.
        if depth >= depth_max:
            break
        edges = graph.around(id, ceiling, which)
        looked += len(edges)
        if looked > edges_max:
            return steps, True
        for edge in edges:
            other = other_end(edge, id)
            if other not in seen:
                if len(steps) >= nodes_max:
                    return steps, True
                seen.add(other)
                steps.append((other, depth + 1, id, edge.type))
    return steps, False


def fewest_edges(
    graph: GraphProjection,
    source: str,
    target: str,
    ceiling: int,
    which: Which,
    depth_max: int,
    edges_max: int,
) -> list[Edge] | None:
    """Returns the edges of a path with the fewest of them, None where there is none within `depth_max`.

    Raises:
        TooFar: more than `edges_max` edges would have to be looked at.
    """
    reached: dict[str, tuple[str, Edge] | None] = {source: None}
    front = [source]
    looked = 0
    for _ in range(depth_max):
        if target in reached or not front:
            break
        beyond: list[str] = []
        for id in front:
            edges = graph.around(id, ceiling, which)
            looked += len(edges)
            if looked > edges_max:
                raise TooFar
            for edge in edges:
                other = other_end(edge, id)
                if other not in reached:
                    reached[other] = (id, edge)
                    beyond.append(other)
        front = beyond
    return _back(reached, target) if target in reached else None


def least_weight(
    graph: GraphProjection, source: str, target: str, ceiling: int, which: Which, edges_max: int
) -> list[Edge] | None:
    """Returns the edges of a path with the least sum of weights (Dijkstra), None where there is none.

    Of paths with equal sums one is always taken in the same way. Raises TooFar as `fewest_edges` does.
    """
    reached: dict[str, tuple[str, Edge] | None] = {source: None}
    best = {source: 0.0}
    settled: set[str] = set()
    queue = [(0.0, source)]
    looked = 0
    while queue:
        weight, id = heappop(queue)
        if id in settled:
            continue
        if id == target:
            return _back(reached, target)
        settled.add(id)
        edges = graph.around(id, ceiling, which)
        looked += len(edges)
        if looked > edges_max:
            raise TooFar
        for edge in edges:
            other = other_end(edge, id)
            sum_ = weight + edge.weight
            if other not in settled and sum_ < best.get(other, float("inf")):
                best[other] = sum_
                reached[other] = (id, edge)
                heappush(queue, (sum_, other))
    return None


def _back(reached: dict[str, tuple[str, Edge] | None], target: str) -> list[Edge]:
    edges = []
    step = reached[target]
    while step is not None:
        id, edge = step
        edges.append(edge)
        step = reached[id]
    return edges[::-1]

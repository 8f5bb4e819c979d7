"""A graph with kinds of edges, and cycles in it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable


class Graph:
    """Nodes are numbers from 0; between two there may be one edge of each kind."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.edges: list[dict[int, dict[str, str]]] = [defaultdict(dict) for _ in range(nodes)]

    def add(self, first: int | None, second: int | None, kind: str, label: str) -> None:
        """Adds an edge, unless one end is not known or both are the same."""
        if first is not None and second is not None and first != second:
            self.edges[first][second].setdefault(kind, label)

    def next_nodes(self, node: int, kinds: Collection[str]) -> Iterable[int]:
        """Where edges of these kinds lead to."""
        return [other for other, found in self.edges[node].items() if not found.keys().isdisjoint(kinds)]


def components(nodes: int, next_nodes: Callable[[int], Iterable[int]]) -> list[int]:
    """The strongly connected component of each node (Tarjan 1972), without recursion."""
    index, low, component = [-1] * nodes, [0] * nodes, [-1] * nodes
    stack: list[int] = []
    counter = found = 0
    for root in range(nodes):
        if index[root] >= 0:
            continue
        index[root] = low[root] = counter
        counter += 1
        stack.append(root)
        work = [(root, iter(next_nodes(root)))]
        while work:
            node, others = work[-1]
            for other in others:
                if index[other] < 0:
                    index[other] = low[other] = counter
                    counter += 1
                    stack.append(other)
                    work.append((other, iter(next_nodes(other))))
                    break
                if component[other] < 0:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    while component[node] < 0:
                        component[stack.pop()] = found
                    found += 1
    return component


def find_cycle(
    graph: Graph, kinds: Collection[str], with_one: str | None
) -> list[tuple[int, str, str]] | None:
    """A short cycle of edges of these kinds, begun by an edge of a given kind.

    Args:
        graph: where to look.
        kinds: edges that the rest of the cycle may have.
        with_one: the kind of the first edge; None: any of `kinds`.

    Returns:
        for each node of the cycle (node, kind, label) of the edge that leaves it; None: there is no cycle.
    """
    first_kinds = kinds if with_one is None else (with_one,)
    allowed = {*kinds, *first_kinds}
    component = components(graph.nodes, lambda node: graph.next_nodes(node, allowed))
    for first in range(graph.nodes):
        for second in graph.next_nodes(first, first_kinds):
            if component[first] != component[second]:
                continue
            path = _shortest_path(graph, second, first, kinds)
            if path is not None:
                return _with_edges(graph, [first, *path], first_kinds, kinds)
    return None


def _shortest_path(graph: Graph, start: int, end: int, kinds: Collection[str]) -> list[int] | None:
    """Nodes from start to just before end."""
    came_from = {start: start}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        if node == end:
            path = []
            while node != start:
                node = came_from[node]
                path.append(node)
            return path[::-1]
        for other in graph.next_nodes(node, kinds):
            if other not in came_from:
                came_from[other] = node
                queue.append(other)
    return None


def _with_edges(
    graph: Graph, cycle: list[int], first_kinds: Collection[str], kinds: Collection[str]
) -> list[tuple[int, str, str]]:
    found: list[tuple[int, str, str]] = []
    for position, node in enumerate(cycle):
        edges = graph.edges[node][cycle[(position + 1) % len(cycle)]]
        allowed = first_kinds if position == 0 else kinds
        kind = next(each for each in ("ww", "wr", "rw", "rt") if each in edges and each in allowed)
        found.append((node, kind, edges[kind]))
    return found

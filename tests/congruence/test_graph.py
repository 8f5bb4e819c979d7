"""The graph and the index behave alike on every backend."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from memraft import BatchFailed, ConflictError, InvalidArgument, Memory, NodeHasEdges, NotFound

MAY = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def people(memory: Memory) -> Memory:
    memory.put_graph(
        nodes=[
            {"id": "ann", "type": "person", "domain": "hr", "properties": {"age": 41}},
            {"id": "bob", "type": "person", "domain": "hr"},
            {"id": "acme", "type": "company", "domain": "crm"},
            "nobody",
        ],
        edges=[
            ("ann", "knows", "bob"),
            {"source": "ann", "type": "works_at", "target": "acme", "weight": 0.5, "valid_from": MAY},
            {"source": "bob", "type": "works_at", "target": "acme", "properties": {"role": "dev"}},
        ],
    )
    return memory


def test_nodes_are_stored_patched_read_and_deleted(memory: Memory) -> None:
    made = memory.put_node("n", {"a": {"b": 1}}, type="t", domain="d", if_version=0)
    assert made.created and made.id == "n"
    with pytest.raises(ConflictError, match="node 'n': expected absent, found version"):
        memory.put_node("n", if_version=0)
    memory.scoped(run="r", tool="crm").patch_node("n", {"a": {"b": None, "c": [1]}, "x": "y"})
    node = memory.node("n")
    assert node is not None
    assert (node.type, node.domain, node.properties) == ("t", "d", {"a": {"c": [1]}, "x": "y"})
    assert (node.agent, node.run, node.tool) == ("support", "r", "crm")
    assert memory.node("n", at=made.log_index).properties == {"a": {"b": 1}}  # type: ignore[union-attr]
    assert memory.node("n", at=made.at).version == made.version  # type: ignore[union-attr]
    assert memory.delete_node("n").found and not memory.delete_node("n").found
    assert memory.node("n") is None


def test_neighbours_are_found_both_ways_by_type_domain_and_time(people: Memory) -> None:
    found = people.neighbours("ann")
    assert [(each.id, each.type, each.direction) for each in found] == [
        ("bob", "knows", "out"),
        ("acme", "works_at", "out"),
    ]
    assert (found[1].weight, found[1].valid_from, found[1].valid_until) == (0.5, MAY, None)
    assert [each.id for each in people.neighbours("acme", direction="in")] == ["ann", "bob"]
    assert [each.id for each in people.neighbours("bob", direction="both")] == ["acme", "ann"]
    assert people.neighbours("bob")[0].properties == {"role": "dev"}
    assert [each.id for each in people.neighbours("ann", types="knows")] == ["bob"]
    assert [each.id for each in people.neighbours("ann", domain="crm")] == ["acme"]
    assert len(people.neighbours("ann", valid_at=MAY - timedelta(days=1))) == 1
    assert len(people.neighbours("ann", valid_at=MAY)) == 2
    assert not people.neighbours("unknown") and not people.neighbours("nobody")
    page = people.neighbours("ann", limit=1)
    assert [each.id for each in people.neighbours("ann", limit=1, cursor=page.next_cursor)] == ["acme"]
    for direction in ("out", "in", "both"):  # The way without messages, and the one with them.
        same = people.neighbours("bob", direction=direction, consistency="linearizable")  # type: ignore[arg-type]
        assert people.neighbours("bob", direction=direction).items == same.items  # type: ignore[arg-type]


def test_edges_end_and_are_read_in_the_past(people: Memory) -> None:
    before = people.edge("ann", "works_at", "acme")
    assert before is not None
    over = people.patch_edge("ann", "works_at", "acme", {"why": "left"}, valid_until=MAY + timedelta(days=9))
    edge = people.edge("ann", "works_at", "acme")
    assert edge is not None
    assert (edge.properties, edge.weight, edge.valid_from) == ({"why": "left"}, 0.5, MAY)
    assert not over.created and over.id == "ann-[works_at]->acme"
    assert people.edge("ann", "works_at", "acme", at=before.log_index) == before
    late = MAY + timedelta(days=10)
    assert len(people.neighbours("acme", direction="in", valid_at=late)) == 1
    assert len(people.neighbours("acme", direction="in", valid_at=late, at=before.log_index)) == 2
    assert people.delete_edge("ann", "works_at", "acme").found
    assert people.edge("ann", "works_at", "acme") is None


def test_walks_paths_and_subgraphs(people: Memory) -> None:
    walk = people.traverse("ann", depth=2, direction="both")
    assert [(each.id, each.depth) for each in walk] == [("ann", 0), ("bob", 1), ("acme", 1)]
    path = people.shortest_path("bob", "ann", direction="both", types="works_at")
    assert path is not None and path.ids == ("bob", "acme", "ann") and path.weight == 1.5
    cheap = people.shortest_path("ann", "bob", direction="both", weighted=True)
    assert cheap is not None and cheap.ids == ("ann", "bob")
    assert people.shortest_path("ann", "nobody") is None
    part = people.subgraph("acme", depth=1)
    assert [each.id for each in part.nodes] == ["acme", "ann", "bob"] and len(part.edges) == 3
    assert not part.is_truncated
    assert [each.id for each in people.subgraph(["ann", "bob"]).nodes] == ["ann", "bob"]
    crossing = people.cross_domain_edges("hr", "crm")
    assert [(each.source, each.target_domain) for each in crossing] == [("ann", "crm"), ("bob", "crm")]
    assert [each.id for each in people.nodes(type="person", filter={"age": {"$gt": 40}})] == ["ann"]


def test_a_merge_says_where_things_came_from(people: Memory) -> None:
    people.put_node("anne", {"age": 42, "mail": ["a@x"]}, domain="hr")
    people.put_edge("anne", "knows", "acme")
    merged = people.merge_nodes("ann", "anne", policies={"age": "max"})
    assert (merged.id, merged.edges_moved) == ("ann", 1)
    node = people.node("anne")
    assert node is not None and node.properties == {"age": 42, "mail": ["a@x"]}
    assert [each.id for each in node.merged_from] == ["anne"]
    assert [each.id for each in people.neighbours("anne", types="knows")] == ["acme", "bob"]
    assert people.node("anne", at=merged.log_index - 1).id == "anne"  # type: ignore[union-attr]


def test_what_is_forgotten_is_hidden(people: Memory) -> None:
    assert people.forget_node("acme").found
    assert people.node("acme") is None and len(people.neighbours("ann")) == 1
    assert people.node("acme", include_forgotten=True).is_forgotten  # type: ignore[union-attr]
    people.restore_node("acme")
    assert people.node("acme") is not None and len(people.neighbours("ann")) == 2


def test_the_index_is_the_same_by_every_way(people: Memory) -> None:
    people.put("order:1", {})
    index = people.index()
    assert str(index).startswith(f"# {people.namespace}\n") and "## hr: 2 nodes" in index.text
    assert "hr → crm: 2 edges (works_at 2)" in index.text and "`order:` 1" in index.text
    again = people.index()
    assert (again.text, again.tokens) == (index.text, index.tokens)
    assert (
        people.index(consistency="linearizable").text == people.index(at=index.log_index).text == index.text
    )
    assert people.index(tokens=500).tokens <= 500
    with pytest.raises(InvalidArgument, match="tokens: 499, from 500 to 2000"):
        people.index(tokens=499)


def test_a_fork_has_a_graph_of_its_own(people: Memory) -> None:
    fork = people.fork("what-if")
    people.delete_edge("ann", "knows", "bob")
    fork.put_edge("bob", "knows", "ann")
    fork.delete_node("acme", detach=True)
    fork.put_node("new", domain="hr")
    assert [each.id for each in people.neighbours("ann", direction="both")] == ["acme"]
    both = fork.neighbours("ann", direction="both")
    assert [(each.id, each.direction) for each in both] == [("bob", "out"), ("bob", "in")]
    assert [each.id for each in fork.nodes()] == ["ann", "bob", "new", "nobody"]
    assert fork.shortest_path("ann", "acme") is None
    assert "## hr: 3 nodes" in fork.index().text and "## hr: 2 nodes" in people.index().text
    inner = fork.fork("deeper")
    inner.merge_nodes("bob", "ann")
    assert inner.node("ann").id == "bob" and fork.node("ann").id == "ann"  # type: ignore[union-attr]
    assert not inner.neighbours("bob", direction="both")


def test_a_batch_takes_all_of_it(memory: Memory) -> None:
    with memory.batch() as b:
        b.put_node("a", {"n": 1})
        b.patch_node("b", {"n": 2})
        b.put_edge("a", "t", "b", weight=2)
        b.patch_edge("a", "t", "b", {"x": 1})
        b.put_graph(nodes=["c", "d"], edges=[("c", "t", "a")])
        b.merge_nodes("c", "d")
        b.forget_node("b")
        b.restore_node("b")
        b.delete_edge("c", "t", "a")
        b.delete_node("c")
    assert memory.edge("a", "t", "b").weight == 2  # type: ignore[union-attr]
    assert [each.id for each in memory.nodes()] == ["a", "b"]
    with pytest.raises(BatchFailed, match="there is no node 'x'"), memory.batch() as b:
        b.put_edge("a", "t", "x")


@pytest.mark.parametrize(
    ("error", "says", "call"),
    [
        (NotFound, "target: there is no node 'gone'", lambda m: m.put_edge("ann", "t", "gone")),
        (
            NotFound,
            r"sources\[0\]: there is no node 'gone'",
            lambda m: m.put_graph([], [("gone", "t", "ann")]),
        ),
        (NotFound, "merged: there is no node 'gone'", lambda m: m.merge_nodes("ann", "gone")),
        (NodeHasEdges, "node 'ann' has 2 edges", lambda m: m.delete_node("ann")),
        (InvalidArgument, "weight: -1", lambda m: m.put_edge("ann", "t", "bob", weight=-1)),
        (InvalidArgument, "direction must be one of", lambda m: m.neighbours("ann", direction="up")),
        (InvalidArgument, "id: missing", lambda m: m.neighbours("")),
        (InvalidArgument, "id must be", lambda m: m.neighbours(7)),
        (InvalidArgument, "valid_at must be an aware", lambda m: m.neighbours("ann", valid_at=7)),
        (InvalidArgument, "properties must be a mapping", lambda m: m.put_node("ann", [1])),
        (InvalidArgument, r"nodes\[0\] has no field 'kind'", lambda m: m.put_graph([{"id": "a", "kind": 1}])),
        (
            InvalidArgument,
            r"edges\[0\] must be a mapping or \(source, type, target\), not",
            lambda m: m.put_graph([], [("a", "b")]),
        ),
        (InvalidArgument, r"nodes\[0\] must be a mapping or id, not 7", lambda m: m.put_graph([7])),
        (
            InvalidArgument,
            "nodes must be a sequence of ids or mappings, not a str",
            lambda m: m.put_graph("ann"),
        ),
        (InvalidArgument, "edges must be a sequence of triples", lambda m: m.put_graph([], None)),
        (InvalidArgument, "policy must be one of", lambda m: m.merge_nodes("ann", "bob", policy="best")),
        (InvalidArgument, "cursor: not the next_cursor", lambda m: m.nodes(cursor="x")),
    ],
)
def test_what_is_off_is_refused_by_name(
    people: Memory, error: type[Exception], says: str, call: Callable[[Memory], object]
) -> None:
    with pytest.raises(error, match=says):
        call(people)

"""The graph: nodes, edges both ways, validity, forgetting, merging, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from memraft_proto.v1 import batch_pb2, graph_pb2
from memraft_server.machine import Limits, Refused
from tests.unit.machine.harness import NAMESPACE, Shard

OUT, IN, BOTH = graph_pb2.DIRECTION_OUT, graph_pb2.DIRECTION_IN, graph_pb2.DIRECTION_BOTH


def node(id: str, **more: Any) -> graph_pb2.UpsertNodeRequest:
    return graph_pb2.UpsertNodeRequest(namespace=NAMESPACE, id=id, **more)


def edge(source: str, type: str, target: str, **more: Any) -> graph_pb2.UpsertEdgeRequest:
    return graph_pb2.UpsertEdgeRequest(namespace=NAMESPACE, source=source, type=type, target=target, **more)


def graph(shard: Shard, edges: str, **domains: str) -> None:
    """Stores edges such as `a-knows>b`, and the nodes that they need."""
    parsed = [(each.partition("-")[0], *each.partition("-")[2].split(">")) for each in edges.split()]
    ids = list(dict.fromkeys(id for source, _, target in parsed for id in (source, target)))
    shard.write(
        graph_pb2.UpsertGraphRequest(
            namespace=NAMESPACE,
            ids=ids,
            domains=[domains.get(id, "") for id in ids],
            sources=[each[0] for each in parsed],
            edge_types=[each[1] for each in parsed],
            targets=[each[2] for each in parsed],
        )
    )


def text(edge: Any) -> str:
    return f"{edge.source}-{edge.type}>{edge.target}"


def around(
    shard: Shard, id: str, direction: int = OUT, at_index: int | None = None, **which: Any
) -> list[str]:
    request = graph_pb2.NeighboursRequest(
        namespace=NAMESPACE, id=id, which=graph_pb2.EdgeFilter(direction=direction, **which)
    )
    return [text(each) for each in shard.read(request, at_index=at_index).edges]


def get(shard: Shard, id: str, **more: Any) -> Any:
    at_index = more.pop("at_index", None)
    answer = shard.read(graph_pb2.GetNodeRequest(namespace=NAMESPACE, id=id, **more), at_index=at_index)
    return answer.node if answer.HasField("node") else None


def test_a_node_is_read_as_it_was_stored_changed_and_deleted() -> None:
    shard = Shard()
    first = shard.write(node("ann", type="person", domain="hr", properties=b'{"age": 41, "a": {"b": 1}}'))
    assert (first.created, first.id, first.version) == (True, "ann", 1 << 20)
    patched = shard.write(node("ann", patch=True, domain="it", properties=b'{"age": null, "a": {"c": 2.50}}'))
    assert not patched.created
    found = get(shard, "ann")
    assert (found.type, found.domain, found.properties) == ("person", "it", b'{"a":{"b":1,"c":2.50}}')
    assert found.provenance.agent == "alice"
    shard.write(node("ann"))
    assert (get(shard, "ann").type, get(shard, "ann").properties) == ("", b"")
    assert shard.write(graph_pb2.DeleteNodeRequest(namespace=NAMESPACE, id="ann")).found
    assert get(shard, "ann") is None
    assert get(shard, "ann", at_index=2).domain == "it"
    assert get(shard, "ann", at_index=1).properties == b'{"age": 41, "a": {"b": 1}}'


def test_conditions_on_versions_are_replies() -> None:
    shard = Shard()
    first = shard.write(node("a", if_version=0))
    again = shard.write(node("a", if_version=0))
    assert (again.conflict, again.version) == (True, first.version)
    shard.write(node("b"))
    made = shard.write(edge("a", "t", "b", if_version=0))
    assert (made.conflict, made.created) == (False, True)
    assert shard.write(edge("a", "t", "b", if_version=7)).version == made.version
    gone = graph_pb2.DeleteEdgeRequest(namespace=NAMESPACE, source="a", type="t", target="b", if_version=7)
    assert shard.write(gone).conflict
    assert shard.write(graph_pb2.DeleteNodeRequest(namespace=NAMESPACE, id="a", if_version=3)).conflict


def test_edges_are_found_from_both_ends_in_order_of_type_and_end() -> None:
    shard = Shard()
    graph(shard, "a-knows>c a-knows>b a-hates>d b-knows>a a-knows>a")
    assert around(shard, "a") == ["a-hates>d", "a-knows>a", "a-knows>b", "a-knows>c"]
    assert around(shard, "a", IN) == ["a-knows>a", "b-knows>a"]
    assert around(shard, "a", BOTH) == [*around(shard, "a"), "b-knows>a"]
    assert around(shard, "a", types=["hates", "none"]) == ["a-hates>d"]
    assert around(shard, "d") == around(shard, "unknown") == []


def test_an_edge_needs_both_its_nodes() -> None:
    shard = Shard()
    shard.write(node("a"))
    for request, field in ((edge("a", "t", "b"), "target"), (edge("b", "t", "a"), "source")):
        with pytest.raises(Refused, match=f"{field}: there is no node 'b'") as refused:
            shard.write(request)
        assert refused.value.reason == "NO_SUCH_NODE"
    many = graph_pb2.UpsertGraphRequest(
        namespace=NAMESPACE, ids=["c"], sources=["a", "c"], edge_types=["t"], targets=["c", "x"]
    )
    with pytest.raises(Refused, match=r"targets\[1\]: there is no node 'x'"):
        shard.write(many)
    assert get(shard, "c") is None  # all or none


def test_the_past_has_the_edges_that_there_were() -> None:
    shard = Shard()
    graph(shard, "a-t>b a-t>c")
    shard.write(graph_pb2.DeleteEdgeRequest(namespace=NAMESPACE, source="a", type="t", target="b"))
    shard.write(edge("a", "t", "c", weight=3))
    shard.write(edge("a", "s", "b"))
    shard.write(edge("a", "t", "b"))
    assert [around(shard, "a", at_index=index) for index in range(6)] == [
        [],
        ["a-t>b", "a-t>c"],
        ["a-t>c"],
        ["a-t>c"],
        ["a-s>b", "a-t>c"],
        ["a-s>b", "a-t>b", "a-t>c"],
    ]
    assert around(shard, "b", IN, at_index=4) == ["a-s>b"]
    request = graph_pb2.GetEdgeRequest(namespace=NAMESPACE, source="a", type="t", target="c")
    assert shard.read(request).edge.weight == 3
    assert shard.read(request, at_index=2).edge.weight == 1
    assert not shard.read(request, at_index=0).HasField("edge")


def test_edges_hold_in_the_world_from_and_until() -> None:
    shard = Shard()
    graph(shard, "a-always>b")
    shard.write(edge("a", "once", "b", valid_from_us=100, valid_until_us=200))
    shard.write(edge("a", "since", "b", valid_from_us=150))
    held = [around(shard, "a", valid_at_us=time_us) for time_us in (99, 100, 150, 199, 200)]
    assert [[each.split("-")[1].split(">")[0] for each in edges] for edges in held] == [
        ["always"],
        ["always", "once"],
        ["always", "once", "since"],
        ["always", "once", "since"],
        ["always", "since"],
    ]
    assert len(around(shard, "a")) == 3
    shard.write(edge("a", "since", "b", patch=True, valid_until_us=160))
    assert len(around(shard, "a", valid_at_us=170)) == 2
    assert len(around(shard, "a", valid_at_us=170, at_index=3)) == 3  # as it was known then
    with pytest.raises(
        Refused, match=r"valid_until_us: .*00\.000150Z is not after valid_from_us: .*00\.000150Z"
    ):
        shard.write(edge("a", "since", "b", patch=True, valid_until_us=150))


def test_a_node_with_edges_goes_only_with_them() -> None:
    shard = Shard()
    graph(shard, "a-t>b b-t>a a-t>a b-t>c")
    with pytest.raises(Refused, match="node 'a' has 3 edges; delete them first") as refused:
        shard.write(graph_pb2.DeleteNodeRequest(namespace=NAMESPACE, id="a"))
    assert refused.value.reason == "NODE_HAS_EDGES"
    gone = shard.write(graph_pb2.DeleteNodeRequest(namespace=NAMESPACE, id="a", detach=True))
    assert (gone.found, gone.edges_deleted) == (True, 3)
    assert around(shard, "b", BOTH) == ["b-t>c"]
    assert around(shard, "a", BOTH, at_index=1) == ["a-t>a", "a-t>b", "b-t>a"]


def test_what_is_forgotten_is_hidden_with_its_edges_and_comes_back() -> None:
    shard = Shard()
    graph(shard, "a-t>b b-t>c")
    assert shard.write(graph_pb2.ForgetNodeRequest(namespace=NAMESPACE, id="b")).found
    assert get(shard, "b") is None and around(shard, "a") == around(shard, "b") == []
    assert get(shard, "b", include_forgotten=True).forgotten
    assert around(shard, "a", include_forgotten=True) == ["a-t>b"]
    assert around(shard, "a", at_index=1) == ["a-t>b"]
    shard.write(node("b", type="new"))
    assert get(shard, "b") is None  # whoever stores it again does not know that it is to be forgotten
    listed = graph_pb2.ListNodesRequest(namespace=NAMESPACE)
    assert [each.id for each in shard.read(listed).nodes] == ["a", "c"]
    shard.write(graph_pb2.ForgetNodeRequest(namespace=NAMESPACE, id="b", restore=True))
    assert get(shard, "b").type == "new" and around(shard, "b") == ["b-t>c"]
    assert not shard.write(graph_pb2.ForgetNodeRequest(namespace=NAMESPACE, id="x")).found


POLICIES = (
    (graph_pb2.MERGE_POLICY_KEEP, b'{"n":1,"l":[1,2],"only":0,"s":"b","more":{}}'),
    (graph_pb2.MERGE_POLICY_TAKE, b'{"n":2.0,"l":[2,3],"only":0,"s":"a","more":{}}'),
    (graph_pb2.MERGE_POLICY_NEWEST, b'{"n":2.0,"l":[2,3],"only":0,"s":"a","more":{}}'),
    (graph_pb2.MERGE_POLICY_UNION, b'{"n":[1,2.0],"l":[1,2,3],"only":0,"s":["b","a"],"more":{}}'),
    (graph_pb2.MERGE_POLICY_MAX, b'{"n":2.0,"l":[1,2],"only":0,"s":"b","more":{}}'),
    (graph_pb2.MERGE_POLICY_MIN, b'{"n":1,"l":[1,2],"only":0,"s":"a","more":{}}'),
)


@pytest.mark.parametrize(("policy", "expected"), POLICIES)
def test_properties_are_merged_by_policy(policy: int, expected: bytes) -> None:
    shard = Shard()
    shard.write(node("stays", properties=b'{"n": 1, "l": [1,2], "only": 0, "s": "b"}'))
    shard.write(node("goes", type="person", properties=b'{"n": 2.0, "l": [2,3], "s": "a", "more": {}}'))
    merged = graph_pb2.MergeNodesRequest(namespace=NAMESPACE, id="stays", merged="goes", policy=policy)
    shard.write(merged)
    found = get(shard, "goes")
    assert (found.id, found.type, found.properties) == ("stays", "person", expected)


def test_a_field_may_have_a_policy_of_its_own() -> None:
    shard = Shard()
    shard.write(node("stays", properties=b'{"n":1,"m":1}'))
    shard.write(node("goes", properties=b'{"n":2,"m":2}'))
    policies = [graph_pb2.FieldPolicy(field="n", policy=graph_pb2.MERGE_POLICY_TAKE)]
    request = graph_pb2.MergeNodesRequest(namespace=NAMESPACE, id="stays", merged="goes", policies=policies)
    shard.write(request)
    assert get(shard, "stays").properties == b'{"n":2,"m":1}'


def test_a_merge_moves_edges_and_keeps_where_things_came_from() -> None:
    shard = Shard()
    graph(shard, "old-t>x x-t>old old-t>new old-s>old new-t>x z-t>old")
    shard.write(node("older"))
    shard.write(graph_pb2.MergeNodesRequest(namespace=NAMESPACE, id="old", merged="older"))
    merged = shard.write(graph_pb2.MergeNodesRequest(namespace=NAMESPACE, id="new", merged="old"))
    assert (merged.id, merged.edges_moved, merged.edges_dropped) == ("new", 3, 2)
    expected = ["new-s>new", "new-t>x", "x-t>new", "z-t>new"]
    for id in ("new", "old", "older"):
        assert around(shard, id, BOTH) == expected
        found = get(shard, id)
        assert found.id == "new" and [each.id for each in found.merged_from] == ["older", "old"]
    assert around(shard, "old", at_index=1) == ["old-s>old", "old-t>new", "old-t>x"]
    assert get(shard, "old", at_index=1).id == "old"
    # A write under an old id is one to the node that it means.
    assert shard.write(node("older", patch=True, properties=b'{"n":1}')).id == "new"
    shard.write(edge("old", "u", "x"))
    assert "new-u>x" in around(shard, "new")
    with pytest.raises(Refused, match="'old' is node 'new' itself"):
        shard.write(graph_pb2.MergeNodesRequest(namespace=NAMESPACE, id="new", merged="old"))
    with pytest.raises(Refused, match="merged: there is no node 'nobody'"):
        shard.write(graph_pb2.MergeNodesRequest(namespace=NAMESPACE, id="new", merged="nobody"))


def test_an_id_whose_node_is_gone_can_be_one_again() -> None:
    shard = Shard()
    for id in ("a", "b"):
        shard.write(node(id))
    shard.write(graph_pb2.MergeNodesRequest(namespace=NAMESPACE, id="b", merged="a"))
    shard.write(graph_pb2.DeleteNodeRequest(namespace=NAMESPACE, id="a"))
    assert get(shard, "a") is None and get(shard, "b") is None
    assert shard.write(node("a")).id == "a"
    assert get(shard, "b") is None


def test_walks_go_breadth_first_and_stop_at_their_bounds() -> None:
    shard = Shard()
    graph(shard, "a-t>b a-t>c b-t>d c-t>d d-t>e e-t>a", d="deep")

    def walk(**more: Any) -> Any:
        return shard.read(graph_pb2.TraverseRequest(namespace=NAMESPACE, ids=["a", "gone"], **more))

    assert list(walk(depth=2).ids) == ["a", "b", "c", "d"]
    found = walk(depth=9)
    assert list(zip(found.ids, found.depths, found.previous, found.types, strict=True)) == [
        ("a", 0, "", ""),
        ("b", 1, "a", "t"),
        ("c", 1, "a", "t"),
        ("d", 2, "b", "t"),
        ("e", 3, "d", "t"),
    ]
    assert not found.truncated
    assert (list(walk(depth=9, limit=3).ids), walk(depth=9, limit=3).truncated) == (["a", "b", "c"], True)
    assert list(walk(depth=1, which=graph_pb2.EdgeFilter(direction=IN)).ids) == ["a", "e"]
    assert list(walk(which=graph_pb2.EdgeFilter(domain="deep")).ids) == ["a"]
    narrow = Shard(Limits(walk_edges_max=2))
    graph(narrow, "a-t>b a-t>c b-t>d")
    assert narrow.read(graph_pb2.TraverseRequest(namespace=NAMESPACE, ids=["a"], depth=2)).truncated


def path(shard: Shard, source: str, target: str, **more: Any) -> list[str] | None:
    request = graph_pb2.ShortestPathRequest(namespace=NAMESPACE, source=source, target=target, **more)
    answer = shard.read(request)
    return list(answer.ids) if answer.found else None


def test_paths_have_the_fewest_edges_or_the_least_weight() -> None:
    shard = Shard()
    graph(shard, "a-t>b b-t>c c-t>d a-u>d x-t>a")
    shard.write(edge("a", "u", "d", weight=3.5))
    assert path(shard, "a", "d") == ["a", "d"]
    assert path(shard, "a", "d", weighted=True) == ["a", "b", "c", "d"]
    assert path(shard, "a", "d", which=graph_pb2.EdgeFilter(types=["t"])) == ["a", "b", "c", "d"]
    assert path(shard, "a", "d", which=graph_pb2.EdgeFilter(types=["t"]), depth=2) is None
    assert path(shard, "d", "x") is None
    assert path(shard, "d", "x", which=graph_pb2.EdgeFilter(direction=BOTH)) == ["d", "a", "x"]
    assert path(shard, "a", "a") == ["a"] and path(shard, "a", "nobody") is None
    narrow = Shard(Limits(walk_edges_max=2))
    graph(narrow, "a-t>b b-t>c c-t>d")
    for weighted in (False, True):
        with pytest.raises(
            Refused, match="after 2 edges node 'd' was neither reached from 'a' nor ruled out"
        ):
            path(narrow, "a", "d", weighted=weighted)


def test_a_subgraph_has_all_edges_between_its_nodes() -> None:
    shard = Shard()
    graph(shard, "a-t>b b-t>c c-t>a c-t>d d-u>a")

    def sub(**more: Any) -> tuple[list[str], list[str], bool]:
        answer = shard.read(graph_pb2.SubgraphRequest(namespace=NAMESPACE, **more))
        return [each.id for each in answer.nodes], [text(each) for each in answer.edges], answer.truncated

    assert sub(ids=["a", "c", "x"]) == (["a", "c"], ["c-t>a"], False)
    assert sub(ids=["a"], depth=1) == (["a", "b"], ["a-t>b"], False)
    nodes, edges, _ = sub(ids=["a"], depth=3)
    assert nodes == ["a", "b", "c", "d"] and len(edges) == 5
    assert sub(ids=["a"], depth=3, limit=2)[2]


def test_edges_between_domains_follow_their_nodes() -> None:
    shard = Shard()
    graph(shard, "a-t>b b-t>c c-t>a n-t>a", a="hr", b="it", c="it")

    def crossing(at_index: int | None = None, **more: Any) -> list[str]:
        request = graph_pb2.CrossDomainEdgesRequest(namespace=NAMESPACE, **more)
        answer = shard.read(request, at_index=at_index)
        return [text(each) for each in answer.edges]

    assert crossing() == ["a-t>b", "c-t>a"]
    assert crossing(source_domain="hr") == ["a-t>b"]
    shard.write(node("b", domain="hr"))
    assert crossing() == ["b-t>c", "c-t>a"]
    assert crossing(at_index=1) == ["a-t>b", "c-t>a"]
    shard.write(graph_pb2.ForgetNodeRequest(namespace=NAMESPACE, id="a"))
    assert crossing() == ["b-t>c"] and len(crossing(include_forgotten=True)) == 2


def test_lists_come_in_pages_whose_cursors_are_of_their_query() -> None:
    shard = Shard()
    ids = [f"n{number:02}" for number in range(10)]
    shard.write(
        graph_pb2.UpsertGraphRequest(
            namespace=NAMESPACE,
            ids=["hub", *ids],
            domains=["", *["even", "odd"] * 5],
            properties=[b"", *(b'{"n":%d}' % number for number in range(10))],
            sources=["hub"] * 10,
            edge_types=["t"],
            targets=ids,
        )
    )

    def pages(request: Any) -> list[str]:
        found: list[str] = []
        while True:
            page = shard.read(request)
            found += (
                [each.id for each in page.nodes]
                if hasattr(page, "nodes")
                else [each.target for each in page.edges]
            )
            if not page.next_cursor:
                return found
            request.cursor = page.next_cursor

    assert pages(graph_pb2.ListNodesRequest(namespace=NAMESPACE, prefix="n", limit=3)) == ids
    odd = graph_pb2.ListNodesRequest(namespace=NAMESPACE, domain="odd", filter=b'{"n": {"$gt": 4}}', limit=2)
    assert pages(odd) == ["n05", "n07", "n09"]
    hub = graph_pb2.NeighboursRequest(namespace=NAMESPACE, id="hub", limit=4)
    assert pages(hub) == ids
    hub.which.types.append("t")
    with pytest.raises(Refused, match="cursor: not the next_cursor"):
        shard.read(hub)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (node(""), "id: missing"),
        (node("a\1b"), "id: .* control character"),
        (node("a", properties=b"[1]"), "properties: a JSON object"),
        (node("a", properties=b'{"a":1e999}'), "properties: Number out of range"),
        (node("a", properties=b'{"a":' * 65 + b"1" + b"}" * 65), "properties: nested deeper than 64"),
        (node("a", domain="x" * 129), "domain: 129 bytes, at most 128"),
        (edge("a", "", "b"), "type: missing"),
        (edge("a", "t", "b", weight=-1), "weight: -1.0, finite and not negative"),
        (edge("a", "t", "b", weight=float("nan")), "weight: nan"),
        (
            edge("a", "t", "b", valid_from_us=5, valid_until_us=5),
            "valid_until_us: 1970-01-01T00:00:00.000005Z is not after",
        ),
        (edge("a", "t", "b", valid_from_us=-5), "valid_from_us: -5, from 0"),
        (graph_pb2.UpsertGraphRequest(namespace=NAMESPACE), "ids and sources: 0, from 1 to 10000"),
        (
            graph_pb2.UpsertGraphRequest(namespace=NAMESPACE, ids=["a", "b"], properties=[b""]),
            "properties: 1 elements, 2, or none",
        ),
        (
            graph_pb2.UpsertGraphRequest(namespace=NAMESPACE, sources=["a"], targets=["b"]),
            "edge_types: 0 elements",
        ),
        (
            graph_pb2.MergeNodesRequest(namespace=NAMESPACE, id="a", merged="b", policy=9),
            "policy: 9, none of",
        ),
    ],
)
def test_what_is_malformed_is_refused_by_name(request_: Any, says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        Shard().write(request_)
    assert refused.value.reason == "INVALID_ARGUMENT"


@pytest.mark.parametrize("direction", ["out", "in", "both"])
def test_the_short_way_to_neighbours_gives_the_pages_that_the_long_one_does(direction: str) -> None:
    shard = Shard()
    graph(shard, "a-x>b a-x>c a-y>b b-x>a c-x>a c-z>a a-x>a")
    for limit in (1, 2, 3, 4, 1_000):
        short = shard.machine.adjacent(NAMESPACE, "a", direction, limit)
        assert short is not None
        which = graph_pb2.EdgeFilter(direction={"out": OUT, "in": IN, "both": BOTH}[direction])
        request = graph_pb2.NeighboursRequest(namespace=NAMESPACE, id="a", which=which, limit=limit)
        long = shard.read(request)
        assert [text(each) for each in short[1]] == [text(each) for each in long.edges]
        assert short[2] == long.next_cursor
    for limit in (0, -1, 1_001):
        assert shard.machine.adjacent(NAMESPACE, "a", direction, limit) is None


def test_a_batch_counts_the_items_of_a_graph() -> None:
    shard = Shard()
    many = graph_pb2.UpsertGraphRequest(
        ids=[f"n{i}" for i in range(6_000)], sources=["n0"] * 5_000, edge_types=["t"], targets=["n1"] * 5_000
    )
    request = batch_pb2.BatchRequest(namespace=NAMESPACE)
    request.operations.add(upsert_graph=many)
    with pytest.raises(Refused, match="ids and sources: 11000, from 1 to 10000"):
        shard.write(request)


def test_more_edges_than_one_command_may_touch_are_refused_before_anything_changes() -> None:
    shard = Shard()
    ids = [f"n{i}" for i in range(9_999)]
    shard.write(graph_pb2.UpsertGraphRequest(namespace=NAMESPACE, ids=["hub", *ids]))
    for start in range(0, 9_999, 5_000):
        targets = ids[start : start + 5_000]
        sources = ["hub"] * len(targets)
        shard.write(
            graph_pb2.UpsertGraphRequest(
                namespace=NAMESPACE, sources=sources, edge_types=["t"], targets=targets
            )
        )
    shard.write(edge("n0", "back", "hub"))
    with pytest.raises(Refused, match="has 10000 edges, at most 9999 go with it"):
        shard.write(graph_pb2.DeleteNodeRequest(namespace=NAMESPACE, id="hub", detach=True))
    with pytest.raises(Refused, match="has 10000 edges, at most 9998 move"):
        shard.write(graph_pb2.MergeNodesRequest(namespace=NAMESPACE, id="n1", merged="hub"))
    assert get(shard, "hub").id == "hub"

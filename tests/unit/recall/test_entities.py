"""Whom and what a query names, and what is near that in the graph."""

from memraft_server.projections.graph import EdgeBody, GraphProjection, NodeBody, edge_name
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import NOBODY, NOW
from memraft_server.recall.entities import EDGES_MAX, named, nearness


def graph(*edges: tuple[str, str], **names: str) -> GraphProjection:
    made = GraphProjection(Usage())
    version = 0
    for id in dict.fromkeys((*names, *(end for edge in edges for end in edge))):
        version += 1
        properties = b'{"name": "%s"}' % names[id].encode() if id in names else b""
        made.store_node(id, NodeBody(properties=properties), version, NOBODY)
    for source, target in edges:
        version += 1
        made.store_edge(edge_name(source, "knows", target), EdgeBody(), version, NOBODY)
    return made


def ids(query: str, of: GraphProjection | None, *others: str) -> list[str]:
    return named(query, of, NOW, lambda id: id in others)


def test_ids_and_names_are_found_whatever_their_case() -> None:
    made = graph(ann="Ann Lee", acme="ACME Corp")
    assert ids("what did Ann say", made) == ["ann"]
    assert ids("what did ann lee's friend say", made) == ["ann"]
    assert ids("who works at acme corp?", made) == ["acme"]
    assert ids("what of Bob", made) == []


def test_entities_without_a_node_are_found_by_id() -> None:
    assert ids("what of user:4321, then?", None, "user:4321") == ["user:4321"]
    assert ids("what does ann like", graph(), "Ann") == ["Ann"]
    assert ids("when in new york", None, "New York", "york") == ["New York", "york"]


def test_a_name_that_was_changed_or_deleted_is_no_name_any_more() -> None:
    made = graph(n1="Ann")
    made.store_node("n1", NodeBody(properties=b'{"name": "Anna"}'), 9, NOBODY)
    assert ids("Ann", made) == []
    assert ids("Anna", made) == ["n1"]
    made.nodes.remove("n1", 10, NOBODY)
    assert ids("Anna", made) == []
    assert len(made.names) == 0


def test_what_is_no_name_is_not_taken_for_one() -> None:
    made = graph()
    for version, properties in enumerate(
        (b'{"name": 5}', b'{"name": "%s"}' % (b"x" * 101), b'{"alias": "name"}'), 1
    ):
        made.store_node(f"n{version}", NodeBody(properties=properties), version, NOBODY)
    assert len(made.names) == 0


def test_a_merged_node_is_named_by_either_id() -> None:
    made = graph(ann="Ann")
    made.store_node("annie", NodeBody(merged_into="ann"), 9, NOBODY)
    assert ids("annie", made) == ["ann", "annie"]


def test_nearness_halves_with_every_edge() -> None:
    made = graph(("a", "b"), ("b", "c"), ("c", "d"), ("x", "a"))
    assert nearness(made, ["a"], NOW, 0) == {"a": 1.0}
    assert nearness(made, ["a"], NOW, 2) == {"a": 1.0, "b": 0.5, "x": 0.5, "c": 0.25}
    assert nearness(made, ["nobody"], NOW, 3) == {"nobody": 1.0}


def test_a_node_that_all_know_leads_nowhere() -> None:
    hub = graph(*(("hub", f"n{i}") for i in range(EDGES_MAX + 1)))
    assert nearness(hub, ["n0"], NOW, 2) == {"n0": 1.0, "hub": 0.5}

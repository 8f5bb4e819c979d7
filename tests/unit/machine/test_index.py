"""The compressed index: what it tells, how it fits its budget, when it is made anew."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memraft_proto.v1 import graph_pb2, index_pb2, kv_pb2, memory_pb2, stream_pb2
from memraft_server.machine import Limits, Machine, Refused, queries_index
from memraft_server.machine.journal import Journal
from memraft_server.projections.contents import Contents, Crossing, Domain, Group, NodeLine, render, tokens_of
from tests.properties.test_machine_store import Disk
from tests.unit.machine.harness import NAMESPACE, Shard
from tests.unit.machine.test_graph import edge, graph, node


def index(shard: Shard, tokens: int = 0, at_index: int | None = None) -> str:
    request = index_pb2.GetIndexRequest(namespace=NAMESPACE, tokens=tokens)
    answer = shard.read(request, at_index=at_index)
    assert answer.tokens == tokens_of(answer.text) <= (tokens or 1_500)
    return str(answer.text)


def filled() -> Shard:
    shard = Shard()
    graph(shard, "inv:1-billed_to>ann inv:2-billed_to>ann inv:1-part_of>inv:2", ann="crm")
    for id in ("inv:1", "inv:2"):
        shard.write(
            node(id, patch=True, type="invoice", domain="billing", properties=b'{"title": "May\\n# x"}')
        )
    shard.write(node("ann", patch=True, type="person", properties=b'{"salience": 0.9, "name": "Ann"}'))
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="order:1", value=b"1"))
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="order:2", value=b"1"))
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="plain", value=b"1"))
    payloads = [b"1", b"2"]
    shard.write(
        stream_pb2.AppendManyRequest(namespace=NAMESPACE, stream="log", types=["t"], payloads=payloads)
    )
    shard.write(memory_pb2.RememberRequest(namespace=NAMESPACE, text="x", about="user:1"))
    return shard


EXPECTED = """# acme/support

3 nodes in 2 domains, 3 edges, 3 documents, 2 events in streams, 1 memory

## billing: 2 nodes

Types: invoice 2
- inv:2 (invoice), 2 edges: May # x
- inv:1 (invoice), 2 edges: May # x

## crm: 1 node

Types: person 1
- ann (person), 2 edges: Ann

## Cross-references

- billing → crm: 2 edges (billed_to 2), such as inv:1 -[billed_to]→ ann

## Documents by prefix

- `order:` 2
- `(no prefix)` 1

## Streams by events

- `log` 2

## Memories by entity

- `user:1` 1
"""


def test_it_tells_what_there_is_by_domain_and_between_domains() -> None:
    assert index(filled()) == EXPECTED


def test_it_is_the_same_of_the_past_of_a_machine_read_from_disk_and_now() -> None:
    shard = filled()
    assert index(shard, at_index=shard.machine.applied_index) == EXPECTED
    kept = Shard()
    kept.machine = Machine(0, journal=Journal())
    graph(kept, "b-t>a a-t>b a-u>b c-t>a", a="x", b="y", c="z")
    disk = Disk()
    disk.save(kept.machine)
    before = index(kept)
    kept.machine = disk.load()
    assert index(kept) == before
    shard.write(node("later", domain="new"))
    assert "## new: 1 node" in index(shard)
    assert index(shard, at_index=shard.machine.applied_index - 1) == EXPECTED


def test_it_is_kept_until_something_in_the_namespace_changes() -> None:
    shard = filled()
    machine = shard.machine
    assert machine.contents(NAMESPACE, 1_500) is None
    text = index(shard)
    assert machine.contents(NAMESPACE, 1_500) == (text, machine.applied_index, machine.last_time_us)
    shard.write(kv_pb2.PutRequest(namespace="acme/other", key="k", value=b"1"))
    assert machine.contents(NAMESPACE, 1_500) is not None
    assert machine.contents(NAMESPACE, 600) is None
    shard.write(edge("ann", "knows", "inv:1"))
    assert machine.contents(NAMESPACE, 1_500) is None
    assert "crm → billing: 1 edge (knows 1)" in index(shard)
    shard.write(graph_pb2.ForgetNodeRequest(namespace=NAMESPACE, id="inv:1"))
    hidden = index(shard)
    assert "such as inv:2 -[billed_to]→ ann" in hidden and "crm → billing" not in hidden
    assert "billing: 1 node" in hidden
    assert index(shard, at_index=shard.machine.applied_index) == hidden


def test_namespaces_that_nobody_wrote_to_do_not_share_one() -> None:
    machine = Machine(0)
    for name in ("acme/one", "acme/two"):
        answer: Any = machine.query("GetIndex", index_pb2.GetIndexRequest(namespace=name))
        assert answer.text.startswith(f"# {name}\n")


@pytest.mark.parametrize("tokens", [1, 499, 2_001])
def test_a_bad_budget_is_refused(tokens: int) -> None:
    with pytest.raises(Refused, match=f"tokens: {tokens}, from 500 to 2000"):
        index(Shard(), tokens)


def test_the_past_of_very_many_is_refused() -> None:
    shard = Shard(Limits(index_names_max=3))
    graph(shard, "a-t>b b-t>c")
    assert index(shard)
    with pytest.raises(
        Refused, match="of a fork or of the past the index is made of 3 nodes and edges at most"
    ):
        index(shard, at_index=1)


names = st.text("abc é\n#", max_size=100)
counts = st.integers(1, 10**8)
tables = st.dictionaries(names, counts, max_size=8)
groups = st.lists(st.builds(Group, names, counts), max_size=30)
nodes = st.builds(
    NodeLine, names, names, st.floats(0, 1), st.integers(0, 10**6), counts, st.just(b'{"name":"n"}')
)


@given(
    st.builds(
        Contents,
        names,
        counts,
        counts,
        st.lists(st.builds(Domain, names, counts, tables, st.lists(nodes, max_size=20)), max_size=60),
        st.lists(st.builds(Crossing, names, names, tables, st.tuples(names, names, names)), max_size=50),
        groups,
        groups,
        groups,
        st.booleans(),
    ),
    st.integers(500, 2_000),
)
def test_a_budget_is_never_exceeded_and_every_line_is_one(contents: Contents, tokens: int) -> None:
    text = render(contents, tokens)
    assert tokens_of(text) <= tokens
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert len(headings) <= 1 + len(contents.domains) + 4
    assert all(
        line.startswith(("#", "- ", "Types: ", "At least ")) or line[0].isdigit()
        for line in text.splitlines()
        if line
    )


_IDS = st.sampled_from("abcdefgh")
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("edge"), _IDS, st.sampled_from("tu"), _IDS),
        st.tuples(st.just("cut"), _IDS, st.sampled_from("tu"), _IDS),
        st.tuples(st.just("node"), _IDS, st.sampled_from(["x", "y"]), st.sampled_from(["", "0.5"])),
        st.tuples(st.just("forget"), _IDS, st.booleans(), st.just("")),
        st.tuples(st.just("delete"), _IDS, st.just(""), st.just("")),
    ),
    max_size=25,
)


@given(_STEPS)
def test_what_is_kept_of_it_is_what_would_be_made_anew(steps: list[Any]) -> None:
    shard = Shard()
    for id in "abcdefgh":
        shard.write(node(id, domain="x" if id < "f" else "y"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queries_index, "TOP_NODES", 2)
        for kind, id, one, other in steps:
            if kind == "edge":
                request: Any = edge(id, one, other)
            elif kind == "cut":
                request = graph_pb2.DeleteEdgeRequest(namespace=NAMESPACE, source=id, type=one, target=other)
            elif kind == "node":
                request = node(id, domain=one, properties=b'{"salience": %s}' % (other.encode() or b"0"))
            elif kind == "forget":
                request = graph_pb2.ForgetNodeRequest(namespace=NAMESPACE, id=id, restore=one)
            else:
                request = graph_pb2.DeleteNodeRequest(namespace=NAMESPACE, id=id, detach=True)
            with suppress(Refused):
                shard.write(request)
            assert index(shard) == index(shard, at_index=shard.machine.applied_index)

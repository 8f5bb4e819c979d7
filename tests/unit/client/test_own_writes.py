"""What a transaction wrote and cannot know before it commits is not read back as it was before."""

from collections.abc import Callable, Iterator

import pytest

from memraft import InvalidArgument, Memory, Txn


@pytest.fixture
def m() -> Iterator[Memory]:
    with Memory(namespace="acme/own") as memory:
        memory.put_graph(["ann", "bob", "eve"], [("ann", "knows", "bob"), ("eve", "knows", "ann")])
        yield memory


@pytest.mark.parametrize(
    ("thing", "write", "read"),
    [
        ("document 'a'", lambda t: t.put("a", 1), lambda t: t.record("a")),
        ("document 'a'", lambda t: t.delete("a"), lambda t: t.list("")),
        ("named record 's'", lambda t: t.cas("s", 1, expected_version=0), lambda t: t.state("s")),
        ("named record 's'", lambda t: t.cas_remove("s", expected_version=1), lambda t: t.state("s")),
        ("counter 'c'", lambda t: t.add("c"), lambda t: t.counter("c")),
        ("gate 'g'", lambda t: t.open_gate("g"), lambda t: t.gate_info("g")),
        ("stream 'e'", lambda t: t.append("e", 1), lambda t: t.events("e")),
        ("stream 'e'", lambda t: t.append_many("e", [1]), lambda t: t.events("e")),
        ("memory 'i'", lambda t: t.remember("tea", id="i"), lambda t: t.memory("i")),
        ("memory 'i'", lambda t: t.forget("i"), lambda t: t.memory("i")),
        ("run 'r'", lambda t: t.begin_run("r"), lambda t: t.run_info("r")),
        ("node 'ann'", lambda t: t.patch_node("ann", {"x": 1}), lambda t: t.node("ann")),
        ("node 'ann'", lambda t: t.put_graph(["zoe", "ann"]), lambda t: t.node("ann")),
        ("node 'bob'", lambda t: t.merge_nodes("ann", "bob"), lambda t: t.node("bob")),
        ("edge .'ann'", lambda t: t.put_edge("ann", "knows", "bob"), lambda t: t.edge("ann", "knows", "bob")),
        ("edge .'ann'", lambda t: t.delete_node("bob", detach=True), lambda t: t.edge("ann", "knows", "bob")),
        (
            "edge .'bob'",
            lambda t: t.put_graph((), [("ann", "knows", "eve"), ("bob", "likes", "eve")]),
            lambda t: t.edge("bob", "likes", "eve"),
        ),
    ],
)
def test_it_is_refused_by_name(
    m: Memory, thing: str, write: Callable[[Txn], object], read: Callable[[Txn], object]
) -> None:
    t = m.txn().__enter__()
    read(t)
    write(t)
    with pytest.raises(InvalidArgument, match=f"{thing}.*only known when it commits"):
        read(t)


def test_what_was_merged_into_a_node_before_is_known_by_its_other_id(m: Memory) -> None:
    m.merge_nodes("ann", "bob")
    for written, read in (("ann", "bob"), ("bob", "ann")):
        t = m.txn().__enter__()
        t.put_node(written, {"x": 1})
        with pytest.raises(InvalidArgument, match="only known when it commits"):
            t.node(read)


def test_what_lies_beside_it_is_read(m: Memory) -> None:
    m.put_many({"a": 1, "b": 2, "k:1": 3})
    with m.txn() as t:
        t.put("b", 5)
        t.add("c")
        t.put_node("bob", {"x": 1})
        assert [each.key for each in t.list("k:")] == ["k:1"] and len(t.list(end="b")) == 1
        assert t.counter("other") == 0 and t.record("a") is not None and t.node("ann") is not None
        assert t.edge("ann", "knows", "bob") is not None

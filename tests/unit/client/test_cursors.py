"""Cursors of pages, through the public API: each continues its own query, and no other."""

from collections.abc import Callable

import pytest

from memraft import Memory
from memraft.errors import InvalidArgument
from memraft.types import Results

LONG = 512
"""Bytes of the longest id of a node."""


def a_memory() -> Memory:
    m = Memory(namespace="acme/pages")
    for each in ("a/1", "a/2", "b/1", "b/2"):
        m.put(each, 1)
        m.put(each, 2)
        m.append(each, 1)
        m.cas(each, 1, expected_version=0)
        m.add(each)
        m.lock(each, ttl=60).acquire()
    m.fork("what-if")
    m.put("a/1", 3)
    m.put("b/1", 3)
    return m


PAGES: dict[str, tuple[Callable[[Memory, str], Results], Callable[[Memory, str], Results]]] = {
    "list of a prefix": (
        lambda m, cursor: m.list("a/", limit=1, cursor=cursor),
        lambda m, cursor: m.list("b/", limit=1, cursor=cursor),
    ),
    "list from a key": (
        lambda m, cursor: m.list(start="a/1", limit=1, cursor=cursor),
        lambda m, cursor: m.list(start="a/2", limit=1, cursor=cursor),
    ),
    "list up to a key": (
        lambda m, cursor: m.list(end="b", limit=1, cursor=cursor),
        lambda m, cursor: m.list(end="c", limit=1, cursor=cursor),
    ),
    "history": (
        lambda m, cursor: m.history("a/1", limit=1, cursor=cursor),
        lambda m, cursor: m.history("b/1", limit=1, cursor=cursor),
    ),
    "streams": (
        lambda m, cursor: m.streams("a/", limit=1, cursor=cursor),
        lambda m, cursor: m.streams("b/", limit=1, cursor=cursor),
    ),
    "leases": (
        lambda m, cursor: m.leases("a/", limit=1, cursor=cursor),
        lambda m, cursor: m.leases("b/", limit=1, cursor=cursor),
    ),
    "states": (
        lambda m, cursor: m.states("a/", limit=1, cursor=cursor),
        lambda m, cursor: m.states("b/", limit=1, cursor=cursor),
    ),
    "counters": (
        lambda m, cursor: m.counters("a/", limit=1, cursor=cursor),
        lambda m, cursor: m.counters("b/", limit=1, cursor=cursor),
    ),
    "diff of moments": (
        lambda m, cursor: m.diff(1, limit=1, cursor=cursor),
        lambda m, cursor: m.diff(2, limit=1, cursor=cursor),
    ),
    "diff of kinds": (
        lambda m, cursor: m.diff(1, limit=1, cursor=cursor),
        lambda m, cursor: m.diff(1, kinds=["document"], limit=1, cursor=cursor),
    ),
    "diff with another": (
        lambda m, cursor: m.diff(1, limit=1, cursor=cursor),
        lambda m, cursor: m.diff(from_namespace="acme/pages@what-if", limit=1, cursor=cursor),
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_cursor_continues_its_query_and_is_refused_by_another(name: str) -> None:
    asked, other = PAGES[name]
    with a_memory() as m:
        first = asked(m, "")
        assert len(first) == 1
        assert first.next_cursor
        second = asked(m, first.next_cursor)
        assert len(second) == 1
        assert second[0] != first[0]
        with pytest.raises(InvalidArgument, match="cursor: not the next_cursor of a page of this call"):
            other(m, first.next_cursor)


def test_pages_go_on_after_the_longest_names() -> None:
    hub, near, far = "h" * LONG, "n" * LONG, "f" * LONG
    kind = "t" * 128
    with Memory(namespace="acme/pages") as m:
        m.put_graph(
            [{"id": hub, "domain": "x"}, {"id": near, "domain": "y"}, {"id": far, "domain": "y"}],
            [(hub, kind, near), (hub, kind, far)],
        )
        m.put_edge(hub, kind, near, {"a": 1})
        m.put_edge(hub, kind, far, {"a": 1})
        for call in (
            lambda cursor: m.cross_domain_edges(limit=1, cursor=cursor),
            lambda cursor: m.neighbours(hub, limit=1, cursor=cursor),
            lambda cursor: m.nodes(limit=1, cursor=cursor),
            lambda cursor: m.diff(1, kinds=["edge"], limit=1, cursor=cursor),
        ):
            first = call("")
            assert first.next_cursor
            assert len(call(first.next_cursor)) == 1

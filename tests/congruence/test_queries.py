"""Documents are found by what is in them alike on every backend."""

import time
from collections.abc import Callable

import pytest

from memraft import InvalidArgument, Memory

WAIT_S = 20.0


def wait_until_ready(memory: Memory) -> None:
    end = time.monotonic() + WAIT_S
    while any(each.state != "ready" for each in memory.indexes(consistency="linearizable")):
        assert time.monotonic() < end, "the index is not ready"
        time.sleep(0.02)


def test_queries_filter_sort_project_and_page_with_and_without_an_index(
    open_memory: Callable[..., Memory],
) -> None:
    memory = open_memory()
    memory.put_many({f"t:{n}": {"n": n, "who": {"team": "ab"[n % 2]}} for n in range(2_000)})
    scanned = memory.query({"who.team": "a", "n": {"$lt": 5}}, fields="n")
    assert [each.value for each in scanned] == [{"n": 0}, {"n": 2}, {"n": 4}]
    assert (scanned.index_used, scanned.scanned) == ("", 2_000)
    assert memory.declare_index("n").created
    wait_until_ready(memory)
    (index,) = memory.indexes()
    assert (index.field, index.entries, index.agent) == ("n", 2_000, "support")
    found = memory.query({"who.team": "a", "n": {"$lt": 5}}, fields="n", consistency="linearizable")
    assert (found.items, found.index_used) == (scanned.items, "n") and found.scanned <= 6
    first = memory.query({"n": {"$gte": 0}}, sort="-n", limit=2)
    memory.put("t:1997", {"n": -1})
    rest = memory.query({"n": {"$gte": 0}}, sort="-n", limit=2, cursor=first.next_cursor)
    assert [each.key for each in (*first, *rest)] == ["t:1999", "t:1998", "t:1997", "t:1996"]
    assert (rest.at_index, rest.index_used) == (first.at_index, "n")
    assert [each.key for each in memory.query(sort=["who.team", "-n"], limit=2)] == ["t:1997", "t:1998"]
    assert memory.query({"n": 1997}).items == ()
    assert [each.key for each in memory.query({"n": 1997}, at=first.at_index)] == ["t:1997"]
    with pytest.raises(InvalidArgument, match="cursor: not the next_cursor of a page of this call"):
        memory.query({"n": {"$gt": 0}}, sort="-n", cursor=first.next_cursor)
    fork = memory.fork("what-if")
    fork.put("t:0", {"n": 7.5})
    assert [each.key for each in fork.query({"n": {"$gt": 7, "$lte": 8}}, sort="n")] == ["t:0", "t:8"]
    assert memory.drop_index("n").found and len(memory.indexes()) == 0

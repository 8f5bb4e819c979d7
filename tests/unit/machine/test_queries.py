"""Queries of documents: pages at one version, portions, when indexes are used, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memraft_proto.v1 import batch_pb2, fork_pb2, kv_pb2, query_pb2
from memraft_server.machine import Limits, Machine, Refused
from tests.unit.machine.harness import NAMESPACE, Shard, command
from tests.unit.machine.test_retention import Kept

DOCUMENTS = 3_000


def filled(shard: Shard | None = None, documents: int = DOCUMENTS) -> Shard:
    """A shard with numbered documents, every hundredth of them open."""
    shard = shard or Shard()
    for start in range(0, documents, 1_000):
        request = kv_pb2.MultiPutRequest(namespace=NAMESPACE)
        for number in range(start, min(start + 1_000, documents)):
            request.keys.append(f"k{number:05}")
            state = "open" if number % 100 == 0 else "done"
            request.values.append(json.dumps({"n": number, "state": state, "by": {"name": "é"}}).encode())
        shard.write(request)
    return shard


def ask(filter: Any = None, sort: tuple[str, ...] = (), **more: Any) -> query_pb2.QueryRequest:
    request = query_pb2.QueryRequest(**{"namespace": NAMESPACE, **more})
    if filter is not None:
        request.filter = filter if isinstance(filter, bytes) else json.dumps(filter).encode()
    for each in sort:
        request.sort.add(field=each.lstrip("-"), descending=each.startswith("-"))
    return request


def declare(shard: Shard, *fields: str, namespace: str = NAMESPACE, build: bool = True) -> None:
    for field in fields:
        shard.write(query_pb2.DeclareIndexRequest(namespace=namespace, field=field))
    if build:
        build_all(shard.machine)


def build_all(machine: Machine) -> int:
    """Builds all that is declared; returns in how many portions."""
    portions = 0
    while jobs := machine.index_jobs():
        for job in jobs:
            following: Any = job
            while following is not None:
                following.run()
                following = machine.install(following)
                portions += 1
    return portions


def states(shard: Shard, namespace: str = NAMESPACE) -> dict[str, tuple[int, int]]:
    found = shard.read(query_pb2.ListIndexesRequest(namespace=namespace)).indexes
    return {each.field: (each.state, each.entries) for each in found}


BUILDING, READY, ABSENT = (
    query_pb2.INDEX_STATE_BUILDING,
    query_pb2.INDEX_STATE_READY,
    query_pb2.INDEX_STATE_ABSENT,
)


@pytest.mark.parametrize(
    ("request_", "keys", "scanned"),
    [
        (ask({"state": "open"}, limit=5), [0, 100, 200, 300, 400], 5),
        (ask({"state": "open", "n": {"$gt": 2_800}}), [2_900], 200),
        (ask({"n": {"$in": [5, 3, -1, "x"]}}), [3, 5], 2),
        (ask({"n": {"$gte": 10, "$lt": 13}}), [10, 11, 12], 4),
        (ask({"n": {"$gte": 10}}, ("-n",), limit=2), [2_999, 2_998], 2),
        (ask({"n": {"$exists": True}}, ("n",), limit=2), [0, 1], 2),
        (ask({"state": "open"}, ("-n",), limit=2), [2_900, 2_800], 30),
        (ask({"state": {"$prefix": "op"}}, limit=2, start="k00150"), [200, 300], 2),
        (ask({"$and": [{"n": 7}, {"state": "done"}]}), [7], 1),
        (ask({"n": 7, "state": "open"}), [], 1),
    ],
)
def test_a_filter_on_an_indexed_field_looks_at_few_documents(
    request_: query_pb2.QueryRequest, keys: list[int], scanned: int
) -> None:
    shard = filled()
    without = shard.read(request_)
    assert (list(without.keys), without.index_used) == ([f"k{key:05}" for key in keys], "")
    declare(shard, "state", "n")
    found = shard.read(request_)
    assert list(found.keys) == list(without.keys) and list(found.values) == list(without.values)
    assert found.index_used in ("state", "n") and found.scanned <= scanned


def test_what_an_index_cannot_answer_is_found_by_going_through_the_keys() -> None:
    shard = filled()
    declare(shard, "n")
    for filter in (
        {"$or": [{"n": 1}, {"n": 2}]},
        {"n": {"$ne": 1}},
        {"n": {"$exists": False}},
        {"state": "open"},
    ):
        assert shard.read(ask(filter, limit=1)).index_used == ""
    assert shard.read(ask(sort=("n",), limit=1)).index_used == "", "documents without n would be missed"


def test_a_declared_index_is_built_in_portions_beside_writes_and_queries() -> None:
    shard = filled()
    declare(shard, "n", build=False)
    assert states(shard) == {"n": (BUILDING, 0)}
    (job,) = shard.machine.index_jobs()
    assert shard.machine.index_jobs() == [], "it is given out once"
    assert shard.machine.install(job) is job
    assert states(shard) == {"n": (BUILDING, 500)}
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="k00001", value=b'{"n":-1}'))
    shard.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key="k00002"))
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="k02001", value=b'{"n":-2}'))
    shard.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key="k02002"))
    while_building = shard.read(ask({"n": {"$lt": 3}}))
    assert while_building.index_used == "" and list(while_building.keys) == ["k00000", "k00001", "k02001"]
    following: Any = job
    while following is not None:
        following = shard.machine.install(following)
    assert states(shard) == {"n": (READY, DOCUMENTS - 2)}
    found = shard.read(ask({"n": {"$lt": 3}}))
    assert found.index_used == "n" and list(found.keys) == list(while_building.keys)
    assert shard.machine.index_jobs() == [] and not shard.machine.index_pending


def test_declaring_twice_changes_nothing_and_a_dropped_index_is_gone() -> None:
    shard = filled(documents=10)
    first = shard.write(query_pb2.DeclareIndexRequest(namespace=NAMESPACE, field="n"))
    again = shard.write(query_pb2.DeclareIndexRequest(namespace=NAMESPACE, field="n"))
    assert (first.created, again.created, again.version) == (True, False, first.version)
    build_all(shard.machine)
    dropped = shard.write(query_pb2.DropIndexRequest(namespace=NAMESPACE, field="n"))
    assert dropped.found and states(shard) == {}
    assert not shard.write(query_pb2.DropIndexRequest(namespace=NAMESPACE, field="n")).found
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="a", value=b'{"n":1}'))
    assert shard.read(ask({"n": 1})).index_used == ""
    index = shard.machine.applied_index
    listed = shard.read(query_pb2.ListIndexesRequest(namespace=NAMESPACE), at_index=index - 4)
    assert [(each.field, each.state) for each in listed.indexes] == [("n", ABSENT)]


def test_an_index_dropped_while_it_is_built_is_not_built_on() -> None:
    shard = filled()
    declare(shard, "n", build=False)
    (job,) = shard.machine.index_jobs()
    shard.write(query_pb2.DropIndexRequest(namespace=NAMESPACE, field="n"))
    assert shard.machine.install(job) is None, "its one block is gone"
    assert shard.machine.index_jobs() == [] and not shard.machine.index_pending


def test_a_dropped_index_is_taken_down_in_portions() -> None:
    shard = filled()
    declare(shard, "n")
    index = shard.machine.spaces.by_name[NAMESPACE].kv.indexes["n"]
    shard.write(query_pb2.DropIndexRequest(namespace=NAMESPACE, field="n"))
    assert len(index.entries) == DOCUMENTS and shard.machine.index_pending
    assert build_all(shard.machine) > 1
    assert len(index.entries) == 0 and not shard.machine.index_pending


def test_all_pages_are_read_as_of_the_first() -> None:
    shard = filled(documents=10)
    declare(shard, "n")
    for request in (
        ask(limit=4),
        ask({"n": {"$gte": 0}}, ("-n",), limit=4),
        ask(sort=("state", "n"), limit=4),
    ):
        expected = list(shard.read(ask(sort=tuple(
            f"{'-' if each.descending else ''}{each.field}" for each in request.sort
        ))).keys)  # fmt: skip
        index = shard.machine.applied_index
        first = shard.read(request)
        assert first.at_index == index
        shard.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key=expected[5]))
        shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="k0", value=b'{"n":4.5,"state":"done"}'))
        pages, page = list(first.keys), first
        while page.next_cursor:
            request.cursor = page.next_cursor
            page = shard.read(request)
            assert page.at_index == index
            pages += page.keys
        assert pages == expected
        shard.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key="k0"))


def test_an_index_answers_for_the_past_as_far_as_it_remembers() -> None:
    shard = filled(documents=10)
    declare(shard, "n")
    index = shard.machine.applied_index
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="k00003", value=b'{"n":99}'))
    past = shard.read(ask({"n": {"$in": [3, 99]}}), at_index=index)
    assert (list(past.keys), past.index_used) == (["k00003"], "n")
    for round_ in range(3):  # each document changes often enough that the index forgets what was
        for start in range(0, 9_000, 1_000):
            many = kv_pb2.MultiPutRequest(namespace=NAMESPACE)
            for number in range(start, start + 1_000):
                many.keys.append(f"m{number}")
                many.values.append(b'{"n":%d}' % (number + round_))
            shard.write(many)
    past = shard.read(ask({"n": {"$in": [3, 99]}}, end="l"), at_index=index)
    assert (list(past.keys), past.index_used) == (["k00003"], "")
    assert shard.read(ask({"n": 99}, end="l")).index_used == "n"


def test_an_index_knows_what_changed_before_it_was_built() -> None:
    shard = filled(documents=10)
    index = shard.machine.applied_index
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="k00003", value=b'{"n":99}'))
    shard.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key="k00004"))
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f", at_index=index))
    fork = f"{NAMESPACE}@f"
    shard.write(kv_pb2.PutRequest(namespace=fork, key="k00005", value=b'{"n":99}'))
    declare(shard, "n")
    declare(shard, "n", namespace=fork)
    for ask_then in (
        ask({"n": {"$gte": 3, "$lt": 6}}),
        ask({"n": {"$gte": 3, "$lt": 6}}, ("n",)),
        ask({"n": {"$in": [3, 4, 5]}}),
    ):
        past = shard.read(ask_then, at_index=index)
        assert (list(past.keys), past.index_used) == (["k00003", "k00004", "k00005"], "n")
        ask_then.namespace = fork
        past = shard.read(ask_then, at_index=shard.machine.applied_index - 3)
        assert (list(past.keys), past.index_used) == (["k00003", "k00004", "k00005"], "n")


def test_a_fork_uses_the_index_of_its_parent_beside_what_is_its_own() -> None:
    shard = filled(documents=10)
    declare(shard, "n")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    fork = f"{NAMESPACE}@f"
    shard.write(kv_pb2.PutRequest(namespace=fork, key="k00003", value=b'{"n":4}'))
    shard.write(kv_pb2.PutRequest(namespace=fork, key="new", value=b'{"n":4}'))
    shard.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key="k00004"))
    found = shard.read(ask({"n": 4}, namespace=fork))
    assert (list(found.keys), found.index_used) == (["k00003", "k00004", "new"], "n")
    assert shard.read(ask({"n": 3}, namespace=fork)).keys == []
    assert states(shard, fork)["n"][0] == READY
    shard.write(query_pb2.DropIndexRequest(namespace=NAMESPACE, field="n"))
    assert states(shard, fork)["n"][0] == ABSENT
    found = shard.read(ask({"n": 4}, namespace=fork))
    assert (list(found.keys), found.index_used) == (["k00003", "k00004", "new"], "")
    assert not shard.write(query_pb2.DeclareIndexRequest(namespace=fork, field="n")).created
    shard.write(query_pb2.DropIndexRequest(namespace=fork, field="n"))
    declare(shard, "n", namespace=fork)
    found = shard.read(ask({"n": 4}, namespace=fork))
    assert (list(found.keys), found.index_used) == (["k00003", "k00004", "new"], "n")
    shard.write(query_pb2.DropIndexRequest(namespace=fork, field="n"))
    assert states(shard, fork) == {}


def test_the_work_is_handed_on_in_portions_and_ends_where_the_namespace_does() -> None:
    shard = filled()
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    request = ask({"state": "none"}, namespace=f"{NAMESPACE}@f")
    *portions, last = shard.machine.query_in_portions("Query", request)
    assert len(portions) >= DOCUMENTS // 500 and not any(portions)
    assert last is not None and shard.machine.query("Query", request) == last
    steps = shard.machine.query_in_portions("Query", request)
    assert next(steps) is None
    shard.write(fork_pb2.DropForkRequest(namespace=NAMESPACE, fork="f"))
    with pytest.raises(Refused, match="LAGGING"):
        next(steps)


def test_a_page_ends_where_enough_was_looked_at() -> None:
    shard = filled(Shard(Limits(scan_keys_max=1_000)))
    keys: list[str] = []
    request, pages = ask({"state": "open"}), 0
    while True:
        page = shard.read(request)
        assert page.scanned <= 1_000
        keys += page.keys
        pages += 1
        if not page.next_cursor:
            break
        request.cursor = page.next_cursor
    assert keys == [f"k{number:05}" for number in range(0, DOCUMENTS, 100)] and pages == 3
    with pytest.raises(Refused, match=r"sort: there are more than 1000 documents to put in order"):
        shard.read(ask(sort=("n",)))
    assert shard.read(ask(sort=("n",), prefix="k000")).scanned == 100
    declare(shard, "n")
    assert shard.read(ask({"n": {"$gte": 0}}, ("n",), limit=1)).scanned == 1


def test_a_page_ends_before_it_grows_too_large() -> None:
    shard = filled(Shard(Limits(page_bytes_max=200)), documents=20)
    for request in (ask(), ask(sort=("-n",))):
        keys: list[str] = []
        while True:
            page = shard.read(request)
            assert 1 <= len(page.keys) <= 3
            keys += page.keys
            if not page.next_cursor:
                break
            request.cursor = page.next_cursor
        assert sorted(keys) == [f"k{number:05}" for number in range(20)]


def test_fields_come_as_the_bytes_that_they_were() -> None:
    shard = Shard()
    shard.write(
        kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b'{"a": 1.0, "b": {"c" : [1e2], "d": 2}}')
    )
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="l", value=b"[1]"))
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="m", value=b'{"b": 3}'))
    assert list(shard.read(ask(fields=["b.c", "a"])).values) == [b'{"b":{"c":[1e2]},"a":1.0}', b"{}", b"{}"]
    assert shard.read(ask(fields=["b", "b.c"])).values[0] == b'{"b":{"c" : [1e2], "d": 2}}'


def test_a_document_whose_numbers_are_out_of_range_has_no_fields() -> None:
    shard = filled(documents=3)
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="a", value=b'{"n":1e999}'))
    declare(shard, "n")
    assert list(shard.read(ask({"n": {"$exists": False}})).keys) == ["a"]
    assert list(shard.read(ask(sort=("n",), limit=1)).keys) == ["a"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ask({"n": {"$near": 1}}), r"filter: n\.\$near: no such operator"),
        (ask(b"{"), "filter: it is not JSON"),
        (ask(b'{"$not":' * 20 + b"{}" + b"}" * 20), "nested deeper than 16 levels"),
        (ask({"n": {"$in": list(range(300))}}), "more than 256 fields, operators and operands"),
        (ask({"a..b": 1}), "no empty segments"),
        (ask(sort=("a.",)), r"sort\[0\]: 'a\.': a field's path has no empty segments"),
        (ask(sort=("$n",)), r"sort\[0\]: '\$n': what begins with '\$' is an operator"),
        (ask(sort=("n", "-n")), r"sort\[1\]: 'n' is there twice"),
        (ask(sort=tuple("abcdefghi")), "sort: 9, at most 8"),
        (ask(sort=(".".join("abcdefghijklmnopq"),)), r"sort\[0\]: 17 segments, at most 16"),
        (ask(fields=[""]), r"fields\[0\]: missing"),
        (ask(fields=["x" * 256]), r"fields\[0\]: 256 bytes, at most 255"),
        (ask(fields=[f"f{number}" for number in range(65)]), "fields: 65, at most 64"),
        (ask(limit=10_001), "limit: 10001, at most 10000"),
        (ask(prefix="\0"), "prefix"),
        (ask(cursor="nonsense"), "cursor: not the next_cursor of a page of this call"),
        (query_pb2.DeclareIndexRequest(namespace=NAMESPACE, field="a..b"), "no empty segments"),
        (query_pb2.DropIndexRequest(namespace=NAMESPACE), "field: missing"),
    ],
)
def test_what_is_malformed_is_refused_and_named(request_: Any, message: str) -> None:
    shard = filled(documents=1)
    call = shard.read if isinstance(request_, query_pb2.QueryRequest) else shard.write
    with pytest.raises(Refused, match=message) as refused:
        call(request_)
    assert refused.value.reason == "INVALID_ARGUMENT"


def test_a_cursor_is_good_for_its_own_query_and_no_earlier_moment() -> None:
    shard = filled(documents=10)
    cursor = shard.read(ask({"n": {"$gte": 1}}, ("n",), limit=2)).next_cursor
    for other in (
        ask({"n": {"$gte": 2}}, ("n",)),
        ask({"n": {"$gte": 1}}, ("-n",)),
        ask({"n": {"$gte": 1}}, ("n",), prefix="k"),
        ask({"n": {"$gte": 1}}, ("n",), fields=["n"]),
    ):
        other.cursor = cursor
        with pytest.raises(Refused, match="cursor: not the next_cursor of a page of this call"):
            shard.read(other)
    same = ask({"n": {"$gte": 1}}, ("n",), cursor=cursor)
    with pytest.raises(
        Refused, match=r"cursor: the first page was read at log index 1, later than context\.at"
    ):
        shard.read(same, at_index=0)
    behind = Shard()
    with pytest.raises(
        Refused, match="LAGGING: cursor: the first page was read at log index 1; this replica"
    ):
        behind.read(ask({"n": {"$gte": 1}}, ("n",), cursor=cursor))


def test_a_cursor_from_before_the_retention_is_refused() -> None:
    shard = Kept()
    filled(shard, 10)
    first = shard.read(ask(limit=2))
    shard.retain(versions=1)
    shard.put("k00001", b"2")
    shard.trim()
    with pytest.raises(Refused, match="BEFORE_RETENTION: reads of acme/support reach back to index"):
        shard.read(ask(cursor=first.next_cursor, limit=2))
    steps = shard.machine.query_in_portions("Query", ask({"n": -1}))
    assert next(steps) is None
    shard.put("k00001", b"3")
    shard.trim()
    with pytest.raises(Refused, match="BEFORE_RETENTION"):
        next(steps)


def test_there_is_an_end_to_how_many_indexes_there_may_be() -> None:
    shard = Shard()
    declare(shard, *[f"f{number}" for number in range(16)])
    with pytest.raises(Refused, match="has indexes on 16 fields, at most 16"):
        declare(shard, "g")
    shard.write(query_pb2.DropIndexRequest(namespace=NAMESPACE, field="f3"))
    declare(shard, "g")


def test_indexes_are_declared_by_calls_of_their_own() -> None:
    shard = Shard()
    inner = query_pb2.DeclareIndexRequest(field="n")
    batch = batch_pb2.BatchRequest(namespace=NAMESPACE, operations=[batch_pb2.Operation(declare_index=inner)])
    with pytest.raises(Refused, match="it is a call of its own, and no part of others"):
        shard.write(batch)
    assert command(query_pb2.DropIndexRequest()).kind == 19


def test_a_namespace_where_nothing_was_written_has_no_documents() -> None:
    found = Shard().read(ask({"n": 1}, ("n",)))
    assert (list(found.keys), found.next_cursor, found.scanned) == ([], "", 0)
    assert states(Shard()) == {}

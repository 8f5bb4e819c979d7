"""Queries find what going through plain dictionaries finds: whatever the index, the page, the moment, the
fork, and whatever is written between pages and between the portions of one page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memraft_proto.v1 import fork_pb2, kv_pb2, query_pb2
from memraft_server.machine import Machine, check_read, lookups, queries_documents
from memraft_server.machine.journal import Journal
from memraft_server.projections import field_index
from memraft_server.projections.collation import sort_text
from tests.properties.test_forks import apply, to
from tests.properties.test_machine_store import Disk
from tests.unit.machine.harness import LIMITS

SPACE = "acme/a"
FORK = "acme/a@f"
FIELDS = ("a", "b.c", "b")
KEYS = [f"{prefix}{number}" for prefix in ("k", "l", "é") for number in range(5)]
LONG = "x" * 140

SCALARS = (
    None,
    True,
    False,
    0,
    1,
    1.5,
    -3,
    2**53,
    2**53 + 1,
    10**30,
    "",
    "a",
    "ab",
    "a\0",
    "b",
    "é",
    LONG,
    LONG + "y",
)
values = st.sampled_from((*SCALARS, [1], {"c": 2}))
DOCUMENTS: list[Any] = [
    *({"a": each} for each in SCALARS),
    *({"b": {"c": each}} for each in SCALARS),
    *({"a": each, "b": {"c": other}} for each, other in zip(SCALARS, reversed(SCALARS), strict=True)),
    {"a": [1], "b": 1},
    {"a": {"c": 2}, "b": {}},
    {},
    None,
    "a",
]
documents = st.sampled_from(DOCUMENTS)
orderable = st.sampled_from((0, 1, 1.5, -3, 2**53, 2**53 + 1, 10**30, "", "a", "ab", "a\0", "é", LONG))
operators = st.one_of(
    values,
    st.builds(lambda value: {"$eq": value}, values),
    st.builds(lambda value: {"$ne": value}, values),
    st.builds(lambda low, high: {"$gte": low, "$lt": high}, orderable, orderable),
    st.builds(lambda low, high: {"$gt": low, "$lte": high}, orderable, orderable),
    st.builds(lambda members: {"$in": members}, st.lists(values, max_size=4)),
    st.builds(lambda value: {"$exists": value}, st.booleans()),
    st.builds(lambda value: {"$prefix": value}, st.sampled_from(("", "a", "a\0", "x", LONG))),
    st.builds(lambda value: {"$contains": value}, st.sampled_from((1, "a", ""))),
)
conditions = st.one_of(
    st.builds(lambda operator: {"a": operator}, operators),
    st.dictionaries(st.sampled_from(FIELDS), operators, min_size=1, max_size=2),
)
filters = st.one_of(
    st.just({}),
    *[conditions] * 4,
    st.builds(lambda *parts: {"$and": list(parts)}, conditions, conditions),
    st.builds(lambda *parts: {"$or": list(parts)}, conditions, conditions),
    st.builds(lambda part, other: {**part, "$not": other}, conditions, conditions),
)
orders = st.one_of(
    st.tuples(st.just("a"), st.booleans()).map(lambda each: [each]),
    st.lists(st.tuples(st.sampled_from(FIELDS), st.booleans()), max_size=2, unique_by=lambda each: each[0]),
)
queries = st.fixed_dictionaries(
    {
        "filter": filters,
        "order": orders,
        "prefix": st.sampled_from(("", "", "", "k", "l")),
        "start": st.sampled_from(("", "", "", "k2", "l3")),
        "end": st.sampled_from(("", "", "", "l1", "é1")),
        "limit": st.integers(1, 8),
        "fields": st.sampled_from(((), (), ("a",), ("b.c",), ("b", "b.c"))),
        "back": st.none() | st.integers(0, 6),
        "space": st.sampled_from((SPACE, SPACE, FORK)),
    }
)
writes = st.tuples(
    st.sampled_from((SPACE, SPACE, FORK)),
    st.dictionaries(st.sampled_from(KEYS), st.none() | st.builds(lambda each: [each], documents), max_size=5),
)
events = st.lists(
    st.one_of(
        st.tuples(st.just("write"), writes),
        st.tuples(st.just("write"), writes),
        st.tuples(st.just("write"), writes),
        st.tuples(
            st.just("declare"), st.tuples(st.sampled_from((SPACE, SPACE, FORK)), st.sampled_from(FIELDS))
        ),
        st.tuples(st.just("drop"), st.tuples(st.sampled_from((SPACE, FORK)), st.sampled_from(FIELDS))),
        st.tuples(st.just("build"), st.integers(1, 12)),
        st.tuples(st.just("build"), st.just(100)),
        st.tuples(st.just("fork"), st.none()),
        st.tuples(st.just("reload"), st.none()),
        *[st.tuples(st.just("query"), queries)] * 6,
    ),
    min_size=4,
    max_size=12,
)

beginnings = st.tuples(
    st.lists(documents, min_size=len(KEYS), max_size=len(KEYS)),
    st.sets(st.sampled_from(FIELDS[1:])).map(lambda each: {"a", *each}),
    st.booleans(),
)
"""What there is, what is indexed, and whether there is a fork."""

State = dict[str, Any]


# What the language means, said once more and without haste


class Absent:
    pass


ABSENT = Absent()


def at_path(document: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(document, dict) or name not in document:
            return ABSENT
        document = document[name]
    return document


def rank(value: Any) -> tuple[Any, ...]:
    if value is ABSENT:
        return (0,)
    if value is None or isinstance(value, bool):
        return ([None, False, True].index(value) + 1,)
    if isinstance(value, int | float):
        near = float(value)
        rest = value - int(near) if isinstance(value, int) else 0
        return 4, near, max(-(2**15 - 1), min(rest, 2**15 - 1))
    if isinstance(value, str):
        return 5, value[:128]
    return (6 if isinstance(value, list) else 7,)


def same(value: Any, operand: Any) -> bool:
    return (value is not ABSENT and json.dumps(value) == json.dumps(operand)) or (
        type(value) in (int, float) and type(operand) in (int, float) and value == operand
    )


def holds(operator: str, operand: Any, value: Any) -> bool:
    is_text = isinstance(value, str) and isinstance(operand, str)
    is_number = type(value) in (int, float) and type(operand) in (int, float)
    match operator:
        case "$eq":
            return same(value, operand)
        case "$ne":
            return not same(value, operand)
        case "$in":
            return any(same(value, each) for each in operand)
        case "$exists":
            return (value is not ABSENT) == operand
        case "$prefix":
            return isinstance(value, str) and value.startswith(operand)
        case "$contains":
            return (is_text and operand in value) or (isinstance(value, list) and operand in value)
    if not (is_text or is_number):
        return False
    return bool(
        {"$lt": value < operand, "$lte": value <= operand, "$gt": value > operand}.get(
            operator, value >= operand
        )
    )


def passes(condition: dict[str, Any], document: Any) -> bool:
    for name, operand in condition.items():
        if name == "$and":
            passed = all(passes(each, document) for each in operand)
        elif name == "$or":
            passed = any(passes(each, document) for each in operand)
        elif name == "$not":
            passed = not passes(operand, document)
        elif isinstance(operand, dict) and any(each.startswith("$") for each in operand):
            passed = all(holds(each, operand[each], at_path(document, name)) for each in operand)
        else:
            passed = same(at_path(document, name), operand)
        if not passed:
            return False
    return True


def projected(document: Any, fields: tuple[str, ...]) -> Any:
    if not fields:
        return document
    found: dict[str, Any] = {}
    if fields == ("b.c",):
        if isinstance(at_path(document, "b"), dict):
            inner = at_path(document, "b.c")
            found["b"] = {} if inner is ABSENT else {"c": inner}
        return found
    value = at_path(document, fields[0])
    return {} if value is ABSENT else {fields[0]: value}


def expected(state: State, query: dict[str, Any]) -> list[tuple[str, Any]]:
    start, end = query["start"], query["end"]
    keys = [
        key
        for key in state
        if key.startswith(query["prefix"]) and key >= start and (not end or key < end)
        if passes(query["filter"], state[key])
    ]
    order = query["order"]
    keys.sort(reverse=bool(order and order[-1][1]))
    for field, is_descending in reversed(order):
        keys.sort(key=lambda key: rank(at_path(state[key], field)), reverse=is_descending)
    return [(key, projected(state[key], query["fields"])) for key in keys]


# The machine


class World:
    def __init__(self) -> None:
        self.machine = Machine(0, journal=Journal())
        self.disk = Disk()
        self.jobs: list[Any] = []
        self.states: dict[str, list[State]] = {SPACE: [{}]}
        """Namespace -> what it holds after each log index."""

    @property
    def index(self) -> int:
        return len(self.states[SPACE]) - 1

    def apply(self, namespace: str, request: Any, state: State | None = None) -> Any:
        for name, states in self.states.items():
            states.append(state if state is not None and name == namespace else states[-1])
        (reply,) = apply(self.machine, self.index, [to(namespace, request)])
        assert not isinstance(reply, tuple), reply
        return reply

    def write(self, namespace: str, changes: dict[str, Any]) -> None:
        if namespace not in self.states or not changes:
            return
        request = kv_pb2.MultiPutRequest()
        state = dict(self.states[namespace][-1])
        kinds = bytearray()
        for key, change in changes.items():
            kinds.append(change is None)
            request.keys.append(key)
            request.values.append(b"" if change is None else json.dumps(change[0]).encode())
            if change is None:
                state.pop(key, None)
            else:
                state[key] = change[0]
        request.kinds = bytes(kinds)
        self.apply(namespace, request, state)

    def fork(self) -> None:
        if FORK in self.states:
            return
        self.apply(SPACE, fork_pb2.ForkRequest(fork="f"))
        self.states[FORK] = list(self.states[SPACE])

    def build(self, portions: int) -> None:
        for _ in range(portions):
            self.jobs += self.machine.index_jobs()
            if not self.jobs:
                return
            job = self.jobs.pop(0)
            job.run()
            following = self.machine.install(job)
            if following is not None:
                self.jobs.append(following)

    def reload(self) -> None:
        self.disk.save(self.machine)
        self.machine, self.jobs = self.disk.load(), []

    def query(self, query: dict[str, Any], data: st.DataObject) -> None:
        namespace = query["space"] if query["space"] in self.states else SPACE
        at = None if query["back"] is None else max(0, self.index - query["back"])
        state = self.states[namespace][-1 if at is None else at]
        request = query_pb2.QueryRequest(
            namespace=namespace,
            filter=json.dumps(query["filter"]).encode(),
            prefix=query["prefix"],
            start=query["start"],
            end=query["end"],
            limit=query["limit"],
            fields=query["fields"],
            sort=[query_pb2.SortField(field=field, descending=desc) for field, desc in query["order"]],
        )
        if at is not None:
            request.context.at_index = at
        found: list[tuple[str, Any]] = []
        while True:
            answer = self.page(request, data)
            assert answer.at_index == (self.index_at_first(request, answer) if at is None else at)
            assert len(answer.keys) <= query["limit"]
            found += [(key, json.loads(value)) for key, value in zip(answer.keys, answer.values, strict=True)]
            if not answer.next_cursor:
                break
            request.cursor = answer.next_cursor
            self.write(*data.draw(writes, "between pages"))
        assert found == expected(state, query), answer.index_used

    def index_at_first(self, request: query_pb2.QueryRequest, answer: Any) -> int:
        if not request.cursor:
            self.first_index = self.index_of_page
        return self.first_index

    def page(self, request: query_pb2.QueryRequest, data: st.DataObject) -> Any:
        check_read("Query", request, LIMITS)
        self.index_of_page = self.index
        for answer in self.machine.query_in_portions("Query", request):
            if answer is not None:
                return answer
            if data.draw(st.integers(0, 3), "is written to") == 0:
                self.write(*data.draw(writes, "between portions"))
        raise AssertionError("no answer")


@contextmanager
def small_portions() -> Iterator[None]:
    """So small that few documents take many."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (field_index, lookups, queries_documents):
            patch.setattr(module, "PORTION_KEYS", 3)
        for module in (field_index, lookups):
            patch.setattr(module, "CHANGES_MAX", 12)
        patch.setattr(lookups, "GATHERED_MAX", 4)
        yield


@settings(max_examples=settings().max_examples // 2)
@given(beginnings, events, st.lists(queries, min_size=3, max_size=4), st.data())
def test_queries_find_what_plain_dictionaries_hold(
    beginning: tuple[list[Any], set[str], bool],
    log: list[tuple[str, Any]],
    asked: list[Any],
    data: st.DataObject,
) -> None:
    with small_portions():
        world = World()
        world.write(SPACE, {key: [each] for key, each in zip(KEYS, beginning[0], strict=True)})
        for field in sorted(beginning[1]):
            world.apply(SPACE, query_pb2.DeclareIndexRequest(field=field))
        world.build(100)
        if beginning[2]:
            world.fork()
        for event, argument in (*log, *(("query", each) for each in asked)):
            if event == "write":
                world.write(*argument)
            elif event in ("declare", "drop") and argument[0] in world.states:
                kind: Any = (
                    query_pb2.DeclareIndexRequest if event == "declare" else query_pb2.DropIndexRequest
                )
                world.apply(argument[0], kind(field=argument[1]))
            elif event == "build":
                world.build(argument)
            elif event == "fork":
                world.fork()
            elif event == "reload":
                world.reload()
            elif event == "query":
                world.query(argument, data)


@given(
    st.lists(
        values | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**64), 2**64), min_size=2
    )
)
def test_texts_sort_as_the_values_do(some: list[Any]) -> None:
    assert sorted(some, key=sort_text) == sorted(some, key=rank)

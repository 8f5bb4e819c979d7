"""Schemas with bounds say what the library says; what is evicted is what a plain list would lose."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from memraft_proto.v1 import kv_pb2, namespace_pb2
from memraft_server.admission.json_schema import Schema, check_schema
from memraft_server.projections.recency import Recency
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import NOBODY, VersionedRecords
from tests.unit.machine.harness import NAMESPACE, Shard

names = st.sampled_from(("a", "b", "ab", "x-a"))
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from((0.5, 1.0)) | names
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
types = st.sampled_from(("array", "boolean", "integer", "null", "number", "object", "string"))
patterns = st.sampled_from(("^a", "b$", "^x-", "a|b", "[0-9]"))


def schemas_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "type": types | st.lists(types, min_size=1, max_size=2, unique=True),
        "items": inner,
        "prefixItems": st.lists(inner, min_size=1, max_size=2),
        "properties": st.dictionaries(names, inner, max_size=2),
        "patternProperties": st.dictionaries(patterns, inner, max_size=2),
        "additionalProperties": inner,
        "required": st.lists(names, max_size=2, unique=True),
        "uniqueItems": st.booleans(),
        "pattern": patterns,
        "minimum": st.integers(-2, 2),
        "maxItems": st.integers(0, 3),
        "const": documents,
        "enum": st.lists(documents, min_size=1, max_size=3),
        "not": inner,
        "anyOf": st.lists(inner, min_size=1, max_size=2),
        "oneOf": st.lists(inner, min_size=1, max_size=2),
        "propertyNames": inner,
        "contains": inner,
    }
    return st.booleans() | st.fixed_dictionaries({}, optional=keywords)


schemas = st.recursive(
    st.booleans() | st.builds(lambda name: {"type": name}, types), schemas_of, max_leaves=6
)


@given(schemas, st.lists(documents, min_size=1, max_size=4))
def test_a_bounded_check_says_what_the_library_says(schema: Any, values: list[Any]) -> None:
    raw = json.dumps(schema).encode()
    check_schema(raw)
    bounded, plain = Schema(raw), Draft202012Validator(schema)
    for value in values:
        fault = bounded.fault(json.dumps(value).encode(), 10_000)
        assert (fault is None) == plain.is_valid(value)


keys = st.sampled_from(tuple("abcdefgh"))
uses = st.lists(
    st.tuples(st.sampled_from(("put", "put", "get", "delete", "sweep")), keys, st.integers(0, 30)),
    max_size=40,
)


@given(uses, st.integers(0, 4), st.sampled_from((0, 40)))
def test_what_is_evicted_is_what_was_not_used_for_longest(
    steps: list[tuple[str, str, int]], entries_max: int, bytes_max: int
) -> None:
    shard = Shard()
    shard.write(
        namespace_pb2.SetNamespaceSettingsRequest(
            namespace=NAMESPACE, entries_max=entries_max, bytes_max=bytes_max
        )
    )
    model: dict[str, int] = {}
    for what, key, number in [*steps, ("sweep", "", 0)]:
        if what == "put":
            value = b'"' + b"x" * number + b'"'
            shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key=key, value=value))
            model.pop(key, None)
            model[key] = len(value) + 1
        elif what == "get":
            shard.read(kv_pb2.GetRequest(namespace=NAMESPACE, key=key))
            if key in model:
                model[key] = model.pop(key)
        elif what == "delete":
            shard.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key=key))
            model.pop(key, None)
        else:
            while shard.machine.next_due_us() is not None:
                machine = shard.machine
                machine.apply(machine.applied_index + 1, shard.time_us, 0, machine.due(shard.time_us, 1))
            while len(model) > 1 and (len(model) > entries_max > 0 or sum(model.values()) > bytes_max > 0):
                del model[next(iter(model))]
            listed = shard.read(kv_pb2.ListRequest(namespace=NAMESPACE)).keys
            assert list(listed) == sorted(model)


@given(st.lists(st.tuples(keys, st.binary(max_size=4) | st.none()), max_size=30))
def test_what_is_counted_later_is_what_was_counted_all_along(writes: list[tuple[str, bytes | None]]) -> None:
    records, followed = VersionedRecords(Usage()), Recency()
    records.follow_own(followed)
    for version, (name, value) in enumerate(writes, 1):
        if value is None:
            records.remove(name, version, NOBODY)
        else:
            records.store(name, value, version, NOBODY, 0)
    later = Recency()
    later.fill(records)
    assert (later.bytes, len(later)) == (followed.bytes, len(followed))
    assert later.victims(1, 0, 100) == followed.victims(1, 0, 100)

"""Filters over metadata: what passes, and what is said about a filter that is malformed."""

import json
from typing import Any

import pytest

from memraft_server.projections.filters import FilterError, FilterLimits, compile_filter

LIMITS = FilterLimits(depth=4, nodes=20)

DOCUMENT = {
    "lang": "en",
    "year": 2020,
    "score": 0.5,
    "draft": False,
    "owner": None,
    "tags": ["a", "b", 3],
    "place": {"city": "Oslo", "at": {"lat": 59.9}},
}

PASS: list[dict[str, Any]] = [
    {},
    {"lang": "en"},
    {"lang": "en", "year": 2020},
    {"year": 2020.0},
    {"draft": False},
    {"owner": None},
    {"tags": ["a", "b", 3]},
    {"place.city": "Oslo"},
    {"place": {"city": "Oslo", "at": {"lat": 59.9}}},
    {"place.at.lat": {"$gt": 59, "$lt": 60}},
    {"year": {"$gte": 2020, "$lte": 2020}},
    {"lang": {"$lt": "f"}},
    {"lang": {"$ne": "de"}},
    {"absent": {"$ne": "anything"}},
    {"absent": {"$exists": False}},
    {"owner": {"$exists": True}},
    {"lang": {"$in": ["de", "en"]}},
    {"year": {"$in": [1, "en", 2020]}},
    {"place.city": {"$prefix": "Os"}},
    {"place.city": {"$contains": "sl"}},
    {"tags": {"$contains": 3}},
    {"$or": [{"lang": "de"}, {"year": {"$gt": 2000}}]},
    {"$and": [{"lang": "en"}, {"draft": False}]},
    {"$not": {"lang": "de"}},
    {"$not": {"$or": [{"lang": "de"}, {"absent": 1}]}},
]

FAIL: list[dict[str, Any]] = [
    {"lang": "de"},
    {"lang": "en", "year": 2021},
    {"draft": 0},
    {"year": "2020"},
    {"absent": None},
    {"absent": {"$lt": 5}},
    {"lang": {"$gt": 5}},
    {"draft": {"$gte": 0}},
    {"owner": {"$exists": False}},
    {"lang.en": "en"},
    {"tags": ["a", "b"]},
    {"tags": {"$contains": True}},
    {"year": {"$contains": 2}},
    {"lang": {"$in": []}},
    {"year": {"$in": [True, "2020"]}},
    {"place.city": {"$prefix": "os"}},
    {"$or": [{"lang": "de"}, {"year": 1}]},
    {"$and": [{"lang": "en"}, {"draft": True}]},
    {"$not": {"lang": "en"}},
]


@pytest.mark.parametrize("filter", PASS, ids=json.dumps)
def test_passes(filter: dict[str, Any]) -> None:
    assert compile_filter(json.dumps(filter).encode(), LIMITS)(DOCUMENT)


@pytest.mark.parametrize("filter", FAIL, ids=json.dumps)
def test_fails(filter: dict[str, Any]) -> None:
    assert not compile_filter(json.dumps(filter).encode(), LIMITS)(DOCUMENT)


def test_without_metadata_only_absence_passes() -> None:
    assert compile_filter(b'{"lang": {"$exists": false}}', LIMITS)(None)
    assert compile_filter(b'{"a.b": {"$ne": 1}}', LIMITS)(None)
    assert not compile_filter(b'{"lang": "en"}', LIMITS)(None)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object, not a list"),
        ("1", "must be a JSON object, not a number"),
        ('{"year": {"$near": 1}}', "year.$near: no such operator; there are $eq"),
        ('{"year": {"$gte": [1]}}', "year.$gte takes a number or text, not a list"),
        ('{"year": {"$gte": true}}', "year.$gte takes a number or text, not true or false"),
        ('{"year": {"$in": 1}}', "year.$in takes a list, not a number"),
        ('{"year": {"$exists": 1}}', "year.$exists takes true or false"),
        ('{"year": {"$prefix": null}}', "year.$prefix takes text, not null"),
        ('{"year": {"$gte": 1, "lt": 2}}', "year.lt: no such operator"),
        ('{"$gte": 5}', "$gte: no such operator over filters"),
        ('{"$or": []}', "$or takes a list of filters with at least one"),
        ('{"$and": {"a": 1}}', "$and takes a list of filters"),
        ('{"$or": [{"a": 1}, 2]}', "$or takes a list of filters"),
        ('{"$or": [{"a": 1}, {"b": {"$x": 2}}]}', "$or[1].b.$x: no such operator"),
        ('{"$not": 1}', "$not takes a filter, not a number"),
        ('{"a..b": 1}', "a..b: a field's path has no empty segments"),
        (json.dumps({".".join("a" * 17): 1}), "at most 16 segments"),
        (json.dumps({"a": {"$in": list(range(30))}}), "more than 20 fields, operators and operands"),
        (json.dumps({f"f{i}": 1 for i in range(21)}), "more than 20 fields, operators and operands"),
        ('{"$not": {"$not": {"$not": {"$not": {"a": 1}}}}}', "nested deeper than 4 levels"),
        ('{"a": [[[[[1]]]]]}', "nested deeper than 4 levels"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper than 4 levels"),
    ],
)  # fmt: skip
def test_malformed_filters_are_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(FilterError) as refused:
        compile_filter(text.encode(), LIMITS)
    assert named in str(refused.value)
    assert len(str(refused.value)) < 400

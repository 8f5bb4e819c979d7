"""What a schema may be, what is said of a document that breaks one, and that neither takes for ever."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memraft_server.admission.json_schema import (
    SCHEMA_DEPTH_MAX,
    SCHEMA_STEPS_MAX,
    Fault,
    Schema,
    TooManySteps,
    check_schema,
    steps_left,
)
from memraft_server.machine import Refused

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def fault(schema: Any, document: Any, steps_max: int = 10_000) -> Fault | None:
    check_schema(raw(schema))
    return Schema(raw(schema)).fault(raw(document), steps_max)


def deep(levels: int) -> Any:
    schema: Any = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


NO_SCHEMAS: dict[str, tuple[Any, str]] = {
    "a list": ([1], r"schema: \[1\] is no JSON Schema"),
    "null": (None, "schema: null is no JSON Schema"),
    "an unknown type": (
        {"properties": {"age": {"type": "integr"}}},
        r'schema: at \$.properties.age.type: "integr" is no type: array, boolean',
    ),
    "a keyword's wrong value": ({"items": {"minLength": -1}}, r"schema: at \$.items.minLength: -1 is less"),
    "properties that are none": ({"properties": [1]}, r"at \$.properties: \[1\] is not of type 'object'"),
    "names twice": ({"required": ["a", "a"]}, r'at \$.required: "a" is in it twice'),
    "a reference to elsewhere": (
        {"$defs": {"a": {"$ref": "https://example.org/x.json"}}},
        r"at \$\['\$defs'\].a\['\$ref'\]: \"https://example.org/x.json\" is elsewhere, and nothing",
    ),
    "a reference to a file": ({"$ref": "file:///etc/passwd"}, "nothing is fetched"),
    "a reference to nothing": ({"$ref": "#/$defs/x"}, "is no schema within this one"),
    "a reference to no schema": ({"enum": [{}], "$ref": "#/enum/0"}, "is no schema within this one"),
    "a reference to itself": ({"$ref": "#"}, "refers to itself without end"),
    "references in a circle": (
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "allOf": [{"$ref": "#/$defs/a"}]},
        "refers to itself without end",
    ),
    "a pattern with a look-ahead": (
        {"pattern": "(?=a)"},
        r"at \$.pattern: .* is no regular expression of RE2",
    ),
    "a pattern that is none": ({"patternProperties": {"(": {}}}, r"at \$.patternProperties\['\('\]: .* RE2"),
    "another draft": ({"$schema": "http://json-schema.org/draft-04/schema#"}, r"at \$\['\$schema'\]"),
    "a draft within": (
        {"items": {"$schema": "http://json-schema.org/draft-07/schema#"}},
        "only stand at the top",
    ),
    "an id within": ({"items": {"$id": "https://example.org/x"}}, "only stand at the top"),
    "too deep": (deep(SCHEMA_DEPTH_MAX + 1), f"nested over {SCHEMA_DEPTH_MAX} schemas deep"),
    "as deep as JSON gets": (deep(400), "deep"),
    "unevaluated beside patterns": (
        {"unevaluatedProperties": False, "allOf": [{"patternProperties": {"a": {}}}]},
        "cannot be beside patternProperties",
    ),
    "doublings": (
        {
            "$defs": {
                **{f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)},
                "d40": {},
            },
            "$ref": "#/$defs/d0",
        },
        f"takes more than {SCHEMA_STEPS_MAX} steps",
    ),
}


@pytest.mark.parametrize("what", NO_SCHEMAS)
def test_what_is_no_schema_is_refused_and_told_where(what: str) -> None:
    schema, said = NO_SCHEMAS[what]
    with pytest.raises(Refused, match=said) as caught:
        check_schema(raw(schema))
    assert caught.value.reason == "INVALID_ARGUMENT"


FAULTS: dict[str, tuple[Any, Any, str, str, str]] = {
    "a type": (
        {"properties": {"a": {"properties": {"b": {"items": {"type": "integer"}}}}}},
        {"a": {"b": [1, 2, "x"]}},
        "$.a.b[2]",
        'type: "integer"',
        "#/properties/a/properties/b/items/type",
    ),
    "what is missing": ({"required": ["a"]}, {}, "$", 'required: ["a"]', "#/required"),
    "what is too much": (
        {"properties": {"a": {}}, "patternProperties": {"^x-": {}}, "additionalProperties": False},
        {"a": 1, "x-b": 2, "c": 3},
        "$",
        "additionalProperties: false",
        "#/additionalProperties",
    ),
    "what others must be": (
        {"additionalProperties": {"type": "string"}}, {"a": 1}, "$.a", 'type: "string"',
        "#/additionalProperties/type",
    ),
    "a pattern": ({"pattern": r"^\d{3}$"}, "12", "$", r'pattern: "^\\d{3}$"', "#/pattern"),
    "a name by pattern": (
        {"patternProperties": {"^n_": {"type": "number"}}}, {"n_a": "1"}, "$.n_a", 'type: "number"',
        "#/patternProperties/^n_/type",
    ),
    "the same twice": (
        {"uniqueItems": True}, [{"a": 1}, {"a": 1.0}], "$", "uniqueItems: true", "#/uniqueItems",
    ),
    "one of several": (
        {"anyOf": [{"type": "string"}, {"required": ["kind"], "properties": {"kind": {"const": "x"}}}]},
        {"kind": 3}, "$.kind", 'const: "x"', "#/anyOf/1/properties/kind/const",
    ),
    "nothing at all": (False, 1, "$", "false", "#"),
    "by reference": (
        {"$defs": {"a/b": {"type": "null"}}, "items": {"$ref": "#/$defs/a~1b"}}, [None, 0], "$[1]",
        'type: "null"', "#/items/type",
    ),
    "of draft 7": (
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}, [1], "$[0]",
        'type: "string"', "#/items/0/type",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_what_breaks_a_schema_is_told_with_its_place(what: str) -> None:
    schema, document, path, asked, schema_path = FAULTS[what]
    found = fault(schema, document)
    assert found is not None
    assert (found.path, found.asked, found.schema_path) == (path, asked, schema_path)
    assert found.message


@pytest.mark.parametrize(
    ("schema", "document"),
    [
        (True, {"a": 1}),
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}, {"a": True}, None]),
        ({"properties": {"$ref": {"type": "string"}, "pattern": {"pattern": "a"}}}, {"$ref": "x"}),
        ({"format": "email"}, "no address"),
        ({"$schema": DRAFT, "$ref": "#/$defs/a", "$defs": {"a": {}}}, 1),
        ({"$dynamicAnchor": "n", "properties": {"next": {"$dynamicRef": "#n"}}}, {"next": {"next": {}}}),
    ],
)  # fmt: skip
def test_what_a_schema_asks_for_passes(schema: Any, document: Any) -> None:
    assert fault(schema, document) is None


def test_a_pattern_that_would_take_for_ever_elsewhere_takes_no_time() -> None:
    assert fault({"pattern": "^(a+)+$"}, "a" * 100_000 + "!") is not None
    assert fault({"patternProperties": {"^(a|a)*$": False}}, {"a" * 10_000 + "!": 1}) is None
    # The library's own search would see these when a schema names its draft.
    named = {"$schema": DRAFT, "$ref": "#/$defs/a"}
    assert fault(named | {"$defs": {"a": {"pattern": "^(a+)+$"}}}, "a" * 100_000 + "!") is not None
    assert fault(
        {"items": {"$ref": "#"}, "pattern": "^(a+)+$"} | named | {"$defs": {"a": True}}, ["a" * 50 + "!"]
    )


@pytest.mark.parametrize(
    ("schema", "document"),
    [
        ({"items": {"type": "integer"}}, [1] * 1_000),
        ({"uniqueItems": True}, [[]] + [{"a": i} for i in range(1_000)]),
        ({"additionalProperties": False, "patternProperties": {"a": {}}}, {f"a{i}": 1 for i in range(1_000)}),
    ],
)
def test_a_check_ends_after_the_steps_that_it_may_take(schema: Any, document: Any) -> None:
    with pytest.raises(TooManySteps):
        fault(schema, document, steps_max=900)
    assert fault(schema, document, steps_max=10_000) is None
    assert 0 < steps_left() < 10_000 - 900


def test_a_document_deeper_than_can_be_followed_is_refused() -> None:
    with pytest.raises(Refused, match="nested too deeply to be checked"):
        fault({"items": {"$ref": "#"}}, b"[" * 400 + b"]" * 400)


def test_texts_of_a_fault_are_short() -> None:
    found = fault({"enum": ["x" * 1_000]}, "y" * 100_000)
    assert found is not None and len(found.message) < 300 and len(found.asked) < 300

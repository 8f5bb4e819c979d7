"""JSON Schema with bounds: what a schema may be, and what is wrong with a document, in so many steps at most.

The library `jsonschema` does the work, with four keywords of our own. `pattern`, `patternProperties` and
`additionalProperties` match with RE2, in time linear in the text, where Python's `re` may take for ever;
`uniqueItems` compares by hash, where the library may compare each item with each. Every application of a
keyword is a step, so that neither a large document nor a schema that refers to itself takes longer than the
steps that its caller allows. Nothing is fetched: a reference has to stay within its schema.

Sources: JSON Schema 2020-12 and draft 7 (json-schema.org); Cox, "Regular expression matching in the wild"
(2010), for RE2.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

import jsonschema
import msgspec
import re2
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema_specifications import REGISTRY
from referencing import Registry
from referencing.jsonschema import DRAFT7, DRAFT202012

from memraft_server.admission.schemas import TooManySteps
from memraft_server.machine import Refused
from memraft_server.machine.refused import invalid

SCHEMA_STEPS_MAX = 50_000
"""Steps that it may take to find out whether a schema is one."""
SCHEMA_DEPTH_MAX = 32
_SHOWN_CHARACTERS = 200
_COMPILED_MAX = 2_048

_ONE = (
    *("additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not"),
    *("propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"),
)
_LISTED = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
_NAMED = ("$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties")
_REFERENCES = ("$dynamicRef", "$recursiveRef", "$ref")
"""Keywords with a schema in them, with a list of schemas, with schemas by name; those that refer to one."""

Keyword = Callable[[Any, Any, Any, Any], Any]


class Fault(NamedTuple):
    """What is wrong with a document.

    Attributes:
        path: Where, such as `$.a.b[2]`.
        message: What it is, and what was asked for.
        asked: The keyword that asks for something else, and its value.
        schema_path: Where in the schema that stands.
    """

    path: str
    message: str
    asked: str
    schema_path: str


class _Steps(threading.local):
    left = 0


_steps = _Steps()


def _charge(count: int) -> None:
    _steps.left -= count
    if _steps.left < 0:
        raise TooManySteps


@lru_cache(maxsize=_COMPILED_MAX)
def _regex(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def _matches(pattern: str, text: str) -> bool:
    _charge(1)
    return _regex(pattern).search(text) is not None


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not _matches(pattern, instance):
        yield ValidationError(f"{_shown(instance)} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        for pattern, subschema in patterns.items():
            for name, value in instance.items():
                if _matches(pattern, name):
                    yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items():
        _charge(1)
        if name in named or any(_matches(pattern, name) for pattern in patterns):
            continue
        if wanted is False:
            yield ValidationError(f"{_shown(name)} is not among the properties that there may be")
        else:
            yield from validator.descend(value, wanted, path=name)


def _unique_items(validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if wanted and validator.is_type(instance, "array"):
        seen = set()
        for item in instance:
            key = _hashable(item)
            if key in seen:
                yield ValidationError(f"{_shown(item)} is in it twice")
                return
            seen.add(key)


def _hashable(value: Any) -> Any:
    """What is equal for JSON values that are: 1 and 1.0, but not 1 and true."""
    _charge(1)
    if isinstance(value, dict):
        return frozenset((name, _hashable(each)) for name, each in value.items())
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    return (value, True) if isinstance(value, bool) else value


def _counted(keyword: Keyword) -> Keyword:
    def run(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _charge(1)
        return keyword(validator, value, instance, schema)

    return run


_OWN: dict[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}


def _bounded(base: Any) -> Any:
    keywords = {**base.VALIDATORS, **_OWN}
    return jsonschema.validators.extend(base, {name: _counted(each) for name, each in keywords.items()})


def _bare(schema: Any) -> Any:
    """Returns a schema without `$schema`: where the library meets one, it goes on without our keywords."""
    return {name: each for name, each in schema.items() if name != "$schema"}


class _Draft:
    """One draft of JSON Schema: what checks documents, and what checks schemas."""

    def __init__(self, base: Any, specification: Any, beginning: str) -> None:
        self._kind = _bounded(base)
        known = [(str(uri), REGISTRY.contents(uri)) for uri in REGISTRY if str(uri).startswith(beginning)]
        self._known: Any = Registry().with_resources(
            (uri, specification.create_resource(_bare(contents))) for uri, contents in known
        )
        self._meta = _bare(base.META_SCHEMA)

    def validator(self, schema: Any) -> Any:
        return self._kind(_bare(schema) if isinstance(schema, dict) else schema, registry=Registry())

    def errors_in(self, schema: Any) -> Iterator[ValidationError]:
        found: Iterator[ValidationError] = self._kind(self._meta, registry=self._known).iter_errors(schema)
        return found


_DEFAULT = _Draft(Draft202012Validator, DRAFT202012, "https://json-schema.org/draft/2020-12/")
_DRAFTS = {
    "https://json-schema.org/draft/2020-12/schema": _DEFAULT,
    "http://json-schema.org/draft-07/schema": _Draft(
        Draft7Validator, DRAFT7, "http://json-schema.org/draft-07/"
    ),
}
_TYPES = "array, boolean, integer, null, number, object or string"


def check_schema(raw: bytes) -> None:
    """Refuses what is not a JSON Schema that can be checked against within bounds.

    Args:
        raw: JSON text.

    Raises:
        Refused: `INVALID_ARGUMENT`; the message says where in it, and what is wrong there.
    """
    schema = _decoded("schema", raw)
    if not isinstance(schema, dict | bool):
        raise invalid(f"schema: {_shown(schema)} is no JSON Schema: an object, true or false", field="schema")
    walk = _Walk(schema)
    draft = _draft_of(schema)
    _steps.left = SCHEMA_STEPS_MAX
    try:
        error = best_match(draft.errors_in(schema))
        if error is not None:
            said = f"{_shown(error.instance)} is no type: {_TYPES}"
            is_type = error.validator == "anyOf" and error.absolute_path[-1] == "type"
            raise _no_schema(error.json_path, said if is_type else error.message)
        walk.run()
        # A schema that refers to itself without end does so with whatever it is asked.
        any(draft.validator(schema).iter_errors(None))
    except TooManySteps:
        raise _no_schema("$", f"takes more than {SCHEMA_STEPS_MAX} steps to check") from None
    except RecursionError:
        raise _no_schema("$", "refers to itself without end, or is nested too deeply") from None


class Schema:
    """A schema that is ready to check documents.

    Args:
        raw: JSON text that `check_schema` let through.
    """

    def __init__(self, raw: bytes) -> None:
        schema = msgspec.json.decode(raw)
        self._validator = _draft_of(schema).validator(schema)

    def fault(self, value: bytes, steps_max: int) -> Fault | None:
        """Returns what is wrong with a document, None where nothing is.

        Args:
            value: JSON text.
            steps_max: How many steps it may take.

        Raises:
            TooManySteps: it takes more.
            Refused: `INVALID_ARGUMENT`: the document cannot be read, or not by this schema.
        """
        document = _decoded("value", value)
        _steps.left = steps_max
        try:
            error = next(self._validator.iter_errors(document), None)
            if error is not None:
                error = best_match([error])
        except RecursionError:
            raise invalid(
                "value: nested too deeply to be checked against its schema", field="value"
            ) from None
        if error is None:
            return None
        return Fault(
            error.json_path,
            _cut(error.message),
            _cut(f"{error.validator}: {_text(error.validator_value)}") if error.validator else "false",
            "/".join(["#", *map(str, error.absolute_schema_path)]),
        )


@lru_cache(maxsize=_COMPILED_MAX)
def compiled(raw: bytes) -> Schema:
    """Returns the schema of a JSON text, made once."""
    return Schema(raw)


def steps_left() -> int:
    """Returns how many steps the last check of this thread did not use."""
    return _steps.left


class _Walk:
    """Goes through all schemas within a schema for what JSON Schema allows and this server does not."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._places: set[str] = set()
        self._references: list[tuple[str, str]] = []

    def run(self) -> None:
        """Raises Refused."""
        self._visit(self._schema, (), 0)
        for path, reference in self._references:
            if unquote(reference[1:]) not in self._places:
                what = "is no schema within this one: nothing else is looked for"
                raise _no_schema(path, f"{reference!r} {what}")

    def _visit(self, schema: Any, path: tuple[str | int, ...], depth: int) -> None:
        here = "".join(f"/{str(each).replace('~', '~0').replace('/', '~1')}" for each in path)
        self._places.add(here)
        if depth > SCHEMA_DEPTH_MAX:
            raise _no_schema(_json_path(path), f"nested over {SCHEMA_DEPTH_MAX} schemas deep")
        if not isinstance(schema, dict):
            return
        self._check(schema, path)
        for name in _ONE:
            if isinstance(schema.get(name), dict | bool):
                self._visit(schema[name], (*path, name), depth + 1)
        for name in _LISTED:
            if isinstance(schema.get(name), list):
                for i, each in enumerate(schema[name]):
                    self._visit(each, (*path, name, i), depth + 1)
        for name in _NAMED:
            if isinstance(schema.get(name), dict):
                for key, each in schema[name].items():
                    self._visit(each, (*path, name, key), depth + 1)

    def _check(self, schema: dict[str, Any], path: tuple[str | int, ...]) -> None:
        for name in ("$anchor", "$dynamicAnchor"):
            if name in schema:
                self._places.add(schema[name])
        for name in ("$id", "$schema"):
            if path and name in schema:
                raise _no_schema(_json_path((*path, name)), "it may only stand at the top")
        for name in _REFERENCES:
            if name in schema:
                reference, at = schema[name], _json_path((*path, name))
                if not isinstance(reference, str) or not reference.startswith("#"):
                    raise _no_schema(at, f"{_shown(reference)} is elsewhere, and nothing is fetched")
                self._references.append((at, reference))
        if "unevaluatedProperties" in schema and "patternProperties" in _text(self._schema):
            what = "cannot be beside patternProperties; additionalProperties can"
            raise _no_schema(_json_path((*path, "unevaluatedProperties")), what)
        patterns = [
            ((*path, "patternProperties", each), each) for each in schema.get("patternProperties", ())
        ]
        if "pattern" in schema:
            patterns.append(((*path, "pattern"), schema["pattern"]))
        for place, pattern in patterns:
            try:
                _regex(pattern)
            except re2.error as error:
                told = error.args[0] if error.args else error
                said = told.decode(errors="replace") if isinstance(told, bytes) else told
                raise _no_schema(
                    _json_path(place), f"{pattern!r} is no regular expression of RE2: {said}"
                ) from None


def _draft_of(schema: Any) -> _Draft:
    named = schema.get("$schema") if isinstance(schema, dict) else None
    if named is None:
        return _DEFAULT
    found = _DRAFTS.get(named.removesuffix("#")) if isinstance(named, str) else None
    if found is None:
        raise _no_schema("$['$schema']", f"{_shown(named)} is none of {', '.join(_DRAFTS)}")
    return found


def _no_schema(path: str, what: str) -> Refused:
    return invalid(f"schema: at {path}: {_cut(what)}", field="schema", path=path)


def _json_path(path: tuple[str | int, ...]) -> str:
    error: Any = ValidationError("", path=path)
    found: str = error.json_path
    return found


def _decoded(field: str, raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(f"{field}: cannot be read as JSON: {error}", field=field) from None


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _shown(value: Any) -> str:
    return _cut(_text(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"

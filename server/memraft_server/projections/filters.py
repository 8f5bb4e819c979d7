"""Filters over metadata: a JSON object such as `{"lang": "en", "year": {"$gte": 2020}}` becomes a predicate.

A field is a path with dots into nested objects. A filter with several fields holds where all of them hold.

Comparison is strict about types: text compares with text, numbers with numbers, and nothing is converted.
`$lt`, `$lte`, `$gt` and `$gte` do not hold between different types. A field that is missing passes only `$ne`
and `{"$exists": false}`. `$contains` holds for a list that has the operand as a member and for text that has
it as a part; `$in` holds where the field equals one of the operand's members.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

Predicate = Callable[[Any], bool]
"""Takes a decoded metadata object (or None where a record has none) and says whether it passes."""

PATH_SEGMENTS_MAX = 16
SHOWN_CHARACTERS = 80


class FilterError(ValueError):
    """A filter is malformed or over a limit. The message names the place in the filter and the limit."""


class _Missing:
    """The value of a field that is not there: equal to nothing else."""


MISSING = _Missing()


@dataclass(frozen=True, slots=True)
class FilterLimits:
    """How large a filter may be: `nodes` counts fields, operators and the members of operands."""

    depth: int = 16
    nodes: int = 256


def compile_filter(text: bytes, limits: FilterLimits) -> Predicate:
    """Returns the predicate for a filter as JSON text.

    Raises:
        FilterError: It is not a JSON object, has an unknown operator, an operand of the wrong type, or is
            deeper or larger than `limits`.
    """
    try:
        document = msgspec.json.decode(text)
    except RecursionError as error:
        raise FilterError(f"it is nested deeper than {limits.depth} levels") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FilterError(f"it is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise FilterError(f"it must be a JSON object, not {_type_name(document)}")
    return _Compiler(limits).filter(document, "", 1)


def equal(value: Any, operand: Any) -> bool:
    """Whether two decoded JSON values are the same; true is not 1."""
    if isinstance(value, bool) or isinstance(operand, bool):
        return value is operand
    if isinstance(value, list) and isinstance(operand, list):
        return len(value) == len(operand) and all(map(equal, value, operand))
    if isinstance(value, dict) and isinstance(operand, dict):
        return value.keys() == operand.keys() and all(equal(value[key], operand[key]) for key in value)
    return bool(value == operand)


def comparable(value: Any, operand: Any) -> bool:
    """Whether one of them can be less than the other: both text, or both numbers."""
    if isinstance(operand, str):
        return isinstance(value, str)
    return isinstance(value, int | float) and not isinstance(value, bool)


class _Compiler:
    def __init__(self, limits: FilterLimits) -> None:
        self._limits = limits
        self._nodes = 0

    def _count(self, place: str, depth: int) -> None:
        self._nodes += 1
        if self._nodes > self._limits.nodes:
            raise FilterError(f"it has more than {self._limits.nodes} fields, operators and operands")
        if depth > self._limits.depth:
            raise FilterError(f"{_shown(place)} is nested deeper than {self._limits.depth} levels")

    def filter(self, document: dict[str, Any], place: str, depth: int) -> Predicate:
        """Compiles an object whose members must all hold."""
        parts: list[Predicate] = []
        for name, operand in document.items():
            here = f"{place}.{name}" if place else name
            self._count(here, depth)
            if name in ("$and", "$or"):
                parts.append(self._junction(name, operand, here, depth))
            elif name == "$not":
                if not isinstance(operand, dict):
                    raise FilterError(f"{_shown(here)} takes a filter, not {_type_name(operand)}")
                parts.append(_negation(self.filter(operand, here, depth + 1)))
            elif name.startswith("$"):
                raise FilterError(
                    f"{_shown(here)}: no such operator over filters; there are $and, $or and $not"
                    + ("; this one belongs on a field" if name in OPERATORS else "")
                )
            else:
                parts.append(self._field(name, operand, here, depth))
        return _conjunction(parts)

    def _junction(self, name: str, operand: Any, place: str, depth: int) -> Predicate:
        if (
            not isinstance(operand, list)
            or not operand
            or not all(isinstance(part, dict) for part in operand)
        ):
            raise FilterError(f"{_shown(place)} takes a list of filters with at least one")
        parts = [self.filter(part, f"{place}[{i}]", depth + 1) for i, part in enumerate(operand)]
        return _conjunction(parts) if name == "$and" else _disjunction(parts)

    def _field(self, path: str, operand: Any, place: str, depth: int) -> Predicate:
        segments = path.split(".")
        if not all(segments):
            raise FilterError(f"{_shown(place)}: a field's path has no empty segments")
        if len(segments) > PATH_SEGMENTS_MAX:
            raise FilterError(f"{_shown(place)}: a field's path has at most {PATH_SEGMENTS_MAX} segments")
        tests: list[Predicate] = []
        if isinstance(operand, dict) and any(name.startswith("$") for name in operand):
            for name, value in operand.items():
                here = f"{place}.{name}"
                self._count(here, depth + 1)
                tests.append(self._operator(name, value, here, depth + 1))
        else:
            self._count_operand(operand, place, depth)
            tests.append(_equality(operand))
        return _on_field(segments, _conjunction(tests))

    def _operator(self, name: str, operand: Any, place: str, depth: int) -> Predicate:
        make = OPERATORS.get(name)
        if make is None:
            raise FilterError(f"{_shown(place)}: no such operator; there are {', '.join(OPERATORS)}")
        self._count_operand(operand, place, depth)
        test = make(operand)
        if test is None:
            raise FilterError(f"{_shown(place)} takes {OPERANDS[name]}, not {_type_name(operand)}")
        return test

    def _count_operand(self, operand: Any, place: str, depth: int) -> None:
        members = operand.values() if isinstance(operand, dict) else operand
        if isinstance(operand, dict | list):
            for member in members:
                self._count(place, depth + 1)
                self._count_operand(member, place, depth + 1)


def _conjunction(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    return lambda value: all(part(value) for part in parts)


def _disjunction(parts: list[Predicate]) -> Predicate:
    return lambda value: any(part(value) for part in parts)


def _negation(part: Predicate) -> Predicate:
    return lambda value: not part(value)


def _on_field(segments: list[str], test: Predicate) -> Predicate:
    if len(segments) == 1:
        name = segments[0]
        return lambda document: test(document.get(name, MISSING) if isinstance(document, dict) else MISSING)

    def on_path(document: Any) -> bool:
        for segment in segments:
            if not isinstance(document, dict):
                return test(MISSING)
            document = document.get(segment, MISSING)
        return test(document)

    return on_path


def _equality(operand: Any) -> Predicate:
    if isinstance(operand, str):  # the common case: text equals only the same text
        return lambda value: bool(value == operand)
    return lambda value: equal(value, operand)


def _in(operand: Any) -> Predicate | None:
    if not isinstance(operand, list):
        return None
    if all(isinstance(member, str) for member in operand):
        members = frozenset(operand)
        return lambda value: isinstance(value, str) and value in members
    return lambda value: any(equal(value, member) for member in operand)


def _exists(operand: Any) -> Predicate | None:
    if not isinstance(operand, bool):
        return None
    return lambda value: (value is not MISSING) is operand


def _prefix(operand: Any) -> Predicate | None:
    if not isinstance(operand, str):
        return None
    return lambda value: isinstance(value, str) and value.startswith(operand)


def _contains(operand: Any) -> Predicate:
    def contains(value: Any) -> bool:
        if isinstance(value, list):
            return any(equal(member, operand) for member in value)
        return isinstance(value, str) and isinstance(operand, str) and operand in value

    return contains


def _order(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Predicate | None]:
    def make(operand: Any) -> Predicate | None:
        if isinstance(operand, bool) or not isinstance(operand, str | int | float):
            return None
        return lambda value: comparable(value, operand) and compare(value, operand)

    return make


OPERATORS: dict[str, Callable[[Any], Predicate | None]] = {
    "$eq": _equality,
    "$ne": lambda operand: _negation(_equality(operand)),
    "$lt": _order(lambda value, operand: bool(value < operand)),
    "$lte": _order(lambda value, operand: bool(value <= operand)),
    "$gt": _order(lambda value, operand: bool(value > operand)),
    "$gte": _order(lambda value, operand: bool(value >= operand)),
    "$in": _in,
    "$exists": _exists,
    "$prefix": _prefix,
    "$contains": _contains,
}
"""Operator on a field -> what makes its test from the operand, or None if that is of the wrong type."""

OPERANDS = {
    "$lt": "a number or text",
    "$lte": "a number or text",
    "$gt": "a number or text",
    "$gte": "a number or text",
    "$in": "a list",
    "$exists": "true or false",
    "$prefix": "text",
}


def _type_name(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {dict: "an object", list: "a list", str: "text", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _shown(place: str) -> str:
    return place if len(place) <= SHOWN_CHARACTERS else place[:SHOWN_CHARACTERS] + "..."

"""What a filter says of where in the order of one field a document that passes must lie.

A filter confines a field by the conditions on it, at the top or within `$and`, that say something of the
order: `$eq`, `$in`, `$lt`, `$lte`, `$gt`, `$gte`, `$prefix` and `{"$exists": true}`. What lies within may
still not pass; what lies outside does not. `$or`, `$not`, `$ne`, `$contains` and `{"$exists": false}` confine
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from memraft_server.projections.collation import (
    AFTER_END,
    END,
    RANK_END,
    RANK_NULL,
    RANK_NUMBER,
    RANK_TEXT,
    sort_text,
    successor,
    text_prefix,
)

Interval = tuple[str, str]
"""From the first of it, included, to the second, excluded, in the order of `sort_text`."""

EVERYTHING: tuple[Interval, ...] = ((RANK_NULL, RANK_END),)
"""Where everything lies that is not missing."""

_LAST_CODE_POINT = "\U0010ffff"


def confines(text: bytes) -> dict[str, tuple[Interval, ...]]:
    """Returns where each confined field lies: intervals in order that do not overlap.

    Args:
        text: A filter that `compile_filter` takes; empty: none.
    """
    found: dict[str, tuple[Interval, ...]] = {}
    if text:
        for field, intervals in _conditions(msgspec.json.decode(text)):
            before = found.get(field)
            found[field] = intervals if before is None else _common(before, intervals)
    return found


def is_points(intervals: tuple[Interval, ...]) -> bool:
    """Whether each of them is one value, so that what lies in it is in the order of names."""
    return all(high == low[: -len(END)] + AFTER_END for low, high in intervals)


def _conditions(document: dict[str, Any]) -> Iterator[tuple[str, tuple[Interval, ...]]]:
    for name, operand in document.items():
        if name == "$and":
            for part in operand:
                yield from _conditions(part)
        elif not name.startswith("$"):
            if isinstance(operand, dict) and any(each.startswith("$") for each in operand):
                for operator, value in operand.items():
                    intervals = _INTERVALS.get(operator, _nothing)(value)
                    if intervals is not None:
                        yield name, intervals
            else:
                yield name, (_point(operand),)


def _common(some: tuple[Interval, ...], others: tuple[Interval, ...]) -> tuple[Interval, ...]:
    return tuple(
        (max(low, other_low), min(high, other_high))
        for low, high in some
        for other_low, other_high in others
        if max(low, other_low) < min(high, other_high)
    )


def _point(value: Any) -> Interval:
    text = sort_text(value)
    return text + END, text + AFTER_END


def _rank(value: Any) -> Interval:
    rank = RANK_TEXT if isinstance(value, str) else RANK_NUMBER
    return rank, successor(rank)


def _below(value: Any) -> tuple[Interval, ...]:
    return ((_rank(value)[0], _point(value)[1]),)


def _above(value: Any) -> tuple[Interval, ...]:
    return ((_point(value)[0], _rank(value)[1]),)


def _prefix(prefix: str) -> tuple[Interval, ...]:
    low = text_prefix(prefix)
    return ((low, successor(low.rstrip(_LAST_CODE_POINT))),)


def _in(values: list[Any]) -> tuple[Interval, ...]:
    return tuple(sorted({_point(value) for value in values}))


def _nothing(value: Any) -> None:
    return None


_INTERVALS: dict[str, Callable[[Any], tuple[Interval, ...] | None]] = {
    "$eq": lambda value: (_point(value),),
    "$in": _in,
    "$lt": _below,
    "$lte": _below,
    "$gt": _above,
    "$gte": _above,
    "$prefix": _prefix,
    "$exists": lambda value: EVERYTHING if value else None,
}

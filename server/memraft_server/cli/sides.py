"""How two sides of something that differs look: the fields that are not the same, one below the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from memraft_server.cli.output import table

if TYPE_CHECKING:  # the command line is there before the client, which imports numpy
    from memraft.types import RecordDifference, StepDifference

ROWS_MAX = 12
CHARACTERS_MAX = 60
"""Of a value in a cell."""

_TIMES = ("started_at_us", "ended_at_us")
"""Of traces: no two runs agree in them, so they are not what makes steps differ."""

Row = tuple[str, str, str]
"""(field, left, right)."""


def step_rows(difference: StepDifference) -> list[Row]:
    """Returns what two steps asked for differently; where that is nothing, what they were told."""
    left, right = _parsed(difference.left), _parsed(difference.right)
    for part in ("request", "reply"):
        if isinstance(left, dict) and isinstance(right, dict) and part in left and part in right:
            rows = [row for row in _differing(left[part], right[part], "") if not row[0].endswith(_TIMES)]
            if rows:
                return rows
    return list(_differing(left, right, ""))


def record_rows(record: RecordDifference) -> list[Row]:
    """Returns in what two sides of a record differ."""
    return list(_differing(_parsed(record.left), _parsed(record.right), ""))


def step_table(difference: StepDifference, left: str, right: str, indent: int = 2) -> str:
    """Returns a step that differs as a table, under names of the two sides."""
    rows = step_rows(difference)
    shown = table(["FIELD", left, right], rows[:ROWS_MAX], indent=indent)
    return shown if len(rows) <= ROWS_MAX else f"{shown}\n{' ' * indent}and {len(rows) - ROWS_MAX} more"


def record_table(records: list[RecordDifference], left: str, right: str, indent: int = 0) -> str:
    """Returns what differs of records as a table, under names of the two sides."""
    rows = [[each.kind, each.name, *row] for each in records for row in record_rows(each)[:ROWS_MAX]]
    return table(["KIND", "NAME", "FIELD", left, right], rows, indent=indent)


_NOTHING = object()


def _parsed(text: str) -> Any:
    if not text:
        return _NOTHING
    try:
        return json.loads(text)
    except ValueError:  # it was shortened
        return text


def _differing(left: Any, right: Any, path: str) -> Iterator[Row]:
    if isinstance(left, dict) and isinstance(right, dict):
        for name in dict.fromkeys([*left, *right]):
            below = f"{path}.{name}" if path else name
            yield from _differing(left.get(name, _NOTHING), right.get(name, _NOTHING), below)
    elif isinstance(left, list) and isinstance(right, list):
        for place in range(max(len(left), len(right))):
            mine, other = (side[place] if place < len(side) else _NOTHING for side in (left, right))
            yield from _differing(mine, other, f"{path}[{place}]")
    elif left != right:
        yield path or "-", _cell(left), _cell(right)


def _cell(value: Any) -> str:
    if value is _NOTHING:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= CHARACTERS_MAX else text[: CHARACTERS_MAX - 1] + "…"

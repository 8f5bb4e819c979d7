"""Which cost grows faster than it should: slopes on log-log paper. Pure.

A cost that grows as x to the power of p is a line of slope p there. What costs the same for each operation
should have slope 0, what is there once for each x slope 1. A fixed part hides how the rest grows, so the
upper end of the axis is looked at by itself, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log

import msgspec
import numpy as np

TOLERANCE = 0.2
"""By which a slope may be above what it should be."""
SCATTER = 0.25
"""Of the logarithm of a cost from one place to another, which makes slopes of short axes steep."""
UPPER = 3
"""Places of the upper end."""
REPLICATED = 3
"""Nodes from which on everything is replicated."""

EXPECTED = (
    ("shards", "idle: CPU of nodes", 1.0),
    ("shards", "", 0.0),
    ("nodes", "idle: CPU of nodes", 1.0),
    ("nodes", "", 0.0),
    ("value", "", 1.0),
    ("records", "load: CPU a record", 0.0),
    ("records", "memory", 1.0),
    ("records", "directory", 1.0),
    ("records", "start", 1.0),
    ("records", "backup", 1.0),
    ("records", "", 0.0),
)
"""Axis, how the name of a cost begins, and its slope as it should be; the first that fits counts."""


class Verdict(msgspec.Struct, frozen=True):
    """How a cost grows. `overall` and `upper`: its slope along the axis, and at the axis' upper end."""

    axis: str
    name: str
    places: dict[int, float]
    expected: float
    overall: float
    upper: float

    @property
    def is_too_steep(self) -> bool:
        """Whether it grows faster than it should, and by more than measurements scatter."""
        at = _judged_places(self.axis, self.places)
        return any(
            found > self.expected + max(TOLERANCE, SCATTER / log(at[-1] / first))
            for found, first in ((self.overall, at[0]), (self.upper, at[-UPPER:][0]))
        )


def slope(places: Sequence[float], costs: Sequence[float]) -> float:
    """The slope of the line through the logarithms, by least squares. All above 0, two at least."""
    x, y = np.log(np.asarray(places, float)), np.log(np.asarray(costs, float))
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / (x * x).sum())


def expected_slope(axis: str, name: str) -> float:
    """How a cost should grow."""
    return next(each for of, begins, each in EXPECTED if of == axis and name.startswith(begins))


def _judged_places(axis: str, costs: Mapping[int, float]) -> list[int]:
    """Of the axis of nodes those that replicate."""
    return sorted(at for at, cost in costs.items() if cost > 0 and (axis != "nodes" or at >= REPLICATED))


def judge(axis: str, name: str, costs: Mapping[int, float]) -> Verdict | None:
    """How a cost grows; None where fewer than two places have one above 0."""
    at = _judged_places(axis, costs)
    if len(at) < 2:
        return None
    cost = [costs[each] for each in at]
    overall, upper = slope(at, cost), slope(at[-UPPER:], cost[-UPPER:])
    return Verdict(axis, name, dict(sorted(costs.items())), expected_slope(axis, name), overall, upper)


def judged(curves: Iterable[tuple[str, str, Mapping[int, float]]]) -> list[Verdict]:
    """All verdicts, the steepest beyond what it should be first."""
    found = [verdict for each in curves if (verdict := judge(*each)) is not None]
    return sorted(found, key=lambda each: each.expected - max(each.overall, each.upper))

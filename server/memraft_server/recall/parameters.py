"""What a recall counts with: each number a default, which a namespace and then a call may replace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from memraft_server.recall.fusion import Weights

PIPELINE = 1
"""Raised with every change after which the same memories and parameters give other hits: receipts name it."""

GRAPH_DEPTH_MAX = 3
WEIGHT_MAX = 100.0
"""Of weights, either way: with what is larger the others are lost in rounding."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """See docs/recall.md for what was measured."""

    weights: Weights = field(default_factory=Weights)
    """What each signal counts for."""
    decay_per_day: float = 0.01
    """Salience decays by exp(-this * days) since it was written or last recalled: by half in 69 days."""
    half_life_days: float = 30.0
    """Recency halves in so many days."""
    diversity: float = 0.0
    """How much likeness to what is ranked higher takes off, from 0 to 1 (maximal marginal relevance)."""
    duplicate_cosine: float = 0.98
    """From this cosine on two texts may say the same; above 1: only with the same words."""
    graph_depth: int = 1
    """How many edges from what the query names memories are looked for."""
    by_ranks: bool = False
    """Whether text and vector count by their reciprocal ranks, not by what was measured."""


DEFAULT = Parameters()

WEIGHTS = tuple(each.name for each in fields(Weights))
SHAPES = ("decay_per_day", "half_life_days", "diversity", "duplicate_cosine", "graph_depth", "by_ranks")
"""What is not a weight."""

Given = Mapping[str, float]
"""Name of a parameter -> what it is given as."""


def overlaid(base: Parameters, given: Given) -> Parameters:
    """Returns `base` with these parameters in place of its own. The caller has checked them."""
    if not given:
        return base
    weights = {name: given[name] for name in WEIGHTS if name in given}
    shapes: dict[str, float] = {name: given[name] for name in SHAPES if name in given}
    if "graph_depth" in shapes:
        shapes["graph_depth"] = int(shapes["graph_depth"])
    if "by_ranks" in shapes:
        shapes["by_ranks"] = bool(shapes["by_ranks"])
    return replace(base, weights=replace(base.weights, **weights), **shapes)  # type: ignore[arg-type]


def fault_of(given: Given) -> tuple[str, str] | None:
    """Returns (name of a parameter, what is wrong with it), or None where nothing is."""
    for name, value in given.items():
        low, high = _BOUNDS.get(name, (-WEIGHT_MAX, WEIGHT_MAX))
        if not low <= value <= high:  # NaN fails too
            return name, f"{value:g}, from {low:g} to {high:g}"
    return None


_BOUNDS: dict[str, tuple[float, float]] = {
    "decay_per_day": (0.0, 1e6),
    "half_life_days": (1e-6, 1e6),
    "diversity": (0.0, 1.0),
    "duplicate_cosine": (0.0, 2.0),
    "graph_depth": (0, GRAPH_DEPTH_MAX),
    "by_ranks": (0, 1),
}

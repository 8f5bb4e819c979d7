"""What a benchmark reports: figures beside their targets, with their spread and the machine's facts."""

import operator
from collections.abc import Callable, Sequence

import msgspec

from memraft_server.cli.figures import Latencies, Machine, Spread, machine, spread
from memraft_server.cli.output import count, duration, table

_REACHED: dict[str, Callable[[float, float], bool]] = {"at most": operator.le, "at least": operator.ge}


class Target(msgspec.Struct, frozen=True):
    """What a figure should reach: `sense` is "at most" or "at least"."""

    sense: str
    value: float


class Figure(msgspec.Struct, frozen=True):
    """One figure. `unit` is one of us, per_s, bytes, share; `value` sums up `rounds` rounds.

    `detail` says more about the same measurement, such as the latencies behind a rate.
    """

    name: str
    unit: str
    value: Spread
    rounds: int
    target: Target | None
    reached: bool | None
    detail: dict[str, float]


class Report(msgspec.Struct, frozen=True):
    """A benchmark's figures, and where they were measured. `quick`: too short to mean much."""

    benchmark: str
    quick: bool
    machine: Machine
    figures: list[Figure]


def figure(
    name: str,
    unit: str,
    rounds: Sequence[float],
    target: Target | None = None,
    detail: dict[str, float] | None = None,
) -> Figure:
    """Sums up one figure over its rounds; the median is what is held against the target."""
    value = spread(rounds)
    reached = None if target is None else _REACHED[target.sense](value.median, target.value)
    return Figure(name, unit, value, len(rounds), target, reached, detail or {})


def at_most(value: float) -> Target:
    """A target that is reached from above."""
    return Target("at most", value)


def at_least(value: float) -> Target:
    """A target that is reached from below."""
    return Target("at least", value)


def report(benchmark: str, quick: bool, figures: list[Figure]) -> Report:
    """Puts figures together with the facts of this machine."""
    return Report(benchmark, quick, machine(), figures)


def render(result: Report) -> str:
    """The report as a person reads it."""
    rows = [
        [
            each.name,
            amount(each.value.median, each.unit),
            f"{amount(each.value.least, each.unit)} to {amount(each.value.greatest, each.unit)}"
            if each.rounds > 1
            else "",
            f"{each.target.sense} {amount(each.target.value, each.unit)}" if each.target else "",
            {True: "reached", False: "MISSED", None: ""}[each.reached],
            ", ".join(f"{name} {duration(us * 1e-6)}" for name, us in each.detail.items()),
        ]
        for each in result.figures
    ]
    facts = result.machine
    headers = ["FIGURE", "MEDIAN", "ROUNDS", "TARGET", "", "ALSO"]
    title = f"memraft bench {result.benchmark}: {facts.cores} cores, {facts.cpu}, Python {facts.python}"
    warning = "\n(quick: rounds too short for the figures to mean much)" if result.quick else ""
    return f"{title}{warning}\n\n{table(headers, rows, right='lr')}"


def amount(value: float, unit: str) -> str:
    """A value with its unit for a person."""
    match unit:
        case "us":
            return duration(value * 1e-6)
        case "per_s":
            return f"{count(value)}/s"
        case "bytes":
            return f"{count(value)} bytes"
        case _:
            return f"{value:.3f}"


def latency_detail(all_rounds: Latencies) -> dict[str, float]:
    """Median and tail of the latencies behind a rate, in microseconds."""
    return {"p50": all_rounds.p50_us, "p99": all_rounds.p99_us}

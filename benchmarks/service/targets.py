"""What the project is to reach, beside what was measured in the same run. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping

import msgspec

from benchmarks.service.figures import Figure, Outcome, find, node_cpu_us
from benchmarks.service.lines import Line
from memraft_server.cli.bench.result import Report

_REACHED: dict[str, Callable[[float, float], bool]] = {"at least": operator.ge, "at most": operator.le}

Take = Callable[[Figure], float]


class Goal(msgspec.Struct, frozen=True):
    """One row of the table. `measured` is None where `reason` says why there is no figure; `how`: what was
    divided by what; `lines`: ours, then those it was held against; `command`: of `memraft bench`, where it is
    that one's figure. A goal without a `wanted` is told, and not judged."""

    title: str
    sense: str
    wanted: float | None
    unit: str
    measured: float | None
    how: str
    reason: str = ""
    lines: tuple[Line, ...] = ()
    command: str = ""

    @property
    def is_reached(self) -> bool | None:
        """Whether it is; None where nothing can be said."""
        if self.measured is None or self.wanted is None:
            return None
        return _REACHED[self.sense](self.measured, self.wanted)


def rate(figure: Figure) -> float:
    """Operations a second."""
    return figure.rate.median


def p50(figure: Figure) -> float:
    """Microseconds."""
    return figure.p50_us.median


def p99(figure: Figure) -> float:
    """Microseconds."""
    return figure.p99_us.median


Outcomes = Mapping[Line, Outcome]


def _against(
    outcomes: Outcomes, title: str, sense: str, wanted: float | None, take: Take, ours: Line, theirs: Line
) -> Goal:
    mine, other = find(outcomes, ours), find(outcomes, theirs)
    for side, line in ((mine, ours), (other, theirs)):
        if isinstance(side, str):
            return Goal(title, sense, wanted, "times", None, "", f"{line.title}: {side}")
    assert isinstance(mine, Figure) and isinstance(other, Figure)
    how = f"{_text(take(mine))} / {_text(take(other))} {'a second' if take is rate else 'µs'}"
    measured = take(mine) / take(other)
    return Goal(title, sense, wanted, "times", measured, how, lines=(ours, theirs))


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _writes(outcomes: Outcomes) -> Iterator[Goal]:
    three, etcd, lean = (Line(each, "put", 256) for each in ("memraft x3", "etcd x3", "etcd x3 lean"))
    what = "three nodes, durable writes, 256 callers"
    yield _against(outcomes, f"{what}: rate, to etcd's through grpcio", "at least", 10, rate, three, etcd)
    yield _against(outcomes, f"{what}: rate, to etcd's at its own limit", "at least", 3, rate, three, lean)
    yield _against(outcomes, f"{what}: p99, to etcd's through grpcio", "at most", 1, p99, three, etcd)
    yield _against(outcomes, f"{what}: p99, to etcd's at its own limit", "at most", 1, p99, three, lean)


def _same_client(engine: str) -> str:
    """The system that is etcd through the same kind of client as ours."""
    return "etcd x3" if engine == "grpcio" else "etcd x3 lean"


def _cluster(outcomes: Outcomes, engine: str) -> Iterator[Goal]:
    yield from _writes(outcomes)
    same = _same_client(engine)
    yield _against(
        outcomes, "three nodes, one caller's write: p50, to etcd's through the same kind of client",
        "at most", 1, p50, Line("memraft x3", "put", 1), Line(same, "put", 1),
    )  # fmt: skip
    for mine, other, wanted in (("linearizable", "linearizable", 5), ("session", "serializable", 10)):
        for system, client in (("etcd x3", "through grpcio"), ("etcd x3 lean", "at its own limit")):
            title = f"three nodes, {mine} reads, 256 callers: rate, to etcd's {other} {client}"
            ours, theirs = Line("memraft x3", "get", 256, mine), Line(system, "get", 256, other)
            yield _against(outcomes, title, "at least", wanted, rate, ours, theirs)


def _node(outcomes: Outcomes) -> Iterator[Goal]:
    one, always = Line("memraft", "put", 64), Line("redis always", "put", 64)
    title = "one node, synced writes, 64 callers: rate, to Redis (always)"
    yield _against(outcomes, title, "at least", 2, rate, one, always)
    for level in ("session", "linearizable"):
        title = f"one node, {level} reads, 64 callers: rate, to Redis"
        ours, theirs = Line("memraft", "get", 64, level), Line("redis always", "get", 64)
        yield _against(outcomes, title, "at least", 1, rate, ours, theirs)
    for blocking, client in ((False, "asyncio"), (True, "blocking")):
        title = f"one node, one caller's read, {client} clients: p50, to redis-py's"
        ours = Line("memraft", "get", 1, "session", blocking)
        theirs = Line("redis always", "get", 1, "", blocking)
        yield _against(outcomes, title, "at most", 3, p50, ours, theirs)


def _vectors(outcomes: Outcomes) -> Goal:
    title = "vector search over gRPC, beyond the empty RPC: to the index's own time"
    lines = (Line("memraft", "search", 1), Line("memraft", "empty", 1), Line("index", "search", 1, "", True))
    sides = [find(outcomes, line) for line in lines]
    for side, line in zip(sides, lines, strict=True):
        if isinstance(side, str):
            return Goal(title, "at most", 1.3, "times", None, "", f"{line.title}, {line.work}: {side}")
    search, empty, index = (p50(each) for each in sides if isinstance(each, Figure))
    how = f"({_text(search)} - {_text(empty)}) / {_text(index)} µs"
    if search <= empty:
        reason = f"a search took no longer than an empty RPC: {how}"
        return Goal(title, "at most", 1.3, "times", None, "", reason)
    return Goal(title, "at most", 1.3, "times", (search - empty) / index, how, lines=lines)


def _point_to_batch(outcomes: Outcomes, system: str) -> Goal:
    title = f"{system}: CPU of all nodes for a put of 64 callers, to one in a batch"
    ours, theirs = Line(system, "put", 64), Line(system, "put_batch", 64)
    return _against(outcomes, title, "", None, node_cpu_us, ours, theirs)


_EMBEDDED = (
    ("kv", "embedded get, p50", "embedded get: p50", "at most", 2.0, "µs"),
    (
        "stream",
        "events ingested, 5,000 a call, in a directory, relaxed",
        "embedded, relaxed, events in batches",
        "at least",
        469_000.0,
        "a second",
    ),
)


def _embedded(reports: Mapping[str, Report | str]) -> Iterator[Goal]:
    for command, name, title, sense, wanted, unit in _EMBEDDED:
        report = reports.get(command, "not measured")
        if isinstance(report, str):
            yield Goal(title, sense, wanted, unit, None, "", report)
            continue
        value = next((each.value.median for each in report.figures if each.name == name), None)
        reason = "" if value is not None else f"memraft bench {command} tells no {name!r}"
        how = f"memraft bench {command}"
        yield Goal(title, sense, wanted, unit, value, how, reason, command=command)


def goals(outcomes: Outcomes, reports: Mapping[str, Report | str], engine: str) -> list[Goal]:
    """All rows of the table, in the order of the project's goals.

    Args:
        outcomes: of all lines.
        reports: of `memraft bench`, by command, or why there is none.
        engine: that Memraft was measured with; empty: its default.
    """
    return [
        *_cluster(outcomes, engine),
        *_node(outcomes),
        *_embedded(reports),
        _vectors(outcomes),
        _point_to_batch(outcomes, "memraft"),
        _point_to_batch(outcomes, "memraft x3"),
    ]

"""The report as Markdown. Pure: the same results give the same text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from benchmarks.service import limits
from benchmarks.service.bounds import bound
from benchmarks.service.driver import Found, Options
from benchmarks.service.figures import Figure, Outcome, Refused
from benchmarks.service.lines import NAMES, Group, Line, callers_text
from benchmarks.service.products import engine_text
from benchmarks.service.profiles import Profiled
from benchmarks.service.targets import Goal
from benchmarks.service.ycsb import RECORD_BYTES
from memraft_server.cli.bench.result import Report, amount
from memraft_server.cli.figures import Machine, Spread, spread

DASH = "–"
BUSY = 0.9
"""From this share of a core on, the client is what limits."""


class Result(msgspec.Struct, frozen=True):
    """All of a run: what goes into report.json."""

    made_at: str
    machine: Machine
    options: Options
    versions: dict[str, str]
    goals: list[Goal]
    limits: dict[str, list[float]]
    groups: list[GroupResult]
    memory: dict[str, dict[str, float]]
    recall: dict[str, float]
    absent: dict[str, str]
    embedded: dict[str, Report | str]


class GroupResult(msgspec.Struct, frozen=True):
    """A group's figures, and what was refused."""

    name: str
    title: str
    figures: list[Figure]
    refused: list[Refused]


def group_results(found: Found) -> list[GroupResult]:
    """Figures by group, in order."""
    return [group_result(group, found.outcomes) for group in found.groups]


def group_result(group: Group, outcomes: Mapping[Line, Outcome]) -> GroupResult:
    """A group with what was measured of its lines."""
    of_group: list[Outcome] = [outcomes[line] for line in group.lines]
    return GroupResult(
        name=group.name,
        title=group.title,
        figures=[each for each in of_group if isinstance(each, Figure)],
        refused=[each for each in of_group if isinstance(each, Refused)],
    )


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], right_from: int = 1) -> list[str]:
    """A table of Markdown; columns from `right_from` on are numbers."""
    marks = ["---" if place < right_from else "---:" for place in range(len(headers))]
    return ["", _row(headers), _row(marks), *(_row(row) for row in rows), ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def number(value: float) -> str:
    """A number with as many digits as mean something."""
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread_text(value: Spread) -> str:
    """A median with the least and the greatest round."""
    if value.least == value.greatest:
        return number(value.median)
    return f"{number(value.median)} ({number(value.least)}{DASH}{number(value.greatest)})"


def goal_rows(goals: Iterable[Goal]) -> Iterable[list[str]]:
    """Rows of the table of what is to be reached."""
    for goal in goals:
        wanted = "" if goal.wanted is None else f"{goal.sense} {number(goal.wanted)} {goal.unit}"
        if goal.measured is None:
            yield [goal.title, wanted, DASH, f"no figure: {goal.reason}", ""]
            continue
        verdict = {True: "reached", False: "**missed**", None: ""}[goal.is_reached]
        yield [goal.title, wanted, f"{number(goal.measured)} {goal.unit}", goal.how, verdict]


def _names(line: Line, titles: Sequence[Line]) -> str:
    """The row's title; the work, too, where that is not the same in all rows of the group."""
    works = {each.work for each in titles}
    return f"{line.title}: {line.work}" if len(works) > 1 else line.title


def figure_rows(group: GroupResult) -> Iterable[list[str]]:
    """Rows of a group's table: figures, then what was refused."""
    lines = [*(each.line for each in group.figures), *(each.line for each in group.refused)]
    for figure in group.figures:
        nodes = [each for name, each in figure.cpu_us.items() if name != "client"]
        busy = f"{figure.busy.median:.0%}"
        yield [
            _names(figure.line, lines)
            + (f" (tried {1 + figure.retried:.2f} times)" if figure.retried else ""),
            spread_text(figure.rate),
            spread_text(figure.p50_us),
            spread_text(figure.p99_us),
            number(figure.cpu_us["client"].median),
            " + ".join(number(each.median) for each in nodes) or DASH,
            " + ".join(number(each.median) for each in figure.written_bytes.values()) or DASH,
            f"**{busy}**" if figure.busy.median >= BUSY else busy,
        ]
    for refused in group.refused:
        yield [_names(refused.line, lines), f"no figure: {refused.reason}", "", "", "", "", "", ""]


HEADERS = (
    "", "operations/s", "p50 µs", "p99 µs",
    "client CPU µs/op", "nodes CPU µs/op", "nodes written B/op", "client busy",
)  # fmt: skip


def _head(result: Result) -> list[str]:
    facts, options = result.machine, result.options
    engine = engine_text(options.engine)
    quick = (
        ["", "**Rounds were too short for the figures to mean much (`--quick`).**"] if options.quick else []
    )
    return [
        "# Benchmark report",
        "",
        "Made by `make bench`; [README.md](README.md) says how to read it. Figures are medians of "
        f"{options.rounds} interleaved rounds, in parentheses the least and the greatest. "
        "Ratios mean something on any machine, the rest on this one only.",
        *quick,
        "",
        f"{result.made_at}, {facts.cores} cores, {facts.cpu}, {facts.memory_bytes / 2**30:.0f} GiB, "
        f"{facts.system}, Python {facts.python}. Serving engine: {engine}. "
        f"{'; '.join(f'{name}: {text}' for name, text in sorted(result.versions.items()))}.",
        *(
            line
            for name, reason in result.absent.items()
            for line in ("", f"Without {NAMES[name]}: {reason}.")
        ),
    ]


def _limits(result: Result) -> list[str]:
    rows = [[limits.NAMES[name], spread_text(spread(p50))] for name, p50 in result.limits.items()]
    empty = [
        [f"empty RPC over gRPC with mutual TLS, {callers_text(each.line.callers)}", spread_text(each.p50_us)]
        for group in result.groups
        for each in group.figures
        if each.line.work == "empty"
    ]
    if not rows and not empty:
        return []
    return ["", "## Limits of this machine", *table(["", "p50 µs"], [*rows, *empty])]


def _groups(result: Result) -> list[str]:
    lines = ["", "## Figures"]
    for group in result.groups:
        lines += ["", f"### {group.title[0].upper()}{group.title[1:]}", *table(HEADERS, figure_rows(group))]
    return lines if result.groups else []


def _memory(result: Result) -> list[str]:
    if not result.memory:
        return []
    rows = [
        [NAMES[system], " + ".join(number(each) for each in nodes.values())]
        for system, nodes in result.memory.items()
    ]
    count = result.options.records
    title = f"Records of 10 fields of 100 bytes, {RECORD_BYTES:,} bytes as JSON; {count:,} of them."
    return ["", "## Memory a record", "", title, *table(["", "bytes, each node"], rows)]


def _recall(result: Result) -> list[str]:
    if not result.recall:
        return []
    rows = [[NAMES[name], f"{share:.3f}"] for name, share in result.recall.items()]
    title = (
        f"Of the exact nearest ten among {result.options.vectors:,} vectors of 384 dimensions, in clusters."
    )
    return ["", "## Share of the nearest that is found", "", title, *table(["", "recall@10"], rows)]


def _embedded(result: Result) -> list[str]:
    lines = ["", "## In process, and recall: `memraft bench`"] if result.embedded else []
    for command, report in result.embedded.items():
        lines += ["", f"### memraft bench {command}"]
        if isinstance(report, str):
            lines += ["", f"no figures: {report}"]
            continue
        rows = [
            [
                each.name,
                amount(each.value.median, each.unit),
                f"{amount(each.value.least, each.unit)} to {amount(each.value.greatest, each.unit)}",
                f"{each.target.sense} {amount(each.target.value, each.unit)}" if each.target else "",
                {True: "reached", False: "**missed**", None: ""}[each.reached],
            ]
            for each in report.figures
        ]
        lines += table(["", "median", "rounds", "target", ""], rows)
    return lines


def _missed(result: Result, profiles: Mapping[str, Profiled]) -> list[str]:
    figures = {each.line: each for group in result.groups for each in group.figures}
    p50_us = {name: spread(rounds).median for name, rounds in result.limits.items()}
    lines: list[str] = []
    for goal in result.goals:
        if goal.is_reached is False:
            why = bound(goal, figures, p50_us, result.embedded, result.machine.cores)
            lines += ["", f"### {goal.title}", "", why, "", _profile(profiles.get(goal.title, ""))]
    return ["", "## What bounds what was missed", *lines] if lines else []


def _profile(profiled: Profiled) -> str:
    if isinstance(profiled, str):
        return f"No profile: {profiled}." if profiled else ""
    return f"Profile: {', '.join(f'[{process}]({path})' for process, path in profiled)}."


def render(result: Result, plots: Sequence[str] = (), profiles: Mapping[str, Profiled] | None = None) -> str:
    """The whole report.

    Args:
        result: of a run.
        plots: names of SVG files beside it.
        profiles: flame graphs beside it, by title of the goal that was missed, or why there are none.
    """
    headers = ["", "wanted", "measured", "of", ""]
    lines = [
        *_head(result),
        "",
        "## To reach",
        *table(headers, goal_rows(result.goals), right_from=9),
        *(f"![{name}]({name})\n" for name in plots),
        *_missed(result, profiles or {}),
        *_limits(result),
        *_groups(result),
        *_memory(result),
        *_recall(result),
        *_embedded(result),
    ]
    text = "\n".join(lines) + "\n"
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text

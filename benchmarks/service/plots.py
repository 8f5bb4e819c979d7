"""The report's plots as SVG, the same bytes for the same figures: what changed is what a diff shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import StrMethodFormatter

from benchmarks.service.figures import Figure, node_cpu_us
from benchmarks.service.lines import CALLERS, callers_text
from benchmarks.service.report import Result
from benchmarks.service.targets import Goal

matplotlib.use("svg")

SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "memraft",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.alpha": 0.3,
}
SHADES = {
    "memraft": ("#1b6ca8", "#63a4cf", "#b0cfe6"),
    "redis": ("#b23a48", "#e08e79"),
    "etcd": ("#4f772d", "#90a955", "#8d6a9f", "#c3aed6"),
}
"""Colours of the series of each kind of system, in turn."""
CLIENT, NODES, REACHED, MISSED = "#b0cfe6", "#1b6ca8", "#66a182", "#d1495b"
TIMES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
Bars = Mapping[str, Sequence[Figure | None]]
"""Name of a series -> its figure at each place of the axis."""


def draw(result: Result, directory: Path) -> list[str]:
    """Draws all plots that there are figures for, into `plots/` of a directory; their names from there."""
    folder = directory / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    figures = {each.line: each for group in result.groups for each in group.figures}
    drawn: list[str] = []
    if _goals(result.goals, directory / "plots/to-reach.svg"):
        drawn.append("plots/to-reach.svg")
    for where in ("one node", "three nodes"):
        here = [each for each in figures.values() if _is_at(each, where)]
        for work in ("put", "get"):
            series = _by_callers([each for each in here if each.line.work == work])
            name = f"plots/{work}-{where.replace(' ', '-')}.svg"
            if _bars(
                series,
                [callers_text(each) for each in CALLERS],
                f"{work} of 100 bytes, {where}",
                directory / name,
            ):
                drawn.append(name)
        series = _by_letter(
            [each for each in here if each.line.work.startswith("ycsb") and each.line.callers == 64]
        )
        name = f"plots/ycsb-{where.replace(' ', '-')}.svg"
        if _bars(
            series, [f"YCSB {each}" for each in "ABCDEF"], f"YCSB, 64 callers, {where}", directory / name
        ):
            drawn.append(name)
    name = "plots/cpu.svg"
    costs = [
        each for each in figures.values() if each.line.callers == 256 and each.line.work in ("put", "get")
    ]
    costs.sort(key=lambda each: each.line.work, reverse=True)
    if _cpu(costs, directory / name):
        drawn.append(name)
    return drawn


def _is_at(figure: Figure, where: str) -> bool:
    is_three = figure.line.system.partition(" ")[2].startswith("x3")
    return not figure.line.blocking and is_three == (where == "three nodes")


def _by_callers(figures: Sequence[Figure]) -> Bars:
    series: dict[str, list[Figure | None]] = {}
    for each in figures:
        series.setdefault(each.line.title, [None] * len(CALLERS))[CALLERS.index(each.line.callers)] = each
    return series


def _by_letter(figures: Sequence[Figure]) -> Bars:
    series: dict[str, list[Figure | None]] = {}
    for each in figures:
        series.setdefault(each.line.title, [None] * 6)["abcdef".index(each.line.work[-1])] = each
    return series


def _colours(series: Bars) -> dict[str, str]:
    """A colour for each series, of the shades of its system."""
    left = {kind: list(shades) for kind, shades in SHADES.items()}
    kinds = {name: next(each for each in row if each is not None).line.system for name, row in series.items()}
    return {name: left[system.partition(" ")[0]].pop(0) for name, system in kinds.items()}


def save(figure: Any, path: Path) -> None:
    # No date, and no version of the library: neither is a result.
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})


def _bars(series: Bars, places: Sequence[str], title: str, path: Path) -> bool:
    """Groups of bars of rates with their spread, on a scale of powers of ten; False where there are none."""
    if not series:
        return False
    with matplotlib.rc_context(SETTINGS):
        canvas = Canvas(figsize=(7.5, 3.4))
        axes = canvas.add_subplot()
        width, colours = 0.8 / len(series), _colours(series)
        for number, (name, figures) in enumerate(series.items()):
            there = [(place, each) for place, each in enumerate(figures) if each is not None]
            axes.bar(
                [place + (number - (len(series) - 1) / 2) * width for place, _ in there],
                [each.rate.median for _, each in there],
                width * 0.92,
                label=name,
                color=colours[name],
                yerr=[
                    [each.rate.median - each.rate.least for _, each in there],
                    [each.rate.greatest - each.rate.median for _, each in there],
                ],
                error_kw={"elinewidth": 0.7},
            )
        axes.set_yscale("log")
        axes.set_xticks(range(len(places)), places)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_ylabel("operations a second")
        axes.set_title(title, loc="left")
        axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        save(canvas, path)
    return True


def _goals(goals: Sequence[Goal], path: Path) -> bool:
    """How near each goal is, on a scale of powers of ten: 1 is reached; False where none was measured."""
    near = {}
    for goal in goals:
        if goal.is_reached is not None and goal.measured and goal.wanted:
            far = goal.measured / goal.wanted
            near[goal.title] = far if goal.sense == "at least" else 1 / far
    if not near:
        return False
    with matplotlib.rc_context({**SETTINGS, "axes.grid.axis": "x"}):
        canvas = Canvas(figsize=(5.5, 0.6 + 0.24 * len(near)))
        axes = canvas.add_subplot()
        colours = [REACHED if each >= 1 else MISSED for each in near.values()]
        axes.barh(list(near), [each - 1 for each in near.values()], left=1, color=colours)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xscale("log")
        shown = [each for each in TIMES if min(*near.values(), 0.5) <= each <= max(*near.values(), 2)]
        axes.set_xticks(shown, [f"{each:g}" for each in shown])
        axes.minorticks_off()
        axes.invert_yaxis()
        axes.set_xlabel("measured to wanted: 1 is reached")
        save(canvas, path)
    return True


def _cpu(figures: Sequence[Figure], path: Path) -> bool:
    """CPU an operation, of the client and of all nodes, one bar upon the other; False where there is none."""
    if not figures:
        return False
    with matplotlib.rc_context({**SETTINGS, "axes.grid.axis": "x"}):
        canvas = Canvas(figsize=(7.5, 0.6 + 0.28 * len(figures)))
        axes = canvas.add_subplot()
        names = [f"{each.line.work}: {each.line.title}" for each in figures]
        client = [each.cpu_us["client"].median for each in figures]
        axes.barh(names, client, color=CLIENT, label="client")
        axes.barh(names, [node_cpu_us(each) for each in figures], left=client, color=NODES, label="nodes")
        axes.invert_yaxis()
        axes.set_xlabel("µs of CPU an operation, 256 callers")
        axes.legend(frameon=False, fontsize=7)
        save(canvas, path)
    return True

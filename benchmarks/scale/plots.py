"""The curves as SVG, on log-log paper, the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure as Canvas

from benchmarks.scale.results import Measured, Result, of_axis
from benchmarks.service.plots import SETTINGS, save
from memraft_server.cli.figures import Spread

TITLES = {
    "shards": "shards on three nodes, 256 callers",
    "nodes": "nodes of 6 replicas each, 32 callers for each shard",
    "value": "bytes of a value, three nodes, 16 callers",
    "records": "records of 100 bytes, one node, 64 callers",
}
COLOURS = ("#1b6ca8", "#b23a48", "#4f772d", "#8d6a9f")
Series = Mapping[str, Mapping[int, Spread]]


def draw(result: Result, folder: Path) -> list[str]:
    """Draws what there are figures for; the names of the files."""
    drawn: list[str] = []
    for axis, title in TITLES.items():
        found = of_axis(result.measured, axis)
        if found:
            rates = {name: {each.at: _of(each).rate for each in row} for name, row in found.items()}
            costs = {name: {each.at: _cpu(each) for each in row} for name, row in found.items()}
            name = f"scale-{axis}.svg"
            _pair(
                title, ("operations a second", rates), ("µs of CPU an operation, nodes", costs), folder / name
            )
            drawn.append(name)
    if result.sizes:
        start = {
            "start, until ready": {each.records: each.start_s for each in result.sizes},
            "start, CPU": {each.records: each.start_cpu_s for each in result.sizes},
            "backup": {each.records: each.backup_s for each in result.sizes},
        }
        weight = {
            "memory": {each.records: _exactly(each.memory_bytes / 1e6) for each in result.sizes},
            "directory": {each.records: _exactly(each.disk_bytes / 1e6) for each in result.sizes},
        }
        _pair(TITLES["records"], ("seconds", start), ("MB", weight), folder / "scale-size.svg")
        drawn.append("scale-size.svg")
    return drawn


def _of(each: Measured) -> Any:
    assert each.figure is not None
    return each.figure


def _cpu(each: Measured) -> Spread:
    return _exactly(each.nodes_cpu_us)


def _exactly(value: float) -> Spread:
    return Spread(value, value, value)


def _pair(title: str, left: tuple[str, Series], right: tuple[str, Series], path: Path) -> None:
    """Two sets of curves side by side, with the least and the greatest round as bars."""
    with matplotlib.rc_context({**SETTINGS, "axes.grid.axis": "both"}):
        canvas = Canvas(figsize=(8.5, 3.2))
        for place, (label, series) in enumerate((left, right)):
            axes = canvas.add_subplot(1, 2, place + 1)
            for colour, (name, row) in zip(COLOURS, series.items(), strict=False):
                _curve(axes, list(row), list(row.values()), name, colour)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_ylabel(label)
            places = sorted({at for row in series.values() for at in row})
            axes.set_xticks(places, [f"{each:,}" for each in places])
            axes.minorticks_off()
            axes.legend(frameon=False, fontsize=7)
        canvas.suptitle(title, x=0.02, ha="left", fontsize=9)
        canvas.subplots_adjust(wspace=0.3)
        save(canvas, path)


def _curve(axes: Any, at: Sequence[int], costs: Sequence[Spread], name: str, colour: str) -> None:
    medians = [each.median for each in costs]
    below = [each.median - each.least for each in costs]
    above = [each.greatest - each.median for each in costs]
    axes.errorbar(
        at, medians, yerr=[below, above], label=name, color=colour, marker="o", markersize=3, elinewidth=0.7
    )

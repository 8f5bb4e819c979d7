"""Draws a flame graph out of what ``py-spy record --format raw`` wrote: a plain SVG, small enough to keep.

    python benchmarks/flames.py leader.txt leader.svg --title "leader, single puts" --least 0.4

The width of a frame is its share of the samples in which the process was busy; its children stand on it, the
widest first. Frames of less than ``--least`` per cent are left out.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from zlib import crc32

WIDTH, ROW, TOP = 1200.0, 17, 34
CHARACTER_WIDTH = 6.4
STARTS = ("Handle._run", "Runner.run ", "_WorkItem.run")
"""The event loop's own frames, and those of a pool's thread, say nothing."""
IDLE = (
    "select (selectors.py",
    "_worker (concurrent/futures/thread.py",
    "_recv (multiprocessing/connection.py",
    "Runner.run (asyncio/runners.py",
)
"""Where a thread waits."""
_LINE = re.compile(r":\d+\)$")


class Frame:
    """A function where it was called from, and what it called."""

    def __init__(self) -> None:
        self.samples = 0
        self.children: dict[str, Frame] = {}

    def add(self, stack: Iterable[str], samples: int) -> None:
        frame = self
        frame.samples += samples
        for name in stack:
            frame = frame.children.setdefault(name, Frame())
            frame.samples += samples

    def depth(self, least: float) -> int:
        return 1 + max(
            (each.depth(least) for each in self.children.values() if each.samples > least), default=0
        )


def read(lines: Iterable[str], starts: Sequence[str]) -> Frame:
    """The samples, each from behind the last of ``starts`` in its stack; of other threads all of it."""
    root = Frame()
    for line in lines:
        stack, _, samples = line.rpartition(" ")
        names = [_LINE.sub(")", name) for name in stack.split(";")]
        places = [place for place, name in enumerate(names) if any(each in name for each in starts)]
        root.add(names[places[-1] + 1 :] if places else names, int(samples))
    return root


def draw(root: Frame, title: str, least_percent: float) -> str:
    """The SVG."""
    least = root.samples * least_percent / 100
    height = TOP + root.depth(least) * ROW + 6
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height}" '
        'font-family="monospace" font-size="11"><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="6" y="20" font-size="15">{escape(title)}: {root.samples} samples</text>',
    ]
    _draw(parts, root, 0.0, height - ROW - 4, root.samples, least)
    return "\n".join([*parts, "</svg>", ""])


def _draw(parts: list[str], frame: Frame, x: float, y: int, total: int, least: float) -> None:
    for name, child in sorted(frame.children.items(), key=lambda each: -each[1].samples):
        if child.samples <= least:
            continue
        width = child.samples / total * WIDTH
        hue = 20 + crc32(name.partition("(")[2].encode()) % 40
        label = name[: int((width - 4) / CHARACTER_WIDTH)] if width > 24 else ""
        parts.append(
            f'<g><title>{escape(name)} {child.samples / total:.1%}</title><rect x="{x:.1f}" y="{y}" '
            f'width="{max(width - 0.5, 0.3):.1f}" height="{ROW - 1}" fill="hsl({hue},80%,68%)"/>'
            f'<text x="{x + 2:.1f}" y="{y + 12}">{escape(label)}</text></g>'
        )
        _draw(parts, child, x, y - ROW, total, least)
        x += width


def flame_graph(raw: str, title: str, least_percent: float, starts: Sequence[str] = STARTS) -> str:
    """The SVG of what py-spy wrote, without the samples in which a thread waited."""
    lines = raw.splitlines()
    busy = [line for line in lines if not any(each in line.rpartition(";")[2] for each in IDLE)]
    return draw(read(busy, starts), title, least_percent)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("raw", type=Path)
    parser.add_argument("svg", type=Path)
    parser.add_argument("--title", default="")
    parser.add_argument("--least", type=float, default=0.4, metavar="PERCENT")
    parser.add_argument("--start", nargs="+", default=STARTS, metavar="FRAME", help="draw what these call")
    args = parser.parse_args()
    title = args.title or args.raw.stem
    args.svg.write_text(flame_graph(args.raw.read_text(encoding="utf-8"), title, args.least, args.start))


if __name__ == "__main__":
    main()

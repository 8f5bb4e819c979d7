"""Has profiled what missed its goal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.service.driver import Stage, say
from benchmarks.service.products import Unavailable
from benchmarks.service.profiles import (
    BENCH_STARTS,
    DIRECTORY,
    Profiled,
    Raw,
    draw,
    line_stem,
    line_title,
    of_command,
)
from benchmarks.service.targets import Goal


class Profiles:
    """The flame graphs of a run.

    Args:
        out: the report's directory.
        seconds: to record each line for.
    """

    def __init__(self, out: Path, seconds: float) -> None:
        for old in (out / DIRECTORY).glob("*.svg"):
            old.unlink()
        self._out = out
        self._seconds = seconds
        self._of_stems: dict[str, Profiled] = {}
        self.drawn: dict[str, Profiled] = {}
        """By the goal's title."""

    def of_lines(self, stage: Stage, goals: Iterable[Goal]) -> None:
        """Profiles our lines behind goals that were missed, as far as the stage has them."""
        for goal in _missed(goals):
            if goal.lines and goal.title not in self.drawn and stage.has(goal.lines[0]):
                line = goal.lines[0]
                record = partial(stage.profile, line, self._seconds)
                self._take(goal, line_title(line), line_stem(line), record)

    def of_commands(self, goals: Iterable[Goal]) -> None:
        """Profiles commands of `memraft bench` whose goals were missed."""
        for goal in _missed(goals):
            if goal.command in BENCH_STARTS:
                self._take(goal, goal.title, "embedded", partial(of_command, goal.command))

    def _take(self, goal: Goal, title: str, stem: str, record: Callable[[], Raw]) -> None:
        if stem not in self._of_stems:
            say(f"profile of {title} …")
            try:
                self._of_stems[stem] = draw(title, stem, record(), self._out)
            except Unavailable as error:
                self._of_stems[stem] = str(error)
        self.drawn[goal.title] = self._of_stems[stem]


def _missed(goals: Iterable[Goal]) -> Iterator[Goal]:
    return (each for each in goals if each.is_reached is False)

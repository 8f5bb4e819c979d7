"""What comes of measuring: rounds, what they are summed up to, and why a figure is refused.

Pure, but for looking at processes (`Usage`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.service.lines import Line
from memraft_server.cli.figures import Spread, spread

_SCHEDULED = 2
"""Which CPU clock of a process: one in nanoseconds, where /proc/<pid>/stat has hundredths of a second."""


class Usage(msgspec.Struct, frozen=True):
    """What a process has used so far: seconds of CPU, and bytes that it made go to storage."""

    cpu_s: float
    written_bytes: int


def usage(pid: int) -> Usage:
    """Looks at a process. OSError where it is gone."""
    # As clock_getcpuclockid(3) has it: the clock that /proc/<pid>/stat rounds down.
    cpu_s = time.clock_gettime((~pid << 3) | _SCHEDULED)
    for text in Path(f"/proc/{pid}/io").read_text().splitlines():
        name, _, value = text.partition(": ")
        if name == "write_bytes":
            return Usage(cpu_s, int(value))
    raise OSError(f"/proc/{pid}/io tells no write_bytes")


class Round(msgspec.Struct, frozen=True):
    """One round of one line, as the client saw it. `tries`: of operations that others got in the way of."""

    operations: int
    took_s: float
    p50_us: float
    p99_us: float
    client_cpu_s: float
    node_cpu_s: dict[str, float]
    node_written_bytes: dict[str, int]
    errors: int = 0
    first_error: str = ""
    tries: int = 0


class Figure(msgspec.Struct, frozen=True):
    """A line's rounds summed up: medians with the least and the greatest round.

    `cpu_us`: by process, an operation, `client` among them. `busy`: the share of one core that the client
    took; near 1 the client is what limits. `written_bytes`: by node, an operation.
    """

    line: Line
    rounds: int
    rate: Spread
    p50_us: Spread
    p99_us: Spread
    cpu_us: dict[str, Spread]
    busy: Spread
    written_bytes: dict[str, Spread]
    retried: float


class Refused(msgspec.Struct, frozen=True):
    """A line that has no figure, and why."""

    line: Line
    reason: str


Outcome = Figure | Refused


def sum_up(line: Line, rounds: Sequence[Round]) -> Outcome:
    """Sums up the rounds of a line; refuses where any had an error or did nothing."""
    if not rounds:
        return Refused(line, "not measured")
    failed = [each for each in rounds if each.errors]
    if failed:
        count = sum(each.errors for each in failed)
        return Refused(line, f"{count} calls failed, the first with {failed[0].first_error}")
    if any(each.operations == 0 for each in rounds):
        return Refused(line, "a round was over before an operation was")

    def over(take: Callable[[Round], float]) -> Spread:
        return spread([take(each) for each in rounds])

    nodes = list(rounds[0].node_cpu_s)
    cpu_us = {"client": over(lambda each: each.client_cpu_s / each.operations * 1e6)}
    written: dict[str, Spread] = {}
    for node in nodes:
        cpu_us[node] = spread([each.node_cpu_s[node] / each.operations * 1e6 for each in rounds])
        written[node] = spread([each.node_written_bytes[node] / each.operations for each in rounds])
    return Figure(
        line=line,
        rounds=len(rounds),
        rate=over(lambda each: each.operations / each.took_s),
        p50_us=over(lambda each: each.p50_us),
        p99_us=over(lambda each: each.p99_us),
        cpu_us=cpu_us,
        busy=over(lambda each: each.client_cpu_s / each.took_s),
        written_bytes=written,
        retried=sum(each.tries for each in rounds) / sum(each.operations for each in rounds),
    )


def node_cpu_us(figure: Figure) -> float:
    """Microseconds of CPU an operation of all nodes together."""
    return sum(each.median for name, each in figure.cpu_us.items() if name != "client")


def find(outcomes: Mapping[Line, Outcome], line: Line) -> Figure | str:
    """The figure of a line, or why there is none."""
    found = outcomes.get(line)
    if isinstance(found, Figure):
        return found
    return "not measured" if found is None else found.reason

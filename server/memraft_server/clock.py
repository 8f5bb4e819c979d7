"""The clock that commit times are stamped by: the wall clock when the process started, then steady.

A wall clock jumps: somebody sets it, a machine wakes with a wrong one. Commit times cannot go back, so one
leader's jump ahead would hold the commit times of its shards there, and end every time to live that lies
before. So this clock takes the wall clock once, then counts the time that passes, and is drawn towards the
wall clock by no more than ``SLEW_PPM_MAX``. That is as fast as the kernel itself slews a clock that is kept
by NTP: with such a wall clock it stays in step, and a jump reaches it at that rate at most.

What it cannot know is whether the wall clock was right when the process started, nor which of the two is
right when they part. The node then warns, and a restart takes the wall clock over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

logger = logging.getLogger("memraft.clock")

SLEW_PPM_MAX = 500
"""Microseconds a second: 1.8 s an hour."""
LOOK_INTERVAL_NS = 10_000_000
"""Between two looks at the wall clock: one clock is to be read for a write, not two."""
TOLD_US_MIN = 1_000_000
"""Clocks that differ by more are told of."""

# The time for which a machine sleeps counts: it has passed for everybody else. On Linux that is in the boot
# time alone, elsewhere in the monotonic clock.
_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
_elapsed_ns: Callable[[], int] = (
    time.monotonic_ns if _CLOCK is None else partial(time.clock_gettime_ns, _CLOCK)
)


class SteadyClock:
    """See the module. For one thread: two that read it at once may lose a little of the drawing.

    Args:
        wall_ns: nanoseconds since the Unix epoch, as the machine says.
        elapsed_ns: nanoseconds that have passed since some moment; never goes back.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, elapsed_ns: Callable[[], int] = _elapsed_ns
    ) -> None:
        self._wall_ns = wall_ns
        self._elapsed_ns = elapsed_ns
        self._looked_at_ns = elapsed_ns()
        self._offset_ns = wall_ns() - self._looked_at_ns

    def now_us(self) -> int:
        """Microseconds since the Unix epoch."""
        at_ns = self._elapsed_ns()
        if at_ns - self._looked_at_ns >= LOOK_INTERVAL_NS:
            self._draw(at_ns)
        return (at_ns + self._offset_ns) // 1000

    def wall_ahead_us(self) -> int:
        """How far the wall clock is ahead of this one; negative where it is behind."""
        return self._wall_ns() // 1000 - self.now_us()

    def _draw(self, at_ns: int) -> None:
        """Towards the wall clock, by what the time since the last look allows."""
        slew_ns = (at_ns - self._looked_at_ns) * SLEW_PPM_MAX // 1_000_000
        ahead_ns = self._wall_ns() - at_ns - self._offset_ns
        self._looked_at_ns = at_ns
        self._offset_ns += max(-slew_ns, min(slew_ns, ahead_ns))


class ClockWatch:
    """Says in the log when clocks disagree, once until they agree again.

    Args:
        clock: of this process.
    """

    def __init__(self, clock: SteadyClock) -> None:
        self._clock = clock
        self._has_told_wall = False
        self._has_told_commit = False

    def look(self, commit_time_us: int) -> None:
        """Compares the clocks.

        Args:
            commit_time_us: the last one that was applied here, of any shard.
        """
        ahead_us = self._clock.wall_ahead_us()
        if abs(ahead_us) <= TOLD_US_MIN:
            self._has_told_wall = False
        elif not self._has_told_wall:
            self._has_told_wall = True
            now_us = self._clock.now_us()
            fields = {"wall": _shown(now_us + ahead_us), "used": _shown(now_us), "s": ahead_us / 1_000_000}
            logger.warning(
                "the wall clock was set; commit times follow it slowly, a restart takes it over",
                extra={"fields": fields},
            )
        lead_us = commit_time_us - self._clock.now_us()
        if lead_us <= TOLD_US_MIN:
            self._has_told_commit = False
        elif not self._has_told_commit:
            self._has_told_commit = True
            fields = {"commit": _shown(commit_time_us), "used": _shown(commit_time_us - lead_us)}
            logger.warning(
                "the last commit time lies ahead of the clock: it is behind, or a leader's is or was ahead; "
                "until they meet commit times rise by microseconds",
                extra={"fields": {**fields, "s": lead_us / 1_000_000}},
            )


def _shown(time_us: int) -> str:
    try:
        return datetime.fromtimestamp(time_us / 1_000_000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{time_us} us"


steady = SteadyClock()
"""Of this process: all that is led here is stamped by it."""

steady_time_us = steady.now_us

"""Gives leadership back to preferred leaders after a restart, deliberately and one at a time. Pure.

When a node dies its groups find leaders among the rest, and would stay there when it comes back. Each
leader therefore looks now and then at the groups it leads for another: when the preferred node has been
heard, connected and caught up at several looks in a row, leadership is transferred. The streak is the
hysteresis: a node that comes and goes does not pull leadership to and fro.
"""

from __future__ import annotations

LOOK_TICKS = 7
"""Between two looks. No multiple of the election timeout, at which the core forgets whom it has heard."""

MISSES_ALLOWED = 1
"""Looks in a row at which the preferred node may seem absent, just forgotten by the check of the quorum."""


class Balance:
    """The state of the looks of one node.

    Args:
        after_ms: how long the preferred node must be fit before it gets leadership.
        tick_ms: length of the driver's tick.
        cooldown_ms: least time between two transfers by this node, over all groups.
    """

    def __init__(self, after_ms: int, tick_ms: int, cooldown_ms: int = 500) -> None:
        self._looks_needed = max(1, after_ms // (tick_ms * LOOK_TICKS))
        self._cooldown_looks = max(1, cooldown_ms // (tick_ms * LOOK_TICKS))
        self._cooldown = 0
        self._ticks = 0
        self._streaks: dict[int, tuple[int, int]] = {}

    def is_look_due(self) -> bool:
        """Call once a tick."""
        self._ticks += 1
        if self._ticks % LOOK_TICKS:
            return False
        self._cooldown = max(0, self._cooldown - 1)
        return True

    def look(self, group: int, is_fit: bool) -> bool:
        """One look at a group that is led here and preferred elsewhere; True: transfer it now.

        Args:
            group: its id.
            is_fit: whether the preferred node is connected, active and caught up right now.
        """
        streak, misses = self._streaks.get(group, (0, 0))
        if is_fit:
            streak, misses = streak + 1, 0
        elif streak and misses < MISSES_ALLOWED:
            misses += 1
        else:
            streak, misses = 0, 0
        if streak >= self._looks_needed and not self._cooldown:
            self._cooldown = self._cooldown_looks
            self._streaks.pop(group, None)
            return True
        self._streaks[group] = (streak, misses)
        return False

    def forget(self, group: int) -> None:
        """The group is no longer led here, or is where it belongs."""
        self._streaks.pop(group, None)

"""How long a connection may take to open where an event loop is held up by other tasks."""

from __future__ import annotations

import asyncio

LOOKS = 30
"""So often the limit looks whether the time is up. In a loop that is held up each turn counts as one look,
so this is how many turns a handshake may take; it takes about twelve."""


class Patience:
    """The time that opening a connection may take, of which only that counts in which the event loop ran: a
    loop that is held up reads nothing, however soon the node answers.

    Args:
        loop: which runs.
        limit_s: seconds for a loop that is not held up.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_s: float) -> None:
        self._loop = loop
        self._every_s = limit_s / LOOKS
        self._looks = 0
        self._begun_s = loop.time()
        self._blocked_s = 0.0
        self._due_s = float("inf")
        self._timer: asyncio.TimerHandle | None = None
        self._limit: asyncio.Timeout

    def begin(self, limit: asyncio.Timeout) -> None:
        """Has the limit end what it is around when the time is up."""
        self._limit = limit
        self._begun_s = self._loop.time()
        self._wait()

    def end(self) -> None:
        """Looks no more."""
        if self._timer is not None:
            self._timer.cancel()

    def said(self, plain: str, blocked: str) -> str:
        """Why there is no connection.

        Args:
            plain: where the loop ran.
            blocked: where it was held up most of the time; for how long is added.
        """
        now_s = self._loop.time()
        took_s = now_s - self._begun_s
        blocked_s = self._blocked_s + max(0.0, now_s - self._due_s)
        if blocked_s < 0.5 * took_s:
            return plain
        return f"{blocked} for {blocked_s:.1f} s of the {took_s:.1f} s that this took"

    def _wait(self) -> None:
        self._due_s = self._loop.time() + self._every_s
        self._timer = self._loop.call_at(self._due_s, self._look)

    def _look(self) -> None:
        self._blocked_s += max(0.0, self._loop.time() - self._due_s)
        self._looks += 1
        if self._looks < LOOKS:
            self._wait()
        else:
            self._due_s = float("inf")
            self._limit.reschedule(self._loop.time())

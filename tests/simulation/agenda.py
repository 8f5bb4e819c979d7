"""Simulated time: one heap of what is to happen, and an event loop for futures that stands on it."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import Any

Action = Callable[[], None]

TICK_US = 50_000
"""How long a tick is, in microseconds of the clocks that nodes read."""


def stream(*names: object) -> Random:
    """A generator of its own for one purpose, so that what one part draws does not move what others draw."""
    return Random("/".join(map(str, names)))


class Agenda:
    """What is to happen, in order. Time is counted in ticks."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Action]] = []
        self._count = 0

    def schedule(self, delay: float, action: Action) -> None:
        """Runs `action` after `delay` ticks."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, action))

    def run(self, ticks_max: float, is_done: Callable[[], bool], events_max: int) -> bool:
        """Lets time pass until `is_done` or for `ticks_max`; False where more than `events_max` happened."""
        end = self.now + ticks_max
        heap = self._heap
        while heap and heap[0][0] < end and not is_done():
            self.now, _, action = heapq.heappop(heap)
            action()
            events_max -= 1
            if not events_max:
                return False
        if not is_done():
            self.now = end
        return True


class SimLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as futures need."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda

    def get_debug(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> None:
        self._agenda.schedule(0.0, lambda: callback(*args) and None)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise AssertionError(context["message"])

"""Simulated time: one heap of what is to happen, and on it an event loop for each process."""

from __future__ import annotations

import asyncio
import heapq
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from random import Random
from typing import Any

Action = Callable[[], object]

TICK_US = 50_000
"""How long a tick is, in microseconds of the clocks that nodes read."""
TICK_S = TICK_US / 1e6


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
    """The event loop of one process in one life. It may stand still, and it ends without notice.

    Args:
        agenda: where its callbacks wait for their time.
        observe: called whenever the process did something.
        block: given a function that is to run in a thread, begins it; returns how many ticks it takes and
            what ends it, whose result is the function's.
    """

    def __init__(
        self,
        agenda: Agenda,
        observe: Callable[[], None],
        block: Callable[[Callable[[], Any]], tuple[float, Callable[[], Any]]],
    ) -> None:
        self.is_dead = False
        self.speed = 1.0
        """How much time passes outside while a tick passes here."""
        self._agenda = agenda
        self._observe = observe
        self._block = block
        self._is_paused = False
        self._ready: deque[asyncio.Handle] = deque()
        self._is_waking = False
        self._backlog: list[Action] = []

    # What a simulated world does with it.

    def enter(self, action: Action) -> None:
        """Does something in this process now; after a pause, if it is in one; never, if it is dead."""
        if self.is_dead:
            return
        if self._is_paused:
            self._backlog.append(action)
            return
        asyncio._set_running_loop(self)
        try:
            action()
        finally:
            asyncio._set_running_loop(None)
        self._observe()

    def die(self) -> None:
        """Nothing happens here any more, not even what a task does at its end."""
        self.is_dead = True
        for task in asyncio.all_tasks(self):
            main = task.get_coro()
            if inspect.iscoroutine(main) and inspect.getcoroutinestate(main) == inspect.CORO_CREATED:
                main.close()  # Python warns of one that nobody ever ran.

    def later(self, delay: float, action: Action) -> None:
        """Enters with `action` after `delay` ticks of the world."""
        self._agenda.schedule(delay, lambda: self.enter(action))

    @property
    def is_paused(self) -> bool:
        return self._is_paused

    def pause(self, ticks: float) -> None:
        """Stands still for so long, then goes on as if nothing had been; what came meanwhile waits."""
        if self.is_dead or self._is_paused:
            return
        self._is_paused = True
        self._agenda.schedule(ticks, self._resume)

    def _resume(self) -> None:
        self._is_paused = False
        backlog, self._backlog = self._backlog, []
        for action in backlog:
            self.enter(action)

    # What the process does with it.

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        if not self._is_waking:
            self._is_waking = True
            self._agenda.schedule(0.0, self._wake)
        return handle

    def _wake(self) -> None:
        self.enter(self._run_ready)

    def _run_ready(self) -> None:
        ready = self._ready
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()
        self._is_waking = bool(ready)
        if ready:
            self._agenda.schedule(0.0, self._wake)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.time() + delay, callback, args, self, context)
        self.later(delay / TICK_S * self.speed, lambda: handle.cancelled() or handle._run())
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_later(when - self.time(), callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def time(self) -> float:
        return self._agenda.now * TICK_S

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coroutine: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        return asyncio.Task(coroutine, loop=self, name=name)

    def run_in_executor(  # type: ignore[override]
        self, executor: object, function: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = self.create_future()
        delay, finish = self._block(partial(function, *args) if args else function)
        self.later(delay, lambda: future.cancelled() or future.set_result(finish()))
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        # A dead process leaves tasks behind that are collected some time.
        if not self.is_dead:
            raise context.get("exception") or AssertionError(context["message"])

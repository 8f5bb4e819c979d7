"""The thread that syncs beside the event loop.

An executor makes two futures, a lock and a condition of every job, which costs as much processor time as the
way to the thread and back: 165 to 210 µs with it, 95 to 110 without, 45 inline, and half a millisecond of
waiting where all cores are busy. There is one job at a time here, and none is taken back.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

_Job = tuple[asyncio.AbstractEventLoop, asyncio.Future[float], Callable[[], object]]


class SyncThread:
    """Begins with the first job."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, job: Callable[[], object]) -> asyncio.Future[float]:
        """Have the thread do something; the future has the seconds that it took there, or what it raised.
        To be called on the running event loop."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[float] = loop.create_future()
        self._jobs.put((loop, future, job))
        return future

    def stop(self) -> None:
        """After what is under way. Harmless when called twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join()

    def _work(self) -> None:
        while (next_job := self._jobs.get()) is not None:
            loop, future, job = next_job
            error: BaseException | None = None
            began = time.perf_counter()
            try:
                job()
            except BaseException as raised:  # told to who waits
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, future, time.perf_counter() - began, error)
            del next_job, future, job, error


def settle(future: asyncio.Future[float], took_s: float, error: BaseException | None) -> None:
    """What became of a job, for who waits for it; nobody does where the future was cancelled."""
    if future.done():
        return
    if error is None:
        future.set_result(took_s)
    else:
        future.set_exception(error)

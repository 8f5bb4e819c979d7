"""How a command that has started nodes ends on SIGINT and SIGTERM: in good order, and only once.

The first signal ends what the command is doing. All later ones are ignored to the end of the process: they
would cut the stop short and leave nodes or a temporary directory behind. The stop is bounded by itself
(`devcluster.STOP_TIMEOUT_S`). Ignored, rather than taken as impatience, because one Ctrl-C often comes twice:
from the terminal, and from the program that started this one.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from types import FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
Report = Callable[[str], None]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The user ended the command. `exit_status` is what a shell reports for that signal: 130 or 143."""

    def __init__(self, number: int) -> None:
        super().__init__("interrupted" if number == signal.SIGINT else "ended by SIGTERM")
        self.exit_status = 128 + number


class Ending:
    """Takes SIGINT and SIGTERM over. A context manager, for the main thread.

    at_once: the first signal raises Interrupted wherever the command is; otherwise where it calls `check`, or
        what `checking` returned, or runs in `run`.
    """

    def __init__(self, at_once: bool = False) -> None:
        self._at_once = at_once
        self._number = 0
        self._cancel: Callable[[], object] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Ending":
        self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._number:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._number:
            return
        self._number = number
        if self._cancel is not None:
            self._cancel()
        elif self._at_once:
            raise Interrupted(number)

    def check(self) -> None:
        """Raises Interrupted once there was a signal."""
        if self._number:
            raise Interrupted(self._number)

    def checking(self, report: Report) -> Report:
        """`report`, that first checks: for what calls it several times a second."""

        def checked(text: str) -> None:
            self.check()
            report(text)

        return checked

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end, or cancels it at the first signal and raises Interrupted."""

        async def until_told() -> T:
            loop, task = asyncio.get_running_loop(), asyncio.ensure_future(main)
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
            if self._number:  # before the line above
                task.cancel()
            try:
                return await task
            finally:
                self._cancel = None

        try:
            return asyncio.run(until_told())
        except BaseException:
            # Whatever came of cutting it short: what the user is told is that it was cut short.
            self.check()
            raise

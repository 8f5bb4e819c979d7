"""What a fork leaves behind: in the child nothing that was opened before is to be used.

Both processes would write to the same files and sockets, and a lock that another thread held at the moment of
the fork is held in the child for ever. So in the child everything that was open is told, before any of its
code runs. What it holds of the operating system is then the parent's alone: it is neither closed nor flushed,
not even when the child ends, because some of that would be seen by the parent.
"""

import ctypes
import os
import weakref
from typing import Any, Protocol

from .errors import ClosedError


class Opened(Protocol):
    """Something that shares with a child what only one process may use."""

    def leave_behind(self, reason: str) -> None:
        """In a child: refuses every use from now on, takes no lock, and closes nothing. Raises nothing.

        Args:
            reason: what callers are told.
        """


class Elsewhere:
    """Where a memory is in a process that was forked after it was opened: nobody there is at home.

    Args:
        reason: what callers are told.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def check(self) -> None:
        """Raises ClosedError."""
        raise ClosedError(self._reason)


class _Process:
    """What this process has opened."""

    def __init__(self) -> None:
        self.id = os.getpid()
        self.opened: weakref.WeakSet[Opened] = weakref.WeakSet()


_process = _Process()


def watch(opened: Opened) -> None:
    """Has a child told of something that is open."""
    _process.opened.add(opened)


def keep_for_ever(*things: Any) -> None:
    """Has nothing of these run any more as they go, not even as the interpreter ends."""
    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _leave_behind() -> None:
    global _process
    before, _process = _process, _Process()
    reason = (
        f"this memory was opened by process {before.id} before a fork; open one in this process "
        "(in a directory: only where it was started with 'spawn' or 'forkserver')"
    )
    for opened in list(before.opened):
        opened.leave_behind(reason)


os.register_at_fork(after_in_child=_leave_behind)

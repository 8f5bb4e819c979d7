"""What differs between the two facades: how to wait, to lock, to call. By hand, unlike its siblings."""

from __future__ import annotations

import atexit
import inspect
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

import grpc

from .. import _left_behind
from .._gather import Flight, Gatherer, Item, Party
from .._lean.blocking import BlockingChannel
from .._lean.calls import Options
from .._lean.tls import Security
from .._target import ClusterTarget
from ..embedders.base import Embedder
from ..errors import ConfigurationError

R = TypeVar("R")

MAY_BLOCK = True
"""A caller in a thread may wait for a lock or a disk where it stands."""

Lock = threading.Lock

Channel: TypeAlias = grpc.Channel | BlockingChannel
Call = Callable[..., Any]

_STOP_S = 1.0

sleep = time.sleep
monotonic = time.monotonic

INTERRUPTED = (ValueError,)
"""What a call raises when its channel is closed."""


class Home:
    """Threads are at home wherever they are."""

    def check(self) -> None:
        """Nothing to check."""


def is_cancelled() -> bool:
    """Threads are not cancelled."""
    return False


def acquire(lock: threading.Lock, timeout_s: float) -> bool:
    """Waits for a lock; False when the time is up."""
    return lock.acquire(timeout=max(0.0, timeout_s))


class Slots:
    """Bounds how many are inside at once. (A queue of free slots costs a tenth of a semaphore.)

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)

    def enter(self) -> bool:
        """Takes a slot that is free; False where none is."""
        return self.wait(0.0)

    def wait(self, timeout_s: float) -> bool:
        """Waits for a slot; False when the time is up."""
        try:
            self._free.get(True, max(0.0, timeout_s))
        except Empty:
            return False
        return True

    def leave(self) -> None:
        """Hands a slot on."""
        self._free.put(None)


class Waiter:
    """Where one thread waits to be woken. (A bare lock: an Event costs ten times as much.)"""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """Lets the thread go on, now or when it waits next."""
        with suppress(RuntimeError):  # it was woken and has not waited since
            self._lock.release()

    def wait(self, timeout_s: float) -> bool:
        """Waits; False when the time is up."""
        return self._lock.acquire(timeout=max(0.0, timeout_s))


class Carriers:
    """Has flights carried by the first of the callers whose writes they are: no thread beside theirs."""

    def start(self, flight: Flight[Any], carry: Callable[[Flight[Any]], None]) -> None:
        """Wakes that caller, which finds that it is to carry."""
        flight.items[0].waiter.wake()


def begin(
    gatherer: Gatherer[Any, Any], carry: Callable[[Item], R], party: Party, part: Any, size_bytes: int
) -> R:
    """Carries a party of one; see `Lanes.join`."""
    party.parts.append(part)
    party.size_bytes = size_bytes
    return carry(party)


class Bell:
    """Wakes one thread, from any other."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.ring = self._event.set
        """Wakes the thread, or lets its next wait end at once."""
        self.clear = self._event.clear
        """Takes back what was rung."""

    def wait(self, timeout_s: float | None) -> None:
        """Waits until it is rung or the time is up; None: for ever."""
        self._event.wait(None if timeout_s is None else min(timeout_s, threading.TIMEOUT_MAX))


def next_response(call: Any) -> Any | None:
    """The next response of a call that has many; None: the server ended it."""
    return next(call, None)


class Worker:
    """Does something beside its owner, again and again, in a thread of its own.

    The thread does not keep the process from ending: it is told to end first, and waited for a moment, so
    that it is not broken off in the middle of native code.

    Args:
        step: does it once; returns the seconds until the next time, None to end.
        name: of the thread.
    """

    def __init__(self, step: Callable[[], float | None], name: str) -> None:
        self._step = step
        self._name = name
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        _left_behind.watch(self)

    def leave_behind(self, reason: str) -> None:
        """See `_left_behind.Opened`: its thread is the parent's."""
        self._ended = threading.Event()
        self._ended.set()
        self._thread = None
        atexit.unregister(self.stop)

    def start(self) -> None:
        """Begins, at once."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        atexit.register(self.stop)
        self._thread.start()

    def stop(self) -> None:
        """Ends it; waits a moment for a step under way, not for longer. Harmless when called twice."""
        self._ended.set()
        atexit.unregister(self.stop)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        while not self._ended.is_set() and (pause_s := self._step()) is not None:
            self._ended.wait(pause_s)


def after_this_turn(function: Callable[[R], None]) -> Callable[[R], object] | None:
    """Threads have no turns."""
    return None


def let_callers_run() -> None:
    """Threads run as they please."""


def channel_opener(cluster: ClusterTarget, options: list[tuple[str, Any]]) -> Callable[[str], Channel]:
    """Returns what opens a channel to host:port, by the engine; threads may share it.

    Args:
        cluster: says which engine, and with which certificates.
        options: in the terms of grpcio.
    """
    certificates = cluster.certificates
    if cluster.engine == "lean":
        known, security = Options.of(options), Security(certificates)
        return lambda address: BlockingChannel(address, security, known)
    if certificates is None:
        return lambda address: grpc.insecure_channel(address, options=options)
    credentials = certificates.credentials()
    return lambda address: grpc.secure_channel(address, credentials, options=options)


def in_thread(function: Callable[..., R], *arguments: Any) -> R:
    """Runs it here: this thread may wait."""
    return function(*arguments)


def call_embedder(embedder: Embedder, texts: list[str]) -> Any:
    """Has texts embedded."""
    if inspect.iscoroutinefunction(embedder.embed):
        raise ConfigurationError("an embedder that is to be awaited needs AsyncMemory")
    return embedder.embed(texts)


def call_agent(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a function of an agent."""
    return function(*args, **kwargs)

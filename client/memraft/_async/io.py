"""What differs between the facades: how to wait, to lock, to call. Its twin in `_sync` is by hand, too."""

import asyncio
import inspect
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from threading import get_ident
from typing import Any, TypeAlias, TypeVar, cast

import grpc
import grpc.aio

from .. import _gather
from .._gather import Flight, Gatherer, Party
from .._lean.calls import Options
from .._lean.channel import LeanChannel
from .._lean.tls import Security
from .._target import ClusterTarget
from ..embedders.base import Embedder
from ..errors import ConfigurationError

R = TypeVar("R")

MAY_BLOCK = False
"""A coroutine that waits for a lock or a disk would hold up the event loop."""

Lock = asyncio.Lock

Channel: TypeAlias = grpc.aio.Channel | LeanChannel
Call = Callable[..., Any]

sleep = asyncio.sleep
monotonic = time.monotonic

INTERRUPTED = (asyncio.CancelledError, grpc.aio.UsageError)
"""What a call under way raises when its channel is closed."""


class Home:
    """The event loop that a client of a cluster belongs to, for its channels do: that of its first call."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def check(self) -> None:
        """Raises ConfigurationError in any other."""
        # A thread runs one loop at a time. To ask for the running one is a system call in Python 3.11.
        if self._thread == get_ident() and self._loop is not None and self._loop.is_running():
            return
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is loop:
            self._thread = get_ident()
        else:
            raise ConfigurationError(
                "this memory belongs to the event loop of its first call: open one in each asyncio.run()"
            )


def is_cancelled() -> bool:
    """Whether somebody cancelled this task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def acquire(lock: Lock, timeout_s: float) -> bool:
    """Waits for a lock; False when the time is up."""
    if not lock.locked():
        return await lock.acquire()
    try:
        return await asyncio.wait_for(lock.acquire(), max(0.0, timeout_s))
    except TimeoutError:
        return False


class Slots:
    """Bounds how many are inside at once. (As long as there is room it costs a tenth of a semaphore.)

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._queue: deque[asyncio.Future[None]] = deque()

    def enter(self) -> bool:
        """Takes a slot that is free; False where none is."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def wait(self, timeout_s: float) -> bool:
        """Waits for a slot, first come first served; False when the time is up."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._queue.append(turn)
        timer = loop.call_later(max(0.0, timeout_s), turn.cancel)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # it was this caller's turn, and it is gone
            if is_cancelled():
                raise
            return False
        finally:
            timer.cancel()
        return True

    def leave(self) -> None:
        """Hands a slot on to who waits longest, if anybody does."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Waiter:
    """Where one task waits to be woken, once. A timer of its own would cost it more than all the rest:
    `Carriers` watches over those who wait for one flight."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        """Lets the task go on."""
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout_s: float) -> bool:
        """Waits; True when it is woken."""
        await self._future
        return True


class Carriers:
    """Carries flights in tasks of their own: a caller that is cancelled takes nothing with it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, flight: Flight[Any], carry: Callable[[Flight[Any]], Coroutine[Any, Any, None]]) -> None:
        """Has a flight carried."""
        flight.is_begun = True
        loop = asyncio.get_running_loop()
        task = loop.create_task(carry(flight))
        timer = loop.call_later(max(0.0, flight.deadline_s - monotonic()) + _gather.GRACE_S, flight.expire)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            timer.cancel()
            self._tasks.discard(task)

        task.add_done_callback(done)


def begin(
    gatherer: Gatherer[Any, Any], carry: object, party: Party, part: Any, size_bytes: int
) -> asyncio.Future[Any]:
    """Begins a party with its first; see `AsyncLanes.join`."""
    gatherer.begin(party, asyncio.get_running_loop().create_future)
    return cast(asyncio.Future[Any], party.join(part, size_bytes))


class Bell:
    """Wakes one task, from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._is_rung = False

    def ring(self) -> None:
        """Wakes the task, or lets its next wait end at once."""
        if not self._is_rung:
            self._is_rung = True
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        """Takes back what was rung."""
        self._event.clear()
        self._is_rung = False

    async def wait(self, timeout_s: float | None) -> None:
        """Waits until it is rung or the time is up; None: for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()


async def next_response(call: Any) -> Any | None:
    """The next response of a call that has many; None: the server ended it."""
    response = await call.read()
    return None if response is grpc.aio.EOF else response


class Worker:
    """Does something beside its owner, again and again, in a task of its own.

    Args:
        step: does it once; returns the seconds until the next time, None to end.
        name: of the task.
    """

    def __init__(self, step: Callable[[], Coroutine[Any, Any, float | None]], name: str) -> None:
        self._step = step
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, at once."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Ends it; a step under way is broken off. Harmless when called twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while (pause_s := await self._step()) is not None:
            await asyncio.sleep(pause_s)


def after_this_turn(function: Callable[[R], None]) -> Callable[[R], object] | None:
    """Returns what has a function called when all that are to run in this turn of the event loop have run."""
    return lambda argument: asyncio.get_running_loop().call_soon(function, argument)


async def let_callers_run() -> None:
    """Lets tasks that were woken just now go on first: what they write next then travels together."""
    await asyncio.sleep(0)


def channel_opener(cluster: ClusterTarget, options: list[tuple[str, Any]]) -> Callable[[str], Channel]:
    """Returns what opens a channel to host:port; that belongs to the running event loop.

    Args:
        cluster: says which engine, and with which certificates.
        options: in the terms of grpcio.
    """
    certificates = cluster.certificates
    if cluster.engine == "lean":
        known, security = Options.of(options), Security(certificates)
        return lambda address: LeanChannel(address, security, known)
    if certificates is None:
        return lambda address: grpc.aio.insecure_channel(address, options=options)
    credentials = certificates.credentials()
    return lambda address: grpc.aio.secure_channel(address, credentials, options=options)


async def in_thread(function: Callable[..., R], *arguments: Any) -> R:
    """Runs what blocks for longer than the event loop may wait."""
    return await asyncio.to_thread(function, *arguments)


async def call_embedder(embedder: Embedder, texts: list[str]) -> Any:
    """Has texts embedded: awaited if that is a coroutine function, else in a thread."""
    if inspect.iscoroutinefunction(embedder.embed):
        return await embedder.embed(texts)
    return await asyncio.to_thread(embedder.embed, texts)


async def call_agent(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a function of an agent: awaited if it is a coroutine function, else in a thread."""
    if inspect.iscoroutinefunction(function):
        return await function(*args, **kwargs)
    done = await asyncio.to_thread(function, *args, **kwargs)
    return await done if inspect.isawaitable(done) else done

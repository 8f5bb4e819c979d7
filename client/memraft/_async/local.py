"""The link to a machine in this process."""

import weakref
from collections.abc import Callable
from typing import Any

from memraft_proto.methods import Method
from memraft_proto.v1 import kv_pb2

from .. import _wire
from .._embedded import Engine, LocalFeed
from .._gets import GET, Shelf, value_of
from .base import Beside, Head, Outline, Put, Recollect, Search
from .feeds import AsyncSource
from .following import Advance
from .io import MAY_BLOCK, Bell, in_thread, monotonic

LONG_READS = frozenset({"Query"})
"""Reads that may take longer than an event loop should wait."""


class AsyncLocalLink:
    """Calls the engine directly; one that syncs a disk is called where waiting does no harm.

    Args:
        engine: closed with this link.
    """

    puts: Put | None = None
    timeout_s = float("inf")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # A durable engine holds its lock while it syncs, so even the short ways may have to wait.
        is_short = MAY_BLOCK or not engine.is_durable
        self.head: Head | None = engine.head if is_short else None
        self.nearest: Search | None = engine.nearest if is_short else None
        self.recalled: Recollect | None = engine.recalled if is_short else None
        self.adjacent: Beside | None = engine.adjacent if is_short else None
        self.contents: Outline | None = engine.contents if is_short else None

    async def write(self, method: Method, request: Any) -> Any:
        """Applies a write. Raises MemraftError."""
        if self._engine.is_durable:
            return await in_thread(self._engine.call, method, request)
        return self._engine.call(method, request)

    async def read(self, method: Method, request: Any) -> Any:
        """Answers a read. Raises MemraftError."""
        engine = self._engine
        if engine.is_durable or (method.name in LONG_READS and not engine.is_left_behind):
            return await in_thread(self._engine.call, method, request)
        return self._engine.call(method, request)

    async def value(self, shelf: Shelf, key: str, deadline_s: float) -> Any:
        """Reads a document as of now. Raises MemraftError."""
        request = _wire.build(kv_pb2.GetRequest, namespace=shelf.namespace, context=shelf.context, key=key)
        return value_of(await self.read(GET, request))

    async def settled(self, outcome: Any, shelf: Shelf, key: str, deadline_s: float) -> bytes:
        """Never called: nobody else carries a read of this link."""
        raise AssertionError(f"a document that is no bytes: {outcome!r}")

    def follow(self, method: Method, request: Any, advance: Advance) -> AsyncSource:
        """Begins, with the first step, a call that has many responses; the machine itself advances it."""
        return AsyncLocalSource(self._engine, method, request)

    async def close(self) -> None:
        """Closes the engine."""
        if not self._engine.is_left_behind:
            await in_thread(self._engine.close)


class AsyncLocalSource:
    """See `AsyncSource`.

    Args:
        engine: which has the responses.
        method: which call.
        request: kept and changed.
    """

    def __init__(self, engine: Engine, method: Method, request: Any) -> None:
        self._engine = engine
        self._method = method
        self._request = request
        self._feed: LocalFeed | None = None
        self._bell: Bell | None = None
        self._is_closed = False

    async def next(self, timeout_s: float | None) -> Any | None:
        """See `AsyncSource`."""
        end_s = None if timeout_s is None else monotonic() + timeout_s
        bell, feed = self._bell, self._feed
        if bell is None or feed is None:
            bell = self._bell = Bell()
            feed = self._feed = await self._asked(self._engine.follow, self._method, self._request, bell.ring)
            # Who just leaves off, as with `break`, closes nothing.
            weakref.finalize(self, feed.close).atexit = False
        while not self._is_closed:
            bell.clear()
            response = await self._asked(feed.next)
            if response is not None:
                return response
            waits = [feed.due_s(), None if end_s is None else end_s - monotonic()]
            wait_s = min((each for each in waits if each is not None), default=None)
            if end_s is not None and monotonic() >= end_s:
                return None
            if not self._is_closed:
                await bell.wait(wait_s)
        return None

    async def close(self) -> None:
        """Wakes who waits for it, and is woken no more."""
        self._is_closed = True
        if self._bell is not None:
            self._bell.ring()
        if self._feed is not None:
            await self._asked(self._feed.close)

    async def _asked(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        # A durable engine holds its lock while it syncs.
        if self._engine.is_durable:
            return await in_thread(ask, *arguments)
        return ask(*arguments)

"""What comes, item by item, as it happens: a tail of a stream, a watch of changes."""

from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from .. import _left_behind
from ..errors import InvalidArgument
from .io import monotonic

T = TypeVar("T")


class AsyncSource(Protocol):
    """Where responses come from, over however many connections: none is lost, none comes twice."""

    async def next(self, timeout_s: float | None) -> Any | None:
        """The next response; None where none came in time, or it was closed. Raises MemraftError."""

    async def close(self) -> None: ...


class AsyncFeed(Generic[T]):
    """Iterates over what comes: `async for item in feed:`.

    It begins with the first step, or with `async with`: what happens from then on is not missed. It ends with
    `close()`, which any task or thread may call, or where nothing came for `idle_s`. Where the cluster cannot
    be reached for `timeout_s` of the memory, a step raises Unavailable; the next one tries again, from the
    same place.

    Attributes:
        position: where it stands: another tail goes on with `from_sequence=position`, another watch with
            `after_version=position`. None before it has begun.
    """

    def __init__(
        self,
        source: AsyncSource,
        read: Callable[[Any], Iterable[tuple[int, T]]],
        place: Callable[[Any], int],
        idle_s: float | None,
    ) -> None:
        if idle_s is not None and not (isinstance(idle_s, int | float) and idle_s > 0):
            raise InvalidArgument(f"idle_s must be a number of seconds above 0, or None, not {idle_s!r}")
        self.position: int | None = None
        self._source = source
        self._read = read
        self._place = place
        self._idle_s = idle_s
        self._items: deque[tuple[int, T]] = deque()
        self._reached: int | None = None
        self._is_over = False
        _left_behind.watch(self)

    def leave_behind(self, reason: str) -> None:
        """In a child of a fork: what came before it is the parent's."""
        self._items.clear()

    def __aiter__(self) -> "AsyncFeed[T]":
        return self

    async def __anext__(self) -> T:
        end_s = None if self._idle_s is None else monotonic() + self._idle_s
        while not self._items:
            left_s = None if end_s is None else max(0.0, end_s - monotonic())
            if self._is_over or not await self._take(left_s):
                await self.close()
                raise StopAsyncIteration
        self.position, item = self._items.popleft()
        if not self._items:
            self.position = self._reached
        return item

    async def close(self) -> None:
        """Ends it. Harmless when called twice."""
        self._is_over = True
        await self._source.close()

    async def __aenter__(self) -> "AsyncFeed[T]":
        await self._take(None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _take(self, timeout_s: float | None) -> bool:
        """Takes the next response; False where there is none."""
        response = await self._source.next(timeout_s)
        if response is None:
            return False
        self._items.extend(self._read(response))
        self._reached = self._place(response)
        if not self._items:
            self.position = self._reached
        return True

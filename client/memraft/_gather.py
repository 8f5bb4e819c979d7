"""Lets what callers of one client do at the same time travel together. No IO; both facades share it.

A call costs far more than what is in it, so items that come while a call of their lane is under way go
together::

    idle                      an item goes at once, as its own call
    a call is under way       further items queue, first come first served
    the call is back          what has gathered goes as one call, a single item as its own
    its time ends before      an item goes at once: it does not wait for the call under way
    idle, but was crowded     in an event loop an item waits for those that run in the same turn of it: what
                              was woken together may want the same again

In an event loop callers that come one after the other are one item, a `Party`: what is done for an item is
then done once for all of them, and what is left for each is a future.

What shares a lane, what such a call is, and what each of its items is told when it is back: `_coalesce` for
writes that become one command of the log, `_exchange` for calls of any kind to one node.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

from memraft_proto.methods import Method

from . import errors

SPREAD = 0.1
"""How much of its time a caller may lose to another that it travels with. A call ends with the time of the
first of its callers, so only those whose time ends soon after travel with it."""
GRACE_S = 1.0
"""How long after its time a caller waits for whoever carries its item."""

CROWD_CALLS = 4
"""So many calls of a lane with one item each, and it is forgotten that it had one with many."""
CROWDED_MAX = 65_536
"""Lanes of which it is remembered that they had one."""

ALONE = object()
"""An outcome: to be sent as its own call."""


class Waiter(Protocol):
    """Where a caller waits; each facade has its own."""

    def wake(self) -> None: ...


class Future(Protocol):
    """Where one of a party waits, and is given its outcome: what an event loop makes."""

    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...


class Item:
    """What one caller wants done, and what becomes of it.

    Args:
        method: its own call.
        request: of that call; left as it is.
        destination: where it goes: a shard, or a node.
        deadline_s: when its caller's time is up, by `time.monotonic`.
        size_bytes: of the encoded request.
        key: of its lane.
    """

    __slots__ = (
        "deadline_s",
        "destination",
        "flight",
        "key",
        "lane",
        "method",
        "outcome",
        "request",
        "size_bytes",
        "waiter",
    )

    lane: "Lane[Any]"
    waiter: Any
    count = 1
    """Callers."""

    def __init__(
        self,
        method: Method,
        request: Any,
        destination: Any,
        deadline_s: float,
        size_bytes: int,
        key: Hashable,
    ) -> None:
        self.method = method
        self.request = request
        self.destination = destination
        self.deadline_s = deadline_s
        self.size_bytes = size_bytes
        self.key = key
        self.flight: Flight[Any] | None = None
        self.outcome: Any = None
        """The response, an exception, or `ALONE`; None as long as there is none."""

    def call(self) -> tuple[Method, Any]:
        """Returns its own call and that call's request."""
        return self.method, self.request

    def is_wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return True

    def settle(self, outcome: Any) -> None:
        """Tells its caller."""
        self.outcome = outcome
        self.waiter.wake()

    def take(self, outcomes: Iterator[Any]) -> None:
        """Tells its caller the next of the outcomes."""
        self.settle(next(outcomes))


class Party(Item):
    """An item of callers who came one after the other, each with a part of its own. In an event loop there
    may be many, each with a future that is given its outcome, exceptions and `ALONE` among them; a thread is
    a party by itself, and waits as with any other item.

    All have the time of the first; who comes after `closes_s` is in another party.
    """

    __slots__ = ("closes_s", "futures", "make_future", "parts")

    closes_s: float
    make_future: Callable[[], Future]

    def __init__(self, method: Method, destination: Any, deadline_s: float, key: Hashable) -> None:
        super().__init__(method, None, destination, deadline_s, 0, key)
        self.parts: list[Any] = []
        self.futures: list[Future] = []

    @property
    def count(self) -> int:  # type: ignore[override]
        """Callers."""
        return len(self.parts)

    def is_wanted(self) -> bool:
        """Whether anybody still waits for it; leaves out who has gone."""
        futures = self.futures
        # All are of one class, whose own method `map` calls without looking for it in each.
        if futures and any(map(type(futures[0]).done, futures)):
            self.parts = [part for part, each in zip(self.parts, futures, strict=True) if not each.done()]
            self.futures = [each for each in futures if not each.done()]
        return bool(self.parts)

    def settle(self, outcome: Any) -> None:
        self.outcome = outcome
        if self.parts and not self.futures:  # a thread
            self.waiter.wake()
            return
        for future in self.futures:
            if not future.done():
                future.set_result(twin(outcome) if isinstance(outcome, errors.MemraftError) else outcome)

    def join(self, part: Any, size_bytes: int) -> Future:
        """Adds a caller; returns where it waits."""
        future = self.make_future()
        self.parts.append(part)
        self.futures.append(future)
        self.size_bytes += size_bytes
        return future

    def take(self, outcomes: Iterator[Any]) -> None:
        if not self.futures:
            self.settle(next(outcomes))
            return
        for future, outcome in zip(self.futures, outcomes, strict=False):  # those of others follow
            if not future.done():
                future.set_result(outcome)
        self.outcome = True  # not before: what breaks off in the middle is not told to all


I = TypeVar("I", bound=Item)  # noqa: E741
F = TypeVar("F", bound="Flight[Any]")


class Lane(Generic[I]):
    """What may travel together: a call is under way, and these have gathered meanwhile."""

    __slots__ = ("ends_s", "key", "queue")

    def __init__(self, key: Hashable, ends_s: float) -> None:
        self.key = key
        self.ends_s = ends_s
        """When the time of the call under way is up."""
        self.queue: dict[I, None] = {}
        """In order of arrival. A dict, because callers leave from the middle."""


class Flight(Generic[I]):
    """Items that go as one call, the oldest first."""

    __slots__ = ("count", "deadline_s", "is_begun", "items", "lane")

    ITEMS_MAX: ClassVar[int]
    """Callers a call."""
    SIZE_BYTES_MAX: ClassVar[int]
    """Bytes of all items of a call, unless it has only one."""

    def __init__(self, lane: Lane[I], items: list[I]) -> None:
        self.lane = lane
        self.items = items
        self.count = sum(item.count for item in items)
        """Callers."""
        self.deadline_s = min(item.deadline_s for item in items)
        self.is_begun = False
        """Whether somebody is about to send it."""
        for item in items:
            item.flight = self

    def call(self) -> tuple[Method, Any]:
        """Returns the call to make and its request."""
        if self.count == 1:
            return self.items[0].call()
        return self._joined()

    def land(self, response: Any) -> None:
        """Tells every caller the outcome of its item."""
        if self.count == 1:
            self.items[0].settle(response)
            return
        try:
            outcomes = self._outcomes(response)
            for item in self.items:
                item.take(outcomes)
        except Exception:  # a response that is none: nobody else would tell those who wait
            for item in self.items:
                if item.outcome is None:
                    item.settle(self._lost())
            raise

    def fail(self, error: errors.MemraftError) -> None:
        """The call failed: tells every caller, or has each go alone."""
        if self.count == 1:
            self.items[0].settle(error)
            return
        is_for_one = self._may_be_for_one(error)
        for item in self.items:
            item.settle(ALONE if is_for_one else twin(error))

    def expire(self) -> None:
        """Nobody waits any longer for whoever carries it."""
        for item in self.items:
            if item.outcome is None:
                item.settle(self.unanswered())

    def lose(self) -> None:
        """Whoever carried it was interrupted: nobody knows what became of it."""
        self.fail(self._lost())

    def _joined(self) -> tuple[Method, Any]:
        """The call that does what all items ask for, and its request."""
        raise AssertionError("of each kind of flight")

    def _outcomes(self, response: Any) -> Iterator[Any]:
        """What to tell each caller. Raises ValueError where there are more callers, or less."""
        raise AssertionError("of each kind of flight")

    def _may_be_for_one(self, error: errors.MemraftError) -> bool:
        """Whether nothing was done, and it may be the fault of one of the items."""
        raise AssertionError("of each kind of flight")

    def _lost(self) -> errors.MemraftError:
        """The exception for an item whose call was interrupted, or is over its time."""
        raise AssertionError("of each kind of flight")

    @staticmethod
    def late() -> errors.MemraftError:
        """The exception for an item whose time was up while it was queued."""
        raise AssertionError("of each kind of flight")

    @staticmethod
    def unanswered() -> errors.MemraftError:
        """The exception for an item whose time was up while another caller carried it."""
        raise AssertionError("of each kind of flight")


class Gatherer(Generic[I, F]):
    """The lanes of one client. A lock makes it safe for threads.

    Args:
        flight: the kind of its flights.
        make_waiter: makes where a queued caller waits.
        timeout_s: what a caller's time is.
        clock_s: monotonic seconds.
        soon: has `leave` called for a lane when all that run in this turn of the event loop have run; None
            where there are no turns.
    """

    def __init__(
        self,
        flight: type[F],
        make_waiter: Callable[[], Waiter],
        timeout_s: float,
        clock_s: Callable[[], float] = time.monotonic,
        soon: Callable[[Lane[I]], object] | None = None,
    ) -> None:
        self.flight = flight
        self._soon = soon
        self._open: dict[Hashable, Party] = {}
        """Of lanes that have one: the party that whoever comes next joins."""
        self._crowded: dict[Hashable, int] = {}
        """Of a lane that had a call with many items: how many with one may follow until that is forgotten."""
        self._make_waiter = make_waiter
        self._spread_s = timeout_s * SPREAD
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._lanes: dict[Hashable, Lane[I]] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def alone(self, key: Hashable, deadline_s: float) -> Lane[I] | None:
        """The short way of a caller that nobody is before: it needs no item.

        Args:
            key: of its lane.
            deadline_s: when its time is up.

        Returns:
            The lane, for which `leave` is to be called when its call is back; None where an item has to
            `enter`.
        """
        with self._lock:
            if key in self._lanes or (self._soon is not None and key in self._crowded):
                return None
            lane = self._lanes[key] = Lane(key, deadline_s)
            return lane

    def enter(self, item: I) -> bool:
        """Returns True where an item may go at once, as its own call, and `leave` is to be called when it is
        back; False where it was queued and its caller waits at `item.waiter`."""
        key = item.key
        with self._lock:
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = Lane(key, item.deadline_s)
                if self._soon is None or key not in self._crowded:
                    item.lane = lane
                    return True
                self._soon(lane)
            elif lane.ends_s > item.deadline_s:
                item.lane = Lane(key, item.deadline_s)  # nobody joins it there
                return True
            item.lane = lane
            item.waiter = self._make_waiter()
            lane.queue[item] = None
            self._open.pop(key, None)  # who comes later goes after this
            return False

    def begin(self, party: Party, make_future: Callable[[], Future]) -> None:
        """Queues a party where `alone` returned None; whoever comes meanwhile may join it. In an event loop
        alone: there nobody comes between the two.

        Args:
            party: as yet empty.
            make_future: of the event loop.
        """
        key = party.key
        party.make_future = make_future
        party.closes_s = party.deadline_s + self._spread_s
        lane = self._lanes.get(key)
        if lane is None:
            assert self._soon is not None
            lane = self._lanes[key] = Lane(key, party.deadline_s)
            self._soon(lane)
        party.lane = lane
        # Others come in the places of those who were cancelled, and may go, too, before the call is back.
        for gone in [item for item in lane.queue if not item.is_wanted()]:
            del lane.queue[gone]
        lane.queue[cast(I, party)] = None
        self._open[key] = party

    def joined(self, key: Hashable, part: Any, size_bytes: int, deadline_s: float) -> Any:
        """Adds a caller to the party that gathers in a lane.

        Args:
            key: of the lane.
            part: what the caller wants.
            size_bytes: of that.
            deadline_s: when its time is up.

        Returns:
            The future that will have its outcome; None where no party gathers that takes it.
        """
        party = self._open.get(key)
        if (
            party is None
            or deadline_s > party.closes_s
            or party.size_bytes + size_bytes > self.flight.SIZE_BYTES_MAX
            or len(party.parts) >= self.flight.ITEMS_MAX
        ):
            return None
        # As `Party.join` does it, without a call more: there is one of these for each caller.
        future = party.make_future()
        party.parts.append(part)
        party.futures.append(future)
        party.size_bytes += size_bytes
        return future

    def leave(self, lane: Lane[I]) -> F | None:
        """A call is back. Returns what goes next in its place; None where the lane is idle now."""
        with self._lock:
            if not lane.queue:
                if self._lanes.get(lane.key) is lane:
                    del self._lanes[lane.key]
                return None
            self._open.pop(lane.key, None)
            late, items = self._take(lane)
            flight = self.flight(lane, items) if items else None
            hurried: list[I] = []
            if flight is not None:
                lane.ends_s = flight.deadline_s
                hurried = [item for item in lane.queue if item.deadline_s < lane.ends_s]
                for item in hurried:
                    del lane.queue[item]
                self._note_crowd(lane.key, flight.count > 1)
            elif self._lanes.get(lane.key) is lane:
                del self._lanes[lane.key]
        for item in late:
            item.settle(self.flight.late())
        for item in hurried:
            item.settle(ALONE)
        return flight

    def _note_crowd(self, key: Hashable, is_crowded: bool) -> None:
        if is_crowded:
            if len(self._crowded) >= CROWDED_MAX:
                self._crowded.clear()
            self._crowded[key] = CROWD_CALLS
        elif (left := self._crowded.pop(key, 0)) > 1:
            self._crowded[key] = left - 1

    def withdraw(self, item: I) -> bool:
        """Takes an item out of its queue; False where it is under way or has its outcome."""
        with self._lock:
            if item not in item.lane.queue:
                return False
            del item.lane.queue[item]
            return True

    def abandon(self, item: I) -> Lane[I] | None:
        """A caller goes without waiting for its outcome. What goes with it goes on.

        Returns:
            The lane for which `leave` is now to be called, where it was this caller's turn to send.
        """
        if self.withdraw(item):
            return None
        flight = item.flight
        if flight is None or flight.is_begun or flight.items[0] is not item:
            return None
        for other in flight.items[1:]:
            other.settle(ALONE)
        return flight.lane

    def close(self) -> None:
        """Everything that is queued fails."""
        with self._lock:
            self._open.clear()
            queued = [item for lane in self._lanes.values() for item in lane.queue]
            for lane in self._lanes.values():
                lane.queue.clear()
        for item in queued:
            item.settle(errors.ClosedError("this memory was closed before this call was sent"))

    def _take(self, lane: Lane[I]) -> tuple[list[I], list[I]]:
        """Takes out of the queue whose time is up, and those that go now."""
        now_s = self._clock_s()
        late: list[I] = []
        items: list[I] = []
        count = size_bytes = 0
        items_max, size_bytes_max = self.flight.ITEMS_MAX, self.flight.SIZE_BYTES_MAX
        for item in lane.queue:
            if item.deadline_s <= now_s or not item.is_wanted():
                late.append(item)
                continue
            count += item.count
            size_bytes += item.size_bytes
            if items and (
                count > items_max
                or size_bytes > size_bytes_max
                or abs(item.deadline_s - items[0].deadline_s) > self._spread_s
            ):
                break
            items.append(item)
        if len(late) + len(items) == len(lane.queue):
            lane.queue.clear()
        else:
            for item in (*late, *items):
                del lane.queue[item]
        return late, items


def twin(error: errors.MemraftError) -> errors.MemraftError:
    """An equal exception: one that is raised in many places at once would collect all their tracebacks."""
    other = type(error).__new__(type(error), *error.args)
    other.args = error.args
    other.__dict__.update(error.__dict__)
    other.metadata = dict(error.metadata)
    other.__cause__ = error.__cause__
    return other

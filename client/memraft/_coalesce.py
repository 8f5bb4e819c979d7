"""Merges concurrent writes of one client into batches. No IO; both facades share it.

A call costs far more than the write in it, so writes that come while another of their lane is under way
travel together::

    idle                      a write goes at once, as its own call
    a call is under way       further writes queue, first come first served
    the call is back          what has gathered goes as one Batch, a single write as its own call

A lane is what can share a Batch: one namespace, one agent, one run, one tool, one fence. It exists while a
call of it is under way. One call at a time is not only enough but best: on three nodes that shared two cores,
256 callers wrote 15,400 documents a second with one call under way, 12,200 with two, 11,500 with four and
1,700 uncoalesced; 8 callers 2,500, 1,800, 1,100 and 1,000.

What comes of a batch's call:

::

    answered                  each caller gets its operation's response
    an operation refused      it was not applied; it goes again, as its own call, which tells all details
    malformed, over a quota   nothing was applied, and it may be the fault of one: each goes as its own call
    anything else             it is the answer to each: OutcomeUnknown above all, for the batch is one request

An explicit batch, a call that carries many items by itself, and a large write go on their own.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from memraft_proto.methods import METHODS, OPERATION_FIELD, Method
from memraft_proto.v1 import batch_pb2

from . import errors

BATCH = METHODS["Batch"]

OPERATIONS_MAX = 1_000
"""Operations a batch; a shard takes up to 10,000."""
BATCH_BYTES_MAX = 1 << 20
"""Bytes of all operations of a batch, unless it has only one."""
WRITE_BYTES_MAX = 64 << 10
"""A larger write travels alone: its bytes cost more than its call."""
SPREAD = 0.1
"""How much of its time a caller may lose to another of its batch. A batch ends with the time of the first of
its callers, so only those whose time ends soon after travel with it."""
GRACE_S = 1.0
"""How long after its time a caller waits for whoever carries its write."""

_COLUMNAR = frozenset({"multi_put", "append_many", "upsert_many"})
_WHOLE = frozenset({"set_schema", "set_namespace_settings", "record_influence"})
"""Not in a Batch: they change what its other operations are checked by, or are completed by the server."""
FIELDS: dict[int, str] = {
    kind: name for kind, name in OPERATION_FIELD.items() if name not in _COLUMNAR | _WHOLE
}
"""Kind -> the field of `Operation`, for the writes that travel together."""

ALONE = object()
"""An outcome: to be sent as its own call."""

_Key = tuple[str, str, str, str, str, int]


class Waiter(Protocol):
    """Where a caller waits; each facade has its own."""

    def wake(self) -> None: ...


class Write:
    """One caller's write, and what becomes of it.

    Args:
        method: its own call.
        request: of that call; left as it is.
        shard: of its namespace.
        deadline_s: when its caller's time is up, by `time.monotonic`.
    """

    __slots__ = (
        "deadline_s",
        "flight",
        "lane",
        "method",
        "outcome",
        "request",
        "shard",
        "size_bytes",
        "waiter",
    )

    lane: "Lane"
    waiter: Any

    def __init__(self, method: Method, request: Any, shard: int, deadline_s: float) -> None:
        self.method = method
        self.request = request
        self.shard = shard
        self.deadline_s = deadline_s
        self.size_bytes: int = request.ByteSize()
        self.flight: Flight | None = None
        self.outcome: Any = None
        """The response, an exception, or `ALONE`; None as long as there is none."""

    def can_share(self) -> bool:
        """Whether it may travel with others."""
        return self.method.kind in FIELDS and self.size_bytes <= WRITE_BYTES_MAX

    def settle(self, outcome: Any) -> None:
        """Tells its caller."""
        self.outcome = outcome
        self.waiter.wake()


class Lane:
    """The writes that may travel together: a call is under way, and these have gathered meanwhile."""

    __slots__ = ("key", "queue")

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.queue: dict[Write, None] = {}
        """In order of arrival. A dict, because callers leave from the middle."""


class Flight:
    """The writes that go as one call, the oldest first."""

    __slots__ = ("deadline_s", "is_begun", "lane", "writes")

    def __init__(self, lane: Lane, writes: list[Write]) -> None:
        self.lane = lane
        self.writes = writes
        self.deadline_s = min(write.deadline_s for write in writes)
        self.is_begun = False
        """Whether somebody is about to send it."""
        for write in writes:
            write.flight = self

    def call(self) -> tuple[Method, Any]:
        """Returns the call to make and its request."""
        writes = self.writes
        first = writes[0]
        if len(writes) == 1:
            return first.method, first.request
        request = batch_pb2.BatchRequest(namespace=first.request.namespace, context=first.request.context)
        add = request.operations.add
        for write in writes:
            operation = getattr(add(), FIELDS[write.method.kind])
            operation.CopyFrom(write.request)
            operation.ClearField("namespace")
            operation.ClearField("context")
        return BATCH, request

    def land(self, response: Any) -> None:
        """Tells every caller the outcome of its write."""
        if len(self.writes) == 1:
            self.writes[0].settle(response)
            return
        for write, result in zip(self.writes, response.results, strict=True):
            which = result.WhichOneof("result")
            reply = getattr(result, which)
            # Neither was applied, and a batch's reply has less to say of it than that of an own call.
            is_short = which == "error" or (which == "compare_and_swap" and reply.current_value_omitted)
            write.settle(ALONE if is_short else reply)

    def fail(self, error: errors.MemraftError) -> None:
        """The call failed: tells every caller, or has each go alone."""
        if len(self.writes) == 1:
            self.writes[0].settle(error)
            return
        # A quota refuses a batch that is over it as a whole, where single writes may fit or need nothing.
        is_for_one = isinstance(error, errors.InvalidArgument | errors.QuotaExceeded)
        for write in self.writes:
            write.settle(ALONE if is_for_one else _twin(error))

    def lose(self) -> None:
        """Whoever carried it was interrupted: nobody knows what became of it."""
        self.fail(
            errors.OutcomeUnknown(
                "the call that carried this write was interrupted: it may or may not have been applied",
                reason="OUTCOME_UNKNOWN",
            )
        )


class Coalescer:
    """The lanes of one client. A lock makes it safe for threads.

    Args:
        make_waiter: makes where a queued caller waits.
        timeout_s: what a caller's time is.
        clock_s: monotonic seconds.
    """

    def __init__(
        self,
        make_waiter: Callable[[], Waiter],
        timeout_s: float,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_waiter = make_waiter
        self._spread_s = timeout_s * SPREAD
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._lanes: dict[_Key, Lane] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def enter(self, write: Write) -> bool:
        """Returns True where a write may go at once, as its own call, and `leave` is to be called when it is
        back; False where it was queued and its caller waits at `write.waiter`."""
        context = write.request.context
        fence = context.fence_lease, context.fence_token
        key = (write.request.namespace, context.agent, context.run, context.tool, *fence)
        with self._lock:
            lane = self._lanes.get(key)
            if lane is None:
                write.lane = self._lanes[key] = Lane(key)
                return True
            write.lane = lane
            write.waiter = self._make_waiter()
            lane.queue[write] = None
            return False

    def leave(self, lane: Lane) -> Flight | None:
        """A call is back. Returns what goes next in its place; None where the lane is idle now."""
        with self._lock:
            late = self._drop_late(lane)
            writes = self._take(lane)
            flight = Flight(lane, writes) if writes else None
            if flight is None:
                del self._lanes[lane.key]
        for write in late:
            write.settle(too_late())
        return flight

    def withdraw(self, write: Write) -> bool:
        """Takes a write out of its queue; False where it is under way or has its outcome."""
        with self._lock:
            if write not in write.lane.queue:
                return False
            del write.lane.queue[write]
            return True

    def abandon(self, write: Write) -> Lane | None:
        """A caller goes without waiting for its outcome. What goes with it goes on.

        Returns:
            The lane for which `leave` is now to be called, where it was this caller's turn to send.
        """
        if self.withdraw(write):
            return None
        flight = write.flight
        if flight is None or flight.is_begun or flight.writes[0] is not write:
            return None
        for other in flight.writes[1:]:
            other.settle(ALONE)
        return flight.lane

    def close(self) -> None:
        """Everything that is queued fails."""
        with self._lock:
            queued = [write for lane in self._lanes.values() for write in lane.queue]
            for lane in self._lanes.values():
                lane.queue.clear()
        for write in queued:
            write.settle(errors.ClosedError("this memory was closed before this write was sent"))

    def _drop_late(self, lane: Lane) -> list[Write]:
        now_s = self._clock_s()
        late = [write for write in lane.queue if write.deadline_s <= now_s]
        for write in late:
            del lane.queue[write]
        return late

    def _take(self, lane: Lane) -> list[Write]:
        writes: list[Write] = []
        size_bytes = 0
        for write in lane.queue:
            size_bytes += write.size_bytes
            if writes and (
                len(writes) >= OPERATIONS_MAX
                or size_bytes > BATCH_BYTES_MAX
                or abs(write.deadline_s - writes[0].deadline_s) > self._spread_s
            ):
                break
            writes.append(write)
        for write in writes:
            del lane.queue[write]
        return writes


def too_late() -> errors.Unavailable:
    """Returns the exception for a write whose time was up while it was queued."""
    return errors.Unavailable(
        "the time for this write was up while earlier writes of this client were under way; it was not sent"
    )


def unanswered() -> errors.OutcomeUnknown:
    """Returns the exception for a write whose time was up while another caller carried it."""
    return errors.OutcomeUnknown(
        "the time for this write is up and it may or may not have been applied", reason="OUTCOME_UNKNOWN"
    )


def _twin(error: errors.MemraftError) -> errors.MemraftError:
    """An equal exception: one that is raised in many places at once would collect all their tracebacks."""
    twin = type(error).__new__(type(error), *error.args)
    twin.args = error.args
    twin.__dict__.update(error.__dict__)
    twin.metadata = dict(error.metadata)
    twin.__cause__ = error.__cause__
    return twin

"""Lets concurrent writes travel together: waits, carries, hands on. What goes with what: `_coalesce`."""

from typing import Any, Protocol

from memraft_proto.methods import Method

from .. import _coalesce, errors
from .._coalesce import Coalescer, Flight, Lane, Write
from .io import Carriers, Waiter, let_callers_run, monotonic


class AsyncSend(Protocol):
    """Makes one call, retries included."""

    async def __call__(self, method: Method, request: Any, shard: int, deadline_s: float) -> Any: ...


class AsyncLanes:
    """The writes of one client on their way to the link.

    Args:
        send: makes one call.
        timeout_s: what a caller's time is.
    """

    def __init__(self, send: AsyncSend, timeout_s: float) -> None:
        self._send = send
        self._coalescer = Coalescer(Waiter, timeout_s)
        self._carriers = Carriers()

    async def write(self, write: Write) -> Any:
        """Sends a write, alone or with others. Raises MemraftError, as its own call would."""
        if not write.can_share():
            return await self._send(write.method, write.request, write.shard, write.deadline_s)
        if self._coalescer.enter(write):
            try:
                return await self._send(write.method, write.request, write.shard, write.deadline_s)
            finally:
                self._hand_on(write.lane)
        await self._wait(write)
        outcome = write.outcome
        if outcome is _coalesce.ALONE:
            return await self._send(write.method, write.request, write.shard, write.deadline_s)
        if isinstance(outcome, errors.MemraftError):
            raise outcome
        return outcome

    def close(self) -> None:
        """Fails what is queued; calls under way end with their channels."""
        self._coalescer.close()

    async def _wait(self, write: Write) -> None:
        """Waits until a write has its outcome, or until it is its caller's turn to carry, and does so."""
        try:
            if not await write.waiter.wait(write.deadline_s - monotonic()):
                if self._coalescer.withdraw(write):
                    raise _coalesce.too_late()
                if not await write.waiter.wait(_coalesce.GRACE_S):
                    raise _coalesce.unanswered()
        except BaseException:
            lane = self._coalescer.abandon(write)
            if lane is not None:
                self._hand_on(lane)
            raise
        flight = write.flight
        if write.outcome is None and flight is not None:
            flight.is_begun = True
            await self._carry(flight)

    async def _carry(self, flight: Flight) -> None:
        """Makes the call of a flight, tells all callers, and hands the lane on."""
        try:
            await self._fly(flight)
            await let_callers_run()
        finally:
            self._hand_on(flight.lane)

    async def _fly(self, flight: Flight) -> None:
        try:
            method, request = flight.call()
            response = await self._send(method, request, flight.writes[0].shard, flight.deadline_s)
        except errors.MemraftError as error:
            flight.fail(error)
        except BaseException:
            flight.lose()
            raise
        else:
            flight.land(response)

    def _hand_on(self, lane: Lane) -> None:
        """A call of a lane is back: what has gathered goes."""
        flight = self._coalescer.leave(lane)
        if flight is not None:
            self._carriers.start(flight, self._carry)

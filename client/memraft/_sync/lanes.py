# Generated from _async/lanes.py by scripts/generate_sync.py: edit that one.

"""Lets concurrent items travel together: waits, carries, hands on. What goes with what: `_gather`."""

from typing import Any, Protocol

from memraft_proto.methods import Method

from .. import _gather, errors
from .._gather import ALONE, Flight, Gatherer, Item, Lane, Party
from .io import Carriers, Waiter, after_this_turn, begin, let_callers_run, monotonic


class Send(Protocol):
    """Makes one call. Raises MemraftError."""

    def __call__(self, method: Method, request: Any, destination: Any, deadline_s: float, /) -> Any: ...


class Lanes:
    """What is on its way from one client.

    Args:
        flight: what items travel in.
        send: makes one call.
        timeout_s: what a caller's time is.
    """

    def __init__(self, flight: type[Flight[Any]], send: Send, timeout_s: float) -> None:
        self._flight = flight
        self._send = send
        self._gatherer: Gatherer[Any, Any] = Gatherer(
            flight, Waiter, timeout_s, soon=after_this_turn(self.hand_on)
        )
        self._carriers = Carriers()

        self.alone = self._gatherer.alone
        """See there; `hand_on` is to be called after it."""
        self.joined = self._gatherer.joined
        """See there."""

    def carry(self, item: Item) -> Any:
        """Sends an item, alone or with others. Raises MemraftError, as its own call would."""
        if self._gatherer.enter(item):
            try:
                method, request = item.call()
                return self._send(method, request, item.destination, item.deadline_s)
            finally:
                self.hand_on(item.lane)
        try:
            if not item.waiter.wait(item.deadline_s - monotonic()):
                self._wait_on(item)
        except BaseException:
            lane = self._gatherer.abandon(item)
            if lane is not None:
                self.hand_on(lane)
            raise
        outcome = item.outcome
        if outcome is None and item.flight is not None:
            item.flight.is_begun = True
            self._fly(item.flight)
            outcome = item.outcome
        if outcome is ALONE:
            method, request = item.call()
            return self._send(method, request, item.destination, item.deadline_s)
        if isinstance(outcome, errors.MemraftError):
            raise outcome
        return outcome

    def join(self, party: Party, part: Any, size_bytes: int) -> Any:
        """Has a caller begin a party, where it neither was `alone` nor has `joined` one.

        Args:
            party: as yet empty.
            part: what the caller wants.
            size_bytes: of that.

        Returns:
            What will have its outcome: the response, an exception, or `ALONE`. A thread is a party by itself:
            there it is the response, of a call of its own or of one that it was carried by.
        """
        return begin(self._gatherer, self.carry, party, part, size_bytes)

    def close(self) -> None:
        """Fails what is queued; calls under way end with their channels."""
        self._gatherer.close()

    def _wait_on(self, item: Item) -> None:
        """The time of an item is up. Raises where it was not sent, or is not answered soon."""
        if self._gatherer.withdraw(item):
            raise self._flight.late()
        if not item.waiter.wait(_gather.GRACE_S):
            raise self._flight.unanswered()

    def _fly(self, flight: Flight[Any]) -> None:
        """Makes the call of a flight, tells all callers, and hands the lane on."""
        try:
            self._call(flight)
            let_callers_run()
        finally:
            flight.items.clear()  # they know their flight: the circle would wait for the collector
            self.hand_on(flight.lane)

    def _call(self, flight: Flight[Any]) -> None:
        try:
            method, request = flight.call()
            response = self._send(method, request, flight.items[0].destination, flight.deadline_s)
        except errors.MemraftError as error:
            flight.fail(error)
        except BaseException:
            flight.lose()
            raise
        else:
            flight.land(response)

    def hand_on(self, lane: Lane[Any]) -> None:
        """A call of a lane is back: what has gathered goes."""
        flight = self._gatherer.leave(lane)
        if flight is not None:
            self._carriers.start(flight, self._fly)

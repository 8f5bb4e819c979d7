# Generated from _async/coordination.py by scripts/generate_sync.py: edit that one.

"""Counters and gates."""

import secrets

from memraft_proto.v1 import coordination_pb2

from .. import _coordination as coordination
from .. import _wire
from ..types import At, Consistency, CounterInfo, GateInfo, Results, Written
from .base import METHOD, Calls
from .waiting import wait_until

_ADD, _COUNTER, _COUNTERS = METHOD["AddCounter"], METHOD["GetCounter"], METHOD["ListCounters"]
_SET, _ARRIVE, _GATE = METHOD["SetGate"], METHOD["ArriveAtGate"], METHOD["GetGate"]


class Gate:
    """A gate of a workflow: closed until it is opened, by hand or by the last of those who arrive.

    Args:
        calls: where, and who.
        name: 1 to 512 bytes of UTF-8 without control characters.
    """

    def __init__(self, calls: Calls, name: str) -> None:
        self.name = name
        self._calls = calls

    def open(self) -> Written:
        """Opens it; harmless where it is open."""
        request = coordination.set_gate(self._calls._where, self.name, True)
        return coordination.set_gate_done(request, self._calls._link.write(_SET, request))

    def close(self) -> Written:
        """Closes it and forgets who arrived; harmless where it is closed."""
        request = coordination.set_gate(self._calls._where, self.name, False)
        return coordination.set_gate_done(request, self._calls._link.write(_SET, request))

    def arrive(self, parties: int, *, arrival: str = "") -> bool:
        """Counts an arrival; the gate opens when `parties` have arrived. To wait for them: `wait`.

        Args:
            parties: how many have to arrive, 1 to 1,000; all name the same number.
            arrival: tells those who arrive apart: one that arrives twice counts once. Empty: a new one.

        Returns:
            Whether the gate is open now.

        Raises:
            InvalidArgument: others who have arrived named another number.
        """
        request = _wire.build(
            coordination_pb2.ArriveAtGateRequest,
            **self._calls._where,
            name=self.name,
            arrival=arrival or secrets.token_hex(16),
            parties=_wire.at_least_one(parties, "parties"),
        )
        response: coordination_pb2.ArriveAtGateResponse = self._calls._link.write(_ARRIVE, request)
        return response.open

    def info(self, *, at: At = None, consistency: Consistency | None = None) -> GateInfo:
        """Reads how it stands, and who changed it last.

        Args:
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            coordination_pb2.GetGateRequest, **self._calls._from(at, consistency), name=self.name
        )
        return coordination.gate_info(self.name, self._calls._link.read(_GATE, request))

    def is_open(self, *, at: At = None, consistency: Consistency | None = None) -> bool:
        """Reads whether it is open; arguments as `info`."""
        return (self.info(at=at, consistency=consistency)).is_open

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until it is open; False where the time is up.

        Args:
            timeout_s: seconds to wait; None: for ever.
        """
        return wait_until(self._is_open_or_none, coordination.timeout(timeout_s)) or False

    def _is_open_or_none(self) -> bool | None:
        return self.is_open() or None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class CoordinationCalls(Calls):
    """Counters and gates."""

    def add(self, name: str, delta: int = 1) -> int:
        """Adds to a counter and returns what it is now. One that is not there is 0.

        Args:
            name: 1 to 512 bytes of UTF-8 without control characters.
            delta: how much, also less than 0.

        Raises:
            InvalidArgument: the sum would be outside of -2**63 to 2**63-1; nothing was added.
        """
        request = coordination.add_counter(self._where, name, delta)
        return coordination.add_counter_done(request, self._link.write(_ADD, request))

    def counter(self, name: str, *, at: At = None, consistency: Consistency | None = None) -> int:
        """Reads a counter; 0 where nothing was ever added.

        Args:
            name: which one.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(coordination_pb2.GetCounterRequest, **self._from(at, consistency), name=name)
        response: coordination_pb2.GetCounterResponse = self._link.read(_COUNTER, request)
        return response.value

    def counters(
        self,
        prefix: str = "",
        *,
        limit: int = 1000,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[CounterInfo]:
        """Lists counters that were ever added to, in order of name.

        Args:
            prefix: only names that begin with this.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before. A page may be shorter than `limit` and yet not the last.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            coordination_pb2.ListCountersRequest,
            **self._from(at, consistency),
            prefix=prefix,
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        return coordination.counters(self._link.read(_COUNTERS, request))

    def gate(self, name: str) -> Gate:
        """Returns a gate, which is closed until somebody opens it.

        Args:
            name: 1 to 512 bytes of UTF-8 without control characters.
        """
        return Gate(self, name)

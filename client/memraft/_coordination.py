"""Between Python values and the messages of leases, counters and gates. Pure; shared by both facades."""

from collections.abc import Iterable, Mapping
from numbers import Real
from operator import index
from reprlib import repr as shown
from typing import Any

from memraft_proto.v1 import coordination_pb2, lease_pb2

from . import _wire
from .errors import InvalidArgument
from .types import CounterInfo, GateInfo, LeaseHolder, LeaseInfo, Results, Written

ELECTION_PREFIX = "election/"
"""What the leases of elections are named with, before the election's name."""

_FIELDS = ("holder", "agent", "token", "asked_at_us", "granted_at_us", "expires_at_us")


def milliseconds(seconds: Any, name: str) -> int:
    """Returns a time in seconds as milliseconds.

    Raises:
        InvalidArgument: it is no number, or less than a millisecond. What is too long, the server says.
    """
    if not isinstance(seconds, Real) or isinstance(seconds, bool):
        raise InvalidArgument(f"{name} must be a number of seconds, not {shown(seconds)}")
    try:
        ms = round(float(seconds) * 1000)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"{name} must be a number of seconds, not {shown(seconds)}") from error
    if ms < 1:
        raise InvalidArgument(f"{name} must be a number of seconds from 0.001, not {shown(seconds)}")
    return ms


def timeout(seconds: Any) -> float | None:
    """Returns how long to wait, in seconds; None: for ever. Raises InvalidArgument."""
    if seconds is None:
        return None
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds >= 0:
        return float(seconds)
    raise InvalidArgument(f"timeout_s must be a number of seconds from 0, or None, not {shown(seconds)}")


def holder(found: lease_pb2.LeaseHolder) -> LeaseHolder:
    """Returns the LeaseHolder of a message."""
    return LeaseHolder(**{name: getattr(found, name) for name in _FIELDS})


def lease_info(
    name: str, current: lease_pb2.LeaseHolder, waiting: Iterable[lease_pb2.LeaseHolder] = ()
) -> LeaseInfo:
    """Returns what is known of a lease that is held."""
    fields = {field: getattr(current, field) for field in _FIELDS}
    return LeaseInfo(name=name, waiting=tuple(map(holder, waiting)), **fields)


def leases(response: lease_pb2.ListLeasesResponse) -> Results[LeaseInfo]:
    """Returns the leases of a listing."""
    pairs = zip(response.names, response.holders, strict=True)
    return _wire.results(response, tuple(lease_info(name, current) for name, current in pairs))


def counters(response: coordination_pb2.ListCountersResponse) -> Results[CounterInfo]:
    """Returns the counters of a listing."""
    columns = zip(response.names, response.values, response.versions, response.times_us, strict=True)
    items = (
        CounterInfo(name=name, value=value, version=version, time_us=time_us)
        for name, value, version, time_us in columns
    )
    return _wire.results(response, tuple(items))


def gate_info(name: str, found: coordination_pb2.GetGateResponse) -> GateInfo:
    """Returns how a gate stands."""
    written = found.provenance
    return GateInfo(
        name=name,
        is_open=found.open,
        arrived=found.arrived,
        parties=found.parties,
        version=written.version,
        time_us=written.time_us,
        agent=written.agent,
    )


def add_counter(where: Mapping[str, Any], name: str, delta: Any) -> coordination_pb2.AddCounterRequest:
    """Returns the request that adds to a counter."""
    try:
        whole = index(delta)
    except TypeError as error:
        raise InvalidArgument(f"delta must be an integer, not {shown(delta)}") from error
    return _wire.build(coordination_pb2.AddCounterRequest, **where, name=name, delta=whole)


def add_counter_done(
    _request: coordination_pb2.AddCounterRequest, response: coordination_pb2.AddCounterResponse
) -> int:
    """Returns what the counter is now."""
    return response.value


def set_gate(where: Mapping[str, Any], name: str, open: bool) -> coordination_pb2.SetGateRequest:
    """Returns the request that opens or closes a gate."""
    return _wire.build(coordination_pb2.SetGateRequest, **where, name=name, open=open)


def set_gate_done(
    request: coordination_pb2.SetGateRequest, response: coordination_pb2.SetGateResponse
) -> Written:
    """Returns when it was done."""
    return Written(id=request.name, version=response.version, time_us=response.time_us)

"""Applies and answers calls on counters and gates."""

from __future__ import annotations

from memraft_proto.v1 import coordination_pb2
from memraft_server.machine import pages
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Handler, Query, Turn, View
from memraft_server.machine.validate_common import shown
from memraft_server.projections.coordination import (
    CountersProjection,
    Gate,
    GatesProjection,
    decode_gate,
    encode_gate,
)
from memraft_server.projections.versions import Record

_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1
_CLOSED = Gate()


def add_counter(
    turn: Turn, space: Namespace, request: coordination_pb2.AddCounterRequest
) -> coordination_pb2.AddCounterResponse:
    """Adds to a counter; refuses a sum that is outside of int64."""
    records = space.projection(CountersProjection).records
    before = _count(records.head(request.name))
    value = before + request.delta
    if not _INT64_MIN <= value <= _INT64_MAX:
        raise invalid(
            f"delta: counter {shown(request.name)} is {before} and would be {value}, outside of {_INT64_MIN} "
            f"to {_INT64_MAX}",
            field="delta",
        )
    records.store(request.name, b"%d" % value, turn.version, turn.author, 0)
    return coordination_pb2.AddCounterResponse(value=value, version=turn.version, time_us=turn.time_us)


def get_counter(
    view: View, space: Namespace, request: coordination_pb2.GetCounterRequest
) -> coordination_pb2.GetCounterResponse:
    """Reads a counter."""
    record = space.projection(CountersProjection).records.at(request.name, view.ceiling)
    response = coordination_pb2.GetCounterResponse(value=_count(record))
    if record is not None:
        view.fill_provenance(response.provenance, record.version, record.author)
    return response


def list_counters(
    view: View, space: Namespace, request: coordination_pb2.ListCountersRequest
) -> coordination_pb2.ListCountersResponse:
    """Lists counters that were ever added to."""
    response = coordination_pb2.ListCountersResponse()
    records = space.projection(CountersProjection).records
    found = pages.named(view, records, "counters", request, response)
    response.values.extend(int(value) for _, value in found)
    return response


def _count(record: Record | None) -> int:
    return int(record.value) if record is not None and record.value is not None else 0


def set_gate(
    turn: Turn, space: Namespace, request: coordination_pb2.SetGateRequest
) -> coordination_pb2.SetGateResponse:
    """Opens or closes a gate. Closing it forgets who arrived."""
    gates = space.projection(GatesProjection)
    gate = _gate(gates.records.head(request.name))
    changed = gate.is_open != request.open
    if changed or (gate.arrivals and not request.open):
        arrived = (gate.parties, gate.arrivals) if request.open else (0, ())
        gates.records.store(
            request.name, encode_gate(Gate(request.open, *arrived)), turn.version, turn.author, 0
        )
    return coordination_pb2.SetGateResponse(changed=changed, version=turn.version, time_us=turn.time_us)


def arrive(
    turn: Turn, space: Namespace, request: coordination_pb2.ArriveAtGateRequest
) -> coordination_pb2.ArriveAtGateResponse:
    """Counts an arrival, once, and opens the gate when all have arrived."""
    gates = space.projection(GatesProjection)
    gate = _gate(gates.records.head(request.name))
    if gate.parties not in (0, request.parties):
        raise invalid(
            f"parties: {request.parties}, but gate {shown(request.name)} waits for {gate.parties}: the first "
            "to arrive decides",
            field="parties",
        )
    if not gate.is_open and request.arrival not in gate.arrivals:
        arrivals = (*gate.arrivals, request.arrival)
        gate = Gate(len(arrivals) >= request.parties, request.parties, arrivals)
        gates.records.store(request.name, encode_gate(gate), turn.version, turn.author, 0)
    return coordination_pb2.ArriveAtGateResponse(
        open=gate.is_open, arrived=len(gate.arrivals), version=turn.version, time_us=turn.time_us
    )


def get_gate(
    view: View, space: Namespace, request: coordination_pb2.GetGateRequest
) -> coordination_pb2.GetGateResponse:
    """Reads a gate."""
    record = space.projection(GatesProjection).records.at(request.name, view.ceiling)
    gate = _gate(record)
    response = coordination_pb2.GetGateResponse(
        open=gate.is_open, arrived=len(gate.arrivals), parties=gate.parties
    )
    if record is not None:
        view.fill_provenance(response.provenance, record.version, record.author)
    return response


def _gate(record: Record | None) -> Gate:
    return decode_gate(record.value) if record is not None and record.value is not None else _CLOSED


HANDLERS: dict[int, Handler] = {23: add_counter, 24: set_gate, 25: arrive}
QUERIES: dict[str, Query] = {
    "GetCounter": get_counter,
    "ListCounters": list_counters,
    "GetGate": get_gate,
}

"""Applies and answers calls on named records."""

from __future__ import annotations

from memraft_proto.v1 import state_pb2
from memraft_server.machine import pages
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.turn import Handler, Query, Turn, View
from memraft_server.projections.state import StateProjection


def compare_and_swap(
    turn: Turn, space: Namespace, request: state_pb2.CompareAndSwapRequest
) -> state_pb2.CompareAndSwapResponse:
    """Replaces or removes a record if it has the version that the caller saw."""
    value = None if request.remove else request.value
    state = space.projection(StateProjection)
    swapped, now = state.swap(request.name, request.expected_version, value, turn.version, turn.author)
    response = state_pb2.CompareAndSwapResponse(swapped=swapped, time_us=turn.time_us)
    if now is not None:
        response.version = now.version
        if not swapped and now.value:
            if turn.room_for(now.value):
                response.current_value = now.value
            else:
                response.current_value_omitted = True
    return response


def get_state(view: View, space: Namespace, request: state_pb2.GetStateRequest) -> state_pb2.GetStateResponse:
    """Reads a record."""
    record = space.projection(StateProjection).records.at(request.name, view.ceiling)
    if record is None or record.value is None:
        return state_pb2.GetStateResponse()
    return state_pb2.GetStateResponse(
        found=True, value=record.value, provenance=view.provenance(record.version, record.author)
    )


def list_states(
    view: View, space: Namespace, request: state_pb2.ListStatesRequest
) -> state_pb2.ListStatesResponse:
    """Lists records."""
    response = state_pb2.ListStatesResponse()
    records = space.projection(StateProjection).records
    response.values.extend(value for _, value in pages.named(view, records, "states", request, response))
    return response


HANDLERS: dict[int, Handler] = {6: compare_and_swap}
QUERIES: dict[str, Query] = {"GetState": get_state, "ListStates": list_states}

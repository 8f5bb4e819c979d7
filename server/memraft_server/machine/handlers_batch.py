"""Applies a Batch: its operations in order, each with an outcome of its own."""

from __future__ import annotations

from collections.abc import Mapping

from memraft_proto.methods import OPERATION_FIELD
from memraft_proto.v1 import batch_pb2
from memraft_server.machine.handlers_kv import put_into
from memraft_server.machine.limits import ITEMS_MAX, POSITION_BITS
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import STATUS_CODES, Refused, invalid
from memraft_server.machine.turn import Handler, Turn

KIND_OF_FIELD = {name: kind for kind, name in OPERATION_FIELD.items()}
"""Name of the field in `Operation` -> kind."""


def batch(
    turn: Turn, space: Namespace, request: batch_pb2.BatchRequest, handlers: Mapping[int, Handler]
) -> batch_pb2.BatchResponse:
    """Applies every operation of `request` with its kind's handler; a refused one does not stop the rest."""
    first = turn.version
    response = batch_pb2.BatchResponse(log_index=first >> POSITION_BITS, time_us=turn.time_us)
    add = response.results.add
    for operation in request.operations:
        field = operation.WhichOneof("operation")
        result = add()
        turn.items = 1
        try:
            if turn.version - first >= ITEMS_MAX:
                raise invalid(f"operations: over {ITEMS_MAX} items in all", limit=str(ITEMS_MAX))
            if field == "put":
                put_into(turn, space, operation.put, result.put)
            elif field is None:
                raise invalid("operations: one without an operation")
            else:
                reply = handlers[KIND_OF_FIELD[field]](turn, space, getattr(operation, field))
                getattr(result, field).CopyFrom(reply)
        except Refused as refused:
            turn.items = 1
            result.error.code = STATUS_CODES[refused.reason]
            result.error.reason = refused.reason
            if turn.room_for(refused.message):
                result.error.message = refused.message
        turn.version += turn.items
    turn.items = max(1, turn.version - first)
    turn.version = first
    return response

"""Checks of calls on streams, named records and runs."""

from __future__ import annotations

from memraft_proto.v1 import run_pb2, state_pb2, stream_pb2
from memraft_server.machine.limits import Limits
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Check
from memraft_server.machine.validate_common import (
    check_count,
    check_json,
    check_json_each,
    check_now,
    check_text,
)


def _append(request: stream_pb2.AppendRequest, limits: Limits) -> None:
    check_text("stream", request.stream, limits.key_bytes_max)
    check_text("type", request.type, limits.name_bytes_max, empty=True)
    check_json("payload", request.payload, limits.value_bytes_max)


def _append_many(request: stream_pb2.AppendManyRequest, limits: Limits) -> None:
    types, payloads = request.types, request.payloads
    check_text("stream", request.stream, limits.key_bytes_max)
    check_count("payloads", len(payloads), limits.items_max, least=1)
    if len(types) not in (1, len(payloads)):
        raise invalid(
            f"types: {len(types)} elements, 1 or as many as payloads: {len(payloads)}", field="types"
        )
    for i, type_ in enumerate(types):
        check_text(f"types[{i}]", type_, limits.name_bytes_max, empty=True)
    check_json_each("payloads", payloads, limits.value_bytes_max)


def _stream_page(
    request: stream_pb2.ReadStreamRequest | stream_pb2.VerifyStreamRequest | stream_pb2.TailStreamRequest,
    limits: Limits,
) -> None:
    check_text("stream", request.stream, limits.key_bytes_max)
    check_count("limit", request.limit, limits.page_items_max)


def _read_stream(request: stream_pb2.ReadStreamRequest, limits: Limits) -> None:
    _stream_page(request, limits)
    for field in ("from_time_us", "until_time_us"):
        if getattr(request, field) < 0:
            raise invalid(f"{field}: microseconds since the Unix epoch, not negative", field=field)


def _tail_stream(request: stream_pb2.TailStreamRequest, limits: Limits) -> None:
    _stream_page(request, limits)
    check_now(request.context)


def _list_streams(request: stream_pb2.ListStreamsRequest, limits: Limits) -> None:
    check_text("prefix", request.prefix, limits.key_bytes_max, empty=True)
    check_count("limit", request.limit, limits.page_items_max)


def _compare_and_swap(request: state_pb2.CompareAndSwapRequest, limits: Limits) -> None:
    check_text("name", request.name, limits.key_bytes_max)
    if not request.remove:
        check_json("value", request.value, limits.value_bytes_max)


def _get_state(request: state_pb2.GetStateRequest, limits: Limits) -> None:
    check_text("name", request.name, limits.key_bytes_max)


def _begin_run(request: run_pb2.BeginRunRequest, limits: Limits) -> None:
    # A run is named in every write that belongs to it, so its id is held to what a WriteContext may carry.
    check_text("run_id", request.run_id, limits.label_bytes_max, empty=True)
    check_json("inputs", request.inputs, limits.value_bytes_max, empty=True)


def _end_run(request: run_pb2.EndRunRequest, limits: Limits) -> None:
    check_text("run_id", request.run_id, limits.label_bytes_max)
    check_json("outputs", request.outputs, limits.value_bytes_max, empty=True)
    if request.status not in (run_pb2.RUN_STATUS_SUCCEEDED, run_pb2.RUN_STATUS_FAILED):
        raise invalid(
            f"status: {request.status}, RUN_STATUS_SUCCEEDED (2) or RUN_STATUS_FAILED (3)", field="status"
        )


def _get_run(request: run_pb2.GetRunRequest, limits: Limits) -> None:
    check_text("run_id", request.run_id, limits.label_bytes_max)


def _list_runs(request: run_pb2.ListRunsRequest, limits: Limits) -> None:
    check_count("limit", request.limit, limits.page_items_max)


WRITE_CHECKS: dict[int, Check] = {
    4: _append,
    5: _append_many,
    6: _compare_and_swap,
    13: _begin_run,
    14: _end_run,
}
READ_CHECKS: dict[str, Check] = {
    "ReadStream": _read_stream,
    "TailStream": _tail_stream,
    "VerifyStream": _stream_page,
    "ListStreams": _list_streams,
    "GetState": _get_state,
    "GetRun": _get_run,
    "ListRuns": _list_runs,
}

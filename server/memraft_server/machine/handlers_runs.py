"""Applies and answers calls on runs."""

from __future__ import annotations

from memraft_proto.v1 import run_pb2
from memraft_server.machine import cursors
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.recording import steps_of
from memraft_server.machine.refused import Refused
from memraft_server.machine.turn import Handler, Query, Turn, View
from memraft_server.machine.validate_common import shown
from memraft_server.projections.runs import RunRecord, RunsProjection
from memraft_server.projections.versions import NOW

_RUN_WIRE_BYTES = 100


def begin_run(turn: Turn, space: Namespace, request: run_pb2.BeginRunRequest) -> run_pb2.BeginRunResponse:
    """Begins a run under the given or a new id."""
    runs = space.projection(RunsProjection)
    run_id = request.run_id or turn.new_id()
    run = runs.find(run_id)
    conflict = run is not None
    if run is None:
        run = runs.begin(run_id, turn.version, turn.author, request.inputs, request.record)
    return run_pb2.BeginRunResponse(
        run_id=run_id,
        version=run.ended_version or run.began_version,
        time_us=turn.time_us,
        conflict=conflict,
    )


def end_run(turn: Turn, space: Namespace, request: run_pb2.EndRunRequest) -> run_pb2.EndRunResponse:
    """Ends a run that has not ended yet."""
    runs = space.projection(RunsProjection)
    run = runs.find(request.run_id)
    if run is None:
        raise Refused("NO_SUCH_RUN", f"run_id: no run {shown(request.run_id)} in {shown(space.name)}")
    conflict = run.ended_version != 0
    if not conflict:
        runs.end(run, turn.version, request.status, request.outputs)
    version = run.ended_version if conflict else turn.version
    return run_pb2.EndRunResponse(version=version, time_us=turn.time_us, conflict=conflict)


def _run(view: View, space: Namespace, run: RunRecord) -> run_pb2.Run:
    ended = 0 < run.ended_version <= view.ceiling
    return run_pb2.Run(
        run_id=run.run_id,
        status=run.status if ended else run_pb2.RUN_STATUS_RUNNING,  # type: ignore[arg-type]
        agent=run.author.agent,
        began_at_us=view.time_us(run.began_version),
        ended_at_us=view.time_us(run.ended_version) if ended else 0,
        inputs=run.inputs,
        outputs=run.outputs if ended else b"",
        version=run.ended_version if ended else run.began_version,
        began_version=run.began_version,
        recorded=run.recorded,
        steps=steps_of(space, run.run_id, view.ceiling) if run.recorded else 0,
    )


def get_run(view: View, space: Namespace, request: run_pb2.GetRunRequest) -> run_pb2.GetRunResponse:
    """Reads one run."""
    run = space.projection(RunsProjection).at(request.run_id, view.ceiling)
    return run_pb2.GetRunResponse(run=_run(view, space, run)) if run is not None else run_pb2.GetRunResponse()


def list_runs(view: View, space: Namespace, request: run_pb2.ListRunsRequest) -> run_pb2.ListRunsResponse:
    """Lists runs, newest first, as many as fit a page."""
    limits = view.limits
    below = cursors.decode_number("runs", request.cursor) if request.cursor else NOW
    items_max = min(request.limit or 100, limits.page_items_max)
    response = run_pb2.ListRunsResponse()
    size = 0
    listed_version = 0
    for run in space.projection(RunsProjection).newest(below, view.ceiling, items_max + 1):
        size += len(run.inputs) + len(run.outputs) + len(run.run_id) + _RUN_WIRE_BYTES
        full = len(response.runs) >= items_max or size > limits.page_bytes_max
        if full and response.runs:
            response.next_cursor = cursors.encode("runs", str(listed_version))
            break
        response.runs.append(_run(view, space, run))
        listed_version = run.began_version
    return response


HANDLERS: dict[int, Handler] = {13: begin_run, 14: end_run}
QUERIES: dict[str, Query] = {"GetRun": get_run, "ListRuns": list_runs}

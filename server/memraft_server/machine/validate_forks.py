"""Checks of calls on forks."""

from __future__ import annotations

from memraft_proto.names import is_namespace_segment
from memraft_proto.v1 import fork_pb2, run_pb2
from memraft_server.machine.forks import fork_name, refuse_unrelated
from memraft_server.machine.limits import Limits
from memraft_server.machine.refused import invalid
from memraft_server.machine.replays import REPLAYED_STEPS_MAX
from memraft_server.machine.turn import Check
from memraft_server.machine.validate_common import check_count, check_namespace, check_text, shown

KINDS_MAX = 32


def _check_name(
    request: fork_pb2.ForkRequest | fork_pb2.DropForkRequest | fork_pb2.MergeForkRequest, limits: Limits
) -> None:
    if not is_namespace_segment(request.fork):
        raise invalid(
            f"fork: {shown(request.fork)} must be 1 to 63 letters, digits, '.', '_' or '-', the first a "
            "letter or digit",
            field="fork",
        )
    if request.namespace:  # in a Batch the machine finds it too deep
        check_namespace(fork_name(request.namespace, request.fork), limits)


def _list_forks(request: fork_pb2.ListForksRequest, limits: Limits) -> None:
    check_count("limit", request.limit, limits.page_items_max)


def _merge(request: fork_pb2.MergeForkRequest, limits: Limits) -> None:
    _check_name(request, limits)
    check_count("on_conflict", request.on_conflict, fork_pb2.ON_CONFLICT_THEIRS)


def _diff(request: fork_pb2.DiffRequest, limits: Limits) -> None:
    check_count("limit", request.limit, limits.page_items_max)
    check_count("kinds", len(request.kinds), KINDS_MAX)
    _check_related(request.namespace, request.from_namespace, limits)


def _replay_run(request: run_pb2.ReplayRunRequest, limits: Limits) -> None:
    check_text("run_id", request.run_id, limits.label_bytes_max)
    check_count("steps_max", request.steps_max, REPLAYED_STEPS_MAX)


def _diff_runs(request: run_pb2.DiffRunsRequest, limits: Limits) -> None:
    check_text("run_id", request.run_id, limits.label_bytes_max)
    check_text("other_run_id", request.other_run_id, limits.label_bytes_max)
    check_count("limit", request.limit, limits.page_items_max)
    _check_related(request.namespace, request.other_namespace, limits)


def _check_related(namespace: str, other: str, limits: Limits) -> None:
    """Refuses to compare with what has another root: it may be on another shard, or another tenant's."""
    if not other:
        return
    check_namespace(other, limits)
    refuse_unrelated(namespace, other)


WRITE_CHECKS: dict[int, Check] = {40: _check_name, 41: _check_name, 42: _merge}
READ_CHECKS: dict[str, Check] = {
    "ListForks": _list_forks,
    "Diff": _diff,
    "ReplayRun": _replay_run,
    "DiffRuns": _diff_runs,
}

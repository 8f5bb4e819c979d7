"""Requests and results of replays, diffs and merges."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from memraft_proto.v1 import fork_pb2, run_pb2

from . import _wire
from .errors import InvalidArgument, MergeConflicts
from .types import At, MergeConflict, Merged, RecordDifference, Replay, RunDiff, StepDifference, Verdict

OnConflict: TypeAlias = Literal["fail", "ours", "theirs"]
"""What a merge does with what changed on both sides."""

_ON_CONFLICT: Mapping[Any, Any] = {
    "fail": fork_pb2.ON_CONFLICT_FAIL,
    "ours": fork_pb2.ON_CONFLICT_OURS,
    "theirs": fork_pb2.ON_CONFLICT_THEIRS,
}
_VERDICTS: dict[int, Verdict] = {
    run_pb2.REPLAY_VERDICT_SAME: "same",
    run_pb2.REPLAY_VERDICT_OUTSIDE: "outside",
    run_pb2.REPLAY_VERDICT_DIFFERS: "differs",
}


def step_difference(response: Any) -> StepDifference | None:
    """Returns the first difference of a response; None where it has none."""
    if not response.HasField("first_difference"):
        return None
    found = response.first_difference
    return StepDifference(
        step=found.step, call=found.call, left=found.left, right=found.right, is_outside=found.is_outside
    )


def replay(run_id: str, response: run_pb2.ReplayRunResponse) -> Replay:
    """Returns the Replay of a `ReplayRunResponse`."""
    return Replay(
        run_id=run_id,
        verdict=_VERDICTS[response.verdict],
        steps=response.steps,
        recorded_steps=response.recorded_steps,
        outside_steps=response.outside_steps,
        first_difference=step_difference(response),
        recorded_hash=response.recorded_hash,
        replayed_hash=response.replayed_hash,
    )


def run_diff(response: run_pb2.DiffRunsResponse) -> RunDiff:
    """Returns the RunDiff of a `DiffRunsResponse`."""
    return RunDiff(
        common_steps=response.common_steps,
        steps=response.steps,
        other_steps=response.other_steps,
        first_difference=step_difference(response),
        records=records(response.records),
        is_truncated=response.truncated,
    )


def records(found: Iterable[run_pb2.RecordDifference]) -> tuple[RecordDifference, ...]:
    """Returns the differences of `RecordDifference` messages."""
    return tuple(
        RecordDifference(
            kind=each.kind,
            name=each.name,
            left_version=each.left_version,
            right_version=each.right_version,
            left=each.left,
            right=each.right,
        )
        for each in found
    )


def from_moment(at: At) -> dict[str, int]:
    """Returns the fields of a `DiffRequest` that say as of when its first side is read."""
    if at is None:
        return {}
    context = _wire.read_context("session", at)
    if isinstance(at, datetime):
        return {"from_time_us": context.at_time_us}
    return {"from_index": context.at_index}


def merge(where: Mapping[str, Any], name: str, on_conflict: OnConflict) -> fork_pb2.MergeForkRequest:
    """Returns the request to merge a fork."""
    if on_conflict not in _ON_CONFLICT:
        raise InvalidArgument(f"on_conflict must be 'fail', 'ours' or 'theirs', not {on_conflict!r}")
    return _wire.build(fork_pb2.MergeForkRequest, **where, fork=name, on_conflict=_ON_CONFLICT[on_conflict])


def merge_done(request: fork_pb2.MergeForkRequest, response: fork_pb2.MergeForkResponse) -> Merged:
    """Returns the outcome. Raises MergeConflicts where nothing was merged because of conflicts."""
    conflicts = tuple(
        MergeConflict(
            kind=each.kind,
            name=each.name,
            base_version=each.base_version,
            ours_version=each.ours_version,
            theirs_version=each.theirs_version,
        )
        for each in response.conflicts
    )
    if response.conflict:
        first = ", ".join(f"{each.kind} {each.name!r}" for each in conflicts[:3])
        more = ", …" if response.conflict_count > 3 else ""
        raise MergeConflicts(
            f"fork {request.fork!r} and its parent both changed {response.conflict_count}: {first}{more}",
            conflicts,
        )
    return Merged(
        merged=response.merged,
        version=response.version,
        time_us=response.time_us,
        conflict_count=response.conflict_count,
        conflicts=conflicts,
    )

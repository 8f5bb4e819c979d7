"""Views that the operator's own code derives from what was written."""

from typing import Any

from memraft_proto.v1 import projection_pb2

from .. import _json, _wire
from ..types import At, Consistency, Results
from ..types_projections import ProjectionInfo, ProjectionState
from .base import METHOD, AsyncCalls

_STATES: dict[int, ProjectionState] = {
    projection_pb2.PROJECTION_STATE_BUILDING: "building",
    projection_pb2.PROJECTION_STATE_FOLLOWING: "following",
    projection_pb2.PROJECTION_STATE_FAILED: "failed",
}


class AsyncProjectionCalls(AsyncCalls):
    """Projections that were registered."""

    async def project(
        self, name: str, argument: Any = None, *, at: At = None, consistency: Consistency | None = None
    ) -> Any:
        """Asks a registered projection of this namespace; it has had all that this memory wrote.

        One that is still being made from what is stored is waited for, as long as a call may take.

        Args:
            name: which.
            argument: what its `query` is given: a JSON value.
            at: as of an aware datetime or a log index, where the projection can; None: now.
            consistency: how fresh; None: as this memory was opened with.

        Returns:
            What its `query` returned: a JSON value.

        Raises:
            NotFound: there is none of this name.
            InvalidArgument: it does not take this argument, or no `at`.
            ProjectionFailed: its code failed.
            Unavailable: it is still being made; the message says how far it is.
        """
        request = _wire.build(
            projection_pb2.QueryProjectionRequest,
            **self._from(at, consistency),
            projection=name,
            argument=b"" if argument is None else _json.encode(argument, "argument"),
        )
        response: projection_pb2.QueryProjectionResponse
        response = await self._link.read(METHOD["QueryProjection"], request)
        return _json.decode(response.result)

    async def projections(self, *, consistency: Consistency | None = None) -> Results[ProjectionInfo]:
        """Lists the registered projections, and how far they are in this namespace on the node that answers.

        Args:
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(projection_pb2.ListProjectionsRequest, **self._from(None, consistency))
        response: projection_pb2.ListProjectionsResponse
        response = await self._link.read(METHOD["ListProjections"], request)
        found = [
            ProjectionInfo(
                name=each.name,
                state=_STATES[each.state],
                projected_index=each.projected_index,
                fault=each.fault,
                state_hash=each.state_hash,
            )
            for each in response.projections
        ]
        return _wire.results(response, tuple(found))

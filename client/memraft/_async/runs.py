"""Runs of agents."""

from typing import Any, Literal

from memraft_proto.v1 import run_pb2

from .. import _operations as operations
from .. import _wire
from ..types import At, Consistency, Results, Run, Written
from .base import METHOD, AsyncCalls

_BEGIN, _END = METHOD["BeginRun"], METHOD["EndRun"]
_GET, _LIST = METHOD["GetRun"], METHOD["ListRuns"]


class AsyncRunCalls(AsyncCalls):
    """Runs of agents. Writes belong to one through `scoped(run=...)`."""

    async def begin_run(self, run_id: str = "", *, inputs: Any = None) -> Written:
        """Begins a run.

        Args:
            run_id: its id; empty: a new one, which the result's `.id` tells.
            inputs: what it is given: anything that msgspec writes as JSON.

        Raises:
            ConflictError: a run of this id exists already.
        """
        request = operations.begin_run(self._where, run_id, inputs)
        return operations.begin_run_done(request, await self._link.write(_BEGIN, request))

    async def end_run(
        self, run_id: str, status: Literal["succeeded", "failed"] = "succeeded", *, outputs: Any = None
    ) -> Written:
        """Ends a run.

        Args:
            run_id: which one.
            status: how it ended.
            outputs: what it gave: anything that msgspec writes as JSON.

        Raises:
            NotFound: there is no such run.
            ConflictError: it had ended already.
        """
        request = operations.end_run(self._where, run_id, status, outputs)
        return operations.end_run_done(request, await self._link.write(_END, request))

    async def run_info(
        self, run_id: str, *, at: At = None, consistency: Consistency | None = None
    ) -> Run | None:
        """Reads one run; None where there is none.

        Args:
            run_id: which one.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(run_pb2.GetRunRequest, **self._from(at, consistency), run_id=run_id)
        response: run_pb2.GetRunResponse = await self._link.read(_GET, request)
        return _wire.run(response.run) if response.HasField("run") else None

    async def runs(
        self,
        *,
        limit: int = 100,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[Run]:
        """Lists runs, newest first.

        Args:
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            run_pb2.ListRunsRequest,
            **self._from(at, consistency),
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        response: run_pb2.ListRunsResponse = await self._link.read(_LIST, request)
        return _wire.results(response, tuple(map(_wire.run, response.runs)))

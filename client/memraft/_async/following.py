"""A call with many responses to a cluster: goes on elsewhere, from the same place, when a node is lost."""

from collections.abc import Callable
from typing import Any, Protocol

import grpc

from memraft_proto.methods import Method

from .. import _left_behind, errors
from .._course import Course
from .io import INTERRUPTED, is_cancelled, monotonic, next_response, sleep

LEASE_S = 60.0
"""A call is made anew after so long: no node serves somebody who is gone for longer."""
LEASE_SLACK_S = 0.1
ENDED_PAUSE_S = 0.1

Advance = Callable[[Any, Any], object]
"""(request, response): makes the request ask for what comes after the response."""


class AsyncFollowLink(Protocol):
    """What a source needs of the link to a cluster."""

    @property
    def is_closed(self) -> bool: ...

    async def course_of(self, request: Any) -> Course: ...

    async def begin(
        self, method: Method, request: Any, course: Course, timeout_s: float
    ) -> tuple[str, Any]: ...

    async def failed(self, failure: grpc.RpcError, address: str, course: Course) -> None: ...

    def answered(self, address: str, request: Any, response: Any) -> None: ...


class AsyncRemoteSource:
    """See `AsyncSource`.

    Args:
        link: to the cluster.
        method: which call.
        request: kept and changed: it always asks for what comes next.
        advance: see there.
    """

    def __init__(self, link: AsyncFollowLink, method: Method, request: Any, advance: Advance) -> None:
        self._link = link
        self._method = method
        self._request = request
        self._advance = advance
        self._address = ""
        self._call: Any = None
        self._lease_end_s = 0.0
        self._is_closed = False
        _left_behind.watch(self)

    def leave_behind(self, reason: str) -> None:
        """See `_left_behind.Opened`: a next step begins a call, which the link refuses."""
        _left_behind.keep_for_ever(self._call)
        self._call = None

    async def next(self, timeout_s: float | None) -> Any | None:
        """See `AsyncSource`."""
        end_s = None if timeout_s is None else monotonic() + timeout_s
        course: Course | None = None
        call = self._call
        if call is not None and end_s is not None and self._lease_end_s > end_s + LEASE_SLACK_S:
            # Made when its caller did not mind how long: one that ends in time goes on from the same place.
            self._call = None
            call.cancel()
        while not self._is_closed:
            if self._call is None and end_s is not None and monotonic() >= end_s:
                return None
            try:
                if self._call is None:
                    if course is None:
                        course = await self._link.course_of(self._request)
                    await self._begin(course, end_s)
                response = await next_response(self._call)
            except INTERRUPTED as failure:
                self._call = None
                if self._link.is_closed and not is_cancelled():
                    raise errors.ClosedError("this memory was closed") from failure
                if self._is_closed and not is_cancelled():
                    return None
                raise
            except grpc.RpcError as failure:
                self._call = None
                course = await self._lost(failure, course)
                continue
            if response is None:
                self._call = None
                await sleep(ENDED_PAUSE_S)
                continue
            self._link.answered(self._address, self._request, response)
            self._advance(self._request, response)
            return response
        return None

    async def close(self) -> None:
        """Ends the call under way."""
        self._is_closed = True
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    async def _begin(self, course: Course, end_s: float | None) -> None:
        lease_s = LEASE_S if end_s is None else min(LEASE_S, max(LEASE_SLACK_S, end_s - monotonic()))
        self._address, self._call = await self._link.begin(self._method, self._request, course, lease_s)
        self._lease_end_s = monotonic() + lease_s

    async def _lost(self, failure: Any, course: Course | None) -> Course | None:
        """Takes note that a call has ended; waits before the next. Raises where there is no use in one."""
        if self._link.is_closed:
            raise errors.ClosedError("this memory was closed") from failure
        is_over = monotonic() >= self._lease_end_s - LEASE_SLACK_S
        if self._is_closed or (is_over and failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED):
            return course
        if course is None:
            course = await self._link.course_of(self._request)
        await self._link.failed(failure, self._address, course)
        return course

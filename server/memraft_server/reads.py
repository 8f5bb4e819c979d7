"""One read: as fresh as was asked for, then one query of the machine at one applied index.

A read at a time gives the same answer whenever it is repeated. Up to the commit time of the last entry
applied here that needs nothing. At a later time entries may be on their way that were stamped before it,
and this replica may lag; so only the leader answers, once it has proved to lead and has applied all that
it has stamped, and it stamps nothing at or below that time any more. A leader that follows it has not heard
of the promise: across a change of leaders it holds as far as the clocks of the nodes agree, less the time
that the change takes. A ``stale`` read promises nothing of the kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from google.protobuf.message import Message

from memraft_proto.v1 import common_pb2
from memraft_server.machine import PORTIONED, Refused
from memraft_server.shard import Outcome, Shard

LINEARIZABLE = common_pb2.CONSISTENCY_LINEARIZABLE
STALE = common_pb2.CONSISTENCY_STALE

CLOCK_SKEW_US_MAX = 1_000_000
"""How far ahead of this node's clock a caller's "now" may be before it counts as the future."""


class Reader:
    """Reads of a node.

    Args:
        clock_us: microseconds since the Unix epoch.
        lag_wait_ms: how long a session's read waits for this replica to catch up.
    """

    def __init__(self, clock_us: Callable[[], int], lag_wait_ms: int) -> None:
        self._clock_us = clock_us
        self._lag_wait_ms = lag_wait_ms

    def read(self, shard: Shard, name: str, request: Any) -> Outcome:
        """Answers a read whose request has been checked and whose namespace the caller may touch.

        Args:
            shard: of the request's namespace.
            name: of the call, such as ``Get``.
            request: parsed.

        Raises:
            Refused: what the machine refuses; AT_IN_FUTURE; LAGGING where the replica does not catch up.
            ClusterError: a linearizable read that this node cannot answer.
        """
        context = request.context
        level = context.consistency
        if level == STALE:
            return _aged(self._query(shard, name, request), shard)
        if context.at_time_us > shard.machine.last_time_us:
            return self._at_new_time(shard, name, request)
        if level == LINEARIZABLE:
            barrier = shard.read_barrier()
            if barrier is not None:
                return self._after(barrier, shard, name, request)
        elif context.min_index > shard.machine.applied_index:
            applied = shard.wait_applied(context.min_index)
            if applied is not None:
                awaited = f"index {context.min_index}, which this session has seen,"
                return self._caught_up(applied, awaited, shard, name, request)
        return self._query(shard, name, request)

    def _query(self, shard: Shard, name: str, request: Any) -> Outcome:
        if request.context.at_time_us > shard.machine.last_time_us:
            self._check_not_future(shard, request)
        if name not in PORTIONED:
            return shard.machine.query(name, request)
        portions = shard.machine.query_in_portions(name, request)
        return next(portions, None) or _rest(portions)

    def _check_not_future(self, shard: Shard, request: Any) -> None:
        at_time_us, now_us = request.context.at_time_us, self._clock_us()
        if at_time_us > now_us + CLOCK_SKEW_US_MAX:
            raise Refused(
                "AT_IN_FUTURE",
                f"context.at_time_us: {at_time_us} lies in the future: it is {now_us} here",
                {"shard": str(shard.number)},
            )

    def _at_new_time(self, shard: Shard, name: str, request: Any) -> Outcome:
        """A read at a time after this replica's last commit, which is to give the same answer ever after."""
        self._check_not_future(shard, request)
        at_time_us = request.context.at_time_us
        settled = shard.settle(at_time_us)
        if settled is None:
            return self._query(shard, name, request)
        return self._caught_up(settled, f"what was on its way at {at_time_us}", shard, name, request)

    async def _after(self, barrier: Awaitable[int], shard: Shard, name: str, request: Any) -> Message:
        await barrier
        return await _message(self._query(shard, name, request))

    async def _caught_up(
        self, applied: Awaitable[int], awaited: str, shard: Shard, name: str, request: Any
    ) -> Message:
        try:
            async with asyncio.timeout(self._lag_wait_ms / 1000):
                await applied
        except TimeoutError:
            raise Refused(
                "LAGGING",
                f"this replica of shard {shard.number} has applied index {shard.machine.applied_index}; "
                f"{awaited} did not come within lag_wait_ms = {self._lag_wait_ms}",
                {"shard": str(shard.number), "limit": "lag_wait_ms"},
            ) from None
        return await _message(self._query(shard, name, request))


async def _rest(portions: Iterator[Message | None]) -> Message:
    """Does a long read portion by portion, each in a turn of its own of the event loop."""
    for found in portions:
        if found is not None:
            return found
        await asyncio.sleep(0)
    raise RuntimeError("a read ended without an answer")


async def _message(outcome: Outcome) -> Message:
    return outcome if isinstance(outcome, Message) else await outcome


def _aged(outcome: Outcome, shard: Shard) -> Outcome:
    """Tells in an answer how old the state is that it comes from."""
    if isinstance(outcome, Message):
        outcome.stamp.age_us = shard.age_us()  # type: ignore[attr-defined]
        return outcome
    return _aged_later(outcome, shard)


async def _aged_later(outcome: Awaitable[Message], shard: Shard) -> Message:
    return await _message(_aged(await outcome, shard))

"""One read: as fresh as was asked for, then one query of the machine at one applied index."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import Message

from memraft_proto.v1 import common_pb2
from memraft_server.machine import Refused
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
            answer = self._query(shard, name, request)
            answer.stamp.age_us = shard.age_us()  # type: ignore[attr-defined]
            return answer
        if level == LINEARIZABLE:
            barrier = shard.read_barrier()
            if barrier is not None:
                return self._after(barrier, shard, name, request)
        elif context.min_index > shard.machine.applied_index:
            applied = shard.wait_applied(context.min_index)
            if applied is not None:
                return self._caught_up(applied, shard, name, request)
        return self._query(shard, name, request)

    def _query(self, shard: Shard, name: str, request: Any) -> Message:
        machine = shard.machine
        context = request.context
        if (
            context.at_time_us > machine.last_time_us
            and context.at_time_us > self._clock_us() + CLOCK_SKEW_US_MAX
        ):
            raise Refused(
                "AT_IN_FUTURE",
                f"context.at_time_us: {context.at_time_us} lies in the future: it is {self._clock_us()} here",
                {"shard": str(shard.number)},
            )
        return machine.query(name, request)

    async def _after(self, barrier: Awaitable[int], shard: Shard, name: str, request: Any) -> Message:
        await barrier
        return self._query(shard, name, request)

    async def _caught_up(self, applied: Awaitable[int], shard: Shard, name: str, request: Any) -> Message:
        try:
            async with asyncio.timeout(self._lag_wait_ms / 1000):
                await applied
        except TimeoutError:
            raise Refused(
                "LAGGING",
                f"this replica of shard {shard.number} has applied index {shard.machine.applied_index}; "
                f"index {request.context.min_index}, which this session has seen, did not come "
                f"within lag_wait_ms = {self._lag_wait_ms}",
                {"shard": str(shard.number), "limit": "lag_wait_ms"},
            ) from None
        return self._query(shard, name, request)

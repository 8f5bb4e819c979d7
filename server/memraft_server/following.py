"""Serves calls with many responses on a node: waits for what is applied and sends it as fast as it is taken.

A response is made when the one before is on its way, from where the follower stands: nothing is kept for one
that is slow. A follower whose replica has heard of no leader for a while is sent away: elsewhere there may be
more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from google.protobuf.message import Message

from memraft_cluster.errors import Stopped
from memraft_server.machine import Refused
from memraft_server.machine.feeds import Feed, open_feed
from memraft_server.reads import STALE
from memraft_server.shard import Outcome, Shard

FOLLOWERS_MAX = 1_000
HEARTBEAT_MS = 5_000
LOST_MS = 10_000
"""A replica that heard nothing of a leader for so long sends away those who did not ask for stale data."""
RETRY_MS = 1_000


class Followers:
    """All that follow shards of this node. Everything runs on the event loop.

    Args:
        followers_max: further ones are refused.
        heartbeat_ms: how long there is nothing to say before that is said.
    """

    def __init__(self, followers_max: int = FOLLOWERS_MAX, heartbeat_ms: int = HEARTBEAT_MS) -> None:
        self._followers_max = followers_max
        self._heartbeat_s = heartbeat_ms / 1000
        self._bells: dict[asyncio.Event, None] = {}
        self._is_closed = False

    async def responses(
        self, shard: Shard, name: str, request: Any, begin: Callable[[], Outcome], check: Callable[[], object]
    ) -> AsyncGenerator[Message, None]:
        """Yields responses until it is closed.

        Args:
            shard: of the request's namespace.
            name: of the call.
            request: checked; changed.
            begin: asks for the first response.
            check: raises where the shard is not on this node any more.

        Raises:
            Refused, memraft_cluster.errors.ClusterError: what `begin` and `check` raise; OVERLOADED; LAGGING.
            Stopped: the node is stopping.
        """
        if len(self._bells) >= self._followers_max:
            limit = {
                "limit": "client.followers_max",
                "value": str(self._followers_max),
                "retry_after_ms": str(RETRY_MS),
            }
            raise Refused("OVERLOADED", f"client.followers_max = {self._followers_max} follow already", limit)
        bell = asyncio.Event()
        self._bells[bell] = None
        feed: Feed | None = None
        try:
            self._check_open()
            outcome = begin()
            first = outcome if isinstance(outcome, Message) else await outcome
            feed = open_feed(shard.machine, name, request, first, bell.set)
            yield first
            while True:
                self._check_open()
                check()
                bell.clear()
                response = feed.next()
                if response is not None:
                    yield response
                elif feed.is_behind:
                    await asyncio.sleep(0)
                elif not await self._rung(bell):
                    yield self._quiet(shard, request, feed)
        finally:
            del self._bells[bell]
            if feed is not None:
                feed.close()

    async def _rung(self, bell: asyncio.Event) -> bool:
        """Waits for a bell; False when the time for a heartbeat has come."""
        try:
            async with asyncio.timeout(self._heartbeat_s):
                return await bell.wait()
        except TimeoutError:
            return False

    def _quiet(self, shard: Shard, request: Any, feed: Feed) -> Message:
        age_us = shard.age_us()
        if age_us > LOST_MS * 1000 and request.context.consistency != STALE:
            raise Refused(
                "LAGGING",
                f"this replica of shard {shard.number} has heard of no leader for {age_us // 1000} ms",
                {"shard": str(shard.number)},
            )
        quiet: Any = feed.quiet()
        quiet.stamp.age_us = age_us
        response: Message = quiet
        return response

    def wake(self) -> None:
        """Has all followers look whether they are still served here."""
        for bell in self._bells:
            bell.set()

    def close(self) -> None:
        """Sends all followers away."""
        self._is_closed = True
        self.wake()

    def _check_open(self) -> None:
        if self._is_closed:
            raise Stopped("this node is stopping")

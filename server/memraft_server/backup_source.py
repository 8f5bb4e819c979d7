"""The node's side of a backup: the state of one shard as of one log index, in the chunks of a snapshot.

The state has in it everything that was acknowledged before the call, because its leader first proves that it
leads, applies what is committed, and hands that to its store. From there it is read as of that moment while
writes go on: a chunk, of some 2 ms, whenever the client has taken the one before, and no sooner than after as
long a pause. What is held is one chunk and RocksDB's view of that moment, which is let go when the client is
done or gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator

from memraft_cluster.driver import MultiRaft
from memraft_cluster.errors import NotLeader, StateCorrupted, Stopped
from memraft_cluster.state_machine import SnapshotSource
from memraft_server.machine import Refused
from memraft_server.machine.refused import invalid

logger = logging.getLogger("memraft.backup")

STREAMS_MAX = 2
"""Each holds a view of the store, and takes part of the event loop."""
RETRY_MS = 1_000


class BackupSource:
    """All backups that are read from a node. Everything runs on the event loop.

    Args:
        driver: of the node.
        shards: how many there are in the cluster.
    """

    def __init__(self, driver: MultiRaft, shards: int) -> None:
        self._driver = driver
        self._shards = shards
        self._running = 0
        self._is_closed = False

    async def chunks(self, shard: int) -> AsyncGenerator[bytes, None]:
        """Yields the chunks of a shard's state.

        Raises:
            Refused: there is no such shard, or as many backups as may be are read already.
            NotLeader: before the first chunk.
            Stopped: the node is stopping.
        """
        if shard >= self._shards:
            raise invalid(f"shard: {shard} is not one of {self._shards}")
        if self._running >= STREAMS_MAX:
            limit = {"limit": "backups at a time", "value": str(STREAMS_MAX), "retry_after_ms": str(RETRY_MS)}
            raise Refused("OVERLOADED", f"this node is read by {STREAMS_MAX} backups already", limit)
        self._running += 1
        source = None
        try:
            source = await self._open(shard)
            began_s, count, fields = time.monotonic(), 0, {"shard": shard, "index": source.meta.index}
            logger.info("a backup of a shard begins", extra={"fields": fields})
            read_at = time.monotonic()
            while (chunk := self._read(source, count, shard)) is not None:
                sent_at = time.monotonic()
                yield chunk
                count += 1
                # Half of the event loop is for others, however fast the client is.
                await asyncio.sleep(max(0.0, 2 * sent_at - read_at - time.monotonic()))
                read_at = time.monotonic()
            done = {**fields, "chunks": count, "took_s": round(time.monotonic() - began_s, 3)}
            logger.info("a backup of a shard is done", extra={"fields": done})
        finally:
            self._running -= 1
            if source is not None:
                source.close()

    async def _open(self, shard: int) -> SnapshotSource:
        driver = self._driver
        wanted = await driver.read_barrier(shard)
        while True:
            group = driver.groups.get(shard)
            if self._is_closed:
                raise Stopped("this node is stopping")
            if group is None or not driver.is_leader(shard):
                raise NotLeader(shard, driver.leader(shard))
            driver.save(group)
            saved = group.machine.saved()
            if saved is not None and saved.index >= wanted:
                return group.machine.begin_snapshot()
            await asyncio.sleep(0)  # a save writes part of it at a time

    def _read(self, source: SnapshotSource, number: int, shard: int) -> bytes | None:
        if self._is_closed:  # and soon the store, too
            raise Stopped("this node is stopping")
        try:
            return source.read(number)
        except StateCorrupted as damage:
            logger.error("a backup met damage", extra={"fields": {"shard": shard, "damage": str(damage)}})
            raise Refused("INTERNAL", f"the state is damaged on this node: {damage}") from damage

    def close(self) -> None:
        """Ends all that is read, with the next chunk. Call before the store is closed."""
        self._is_closed = True

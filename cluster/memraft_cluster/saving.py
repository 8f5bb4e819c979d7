"""When a machine's state goes to its store, and when the log behind it is cut.

Every ``save_interval_ms``, or earlier when much waits, what was applied is handed to the store, which is
cheap and no sync: the log still has it. When a log has grown over ``log_keep_bytes`` the stores are flushed,
in a thread, and only what is durable there is cut from the log. Not cut is what a snapshot that is being sent
ends with, nor, up to a bound, what a follower that is catching up still needs: either would have to begin
again. The bound makes room for what was written while a snapshot travelled, however much: were the log cut
as soon as the snapshot has arrived, its receiver would need another one, for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from . import raft
from .driver_config import Counters, DriverConfig
from .errors import Stopped
from .group import Group
from .log import DurableLog
from .startup import RunJob

logger = logging.getLogger("memraft.driver")

CATCH_UP_FACTOR = 4
"""A follower that is catching up may hold back the cut until the log is this many times its bound, and larger
by what was written while a snapshot travelled."""


class Saver:
    """Of all groups of a node; runs on the driver's task, but for the flush.

    Args:
        groups: those of the driver, as they come and go.
        flush: makes what a group has saved durable, without holding the loop.
        run_job: has the log written to between two turns.
        held_index: up to which index a group's log may be cut at most, for the sake of snapshots on their
            way.
        fail: called with an error after which the node must not go on.
    """

    def __init__(
        self,
        config: DriverConfig,
        counters: Counters,
        log: DurableLog,
        groups: Mapping[int, Group],
        *,
        flush: Callable[[Group], Awaitable[None]],
        run_job: RunJob,
        held_index: Callable[[int], int | None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._config = config
        self._counters = counters
        self._log = log
        self._groups = groups
        self._flush_one = flush
        self._run_job = run_job
        self._held_index = held_index
        self._fail = fail
        self._interval_ticks = max(1, config.save_interval_ms // config.tick_ms)
        self._ticks = 0
        self._saved: dict[int, int] = {}
        self._try_above: dict[int, int] = {}
        """The size at which a log that could not be cut enough is looked at again."""
        self._behind_snapshot_bytes: dict[int, int] = {}
        """How much was written while a snapshot travelled: so much its receiver has to catch up with."""
        self._flushing: asyncio.Task[None] | None = None

    def tick(self) -> None:
        """Call once a tick."""
        self._ticks += 1
        if self._ticks % self._interval_ticks:
            return
        large, keep_bytes = [], self._config.log_keep_bytes
        for group in self._groups.values():
            # A store that had much to write has left some of it for the next time.
            if group.applied > self._saved.get(group.id, 0) or group.machine.unsaved:
                self.save(group)
            if self._log.group(group.id).size_bytes > self._try_above.get(group.id, keep_bytes):
                large.append(group)
        if large and self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush_and_cut(large))

    def has_much(self, group: Group) -> bool:
        """Whether the group should be saved before its time."""
        return group.machine.unsaved >= self._config.save_facts_max

    def save(self, group: Group) -> None:
        """Hand what the group has applied to its store; not while a snapshot takes the place of it."""
        if group.is_installing or group.core.log.first_index > group.applied + 1:
            return
        group.machine.save(group.label())
        self._saved[group.id] = group.applied
        self._counters.saves_total += 1

    def forget(self, group: int) -> None:
        """The group is gone, or its state another."""
        self._saved.pop(group, None)
        self._try_above.pop(group, None)
        self._behind_snapshot_bytes.pop(group, None)

    async def settle(self) -> None:
        """Wait for the flush that runs, and the cuts behind it."""
        if self._flushing is not None:
            await asyncio.wait([self._flushing])

    async def flush_all(self) -> None:
        """Save and flush everything: what a node does last, so that it starts quickly."""
        for group in self._groups.values():
            if group.applied > self._saved.get(group.id, 0):
                self.save(group)
            left = group.machine.unsaved
            while left:
                self.save(group)
                left, before = group.machine.unsaved, left
                if left >= before:
                    break
        await self._flush(list(self._groups.values()))

    async def _flush(self, groups: Sequence[Group]) -> None:
        for group in groups:
            await self._flush_one(group)

    async def _flush_and_cut(self, groups: Sequence[Group]) -> None:
        try:
            durable = {group.id: group.machine.saved() for group in groups}
            await self._flush(groups)
            for group in groups:
                saved = durable[group.id]
                if saved is not None:
                    await self._run_job(partial(self._cut, group, saved.index))
        except Stopped:
            pass  # What was not cut is cut after the next start.
        except Exception as error:
            self._fail(error)
        finally:
            self._flushing = None

    def _cut(self, group: Group, durable_index: int) -> None:
        """Cut the log of a group whose state is durable up to ``durable_index``; between two turns."""
        if self._groups.get(group.id) is not group or group.is_installing:
            return
        log, keep_bytes = self._log.group(group.id), self._config.log_keep_bytes
        index = min(durable_index, self._index_not_needed(group))
        if index >= log.first_index():
            self._log.cut(group.id, group.core.snapshot_label(index))
            self._counters.log_cuts_total += 1
        self._try_above[group.id] = max(keep_bytes, log.size_bytes + keep_bytes // 4)

    def _index_not_needed(self, group: Group) -> int:
        config, log = self._config, self._log.group(group.id)
        index = max(group.applied - config.log_keep_entries, log.index_keeping(config.log_keep_bytes // 2))
        held = self._held_index(group.id)
        if held is not None:
            index = min(index, held)
        if group.role is raft.Role.LEADER and log.size_bytes < self._catch_up_bytes_max(group.id, held):
            for peer in group.core.status().peers.values():
                # What a probe follows is in force over there, as far as is known.
                reached = peer.next - 1 if peer.state == "probe" else peer.match
                if peer.active and peer.state != "snapshot" and reached + 1 >= log.first_index():
                    index = min(index, reached)
        return index

    def _catch_up_bytes_max(self, group: int, held: int | None) -> int:
        """Up to which size a log is not cut before followers that are catching up."""
        log, bytes_max = self._log.group(group), CATCH_UP_FACTOR * self._config.log_keep_bytes
        behind = self._behind_snapshot_bytes.get(group, 0)
        if held is not None:
            behind = self._behind_snapshot_bytes[group] = max(behind, log.bytes_after(held))
        elif log.size_bytes < bytes_max:
            self._behind_snapshot_bytes.pop(group, None)  # They have caught up.
            behind = 0
        return bytes_max + behind

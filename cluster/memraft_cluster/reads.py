"""The reads of one group that wait: first for their round, then until the machine has applied its index.

A round costs three nodes about 0.5 ms of processor time altogether, as much as a call over gRPC does, and
those come in one by one: rounds that follow each other at once hold hardly more than one read each. So one
round at a time is under way, and where several reads wanted the last one, the next begins after twice the
time that it took, or when enough reads have gathered. A caller who is alone does not wait for others.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from . import raft
from .errors import NotLeader, NotYetWritten, Overloaded
from .group_state import GroupSpec, Shared, fail
from .proposals import Proposals

INDEX_AHEAD_MAX = 10_000
"""How far above what this node knows of a log an index may be that somebody waits for: as many entries as a
leader may commit between two of its heartbeats, and many more."""
GATHER_READS = 32
"""So many reads begin a round without waiting for more: each bears little of its cost."""
GATHER_ROUNDS = 2
"""For how many times the length of the last round reads gather for the next one."""
GATHER_S_MAX = 0.004
"""How long they do so at most: where a round takes long it costs no more for that."""


class Reads(Proposals):
    """See the module. All of them together are bounded by ``waiters_max``."""

    def __init__(
        self,
        group: int,
        spec: GroupSpec,
        core: raft.Core,
        shared: Shared,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(group, spec, core, shared, loop)
        self._readers: list[asyncio.Future[int]] = []
        self._rounds: dict[int, list[asyncio.Future[int]]] = {}
        self._round_readers = 0
        self._next_round = 1
        self._round_began_s = 0.0
        self._gather_until_s = 0.0
        self._waiters: list[tuple[int, int, asyncio.Future[int]]] = []
        self._waiter_count = 0

    def read_barrier(self) -> asyncio.Future[int]:
        if self.role is not raft.Role.LEADER:
            raise NotLeader(self.id, self.leader)
        future = self._new_waiter()
        self._readers.append(future)
        return future

    def wait_applied(self, index: int) -> asyncio.Future[int] | None:
        if index <= self.applied:
            return None
        known = max(self.core.log.last_index, self.told)
        if index > known + INDEX_AHEAD_MAX:
            raise NotYetWritten(self.id, index, known)
        future = self._new_waiter()
        self._wait(index, future)
        return future

    def _new_waiter(self) -> asyncio.Future[int]:
        elsewhere = len(self._readers) + self._round_readers
        if len(self._waiters) + elsewhere >= self._limits.waiters_max:
            self._waiters = [each for each in self._waiters if not each[2].done()]
            heapq.heapify(self._waiters)
            if len(self._waiters) + elsewhere >= self._limits.waiters_max:
                raise Overloaded(self.id, "waiters_max", self._limits.waiters_max)
        return self._loop.create_future()

    def _wait(self, index: int, future: asyncio.Future[int]) -> None:
        if index <= self.applied:
            if not future.done():
                future.set_result(self.applied)
            return
        self._waiter_count += 1
        heapq.heappush(self._waiters, (index, self._waiter_count, future))

    def round_wait_s(self, now: float) -> float | None:
        """How long the next round has to wait yet for more reads; None where none is wanted, or one is under
        way: when it is over this is to be asked again."""
        if not self._readers or self._rounds:
            return None
        if len(self._readers) >= GATHER_READS:
            return 0.0
        return max(0.0, self._gather_until_s - now)

    def end_gathering(self) -> None:
        """The next round is due."""
        self.is_round_timed = False
        self._gather_until_s = 0.0

    def begin_round(self, now: float) -> None:
        """Start the round of the reads that gathered."""
        self._round_began_s = now
        readers, self._readers = self._readers, []
        try:
            self.core.read_index(self._next_round)
        except raft.NotLeader as error:
            leader = error.leader
            fail(readers, lambda: NotLeader(self.id, leader))
        except raft.Overloaded as error:
            limit, value = error.limit, error.limit_value
            fail(readers, lambda: Overloaded(self.id, limit, value))
        else:
            self._rounds[self._next_round] = readers
            self._round_readers += len(readers)
            self._next_round += 1

    def _end_round(self, number: int) -> list[asyncio.Future[int]]:
        readers = self._rounds.pop(number, [])
        self._round_readers -= len(readers)
        return readers

    def _finish_reads(self, ready: raft.Ready, now: float) -> None:
        """After the committed entries of ``ready`` are applied."""
        for state in ready.read_states:
            readers = self._end_round(state.request_id)
            if len(readers) + len(self._readers) > 1:
                took_s = now - self._round_began_s
                self._gather_until_s = now + min(took_s * GATHER_ROUNDS, GATHER_S_MAX)
            for reader in readers:
                self._wait(state.index, reader)
        for dropped in ready.dropped_reads:
            fail(self._end_round(dropped), lambda: NotLeader(self.id, self.leader))
        waiters = self._waiters
        while waiters and waiters[0][0] <= self.applied:
            future = heapq.heappop(waiters)[2]
            if not future.done():
                future.set_result(self.applied)

    def _close_reads(self, make_error: Callable[[], Exception]) -> None:
        for readers in (self._readers, *self._rounds.values(), [each[2] for each in self._waiters]):
            fail(readers, make_error)
        self._readers, self._waiters = [], []
        self._rounds.clear()
        self._round_readers = 0

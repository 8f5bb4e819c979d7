"""What a node does unasked: expiries that are due are proposed by the leader, vector indexes are built,
clocks are compared.

A node at rest costs what it is woken up for. So what somebody brings is waited for, and what time brings is
looked for at multiples of its interval: looks that are due at the same time take one wake-up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from memraft_cluster.errors import ClusterError
from memraft_server.clock import ClockWatch, SteadyClock
from memraft_server.machine import IndexJob, Machine, Refused
from memraft_server.machine.retention import Trimmer
from memraft_server.shard import Shard

logger = logging.getLogger("memraft.background")

BALLAST_INTERVAL_S = 10.0
TRIM_INTERVAL_S = 0.1
TRIMS_MAX = 20
"""Commands, of some hundred versions each, by which one shard forgets at a time what retention lets go."""
LIGHT_INTERVAL_S = 0.02
PROJECT_INTERVAL_S = 0.02
"""How long changes of a registered projection gather where nobody asks for it."""


Work = Callable[[], Awaitable[None]]


class Leading(Protocol):
    """What the sweeps need of the driver."""

    def is_leader(self, group: int) -> bool: ...


class Ballast(Protocol):
    """What is needed of the disk."""

    def restore(self) -> bool: ...


class Background:
    """The tasks of one node.

    Args:
        shards: all on this node; they may come and go.
        driver: knows which of them are led here.
        clock: of this process.
        expiry_interval_ms: between two looks for expiries.
        expiry_keys_max: documents that one look expires in one shard.
        index_interval_ms: between two looks for indexes to build.
        ballast: is made again when there is room for it.
    """

    def __init__(
        self,
        shards: Collection[Shard],
        driver: Leading,
        clock: SteadyClock,
        *,
        expiry_interval_ms: int,
        expiry_keys_max: int,
        index_interval_ms: int,
        ballast: Ballast,
    ) -> None:
        self._shards = shards
        self._driver = driver
        self._clock, self._watch = clock, ClockWatch(clock)
        self._expiry_interval_s = expiry_interval_ms / 1000
        self._expiry_keys_max = expiry_keys_max
        self._index_interval_s = index_interval_ms / 1000
        self._ballast = ballast
        self._expiring: dict[int, asyncio.Task[None]] = {}
        self._trimmers: dict[int, Trimmer] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._light: deque[tuple[Machine, IndexJob]] = deque()
        self._is_light_due, self._is_projection_behind = asyncio.Event(), asyncio.Event()
        # One worker: building an index takes a core for as long as it runs, and calls need the others.
        self._worker = ThreadPoolExecutor(1, "memraft-index")

    def start(self) -> None:
        """Starts the tasks, on the running event loop."""
        self._ballast.restore()  # at once: a node that dies in its first seconds needs it at its next start
        behind = self._is_projection_behind
        self._tasks = [
            self._spawn("expiry", self._sweep, self._expiry_interval_s),
            self._spawn("index", self._build_indexes, self._index_interval_s),
            self._spawn("portions", self._build_lightly, LIGHT_INTERVAL_S, self._is_light_due),
            self._spawn("projections", self._project, PROJECT_INTERVAL_S, behind),
            self._spawn("retention", self._trim, TRIM_INTERVAL_S),
            self._spawn("ballast", self._restore_ballast, BALLAST_INTERVAL_S),
        ]

    def note_projections(self) -> None:
        """A registered projection has something to do."""
        self._is_projection_behind.set()

    async def stop(self) -> None:
        """Ends the tasks. An index under construction is finished by its thread and then dropped."""
        ending = [*self._tasks, *self._expiring.values()]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _spawn(
        self, name: str, work: Work, interval_s: float, due: asyncio.Event | None = None
    ) -> asyncio.Task[None]:
        """Has work done at each multiple of an interval, or so long after each time that `due` was set."""
        repeating = self._repeat(work, interval_s, due)
        return asyncio.get_running_loop().create_task(repeating, name=f"memraft-{name}")

    async def _repeat(self, work: Work, interval_s: float, due: asyncio.Event | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if due is not None:
                await due.wait()
                await asyncio.sleep(interval_s)  # what comes meanwhile is done together
                due.clear()
            else:
                # Not to a multiple that is nearly here: a timer that fires early would be set for it again.
                at_s = (loop.time() / interval_s + 1.5) // 1 * interval_s
                await asyncio.sleep(at_s - loop.time())
            try:
                await work()
            except Exception:
                logger.exception("background work failed and will be tried again")
                if due is not None:
                    due.set()

    async def _restore_ballast(self) -> None:
        self._ballast.restore()

    async def _project(self) -> None:
        """Has registered projections made and kept up, a few milliseconds at a time."""
        behind = [shard.machine for shard in self._shards if shard.machine.hosted is not None]
        while behind:
            behind = [each for each in behind if each.hosted is not None and each.hosted.step()]
            await asyncio.sleep(0)

    # -- expiries --------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        now_us = self._clock.now_us()
        self._watch.look(max((shard.machine.last_time_us for shard in self._shards), default=0))
        for shard in self._shards:
            due_us = shard.machine.next_due_us()
            if due_us is None or due_us > now_us or shard.number in self._expiring:
                continue
            if self._driver.is_leader(shard.number):
                task = asyncio.get_running_loop().create_task(self._expire(shard, now_us))
                self._expiring[shard.number] = task
            else:
                shard.machine.count_on()

    async def _expire(self, shard: Shard, now_us: int) -> None:
        """Has what is due expired, in the log like everything else, so that replicas and the past agree."""
        try:
            for command in shard.machine.due(now_us, self._expiry_keys_max):
                outcome = shard.propose(command, None)
                if isinstance(outcome, Awaitable):
                    await outcome
        except (ClusterError, Refused) as error:
            # Whoever leads next finds the same documents due.
            fields = {"shard": shard.number, "error": str(error)}
            logger.info("expiry was not proposed", extra={"fields": fields})
        finally:
            del self._expiring[shard.number]

    # -- retention -------------------------------------------------------------------------------------

    async def _trim(self) -> None:
        """Has what namespaces need not keep forgotten, in the log like everything else."""
        for shard in tuple(self._shards):
            if not shard.machine.spaces.retained or not self._driver.is_leader(shard.number):
                continue
            trimmer = self._trimmers.get(shard.number)
            if trimmer is None or trimmer.machine is not shard.machine:
                trimmer = self._trimmers[shard.number] = Trimmer(shard.machine)
            try:
                for _ in range(TRIMS_MAX):
                    command = trimmer.step(self._clock.now_us())
                    if command is None:
                        break
                    outcome = shard.propose(command, None)
                    if isinstance(outcome, Awaitable):
                        await outcome
            except (ClusterError, Refused) as error:
                # Whoever leads next finds the same.
                fields = {"shard": shard.number, "error": str(error)}
                logger.info("retention was not proposed", extra={"fields": fields})

    # -- indexes ---------------------------------------------------------------------------------------

    async def _build_indexes(self) -> None:
        for shard in tuple(self._shards):
            for job in shard.machine.index_jobs():
                if job.is_light:
                    self._light.append((shard.machine, job))
                    self._is_light_due.set()
                else:
                    await self._build(shard.machine, job)

    async def _build_lightly(self) -> None:
        """Does what takes no thread, one after the other, while others wait for the worker."""
        while self._light:
            machine, job = self._light.popleft()
            try:
                following = machine.install(job)
            except Exception:
                logger.exception("an index could not be built")
                job.abandon()
                continue
            if following is not None:
                self._light.appendleft((machine, following))
            await asyncio.sleep(0)

    async def _build(self, machine: Machine, first: IndexJob) -> None:
        job: IndexJob | None = first
        while job is not None:
            job = await self._build_one(machine, job)

    async def _build_one(self, machine: Machine, job: IndexJob) -> IndexJob | None:
        """Does a job; returns what is to be done next, if anything."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._worker, job.run)
        except asyncio.CancelledError:
            raise
        except Exception:
            # Searches stay right without the index, only slower.
            logger.exception("an index could not be built")
            job.abandon()
            return None
        return machine.install(job)

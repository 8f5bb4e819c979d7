"""The one task that owns the cores of all groups of a node: messages and ticks in; disk, peers, machine out.

The rule it keeps: **what a message reveals is durable before it leaves.** A turn is always

1. everything that arrived is stepped, queued commands become entries, waiting reads start their round;
2. of every group with something to do the ``Ready`` is taken; messages that reveal nothing leave;
3. hard states and entries of all groups are written as one synced batch;
4. the messages that depended on it leave, committed entries are applied, callers are answered.

Work that arrives during a turn waits and is done together in the next one, so the cost of a sync, of a
frame and of a wake-up is shared by all that came meanwhile. What reaches the disk late is only a commit
index that moved without anything else; a leader tells it again after a restart.

A write or sync that fails ends the process (``fatal``); it is never retried.

With nothing else on the loop the sync is best done there: a thread of its own (``sync_in_thread``) lets the
loop decode meanwhile, but the hand-over costs more than that gains. A node that serves gRPC on the same loop
has it the other way round (``docs/decisions``, 0006 and 0023). The driver alone, three nodes as processes on
two cores, mutual TLS, 200-byte commands (``benchmarks/raft_loop.py``; the thread then still held the lock)::

    in flight       inline                     in a thread
            1        1,054/s  p50 0.92 ms        864/s  p50 1.14 ms
           64       45,600/s  p50 1.38 ms     39,400/s  p50 1.59 ms
          256       93,400/s  p50 2.50 ms     90,000/s  p50 2.71 ms

Three fdatasync at once on one disk are 60 % of the time of a single command, TLS and its system calls 15 %.
Batches over 64 KiB are synced in the thread either way: at 64 entries of 20 KB in flight the loop encrypts
and decodes meanwhile (1.3 to 2.1 times as many a second, measured in turns beside other load). A notice of a
commit waits 2 ms for an append that tells the same, which saves some 15 % of the leader's processor time, and
the followers their turns. Sixteen idle groups on three nodes take 5 % of one core in all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from . import raft
from .driver_config import Counters, DriverConfig
from .errors import ReplicaStopped, Stopped
from .fatal import Fatal
from .framing import GroupMessage
from .group import Group
from .group_state import Shared
from .leadership import Leadership, Space
from .log import Durability, DurableLog, GroupUpdate
from .raft import Message, MessageType
from .saving import Saver
from .snapshots import Receivers, Senders
from .sync_thread import SyncThread
from .transport import Disconnected, Receive

logger = logging.getLogger("memraft.driver")

COMMIT_SAVE_TICKS = 20
"""How often a commit index that moved alone is written down."""
SYNC_INLINE_BYTES_MAX = 64 << 10
"""A larger batch is synced in the thread whatever the setting: it takes long enough for the loop to decode
and encrypt meanwhile (entries of 20 KB, 64 in flight: 1.6 times as many)."""
SYNC_INLINE_S_MAX = 0.001
"""While syncs take longer than this on average they are done in the thread: others on the loop would wait."""
SYNCS_AVERAGED = 16
"""Over about so many."""
NOTICE_DELAY_S = 0.002
"""How long a follower without further entries may wait to hear that the last ones are committed."""


class Peers(Protocol):
    """What the driver needs of a transport."""

    def bind(self, receive: Receive, disconnected: Disconnected) -> None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def send(self, to: int, group: int, message: raft.Message) -> None: ...
    def flush(self) -> None: ...
    def connected(self) -> frozenset[int]: ...


class StoppedReplica:
    """A replica that has become another than the others."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.applied = group.applied

    def error(self) -> ReplicaStopped:
        """What to tell who asks it."""
        return ReplicaStopped(self.group.id, self.applied)


class Turns:
    """The task and all that it works on. What callers use is in ``driver.MultiRaft``.

    Args:
        config: see :class:`DriverConfig`.
        log: open.
        transport: not started.
        fatal: called once when going on could lose writes.
        space: of the disk; None: it is never full.
    """

    def __init__(
        self, config: DriverConfig, log: DurableLog, transport: Peers, fatal: Fatal, space: Space | None
    ) -> None:
        self.config = config
        self.counters = Counters()
        self.failure: BaseException | None = None
        self.stopped: dict[int, StoppedReplica] = {}
        """Replicas on this node that differ from the others, by group."""
        self._log = log
        self._transport = transport
        self._fatal = fatal
        self._shared = Shared(config.group_limits())
        self._groups: dict[int, Group] = {}
        self._dirty: list[Group] = []
        self._mailbox: list[list[GroupMessage]] = []
        self._mailbox_bytes = 0
        self._jobs: list[tuple[Callable[[], None], asyncio.Future[None]]] = []
        self._resumed: list[tuple[Group, raft.Ready]] = []
        self._held_notices: dict[tuple[int, int], Message] = {}
        self._sync_s = 0.0
        """How long a sync takes, over the last few."""
        self._ticks_due = 0
        self._ticks_total = 0
        self._is_saver_due = False
        self._full: list[Group] = []
        """Groups with much to save."""
        self._unreachable: set[int] = set()
        self._wakeup: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._sync_thread = SyncThread("memraft-sync")
        self._flush_executor = ThreadPoolExecutor(1, "memraft-flush")
        self._leadership = Leadership(self, self._shared, space)
        self._is_stopping = False
        self._is_halting = False
        self._saver: Saver
        self._senders: Senders
        self._receivers: Receivers
        transport.bind(self._receive, self._disconnected)

    def _prepare(self) -> None:
        """Make what needs the running event loop."""
        loop = asyncio.get_running_loop()
        self._senders = Senders(self, loop)
        self._receivers = Receivers(self, loop)
        self._saver = Saver(
            self.config,
            self.counters,
            self._log,
            self._groups,
            flush=self.flush,
            run_job=self._run_job,
            held_index=self._senders.held_index,
            fail=self.end,
        )

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run(), name="memraft-driver")
        self._ticker = loop.call_later(self.config.tick_ms / 1000, self._tick_due)

    # -- for the parts ---------------------------------------------------------------------------------

    @property
    def groups(self) -> dict[int, Group]:
        return self._groups

    def send_now(self, group: int, message: Message) -> None:
        """Send between turns; the message must reveal nothing that is not durable."""
        self._transport.send(message.to, group, message)
        self._transport.flush()

    def connected(self) -> frozenset[int]:
        return self._transport.connected()

    def save(self, group: Group) -> None:
        self._saver.save(group)

    async def flush(self, group: Group) -> None:
        """Make what the group's machine has saved and received durable, in a thread; others may call
        meanwhile. A log that is synced late goes first: no state may be on disk of entries that the log could
        still lose."""
        loop = asyncio.get_running_loop()
        if self._log.durability is Durability.RELAXED:
            await loop.run_in_executor(self._flush_executor, self._log.sync)
        await loop.run_in_executor(self._flush_executor, group.machine.flush)

    def end(self, error: BaseException) -> None:
        """Going on could lose writes."""
        if self.failure is not None:
            return
        self.failure = error
        self._is_halting = True
        for group in self._groups.values():
            group.close()
        self._wake()
        self._fatal(error)

    async def _run_job(self, job: Callable[[], None]) -> None:
        """Have the log written to, or the groups changed, while no turn is under way."""
        if self._task is None or self._task.done():
            job()
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.append((job, future))
        self._wake()
        await future

    def _stop_replica(self, group: Group) -> None:
        """It became another than the others, and must not answer anybody any more."""
        stopped = self.stopped[group.id] = StoppedReplica(group)
        fields = {"group": group.id, "applied": group.applied, "error": str(stopped.error())}
        logger.critical("a replica differs from the others and is stopped", extra={"fields": fields})
        self._forget(group)
        group.close(stopped.error)

    def _forget(self, group: Group) -> None:
        del self._groups[group.id]
        self._dirty = [each for each in self._dirty if each is not group]
        self._senders.close(group.id)
        self._receivers.forget(group.id)
        self._saver.forget(group.id)
        self._leadership.forget(group.id)

    def _run_jobs(self) -> None:
        jobs, self._jobs = self._jobs, []
        for job, future in jobs:
            if future.done():
                continue
            try:
                job()
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(None)

    def _drop_jobs(self) -> None:
        for _, future in self._jobs:
            if not future.done():
                future.set_exception(Stopped("this node is stopping"))
        self._jobs = []

    # -- what wakes the task ---------------------------------------------------------------------------

    def mark(self, group: Group) -> None:
        """There is something to do for the group."""
        if not group.is_dirty:
            group.is_dirty = True
            self._dirty.append(group)
        self._wake()

    def _time_round(self, group: Group, now: float) -> None:
        """Have the round of the reads that gathered begin when it is due."""
        wait_s = group.round_wait_s(now)
        if wait_s == 0:
            self.mark(group)
        elif wait_s is not None and not group.is_round_timed:
            group.is_round_timed = True
            asyncio.get_running_loop().call_later(wait_s, self._round_due, group)

    def _round_due(self, group: Group) -> None:
        group.end_gathering()
        if self._groups.get(group.id) is group:
            self._time_round(group, time.monotonic())

    def _wake(self) -> None:
        waiting = self._wakeup
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _receive(self, sender: int, batch: list[GroupMessage], size_bytes: int) -> None:
        if self._mailbox_bytes + size_bytes > self.config.mailbox_bytes_max:
            self.counters.messages_dropped_total += len(batch)
            return
        self._mailbox.append(batch)
        self._mailbox_bytes += size_bytes
        self._wake()

    def _disconnected(self, peer: int) -> None:
        self._unreachable.add(peer)
        self._wake()

    def _tick_due(self) -> None:
        # A process that was stopped for a while must not make up for its ticks: it would call an election
        # before it has read what its leader sent meanwhile.
        self._ticks_due = 1
        self._ticker = asyncio.get_running_loop().call_later(self.config.tick_ms / 1000, self._tick_due)
        self._wake()

    # -- the task --------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self._is_halting:
                await self._pause()
                await self._turn()
                if self._full or self._is_saver_due:
                    await self._save()
        except Exception as error:
            self.end(error)

    async def _pause(self) -> None:
        """Until there is work. Others on the loop always get to run in between."""
        if self._dirty or self._mailbox or self._ticks_due or self._jobs or self._resumed:
            await asyncio.sleep(0)
            return
        self._wakeup = asyncio.get_running_loop().create_future()
        try:
            await self._wakeup
        finally:
            self._wakeup = None

    async def _turn(self) -> None:
        self.counters.turns_total += 1
        if self._jobs:
            self._run_jobs()
        self._step_mailbox()
        if self._ticks_due:
            self._ticks_due = 0
            self._tick()
        now = time.monotonic()
        working, self._dirty = self._dirty, []
        turns: list[tuple[Group, raft.Ready]] = []
        updates: list[GroupUpdate] = []
        if self._resumed:
            self._begin_logs_anew(turns, updates)
        for group in working:
            group.is_dirty = False
            group.take_in(now)
            self._time_round(group, now)
            if not group.core.has_ready():
                continue
            ready = group.core.ready()
            if ready.messages_before_sync:
                self._send_early(group, ready.messages_before_sync)
            if ready.snapshot is not None:
                self._receivers.install(group, ready, self._resume)
                continue
            turns.append((group, ready))
            self._gather(group, ready, updates)
        self._transport.flush()
        if updates:
            await self._persist(updates)
        send, must_flush = self._transport.send, False
        for group, ready in turns:
            for message in ready.messages:
                send(message.to, group.id, message)
                must_flush = True
        if must_flush:
            self._transport.flush()
        self._finish(turns)

    def _send_early(self, group: Group, messages: list[Message]) -> None:
        """Messages that need not wait for the disk. A notice of a commit waits a moment for an append that
        tells the same: under load nearly all of them are saved, with the frames and turns that they cost."""
        send, held = self._transport.send, self._held_notices
        for message in messages:
            kind = message.type
            if kind is MessageType.COMMIT:
                if not held:
                    asyncio.get_running_loop().call_later(NOTICE_DELAY_S, self._send_notices)
                held[group.id, message.to] = message
                continue
            if kind is MessageType.APPEND:
                if held:
                    held.pop((group.id, message.to), None)
            elif kind is MessageType.HEARTBEAT_REPLY:
                # The core leaves these fields of an answer free, and `reject` of a heartbeat.
                message.hint_index, message.hint_term = group.agreement.told()
            elif kind is MessageType.HEARTBEAT and group.has_to_stop(message.to):
                message.reject = True
            send(message.to, group.id, message)

    def _send_notices(self) -> None:
        held = self._held_notices
        if held:
            for (group, to), message in held.items():
                self._transport.send(to, group, message)
            held.clear()
            self._transport.flush()

    def _step_mailbox(self) -> None:
        batches, self._mailbox, self._mailbox_bytes = self._mailbox, [], 0
        groups, counters = self._groups, self.counters
        is_full = self._shared.disk_full is not None
        now = time.monotonic()
        for batch in batches:
            counters.messages_received_total += len(batch)
            for group_id, message in batch:
                group = groups.get(group_id)
                if group is None:
                    counters.messages_unknown_total += 1
                    continue
                if is_full and _wants_room(message):
                    counters.messages_dropped_total += 1
                    continue
                if message.snapshot is not None and not self._may_step(group, message):
                    continue
                try:
                    group.core.step(message)
                except raft.BadMessage as error:
                    self._report_bad(error)
                    continue
                group.heard(message, now)
                if group.must_stop:
                    self._stop_replica(group)
                    continue
                if not group.is_dirty:
                    group.is_dirty = True
                    self._dirty.append(group)
        if self._unreachable:
            gone, self._unreachable = self._unreachable, set()
            for peer in gone:
                self._senders.on_disconnected(peer)
                for group in groups.values():
                    group.core.report_unreachable(peer)

    def _may_step(self, group: Group, message: Message) -> bool:
        """What has to do with snapshots goes to the parts that carry them; whether the core gets it, too."""
        if message.type is MessageType.SNAPSHOT_CHUNK:
            self._receivers.on_chunk(group, message)
        elif message.type is MessageType.SNAPSHOT_REPLY:
            self._senders.on_reply(group, message)
        else:
            return message.type is not MessageType.SNAPSHOT or self._receivers.may_step(group, message)
        return False

    def _report_bad(self, error: raft.BadMessage) -> None:
        self.counters.messages_bad_total += 1
        if self.counters.messages_bad_total & (self.counters.messages_bad_total - 1) == 0:
            # At 1, 2, 4, 8, ...: a peer that goes wrong does not fill the disk with lines.
            fields = {"error": str(error), "total": self.counters.messages_bad_total}
            logger.error("bad message dropped", extra={"fields": fields})

    def _gather(self, group: Group, ready: raft.Ready, updates: list[GroupUpdate]) -> None:
        if ready.must_sync:
            state = ready.hard_state if ready.hard_state is not None else group.unsaved_commit
            group.unsaved_commit = None
            updates.append(GroupUpdate(group.id, state, ready.entries))
        elif ready.hard_state is not None:
            group.unsaved_commit = ready.hard_state

    def _resume(self, group: Group, ready: raft.Ready) -> None:
        """The state of a snapshot is in force and durable; its log begins anew in the next turn."""
        self._resumed.append((group, ready))
        self._wake()

    def _begin_logs_anew(self, turns: list[tuple[Group, raft.Ready]], updates: list[GroupUpdate]) -> None:
        resumed, self._resumed = self._resumed, []
        for group, ready in resumed:
            if self._groups.get(group.id) is group:
                known, state = self._log.hard_state(group.id), ready.hard_state
                if state is not None and known is not None and state.term != known.term:
                    # First the term: a log may not begin in a later one than is known, should a crash come.
                    early = raft.HardState(state.term, state.vote, known.commit, known.is_whole)
                    self._log.append(group.id, (), early)
                self._log.reset(group.id, ready.snapshot)
                turns.append((group, ready))
                self._gather(group, ready, updates)

    async def _persist(self, updates: list[GroupUpdate]) -> None:
        self._leadership.check_space()
        if self._is_inline(updates):
            took = self._timed(updates)
        else:
            took = await self._sync_thread.run(partial(self._log.persist, updates))
        self._log.accept(updates)
        self._sync_s += (took - self._sync_s) / SYNCS_AVERAGED
        counters = self.counters
        counters.syncs_total += 1
        counters.sync_seconds_total += took
        counters.sync_seconds_max = max(counters.sync_seconds_max, took)

    def _timed(self, updates: list[GroupUpdate]) -> float:
        """Write and sync on the loop; returns the seconds that it took."""
        began = time.perf_counter()
        self._log.persist(updates)
        return time.perf_counter() - began

    def _is_inline(self, updates: Sequence[GroupUpdate]) -> bool:
        """Whether to sync on the loop: a little, on a disk that has lately been quick about it."""
        if self.config.sync_in_thread or self._sync_s > SYNC_INLINE_S_MAX:
            return False
        return _size(updates) < SYNC_INLINE_BYTES_MAX

    def _finish(self, turns: list[tuple[Group, raft.Ready]]) -> None:
        now = time.monotonic()
        counters = self.counters
        for group, ready in turns:
            if ready.leader != group.leader:
                counters.leader_changes_total += 1
                fields = {"group": group.id, "leader": ready.leader, "term": ready.term}
                logger.info("leader changed", extra={"fields": fields})
            group.finish(ready, now)
            if ready.committed:
                counters.entries_applied_total += len(ready.committed)
                if self._saver.has_much(group):
                    self._full.append(group)
            if ready.snapshot is not None:
                self._saver.forget(group.id)
                self._receivers.installed(group)
            for peer in ready.snapshots_wanted:
                self._senders.want(group, peer)
            if group.wants_turn and not group.is_dirty:
                group.is_dirty = True
                self._dirty.append(group)
            self._time_round(group, now)

    async def _save(self) -> None:
        """Hand states to their stores, once who was answered in this turn has the answer: a thousand
        rows take some 2 ms, in which a leader has nothing else to do while its clients read them."""
        full, self._full = self._full, []
        if full:
            # One turn of the loop wakes those who serve the calls, the next one writes what they say.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        for group in full:
            self._saver.save(group)
        if self._is_saver_due:
            self._is_saver_due = False
            self._saver.tick()

    # -- ticks -----------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._ticks_total += 1
        now = time.monotonic()
        for group in self._groups.values():
            group.core.tick()
            group.expire(now)
            if not group.is_dirty and (group.core.has_ready() or not group.is_idle()):
                group.is_dirty = True
                self._dirty.append(group)
        self._is_saver_due = True
        self._senders.tick()
        self._receivers.tick()
        self._leadership.tick(self._is_stopping)
        if self._ticks_total % COMMIT_SAVE_TICKS == 0:
            self._save_commits(sync=False)

    def _save_commits(self, sync: bool) -> None:
        """Commit indexes that moved alone, so that a restart replays up to them."""
        updates = []
        for group in self._groups.values():
            if group.unsaved_commit is not None:
                updates.append(GroupUpdate(group.id, group.unsaved_commit, ()))
                group.unsaved_commit = None
        if updates:
            self._log.persist(updates, sync)
            self._log.accept(updates)


def _size(updates: Sequence[GroupUpdate]) -> int:
    return sum(len(entry.data) for update in updates for entry in update.entries)


def _wants_room(message: Message) -> bool:
    """Whether taking this message would write more than a term and a vote, or lead to that: a node that may
    not write should not lead."""
    return bool(message.entries or message.data) or message.type is MessageType.TIMEOUT_NOW

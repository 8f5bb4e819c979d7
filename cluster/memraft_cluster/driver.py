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
has it the other way round (``docs/decisions``, 0006). The driver alone, with three nodes as processes on two
cores, mutual TLS, 200-byte commands (``benchmarks/raft_loop.py``; the thread then still held the lock)::

    in flight       inline                     in a thread
            1        1,054/s  p50 0.92 ms        864/s  p50 1.14 ms
           64       45,600/s  p50 1.38 ms     39,400/s  p50 1.59 ms
          256       93,400/s  p50 2.50 ms     90,000/s  p50 2.71 ms

Three fdatasync at once on one disk are 60 % of the time of a single command, TLS and its system calls 15 %.
Sixteen idle groups on three nodes take 4 % of one core in all.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from . import raft
from .balance import Balance
from .driver_config import Counters, DriverConfig
from .errors import Stopped
from .fatal import Fatal, end_process
from .framing import GroupMessage
from .group import Applied, EntryBuilder, Group, GroupSpec, GroupStatus, PeerProgress, StateMachine
from .log import DurableLog, GroupUpdate
from .startup import Progress, make_core, replay
from .transport import Disconnected, Receive

__all__ = [
    "Applied",
    "Counters",
    "DriverConfig",
    "EntryBuilder",
    "GroupSpec",
    "GroupStatus",
    "MultiRaft",
    "PeerProgress",
    "Peers",
    "StateMachine",
]

logger = logging.getLogger("memraft.driver")

COMMIT_SAVE_TICKS = 20
"""How often a commit index that moved alone is written down."""
STOP_POLL_S = 0.01


class Peers(Protocol):
    """What the driver needs of a transport."""

    def bind(self, receive: Receive, disconnected: Disconnected) -> None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def send(self, to: int, group: int, message: raft.Message) -> None: ...
    def flush(self) -> None: ...
    def connected(self) -> frozenset[int]: ...


class MultiRaft:
    """All groups of one node.

    Args:
        config: see :class:`DriverConfig`.
        log: open; closed by :meth:`stop`.
        transport: not started; started and stopped by this object.
        groups: what each group is made of, by group id.
        fatal: called once when going on could lose writes; by default it ends the process.
        progress: called during replay with (group, entries applied, entries to apply).
    """

    def __init__(
        self,
        config: DriverConfig,
        log: DurableLog,
        transport: Peers,
        groups: Mapping[int, GroupSpec],
        *,
        fatal: Fatal = end_process,
        progress: Progress | None = None,
    ) -> None:
        self.config = config
        self.counters = Counters()
        self.failure: BaseException | None = None
        self._log = log
        self._transport = transport
        self._specs = dict(groups)
        self._groups: dict[int, Group] = {}
        self._fatal = fatal
        self._progress = progress
        self._dirty: list[Group] = []
        self._mailbox: list[list[GroupMessage]] = []
        self._mailbox_bytes = 0
        self._ticks_due = 0
        self._ticks_total = 0
        self._unreachable: set[int] = set()
        self._wakeup: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._balance = Balance(config.rebalance_after_ms, config.tick_ms)
        self._is_stopping = False
        self._is_halting = False
        transport.bind(self._receive, self._disconnected)

    # -- for callers -----------------------------------------------------------------------------------

    def propose(self, group: int, command: bytes, local: object) -> asyncio.Future[Applied]:
        """Have a command committed and applied.

        Args:
            group: its id.
            command: opaque bytes, at most ``command_bytes_max``.
            local: handed to the machine beside the command when it is applied here.

        Returns:
            A future of the machine's reply. It fails with NotLeader when the command will certainly not be
            applied, with OutcomeUnknown when it may be. Cancelling it takes nothing back.

        Raises:
            NotLeader, Overloaded, CommandTooLarge, Stopped: at once; nothing was queued.
        """
        found = self._group(group)
        future = found.propose(command, local)
        if not found.is_dirty:
            self._mark(found)
        return future

    def read_barrier(self, group: int) -> asyncio.Future[int]:
        """For a linearizable read: confirm leadership after this call, then wait for the machine.

        Returns:
            A future of the applied index; reading the machine when it resolves is linearizable. It fails
            with NotLeader when leadership could not be confirmed.

        Raises:
            NotLeader, Overloaded, Stopped: at once.
        """
        found = self._group(group)
        future = found.read_barrier()
        if not found.is_dirty:
            self._mark(found)
        return future

    def wait_applied(self, group: int, index: int) -> asyncio.Future[int] | None:
        """Wait until this node's machine has applied ``index``; None when it has already.

        The future has no time limit of its own: the caller cancels it. Raises Overloaded, Stopped, and
        NotYetWritten for an index so far ahead that waiting would only hold the call.
        """
        return self._group(group).wait_applied(index)

    def applied(self, group: int) -> int:
        """Index up to which this node's machine has applied the group's log."""
        return self._groups[group].applied

    def last_index(self, group: int) -> int:
        """Index of the last entry in this node's log: on a leader, of the last one proposed."""
        return self._groups[group].core.log.last_index

    def leader(self, group: int) -> int:
        """Node id of the group's leader as far as known here, 0 when unknown."""
        return self._groups[group].leader

    def age_us(self, group: int) -> int:
        """How old what this node's machine shows may be, in microseconds.

        On a follower: since the arrival of the last heartbeat whose leader had then committed nothing that is
        not applied here by now. On a leader: since it last heard a quorum; 0 where it is its own quorum. A
        node that has not been up to date yet counts from its start. Not in it is the way of a message, and
        that a leader that is cut off is believed by followers on its side until it steps down, at the latest
        after twice the election timeout.
        """
        return int(self._groups[group].freshness.age_s(time.monotonic()) * 1_000_000)

    def has_caught_up(self, group: int) -> bool:
        """Whether this node's machine has been up to date once since the start."""
        return self._groups[group].freshness.has_caught_up

    def is_leader(self, group: int) -> bool:
        """Whether this node believes to lead; only :meth:`read_barrier` proves it."""
        return self._groups[group].role is raft.Role.LEADER

    def transfer_leadership(self, group: int, to: int) -> None:
        """Hand a group that is led here to another node, once that is caught up. Raises NotLeader of the
        cluster's errors when it is not led here, ValueError when ``to`` is not a peer."""
        if to not in self.config.peers:
            raise ValueError(f"node {to} is not one of the peers {self.config.peers}")
        found = self._group(group)
        found.transfer(to)
        self._mark(found)

    def status(self) -> list[GroupStatus]:
        """How every group stands on this node."""
        return [group.status() for group in self._groups.values()]

    # -- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Replay what is committed into the machines, listen, and begin to take part.

        Raises:
            LogCorrupted: the log is shorter than what it says was committed, or lacks a term and vote.
            ListenError: the transport's address is in use.
        """
        loop = asyncio.get_running_loop()
        seed = self.config.seed or secrets.randbits(62) + 1
        for group, spec in self._specs.items():
            await replay(self._log, group, spec, self._progress)
            core = make_core(self.config, self._log, group, spec, seed)
            self._groups[group] = Group(group, spec, core, self.config.group_limits(), loop)
        await self._transport.start()
        if self.config.sync_in_thread:
            self._executor = ThreadPoolExecutor(1, "memraft-sync")
        self._task = loop.create_task(self._run(), name="memraft-driver")
        self._ticker = loop.call_later(self.config.tick_ms / 1000, self._tick_due)

    async def stop(self) -> None:
        """Hand leadership over where possible, answer or fail everyone who waits, flush, close."""
        self._is_stopping = True
        if self._task is not None and not self._task.done():
            await self._hand_over()
            self._is_halting = True
            self._wake()
            await asyncio.wait([self._task])
        await self._close(clean=self.failure is None)

    async def kill(self) -> None:
        """Stop at once, for tests: nothing is handed over, no commit index is saved, nobody is told. The log
        is closed in order, though: what a crash of the process leaves on disk is tried with processes."""
        self._is_stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._close(clean=False)

    async def _close(self, clean: bool) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        for group in self._groups.values():
            group.close()
        await self._transport.stop()
        if self._executor is not None:
            self._executor.shutdown()
        if clean:
            self._save_commits(sync=True)
        self._log.close()

    async def _hand_over(self) -> None:
        """Let the best follower of every group led here take over, for at most ``stop_transfer_ms``."""
        deadline = time.monotonic() + self.config.stop_transfer_ms / 1000
        asked: set[int] = set()
        while time.monotonic() < deadline and self.failure is None:
            led = [each for each in self._groups.values() if each.role is raft.Role.LEADER]
            for group in led:
                if group.id not in asked and (heir := self._heir(group)):
                    asked.add(group.id)
                    group.transfer(heir)
                    self._mark(group)
            if not any(group.id in asked or not group.is_idle() for group in led):
                return
            await asyncio.sleep(STOP_POLL_S)

    def _heir(self, group: Group) -> int:
        """The connected follower with most of the log, the preferred leader among equals; 0 for none."""
        peers = group.core.status().peers
        fit = [peer for peer in peers if peer in self._transport.connected() and peers[peer].active]
        preferred = group.spec.preferred_leader
        return max(fit, key=lambda peer: (peers[peer].match, peer == preferred), default=0)

    # -- what wakes the task ---------------------------------------------------------------------------

    def _group(self, group: int) -> Group:
        if self._is_stopping or self.failure is not None:
            raise Stopped("this node is stopping")
        return self._groups[group]

    def _mark(self, group: Group) -> None:
        if not group.is_dirty:
            group.is_dirty = True
            self._dirty.append(group)
        self._wake()

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
        except Exception as error:
            self.failure = error
            for group in self._groups.values():
                group.close()
            self._fatal(error)

    async def _pause(self) -> None:
        """Until there is work. Others on the loop always get to run in between."""
        if self._dirty or self._mailbox or self._ticks_due:
            await asyncio.sleep(0)
            return
        self._wakeup = asyncio.get_running_loop().create_future()
        try:
            await self._wakeup
        finally:
            self._wakeup = None

    async def _turn(self) -> None:
        self.counters.turns_total += 1
        self._step_mailbox()
        if self._ticks_due:
            self._ticks_due = 0
            self._tick()
        working, self._dirty = self._dirty, []
        turns: list[tuple[Group, raft.Ready]] = []
        updates: list[GroupUpdate] = []
        send = self._transport.send
        for group in working:
            group.is_dirty = False
            group.take_in()
            if not group.core.has_ready():
                continue
            ready = group.core.ready()
            turns.append((group, ready))
            for message in ready.messages_before_sync:
                send(message.to, group.id, message)
            self._gather(group, ready, updates)
        self._transport.flush()
        if updates:
            await self._persist(updates)
        for group, ready in turns:
            for message in ready.messages:
                send(message.to, group.id, message)
        self._transport.flush()
        self._finish(turns)

    def _step_mailbox(self) -> None:
        batches, self._mailbox, self._mailbox_bytes = self._mailbox, [], 0
        groups = self._groups
        now = time.monotonic()
        for batch in batches:
            self.counters.messages_received_total += len(batch)
            for group_id, message in batch:
                group = groups.get(group_id)
                try:
                    if group is None:
                        raise raft.BadMessage(f"a message for group {group_id}, which is not on this node")
                    group.core.step(message)
                except raft.BadMessage as error:
                    self._report_bad(error)
                    continue
                group.heard(message, now)
                if not group.is_dirty:
                    group.is_dirty = True
                    self._dirty.append(group)
        if self._unreachable:
            gone, self._unreachable = self._unreachable, set()
            for group in groups.values():
                for peer in gone:
                    group.core.report_unreachable(peer)

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

    async def _persist(self, updates: list[GroupUpdate]) -> None:
        began = time.perf_counter()
        if self._executor is None:
            self._log.persist(updates)
        else:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._log.persist, updates)
        self._log.accept(updates)
        took = time.perf_counter() - began
        counters = self.counters
        counters.syncs_total += 1
        counters.sync_seconds_total += took
        counters.sync_seconds_max = max(counters.sync_seconds_max, took)

    def _finish(self, turns: list[tuple[Group, raft.Ready]]) -> None:
        now = time.monotonic()
        counters = self.counters
        for group, ready in turns:
            if ready.leader != group.leader:
                counters.leader_changes_total += 1
                fields = {"group": group.id, "leader": ready.leader, "term": ready.term}
                logger.info("leader changed", extra={"fields": fields})
            counters.entries_applied_total += len(ready.committed)
            group.finish(ready, now)
            if group.wants_turn and not group.is_dirty:
                group.is_dirty = True
                self._dirty.append(group)

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
        if self.config.rebalance and not self._is_stopping and self._balance.is_look_due():
            self._rebalance()
        if self._ticks_total % COMMIT_SAVE_TICKS == 0:
            self._save_commits(sync=False)

    def _rebalance(self) -> None:
        connected = self._transport.connected()
        for group in self._groups.values():
            preferred = group.spec.preferred_leader
            if group.role is not raft.Role.LEADER or preferred in (0, self.config.node_id):
                self._balance.forget(group.id)
                continue
            status = group.core.status()
            peer = status.peers.get(preferred)
            is_fit = peer is not None and peer.active and preferred in connected
            is_caught_up = peer is not None and peer.match >= status.commit
            if self._balance.look(group.id, is_fit and is_caught_up):
                self.counters.transfers_total += 1
                fields = {"group": group.id, "to": preferred}
                logger.info("leadership goes back to the preferred leader", extra={"fields": fields})
                group.core.transfer_leader(preferred)
                self._mark(group)

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

"""All consensus groups of one node, as the rest of the node uses them.

The one task that drives them is in ``turns``, what a group is in ``group``, what a machine must be in
``state_machine``. Groups, peers, members and preferred leaders may all change while it runs.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from . import raft
from .driver_config import Counters, DriverConfig
from .errors import DiskFull, NotLeader, Stopped
from .fatal import Fatal, end_process
from .group import Group
from .group_state import GroupSpec, GroupStatus, PeerProgress
from .leadership import Space
from .log import DurableLog
from .raft import Membership
from .startup import Progress, start_group
from .state_machine import Applied, EntryBuilder, StateMachine
from .turns import Peers, Turns

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
    "Space",
    "StateMachine",
]

STOP_POLL_S = 0.01


class MultiRaft(Turns):
    """All groups of one node.

    Args:
        config: see :class:`DriverConfig`.
        log: open; closed by :meth:`stop`.
        transport: not started; started and stopped by this object.
        groups: those to start with, by group id; :meth:`add_group` adds others.
        fatal: called once when going on could lose writes; by default it ends the process.
        progress: called while a group starts with (group, "load" or "replay", done, to do).
        space: says when the disk is full; None: never.
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
        space: Space | None = None,
    ) -> None:
        super().__init__(config, log, transport, fatal, space)
        self._specs = dict(groups)
        self._progress = progress
        self._seed = config.seed or secrets.randbits(62) + 1
        self._starting: set[int] = set()

    # -- for callers -----------------------------------------------------------------------------------

    def propose(self, group: int, command: bytes, local: object) -> asyncio.Future[Any]:
        """Have a command committed and applied.

        Args:
            group: its id.
            command: opaque bytes, at most ``command_bytes_max``.
            local: handed to the machine beside the command when it is applied here.

        Returns:
            A future of what the group's ``answer`` tells, by default an ``Applied``. It fails with NotLeader
            when the command will certainly not be applied, with OutcomeUnknown when it may be, with DiskFull
            when it was not proposed for that. Cancelling it takes nothing back.

        Raises:
            NotLeader, Overloaded, DiskFull, CommandTooLarge, Stopped: at once; nothing was queued.
        """
        found = self._group(group)
        future = found.propose(command, local)
        if not found.is_dirty:
            self.mark(found)
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
            self._time_round(found, time.monotonic())
        return future

    def wait_applied(self, group: int, index: int) -> asyncio.Future[int] | None:
        """Wait until this node's machine has applied ``index``; None when it has already.

        The future has no time limit of its own: the caller cancels it. Raises Overloaded, Stopped, NotLeader
        where the group is not on this node, and NotYetWritten for an index so far ahead that waiting would
        only hold the call.
        """
        return self._group(group).wait_applied(index)

    def has_group(self, group: int) -> bool:
        """Whether a replica of the group is on this node and takes part."""
        return group in self._groups

    def applied(self, group: int) -> int:
        """Index up to which this node's machine has applied the group's log; 0 without a replica."""
        found = self._groups.get(group)
        return found.applied if found is not None else 0

    def last_index(self, group: int) -> int:
        """Index of the last entry in this node's log: on a leader, of the last one proposed."""
        found = self._groups.get(group)
        return found.core.log.last_index if found is not None else 0

    def leader(self, group: int) -> int:
        """Node id of the group's leader as far as known here, 0 when unknown."""
        found = self._groups.get(group)
        return found.leader if found is not None else 0

    def age_us(self, group: int) -> int:
        """How old what this node's machine shows may be, in microseconds.

        On a follower: since the arrival of the last heartbeat whose leader had then committed nothing that is
        not applied here by now. On a leader: since it last heard a quorum; 0 where it is its own quorum. A
        node that has not been up to date yet counts from its start. Not in it is the way of a message, and
        that a leader that is cut off is believed by followers on its side until it steps down, at the latest
        after twice the election timeout. Raises NotLeader where the group is not on this node.
        """
        found = self._groups.get(group)
        if found is None:
            raise self._absent(group)
        return int(found.freshness.age_s(time.monotonic()) * 1_000_000)

    def has_caught_up(self, group: int) -> bool:
        """Whether this node's machine has been up to date once since the start."""
        found = self._groups.get(group)
        return found is not None and found.freshness.has_caught_up

    def is_leader(self, group: int) -> bool:
        """Whether this node believes to lead; only :meth:`read_barrier` proves it."""
        found = self._groups.get(group)
        return found is not None and found.role is raft.Role.LEADER

    def status(self) -> list[GroupStatus]:
        """How every group stands on this node."""
        return [group.status() for group in self._groups.values()]

    def group_status(self, group: int) -> GroupStatus | None:
        """How one group stands on this node; None where it is not here."""
        found = self._groups.get(group)
        return found.status() if found is not None else None

    # -- for operators ---------------------------------------------------------------------------------

    @property
    def disk_full(self) -> DiskFull | None:
        """Why this node takes no writes, None while there is room."""
        return self._shared.disk_full

    def membership(self, group: int) -> Membership | None:
        """Who belongs to the group, as in force here, committed or not; None where it is not on this node."""
        found = self._groups.get(group)
        return found.core.membership if found is not None else None

    def change_membership(self, group: int, membership: Membership) -> asyncio.Future[int]:
        """Make another membership that of the group; it may differ by the standing of one node.

        Returns:
            A future of the index at which it stands, once that is committed. It fails with NotLeader when the
            change will certainly not be, with OutcomeUnknown when it may be.

        Raises:
            NotLeader, MembershipRefused, Overloaded, Stopped: at once; nothing was proposed.
        """
        found = self._group(group)
        future = found.change_membership(membership)
        self.mark(found)
        return future

    def set_preferred_leader(self, group: int, node: int) -> None:
        """Who should lead the group when it can; 0 for no preference. Without effect while it is no voter."""
        found = self._groups.get(group)
        if found is not None:
            found.preferred_leader = node
            self._leadership.forget(group)

    def transfer_leadership(self, group: int, to: int) -> None:
        """Hand a group that is led here to another node, once that is caught up.

        Raises:
            NotLeader: it is not led here.
            TransferRefused: ``to`` is no voter of the group, or may have lost entries.
            Stopped: the node is stopping.
        """
        found = self._group(group)
        found.transfer(to)
        self.mark(found)

    async def add_group(self, group: int, spec: GroupSpec) -> None:
        """Load and replay a group beside those that run; it takes part when this returns.

        Raises:
            ValueError: it is on this node already.
            LogCorrupted: what is on disk of it is damaged.
            Stopped: the node is stopping.
        """
        if group in self._groups or group in self._starting:
            raise ValueError(f"group {group} is on this node already")
        self._starting.add(group)
        try:
            started = await self._load(group, spec)
            if self._is_stopping or self.failure is not None:
                raise Stopped("this node is stopping")
            self._groups[group] = started
            self.stopped.pop(group, None)
            self.mark(started)
        finally:
            self._starting.discard(group)

    async def remove_group(self, group: int, drop: bool = True) -> None:
        """Stop taking part in a group. Whoever waits for it here is told to ask elsewhere.

        Args:
            group: its id; harmless when it is not on this node.
            drop: delete its log and its state.
        """
        found = self._groups.get(group)
        if found is not None:
            await self._run_job(partial(self._detach, found))
            await self._receivers.settle()
        elif group in self.stopped:
            found = self.stopped.pop(group).group
        if drop and found is not None:
            await self._saver.settle()  # nothing else may be busy with the rows that go
            # The state first: a log without its state is found to be not whole, a state without its log could
            # be taken for one that has lost its vote.
            found.machine.drop()
            await self.flush(found)
        if drop:
            await self._run_job(lambda: self._log.drop_group(group))

    def _detach(self, group: Group) -> None:
        if self._groups.get(group.id) is not group:
            return
        if not group.is_installing:
            self._saver.save(group)
        self._forget(group)
        group.close(lambda: NotLeader(group.id, 0))

    # -- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load the machines, replay what is committed, listen, and begin to take part.

        Raises:
            LogCorrupted: the log is shorter than what it says was committed, or lacks a term and vote.
            ListenError: the transport's address is in use.
        """
        self._prepare()
        for group, spec in self._specs.items():
            self._groups[group] = await self._load(group, spec)
        await self._transport.start()
        self._begin()

    async def _load(self, group: int, spec: GroupSpec) -> Group:
        return await start_group(
            self.config,
            self._log,
            group,
            spec,
            self._shared,
            run_job=self._run_job,
            seed=self._seed,
            progress=self._progress,
        )

    async def stop(self) -> None:
        """Hand leadership over where possible, answer or fail everyone who waits, flush, close."""
        wait_s = self.config.stop_transfer_ms / 1000
        deadline = time.monotonic() + wait_s
        if self._task is not None and not self._task.done():
            await self._await_heirs(deadline - wait_s / 2)
        self._is_stopping = True
        if self._task is not None and not self._task.done():
            await self._hand_over(deadline)
            self._is_halting = True
            self._wake()
            await asyncio.wait([self._task])
        await self._close(clean=self.failure is None)

    async def kill(self) -> None:
        """Stop at once, for tests: nothing is handed over, nothing saved, nobody is told. The log is closed
        in order, though: what a crash of the process leaves on disk is tried with processes."""
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
        if self._task is not None:
            self._senders.close()
            self._drop_jobs()
            await self._receivers.stop()
            await self._saver.settle()
            if clean:
                await self._saver.flush_all()
        self._sync_thread.stop()
        self._flush_executor.shutdown()
        if clean:
            self._save_commits(sync=True)
        self._log.close()

    async def _await_heirs(self, deadline: float) -> None:
        """Serve on until those who are to lead could do so at once."""
        while time.monotonic() < deadline and self.failure is None:
            led = [each for each in self._groups.values() if each.role is raft.Role.LEADER]
            if not any(map(self._leadership.is_heir_behind, led)):
                return
            await asyncio.sleep(STOP_POLL_S)

    async def _hand_over(self, deadline: float) -> None:
        """Let the best follower of every group led here take over, until the deadline."""
        asked: set[int] = set()
        while time.monotonic() < deadline and self.failure is None:
            led = [each for each in self._groups.values() if each.role is raft.Role.LEADER]
            for group in led:
                if group.id not in asked and (heir := self._leadership.heir(group)):
                    asked.add(group.id)
                    self._leadership.try_transfer(group, heir)
            if not any(group.id in asked or not group.is_idle() for group in led):
                return
            await asyncio.sleep(STOP_POLL_S)

    def _group(self, group: int) -> Group:
        if self._is_stopping or self.failure is not None:
            raise Stopped("this node is stopping")
        found = self._groups.get(group)
        if found is None:
            raise self._absent(group)
        return found

    def _absent(self, group: int) -> NotLeader:
        return self.stopped[group].error() if group in self.stopped else NotLeader(group, 0)

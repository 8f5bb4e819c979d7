"""The commands of one group on their way into its log.

A command lives through three places: ``_queued`` until an entry is closed over it, ``_inflight`` until that
entry's index is committed, then the machine. All of them are bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from . import raft
from .errors import CommandTooLarge, MembershipRefused, NotLeader, OutcomeUnknown, Overloaded
from .group_state import GroupSpec, GroupState, Shared, fail
from .raft import Membership


class _InFlight(msgspec.Struct, gc=False):
    """An entry that was proposed here and whose index is not committed yet."""

    index: int
    term: int
    locals: list[object]
    futures: list[asyncio.Future[Any]]


class Proposals(GroupState):
    """See the module."""

    def __init__(
        self,
        group: int,
        spec: GroupSpec,
        core: raft.Core,
        shared: Shared,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(group, spec, core, shared, loop)
        self._queued: list[bytes] = []
        self._queued_locals: list[object] = []
        self._queued_futures: list[asyncio.Future[Any]] = []
        self._queued_bytes = 0
        self._is_refused = False
        self._inflight: dict[int, _InFlight] = {}
        self._lost_lead_at: float | None = None

    # -- what callers do -------------------------------------------------------------------------------

    def propose(self, command: bytes, local: object) -> asyncio.Future[Any]:
        limits = self._limits
        if self.role is not raft.Role.LEADER:
            raise NotLeader(self.id, self.leader)
        if self._shared.disk_full is not None:
            raise self._shared.disk_full.again()
        size = len(command)
        if size > limits.command_bytes_max:
            raise CommandTooLarge(size, limits.command_bytes_max)
        if len(self._queued) >= limits.queued_commands_max:
            raise Overloaded(self.id, "queued_commands_max", limits.queued_commands_max)
        if self._queued_bytes + size > limits.queued_bytes_max:
            raise Overloaded(self.id, "queued_bytes_max", limits.queued_bytes_max)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queued.append(command)
        self._queued_locals.append(local)
        self._queued_futures.append(future)
        self._queued_bytes += size
        return future

    def change_membership(self, membership: Membership) -> asyncio.Future[int]:
        """Propose a membership; the future has its index once it is committed."""
        if self.role is not raft.Role.LEADER:
            raise NotLeader(self.id, self.leader)
        try:
            index = self.core.propose_membership(membership)
        except raft.NotLeader as error:
            raise NotLeader(self.id, error.leader) from error
        except raft.MembershipRefused as error:
            raise MembershipRefused(self.id, str(error), is_retryable=error.retryable) from error
        except raft.LeadershipMoving as error:
            raise MembershipRefused(self.id, str(error), is_retryable=True) from error
        except raft.Overloaded as error:
            raise Overloaded(self.id, error.limit, error.limit_value) from error
        future: asyncio.Future[int] = self._loop.create_future()
        self._put_inflight(_InFlight(index, self.core.term, [], [future]))
        return future

    # -- what the driver does --------------------------------------------------------------------------

    def propose_queued(self) -> None:
        """Close entries over the queued commands, as far as it is time to."""
        self._is_refused = False
        while self._queued and self._may_propose():
            if not self._propose_entry():
                self._is_refused = True
                break

    def _may_propose(self) -> bool:
        """Whether to propose now, or let more commands gather while earlier entries are under way."""
        limits = self._limits
        return (
            len(self._inflight) < limits.entries_inflight_target
            or self._queued_bytes >= limits.entry_bytes_target
            or len(self._queued) >= limits.entry_commands_max
            or self.role is not raft.Role.LEADER
        )

    def _propose_entry(self) -> bool:
        """Propose one entry. False when the core takes none just now and the commands must wait."""
        full = self._shared.disk_full
        if full is not None:
            fail(self._drop_queued(len(self._queued))[1], full.again)
            return False
        count = self._next_entry_count()
        commands = self._queued[:count]
        try:
            if self.core.role is not raft.Role.LEADER:
                raise raft.NotLeader(self.core.leader)
            data = self.spec.builder.build(commands)
            index = self.core.propose(data)
        except (raft.LeadershipMoving, raft.Overloaded):
            return False
        except raft.NotLeader as error:
            leader = error.leader
            fail(self._drop_queued(len(self._queued))[1], lambda: NotLeader(self.id, leader))
            return False
        except raft.EntryTooLarge as error:
            size, limit = error.size_bytes, error.limit_bytes
            fail(self._drop_queued(count)[1], lambda: CommandTooLarge(size, limit))
            return True
        locals_, futures = self._drop_queued(count)
        self._put_inflight(_InFlight(index, self.core.term, locals_, futures))
        self.entries_proposed_total += 1
        return True

    def _put_inflight(self, entry: _InFlight) -> None:
        older = self._inflight.get(entry.index)
        if older is not None:
            # Leadership was lost and won again meanwhile, and the log was cut here. Another node may still
            # hold the entry that stood there; until one is committed at its index it may yet be that one.
            self._give_up(older)
        self._inflight[entry.index] = entry

    def _next_entry_count(self) -> int:
        limits = self._limits
        if self._queued_bytes <= limits.entry_bytes_target and len(self._queued) <= limits.entry_commands_max:
            return len(self._queued)
        size = 0
        for count, command in enumerate(self._queued):
            size += len(command)
            if count and (size > limits.entry_bytes_target or count >= limits.entry_commands_max):
                return count
        return len(self._queued)

    def _drop_queued(self, count: int) -> tuple[list[object], list[asyncio.Future[Any]]]:
        if count == len(self._queued):
            taken = self._queued_locals, self._queued_futures
            self._queued, self._queued_locals, self._queued_futures, self._queued_bytes = [], [], [], 0
            return taken
        self._queued_bytes -= sum(map(len, self._queued[:count]))
        taken = self._queued_locals[:count], self._queued_futures[:count]
        del self._queued[:count], self._queued_locals[:count], self._queued_futures[:count]
        return taken

    def _take_inflight(self, entry: raft.Entry) -> _InFlight | None:
        mine = self._inflight.pop(entry.index, None)
        if mine is None or mine.term == entry.term:
            return mine
        # Another leader's entry is committed in the place of ours, so ours can never be: certain only now.
        fail(mine.futures, lambda: NotLeader(self.id, self.leader))
        return None

    def expire(self, now: float) -> None:
        """Give up on entries of a lost leadership that no new leader has decided on in time."""
        if self._lost_lead_at is None or now - self._lost_lead_at < self._limits.outcome_wait_ms / 1000:
            return
        self._lost_lead_at = None
        for index, entry in list(self._inflight.items()):
            if self.role is not raft.Role.LEADER or entry.term != self.term:
                self._give_up(self._inflight.pop(index))

    def _give_up_to(self, index: int) -> None:
        """A snapshot took the place of everything up to ``index``: what became of it is not seen here."""
        for each in [each for each in self._inflight if each <= index]:
            self._give_up(self._inflight.pop(each))

    def _close_proposals(self, make_error: Callable[[], Exception]) -> None:
        fail(self._drop_queued(len(self._queued))[1], make_error)
        for entry in self._inflight.values():
            self._give_up(entry)
        self._inflight.clear()

    def _give_up(self, entry: _InFlight) -> None:
        fail(entry.futures, lambda: OutcomeUnknown(self.id, entry.index))

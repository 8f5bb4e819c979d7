"""One group as the driver sees it: its core, its machine, and everyone who waits for it.

A command lives through three places: ``_queued`` until an entry is closed over it, ``_inflight`` until that
entry's index is committed, then the machine. A read waits for its round and then in ``_waiters`` until the
machine has applied its index. All of them are bounded.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from . import raft
from .errors import CommandTooLarge, NotLeader, NotYetWritten, OutcomeUnknown, Overloaded, Stopped
from .freshness import Freshness


class StateMachine(Protocol):
    """What committed entries are applied to."""

    def apply(self, index: int, data: bytes, local: Sequence[object] | None) -> Sequence[object]:
        """Apply one committed entry; called once for each that carries data, in order of index, and never
        awaits. No-ops of new leaders are not shown, so indexes may skip.

        Args:
            index: of the entry.
            data: as the group's ``EntryBuilder`` made it on the leader.
            local: what was passed to ``propose`` beside each command, when the entry was proposed by this
                node in this process; else None.

        Returns:
            One reply a command, in order; ignored when ``local`` is None.
        """


class EntryBuilder(Protocol):
    """Makes an entry out of commands; runs on the leader only, so it may stamp the time."""

    def build(self, commands: Sequence[bytes]) -> bytes:
        """Never empty: empty data is the no-op of the core."""


class Applied(msgspec.Struct, frozen=True, gc=False):
    """What became of a command: the machine's reply, the entry's index and the command's place in it."""

    reply: object
    index: int
    position: int


class GroupSpec(msgspec.Struct, frozen=True):
    """What a group is made of. ``preferred_leader`` is a node id, 0 for no preference."""

    machine: StateMachine
    builder: EntryBuilder
    preferred_leader: int = 0


class PeerProgress(msgspec.Struct, frozen=True):
    """A follower as its leader sees it: last entry durable there, and whether it was heard lately."""

    match: int
    active: bool


class GroupStatus(msgspec.Struct, frozen=True):
    """A group on this node. ``peers`` is empty unless this node leads; ``leader`` 0 means unknown;
    ``queued_commands`` wait to become an entry; the totals count what was proposed here."""

    group: int
    role: raft.Role
    term: int
    leader: int
    preferred_leader: int
    commit: int
    applied: int
    last_index: int
    queued_commands: int
    entries_proposed_total: int
    commands_applied_total: int
    peers: Mapping[int, PeerProgress]


class GroupLimits(msgspec.Struct, frozen=True):
    """See ``DriverConfig``, where these are set and explained."""

    entry_bytes_target: int
    entry_commands_max: int
    entries_inflight_target: int
    command_bytes_max: int
    queued_commands_max: int
    queued_bytes_max: int
    waiters_max: int
    outcome_wait_ms: int


INDEX_AHEAD_MAX = 10_000
"""How far above what this node knows of a log an index may be that somebody waits for: as many entries as a
leader may commit between two of its heartbeats, and many more."""
_FROM_FOLLOWERS = frozenset({raft.MessageType.APPEND_REPLY, raft.MessageType.HEARTBEAT_REPLY})


class _InFlight(msgspec.Struct, gc=False):
    """An entry that was proposed here and whose index is not committed yet."""

    index: int
    term: int
    locals: list[object]
    futures: list[asyncio.Future[Applied]]


class Group:
    """See the module. Owned by the driver's task; ``propose`` and the like run between its turns."""

    def __init__(
        self,
        group: int,
        spec: GroupSpec,
        core: raft.Core,
        limits: GroupLimits,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.id = group
        self.spec = spec
        self.core = core
        self.role = raft.Role.FOLLOWER
        self.leader = 0
        self.term = core.term
        self.applied = core.status().applied
        self.freshness = Freshness(core.others, core.quorum, time.monotonic())
        self.told = 0
        """The highest index that a leader said is committed."""
        self.is_dirty = False
        self.unsaved_commit: raft.HardState | None = None
        self.commands_applied_total = 0
        self.entries_proposed_total = 0
        self._limits = limits
        self._loop = loop
        self._queued: list[bytes] = []
        self._queued_locals: list[object] = []
        self._queued_futures: list[asyncio.Future[Applied]] = []
        self._queued_bytes = 0
        self._is_refused = False
        self._inflight: dict[int, _InFlight] = {}
        self._lost_lead_at: float | None = None
        self._readers: list[asyncio.Future[int]] = []
        self._rounds: dict[int, list[asyncio.Future[int]]] = {}
        self._round_readers = 0
        self._next_round = 1
        self._waiters: list[tuple[int, int, asyncio.Future[int]]] = []
        self._waiter_count = 0

    # -- what callers do -------------------------------------------------------------------------------

    def propose(self, command: bytes, local: object) -> asyncio.Future[Applied]:
        limits = self._limits
        if self.role is not raft.Role.LEADER:
            raise NotLeader(self.id, self.leader)
        size = len(command)
        if size > limits.command_bytes_max:
            raise CommandTooLarge(size, limits.command_bytes_max)
        if len(self._queued) >= limits.queued_commands_max:
            raise Overloaded(self.id, "queued_commands_max", limits.queued_commands_max)
        if self._queued_bytes + size > limits.queued_bytes_max:
            raise Overloaded(self.id, "queued_bytes_max", limits.queued_bytes_max)
        future: asyncio.Future[Applied] = self._loop.create_future()
        self._queued.append(command)
        self._queued_locals.append(local)
        self._queued_futures.append(future)
        self._queued_bytes += size
        return future

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
        self._waiter_count += 1
        heapq.heappush(self._waiters, (index, self._waiter_count, future))

    # -- what the driver does, in the order of a turn --------------------------------------------------

    @property
    def wants_turn(self) -> bool:
        """Whether another turn would get something done, with nothing new from outside."""
        if self.core.has_ready() or self._readers:
            return True
        return bool(self._queued) and not self._is_refused and self._may_propose()

    def heard(self, message: raft.Message, now: float) -> None:
        """Take note of a message that the core has stepped."""
        core = self.core
        if message.term != core.term:
            return
        if message.type is raft.MessageType.HEARTBEAT:
            self.told = max(self.told, message.hint_index)
            if message.hint_index and message.sender == core.leader:
                self.freshness.told(message.hint_index, self.applied, now)
        elif message.type in _FROM_FOLLOWERS:
            self.freshness.heard(message.sender, now)

    def take_in(self) -> None:
        """Close entries over the queued commands and start the round of the waiting reads."""
        if self._readers:
            self._begin_round()
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

    def _begin_round(self) -> None:
        readers, self._readers = self._readers, []
        try:
            self.core.read_index(self._next_round)
        except raft.NotLeader as error:
            leader = error.leader
            _fail(readers, lambda: NotLeader(self.id, leader))
        except raft.Overloaded as error:
            limit, value = error.limit, error.limit_value
            _fail(readers, lambda: Overloaded(self.id, limit, value))
        else:
            self._rounds[self._next_round] = readers
            self._round_readers += len(readers)
            self._next_round += 1

    def _propose_entry(self) -> bool:
        """Propose one entry. False when the core takes none just now and the commands must wait."""
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
            _fail(self._drop_queued(len(self._queued))[1], lambda: NotLeader(self.id, leader))
            return False
        except raft.EntryTooLarge as error:
            size, limit = error.size_bytes, error.limit_bytes
            _fail(self._drop_queued(count)[1], lambda: CommandTooLarge(size, limit))
            return True
        locals_, futures = self._drop_queued(count)
        if index in self._inflight:
            # Leadership was lost and won again meanwhile, and the log was cut here. Another node may still
            # hold the entry that stood there; until one is committed at its index it may yet be that one.
            self._give_up(self._inflight.pop(index))
        self._inflight[index] = _InFlight(index, self.core.term, locals_, futures)
        self.entries_proposed_total += 1
        return True

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

    def _drop_queued(self, count: int) -> tuple[list[object], list[asyncio.Future[Applied]]]:
        if count == len(self._queued):
            taken = self._queued_locals, self._queued_futures
            self._queued, self._queued_locals, self._queued_futures, self._queued_bytes = [], [], [], 0
            return taken
        self._queued_bytes -= sum(map(len, self._queued[:count]))
        taken = self._queued_locals[:count], self._queued_futures[:count]
        del self._queued[:count], self._queued_locals[:count], self._queued_futures[:count]
        return taken

    def finish(self, ready: raft.Ready, now: float) -> None:
        """After the Ready is durable: apply, answer, and tell the core so."""
        if ready.role is not self.role or ready.term != self.term:
            self._change_role(ready, now)
        self.leader = ready.leader
        for entry in ready.committed:
            self._apply(entry)
        if ready.committed:
            self.freshness.applied(self.applied)
            if self.role is raft.Role.LEADER and ready.committed[-1].term == self.term:
                self.freshness.lead(now)
        for state in ready.read_states:
            for reader in self._end_round(state.request_id):
                self._wait(state.index, reader)
        for dropped in ready.dropped_reads:
            _fail(self._end_round(dropped), lambda: NotLeader(self.id, self.leader))
        if self._waiters:
            self._wake_waiters()
        self.core.advance(ready)

    def _end_round(self, number: int) -> list[asyncio.Future[int]]:
        readers = self._rounds.pop(number, [])
        self._round_readers -= len(readers)
        return readers

    def _apply(self, entry: raft.Entry) -> None:
        mine = self._take_inflight(entry) if self._inflight else None
        if entry.data and entry.kind is raft.EntryKind.COMMAND:
            replies = self.spec.machine.apply(entry.index, entry.data, mine.locals if mine else None)
            if mine is not None:
                self.commands_applied_total += len(mine.futures)
                for position, (future, reply) in enumerate(zip(mine.futures, replies, strict=True)):
                    if not future.done():
                        future.set_result(Applied(reply, entry.index, position))
        self.applied = entry.index

    def _take_inflight(self, entry: raft.Entry) -> _InFlight | None:
        mine = self._inflight.pop(entry.index, None)
        if mine is None or mine.term == entry.term:
            return mine
        # Another leader's entry is committed in the place of ours, so ours can never be: certain only now.
        _fail(mine.futures, lambda: NotLeader(self.id, self.leader))
        return None

    def _wake_waiters(self) -> None:
        waiters = self._waiters
        while waiters and waiters[0][0] <= self.applied:
            future = heapq.heappop(waiters)[2]
            if not future.done():
                future.set_result(self.applied)

    def _change_role(self, ready: raft.Ready, now: float) -> None:
        if self.role is raft.Role.LEADER:
            self._lost_lead_at = now
            self.freshness.follow(now)
        self.role, self.term = ready.role, ready.term

    def transfer(self, to: int) -> None:
        """Hand leadership to node ``to``; raises NotLeader when it is not here."""
        try:
            self.core.transfer_leader(to)
        except raft.NotLeader as error:
            raise NotLeader(self.id, error.leader) from error

    def expire(self, now: float) -> None:
        """Give up on entries of a lost leadership that no new leader has decided on in time."""
        if self._lost_lead_at is None or now - self._lost_lead_at < self._limits.outcome_wait_ms / 1000:
            return
        self._lost_lead_at = None
        for index, entry in list(self._inflight.items()):
            if self.role is not raft.Role.LEADER or entry.term != self.term:
                self._give_up(self._inflight.pop(index))

    def status(self) -> GroupStatus:
        status = self.core.status()
        return GroupStatus(
            group=self.id,
            role=status.role,
            term=status.term,
            leader=status.leader,
            preferred_leader=self.spec.preferred_leader,
            commit=status.commit,
            applied=self.applied,
            last_index=status.last_index,
            queued_commands=len(self._queued),
            entries_proposed_total=self.entries_proposed_total,
            commands_applied_total=self.commands_applied_total,
            peers={peer: PeerProgress(each.match, each.active) for peer, each in status.peers.items()},
        )

    def is_idle(self) -> bool:
        """Whether nobody waits for an outcome."""
        return not (self._queued or self._inflight or self._readers or self._rounds)

    def close(self) -> None:
        """Answer everyone who still waits: the node stops."""

        def stopped() -> Stopped:
            return Stopped(f"the node stopped before group {self.id} answered")

        _fail(self._drop_queued(len(self._queued))[1], stopped)
        for entry in self._inflight.values():
            self._give_up(entry)
        self._inflight.clear()
        for readers in (self._readers, *self._rounds.values(), [each[2] for each in self._waiters]):
            _fail(readers, stopped)
        self._readers, self._waiters = [], []
        self._rounds.clear()
        self._round_readers = 0

    def _give_up(self, entry: _InFlight) -> None:
        _fail(entry.futures, lambda: OutcomeUnknown(self.id, entry.index))


def _fail(
    futures: Sequence[asyncio.Future[Applied]] | Sequence[asyncio.Future[int]],
    make_error: Callable[[], Exception],
) -> None:
    """Each future gets an exception of its own: raising one that is shared would grow its traceback."""
    for future in futures:
        if not future.done():
            future.set_exception(make_error())
            # Whoever gave up waiting must not cause a log line about an exception never retrieved.
            future.exception()

"""A simulated node: the real driver, core and machine on a simulated loop, disk and network."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from memraft_cluster.driver import DriverConfig, GroupSpec, MultiRaft
from memraft_cluster.errors import ClusterError
from memraft_cluster.marks import GroupMark
from memraft_cluster.raft import Core, HardState, Membership, Message, Role
from memraft_cluster.salvage import begin_again
from memraft_cluster.sync_thread import settle
from memraft_proto.methods import KIND_EVICT_MEMORIES, KIND_RECORD_RECALLS
from memraft_proto.v1.log_pb2 import RecordRecallsCommand
from memraft_server.entries import EntryBuilder, encode_command
from memraft_server.machine import Command, Refused
from memraft_server.machine.handlers_receipts import receipts_over
from tests.properties.memory_requests import body_of
from tests.simulation.agenda import TICK_US, Agenda, SimLoop, stream
from tests.simulation.checker import Checker, Violation, check
from tests.simulation.disk import SimDisk, SimLog, begin_blocking
from tests.simulation.network import SimNetwork
from tests.simulation.process import BoundedLog, SimPeers
from tests.simulation.replica import SimReplica, SimStore

GROUP = 1
EPOCH_US = 1_700_000_000_000_000
EXPIRY_TICKS = 20.0
COUNTED = (
    "log_cuts_total", "messages_bad_total", "saves_total", "snapshots_failed_total",
    "snapshots_received_total", "snapshots_sent_total", "transfers_total",
)  # fmt: skip

Answer = Callable[[Any], None]
"""Given a response, or the `Refused` or `ClusterError` that came instead."""


@dataclass(frozen=True)
class Shape:
    """How one node is set up. Bounds are small, so that windows fill and pages turn within one run."""

    driver: DriverConfig
    core_bounds: dict[str, int]
    voters: tuple[int, ...]
    learners: tuple[int, ...]
    rows_a_chunk: int = 50
    preferred_leader: int = 0


@dataclass
class Surroundings:
    """What all nodes of a world share."""

    agenda: Agenda
    network: SimNetwork
    checker: Checker
    seed: tuple[object, ...]
    counts: Counter[str] = field(default_factory=Counter)


class SimSyncThread:
    """What syncs beside a simulated loop: it takes as long there as a thread does."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def run(self, job: Callable[[], object]) -> asyncio.Future[float]:
        future: asyncio.Future[float] = self._loop.create_future()
        blocked = self._loop.run_in_executor(None, job)
        blocked.add_done_callback(lambda done: settle(future, 0.0, done.exception()))
        return future

    def stop(self) -> None:
        pass


class SimNode:
    """One node through all its lives. What happens in a life happens on its loop, which dies with it."""

    def __init__(self, shape: Shape, disk: SimDisk, around: Surroundings) -> None:
        self.id = shape.driver.node_id
        self.shape = shape
        self.disk = disk
        self.store = SimStore()
        self.slow_sync = 0.0
        self.tick_length = 1.0
        self.clock_offset_us = 0
        self.applied = 0
        """What its machine has applied in this life."""
        self._around = around
        self._agenda = around.agenda
        self._checker = around.checker
        self._counts = around.counts
        self._random = stream(*around.seed, "node", self.id)
        self._lives = 0
        self._led_term = 0
        self._led_since = 0
        self._first_index = 0
        self._last_index = 0
        self._led_members: Membership | None = None
        self._heard: dict[int, int] = {}
        self._is_broken: BaseException | None = None
        self.loop: SimLoop
        self.driver: MultiRaft
        self.replica: SimReplica
        self.peers: SimPeers
        self.is_up = False

    @property
    def core(self) -> Core | None:
        """The core; None while the node is down or starting."""
        group = self.driver._groups.get(GROUP) if self.is_up else None
        return group.core if group is not None else None

    @property
    def leads(self) -> bool:
        """Whether this node believes to lead."""
        core = self.core
        return core is not None and core.role is Role.LEADER

    @property
    def leads_its_callers(self) -> bool:
        """Whether this node believes to lead, and takes calls as a leader."""
        return self.is_up and self.driver.is_leader(GROUP)

    @property
    def is_installing(self) -> bool:
        """Whether a snapshot is being put into force here."""
        group = self.driver._groups.get(GROUP) if self.is_up else None
        return group is not None and group.is_installing

    @property
    def membership(self) -> Membership:
        """Who belongs to the group as far as this node knows; while it is down, as its disk will have it."""
        core = self.core
        if core is not None:
            return core.membership
        changes, base = self.disk.memberships(), self.disk.base()
        if changes:
            return changes[-1][1]
        return base.membership if base is not None else Membership.of(self.shape.voters, self.shape.learners)

    def clock_us(self) -> int:
        """What the wall clock of this node shows."""
        return EPOCH_US + int(self._agenda.now * TICK_US) + self.clock_offset_us

    # Life.

    def start(self) -> None:
        """Starts from what the disk holds."""
        self._lives += 1
        self._led_term = 0
        self._last_index = 0
        self._heard = {}
        self.applied = 0
        self.is_up = True
        self.salvage()
        self.loop = SimLoop(self._agenda, self._observe, self._block)
        self.set_tick_length(self.tick_length)
        log = BoundedLog(self.disk, GROUP)
        log.bounds = self.shape.core_bounds
        self.replica = SimReplica(self.store, self.shape.rows_a_chunk, self._applied)
        self.peers = SimPeers(self._send, self._connected)
        builder = EntryBuilder(self.clock_us, lambda: self._random.getrandbits(64))
        spec = GroupSpec(
            self.replica, builder, self.shape.preferred_leader, self.shape.voters, self.shape.learners
        )
        config = replace(self.shape.driver, seed=self._random.getrandbits(60) + 1)
        self.driver = MultiRaft(config, log, self.peers, {GROUP: spec}, fatal=self._fatal)  # type: ignore[arg-type]
        self.driver._sync_thread = SimSyncThread(self.loop)  # type: ignore[assignment]
        self.loop.enter(lambda: self.loop.create_task(self._run()))
        self.loop.later(self._random.uniform(0, EXPIRY_TICKS), self._expire)

    async def _run(self) -> None:
        try:
            await self.driver.start()
        except Exception as error:
            self._fatal(error)

    def _fatal(self, error: BaseException) -> None:
        """The process would end here, of a bug: no fault that is simulated is a reason to."""
        self._is_broken = error

    def salvage(self) -> None:
        """What opening a damaged log or state does: nothing of it is used, and the replica is not whole."""
        disk, store = self.disk, self.store
        if store.is_damaged:
            store.wipe()  # The driver finds out whether the log can make up for it.
        if not disk.is_damaged:
            return
        self._counts["salvages"] += 1
        state, meta = disk.hard_state, store.durable.meta
        known = state or HardState(0, 0, 0)
        mark = GroupMark(GROUP, known.term, known.vote, 0, 0, known.is_whole, has_state=state is not None)
        disk.wipe()
        begin_again(SimLog(disk, GROUP), {GROUP: mark}, {GROUP: meta} if meta is not None else {})  # type: ignore[arg-type]

    def crash(self, is_power_lost: bool) -> None:
        """Loses everything that was not synced; a batch under way is torn, or just got through."""
        self.add_counts()
        self.is_up = False
        self.loop.die()
        self.disk.crash(self._random.random() < 0.5, is_power_lost)
        self.store.crash(self._random)

    def end(self) -> None:
        """Nothing happens here any more."""
        if self.is_up:
            self.loop.die()

    def add_counts(self) -> None:
        """What the driver counted in this life."""
        for name in COUNTED:
            self._counts[name.removesuffix("_total")] += getattr(self.driver.counters, name)

    def set_tick_length(self, length: float) -> None:
        """How long its ticks are, in those of the world."""
        self.tick_length = length
        if self.is_up:
            self.loop.speed = length

    def _block(self, function: Callable[[], Any]) -> tuple[float, Callable[[], Any]]:
        """A thread: syncs and flushes take a moment, sometimes a long one."""
        delay = self._random.uniform(0.001, 0.2)
        if self._random.random() < self.slow_sync:
            delay += self._random.uniform(1, 15)
        return delay, begin_blocking(function)

    # What comes in.

    def receive(self, message: Message) -> None:
        """A message arrives."""
        if self.is_up:
            self.loop.enter(lambda: self._receive(message))

    def _receive(self, message: Message) -> None:
        core = self.core
        if core is not None:
            self._heard[message.sender] = self.driver._ticks_total
            self.peers.deliver(message.sender, [(GROUP, message)])

    def write(self, kind: int, request: Any, answer: Answer) -> None:
        """A client's write, as it comes over the wire."""
        raw: bytes = request.SerializeToString()
        parsed = type(request).FromString(raw)
        if self.is_up:
            self.loop.enter(lambda: self._propose(Command(kind, parsed.context.agent, parsed), raw, answer))

    def _propose(self, command: Command, raw: bytes, answer: Answer) -> None:
        data = encode_command(command.kind, command.agent, raw)
        self._await(
            lambda: self.driver.propose(GROUP, data, command), lambda applied: answer(applied.reply), answer
        )

    def read(self, name: str, request: Any, answer: Answer) -> None:
        """A client's linearizable read."""
        if self.is_up:
            self.loop.enter(lambda: self._read(name, request, answer))

    def _read(self, name: str, request: Any, answer: Answer) -> None:
        index_min = self._checker.commit_index()

        def serve(applied: int) -> None:
            self._checker.serves_read(self.id, self.replica.machine.applied_index, applied, index_min)
            self._counts["reads served"] += 1
            answer(self.replica.machine.query(name, request))

        self._await(lambda: self.driver.read_barrier(GROUP), serve, answer)

    def change(self, membership: Membership) -> None:
        """An operator changes who belongs to the group."""

        def done(_index: int) -> None:
            self._counts["changes of membership"] += 1

        if self.is_up:
            self.loop.enter(
                lambda: self._await(
                    lambda: self.driver.change_membership(GROUP, membership), done, lambda error: None
                )
            )

    def _await(
        self, begin: Callable[[], asyncio.Future[Any]], succeed: Answer, fail: Callable[[Exception], None]
    ) -> None:
        """Begins something at the driver; what comes of it is told unless the node dies before."""

        def done(future: asyncio.Future[Any]) -> None:
            error = future.exception()
            if error is None:
                succeed(future.result())
                return
            self._counts[f"failed as {type(error).__name__}"] += 1
            assert isinstance(error, Exception)
            fail(error)

        try:
            begin().add_done_callback(done)
        except ClusterError as error:
            self._counts[f"refused as {type(error).__name__}"] += 1
            fail(error)

    def transfer(self, to: int) -> None:
        """An operator moves leadership."""

        def ask() -> None:
            try:
                self.driver.transfer_leadership(GROUP, to)
            except ClusterError:
                return
            self._counts["transfers"] += 1

        if self.leads:
            self.loop.enter(ask)

    def lose_connection(self, peer: int) -> None:
        """The transport noticed that a connection broke."""
        if self.is_up:
            self.loop.enter(lambda: self.peers.disconnected(peer))

    def _expire(self) -> None:
        """Proposes what is due, as the leader's background tasks do."""
        if self.leads:
            for command in self.replica.machine.due(self.clock_us(), 100):
                self._counts["evictions" if command.kind == KIND_EVICT_MEMORIES else "expiries"] += 1
                self._propose(command, command.request.SerializeToString(), lambda reply: None)
            over = receipts_over(self.replica.machine, self.clock_us(), 100)
            for command in (*self._receipts(), *over):
                self._counts["receipts"] += 1
                self._propose(command, command.request.SerializeToString(), lambda reply: None)
        self.loop.later(EXPIRY_TICKS * self.tick_length, self._expire)

    def _receipts(self) -> Iterator[Command]:
        """The receipts of recalls that find the newest memories."""
        machine = self.replica.machine
        for name, space in machine.spaces.by_name.items():
            store = space.memories
            if store is not None and store.items:
                named = [(item.id, item.version) for item in store.items[-3:]]
                id = f"{self.id}-{machine.applied_index}"
                request = RecordRecallsCommand(namespace=name, ids=[id], receipts=[body_of(named, "run")])
                yield Command(KIND_RECORD_RECALLS, "", request)

    # What goes out, and what is seen.

    def _send(self, message: Message) -> None:
        self._checker.sends(message, self.disk, self.core)
        self._around.network.send(message)

    def _connected(self) -> frozenset[int]:
        cut = self._around.network.cut
        return frozenset(
            node
            for node in self._around.network.nodes()
            if node != self.id and (node, self.id) not in cut and (self.id, node) not in cut
        )

    def _applied(self, index: int, data: bytes | None, applied_hash: bytes) -> None:
        self._observe()
        self._checker.applied(self.id, index, data, applied_hash)

    def _observe(self) -> None:
        """After everything that the process did."""
        if isinstance(self._is_broken, Violation):
            raise self._is_broken
        if self._is_broken is not None:
            raise Violation(f"node {self.id} gives up: {self._is_broken!r}") from self._is_broken
        core = self.core
        if core is None:
            return
        if core.role is Role.LEADER:
            if core.membership is not self._led_members:
                self._led_members = core.membership
                self._led_since = self.driver._ticks_total
            if core.term != self._led_term:
                self._led_term = core.term
                self._led_since = self.driver._ticks_total
                self._counts["elections"] += 1
                self._checker.leads(self.id, core)
            self._check_heard(core)
        self._checker.commits(self.id, core)
        if core.log.last_index < self._last_index:
            self._counts["truncations"] += 1
        self._last_index = core.log.last_index
        if core.log.first_index != self._first_index:
            self._first_index = core.log.first_index
            self._checker.knows_members(self.id, core)
        self.applied = self.driver.applied(GROUP)

    def _check_heard(self, core: Core) -> None:
        """A leader hears a quorum, or stops calling itself one after two election timeouts (thesis §6.2)."""
        since = self.driver._ticks_total - 2 * core.config.election_ticks - 1
        if self._led_since > since:
            return
        voters = core.membership.voters
        heard = [voter for voter in voters if voter == self.id or self._heard.get(voter, -1) >= since]
        check(
            len(heard) > len(voters) // 2,
            f"node {self.id} still leads, though it heard only {heard} of {voters} for long",
        )


def is_refusal(reply: object) -> bool:
    """Whether an answer is an error of any kind."""
    return isinstance(reply, Refused | ClusterError)

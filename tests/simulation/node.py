"""A simulated node: the real core, group and machine, driven as the real driver drives them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from memraft_cluster.driver import DriverConfig, GroupSpec
from memraft_cluster.errors import ClusterError
from memraft_cluster.group import Group
from memraft_cluster.raft import BadMessage, Config, Core, Message, Ready, Role, SnapshotMeta
from memraft_server.entries import EntryBuilder, encode_command
from memraft_server.machine import Command, Refused
from tests.simulation.agenda import TICK_US, Action, Agenda, SimLoop, stream
from tests.simulation.checker import Checker, check
from tests.simulation.disk import SimDisk
from tests.simulation.network import SimNetwork
from tests.simulation.replica import SimReplica, SimStore

GROUP = 1
EPOCH_US = 1_700_000_000_000_000

Answer = Callable[[Any], None]
"""Given a response, or the `Refused` or `ClusterError` that came instead."""


@dataclass(frozen=True)
class Shape:
    """How one node is set up. Bounds are small, so that windows fill and pages turn within one run."""

    config: Config
    entry_bytes_target: int = 20 << 10
    entries_inflight_target: int = 4
    outcome_wait_ms: int = 1_000
    save_ticks: float = 20.0
    """How often the machine's state is saved and flushed."""

    def driver_config(self) -> DriverConfig:
        return DriverConfig(
            node_id=self.config.id,
            peers=(self.config.id,),
            tick_ms=TICK_US // 1000,
            entry_bytes_target=self.entry_bytes_target,
            entries_inflight_target=self.entries_inflight_target,
            outcome_wait_ms=self.outcome_wait_ms,
        )


@dataclass
class Surroundings:
    """What all nodes of a world share."""

    agenda: Agenda
    network: SimNetwork
    checker: Checker
    seed: tuple[object, ...]
    counts: Counter[str] = field(default_factory=Counter)


class SimNode:
    """Runs one replica. A Ready takes time: its sync ends some ticks later, and a crash may come first."""

    def __init__(self, shape: Shape, disk: SimDisk, around: Surroundings) -> None:
        self.id = shape.config.id
        self.shape = shape
        self.disk = disk
        self.store = SimStore()
        self.slow_sync = 0.0
        self.tick_length = 1.0
        self.clock_offset_us = 0
        self._around = around
        self._agenda = around.agenda
        self._network = around.network
        self._checker = around.checker
        self._counts = around.counts
        self._loop = SimLoop(around.agenda)
        self._random = stream(*around.seed, "node", self.id)
        self._life = 0
        self._ticks = 0
        self._is_paused = False
        self._is_working = False
        self._backlog: list[Action] = []
        self._leading_term = 0
        self._led_since = 0
        self._heard: dict[int, int] = {}
        self._unsaved: Any = None
        self.core: Core | None = None
        self.group: Group
        self.replica: SimReplica
        self.start()

    @property
    def is_up(self) -> bool:
        """Whether the process lives; it may be paused."""
        return self.core is not None

    @property
    def leads(self) -> bool:
        """Whether this node believes to lead."""
        return self.core is not None and self.core.role is Role.LEADER

    @property
    def applied(self) -> int:
        """The last entry that its machine has seen; 0 while it is down."""
        return self.group.applied if self.core is not None else 0

    def clock_us(self) -> int:
        """What the wall clock of this node shows."""
        return EPOCH_US + int(self._agenda.now * TICK_US) + self.clock_offset_us

    # Life.

    def start(self) -> None:
        """Starts from what the disk holds: the machine's state, then the log behind it."""
        self._life += 1
        self._leading_term = 0
        self._is_working = False
        self._unsaved = None
        self._heard = {}
        self.replica = SimReplica(self.store, self._applied)
        applied = self._replay()
        self.core = core = Core(self.shape.config, self.disk, self.disk.hard_state, applied)
        spec = GroupSpec(self.replica, EntryBuilder(self.clock_us, lambda: self._random.getrandbits(64)))
        self.group = Group(GROUP, spec, core, self.shape.driver_config().group_limits(), self._loop)
        self._later(self._random.random(), self._tick)
        self._later(self._random.uniform(0, self.shape.save_ticks), self._save)
        self._pump()

    def _replay(self) -> int:
        """Applies what is committed on this disk, as a start does, or leaves some of it to the core."""
        applied = self.store.index
        commit = self.disk.hard_state.commit if self.disk.hard_state is not None else 0
        if commit > applied and self._random.random() < 0.7:
            entries = self.disk.entries(applied + 1, commit + 1, 1 << 40)
            self._checker.applies(self.id, applied + 1, entries)
            for entry in entries:
                if entry.data and not entry.kind:
                    self.replica.apply(entry.index, entry.data, None)
            applied = commit
        return applied

    def crash(self, is_power_lost: bool) -> None:
        """Loses everything that was not synced; a batch under way is torn, or just got through."""
        self.core = None
        self._life += 1
        self._is_paused = False
        self._backlog.clear()
        self.disk.crash(self._random.random() < 0.5, is_power_lost)

    def pause(self, ticks: float) -> None:
        """The process stands still, then goes on as if nothing had been; what came meanwhile waits."""
        if self.core is None or self._is_paused:
            return
        self._is_paused = True
        life = self._life

        def resume() -> None:
            if self._life == life:
                self._is_paused = False
                backlog, self._backlog = self._backlog, []
                for action in backlog:
                    self._unless_dead(life, action)()

        self._agenda.schedule(ticks, resume)

    def _unless_dead(self, life: int, action: Action) -> Action:
        """The action, if the node lives the same life then; after a pause, if it is in one."""

        def run() -> None:
            if self._life != life or self.core is None:
                return
            if self._is_paused:
                self._backlog.append(action)
            else:
                action()

        return run

    def _later(self, delay: float, action: Action) -> None:
        self._agenda.schedule(delay, self._unless_dead(self._life, action))

    def _now(self, action: Action) -> None:
        self._unless_dead(self._life, action)()

    # What comes in.

    def _tick(self) -> None:
        assert self.core is not None
        self._ticks += 1
        self.core.tick()
        self.group.expire(self._agenda.now * TICK_US / 1e6)
        self._check_heard()
        self._pump()
        self._later(self._random.uniform(0.9, 1.1) * self.tick_length, self._tick)

    def _check_heard(self) -> None:
        """A leader hears a quorum, or stops calling itself one after two election timeouts (thesis §6.2), or
        three when a transfer of leadership came between."""
        core = self.core
        assert core is not None
        if core.role is not Role.LEADER:
            return
        since = self._ticks - 3 * self.shape.config.election_ticks - 1
        if self._led_since > since:
            return
        voters = core.membership.voters
        heard = [voter for voter in voters if voter == self.id or self._heard.get(voter, -1) >= since]
        check(
            len(heard) >= len(voters) // 2 + 1,
            f"node {self.id} still leads, though it heard only {heard} of {voters} for long",
        )

    def receive(self, message: Message) -> None:
        """A message arrives."""
        self._now(lambda: self._step(message))

    def _step(self, message: Message) -> None:
        core = self.core
        assert core is not None
        before = core.log.last_index
        self._heard[message.sender] = self._ticks
        core.step(message)
        self.group.heard(message, self._agenda.now * TICK_US / 1e6)
        if core.log.last_index < before:
            self._counts["truncations"] += 1
        self._pump()

    def receive_garbage(self, message: Message) -> None:
        """A message no correct peer sends is refused and changes nothing."""
        if self.core is not None:
            try:
                self.core.step(message)
            except BadMessage:
                self._counts["bad messages refused"] += 1

    def write(self, kind: int, request: Any, answer: Answer) -> None:
        """A client's write, as it comes over the wire."""
        raw: bytes = request.SerializeToString()
        parsed = type(request).FromString(raw)
        self._now(lambda: self._propose(Command(kind, parsed.context.agent, parsed), raw, answer))

    def _propose(self, command: Command, raw: bytes, answer: Answer) -> None:
        data = encode_command(command.kind, command.agent, raw)
        self._await(lambda: self.group.propose(data, command), lambda applied: answer(applied.reply), answer)

    def read(self, name: str, request: Any, answer: Answer) -> None:
        """A client's linearizable read."""
        self._now(lambda: self._read(name, request, answer))

    def _read(self, name: str, request: Any, answer: Answer) -> None:
        index_min = self._checker.commit_index()

        def serve(applied: int) -> None:
            self._checker.serves_read(self.id, self.replica.machine.applied_index, applied, index_min)
            self._counts["reads served"] += 1
            answer(self.replica.machine.query(name, request))

        self._await(self.group.read_barrier, serve, answer)

    def _await(
        self, begin: Callable[[], asyncio.Future[Any]], succeed: Answer, fail: Callable[[Exception], None]
    ) -> None:
        """Begins something at the group; what comes of it is told unless the node dies before."""
        life = self._life

        def done(future: asyncio.Future[Any]) -> None:
            error = future.exception()
            if error is not None:
                self._counts[f"failed as {type(error).__name__}"] += 1
                fail(error)  # type: ignore[arg-type]
            else:
                succeed(future.result())

        try:
            future = begin()
        except ClusterError as error:
            self._counts[f"refused as {type(error).__name__}"] += 1
            fail(error)
            return
        future.add_done_callback(lambda each: self._unless_dead(life, lambda: done(each))())
        self._pump()

    def transfer(self, to: int) -> None:
        """An operator moves leadership."""
        if self.core is not None and self.leads and not self._is_paused:
            try:
                self.core.transfer_leader(to)
            except BadMessage:
                return
            self._counts["transfers"] += 1
            self._pump()

    def lose_connection(self, peer: int) -> None:
        """The transport noticed that a connection broke."""
        if self.core is not None and not self._is_paused:
            self.core.report_unreachable(peer)
            self._pump()

    def _expire(self) -> None:
        """Proposes what is due, as the leader's background task does."""
        for command in self.replica.machine.due(self.clock_us(), 100):
            self._counts["expiries"] += 1
            self._propose(command, command.request.SerializeToString(), lambda reply: None)

    # What goes out.

    def _pump(self) -> None:
        """A turn of the driver, as far as it goes before the disk."""
        core = self.core
        assert core is not None
        if core.role is Role.LEADER and core.term != self._leading_term:
            self._leading_term = core.term
            self._led_since = self._ticks
            self._counts["elections"] += 1
            self._checker.leads(self.id, core)
        if not self._is_working:
            self.group.take_in()
        self._checker.commits(self.id, core)
        if not core.has_ready():
            return
        self._is_working = True
        ready = core.ready()
        self._send(ready.messages_before_sync)
        delay = 0.0
        if ready.must_sync:
            state = ready.hard_state if ready.hard_state is not None else self._unsaved
            self._unsaved = None
            self.disk.write(state, ready.entries)
            delay = self._random.uniform(0.001, 0.2)
            if self._random.random() < self.slow_sync:
                delay += self._random.uniform(1, 15)
        elif ready.hard_state is not None:
            self._unsaved = ready.hard_state
            if self._random.random() < 0.3:
                self.disk.note(ready.hard_state)
        self._later(delay, lambda: self._finish(ready))

    def _send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._checker.sends(message, self.disk, self.core)
            self._network.send(message)

    def _finish(self, ready: Ready) -> None:
        assert self.core is not None
        if ready.must_sync:
            self.disk.sync()
        self._send(ready.messages)
        self._checker.applies(self.id, self.group.applied + 1, ready.committed)
        self._is_working = False
        self.group.finish(ready, self._agenda.now * TICK_US / 1e6)
        self._pump()

    def _applied(self, index: int, applied_hash: bytes) -> None:
        self._checker.hashes(self.id, index, applied_hash)

    # The machine's state on disk.

    def _save(self) -> None:
        """Saves the state and flushes it, which takes a while; a crash before leaves the one before."""
        core = self.core
        assert core is not None
        if self.leads:
            self._expire()
        applied = self.group.applied
        if applied > max(self.store.index, self.disk.first_index() - 1):
            replica = self.replica
            meta = SnapshotMeta(applied, core.log.term(applied), core.membership)
            replica.save(meta)
            self._later(self._random.uniform(0.1, 3), replica.flush)
        self._later(self.shape.save_ticks, self._save)


def is_refusal(reply: object) -> bool:
    """Whether an answer is an error of any kind."""
    return isinstance(reply, Refused | ClusterError)

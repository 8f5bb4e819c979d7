"""A simulated node: the real core, driven as the real driver drives it, on a simulated disk and network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from memraft_cluster.raft import (
    BadMessage,
    Config,
    Core,
    Message,
    NotLeader,
    Overloaded,
    Ready,
    Role,
)
from tests.simulation.checker import Checker
from tests.simulation.disk import SimDisk
from tests.simulation.network import SimNetwork


class SimNode:
    """Runs one core. A Ready takes time: its sync ends some ticks later, and a crash may come first."""

    def __init__(
        self,
        config: Config,
        disk: SimDisk,
        network: SimNetwork,
        checker: Checker,
        random: Random,
        schedule: Callable[[float, Callable[[], None]], None],
        counts: Counter[str],
    ) -> None:
        self.id = config.id
        self.config = config
        self.disk = disk
        self.slow_sync = 0.0
        self.tick_length = 1.0
        self.applied = 0
        self._network = network
        self._checker = checker
        self._random = random
        self._schedule = schedule
        self._counts = counts
        self._life = 0
        self._is_paused = False
        self._backlog: list[Callable[[], None]] = []
        self._leading_term = 0
        self._proposed: dict[int, tuple[int, bytes]] = {}
        self._reads: dict[int, int] = {}
        self.reads_served = 0
        self.core: Core | None = None
        self.start()

    @property
    def leads(self) -> bool:
        """Whether this node believes to lead."""
        return self.core is not None and self.core.role is Role.LEADER

    def start(self) -> None:
        """Starts from what the disk holds. The machine's own state may be behind what was applied."""
        self._life += 1
        self._leading_term = 0
        self.applied = self._random.choice((0, self.applied, self._random.randint(0, self.applied)))
        self.core = Core(self.config, self.disk, self.disk.hard_state, self.applied)
        self._schedule(self._random.random(), self._unless_dead(self._life, self._tick))
        self._pump()

    def crash(self) -> None:
        """Loses everything that was not synced."""
        self.core = None
        self._life += 1
        self._is_paused = False
        self._backlog.clear()
        self._proposed.clear()
        self._reads.clear()
        self.disk.crash(is_pending_kept=self._random.random() < 0.5)

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

        self._schedule(ticks, resume)

    def _unless_dead(self, life: int, action: Callable[[], None]) -> Callable[[], None]:
        """The action, if the node lives the same life then; after a pause, if it is in one."""

        def run() -> None:
            if self._life != life or self.core is None:
                return
            if self._is_paused:
                self._backlog.append(action)
            else:
                action()

        return run

    def _tick(self) -> None:
        if self.core is not None:
            self.core.tick()
            self._pump()
            delay = self._random.uniform(0.9, 1.1) * self.tick_length
            self._schedule(delay, self._unless_dead(self._life, self._tick))

    def receive(self, message: Message) -> None:
        """A message arrives."""
        self._unless_dead(self._life, lambda: self._step(message))()

    def _step(self, message: Message) -> None:
        assert self.core is not None
        before = self.core.log.last_index
        self.core.step(message)
        if self.core.log.last_index < before:
            self._counts["truncations"] += 1
        self._pump()

    def propose(self, data: bytes) -> None:
        """A client's write; refusals are fine, silence is fine, a false acknowledgement is not."""
        if self.core is None or self._is_paused:
            return
        try:
            index = self.core.propose(data)
        except NotLeader:
            self._counts["refused as not leader"] += 1
        except Overloaded:
            self._counts["refused as overload"] += 1
        else:
            self._proposed[index] = (self.core.term, data)
        self._pump()

    def read(self, request_id: int) -> None:
        """A client's linearizable read."""
        if self.core is None or self._is_paused:
            return
        try:
            self.core.read_index(request_id)
        except (NotLeader, Overloaded):
            return
        self._reads[request_id] = self._checker.commit_index()
        self._pump()

    def transfer(self, to: int) -> None:
        """An operator moves leadership."""
        if self.core is not None and self.leads and not self._is_paused:
            self.core.transfer_leader(to)
            self._counts["transfers"] += 1
            self._pump()

    def lose_connection(self, peer: int) -> None:
        """The transport noticed that a connection broke."""
        if self.core is not None and not self._is_paused:
            self.core.report_unreachable(peer)
            self._pump()

    def _pump(self) -> None:
        core = self.core
        assert core is not None
        if core.role is Role.LEADER and core.term != self._leading_term:
            self._leading_term = core.term
            self._counts["elections"] += 1
            self._checker.leads(self.id, core)
        self._checker.commits(self.id, core)
        if not core.has_ready():
            return
        ready = core.ready()
        for message in ready.messages_before_sync:
            self._checker.sends(message, self.disk)
            self._network.send(message)
        # A write that need not be synced may as well never happen.
        is_written = ready.must_sync or (ready.hard_state is not None and self._random.random() < 0.3)
        self.disk.write(ready.hard_state if is_written else None, ready.entries)
        delay = self._random.uniform(0.001, 0.2) if is_written else 0.0
        if self._random.random() < self.slow_sync:
            delay += self._random.uniform(1, 15)
        self._schedule(delay, self._unless_dead(self._life, lambda: self._finish(ready)))

    def _finish(self, ready: Ready) -> None:
        core = self.core
        assert core is not None
        self.disk.sync()
        for message in ready.messages:
            self._checker.sends(message, self.disk)
            self._network.send(message)
        self._checker.applies(self.id, self.applied + 1, ready.committed)
        self.applied += len(ready.committed)
        for entry in ready.committed:
            term, data = self._proposed.pop(entry.index, (0, b""))
            if term == entry.term:
                self._checker.acknowledges(entry.index, data)
        for state in ready.read_states:
            self._checker.serves_read(self.id, state.index, self._reads.pop(state.request_id))
            self.reads_served += 1
        for request_id in ready.dropped_reads:
            del self._reads[request_id]
            self._counts["reads dropped"] += 1
        core.advance(ready)
        self._pump()

    def receive_garbage(self, message: Message) -> None:
        """A message no correct peer sends is refused and changes nothing."""
        if self.core is not None:
            try:
                self.core.step(message)
            except BadMessage:
                self._counts["bad messages refused"] += 1

"""One simulated cluster with its clients and what befalls it, all from one schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from memraft_cluster.raft import Config, Message
from tests.simulation.agenda import Agenda, stream
from tests.simulation.checker import Checker, check
from tests.simulation.clients import Client
from tests.simulation.disk import SimDisk
from tests.simulation.faults import FAULTS
from tests.simulation.history import check_history
from tests.simulation.network import SimNetwork
from tests.simulation.node import Shape, SimNode, Surroundings
from tests.simulation.schedule import ROUND_TICKS, Fault, Schedule

HEALTHY_TICKS_MAX = 300
EVENTS_MAX = 300_000
"""Some ten times what a busy round needs."""
CLIENTS = 4


class World:
    """A cluster of one to five nodes."""

    def __init__(self, schedule: Schedule | int, trace: Callable[[str], None] | None = None) -> None:
        self.schedule = schedule if isinstance(schedule, Schedule) else Schedule.of(schedule)
        self._trace = trace
        seed, noise = self.schedule.seed, self.schedule.noise
        self.agenda = Agenda()
        self.network = SimNetwork(self.agenda, seed, noise)
        self.network.deliver = self._deliver
        self.round = 0
        shape = stream(seed, "shape")
        ids = tuple(range(1, shape.choice((1, 2, 3, 3, 3, 5, 5, 5)) + 1))
        self.disks = {node: SimDisk() for node in ids}
        self.checker = Checker(self.disks)
        around = Surroundings(self.agenda, self.network, self.checker, (seed, noise))
        self.counts: Counter[str] = around.counts
        self.nodes = {
            node: SimNode(make_shape(shape, node, ids, seed), self.disks[node], around) for node in ids
        }
        self.clients = [
            Client(number, self.nodes, self.agenda, self.network, seed, noise) for number in range(CLIENTS)
        ]

    def _deliver(self, message: Message) -> None:
        self.counts["messages"] += 1
        self.counts[message.type.name] += 1
        if message.reject:
            self.counts["rejections"] += 1
        node = self.nodes.get(message.to)
        if node is not None:
            if self._trace is not None:
                self._trace_message(node, message)
            node.receive(message)

    def _trace_message(self, node: SimNode, message: Message) -> None:
        assert self._trace is not None
        role = node.core.role.name if node.core is not None else "DOWN"
        numbers = " ".join(
            f"{name}={getattr(message, name)}"
            for name in ("term", "log_term", "index", "commit", "hint_index", "hint_term", "context")
            if getattr(message, name)
        )
        entries = f" entries={len(message.entries)}" if message.entries else ""
        refused = " REJECT" if message.reject else ""
        self._trace(
            f"{self.agenda.now:8.2f}  {message.sender} > {message.to} ({role})  {message.type.name}{refused} "
            f"{numbers}{entries}"
        )

    def run(self) -> None:
        """Bad times, then good times, in which the cluster has to recover without help; some rounds of it."""
        for number in range(self.schedule.rounds):
            self.round = number
            start = self.agenda.now
            for fault in self.schedule.faults:
                if fault.round == self.round:
                    self.agenda.schedule(start + fault.tick - self.agenda.now, self._happening(fault))
            self._let_pass(ROUND_TICKS, lambda: False)
            self._heal()
            has_recovered = self._recovery()
            self._let_pass(HEALTHY_TICKS_MAX, has_recovered)
            check(has_recovered(), f"the cluster did not recover after round {self.round}: {self._why()}")
        for client in self.clients:
            client.stop()
        self._finish()

    def _happening(self, fault: Fault) -> Callable[[], None]:
        random = stream(self.schedule.seed, "fault", fault.number)

        def happen() -> None:
            if self._trace is not None:
                self._trace(f"{self.agenda.now:8.2f}  ---- {fault.name} ({fault.number})")
            FAULTS[fault.name](self, random)

        return happen

    def _let_pass(self, ticks_max: float, is_done: Callable[[], bool]) -> None:
        is_calm = self.agenda.run(ticks_max, is_done, EVENTS_MAX)
        check(is_calm, f"{EVENTS_MAX} events in {ticks_max} ticks: somebody spins")

    def restart(self, node: SimNode) -> None:
        """Starts a node that is down."""
        if not node.is_up:
            node.start()

    def _heal(self) -> None:
        self.network.heal()
        for node in self.nodes.values():
            node.slow_sync = 0.0
            node.tick_length = 1.0
            self.restart(node)

    def _recovery(self) -> Callable[[], bool]:
        """All nodes have applied writes made after the faults had gone, and all clients were answered."""
        target = self.checker.commit_index() + 10
        answered = [client.answered for client in self.clients]

        def has_recovered() -> bool:
            return all(node.applied >= target for node in self.nodes.values()) and all(
                client.answered > before for client, before in zip(self.clients, answered, strict=True)
            )

        return has_recovered

    def _why(self) -> str:
        nodes = [
            f"node {node.id} {node.core.role.name} of term {node.core.term}, applied {node.applied}"
            for node in self.nodes.values()
            if node.core is not None
        ]
        return f"committed {self.checker.commit_index()}, " + "; ".join(nodes)

    def _finish(self) -> None:
        best = max(self.nodes.values(), key=lambda node: node.applied)
        check_history(self.clients, self.checker.committed[: best.applied], best.replica.machine)
        self.counts["committed"] += self.checker.commit_index()
        self.counts["acknowledged"] += sum(len(client.acknowledged) for client in self.clients)
        self.counts["answered"] += sum(client.answered for client in self.clients)
        self.counts["unknown"] += sum(
            operation.outcome == "info" for client in self.clients for operation in client.history
        )
        self.counts["messages lost"] += self.network.lost
        self.counts["messages duplicated"] += self.network.duplicated


def make_shape(random: Random, node: int, ids: tuple[int, ...], seed: int) -> Shape:
    """How a node is set up. Small bounds, so that windows fill, pages turn and the cache runs out."""
    config = Config(
        id=node,
        voters=ids,
        election_ticks=random.choice((5, 10)),
        heartbeat_ticks=random.choice((1, 2)),
        inflight_messages_max=random.choice((1, 4, 64)),
        inflight_bytes_max=random.choice((400, 8000)),
        entry_batch_bytes_max=random.choice((1, 400, 8000)),
        proposals_bytes_max=random.choice((2000, 20000)),
        committed_bytes_max=random.choice((1, 600, 20000)),
        cache_bytes_max=random.choice((0, 1000, 20000)),
        commit_notices=random.random() < 0.7,
        seed=seed,
        preferred=node == 1 and random.random() < 0.5,
    )
    return Shape(
        config,
        entry_bytes_target=random.choice((200, 20_000)),
        entries_inflight_target=random.choice((1, 4, 64)),
        outcome_wait_ms=random.choice((200, 1000)),
        save_ticks=random.choice((5.0, 20.0, 100.0)),
    )

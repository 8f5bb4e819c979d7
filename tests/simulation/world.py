"""One simulated cluster with its clients and what befalls it, all from one schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from random import Random

from memraft_cluster.driver import DriverConfig
from memraft_cluster.raft import Membership, Message, Role
from tests.simulation.agenda import TICK_US, Agenda, stream
from tests.simulation.checker import Checker, check
from tests.simulation.clients import Client
from tests.simulation.disk import SimDisk
from tests.simulation.faults import FAULTS
from tests.simulation.history import check_history
from tests.simulation.network import SimNetwork
from tests.simulation.node import Shape, SimNode, Surroundings
from tests.simulation.process import simulated
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
        self.is_faulty = True
        shape = stream(seed, "shape")
        voters = tuple(range(1, shape.choice((1, 2, 3, 3, 3, 4, 4, 5, 5)) + 1))
        self.founders = voters
        ids = range(1, len(voters) + shape.choice((0, 1, 2)) + 1)
        self.disks = {node: SimDisk() for node in ids}
        self.checker = Checker(self.disks)
        around = Surroundings(self.agenda, self.network, self.checker, (seed, noise))
        self.counts: Counter[str] = around.counts
        window = shape.choice((1, 4))
        learners = tuple(node for node in ids if node not in voters and shape.random() < 0.4)
        self.nodes = {
            node: SimNode(make_shape(shape, node, voters, learners, window), self.disks[node], around)
            for node in ids
        }
        self.network.nodes = lambda: [node.id for node in self.nodes.values() if node.is_up]
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
        with simulated(self.agenda, stream(self.schedule.seed, self.schedule.noise, "secrets")):
            try:
                self._run()
            finally:
                for node in self.nodes.values():
                    node.end()

    def _run(self) -> None:
        for node in self.nodes.values():
            node.start()
        for number in range(self.schedule.rounds):
            self.round = number
            self._set_busy(True)
            self.is_faulty = True
            start = self.agenda.now
            for fault in self.schedule.faults:
                if fault.round == self.round:
                    self.agenda.schedule(start + fault.tick - self.agenda.now, self._happening(fault))
            self._let_pass(ROUND_TICKS, lambda: False)
            self.is_faulty = False
            self._heal()
            self._set_busy(False)
            has_recovered = self._recovery()
            self._let_pass(HEALTHY_TICKS_MAX, has_recovered)
            check(has_recovered(), f"the cluster did not recover after round {self.round}: {self._why()}")
        for client in self.clients:
            client.stop()
        self._finish()

    def _set_busy(self, is_busy: bool) -> None:
        """In good times there is time to catch up: windows are far too small for the load of bad times."""
        for client in self.clients:
            client.is_busy = is_busy

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

    def cut(self, links: set[tuple[int, int]], ticks: float) -> None:
        """Cuts these links and no others, for so long or until something else is cut."""
        self.network.cut = links

        def heal() -> None:
            if self.network.cut is links:
                self.network.cut = set()

        self.agenda.schedule(ticks, heal)

    def withhold(self, which: Callable[[Message], bool], ticks: float) -> None:
        """These messages and no others do not arrive, for so long or until others do not."""
        self.network.withholds = which

        def heal() -> None:
            if self.network.withholds is which:
                self.network.withholds = None

        self.agenda.schedule(ticks, heal)

    def restart(self, node: SimNode) -> None:
        """Starts a node that is down."""
        if not node.is_up:
            node.start()

    def _heal(self) -> None:
        self.network.heal()
        for node in self.nodes.values():
            node.slow_sync = 0.0
            node.set_tick_length(1.0)
            self.restart(node)

    def _recovery(self) -> Callable[[], bool]:
        """All members have applied writes made after the faults had gone and are whole, and all clients were
        answered."""
        target = self.checker.commit_index() + 10
        answered = [client.answered for client in self.clients]

        def has_recovered() -> bool:
            members = self.membership().members
            return (
                bool(members)
                and all(self.nodes[member].applied >= target for member in members)
                and all(self.is_whole(member) for member in members)
                and all(
                    client.answered > before for client, before in zip(self.clients, answered, strict=True)
                )
            )

        return has_recovered

    def replace_disk(self, node: SimNode) -> None:
        """A node that is down gets another disk, with nothing on it."""
        node.disk.wipe()
        node.store.wipe()
        self.checker.lost_disk(node.id)

    # Who is who.

    def membership(self) -> Membership:
        """Who belongs to the group as far as the newest leader knows, or the node that knows most."""
        cores = [node.core for node in self.nodes.values() if node.core is not None]
        if not cores:
            return Membership(())
        best = max(cores, key=lambda core: (core.role is Role.LEADER, core.term, core.log.last_index))
        return best.membership

    def is_whole(self, node: int) -> bool:
        """Whether a node has, durably, all that it ever acknowledged."""
        state = self.disks[node].hard_state
        is_damaged = self.disks[node].is_damaged or self.nodes[node].store.is_damaged
        return state is not None and state.is_whole and not is_damaged

    def can_elect(self, voters: Collection[int]) -> bool:
        """Whether most of these voters are whole."""
        return 2 * sum(self.is_whole(voter) for voter in voters) > len(voters)

    def is_member(self, node: int) -> bool:
        """Whether any other node takes this one for a member, be it up or down."""
        return any(node in each.membership for each in self.nodes.values() if each.id != node)

    def may_lose(self, node: int) -> bool:
        """Whether the loss of this node's disk leaves a majority that is whole, whatever any log says about
        who votes; and, of those that the group began with, one that is whole and has something of it."""
        memberships = [each.membership for each in self.nodes.values() if each.membership.voters]
        for disk in self.disks.values():
            base = disk.base()
            memberships += [membership for _, membership in disk.memberships()]
            memberships += [base.membership] if base is not None else []
        founders = [each for each in self.nodes if each in self.founders and each != node]
        return all(self.can_elect_without(membership.voters, node) for membership in memberships) and any(
            self.is_whole(founder) and self.disks[founder].last_index() for founder in founders
        )

    def can_elect_without(self, voters: Collection[int], node: int) -> bool:
        """Whether most of these voters are whole and not `node`."""
        whole = [voter for voter in voters if voter != node and self.is_whole(voter)]
        return 2 * len(whole) > len(voters)

    def _why(self) -> str:
        nodes = [
            f"node {node.id} {node.core.role.name} of term {node.core.term}, applied {node.applied}"
            + ("" if self.is_whole(node.id) else ", not whole")
            for node in self.nodes.values()
            if node.core is not None
        ]
        return f"{self.membership()}; committed {self.checker.commit_index()}, " + "; ".join(nodes)

    def _finish(self) -> None:
        for node in self.nodes.values():
            node.add_counts()
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


def make_shape(
    random: Random, node: int, voters: tuple[int, ...], learners: tuple[int, ...], window: int
) -> Shape:
    """How a node is set up. Small bounds, so that windows fill, pages turn and logs are cut."""
    driver = DriverConfig(
        node_id=node,
        tick_ms=TICK_US // 1000,
        election_ticks=random.choice((5, 10)),
        heartbeat_ticks=random.choice((1, 2)),
        entry_bytes_target=random.choice((200, 20_000)),
        entries_inflight_target=random.choice((1, 4, 64)),
        committed_bytes_max=random.choice((1, 600, 20_000)),
        proposals_bytes_max=random.choice((2_000, 20_000)),
        outcome_wait_ms=random.choice((200, 1_000)),
        sync_in_thread=True,
        commit_notices=random.random() < 0.7,
        rebalance=random.random() < 0.5,
        save_interval_ms=random.choice((100, 500, 2_000)),
        save_facts_max=random.choice((10, 1_000)),
        log_keep_bytes=random.choice((1_000, 5_000, 1_000_000)),
        log_keep_entries=random.choice((1, 20)),
        snapshots_max=random.choice((1, 2)),
        snapshot_window_chunks=window,
        snapshot_resend_ms=random.choice((200, 500)),
        snapshot_idle_ms=random.choice((1_000, 3_000)),
    )
    bounds = {
        "inflight_messages_max": random.choice((1, 4, 64)),
        "inflight_bytes_max": random.choice((400, 8_000)),
        "entry_batch_bytes_max": random.choice((1, 400, 8_000)),
        "cache_bytes_max": random.choice((0, 1_000, 20_000)),
    }
    preferred = random.choice((0, 0, voters[0]))
    if node not in voters:
        voters = learners = ()
    return Shape(driver, bounds, voters, learners, random.choice((5, 50)), preferred)

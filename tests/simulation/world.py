"""One simulated cluster and what befalls it, all from one seed.

Time is counted in ticks. Events wait in one heap; whoever wants something to happen later schedules it. The
issue that brings snapshots, membership and the real machine adds its faults to `FAULTS`, its checks to
`Checker`, and its state to `SimNode`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from random import Random

from memraft_cluster.raft import Config, Message, MessageType
from tests.simulation.checker import Checker, check
from tests.simulation.disk import SimDisk
from tests.simulation.network import SimNetwork
from tests.simulation.node import SimNode

FAULTY_TICKS = 400
HEALTHY_TICKS_MAX = 400
EVENTS_MAX = 500_000
"""Some ten times what a busy run needs."""


class World:
    """A cluster of one to five nodes with clients and bad luck."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.now = 0.0
        self.counts: Counter[str] = Counter()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._written = 0
        self._asked = 0
        self.is_faulty = True
        self._cut_until = 0.0
        ids = tuple(range(1, random.choice((1, 2, 3, 3, 3, 5, 5, 5)) + 1))
        self.network = SimNetwork(random, self.schedule)
        self.network.deliver = self._deliver
        self.disks = {node: SimDisk() for node in ids}
        self.checker = Checker(self.disks)
        self.nodes = {node: self._make_node(node, ids, seed) for node in ids}

    def _make_node(self, node: int, ids: tuple[int, ...], seed: int) -> SimNode:
        random = self.random
        # Small bounds, so that windows fill, pages turn and the cache runs out within one run.
        config = Config(
            id=node,
            voters=ids,
            election_ticks=random.choice((5, 10)),
            heartbeat_ticks=random.choice((1, 2)),
            inflight_messages_max=random.choice((1, 4, 64)),
            inflight_bytes_max=random.choice((200, 4000)),
            entry_batch_bytes_max=random.choice((1, 150, 4000)),
            proposals_bytes_max=random.choice((1000, 5000)),
            committed_bytes_max=random.choice((1, 300, 10000)),
            cache_bytes_max=random.choice((0, 500, 10000)),
            commit_notices=random.random() < 0.7,
            seed=seed,
            preferred=node == 1 and random.random() < 0.5,
        )
        return SimNode(
            config, self.disks[node], self.network, self.checker, random, self.schedule, self.counts
        )

    def schedule(self, delay: float, action: Callable[[], None]) -> None:
        """Runs `action` after `delay` ticks."""
        self._scheduled += 1
        heapq.heappush(self._heap, (self.now + delay, self._scheduled, action))

    def _deliver(self, message: Message) -> None:
        self.counts["messages"] += 1
        self.counts[message.type.name] += 1
        if message.reject:
            self.counts["rejections"] += 1
        self.nodes[message.to].receive(message)

    def run(self) -> None:
        """Bad times, then good times, in which the cluster has to recover without help."""
        self._client()
        self._misfortune()
        self._run_until(lambda: False, FAULTY_TICKS)
        self._heal()
        self._run_until(self._has_converged, HEALTHY_TICKS_MAX)
        check(self._has_converged(), "the cluster did not recover when all faults had gone")
        self.checker.finish()
        self.counts["acknowledged"] += len(self.checker.acknowledged)
        self.counts["committed"] += self.checker.commit_index()
        self.counts["reads served"] += sum(node.reads_served for node in self.nodes.values())
        self.counts["messages lost"] += self.network.lost
        self.counts["messages duplicated"] += self.network.duplicated

    def _run_until(self, is_done: Callable[[], bool], ticks_max: float) -> None:
        end = self.now + ticks_max
        events_left = EVENTS_MAX
        while self._heap and self._heap[0][0] < end and not is_done():
            self.now, _, action = heapq.heappop(self._heap)
            action()
            events_left -= 1
            check(events_left > 0, f"{EVENTS_MAX} events in {ticks_max} ticks: somebody spins")

    # Clients.

    def _client(self) -> None:
        """Writes and reads at whoever believes to lead, sometimes at anyone."""
        random = self.random
        leaders = [node for node in self.nodes.values() if node.leads]
        for _ in range(random.choice((1, 1, 1, 10))):
            chosen = random.choice(leaders if leaders and random.random() < 0.9 else [*self.nodes.values()])
            if random.random() < 0.7:
                self._written += 1
                chosen.propose(f"write {self._written} ".encode() + b"." * random.choice((0, 20, 200)))
            else:
                self._asked += 1
                chosen.read(self._asked)
        self.schedule(random.expovariate(1.5), self._client)

    # Bad times.

    def _misfortune(self) -> None:
        if self.is_faulty:
            self.random.choice(FAULTS)(self)
            self.schedule(self.random.expovariate(1 / 8), self._misfortune)

    def crash(self) -> None:
        """A node dies and comes back some time later."""
        node = self.random.choice([*self.nodes.values()])
        if node.core is not None:
            self.counts["crashes"] += 1
            node.crash()
            self.schedule(self.random.choice((0.0, 3.0, 30.0)), lambda: self._restart(node))

    def crash_all(self) -> None:
        """The power fails."""
        for node in self.nodes.values():
            if node.core is not None:
                node.crash()
                self.schedule(self.random.uniform(0, 10), lambda node=node: self._restart(node))  # type: ignore[misc]
        self.counts["power failures"] += 1

    def _restart(self, node: SimNode) -> None:
        if node.core is None:
            node.start()

    def partition(self) -> None:
        """Two sides that do not hear each other, or only one of which hears the other."""
        if self.now < self._cut_until:
            return
        ids = [*self.nodes]
        side = set(self.random.sample(ids, self.random.randint(0, len(ids))))
        is_one_way = self.random.random() < 0.3
        self.network.cut = {
            (a, b) for a in ids for b in ids if (a in side) != (b in side) and not (is_one_way and a in side)
        }
        self.counts["partitions"] += 1

    def isolate_leader(self) -> None:
        """Whoever believes to lead is cut off together with less than half of the others, and long enough
        for another leader. What the old one says meanwhile, above all if its clock is slow, is where stale
        reads would come from."""
        ids = [*self.nodes]
        leaders = [node.id for node in self.nodes.values() if node.leads]
        if leaders and self.now >= self._cut_until:
            leader = self.random.choice(leaders)
            others = [node for node in ids if node != leader]
            side = {leader, *self.random.sample(others, self.random.randint(0, (len(ids) - 1) // 2))}
            self.network.cut = {(a, b) for a in ids for b in ids if (a in side) != (b in side)}
            self.nodes[leader].tick_length = self.random.choice((1.0, 10.0))
            self._cut_until = self.now + self.random.uniform(0, 60)
            self.counts["leaders cut off"] += 1

    def pause(self) -> None:
        """A process is stopped for a while: a leader may wake up long after its successor."""
        self.random.choice([*self.nodes.values()]).pause(self.random.uniform(1, 40))
        self.counts["pauses"] += 1

    def reconnect(self) -> None:
        """The network is whole again."""
        if self.now >= self._cut_until:
            self.network.cut = set()

    def weather(self) -> None:
        """Another rate of loss, duplication and delay."""
        self.network.loss = self.random.choice((0.0, 0.0, 0.05, 0.3))
        self.network.duplication = self.random.choice((0.0, 0.1, 0.4))
        self.network.slow = self.random.choice((0.0, 0.0, 0.1, 0.3))

    def slowness(self) -> None:
        """Some disks take many ticks to sync, some clocks are slow."""
        for node in self.nodes.values():
            node.slow_sync = self.random.choice((0.0, 0.0, 0.2))
            node.tick_length = self.random.choice((0.8, 1.0, 1.0, 5.0))

    def transfer(self) -> None:
        """An operator moves leadership somewhere."""
        for node in self.nodes.values():
            node.transfer(self.random.choice([*self.nodes]))

    def break_connection(self) -> None:
        """A transport reports a broken connection, rightly or not."""
        node = self.random.choice([*self.nodes.values()])
        node.lose_connection(self.random.choice([*self.nodes]))

    def garbage(self) -> None:
        """A message from nobody, and one whose entries do not follow."""
        node = self.random.choice([*self.nodes.values()])
        node.receive_garbage(Message(MessageType.VOTE, 99, node.id, 1 << 40))
        node.receive_garbage(Message(MessageType.APPEND, node.id, node.id, 1 << 40))

    # Good times.

    def _heal(self) -> None:
        self.is_faulty = False
        self.network.cut = set()
        self.network.loss = self.network.duplication = self.network.slow = 0.0
        for node in self.nodes.values():
            node.slow_sync = 0.0
            node.tick_length = 1.0
            self._restart(node)
        self._target = self.checker.commit_index() + 20
        self._reads_before = sum(node.reads_served for node in self.nodes.values())

    def _has_converged(self) -> bool:
        """All nodes applied writes that were made after the faults had gone, and a read was served."""
        is_read = sum(node.reads_served for node in self.nodes.values()) > self._reads_before
        return is_read and all(node.applied >= self._target for node in self.nodes.values())


FAULTS: list[Callable[[World], None]] = [
    World.crash,
    World.crash,
    World.crash_all,
    World.partition,
    World.isolate_leader,
    World.isolate_leader,
    World.isolate_leader,
    World.pause,
    World.reconnect,
    World.reconnect,
    World.weather,
    World.weather,
    World.slowness,
    World.transfer,
    World.break_connection,
    World.garbage,
]

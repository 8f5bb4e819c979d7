"""A simulated network: it loses, delays, duplicates, reorders and cuts, all from one seed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from random import Random

import msgspec

from memraft_cluster.raft import Message, MessageType
from tests.simulation.agenda import Agenda, stream

_IN_ORDER = frozenset({MessageType.SNAPSHOT_CHUNK, MessageType.SNAPSHOT_REPLY})
"""Chunks are sent in windows and taken in order, so that they would make no headway if most came in another;
a connection keeps order. That slow ones and lost ones break it is bad enough."""


class SimNetwork:
    """Carries messages between nodes, and calls of clients. Delays are in ticks."""

    def __init__(self, agenda: Agenda, *seed: object) -> None:
        self._agenda = agenda
        self._seed = seed
        self._links: dict[tuple[int, int], Random] = {}
        self._arrivals: dict[tuple[int, int], float] = {}
        self._decode = msgspec.msgpack.Decoder(Message).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self.nodes: Callable[[], Collection[int]] = tuple
        """Those that listen."""
        self.deliver: Callable[[Message], None] = lambda message: None
        self.loss = 0.0
        self.duplication = 0.0
        self.slow = 0.0
        """The chance that a message takes many ticks, and so overtakes an election or two."""
        self.slow_links: set[tuple[int, int]] = set()
        """Directed pairs between which everything takes many ticks."""
        self.cut: set[tuple[int, int]] = set()
        """Directed pairs (from, to) between which nothing can be sent."""
        self.withholds: Callable[[Message], bool] | None = None
        """Says of each message that is sent whether it does not arrive, if ever, before `release`."""
        self._withheld: list[tuple[tuple[int, int], bytes]] = []
        self.lost = 0
        self.duplicated = 0

    def heal(self) -> None:
        """Nothing is lost, late or cut any more; what is under way still may be late."""
        self.cut = set()
        self.slow_links = set()
        self.withholds = None
        self._withheld.clear()
        self.loss = self.duplication = self.slow = 0.0

    def send(self, message: Message) -> None:
        """Messages that are under way when a cut comes still arrive, maybe many ticks into it."""
        link = (message.sender, message.to)
        if link in self.cut:
            self.lost += 1
            return
        # Encoded at once, as in life: nobody may change what is under way, and the wire form is exercised.
        frame = self._encode(message)
        if self.withholds is not None and self.withholds(message):
            self._withheld.append((link, frame))
            return
        stream_of = link if message.type in _IN_ORDER else None
        self._carry(self._random(link), lambda: self.deliver(self._decode(frame)), link, stream_of)

    def release(self, link: tuple[int, int]) -> None:
        """What was withheld on this link was just late: it arrives soon, whatever was cut meanwhile."""
        for each, frame in self._withheld:
            if each == link:
                self._carry(self._random(link), lambda frame=frame: self.deliver(self._decode(frame)), link)  # type: ignore[misc]
        self._withheld = [(each, frame) for each, frame in self._withheld if each != link]

    def call(self, client: int, action: Callable[[], None]) -> None:
        """Carries a client's call, or the answer to it: `action` happens at the other end, maybe twice."""
        self._carry(self._random((-client, 0)), action, (-client, 0))

    def _random(self, link: tuple[int, int]) -> Random:
        # A generator a link, so that a fault that is left out changes as little as possible elsewhere.
        random = self._links.get(link)
        if random is None:
            random = self._links[link] = stream(*self._seed, "link", *link)
        return random

    def _carry(
        self,
        random: Random,
        action: Callable[[], None],
        link: tuple[int, int],
        stream_of: tuple[int, int] | None = None,
    ) -> None:
        copies = 1
        if random.random() < self.duplication:
            copies = 2
            self.duplicated += 1
        for _ in range(copies):
            if random.random() < self.loss:
                self.lost += 1
                continue
            delay = random.uniform(0.01, 0.4)
            if random.random() < self.slow or link in self.slow_links:
                delay = random.uniform(1, 30)
            elif stream_of is not None:
                arrival = max(self._agenda.now + delay, self._arrivals.get(stream_of, 0.0))
                self._arrivals[stream_of] = arrival
                delay = arrival - self._agenda.now
            self._agenda.schedule(delay, action)

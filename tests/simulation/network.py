"""A simulated network: it loses, delays, duplicates, reorders and cuts, all from one generator."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from memraft_cluster.raft import Message


class SimNetwork:
    """Carries messages between nodes. Delays are in ticks."""

    def __init__(self, random: Random, schedule: Callable[[float, Callable[[], None]], None]) -> None:
        """`schedule(delay, action)` runs an action later."""
        self._random = random
        self._schedule = schedule
        self.deliver: Callable[[Message], None] = lambda message: None
        self.loss = 0.0
        self.duplication = 0.0
        self.slow = 0.0
        """The chance that a message takes many ticks, and so overtakes an election or two."""
        self.cut: set[tuple[int, int]] = set()
        """Directed pairs (from, to) between which nothing can be sent."""
        self.lost = 0
        self.duplicated = 0

    def send(self, message: Message) -> None:
        """Messages that are under way when a cut comes still arrive, maybe many ticks into it."""
        random = self._random
        if (message.sender, message.to) in self.cut:
            self.lost += 1
            return
        # Encoded at once, as in life: nobody may change what is under way, and the wire form is exercised.
        frame = msgspec.msgpack.encode(message)
        copies = 1
        if random.random() < self.duplication:
            copies = 2
            self.duplicated += 1
        for _ in range(copies):
            if random.random() < self.loss:
                self.lost += 1
                continue
            delay = random.uniform(0.01, 0.4)
            if random.random() < self.slow:
                delay = random.uniform(1, 30)
            self._schedule(delay, lambda: self._arrive(frame))

    def _arrive(self, frame: bytes) -> None:
        self.deliver(msgspec.msgpack.decode(frame, type=Message))

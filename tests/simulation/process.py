"""What the real driver takes from its process, simulated while a world runs: time, chance, a transport."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

from memraft_cluster import driver, group_state, raft, snapshots, startup, turns
from memraft_cluster.framing import GroupMessage
from memraft_cluster.raft import Core, Message
from memraft_cluster.transport import Disconnected, Receive
from tests.simulation.agenda import TICK_S, Agenda
from tests.simulation.disk import SimLog


class _Time:
    """In place of the module `time`."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda

    def monotonic(self) -> float:
        return self._agenda.now * TICK_S

    perf_counter = monotonic


class _Secrets:
    """In place of the module `secrets`."""

    def __init__(self, random: Random) -> None:
        self.randbits = random.getrandbits


@contextmanager
def simulated(agenda: Agenda, random: Random) -> Iterator[None]:
    """The driver's modules read simulated time and draw from `random`; it logs nothing."""
    clock = _Time(agenda)
    replaced: list[tuple[Any, str, object]] = [
        *((module, "time", clock) for module in (driver, group_state, startup, turns)),
        *((module, "secrets", _Secrets(random)) for module in (snapshots, startup)),
        (startup, "make_core", _make_core),
        (logging.getLogger("memraft.driver"), "disabled", True),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in replaced]
    for module, name, value in replaced:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


_real_make_core = startup.make_core


def _make_core(config: Any, log: Any, group: int, spec: Any, applied: int, seed: int) -> Core:
    """The core as the driver makes it, with bounds so small that they matter in a short run."""
    core = _real_make_core(config, log, group, spec, applied, seed)
    assert isinstance(log, BoundedLog)
    core.config = replace(core.config, **log.bounds)
    core.log._cache_bytes_max = core.config.cache_bytes_max
    return core


class BoundedLog(SimLog):
    """A log that brings the bounds of the core that reads it."""

    bounds: dict[str, int]


class SimPeers:
    """The transport of a node."""

    def __init__(self, send: Callable[[Message], None], connected: Callable[[], frozenset[int]]) -> None:
        self._send = send
        self.connected = connected
        self.receive: Receive
        self.disconnected: Disconnected

    def bind(self, receive: Receive, disconnected: Disconnected) -> None:
        self.receive, self.disconnected = receive, disconnected

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def send(self, to: int, group: int, message: raft.Message) -> None:
        assert message.to == to
        self._send(message)

    def flush(self) -> None:
        pass

    def deliver(self, sender: int, batch: list[GroupMessage]) -> None:
        """Messages arrive."""
        self.receive(sender, batch, 0)

"""The registry of faults. A fault is a generator: what comes before its `yield` injects, what comes after
heals.

    @fault("kill-leader", "SIGKILL for the leader")
    def kill_leader(stage: Stage) -> Steps:
        name = stage.leader()
        stage.cluster.kill(name)
        yield
        stage.cluster.start_node(name)

It runs in a thread beside the load; between the two parts the load goes on for `hold_s`. What must be so
beyond what every run checks is said with `stage.expect`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.acceptance.campaign.cluster import Cluster
from tests.acceptance.campaign.load import Load
from tests.acceptance.campaign.network import Network

Steps = Iterator[None]
Need = Callable[[], str]
"""Why something is not to be had here; empty: it is."""

MINORITY_GAP_S_MAX = 8.0
"""Stated bound: with a majority alive and connected no shard is without an acknowledged write for longer, the
machine's own slowness included."""
RECOVERY_S_MAX = 20.0
"""Stated bound: so long after the fault is healed every shard acknowledges writes and every node is ready."""


@dataclass
class Stage:
    """What a fault acts on.

    Attributes:
        violations: what a fault found that must not be.
        notes: what is worth a word in the table.
        load: once it runs.
    """

    cluster: Cluster
    network: Network
    dice: random.Random
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    load: Load | None = None

    @property
    def names(self) -> list[str]:
        """The nodes."""
        return self.cluster.names

    @property
    def majority(self) -> int:
        """How many nodes are one."""
        return len(self.names) // 2 + 1

    def leader(self) -> str:
        """The leader of the first shard."""
        return self.cluster.leader()

    def follower(self) -> str:
        """Some other node."""
        return self.dice.choice(self.cluster.followers())

    def others(self, name: str) -> list[str]:
        """All nodes but one."""
        return [each for each in self.names if each != name]

    def expect(self, holds: bool, what: str) -> None:
        """Notes a violation where it does not hold."""
        if not holds:
            self.violations.append(what)


@dataclass(frozen=True)
class Fault:
    """One entry of the registry.

    Attributes:
        name: what `FAULTS=` takes.
        about: what it does, in a line.
        steps: injects, yields, heals.
        needs: what it needs of the machine.
        prepare: called before the nodes are first started.
        sizes: numbers of nodes it is run with; the first one is CI's.
        hold_s: how long the load goes on between injecting and healing, in seconds.
        gap_s_max: how long a shard may be without acknowledged writes, in seconds; None where the fault takes
            the majority away, so that the gap is the fault's own.
        recovery_s_max: after healing, in seconds.
        spares: nodes that the network has and the cluster is not founded with.
    """

    name: str
    about: str
    steps: Callable[[Stage], Steps]
    needs: Sequence[Need] = ()
    prepare: Callable[[Stage], None] | None = None
    sizes: Sequence[int] = (3, 5)
    hold_s: float = 2.2
    gap_s_max: float | None = MINORITY_GAP_S_MAX
    recovery_s_max: float = RECOVERY_S_MAX
    spares: int = 0


FAULTS: dict[str, Fault] = {}


def fault(
    name: str,
    about: str,
    *,
    needs: Sequence[Need] = (),
    prepare: Callable[[Stage], None] | None = None,
    sizes: Sequence[int] = (3, 5),
    hold_s: float = 2.2,
    gap_s_max: float | None = MINORITY_GAP_S_MAX,
    recovery_s_max: float = RECOVERY_S_MAX,
    spares: int = 0,
) -> Callable[[Callable[[Stage], Steps]], Callable[[Stage], Steps]]:
    """Registers a fault; see `Fault`."""

    def register(steps: Callable[[Stage], Steps]) -> Callable[[Stage], Steps]:
        assert name not in FAULTS, name
        FAULTS[name] = Fault(
            name, about, steps, needs, prepare, sizes, hold_s, gap_s_max, recovery_s_max, spares
        )
        return steps

    return register

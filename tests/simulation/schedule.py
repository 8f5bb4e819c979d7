"""What is to go wrong in a run, and when: drawn from a seed, and made shorter when something is found."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.simulation.agenda import stream
from tests.simulation.faults import AT_THE_START, FAULTS

ROUNDS = 3
ROUND_TICKS = 100
"""Bad times last so long; good times follow, in which the cluster has to recover without help."""
FAULT_EVERY_TICKS = (4.0, 8.0, 16.0)
COMMON = {
    "isolate_leader": 3,
    "crash": 2,
    "crash_leader": 2,
    "weather": 2,
    "change_members": 4,
    "damage": 2,
    "late_answers": 2,
    "lost_disk_beside_deposed_leader": 2,
}
"""Faults that come more often than others."""


@dataclass(frozen=True, order=True)
class Fault:
    """A fault by name, so many ticks into a round. Its number, which seeds what it draws, stays its own."""

    round: int
    tick: float
    number: int
    name: str

    def __str__(self) -> str:
        return f"round {self.round} tick {self.tick:6.1f}  {self.name}  (number {self.number})"


@dataclass(frozen=True)
class Schedule:
    """A run: everything in it follows from this.

    Args:
        seed: of the shape of the cluster, of the faults, of what clients do.
        faults: what happens, in order.
        noise: another run with the same faults: other delays on the network, other work of the clients.
        rounds: how many times bad times come.
    """

    seed: int
    faults: tuple[Fault, ...]
    noise: int = 0
    rounds: int = ROUNDS

    @classmethod
    def of(cls, seed: int) -> Schedule:
        """The schedule of a seed. A run has some kinds of faults and not others (Groce et al.: Swarm Testing,
        2012), because a kind can keep another from showing what it does."""
        random = stream(seed, "schedule")
        names = [name for name in FAULTS if random.random() < 0.6] or [*FAULTS]
        first = [name for name in sorted(AT_THE_START) if random.random() < 0.5]
        names = [name for name in names if name not in AT_THE_START]
        weights = [COMMON.get(name, 1) for name in names]
        every = random.choice(FAULT_EVERY_TICKS)
        faults = [Fault(0, 0.0, number, name) for number, name in enumerate(first)]
        for number_of_round in range(ROUNDS):
            tick = random.expovariate(1 / every)
            while tick < ROUND_TICKS:
                name = random.choices(names, weights)[0]
                faults.append(Fault(number_of_round, tick, len(faults), name))
                tick += random.expovariate(1 / every)
        return cls(seed, tuple(faults))

    def with_faults(self, faults: tuple[Fault, ...], noise: int) -> Schedule:
        """The same with fewer faults."""
        rounds = max((fault.round for fault in faults), default=0) + 1
        return replace(self, faults=faults, noise=noise, rounds=rounds)

    def __str__(self) -> str:
        numbers = ",".join(f"{fault.number}@{fault.round}" for fault in self.faults)
        lines = [f"    {fault}" for fault in self.faults] or ["    (no fault at all)"]
        head = f"seed {self.seed}, noise {self.noise}, rounds {self.rounds}, {len(self.faults)} faults:"
        options = f"--seed {self.seed} --noise {self.noise} --rounds {self.rounds} --faults '{numbers}'"
        return "\n".join([head, *lines, f"replay: python -m tests.simulation {options}"])

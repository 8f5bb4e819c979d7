"""What a run finds: rounds by place and load, summed up as `benchmarks.service` does it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from benchmarks.scale.points import Load, Place
from benchmarks.service.figures import Figure, Refused, Round, sum_up
from benchmarks.service.lines import Line
from memraft_server.cli.figures import Machine, Spread, spread

CLIENTS, PEERS = "clients", "peers"
"""Which connections: of clients, and between nodes."""


LEFT_AT_LEAST = 0.05
"""What is left of a cost at least when rest is taken off."""


class Options(msgspec.Struct, frozen=True):
    """How to measure. `visits`: of a cluster, each started anew; `rounds`: of a load in a visit; the `_most`
    are the ends of the axes."""

    visits: int
    rounds: int
    seconds: float
    idle_s: float
    engine: str
    quick: bool
    only: tuple[str, ...]
    shards_most: int
    nodes_most: int
    value_bytes_most: int
    records_most: int


class Measured(msgspec.Struct, frozen=True):
    """A load at a place. No figure: `reason` says why. `wire_bytes`: an operation, by kind of connection.
    `idle_cpu`: the share of one core that all nodes took before anybody called them."""

    axis: str
    at: int
    nodes: int
    shards: int
    load: Load
    figure: Figure | None
    reason: str
    wire_bytes: dict[str, Spread]
    idle_cpu: float

    def cpu_us(self, role: str) -> float:
        """Microseconds of CPU an operation that a node took beyond what it takes at rest: on a busy machine,
        where operations are few, that would count for most of it. Above 0."""
        assert self.figure is not None
        taken = self.figure.cpu_us[role].median
        rest = self.idle_cpu / self.nodes / self.figure.rate.median * 1e6
        return max(taken - rest, taken * LEFT_AT_LEAST)

    @property
    def nodes_cpu_us(self) -> float:
        """The same of all nodes."""
        assert self.figure is not None
        return sum(self.cpu_us(role) for role in ROLES if role in self.figure.cpu_us)


class Idle(msgspec.Struct, frozen=True):
    """A cluster that nobody calls. `cpu`: share of one core, of all nodes; `busiest_cpu`: of the one that
    took most; `wire_bytes_s`: between nodes."""

    axis: str
    at: int
    nodes: int
    shards: int
    cpu: Spread
    busiest_cpu: Spread
    wire_bytes_s: Spread | None


class Size(msgspec.Struct, frozen=True):
    """A node with so many records: bytes of memory that they take and of its directory, microseconds of its
    CPU to load one, starting again with all of them, a backup of them."""

    records: int
    memory_bytes: float
    disk_bytes: int
    load_us: float
    start_s: Spread
    start_cpu_s: Spread
    backup_s: Spread
    backup_cpu_s: Spread
    backup_bytes: int


class Result(msgspec.Struct, frozen=True):
    """All of a run: what goes into scale.json. `consensus_idle`: share of one core that three idle nodes take
    by shards, of the consensus alone (`benchmarks/raft_loop.py`); `absent`: what has no figures, and why."""

    made_at: str
    machine: Machine
    version: str
    options: Options
    measured: list[Measured]
    idle: list[Idle]
    sizes: list[Size]
    consensus_idle: dict[int, float]
    absent: dict[str, str]


class Seen(msgspec.Struct):
    """What rounds of one load at one place came to. `refused`: why there are none."""

    rounds: list[Round] = msgspec.field(default_factory=list)
    wire_bytes: list[dict[str, int]] = msgspec.field(default_factory=list)
    refused: str = ""


def summed_up(place: Place, load: Load, seen: Seen, idle_cpu: float) -> Measured:
    """The figure of a load, or why there is none: errors in any round refuse it."""
    system = "memraft" if place.nodes == 1 else f"memraft x{place.nodes}"
    line = Line(system, load.work, load.callers, load.level)
    outcome = sum_up(line, [by_role(each) for each in seen.rounds])
    figure = None if seen.refused or isinstance(outcome, Refused) else outcome
    reason = seen.refused or (outcome.reason if isinstance(outcome, Refused) else "")
    wire: dict[str, Spread] = {}
    if figure is not None and seen.wire_bytes:
        for name in seen.wire_bytes[0]:
            pairs = zip(seen.wire_bytes, seen.rounds, strict=True)
            wire[name] = spread([carried[name] / each.operations for carried, each in pairs])
    return Measured(place.axis, place.at, place.nodes, place.shards, load, figure, reason, wire, idle_cpu)


def by_role(played: Round) -> Round:
    """Names nodes by the CPU they took, the busiest first: with one shard that is the leader, whichever node
    it was in this round."""
    busiest = sorted(played.node_cpu_s, key=lambda name: -played.node_cpu_s[name])
    names = {name: ROLES[place] for place, name in enumerate(busiest)}
    return msgspec.structs.replace(
        played,
        node_cpu_s={names[name]: played.node_cpu_s[name] for name in busiest},
        node_written_bytes={names[name]: played.node_written_bytes[name] for name in busiest},
    )


ROLES = ("busiest", "second", "third", "fourth", "fifth")
"""Nodes by the CPU that they took."""


def of_axis(measured: Sequence[Measured], axis: str) -> dict[str, list[Measured]]:
    """Measurements of an axis by the title of their load, those that have a figure, in order."""
    found: dict[str, list[Measured]] = {}
    for each in measured:
        if each.axis == axis and each.figure is not None:
            found.setdefault(each.load.title, []).append(each)
    return found


def lacking(result: Result) -> list[str]:
    """What was to be measured and has no figure, and why."""
    refused = [f"{each.axis} {each.at:,}, {each.load.title}: {each.reason}"
               for each in result.measured if each.figure is None]  # fmt: skip
    return [*(f"{name}: {reason}" for name, reason in result.absent.items()), *refused]


def curves(result: Result) -> Iterator[tuple[str, str, Mapping[int, float]]]:
    """What grows: axis, name of the cost, and the cost at each place."""
    for axis in ("shards", "nodes", "value", "records"):
        for title, found in of_axis(result.measured, axis).items():
            yield axis, f"{title}: CPU of nodes", {each.at: each.nodes_cpu_us for each in found}
            figures = {each.at: each.figure for each in found if each.figure is not None}
            client = {at: each.cpu_us["client"].median for at, each in figures.items()}
            yield axis, f"{title}: CPU of client", client
            between = {each.at: each.wire_bytes[PEERS].median for each in found if PEERS in each.wire_bytes}
            if title == "put" and axis != "records":
                yield axis, f"{title}: bytes between nodes", between
        if axis in ("shards", "nodes"):
            at_rest = {each.at: each.cpu.median for each in result.idle if each.axis == axis}
            yield axis, "idle: CPU of nodes", at_rest
    sizes = result.sizes
    yield "records", "memory", {each.records: each.memory_bytes for each in sizes}
    yield "records", "directory", {each.records: float(each.disk_bytes) for each in sizes}
    yield "records", "load: CPU a record", {each.records: each.load_us for each in sizes}
    yield "records", "start: CPU", {each.records: each.start_cpu_s.median for each in sizes}
    yield "records", "start: time", {each.records: each.start_s.median for each in sizes}
    yield "records", "backup: CPU of the node", {each.records: each.backup_cpu_s.median for each in sizes}

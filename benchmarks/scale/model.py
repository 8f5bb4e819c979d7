"""A model of many nodes, fitted to what `make bench-scale` measured on few: docs/scaling.md explains it.
Pure, but for reading and writing files::

    python -m benchmarks.scale.model [benchmarks/scale/results/scale.json] [--docs docs/scaling.md]

prints the fitted constants and what they say of 3 to 100 nodes, or puts that into the page.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.scale.results import CLIENTS, PEERS, Measured, Result
from benchmarks.service.products import engine_text
from benchmarks.service.report import number, table
from memraft_cluster.meta import NODES_MAX

REPLICAS = 3
BUDGET = 0.7
"""Of a node's one core (its event loop) that may be used: the rest is for what comes unevenly."""
LED_EACH = 4
"""Shards that each node leads."""
MEMORY_BYTES = 16 << 30
"""Of a node, for records."""
START_S_MAX = 60.0
"""What a node may take to start again."""
NETWORK_BYTES_S = 1.25e9 * 0.7
"""What a node's 10 Gbit/s may be used for, in both directions together."""
IDLE_MAX = 0.1
"""Of a core that may go into being at rest."""
NODES = (3, 5, 10, 30, 63, 100)
BEGIN, END = "<!-- begin: python -m benchmarks.scale.model -->", "<!-- end -->"


class Cost(msgspec.Struct, frozen=True):
    """Of an operation with a value of v bytes: fixed + v * each_byte, in microseconds or bytes."""

    fixed: float
    each_byte: float

    def of(self, value_bytes: int) -> float:
        """For values of that size."""
        return self.fixed + value_bytes * self.each_byte


class Constants(msgspec.Struct, frozen=True):
    """What was fitted. CPU in microseconds an operation, or shares of a core at rest; see docs/scaling.md."""

    put_leader: Cost
    put_follower: Cost
    put_client: Cost
    read_nodes: Cost
    read_client: Cost
    peers_bytes: Cost
    clients_bytes: Cost
    thin: float
    idle_base: float
    idle_group: float
    idle_link: float
    consensus_group: float
    memory_bytes: float
    start_base_s: float
    start_s: float
    backup_s: float


def line(places: Sequence[float], costs: Sequence[float]) -> tuple[float, float]:
    """Offset and slope, neither below 0, by least squares of relative errors: small ones count as much."""
    x, y = np.asarray(places, float), np.asarray(costs, float)
    weighted = np.stack([1 / y, x / y], axis=1)
    offset, slope = (float(each) for each in np.linalg.lstsq(weighted, np.ones(len(y)), rcond=None)[0])
    if slope < 0:
        return float((1 / y).sum() / (1 / y**2).sum()), 0.0
    if offset < 0:
        return 0.0, float((x / y).sum() / (x**2 / y**2).sum())
    return offset, slope


def _cost(at_small: float, small_bytes: int, rows: Mapping[int, float]) -> Cost:
    """What each byte costs comes of the sizes of values, the rest of the many callers of small ones."""
    each_byte = line(list(rows), list(rows.values()))[1] if len(rows) > 1 else 0.0
    each_byte = min(each_byte, at_small / small_bytes)
    return Cost(at_small - small_bytes * each_byte, each_byte)


def _followers(each: Measured) -> float:
    return (each.cpu_us("second") + each.cpu_us("third")) / 2


def _rows(result: Result, axis: str, title: str) -> dict[int, Measured]:
    found = [each for each in result.measured if (each.axis, each.load.title) == (axis, title)]
    return {each.at: each for each in found if each.figure is not None}


def fit(result: Result) -> Constants | str:
    """Fits the model; says what is missing where that cannot be."""
    puts, sizes = _rows(result, "shards", "put"), _rows(result, "value", "put")
    gets, read_sizes = _rows(result, "shards", "get linearizable"), _rows(result, "value", "get linearizable")
    idle = {(each.axis, each.at): each for each in result.idle}
    missing = [
        name
        for name, is_there in (
            ("writes to one shard", 1 in puts and len(sizes) > 1),
            ("reads of one shard", 1 in gets and len(read_sizes) > 1),
            ("clusters at rest", {("shards", 1), ("nodes", 3), ("nodes", 5)} <= idle.keys()),
            ("stores of several sizes", len(result.sizes) > 1),
        )
        if not is_there
    ]
    if missing:
        return f"not measured: {', '.join(missing)}"
    small = puts[1].load.value_bytes

    def cost(rows: Mapping[int, Measured], one: Measured, take: object) -> Cost:
        assert callable(take)
        return _cost(take(one), small, {at: take(each) for at, each in rows.items()})

    groups = {at: each.cpu.median / each.nodes for (axis, at), each in idle.items() if axis == "shards"}
    base, idle_group = line(list(groups), list(groups.values()))
    # Nodes with as many replicas, of which each has two other nodes, or four.
    link = max(0.0, idle["nodes", 5].cpu.median / 5 - idle["nodes", 3].cpu.median / 3) / 2
    records = [each.records for each in result.sizes]
    start_base_s, start_s = line(records, [each.start_s.median for each in result.sizes])
    alone = result.consensus_idle
    steps = (max(alone) - min(alone)) * REPLICAS if alone else 0
    return Constants(
        put_leader=cost(sizes, puts[1], lambda each: each.cpu_us("busiest")),
        put_follower=cost(sizes, puts[1], _followers),
        put_client=cost(sizes, puts[1], lambda each: each.figure.cpu_us["client"].median),
        read_nodes=cost(read_sizes, gets[1], lambda each: each.nodes_cpu_us),
        read_client=cost(read_sizes, gets[1], lambda each: each.figure.cpu_us["client"].median),
        peers_bytes=cost(sizes, puts[1], lambda each: _wire(each, PEERS)),
        clients_bytes=cost(sizes, puts[1], lambda each: _wire(each, CLIENTS)),
        thin=max(1.0, _thin(puts)),
        idle_base=max(0.0, base - 2 * link),
        idle_group=idle_group,
        idle_link=link,
        consensus_group=max(0.0, alone[max(alone)] - alone[min(alone)]) / steps if steps else 0.0,
        memory_bytes=result.sizes[-1].memory_bytes / result.sizes[-1].records,
        start_base_s=start_base_s,
        start_s=start_s,
        backup_s=line(records, [each.backup_s.median for each in result.sizes])[1],
    )


def _wire(each: Measured, kind: str) -> float:
    """Bytes an operation; what carries them without `ss` is the value alone, twice between nodes."""
    copies = REPLICAS - 1 if kind == PEERS else 1
    return each.wire_bytes[kind].median if kind in each.wire_bytes else float(each.load.value_bytes * copies)


def _thin(puts: Mapping[int, Measured]) -> float:
    """How much more CPU a write takes where the same callers are spread over the most shards."""
    return puts[max(puts)].nodes_cpu_us / puts[1].nodes_cpu_us


class Carried(msgspec.Struct, frozen=True):
    """What so many nodes carry by the model. `busy_network`: of the share a node may use."""

    nodes: int
    shards: int
    idle: float
    idle_record_leader: float
    writes_s: float
    reads_s: float
    clients: float
    busy_network: float
    records: float
    start_s: float


def carried(found: Constants, nodes: int, value_bytes: int) -> Carried:
    """What `nodes` carry of values of that size, if the load is spread evenly."""
    replicas = min(REPLICAS, nodes)
    groups = LED_EACH * replicas
    idle = (
        found.idle_base + found.idle_group * (groups + 1) + found.idle_link * min(nodes - 1, 2 * groups + 1)
    )
    leads_record = found.idle_base + found.idle_group * (groups + 1) + found.idle_link * (nodes - 1)
    left = nodes * max(0.0, BUDGET - idle)
    write_us = found.put_leader.of(value_bytes) + (replicas - 1) * found.put_follower.of(value_bytes)
    writes_s, reads_s = left / write_us * 1e6, left / found.read_nodes.of(value_bytes) * 1e6
    # Both ends of a connection between nodes are nodes; of one to a client, one is.
    carried_bytes = 2 * found.peers_bytes.of(value_bytes) + found.clients_bytes.of(value_bytes)
    each = MEMORY_BYTES / (found.memory_bytes + max(0, value_bytes - 100))
    return Carried(
        nodes=nodes,
        shards=LED_EACH * nodes,
        idle=idle,
        idle_record_leader=leads_record,
        writes_s=writes_s,
        reads_s=reads_s,
        clients=writes_s * found.put_client.of(value_bytes) / 1e6,
        busy_network=writes_s / nodes * carried_bytes / NETWORK_BYTES_S,
        records=nodes * each / replicas,
        start_s=found.start_base_s + found.start_s * each,
    )


def _until(room: float, each: float) -> str:
    """How many of what takes so much each there is room for."""
    return number(max(0.0, room) / each) if each else "too little to be told for any number of"


def breaks(found: Constants) -> list[tuple[str, str]]:
    """What ends first, and where, the lowest number of nodes first where it is one of nodes."""
    write_us, groups = found.put_leader.of(100), REPLICAS * LED_EACH
    links = _until(IDLE_MAX - found.idle_base - found.idle_group * (groups + 1), found.idle_link)
    room = _until(IDLE_MAX - found.idle_base, found.idle_group + 2 * found.idle_link)
    start = max(0.0, START_S_MAX - found.start_base_s) / found.start_s if found.start_s else 0.0
    return [
        ("nodes that the cluster's record admits (`NODES_MAX`)", f"{NODES_MAX} nodes"),
        (
            "one namespace: it is in one shard, and its leader has one core, however many nodes there are",
            f"{number(BUDGET / write_us * 1e6)} writes of 100 B a second",
        ),
        (
            f"a node's start within {START_S_MAX:.0f} s",
            f"{number(start)} records a node, {number(start * found.memory_bytes / 1e9)} GB of memory",
        ),
        (
            f"{IDLE_MAX:.0%} of a core at rest, for the leader of the record, who is heard by all nodes",
            f"{links} nodes",
        ),
        (
            f"{IDLE_MAX:.0%} of a core at rest, groups on a node, each with two peers of its own",
            f"{room} groups",
        ),
    ]


def render(found: Constants) -> str:
    """Constants, what nodes carry, and what breaks, as Markdown."""
    costs = {
        "c_L: write, leader, CPU µs": found.put_leader,
        "c_F: write, each follower, CPU µs": found.put_follower,
        "c_C: write, client, CPU µs": found.put_client,
        "c_R: linearizable read, all nodes, CPU µs": found.read_nodes,
        "read, client, CPU µs": found.read_client,
        "b_P: write, between nodes, bytes": found.peers_bytes,
        "b_C: write, to and from the client, bytes": found.clients_bytes,
    }
    rows = [
        [name, number(each.of(100)), number(each.fixed), number(each.each_byte * 1_000)]
        for name, each in costs.items()
    ]
    others = [
        ["i_0: a node at rest, of a core", f"{found.idle_base:.3%}"],
        ["i_G: each group that it has a replica of", f"{found.idle_group:.4%}"],
        ["i_P: each node that it exchanges heartbeats with", f"{found.idle_link:.4%}"],
        ["the same as i_G of the consensus alone (`raft_loop.py`)", f"{found.consensus_group:.4%}"],
        ["t: a write, where 256 callers are spread over the most shards, to one", f"{found.thin:.2f} times"],
        ["m: memory of a record of 100 bytes", f"{number(found.memory_bytes)} B"],
        [
            "s_0, s: start",
            f"{number(found.start_base_s)} s, and {number(found.start_s * 1e6)} s a million records",
        ],
        ["a backup", f"{number(found.backup_s * 1e6)} s a million records"],
    ]
    tables = []
    for value_bytes in (100, 10_000):
        tables += ["", f"Values of {value_bytes:,} bytes, {LED_EACH} shards led by each node:"]
        tables += table(
            ["nodes", "shards", "at rest, each", "leader of the record", "writes/s", "or reads/s",
             "client cores for the writes", "network, of its share", "records", "start s, full"],
            [_carried_row(carried(found, nodes, value_bytes)) for nodes in NODES],
        )  # fmt: skip
    return "\n".join(
        [
            *table(["constant", "at 100 B", "fixed", "each 1,000 B"], rows),
            *table(["constant", ""], others),
            *tables,
            "What ends first:",
            *table(["", "at"], [list(each) for each in breaks(found)]),
        ]
    )


def _carried_row(each: Carried) -> list[str]:
    return [
        f"{each.nodes}{' (not admitted)' if each.nodes > NODES_MAX else ''}",
        str(each.shards),
        f"{each.idle:.1%}",
        f"{each.idle_record_leader:.1%}",
        number(each.writes_s),
        number(each.reads_s),
        number(each.clients),
        f"{each.busy_network:.1%}",
        number(each.records),
        number(each.start_s),
    ]


def put_into(page: str, text: str) -> str:
    """The page with what stands between its marks replaced. ValueError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"


def write_page(page: Path, result: Result, found: Constants) -> None:
    """Puts the model of a run into a page. ValueError where it has no marks for it."""
    made = f"Fitted to a run of {result.made_at} on {result.machine.cores} cores, {result.machine.cpu}, "
    engine = engine_text(result.options.engine)
    text = f"{made}{result.version}, serving engine: {engine}.\n{render(found)}"
    page.write_text(put_into(page.read_text(encoding="utf-8"), text), encoding="utf-8")


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).parent / "results" / "scale.json"
    parser.add_argument("results", type=Path, nargs="?", default=default, help="scale.json of a run")
    parser.add_argument("--docs", type=Path, help="a page to put it into")
    given = parser.parse_args()
    result = msgspec.json.decode(given.results.read_bytes(), type=Result, strict=False)
    found = fit(result)
    if isinstance(found, str):
        raise SystemExit(f"no model: {found}")
    if given.docs is None:
        print(render(found))
        return
    write_page(given.docs, result, found)


if __name__ == "__main__":
    main()

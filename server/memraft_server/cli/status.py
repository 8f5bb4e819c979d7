"""`memraft status`: nodes, shards, leaders, terms and lag. Exit status 1 where a shard has no leader, or a
node holds another number of shards than the shard map says, and that lasts for more than 2 s."""

import argparse
from typing import TYPE_CHECKING, Any

from memraft_cluster.groups import RECORD_LABEL, group_name
from memraft_server.cli.connection import add_connection, add_json, certs_of, endpoints_of
from memraft_server.cli.output import duration, print_json, progress, size, table

LEARNS, NOT_WHOLE = " L", " !"

if TYPE_CHECKING:
    from memraft_server.cli.clusterview import ClusterView, NodeView, ShardView


def register(commands: Any) -> None:
    """Adds `status`."""
    parser = commands.add_parser("status", help="nodes, shards, leaders, terms, lag", description=__doc__)
    parser.set_defaults(run=run)
    add_connection(parser, namespace=False)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Asks every node and prints how the cluster stands."""
    from memraft_server.cli.clusterview import Observer, settled

    with (
        progress(quiet=arguments.json) as shown,
        Observer(endpoints_of(arguments), certs_of(arguments)) as ask,
    ):
        shown.step("asking the nodes …")
        view = settled(ask.look)
    if arguments.json:
        print_json(view)
    else:
        print(render(view))
    return 1 if view.leaderless or view.differing else 0


def render(view: "ClusterView") -> str:
    """The cluster as a person reads it."""
    nodes = table(
        ["NODE", "ADDRESS", "STATE", "UP", "MEMORY", "LEADS SHARDS"],
        [_node_row(node) for node in view.nodes],
        right="lllrr",
    )
    names = [node.name for node in view.nodes]
    groups = [*((str(shard.shard), shard) for shard in view.shards), (RECORD_LABEL, view.record)]
    shards = table(
        ["SHARD", "SLOTS", "LEADER", "TERM", "COMMITTED", *(f"{name} LAG" for name in names)],
        [_shard_row(title, shard, names) for title, shard in groups],
        right="rlrrr" + "r" * len(names),
    )
    parts = [f"cluster {view.cluster}, epoch {view.epoch}", nodes, shards]
    if any(lag.endswith((LEARNS, NOT_WHOLE)) for shard in view.shards for lag in _lags(shard).values()):
        parts.append(
            f"{LEARNS}: without a vote yet; {NOT_WHOLE}: without a vote until it has back what it lost"
        )
    notes = [f"{group_name(shard.shard, 'shard')}: {shard.step}" for _, shard in groups if shard.step]
    notes += [f"{node.name}: {reason}" for node in view.nodes for reason in node.not_ready]
    if view.leaderless:
        notes.append(f"without a leader: shards {', '.join(map(str, view.leaderless))}")
    notes += [
        f"{node.name} holds {node.shards} shards; by the shard map they are {node.shards_due}"
        for node in view.differing
    ]
    if notes:
        parts.append("\n".join(notes))
    return "\n\n".join(parts)


def _node_row(node: "NodeView") -> list[str]:
    if node.error:
        return [node.name, node.address, f"unreachable ({node.error})", "", "", ""]
    leads = ", ".join(map(str, node.leads)) or "-"
    return [node.name, node.address, "ok", duration(node.uptime_s), size(node.resident_bytes), leads]


def _shard_row(title: str, shard: "ShardView", names: list[str]) -> list[str]:
    lags = _lags(shard)
    return [
        title,
        f"{shard.slot_first}-{shard.slot_last}" if shard.slot_last else "-",
        shard.leader or "NONE",
        str(shard.term),
        str(shard.commit_index),
        *(lags.get(name, "-") for name in names),
    ]


def _lags(shard: "ShardView") -> dict[str, str]:
    """The column of each node."""
    return {
        replica.node: ("?" if replica.lag < 0 else str(replica.lag))
        + ("" if replica.is_whole else NOT_WHOLE)
        + ("" if replica.is_voter else LEARNS)
        for replica in shard.replicas
    }

"""`memraft cluster`: which nodes there are and what they hold, and how to change it.

Every change is written into the cluster's own record; the leaders of the shards then bring it about, one safe
step at a time, whether this command goes on or not. Repeating a command does no harm: what is so already
stays so. It takes an operator's certificate.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memraft_server.cli.connection import add_connection, add_json, certs_of, endpoints_of
from memraft_server.cli.errors import CliError, UsageError
from memraft_server.cli.output import Progress, print_json, progress, table

if TYPE_CHECKING:
    from memraft_cluster.meta import Record, ShardEntry
    from memraft_proto.v1 import cluster_pb2
    from memraft_server.cli.operator import Operator, Standing

WATCH_INTERVAL_S = 0.3
_ENTRIES = re.compile(r"[0-9,]+ entries")
GOES_ON = "it goes on without this command; `memraft cluster show` tells how far it is"


def register(commands: Any) -> None:
    """Adds `cluster` and its commands."""
    parser = commands.add_parser("cluster", help="nodes and replicas: show, change", description=__doc__)
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="action")
    _add(actions, "show", show, "nodes, shards, where they are and where they are wanted", waits=False)
    add = _add(
        actions, "add-node", add_node, "a node joins, or is reached elsewhere from now on", waits=False
    )
    add.add_argument("name", nargs="?", help="its name, as in its certificate")
    add.add_argument("--peer", metavar="HOST:PORT", help="where the other nodes reach it")
    add.add_argument("--client", metavar="HOST:PORT", help="where clients reach it")
    add.add_argument("--id", type=int, default=0, metavar="N", help="its number (the next one)")
    add.add_argument("--config", metavar="FILE", help="take all of this from the new node's node.toml")
    remove = _add(actions, "remove-node", remove_node, "a node leaves, when its replicas are elsewhere")
    remove.add_argument("name", help="its name")
    remove.add_argument(
        "--force",
        action="store_true",
        help="also where fewer nodes are left than a shard should have replicas: it is lost for good",
    )
    move = _add(actions, "move-replica", move_replica, "a shard is to be on another node in place of one")
    move.add_argument("shard", type=int)
    move.add_argument("source", help="the node that has it")
    move.add_argument("target", help="the node that is to have it")
    transfer = _add(actions, "transfer-leader", transfer_leader, "a shard is to be led by a node from now on")
    transfer.add_argument("shard", type=int)
    transfer.add_argument("target", help="one of the nodes that have it")
    balance = _add(actions, "rebalance", rebalance, "spread replicas and leaders evenly")
    balance.add_argument("--replicas", type=int, metavar="N", help="have N of each shard from now on")


def _add(
    actions: Any, name: str, run: Callable[[argparse.Namespace], int], text: str, waits: bool = True
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=f"{text}.")
    parser.set_defaults(run=run)
    add_connection(parser, namespace=False)
    add_json(parser)
    if waits:
        parser.add_argument("--no-wait", action="store_true", help="return as soon as it is written down")
        parser.add_argument(
            "--wait-s", type=float, metavar="S", help="give up waiting after S seconds (never)"
        )
    return parser


@contextmanager
def _operator(arguments: argparse.Namespace) -> Iterator[tuple["Operator", Progress]]:
    from memraft_server.cli.clusterview import Observer
    from memraft_server.cli.operator import Operator

    with (
        progress(quiet=arguments.json) as shown,
        Observer(endpoints_of(arguments), certs_of(arguments)) as observer,
    ):
        shown.step("asking the nodes …")
        yield Operator(observer), shown


# -- the commands --------------------------------------------------------------------------------------


def show(arguments: argparse.Namespace) -> int:
    """Prints the record, and what is under way."""
    with _operator(arguments) as (operator, shown):
        standing = operator.look()
        shown.clear()
    if arguments.json:
        print_json(facts_of(standing))
    else:
        print(render(standing))
    return 0


def add_node(arguments: argparse.Namespace) -> int:
    """Adds a node, or changes where one is reached."""
    from memraft_proto.v1 import cluster_pb2

    name, peer, client, id_ = _new_node(arguments)
    change = cluster_pb2.AddNode(name=name, peer=peer, client=client, node_id=id_)
    return _do(arguments, cluster_pb2.ChangeClusterRequest(add_node=change), None)


def _new_node(arguments: argparse.Namespace) -> tuple[str, str, str, int]:
    """Name, addresses and number of the node to add; UsageError where some are missing."""
    if arguments.config:
        if arguments.peer or arguments.client or arguments.id:
            raise UsageError("--config says where the node is reached; leave out --peer, --client and --id")
        from memraft_server.config import load

        own = load(Path(arguments.config)).own
        if arguments.name not in (None, own.name):
            raise UsageError(f"{arguments.config} is the configuration of {own.name}, not {arguments.name}")
        return own.name, own.peer, own.client, own.id
    if not (arguments.name and arguments.peer and arguments.client):
        raise UsageError("say which node: NAME --peer HOST:PORT --client HOST:PORT, or --config FILE")
    if arguments.id < 0:
        raise UsageError(f"--id {arguments.id} is no number of a node")
    return arguments.name, arguments.peer, arguments.client, arguments.id


def remove_node(arguments: argparse.Namespace) -> int:
    """Removes a node, and waits until it holds nothing any more."""
    from memraft_proto.v1 import cluster_pb2

    change = cluster_pb2.RemoveNode(name=arguments.name, force=arguments.force)
    return _do(
        arguments,
        cluster_pb2.ChangeClusterRequest(remove_node=change),
        lambda standing: standing.record.named(arguments.name) is None,
        f"{arguments.name} is removed: stop it and delete its data directory",
    )


def move_replica(arguments: argparse.Namespace) -> int:
    """Moves a replica, and waits until it is there."""
    from memraft_proto.v1 import cluster_pb2

    change = cluster_pb2.MoveReplica(
        shard=_number(arguments.shard), source=arguments.source, target=arguments.target
    )
    return _do(
        arguments,
        cluster_pb2.ChangeClusterRequest(move_replica=change),
        lambda standing: standing.record.shards[arguments.shard].is_settled,
        f"shard {arguments.shard} is on {arguments.target} and no more on {arguments.source}",
    )


def transfer_leader(arguments: argparse.Namespace) -> int:
    """Has another node lead a shard, and waits until it does."""
    from memraft_proto.v1 import cluster_pb2

    change = cluster_pb2.TransferLeader(shard=_number(arguments.shard), target=arguments.target)

    def is_led(standing: "Standing") -> bool:
        return bool(standing.record.name(standing.leads(arguments.shard)) == arguments.target)

    return _do(
        arguments,
        cluster_pb2.ChangeClusterRequest(transfer_leader=change),
        is_led,
        f"{arguments.target} leads shard {arguments.shard}",
    )


def rebalance(arguments: argparse.Namespace) -> int:
    """Spreads replicas and leaders, and waits until all are where they are wanted."""
    from memraft_proto.v1 import cluster_pb2

    if arguments.replicas is not None and arguments.replicas < 1:
        raise UsageError(f"--replicas {arguments.replicas}: each shard has at least one")
    change = cluster_pb2.Rebalance(replicas=_number(arguments.replicas or 0))
    return _do(
        arguments,
        cluster_pb2.ChangeClusterRequest(rebalance=change),
        lambda standing: not standing.pending() and not standing.misled(),
        "replicas and leaders are where they are wanted",
    )


def _number(value: int) -> int:
    if not 0 <= value < 1 << 31:
        raise UsageError(f"{value} is no number of a shard, nor of replicas")
    return value


def _do(
    arguments: argparse.Namespace,
    request: "cluster_pb2.ChangeClusterRequest",
    is_done: Callable[["Standing"], bool] | None,
    done: str = "",
) -> int:
    """Makes a change and waits until it is brought about."""
    if is_done is not None and arguments.wait_s is not None and not arguments.wait_s >= 0:
        raise UsageError(f"--wait-s {arguments.wait_s:g} is no time to wait")
    answer: cluster_pb2.ChangeClusterResponse | None = None
    try:
        with _operator(arguments) as (operator, shown):
            shown.step("looking for the leader of the cluster's record …")
            answer = operator.change(request)
            said = answer.message if answer.changed else f"already so: {answer.message}"
            shown.clear()
            if not arguments.json:
                print(f"{said} (epoch {answer.epoch})", flush=True)
            if is_done is not None and not arguments.no_wait:
                _wait(arguments, operator, shown, is_done)
                if not arguments.json:
                    print(done)
            if arguments.json:
                print_json({"changed": answer.changed, "message": answer.message, "epoch": answer.epoch})
            return 0
    except KeyboardInterrupt:  # out here: who closes the connections is to know of it
        if answer is None:
            raise
        raise CliError(f"interrupted: {GOES_ON}") from None


def _wait(
    arguments: argparse.Namespace,
    operator: "Operator",
    shown: Progress,
    is_done: Callable[["Standing"], bool],
) -> None:
    from memraft_server.cli.operator import watch

    tell = _teller(shown, arguments.json)
    watch(operator, is_done, tell, interval_s=WATCH_INTERVAL_S, timeout_s=arguments.wait_s)
    shown.clear()


def _teller(shown: Progress, is_quiet: bool) -> Callable[[Sequence[str]], None]:
    """Shows what is pending: on a terminal in one line, which is redrawn; elsewhere each line that is new,
    and not only by how many entries are missing: while a snapshot travels, writes add to them."""
    told: set[str] = set()

    def tell(lines: Sequence[str]) -> None:
        if shown.shown:
            more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
            shown.update(f"{lines[0]}{more}" if lines else "about to be done …")
            return
        said = {_ENTRIES.sub("entries", line): line for line in lines}
        for words, line in said.items():
            if not is_quiet and words not in told:
                print(f"  {line}", file=sys.stderr, flush=True)
        told.clear()
        told.update(said)

    return tell


# -- what is shown -------------------------------------------------------------------------------------


def facts_of(standing: "Standing") -> dict[str, Any]:
    """The record for a program, and what is under way."""
    import msgspec

    facts: dict[str, Any] = msgspec.to_builtins(standing.record)
    facts["led_by"] = standing.leader
    for shard in facts["shards"]:
        shard["led_by"] = standing.record.name(found) if (found := standing.leads(shard["shard"])) else ""
    facts["pending"] = standing.pending()
    return facts


def render(standing: "Standing") -> str:
    """The record as a person reads it."""
    record = standing.record
    voters = _names(record, record.meta.voters)
    vote = "votes" if len(record.meta.voters) == 1 else "vote"
    head = (
        f"cluster {record.cluster}, epoch {record.epoch}, {record.replicas} replicas of each shard\n"
        f"the cluster's record is led by {standing.leader or 'NOBODY'}; {voters} {vote} on it"
    )
    nodes = table(
        ["NODE", "ID", "CLIENTS", "PEERS", "STATE", "REPLICAS", "LEADS"],
        [
            [
                node.name,
                node.id,
                node.client,
                node.peer,
                _state(standing, node.id, node.is_leaving),
                sum(node.id in shard.actual.voters for shard in record.shards),
                sum(standing.leads(shard.shard) == node.id for shard in record.shards),
            ]
            for node in record.nodes
        ],
        right="lrlllrr",
    )
    shards = table(
        ["SHARD", "SLOTS", "REPLICAS", "WANTED", "LED BY", "PREFERRED"],
        [_shard_row(standing, shard) for shard in record.shards],
        right="r",
    )
    parts = [head, nodes, shards]
    if standing.pending():
        parts.append("under way:\n" + "\n".join(f"  {line}" for line in standing.pending()))
    if record.removed:
        gone = ", ".join(f"{each.name} (id {each.id}, epoch {each.epoch})" for each in record.removed[-10:])
        parts.append(f"removed: {gone}")
    return "\n\n".join(parts)


def _state(standing: "Standing", node: int, is_leaving: bool) -> str:
    state = "ok" if node in standing.answers else "does not answer"
    return f"leaving, {state}" if is_leaving else state


def _shard_row(standing: "Standing", shard: "ShardEntry") -> list[object]:
    record = standing.record
    learners = f" +{_names(record, shard.actual.learners)}" if shard.actual.learners else ""
    leader = standing.leads(shard.shard)
    return [
        shard.shard,
        f"{shard.first}-{shard.end - 1}",
        f"{_names(record, shard.actual.voters)}{learners}",
        "so" if shard.is_settled else _names(record, shard.replicas),
        record.name(leader) if leader else "NOBODY",
        record.name(shard.leader),
    ]


def _names(record: "Record", ids: Sequence[int]) -> str:
    return " ".join(record.name(each) for each in ids)

"""What a development cluster consists of: its directory, its ports and its node.toml files.

DIR/cluster.json                   the plan: written once, read when the cluster is resumed
DIR/lock                           held while the nodes run: a second start is refused
DIR/certs/ca/                      the certificate authority
DIR/certs/nodes/<node>/            ca.pem, cert.pem, key.pem of each node
DIR/certs/operator/                the same for an operator
DIR/certs/agents/<tenant>/<agent>/ the same for each agent
DIR/nodes/<node>/node.toml         written anew at every start
DIR/nodes/<node>/data/             the node's log
DIR/nodes/<node>/node.log          what it printed
"""

import errno
import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from memraft_server.cli.errors import CliError
from memraft_server.cli.ports import free_ports

HOST = "127.0.0.1"
"""A development cluster listens on this machine only."""

NODES_MAX = 9
SHARDS_MAX = 256
PORTS_PER_NODE = 3
PORT_MAX = 65_535


class PlannedNode(msgspec.Struct, frozen=True):
    """One node: its number from 1, its name, and where it listens for clients, peers and metrics. One that
    ``joins`` came after the cluster began."""

    id: int
    name: str
    client_port: int
    peer_port: int
    metrics_port: int
    joins: bool = False

    @property
    def peer_address(self) -> str:
        """Where other nodes reach it, as host:port."""
        return f"{HOST}:{self.peer_port}"

    @property
    def address(self) -> str:
        """Where clients reach it, as host:port."""
        return f"{HOST}:{self.client_port}"


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole cluster."""

    cluster: str
    trust_domain: str
    shards: int
    nodes: tuple[PlannedNode, ...]
    last: int = 0
    """The highest number of a node that there was: none is used twice."""

    @property
    def endpoints(self) -> str:
        """All nodes' addresses, as `--endpoints` and `Memory` take them."""
        return ",".join(node.address for node in self.nodes)


def new_plan(nodes: int, shards: int, port_base: int | None) -> Plan:
    """Plans a cluster on free ports, or on consecutive ports from `port_base`.

    Raises CliError where a number is out of its range or a port is in use.
    """
    if not 1 <= nodes <= NODES_MAX:
        raise CliError(f"a development cluster has 1 to {NODES_MAX} nodes, not {nodes}")
    if not 1 <= shards <= SHARDS_MAX:
        raise CliError(f"a development cluster has 1 to {SHARDS_MAX} shards, not {shards}")
    wanted = nodes * PORTS_PER_NODE
    if port_base is None:
        ports = free_ports(wanted)
    elif 1 <= port_base <= PORT_MAX + 1 - wanted:
        ports = list(range(port_base, port_base + wanted))
    else:
        raise CliError(f"--port-base {port_base}: {wanted} ports from there must lie in 1 to {PORT_MAX}")
    planned = tuple(
        _planned(number, ports[PORTS_PER_NODE * (number - 1) : PORTS_PER_NODE * number])
        for number in range(1, nodes + 1)
    )
    if port_base is not None:  # before anything is written: a plan's ports cannot be changed
        for node in planned:
            check_ports(node)
    return Plan(cluster="development", trust_domain="memraft.local", shards=shards, nodes=planned)


def _planned(number: int, ports: Sequence[int], joins: bool = False) -> PlannedNode:
    client, peer, metrics = ports
    return PlannedNode(number, f"n{number}", client, peer, metrics, joins)


def with_new_node(plan: Plan) -> Plan:
    """The plan with one more node, on free ports, that joins the cluster; CliError beyond NODES_MAX."""
    if len(plan.nodes) >= NODES_MAX:
        raise CliError(f"a development cluster has at most {NODES_MAX} nodes")
    number = max(plan.last, *(node.id for node in plan.nodes)) + 1
    node = _planned(number, free_ports(PORTS_PER_NODE), joins=True)
    return msgspec.structs.replace(plan, nodes=(*plan.nodes, node))


def without_node(plan: Plan, name: str) -> Plan:
    """The plan without a node."""
    last = max(plan.last, *(node.id for node in plan.nodes))
    left = tuple(node for node in plan.nodes if node.name != name)
    return msgspec.structs.replace(plan, nodes=left, last=last)


def check_same(
    plan: Plan, directory: Path, nodes: int | None, shards: int | None, port_base: int | None
) -> None:
    """Raises CliError where a number that was asked for is not the one of the cluster that exists."""
    for what, asked, has in (
        ("--nodes", nodes, len(plan.nodes)),
        ("--shards", shards, plan.shards),
        ("--port-base", port_base, plan.nodes[0].client_port),
    ):
        if asked is not None and asked != has:
            raise CliError(
                f"{what} {asked}: the cluster in {directory} was made with {has}, which cannot be changed; "
                f"leave {what} out, or take another directory"
            )


def check_ports(node: PlannedNode) -> None:
    """Raises CliError naming the port if one of the node's ports is in use."""
    for what, port in node_ports(node):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise CliError(f"port {port} ({node.name}, {what}) on {HOST} is in use") from error
                raise CliError(f"cannot listen on {HOST}:{port} ({node.name}, {what}): {error}") from error


def node_ports(node: PlannedNode) -> Iterator[tuple[str, int]]:
    """What each port of a node is for, and the port."""
    yield "for clients", node.client_port
    yield "for peers", node.peer_port
    yield "for metrics", node.metrics_port


def read_plan(path: Path) -> Plan:
    """Reads a plan that `write_plan` wrote; CliError where the file is something else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except msgspec.DecodeError as error:
        raise CliError(f"{path} does not describe a development cluster: {error}") from error


def write_plan(plan: Plan, path: Path) -> None:
    """Writes a plan as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")


def node_toml(plan: Plan, node: PlannedNode, data_dir: Path, certs: Path) -> str:
    """The configuration of one node, as docs/configuration.md explains it.

    data_dir: where its log is; certs: the directory with its ca.pem, cert.pem and key.pem.
    """
    members = ",\n".join(
        f"  {{ id = {member.id}, name = {_text(member.name)}, "
        f"peer = {_text(member.peer_address)}, client = {_text(member.address)} }}"
        for member in plan.nodes
        if not member.joins or node.joins
    )
    lines = [
        "# Written by `memraft up` at every start: changes made here are lost.",
        "[node]",
        f"id = {node.id}",
        f"name = {_text(node.name)}",
        f"data_dir = {_text(str(data_dir))}",
        "",
        "[cluster]",
        f"name = {_text(plan.cluster)}",
        f"shards = {plan.shards}",
        f"nodes = [\n{members},\n]",
        f"join = {'true' if node.joins else 'false'}",
        "",
        "[client]",
        f"listen = {_text(node.address)}",
        "",
        "[peer]",
        f"listen = {_text(node.peer_address)}",
        "",
        "[metrics]",
        f"listen = {_text(f'{HOST}:{node.metrics_port}')}",
        "",
        "[tls]",
        f"ca = {_text(str(certs / 'ca.pem'))}",
        f"cert = {_text(str(certs / 'cert.pem'))}",
        f"key = {_text(str(certs / 'key.pem'))}",
    ]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's."""
    return json.dumps(value, ensure_ascii=False)

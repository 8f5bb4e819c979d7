"""The plan of a development cluster: ports, node.toml, cluster.json."""

import socket
from pathlib import Path

import msgspec
import pytest

from memraft_server.cli import devplan
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.errors import CliError
from memraft_server.cli.ports import free_ports
from memraft_server.config import load


def test_ports_are_free_and_all_different() -> None:
    plan = devplan.new_plan(3, 3, None)
    ports = [port for node in plan.nodes for _, port in devplan.node_ports(node)]
    assert len(set(ports)) == 9
    for node in plan.nodes:
        devplan.check_ports(node)


def test_ports_may_be_chosen() -> None:
    plan = devplan.new_plan(2, 1, 7100)
    assert plan.endpoints == "127.0.0.1:7100,127.0.0.1:7103"
    assert list(devplan.node_ports(plan.nodes[1])) == [
        ("for clients", 7103),
        ("for peers", 7104),
        ("for metrics", 7105),
    ]


@pytest.mark.parametrize(
    ("nodes", "shards", "port_base", "complaint"),
    [
        (0, 1, None, "1 to 9 nodes, not 0"),
        (10, 1, None, "1 to 9 nodes, not 10"),
        (3, 0, None, "1 to 256 shards, not 0"),
        (3, 1, 65_530, "9 ports from there must lie in 1 to 65535"),
        (3, 1, 0, "must lie in 1 to 65535"),
    ],
)
def test_numbers_out_of_range_are_refused_with_the_limit(
    nodes: int, shards: int, port_base: int | None, complaint: str
) -> None:
    with pytest.raises(CliError, match=complaint):
        devplan.new_plan(nodes, shards, port_base)


def test_a_port_in_use_is_named_with_its_node_and_its_purpose() -> None:
    with socket.create_server((devplan.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        node = devplan.PlannedNode(1, "n1", *[*free_ports(2), port])
        with pytest.raises(CliError, match=rf"port {port} \(n1, for metrics\) on 127.0.0.1 is in use"):
            devplan.check_ports(node)


def test_a_cluster_is_not_planned_on_a_port_in_use_and_may_be_on_others(tmp_path: Path) -> None:
    with socket.create_server((devplan.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CliError, match=rf"port {port} \(n1, for clients\) on 127.0.0.1 is in use"):
            DevCluster.open(tmp_path / "dev", nodes=1, port_base=port)
        assert not (tmp_path / "dev").exists()
    assert DevCluster.open(tmp_path / "dev", nodes=1).plan.nodes[0].name == "n1"


def test_the_configuration_is_one_that_a_node_reads(tmp_path: Path) -> None:
    plan = devplan.new_plan(3, 5, None)
    home = tmp_path / 'a "directory" with blanks'
    home.mkdir()
    text = devplan.node_toml(plan, plan.nodes[1], home / "data", home / "certs")
    (home / "node.toml").write_text(text, encoding="utf-8")
    config = load(home / "node.toml")
    assert (config.node.id, config.node.name, config.cluster.shards) == (2, "n2", 5)
    assert config.node.data_dir == str(home / "data")
    assert config.tls.key == str(home / "certs" / "key.pem")
    assert [member.client for member in config.cluster.nodes] == plan.endpoints.split(",")


def test_a_plan_is_read_as_it_was_written_and_nothing_else_is(tmp_path: Path) -> None:
    plan = devplan.new_plan(3, 2, None)
    devplan.write_plan(plan, tmp_path / "cluster.json")
    assert devplan.read_plan(tmp_path / "cluster.json") == plan
    (tmp_path / "cluster.json").write_bytes(msgspec.json.encode({"name": "something else"}))
    with pytest.raises(CliError, match="does not describe a development cluster"):
        devplan.read_plan(tmp_path / "cluster.json")

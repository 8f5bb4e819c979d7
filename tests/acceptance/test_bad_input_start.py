"""A node that is started wrong: it says what is wrong, ends with status 1, and leaves nothing running."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from memraft_cluster.errors import DirectoryLocked, LayoutChanged, ListenError, WrongDirectory
from memraft_server import certs
from memraft_server.certs import CertsError
from memraft_server.config import Config, ConfigError, load, split_address
from memraft_server.health import MetricsListenFailed
from memraft_server.node import Node
from memraft_server.rpc.engine import ListenFailed
from tests.acceptance.nodes import HOST, Nodes, reissue_expired


def start_and_stop(config: Config) -> None:
    """Starts a node; stops it again where it did start."""

    async def body() -> None:
        node = Node(config)
        await node.start()
        await node.stop()

    asyncio.run(body())


# -- configuration -------------------------------------------------------------------------------------


def test_an_unknown_field_is_named_with_its_file_and_the_nearest_known(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text("[raft]\ntick_sm = 50\n")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(caught.value) == f"{file}: unknown field raft.tick_sm: did you mean tick_ms?"


def test_relaxed_durability_in_a_cluster_has_to_be_accepted_in_so_many_words(tmp_path: Path) -> None:
    relaxed = {"mode": "relaxed"}
    with pytest.raises(ConfigError, match="i_accept_losing_acknowledged_writes = true"):
        Nodes(tmp_path, 3).config(1, durability=relaxed)
    Nodes(tmp_path, 3).config(1, durability={**relaxed, "i_accept_losing_acknowledged_writes": True})
    Nodes(tmp_path, 1).config(1, durability=relaxed)


# -- ports ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", ["client", "peer", "metrics"])
def test_a_port_in_use_is_named(tmp_path: Path, port: str) -> None:
    config = Nodes(tmp_path).config(1)
    address = {"client": config.client_listen, "peer": config.peer_listen, "metrics": config.metrics.listen}
    host, number = split_address(address[port])
    with socket.create_server((host, number)):
        with pytest.raises((ListenFailed, ListenError, MetricsListenFailed), match=f"{host}:{number}"):
            start_and_stop(config)
    start_and_stop(config)  # and nothing of the attempt is in the way of the next one


# -- data directory ------------------------------------------------------------------------------------


def test_the_data_directory_of_another_node_is_refused_and_left_alone(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, 3)
    first = nodes.config(1)
    Node(first).close()
    stranger = nodes.config(2, node={"id": 2, "name": "n2", "data_dir": first.node.data_dir})
    with pytest.raises(WrongDirectory, match=r"n1.*n2"):
        Node(stranger)
    Node(first).close()


def test_a_data_directory_made_for_other_shards_is_refused_by_name(tmp_path: Path) -> None:
    Node(Nodes(tmp_path, 2, shards=1).config(1)).close()
    with pytest.raises(LayoutChanged, match="was made for 1 shard, the config says 4"):
        Node(Nodes(tmp_path, 2, shards=4).config(1))
    Node(Nodes(tmp_path, 2, shards=1).config(1)).close()


def test_a_data_directory_in_use_is_refused(tmp_path: Path) -> None:
    config = Nodes(tmp_path).config(1)
    node = Node(config)
    with pytest.raises(DirectoryLocked, match="is in use, by this process or another"):
        Node(config)
    node.close()


# -- certificates --------------------------------------------------------------------------------------


def test_an_expired_certificate_is_named_with_its_date(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    out = nodes.node_certs("n1")
    reissue_expired(nodes, out)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%d")
    with pytest.raises(CertsError, match=f"certificate {out / 'cert.pem'} expired on {yesterday}"):
        Node(nodes.config(1))


def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    path = nodes.node_certs("n1") / "cert.pem"
    path.unlink()
    with pytest.raises(CertsError, match=f"certificate {path} cannot be read: No such file"):
        Node(nodes.config(1))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_key_is_named(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    path = nodes.node_certs("n1") / "key.pem"
    path.chmod(0)
    with pytest.raises(CertsError, match=f"key {path} cannot be read: Permission denied"):
        Node(nodes.config(1))


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, 2)
    own, other = nodes.node_certs("n1"), nodes.node_certs("n2")
    (own / "key.pem").write_bytes((other / "key.pem").read_bytes())
    with pytest.raises(CertsError, match=r"key .*key\.pem does not belong to certificate .*cert\.pem"):
        Node(nodes.config(1))


def test_a_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    certs.init_ca(tmp_path / "elsewhere", "memraft.local")
    (nodes.node_certs("n1") / "ca.pem").write_bytes((tmp_path / "elsewhere" / "ca.pem").read_bytes())
    with pytest.raises(CertsError, match="was not issued by the authority"):
        Node(nodes.config(1))


@pytest.mark.parametrize("owner", ["an agent", "another node"])
def test_a_certificate_that_is_not_this_nodes_is_refused(tmp_path: Path, owner: str) -> None:
    nodes = Nodes(tmp_path, 2)
    files = nodes.agent_certs("acme", "support") if owner == "an agent" else nodes.node_certs("n2")
    tls = {each: str(files / f"{each}.pem") for each in ("ca", "cert", "key")}
    with pytest.raises(CertsError, match=r"belongs to .* this is node 'n1'"):
        Node(nodes.config(1, tls=tls))


# -- the process ---------------------------------------------------------------------------------------


def test_the_process_says_what_is_wrong_and_ends_with_status_one(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    config = nodes.config(1)
    (nodes.node_certs("n1") / "key.pem").unlink()
    file = tmp_path / "node.json"
    file.write_bytes(msgspec.json.encode(msgspec.to_builtins(config)))
    program = (
        "import json, sys; from pathlib import Path; from memraft_server.config import parse;"
        "from memraft_server.node import run_node;"
        "sys.exit(run_node(parse(json.load(open(sys.argv[1])), 'node.toml', Path('.'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    line = msgspec.json.decode(done.stderr.strip().splitlines()[-1])
    assert line["event"] == "the node cannot start"
    assert "key.pem cannot be read: No such file" in line["error"]
    assert HOST in config.client_listen

"""What `docker compose up` prepares, without Docker: certificates and configurations that a node accepts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from memraft_server.config import Config, load

ROOT = Path(__file__).resolve().parent.parent.parent
INIT = ROOT / "deploy" / "compose" / "init.sh"


def prepare(folder: Path, **settings: str) -> None:
    """Runs the service `init` with these settings, as a container with its volumes would."""
    for name in ("authority", "clients", "nodes/n1", "nodes/n2", "nodes/n3"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "MEMRAFT_INIT_ROOT": str(folder), **settings}
    subprocess.run([str(INIT)], env=environment, check=True, capture_output=True, text=True)


def configuration(folder: Path, number: int) -> Config:
    return load(folder / "nodes" / f"n{number}" / "node.toml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("compose")
    prepare(found, MEMRAFT_PORT_2="8002", MEMRAFT_HOST="agents.example.org")
    return found


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_node_gets_a_configuration_of_its_own(folder: Path, number: int) -> None:
    config = configuration(folder, number)
    assert (config.node.id, config.node.name) == (number, f"n{number}")
    ports = [7001, 8002, 7003]
    assert [node.client for node in config.cluster.nodes] == [f"agents.example.org:{port}" for port in ports]
    assert config.client.listen == f"0.0.0.0:{ports[number - 1]}"
    for file in ("ca.pem", "cert.pem", "key.pem"):
        assert (folder / "nodes" / f"n{number}" / "certs" / file).is_file()


def test_the_second_start_keeps_authority_and_clients(folder: Path) -> None:
    def kept() -> list[bytes]:
        return [
            (folder / name).read_bytes()
            for name in ("authority/files/ca.pem", "clients/agent/key.pem", "clients/operator/cert.pem")
        ]

    before = kept()
    prepare(folder)
    assert kept() == before
    assert configuration(folder, 2).cluster.nodes[1].client == "localhost:7002"


def test_nothing_secret_is_for_others(folder: Path) -> None:
    keys = [*folder.rglob("key.pem"), *folder.rglob("ca-key.pem")]
    assert len(keys) == 6
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)

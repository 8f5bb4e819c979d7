"""The cluster of docker-compose.yml, driven through testcontainers, and what can be done to its nodes."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from testcontainers.compose import DockerCompose
from testcontainers.core.docker_client import DockerClient

ROOT = Path(__file__).resolve().parent.parent.parent
NODES = ("n1", "n2", "n3")
WAIT_S = 90.0
GIVE_UP_STOP_S = 30


def compose_command() -> list[str]:
    """`docker compose`, or `docker-compose` where the engine's command has no such plugin."""
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("neither `docker compose` nor `docker-compose` is installed")


def engine() -> Any:
    """A client of the Docker engine; skips the test where none answers."""
    if not shutil.which("docker"):
        pytest.skip("the command `docker` is not installed")
    # Asked of the command first: the library leaves sockets open where nobody answers.
    asked = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        said = " ".join(asked.stderr.split())
        pytest.skip(f"no Docker engine answers (DOCKER_HOST says where it is): {said}")
    return DockerClient().client


def eventually(condition: Callable[[], bool], what: str, wait_s: float = WAIT_S) -> None:
    """Waits until a condition holds; fails with `what` when it does not in time."""
    deadline = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {wait_s:.0f} s: {what}"
        time.sleep(0.1)


class _Compose(DockerCompose):
    """testcontainers' compose, which knows the plugin alone, with either command."""

    @cached_property
    def compose_command_property(self) -> list[str]:
        command = super().compose_command_property
        return [*compose_command(), *command[command.index("compose") + 1 :]]


class Cluster:
    """Three nodes in containers, from `up` to `down --volumes`.

    Args:
        folder: for the settings and the clients' certificates.
        ports: where the three nodes listen, on this machine.
        project: names containers, volumes and network of this run.
    """

    def __init__(self, folder: Path, ports: list[int], project: str) -> None:
        self._engine = engine()
        self._project = project
        self._networks: list[Any] = []
        self.certs = folder / "clients"
        self.endpoints = [f"localhost:{port}" for port in ports]
        settings: Mapping[str, object] = {
            "COMPOSE_PROJECT_NAME": project,
            "MEMRAFT_IMAGE": "memraft:test",
            **{f"MEMRAFT_PORT_{number}": port for number, port in enumerate(ports, 1)},
        }
        env_file = folder / "settings.env"
        env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self._compose = _Compose(
            context=str(ROOT),
            compose_file_name="docker-compose.yml",
            env_file=str(env_file),
            build=True,
            wait=False,
        )

    def __enter__(self) -> Cluster:
        try:
            self._compose.start()
            eventually(self.all_healthy, "three healthy nodes")
            self._take_certificates()
        except BaseException:
            self._compose.stop()
            raise
        return self

    def __exit__(self, *unused: object) -> None:
        for name in NODES:  # `down` cannot stop what is frozen
            container = self.node(name)
            if container.status == "paused":
                container.unpause()
        self._compose.stop()

    def container(self, service: str) -> Any:
        """The container of a service, as it is now."""
        labels = [f"com.docker.compose.project={self._project}", f"com.docker.compose.service={service}"]
        (found,) = self._engine.containers.list(all=True, filters={"label": labels})
        return found

    def node(self, name: str) -> Any:
        return self.container(name)

    def health(self, name: str) -> str:
        """What the health check of the image says: starting, healthy or unhealthy."""
        return str(self.node(name).attrs["State"].get("Health", {}).get("Status"))

    def all_healthy(self) -> bool:
        return all(self.health(name) == "healthy" for name in NODES)

    def _take_certificates(self) -> None:
        """As a user does: out of the container of the service `init`."""
        source = f"{self.container('init').id}:/clients"
        subprocess.run(["docker", "cp", source, str(self.certs)], check=True, capture_output=True)

    def disconnect(self, name: str) -> None:
        """Pulls the plug of one node: it reaches no other node and no client."""
        container = self.node(name)
        (network,) = container.attrs["NetworkSettings"]["Networks"]
        self._network(network).disconnect(container)

    def connect(self, name: str) -> None:
        """Puts it back in, under its name."""
        self._network(f"{self._project}_default").connect(self.node(name), aliases=[name])

    def _network(self, name: str) -> Any:
        (found,) = self._engine.networks.list(names=[name])
        return found

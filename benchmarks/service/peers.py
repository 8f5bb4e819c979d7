"""Starts and stops the systems on loopback, in temporary directories: Redis, etcd and this service."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import grpc
import redis

from benchmarks.service import etcd_api, products
from benchmarks.service.products import Unavailable
from benchmarks.service.stores import Target
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.ports import free_ports

HERE = Path(__file__).parent
HOST = "127.0.0.1"
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
RESTART_TIMEOUT_S = 180.0
"""Of nodes that have much to load."""
POLL_S = 0.05
INSTALL = "scripts/install_bench_tools.sh installs it on Debian"


class Peer(Protocol):
    """A system that runs: where clients find it, and its processes by their names."""

    target: Target
    pids: dict[str, int]
    version: str

    def stop(self) -> None:
        """Ends it."""


class _Processes:
    """Programs that end with this object, and with this process even where it is killed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str) -> int:
        """Starts a program, what it prints goes to a file; its process id."""
        prefix = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (self._directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal goes to its whole process group; these are stopped after their clients.
                start_new_session=True,
            )
        self._running[name] = process
        return process.pid

    def wait(self, what: str, is_ready: Callable[[], bool]) -> None:
        """Waits until it is. Raises Unavailable where a program ends or the time is over."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not is_ready():
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise Unavailable(f"{name} ended with status {process.returncode}: {self._end_of(name)}")
            if time.monotonic() > deadline:
                raise Unavailable(f"{what} was not ready after {READY_TIMEOUT_S:.0f} s")
            time.sleep(POLL_S)

    def _end_of(self, name: str) -> str:
        lines = (self._directory / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it printed nothing"

    def stop(self) -> None:
        """Ends all, by force those that take long."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _program(name: str) -> str:
    """Where a program is. Raises Unavailable."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed: {INSTALL}")
    return found


def _version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE)
    return (done.stdout.splitlines() or ["unknown"])[0]


class Redis:
    """redis-server with its append-only file and no other configuration.

    Args:
        directory: for its files.
        fsync: `appendfsync`, `always` or `everysec`.
    """

    def __init__(self, directory: Path, fsync: str) -> None:
        program = _program("redis-server")
        self.version = _version(program, "--version")
        directory.mkdir(parents=True)
        (port,) = free_ports(1)
        self._processes = _Processes(directory)
        options = ("--appendonly", "yes", "--appendfsync", fsync, "--save", "")
        where = ("--bind", HOST, "--port", str(port), "--dir", str(directory), "--loglevel", "warning")
        self.pids = {"redis": self._processes.start("redis", program, *where, *options)}
        self.target = Target("redis", f"{HOST}:{port}")
        client: Any = redis.Redis(host=HOST, port=port)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.exceptions.ConnectionError:
                return False

        try:
            self._processes.wait("redis-server", answers)
        except BaseException:
            self.stop()
            raise
        finally:
            client.close()

    def stop(self) -> None:
        """Ends it."""
        self._processes.stop()


ETCD_QUOTA_BYTES = 8 << 30
"""Of its database. With the default of 2 GiB a long run would end in alarms."""


class Etcd:
    """A cluster of etcd in plain text, each write synced by a majority, as it does by default.

    Its target is the member that leads: a call to another would be passed on.

    Args:
        directory: for its files.
        members: how many.
    """

    def __init__(self, directory: Path, members: int) -> None:
        program = _program("etcd")
        self.version = _version(program, "--version")
        directory.mkdir(parents=True)
        ports = free_ports(2 * members)
        names = [f"e{number + 1}" for number in range(members)]
        peers = [f"http://{HOST}:{port}" for port in ports[:members]]
        addresses = [f"{HOST}:{port}" for port in ports[members:]]
        self._processes = _Processes(directory)
        self.pids = {}
        for name, peer, address in zip(names, peers, addresses, strict=True):
            cluster = ",".join(f"{each}={url}" for each, url in zip(names, peers, strict=True))
            self.pids[name] = self._processes.start(
                name, program, "--name", name, "--data-dir", str(directory / name), "--log-level", "error",
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--listen-client-urls", f"http://{address}", "--advertise-client-urls", f"http://{address}",
                "--initial-cluster", cluster, "--initial-cluster-state", "new",
                "--quota-backend-bytes", str(ETCD_QUOTA_BYTES),
            )  # fmt: skip
        leaders: list[str] = []

        def is_led() -> bool:
            leaders[:] = _leaders(addresses)
            return bool(leaders)

        try:
            self._processes.wait("etcd", is_led)
        except BaseException:
            self.stop()
            raise
        self.target = Target("etcd", leaders[0])

    def stop(self) -> None:
        """Ends it."""
        self._processes.stop()


def _leaders(addresses: list[str]) -> list[str]:
    """Those members that all of them say lead; none until all answer."""
    leading = []
    for address in addresses:
        with grpc.insecure_channel(address) as channel:
            try:
                status = etcd_api.calls_of(channel)["Status"](etcd_api.api().StatusRequest(), timeout=1.0)
            except grpc.RpcError:
                return []
        if not status.leader:
            return []
        if status.leader == status.header.member_id:
            leading.append(address)
    return leading


class Memraft:
    """Nodes of this service as processes, with mutual TLS and its default durability.

    Args:
        directory: for its files.
        nodes: how many.
        shards: Raft groups; the benchmark's namespace is in one of them.
        engine: what serves and carries calls; empty: the default.
    """

    def __init__(self, directory: Path, nodes: int, shards: int, engine: str) -> None:
        self.version = _version("git", "describe", "--always", "--dirty")
        self._cluster = DevCluster.open(directory, nodes=nodes, shards=shards)
        if engine:
            for config in sorted(directory.glob("nodes/*/node.toml")):
                products.set_node_engine(config, engine)
        try:
            self._cluster.start(timeout_s=READY_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise
        self.pids = self._pids()
        self.plan = self._cluster.plan
        self.operator_certs = self._cluster.operator_certs
        certs = self._cluster.agent_certs("acme", "bench")
        self.target = Target("memraft", self._cluster.endpoints, str(certs), engine)

    def _pids(self) -> dict[str, int]:
        return {node.name: self._cluster.pid(node.name) for node in self._cluster.plan.nodes}

    def restart(self) -> float:
        """Stops the nodes in good order, and starts them again: seconds from then until all are ready."""
        self._cluster.stop()
        began = time.monotonic()
        self._cluster.start(timeout_s=RESTART_TIMEOUT_S)
        self.pids = self._pids()
        return time.monotonic() - began

    def stop(self) -> None:
        """Ends it."""
        self._cluster.stop()

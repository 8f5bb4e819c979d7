"""The cluster under test: `memraft serve` processes, each in the namespace of its node, with mutual TLS."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from memraft_server import certs
from memraft_server.cli.clusterview import ClusterView, Observer
from memraft_server.cli.nodelog import last_error
from tests.acceptance.campaign.network import Network
from tests.acceptance.campaign.sandbox import run_command

CLIENT_PORT, PEER_PORT, METRICS_PORT = 7000, 7100, 7200
TENANT, AGENT, OPERATOR = "acme", "load", "campaign"
STOP_TIMEOUT_S = 20.0
POLL_S = 0.05

SETTINGS: Mapping[str, Mapping[str, object]] = {}
"""Sections of every node's configuration beyond the smallest one: the defaults are what is tested."""


class ClusterError(Exception):
    """A node did not do what the harness needs; the message has its last words."""


class Cluster:
    """Nodes by name: `n1`, `n2`, …

    Args:
        directory: for certificates, configurations, data and logs.
        network: its namespaces are up.
        names: the nodes that the cluster is founded with, among those of the network.
        shards: how many.

    Attributes:
        environments: further variables of a node's process, taken at its next start.
        settings: sections of a node's configuration, taken at its next start; "" for all nodes.
        sizes: a node whose data is to lie on a tmpfs of so many bytes; taken before its first start.
    """

    def __init__(self, directory: Path, network: Network, names: Sequence[str], shards: int) -> None:
        self.directory = directory
        self.network = network
        self.names = list(names)
        self.shards = shards
        self._replicas = len(self.names)
        self.environments: dict[str, dict[str, str]] = {}
        self.settings: dict[str, dict[str, dict[str, object]]] = {}
        self.sizes: dict[str, int] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._observer: Observer | None = None
        self._make_certs()

    # -- what it is made of ----------------------------------------------------------------------------

    def _make_certs(self) -> None:
        # Clocks of nodes are set back in some runs: certificates must be valid then too.
        certs.BACKDATED = timedelta(days=30)
        ca = self.directory / "ca"
        certs.init_ca(ca, "memraft.local")
        for name in self.network.names:
            certs.issue_node(ca, self.certs(name), name, [self.network.address(name)])
        certs.issue_agent(ca, self.agent_certs, TENANT, AGENT)
        certs.issue_operator(ca, self.operator_certs, OPERATOR)

    def certs(self, name: str) -> Path:
        """Directory with a node's certificate."""
        return self.directory / "certs" / name

    @property
    def agent_certs(self) -> Path:
        """Directory with the certificate of the clients."""
        return self.directory / "certs" / "agent"

    @property
    def operator_certs(self) -> Path:
        """Directory with an operator's certificate."""
        return self.directory / "certs" / "operator"

    def home(self, name: str) -> Path:
        """Directory of a node: its node.toml, node.log and data."""
        return self.directory / "nodes" / name

    def data(self, name: str) -> Path:
        """The node's data directory."""
        return self.home(name) / "data"

    def log_text(self, name: str) -> str:
        """All that the node has printed."""
        path = self.home(name) / "node.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def address(self, name: str) -> str:
        """Where clients reach a node."""
        return f"{self.network.address(name)}:{CLIENT_PORT}"

    @property
    def endpoints(self) -> str:
        """All members' addresses for clients."""
        return ",".join(self.address(name) for name in self.names)

    def write_config(self, name: str) -> Path:
        """Writes node.toml as the attributes say now."""
        members = [
            f'{{ id = {number}, name = "{each}", peer = "{self.network.address(each)}:{PEER_PORT}", '
            f'client = "{self.address(each)}" }}'
            for number, each in enumerate(self.network.names, 1)
            if each in self.names or each == name
        ]
        number = self.network.names.index(name) + 1
        listen = f"{self.network.address(name)}:{METRICS_PORT}"
        sections: dict[str, dict[str, object]] = {
            "node": {"id": number, "name": name, "data_dir": str(self.data(name))},
            # Every founding node has every shard: five nodes are a group of five.
            "cluster": {"name": "campaign", "shards": self.shards, "replicas": self._replicas},
            "metrics": {"listen": listen},
            "tls": {each: str(self.certs(name) / f"{each}.pem") for each in ("ca", "cert", "key")},
        }
        for more in (SETTINGS, self.settings.get("", {}), self.settings.get(name, {})):
            for section, values in more.items():
                sections.setdefault(section, {}).update(values)
        lines = []
        for section, values in sections.items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
            if section == "cluster":
                lines.append("nodes = [\n  " + ",\n  ".join(members) + ",\n]")
        path = self.home(name) / "node.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    # -- processes -------------------------------------------------------------------------------------

    def start(self, timeout_s: float = 60.0) -> None:
        """Starts all founding nodes and returns when all are ready. Raises ClusterError."""
        for name in self.names:
            if name in self.sizes and not os.path.ismount(self.data(name)):
                self.data(name).mkdir(parents=True, exist_ok=True)
                size = f"size={self.sizes[name]}"
                run_command("mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self.data(name)))
            self.start_node(name)
        self.wait_ready(self.names, timeout_s)

    def start_node(self, name: str) -> None:
        """Starts one node and returns at once."""
        config = self.write_config(name)
        command = [*self.network.enter(name), sys.executable, "-m", "memraft_server.cli", "serve"]
        with (self.home(name) / "node.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*command, "--config", str(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.environments.get(name, {})},
                start_new_session=True,
            )  # fmt: skip

    def wait_ready(self, names: Iterable[str], timeout_s: float) -> float:
        """Returns the seconds until all these nodes say that they are ready. Raises ClusterError."""
        began = time.monotonic()
        waiting = list(names)
        while waiting:
            for name in waiting:
                if (status := self.exit_status(name)) is not None:
                    raise ClusterError(f"{name} ended with status {status}: {self.last_words(name)}")
            waiting = [name for name in waiting if self.not_ready(name)]
            if waiting and time.monotonic() - began > timeout_s:
                reasons = "; ".join(f"{name}: {self.not_ready(name)}" for name in waiting)
                raise ClusterError(f"not ready after {timeout_s:.0f} s: {reasons}")
            if waiting:
                time.sleep(POLL_S)
        return time.monotonic() - began

    def not_ready(self, name: str) -> str:
        """Why a node is not ready; empty: it is."""
        url = f"http://{self.network.address(name)}:{METRICS_PORT}/readyz"
        try:
            with urllib.request.urlopen(url, timeout=1.0) as answer:
                return "" if answer.status == 200 else f"status {answer.status}"
        except urllib.error.HTTPError as error:
            return error.read().decode("utf-8", "replace").strip().replace("\n", "; ")
        except OSError as error:
            return str(error)

    def exit_status(self, name: str) -> int | None:
        """How a node's process ended; None where it lives."""
        return self._processes[name].poll()

    def wait_end(self, name: str, timeout_s: float) -> int | None:
        """Waits for a node to end by itself; None where it does not in time."""
        try:
            return self._processes[name].wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def last_words(self, name: str) -> str:
        """The last error in a node's log."""
        return last_error(self.home(name) / "node.log")

    def pid(self, name: str) -> int:
        """The process id of a node."""
        return self._processes[name].pid

    def alive(self) -> list[str]:
        """Nodes whose process lives, stopped ones included."""
        return [name for name, process in self._processes.items() if process.poll() is None]

    def signal(self, names: Iterable[str], number: signal.Signals) -> None:
        """Sends a signal to nodes, one right after the other."""
        for name in names:
            os.kill(self._processes[name].pid, number)

    def kill(self, *names: str) -> None:
        """SIGKILL for all of them at once; returns when they are gone."""
        self.signal(names, signal.SIGKILL)
        for name in names:
            self._processes[name].wait()

    def stop_node(self, name: str, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ends a node in good order; returns its exit status. Raises ClusterError where it does not end."""
        self.signal([name], signal.SIGTERM)
        status = self.wait_end(name, timeout_s)
        if status is None:
            raise ClusterError(f"{name} did not end within {timeout_s:.0f} s of SIGTERM")
        return status

    def close(self) -> None:
        """Ends all nodes and unmounts their disks."""
        self.forget_observer()
        for process in self._processes.values():
            process.kill()
            process.wait()
        for name in self.sizes:
            if os.path.ismount(self.data(name)):
                run_command("umount", str(self.data(name)))

    def forget_observer(self) -> None:
        """Asks the nodes that there are now the next time."""
        if self._observer is not None:
            self._observer.__exit__(None, None, None)
            self._observer = None

    # -- how it stands ---------------------------------------------------------------------------------

    def look(self) -> ClusterView:
        """Asks every node how it stands. Raises CliError where none answers."""
        if self._observer is None:
            self._observer = Observer(self.endpoints.split(","), self.operator_certs)
        return self._observer.look()

    def leader(self, shard: int = 0, timeout_s: float = 20.0) -> str:
        """The node that leads a shard. Raises ClusterError where none does in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.look().shards[shard].leader
            if found:
                return found
            if time.monotonic() > deadline:
                raise ClusterError(f"shard {shard} has no leader after {timeout_s:.0f} s")
            time.sleep(POLL_S)

    def followers(self, shard: int = 0) -> list[str]:
        """The other founding nodes."""
        leader = self.leader(shard)
        return [name for name in self.names if name != leader]

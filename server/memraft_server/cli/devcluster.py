"""A development cluster: nodes as processes of this machine, with mutual TLS, that can be started, killed and
restarted by name. `memraft up`, the demo, the benchmarks and the acceptance tests all use this one.

A node ends with the process that started it, however that ended: it holds the other end of the node's
standard input, and `memraft serve --until-stdin-closes` stops in good order when that closes.
"""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType

from memraft_server.certs import CA_CERT, init_ca, issue_agent, issue_node, issue_operator
from memraft_server.cli.devplan import (
    HOST,
    Plan,
    PlannedNode,
    check_ports,
    new_plan,
    node_toml,
    read_plan,
    write_plan,
)
from memraft_server.cli.errors import CliError

READY_TIMEOUT_S = 60.0
"""A node that is not ready by then is reported with the end of its log."""

STOP_TIMEOUT_S = 10.0
"""What a node gets to hand over its shards and flush before it is killed."""

POLL_INTERVAL_S = 0.05
LOG_LINES_SHOWN = 8

OPERATOR = "local"
"""Name of the operator whose certificate a development cluster comes with."""

Report = Callable[[str], None]


class DevCluster:
    """A cluster in a directory. A context manager: leaving it stops all nodes.

    Attributes: `plan`, `directory`.
    """

    def __init__(self, directory: Path, plan: Plan) -> None:
        self.directory = directory
        self.plan = plan
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @classmethod
    def open(
        cls,
        directory: Path,
        nodes: int = 3,
        shards: int | None = None,
        port_base: int | None = None,
    ) -> "DevCluster":
        """Resumes the cluster in `directory`, or plans a new one there and makes its certificates.

        shards: left out, as many as nodes; of a cluster that exists, nodes, shards and ports stay what they
        were.
        """
        directory = directory.resolve()
        plan_file = directory / "cluster.json"
        if plan_file.exists():
            plan = read_plan(plan_file)
        else:
            if directory.exists() and any(directory.iterdir()):
                raise CliError(f"{directory} is not empty and holds no development cluster (cluster.json)")
            plan = new_plan(nodes, nodes if shards is None else shards, port_base)
            directory.mkdir(parents=True, exist_ok=True)
            write_plan(plan, plan_file)
        cluster = cls(directory, plan)
        cluster._prepare()
        return cluster

    def _prepare(self) -> None:
        """Makes what is missing of certificates, and every node.toml anew."""
        ca = self.directory / "certs" / "ca"
        if not (ca / CA_CERT).exists():
            init_ca(ca, self.plan.trust_domain)
        for node in self.plan.nodes:
            certs = self.directory / "certs" / "nodes" / node.name
            if not (certs / "cert.pem").exists():
                issue_node(ca, certs, node.name, [HOST, "localhost"])
            home = self._home(node.name)
            home.mkdir(parents=True, exist_ok=True)
            text = node_toml(self.plan, node, home / "data", certs)
            (home / "node.toml").write_text(text, encoding="utf-8")
        if not (self.operator_certs / "cert.pem").exists():
            issue_operator(ca, self.operator_certs, OPERATOR)

    def _home(self, name: str) -> Path:
        return self.directory / "nodes" / name

    @property
    def endpoints(self) -> str:
        """All nodes' addresses for clients, comma-separated."""
        return self.plan.endpoints

    @property
    def operator_certs(self) -> Path:
        """Directory with an operator's ca.pem, cert.pem and key.pem."""
        return self.directory / "certs" / "operator"

    def agent_certs(self, tenant: str, agent: str) -> Path:
        """Directory with that agent's ca.pem, cert.pem and key.pem; issued when first asked for."""
        certs = self.directory / "certs" / "agents" / tenant / agent
        if not (certs / "cert.pem").exists():
            issue_agent(self.directory / "certs" / "ca", certs, tenant, agent)
        return certs

    def node(self, name: str) -> PlannedNode:
        """The planned node of that name; CliError where there is none."""
        for node in self.plan.nodes:
            if node.name == name:
                return node
        raise CliError(f"there is no node {name!r} among {', '.join(n.name for n in self.plan.nodes)}")

    def start(self, report: Report = lambda text: None, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Starts all nodes and returns when all are ready.

        report: called with a line about how far it is, several times a second.
        Raises CliError where a port is in use, a node ends, or one is not ready in time.
        """
        for node in self.plan.nodes:
            if not self.is_running(node.name):
                check_ports(node)
        for node in self.plan.nodes:
            if not self.is_running(node.name):
                self.start_node(node.name)
        self.wait_ready([node.name for node in self.plan.nodes], report, timeout_s)

    def start_node(self, name: str) -> None:
        """Starts one node and returns at once."""
        home = self._home(self.node(name).name)
        command = [sys.executable, "-m", "memraft_server.cli", "serve", "--until-stdin-closes"]
        with (home / "node.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*command, "--config", str(home / "node.toml")],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal goes to its whole process group; nodes are to be stopped in order.
                start_new_session=True,
            )

    def wait_ready(
        self, names: Iterable[str], report: Report = lambda text: None, timeout_s: float = READY_TIMEOUT_S
    ) -> None:
        """Returns when all these nodes answer that they are ready; CliError where one ends or is late."""
        deadline = time.monotonic() + timeout_s
        waiting = list(names)
        total = len(waiting)
        while waiting:
            waiting = [name for name in waiting if not self._ready(name)]
            report(f"starting nodes: {total - len(waiting)} of {total} ready")
            if waiting and time.monotonic() > deadline:
                late = ", ".join(waiting)
                raise CliError(f"not ready after {timeout_s:.0f} s: {late}. {self._log_end(waiting[0])}")
            if waiting:
                time.sleep(POLL_INTERVAL_S)

    def _ready(self, name: str) -> bool:
        process = self._processes.get(name)
        if process is not None and process.poll() is not None:
            ended = f"node {name} ended with status {process.returncode}"
            raise CliError(f"{ended}. {self._log_end(name)}")
        try:
            url = f"http://{HOST}:{self.node(name).metrics_port}/readyz"
            with urllib.request.urlopen(url, timeout=1.0) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _log_end(self, name: str) -> str:
        path = self._home(name) / "node.log"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        return f"The end of {path}: " + " | ".join(lines[-LOG_LINES_SHOWN:])

    def is_running(self, name: str) -> bool:
        """Whether this object started the node and its process lives."""
        process = self._processes.get(name)
        return process is not None and process.poll() is None

    def pid(self, name: str) -> int:
        """The process id of a node that runs; CliError otherwise."""
        if not self.is_running(name):
            raise CliError(f"node {name} does not run")
        return self._processes[name].pid

    def kill_node(self, name: str) -> None:
        """Ends a node with SIGKILL, as a crash would, and returns when it is gone."""
        process = self._processes.pop(name)
        process.kill()
        _reap(process)

    def stop_node(self, name: str) -> None:
        """Ends a node in good order; kills it where it is not done in STOP_TIMEOUT_S."""
        self._terminate([name])

    def stop(self) -> None:
        """Ends all nodes in good order, at the same time; kills those not done in STOP_TIMEOUT_S."""
        self._terminate(list(self._processes))

    def _terminate(self, names: Sequence[str]) -> None:
        ending = [self._processes.pop(name) for name in names]
        for process in ending:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in ending:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
            _reap(process)

    def wait_any_exit(self) -> str:
        """Waits until a node ends by itself and returns its name."""
        while True:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    return name
            time.sleep(POLL_INTERVAL_S)

    def log_end(self, name: str) -> str:
        """The last lines of a node's log, for an error message."""
        return self._log_end(name)

    def __enter__(self) -> "DevCluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    if process.stdin is not None:
        process.stdin.close()

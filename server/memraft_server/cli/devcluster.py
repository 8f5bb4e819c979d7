"""A development cluster: nodes as processes of this machine, with mutual TLS, that can be started, killed and
restarted by name. `memraft up`, the demo, the benchmarks and the acceptance tests all use this one.

A node ends with the process that started it, however that ended: it holds the other end of the node's
standard input, and `memraft serve --until-stdin-closes` stops in good order when that closes.
"""

import fcntl
import os
import signal
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
    check_same,
    new_plan,
    node_toml,
    read_plan,
    with_new_node,
    without_node,
    write_plan,
)
from memraft_server.cli.errors import CliError
from memraft_server.cli.nodelog import last_error

READY_TIMEOUT_S = 60.0
"""A node that is not ready by then is reported with the end of its log."""
REMOVED = b"this node was removed from the cluster"
"""How `/readyz` of such a node begins."""

STOP_TIMEOUT_S = 10.0
"""What a node gets to hand over its shards and flush before it is killed."""

POLL_INTERVAL_S = 0.05
NODES_DEFAULT = 3

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
        self._log_begins: dict[str, int] = {}
        self._lock: int | None = None

    @classmethod
    def open(
        cls,
        directory: Path,
        nodes: int | None = None,
        shards: int | None = None,
        port_base: int | None = None,
    ) -> "DevCluster":
        """Resumes the cluster in `directory`, or plans a new one there and makes its certificates.

        nodes: left out, 3; shards: left out, as many as nodes; port_base: left out, free ports are taken.
        Of a cluster that exists all three stay what they were: CliError where another number is asked for.
        """
        directory = directory.resolve()
        plan_file = directory / "cluster.json"
        if plan_file.exists():
            plan = read_plan(plan_file)
            check_same(plan, directory, nodes, shards, port_base)
        else:
            if directory.exists() and any(directory.iterdir()):
                raise CliError(f"{directory} is not empty and holds no development cluster (cluster.json)")
            nodes = NODES_DEFAULT if nodes is None else nodes
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

    def add_node(self) -> PlannedNode:
        """Plans one more node and makes its certificate and node.toml. It is neither started nor added to the
        cluster: that is `memraft cluster add-node`."""
        self._change_plan(with_new_node(self.plan))
        return self.plan.nodes[-1]

    def forget_node(self, name: str) -> None:
        """Stops a node that the cluster has removed, and plans without it from now on; its files stay."""
        if name in self._processes:
            self.stop_node(name)
        self._change_plan(without_node(self.plan, name))

    def _change_plan(self, plan: Plan) -> None:
        self.plan = plan
        write_plan(plan, self.directory / "cluster.json")
        self._prepare()

    def start(self, report: Report = lambda text: None, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Starts all nodes and returns when all are ready.

        report: called with a line about how far it is, several times a second.
        Raises CliError where the cluster runs already, a port is in use, a node ends, or one is not ready in
        time.
        """
        self._take_lock()
        for node in self.plan.nodes:
            if not self.is_running(node.name):
                check_ports(node)
        for node in self.plan.nodes:
            if not self.is_running(node.name):
                self.start_node(node.name)
        self.wait_ready([node.name for node in self.plan.nodes], report, timeout_s)

    def _take_lock(self) -> None:
        """Holds DIR/lock until the nodes are stopped; the system lets go of it when this process ends."""
        if self._lock is not None:
            return
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 32).decode("ascii", "replace").strip()
            os.close(lock)
            raise CliError(
                f"the cluster in {self.directory} is already running, started by process {holder}"
            ) from None
        os.truncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._lock = lock

    def start_node(self, name: str) -> None:
        """Starts one node and returns at once."""
        home = self._home(self.node(name).name)
        command = [sys.executable, "-m", "memraft_server.cli", "serve", "--until-stdin-closes"]
        with (home / "node.log").open("ab") as log:
            self._log_begins[name] = log.tell()
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
        """Returns when all these nodes answer that they are ready; CliError where one ends or is late.

        One that the cluster has removed meanwhile never will be: it is stopped, and planned without.
        """
        deadline = time.monotonic() + timeout_s
        waiting = list(names)
        total = len(waiting)
        while waiting:
            waiting = [name for name in waiting if not self._is_done_with(name)]
            report(f"starting nodes: {total - len(waiting)} of {total} ready")
            if waiting and time.monotonic() > deadline:
                late = ", ".join(waiting)
                raise CliError(f"not ready after {timeout_s:.0f} s: {late}{self._last_words(waiting[0])}")
            if waiting:
                time.sleep(POLL_INTERVAL_S)

    def _is_done_with(self, name: str) -> bool:
        """Whether a node need not be waited for: it is ready, or was removed and is forgotten."""
        self._check_alive(name)
        try:
            url = f"http://{HOST}:{self.node(name).metrics_port}/readyz"
            with urllib.request.urlopen(url, timeout=1.0) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            if not error.read().startswith(REMOVED):
                return False
            self.forget_node(name)
            return True
        except OSError:
            return False

    def check_alive(self) -> None:
        """CliError where a node that was started has ended by itself: how, its last error, and its log."""
        for name in self._processes:
            self._check_alive(name)

    def _check_alive(self, name: str) -> None:
        process = self._processes.get(name)
        status = None if process is None else process.poll()
        if status is not None:
            raise CliError(f"node {name} ended by itself, {_how(status)}{self._last_words(name)}")

    def _last_words(self, name: str) -> str:
        path = self._home(name) / "node.log"
        error = last_error(path, self._log_begins.get(name, 0))
        return f"; last error: {error}; its log: {path}" if error else f"; its log: {path}"

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

        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _terminate(self, names: Sequence[str]) -> None:
        ending = [self._processes[name] for name in names]
        try:
            for process in ending:
                if process.poll() is None:
                    process.terminate()
            deadline = time.monotonic() + STOP_TIMEOUT_S
            for process in ending:
                try:
                    process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    pass
        finally:
            # Those that took too long, and all that are left where this was cut short.
            for name, process in zip(names, ending, strict=True):
                process.kill()
                _reap(process)
                del self._processes[name]

    def __enter__(self) -> "DevCluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _how(status: int) -> str:
    """How a process ended, from its `returncode`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    if process.stdin is not None:
        process.stdin.close()

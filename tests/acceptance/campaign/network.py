"""Each node in a network namespace of its own, joined by a bridge; packet filters between them make the
faults.

The bridge is in the sandbox's own namespace, where the clients are. A node's namespace has one link, `eth0`,
and two filter chains for faults, so that healing is flushing them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence

from tests.acceptance.campaign.sandbox import run_command

SUBNET = "10.77.0"
CLIENTS_ADDRESS = f"{SUBNET}.254"
"""Where the clients are: the bridge's own address."""

CHAINS = {"INPUT": "FAULT_IN", "OUTPUT": "FAULT_OUT"}
QUEUE = 1
"""Number of the packet queue; each namespace counts its own."""


class Network:
    """The namespaces of nodes n1, n2, … A node's address is the subnet's n-th.

    Args:
        names: the nodes.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._delays: list[subprocess.Popen[bytes]] = []

    def up(self) -> None:
        """Makes bridge, namespaces and links. Raises SandboxError."""
        run_command("ip", "link", "add", "bridge", "type", "bridge")
        run_command("ip", "address", "add", f"{CLIENTS_ADDRESS}/24", "dev", "bridge")
        run_command("ip", "link", "set", "bridge", "up")
        for name in self.names:
            self._join(name)

    def _join(self, name: str) -> None:
        run_command("ip", "netns", "add", name)
        link = f"to-{name}"
        run_command("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        run_command("ip", "link", "set", link, "master", "bridge", "up")
        self.run(name, "ip", "link", "set", "lo", "up")
        self.run(name, "ip", "address", "add", f"{self.address(name)}/24", "dev", "eth0")
        self.run(name, "ip", "link", "set", "eth0", "up")

    def down(self) -> None:
        """Takes everything away again. Nodes in there must have ended."""
        self.heal()
        for name in self.names:
            run_command("ip", "link", "del", f"to-{name}")
            run_command("ip", "netns", "del", name)
        run_command("ip", "link", "del", "bridge")

    def address(self, name: str) -> str:
        """The IP address of a node."""
        return f"{SUBNET}.{self.names.index(name) + 1}"

    def enter(self, name: str) -> list[str]:
        """The words before a command that is to run in a node's namespace."""
        return ["nsenter", f"--net=/run/netns/{name}"]

    def run(self, name: str, *command: str) -> str:
        """Runs a command in a node's namespace. Raises SandboxError."""
        return run_command(*self.enter(name), *command)

    # -- faults ----------------------------------------------------------------------------------------

    def unplug(self, name: str) -> None:
        """Takes a node's link down: nobody reaches it, nor it anybody, clients included."""
        run_command("ip", "link", "set", f"to-{name}", "down")

    def plug(self, name: str) -> None:
        """Brings the link up again."""
        run_command("ip", "link", "set", f"to-{name}", "up")

    def block(self, source: str, target: str) -> None:
        """Packets from one node no longer reach another; the other way they do."""
        self._filter(target, "INPUT", "-s", self.address(source), "-j", "DROP")

    def split(self, side: Iterable[str], other: Iterable[str]) -> None:
        """Two sides that no longer reach each other. Clients reach both."""
        others = list(other)
        for one in side:
            for two in others:
                self.block(one, two)
                self.block(two, one)

    def lose(self, name: str, share: float) -> None:
        """A node loses this share of the packets that it sends, to nodes and clients alike, at random."""
        self._filter(
            name,
            "OUTPUT",
            "-m",
            "statistic",
            "--mode",
            "random",
            "--probability",
            f"{share:.4f}",
            "-j",
            "DROP",
        )

    def disturb(self, name: str, delay_ms: float, jitter_ms: float, loss: float) -> None:
        """All that a node sends to other nodes waits in a queue in user space, is reordered by that, and some
        of it is lost.

        Args:
            name: the node.
            delay_ms, jitter_ms: each packet waits delay ± jitter, uniformly.
            loss: the share that never goes on.
        """
        program = [sys.executable, "-m", "tests.acceptance.campaign.packets", str(QUEUE)]
        ready, told = os.pipe()
        process = subprocess.Popen(
            [*self.enter(name), *program, str(delay_ms), str(jitter_ms), str(loss), str(told)],
            pass_fds=(told,),
        )
        os.close(told)
        self._delays.append(process)
        with os.fdopen(ready, "rb") as pipe:
            pipe.read()  # it closes its end when the queue is bound
        self._filter(
            name, "OUTPUT", "!", "-d", CLIENTS_ADDRESS, "-j", "NFQUEUE", "--queue-num", str(QUEUE),
        )  # fmt: skip

    def _filter(self, name: str, hook: str, *rule: str) -> None:
        chain = CHAINS[hook]
        existing = self.run(name, "iptables", "-w", "-S")
        if f"-N {chain}" not in existing:
            self.run(name, "iptables", "-w", "-N", chain)
            self.run(name, "iptables", "-w", "-A", hook, "-j", chain)
        self.run(name, "iptables", "-w", "-A", chain, *rule)

    def heal(self, names: Iterable[str] | None = None) -> None:
        """Ends every fault at these nodes; None: at all, delays too."""
        for name in self.names if names is None else names:
            existing = self.run(name, "iptables", "-w", "-S")
            for chain in CHAINS.values():
                if f"-N {chain}" in existing:
                    self.run(name, "iptables", "-w", "-F", chain)
            self.plug(name)
        if names is None:
            for process in self._delays:
                process.kill()
                process.wait()
            self._delays.clear()

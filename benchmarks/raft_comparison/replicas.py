"""Three replica processes of one engine, and what the comparison asks of them.

Each process answers requests over a pipe, which both engines understand:

``("ready",)``
    whether it can serve: it knows a leader and has caught up
``("leads",)``
    whether it leads
``("load", seconds, inflight, first, tell)``
    proposes numbers from `first` on, `inflight` at a time; if `tell`, sends lists of numbers acknowledged; at
    last a dict of figures
``("one", number)``
    whether the number was acknowledged, once that is known
``("missing", numbers)``
    how many of these numbers the replica's machine does not have
``("cut_applied",)``
    how often the replica has cut entries from its log that it had applied already, by its own account
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

NODES = (1, 2, 3)
READY_TIMEOUT_S = 30.0
POLL_S = 0.01
HEADER_BYTES = 8
"""A command is a number of this many bytes and padding."""

Replica = Callable[[int, Sequence[int], str, int, bool, Connection], None]
"""(node, ports of all, folder, bytes of a command, whether to keep data on disk, pipe); never returns."""


def figures(latencies_s: list[float], took_s: float, failed: int) -> dict[str, Any]:
    """Commits a second and latencies in milliseconds of one load."""
    ordered = sorted(latencies_s) or [float("nan")]
    return {
        "commits_per_s": round(len(latencies_s) / took_s),
        "p50_ms": round(ordered[len(ordered) // 2] * 1e3, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1e3, 2),
        "failed": failed,
    }


class Gone(Exception):
    """A replica's process does not answer, or ends, where it should not."""


class Replicas:
    """Three processes of one engine, from construction to `kill`.

    Args:
        replica: what each process runs.
        folder: where their data is; used again, the processes find what those before them have left.
        ports: three ports.
        bytes_: of a command.
        on_disk: whether data is kept.
    """

    def __init__(
        self, replica: Replica, folder: Path, ports: Sequence[int], bytes_: int, on_disk: bool
    ) -> None:
        self._arguments = (ports, str(folder), bytes_, on_disk)
        self._replica = replica
        self._context = multiprocessing.get_context("spawn")
        self.pipes: dict[int, Connection] = {}
        self.processes: dict[int, Any] = {}
        for node in NODES:
            self.start(node)

    def start(self, node: int) -> None:
        """Starts one process, as after a crash."""
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=self._replica, args=(node, *self._arguments, there), daemon=True
        )
        process.start()
        there.close()
        self.pipes[node], self.processes[node] = here, process

    def ask(self, node: int, *request: Any, timeout_s: float = READY_TIMEOUT_S) -> Any:
        """Sends a request to one process and returns its answer."""
        try:
            self.pipes[node].send(request)
            if not self.pipes[node].poll(timeout_s):
                raise Gone(f"replica {node} does not answer {request[0]!r} within {timeout_s:g} s")
            return self.pipes[node].recv()
        except (EOFError, OSError) as error:
            raise Gone(f"replica {node} has ended") from error

    def alive(self) -> list[int]:
        return [node for node in NODES if self.processes[node].is_alive()]

    def leader(self, need_ready: bool = True, timeout_s: float = READY_TIMEOUT_S) -> int | None:
        """The node that leads, once all three are ready if `need_ready`; None where that never comes."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            nodes = self.alive()
            if not need_ready or (
                len(nodes) == len(NODES) and all(self.ask(node, "ready") for node in nodes)
            ):
                for node in nodes:
                    if self.ask(node, "leads"):
                        return node
            time.sleep(POLL_S)
        return None

    def kill(self, *nodes: int) -> None:
        """SIGKILL to some processes, or to all."""
        for node in nodes or NODES:
            self.processes[node].kill()
        for node in nodes or NODES:
            self.processes[node].join()

    def load_until(self, node: int, seconds: float, inflight: int, first: int) -> set[int]:
        """Loads one process for some time; the numbers acknowledged. The load goes on when this returns."""
        self.pipes[node].send(("load", 3600.0, inflight, first, True))
        deadline = time.monotonic() + seconds
        return self._listen(node, deadline)

    def _listen(self, node: int, deadline: float) -> set[int]:
        acknowledged: set[int] = set()
        try:
            while (left := deadline - time.monotonic()) > 0:
                if self.pipes[node].poll(left):
                    acknowledged.update(self.pipes[node].recv())
        except (EOFError, OSError):
            pass
        return acknowledged

    def last_words(self, node: int) -> set[int]:
        """What a killed process had still said of acknowledged numbers."""
        return self._listen(node, time.monotonic() + READY_TIMEOUT_S)

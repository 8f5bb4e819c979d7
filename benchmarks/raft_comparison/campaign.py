"""What both engines go through: loads, and kills under load."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.raft_comparison.replicas import (
    NODES,
    POLL_S,
    READY_TIMEOUT_S,
    Gone,
    Replica,
    Replicas,
)
from memraft_server.cli.ports import free_ports

KILL_INFLIGHT = 64
KILL_BYTES = 200
FAR = 1 << 40
"""Numbers from here on are proposed one by one, to see whether writes go on."""


def throughput(replica: Replica, bytes_: int, inflight: int, seconds: float, on_disk: bool) -> dict[str, Any]:
    """Commits a second of three fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        replicas = Replicas(replica, Path(folder), free_ports(len(NODES)), bytes_, on_disk)
        try:
            leader = replicas.leader()
            if leader is None:
                return {"bytes": bytes_, "inflight": inflight, "stuck": True}
            replicas.ask(leader, "load", 0.5, inflight, FAR, False)
            found = replicas.ask(
                leader, "load", seconds, inflight, 1, False, timeout_s=seconds + READY_TIMEOUT_S
            )
            cuts = sum(replicas.ask(node, "cut_applied") for node in NODES)
            return {"bytes": bytes_, "inflight": inflight, **found, "cut_applied": cuts}
        except Gone as error:
            return {"bytes": bytes_, "inflight": inflight, "stuck": str(error)}
        finally:
            replicas.kill()


def _next_write_s(replicas: Replicas, began: float, number: int) -> float | None:
    """Seconds from `began` until a write is acknowledged again; None: never."""
    while time.monotonic() - began < READY_TIMEOUT_S:
        leader = replicas.leader(need_ready=False, timeout_s=POLL_S)
        if leader is not None and replicas.ask(leader, "one", number):
            return time.monotonic() - began
        number += 1
    return None


def _missing(replicas: Replicas, acknowledged: set[int]) -> int:
    """How many acknowledged numbers some replica does not have, after time to catch up."""
    deadline = time.monotonic() + READY_TIMEOUT_S / 3
    while True:
        lost: int = max(replicas.ask(node, "missing", acknowledged) for node in NODES)
        if not lost or time.monotonic() > deadline:
            return lost
        time.sleep(0.2)


def kill(replica: Replica, which: str, seconds: float) -> dict[str, Any]:
    """SIGKILL under load, restart, and what is left.

    Args:
        replica: the engine.
        which: "leader" or "all".
        seconds: of load before.

    Returns:
        acknowledged; lost: how many of these a replica no longer has when all run again; stuck: why the
        cluster did not come back, if it did not; pause_s: until the next acknowledged write, from the kill,
        or, where all were killed, from their start.
    """
    with tempfile.TemporaryDirectory() as folder:
        replicas = Replicas(replica, Path(folder), free_ports(len(NODES)), KILL_BYTES, True)
        found: dict[str, Any] = {"acknowledged": 0, "lost": 0, "stuck": "", "pause_s": None}
        try:
            leader = replicas.leader()
            if leader is None:
                return {**found, "stuck": "never ready at the first start"}
            acknowledged = replicas.load_until(leader, seconds, KILL_INFLIGHT, 1)
            replicas.kill(*([leader] if which == "leader" else NODES))
            began = time.monotonic()
            acknowledged |= replicas.last_words(leader)
            found["acknowledged"] = len(acknowledged)
            if which == "all":
                for node in NODES:
                    replicas.start(node)
                began = time.monotonic()
            found["pause_s"] = _next_write_s(replicas, began, FAR)
            if found["pause_s"] is None:
                return {**found, "stuck": "no write is acknowledged any more"}
            if which == "leader":
                replicas.start(leader)
            if replicas.leader() is None:
                return {**found, "stuck": "not all replicas became ready again"}
            return {**found, "lost": _missing(replicas, acknowledged)}
        except Gone as error:
            return {**found, "stuck": str(error)}
        finally:
            replicas.kill()

"""Faults of disks: a sync that fails, a disk that is full."""

from __future__ import annotations

import re
import time

from tests.acceptance.campaign import needs
from tests.acceptance.campaign.cluster import Cluster
from tests.acceptance.campaign.faults import Stage, Steps, fault
from tests.acceptance.campaign.sandbox import run_command

EIO = 5
END_TIMEOUT_S = 8.0
"""A node whose disk fails a sync has ended by then."""


def preload_fiu(stage: Stage) -> None:
    """Starts every node with libfiu, which fails calls once it is told to through a pipe."""
    libraries = " ".join(map(str, needs.fiu_libraries()))
    for name in stage.names:
        stage.cluster.environments[name] = {
            "LD_PRELOAD": libraries,
            "FIU_CTRL_FIFO": _pipe(stage.cluster, name),
        }


def _pipe(cluster: Cluster, name: str) -> str:
    return str(cluster.home(name) / "fiu")


def fail_syncs(stage: Stage, name: str) -> None:
    """From now on the node's fdatasync and fsync fail with EIO."""
    # One command for all calls: after the first failure nobody would read a second one from the pipe.
    command = f"enable name=posix/io/sync/*,failinfo={EIO}"
    run_command("fiu-ctrl", "-f", _pipe(stage.cluster, name), "-c", command, str(stage.cluster.pid(name)))


def expect_fatal(stage: Stage, name: str) -> None:
    """The node ends by itself, and says why in its last words."""
    status = stage.cluster.wait_end(name, END_TIMEOUT_S)
    words = stage.cluster.last_words(name)
    stage.expect(status is not None, f"{name} goes on {END_TIMEOUT_S:.0f} s after its disk failed a sync")
    stage.expect(status != 0, f"{name} ended with status 0 after its disk failed a sync")
    named = re.search(r"[Ii]nput/output error|EIO", words)
    stage.expect(named is not None, f"{name} did not name the failed sync in its last words: {words!r}")
    stage.notes.append(f"{name}: {words[:160]}")


def restart_without(stage: Stage, name: str) -> None:
    """Starts a node again, its disk well."""
    stage.cluster.environments.pop(name, None)
    if name in stage.cluster.alive():
        stage.cluster.kill(name)  # it had nothing to write since
    stage.cluster.start_node(name)


@fault("eio-leader", "the leader's disk fails a sync (EIO): it ends, says why, recovers at its restart",
       needs=[needs.fiu], prepare=preload_fiu)  # fmt: skip
def eio_leader(stage: Stage) -> Steps:
    """A failed sync is never repeated: what it left on disk is unknown."""
    name = stage.leader()
    fail_syncs(stage, name)
    expect_fatal(stage, name)
    yield
    restart_without(stage, name)


@fault(
    "eio-follower",
    "a follower's disk fails a sync (EIO)",
    needs=[needs.fiu],
    prepare=preload_fiu,
    sizes=(5, 3),
)
def eio_follower(stage: Stage) -> Steps:
    """The same where the majority does not depend on it."""
    name = stage.follower()
    fail_syncs(stage, name)
    expect_fatal(stage, name)
    yield
    restart_without(stage, name)


@fault("eio-all", "every disk fails its syncs (EIO)", needs=[needs.fiu], prepare=preload_fiu,
       gap_s_max=None, hold_s=1.0)  # fmt: skip
def eio_all(stage: Stage) -> Steps:
    """A majority ends, the leader first; the others have nothing to write any more. Nothing is lost."""
    leader = stage.leader()
    followers = stage.others(leader)
    for name in [leader, *followers]:  # without followers a leader soon has nothing to sync
        fail_syncs(stage, name)
    expect_fatal(stage, leader)
    deadline = time.monotonic() + END_TIMEOUT_S
    while len(stage.cluster.alive()) > len(stage.names) - stage.majority and time.monotonic() < deadline:
        time.sleep(0.05)
    alive = stage.cluster.alive()
    stage.expect(
        len(alive) <= len(stage.names) - stage.majority, f"a majority goes on without disks: {alive}"
    )
    yield
    for name in stage.names:
        restart_without(stage, name)

"""Disks that are full: small file systems, filled by somebody else."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from tests.acceptance.campaign import needs
from tests.acceptance.campaign.cluster import Cluster
from tests.acceptance.campaign.faults import Stage, Steps, fault
from tests.linearizability import Operation, Outcome

DISK_BYTES = 384 << 20
SETTLE_S = 1.0
DISK_FULL = "DISK_FULL"
"""The reason that clients are told."""


def small_disks(stage: Stage) -> None:
    """Every node's data lies on a small file system of its own."""
    for name in stage.names:
        stage.cluster.sizes[name] = DISK_BYTES


def _filler(cluster: Cluster, name: str) -> Path:
    return cluster.data(name) / "somebody-elses-file"


def fill(stage: Stage, name: str) -> None:
    """Takes all the space that is left on a node's disk."""
    size, piece = 0, DISK_BYTES
    with _filler(stage.cluster, name).open("wb") as file:
        while piece:
            try:
                os.posix_fallocate(file.fileno(), size, piece)
                size += piece
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                piece //= 2


def free(stage: Stage, name: str) -> None:
    """Gives it back."""
    _filler(stage.cluster, name).unlink(missing_ok=True)


def served_since(stage: Stage, began: float) -> tuple[list[Operation], list[Operation]]:
    """Reads and writes that began later than that and were answered."""
    assert stage.load is not None
    answered = [
        each for each in stage.load.recorder.history() if each.invoked > began and each.outcome is Outcome.OK
    ]
    return [each for each in answered if each.kind == "get"], [
        each for each in answered if each.kind != "get"
    ]


def expect_alive(stage: Stage) -> None:
    """No process has ended."""
    for name in stage.names:
        status = stage.cluster.exit_status(name)
        stage.expect(
            status is None,
            f"{name} ended with status {status} on a full disk: {stage.cluster.last_words(name)}",
        )


def revive(stage: Stage) -> None:
    """Starts what has ended, as an operator would."""
    for name in stage.names:
        if stage.cluster.exit_status(name) is not None:
            stage.cluster.start_node(name)


@fault("full-disk-leader", "the leader's disk is full: others lead, and nothing is lost",
       needs=[needs.tmpfs], prepare=small_disks, hold_s=4.0)  # fmt: skip
def full_disk_leader(stage: Stage) -> Steps:
    """A minority without space is no reason to stop."""
    name = stage.leader()
    fill(stage, name)
    yield
    expect_alive(stage)
    free(stage, name)
    revive(stage)


@fault("full-disk-all", "every disk is full: writes are refused with the reason, reads are served",
       needs=[needs.tmpfs], prepare=small_disks, gap_s_max=None, hold_s=3.0)  # fmt: skip
def full_disk_all(stage: Stage) -> Steps:
    """And writes go on by themselves when there is space again."""
    assert stage.load is not None
    for name in stage.names:
        fill(stage, name)
    time.sleep(SETTLE_S)
    began = time.monotonic()
    yield
    expect_alive(stage)
    reads, writes = served_since(stage, began)
    stage.expect(bool(reads), "no read was served while all disks were full")
    stage.expect(not writes, f"writes were acknowledged on full disks: {writes[:1]}")
    told = sum(count for error, count in stage.load.errors.items() if DISK_FULL in error)
    stage.expect(told > 0, f"no client was told {DISK_FULL}, but {dict(stage.load.errors)}")
    stage.notes.append(f"{len(reads)} reads served, {told} writes refused as {DISK_FULL}")
    for name in stage.names:
        free(stage, name)
    revive(stage)


@fault("full-disk-start", "a node is killed on a full disk and starts while it is still full",
       needs=[needs.tmpfs], prepare=small_disks, hold_s=3.0)  # fmt: skip
def full_disk_start(stage: Stage) -> Steps:
    """It comes up and serves reads, or says why not; with space it is well."""
    name = stage.follower()
    fill(stage, name)
    time.sleep(SETTLE_S)
    stage.cluster.kill(name)
    stage.cluster.start_node(name)
    yield
    expect_alive(stage)
    free(stage, name)
    revive(stage)

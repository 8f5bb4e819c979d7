"""Changes of the cluster while it works, by `memraft cluster`, with faults in the middle."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

from tests.acceptance.campaign import needs
from tests.acceptance.campaign.faults import RECOVERY_S_MAX, Stage, Steps, fault
from tests.acceptance.campaign.faults_damage import short_logs, stuff

CHANGE_S_MAX = 30.0
"""Stated bound: a change of the cluster of this size is brought about within it, under load."""
TRANSFERS = 6


def command(stage: Stage, *words: str) -> list[str]:
    """The words of a `memraft cluster` command."""
    reach = ["--endpoints", stage.cluster.endpoints, "--certs", str(stage.cluster.operator_certs)]
    return [sys.executable, "-m", "memraft_server.cli", "cluster", *words, *reach]


def change(stage: Stage, *words: str) -> str:
    """Gives a command and waits for its end; what it printed. Notes a violation where it fails or is late."""
    try:
        done = subprocess.run(
            command(stage, *words), capture_output=True, text=True, check=False, timeout=CHANGE_S_MAX,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode(errors="replace") if isinstance(late.stdout, bytes) else ""
        stage.violations.append(
            f"`cluster {' '.join(words)}`: not done in {CHANGE_S_MAX:.0f} s: {said[-300:]}"
        )
        return ""
    stage.expect(
        done.returncode == 0,
        f"`cluster {' '.join(words)}` ended with {done.returncode}: {(done.stderr or done.stdout)[-400:]}",
    )
    return done.stdout


def join_spare(stage: Stage) -> str:
    """Starts a node that the cluster was not founded with, and adds it; its name."""
    cluster = stage.cluster
    stuff(stage)
    spare = next(name for name in cluster.network.names if name not in cluster.names)
    cluster.settings[spare] = {"cluster": {"join": True}}
    cluster.start_node(spare)
    change(stage, "add-node", "--config", str(cluster.home(spare) / "node.toml"))
    cluster.names.append(spare)
    return spare


def leave(stage: Stage, name: str) -> None:
    """The node has been removed: ended in good order, and no more counted."""
    stage.cluster.names.remove(name)
    stage.cluster.forget_observer()
    status = stage.cluster.stop_node(name)
    stage.expect(status == 0, f"{name}, removed, ended with status {status} on SIGTERM, not 0")


@fault("transfer-leader", f"`cluster transfer-leader`, {TRANSFERS} times in turn", hold_s=0.5, gap_s_max=3.0,
       prepare=short_logs)  # fmt: skip
def transfer_leader(stage: Stage) -> Steps:
    """Hardly a gap: the next leader is told to begin."""
    for _ in range(TRANSFERS):
        change(stage, "transfer-leader", "0", stage.follower())
    yield


@fault("move-replica", "a node joins, a shard's replica moves to it from the leader", spares=1, hold_s=0.5,
       prepare=short_logs)  # fmt: skip
def move_replica(stage: Stage) -> Steps:
    """The leader hands over before it goes."""
    source = stage.leader()
    spare = join_spare(stage)
    change(stage, "move-replica", "0", source, spare)
    yield


@fault("replace-node", "a node joins, the leader's node is removed and ended", spares=1, hold_s=1.0,
       prepare=short_logs)  # fmt: skip
def replace_node(stage: Stage) -> Steps:
    """What an operator does with an old machine. It runs on for a while, removed, and disturbs nobody."""
    source = stage.leader()
    join_spare(stage)
    change(stage, "remove-node", source)
    time.sleep(1.0)
    leave(stage, source)
    yield


@fault("move-and-kill", "a replica moves to a node that joins; the leader is killed, then the new one",
       spares=1, hold_s=1.0, prepare=short_logs)  # fmt: skip
def move_and_kill(stage: Stage) -> Steps:
    """Whoever leads next goes on with the change."""
    source = stage.leader()
    target = join_spare(stage)
    change(stage, "move-replica", "0", source, target, "--no-wait")
    for victim in (source, target):
        time.sleep(stage.dice.random())
        stage.cluster.kill(victim)
        time.sleep(1.0)
        stage.cluster.start_node(victim)
        stage.cluster.wait_ready([victim], RECOVERY_S_MAX)
    yield
    again = change(stage, "move-replica", "0", source, target)
    stage.expect(bool(re.search("already so", again)), f"a change given again is not already so: {again!r}")


@fault("move-and-cut", "a replica moves to a node that joins and is cut off from the leader", spares=1,
       prepare=short_logs, needs=[needs.iptables])  # fmt: skip
def move_and_cut(stage: Stage) -> Steps:
    """A learner that is not reached is not counted on."""
    source = stage.leader()
    target = join_spare(stage)
    stage.network.split([target], [source])
    change(stage, "move-replica", "0", source, target, "--no-wait")
    yield
    stage.network.heal()
    change(stage, "move-replica", "0", source, target)


@fault("interrupt-change", "the command that moves a replica is killed and repeated, three times", spares=1,
       hold_s=0.5, prepare=short_logs)  # fmt: skip
def interrupt_change(stage: Stage) -> Steps:
    """The cluster's record has the change: the command only watches."""
    source = stage.leader()
    target = join_spare(stage)
    for _ in range(3):
        watching = subprocess.Popen(
            command(stage, "move-replica", "0", source, target), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(0.3 + 0.4 * stage.dice.random())
        watching.send_signal(signal.SIGKILL)
        watching.wait()
    change(stage, "move-replica", "0", source, target)
    yield

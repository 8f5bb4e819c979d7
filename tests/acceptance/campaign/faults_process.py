"""Faults of processes: killed, stopped, restarted."""

from __future__ import annotations

import signal
import time

from tests.acceptance.campaign.faults import RECOVERY_S_MAX, Stage, Steps, fault


@fault("none", "no fault: what the load does to a cluster that is well", hold_s=2.0)
def none(stage: Stage) -> Steps:
    """The control."""
    yield


@fault("kill-leader", "SIGKILL for the leader")
def kill_leader(stage: Stage) -> Steps:
    """The others elect one of them."""
    name = stage.leader()
    stage.cluster.kill(name)
    yield
    stage.cluster.start_node(name)


@fault("kill-follower", "SIGKILL for a follower", sizes=(5, 3))
def kill_follower(stage: Stage) -> Steps:
    """Hardly anybody notices."""
    name = stage.follower()
    stage.cluster.kill(name)
    yield
    stage.cluster.start_node(name)


@fault("kill-majority", "SIGKILL for a majority, the leader among it", gap_s_max=None, sizes=(5, 3))
def kill_majority(stage: Stage) -> Steps:
    """No writes until they are back."""
    leader = stage.leader()
    names = [leader, *stage.dice.sample(stage.others(leader), stage.majority - 1)]
    stage.cluster.kill(*names)
    yield
    for name in names:
        stage.cluster.start_node(name)


@fault("kill-all", "SIGKILL for every node at once", gap_s_max=None)
def kill_all(stage: Stage) -> Steps:
    """What was acknowledged is on their disks."""
    stage.cluster.kill(*stage.names)
    yield
    for name in stage.names:
        stage.cluster.start_node(name)


@fault("kill-storm", "SIGKILL for whoever leads, again and again, each restarted at once", hold_s=1.0)
def kill_storm(stage: Stage) -> Steps:
    """Elections beside nodes that are still catching up. One is down at a time."""
    for _ in range(4):
        name = stage.leader()
        stage.cluster.kill(name)
        stage.cluster.start_node(name)
        stage.cluster.wait_ready([name], RECOVERY_S_MAX)
    yield


@fault(
    "pause-leader", "SIGSTOP for the leader, SIGCONT later: it wakes up believing that it leads", hold_s=3.2
)
def pause_leader(stage: Stage) -> Steps:
    """It must not answer reads from the past."""
    name = stage.leader()
    stage.cluster.signal([name], signal.SIGSTOP)
    yield
    stage.cluster.signal([name], signal.SIGCONT)


@fault("doze-leader", "SIGSTOP for the leader and SIGCONT before clients give it up, three times", hold_s=0.5)
def doze_leader(stage: Stage) -> Steps:
    """Questions wait in its sockets when it wakes up, and another one has led since."""
    for _ in range(3):
        name = stage.leader()
        stage.cluster.signal([name], signal.SIGSTOP)
        time.sleep(1.9)
        stage.cluster.signal([name], signal.SIGCONT)
        time.sleep(0.3)
    yield


@fault("pause-follower", "SIGSTOP for a follower, SIGCONT later", sizes=(5, 3))
def pause_follower(stage: Stage) -> Steps:
    """Its connections stay open while nothing is read from them."""
    name = stage.follower()
    stage.cluster.signal([name], signal.SIGSTOP)
    yield
    stage.cluster.signal([name], signal.SIGCONT)


@fault("pause-majority", "SIGSTOP for a majority, SIGCONT later", gap_s_max=None)
def pause_majority(stage: Stage) -> Steps:
    """The leader among them or not, as it comes."""
    names = stage.dice.sample(stage.names, stage.majority)
    stage.cluster.signal(names, signal.SIGSTOP)
    yield
    stage.cluster.signal(names, signal.SIGCONT)


@fault(
    "pause-flicker", "SIGSTOP and SIGCONT for whoever leads, ten times, for half a second each", hold_s=0.5
)
def pause_flicker(stage: Stage) -> Steps:
    """Pauses about as long as an election timeout: some cost the leadership, some do not."""
    for _ in range(10):
        name = stage.leader()
        stage.cluster.signal([name], signal.SIGSTOP)
        time.sleep(0.3 + 0.4 * stage.dice.random())
        stage.cluster.signal([name], signal.SIGCONT)
        time.sleep(0.1)
    yield


@fault("rolling-restart", "every node in turn is ended in good order (SIGTERM) and started again", hold_s=0.5,
       gap_s_max=4.0)  # fmt: skip
def rolling_restart(stage: Stage) -> Steps:
    """What an upgrade does."""
    for name in list(stage.names):
        status = stage.cluster.stop_node(name)
        stage.expect(status == 0, f"{name} ended with status {status} on SIGTERM, not 0")
        stage.cluster.start_node(name)
        stage.cluster.wait_ready([name], RECOVERY_S_MAX)
    yield

"""Faults of the network between nodes: cut, cut one way, slow, lossy."""

from __future__ import annotations

import time

from tests.acceptance.campaign import needs
from tests.acceptance.campaign.faults import Stage, Steps, fault

DELAY_MS, JITTER_MS = 40.0, 35.0


@fault(
    "unplug-leader",
    "the leader's link is down: no node and no client reaches it",
    needs=[needs.namespaces],
    hold_s=3.2,
)
def unplug_leader(stage: Stage) -> Steps:
    """The namespace's own link."""
    name = stage.leader()
    stage.network.unplug(name)
    yield
    stage.network.plug(name)


@fault(
    "isolate-leader", "the leader is cut off from the other nodes, clients reach it", needs=[needs.iptables]
)
def isolate_leader(stage: Stage) -> Steps:
    """The classic for stale reads: it may not answer a linearizable one."""
    name = stage.leader()
    stage.network.split([name], stage.others(name))
    yield
    stage.network.heal()


@fault(
    "mute-leader",
    "one way: what the leader sends to other nodes is lost, it hears them",
    needs=[needs.iptables],
)
def mute_leader(stage: Stage) -> Steps:
    """It must notice by check-quorum, or by the term of those who elect another."""
    name = stage.leader()
    for other in stage.others(name):
        stage.network.block(name, other)
    yield
    stage.network.heal()


@fault("deafen-leader", "one way: the leader hears no other node, they hear it", needs=[needs.iptables])
def deafen_leader(stage: Stage) -> Steps:
    """Its heartbeats keep followers quiet while it can commit nothing: check-quorum must end that."""
    name = stage.leader()
    for other in stage.others(name):
        stage.network.block(other, name)
    yield
    stage.network.heal()


@fault("deafen-follower", "one way: a follower hears no other node, they hear it", needs=[needs.iptables],
       sizes=(5, 3))  # fmt: skip
def deafen_follower(stage: Stage) -> Steps:
    """It calls elections that pre-vote must keep from disturbing the others."""
    name = stage.follower()
    for other in stage.others(name):
        stage.network.block(other, name)
    yield
    stage.network.heal()


@fault("split-majority", "a majority, and a minority that the leader is in", needs=[needs.iptables],
       sizes=(5,))  # fmt: skip
def split_majority(stage: Stage) -> Steps:
    """Clients reach both sides."""
    leader = stage.leader()
    minority = [leader, *stage.dice.sample(stage.others(leader), len(stage.names) - stage.majority - 1)]
    stage.network.split(minority, [name for name in stage.names if name not in minority])
    yield
    stage.network.heal()


@fault("split-all", "every node is alone", needs=[needs.iptables], gap_s_max=None)
def split_all(stage: Stage) -> Steps:
    """No writes; and nobody may answer as a leader."""
    for name in stage.names:
        stage.network.split([name], [each for each in stage.names if each > name])
    yield
    stage.network.heal()


@fault(
    "bridge",
    "two halves that meet in one node only, which is not the leader",
    needs=[needs.iptables],
    sizes=(5,),
)
def bridge(stage: Stage) -> Steps:
    """Every half with the bridge is a majority."""
    leader = stage.leader()
    middle, *rest = stage.dice.sample(stage.others(leader), len(stage.names) - 1)
    stage.network.split([leader, rest[0]], rest[1:])
    stage.notes.append(f"{middle} sees all")
    yield
    stage.network.heal()


@fault("ring", "every node sees its two neighbours alone", needs=[needs.iptables], sizes=(5,))
def ring(stage: Stage) -> Steps:
    """Every node sees a majority, another one each."""
    count = len(stage.names)
    for number, name in enumerate(stage.names):
        stage.network.split([name], [stage.names[(number + 2) % count]])
    yield
    stage.network.heal()


@fault("flapping", "the leader's link goes down and up, six times", needs=[needs.namespaces], hold_s=0.5)
def flapping(stage: Stage) -> Steps:
    """Each time a little longer than an election takes."""
    for _ in range(6):
        name = stage.leader()
        stage.network.unplug(name)
        time.sleep(0.4 + stage.dice.random())
        stage.network.plug(name)
        time.sleep(0.3)
    yield


@fault("delay", f"what nodes send each other takes {DELAY_MS:.0f} ± {JITTER_MS:.0f} ms, reordered",
       needs=[needs.nfqueue], hold_s=3.5)  # fmt: skip
def delay(stage: Stage) -> Steps:
    """A queue in user space: works without `tc netem`."""
    for name in stage.names:
        stage.network.disturb(name, DELAY_MS, JITTER_MS, 0.0)
    yield
    stage.network.heal()


@fault("delay-and-loss", f"between nodes {DELAY_MS:.0f} ± {JITTER_MS:.0f} ms and 5 % of the packets lost",
       needs=[needs.nfqueue], hold_s=3.5)  # fmt: skip
def delay_and_loss(stage: Stage) -> Steps:
    """TCP repeats what is lost, after 200 ms and more."""
    for name in stage.names:
        stage.network.disturb(name, DELAY_MS, JITTER_MS, 0.05)
    yield
    stage.network.heal()


@fault("loss", "every node loses 15 % of the packets it sends, to nodes and clients", needs=[needs.statistic],
       hold_s=3.5)  # fmt: skip
def loss(stage: Stage) -> Steps:
    """Dropped in the kernel, without a queue."""
    for name in stage.names:
        stage.network.lose(name, 0.15)
    yield
    stage.network.heal()


@fault(
    "lossy-leader",
    "the leader loses half of the packets that it sends",
    needs=[needs.statistic],
    sizes=(5, 3),
)
def lossy_leader(stage: Stage) -> Steps:
    """Alive enough to disturb, not to serve."""
    stage.network.lose(stage.leader(), 0.5)
    yield
    stage.network.heal()

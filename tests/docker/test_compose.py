"""docker-compose.yml as a user starts it, and three nodes in containers that have much to bear."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from memraft_server.cli.clusterview import ClusterView, Observer
from tests.acceptance.nodes import free_ports
from tests.docker.cluster import NODES, Cluster, eventually
from tests.docker.load import STREAMS, Load
from tests.linearizability import Operation, Outcome, Recorder, check_cells, check_streams, save

pytestmark = pytest.mark.docker

PROGRESS = 200
"""Writes that must be acknowledged in each state, to call it one that works."""


def view(cluster: Cluster) -> ClusterView:
    with Observer(cluster.endpoints, cluster.certs / "operator") as observer:
        return observer.look()


def leader(cluster: Cluster) -> str:
    """The node that leads most shards."""
    found = view(cluster)
    return max(found.nodes, key=lambda node: len(node.leads)).name


def hashes_agree(cluster: Cluster) -> bool:
    """Whether all three replicas of each shard have applied the same, and say so."""
    shards = view(cluster).shards
    states = [
        {(replica.applied_index, replica.applied_hash) for replica in shard.replicas} for shard in shards
    ]
    return all(len(shard.replicas) == len(NODES) for shard in shards) and all(
        len(each) == 1 for each in states
    )


class Story:
    """Does one thing after another to a cluster under load, and tells how it took it."""

    def __init__(self, cluster: Cluster, load: Load) -> None:
        self.cluster, self.load = cluster, load
        print(f"\n{'what':44} {'acknowledged':>12} {'until the next 200, s':>22}")

    def then(self, what: str, do: Callable[[], object]) -> None:
        """Does it, then waits until writes go on."""
        do()
        before, began = self.load.acknowledged_writes, time.monotonic()
        eventually(
            lambda: bool(self.load.failures) or self.load.acknowledged_writes >= before + PROGRESS,
            f"{PROGRESS} more acknowledged writes after: {what}",
        )
        assert not self.load.failures, self.load.failures
        print(f"{what:44} {self.load.acknowledged_writes:12} {time.monotonic() - began:22.1f}")

    def tell(self) -> None:
        cluster = self.cluster
        self.then("three nodes", lambda: None)
        name = leader(cluster)
        self.then(f"pause {name}", cluster.node(name).pause)
        self.then(f"unpause {name}", cluster.node(name).unpause)
        name = leader(cluster)
        self.then(f"kill {name}", cluster.node(name).kill)
        self.then(f"start {name}", cluster.node(name).start)
        eventually(cluster.all_healthy, "three healthy nodes after a kill")
        name = leader(cluster)
        self.then(f"network disconnect {name}", lambda: cluster.disconnect(name))
        eventually(
            lambda: cluster.health(name) == "unhealthy", "a node that is alone says that it is not ready"
        )
        self.then(f"network connect {name}", lambda: cluster.connect(name))
        eventually(cluster.all_healthy, "three healthy nodes after a partition")
        for each in NODES:
            cluster.node(each).kill()
        self.then("kill all three, start all three", lambda: [cluster.node(each).start() for each in NODES])
        eventually(cluster.all_healthy, "three healthy nodes after all were killed")
        name = leader(cluster)
        self.then(f"stop {name}", lambda: cluster.node(name).stop(timeout=15))
        assert cluster.node(name).attrs["State"]["ExitCode"] == 0, "stopped in time, and in good order"
        self.then(f"start {name} again", cluster.node(name).start)


def check(history: list[Operation]) -> None:
    """Whatever was acknowledged is there, and every answer fits into one order."""
    cells = check_cells(each for each in history if each.key not in STREAMS)
    streams = check_streams(each for each in history if each.key in STREAMS)
    counts = {outcome.value: sum(each.outcome is outcome for each in history) for outcome in Outcome}
    print(f"history: {counts}; keys: {cells.ok}, streams: {streams.ok}")
    assert cells.ok is True, str(cells)
    assert streams.ok is True, str(streams)


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    recorder = Recorder(time.monotonic)
    with Cluster(tmp_path, free_ports(3), f"memraft-test-{uuid.uuid4().hex[:8]}") as cluster:
        load = Load(cluster.endpoints, cluster.certs / "agent", recorder)
        with load:
            Story(cluster, load).tell()
        eventually(cluster.all_healthy, "three healthy nodes at the end")
        eventually(lambda: hashes_agree(cluster), "equal hashes on all replicas")
        load.read_all()
    history = recorder.history()
    save(tmp_path / "history.jsonl", history)
    check(history)

"""A move to another model goes on when the leader is killed in the middle of it, and after all nodes were."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from memraft import Memory
from memraft.embedders import HashedNgrams, Vectors
from memraft_server.cli.clusterview import Observer
from memraft_server.cli.demo.failover import shard_of
from memraft_server.cli.devcluster import DevCluster

COUNT = 60


class Hooked(HashedNgrams):
    """Does something while it is asked for the fourth time."""

    def __init__(self, hook: Callable[[], None]) -> None:
        super().__init__(64)
        self._hook = hook
        self._calls = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        self._calls += 1
        if self._calls == 4:
            self._hook()
        return super().embed(texts)


def test_a_move_goes_on_past_a_killed_leader_and_a_restart_of_all(tmp_path: Path) -> None:
    with DevCluster.open(tmp_path, 3, 1, None) as cluster:
        cluster.start()
        certs = cluster.agent_certs("acme", "ann")

        def opened() -> Memory:
            return Memory(cluster.endpoints, certs=certs, namespace="acme/a", agent="ann", timeout_s=30)

        with opened() as memory:
            written = memory.remember_many(f"fact number {number} of all" for number in range(COUNT))
            with Observer(cluster.endpoints.split(","), cluster.operator_certs) as observer:
                view = observer.look()
                leader = view.shards[shard_of(view, "acme/a")].leader
            with pytest.raises(ConnectionError):
                memory.reembed(Hooked(_fail), texts_together=7)
            done = memory.reembed(Hooked(lambda: cluster.kill_node(leader)), texts_together=7)
            assert done.stored == COUNT - 14 and done.remaining == 0
            memory.with_embedder(HashedNgrams(64)).remember("the last fact")
        for node in cluster.plan.nodes:
            if node.name != leader:
                cluster.kill_node(node.name)
        for node in cluster.plan.nodes:
            cluster.start_node(node.name)
        cluster.wait_ready([node.name for node in cluster.plan.nodes])
        with opened() as memory:
            new = memory.with_embedder(HashedNgrams(64))
            query = HashedNgrams(64).embed(["fact number 31 of all"])[0]
            found = new.recall(embedding=query, fingerprint="hashed-ngrams-v1:64", k=COUNT + 1)
            assert len(found) == COUNT + 1 and found[0].text == "fact number 31 of all"
            assert memory.embedding_models().fingerprint == "hashed-ngrams-v1:64"
            before = memory.recall("fact number 31 of all", at=written[-1].log_index, k=COUNT)
            assert len(before) == COUNT and before[0].text == "fact number 31 of all"


def _fail() -> None:
    raise ConnectionError("gone")

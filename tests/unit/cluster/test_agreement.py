"""Replicas that became different: who notices, who stops."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from memraft_cluster.agreement import KEPT, Agreement
from memraft_cluster.errors import NotLeader, OutcomeUnknown, ReplicaStopped
from tests.unit.cluster.harness import NODES, Cluster, Recorder, run_cluster, until

VOTERS = (1, 2, 3)


def print_of(text: str) -> bytes:
    return text.encode().ljust(8, b".")


def leader() -> Agreement:
    agreement = Agreement(1)
    for index in range(1, 11):
        agreement.applied(index, print_of(f"state {index}"))
    return agreement


def told(index: int, text: str) -> tuple[int, int]:
    follower = Agreement(2)
    follower.applied(index, print_of(text))
    return follower.told()


def test_a_follower_that_differs_stops_once_a_majority_agrees() -> None:
    agreement = leader()
    agreement.heard(2, *told(7, "state 6"))
    assert not agreement.wrong(VOTERS)  # one against one
    agreement.heard(3, *told(9, "state 9"))
    assert agreement.wrong(VOTERS) == {2}
    agreement.heard(2, *told(10, "state 10"))  # it has got its state anew
    assert not agreement.wrong(VOTERS)


def test_a_leader_that_differs_from_all_others_stops_itself() -> None:
    agreement = leader()
    agreement.heard(2, *told(7, "other"))
    agreement.heard(3, *told(8, "other still"))
    assert agreement.wrong(VOTERS) == {1}


def test_a_learner_is_compared_and_is_no_majority() -> None:
    agreement = leader()
    agreement.heard(4, *told(7, "other"))
    assert not agreement.wrong(VOTERS)
    agreement.heard(3, *told(9, "state 9"))
    assert agreement.wrong(VOTERS) == {4}


def test_what_is_not_known_any_more_or_not_yet_tells_nothing() -> None:
    agreement = leader()
    agreement.heard(3, *told(9, "state 9"))
    agreement.heard(2, *told(11, "state of the future"))
    agreement.applied(7 + KEPT, print_of("later"))
    agreement.heard(2, *told(7, "long ago"))
    assert not agreement.wrong(VOTERS)
    assert Agreement(1).told() == (0, 0)
    agreement.forget()
    agreement.heard(2, *told(8, "other"))
    assert not agreement.wrong(VOTERS)


@pytest.mark.parametrize("is_leader", [False, True], ids=["a follower", "the leader"])
def test_a_replica_that_became_another_stops_and_comes_back_with_the_others_state(
    tmp_path: Path, is_leader: bool
) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        number = leader.config.node_id
        odd = number if is_leader else next(node for node in NODES if node != number)
        await cluster.write(b"the same everywhere")
        await cluster.wait_equal(count=1)
        node, machine = cluster.nodes[odd], cluster.machines[odd][0]
        machine.commands[0] = b"a bit has flipped"
        for each in range(3):
            with suppress(OutcomeUnknown):  # where the leader stops with the write under way
                await cluster.write(b"later %d" % each)
        await until(lambda: 0 in node.stopped, "the replica to stop")
        for call in (lambda: node.read_barrier(0), lambda: node.propose(0, b"x", None)):
            with pytest.raises(ReplicaStopped, match="became another than that of a majority"):
                call()
        with pytest.raises(NotLeader):
            node.age_us(0)
        await cluster.write(b"the others go on")
        assert not any(other.stopped for other in cluster.nodes.values() if other is not node)

    run_cluster(Cluster(tmp_path), script)


def test_equal_replicas_are_compared_and_nobody_stops(tmp_path: Path) -> None:
    async def script(cluster: Cluster) -> None:
        leader = await cluster.wait_leader()
        for number in range(30):
            await cluster.write(b"%d" % number)
        agreement = leader.groups[0].agreement
        others = set(NODES) - {leader.config.node_id}
        await until(lambda: agreement._same == others, "both to be found equal")
        assert not any(node.stopped for node in cluster.nodes.values())

    run_cluster(Cluster(tmp_path), script)


def test_machines_without_a_fingerprint_are_not_compared() -> None:
    agreement = Agreement(1)
    agreement.applied(5, b"")
    assert agreement.told() == (0, 0)
    assert len(Recorder().fingerprint) >= 8

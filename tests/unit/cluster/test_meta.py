"""The cluster's record: what each change does, what is refused, and what is so already."""

from __future__ import annotations

import pytest

from memraft_cluster.meta import (
    META_GROUP,
    AddNode,
    Bootstrap,
    Change,
    ChangeRefused,
    Command,
    FinishRemoval,
    MoveReplica,
    NodeEntry,
    Placed,
    Rebalance,
    Record,
    RemoveNode,
    Report,
    TransferLeader,
    apply,
    bootstrap_record,
    meta_wanted,
)
from memraft_cluster.raft import Membership


def nodes(count: int) -> list[NodeEntry]:
    return [NodeEntry(i, f"n{i}", f"h{i}:7100", f"h{i}:7000") for i in range(1, count + 1)]


def record(count: int = 3, shards: int = 3, replicas: int = 0) -> Record:
    return apply(None, Bootstrap(bootstrap_record("test", nodes(count), shards, replicas))).record


def add(name: str, id_: int = 0) -> AddNode:
    return AddNode(name, f"{name}:7100", f"{name}:7000", id_)


def after(found: Record, *commands: Command) -> Record:
    for command in commands:
        found = apply(found, command).record
    return found


def settled(found: Record) -> Record:
    """All groups where they are wanted, as their leaders would report."""
    for shard in found.shards:
        found = after(found, Report(shard.shard, shard.replicas, (), shard.actual.index + 1))
    wanted = meta_wanted(found)
    return after(found, Report(META_GROUP, wanted.voters, wanted.learners, found.meta.index + 1))


def test_three_nodes_hold_everything_and_more_hold_three_replicas_of_each_shard() -> None:
    assert all(shard.replicas == (1, 2, 3) for shard in record(3, shards=4).shards)
    assert [shard.replicas for shard in record(5, shards=3).shards] == [(1, 2, 3), (2, 3, 4), (3, 4, 5)]
    assert [shard.leader for shard in record(5, shards=3).shards] == [1, 2, 3]
    assert record(7).meta == Placed((1, 2, 3, 4, 5))


def test_a_record_begins_once() -> None:
    begun = record()
    assert begun.epoch == 1
    assert not apply(begun, Bootstrap(bootstrap_record("test", nodes(5), 9))).changed
    with pytest.raises(ChangeRefused, match="no record yet"):
        apply(None, Rebalance())


def test_a_node_joins_with_the_next_id_and_gets_replicas_when_asked_to_rebalance() -> None:
    joined = apply(record(), add("n4"))
    assert joined.changed and joined.record.epoch == 2
    assert joined.record.named("n4") == NodeEntry(4, "n4", "n4:7100", "n4:7000")
    assert joined.record.holds(4) == []
    assert meta_wanted(joined.record) == Membership((1, 2, 3, 4))
    filled = after(joined.record, Rebalance())
    assert sorted(len(filled.holds(node)) for node in (4,)) == [2]  # 9 replicas on 4 nodes
    again = apply(filled, Rebalance())
    assert not again.changed and "already" in again.message


def test_who_joins_as_the_sixth_learns_the_record_without_a_vote() -> None:
    wanted = meta_wanted(after(record(5), add("n6")))
    assert wanted == Membership((1, 2, 3, 4, 5), (6,))


def test_a_node_that_moved_house_is_added_again_under_its_name() -> None:
    moved = apply(record(), AddNode("n2", "new:7100", "new:7000"))
    assert moved.changed and "new:7100" in moved.message
    assert moved.record.node(2) == NodeEntry(2, "n2", "new:7100", "new:7000")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (AddNode("n4", "h1:7100", "n4:7000"), "h1:7100 is an address of n1"),
        (add("n4", 2), "id 2 is that of n2"),
        (add("n2", 5), "n2 is node 2, not 5"),
        (RemoveNode("n9"), "there is no node 'n9'; there are n1, n2, n3"),
        (RemoveNode("n1"), "without n1 there are 2 nodes for 3 replicas"),
        (MoveReplica(0, "n1", "n2"), "has a replica on n2 already"),
        (MoveReplica(7, "n1", "n2"), "there is no shard 7; there are 0 to 2"),
        (MoveReplica(0, "n4", "n5"), "there is no node 'n4'"),
        (TransferLeader(0, "n4"), "there is no node 'n4'"),
        (Rebalance(replicas=5), "5 replicas of each shard need as many nodes; 3 stay"),
        (Rebalance(replicas=99), "not between 1 and 9"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(change: Change, reason: str) -> None:
    with pytest.raises(ChangeRefused, match=reason):
        apply(record(), change)


def test_a_node_leaves_when_all_it_holds_is_elsewhere_and_its_id_is_never_used_again() -> None:
    joined = settled(after(record(), add("n4"), Rebalance()))
    leaving = after(joined, RemoveNode("n1"))
    assert all(1 not in shard.replicas and shard.leader != 1 for shard in leaving.shards)
    assert not apply(leaving, FinishRemoval(1)).changed  # its replicas are there still
    assert 1 in meta_wanted(leaving)
    moved = leaving
    for shard in leaving.shards:
        moved = after(moved, Report(shard.shard, shard.replicas, (), 99))
    assert meta_wanted(moved) == Membership((2, 3, 4))
    assert not apply(moved, FinishRemoval(1)).changed  # and the record itself
    gone = after(settled(moved), FinishRemoval(1))
    assert gone.node(1) is None and gone.removed[0].name == "n1"
    assert gone.name(1) == "n1"
    assert "already" in apply(gone, RemoveNode("n1")).message
    with pytest.raises(ChangeRefused, match=r"id 1 was that of n1.*take 5"):
        apply(gone, add("n1", 1))
    assert after(gone, add("n1")).named("n1") == NodeEntry(5, "n1", "n1:7100", "n1:7000")


def test_a_dead_node_can_be_forced_out_and_the_gap_be_filled_later() -> None:
    short = after(record(), RemoveNode("n1", force=True))
    assert all(shard.replicas == (2, 3) for shard in short.shards)
    filled = after(settled(short), FinishRemoval(1), add("n4"), Rebalance())
    assert all(shard.replicas == (2, 3, 4) for shard in filled.shards)
    with pytest.raises(ChangeRefused, match="last node"):
        apply(record(1), RemoveNode("n1", force=True))


def test_who_was_to_leave_may_stay_after_all() -> None:
    leaving = after(record(4), RemoveNode("n4"))
    assert leaving.staying == [1, 2, 3]
    stays = apply(leaving, AddNode("n4", "h4:7100", "h4:7000"))
    assert "stays" in stays.message and stays.record.staying == [1, 2, 3, 4]


def test_moves_and_leaders_are_told_from_what_is_so_already() -> None:
    four = record(4, shards=1)
    moved = apply(four, MoveReplica(0, "n1", "n4"))
    assert moved.record.shards[0].replicas == (2, 3, 4) and moved.record.shards[0].leader == 4
    again = apply(moved.record, MoveReplica(0, "n1", "n4"))
    assert not again.changed and "already" in again.message
    led = after(moved.record, TransferLeader(0, "n2"))
    assert led.shards[0].leader == 2
    assert not apply(led, TransferLeader(0, "n2")).changed
    with pytest.raises(ChangeRefused, match="n1 cannot lead shard 0, which is wanted on n2, n3, n4"):
        apply(led, TransferLeader(0, "n1"))


def test_a_late_report_of_a_former_leader_is_no_news() -> None:
    moved = after(record(4, shards=1), Report(0, (1, 2, 3, 4), (), 70))
    assert moved.shards[0].actual == Placed((1, 2, 3, 4), (), 70)
    assert not apply(moved, Report(0, (1, 2, 3), (4,), 60)).changed
    assert not apply(moved, Report(0, (1, 2, 3, 4), (), 90)).changed
    assert not apply(moved, Report(9, (1,), (), 90)).changed


def test_the_number_of_replicas_can_be_changed() -> None:
    grown = after(record(1, shards=2), add("n2"), add("n3"), Rebalance(replicas=3))
    assert all(shard.replicas == (1, 2, 3) for shard in grown.shards)
    assert [shard.leader for shard in grown.shards] == [2, 1]
    assert all(len(shard.replicas) == 1 for shard in after(grown, Rebalance(replicas=1)).shards)

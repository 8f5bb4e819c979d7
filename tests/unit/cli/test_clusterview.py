"""The cluster's state, put together from what each node says."""

from memraft_proto.v1 import cluster_pb2
from memraft_server.cli.clusterview import ClusterView, assemble
from memraft_server.cli.status import render

LEADER, FOLLOWER = cluster_pb2.REPLICA_ROLE_LEADER, cluster_pb2.REPLICA_ROLE_FOLLOWER

MAP = cluster_pb2.GetShardMapResponse(
    epoch=1,
    cluster="test",
    slot_count=4096,
    nodes=[cluster_pb2.NodeAddress(node_id=n, name=f"n{n}", address=f"host:{7000 + n}") for n in (1, 2, 3)],
    shards=[
        cluster_pb2.ShardRoute(shard=0, slot_first=0, slot_last=2047, replica_node_ids=[1, 2, 3]),
        cluster_pb2.ShardRoute(shard=1, slot_first=2048, slot_last=4095, replica_node_ids=[1, 2, 3]),
    ],
)


def replica(
    shard: int, role: cluster_pb2.ReplicaRole, term: int, commit: int, applied: int
) -> cluster_pb2.ReplicaStatus:
    return cluster_pb2.ReplicaStatus(
        shard=shard, role=role, term=term, commit_index=commit, applied_index=applied
    )


def node(*replicas: cluster_pb2.ReplicaStatus) -> cluster_pb2.GetNodeStatusResponse:
    return cluster_pb2.GetNodeStatusResponse(version="0.1.0", uptime_s=12, replicas=replicas)


def view() -> ClusterView:
    """n1 leads shard 0; n2 once led it and has not noticed; n3 is down; shard 1 has no leader."""
    return assemble(
        MAP,
        {
            1: node(replica(0, LEADER, 5, 40, 40), replica(1, FOLLOWER, 7, 9, 9)),
            2: node(replica(0, LEADER, 4, 30, 28), replica(1, FOLLOWER, 7, 9, 8)),
        },
        {3: "connection refused"},
    )


def test_of_two_that_claim_to_lead_the_later_term_leads() -> None:
    shard = view().shards[0]
    assert (shard.leader, shard.term, shard.commit_index) == ("n1", 5, 40)
    assert view().nodes[0].leads == [0]
    assert view().nodes[1].leads == []


def test_lag_counts_entries_behind_what_is_committed() -> None:
    assert [(r.node, r.lag) for r in view().shards[0].replicas] == [("n1", 0), ("n2", 12)]


def test_a_shard_without_a_leader_is_told_and_its_lag_is_not_known() -> None:
    assert view().leaderless == [1]
    assert [r.lag for r in view().shards[1].replicas] == [-1, -1]


def test_a_node_that_does_not_answer_is_shown_as_such() -> None:
    assert view().nodes[2].error == "connection refused"
    text = render(view())
    assert "n3    host:7003  unreachable (connection refused)" in text
    assert "NONE" in text
    assert text.endswith("without a leader: shards 1")


def test_a_node_with_another_number_of_shards_than_the_map_is_named() -> None:
    """Such as one whose node.toml says another number."""
    leads = replica(0, LEADER, 5, 40, 40), replica(1, LEADER, 7, 9, 9)
    answers = {1: node(*leads), 2: node(replica(0, FOLLOWER, 5, 40, 40))}
    seen = assemble(MAP, answers, {3: "connection refused"})
    assert [each.name for each in seen.differing] == ["n2"]
    assert render(seen).endswith("n2 holds 1 shards; by the shard map they are 2")
    assert view().differing == []

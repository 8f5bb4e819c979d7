"""The cluster's state, put together from what each node says."""

import socket

import grpc
import pytest

from memraft_proto.v1 import cluster_pb2
from memraft_server.cli.clusterview import ClusterView, Observer, assemble, settled
from memraft_server.cli.errors import CliError
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
        shard=shard,
        role=role,
        term=term,
        commit_index=commit,
        applied_index=applied,
        voter_node_ids=[1, 2, 3],
        is_whole=True,
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


def test_learners_replicas_that_lost_something_and_steps_under_way_are_told() -> None:
    leads = replica(0, LEADER, 5, 40, 40), replica(1, LEADER, 7, 9, 9)
    leads[0].step = "n2 is to catch up, 12 entries behind"
    learns, lost = replica(0, FOLLOWER, 5, 40, 28), replica(1, FOLLOWER, 7, 9, 9)
    for each in (leads[0], learns):
        each.voter_node_ids[:] = [1, 3]
        each.learner_node_ids[:] = [2]
    lost.is_whole = False
    seen = assemble(MAP, {1: node(*leads), 2: node(learns, lost), 3: node()}, {})
    assert seen.shards[0].voters == ["n1", "n3"] and seen.shards[0].learners == ["n2"]
    text = render(seen)
    assert "12 L" in text and "0 !" in text
    assert "shard 0: n2 is to catch up, 12 entries behind" in text


def test_the_cluster_s_own_record_stands_below_the_shards() -> None:
    record = replica(65_535, LEADER, 3, 7, 7)
    answer = node(replica(0, LEADER, 5, 40, 40), replica(1, LEADER, 7, 9, 9))
    answer.record.CopyFrom(record)
    answer.not_ready.append("shard 0: 7.0 s behind")
    seen = assemble(MAP, {1: answer}, {})
    assert (seen.record.leader, seen.record.term) == ("n1", 3)
    text = render(seen)
    assert "record  -" in text
    assert "n1: shard 0: 7.0 s behind" in text


def test_a_shard_between_two_leaders_is_looked_at_again_for_a_moment() -> None:
    leads, follows = replica(0, LEADER, 5, 40, 40), replica(1, FOLLOWER, 7, 9, 9)
    between = assemble(MAP, {1: node(leads, follows)}, {})
    other_count = assemble(MAP, {1: node(leads, replica(1, LEADER, 8, 9, 9)), 2: node(follows)}, {})
    good = assemble(MAP, {1: node(leads, replica(1, LEADER, 8, 9, 9))}, {})
    looks = iter([between, other_count, good, between])
    assert settled(lambda: next(looks)) is good
    assert next(looks) is between, "no more often than needed"
    assert settled(lambda: between, settle_s=0.05) is between, "and not for ever"


def test_an_error_ends_the_calls_that_are_under_way() -> None:
    """One that is left may keep the interpreter from ending."""
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, and never says a word
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(CliError, match="refused"), Observer([address], None) as ask:
            call = ask.ask(address, "GetNodeStatus", cluster_pb2.GetNodeStatusRequest(), 60.0)
            raise CliError("refused")
        assert call.exception().code() is grpc.StatusCode.CANCELLED

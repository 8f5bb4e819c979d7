"""A cluster that grows from one node, through its calls: states that travel, who may ask, what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import pytest

from memraft_cluster.meta import META_GROUP, Record, decode_record
from memraft_proto.v1 import cluster_pb2, common_pb2, kv_pb2
from memraft_server import certs
from memraft_server.node import Node
from tests.acceptance.nodes import HOST, Failed, Nodes, eventually, free_ports, run

NAMESPACE = "acme/x"
Change = cluster_pb2.ChangeClusterRequest


class Growing(Nodes):
    """Nodes of which the first is the whole cluster, and the others join it."""

    def __init__(self, directory: Path, joining: int, **settings: Any) -> None:
        super().__init__(directory, 1, **settings)
        for number in range(2, joining + 2):
            peer, client, metrics = free_ports(3)
            name = f"n{number}"
            member = {"id": number, "name": name, "peer": f"{HOST}:{peer}", "client": f"{HOST}:{client}"}
            self.members.append(member)
            self.metrics_ports.append(metrics)
            self.node_certs(name)
        certs.issue_operator(self.ca, directory / "operator", "local")
        self.operators: dict[int, Any] = {}

    async def start(self) -> None:
        await self._begin(1, self.members[:1])
        await eventually(lambda: not self.nodes[0].not_ready(), "the first node is ready")
        await eventually(lambda: self.nodes[0].epoch > 0, "the record has begun")

    async def join(self, number: int) -> Node:
        """Starts node ``number``, which knows the first and itself."""
        return await self._begin(number, [self.members[0], self.members[number - 1]], join=True)

    async def _begin(self, number: int, members: list[Any], **more: Any) -> Node:
        cluster = {"name": "test", "shards": self.shards, "nodes": members, **more}
        node = Node(self.config(number, cluster=cluster))
        await node.start()
        self.nodes.append(node)
        return node

    async def change(self, number: int = 1, **change: Any) -> Any:
        """Asks node ``number`` for a change, as an operator."""
        return await self.operator(number).call("ChangeCluster", Change(**change))

    def operator(self, number: int = 1) -> Any:
        """A client of a node with an operator's certificate."""
        if number not in self.operators:
            self.operators[number] = self.connect(self.directory / "operator", number)
        return self.operators[number]

    @staticmethod
    def stranger(name: str) -> cluster_pb2.AddNode:
        """The change that adds a node that never starts."""
        return cluster_pb2.AddNode(name=name, peer=f"{name}:1", client=f"{name}:2")

    def addition(self, number: int) -> cluster_pb2.AddNode:
        """The change that adds node ``number``."""
        member = self.members[number - 1]
        return cluster_pb2.AddNode(
            name=member["name"], peer=member["peer"], client=member["client"], node_id=number
        )

    async def record(self, number: int = 1, is_latest: bool = False) -> Record:
        """The record as a node knows it."""
        request = cluster_pb2.GetClusterRecordRequest(is_latest=is_latest)
        answer = await self.operator(number).call("GetClusterRecord", request)
        assert answer.epoch == decode_record(answer.record).epoch
        return decode_record(answer.record)

    def membership(self, shard: int, number: int = 1) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Voters and learners of a shard, by a node's own log."""
        found = self.nodes[number - 1].driver.membership(shard)
        return (found.voters, found.learners) if found is not None else ((), ())

    def log_base(self, shard: int) -> int:
        """The index before the first entry in the first node's log of a shard."""
        status = self.nodes[0].driver.group_status(shard)
        return status.base_index if status is not None else 0


def small_log(**settings: Any) -> dict[str, Any]:
    """Settings under which nearly all of a shard is in its state, so that who joins needs that."""
    return {"disk": {"log_keep_bytes": 1 << 20, "log_keep_entries": 1}, **settings}


def test_one_node_grows_to_three_and_hands_its_state_to_those_that_join(tmp_path: Path) -> None:
    nodes = Growing(tmp_path, joining=2, shards=2, **small_log())

    async def script(_: Nodes) -> None:
        client = nodes.client()
        value = b'"' + b"x" * 100_000 + b'"'
        for i in range(80):
            await client.call("Put", kv_pb2.PutRequest(namespace=NAMESPACE, key=f"k{i}", value=value))
        await eventually(lambda: any(map(nodes.log_base, (0, 1))), "a log is cut behind its state")

        await nodes.join(2)
        await eventually(lambda: "not one of" in nodes.nodes[1].not_ready()[0], "n2 has asked, and waits")
        await nodes.change(add_node=nodes.addition(2))
        await nodes.change(add_node=nodes.addition(3))
        await nodes.join(3)
        await eventually(lambda: nodes.membership(META_GROUP) == ((1, 2, 3), ()), "all vote on the record")
        assert nodes.membership(0) == ((1,), ())
        await nodes.change(rebalance=cluster_pb2.Rebalance(replicas=3))
        for shard in (0, 1):
            for number in (1, 2, 3):
                await eventually(
                    lambda s=shard, n=number: nodes.membership(s, n) == ((1, 2, 3), ()),  # type: ignore[misc]
                    f"shard {shard} is on n{number}",
                )
        await eventually(lambda: all(len(node.hosting.shards) == 2 for node in nodes.nodes), "all answer")
        await eventually(lambda: not any(node.not_ready() for node in nodes.nodes), "all are ready")
        stale = common_pb2.ReadContext(consistency=common_pb2.CONSISTENCY_STALE)
        for number in (2, 3):
            there = nodes.client(number=number)
            for i in (0, 79):
                request = kv_pb2.GetRequest(context=stale, namespace=NAMESPACE, key=f"k{i}")
                assert (await there.call("Get", request)).value == value
        machines = [node.machines[0] for node in nodes.nodes]
        await eventually(lambda: len({each.applied_index for each in machines}) == 1, "all have the same")
        assert len({each.applied_hash for each in machines}) == 1

    run(nodes, script)


class Count:
    """How many changes it was told of."""

    name: ClassVar[str] = "count"
    kinds: ClassVar[tuple[str, ...]] = ("document",)

    def __init__(self) -> None:
        self.told = 0

    def apply(self, change: Any) -> None:
        self.told += 1

    def query(self, argument: Any) -> int:
        return self.told


def test_projections_of_a_replica_that_was_filled_are_made_though_nothing_is_written(tmp_path: Path) -> None:
    nodes = Growing(tmp_path, joining=1, projections={"classes": [f"{__name__}:Count"]})

    async def script(_: Nodes) -> None:
        client = nodes.client()
        for i in range(50):
            await client.call("Put", kv_pb2.PutRequest(namespace=NAMESPACE, key=f"k{i}", value=b"1"))
        joined = await nodes.join(2)
        await nodes.change(add_node=nodes.addition(2))
        await nodes.change(rebalance=cluster_pb2.Rebalance(replicas=2))
        await eventually(lambda: 0 in joined.hosting.shards, "n2 answers for the shard")
        hosted = joined.machines[0].hosted
        assert hosted is not None
        await eventually(lambda: not hosted.pending, "its projections are made, and nobody asked for them")

    run(nodes, script)


def test_only_operators_change_the_cluster_and_nodes_report(tmp_path: Path) -> None:
    nodes = Growing(tmp_path, joining=0)
    change = Change(rebalance=cluster_pb2.Rebalance())
    report = cluster_pb2.ReportReplicasRequest(group=0, voter_node_ids=[1], commit_index=1)
    record = cluster_pb2.GetClusterRecordRequest()

    async def script(_: Nodes) -> None:
        agent, node = nodes.client(), nodes.connect(nodes.node_certs("n1"))
        for who, name, request, needed in (
            (agent, "ChangeCluster", change, "an operator's"),
            (agent, "GetClusterRecord", record, "an operator's"),
            (agent, "ReportReplicas", report, "a node's"),
            (node, "ChangeCluster", change, "an operator's"),
            (nodes.operator(), "ReportReplicas", report, "a node's"),
        ):
            with pytest.raises(Failed, match=f"that takes {needed} certificate") as caught:
                await who.call(name, request)
            assert caught.value.reason == "WRONG_ROLE"
        assert (await node.call("ReportReplicas", report)).epoch
        assert (await node.call("GetClusterRecord", record)).epoch

    run(nodes, script)


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        ({}, "INVALID_ARGUMENT", "change: is missing"),
        ({"add_node": cluster_pb2.AddNode(name="a b")}, "INVALID_ARGUMENT", "add_node.name: 'a b'"),
        (
            {"add_node": cluster_pb2.AddNode(name="n2", peer="h:1", client="nowhere")},
            "INVALID_ARGUMENT",
            "add_node.client: 'nowhere' is not host:port",
        ),
        ({"remove_node": cluster_pb2.RemoveNode(name="n1")}, "CHANGE_REFUSED", "n1 is the last node"),
        ({"remove_node": cluster_pb2.RemoveNode(name="n9")}, "CHANGE_REFUSED", "there is no node 'n9'"),
    ],
)
def test_a_change_that_cannot_be_is_refused_with_the_reason(
    tmp_path: Path, change: dict[str, Any], reason: str, said: str
) -> None:
    nodes = Growing(tmp_path, joining=0)

    async def script(_: Nodes) -> None:
        with pytest.raises(Failed, match=said) as caught:
            await nodes.change(**change)
        assert caught.value.reason == reason

    run(nodes, script)


def test_a_node_without_a_shard_says_who_leads_it_and_the_map_tells_where_it_is(tmp_path: Path) -> None:
    nodes = Growing(tmp_path, joining=1)

    async def script(_: Nodes) -> None:
        await nodes.change(add_node=nodes.addition(2))
        await nodes.join(2)
        await eventually(lambda: nodes.membership(META_GROUP) == ((1, 2), ()), "both vote on the record")
        await eventually(lambda: not nodes.nodes[1].not_ready(), "n2 is ready")
        with pytest.raises(Failed) as caught:
            put = kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"1")
            await nodes.client(number=2).call("Put", put)
        assert (caught.value.reason, caught.value.metadata["leader"]) == ("NOT_LEADER", nodes.address(1))
        shard_map = await nodes.client(number=2).call("GetShardMap", cluster_pb2.GetShardMapRequest())
        assert [node.name for node in shard_map.nodes] == ["n1", "n2"]
        assert list(shard_map.shards[0].replica_node_ids) == [1]
        assert shard_map.shards[0].leader_node_id == 1
        leader = nodes.nodes[0].driver.leader(META_GROUP)
        with pytest.raises(Failed, match="does not lead the cluster's record") as caught:
            await nodes.change(3 - leader, rebalance=cluster_pb2.Rebalance())
        assert caught.value.metadata["leader"] == nodes.address(leader)
        assert (await nodes.record(leader, is_latest=True)).node(2) is not None

    run(nodes, script)


def test_two_operators_at_once_are_one_after_the_other(tmp_path: Path) -> None:
    nodes = Growing(tmp_path, joining=0)

    async def script(_: Nodes) -> None:
        before = (await nodes.record()).epoch
        twice = [nodes.change(add_node=nodes.stranger(f"m{i % 2}")) for i in range(6)]
        answers = await asyncio.gather(*twice)
        assert sum(answer.changed for answer in answers) == 2
        record = await nodes.record(is_latest=True)
        assert record.epoch >= before + 2
        assert {node.name for node in record.nodes} == {"n1", "m0", "m1"}

    run(nodes, script)

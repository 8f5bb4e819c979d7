"""A receipt that a recall was answered with is there afterwards: leadership moves, nodes stop and are killed,
all is restarted, all is restored from a backup."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from memraft import AsyncMemory, QuotaExceeded
from memraft.types import Recalled, Receipt
from memraft_proto.v1 import cluster_pb2, common_pb2, log_pb2, memory_pb2, recall_pb2
from memraft_server.cli import main
from memraft_server.cli.devcluster import DevCluster
from memraft_server.node import Node
from memraft_server.projections.receipts import Access, ReceiptsProjection
from tests.acceptance.nodes import WAIT_S, Failed, Nodes, eventually, run

NAMESPACE = "acme/shop"
TEXTS = ("Order 1458 was refunded", "Order 1459 waits for a courier", "Anna calls in the morning")


def opened(nodes: Nodes) -> AsyncMemory:
    addresses = [nodes.address(number) for number in range(1, len(nodes.members) + 1)]
    agent = nodes.agent_certs("acme", "support")
    return AsyncMemory(addresses, certs=agent, namespace=NAMESPACE, timeout_s=WAIT_S)


async def fill(memory: AsyncMemory) -> None:
    for text in TEXTS:
        await memory.remember(text)


async def check(memory: AsyncMemory, answers: list[Recalled]) -> None:
    """All answers have their receipts, and no other receipts are there."""
    for hits in answers:
        receipt = await memory.receipt(hits.receipt or "")
        assert [(hit.id, hit.version) for hit in receipt.hits] == [(hit.id, hit.version) for hit in hits]
    listed = await memory.receipts(limit=10_000)
    assert {each.id for each in listed} == {str(hits.receipt) for hits in answers}


def accesses(node: Node) -> dict[str, Access]:
    """What a replica knows of how often memories were recalled."""
    machine = node.machines[0]
    space = machine.space(NAMESPACE)
    assert space is not None
    found = machine.query("ListMemories", memory_pb2.ListMemoriesRequest(namespace=NAMESPACE))
    projection = space.projection(ReceiptsProjection)
    memories: Any = found
    return {each.text: projection.accesses.of(each.id) for each in memories.memories}


async def agreed(nodes: Nodes) -> dict[str, Access]:
    """Waits until all replicas have applied the same; returns what they know of accesses."""
    running = [node for node in nodes.nodes if node is not None]
    await eventually(lambda: len({node.machines[0].applied_index for node in running}) == 1, "one index")
    found = [accesses(node) for node in running]
    assert all(each == found[0] for each in found)
    return found[0]


def test_no_receipt_is_lost_while_leadership_moves(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, 3)

    async def script(_: Nodes) -> None:
        async with opened(nodes) as memory:
            await fill(memory)
            answers = []
            for _ in range(3):
                leader = nodes.leader()
                answers += [await memory.recall("order") for _ in range(5)]
                nodes.nodes[leader - 1].driver.transfer_leadership(0, leader % 3 + 1)
                while nodes.leader() in (leader, 0):
                    answers.append(await memory.recall("courier"))
                answers.append(await memory.recall("courier"))
            answers = [hits for hits in answers if hits.receipt is not None]  # while nobody led
            assert len(answers) >= 15
            await check(memory, answers)
            counts = await agreed(nodes)
            assert sum(each.count for each in counts.values()) == sum(map(len, answers))

    run(nodes, script)


def test_a_leader_that_stops_leaves_no_receipt_behind(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, 3)

    async def script(_: Nodes) -> None:
        async with opened(nodes) as memory:
            await fill(memory)
            answers = [await memory.recall("order", turn=str(n)) for n in range(5)]
            stopping = nodes.nodes.pop(nodes.leader() - 1)
            await stopping.stop()
            await check(memory, answers)
            assert [each.turn for each in await memory.receipts()] == list("43210")

    run(nodes, script)


def test_what_was_answered_with_a_durable_receipt_survives_the_death_of_all_nodes(tmp_path: Path) -> None:
    with DevCluster.open(tmp_path, nodes=3, shards=1) as cluster:
        cluster.start()
        names = [node.name for node in cluster.plan.nodes]

        async def script() -> None:
            agent = cluster.agent_certs("acme", "support")
            async with AsyncMemory(
                cluster.endpoints, certs=agent, namespace=NAMESPACE, timeout_s=WAIT_S
            ) as memory:
                await fill(memory)
                hits = await memory.recall("order", receipt="now")
                await memory.recall("courier")  # its receipt may be lost, and nothing else
                for name in names:
                    cluster.kill_node(name)
                for name in names:
                    cluster.start_node(name)
                receipts = await memory.receipts()
                assert receipts[-1].id == str(hits.receipt) and len(receipts) <= 2
                await memory.influence(hits.receipt, "a")
                assert [each.id for each in (await memory.lineage("a")).memories] == [hit.id for hit in hits]

        asyncio.run(script())


def test_receipts_and_accesses_are_the_same_after_a_restart(tmp_path: Path) -> None:
    nodes, again = Nodes(tmp_path, 3), Nodes(tmp_path, 3)
    again.members, again.metrics_ports = nodes.members, nodes.metrics_ports
    before: list[Any] = []

    async def script(nodes: Nodes) -> None:
        async with opened(nodes) as memory:
            if not before:
                await fill(memory)
                hits = [await memory.recall("order", turn=str(n)) for n in range(4)]
                await memory.influence(hits[0].receipt, "a", used=[hits[0][0].id])
            receipts: list[Receipt] = list(await memory.receipts())
            lineage = await memory.lineage("a")
            before.append((receipts, lineage.receipts, await agreed(nodes)))

    run(nodes, script)
    run(again, script)
    assert before[0] == before[1] and len(before[0][0]) == 4
    assert max(each.count for each in before[0][2].values()) == 4


def test_only_a_leader_makes_receipts_and_only_nodes_hand_them_over(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, 3)

    async def script(_: Nodes) -> None:
        async with opened(nodes) as memory:
            await fill(memory)
        await agreed(nodes)
        follower = nodes.leader() % 3 + 1
        client = nodes.client(number=follower)
        stale = common_pb2.ReadContext(consistency=common_pb2.CONSISTENCY_STALE)
        asked = memory_pb2.RecallRequest(namespace=NAMESPACE, context=stale, query="order")
        found = await client.call("Recall", asked)
        assert found.hits and not found.receipt
        asked.context.consistency = common_pb2.CONSISTENCY_SESSION
        with pytest.raises(Failed) as refused:
            await client.call("Recall", asked)
        assert refused.value.reason == "NOT_LEADER" and refused.value.metadata["leader"]
        asked.receipt = memory_pb2.RECEIPT_MODE_NONE
        assert (await client.call("Recall", asked)).hits
        asked.receipt = memory_pb2.RECEIPT_MODE_NOW
        with pytest.raises(Failed) as refused:
            await client.call("Recall", asked)
        assert refused.value.reason == "NOT_LEADER"
        asked.agent = "somebody/else"
        with pytest.raises(Failed) as refused:
            await client.call("Recall", asked)
        assert refused.value.reason == "WRONG_AGENT"
        command = log_pb2.RecordRecallsCommand(namespace=NAMESPACE, over=["x"])
        handed = cluster_pb2.RecordRecallsRequest(shard=0, command=command)
        with pytest.raises(Failed) as refused:
            await client.call("RecordRecalls", handed)
        assert refused.value.reason == "WRONG_ROLE"
        node = nodes.connect(nodes.node_certs(f"n{follower}"), number=nodes.leader())
        assert await node.call("RecordRecalls", handed) == cluster_pb2.RecordRecallsResponse()
        listed = recall_pb2.ListReceiptsRequest(namespace=NAMESPACE)
        assert not (await client.call("ListReceipts", listed)).receipts

    run(nodes, script)


def test_without_a_leader_recalls_are_answered_without_receipts(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, 3)

    async def script(_: Nodes) -> None:
        async with opened(nodes) as memory:
            await fill(memory)
            await agreed(nodes)
            for _ in range(2):
                await nodes.nodes.pop().stop()
            async with asyncio.timeout(WAIT_S):
                while (hits := await memory.recall("order")).receipt is not None:
                    assert hits
            assert [hit.text for hit in hits]

    run(nodes, script)


def test_a_tenant_that_has_no_room_recalls_without_receipts(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        async with opened(nodes) as memory:
            await fill(memory)
            made = 0
            while (hits := await memory.recall("order", k=2)).receipt is not None:
                made += 1
                assert made < 1_000
            assert made and len(hits) == 2
            with pytest.raises(QuotaExceeded, match="bytes_max = 40000"):
                await memory.recall("order", receipt="now")
            assert (await memory.recall("order", k=2, receipt="none")).items == hits.items
            assert len(await memory.receipts(limit=1_000)) == made

    run(Nodes(tmp_path, quotas={"tenant": {"acme": {"bytes_max": 40_000}}}), script)


def test_a_restored_backup_has_receipts_and_lineage(tmp_path: Path) -> None:
    out = str(tmp_path / "backup")

    async def asked(cluster: DevCluster, answer: bool) -> tuple[list[Receipt], Any]:
        agent = cluster.agent_certs("acme", "support")
        async with AsyncMemory(
            cluster.endpoints, certs=agent, namespace=NAMESPACE, timeout_s=WAIT_S
        ) as memory:
            if answer:
                await fill(memory)
                await memory.influence((await memory.recall("order", turn="1")).receipt, "a")
            return list(await memory.receipts()), (await memory.lineage("a")).receipts

    with DevCluster.open(tmp_path / "old", nodes=1, shards=1) as cluster:
        cluster.start()
        before = asyncio.run(asked(cluster, True))
        where = ["--endpoints", cluster.endpoints, "--certs", str(cluster.operator_certs)]
        assert main(["backup", "--out", out, *where]) == 0
    with DevCluster.open(tmp_path / "new", nodes=1, shards=1) as cluster:
        [node] = cluster.plan.nodes
        config = tmp_path / "new" / "nodes" / node.name / "node.toml"
        assert main(["restore", out, "--config", str(config)]) == 0
        cluster.start()
        assert asyncio.run(asked(cluster, False)) == before and len(before[0]) == 1

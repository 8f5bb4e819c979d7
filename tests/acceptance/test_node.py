"""What a node does for those who call it and watch it: consistency, expiry, health, a graceful end."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from memraft_proto.v1 import cluster_pb2, common_pb2, kv_pb2, vector_pb2
from memraft_server import certs
from memraft_server.node import Node
from tests.acceptance.nodes import HOST, WAIT_S, Failed, Nodes, eventually, run

NAMESPACE = "acme/support"


def put(key: str, value: bytes = b"1", ttl_ms: int = 0) -> kv_pb2.PutRequest:
    return kv_pb2.PutRequest(namespace=NAMESPACE, key=key, value=value, ttl_ms=ttl_ms)


def get(key: str, **context: int) -> kv_pb2.GetRequest:
    return kv_pb2.GetRequest(
        namespace=NAMESPACE,
        key=key,
        context=common_pb2.ReadContext(**context),  # type: ignore[arg-type]
    )


async def http(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and body of one request."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


# -- writes and reads ----------------------------------------------------------------------------------


def test_a_node_may_be_stopped_twice_and_by_two_at_once(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        (node,) = nodes.nodes
        await asyncio.gather(node.stop(), node.stop())
        await node.stop()
        assert node.not_ready() == ["shutting down"]

    run(Nodes(tmp_path, 1), script)


def test_a_follower_names_the_leader_and_answers_reads(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        leader = nodes.leader()
        follower = leader % 3 + 1
        written = await nodes.client(number=leader).call("Put", put("k", b'"v"'))
        with pytest.raises(Failed) as caught:
            await nodes.client(number=follower).call("Put", put("k"))
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_LEADER")
        assert caught.value.metadata == {
            "shard": "0", "leader": nodes.address(leader), "leader_node": str(leader)
        }  # fmt: skip
        # A session that has seen the write finds it on any replica.
        answer = await nodes.client(number=follower).call("Get", get("k", min_index=written.version >> 20))
        assert (answer.value, answer.provenance.agent) == (b'"v"', "support")
        # A linearizable read takes the leader.
        linearizable = get("k", consistency=common_pb2.CONSISTENCY_LINEARIZABLE)
        with pytest.raises(Failed) as caught:
            await nodes.client(number=follower).call("Get", linearizable)
        assert caught.value.reason == "NOT_LEADER"
        assert (await nodes.client(number=leader).call("Get", linearizable)).found

    run(Nodes(tmp_path, 3), script)


def test_a_stale_read_says_how_old_it_may_be(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        leader = nodes.leader()
        follower = leader % 3 + 1
        stale = get("k", consistency=common_pb2.CONSISTENCY_STALE)
        assert 0 < (await nodes.client(number=leader).call("Get", stale)).stamp.age_us < 60_000_000
        assert 0 < (await nodes.client(number=follower).call("Get", stale)).stamp.age_us < 60_000_000

    run(Nodes(tmp_path, 3), script)


def test_a_read_at_a_time_gives_the_same_answer_ever_after(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        leader = nodes.leader()
        client, follower = nodes.client(number=leader), nodes.client(number=leader % 3 + 1)
        written = await client.call("Put", put("k", b"0"))
        # A time after the last commit takes the leader, who knows what is on its way.
        with pytest.raises(Failed) as caught:
            await follower.call("Get", get("k", at_time_us=written.time_us + 1))
        assert caught.value.reason == "NOT_LEADER"
        answers: list[tuple[int, bytes]] = []
        for _ in range(20):
            writes = [asyncio.create_task(client.call("Put", put("k", b"%d" % i))) for i in range(10)]
            at_time_us = time.time_ns() // 1000 + 500_000
            answers.append((at_time_us, (await client.call("Get", get("k", at_time_us=at_time_us))).value))
            await asyncio.gather(*writes)
        last = await client.call("Put", put("k", b'"last"'))
        for at_time_us, value in answers:
            context = {"at_time_us": at_time_us, "min_index": last.version >> 20}
            for each in (client, follower):
                assert (await each.call("Get", get("k", **context))).value == value

    run(Nodes(tmp_path, 3), script)


def test_a_replica_that_does_not_catch_up_says_that_it_lags(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        with pytest.raises(Failed, match=r"index 999, .* within lag_wait_ms = 20") as caught:
            await nodes.client().call("Get", get("k", min_index=999))
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "LAGGING")

    run(Nodes(tmp_path, client={"lag_wait_ms": 20}), script)


def test_an_index_that_no_session_can_have_seen_holds_no_call(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        with pytest.raises(Failed, match="index 99999999 of group 0 lies far beyond index 1") as caught:
            await nodes.client().call("Get", get("k", min_index=99_999_999), timeout_s=10.0)
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "LAGGING")

    run(Nodes(tmp_path, client={"lag_wait_ms": 60_000}), script)


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, 1, shards=2)

    async def write(_: Nodes) -> None:
        for i in range(20):
            request = kv_pb2.PutRequest(namespace=f"acme/n{i}", key="k", value=b"%d" % i)
            await nodes.client().call("Put", request)

    async def read(again: Nodes) -> None:
        for i in range(20):
            answer = await again.client().call("Get", kv_pb2.GetRequest(namespace=f"acme/n{i}", key="k"))
            assert answer.value == b"%d" % i

    run(nodes, write)
    run(Nodes(tmp_path, 1, shards=2), read)


def test_documents_expire_on_all_replicas_and_stay_in_the_past(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        client = nodes.client(number=nodes.leader())
        written = await client.call("Put", put("brief", ttl_ms=50))
        assert (await client.call("Put", put("lasting", ttl_ms=3_600_000))).version
        machines = [node.machines[0] for node in nodes.nodes]
        await eventually(
            lambda: all(machine.kv_head(NAMESPACE, "brief") is None for machine in machines),
            "the document expires on all replicas",
        )
        assert (await client.call("Get", get("lasting"))).found
        assert (await client.call("Get", get("brief", at_index=written.version >> 20))).found
        await eventually(lambda: len({m.applied_index for m in machines}) == 1, "all have applied the same")
        assert len({machine.applied_hash for machine in machines}) == 1

    run(Nodes(tmp_path, 3), script)


def test_vectors_get_an_index_without_being_asked(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        client = nodes.client()
        name = {"namespace": NAMESPACE, "collection": "c"}
        await client.call("CreateCollection", vector_pb2.CreateCollectionRequest(**name, dimension=2))
        ids = [str(i) for i in range(5_000)]
        flat = b"".join(i.to_bytes(4, "little") * 2 for i in range(0x3F000000, 0x3F000000 + 5_000))
        await client.call("UpsertMany", vector_pb2.UpsertManyRequest(**name, ids=ids, vectors=flat))
        machine = nodes.nodes[0].machines[0]
        await eventually(lambda: not machine.index_pending, "the index is built")
        search = vector_pb2.SearchVectorsRequest(**name, vector=flat[:8], k=3)
        assert len((await client.call("SearchVectors", search)).ids) == 3

    run(Nodes(tmp_path, background={"index_interval_ms": 10}), script)


def test_thousands_of_calls_at_once_are_all_answered(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        client = nodes.client()
        written = await asyncio.gather(*(client.call("Put", put(f"k{i}")) for i in range(2_000)))
        assert len({each.version for each in written}) == 2_000

    run(Nodes(tmp_path), script)


# -- where things are ----------------------------------------------------------------------------------


def test_the_shard_map_covers_every_slot_once_and_knows_the_leaders(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        answer = await nodes.client(number=2).call("GetShardMap", cluster_pb2.GetShardMapRequest())
        assert (answer.slot_count, answer.cluster, answer.answering_node_id) == (4096, "test", 2)
        assert [node.address for node in answer.nodes] == [nodes.address(number) for number in (1, 2, 3)]
        slots = [range(shard.slot_first, shard.slot_last + 1) for shard in answer.shards]
        assert sorted(slot for each in slots for slot in each) == list(range(4096))
        assert all(shard.leader_node_id in (1, 2, 3) for shard in answer.shards)

    run(Nodes(tmp_path, 3, shards=5), script)


def test_an_operator_sees_how_replicas_stand(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        await nodes.client(number=nodes.leader()).call("Put", put("k"))
        certs.issue_operator(nodes.ca, tmp_path / "operator", "olga")
        operator = nodes.connect(tmp_path / "operator", nodes.leader())
        async with asyncio.timeout(WAIT_S):
            while True:
                answer = await operator.call("GetNodeStatus", cluster_pb2.GetNodeStatusRequest())
                (replica,) = answer.replicas
                if all(peer.applied_index == replica.applied_index for peer in replica.peers):
                    break  # they tell it with their next answer to a heartbeat
        assert replica.role == cluster_pb2.REPLICA_ROLE_LEADER
        assert replica.last_index >= replica.commit_index >= replica.applied_index >= 2
        assert len(replica.applied_hash) == 32
        assert len([peer for peer in replica.peers if peer.node_id != nodes.leader()]) == 2
        assert answer.resident_bytes > 1 << 20

    run(Nodes(tmp_path, 3), script)


# -- health --------------------------------------------------------------------------------------------


def test_the_watchers_port(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        (port,) = nodes.metrics_ports
        await nodes.client().call("Put", put("k"))
        assert await http(port, "/healthz") == (200, "alive\n")
        assert await http(port, "/readyz?verbose") == (200, "ready\n")
        status, body = await http(port, "/metrics")
        assert status == 200
        assert 'memraft_call_seconds_count{code="OK",method="Put"} 1.0' in body
        assert 'memraft_shard_role{shard="0"} 2.0' in body
        assert 'memraft_commits_total{shard="0"} 1.0' in body
        assert "memraft_peer_connections_rejected_total 0.0" in body
        assert (await http(port, "/elsewhere"))[0] == 404
        assert (await http(port, "/metrics", "POST"))[0] == 405

    run(Nodes(tmp_path), script)


def test_a_node_alone_of_three_is_alive_and_says_why_it_is_not_ready(tmp_path: Path) -> None:
    async def body() -> None:
        nodes = Nodes(tmp_path, 3)
        node = Node(nodes.config(1))
        await node.start()
        assert await http(nodes.metrics_ports[0], "/healthz") == (200, "alive\n")
        status, reasons = await http(nodes.metrics_ports[0], "/readyz")
        assert status == 503
        assert reasons.splitlines()[0] == "shard 0: no leader is known"
        assert reasons.splitlines()[1].startswith("the cluster's record: has yet to begin")
        client = nodes.client()
        with pytest.raises(Failed) as caught:
            await client.call("Put", put("k"))
        assert (caught.value.reason, caught.value.details) == ("NO_LEADER", ["ErrorInfo", "RetryInfo"])
        await client.channel.close()
        await node.stop()

    asyncio.run(body())


def test_nodes_stay_ready_under_load(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        client = nodes.client(number=nodes.leader())

        async def write(writer: int) -> None:
            for i in range(50):
                await client.call("Put", put(f"{writer}/{i}"))

        writing = asyncio.gather(*(write(writer) for writer in range(32)))
        reasons: list[str] = []
        while not writing.done():
            reasons += [reason for node in nodes.nodes for reason in node.not_ready()]
            await asyncio.sleep(0.001)
        await writing
        assert reasons == []

    run(Nodes(tmp_path, 3), script)


def test_a_node_that_has_yet_to_catch_up_says_so(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        leader = nodes.leader()
        away = leader % 3
        client = nodes.client(number=leader)
        await nodes.nodes[away].stop()
        await asyncio.gather(
            *(client.call("Put", put(f"k{i}", b'"' + b"x" * 200_000 + b'"')) for i in range(60))
        )
        nodes.nodes[away] = back = Node(nodes.config(away + 1))
        await back.start()
        seen: list[str] = []
        await eventually(lambda: not seen.append("; ".join(back.not_ready())) and not seen[-1], "it is ready")
        assert any("no leader is known" in each or "has yet to catch up" in each for each in seen)
        assert back.machines[0].kv_head(NAMESPACE, "k59") is not None

    run(Nodes(tmp_path, 3), script)


def test_grpc_health_and_reflection(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        channel = nodes.client().channel
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "memraft.v1.KvService"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        # Field 7 of a reflection request: list the services.
        reflect = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        call = reflect(iter([b"\x3a\x00"]))
        assert b"memraft.v1.VectorService" in await call.read()
        call.cancel()

    run(Nodes(tmp_path), script)


# -- the end -------------------------------------------------------------------------------------------


def test_a_graceful_end_under_load_loses_nothing_and_hands_the_shard_over(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        first = nodes.leader()
        client = nodes.client(number=first)
        acknowledged: list[int] = []

        async def write(i: int) -> None:
            try:
                await client.call("Put", put(f"k{i}", b"%d" % i))
                acknowledged.append(i)
            except Failed as error:
                # CANCELLED: gRPC's word for calls that are left when the time to drain is over.
                assert error.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), error

        writes = [asyncio.create_task(write(i)) for i in range(300)]
        deadline = time.monotonic() + WAIT_S
        while not acknowledged and time.monotonic() < deadline:
            await asyncio.sleep(0.001)
        others = [node for number, node in enumerate(nodes.nodes, 1) if number != first]
        stopping, nodes.nodes[:] = nodes.nodes[first - 1], others
        await stopping.stop()
        await asyncio.gather(*writes)
        await eventually(
            lambda: all(node.driver.leader(0) not in (0, first) for node in others), "another node leads"
        )
        heir = nodes.client(number=others[0].driver.leader(0))
        listed = await heir.call("List", kv_pb2.ListRequest(namespace=NAMESPACE, keys_only=True))
        assert {f"k{i}" for i in acknowledged} <= set(listed.keys)

    run(Nodes(tmp_path, 3), script)

"""Callers that are not who they should be, and what a tenant over its quota is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from memraft_proto.v1 import cluster_pb2, kv_pb2
from memraft_server import certs
from memraft_server.config import split_address
from tests.acceptance.nodes import Client, Failed, Nodes, reissue_expired, run

NAMESPACE = "acme/support"
PUT = kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"1")


async def refusal(client: Client, code: grpc.StatusCode) -> Failed:
    """The error of a Put that must fail with ``code``."""
    with pytest.raises(Failed) as caught:
        await client.call("Put", PUT, timeout_s=5.0)
    assert caught.value.code is code
    return caught.value


async def assert_nothing_was_written(nodes: Nodes) -> None:
    listed = await nodes.client("acme", "support").call("List", kv_pb2.ListRequest(namespace=NAMESPACE))
    assert list(listed.keys) == []


def test_the_certificate_of_another_tenant_opens_nothing(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        refused = await refusal(nodes.client("globex", "support"), grpc.StatusCode.PERMISSION_DENIED)
        assert refused.reason == "WRONG_TENANT"
        assert refused.metadata == {"tenant": "globex", "namespace": NAMESPACE}
        await assert_nothing_was_written(nodes)

    run(Nodes(tmp_path), script)


@pytest.mark.parametrize("problem", ["expired", "none at all", "of another authority"])
def test_a_certificate_that_proves_nothing_gets_no_connection(tmp_path: Path, problem: str) -> None:
    async def script(nodes: Nodes) -> None:
        files = nodes.agent_certs("acme", "intruder")
        if problem == "expired":
            reissue_expired(nodes, files)
        elif problem == "none at all":
            (files / "cert.pem").unlink()
            (files / "key.pem").unlink()
        else:
            certs.init_ca(tmp_path / "elsewhere", "memraft.local")
            certs.issue_agent(tmp_path / "elsewhere", tmp_path / "forged", "acme", "support")
            for name in ("cert.pem", "key.pem"):
                (files / name).write_bytes((tmp_path / "forged" / name).read_bytes())
        await refusal(nodes.connect(files), grpc.StatusCode.UNAVAILABLE)
        await assert_nothing_was_written(nodes)

    run(Nodes(tmp_path), script)


def test_nodes_and_operators_see_how_nodes_stand_and_no_data(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        certs.issue_operator(nodes.ca, tmp_path / "operator", "olga")
        for files in (tmp_path / "operator", nodes.node_certs("n1")):
            client = nodes.connect(files)
            status = await client.call("GetNodeStatus", cluster_pb2.GetNodeStatusRequest())
            assert (status.name, len(status.replicas)) == ("n1", 1)
            assert (await refusal(client, grpc.StatusCode.PERMISSION_DENIED)).reason == "WRONG_ROLE"

    run(Nodes(tmp_path), script)


def test_a_plaintext_client_on_a_tls_port(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        await refusal(nodes.connect(None), grpc.StatusCode.UNAVAILABLE)
        await assert_nothing_was_written(nodes)

    run(Nodes(tmp_path), script)


def test_a_tls_client_on_a_plaintext_port(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        await refusal(nodes.connect(nodes.agent_certs("acme", "support")), grpc.StatusCode.UNAVAILABLE)
        assert (await nodes.connect(None).call("List", kv_pb2.ListRequest(namespace=NAMESPACE))).keys == []

    run(Nodes(tmp_path, tls=False), script)


def test_bytes_that_are_no_tls_on_the_peer_port_do_no_harm(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        host, port = split_address(str(nodes.members[0]["peer"]))
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
        assert not (await reader.read()).startswith(b"HTTP")
        writer.close()
        await nodes.client().call("Put", PUT)

    run(Nodes(tmp_path), script)


def test_a_tenant_over_its_rate_is_told_which_limit_and_when_to_retry(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        keys = [f"k{i}" for i in range(1_000)]
        many = kv_pb2.MultiPutRequest(namespace=NAMESPACE, keys=keys, values=[b"1"] * len(keys))
        await nodes.client().call("MultiPut", many)  # leaves a debt that takes a quarter of an hour to pay
        refused = await refusal(nodes.client(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert refused.reason == "RATE_LIMITED"
        assert refused.metadata["limit"] == "operations_per_s"
        assert 0 < int(refused.metadata["retry_after_ms"]) <= 1_000_000
        assert refused.details == ["ErrorInfo", "RetryInfo", "QuotaFailure"]
        other = kv_pb2.PutRequest(namespace="globex/support", key="k", value=b"1")
        await nodes.client("globex").call("Put", other)  # each tenant has a bucket of its own

    run(Nodes(tmp_path, quotas={"default": {"operations_per_s": 1, "burst_s": 1.0}}), script)


def test_a_tenant_over_its_bytes_may_read_and_delete_but_not_store(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        client = nodes.client()
        await client.call("Put", PUT)
        big = kv_pb2.PutRequest(namespace=NAMESPACE, key="big", value=b'"' + b"x" * 10_000 + b'"')
        with pytest.raises(Failed, match=r"tenant 'acme' uses \d+ of bytes_max = 8000") as caught:
            await client.call("Put", big)
        assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.reason == "QUOTA_EXCEEDED"
        assert (await client.call("Get", kv_pb2.GetRequest(namespace=NAMESPACE, key="k"))).found
        assert (await client.call("Delete", kv_pb2.DeleteRequest(namespace=NAMESPACE, key="k"))).found

    run(Nodes(tmp_path, quotas={"tenant": {"acme": {"bytes_max": 8_000}}}), script)

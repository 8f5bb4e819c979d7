"""Bad input to a real node over real TLS: a clear error, the right code, and nothing half-written."""

from __future__ import annotations

import struct
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message

from memraft_proto.v1 import batch_pb2, cluster_pb2, common_pb2, kv_pb2, vector_pb2
from memraft_server.machine import Limits
from tests.acceptance.nodes import Failed, Nodes, run

NAMESPACE = "acme/support"
LIMITS = Limits()


def vector(*components: float) -> bytes:
    return struct.pack(f"<{len(components)}f", *components)


BAD_CALLS: dict[str, tuple[str, Message, grpc.StatusCode, str]] = {
    "a value over its limit": (
        "Put",
        kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b'"' + b"x" * LIMITS.value_bytes_max + b'"'),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"value: 1048578 bytes, at most 1048576",
    ),
    "a value that is not JSON": (
        "Put",
        kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"{"),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"value: not JSON",
    ),
    "a request over its limit": (
        "MultiPut",
        kv_pb2.MultiPutRequest(
            namespace=NAMESPACE, keys=map(str, range(9)), values=[b'"' + b"x" * 1_000_000 + b'"'] * 9
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"the request has 90\d+ bytes, over request_bytes_max = 8388608",
    ),
    "too many items": (
        "MultiPut",
        kv_pb2.MultiPutRequest(namespace=NAMESPACE, keys=map(str, range(10_001)), values=[b"1"] * 10_001),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"keys: 10001.* 10000",
    ),
    "an empty key": (
        "Put",
        kv_pb2.PutRequest(namespace=NAMESPACE, value=b"1"),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"key: missing; 1 to 512 bytes",
    ),
    "a key with a control character": (
        "Put",
        kv_pb2.PutRequest(namespace=NAMESPACE, key="a\nb", value=b"1"),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"key: .*control character",
    ),
    "a key over its limit": (
        "Get",
        kv_pb2.GetRequest(namespace=NAMESPACE, key="ä" * 257),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"key: 514 bytes, at most 512",
    ),
    "a malformed namespace": (
        "Put",
        kv_pb2.PutRequest(namespace="acme//support", key="k", value=b"1"),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"namespace",
    ),
    "no namespace": (
        "Get",
        kv_pb2.GetRequest(key="k"),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"namespace",
    ),
    "a filter that is not JSON": (
        "SearchVectors",
        vector_pb2.SearchVectorsRequest(
            namespace=NAMESPACE, collection="docs", vector=vector(1, 0, 0), filter=b"{lang"
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"filter: it is not JSON",
    ),
    "a filter with an unknown operator": (
        "SearchVectors",
        vector_pb2.SearchVectorsRequest(
            namespace=NAMESPACE, collection="docs", vector=vector(1, 0, 0), filter=b'{"lang": {"$like": "e"}}'
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"filter.*\$like",
    ),
    "a vector of the wrong dimension": (
        "UpsertVector",
        vector_pb2.UpsertVectorRequest(
            namespace=NAMESPACE, collection="docs", id="v", vector=vector(1, 0, 0, 0)
        ),
        grpc.StatusCode.FAILED_PRECONDITION,
        r"collection 'docs' has vectors of 3 components, 12 bytes; this one has 16 bytes",
    ),
    "a vector with NaN": (
        "UpsertVector",
        vector_pb2.UpsertVectorRequest(
            namespace=NAMESPACE, collection="docs", id="v", vector=vector(1, float("nan"), 0)
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"vector: .*finite",
    ),
    "a query with infinity": (
        "SearchVectors",
        vector_pb2.SearchVectorsRequest(
            namespace=NAMESPACE, collection="docs", vector=vector(float("inf"), 0, 0)
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"vector: .*finite",
    ),
    "a collection that does not exist": (
        "UpsertVector",
        vector_pb2.UpsertVectorRequest(namespace=NAMESPACE, collection="nope", id="v", vector=vector(1)),
        grpc.StatusCode.NOT_FOUND,
        r"nope",
    ),
    "a time in the future": (
        "Get",
        kv_pb2.GetRequest(
            namespace=NAMESPACE, key="k", context=common_pb2.ReadContext(at_time_us=4_102_444_800_000_000)
        ),
        grpc.StatusCode.OUT_OF_RANGE,
        r"at_time_us: 4102444800000000 lies in the future",
    ),
    "an index in the future": (
        "Get",
        kv_pb2.GetRequest(namespace=NAMESPACE, key="k", context=common_pb2.ReadContext(at_index=1_000_000)),
        grpc.StatusCode.OUT_OF_RANGE,
        r"at_index: 1000000 is above",
    ),
    "the namespace of another tenant": (
        "Put",
        kv_pb2.PutRequest(namespace="globex/support", key="k", value=b"1"),
        grpc.StatusCode.PERMISSION_DENIED,
        r"namespace 'globex/support' belongs to tenant 'globex'; the certificate is of tenant 'acme'",
    ),
    "another agent's name": (
        "Put",
        kv_pb2.PutRequest(
            namespace=NAMESPACE, key="k", value=b"1", context=common_pb2.WriteContext(agent="billing")
        ),
        grpc.StatusCode.PERMISSION_DENIED,
        r"agent 'support' may write as itself .* not as 'billing'",
    ),
    "a call for operators": (
        "GetNodeStatus",
        cluster_pb2.GetNodeStatusRequest(),
        grpc.StatusCode.PERMISSION_DENIED,
        r"agent 'support' .* operator's certificate",
    ),
    "a batch with one bad operation": (
        "Batch",
        batch_pb2.BatchRequest(
            namespace=NAMESPACE,
            operations=[
                batch_pb2.Operation(put=kv_pb2.PutRequest(key="fine", value=b"1")),
                batch_pb2.Operation(put=kv_pb2.PutRequest(key="bad", value=b"oops")),
            ],
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"operations\[1\]\.put\.value: not JSON",
    ),
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nodes")


def test_each_bad_call_is_refused_by_name_and_leaves_nothing_behind(directory: Path) -> None:
    async def script(nodes: Nodes) -> None:
        client = nodes.client("acme", "support")
        await client.call(
            "CreateCollection",
            vector_pb2.CreateCollectionRequest(namespace=NAMESPACE, collection="docs", dimension=3),
        )
        machine = nodes.nodes[0].machines[0]
        before = machine.usage("acme").bytes, machine.usage("acme").records
        for what, (call, request, code, message) in BAD_CALLS.items():
            with pytest.raises(Failed, match=message) as caught:
                await client.call(call, request)
            assert caught.value.code is code, what
            assert caught.value.details[0] == "ErrorInfo", what
        assert (machine.usage("acme").bytes, machine.usage("acme").records) == before
        listed = await client.call("List", kv_pb2.ListRequest(namespace=NAMESPACE))
        assert list(listed.keys) == []

    run(Nodes(directory), script)


def test_a_refused_call_never_reaches_the_log(directory: Path) -> None:
    async def script(nodes: Nodes) -> None:
        client = nodes.client("acme", "support")
        last_index = nodes.nodes[0].driver.status()[0].last_index
        for what in ("a value over its limit", "the namespace of another tenant", "another agent's name"):
            call, request, _, _ = BAD_CALLS[what]
            with pytest.raises(Failed):
                await client.call(call, request)
        assert nodes.nodes[0].driver.status()[0].last_index == last_index

    run(Nodes(directory), script)


def test_bytes_that_are_no_message_are_an_invalid_argument(directory: Path) -> None:
    async def script(nodes: Nodes) -> None:
        stub = nodes.client().channel.unary_unary("/memraft.v1.KvService/Put")
        with pytest.raises(grpc.aio.AioRpcError, match="the request is no PutRequest") as caught:
            await stub(b"\xff\xff\xff")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    run(Nodes(directory), script)


def test_an_unknown_call_is_unimplemented(directory: Path) -> None:
    async def script(nodes: Nodes) -> None:
        stub = nodes.client().channel.unary_unary("/memraft.v1.KvService/Evaporate")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

    run(Nodes(directory), script)

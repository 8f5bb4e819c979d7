"""A shard that has more to do than it can hold says so, at once and in the words of the contract."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc

from memraft_proto.v1 import kv_pb2
from tests.acceptance.nodes import Failed, Nodes, run


def test_a_full_queue_is_told_as_resource_exhausted_with_a_pause(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        client = nodes.client(number=nodes.leader())
        await client.call("Put", put(0))
        outcomes = await asyncio.gather(
            *(client.call("Put", put(number)) for number in range(200)), return_exceptions=True
        )
        refused = [each for each in outcomes if isinstance(each, BaseException)]
        assert refused and len(refused) < len(outcomes)
        for each in refused:
            assert isinstance(each, Failed)
            assert (each.code, each.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
            assert "queued_commands_max = 2 is reached" in each.message
            assert {"ErrorInfo", "RetryInfo"} <= set(each.details)
            assert each.metadata["limit"] == "queued_commands_max"
        await client.call("Put", put(1))  # and it goes on

    def put(number: int) -> kv_pb2.PutRequest:
        return kv_pb2.PutRequest(namespace="acme/support", key=f"key-{number}", value=b"1")

    run(Nodes(tmp_path, raft={"queued_commands_max": 2}), script)

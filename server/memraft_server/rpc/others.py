"""What a node asks of other nodes over gRPC: the cluster's record, and to take note of where a group is."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import msgspec
from google.protobuf.message import Message

from memraft_cluster.meta import Record, Report, decode_record
from memraft_proto.methods import METHODS
from memraft_proto.v1 import cluster_pb2
from memraft_proto.v1.log_pb2 import RecordRecallsCommand
from memraft_server.rpc.engine import TlsBytes

ASK_TIMEOUT_S = 2.0
CHANNELS_MAX = 128


class AskFailed(Exception):
    """Another node did not answer, or not with what was asked for. To be tried again later, or elsewhere."""


class OtherNodes:
    """Channels to other nodes, with this node's own certificate.

    Args:
        tls: None: plain text.
    """

    def __init__(self, tls: TlsBytes | None) -> None:
        self._credentials = (
            grpc.ssl_channel_credentials(tls.authority, tls.key, tls.certificate) if tls is not None else None
        )
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def record(self, address: str, is_latest: bool = False) -> Record | None:
        """The record as the node at ``address`` knows it; None where it knows none that is committed.

        Args:
            is_latest: only the record's leader answers, and with the newest there is.

        Raises:
            AskFailed
        """
        request = cluster_pb2.GetClusterRecordRequest(is_latest=is_latest)
        answer = await self._ask(address, "GetClusterRecord", request)
        if not answer.epoch:
            return None
        try:
            return decode_record(answer.record)
        except msgspec.MsgspecError as error:
            raise AskFailed(f"{address} answers with no record: {error}") from error

    async def report(self, address: str, report: Report) -> None:
        """Has the record's leader at ``address`` take note. Raises AskFailed."""
        request = cluster_pb2.ReportReplicasRequest(
            group=report.group,
            voter_node_ids=report.voters,
            learner_node_ids=report.learners,
            commit_index=report.index,
        )
        await self._ask(address, "ReportReplicas", request)

    async def record_recalls(self, address: str, shard: int, command: RecordRecallsCommand) -> None:
        """Has the leader of a shard at ``address`` write receipts of recalls. Raises AskFailed."""
        request = cluster_pb2.RecordRecallsRequest(shard=shard, command=command)
        await self._ask(address, "RecordRecalls", request)

    async def close(self) -> None:
        """Closes all channels."""
        channels = list(self._channels.values())
        self._channels.clear()
        for channel in channels:
            await channel.close(None)

    async def _ask(self, address: str, name: str, request: Message) -> Any:
        method = METHODS[name]
        call = (await self._channel(address)).unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        try:
            return await call(request, timeout=ASK_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise AskFailed(f"{address}: {error.code().name}: {error.details()}") from None

    async def _channel(self, address: str) -> grpc.aio.Channel:
        found = self._channels.get(address)
        if found is not None:
            return found
        if len(self._channels) >= CHANNELS_MAX:
            await self.close()
        options = (("grpc.max_reconnect_backoff_ms", 1_000), ("grpc.min_reconnect_backoff_ms", 200))
        if self._credentials is None:
            made = grpc.aio.insecure_channel(address, options)
        else:
            made = grpc.aio.secure_channel(address, self._credentials, options)
        self._channels[address] = made
        return made

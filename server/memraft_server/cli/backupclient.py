"""Fetches the shards of a cluster into a folder, each from its leader, wherever that is.

A stream that breaks, because a node ended or a connection did, costs the shard that was on its way: it is
fetched anew, from who leads it then. Shards that are whole stay.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from memraft import _status
from memraft_proto.v1 import cluster_pb2
from memraft_server.backup import BackupFolder, Manifest, ShardFile, ShardWriter
from memraft_server.cli.clusterview import Observer
from memraft_server.cli.errors import CliError
from memraft_server.cli.operator import ELSEWHERE, Operator, plain
from memraft_server.snapshot_format import ChunkDamaged

LEADER_TIMEOUT_S = 60.0
"""How long a shard is tried without a byte of it: that many elections fit in."""
ATTEMPTS_MAX = 10
"""How often a shard is begun anew after a part of it came."""
PAUSE_S = 0.2

Told = Callable[[int, int, str], None]
"""(shard, bytes so far, why it is to be begun anew; empty while it goes on)."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """Why a shard was not fetched, who else to ask (empty: not known), and how much of it came."""

    said: str
    hint: str
    size_bytes: int


class BackupClient:
    """Makes one backup.

    Args:
        observer: knows endpoints and an operator's certificate.
        folder: open.
        tell: called now and then.
    """

    def __init__(self, observer: Observer, folder: BackupFolder, tell: Told) -> None:
        self._observer = observer
        self._folder = folder
        self._tell = tell

    def run(self) -> Manifest:
        """Fetches all shards, one after the other. Raises CliError, BackupUnusable."""
        record = Operator(self._observer).look().record
        files = [self._fetch(each.shard, (each.first, each.end)) for each in record.shards]
        return self._folder.complete(record, files)

    def _fetch(self, shard: int, slots: tuple[int, int]) -> ShardFile:
        deadline, begun = time.monotonic() + LEADER_TIMEOUT_S, 0
        said, waiting = "no node answers", self._addresses(shard)
        while True:
            if waiting:
                outcome = self._attempt(waiting.pop(0), shard, slots)
                if isinstance(outcome, ShardFile):
                    return outcome
                said = outcome.said
                if outcome.hint and outcome.hint not in waiting[:1]:
                    waiting.insert(0, outcome.hint)
                self._tell(shard, outcome.size_bytes, said)
                if outcome.size_bytes:
                    begun, deadline = begun + 1, time.monotonic() + LEADER_TIMEOUT_S
            if begun >= ATTEMPTS_MAX or time.monotonic() > deadline:
                raise CliError(f"shard {shard} could not be read; last: {said}")
            time.sleep(PAUSE_S)
            waiting = waiting or self._addresses(shard)

    def _attempt(self, address: str, shard: int, slots: tuple[int, int]) -> "ShardFile | _Failed":
        """Raises CliError where no other node could do it either, BackupUnusable."""
        hint = ""
        writer = self._folder.shard(shard, slots)
        try:
            self._stream(address, shard, writer)
            return writer.finish()
        except ChunkDamaged as damage:
            said = f"{address}: what came is damaged: {damage}"
        except grpc.RpcError as failure:
            error = _status.explain(failure, address)
            said, hint = f"{address}: {plain(error)}", error.metadata.get("leader", "")
            if error.reason not in ELSEWHERE and not writer.size_bytes:
                raise CliError(f"shard {shard}: {said}") from failure
        finally:
            writer.abort()
        return _Failed(said, hint, writer.size_bytes)

    def _stream(self, address: str, shard: int, writer: ShardWriter) -> None:
        """Raises grpc.RpcError, ChunkDamaged, BackupUnusable."""
        request = cluster_pb2.BackupShardRequest(shard=shard)
        call = self._observer.stream(address, "BackupShard", request)
        try:
            for response in call:
                writer.write(response.chunk)
                self._tell(shard, writer.size_bytes, "")
        finally:
            call.cancel()

    def _addresses(self, shard: int) -> list[str]:
        """Where the shard's leader may be found: who is said to lead it, then all who hold it."""
        try:
            shard_map = self._observer.shard_map()
        except CliError:
            return []
        where = {node.node_id: node.address for node in shard_map.nodes}
        route = next((each for each in shard_map.shards if each.shard == shard), None)
        ids = [] if route is None else [route.leader_node_id, *route.replica_node_ids]
        return list(dict.fromkeys(where[each] for each in ids if each in where))

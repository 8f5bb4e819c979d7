"""How a cluster stands, asked of every node by itself, so that one that does not answer is seen as such."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import msgspec

from memraft._diagnose import diagnose
from memraft._status import CONNECT_FAILED
from memraft._target import Certificates
from memraft.errors import ConnectionFailed
from memraft_cluster.meta import META_GROUP
from memraft_proto.methods import METHODS
from memraft_proto.v1 import cluster_pb2
from memraft_server.cli.errors import CliError

NO_CONNECTION = "the connection fails"

ASK_TIMEOUT_S = 3.0
"""What a node gets to answer before it counts as unreachable."""
SETTLE_S = 2.0
"""How long a shard may be between two leaders before it counts as one without."""
SETTLE_PAUSE_S = 0.1


class ReplicaView(msgspec.Struct, frozen=True):
    """One replica of a shard. `lag` counts log entries between what is committed and what is applied here;
    -1 where that is not known. `is_voter` and `is_whole` are by its own word: one that learns has no vote
    yet, one that may lack what it once had has none until it has it back."""

    node: str
    role: str
    term: int
    applied_index: int
    lag: int
    applied_hash: str
    is_voter: bool = True
    is_whole: bool = True
    base_index: int = 0
    saved_index: int = 0


class ShardView(msgspec.Struct, frozen=True):
    """One shard. `leader` is empty where no node that answered leads it; `voters` and `learners` are by the
    leader's word; `step` is what it does or waits for while the replicas are not where they are wanted."""

    shard: int
    slot_first: int
    slot_last: int
    leader: str
    term: int
    commit_index: int
    replicas: list[ReplicaView]
    voters: list[str] = []
    learners: list[str] = []
    step: str = ""


class NodeView(msgspec.Struct, frozen=True):
    """One node. `error` is empty where it answered; the other figures are 0 where it did not. `not_ready`
    says why it should not be sent calls."""

    node_id: int
    name: str
    address: str
    error: str = ""
    version: str = ""
    uptime_s: float = 0.0
    resident_bytes: int = 0
    leads: list[int] = []
    shards: int = 0
    shards_due: int = 0
    """How many shards it has a vote in, and how many the shard map says it does."""
    not_ready: list[str] = []


class ClusterView(msgspec.Struct, frozen=True):
    """The whole cluster."""

    cluster: str
    epoch: int
    nodes: list[NodeView]
    shards: list[ShardView]
    record: ShardView
    """The group of the cluster's own record, as if it were a shard without slots."""

    @property
    def leaderless(self) -> list[int]:
        """The shards without a leader."""
        return [shard.shard for shard in self.shards if not shard.leader]

    @property
    def differing(self) -> list[NodeView]:
        """The nodes that answered, and hold another number of shards than the shard map says."""
        return [node for node in self.nodes if not node.error and node.shards != node.shards_due]


def settled(look: Callable[[], ClusterView], settle_s: float = SETTLE_S) -> ClusterView:
    """Looks until every shard has a leader and every node holds what the shard map says, or for `settle_s`:
    the nodes are not asked at one moment, so while leadership or a replica moves their answers do not fit.
    """
    deadline = time.monotonic() + settle_s
    while True:
        view = look()
        if not (view.leaderless or view.differing) or time.monotonic() >= deadline:
            return view
        time.sleep(SETTLE_PAUSE_S)


class Observer:
    """Asks nodes how they stand, over channels that stay open. A context manager.

    endpoints: addresses to learn the shard map from; certs: directory with an operator's ca.pem, cert.pem
    and key.pem; None: plain text.
    """

    def __init__(self, endpoints: Sequence[str], certs: Path | None) -> None:
        self.endpoints = list(endpoints)
        self._certificates = None if certs is None else _certificates(certs)
        self._channels: dict[str, grpc.Channel] = {}

    def __enter__(self) -> "Observer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            # An interrupt may have broken off in the middle of a call, and closing its channel would then
            # wait for ever. What is not closed ends with the process, or when nobody holds it.
            return
        # After an error, too: a call that is under way when the interpreter ends may keep it from ending.
        for channel in self._channels.values():
            channel.close()

    def _ask(self, address: str, call: str, timeout_s: float) -> "grpc.Future[Any]":
        return self.ask(address, call, METHODS[call].request(), timeout_s)

    def ask(self, address: str, call: str, request: Any, timeout_s: float) -> "grpc.Future[Any]":
        """Makes a call of the contract; its result raises grpc.RpcError."""
        method = METHODS[call]
        ask = self._channel(address).unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return ask.future(request, timeout=timeout_s)

    def stream(self, address: str, call: str, request: Any) -> Any:
        """Makes a call with many responses; iterating over it raises grpc.RpcError, and `cancel` ends it."""
        method = METHODS[call]
        ask = self._channel(address).unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return ask(request)

    def _channel(self, address: str) -> grpc.Channel:
        channel = self._channels.get(address)
        if channel is None:
            # A node that was down must be found again soon after it is back.
            options = (
                ("grpc.max_reconnect_backoff_ms", 500),
                ("grpc.min_reconnect_backoff_ms", 100),
                # One that hangs in the middle of a stream must be noticed.
                ("grpc.keepalive_time_ms", 15_000),
                ("grpc.keepalive_timeout_ms", 10_000),
            )
            channel = self._channels[address] = self._open(address, options)
        return channel

    def _open(self, address: str, options: tuple[tuple[str, int], ...]) -> grpc.Channel:
        own = self._certificates
        if own is None:
            return grpc.insecure_channel(address, options)
        return grpc.secure_channel(address, own.credentials(), options)

    def reason(self, address: str, error: grpc.RpcError) -> str:
        """Why a node did not answer, in a few words. Where there is no connection, a handshake tells why."""
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return "no answer in time"
        said = " ".join(str(error.details() or error.code().name.lower()).split())
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            return said
        unclear = NO_CONNECTION if "connect" in said else said  # gRPC's own words name addresses and codes
        found = diagnose(address, self._certificates, ConnectionFailed(unclear, reason=CONNECT_FAILED))
        return str(found).removeprefix(f"{address}: ")

    def shard_map(self, timeout_s: float = ASK_TIMEOUT_S) -> cluster_pb2.GetShardMapResponse:
        """The newest shard map that any endpoint gives; CliError where none answers."""
        asked = [(address, self._ask(address, "GetShardMap", timeout_s)) for address in self.endpoints]
        maps: list[cluster_pb2.GetShardMapResponse] = []
        failures: list[str] = []
        for address, answer in asked:
            try:
                maps.append(answer.result())
            except grpc.RpcError as error:
                failures.append(f"{address}: {self.reason(address, error)}")
        if not maps:
            raise CliError(f"no node answers: {'; '.join(failures)}")
        return max(maps, key=lambda each: each.epoch)

    def look(self, timeout_s: float = ASK_TIMEOUT_S) -> ClusterView:
        """Asks every node of the shard map. CliError where none answers or these certificates may not ask."""
        shard_map = self.shard_map(timeout_s)
        asked = [(node, self._ask(node.address, "GetNodeStatus", timeout_s)) for node in shard_map.nodes]
        answers: dict[int, cluster_pb2.GetNodeStatusResponse] = {}
        errors: dict[int, str] = {}
        for node, answer in asked:
            try:
                answers[node.node_id] = answer.result()
            except grpc.RpcError as error:
                if error.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED):
                    raise CliError(f"{node.address} refuses: {error.details()}") from error
                errors[node.node_id] = self.reason(node.address, error)
        return assemble(shard_map, answers, errors)


def _certificates(directory: Path) -> Certificates:
    authority, certificate, key = (
        (directory / name).read_bytes() for name in ("ca.pem", "cert.pem", "key.pem")
    )
    return Certificates(directory=directory, authority=authority, certificate=certificate, key=key)


def assemble(
    shard_map: cluster_pb2.GetShardMapResponse,
    answers: dict[int, cluster_pb2.GetNodeStatusResponse],
    errors: dict[int, str],
) -> ClusterView:
    """Puts the nodes' answers together. Where two claim to lead a shard, the one of the later term does."""
    names = {node.node_id: node.name for node in shard_map.nodes}
    shards = [
        _shard(route, [(names[id_], replica) for id_, replica in _replicas(answers, route.shard)], names)
        for route in shard_map.shards
    ]
    nodes = [
        _node(node, answers.get(node.node_id), errors.get(node.node_id, ""), shards, shard_map.shards)
        for node in shard_map.nodes
    ]
    records = [(names[id_], answer.record) for id_, answer in sorted(answers.items()) if answer.record.term]
    record = _shard(cluster_pb2.ShardRoute(shard=META_GROUP), records, names)
    return ClusterView(
        cluster=shard_map.cluster, epoch=shard_map.epoch, nodes=nodes, shards=shards, record=record
    )


def _replicas(
    answers: dict[int, cluster_pb2.GetNodeStatusResponse], shard: int
) -> list[tuple[int, cluster_pb2.ReplicaStatus]]:
    return [
        (node_id, replica)
        for node_id, answer in sorted(answers.items())
        for replica in answer.replicas
        if replica.shard == shard
    ]


def _shard(
    route: cluster_pb2.ShardRoute,
    replicas: list[tuple[str, cluster_pb2.ReplicaStatus]],
    names: dict[int, str],
) -> ShardView:
    leading = [each for each in replicas if each[1].role == cluster_pb2.REPLICA_ROLE_LEADER]
    leader, status = max(leading, key=lambda each: each[1].term, default=("", None))
    commit = max((replica.commit_index for _, replica in replicas), default=0)
    return ShardView(
        shard=route.shard,
        slot_first=route.slot_first,
        slot_last=route.slot_last,
        leader=leader,
        term=status.term if status else max((replica.term for _, replica in replicas), default=0),
        commit_index=commit,
        replicas=[_replica(name, replica, commit if status else -1, names) for name, replica in replicas],
        voters=_named(status.voter_node_ids, names) if status else [],
        learners=_named(status.learner_node_ids, names) if status else [],
        step=status.step if status else "",
    )


def _named(ids: Iterable[int], names: dict[int, str]) -> list[str]:
    return [names.get(each, str(each)) for each in ids]


def _replica(
    name: str, replica: cluster_pb2.ReplicaStatus, commit: int, names: dict[int, str]
) -> ReplicaView:
    role = cluster_pb2.ReplicaRole.Name(replica.role).removeprefix("REPLICA_ROLE_").lower()
    return ReplicaView(
        node=name,
        role=role,
        term=replica.term,
        applied_index=replica.applied_index,
        lag=-1 if commit < 0 else max(0, commit - replica.applied_index),
        applied_hash=replica.applied_hash,
        is_voter=name in _named(replica.voter_node_ids, names),
        is_whole=replica.is_whole,
        base_index=replica.base_index,
        saved_index=replica.saved_index,
    )


def _node(
    node: cluster_pb2.NodeAddress,
    answer: cluster_pb2.GetNodeStatusResponse | None,
    error: str,
    shards: Sequence[ShardView],
    routes: Sequence[cluster_pb2.ShardRoute],
) -> NodeView:
    if answer is None:
        return NodeView(node_id=node.node_id, name=node.name, address=node.address, error=error)
    return NodeView(
        node_id=node.node_id,
        name=node.name,
        address=node.address,
        version=answer.version,
        uptime_s=round(answer.uptime_s, 1),
        resident_bytes=answer.resident_bytes,
        leads=[shard.shard for shard in shards if shard.leader == node.name],
        shards=sum(node.node_id in replica.voter_node_ids for replica in answer.replicas),
        not_ready=list(answer.not_ready),
        shards_due=sum(node.node_id in route.replica_node_ids for route in routes),
    )

"""What a node tells of the cluster and of itself, and how the cluster's record is asked for and changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from memraft_cluster import raft
from memraft_cluster.driver import GroupStatus, MultiRaft
from memraft_cluster.errors import NotLeader
from memraft_cluster.meta import (
    META_GROUP,
    AddNode,
    Change,
    ChangeRefused,
    Command,
    MoveReplica,
    Outcome,
    Rebalance,
    RemoveNode,
    Report,
    TransferLeader,
    encode_command,
)
from memraft_proto.sharding import SLOT_COUNT
from memraft_proto.v1 import cluster_pb2
from memraft_server.cluster_record import Known, RecordMachine
from memraft_server.config import NAME, Config, split_address
from memraft_server.hosting import Hosting
from memraft_server.machine import Refused
from memraft_server.machine.refused import invalid
from memraft_server.metrics import resident_bytes
from memraft_server.reconcile import Reconciler

_ROLES = {
    raft.Role.LEADER: cluster_pb2.REPLICA_ROLE_LEADER,
    raft.Role.FOLLOWER: cluster_pb2.REPLICA_ROLE_FOLLOWER,
}
READY_LAG_S_MAX = 5.0
"""A node that was ready stays so while its replicas lag by no more: under load a replica is nearly always a
few entries behind, and only a node that is far behind should not be sent calls."""

STOPPED = (
    ", and this replica lost what it had acknowledged, so it does not vote: where that befell a majority the "
    "shard stops rather than guess; put back what was set aside (*.damaged-*) once its disk is sound, or "
    "restore a backup into a new cluster"
)


class Directory:
    """See ``memraft_server.service.Directory``.

    Args:
        config: of this node.
        version: of the software.
        known: the newest record known here.
        machine: the record on this node.
        driver, hosting, reconciler: of this node.
    """

    def __init__(
        self,
        config: Config,
        version: str,
        known: Known,
        machine: RecordMachine,
        driver: MultiRaft,
        hosting: Hosting,
        reconciler: Reconciler,
    ) -> None:
        self._config = config
        self._version = version
        self._known = known
        self._machine = machine
        self._driver = driver
        self._hosting = hosting
        self._reconciler = reconciler
        self._began_s = time.monotonic()

    # -- where things are ------------------------------------------------------------------------------

    def client_address(self, node: int) -> str:
        """Where clients reach a node, as host:port; empty where there is no such node."""
        return self._reconciler.client_address(node)

    def leader(self, shard: int) -> int:
        """The node to ask for a shard that this one cannot answer for; 0 where that is not known."""
        self._hosting.look()
        known = self._driver.leader(shard)
        record = self._known.record
        is_elsewhere = shard not in self._hosting.machines
        if not known and is_elsewhere and record is not None and shard < len(record.shards):
            known = record.shards[shard].leader
        return known if known != self._config.node.id else 0

    def shard_map(self) -> cluster_pb2.GetShardMapResponse:
        """The answer to GetShardMap. Raises Refused where this node has not learnt the record yet."""
        record = self._known.record
        if record is None:
            raise Refused(
                "NO_LEADER", "this node joins the cluster and knows nothing of it yet; ask another one"
            )
        response = cluster_pb2.GetShardMapResponse(
            epoch=record.epoch,
            slot_count=SLOT_COUNT,
            answering_node_id=self._config.node.id,
            cluster=record.cluster,
        )
        for node in record.nodes:
            response.nodes.add(node_id=node.id, name=node.name, address=node.client)
        for shard in record.shards:
            response.shards.add(
                shard=shard.shard,
                slot_first=shard.first,
                slot_last=shard.end - 1,
                leader_node_id=self._driver.leader(shard.shard) or shard.leader,
                replica_node_ids=shard.actual.voters,
            )
        return response

    # -- how this node stands --------------------------------------------------------------------------

    def not_ready(self) -> list[str]:
        """Why this node, which has started, should not be sent calls; empty: it should."""
        record, node = self._known.record, self._config.node
        stone = record.tombstone(node.id) if record is not None else None
        if stone is not None:
            return [
                f"this node was removed from the cluster at epoch {stone.epoch}: stop it and delete its data"
            ]
        if record is None:
            return ["this node joins the cluster and has found no other node of it yet"]
        if record.node(node.id) is None:
            return [f"this node is not one of the cluster's yet: memraft cluster add-node {node.name} ..."]
        self._hosting.look()
        reasons = [str(stopped.error()) for stopped in self._driver.stopped.values()]
        if (full := self._driver.disk_full) is not None:
            # It answers reads, and clients are not sent by this; but who restarts or adds nodes must wait.
            reasons.append(f"disk full: {full}")
        recovering = self._hosting.recovering
        for shard in sorted([*self._hosting.shards, *recovering]):
            # Not the core's word, which it may say before its vote is on disk: the one that calls go by.
            if not self._driver.leader(shard):
                status = self._driver.group_status(shard)
                has_lost = shard in recovering and status is not None and status.term > 0
                reasons.append(f"shard {shard}: no leader is known{STOPPED if has_lost else ''}")
            elif shard in recovering:
                reasons.append(f"shard {shard}: gets back from other nodes what this one lost")
            elif not self._driver.has_caught_up(shard):
                applied = self._driver.applied(shard)
                reasons.append(f"shard {shard}: has yet to catch up, applied {applied} entries so far")
            elif (age_s := self._driver.age_us(shard) / 1_000_000) > READY_LAG_S_MAX:
                reasons.append(f"shard {shard}: {age_s:.1f} s behind, more than {READY_LAG_S_MAX:.0f} s")
        status = self._driver.group_status(META_GROUP)
        if not record.epoch or status is None or not status.is_whole:
            # A group is founded by all that begin it: were one gone before, the others would wait for it.
            reasons.append("the cluster's record: has yet to begin, or to get back what was lost here")
        return reasons

    def node_status(self) -> cluster_pb2.GetNodeStatusResponse:
        """The answer to GetNodeStatus."""
        response = cluster_pb2.GetNodeStatusResponse(
            node_id=self._config.node.id,
            name=self._config.node.name,
            cluster=self._config.cluster.name,
            version=self._version,
            uptime_s=time.monotonic() - self._began_s,
            resident_bytes=resident_bytes(),
            epoch=self._known.epoch,
            not_ready=self.not_ready(),
        )
        for status in self._driver.status():
            step = self._reconciler.steps.get(status.group, "")
            if status.group == META_GROUP:
                fill_status(response.record, status, step, "")
                continue
            machine = self._hosting.machines.get(status.group)
            applied_hash = machine.applied_hash.hex() if machine is not None else ""
            fill_status(response.replicas.add(), status, step, applied_hash)
        return response

    # -- the record ------------------------------------------------------------------------------------

    def cluster_record(self, request: Any) -> Any:
        """The answer to GetClusterRecord, at once or, for the latest, when leadership is proved."""
        return self._latest_record() if request.is_latest else self._record()

    async def _latest_record(self) -> Message:
        await self._driver.read_barrier(META_GROUP)
        return self._record()

    def _record(self) -> cluster_pb2.GetClusterRecordResponse:
        record = self._known.record
        return cluster_pb2.GetClusterRecordResponse(
            record=record.encode() if record is not None else b"",
            epoch=self._known.epoch,
            answering_node_id=self._config.node.id,
            leader_node_id=self._driver.leader(META_GROUP),
        )

    def change_cluster(self, request: Any) -> Any:
        """The answer to ChangeCluster, as soon as the change is committed."""
        return self._change(change_of(request))

    async def _change(self, change: Change) -> Message:
        outcome = await self._propose(change)
        return cluster_pb2.ChangeClusterResponse(
            changed=outcome.changed,
            message=outcome.message,
            record=outcome.record.encode(),
            epoch=outcome.record.epoch,
        )

    def report_replicas(self, request: Any) -> Any:
        """The answer to ReportReplicas, as soon as it is committed."""
        report = Report(
            request.group,
            tuple(request.voter_node_ids),
            tuple(request.learner_node_ids),
            request.commit_index,
        )
        return self._take_report(report)

    async def _take_report(self, report: Report) -> Message:
        outcome = await self._propose(report)
        return cluster_pb2.ReportReplicasResponse(epoch=outcome.record.epoch)

    async def _propose(self, command: Command) -> Outcome:
        """Raises Refused (CHANGE_REFUSED), ClusterError."""
        if not self._driver.is_leader(META_GROUP):
            raise NotLeader(META_GROUP, self._driver.leader(META_GROUP))
        if self._machine.record is None:
            raise NotLeader(META_GROUP, 0)  # it leads since a moment ago, and has yet to begin the record
        reply = (await self._driver.propose(META_GROUP, encode_command(command), None)).reply
        if isinstance(reply, ChangeRefused):
            raise Refused("CHANGE_REFUSED", str(reply))
        assert isinstance(reply, Outcome)
        return reply


def fill_status(
    replica: cluster_pb2.ReplicaStatus, status: GroupStatus, step: str, applied_hash: str
) -> None:
    """Writes how a replica stands into a message."""
    replica.shard = status.group
    replica.role = _ROLES.get(status.role, cluster_pb2.REPLICA_ROLE_CANDIDATE)
    replica.term = status.term
    replica.leader_node_id = status.leader
    replica.commit_index = status.commit
    replica.applied_index = status.applied
    replica.last_index = status.last_index
    replica.applied_hash = applied_hash
    replica.voter_node_ids.extend(status.membership.voters)
    replica.learner_node_ids.extend(status.membership.learners)
    replica.is_whole = status.is_whole
    replica.base_index = status.base_index
    replica.saved_index = status.saved_index
    replica.step = step
    for node, peer in status.peers.items():
        replica.peers.add(
            node_id=node,
            match_index=peer.match,
            applied_index=peer.applied,
            active=peer.active,
            is_recovering=peer.is_recovering,
            state=peer.state,
        )


def change_of(request: cluster_pb2.ChangeClusterRequest) -> Change:
    """The change that a request asks for. Raises Refused (INVALID_ARGUMENT) for what is none."""
    match request.WhichOneof("change"):
        case "add_node":
            add = request.add_node
            _check_node(add)
            return AddNode(add.name, add.peer, add.client, add.node_id)
        case "remove_node":
            return RemoveNode(request.remove_node.name, request.remove_node.force)
        case "move_replica":
            move = request.move_replica
            return MoveReplica(move.shard, move.source, move.target)
        case "transfer_leader":
            return TransferLeader(request.transfer_leader.shard, request.transfer_leader.target)
        case "rebalance":
            return Rebalance(request.rebalance.replicas)
    raise invalid("change: is missing")


def _check_node(add: cluster_pb2.AddNode) -> None:
    if not NAME.fullmatch(add.name):
        raise invalid(f"add_node.name: {add.name!r} is not 1 to 64 of A-Z a-z 0-9 . _ -")
    addresses: Mapping[str, str] = {"peer": add.peer, "client": add.client}
    for what, address in addresses.items():
        try:
            split_address(address)
        except ValueError as error:
            raise invalid(f"add_node.{what}: {error}") from None

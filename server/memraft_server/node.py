"""One node: the only place where the parts are put together."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prometheus_client.core import Metric

from memraft_cluster import raft
from memraft_cluster.driver import DriverConfig, GroupSpec, MultiRaft
from memraft_cluster.errors import ClusterError
from memraft_cluster.fatal import Fatal, end_process
from memraft_cluster.log import Durability, DurableLog
from memraft_cluster.shards import even_map
from memraft_cluster.tls import TlsFiles
from memraft_cluster.transport import Peer, Transport, TransportConfig
from memraft_proto.sharding import SLOT_COUNT
from memraft_proto.v1 import cluster_pb2
from memraft_server import logs
from memraft_server.admission.identity import Caller, parse_identity
from memraft_server.admission.quotas import Quotas
from memraft_server.background import Background
from memraft_server.certs import CertsError, check_files
from memraft_server.config import MESSAGE_MARGIN_BYTES, RECEIVE_FACTOR, Config, split_address
from memraft_server.entries import EntryBuilder, wall_time_us
from memraft_server.health import HealthServer, MetricsListenFailed
from memraft_server.machine import Machine, Refused
from memraft_server.metrics import (
    CallMetrics,
    driver_families,
    process_families,
    quota_family,
    resident_bytes,
    shard_families,
    transport_families,
)
from memraft_server.replica import Replica, ReplicatedShard
from memraft_server.rpc.server import ListenFailed, RpcConfig, RpcServer, TlsBytes
from memraft_server.service import Service

logger = logging.getLogger("memraft.node")

DRAIN_GRACE_S = 1.0
"""How long calls may take to finish after the shards have been handed over: they only have to be answered."""
READY_LAG_S_MAX = 5.0
"""A node that was ready stays so while its replicas lag by no more: under load a replica is nearly always a
few entries behind, and only a node that is far behind should not be sent calls."""
EXIT_FAILED = 1

START_ERRORS = (CertsError, ClusterError, ListenFailed, MetricsListenFailed)
"""What can be wrong with where a node is started; the messages are for the person who started it."""

_ROLES = {
    raft.Role.LEADER: cluster_pb2.REPLICA_ROLE_LEADER,
    raft.Role.FOLLOWER: cluster_pb2.REPLICA_ROLE_FOLLOWER,
}


def tune_collector() -> None:
    """Keeps the cyclic garbage collector off the heap of records.

    Records hold no reference cycles and are freed by reference counts; what the collector would find is a few
    cycles in calls that failed. With Python's own thresholds it walks a million records again and again, for
    pauses of hundreds of milliseconds. Young objects are therefore collected every 50,000 allocations instead
    of every 700, old ones after 50 x 100 such rounds, and what the replay loaded is not looked at at all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


class Node:
    """A node that serves. Made, started and stopped on one event loop.

    Args:
        config: checked already.
        fatal: called when going on could lose writes; by default it ends the process.

    Raises:
        CertsError, ClusterError: the certificates or the data directory cannot be used.
    """

    def __init__(self, config: Config, *, fatal: Fatal = end_process) -> None:
        self.config = config
        self._began_s = time.monotonic()
        self._phase = "starting"
        self._replayed: dict[int, tuple[int, int]] = {}
        limits = config.machine_limits()
        self._shard_map = even_map(config.cluster.shards, [member.id for member in config.cluster.nodes])
        self._members = {member.id: member for member in config.cluster.nodes}
        self.machines = [Machine(shard, limits) for shard in range(config.cluster.shards)]
        trust_domain = _trust_domain(config)
        self._transport = transport = Transport(_transport_config(config, trust_domain))
        log = DurableLog(
            Path(config.node.data_dir) / "log",
            cluster=config.cluster.name,
            node=config.node.name,
            node_id=config.node.id,
            layout=transport.config.layout,
            durability=Durability(config.durability.mode),
        )
        builders = [EntryBuilder() for _ in self.machines]
        groups = {
            shard: GroupSpec(
                Replica(machine),
                builders[shard],
                self._shard_map.preferred_leaders[shard],
                tuple(sorted(self._members)),
            )
            for shard, machine in enumerate(self.machines)
        }
        self.driver = MultiRaft(
            _driver_config(config), log, transport, groups, fatal=fatal, progress=self._note_replay
        )
        self.shards = [
            ReplicatedShard(shard, machine, self.driver, builders[shard])
            for shard, machine in enumerate(self.machines)
        ]
        self.quotas = Quotas(config.quotas.default, config.quotas.tenant, self.machines, time.monotonic)
        self.calls = CallMetrics()
        self.service = Service(
            self.shards,
            self._shard_map.shard_of,
            self,
            limits=limits,
            quotas=self.quotas if config.tls.enabled else None,
            lag_wait_ms=config.client.lag_wait_ms,
            request_bytes_max=config.limits.request_bytes_max,
        )
        self.rpc = RpcServer(_rpc_config(config, trust_domain), self.service, self.client_address, self.calls)
        host, port = split_address(config.metrics.listen)
        self.health = HealthServer(host, port, self.gather, self.not_ready)
        self.background = Background(
            self.shards,
            self.driver,
            wall_time_us,
            expiry_interval_ms=config.background.expiry_interval_ms,
            expiry_keys_max=config.background.expiry_keys_max,
            index_interval_ms=config.background.index_interval_ms,
        )

    # -- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Takes the ports, replays the log, joins the other nodes and serves.

        Raises:
            ListenFailed, MetricsListenFailed, ClusterError: a port is in use, or the log is damaged. What was
                started before has been stopped.
        """
        try:
            if self.config.metrics.enabled:
                await self.health.start()
            self.rpc.bind()
            self._phase = "replaying the log"
            await self.driver.start()
            await self.rpc.start()
            self.background.start()
        except BaseException:
            await self.stop()
            raise
        self._phase = ""
        fields = {
            "name": self.config.node.name,
            "cluster": self.config.cluster.name,
            "clients": self.config.client_listen,
            "peers": self.config.peer_listen,
            "metrics": f"{self.health.host}:{self.health.port}" if self.config.metrics.enabled else "",
            "tls": self.config.tls.enabled,
            "took_s": round(time.monotonic() - self._began_s, 3),
        }
        logger.info("serving", extra={"fields": fields})

    async def stop(self) -> None:
        """Hands its shards over, answers the calls that run, closes everything."""
        self._phase = "shutting down"
        if self.rpc.is_serving:
            await self.rpc.set_serving(False)
        await self.background.stop()
        # First the driver: it finishes what was proposed and finds new leaders, while calls are still told
        # where to go. Then the calls that are left.
        await self.driver.stop()
        await self.rpc.stop(DRAIN_GRACE_S)
        await self.health.stop()

    def _note_replay(self, shard: int, phase: str, done: int, total: int) -> None:
        self._replayed[shard] = done, total

    # -- what others ask it ----------------------------------------------------------------------------

    def client_address(self, node_id: int) -> str:
        """Where clients reach a node, as host:port; empty where there is no such node."""
        member = self._members.get(node_id)
        return member.client if member is not None else ""

    def not_ready(self) -> list[str]:
        """Why this node should not be sent calls; empty: it should."""
        if self._phase:
            replay = [
                f"shard {shard}: replayed {done} of {total} entries"
                for shard, (done, total) in self._replayed.items()
                if done < total
            ]
            return [f"{self._phase}", *replay]
        reasons = []
        for shard in range(len(self.machines)):
            # Not the core's word, which it may say before its vote is on disk: the one that calls go by.
            if not self.driver.leader(shard):
                reasons.append(f"shard {shard}: no leader is known")
            elif not self.driver.has_caught_up(shard):
                applied = self.driver.applied(shard)
                reasons.append(f"shard {shard}: has yet to catch up, applied {applied} entries so far")
            elif (age_s := self.driver.age_us(shard) / 1_000_000) > READY_LAG_S_MAX:
                reasons.append(f"shard {shard}: {age_s:.1f} s behind, more than {READY_LAG_S_MAX:.0f} s")
        return reasons

    def gather(self) -> list[Metric]:
        """What Prometheus is told."""
        status = self.driver.status() if not self._phase else []
        return [
            self.calls.family(),
            *shard_families(status),
            *driver_families(self.driver.counters),
            *transport_families(self._transport.rejected_total, self._transport.dropped_total()),
            quota_family(self.quotas.refusals),
            *process_families(_version(), self.config.node.name, self.config.cluster.name),
        ]

    def shard_map(self) -> cluster_pb2.GetShardMapResponse:
        """The answer to GetShardMap."""
        response = cluster_pb2.GetShardMapResponse(
            epoch=self._shard_map.version,
            slot_count=SLOT_COUNT,
            answering_node_id=self.config.node.id,
            cluster=self.config.cluster.name,
        )
        for member in self.config.cluster.nodes:
            response.nodes.add(node_id=member.id, name=member.name, address=member.client)
        for slots in self._shard_map.ranges:
            response.shards.add(
                shard=slots.shard,
                slot_first=slots.first,
                slot_last=slots.end - 1,
                leader_node_id=self.driver.leader(slots.shard),
                replica_node_ids=self._members,
            )
        return response

    def node_status(self) -> cluster_pb2.GetNodeStatusResponse:
        """The answer to GetNodeStatus."""
        response = cluster_pb2.GetNodeStatusResponse(
            node_id=self.config.node.id,
            name=self.config.node.name,
            cluster=self.config.cluster.name,
            version=_version(),
            uptime_s=time.monotonic() - self._began_s,
            resident_bytes=resident_bytes(),
        )
        for status in self.driver.status():
            replica = response.replicas.add(
                shard=status.group,
                role=_ROLES.get(status.role, cluster_pb2.REPLICA_ROLE_CANDIDATE),
                term=status.term,
                leader_node_id=status.leader,
                commit_index=status.commit,
                applied_index=status.applied,
                last_index=status.last_index,
                applied_hash=self.machines[status.group].applied_hash.hex(),
            )
            for node_id, peer in status.peers.items():
                replica.peers.add(node_id=node_id, match_index=peer.match, active=peer.active)
        return response


def _trust_domain(config: Config) -> str:
    """The trust domain, as set or as this node's own certificate has it. Raises CertsError."""
    tls = config.tls
    if not tls.enabled:
        return ""
    facts = check_files(tls.ca, tls.cert, tls.key)
    domain = tls.trust_domain
    if not domain and len(facts.uris) == 1:
        domain = facts.uris[0].removeprefix("spiffe://").partition("/")[0]
    try:
        owner: Caller = parse_identity(facts.uris, domain)
    except Refused as refused:
        raise CertsError(f"certificate {tls.cert} is not this node's: {refused.message}") from None
    if (owner.role.value, owner.name) != ("node", config.node.name):
        raise CertsError(
            f"certificate {tls.cert} belongs to {owner.role.value} {owner.name!r}; "
            f"this is node {config.node.name!r}"
        )
    return domain


def _transport_config(config: Config, trust_domain: str) -> TransportConfig:
    peers = tuple(Peer(each.id, each.name, *split_address(each.peer)) for each in config.cluster.nodes)
    host, port = split_address(config.peer_listen)
    tls = config.tls
    files = TlsFiles(tls.ca, tls.cert, tls.key, trust_domain) if tls.enabled else None
    return TransportConfig(
        cluster=config.cluster.name,
        node_id=config.node.id,
        peers=peers,
        tls=files,
        insecure=not tls.enabled,
        listen_host=host,
        listen_port=port,
        shards=config.cluster.shards,
    )


def _driver_config(config: Config) -> DriverConfig:
    raft_section = config.raft
    return DriverConfig(
        node_id=config.node.id,
        tick_ms=raft_section.tick_ms,
        election_ticks=raft_section.election_ticks,
        heartbeat_ticks=raft_section.heartbeat_ticks,
        entry_bytes_target=raft_section.entry_bytes_target,
        entries_inflight_target=raft_section.entries_inflight_target,
        command_bytes_max=config.limits.request_bytes_max + MESSAGE_MARGIN_BYTES,
        queued_commands_max=raft_section.queued_commands_max,
        queued_bytes_max=raft_section.queued_bytes_max,
        sync_in_thread=raft_section.sync_in_thread,
        rebalance=raft_section.rebalance,
        rebalance_after_ms=raft_section.rebalance_after_ms,
        stop_transfer_ms=raft_section.stop_transfer_ms,
    )


def _rpc_config(config: Config, trust_domain: str) -> RpcConfig:
    tls = None
    if config.tls.enabled:
        ca, cert, key = (Path(path).read_bytes() for path in (config.tls.ca, config.tls.cert, config.tls.key))
        tls = TlsBytes(ca, cert, key, trust_domain)
    return RpcConfig(
        listen=config.client_listen,
        tls=tls,
        receive_bytes_max=config.limits.request_bytes_max * RECEIVE_FACTOR,
        send_bytes_max=config.limits.reply_bytes_max + MESSAGE_MARGIN_BYTES,
        concurrent_calls_max=config.client.concurrent_calls_max,
    )


def _version() -> str:
    try:
        return version("memraft")
    except PackageNotFoundError:
        return "unknown"


def run_node(config: Config) -> int:
    """Runs a node in this process until SIGTERM or SIGINT.

    Returns:
        The exit code of the process: 0 after a graceful stop, 1 where the node could not start.
    """
    logs.set_up(config.log.level, config.log.format, config.node.name)
    return asyncio.run(_run(config))


async def _start(node: Node, ended: asyncio.Event) -> bool:
    """Starts a node; False where it was told to end before it was up, and has been stopped."""
    starting = asyncio.ensure_future(node.start())
    told = asyncio.ensure_future(ended.wait())
    await asyncio.wait((starting, told), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait((starting,))
    if starting.cancelled():
        return False
    starting.result()
    return True


async def _run(config: Config) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        # Opening reads the whole log without a pause and writes nothing: until then a signal just ends it.
        node = Node(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        if not await _start(node, ended):
            logger.info("stopped while starting")
            return 0
    except START_ERRORS as error:
        fields = {"error": str(error), "kind": type(error).__name__}
        logger.critical("the node cannot start", extra={"fields": fields})
        return EXIT_FAILED
    tune_collector()
    await ended.wait()
    logger.info("stopping")
    await node.stop()
    logger.info("stopped")
    return 0

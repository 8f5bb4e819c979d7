"""One node: the only place where the parts are put together."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prometheus_client.core import Metric

from memraft_cluster.driver import DriverConfig, GroupSpec, MultiRaft
from memraft_cluster.errors import ClusterError, StateCorrupted
from memraft_cluster.fatal import Fatal, end_process
from memraft_cluster.groups import group_name
from memraft_cluster.meta import META_GROUP, NodeEntry
from memraft_cluster.shards import even_map
from memraft_cluster.state_machine import CHUNK_BYTES_MAX
from memraft_cluster.tls import TlsFiles
from memraft_cluster.transport import Peer, Transport, TransportConfig
from memraft_proto.v1.log_pb2 import RecordRecallsCommand
from memraft_server import logs
from memraft_server.admission.identity import Caller, parse_identity
from memraft_server.admission.quotas import Quotas
from memraft_server.admission.schemas import SchemaBarrier
from memraft_server.background import Background
from memraft_server.backup_source import BackupSource
from memraft_server.certs import CertsError, check_files
from memraft_server.clock import steady
from memraft_server.cluster_record import Known, RecordEntryBuilder, RecordMachine
from memraft_server.config import MESSAGE_MARGIN_BYTES, RECEIVE_FACTOR, Config, split_address
from memraft_server.directory import Directory
from memraft_server.extensions import ProjectionUnusable, load_projections
from memraft_server.following import Followers
from memraft_server.health import HealthServer, MetricsListenFailed
from memraft_server.hosting import Hosting
from memraft_server.loops import new_event_loop
from memraft_server.machine import Machine, Refused
from memraft_server.metrics import (
    CallMetrics,
    driver_families,
    process_families,
    quota_family,
    shard_families,
    transport_families,
)
from memraft_server.receipts import Outbox
from memraft_server.reconcile import Reconciler
from memraft_server.replica import Replica, StoredReplica
from memraft_server.rpc.engine import ListenFailed, RpcConfig, TlsBytes
from memraft_server.rpc.engines import open_engine
from memraft_server.rpc.exchange import Exchanges
from memraft_server.rpc.others import AskFailed, OtherNodes
from memraft_server.saver import stored_journal
from memraft_server.service import Service
from memraft_server.storage import has_others, open_storage
from memraft_server.store_repair import set_aside

logger = logging.getLogger("memraft.node")

DRAIN_GRACE_S = 1.0
"""How long calls may take to finish after the shards have been handed over: they only have to be answered."""
EXIT_FAILED = 1

START_ERRORS = (CertsError, ClusterError, ListenFailed, MetricsListenFailed, ProjectionUnusable)
"""What can be wrong with where a node is started; the messages are for the person who started it."""

PROGRESS_INTERVAL_S = 1.0
"""How often a node that loads tells its log how far it is."""


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


def _log_fault(message: str) -> None:
    logger.error("a projection's code failed", extra={"fields": {"error": message}})


class Node:
    """A node that serves. Made, started and stopped on one event loop.

    Args:
        config: checked already.
        fatal: called when going on could lose writes; by default it ends the process.

    Raises:
        CertsError, ClusterError: the certificates or the data directory cannot be used.
        ProjectionUnusable: what is registered is no projection.
    """

    def __init__(self, config: Config, *, fatal: Fatal = end_process) -> None:
        self.config = config
        self._began_s = time.monotonic()
        self._phase = "starting"
        self._stopping, self._is_stopped = asyncio.Lock(), False
        self._loading: dict[int, str] = {}
        self._told_s = self._began_s
        self._limits = config.machine_limits()
        self._projections = load_projections(config.projections.classes)
        trust_domain = _trust_domain(config)
        rpc_config = _rpc_config(config, trust_domain)
        self._transport = transport = Transport(_transport_config(config, trust_domain))
        self._storage = storage = open_storage(config, transport.config.layout, self._note_checked)
        self._known = Known(storage.pinned)
        self._record = RecordMachine(storage.record_path, self._known.learn)
        self.driver = MultiRaft(
            _driver_config(config),
            storage.log,
            transport,
            {META_GROUP: self._record_group()},
            fatal=fatal,
            progress=self._note_progress,
            space=storage.space,
        )
        self._wire(rpc_config)

    def _wire(self, rpc_config: RpcConfig) -> None:
        """What stands on the driver."""
        config = self.config
        self.hosting = Hosting(
            config.node.id, self.driver, self._make_replica, self._hosting_changed, time.monotonic
        )
        configured = [NodeEntry(each.id, each.name, each.peer, each.client) for each in config.cluster.nodes]
        self._others = OtherNodes(rpc_config.tls)
        self.reconciler = Reconciler(
            config.node.id,
            configured,
            self._known,
            self.driver,
            self._transport,
            self.hosting,
            self._others,
        )
        self.directory = Directory(
            config, _version(), self._known, self._record, self.driver, self.hosting, self.reconciler
        )
        machines = self.hosting.machines.values()
        self.quotas = Quotas(config.quotas.default, config.quotas.tenant, machines, time.monotonic)
        self.calls = CallMetrics()
        # One worker: checking large documents takes a core for as long as it runs, and calls need the others.
        self._schema_worker = ThreadPoolExecutor(1, "memraft-schema")
        self.backups = BackupSource(self.driver, config.cluster.shards)
        self.outbox = Outbox(self.hosting.shards, self._hand_over)
        self.service = Service(
            self.hosting.shards,
            even_map(config.cluster.shards, [config.node.id]).shard_of,
            self.directory,
            limits=self._limits,
            quotas=self.quotas if config.tls.enabled else None,
            lag_wait_ms=config.client.lag_wait_ms,
            request_bytes_max=config.limits.request_bytes_max,
            backups=self.backups,
            followers=Followers(config.client.followers_max, config.client.heartbeat_ms),
            schemas=SchemaBarrier(self._schema_worker),
            receipts=self.outbox,
        )
        self.service.exchange = Exchanges(self.service, self.directory.client_address, self.calls).call
        self.rpc = open_engine(
            config.client.engine, rpc_config, self.service, self.directory.client_address, self.calls
        )
        host, port = split_address(config.metrics.listen)
        self.health = HealthServer(host, port, self.gather, self.not_ready)
        self.background = Background(
            self.hosting.shards.values(),
            self.driver,
            steady,
            expiry_interval_ms=config.background.expiry_interval_ms,
            expiry_keys_max=config.background.expiry_keys_max,
            index_interval_ms=config.background.index_interval_ms,
            ballast=self._storage.space,
        )

    def _record_group(self) -> GroupSpec:
        pinned, own = self._known.pinned, self.config.node.id
        voters = pinned.meta.voters if pinned is not None and own in pinned.meta else ()
        return GroupSpec(self._record, RecordEntryBuilder(), voters=voters)

    def _make_replica(self, shard: int) -> Replica:
        store = self._storage.store.group(shard)
        machine = Machine(shard, self._limits, stored_journal(store))
        if self._projections:
            machine.host(self._projections, _log_fault, lambda: self.background.note_projections())
        return StoredReplica(machine, store)

    async def _hand_over(self, shard: int, leader: int, command: RecordRecallsCommand) -> None:
        """Has the node that leads a shard write receipts. Raises ConnectionError."""
        address = self.directory.client_address(leader or self.directory.leader(shard))
        if not address:
            raise ConnectionError(f"nobody is known to lead shard {shard}")
        try:
            await self._others.record_recalls(address, shard, command)
        except AskFailed as failure:
            raise ConnectionError(str(failure)) from None

    def _hosting_changed(self) -> None:
        self.service.forget_routes()
        self.background.note_projections()  # those of a shard that came have waited until it answers

    # -- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Takes the ports, loads its replicas, joins the other nodes and serves.

        Raises:
            ListenFailed, MetricsListenFailed, ClusterError: a port is in use, or the log is damaged. What was
                started before has been stopped.
        """
        try:
            if self.config.metrics.enabled:
                await self.health.start()
            self.rpc.bind()
            self._phase = "loading"
            await self.driver.start()
            await self._host()
            await self.rpc.start()
            self.background.start()
            self.outbox.start()
            self.reconciler.start()
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
            "replicas": len(self.hosting.groups),
            "epoch": self._known.epoch,
            "took_s": round(time.monotonic() - self._began_s, 3),
        }
        logger.info("serving", extra={"fields": fields})

    async def _host(self) -> None:
        """Begins with the replicas on disk, and with those that the record wants here.

        A shard that has never changed its members has those that it began with, and its log does not name
        them; neither does the log of a replica that has not heard of the first change yet.
        """
        record, own = self._known.record, self.config.node.id
        if record is None or record.tombstone(own) is not None:
            return
        pinned = self._known.pinned
        log = self._storage.log
        on_disk = [group for group in log.groups() if group < len(record.shards)]
        for shard in sorted({*on_disk, *record.holds(own)}):
            entry = record.shards[shard]
            began = pinned.shards[shard].replicas if pinned is not None else ()
            has_begun = entry.actual.index == 0 or log.group(shard).last_index() > 0
            await self.hosting.host(shard, entry.leader, began if own in began and has_begun else ())

    async def stop(self) -> None:
        """Hands its shards over, answers the calls that run, closes everything; once, whoever asks again."""
        async with self._stopping:
            if not self._is_stopped:
                await self._stop()
                self._is_stopped = True

    async def _stop(self) -> None:
        self._phase = "shutting down"
        if self.rpc.is_serving:
            await self.rpc.set_serving(False)
        self.backups.close()
        self.service.followers.close()
        await self.background.stop()
        await self.outbox.stop()
        await self.reconciler.stop()
        # First the driver: it finishes what was proposed and finds new leaders, while calls are still told
        # where to go. Then the calls that are left.
        await self.driver.stop()
        self._storage.store.close()
        await self.rpc.stop(DRAIN_GRACE_S)
        self.outbox.close()
        self._schema_worker.shutdown(wait=False, cancel_futures=True)
        await self._others.close()
        await self.health.stop()

    def close(self) -> None:
        """Lets go of the files of a node that was never started."""
        self._storage.log.close()
        self._storage.store.close()

    def _note_checked(self, entries: int) -> None:
        """While the log is opened, which holds the event loop."""
        self._tell(f"the log: checked {entries:,} entries")

    def _tell(self, said: str) -> None:
        now = time.monotonic()
        if now - self._told_s >= PROGRESS_INTERVAL_S:
            self._told_s = now
            logger.info(said)

    def _note_progress(self, group: int, phase: str, done: int, total: int) -> None:
        """For those who wait: what is loading says how far it is, when asked and now and then in the log."""
        what = group_name(group, "shard")
        things = "loaded {} records" if phase == "load" else "replayed {} entries"
        count = f"{done:,} of {total:,}" if total else f"{done:,}"
        said = f"{what}: {things.format(count)}"
        if done >= total:
            self._loading.pop(group, None)
        else:
            self._loading[group] = said
        self._tell(said)

    @property
    def epoch(self) -> int:
        """Of the cluster's record, as known here; 0 before there is one."""
        return self._known.epoch

    @property
    def can_heal(self) -> bool:
        """Whether there are other nodes that have what this one may lose."""
        return has_others(self._known.record, self.config.node.id)

    # -- what others ask it ----------------------------------------------------------------------------

    @property
    def machines(self) -> dict[int, Machine]:
        """Those of the replicas on this node, by shard."""
        return self.hosting.machines

    def not_ready(self) -> list[str]:
        """Why this node should not be sent calls; empty: it should."""
        if self._phase:
            return [self._phase, *self._loading.values()]
        return self.directory.not_ready()

    def gather(self) -> list[Metric]:
        """What Prometheus is told."""
        status = self.driver.status() if not self._phase else []
        return [
            self.calls.family(),
            *shard_families(status),
            *driver_families(self.driver.counters),
            *transport_families(self._transport.rejected_total, self._transport.dropped_total()),
            quota_family(self.quotas.refusals),
            *process_families(_version(), self.config.node.name, self.config.cluster.name, self._known.epoch),
        ]


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
        sync_in_thread=_is_synced_in_thread(config),
        rebalance=raft_section.rebalance,
        rebalance_after_ms=raft_section.rebalance_after_ms,
        stop_transfer_ms=raft_section.stop_transfer_ms,
        log_keep_bytes=config.disk.log_keep_bytes,
        log_keep_entries=config.disk.log_keep_entries,
    )


def _is_synced_in_thread(config: Config) -> bool:
    """Whether to sync beside the event loop: as set, or as suits the engine. grpcio takes in one call a turn
    of the loop, so that each would get a sync of its own; lean, all that a read brings (decision 0023)."""
    wanted = config.raft.sync_in_thread
    return config.client.engine == "grpcio" if wanted == "auto" else wanted


def _rpc_config(config: Config, trust_domain: str) -> RpcConfig:
    tls = None
    if config.tls.enabled:
        ca, cert, key = (Path(path).read_bytes() for path in (config.tls.ca, config.tls.cert, config.tls.key))
        tls = TlsBytes(ca, cert, key, trust_domain)
    return RpcConfig(
        listen=config.client_listen,
        tls=tls,
        receive_bytes_max=config.limits.request_bytes_max * RECEIVE_FACTOR,
        send_bytes_max=max(config.limits.reply_bytes_max, CHUNK_BYTES_MAX) + MESSAGE_MARGIN_BYTES,
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
    with asyncio.Runner(loop_factory=lambda: new_event_loop(config.node.event_loop)) as runner:
        return runner.run(_run(config))


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


async def _started(config: Config, ended: asyncio.Event) -> Node | None:
    """A node that runs; None where it was told to end meanwhile.

    Rows of the state are read and checked while a replica is loaded. One that is damaged makes all of the
    store suspect; where other nodes have the same, the node begins once more with an empty one.
    """
    loop = asyncio.get_running_loop()
    for is_first in (True, False):
        # Opening reads the whole log without a pause and writes nothing: until then a signal just ends it.
        node = Node(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        try:
            return node if await _start(node, ended) else None
        except StateCorrupted as error:
            if not (is_first and node.can_heal):
                raise
            set_aside(Path(error.path), str(error))
    return None


async def _run(config: Config) -> int:
    ended = asyncio.Event()
    try:
        node = await _started(config, ended)
        if node is None:
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

"""What Prometheus is told. Nothing here is computed before somebody asks.

Calls are counted in plain lists, because a call may not cost a lock: they belong to the event loop, and a
scrape copies them there. Everything else is read from the driver and the process at the time of the scrape.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from memraft_cluster.driver import Counters, GroupStatus
from memraft_cluster.groups import group_label
from memraft_cluster.raft import Role

LATENCY_BOUNDS_S = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
)
ROLES = {Role.FOLLOWER: 0, Role.LEADER: 2}
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class MethodMetrics:
    """Calls of one method, by code."""

    __slots__ = ("codes",)

    def __init__(self) -> None:
        self.codes: dict[str, tuple[list[int], list[float]]] = {}

    def observe(self, code: str, seconds: float) -> None:
        """Counts one call that ended with ``code`` after ``seconds``."""
        found = self.codes.get(code)
        if found is None:
            found = self.codes[code] = ([0] * (len(LATENCY_BOUNDS_S) + 1), [0.0])
        found[0][bisect_left(LATENCY_BOUNDS_S, seconds)] += 1
        found[1][0] += seconds


class CallMetrics:
    """Calls of all methods."""

    def __init__(self) -> None:
        self.methods: dict[str, MethodMetrics] = {}

    def of(self, method: str) -> MethodMetrics:
        """The counters of one method; keep them rather than look them up for each call."""
        return self.methods.setdefault(method, MethodMetrics())

    def family(self) -> Metric:
        """All calls as one Prometheus histogram."""
        family = HistogramMetricFamily(
            "memraft_call_seconds", "Calls by method and status code.", labels=["method", "code"]
        )
        for method, metrics in self.methods.items():
            for code, (counts, total) in metrics.codes.items():
                buckets: list[tuple[str, float]] = []
                below = 0
                for bound, count in zip((*LATENCY_BOUNDS_S, float("inf")), counts, strict=True):
                    below += count
                    buckets.append(("+Inf" if bound == float("inf") else str(bound), below))
                family.add_metric([method, code], buckets=buckets, sum_value=total[0])
        return family


def resident_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


def shard_families(status: Iterable[GroupStatus]) -> list[Metric]:
    """How the shards of this node stand."""
    gauges: dict[str, GaugeMetricFamily] = {
        name: GaugeMetricFamily(f"memraft_shard_{name}", text, labels=["shard"])
        for name, text in (
            ("role", "0 follower, 1 candidate, 2 leader."),
            ("term", "Raft term."),
            ("leader_node", "Node that leads, 0 where not known."),
            ("commit_index", "Highest log index known to be committed."),
            ("applied_index", "Highest log index applied to the machine."),
            ("last_index", "Last log index on this node's disk."),
            ("queued_commands", "Commands that wait to become an entry."),
            ("base_index", "Log index before the first entry on this node's disk."),
            ("saved_index", "Log index up to which this node's state store has it."),
            ("voters", "Replicas with a vote, by this replica's log."),
            ("learners", "Replicas without a vote, by this replica's log."),
            (
                "whole",
                "1 where it has all it ever acknowledged, 0 where it may lack some and has no vote.",
            ),
        )
    }
    entries = CounterMetricFamily("memraft_entries_proposed", "Entries proposed here.", labels=["shard"])
    commands = CounterMetricFamily(
        "memraft_commits", "Commands committed for callers here.", labels=["shard"]
    )
    for group in status:
        label = [group_label(group.group)]
        gauges["role"].add_metric(label, ROLES.get(group.role, 1))
        gauges["term"].add_metric(label, group.term)
        gauges["leader_node"].add_metric(label, group.leader)
        gauges["commit_index"].add_metric(label, group.commit)
        gauges["applied_index"].add_metric(label, group.applied)
        gauges["last_index"].add_metric(label, group.last_index)
        gauges["queued_commands"].add_metric(label, group.queued_commands)
        gauges["base_index"].add_metric(label, group.base_index)
        gauges["saved_index"].add_metric(label, group.saved_index)
        gauges["voters"].add_metric(label, len(group.membership.voters))
        gauges["learners"].add_metric(label, len(group.membership.learners))
        gauges["whole"].add_metric(label, int(group.is_whole))
        entries.add_metric(label, group.entries_proposed_total)
        commands.add_metric(label, group.commands_applied_total)
    return [*gauges.values(), entries, commands]


COUNTERS = {
    "turns": ("turns_total", "Turns of the driver."),
    "log_syncs": ("syncs_total", "Synced writes to the log."),
    "log_sync_seconds": ("sync_seconds_total", "Time spent in synced writes to the log."),
    "peer_messages_received": ("messages_received_total", "Consensus messages from other nodes."),
    "peer_messages_dropped": (
        "messages_dropped_total",
        "Consensus messages received and dropped because the mailbox was full.",
    ),
    "peer_messages_bad": ("messages_bad_total", "Consensus messages that made no sense."),
    "entries_applied": ("entries_applied_total", "Log entries applied."),
    "leader_changes": ("leader_changes_total", "Changes of leader seen."),
    "peer_messages_unknown": (
        "messages_unknown_total",
        "Consensus messages for groups without a replica on this node.",
    ),
    "state_saves": ("saves_total", "Times a machine's changes were handed to the state store."),
    "log_cuts": ("log_cuts_total", "Times a log was cut behind a durable state."),
    "snapshots_sent": ("snapshots_sent_total", "Snapshots sent and put into force by the receiver."),
    "snapshots_received": ("snapshots_received_total", "Snapshots received and put into force."),
    "snapshots_failed": ("snapshots_failed_total", "Snapshots that were given up on either side."),
    "leader_transfers": ("transfers_total", "Leaderships given back to the preferred node."),
}
"""Name of the metric, without `memraft_` and `_total` -> field of the driver's counters, help."""


def driver_families(counters: Counters) -> list[Metric]:
    """What the driver has done."""
    families: list[Metric] = [
        CounterMetricFamily(f"memraft_{name}", text, value=getattr(counters, field))
        for name, (field, text) in COUNTERS.items()
    ]
    longest = counters.sync_seconds_max
    families.append(GaugeMetricFamily("memraft_log_sync_seconds_max", "Longest synced write.", value=longest))
    return families


def transport_families(rejected: int, dropped: int) -> list[Metric]:
    """Connections from other nodes that were turned away; messages to them that a full queue dropped."""
    return [
        CounterMetricFamily("memraft_peer_connections_rejected", "Connections turned away.", value=rejected),
        CounterMetricFamily(
            "memraft_peer_messages_unsent", "Consensus messages that a full queue dropped.", value=dropped
        ),
    ]


def process_families(version: str, node: str, cluster: str, epoch: int) -> list[Metric]:
    """What runs, its memory, and which state of the cluster's record it knows."""
    info = GaugeMetricFamily("memraft_node_info", "What runs.", labels=["version", "node", "cluster"])
    info.add_metric([version, node, cluster], 1)
    memory = GaugeMetricFamily("memraft_resident_bytes", "Resident memory.", value=resident_bytes())
    known = GaugeMetricFamily("memraft_cluster_epoch", "Epoch of the cluster's record, as known here.", epoch)
    return [info, memory, known]


def quota_family(refusals: Mapping[str, int]) -> Metric:
    """Calls refused because of a quota."""
    family = CounterMetricFamily("memraft_quota_refusals", "Calls refused by a quota.", labels=["limit"])
    for limit, count in refusals.items():
        family.add_metric([limit], count)
    return family


class Snapshot(Collector):
    """Families that were gathered on the event loop, to be rendered in a thread."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


Gather = Callable[[], list[Metric]]
"""Copies what there is to tell; called on the event loop."""


def render(families: list[Metric]) -> bytes:
    """The text that Prometheus reads. Safe in any thread."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot(families))
    return generate_latest(registry)

"""`memraft bench kv`: documents in process, and over gRPC with mutual TLS on one node and on three."""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from memraft_proto.sharding import slot_of
from memraft_server.cli.bench.embedded import EmbeddedSpec, measure_apart
from memraft_server.cli.bench.load import LoadSpec, Operation, generate
from memraft_server.cli.bench.result import (
    Figure,
    Target,
    at_least,
    at_most,
    figure,
    latency_detail,
    render,
    report,
)
from memraft_server.cli.clusterview import ClusterView, Observer
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.ending import Ending
from memraft_server.cli.output import Progress, print_json, progress

TENANT = "acme"
AGENT = "bench"


SINGLE: tuple[Operation, ...] = ("put", "get")
TOGETHER: tuple[Operation, ...] = ("batch", "put_many")


SPREAD_TIMEOUT_S = 20.0
"""Leaders move to their preferred nodes soon after the start; without that, load is measured as it stands."""

SPREAD_POLL_S = 0.2


class Scale(msgspec.Struct, frozen=True):
    """How much is measured, and how long. `batch_callers`: callers that each have a batch under way."""

    callers: tuple[int, ...]
    batch_callers: int
    warm_up_s: float
    round_s: float
    rounds: int
    embedded: EmbeddedSpec


FULL = Scale(
    callers=(1, 64, 256),
    batch_callers=64,
    warm_up_s=1.5,
    round_s=2.5,
    rounds=3,
    embedded=EmbeddedSpec(
        calls=20_000, durable_calls=1_000, rounds=5, records=1_000_000, documents=100_000, scans=5
    ),
)
QUICK = Scale(
    callers=(1,),
    batch_callers=2,
    warm_up_s=0.1,
    round_s=0.3,
    rounds=1,
    embedded=EmbeddedSpec(calls=500, durable_calls=50, rounds=1, records=5_000, documents=2_000, scans=2),
)

TARGETS: dict[tuple[int, Operation, int], Target] = {
    (3, "put", 256): at_least(3_000),
    (3, "batch", FULL.batch_callers): at_least(40_000),
}
"""(nodes, operation, callers) -> documents a second."""

ONE_CALLER_P50_US = at_most(3_000)
"""A single durable write on three nodes."""


def run(arguments: argparse.Namespace) -> int:
    """Measures everything and prints it. The exit status is 0 whether targets are reached or not."""
    scale = QUICK if arguments.quick else FULL
    with Ending(at_once=True), progress(quiet=arguments.json) as shown:
        figures = [*_embedded(scale, shown)]
        for nodes in () if arguments.embedded else (1, 3):
            figures += _cluster(nodes, scale, shown)
    result = report("kv", arguments.quick, figures)
    if arguments.json:
        print_json(result)
    else:
        print(render(result))
    return 0


def _embedded(scale: Scale, shown: Progress) -> Iterator[Figure]:
    shown.step(f"in process: {scale.embedded.records:,} records, then single calls …")
    found = measure_apart(scale.embedded)
    records = [found.bytes_per_record]
    yield figure("embedded get, p50", "us", found.get_us, at_most(3))
    yield figure("embedded put, not durable, p50", "us", found.put_us, at_most(15))
    yield figure("embedded put, durable, p50", "us", found.durable_put_us)
    yield figure(f"RAM a record of 100 bytes, at {found.records:,}", "bytes", records, at_most(700))
    title = f"query for a field's value, {scale.embedded.documents:,} documents"
    detail = {"index built in": found.index_s * 1e6}
    yield figure(f"{title}, indexed, p50", "us", found.query_us, None, detail)
    yield figure(f"{title}, no index, p50", "us", found.scan_us)
    yield figure("RAM an entry of that index", "bytes", [found.bytes_per_entry])


def _cluster(nodes: int, scale: Scale, shown: Progress) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="memraft-bench-") as directory:
        with DevCluster.open(Path(directory) / "cluster", nodes=nodes) as cluster:
            cluster.start(shown.update)
            shown.step("waiting until every node leads its share …")
            namespaces = _namespaces(cluster)
            for single in SINGLE:
                for callers in scale.callers:
                    yield from _load(cluster, namespaces, single, callers, scale, shown)
            for many in TOGETHER:
                yield from _load(cluster, namespaces, many, scale.batch_callers, scale, shown)


def _namespaces(cluster: DevCluster) -> list[str]:
    """A namespace in every shard, once every node leads its share: load is spread evenly then."""
    with Observer(cluster.endpoints.split(","), cluster.operator_certs) as observer:
        deadline = time.monotonic() + SPREAD_TIMEOUT_S
        while not _leaders_spread(observer.look()) and time.monotonic() < deadline:
            time.sleep(SPREAD_POLL_S)
        shards = list(observer.shard_map().shards)
    found: dict[int, str] = {}
    number = 0
    while len(found) < len(shards):
        namespace = f"{TENANT}/bench-{number}"
        slot = slot_of(namespace)
        shard = next(each.shard for each in shards if each.slot_first <= slot <= each.slot_last)
        found.setdefault(shard, namespace)
        number += 1
    return [namespace for _, namespace in sorted(found.items())]


def _leaders_spread(view: ClusterView) -> bool:
    """Whether no node leads more than one shard more than another."""
    led = [len(node.leads) for node in view.nodes]
    return not view.leaderless and max(led) - min(led) <= 1


_NAMES: dict[Operation, str] = {
    "put": "put",
    "get": "get",
    "batch": "put in Batch of 100",
    "put_many": "put in MultiPut of 100",
}


def _load(
    cluster: DevCluster,
    namespaces: list[str],
    operation: Operation,
    callers: int,
    scale: Scale,
    shown: Progress,
) -> Iterator[Figure]:
    nodes = len(cluster.plan.nodes)
    where = f"{nodes} node{'s' if nodes > 1 else ''}, {_NAMES[operation]}"
    title = f"{where}, {callers} caller{'s' if callers > 1 else ''}"
    shown.step(f"{title} …")
    found = generate(
        LoadSpec(
            endpoints=cluster.endpoints,
            certs=str(cluster.agent_certs(TENANT, AGENT)),
            namespaces=namespaces,
            operation=operation,
            callers=callers,
            warm_up_s=scale.warm_up_s,
            round_s=scale.round_s,
            rounds=scale.rounds,
        )
    )
    target = TARGETS.get((nodes, operation, callers))
    yield figure(title, "per_s", found.documents_per_s, target, latency_detail(found.calls))
    if callers == 1 and operation in SINGLE:
        p50_target = ONE_CALLER_P50_US if (nodes, operation) == (3, "put") else None
        yield figure(f"{title}, p50", "us", found.p50_us, p50_target)

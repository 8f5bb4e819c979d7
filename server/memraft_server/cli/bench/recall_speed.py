"""`memraft bench recall`: how long a recall takes over many memories, its embedding left out.

In process and, where not told another number of memories, over gRPC with mutual TLS on three nodes.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from memraft import Memory
from memraft.types import Match, Recalled, Results
from memraft_server.cli.bench.clustered import FloatArray, recall
from memraft_server.cli.bench.recall_texts import Nearest, Query, Talk
from memraft_server.cli.bench.result import Figure, Target, at_least, at_most, figure, render, report
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.ending import Ending
from memraft_server.cli.errors import CliError
from memraft_server.cli.figures import latencies, resident_bytes
from memraft_server.cli.output import Progress, print_json, progress

K = 10
DIMENSION = 256
SEED = 20_260_505
MEMORIES_A_CALL = 500
ENTITIES_A_CALL = 500
NEIGHBOURS = 10
"""Edges of each entity in the graph."""

COLLECTION = "turns"
NAMESPACE = "acme/bench"
TENANT, AGENT, NODES = "acme", "bench", 3


class Scale(msgspec.Struct, frozen=True):
    """How many memories there are, how many queries make a round, how many rounds there are, and whether
    three nodes are measured as well."""

    memories: int
    queries: int
    rounds: int
    nodes: bool


FULL = Scale(memories=10_000, queries=1_000, rounds=5, nodes=True)
QUICK = Scale(memories=300, queries=20, rounds=1, nodes=True)
LARGE_QUERIES = 200

TEN_THOUSAND, MILLION = 10_000, 1_000_000
NEAREST_TARGETS = {TEN_THOUSAND: at_most(80)}
SHARE_TARGETS = {TEN_THOUSAND: at_least(0.99)}
HOP_TARGETS = {TEN_THOUSAND: at_most(120)}
WHOLE_TARGETS = {TEN_THOUSAND: at_most(1_000), MILLION: at_most(10_000)}
NODES_TARGETS = {TEN_THOUSAND: at_most(2_000)}


def run(arguments: argparse.Namespace) -> int:
    """Measures everything and prints it. The exit status is 0 whether targets are reached or not."""
    scale = QUICK if arguments.quick else FULL
    if arguments.memories is not None:
        scale = Scale(arguments.memories, min(scale.queries, LARGE_QUERIES), scale.rounds, nodes=False)
    with Ending(at_once=True), progress(quiet=arguments.json) as shown:
        if scale.nodes:
            figures = [*_in_process(scale, shown), *_restarted(scale, shown), *_on_nodes(scale, shown)]
        else:
            figures = _filled_once(scale, shown)
    result = report("recall", arguments.quick, figures)
    if arguments.json:
        print_json(result)
    else:
        print(render(result))
    return 0


class _Asked:
    """A memory that holds the talk, the queries, and how each is timed."""

    def __init__(self, memory: Memory, queries: Sequence[Query], scale: Scale, about: list[str]) -> None:
        self._memory = memory
        self._about = about
        self._queries = queries
        self._scale = scale
        self._over = f"{scale.memories:,} memories"

    def timed(self, name: str, ask: Callable[[Query], object], targets: Mapping[int, Target]) -> Figure:
        """The median of each round of all queries, after a round to warm up."""
        rounds = []
        for _ in range(self._scale.rounds + 1):
            taken_s = []
            for query in self._queries:
                began = time.perf_counter()
                ask(query)
                taken_s.append(time.perf_counter() - began)
            rounds.append(latencies(taken_s))
        medians = [each.p50_us for each in rounds[1:]]
        tail = {
            "p99": max(each.p99_us for each in rounds[1:]),
            "slowest": max(each.max_us for each in rounds[1:]),
        }
        return figure(f"{self._over}, {name}, p50", "us", medians, targets.get(self._scale.memories), tail)

    def nearest(self, query: Query) -> Results[Match]:
        """The same vectors in a collection."""
        return self._memory.search(COLLECTION, query.vector, k=K)

    def hop(self, query: Query) -> object:
        """And what the nearest memory is about, with its neighbours in the graph."""
        [nearest, *_] = self.nearest(query)
        return self._memory.neighbours(self._about[int(nearest.id)])

    def by_vector(self, query: Query) -> Recalled:
        """Memories by the vector alone: with their texts and all that is known of them."""
        return self._memory.recall(embedding=query.vector, k=K)

    def nearby(self, query: Query) -> Recalled:
        """These, of somebody and of the neighbours in the graph."""
        return self._memory.recall(embedding=query.vector, k=K, about=query.about, about_hops=1)

    def by_text(self, query: Query) -> Recalled:
        """Memories by the text alone."""
        return self._memory.recall(query.text, k=K, parameters={"vector": 0})

    def whole(self, query: Query) -> Recalled:
        """By the text and its vector."""
        return self._memory.recall(query.text, embedding=query.vector, k=K)

    def share(self, exact: Nearest) -> Figure:
        """How many of the exact nearest are found."""
        found = [[int(each.id) for each in self.nearest(query)] for query in self._queries]
        target = SHARE_TARGETS.get(self._scale.memories)
        shares = [recall(found, exact.places)]
        return figure(f"{self._over}, k-NN, share of the exact ones", "share", shares, target)

    def among_writes(self) -> Iterator[Figure]:
        """A write before every recall, which has to find what was just written."""
        written_s, taken_s = [], []
        for number, query in enumerate(self._queries):
            named = query._replace(text=f"{query.text} {number}th of late")
            began = time.perf_counter()
            written = self._memory.remember(named.text, embedding=named.vector, thread="late")
            then = time.perf_counter()
            hits = self.whole(named)
            taken_s.append(time.perf_counter() - then)
            written_s.append(then - began)
            if all(hit.id != written.id for hit in hits):
                raise CliError(f"a memory was written and not found at once: {named.text!r}")
        for what, each in (("recall right after a write", taken_s), ("write among recalls", written_s)):
            timings = latencies(each)
            tail = {"p99": timings.p99_us, "slowest": timings.max_us}
            yield figure(f"{self._over}, {what}, p50", "us", [timings.p50_us], detail=tail)


def _filled_once(scale: Scale, shown: Progress) -> list[Figure]:
    """Measures a memory on disk, and that opened again: to fill two takes minutes where they are many."""
    with tempfile.TemporaryDirectory(prefix="memraft-bench-") as directory:
        path = Path(directory) / "memory"
        return [*_in_process(scale, shown, path), *_opened(scale, shown, path)]


def _in_process(scale: Scale, shown: Progress, path: Path | None = None) -> Iterator[Figure]:
    """Recalls from a memory that was filled, in the directory `path` or without any."""
    over = f"{scale.memories:,} memories"
    talk = Talk(scale.memories, DIMENSION, SEED)
    queries = talk.queries(scale.queries)
    exact = Nearest(queries, K)
    durability: Literal["commit", "relaxed"] = "commit" if path is None else "relaxed"
    with Memory(path=path, durability=durability, agent=AGENT, namespace=NAMESPACE) as memory:
        before_bytes, began = resident_bytes(), time.perf_counter()
        about = _store(memory, talk, shown, exact.show)
        stored_s = time.perf_counter() - began
        memory.recall(queries[0].text, embedding=queries[0].vector, k=K)
        first_s = time.perf_counter() - began - stored_s
        bytes_each = (resident_bytes() - before_bytes) / scale.memories
        shown.step(f"{over}: recalling …")
        asked = _Asked(memory, queries, scale, about)
        yield asked.timed("k-NN", asked.nearest, NEAREST_TARGETS)
        yield asked.share(exact)
        yield asked.timed("k-NN and a hop of graph", asked.hop, HOP_TARGETS)
        yield asked.timed("recall by vector alone", asked.by_vector, {})
        yield asked.timed("recall by vector, within a hop of an entity", asked.nearby, {})
        yield asked.timed("recall by text alone", asked.by_text, {})
        yield asked.timed("full pipeline", asked.whole, WHOLE_TARGETS)
        yield from asked.among_writes()
    detail = {"first recall after": first_s * 1e6}
    yield figure(f"{over}, remembered", "per_s", [scale.memories / stored_s], detail=detail)
    yield figure("RAM a memory, its text and vector included", "bytes", [bytes_each])


def _restarted(scale: Scale, shown: Progress) -> Iterator[Figure]:
    """A memory is filled on disk, closed and opened again."""
    with tempfile.TemporaryDirectory(prefix="memraft-bench-") as directory:
        path = Path(directory) / "memory"
        with Memory(path=path, durability="relaxed", agent=AGENT, namespace=NAMESPACE) as memory:
            _store(memory, Talk(scale.memories, DIMENSION, SEED), shown, lambda _: None)
        yield from _opened(scale, shown, path)


def _opened(scale: Scale, shown: Progress, path: Path) -> Iterator[Figure]:
    """A memory on disk is opened again: how soon it answers."""
    over = f"{scale.memories:,} memories"
    [query] = Talk(scale.memories, DIMENSION, SEED).queries(1)
    shown.step(f"{over}: opening them again …")
    began = time.perf_counter()
    with Memory(path=path, durability="relaxed", agent=AGENT, namespace=NAMESPACE) as memory:
        opened_s = time.perf_counter() - began
        memory.recall(query.text, embedding=query.vector, k=K)
        first_s = time.perf_counter() - began
    detail = {"opened after": opened_s * 1e6}
    yield figure(f"{over}, opened again and recalled from", "us", [first_s * 1e6], detail=detail)


def _on_nodes(scale: Scale, shown: Progress) -> Iterator[Figure]:
    """One caller, in this process, of nodes that are processes of their own."""
    talk = Talk(scale.memories, DIMENSION, SEED)
    queries = talk.queries(scale.queries)
    with tempfile.TemporaryDirectory(prefix="memraft-bench-") as directory:
        with DevCluster.open(Path(directory) / "cluster", nodes=NODES) as cluster:
            cluster.start(shown.update)
            certs = cluster.agent_certs(TENANT, AGENT)
            with Memory(cluster.endpoints, certs=certs, namespace=NAMESPACE, timeout_s=30.0) as memory:
                about = _store(memory, talk, shown, lambda _: None)
                shown.step(f"{NODES} nodes: recalling …")
                asked = _Asked(memory, queries, scale, about)
                yield asked.timed(f"{NODES} nodes, k-NN", asked.nearest, {})
                yield asked.timed(f"{NODES} nodes, full pipeline", asked.whole, NODES_TARGETS)


def _store(memory: Memory, talk: Talk, shown: Progress, show: Callable[[FloatArray], None]) -> list[str]:
    """Remembers all of it, puts its vectors into a collection, and links the entities that it is about.

    show: shown the vectors. Returns whom each memory is about.
    """
    _link(memory, talk.entities)
    memory.create_collection(COLLECTION, DIMENSION)
    told: list[str] = []
    for chunk in talk.chunks(MEMORIES_A_CALL):
        ids = [str(len(told) + place) for place in range(len(chunk.texts))]
        with memory.batch() as batch:
            for id, text, vector, thread, speaker, about in zip(
                ids, chunk.texts, chunk.vectors, chunk.threads, chunk.speakers, chunk.about, strict=True
            ):
                batch.remember(text, embedding=vector, id=id, thread=thread, speaker=speaker, about=about)
        memory.upsert_many(COLLECTION, ids, chunk.vectors)
        show(chunk.vectors)
        told += chunk.about
        shown.update(f"remembering: {len(told):,} of {talk.memories:,}")
    return told


def _link(memory: Memory, entities: Sequence[str]) -> None:
    """Each entity knows the next few, round in a ring."""
    for start in range(0, len(entities), ENTITIES_A_CALL):
        memory.put_graph(entities[start : start + ENTITIES_A_CALL], [])
    edges = [
        (node, "knows", entities[(place + step) % len(entities)])
        for place, node in enumerate(entities)
        for step in range(1, min(NEIGHBOURS, len(entities) - 1) + 1)
    ]
    for start in range(0, len(edges), ENTITIES_A_CALL * NEIGHBOURS):
        memory.put_graph([], edges[start : start + ENTITIES_A_CALL * NEIGHBOURS])

"""`memraft bench recall --input FILE`: conversations are remembered turn by turn, and their questions asked.

Every figure goes through the client that an agent uses. Beside recall there are a plain BM25 and exact search
of the nearest vectors, over the same texts and the same vectors.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np

from memraft import Memory
from memraft.embedders import Embedder
from memraft.embedders.base import as_embedder, fingerprint_of
from memraft_server.cli.bench.clustered import FloatArray
from memraft_server.cli.demo import locomo
from memraft_server.cli.demo.bm25 import BM25
from memraft_server.cli.demo.evidence import KS, Answered, Evaluation, Row, evaluate
from memraft_server.cli.demo.locomo import Conversation, Question
from memraft_server.cli.demo.replay import AGENT, TENANT, details, namespace_of, percent, said
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.embedders import embedder_of
from memraft_server.cli.ending import Ending
from memraft_server.cli.figures import Latencies, Machine, latencies, machine
from memraft_server.cli.output import Progress, count, duration, print_json, progress, table

RECALL = "memraft recall"
BASELINE = "plain BM25"
EXACT = "exact vectors"
METHODS = (RECALL, BASELINE, EXACT)
DEPTH = max(KS)
NODES = 3

Ask = Callable[[Question, int], Sequence[str]]
"""The question and its number in the conversation -> ids of the turns found, best first."""


class Quality(msgspec.Struct, frozen=True):
    """What was found, by method and by category; recall@k and mrr are means over questions, 0 to 1."""

    benchmark: str
    file: str
    where: str
    embedder: str
    conversations: int
    turns: int
    questions: int
    questions_without_evidence: int
    evidence_malformed: int
    results: dict[str, dict[str, dict[str, float | None]]]
    """Method -> category, or "1-4" or "all" -> questions, recall@5, recall@10, recall@20, mrr;
    None where there are no questions."""
    latency: dict[str, Latencies]
    """Of a question by each method, its embedding left out; of embedding it; of remembering a turn, its
    embedding included."""
    machine: Machine


class _Run:
    """Asks conversation after conversation, and keeps the books."""

    def __init__(self, embedder: Embedder, open_memory: Callable[[str], Memory], shown: Progress) -> None:
        self._embedder = embedder
        self._open = open_memory
        self._shown = shown
        self._taken_s: dict[str, list[float]] = defaultdict(list)
        self.answered: list[Answered] = []
        self.dimension = 0

    def conversation(self, number: int, conversation: Conversation) -> None:
        """Remembers the turns in the order they were said, then asks each question of every method."""
        with self._open(namespace_of(number, conversation)) as memory:
            for turn in conversation.turns:
                with self._timed("remember"):
                    memory.remember(said(turn), **details(turn))
                self._shown.update(f"remembering {conversation.sample_id}, {turn.turn_id}")
            vectors = [self._embedded(question.text) for question in conversation.questions]
            methods = {
                RECALL: self._recall(memory, vectors),
                **_baselines(conversation, self._embedder, vectors),
            }
            for place, question in enumerate(conversation.questions):
                found: dict[str, Sequence[str]] = {}
                for name, ask in methods.items():
                    with self._timed(name):
                        found[name] = ask(question, place)
                self.answered.append(Answered(question=question, found=found))
                self._shown.update(f"asking {conversation.sample_id}: {place + 1} questions")

    def latency(self) -> dict[str, Latencies]:
        """All that was timed."""
        return {name: latencies(taken_s) for name, taken_s in self._taken_s.items()}

    def _embedded(self, text: str) -> FloatArray:
        with self._timed("embed a question"):
            vectors = self._embedder.embed([text])
        vector: FloatArray = vectors[0]
        self.dimension = len(vector)
        return vector

    def _recall(self, memory: Memory, vectors: Sequence[FloatArray]) -> Ask:
        def ask(question: Question, place: int) -> Sequence[str]:
            hits = memory.recall(question.text, k=DEPTH, embedding=vectors[place])
            return [hit.metadata["turn"] for hit in hits]

        return ask

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._taken_s[name].append(time.perf_counter() - began)


def _baselines(
    conversation: Conversation, embedder: Embedder, vectors: Sequence[FloatArray]
) -> dict[str, Ask]:
    ids = [turn.turn_id for turn in conversation.turns]
    texts = [said(turn) for turn in conversation.turns]
    index, rows = BM25(texts), embedder.embed(texts)

    def nearest(_: Question, place: int) -> Sequence[str]:
        order = np.argsort(-(rows @ vectors[place]), kind="stable")[:DEPTH]
        return [ids[row] for row in order.tolist()]

    return {
        BASELINE: lambda question, _: [ids[row] for row in index.search(question.text, DEPTH)],
        EXACT: nearest,
    }


def run(arguments: argparse.Namespace) -> int:
    """Measures and prints what was found."""
    file = Path(arguments.input)
    embedder = as_embedder(embedder_of(arguments.embedder or "static"))
    with Ending(at_once=True), progress(quiet=arguments.json) as shown:
        conversations = locomo.read(file)
        with _backend(arguments.cluster, embedder, shown) as open_memory:
            books = _Run(embedder, open_memory, shown)
            for number, conversation in enumerate(conversations, 1):
                books.conversation(number, conversation)
    found = evaluate(books.answered, METHODS)
    quality = Quality(
        benchmark="recall",
        file=file.name,
        where=f"{NODES} nodes over gRPC" if arguments.cluster else "in process",
        embedder=fingerprint_of(embedder, books.dimension),
        conversations=len(conversations),
        turns=sum(len(each.turns) for each in conversations),
        questions=len(books.answered),
        questions_without_evidence=found.questions_without_evidence,
        evidence_malformed=found.evidence_malformed,
        results={method: _results(found, method) for method in METHODS},
        latency=books.latency(),
        machine=machine(),
    )
    if arguments.json:
        print_json(quality)
    else:
        print(render(quality))
    return 0


@contextmanager
def _backend(is_cluster: bool, embedder: Embedder, shown: Progress) -> Iterator[Callable[[str], Memory]]:
    """How a memory of a namespace is opened."""
    if not is_cluster:
        yield lambda namespace: Memory(agent=AGENT, namespace=namespace, embedder=embedder)
        return
    with tempfile.TemporaryDirectory(prefix="memraft-bench-") as directory:
        with DevCluster.open(Path(directory) / "cluster", nodes=NODES) as cluster:
            cluster.start(shown.update)
            certs = cluster.agent_certs(TENANT, AGENT)
            yield lambda namespace: Memory(
                cluster.endpoints, certs=certs, namespace=namespace, embedder=embedder
            )


def _results(found: Evaluation, method: str) -> dict[str, dict[str, float | None]]:
    rows = {row.category: row for row in (*found.rows, found.adversarial)}
    rows |= {"1-4": found.overall, "all": found.everything}
    return {name: _figures(row, method) for name, row in rows.items()}


def _figures(row: Row, method: str) -> dict[str, float | None]:
    recall = {f"recall@{k}": share for k, share in zip(KS, row.recall[method], strict=True)}
    return {"questions": row.questions, **recall, "mrr": row.mrr[method]}


def render(quality: Quality) -> str:
    """The figures as a person reads them."""
    headers = ["", "QUESTIONS", *(f"@{k}" for k in KS), "MRR"]
    parts = [
        f"memraft bench recall, {quality.where}: {quality.file}, {quality.conversations} conversations, "
        f"{count(quality.turns)} turns, {count(quality.questions)} questions",
        "Evidence recall: the share of the turns holding the answer among the first k found, in percent.",
    ]
    for method, groups in quality.results.items():
        rows = [
            [name, count(figures["questions"] or 0)]
            + [percent(figures[f"recall@{k}"]) for k in KS]
            + ["-" if (mrr := figures["mrr"]) is None else f"{mrr:.3f}"]
            for name, figures in groups.items()
        ]
        title = f"{method}, {quality.embedder}" if method != BASELINE else method
        parts.append(f"{title}\n\n{table(headers, rows, right='lrrrrr', indent=2)}")
    timed = [
        [name, *(duration(us * 1e-6) for us in (each.p50_us, each.p99_us))]
        for name, each in quality.latency.items()
    ]
    parts.append(f"Time taken\n\n{table(['', 'P50', 'P99'], timed, right='lrr', indent=2)}")
    without = quality.questions_without_evidence
    parts.append(f"Left out: {without} questions whose evidence names no turn.")
    return "\n\n".join(parts)

"""Evidence recall over conversations in the LoCoMo form, beside plain BM25 and exact vector search::

    python -m benchmarks.recall FILE [--embedder static|onnx|npz --model PATH] [--fit] [--ablate] [--json]

A question's recall@k is the share of the turns that hold its answer among the first k found; figures are
means over questions. `--fit` fits the weights without the conversation that is asked, for each in turn: what
that yields is what to expect of conversations that nobody has seen. `--ablate` takes parts of the pipeline
away.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.recall.conversations import Embed, Remembered, remember
from benchmarks.recall.fitting import Asked, fit
from memraft_server.cli.demo import locomo
from memraft_server.cli.demo.bm25 import BM25
from memraft_server.cli.demo.evidence import KS
from memraft_server.cli.demo.replay import said
from memraft_server.projections.text import DEFAULT_WINDOW, Window
from memraft_server.projections.text_terms import terms_of
from memraft_server.projections.vector_math import Floats, Rows
from memraft_server.recall.fusion import (
    NAMES,
    SCALED,
    Weights,
    diversified,
    min_max,
    reciprocal_ranks,
    row_of,
    scaled,
    shares,
)
from memraft_server.recall.signals import Candidates

DEPTH = max(KS)
MEASURED = NAMES[: NAMES.index("dated") + 1]
"""What there is of a conversation: it has no graph, and all its turns matter alike."""
Order = Callable[[Remembered, locomo.Question, Floats], Rows]
ALONE = Window((), ())


class Tally:
    """Recall, reciprocal rank and latency of one method over questions."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, list[float], float, float]] = []

    def add(self, category: int, evidence: set[int], found: Sequence[int], took_s: float) -> None:
        """Notes what was found for one question, best first."""
        recall = [len(evidence.intersection(found[:k])) / len(evidence) for k in KS]
        rank = next((place for place, row in enumerate(found, 1) if row in evidence), None)
        self._rows.append((category, recall, 1 / rank if rank else 0.0, took_s * 1e3))

    def summary(self) -> dict[str, dict[str, float]]:
        """Figures by category and over categories 1 to 4 and all."""
        groups = {name: {number} for number, name in locomo.CATEGORIES.items()}
        groups["1-4"], groups["all"] = {1, 2, 3, 4}, set(locomo.CATEGORIES)
        return {name: self._mean(numbers) for name, numbers in groups.items()}

    def _mean(self, categories: set[int]) -> dict[str, float]:
        rows = [row for row in self._rows if row[0] in categories]
        if not rows:
            return {"questions": 0}
        recall = np.mean([row[1] for row in rows], axis=0)
        p50, p99 = np.percentile([row[3] for row in rows], (50, 99))
        figures = {f"recall@{k}": round(float(value), 4) for k, value in zip(KS, recall, strict=True)}
        mrr = round(float(np.mean([row[2] for row in rows])), 4)
        return {
            "questions": len(rows), **figures, "mrr": mrr,
            "p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3),
        }  # fmt: skip


def run(memories: Sequence[Remembered], order: Order) -> dict[str, dict[str, float]]:
    """Asks every question of every conversation."""
    tally = Tally()
    for memory in memories:
        for question, vector in memory.questions:
            began = time.perf_counter()
            found = order(memory, question, vector).tolist()
            tally.add(question.category, memory.evidence(question), found, time.perf_counter() - began)
    return tally.summary()


def pipeline(weights: Weights, window: Window = DEFAULT_WINDOW) -> Order:
    """The whole pipeline with these weights."""

    def order(memory: Remembered, question: locomo.Question, vector: Floats) -> Rows:
        return memory.candidates(question.text, vector, window).best(weights, DEPTH)

    return order


def baselines(memories: Sequence[Remembered]) -> dict[str, Order]:
    """Plain BM25 (no stemming), BM25 of the text index, and exact vector search."""
    plain = {
        memory.conversation.sample_id: BM25([said(turn) for turn in memory.conversation.turns])
        for memory in memories
    }
    return {
        "plain BM25": lambda memory, question, _: np.array(
            plain[memory.conversation.sample_id].search(question.text, DEPTH), np.int64
        ),
        "text index": lambda memory, question, _: memory.index.search(
            dict.fromkeys(terms_of(question.text), 1.0), DEPTH
        )[0],
        "exact vectors": lambda memory, _, vector: memory.nearest(vector, DEPTH),
    }


def unseen(memories: Sequence[Remembered]) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """The pipeline with weights fitted without the conversation asked; also the mean of these weights."""
    asked: dict[str, list[Asked]] = {}
    for memory in memories:
        asked[memory.conversation.sample_id] = [
            _asked(memory, question, memory.candidates(question.text, vector))
            for question, vector in memory.questions
        ]
    weights = {
        name: fit([item for other, items in asked.items() if other != name for item in items])
        for name in asked
    }

    def order(memory: Remembered, question: locomo.Question, vector: Floats) -> Rows:
        fitted = Weights(*weights[memory.conversation.sample_id].tolist())
        return memory.candidates(question.text, vector).best(fitted, DEPTH)

    mean = np.mean(list(weights.values()), axis=0)
    return run(memories, order), {
        name: round(float(value), 3) for name, value in zip(NAMES, mean, strict=True)
    }


def _asked(memory: Remembered, question: locomo.Question, candidates: Candidates) -> Asked:
    evidence = memory.evidence(question)
    places = [place for place, row in enumerate(candidates.rows.tolist()) if row in evidence]
    return Asked(scaled(candidates.signals), places)


def ablations() -> dict[str, Order]:
    """The pipeline without each of its parts, and with other ways to fuse and to choose."""
    whole = Weights()
    orders = {f"without {name}": pipeline(replace(whole, **{name: 0.0})) for name in MEASURED}
    only = Weights(1.0, *[0.0] * (len(NAMES) - 1))
    orders["text and vector only"] = pipeline(replace(only, vector=whole.vector))
    orders["text only"] = pipeline(only)
    orders["without the window"] = pipeline(whole, ALONE)
    orders["window of one before"] = pipeline(whole, Window((0.6,), ()))
    orders["window of one on each side"] = pipeline(whole, Window((0.6,), (0.4,)))
    orders["reciprocal ranks"] = _by_ranks
    for relevance in (0.9, 0.7):
        orders[f"marginal relevance {relevance}"] = _diverse(relevance)
    return orders


def _by_ranks(memory: Remembered, question: locomo.Question, vector: Floats) -> Rows:
    candidates = memory.candidates(question.text, vector)
    whole, signals = Weights(), candidates.signals.copy()
    for place in SCALED:
        signals[:, place] = reciprocal_ranks(signals[:, place])
    return Candidates(candidates.rows, signals).best(whole, DEPTH)


def _diverse(relevance: float) -> Order:
    def order(memory: Remembered, question: locomo.Question, vector: Floats) -> Rows:
        candidates = memory.candidates(question.text, vector)
        scores = min_max(shares(candidates.signals, row_of(Weights())).sum(axis=1))
        places = diversified(memory.vectors[candidates.rows], scores, DEPTH, relevance)
        return candidates.rows[places]

    return order


def embedder(options: argparse.Namespace) -> Embed:
    """The embedder that the options name."""
    if options.embedder == "npz":
        kept = np.load(options.model)
        known = dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))
        return lambda texts: np.array([known[text] for text in texts], np.float32)
    from memraft.embedders import OnnxEmbedder, StaticEmbedder

    return (OnnxEmbedder(options.model) if options.embedder == "onnx" else StaticEmbedder()).embed


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown: recall over all categories, then recall@10 by category."""
    groups = [*locomo.CATEGORIES.values(), "1-4"]
    heads = ["", *(f"@{k}" for k in KS), "MRR", *(f"{group} @10" for group in groups), "p50 ms", "p99 ms"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for method, result in results.items():
        whole = result["all"]
        cells = [*(f"{whole[f'recall@{k}']:.3f}" for k in KS), f"{whole['mrr']:.3f}"]
        cells += [f"{result[group].get('recall@10', 0):.3f}" for group in groups]
        cells += [f"{whole['p50_ms']:.2f}", f"{whole['p99_ms']:.2f}"]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description="Evidence recall over conversations in the LoCoMo form.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--embedder", choices=["static", "onnx", "npz"], default="static")
    parser.add_argument(
        "--model", type=Path, help="the model's directory; for npz the file of texts and vectors"
    )
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    embed = embedder(options)
    memories = [remember(conversation, embed) for conversation in locomo.read(options.file)]
    results = {name: run(memories, order) for name, order in baselines(memories).items()}
    results["pipeline"] = run(memories, pipeline(Weights()))
    fitted: dict[str, float] = {}
    if options.fit:
        results["pipeline, weights fitted on the others"], fitted = unseen(memories)
    if options.ablate:
        results |= {name: run(memories, order) for name, order in ablations().items()}
    if options.json:
        json.dump({"results": results, "fitted": fitted}, sys.stdout, indent=2)
    else:
        print(table(results) + (f"\n\nfitted: {fitted}" if fitted else ""))


if __name__ == "__main__":
    main()

"""Evidence recall: which part of the turns that hold an answer is among the first k that were found; and the
mean reciprocal rank of the first such turn."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from memraft_server.cli.demo.locomo import ADVERSARIAL, CATEGORIES, REGULAR, Question

KS = (5, 10, 20)
"""Where recall is read off."""


class Answered(msgspec.Struct, frozen=True):
    """A question and the ids of the turns found for it by each method, best first."""

    question: Question
    found: Mapping[str, Sequence[str]]


class Row(msgspec.Struct, frozen=True):
    """Means over the questions of one category: method -> evidence recall, one figure for each of `KS`; and
    method -> reciprocal rank of the first evidence, 0 where none was found. None: there were no questions."""

    category: str
    questions: int
    recall: dict[str, tuple[float | None, ...]]
    mrr: dict[str, float | None]


class Evaluation(msgspec.Struct, frozen=True):
    """The table: categories 1 to 4 and such as the dataset does not know; 1 to 4 together; apart from these
    the adversarial questions; and all questions there are."""

    ks: tuple[int, ...]
    rows: list[Row]
    overall: Row
    adversarial: Row
    everything: Row
    questions_without_evidence: int
    evidence_malformed: int


def recall_at(evidence: Sequence[str], found: Sequence[str], k: int) -> float:
    """The share of `evidence` (not empty) among the first `k` of `found`, from 0 to 1."""
    first = set(found[:k])
    return sum(turn_id in first for turn_id in evidence) / len(evidence)


def reciprocal_rank(evidence: Sequence[str], found: Sequence[str]) -> float:
    """1 / the place of the first of `found` that is evidence, counted from 1; 0 where none is."""
    return next((1 / place for place, turn_id in enumerate(found, 1) if turn_id in evidence), 0.0)


def evaluate(answered: Sequence[Answered], methods: Sequence[str]) -> Evaluation:
    """Averages recall over questions, by category. Questions whose evidence names no turn are left out."""
    usable = [item for item in answered if item.question.evidence]
    by_category = {
        number: [item for item in usable if item.question.category == number]
        for number in sorted({item.question.category for item in usable} | set(CATEGORIES))
    }
    regular = [item for item in usable if item.question.category in REGULAR]
    return Evaluation(
        ks=KS,
        rows=[
            _row(CATEGORIES.get(number, f"category {number}"), items, methods)
            for number, items in by_category.items()
            if number != ADVERSARIAL
        ],
        overall=_row("all of 1 to 4", regular, methods),
        adversarial=_row(CATEGORIES[ADVERSARIAL], by_category[ADVERSARIAL], methods),
        everything=_row("all questions", usable, methods),
        questions_without_evidence=len(answered) - len(usable),
        evidence_malformed=sum(item.question.malformed for item in answered),
    )


def _row(category: str, items: Sequence[Answered], methods: Sequence[str]) -> Row:
    def mean(figure: Callable[[Sequence[str], Sequence[str]], float], method: str) -> float | None:
        total = sum(figure(item.question.evidence, item.found[method]) for item in items)
        return round(total / len(items), 4) if items else None

    def recall(method: str) -> tuple[float | None, ...]:
        return tuple(mean(partial(recall_at, k=k), method) for k in KS)

    return Row(
        category=category,
        questions=len(items),
        recall={method: recall(method) for method in methods},
        mrr={method: mean(reciprocal_rank, method) for method in methods},
    )

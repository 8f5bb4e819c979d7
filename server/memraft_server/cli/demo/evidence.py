"""Evidence recall: which part of the turns that hold an answer is among the first k that were found."""

from collections.abc import Mapping, Sequence

import msgspec

from memraft_server.cli.demo.locomo import ADVERSARIAL, CATEGORIES, Question

KS = (5, 10, 20)
"""Where recall is read off."""


class Answered(msgspec.Struct, frozen=True):
    """A question and the ids of the turns found for it by each method, best first."""

    question: Question
    found: Mapping[str, Sequence[str]]


class Row(msgspec.Struct, frozen=True):
    """Mean evidence recall over the questions of one category: method -> one figure for each of `KS`."""

    category: str
    questions: int
    recall: dict[str, tuple[float, ...]]


class Evaluation(msgspec.Struct, frozen=True):
    """The table: categories 1 to 4, all of these together, and apart from them the adversarial questions."""

    ks: tuple[int, ...]
    rows: list[Row]
    overall: Row
    adversarial: Row
    questions_without_evidence: int
    evidence_malformed: int


def recall_at(evidence: Sequence[str], found: Sequence[str], k: int) -> float:
    """The share of `evidence` (not empty) among the first `k` of `found`, from 0 to 1."""
    first = set(found[:k])
    return sum(turn_id in first for turn_id in evidence) / len(evidence)


def evaluate(answered: Sequence[Answered], methods: Sequence[str]) -> Evaluation:
    """Averages recall over questions, by category. Questions whose evidence names no turn are left out."""
    usable = [item for item in answered if item.question.evidence]
    by_category = {
        number: [item for item in usable if item.question.category == number]
        for number in sorted({item.question.category for item in usable} | set(CATEGORIES))
    }
    regular = [item for item in usable if item.question.category != ADVERSARIAL]
    return Evaluation(
        ks=KS,
        rows=[
            _row(CATEGORIES.get(number, f"category {number}"), items, methods)
            for number, items in by_category.items()
            if number != ADVERSARIAL
        ],
        overall=_row("all of these", regular, methods),
        adversarial=_row(CATEGORIES[ADVERSARIAL], by_category[ADVERSARIAL], methods),
        questions_without_evidence=len(answered) - len(usable),
        evidence_malformed=sum(item.question.malformed for item in answered),
    )


def _row(category: str, items: Sequence[Answered], methods: Sequence[str]) -> Row:
    return Row(
        category=category,
        questions=len(items),
        recall={method: tuple(_mean(items, method, k) for k in KS) for method in methods},
    )


def _mean(items: Sequence[Answered], method: str, k: int) -> float:
    if not items:
        return 0.0
    total = sum(recall_at(item.question.evidence, item.found[method], k) for item in items)
    return round(total / len(items), 4)

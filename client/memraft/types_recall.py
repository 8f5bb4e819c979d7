"""What recall takes and returns beside memories: frozen values, exported by `memraft.types`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

import msgspec

ReceiptMode: TypeAlias = Literal["soon", "now", "none"]
"""When the receipt of a recall is durable: soon after the answer, before it, or there is none."""

FusionName: TypeAlias = Literal["min-max", "reciprocal-ranks"]
"""How text and vector are made comparable before they are added up."""

Rerank: TypeAlias = Callable[[str, list[str]], Sequence[float] | Awaitable[Sequence[float]]]
"""Judges texts by a query: called with both, returns a number for each text, higher for better."""


class RecallParameters(TypedDict, total=False):
    """What the signals of a recall count for, and how it goes on from there.

    What is left out is as the namespace has it, and else as measured best: docs/recall.md.
    """

    text: float
    """Weight: BM25 of the text, with what was said around it in its thread."""
    vector: float
    """Weight: cosine of the query's embedding and the memory's, with those around it. 0: none is made."""
    passage: float
    """Weight: how good the best turn is of the passage of its thread that was found with it."""
    author: float
    """Weight: it was said by whom the query names."""
    question: float
    """Weight: it ends with a question."""
    reply: float
    """Weight: what was said before it in its thread ends with a question."""
    substance: float
    """Weight: how many different terms it has."""
    time: float
    """Weight: it says when."""
    time_asked: float
    """Weight: it says when, and the query asks for that."""
    dated: float
    """Weight: it is of the time that the query names, such as `last week`."""
    graph: float
    """Weight: how near what it is about is, in the graph, to what the query names."""
    recency: float
    """Weight: how long ago it was written or last recalled."""
    salience: float
    """Weight: how much it was said to matter, less what time took off."""
    decay_per_day: float
    """Salience decays by exp(-this * days)."""
    half_life_days: float
    """Recency halves in so many days."""
    diversity: float
    """From 0 to 1: how much likeness to what is ranked higher takes off (maximal marginal relevance)."""
    duplicate_cosine: float
    """From this cosine on, of hits that differ in no number and no negation only the best is returned. Above
    1: only of those with the same words."""
    graph_depth: int
    """How many edges from what the query names memories are looked for, 0 to 3."""
    fusion: FusionName
    """How text and vector are made comparable."""


class Reason(msgspec.Struct, frozen=True, gc=False):
    """What one signal added to the score of a hit."""

    name: str
    """That of its weight in `RecallParameters`; `profile` for what comes first with a budget of tokens, and
    `rerank` for what a reranker said."""
    rank: int
    """The hit's place by this signal among all candidates; 1 is the first, 0 where all are the same."""
    value: float
    """What was measured: a BM25 score, a cosine, a share from 0 to 1."""
    weight: float
    """What it counts for."""
    share: float
    """What it added to the score, or took off."""

    def __str__(self) -> str:
        place = f", place {self.rank}" if self.rank else ""
        return f"{self.name} {self.share:+.3f} (measured {self.value:.3g}{place})"


class ReceiptId(msgspec.Struct, frozen=True, gc=False):
    """The durable record of a recall, as it is named: `m.receipt(hits.receipt)` reads it."""

    id: str

    def __str__(self) -> str:
        return self.id


def why(score: float, reasons: Sequence[Reason], origin: dict[str, Any]) -> str:
    """Returns one line: the score, what made it, and where the memory came from."""
    parts = ", ".join(map(str, reasons))
    known = " ".join(f"{name} {value}" for name, value in origin.items() if value)
    return f"{score:.3f} = {parts or 'nothing else counted'}; {known}"

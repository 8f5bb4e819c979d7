"""What a text alone says about how much it can answer, and a query about what it asks for. English.

None of this is learnt from a data set; which of it helps, and how much, is in docs/recall-quality.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from memraft_server.projections.text_terms import terms_of

SUBSTANCE_TERMS = 16
"""Distinct terms from which on a text has as much substance as one can have."""

_MONTHS = "january|february|march|april|june|july|august|september|october|november|december"
_DAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday|weekend"
_SPANS = "second|minute|hour|day|week|month|year|decade|summer|winter|spring|fall|autumn"

_TIME = re.compile(
    rf"\b(?:yesterday|today|tonight|tomorrow|recently|ago|since|{_MONTHS}|{_DAYS}|(?:19|20)\d\d"
    rf"|(?:last|next|this|past|few|\d+) (?:night|morning|afternoon|evening|(?:{_SPANS})s?)"
    r"|(?:week|month|year)s?)\b"
)
_FIXED = "yesterday today tonight tomorrow recently ago since night morning afternoon evening"
_YEARS = " ".join(map(str, range(1900, 2100)))
_TIME_TERMS = frozenset(terms_of(" ".join((_FIXED, _MONTHS, _DAYS, _SPANS, _YEARS)).replace("|", " ")))
"""Every text that tells a time has one of these; to look for them takes less than the expression."""
_ASKS_WHEN = re.compile(r"\bwhen\b|\bhow long\b|\b(?:what|which) (?:year|month|day|date|time|week|season)\b")
_NOTE = re.compile(r"\s*[\[(][^\])]*[\])]\s*$")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Cues:
    """What is kept of a text when it is written: two bits and a number from 0 to 1."""

    asks: bool
    """It ends with a question: it asks for something and states little."""
    tells_time: bool
    """It says when, in absolute or in relative terms."""
    substance: float
    """Of how many different terms it is, on a logarithmic scale: greetings and thanks have little."""


_SUBSTANCE = [math.log1p(distinct) / math.log1p(SUBSTANCE_TERMS) for distinct in range(SUBSTANCE_TERMS + 1)]


def cues_of(text: str, terms: Sequence[str]) -> Cues:
    """Reads the cues off a text and its terms (of `terms_of`); a closing note in brackets is not said."""
    said, distinct = text.rstrip(), set(terms)
    if said.endswith(("]", ")")):
        said = _NOTE.sub("", said)
    return Cues(
        asks=said.endswith("?"),
        tells_time=not distinct.isdisjoint(_TIME_TERMS) and _TIME.search(text.lower()) is not None,
        substance=_SUBSTANCE[min(len(distinct), SUBSTANCE_TERMS)],
    )


def asks_when(query: str) -> bool:
    """Whether a query asks for a time."""
    return _ASKS_WHEN.search(query.lower()) is not None


def words_of(text: str) -> list[str]:
    """The words of a text or a name in lower case."""
    return _WORD.findall(text.lower())

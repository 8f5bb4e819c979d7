"""The whole of a recall: candidates from texts, vectors, times and the graph, their signals, and the hits.

What a fork has of its parent and what was written in it are candidates alike: signals are measured in each
part and scaled over all candidates together.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from memraft_server.projections.memories import MemoryStore, Remembered, version_of
from memraft_server.projections.memory_rows import Wanted
from memraft_server.projections.receipts import Uses
from memraft_server.projections.reembedding import Model
from memraft_server.projections.vector_math import Floats, Rows, direction
from memraft_server.recall.fusion import NAMES
from memraft_server.recall.index import Part, parts_of
from memraft_server.recall.parameters import DEFAULT, Parameters
from memraft_server.recall.scoring import (
    NO_REASONS,
    PROFILE,
    Reasons,
    chosen,
    faded,
    fitting,
    reasons,
    recent,
    weighed,
)
from memraft_server.recall.signals import CANDIDATES_EACH, Candidates, gather

K_DEFAULT = 10
K_WITH_TOKENS = 100
BESIDE_MAX = 64
"""Candidates that come from the graph, from a time or from a profile, of each at most."""
ABOUT_EACH = 16
"""Of these, about one entity: the newest."""

LOOKED_EACH = 4
"""Rows that are looked at for each of them that is wanted."""

_COLUMN = {name: place for place, name in enumerate(NAMES)}
_NO_ROWS: Rows = np.empty(0, np.int64)


def _never(ids: Sequence[str]) -> list[int]:
    return [0] * len(ids)


@dataclass(frozen=True, slots=True)
class Moments:
    """What a recall asks of the log: when versions were committed, and when memories were read.

    Attributes:
        now_us: The moment that the read sees, in microseconds since the epoch.
        times_us: Commit times of versions.
        versions: The versions, from the first to before the second, that were committed in a span of time.
        accessed: The versions at which memories were last recalled; 0: never.
        uses: When all memories were last recalled, where nothing of it came after what the read sees.
    """

    now_us: int
    times_us: Callable[[Rows], Rows]
    versions: Callable[[int, int], tuple[int, int]]
    accessed: Callable[[Sequence[str]], list[int]] = _never
    uses: Uses | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A recall.

    Attributes:
        query: Its text; empty: there is none.
        embedding: Shape (dimension,), finite; None: there is none.
        k: How many hits at most; 0: `K_DEFAULT`, with a budget `K_WITH_TOKENS`.
        tokens: Of all texts together; 0: any number.
        wanted: Which memories may be found.
        entities: How near entities are to what the query names.
        span_us: The time that the query names, from the first to before the second; None: it names none.
        parameters: What counts how much.
        model: What made the embedding; None: the main model.
    """

    query: str
    embedding: Floats | None = None
    k: int = 0
    tokens: int = 0
    wanted: Wanted = field(default_factory=Wanted)
    entities: Mapping[str, float] = field(default_factory=dict)
    span_us: tuple[int, int] | None = None
    parameters: Parameters = DEFAULT
    model: Model | None = None


class Found(NamedTuple):
    """What a recall found, best first."""

    hits: list[tuple[Remembered, float]]
    """Memories and their scores."""
    reasons: Reasons


class _Items(Sequence[Remembered]):
    """The memories of candidates: those that nobody asks for are not touched.

    Args:
        items: All of a store.
        rows: The places of the candidates there.
    """

    __slots__ = ("_items", "_rows")

    def __init__(self, items: Sequence[Remembered], rows: list[int]) -> None:
        self._items = items
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int) -> Remembered:  # type: ignore[override]
        return self._items[self._rows[place]]


class _Measured(NamedTuple):
    """The candidates of one part, and their memories."""

    found: Candidates
    items: Sequence[Remembered]


def recall(store: MemoryStore, ceiling: int, asked: Asked, moments: Moments) -> Found:
    """Finds memories.

    Args:
        store: Of the namespace.
        ceiling: The highest version to see.
        asked: What for.
        moments: Of the log.
    """
    parts = parts_of(store, ceiling, asked.wanted, asked.model)
    query = direction(asked.embedding) if asked.embedding is not None else None
    each = max(CANDIDATES_EACH, asked.k)
    measured = [_measured(part, asked, query, each, moments) for part in parts]
    return Found(*_scored(measured, asked))


def nearest(store: MemoryStore, ceiling: int | None, asked: Asked) -> Found:
    """Finds the memories nearest to an embedding, by their own cosines alone."""
    assert asked.embedding is not None
    found = store.recall(asked.embedding, asked.k or K_DEFAULT, ceiling, asked.wanted, asked.model)
    cosines = [cosine for _, cosine in found]
    count = len(found)
    ranks = list(range(1, count + 1))
    return Found(found, Reasons(["vector"], [1.0], [1] * count, [0] * count, ranks, cosines, cosines))


def _measured(part: Part, asked: Asked, query: Floats | None, each: int, moments: Moments) -> _Measured:
    """Finds the candidates of a part and measures them."""
    vectors = part.vectors if query is not None else None
    found = part.nearest(query, each) if query is not None and vectors is not None else _NO_ROWS
    beside = [*_of_entities(part, asked), *_of_span(part, asked, moments), *_of_profile(part, asked)]
    rows = np.concatenate((found, np.array(beside, np.int64))) if beside else found
    index = part.index
    candidates = gather(
        asked.query,
        rows,
        query,
        vectors,
        index.text,
        index.columns,
        ceiling=part.ceiling,
        allowed=part.allowed,
        each=each,
        lengths=part.lengths,
    )
    items = _Items(index.store.items, candidates.rows.tolist())
    if len(items):
        _fill(candidates, part, items, asked, moments)
    return _Measured(candidates, items)


def _fill(found: Candidates, part: Part, items: Sequence[Remembered], asked: Asked, moments: Moments) -> None:
    """Measures what is not in the indexes of texts."""
    signals, rows, weights = found.signals, found.rows, asked.parameters.weights
    index = part.index
    if asked.entities and weights.graph:
        near = asked.entities
        signals[:, _COLUMN["graph"]] = [near.get(item.about, 0.0) if item.about else 0.0 for item in items]
    if asked.span_us is not None and weights.dated:
        low, high = moments.versions(*asked.span_us)
        signals[:, _COLUMN["dated"]] = [
            low <= item.version < high or _is_of(item, *asked.span_us) for item in items
        ]
    if weights.recency or weights.salience:
        if moments.uses is not None and index.text.is_now(part.ceiling):
            last: Rows | list[int] = index.last_uses.of(rows, moments.uses)
        else:
            last = moments.accessed([item.id for item in items])
        used = np.maximum(index.text.born(rows), last)
        age_us = np.maximum(moments.now_us - moments.times_us(used), 0).astype(np.float32)
        if weights.recency:
            signals[:, _COLUMN["recency"]] = recent(age_us, asked.parameters.half_life_days)
        if weights.salience:
            salience = faded(index.columns.salience(rows), age_us, asked.parameters.decay_per_day)
            signals[:, _COLUMN["salience"]] = salience


def _is_of(item: Remembered, start_us: int, end_us: int) -> bool:
    """Whether a memory is of a span of time: it became true in it, or has ended and was true in it. What has
    no end is true at any time after its beginning, so that says little."""
    if item.valid_until_us:
        return item.valid_from_us < end_us and item.valid_until_us > start_us
    return start_us <= item.valid_from_us < end_us


def _of_entities(part: Part, asked: Asked) -> list[int]:
    """Returns the newest rows about what the query names and what is near that, the nearest first."""
    if not asked.parameters.weights.graph:
        return []
    found: list[int] = []
    for entity in sorted(asked.entities, key=lambda name: -asked.entities[name]):
        if len(found) >= BESIDE_MAX:
            break
        found += _newest(part, part.index.store.found_by.about(entity), ABOUT_EACH)
    return found[:BESIDE_MAX]


def _of_span(part: Part, asked: Asked, moments: Moments) -> list[int]:
    """Returns the newest rows that were written, or became true, in the time that the query names."""
    if asked.span_us is None or not asked.parameters.weights.dated:
        return []
    store = part.index.store
    low, high = (
        bisect_left(store.items, version, key=version_of) for version in moments.versions(*asked.span_us)
    )
    began = store.found_by.starting(*asked.span_us, LOOKED_EACH * BESIDE_MAX).tolist()
    return [*_newest(part, range(low, high), BESIDE_MAX), *_newest(part, began, BESIDE_MAX)]


def _of_profile(part: Part, asked: Asked) -> list[int]:
    """Returns the newest rows of kind `profile`, where there is a budget for which they go first."""
    if not asked.tokens:
        return []
    return _newest(part, part.index.store.found_by.of_kind(PROFILE), BESIDE_MAX)


def _newest(part: Part, rows: Sequence[int], count_max: int) -> list[int]:
    """Returns the last of these rows that may be found, looking at a few times as many."""
    looked = np.array(rows[-LOOKED_EACH * count_max :], np.int64)
    if part.allowed is not None:
        looked = looked[part.allowed[looked]]
    looked = looked[part.index.text.alive(looked, part.ceiling)]
    newest: list[int] = looked[-count_max:].tolist()
    return newest


def _scored(measured: list[_Measured], asked: Asked) -> tuple[list[tuple[Remembered, float]], Reasons]:
    """Weighs the candidates of all parts together; returns the hits and why they were found."""
    parameters = asked.parameters
    if not any(len(each.items) for each in measured):
        return [], NO_REASONS
    if len(measured) == 1:
        [(found, items)] = measured
        signals = found.signals
        parts = weighed(signals, parameters, found.scaled)
    else:
        items = [item for each in measured for item in each.items]
        signals = np.concatenate([each.found.signals for each in measured])
        parts = weighed(signals, parameters)
    scores = np.asarray(parts.sum(axis=1), np.float32)
    k = asked.k or (K_WITH_TOKENS if asked.tokens else K_DEFAULT)
    keys = np.arange(len(items), dtype=np.int64)  # parts come from the oldest to the newest, rows too
    places = chosen(items, keys, scores, _vectors_of(measured), k, parameters)
    profile = 0
    if asked.tokens:
        first = _profile_first(items, scores, k)
        taken = set(first)
        places = [*first, *(place for place in places if place not in taken)][:k]
        places = [places[at] for at in fitting((items[place].text for place in places), asked.tokens)]
        profile = sum(place in taken for place in places)
    hits = [(items[place], float(scores[place])) for place in places]
    return hits, reasons(places, signals, parts, parameters.weights, profile)


def _profile_first(items: Sequence[Remembered], scores: Floats, k: int) -> list[int]:
    """Returns the places of what is of kind `profile`, what matters most first."""
    places = [place for place, item in enumerate(items) if item.kind == PROFILE]
    places.sort(key=lambda place: (-items[place].salience, -scores[place], place))
    return places[: min(k, BESIDE_MAX)]


def _vectors_of(measured: list[_Measured]) -> Callable[[Rows], Floats] | None:
    """Returns what gives the vectors of places among all candidates, shape (places, dimension); None where
    there are none."""
    if len(measured) == 1 and (only := measured[0].found.known) is not None:
        return lambda places: only[0].take(only[1].take(places), axis=0)
    starts = np.cumsum([0, *(len(each.items) for each in measured)])
    known_of = [each.found.known for each in measured]
    dimension = max((known[0].shape[1] for known in known_of if known is not None), default=0)

    def vectors(places: Rows) -> Floats:
        found = np.zeros((len(places), dimension), np.float32)
        for start, end, known in zip(starts, starts[1:], known_of, strict=False):
            if known is not None:
                mine = np.flatnonzero((places >= start) & (places < end))
                found[mine] = known[0][known[1][places[mine] - start]]
        return found

    return vectors if dimension else None

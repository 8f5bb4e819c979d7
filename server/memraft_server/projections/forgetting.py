"""What of a namespace's memories was forgotten and why, and what those that are there are worth.

Why a memory was forgotten is a record like all others; its name is made of the version at which the memory
ended, so that the order of names is that of time, the last first.

What memories are worth is no part of the replicated state. It changes from one moment to the next: so the
leader computes it when some have to go, and says in the log what it came to.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from math import ceil, log2
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.notes import FORGOTTEN, Notes
from memraft_server.projections.recency import SPARE
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import NOW, Author, OrderedRecords, Record

RECALLS_HALF = 4
"""So many recalls give half of what frequency may add: n of them n / (n + 4)."""
ANSWERS_HALF = 2
"""So many answers give half of what impact may add."""
PRUNE_INTERVAL_US = 60_000_000
"""Between two looks for memories that are worth too little."""
DAY_US = 86_400_000_000
_NAME_DIGITS = 19


class Keeping(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How many memories a namespace keeps, and what counts when some have to go: see MemorySettings."""

    entries_max: int = 0
    bytes_max: int = 0
    prune_below: float = 0.0
    default_ttl_ms: int = 0
    recency: float = 1.0
    frequency: float = 1.0
    salience: float = 1.0
    impact: float = 1.0
    half_life_days: float = 30.0

    @property
    def is_limited(self) -> bool:
        """Whether memories may have to go for what they are worth."""
        return bool(self.entries_max or self.bytes_max or self.prune_below)

    @property
    def weight(self) -> float:
        """The sum of the weights."""
        return self.recency + self.frequency + self.salience + self.impact


KEEP_ALL = Keeping()
_encode = msgspec.msgpack.Encoder().encode
_decode_keeping = msgspec.msgpack.Decoder(Keeping).decode


def keeping_of(record: Record | None) -> Keeping:
    """Returns what the record of this setting says."""
    return _decode_keeping(record.value) if record is not None and record.value is not None else KEEP_ALL


def encode_keeping(keeping: Keeping) -> bytes:
    """Returns the value of the record of this setting."""
    return _encode(keeping)


class Worth(NamedTuple):
    """What a memory is worth, from 0 to 1, and what adds up to that."""

    score: float
    recency: float
    frequency: float
    salience: float
    impact: float


class Why(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Why a memory was forgotten.

    Attributes:
        id: The memory's.
        reason: Of the numbers of ForgetReason.
        note: What who forgot it said.
        merged_into: The id of the memory that it was merged into.
        worth: What it was worth, where it went for that.
    """

    id: str
    reason: int
    note: str = ""
    merged_into: str = ""
    worth: tuple[float, float, float, float, float] | None = None


_decode_why = msgspec.msgpack.Decoder(Why).decode


class ForgettingProjection:
    """What was forgotten in one namespace."""

    __slots__ = ("counting", "records", "worths")

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.records = OrderedRecords(usage, notes, FORGOTTEN)
        self.worths: Worths | None = None
        """What the memories are worth, where some may have to go for it. Of a fork those written in it."""
        self.counting: Iterator[None] | None = None
        """Goes on to take them in; None: all are there."""

    def note(self, version: int, why: Why, author: Author) -> None:
        """A memory ended at `version`."""
        self.records.store(name_of(version), _encode(why), version, author, 0)

    def why(self, version: int) -> Why | None:
        """Returns why a memory ended at a version; None where that is not known."""
        return why_of(self.records.at(name_of(version), NOW))

    def drop(self, ended: int, version: int, author: Author) -> None:
        """Nothing is left of the memory that ended at version `ended`: why it did goes with it."""
        name = name_of(ended)
        if self.records.remove(name, version, author):
            self.records.trim(name, version, NOW)


def name_of(version: int) -> str:
    """Returns the name of the record of why a memory ended at a version."""
    return f"{NOW - version:0{_NAME_DIGITS}d}"


def why_of(record: Record | None) -> Why | None:
    """Returns what a record says."""
    return _decode_why(record.value) if record is not None and record.value is not None else None


_PORTION_ROWS = 16_384
"""Rows that are computed together: what comes in between stays in the processor's cache."""

Scores = NDArray[np.float64]
Rows = NDArray[np.int64]


class Worths:
    """What the memories of a namespace are worth: one row each, without gaps."""

    __slots__ = (
        "_answers", "_ids", "_look_us", "_pinned", "_pinned_count", "_recalls", "_rows", "_salience",
        "_sizes", "_used_us", "bytes", "prune_due_us", "rules",
    )  # fmt: skip

    def __init__(self, rules: Keeping) -> None:
        self.rules = rules
        """What counts."""
        self._ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._used_us, self._sizes = array("q"), array("q")
        self._recalls, self._answers = array("q"), array("q")
        self._salience = array("d")
        self._pinned = array("b")
        self._pinned_count = 0
        self._look_us = 0
        """Before this there is no further look for what is worth too little."""
        self.bytes = 0
        """Of all memories, with their embeddings."""
        self.prune_due_us = NOW
        """When to look whether some are worth too little, in microseconds since the epoch."""

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def _columns(self) -> tuple[array[int] | array[float], ...]:
        return self._used_us, self._sizes, self._recalls, self._answers, self._salience, self._pinned

    def change(self, rules: Keeping) -> None:
        """From now on this is what counts."""
        self.rules = rules
        self.prune_due_us = self._look_us

    def put(
        self, id: str, used_us: int, size: int, salience: float, pinned: bool, recalls: int, answers: int
    ) -> None:
        """Takes in a memory as it is now.

        Args:
            id: Of the memory.
            used_us: When it was written or recalled last, in microseconds since the epoch.
            size: In bytes.
            salience: As it was given, from 0 to 1.
            pinned: Whether it stays in any case.
            recalls: How often it was recalled.
            answers: How many answers it led to.
        """
        self.drop(id)
        self._rows[id] = len(self._ids)
        self._ids.append(id)
        values = (used_us, size, recalls, answers, salience, int(pinned))
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)  # type: ignore[arg-type]
        self._pinned_count += pinned
        self.bytes += size
        if self.rules.prune_below and not pinned:
            due_us = self._due_us(used_us, salience, recalls, answers)
            self.prune_due_us = min(self.prune_due_us, max(due_us, self._look_us))

    def drop(self, id: str) -> None:
        """There is no such memory any more."""
        row = self._rows.pop(id, None)
        if row is None:
            return
        self._pinned_count -= self._pinned[row]
        self.bytes -= self._sizes[row]
        last_id = self._ids.pop()
        for column in self._columns:
            last = column.pop()
            if last_id != id:
                column[row] = last  # type: ignore[assignment]
        if last_id != id:
            self._ids[row] = last_id
            self._rows[last_id] = row

    @property
    def is_over(self) -> bool:
        """Whether there are more than there may be, and of those that are not pinned one that can stay."""
        rules, count = self.rules, len(self._ids)
        is_full = count > rules.entries_max > 0 or self.bytes > rules.bytes_max > 0
        return is_full and count - self._pinned_count > 1

    def victims(self, now_us: int, count_max: int) -> list[tuple[str, Worth]]:
        """Returns what there is no room for at a moment, that which is worth least first.

        Args:
            now_us: The moment, in microseconds since the epoch.
            count_max: At most so many.

        Returns:
            Ids and what they are worth; a hundredth more than has to go, as with documents.
        """
        if not self.is_over:
            return []
        rules, count = self.rules, len(self._ids)
        entries_max, bytes_max = (each - each // SPARE for each in (rules.entries_max, rules.bytes_max))
        loose = count - self._pinned_count
        rows = _least(self._scores(now_us), min(count_max, loose - 1))
        sizes = np.frombuffer(self._sizes, np.int64)[rows]
        goes = np.zeros(len(rows), np.bool_)
        if entries_max:
            goes |= count - np.arange(len(rows)) > entries_max
        if bytes_max:
            goes |= self.bytes - (np.cumsum(sizes) - sizes) > bytes_max
        return self._worths(rows[goes], now_us)

    def worthless(self, now_us: int, count_max: int) -> list[tuple[str, Worth]]:
        """Returns what is worth too little at a moment, at most `count_max`, that which is worth least first;
        settles when to look again."""
        below = self.rules.prune_below
        if not below or now_us < self.prune_due_us:
            return []
        scores = self._scores(now_us)
        count = int(np.count_nonzero(scores < below))
        rows = _least(scores, min(count, count_max))
        if len(rows) == count:
            # What was found stays until the command has been applied, and that may fail.
            self._look_us = now_us + PRUNE_INTERVAL_US
            self.prune_due_us = self._look_us if count else max(self._look_us, self._next_due_us(scores))
        return self._worths(rows, now_us)

    def _next_due_us(self, scores: Scores) -> int:
        """When the first of those that are not pinned is worth too little."""
        found = [
            self._dues_us(part).min()
            for part in np.array_split(np.flatnonzero(np.isfinite(scores)), len(scores) // _PORTION_ROWS + 1)
            if len(part)
        ]
        return int(min(found, default=NOW))

    def _parts(self, rows: slice | Rows, now_us: int) -> tuple[Scores, Scores, Scores, Scores]:
        """What adds up to the scores of some rows: recency, frequency, salience, impact."""
        rules, weight = self.rules, self.rules.weight
        age_us = now_us - np.frombuffer(self._used_us, np.int64)[rows]
        fresh = np.exp2(np.maximum(age_us, 0) * (-1 / (DAY_US * rules.half_life_days)))
        recalls = np.frombuffer(self._recalls, np.int64)[rows]
        answers = np.frombuffer(self._answers, np.int64)[rows]
        salience = np.frombuffer(self._salience, np.float64)[rows]
        return (
            rules.recency / weight * fresh,
            rules.frequency / weight * (recalls / (recalls + RECALLS_HALF)),
            rules.salience / weight * salience * fresh,
            rules.impact / weight * (answers / (answers + ANSWERS_HALF)),
        )

    def _scores(self, now_us: int) -> Scores:
        """The score of each row at a moment; infinite where it stays in any case."""
        scores = np.empty(len(self._ids), np.float64)
        for start in range(0, len(scores), _PORTION_ROWS):
            rows = slice(start, start + _PORTION_ROWS)
            recency, frequency, salience, impact = self._parts(rows, now_us)
            scores[rows] = recency + frequency + salience + impact
        scores[np.frombuffer(self._pinned, np.bool_)] = np.inf
        return scores

    def _dues_us(self, rows: Rows) -> Rows:
        """As `_due_us`, of many."""
        recency, frequency, salience, impact = self._parts(rows, 0)  # as if each were used just now
        left = self.rules.prune_below - frequency - impact
        never = left <= 0
        halvings = np.log2(np.maximum((recency + salience) / np.where(never, 1, left), 1))
        age_us = np.ceil(halvings * (self.rules.half_life_days * DAY_US)).astype(np.int64)
        return np.where(never, NOW, np.frombuffer(self._used_us, np.int64)[rows] + age_us)

    def _due_us(self, used_us: int, salience: float, recalls: int, answers: int) -> int:
        """When a memory is worth too little if it is not used before, in microseconds; `NOW` for never."""
        rules = self.rules
        left = rules.prune_below * rules.weight
        left -= rules.frequency * recalls / (recalls + RECALLS_HALF)
        left -= rules.impact * answers / (answers + ANSWERS_HALF)
        if left <= 0:
            return NOW
        halvings = log2(max((rules.recency + rules.salience * salience) / left, 1))
        return used_us + ceil(halvings * rules.half_life_days * DAY_US)

    def _worths(self, rows: Rows, now_us: int) -> list[tuple[str, Worth]]:
        parts = np.stack(self._parts(rows, now_us), axis=1)
        scores = parts.sum(axis=1)
        return [
            (self._ids[row], Worth(score, *each))
            for row, score, each in zip(rows.tolist(), scores.tolist(), parts.tolist(), strict=True)
        ]


def _least(scores: Scores, count: int) -> Rows:
    """Returns the places of the `count` lowest scores, the lowest first, of equal ones the first first."""
    if count <= 0:
        return np.empty(0, np.int64)
    highest = np.partition(scores, count - 1)[count - 1]
    places = np.flatnonzero(scores <= highest)
    return places[np.argsort(scores[places], kind="stable")][:count]

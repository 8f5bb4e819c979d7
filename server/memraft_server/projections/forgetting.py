"""What of a namespace's memories was forgotten and why, and what those that are there are worth.

Why a memory was forgotten is a record like all others; its name is made of the version at which the memory
ended, so that the order of names is that of time, the last first.

What memories are worth is no part of the replicated state. It changes from one moment to the next: so the
leader computes it when some have to go, and says in the log what it came to.
"""

from __future__ import annotations

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

    __slots__ = ("records", "worths")

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.records = OrderedRecords(usage, notes, FORGOTTEN)
        self.worths: Worths | None = None
        """What the memories are worth, where some may have to go for it. Of a fork those written in it."""

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


_COLUMNS = np.dtype(
    [
        ("used_us", "<i8"),
        ("recalls", "<i8"),
        ("answers", "<i8"),
        ("size", "<i8"),
        ("salience", "<f8"),
        ("pinned", "?"),
    ]
)
_ROWS_LEAST = 16

Columns = NDArray[np.void]
Scores = NDArray[np.float64]


class Worths:
    """What the memories of a namespace are worth: one row each, without gaps."""

    __slots__ = ("_columns", "_ids", "_look_us", "_pinned", "_rows", "_rules", "bytes", "prune_due_us")

    def __init__(self, rules: Keeping) -> None:
        self._rules = rules
        self._ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._columns: Columns = np.zeros(_ROWS_LEAST, _COLUMNS)
        self._pinned = 0
        self._look_us = 0
        """Before this there is no further look for what is worth too little."""
        self.bytes = 0
        """Of all memories, with their embeddings."""
        self.prune_due_us = NOW
        """When to look whether some are worth too little, in microseconds since the epoch."""

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def rules(self) -> Keeping:
        """What counts."""
        return self._rules

    def put(
        self, id: str, used_us: int, size: int, salience: float, pinned: bool, recalls: int, answers: int
    ) -> None:
        """Takes in a memory as it is now.

        Args:
            id: Of the memory.
            used_us: When it was written or recalled last, in microseconds since the epoch.
            size: In bytes.
            salience: As it was given.
            pinned: Whether it stays in any case.
            recalls: How often it was recalled.
            answers: How many answers it led to.
        """
        self.drop(id)
        row = self._rows[id] = len(self._ids)
        self._ids.append(id)
        if row == len(self._columns):
            self._columns = np.concatenate((self._columns, np.zeros(row, _COLUMNS)))
        self._columns[row] = (used_us, recalls, answers, size, salience, pinned)
        self._pinned += pinned
        self.bytes += size
        self._note_prune(row)

    def drop(self, id: str) -> None:
        """There is no such memory any more."""
        row = self._rows.pop(id, None)
        if row is None:
            return
        columns, last_id = self._columns, self._ids.pop()
        self._pinned -= bool(columns["pinned"][row])
        self.bytes -= int(columns["size"][row])
        if last_id != id:
            self._ids[row] = last_id
            self._rows[last_id] = row
            columns[row] = columns[len(self._ids)]

    @property
    def is_over(self) -> bool:
        """Whether there are more than there may be, and of those that are not pinned one that can stay."""
        rules, count = self._rules, len(self._ids)
        is_full = count > rules.entries_max > 0 or self.bytes > rules.bytes_max > 0
        return is_full and count - self._pinned > 1

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
        rules, columns = self._rules, self._now
        entries_max, bytes_max = (each - each // SPARE for each in (rules.entries_max, rules.bytes_max))
        parts = self._parts(columns, now_us)
        loose = np.flatnonzero(~columns["pinned"])
        order = _least(parts.sum(0)[loose], min(count_max, len(loose) - 1))
        rows = loose[order]
        counts = len(columns) - np.arange(len(rows))
        sizes = self.bytes - np.concatenate(([0], np.cumsum(columns["size"][rows])[:-1]))
        goes = np.zeros(len(rows), np.bool_)
        if entries_max:
            goes |= counts > entries_max
        if bytes_max:
            goes |= sizes > bytes_max
        return self._worths(rows[goes], parts)

    def worthless(self, now_us: int, count_max: int) -> list[tuple[str, Worth]]:
        """Returns what is worth too little at a moment, at most `count_max`, that which is worth least first;
        settles when to look again."""
        rules, columns = self._rules, self._now
        if not rules.prune_below or now_us < self.prune_due_us:
            return []
        parts = self._parts(columns, now_us)
        scores = parts.sum(0)
        loose = ~columns["pinned"]
        rows = np.flatnonzero(loose & (scores < rules.prune_below))
        found = rows[_least(scores[rows], min(count_max, len(rows)))]
        if len(found) == len(rows):
            later = np.flatnonzero(loose & (scores >= rules.prune_below))
            due_us = int(self._due_us(columns[later]).min(initial=NOW))
            # What was found stays until the command has been applied, and that may fail.
            self._look_us = now_us + PRUNE_INTERVAL_US
            self.prune_due_us = self._look_us if len(rows) else max(due_us, self._look_us)
        return self._worths(found, parts)

    @property
    def _now(self) -> Columns:
        return self._columns[: len(self._ids)]

    def _parts(self, columns: Columns, now_us: int) -> Scores:
        """What adds up to the score of each: shape (4, rows), recency, frequency, salience, impact."""
        rules = self._rules
        age_days = np.maximum(now_us - columns["used_us"], 0) / DAY_US
        recalls, answers = columns["recalls"], columns["answers"]
        fresh = np.exp2(-age_days / rules.half_life_days)
        parts = (
            rules.recency * fresh,
            rules.frequency * recalls / (recalls + RECALLS_HALF),
            rules.salience * columns["salience"] * fresh,
            rules.impact * answers / (answers + ANSWERS_HALF),
        )
        return np.stack(parts) / rules.weight

    def _due_us(self, columns: Columns) -> NDArray[np.int64]:
        """When each of some rows is worth too little if it is not used before; `NOW` for never."""
        rules = self._rules
        recency, frequency, salience, impact = self._parts(columns, 0)  # as if each were used just now
        left = rules.prune_below - frequency - impact
        never = left <= 0
        halvings = np.log2(np.maximum((recency + salience) / np.where(never, 1, left), 1))
        due_us = columns["used_us"] + (halvings * rules.half_life_days * DAY_US).astype(np.int64) + 1
        return np.where(never, NOW, due_us)

    def _note_prune(self, row: int) -> None:
        if self._rules.prune_below and not self._columns["pinned"][row]:
            due_us = int(self._due_us(self._columns[row : row + 1])[0])
            self.prune_due_us = min(self.prune_due_us, max(due_us, self._look_us))

    def _worths(self, rows: NDArray[np.int64], parts: Scores) -> list[tuple[str, Worth]]:
        found = []
        for row in rows.tolist():
            recency, frequency, salience, impact = parts[:, row].tolist()
            worth = Worth(recency + frequency + salience + impact, recency, frequency, salience, impact)
            found.append((self._ids[row], worth))
        return found


def _least(scores: Scores, count: int) -> NDArray[np.int64]:
    """Returns the places of the `count` lowest scores, the lowest first, of equal ones the first first."""
    if not 0 < count < len(scores):
        return np.argsort(scores, kind="stable")[: max(0, count)]
    highest = np.partition(scores, count - 1)[count - 1]
    places = np.flatnonzero(scores <= highest)
    return places[np.argsort(scores[places], kind="stable")][:count]

"""Vectors under ids, in named collections of one dimension, metric and embedding model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.filters import Predicate
from memraft_server.projections.notes import COLLECTION, VECTOR, Notes
from memraft_server.projections.rows import ROW_BYTES, RowStore
from memraft_server.projections.usage import Usage
from memraft_server.projections.vector_math import Floats, Rows

VERDICTS_MAX = 16
"""Filters a collection keeps the verdicts of: one byte a row each."""

UNJUDGED_CHEAP = 256
"""Rows without a verdict that may be judged while a search waits for all of them."""

COLLECTION_BYTES = 2048
"""What a collection takes beside its rows."""

JUDGED_TOGETHER = 256
"""Rows whose metadata is decoded at a time."""

UNKNOWN, PASSES, FAILS = 0, 1, 2


class Verdicts:
    """Which rows pass one filter, found out when asked and then kept: a row's metadata never changes.

    Args:
        predicate: The filter.
        metadatas: The metadata of every row as JSON text, empty for none; may grow.
    """

    __slots__ = ("_judged", "_metadatas", "_predicate", "_states")

    def __init__(self, predicate: Predicate, metadatas: Sequence[bytes]) -> None:
        self._predicate = predicate
        self._metadatas = metadatas
        self._states = np.zeros(len(metadatas), np.uint8)
        self._judged = 0

    def check(self, rows: Rows) -> NDArray[np.bool_]:
        """Says of each of these rows whether it passes."""
        self._reach(len(self._metadatas))
        unknown = rows[self._states[rows] == UNKNOWN]
        if len(unknown):
            self._judge(unknown)
        return np.equal(self._states[rows], PASSES)

    def matching(self, count: int) -> Rows:
        """Returns those of the first `count` rows that pass, ascending."""
        if self._judged < count:
            self.check(np.arange(self._judged, count))
            self._judged = count
        return np.flatnonzero(self._states[:count] == PASSES)

    def is_complete(self) -> bool:
        """Whether `matching` is cheap because almost all rows were judged before."""
        return len(self._metadatas) - self._judged <= UNJUDGED_CHEAP

    def _reach(self, count: int) -> None:
        missing = count - len(self._states)
        if missing > 0:
            self._states = np.concatenate((self._states, np.zeros(missing + count // 4, np.uint8)))

    def _judge(self, rows: Rows) -> None:
        predicate, metadatas = self._predicate, self._metadatas
        states = bytearray()
        numbers = rows.tolist()
        for start in range(0, len(numbers), JUDGED_TOGETHER):
            texts = [metadatas[row] or b"null" for row in numbers[start : start + JUDGED_TOGETHER]]
            for document in decode_together(texts):
                states.append(PASSES if predicate(document) else FAILS)
        self._states[rows] = np.frombuffer(states, np.uint8)


def decode_together(texts: list[bytes]) -> list[Any]:
    """Decodes JSON texts in one call, which takes half the time of a call for each.

    What is nested more deeply than the interpreter's stack allows counts as None: one such record must not
    keep the others from being searched.
    """
    try:
        documents: list[Any] = msgspec.json.decode(b"[" + b",".join(texts) + b"]")
        return documents
    except RecursionError:
        if len(texts) == 1:
            return [None]
        half = len(texts) // 2
        return decode_together(texts[:half]) + decode_together(texts[half:])


class VerdictCache:
    """The verdicts of the filters used last, by the filter's text."""

    __slots__ = ("_kept", "_metadatas")

    def __init__(self, metadatas: Sequence[bytes]) -> None:
        self._metadatas = metadatas
        self._kept: dict[bytes, Verdicts] = {}

    def get(self, text: bytes, predicate: Predicate) -> Verdicts:
        """Returns the verdicts of the filter `text`, which was compiled to `predicate`."""
        verdicts = self._kept.pop(text, None)
        if verdicts is None:
            verdicts = Verdicts(predicate, self._metadatas)
            if len(self._kept) >= VERDICTS_MAX:
                del self._kept[next(iter(self._kept))]
        self._kept[text] = verdicts
        return verdicts


@dataclass(frozen=True, slots=True)
class Settings:
    """What a collection is made with and never changes."""

    dimension: int
    metric: int
    fingerprint: str


class Collection:
    """The vectors of one collection, past ones included."""

    __slots__ = (
        "_add", "_ids", "_metadatas", "_prefix", "_row_by_id", "_usage", "_verdicts", "name", "rows",
        "settings", "time_us", "version",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        settings: Settings,
        version: int,
        time_us: int,
        usage: Usage,
        notes: Notes | None = None,
        number: int = 0,
    ) -> None:
        self.name = name
        self._add = notes.add if notes is not None else None
        self._prefix = notes.prefix(VECTOR) + number.to_bytes(4, "big") if notes is not None else b""
        self.settings = settings
        self.version = version
        """The version that created it."""
        self.time_us = time_us
        """When it was created: commit time in microseconds since the epoch."""
        self.rows = RowStore(settings.dimension, settings.metric)
        self._usage = usage
        self._ids: list[str] = []
        self._metadatas: list[bytes] = []
        self._row_by_id: dict[str, int] = {}
        self._verdicts = VerdictCache(self._metadatas)

    def upsert(self, id: str, vector: Floats, metadata: bytes, version: int) -> bool:
        """Stores one vector of shape (dimension,); returns whether it replaced one."""
        if self._add is not None:
            self._add((self._prefix, version, id, metadata, vector))
        row = self.rows.append_one(vector, version)
        return self._place(id, row, metadata, version)

    def upsert_many(
        self, ids: Sequence[str], vectors: Floats, metadatas: Sequence[bytes], first_version: int
    ) -> None:
        """Stores vectors of shape (n, dimension) at consecutive versions; of equal ids the last one stays."""
        row = self.rows.append(vectors, first_version)
        for i, id in enumerate(ids):
            if self._add is not None:
                metadata = metadatas[i] if metadatas else b""
                self._add((self._prefix, first_version + i, id, metadata, vectors[i]))
            self._place(id, row + i, metadatas[i] if metadatas else b"", first_version + i)

    def delete(self, id: str, version: int) -> bool:
        """Deletes a vector; returns whether there was one."""
        row = self._row_by_id.pop(id, None)
        if row is None:
            return False
        self._kill(row, version)
        self._usage.vectors -= 1
        self._usage.records -= 1
        return True

    def restore(
        self,
        ids: list[str],
        vectors: Floats,
        metadatas: list[bytes],
        born: Rows,
        died: Sequence[tuple[int, int]],
    ) -> None:
        """Takes rows as they once were stored, in the same order.

        Args:
            ids: Of each row.
            vectors: Shape (n, dimension).
            metadatas: Of each row.
            born: The version of each row, ascending.
            died: (row number, version) of those that died; the row is one of these or the one before them.
        """
        first = self.rows.restore(vectors, born)
        row_by_id = self._row_by_id
        for row, id in enumerate(ids, first):
            row_by_id[id] = row
        self._ids += ids
        self._metadatas += metadatas
        usage = self._usage
        usage.bytes += (4 * self.settings.dimension + ROW_BYTES) * len(ids)
        usage.bytes += sum(map(len, ids)) + sum(map(len, metadatas))
        usage.vectors += len(ids) - len(died)
        usage.records += len(ids) - len(died)
        for row, version in died:
            self.rows.kill(row, version)
            if row_by_id.get(self._ids[row]) == row:
                del row_by_id[self._ids[row]]

    def count_alive(self, ceiling: int | None) -> int:
        """Returns how many vectors it has now (None) or had as of version `ceiling`."""
        return self.rows.count_alive(ceiling)

    def search(
        self, vector: Floats, k: int, ceiling: int | None, filter_text: bytes, predicate: Predicate | None
    ) -> tuple[list[str], list[float], list[bytes], list[int]]:
        """Finds the nearest vectors.

        Args:
            vector: Shape (dimension,), finite.
            k: How many at most.
            ceiling: None for now, else the highest version to see.
            filter_text: The filter; verdicts are kept under it.
            predicate: The compiled filter, or None for none.

        Returns:
            (ids, scores, metadatas, versions), best first.
        """
        accept = self._verdicts.get(filter_text, predicate) if predicate is not None else None
        rows, scores = self.rows.search(vector, k, ceiling, None, accept)
        ids, metadatas = self._ids, self._metadatas
        return [ids[r] for r in rows], scores, [metadatas[r] for r in rows], self.rows.versions(rows)

    def _place(self, id: str, row: int, metadata: bytes, version: int) -> bool:
        old = self._row_by_id.get(id)
        if old is None:
            self._usage.vectors += 1
            self._usage.records += 1
        else:
            id = self._ids[old]  # one object for an id, however often it is replaced
            self._kill(old, version)
        self._row_by_id[id] = row
        self._ids.append(id)
        self._metadatas.append(metadata)
        self._usage.bytes += 4 * self.settings.dimension + ROW_BYTES + len(id) + len(metadata)
        return old is not None

    def _kill(self, row: int, version: int) -> None:
        if self._add is not None:
            self._add((self._prefix, self.rows.born(row), version))
        self.rows.kill(row, version)


class VectorStore:
    """The collections of one namespace."""

    __slots__ = ("_by_number", "_collections", "_notes", "_usage")

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self._usage = usage
        self._notes = notes
        self._by_number: list[Collection] = []
        self._collections: dict[str, Collection] = {}

    def create(self, name: str, settings: Settings, version: int, time_us: int) -> Collection:
        """Creates a collection under a name that `get` does not know."""
        self._usage.bytes += COLLECTION_BYTES
        notes, number = self._notes, len(self._by_number)
        collection = Collection(name, settings, version, time_us, self._usage, notes, number)
        self._collections[name] = collection
        self._by_number.append(collection)
        if notes is not None:
            notes.add((notes.prefix(COLLECTION), number, collection))
        return collection

    def numbered(self, number: int) -> Collection:
        """Returns the collection that was created as number `number`, from 0. Raises IndexError."""
        return self._by_number[number]

    def get(self, name: str, ceiling: int | None = None) -> Collection | None:
        """Returns the collection if it exists now (None), or existed as of version `ceiling`."""
        collection = self._collections.get(name)
        if collection is None or (ceiling is not None and collection.version > ceiling):
            return None
        return collection

    def all(self, ceiling: int | None = None) -> list[Collection]:
        """Returns the collections that exist now (None), or existed as of version `ceiling`, by name."""
        found: list[Any] = [self.get(name, ceiling) for name in sorted(self._collections)]
        return [collection for collection in found if collection is not None]

"""Vectors under ids, in named collections of one dimension, metric and embedding model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from struct import Struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.filters import Predicate
from memraft_server.projections.notes import COLLECTION, VECTOR, Notes
from memraft_server.projections.rows import ROW_BYTES, RowStore
from memraft_server.projections.usage import Usage
from memraft_server.projections.vector_math import Floats, Rows
from memraft_server.projections.versions import NOW

VERDICTS_MAX = 16
"""Filters a collection keeps the verdicts of: one byte a row each."""

UNJUDGED_CHEAP = 256
"""Rows without a verdict that may be judged while a search waits for all of them."""

COLLECTION_BYTES = 2048
"""What a collection takes beside its rows."""

JUDGED_TOGETHER = 256
"""Rows whose metadata is decoded at a time."""

UNKNOWN, PASSES, FAILS = 0, 1, 2
_one, _two = Struct(">Q").pack, Struct(">QQ").pack


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


Matches = tuple[list[str], list[float], list[bytes], list[int]]
"""(ids, scores, metadatas, versions), best first."""


def _score_of(match: tuple[str, float, bytes, int]) -> float:
    return match[1]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a collection is made with and never changes."""

    dimension: int
    metric: int
    fingerprint: str


class Collection:
    """The vectors of one collection, past ones included."""

    __slots__ = (
        "_add", "_base", "_delete", "_ended", "_given", "_ids", "_metadatas", "_parent", "_past_rows",
        "_prefix",
        "_row_by_id", "_usage", "_verdicts", "name", "rows", "settings", "time_us", "version",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        settings: Settings,
        version: int,
        time_us: int,
        usage: Usage,
        notes: Notes | None = None,
        parent: Collection | None = None,
    ) -> None:
        self.name = name
        self._add = notes.add if notes is not None else None
        self._delete = notes.delete if notes is not None else None
        self._base = notes.base if notes is not None else 0
        self._parent = parent
        """Of a fork: the collection that it goes back to, as of `_base`."""
        self._ended: dict[str, int] = {}
        """Of a fork: id of a vector of its parent -> the version at which it ended here."""
        self._prefix = b""
        is_forked = notes is not None and notes.parent is not None
        self._given: dict[int, Floats] | None = {} if is_forked else None
        """Of a fork: version -> the vector as it was given, for a merge; rows may be scaled."""
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
        self._past_rows: dict[str, list[int]] = {}
        """Rows that died, by id, oldest first."""
        self._verdicts = VerdictCache(self._metadatas)

    def number(self, notes: Notes, number: int) -> None:
        """Makes this the collection number `number` of a namespace: its facts say so from now on."""
        self._prefix = notes.prefix(VECTOR) + number.to_bytes(4, "big")
        if notes.add is not None:
            notes.add((notes.prefix(COLLECTION), number, self))

    def upsert(self, id: str, vector: Floats, metadata: bytes, version: int) -> bool:
        """Stores one vector of shape (dimension,); returns whether it replaced one."""
        if self._add is not None:
            self._add((self._prefix, version, id, metadata, vector))
        if self._given is not None:
            self._given[version] = vector
        row = self.rows.append_one(vector, version)
        return self._place(id, row, metadata, version)

    def upsert_many(
        self, ids: Sequence[str], vectors: Floats, metadatas: Sequence[bytes], first_version: int
    ) -> None:
        """Stores vectors of shape (n, dimension) at consecutive versions; of equal ids the last one stays."""
        row = self.rows.append(vectors, first_version)
        for i, id in enumerate(ids):
            if self._given is not None:
                self._given[first_version + i] = vectors[i]
            if self._add is not None:
                metadata = metadatas[i] if metadatas else b""
                self._add((self._prefix, first_version + i, id, metadata, vectors[i]))
            self._place(id, row + i, metadatas[i] if metadatas else b"", first_version + i)

    def delete(self, id: str, version: int) -> bool:
        """Deletes a vector; returns whether there was one."""
        row = self._row_by_id.pop(id, None)
        if row is None:
            return self._end_inherited(id, version)
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
        if self._given is not None:
            self._given.update(zip(born.tolist(), vectors, strict=True))
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
            id = self._ids[row]
            self.rows.kill(row, version)
            self._past_rows.setdefault(id, []).append(row)
            if row_by_id.get(id) == row:
                del row_by_id[id]

    def restore_end(self, born: int, died: int) -> None:
        """Ends, at `died`, the vector of version `born` that a fork has of its parent. Raises LookupError."""
        if self._parent is None or not self._end_inherited(self._parent.id_of(born), died):
            raise LookupError(f"the parent has no vector of version {born} to end")

    def row_at(self, id: str, ceiling: int) -> int | None:
        """Returns the version of the vector with this id as of `ceiling`, None where there was none."""
        rows = self._past_rows.get(id, ())
        now = self._row_by_id.get(id)
        for row in [*reversed(rows)] if now is None else [now, *reversed(rows)]:
            if self.rows.born(row) <= ceiling:
                return self.rows.born(row) if self.rows.died(row) > ceiling else None
        if self._parent is None or self._ended.get(id, NOW) <= ceiling:
            return None
        return self._parent.row_at(id, min(ceiling, self._base))

    def changed(self, low: int, high: int) -> Iterator[str]:
        """Yields the ids of the vectors that were stored, replaced or deleted here above version `low` and up
        to `high`; some may come twice."""
        for row in self.rows.changed(low, high):
            yield self._ids[row]
        for id, died in self._ended.items():
            if low < died <= high:
                yield id

    def ids_ended(self) -> list[str]:
        """Returns the ids of which something ended here and is kept."""
        return list(self._past_rows)

    def count_ended(self, id: str) -> int:
        """Returns how much of what stood under an id ended here and is kept."""
        return len(self._past_rows.get(id, ()))

    def ended_of(self, id: str, count_max: int) -> list[int]:
        """Returns the first `count_max` versions at which what stood under an id ended here, oldest first."""
        return [self.rows.died(row) for row in islice(self._past_rows.get(id, ()), count_max)]

    def is_there(self, id: str) -> bool:
        """Whether there is a vector with this id now that was stored here."""
        return id in self._row_by_id

    def trim(self, id: str, through: int, pin: int) -> tuple[int, int]:
        """Forgets for ever what stood under an id and ended up to version `through`; see `versions`.

        What the components take in memory comes free when the machine is loaded again.
        """
        rows, past = self.rows, self._past_rows.get(id, [])
        gone = list(takewhile(lambda row: rows.died(row) <= min(through, pin), past))
        if not gone:
            return 0, 0
        del past[: len(gone)]
        if not past:
            del self._past_rows[id]
        keys: list[bytes] = []
        for row in gone:
            born, died = rows.born(row), rows.died(row)
            keys += (self._prefix + _one(born), self._prefix + _two(born, died))
            self._usage.bytes -= 4 * self.settings.dimension + ROW_BYTES + len(id) + len(self._metadatas[row])
            self._metadatas[row] = b""
        if self._delete is not None:
            self._delete(keys)
        return len(gone), rows.died(gone[-1])

    def content_of(self, version: int) -> tuple[bytes, Floats]:
        """Returns the metadata of the vector of `version`, and its components as searches see them: scaled to
        length one where the metric is the cosine."""
        if self._parent is not None and version <= self._base:
            return self._parent.content_of(version)
        row = self.rows.row_of(version)
        return self._metadatas[row], self.rows.vector(row)

    def given(self, version: int) -> tuple[bytes, Floats]:
        """Returns the metadata and the components of a vector of a fork, which was stored in it."""
        if self._given is None:
            raise LookupError(f"collection {self.name!r} is not of a fork")
        return self._metadatas[self.rows.row_of(version)], self._given[version]

    def id_of(self, version: int) -> str:
        """Returns the id of the vector of `version`. Raises LookupError."""
        if self._parent is not None and version <= self._base:
            return self._parent.id_of(version)
        return self._ids[self.rows.row_of(version)]

    def count_alive(self, ceiling: int | None) -> int:
        """Returns how many vectors it has now (None) or had as of version `ceiling`."""
        count = self.rows.count_alive(ceiling)
        if self._parent is None:
            return count
        seen = NOW if ceiling is None else ceiling
        ended = sum(died <= seen for died in self._ended.values())
        return count + self._parent.count_alive(min(seen, self._base)) - ended

    def search(
        self, vector: Floats, k: int, ceiling: int | None, filter_text: bytes, predicate: Predicate | None
    ) -> Matches:
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
        own = [ids[r] for r in rows], scores, [metadatas[r] for r in rows], self.rows.versions(rows)
        if self._parent is None:
            return own
        seen = NOW if ceiling is None else ceiling
        ended = {id for id, died in self._ended.items() if died <= seen}
        base = min(seen, self._base)
        # As many more as ended here: so `k` of the others are among them, if there are so many.
        older = self._parent.search(vector, k + len(ended), base, filter_text, predicate)
        both = [each for each in zip(*older, strict=True) if each[0] not in ended]
        both += zip(*own, strict=True)
        both.sort(key=_score_of, reverse=True)  # stable: of equal scores the older vector first
        return (
            [each[0] for each in both[:k]],
            [each[1] for each in both[:k]],
            [each[2] for each in both[:k]],
            [each[3] for each in both[:k]],
        )

    def _place(self, id: str, row: int, metadata: bytes, version: int) -> bool:
        old = self._row_by_id.get(id)
        is_replaced = old is not None
        if old is None:
            is_replaced = self._end_inherited(id, version)
            self._usage.vectors += 1
            self._usage.records += 1
        else:
            id = self._ids[old]  # one object for an id, however often it is replaced
            self._kill(old, version)
        self._row_by_id[id] = row
        self._ids.append(id)
        self._metadatas.append(metadata)
        self._usage.bytes += 4 * self.settings.dimension + ROW_BYTES + len(id) + len(metadata)
        return is_replaced

    def _kill(self, row: int, version: int) -> None:
        if self._add is not None:
            self._add((self._prefix, self.rows.born(row), version))
        self.rows.kill(row, version)
        past = self._past_rows.get(self._ids[row])
        if past is None:
            self._past_rows[self._ids[row]] = [row]
        else:
            past.append(row)

    def _end_inherited(self, id: str, version: int) -> bool:
        """Ends here a vector that a fork has of its parent, if it lives; returns whether it did."""
        if self._parent is None or id in self._ended:
            return False
        born = self._parent.row_at(id, self._base)
        if born is None:
            return False
        self._ended[id] = version
        if self._add is not None:
            self._add((self._prefix, born, version))
        self._usage.bytes += ROW_BYTES
        return True


class VectorStore:
    """The collections of one namespace. A fork goes on with those of its parent under the same names."""

    __slots__ = ("_by_number", "_collections", "_inherited", "_notes", "_parent", "_usage")

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self._usage = usage
        self._notes = notes
        self._by_number: list[Collection] = []
        self._collections: dict[str, Collection] = {}
        self._inherited: dict[str, Collection] = {}
        """Of a fork: those of the parent's that were read here, and not written to."""
        self._parent: VectorStore | None = notes.join(COLLECTION, self) if notes is not None else None

    def create(self, name: str, settings: Settings, version: int, time_us: int) -> Collection:
        """Creates a collection under a name that `get` does not know. The loader also creates so what a fork
        added to one of its parent's, of the same version."""
        inherited = self._of_parent(name)
        if inherited is not None:
            return self.own(inherited)
        return self._take(Collection(name, settings, version, time_us, self._usage, self._notes))

    def own(self, collection: Collection) -> Collection:
        """Returns a collection that `get` gave, to write to it."""
        if self._inherited.pop(collection.name, None) is None:
            return collection
        return self._take(collection)

    def _take(self, collection: Collection) -> Collection:
        self._usage.bytes += COLLECTION_BYTES
        if self._notes is not None:
            collection.number(self._notes, len(self._by_number))
        self._collections[collection.name] = collection
        self._by_number.append(collection)
        return collection

    def _of_parent(self, name: str) -> Collection | None:
        """The part that a fork has of one of its parent's collections, if that was there when it was made."""
        if self._parent is None or self._notes is None:
            return None
        found = self._inherited.get(name)
        parent = self._parent.get(name, self._notes.base) if found is None else None
        if parent is not None:
            found = self._inherited[name] = Collection(
                name, parent.settings, parent.version, parent.time_us, self._usage, self._notes, parent
            )
        return found

    def names(self) -> list[str]:
        """Returns the names of the collections that were written to here."""
        return list(self._collections)

    def numbered(self, number: int) -> Collection:
        """Returns the collection that was created as number `number`, from 0. Raises IndexError."""
        return self._by_number[number]

    def get(self, name: str, ceiling: int | None = None) -> Collection | None:
        """Returns the collection if it exists now (None), or existed as of version `ceiling`."""
        collection = self._collections.get(name) or self._of_parent(name)
        if collection is None or (ceiling is not None and collection.version > ceiling):
            return None
        return collection

    def all(self, ceiling: int | None = None) -> list[Collection]:
        """Returns the collections that exist now (None), or existed as of version `ceiling`, by name."""
        names = dict.fromkeys(self._collections)
        if self._parent is not None and self._notes is not None:
            names.update(dict.fromkeys(each.name for each in self._parent.all(self._notes.base)))
        found = [self.get(name, ceiling) for name in sorted(names)]
        return [collection for collection in found if collection is not None]

"""What one model made of the memories of a store: their embeddings, each beside the row of its memory."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.rows import COSINE, Accept, RowStore
from memraft_server.projections.vector_math import Floats, Rows

NO_VECTOR = -1

CHANGED_MAX = 1_024
"""Rows that are noted as changed; of more nothing is known."""


class Translated:
    """A verdict on rows as one on vectors.

    Args:
        accept: The verdict on rows.
        embedded: The vectors.
        count: Of rows.
    """

    __slots__ = ("_accept", "_count", "_embedded")

    def __init__(self, accept: Accept, embedded: Embedded, count: int) -> None:
        self._accept = accept
        self._embedded = embedded
        self._count = count

    def check(self, vectors: Rows) -> NDArray[np.bool_]:
        return self._accept.check(self._embedded.of_vectors(vectors))

    def matching(self, count: int) -> Rows:
        vectors = self._embedded.vectors_of(self._accept.matching(self._count))
        return vectors[vectors < count]

    def is_complete(self) -> bool:
        return self._accept.is_complete()


class Embedded:
    """The embeddings by one model, past ones included. A row is the place of a memory's version among all.

    Args:
        dimension: Of each.
        keeps_given: They are kept as they were given, too: vectors are scaled to length one.
    """

    __slots__ = (
        "_given", "_is_ordered", "_row_of", "_vector_of", "changed", "is_open", "lengths", "vectors",
    )  # fmt: skip

    def __init__(self, dimension: int, keeps_given: bool) -> None:
        self.vectors = RowStore(dimension, COSINE)
        self.is_open = True
        """Whether the model is in use now: what is written by it counts, and is searched for."""
        self._given: dict[int, Floats] | None = {} if keeps_given else None
        self._row_of = array("i")
        self._vector_of = array("i")
        self._is_ordered = True
        self.lengths: Floats = np.empty(0, np.float32)
        """Of the means of windows, of each row; kept by `recall.lengths`."""
        self.changed: list[int] | None = None
        """The rows whose vectors have come or gone since these were found; None: any may have."""

    def add(self, row: int, embedding: Floats, born: int) -> int:
        """Takes what was made of a row that has none yet; returns the number of its vector.

        Args:
            row: Of the memory.
            embedding: Shape (dimension,), finite.
            born: The version that wrote it, not before the memory's own.
        """
        vector = self.vectors.append_one(embedding, born)
        if self._row_of and row < self._row_of[-1]:
            self._is_ordered = False
        self._row_of.append(row)
        self._reach(row + 1)
        self._vector_of[row] = vector
        self._note(row)
        if self._given is not None:
            self._given[vector] = embedding
        return vector

    def number(self, row: int) -> int:
        """Returns the number of a row's vector, or `NO_VECTOR`."""
        return self._vector_of[row] if row < len(self._vector_of) else NO_VECTOR

    def kill(self, row: int, version: int) -> bool:
        """Its memory ended at `version`; returns whether the row has a vector."""
        vector = self.number(row)
        if vector == NO_VECTOR:
            return False
        self.vectors.kill(vector, version)
        self._note(row)
        return True

    def embedding(self, row: int) -> Floats | None:
        """Returns what was made of a row, perhaps scaled to length one; None where nothing was."""
        vector = self.number(row)
        if vector == NO_VECTOR:
            return None
        return self.vectors.vector(vector) if self._given is None else self._given[vector]

    def rows_of(self, vectors: list[int]) -> list[int]:
        """As `of_vectors`, quicker for a few."""
        row_of = self._row_of
        return [row_of[vector] for vector in vectors]

    def of_vectors(self, vectors: Rows) -> Rows:
        """Returns the row of each of these vectors."""
        rows: Rows = np.frombuffer(self._row_of, np.int32)[vectors].astype(np.int64)
        return rows

    def vectors_of(self, rows: Rows) -> Rows:
        """Returns the vectors of those of these rows (ascending) that have one, ascending."""
        numbers = self._numbers(rows)
        numbers = numbers[numbers != NO_VECTOR]
        return numbers if self._is_ordered else np.sort(numbers)

    def embeddings(self, rows: Rows) -> Floats:
        """Returns the vectors of rows, of unit length, zeros where there is none: shape (rows, dimension).

        Args:
            rows: Ascending.
        """
        numbers = self._numbers(rows)
        has = numbers != NO_VECTOR
        if has.all() and len(rows) and self._is_ordered:
            return self.vectors.read(numbers)
        found = np.zeros((len(rows), self.vectors.dimension), np.float32)
        if has.any():
            order = np.argsort(numbers[has])
            part = np.empty((len(order), self.vectors.dimension), np.float32)
            part[order] = self.vectors.read(numbers[has][order])
            found[has] = part
        return found

    def nearest(
        self, embedding: Floats, k: int, ceiling: int, allowed: NDArray[np.bool_] | Accept | None
    ) -> Rows:
        """Returns the rows nearest to a query, best first.

        Args:
            embedding: Shape (dimension,), finite.
            k: How many at most.
            ceiling: As of this version.
            allowed: Per row, whether it may be found, or what says so of rows; None for all.
        """
        among, accept = None, None
        if isinstance(allowed, np.ndarray):
            among = self.vectors_of(np.flatnonzero(allowed))
        elif allowed is not None:
            accept = Translated(allowed, self, len(self._vector_of))
        found, _ = self.vectors.search(embedding, k, ceiling, among, accept)
        return self.of_vectors(np.array(found, np.int64))

    def _note(self, row: int) -> None:
        changed = self.changed
        if changed is not None:
            if len(changed) < CHANGED_MAX:
                changed.append(row)
            else:
                self.changed = None

    def _numbers(self, rows: Rows) -> Rows:
        """Returns the number of each row's vector, or `NO_VECTOR`."""
        if len(rows):
            self._reach(int(rows[-1]) + 1)
        numbers: Rows = np.frombuffer(self._vector_of, np.int32)[rows].astype(np.int64)
        return numbers

    def _reach(self, count: int) -> None:
        missing = count - len(self._vector_of)
        if missing > 0:
            self._vector_of.extend(array("i", [NO_VECTOR]) * missing)

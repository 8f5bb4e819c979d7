"""By what the memories of one store are found beside their ids and their texts: embeddings, and what filters
ask for.

A row is the place of a memory's version in the order in which they came: each has one, also without an
embedding. Of the rows that have one, the vectors stand in a `RowStore`, numbered by themselves.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.embedded import Embedded, Translated
from memraft_server.projections.filters import Predicate
from memraft_server.projections.rows import Accept
from memraft_server.projections.validity import Bounds
from memraft_server.projections.vector_math import Floats, Rows
from memraft_server.projections.vectors import VerdictCache

if TYPE_CHECKING:
    from memraft_server.projections.memories import Remembered


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which memories a query may find.

    Attributes:
        abouts: Only those about one of these entities, each named once; None: all.
        kind: Only those of this kind; empty: all.
        filter_text: The filter of the metadata; verdicts are kept under it.
        predicate: The compiled filter, or None for none.
        valid_at_us: Only those that are true in the world at this moment; None: whenever.
    """

    abouts: Sequence[str] | None = None
    kind: str = ""
    filter_text: bytes = b""
    predicate: Predicate | None = None
    valid_at_us: int | None = None


WANTED_ALL = Wanted()

JUDGED_MAX = 10_000
"""Rows that a search judges by a filter of metadata before it looks for the best: it takes about 10 ms. Of
more it looks for the best first, and judges these."""


class _Metadatas(Sequence[bytes]):
    """The metadata of each row."""

    __slots__ = ("_items",)

    def __init__(self, items: list[Remembered]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, row: int) -> bytes:  # type: ignore[override]
        return self._items[row].metadata


class Unjudged:
    """Which rows a query may find, of so many that each is judged only when it is looked at: a `text.Judge`,
    and an `Accept`.

    Args:
        accept: What they have to pass.
        count: Of rows.
        gone: Rows that may not be found.
    """

    __slots__ = ("_accept", "_count", "_gone")

    def __init__(self, accept: Accept, count: int, gone: Rows) -> None:
        self._accept = accept
        self._count = count
        self._gone = gone

    def without(self, rows: Rows) -> Unjudged:
        """Returns the same without these rows."""
        return Unjudged(self._accept, self._count, rows)

    def __getitem__(self, rows: Rows, /) -> NDArray[np.bool_]:
        passes = self._accept.check(rows)
        return passes & ~np.isin(rows, self._gone) if len(self._gone) else passes

    def whole(self) -> NDArray[np.bool_]:
        mask = np.zeros(self._count, np.bool_)
        mask[self._accept.matching(self._count)] = True
        mask[self._gone] = False
        return mask

    check = __getitem__

    def matching(self, count: int) -> Rows:
        return np.flatnonzero(self.whole()[:count])

    def is_complete(self) -> bool:
        return self._accept.is_complete()


class MemoryRows:
    """See the module.

    Args:
        items: The memories, one a row; who has them appends to them.
    """

    __slots__ = ("_about", "_bounds", "_items", "_kinds", "_verdicts", "embedded", "is_about")

    def __init__(self, items: list[Remembered]) -> None:
        self.embedded: dict[int, Embedded] = {}
        """The version at which the move to a model began, 0 for the first -> the embeddings by it, once there
        is one."""
        self._items = items
        self._about: dict[str, array[int]] = {}
        self.is_about: Callable[[str], bool] = self._about.__contains__
        """Whether any row is about this entity."""
        self._kinds: dict[str, array[int]] = {}
        self._verdicts = VerdictCache(_Metadatas(items))
        self._bounds = Bounds()

    def add(self, item: Remembered) -> None:
        """Takes the memory that was appended to the items."""
        row = len(self._items) - 1
        if item.about:
            self._about.setdefault(item.about, array("i")).append(row)
        if item.kind:
            self._kinds.setdefault(item.kind, array("i")).append(row)
        self._bounds.add(row, item.valid_from_us, item.valid_until_us)

    def about(self, entity: str) -> array[int]:
        """Returns the rows about an entity, ascending."""
        return self._about.get(entity, array("i"))

    @property
    def is_about_any(self) -> bool:
        """Whether any row is about an entity."""
        return bool(self._about)

    def of_kind(self, kind: str) -> array[int]:
        """Returns the rows of a kind, ascending."""
        return self._kinds.get(kind, array("i"))

    def starting(self, start_us: int, end_us: int, count_max: int) -> Rows:
        """Returns the last `count_max` rows that become true in the world in a span of time, ascending."""
        return self._bounds.starting(start_us, end_us, count_max)

    def search(
        self, model: int, embedding: Floats, k: int, ceiling: int | None, wanted: Wanted
    ) -> tuple[list[int], list[float]]:
        """Finds the nearest: (rows, cosines), best first, of equal ones the older first; see `RowStore`.

        Args:
            model: What made the embedding, as in `embedded`.
            embedding: Shape (dimension,), finite.
            k: How many at most.
            ceiling: None for now, else the highest version to see.
            wanted: Which it may find.
        """
        embedded = self.embedded.get(model)
        if embedded is None:
            return [], []
        accept = self._accepts(wanted)
        among = self._among(wanted)
        found, scores = embedded.vectors.search(
            embedding,
            k,
            ceiling,
            embedded.vectors_of(among) if among is not None else None,
            Translated(accept, embedded, len(self._items)) if accept is not None else None,
        )
        return embedded.rows_of(found), scores

    def allowed(self, wanted: Wanted) -> NDArray[np.bool_] | Unjudged | None:
        """Says of each row whether a query may find it; None: it may find all."""
        count = len(self._items)
        among, accept = self._among(wanted), self._accepts(wanted)
        if accept is not None and among is None and count > JUDGED_MAX and wanted.predicate is not None:
            if not accept.is_complete():
                return Unjudged(accept, count, np.empty(0, np.int64))
        if accept is not None:
            among = accept.matching(count) if among is None else among[accept.check(among)]
        if among is None:
            return None
        mask = np.zeros(count, np.bool_)
        mask[among] = True
        return mask

    def _accepts(self, wanted: Wanted) -> Accept | None:
        accept: Accept | None = None
        if wanted.predicate is not None:
            accept = self._verdicts.get(wanted.filter_text, wanted.predicate)
        if wanted.valid_at_us is not None:
            accept = self._bounds.at(wanted.valid_at_us, accept)
        return accept

    def _among(self, wanted: Wanted) -> Rows | None:
        """Returns the rows about some entities and of a kind, ascending, or None for all."""
        chosen = []
        if wanted.abouts is not None:
            rows = array("i")
            for about in wanted.abouts:
                rows.extend(self._about.get(about, ()))
            chosen.append(np.sort(np.array(rows, np.int64)))
        if wanted.kind:
            chosen.append(np.array(self._kinds.get(wanted.kind, ()), np.int64))
        if len(chosen) == 2:
            return np.intersect1d(chosen[0], chosen[1], assume_unique=True)
        return chosen[0] if chosen else None

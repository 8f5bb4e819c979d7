"""Sealed segments of a vector index: hnswlib graphs over rows that no longer change.

A graph is built beside the store, never in it: a job holds the rows it needs (they are append-only, so
holding their arrays is a snapshot), `IndexJob.run` builds in any thread with the GIL released, and
`IndexJob.install` swaps the result in on the thread that owns the store. Nothing ever adds to a graph that is
being searched, because hnswlib does not allow that: a small graph grows by being copied and added to, a big
one gets a sibling.

Without hnswlib (it is built from source where it is installed) there are no jobs and search stays exact.

Source of the algorithm: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
Hierarchical Navigable Small World graphs" (2016).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.vector_math import Floats, Rows

LINKS = 12
"""M: links of a row on the upper layers; twice that on the lowest. Every link followed costs a comparison:
with 16 a search that finds as much takes a fifth longer."""

CONSTRUCTION_EF = 100
"""Candidates looked at while a row is linked: 0.12 ms a row among 10,000 of 384 dimensions, 0.34 among
100,000. With 200 it takes twice as long, and a search that finds as much is no quicker."""

EF_LADDER = (16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384)
"""Candidates a search may look at: a segment takes the first step that reaches `RECALL_GOAL`."""

RECALL_GOAL = 0.97
"""What of the ten nearest a segment finds for sample queries."""

SAMPLES = 100
NEIGHBOURS = 10

BLOCK_ROWS = 1024
"""Rows added at a time: between two blocks the GIL is taken and given back."""


def load_hnswlib() -> ModuleType | None:
    """Returns the module hnswlib, or None where it is not installed."""
    try:
        import hnswlib
    except ImportError:
        return None
    return hnswlib  # type: ignore[no-any-return]


@dataclass(slots=True)
class Segment:
    """A graph over some rows. Its labels are row numbers of the store.

    Attributes:
        graph: The hnswlib index; None where there are no rows in it.
        labels: The rows in it, ascending.
        start: The first row of the range it was built from.
        stop: The row after that range. Rows of it that were dead when it was built are not in the graph.
        ef: Candidates a search for ten looks at.
        recall: What of the ten nearest it found for sample queries with `ef`.
        dead: How many of its rows have died since.
    """

    graph: Any
    labels: Rows
    start: int
    stop: int
    ef: int
    recall: float
    dead: int = 0

    @property
    def count(self) -> int:
        """Rows in the graph, dead ones included."""
        return len(self.labels)

    def nearest(self, query: Floats, k: int) -> tuple[NDArray[np.uint64], Floats] | None:
        """Returns (rows, distances), nearest first, or None where the graph does not reach `k` rows.

        Only on the thread that owns the store: the number of candidates is a property of the graph.
        """
        self.graph.set_ef(max(self.ef, k + (k >> 1)))
        try:
            labels, distances = self.graph.knn_query(query, k, 1)
        except RuntimeError:  # what hnswlib says when fewer than k rows could be reached
            return None
        return labels[0], distances[0]


class IndexJob:
    """One segment to build. Made, installed or abandoned by the store's owner; run by any one thread.

    Args:
        space: hnswlib's name of the distance: `ip` or `l2`.
        read: Copies rows (ascending row numbers) out of arrays that no one writes to below those rows.
        labels: The live rows to index, ascending.
        base: A segment to copy and add to, or None. `labels` are then the rows to add.
        bounds: The range of rows that the new segment answers for: (start, stop).
        finish: Called by `install` with the segment, and by `abandon` with None.
    """

    __slots__ = ("_base", "_bounds", "_dimension", "_finish", "_labels", "_read", "_space", "segment")

    def __init__(
        self,
        space: str,
        dimension: int,
        read: Callable[[Rows], Floats],
        labels: Rows,
        base: Segment | None,
        bounds: tuple[int, int],
        finish: Callable[[Segment | None], None],
    ) -> None:
        self._space = space
        self._dimension = dimension
        self._read = read
        self._labels = labels
        self._base = base
        self._bounds = bounds
        self._finish = finish
        self.segment: Segment | None = None

    def run(self) -> None:
        """Builds the segment: 2 s for 10,000 rows of 384 dimensions, mostly without the GIL."""
        hnswlib = load_hnswlib()
        if hnswlib is None:
            return
        added = self._labels
        if not len(added):  # all rows of the range died: a segment that answers for them with nothing
            self.segment = Segment(None, added, *self._bounds, EF_LADDER[0], 1.0)
            return
        base = self._base
        if base is None:
            labels = added
            graph = hnswlib.Index(self._space, self._dimension)
            graph.init_index(max_elements=len(labels), M=LINKS, ef_construction=CONSTRUCTION_EF)
        else:
            labels = np.concatenate((base.labels, added))
            # As copying and pickling do it: the state makes the object, which must not be initialised before.
            graph = hnswlib.Index.__new__(hnswlib.Index)
            graph.__setstate__(base.graph.__getstate__())
            graph.resize_index(len(labels))
        graph.set_num_threads(1)
        for start in range(0, len(added), BLOCK_ROWS):
            block = added[start : start + BLOCK_ROWS]
            graph.add_items(self._read(block), block, 1)
        ef, recall = self._calibrate(graph, labels)
        self.segment = Segment(graph, labels, *self._bounds, ef, recall)

    def install(self) -> None:
        """Puts the segment into use. On the thread that owns the store, after `run` returned."""
        self._finish(self.segment)

    def abandon(self) -> None:
        """Gives the job up, after `run` raised or instead of it. On the thread that owns the store."""
        self._finish(None)

    def _calibrate(self, graph: Any, labels: Rows) -> tuple[int, float]:
        """Returns the fewest candidates that find enough of the exact answer, and how much that is."""
        samples = self._samples(labels)
        count = min(NEIGHBOURS, len(labels))
        exact = self._exact(samples, labels, count).tolist()
        recall = 0.0
        for ef in EF_LADDER:
            graph.set_ef(ef)
            try:
                found = graph.knn_query(samples, count, 1)[0]
            except RuntimeError:  # the graph reached fewer rows than asked for: look at more
                continue
            hits = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), exact, strict=True))
            recall = hits / (count * len(samples))
            if recall >= RECALL_GOAL:
                return ef, recall
        return EF_LADDER[-1], recall

    def _samples(self, labels: Rows) -> Floats:
        """Returns queries like those that strangers would ask.

        A row of the segment finds itself and its neighbours more easily than a stranger does, so each is
        moved by what another row differs from its nearest neighbour by.
        """
        step = max(1, len(labels) // SAMPLES)
        rows = labels[::step][:SAMPLES]
        vectors = self._read(rows)
        nearest = self._exact(vectors, labels, min(2, len(labels)))[:, -1]
        others = np.concatenate([self._read(nearest[i : i + 1]) for i in range(len(nearest))])
        with np.errstate(all="ignore"):
            moved: Floats = vectors + np.roll(vectors - others, 1, axis=0) * np.float32(0.7)
            return np.nan_to_num(moved)

    def _exact(self, samples: Floats, labels: Rows, count: int) -> Rows:
        """Returns the row numbers of the `count` nearest of each sample, shape (samples, count)."""
        best_scores = np.full((len(samples), 0), 0, np.float32)
        best_rows = np.zeros((len(samples), 0), np.int64)
        for start in range(0, len(labels), BLOCK_ROWS):
            block = labels[start : start + BLOCK_ROWS]
            vectors = self._read(block)
            with np.errstate(all="ignore"):
                scores = samples @ vectors.T
                if self._space == "l2":
                    scores = 2 * scores - np.einsum("ij,ij->i", vectors, vectors)
            scores = np.concatenate((best_scores, scores), axis=1)
            rows = np.concatenate((best_rows, np.broadcast_to(block, (len(samples), len(block)))), axis=1)
            order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
            best_scores = np.take_along_axis(scores, order, axis=1)
            best_rows = np.take_along_axis(rows, order, axis=1)
        return best_rows

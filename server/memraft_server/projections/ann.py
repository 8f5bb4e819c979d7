"""Sealed segments of a vector index: codes of rows that no longer change, scanned or in cells.

A segment is built beside the store, never in it: a job holds the rows it needs (they are append-only, so
holding their arrays is a snapshot), `IndexJob.run` builds in any thread, mostly with the GIL released, and
`IndexJob.install` swaps the result in on the thread that owns the store.

A segment of up to `SCANNED_ROWS_MAX` rows compares the codes of all of them. In a larger one each row belongs
to the nearest of many centres, and a search looks only into the cells whose centres are nearest to the
query. How long a code has to be, and into how many cells a search looks, is measured on every segment with
queries like those that strangers would ask.

Source of the cells: Jégou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search" (2011),
inverted file; of the rotation: principal components.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.codes import (
    COMPONENTS,
    Axes,
    Block,
    Codes,
    asked,
    axes_of,
    block_of,
    cut,
    encode,
    stepped,
)
from memraft_server.projections.vector_math import Floats, Rows

SCANNED_ROWS_MAX = 65_536
"""Rows of a segment without cells."""

ROWS_A_CELL = 512

CANDIDATES_MIN = 40
CANDIDATES_MAX = 400
CANDIDATES_A_ROW = 1 / 256
"""A search for `k` rows compares twice `k` candidates exactly, and so many more. On 10,000 sentences and
questions about them, codes of 128 components then miss 3 of 1,000 of the ten nearest."""

RECALL_GOAL = 0.998
"""What of the ten nearest the codes keep among the candidates, for sample queries."""

CELLS_GOAL = 0.97
"""What of the ten nearest is in the cells that are looked into, for sample queries."""

LOOKED_INTO_SHARE_MAX = 0.2
"""Where more of the cells than this would have to be looked into, one scan of all rows finds more in about
the same time."""

VERY_LARGE_ROWS = 131_072
LOOKED_INTO_SHARE_OF_VERY_LARGE_MAX = 0.4
"""The same above so many rows, the codes of which are no longer in the processor's cache."""

SAMPLES = 100
NEIGHBOURS = 10
SAMPLE_ROWS = 4096
"""Rows that axes are found from."""

TRIED_ROWS = 16_384
"""Rows that the length of codes is tried on."""

TRAINING_ROWS_A_CELL = 48
TRAINING_ROUNDS = 6

BLOCK_ROWS = 2048
"""Rows read and turned at a time: between two blocks the GIL is taken and given back."""

Read = Callable[[Rows], Floats]


@dataclass(slots=True)
class Cells:
    """How the rows of a large segment are divided.

    Attributes:
        centres: Shape (components, cells).
        halves: Shape (cells,): half the squared length of each centre.
        starts: Where each cell's rows begin in the segment's order, and one end more.
        looked_into: Into how many cells a search looks.
    """

    centres: Floats
    halves: Floats
    starts: list[int]
    looked_into: int


@dataclass(slots=True)
class Segment:
    """Codes of some rows of a store.

    Attributes:
        labels: The rows in it, ascending.
        cold: The rows between `start` and `stop` that are not in it, ascending: they were dead.
        start: The first row of the range it was built from.
        stop: The row after that range.
        axes: What the codes were made with; None where codes do not help: all its rows are compared exactly.
        recall: What of the ten nearest it finds for sample queries, about.
        blocks: The codes, one block a cell.
        order: The rows in the order of the blocks.
        halves: Half the squared length of each centred row, in that order and in steps of the codes, where
            distance is the metric.
        cells: None: one block.
        dead: How many of its rows have died since.
    """

    labels: Rows
    cold: Rows
    start: int
    stop: int
    axes: Axes | None = None
    recall: float = 1.0
    blocks: list[Block] = field(default_factory=list)
    order: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    halves: Floats | None = None
    cells: Cells | None = None
    dead: int = 0

    @property
    def count(self) -> int:
        """Rows in it, those that died since included."""
        return len(self.labels)

    @property
    def span(self) -> int:
        """Rows of the store that it answers for."""
        return self.stop - self.start

    def candidates(
        self, query: Floats, k: int, mask: NDArray[np.bool_] | None = None, share: float = 1.0
    ) -> Rows | None:
        """Returns rows, ascending, among which the `k` nearest are, as good as always.

        Args:
            query: Shape (dimension,), scaled for the metric.
            k: How many are wanted.
            mask: Which rows of the store may be returned. None: all.
            share: About which part of the segment's rows that is.

        Returns:
            None where comparing every row exactly is as quick, or where codes cannot tell.
        """
        wanted = wanted_of(k, self.count)
        axes = self.axes
        if axes is None or 2 * wanted > self.count * share:
            return None
        projected = axes.project(query - axes.centre if self.halves is not None else query)
        code = asked(projected, self.blocks[0])
        if code is None:
            return None
        rows, scores = self._scanned(projected, *code, share)
        if mask is not None:
            passing = np.flatnonzero(mask[rows])
            rows, scores = rows[passing], scores[passing]
        if len(rows) <= wanted:
            return np.sort(rows) if len(rows) >= k else None
        worst = np.partition(scores, len(rows) - wanted)[len(rows) - wanted]
        chosen = (scores >= worst).nonzero()[0]
        if len(chosen) > 4 * wanted:  # very many are equal: the oldest of those will do
            better = np.flatnonzero(scores > worst)
            chosen = np.concatenate((better, np.flatnonzero(scores == worst)[: 2 * wanted]))
            chosen.sort()
        found: Rows = rows.take(chosen)
        if self.cells is not None:
            found.sort()
        return found

    def _scanned(
        self, projected: Floats, code: Codes, step: float, share: float
    ) -> tuple[Rows, NDArray[np.int32] | Floats]:
        """Compares the rows of all cells worth it; returns them and their scores."""
        cells, halves = self.cells, self.halves
        if cells is None:
            rows, scores = self.order, self.blocks[0].dots(code)
        else:
            looked_into = min(len(self.blocks), int(cells.looked_into / max(share, 1e-3)) + 1)
            nearness = projected @ cells.centres - cells.halves
            unseen = len(nearness) - looked_into
            best = np.argpartition(nearness, unseen)[unseen:].tolist() if unseen else range(looked_into)
            starts, blocks, order = cells.starts, self.blocks, self.order
            rows = np.concatenate([order[starts[cell] : starts[cell + 1]] for cell in best])
            scores = np.concatenate([blocks[cell].dots(code) for cell in best])
            if halves is not None:
                halves = np.concatenate([halves[starts[cell] : starts[cell + 1]] for cell in best])
        return rows, scores if halves is None else scores * np.float32(step) - halves


def wanted_of(k: int, count: int) -> int:
    """Returns how many candidates among `count` rows are compared exactly to find `k`."""
    return min(2 * k + CANDIDATES_MIN + int(count * CANDIDATES_A_ROW), 2 * k + CANDIDATES_MAX)


class IndexJob:
    """One segment to build. Made, installed or abandoned by the store's owner; run by any one thread.

    Args:
        by_distance: Whether distance is the metric; else the inner product is.
        read: Copies rows (ascending row numbers) out of arrays that no one writes to below those rows.
        labels: The live rows to index, ascending.
        bounds: The range of rows that the new segment answers for: (start, stop).
        axes: Known to suit these rows; None: they are found.
        finish: Called by `install` with the segment, and by `abandon` with None.
    """

    is_light = False

    def __init__(
        self,
        by_distance: bool,
        read: Read,
        labels: Rows,
        bounds: tuple[int, int],
        axes: Axes | None,
        finish: Callable[[Segment | None], None],
    ) -> None:
        self._by_distance = by_distance
        self._read = read
        self._labels = labels
        self._bounds = bounds
        self._axes = axes
        self._finish = finish
        self.segment: Segment | None = None

    def run(self) -> None:
        """Builds the segment: 0.3 s for 10,000 rows of 256 components, some 10 s for 262,144."""
        start, stop = self._bounds
        labels = self._labels
        is_cold = np.ones(stop - start, np.bool_)
        is_cold[labels - start] = False
        segment = Segment(labels, np.flatnonzero(is_cold) + start, start, stop)
        if len(labels):
            with np.errstate(all="ignore"):
                self._fill(segment)
        self.segment = segment

    def install(self) -> None:
        """Puts the segment into use. On the thread that owns the store, after `run` returned."""
        self._finish(self.segment)

    def abandon(self) -> None:
        """Gives the job up, after `run` raised or instead of it. On the thread that owns the store."""
        self._finish(None)

    def _fill(self, segment: Segment) -> None:
        """Gives a segment its codes, unless these rows are better off without."""
        axes = self._axes
        if axes is None:
            axes, segment.recall = self._find_axes()
        if axes is None:
            return
        codes, halves = self._encoded(axes)
        segment.axes, segment.order, segment.halves = axes, self._labels, halves
        if len(codes) <= SCANNED_ROWS_MAX:
            segment.blocks = [block_of(codes)]
        else:
            self._divide(segment, axes, codes)

    def _find_axes(self) -> tuple[Axes | None, float]:
        """Returns the shortest axes that keep enough of the nearest among the candidates, and how much that
        is; None where not even all components do."""
        labels = self._labels
        full = axes_of(self._read(_spread(labels, SAMPLE_ROWS)), len(labels))
        if full is None:
            return None, 1.0
        samples, exact = self._trial
        tried = self._read(_spread(labels, TRIED_ROWS))
        places, which = np.unique(exact, return_inverse=True)
        nearest = self._read(labels[places])[which].reshape(*exact.shape, -1)
        queries, halves, nearest_halves = samples, np.zeros(1, np.float32), np.zeros(1, np.float32)
        if self._by_distance:
            queries, halves = samples - full.centre, _halves(tried - full.centre)
            nearest_halves = _halves(nearest - full.centre)
        projected = [full.project(each) for each in (queries, tried - full.centre, nearest - full.centre)]
        wanted = wanted_of(NEIGHBOURS, len(labels)) * len(tried) / len(labels)
        dimension = tried.shape[1]
        for components in (*(each for each in COMPONENTS if each < dimension), dimension):
            axes = cut(full, components, (tried - full.centre)[:SAMPLE_ROWS])
            asking, all_codes, near_codes = (each[..., :components] for each in projected)
            scores = np.sort(asking @ stepped(all_codes, axes).T - halves, axis=1)
            near = np.einsum("ij,ikj->ik", asking, stepped(near_codes, axes)) - nearest_halves
            near += np.abs(near) * np.float32(1e-6)  # sums in another order: of equal codes, none is before
            # How many of the rows tried a code puts before each of the nearest rows.
            before = [
                len(tried) - some.searchsorted(each, "right") for some, each in zip(scores, near, strict=True)
            ]
            kept = float(np.mean(np.array(before) < wanted))
            if kept >= RECALL_GOAL:
                return axes, kept
        return None, 1.0

    @cached_property
    def _trial(self) -> tuple[Floats, Rows]:
        """Sample queries, shape (samples, dimension), and the places in `labels` of the rows nearest to each,
        shape (samples, NEIGHBOURS), best first."""
        samples = _sample_queries(self._read(_spread(self._labels, TRIED_ROWS)))
        scores = np.empty((len(samples), 0), np.float32)
        places = np.empty((len(samples), 0), np.int64)
        for start in range(0, len(self._labels), TRIED_ROWS):
            vectors = self._read(self._labels[start : start + TRIED_ROWS])
            found = _scores(samples, vectors, self._by_distance)
            count = min(NEIGHBOURS, len(vectors))
            some = np.argpartition(found, len(vectors) - count, axis=1)[:, len(vectors) - count :]
            scores = np.concatenate((scores, np.take_along_axis(found, some, axis=1)), axis=1)
            places = np.concatenate((places, some + start), axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS]
        return samples, np.take_along_axis(places, best, axis=1)

    def _encoded(self, axes: Axes) -> tuple[Codes, Floats | None]:
        """Returns the codes of all rows and, where distance is the metric, half their squared lengths in
        steps of the codes."""
        codes: list[Codes] = []
        halves: list[Floats] = []
        for start in range(0, len(self._labels), BLOCK_ROWS):
            centred = self._read(self._labels[start : start + BLOCK_ROWS])
            centred -= axes.centre
            codes.append(encode(axes.project(centred), axes))
            if self._by_distance:
                halves.append(_halves(centred))
        together: Any = np.concatenate(codes)  # numpy's types know no union of arrays
        unit = axes.step if together.dtype == np.int8 else 1.0
        return together, np.concatenate(halves) / np.float32(unit) if halves else None

    def _divide(self, segment: Segment, axes: Axes, codes: Codes) -> None:
        """Puts the rows of a large segment into cells, if that saves enough comparisons."""
        count = len(codes) // ROWS_A_CELL
        step = np.float32(1 if codes.dtype != np.int8 else axes.step)
        centres = _centres(_spread_rows(codes, count * TRAINING_ROWS_A_CELL) * step, count)
        halves = _halves(centres)
        across = np.ascontiguousarray(centres.T)
        homes = np.empty(len(codes), np.int64)
        for start in range(0, len(codes), BLOCK_ROWS):
            nearness = (codes[start : start + BLOCK_ROWS] * step) @ across - halves
            homes[start : start + BLOCK_ROWS] = nearness.argmax(axis=1)
        used = np.flatnonzero(np.bincount(homes, minlength=count))
        homes, count = used.searchsorted(homes), len(used)
        across, halves = np.ascontiguousarray(across[:, used]), halves[used]
        order = homes.argsort(kind="stable")
        starts = np.concatenate(([0], np.bincount(homes, minlength=count).cumsum())).tolist()
        looked_into, kept = self._looked_into(axes, across, halves, homes)
        very_large = len(codes) > VERY_LARGE_ROWS
        if looked_into > count * (
            LOOKED_INTO_SHARE_OF_VERY_LARGE_MAX if very_large else LOOKED_INTO_SHARE_MAX
        ):
            segment.blocks = [block_of(codes)]
            return
        segment.recall *= kept
        segment.order = self._labels[order]
        if segment.halves is not None:
            segment.halves = segment.halves[order]
        segment.blocks = [block_of(codes[order[starts[cell] : starts[cell + 1]]]) for cell in range(count)]
        segment.cells = Cells(across, halves, starts, looked_into)

    def _looked_into(self, axes: Axes, across: Floats, halves: Floats, homes: Rows) -> tuple[int, float]:
        """Returns into how many cells to look to find enough of the nearest, and how much that is."""
        samples, exact = self._trial
        centred = samples - axes.centre if self._by_distance else samples
        nearness = axes.project(centred) @ across - halves
        places = np.argsort(np.argsort(-nearness, axis=1), axis=1)  # of each cell in each query's order
        needed = np.sort(np.take_along_axis(places, homes[exact], axis=1).ravel()) + 1
        goal = min(len(needed) - 1, int(CELLS_GOAL * len(needed)))
        looked_into = int(needed[goal])
        return looked_into, float(np.mean(needed <= looked_into))


def _spread(labels: Rows, count: int) -> Rows:
    """Returns about `count` rows evenly spread over these."""
    return labels[:: max(1, len(labels) // count)]


def _spread_rows(codes: Codes, count: int) -> Codes:
    return codes[:: max(1, len(codes) // count)]


def _scores(samples: Floats, vectors: Floats, by_distance: bool) -> Floats:
    scores: Floats = samples @ vectors.T
    if by_distance:
        scores -= _halves(vectors)
    return np.nan_to_num(scores, nan=-np.inf)


def _halves(centred: Floats) -> Floats:
    """Returns half the squared length of each vector."""
    squares: Floats = np.einsum("...j,...j->...", centred, centred)
    return squares / np.float32(2)


def _sample_queries(vectors: Floats) -> Floats:
    """Returns queries like those that strangers would ask of these vectors.

    A row finds itself and its neighbours more easily than a stranger does, so each is moved by what another
    row differs from its nearest neighbour by.
    """
    chosen = vectors[:: max(1, len(vectors) // SAMPLES)][:SAMPLES]
    scores = _scores(chosen, vectors, True)
    count = min(2, len(vectors))
    second = np.argpartition(scores, len(vectors) - count, axis=1)[:, len(vectors) - count]
    moved = chosen + np.roll(chosen - vectors[second], 1, axis=0) * np.float32(1.0)
    return np.nan_to_num(moved).astype(np.float32, copy=False)


def _centres(points: Floats, count: int) -> Floats:
    """Returns `count` centres of these points, shape (count, components), by Lloyd's rounds."""
    centres = points[:: len(points) // count][:count].copy()
    for _ in range(TRAINING_ROUNDS):
        halves = _halves(centres)
        across = np.ascontiguousarray(centres.T)
        homes = np.concatenate(
            [
                (points[start : start + BLOCK_ROWS] @ across - halves).argmax(axis=1)
                for start in range(0, len(points), BLOCK_ROWS)
            ]
        )
        order = homes.argsort(kind="stable")
        sizes = np.bincount(homes, minlength=count)
        settled = np.flatnonzero(sizes)
        firsts = (sizes.cumsum() - sizes)[settled]
        centres[settled] = np.add.reduceat(points[order], firsts, axis=0) / sizes[settled, None]
    return centres

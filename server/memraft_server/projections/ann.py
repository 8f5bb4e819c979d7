"""Sealed segments of a vector index: codes of rows that no longer change, scanned.

A segment is built beside the store, never in it: a job holds the rows it needs (they are append-only, so
holding their arrays is a snapshot), `IndexJob.run` builds in any thread, mostly with the GIL released, and
`IndexJob.install` swaps the result in on the thread that owns the store.

A segment of up to `SCANNED_ROWS_MAX` rows compares the codes of all of them, and those that come out nearest
exactly. In a larger one only the leading components of all codes are compared, as many as leave few rows;
of those the whole codes are. How long a code has to be, how much of it is compared first and how many rows
that leaves is measured on every segment with queries like those that strangers would ask.

Source of the turn and of comparing few components first: principal components.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.codes import (
    COMPONENTS,
    Axes,
    Block,
    Codes,
    Leading,
    Scores,
    asked,
    axes_of,
    block_of,
    cut,
    dots_of,
    encode,
    narrowed,
    stepped,
)
from memraft_server.projections.products import turned
from memraft_server.projections.vector_math import Floats, Rows

SCANNED_ROWS_MAX = 65_536
"""Rows of a segment whose codes are all compared whole."""

CANDIDATES_MIN = 20
CANDIDATES_MAX = 200
CANDIDATES_A_ROW = 1 / 256
"""A search for `k` rows compares twice `k` candidates exactly, and so many more. On 10,000 sentences and
questions about them, codes of 128 components then miss 8 of 1,000 of the ten nearest. Each candidate takes
0.2 us: its floats are in no cache."""

CANDIDATES_MORE = 1.6
"""Where all codes are compared whole, so many times as many: a component more of 10,000 codes takes longer
than a candidate more. How many are compared differs by a quarter from query to query, so that the share that
is found lies below the goal: of the ten nearest of 10,000 memories .998, with 1.5 times .991."""

RECALL_GOAL = 0.999
"""What of the ten nearest the codes keep among the candidates, for sample queries."""

RECALL_GOAL_OF_LARGE = 0.99
"""The same in segments of more than `SCANNED_ROWS_MAX` rows."""

LEFT_GOAL = 0.97
"""What of the ten nearest is among the rows that leading components leave, for sample queries."""

LEFT_SHARE_MAX = 0.03
"""Leading components that would have to leave more of the rows than this are too few."""

LEFT_COST = 2400
"""To compare a row that is left takes as long as comparing so many components of rows one after the other:
its code is in no cache. A quarter of a million rows takes 2.3 ms of processor with 48 components that leave
2.7 %, and 1.7 to 1.9 with 80 that leave 0.4 %."""

LEFT_A_CANDIDATE = 8
"""At least so many rows are left for each that is compared exactly."""

STRIDE_MAX = 64
"""The score from which on rows are candidates is read from every so many-th of them, at most."""

SAMPLE_RANK_MIN = 16
"""Of the sampled rows at least so many are candidates, so that there are about as many as wanted."""

SAMPLES = 100
NEIGHBOURS = 10
SAMPLE_ROWS = 4096
"""Rows that axes are found from."""

WIDE = 2
"""So many times the components of its codes are kept of the turn of a segment of at least `SAMPLE_ROWS`."""

TRIED_ROWS_MIN, TRIED_ROWS_MAX = 8192, 16_384
TRIED_SHARE = 1 / 16
"""Rows that the length of codes is tried on: enough that a dozen of them are candidates, or more."""

BLOCK_ROWS = 2048
"""Rows read and turned at a time: between two blocks the GIL is taken and given back."""

Read = Callable[[Rows], Floats]


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
        block: What is compared of all rows: their codes, or the leading components of those.
        codes: The whole codes, shape (rows, components), where the block has only the leading components.
        halves: Half the squared length of each centred row, in steps of the codes, where distance is the
            metric.
        dead: How many of its rows have died since.
    """

    labels: Rows
    cold: Rows
    start: int
    stop: int
    axes: Axes | None = None
    recall: float = 1.0
    block: Block | None = None
    codes: Codes | None = None
    halves: Floats | None = None
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
        axes, block = self.axes, self.block
        if axes is None or block is None or 2 * wanted > self.count * share:
            return None
        code = asked(axes.project(query - axes.centre if self.halves is not None else query), block)
        if code is None:
            return None
        asking, step = code
        places = None if mask is None else mask.take(self.labels).nonzero()[0]
        if self.codes is not None and axes.leading is not None:
            left = max(int(axes.leading.left_share * self.count), LEFT_A_CANDIDATE * wanted)
            leading = block.dots(asking[..., : axes.leading.components])
            places = _nearest(self._nearness(leading, step), places, left)
            scores = dots_of(asking, self.codes.take(places, axis=0))
            if self.halves is not None:
                scores = scores * np.float32(step) - self.halves.take(places)
            if len(places) > wanted:
                places = places.take(_best(scores, wanted))
        else:
            places = _nearest(self._nearness(block.dots(asking), step), places, wanted)
        return self.labels.take(places) if len(places) >= k else None

    def _nearness(self, dots: Scores, step: float) -> Scores:
        return dots if self.halves is None else dots * np.float32(step) - self.halves


def _nearest(scores: Scores, places: Rows | None, wanted: int) -> Rows:
    """Returns about `wanted` of these places (None: of all), ascending, whose scores are best."""
    if places is None:
        return _best(scores, wanted)
    if len(places) <= wanted:
        return places
    chosen: Rows = places.take(_best(scores.take(places), wanted))
    return chosen


def _best(scores: Scores, wanted: int) -> Rows:
    """Returns the places of about `wanted` of the best scores, ascending: half as many to twice as many.

    From which score on they are the best is read from a sample, for partitioning all of them takes longer
    than anything else does but comparing the codes.
    """
    stride = min(wanted // SAMPLE_RANK_MIN, STRIDE_MAX)
    if stride > 1 and wanted < len(scores):
        sample = scores[::stride].copy()
        place = len(sample) - wanted // stride
        sample.partition(place)
        chosen: Rows = (scores >= sample[place]).nonzero()[0]
        if wanted <= 2 * len(chosen) <= 4 * wanted:
            return chosen
    if len(scores) <= wanted:
        return np.arange(len(scores))
    worst = np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
    chosen = (scores >= worst).nonzero()[0]
    if len(chosen) > 4 * wanted:  # very many are equal: the oldest of those will do
        better = np.flatnonzero(scores > worst)
        chosen = np.concatenate((better, np.flatnonzero(scores == worst)[: 2 * wanted]))
        chosen.sort()
    return chosen


def wanted_of(k: int, count: int) -> int:
    """Returns how many candidates among `count` rows are compared exactly to find `k`."""
    wanted = min(2 * k + CANDIDATES_MIN + int(count * CANDIDATES_A_ROW), 2 * k + CANDIDATES_MAX)
    return int(wanted * CANDIDATES_MORE) if count <= SCANNED_ROWS_MAX else wanted


class IndexJob:
    """One segment to build. Made, installed or abandoned by the store's owner; run by any one thread.

    Args:
        by_distance: Whether distance is the metric; else the inner product is.
        read: Copies rows (ascending row numbers) out of arrays that no one writes to below those rows.
        labels: The live rows to index, ascending.
        bounds: The range of rows that the new segment answers for: (start, stop).
        axes: Known to suit these rows; None: they are found.
        wide: Axes of other rows of the store, which may do for these if they are cut; None: others are found,
            which takes most of the time.
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
        wide: Axes | None,
        finish: Callable[[Segment | None], None],
    ) -> None:
        self._by_distance = by_distance
        self._read = read
        self._labels = labels
        self._bounds = bounds
        self._axes = axes
        self._wide = wide
        self._finish = finish
        self.segment: Segment | None = None

    def run(self) -> None:
        """Builds the segment: 0.2 s for 10,000 rows of 256 components, 2 s of processor for 500,000."""
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
        segment.axes = axes
        codes, segment.halves = self._encoded(axes)
        if axes.leading is not None and len(codes) > SCANNED_ROWS_MAX:
            segment.codes = codes
            leading: Any = codes[:, : axes.leading.components]
            codes = np.ascontiguousarray(leading)
        segment.block = block_of(codes)

    def _find_axes(self) -> tuple[Axes | None, float]:
        """Returns the shortest axes that keep enough of the nearest among the candidates, and how much that
        is; None where not even all components do."""
        samples, nearest = self._nearest_of_samples()
        if self._wide is not None:
            axes, kept = self._shortest(self._wide, samples, nearest)
            if axes is not None:
                return replace(axes, wide=self._wide), kept
        full = axes_of(self._read(_spread(self._labels, SAMPLE_ROWS)), len(self._labels))
        if full is None:
            return None, 1.0
        axes, kept = self._shortest(full, samples, nearest)
        if axes is not None and len(self._labels) >= SAMPLE_ROWS:
            axes = replace(axes, wide=narrowed(full, WIDE * axes.components))
        return axes, kept

    def _shortest(self, full: Axes, samples: Floats, nearest: Rows) -> tuple[Axes | None, float]:
        """Does so with the components of these axes."""
        labels = self._labels
        trial = _Trial(full, samples, nearest, self._read, labels, self._by_distance)
        wanted = wanted_of(NEIGHBOURS, len(labels)) * trial.count / len(labels)
        goal = RECALL_GOAL if len(labels) <= SCANNED_ROWS_MAX else RECALL_GOAL_OF_LARGE
        leading: Leading | None = None
        least = np.inf
        for components in (*(each for each in COMPONENTS if each < full.components), full.components):
            axes, before = trial.put_before(components)
            kept = float(np.mean(before < wanted))
            if kept >= goal:
                return replace(axes, leading=leading if least < components else None), kept
            left_share = float(np.quantile(before, LEFT_GOAL)) / trial.count
            cost = components + LEFT_COST * left_share
            if left_share <= LEFT_SHARE_MAX and cost < least:
                least, leading = cost, Leading(components, left_share)
        return None, 1.0

    def _nearest_of_samples(self) -> tuple[Floats, Rows]:
        """Returns sample queries, shape (samples, dimension), and the rows nearest to each, shape (samples,
        NEIGHBOURS)."""
        labels = self._labels
        samples = _sample_queries(self._read(_spread(labels, TRIED_ROWS_MAX)))
        nearest = _Nearest(len(samples), min(NEIGHBOURS, len(labels)))
        for start in range(0, len(labels), BLOCK_ROWS):
            vectors = self._read(labels[start : start + BLOCK_ROWS])
            nearest.show(_scores(samples, vectors, self._by_distance), start)
        return samples, labels[nearest.places]

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


class _Nearest:
    """The best of all scores that it is shown, for each sample query.

    Args:
        samples: How many queries there are.
        count: How many of the best to keep of each.
    """

    def __init__(self, samples: int, count: int) -> None:
        self._count = count
        self._scores = np.full((samples, count), -np.inf, np.float32)
        self.places = np.zeros((samples, count), np.int64)
        """Of the best, shape (samples, count)."""

    def show(self, scores: Floats, first: int) -> None:
        """Takes scores of shape (samples, places); the first is of place `first`."""
        # Most are below all that are kept, and to tell so takes a tenth of finding the best among all.
        worth = np.flatnonzero((scores > self._scores.min(axis=1)[:, None]).any(axis=0))
        together = np.concatenate((self._scores, scores.take(worth, axis=1)), axis=1)
        fresh = np.broadcast_to(worth + first, (len(scores), len(worth)))
        places = np.concatenate((self.places, fresh), axis=1)
        last = together.shape[1] - self._count
        best = np.argpartition(together, last, axis=1)[:, last:]
        self._scores = np.take_along_axis(together, best, axis=1)
        self.places = np.take_along_axis(places, best, axis=1)


class _Trial:
    """Tries how many rows codes put before the nearest ones of sample queries.

    Args:
        full: Axes with all components that there may be.
        samples: The queries, shape (samples, dimension).
        nearest: The rows nearest to each, shape (samples, NEIGHBOURS).
        read: Copies rows.
        labels: All rows.
        by_distance: Whether distance is the metric.
    """

    def __init__(
        self, full: Axes, samples: Floats, nearest: Rows, read: Read, labels: Rows, by_distance: bool
    ) -> None:
        rows, self._which = np.unique(nearest, return_inverse=True)
        self._which = self._which.reshape(nearest.shape)
        count = min(max(TRIED_ROWS_MIN, int(len(labels) * TRIED_SHARE)), TRIED_ROWS_MAX)
        tried, near = read(_spread(labels, count)), read(rows)
        tried -= full.centre
        near -= full.centre
        self._full, self._rows = full, len(labels)
        self._vectors = samples - full.centre if by_distance else samples, tried, near
        zero = np.zeros(1, np.float32)
        self._halves, self._near_halves = (_halves(tried), _halves(near)) if by_distance else (zero, zero)
        self._projected = tuple(np.empty((len(each), 0), np.float32) for each in self._vectors)
        self.count = len(tried)
        """Rows that it is tried on."""

    def put_before(self, components: int) -> tuple[Axes, Rows]:
        """Returns the axes with so many components, not fewer than before, and how many of the rows tried a
        code of them puts before each of the nearest rows."""
        known = self._projected[0].shape[1]
        turn = self._full.turn
        more = slice(known, components)
        some = None if turn is None else np.ascontiguousarray(turn[:, more])
        self._projected = tuple(
            np.concatenate((done, each[:, more] if some is None else turned(each, some)), axis=1)
            for done, each in zip(self._projected, self._vectors, strict=True)
        )
        asking, all_codes, near_codes = self._projected
        axes = cut(self._full, components, all_codes[:SAMPLE_ROWS], self._rows)
        asked_of = np.ascontiguousarray(asking.T)
        scores = np.ascontiguousarray(turned(stepped(all_codes, axes), asked_of).T)
        scores -= self._halves
        scores.sort(axis=1)
        near = turned(stepped(near_codes, axes), asked_of) - self._near_halves[:, None]
        near = np.take_along_axis(near.T, self._which, axis=1)
        near += np.abs(near) * np.float32(1e-6)  # sums in another order: of equal codes, none is before
        after = [some.searchsorted(each, "right") for some, each in zip(scores, near, strict=True)]
        return axes, self.count - np.concatenate(after)


def _spread(labels: Rows, count: int) -> Rows:
    """Returns about `count` rows evenly spread over these."""
    return labels[:: max(1, len(labels) // count)]


def _scores(samples: Floats, vectors: Floats, by_distance: bool) -> Floats:
    """Returns the scores of vectors for each sample query, shape (samples, vectors)."""
    scores: Floats = turned(vectors, np.ascontiguousarray(samples.T))
    if by_distance:
        scores -= _halves(vectors)[:, None]
    scores[np.isnan(scores)] = -np.inf
    return np.ascontiguousarray(scores.T)


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

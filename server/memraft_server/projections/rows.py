"""Vectors as append-only rows, each born at a version and died at one, and the search over them.

Rows never move and never change, so a read of the past is a mask over two columns, an index can be built
beside the rows while they are read and added to, and a filter's verdict on a row holds for ever.

Search takes candidates from sealed segments (`ann`) and compares them exactly, with all rows that are in
none: the newest, those of small stores, and the few that a filter leaves. It is right before, while and after
segments are built; where a segment cannot deliver enough rows that pass, the exact scan takes over.

The rows are an index, not the record: rows of a cosine store are scaled to length one, and scores come from
BLAS. Neither may enter replicated state. What a caller wrote is in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.ann import IndexJob, Segment
from memraft_server.projections.codes import Axes
from memraft_server.projections.products import dots
from memraft_server.projections.segments import (
    Bounds,
    is_worth_adding,
    mergeable,
    scattered,
    sealed_from,
    sealing,
)
from memraft_server.projections.vector_math import (
    Floats,
    Found,
    Rows,
    direction,
    merged,
    read_rows,
    unit,
    unit_rows,
)

ALIVE = (1 << 63) - 1
"""Version of death of a row that lives."""

CHUNK_BYTES_MAX = 64 << 20
"""Rows are kept in chunks so that growing copies nothing. Memory that no row uses yet is not resident."""

GROWN_BYTES_MAX = 2 << 20
"""The first chunk begins small and is copied to grow up to this size, then once more: 1 ms."""

FIRST_ROWS = 8

RESERVED_FROM_ROWS = 65_536
RESERVED_ROWS = 1 << 22
"""Columns that grow beyond the first size are reserved for as many rows as the second, and copied no more
until then: copying them at 450,000 rows took a write 20 to 26 ms of processor."""

ROW_BYTES = 200
"""What a row takes beside its components, its id and its metadata: columns, the id's object, its place in
the table of ids. Its code takes a byte for each of 48 components or some more, and in a large segment 52
bytes besides."""

SEAL_BYTES = 3 << 19
SEAL_ROWS_MIN = 512
SEAL_ROWS_MAX = 4096
"""Unsealed rows that are worth codes. Measured at 256 dimensions: a scan of 1,024 rows takes 26 us, of their
codes 25 us with the exact comparison of candidates; of 10,000 rows 120 to 300 us, and 65 us."""

DEAD_SHARE_MAX = 0.3
"""A segment with more dead rows is built anew without them."""

AXES_GROWTH = 1.25
"""Axes of codes are found anew once a segment has grown by this factor. Of more rows a smaller share is
compared exactly, so codes have to tell more: those for 3,000 rows keep .94 of the nearest of 10,000,
those for 5,000 .98."""

WIDE_GROWTH = 16
"""Of those of fewer rows by this factor the turn is not tried: rows of another kind may have come since."""

GATHER_ROWS_MAX = 2048
"""Up to this many rows that pass, comparing each exactly beats codes."""

OVERFETCH_MAX = 512
"""Most rows to take from a segment in the hope that enough of them pass."""

SORTED_ROWS_MAX = 2048
"""Up to so many scores are sorted as a whole to find the best."""

COSINE, DOT, L2 = 1, 2, 3
"""Metrics; the numbers are those of the contract."""


HOPED_SHARE = 0.25
"""How many of the nearest rows are first hoped to pass a filter that was never evaluated as a whole."""

SHARE_MIN = 1e-3

FEW_ROWS = 32
"""Up to so many rows a column is read one by one."""

Passes = Callable[[Rows], NDArray[np.bool_]]


class Accept(Protocol):
    """A lasting verdict on rows, by what is stored with them."""

    def check(self, rows: Rows) -> NDArray[np.bool_]:
        """Says of each of these rows whether it passes."""

    def matching(self, count: int) -> Rows:
        """Returns those of the first `count` rows that pass, ascending."""

    def is_complete(self) -> bool:
        """Whether `matching` is cheap because almost all rows were judged before."""


class RowStore:
    """The rows of one collection.

    Not safe for more than one thread: everything but `IndexJob.run` belongs to the owner's.
    """

    __slots__ = (
        "_born", "_changed", "_chunk_bits", "_chunks", "_count_at_poll", "_died", "_job",
        "_mergeable", "_scattered", "_segments", "count", "dimension", "live_count", "metric", "seal_rows",
    )  # fmt: skip

    def __init__(self, dimension: int, metric: int) -> None:
        self.dimension = dimension
        self.metric = metric
        self.count = 0
        """Rows, dead ones included."""
        self.live_count = 0
        row_bytes = 4 * dimension
        self._chunk_bits = (CHUNK_BYTES_MAX // row_bytes).bit_length() - 1
        self.seal_rows = min(SEAL_ROWS_MAX, max(SEAL_ROWS_MIN, SEAL_BYTES // row_bytes))
        self._chunks: list[Floats] = [np.empty((FIRST_ROWS, dimension), np.float32)]
        self._born = np.empty(FIRST_ROWS, np.int64)
        self._died = np.empty(FIRST_ROWS, np.int64)
        self._segments: list[Segment] = []
        self._mergeable: Bounds | None = None
        self._scattered: Bounds | None = None
        self._job: IndexJob | None = None
        self._count_at_poll = 0
        self._changed = 0
        """The version of the last death."""

    # Writing

    def append(self, vectors: Floats, first_version: int) -> int:
        """Adds rows born at consecutive versions.

        Args:
            vectors: Shape (n, dimension), finite.
            first_version: The version of the first.

        Returns:
            The number of the first row.
        """
        first = self.count
        added = len(vectors)
        count = first + added
        if count > len(self._born):
            self._grow_columns(count)
        self._born[first:count] = np.arange(first_version, first_version + added)
        self._died[first:count] = ALIVE
        self._write(first, unit_rows(vectors) if self.metric == COSINE else vectors)
        self.count = count
        self.live_count += added
        return first

    def append_one(self, vector: Floats, version: int) -> int:
        """Adds a row of shape (dimension,) born at `version`; returns its number. Quicker than `append`."""
        row = self.count
        number, offset = row >> self._chunk_bits, row & ((1 << self._chunk_bits) - 1)
        if row >= len(self._born) or number >= len(self._chunks) or offset >= len(self._chunks[number]):
            return self.append(vector.reshape(1, -1), version)
        self._born[row] = version
        self._died[row] = ALIVE
        self._chunks[number][offset] = unit(vector) if self.metric == COSINE else vector
        self.count = row + 1
        self.live_count += 1
        return row

    def restore(self, vectors: Floats, born: Rows) -> int:
        """Adds rows of shape (n, dimension) born at these versions; returns the number of the first."""
        first = self.append(vectors, 0)
        self._born[first : self.count] = born
        return first

    def born(self, row: int) -> int:
        """Returns the version at which a row was born."""
        return self._born.item(row)

    def died(self, row: int) -> int:
        """Returns the version at which a row died; `ALIVE` while it lives."""
        return self._died.item(row)

    def vector(self, row: int) -> Floats:
        """Returns a copy of a row's components."""
        number, offset = row >> self._chunk_bits, row & ((1 << self._chunk_bits) - 1)
        row_vector: Floats = self._chunks[number][offset].copy()
        return row_vector

    def read(self, rows: Rows) -> Floats:
        """Returns a copy of the vectors of these rows, at least one, ascending: shape (rows, dimension)."""
        return read_rows(self._chunks, self._chunk_bits, rows)

    def changed(self, low: int, high: int) -> list[int]:
        """Returns the rows that were born or died above version `low` and up to `high`, ascending."""
        born, died = self._born[: self.count], self._died[: self.count]
        seen = ((born > low) & (born <= high)) | ((died > low) & (died <= high))
        found: list[int] = np.flatnonzero(seen).tolist()
        return found

    def row_of(self, version: int) -> int:
        """Returns the row that was born at `version`. Raises LookupError."""
        row = int(self._born[: self.count].searchsorted(version))
        if row == self.count or self._born[row] != version:
            raise LookupError(f"there is no row of version {version}")
        return row

    def kill(self, row: int, version: int) -> None:
        """Ends the life of a row that lives."""
        self._died[row] = version
        self._changed = max(self._changed, version)
        self.live_count -= 1
        for segment in self._segments:
            if segment.start <= row < segment.stop:
                segment.dead += 1

    def _grow_columns(self, count: int) -> None:
        size = max(count, self.count + self.count // 2)
        if size > RESERVED_FROM_ROWS:
            size = max(RESERVED_ROWS, 4 * count)
        for column in ("_born", "_died"):
            grown = np.empty(size, np.int64)  # np.resize would write all of it
            grown[: self.count] = getattr(self, column)[: self.count]
            setattr(self, column, grown)

    def _write(self, first: int, vectors: Floats) -> None:
        rows_a_chunk = 1 << self._chunk_bits
        done = 0
        while done < len(vectors):
            number, offset = divmod(first + done, rows_a_chunk)
            if number == len(self._chunks):
                self._chunks.append(np.empty((rows_a_chunk, self.dimension), np.float32))
            take = min(len(vectors) - done, rows_a_chunk - offset)
            chunk = self._chunks[number]
            if offset + take > len(chunk):  # only the first chunk begins small
                size = min(rows_a_chunk, max(offset + take, 2 * len(chunk)))
                if 4 * self.dimension * size > GROWN_BYTES_MAX:
                    size = rows_a_chunk
                grown = np.empty((size, self.dimension), np.float32)
                grown[:offset] = chunk[:offset]
                self._chunks[number] = chunk = grown
            chunk[offset : offset + take] = vectors[done : done + take]
            done += take

    # Reading columns

    def versions(self, rows: list[int]) -> list[int]:
        """Returns the versions at which these rows were born."""
        if len(rows) > FEW_ROWS:
            born: list[int] = self._born[rows].tolist()
            return born
        item = self._born.item  # making an index array of a short list takes longer than this
        return [item(row) for row in rows]

    def alive(self, rows: Rows, ceiling: int | None) -> NDArray[np.bool_]:
        """Says of each row whether it lives now (None), or lived as of version `ceiling`."""
        if ceiling is None:
            return self._is_alive(rows)
        return (self._born[rows] <= ceiling) & (self._died[rows] > ceiling)

    def alive_rows(self, ceiling: int | None) -> Rows:
        """Returns all rows that live now (None), or lived as of version `ceiling`, ascending."""
        died = self._died[: self.count]
        if ceiling is None:
            return np.flatnonzero(died == ALIVE)
        return np.flatnonzero((self._born[: self.count] <= ceiling) & (died > ceiling))

    def count_alive(self, ceiling: int | None) -> int:
        """Returns how many rows live now (None), or lived as of version `ceiling`."""
        if ceiling is None or self._is_now(ceiling):
            return self.live_count
        return len(self.alive_rows(ceiling))

    def _is_now(self, ceiling: int) -> bool:
        """Whether nothing was born or died after `ceiling`, so that a read as of then is one of now."""
        return self._changed <= ceiling and (not self.count or self._born.item(self.count - 1) <= ceiling)

    # Searching

    @property
    def sealed_count(self) -> int:
        """Rows up to here are answered for by segments."""
        return self._segments[-1].stop if self._segments else 0

    def search(
        self,
        vector: Floats,
        k: int,
        ceiling: int | None = None,
        rows: Rows | None = None,
        accept: Accept | None = None,
    ) -> Found:
        """Finds the nearest rows.

        Args:
            vector: Shape (dimension,), finite.
            k: How many at most.
            ceiling: None for now, else a version: rows that lived then.
            rows: Only among these rows, ascending. None: among all.
            accept: Only rows that it accepts. None: all.

        Returns:
            (rows, scores), best first; of equal scores the older row first. A score is the cosine, the inner
            product, or the negative squared distance.
        """
        if self.metric == COSINE:
            return self._found(direction(vector), k, ceiling, rows, accept)
        with np.errstate(all="ignore"):  # components may be finite and their products not
            return self._found(vector, k, ceiling, rows, accept)

    def _found(
        self, query: Floats, k: int, ceiling: int | None, rows: Rows | None, accept: Accept | None
    ) -> Found:
        if ceiling is not None and self._is_now(ceiling):
            ceiling = None
        if ceiling is not None and rows is None:
            rows = self.alive_rows(ceiling)
        elif rows is not None:
            rows = rows[self.alive(rows, ceiling)]
        if rows is None:
            if accept is None:
                return self._search_all(query, k)
            if self._segments and not accept.is_complete():
                found = self._search_hoping(query, k, accept)
                if found is not None:
                    return found
            rows = accept.matching(self.count)
            rows = rows[self.alive(rows, None)]
        elif accept is not None and len(rows):
            rows = rows[accept.check(rows)]
        return self._search_among(query, k, rows)

    def _search_all(self, query: Floats, k: int) -> Found:
        """Among all rows that live now."""
        segments = self._segments
        if len(segments) == 1 and segments[0].stop == self.count and not segments[0].dead:
            rows = segments[0].candidates(query, k)  # the usual case of a store at rest, kept short
            if rows is not None:
                found, scores = self._best(query, k, rows)
                return found.tolist(), scores.tolist()
        parts = []
        for segment in segments:
            passes = self._is_alive if segment.dead else None
            share = 1 - segment.dead / max(1, segment.count)
            part = self._from_segment(query, k, segment, passes, share)
            parts.append(self._best(query, k, self._living(segment.labels)) if part is None else part)
        parts.append(self._best(query, k, self._living(np.arange(self.sealed_count, self.count))))
        return merged(parts, k)

    def _search_hoping(self, query: Floats, k: int, accept: Accept) -> Found | None:
        """Among rows that live and pass, hoping that many do; None where too few of the nearest passed."""

        def passes(rows: Rows) -> NDArray[np.bool_]:
            return self._is_alive(rows) & accept.check(rows)

        parts = []
        for segment in self._segments:
            part = self._from_segment(query, k, segment, passes, HOPED_SHARE)
            if part is None:
                return None
            parts.append(part)
        tail = self._living(np.arange(self.sealed_count, self.count))
        parts.append(self._best(query, k, tail[accept.check(tail)]))
        return merged(parts, k)

    def _search_among(self, query: Floats, k: int, rows: Rows) -> Found:
        """Among these rows."""
        if len(rows) <= GATHER_ROWS_MAX or not self._segments:
            return merged([self._best(query, k, rows)], k)
        mask = np.zeros(self.count, np.bool_)
        mask[rows] = True
        parts = []
        for segment in self._segments:
            inside = segment.labels[mask[segment.labels]]
            share = len(inside) / max(1, segment.count)
            few = len(inside) <= GATHER_ROWS_MAX
            near = None if few else segment.candidates(query, k, mask, share)
            parts.append(self._best(query, k, inside if near is None else near))
        outside = [*(segment.cold for segment in self._segments), np.arange(self.sealed_count, self.count)]
        unsealed = np.concatenate(outside)
        parts.append(self._best(query, k, unsealed[mask[unsealed]]))
        return merged(parts, k)

    def _from_segment(
        self, query: Floats, k: int, segment: Segment, passes: Passes | None, share: float
    ) -> tuple[Rows, Floats] | None:
        """Returns the `k` best rows of a segment that pass, or None where an exact scan must find them.

        Args:
            query: Scaled for the metric.
            k: How many.
            segment: Where.
            passes: Says of rows whether they pass. None: all do.
            share: About which part of the segment's rows passes.
        """
        wanted = k if passes is None else int(1.3 * k / max(share, SHARE_MIN)) + 8
        while wanted <= max(OVERFETCH_MAX, k):
            rows = segment.candidates(query, wanted)
            if rows is None:
                return None
            rows, scores = self._best(query, wanted, rows)
            if passes is not None:
                keep = passes(rows)
                rows, scores = rows[keep], scores[keep]
            if len(rows) >= k:
                return rows[:k], scores[:k]
            wanted *= 4
        return None

    def _is_alive(self, rows: Rows) -> NDArray[np.bool_]:
        return np.equal(self._died[rows], ALIVE)

    def _living(self, rows: Rows) -> Rows:
        return rows if self.live_count == self.count else rows[self._died[rows] == ALIVE]

    def _best(self, query: Floats, k: int, rows: Rows) -> tuple[Rows, Floats]:
        """Compares each of these rows (ascending) with the query; returns the `k` best, best first."""
        if not len(rows):
            return rows, np.empty(0, np.float32)
        scores = self._scores(query, rows)
        if len(rows) > max(k, SORTED_ROWS_MAX):
            worst = np.partition(scores, len(rows) - k)[len(rows) - k]
            best = np.flatnonzero(scores > worst)
            ties = np.flatnonzero(scores == worst)[: k - len(best)]  # the oldest of them
            best = np.concatenate((best, ties))
            best.sort()
            rows, scores = rows[best], scores[best]
        order = (-scores).argsort(kind="stable")[:k]
        return rows[order], scores[order]

    def _scores(self, query: Floats, rows: Rows) -> Floats:
        first, last = rows.item(0), rows.item(-1)
        bits = self._chunk_bits
        dense = last - first + 1 == len(rows)
        if not dense and first >> bits == last >> bits:
            number = first >> bits
            places = rows - (number << bits) if number else rows
            return self._compare(query, self._chunks[number].take(places, axis=0))
        parts = []
        for number in range(first >> bits, (last >> bits) + 1):
            base = number << bits
            if dense:
                vectors = self._chunks[number][max(0, first - base) : last + 1 - base]
            else:
                low, high = rows.searchsorted((base, base + (1 << bits)))
                if low == high:
                    continue
                vectors = self._chunks[number].take(rows[low:high] - base, axis=0)
            parts.append(self._compare(query, vectors))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _compare(self, query: Floats, vectors: Floats) -> Floats:
        scores: Floats
        if self.metric == COSINE:
            scores = dots(vectors, query)
            return scores
        if self.metric == DOT:
            scores = dots(vectors, query)
        else:  # not by the binomial formula, which loses what near vectors differ by
            difference = vectors - query
            scores = -np.einsum("ij,ij->i", difference, difference)
        scores[np.isnan(scores)] = -np.inf
        return scores

    # Indexing

    @property
    def index_pending(self) -> bool:
        """Whether `index_job` should be called again: a job is out, or there are rows worth codes."""
        if self._job is not None:
            return True
        tail = self.count - self.sealed_count
        return (
            tail >= sealed_from(self.seal_rows, self.sealed_count)
            or is_worth_adding(self._segments, tail)
            or self._mergeable is not None
            or self._scattered is not None
            or (self._decayed() is not None)
        )

    def index_job(self) -> IndexJob | None:
        """Returns the next segment to build, or None where there is none to build now.

        At most one job is out at a time. A small tail is sealed once no row was added since the call before.
        """
        quiet = self.count == self._count_at_poll
        self._count_at_poll = self.count
        if self._job is not None:
            return None
        segments = self._segments
        tail = self.count - self.sealed_count
        enough = sealed_from(self.seal_rows, self.sealed_count)
        if (decayed := self._decayed()) is not None:
            self._job = self._job_for(decayed.start, decayed.stop)
        elif tail >= enough or (quiet and is_worth_adding(segments, tail)):
            self._job = self._job_for(*sealing(segments, self.count, quiet))
        elif self._mergeable is not None:
            self._job = self._job_for(*self._mergeable)
        elif quiet and self._scattered is not None:
            self._job = self._job_for(*self._scattered)
        return self._job

    def _decayed(self) -> Segment | None:
        for segment in self._segments:
            if segment.dead > DEAD_SHARE_MAX * segment.count:
                return segment
        return None

    def _job_for(self, start: int, stop: int) -> IndexJob:
        labels = np.flatnonzero(self._died[start:stop] == ALIVE) + start
        chunks, bits = list(self._chunks), self._chunk_bits
        axes, wide = self._axes_for(len(labels), start, stop)

        def read(rows: Rows) -> Floats:
            return read_rows(chunks, bits, rows)

        return IndexJob(self.metric == L2, read, labels, (start, stop), axes, wide, self._finish)

    def _axes_for(self, rows: int, start: int, stop: int) -> tuple[Axes | None, Axes | None]:
        """Returns axes known to suit so many rows of a range, and wide ones that may do; see `IndexJob`."""
        axes: Axes | None = None
        wide: list[Axes] = []
        for segment in self._segments:
            known = segment.axes
            if known is None:
                continue
            if start <= segment.start and segment.stop <= stop and rows < AXES_GROWTH * known.rows:
                axes = known
            if known.wide is not None and rows < WIDE_GROWTH * known.wide.rows:
                wide.append(known.wide)
        return axes, max(wide, key=lambda each: each.rows, default=None)

    def _finish(self, segment: Segment | None) -> None:
        self._job = None
        if segment is None:
            return
        others = [s for s in self._segments if s.stop <= segment.start or s.start >= segment.stop]
        segment.dead = int(np.count_nonzero(self._died[segment.labels] != ALIVE))
        self._segments = sorted((*others, segment), key=lambda s: s.start)
        self._mergeable, self._scattered = mergeable(self._segments), scattered(self._segments)

"""An index over texts: BM25, at any version, visible at once, also of a text with what was said around it.

The formula is that of Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond"
(2009), with Lucene's idf, log(1 + (N - n + 0.5) / (n + 0.5)). A search skips what cannot be among the best:
MaxScore (Turtle and Flood, "Query Evaluation: Strategies and Optimizations", 1995), term by term, so that
numpy does the work.

Rows are appended in the order of their versions and never change but for the version they died at. A search
as of a version therefore sees a prefix of every posting list, and takes N, n and the mean length from that
prefix: the scores are those that were given then. Dead rows go on counting in these statistics until the
index is rebuilt.

What is added is gathered as it comes, and taken to the posting lists by the next search, or once it is much:
many texts at a time, as when a namespace is loaded, take a third of the time that one after the other takes.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.rows import ALIVE
from memraft_server.projections.text_places import NO_ROW, Places
from memraft_server.projections.text_postings import NO_POSTINGS, TIMES_BITS, TIMES_MAX, Packed, Postings
from memraft_server.projections.text_ranks import (
    Term,
    best,
    count_together,
    distinct,
    keys_of,
    kth,
    runs,
    times_of,
    unique,
)
from memraft_server.projections.vector_math import Floats, Rows
from memraft_server.projections.versions import NOW

ROWS_MAX = (1 << 32 - TIMES_BITS) - 1
"""Texts an index holds, more than fit into a machine's memory: what of a posting is the row has 28 bits."""

SCANNED_MAX = 4096
"""Up to this many words an index is one forward array that every search looks through (about 6 µs a term);
above it has a posting list for each term. A namespace of ten memories then takes under 3 KB, not 25."""

GATHERED_MAX = 1 << 15
"""Words that are taken to the posting lists at a time, at most: some 5 ms."""

FEW_WORDS = 64
"""So few are taken one by one, which is quicker."""

QUERY_TERMS_MAX = 64
"""Terms of a query that are looked for; of a longer one the rarest."""

FEW_ROWS = 1024
"""Of so few rows that may be found, of 64 times as many, each is looked up in the postings, rather than these
gone through."""

HOPED_MAX = 1024
"""Most rows to find in the hope that enough of them may be found; then all are judged."""

_NEXT_ROW = 1 << TIMES_BITS
"""From the posting of a row to one of the next."""

_ROW_BITS, _ROW_MASK = np.uint64(32), np.uint64((1 << 32) - 1)
"""Of a word that is sorted into its list: above them the number of its term."""

_ROUNDING = 1.001
"""Bounds are this much wider than computed: sums of float32 in another order differ in their last bits."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The two of BM25: `k1`, how soon a term said again stops to count, and `b`, how much long texts pay."""

    k1: float = 0.9
    b: float = 0.4


@dataclass(frozen=True, slots=True)
class Window:
    """How much of a text's neighbours in its thread counts as said by itself, by their distance.

    The defaults are measured: docs/recall-quality.md.
    """

    before: tuple[float, ...] = (0.6, 0.4)
    after: tuple[float, ...] = (0.4, 0.25)


@dataclass(frozen=True, slots=True)
class Windows:
    """Which row stands at each place of the windows around some rows, and how much it counts there.

    `places` and `weights` are of shape (places, rows); the first place is the row itself. Where there is no
    row, or one that is dead, the weight is 0. `whole` is the sum of weights of a window without gaps.
    `needed` are the rows of all places, each once and ascending, and `index` says where in it each place is.
    """

    places: Rows
    weights: Floats
    whole: np.float32
    needed: Rows
    index: Rows


class Judge(Protocol):
    """Says which rows may be found, where that takes long to find out for all."""

    def __getitem__(self, rows: Rows, /) -> NDArray[np.bool_]:
        """Says of each of these rows whether it may be found."""

    def whole(self) -> NDArray[np.bool_]:
        """Says it of all rows."""


Allowed = NDArray[np.bool_] | Judge
"""Per row, whether it may be found."""

DEFAULT_PARAMETERS = Parameters()
DEFAULT_WINDOW = Window()


class Vocabulary:
    """Numbers for terms, shared by all indexes of a process: a term's text is held once."""

    __slots__ = ("_numbers", "_unused")

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._unused = itertools.count()

    def __len__(self) -> int:
        return len(self._numbers)

    def numbers(self, terms: Collection[str]) -> list[int]:
        """Returns the terms' numbers, new ones for new terms; of several threads all get the same."""
        known = self._numbers
        found = list(map(known.get, terms))
        if None in found:
            found = [
                known.setdefault(term, next(self._unused)) if number is None else number
                for term, number in zip(terms, found, strict=True)
            ]
        return cast(list[int], found)

    def find(self, term: str) -> int | None:
        """Returns the term's number, or None for one that was never said."""
        return self._numbers.get(term)


_NONE_KNOWN: tuple[NDArray[np.bool_], int] = (np.ones(0, np.bool_), 0)
_NOTHING_ASKED: tuple[tuple[int, ...], Mapping[str, float], list[Term]] = ((), {}, [])


class TextIndex:
    """Texts in rows; see the module for what it promises.

    Numpy's views of columns get no name: a traceback that someone keeps would keep them, and an array that is
    looked at cannot grow.

    Args:
        vocabulary: The numbers of terms, shared with other indexes.
        parameters: Of BM25.
    """

    __slots__ = (
        "_asked", "_born", "_died", "_ends", "_known", "_last_end", "_lengths", "_listed", "_lists", "_next",
        "_parameters", "_places", "_previous", "_totals", "_vocabulary", "_words",
    )  # fmt: skip

    def __init__(self, vocabulary: Vocabulary, parameters: Parameters = DEFAULT_PARAMETERS) -> None:
        self._vocabulary = vocabulary
        self._parameters = parameters
        self._born = array("q")
        self._died: array[int] | None = None  # of each row, once one has died
        self._ends = array("i")  # the rows that died
        self._last_end = 0
        self._known = _NONE_KNOWN
        self._lengths = array("f")
        self._totals = array("q", (0,))  # of lengths, between any two rows: their mean is two look-ups
        # One item more than rows, so that there is no row after the link of no row, which is the last item.
        self._previous = array("i", (NO_ROW,))
        self._next = array("i", (NO_ROW,))
        self._places: Places | None = None
        self._asked = _NOTHING_ASKED
        """The terms of the last query: a recall asks for them twice."""
        self._lists: dict[int, Postings] = {}
        """The number of a term -> who says it; of a small index there are none."""
        self._listed = 0
        """Rows before this one are in the lists."""
        self._words = array("I")
        """Numbers of the terms that the other rows say, one row after the other."""

    def __len__(self) -> int:
        return len(self._born)

    def add(self, terms: Sequence[str], version: int, previous: int = NO_ROW, replaced: int = NO_ROW) -> int:
        """Appends a text and returns its row; the next search finds it.

        Args:
            terms: What it says, of `text_terms.terms_of`.
            version: It was born at; not below that of the row before.
            previous: The row said before it in its thread, which no other row may follow, or `NO_ROW`.
            replaced: The row whose place in its thread it takes from `version` on, or `NO_ROW`.
        """
        row = self._append(version, previous, replaced)
        self._lengths[row] = len(terms)
        self._totals[row + 1] = self._totals[row] + len(terms)
        self._words.extend(self._vocabulary.numbers(terms))
        if len(self._words) > GATHERED_MAX:
            self._list_words()
        return row

    def rows_of(self, versions: Rows) -> Rows:
        """Returns the rows that were born at these versions, where there are such."""
        at = np.frombuffer(self._born, np.int64).searchsorted(versions)
        at = at[at < len(self)]
        rows: Rows = at[np.isin(np.frombuffer(self._born, np.int64)[at], versions)]
        return rows

    def kill(self, row: int, version: int) -> None:
        """Notes that the text of a row is gone from `version` on."""
        if self._died is None:
            self._died = array("q", (ALIVE,)) * len(self)
        self._died[row] = version
        self._ends.append(row)
        self._last_end = max(self._last_end, version)

    def alive(self, rows: Rows, ceiling: int) -> NDArray[np.bool_]:
        """Says of each row whether its text is there as of version `ceiling`."""
        alive: NDArray[np.bool_] = np.frombuffer(self._born, np.int64)[rows] <= ceiling
        if self._died is not None:
            alive &= np.frombuffer(self._died, np.int64)[rows] > ceiling
        return alive

    def search(
        self,
        query: Mapping[str, float],
        k: int,
        ceiling: int = NOW,
        allowed: Allowed | None = None,
    ) -> tuple[Rows, Floats]:
        """Returns the `k` rows of the highest BM25 above 0, best first, of equal ones the older first.

        Args:
            query: The terms looked for, each with how much it counts: 1 for one said once.
            ceiling: As of this version.
            allowed: Per row of the index, whether it may be found; None for all.
        """
        count = self.count(ceiling)
        terms = self._terms(query, count)
        if not terms or k <= 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if allowed is not None and not isinstance(allowed, np.ndarray):
            return self._search_hoping(query, k, ceiling, allowed)
        mask = self._mask(count, ceiling, allowed)
        if mask is not None and np.count_nonzero(mask) <= min(FEW_ROWS, count >> 6):
            rows = np.flatnonzero(mask)
            rows, scores = self._finish(rows, np.zeros(len(rows), np.float32), terms, count, k)
            return rows[scores > 0], scores[scores > 0]
        return self._search(terms, k, count, mask)

    def _search(
        self, terms: list[Term], k: int, count: int, mask: NDArray[np.bool_] | None
    ) -> tuple[Rows, Floats]:
        scores = np.zeros(count, np.float32)
        said: list[Rows] = []
        bound, threshold, place = sum(map(self._bound, terms)), 0.0, 0
        while place < len(terms) and threshold <= bound * _ROUNDING:
            some = terms[place : place + count_together(terms[place:])]
            rows, gains = self._gains_by(some, count, mask)
            np.add.at(scores, rows, gains)
            said.append(rows)
            place += len(some)
            bound -= sum(map(self._bound, some))
            most = k * len(some)  # a row stands there once for each term
            if len(rows) >= most:
                threshold = max(threshold, kth(scores[rows], most))
        rows = np.concatenate(said)
        # What only the remaining terms say cannot come among the best any more.
        least = threshold - (bound * _ROUNDING if place < len(terms) else 0)
        rows = unique(rows[scores[rows] >= np.float32(least)])
        return self._finish(rows, scores[rows], terms[place:], count, k)

    def around(
        self,
        query: Mapping[str, float],
        windows: Windows,
        ceiling: int = NOW,
    ) -> Floats:
        """BM25 of the rows that `windows` are around: what neighbours say counts in part as said by the row.

        The times of a term and the length of a text are weighted sums over the window, and saturate as those
        of one text do; idf is that of single texts. The mean length is that of a window without gaps.
        """
        needed, count = windows.needed, self.count(ceiling)
        terms = self._terms(query, count)
        if not terms or not len(needed):
            return np.zeros(windows.places.shape[1], np.float32)
        said = np.empty((len(terms) + 1, len(needed)), np.float32)
        said[:-1] = times_of(terms, keys_of(needed))
        said[-1] = np.frombuffer(self._lengths, np.float32).take(needed)
        summed = np.einsum("tdr,dr->tr", said.take(windows.index, axis=1), windows.weights)
        times, own = summed[:-1], summed[-1]
        k1, b = self._parameters.k1, self._parameters.b
        norms = np.asarray(k1 * (1 - b + b / (self._mean(count) * windows.whole) * own), np.float32)
        asked = np.array([term.weight for term in terms], np.float32)
        return np.asarray(asked @ self._gains(times, norms), np.float32)

    def neighbours(self, rows: Rows, reach: int, ceiling: int = NOW) -> Rows:
        """Returns these rows and those up to `reach` before and after in their threads, ascending."""
        places: Rows = unique(self._around(rows, (reach, reach), self.count(ceiling)))
        places = places[places != NO_ROW]
        if self._died is not None:
            places = places[self.alive(places, ceiling)]
        return places

    def windows(self, rows: Rows, ceiling: int = NOW, window: Window = DEFAULT_WINDOW) -> Windows:
        """Returns the windows around these rows as of version `ceiling`."""
        places = self._around(rows, (len(window.before), len(window.after)), self.count(ceiling))
        factors = np.array((1.0, *window.before, *window.after), np.float32)
        there = places != NO_ROW
        weights = factors[:, None] * there
        places *= there
        if self._died is not None:
            weights *= self.alive(places, ceiling)
        whole = np.float32(1 + sum(window.before) + sum(window.after))
        return Windows(places, weights, whole, *distinct(places, len(self)))

    def _around(self, rows: Rows, reach: tuple[int, int], count: int) -> Rows:
        """Returns these rows, then those at the places before and after them: shape (places, rows); `NO_ROW`
        where there is none of the first `count` rows."""
        places = np.empty((1 + sum(reach), len(rows)), np.int64)
        places[0] = rows
        firsts = rows if self._places is None else self._places.firsts(rows)
        place = 0
        for links, steps in zip((self._previous, self._next), reach, strict=True):
            at: NDArray[Any] = firsts
            for _ in range(steps):
                place += 1
                at = np.frombuffer(links, np.int32).take(at, mode="wrap")  # the last item is that of `NO_ROW`
                if count < len(self):
                    at[at >= count] = NO_ROW
                places[place] = at
        if self._places is not None and len(rows):
            there = places[1:] != NO_ROW
            places[1:][there] = self._places.shown(places[1:][there], count)
        return places

    def count(self, ceiling: int) -> int:
        """How many rows were born as of a version."""
        born = self._born
        if not born or born[-1] <= ceiling:
            return len(born)
        return int(np.frombuffer(born, np.int64).searchsorted(ceiling, "right"))

    def is_now(self, ceiling: int) -> bool:
        """Whether nothing came or went after a version."""
        return (not self._born or self._born[-1] <= ceiling) and self._last_end <= ceiling

    def born(self, rows: Rows) -> Rows:
        """Returns the versions at which these rows were born."""
        versions: Rows = np.frombuffer(self._born, np.int64).take(rows)
        return versions

    def rows_born(self, versions: list[int]) -> Rows:
        """Returns the rows that were born at these versions, at each of which one was."""
        rows: Rows = np.frombuffer(self._born, np.int64).searchsorted(np.array(versions, np.int64))
        return rows

    # Steps of a search

    def _search_hoping(
        self, query: Mapping[str, float], k: int, ceiling: int, judge: Judge
    ) -> tuple[Rows, Floats]:
        """Hopes that many of the best may be found, before all rows are judged."""
        hoped = 4 * k
        while hoped <= max(HOPED_MAX, k):
            rows, scores = self.search(query, hoped, ceiling)
            keep = judge[rows]
            if len(rows) < hoped or np.count_nonzero(keep) >= k:
                return rows[keep][:k], scores[keep][:k]
            hoped *= 4
        return self.search(query, k, ceiling, judge.whole())

    def _mean(self, count: int) -> np.float32:
        return np.float32(self._totals[count] / count or 1.0)

    def _norms(self, rows: Rows, count: int) -> Floats:
        lengths = np.frombuffer(self._lengths, np.float32)[rows]
        k1, b = self._parameters.k1, self._parameters.b
        return np.asarray(
            np.float32(k1 * (1 - b)) + np.float32(k1 * b) / self._mean(count) * lengths, np.float32
        )

    def _mask(self, count: int, ceiling: int, allowed: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Says which of the first `count` rows may be found; None: all."""
        if self._died is None:
            return None if allowed is None else allowed[:count]
        if self.is_now(ceiling):
            living = self._living()[:count]
            return living if allowed is None else living & allowed[:count]
        dead = np.array(self._ends, np.int32)
        dead = dead[dead < count]
        dead = dead[np.frombuffer(self._died, np.int64)[dead] <= ceiling]
        mask = np.ones(count, np.bool_) if allowed is None else allowed[:count].copy()
        mask[dead] = False
        return mask

    def _living(self) -> NDArray[np.bool_]:
        """Says which rows live now; what has changed since it was last asked for is made up for."""
        known, ends = self._known
        if len(known) < len(self):
            grown = np.ones(len(self) + (len(self) >> 3), np.bool_)
            grown[: len(known)] = known
            known = grown
        known[np.frombuffer(self._ends, np.int32)[ends:]] = False
        self._known = known, len(self._ends)
        return known

    def _terms(self, query: Mapping[str, float], count: int) -> list[Term]:
        """The terms that any of the first `count` rows says, the weightiest first."""
        key = (count, len(self))
        if self._asked[0] == key and self._asked[1] == query:
            return self._asked[2]
        if len(self._words) > SCANNED_MAX or (self._lists and self._words):
            self._list_words()
        numbers = ((self._vocabulary.find(term), times) for term, times in query.items())
        found = []
        for number, times in numbers:
            postings = self._postings(number, count) if number is not None and count else NO_POSTINGS
            if len(postings):
                idf = math.log1p((count - len(postings) + 0.5) / (len(postings) + 0.5))
                found.append(Term(postings, idf * times))
        found.sort(key=lambda term: -term.weight)
        del found[QUERY_TERMS_MAX:]
        self._asked = (key, dict(query), found)
        return found

    def _bound(self, term: Term) -> float:
        return term.weight * (self._parameters.k1 + 1)

    def _gains(self, times: Floats, norms: Floats) -> Floats:
        return np.asarray(times * np.float32(self._parameters.k1 + 1) / (times + norms), np.float32)

    def _finish(
        self, rows: Rows, values: Floats, terms: list[Term], count: int, k: int
    ) -> tuple[Rows, Floats]:
        """Adds the remaining terms to the rows that can still be among the best, and returns these."""
        if not terms:
            return best(rows, values, k)
        norms = self._norms(rows, count)
        bound = sum(map(self._bound, terms))
        for term in terms:
            if len(rows) > k:
                keep = values >= np.float32(kth(values, k) - bound * _ROUNDING)
                rows, values, norms = rows[keep], values[keep], norms[keep]
            times = term.times_in(keys_of(rows)).astype(np.float32)
            values = values + self._gains(times, norms) * np.float32(term.weight)
            bound -= self._bound(term)
        return best(rows, values, k)

    def _gains_by(self, terms: list[Term], count: int, mask: NDArray[np.bool_] | None) -> tuple[Rows, Floats]:
        """What terms add to the scores of the rows that say them, one term after the other."""
        postings = [term.postings for term in terms]
        weights = np.repeat(np.array([term.weight for term in terms], np.float32), list(map(len, postings)))
        packed = np.concatenate(postings) if len(postings) > 1 else postings[0]
        rows = (packed >> TIMES_BITS).astype(np.int64)
        if mask is not None:
            keep = mask[rows]
            rows, packed, weights = rows[keep], packed[keep], weights[keep]
        times = (packed & TIMES_MAX).astype(np.float32)
        return rows, self._gains(times, self._norms(rows, count)) * weights

    # Postings

    def _append(self, version: int, previous: int, replaced: int) -> int:
        """Appends a row without its text."""
        row = len(self._born)
        if row >= ROWS_MAX:
            raise ValueError(f"an index holds at most {ROWS_MAX} texts")
        if row and version < self._born[-1]:
            raise ValueError(f"version {version} after {self._born[-1]}: rows are in the order of versions")
        if previous != NO_ROW and (not 0 <= previous < row or self._next[previous] != NO_ROW):
            raise ValueError(f"row {previous} cannot be followed by row {row}")
        self._born.append(version)
        self._lengths.append(0)
        self._totals.append(0)
        self._previous[row] = previous
        self._previous.append(NO_ROW)
        self._next.append(NO_ROW)
        if previous != NO_ROW:
            self._next[previous] = row
        if replaced != NO_ROW and self._places is None:
            self._places = Places(row)
        if self._places is not None:
            self._places.add(replaced)
        if self._died is not None:
            self._died.append(ALIVE)
        return row

    def _postings(self, number: int, count: int) -> Packed:
        """The packed postings of a term in the first `count` rows, ascending."""
        if self._lists:
            kept = self._lists.get(number)
            postings = kept.view() if kept is not None else NO_POSTINGS
        else:
            said = (np.frombuffer(self._words, np.uint32) == number).nonzero()[0]
            after = np.frombuffer(self._totals, np.int64).searchsorted(said, "right")  # the row after each
            if len(set(after.tolist())) == len(after):  # each row says it once, as mostly
                postings = ((after << TIMES_BITS) - (_NEXT_ROW - 1)).astype(np.uint32)
            else:
                postings = _packed(*runs(after - 1))
        if count < len(self._born):
            postings = postings[: postings.searchsorted(np.uint32(count << TIMES_BITS))]
        return postings

    def _list_words(self) -> None:
        """Takes the words that were gathered to the posting lists of their terms."""
        if len(self._words) <= FEW_WORDS and self._lists:
            self._list_few_words()
            return
        lengths = np.array(self._lengths[self._listed :]).astype(np.int64)
        rows = np.repeat(np.arange(self._listed, len(self), dtype=np.uint64), lengths)
        said, times = runs(np.sort(np.array(self._words, np.uint64) << _ROW_BITS | rows))
        terms, postings = said >> _ROW_BITS, _packed(said & _ROW_MASK, times).tobytes()
        starts = np.flatnonzero(np.diff(terms, prepend=terms[:1] + 1))
        bounds = [*(starts * 4).tolist(), len(postings)]
        lists = self._lists
        for number, start, stop in zip(terms[starts].tolist(), bounds, bounds[1:], strict=False):
            kept = lists.get(number)
            if kept is None:
                kept = lists[number] = Postings()
            kept.after.frombytes(postings[start:stop])
        self._listed, self._words = len(self), array("I")

    def _list_few_words(self) -> None:
        lists, words, totals = self._lists, self._words, self._totals
        start = totals[self._listed]
        for row in range(self._listed, len(self)):
            for number, times in Counter(words[totals[row] - start : totals[row + 1] - start]).items():
                kept = lists.get(number)
                if kept is None:
                    kept = lists[number] = Postings()
                kept.after.append(row << TIMES_BITS | min(times, TIMES_MAX))
        self._listed, self._words = len(self), array("I")


def _packed(rows: NDArray[np.int64] | NDArray[np.uint64], times: Rows) -> Packed:
    """Postings of rows that say a term so often."""
    return (rows << TIMES_BITS).astype(np.uint32) | np.minimum(times, TIMES_MAX).astype(np.uint32)

"""The index of a namespace's memories that a recall looks in: texts, threads, speakers and cues, as of any
version.

Each `MemoryStore` has one, made with the first memory that comes to it or once it is loaded, and told of all
that come after: what was remembered is found by the next recall. A row is a place in `MemoryStore.items`.

A fork has an index of its own memories beside that of what it is a fork of: a read sees several `Part`s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.embedded import Embedded
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.memory_rows import WANTED_ALL, Unjudged, Wanted
from memraft_server.projections.reembedding import Model
from memraft_server.projections.rows import ALIVE
from memraft_server.projections.text import TextIndex, Vocabulary
from memraft_server.projections.text_places import NO_ROW
from memraft_server.projections.text_terms import terms_of
from memraft_server.projections.vector_math import Floats, Rows
from memraft_server.projections.word_kinds import kinds_of
from memraft_server.recall.cues import cues_of
from memraft_server.recall.lengths import lengths_now
from memraft_server.recall.signals import Columns, LengthsOf, VectorsOf
from memraft_server.recall.uses import LastUses

PORTION_TEXTS = 128
"""Texts that are read at a time where many are: some 3 ms."""

VOCABULARY = Vocabulary()
"""Of all indexes of the process; safe for many threads."""


def said(item: Remembered) -> str:
    """Returns the text of a memory as it is found: with the name of who said it."""
    speaker = item.speaker
    return f"{speaker}: {item.text}" if speaker and not item.text.startswith(speaker) else item.text


class MemoryIndex:
    """The index of one store, which follows it.

    Args:
        store: Whose.
    """

    __slots__ = ("_last", "columns", "last_uses", "store", "text")

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.text = TextIndex(VOCABULARY)
        self.columns = Columns()
        self.last_uses = LastUses(store, self.text)
        self._last: dict[str, int] = {}
        """Thread -> its last row."""

    # What happens to the store

    def added(self, row: int, item: Remembered, replaced: Remembered | None) -> None:
        """Takes the next memory: `projections.memories.Follower`."""
        previous, place = NO_ROW, NO_ROW
        thread = item.thread
        if thread and replaced is not None and replaced.thread == thread and replaced.died == item.version:
            place = self.store.row_of(replaced.version)
        elif thread:
            previous = self._last.get(thread, NO_ROW)
            self._last[thread] = row
        terms = terms_of(said(item))
        self.text.add(terms + kinds_of(terms), item.version, previous, place)
        self.columns.append(item.speaker, cues_of(item.text, terms), item.salience)

    def ended(self, item: Remembered) -> None:
        """Notes the end of a memory: `projections.memories.Follower`."""
        self.text.kill(self.store.row_of(item.version), item.died)


@dataclass(frozen=True, slots=True)
class Part:
    """What a read sees of one store.

    Attributes:
        index: Of the store.
        ceiling: The highest version to see.
        allowed: Per row, whether it may be found; None: all may.
        embedded: What the model of the query made; None: nothing.
    """

    index: MemoryIndex
    ceiling: int
    allowed: NDArray[np.bool_] | Unjudged | None
    embedded: Embedded | None = None

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.index.text.count(self.ceiling)

    @property
    def vectors(self) -> VectorsOf | None:
        """Gives the vectors of rows (ascending), of unit length, zeros where there is none; None: there is
        none of any."""
        return self.embedded.embeddings if self.embedded is not None else None

    @property
    def lengths(self) -> LengthsOf | None:
        """Gives the lengths of the means of windows; None: none are kept of what was seen then."""
        text = self.index.text
        if self.embedded is None or not text.is_now(self.ceiling):
            return None
        return partial(lengths_now, self.embedded, text)

    def nearest(self, embedding: Floats, k: int) -> Rows:
        """Returns the rows of the `k` highest cosines, best first; `embedding` is of shape (dimension,)."""
        if self.embedded is None:
            return np.empty(0, np.int64)
        return self.embedded.nearest(embedding, k, self.ceiling, self.allowed)

    def items(self, rows: Rows) -> list[Remembered]:
        """Returns the memories of rows."""
        return list(map(self.index.store.items.__getitem__, rows.tolist()))


def index_of(store: MemoryStore) -> MemoryIndex:
    """Returns the index of a store, made where there is none: before its first memory, so of no texts."""
    if not isinstance(store.follower, MemoryIndex):
        for _ in indexing(store):
            pass
    return cast(MemoryIndex, store.follower)


def indexing(store: MemoryStore) -> Iterator[None]:
    """Makes the index of a store that was loaded, yielding every few milliseconds.

    All texts in one go: where each was read with its row, that took a half longer, of cold caches.
    """
    index = MemoryIndex(store)
    replaced: dict[str, Remembered] = {}
    for row, item in enumerate(store.items):
        index.added(row, item, replaced.get(item.id))
        if item.died != ALIVE:
            replaced[item.id] = item
            index.text.kill(row, item.died)
        if row % PORTION_TEXTS == PORTION_TEXTS - 1:
            yield
    store.follower = index


def parts_of(
    store: MemoryStore, ceiling: int, wanted: Wanted = WANTED_ALL, model: Model | None = None
) -> list[Part]:
    """Returns what a read of a store as of `ceiling` sees: of a fork also of what it is a fork of, less what
    ended in it; that comes first, as it is older. Embeddings are those by `model`, None: the main one."""
    model = model or store.models(ceiling).main
    parts = []
    for each, seen, ended in store.parts(ceiling):
        if not each.items:
            continue
        index = index_of(each)
        allowed = each.found_by.allowed(wanted)
        rows = index.text.rows_of(ended) if len(ended) else ended
        if len(rows):
            allowed = _without(allowed, rows, len(each.items))
        # What a parent embedded after the fork was made may be of another dimension.
        embedded = each.found_by.embedded.get(model.began) if each.has_embeddings(seen) else None
        parts.append(Part(index, seen, allowed, embedded))
    return parts[::-1]


def _without(
    allowed: NDArray[np.bool_] | Unjudged | None, rows: Rows, count: int
) -> NDArray[np.bool_] | Unjudged:
    if isinstance(allowed, Unjudged):
        return allowed.without(rows)
    mask = np.ones(count, np.bool_) if allowed is None else allowed
    mask[rows] = False
    return mask

"""The index of memories against a model, at every version: whatever is remembered, changed and forgotten, it
finds what is there, and around each turn what stood around it; made late or early it is the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memraft_server.projections import text
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.text import Window
from memraft_server.projections.text_terms import terms_of
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import NOBODY, NOW
from memraft_server.recall.index import MemoryIndex, index_of, parts_of

WORDS = ("cat", "dog", "hen", "cow")
WINDOW = Window((0.5, 0.25), (0.5,))

texts = st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join)
ids = st.sampled_from("123456")
steps = st.lists(
    st.one_of(st.tuples(ids, st.sampled_from(("", "a", "b")), texts), st.tuples(ids)),
    min_size=1,
    max_size=25,
)


class Row(NamedTuple):
    """A version of a memory, and the number of the place in its thread where it stands."""

    item: Remembered
    place: int


class Model:
    """What the index must say."""

    def __init__(self, items: list[Remembered]) -> None:
        self.rows: list[Row] = []
        self.threads: dict[str, list[int]] = {}
        heads: dict[str, Row] = {}
        for number, item in enumerate(items):
            old = heads.get(item.id)
            stays = old is not None and old.item.died == item.version and old.item.thread == item.thread
            place = old.place if old is not None and stays and item.thread else number
            if place == number and item.thread:
                self.threads.setdefault(item.thread, []).append(place)
            heads[item.id] = row = Row(item, place)
            self.rows.append(row)

    def lives(self, number: int, ceiling: int) -> bool:
        item = self.rows[number].item
        return item.version <= ceiling < item.died

    def shown(self, place: int, ceiling: int) -> int | None:
        """The row at a place, if it lives."""
        there = [n for n, row in enumerate(self.rows) if row.place == place and row.item.version <= ceiling]
        return there[-1] if there and self.lives(there[-1], ceiling) else None

    def around(self, number: int, ceiling: int) -> dict[int, float]:
        """Row -> how much it counts in the window around a row."""
        row = self.rows[number]
        found = {number: 1.0}
        if row.item.thread:
            places = [p for p in self.threads[row.item.thread] if self.rows[p].item.version <= ceiling]
            at = places.index(row.place)
            for factors, step in ((WINDOW.before, -1), (WINDOW.after, 1)):
                for distance, factor in enumerate(factors, 1):
                    other = at + step * distance
                    shown = self.shown(places[other], ceiling) if 0 <= other < len(places) else None
                    if shown is not None:
                        found[shown] = factor
        return found


def check(index: MemoryIndex, model: Model, ceiling: int) -> dict[str, list[tuple[int, float]]]:
    """The index agrees with the model as of a version; returns what it finds by each word."""
    found = {}
    living = [number for number in range(len(model.rows)) if model.lives(number, ceiling)]
    for word in WORDS:
        rows, scores = index.text.search(dict.fromkeys(terms_of(word), 1.0), 30, ceiling)
        assert set(rows.tolist()) == {n for n in living if word in model.rows[n].item.text.split()}
        found[word] = list(zip(rows.tolist(), scores.tolist(), strict=True))
    windows = index.text.windows(np.array(living, np.int64), ceiling, WINDOW)
    for column, number in enumerate(living):
        pairs = zip(windows.places[:, column].tolist(), windows.weights[:, column].tolist(), strict=True)
        assert {row: weight for row, weight in pairs if weight} == model.around(number, ceiling)
        near = index.text.neighbours(np.array([number], np.int64), 1, ceiling)
        assert set(near.tolist()) <= set(living)
    return found


@given(steps, st.integers(0, 25), st.sampled_from((3, text.SCANNED_MAX)))
def test_it_is_what_the_model_says(log: list[tuple[str, ...]], made_at: int, scanned_max: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "SCANNED_MAX", scanned_max)
        follow(log, made_at)


def follow(log: list[tuple[str, ...]], made_at: int) -> None:
    """Makes one index after some steps, and one after all."""
    store = MemoryStore(Usage())
    early: MemoryIndex | None = None
    for version, step in enumerate(log, 1):
        if version == made_at + 1:
            early = index_of(store)
        if len(step) == 1:
            store.forget(step[0], version)
            continue
        id, thread, said = step
        item = Remembered(id, said, b"", "", "", 0.0, version, NOBODY, thread=thread)
        store.restore(item, None, "")
    model = Model(store.items)
    early = early or index_of(store)
    found = {ceiling: check(early, model, ceiling) for ceiling in [*range(1, len(log) + 1), NOW]}
    store.follower = None
    late = index_of(store)
    assert {ceiling: check(late, model, ceiling) for ceiling in found} == found
    assert [part.index for part in parts_of(store, NOW)] == ([late] if store.items else [])

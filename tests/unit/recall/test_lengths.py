"""Lengths of the means of windows are kept, and are those that would be found anew, whatever came or went."""

from __future__ import annotations

import numpy as np
import pytest

from memraft_server.projections import embedded
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.reembedding import BEGAN, Model
from memraft_server.projections.usage import Usage
from memraft_server.projections.vector_math import Floats, unit
from memraft_server.projections.versions import NOBODY, NOW
from memraft_server.recall.index import Part, index_of, parts_of
from memraft_server.recall.signals import gather

DIMENSION = 8


class Talk:
    """A store of turns of two threads, each with a random embedding."""

    def __init__(self) -> None:
        self.store = MemoryStore(Usage())
        self.random = np.random.default_rng(1)
        self.version = 0
        index_of(self.store)

    def vector(self) -> Floats:
        return self.random.standard_normal(DIMENSION).astype(np.float32)

    def say(self, id: str, thread: str) -> None:
        self.version += 1
        item = Remembered(
            id=id, text="tea", metadata=b"", about="", kind="", salience=0.0, version=self.version,
            author=NOBODY, thread=thread,
        )  # fmt: skip
        self.store.restore(item, self.vector(), "m")

    def forget(self, id: str) -> None:
        self.version += 1
        assert self.store.forget(id, self.version)

    def check(self, model: Model | None = None, ceiling: int = NOW) -> None:
        """Compares what is found with lengths that are kept and with such that are found anew."""
        [part] = parts_of(self.store, ceiling, model=model)
        query = unit(self.vector())
        assert part.lengths is not None
        for _ in range(2):
            kept, anew = cosines(part, query, True), cosines(part, query, False)
            assert len(anew) and kept.tolist() == pytest.approx(anew.tolist(), abs=1e-6)


def cosines(part: Part, query: Floats, keeps: bool) -> Floats:
    nearest = part.nearest(query, 100)
    lengths = part.lengths if keeps else None
    text, columns = part.index.text, part.index.columns
    found = gather("", nearest, query, part.vectors, text, columns, ceiling=part.ceiling, lengths=lengths)
    column: Floats = found.signals[:, 1]
    return column


def test_kept_lengths_follow_what_comes_and_goes() -> None:
    talk = Talk()
    for number in range(12):
        talk.say(str(number), "ab"[number % 2])
    talk.check()
    talk.say("12", "a")
    talk.check()
    talk.forget("5")
    talk.check()
    talk.say("6", "a")  # in its place
    talk.check()
    talk.say("7", "a")  # from one thread to the other
    talk.check()
    talk.say("5", "b")  # again, at the end
    talk.forget("12")
    talk.check()


def test_what_another_model_makes_of_them_little_by_little_has_its_own_lengths() -> None:
    talk = Talk()
    for number in range(6):
        talk.say(str(number), "a")
    talk.check()
    talk.version += 1
    model = Model(talk.version, DIMENSION, "other")
    talk.store.move(BEGAN, model, talk.version, NOBODY)
    for item in tuple(talk.store.items):
        talk.version += 1
        talk.store.embed(item, talk.vector(), model, talk.version)
        talk.check(model)
        talk.check()


def test_after_very_many_changes_all_are_found_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "CHANGED_MAX", 2)
    talk = Talk()
    for number in range(10):
        talk.say(str(number), "a")
    talk.check()
    for id in ("1", "4", "7"):
        talk.forget(id)
    talk.check()


def test_none_are_kept_of_the_past() -> None:
    talk = Talk()
    talk.say("1", "a")
    talk.say("2", "a")
    assert parts_of(talk.store, 1)[0].lengths is None
    talk.forget("2")
    assert parts_of(talk.store, 2)[0].lengths is None
    assert parts_of(talk.store, 3)[0].lengths is not None

"""What the index of memories finds follows what is remembered, as of any version, and in forks."""

from __future__ import annotations

import numpy as np
import pytest

from memraft_server.projections import memory_rows
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.memory_rows import WANTED_ALL, Wanted
from memraft_server.projections.notes import MEMORY, Notes
from memraft_server.projections.text import Window
from memraft_server.projections.text_terms import terms_of
from memraft_server.projections.usage import Usage
from memraft_server.projections.validity import Bounds
from memraft_server.projections.versions import NOBODY, NOW
from memraft_server.recall.index import Part, index_of, parts_of
from memraft_server.recall.signals import gather


class Talk:
    """A store to which memories come, one a version."""

    def __init__(self, notes: Notes | None = None, version: int = 0) -> None:
        self.notes = notes if notes is not None else Notes(None, 1)
        self.store = MemoryStore(Usage(), self.notes)
        self.notes.joined[MEMORY] = self.store
        self.version = version
        index_of(self.store)

    def say(self, text: str, *vector: float, id: str = "", **fields: str | float | bytes) -> int:
        self.version += 1
        item = Remembered(
            id=id or f"m{self.version}", text=text, metadata=b"", about="", kind="", salience=0.0,
            version=self.version, author=NOBODY,
        )  # fmt: skip
        for name, value in fields.items():
            setattr(item, name, value)
        self.store.restore(item, np.array(vector, np.float32) if vector else None, "m" if vector else "")
        return self.version

    def forget(self, id: str) -> None:
        self.version += 1
        assert self.store.forget(id, self.version)

    def fork(self) -> Talk:
        base = self.version
        self.version += 1
        return Talk(Notes(None, 2, self.notes, base), self.version)

    def parts(self, ceiling: int = NOW, wanted: Wanted = WANTED_ALL) -> list[Part]:
        return parts_of(self.store, ceiling, wanted)

    def texts(self, query: str, ceiling: int = NOW, wanted: Wanted = WANTED_ALL) -> list[str]:
        """What is found by text, part by part, best first."""
        asked = dict.fromkeys(terms_of(query), 1.0)
        found = []
        for part in self.parts(ceiling, wanted):
            rows, _ = part.index.text.search(asked, 20, part.ceiling, part.allowed)
            found += [item.text for item in part.items(rows)]
        return found

    def around(self, query: str, ceiling: int = NOW) -> list[str]:
        """The candidates with their neighbours, in order."""
        [part] = self.parts(ceiling)
        text, columns = part.index.text, part.index.columns
        none = np.empty(0, np.int64)
        window = Window((0.5,), (0.5,))
        found = gather(query, none, None, None, text, columns, window, part.ceiling, part.allowed)
        return [item.text for item in part.items(found.rows)]


def test_what_is_remembered_is_found_at_once_and_what_is_forgotten_as_of_before() -> None:
    talk = Talk()
    talk.say("The cat sleeps", id="cat")
    talk.say("The dog and the cat", id="dog")
    assert talk.texts("cats") == ["The cat sleeps", "The dog and the cat"]
    talk.forget("cat")
    assert talk.texts("cats") == ["The dog and the cat"]
    talk.say("The dog", id="dog")
    assert talk.texts("cats") == []
    assert talk.texts("cats", ceiling=3) == ["The dog and the cat"]
    assert talk.texts("cats", ceiling=1) == ["The cat sleeps"]


def test_who_said_it_is_a_word_of_it() -> None:
    talk = Talk()
    talk.say("I wait", speaker="Ada")
    talk.say("Ada: I ride", speaker="Ada")
    assert talk.texts("Ada") == ["I wait", "Ada: I ride"]


def test_a_turn_is_the_neighbour_of_those_before_and_after_in_its_thread() -> None:
    talk = Talk()
    for text, thread in (("one", "a"), ("two", "b"), ("three", "a"), ("four", ""), ("five", "a")):
        talk.say(text, thread=thread)
    assert talk.around("three") == ["one", "three", "five"]
    assert talk.around("two") == ["two"]
    assert talk.around("four") == ["four"]
    assert talk.around("three", ceiling=4) == ["one", "three"]


def test_a_new_version_takes_the_place_of_the_old_one_in_its_thread() -> None:
    talk = Talk()
    for text in ("one", "two", "three"):
        talk.say(text, id=text, thread="a")
    before = talk.version
    talk.say("zwei", id="two", thread="a")
    talk.say("deux", id="two", thread="a")
    talk.say("four", thread="a")
    assert talk.around("one") == ["one", "deux"]
    assert talk.around("deux") == ["one", "three", "deux"]
    assert talk.around("three") == ["three", "deux", "four"]
    assert talk.around("two", ceiling=before) == ["one", "two", "three"]
    assert talk.around("three", ceiling=before + 1) == ["three", "zwei"]


def test_a_forgotten_turn_leaves_its_place_empty_and_does_not_come_back_to_it() -> None:
    talk = Talk()
    for text in ("one", "two", "three"):
        talk.say(text, id=text, thread="a")
    talk.forget("two")
    assert talk.around("one") == ["one"]
    talk.say("again", id="two", thread="a")
    assert talk.around("three") == ["three", "again"]
    talk.say("elsewhere", id="two", thread="b")
    assert talk.around("three") == ["three"]


def test_only_what_is_wanted_is_found() -> None:
    talk = Talk()
    talk.say("red cat", about="ann", kind="fact", metadata=b'{"n": 1}')
    talk.say("blue cat", about="ann", kind="plan", metadata=b'{"n": 2}', valid_from_us=50)
    talk.say("green cat", about="bob", kind="fact", metadata=b'{"n": 3}', valid_until_us=40)
    assert talk.texts("cat", wanted=Wanted(abouts=["ann"])) == ["red cat", "blue cat"]
    assert talk.texts("cat", wanted=Wanted(kind="fact")) == ["red cat", "green cat"]
    assert talk.texts("cat", wanted=Wanted(abouts=["ann"], kind="plan")) == ["blue cat"]
    assert talk.texts("cat", wanted=Wanted(abouts=["nobody"])) == []
    assert talk.texts("cat", wanted=Wanted(valid_at_us=45)) == ["red cat"]
    assert talk.texts("cat", wanted=Wanted(abouts=["ann"], valid_at_us=60)) == ["red cat", "blue cat"]
    odd = Wanted(filter_text=b"odd", predicate=lambda metadata: metadata["n"] % 2 == 1)
    assert talk.texts("cat", wanted=odd) == ["red cat", "green cat"]
    assert talk.texts("cat", ceiling=2, wanted=odd) == ["red cat"]


@pytest.mark.parametrize("share", [2, 50])
def test_of_many_memories_only_the_best_are_judged_where_enough_of_them_pass(
    share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk, judged, counts = Talk(), list[object](), list[int]()
    talk.say("gone cat", 1, 0, id="gone", metadata=b'{"n": 0}')
    for number in range(1, 2000):
        talk.say(f"cat {'cat ' * (number % 5)}", 1, number % 50 - 9, metadata=b'{"n": %d}' % number)
    fork = talk.fork()
    fork.forget("gone")

    def passes(metadata: dict[str, int]) -> bool:
        judged.append(metadata)
        return metadata["n"] % share == 0

    def found(talk: Talk, text: bytes) -> tuple[list[int], list[int]]:
        [part] = talk.parts(wanted=Wanted(filter_text=text, predicate=passes))
        rows, _ = part.index.text.search({"cat": 1.0}, 20, part.ceiling, part.allowed)
        counts.append(len(judged))
        return rows.tolist(), part.nearest(np.array([1, 0], np.float32), 20).tolist()

    whole, whole_fork = found(talk, b"all"), found(fork, b"all")
    monkeypatch.setattr(memory_rows, "JUDGED_MAX", 100)
    judged.clear()
    assert found(talk, b"some") == whole
    assert found(fork, b"fork") == whole_fork
    assert 0 not in whole_fork[1] and 0 in whole[1]
    assert (counts[-2] < 100) == (share == 2), "of a filter that few pass all are judged"


def test_vectors_are_found_among_memories_without() -> None:
    talk = Talk()
    talk.say("no vector", about="x")
    talk.say("east", 1, 0, about="x")
    talk.say("nothing either")
    talk.say("north", 0, 2, about="y")
    talk.say("north-east", 1, 1, about="x")
    [part] = talk.parts()
    query = np.array([0, 1], np.float32)
    assert part.nearest(query, 5).tolist() == [3, 4, 1]
    assert part.vectors is not None
    assert part.vectors(np.array([2, 3, 4])).tolist() == pytest.approx(
        np.array([[0, 0], [0, 1], [0.5**0.5, 0.5**0.5]])
    )
    [part] = talk.parts(wanted=Wanted(abouts=["x"]))
    assert part.nearest(query, 5).tolist() == [4, 1]
    [part] = talk.parts(ceiling=3)
    assert part.nearest(query, 5).tolist() == [1]


def test_a_fork_sees_its_own_and_what_it_has_of_its_parent() -> None:
    talk = Talk()
    talk.say("first cat", 1, 0, id="first")
    talk.say("second cat", 0, 1, id="second")
    fork = talk.fork()
    talk.say("later cat")
    assert fork.texts("cat") == ["first cat", "second cat"]
    at = fork.version
    fork.forget("first")
    fork.say("second dog", id="second")
    fork.say("third cat")
    assert fork.texts("cat dog") == ["second dog", "third cat"]
    assert fork.texts("cat dog", ceiling=at) == ["first cat", "second cat"]
    assert talk.texts("cat") == ["first cat", "second cat", "later cat"]
    deeper = fork.fork()
    deeper.say("deep cat")
    assert sorted(deeper.texts("cat dog")) == ["deep cat", "second dog", "third cat"]
    nearest = [part.nearest(np.array([1, 0], np.float32), 3).tolist() for part in deeper.parts(ceiling=at)]
    assert nearest[0] == [0, 1]


def test_an_index_that_is_made_late_knows_all_that_came_before() -> None:
    talk = Talk()
    for text in ("one", "two", "three"):
        talk.say(text, id=text, thread="a")
    talk.say("zwei", id="two", thread="a")
    talk.forget("three")
    talk.store.follower = None
    assert talk.around("one") == ["one", "zwei"]
    assert talk.texts("three") == []
    assert talk.texts("three", ceiling=3) == ["three"]


@pytest.mark.parametrize("count", [10, 3000])
def test_what_becomes_true_in_a_span_is_found_in_order_of_time(count: int) -> None:
    bounds, times = Bounds(), list[int]()
    rng = np.random.default_rng(5)
    for row in range(count):
        times.append(int(rng.integers(1, 50)))
        bounds.add(row, times[row], 0)
        if row % 700 == 5:
            bounds.starting(0, 100, 3)
    for start, end in ((0, 100), (10, 12), (49, 50), (60, 70)):
        wanted = [row for row in range(count) if start <= times[row] < end]
        assert bounds.starting(start, end, count).tolist() == wanted
        last = sorted(wanted, key=lambda row: times[row])[-3:]
        assert bounds.starting(start, end, 3).tolist() == sorted(last)

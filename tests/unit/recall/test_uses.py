"""When each memory was last recalled is kept by row; it is what is known by its id, whatever comes."""

from __future__ import annotations

import numpy as np
import pytest

from memraft_server.projections import receipts
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.receipts import Uses
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import NOBODY
from memraft_server.recall.index import index_of


class Talk:
    """A store of memories, and their uses."""

    def __init__(self) -> None:
        self.store = MemoryStore(Usage())
        self.index = index_of(self.store)
        self.uses = Uses(Usage(), None, 0)
        self.version = 0

    def say(self, *ids: str) -> None:
        for id in ids:
            self.version += 1
            item = Remembered(id, "tea", b"", "", "", 0.5, self.version, NOBODY)
            self.store.restore(item, None, "")

    def use(self, *ids: str) -> int:
        self.version += 1
        self.uses.add(ids, self.version)
        return self.version

    def kept(self) -> dict[str, int]:
        """By id what is kept of the memories that live; compared with what is known by their ids."""
        rows = np.flatnonzero(self.index.text.alive(np.arange(len(self.store.items)), self.version))
        ids = [self.store.items[row].id for row in rows.tolist()]
        found = self.index.last_uses.of(rows, self.uses).tolist()
        assert found == self.uses.last_versions(ids)
        return dict(zip(ids, found, strict=True))


def test_uses_that_come_and_go_are_seen_by_the_next_recall() -> None:
    talk = Talk()
    talk.say("a", "b", "c")
    assert talk.kept() == {"a": 0, "b": 0, "c": 0}
    first, second = talk.use("a", "b"), talk.use("b", "gone")
    assert talk.kept() == {"a": first, "b": second, "c": 0}
    talk.uses.discard(("b", "gone"), second)
    assert talk.kept() == {"a": first, "b": first, "c": 0}


def test_what_is_remembered_anew_has_the_uses_of_its_id() -> None:
    talk = Talk()
    talk.say("a", "b")
    used = talk.use("a")
    assert talk.kept() == {"a": used, "b": 0}
    talk.say("a")
    assert talk.kept() == {"b": 0, "a": used}
    again = talk.use("a")
    assert talk.kept() == {"b": 0, "a": again}


def test_after_very_many_uses_all_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "CHANGED_MAX", 2)
    talk = Talk()
    talk.say("a", "b", "c")
    talk.kept()
    used = talk.use("a", "b", "c")
    assert talk.kept() == {"a": used, "b": used, "c": used}


def test_uses_are_those_of_now_where_none_came_after_and_none_are_inherited() -> None:
    talk = Talk()
    used = talk.use("a")
    assert talk.uses.is_now(used) and not talk.uses.is_now(used - 1)
    assert not Uses(Usage(), talk.uses, used).is_now(used)

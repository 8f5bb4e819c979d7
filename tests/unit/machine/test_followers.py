"""Indexes over records: whoever follows them is told the same, whenever it begins."""

from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import Author, OrderedRecords, Record, VersionedRecords

ALICE = Author("alice", "", "")


class Told:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.changes: dict[str, list[tuple[bytes | None, bytes | None]]] = {}

    def changed(self, name: str, old: Record | None, new: Record) -> None:
        self.changes.setdefault(name, []).append((old.value if old else None, new.value))


def filled(records: VersionedRecords) -> VersionedRecords:
    records.store("a", b"1", 1, ALICE, 0)
    records.store("b", b"2", 2, ALICE, 0)
    records.store("a", b"3", 3, ALICE, 0)
    records.remove("a", 4, ALICE)
    records.store("a", b"5", 5, ALICE, 0)
    return records


EXPECTED = {"a": [(None, b"1"), (b"1", b"3"), (b"3", None), (None, b"5")], "b": [(None, b"2")]}


def test_a_follower_is_told_every_change_as_it_happens() -> None:
    records, told = VersionedRecords(Usage()), Told()
    records.follow(told)
    filled(records)
    assert told.changes == EXPECTED


def test_a_follower_that_comes_later_is_told_all_that_there_is() -> None:
    records, told = filled(VersionedRecords(Usage())), Told()
    records.follow(told)
    assert told.changes == EXPECTED
    records.unfollow(told)
    records.store("c", b"6", 6, ALICE, 0)
    assert "c" not in told.changes


def test_a_follower_is_told_what_comes_from_a_disk() -> None:
    records, told = OrderedRecords(Usage()), Told()
    records.follow(told)
    source = filled(VersionedRecords(Usage()))
    records.restore("a", [*source.past["a"], source.heads["a"]])
    records.restore_heads(["b"], [source.heads["b"]])
    assert told.changes == EXPECTED
    assert [name for name, _ in records.scan("", "", "", 9)] == ["a", "b"]
    assert [record and record.value for _, record in records.scan("", "b", "", 4)] == [None]

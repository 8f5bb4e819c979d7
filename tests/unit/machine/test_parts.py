"""The small parts: ids, the order of keys, the table of entries."""

import random

import pytest

from memraft_server.machine.entries import EntryTable
from memraft_server.machine.ids import ALPHABET, entry_parts, make_id
from memraft_server.projections.keys import KeyIndex
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import NOW, Author, VersionedRecords

NOBODY = Author("", "", "")


def decode(text: str) -> int:
    number = 0
    for character in text:
        number = number * 32 + ALPHABET.index(character)
    return number


def test_an_id_is_a_ulid_that_tells_time_position_and_seed() -> None:
    parts = entry_parts(1_700_000_000_123_456, 0x1234_5678_9ABC_DEF0)
    made = make_id(parts, 0xF_0001)
    assert len(made) == 26
    number = decode(made)
    assert number >> 80 == 1_700_000_000_123
    assert number >> 70 & 1023 == 456
    assert number >> 50 & 0xF_FFFF == 0xF_0001
    assert number & (1 << 50) - 1 == 0x1234_5678_9ABC_DEF0 & (1 << 50) - 1


def test_ids_sort_by_time_then_position() -> None:
    moments = [
        (time_us, position) for time_us in (999, 1_000, 1_001, 10**15) for position in (0, 31, 32, 2**20 - 1)
    ]
    ids = [make_id(entry_parts(time_us, 5), position) for time_us, position in moments]
    assert ids == sorted(ids) and len(set(ids)) == len(ids)


@pytest.mark.parametrize("order", ["ascending", "descending", "random"])
@pytest.mark.parametrize("reads", [False, True])
def test_keys_come_in_order_however_they_were_added(order: str, reads: bool) -> None:
    rng = random.Random(1)
    names = [f"k{number:06d}" for number in range(30_000)]
    added = {"ascending": names, "descending": names[::-1], "random": rng.sample(names, len(names))}[order]
    index = KeyIndex()
    for count, name in enumerate(added, 1):
        index.add(name)
        if reads and count % 1_000 == 7:
            assert sum(1 for _ in index.from_name("")) == count
    assert len(index) == len(names)
    assert list(index.from_name("")) == names
    assert list(index.from_name("k029990")) == names[29_990:]
    assert next(index.from_name("k0123455")) == "k012346"
    assert list(index.from_name("l")) == []


def test_keys_are_ordered_by_code_point() -> None:
    index = KeyIndex()
    for name in ("b", "B", "é", "a", "\U0001f600", "\uffff"):
        index.add(name)
    assert list(index.from_name("")) == ["B", "a", "b", "é", "\uffff", "\U0001f600"]
    assert list(KeyIndex().from_name("")) == []


def test_the_table_of_entries_fills_gaps() -> None:
    table = EntryTable()
    table.add(3, 100, 1)
    table.add(6, 200, 2)
    assert [table.time_us(index << 20) for index in (3, 4, 5, 6)] == [100, 100, 100, 200]
    assert [table.index_at(time_us) for time_us in (99, 100, 199, 200, 300)] == [2, 5, 5, 6, 6]
    assert table.id_of(6 << 20 | 4) == make_id(entry_parts(200, 2), 4)


def test_a_name_with_a_long_past_is_freed_without_recursion() -> None:
    records = VersionedRecords(Usage())
    for version in range(1, 300_001):
        records.store("hot", b"1", version, NOBODY, 0)
    found = records.at("hot", 150_000)
    assert found is not None and found.version == 150_000
    assert [record.version for record in records.versions("hot", NOW, 2)] == [300_000, 299_999]
    del records, found

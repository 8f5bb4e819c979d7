"""The first recall after a start finds what the last one before it found, with the same scores."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from memraft_proto.methods import METHODS
from memraft_proto.v1 import namespace_pb2
from memraft_server.machine import Command, Machine, Refused
from memraft_server.machine.journal import Journal
from memraft_server.projections import text, text_terms, word_forms
from memraft_server.projections.text import SCANNED_MAX
from tests.properties.test_machine_store import Disk

NAMESPACE = "acme/talk"
FORK = f"{NAMESPACE}@f"
COUNT = 240
WORDS_A_TURN = 30
"""So many that an index of all turns has posting lists, and one of a few has none."""


def write(machine: Machine, name: str, namespace: str = NAMESPACE, **fields: Any) -> Any:
    request: Any = METHODS[name].request(namespace=namespace, **fields)
    index = machine.applied_index + 1
    [reply] = machine.apply(index, index * 1000, 7, [Command(METHODS[name].kind, "alice", request)])
    assert not isinstance(reply, Refused), reply
    return reply


def evict(machine: Machine, left: int) -> None:
    """Leaves so many memories, as a leader does where there is no room for more."""
    count = len(list_ids(machine))
    write(machine, "SetNamespaceSettings", memories=namespace_pb2.MemorySettings(entries_max=left))
    while machine.next_due_us() is not None:
        index = machine.applied_index + 1
        machine.apply(index, index * 1000, 7, machine.due(index * 1000, 100))
    assert len(list_ids(machine)) < count


def list_ids(machine: Machine) -> list[str]:
    request: Any = METHODS["ListMemories"].request(namespace=NAMESPACE, limit=1000)
    response: Any = machine.query("ListMemories", request)
    return [each.id for each in response.memories]


def recall(
    machine: Machine, query: str, at_index: int | None = None, namespace: str = NAMESPACE
) -> list[tuple[str, float]]:
    """Returns the ids found with their scores."""
    request: Any = METHODS["Recall"].request(namespace=namespace, query=query)
    if at_index is not None:
        request.context.at_index = at_index
    response: Any = machine.query("Recall", request)
    return [(hit.memory.id, hit.score) for hit in response.hits]


def talked(count: int = COUNT) -> tuple[Machine, Disk]:
    """A machine with a conversation in which some turns were changed, some forgotten and some evicted, and
    with a fork of it that has turns of its own; and its rows."""
    machine, disk = Machine(0, journal=Journal()), Disk()
    for number in range(count):
        embedding = np.array([1, number / count], "<f4").tobytes() if number % 3 else b""
        filling = " ".join(f"w{number * step % 97}" for step in range(WORDS_A_TURN))
        write(
            machine, "Remember", id=str(number % (count - 4)), text=f"cat number{number} {filling}",
            thread=f"thread {number % 7}", speaker=("Ada", "Ben")[number % 2],
            embedding=embedding, fingerprint="m" if embedding else "",
        )  # fmt: skip
    for number in range(5, 8):
        write(machine, "Forget", id=str(number))
    write(machine, "Fork", fork="f")
    write(machine, "Forget", FORK, id="9")
    write(machine, "Remember", FORK, id="8", text="a hen number8", thread="thread 1")
    evict(machine, count - 12)
    disk.save(machine)
    return machine, disk


def asked(count: int) -> list[tuple[str, int | None, str]]:
    queries = (
        "number17",
        f"what did Ben say about number{count - 1}",
        "w5 w31 w60",
        "hen number8 number9 w3",
    )
    seen = ((None, NAMESPACE), (30, NAMESPACE), (count + 1, NAMESPACE), (None, FORK))
    return [(query, *each) for query in queries for each in seen]


@pytest.mark.parametrize("count", [40, COUNT])
@pytest.mark.parametrize("gathered_max", [1000, text.GATHERED_MAX])
def test_the_first_recall_after_a_start_finds_what_was_found_before_it(
    count: int, gathered_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 40 * WORDS_A_TURN < SCANNED_MAX < COUNT * WORDS_A_TURN
    before, disk = talked(count)
    monkeypatch.setattr(text, "GATHERED_MAX", gathered_max)
    found = [recall(before, *each) for each in asked(count)]
    assert all(found)
    for each, expected in zip(asked(count), found, strict=True):
        assert recall(disk.load(), *each) == expected
    machine = disk.load()
    assert not machine.index_pending, "nothing is left to be read"
    assert [recall(machine, *each) for each in asked(count)] == found
    for told in (before, machine):
        write(told, "Remember", id="new", text="a dog", thread="thread 0")
        write(told, "Forget", id="20")
        write(told, "Remember", id="19", text="a hen", thread="thread 5")
    assert recall(machine, "dog")[0][0] == "new"
    for query in ("dog", "hen", "number19"):
        assert recall(machine, query) == recall(before, query)
    for each in asked(count):
        assert recall(machine, *each) == recall(before, *each)


def test_a_save_that_was_cut_short_is_found_neither_whole_nor_in_part() -> None:
    before, disk = talked(40)
    found = [recall(before, *each) for each in asked(40)]
    for number in range(5):
        write(before, "Remember", id=f"late {number}", text=f"number17 late{number}", thread="thread 1")
    disk.save(before, crash_after=3)
    machine = disk.load()
    assert [recall(machine, *each) for each in asked(40)] == found
    assert recall(machine, "late1") == []


def test_texts_are_read_as_this_version_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    before, disk = Machine(0, journal=Journal()), Disk()
    write(before, "Remember", id="hen", text="a hen")
    disk.save(before)
    assert recall(before, "fowl") == []
    monkeypatch.setitem(word_forms.BASES, "hen", "fowl")
    monkeypatch.setattr(text_terms, "_TERMS", type(text_terms._TERMS)())
    machine = disk.load()
    assert [id for id, _ in recall(machine, "fowl")] == ["hen"]
    assert recall(machine, "hens") == []


def test_what_became_true_in_the_time_that_a_query_names_is_found() -> None:
    machine, _ = talked()
    may_us = int(datetime(2023, 5, 10, tzinfo=UTC).timestamp()) * 1_000_000
    write(machine, "Remember", id="move", text="Ada moved to Bergen", valid_from_us=may_us)
    assert "move" not in [id for id, _ in recall(machine, "anything new in April 2023?")]
    assert recall(machine, "anything new in May 2023?")[0][0] == "move"

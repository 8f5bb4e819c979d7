"""After a start memories are found by text as their texts are read, the newest first, and then as before."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from memraft_proto.methods import METHODS
from memraft_server.machine import Command, Machine, Refused
from memraft_server.machine.journal import Journal
from memraft_server.recall.index import AT_ONCE_CHARACTERS, AT_ONCE_TEXTS, PORTION_TEXTS
from tests.properties.test_machine_store import Disk

NAMESPACE = "acme/talk"
COUNT = AT_ONCE_TEXTS + 3 * PORTION_TEXTS


def write(machine: Machine, name: str, namespace: str = NAMESPACE, **fields: Any) -> Any:
    request: Any = METHODS[name].request(namespace=namespace, **fields)
    index = machine.applied_index + 1
    [reply] = machine.apply(index, index * 1000, 7, [Command(METHODS[name].kind, "alice", request)])
    assert not isinstance(reply, Refused), reply
    return reply


def recall(
    machine: Machine, query: str, at_index: int | None = None, **fields: Any
) -> tuple[list[tuple[str, float]], float]:
    """Returns the ids found with their scores, and which share of the texts was looked in."""
    request: Any = METHODS["Recall"].request(namespace=NAMESPACE, query=query, **fields)
    if at_index is not None:
        request.context.at_index = at_index
    response: Any = machine.query("Recall", request)
    return [(hit.memory.id, round(hit.score, 5)) for hit in response.hits], response.text_indexed


def talked() -> tuple[Machine, Disk]:
    """A machine with a conversation in which some turns were changed and some forgotten, and its rows."""
    machine, disk = Machine(0, journal=Journal()), Disk()
    for number in range(COUNT):
        embedding = np.array([1, number / COUNT], "<f4").tobytes() if number % 3 else b""
        write(
            machine, "Remember", id=str(number % (COUNT - 20)), text=f"cat number{number}",
            thread=f"thread {number % 7}", speaker=("Ada", "Ben")[number % 2],
            embedding=embedding, fingerprint="m" if embedding else "",
        )  # fmt: skip
    for number in range(50, 60):
        write(machine, "Forget", id=str(number))
    disk.save(machine)
    return machine, disk


ASKED = [("number7", None), ("number70", None), ("what did Ben say about number115", None), ("number3", 30)]


def test_what_is_loaded_is_found_newest_first_while_its_texts_are_read_and_then_as_before() -> None:
    before, disk = talked()
    machine = disk.load()
    assert machine.index_pending
    [reading] = machine.index_jobs()
    assert machine.install(reading) is reading
    found, share = recall(machine, f"number{COUNT - 1}")
    assert found[0][0] == str((COUNT - 1) % (COUNT - 20))
    assert share == pytest.approx(PORTION_TEXTS / COUNT)
    while machine.install(reading) is not None:
        pass
    assert recall(machine, "number7")[1] == 1
    for query, at_index in ASKED:
        assert recall(machine, query, at_index) == recall(before, query, at_index)


@pytest.mark.parametrize("count", [1, AT_ONCE_TEXTS])
def test_few_texts_are_read_before_the_first_recall_is_answered(count: int) -> None:
    before, disk = Machine(0, journal=Journal()), Disk()
    for number in range(count):
        write(before, "Remember", id=str(number), text=f"cat number{number}", thread="t", speaker="Ada")
    disk.save(before)
    machine = disk.load()
    [reading] = machine.index_jobs()
    found, share = recall(machine, "number0")
    assert (found[0][0], share) == ("0", 1.0)
    assert machine.install(reading) is None
    assert not machine.index_jobs() and not machine.index_pending
    for query in ("number0", f"what did Ada say about number{count - 1}"):
        assert recall(machine, query) == recall(before, query)


def test_few_texts_that_are_long_are_read_in_portions() -> None:
    before, disk = Machine(0, journal=Journal()), Disk()
    for number in range(4):
        write(before, "Remember", id=str(number), text="word " * (AT_ONCE_CHARACTERS // 15))
    disk.save(before)
    machine = disk.load()
    assert recall(machine, "word")[1] == 0
    [reading] = machine.index_jobs()
    assert machine.install(reading) is None
    assert recall(machine, "word") == recall(before, "word")


def test_what_is_remembered_while_texts_are_read_is_found_at_once() -> None:
    before, disk = talked()
    machine = disk.load()
    [reading] = machine.index_jobs()
    assert machine.install(reading) is reading
    for each in (before, machine):
        write(each, "Remember", id="new", text="a dog", thread="thread 0")
        write(each, "Forget", id="100")
        write(each, "Remember", id="99", text="a hen", thread=f"thread {99 % 7}")
    assert recall(machine, "dog")[0][0][0] == "new"
    while machine.install(reading) is not None:
        pass
    for query, at_index in [*ASKED, ("dog", None), ("hen", None), ("number99", None), ("number99", COUNT)]:
        assert recall(machine, query, at_index) == recall(before, query, at_index)


def test_reading_that_was_given_up_is_begun_again() -> None:
    before, disk = talked()
    machine = disk.load()
    for job in machine.index_jobs():
        job.abandon()
    assert machine.index_pending
    for job in machine.index_jobs():
        while machine.install(job) is not None:
            pass
    machine.index_jobs()
    assert not machine.index_pending
    assert recall(machine, "number7") == recall(before, "number7")


def test_what_became_true_in_the_time_that_a_query_names_is_found() -> None:
    machine, _ = talked()
    may_us = int(datetime(2023, 5, 10, tzinfo=UTC).timestamp()) * 1_000_000
    write(machine, "Remember", id="move", text="Ada moved to Bergen", valid_from_us=may_us)
    assert "move" not in [id for id, _ in recall(machine, "anything new in April 2023?")[0]]
    assert recall(machine, "anything new in May 2023?")[0][0][0] == "move"

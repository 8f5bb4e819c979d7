"""The past that is not in memory: read from the disk, the same as it was, after restarts and saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memraft import Memory, ServerError
from memraft_proto.v1 import kv_pb2
from memraft_proto.v1.common_pb2 import ReadContext
from memraft_server import embedded_storage, saver
from memraft_server.store import StateStore
from tests.unit.server.test_embedded_storage import storage_of
from tests.unit.server.test_store import SPACE, Node


@pytest.fixture(autouse=True)
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the past leaves the memory as soon as it is saved, which is after every ten facts."""
    monkeypatch.setattr(saver, "PAST_BYTES", 0)
    monkeypatch.setattr(embedded_storage, "SAVE_FACTS", 10)


def reads(memory: Memory, at: int) -> list[Any]:
    node, state = memory.node("a", at=at), memory.state("s", at=at)
    return [
        memory.get("k", at=at),
        [(each.key, each.value) for each in memory.list(at=at)],
        [each.value for each in memory.history("k", at=at)],
        node.properties if node is not None else None,
        [each.weight for each in memory.neighbours("a", at=at)],
        state.value if state is not None else None,
        memory.counter("c", at=at),
    ]


def fill(memory: Memory) -> tuple[list[int], list[Any]]:
    memory.put_node("b")
    moments, was, version = [], [], 0
    for n in range(40):
        memory.put("k", n)
        if n % 7 == 3:
            memory.delete("k")
        memory.put(f"one-{n}", n)
        memory.put_node("a", {"n": n})
        memory.put_edge("a", "t", "b", weight=float(n))
        version = memory.cas("s", n, expected_version=version).version
        memory.add("c")
        moments.append(memory.put("last", n).log_index)
        was.append(reads(memory, moments[-1]))
    return moments, was


def test_the_past_comes_from_the_disk_while_it_is_written_and_after_restarts(tmp_path: Path) -> None:
    with Memory(path=tmp_path / "m") as memory:
        moments, was = fill(memory)
        records = storage_of(memory).machine.space("default").kv.records
        assert len(records.cold["k"]) // 2 > 30 and len(records.past.get("k", [])) < 10
        assert [reads(memory, at) for at in moments] == was
        fork = memory.fork("f", at=moments[5])
        assert fork.get("k") == was[5][0] and len(fork.history("k")) == len(was[5][2])
    with Memory(path=tmp_path / "m") as memory:
        records = storage_of(memory).machine.space("default").kv.records
        assert not records.past
        assert (len(records.cold["k"]), len(records.cold["last"])) == (2 * 45, 2 * 39)
        assert [reads(memory, at) for at in moments] == was
        assert memory.scoped("default@f").get("k") == was[5][0]
        assert [each.value for each in memory.history_of("counter", "c", limit=2)] == [40, 39]


def test_usage_does_not_depend_on_where_the_past_is(tmp_path: Path) -> None:
    def usage(memory: Memory) -> tuple[int, int]:
        found = storage_of(memory).machine.usage("default")
        return found.bytes, found.records

    with Memory(path=tmp_path / "m") as memory:
        fill(memory)
        before = usage(memory)
    with Memory(path=tmp_path / "m") as memory:
        assert usage(memory) == before
        memory.set_retention(versions=3)
        for _ in range(300):
            memory.put("other", 0)
        assert len(memory.history("k")) == 3
        after = usage(memory)
        assert after[0] < before[0]
    with Memory(path=tmp_path / "m") as memory:
        assert usage(memory) == after and len(memory.history("k")) == 3


def test_a_row_that_is_damaged_is_told_and_nothing_else_suffers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Memory(path=tmp_path / "m") as memory:
        moments, was = fill(memory)
    with Memory(path=tmp_path / "m") as memory:
        sound = StateStore.get
        monkeypatch.setattr(StateStore, "get", lambda store, key: (sound(store, key) or b"")[:-1] + b"?")
        with pytest.raises(ServerError, match="its checksum does not fit"):
            memory.get("k", at=moments[0])
        assert memory.get("last") == 39
        monkeypatch.undo()
        assert memory.get("k", at=moments[0]) == was[0][0]


def test_a_replica_that_got_a_snapshot_reads_the_past_of_it(tmp_path: Path) -> None:
    node, other = Node(tmp_path / "one"), Node(tmp_path / "other")
    for n in range(30):
        node.put(("k", b"%d" % n))
    other.put(("k", b"of another history"))
    for each in (node, other):
        while each.replica.unsaved:
            each.save()
    meta = node.meta()
    other.receive(meta, node.snapshot())
    for at in range(1, node.machine.applied_index + 1):
        answers = [each.machine.query("Get", get_at("k", at)) for each in (node, other)]
        assert answers[0] == answers[1] and answers[0].value == b"%d" % (at - 1)
    other.put(("k", b"30"))
    while other.replica.unsaved:
        other.save()
    other.replica.drop()
    other.store.close()
    node.store.close()


def get_at(key: str, index: int) -> Any:
    return kv_pb2.GetRequest(namespace=SPACE, key=key, context=ReadContext(at_index=index))

"""An embedded memory's state beside its log: what opening needs, what damage says, what older ones left."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from zlib import crc32

import pytest
from rocksdict import Options, Rdict

from memraft import DataDirectoryError, Memory
from memraft_cluster.log import DurableLog
from memraft_cluster.log_records import FRAME_MARK
from memraft_proto.v1 import kv_pb2
from memraft_server import embedded_storage
from memraft_server.embedded_storage import CLUSTER, EmbeddedStorage
from memraft_server.entries import EntryBuilder, encode_command
from memraft_server.machine import Machine
from memraft_server.store import StateStore
from memraft_server.store_repair import SET_ASIDE_MAX, look_over
from tests.images import image
from tests.unit.machine.harness import KINDS


def storage_of(memory: Memory) -> EmbeddedStorage:
    storage: EmbeddedStorage = memory._link._engine._call.__self__._storage  # type: ignore[attr-defined]
    return storage


def killed(memory: Memory, path: Path) -> Path:
    """What a process that is killed now leaves behind."""
    copy = image(path, path.with_name(path.name + "+"))
    memory.close()
    return copy


def in_log(path: Path) -> tuple[int, int]:
    """First and last entry of the log of a memory that is closed."""
    log = DurableLog(path, cluster=CLUSTER, node="local")
    group = log.group(0)
    log.close()
    return group.first_index(), group.last_index()


def damage_state(path: Path) -> Path:
    table = max((path / "state").glob("*.sst"), key=lambda each: each.stat().st_size)
    data = bytearray(table.read_bytes())
    data[len(data) // 3] ^= 1
    table.write_bytes(data)
    return table


def test_closing_leaves_a_state_and_nothing_to_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m"
    with Memory(path=path) as memory:
        first = memory.put("k", 1)
        memory.put("k", 2)
        memory.append("s", {"n": 1})
        memory.remember("likes tea", about="user:1")
        machine = storage_of(memory).machine
    assert in_log(path) == (5, 4)
    monkeypatch.setattr(Machine, "apply", None)  # so that a replay would fail
    with Memory(path=path) as memory:
        assert memory.get("k") == 2 and memory.get("k", at=first.log_index) == 1
        assert memory.verify("s").intact
        assert memory.recall("tea", receipt="none")[0].about == "user:1"  # a receipt is a write
        again = storage_of(memory).machine
        assert again.applied_hash == machine.applied_hash
        assert again.usage("default").bytes == machine.usage("default").bytes


def test_all_fields_of_a_memory_come_back_from_the_state(tmp_path: Path) -> None:
    path = tmp_path / "m"
    with Memory(path=path) as memory:
        memory.remember("plain")
        memory.remember("said", thread="t", speaker="Ann", pinned=True, ttl_ms=10_000_000)
        before = memory.memories().items
    assert in_log(path) == (3, 2)  # nothing is left to replay
    with Memory(path=path) as memory:
        assert memory.memories().items == before


def test_a_killed_process_leaves_state_and_log_that_make_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_storage, "SAVE_FACTS", 10)
    monkeypatch.setattr(embedded_storage, "LOG_KEEP_BYTES", 1_000)
    path = tmp_path / "m"
    memory = Memory(path=path)
    for number in range(200):
        memory.put(f"k{number}", number)
        cutter = storage_of(memory)._cutter
        if cutter is not None:
            cutter.join()
    copy = killed(memory, path)
    first, last = in_log(copy)
    assert 1 < first <= last == 200
    with Memory(path=copy) as memory:
        assert [memory.get(f"k{number}") for number in range(200)] == list(range(200))
        memory.put("more", 1)
    with Memory(path=copy) as memory:
        assert memory.get("more") == 1


def test_a_damaged_state_is_made_anew_where_the_log_holds_everything(tmp_path: Path) -> None:
    path = tmp_path / "m"
    with Memory(path=path) as memory:
        memory.put("k", 1)
        storage = storage_of(memory)
        storage._saver.save(embedded_storage._meta(storage.machine))
        storage._store.flush()
        copy = killed(memory, path)
    for number in range(SET_ASIDE_MAX + 2):
        damage_state(copy)
        memory = Memory(path=copy)
        assert memory.get("k") == 1
        storage = storage_of(memory)
        storage._saver.save(embedded_storage._meta(storage.machine))
        storage._store.close()
        storage.log.close()
        assert len(list(copy.glob("state.damaged-*"))) == min(number + 1, SET_ASIDE_MAX)


def test_a_damaged_state_that_the_log_lacks_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "m"
    with Memory(path=path) as memory:
        for number in range(200):
            memory.put(f"k{number}", "text" * number)
    table = damage_state(path)
    before = table.read_bytes()
    for _ in range(2):
        with pytest.raises(DataDirectoryError, match=rf"{path}/state is damaged: group 0: .*{table.name}"):
            Memory(path=path)
    assert table.read_bytes() == before and not list(path.glob("state.damaged-*"))
    shutil.rmtree(path / "state")
    with pytest.raises(DataDirectoryError, match="it ends at write 0, and the log begins behind 200"):
        Memory(path=path)


def test_a_state_ahead_of_the_log_is_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "m", tmp_path / "o"
    with Memory(path=path) as memory:
        memory.put("k", 1)
    with Memory(path=other) as memory:
        pass
    shutil.rmtree(other / "state", ignore_errors=True)
    shutil.copytree(path / "state", other / "state")
    with pytest.raises(DataDirectoryError, match="it ends at write 1, the log at 0"):
        Memory(path=other)


def test_what_is_relaxed_is_kept_by_a_kill_and_a_power_cut_loses_but_the_end(tmp_path: Path) -> None:
    path = tmp_path / "m"
    memory = Memory(path=path, durability="relaxed")
    events = [{"n": n} for n in range(1_000)]
    memory.append_many("s", events)
    copy = killed(memory, path)
    for _ in range(2):
        with Memory(path=copy, durability="relaxed") as memory:
            assert [each.payload for each in memory.events("s")] == events and memory.verify("s").intact
    # The state was on the disk before the log of the same writes.
    log = DurableLog(copy, cluster=CLUSTER, node="local")
    log.reset(0, None)
    log.close()
    with pytest.raises(DataDirectoryError, match=r"where power failed .* durability='relaxed', open it so"):
        Memory(path=copy)
    for number in range(2):
        with Memory(path=copy, durability="relaxed") as memory:
            assert len(memory.events("s")) == 1_000
            assert memory.append("s", 1).sequence == 1_001 + number


def test_a_look_over_a_store_changes_nothing_and_names_damage(tmp_path: Path) -> None:
    path = tmp_path / "m"
    with Memory(path=path) as memory:
        for number in range(200):
            memory.put(f"k{number}", "text" * number)
    state = path / "state"

    def contents() -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in state.iterdir()}

    before = contents()
    (sound,) = look_over(state, tmp_path / "look")
    assert (sound.group, sound.problem) == (0, "") and sound.rows > 2
    assert sound.meta is not None and sound.meta.index == 200
    assert contents() == before and not (tmp_path / "look").exists()
    table = damage_state(path)
    (damaged,) = look_over(state, tmp_path / "look")
    assert damaged.group == 0 and table.name in damaged.problem and str(state) in damaged.problem
    table.unlink()
    (damaged,) = look_over(state, tmp_path / "look")
    assert damaged.group is None and table.name in damaged.problem


# -- directories of the version before ---------------------------------------------------------------------


def old_directory(path: Path, count: int, format_: int = 2) -> None:
    """A directory as the version before this one left it."""
    path.mkdir()
    (path / "MEMRAFT").write_bytes(b"An embedded memory of Memraft\n")
    database = Rdict(str(path), Options(raw_mode=True))
    stamp = {"format": format_, "cluster": "embedded memory", "node": "local", "node_id": 1}
    database[b"m"] = json.dumps(stamp).encode()
    builder = EntryBuilder()
    for index in range(1, count + 1):
        request = kv_pb2.PutRequest(namespace="default", key=f"k{index}", value=b"%d" % index)
        data = builder.build((encode_command(KINDS[type(request)], "local", request.SerializeToString()),))
        crc = crc32(data, crc32(struct.pack(">IQQ", 0, index, 1)))
        database[struct.pack(">cIQ", b"e", 0, index)] = struct.pack(">IQ", crc, 1) + data
    database.close()


@pytest.mark.parametrize("count", [0, 1, 50])
def test_an_older_directory_opens_with_all_that_it_holds(tmp_path: Path, count: int) -> None:
    path = tmp_path / "m"
    old_directory(path, count)
    for round_ in range(2):
        with Memory(path=path) as memory:
            assert [memory.get(f"k{index}") for index in range(1, count + 1)] == list(range(1, count + 1))
            assert memory.get("new") == (round_ or None)
            memory.put("new", round_ + 1)
    names = {each.name for each in path.iterdir()}
    assert not {name for name in names if name.startswith(("CURRENT", "MANIFEST", "OPTIONS", "rocksdict"))}


@pytest.mark.parametrize("point", ["reset", "commit_move", "finish_move", "rmdir"])
def test_a_move_that_breaks_off_is_done_again_or_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    path = tmp_path / "m"
    old_directory(path, 20)

    def broken(*_: object) -> None:
        raise OSError("the power failed")

    owner = {"reset": DurableLog, "rmdir": Path}.get(point, embedded_storage)
    with monkeypatch.context() as patch:
        patch.setattr(owner, point, broken)
        with pytest.raises(OSError, match="the power failed"):
            Memory(path=path)
    with Memory(path=path) as memory:
        assert memory.get("k20") == 20
        memory.put("new", 1)
    with Memory(path=path) as memory:
        assert memory.get("new") == 1 and memory.get("k1") == 1
    assert not list(path.glob("MANIFEST-*"))


def test_an_older_directory_that_is_damaged_or_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m"
    old_directory(path, 3)
    database = Rdict(str(path), Options(raw_mode=True))
    key = struct.pack(">cIQ", b"e", 0, 2)
    record = database[key]
    database[key] = record[:-1] + b"\xff"
    database.close()
    with pytest.raises(DataDirectoryError, match="index 2: checksum mismatch"):
        Memory(path=path)
    database = Rdict(str(path), Options(raw_mode=True))
    del database[key]
    database.close()
    with pytest.raises(DataDirectoryError, match="entry 2 is missing before entry 3"):
        Memory(path=path)
    old_directory(tmp_path / "n", 1, format_=7)
    with pytest.raises(DataDirectoryError, match="has format 7; this version reads format 2"):
        Memory(path=tmp_path / "n")
    assert StateStore(tmp_path / "s", cluster="c", node="n").groups() == []


@pytest.mark.parametrize("is_head", [False, True], ids=["an entry's data", "the head of a frame"])
def test_damage_in_the_log_to_what_the_state_covers_does_no_harm(
    tmp_path: Path, is_head: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "m"
    memory = Memory(path=path)
    for number in range(20):
        memory.put(f"k{number}", f"text {number}")
    storage = storage_of(memory)
    storage._saver.save(embedded_storage._meta(storage.machine))
    storage._store.flush()
    for number in range(20, 25):
        memory.put(f"k{number}", f"text {number}")
    copy = killed(memory, path)
    segment = copy / "0000000001.log"
    whole = segment.read_bytes()

    def damage(number: int) -> None:
        at = whole.index(f"text {number}".encode())
        if is_head:
            at = whole.rindex(FRAME_MARK, 0, at) + 10
        data = bytearray(whole)
        data[at] ^= 1
        segment.write_bytes(data)

    damage(22)
    with pytest.raises(DataDirectoryError, match=r"0000000001\.log, offset \d+"):
        Memory(path=copy)
    damage(7)
    for more in ("once", "twice", "three times"):
        caplog.clear()
        with Memory(path=copy) as memory:
            assert "0000000001.log" in str(vars(caplog.records[-1])["fields"])
            assert [memory.get(f"k{number}") for number in range(25)] == [f"text {n}" for n in range(25)]
            memory.put("more", more)
    damage_state(copy)
    with pytest.raises(DataDirectoryError, match=r"the log in .* is damaged: 0000000001\.log"):
        Memory(path=copy)

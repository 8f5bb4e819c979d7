"""The state store: a crash leaves a state that was saved, whole; damage is named; a snapshot is one state."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from memraft_cluster.errors import (
    DirectoryLocked,
    DiskError,
    FormatUnsupported,
    SnapshotRefused,
    StateCorrupted,
    WrongDirectory,
)
from memraft_cluster.raft import Membership, SnapshotMeta
from memraft_proto.v1 import kv_pb2, memory_pb2, stream_pb2
from memraft_server import store as store_module
from memraft_server.entries import EntryBuilder, encode_command
from memraft_server.machine import Limits, Machine
from memraft_server.machine.facts import Change
from memraft_server.machine.journal import Journal
from memraft_server.replica import StoredReplica
from memraft_server.saver import stored_journal
from memraft_server.store import ROWS_A_BATCH, SavedState, StateStore
from memraft_server.store_group import GroupStore
from tests.images import image
from tests.unit.machine.harness import KINDS

MEMBERS = Membership.of([1, 2, 3])
SPACE = "acme/a"


class Node:
    """A machine with its store, opened and loaded."""

    def __init__(self, path: Path, group: int = 3) -> None:
        self.path = path
        self.store = StateStore(path, cluster="c", node="n1")
        own = self.store.group(group)
        self.replica = StoredReplica(Machine(group, Limits(), stored_journal(own)), own)
        self.machine = self.replica.machine
        self.progress: list[tuple[int, int]] = []
        self._builder = EntryBuilder()
        try:
            asyncio.run(self.replica.load(lambda *done: self.progress.append(done)))
        except StateCorrupted:
            self.store.close()
            raise

    def put(self, *pairs: tuple[str, bytes]) -> None:
        commands = []
        for place, (key, value) in enumerate(pairs):
            request = kv_pb2.PutRequest(namespace=SPACE, key=key, value=value)
            request.context.client_id = b"0123456789abcdef"
            request.context.request_number = 100 * self.machine.applied_index + place + 1
            request.context.first_unanswered = 1
            commands.append(encode_command(KINDS[type(request)], "alice", request.SerializeToString()))
        self.apply(commands)

    def put_many(self, count: int, value: bytes = b"1") -> None:
        keys = [f"many-{number:06d}" for number in range(count)]
        request = kv_pb2.MultiPutRequest(namespace=SPACE, keys=keys, values=[value] * count)
        self.apply([encode_command(KINDS[type(request)], "alice", request.SerializeToString())])

    def append_many(self, count: int) -> None:
        request = stream_pb2.AppendManyRequest(
            namespace=SPACE, stream="s", types=["t"], payloads=[b'"%s"' % (b"x" * 198)] * count
        )
        self.apply([encode_command(KINDS[type(request)], "alice", request.SerializeToString())])

    def apply(self, commands: list[bytes]) -> None:
        self.replica.apply(self.machine.applied_index + 1, self._builder.build(commands), None)

    def meta(self) -> SnapshotMeta:
        return SnapshotMeta(self.machine.applied_index, 1, MEMBERS)

    def save(self) -> None:
        self.replica.save(self.meta())

    def get(self, key: str) -> bytes | None:
        record = self.machine.kv_head(SPACE, key)
        return record.value if record is not None else None

    def crash_after_flush(self) -> Node:
        """What a new process finds when all that was saved is flushed."""
        self.store.flush()
        return self.crash()

    def crash(self) -> Node:
        """What a new process finds: all that was flushed."""
        copy = self.path.with_name(self.path.name + "+")
        image(self.path, copy)
        (copy / "LOCK").unlink()
        self.store.close()
        return Node(copy)

    def snapshot(self) -> list[bytes]:
        source = self.replica.begin_snapshot()
        chunks: list[bytes] = []
        while (chunk := source.read(len(chunks))) is not None:
            chunks.append(chunk)
        source.close()
        return chunks

    def receive(self, meta: SnapshotMeta, chunks: list[bytes]) -> None:
        sink = self.replica.begin_install(meta)
        for number, chunk in enumerate(chunks):
            sink.write(number, chunk)
        asyncio.run(sink.finish())
        self.replica.install(sink)
        sink.abort()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "state")
    yield made
    made.store.close()


def rows_on_disk(store: StateStore) -> int:
    return sum(1 for key, _ in store._db.items() if key[:1] == b"r")


def test_a_closed_store_opens_with_all_that_was_saved(node: Node) -> None:
    assert node.replica.saved() is None
    node.put(("a", b"1"), ("b", b"2"))
    node.put(("a", b"3"))
    assert node.replica.unsaved
    node.save()
    assert not node.replica.unsaved
    node.put(("a", b"4"))
    label, meta = node.machine.applied_hash, node.replica.saved()
    node.store.close()
    node.store.close()
    again = Node(node.path)
    assert again.replica.saved() == meta == SnapshotMeta(2, 1, MEMBERS)
    assert again.store.bases() == {3: meta}
    assert again.get("a") == b"3" and again.get("b") == b"2"
    assert again.machine.applied_index == 2 and again.machine.applied_hash != label
    assert again.progress[-1][0] == again.progress[-1][1] > 4
    again.store.close()


def test_a_crash_leaves_the_last_state_that_was_flushed(node: Node) -> None:
    node.put(("a", b"1"))
    node.save()
    node.replica.flush()
    node.put(("a", b"2"))
    node.save()
    after = node.crash()
    assert after.get("a") == b"1" and after.replica.saved() == SnapshotMeta(1, 1, MEMBERS)
    after.put(("a", b"2"))
    after.save()
    after.replica.flush()
    last = after.crash()
    assert last.get("a") == b"2"
    last.store.close()


def test_a_label_may_move_without_commands(node: Node) -> None:
    node.put(("a", b"1"))
    node.save()
    later = SnapshotMeta(9, 2, MEMBERS)
    node.replica.save(later)
    assert node.replica.saved() == later
    node.store.close()
    again = Node(node.path)
    assert again.replica.saved() == later and again.machine.applied_index == 1
    again.store.close()


def test_a_large_save_is_written_in_portions_and_counts_once_it_is_whole(node: Node) -> None:
    node.put(("a", b"1"))
    node.save()
    node.put_many(2 * ROWS_A_BATCH + 10)
    whole = node.machine.applied_index
    saves = 0
    while node.replica.unsaved:
        assert node.replica.saved() == SnapshotMeta(1, 1, MEMBERS)
        before = node.replica.unsaved
        node.save()
        saves += 1
        assert before - node.replica.unsaved <= ROWS_A_BATCH
    assert saves == 3 and node.replica.saved() == SnapshotMeta(whole, 1, MEMBERS)


@pytest.mark.parametrize("portions", [1, 2])
def test_what_a_crash_left_of_a_save_is_passed_over_and_deleted(node: Node, portions: int) -> None:
    node.put(("a", b"1"))
    node.save()
    hash_before, rows_before = node.machine.applied_hash, rows_on_disk(node.store)
    node.put_many(2 * ROWS_A_BATCH + 10)
    for _ in range(portions):
        node.save()
    assert rows_on_disk(node.store) == rows_before + portions * ROWS_A_BATCH
    chunks = node.snapshot()
    node.replica.flush()
    after = node.crash()
    assert after.machine.applied_hash == hash_before
    assert after.get("a") == b"1" and after.get("many-000000") is None
    assert rows_on_disk(after.store) == rows_before
    after.put_many(5, b"other")
    after.save()
    after.store.close()
    last = Node(after.path)
    assert last.get("many-000004") == b"other" and last.get("many-000005") is None
    other = Node(node.path.with_name("other"))
    other.receive(SnapshotMeta(1, 1, MEMBERS), chunks)
    assert other.machine.applied_hash == hash_before, "a snapshot has none of it either"
    last.store.close()
    other.store.close()


@pytest.mark.parametrize("written", [1, 2, 3])
def test_a_crash_between_the_blocks_of_one_save_leaves_none_of_them(
    node: Node, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    node.put(("a", b"1"))
    node.save()
    hash_before, rows_before = node.machine.applied_hash, rows_on_disk(node.store)
    node.append_many(2_000)
    writes: list[int] = []
    write = StateStore.write

    def breaking(store: StateStore, batch: Any) -> None:
        if len(writes) == written:
            raise DiskError(store.path, "no space left")
        writes.append(batch.len())
        write(store, batch)

    with monkeypatch.context() as patch:
        patch.setattr(StateStore, "write", breaking)
        with pytest.raises(DiskError):
            node.save()
    assert writes == [1] * written, "a batch a block"
    assert rows_on_disk(node.store) == rows_before + written
    after = node.crash_after_flush()
    assert after.machine.applied_hash == hash_before and rows_on_disk(after.store) == rows_before
    after.append_many(2_000)
    after.save()
    again = after.crash_after_flush()
    assert again.machine.applied_hash == after.machine.applied_hash
    again.store.close()


def test_a_group_that_never_saved_whole_leaves_nothing(node: Node) -> None:
    node.put_many(ROWS_A_BATCH + 10)
    node.save()
    node.replica.flush()
    after = node.crash()
    assert after.replica.saved() is None and after.machine.applied_index == 0
    assert rows_on_disk(after.store) == 0
    after.store.close()


def test_groups_are_apart(node: Node, tmp_path: Path) -> None:
    other = StoredReplica(Machine(4, Limits(), Journal()), node.store.group(4))
    node.put(("a", b"1"))
    node.save()
    other.save(SnapshotMeta(7, 2, MEMBERS))
    assert node.store.groups() == [3, 4]
    other.drop()
    other.drop()
    assert node.store.bases() == {3: SnapshotMeta(1, 1, MEMBERS)}
    assert other.saved() is None
    node.replica.drop()
    assert node.get("a") is None and rows_on_disk(node.store) == 0
    node.put(("b", b"1"))
    node.save()
    node.store.close()
    again = Node(node.path)
    assert again.get("b") == b"1" and again.get("a") is None
    again.store.close()


# -- snapshots ---------------------------------------------------------------------------------------------


def test_a_snapshot_is_one_state_whatever_is_written_meanwhile(node: Node, tmp_path: Path) -> None:
    node.put_many(5_000, b"x" * 200)
    while node.replica.unsaved:
        node.save()
    meta, hash_then = node.meta(), node.machine.applied_hash
    source = node.replica.begin_snapshot()
    assert source.meta == meta
    chunks = [source.read(0)]
    node.put_many(5_000, b"y" * 200)
    node.put(("new", b"1"))
    while node.replica.unsaved:
        node.save()
    node.replica.flush()
    node.store._db.compact_range(None, None)
    while (chunk := source.read(len(chunks))) is not None:
        chunks.append(chunk)
    source.close()
    assert len(chunks) > 4 and all(chunk and len(chunk) <= 1 << 20 for chunk in chunks)
    other = Node(tmp_path / "other")
    other.put(("old", b"1"))
    other.save()
    machine = other.machine
    other.receive(meta, [chunk for chunk in chunks if chunk])
    assert other.replica.machine is machine and machine.applied_hash == hash_then
    assert other.get("many-004999") == b"x" * 200 and other.get("old") is None and other.get("new") is None
    other.put(("after", b"1"))
    other.save()
    other.store.close()
    again = Node(other.path)
    assert again.get("after") == b"1" and again.get("many-000000") == b"x" * 200 and again.get("old") is None
    again.store.close()


def test_a_row_larger_than_a_chunk_travels_in_pieces(node: Node, tmp_path: Path) -> None:
    values = {"a": b"1", "b": bytes(range(256)) * 8_192, "c": b"2", "d": b"3" * 600_000, "e": b""}
    node.put(*values.items())
    node.save()
    chunks = node.snapshot()
    assert max(map(len, chunks)) <= 1 << 20
    other = Node(tmp_path / "other")
    other.receive(node.meta(), chunks)
    assert {key: other.get(key) for key in values} == values
    other.store.close()


def test_no_snapshot_before_there_is_a_state(node: Node) -> None:
    with pytest.raises(SnapshotRefused, match="group 3 has saved no state yet"):
        node.replica.begin_snapshot()


def test_damaged_and_displaced_chunks_are_refused(node: Node, tmp_path: Path) -> None:
    node.put_many(3_000, b"x" * 200)
    while node.replica.unsaved:
        node.save()
    chunks = node.snapshot()
    meta = node.meta()
    other = Node(tmp_path / "other")
    for number in range(len(chunks)):
        sink = other.replica.begin_install(meta)
        for chunk in range(number):
            sink.write(chunk, chunks[chunk])
        for place in (0, 7, 11, len(chunks[number]) // 2, len(chunks[number]) - 1):
            flipped = bytearray(chunks[number])
            flipped[place] ^= 4
            with pytest.raises(SnapshotRefused):
                sink.write(number, bytes(flipped))
        with pytest.raises(SnapshotRefused):
            sink.write(number, chunks[number][:-1])
        with pytest.raises(SnapshotRefused, match=f"chunk {number + 1} came, {number} is next"):
            sink.write(number + 1, chunks[number])
        with pytest.raises(SnapshotRefused):
            sink.write(number, chunks[number - 1])
        with pytest.raises(SnapshotRefused, match="end is missing"):
            asyncio.run(sink.finish())
        with pytest.raises(SnapshotRefused, match="not finished"):
            other.replica.install(sink)
        sink.abort()
        sink.abort()
    sink = other.replica.begin_install(SnapshotMeta(8, 1, MEMBERS))
    with pytest.raises(SnapshotRefused, match="not of SnapshotMeta"):
        sink.write(0, chunks[0])
    sink.abort()
    assert rows_on_disk(other.store) == 0
    other.store.close()


def test_a_snapshot_that_a_crash_broke_off_leaves_nothing(node: Node, tmp_path: Path) -> None:
    node.put_many(3_000, b"x" * 200)
    while node.replica.unsaved:
        node.save()
    chunks = node.snapshot()
    other = Node(tmp_path / "other")
    other.put(("old", b"1"))
    other.save()
    rows = rows_on_disk(other.store)
    sink = other.replica.begin_install(node.meta())
    for number, chunk in enumerate(chunks):
        sink.write(number, chunk)
    other.replica.flush()
    assert rows_on_disk(other.store) > rows
    after = other.crash()
    assert rows_on_disk(after.store) == rows and after.get("old") == b"1"
    after.receive(node.meta(), chunks)
    after.replica.flush()
    last = after.crash()
    assert last.get("old") is None and last.machine.applied_hash == node.machine.applied_hash
    last.store.close()


# -- whose it is, and damage -------------------------------------------------------------------------------


def test_the_directory_of_another_or_one_in_use_is_refused(node: Node) -> None:
    with pytest.raises(DirectoryLocked):
        StateStore(node.path, cluster="c", node="n1")
    node.store.close()
    with pytest.raises(WrongDirectory, match=r"'n1' of cluster 'c'; this is node 'n2' of cluster 'c'"):
        StateStore(node.path, cluster="c", node="n2")
    with pytest.raises(WrongDirectory):
        StateStore(node.path, cluster="d", node="n1")


def test_another_format_is_refused(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.store.close()
    monkeypatch.setattr(store_module, "FORMAT", 2)
    with pytest.raises(FormatUnsupported, match="has format 1; this version reads format 2"):
        StateStore(node.path, cluster="c", node="n1")


def filled(node: Node) -> None:
    """Saves rows of some size, so that they make several blocks of a file."""
    node.put_many(300, b"x" * 100)
    request = memory_pb2.RememberRequest(namespace=SPACE, text="t" * 20_000, id="m")
    node.apply([encode_command(KINDS[type(request)], "alice", request.SerializeToString())])
    node.put(("a", b"1"))
    node.save()
    node.store.close()


def test_a_flipped_bit_anywhere_in_the_data_is_found(node: Node, tmp_path: Path) -> None:
    filled(node)
    files = [*node.path.glob("*.sst"), *node.path.glob("*.blob")]
    assert len(files) > 1
    for file in files:
        data = file.read_bytes()
        for place in range(0, len(data), max(1, len(data) // 40)):
            copy = tmp_path / f"{file.name}-{place}"
            shutil.copytree(node.path, copy)
            flipped = bytearray(data)
            flipped[place] ^= 16
            (copy / file.name).write_bytes(flipped)
            try:
                found = Node(copy)
            except StateCorrupted as damage:
                assert str(copy) in str(damage)
            else:  # What no read needs, such as a table's statistics, may differ unseen.
                assert found.machine.applied_hash == node.machine.applied_hash
                assert found.get("many-000299") == b"x" * 100 and found.get("a") == b"1"
                found.store.close()
            shutil.rmtree(copy)


def test_a_damaged_directory_is_let_go_of_at_once_so_that_another_takes_its_place(
    node: Node, tmp_path: Path
) -> None:
    for number in range(3):
        node.put((f"key-{number}", b"1"))
        node.save()
        node.store.flush()
    node.store.close()
    replaced = 0
    for table in node.path.glob("*.sst"):
        data = table.read_bytes()
        for place in range(0, len(data), max(1, len(data) // 12)):
            copy = tmp_path / f"{table.name}-{place}"
            shutil.copytree(node.path, copy)
            flipped = bytearray(data)
            flipped[place] ^= 16
            (copy / table.name).write_bytes(flipped)
            try:
                StateStore(copy, cluster="c", node="n1").close()
            except StateCorrupted:
                # While the error is still at hand, and with it the frames that it went through.
                copy.rename(copy.with_name(f"{copy.name}-kept"))
                StateStore(copy, cluster="c", node="n1").close()
                replaced += 1
    assert replaced


def test_damage_names_group_and_file_or_row(node: Node) -> None:
    filled(node)
    table = max(node.path.glob("*.sst"), key=lambda each: each.stat().st_size)
    data = table.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 3] ^= 1
    table.write_bytes(flipped)
    with pytest.raises(StateCorrupted, match=rf"state is damaged|group 3: .*{table.name}") as damage:
        Node(node.path)
    assert damage.value.group == 3
    table.unlink()
    with pytest.raises(StateCorrupted, match=table.name):
        Node(node.path)
    table.write_bytes(data)
    (node.path / "CURRENT").unlink()
    with pytest.raises(StateCorrupted, match=r"CURRENT is missing beside .*\.sst"):
        Node(node.path)


@pytest.mark.parametrize("kind", [b"k", b"a", b"b", b"x", b"m"])
def test_a_row_that_is_lost_or_another_than_was_written_is_found(node: Node, kind: bytes) -> None:
    filled(node)
    for change in ("lose", "alter"):
        copy = node.path.with_name(f"{change}-{kind.decode()}")
        shutil.copytree(node.path, copy)
        store = StateStore(copy, cluster="c", node="n1")
        key, value = next((k, v) for k, v in store._db.items() if k[:1] == b"r" and k[9:10] == kind)
        if change == "lose":
            store._db.delete(key)
        else:
            store._db.put(key, value[:-9] + bytes([value[-9] ^ 1]) + value[-8:])
        store.flush()
        store.close()
        with pytest.raises(StateCorrupted) as damage:
            Node(copy)
        assert damage.value.group == 3
        if change == "alter":
            assert key[9:].hex() in str(damage.value)


def test_rows_without_a_stamp_or_a_label_are_refused(node: Node) -> None:
    filled(node)
    copy = node.path.with_name("copy")
    shutil.copytree(node.path, copy)
    for path, key in ((node.path, b"!"), (copy, None)):
        store = StateStore(path, cluster="c", node="n1")
        store._db.delete(key or next(k for k, _ in store._db.items() if k[:1] == b"m"))
        store._db.flush(True)
        store.close()
    with pytest.raises(StateCorrupted, match="no stamp"):
        Node(node.path)
    with pytest.raises(StateCorrupted, match="group 3: the label of generation 1 is missing"):
        Node(copy)


def test_many_sessions_are_saved_in_portions_while_much_else_waits(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of sessions change, so they go with a label, in one batch: no batch may hold too many."""
    written: list[int] = []
    write = GroupStore.write

    def counted(group: GroupStore, changes: Sequence[Change], saved: SavedState | None) -> None:
        written.append(len(changes))
        write(group, changes, saved)

    def many_clients(first: int, count: int = 200) -> None:
        commands = []
        for number in range(first, first + count):
            request = kv_pb2.PutRequest(namespace=SPACE, key=f"of-{number}", value=b"1")
            request.context.client_id = number.to_bytes(16, "big")
            request.context.request_number = request.context.first_unanswered = 1
            commands.append(encode_command(KINDS[type(request)], "alice", request.SerializeToString()))
        node.apply(commands)

    monkeypatch.setattr(GroupStore, "write", counted)
    keys = [f"many-{number}" for number in range(1_000)]
    request = kv_pb2.MultiPutRequest(namespace=SPACE, keys=keys, values=[b"1"] * len(keys))
    node.apply([encode_command(KINDS[type(request)], "alice", request.SerializeToString())] * 60)
    assert node.replica.unsaved >= 60_000
    for turn in range(60):
        many_clients(turn * 200)
        node.save()
    while node.replica.unsaved:
        left = node.replica.unsaved
        node.save()
        assert node.replica.unsaved < left
    rows_a_turn = 200 * 3  # a document, a session and its reply
    assert max(written) <= 2 * ROWS_A_BATCH + rows_a_turn, "not 24,000 with one label"
    assert sum(written) > 60_000 + 60 * rows_a_turn
    again = node.crash_after_flush()
    assert again.get("of-11999") == b"1" and again.machine.applied_hash == node.machine.applied_hash
    again.store.close()

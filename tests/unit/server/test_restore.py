"""A new cluster of any size begins where the backup ends, or nothing is made at all."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from memraft import Memory
from memraft_cluster.errors import DataDirectoryError
from memraft_cluster.layout import Layout
from memraft_cluster.log import DurableLog
from memraft_cluster.meta import META_GROUP
from memraft_cluster.raft import HardState, Membership, SnapshotMeta
from memraft_proto.v1 import kv_pb2
from memraft_server import restore as restore_module
from memraft_server.backup import BackupUnusable, read_manifest
from memraft_server.bootstrap import configured_record
from memraft_server.cli import main
from memraft_server.config import Config
from memraft_server.doctor import examine
from memraft_server.machine import Limits, Machine
from memraft_server.machine.journal import Journal
from memraft_server.machine.limits import POSITION_BITS
from memraft_server.replica import StoredReplica
from memraft_server.restore import RestoreRefused, restore_embedded, restore_node
from memraft_server.storage import RESTORING, open_storage
from tests.unit.machine.harness import command
from tests.unit.server.backups import backup, flip
from tests.unit.server.test_backup import rewrite
from tests.unit.server.test_bootstrap import config

SHARDS = 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A backup of two shards of a cluster of three nodes."""
    backup(tmp_path / "made", tmp_path / "backup", SHARDS)
    return tmp_path / "backup"


def configured(directory: Path, number: int, count: int) -> Config:
    """Node ``number`` of a new cluster of ``count``."""
    made = config(directory, count, shards=SHARDS)
    node = msgspec.structs.replace(made.node, id=number, name=f"n{number}")
    return msgspec.structs.replace(made, node=node)


def loaded(configuration: Config, shard: int) -> tuple[Machine, SnapshotMeta | None, HardState | None]:
    """The machine of a shard as the node of a configuration starts with it."""
    storage = open_storage(configuration, Layout(configuration.cluster.shards))
    replica = StoredReplica(Machine(shard, Limits(), Journal()), storage.store.group(shard))
    asyncio.run(replica.load(lambda *_: None))
    base, state = storage.log.group(shard).base(), storage.log.hard_state(shard)
    assert base == replica.saved()
    assert storage.log.hard_state(META_GROUP) == HardState(0, 0, 0)
    storage.store.close()
    storage.log.close()
    return replica.machine, base, state


@pytest.mark.parametrize("count", [1, 3, 5])
def test_nodes_of_a_new_cluster_begin_where_the_backup_ends(tmp_path: Path, folder: Path, count: int) -> None:
    placed = 0
    for number in range(1, count + 1):
        configuration = configured(tmp_path / f"new-{number}", number, count)
        restored = restore_node(folder, configuration)
        assert examine(tmp_path / f"new-{number}").is_sound
        here = [each for each in configured_record(configuration).shards if number in each.replicas]
        assert [each.shard for each in restored.shards] == [each.shard for each in here]
        for shard in here:
            placed += 1
            machine, base, state = loaded(configuration, shard.shard)
            told = restored.manifest.shards[shard.shard]
            assert machine.applied_hash.hex() == told.applied_hash
            assert machine.last_time_us == told.time_us
            assert base == SnapshotMeta(told.index, told.term, Membership.of(shard.replicas))
            assert state == HardState(told.term, 0, told.index)
            head = machine.kv_head("acme/a", "who")
            assert head is not None and head.value == b"%d" % shard.shard
        with pytest.raises(
            RestoreRefused, match=r"is not empty, it holds '.*: restore into a directory that"
        ):
            restore_node(folder, configuration)
    assert placed == SHARDS * min(count, 3)


def test_a_write_that_was_in_the_backup_is_not_applied_again_when_its_client_asks_again(
    tmp_path: Path, folder: Path
) -> None:
    restored = restore_node(folder, configured(tmp_path / "new", 1, 1))
    machine, _, _ = loaded(configured(tmp_path / "new", 1, 1), 0)
    again = kv_pb2.PutRequest(namespace="acme/a", key="who", value=b"0")
    again.context.client_id, again.context.request_number = b"0123456789abcdef", 101  # as `backups` wrote it
    again.context.first_unanswered = 1
    index = restored.shards[0].index + 1
    reply: Any
    (reply,) = machine.apply(index, machine.last_time_us + 1, 1, [command(again)])
    head = machine.kv_head("acme/a", "who")
    assert head is not None and reply.version == head.version and head.version >> POSITION_BITS == 2


def test_what_does_not_fit_is_refused_and_makes_nothing(tmp_path: Path, folder: Path) -> None:
    new = tmp_path / "new"
    said = r"the backup has 2 shards, the configuration says cluster\.shards = 4: set it to 2"
    with pytest.raises(RestoreRefused, match=said):
        restore_node(folder, config(new, shards=4))
    with pytest.raises(RestoreRefused, match=r"cluster\.join is set"):
        restore_node(folder, config(new, shards=SHARDS, join=True))
    manifest = read_manifest(folder)
    shards = tuple(msgspec.structs.replace(each, slot_end=each.slot_end - 1) for each in manifest.shards)
    rewrite(folder, msgspec.structs.replace(manifest, shards=shards))
    with pytest.raises(
        RestoreRefused, match=r"shard 0 has slots 0 to 2046 in the backup, 0 to 2047 in the new"
    ):
        restore_node(folder, config(new, shards=SHARDS))
    rewrite(folder, msgspec.structs.replace(manifest, slot_count=16_384))
    with pytest.raises(RestoreRefused, match="the backup has 16384 slots, this version 4096"):
        restore_node(folder, config(new, shards=SHARDS))
    assert not new.exists()


@pytest.mark.parametrize("is_there", [False, True])
def test_a_damaged_backup_is_named_and_leaves_nothing(tmp_path: Path, folder: Path, is_there: bool) -> None:
    new = tmp_path / "new"
    if is_there:
        (new / "lost+found").mkdir(parents=True)
    path = folder / read_manifest(folder).shards[1].file
    data = path.read_bytes()
    flip(path, len(data) // 2)
    with pytest.raises(BackupUnusable, match=path.name):
        restore_node(folder, config(new, shards=SHARDS))
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(BackupUnusable, match=path.name):
        restore_node(folder, config(new, shards=SHARDS))
    path.unlink()
    with pytest.raises(BackupUnusable, match=path.name):
        restore_node(folder, config(new, shards=SHARDS))
    assert new.exists() == is_there
    path.write_bytes(data)
    restore_node(folder, config(new, shards=SHARDS))
    loaded(config(new, shards=SHARDS), 1)


def test_a_directory_with_anything_in_it_is_left_alone(tmp_path: Path, folder: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "notes.txt").write_text("mine")
    with pytest.raises(RestoreRefused, match=r"is not empty, it holds 'notes\.txt'"):
        restore_node(folder, config(new, shards=SHARDS))
    assert [each.name for each in new.iterdir()] == ["notes.txt"]
    with pytest.raises(RestoreRefused, match="is a file"):
        restore_node(folder, config(new / "notes.txt", shards=SHARDS))


@pytest.mark.parametrize("moves", range(4))
def test_a_restore_that_a_crash_broke_off_lets_no_node_start_and_is_begun_anew(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    new = config(tmp_path / "new", shards=SHARDS)
    left = moves

    def sync(_: Path) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise OSError("the power failed")

    with monkeypatch.context() as patch:
        patch.setattr(restore_module, "_clear", lambda _: None)  # there is nobody left to clear up
        patch.setattr(Path, "rmdir", lambda _: None)
        patch.setattr(restore_module, "sync_directory", sync)
        if moves == 0:
            patch.setattr(DurableLog, "reset", lambda *_: sync(Path()))
        with pytest.raises(OSError, match="the power failed"):
            restore_node(folder, new)
    assert (tmp_path / "new" / RESTORING).exists()
    with pytest.raises(
        DataDirectoryError, match=r"a restore was begun and not finished: run `memraft restore`"
    ):
        open_storage(new, Layout(SHARDS))
    restore_node(folder, new)
    assert not (tmp_path / "new" / RESTORING).exists()
    loaded(new, 0)


def test_a_backup_of_one_shard_becomes_an_embedded_memory(tmp_path: Path, folder: Path) -> None:
    backup(tmp_path / "one", tmp_path / "single", 1, documents=100)
    restored = restore_embedded(tmp_path / "single", tmp_path / "memory")
    for number in range(2):
        with Memory(path=tmp_path / "memory", namespace="acme/a") as memory:
            assert memory.get("who") == 0 and len(memory.list("many-", limit=500, keys_only=True)) == 100
            assert memory.get("more") == (number or None)
            assert memory.put("more", number + 1).log_index == restored.shards[0].index + 1 + number
            assert memory.get("who", at=2) == 0 and memory.get("who", at=1) is None
    with pytest.raises(RestoreRefused, match="is not empty"):
        restore_embedded(tmp_path / "single", tmp_path / "memory")
    with pytest.raises(RestoreRefused, match="the backup has 2 shards; an embedded memory is 1"):
        restore_embedded(folder, tmp_path / "other")
    path = tmp_path / "single" / restored.shards[0].file
    flip(path, 500)
    with pytest.raises(BackupUnusable, match=path.name):
        restore_embedded(tmp_path / "single", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_command_says_what_it_did_or_why_not(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = """
        node = {{ id = 1, name = "n1", data_dir = "data" }}
        tls = {{ enabled = false }}
        [cluster]
        name = "new"
        shards = {}
        nodes = [{}]
    """
    one, two, three = (
        f'{{ id = {number}, name = "n{number}", peer = "h:71{number}0", client = "h:70{number}0" }}'
        for number in (1, 2, 3)
    )
    path = tmp_path / "node.toml"
    path.write_text(toml.format(3, one))
    assert main(["restore", str(folder), "--config", str(path)]) == 1
    assert "backup has 2 shards, the configuration says cluster.shards = 3" in capsys.readouterr().err
    path.write_text(toml.format(2, one))
    assert main(["restore", str(folder), "--config", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{tmp_path / 'data'}: shards 0, 1; ")
    assert len(said.splitlines()) == 1, "there are no other nodes to restore"
    assert main(["restore", str(folder), "--config", str(path)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert main(["restore", str(tmp_path), "--config", str(path)]) == 1
    assert "no whole backup" in capsys.readouterr().err
    path.write_text(toml.format(2, f"{one}, {two}, {three}").replace('"data"', '"data-of-three"'))
    assert main(["restore", str(folder), "--config", str(path)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "restore n2, n3 from the same backup, too, then start all nodes"

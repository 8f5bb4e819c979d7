"""Backups are whole or none, and say what is wrong with them; a restored cluster begins where they end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from memraft_cluster.layout import Layout
from memraft_cluster.raft import HardState, Membership, SnapshotMeta
from memraft_server.backup import (
    MANIFEST,
    BackupUnusable,
    Manifest,
    ShardWriter,
    read_manifest,
    verify,
    write_manifest,
)
from memraft_server.bootstrap import configured_record
from memraft_server.config import Config
from memraft_server.machine import Limits, Machine
from memraft_server.machine.journal import Journal
from memraft_server.replica import StoredReplica
from memraft_server.restore import RestoreRefused, restore
from memraft_server.storage import open_storage
from tests.unit.server.test_bootstrap import config
from tests.unit.server.test_store import Node

SHARDS = 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A backup of two shards of a cluster of three nodes."""
    made = tmp_path / "backup"
    slots = [(each.first, each.end) for each in configured_record(config(tmp_path, shards=SHARDS)).shards]
    files = []
    for shard in range(SHARDS):
        node = Node(tmp_path / f"source-{shard}", group=shard)
        node.put_many(3_000, b"%d" % shard * 200)
        node.put(("who", b"%d" % shard))
        while node.replica.unsaved:
            node.save()
        writer = ShardWriter(made, shard, slots[shard])
        for chunk in node.snapshot():
            writer.write(chunk)
        files.append(writer.finish())
        writer.abort()
        node.store.close()
    write_manifest(made, "prod", files)
    return made


def test_a_backup_tells_what_it_holds_and_holds_what_it_tells(folder: Path) -> None:
    seen = []
    manifest = verify(folder, lambda *done: seen.append(done))
    assert manifest == read_manifest(folder)
    assert (manifest.cluster, len(manifest.shards)) == ("prod", SHARDS)
    assert manifest.size_bytes == sum(each.stat().st_size for each in folder.glob("*.snapshot"))
    assert all(each.index == 2 and each.rows > 3_000 and each.chunks > 3 for each in manifest.shards)
    assert seen[-1][1] == seen[-1][2] == manifest.shards[-1].size_bytes
    with pytest.raises(BackupUnusable, match="holds a backup already"):
        ShardWriter(folder, 0, (0, 1))


def test_damage_of_any_byte_is_found_and_named(folder: Path) -> None:
    for shard in read_manifest(folder).shards:
        path = folder / shard.file
        data = path.read_bytes()
        for place in (0, 5, 9, 100, len(data) // 2, len(data) - 1):
            flipped = bytearray(data)
            flipped[place] ^= 1
            path.write_bytes(flipped)
            with pytest.raises(BackupUnusable, match=shard.file):
                verify(folder)
        for cut in (0, 10, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:cut])
            with pytest.raises(BackupUnusable, match=shard.file):
                verify(folder)
        path.write_bytes(data + data[:200])
        with pytest.raises(BackupUnusable, match=shard.file):
            verify(folder)
        path.unlink()
        with pytest.raises(BackupUnusable, match=rf"{shard.file} cannot be read"):
            verify(folder)
        path.write_bytes(data)
    verify(folder)
    first, second = (folder / each.file for each in read_manifest(folder).shards)
    whole = first.read_bytes()
    first.write_bytes(second.read_bytes())
    with pytest.raises(BackupUnusable, match=r"is not the file that manifest\.json tells of"):
        verify(folder)
    first.write_bytes(whole)
    for text, reason in ((b"{", "is damaged"), (b'{"format": 9}', "has format 9"), (b"{}", "format None")):
        (folder / MANIFEST).write_bytes(text)
        with pytest.raises(BackupUnusable, match=reason):
            verify(folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(BackupUnusable, match="is no backup"):
        verify(folder)


def test_what_broke_off_is_no_backup(tmp_path: Path, folder: Path) -> None:
    chunks = (folder / "shard-0000.snapshot").read_bytes()
    writer = ShardWriter(tmp_path / "other", 0, (0, 1))
    with pytest.raises(BackupUnusable, match="shard 0: what came is damaged"):
        writer.write(chunks[:50])
    with pytest.raises(BackupUnusable, match="the end is missing after 0 chunks"):
        writer.finish()
    writer.abort()
    writer.abort()
    assert list((tmp_path / "other").iterdir()) == []


def loaded(configured: Config, shard: int) -> tuple[Machine, SnapshotMeta | None, HardState | None]:
    """The machine of a shard as the node of a configuration starts with it."""
    storage = open_storage(configured, Layout(configured.cluster.shards))
    replica = StoredReplica(Machine(shard, Limits(), Journal()), storage.store.group(shard))
    asyncio.run(replica.load(lambda *_: None))
    base, state = storage.log.group(shard).base(), storage.log.hard_state(shard)
    assert base == replica.saved()
    storage.store.close()
    storage.log.close()
    return replica.machine, base, state


@pytest.mark.parametrize("count", [1, 3, 5])
def test_nodes_of_a_new_cluster_begin_where_the_backup_ends(tmp_path: Path, folder: Path, count: int) -> None:
    placed = 0
    for number in range(1, count + 1):
        configured = config(tmp_path / f"new-{number}", count, shards=SHARDS)
        configured = msgspec.structs.replace(
            configured,
            node=msgspec.structs.replace(
                configured.node, id=number, name=f"n{number}", data_dir=str(tmp_path / f"new-{number}")
            ),
        )
        manifest = restore(folder, configured)
        for shard in configured_record(configured).shards:
            if number not in shard.replicas:
                continue
            placed += 1
            machine, base, state = loaded(configured, shard.shard)
            told = manifest.shards[shard.shard]
            assert machine.applied_hash.hex() == told.applied_hash
            assert base == SnapshotMeta(told.index, told.term, Membership.of(shard.replicas))
            assert state == HardState(told.term, 0, told.index)
            head = machine.kv_head("acme/a", "who")
            assert head is not None and head.value == b"%d" % shard.shard
        with pytest.raises(RestoreRefused, match="holds a node's data already"):
            restore(folder, configured)
    assert placed == SHARDS * min(count, 3)


def test_what_does_not_fit_is_refused_and_makes_nothing(tmp_path: Path, folder: Path) -> None:
    new = tmp_path / "new"
    with pytest.raises(RestoreRefused, match=r"backup has 2 shards, the config says cluster.shards = 4: set"):
        restore(folder, config(new, shards=4))
    manifest = read_manifest(folder)
    shards = tuple(msgspec.structs.replace(each, slot_end=each.slot_end - 1) for each in manifest.shards)
    rewrite(folder, msgspec.structs.replace(manifest, shards=shards))
    with pytest.raises(RestoreRefused, match="shard 0 has slots 0 to"):
        restore(folder, config(new, shards=SHARDS))
    rewrite(folder, manifest)
    path = folder / manifest.shards[1].file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BackupUnusable, match=path.name):
        restore(folder, config(new, shards=SHARDS))
    assert not new.exists() or list(new.iterdir()) == []


def rewrite(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))

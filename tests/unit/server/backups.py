"""Backups for tests, made from real machines and stores without a cluster."""

from __future__ import annotations

from pathlib import Path

from memraft_cluster.meta import Record
from memraft_server.backup import BackupFolder, Manifest
from memraft_server.bootstrap import configured_record
from tests.unit.server.test_bootstrap import config
from tests.unit.server.test_store import Node


def record_of(directory: Path, shards: int) -> Record:
    """The record of a cluster of three nodes."""
    return configured_record(config(directory, shards=shards))


def snapshot(directory: Path, shard: int, documents: int) -> list[bytes]:
    """The chunks of a shard with so many documents, and one that says which shard it is."""
    node = Node(directory, group=shard)
    node.put_many(documents, b"%d" % shard * 200)
    node.put(("who", b"%d" % shard))
    while node.replica.unsaved:
        node.save()
    chunks = node.snapshot()
    node.store.close()
    return chunks


def backup(directory: Path, out: Path, shards: int = 2, documents: int = 3_000) -> Manifest:
    """A backup of a cluster of three nodes; what it is made from is in `directory`."""
    record = record_of(directory, shards)
    files = []
    with BackupFolder(out) as folder:
        for each in record.shards:
            writer = folder.shard(each.shard, (each.first, each.end))
            for chunk in snapshot(directory / f"source-{each.shard}", each.shard, documents):
                writer.write(chunk)
            files.append(writer.finish())
            writer.abort()
        return folder.complete(record, files)


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)

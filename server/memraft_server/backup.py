"""A backup: a folder with one file a shard, and a manifest that says what they must be.

::

    manifest.json          cluster, time, shards with their slots; of each file its size, SHA-256, log index
    shard-0000.snapshot    the chunks of the shard's snapshot, one after the other (`snapshot_format`)

Each shard is one state, whole; the shards are of slightly different moments, which the manifest tells. The
manifest is written last: a folder without one is no backup, whatever broke it off. Memory is bounded by a few
chunks, however large a shard is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from memraft_proto.sharding import SLOT_COUNT
from memraft_server.cluster_record import sync_directory
from memraft_server.snapshot_format import (
    HEAD_BYTES,
    OVERHEAD_BYTES,
    ChunkDamaged,
    ChunkReader,
    Header,
    payload_size,
)

FORMAT = 1
MANIFEST = "manifest.json"

Progress = Callable[[int, int, int], None]
"""(shard, bytes done, bytes in all; 0 when not known)."""


class BackupUnusable(Exception):
    """A folder is no backup, or a damaged one, or cannot become one. The message names the file."""


class ShardFile(msgspec.Struct, frozen=True):
    """One shard of a backup.

    Attributes:
        slot_first, slot_end: The slots that hash to it, [first, end).
        index, term: Of the last log entry in it.
        time_us: Commit time of its last write, in microseconds since the epoch.
        applied_hash: The machine's running hash, hexadecimal.
    """

    shard: int
    slot_first: int
    slot_end: int
    file: str
    size_bytes: int
    sha256: str
    chunks: int
    rows: int
    index: int
    term: int
    time_us: int
    applied_hash: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup consists of."""

    format: int
    cluster: str
    created_at: str
    version: str
    slot_count: int
    shards: tuple[ShardFile, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(each.size_bytes for each in self.shards)


class ShardWriter:
    """Writes one shard's file out of chunks as they come, and checks them.

    Args:
        folder: of the backup; made when missing.
        shard: its number.
        slots: the slots that hash to it, [first, end).

    Raises:
        BackupUnusable: the file cannot be made, or is there already.
    """

    def __init__(self, folder: Path, shard: int, slots: tuple[int, int]) -> None:
        self._shard = shard
        self._slots = slots
        self._reader = ChunkReader()
        self._digest = sha256()
        self._chunks = self._size = self._rows = 0
        self._path = folder / f"shard-{shard:04d}.snapshot"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / MANIFEST).exists():
                raise BackupUnusable(f"{folder} holds a backup already: give another folder")
            self._file = self._path.open("xb")
        except OSError as error:
            raise BackupUnusable(f"{self._path} cannot be made: {error.strerror or error}") from error

    def write(self, chunk: bytes) -> None:
        """Adds the next chunk. Blocks. Raises BackupUnusable: it is damaged, or the disk is full."""
        try:
            self._rows += len(self._reader.feed(chunk))
            self._file.write(chunk)
        except ChunkDamaged as error:
            raise BackupUnusable(f"shard {self._shard}: what came is damaged: {error}") from error
        except OSError as error:
            raise BackupUnusable(f"{self._path} cannot be written: {error.strerror or error}") from error
        self._digest.update(chunk)
        self._chunks += 1
        self._size += len(chunk)

    def finish(self) -> ShardFile:
        """Makes the file durable; returns what the manifest says of it. Raises BackupUnusable."""
        header = self._reader.header
        if header is None or not self._reader.is_whole:
            raise BackupUnusable(f"shard {self._shard}: the end is missing after {self._chunks} chunks")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise BackupUnusable(f"{self._path} cannot be written: {error.strerror or error}") from error
        return ShardFile(
            shard=self._shard,
            slot_first=self._slots[0],
            slot_end=self._slots[1],
            file=self._path.name,
            size_bytes=self._size,
            sha256=self._digest.hexdigest(),
            chunks=self._chunks,
            rows=self._rows,
            index=header.meta.index,
            term=header.meta.term,
            time_us=header.label.last_time_us,
            applied_hash=header.label.applied_hash.hex(),
        )

    def abort(self) -> None:
        """Removes the file. Harmless when called twice, and after `finish`."""
        if not self._file.closed:
            self._file.close()
            self._path.unlink(missing_ok=True)


def write_manifest(folder: Path, cluster: str, shards: list[ShardFile]) -> Manifest:
    """Makes the folder a backup. Raises BackupUnusable."""
    try:
        own_version = version("memraft")
    except PackageNotFoundError:
        own_version = "unknown"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    ordered = tuple(sorted(shards, key=lambda each: each.shard))
    manifest = Manifest(FORMAT, cluster, now, own_version, SLOT_COUNT, ordered)
    partial = folder / (MANIFEST + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(folder / MANIFEST)
        sync_directory(folder)
    except OSError as error:
        raise BackupUnusable(f"{folder}/{MANIFEST} cannot be written: {error.strerror or error}") from error
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Reads what a backup consists of.

    Raises:
        BackupUnusable: there is none, it is damaged, or of another format.
    """
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BackupUnusable(f"{folder} is no backup: {path}: {error.strerror or error}") from error
    try:
        found = msgspec.json.decode(data, type=dict[str, object]).get("format")
        if found != FORMAT:
            raise BackupUnusable(f"{path} has format {found}; this version reads format {FORMAT}")
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BackupUnusable(f"{path} is damaged: {error}") from error
    if [each.shard for each in manifest.shards] != list(range(len(manifest.shards))):
        raise BackupUnusable(f"{path} is damaged: it does not name each shard once")
    return manifest


def verify(folder: Path, progress: Progress | None = None) -> Manifest:
    """Reads all of a backup and compares it with its manifest. Blocks. Raises BackupUnusable."""
    manifest = read_manifest(folder)
    for shard in manifest.shards:
        for _ in read_shard(folder, shard, progress):
            pass
    return manifest


def read_shard(
    folder: Path, shard: ShardFile, progress: Progress | None = None
) -> Iterator[tuple[Header, list[tuple[bytes, bytes]]]]:
    """Yields the header and the rows of each chunk of a shard, checked against chunk and manifest.

    Raises:
        BackupUnusable: naming file and chunk. What was yielded before must not be used then.
    """
    path = folder / shard.file
    reader, digest = ChunkReader(), sha256()
    done = number = rows = 0
    try:
        with path.open("rb") as file:
            while head := file.read(HEAD_BYTES):
                chunk = head + file.read(payload_size(head) + OVERHEAD_BYTES - HEAD_BYTES)
                found = list(reader.feed(chunk))
                digest.update(chunk)
                number, done, rows = number + 1, done + len(chunk), rows + len(found)
                if reader.header is not None:
                    yield reader.header, found
                if progress is not None:
                    progress(shard.shard, done, shard.size_bytes)
    except ChunkDamaged as error:
        raise BackupUnusable(f"{path}, offset {done}: {error}") from error
    except OSError as error:
        raise BackupUnusable(f"{path} cannot be read: {error.strerror or error}") from error
    header = reader.header
    if not reader.is_whole or header is None:
        raise BackupUnusable(f"{path} ends after {number} chunks of {shard.chunks}")
    said = (shard.size_bytes, shard.sha256, shard.rows, shard.index, shard.applied_hash)
    held = (done, digest.hexdigest(), rows, header.meta.index, header.label.applied_hash.hex())
    if said != held:
        raise BackupUnusable(f"{path} is not the file that {MANIFEST} tells of")

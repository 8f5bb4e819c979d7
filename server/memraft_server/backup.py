"""A backup: a folder with one file a shard, and a manifest that says what they must be.

::

    MEMRAFT-BACKUP                    marks the folder; locked while a backup is made in it
    manifest.json                     cluster, time, the cluster's record; of each shard its slots, its log
                                      index, and size and SHA-256 of its file. Its last line is its own
    shard-0000-<stamp>.snapshot       the chunks of the shard's snapshot, one after the other
                                      (`snapshot_format`); `.partial` behind it while it is written

Each shard is one state, whole; the shards are of slightly different moments, which the manifest tells. The
manifest is written last, under another name first, when all files are durable: a folder without one is no
backup, whatever broke it off, and a backup into a folder that has one takes its place in one step. Memory is
bounded by a few chunks, however large a shard is.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from memraft_cluster.meta import Record
from memraft_proto.sharding import SLOT_COUNT
from memraft_server.cluster_record import sync_directory
from memraft_server.machine.facts import Row, is_intact
from memraft_server.snapshot_format import (
    HEAD_BYTES,
    OVERHEAD_BYTES,
    ChunkDamaged,
    ChunkReader,
    Header,
    payload_size,
)

FORMAT = 1
MARK = "MEMRAFT-BACKUP"
MANIFEST = "manifest.json"
PARTIAL = ".partial"
_MARK_TEXT = b"A backup of a Memraft cluster, made by `memraft backup`. All files here are its own.\n"
_SHARD_FILE = re.compile(r"shard-[0-9]{4,}-[0-9TZ]+\.snapshot")
_SEAL = re.compile(rb'\n  "sha256_above": "([0-9a-f]{64})"\n}\n')
_SEAL_BYTES = len('\n  "sha256_above": "') + 64 + len('"\n}\n')
_NAMES_SHOWN_MAX = 5

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
    """What a backup consists of. ``record`` is the cluster's own, as it was."""

    format: int
    cluster: str
    created_at: str
    version: str
    slot_count: int
    shards: tuple[ShardFile, ...]
    record: Record

    @property
    def size_bytes(self) -> int:
        """Of all files of shards."""
        return sum(each.size_bytes for each in self.shards)

    @property
    def rows(self) -> int:
        """Of all shards."""
        return sum(each.rows for each in self.shards)


class BackupFolder:
    """A folder in which a backup is made. A context manager: what is not complete at its end is removed.

    Args:
        path: of the folder: one that is not there, an empty one, or one of an earlier backup, which stays
            as it is until this one is complete.

    Raises:
        BackupUnusable: it holds something else, cannot be written, or another backup is made in it just now.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        self._lock = -1
        self._made: list[ShardWriter] = []
        self._own_folder = not path.exists()
        self._is_complete = False
        try:
            self._claim()
        except OSError as error:
            self._unlock()
            raise BackupUnusable(f"no backup can be made in {path}: {error.strerror or error}") from error

    def _claim(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise BackupUnusable(f"{self.path} is a file: a backup wants a folder of its own")
        self.path.mkdir(parents=True, exist_ok=True)
        names = sorted(os.listdir(self.path))
        if names and MARK not in names:
            shown = ", ".join(map(repr, names[:_NAMES_SHOWN_MAX]))
            more = " and more" if len(names) > _NAMES_SHOWN_MAX else ""
            raise BackupUnusable(
                f"{self.path} is no backup and not empty, it holds {shown}{more}: give another folder"
            )
        self._lock = os.open(self.path / MARK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._unlock()
            raise BackupUnusable(f"another backup is being made in {self.path}") from None
        os.pwrite(self._lock, _MARK_TEXT, 0)
        os.ftruncate(self._lock, len(_MARK_TEXT))
        os.fsync(self._lock)
        for each in self.path.glob(f"*{PARTIAL}"):
            each.unlink()

    def shard(self, shard: int, slots: tuple[int, int]) -> ShardWriter:
        """Begins a shard's file, anew where it was begun. Raises BackupUnusable."""
        path = self.path / f"shard-{shard:04d}-{self._stamp}.snapshot"
        writer = ShardWriter(path, shard, slots)
        self._made.append(writer)
        return writer

    def complete(self, record: Record, shards: Sequence[ShardFile]) -> Manifest:
        """Makes the folder this backup, and no other. Raises BackupUnusable."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        ordered = tuple(sorted(shards, key=lambda each: each.shard))
        manifest = Manifest(FORMAT, record.cluster, now, _version(), SLOT_COUNT, ordered, record)
        partial = self.path / (MANIFEST + PARTIAL)
        try:
            sync_directory(self.path)  # the files, before what names them
            with partial.open("wb") as file:
                file.write(_sealed(manifest))
                file.flush()
                os.fsync(file.fileno())
            partial.rename(self.path / MANIFEST)
            sync_directory(self.path)
            sync_directory(self.path.resolve().parent)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise BackupUnusable(f"{partial} cannot be written: {error.strerror or error}") from error
        self._is_complete = True
        named = {each.file for each in ordered}
        for each in self.path.iterdir():  # those of the backup before
            if _SHARD_FILE.fullmatch(each.name) and each.name not in named:
                each.unlink(missing_ok=True)
        return manifest

    def __enter__(self) -> BackupFolder:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_complete:
            for writer in self._made:
                writer.abort()
                writer.path.unlink(missing_ok=True)
            if not (self.path / MANIFEST).exists():
                (self.path / MARK).unlink(missing_ok=True)
            if self._own_folder and not any(self.path.iterdir()):
                self.path.rmdir()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class ShardWriter:
    """Writes one shard's file out of chunks as they come, and checks them. Made by a `BackupFolder`."""

    def __init__(self, path: Path, shard: int, slots: tuple[int, int]) -> None:
        self.size_bytes = 0
        self.header: Header | None = None
        self.path = path
        self._partial = path.with_name(path.name + PARTIAL)
        self._shard = shard
        self._slots = slots
        self._reader = ChunkReader()
        self._digest = sha256()
        self._chunks = self._rows = 0
        try:
            self._file = self._partial.open("wb")
        except OSError as error:
            raise self._failed(error) from error

    def write(self, chunk: bytes) -> None:
        """Adds the next chunk. Blocks.

        Raises:
            ChunkDamaged: it is damaged, or not the next.
            BackupUnusable: the file cannot be written.
        """
        rows = self._reader.feed(chunk)
        check_rows(rows)
        try:
            self._file.write(chunk)
        except OSError as error:
            raise self._failed(error) from error
        self.header = self._reader.header
        self._rows += len(rows)
        self._digest.update(chunk)
        self._chunks += 1
        self.size_bytes += len(chunk)

    def finish(self) -> ShardFile:
        """Makes the file durable; returns what the manifest says of it.

        Raises:
            ChunkDamaged: chunks are missing.
            BackupUnusable: the file cannot be written.
        """
        header = self.header
        if header is None or not self._reader.is_whole:
            raise ChunkDamaged(f"the end is missing after {self._chunks} chunks")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.rename(self.path)
        except OSError as error:
            raise self._failed(error) from error
        return ShardFile(
            shard=self._shard,
            slot_first=self._slots[0],
            slot_end=self._slots[1],
            file=self.path.name,
            size_bytes=self.size_bytes,
            sha256=self._digest.hexdigest(),
            chunks=self._chunks,
            rows=self._rows,
            index=header.meta.index,
            term=header.meta.term,
            time_us=header.label.last_time_us,
            applied_hash=header.label.applied_hash.hex(),
        )

    def abort(self) -> None:
        """Removes what was written, unless it is finished. Harmless when called twice."""
        if not self._file.closed:
            try:
                self._file.close()
            except OSError:
                pass  # a disk that is full, once more
            self._partial.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> BackupUnusable:
        return BackupUnusable(f"{self._partial} cannot be written: {error.strerror or error}")


def _version() -> str:
    try:
        return version("memraft")
    except PackageNotFoundError:
        return "unknown"


# -- the manifest ------------------------------------------------------------------------------------------


def _sealed(manifest: Manifest) -> bytes:
    """The manifest as JSON whose last field is the SHA-256 of all the bytes above its line."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    body = text.removesuffix(b"\n}") + b","
    return body + b'\n  "sha256_above": "%s"\n}\n' % sha256(body).hexdigest().encode()


def read_manifest(folder: Path) -> Manifest:
    """Reads what a backup consists of.

    Raises:
        BackupUnusable: there is none, it is damaged, or of another format.
    """
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
        marked = (folder / MARK).read_bytes()
    except OSError as error:
        raise BackupUnusable(f"{folder} is no whole backup: {error.filename}: {error.strerror}") from error
    seal = _SEAL.fullmatch(data, max(0, len(data) - _SEAL_BYTES))
    if seal is None or sha256(data[: seal.start()]).hexdigest().encode() != seal[1]:
        raise BackupUnusable(f"{path} is damaged: its checksum does not fit")
    if marked != _MARK_TEXT:
        raise BackupUnusable(f"{folder / MARK} is damaged: it says something else than it should")
    try:
        found = msgspec.json.decode(data, type=dict[str, Any]).get("format")
        if found != FORMAT:
            raise BackupUnusable(f"{path} has format {found}; this version reads format {FORMAT}")
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BackupUnusable(f"{path} cannot be read: {error}") from error
    if [each.shard for each in manifest.shards] != list(range(len(manifest.shards))):
        raise BackupUnusable(f"{path} does not name each shard once")
    for each in manifest.shards:
        if not _SHARD_FILE.fullmatch(each.file):
            raise BackupUnusable(f"{path} names {each.file!r}, which is no file of a backup")
    return manifest


# -- the shards --------------------------------------------------------------------------------------------


def verify(folder: Path, progress: Progress | None = None) -> Manifest:
    """Reads all of a backup and compares it with its manifest. Blocks. Raises BackupUnusable."""
    manifest = read_manifest(folder)
    for shard in manifest.shards:
        for _ in read_shard(folder, shard, progress):
            pass
    return manifest


def check_rows(rows: Sequence[Row]) -> None:
    """Raises ChunkDamaged for rows that are not what the machine once wrote down."""
    for key, value in rows:
        if not is_intact(key, value):
            raise ChunkDamaged(f"row {key.hex()}: its checksum does not fit")


def read_shard(
    folder: Path, shard: ShardFile, progress: Progress | None = None
) -> Iterator[tuple[Header, Sequence[Row]]]:
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
                found = reader.feed(chunk)
                check_rows(found)
                digest.update(chunk)
                number, done, rows = number + 1, done + len(chunk), rows + len(found)
                if reader.header is not None:
                    yield reader.header, found
                if progress is not None:
                    progress(shard.shard, done, shard.size_bytes)
    except ChunkDamaged as error:
        raise BackupUnusable(f"{path} is damaged at offset {done}: {error}") from error
    except OSError as error:
        raise BackupUnusable(f"{path} cannot be read: {error.strerror or error}") from error
    header = reader.header
    if not reader.is_whole or header is None:
        raise BackupUnusable(f"{path} is damaged: it ends after {number} chunks of {shard.chunks}")
    said = (shard.size_bytes, shard.sha256, shard.rows, shard.index, shard.term, shard.applied_hash)
    meta, label = header.meta, header.label
    held = (done, digest.hexdigest(), rows, meta.index, meta.term, label.applied_hash.hex())
    if said != held:
        raise BackupUnusable(f"{path} is not the file that {MANIFEST} tells of")

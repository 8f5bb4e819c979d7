"""Reads the log that embedded memories kept before there was a state beside it: a RocksDB in the directory.

Only versions of format 2 wrote such directories::

    b"e" group:u32be index:u64be  ->  crc:u32be term:u64be data
    b"h" group:u32be              ->  hard state, of no use here
    b"m"                          ->  the stamp: JSON {"format", "cluster", ...}
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
from rocksdict import DBRecoveryMode, Options, Rdict

from memraft_cluster.errors import DirectoryLocked, DiskError, FormatUnsupported, LogCorrupted
from memraft_server.cluster_record import sync_directory

FORMAT = 2
_HEAD = "CURRENT"
_OLD_FILE = re.compile(
    r"[0-9]{6}\.(sst|blob|log)|(MANIFEST|OPTIONS)-.*|CURRENT|IDENTITY|LOCK|LOG(\.old.*)?|rocksdict-config\.json"
)
_MOVING, _MOVED = "log.moving", "log.moved"
_KEY = struct.Struct(">cIQ")
_BOUND = struct.Struct(">IQQ")
_ENTRY_HEAD = struct.Struct(">IQ")


def has_old_log(path: Path) -> bool:
    """Whether a directory holds such a log, not moved yet. Finishes a move that a crash has cut short."""
    if (path / _MOVED).exists():
        finish_move(path)
    return (path / _HEAD).exists()


def read_old_log(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields (index, data) of all entries, in order, checked.

    Raises:
        LogCorrupted: naming what is damaged.
        FormatUnsupported: written by yet another version.
        DirectoryLocked, DiskError: it cannot be opened.
    """
    options = Options(raw_mode=True)
    options.create_if_missing(False)
    options.set_paranoid_checks(True)
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    try:
        database: Any = Rdict(str(path), options)
    except Exception as error:
        message = str(error)
        if "LOCK" in message or "lock hold by" in message:
            raise DirectoryLocked(str(path)) from error
        if "Corruption" in message:
            raise LogCorrupted(str(path), message) from error
        raise DiskError(str(path), message) from error
    try:
        _check_stamp(path, database.get(b"m"))
        yield from _entries(path, database)
    finally:
        database.close()


def _check_stamp(path: Path, stamp: bytes | None) -> None:
    try:
        found = msgspec.json.decode(stamp or b"", type=dict[str, Any])["format"]
    except (msgspec.MsgspecError, LookupError) as error:
        raise LogCorrupted(str(path), f"its stamp cannot be read: {error}") from error
    if found != FORMAT:
        raise FormatUnsupported(str(path), found, FORMAT)


def _entries(path: Path, database: Any) -> Iterator[tuple[int, bytes]]:
    rows = database.iter()
    rows.seek(b"e")
    expected = 1
    while rows.valid() and rows.key()[:1] == b"e":
        _, group, index = _KEY.unpack(rows.key())
        record = rows.value()
        if index != expected:
            raise LogCorrupted(str(path), f"entry {expected} is missing before entry {index}", group, index)
        crc, term = _ENTRY_HEAD.unpack_from(record)
        data = record[_ENTRY_HEAD.size :]
        if crc32(data, crc32(_BOUND.pack(group, index, term))) != crc:
            raise LogCorrupted(str(path), f"index {index}: checksum mismatch", group, index)
        yield index, data
        expected += 1
        rows.next()
    try:
        rows.status()
    except Exception as error:
        raise LogCorrupted(str(path), str(error)) from error


def begin_move(path: Path, state: Path) -> Path:
    """Removes what a move that was cut short has made so far; returns where the new log is to be made."""
    shutil.rmtree(state, ignore_errors=True)
    shutil.rmtree(path / _MOVING, ignore_errors=True)
    return path / _MOVING


def commit_move(path: Path) -> None:
    """New log and state are whole and durable: from here on they count, and the old log does not."""
    sync_directory(path)
    (path / _MOVING).rename(path / _MOVED)
    sync_directory(path)


def finish_move(path: Path) -> None:
    """Removes the old log and puts the new one in its place; can be begun again at any point."""
    for each in path.iterdir():
        if _OLD_FILE.fullmatch(each.name) and each.is_file():
            each.unlink()
    for each in (path / _MOVED).iterdir():
        each.rename(path / each.name)
    sync_directory(path)
    (path / _MOVED).rmdir()

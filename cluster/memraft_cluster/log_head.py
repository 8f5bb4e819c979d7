"""The file that says whose a log is, where it begins, and how its groups stood there."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from .errors import FormatUnsupported, LogCorrupted
from .log_records import FORMAT_VERSION, Stamp, StampFormat
from .marks import FILE_NAME as MARKS_NAME
from .raft import HardState, SnapshotMeta
from .segments import segment_files
from .slots import SlotFile, SlotsUnreadable

FILE_NAME = "HEAD"
_MARK = b"head"
_SLOT_BYTES = 1 << 20
_ROCKSDB_HEAD = "CURRENT"
_ROCKSDB_FORMAT = 2
_ROCKSDB_FILE = re.compile(r"[0-9]{6,9}\.(sst|blob|log)")


class GroupHead(msgspec.Struct, frozen=True):
    """A group as of the first segment: what stands in the segments comes after it."""

    group: int
    base: SnapshotMeta | None
    hard_state: HardState | None


class LogHead(msgspec.Struct, frozen=True):
    """The file's content, stored as JSON."""

    format: int
    stamp: Stamp
    first_segment: int = 1
    groups: tuple[GroupHead, ...] = ()
    salt: int = 0
    """See `log_records`."""


def head_file(directory: Path) -> SlotFile:
    return SlotFile(directory / FILE_NAME, _MARK, _SLOT_BYTES)


def encode_head(head: LogHead) -> bytes:
    return msgspec.json.encode(head)


def read_head(directory: Path, file: SlotFile, *, for_writing: bool = True) -> LogHead | None:
    """Open the file; None where there is no log yet.

    Raises:
        FormatUnsupported: written by another version of this software.
        LogCorrupted: it is missing beside a log's other files, or cannot be read.
        OSError
    """
    if not directory.is_dir():
        return None
    if not file.path.exists():
        _refuse_headless(directory)
        return None
    try:
        record = file.open(for_writing=for_writing)
        found = msgspec.json.decode(record, type=StampFormat).format
        if found != FORMAT_VERSION:
            raise FormatUnsupported(str(directory), found, FORMAT_VERSION)
        return msgspec.json.decode(record, type=LogHead)
    except SlotsUnreadable as error:
        raise LogCorrupted(str(directory), str(error)) from error
    except msgspec.MsgspecError as error:
        raise LogCorrupted(str(directory), f"{FILE_NAME} cannot be understood: {error}") from error


def _refuse_headless(directory: Path) -> None:
    names = [each.name for each in directory.iterdir()]
    if _ROCKSDB_HEAD in names or any(map(_ROCKSDB_FILE.fullmatch, names)):
        # The versions before kept their log in RocksDB.
        raise FormatUnsupported(str(directory), _ROCKSDB_FORMAT, FORMAT_VERSION)
    remains = [path.name for path in segment_files(directory).values()]
    remains += [MARKS_NAME] if MARKS_NAME in names else []
    if remains:
        raise LogCorrupted(str(directory), f"file {FILE_NAME} is missing beside {', '.join(sorted(remains))}")

"""A small record on disk that is replaced whole, again and again, and is never torn: two slots, used in turn.

A write goes to the slot that does not hold the newest durable version, so a crash in the middle, or a loss of
power before the sync, leaves that one. Nothing is allocated by a later write of about the same size, so it
goes well on a full disk, too.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from zlib import crc32

_HEAD = struct.Struct("<I4sQI")  # crc, mark, version, size
_CRC = struct.Struct("<I")


class SlotsUnreadable(Exception):
    """Neither slot holds a whole record."""


class SlotFile:
    """The file. Not thread-safe.

    Args:
        path: the file; :meth:`create` makes it.
        mark: four bytes that say what the record is.
        slot_bytes: room for one version. What is not used takes no room on disk.
    """

    def __init__(self, path: Path, mark: bytes, slot_bytes: int) -> None:
        self.path = path
        self._mark = mark
        self._slot_bytes = slot_bytes
        self._version = 0
        self._is_synced = True
        self._file = -1

    def create(self, record: bytes | bytearray) -> None:
        """Make the file, durably, in place of one that may be there, with the record in both slots, so that
        both have their room.

        Raises:
            OSError
        """
        made = self.path.with_name(self.path.name + ".new")
        self._file = os.open(made, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        for _ in range(2):
            self.store(record)
            self._is_synced = True  # both are, before the file has its name
        os.fsync(self._file)
        os.rename(made, self.path)
        sync_directory(self.path.parent)

    def open(self, *, for_writing: bool = True) -> bytes:
        """Open the file and return the newest whole record.

        Raises:
            SlotsUnreadable: there is none.
            OSError
        """
        flags = os.O_RDWR if for_writing else os.O_RDONLY
        self._file = os.open(self.path, flags | os.O_CLOEXEC)
        found = [each for each in map(self._read, (0, 1)) if each is not None]
        if not found:
            raise SlotsUnreadable(f"{self.path.name}: both copies fail their checksums")
        self._version, record = max(found)
        if for_writing:
            self.sync()  # what is read here may not have been synced before the process ended
        return record

    def _read(self, slot: int) -> tuple[int, bytes] | None:
        data = os.pread(self._file, self._slot_bytes, slot * self._slot_bytes)
        if len(data) < _HEAD.size:
            return None
        crc, mark, version, size = _HEAD.unpack_from(data)
        end = _HEAD.size + size
        if mark != self._mark or end > len(data) or crc32(memoryview(data)[4:end]) != crc:
            return None
        return (version, data[_HEAD.size : end]) if version % 2 == slot else None

    def store(self, record: bytes | bytearray) -> None:
        """Write the next version; :meth:`sync` makes it durable.

        Raises:
            OSError
            ValueError: it is larger than a slot.
        """
        if _HEAD.size + len(record) > self._slot_bytes:
            raise ValueError(f"{self.path.name}: a record of {len(record)} bytes is too large")
        # While the last one is not durable it is written over: the other slot has the one that is.
        version = self._version + (1 if self._is_synced else 2)
        body = _HEAD.pack(0, self._mark, version, len(record))[4:] + record
        data = _CRC.pack(crc32(body)) + body
        offset = version % 2 * self._slot_bytes
        if os.pwrite(self._file, data, offset) != len(data):
            raise OSError(28, "No space left on device", str(self.path))
        self._version, self._is_synced = version, False

    def sync(self) -> None:
        """Raises OSError."""
        os.fdatasync(self._file)
        self._is_synced = True

    def close(self) -> None:
        """Harmless when called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def make_directory(path: Path) -> None:
    """Make a directory with all those above it, durably: what is synced in it is no use where its name is
    lost. Raises OSError."""
    made = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for each in reversed(made):
        sync_directory(each.parent)


def sync_directory(path: Path) -> None:
    """Make names that were made, moved or removed in a directory durable. Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

"""What of the past stays in memory.

A machine that is kept on disk need not hold every version: the disk has them all. The versions that were
replaced last stay in memory, up to a number of bytes. Of older ones only the version numbers and sizes stay,
16 bytes each, so that whatever is decided about them is decided without the disk; what they held is read from
there when somebody asks.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from memraft_server.projections.versions import Record, VersionedRecords

PAST_BYTES = 64 << 20
"""How much of the past stays in memory. A matter of each machine: no answer depends on it."""
PAGE_READS_MAX = 1_000
"""After so many reads a page of the past is long enough: some 20 ms without other calls."""
_RECORD_BYTES = 160


class PastReader(Protocol):
    """Reads versions that left the memory."""

    def record(self, key: bytes) -> Record:
        """Returns the version under the key of its row. Raises what the disk raises."""


class PastRoom:
    """The versions in memory that newer ones have replaced, in the order in which that happened.

    Args:
        reader: Of the versions that leave.
        bytes_max: About how much stays.
    """

    __slots__ = ("_bytes", "_bytes_max", "_fresh", "_kept", "_reader", "add", "reads")

    def __init__(self, reader: PastReader, bytes_max: int = PAST_BYTES) -> None:
        self._reader = reader
        self.reads = 0
        """How many versions were read from the disk: some tens of microseconds each, without other calls."""
        self._bytes_max = bytes_max
        self._bytes = 0
        self._fresh: list[tuple[VersionedRecords, str, Record]] = []
        self.add = self._fresh.append
        """Takes (records, name, version) of a version that was replaced."""
        self._kept: deque[tuple[VersionedRecords, str, Record]] = deque()

    def record(self, key: bytes) -> Record:
        """Reads the version under the key of its row. Raises what the disk raises."""
        self.reads += 1
        return self._reader.record(key)

    def settle(self, saved: int) -> None:
        """Lets go of the oldest where there are too many; only versions up to `saved` are on the disk."""
        self._bytes += sum([_RECORD_BYTES + len(each[2].value or b"") for each in self._fresh])
        self._kept += self._fresh
        self._fresh.clear()
        while self._bytes > self._bytes_max and self._kept:
            records, name, record = self._kept[0]
            if record.version > saved:
                return
            self._kept.popleft()
            self._bytes -= _RECORD_BYTES + len(record.value or b"")
            records.cool(name, record, saved)

"""Which documents of a namespace were used last: what is evicted where there is room for so many only.

It is no part of the replicated state: every replica has its own, of the writes that it applied and the reads
that it answered. The leader chooses by it what has to go and says so in the log, so that replicas agree.
"""

from __future__ import annotations

from collections import OrderedDict

from memraft_server.projections.versions import Record, VersionedRecords

SPARE = 100
"""One part in so many is left free when room is made."""


class Recency:
    """The documents of a namespace in the order of their last use. Follows the records of its documents."""

    __slots__ = ("_sizes", "bytes")

    def __init__(self) -> None:
        self.bytes = 0
        """Of all keys, in characters, and documents."""
        self._sizes: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sizes)

    def changed(self, name: str, old: Record | None, new: Record) -> None:
        """See `projections.versions.Follower`."""
        sizes = self._sizes
        self.bytes -= sizes.pop(name, 0)
        if new.value is not None:
            size = sizes[name] = len(name) + len(new.value)
            self.bytes += size

    def touch(self, name: str) -> None:
        """A document was read."""
        if name in self._sizes:
            self._sizes.move_to_end(name)

    def fill(self, records: VersionedRecords) -> None:
        """Takes in what stands in the records now, in place of all it had: what was written last was used
        last. Asks for nothing of the past, which may be on the disk."""
        there = sorted(
            [
                (head.version, name, len(name) + len(head.value))
                for name, head in records.heads.items()
                if head.value is not None
            ]
        )
        self._sizes = OrderedDict([(name, size) for _, name, size in there])
        self.bytes = sum([size for _, _, size in there])

    def is_over(self, entries_max: int, bytes_max: int) -> bool:
        """Whether there is more than may be; 0: any number may be. The document used last always may."""
        count = len(self._sizes)
        return count > 1 and (count > entries_max > 0 or self.bytes > bytes_max > 0)

    def victims(self, entries_max: int, bytes_max: int, count_max: int) -> list[str]:
        """Returns what has to go, the least recently used first, at most `count_max` of it.

        It makes room for a hundredth more than is needed: a full namespace would otherwise pay for a command
        with every document that is new.
        """
        found: list[str] = []
        if not self.is_over(entries_max, bytes_max):
            return found
        entries_max -= entries_max // SPARE
        bytes_max -= bytes_max // SPARE
        count, size = len(self._sizes), self.bytes
        for name, each in self._sizes.items():
            if count < 2 or len(found) == count_max:
                break
            if not (count > entries_max > 0 or size > bytes_max > 0):
                break
            found.append(name)
            count -= 1
            size -= each
        return found

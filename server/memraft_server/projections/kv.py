"""Documents under keys: versions, key order and the queue of expiries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from memraft_server.projections.keys import KeyIndex
from memraft_server.projections.notes import DOCUMENT, Notes
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import Author, Record, VersionedRecords

if TYPE_CHECKING:
    from memraft_server.projections.field_index import FieldIndex

_KEYS = DOCUMENT + b"keys"


class KvProjection:
    """The documents of one namespace."""

    __slots__ = ("indexes", "keys", "records")

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.records = VersionedRecords(usage, notes, DOCUMENT)
        self.indexes: dict[str, FieldIndex] = {}
        """Field -> its index; of a fork those that were declared in it."""
        self.keys = KeyIndex()
        self.records.on_gone = self.keys.discard
        if notes is not None:
            self.keys.base = notes.join(_KEYS, self.keys)

    def put(self, key: str, value: bytes, version: int, author: Author, expires_at_us: int) -> None:
        """Stores a document. `expires_at_us`: microseconds since the epoch, 0 for never."""
        if self.records.store(key, value, version, author, expires_at_us):
            self.keys.add(key)

    def put_all(self, keys: list[str], values: list[bytes], version: int, author: Author) -> None:
        """Stores documents that never expire: the first as `version`, each other one as the next."""
        fresh = self.records.store_all(keys, values, version, author)
        if fresh:
            self.keys.add_all(fresh)

    def scan(self, start: str, end: str, prefix: str, ceiling: int) -> Iterator[tuple[str, Record | None]]:
        """Yields (key, record as of `ceiling` or None) for every key that ever was in the range, in order.

        Args:
            start: The first key, included.
            end: The key to stop before; empty: none.
            prefix: Only keys that begin with it.
            ceiling: The highest version to see.
        """
        at = self.records.at
        for key in self.keys.from_name(max(start, prefix)):
            if (end and key >= end) or not key.startswith(prefix):
                return
            yield key, at(key, ceiling)

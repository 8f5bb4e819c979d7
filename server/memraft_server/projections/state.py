"""Named records that agents coordinate on: a change says which version it replaces."""

from __future__ import annotations

from memraft_server.projections.notes import STATE, Notes
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import Author, OrderedRecords, Record


class StateProjection:
    """The named records of one namespace."""

    __slots__ = ("records",)

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.records = OrderedRecords(usage, notes, STATE)

    def swap(
        self, name: str, expected_version: int, value: bytes | None, version: int, author: Author
    ) -> tuple[bool, Record | None]:
        """Stores `value`, None to remove the record, if it has `expected_version` (0: if there is none).

        Returns:
            Whether it did, and the record that stands there now.
        """
        head = self.records.head(name)
        if (head.version if head is not None else 0) != expected_version:
            return False, head
        if value is None:
            self.records.remove(name, version, author)
        else:
            self.records.store(name, value, version, author, 0)
        return True, self.records.head(name)

"""An index of documents by what they have under one field: in the order of `collation`, then of keys.

It holds what the documents are now: an entry for each that has the field, 60 to 400 bytes beside the key.
What it held at an earlier version follows from the latest changes, which it remembers; of what lies further
back it knows nothing, and a query scans.

It is built in portions, in the order of keys, while documents change: a change at or before the key that the
building has come to is taken in at once, one after it is found there when its turn comes. It is derived: it
is not stored, but built again when a machine is loaded.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import msgspec

from memraft_server.projections.collation import END, field_of, sort_text
from memraft_server.projections.confines import Interval
from memraft_server.projections.filters import MISSING
from memraft_server.projections.keys import KeyIndex
from memraft_server.projections.kv import KvProjection
from memraft_server.projections.versions import Record, VersionedRecords

CHANGES_MAX = 4_096
"""Latest changes that an index remembers; with them it answers for the moment before them."""
PORTION_KEYS = 500
"""Documents that are looked at before others have their turn: one or two milliseconds. Large ones count for
more, see `cost_of`."""
_COST_BITS = 11
"""A document of 2 KiB takes as long to read as it takes to look at two small ones."""

_decode = msgspec.json.Decoder().decode


def decoded(value: bytes) -> Any:
    """Returns a document; None, which has no fields, where its numbers are out of any range."""
    try:
        return _decode(value)
    except msgspec.MsgspecError:
        return None


def cost_of(record: Record | None) -> int:
    """Returns as how many small documents one counts."""
    return 1 if record is None or record.value is None else 1 + (len(record.value) >> _COST_BITS)


def entry_of(value: Any, key: str) -> str:
    """Returns the entry of a document that has `value` under the field."""
    return f"{sort_text(value)}{END}{key}"


def key_of(entry: str) -> str:
    """Returns the document's key."""
    return entry[entry.rindex("\0") + 1 :]


def _had_others(records: VersionedRecords, name: str) -> bool:
    """Whether a document may once have been another than it is."""
    if name in records.past or name in records.cold:
        return True
    return records.parent is not None and name in records.heads


class FieldIndex:
    """The index of one field in one namespace; in a fork, of what it has of its parent too.

    Args:
        kv: The documents, which it follows until `stop`.
        field: The path, with dots.
    """

    def __init__(self, kv: KvProjection, field: str) -> None:
        self.field = field
        self.path = tuple(field.split("."))
        self.entries = KeyIndex()
        """One text a document that has the field: see `entry_of`."""
        self.is_ready = False
        self.is_stopped = False
        self.since = 0
        """All changes above this version are remembered."""
        self._kv = kv
        self._at: str | None = None
        self._is_given = False
        self._changes: list[tuple[int, str]] = []
        kv.records.notify(self)

    def stop(self) -> None:
        """Follows the documents no more."""
        self.is_stopped = True
        self.is_ready = False
        self._kv.records.unfollow(self)

    # Following

    def changed(self, name: str, old: Record | None, new: Record) -> None:
        """See `projections.versions.Follower`."""
        if not self.is_ready and (self._at is None or name > self._at):
            return
        before, after = self._entry(name, old), self._entry(name, new)
        if before == after:
            return
        if before is not None:
            self.entries.discard(before)
            self._remember(new.version, name)
        if after is not None:
            self.entries.add(after)

    def changed_since(self, version: int) -> list[str] | None:
        """Returns the keys of the documents that had other entries, or one that is gone, at a version, and
        perhaps some more; None where that is not known any more."""
        if version < self.since:
            return None
        changes = self._changes
        return [name for _, name in changes[bisect_left(changes, (version + 1, "")) :]]

    def _entry(self, name: str, record: Record | None) -> str | None:
        if record is None or record.value is None:
            return None
        value = field_of(decoded(record.value), self.path)
        return None if value is MISSING else entry_of(value, name)

    def _remember(self, version: int, name: str) -> None:
        changes = self._changes
        changes.append((version, name))
        if len(changes) >= 2 * CHANGES_MAX:
            if not self.is_ready:
                changes.sort()
            count = len(changes) - CHANGES_MAX
            self.since = max(self.since, changes[count - 1][0])
            del changes[:count]

    # Building

    @property
    def index_pending(self) -> bool:
        """Whether it is not built yet, or stopped and not taken down yet; see `machine.turn.Indexed`."""
        return bool(len(self.entries)) if self.is_stopped else not self.is_ready

    def index_job(self) -> Building | None:
        """Returns the building of it, or the taking down, once; again where that was given up."""
        if self._is_given or not self.index_pending:
            return None
        self._is_given = True
        return Building(self)

    def give_back(self) -> None:
        """Nobody builds it any more."""
        self._is_given = False

    def build_portion(self) -> None:
        """Takes in the next documents."""
        records = self._kv.records
        start = "" if self._at is None else f"{self._at}\0"
        cost = 0
        for name in self._kv.keys.from_name(start):
            if cost >= PORTION_KEYS:
                return
            self._at = name
            record = records.head(name)
            cost += cost_of(record)
            entry = self._entry(name, record)
            if entry is not None:
                self.entries.add(entry)
            if _had_others(records, name):
                self._remember(records.heads[name].version, name)
        self._changes.sort()
        self.is_ready = True

    # Reading

    def count(self, intervals: tuple[Interval, ...]) -> int:
        """Returns how many entries lie in them."""
        return sum([self.entries.count(low, high) for low, high in intervals])


class Building:
    """The building of an index, or its taking down, as a job (see `machine.turn.IndexJob`).

    Nothing of it is for a thread: the documents change on the machine's own.
    """

    is_light = True

    def __init__(self, index: FieldIndex) -> None:
        self._index = index

    def run(self) -> None:
        """Does nothing."""

    def install(self) -> Building | None:
        """Does the next portion; returns itself until there is none."""
        index = self._index
        if index.is_stopped:
            index.entries.shrink()
        elif index.index_pending:
            index.build_portion()
        if index.index_pending:
            return self
        index.give_back()
        return None

    def abandon(self) -> None:
        """Leaves it to be done later."""
        self._index.give_back()

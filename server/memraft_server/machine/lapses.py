"""What the machine did by itself while a run went on: it ended documents, leases and memories whose time was
over, and evicted documents and memories where there was no room for more.

Such commands belong to no run, but to what runs have written: a replay has to do them again, where they
were done. They are found in the past of each record that the replay writes: where its next version is the
machine's own, it is done before the step that comes after it.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from memraft_server.machine.entries import EntryTable
from memraft_server.machine.namespaces import Namespace
from memraft_server.projections.leases import LeasesProjection, Writing, lease_of
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.versions import (
    EVICTED,
    EXPIRED,
    NOBODY,
    NOW,
    PRUNED,
    Record,
    VersionedRecords,
)

_MACHINE = (NOBODY, EXPIRED, EVICTED)
"""Authors of what the machine does by itself."""

_MACHINE_ENDING_MEMORIES = (EXPIRED, EVICTED, PRUNED)

End = Callable[[str, Record], None]
"""Ends what stands under a name, as the version that ended it."""


class _Ends:
    """Follows the records of a replay, and knows which of them the machine ended."""

    def __init__(self, replayed: VersionedRecords, recorded: VersionedRecords, end: End) -> None:
        self._replayed = replayed
        self._recorded = recorded
        self._end = end
        self._waiting: list[tuple[int, str]] = []
        replayed.notify(self)

    def changed(self, name: str, old: Record | None, new: Record) -> None:
        """Follows the records."""
        after = self._recorded.after(name, new.version) if new.value is not None else None
        if after is not None and after.author in _MACHINE:
            heappush(self._waiting, (after.version, name))

    def repeat(self, version: int) -> None:
        """Ends what was ended before `version`, and is as it was then."""
        while self._waiting and self._waiting[0][0] < version:
            ended_version, name = heappop(self._waiting)
            head = self._replayed.heads[name]
            after = self._recorded.after(name, head.version)
            if head.value is not None and after is not None and after.version == ended_version:
                self._end(name, after)


class _MemoryEnds:
    """As `_Ends`, of memories."""

    def __init__(self, replayed: MemoryStore, recorded: MemoryStore) -> None:
        self._replayed = replayed
        self._recorded = recorded
        self._waiting: list[tuple[int, int, str]] = []
        replayed.on_change = self._changed

    def _changed(self, version: int, id: str, old: Remembered | None, new: Remembered | None) -> None:
        recorded = self._recorded.get(id, version) if new is not None else None
        if recorded is None or recorded.version != version:
            return
        ended = self._recorded.ended(recorded)
        if self._recorded.ender(ended) in _MACHINE_ENDING_MEMORIES:
            heappush(self._waiting, (ended, version, id))

    def repeat(self, version: int) -> None:
        """As `_Ends.repeat`."""
        while self._waiting and self._waiting[0][0] < version:
            ended, written, id = heappop(self._waiting)
            item = self._replayed.get(id, NOW)
            if item is not None and item.version == written:
                self._replayed.forget(id, ended, self._recorded.ender(ended))


class Lapses:
    """Repeats in a replay what the machine did by itself.

    Args:
        entries: Where times of the versions are.
        space: Of the replay: a fork of where the run was.
    """

    def __init__(self, entries: EntryTable, space: Namespace) -> None:
        self._entries = entries
        self._documents = space.kv.records
        self._leases = space.projection(LeasesProjection)
        self._ends: list[_Ends | _MemoryEnds] = []
        if space.origin is not None:
            recorded = space.origin.parent
            self._ends = [
                _Ends(self._documents, recorded.kv.records, self._end_document),
                _Ends(self._leases.records, recorded.projection(LeasesProjection).records, self._end_lease),
                _MemoryEnds(space.projection(MemoryStore), recorded.projection(MemoryStore)),
            ]

    def repeat(self, version: int) -> None:
        """Does what the machine did before `version`."""
        for each in self._ends:
            each.repeat(version)

    def _end_document(self, key: str, ended: Record) -> None:
        self._documents.remove(key, ended.version, ended.author)

    def _end_lease(self, name: str, ended: Record) -> None:
        """Ends it as the machine did: whoever waited has it then, and places that were given up are free."""
        time_us = self._entries.time_us(ended.version)
        self._leases.settle(Writing(ended.version, time_us, ended.author, lambda *_: None), lease_of(name))

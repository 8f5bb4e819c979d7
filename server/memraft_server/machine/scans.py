"""Finds changes of the past in what is kept, step by step, where a change log does not reach back so far."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from memraft_server.machine.changes import Change, events_after, version_of
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.tables import RECORD_TABLES
from memraft_server.projections import notes
from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.past import PAGE_READS_MAX
from memraft_server.projections.streams import StreamsProjection
from memraft_server.projections.versions import Record, VersionedRecords

SCAN_STEP = 2_000
"""Names and changes that one step looks at: a millisecond or two, some tens where they are on the disk."""
_TOGETHER_MAX = 100
"""Of a name with more versions each is read by itself."""
FOUND_MAX = 100_000
"""Changes that a scan holds, the oldest; later ones are found by another scan after them."""


class Scan:
    """Looks through all records of a kind for changes that a log does not have any more, step by step.

    Args:
        space: Of the records, if it exists.
        kind: `notes.EVENT`, `notes.MEMORY` or a kind of records.
        above: Only changes above this version.
        ceiling: Only changes up to this one.
        moves: Of the log, when the scan began.
    """

    def __init__(self, space: Namespace | None, kind: bytes, above: int, ceiling: int, moves: int) -> None:
        self.moves = moves
        self.ceiling = ceiling
        self.found: list[Change] = []
        """In order of version, once all steps are done."""
        self.is_cut = False
        """Whether it found too many: then it has those up to its ceiling, which is lower than it was."""
        self.is_done = space is None
        self._above = above
        self._steps = iter(()) if space is None else self._looking(space, kind)

    def step(self) -> bool:
        """Looks at some more names; returns whether all are done."""
        return next(self._steps, True)

    def _looking(self, space: Namespace, kind: bytes) -> Iterator[bool]:
        names, changes_of = _sources(space, kind)
        found, looked, documents = self.found, 0, space.kv.records
        reads_end = documents.reads + PAGE_READS_MAX
        for name in names:
            looked += 1
            # The last is for the name itself. Of its changes there may be any number.
            for change in chain(changes_of(name, self._above), (None,)):
                if change is not None and self._above < change.version <= self.ceiling:
                    found.append(change)
                    looked += 1
                if looked >= SCAN_STEP or documents.reads >= reads_end:
                    if len(found) > 2 * FOUND_MAX:
                        self._forget_later_ones()
                    yield False
                    looked, reads_end = 0, documents.reads + PAGE_READS_MAX
        found.sort(key=version_of)
        self.is_done = True

    def _forget_later_ones(self) -> None:
        self.is_cut = True
        self.found.sort(key=version_of)
        self.ceiling = self.found[FOUND_MAX].version - 1
        del self.found[bisect_right(self.found, self.ceiling, key=version_of) :]


def _sources(space: Namespace, kind: bytes) -> tuple[list[str], Callable[[str, int], Iterable[Change]]]:
    """Returns the names of a kind, and what gives the changes of one of them above a version."""
    if kind == notes.EVENT:
        streams = space.projection(StreamsProjection).streams
        return list(streams), lambda name, above: events_after(space, name, above)
    if kind == notes.MEMORY:
        store = space.projection(MemoryStore)
        return store.ids(), lambda id, above: (Change(*each) for each in store.changes_of(id, above))
    records = RECORD_TABLES[kind](space)[0]
    return list(records.heads), lambda name, above: _record_changes(records, name, above)


def _record_changes(records: VersionedRecords, name: str, above: int) -> Iterator[Change]:
    if records.count_replaced(name) < _TOGETHER_MAX:
        kept: Iterable[Record] = records.since(name, above)
    else:
        kept = _one_by_one(records, name, above)
    is_first, old = True, None
    for record in kept:
        if is_first and records.parent is not None:  # what a fork changed first, it changed of its parent
            old = records.at(name, record.version - 1)
        is_first = False
        if record.version > above:
            yield Change(record.version, name, old, record)
        old = record


def _one_by_one(records: VersionedRecords, name: str, above: int) -> Iterator[Record]:
    """What `VersionedRecords.since` returns, each version read when it is asked for, if it is still kept:
    they may be many, and on the disk."""
    numbers = records.versions_of(name)
    for version in numbers[max(0, bisect_right(numbers, above) - 1) :]:
        for record in records.versions(name, version, 1):
            if record.version == version:
                yield record

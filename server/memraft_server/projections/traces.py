"""Traces: what agents did and thought in their runs. Written once, each with a parent that was there before.

A trace is a record of kind TRACE under its id. An index follows the records, with the traces of every run and
the children of every trace in order of version. That of a fork holds what was written in the fork, and asks
its parent's for the rest.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from memraft_server.projections.notes import TRACE, Notes
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import NOW, Author, Record, VersionedRecords

_INDEX = TRACE + b"index"

INDEX_BYTES = 300
"""What a trace takes beside its record."""


class TraceBody(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the record of a trace holds; `traces.proto` says what it means."""

    kind: int
    run: str
    stream: str
    sequence: int
    parent: str
    name: str
    attributes: bytes
    started_at_us: int
    ended_at_us: int
    content: bytes
    """What it tells, as it came; nothing here reads it."""


Place = tuple[int, str]
"""(version, id) of a trace."""

_encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
decode_trace = msgspec.msgpack.Decoder(TraceBody).decode


class TracesProjection:
    """The traces of one namespace."""

    __slots__ = ("_all", "_by_parent", "_by_run", "_parent", "_usage", "records")

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.records = VersionedRecords(usage, notes, TRACE)
        self._usage = usage
        self._all: list[Place] = []
        self._by_run: dict[str, list[Place]] = {}
        self._by_parent: dict[str, list[Place]] = {}
        self._parent: TracesProjection | None = notes.join(_INDEX, self) if notes is not None else None
        self.records.follow_own(self)

    def changed(self, name: str, old: Record | None, new: Record) -> None:
        """Follows the records. A place stays where a merge has replaced its trace: `at` passes over it."""
        if new.value is None:
            return
        body = decode_trace(new.value)
        place = (new.version, name)
        _put_in(self._all, place)
        _put_in(self._by_run.setdefault(body.run, []), place)
        if body.parent:
            _put_in(self._by_parent.setdefault(body.parent, []), place)
        self._usage.bytes += INDEX_BYTES

    def find(self, id: str) -> TraceBody | None:
        """Returns the trace `id` as it stands now."""
        record = self.records.head(id)
        return decode_trace(record.value) if record is not None and record.value is not None else None

    def store(self, id: str, body: TraceBody, version: int, author: Author) -> None:
        """Stores a trace."""
        self.records.store(id, _encode(body), version, author, 0)

    def at(self, place: Place, ceiling: int) -> tuple[TraceBody, Record] | None:
        """Returns the trace at a place, as of a version; None where another stands there by then."""
        version, id = place
        record = self.records.at(id, ceiling)
        if record is None or record.version != version or record.value is None:
            return None
        return decode_trace(record.value), record

    def places(
        self, run: str, parent: str, low: int, high: int, newest_first: bool = False
    ) -> Iterator[Place]:
        """Yields the places of traces from version `low` up to `high`, both included, in order of version.

        Args:
            run: Only those of this run; empty: of any.
            parent: Only those with this parent, whatever their run; empty: all.
            low: The lowest version.
            high: The highest.
            newest_first: In the opposite order.
        """
        own = self._by_parent.get(parent, []) if parent else self._by_run.get(run, []) if run else self._all
        start, end = bisect_left(own, (low, "")), bisect_left(own, (min(high, NOW) + 1, ""))
        mine = range(end - 1, start - 1, -1) if newest_first else range(start, end)
        if newest_first:
            yield from (own[i] for i in mine)
        if self._parent is not None:
            high = min(high, self.records.base)
            yield from self._parent.places(run, parent, low, high, newest_first)
        if not newest_first:
            yield from (own[i] for i in mine)


def _put_in(places: list[Place], place: Place) -> None:
    if not places or places[-1] < place:
        places.append(place)
    else:  # from a disk they come in the order of their ids
        insort(places, place)

"""What happened, version by version: with one record of any kind, or with everything that an entity has."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import islice, takewhile
from typing import Any, NamedTuple, TypeVar

import msgspec

from memraft_proto.v1 import history_pb2
from memraft_server.machine import cursors
from memraft_server.machine.contents import MEMORY, kind_name, memory_fields, shown_record
from memraft_server.machine.limits import POSITION_BITS, Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.queries_kv import end_word
from memraft_server.machine.refused import invalid
from memraft_server.machine.retention import floor_of
from memraft_server.machine.tables import RECORD_TABLES
from memraft_server.machine.traces import looked_max, shown_trace
from memraft_server.machine.turn import Check, Query, View
from memraft_server.machine.validate_common import check_count, check_text, shown
from memraft_server.projections import notes
from memraft_server.projections.events import EventRecord
from memraft_server.projections.graph import (
    SEPARATOR,
    GraphProjection,
    edge_name,
)
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.past import PAGE_READS_MAX
from memraft_server.projections.streams import StreamsProjection
from memraft_server.projections.traces import TracesProjection
from memraft_server.projections.versions import NOBODY, Author, Record, VersionedRecords

T = TypeVar("T")

PAGE_DEFAULT = 100
NAMES_MAX = 1_000
"""Documents below an entity, or edges of its node, that a timeline takes in."""
_WIRE_BYTES = 120
_encode = msgspec.json.Encoder().encode
_decode_edge_name = msgspec.json.Decoder(tuple[str, str, str]).decode
_KINDS = {
    kind_name(kind): kind
    for kind in (notes.DOCUMENT, notes.STATE, notes.COUNTER, notes.GATE, notes.NODE, notes.EDGE)
}


class Happened(NamedTuple):
    """One thing that happened, of which the rest is read when it is on the page."""

    version: int
    kind: str
    name: str
    fill: Callable[[history_pb2.Happening], Author]
    """Writes what happened and what was written; returns who did it."""


class _Part(NamedTuple):
    """Which of what happened a page may show: so many above version `low` and up to `high`, the first or the
    last of them. There may be a great many more, which are not looked at."""

    low: int
    high: int
    count_max: int
    is_last: bool = False

    def of(self, found: list[T], version_of: Callable[[T], int]) -> list[T]:
        """Returns those, of all that there are in order of version."""
        start, end = (bisect_right(found, each, key=version_of) for each in (self.low, self.high))
        if self.is_last:
            return found[max(start, end - self.count_max) : end]
        return found[start : min(end, start + self.count_max)]


def _of_record(kind: bytes, records: VersionedRecords, name: str, part: _Part) -> list[Happened]:
    """What happened to a record, oldest first."""
    known = name if kind != notes.EDGE else _encode(name.split(SEPARATOR)).decode()

    def happened(version: int) -> Happened:
        def fill(into: history_pb2.Happening) -> Author:
            record = records.versions(name, version, 1)[0]
            into.what = end_word(record)
            into.value = shown_record(kind_name(kind), record.value) if record.value is not None else b""
            return record.author

        return Happened(version, kind_name(kind), known, fill)

    return [happened(version) for version in part.of(records.numbers(name, part.high), int)]


def _of_memories(store: MemoryStore, items: list[Remembered], part: _Part) -> list[Happened]:
    """What happened to these memories, oldest first."""

    def written(item: Remembered) -> Callable[[history_pb2.Happening], Author]:
        def fill(into: history_pb2.Happening) -> Author:
            into.what, into.value = "written", _encode(memory_fields(item))
            return item.author

        return fill

    def ended(into: history_pb2.Happening) -> Author:
        into.what = "deleted"
        return NOBODY

    moments: list[tuple[int, Remembered, bool]] = [(item.version, item, False) for item in items]
    for item in items:
        died = store.ended(item)
        if died <= part.high and store.get(item.id, died) is None:
            moments.append((died, item, True))
    moments.sort(key=_first_of)
    return [
        Happened(version, MEMORY, item.id, ended if is_end else written(item))
        for version, item, is_end in part.of(moments, _first_of)
    ]


def _first_of(moment: tuple[int, Remembered, bool]) -> int:
    return moment[0]


def _of_stream(space: Namespace, name: str, low: int, high: int, count_max: int) -> list[Happened]:
    """The first events of a stream above version `low` and up to `high`."""
    stream = space.projection(StreamsProjection).find(name)
    if stream is None:
        return []
    first, end = max(stream.count_at(low), stream.forgotten), stream.count_at(high)

    return [
        event_happened(name, place, stream.events[place])
        for place in range(first, min(end, first + count_max))
    ]


def event_happened(stream: str, place: int, event: EventRecord) -> Happened:
    """Returns the event at a place of a stream, from 0, as what happened."""

    def fill(into: history_pb2.Happening) -> Author:
        into.what, into.value, into.sequence = "appended", event.payload, place + 1
        return event.author

    return Happened(event.version, "event", stream, fill)


def _of_traces(
    space: Namespace, streams: tuple[str, ...], low: int, high: int, count_max: int
) -> tuple[list[Happened], int]:
    """The traces of events of these streams above version `low`, and the version up to which these are all:
    `high`, where no more than `count_max` had to be looked at."""
    traces = space.projection(TracesProjection)
    found: list[Happened] = []
    for looked, place in enumerate(traces.places("", "", low + 1, high)):
        if looked >= count_max:
            return found, place[0] - 1
        at = traces.at(place, high)
        if at is not None and at[0].stream in streams:
            found.append(trace_happened(place, at[1]))
    return found, high


def trace_happened(place: tuple[int, str], record: Record) -> Happened:
    """Returns a trace as what happened."""

    def fill(into: history_pb2.Happening) -> Author:
        into.what, into.value = "written", _encode(shown_trace(record.value or b""))
        return record.author

    return Happened(place[0], "trace", place[1], fill)


def _of_entity(space: Namespace, entity: str, part: _Part) -> Iterator[list[Happened]]:
    """What happened to records of this name, documents below, edges of the node, memories about it."""
    for code in (notes.STATE, notes.COUNTER, notes.GATE, notes.NODE):
        yield _of_record(code, RECORD_TABLES[code](space)[0], entity, part)
    documents, below = space.kv, f"{entity}/"
    keys = islice(documents.keys.from_name(below), NAMES_MAX)
    for key in (entity, *takewhile(lambda key: key.startswith(below), keys)):
        yield _of_record(notes.DOCUMENT, documents.records, key, part)
    graph = space.projection(GraphProjection)
    edges = graph.ever(entity, True) | graph.ever(entity, False)
    for name in sorted(edges)[:NAMES_MAX]:
        yield _of_record(notes.EDGE, graph.edges, name, part)
    memories = space.projection(MemoryStore)
    yield _of_memories(memories, memories.items_about(entity, part.high), part)


def _version_of(happened: Happened) -> int:
    return happened.version


def _items_max(view: View, limit: int) -> int:
    return min(limit or PAGE_DEFAULT, view.limits.page_items_max)


def _fill_page(
    view: View, records: VersionedRecords, response: Any, limit: int, found: Iterable[Happened]
) -> int:
    """Adds what fits a page; what has one version stays together. Returns the last version on the page where
    there is more behind it, else 0."""
    items_max, reads_end = _items_max(view, limit), records.reads + PAGE_READS_MAX
    size = last = 0
    for each in found:
        is_full = len(response.happenings) >= items_max or size > view.limits.page_bytes_max
        is_full = is_full or records.reads >= reads_end
        if is_full and each.version != last:
            return last
        last = each.version
        added = response.happenings.add(kind=each.kind, name=each.name)
        view.fill_provenance(added.provenance, each.version, each.fill(added))
        size += len(added.value) + _WIRE_BYTES
    return 0


def record_history(
    view: View, space: Namespace, request: history_pb2.RecordHistoryRequest
) -> history_pb2.RecordHistoryResponse:
    """Lists the versions of one record, newest first."""
    response = history_pb2.RecordHistoryResponse()
    kind = cursors.kind_of("record_history", request.kind, request.name)
    high = view.ceiling
    if request.cursor:
        high = min(high, cursors.decode_number(kind, request.cursor) - 1)
    part = _Part(0, high, _items_max(view, request.limit) + 1, is_last=True)
    if request.kind == MEMORY:
        store = space.projection(MemoryStore)
        found = _of_memories(store, store.items_of(request.name, high), part)
    else:
        code = _KINDS[request.kind]
        name = edge_name(*_decode_edge_name(request.name)) if code == notes.EDGE else request.name
        found = _of_record(code, RECORD_TABLES[code](space)[0], name, part)
    last = _fill_page(view, space.kv.records, response, request.limit, reversed(found))
    if last:
        response.next_cursor = cursors.encode(kind, str(last))
    response.floor_index = floor_of(space) >> POSITION_BITS
    return response


def timeline(
    view: View, space: Namespace, request: history_pb2.TimelineRequest
) -> history_pb2.TimelineResponse:
    """Lists all that happened with an entity, in commit order."""
    response = history_pb2.TimelineResponse()
    kind = cursors.kind_of("timeline", request.entity, request.from_time_us)
    low, high = 0, view.ceiling
    if request.from_time_us:
        low = ((max(0, view.entries.index_at(request.from_time_us - 1)) + 1) << POSITION_BITS) - 1
    if request.cursor:
        low = max(low, cursors.decode_number(kind, request.cursor))
    streams = (f"entity/{request.entity}", request.entity)
    traces, horizon = _of_traces(space, streams, low, high, looked_max(view.limits))
    count_max = _items_max(view, request.limit) + 1  # no more of one source than a page and what is behind
    sides = [traces, *(_of_stream(space, name, low, horizon, count_max) for name in streams)]
    sides += _of_entity(space, request.entity, _Part(low, horizon, count_max))
    last = _fill_page(view, space.kv.records, response, request.limit, merge(*sides, key=_version_of))
    if last or horizon < high:
        response.next_cursor = cursors.encode(kind, str(last or horizon))
    response.floor_index = floor_of(space) >> POSITION_BITS
    return response


def _check_history(request: history_pb2.RecordHistoryRequest, limits: Limits) -> None:
    if request.kind not in _KINDS and request.kind != MEMORY:
        kinds = ", ".join(sorted([*_KINDS, MEMORY]))
        raise invalid(f"kind: there is no kind {shown(request.kind)} with a history; {kinds}", field="kind")
    check_text("name", request.name, 4 * limits.key_bytes_max)
    check_count("limit", request.limit, limits.page_items_max)
    if request.kind == "edge":
        try:
            _decode_edge_name(request.name)
        except msgspec.MsgspecError:
            raise invalid("name: of an edge, [source, type, target] in JSON", field="name") from None


def _check_timeline(request: history_pb2.TimelineRequest, limits: Limits) -> None:
    check_text("entity", request.entity, limits.key_bytes_max)
    check_count("limit", request.limit, limits.page_items_max)
    if request.from_time_us < 0:
        raise invalid("from_time_us: microseconds since the Unix epoch, not negative", field="from_time_us")


QUERIES: dict[str, Query] = {"RecordHistory": record_history, "Timeline": timeline}
READ_CHECKS: dict[str, Check] = {"RecordHistory": _check_history, "Timeline": _check_timeline}

"""Answers reads of documents."""

from __future__ import annotations

from memraft_proto.v1 import common_pb2, kv_pb2
from memraft_server.machine import cursors
from memraft_server.machine.limits import POSITION_BITS
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import invalid
from memraft_server.machine.retention import floor_of
from memraft_server.machine.turn import Query, View
from memraft_server.projections.past import PAGE_READS_MAX
from memraft_server.projections.versions import EVICTED, EXPIRED, Record

_RECORD_WIRE_BYTES = 24

_END_REASONS = {EXPIRED: common_pb2.END_REASON_EXPIRED, EVICTED: common_pb2.END_REASON_EVICTED}

_WORDS = {
    common_pb2.END_REASON_UNSPECIFIED: "written",
    common_pb2.END_REASON_DELETED: "deleted",
    common_pb2.END_REASON_EXPIRED: "expired",
    common_pb2.END_REASON_EVICTED: "evicted",
}


def end_word(record: Record) -> str:
    """Returns what happened with a version, in a word: `written`, `deleted`, `expired` or `evicted`."""
    return _WORDS[end_reason(record)]


def end_reason(record: Record) -> common_pb2.EndReason:
    """Returns why a version of a document is an end, if it is one."""
    if record.value is not None:
        return common_pb2.END_REASON_UNSPECIFIED
    return _END_REASONS.get(record.author, common_pb2.END_REASON_DELETED)


def get(view: View, space: Namespace, request: kv_pb2.GetRequest) -> kv_pb2.GetResponse:
    """Reads a document."""
    record = space.kv.records.at(request.key, view.ceiling)
    if record is None or record.value is None:
        return kv_pb2.GetResponse()
    if space.settings is not None and view.is_now:
        space.settings.touch(request.key)
    response = kv_pb2.GetResponse()
    response.found = True
    response.value = record.value
    view.fill_provenance(response.provenance, record.version, record.author)
    if record.expires_at_us:
        response.expires_at_us = record.expires_at_us
    return response


def list_(view: View, space: Namespace, request: kv_pb2.ListRequest) -> kv_pb2.ListResponse:
    """Lists documents in key order. A page ends at the first of: items, bytes, keys looked at."""
    limits = view.limits
    items_max = min(request.limit or 1000, limits.page_items_max)
    kind = cursors.kind_of("kv", request.prefix, request.start, request.end)
    start = request.start
    if request.cursor:
        start = max(start, cursors.decode(kind, request.cursor))
    response = kv_pb2.ListResponse()
    keys, values, versions = response.keys, response.values, response.versions
    keys_only = request.keys_only
    size = 0
    records = space.kv.records
    reads_end = records.reads + PAGE_READS_MAX
    for looked, (key, record) in enumerate(space.kv.scan(start, request.end, request.prefix, view.ceiling)):
        if looked >= limits.scan_keys_max or records.reads > reads_end:
            response.next_cursor = cursors.encode(kind, key)
            break
        if record is None or record.value is None:
            continue
        value = b"" if keys_only else record.value
        size += len(key) + len(value) + _RECORD_WIRE_BYTES
        if len(keys) >= items_max or (size > limits.page_bytes_max and keys):
            response.next_cursor = cursors.encode(kind, key)
            break
        keys.append(key)
        values.append(value)
        versions.append(record.version)
    response.times_us.extend(map(view.time_us, versions))
    return response


def history(view: View, space: Namespace, request: kv_pb2.HistoryRequest) -> kv_pb2.HistoryResponse:
    """Lists the versions of one key, newest first, as many as fit a page."""
    limits = view.limits
    response = kv_pb2.HistoryResponse(floor_index=floor_of(space) >> POSITION_BITS)
    size = 0
    count_max = min(request.limit or 100, limits.page_items_max)
    kind = cursors.kind_of("history", request.key)
    ceiling = view.ceiling
    if request.cursor:
        ceiling = min(ceiling, cursors.decode_number(kind, request.cursor))
    for record in space.kv.records.versions(request.key, ceiling, count_max + 1):
        size += len(record.value or b"") + 4 * _RECORD_WIRE_BYTES
        if len(response.versions) >= count_max or (size > limits.page_bytes_max and response.versions):
            response.next_cursor = cursors.encode(kind, str(record.version))
            break
        response.versions.add(
            provenance=view.provenance(record.version, record.author),
            value=record.value or b"",
            deleted=record.value is None,
            reason=end_reason(record),
        )
    return response


def multi_get(view: View, space: Namespace, request: kv_pb2.MultiGetRequest) -> kv_pb2.MultiGetResponse:
    """Reads many documents of one moment."""
    at, ceiling = space.kv.records.at, view.ceiling
    kinds = bytearray()
    values: list[bytes] = []
    versions: list[int] = []
    size = 0
    settings = space.settings if view.is_now else None
    for key in request.keys:
        record = at(key, ceiling)
        if settings is not None:
            settings.touch(key)
        if record is None or record.value is None:
            kinds.append(0)
            values.append(b"")
            versions.append(0)
            continue
        kinds.append(1)
        values.append(record.value)
        versions.append(record.version)
        size += len(record.value)
    if size > view.limits.reply_bytes_max:
        raise invalid(
            f"keys: their documents have {size} bytes, a reply at most {view.limits.reply_bytes_max}: "
            "ask for fewer at once",
            field="keys",
            limit=str(view.limits.reply_bytes_max),
        )
    return kv_pb2.MultiGetResponse(kinds=bytes(kinds), values=values, versions=versions)


QUERIES: dict[str, Query] = {"Get": get, "List": list_, "History": history, "MultiGet": multi_get}

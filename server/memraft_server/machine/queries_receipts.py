"""Answers calls on receipts of recalls, and on what is behind an answer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from memraft_proto.v1 import history_pb2, memory_pb2, recall_pb2
from memraft_server.machine import cursors
from memraft_server.machine.handlers_memories import memory_record, memory_wire_bytes
from memraft_server.machine.limits import Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.timeline import Happened, event_happened, trace_happened
from memraft_server.machine.turn import Check, Query, View
from memraft_server.machine.validate_common import check_count, check_text
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.receipts import (
    InfluencesProjection,
    ReceiptBody,
    ReceiptsProjection,
    decode_influence,
    decode_receipt,
)
from memraft_server.projections.streams import StreamsProjection
from memraft_server.projections.traces import TracesProjection
from memraft_server.projections.versions import Author, Record

PAGE_DEFAULT = 100
AROUND_MAX = 5
"""Events, and as many traces, of the run that wrote a memory that are shown with it."""
RECEIPTS_A_LINEAGE = 100
"""Most receipts behind one answer that one reply shows."""
_AROUND_BYTES_MAX = 4_096
"""Of what an event or a trace says; more is left out."""
_WIRE_BYTES = 200


def get_receipt(
    view: View, space: Namespace, request: recall_pb2.GetReceiptRequest
) -> recall_pb2.GetReceiptResponse:
    """Reads one receipt."""
    record = space.projection(ReceiptsProjection).records.at(request.id, view.ceiling)
    response = recall_pb2.GetReceiptResponse()
    if record is not None and record.value is not None:
        fill_receipt(response.receipt, view, request.id, record, decode_receipt(record.value))
    return response


def list_receipts(
    view: View, space: Namespace, request: recall_pb2.ListReceiptsRequest
) -> recall_pb2.ListReceiptsResponse:
    """Lists receipts, newest first. A page ends at the first of: receipts, bytes, receipts looked at."""
    limits = view.limits
    receipts = space.projection(ReceiptsProjection)
    kind = cursors.kind_of("receipts", request.run, request.turn, request.agent)
    names = (
        receipts.names(request.run, cursors.decode(kind, request.cursor))
        if request.cursor
        else receipts.names(request.run)
    )
    items_max = min(request.limit or PAGE_DEFAULT, limits.page_items_max)
    response = recall_pb2.ListReceiptsResponse()
    size, last = 0, ""
    for looked, name in enumerate(names):
        record = receipts.records.at(name, view.ceiling)
        body = decode_receipt(record.value) if record is not None and record.value is not None else None
        if record is None or body is None or not _matches(body, request):
            cost = 0
        else:
            cost = len(record.value or b"") * 2 + _WIRE_BYTES
        found = response.receipts
        is_over = cost and found and (len(found) >= items_max or size + cost > limits.page_bytes_max)
        if is_over or looked >= limits.scan_keys_max:
            response.next_cursor = cursors.encode(kind, last)
            break
        if cost and record is not None and body is not None:
            size += cost
            fill_receipt(found.add(), view, name, record, body)
        last = name
    return response


def _matches(body: ReceiptBody, request: recall_pb2.ListReceiptsRequest) -> bool:
    return (
        request.turn in ("", body.turn)
        and request.agent in ("", body.agent)
        and request.run in ("", body.run)
    )


def fill_receipt(
    into: recall_pb2.Receipt, view: View, id: str, record: Record, body: ReceiptBody, with_hits: bool = True
) -> None:
    """Writes what a record of a receipt says into a message."""
    into.id, into.agent, into.run, into.turn = id, body.agent, body.run, body.turn
    into.recalled_at_us = body.recalled_at_us
    into.request.CopyFrom(memory_pb2.RecallRequest.FromString(body.request))
    into.applied_index, into.applied_time_us = body.applied_index, body.applied_time_us
    into.fingerprint, into.pipeline = body.fingerprint, body.pipeline
    into.embedding_hash, into.is_cut = body.embedding_hash, body.is_cut
    into.version, into.time_us = record.version, view.time_us(record.version)
    if not with_hits:
        return
    for hit_id, version, score in zip(body.ids, body.versions, _floats(body.scores), strict=True):
        into.hits.add(id=hit_id, version=version, score=score)
    into.signals.ParseFromString(body.signals)


def _floats(data: bytes) -> list[float]:
    numbers: list[float] = np.frombuffer(data, "<f4").tolist()
    return numbers


# -- lineage -------------------------------------------------------------------------------------------


def get_lineage(
    view: View, space: Namespace, request: recall_pb2.GetLineageRequest
) -> recall_pb2.GetLineageResponse:
    """Walks back from an answer, as far as fits a reply."""
    response = recall_pb2.GetLineageResponse()
    receipts = space.projection(ReceiptsProjection).records
    size = 0
    tied = space.projection(InfluencesProjection).of_answer(request.answer_id, view.ceiling)
    for count, (id, influence) in enumerate(tied):
        if count == RECEIPTS_A_LINEAGE or size > view.limits.page_bytes_max:
            response.is_cut = True
            break
        behind = response.receipts.add(id=id)
        view.fill_provenance(behind.influence, influence.version, influence.author)
        record = receipts.at(id, view.ceiling)
        body = decode_receipt(record.value) if record is not None and record.value is not None else None
        scores: dict[str, float] = {}
        if record is not None and body is not None:
            fill_receipt(behind.receipt, view, id, record, body, with_hits=False)
            size += len(body.request) + _WIRE_BYTES
            scores = dict(zip(body.ids, _floats(body.scores), strict=True))
        used = decode_influence(influence.value or b"")
        for memory_id, version in zip(used.ids, used.versions, strict=True):
            if size > view.limits.page_bytes_max:
                response.is_cut = True
                break
            found = behind.memories.add(id=memory_id, version=version, score=scores.get(memory_id, 0.0))
            size += _fill_memory(found, view, space)
    return response


def _says(item: Remembered) -> tuple[object, ...]:
    """Returns what a version tells of the world, and not what is done with it, such as its salience."""
    return item.text, item.about, item.kind, item.speaker, item.valid_from_us, item.valid_until_us


def _fill_memory(into: recall_pb2.LineageMemory, view: View, space: Namespace) -> int:
    """Writes what a memory said when it was recalled, and what happened around; returns its size."""
    store = space.projection(MemoryStore)
    now, then = store.get(into.id, view.ceiling), store.get(into.id, into.version)
    into.is_current = now is not None and now.version == into.version
    if then is None or then.version != into.version:
        return _WIRE_BYTES
    into.is_current = now is not None and _says(now) == _says(then)
    into.memory.CopyFrom(memory_record(view, then))
    size = memory_wire_bytes(then) + _WIRE_BYTES
    if then.author.run:
        around = sorted(_around(space, then.author.run, into.version), key=_version_of, reverse=True)
        for each in around:
            added = into.around.add(kind=each.kind, name=each.name)
            view.fill_provenance(added.provenance, each.version, _fill(added, each))
            size += len(added.value) + _WIRE_BYTES
    return size


def _version_of(happened: Happened) -> int:
    return happened.version


def _fill(into: history_pb2.Happening, happened: Happened) -> Author:
    author = happened.fill(into)
    if len(into.value) > _AROUND_BYTES_MAX:
        into.value = b""
    return author


def _around(space: Namespace, run: str, version: int) -> Iterator[Happened]:
    """Yields the last events and traces of a run up to a version."""
    name = f"run/{run}"
    stream = space.projection(StreamsProjection).find(name)
    if stream is not None:
        end = stream.count_at(version)
        for place in range(max(stream.forgotten, end - AROUND_MAX), end):
            yield event_happened(name, place, stream.events[place])
    traces = space.projection(TracesProjection)
    for where in islice(traces.places(run, "", 0, version, newest_first=True), AROUND_MAX):
        found = traces.at(where, version)
        if found is not None:
            yield trace_happened(where, found[1])


def _check_get(request: recall_pb2.GetReceiptRequest, limits: Limits) -> None:
    check_text("id", request.id, limits.label_bytes_max)


def _check_list(request: recall_pb2.ListReceiptsRequest, limits: Limits) -> None:
    for field in ("run", "turn", "agent"):
        check_text(field, getattr(request, field), limits.label_bytes_max, empty=True)
    check_count("limit", request.limit, limits.page_items_max)


def _check_lineage(request: recall_pb2.GetLineageRequest, limits: Limits) -> None:
    check_text("answer_id", request.answer_id, limits.key_bytes_max)


QUERIES: dict[str, Query] = {
    "GetReceipt": get_receipt,
    "ListReceipts": list_receipts,
    "GetLineage": get_lineage,
}
READ_CHECKS: dict[str, Check] = {
    "GetReceipt": _check_get,
    "ListReceipts": _check_list,
    "GetLineage": _check_lineage,
}

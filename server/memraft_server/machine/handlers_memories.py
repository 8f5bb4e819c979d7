"""Applies and answers calls on memories."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappush
from typing import Any

from msgspec.structs import replace

from memraft_proto.v1 import forgetting_pb2, memory_pb2
from memraft_server.machine import cursors
from memraft_server.machine.forgetting import forget_memory, note_memory
from memraft_server.machine.handlers_reembed import model_of
from memraft_server.machine.handlers_vectors import as_vector, want_index
from memraft_server.machine.limits import Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused
from memraft_server.machine.turn import Handler, Query, Turn, View
from memraft_server.machine.validate_common import refuse_early_end, shown
from memraft_server.projections.forgetting import Why
from memraft_server.projections.memories import NO_ROW, MemoryStore, Remembered, size_of
from memraft_server.projections.reembedding import Model
from memraft_server.projections.rows import ALIVE
from memraft_server.projections.vector_math import Floats
from memraft_server.projections.versions import NOW
from memraft_server.recall.index import index_of

PAGE_DEFAULT = 100
RECORD_WIRE_BYTES = 101
"""What a record takes in a reply beside its texts and metadata."""
_CHANGEABLE = ("metadata", "about", "kind", "salience", "valid_from_us", "valid_until_us", "pinned")
_NEVER_US = (1 << 63) - 1


def remember(
    turn: Turn, space: Namespace, request: memory_pb2.RememberRequest
) -> memory_pb2.RememberResponse:
    """Stores a memory, new or in place of the one with its id."""
    store = space.projection(MemoryStore)
    data = request.embedding
    embeddings = []
    if data:
        embeddings.append((model_of(space, store, len(data), request.fingerprint), as_vector(data)))
    item = Remembered(
        id=request.id or turn.new_id(),
        text=request.text,
        metadata=request.metadata,
        about=request.about,
        kind=request.kind,
        salience=request.salience,
        version=turn.version,
        author=turn.author,
        valid_from_us=request.valid_from_us,
        valid_until_us=request.valid_until_us,
        thread=request.thread,
        speaker=request.speaker,
        pinned=request.pinned,
        expires_at_us=_deadline(turn, request.ttl_ms or _default_ttl_ms(space, request.pinned)),
    )
    store_memory(turn, space, item, embeddings)
    return memory_pb2.RememberResponse(id=item.id, version=turn.version, time_us=turn.time_us)


def update_memory(
    turn: Turn, space: Namespace, request: memory_pb2.UpdateMemoryRequest
) -> memory_pb2.UpdateMemoryResponse:
    """Stores another version of a memory, with the same text and the same embedding."""
    store = space.projection(MemoryStore)
    old = store.get(request.id, NOW)
    if old is None:
        raise Refused("NO_SUCH_MEMORY", f"id: there is no memory {shown(request.id)}", {"id": request.id})
    changed = {name: getattr(request, name) for name in _CHANGEABLE if request.HasField(name)}
    if request.HasField("ttl_ms"):
        changed["expires_at_us"] = _deadline(turn, request.ttl_ms)
    store_again(turn, space, old, **changed)
    return memory_pb2.UpdateMemoryResponse(version=turn.version, time_us=turn.time_us)


def store_again(turn: Turn, space: Namespace, old: Remembered, **changed: Any) -> None:
    """Stores another version of a memory, with what has changed. Raises Refused."""
    store = space.projection(MemoryStore)
    item = replace(old, version=turn.version, author=turn.author, row=NO_ROW, died=ALIVE, **changed)
    refuse_early_end("", item.valid_from_us, item.valid_until_us)
    embeddings = store.embeddings_of(old)
    turn.copy(size_of(old) + sum(embedding.nbytes for _, embedding in embeddings))
    store_memory(turn, space, item, embeddings)


def store_memory(
    turn: Turn, space: Namespace, item: Remembered, embeddings: Sequence[tuple[Model, Floats]]
) -> None:
    """Stores a version of a memory, with what follows from that: see `MemoryStore.put`."""
    store = space.projection(MemoryStore)
    index_of(store)
    store.put(item, embeddings)
    for rows in store.all_rows():
        want_index(turn, rows)
    if item.expires_at_us:
        heappush(turn.memory_expiries, (item.expires_at_us, item.version, space.name, item.id))
    note_memory(turn, space, item.id)


def _default_ttl_ms(space: Namespace, pinned: bool) -> int:
    """Returns the time to live of memories that are given none; 0 for none."""
    return space.settings.memories.default_ttl_ms if space.settings is not None and not pinned else 0


def _deadline(turn: Turn, ttl_ms: int) -> int:
    """Returns when a memory with this time to live is to be forgotten; 0 for never."""
    return min(turn.time_us + ttl_ms * 1000, _NEVER_US) if ttl_ms else 0


def forget(turn: Turn, space: Namespace, request: memory_pb2.ForgetRequest) -> memory_pb2.ForgetResponse:
    """Forgets a memory; reads of the past still see it."""
    why = Why(request.id, forgetting_pb2.FORGET_REASON_FORGOTTEN, request.reason)
    found = forget_memory(turn, space, turn.version, why, turn.author)
    return memory_pb2.ForgetResponse(version=turn.version, time_us=turn.time_us, found=found)


def get_memory(
    view: View, space: Namespace, request: memory_pb2.GetMemoryRequest
) -> memory_pb2.GetMemoryResponse:
    """Reads one memory."""
    item = space.projection(MemoryStore).get(request.id, view.ceiling)
    if item is not None and not item.holds_at(_valid_at_us(request)):
        item = None
    return memory_pb2.GetMemoryResponse(memory=memory_record(view, item) if item is not None else None)


def list_memories(
    view: View, space: Namespace, request: memory_pb2.ListMemoriesRequest
) -> memory_pb2.ListMemoriesResponse:
    """Lists memories, newest first. A page ends at the first of: items, bytes, memories looked at."""
    limits = view.limits
    items_max = min(request.limit or PAGE_DEFAULT, limits.page_items_max)
    valid_at_us = _valid_at_us(request)
    kind = cursors.kind_of("memories", request.about, valid_at_us)
    below = cursors.decode_number(kind, request.cursor) if request.cursor else NOW
    response = memory_pb2.ListMemoriesResponse()
    memories = response.memories
    size = 0
    newest = space.projection(MemoryStore).newest(request.about, view.ceiling, below)
    for looked, (version, item) in enumerate(newest):
        if item is not None and not item.holds_at(valid_at_us):
            item = None
        cost = memory_wire_bytes(item) if item is not None else 0
        over = size and size + cost > limits.page_bytes_max
        if over or len(memories) >= items_max or looked >= limits.scan_keys_max:
            response.next_cursor = cursors.encode(kind, str(version + 1))
            break
        if item is not None:
            size += cost
            memories.append(memory_record(view, item))
    return response


def _valid_at_us(
    request: memory_pb2.GetMemoryRequest | memory_pb2.ListMemoriesRequest,
) -> int | None:
    return request.valid_at_us if request.HasField("valid_at_us") else None


def memory_record(view: View, item: Remembered) -> memory_pb2.MemoryRecord:
    record = memory_pb2.MemoryRecord()
    fill_record(record, view, item)
    return record


def fill_record(record: memory_pb2.MemoryRecord, view: View, item: Remembered) -> None:
    """Writes a memory into `record`, which is empty: saves making and copying one."""
    record.id = item.id
    record.text = item.text
    record.salience = item.salience
    view.fill_provenance(record.provenance, item.version, item.author)
    # What says nothing is not written; one by one, for a loop over their names takes twice as long.
    if item.about:
        record.about = item.about
    if item.thread:
        record.thread = item.thread
    if item.speaker:
        record.speaker = item.speaker
    if item.kind:
        record.kind = item.kind
    if item.metadata:
        record.metadata = item.metadata
    if item.valid_from_us:
        record.valid_from_us = item.valid_from_us
    if item.valid_until_us:
        record.valid_until_us = item.valid_until_us
    if item.pinned:
        record.pinned = True
    if item.expires_at_us:
        record.expires_at_us = item.expires_at_us


def memory_wire_bytes_max(limits: Limits) -> int:
    """Returns what `memory_wire_bytes` is at most for a memory of one call."""
    names = 3 * limits.key_bytes_max + limits.name_bytes_max  # id, about, thread; speaker
    return RECORD_WIRE_BYTES + 3 * limits.text_bytes_max + limits.metadata_bytes_max + 3 * names


def memory_wire_bytes(item: Remembered) -> int:
    names = len(item.id) + len(item.about) + len(item.thread) + len(item.speaker)
    return RECORD_WIRE_BYTES + 3 * len(item.text) + len(item.metadata) + 3 * names


HANDLERS: dict[int, Handler] = {11: remember, 12: forget, 50: update_memory}

QUERIES: dict[str, Query] = {"GetMemory": get_memory, "ListMemories": list_memories}

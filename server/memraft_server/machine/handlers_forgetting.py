"""Applies and answers calls on what was forgotten, and on memories that say nearly the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from memraft_proto.methods import KIND_EVICT_MEMORIES
from memraft_proto.v1 import forgetting_pb2, kv_pb2, log_pb2
from memraft_server.machine import cursors
from memraft_server.machine.forgetting import AUTHORS, forget_memory
from memraft_server.machine.handlers_memories import (
    memory_record,
    memory_wire_bytes,
    store_again,
)
from memraft_server.machine.limits import Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.turn import Check, Handler, PortionedQuery, Query, Turn, View
from memraft_server.machine.validate_common import check_columns, check_count, check_text, shown
from memraft_server.projections.forgetting import ForgettingProjection, Why, name_of, why_of
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.memory_rows import Wanted
from memraft_server.projections.versions import EVICTED, NOW, OrderedRecords, Record
from memraft_server.recall.scoring import says_the_same

MERGED_MAX = 1_000
"""Most memories that one command merges into another. Part of the contract between replicas."""
MERGED_FROM_MAX = 64
"""Most ids that a memory keeps of those that were merged into it, the last ones. Part of the contract."""
MERGED_FROM = "merged_from"
METADATA_BYTES_MAX = 16 << 10
"""Of metadata that ids are added to. Part of the contract."""
NEAR_MAX = 64
"""Nearest memories that are compared with one."""
LOOKED_MAX = 1_000
"""Memories that one page of duplicates looks at."""
LOOKED_DEFAULT = 100
PAGE_DEFAULT = 100

_WHY_WIRE_BYTES = 96
_WORD = re.compile(r"[^\W_]+")
_parse = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_parse_ids = msgspec.json.Decoder(list[str]).decode
_encode = msgspec.json.Encoder().encode


def evict_memories(
    turn: Turn, space: Namespace, request: log_pb2.EvictMemoriesCommand
) -> kv_pb2.MultiPutResponse:
    """Forgets the memories that had to go, where they still have the version that they had then."""
    store = space.projection(MemoryStore)
    author = AUTHORS.get(request.reason, EVICTED)
    worths = request.worths
    count = 0
    for place, (id, version) in enumerate(zip(request.ids, request.versions, strict=False)):
        item = store.get(id, NOW)
        if item is None or item.version != version:
            continue
        worth = None
        if place < len(worths):
            each = worths[place]
            worth = (each.score, each.recency, each.frequency, each.salience, each.impact)
        forget_memory(turn, space, turn.version + count, Why(id, request.reason, worth=worth), author)
        count += 1
    turn.items = max(1, count)
    return kv_pb2.MultiPutResponse(first_version=turn.version, count=count, time_us=turn.time_us)


def merge_memories(
    turn: Turn, space: Namespace, request: forgetting_pb2.MergeMemoriesRequest
) -> forgetting_pb2.MergeMemoriesResponse:
    """Merges memories into one of them, all or none."""
    store = space.projection(MemoryStore)
    kept = store.get(request.keep_id, NOW)
    if kept is None:
        raise Refused("NO_SUCH_MEMORY", f"keep_id: there is no memory {shown(request.keep_id)}")
    others = [store.get(id, NOW) for id in request.ids]
    items = [each for each in others if each is not None]
    versions = [each.version for each in items]
    response = forgetting_pb2.MergeMemoriesResponse(version=kept.version, time_us=turn.time_us)
    if kept.version != request.keep_version or versions != list(request.versions):
        response.conflict = True
        return response
    every = [kept, *items]
    ends_us = [each.expires_at_us for each in every]
    store_again(
        turn,
        space,
        kept,
        salience=max(each.salience for each in every),
        pinned=any(each.pinned for each in every),
        expires_at_us=max(ends_us) if all(ends_us) else 0,
        metadata=_with_merged(kept.metadata, list(request.ids)),
    )
    for number, item in enumerate(items, 1):
        why = Why(item.id, forgetting_pb2.FORGET_REASON_MERGED, merged_into=kept.id)
        forget_memory(turn, space, turn.version + number, why, turn.author)
    turn.items = 1 + len(items)
    response.version, response.count = turn.version, len(items)
    return response


def _with_merged(metadata: bytes, ids: list[str]) -> bytes:
    """Returns metadata that tell of memories which were merged into this one, where there is room for it."""
    try:
        fields = _parse(metadata) if metadata else {}
        before = _parse_ids(fields[MERGED_FROM]) if MERGED_FROM in fields else []
    except msgspec.DecodeError:
        return metadata  # the caller has it for something else
    merged = [*before, *ids][-MERGED_FROM_MAX:]
    while merged:
        encoded = _encode({**fields, MERGED_FROM: merged})
        if len(encoded) <= METADATA_BYTES_MAX:
            return encoded
        del merged[0]
    return metadata


def list_forgotten(
    view: View, space: Namespace, request: forgetting_pb2.ListForgottenRequest
) -> forgetting_pb2.ListForgottenResponse:
    """Lists what was forgotten, the last first. A page ends at the first of: items, bytes, records looked
    at."""
    limits = view.limits
    kind = cursors.kind_of("forgotten", request.id, request.reason)
    items_max = min(request.limit or PAGE_DEFAULT, limits.page_items_max)
    start = cursors.decode(kind, request.cursor) if request.cursor else ""
    response = forgetting_pb2.ListForgottenResponse()
    store, records = space.projection(MemoryStore), space.projection(ForgettingProjection).records
    size = 0
    if request.id:
        found = _ends_of(store, records, request.id, start, view.ceiling)
    else:
        found = records.scan(start, "", "", view.ceiling)
    for looked, (name, record) in enumerate(found):
        why = why_of(record)
        is_asked = why is not None and request.reason in (0, why.reason)
        item = store.get(why.id, record.version - 1) if why and record and is_asked else None
        size += _WHY_WIRE_BYTES + memory_wire_bytes(item) if item is not None else 0
        over = size > limits.page_bytes_max and response.memories
        if over or len(response.memories) >= items_max or looked >= limits.scan_keys_max:
            response.next_cursor = cursors.encode(kind, name)
            break
        if item is not None and why is not None and record is not None:
            _fill(view, response.memories.add(), item, why, record)
    return response


def _ends_of(
    store: MemoryStore, records: OrderedRecords, id: str, start: str, ceiling: int
) -> Iterator[tuple[str, Record | None]]:
    """Yields as `OrderedRecords.scan` does what there is of one memory."""
    ends = {store.ended(item) for item in store.items_of(id, ceiling)}
    for name in sorted(name_of(version) for version in ends if version <= ceiling):
        if name >= start:
            yield name, records.at(name, ceiling)


def _fill(
    view: View, into: forgetting_pb2.ForgottenMemory, item: Remembered, why: Why, record: Record
) -> None:
    into.memory.CopyFrom(memory_record(view, item))
    into.reason = why.reason  # type: ignore[assignment]  # its numbers
    into.note, into.merged_into = why.note, why.merged_into
    if why.worth is not None:
        worth = into.worth
        worth.score, worth.recency, worth.frequency, worth.salience, worth.impact = why.worth
    view.fill_provenance(into.provenance, record.version, record.author)


def find_duplicates(
    view: View, space: Namespace, request: forgetting_pb2.FindDuplicatesRequest
) -> Iterator[forgetting_pb2.FindDuplicatesResponse | None]:
    """Yields None after each portion of the work, and at last the page."""
    store = space.projection(MemoryStore)
    kind = cursors.kind_of("duplicates", request.threshold, request.about, request.kind, request.paraphrases)
    below = cursors.decode_number(kind, request.cursor) if request.cursor else NOW
    looked_max = request.limit or LOOKED_DEFAULT
    response = forgetting_pb2.FindDuplicatesResponse()
    passed = 0
    for version, item in store.newest(request.about, view.ceiling, below):
        if response.looked >= looked_max or passed >= view.limits.scan_keys_max:
            response.next_cursor = cursors.encode(kind, str(version + 1))
            break
        passed += 1
        if item is None or request.kind not in ("", item.kind):
            continue
        response.looked += 1
        near = _near(view, store, item, request)
        if near:
            _group(response.groups.add(), item, near)
        yield None  # a search each: others have their turn in between
    yield response


class _Near(NamedTuple):
    """An older memory that says nearly what another one says, perhaps with more words."""

    item: Remembered
    cosine: float
    says_more: bool


def _near(
    view: View, store: MemoryStore, item: Remembered, request: forgetting_pb2.FindDuplicatesRequest
) -> list[_Near]:
    """Returns the older memories that say nearly what one says, the nearest first."""
    embedding = store.embedding_of(item)
    if embedding is None:
        return []
    ceiling = None if view.is_now else view.ceiling
    wanted = Wanted((item.about,) if item.about else None, item.kind)
    said = _words(item.text)
    found = []
    for other, cosine in store.recall(embedding, NEAR_MAX, ceiling, wanted):
        if cosine < request.threshold or other.version >= item.version or not says_the_same(item, other):
            continue
        others = _words(other.text)
        if request.paraphrases or _is_within(said, others) or _is_within(others, said):
            found.append(_Near(other, cosine, len(others) > len(said) and _is_within(said, others)))
    return found


def _words(text: str) -> list[str]:
    """All of them: two texts may differ in no more than `up` and `down`, which searches pass over."""
    return _WORD.findall(text.lower())


def _is_within(few: list[str], many: list[str]) -> bool:
    """Whether some words are among others, in their order."""
    rest = iter(many)
    return all(word in rest for word in few)


def _group(group: forgetting_pb2.DuplicateGroup, item: Remembered, near: list[_Near]) -> None:
    """Settles which is kept: the newest, unless an older one is pinned or says more; what is pinned goes
    nowhere."""
    better = [each for each in near if each.item.pinned] or [each for each in near if each.says_more]
    if better and not item.pinned:
        kept, others = better[0].item, [(item, better[0].cosine)]
    else:
        kept, others = item, [(each.item, each.cosine) for each in near if not each.item.pinned]
    group.keep_id, group.keep_version = kept.id, kept.version
    for other, cosine in others:
        group.duplicates.add(id=other.id, version=other.version, cosine=cosine)


def _check_merge(request: forgetting_pb2.MergeMemoriesRequest, limits: Limits) -> None:
    check_text("keep_id", request.keep_id, limits.key_bytes_max)
    check_count("ids", len(request.ids), MERGED_MAX, least=1)
    check_columns("ids", len(request.ids), versions=len(request.versions))
    for place, id in enumerate(request.ids):
        check_text(f"ids[{place}]", id, limits.key_bytes_max)
    if len({request.keep_id, *request.ids}) <= len(request.ids):
        raise invalid("ids: each once, and not the one to keep", field="ids")


def _check_forgotten(request: forgetting_pb2.ListForgottenRequest, limits: Limits) -> None:
    check_text("id", request.id, limits.key_bytes_max, empty=True)
    check_count("limit", request.limit, limits.page_items_max)
    if request.reason not in forgetting_pb2.ForgetReason.values():
        most = max(forgetting_pb2.ForgetReason.values())
        raise invalid(f"reason: {request.reason}, from 0 to {most}", field="reason")


def _check_duplicates(request: forgetting_pb2.FindDuplicatesRequest, limits: Limits) -> None:
    if not 0 < request.threshold <= 1:  # NaN fails too
        raise invalid(f"threshold: {request.threshold}, above 0 and up to 1", field="threshold", limit="1")
    check_text("about", request.about, limits.key_bytes_max, empty=True)
    check_text("kind", request.kind, limits.name_bytes_max, empty=True)
    check_count("limit", request.limit, LOOKED_MAX)


HANDLERS: dict[int, Handler] = {52: merge_memories, KIND_EVICT_MEMORIES: evict_memories}
QUERIES: dict[str, Query] = {"ListForgotten": list_forgotten}
PORTIONED: dict[str, PortionedQuery] = {"FindDuplicates": find_duplicates}
WRITE_CHECKS: dict[int, Check] = {52: _check_merge}
READ_CHECKS: dict[str, Check] = {"ListForgotten": _check_forgotten, "FindDuplicates": _check_duplicates}

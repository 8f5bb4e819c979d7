"""Settings of a namespace: schemas, the time to live of documents, how many of them there may be.

Whether a schema is one, and whether documents are what it asks for, is checked before they come here
(`admission.schemas`): what a library makes of a schema may differ from one version of it to the next, and
replicas must not. What is checked here is only that the schemas have not changed since.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from memraft_proto.methods import KIND_BATCH, KIND_EVICT, KIND_TXN
from memraft_proto.v1 import kv_pb2, log_pb2, namespace_pb2
from memraft_server.machine import cursors
from memraft_server.machine.commands import Command
from memraft_server.machine.limits import ITEMS_MAX, Limits
from memraft_server.machine.memory_settings import (
    change_memory_settings,
    changed_rules,
    check_memory_settings,
    fill_memory_settings,
)
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.recall_settings import (
    change_recall_settings,
    check_parameters,
    fill_recall_settings,
)
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.turn import Check, Handler, Query, Turn, View
from memraft_server.machine.validate_common import check_count, check_json, check_text
from memraft_server.projections.settings import (
    BOUNDS,
    RECEIPTS_TTL,
    SCHEMA,
    TTL,
    Bounds,
    bounds_of,
    encode_bounds,
    encode_ttl,
    ttl_of,
)
from memraft_server.projections.versions import EVICTED

SCHEMAS_MAX = 256
"""Most prefixes with a schema in a namespace. Part of the contract between replicas."""
SCHEMA_BYTES_MAX = 64 << 10
ENTRIES_MAX_MAX = 1 << 32
BYTES_MAX_MAX = 1 << 50
EVICTED_KEYS_BYTES_MAX = 256 << 10
"""Of one command that evicts: a log may take commands of fewer bytes than ten thousand long keys have."""
PAGE_DEFAULT = 100

SET_SCHEMA = 16
HAS_DOCUMENTS = frozenset((1, 3, KIND_BATCH, KIND_TXN))
"""Kinds of commands whose documents are checked against schemas."""

_WIRE_BYTES = 96


def refuse_unchecked(space: Namespace, command: Command) -> None:
    """Refuses a command whose documents were not checked against the schemas as they are now."""
    settings = space.settings
    if settings is None or not settings.schemas_version or command.kind not in HAS_DOCUMENTS:
        return
    request = command.request
    checked: int = request.context.schema_version  # type: ignore[attr-defined]
    if checked != settings.schemas_version:
        raise Refused(
            "SCHEMA_CHANGED",
            f"the schemas of {space.name!r} changed while this write was on its way: nothing was written, "
            "send it again",
            {"retry_after_ms": "0"},
        )


def set_schema(
    turn: Turn, space: Namespace, request: namespace_pb2.SetSchemaRequest
) -> namespace_pb2.SetSchemaResponse:
    """Sets or removes the schema of a prefix."""
    settings = space.make_settings()
    name = SCHEMA + request.prefix
    found = settings.records.head(name) is not None
    if not request.schema:
        settings.records.remove(name, turn.version, turn.author)
    elif not found and len(settings.schemas) >= SCHEMAS_MAX:
        raise invalid(
            f"prefix: {space.name!r} has schemas for {SCHEMAS_MAX} prefixes, at most {SCHEMAS_MAX}",
            field="prefix",
            limit=str(SCHEMAS_MAX),
        )
    else:
        settings.records.store(name, request.schema, turn.version, turn.author, 0)
    return namespace_pb2.SetSchemaResponse(version=turn.version, time_us=turn.time_us, found=found)


def list_schemas(
    view: View, space: Namespace, request: namespace_pb2.ListSchemasRequest
) -> namespace_pb2.ListSchemasResponse:
    """Lists schemas in the order of their prefixes, as many as fit a page."""
    response = namespace_pb2.ListSchemasResponse()
    if space.settings is None:
        return response
    kind = cursors.kind_of("schemas", request.prefix)
    wanted = SCHEMA + request.prefix
    start = cursors.decode(kind, request.cursor) if request.cursor else wanted
    items_max = min(request.limit or PAGE_DEFAULT, view.limits.page_items_max)
    size = 0
    for name, record in space.settings.records.scan(start, "", wanted, view.ceiling):
        if record is None or record.value is None:
            continue
        size += len(name) + len(record.value) + _WIRE_BYTES
        found = response.schemas
        if len(found) >= items_max or (size > view.limits.page_bytes_max and found):
            response.next_cursor = cursors.encode(kind, name)
            break
        added = found.add(prefix=name[len(SCHEMA) :], schema=record.value)
        view.fill_provenance(added.provenance, record.version, record.author)
    return response


def set_settings(
    turn: Turn, space: Namespace, request: namespace_pb2.SetNamespaceSettingsRequest
) -> namespace_pb2.SetNamespaceSettingsResponse:
    """Changes the settings that the request has."""
    rules = changed_rules(space, request.memories) if request.HasField("memories") else None
    settings = space.make_settings()
    records, version, author = settings.records, turn.version, turn.author
    if request.HasField("default_ttl_ms"):
        records.store(TTL, encode_ttl(request.default_ttl_ms), version, author, 0)
    if request.HasField("receipts_ttl_ms"):
        records.store(RECEIPTS_TTL, encode_ttl(request.receipts_ttl_ms), version, author, 0)
        turn.spaces.note_receipts(space.name, request.receipts_ttl_ms > 0)
    if request.HasField("entries_max") or request.HasField("bytes_max"):
        old = settings.bounds
        bounds = Bounds(
            request.entries_max if request.HasField("entries_max") else old.entries_max,
            request.bytes_max if request.HasField("bytes_max") else old.bytes_max,
        )
        records.store(BOUNDS, encode_bounds(bounds), version, author, 0)
        turn.note_crowded(space)
    if rules is not None:
        change_memory_settings(turn, space, rules)
    if request.HasField("recall"):
        change_recall_settings(turn, space, request.recall)
    return namespace_pb2.SetNamespaceSettingsResponse(version=version, time_us=turn.time_us)


def get_settings(
    view: View, space: Namespace, request: namespace_pb2.GetNamespaceSettingsRequest
) -> namespace_pb2.GetNamespaceSettingsResponse:
    """Reads the settings."""
    response = namespace_pb2.GetNamespaceSettingsResponse()
    settings = space.settings
    if settings is None:
        return response
    ttl, bounds = settings.records.at(TTL, view.ceiling), settings.records.at(BOUNDS, view.ceiling)
    response.default_ttl_ms = ttl_of(ttl)
    response.receipts_ttl_ms = ttl_of(settings.records.at(RECEIPTS_TTL, view.ceiling))
    if ttl is not None:
        view.fill_provenance(response.ttl_provenance, ttl.version, ttl.author)
    response.entries_max, response.bytes_max = bounds_of(bounds).entries_max, bounds_of(bounds).bytes_max
    if bounds is not None:
        view.fill_provenance(response.bounds_provenance, bounds.version, bounds.author)
    response.schemas = sum(
        record is not None for _, record in settings.records.scan(SCHEMA, "", SCHEMA, view.ceiling)
    )
    if view.is_now and settings.recency is not None:
        response.entries, response.bytes = len(settings.recency), settings.recency.bytes
    fill_memory_settings(view, space, response)
    fill_recall_settings(view, space, response)
    return response


def evict(turn: Turn, space: Namespace, request: log_pb2.EvictCommand) -> kv_pb2.MultiPutResponse:
    """Deletes the documents that had to go, where they still have the version that they had then."""
    records = space.kv.records
    count = 0
    for key, version in zip(request.keys, request.versions, strict=False):
        head = records.head(key)
        if head is not None and head.version == version:
            records.remove(key, turn.version + count, EVICTED)
            count += 1
    turn.items = max(1, count)
    return kv_pb2.MultiPutResponse(first_version=turn.version, count=count, time_us=turn.time_us)


def eviction(space: Namespace) -> Command | None:
    """Returns the command that makes room in a namespace, None where there is enough."""
    settings = space.settings
    victims = settings.victims(ITEMS_MAX) if settings is not None else []
    if not victims:
        return None
    ends = list(accumulate(len(key.encode()) for key in victims))
    del victims[max(1, bisect_right(ends, EVICTED_KEYS_BYTES_MAX)) :]
    heads = space.kv.records.heads
    versions = [heads[key].version for key in victims]
    request = log_pb2.EvictCommand(namespace=space.name, keys=victims, versions=versions)
    return Command(KIND_EVICT, "", request)


def _check_set_schema(request: namespace_pb2.SetSchemaRequest, limits: Limits) -> None:
    check_text("prefix", request.prefix, limits.key_bytes_max, empty=True)
    check_json("schema", request.schema, SCHEMA_BYTES_MAX, empty=True)


def _check_list_schemas(request: namespace_pb2.ListSchemasRequest, limits: Limits) -> None:
    check_text("prefix", request.prefix, limits.key_bytes_max, empty=True)
    check_count("limit", request.limit, limits.page_items_max)


def _check_settings(request: namespace_pb2.SetNamespaceSettingsRequest, limits: Limits) -> None:
    check_count("default_ttl_ms", request.default_ttl_ms, limits.ttl_ms_max)
    check_count("receipts_ttl_ms", request.receipts_ttl_ms, limits.ttl_ms_max)
    check_count("entries_max", request.entries_max, ENTRIES_MAX_MAX)
    check_count("bytes_max", request.bytes_max, BYTES_MAX_MAX)
    check_memory_settings(request.memories, limits)
    check_parameters("recall", request.recall)
    fields = ("default_ttl_ms", "entries_max", "bytes_max", "recall", "memories", "receipts_ttl_ms")
    if not any(request.HasField(field) for field in fields):
        raise invalid(f"{', '.join(fields)}: none is given: there is nothing to change")


def _no_check(_request: object, _limits: Limits) -> None:
    return None


HANDLERS: dict[int, Handler] = {SET_SCHEMA: set_schema, 18: set_settings, KIND_EVICT: evict}
QUERIES: dict[str, Query] = {"ListSchemas": list_schemas, "GetNamespaceSettings": get_settings}
WRITE_CHECKS: dict[int, Check] = {SET_SCHEMA: _check_set_schema, 18: _check_settings}
READ_CHECKS: dict[str, Check] = {"ListSchemas": _check_list_schemas, "GetNamespaceSettings": _no_check}

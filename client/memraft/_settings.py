"""Between Python values and the messages of a namespace's settings. Pure; shared by both facades."""

from collections.abc import Mapping
from typing import Any

from memraft_proto.v1 import namespace_pb2

from . import _forgetting, _json, _recall, _wire
from .types import Deleted, MemorySettingsChanges, RecallParameters, Results, Written
from .types_settings import NamespaceSettings, SchemaInfo


def set_schema(where: Mapping[str, Any], prefix: str, schema: Any) -> namespace_pb2.SetSchemaRequest:
    """Returns the request that sets the schema of a prefix."""
    raw = _json.encode(schema, "schema")
    return _wire.build(namespace_pb2.SetSchemaRequest, **where, prefix=prefix, schema=raw)


def remove_schema(where: Mapping[str, Any], prefix: str) -> namespace_pb2.SetSchemaRequest:
    """Returns the request that removes it."""
    return _wire.build(namespace_pb2.SetSchemaRequest, **where, prefix=prefix)


def schema_set(request: namespace_pb2.SetSchemaRequest, response: namespace_pb2.SetSchemaResponse) -> Written:
    """Returns what was written."""
    return Written(id=request.prefix, version=response.version, time_us=response.time_us)


def schema_removed(
    request: namespace_pb2.SetSchemaRequest, response: namespace_pb2.SetSchemaResponse
) -> Deleted:
    """Returns what was removed."""
    found = response.found
    return Deleted(id=request.prefix, version=response.version, time_us=response.time_us, found=found)


def schemas(response: namespace_pb2.ListSchemasResponse) -> Results[SchemaInfo]:
    """Returns the schemas of a listing."""
    items = tuple(
        SchemaInfo(
            prefix=each.prefix,
            schema=_json.decode(each.schema),
            version=each.provenance.version,
            time_us=each.provenance.time_us,
            agent=each.provenance.agent,
        )
        for each in response.schemas
    )
    return _wire.results(response, items)


def set_settings(
    where: Mapping[str, Any],
    default_ttl_ms: int | None,
    entries_max: int | None,
    bytes_max: int | None,
    receipts_ttl_ms: int | None,
    memories: MemorySettingsChanges | None,
    recall: RecallParameters | None,
) -> namespace_pb2.SetNamespaceSettingsRequest:
    """Returns the request that changes settings; None: as it is."""
    return _wire.build(
        namespace_pb2.SetNamespaceSettingsRequest,
        **where,
        default_ttl_ms=default_ttl_ms,
        entries_max=entries_max,
        bytes_max=bytes_max,
        receipts_ttl_ms=receipts_ttl_ms,
        memories=_forgetting.memory_settings(memories),
        recall=_recall.parameters(recall),
    )


def settings_set(
    request: namespace_pb2.SetNamespaceSettingsRequest,
    response: namespace_pb2.SetNamespaceSettingsResponse,
) -> Written:
    """Returns when it was done."""
    return Written(id=request.namespace, version=response.version, time_us=response.time_us)


def settings(response: namespace_pb2.GetNamespaceSettingsResponse) -> NamespaceSettings:
    """Returns the settings."""
    changes = (
        response.ttl_provenance,
        response.bounds_provenance,
        response.memories_provenance,
        response.recall_provenance,
    )
    last = max(changes, key=lambda each: each.version)
    return NamespaceSettings(
        default_ttl_ms=response.default_ttl_ms,
        entries_max=response.entries_max,
        bytes_max=response.bytes_max,
        schemas=response.schemas,
        entries=response.entries,
        bytes=response.bytes,
        receipts_ttl_ms=response.receipts_ttl_ms,
        memories=_forgetting.read_memory_settings(response.memories),
        memories_entries=response.memories_entries,
        memories_bytes=response.memories_bytes,
        recall=_recall.as_parameters(response.recall),
        version=last.version,
        time_us=last.time_us,
        agent=last.agent,
    )

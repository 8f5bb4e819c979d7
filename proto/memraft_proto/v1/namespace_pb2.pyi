from memraft_proto.v1 import common_pb2 as _common_pb2
from memraft_proto.v1 import memory_pb2 as _memory_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SetSchemaRequest(_message.Message):
    __slots__ = ("namespace", "context", "prefix", "schema")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    prefix: str
    schema: bytes
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., prefix: _Optional[str] = ..., schema: _Optional[bytes] = ...) -> None: ...

class SetSchemaResponse(_message.Message):
    __slots__ = ("version", "time_us", "found")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    found: bool
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., found: bool = ...) -> None: ...

class ListSchemasRequest(_message.Message):
    __slots__ = ("namespace", "context", "prefix", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    prefix: str
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., prefix: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class PrefixSchema(_message.Message):
    __slots__ = ("prefix", "schema", "provenance")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    schema: bytes
    provenance: _common_pb2.Provenance
    def __init__(self, prefix: _Optional[str] = ..., schema: _Optional[bytes] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ...) -> None: ...

class ListSchemasResponse(_message.Message):
    __slots__ = ("stamp", "schemas", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    SCHEMAS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    schemas: _containers.RepeatedCompositeFieldContainer[PrefixSchema]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., schemas: _Optional[_Iterable[_Union[PrefixSchema, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class MemorySettings(_message.Message):
    __slots__ = ("entries_max", "bytes_max", "prune_below", "default_ttl_ms", "recency", "frequency", "salience", "impact", "half_life_days")
    ENTRIES_MAX_FIELD_NUMBER: _ClassVar[int]
    BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    PRUNE_BELOW_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_TTL_MS_FIELD_NUMBER: _ClassVar[int]
    RECENCY_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_FIELD_NUMBER: _ClassVar[int]
    SALIENCE_FIELD_NUMBER: _ClassVar[int]
    IMPACT_FIELD_NUMBER: _ClassVar[int]
    HALF_LIFE_DAYS_FIELD_NUMBER: _ClassVar[int]
    entries_max: int
    bytes_max: int
    prune_below: float
    default_ttl_ms: int
    recency: float
    frequency: float
    salience: float
    impact: float
    half_life_days: float
    def __init__(self, entries_max: _Optional[int] = ..., bytes_max: _Optional[int] = ..., prune_below: _Optional[float] = ..., default_ttl_ms: _Optional[int] = ..., recency: _Optional[float] = ..., frequency: _Optional[float] = ..., salience: _Optional[float] = ..., impact: _Optional[float] = ..., half_life_days: _Optional[float] = ...) -> None: ...

class SetNamespaceSettingsRequest(_message.Message):
    __slots__ = ("namespace", "context", "default_ttl_ms", "entries_max", "bytes_max", "memories", "recall", "receipts_ttl_ms")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_TTL_MS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_MAX_FIELD_NUMBER: _ClassVar[int]
    BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    MEMORIES_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_TTL_MS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    default_ttl_ms: int
    entries_max: int
    bytes_max: int
    memories: MemorySettings
    recall: _memory_pb2.RecallParameters
    receipts_ttl_ms: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., default_ttl_ms: _Optional[int] = ..., entries_max: _Optional[int] = ..., bytes_max: _Optional[int] = ..., memories: _Optional[_Union[MemorySettings, _Mapping]] = ..., recall: _Optional[_Union[_memory_pb2.RecallParameters, _Mapping]] = ..., receipts_ttl_ms: _Optional[int] = ...) -> None: ...

class SetNamespaceSettingsResponse(_message.Message):
    __slots__ = ("version", "time_us")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...

class GetNamespaceSettingsRequest(_message.Message):
    __slots__ = ("namespace", "context")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ...) -> None: ...

class GetNamespaceSettingsResponse(_message.Message):
    __slots__ = ("stamp", "default_ttl_ms", "entries_max", "bytes_max", "ttl_provenance", "bounds_provenance", "schemas", "entries", "bytes", "memories", "memories_provenance", "memories_entries", "memories_bytes", "recall", "recall_provenance", "receipts_ttl_ms")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_TTL_MS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_MAX_FIELD_NUMBER: _ClassVar[int]
    BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    TTL_PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    BOUNDS_PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    SCHEMAS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORIES_FIELD_NUMBER: _ClassVar[int]
    MEMORIES_PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    MEMORIES_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    MEMORIES_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    RECALL_PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_TTL_MS_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    default_ttl_ms: int
    entries_max: int
    bytes_max: int
    ttl_provenance: _common_pb2.Provenance
    bounds_provenance: _common_pb2.Provenance
    schemas: int
    entries: int
    bytes: int
    memories: MemorySettings
    memories_provenance: _common_pb2.Provenance
    memories_entries: int
    memories_bytes: int
    recall: _memory_pb2.RecallParameters
    recall_provenance: _common_pb2.Provenance
    receipts_ttl_ms: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., default_ttl_ms: _Optional[int] = ..., entries_max: _Optional[int] = ..., bytes_max: _Optional[int] = ..., ttl_provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., bounds_provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., schemas: _Optional[int] = ..., entries: _Optional[int] = ..., bytes: _Optional[int] = ..., memories: _Optional[_Union[MemorySettings, _Mapping]] = ..., memories_provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., memories_entries: _Optional[int] = ..., memories_bytes: _Optional[int] = ..., recall: _Optional[_Union[_memory_pb2.RecallParameters, _Mapping]] = ..., recall_provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., receipts_ttl_ms: _Optional[int] = ...) -> None: ...

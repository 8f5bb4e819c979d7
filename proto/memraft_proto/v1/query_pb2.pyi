from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IndexState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INDEX_STATE_UNSPECIFIED: _ClassVar[IndexState]
    INDEX_STATE_BUILDING: _ClassVar[IndexState]
    INDEX_STATE_READY: _ClassVar[IndexState]
    INDEX_STATE_ABSENT: _ClassVar[IndexState]
INDEX_STATE_UNSPECIFIED: IndexState
INDEX_STATE_BUILDING: IndexState
INDEX_STATE_READY: IndexState
INDEX_STATE_ABSENT: IndexState

class SortField(_message.Message):
    __slots__ = ("field", "descending")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DESCENDING_FIELD_NUMBER: _ClassVar[int]
    field: str
    descending: bool
    def __init__(self, field: _Optional[str] = ..., descending: bool = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("namespace", "context", "filter", "prefix", "start", "end", "sort", "fields", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    SORT_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    filter: bytes
    prefix: str
    start: str
    end: str
    sort: _containers.RepeatedCompositeFieldContainer[SortField]
    fields: _containers.RepeatedScalarFieldContainer[str]
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., filter: _Optional[bytes] = ..., prefix: _Optional[str] = ..., start: _Optional[str] = ..., end: _Optional[str] = ..., sort: _Optional[_Iterable[_Union[SortField, _Mapping]]] = ..., fields: _Optional[_Iterable[str]] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("stamp", "keys", "values", "versions", "times_us", "next_cursor", "at_index", "scanned", "index_used")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    TIMES_US_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    AT_INDEX_FIELD_NUMBER: _ClassVar[int]
    SCANNED_FIELD_NUMBER: _ClassVar[int]
    INDEX_USED_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    keys: _containers.RepeatedScalarFieldContainer[str]
    values: _containers.RepeatedScalarFieldContainer[bytes]
    versions: _containers.RepeatedScalarFieldContainer[int]
    times_us: _containers.RepeatedScalarFieldContainer[int]
    next_cursor: str
    at_index: int
    scanned: int
    index_used: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., keys: _Optional[_Iterable[str]] = ..., values: _Optional[_Iterable[bytes]] = ..., versions: _Optional[_Iterable[int]] = ..., times_us: _Optional[_Iterable[int]] = ..., next_cursor: _Optional[str] = ..., at_index: _Optional[int] = ..., scanned: _Optional[int] = ..., index_used: _Optional[str] = ...) -> None: ...

class DeclareIndexRequest(_message.Message):
    __slots__ = ("namespace", "context", "field")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    field: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., field: _Optional[str] = ...) -> None: ...

class DeclareIndexResponse(_message.Message):
    __slots__ = ("version", "time_us", "created")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    created: bool
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., created: bool = ...) -> None: ...

class DropIndexRequest(_message.Message):
    __slots__ = ("namespace", "context", "field")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    field: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., field: _Optional[str] = ...) -> None: ...

class DropIndexResponse(_message.Message):
    __slots__ = ("version", "time_us", "found")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    found: bool
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., found: bool = ...) -> None: ...

class ListIndexesRequest(_message.Message):
    __slots__ = ("namespace", "context")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ...) -> None: ...

class DocumentIndex(_message.Message):
    __slots__ = ("field", "state", "entries", "provenance")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    field: str
    state: IndexState
    entries: int
    provenance: _common_pb2.Provenance
    def __init__(self, field: _Optional[str] = ..., state: _Optional[_Union[IndexState, str]] = ..., entries: _Optional[int] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ...) -> None: ...

class ListIndexesResponse(_message.Message):
    __slots__ = ("stamp", "indexes")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    indexes: _containers.RepeatedCompositeFieldContainer[DocumentIndex]
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., indexes: _Optional[_Iterable[_Union[DocumentIndex, _Mapping]]] = ...) -> None: ...

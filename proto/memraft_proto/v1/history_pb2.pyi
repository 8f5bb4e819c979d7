from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Happening(_message.Message):
    __slots__ = ("kind", "name", "what", "provenance", "value", "sequence")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    what: str
    provenance: _common_pb2.Provenance
    value: bytes
    sequence: int
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., what: _Optional[str] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., value: _Optional[bytes] = ..., sequence: _Optional[int] = ...) -> None: ...

class RecordHistoryRequest(_message.Message):
    __slots__ = ("namespace", "context", "kind", "name", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    kind: str
    name: str
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class RecordHistoryResponse(_message.Message):
    __slots__ = ("stamp", "happenings", "next_cursor", "floor_index")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    HAPPENINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    FLOOR_INDEX_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    happenings: _containers.RepeatedCompositeFieldContainer[Happening]
    next_cursor: str
    floor_index: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., happenings: _Optional[_Iterable[_Union[Happening, _Mapping]]] = ..., next_cursor: _Optional[str] = ..., floor_index: _Optional[int] = ...) -> None: ...

class TimelineRequest(_message.Message):
    __slots__ = ("namespace", "context", "entity", "from_time_us", "newest_first", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_US_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    entity: str
    from_time_us: int
    newest_first: bool
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., entity: _Optional[str] = ..., from_time_us: _Optional[int] = ..., newest_first: bool = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class TimelineResponse(_message.Message):
    __slots__ = ("stamp", "happenings", "next_cursor", "floor_index")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    HAPPENINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    FLOOR_INDEX_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    happenings: _containers.RepeatedCompositeFieldContainer[Happening]
    next_cursor: str
    floor_index: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., happenings: _Optional[_Iterable[_Union[Happening, _Mapping]]] = ..., next_cursor: _Optional[str] = ..., floor_index: _Optional[int] = ...) -> None: ...

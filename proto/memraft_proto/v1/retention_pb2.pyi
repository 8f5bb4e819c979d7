from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SetRetentionRequest(_message.Message):
    __slots__ = ("namespace", "context", "versions", "age_ms", "events")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    versions: int
    age_ms: int
    events: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., versions: _Optional[int] = ..., age_ms: _Optional[int] = ..., events: _Optional[int] = ...) -> None: ...

class SetRetentionResponse(_message.Message):
    __slots__ = ("version", "time_us")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...

class GetRetentionRequest(_message.Message):
    __slots__ = ("namespace", "context")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ...) -> None: ...

class GetRetentionResponse(_message.Message):
    __slots__ = ("stamp", "versions", "age_ms", "events", "floor_index", "floor_time_us", "held_back_by")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FLOOR_INDEX_FIELD_NUMBER: _ClassVar[int]
    FLOOR_TIME_US_FIELD_NUMBER: _ClassVar[int]
    HELD_BACK_BY_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    versions: int
    age_ms: int
    events: int
    floor_index: int
    floor_time_us: int
    held_back_by: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., versions: _Optional[int] = ..., age_ms: _Optional[int] = ..., events: _Optional[int] = ..., floor_index: _Optional[int] = ..., floor_time_us: _Optional[int] = ..., held_back_by: _Optional[_Iterable[str]] = ...) -> None: ...

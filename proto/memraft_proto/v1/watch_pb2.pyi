from memraft_proto.v1 import common_pb2 as _common_pb2
from memraft_proto.v1 import memory_pb2 as _memory_pb2
from memraft_proto.v1 import traces_pb2 as _traces_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchTarget(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WATCH_TARGET_UNSPECIFIED: _ClassVar[WatchTarget]
    WATCH_TARGET_KV: _ClassVar[WatchTarget]
    WATCH_TARGET_STATE: _ClassVar[WatchTarget]
    WATCH_TARGET_MEMORIES: _ClassVar[WatchTarget]
    WATCH_TARGET_TRACES: _ClassVar[WatchTarget]
WATCH_TARGET_UNSPECIFIED: WatchTarget
WATCH_TARGET_KV: WatchTarget
WATCH_TARGET_STATE: WatchTarget
WATCH_TARGET_MEMORIES: WatchTarget
WATCH_TARGET_TRACES: WatchTarget

class WatchRequest(_message.Message):
    __slots__ = ("namespace", "context", "target", "prefix", "about", "kind", "after_version", "run")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AFTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    target: WatchTarget
    prefix: str
    about: str
    kind: str
    after_version: int
    run: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., target: _Optional[_Union[WatchTarget, str]] = ..., prefix: _Optional[str] = ..., about: _Optional[str] = ..., kind: _Optional[str] = ..., after_version: _Optional[int] = ..., run: _Optional[str] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("key", "deleted", "provenance", "value", "expires_at_us", "memory", "trace", "reason")
    KEY_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    key: str
    deleted: bool
    provenance: _common_pb2.Provenance
    value: bytes
    expires_at_us: int
    memory: _memory_pb2.MemoryRecord
    trace: _traces_pb2.Trace
    reason: _common_pb2.EndReason
    def __init__(self, key: _Optional[str] = ..., deleted: bool = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., value: _Optional[bytes] = ..., expires_at_us: _Optional[int] = ..., memory: _Optional[_Union[_memory_pb2.MemoryRecord, _Mapping]] = ..., trace: _Optional[_Union[_traces_pb2.Trace, _Mapping]] = ..., reason: _Optional[_Union[_common_pb2.EndReason, str]] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("stamp", "changes", "after_version")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    AFTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    after_version: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., after_version: _Optional[int] = ...) -> None: ...

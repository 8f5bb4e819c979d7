from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ForkRequest(_message.Message):
    __slots__ = ("namespace", "context", "fork", "at_index", "at_time_us", "at_version")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FORK_FIELD_NUMBER: _ClassVar[int]
    AT_INDEX_FIELD_NUMBER: _ClassVar[int]
    AT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    AT_VERSION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    fork: str
    at_index: int
    at_time_us: int
    at_version: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., fork: _Optional[str] = ..., at_index: _Optional[int] = ..., at_time_us: _Optional[int] = ..., at_version: _Optional[int] = ...) -> None: ...

class ForkResponse(_message.Message):
    __slots__ = ("namespace", "version", "time_us", "base_version", "conflict")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    version: int
    time_us: int
    base_version: int
    conflict: bool
    def __init__(self, namespace: _Optional[str] = ..., version: _Optional[int] = ..., time_us: _Optional[int] = ..., base_version: _Optional[int] = ..., conflict: bool = ...) -> None: ...

class DropForkRequest(_message.Message):
    __slots__ = ("namespace", "context", "fork")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FORK_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    fork: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., fork: _Optional[str] = ...) -> None: ...

class DropForkResponse(_message.Message):
    __slots__ = ("version", "time_us", "found", "forks")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    FORKS_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    found: bool
    forks: int
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., found: bool = ..., forks: _Optional[int] = ...) -> None: ...

class ForkInfo(_message.Message):
    __slots__ = ("namespace", "base_version", "base_time_us", "provenance")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    BASE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    base_version: int
    base_time_us: int
    provenance: _common_pb2.Provenance
    def __init__(self, namespace: _Optional[str] = ..., base_version: _Optional[int] = ..., base_time_us: _Optional[int] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ...) -> None: ...

class ListForksRequest(_message.Message):
    __slots__ = ("namespace", "context", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListForksResponse(_message.Message):
    __slots__ = ("stamp", "forks", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    FORKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    forks: _containers.RepeatedCompositeFieldContainer[ForkInfo]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., forks: _Optional[_Iterable[_Union[ForkInfo, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

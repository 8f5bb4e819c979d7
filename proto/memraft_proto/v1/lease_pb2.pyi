from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LeaseHolder(_message.Message):
    __slots__ = ("holder", "agent", "token", "asked_at_us", "granted_at_us", "expires_at_us")
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ASKED_AT_US_FIELD_NUMBER: _ClassVar[int]
    GRANTED_AT_US_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    holder: str
    agent: str
    token: int
    asked_at_us: int
    granted_at_us: int
    expires_at_us: int
    def __init__(self, holder: _Optional[str] = ..., agent: _Optional[str] = ..., token: _Optional[int] = ..., asked_at_us: _Optional[int] = ..., granted_at_us: _Optional[int] = ..., expires_at_us: _Optional[int] = ...) -> None: ...

class AcquireLeaseRequest(_message.Message):
    __slots__ = ("namespace", "context", "name", "holder", "ttl_ms", "wait_ms")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    name: str
    holder: str
    ttl_ms: int
    wait_ms: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., name: _Optional[str] = ..., holder: _Optional[str] = ..., ttl_ms: _Optional[int] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class AcquireLeaseResponse(_message.Message):
    __slots__ = ("granted", "current", "position", "version", "time_us")
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    granted: bool
    current: LeaseHolder
    position: int
    version: int
    time_us: int
    def __init__(self, granted: bool = ..., current: _Optional[_Union[LeaseHolder, _Mapping]] = ..., position: _Optional[int] = ..., version: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...

class RenewLeaseRequest(_message.Message):
    __slots__ = ("namespace", "context", "name", "token", "ttl_ms")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    name: str
    token: int
    ttl_ms: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., name: _Optional[str] = ..., token: _Optional[int] = ..., ttl_ms: _Optional[int] = ...) -> None: ...

class RenewLeaseResponse(_message.Message):
    __slots__ = ("renewed", "expires_at_us", "version", "time_us")
    RENEWED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    renewed: bool
    expires_at_us: int
    version: int
    time_us: int
    def __init__(self, renewed: bool = ..., expires_at_us: _Optional[int] = ..., version: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...

class ReleaseLeaseRequest(_message.Message):
    __slots__ = ("namespace", "context", "name", "holder")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    name: str
    holder: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., name: _Optional[str] = ..., holder: _Optional[str] = ...) -> None: ...

class ReleaseLeaseResponse(_message.Message):
    __slots__ = ("released", "version", "time_us")
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    released: bool
    version: int
    time_us: int
    def __init__(self, released: bool = ..., version: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...

class GetLeaseRequest(_message.Message):
    __slots__ = ("namespace", "context", "name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    name: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class GetLeaseResponse(_message.Message):
    __slots__ = ("stamp", "current", "waiting")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    current: LeaseHolder
    waiting: _containers.RepeatedCompositeFieldContainer[LeaseHolder]
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., current: _Optional[_Union[LeaseHolder, _Mapping]] = ..., waiting: _Optional[_Iterable[_Union[LeaseHolder, _Mapping]]] = ...) -> None: ...

class ListLeasesRequest(_message.Message):
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

class ListLeasesResponse(_message.Message):
    __slots__ = ("stamp", "names", "holders", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    names: _containers.RepeatedScalarFieldContainer[str]
    holders: _containers.RepeatedCompositeFieldContainer[LeaseHolder]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., names: _Optional[_Iterable[str]] = ..., holders: _Optional[_Iterable[_Union[LeaseHolder, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

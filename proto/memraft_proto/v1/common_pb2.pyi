from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Consistency(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSISTENCY_UNSPECIFIED: _ClassVar[Consistency]
    CONSISTENCY_SESSION: _ClassVar[Consistency]
    CONSISTENCY_LINEARIZABLE: _ClassVar[Consistency]
    CONSISTENCY_STALE: _ClassVar[Consistency]

class EndReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    END_REASON_UNSPECIFIED: _ClassVar[EndReason]
    END_REASON_DELETED: _ClassVar[EndReason]
    END_REASON_EXPIRED: _ClassVar[EndReason]
    END_REASON_EVICTED: _ClassVar[EndReason]
CONSISTENCY_UNSPECIFIED: Consistency
CONSISTENCY_SESSION: Consistency
CONSISTENCY_LINEARIZABLE: Consistency
CONSISTENCY_STALE: Consistency
END_REASON_UNSPECIFIED: EndReason
END_REASON_DELETED: EndReason
END_REASON_EXPIRED: EndReason
END_REASON_EVICTED: EndReason

class WriteContext(_message.Message):
    __slots__ = ("client_id", "request_number", "first_unanswered", "agent", "run", "tool", "fence_lease", "fence_token", "schema_version")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_NUMBER_FIELD_NUMBER: _ClassVar[int]
    FIRST_UNANSWERED_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    FENCE_LEASE_FIELD_NUMBER: _ClassVar[int]
    FENCE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    client_id: bytes
    request_number: int
    first_unanswered: int
    agent: str
    run: str
    tool: str
    fence_lease: str
    fence_token: int
    schema_version: int
    def __init__(self, client_id: _Optional[bytes] = ..., request_number: _Optional[int] = ..., first_unanswered: _Optional[int] = ..., agent: _Optional[str] = ..., run: _Optional[str] = ..., tool: _Optional[str] = ..., fence_lease: _Optional[str] = ..., fence_token: _Optional[int] = ..., schema_version: _Optional[int] = ...) -> None: ...

class ReadContext(_message.Message):
    __slots__ = ("consistency", "min_index", "at_index", "at_time_us")
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    MIN_INDEX_FIELD_NUMBER: _ClassVar[int]
    AT_INDEX_FIELD_NUMBER: _ClassVar[int]
    AT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    consistency: Consistency
    min_index: int
    at_index: int
    at_time_us: int
    def __init__(self, consistency: _Optional[_Union[Consistency, str]] = ..., min_index: _Optional[int] = ..., at_index: _Optional[int] = ..., at_time_us: _Optional[int] = ...) -> None: ...

class ReadStamp(_message.Message):
    __slots__ = ("applied_index", "applied_time_us", "age_us")
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    APPLIED_TIME_US_FIELD_NUMBER: _ClassVar[int]
    AGE_US_FIELD_NUMBER: _ClassVar[int]
    applied_index: int
    applied_time_us: int
    age_us: int
    def __init__(self, applied_index: _Optional[int] = ..., applied_time_us: _Optional[int] = ..., age_us: _Optional[int] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("version", "time_us", "agent", "run", "tool")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    agent: str
    run: str
    tool: str
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., agent: _Optional[str] = ..., run: _Optional[str] = ..., tool: _Optional[str] = ...) -> None: ...

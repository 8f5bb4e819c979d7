from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_ARGUMENT: _ClassVar[ErrorReason]
    ERROR_REASON_NO_IDENTITY: _ClassVar[ErrorReason]
    ERROR_REASON_WRONG_TENANT: _ClassVar[ErrorReason]
    ERROR_REASON_WRONG_AGENT: _ClassVar[ErrorReason]
    ERROR_REASON_WRONG_ROLE: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_LEADER: _ClassVar[ErrorReason]
    ERROR_REASON_NO_LEADER: _ClassVar[ErrorReason]
    ERROR_REASON_OUTCOME_UNKNOWN: _ClassVar[ErrorReason]
    ERROR_REASON_RATE_LIMITED: _ClassVar[ErrorReason]
    ERROR_REASON_QUOTA_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_OVERLOADED: _ClassVar[ErrorReason]
    ERROR_REASON_NO_SUCH_COLLECTION: _ClassVar[ErrorReason]
    ERROR_REASON_COLLECTION_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_EMBEDDING_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_NO_SUCH_RUN: _ClassVar[ErrorReason]
    ERROR_REASON_AT_IN_FUTURE: _ClassVar[ErrorReason]
    ERROR_REASON_SESSION_EXPIRED: _ClassVar[ErrorReason]
    ERROR_REASON_TOO_MANY_SESSIONS: _ClassVar[ErrorReason]
    ERROR_REASON_LAGGING: _ClassVar[ErrorReason]
    ERROR_REASON_SHUTTING_DOWN: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_CHANGE_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_DISK_FULL: _ClassVar[ErrorReason]
    ERROR_REASON_NO_SUCH_FORK: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_RECORDED: _ClassVar[ErrorReason]
    ERROR_REASON_UNRELATED: _ClassVar[ErrorReason]
    ERROR_REASON_BEFORE_RETENTION: _ClassVar[ErrorReason]
    ERROR_REASON_RUN_ENDED: _ClassVar[ErrorReason]
    ERROR_REASON_STALE_FENCE: _ClassVar[ErrorReason]
    ERROR_REASON_TOO_MANY_WAITERS: _ClassVar[ErrorReason]
    ERROR_REASON_SCHEMA_VIOLATION: _ClassVar[ErrorReason]
    ERROR_REASON_SCHEMA_CHANGED: _ClassVar[ErrorReason]
    ERROR_REASON_NO_SUCH_NODE: _ClassVar[ErrorReason]
    ERROR_REASON_NODE_HAS_EDGES: _ClassVar[ErrorReason]
    ERROR_REASON_NO_SUCH_TRACE: _ClassVar[ErrorReason]
    ERROR_REASON_NO_SUCH_EVENT: _ClassVar[ErrorReason]
    ERROR_REASON_NO_SUCH_MEMORY: _ClassVar[ErrorReason]
    ERROR_REASON_NO_SUCH_RECEIPT: _ClassVar[ErrorReason]
    ERROR_REASON_NO_SUCH_PROJECTION: _ClassVar[ErrorReason]
    ERROR_REASON_PROJECTION_BUILDING: _ClassVar[ErrorReason]
    ERROR_REASON_PROJECTION_FAILED: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_ARGUMENT: ErrorReason
ERROR_REASON_NO_IDENTITY: ErrorReason
ERROR_REASON_WRONG_TENANT: ErrorReason
ERROR_REASON_WRONG_AGENT: ErrorReason
ERROR_REASON_WRONG_ROLE: ErrorReason
ERROR_REASON_NOT_LEADER: ErrorReason
ERROR_REASON_NO_LEADER: ErrorReason
ERROR_REASON_OUTCOME_UNKNOWN: ErrorReason
ERROR_REASON_RATE_LIMITED: ErrorReason
ERROR_REASON_QUOTA_EXCEEDED: ErrorReason
ERROR_REASON_OVERLOADED: ErrorReason
ERROR_REASON_NO_SUCH_COLLECTION: ErrorReason
ERROR_REASON_COLLECTION_MISMATCH: ErrorReason
ERROR_REASON_EMBEDDING_MISMATCH: ErrorReason
ERROR_REASON_NO_SUCH_RUN: ErrorReason
ERROR_REASON_AT_IN_FUTURE: ErrorReason
ERROR_REASON_SESSION_EXPIRED: ErrorReason
ERROR_REASON_TOO_MANY_SESSIONS: ErrorReason
ERROR_REASON_LAGGING: ErrorReason
ERROR_REASON_SHUTTING_DOWN: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
ERROR_REASON_CHANGE_REFUSED: ErrorReason
ERROR_REASON_DISK_FULL: ErrorReason
ERROR_REASON_NO_SUCH_FORK: ErrorReason
ERROR_REASON_NOT_RECORDED: ErrorReason
ERROR_REASON_UNRELATED: ErrorReason
ERROR_REASON_BEFORE_RETENTION: ErrorReason
ERROR_REASON_RUN_ENDED: ErrorReason
ERROR_REASON_STALE_FENCE: ErrorReason
ERROR_REASON_TOO_MANY_WAITERS: ErrorReason
ERROR_REASON_SCHEMA_VIOLATION: ErrorReason
ERROR_REASON_SCHEMA_CHANGED: ErrorReason
ERROR_REASON_NO_SUCH_NODE: ErrorReason
ERROR_REASON_NODE_HAS_EDGES: ErrorReason
ERROR_REASON_NO_SUCH_TRACE: ErrorReason
ERROR_REASON_NO_SUCH_EVENT: ErrorReason
ERROR_REASON_NO_SUCH_MEMORY: ErrorReason
ERROR_REASON_NO_SUCH_RECEIPT: ErrorReason
ERROR_REASON_NO_SUCH_PROJECTION: ErrorReason
ERROR_REASON_PROJECTION_BUILDING: ErrorReason
ERROR_REASON_PROJECTION_FAILED: ErrorReason

class ErrorStatus(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    details: _containers.RepeatedCompositeFieldContainer[_any_pb2.Any]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., details: _Optional[_Iterable[_Union[_any_pb2.Any, _Mapping]]] = ...) -> None: ...

class ErrorInfo(_message.Message):
    __slots__ = ("reason", "domain", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REASON_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    reason: str
    domain: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, reason: _Optional[str] = ..., domain: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RetryInfo(_message.Message):
    __slots__ = ("retry_delay",)
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    retry_delay: _duration_pb2.Duration
    def __init__(self, retry_delay: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class QuotaFailure(_message.Message):
    __slots__ = ("violations",)
    class Violation(_message.Message):
        __slots__ = ("subject", "description")
        SUBJECT_FIELD_NUMBER: _ClassVar[int]
        DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
        subject: str
        description: str
        def __init__(self, subject: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    violations: _containers.RepeatedCompositeFieldContainer[QuotaFailure.Violation]
    def __init__(self, violations: _Optional[_Iterable[_Union[QuotaFailure.Violation, _Mapping]]] = ...) -> None: ...

from memraft_proto.v1 import common_pb2 as _common_pb2
from memraft_proto.v1 import run_pb2 as _run_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OnConflict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_CONFLICT_UNSPECIFIED: _ClassVar[OnConflict]
    ON_CONFLICT_FAIL: _ClassVar[OnConflict]
    ON_CONFLICT_OURS: _ClassVar[OnConflict]
    ON_CONFLICT_THEIRS: _ClassVar[OnConflict]
ON_CONFLICT_UNSPECIFIED: OnConflict
ON_CONFLICT_FAIL: OnConflict
ON_CONFLICT_OURS: OnConflict
ON_CONFLICT_THEIRS: OnConflict

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

class MergeForkRequest(_message.Message):
    __slots__ = ("namespace", "context", "fork", "on_conflict")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FORK_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    fork: str
    on_conflict: OnConflict
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., fork: _Optional[str] = ..., on_conflict: _Optional[_Union[OnConflict, str]] = ...) -> None: ...

class MergeConflict(_message.Message):
    __slots__ = ("kind", "name", "base_version", "ours_version", "theirs_version")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    OURS_VERSION_FIELD_NUMBER: _ClassVar[int]
    THEIRS_VERSION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    base_version: int
    ours_version: int
    theirs_version: int
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., base_version: _Optional[int] = ..., ours_version: _Optional[int] = ..., theirs_version: _Optional[int] = ...) -> None: ...

class MergeForkResponse(_message.Message):
    __slots__ = ("version", "time_us", "merged", "conflict_count", "conflicts", "conflict")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    MERGED_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    merged: int
    conflict_count: int
    conflicts: _containers.RepeatedCompositeFieldContainer[MergeConflict]
    conflict: bool
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., merged: _Optional[int] = ..., conflict_count: _Optional[int] = ..., conflicts: _Optional[_Iterable[_Union[MergeConflict, _Mapping]]] = ..., conflict: bool = ...) -> None: ...

class DiffRequest(_message.Message):
    __slots__ = ("namespace", "context", "from_namespace", "from_index", "from_time_us", "kinds", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FROM_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    FROM_INDEX_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_US_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    from_namespace: str
    from_index: int
    from_time_us: int
    kinds: _containers.RepeatedScalarFieldContainer[str]
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., from_namespace: _Optional[str] = ..., from_index: _Optional[int] = ..., from_time_us: _Optional[int] = ..., kinds: _Optional[_Iterable[str]] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class DiffResponse(_message.Message):
    __slots__ = ("stamp", "records", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    records: _containers.RepeatedCompositeFieldContainer[_run_pb2.RecordDifference]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., records: _Optional[_Iterable[_Union[_run_pb2.RecordDifference, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

from memraft_proto.v1 import common_pb2 as _common_pb2
from memraft_proto.v1 import memory_pb2 as _memory_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ForgetReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORGET_REASON_UNSPECIFIED: _ClassVar[ForgetReason]
    FORGET_REASON_FORGOTTEN: _ClassVar[ForgetReason]
    FORGET_REASON_EXPIRED: _ClassVar[ForgetReason]
    FORGET_REASON_EVICTED: _ClassVar[ForgetReason]
    FORGET_REASON_PRUNED: _ClassVar[ForgetReason]
    FORGET_REASON_MERGED: _ClassVar[ForgetReason]
FORGET_REASON_UNSPECIFIED: ForgetReason
FORGET_REASON_FORGOTTEN: ForgetReason
FORGET_REASON_EXPIRED: ForgetReason
FORGET_REASON_EVICTED: ForgetReason
FORGET_REASON_PRUNED: ForgetReason
FORGET_REASON_MERGED: ForgetReason

class MemoryWorth(_message.Message):
    __slots__ = ("score", "recency", "frequency", "salience", "impact")
    SCORE_FIELD_NUMBER: _ClassVar[int]
    RECENCY_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_FIELD_NUMBER: _ClassVar[int]
    SALIENCE_FIELD_NUMBER: _ClassVar[int]
    IMPACT_FIELD_NUMBER: _ClassVar[int]
    score: float
    recency: float
    frequency: float
    salience: float
    impact: float
    def __init__(self, score: _Optional[float] = ..., recency: _Optional[float] = ..., frequency: _Optional[float] = ..., salience: _Optional[float] = ..., impact: _Optional[float] = ...) -> None: ...

class ListForgottenRequest(_message.Message):
    __slots__ = ("namespace", "context", "id", "reason", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    id: str
    reason: ForgetReason
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., id: _Optional[str] = ..., reason: _Optional[_Union[ForgetReason, str]] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ForgottenMemory(_message.Message):
    __slots__ = ("memory", "reason", "note", "worth", "merged_into", "provenance")
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    WORTH_FIELD_NUMBER: _ClassVar[int]
    MERGED_INTO_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    memory: _memory_pb2.MemoryRecord
    reason: ForgetReason
    note: str
    worth: MemoryWorth
    merged_into: str
    provenance: _common_pb2.Provenance
    def __init__(self, memory: _Optional[_Union[_memory_pb2.MemoryRecord, _Mapping]] = ..., reason: _Optional[_Union[ForgetReason, str]] = ..., note: _Optional[str] = ..., worth: _Optional[_Union[MemoryWorth, _Mapping]] = ..., merged_into: _Optional[str] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ...) -> None: ...

class ListForgottenResponse(_message.Message):
    __slots__ = ("stamp", "memories", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    MEMORIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    memories: _containers.RepeatedCompositeFieldContainer[ForgottenMemory]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., memories: _Optional[_Iterable[_Union[ForgottenMemory, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class FindDuplicatesRequest(_message.Message):
    __slots__ = ("namespace", "context", "threshold", "about", "kind", "limit", "cursor", "paraphrases")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    PARAPHRASES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    threshold: float
    about: str
    kind: str
    limit: int
    cursor: str
    paraphrases: bool
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., threshold: _Optional[float] = ..., about: _Optional[str] = ..., kind: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ..., paraphrases: bool = ...) -> None: ...

class DuplicateMemory(_message.Message):
    __slots__ = ("id", "version", "cosine")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COSINE_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    cosine: float
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., cosine: _Optional[float] = ...) -> None: ...

class DuplicateGroup(_message.Message):
    __slots__ = ("keep_id", "keep_version", "duplicates")
    KEEP_ID_FIELD_NUMBER: _ClassVar[int]
    KEEP_VERSION_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    keep_id: str
    keep_version: int
    duplicates: _containers.RepeatedCompositeFieldContainer[DuplicateMemory]
    def __init__(self, keep_id: _Optional[str] = ..., keep_version: _Optional[int] = ..., duplicates: _Optional[_Iterable[_Union[DuplicateMemory, _Mapping]]] = ...) -> None: ...

class FindDuplicatesResponse(_message.Message):
    __slots__ = ("stamp", "groups", "looked", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    LOOKED_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    groups: _containers.RepeatedCompositeFieldContainer[DuplicateGroup]
    looked: int
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., groups: _Optional[_Iterable[_Union[DuplicateGroup, _Mapping]]] = ..., looked: _Optional[int] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class MergeMemoriesRequest(_message.Message):
    __slots__ = ("namespace", "context", "keep_id", "keep_version", "ids", "versions")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    KEEP_ID_FIELD_NUMBER: _ClassVar[int]
    KEEP_VERSION_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    keep_id: str
    keep_version: int
    ids: _containers.RepeatedScalarFieldContainer[str]
    versions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., keep_id: _Optional[str] = ..., keep_version: _Optional[int] = ..., ids: _Optional[_Iterable[str]] = ..., versions: _Optional[_Iterable[int]] = ...) -> None: ...

class MergeMemoriesResponse(_message.Message):
    __slots__ = ("version", "time_us", "conflict", "count")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    conflict: bool
    count: int
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., conflict: bool = ..., count: _Optional[int] = ...) -> None: ...

from memraft_proto.v1 import batch_pb2 as _batch_pb2
from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReadKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    READ_KIND_UNSPECIFIED: _ClassVar[ReadKind]
    READ_KIND_DOCUMENT: _ClassVar[ReadKind]
    READ_KIND_STATE: _ClassVar[ReadKind]
    READ_KIND_COUNTER: _ClassVar[ReadKind]
    READ_KIND_GATE: _ClassVar[ReadKind]
    READ_KIND_LEASE: _ClassVar[ReadKind]
    READ_KIND_STREAM: _ClassVar[ReadKind]
    READ_KIND_MEMORY: _ClassVar[ReadKind]
    READ_KIND_RUN: _ClassVar[ReadKind]
    READ_KIND_NODE: _ClassVar[ReadKind]
    READ_KIND_EDGE: _ClassVar[ReadKind]
READ_KIND_UNSPECIFIED: ReadKind
READ_KIND_DOCUMENT: ReadKind
READ_KIND_STATE: ReadKind
READ_KIND_COUNTER: ReadKind
READ_KIND_GATE: ReadKind
READ_KIND_LEASE: ReadKind
READ_KIND_STREAM: ReadKind
READ_KIND_MEMORY: ReadKind
READ_KIND_RUN: ReadKind
READ_KIND_NODE: ReadKind
READ_KIND_EDGE: ReadKind

class TxnRead(_message.Message):
    __slots__ = ("kind", "name", "version")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    kind: ReadKind
    name: str
    version: int
    def __init__(self, kind: _Optional[_Union[ReadKind, str]] = ..., name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class TxnRange(_message.Message):
    __slots__ = ("prefix", "start", "end", "read_index")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    READ_INDEX_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    start: str
    end: str
    read_index: int
    def __init__(self, prefix: _Optional[str] = ..., start: _Optional[str] = ..., end: _Optional[str] = ..., read_index: _Optional[int] = ...) -> None: ...

class CommitTxnRequest(_message.Message):
    __slots__ = ("namespace", "context", "reads", "ranges", "snapshot_index", "operations")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_INDEX_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    reads: _containers.RepeatedCompositeFieldContainer[TxnRead]
    ranges: _containers.RepeatedCompositeFieldContainer[TxnRange]
    snapshot_index: int
    operations: _containers.RepeatedCompositeFieldContainer[_batch_pb2.Operation]
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., reads: _Optional[_Iterable[_Union[TxnRead, _Mapping]]] = ..., ranges: _Optional[_Iterable[_Union[TxnRange, _Mapping]]] = ..., snapshot_index: _Optional[int] = ..., operations: _Optional[_Iterable[_Union[_batch_pb2.Operation, _Mapping]]] = ...) -> None: ...

class TxnConflict(_message.Message):
    __slots__ = ("kind", "name", "current_version", "read")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CURRENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    kind: ReadKind
    name: str
    current_version: int
    read: bool
    def __init__(self, kind: _Optional[_Union[ReadKind, str]] = ..., name: _Optional[str] = ..., current_version: _Optional[int] = ..., read: bool = ...) -> None: ...

class CommitTxnResponse(_message.Message):
    __slots__ = ("committed", "conflicts", "results", "failed_operation", "log_index", "time_us")
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_OPERATION_FIELD_NUMBER: _ClassVar[int]
    LOG_INDEX_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    committed: bool
    conflicts: _containers.RepeatedCompositeFieldContainer[TxnConflict]
    results: _containers.RepeatedCompositeFieldContainer[_batch_pb2.OperationResult]
    failed_operation: int
    log_index: int
    time_us: int
    def __init__(self, committed: bool = ..., conflicts: _Optional[_Iterable[_Union[TxnConflict, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[_batch_pb2.OperationResult, _Mapping]]] = ..., failed_operation: _Optional[int] = ..., log_index: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...

from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProjectionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROJECTION_STATE_UNSPECIFIED: _ClassVar[ProjectionState]
    PROJECTION_STATE_BUILDING: _ClassVar[ProjectionState]
    PROJECTION_STATE_FOLLOWING: _ClassVar[ProjectionState]
    PROJECTION_STATE_FAILED: _ClassVar[ProjectionState]
PROJECTION_STATE_UNSPECIFIED: ProjectionState
PROJECTION_STATE_BUILDING: ProjectionState
PROJECTION_STATE_FOLLOWING: ProjectionState
PROJECTION_STATE_FAILED: ProjectionState

class QueryProjectionRequest(_message.Message):
    __slots__ = ("namespace", "context", "projection", "argument")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROJECTION_FIELD_NUMBER: _ClassVar[int]
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    projection: str
    argument: bytes
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., projection: _Optional[str] = ..., argument: _Optional[bytes] = ...) -> None: ...

class QueryProjectionResponse(_message.Message):
    __slots__ = ("stamp", "result")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    result: bytes
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., result: _Optional[bytes] = ...) -> None: ...

class ListProjectionsRequest(_message.Message):
    __slots__ = ("namespace", "context")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ...) -> None: ...

class ProjectionStatus(_message.Message):
    __slots__ = ("name", "state", "projected_index", "fault", "state_hash")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROJECTED_INDEX_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    STATE_HASH_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: ProjectionState
    projected_index: int
    fault: str
    state_hash: bytes
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[ProjectionState, str]] = ..., projected_index: _Optional[int] = ..., fault: _Optional[str] = ..., state_hash: _Optional[bytes] = ...) -> None: ...

class ListProjectionsResponse(_message.Message):
    __slots__ = ("stamp", "projections")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    PROJECTIONS_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    projections: _containers.RepeatedCompositeFieldContainer[ProjectionStatus]
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., projections: _Optional[_Iterable[_Union[ProjectionStatus, _Mapping]]] = ...) -> None: ...

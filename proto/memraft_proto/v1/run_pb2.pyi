from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_STATUS_UNSPECIFIED: _ClassVar[RunStatus]
    RUN_STATUS_RUNNING: _ClassVar[RunStatus]
    RUN_STATUS_SUCCEEDED: _ClassVar[RunStatus]
    RUN_STATUS_FAILED: _ClassVar[RunStatus]

class ReplayVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPLAY_VERDICT_UNSPECIFIED: _ClassVar[ReplayVerdict]
    REPLAY_VERDICT_SAME: _ClassVar[ReplayVerdict]
    REPLAY_VERDICT_OUTSIDE: _ClassVar[ReplayVerdict]
    REPLAY_VERDICT_DIFFERS: _ClassVar[ReplayVerdict]
RUN_STATUS_UNSPECIFIED: RunStatus
RUN_STATUS_RUNNING: RunStatus
RUN_STATUS_SUCCEEDED: RunStatus
RUN_STATUS_FAILED: RunStatus
REPLAY_VERDICT_UNSPECIFIED: ReplayVerdict
REPLAY_VERDICT_SAME: ReplayVerdict
REPLAY_VERDICT_OUTSIDE: ReplayVerdict
REPLAY_VERDICT_DIFFERS: ReplayVerdict

class BeginRunRequest(_message.Message):
    __slots__ = ("namespace", "context", "run_id", "inputs", "record")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    run_id: str
    inputs: bytes
    record: bool
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., run_id: _Optional[str] = ..., inputs: _Optional[bytes] = ..., record: bool = ...) -> None: ...

class BeginRunResponse(_message.Message):
    __slots__ = ("run_id", "version", "time_us", "conflict")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    version: int
    time_us: int
    conflict: bool
    def __init__(self, run_id: _Optional[str] = ..., version: _Optional[int] = ..., time_us: _Optional[int] = ..., conflict: bool = ...) -> None: ...

class EndRunRequest(_message.Message):
    __slots__ = ("namespace", "context", "run_id", "status", "outputs")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    run_id: str
    status: RunStatus
    outputs: bytes
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., run_id: _Optional[str] = ..., status: _Optional[_Union[RunStatus, str]] = ..., outputs: _Optional[bytes] = ...) -> None: ...

class EndRunResponse(_message.Message):
    __slots__ = ("version", "time_us", "conflict")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    conflict: bool
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., conflict: bool = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("run_id", "status", "agent", "began_at_us", "ended_at_us", "inputs", "outputs", "version", "began_version", "recorded", "steps")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    BEGAN_AT_US_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_US_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BEGAN_VERSION_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    status: RunStatus
    agent: str
    began_at_us: int
    ended_at_us: int
    inputs: bytes
    outputs: bytes
    version: int
    began_version: int
    recorded: bool
    steps: int
    def __init__(self, run_id: _Optional[str] = ..., status: _Optional[_Union[RunStatus, str]] = ..., agent: _Optional[str] = ..., began_at_us: _Optional[int] = ..., ended_at_us: _Optional[int] = ..., inputs: _Optional[bytes] = ..., outputs: _Optional[bytes] = ..., version: _Optional[int] = ..., began_version: _Optional[int] = ..., recorded: bool = ..., steps: _Optional[int] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("namespace", "context", "run_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    run_id: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., run_id: _Optional[str] = ...) -> None: ...

class GetRunResponse(_message.Message):
    __slots__ = ("stamp", "run")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    run: Run
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., run: _Optional[_Union[Run, _Mapping]] = ...) -> None: ...

class ListRunsRequest(_message.Message):
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

class ListRunsResponse(_message.Message):
    __slots__ = ("stamp", "runs", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    runs: _containers.RepeatedCompositeFieldContainer[Run]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., runs: _Optional[_Iterable[_Union[Run, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class ReplayRunRequest(_message.Message):
    __slots__ = ("namespace", "context", "run_id", "steps_max")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STEPS_MAX_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    run_id: str
    steps_max: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., run_id: _Optional[str] = ..., steps_max: _Optional[int] = ...) -> None: ...

class StepDifference(_message.Message):
    __slots__ = ("step", "call", "left", "right", "is_outside")
    STEP_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    IS_OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    step: int
    call: str
    left: str
    right: str
    is_outside: bool
    def __init__(self, step: _Optional[int] = ..., call: _Optional[str] = ..., left: _Optional[str] = ..., right: _Optional[str] = ..., is_outside: bool = ...) -> None: ...

class ReplayRunResponse(_message.Message):
    __slots__ = ("stamp", "verdict", "steps", "recorded_steps", "outside_steps", "first_difference", "recorded_hash", "replayed_hash")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    RECORDED_STEPS_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_STEPS_FIELD_NUMBER: _ClassVar[int]
    FIRST_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    RECORDED_HASH_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_HASH_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    verdict: ReplayVerdict
    steps: int
    recorded_steps: int
    outside_steps: int
    first_difference: StepDifference
    recorded_hash: bytes
    replayed_hash: bytes
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., verdict: _Optional[_Union[ReplayVerdict, str]] = ..., steps: _Optional[int] = ..., recorded_steps: _Optional[int] = ..., outside_steps: _Optional[int] = ..., first_difference: _Optional[_Union[StepDifference, _Mapping]] = ..., recorded_hash: _Optional[bytes] = ..., replayed_hash: _Optional[bytes] = ...) -> None: ...

class DiffRunsRequest(_message.Message):
    __slots__ = ("namespace", "context", "run_id", "other_namespace", "other_run_id", "limit", "steps_only")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    OTHER_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    OTHER_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STEPS_ONLY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    run_id: str
    other_namespace: str
    other_run_id: str
    limit: int
    steps_only: bool
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., run_id: _Optional[str] = ..., other_namespace: _Optional[str] = ..., other_run_id: _Optional[str] = ..., limit: _Optional[int] = ..., steps_only: bool = ...) -> None: ...

class DiffRunsResponse(_message.Message):
    __slots__ = ("stamp", "common_steps", "steps", "other_steps", "first_difference", "records", "truncated")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    COMMON_STEPS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    OTHER_STEPS_FIELD_NUMBER: _ClassVar[int]
    FIRST_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    common_steps: int
    steps: int
    other_steps: int
    first_difference: StepDifference
    records: _containers.RepeatedCompositeFieldContainer[RecordDifference]
    truncated: bool
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., common_steps: _Optional[int] = ..., steps: _Optional[int] = ..., other_steps: _Optional[int] = ..., first_difference: _Optional[_Union[StepDifference, _Mapping]] = ..., records: _Optional[_Iterable[_Union[RecordDifference, _Mapping]]] = ..., truncated: bool = ...) -> None: ...

class RecordDifference(_message.Message):
    __slots__ = ("kind", "name", "left_version", "right_version", "left", "right")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LEFT_VERSION_FIELD_NUMBER: _ClassVar[int]
    RIGHT_VERSION_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    left_version: int
    right_version: int
    left: str
    right: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., left_version: _Optional[int] = ..., right_version: _Optional[int] = ..., left: _Optional[str] = ..., right: _Optional[str] = ...) -> None: ...

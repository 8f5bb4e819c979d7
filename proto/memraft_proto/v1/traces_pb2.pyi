from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TraceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRACE_KIND_UNSPECIFIED: _ClassVar[TraceKind]
    TRACE_KIND_TOOL_CALL: _ClassVar[TraceKind]
    TRACE_KIND_MODEL_INPUT: _ClassVar[TraceKind]
    TRACE_KIND_MODEL_OUTPUT: _ClassVar[TraceKind]
    TRACE_KIND_CITATION: _ClassVar[TraceKind]
    TRACE_KIND_DECISION: _ClassVar[TraceKind]
    TRACE_KIND_CONFIDENCE: _ClassVar[TraceKind]
    TRACE_KIND_ASSUMPTION: _ClassVar[TraceKind]
TRACE_KIND_UNSPECIFIED: TraceKind
TRACE_KIND_TOOL_CALL: TraceKind
TRACE_KIND_MODEL_INPUT: TraceKind
TRACE_KIND_MODEL_OUTPUT: TraceKind
TRACE_KIND_CITATION: TraceKind
TRACE_KIND_DECISION: TraceKind
TRACE_KIND_CONFIDENCE: TraceKind
TRACE_KIND_ASSUMPTION: TraceKind

class ToolCall(_message.Message):
    __slots__ = ("tool", "call_id", "arguments", "result", "error_type", "error_message")
    TOOL_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    tool: str
    call_id: str
    arguments: bytes
    result: bytes
    error_type: str
    error_message: str
    def __init__(self, tool: _Optional[str] = ..., call_id: _Optional[str] = ..., arguments: _Optional[bytes] = ..., result: _Optional[bytes] = ..., error_type: _Optional[str] = ..., error_message: _Optional[str] = ...) -> None: ...

class ModelInput(_message.Message):
    __slots__ = ("model", "provider", "messages", "parameters")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    model: str
    provider: str
    messages: bytes
    parameters: bytes
    def __init__(self, model: _Optional[str] = ..., provider: _Optional[str] = ..., messages: _Optional[bytes] = ..., parameters: _Optional[bytes] = ...) -> None: ...

class ModelOutput(_message.Message):
    __slots__ = ("model", "messages", "finish_reasons", "input_tokens", "output_tokens", "response_id", "error_type", "error_message")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASONS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    model: str
    messages: bytes
    finish_reasons: _containers.RepeatedScalarFieldContainer[str]
    input_tokens: int
    output_tokens: int
    response_id: str
    error_type: str
    error_message: str
    def __init__(self, model: _Optional[str] = ..., messages: _Optional[bytes] = ..., finish_reasons: _Optional[_Iterable[str]] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., response_id: _Optional[str] = ..., error_type: _Optional[str] = ..., error_message: _Optional[str] = ...) -> None: ...

class Citation(_message.Message):
    __slots__ = ("source", "source_kind", "source_version", "quote")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    source: str
    source_kind: str
    source_version: int
    quote: str
    def __init__(self, source: _Optional[str] = ..., source_kind: _Optional[str] = ..., source_version: _Optional[int] = ..., quote: _Optional[str] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("choice", "alternatives", "because")
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    choice: str
    alternatives: _containers.RepeatedScalarFieldContainer[str]
    because: str
    def __init__(self, choice: _Optional[str] = ..., alternatives: _Optional[_Iterable[str]] = ..., because: _Optional[str] = ...) -> None: ...

class Confidence(_message.Message):
    __slots__ = ("value", "because")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    value: float
    because: str
    def __init__(self, value: _Optional[float] = ..., because: _Optional[str] = ...) -> None: ...

class Assumption(_message.Message):
    __slots__ = ("statement", "because", "holds")
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    statement: str
    because: str
    holds: bool
    def __init__(self, statement: _Optional[str] = ..., because: _Optional[str] = ..., holds: bool = ...) -> None: ...

class NewTrace(_message.Message):
    __slots__ = ("id", "run", "stream", "sequence", "parent", "parent_item", "name", "attributes", "started_at_us", "ended_at_us", "tool_call", "model_input", "model_output", "citation", "decision", "confidence", "assumption")
    ID_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PARENT_ITEM_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_US_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_US_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_FIELD_NUMBER: _ClassVar[int]
    MODEL_INPUT_FIELD_NUMBER: _ClassVar[int]
    MODEL_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CITATION_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ASSUMPTION_FIELD_NUMBER: _ClassVar[int]
    id: str
    run: str
    stream: str
    sequence: int
    parent: str
    parent_item: int
    name: str
    attributes: bytes
    started_at_us: int
    ended_at_us: int
    tool_call: ToolCall
    model_input: ModelInput
    model_output: ModelOutput
    citation: Citation
    decision: Decision
    confidence: Confidence
    assumption: Assumption
    def __init__(self, id: _Optional[str] = ..., run: _Optional[str] = ..., stream: _Optional[str] = ..., sequence: _Optional[int] = ..., parent: _Optional[str] = ..., parent_item: _Optional[int] = ..., name: _Optional[str] = ..., attributes: _Optional[bytes] = ..., started_at_us: _Optional[int] = ..., ended_at_us: _Optional[int] = ..., tool_call: _Optional[_Union[ToolCall, _Mapping]] = ..., model_input: _Optional[_Union[ModelInput, _Mapping]] = ..., model_output: _Optional[_Union[ModelOutput, _Mapping]] = ..., citation: _Optional[_Union[Citation, _Mapping]] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ..., confidence: _Optional[_Union[Confidence, _Mapping]] = ..., assumption: _Optional[_Union[Assumption, _Mapping]] = ...) -> None: ...

class Trace(_message.Message):
    __slots__ = ("id", "run", "stream", "sequence", "parent", "name", "attributes", "started_at_us", "ended_at_us", "provenance", "tool_call", "model_input", "model_output", "citation", "decision", "confidence", "assumption")
    ID_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_US_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_US_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_FIELD_NUMBER: _ClassVar[int]
    MODEL_INPUT_FIELD_NUMBER: _ClassVar[int]
    MODEL_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CITATION_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ASSUMPTION_FIELD_NUMBER: _ClassVar[int]
    id: str
    run: str
    stream: str
    sequence: int
    parent: str
    name: str
    attributes: bytes
    started_at_us: int
    ended_at_us: int
    provenance: _common_pb2.Provenance
    tool_call: ToolCall
    model_input: ModelInput
    model_output: ModelOutput
    citation: Citation
    decision: Decision
    confidence: Confidence
    assumption: Assumption
    def __init__(self, id: _Optional[str] = ..., run: _Optional[str] = ..., stream: _Optional[str] = ..., sequence: _Optional[int] = ..., parent: _Optional[str] = ..., name: _Optional[str] = ..., attributes: _Optional[bytes] = ..., started_at_us: _Optional[int] = ..., ended_at_us: _Optional[int] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., tool_call: _Optional[_Union[ToolCall, _Mapping]] = ..., model_input: _Optional[_Union[ModelInput, _Mapping]] = ..., model_output: _Optional[_Union[ModelOutput, _Mapping]] = ..., citation: _Optional[_Union[Citation, _Mapping]] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ..., confidence: _Optional[_Union[Confidence, _Mapping]] = ..., assumption: _Optional[_Union[Assumption, _Mapping]] = ...) -> None: ...

class RecordTracesRequest(_message.Message):
    __slots__ = ("namespace", "context", "traces")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TRACES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    traces: _containers.RepeatedCompositeFieldContainer[NewTrace]
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., traces: _Optional[_Iterable[_Union[NewTrace, _Mapping]]] = ...) -> None: ...

class RecordTracesResponse(_message.Message):
    __slots__ = ("first_version", "time_us", "ids", "conflict")
    FIRST_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    first_version: int
    time_us: int
    ids: _containers.RepeatedScalarFieldContainer[str]
    conflict: bool
    def __init__(self, first_version: _Optional[int] = ..., time_us: _Optional[int] = ..., ids: _Optional[_Iterable[str]] = ..., conflict: bool = ...) -> None: ...

class GetTraceRequest(_message.Message):
    __slots__ = ("namespace", "context", "id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    id: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., id: _Optional[str] = ...) -> None: ...

class GetTraceResponse(_message.Message):
    __slots__ = ("stamp", "trace")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    trace: Trace
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., trace: _Optional[_Union[Trace, _Mapping]] = ...) -> None: ...

class ListTracesRequest(_message.Message):
    __slots__ = ("namespace", "context", "run", "kinds", "agent", "name", "parent", "roots", "from_time_us", "until_time_us", "filter", "newest_first", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_US_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_US_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    run: str
    kinds: _containers.RepeatedScalarFieldContainer[TraceKind]
    agent: str
    name: str
    parent: str
    roots: bool
    from_time_us: int
    until_time_us: int
    filter: bytes
    newest_first: bool
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., run: _Optional[str] = ..., kinds: _Optional[_Iterable[_Union[TraceKind, str]]] = ..., agent: _Optional[str] = ..., name: _Optional[str] = ..., parent: _Optional[str] = ..., roots: bool = ..., from_time_us: _Optional[int] = ..., until_time_us: _Optional[int] = ..., filter: _Optional[bytes] = ..., newest_first: bool = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListTracesResponse(_message.Message):
    __slots__ = ("stamp", "traces", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    TRACES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    traces: _containers.RepeatedCompositeFieldContainer[Trace]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., traces: _Optional[_Iterable[_Union[Trace, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

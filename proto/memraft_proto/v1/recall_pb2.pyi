from memraft_proto.v1 import common_pb2 as _common_pb2
from memraft_proto.v1 import history_pb2 as _history_pb2
from memraft_proto.v1 import memory_pb2 as _memory_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReceiptHit(_message.Message):
    __slots__ = ("id", "version", "score")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    score: float
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., score: _Optional[float] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("id", "agent", "run", "turn", "recalled_at_us", "request", "applied_index", "applied_time_us", "fingerprint", "pipeline", "hits", "is_cut", "version", "time_us", "embedding_hash", "signals")
    ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    RECALLED_AT_US_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    APPLIED_TIME_US_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_HASH_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    id: str
    agent: str
    run: str
    turn: str
    recalled_at_us: int
    request: _memory_pb2.RecallRequest
    applied_index: int
    applied_time_us: int
    fingerprint: str
    pipeline: int
    hits: _containers.RepeatedCompositeFieldContainer[ReceiptHit]
    is_cut: bool
    version: int
    time_us: int
    embedding_hash: bytes
    signals: _memory_pb2.RecallSignals
    def __init__(self, id: _Optional[str] = ..., agent: _Optional[str] = ..., run: _Optional[str] = ..., turn: _Optional[str] = ..., recalled_at_us: _Optional[int] = ..., request: _Optional[_Union[_memory_pb2.RecallRequest, _Mapping]] = ..., applied_index: _Optional[int] = ..., applied_time_us: _Optional[int] = ..., fingerprint: _Optional[str] = ..., pipeline: _Optional[int] = ..., hits: _Optional[_Iterable[_Union[ReceiptHit, _Mapping]]] = ..., is_cut: bool = ..., version: _Optional[int] = ..., time_us: _Optional[int] = ..., embedding_hash: _Optional[bytes] = ..., signals: _Optional[_Union[_memory_pb2.RecallSignals, _Mapping]] = ...) -> None: ...

class GetReceiptRequest(_message.Message):
    __slots__ = ("namespace", "context", "id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    id: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., id: _Optional[str] = ...) -> None: ...

class GetReceiptResponse(_message.Message):
    __slots__ = ("stamp", "receipt")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    receipt: Receipt
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class ListReceiptsRequest(_message.Message):
    __slots__ = ("namespace", "context", "run", "turn", "agent", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    run: str
    turn: str
    agent: str
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., run: _Optional[str] = ..., turn: _Optional[str] = ..., agent: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListReceiptsResponse(_message.Message):
    __slots__ = ("stamp", "receipts", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class RecordInfluenceRequest(_message.Message):
    __slots__ = ("namespace", "context", "receipt", "answer_id", "used", "versions")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_ID_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    receipt: str
    answer_id: str
    used: _containers.RepeatedScalarFieldContainer[str]
    versions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., receipt: _Optional[str] = ..., answer_id: _Optional[str] = ..., used: _Optional[_Iterable[str]] = ..., versions: _Optional[_Iterable[int]] = ...) -> None: ...

class RecordInfluenceResponse(_message.Message):
    __slots__ = ("version", "time_us")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...

class GetLineageRequest(_message.Message):
    __slots__ = ("namespace", "context", "answer_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    answer_id: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., answer_id: _Optional[str] = ...) -> None: ...

class LineageMemory(_message.Message):
    __slots__ = ("id", "version", "score", "memory", "is_current", "around")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    IS_CURRENT_FIELD_NUMBER: _ClassVar[int]
    AROUND_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    score: float
    memory: _memory_pb2.MemoryRecord
    is_current: bool
    around: _containers.RepeatedCompositeFieldContainer[_history_pb2.Happening]
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., score: _Optional[float] = ..., memory: _Optional[_Union[_memory_pb2.MemoryRecord, _Mapping]] = ..., is_current: bool = ..., around: _Optional[_Iterable[_Union[_history_pb2.Happening, _Mapping]]] = ...) -> None: ...

class LineageReceipt(_message.Message):
    __slots__ = ("id", "influence", "receipt", "memories")
    ID_FIELD_NUMBER: _ClassVar[int]
    INFLUENCE_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    MEMORIES_FIELD_NUMBER: _ClassVar[int]
    id: str
    influence: _common_pb2.Provenance
    receipt: Receipt
    memories: _containers.RepeatedCompositeFieldContainer[LineageMemory]
    def __init__(self, id: _Optional[str] = ..., influence: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ..., memories: _Optional[_Iterable[_Union[LineageMemory, _Mapping]]] = ...) -> None: ...

class GetLineageResponse(_message.Message):
    __slots__ = ("stamp", "receipts", "is_cut")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    receipts: _containers.RepeatedCompositeFieldContainer[LineageReceipt]
    is_cut: bool
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., receipts: _Optional[_Iterable[_Union[LineageReceipt, _Mapping]]] = ..., is_cut: bool = ...) -> None: ...

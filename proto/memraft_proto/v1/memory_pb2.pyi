from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Fusion(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FUSION_UNSPECIFIED: _ClassVar[Fusion]
    FUSION_MIN_MAX: _ClassVar[Fusion]
    FUSION_RECIPROCAL_RANKS: _ClassVar[Fusion]

class ReceiptMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECEIPT_MODE_UNSPECIFIED: _ClassVar[ReceiptMode]
    RECEIPT_MODE_SOON: _ClassVar[ReceiptMode]
    RECEIPT_MODE_NOW: _ClassVar[ReceiptMode]
    RECEIPT_MODE_NONE: _ClassVar[ReceiptMode]
FUSION_UNSPECIFIED: Fusion
FUSION_MIN_MAX: Fusion
FUSION_RECIPROCAL_RANKS: Fusion
RECEIPT_MODE_UNSPECIFIED: ReceiptMode
RECEIPT_MODE_SOON: ReceiptMode
RECEIPT_MODE_NOW: ReceiptMode
RECEIPT_MODE_NONE: ReceiptMode

class RememberRequest(_message.Message):
    __slots__ = ("namespace", "context", "text", "embedding", "fingerprint", "metadata", "about", "kind", "salience", "id", "valid_from_us", "valid_until_us", "thread", "speaker", "pinned", "ttl_ms")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SALIENCE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_US_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    THREAD_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    text: str
    embedding: bytes
    fingerprint: str
    metadata: bytes
    about: str
    kind: str
    salience: float
    id: str
    valid_from_us: int
    valid_until_us: int
    thread: str
    speaker: str
    pinned: bool
    ttl_ms: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., text: _Optional[str] = ..., embedding: _Optional[bytes] = ..., fingerprint: _Optional[str] = ..., metadata: _Optional[bytes] = ..., about: _Optional[str] = ..., kind: _Optional[str] = ..., salience: _Optional[float] = ..., id: _Optional[str] = ..., valid_from_us: _Optional[int] = ..., valid_until_us: _Optional[int] = ..., thread: _Optional[str] = ..., speaker: _Optional[str] = ..., pinned: bool = ..., ttl_ms: _Optional[int] = ...) -> None: ...

class RememberResponse(_message.Message):
    __slots__ = ("id", "version", "time_us")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    time_us: int
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...

class UpdateMemoryRequest(_message.Message):
    __slots__ = ("namespace", "context", "id", "metadata", "about", "kind", "salience", "valid_from_us", "valid_until_us", "pinned", "ttl_ms")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SALIENCE_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_US_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    id: str
    metadata: bytes
    about: str
    kind: str
    salience: float
    valid_from_us: int
    valid_until_us: int
    pinned: bool
    ttl_ms: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., id: _Optional[str] = ..., metadata: _Optional[bytes] = ..., about: _Optional[str] = ..., kind: _Optional[str] = ..., salience: _Optional[float] = ..., valid_from_us: _Optional[int] = ..., valid_until_us: _Optional[int] = ..., pinned: bool = ..., ttl_ms: _Optional[int] = ...) -> None: ...

class UpdateMemoryResponse(_message.Message):
    __slots__ = ("version", "time_us")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...

class ForgetRequest(_message.Message):
    __slots__ = ("namespace", "context", "id", "reason")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    id: str
    reason: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ForgetResponse(_message.Message):
    __slots__ = ("version", "time_us", "found")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    found: bool
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., found: bool = ...) -> None: ...

class MemoryRecord(_message.Message):
    __slots__ = ("id", "text", "metadata", "about", "kind", "salience", "provenance", "valid_from_us", "valid_until_us", "thread", "speaker", "pinned", "expires_at_us")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SALIENCE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_US_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    THREAD_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: str
    metadata: bytes
    about: str
    kind: str
    salience: float
    provenance: _common_pb2.Provenance
    valid_from_us: int
    valid_until_us: int
    thread: str
    speaker: str
    pinned: bool
    expires_at_us: int
    def __init__(self, id: _Optional[str] = ..., text: _Optional[str] = ..., metadata: _Optional[bytes] = ..., about: _Optional[str] = ..., kind: _Optional[str] = ..., salience: _Optional[float] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., valid_from_us: _Optional[int] = ..., valid_until_us: _Optional[int] = ..., thread: _Optional[str] = ..., speaker: _Optional[str] = ..., pinned: bool = ..., expires_at_us: _Optional[int] = ...) -> None: ...

class GetMemoryRequest(_message.Message):
    __slots__ = ("namespace", "context", "id", "valid_at_us")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    VALID_AT_US_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    id: str
    valid_at_us: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., id: _Optional[str] = ..., valid_at_us: _Optional[int] = ...) -> None: ...

class GetMemoryResponse(_message.Message):
    __slots__ = ("stamp", "memory")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    memory: MemoryRecord
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., memory: _Optional[_Union[MemoryRecord, _Mapping]] = ...) -> None: ...

class ListMemoriesRequest(_message.Message):
    __slots__ = ("namespace", "context", "about", "limit", "cursor", "valid_at_us")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    VALID_AT_US_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    about: str
    limit: int
    cursor: str
    valid_at_us: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., about: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ..., valid_at_us: _Optional[int] = ...) -> None: ...

class ListMemoriesResponse(_message.Message):
    __slots__ = ("stamp", "memories", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    MEMORIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    memories: _containers.RepeatedCompositeFieldContainer[MemoryRecord]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., memories: _Optional[_Iterable[_Union[MemoryRecord, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class RecallParameters(_message.Message):
    __slots__ = ("text", "vector", "author", "question", "reply", "substance", "time", "time_asked", "dated", "graph", "recency", "salience", "decay_per_day", "half_life_days", "diversity", "duplicate_cosine", "graph_depth", "fusion", "passage")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    SUBSTANCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    TIME_ASKED_FIELD_NUMBER: _ClassVar[int]
    DATED_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    RECENCY_FIELD_NUMBER: _ClassVar[int]
    SALIENCE_FIELD_NUMBER: _ClassVar[int]
    DECAY_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    HALF_LIFE_DAYS_FIELD_NUMBER: _ClassVar[int]
    DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_COSINE_FIELD_NUMBER: _ClassVar[int]
    GRAPH_DEPTH_FIELD_NUMBER: _ClassVar[int]
    FUSION_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_FIELD_NUMBER: _ClassVar[int]
    text: float
    vector: float
    author: float
    question: float
    reply: float
    substance: float
    time: float
    time_asked: float
    dated: float
    graph: float
    recency: float
    salience: float
    decay_per_day: float
    half_life_days: float
    diversity: float
    duplicate_cosine: float
    graph_depth: int
    fusion: Fusion
    passage: float
    def __init__(self, text: _Optional[float] = ..., vector: _Optional[float] = ..., author: _Optional[float] = ..., question: _Optional[float] = ..., reply: _Optional[float] = ..., substance: _Optional[float] = ..., time: _Optional[float] = ..., time_asked: _Optional[float] = ..., dated: _Optional[float] = ..., graph: _Optional[float] = ..., recency: _Optional[float] = ..., salience: _Optional[float] = ..., decay_per_day: _Optional[float] = ..., half_life_days: _Optional[float] = ..., diversity: _Optional[float] = ..., duplicate_cosine: _Optional[float] = ..., graph_depth: _Optional[int] = ..., fusion: _Optional[_Union[Fusion, str]] = ..., passage: _Optional[float] = ...) -> None: ...

class RecallRequest(_message.Message):
    __slots__ = ("namespace", "context", "embedding", "fingerprint", "k", "about", "kind", "filter", "valid_at_us", "query", "parameters", "tokens", "receipt", "agent", "run", "turn", "about_hops")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    VALID_AT_US_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    ABOUT_HOPS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    embedding: bytes
    fingerprint: str
    k: int
    about: str
    kind: str
    filter: bytes
    valid_at_us: int
    query: str
    parameters: RecallParameters
    tokens: int
    receipt: ReceiptMode
    agent: str
    run: str
    turn: str
    about_hops: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., embedding: _Optional[bytes] = ..., fingerprint: _Optional[str] = ..., k: _Optional[int] = ..., about: _Optional[str] = ..., kind: _Optional[str] = ..., filter: _Optional[bytes] = ..., valid_at_us: _Optional[int] = ..., query: _Optional[str] = ..., parameters: _Optional[_Union[RecallParameters, _Mapping]] = ..., tokens: _Optional[int] = ..., receipt: _Optional[_Union[ReceiptMode, str]] = ..., agent: _Optional[str] = ..., run: _Optional[str] = ..., turn: _Optional[str] = ..., about_hops: _Optional[int] = ...) -> None: ...

class RecallSignals(_message.Message):
    __slots__ = ("names", "weights", "counts", "places", "ranks", "values", "shares")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    RANKS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    weights: _containers.RepeatedScalarFieldContainer[float]
    counts: _containers.RepeatedScalarFieldContainer[int]
    places: _containers.RepeatedScalarFieldContainer[int]
    ranks: _containers.RepeatedScalarFieldContainer[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    shares: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, names: _Optional[_Iterable[str]] = ..., weights: _Optional[_Iterable[float]] = ..., counts: _Optional[_Iterable[int]] = ..., places: _Optional[_Iterable[int]] = ..., ranks: _Optional[_Iterable[int]] = ..., values: _Optional[_Iterable[float]] = ..., shares: _Optional[_Iterable[float]] = ...) -> None: ...

class RecallHit(_message.Message):
    __slots__ = ("memory", "score")
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    memory: MemoryRecord
    score: float
    def __init__(self, memory: _Optional[_Union[MemoryRecord, _Mapping]] = ..., score: _Optional[float] = ...) -> None: ...

class RecallResponse(_message.Message):
    __slots__ = ("stamp", "hits", "receipt", "parameters", "pipeline", "signals")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    hits: _containers.RepeatedCompositeFieldContainer[RecallHit]
    receipt: str
    parameters: RecallParameters
    pipeline: int
    signals: RecallSignals
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., hits: _Optional[_Iterable[_Union[RecallHit, _Mapping]]] = ..., receipt: _Optional[str] = ..., parameters: _Optional[_Union[RecallParameters, _Mapping]] = ..., pipeline: _Optional[int] = ..., signals: _Optional[_Union[RecallSignals, _Mapping]] = ...) -> None: ...

from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BeginReembedRequest(_message.Message):
    __slots__ = ("namespace", "context", "dimension", "fingerprint")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    dimension: int
    fingerprint: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., dimension: _Optional[int] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class BeginReembedResponse(_message.Message):
    __slots__ = ("version", "time_us", "remaining")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    remaining: int
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., remaining: _Optional[int] = ...) -> None: ...

class StoreEmbeddingsRequest(_message.Message):
    __slots__ = ("namespace", "context", "fingerprint", "ids", "versions", "embeddings")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    fingerprint: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    versions: _containers.RepeatedScalarFieldContainer[int]
    embeddings: bytes
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., fingerprint: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ..., versions: _Optional[_Iterable[int]] = ..., embeddings: _Optional[bytes] = ...) -> None: ...

class StoreEmbeddingsResponse(_message.Message):
    __slots__ = ("first_version", "time_us", "stored", "remaining")
    FIRST_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    first_version: int
    time_us: int
    stored: int
    remaining: int
    def __init__(self, first_version: _Optional[int] = ..., time_us: _Optional[int] = ..., stored: _Optional[int] = ..., remaining: _Optional[int] = ...) -> None: ...

class FinishReembedRequest(_message.Message):
    __slots__ = ("namespace", "context", "fingerprint", "cancel")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    fingerprint: str
    cancel: bool
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., fingerprint: _Optional[str] = ..., cancel: bool = ...) -> None: ...

class FinishReembedResponse(_message.Message):
    __slots__ = ("version", "time_us", "finished", "remaining")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    finished: bool
    remaining: int
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., finished: bool = ..., remaining: _Optional[int] = ...) -> None: ...

class GetReembeddingRequest(_message.Message):
    __slots__ = ("namespace", "context", "above", "limit")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    above: int
    limit: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., above: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class GetReembeddingResponse(_message.Message):
    __slots__ = ("stamp", "fingerprint", "dimension", "next_fingerprint", "next_dimension", "remaining", "ids", "versions", "texts", "next_above")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    NEXT_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    NEXT_DIMENSION_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_ABOVE_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    fingerprint: str
    dimension: int
    next_fingerprint: str
    next_dimension: int
    remaining: int
    ids: _containers.RepeatedScalarFieldContainer[str]
    versions: _containers.RepeatedScalarFieldContainer[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    next_above: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., fingerprint: _Optional[str] = ..., dimension: _Optional[int] = ..., next_fingerprint: _Optional[str] = ..., next_dimension: _Optional[int] = ..., remaining: _Optional[int] = ..., ids: _Optional[_Iterable[str]] = ..., versions: _Optional[_Iterable[int]] = ..., texts: _Optional[_Iterable[str]] = ..., next_above: _Optional[int] = ...) -> None: ...

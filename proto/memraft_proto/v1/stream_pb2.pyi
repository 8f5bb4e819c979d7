from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AppendRequest(_message.Message):
    __slots__ = ("namespace", "context", "stream", "type", "payload")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    stream: str
    type: str
    payload: bytes
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., stream: _Optional[str] = ..., type: _Optional[str] = ..., payload: _Optional[bytes] = ...) -> None: ...

class AppendResponse(_message.Message):
    __slots__ = ("version", "time_us", "sequence", "event_id", "hash")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    sequence: int
    event_id: str
    hash: bytes
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., sequence: _Optional[int] = ..., event_id: _Optional[str] = ..., hash: _Optional[bytes] = ...) -> None: ...

class AppendManyRequest(_message.Message):
    __slots__ = ("namespace", "context", "stream", "types", "payloads")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    PAYLOADS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    stream: str
    types: _containers.RepeatedScalarFieldContainer[str]
    payloads: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., stream: _Optional[str] = ..., types: _Optional[_Iterable[str]] = ..., payloads: _Optional[_Iterable[bytes]] = ...) -> None: ...

class AppendManyResponse(_message.Message):
    __slots__ = ("first_version", "time_us", "first_sequence", "count", "last_hash")
    FIRST_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_HASH_FIELD_NUMBER: _ClassVar[int]
    first_version: int
    time_us: int
    first_sequence: int
    count: int
    last_hash: bytes
    def __init__(self, first_version: _Optional[int] = ..., time_us: _Optional[int] = ..., first_sequence: _Optional[int] = ..., count: _Optional[int] = ..., last_hash: _Optional[bytes] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("sequence", "event_id", "version", "time_us", "agent", "run", "type", "payload", "prev_hash", "hash")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PREV_HASH_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    event_id: str
    version: int
    time_us: int
    agent: str
    run: str
    type: str
    payload: bytes
    prev_hash: bytes
    hash: bytes
    def __init__(self, sequence: _Optional[int] = ..., event_id: _Optional[str] = ..., version: _Optional[int] = ..., time_us: _Optional[int] = ..., agent: _Optional[str] = ..., run: _Optional[str] = ..., type: _Optional[str] = ..., payload: _Optional[bytes] = ..., prev_hash: _Optional[bytes] = ..., hash: _Optional[bytes] = ...) -> None: ...

class ReadStreamRequest(_message.Message):
    __slots__ = ("namespace", "context", "stream", "from_sequence", "limit", "until_sequence", "from_time_us", "until_time_us", "newest_first", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_US_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_US_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    stream: str
    from_sequence: int
    limit: int
    until_sequence: int
    from_time_us: int
    until_time_us: int
    newest_first: bool
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., stream: _Optional[str] = ..., from_sequence: _Optional[int] = ..., limit: _Optional[int] = ..., until_sequence: _Optional[int] = ..., from_time_us: _Optional[int] = ..., until_time_us: _Optional[int] = ..., newest_first: bool = ..., cursor: _Optional[str] = ...) -> None: ...

class ReadStreamResponse(_message.Message):
    __slots__ = ("stamp", "events", "last_sequence", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    events: _containers.RepeatedCompositeFieldContainer[Event]
    last_sequence: int
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., last_sequence: _Optional[int] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class TailStreamRequest(_message.Message):
    __slots__ = ("namespace", "context", "stream", "from_sequence", "limit")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    stream: str
    from_sequence: int
    limit: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., stream: _Optional[str] = ..., from_sequence: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class TailStreamResponse(_message.Message):
    __slots__ = ("stamp", "events", "next_sequence")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    events: _containers.RepeatedCompositeFieldContainer[Event]
    next_sequence: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., next_sequence: _Optional[int] = ...) -> None: ...

class VerifyStreamRequest(_message.Message):
    __slots__ = ("namespace", "context", "stream", "from_sequence", "limit")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    stream: str
    from_sequence: int
    limit: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., stream: _Optional[str] = ..., from_sequence: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class VerifyStreamResponse(_message.Message):
    __slots__ = ("stamp", "intact", "count", "last_hash", "first_broken_sequence", "next_sequence")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    INTACT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_HASH_FIELD_NUMBER: _ClassVar[int]
    FIRST_BROKEN_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    intact: bool
    count: int
    last_hash: bytes
    first_broken_sequence: int
    next_sequence: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., intact: bool = ..., count: _Optional[int] = ..., last_hash: _Optional[bytes] = ..., first_broken_sequence: _Optional[int] = ..., next_sequence: _Optional[int] = ...) -> None: ...

class ListStreamsRequest(_message.Message):
    __slots__ = ("namespace", "context", "prefix", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    prefix: str
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., prefix: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListStreamsResponse(_message.Message):
    __slots__ = ("stamp", "streams", "last_sequences", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    streams: _containers.RepeatedScalarFieldContainer[str]
    last_sequences: _containers.RepeatedScalarFieldContainer[int]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., streams: _Optional[_Iterable[str]] = ..., last_sequences: _Optional[_Iterable[int]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

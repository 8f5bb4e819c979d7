from memraft_proto.v1 import error_pb2 as _error_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExchangeRequest(_message.Message):
    __slots__ = ("methods", "requests")
    METHODS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    methods: _containers.RepeatedScalarFieldContainer[str]
    requests: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, methods: _Optional[_Iterable[str]] = ..., requests: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ExchangeResponse(_message.Message):
    __slots__ = ("replies", "failures", "alone")
    class Failure(_message.Message):
        __slots__ = ("call", "status")
        CALL_FIELD_NUMBER: _ClassVar[int]
        STATUS_FIELD_NUMBER: _ClassVar[int]
        call: int
        status: _error_pb2.ErrorStatus
        def __init__(self, call: _Optional[int] = ..., status: _Optional[_Union[_error_pb2.ErrorStatus, _Mapping]] = ...) -> None: ...
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    ALONE_FIELD_NUMBER: _ClassVar[int]
    replies: _containers.RepeatedScalarFieldContainer[bytes]
    failures: _containers.RepeatedCompositeFieldContainer[ExchangeResponse.Failure]
    alone: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, replies: _Optional[_Iterable[bytes]] = ..., failures: _Optional[_Iterable[_Union[ExchangeResponse.Failure, _Mapping]]] = ..., alone: _Optional[_Iterable[int]] = ...) -> None: ...

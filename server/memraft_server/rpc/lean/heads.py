"""What the head of a request says: which call, until when, in which encoding. Read once a header block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import grpc

from memraft_proto.http2.compression import GZIP
from memraft_proto.http2.headers import Fields
from memraft_server.rpc.lean.deadlines import parse_timeout_s
from memraft_server.rpc.lean.replies import error_block, http_error_block

IDENTITY = b"identity"


class Call:
    """A call that is not over: what a stream's owner is.

    Attributes:
        head: what it began with.
        has_head: the head of its answer has been sent.
    """

    __slots__ = ("head",)

    head: Head
    has_head = False

    def take(self, message: bytes) -> None:
        """A message came."""

    def end(self) -> None:
        """The client has sent all."""

    def cancel(self) -> None:
        """The client no longer wants it, or is gone."""

    def is_due(self) -> bool:
        """Whether its client may give it up because its time is over."""
        return False

    def shut(self) -> None:
        """The server stops: what would never be over by itself ends now."""

    def abandon(self) -> None:
        """The server has no more time for it: it is answered with where it stands."""

    def writable(self) -> None:
        """What was sent has left."""


class Route(Protocol):
    """How the calls of one method are made."""

    def begin(self, connection: Any, stream_id: int, head: Head) -> Call:
        """Begins a call whose messages follow."""

    def whole(self, connection: Any, stream_id: int, head: Head, message: bytes) -> None:
        """Begins a call of one message, of which no stream is kept yet."""


class Head:
    """One request's head.

    Attributes:
        route: None where ``refusal`` is all the answer there is.
        timeout_s: None: none.
        encoding: how compressed messages are compressed.
        is_gzip: it is gzip, and so may be answers.
        refusal: an encoded answer without any message.
        whole: the route's, so that a call is one look-up away from it.
    """

    __slots__ = ("route", "timeout_s", "encoding", "is_gzip", "refusal", "whole")

    def __init__(self, route: Route | None, timeout_s: float | None, encoding: bytes, refusal: bytes) -> None:
        self.route = route
        self.timeout_s = timeout_s
        self.encoding = encoding
        self.is_gzip = encoding == GZIP
        self.refusal = refusal
        self.whole = route.whole if route is not None else _refuse


def _refuse(connection: Any, stream_id: int, head: Head, message: bytes) -> None:
    connection.answer(stream_id, head.refusal)


def _refused(code: grpc.StatusCode, message: str) -> Head:
    return Head(None, None, b"", error_block(code, message))


def read_head(fields: Fields, routes: Mapping[bytes, Route]) -> Head:
    """What the fields of a well-formed head mean."""
    values = dict(reversed(fields))  # of a field that comes twice the first counts
    if values.get(b":method") != b"POST":
        return Head(None, None, b"", http_error_block(405))
    if not values.get(b"content-type", b"").startswith(b"application/grpc"):
        return Head(None, None, b"", http_error_block(415))
    path = values.get(b":path", b"")
    route = routes.get(path)
    if route is None:
        shown = path[:200].decode("utf-8", "replace")
        return _refused(grpc.StatusCode.UNIMPLEMENTED, f"there is no method {shown}")
    timeout_s = None
    if b"grpc-timeout" in values:
        try:
            timeout_s = parse_timeout_s(values[b"grpc-timeout"])
        except ValueError as error:
            return _refused(grpc.StatusCode.INTERNAL, str(error))
    return Head(route, timeout_s, values.get(b"grpc-encoding", IDENTITY), b"")

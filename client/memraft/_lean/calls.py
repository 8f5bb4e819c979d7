"""What calls over the lean engine share: heads of requests, what a response says, and how a call fails."""

from __future__ import annotations

import base64
import binascii
import random
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import grpc

from memraft_proto.http2 import headers
from memraft_proto.http2.frames import FRAME_BYTES_DEFAULT, Code, Packer, request_packer

from .._status import NOT_TAKEN

Serializer = Callable[[Any], bytes]
Deserializer = Callable[[bytes], Any]
Metadata = tuple[tuple[str, str | bytes], ...]
MadeHead = tuple[Packer, bytes]

USER_AGENT = b"memraft-python-lean"
WAITING_MAX = 4_096
"""Calls that wait because the node has as many under way on a connection as it takes; others fail."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OF_HTTP = {
    b"400": grpc.StatusCode.INTERNAL,
    b"401": grpc.StatusCode.UNAUTHENTICATED,
    b"403": grpc.StatusCode.PERMISSION_DENIED,
    b"404": grpc.StatusCode.UNIMPLEMENTED,
    b"429": grpc.StatusCode.UNAVAILABLE,
    b"502": grpc.StatusCode.UNAVAILABLE,
    b"503": grpc.StatusCode.UNAVAILABLE,
    b"504": grpc.StatusCode.UNAVAILABLE,
}
"""gRPC's `http-grpc-status-mapping.md`; others are UNKNOWN."""
_OF_RESET: dict[int, grpc.StatusCode] = {
    Code.CANCEL: grpc.StatusCode.CANCELLED,
    Code.ENHANCE_YOUR_CALM: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Code.INADEQUATE_SECURITY: grpc.StatusCode.PERMISSION_DENIED,
}
"""gRPC's `PROTOCOL-HTTP2.md`, section Errors; others are INTERNAL."""


class Options(NamedTuple):
    """The options of a channel of grpcio that this engine knows, in its units."""

    connect_timeout_s: float
    backoff_first_s: float
    backoff_most_s: float
    keepalive_s: float
    keepalive_answer_s: float
    receive_bytes_max: int
    send_bytes_max: int

    @classmethod
    def of(cls, options: Sequence[tuple[str, Any]]) -> Options:
        """Reads them."""
        found = dict(options)
        return cls(
            connect_timeout_s=found["grpc.min_reconnect_backoff_ms"] / 1e3,
            backoff_first_s=found["grpc.initial_reconnect_backoff_ms"] / 1e3,
            backoff_most_s=found["grpc.max_reconnect_backoff_ms"] / 1e3,
            keepalive_s=found["grpc.keepalive_time_ms"] / 1e3,
            keepalive_answer_s=found["grpc.keepalive_timeout_ms"] / 1e3,
            receive_bytes_max=found["grpc.max_receive_message_length"],
            send_bytes_max=found["grpc.max_send_message_length"],
        )


# -- how a call fails ----------------------------------------------------------------------------------


class LeanRpcError(grpc.RpcError):
    """A call that failed, told as grpcio's do.

    Args:
        code: of gRPC.
        details: what is wrong.
        metadata: the trailers; values of names that end in `-bin` are bytes.
    """

    def __init__(self, code: grpc.StatusCode, details: str, metadata: Metadata = ()) -> None:
        super().__init__(f"{code.name}: {details}")
        self._code = code
        self._details = details
        self._metadata = metadata

    def code(self) -> grpc.StatusCode:
        """The status."""
        return self._code

    def details(self) -> str:
        """What is wrong."""
        return self._details

    def trailing_metadata(self) -> Any:
        """The trailers."""
        return self._metadata

    def again(self) -> LeanRpcError:
        """The same for another caller: a raised exception belongs to one."""
        return LeanRpcError(self._code, self._details, self._metadata)

    def debug_error_string(self) -> str:
        """Both, for a log."""
        return str(self)


def not_connected(address: str, why: object) -> LeanRpcError:
    """The request was not sent: there was no connection to send it on."""
    said = str(why) or type(why).__name__
    return LeanRpcError(grpc.StatusCode.UNAVAILABLE, f"failed to connect to {address}: {said}")


def not_taken(why: str) -> LeanRpcError:
    """The request was sent, perhaps, and the node has told that it did nothing with it; or it never left."""
    return LeanRpcError(grpc.StatusCode.UNAVAILABLE, f"{NOT_TAKEN}: {why}")


def lost(why: object) -> LeanRpcError:
    """The connection is gone, and nobody knows what became of the request."""
    said = str(why) or type(why).__name__
    return LeanRpcError(grpc.StatusCode.UNAVAILABLE, f"connection lost: {said}")


def code_name(code: int) -> str:
    """What HTTP/2 calls it."""
    return Code(code).name if 0 <= code <= max(Code) else str(code)


def was_reset(code: int, why: str = "") -> LeanRpcError:
    """The stream ended without a status.

    Args:
        code: of HTTP/2.
        why: what else is known.
    """
    said = f"the stream was reset: {code_name(code)}{'; ' + why if why else ''}"
    if code == Code.REFUSED_STREAM:
        return not_taken(said)
    return LeanRpcError(_OF_RESET.get(code, grpc.StatusCode.INTERNAL), said)


def out_of_time() -> LeanRpcError:
    """No answer came in time."""
    return LeanRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")


def no_room(why: str) -> LeanRpcError:
    """The node has as many calls as it takes, and this one was not sent."""
    return LeanRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"the request was not sent: {why}")


def too_large(done: str, size: int, size_max: int) -> LeanRpcError:
    """A message over a limit of this client, in grpcio's words, which `_status` reads.

    Args:
        done: `Sent` or `Received`.
        size: bytes of the message.
        size_max: the limit.
    """
    return LeanRpcError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, f"CLIENT: {done} message larger than max ({size} vs. {size_max})"
    )


def malformed(why: str) -> LeanRpcError:
    """What came is no answer of gRPC."""
    return LeanRpcError(grpc.StatusCode.INTERNAL, why)


def unread(error: Exception) -> LeanRpcError:
    """A message came that cannot be read."""
    return LeanRpcError(grpc.StatusCode.INTERNAL, f"Exception deserializing response! {error}")


# -- what a response says ------------------------------------------------------------------------------


class Said(NamedTuple):
    """What a block of a response's header fields says; read once for all blocks that are the same.

    Attributes:
        has_status: it ends a call.
        code: of gRPC; None: OK.
        details: what is wrong.
        metadata: see `LeanRpcError`.
        encoding: how messages that are compressed are.
    """

    has_status: bool
    code: grpc.StatusCode | None
    details: str
    metadata: Metadata
    encoding: bytes

    def error(self) -> LeanRpcError:
        """How a call fails that ends so."""
        return LeanRpcError(self.code or grpc.StatusCode.UNKNOWN, self.details, self.metadata)


def interpret(fields: headers.Fields) -> Said:
    """Reads the head of a response, or its trailers."""
    values = dict(fields)
    raw = values.get(b"grpc-status")
    if raw is not None:
        number = int(raw) if raw.isdigit() and len(raw) < 4 else 2
        code = _CODES.get(number, grpc.StatusCode.UNKNOWN)
        details = unquote_to_bytes(values.get(b"grpc-message", b"")).decode("utf-8", "replace")
        return Said(True, None if number == 0 else code, details, _metadata(fields), b"")
    status = values.get(b":status")
    if status is None:
        return Said(True, grpc.StatusCode.UNKNOWN, "the call ended without a status", _metadata(fields), b"")
    if status != b"200":
        code = _OF_HTTP.get(status, grpc.StatusCode.UNKNOWN)
        return Said(True, code, f"the answer has the HTTP status {status.decode()}", _metadata(fields), b"")
    kind = values.get(b"content-type", b"")
    if not kind.startswith(b"application/grpc"):
        said = f"the answer is no gRPC: its content-type is {kind.decode('ascii', 'replace')!r}"
        return Said(True, grpc.StatusCode.UNKNOWN, said, _metadata(fields), b"")
    return Said(False, None, "", (), values.get(b"grpc-encoding", b"identity"))


def _metadata(fields: headers.Fields) -> Metadata:
    """The fields that are not gRPC's own, as grpcio gives them."""
    found: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        if name in (b"grpc-status", b"grpc-message") or name.startswith(b":"):
            continue
        if name.endswith(b"-bin"):
            try:
                found.append((name.decode(), base64.b64decode(value + b"=" * (-len(value) % 4))))
            except binascii.Error:
                continue
        else:
            found.append((name.decode(), value.decode("utf-8", "replace")))
    return tuple(found)


# -- what a request says -------------------------------------------------------------------------------


def grpc_timeout(timeout_s: float) -> bytes:
    """The header's value for a time that is left: never less, at most a sixteenth more: few values differ."""
    ms = max(1, -int(-timeout_s * 1_000 // 1))
    shift = max(0, ms.bit_length() - 5)
    ms = -(-ms >> shift) << shift
    if ms <= 99_999_999:
        return b"%dm" % ms
    return b"%dS" % -(-ms // 1_000)


class Head:
    """The head of one method's requests to one node.

    Args:
        path: of the method.
        authority: host:port.
        is_secure: whether the connection has TLS.
    """

    __slots__ = ("_block", "_all", "_last")

    def __init__(self, path: str, authority: str, is_secure: bool) -> None:
        self._block = headers.encode(
            (
                (b":method", b"POST"),
                (b":scheme", b"https" if is_secure else b"http"),
                (b":path", path.encode()),
                (b":authority", authority.encode()),
                (b"te", b"trailers"),
                (b"content-type", b"application/grpc"),
                (b"user-agent", USER_AGENT),
                (b"grpc-accept-encoding", b"identity,gzip"),
            )
        )
        self._all: dict[bytes, MadeHead] = {}
        self._last: tuple[float | None, MadeHead] = (None, self._make(None))

    def made(self, timeout_s: float | None) -> MadeHead:
        """What packs a whole request that has so many seconds, and its encoded fields."""
        last_s, made = self._last
        if timeout_s != last_s:
            made = self._make(timeout_s)
            self._last = timeout_s, made
        return made

    def _make(self, timeout_s: float | None) -> MadeHead:
        value = b"" if timeout_s is None else grpc_timeout(timeout_s)
        made = self._all.get(value)
        if made is None:
            block = self._block + headers.encode(((b"grpc-timeout", value),)) if value else self._block
            assert len(block) <= FRAME_BYTES_DEFAULT, "addresses and paths are short"
            made = self._all[value] = request_packer(block), block
        return made


def tune(sock: socket.socket, options: Options) -> None:
    """Sets what every connection has: small writes leave at once, and bytes that nobody acknowledges for as
    long as a ping may take end it."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    answer_ms = int(options.keepalive_answer_s * 1_000)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, answer_ms)


class Reconnects:
    """When a node that could not be reached may be tried again: until then, calls fail at once.

    Args:
        options: have the bounds.
        fraction: random numbers from 0 to 1.
        clock: seconds.
    """

    def __init__(
        self,
        options: Options,
        fraction: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first_s, self._most_s = options.backoff_first_s, options.backoff_most_s
        self._fraction, self._clock = fraction, clock
        self._wait_s = self._first_s
        self._until_s = float("-inf")
        self._last: LeanRpcError | None = None

    def check(self) -> None:
        """Raises what the last try ended with, where it is too early for another."""
        if self._last is not None and self._clock() < self._until_s:
            raise self._last.again()

    def succeeded(self) -> None:
        """A connection is there."""
        self._last = None
        self._wait_s = self._first_s

    def failed(self, error: LeanRpcError) -> None:
        """A try has failed: the next waits, each time longer, a fifth more or less."""
        self._last = error
        self._until_s = self._clock() + self._wait_s * (0.8 + 0.4 * self._fraction())
        self._wait_s = min(self._most_s, self._wait_s * 1.6)

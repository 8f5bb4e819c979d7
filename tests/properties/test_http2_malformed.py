"""Frames that should not be, by section of RFC 9113: each is told with the code that the RFC gives it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from memraft_proto.http2.connection import Limits
from memraft_proto.http2.frames import PREFACE, Code
from memraft_proto.http2.headers import encode
from tests.properties.http2_wire import NARROW, Frame, Ours, framed, frames_of, packed

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
END_STREAM, END_HEADERS, PADDED, HAS_PRIORITY = 1, 4, 8, 0x20

REQUEST = (
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b":authority", b"x"),
)  # fmt: skip
CALL = encode(REQUEST)
FIRST = packed((SETTINGS, 0, 0, b""))


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def headers(stream_id: int, block: bytes = CALL, flags: int = END_HEADERS) -> Frame:
    return HEADERS, flags, stream_id, block


def data(stream_id: int, payload: bytes = framed(b"x"), flags: int = 0) -> Frame:
    return DATA, flags, stream_id, payload


def setting(key: int, value: int) -> Frame:
    return SETTINGS, 0, 0, key.to_bytes(2, "big") + number(value)


@dataclass
class Verdict:
    """What a side thinks of what it was given: the code it ends the connection with, and those it resets
    streams with."""

    code: int | None
    resets: list[tuple[int, int]]


def judged(out: bytes) -> Verdict:
    """The verdict in what a side wrote."""
    verdict = Verdict(None, [])
    for kind, _, stream_id, payload in frames_of(out):
        if kind == GOAWAY:
            assert verdict.code is None, "it ends once"
            verdict.code = int.from_bytes(payload[4:8], "big")
        elif kind == RST_STREAM:
            verdict.resets.append((stream_id, int.from_bytes(payload, "big")))
    return verdict


def our_verdict(frames: list[Frame], limits: Limits = NARROW, is_client: bool = False) -> Verdict:
    """What our server says to these frames after a greeting; our client, where it has called on stream 1."""
    ours = Ours(is_client, limits)
    if is_client:
        ours.begin(CALL)
    ours.receive((b"" if is_client else PREFACE) + FIRST)
    ours.take()
    for frame in frames:
        ours.receive(packed(frame))
        ours.check()
    return judged(ours.take())


# -- one by one, by the RFC ----------------------------------------------------------------------------


P, F, S, Z, C, CALM = (
    Code.PROTOCOL_ERROR, Code.FLOW_CONTROL_ERROR, Code.STREAM_CLOSED, Code.FRAME_SIZE_ERROR,
    Code.COMPRESSION_ERROR, Code.ENHANCE_YOUR_CALM,
)  # fmt: skip
ENDS: dict[str, tuple[Code, list[Frame]]] = {
    "4.2 a frame over MAX_FRAME_SIZE": (Z, [(PING, 0, 0, bytes(16_385))]),
    "4.3 a block that cannot be decoded": (C, [headers(1, b"\xff\xff\xff\xff\xff")]),
    "4.3 an index beyond the table": (C, [headers(1, b"\xfe")]),
    "4.3 a table size above the setting": (C, [headers(1, b"\x3f\xe2\x1f" + CALL)]),
    "5.1 DATA on an idle stream": (P, [data(1)]),
    "5.1 RST_STREAM on an idle stream": (P, [(RST_STREAM, 0, 1, number(8))]),
    "5.1 WINDOW_UPDATE on an idle stream": (P, [(WINDOW_UPDATE, 0, 1, number(1))]),
    "5.1.1 a stream of an even number": (P, [headers(2)]),
    "5.1.1 a number that is lower than one before": (S, [headers(5, flags=5), headers(3)]),
    "6.1 DATA on stream 0": (P, [data(0)]),
    "6.1 padding that is longer than DATA": (P, [headers(1), data(1, b"\x05abc", PADDED)]),
    "6.1 padding that has no length": (P, [headers(1), data(1, b"", PADDED)]),
    "6.2 HEADERS on stream 0": (P, [headers(0)]),
    "6.2 padding that is longer than HEADERS": (P, [headers(1, b"\x09" + b"ab", END_HEADERS | PADDED)]),
    "6.2 a frame between HEADERS and CONTINUATION": (P, [headers(1, flags=0), (PING, 0, 0, bytes(8))]),
    "6.2 HEADERS of another stream between": (P, [headers(1, flags=0), headers(3)]),
    "6.2 an unknown frame between": (P, [headers(1, flags=0), (0xBE, 0, 1, b"")]),
    "6.3 PRIORITY on stream 0": (P, [(PRIORITY, 0, 0, bytes(5))]),
    "6.4 RST_STREAM on stream 0": (P, [(RST_STREAM, 0, 0, number(8))]),
    "6.4 RST_STREAM of 3 bytes": (Z, [headers(1), (RST_STREAM, 0, 1, b"abc")]),
    "6.5 SETTINGS on a stream": (P, [(SETTINGS, 0, 1, b"")]),
    "6.5 SETTINGS of 5 bytes": (Z, [(SETTINGS, 0, 0, bytes(5))]),
    "6.5 an acknowledgement with settings": (Z, [(SETTINGS, 1, 0, bytes(6))]),
    "6.5.2 ENABLE_PUSH of 2": (P, [setting(2, 2)]),
    "6.5.2 INITIAL_WINDOW_SIZE of 2^31": (F, [setting(4, 1 << 31)]),
    "6.5.2 MAX_FRAME_SIZE of 16383": (P, [setting(5, 16_383)]),
    "6.5.2 MAX_FRAME_SIZE of 2^24": (P, [setting(5, 1 << 24)]),
    "6.6 PUSH_PROMISE by a client": (P, [headers(1), (PUSH_PROMISE, 4, 1, number(2) + CALL)]),
    "6.7 PING on a stream": (P, [(PING, 0, 1, bytes(8))]),
    "6.7 PING of 7 bytes": (Z, [(PING, 0, 0, bytes(7))]),
    "6.8 GOAWAY on a stream": (P, [(GOAWAY, 0, 1, bytes(8))]),
    "6.8 GOAWAY of 7 bytes": (Z, [(GOAWAY, 0, 0, bytes(7))]),
    "6.9 WINDOW_UPDATE of 3 bytes": (Z, [(WINDOW_UPDATE, 0, 0, b"abc")]),
    "6.9 WINDOW_UPDATE of the connection by 0": (P, [(WINDOW_UPDATE, 0, 0, number(0))]),
    "6.9.1 a window of the connection over 2^31-1": (F, [(WINDOW_UPDATE, 0, 0, number((1 << 31) - 1))]),
    "6.9.2 a setting that brings a window over 2^31-1": (
        F, [headers(1), (WINDOW_UPDATE, 0, 1, number((1 << 31) - 1 - 65_535)), setting(4, 65_536)],
    ),
    "6.10 CONTINUATION after nothing": (P, [(CONTINUATION, END_HEADERS, 1, CALL)]),
    "6.10 CONTINUATION of another stream": (P, [headers(1, flags=0), (CONTINUATION, 4, 3, CALL)]),
    "6.10 CONTINUATION after the end of a block": (P, [headers(1), (CONTINUATION, 4, 1, b"")]),
    "10.5.1 header fields larger than told": (
        CALM, [headers(1, CALL + encode([(b"x-a", b"v" * 8_000)]), 0),
               (CONTINUATION, 4, 1, encode([(b"x-b", b"v" * 9_000)]))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ENDS)
def test_a_fault_of_the_connection_ends_it_with_the_code_of_the_rfc(what: str) -> None:
    code, frames = ENDS[what]
    verdict = our_verdict(frames)
    assert verdict.code == code


def named(name: bytes, value: bytes) -> bytes:
    """A literal field, whatever it may say."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


RESETS: dict[str, tuple[Code, list[Frame]]] = {
    "5.1 DATA after END_STREAM": (S, [headers(1, flags=5), data(1)]),
    "5.1 HEADERS after END_STREAM": (S, [headers(1, flags=5), headers(1, flags=5)]),
    "6.9 WINDOW_UPDATE of a stream by 0": (P, [headers(1), (WINDOW_UPDATE, 0, 1, number(0))]),
    "6.9.1 a window of a stream over 2^31-1": (F, [headers(1), (WINDOW_UPDATE, 0, 1, number((1 << 31) - 1))]),
    "8.1 trailers that do not end the stream": (P, [headers(1), headers(1, named(b"x-a", b"b"))]),
    "8.1 a second head": (P, [headers(1), headers(1, flags=5)]),
    "8.2.1 a name in upper case": (P, [headers(1, CALL + named(b"X-A", b"b"))]),
    "8.2.1 a name with a space": (P, [headers(1, CALL + named(b"x a", b"b"))]),
    "8.2.1 a name with a colon inside": (P, [headers(1, CALL + named(b"x:a", b"b"))]),
    "8.2.1 a name of no characters": (P, [headers(1, CALL + named(b"", b"b"))]),
    "8.2.1 a value with a line feed": (P, [headers(1, CALL + named(b"x-a", b"b\nc"))]),
    "8.2.1 a value with a zero": (P, [headers(1, CALL + named(b"x-a", b"\0"))]),
    "8.2.1 a value that begins with a space": (P, [headers(1, CALL + named(b"x-a", b" b"))]),
    "8.2.2 connection": (P, [headers(1, CALL + named(b"connection", b"close"))]),
    "8.2.2 transfer-encoding": (P, [headers(1, CALL + named(b"transfer-encoding", b"chunked"))]),
    "8.2.2 te that is not trailers": (P, [headers(1, CALL + named(b"te", b"gzip"))]),
    "8.3 a pseudo-header field after others": (P, [headers(1, named(b"x-a", b"b") + CALL)]),
    "8.3 a pseudo-header field that nobody knows": (P, [headers(1, named(b":what", b"b") + CALL)]),
    "8.3 a response's among a request's": (P, [headers(1, named(b":status", b"200") + CALL)]),
    "8.3 one of them in trailers": (P, [headers(1), headers(1, named(b":path", b"/a"), 5)]),
    "8.3.1 :path twice": (P, [headers(1, named(b":path", b"/a") + CALL)]),
    "8.3.1 no :path": (P, [headers(1, encode(REQUEST[:2]))]),
    "8.3.1 an empty :path": (P, [headers(1, encode([*REQUEST[:2], (b":path", b"")]))]),
    "gRPC: the stream ends within a message": (P, [headers(1), data(1, framed(b"xyz")[:-1], END_STREAM)]),
    "gRPC: what is no message": (P, [headers(1), data(1, b"GET / HTTP/1.1")]),
}


@pytest.mark.parametrize("what", RESETS)
def test_a_fault_of_a_stream_ends_that_stream_alone(what: str) -> None:
    code, frames = RESETS[what]
    verdict = our_verdict([*frames, headers(3), data(3, flags=END_STREAM)])
    assert (verdict.code, verdict.resets) == (None, [(1, code)])


BY_SERVERS: dict[str, tuple[Code, list[Frame]]] = {
    "5.1 HEADERS on an idle stream": (P, [headers(3, encode([(b":status", b"200")]))]),
    "5.1.1 a stream that the server opens": (P, [headers(2, encode([(b":status", b"200")]))]),
    "6.5.2 ENABLE_PUSH of 1": (P, [setting(2, 1)]),
    "6.5.2 ENABLE_PUSH of 2": (P, [setting(2, 2)]),
    "6.6 PUSH_PROMISE though it was switched off": (P, [(PUSH_PROMISE, 4, 1, number(2) + CALL)]),
    "5.1 DATA on an idle stream": (P, [data(3)]),
}


@pytest.mark.parametrize("what", BY_SERVERS)
def test_a_fault_of_a_server_ends_the_connection(what: str) -> None:
    code, frames = BY_SERVERS[what]
    assert our_verdict(frames, is_client=True).code == code


@pytest.mark.parametrize(
    "block",
    [named(b"x-a", b"b"), named(b":status", b"2"), named(b":status", b"abc"), encode(REQUEST),
     encode([(b":status", b"200")]) + named(b":path", b"/")],
)  # fmt: skip
def test_a_malformed_answer_ends_its_call_alone(block: bytes) -> None:
    verdict = our_verdict([headers(1, block)], is_client=True)
    assert (verdict.code, verdict.resets) == (None, [(1, P)])


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", PREFACE[:-1] + b"x", b"\x16\x03\x01", b"\0"])
def test_what_is_no_preface_is_found_out_at_its_first_wrong_byte(first: bytes) -> None:
    ours = Ours(False)
    ours.receive(first)
    assert ours.is_closed and judged(ours.take()).code == P


@pytest.mark.parametrize(
    "frame", [headers(1), (PING, 0, 0, bytes(8)), (SETTINGS, 1, 0, b""), (0xBE, 0, 0, b"")]
)
def test_settings_come_first(frame: Frame) -> None:
    ours = Ours(False)
    ours.receive(PREFACE + packed(frame))
    assert judged(ours.take()).code == P


def paused(count: int) -> Ours:
    """Our server with so many streams of whose messages it wants no more."""
    ours = Ours(False)
    ours.receive(PREFACE + FIRST)
    for stream_id in range(1, 2 * count, 2):
        ours.receive(packed(headers(stream_id)))
        ours.pause(stream_id)
    ours.take()
    return ours


def test_more_than_the_window_of_a_stream_is_a_fault() -> None:
    ours = paused(1)
    ours.receive(packed(data(1, bytes(16_380))) + packed(data(1, bytes(4))))
    assert (ours.is_closed, judged(ours.take())) == (False, Verdict(None, []))
    ours.receive(packed(data(1, b"\0")))
    assert judged(ours.take()).code == F


def test_more_than_the_window_of_the_connection_in_one_read_is_a_fault() -> None:
    ours = paused(4)
    frames = [packed(data(stream_id, bytes(16_384))) for stream_id in (1, 3, 5, 7)]
    ours.receive(b"".join(frames))  # one byte more than 65,535
    assert judged(ours.take()).code == F


def test_padding_counts_in_windows() -> None:
    ours = paused(1)
    for _ in range(64):
        ours.receive(packed(data(1, b"\xff" + bytes(255), PADDED)))
    assert not ours.is_closed
    ours.receive(packed(data(1, b"\0", PADDED)))
    assert judged(ours.take()).code == F


def test_nothing_is_taken_or_said_after_the_end() -> None:
    ours = Ours(False)
    ours.receive(PREFACE + FIRST + packed((PING, 0, 1, bytes(8))) + packed(headers(1)))
    assert judged(ours.take()).code == P
    ours.receive(packed(headers(3)) + packed((PING, 0, 0, bytes(8))))
    assert (ours.take(), dict(ours.heard), len(ours.faults)) == (b"", {}, 1)

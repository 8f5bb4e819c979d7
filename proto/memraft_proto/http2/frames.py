"""Frames of HTTP/2 (RFC 9113, sections 4, 6 and 7): their numbers, and how they are packed.

Blocks of header fields that never change are packed together with what follows them: a whole unary call or
its whole answer is one piece of bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

HEADER_TABLE_SIZE = 1
ENABLE_PUSH = 2
MAX_CONCURRENT_STREAMS = 3
INITIAL_WINDOW_SIZE = 4
MAX_FRAME_SIZE = 5
MAX_HEADER_LIST_SIZE = 6

FRAME_HEAD_BYTES = 9
FRAME_BYTES_DEFAULT = 1 << 14
"""What a frame may carry unless the other side says more."""
FRAME_BYTES_MOST = (1 << 24) - 1
WINDOW_DEFAULT = (1 << 16) - 1
WINDOW_MOST = (1 << 31) - 1
STREAM_ID_MOST = (1 << 31) - 1
TABLE_BYTES_DEFAULT = 4_096

FRAME_HEAD = Struct(">IBI")
"""Length and type as one number (``length << 8 | type``), flags, stream."""
DATA_HEAD = Struct(">IBIBI")
"""The head of a DATA frame and of the gRPC message it begins with."""
UPDATE = Struct(">IBII")
"""A whole WINDOW_UPDATE frame."""
UPDATE_WORD = 4 << 8 | WINDOW_UPDATE
MESSAGE_HEAD = Struct(">BI")
NUMBER = Struct(">I")
SETTING = Struct(">HI")


class Code(IntEnum):
    """Why a stream or a connection ends (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class ConnectionFault(Exception):
    """The other side broke a rule that all streams depend on, or a limit: the connection ends with GOAWAY."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class StreamFault(Exception):
    """The other side broke a rule of one stream: that stream ends with RST_STREAM, and no other does."""

    def __init__(self, stream_id: int, code: Code, text: str) -> None:
        super().__init__(text)
        self.stream_id = stream_id
        self.code = code
        self.text = text


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return FRAME_HEAD.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def settings_frame(settings: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(SETTING.pack(*setting) for setting in settings.items()))


def headers_frames(stream_id: int, block: bytes, is_end: bool, frame_bytes_max: int) -> bytes:
    """A block of header fields: one HEADERS frame, and CONTINUATION frames where it is too large for that."""
    end = END_STREAM if is_end else 0
    if len(block) <= frame_bytes_max:
        return frame(HEADERS, END_HEADERS | end, stream_id, block)
    frames = [frame(HEADERS, end, stream_id, block[:frame_bytes_max])]
    for start in range(frame_bytes_max, len(block), frame_bytes_max):
        flags = END_HEADERS if start + frame_bytes_max >= len(block) else 0
        frames.append(frame(CONTINUATION, flags, stream_id, block[start : start + frame_bytes_max]))
    return b"".join(frames)


Packer = Callable[[int, bytes], bytes]
"""(stream id, message) -> the frames that carry it with all that is around it."""


def request_packer(head: bytes) -> Packer:
    """Packs a whole call with one message: HEADERS, and DATA that ends the stream.

    Args:
        head: encoded fields; at most what a frame may carry.
    """
    pack = Struct(f">IBI{len(head)}sIBIBI").pack
    word = len(head) << 8 | HEADERS

    def packed(stream_id: int, message: bytes) -> bytes:
        size = len(message)
        return (
            pack(word, END_HEADERS, stream_id, head, size + 5 << 8, END_STREAM, stream_id, 0, size) + message
        )

    return packed


def reply_packer(head: bytes, trailers: bytes) -> Packer:
    """Packs a whole answer with one message: HEADERS, DATA, and HEADERS that end the stream.

    Args:
        head: encoded fields; at most what a frame may carry.
        trailers: likewise.
    """
    pack = Struct(f">IBI{len(head)}sIBIBI").pack
    pack_end = Struct(f">IBI{len(trailers)}s").pack
    word = len(head) << 8 | HEADERS
    word_end = len(trailers) << 8 | HEADERS

    def packed(stream_id: int, message: bytes) -> bytes:
        size = len(message)
        return (
            pack(word, END_HEADERS, stream_id, head, size + 5 << 8, 0, stream_id, 0, size)
            + message
            + pack_end(word_end, END_HEADERS | END_STREAM, stream_id, trailers)
        )

    return packed

"""Frames between nodes: a length, then msgpack. Pure; nothing that comes in is trusted.

::

    frame   = size:u32be body            body is `size` bytes of msgpack
    hello   = [protocol, cluster, sender, to, layout]   the first frame in either direction
    batch   = [[group, message], ...]                   every later frame of the side that dialled

A frame over ``frame_bytes_max`` is refused when its length is read, before its body is buffered.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import msgspec

from .errors import MalformedFrame
from .layout import Layout
from .raft import Message

PROTOCOL_VERSION = 2
ENTRY_OVERHEAD_BYTES = 25
MESSAGE_OVERHEAD_BYTES = 96
SNAPSHOT_LABEL_BYTES = 32
MEMBER_BYTES = 9

GroupMessage = tuple[int, Message]

_SIZE = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_batch_decoder = msgspec.msgpack.Decoder(list[GroupMessage])


class Hello(msgspec.Struct, array_like=True, frozen=True):
    """Who speaks, and to whom; checked against the certificate by the receiver."""

    protocol: int
    cluster: str
    sender: int
    to: int
    layout: Layout


_hello_decoder = msgspec.msgpack.Decoder(Hello)


def message_bytes(message: Message) -> int:
    """About how many bytes a message takes in a frame; never too few."""
    size = MESSAGE_OVERHEAD_BYTES + len(message.data)
    label = message.snapshot
    if label is not None:
        members = len(label.membership.voters) + len(label.membership.learners)
        size += SNAPSHOT_LABEL_BYTES + members * MEMBER_BYTES
    for entry in message.entries:
        size += len(entry.data) + ENTRY_OVERHEAD_BYTES
    return size


def encode_batch(messages: Sequence[GroupMessage]) -> bytearray:
    return _frame(messages)


def encode_hello(hello: Hello) -> bytearray:
    return _frame(hello)


def _frame(value: object) -> bytearray:
    buffer = bytearray(4)
    _encoder.encode_into(value, buffer, 4)
    _SIZE.pack_into(buffer, 0, len(buffer) - 4)
    return buffer


def decode_batch(body: bytes | bytearray | memoryview) -> list[GroupMessage]:
    """Raises MalformedFrame."""
    try:
        return _batch_decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise MalformedFrame(f"a frame is not a batch of messages: {error}") from error


def decode_hello(body: bytes | bytearray | memoryview) -> Hello:
    """Raises MalformedFrame."""
    try:
        return _hello_decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise MalformedFrame(f"the first frame is not a hello: {error}") from error


class FrameReader:
    """Cuts a byte stream into frame bodies.

    Args:
        frame_bytes_max: a frame that announces more raises MalformedFrame.
    """

    def __init__(self, frame_bytes_max: int) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Bodies of the frames that ``data`` completes. Consume it whole before feeding again.

        Raises:
            MalformedFrame: a frame over the limit.
        """
        buffer = self._buffer
        buffer += data
        start, end = 0, len(buffer)
        try:
            while end - start >= 4:
                size = _SIZE.unpack_from(buffer, start)[0]
                if size > self.frame_bytes_max:
                    raise MalformedFrame(
                        f"a frame of {size} bytes is over frame_bytes_max = {self.frame_bytes_max}"
                    )
                if end - start - 4 < size:
                    break
                start += 4 + size
                yield bytes(memoryview(buffer)[start - size : start])
        finally:
            del buffer[:start]

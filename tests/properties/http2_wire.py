"""Both ends of a connection in memory: ours, and `h2`, which says what is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.stream
from h2.windows import WindowManager
from hpack import HeaderTuple, NeverIndexedHeaderTuple

from memraft_proto.http2.connection import Connection, Limits, Stream
from memraft_proto.http2.frames import PREFACE, ConnectionFault
from memraft_proto.http2.headers import Fields

MESSAGE = Struct(">BI")
HEAD = Struct(">IBI")

ROOMY = {
    "resets_max": 100_000,
    "pings_max": 100_000,
    "ping_strikes_max": 100_000,
    "settings_max": 100_000,
    "idle_frames_max": 100_000,
    "continuations_max": 100_000,
}
"""Nothing that a peer may do often is forbidden: floods have tests of their own."""
NARROW = Limits(stream_window_bytes=16_384, connection_window_bytes=65_535, **ROOMY)  # type: ignore[arg-type]

Frame = tuple[int, int, int, bytes]
"""Type, flags, stream, payload."""


def framed(message: bytes) -> bytes:
    """An uncompressed gRPC message as it travels."""
    return MESSAGE.pack(0, len(message)) + message


def frames_of(data: bytes) -> Iterator[Frame]:
    """The frames of what one side wrote at once; a preface before them is left out."""
    position = len(PREFACE) if data.startswith(PREFACE) else 0
    while position < len(data):
        word, flags, stream_id = HEAD.unpack_from(data, position)
        start, position = position + 9, position + 9 + (word >> 8)
        yield word & 255, flags, stream_id, data[start:position]


def packed(frame: Frame) -> bytes:
    """The bytes of a frame."""
    kind, flags, stream_id, payload = frame
    return HEAD.pack(len(payload) << 8 | kind, flags, stream_id) + payload


@dataclass
class Talk:
    """What one side said on one stream, or what the other side heard of it."""

    head: Fields | None = None
    data: bytearray = field(default_factory=bytearray)
    trailers: Fields | None = None
    is_ended: bool = False
    reset: int | None = None


class Talks(dict[int, Talk]):
    """Talks by stream, made when first asked for."""

    def __missing__(self, stream_id: int) -> Talk:
        made = self[stream_id] = Talk()
        return made


class Ours(Connection):
    """Our connection, which writes down what it hears and answers nothing by itself."""

    def __init__(self, is_client: bool, limits: Limits = NARROW) -> None:
        super().__init__(limits, is_client)
        self.heard = Talks()
        self.drained: list[int] = []
        self.pongs: list[bytes] = []
        self.goaways: list[tuple[int, int, str]] = []
        self.faults: list[ConnectionFault] = []
        self.oversize: list[tuple[int, int]] = []
        self.on_whole: Callable[[int], bool] = lambda _stream_id: False

    def heard_something(self, stream_id: int) -> None:
        """What of, on a stream, is written down."""

    def on_call(self, stream_id: int, head: Any, message: bytes) -> None:
        talk = self.heard[stream_id]
        assert talk == Talk(), "a stream begins once"
        if not self.on_whole(stream_id):
            super().on_call(stream_id, head, message)
            return
        talk.head, talk.is_ended = head, True
        talk.data += framed(message)

    def on_headers(self, stream_id: int, head: Any, is_end: bool) -> None:
        talk = self.heard[stream_id]
        assert not talk.is_ended and talk.trailers is None
        if talk.head is None:
            talk.head = head
        else:
            assert is_end
            talk.trailers = head
        talk.is_ended = is_end
        self.heard_something(stream_id)

    def on_message(self, stream_id: int, message: bytes) -> None:
        talk = self.heard[stream_id]
        assert talk.head is not None and not talk.is_ended
        assert type(message) is bytes
        talk.data += framed(message)
        self.heard_something(stream_id)

    def on_end(self, stream_id: int) -> None:
        talk = self.heard[stream_id]
        assert talk.head is not None and not talk.is_ended
        talk.is_ended = True

    def on_drop(self, stream: Stream, code: int) -> None:
        talk = self.heard[stream.id]
        assert talk.reset is None, "a stream is over once"
        talk.reset = code

    def on_oversize(self, stream_id: int, size: int) -> None:
        self.oversize.append((stream_id, size))
        super().on_oversize(stream_id, size)

    def on_writable(self, stream_id: int) -> None:
        self.drained.append(stream_id)

    def on_pong(self, payload: bytes) -> None:
        self.pongs.append(payload)

    def on_goaway(self, last_stream_id: int, code: int, text: str) -> None:
        self.goaways.append((last_stream_id, code, text))

    def on_fault(self, fault: ConnectionFault) -> None:
        self.faults.append(fault)

    def check(self) -> None:
        """What holds at any moment."""
        assert self._send_window >= 0
        assert 0 <= self._window <= self.limits.connection_window_bytes
        waiting = buffered = 0
        for stream in self.streams.values():
            assert 0 <= stream.window <= self.limits.stream_window_bytes
            for data, _, is_headers in stream.queue or ():
                waiting += 0 if is_headers else len(data)
            buffered += len(stream.partial) if stream.partial is not None else 0
        assert self.queued_bytes == waiting
        assert self._buffered == buffered
        assert len(self._tail) < 9 + 16_384 or self.has_more

    def windows(self) -> tuple[int, int]:
        """Of the connection: what may come, and what may leave."""
        return self._window, self._send_window


class _Window(WindowManager):
    """h2's, which forbids an empty frame where a window is below 0. RFC 9113, section 6.9.1, allows it."""

    def window_consumed(self, size: int) -> None:
        if size:
            super().window_consumed(size)


h2.stream.WindowManager = _Window  # type: ignore[misc]


class Theirs:
    """The same with `h2`; what it hears it acknowledges when told to."""

    def __init__(self, is_client: bool) -> None:
        config = h2.config.H2Configuration(client_side=is_client, header_encoding=None)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self._unread = bytearray()
        self._head_bytes = 0 if is_client else len(PREFACE)
        self.heard = Talks()
        self.unacknowledged: dict[int, int] = {}
        self.pongs: list[bytes] = []
        self.settings_under_way = 1
        self.ended: list[h2.events.ConnectionTerminated] = []
        self._encode = self.h2.encoder.encode
        self.is_huffman = True
        self.h2.encoder.encode = self._encoded  # type: ignore[method-assign]

    def _encoded(self, headers: Any, huffman: bool = True) -> bytes:
        return self._encode(headers, self.is_huffman)

    def receive(self, data: bytes) -> None:
        """Takes what ours wrote; raises what h2 raises. It gets one frame at a time: what a frame changes
        would otherwise hold from the next read on only, such as the size of frames."""
        self._unread += data
        while len(self._unread) >= self._head_bytes + 9:
            word = HEAD.unpack_from(self._unread, self._head_bytes)[0]
            size = self._head_bytes + 9 + (word >> 8)
            if len(self._unread) < size:
                return
            self._receive(bytes(self._unread[:size]))
            del self._unread[:size]
            self._head_bytes = 0

    def _receive(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            match event:
                case h2.events.RequestReceived() | h2.events.ResponseReceived():
                    self.heard[_id(event)].head = _plain(event.headers)
                case h2.events.DataReceived():
                    self.heard[_id(event)].data += event.data
                    more = self.unacknowledged.get(_id(event), 0) + event.flow_controlled_length
                    self.unacknowledged[_id(event)] = more
                case h2.events.TrailersReceived():
                    self.heard[_id(event)].trailers = _plain(event.headers)
                case h2.events.StreamEnded():
                    self.heard[_id(event)].is_ended = True
                case h2.events.StreamReset():
                    self.heard[_id(event)].reset = int(event.error_code)
                case h2.events.PingAckReceived():
                    self.pongs.append(event.ping_data)
                case h2.events.SettingsAcknowledged():
                    self.settings_under_way -= 1
                case h2.events.ConnectionTerminated():
                    self.ended.append(event)

    def change(self, settings: dict[Any, int]) -> None:
        """Announces other settings. Only where none are under way: h2 takes the acknowledgement of one change
        for that of all."""
        assert not self.settings_under_way
        self.h2.update_settings(settings)
        self.settings_under_way += 1

    def acknowledge(self, stream_id: int) -> None:
        """Gives back the window that a stream's data has used."""
        size = self.unacknowledged.pop(stream_id, 0)
        if size:
            self.h2.acknowledge_received_data(size, stream_id)


def _id(event: Any) -> int:
    return int(event.stream_id)


def _plain(headers: Any) -> Fields:
    return tuple((bytes(name), bytes(value)) for name, value in headers)


def marked(fields: Fields, secret: frozenset[bytes]) -> list[HeaderTuple]:
    """Fields for h2, some of them never to be indexed."""
    return [
        NeverIndexedHeaderTuple(name, value) if name in secret else HeaderTuple(name, value)
        for name, value in fields
    ]

"""One HTTP/2 connection that carries gRPC (RFC 9113), for either side, without any IO: bytes in, bytes out.

What comes is told by calling the ``on_`` methods, which a subclass overrides; what they send gathers in
``out``, to be written once a read. A whole unary call that comes in one piece, as nearly all do, takes a
short way: its header block is looked up instead of decoded, its message is cut out once, and no stream made.

Everything that the other side can make this one keep or do is bounded: see `Limits`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from .frames import (
    ACK,
    CONTINUATION,
    DATA,
    DATA_HEAD,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_DEFAULT,
    FRAME_HEAD,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    NUMBER,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STREAM_ID_MOST,
    UPDATE,
    UPDATE_WORD,
    WINDOW_MOST,
    WINDOW_UPDATE,
    Code,
    ConnectionFault,
    StreamFault,
)
from .headers import Block, Fields, HeaderDecoder
from .receiving import Receiver
from .sending import Limits, Stream

__all__ = ["Connection", "Limits", "Stream"]

_PING_TOLERANCE_S = 1.0
"""Clocks of owners tick about once a second."""


class Connection(Receiver):
    """A connection. The owner passes on what it reads, writes what `take` returns, and closes where
    ``is_closed``.

    Args:
        limits: of this connection.
        is_client: whether this side opens the streams.

    Attributes:
        is_stopped: nothing more is taken for now.
    """

    def __init__(self, limits: Limits, is_client: bool) -> None:
        super().__init__(limits, is_client)
        self._decoder = HeaderDecoder(limits.header_list_bytes_max, not is_client, _interpreter(self))
        self._ready = self._decoder.ready
        self._ready_trailers = self._decoder.ready_trailers
        self._whole_bytes_max = min(FRAME_BYTES_DEFAULT, limits.message_bytes_max + 5)
        self.is_stopped = False
        self._tail = b""
        self._preface = b"" if is_client else PREFACE
        self._has_settings = False
        self._room = -1
        self._block: bytearray | None = None
        self._block_stream = 0
        self._block_is_end = False
        self._block_frames = 0
        self._ping_strikes = 0
        self._ping_at_s = float("-inf")
        self._ping_mark = (0, 0)

    # -- what an owner overrides -------------------------------------------------------------------------

    def interpret(self, fields: Fields) -> Any:
        """What the owner wants to be given instead of the fields of a block; kept with the block."""
        return fields

    def on_call(self, stream_id: int, head: Any, message: bytes) -> None:
        """Server: a whole call came, of one message. An owner that overrides this may answer at once with
        `send_reply`, or call `keep`."""
        stream = self.keep(stream_id)
        stream.has_head = stream.is_remote_closed = True
        self.on_headers(stream_id, head, False)
        self.on_message(stream_id, message)
        self.on_end(stream_id)

    def on_reply(self, stream: Stream, head: Any, message: bytes, trailers: Any) -> None:
        """Client: a whole answer came, of one message; the stream is over."""
        self.on_headers(stream.id, head, False)
        self.on_message(stream.id, message)
        self.on_headers(stream.id, trailers, True)

    def on_headers(self, stream_id: int, head: Any, is_end: bool) -> None:
        """The head of a stream came, or, where it had come, its trailers. With ``is_end`` it was the last."""

    def on_settings(self) -> None:
        """The other side told its settings; the first time, it is there."""

    def on_goaway(self, last_stream_id: int, code: int, text: str) -> None:
        """The other side takes no more streams; on_reset (REFUSED_STREAM) follows for those it did not."""

    def on_pong(self, payload: bytes) -> None:
        """The answer to `ping`."""

    def on_fault(self, fault: ConnectionFault) -> None:
        """The other side broke a rule; GOAWAY has been sent, and nothing more is taken."""

    # -- reading -----------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Takes what was read. Raises nothing: see ``is_closed``.

        An owner that sets ``is_stopped`` meanwhile, so that others have their turn, goes on later with
        ``receive(b"")``; ``has_more`` tells whether that is needed.
        """
        if self.is_closed:
            return
        self.is_stopped = False
        if self._tail:
            data = self._tail + data
        try:
            if self._preface:
                data = self._without_preface(data)
            used = self._consume(data)
        except ConnectionFault as fault:
            self.fail(fault)
            return
        self._tail = data[used:] if used < len(data) else b""
        self._grant_connection()

    @property
    def has_more(self) -> bool:
        """Whether it was stopped with something left to be taken."""
        return self.is_stopped and bool(self._tail)

    def fail(self, fault: ConnectionFault) -> None:
        """Ends the connection because of ``fault``."""
        if not self.is_closed:
            self.goaway(fault.code, fault.text)
            self.is_closed = self.is_stopped = True
            self._tail = b""
            self.on_fault(fault)

    def refuse_calls(self) -> None:
        """From now on new streams are ignored; to be called together with the last `goaway`."""
        self._room = -1
        self._is_refusing = True

    def _without_preface(self, data: bytes) -> bytes:
        size = min(len(data), len(self._preface))
        if data[:size] != self._preface[:size]:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "this is not HTTP/2: it has no preface")
        self._preface = self._preface[size:]
        return data[size:]

    def _consume(self, data: bytes) -> int:
        """Takes all whole frames; returns how many bytes they have."""
        pos, end = 0, len(data)
        unpack = FRAME_HEAD.unpack_from
        whole = self._whole_reply if self.is_client else self._whole_call
        while end - pos >= 9:
            word, flags, stream_id = unpack(data, pos)
            size = word >> 8
            if size > FRAME_BYTES_DEFAULT:
                text = f"a frame of {size} bytes, over {FRAME_BYTES_DEFAULT}"
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, text)
            after = pos + 9 + size
            if after > end:
                break
            kind = word & 255
            if kind == HEADERS and flags == END_HEADERS and self._block is None:
                stop = whole(data, pos + 9, after, end, stream_id)
                if stop:
                    pos = stop
                    if self.is_stopped:
                        break
                    continue
            try:
                self._frame(kind, flags, stream_id & STREAM_ID_MOST, data[pos + 9 : after])
            except StreamFault as fault:
                self._end_stream_of(fault)
            pos = after
            if self.is_stopped:
                break
        return pos

    def _whole_call(self, data: bytes, start: int, after: int, end: int, stream_id: int) -> int:
        """The short way of a unary call; returns where it ends in ``data``, 0 where it needs the long way."""
        if len(self.streams) >= self._room or end - after < 14:
            return 0
        head = self._ready.get(data[start:after])
        if head is None or not self.peer_last_stream < stream_id <= STREAM_ID_MOST or not stream_id & 1:
            return 0
        early = 0
        if data[after + 3] == WINDOW_UPDATE:  # as stock clients send it, when they ask for an answer
            word, _, same, early = UPDATE.unpack_from(data, after)
            after += 13
            if (
                word != UPDATE_WORD
                or same != stream_id
                or not 0 < early <= WINDOW_MOST - self._peer_window
                or end - after < 14
            ):
                return 0
        word, flags, same, is_compressed, size = DATA_HEAD.unpack_from(data, after)
        size += 5
        stop: int = after + 9 + size
        if (
            word != size << 8  # the frame carries this message alone, and is DATA, which is 0
            or flags != END_STREAM
            or same != stream_id
            or is_compressed
            or stop > end
            or size > self._whole_bytes_max
            or size > self._window
        ):
            return 0
        self._window -= size
        self.peer_last_stream = stream_id
        self._early_window = early
        self.on_call(stream_id, head, data[after + 14 : stop])
        self._early_window = 0
        return stop

    def _whole_reply(self, data: bytes, start: int, after: int, end: int, stream_id: int) -> int:
        """The short way of a unary answer; as `_whole_call`."""
        stream = self.streams.get(stream_id)
        if stream is None or stream.has_head or not stream.is_local_closed or end - after < 23:
            return 0
        head = self._ready.get(data[start:after])
        word, flags, same, is_compressed, size = DATA_HEAD.unpack_from(data, after)
        size += 5
        stop: int = after + 9 + size
        if (
            head is None
            or word != size << 8
            or flags
            or same != stream_id
            or is_compressed
            or end - stop < 9
            or size > self._whole_bytes_max
            or size > self._window
        ):
            return 0
        word, flags, same = FRAME_HEAD.unpack_from(data, stop)
        last: int = stop + 9 + (word >> 8)
        if word & 255 != HEADERS or flags != END_HEADERS | END_STREAM or same != stream_id or last > end:
            return 0
        trailers = self._ready_trailers.get(data[stop + 9 : last])
        if trailers is None or stream.queue:
            return 0
        self._window -= size
        del self.streams[stream_id]
        self.on_reply(stream, head, data[after + 14 : stop], trailers)
        return last

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Any frame, the long way. Raises ConnectionFault, StreamFault."""
        if (self._block is not None) is not (kind == CONTINUATION):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a block of header fields must come without a break")
        if not self._has_settings and (kind != SETTINGS or flags & ACK):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "the first frame must be SETTINGS")
        if kind == DATA:
            self._take_data(flags, stream_id, _unpadded(payload) if flags & PADDED else payload, len(payload))
        elif kind == HEADERS:
            self._take_headers(flags, stream_id, payload)
        elif kind == WINDOW_UPDATE:
            self._take_window(stream_id, payload)
        elif kind == RST_STREAM:
            self._take_reset(stream_id, payload)
        elif kind == PING:
            self._take_ping(flags, stream_id, payload)
        elif kind == SETTINGS:
            self._take_settings(flags, stream_id, payload)
        elif kind == CONTINUATION:
            self._take_continuation(flags, stream_id, payload)
        elif kind == GOAWAY:
            self._take_goaway(stream_id, payload)
        elif kind == PUSH_PROMISE:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "PUSH_PROMISE, which nobody asked for")
        elif kind == PRIORITY:
            self._take_priority(stream_id, payload)
        else:
            self._note_idle("frames of unknown types")

    # -- header fields -----------------------------------------------------------------------------------

    def _take_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "HEADERS on stream 0")
        if flags & PADDED:
            payload = _unpadded(payload)
        if flags & HAS_PRIORITY:
            if len(payload) < 5:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            if NUMBER.unpack_from(payload)[0] & STREAM_ID_MOST == stream_id:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "a stream depends on itself")
            payload = payload[5:]
        is_end = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._take_block(stream_id, payload, is_end)
            return
        self._block = bytearray(payload)
        self._block_stream, self._block_is_end, self._block_frames = stream_id, is_end, 0

    def _take_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        assert self._block is not None
        if stream_id != self._block_stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "CONTINUATION of another stream")
        self._block_frames += 1
        self._block += payload
        limits = self.limits
        if self._block_frames > limits.continuations_max:
            text = f"over {limits.continuations_max} CONTINUATION frames"
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, text)
        if len(self._block) > limits.block_bytes_max:
            text = f"a block of header fields over {limits.block_bytes_max} bytes"
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, text)
        if flags & END_HEADERS:
            block, self._block = bytes(self._block), None
            self._take_block(stream_id, block, self._block_is_end)

    def _take_block(self, stream_id: int, block: bytes, is_end: bool) -> None:
        decoded = self._decoder.decode(block)
        stream = self.streams.get(stream_id)
        if stream is None:
            if self.is_client:
                self._check_known(stream_id, "HEADERS")
            else:
                self._begin_call(stream_id, decoded, is_end)
            return
        if stream.is_remote_closed:
            raise StreamFault(stream_id, Code.STREAM_CLOSED, "HEADERS after the end")
        if decoded.problem:
            raise StreamFault(stream_id, Code.PROTOCOL_ERROR, decoded.problem)
        if decoded.is_head is stream.has_head or (stream.has_head and not is_end):
            raise StreamFault(stream_id, Code.PROTOCOL_ERROR, "head and trailers out of place")
        if decoded.is_informational:
            self._note_idle("responses that are not final")
            if is_end:
                raise StreamFault(stream_id, Code.PROTOCOL_ERROR, "a response without an end")
            return
        stream.has_head = True
        if is_end:
            self._note_end(stream)
        self.on_headers(stream_id, decoded.head, is_end)

    def _begin_call(self, stream_id: int, decoded: Block, is_end: bool) -> None:
        """Server: the head of a stream that is not there (any more)."""
        if not stream_id & 1:
            raise ConnectionFault(Code.PROTOCOL_ERROR, f"stream {stream_id} is not a client's")
        if stream_id <= self.peer_last_stream:
            self._check_known(stream_id, "HEADERS")
            self._note_idle("HEADERS of streams that are over")
            return
        self.peer_last_stream = stream_id
        if self._is_refusing:
            self._remember_reset(stream_id)
            return
        if decoded.problem or not decoded.is_head:
            raise StreamFault(stream_id, Code.PROTOCOL_ERROR, decoded.problem or "a request without a head")
        if len(self.streams) >= self.limits.streams_max:
            self._note_reset()
            self.reset(stream_id, Code.REFUSED_STREAM)
            return
        stream = self.keep(stream_id)
        stream.has_head = True
        stream.is_remote_closed = is_end
        self.on_headers(stream_id, decoded.head, is_end)

    # -- the connection's own frames ---------------------------------------------------------------------

    def _take_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & ACK:
            if payload:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "SETTINGS that acknowledge and say more")
            return
        self._settings += 1
        if self._settings > self.limits.settings_max:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, f"over {self.limits.settings_max} SETTINGS frames")
        self._apply_settings(payload)
        if not self._has_settings:
            self._has_settings = True
            if not self.is_client:
                self._room = self.limits.streams_max
        self.on_settings()

    def _take_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes")
        if flags & ACK:
            self.on_pong(payload)
            return
        limits = self.limits
        mark = (self.peer_last_stream, self._said_bytes())
        is_early = self._now_s - self._ping_at_s < limits.period_s - _PING_TOLERANCE_S
        self._ping_strikes = self._ping_strikes + 1 if is_early and mark == self._ping_mark else 0
        self._ping_mark, self._ping_at_s = mark, self._now_s
        self._pings += 1
        if self._pings > limits.pings_max or self._ping_strikes > limits.ping_strikes_max:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "too_many_pings")
        self._pong(payload)

    def _take_goaway(self, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes")
        self._note_idle("GOAWAY frames")
        last = NUMBER.unpack_from(payload)[0] & STREAM_ID_MOST
        code = NUMBER.unpack_from(payload, 4)[0]
        self.peer_streams_max = -1
        self.on_goaway(last, code, payload[8:].decode("utf-8", "replace"))
        if self.is_client:
            for refused in [each for each in self.streams if each > last]:
                stream = self.streams.pop(refused, None)
                if stream is not None:
                    self._drop(stream)
                    self._remember_reset(refused)
                    self.on_drop(stream, Code.REFUSED_STREAM)

    def _take_priority(self, stream_id: int, payload: bytes) -> None:
        self._note_idle("PRIORITY frames")
        if not stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes")
        if NUMBER.unpack_from(payload)[0] & STREAM_ID_MOST == stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a stream depends on itself")


def _interpreter(connection: Connection) -> Callable[[Fields], Any]:
    """Its ``interpret``, without keeping it in memory: objects in circles wait long for the collector."""
    reference = weakref.ref(connection)

    def interpret(fields: Fields) -> Any:
        owner = reference()
        assert owner is not None
        return owner.interpret(fields)

    return interpret


def _unpadded(payload: bytes) -> bytes:
    """What is left of the payload of a padded frame."""
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "padding longer than the frame")
    return payload[1 : len(payload) - payload[0]]

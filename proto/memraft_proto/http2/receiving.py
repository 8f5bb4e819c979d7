"""The receiving half of a connection below its frames: messages, windows, and the states of streams."""

from __future__ import annotations

from .frames import (
    ACK,
    ENABLE_PUSH,
    END_STREAM,
    FRAME_BYTES_DEFAULT,
    FRAME_BYTES_MOST,
    HEADER_TABLE_SIZE,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MESSAGE_HEAD,
    NUMBER,
    SETTING,
    SETTINGS,
    STREAM_ID_MOST,
    TABLE_BYTES_DEFAULT,
    WINDOW_MOST,
    Code,
    ConnectionFault,
    StreamFault,
    frame,
)
from .sending import Limits, Sender, Stream


class Receiver(Sender):
    """Takes messages and grants windows, for `Connection`.

    Args:
        limits: of this connection.
        is_client: the role of this side.
    """

    def __init__(self, limits: Limits, is_client: bool) -> None:
        super().__init__(limits, is_client)
        self._window = limits.connection_window_bytes
        self._is_refusing = False
        self._now_s = 0.0
        self._period_began_s = 0.0
        self._pings = 0
        self._settings = 0
        self._idle_frames = 0
        self._resets_left = float(limits.resets_max)

    # -- what an owner overrides -------------------------------------------------------------------------

    def on_message(self, stream_id: int, message: bytes) -> None:
        """A message came, whole and uncompressed."""

    def on_compressed(self, stream_id: int, message: bytes) -> None:
        """A message came, whole and compressed in the way that the head of its stream told."""
        raise StreamFault(stream_id, Code.PROTOCOL_ERROR, "a compressed message")

    def on_oversize(self, stream_id: int, size: int) -> None:
        """A message of ``size`` bytes begins, more than the limit. The owner ends the stream."""
        self.reset(stream_id, Code.CANCEL)
        self.on_reset(stream_id, Code.CANCEL)

    def on_end(self, stream_id: int) -> None:
        """The other side has sent all, without trailers."""

    def on_reset(self, stream_id: int, code: int) -> None:
        """A stream is over before its time: it was reset, refused, or broke a rule."""

    def on_drop(self, stream: Stream, code: int) -> None:
        """As on_reset, for owners that want what they kept in ``stream.owner``."""
        self.on_reset(stream.id, code)

    def is_due(self, stream: Stream) -> bool:
        """Whether the other side may cancel a stream that was not answered, without being taken for one who
        floods: asked before `on_drop`."""
        return False

    def on_writable(self, stream_id: int) -> None:
        """What send_message left waiting has gone out."""

    def pause(self, stream_id: int) -> None:
        """The owner has enough of a stream for now: once its window is used, the other side has to wait."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.is_paused = True

    def resume(self, stream_id: int) -> None:
        """The owner takes more again."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.is_paused = False
            self._grant_stream(stream)

    def hold(self, size: int) -> None:
        """``size`` bytes more are kept of what came, or less (below 0). An owner tells so, too, that
        keeps messages of calls which have not come whole: a client could have any number of them kept."""
        self._buffered += size

    # -- messages ----------------------------------------------------------------------------------------

    def _take_data(self, flags: int, stream_id: int, data: bytes, size: int) -> None:
        """One DATA frame: ``data`` without the padding that counts in ``size``."""
        if not stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "DATA on stream 0")
        self._window -= size
        if self._window < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        is_end = bool(flags & END_STREAM)
        if not data and not is_end:
            self._note_idle("empty DATA frames")
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_known(stream_id, "DATA")
            return
        if stream.is_remote_closed:
            raise StreamFault(stream_id, Code.STREAM_CLOSED, "DATA after the end")
        if not stream.has_head:
            raise StreamFault(stream_id, Code.PROTOCOL_ERROR, "DATA before a head")
        stream.window -= size
        if stream.window < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, f"more DATA than the window of stream {stream_id}")
        for is_compressed, message in self._messages(stream, data):
            if is_compressed:
                self.on_compressed(stream_id, message)
            else:
                self.on_message(stream_id, message)
            if self.streams.get(stream_id) is not stream or self.is_closed:
                return
        if self.streams.get(stream_id) is not stream:
            return
        if is_end:
            self._note_end(stream)
            self.on_end(stream_id)
            return
        if self._buffered > self.limits.buffered_bytes_max:
            text = f"over {self.limits.buffered_bytes_max} bytes of calls that came in part"
            raise StreamFault(stream_id, Code.ENHANCE_YOUR_CALM, text)
        if not stream.is_paused:
            self._grant_stream(stream)

    def _messages(self, stream: Stream, data: bytes) -> list[tuple[int, bytes]]:
        """The messages that ``data`` completes, each with whether it is compressed."""
        partial = stream.partial
        if partial is None:
            if len(data) >= 5:
                is_compressed, size = MESSAGE_HEAD.unpack_from(data)
                if size + 5 == len(data) and size <= self.limits.message_bytes_max and is_compressed <= 1:
                    return [(is_compressed, data[5:])]
            if not data:
                return []
            partial = stream.partial = bytearray()
            stream.needed = 5
        partial += data
        self.hold(len(data))
        if len(partial) < stream.needed:
            return []
        found: list[tuple[int, bytes]] = []
        start = self._split(stream, partial, found)
        self._buffered -= start
        if start == len(partial):
            stream.partial = None
        else:
            del partial[:start]
        return found

    def _split(self, stream: Stream, partial: bytearray, found: list[tuple[int, bytes]]) -> int:
        """Appends the whole messages in ``partial`` to ``found``; returns where the rest begins."""
        start = 0
        with memoryview(partial) as view:
            while len(partial) - start >= 5:
                is_compressed, size = MESSAGE_HEAD.unpack_from(partial, start)
                if is_compressed > 1:
                    raise StreamFault(stream.id, Code.PROTOCOL_ERROR, "this is no gRPC message")
                if size > self.limits.message_bytes_max:
                    self.on_oversize(stream.id, size)
                    found.clear()
                    return 0
                stop = start + 5 + size
                if stop > len(partial):
                    stream.needed = stop - start
                    return start
                found.append((is_compressed, bytes(view[start + 5 : stop])))
                start = stop
        stream.needed = 5
        return start

    def _note_end(self, stream: Stream) -> None:
        """The other side has sent all of a stream."""
        if stream.partial is not None:
            raise StreamFault(stream.id, Code.PROTOCOL_ERROR, "the stream ends within a message")
        stream.is_remote_closed = True
        if stream.is_local_closed and not stream.queue:
            self.streams.pop(stream.id, None)

    # -- windows -----------------------------------------------------------------------------------------

    def _grant_stream(self, stream: Stream) -> None:
        most = self.limits.stream_window_bytes
        if stream.window <= most >> 1 and not stream.is_remote_closed:
            self._grant(stream.id, most - stream.window)
            stream.window = most

    def _grant_connection(self) -> None:
        most = self.limits.connection_window_bytes
        if self._window <= most >> 1 and not self.is_closed:
            self._grant(0, most - self._window)
            self._window = most

    def _take_window(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"WINDOW_UPDATE of {len(payload)} bytes")
        size = NUMBER.unpack(payload)[0] & WINDOW_MOST
        if not stream_id:
            if not size:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
            self._send_window += size
            if self._send_window > WINDOW_MOST:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window over 2^31-1")
            if self._waiting:
                for drained in self._pump_waiting():
                    self._tell_drained(drained)
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            if stream_id > self._newest(stream_id):
                raise ConnectionFault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE of a stream that was never opened")
            return
        if not size:
            raise StreamFault(stream_id, Code.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
        stream.send_window += size
        if stream.send_window > WINDOW_MOST:
            raise StreamFault(stream_id, Code.FLOW_CONTROL_ERROR, "a window over 2^31-1")
        self._go_on(stream)

    def _go_on(self, stream: Stream) -> None:
        """A stream's window has grown."""
        if stream.queue and not stream.is_waiting:
            self._pump(stream)
            self._tell_drained(stream)

    def _tell_drained(self, stream: Stream) -> None:
        if stream.is_told and not stream.queue:
            stream.is_told = False
            if self.streams.get(stream.id) is stream:
                self.on_writable(stream.id)

    def _apply_settings(self, payload: bytes) -> None:
        if len(payload) % 6:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
        window = self._peer_window
        for key, value in SETTING.iter_unpack(payload):
            if key == INITIAL_WINDOW_SIZE:
                if value > WINDOW_MOST:
                    raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window over 2^31-1")
                window = value
            elif key == MAX_FRAME_SIZE:
                if not FRAME_BYTES_DEFAULT <= value <= FRAME_BYTES_MOST:
                    raise ConnectionFault(Code.PROTOCOL_ERROR, f"MAX_FRAME_SIZE of {value}")
                self._peer_frame_bytes = value
            elif key == MAX_CONCURRENT_STREAMS:
                if self.peer_streams_max >= 0:
                    self.peer_streams_max = min(value, STREAM_ID_MOST)
            elif key == HEADER_TABLE_SIZE:
                if value < TABLE_BYTES_DEFAULT:
                    self._table_update = b"\x20"
            elif key == ENABLE_PUSH and value > (0 if self.is_client else 1):
                raise ConnectionFault(Code.PROTOCOL_ERROR, f"ENABLE_PUSH of {value}")
        if window != self._peer_window:
            self._move_windows(window)
        self._note_packed_max()
        # What wider windows let out comes after this: before it the other side does not expect more.
        self.out.append(frame(SETTINGS, ACK, 0))
        for stream in list(self.streams.values()):
            self._go_on(stream)

    def _move_windows(self, value: int) -> None:
        """A new initial window: those of all streams move with it, below 0 where it has to be. Once a frame:
        that may hold thousands of values, and there may be thousands of streams."""
        moved = value - self._peer_window
        self._peer_window = value
        for stream in self.streams.values():
            stream.send_window += moved
            if stream.send_window > WINDOW_MOST:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window over 2^31-1")

    # -- streams that are over ---------------------------------------------------------------------------

    def _take_reset(self, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "RST_STREAM on stream 0")
        if len(payload) != 4:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"RST_STREAM of {len(payload)} bytes")
        stream = self.streams.pop(stream_id, None)
        if stream is None:
            if stream_id > self._newest(stream_id):
                raise ConnectionFault(Code.PROTOCOL_ERROR, "RST_STREAM of a stream that was never opened")
            return
        code = NUMBER.unpack(payload)[0]
        is_excused = self.is_client or (code == Code.CANCEL and self.is_due(stream))
        self._drop(stream)
        self.on_drop(stream, code)
        if not is_excused:
            self._note_reset()

    def _end_stream_of(self, fault: StreamFault) -> None:
        stream = self.streams.get(fault.stream_id)
        self.reset(fault.stream_id, fault.code)
        if stream is not None:
            self.on_drop(stream, fault.code)
        if not self.is_client:
            # A client that has its streams reset by breaking rules is no better than one that resets them.
            self._note_reset()

    def _newest(self, stream_id: int) -> int:
        """The newest stream that was opened by the side that ``stream_id`` would be of."""
        is_ours = stream_id & 1 == self._next_stream & 1
        return self._next_stream - 2 if is_ours else self.peer_last_stream

    def _check_known(self, stream_id: int, what: str) -> None:
        """A frame of a stream that is not there: to be ignored where it was reset here, which the other side
        may not have known; else a fault."""
        if stream_id > self._newest(stream_id):
            raise ConnectionFault(Code.PROTOCOL_ERROR, f"{what} of a stream that was never opened")
        if stream_id not in self._reset_here:
            raise ConnectionFault(Code.STREAM_CLOSED, f"{what} of a stream that is over")

    # -- what costs the other side little ----------------------------------------------------------------

    def tick(self, now_s: float) -> None:
        """Lets time pass for what is limited per time; to be called about once a second.

        Args:
            now_s: seconds on a clock that never goes back.
        """
        limits = self.limits
        if self._now_s:
            gained = (now_s - self._now_s) * limits.resets_refill
            self._resets_left = min(float(limits.resets_max), self._resets_left + gained)
        self._now_s = now_s
        if now_s - self._period_began_s >= limits.period_s:
            self._period_began_s = now_s
            self._pings = self._settings = self._idle_frames = 0

    def _note_idle(self, what: str) -> None:
        self._idle_frames += 1
        if self._idle_frames > self.limits.idle_frames_max:
            text = f"too many frames that bring nothing: {what}"
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, text)

    def _note_reset(self) -> None:
        self._resets_left -= 1
        if self._resets_left < 0:
            raise ConnectionFault(
                Code.ENHANCE_YOUR_CALM, "too many streams were reset before they were answered"
            )

"""The sending half of a connection: what leaves, as far as the other side's windows allow.

What fits leaves at once, in the order in which it was sent. What does not fit waits in its stream's queue,
and streams that wait for room on the connection get it in turn, a frame each.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from .frames import (
    ACK,
    DATA,
    ENABLE_PUSH,
    END_STREAM,
    FRAME_BYTES_DEFAULT,
    FRAME_HEAD,
    GOAWAY,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    MESSAGE_HEAD,
    NUMBER,
    PING,
    PREFACE,
    RST_STREAM,
    STREAM_ID_MOST,
    UPDATE,
    UPDATE_WORD,
    WINDOW_DEFAULT,
    Packer,
    frame,
    headers_frames,
    settings_frame,
)

RESET_REMEMBERED_MAX = 1_024
"""Streams that were reset here, of which more may come that was sent before the other side knew."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may hold, and how often the other side may do what costs it little.

    Attributes:
        streams_max: streams that the other side may have open at a time.
        message_bytes_max: largest message taken.
        buffered_bytes_max: bytes of calls that have come in part, over all streams.
        header_list_bytes_max: largest list of header fields, counted as in RFC 9113.
        block_bytes_max: largest encoded block of header fields, over all its frames.
        continuations_max: CONTINUATION frames of a block.
        stream_window_bytes: how far the other side may send ahead of what was taken, on a stream.
        connection_window_bytes: likewise, on the connection.
        resets_max: streams that the other side may reset before they were answered, and that it may open
            beyond ``streams_max``, at once.
        resets_refill: how many of them it gets back each second.
        pings_max: PING frames in each period.
        ping_strikes_max: PING frames sooner than a period after the one before, with no call between.
        settings_max: SETTINGS frames in each period.
        idle_frames_max: frames in each period that bring nothing: empty DATA, PRIORITY, unknown ones, and
            those for streams that are over.
        period_s: what a period is.
    """

    streams_max: int = 10_000
    message_bytes_max: int = 64 << 20
    buffered_bytes_max: int = 128 << 20
    header_list_bytes_max: int = 16 << 10
    block_bytes_max: int = 32 << 10
    continuations_max: int = 16
    stream_window_bytes: int = 1 << 20
    connection_window_bytes: int = 8 << 20
    resets_max: int = 1_000
    resets_refill: int = 100
    pings_max: int = 500
    ping_strikes_max: int = 2
    settings_max: int = 50
    idle_frames_max: int = 1_000
    period_s: float = 10.0


class Stream:
    """One stream that is not over.

    Attributes:
        id: its number.
        owner: the owner's own, whatever it likes.
        is_remote_closed: the other side has sent all.
        is_local_closed: the end has been sent, or waits in the queue.
        has_head: its head has come.
        send_window: bytes that the other side takes; below 0 where it took back what it had granted.
        queue: pieces that wait for a window: (payload, is the end, is header fields).
        is_waiting: among the streams that wait for room on the connection.
        is_told: the owner was told False by send_message, and is owed on_writable.
        window: bytes that the other side may still send.
        is_paused: the owner takes no more for now: the window is not given back.
        partial: what has come of a message; None where nothing waits.
        needed: bytes that ``partial`` has to have before it is looked at again.
    """

    __slots__ = (
        "id",
        "owner",
        "is_remote_closed",
        "is_local_closed",
        "has_head",
        "send_window",
        "queue",
        "is_waiting",
        "is_told",
        "window",
        "is_paused",
        "partial",
        "needed",
    )

    def __init__(self, stream_id: int, send_window: int, window: int) -> None:
        self.id = stream_id
        self.owner: Any = None
        self.is_remote_closed = False
        self.is_local_closed = False
        self.has_head = False
        self.send_window = send_window
        self.queue: deque[tuple[memoryview, bool, bool]] | None = None
        self.is_waiting = False
        self.is_told = False
        self.window = window
        self.is_paused = False
        self.partial: bytearray | None = None
        self.needed = 0


class Sender:
    """Sends, for `Connection`.

    Args:
        limits: of this connection.
        is_client: the role of this side.

    Attributes:
        out: what is to be written, in order; `take` empties it.
        streams: those that are not over, by number.
        queued_bytes: over all streams, what waits for a window.
        is_closed: GOAWAY for a fault was sent: nothing more is taken or sent.
        peer_streams_max: streams that the other side lets this one open.
        peer_last_stream: the newest stream that the other side opened.
    """

    def __init__(self, limits: Limits, is_client: bool) -> None:
        self.limits = limits
        self.is_client = is_client
        self.out: list[bytes] = []
        self.streams: dict[int, Stream] = {}
        self.queued_bytes = 0
        self.is_closed = False
        self.peer_streams_max = STREAM_ID_MOST
        self.peer_last_stream = 0
        self._goaway_last = STREAM_ID_MOST
        self._taken_bytes = 0
        self._counted = self._counted_bytes = 0
        self._pong_bytes = 0
        self._next_stream = 1 if is_client else 2
        self._send_window = WINDOW_DEFAULT
        self._peer_window = WINDOW_DEFAULT
        self._early_window = 0
        self._peer_frame_bytes = FRAME_BYTES_DEFAULT
        self._packed_bytes_max = FRAME_BYTES_DEFAULT
        self._table_update = b""
        self._waiting: deque[Stream] = deque()
        self._reset_here: dict[int, None] = {}
        self._buffered = 0
        self._greet()

    def _greet(self) -> None:
        limits = self.limits
        settings = {
            INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
            MAX_HEADER_LIST_SIZE: limits.header_list_bytes_max,
        }
        if self.is_client:
            settings[ENABLE_PUSH] = 0
            self.out.append(PREFACE)
        else:
            settings[MAX_CONCURRENT_STREAMS] = limits.streams_max
        assert limits.stream_window_bytes >= FRAME_BYTES_DEFAULT  # so that one frame always fits
        assert limits.connection_window_bytes >= WINDOW_DEFAULT
        settings[MAX_FRAME_SIZE] = FRAME_BYTES_DEFAULT
        self.out.append(settings_frame(settings))
        self._grant(0, limits.connection_window_bytes - WINDOW_DEFAULT)

    def take(self) -> bytes:
        """All that is to be written, once."""
        out = self.out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self._counted = self._counted_bytes = 0
        self._taken_bytes += len(data)
        return data

    def _said_bytes(self) -> int:
        """All that was sent so far, but for answers to pings."""
        # Counted on from where the last ping was: there may be thousands in one read.
        self._counted_bytes += sum(map(len, self.out[self._counted :]))
        self._counted = len(self.out)
        return self._taken_bytes + self._counted_bytes - self._pong_bytes

    # -- whole calls -------------------------------------------------------------------------------------

    def send_call(self, packer: Packer, head: bytes, message: bytes) -> Stream:
        """Begins a call of one message.

        Args:
            packer: of ``head``, from `request_packer`.
            head: the encoded fields.
            message: uncompressed.
        """
        stream = self._open()
        length = len(message) + 5
        if length <= self._packed_bytes_max and length <= self._send_window:
            self._send_window -= length
            stream.send_window -= length
            stream.is_local_closed = True
            self.out.append(packer(stream.id, message))
        else:
            self.send_headers(stream.id, head, False)
            self.send_message(stream.id, message, is_end=True)
        return stream

    def begin(self, head: bytes) -> Stream:
        """Begins a call whose messages follow."""
        stream = self._open()
        self.send_headers(stream.id, head, False)
        return stream

    def _open(self) -> Stream:
        assert self.is_client and self._next_stream <= STREAM_ID_MOST
        stream = self.keep(self._next_stream)
        self._next_stream += 2
        return stream

    def keep(self, stream_id: int) -> Stream:
        """Makes a stream known. An owner calls it for a call from on_call that it does not answer at once,
        and sets ``is_remote_closed`` then."""
        stream = Stream(stream_id, self._peer_window + self._early_window, self.limits.stream_window_bytes)
        self.streams[stream_id] = stream
        return stream

    def send_reply(
        self, packer: Packer, head: bytes, stream_id: int, message: bytes, trailers: bytes
    ) -> None:
        """Answers a call of one message with one message, uncompressed, and forgets the stream.

        Args:
            packer: of ``head`` and ``trailers``, from `reply_packer`.
        """
        stream = self.streams.get(stream_id)
        length = len(message) + 5
        if (
            length <= self._packed_bytes_max
            and length <= self._send_window
            and (stream is None or (length <= stream.send_window and stream.is_remote_closed))
        ):
            self._send_window -= length
            if stream is not None:
                del self.streams[stream_id]
            self.out.append(packer(stream_id, message))
            return
        if stream is None:
            self.keep(stream_id).is_remote_closed = True
        self.send_headers(stream_id, head, False)
        self.send_message(stream_id, message)
        self.send_trailers(stream_id, trailers)

    # -- pieces of calls ---------------------------------------------------------------------------------

    def send_headers(self, stream_id: int, block: bytes, is_end: bool) -> None:
        """Sends the head of a stream; with ``is_end`` it is all there is. No more for one that is over."""
        stream = self.streams.get(stream_id)
        if stream is not None and not stream.is_local_closed:
            self._emit_headers(stream, block, is_end)

    def send_message(
        self, stream_id: int, message: bytes, is_compressed: bool = False, is_end: bool = False
    ) -> bool:
        """Sends one message.

        Returns:
            False: some of it waits for a window; on_writable tells when it has left. Who sends many
            messages waits until then.
        """
        stream = self.streams.get(stream_id)
        if stream is None or stream.is_local_closed:
            return True
        stream.is_local_closed = is_end
        data = MESSAGE_HEAD.pack(is_compressed, len(message)) + message
        length = len(data)
        if not stream.queue and length <= self._packed_bytes_max:
            if length <= self._send_window and length <= stream.send_window:
                self._emit_data(stream, data, is_end)
                return True
        self._enqueue(stream, data, is_end, False)
        stream.is_told = bool(stream.queue)
        return not stream.is_told

    def send_end(self, stream_id: int) -> None:
        """Ends this side of a stream, after all that was sent."""
        stream = self.streams.get(stream_id)
        if stream is not None and not stream.is_local_closed:
            stream.is_local_closed = True
            self._enqueue(stream, b"", True, False)

    def send_trailers(self, stream_id: int, block: bytes) -> None:
        """Ends this side of a stream with trailers, after all that was sent."""
        stream = self.streams.get(stream_id)
        if stream is None or stream.is_local_closed:
            return
        if stream.queue:
            stream.is_local_closed = True
            self._enqueue(stream, block, True, True)
        else:
            self._emit_headers(stream, block, True)

    def reset(self, stream_id: int, code: int) -> None:
        """Ends a stream at once; what comes of it afterwards is ignored."""
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            self._drop(stream)
        self._remember_reset(stream_id)
        self.out.append(frame(RST_STREAM, 0, stream_id, NUMBER.pack(code)))

    def goaway(self, code: int, text: str = "", last_stream: int | None = None) -> None:
        """Tells that no stream after ``last_stream`` is taken; by default, after the newest there is."""
        last = self.peer_last_stream if last_stream is None else last_stream
        # Never more than was told before (RFC 9113, section 6.8): later calls were made elsewhere since.
        last = self._goaway_last = min(last, self._goaway_last)
        payload = NUMBER.pack(last) + NUMBER.pack(code) + text.encode()[:512]
        self.out.append(frame(GOAWAY, 0, 0, payload))

    def ping(self, payload: bytes) -> None:
        """Asks for a sign of life; on_pong brings the 8 bytes back."""
        assert len(payload) == 8
        self.out.append(frame(PING, 0, 0, payload))

    def _pong(self, payload: bytes) -> None:
        pong = frame(PING, ACK, 0, payload)
        self._pong_bytes += len(pong)
        self.out.append(pong)

    def _grant(self, stream_id: int, size: int) -> None:
        if size > 0:
            self.out.append(UPDATE.pack(UPDATE_WORD, 0, stream_id, size))

    def _remember_reset(self, stream_id: int) -> None:
        self._reset_here[stream_id] = None
        if len(self._reset_here) > RESET_REMEMBERED_MAX:
            del self._reset_here[next(iter(self._reset_here))]

    # -- under flow control ------------------------------------------------------------------------------

    def _emit_headers(self, stream: Stream, block: bytes, is_end: bool) -> None:
        if self._table_update:
            # The other side wants a smaller table than there was: it is told that none is used.
            block, self._table_update = self._table_update + block, b""
            self._note_packed_max()
        self.out.append(headers_frames(stream.id, block, is_end, self._peer_frame_bytes))
        if is_end:
            self._ended(stream)

    def _emit_data(self, stream: Stream, data: bytes | memoryview, is_end: bool) -> None:
        length = len(data)
        self._send_window -= length
        stream.send_window -= length
        head = FRAME_HEAD.pack(length << 8 | DATA, END_STREAM if is_end else 0, stream.id)
        self.out.append(head + data)
        if is_end:
            self._ended(stream)

    def _ended(self, stream: Stream) -> None:
        stream.is_local_closed = True
        if stream.is_remote_closed:
            self.streams.pop(stream.id, None)

    def _note_packed_max(self) -> None:
        """What a message may have to leave in one piece on a new stream."""
        most = min(self._peer_frame_bytes, self._peer_window)
        self._packed_bytes_max = -1 if self._table_update else most

    def _enqueue(self, stream: Stream, data: bytes, is_end: bool, is_headers: bool) -> None:
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.append((memoryview(data), is_end, is_headers))
        if not is_headers:
            self.queued_bytes += len(data)
        if not stream.is_waiting:
            self._pump(stream)

    def _pump(self, stream: Stream, frames_max: int = 1 << 30) -> bool:
        """Sends what the windows allow; True where ``frames_max`` stopped it, or the connection's window."""
        queue = stream.queue
        while queue and not self.is_closed:
            data, is_end, is_headers = queue[0]
            if is_headers:
                queue.popleft()
                self._emit_headers(stream, bytes(data), is_end)
                continue
            size = min(len(data), self._peer_frame_bytes, stream.send_window, self._send_window)
            if size <= 0 and len(data):
                if stream.send_window <= 0:
                    return False
                self._wait(stream)
                return True
            if frames_max <= 0:
                return True
            frames_max -= 1
            self.queued_bytes -= size
            if size == len(data):
                queue.popleft()
                self._emit_data(stream, data, is_end)
            else:
                queue[0] = (data[size:], is_end, is_headers)
                self._emit_data(stream, data[:size], False)
        return False

    def _wait(self, stream: Stream) -> None:
        if not stream.is_waiting:
            stream.is_waiting = True
            self._waiting.append(stream)

    def _pump_waiting(self) -> list[Stream]:
        """The connection has room: each stream that waited for it gets a frame in turn. Returns those whose
        owners are to be told that all has left."""
        drained: list[Stream] = []
        waiting = self._waiting
        while waiting and self._send_window > 0:
            stream = waiting.popleft()
            stream.is_waiting = False
            if self._pump(stream, 1):
                self._wait(stream)
            elif not stream.queue:
                drained.append(stream)
        return drained

    def _drop(self, stream: Stream) -> None:
        """Lets go of what a stream that is over still holds."""
        if stream.queue:
            self.queued_bytes -= sum(len(data) for data, _, is_headers in stream.queue if not is_headers)
            stream.queue.clear()
        if stream.is_waiting:
            stream.is_waiting = False
            self._waiting.remove(stream)
        if stream.partial is not None:
            self._buffered -= len(stream.partial)
            stream.partial = None

"""Our HTTP/2 on its own: the bounds, each by its name, and what windows do to what is sent."""

from __future__ import annotations

import gc
import weakref
from typing import Any, ClassVar

import pytest

from memraft_proto.http2 import frames
from memraft_proto.http2.connection import Connection, Limits, Stream
from memraft_proto.http2.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Code,
    ConnectionFault,
    frame,
    reply_packer,
    request_packer,
    settings_frame,
)
from memraft_proto.http2.headers import encode

REQUEST = encode([(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C")])
RESPONSE = encode([(b":status", b"200")])
OK = encode([(b"grpc-status", b"0")])
PACK = request_packer(REQUEST)
PACK_REPLY = reply_packer(RESPONSE, OK)


class Server(Connection):
    """Answers nothing by itself, and keeps what came."""

    def __init__(self, limits: Limits | None = None, is_client: bool = False) -> None:
        super().__init__(limits if limits is not None else Limits(), is_client)
        self.came: list[tuple[Any, ...]] = []
        self.fault: ConnectionFault | None = None
        self.take()

    def greeted(self, settings: dict[int, int] | None = None) -> Server:
        """After the first exchange."""
        self.receive((b"" if self.is_client else PREFACE) + settings_frame(settings or {}))
        self.tick(1.0)
        self.take()
        return self

    def on_message(self, stream_id: int, message: bytes) -> None:
        self.came.append((stream_id, message))

    def on_reset(self, stream_id: int, code: int) -> None:
        self.came.append((stream_id, Code(code)))

    def on_oversize(self, stream_id: int, size: int) -> None:
        self.came.append((stream_id, "oversize", size))
        super().on_oversize(stream_id, size)

    def on_writable(self, stream_id: int) -> None:
        self.came.append((stream_id, "writable"))

    def on_fault(self, fault: ConnectionFault) -> None:
        self.fault = fault

    def sent(self) -> list[tuple[int, int, int, bytes]]:
        """The frames it has to write: type, flags, stream, payload."""
        data, found, position = self.take(), [], 0
        while position < len(data):
            word, flags, stream_id = frames.FRAME_HEAD.unpack_from(data, position)
            end = position + 9 + (word >> 8)
            found.append((word & 255, flags, stream_id, data[position + 9 : end]))
            position = end
        return found


def head(stream_id: int, flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags, stream_id, REQUEST)


def reset(stream_id: int) -> bytes:
    return frame(RST_STREAM, 0, stream_id, bytes((0, 0, 0, 8)))


def window(stream_id: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, size.to_bytes(4, "big"))


def ended_calmly(server: Server, text: str) -> None:
    """It said that this is too much, and takes no more."""
    assert server.fault is not None and server.is_closed
    assert server.fault.code is Code.ENHANCE_YOUR_CALM
    assert text in server.fault.text
    kind, _, _, payload = server.sent()[-1]
    assert kind == GOAWAY and payload[4:8] == (11).to_bytes(4, "big") and text.encode() in payload
    server.receive(PACK(999, b"m"))
    assert not server.sent()


# -- bounds --------------------------------------------------------------------------------------------


def test_streams_that_are_reset_as_soon_as_they_are_open() -> None:
    server = Server(Limits(resets_max=20, resets_refill=5)).greeted()
    for number in range(20):
        server.receive(head(2 * number + 1) + reset(2 * number + 1))
    assert not server.is_closed
    server.tick(2.0)  # a second gives five back
    for number in range(20, 25):
        server.receive(head(2 * number + 1) + reset(2 * number + 1))
    assert not server.is_closed
    server.receive(head(51) + reset(51))
    ended_calmly(server, "reset before they were answered")


def test_streams_that_are_cancelled_when_they_are_due_are_no_flood() -> None:
    class Patient(Server):
        due: ClassVar[set[int]] = {1, 3}

        def is_due(self, stream: Stream) -> bool:
            return stream.id in self.due

    server = Patient(Limits(resets_max=1)).greeted()
    server.receive(head(1) + head(3) + head(5) + head(7) + reset(1) + reset(3) + reset(5))
    assert not server.is_closed
    server.receive(reset(7))
    ended_calmly(server, "reset before they were answered")
    server = Patient(Limits(resets_max=1)).greeted()
    refusal = frame(RST_STREAM, 0, 1, Code.REFUSED_STREAM.to_bytes(4, "big"))
    server.receive(head(1) + head(3) + reset(3) + refusal)
    assert not server.is_closed  # a reset that is no cancellation counts, due or not
    server.receive(head(5) + reset(5))
    ended_calmly(server, "reset before they were answered")


def test_streams_beyond_those_allowed_are_refused_and_counted() -> None:
    server = Server(Limits(streams_max=2, resets_max=3)).greeted()
    server.receive(head(1) + head(3) + head(5))
    assert server.sent() == [(RST_STREAM, 0, 5, bytes((0, 0, 0, Code.REFUSED_STREAM)))]
    server.receive(PACK(7, b"m"))  # nor by the short way
    assert [each[:3] for each in server.sent()] == [(RST_STREAM, 0, 7)]
    server.receive(head(9) + head(11))
    ended_calmly(server, "reset before they were answered")


def test_settings_without_end() -> None:
    server = Server(Limits(settings_max=5)).greeted()
    server.receive(settings_frame({}) * 4)
    assert [each[:2] for each in server.sent()] == [(SETTINGS, ACK)] * 4
    server.tick(20.0)
    server.receive(settings_frame({}) * 5)
    assert not server.is_closed
    server.receive(settings_frame({}))
    ended_calmly(server, "SETTINGS")


def test_pings_sooner_than_a_period_with_nothing_between() -> None:
    server = Server(Limits(ping_strikes_max=2)).greeted()
    for _ in range(3):
        server.receive(frame(PING, 0, 0, b"12345678"))
    assert server.sent() == [(PING, ACK, 0, b"12345678")] * 3
    server.tick(12.0)
    server.receive(frame(PING, 0, 0, b"12345678") * 3)  # the first of these comes in time
    assert not server.is_closed
    server.receive(frame(PING, 0, 0, b"12345678"))
    ended_calmly(server, "too_many_pings")


def test_pings_with_answers_between_are_no_strikes() -> None:
    """As stock clients probe the line while answers to calls that began long ago come in."""
    server = Server(Limits(ping_strikes_max=2)).greeted()
    server.receive(b"".join(PACK(2 * number + 1, b"m") for number in range(20)))
    for number in range(20):
        server.receive(frame(PING, 0, 0, b"12345678"))
        server.send_reply(PACK_REPLY, RESPONSE, 2 * number + 1, b"m", OK)
        if number % 2:
            server.take()
    assert not server.is_closed
    server.receive(frame(PING, 0, 0, b"12345678") * 4)
    ended_calmly(server, "too_many_pings")


def test_pings_with_calls_between_are_bounded_too() -> None:
    server = Server(Limits(pings_max=10)).greeted()
    for number in range(10):
        server.receive(PACK(2 * number + 1, b"m") + frame(PING, 0, 0, b"12345678"))
    assert not server.is_closed
    server.receive(PACK(21, b"m") + frame(PING, 0, 0, b"12345678"))
    ended_calmly(server, "too_many_pings")


@pytest.mark.parametrize(
    "idle", [frame(DATA, 0, 1), frame(frames.PRIORITY, 0, 3, bytes(5)), frame(0xEE, 0, 0, b"?")]
)
def test_frames_that_bring_nothing(idle: bytes) -> None:
    server = Server(Limits(idle_frames_max=10)).greeted()
    server.receive(head(1) + idle * 10)
    assert not server.is_closed
    server.receive(idle)
    ended_calmly(server, "bring nothing")


def test_heads_of_streams_that_were_reset_here() -> None:
    """They are decoded, for what they do to the table, and dropped."""
    server = Server(Limits(idle_frames_max=20)).greeted()
    server.receive(head(1))
    server.reset(1, Code.CANCEL)
    server.receive(head(1) * 20)
    assert server.fault is None
    server.receive(head(1))
    ended_calmly(server, "HEADERS of streams that are over")


def test_a_frame_of_many_windows_moves_those_of_all_streams_once() -> None:
    class Counting(Server):
        moved = 0

        def _move_windows(self, value: int) -> None:
            self.moved += 1
            super()._move_windows(value)

    server = Counting().greeted({frames.INITIAL_WINDOW_SIZE: 100})
    server.receive(head(1))
    values = (value.to_bytes(4, "big") for value in (*range(2_000), 40))
    server.moved = 0
    server.receive(frame(SETTINGS, 0, 0, b"".join(b"\0\x04" + value for value in values)))
    assert server.fault is None and server.moved == 1
    assert server.streams[1].send_window == 40
    server.receive(settings_frame({frames.INITIAL_WINDOW_SIZE: 40}))
    assert server.moved == 1


def test_continuations() -> None:
    server = Server(Limits(continuations_max=3)).greeted()
    server.receive(head(1, 0) + frame(frames.CONTINUATION, 0, 1) * 3)
    assert not server.is_closed
    server.receive(frame(frames.CONTINUATION, 0, 1))
    ended_calmly(server, "CONTINUATION")
    server = Server(Limits(block_bytes_max=20_000)).greeted()
    server.receive(head(1, 0) + frame(frames.CONTINUATION, 0, 1, bytes(16_384)))
    assert not server.is_closed
    server.receive(frame(frames.CONTINUATION, 0, 1, bytes(16_384)))
    ended_calmly(server, "20000 bytes")


def test_no_frame_comes_between_those_of_a_block() -> None:
    server = Server().greeted()
    server.receive(PACK(1, b"m"))  # from now on the short way knows this head
    server.receive(head(3, 0) + PACK(5, b"m"))
    assert server.fault is not None and server.fault.code is Code.PROTOCOL_ERROR


def test_a_message_over_the_limit_is_told_before_it_has_come() -> None:
    server = Server(Limits(message_bytes_max=1_000)).greeted()
    server.receive(PACK(1, bytes(1_000)) + PACK(3, bytes(1_001)) + PACK(5, b"m"))
    assert server.came == [(1, bytes(1_000)), (3, "oversize", 1_001), (3, Code.CANCEL), (5, b"m")]
    server.receive(head(7) + frame(DATA, 0, 7, b"\0" + (1 << 31).to_bytes(4, "big")))
    assert server.came[4] == (7, "oversize", 1 << 31)
    server.receive(frame(DATA, END_STREAM, 7, b"more that was under way"))
    assert not server.is_closed and server._buffered == 0


def test_messages_that_come_in_part_are_bounded_together() -> None:
    server = Server(Limits(buffered_bytes_max=30_000)).greeted()
    begin = b"\0" + (50_000).to_bytes(4, "big") + bytes(9_995)
    for stream_id in (1, 3, 5):
        server.receive(head(stream_id) + frame(DATA, 0, stream_id, begin))
    assert not server.came and server._buffered == 30_000
    server.receive(head(7) + frame(DATA, 0, 7, begin))
    assert server.came == [(7, Code.ENHANCE_YOUR_CALM)] and server._buffered == 30_000
    server.receive(reset(1) + head(9) + frame(DATA, 0, 9, begin))
    assert server.came[1:] == [(1, Code.CANCEL)] and server._buffered == 30_000


# -- windows -------------------------------------------------------------------------------------------


def test_streams_that_wait_for_the_connection_get_it_in_turn() -> None:
    server = Server().greeted({frames.INITIAL_WINDOW_SIZE: 1 << 20})
    server.receive(PACK(1, b"m") + PACK(3, b"m"))
    for stream_id in (1, 3):
        server.send_headers(stream_id, RESPONSE, False)
        assert not server.send_message(stream_id, bytes(200_000))
    server.take()
    server.receive(window(0, 4 * 16_384))
    assert [each[2] for each in server.sent()] == [1, 3, 1, 3]
    server.receive(window(0, 1 << 20))
    assert server.came[2:] in ([(1, "writable"), (3, "writable")], [(3, "writable"), (1, "writable")])
    assert server.queued_bytes == 0


def test_a_window_that_is_taken_back_is_waited_for() -> None:
    server = Server().greeted({frames.INITIAL_WINDOW_SIZE: 100})
    server.receive(PACK(1, b"m"))
    server.send_headers(1, RESPONSE, False)
    assert not server.send_message(1, bytes(200))
    server.send_trailers(1, OK)
    server.take()
    server.receive(settings_frame({frames.INITIAL_WINDOW_SIZE: 50}))  # now it is 50 below 0
    server.receive(window(1, 50))
    assert [each[:2] for each in server.sent()] == [(SETTINGS, ACK)]
    server.receive(window(1, 104))
    assert [(kind, len(payload)) for kind, _, _, payload in server.sent()] == [(DATA, 104)]
    server.receive(window(1, 1))
    assert [each[0] for each in server.sent()] == [DATA, HEADERS]
    assert not server.streams


def test_a_stream_that_is_dropped_gives_back_what_it_held() -> None:
    server = Server().greeted({frames.INITIAL_WINDOW_SIZE: 1 << 20})
    server.receive(PACK(1, b"m") + PACK(3, b"m"))
    for stream_id in (1, 3):
        server.send_message(stream_id, bytes(100_000))
    assert server.queued_bytes == 2 * 100_005 - 65_535
    server.receive(reset(3))
    server.reset(1, Code.CANCEL)
    assert server.queued_bytes == 0 and not server._waiting


def test_a_reply_that_does_not_fit_takes_the_long_way() -> None:
    server = Server().greeted({frames.INITIAL_WINDOW_SIZE: 10})
    server.receive(PACK(1, b"m"))
    server.send_reply(PACK_REPLY, RESPONSE, 1, b"0123456789", OK)
    assert [(kind, payload) for kind, _, _, payload in server.sent()] == [
        (HEADERS, RESPONSE),
        (DATA, b"\0\0\0\0\x0a01234"),
    ]
    server.receive(window(1, 100))
    assert [(kind, payload) for kind, _, _, payload in server.sent()] == [(DATA, b"56789"), (HEADERS, OK)]
    assert not server.streams


@pytest.mark.parametrize("size", [0, 6, (1 << 31) - 1])
def test_a_window_that_is_opened_before_the_message_counts(size: int) -> None:
    server = Server().greeted({frames.INITIAL_WINDOW_SIZE: 10})
    server.receive(PACK(1, b"m"))
    server.reset(1, Code.CANCEL)
    server.take()
    call = PACK(3, b"m")
    cut = 9 + len(REQUEST)
    server.receive(call[:cut] + window(3, size) + call[cut:])
    if size != 6:  # by 0, or beyond 2^31-1
        assert [each[:3] for each in server.sent()] == [(RST_STREAM, 0, 3)]
        return
    server.send_reply(PACK_REPLY, RESPONSE, 3, b"0123456789", OK)
    assert [(kind, payload) for kind, _, _, payload in server.sent()] == [
        (HEADERS, RESPONSE),
        (DATA, b"\0\0\0\0\x0a0123456789"),
        (HEADERS, OK),
    ]


def test_a_smaller_table_is_acknowledged_in_the_next_block() -> None:
    server = Server().greeted({frames.HEADER_TABLE_SIZE: 0})
    for stream_id, expected in ((1, b"\x20" + RESPONSE), (3, RESPONSE)):
        server.receive(PACK(stream_id, b"m"))
        server.send_reply(PACK_REPLY, RESPONSE, stream_id, b"m", OK)
        assert server.sent()[0] == (HEADERS, END_HEADERS, stream_id, expected)


def test_a_paused_stream_holds_back_its_window_alone() -> None:
    server = Server(Limits(stream_window_bytes=16_384, connection_window_bytes=65_535)).greeted()
    server.receive(head(1))
    server.pause(1)
    for _ in range(3):
        server.receive(frame(DATA, 0, 1, b"\0\0\0\x13\x83" + bytes(4_995)))
    assert len(server.came) == 3 and not server.sent()
    server.resume(1)
    assert server.sent() == [(WINDOW_UPDATE, 0, 1, (15_000).to_bytes(4, "big"))]


# -- the end -------------------------------------------------------------------------------------------


def test_calls_after_the_last_are_ignored_and_their_data_too() -> None:
    server = Server().greeted()
    server.receive(PACK(1, b"m"))
    server.goaway(Code.NO_ERROR)
    server.refuse_calls()
    server.receive(PACK(3, b"late") + head(5) + frame(DATA, END_STREAM, 5, b"\0\0\0\0\0"))
    assert server.came == [(1, b"m")] and not server.is_closed
    assert [each[0] for each in server.sent()] == [GOAWAY]


def test_the_last_call_that_was_taken_stays_so() -> None:
    """Calls that came after it were ignored; a second farewell must not make them look taken."""
    server = Server().greeted()
    server.receive(head(1))
    server.goaway(Code.NO_ERROR)
    server.refuse_calls()
    server.receive(head(3))
    server.goaway(Code.NO_ERROR)
    assert [payload[:4] for _, _, _, payload in server.sent()] == [(1).to_bytes(4, "big")] * 2


def test_a_client_learns_which_calls_were_not_taken() -> None:
    client = Server(is_client=True).greeted()
    streams = [client.send_call(PACK, REQUEST, b"m").id for _ in range(3)]
    assert streams == [1, 3, 5]
    client.receive(frame(GOAWAY, 0, 0, (1).to_bytes(4, "big") + bytes(4) + b"bye"))
    assert client.came == [(3, Code.REFUSED_STREAM), (5, Code.REFUSED_STREAM)]
    assert list(client.streams) == [1]
    client.receive(PACK_REPLY(1, b"answer"))
    assert client.came[2:] == [(1, b"answer")] and not client.streams


def test_what_is_not_http2_is_a_fault_at_once() -> None:
    server = Server()
    server.receive(b"GET / HTTP/1.1\r\n")
    assert server.fault is not None and "not HTTP/2" in server.fault.text


def test_a_connection_that_is_over_is_freed_at_once() -> None:
    server = Server().greeted()
    server.receive(PACK(1, b"m") + PACK(3, b"m"))
    gone = weakref.ref(server)
    gc.disable()
    try:
        del server
        assert gone() is None
    finally:
        gc.enable()

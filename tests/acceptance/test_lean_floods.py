"""Clients that want to harm the lean engine: each is told to go, with the right code; others are served
meanwhile, and what a connection holds stays within its bounds."""

from __future__ import annotations

import resource
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import grpc
import pytest

from memraft_proto.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Code,
    frame,
    settings_frame,
)
from memraft_proto.http2.headers import encode
from memraft_proto.methods import METHODS
from memraft_proto.v1 import common_pb2, kv_pb2
from memraft_server.rpc.lean import protocol
from memraft_server.rpc.lean.protocol import LeanConnection
from tests.interop.callers import Caller, Failed
from tests.interop.serving import HOST, WAIT_S, Serving, eventually
from tests.properties.http2_wire import Frame, framed, frames_of

NAMESPACE = "acme/support"
PUT = kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"1")
AHEAD = kv_pb2.GetRequest(namespace=NAMESPACE, key="k", context=common_pb2.ReadContext(min_index=1 << 40))
"""Waits until the test lets it go."""
MESSAGE = framed(AHEAD.SerializeToString())
GET = encode(
    [
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", METHODS["Get"].path.encode()),
        (b"te", b"trailers"), (b"content-type", b"application/grpc"),
    ]
)  # fmt: skip
CALLS_MAX = 200
QUEUED_BYTES_MAX = 1 << 20
READ_BYTES_MAX = 256 << 10
"""What asyncio reads at once."""
ROUNDS_MAX = 400
FLOOD_BYTES_MAX = 64 << 20


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with Serving("lean", None, concurrent_calls_max=CALLS_MAX) as server:
        yield server


@pytest.fixture(scope="module")
def others(serving: Serving) -> Iterator[Caller]:
    """Somebody who means no harm."""
    with Caller("sync", serving) as caller:
        yield caller


class Attacker:
    """A client on a socket that says what it likes, and reads what it is told only now and then."""

    def __init__(self, serving: Serving, settings: dict[int, int] | None = None) -> None:
        self.socket = socket.create_connection((HOST, serving.server.port), timeout=WAIT_S)
        self.socket.sendall(PREFACE + settings_frame(settings or {}))
        self.socket.setblocking(False)
        self.is_closed = False
        self._received = bytearray()

    def say(self, data: bytes) -> None:
        """Sends until all is sent or the server has closed; reads meanwhile."""
        view = memoryview(data)
        while len(view) and not self.is_closed:
            select.select([self.socket], [self.socket], [], WAIT_S)
            self.hear()
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                self.is_closed = True

    def hear(self) -> None:
        """Reads what is there."""
        try:
            while data := self.socket.recv(1 << 20):
                self._received += data
            self.is_closed = True
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.is_closed = True

    def frames(self) -> list[Frame]:
        """What it was told so far, in whole frames."""
        whole = 0
        while len(self._received) >= whole + 9:
            size = 9 + int.from_bytes(self._received[whole : whole + 3], "big")
            if len(self._received) < whole + size:
                break
            whole += size
        return list(frames_of(bytes(self._received[:whole])))

    def code(self) -> int:
        """The code it was sent away with."""

        def is_told() -> bool:
            self.hear()
            return any(kind == GOAWAY for kind, *_ in self.frames()) or self.is_closed

        eventually(is_told, "it is told to go")
        (code,) = [
            int.from_bytes(payload[4:8], "big") for kind, *_, payload in self.frames() if kind == GOAWAY
        ]
        return code


def held(serving: Serving) -> list[LeanConnection]:
    """The connections, after a look at what they hold."""
    found = list(serving.server.connections)
    for each in found:
        assert len(each.streams) <= each.limits.streams_max
        assert each.queued_bytes <= QUEUED_BYTES_MAX
        assert each._buffered <= each.limits.buffered_bytes_max
        assert len(each._tail) <= 9 + 16_384 + READ_BYTES_MAX
        assert each._block is None or len(each._block) <= each.limits.block_bytes_max + 16_384
        transport = each._transport
        assert transport is None or transport.get_write_buffer_size() <= 2 * protocol.WRITE_BUFFER_BYTES
        assert sum(map(len, each.out)) <= protocol.WRITE_BUFFER_BYTES
    assert serving.server.running <= CALLS_MAX
    return found


def call(stream_id: int, flags: int = END_STREAM) -> bytes:
    """A whole call, which waits."""
    return frame(HEADERS, END_HEADERS, stream_id, GET) + frame(DATA, flags, stream_id, MESSAGE)


def reset(stream_id: int) -> bytes:
    return frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08")


def window(stream_id: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, size.to_bytes(4, "big"))


def bomb() -> bytes:
    """Fields that a block of 4 KB puts into the table, to be referred to with a byte each."""
    name, value = b"x" * 100, b"v" * 3_900
    return b"\x40" + b"\x64" + name + b"\x7f" + _rest(len(value) - 127) + value + b"\xbe" * 500


def _rest(value: int) -> bytes:
    """What follows the prefix of an integer of HPACK."""
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _rest(value >> 7)


Flood = Callable[[int], bytes]
"""Number of the round, from 0 -> what is sent in it."""
MANY = 100
"""Frames of a round."""


def ids(turn: int) -> range:
    """The streams of a round."""
    return range(2 * MANY * turn + 1, 2 * MANY * (turn + 1), 2)


def each_stream(*makers: Callable[[int], bytes]) -> Flood:
    return lambda turn: b"".join(make(stream_id) for stream_id in ids(turn) for make in makers)


BAD_TRAILERS = encode([(b"x-a", b"b")])
FLOODS: dict[str, tuple[Code, Flood]] = {
    "rapid reset, of calls that wait": (Code.ENHANCE_YOUR_CALM, each_stream(call, reset)),
    "rapid reset, of calls that have not come whole": (
        Code.ENHANCE_YOUR_CALM, each_stream(lambda each: frame(HEADERS, END_HEADERS, each, GET), reset),
    ),
    "resets that ours is made to send, by WINDOW_UPDATE of 0": (
        Code.ENHANCE_YOUR_CALM, each_stream(call, lambda each: window(each, 0)),
    ),
    "resets that ours is made to send, by DATA after the end": (
        Code.ENHANCE_YOUR_CALM, each_stream(call, lambda each: frame(DATA, 0, each, b"x")),
    ),
    "resets that ours is made to send, by HEADERS after the end": (
        Code.ENHANCE_YOUR_CALM, each_stream(call, lambda each: frame(HEADERS, 5, each, BAD_TRAILERS)),
    ),
    "resets that ours is made to send, by what is no message": (
        Code.ENHANCE_YOUR_CALM,
        each_stream(lambda each: frame(HEADERS, 4, each, GET) + frame(DATA, 0, each, b"\xff" * 10)),
    ),
    "heads that are malformed": (
        Code.ENHANCE_YOUR_CALM, each_stream(lambda each: frame(HEADERS, 5, each, BAD_TRAILERS)),
    ),
    "SETTINGS": (Code.ENHANCE_YOUR_CALM, lambda _: settings_frame({INITIAL_WINDOW_SIZE: 1_000}) * MANY),
    "SETTINGS of many settings": (Code.ENHANCE_YOUR_CALM, lambda _: frame(SETTINGS, 0, 0, bytes(6 * 2_000))),
    "PING": (Code.ENHANCE_YOUR_CALM, lambda _: frame(PING, 0, 0, bytes(8)) * MANY),
    "empty DATA": (
        Code.ENHANCE_YOUR_CALM,
        lambda turn: (b"" if turn else frame(HEADERS, 4, 1, GET)) + frame(DATA, 0, 1) * MANY,
    ),
    "DATA of nothing but padding": (
        Code.ENHANCE_YOUR_CALM,
        lambda turn: (b"" if turn else frame(HEADERS, 4, 1, GET)) + frame(DATA, 8, 1, b"\x01\0") * MANY,
    ),
    "PRIORITY": (Code.ENHANCE_YOUR_CALM, lambda _: frame(PRIORITY, 0, 1, b"\0\0\0\x03\0") * MANY),
    "frames that nobody knows": (Code.ENHANCE_YOUR_CALM, lambda _: frame(0xBE, 0, 0, b"x" * 100) * MANY),
    "empty CONTINUATION": (
        Code.ENHANCE_YOUR_CALM,
        lambda turn: (b"" if turn else frame(HEADERS, 0, 1, GET)) + frame(CONTINUATION, 0, 1) * MANY,
    ),
    "CONTINUATION of 16 KiB": (
        Code.ENHANCE_YOUR_CALM,
        lambda turn: (b"" if turn else frame(HEADERS, 0, 1, GET)) + frame(CONTINUATION, 0, 1, bytes(16_384)),
    ),
    "a small block that says a lot": (
        Code.ENHANCE_YOUR_CALM, each_stream(lambda each: frame(HEADERS, 5, each, GET + bomb())),
    ),
    "a large block": (
        Code.ENHANCE_YOUR_CALM,
        lambda _: frame(HEADERS, 0, 1, GET) + frame(CONTINUATION, 4, 1, encode([(b"x-a", b"v" * 16_300)]))
    ),
    "a window that is too wide": (Code.FLOW_CONTROL_ERROR, lambda _: window(0, (1 << 31) - 1)),
    "a window that grows by nothing": (Code.PROTOCOL_ERROR, lambda _: window(0, 0)),
    "a stream again": (Code.STREAM_CLOSED, lambda _: call(1) + reset(1) + call(1)),
    "streams that go down": (Code.STREAM_CLOSED, lambda turn: call(9_999 - 2 * turn)),
}  # fmt: skip


@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_ends_its_connection_and_harms_no_other(serving: Serving, others: Caller, what: str) -> None:
    code, flood = FLOODS[what]
    attacker = Attacker(serving)
    sent = turn = 0
    try:
        while not attacker.is_closed and turn < ROUNDS_MAX and sent < FLOOD_BYTES_MAX:
            data = flood(turn)
            attacker.say(data)
            sent, turn = sent + len(data), turn + 1
            held(serving)
            if turn % 4 == 1:
                others.call("Put", PUT)  # meanwhile
        assert attacker.code() == code
    finally:
        attacker.socket.close()
    eventually(lambda: len(held(serving)) == 1, "nothing is left but the other client")
    eventually(lambda: serving.server.running == 0, "its calls were given up")
    others.call("Put", PUT)


def test_one_who_takes_all_calls_that_there_may_be_ends_with_its_connection(serving: Serving) -> None:
    """So many calls may wait in all; further ones are told so at once."""
    with Caller("sync", serving) as caller:
        caller.call("Put", PUT)
        attacker = Attacker(serving)
        try:
            attacker.say(b"".join(call(stream_id) for stream_id in range(1, 2 * CALLS_MAX, 2)))
            eventually(lambda: serving.server.running == CALLS_MAX, "all wait")
            with pytest.raises(Failed) as caught:
                caller.call("Put", PUT)
            assert (caught.value.code, caught.value.reason) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "OVERLOADED",
            )
            assert "concurrent_calls_max" in caught.value.message
            held(serving)
        finally:
            attacker.socket.close()
        eventually(lambda: serving.server.running == 0, "its calls were given up")
        caller.call("Put", PUT)


def test_streams_beyond_those_that_may_be_open_are_refused_and_counted(serving: Serving) -> None:
    attacker = Attacker(serving)
    turn = 0
    try:
        while not attacker.is_closed and turn < ROUNDS_MAX:  # heads alone: no call begins
            attacker.say(b"".join(frame(HEADERS, END_HEADERS, each, GET) for each in ids(turn)))
            turn += 1
            held(serving)
        assert attacker.code() == Code.ENHANCE_YOUR_CALM
        refused = {payload[3] for kind, *_, payload in attacker.frames() if kind == RST_STREAM}
        assert refused == {Code.REFUSED_STREAM}
    finally:
        attacker.socket.close()


def test_answers_that_nobody_reads_stop_the_questions(serving: Serving, others: Caller) -> None:
    """Pings by one who does not read: at some time nothing more is taken from it."""
    others.call("Put", PUT)  # they are connected by now
    attacker = Attacker(serving)
    try:
        eventually(lambda: len(held(serving)) == 2, "it is there")
        (connection,) = [each for each in held(serving) if not each.peer_last_stream]
        connection.limits = type(connection.limits)(pings_max=1 << 40, ping_strikes_max=1 << 40)
        attacker.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        ping = frame(PING, 0, 0, bytes(8)) * 10_000
        view, sent = memoryview(ping), 0
        while connection._writable is None and sent < FLOOD_BYTES_MAX:
            _, writable, _ = select.select([], [attacker.socket], [], 0.05)
            if writable:
                rest = attacker.socket.send(view)
                view, sent = view[rest:] or memoryview(ping), sent + rest
            held(serving)
        assert connection._writable is not None
        others.call("Put", PUT)
    finally:
        attacker.socket.close()
    eventually(lambda: len(held(serving)) == 1, "it is gone")


HALVES = {
    "half a preface": PREFACE[:10],
    "a preface": PREFACE,
    "half of SETTINGS": PREFACE + settings_frame({1: 2})[:11],
    "half a block of header fields": PREFACE + settings_frame({}) + frame(HEADERS, 0, 1, GET),
    "half a head": PREFACE + settings_frame({}) + frame(HEADERS, END_HEADERS, 1, GET)[:20],
    "a head": PREFACE + settings_frame({}) + frame(HEADERS, END_HEADERS, 1, GET),
    "half a message": PREFACE + settings_frame({}) + call(1)[:-3],
    "a message without an end": PREFACE + settings_frame({}) + call(1, flags=0),
}


@pytest.mark.parametrize("what", HALVES)
def test_clients_that_stop_in_the_middle_hold_nobody_up(serving: Serving, others: Caller, what: str) -> None:
    with ExitStack() as stack:
        for _ in range(50):
            slow = stack.enter_context(socket.create_connection((HOST, serving.server.port), timeout=WAIT_S))
            slow.sendall(HALVES[what])
        eventually(lambda: len(held(serving)) == 51, "all are there")
        for _ in range(20):
            others.call("Put", PUT)
        assert serving.server.running == 0
        on_loop(
            serving, lambda: let_time_pass(serving, protocol.KEEPALIVE_S + protocol.KEEPALIVE_ANSWER_S + 2)
        )
        eventually(lambda: len(held(serving)) <= 1, "those who say no more are closed")
    others.call("Put", PUT)


def test_one_who_drips_its_greeting_is_closed(serving: Serving) -> None:
    with socket.create_connection((HOST, serving.server.port), timeout=WAIT_S) as slow:
        slow.sendall(PREFACE[:1])
        eventually(lambda: any(each._preface == PREFACE[1:] for each in held(serving)), "it is there")
        (connection,) = [each for each in held(serving) if each._preface == PREFACE[1:]]
        for _ in range(protocol.GREETING_S + 2):
            on_loop(serving, lambda: (setattr(connection, "_is_heard", True), connection.watch(1.0)))
        eventually(lambda: connection not in held(serving), "it had its time")


def test_idle_connections_cost_little_and_all_are_served(others: Caller, serving: Serving) -> None:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(2_000, (most - 200) // 2)
    with ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection((HOST, serving.server.port), timeout=WAIT_S))
            for _ in range(count)
        ]
        for each in idle:
            each.sendall(PREFACE + settings_frame({}))
        eventually(lambda: len(serving.server.connections) == count + 1, "all are there")
        others.call("Put", PUT)
        for each in (idle[0], idle[count // 2], idle[-1]):
            each.sendall(frame(PING, 0, 0, b"8 bytes!"))
            received = bytearray()
            while b"8 bytes!" not in received:
                received += each.recv(1 << 16)
        held(serving)
    eventually(lambda: len(serving.server.connections) == 1, "all have left")


def let_time_pass(serving: Serving, seconds: int) -> None:
    """So many looks at each connection but those of the other client, which answers its pings too late for a
    clock that leaps."""
    for connection in list(serving.server.connections):
        if connection.peer_last_stream < 3:
            for _ in range(seconds):
                connection.watch(1.0)


def on_loop(serving: Serving, work: Callable[[], object]) -> None:
    """Does ``work`` on the server's loop."""

    async def do() -> None:
        work()

    serving.run(do())

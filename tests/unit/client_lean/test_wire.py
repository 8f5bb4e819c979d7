"""A connection of the lean client without a socket: any bytes, in any pieces, and each call ends once."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from memraft._lean import calls
from memraft._lean.calls import Head, LeanRpcError
from memraft._lean.tls import Security
from memraft._lean.wire import Pending, Wire
from memraft_proto.http2.connection import Connection, Limits
from memraft_proto.http2.frames import Code, frame
from memraft_proto.http2.headers import encode
from tests.unit.client_lean.servers import HEAD, OK, OPTIONS

MADE = Head("/s/Echo", "n1:1", False).made(2.5)
REFUSED = encode(((b":status", b"200"), (b"grpc-status", b"7"), (b"grpc-message", b"no")))

ANSWERS = ("whole", "refused", "reset", "two messages", "no end", "silent")


class Told(Pending):
    """A call, and how often it was told that it is over."""

    def __init__(self, is_unary: bool) -> None:
        super().__init__()
        self.is_unary = is_unary  # type: ignore[misc]
        self.messages: list[bytes] = []
        self.ends: list[LeanRpcError | None] = []

    def came(self, message: bytes) -> None:
        super().came(message)
        self.messages.append(message)

    def ended(self, error: LeanRpcError | None) -> None:
        self.ends.append(error)

    def seen(self) -> tuple[list[bytes], list[str]]:
        """All that the caller has been told."""
        return self.messages, [str(error) for error in self.ends]


class Server(Connection):
    """The other side."""

    def __init__(self) -> None:
        super().__init__(Limits(), False)
        self.asked: list[tuple[int, bytes]] = []

    def on_message(self, stream_id: int, message: bytes) -> None:
        self.asked.append((stream_id, message))

    def answer(self, stream_id: int, kind: str, message: bytes) -> None:
        if kind == "refused":
            self.send_headers(stream_id, REFUSED, True)
        elif kind == "reset":
            self.reset(stream_id, Code.INTERNAL_ERROR)
        elif kind != "silent":
            self.send_headers(stream_id, HEAD, False)
            for _ in range(2 if kind == "two messages" else 1):
                self.send_message(stream_id, message)
            if kind != "no end":
                self.send_trailers(stream_id, OK)


calls_made = st.lists(
    st.tuples(st.sampled_from(ANSWERS), st.booleans(), st.binary(max_size=40) | st.just(bytes(70_000))),
    max_size=12,
)


def played(made: list[tuple[str, bool, bytes]]) -> tuple[Wire, list[Told], bytes]:
    """A connection with calls under way, and what the server has to say to them, its settings first."""
    wire, server = Wire(OPTIONS, "n1:1", Security(None)), Server()
    wire.start_up()
    told = [Told(is_unary) for _, is_unary, _ in made]
    server.receive(wire.to_send())
    said = server.take()
    wire.opening(said)
    for pending, (_, _, message) in zip(told, made, strict=True):
        wire.begin_call(pending, MADE, message, float("inf"))
    for _ in range(4):  # until windows let out the last of the requests
        server.receive(wire.to_send())
        wire.received(server.take() or frame(0x63, 0, 0), 1.0)  # of an unknown type: nothing, but not the end
    wire.has_sent()
    assert [message for _, message in sorted(server.asked)] == [message for _, _, message in made]
    for (stream_id, message), (kind, _, _) in zip(sorted(server.asked), made, strict=True):
        server.answer(stream_id, kind, message)
    return wire, told, server.take()


def fed(wire: Wire, data: bytes, cuts: list[int]) -> None:
    """Gives a connection data in pieces, as its owner does."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, stop in pairwise(places):
        wire.received(data[start:stop], 1.0)


@given(calls_made, st.lists(st.integers(min_value=0), max_size=20))
def test_pieces_change_nothing(made: list[tuple[str, bool, bytes]], cuts: list[int]) -> None:
    whole, told_whole, data = played(made)
    cut, told_cut, same = played(made)
    assert data == same
    fed(whole, data, [])
    fed(cut, data, cuts)
    assert [each.seen() for each in told_whole] == [each.seen() for each in told_cut]
    assert whole.fault is None and cut.fault is None
    for (kind, is_unary, message), each in zip(made, told_whole, strict=True):
        if kind == "whole":
            assert each.seen() == ([message], ["None"])
        elif kind == "two messages" and not is_unary:
            assert each.seen() == ([message, message], ["None"])
        elif kind in ("silent", "no end"):
            assert each.ends == []
        else:
            assert [type(error) for error in each.ends] == [LeanRpcError]


@given(
    calls_made,
    st.lists(st.tuples(st.integers(min_value=0), st.integers(0, 255)), max_size=8),
    st.lists(st.integers(min_value=0), max_size=6),
)
def test_damaged_bytes_end_calls_and_nothing_else(
    made: list[tuple[str, bool, bytes]], damages: list[tuple[int, int]], cuts: list[int]
) -> None:
    wire, told, data = played(made)
    damaged = bytearray(data)
    for place, value in damages:
        if damaged:
            damaged[place % len(damaged)] = value
    fed(wire, bytes(damaged), cuts)
    if wire.fault is not None:
        assert "broke the protocol" in wire.fault.details()
    wire.to_send()
    wire.fail_all(calls.lost("it is over"))
    assert not wire.pending
    assert all(len(each.ends) == 1 for each in told)

"""What the lean engine makes of times, statuses and failures, without a network."""

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memraft._lean import calls
from memraft._lean.calls import Head, LeanRpcError, Reconnects, grpc_timeout, interpret
from memraft_proto.http2.frames import DATA_HEAD
from memraft_proto.http2.headers import HeaderDecoder
from tests.unit.client_lean.servers import OPTIONS

WEEK_S = 7 * 24 * 3600.0


def seconds(value: bytes) -> float:
    """What a `grpc-timeout` says."""
    number, unit = value[:-1], value[-1:]
    assert number.isdigit() and len(number) <= 8
    return int(number) * {b"m": 1e-3, b"S": 1.0}[unit]


@given(st.floats(min_value=1e-9, max_value=WEEK_S))
def test_a_timeout_on_the_wire_is_never_less_and_hardly_more(timeout_s: float) -> None:
    told_s = seconds(grpc_timeout(timeout_s))
    assert told_s >= timeout_s
    assert told_s <= timeout_s * 17 / 16 + 0.002 + (1.0 if told_s > 99_999 else 0.0)


def test_timeouts_on_the_wire_are_few() -> None:
    told = {grpc_timeout(timeout_ms / 1_000) for timeout_ms in range(1, 60_001)}
    assert len(told) <= 16 * 16
    assert grpc_timeout(2.5) in told


def test_a_head_says_all_that_grpc_wants_and_the_time_that_is_left() -> None:
    head = Head("/memraft.v1.KvService/Get", "10.0.0.1:7400", True)
    decoder = HeaderDecoder(1 << 14, True, dict)
    for timeout_s, told in ((None, None), (2.5, b"2560m"), (0.1, b"100m"), (2.5, b"2560m")):
        packer, block = head.made(timeout_s)
        fields = decoder.decode(block).head
        assert fields[b":method"] == b"POST"
        assert fields[b":scheme"] == b"https"
        assert fields[b":path"] == b"/memraft.v1.KvService/Get"
        assert fields[b":authority"] == b"10.0.0.1:7400"
        assert fields[b"te"] == b"trailers"
        assert fields[b"content-type"] == b"application/grpc"
        assert fields.get(b"grpc-timeout") == told
        assert head.made(timeout_s)[1] is block
        packed = packer(7, b"request")
        assert packed[9:].startswith(block)
        assert packed[9 + len(block) :] == DATA_HEAD.pack(12 << 8, 1, 7, 0, 7) + b"request"


def test_a_status_without_much_is_read() -> None:
    head = interpret(((b":status", b"200"), (b"content-type", b"application/grpc+proto")))
    assert not head.has_status
    only = interpret(((b":status", b"200"), (b"grpc-status", b"5"), (b"x-bin", b"AP8"), (b"y-bin", b"!")))
    assert only.has_status
    assert only.code is grpc.StatusCode.NOT_FOUND
    assert only.metadata == (("x-bin", b"\x00\xff"), ("y-bin", b""))
    assert interpret(((b"grpc-status", b"0"),)).code is None


def test_a_node_that_cannot_be_reached_is_tried_seldom_and_then_at_once_again() -> None:
    now_s = 100.0
    reconnects = Reconnects(OPTIONS, lambda: 0.5, lambda: now_s)
    reconnects.check()
    waits: list[float] = []
    for _ in range(6):
        reconnects.failed(calls.not_connected("n1:1", "refused"))
        began_s = now_s
        with pytest.raises(LeanRpcError, match="refused"):
            reconnects.check()
        while True:
            now_s += 0.001
            try:
                reconnects.check()
                break
            except LeanRpcError:
                continue
        waits.append(now_s - began_s)
    assert waits == pytest.approx([0.1, 0.16, 0.256, 0.4096, 0.5, 0.5], abs=0.002)
    reconnects.succeeded()
    reconnects.check()


@pytest.mark.parametrize(
    "error", [calls.lost(ConnectionResetError()), calls.not_connected("n1:1", OSError())]
)
def test_an_error_without_words_has_its_name(error: LeanRpcError) -> None:
    assert "Error" in error.details()
    assert error.debug_error_string() == f"UNAVAILABLE: {error.details()}"

"""Header blocks: what is cached stays right, and what ours encodes any decoder reads."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hpack import Decoder, Encoder
from hypothesis import given

from memraft_proto.http2.frames import Code, ConnectionFault
from memraft_proto.http2.headers import CACHED_BLOCKS_MAX, Fields, HeaderDecoder, encode

REQUEST: Fields = (
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":path", b"/memraft.v1.KvService/Get"),
    (b"te", b"trailers"),
)


def decoder(list_bytes_max: int = 16_384, is_server: bool = True) -> HeaderDecoder:
    return HeaderDecoder(list_bytes_max, is_server, lambda fields: fields)


@given(
    st.lists(st.tuples(st.sampled_from([b":path", b"te", b"x-y", b"grpc-timeout"]), st.binary(max_size=300)))
)
def test_what_is_encoded_any_decoder_reads_at_any_time(fields: list[tuple[bytes, bytes]]) -> None:
    block = encode(fields)
    theirs = Decoder()
    for _ in range(2):  # it leaves the table alone, so that it means the same again
        assert [tuple(each) for each in theirs.decode(block, raw=True)] == fields
    assert not theirs.header_table.dynamic_entries


def test_a_block_is_looked_at_once() -> None:
    seen: list[Fields] = []

    def interpret(fields: Fields) -> int:
        seen.append(fields)
        return len(seen)

    ours = HeaderDecoder(16_384, True, interpret)
    block = encode(REQUEST)
    assert [ours.decode(block).head for _ in range(3)] == [1, 1, 1]
    assert ours.ready == {block: 1}
    assert seen == [REQUEST]


def test_a_block_that_refers_to_the_table_is_forgotten_when_the_table_moves() -> None:
    ours, theirs = decoder(), Encoder()
    constant = encode(REQUEST)
    ours.decode(constant)
    path = (b":path", b"/a/B")
    ours.decode(theirs.encode([*REQUEST[:2], path, (b"x-a", b"1")]))  # puts x-a: 1 into the table
    by_index = theirs.encode([*REQUEST[:2], path, (b"x-a", b"1")])
    assert ours.decode(by_index).fields[-1] == (b"x-a", b"1")
    assert set(ours.ready) == {constant, by_index}
    ours.decode(theirs.encode([*REQUEST[:2], path, (b"x-a", b"2")]))  # moves it by one
    assert set(ours.ready) == {constant}
    assert ours.decode(by_index).fields[-1] == (b"x-a", b"2")


@pytest.mark.parametrize("sizes", [(0,), (0, 4_096), (0, 4_096, 4_096)])
def test_a_table_that_was_emptied_is_not_looked_up_in_a_cache(sizes: tuple[int, ...]) -> None:
    ours, theirs = decoder(), Encoder()
    first = [*REQUEST, (b"x-a", b"1")]
    ours.decode(theirs.encode(first))
    by_index = theirs.encode(first)
    ours.decode(by_index)
    updates = b"".join(b"\x20" if size == 0 else b"\x3f\xe1\x1f" for size in sizes)
    ours.decode(updates + encode(REQUEST))
    with pytest.raises(ConnectionFault) as caught:
        ours.decode(by_index)
    assert caught.value.code is Code.COMPRESSION_ERROR


def test_the_cache_is_bounded() -> None:
    ours = decoder()
    for number in range(3 * CACHED_BLOCKS_MAX):
        ours.decode(encode((*REQUEST, (b"x-number", str(number).encode()))))
        assert len(ours._blocks) <= CACHED_BLOCKS_MAX and len(ours.ready) <= CACHED_BLOCKS_MAX


def test_a_small_block_that_makes_a_large_list_is_a_fault() -> None:
    ours, theirs = decoder(), Encoder()
    ours.decode(theirs.encode([*REQUEST, (b"x-large", b"v" * 3_000)]))
    one = theirs.encode([(b"x-large", b"v" * 3_000)])
    assert len(one) == 1
    with pytest.raises(ConnectionFault) as caught:
        ours.decode(encode(REQUEST) + one * 6)
    assert caught.value.code is Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ((*REQUEST, (b"X-Upper", b"1")), "is no name"),
        ((*REQUEST, (b"x y", b"1")), "is no name"),
        ((*REQUEST, (b"x-a", b"1\r\nx-b: 2")), "characters"),
        ((*REQUEST, (b"x-a", b" 1")), "characters"),
        ((*REQUEST, (b"connection", b"close")), "not for HTTP/2"),
        ((*REQUEST[:3], (b"te", b"gzip")), "not for HTTP/2"),
        ((*REQUEST, (b":authority", b"a")), "after other fields"),
        ((REQUEST[0], *REQUEST), "twice"),
        (REQUEST[:2], "needs :method, :scheme and :path"),
        (((b":status", b"200"), *REQUEST), "none may have"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(fields: Fields, problem: str) -> None:
    ours = decoder()
    for _ in range(2):
        assert problem in ours.decode(encode(fields)).problem
    assert not ours.ready


@pytest.mark.parametrize("status", [b"20", b"abc", b"2000", b""])
def test_a_response_needs_a_status(status: bytes) -> None:
    ours = decoder(is_server=False)
    assert "needs :status" in ours.decode(encode([(b":status", status)])).problem

"""How ours and `h2` take leave: which calls were taken, why it ends, and that nothing is lost."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from memraft_proto.http2.frames import Code, reply_packer, request_packer
from memraft_proto.http2.headers import encode
from tests.properties.http2_wire import Ours, Theirs, framed
from tests.properties.test_http2_oracle import REQUEST, RESPONSE, TRAILERS, body

CODES = st.sampled_from(list(Code))
TEXT = st.text("abc äß東", max_size=30)


def met(ours_is_client: bool) -> tuple[Ours, Theirs]:
    """Both sides after their greetings."""
    ours, theirs = Ours(ours_is_client), Theirs(not ours_is_client)
    for _ in range(3):
        theirs.receive(ours.take())
        ours.receive(theirs.h2.data_to_send())
    return ours, theirs


@given(calls=st.integers(0, 4), code=CODES, text=TEXT)
def test_h2_learns_from_ours_which_calls_were_taken_and_why_it_ends(
    calls: int, code: Code, text: str
) -> None:
    ours, theirs = met(False)
    for _ in range(calls):
        stream_id = theirs.h2.get_next_available_stream_id()
        theirs.h2.send_headers(stream_id, list(REQUEST), end_stream=True)
    ours.receive(theirs.h2.data_to_send())
    ours.goaway(code, text)
    theirs.receive(ours.take())
    (ended,) = theirs.ended
    assert (ended.error_code, ended.last_stream_id) == (code, max(0, 2 * calls - 1))
    assert (ended.additional_data or b"") == text.encode()


@given(calls=st.integers(1, 5), taken=st.integers(0, 5), size=st.integers(0, 40_000), code=CODES)
def test_ours_learns_from_h2_which_calls_were_not_taken(
    calls: int, taken: int, size: int, code: Code
) -> None:
    ours, theirs = met(True)
    head = encode(REQUEST)
    for _ in range(calls):
        ours.send_call(request_packer(head), head, b"question")
    taken = min(taken, calls)
    theirs.receive(ours.take())
    first = theirs.h2.data_to_send()
    # One is answered before, in part; the rest of it was on its way when the end was told.
    answer = framed(body(min(size, 16_000)))
    if taken:
        theirs.h2.send_headers(1, list(RESPONSE))
        theirs.h2.send_data(1, answer)
        theirs.h2.send_headers(1, list(TRAILERS), end_stream=True)
    answered = theirs.h2.data_to_send()
    last = 2 * taken - 1 if taken else 0
    theirs.h2.close_connection(code, b"bye", last_stream_id=last)
    ours.receive(first + theirs.h2.data_to_send() + answered)
    assert ours.goaways == [(last, code, "bye")]
    assert not ours.faults
    refused = {stream_id for stream_id, talk in ours.heard.items() if talk.reset == Code.REFUSED_STREAM}
    assert refused == set(range(2 * taken + 1, 2 * calls, 2))
    if taken:
        assert (bytes(ours.heard[1].data), ours.heard[1].trailers) == (answer, TRAILERS)
    assert set(ours.streams) == set(range(3, 2 * taken, 2))
    ours.check()


@given(calls=st.integers(1, 5), late=st.integers(0, 3))
def test_who_drains_answers_what_came_before_the_last_and_ignores_what_comes_after(
    calls: int, late: int
) -> None:
    """GOAWAY with 2^31-1, a round trip, GOAWAY with the last: RFC 9113, section 6.8."""
    ours, theirs = met(False)
    reply, end = encode(RESPONSE), encode(TRAILERS)
    ours.goaway(Code.NO_ERROR, "", (1 << 31) - 1)
    ours.ping(b"drained?")
    told = ours.take()
    for _ in range(calls):  # before it heard of it
        stream_id = theirs.h2.get_next_available_stream_id()
        theirs.h2.send_headers(stream_id, list(REQUEST), end_stream=True)
    ours.receive(theirs.h2.data_to_send())
    ours.goaway(Code.NO_ERROR)
    ours.refuse_calls()
    for _ in range(late):
        stream_id = theirs.h2.get_next_available_stream_id()
        theirs.h2.send_headers(stream_id, list(REQUEST))
        theirs.h2.send_data(stream_id, framed(b"too late"), end_stream=True)
    ours.receive(theirs.h2.data_to_send())
    assert set(ours.heard) == set(range(1, 2 * calls, 2)) == set(ours.streams)
    for stream_id in list(ours.streams):
        ours.send_reply(reply_packer(reply, end), reply, stream_id, b"answer", end)
    assert not ours.streams and not ours.faults
    written = told + ours.take()
    assert written.count(framed(b"answer")) == calls
    ours.check()

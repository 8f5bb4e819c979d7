"""Sessions of HTTP/2, what may become of their bytes, and what has to hold whatever comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import h2.exceptions

from memraft_proto.http2.connection import Limits
from memraft_proto.http2.frames import PREFACE
from memraft_proto.http2.headers import Fields, encode
from tests.properties.http2_wire import ROOMY, Frame, Ours, Theirs, framed, frames_of, packed

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
P, F, FRAME_SIZE, STREAM_CLOSED, C, CANCEL, CALM = 1, 3, 6, 5, 9, 8, 11
REQUEST: Fields = (
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/memraft.v1.KvService/Get"),
    (b":authority", b"localhost"), (b"te", b"trailers"), (b"content-type", b"application/grpc"),
)  # fmt: skip
RESPONSE: Fields = ((b":status", b"200"), (b"content-type", b"application/grpc"))
LIMITS = Limits(
    stream_window_bytes=16_384, connection_window_bytes=65_535, message_bytes_max=100_000,
    buffered_bytes_max=120_000, streams_max=50, **ROOMY,  # type: ignore[arg-type]
)  # fmt: skip
EXTREMES = (0, 1, 2, 127, 128, 255, 16_383, 16_384, 16_385, 65_535, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)


# -- sessions ------------------------------------------------------------------------------------------


def session(random: Random, is_client: bool) -> list[bytes]:
    """What a well-behaved peer of ours writes, in pieces of one frame or a few; ``is_client``: of our client,
    which has called on streams 1 to 9."""
    peer = Theirs(not is_client)
    engine = peer.h2
    ours = Ours(is_client, LIMITS)
    if is_client:
        for _ in range(5):
            ours.begin(encode(REQUEST))
    peer.receive(ours.take())
    pieces = [engine.data_to_send()]
    ids = [1, 3, 5, 7, 9]
    for number in range(random.randint(1, 12)):
        act = random.choice(("call", "call", "call", "ping", "settings", "window", "reset"))
        stream_id = ids[number % 5] if is_client else engine.get_next_available_stream_id()
        if act == "call" and not (is_client and number >= 5):
            head = RESPONSE if is_client else REQUEST
            more = ((b"x-%d" % random.randint(0, 3), b"v" * random.choice((0, 5, 300))),) * random.randint(
                0, 2
            )
            engine.send_headers(stream_id, list(head + more))
            size = random.choice((0, 1, 100, 5_000))
            padding = random.choice((None, None, 0, 9))
            engine.send_data(stream_id, framed(bytes(size)), pad_length=padding, end_stream=not is_client)
            if is_client:
                engine.send_headers(stream_id, [(b"grpc-status", b"0")], end_stream=True)
        elif act == "ping":
            engine.ping(bytes(8))
        elif act == "settings":
            engine.update_settings({4: random.choice((0, 10, 100_000)), 5: 20_000})
        elif act == "window":
            engine.increment_flow_control_window(random.choice((1, 1_000_000)))
        elif act == "reset" and not is_client:
            engine.send_headers(stream_id, list(REQUEST))
            engine.reset_stream(stream_id, 8)
        pieces.append(engine.data_to_send())
    return [piece for piece in pieces if piece]


def mutated(random: Random, pieces: list[bytes]) -> bytes:
    """A session of which some is not as it was."""
    frames = [frame for piece in pieces for frame in frames_of(piece)]
    has_preface = pieces[0].startswith(PREFACE)
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        _change_frames(random, frames)
    out = bytearray(PREFACE if has_preface else b"")
    for frame in frames:
        out += packed(frame)
    for _ in range(random.choice((0, 0, 1, 3))):
        _change_bytes(random, out)
    return bytes(out)


def _change_frames(random: Random, frames: list[Frame]) -> None:
    if not frames:
        return
    place = random.randrange(len(frames))
    kind, flags, stream_id, payload = frames[place]
    match random.randrange(9):
        case 0:
            del frames[place]
        case 1:
            frames.insert(random.randrange(len(frames)), frames[place])
        case 2:
            frames[place] = kind, flags ^ (1 << random.randrange(8)), stream_id, payload
        case 3:
            frames[place] = kind, flags, random.choice((0, 1, 2, 3, 5, 7, 99, (1 << 31) - 1)), payload
        case 4:
            frames[place] = random.randrange(12), flags, stream_id, payload
        case 5:
            cut = random.randint(0, len(payload))
            frames[place] = kind, flags, stream_id, payload[:cut]
        case 6:
            frames[place] = kind, flags, stream_id, payload + random.randbytes(random.choice((1, 4, 50)))
        case 7:
            frames.insert(place, _made_up(random))
        case 8:
            changed = bytearray(payload)
            for _ in range(random.randint(1, 3)):
                if changed:
                    changed[random.randrange(len(changed))] = random.randrange(256)
            frames[place] = kind, flags, stream_id, bytes(changed)


def _made_up(random: Random) -> Frame:
    stream_id = random.choice((0, 1, 3, 5, 11, 21))
    number = random.choice(EXTREMES).to_bytes(4, "big")
    return random.choice((
        (WINDOW_UPDATE, 0, stream_id, number),
        (RST_STREAM, 0, stream_id, number),
        (SETTINGS, random.choice((0, 0, 1)), 0, bytes((0, random.randrange(8))) + number),
        (PING, random.randrange(2), 0, bytes(8)),
        (GOAWAY, 0, 0, number + bytes(4)),
        (PRIORITY, 0, stream_id, number + b"\0"),
        (DATA, random.randrange(2), stream_id, framed(b"abc")),
        (CONTINUATION, END_HEADERS, stream_id, b""),
        (HEADERS, random.choice((0, 1, 4, 5)), stream_id, encode(REQUEST)),
        (random.randrange(10, 256), random.randrange(256), stream_id, number),
    ))  # fmt: skip


def _change_bytes(random: Random, out: bytearray) -> None:
    if not out:
        return
    place = random.randrange(len(out))
    match random.randrange(4):
        case 0:
            out[place] = random.randrange(256)
        case 1:
            del out[place : place + random.choice((1, 2, 9, 100))]
        case 2:
            out[place:place] = random.randbytes(random.choice((1, 2, 9)))
        case 3:
            out[place:place] = out[place : place + random.choice((9, 30))]


# -- what has to hold ----------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What a side made of bytes: what it heard, the code it ended with, and the streams that it reset."""

    heard: dict[int, object]
    code: int | None
    resets: list[tuple[int, int]]


Verdict = tuple[int | None, list[tuple[int, int]]]
"""The code that a connection ends with, and the streams that are reset, with theirs."""


def verdict(out: bytes) -> Verdict:
    """The code of GOAWAY and the resets in what a side wrote."""
    code, resets = None, []
    for kind, _, stream_id, payload in frames_of(out):
        if kind == GOAWAY:
            assert code is None, "a connection ends once"
            code = int.from_bytes(payload[4:8], "big")
        elif kind == RST_STREAM:
            resets.append((stream_id, int.from_bytes(payload, "big")))
    return code, resets


class Hesitant(Ours):
    """Ours with an owner that now and then wants no more for the moment."""

    def __init__(self, is_client: bool, random: Random | None) -> None:
        super().__init__(is_client, LIMITS)
        self._random = random

    def heard_something(self, stream_id: int) -> None:
        """See `Ours`."""
        if self._random is not None and self._random.random() < 0.5:
            self.is_stopped = True


def met(is_client: bool, random: Random | None = None) -> Ours:
    """Ours, before anything came; a client has called on streams 1 to 9. With ``random`` it hesitates."""
    ours = Hesitant(is_client, random)
    if is_client:
        for _ in range(5):
            ours.begin(encode(REQUEST))
    ours.take()
    return ours


def taken(data: bytes, sizes: list[int], is_client: bool, random: Random | None = None) -> Outcome:
    """What ours makes of ``data``, which comes in pieces of so many bytes, the sizes again and again."""
    ours = met(is_client, random)
    out = bytearray()
    position = turn = 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        ours.receive(data[position : position + size])
        while ours.has_more:
            ours.receive(b"")
        ours.check()
        out += ours.take()
        position, turn = position + size, turn + 1
    code, resets = verdict(bytes(out))
    assert (code is not None) is ours.is_closed is bool(ours.faults)
    return Outcome(dict(ours.heard), code, resets)


def check(random: Random, data: bytes, is_client: bool) -> None:
    """Raises AssertionError unless ours makes the same of these bytes however they are cut and whenever it
    hesitates, and calls wrong what h2 calls wrong."""
    whole = taken(data, [1 << 30], is_client)
    sizes = random.choice(([1], [9], [1, 2, 3, 50], [random.randint(1, 400), random.randint(1, 40)]))
    assert taken(data, sizes, is_client) == whole
    assert taken(data, [1 << 30], is_client, random) == whole
    compare(data, is_client)


def compare(data: bytes, is_client: bool) -> None:
    """Gives whole frames one after the other to both, until one of them minds."""
    ours, theirs = met(is_client), met_theirs(is_client)
    position = 0
    if not is_client:
        if not data.startswith(PREFACE):
            return
        position = len(PREFACE)
        ours.receive(PREFACE)
        theirs.h2.receive_data(PREFACE)
    before: list[Frame] = []
    while len(data) - position >= 9:
        size = int.from_bytes(data[position : position + 3], "big") + 9
        if len(data) - position < size:
            return
        piece = data[position : position + size]
        position += size
        ours.receive(piece)
        ours_says = verdict(ours.take())
        theirs_says, why = their_verdict(theirs, piece)
        frame = next(frames_of(piece))
        if not is_agreed(ours_says, theirs_says):
            excuse = excuse_for(before, frame, ours_says, theirs_says, why)
            assert excuse, (before, frame, ours_says, theirs_says, why)
            return
        if ours_says[0] is not None or ours_says[1] or theirs_says[0] is not None or theirs_says[1]:
            return
        if frame[0] == GOAWAY:
            return  # h2 takes nothing after it; what is under way may still come to an end
        before.append(frame)


def met_theirs(is_client: bool) -> Theirs:
    """h2 in the place of ours."""
    theirs = Theirs(is_client)
    theirs.h2.data_to_send()
    if is_client:
        for stream_id in (1, 3, 5, 7, 9):
            theirs.h2.send_headers(stream_id, list(REQUEST))
    theirs.h2.data_to_send()
    return theirs


def their_verdict(theirs: Theirs, piece: bytes) -> tuple[Verdict, str]:
    """As `verdict`, of h2, and why."""
    try:
        theirs.h2.receive_data(piece)
    except h2.exceptions.ProtocolError as error:
        theirs.h2.data_to_send()
        return (int(error.error_code), []), f"{type(error).__name__}: {error}"
    return verdict(theirs.h2.data_to_send()), ""


def codes(verdict: Verdict) -> set[int]:
    """All codes that a side said, of the connection or of streams."""
    return {code for code in (verdict[0], *(code for _, code in verdict[1])) if code is not None}


def is_agreed(ours: Verdict, theirs: Verdict) -> bool:
    """Whether two verdicts are the same. A malformed head ends the connection for h2 and one stream for ours:
    RFC 9113, section 8.1.1, allows both."""
    return codes(ours) == codes(theirs)


def excuse_for(before: list[Frame], frame: Frame, ours: Verdict, theirs: Verdict, why: str) -> str:
    """Why ours may see it otherwise than h2; empty where there is no reason."""
    for excuse, is_one in _excuses(before, frame, ours, theirs, why):
        if is_one:
            return excuse
    return ""


def _excuses(
    before: list[Frame], frame: Frame, ours: Verdict, theirs: Verdict, why: str
) -> Iterator[tuple[str, bool]]:
    kind, flags, stream_id, payload = frame
    pair = ours[0], theirs[0]
    is_silent = not codes(ours)
    has_open_block = bool(before) and before[-1][0] in (HEADERS, CONTINUATION) and not before[-1][1] & 4
    yield "3.4: SETTINGS come first; h2 lets others come before", not before and ours[0] == P
    yield "4.2: a frame that h2 cannot read interrupts a block", has_open_block and pair == (P, FRAME_SIZE)
    yield "4.3: COMPRESSION_ERROR; h2 says PROTOCOL_ERROR", kind in (HEADERS, CONTINUATION) and pair == (C, P)
    is_head_short = kind == HEADERS and pair == (FRAME_SIZE, P) and "stream ID" in why
    yield "4.2: too short for its priority, and on a stream that is no client's", is_head_short
    # Nobody keeps a list of which streams are over and which were skipped.
    yield "5.1: STREAM_CLOSED, or 5.1.1: PROTOCOL_ERROR", kind == HEADERS and pair == (STREAM_CLOSED, P)
    yield "5.1: an idle stream cannot be reset; h2 lets it", kind == RST_STREAM and pair == (P, None)
    yield "5.5: types that ours does not know are ignored; h2 knows ALTSVC", kind >= 10 and is_silent
    yield "6.1, 4.2: padding without its length", bool(flags & PADDED) and pair == (P, FRAME_SIZE)
    yield "6.5: FRAME_SIZE_ERROR; h2 says PROTOCOL_ERROR", kind == SETTINGS and pair == (FRAME_SIZE, P)
    keys = [payload[at : at + 2] for at in range(0, len(payload), 6)] if kind == SETTINGS else []
    is_hidden = len(set(keys)) < len(keys) and pair in ((P, None), (F, None))
    yield "6.5.3: values count in their order; h2 sees a setting's last alone", is_hidden
    yield "6.6: nobody may push here; h2 lets an idle stream", kind == PUSH_PROMISE and ours[0] == P
    is_loose = kind == CONTINUATION and not has_open_block
    yield "6.10: it continues no block; h2 resets a stream that is over", is_loose and ours[0] == P
    was_reset = any(each[0] == RST_STREAM and each[2] == stream_id for each in before)
    is_late = kind == WINDOW_UPDATE and was_reset and pair == (None, P) and is_silent
    yield "6.9: by 0 is a fault of its stream, which is over; h2 ends the connection", is_late
    is_reserved_bit = kind == WINDOW_UPDATE and payload[:1] >= b"\x80" and theirs[0] == P
    yield "6.9: the reserved bit is ignored; h2 takes it for the number's", is_reserved_bit
    yield "8.1.1: content-length is left to the messages", is_silent and "content-length" in why
    yield "8.1.1: content-length is left to the messages", is_silent and "InvalidBodyLength" in why
    yield "8.3.1: :authority may be left out; h2 demands it", is_silent and ":authority" in why
    yield (
        "RFC 8441: a setting that is nothing to ours",
        is_silent and theirs[0] == P and b"\0\x08" in keys,
    )
    is_large = kind in (HEADERS, CONTINUATION) and pair == (CALM, P) and "decoding" in why
    yield "10.5.1: more header fields than told, before the one that cannot be read", is_large
    is_of_grpc = ours[0] is None and not codes(theirs) and codes(ours) <= {P, CANCEL}
    yield (
        "gRPC: no message, or part of one, or too large",
        is_of_grpc and kind in (DATA, HEADERS, CONTINUATION),
    )


def run_one(seed: int) -> None:
    """One session of either role, changed somehow. Raises AssertionError where something does not hold."""
    for is_client in (False, True):
        random = Random(seed)
        check(random, mutated(random, session(random, is_client)), is_client)

"""Our HTTP/2 and `h2` talk at random: what the one says the other hears, byte for byte, in both roles."""

from __future__ import annotations

from random import Random
from typing import Any

import hypothesis.strategies as st
from h2.settings import SettingCodes
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from memraft_proto.http2.frames import (
    CONTINUATION,
    END_HEADERS,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PREFACE,
    PRIORITY,
    reply_packer,
    request_packer,
)
from memraft_proto.http2.headers import Fields, encode
from tests.properties.http2_wire import Frame, Ours, Talk, Talks, Theirs, framed, frames_of, marked, packed

TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=20).map(
    lambda text: b"x-" + text.encode()
)
VALUE = st.one_of(
    st.sampled_from([b"", b"a", b"application/grpc", b"trailers", b"0"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=60).map(
        lambda text: text.encode("latin-1")
    ),
    st.integers(1, 6_000).map(lambda size: b"v" * size),
)
NAMES = [b"x-a", b"user-agent", b"grpc-timeout", b"content-type"]
FEW: list[Fields] = [((b"x-a", b"1"),), ((b"x-a", b"2"),)]
"""So few that a block that is nothing but indexes soon comes again and means something else."""
FIELDS: st.SearchStrategy[Fields] = st.one_of(
    st.sampled_from([(), *FEW]),
    st.lists(st.tuples(st.one_of(st.sampled_from(NAMES), TOKEN), VALUE), max_size=4).map(tuple),
)
REQUEST: Fields = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/memraft.v1.KvService/Get"),
    (b":authority", b"localhost"),
)
RESPONSE: Fields = ((b":status", b"200"),)
TRAILERS: Fields = ((b"grpc-status", b"0"),)
SIZE = st.one_of(st.integers(0, 40), st.integers(16_360, 16_400), st.integers(0, 100_000))
CANCEL = 8


NOTHING = (packed((PRIORITY, 0, 7, b"\0\0\0\x03\x10")), packed((0xBE, 0xFF, 3, b"what")))
"""A PRIORITY frame, and one of a type that nobody knows."""


def reframed_headers(frame: Frame, random: Random) -> bytes:
    """A HEADERS frame that has a whole block, said otherwise."""
    _, flags, stream_id, block = frame
    cuts = sorted(random.randint(0, len(block)) for _ in range(random.choice([0, 0, 1, 3])))
    first, *rest = [block[a:b] for a, b in zip([0, *cuts], [*cuts, len(block)], strict=True)]
    if random.random() < 0.5:
        flags, first = flags | HAS_PRIORITY, b"\x80\0\0\0\x0f" + first
    padding = random.randint(0, 255)
    if random.random() < 0.5 and len(first) + padding < 16_384:
        flags, first = flags | PADDED, bytes([padding]) + first + bytes(padding)
    if len(first) > 16_384:
        return packed(frame)
    if not rest:
        return packed((HEADERS, flags, stream_id, first))
    out = packed((HEADERS, flags & ~END_HEADERS, stream_id, first))
    for piece in rest[:-1]:
        out += packed((CONTINUATION, 0, stream_id, piece))
    return out + packed((CONTINUATION, END_HEADERS, stream_id, rest[-1]))


def body(size: int) -> bytes:
    """Bytes that do not repeat at a distance of a power of two."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


class Conversation(RuleBasedStateMachine):
    """Both sides say what they like; bytes travel in pieces of any size."""

    ours_is_client = False

    def __init__(self) -> None:
        super().__init__()
        self.ours = Ours(self.ours_is_client)
        self.theirs = Theirs(not self.ours_is_client)
        self.said_here = Talks()
        self.said_there = Talks()
        self.to_send: dict[int, bytearray] = {}
        self.to_end: dict[int, Fields | None] = {}
        self.owed_drained: set[int] = set()
        self.pings_here = self.pings_there = 0
        self.way_here = bytearray()
        self.way_there = bytearray()
        self.head = encode(REQUEST)
        self.pack_call = request_packer(self.head)
        self.reply_head, self.reply_end = encode(RESPONSE), encode(TRAILERS)
        self.pack_reply = reply_packer(self.reply_head, self.reply_end)
        self.ours.on_whole = self.answer_whole
        self.answers_at_once = False

    # -- the way between them ------------------------------------------------------------------------------

    @rule(portion=st.one_of(st.just(1 << 30), st.integers(1, 300)), seed=st.none() | st.integers(0, 999))
    def deliver_here(self, portion: int, seed: int | None) -> None:
        """Some of what they wrote arrives, cut anywhere; with a seed, its header blocks framed otherwise."""
        written = self.theirs.h2.data_to_send()
        self.way_here += written if seed is None else self.reframed(written, Random(seed))
        self.arrive_here(portion)

    def arrive_here(self, portion: int) -> None:
        piece = bytes(self.way_here[:portion])
        del self.way_here[:portion]
        self.ours.receive(piece)
        assert not self.ours.faults, self.ours.faults

    @rule(portion=st.one_of(st.just(1 << 30), st.integers(1, 300)))
    def deliver_there(self, portion: int) -> None:
        self.way_there += self.ours.take()
        piece = bytes(self.way_there[:portion])
        del self.way_there[:portion]
        self.theirs.receive(piece)
        self.forget_what_was_reset()

    @rule()
    def all_that_was_written_arrives(self) -> None:
        """Both ways, until neither answers any more."""
        while self.exchange():
            pass

    def exchange(self) -> bool:
        """What each wrote arrives; False where that was nothing."""
        self.way_here += self.theirs.h2.data_to_send()
        self.way_there += self.ours.take()
        if not self.way_here and not self.way_there:
            return False
        self.arrive_here(1 << 30)
        self.theirs.receive(bytes(self.way_there))
        self.way_there.clear()
        self.forget_what_was_reset()
        return True

    def reframed(self, written: bytes, random: Random) -> bytes:
        """The same with header blocks cut, padded and ranked, and between frames some that say nothing."""
        out = bytearray(PREFACE if written.startswith(PREFACE) else b"")
        is_block_open = True  # SETTINGS come first
        for frame in frames_of(written):
            if not is_block_open and random.random() < 0.1:
                out += random.choice(NOTHING)
            is_block_open = frame[0] in (HEADERS, CONTINUATION) and not frame[1] & END_HEADERS
            if frame[0] == HEADERS and not frame[1] & (PADDED | HAS_PRIORITY) and not is_block_open:
                out += reframed_headers(frame, random)
            else:
                out += packed(frame)
        return bytes(out)

    # -- what they say -------------------------------------------------------------------------------------

    def there_open(self) -> list[int]:
        return [each for each in self.to_send if each not in self.to_end]

    @precondition(lambda self: self.there_open())
    @rule(data=st.data(), size=SIZE)
    def they_have_a_message(self, data: st.DataObject, size: int) -> None:
        self.to_send[data.draw(st.sampled_from(self.there_open()))] += framed(body(size))

    @precondition(lambda self: self.there_open())
    @rule(data=st.data(), trailers=st.one_of(st.none(), FIELDS))
    def they_have_said_all(self, data: st.DataObject, trailers: Fields | None) -> None:
        stream_id = data.draw(st.sampled_from(self.there_open()))
        if not self.ours_is_client or trailers is None:
            self.to_end[stream_id] = trailers if trailers else None
        else:
            self.to_end[stream_id] = TRAILERS + trailers

    @precondition(lambda self: self.to_send)
    @rule(data=st.data(), portion=SIZE, padding=st.one_of(st.none(), st.integers(0, 255)))
    def they_send(self, data: st.DataObject, portion: int, padding: int | None) -> None:
        self.send(data.draw(st.sampled_from(list(self.to_send))), portion, padding)

    def send(self, stream_id: int, portion: int, padding: int | None = None) -> None:
        """h2 sends some of what there is to be sent, as its windows allow."""
        engine, pending = self.theirs.h2, self.to_send[stream_id]
        extra = 0 if padding is None else padding + 1
        room = min(engine.local_flow_control_window(stream_id), engine.max_outbound_frame_size) - extra
        size = min(portion, len(pending), room)
        if size > 0 or (size == 0 and portion == 0 and room >= 0):
            piece = bytes(pending[:size])
            del pending[:size]
            engine.send_data(stream_id, piece, pad_length=padding)
            self.said_there[stream_id].data += piece
        if not pending and stream_id in self.to_end:
            trailers = self.to_end.pop(stream_id)
            del self.to_send[stream_id]
            if trailers is None:
                engine.end_stream(stream_id)
            else:
                engine.send_headers(stream_id, marked(trailers, frozenset([b"x-a"])), end_stream=True)
            self.said_there[stream_id].trailers = trailers
            self.said_there[stream_id].is_ended = True

    @precondition(lambda self: self.to_send)
    @rule(data=st.data())
    def they_reset(self, data: st.DataObject) -> None:
        stream_id = data.draw(st.sampled_from(list(self.to_send)))
        self.theirs.h2.reset_stream(stream_id, CANCEL)
        self.said_there[stream_id].reset = CANCEL
        del self.to_send[stream_id]
        self.to_end.pop(stream_id, None)

    @rule(payload=st.binary(min_size=8, max_size=8))
    def they_ping(self, payload: bytes) -> None:
        self.theirs.h2.ping(payload)
        self.pings_there += 1

    @precondition(lambda self: not self.theirs.settings_under_way and self.here_open())
    @rule(data=st.data(), window=st.integers(0, 500), size=SIZE)
    def they_take_back_a_window(self, data: st.DataObject, window: int, size: int) -> None:
        """Streams that are open already feel it, too."""
        self.theirs.change({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.all_that_was_written_arrives()
        self.ours_says(data, size, False)

    @precondition(lambda self: not self.theirs.settings_under_way)
    @rule(
        window=st.one_of(st.none(), st.integers(0, 200), st.integers(0, 1 << 20)),
        frame=st.one_of(st.none(), st.integers(16_384, 100_000)),
        table=st.one_of(st.none(), st.integers(0, 9_000)),
    )
    def they_change_settings(self, window: int | None, frame: int | None, table: int | None) -> None:
        changed = {
            SettingCodes.INITIAL_WINDOW_SIZE: window,
            SettingCodes.MAX_FRAME_SIZE: frame,
            SettingCodes.HEADER_TABLE_SIZE: table,
        }
        self.theirs.change({key: value for key, value in changed.items() if value is not None})

    @rule(is_huffman=st.booleans(), table=st.sampled_from([0, 50, 4_096]))
    def they_encode_otherwise(self, is_huffman: bool, table: int) -> None:
        self.theirs.is_huffman = is_huffman
        if self.theirs.h2.encoder.header_table_size != table:  # else hpack forgets to tell of it
            self.theirs.h2.encoder.header_table_size = table

    @precondition(lambda self: self.theirs.unacknowledged)
    @rule(data=st.data())
    def they_acknowledge(self, data: st.DataObject) -> None:
        self.theirs.acknowledge(data.draw(st.sampled_from(sorted(self.theirs.unacknowledged))))

    # -- what ours says ------------------------------------------------------------------------------------

    def answer_whole(self, stream_id: int) -> bool:
        """Ours is told of a whole call, on the short way: it answers at once, or as any other."""
        if not self.answers_at_once:
            return False
        message = body(stream_id * 997 % 20_000)
        self.ours.send_reply(self.pack_reply, self.reply_head, stream_id, message, self.reply_end)
        self.said_here[stream_id] = Talk(RESPONSE, bytearray(framed(message)), TRAILERS, True)
        return True

    def here_open(self) -> list[int]:
        return [
            each for each, talk in self.said_here.items()
            if talk.head and not talk.is_ended and talk.reset is None and each in self.ours.streams
        ]  # fmt: skip

    @precondition(lambda self: self.here_open())
    @rule(data=st.data(), size=SIZE, is_end=st.booleans())
    def ours_says(self, data: st.DataObject, size: int, is_end: bool) -> None:
        stream_id = data.draw(st.sampled_from(self.here_open()))
        talk = self.said_here[stream_id]
        if not self.ours.send_message(stream_id, body(size), is_end=is_end):
            self.owed_drained.add(stream_id)
        talk.data += framed(body(size))
        talk.is_ended = is_end

    @precondition(lambda self: self.here_open())
    @rule(data=st.data(), trailers=st.one_of(st.none(), FIELDS))
    def ours_ends(self, data: st.DataObject, trailers: Fields | None) -> None:
        self.end(data.draw(st.sampled_from(self.here_open())), trailers or None)

    def end(self, stream_id: int, trailers: Fields | None) -> None:
        talk = self.said_here[stream_id]
        talk.is_ended, talk.trailers = True, trailers
        if trailers is None:
            self.ours.send_end(stream_id)
        else:
            self.ours.send_trailers(stream_id, encode(trailers))

    @precondition(lambda self: self.ours.streams)
    @rule(data=st.data())
    def ours_resets(self, data: st.DataObject) -> None:
        stream_id = data.draw(st.sampled_from(sorted(self.ours.streams)))
        self.ours.reset(stream_id, CANCEL)
        self.said_here[stream_id].reset = CANCEL

    @precondition(lambda self: self.ours.streams)
    @rule(data=st.data(), is_paused=st.booleans())
    def ours_pauses(self, data: st.DataObject, is_paused: bool) -> None:
        stream_id = data.draw(st.sampled_from(sorted(self.ours.streams)))
        (self.ours.pause if is_paused else self.ours.resume)(stream_id)

    @rule(payload=st.binary(min_size=8, max_size=8))
    def ours_pings(self, payload: bytes) -> None:
        self.ours.ping(payload)
        self.pings_here += 1

    # -- what has to hold ----------------------------------------------------------------------------------

    @invariant()
    def ours_keeps_its_books(self) -> None:
        self.ours.check()

    def let_everything_arrive(self) -> None:
        """Both sides say what is left and take what comes until there is silence."""
        is_going_on = True
        while is_going_on:
            for stream_id in list(self.to_send):
                self.to_end.setdefault(stream_id, None)
                self.send(stream_id, 1 << 30)
            for stream_id in list(self.theirs.unacknowledged):
                self.theirs.acknowledge(stream_id)
            is_going_on = self.exchange()

    def forget_what_was_reset(self) -> None:
        for stream_id in [each for each in self.to_send if self.theirs.heard[each].reset is not None]:
            del self.to_send[stream_id]
            self.to_end.pop(stream_id, None)

    def teardown(self) -> None:
        self.let_everything_arrive()
        self.theirs.change({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
        self.let_everything_arrive()
        for stream_id in list(self.ours.streams):
            self.ours.resume(stream_id)
        for stream_id in self.here_open():
            # Who was told to wait was told that the waiting is over.
            assert stream_id in self.ours.drained or stream_id not in self.owed_drained
            self.end(stream_id, None)
        self.let_everything_arrive()
        self.compare()

    def compare(self) -> None:
        """What each said the other heard."""
        for said, heard in ((self.said_here, self.theirs.heard), (self.said_there, self.ours.heard)):
            for stream_id in {*said, *heard}:
                resets = [
                    each[stream_id].reset
                    for each in (self.said_here, self.said_there)
                    if stream_id in each and each[stream_id].reset is not None
                ]
                if resets:
                    assert said[stream_id].data.startswith(heard[stream_id].data)
                else:
                    assert heard[stream_id] == said[stream_id], stream_id
        assert len(self.ours.pongs) == self.pings_here
        assert len(self.theirs.pongs) == self.pings_there
        self.compare_windows()

    def compare_windows(self) -> None:
        ours, engine = self.ours, self.theirs.h2
        may_come, may_leave = ours.windows()
        assert may_come == engine.outbound_flow_control_window
        assert may_come > ours.limits.connection_window_bytes // 2
        assert may_leave == engine._inbound_flow_control_window_manager.current_window_size
        assert ours.queued_bytes == ours._buffered == 0
        assert not ours._waiting


class OursServes(Conversation):
    """h2 calls, ours answers."""

    @initialize()
    def meet(self) -> None:
        self.let_everything_arrive()

    @rule(fields=FIELDS, is_end=st.booleans(), secret=st.booleans())
    def they_call(self, fields: Fields, is_end: bool, secret: bool) -> None:
        stream_id = self.theirs.h2.get_next_available_stream_id()
        head = marked(REQUEST + fields, frozenset([b"x-a"] if secret else []))
        self.theirs.h2.send_headers(stream_id, head, end_stream=is_end)
        self.said_there[stream_id] = Talk(REQUEST + fields, is_ended=is_end)
        if not is_end:
            self.to_send[stream_id] = bytearray()

    @rule(
        count=st.integers(1, 5),
        size=SIZE,
        at_once=st.booleans(),
        trailers=st.sampled_from([None, None, *FEW]),
    )
    def they_call_in_one_piece(self, count: int, size: int, at_once: bool, trailers: Fields | None) -> None:
        """As stock clients do, again and again with the same head: what our short ways are for."""
        self.answers_at_once = at_once
        for _ in range(count):
            stream_id = self.theirs.h2.get_next_available_stream_id()
            self.theirs.h2.send_headers(stream_id, list(REQUEST))
            self.said_there[stream_id] = Talk(REQUEST)
            self.to_send[stream_id] = bytearray(framed(body(size)))
            self.to_end[stream_id] = trailers
            self.send(stream_id, 1 << 30)

    @precondition(lambda self: self.ours.streams)
    @rule(data=st.data(), fields=FIELDS, only=st.booleans())
    def ours_answers(self, data: st.DataObject, fields: Fields, only: bool) -> None:
        stream_id = data.draw(st.sampled_from(sorted(self.ours.streams)))
        talk = self.said_here[stream_id]
        if talk.head is not None:
            return
        self.ours.send_headers(stream_id, encode(RESPONSE + fields), only)
        talk.head, talk.is_ended = RESPONSE + fields, only

    def teardown(self) -> None:
        self.let_everything_arrive()
        for stream_id in self.ours.streams:
            if self.said_here[stream_id].head is None:
                self.said_here[stream_id].head = RESPONSE
                self.ours.send_headers(stream_id, self.reply_head, False)
        super().teardown()
        assert not self.ours.streams


class OursCalls(Conversation):
    """Ours calls, h2 answers."""

    ours_is_client = True

    @initialize()
    def meet(self) -> None:
        self.let_everything_arrive()

    @rule(size=SIZE, count=st.integers(1, 3))
    def ours_calls_in_one_piece(self, size: int, count: int) -> None:
        for _ in range(count):
            stream = self.ours.send_call(self.pack_call, self.head, body(size))
            self.said_here[stream.id] = Talk(REQUEST, bytearray(framed(body(size))), None, True)

    @rule(fields=FIELDS)
    def ours_begins(self, fields: Fields) -> None:
        stream = self.ours.begin(encode(REQUEST + fields))
        self.said_here[stream.id] = Talk(REQUEST + fields)

    def unanswered(self) -> list[int]:
        return [
            each for each, talk in self.theirs.heard.items()
            if talk.head and talk.reset is None and self.said_there[each] == Talk()
        ]  # fmt: skip

    @precondition(lambda self: self.unanswered())
    @rule(data=st.data(), fields=FIELDS, early=st.booleans(), only=st.booleans())
    def they_answer(self, data: st.DataObject, fields: Fields, early: bool, only: bool) -> None:
        stream_id = data.draw(st.sampled_from(self.unanswered()))
        if early:
            self.theirs.h2.send_headers(stream_id, [(b":status", b"103"), (b"x-hint", b"1")])
        self.theirs.h2.send_headers(stream_id, list(RESPONSE + fields), end_stream=only)
        self.said_there[stream_id] = Talk(RESPONSE + fields, is_ended=only)
        if not only:
            self.to_send[stream_id] = bytearray()

    @rule(size=SIZE, fields=st.lists(st.sampled_from([(), *FEW]), min_size=1, max_size=4))
    def they_answer_all_in_one_piece(self, size: int, fields: list[Fields]) -> None:
        """As stock servers do: what our short ways are for."""
        for number, stream_id in enumerate(self.unanswered()):
            more = fields[number % len(fields)]
            self.theirs.h2.send_headers(stream_id, list(RESPONSE + more))
            self.said_there[stream_id] = Talk(RESPONSE + more)
            self.to_send[stream_id] = bytearray(framed(body(size)))
            self.to_end[stream_id] = TRAILERS + more
            self.send(stream_id, 1 << 30)

    def teardown(self) -> None:
        self.let_everything_arrive()
        for stream_id in self.unanswered():
            self.theirs.h2.send_headers(stream_id, list(RESPONSE), end_stream=True)
            self.said_there[stream_id] = Talk(RESPONSE, is_ended=True)
        super().teardown()
        assert not self.ours.streams


PROFILE: Any = settings(settings.get_profile("default"), max_examples=40, stateful_step_count=40)
TestOursServes = OursServes.TestCase
TestOursServes.settings = PROFILE
TestOursCalls = OursCalls.TestCase
TestOursCalls.settings = PROFILE

"""Streams: sequence, chain and its verification, the past, pages."""

import hashlib
import struct
from typing import Any

import pytest

from memraft_proto.v1 import stream_pb2
from memraft_server.machine import Limits, Machine, Refused
from memraft_server.machine.journal import Journal
from memraft_server.projections.streams import StreamsProjection
from tests.properties.test_machine_store import Disk
from tests.unit.machine.harness import NAMESPACE, SECOND_US, START_US, Shard, session


def append(payload: bytes, stream: str = "ticket:1458", **more: object) -> stream_pb2.AppendRequest:
    return stream_pb2.AppendRequest(
        namespace=NAMESPACE, stream=stream, type="message", payload=payload, **more  # type: ignore[arg-type]
    )  # fmt: skip


def append_many(*payloads: bytes, types: tuple[str, ...] = ("note",)) -> stream_pb2.AppendManyRequest:
    return stream_pb2.AppendManyRequest(
        namespace=NAMESPACE, stream="ticket:1458", types=types, payloads=payloads
    )


def read(from_sequence: int = 0, limit: int = 0) -> stream_pb2.ReadStreamRequest:
    return stream_pb2.ReadStreamRequest(
        namespace=NAMESPACE, stream="ticket:1458", from_sequence=from_sequence, limit=limit
    )


def verify(stream: str = "ticket:1458", from_sequence: int = 0, limit: int = 0) -> Any:
    return stream_pb2.VerifyStreamRequest(
        namespace=NAMESPACE, stream=stream, from_sequence=from_sequence, limit=limit
    )


def hash_as_the_contract_says(event: stream_pb2.Event, stream: str) -> bytes:
    """The comment on `Event` in stream.proto, word by word."""
    hashed = event.prev_hash
    for field in (
        b"memraft.event.v1",
        NAMESPACE.encode(),
        stream.encode(),
        struct.pack(">Q", event.sequence),
        event.event_id.encode(),
        event.run.encode(),
        event.agent.encode(),
        struct.pack(">q", event.time_us),
        event.type.encode(),
        event.payload,
    ):
        hashed += struct.pack(">I", len(field)) + field
    return hashlib.sha256(hashed).digest()


def test_events_are_chained_as_the_contract_says() -> None:
    shard = Shard()
    shard.write(append(b'{"text": "hello"}', context=session(1, run="r1")))
    shard.entry(append_many(b"1", b"2", types=("a", "b")), append('"é"'.encode()))
    answer = shard.read(read())
    assert answer.last_sequence == 4
    assert [event.sequence for event in answer.events] == [1, 2, 3, 4]
    assert [event.type for event in answer.events] == ["message", "a", "b", "message"]
    assert [event.version for event in answer.events] == [1 << 20, 2 << 20, (2 << 20) + 1, (2 << 20) + 2]
    prev_hash = bytes(32)
    for event in answer.events:
        assert event.prev_hash == prev_hash
        assert event.hash == hash_as_the_contract_says(event, "ticket:1458")
        prev_hash = event.hash
    assert answer.events[0].run == "r1" and answer.events[0].agent == "alice"


def test_replies_say_what_reads_will() -> None:
    shard = Shard()
    one = shard.write(append(b"1"))
    (event,) = shard.read(read()).events
    assert (one.sequence, one.event_id, one.version, one.hash, one.time_us) == (
        event.sequence, event.event_id, event.version, event.hash, event.time_us
    )  # fmt: skip
    many = shard.write(append_many(b"2", b"3"))
    events = shard.read(read(from_sequence=2)).events
    assert (many.first_sequence, many.count, many.first_version) == (2, 2, events[0].version)
    assert many.last_hash == events[-1].hash


def test_event_ids_are_unique_and_sort_as_the_log() -> None:
    shard = Shard()
    for seed in (9, 3, 2**64 - 1):
        shard.entry(append(b"1"), append_many(b"2", b"3"), append(b"4"), seed=seed)
    ids = [event.event_id for event in shard.read(read()).events]
    assert len(set(ids)) == 12
    assert ids == sorted(ids)
    assert {len(event_id) for event_id in ids} == {26}


def test_the_past_of_a_stream() -> None:
    shard = Shard()
    shard.write(append(b"1"))
    moment_us = shard.time_us
    shard.write(append_many(b"2", b"3"))
    assert shard.read(read(), at_index=1).last_sequence == 1
    assert len(shard.read(read(), at_time_us=moment_us).events) == 1
    assert shard.read(verify(), at_index=1).count == 1
    assert not shard.read(read(), at_index=0).events
    listing = stream_pb2.ListStreamsRequest(namespace=NAMESPACE)
    assert not shard.read(listing, at_index=0).streams
    assert list(shard.read(listing, at_index=1).last_sequences) == [1]


def test_an_intact_chain_is_verified_and_an_unknown_stream_is_empty() -> None:
    shard = Shard()
    for number in range(5):
        shard.write(append(b"%d" % number))
    verdict = shard.read(verify())
    assert (verdict.intact, verdict.count, verdict.first_broken_sequence) == (True, 5, 0)
    assert verdict.last_hash == shard.read(read(from_sequence=5)).events[0].hash
    empty = shard.read(verify("unknown"))
    assert (empty.intact, empty.count, empty.last_hash) == (True, 0, b"")
    assert shard.read(read(from_sequence=99)).last_sequence == 5


@pytest.mark.parametrize("damage", ["payload", "hash", "order"])
def test_a_tampered_event_is_found(damage: str) -> None:
    shard = Shard()
    shard.write(append_many(b"10", b"20", b"30", b"40"))
    stream = shard.machine._spaces[NAMESPACE].projection(StreamsProjection).streams["ticket:1458"]
    if damage == "payload":
        stream.events[2].payload = b"31"
    elif damage == "hash":
        stream.hashes[2 * 32] ^= 1
    else:
        third, fourth = stream.events[2:4]
        third.payload, fourth.payload = fourth.payload, third.payload
    verdict = shard.read(verify())
    assert (verdict.intact, verdict.first_broken_sequence) == (False, 3)
    assert shard.read(verify(), at_index=0).intact


def test_a_long_chain_is_verified_page_by_page() -> None:
    """One call hashes a bounded number of events: 300,000 held the event loop for seconds."""
    shard = Shard()
    for _ in range(2):
        shard.write(append_many(*[b"1"] * 6_000))
    first = shard.read(verify())
    assert (first.intact, first.count, first.next_sequence) == (True, 10_000, 10_001)
    rest = shard.read(verify(from_sequence=first.next_sequence))
    assert (rest.intact, rest.count, rest.next_sequence) == (True, 2_000, 0)
    last = shard.read(read(from_sequence=12_000)).events[0]
    assert first.last_hash == shard.read(read(from_sequence=10_000, limit=1)).events[0].hash
    assert rest.last_hash == last.hash
    few = shard.read(verify(from_sequence=5, limit=3))
    assert (few.count, few.next_sequence) == (3, 8)
    for beyond in (12_001, 2**64 - 1):
        nothing = shard.read(verify(from_sequence=beyond))
        assert (nothing.intact, nothing.count, nothing.next_sequence) == (True, 0, 0)
    with pytest.raises(Refused, match="limit: 10001, at most 10000"):
        shard.read(verify(limit=10_001))


def test_a_page_of_a_chain_is_bounded_by_bytes_too() -> None:
    shard = Shard()
    shard.write(append_many(*[b'"%s"' % (b"x" * 1_000_000)] * 40))
    counts, sequence = [], 1
    while sequence:
        page = shard.read(verify(from_sequence=sequence))
        counts.append(page.count)
        sequence = page.next_sequence
    assert counts == [16, 16, 8]


@pytest.mark.parametrize("place", [2, 3, 4, 6])
def test_a_break_is_found_in_its_page_and_where_the_next_begins(place: int) -> None:
    shard = Shard()
    shard.write(append_many(*(b"%d" % number for number in range(7))))
    stream = shard.machine._spaces[NAMESPACE].projection(StreamsProjection).streams["ticket:1458"]
    stream.hashes[(place - 1) * 32] ^= 1
    broken, sequence = [], 1
    while sequence:
        page = shard.read(verify(from_sequence=sequence, limit=3))
        broken.append(page.first_broken_sequence)
        sequence = page.next_sequence
    whole = shard.read(verify()).first_broken_sequence
    assert whole == place == next(filter(None, broken))


def test_reads_go_on_from_a_sequence_and_end_before_they_are_too_big() -> None:
    shard = Shard(Limits(page_bytes_max=1_100))
    shard.write(append_many(*(b"%d" % number for number in range(20))))
    first = shard.read(read())
    assert 0 < len(first.events) < 20 and first.last_sequence == 20
    second = shard.read(read(from_sequence=first.events[-1].sequence + 1))
    assert second.events[0].prev_hash == first.events[-1].hash
    assert [event.payload for event in shard.read(read(from_sequence=3, limit=2)).events] == [b"2", b"3"]


def test_streams_are_listed_by_name_in_pages() -> None:
    shard = Shard()
    names = [f"ticket:{number}" for number in range(5)] + ["user:1"]
    shard.entry(*(append(b"1", stream=name) for name in reversed(names)))
    shard.write(append(b"2", stream="user:1"))
    listing = stream_pb2.ListStreamsRequest(namespace=NAMESPACE)
    everything = shard.read(listing)
    assert list(everything.streams) == names
    assert list(everything.last_sequences) == [1, 1, 1, 1, 1, 2]
    listing.prefix, listing.limit = "ticket:", 3
    page = shard.read(listing)
    assert list(page.streams) == names[:3]
    listing.cursor = page.next_cursor
    page = shard.read(listing)
    assert (list(page.streams), page.next_cursor) == (names[3:5], "")


def test_columns_that_do_not_match_are_refused_by_the_machine_too() -> None:
    shard = Shard()
    shard.check = False
    with pytest.raises(Refused, match="types"):
        shard.write(append_many(b"1", b"2", b"3", types=("a", "b")))
    assert shard.read(read()).last_sequence == 0


def ranged(**fields: Any) -> stream_pb2.ReadStreamRequest:
    return stream_pb2.ReadStreamRequest(namespace=NAMESPACE, stream="ticket:1458", **fields)


def sequences(answer: Any) -> list[int]:
    return [event.sequence for event in answer.events]


def ten_events() -> Shard:
    """Ten events: the n-th at START + n seconds, but 5 to 7 in one entry, and one of another stream first."""
    shard = Shard()
    for number in (1, 2, 3, 4):
        shard.write(append(b"%d" % number))
    shard.write(append_many(b"5", b"6", b"7"))
    for number in (8, 9, 10):
        shard.write(append(b"%d" % number))
    return shard


def test_a_range_is_read_by_sequence_and_by_time_in_both_directions() -> None:
    shard = ten_events()
    second = [0, *(START_US + n * SECOND_US for n in range(1, 9))]  # of entry n
    for newest_first in (False, True):
        for fields, expected in (
            ({}, range(1, 11)),
            ({"from_sequence": 4, "until_sequence": 6}, range(4, 7)),
            ({"until_sequence": 99}, range(1, 11)),
            ({"from_time_us": second[3]}, range(3, 11)),
            ({"until_time_us": second[3]}, range(1, 3)),
            ({"from_time_us": second[5], "until_time_us": second[5] + 1}, range(5, 8)),
            ({"from_time_us": second[3], "from_sequence": 6, "until_time_us": second[8]}, range(6, 10)),
            ({"from_time_us": second[8] + 1}, ()),
            ({"until_time_us": second[1]}, ()),
            ({"until_time_us": 1}, ()),
            ({"from_sequence": 7, "until_sequence": 6}, ()),
        ):
            answer = shard.read(ranged(newest_first=newest_first, **fields))  # type: ignore[arg-type]
            assert sequences(answer) == (list(expected)[::-1] if newest_first else list(expected))
            assert (answer.last_sequence, answer.next_cursor) == (10, "")
            for event in answer.events:
                assert event.hash == hash_as_the_contract_says(event, "ticket:1458")
    assert sequences(shard.read(ranged(newest_first=True, limit=2), at_index=4)) == [4, 3]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_range_is_paged_however_many_events_come_meanwhile(newest_first: bool) -> None:
    shard = ten_events()
    found: list[int] = []
    cursor = ""
    while True:
        request = ranged(from_sequence=2, newest_first=newest_first, limit=4, cursor=cursor)
        if len(found) < 8:
            answer = shard.read(request)
            shard.write(append(b"0"))
        else:
            answer = shard.read(request, at_index=8)
        found += sequences(answer)
        cursor = answer.next_cursor
        if not cursor:
            break
    assert found == ([*range(10, 1, -1)] if newest_first else [*range(2, 11)])


def test_a_page_of_events_ends_before_it_grows_too_large() -> None:
    shard = Shard(Limits(page_bytes_max=1_100))
    shard.write(append_many(*(b'"%s"' % (b"x" * 300),) * 5))
    answer = shard.read(ranged(newest_first=True))
    assert sequences(answer) == [5, 4]
    assert sequences(shard.read(ranged(newest_first=True, cursor=answer.next_cursor))) == [3, 2]


def test_a_cursor_of_another_range_is_refused() -> None:
    shard = ten_events()
    cursor = shard.read(ranged(limit=2)).next_cursor
    assert sequences(shard.read(ranged(limit=3, cursor=cursor))) == [3, 4, 5]
    for fields in ({"newest_first": True}, {"until_sequence": 9}, {"until_time_us": 5}, {"from_time_us": 5}):
        with pytest.raises(Refused, match="cursor"):
            shard.read(ranged(cursor=cursor, **fields))
    with pytest.raises(Refused, match="cursor"):
        shard.read(stream_pb2.ReadStreamRequest(namespace=NAMESPACE, stream="other", cursor=cursor))
    with pytest.raises(Refused, match=r"from_time_us: .* not negative"):
        shard.read(ranged(from_time_us=-1))


def tail(from_sequence: int = 0, limit: int = 0) -> stream_pb2.TailStreamRequest:
    return stream_pb2.TailStreamRequest(
        namespace=NAMESPACE, stream="ticket:1458", from_sequence=from_sequence, limit=limit
    )


def test_a_tail_reads_what_comes_next() -> None:
    shard = Shard()
    assert shard.read(tail()).next_sequence == 1
    shard = ten_events()
    answer = shard.read(tail(9))
    assert (sequences(answer), answer.next_sequence) == ([9, 10], 11)
    answer = shard.read(tail(2, limit=3))
    assert (sequences(answer), answer.next_sequence) == ([2, 3, 4], 5)
    for beyond in (0, 11, 12):
        answer = shard.read(tail(beyond))
        assert (sequences(answer), answer.next_sequence) == ([], beyond or 11)
    with pytest.raises(Refused, match="only what comes can be followed"):
        shard.read(tail(), at_index=3)


def test_streams_whose_names_begin_alike_are_read_back_from_a_disk() -> None:
    shard, disk = Shard(), Disk()
    shard.machine = Machine(0, journal=Journal())
    shard.check = False  # names with a zero byte are refused by servers
    names = ("k", "k\0", "k\0\xff", "kk")
    for name in names:
        shard.entry(append(b"1", name), append(b"2", name))
    disk.save(shard.machine)
    shard.machine = disk.load()
    for name in names:
        found = shard.read(stream_pb2.ReadStreamRequest(namespace=NAMESPACE, stream=name))
        assert [event.payload for event in found.events] == [b"1", b"2"]

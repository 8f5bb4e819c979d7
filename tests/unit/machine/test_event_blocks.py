"""Events that are kept in blocks: the same to every reader as those that came one by one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memraft_proto.v1 import fork_pb2, stream_pb2
from memraft_server.machine import Refused
from memraft_server.machine.facts import Encoder
from memraft_server.machine.journal import Journal
from memraft_server.machine.limits import POSITION_BITS
from memraft_server.machine.loader import load
from memraft_server.machine.machine import Machine
from memraft_server.projections.events import BLOCK_BYTES_MAX, BLOCK_EVENTS_MAX, BLOCK_EVENTS_MIN, EventBlock
from memraft_server.projections.streams import Stream, StreamsProjection
from tests.unit.machine.harness import NAMESPACE, START_US, Shard, command, session
from tests.unit.machine.test_retention import Kept
from tests.unit.machine.test_streams import append, append_many, hash_as_the_contract_says, read, verify

STREAM = "ticket:1458"
MANY = BLOCK_EVENTS_MIN * 3


def texts(count: int, size: int = 10) -> list[bytes]:
    return [b'"%*d"' % (size, number) for number in range(count)]


def stream_of(machine: Machine, namespace: str = NAMESPACE) -> Stream:
    return machine.spaces.by_name[namespace].projection(StreamsProjection).streams[STREAM]


def parts_of(stream: Stream) -> list[object]:
    return list(stream.events._parts)


def events_of(shard: Shard, **where: int) -> Iterator[stream_pb2.Event]:
    request = read()
    while True:
        page = shard.read(request, **where)
        yield from page.events
        if not page.next_cursor:
            return
        request.cursor = page.next_cursor


@pytest.mark.parametrize("types", [("note",), tuple(f"é{n % 3}" for n in range(MANY))])
def test_a_block_is_chained_as_the_contract_says(types: tuple[str, ...]) -> None:
    shard = Shard()
    shard.write(append(b"1"))
    request = append_many(*texts(MANY), types=types)
    request.context.CopyFrom(session(1, run="r1"))
    reply = shard.write(request)
    shard.write(append(b"2"))
    assert [type(each) is EventBlock for each in parts_of(stream_of(shard.machine))] == [False, True, False]
    events = list(events_of(shard))
    assert [event.sequence for event in events] == list(range(1, MANY + 3))
    assert [event.payload for event in events[1:-1]] == texts(MANY)
    assert [event.type for event in events[1:-1]] == list(types * (MANY if len(types) == 1 else 1))
    assert {event.run for event in events[1:-1]} == {"r1"}
    prev_hash = bytes(32)
    for event in events:
        assert event.prev_hash == prev_hash
        prev_hash = hash_as_the_contract_says(event, STREAM)
        assert event.hash == prev_hash
    assert reply.last_hash == events[-2].hash and reply.first_sequence == 2
    assert len({event.event_id for event in events}) == len(events)
    assert shard.read(verify()).intact


def test_a_block_is_bounded_and_its_events_are_read_by_sequence_time_and_past() -> None:
    shard = Shard()
    payloads = texts(100, BLOCK_BYTES_MAX // 30)
    shard.write(append_many(*payloads, b'"%s"' % (b"x" * 2 * BLOCK_BYTES_MAX), b"1"))
    first_us = shard.time_us
    shard.write(append_many(*texts(MANY)))
    blocks = parts_of(stream_of(shard.machine))
    assert len(blocks) == 7
    assert sum(isinstance(each, EventBlock) and len(each.data) > BLOCK_BYTES_MAX for each in blocks) == 1
    assert [event.payload for event in shard.read(read(from_sequence=99, limit=2)).events] == payloads[98:]
    assert len(list(events_of(shard, at_index=1))) == 102 == len(list(events_of(shard, at_time_us=first_us)))
    request = read(limit=3)
    request.newest_first = True
    assert [event.payload for event in shard.read(request).events] == texts(MANY)[:-4:-1]
    request = read()
    request.from_time_us = first_us + 1
    assert [event.payload for event in shard.read(request).events] == texts(MANY)


def test_a_change_within_a_block_is_found() -> None:
    shard = Shard()
    shard.write(append_many(*texts(MANY)))
    (block,) = parts_of(stream_of(shard.machine))
    assert isinstance(block, EventBlock)
    place = block.ends[40] - 2
    block.data = block.data[:place] + b"x" + block.data[place + 1 :]
    verdict = shard.read(verify())
    assert (verdict.intact, verdict.first_broken_sequence) == (False, 41)


def test_a_fork_goes_on_from_the_middle_of_a_stream_of_blocks() -> None:
    shard = Shard()
    shard.write(append_many(*texts(MANY)))
    middle = (1 << POSITION_BITS) + MANY // 2 - 1
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="what-if", at_version=middle))
    more = append_many(*texts(MANY))
    more.namespace = f"{NAMESPACE}@what-if"
    assert shard.write(more).first_sequence == MANY // 2 + 1
    check = verify()
    check.namespace = more.namespace
    verdict = shard.read(check)
    assert (verdict.intact, verdict.count) == (True, MANY // 2 + MANY)
    assert len(stream_of(shard.machine, more.namespace).own_events()) == MANY


def test_blocks_are_on_disk_as_one_row_each_and_read_back() -> None:
    shard = Shard()
    shard.machine = machine = Machine(0, journal=Journal())
    shard.write(append(b"1"))
    shard.write(append_many(*texts(MANY), types=("a", "b") * (MANY // 2)))
    shard.write(append_many(*texts(100, BLOCK_BYTES_MAX // 30)))
    shard.write(append(b"2"))
    sealed = machine.seal()
    rows = sorted((key, value) for key, value in sealed.all(Encoder()) if value is not None)
    assert sum(key.startswith(b"e") for key, _ in rows) == len(parts_of(stream_of(machine))) == 7
    again, beyond = load(rows, sealed.label)
    assert not beyond
    was, now = stream_of(machine), stream_of(again)
    assert list(now.events) == list(was.events) and now.hashes == was.hashes
    assert again.usage("acme").bytes == machine.usage("acme").bytes
    assert again.usage("acme").records == machine.usage("acme").records
    for each in (machine, again):
        each.apply(9, START_US + 9, 3, [command(append_many(*texts(MANY)))])
    assert again.applied_hash == machine.applied_hash


@pytest.mark.parametrize("bad", [b"{", b'"\xff"', b"[1", b""])
def test_one_payload_that_is_no_json_is_named(bad: bytes) -> None:
    shard = Shard()
    payloads = [*texts(MANY), bad, b"2]"]
    with pytest.raises(Refused, match=rf"payloads\[{MANY}\]: not JSON in UTF-8"):
        shard.write(append_many(*payloads))
    shard.write(append_many(*texts(MANY), '"é"'.encode()))


def test_a_block_is_forgotten_as_a_whole_and_none_is_split() -> None:
    shard = Shard()
    shard.machine = machine = Machine(0, journal=Journal())
    shard.write(append(b"1"))
    for _ in range(3):
        shard.write(append_many(*texts(MANY)))
    stream = stream_of(machine)
    machine.seal()
    streams = machine.spaces.by_name[NAMESPACE].projection(StreamsProjection)
    used = machine.usage("acme").bytes
    count, version = streams.trim(STREAM, 2 * MANY, (1 << 62) - 1)
    assert (count, stream.forgotten) == (1 + MANY, 1 + MANY)
    assert version == stream.events.version(stream.forgotten) - (1 << POSITION_BITS) + MANY - 1
    assert [len(key) for key, _ in machine.seal().changes] == [len(stream.key) + 16, len(stream.key) + 20]
    assert used - machine.usage("acme").bytes > MANY * 100
    assert streams.trim(STREAM, 2 * MANY, (1 << 62) - 1) == (0, 0)
    assert streams.trim(STREAM, 99 * MANY, (1 << 62) - 1)[0] == MANY  # the last block has the last event
    events = shard.read(read()).events
    assert [event.sequence for event in events] == list(range(2 * MANY + 2, 3 * MANY + 2))
    assert shard.read(verify()).count == MANY and shard.read(verify()).intact


def test_a_rule_of_retention_lets_blocks_go_and_then_rests() -> None:
    shard = Kept()
    for _ in range(3):
        shard.write(append_many(*texts(BLOCK_EVENTS_MAX + MANY)))
    shard.retain(events=10)
    assert shard.trim() == 2 * (BLOCK_EVENTS_MAX + MANY) + BLOCK_EVENTS_MAX  # the last block has the ten
    shard.machine = again = shard.reloaded()
    assert stream_of(again).forgotten == 3 * BLOCK_EVENTS_MAX + 2 * MANY
    assert [event.payload for event in events_of(shard)] == texts(BLOCK_EVENTS_MAX + MANY)[-MANY:]
    assert shard.read(verify()).intact
    with pytest.raises(Refused, match="2 was forgotten"):
        shard.read(read(from_sequence=2))

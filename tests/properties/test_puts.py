"""Batches of puts have a way of their own: what comes of it is what the plain way comes to, to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memraft_proto.methods import COMMANDS, KIND_BATCH
from memraft_proto.v1 import batch_pb2, namespace_pb2, run_pb2
from memraft_server.entries import EntryBuilder, decode_entry, encode_command
from memraft_server.machine import Command, Limits, Machine, Refused
from memraft_server.machine.facts import Encoder
from memraft_server.machine.journal import Journal
from memraft_server.machine.puts import plain_puts, varint
from memraft_server.machine.validate import check_write

NAMESPACE = "acme/x"

keys = st.sampled_from(["a", "b", "ä" * 70, "k" * 200, "k" * 12_000, "0", "c\N{NO-BREAK SPACE}d", ""])
values = st.sampled_from(
    [
        b"1",
        b'"0"',
        b'"%b"' % (b"v" * 105),
        b'"%b"' % (b"v" * 130),
        b'"%b"' % (b"v" * 20_000),
        '"ü"'.encode(),
        b"{",
        b"",
    ]
)
numbers = st.one_of(st.integers(0, 1 << 20), st.integers(0, 1 << 63))


KINDS = {message: kind for kind, message in COMMANDS.items()}


def plain(raw: bytes) -> Command:
    return Command(KIND_BATCH, "agent", batch_pb2.BatchRequest.FromString(raw))


def cut(raw: bytes) -> Command:
    """As on the leader."""
    return Command(KIND_BATCH, "agent", batch_pb2.BatchRequest.FromString(raw), plain_puts(raw))


def followed(raw: bytes) -> Command:
    """As on a follower, and after a start."""
    (command,) = decode_entry(
        EntryBuilder().build([encode_command(KIND_BATCH, "agent", raw, plain_puts(raw))])
    )[2]
    return command


WAYS = (plain, cut, followed)


@st.composite
def operations(draw: st.DrawFn, is_plain: bool) -> batch_pb2.Operation:
    operation = batch_pb2.Operation()
    put = operation.put
    put.key, put.value = draw(keys), draw(values)
    if is_plain:
        return operation
    match draw(st.sampled_from(["ttl", "condition", "absent", "delete", "nothing", "namespace", "context"])):
        case "ttl":
            put.ttl_ms = 5
        case "condition":
            put.if_version = draw(st.integers(1, 1 << 40))
        case "absent":
            put.if_version = 0
        case "delete":
            operation.delete.key = "a"
        case "nothing":
            operation.ClearField("put")
        case "namespace":
            put.namespace = NAMESPACE
        case "context":
            put.context.run = "r"
    return operation


@st.composite
def batches(draw: st.DrawFn) -> batch_pb2.BatchRequest:
    request = batch_pb2.BatchRequest(namespace=NAMESPACE)
    is_plain = st.sampled_from([True] * 9 + [False])
    for _ in range(draw(st.integers(0, 12))):
        request.operations.append(draw(operations(draw(is_plain))))
    if draw(st.booleans()):
        request.context.client_id = bytes(16)
        request.context.request_number = request.context.first_unanswered = draw(st.integers(1, 3))
    if draw(st.integers(0, 3)) == 0:
        request.context.run = "r"
    return request


def is_plain(operation: batch_pb2.Operation) -> bool:
    fields = [field.name for field, _ in operation.put.ListFields()]
    return operation.WhichOneof("operation") == "put" and fields == ["key", "value"]


@given(batches())
def test_what_is_put_is_read_from_the_bytes_where_it_is_all(request: batch_pb2.BatchRequest) -> None:
    puts = plain_puts(request.SerializeToString())
    if not request.operations or not all(map(is_plain, request.operations)):
        assert puts is None
        return
    assert puts is not None
    assert puts.keys == [each.put.key for each in request.operations]
    assert puts.values == [each.put.value for each in request.operations]


@given(batches(), st.data())
def test_bytes_that_mean_the_same_but_are_written_otherwise_are_left_to_the_parser(
    request: batch_pb2.BatchRequest, data: st.DataObject
) -> None:
    """What a client of another kind may send: unknown fields, a field twice, parts of a batch apart."""
    raw = request.SerializeToString()
    more = data.draw(st.sampled_from([b"\x22\x01x", b"\x28\x01", b"\x1a\x00", b"\x1a\x02\x0a\x00", b"\x80"]))
    assert plain_puts(raw + more) is None
    puts = plain_puts(raw + raw)
    if puts is not None:
        twice = batch_pb2.BatchRequest.FromString(raw + raw)
        assert puts.keys == [each.put.key for each in twice.operations]


@given(st.lists(batches(), min_size=1, max_size=5), st.integers(1, 1 << 40), st.integers(1, 1 << 55))
def test_both_ways_come_to_the_same(batches: list[batch_pb2.BatchRequest], index: int, time_us: int) -> None:
    """Replies, hash, totals, and all rows on disk; several batches an entry, and an entry after it. The third
    is a follower, who has the columns out of the entry. At first a time to live keeps all from the short
    way, and a run is recorded."""
    machines = [Machine(0, journal=Journal()) for _ in WAYS]
    settings = namespace_pb2.SetNamespaceSettingsRequest(namespace=NAMESPACE, default_ttl_ms=9)
    run = run_pb2.BeginRunRequest(namespace=NAMESPACE, run_id="r", record=True)
    first = [Command(KINDS[type(each)], "agent", each) for each in (settings, run)]
    settings = namespace_pb2.SetNamespaceSettingsRequest(namespace=NAMESPACE, default_ttl_ms=0)
    for each in machines:
        each.apply(index, time_us, 7, first, b"first")
    for at in (1, 2):
        found = []
        for each, way in zip(machines, WAYS, strict=True):
            commands = [way(request.SerializeToString()) for request in batches]
            commands.append(Command(KINDS[type(settings)], "agent", settings))
            replies = each.apply(index + at, time_us, 7, commands, b"all of them")
            found.append([str(reply) for reply in replies])
        assert found[0] == found[1] == found[2]
        assert len({each.applied_hash for each in machines}) == 1
    usages = [machine.usage("acme") for machine in machines]
    assert len({(each.bytes, each.records) for each in usages}) == 1
    rows = [machine.seal().all(Encoder()) for machine in machines]
    assert rows[0] == rows[1] == rows[2]
    spaces = [machine.space(NAMESPACE) for machine in machines]
    listed = [[*space.kv.keys.from_name("")] for space in spaces if space is not None]
    assert listed[0] == listed[1] == listed[2]


def test_a_follower_parses_no_operation() -> None:
    request = batch_pb2.BatchRequest(namespace=NAMESPACE)
    for number in range(300):
        request.operations.add().put.key = f"{number}"
        request.operations[-1].put.value = b"1"
    command = followed(request.SerializeToString())
    machine = Machine(0)
    machine.apply(1, 5, 1, [command], b"x")
    assert not command.request.operations  # type: ignore[attr-defined]
    assert machine.usage("acme").records == 300


def test_the_hash_covers_documents_whichever_way_they_came() -> None:
    hashes = set()
    for value in (b"1", b"2"):
        request = batch_pb2.BatchRequest(namespace=NAMESPACE)
        request.operations.add().put.key = "k"
        request.operations[0].put.value = value
        for way in WAYS:
            machine = Machine(0)
            machine.apply(1, 5, 1, [way(request.SerializeToString())])
            hashes.add(machine.applied_hash)
    assert len(hashes) == 2


@given(batches())
def test_what_is_refused_is_refused_in_the_same_words(request: batch_pb2.BatchRequest) -> None:
    puts = plain_puts(request.SerializeToString())
    told = []
    for each in (puts, None):
        try:
            check_write(KIND_BATCH, request, Limits(key_bytes_max=150, value_bytes_max=10_000), each)
            told.append("")
        except Refused as refused:
            told.append(str(refused))
    assert told[0] == told[1]


@given(numbers)
def test_numbers_are_written_as_protobuf_writes_them(number: int) -> None:
    assert (
        b"\x10" + varint(number) == batch_pb2.BatchResponse(log_index=number).SerializeToString()
        or not number
    )


@pytest.mark.parametrize("first", [1, 126, 127, 128, (1 << 14) - 3, (1 << 35) - 2])
def test_versions_of_every_length_are_told(first: int) -> None:
    request = batch_pb2.BatchRequest(namespace=NAMESPACE)
    for number in range(300):
        request.operations.add().put.key = f"{number}"
        request.operations[-1].put.value = b"1"
    raw = request.SerializeToString()
    (reply,) = Machine(0).apply(first, 5, 1, [Command(KIND_BATCH, "a", request, plain_puts(raw))], raw)
    assert isinstance(reply, batch_pb2.BatchResponse)
    assert [each.put.version for each in reply.results] == [(first << 20) + at for at in range(300)]
    assert (reply.log_index, reply.time_us) == (first, 5)

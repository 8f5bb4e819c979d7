"""Log entries: the bytes that came, a stamp, and nothing that cannot be read back."""

from __future__ import annotations

import pytest

from memraft_proto.methods import COMMANDS, KIND_BATCH, KIND_EXPIRE
from memraft_proto.v1 import batch_pb2, kv_pb2, log_pb2
from memraft_server.entries import (
    EntryBuilder,
    EntryMalformed,
    decode_entry,
    decode_header,
    encode_command,
)
from memraft_server.machine import Machine
from memraft_server.machine.puts import Puts
from memraft_server.replica import Replica

PUT = kv_pb2.PutRequest(namespace="acme/x", key="k", value=b"1")
builder = EntryBuilder(clock_us=lambda: 1_700_000_000_000_000, seed=lambda: (1 << 64) - 1)


def test_commands_come_back_as_they_went_in() -> None:
    batch = batch_pb2.BatchRequest(namespace="acme/x", operations=[batch_pb2.Operation(put=PUT)])
    expire = log_pb2.ExpireCommand(namespace="acme/x", keys=["k"], versions=[1])
    commands = [(1, "support", PUT), (KIND_BATCH, "söpport/ä", batch), (KIND_EXPIRE, "", expire)]
    data = builder.build([encode_command(k, agent, m.SerializeToString()) for k, agent, m in commands])
    time_us, seed, decoded = decode_entry(data)
    assert (time_us, seed) == decode_header(data) == (1_700_000_000_000_000, (1 << 64) - 1)
    assert [(each.kind, each.agent, each.request) for each in decoded] == commands


def test_the_bytes_of_the_request_are_in_the_entry_as_they_came() -> None:
    raw = PUT.SerializeToString() + b"\xf8\x07\x01"  # with a field that this version does not know
    assert raw in builder.build([encode_command(1, "support", raw)])


def test_a_follower_that_parses_and_the_leader_that_does_not_agree() -> None:
    leader, follower = Replica(Machine(0)), Replica(Machine(0))
    data = builder.build([encode_command(1, "support", PUT.SerializeToString())])
    local = decode_entry(data)[2]
    assert leader.apply(2, data, local) == Machine(0).apply(2, *decode_entry(data), data)
    assert follower.apply(2, data, None) == [], "nobody waits there"
    assert leader.machine.applied_hash == follower.machine.applied_hash


def test_replicas_whose_entries_differ_tell_by_their_hash() -> None:
    replicas = [Replica(Machine(0)) for _ in range(3)]
    writes = [("support", b"1"), ("support", b"2"), ("desk", b"1")]
    for replica, (agent, value) in zip(replicas, writes, strict=True):
        request = kv_pb2.PutRequest(namespace="acme/x", key="k", value=value)
        replica.apply(1, builder.build([encode_command(1, agent, request.SerializeToString())]), None)
    assert len({replica.machine.applied_hash for replica in replicas}) == 3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x03" + b"\0" * 30,
        builder.build([encode_command(99, "a", b"")]),
        builder.build([encode_command(1, "a", b"\xff\xff")]),
        builder.build([encode_command(1, "a", b"")])[:-1],
        builder.build([encode_command(1, "a", b"", Puts(["k"], [b"1"], b""))]),
        builder.build([encode_command(KIND_BATCH, "a", b"", Puts(["k"], [], b""))]),
    ],
    ids=["nothing", "another format", "unknown kind", "no request", "torn", "another's columns", "uneven"],
)
def test_what_cannot_be_read_is_never_skipped(data: bytes) -> None:
    with pytest.raises(EntryMalformed):
        decode_entry(data)


def test_entries_of_the_version_before_are_read() -> None:
    request = batch_pb2.BatchRequest(namespace="acme/x")
    request.operations.add().put.key = "k"
    request.operations[0].put.value = b"1"
    data = bytearray(builder.build([encode_command(KIND_BATCH, "a", request.SerializeToString())]))
    data[0] = 1
    (command,) = decode_entry(bytes(data))[2]
    assert command.request == request
    assert command.puts == Puts(["k"], [b"1"], b"\n\x06acme/x")


def test_every_kind_has_a_message() -> None:
    assert {KIND_BATCH, KIND_EXPIRE} < COMMANDS.keys()

"""Settings of a namespace: what follows from them for documents, at which moment, and in forks."""

from __future__ import annotations

from typing import Any

import pytest

from memraft_proto.v1 import (
    batch_pb2,
    common_pb2,
    fork_pb2,
    kv_pb2,
    lease_pb2,
    namespace_pb2,
    txn_pb2,
)
from memraft_server.machine import Refused, check_write
from memraft_server.machine.handlers_settings import EVICTED_KEYS_BYTES_MAX, SCHEMA_BYTES_MAX, SCHEMAS_MAX
from memraft_server.machine.journal import Journal
from memraft_server.machine.machine import Machine
from memraft_server.projections.past import PastRoom
from memraft_server.projections.versions import Record
from tests.unit.machine.harness import LIMITS, NAMESPACE, SECOND_US, Shard, command, session

FORK = f"{NAMESPACE}@f"


def put(shard: Shard, key: str, value: bytes = b"1", namespace: str = NAMESPACE, **more: Any) -> Any:
    return shard.write(kv_pb2.PutRequest(namespace=namespace, key=key, value=value, **more))


def configure(shard: Shard, namespace: str = NAMESPACE, **settings: int) -> Any:
    return shard.write(namespace_pb2.SetNamespaceSettingsRequest(namespace=namespace, **settings))


def set_schema(shard: Shard, prefix: str, schema: bytes = b"{}", namespace: str = NAMESPACE) -> Any:
    request = namespace_pb2.SetSchemaRequest(namespace=namespace, prefix=prefix, schema=schema)
    return shard.write(request)


def settings(shard: Shard, namespace: str = NAMESPACE, **when: int) -> Any:
    return shard.read(namespace_pb2.GetNamespaceSettingsRequest(namespace=namespace), **when)


def get(shard: Shard, key: str, namespace: str = NAMESPACE, **when: int) -> Any:
    return shard.read(kv_pb2.GetRequest(namespace=namespace, key=key), **when)


def keys(shard: Shard, namespace: str = NAMESPACE) -> list[str]:
    return list(shard.read(kv_pb2.ListRequest(namespace=namespace)).keys)


def history(shard: Shard, key: str) -> list[Any]:
    return list(shard.read(kv_pb2.HistoryRequest(namespace=NAMESPACE, key=key)).versions)


def sweep(shard: Shard) -> None:
    """Has done what a leader does unasked."""
    due_us = shard.machine.next_due_us()
    while due_us is not None and due_us <= shard.time_us:
        shard.machine.apply(
            shard.machine.applied_index + 1, shard.time_us, 1, shard.machine.due(shard.time_us, 100)
        )
        due_us = shard.machine.next_due_us()


def test_what_is_written_without_a_time_to_live_has_that_of_its_namespace() -> None:
    shard = Shard()
    put(shard, "before")
    version = configure(shard, default_ttl_ms=60_000).version
    put(shard, "after")
    put(shard, "own", ttl_ms=1_000)
    columns = kv_pb2.MultiPutRequest(
        namespace=NAMESPACE, keys=["m0", "m1"], values=[b"1", b"2"], ttls_ms=[0, 5_000]
    )
    written = shard.write(columns)
    configure(shard, default_ttl_ms=0)
    put(shard, "since")
    assert get(shard, "before").expires_at_us == 0 == get(shard, "since").expires_at_us
    after = get(shard, "after")
    assert after.expires_at_us == after.provenance.time_us + 60 * SECOND_US
    own = get(shard, "own")
    assert own.expires_at_us == own.provenance.time_us + SECOND_US
    assert get(shard, "m0").expires_at_us == written.time_us + 60 * SECOND_US
    assert get(shard, "m1").expires_at_us == written.time_us + 5 * SECOND_US
    assert settings(shard, at_index=version >> 20).default_ttl_ms == 60_000
    assert settings(shard, at_index=(version >> 20) - 1).default_ttl_ms == 0
    assert settings(shard).default_ttl_ms == 0
    shard.time_us += 61 * SECOND_US
    sweep(shard)
    assert keys(shard) == ["before", "since"]
    assert [each.reason for each in history(shard, "after")] == [common_pb2.END_REASON_EXPIRED, 0]


def test_settings_that_are_left_out_stay_as_they_are() -> None:
    shard = Shard()
    configure(shard, entries_max=10, default_ttl_ms=5)
    configure(shard, bytes_max=2_000)
    found = settings(shard)
    assert (found.default_ttl_ms, found.entries_max, found.bytes_max) == (5, 10, 2_000)
    assert found.bounds_provenance.version > found.ttl_provenance.version > 0
    assert found.bounds_provenance.agent == "alice"
    configure(shard, entries_max=0, bytes_max=0)
    assert (settings(shard).entries_max, settings(shard).bytes_max, settings(shard).entries) == (0, 0, 0)


def test_documents_that_were_not_used_for_longest_are_evicted() -> None:
    shard = Shard()
    configure(shard, entries_max=3)
    for number in range(3):
        put(shard, f"k{number}")
    assert shard.machine.next_due_us() is None
    get(shard, "k0")
    shard.read(kv_pb2.MultiGetRequest(namespace=NAMESPACE, keys=["k1", "missing"]))
    get(shard, "k2", at_index=4)  # a read of the past is no use of what is there now
    written = put(shard, "k3")
    sweep(shard)
    assert keys(shard) == ["k0", "k1", "k3"]
    shard.machine.kv_head(NAMESPACE, "k0")
    put(shard, "k4")
    sweep(shard)
    assert keys(shard) == ["k0", "k3", "k4"]
    ended, began = history(shard, "k1")
    assert ended.deleted and ended.reason == common_pb2.END_REASON_EVICTED
    assert (ended.provenance.agent, ended.provenance.tool) == ("", "eviction")
    assert not began.deleted and began.reason == common_pb2.END_REASON_UNSPECIFIED
    assert get(shard, "k1", at_index=written.version >> 20).value == b"1"
    assert settings(shard).entries == 3
    shard.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key="k0"))
    assert history(shard, "k0")[0].reason == common_pb2.END_REASON_DELETED
    assert settings(shard).entries == 2


def test_so_many_bytes_and_no_more_but_always_the_document_used_last() -> None:
    shard = Shard()
    configure(shard, bytes_max=100)
    for key in "abc":
        put(shard, key, b'"' + b"x" * 37 + b'"')  # 40 bytes with its key
    sweep(shard)
    assert keys(shard) == ["b", "c"] and settings(shard).bytes == 80
    put(shard, "d", b'"' + b"x" * 200 + b'"')
    sweep(shard)
    assert keys(shard) == ["d"] and settings(shard).bytes == 203
    put(shard, "d", b"1")
    assert settings(shard).bytes == 2


def test_a_bound_that_comes_later_evicts_what_was_written_first() -> None:
    shard = Shard()
    for number in range(30):
        put(shard, f"k{(7 * number) % 30:02}")
    put(shard, "k00")
    configure(shard, entries_max=2)
    sweep(shard)
    assert keys(shard) == ["k00", f"k{(7 * 29) % 30:02}"]


def test_a_command_that_evicts_has_so_many_bytes_of_keys_at_most() -> None:
    shard = Shard()
    long_keys = [f"{number:0500}" for number in range(1_000)]
    shard.write(kv_pb2.MultiPutRequest(namespace=NAMESPACE, keys=long_keys, values=[b"1"] * 1_000))
    configure(shard, entries_max=100)
    [command] = shard.machine.due(shard.time_us, 100)
    assert 0.9 * EVICTED_KEYS_BYTES_MAX < sum(map(len, command.request.keys)) <= EVICTED_KEYS_BYTES_MAX
    sweep(shard)
    assert keys(shard) == long_keys[-99:]


def test_room_is_made_for_a_hundredth_more() -> None:
    shard = Shard()
    configure(shard, entries_max=200)
    many = kv_pb2.MultiPutRequest(namespace=NAMESPACE)
    for number in range(205):
        many.keys.append(f"k{number:03}")
        many.values.append(b"1")
    shard.write(many)
    sweep(shard)
    assert keys(shard) == [f"k{number:03}" for number in range(7, 205)]
    put(shard, "x")
    put(shard, "y")
    assert shard.machine.next_due_us() is None and settings(shard).entries == 200


def test_an_eviction_leaves_alone_what_was_written_since_it_was_decided() -> None:
    shard = Shard()
    configure(shard, entries_max=1)
    put(shard, "a")
    put(shard, "b")
    decided = shard.machine.due(shard.time_us, 100)
    put(shard, "a", b"2")
    assert len(decided) == 1
    reply: Any = shard.machine.apply(shard.machine.applied_index + 1, shard.time_us, 1, decided)[0]
    assert reply.count == 0
    sweep(shard)
    assert keys(shard) == ["a"]


def test_replicas_that_answered_other_reads_agree_on_what_one_of_them_evicts() -> None:
    leader, follower = Shard(), Shard()
    for shard in (leader, follower):
        configure(shard, entries_max=3)
        for key in "abcd":
            put(shard, key)
    get(leader, "a")
    get(follower, "b")
    assert follower.machine.next_due_us() == 0  # it would go on where the leader died
    (other,) = follower.machine.due(follower.time_us, 100)
    decided = leader.machine.due(leader.time_us, 100)
    assert list(other.request.keys) == ["a"] and list(decided[0].request.keys) == ["b"]  # type: ignore[attr-defined]
    for shard in (leader, follower):
        shard.machine.apply(shard.machine.applied_index + 1, leader.time_us, 1, decided)
        assert keys(shard) == ["a", "c", "d"] and shard.machine.next_due_us() is None
    assert leader.machine.applied_hash == follower.machine.applied_hash


class NoDisk:
    """A past that nothing may be read from."""

    def record(self, key: bytes) -> Record:
        raise AssertionError(f"{key!r} was read from the disk")


def test_nothing_of_the_past_is_read_from_the_disk_for_a_bound_or_for_a_transaction() -> None:
    shard = Shard()
    room = PastRoom(NoDisk(), bytes_max=0)
    shard.machine = Machine(0, journal=Journal(room))
    for _ in range(3):
        put(shard, "a")
        put(shard, "b")
    for _ in range(3):
        set_schema(shard, "p")
        configure(shard, default_ttl_ms=1_000, entries_max=5)
    configure(shard, entries_max=0)
    space = shard.machine.space(NAMESPACE)
    assert space is not None and space.settings is not None
    room.settle(shard.machine.ceiling)
    assert space.kv.records.cold and space.settings.records.cold
    configure(shard, entries_max=1)
    request = txn_pb2.CommitTxnRequest(namespace=NAMESPACE)
    request.context.schema_version = space.settings.schemas_version
    for key in ("b", "c"):
        request.operations.add(put=kv_pb2.PutRequest(key=key, value=b"2"))
    assert shard.write(request).committed
    sweep(shard)
    assert keys(shard) == ["c"]
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    told = settings(shard, FORK)
    assert (told.default_ttl_ms, told.entries_max, told.schemas) == (1_000, 1, 1)


def test_a_fork_begins_with_the_settings_of_its_parent_and_has_its_own_then() -> None:
    shard = Shard()
    configure(shard, entries_max=2, default_ttl_ms=60_000)
    set_schema(shard, "users/", b'{"type":"object"}')
    put_checked(shard, "a")
    put_checked(shard, "b")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    configure(shard, default_ttl_ms=0)
    set_schema(shard, "users/", b"")
    assert (settings(shard, FORK).default_ttl_ms, settings(shard, FORK).schemas) == (60_000, 1)
    assert (settings(shard).default_ttl_ms, settings(shard).schemas) == (0, 0)
    for key in ("x", "y", "z"):
        put_checked(shard, key, FORK)
    sweep(shard)
    # Of a fork counts what was written in it.
    assert keys(shard, FORK) == ["a", "b", "y", "z"] and keys(shard) == ["a", "b"]
    assert get(shard, "z", FORK).expires_at_us
    configure(shard, FORK, entries_max=0)
    shard.write(fork_pb2.MergeForkRequest(namespace=NAMESPACE, fork="f"))
    assert settings(shard).entries_max == 0 and keys(shard) == ["a", "b", "y", "z"]


def put_checked(shard: Shard, key: str, namespace: str = NAMESPACE) -> Any:
    """As the server, which checks documents and says by which schemas."""
    space = shard.machine.space(namespace)
    assert space is not None and space.settings is not None
    context = common_pb2.WriteContext(schema_version=space.settings.schemas_version)
    return put(shard, key, namespace=namespace, context=context)


def test_documents_that_were_not_checked_by_the_schemas_of_now_are_refused() -> None:
    shard = Shard()
    put(shard, "a")
    first = set_schema(shard, "a").version
    merge = batch_pb2.BatchRequest(namespace=NAMESPACE)
    merge.operations.add().put.key = "a"
    txn = txn_pb2.CommitTxnRequest(namespace=NAMESPACE)
    txn.operations.add().put.key = "a"
    many = kv_pb2.MultiPutRequest(namespace=NAMESPACE, keys=["zzz"], values=[b"1"])
    single = kv_pb2.PutRequest(namespace=NAMESPACE, key="a", value=b"1")
    shard.check = False
    for request in (merge, txn, many, single):
        with pytest.raises(Refused, match="SCHEMA_CHANGED"):
            shard.write(request)
        request.context.schema_version = first
        shard.write(request)
    shard.write(kv_pb2.DeleteRequest(namespace=NAMESPACE, key="a"))
    shard.write(lease_pb2.AcquireLeaseRequest(namespace=NAMESPACE, name="n", holder="h", ttl_ms=1_000))
    set_schema(shard, "a", b"")
    with pytest.raises(Refused, match="SCHEMA_CHANGED"):
        shard.write(single)
    assert settings(shard).schemas == 0


def test_a_write_that_was_refused_for_changed_schemas_may_come_again_under_its_number() -> None:
    shard = Shard()
    version = set_schema(shard, "a").version
    request = kv_pb2.PutRequest(namespace=NAMESPACE, key="a", value=b"1", context=session(1))
    with pytest.raises(Refused, match="SCHEMA_CHANGED"):
        shard.write(request)
    request.context.schema_version = version
    reply = shard.write(request)
    set_schema(shard, "a", b'{"type":"string"}')
    # Applied already: asked again, it has its reply, whatever the schemas are by now.
    assert shard.write(request) == reply


def test_schemas_are_listed_by_prefix_page_by_page_and_as_of_a_moment() -> None:
    shard = Shard()
    for prefix in ("b", "a/", "a/x", ""):
        set_schema(shard, prefix, f'"{prefix}"'.encode())
    index = shard.machine.applied_index
    assert set_schema(shard, "b", b"true").found
    assert not set_schema(shard, "unknown", b"").found

    def listed(**more: Any) -> Any:
        when = {"at_index": more.pop("at_index")} if "at_index" in more else {}
        return shard.read(namespace_pb2.ListSchemasRequest(namespace=NAMESPACE, **more), **when)

    assert [each.prefix for each in listed().schemas] == ["", "a/", "a/x", "b"]
    assert [each.prefix for each in listed(prefix="a/").schemas] == ["a/", "a/x"]
    assert [each.schema for each in listed(prefix="b").schemas] == [b"true"]
    assert [each.schema for each in listed(prefix="b", at_index=index).schemas] == [b'"b"']
    assert listed(at_index=0).schemas == []
    page = listed(limit=3)
    assert len(page.schemas) == 3
    assert [each.prefix for each in listed(limit=3, cursor=page.next_cursor).schemas] == ["b"]
    with pytest.raises(Refused, match="cursor"):
        listed(prefix="a/", cursor=page.next_cursor)


def test_settings_out_of_bounds_are_refused() -> None:
    shard = Shard()
    for settings_, said in (
        ({"default_ttl_ms": LIMITS.ttl_ms_max + 1}, "default_ttl_ms: .* at most"),
        ({"entries_max": (1 << 32) + 1}, "entries_max: .* at most 4294967296"),
        ({"bytes_max": (1 << 50) + 1}, "bytes_max: .* at most"),
        ({}, "nothing to change"),
    ):
        with pytest.raises(Refused, match=said):
            configure(shard, **settings_)
    for prefix, schema, said in (
        ("p" * 513, b"{}", "prefix: 513 bytes, at most 512"),
        ("p\0", b"{}", "control character"),
        ("p", b"{", "schema: not JSON"),
        ("p", b'"' + b"x" * SCHEMA_BYTES_MAX + b'"', f"schema: .* at most {SCHEMA_BYTES_MAX}"),
    ):
        with pytest.raises(Refused, match=said):
            set_schema(shard, prefix, schema)
    for number in range(SCHEMAS_MAX):
        set_schema(shard, f"p{number}")
    with pytest.raises(Refused, match=f"prefix: .* at most {SCHEMAS_MAX}"):
        set_schema(shard, "one more")
    set_schema(shard, "p0", b"")
    set_schema(shard, "one more")


def test_settings_are_no_part_of_a_batch_or_a_transaction() -> None:
    for whole in (batch_pb2.BatchRequest, txn_pb2.CommitTxnRequest):
        for field in ("set_schema", "set_namespace_settings"):
            request = whole(namespace=NAMESPACE)
            getattr(request.operations.add(), field).SetInParent()
            with pytest.raises(Refused, match=rf"operations\[0\]\.{field}: it is a call of its own"):
                check_write(command(request).kind, request, LIMITS)

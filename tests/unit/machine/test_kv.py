"""Documents: versions, conflicts, the past, pages, expiry."""

import pytest

from memraft_proto.methods import KIND_EXPIRE
from memraft_proto.v1 import kv_pb2
from memraft_proto.v1.log_pb2 import ExpireCommand
from memraft_server.machine import Limits, Refused
from tests.unit.machine.harness import LIMITS, NAMESPACE, SECOND_US, START_US, Shard, session


def put(key: str, value: bytes = b"1", **more: object) -> kv_pb2.PutRequest:
    return kv_pb2.PutRequest(namespace=NAMESPACE, key=key, value=value, **more)  # type: ignore[arg-type]


def delete(key: str, **more: object) -> kv_pb2.DeleteRequest:
    return kv_pb2.DeleteRequest(namespace=NAMESPACE, key=key, **more)  # type: ignore[arg-type]


def get(key: str) -> kv_pb2.GetRequest:
    return kv_pb2.GetRequest(namespace=NAMESPACE, key=key)


def list_(**more: object) -> kv_pb2.ListRequest:
    return kv_pb2.ListRequest(namespace=NAMESPACE, **more)  # type: ignore[arg-type]


def test_a_document_is_read_as_it_came_with_who_wrote_it_and_when() -> None:
    shard = Shard()
    written = shard.write(put("order:1458", b'{"state": "open" }', context=session(1, run="r7", tool="crm")))
    answer = shard.read(get("order:1458"))
    assert (answer.found, answer.value) == (True, b'{"state": "open" }')
    who = answer.provenance
    assert (who.version, who.time_us) == (written.version, shard.time_us)
    assert (who.agent, who.run, who.tool) == ("alice", "r7", "crm")
    assert (answer.stamp.applied_index, answer.stamp.applied_time_us) == (1, shard.time_us)


def test_a_version_is_log_index_and_position_in_the_entry() -> None:
    shard = Shard()
    replies = shard.entry(put("a"), put("b"), put("a"))
    assert [reply.version for reply in replies] == [(1 << 20) + position for position in range(3)]
    assert shard.write(put("a")).version == 2 << 20


def test_if_version_conflicts_are_replies_with_the_version_that_stands() -> None:
    shard = Shard()
    first = shard.write(put("k", if_version=0))
    assert not first.conflict
    again = shard.write(put("k", if_version=0))
    assert (again.conflict, again.version) == (True, first.version)
    second = shard.write(put("k", b"2", if_version=first.version))
    assert not second.conflict
    stale = shard.write(delete("k", if_version=first.version))
    assert (stale.conflict, stale.version, stale.found) == (True, second.version, True)
    assert shard.write(delete("k", if_version=second.version)).found
    absent = shard.write(delete("k", if_version=second.version))
    assert (absent.conflict, absent.version, absent.found) == (True, 0, False)
    assert not shard.write(put("k", if_version=0)).conflict


def test_deleted_documents_stay_readable_in_the_past() -> None:
    shard = Shard()
    shard.write(put("k", b"1"))
    before_delete_us = shard.time_us
    deleted = shard.write(delete("k"))
    assert deleted.found
    assert not shard.write(delete("k")).found
    assert not shard.read(get("k")).found
    assert shard.read(get("k"), at_index=1).value == b"1"
    assert shard.read(get("k"), at_time_us=before_delete_us).value == b"1"
    assert not shard.read(get("k"), at_time_us=before_delete_us - 1).found
    assert not shard.read(get("k"), at_index=0).found
    assert not shard.read(get("k"), at_time_us=0).found


def test_the_future_by_index_is_refused_and_by_time_is_now() -> None:
    shard = Shard()
    shard.write(put("k", b"1"))
    with pytest.raises(Refused, match="at_index: 2 is above this replica's applied index 1") as refused:
        shard.read(get("k"), at_index=2)
    assert refused.value.reason == "AT_IN_FUTURE"
    assert shard.read(get("k"), at_time_us=shard.time_us + 1).value == b"1"


def test_history_lists_versions_newest_first_deletions_too() -> None:
    shard = Shard()
    for value in (b"1", b"2", b"3"):
        shard.write(put("k", value))
    shard.write(delete("k"))
    request = kv_pb2.HistoryRequest(namespace=NAMESPACE, key="k")
    versions = shard.read(request).versions
    assert [(v.value, v.deleted) for v in versions] == [
        (b"", True),
        (b"3", False),
        (b"2", False),
        (b"1", False),
    ]
    assert [v.provenance.version >> 20 for v in versions] == [4, 3, 2, 1]
    request.limit = 2
    assert len(shard.read(request).versions) == 2
    assert [v.value for v in shard.read(request, at_index=2).versions] == [b"2", b"1"]
    unknown = kv_pb2.HistoryRequest(namespace=NAMESPACE, key="unknown")
    assert not shard.read(unknown).versions


@pytest.mark.parametrize("limits", [LIMITS, Limits(page_bytes_max=250)])
def test_a_long_history_is_told_in_pages_that_say_that_there_is_more(limits: Limits) -> None:
    shard = Shard(limits)
    for number in range(10):
        shard.write(put("k", b"%d" % number))
    request = kv_pb2.HistoryRequest(namespace=NAMESPACE, key="k", limit=4)
    told: list[bytes] = []
    for _ in range(10):
        page = shard.read(request)
        assert 0 < len(page.versions) <= 4
        told += [version.value for version in page.versions]
        request.cursor = page.next_cursor
        shard.write(put("k", b"-1"))  # what comes meanwhile is not on the pages that follow
        if not page.next_cursor:
            break
    assert told == [b"%d" % number for number in range(9, -1, -1)]
    request.cursor, request.limit = "", 10_000
    everything = shard.read(request, at_index=10)
    assert bool(everything.next_cursor) == (limits is not LIMITS)
    request.cursor = "nonsense"
    with pytest.raises(Refused, match="cursor: not the next_cursor"):
        shard.read(request)


def test_lists_are_in_order_of_key_by_prefix_and_by_range() -> None:
    shard = Shard()
    for key in ("user:2", "user:10", "ticket:7", "user:1", "é"):
        shard.write(put(key, b'"%s"' % key.encode()))
    shard.write(delete("user:10"))
    everything = shard.read(list_())
    assert list(everything.keys) == ["ticket:7", "user:1", "user:2", "é"]
    assert list(everything.values) == [b'"%s"' % key.encode() for key in everything.keys]
    assert [version >> 20 for version in everything.versions] == [3, 4, 1, 5]
    assert list(everything.times_us) == [START_US + entry * SECOND_US for entry in (3, 4, 1, 5)]
    assert list(shard.read(list_(prefix="user:")).keys) == ["user:1", "user:2"]
    assert list(shard.read(list_(start="user:1", end="user:2")).keys) == ["user:1"]
    assert list(shard.read(list_(prefix="user:"), at_index=5).keys) == ["user:1", "user:10", "user:2"]
    bare = shard.read(list_(prefix="user:", keys_only=True))
    assert (list(bare.keys), list(bare.values)) == (["user:1", "user:2"], [b"", b""])


def test_pages_continue_where_the_one_before_ended() -> None:
    shard = Shard()
    keys = [f"k{number:03d}" for number in range(25)]
    shard.entry(*(put(key) for key in keys))
    found: list[str] = []
    cursor, pages = "", 0
    while True:
        page = shard.read(list_(prefix="k", limit=10, cursor=cursor))
        found += page.keys
        pages += 1
        cursor = page.next_cursor
        if not cursor:
            break
    assert (found, pages) == (keys, 3)


def test_a_page_ends_before_it_is_too_big_or_looks_at_too_much() -> None:
    shard = Shard(Limits(page_bytes_max=1_000, scan_keys_max=10))
    shard.entry(*(put(f"big{number}", b'"' + b"x" * 400 + b'"') for number in range(5)))
    page = shard.read(list_(prefix="big"))
    assert len(page.keys) == 2 and page.next_cursor
    shard.entry(*(put(f"gone{number:02d}") for number in range(30)))
    shard.entry(*(delete(f"gone{number:02d}") for number in range(29)))
    page = shard.read(list_(prefix="gone"))
    assert not page.keys and page.next_cursor
    page = shard.read(list_(prefix="gone", cursor=page.next_cursor))
    page = shard.read(list_(prefix="gone", cursor=page.next_cursor))
    assert list(page.keys) == ["gone29"] and not page.next_cursor


@pytest.mark.parametrize("cursor", ["?", "abc", "c3RyZWFtczphYmM=", "é", "A" * 5_000, "/////w=="])
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Refused, match="cursor: not the next_cursor"):
        Shard().read(list_(cursor=cursor))


def test_many_are_written_and_read_in_columns() -> None:
    shard = Shard()
    shard.write(put("b", b"0"))
    reply = shard.write(
        kv_pb2.MultiPutRequest(
            namespace=NAMESPACE, keys=["a", "b", "c", "a"], values=[b"1", b"", b"3", b"4"], kinds=b"\0\1\0\0"
        )
    )
    assert (reply.first_version, reply.count) == (2 << 20, 4)
    answer = shard.read(kv_pb2.MultiGetRequest(namespace=NAMESPACE, keys=["a", "b", "c", "d"]))
    assert answer.kinds == b"\1\0\1\0"
    assert list(answer.values) == [b"4", b"", b"3", b""]
    assert list(answer.versions) == [reply.first_version + 3, 0, reply.first_version + 2, 0]
    past = shard.read(kv_pb2.MultiGetRequest(namespace=NAMESPACE, keys=["a", "b"]), at_index=1)
    assert (past.kinds, list(past.values)) == (b"\0\1", [b"", b"0"])


def test_a_reply_to_many_keys_is_bounded() -> None:
    shard = Shard(Limits(reply_bytes_max=100))
    shard.write(put("k", b'"' + b"x" * 60 + b'"'))
    with pytest.raises(Refused, match="124 bytes, a reply at most 100"):
        shard.read(kv_pb2.MultiGetRequest(namespace=NAMESPACE, keys=["k", "k"]))


def test_expiry_is_a_command_that_leaves_newer_versions_alone() -> None:
    shard = Shard()
    machine = shard.machine
    assert machine.next_due_us() is None
    shard.entry(put("short", ttl_ms=5_000), put("kept", ttl_ms=5_000), put("long", ttl_ms=60_000))
    written_us = shard.time_us
    assert shard.read(get("short")).expires_at_us == written_us + 5 * SECOND_US
    shard.write(put("kept", b"2"))
    assert machine.next_due_us() == written_us + 5 * SECOND_US
    assert machine.due(written_us + 5 * SECOND_US - 1, 100) == []
    (due,) = machine.due(written_us + 5 * SECOND_US, 100)
    assert (due.kind, due.agent) == (KIND_EXPIRE, "")
    assert isinstance(due.request, ExpireCommand) and list(due.request.keys) == ["short"]
    assert shard.read(get("short")).found, "a document expires when the log says so, not by itself"
    assert machine.due(shard.time_us + SECOND_US * 10, 100) == [due], "due until it is applied"
    for _ in range(2):
        shard.write(due.request)
        assert not shard.read(get("short")).found
        assert shard.read(get("kept")).value == b"2"
    assert shard.read(get("short"), at_index=1).found
    assert machine.next_due_us() == written_us + 60 * SECOND_US


def test_expiries_are_taken_out_in_bounded_bites_and_by_namespace() -> None:
    shard = Shard()
    shard.entry(*(put(f"k{number}", ttl_ms=1_000 + number) for number in range(10)))
    other = put("k", ttl_ms=1)
    other.namespace = "acme/other"
    shard.write(other)
    commands = shard.machine.due(shard.time_us + 100 * SECOND_US, 4)
    assert sum(len(command.request.keys) for command in commands) == 4  # type: ignore[attr-defined]
    while commands:
        shard.entry(*(command.request for command in commands))
        commands = shard.machine.due(shard.time_us + 100 * SECOND_US, 4)
    assert not shard.read(list_()).keys
    assert shard.machine.next_due_us() is None


def test_expiries_in_columns() -> None:
    shard = Shard()
    request = kv_pb2.MultiPutRequest(
        namespace=NAMESPACE, keys=["a", "b"], values=[b"1", b"2"], ttls_ms=[0, 9]
    )
    shard.write(request)
    assert shard.read(get("a")).expires_at_us == 0
    assert shard.read(get("b")).expires_at_us == shard.time_us + 9_000


def test_namespaces_do_not_see_each_other() -> None:
    shard = Shard()
    shard.write(put("k"))
    assert not shard.read(kv_pb2.GetRequest(namespace="acme/sales", key="k")).found
    assert not shard.read(kv_pb2.GetRequest(namespace="other/support", key="k")).found


def test_the_shortest_way_to_a_document() -> None:
    shard = Shard()
    assert shard.machine.kv_head(NAMESPACE, "k") is None
    version = shard.write(put("k", b"[]")).version
    head = shard.machine.kv_head(NAMESPACE, "k")
    assert head is not None and (head.value, head.version, head.author.agent) == (b"[]", version, "alice")
    assert shard.machine.time_us(version) == shard.time_us
    shard.write(delete("k"))
    assert shard.machine.kv_head(NAMESPACE, "k") is None


def test_usage_counts_the_past_and_live_records() -> None:
    shard = Shard()
    usage = shard.machine.usage("acme")
    assert (usage.bytes, usage.records) == (0, 0)
    shard.write(put("k", b'"' + b"x" * 1_000 + b'"'))
    usage = shard.machine.usage("acme")
    once = usage.bytes
    assert once > 1_000 and usage.records == 1
    shard.write(put("k", b'"' + b"x" * 1_000 + b'"'))
    assert usage.bytes > once + 1_000 and usage.records == 1
    shard.write(delete("k"))
    assert usage.bytes > once + 1_000 and usage.records == 0
    shard.write(put("k", b"1"))
    assert usage.records == 1
    assert shard.machine.usage("nobody").bytes == 0

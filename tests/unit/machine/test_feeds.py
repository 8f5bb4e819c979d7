"""Tails and watches: what comes, in order, once, from where they stood; whatever happened meanwhile."""

from __future__ import annotations

import random
from typing import Any

import pytest

from memraft_proto.v1 import fork_pb2, kv_pb2, memory_pb2, state_pb2, stream_pb2, watch_pb2
from memraft_server.machine import Limits, Refused, changes, feeds, scans
from memraft_server.machine.feeds import Feed, WatchFeed, open_feed
from tests.unit.machine.harness import NAMESPACE, START_US, Shard

KV, STATE = watch_pb2.WATCH_TARGET_KV, watch_pb2.WATCH_TARGET_STATE
MEMORIES = watch_pb2.WATCH_TARGET_MEMORIES


class Follower:
    """Follows a machine as a server does, whenever the test says so."""

    def __init__(self, shard: Shard, request: Any) -> None:
        self.rings = 0
        self.first = shard.read(request)
        name = "Watch" if isinstance(request, watch_pb2.WatchRequest) else "TailStream"
        self.feed: Feed = open_feed(shard.machine, name, request, self.first, self._ring)

    def _ring(self) -> None:
        self.rings += 1

    def take(self) -> list[Any]:
        """All that there is by now."""
        found: list[Any] = []
        while True:
            response: Any = self.feed.next()
            if response is not None:
                found += response.changes if isinstance(self.feed, WatchFeed) else response.events
            elif not self.feed.is_behind:
                return found


def put(key: str, value: bytes = b"1", ttl_ms: int = 0) -> kv_pb2.PutRequest:
    return kv_pb2.PutRequest(namespace=NAMESPACE, key=key, value=value, ttl_ms=ttl_ms)


def delete(key: str) -> kv_pb2.DeleteRequest:
    return kv_pb2.DeleteRequest(namespace=NAMESPACE, key=key)


def append(*payloads: bytes, stream: str = "s") -> stream_pb2.AppendManyRequest:
    return stream_pb2.AppendManyRequest(namespace=NAMESPACE, stream=stream, types=["t"], payloads=payloads)


def remember(id: str, about: str = "", kind: str = "") -> memory_pb2.RememberRequest:
    return memory_pb2.RememberRequest(namespace=NAMESPACE, id=id, text=id, about=about, kind=kind)


def forget(id: str) -> memory_pb2.ForgetRequest:
    return memory_pb2.ForgetRequest(namespace=NAMESPACE, id=id)


def watch(target: int = KV, after_version: int | None = None, **more: str) -> watch_pb2.WatchRequest:
    return watch_pb2.WatchRequest(
        namespace=NAMESPACE, target=target, after_version=after_version, **more  # type: ignore[arg-type]
    )  # fmt: skip


def tail(from_sequence: int = 0, limit: int = 0) -> stream_pb2.TailStreamRequest:
    return stream_pb2.TailStreamRequest(
        namespace=NAMESPACE, stream="s", from_sequence=from_sequence, limit=limit
    )


def told(changes: list[Any]) -> list[tuple[str, bytes | None]]:
    return [(each.key, None if each.deleted else each.value) for each in changes]


def test_a_tail_wakes_and_reads_what_is_appended_to_its_stream() -> None:
    shard = Shard()
    follower = Follower(shard, tail(limit=2))  # before there is a stream, or a namespace
    assert (follower.first.next_sequence, follower.take()) == (1, [])
    shard.write(append(b"1", b"2", b"3"))
    shard.write(append(b"4", stream="other"))
    assert follower.rings == 1
    assert [event.payload for event in follower.take()] == [b"1", b"2", b"3"]
    quiet: Any = follower.feed.quiet()
    assert (len(quiet.events), quiet.next_sequence, quiet.stamp.applied_index) == (0, 4, 2)
    later = Follower(shard, tail())
    again = Follower(shard, tail(from_sequence=2))
    assert [event.sequence for event in again.first.events] == [2, 3]
    shard.write(append(b"5"))
    assert follower.rings == 2 and again.rings == 1
    for each in (follower, later, again):
        assert [(event.sequence, event.payload) for event in each.take()] == [(4, b"5")]
        each.feed.close()
    shard.write(append(b"6"))
    assert follower.rings == 2 and again.rings == 1


def test_changes_come_in_order_with_who_made_them() -> None:
    shard = Shard()
    follower = Follower(shard, watch(prefix="a"))
    shard.entry(put("a1", b"1", ttl_ms=5), put("b", b"2"), put("a2", b"3"), agent="bob")
    assert follower.rings
    found = follower.take()
    assert told(found) == [("a1", b"1"), ("a2", b"3")]
    assert [each.provenance.version for each in found] == [1 << 20, (1 << 20) + 2]
    assert (found[0].provenance.agent, found[0].provenance.time_us) == ("bob", START_US + 1_000_000)
    assert found[0].expires_at_us == START_US + 1_005_000
    for each in shard.machine.due(START_US + 9_000_000, 10):
        shard.entry(each.request)
    shard.entry(delete("a2"), delete("a3"))
    assert told(follower.take()) == [("a1", None), ("a2", None)]
    follower.feed.close()
    shard.write(put("a1"))
    rings = follower.rings
    assert Follower(shard, watch()).take() == [] and follower.rings == rings


def test_records_are_watched_as_documents_are() -> None:
    shard = Shard()
    follower = Follower(shard, watch(STATE))
    swap = state_pb2.CompareAndSwapRequest(namespace=NAMESPACE, name="n", value=b"1")
    version = shard.write(swap).version
    shard.write(swap)  # a conflict: nothing changed
    gone = state_pb2.CompareAndSwapRequest(
        namespace=NAMESPACE, name="n", remove=True, expected_version=version
    )
    shard.write(gone)
    assert told(follower.take()) == [("n", b"1"), ("n", None)]
    assert told(Follower(shard, watch(STATE, after_version=0)).take()) == [("n", b"1"), ("n", None)]


def test_memories_are_watched_by_whom_they_are_about_and_by_kind() -> None:
    def drama(shard: Shard) -> None:
        shard.write(remember("1", about="bob", kind="fact"))
        shard.write(remember("2", about="eve", kind="fact"))
        shard.write(remember("1", about="bob", kind="plan"))
        shard.write(remember("1", about="eve", kind="plan"))
        shard.write(forget("1"))
        shard.write(forget("1"))
        shard.write(remember("1", about="bob", kind="fact"))
        shard.write(forget("1"))

    expected = {
        ("", ""): ["1", "2", "1", "1", "-1", "1", "-1"],
        ("bob", ""): ["1", "1", "-1", "1", "-1"],
        ("", "fact"): ["1", "2", "-1", "1", "-1"],
        ("eve", "plan"): ["1", "-1"],
    }
    shard = Shard()
    live = {key: Follower(shard, watch(MEMORIES, about=key[0], kind=key[1])) for key in expected}
    drama(shard)
    for (about, kind), keys in expected.items():
        later = Follower(shard, watch(MEMORIES, 0, about=about, kind=kind))
        for follower in (live[about, kind], later):
            found = follower.take()
            assert [f"-{each.key}" if each.deleted else each.memory.text for each in found] == keys
            versions = [each.provenance.version for each in found]
            assert versions == sorted(versions)


def test_the_end_of_a_memory_says_who_forgot_it() -> None:
    shard = Shard()
    live = Follower(shard, watch(MEMORIES))
    shard.write(remember("1"), agent="ann")
    shard.write(forget("1"), agent="bob")
    shard.write(forget("1"), agent="eve")
    for follower in (live, Follower(shard, watch(MEMORIES, 0))):
        found = follower.take()
        assert [(each.deleted, each.provenance.agent) for each in found] == [(False, "ann"), (True, "bob")]


def test_in_a_fork_what_is_written_in_it_is_watched() -> None:
    def in_fork(request: Any) -> Any:
        request.namespace = f"{NAMESPACE}@what-if"
        return request

    def drama(shard: Shard) -> None:
        shard.write(in_fork(put("a", b"2")))
        shard.write(in_fork(delete("b")))
        shard.write(put("c", b'"of the parent"'))
        shard.write(in_fork(append(b"1")))
        shard.write(in_fork(forget("m")))
        shard.write(in_fork(remember("n", about="ann")))

    shard = Shard()
    shard.write(put("a"))
    shard.write(put("b"))
    shard.write(append(b"0"))
    shard.write(remember("m", about="ann"))
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="what-if"))
    live = [Follower(shard, in_fork(watch(KV))), Follower(shard, in_fork(watch(MEMORIES, about="ann")))]
    events = Follower(shard, in_fork(tail(1)))
    parent = Follower(shard, watch(KV))
    drama(shard)
    later = [
        Follower(shard, in_fork(watch(KV, 0))),
        Follower(shard, in_fork(watch(MEMORIES, 0, about="ann"))),
    ]
    for documents, memories in (live, later):
        assert told(documents.take()) == [("a", b"2"), ("b", None)]
        assert [(each.key, each.deleted) for each in memories.take()] == [("m", True), ("n", False)]
    assert [each.payload for each in [*events.first.events, *events.take()]] == [b"0", b"1"]
    assert told(parent.take()) == [("c", b'"of the parent"')]
    shard.write(fork_pb2.MergeForkRequest(namespace=NAMESPACE, fork="what-if"))
    assert told(parent.take()) == [("a", b"2"), ("b", None)]


def test_a_watch_goes_on_where_another_ended() -> None:
    shard = Shard()
    shard.entry(put("a"), put("b"))
    first = Follower(shard, watch(after_version=0))
    assert told(first.take()) == [("a", b"1"), ("b", b"1")]
    shard.write(put("c"))
    quiet: Any = first.feed.quiet()
    assert quiet.after_version == (2 << 20) - 1, "a change that was not given out is not passed over"
    first.take()
    shard.write(append(b"1"))
    quiet = first.feed.quiet()
    assert (quiet.after_version, quiet.stamp.applied_index) == ((4 << 20) - 1, 3)
    first.feed.close()
    shard.write(put("d"))
    assert told(Follower(shard, watch(after_version=quiet.after_version)).take()) == [("d", b"1")]


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_or_doubled_however_far_a_watcher_is_behind(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few changes are kept, a scan takes few names a step and holds few changes, and pages are short."""
    monkeypatch.setattr(changes, "CHANGES_MAX", 12)
    monkeypatch.setattr(changes, "_TRIM_MIN", 4)
    monkeypatch.setattr(scans, "SCAN_STEP", 3)
    monkeypatch.setattr(scans, "FOUND_MAX", 10)
    monkeypatch.setattr(feeds, "PAGE_CHANGES_MAX", 5)
    rng = random.Random(seed)
    shard = Shard(Limits(page_bytes_max=600))
    written: list[tuple[str, bytes | None]] = []
    alive: set[str] = set()
    resumed = 0
    follower, found = Follower(shard, watch(prefix="k", after_version=0)), []
    for number in range(400):
        operations: list[Any] = []
        for _ in range(rng.choice((1, 1, 3, 30))):
            key = f"{rng.choice('kkkx')}{rng.randrange(15)}"
            if rng.random() < 0.3:
                operations.append(delete(key))
                if key in alive:
                    written.append((key, None))
                alive.discard(key)
            else:
                operations.append(put(key, b"%d" % number))
                written.append((key, b"%d" % number))
                alive.add(key)
        shard.entry(*operations)
        for _ in range(rng.choice((0, 0, 1, 5, 20))):
            response: Any = follower.feed.next()
            if response is not None:
                found += response.changes
        if rng.random() < 0.1:  # the connection is lost, the client comes again
            follower.feed.close()
            version = found[-1].provenance.version if found else 0
            follower = Follower(shard, watch(prefix="k", after_version=version))
            resumed += 1
    found += follower.take()
    assert resumed > 10
    assert told(found) == [(key, value) for key, value in written if key.startswith("k")]


def test_a_machine_that_becomes_another_wakes_its_followers_and_they_miss_nothing() -> None:
    behind, ahead = Shard(), Shard()
    for shard in (behind, ahead):
        shard.entry(put("a"), append(b"1"), remember("m"))
    followers = [
        Follower(behind, request)
        for request in (watch(after_version=0), tail(1), watch(MEMORIES, 0), watch(prefix="b"))
    ]
    assert [len(each.take()) for each in followers] == [1, 0, 1, 0]
    for number in range(5):
        ahead.entry(put(f"b{number}"), append(b"2"), remember("m"), delete("a"))
    rings = [each.rings for each in followers]
    behind.machine.become(ahead.machine)
    assert all(each.rings > before for each, before in zip(followers, rings, strict=True))
    assert [len(each.take()) for each in followers] == [6, 5, 5, 5]
    behind.time_us = ahead.time_us
    behind.entry(put("b9"), append(b"3"), forget("m"))
    assert [len(each.take()) for each in followers] == [1, 1, 1, 1]
    for each in followers:
        each.feed.close()


def test_a_scan_begins_anew_where_the_machine_becomes_another_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scans, "SCAN_STEP", 2)
    behind, ahead = Shard(), Shard()
    for shard in (behind, ahead):
        shard.entry(*(put(f"k{n}") for n in range(9)))
    follower = Follower(behind, watch(after_version=0))
    assert follower.feed.next() is None and follower.feed.is_behind
    ahead.entry(put("k0", b"2"))
    behind.machine.become(ahead.machine)
    assert told(follower.take()) == [*((f"k{n}", b"1") for n in range(9)), ("k0", b"2")]


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (watch(target=0), "target"),
        (watch(target=9), "target"),
        (watch(prefix="x" * 513), "prefix"),
        (watch(about="bob"), "about"),
        (watch(kind="fact"), "kind"),
        (watch(MEMORIES, prefix="a"), "prefix"),
    ],
)
def test_what_cannot_be_watched_is_refused_by_name(request_: watch_pb2.WatchRequest, says: str) -> None:
    with pytest.raises(Refused, match=says):
        Follower(Shard(), request_)


def test_the_past_cannot_be_watched() -> None:
    shard = Shard()
    shard.write(put("a"))
    with pytest.raises(Refused, match="only what comes can be followed"):
        shard.read(watch(), at_index=1)

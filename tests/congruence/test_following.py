"""Tails and watches behave alike on every backend: in threads, in tasks, until they are closed."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from memraft import AsyncMemory, ClosedError, InvalidArgument, Memory

IDLE_S = 0.3
"""Short: every test waits for it once. What there was when it began, a feed that is entered has, however slow
the machine."""


def started(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target)
    thread.start()
    return thread


def test_a_tail_has_what_there_is_and_what_comes(memory: Memory) -> None:
    memory.append_many("log", [1, 2, 3])
    found: list[Any] = []
    with memory.tail("log", from_sequence=2) as feed, memory.tail("log") as later:
        thread = started(lambda: found.extend(event.payload for event in islice(feed, 5)))
        for number in (4, 5, 6):
            memory.append("log", number)
        thread.join()
        assert found == [2, 3, 4, 5, 6]
        assert [next(later).payload for _ in range(3)] == [4, 5, 6]
        assert (feed.position, later.position) == (7, 7)
    assert list(feed) == []


def test_a_tail_can_wait_for_a_stream_that_is_not_there_yet(memory: Memory) -> None:
    with memory.tail(entity="user:42") as feed:
        memory.append(entity="user:42", payload="hello", type="note")
        event = next(feed)
    assert (event.payload, event.type, event.sequence) == ("hello", "note", 1)
    assert event == memory.events(entity="user:42")[0]


def test_a_tail_ends_when_nothing_comes_and_another_goes_on(memory: Memory) -> None:
    memory.append_many("log", [1, 2])
    with memory.tail("log", from_sequence=1, idle_s=IDLE_S) as feed:
        assert [event.payload for event in feed] == [1, 2]
        assert feed.position == 3
        memory.append("log", 3)
        assert [event.payload for event in feed] == [], "it has ended"
    with memory.tail("log", from_sequence=feed.position, idle_s=IDLE_S) as again:
        assert [event.payload for event in again] == [3]


@pytest.mark.parametrize("idle_s", [math.inf, 1e300])
def test_a_tail_may_wait_for_longer_than_a_clock_counts(memory: Memory, idle_s: float) -> None:
    with memory.tail("log", idle_s=idle_s) as feed:
        thread = started(lambda: next(feed))
        memory.append("log", 1)
        thread.join(30)
        assert not thread.is_alive() and feed.position == 2


def test_a_tail_is_closed_from_elsewhere(memory: Memory) -> None:
    with memory.tail("log") as feed:
        thread = started(lambda: [*feed])
        feed.close()
        thread.join()


def test_a_tail_ends_with_the_memory(open_memory: Callable[..., Memory]) -> None:
    memory = open_memory()
    errors: list[BaseException] = []
    ready = threading.Event()

    def follow() -> None:
        try:
            with memory.tail("log") as feed:
                ready.set()
                list(feed)
        except ClosedError as error:
            errors.append(error)

    thread = started(follow)
    ready.wait()
    memory.close()
    thread.join()
    assert len(errors) == 1
    with pytest.raises(ClosedError):
        next(memory.tail("log"))


def test_documents_are_watched_by_prefix(memory: Memory) -> None:
    memory.put("config/a", 0)
    with memory.watch("config/") as feed:
        first = memory.put("config/a", {"n": 1})
        memory.put("other", 2)
        second = memory.put("config/b", 3, ttl_ms=60_000)
        gone = memory.delete("config/a")
        changes = [next(feed) for _ in range(3)]
    assert [(each.key, each.value, each.deleted) for each in changes] == [
        ("config/a", {"n": 1}, False), ("config/b", 3, False), ("config/a", None, True)
    ]  # fmt: skip
    assert [each.version for each in changes] == [first.version, second.version, gone.version]
    assert [each.at for each in changes] == [first.at, second.at, gone.at]
    assert {each.agent for each in changes} == {"support"}
    assert changes[1].expires_at is not None and changes[0].expires_at is None


def test_a_watch_sees_a_document_expire(memory: Memory) -> None:
    with memory.watch() as feed:
        memory.put("k", 1, ttl_ms=50)
        assert [(each.key, each.deleted) for each in islice(feed, 2)] == [("k", False), ("k", True)]


def test_a_watch_goes_on_from_a_listing_and_from_another_watch(memory: Memory) -> None:
    memory.put("a", 1)
    memory.put("b", 2)
    listing = memory.list()
    memory.put("b", 3)
    feed = memory.watch(after_version=listing.version)
    assert next(feed).value == 3
    feed.close()
    memory.put("c", 4)
    assert feed.position is not None
    with memory.watch(after_version=feed.position, idle_s=IDLE_S) as again:
        assert [each.value for each in again] == [4]
    with memory.watch(after_version=0, idle_s=IDLE_S) as history:
        assert [(each.key, each.value) for each in history] == [("a", 1), ("b", 2), ("b", 3), ("c", 4)]


def test_many_changes_at_once_are_watched_in_order(memory: Memory) -> None:
    with memory.watch() as feed:
        memory.put_many({f"k{n:05}": n for n in range(9_000)})
        memory.put("k00000", "again")
        found = [(each.key, each.value) for each in islice(feed, 9_001)]
    assert found == [*((f"k{n:05}", n) for n in range(9_000)), ("k00000", "again")]
    past = memory.watch("k0", after_version=0)
    assert [(each.key, each.value) for each in islice(past, 9_001)] == found
    past.close()


def test_records_and_memories_are_watched(memory: Memory) -> None:
    with memory.watch_state("job/") as records, memory.watch_memories(about="user:1") as memories:
        version = memory.cas("job/1", "queued", expected_version=0).version
        memory.cas_remove("job/1", expected_version=version)
        assert [(each.key, each.value) for each in islice(records, 2)] == [
            ("job/1", "queued"),
            ("job/1", None),
        ]
        kept = memory.remember("likes tea", about="user:1", kind="taste", metadata={"n": 1})
        memory.remember("likes milk", about="user:2")
        memory.forget(kept.id)
        first, second = islice(memories, 2)
    assert first.memory is not None
    assert (first.id, first.memory.text, first.memory.metadata) == (kept.id, "likes tea", {"n": 1})
    assert (second.id, second.memory, second.agent) == (kept.id, None, "support")
    assert second.version > first.version == kept.version


def test_a_feed_that_is_dropped_leaves_nothing_behind(memory: Memory) -> None:
    memory.put("a", 1)
    for _ in range(3):
        for _ in memory.watch(after_version=0):
            break
        for _ in memory.tail("s", idle_s=0.01):
            pass
    gc.collect()
    engine = getattr(getattr(memory._link, "_engine", None), "_call", None)
    if engine is not None:
        assert engine.__self__._followers == 0


def test_tails_run_in_tasks(open_memory: Callable[..., Memory], memory: Memory) -> None:
    """Ten tails of one client in one event loop, one of them cancelled and taken up again."""

    async def script(m: AsyncMemory) -> None:
        async def take(count: int) -> list[Any]:
            async with m.tail("log", from_sequence=1) as feed:
                return [(await anext(feed)).payload for _ in range(count)]

        tasks = [asyncio.create_task(take(20)) for _ in range(10)]
        feed = m.tail("log", from_sequence=1)
        waiting = asyncio.create_task(anext(feed))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        for number in range(20):
            await m.append("log", number)
        for task in tasks:
            assert await task == list(range(20))
        assert [(await anext(feed)).payload for _ in range(20)] == list(range(20))
        await feed.close()
        with pytest.raises(StopAsyncIteration):
            await anext(feed)
        async with m.tail("log", from_sequence=18, idle_s=IDLE_S) as last:
            assert [event.payload async for event in last] == [17, 18, 19]

    async def main() -> None:
        async with open_async(memory) as m:
            await script(m)

    asyncio.run(main())


def open_async(memory: Memory) -> AsyncMemory:
    """An asynchronous memory of its own on the same kind of backend: on the same cluster, or in process."""
    cluster = getattr(memory._link, "_cluster", None)
    if cluster is None:
        return AsyncMemory(namespace=memory.namespace)
    found = AsyncMemory(
        list(cluster.addresses), certs=cluster.certificates.directory, namespace=memory.namespace
    )
    return found


@pytest.mark.parametrize(
    ("says", "call"),
    [
        ("stream", lambda m: next(m.tail(""))),
        ("from_sequence", lambda m: m.tail("s", from_sequence=0)),
        ("idle_s", lambda m: m.tail("s", idle_s=0)),
        ("idle_s must be a number of seconds above 0, or None, not '5'", lambda m: m.tail("s", idle_s="5")),
        ("stream", lambda m: m.tail()),
        ("prefix", lambda m: next(m.watch("x" * 513))),
        ("after_version", lambda m: m.watch(after_version=-1)),
        ("about", lambda m: next(m.watch_memories(about="x" * 513))),
    ],
)
def test_what_is_malformed_is_refused_by_name(
    memory: Memory, says: str, call: Callable[[Memory], object]
) -> None:
    with pytest.raises(InvalidArgument, match=says):
        call(memory)

"""Reads at a time: what was answered once is answered ever after."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from memraft_cluster.errors import NotLeader
from memraft_proto.v1 import common_pb2, kv_pb2, query_pb2
from memraft_server.embedded import LocalShard
from memraft_server.entries import EntryBuilder, decode_header
from memraft_server.machine import Command, Machine, Refused
from memraft_server.reads import STALE, Reader

NOW_US = 1_750_000_000_000_000
NAMESPACE = "acme/x"


def put(value: bytes) -> Command:
    return Command(1, "a", kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=value))


def get_at(time_us: int, consistency: int = 0) -> kv_pb2.GetRequest:
    context = common_pb2.ReadContext(at_time_us=time_us, consistency=consistency)  # type: ignore[arg-type]
    return kv_pb2.GetRequest(namespace=NAMESPACE, key="k", context=context)


class Leader:
    """A shard with one entry that was stamped and is not applied yet."""

    number = 0

    def __init__(self) -> None:
        self.machine = Machine(0)
        self.machine.apply(1, NOW_US, 1, [put(b"1")])
        self.builder = EntryBuilder(clock_us=lambda: NOW_US + 100)
        self._on_its_way_us = self.builder.stamp_us()

    def propose(self, command: Command, request: bytes | None) -> Any:
        time_us = self.builder.stamp_us()
        return self.machine.apply(self.machine.applied_index + 1, time_us, 1, [command])[0]

    def read_barrier(self) -> Awaitable[int] | None:
        return None

    def wait_applied(self, index: int) -> Awaitable[int] | None:
        return None

    def settle(self, time_us: int) -> Awaitable[int] | None:
        self.builder.keep_above(time_us)
        return self._arrive()

    async def _arrive(self) -> int:
        self.machine.apply(2, self._on_its_way_us, 1, [put(b"2")])
        return 2

    def age_us(self) -> int:
        return 0


class Follower(Leader):
    """It may lag, and knows nothing of what is on its way."""

    def settle(self, time_us: int) -> Awaitable[int] | None:
        raise NotLeader(0, 2)


def reader() -> Reader:
    return Reader(lambda: NOW_US + 1_000, lag_wait_ms=1_000)


def test_a_time_after_the_last_commit_waits_for_what_was_stamped_before_it() -> None:
    async def body() -> None:
        shard = Leader()
        answer = reader().read(shard, "Get", get_at(NOW_US + 500))
        assert isinstance(answer, Awaitable)
        first: Any = await answer
        assert first.value == b"2"
        shard.propose(put(b"3"), None)
        again: Any = reader().read(shard, "Get", get_at(NOW_US + 500))
        assert again.value == b"2"

    asyncio.run(body())


def test_a_follower_sends_such_a_read_to_the_leader() -> None:
    with pytest.raises(NotLeader):
        reader().read(Follower(), "Get", get_at(NOW_US + 500))


@pytest.mark.parametrize(
    "request_at", [get_at(NOW_US), get_at(NOW_US + 500, STALE)], ids=["what is applied", "stale"]
)
def test_a_follower_answers_of_what_it_has_applied_and_what_may_be_stale(request_at: Any) -> None:
    answer: Any = reader().read(Follower(), "Get", request_at)
    assert answer.value == b"1"


def test_a_time_in_the_future_is_refused_before_anything_is_promised() -> None:
    shard = Leader()
    with pytest.raises(Refused, match="lies in the future"):
        reader().read(shard, "Get", get_at(NOW_US + 3_600_000_000))
    assert shard.builder.stamp_us() == NOW_US + 100


def test_entries_are_stamped_above_what_was_read() -> None:
    builder = EntryBuilder(clock_us=lambda: NOW_US, seed=lambda: 1)
    builder.keep_above(NOW_US + 7)
    builder.keep_above(NOW_US + 5)
    assert decode_header(builder.build([b""]))[0] == NOW_US + 8


def test_a_local_shard_keeps_the_same_promise() -> None:
    shard = LocalShard(Machine(0), None)
    shard.propose(put(b"1"), None)
    ahead_us = shard.machine.last_time_us + 900_000
    at_once: Callable[[], Any] = lambda: Reader(lambda: ahead_us, 1).read(  # noqa: E731
        shard, "Get", get_at(ahead_us)
    )
    assert at_once().value == b"1"
    shard.propose(put(b"2"), None)
    assert at_once().value == b"1"


def test_a_long_query_lets_others_run_between_its_portions_and_sees_one_moment() -> None:
    documents, portion = 5_000, 500
    request = query_pb2.QueryRequest(namespace=NAMESPACE, filter=b'{"n":{"$gte":0}}', limit=10_000)
    request.sort.add(field="n")

    async def body(consistency: int) -> None:
        shard = Leader()
        many = kv_pb2.MultiPutRequest(namespace=NAMESPACE)
        many.keys.extend(f"k{n:04}" for n in range(documents))
        many.values.extend(b'{"n":%d}' % n for n in range(documents))
        shard.propose(Command(3, "a", many), None)
        request.context.consistency = consistency  # type: ignore[assignment]
        outcome = reader().read(shard, "Query", request)
        assert isinstance(outcome, Awaitable)
        query = asyncio.ensure_future(outcome)
        turns = 0
        while not query.done():
            shard.propose(put(b'{"n":%d}' % turns), None)
            shard.propose(
                Command(2, "a", kv_pb2.DeleteRequest(namespace=NAMESPACE, key=f"k{4_999 - turns}")), None
            )
            turns += 1
            await asyncio.sleep(0)
        assert turns >= documents // portion
        answer: Any = query.result()
        assert len(answer.keys) == documents and answer.at_index == 2

    asyncio.run(body(0))
    asyncio.run(body(STALE))

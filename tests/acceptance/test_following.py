"""Tails and watches on real nodes: over killed leaders, stopped nodes and lost majorities, within limits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from memraft import AsyncMemory, Memory
from memraft._sync.feeds import Feed
from memraft_proto.methods import METHODS
from memraft_proto.v1 import common_pb2, stream_pb2, watch_pb2
from memraft_server import following
from memraft_server.cli.devcluster import DevCluster
from tests.acceptance.nodes import WAIT_S, Client, Failed, Nodes, eventually, run

NAMESPACE = "acme/support"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DevCluster]:
    with DevCluster.open(tmp_path / "cluster", 3, 1, None) as cluster:
        cluster.start()
        yield cluster


class Writer:
    """Appends numbers to a stream and puts them under a few keys, until it is told to stop."""

    def __init__(self, memory: Memory) -> None:
        self.count = 0
        self._memory = memory
        self._stopping = threading.Event()
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._memory.append("log", self.count + 1)
            self._memory.put(f"k{self.count % 7}", self.count + 1)
            with self._moved:
                self.count += 1
                self._moved.notify_all()

    def wait_for(self, more: int) -> None:
        """Waits until so many more were acknowledged."""
        with self._moved:
            wanted = self.count + more
            assert self._moved.wait_for(lambda: self.count >= wanted, 60)

    def stop(self) -> int:
        """How many were written in all."""
        self._stopping.set()
        self._thread.join()
        return self.count


class Reader:
    """Takes all that comes of a feed, in a thread."""

    def __init__(self, feed: Feed[Any], value: str) -> None:
        self.values: list[Any] = []
        self.versions: list[int] = []
        self._feed = feed
        self._value = value
        feed.__enter__()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for each in self._feed:
            self.values.append(getattr(each, self._value))
            self.versions.append(each.version)

    def serving(self, cluster: DevCluster) -> str:
        """The name of the node that serves it."""
        address = self._feed._source._address  # type: ignore[attr-defined]
        return next(node.name for node in cluster.plan.nodes if node.address == address)

    def wait_for(self, count: int) -> None:
        """Waits until it has so many, and ends it."""
        deadline = time.monotonic() + 60
        while len(self.versions) < count and self._thread.is_alive():
            assert time.monotonic() < deadline, f"it has {len(self.versions)} of {count}"
            time.sleep(0.01)
        self._feed.close()
        self._thread.join()


def test_no_event_is_lost_or_doubled_while_leaders_and_serving_nodes_are_killed(cluster: DevCluster) -> None:
    certs = cluster.agent_certs("acme", "support")

    def opened() -> Memory:
        return Memory(cluster.endpoints, certs=certs, namespace=NAMESPACE, timeout_s=60.0)

    with opened() as writes, opened() as reads, opened() as stale:
        writer = Writer(writes)
        readers = [
            Reader(reads.tail("log", from_sequence=1), "payload"),
            Reader(stale.tail("log", from_sequence=1, consistency="stale"), "payload"),
            Reader(reads.watch("k", after_version=0), "value"),
            Reader(stale.watch("k", after_version=0, consistency="stale"), "value"),
        ]
        for round_ in range(4):
            writer.wait_for(30)
            victim = readers[round_ % len(readers)].serving(cluster)
            if round_ == 2:
                cluster.stop_node(victim)  # in good order: its followers are sent away
            else:
                cluster.kill_node(victim)
            writer.wait_for(30)
            cluster.start_node(victim)
            cluster.wait_ready(names=[victim])
        count = writer.stop()
        for reader in readers:
            reader.wait_for(count)
            assert reader.values == list(range(1, count + 1))
            assert reader.versions == sorted(set(reader.versions))


def test_a_feed_that_was_entered_ends_where_nothing_comes_and_misses_nothing(tmp_path: Path) -> None:
    """Entering it waits as long as it takes; the call that began then is not waited for to its end."""

    async def script(nodes: Nodes) -> None:
        certs = nodes.agent_certs("acme", "support")
        async with AsyncMemory(nodes.address(), certs=certs, namespace=NAMESPACE) as memory:
            await memory.append_many("log", [1, 2, 3])
            async with memory.tail("log", from_sequence=1, idle_s=0.3) as feed, asyncio.timeout(WAIT_S):
                assert [event.payload async for event in feed] == [1, 2, 3]
            async with memory.tail("log", idle_s=0.3) as feed, asyncio.timeout(WAIT_S):
                assert [event.payload async for event in feed] == []

    run(Nodes(tmp_path), script)


# -- what a node does for those who follow -------------------------------------------------------------


def tail(stream: str = "s", from_sequence: int = 1, namespace: str = NAMESPACE, **context: Any) -> Any:
    return stream_pb2.TailStreamRequest(
        namespace=namespace,
        stream=stream,
        from_sequence=from_sequence,
        context=common_pb2.ReadContext(**context),
    )


def append(*payloads: bytes) -> stream_pb2.AppendManyRequest:
    return stream_pb2.AppendManyRequest(namespace=NAMESPACE, stream="s", types=["t"], payloads=payloads)


def begin(client: Client, name: str, request: Any) -> Any:
    """Begins a call with many responses."""
    method = METHODS[name]
    call = client.channel.unary_stream(
        method.path,
        request_serializer=method.request.SerializeToString,
        response_deserializer=method.response.FromString,
    )
    return call(request, timeout=WAIT_S)


async def read(call: Any) -> Any:
    try:
        return await call.read()
    except grpc.aio.AioRpcError as error:
        raise Failed(error) from None


def test_any_replica_serves_those_who_follow_and_tells_them_that_nothing_came(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        leader = nodes.leader()
        machines = [node.machines[0] for node in nodes.nodes]
        for number in (1, 2, 3):
            await eventually(lambda: len({each.applied_index for each in machines}) == 1, "all have the same")
            call = begin(nodes.client(number=number), "TailStream", tail(from_sequence=0))
            first = await read(call)
            quiet = await read(call)
            assert (len(first.events), first.next_sequence, quiet.next_sequence) == (0, number, number)
            await nodes.client(number=leader).call("AppendMany", append(b"%d" % number))
            response = quiet
            while not response.events:
                response = await read(call)
            assert [event.payload for event in response.events] == [b"%d" % number]
            assert response.next_sequence == number + 1
            watch = watch_pb2.WatchRequest(namespace=NAMESPACE, target=watch_pb2.WATCH_TARGET_KV)
            assert (await read(begin(nodes.client(number=number), "Watch", watch))).after_version

    run(Nodes(tmp_path, 3, client={"heartbeat_ms": 20}), script)


def test_there_are_only_so_many_followers_and_who_goes_makes_room(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        client = nodes.client()
        calls = [begin(client, "TailStream", tail()) for _ in range(2)]
        for each in calls:
            await read(each)
        with pytest.raises(Failed, match="followers_max = 2") as caught:
            await read(begin(client, "TailStream", tail()))
        assert (caught.value.reason, caught.value.metadata["limit"]) == ("OVERLOADED", "client.followers_max")
        calls[0].cancel()
        followers = nodes.nodes[0].service.followers
        await eventually(lambda: len(followers._bells) == 1, "the follower that went is forgotten")
        await read(begin(client, "TailStream", tail()))

    run(Nodes(tmp_path, client={"followers_max": 2}), script)


def test_who_may_not_read_may_not_follow(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        with pytest.raises(Failed) as caught:
            await read(begin(nodes.client(), "TailStream", tail(namespace="other/x")))
        assert caught.value.reason == "WRONG_TENANT"
        with pytest.raises(Failed) as caught:
            await read(begin(nodes.client(), "TailStream", tail(at_index=1)))
        assert (caught.value.reason, caught.value.code) == (
            "INVALID_ARGUMENT",
            grpc.StatusCode.INVALID_ARGUMENT,
        )
        with pytest.raises(Failed) as caught:
            await read(begin(nodes.client(), "TailStream", tail(min_index=99)))
        assert caught.value.reason == "LAGGING"

    run(Nodes(tmp_path, client={"lag_wait_ms": 20}), script)


def test_a_reader_that_is_slow_makes_the_node_wait_and_misses_nothing(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        client = nodes.client()
        call = begin(client, "TailStream", tail())
        await read(call)
        payload = b'"' + b"x" * 20_000 + b'"'
        machine = nodes.nodes[0].machines[0]
        for _ in range(40):
            await client.call("AppendMany", append(*(payload,) * 50))
        followed = machine.changes._streams[NAMESPACE].wakes["s"]
        assert len(followed) == 1
        place = next(iter(nodes.nodes[0].service.followers._bells))
        assert place.is_set(), "it was woken and has not looked yet: it waits for the reader"
        sequences: list[int] = []
        while len(sequences) < 2_000:
            sequences += [event.sequence for event in (await read(call)).events]
        assert sequences == list(range(1, 2_001))

    run(Nodes(tmp_path), script)


def test_a_replica_without_a_leader_sends_followers_away_unless_stale_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(nodes: Nodes) -> None:
        call = begin(nodes.client(number=1), "TailStream", tail())
        stale = begin(nodes.client(number=1), "TailStream", tail(consistency=common_pb2.CONSISTENCY_STALE))
        await read(call)
        await read(stale)
        monkeypatch.setattr(following, "LOST_MS", 300)
        await asyncio.gather(nodes.nodes.pop().stop(), nodes.nodes.pop().stop())
        with pytest.raises(Failed) as caught:
            while True:
                await read(call)
        assert caught.value.reason == "LAGGING"
        while (await read(stale)).stamp.age_us < 300_000:
            pass

    run(Nodes(tmp_path, 3, client={"heartbeat_ms": 20}), script)


def test_a_node_that_stops_sends_its_followers_away(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        call = begin(nodes.client(), "TailStream", tail())
        await read(call)
        stopping = asyncio.create_task(nodes.nodes.pop().stop())
        with pytest.raises(Failed) as caught:
            await read(call)
        assert caught.value.reason == "SHUTTING_DOWN"
        await stopping

    run(Nodes(tmp_path), script)

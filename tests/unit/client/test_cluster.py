"""The client on real nodes: leaders that die, calls under way, quotas, and many callers at once."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from memraft import (
    AsyncMemory,
    ClosedError,
    ConfigurationError,
    InvalidArgument,
    Memory,
    QuotaExceeded,
    Unavailable,
)
from memraft._async.remote import AsyncRemoteLink
from memraft_server.cli.devcluster import DevCluster
from tests.acceptance.nodes import Nodes, run

WAIT_S = 30.0


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    with DevCluster.open(tmp_path_factory.mktemp("cluster"), 3, 3, None) as cluster:
        cluster.start()
        yield cluster


def leader_of(memory: AsyncMemory, cluster: DevCluster) -> str:
    """The name of the node that leads the memory's shard, as the client found it."""
    link = memory._link
    assert isinstance(link, AsyncRemoteLink)
    shard = link._router.shard_of(memory.namespace)
    assert shard is not None
    address = link._router.leader(shard)
    return next(node.name for node in cluster.plan.nodes if node.address == address)


def test_nothing_acknowledged_is_lost_or_doubled_when_the_leader_is_killed(cluster: DevCluster) -> None:
    callers, acknowledged_after = 8, 20

    async def script() -> None:
        certs = cluster.agent_certs("acme", "support")
        async with AsyncMemory(
            cluster.endpoints, certs=certs, namespace="acme/support", timeout_s=WAIT_S
        ) as memory:
            acknowledged: dict[int, list[int]] = {caller: [] for caller in range(callers)}
            killed = asyncio.Event()

            async def write(caller: int) -> None:
                after = number = 0
                while after < acknowledged_after:
                    number += 1
                    await memory.append(f"caller:{caller}", number)
                    acknowledged[caller].append(number)
                    after += killed.is_set()

            async def read() -> None:
                while any(len(each) == 0 for each in acknowledged.values()) or not killed.is_set():
                    await memory.streams()
                await memory.streams()

            tasks = [asyncio.create_task(write(caller)) for caller in range(callers)]
            tasks.append(asyncio.create_task(read()))
            while any(len(each) < 10 for each in acknowledged.values()):
                await asyncio.sleep(0.01)
            victim = leader_of(memory, cluster)
            await asyncio.to_thread(cluster.kill_node, victim)
            killed.set()
            await asyncio.gather(*tasks)
            assert leader_of(memory, cluster) != victim
            for caller, numbers in acknowledged.items():
                found: list[int] = []
                while page := (await memory.events(f"caller:{caller}", from_sequence=len(found) + 1)).items:
                    found += [event.payload for event in page]
                assert found == numbers
                assert await memory.verify(f"caller:{caller}")

    asyncio.run(script())


def test_threads_share_a_client_and_read_their_own_writes(cluster: DevCluster) -> None:
    certs = cluster.agent_certs("acme", "support")
    wrong: list[object] = []
    with Memory(cluster.endpoints, certs=certs, namespace="acme/support", timeout_s=WAIT_S) as memory:

        def work(worker: int) -> None:
            for i in range(50):
                key = f"{worker}:{i}"
                memory.put(key, i)
                if memory.get(key) != i:
                    wrong.append(key)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(memory.list(keys_only=True)) == 400


def test_a_cluster_without_a_majority_says_so_in_time(cluster: DevCluster) -> None:
    certs = cluster.agent_certs("acme", "support")
    with Memory(cluster.endpoints, certs=certs, namespace="acme/support", timeout_s=WAIT_S) as memory:
        memory.put("k", 1)
        left = cluster.endpoints.split(",")[2]
        with Memory(left, certs=certs, namespace="acme/support", timeout_s=WAIT_S) as survivor:
            deadline_s = time.monotonic() + WAIT_S
            while survivor.get("k", consistency="stale") != 1:  # or it may never learn that it was committed
                assert time.monotonic() < deadline_s
        cluster.kill_node("n1")
        cluster.kill_node("n2")
        with Memory(cluster.endpoints, certs=certs, namespace="acme/support", timeout_s=0.5) as hasty:
            began_s = time.monotonic()
            with pytest.raises(Unavailable):
                hasty.get("k", consistency="linearizable")
            assert time.monotonic() - began_s < WAIT_S
        # The node that is left still answers what it has.
        assert memory.get("k", consistency="stale") == 1
        cluster.start_node("n1")
        memory.put("k", 2)
        assert memory.get("k", consistency="linearizable") == 2


def test_a_quota_is_refused_with_its_limit_and_when_to_retry(tmp_path: object) -> None:
    async def script(nodes: Nodes) -> None:
        certs = nodes.agent_certs("acme", "support")
        async with AsyncMemory(nodes.address(), certs=certs, namespace="acme/x") as memory:
            with pytest.raises(QuotaExceeded) as raised:
                await asyncio.gather(*(memory.put("k", i) for i in range(200)))
        assert raised.value.reason == "RATE_LIMITED"
        assert raised.value.limit
        assert raised.value.retry_after_s is not None and 0 < raised.value.retry_after_s < WAIT_S
        assert raised.value.retryable

    quotas = {"default": {"operations_per_s": 5, "burst_s": 1.0}}
    run(Nodes(tmp_path, quotas=quotas), script)  # type: ignore[arg-type]


def test_calls_under_way_end_when_the_memory_is_closed(tmp_path: object) -> None:
    async def script(nodes: Nodes) -> None:
        certs = nodes.agent_certs("acme", "support")
        memory = AsyncMemory(nodes.address(), certs=certs, namespace="acme/x")
        await memory.put("k", 1)
        calls = [asyncio.create_task(memory.put(f"k{i}", i)) for i in range(100)]
        await asyncio.sleep(0)
        await memory.close()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, ClosedError) or hasattr(each, "version") for each in outcomes)
        assert any(isinstance(each, ClosedError) for each in outcomes)
        with pytest.raises(ClosedError):
            await memory.get("k")
        await memory.close()

    run(Nodes(tmp_path), script)  # type: ignore[arg-type]


def test_a_cancelled_call_leaves_the_session_in_order(tmp_path: object) -> None:
    async def script(nodes: Nodes) -> None:
        certs = nodes.agent_certs("acme", "support")
        async with AsyncMemory(nodes.address(), certs=certs, namespace="acme/x") as memory:
            await memory.put("k", 0)
            calls = [asyncio.create_task(memory.put("k", i)) for i in range(20)]
            await asyncio.sleep(0)
            for call in calls[::2]:
                call.cancel()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in outcomes[::2])
            assert all(hasattr(each, "version") for each in outcomes[1::2])
            await memory.put("k", "last")
            assert await memory.get("k") == "last"
            link = memory._link
            assert isinstance(link, AsyncRemoteLink)
            assert all(each.floor == each.next for each in link._router._sessions.values())

    run(Nodes(tmp_path), script)  # type: ignore[arg-type]


def test_a_memory_belongs_to_one_event_loop(cluster: DevCluster) -> None:
    certs = cluster.agent_certs("acme", "support")
    memory = AsyncMemory(cluster.endpoints, certs=certs, namespace="acme/x", timeout_s=WAIT_S)
    asyncio.run(memory.put("k", 1))
    for call in (memory.get, memory.delete):
        with pytest.raises(ConfigurationError, match="event loop of its first call"):
            asyncio.run(call("k"))
    asyncio.run(memory.close())


def test_a_cluster_wants_a_namespace(tmp_path: object) -> None:
    async def script(nodes: Nodes) -> None:
        certs = nodes.agent_certs("acme", "support")
        async with AsyncMemory(nodes.address(), certs=certs) as memory:
            with pytest.raises(InvalidArgument, match="namespace="):
                await memory.put("k", 1)
            await memory.scoped("acme/x").put("k", 1)

    run(Nodes(tmp_path), script)  # type: ignore[arg-type]


def test_what_no_call_can_carry_is_refused_with_its_size_and_the_limit(tmp_path: object) -> None:
    mib = 1 << 20

    async def script(nodes: Nodes) -> None:
        certs = nodes.agent_certs("acme", "support")
        async with AsyncMemory(nodes.address(), certs=certs, namespace="acme/x") as memory:
            for size in (20 * mib, 65 * mib):
                with pytest.raises(InvalidArgument, match=r"request has \d+ bytes, at most \d+"):
                    await memory.put("k", "x" * size)

    run(Nodes(tmp_path), script)  # type: ignore[arg-type]

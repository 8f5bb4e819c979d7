"""Concurrent writes on three real nodes: fewer calls than writes, and nobody notices."""

import asyncio
import re
import threading
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from memraft import AsyncMemory, ClosedError, ConflictError, InvalidArgument, Memory, NotFound, QuotaExceeded
from memraft._async.remote import AsyncRemoteLink
from memraft._coalesce import WRITE_BYTES_MAX
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.devplan import HOST
from tests.acceptance.nodes import Nodes, run

CALLERS = 256
WAIT_S = 30.0
_COUNT = re.compile(r'memraft_call_seconds_count\{code="(\w+)",method="(\w+)"\} (\S+)')


def calls(cluster: DevCluster) -> Counter[str]:
    """Calls of each method that were answered OK so far, as the nodes count them."""
    found: Counter[str] = Counter()
    for node in cluster.plan.nodes:
        with urllib.request.urlopen(f"http://{HOST}:{node.metrics_port}/metrics") as answer:
            for code, method, count in _COUNT.findall(answer.read().decode()):
                if code == "OK":
                    found[method] += int(float(count))
    return found


def connect(cluster: DevCluster, namespace: str) -> AsyncMemory:
    certs = cluster.agent_certs("acme", "support")
    return AsyncMemory(cluster.endpoints, certs=certs, namespace=f"acme/{namespace}", timeout_s=WAIT_S)


def link_of(memory: AsyncMemory) -> AsyncRemoteLink:
    link = memory._link
    assert isinstance(link, AsyncRemoteLink)
    return link


async def settled() -> None:
    """Lets who carried hand on."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_many_callers_write_with_few_calls(cluster: DevCluster) -> None:
    async def script() -> None:
        async with connect(cluster, "many") as memory:
            await memory.put("first", 0)
            before = calls(cluster)
            written = await asyncio.gather(*(memory.put(f"k{i:03d}", i) for i in range(CALLERS)))
            made = calls(cluster) - before
            assert made["Put"] + made["Batch"] < CALLERS / 8
            assert [each.id for each in written] == [f"k{i:03d}" for i in range(CALLERS)]
            assert len({each.version for each in written}) == CALLERS
            for i, each in enumerate(written):
                record = await memory.record(f"k{i:03d}")
                assert record is not None and (record.value, record.version) == (i, each.version)
                assert record.agent == "support"
            await settled()
            assert len(link_of(memory)._lanes._gatherer) == 0

    asyncio.run(script())


def test_a_caller_alone_makes_calls_of_its_own(cluster: DevCluster) -> None:
    async def script() -> None:
        async with connect(cluster, "alone") as memory:
            before = calls(cluster)
            for i in range(10):
                await memory.put("k", i)
            made = calls(cluster) - before
            assert (made["Put"], made["Batch"]) == (10, 0)

    asyncio.run(script())


def test_a_large_document_among_small_ones_goes_by_itself(cluster: DevCluster) -> None:
    async def script() -> None:
        async with connect(cluster, "large") as memory:
            await memory.put("first", 0)
            before = calls(cluster)
            large = "x" * WRITE_BYTES_MAX  # and its quotes
            await asyncio.gather(*(memory.put(f"k{i}", i) for i in range(64)), memory.put("large", large))
            made = calls(cluster) - before
            assert (made["Put"], made["Batch"]) == (2, 1), "the first that came, the large one, the others"
            assert await memory.get("large") == large

    asyncio.run(script())


def test_writes_of_all_kinds_and_of_many_runs_meet_and_keep_who_made_them(cluster: DevCluster) -> None:
    async def script() -> None:
        async with connect(cluster, "kinds") as memory:
            await memory.create_collection("docs", 2)
            runs = [memory.scoped(run=f"r{i}", tool="t") for i in range(4)]
            await asyncio.gather(*(view.begin_run(f"r{i}") for i, view in enumerate(runs)))
            outcomes = await asyncio.gather(
                *(memory.append("s", i) for i in range(20)),
                *(memory.remember(f"fact {i}") for i in range(20)),
                *(memory.upsert("docs", str(i), [i, 1.0]) for i in range(20)),
                *(runs[i % 4].put(f"by-run/{i}", i) for i in range(20)),
                memory.put_many({f"many/{i}": i for i in range(20)}),
            )
            appended = outcomes[:20]
            assert sorted(each.sequence for each in appended) == list(range(1, 21))  # type: ignore[attr-defined]
            assert await memory.verify("s")
            assert len({each.id for each in outcomes[20:40]}) == 20  # type: ignore[attr-defined]
            assert len(await memory.memories(limit=100)) == 20
            assert len(await memory.search("docs", [1, 1], k=20)) == 20
            for i in range(20):
                record = await memory.record(f"by-run/{i}")
                assert record is not None and (record.run, record.tool) == (f"r{i % 4}", "t")
            assert len(await memory.list("many/")) == 20

    asyncio.run(script())


def test_one_malformed_write_among_many_fails_alone(cluster: DevCluster) -> None:
    async def script() -> None:
        async with connect(cluster, "malformed") as memory:
            with pytest.raises(InvalidArgument) as alone:
                await memory.put("x" * 600, 1)
            keys = [f"k{i}" for i in range(64)]
            keys[30] = "x" * 600
            outcomes = await asyncio.gather(*(memory.put(key, 1) for key in keys), return_exceptions=True)
            failed = outcomes.pop(30)
            assert isinstance(failed, InvalidArgument)
            assert (str(failed), failed.reason, failed.metadata) == (
                str(alone.value), alone.value.reason, alone.value.metadata,
            )  # fmt: skip
            assert all(hasattr(each, "version") for each in outcomes)
            assert len(await memory.list(limit=100)) == 63

    asyncio.run(script())


def test_conflicts_and_refusals_reach_the_caller_whose_they_are(cluster: DevCluster) -> None:
    async def script() -> None:
        async with connect(cluster, "conflicts") as memory:
            taken = await memory.put("taken", 0)
            with pytest.raises(NotFound) as alone:
                await memory.upsert("none", "a", [1.0])
            outcomes = await asyncio.gather(
                *(memory.put(f"free/{i}", i, if_version=0) for i in range(20)),
                *(memory.put("taken", i, if_version=0) for i in range(20)),
                *(memory.cas("leader", i, expected_version=0) for i in range(20)),
                *(memory.upsert("none", "a", [1.0]) for _ in range(5)),
                return_exceptions=True,
            )
            assert all(hasattr(each, "version") for each in outcomes[:20])
            for each in outcomes[20:40]:
                assert isinstance(each, ConflictError) and each.current_version == taken.version
            swaps = outcomes[40:60]
            winners = [each for each in swaps if each.swapped]  # type: ignore[union-attr]
            assert len(winners) == 1
            winner = swaps.index(winners[0])
            assert all(each.current == winner for each in swaps if each not in winners)  # type: ignore[union-attr]
            for each in outcomes[60:]:
                assert isinstance(each, NotFound)
                assert (str(each), each.metadata) == (str(alone.value), alone.value.metadata)

    asyncio.run(script())


def test_a_cancelled_caller_leaves_the_others_alone_and_unsent_writes_unsent(cluster: DevCluster) -> None:
    async def script() -> None:
        async with connect(cluster, "cancelled") as memory:
            await memory.put("first", 0)
            tasks = [asyncio.create_task(memory.put(f"k{i}", i)) for i in range(64)]
            await asyncio.sleep(0)  # The first is under way, the others are queued.
            for task in tasks[1::2]:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in outcomes[1::2])
            assert all(hasattr(each, "version") for each in outcomes[0::2])
            stored = {record.key for record in await memory.list("k", limit=100)}
            assert stored == {f"k{i}" for i in range(0, 64, 2)}

            tasks = [asyncio.create_task(memory.put(f"k{i}", "again")) for i in range(64)]
            for _ in range(3):
                await asyncio.sleep(0)  # The batch of all is under way: there was one with many before.
            for task in tasks[1:32]:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in outcomes[1:32])
            assert all(hasattr(each, "version") for each in outcomes[32:])
            assert (await memory.put("last", 1)).version > max(each.version for each in outcomes[32:])  # type: ignore[union-attr]
            await settled()
            assert len(link_of(memory)._lanes._gatherer) == 0

    asyncio.run(script())


def test_closing_ends_what_is_queued(cluster: DevCluster) -> None:
    async def script() -> None:
        memory = connect(cluster, "closing")
        await memory.put("first", 0)
        tasks = [asyncio.create_task(memory.put(f"k{i}", i)) for i in range(64)]
        await asyncio.sleep(0)
        await memory.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, ClosedError) for each in outcomes[1:])
        async with connect(cluster, "closing") as again:
            assert len(await again.list("k")) <= 1

    asyncio.run(script())


def test_threads_write_with_fewer_calls_and_read_their_own_writes(cluster: DevCluster) -> None:
    threads, rounds = 32, 20
    certs = cluster.agent_certs("acme", "support")
    wrong: list[str] = []
    with Memory(cluster.endpoints, certs=certs, namespace="acme/threads", timeout_s=WAIT_S) as memory:
        memory.put("first", 0)
        before = calls(cluster)
        together = threading.Barrier(threads)

        def work(worker: int) -> None:
            together.wait()
            for i in range(rounds):
                memory.put(f"w{worker}", i)
                if memory.get(f"w{worker}") != i:
                    wrong.append(f"{worker}: {i}")

        workers = [threading.Thread(target=work, args=(worker,)) for worker in range(threads)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        made = calls(cluster) - before
        assert wrong == []
        assert made["Put"] + made["Batch"] < threads * rounds
        assert len(memory._link._lanes._gatherer) == 0  # type: ignore[attr-defined]


def test_a_quota_refuses_no_more_of_a_batch_than_of_single_writes(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        certs = nodes.agent_certs("acme", "support")
        async with AsyncMemory(nodes.address(), certs=certs, namespace="acme/x") as memory:
            outcomes = await asyncio.gather(
                *(memory.put(f"k{i}", i) for i in range(40)), return_exceptions=True
            )
            refused = [each for each in outcomes if isinstance(each, BaseException)]
            assert all(isinstance(each, QuotaExceeded) for each in refused)
            assert len(outcomes) - len(refused) >= 30, "what the bucket holds is written"
            assert refused, "and no more"
            assert all(each.retry_after_s for each in refused if isinstance(each, QuotaExceeded))

    # Forty do not fit, and neither does the batch of all that follow the first.
    run(Nodes(tmp_path, quotas={"default": {"operations_per_s": 1, "burst_s": 30.0}}), script)

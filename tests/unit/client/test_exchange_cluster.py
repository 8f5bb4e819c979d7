"""Concurrent calls on three real nodes: a few exchanges instead, and nobody notices, whoever dies."""

import asyncio
import threading

import pytest

from memraft import AsyncMemory, ClosedError, ConflictError, InvalidArgument, Memory
from memraft.types import Written
from memraft_server.cli.devcluster import DevCluster
from tests.unit.client.test_cluster import leader_of
from tests.unit.client.test_coalesce_cluster import calls, connect, link_of, settled

CALLERS = 64
WAIT_S = 30.0


def test_writes_of_many_namespaces_travel_together_and_are_counted_each(cluster: DevCluster) -> None:
    async def script() -> None:
        async with connect(cluster, "first") as memory:
            views = [memory.scoped(f"acme/many-{i}") for i in range(CALLERS)]
            await asyncio.gather(*(view.put("first", 0) for view in views))
            before = calls(cluster)
            written = await asyncio.gather(*(view.put("k", i) for i, view in enumerate(views)))
            made = calls(cluster) - before
            assert made["Put"] == CALLERS, "each is a call of its own to the node"
            assert 1 <= made["Exchange"] <= CALLERS / 4
            for i, view in enumerate(views):
                record = await view.record("k")
                assert record is not None and (record.value, record.version) == (i, written[i].version)
            await settled()
            assert len(link_of(memory)._exchanges._lanes._gatherer) == 0

    asyncio.run(script())


@pytest.mark.parametrize("consistency", ["session", "linearizable", "stale"])
def test_reads_of_one_namespace_are_read_together(cluster: DevCluster, consistency: str) -> None:
    async def script() -> None:
        async with connect(cluster, f"reads-{consistency}") as memory:
            await memory.put_many({f"k{i}": i for i in range(CALLERS)})
            before = calls(cluster)
            found = await asyncio.gather(
                *(memory.get(f"k{i}", "none", consistency=consistency) for i in range(CALLERS + 4))  # type: ignore[arg-type]
            )
            if consistency != "stale":
                assert found == [*range(CALLERS), *["none"] * 4]
            made = calls(cluster) - before
            assert made["Get"] + made["MultiGet"] <= CALLERS / 8

    asyncio.run(script())


def test_reads_of_all_kinds_travel_together_and_fail_each_for_itself(cluster: DevCluster) -> None:
    async def script() -> None:
        async with connect(cluster, "kinds") as memory:
            await memory.put("k", 1)
            await memory.begin_run("r")
            before = calls(cluster)
            outcomes = await asyncio.gather(
                *(memory.record("k") for _ in range(20)),
                *(memory.run_info("r") for _ in range(5)),
                memory.get("x" * 600),
                memory.get("k"),
                memory.record("x" * 600),
                return_exceptions=True,
            )
            assert (calls(cluster) - before)["Exchange"] >= 1
            assert all(each.value == 1 for each in outcomes[:20])  # type: ignore[union-attr]
            assert isinstance(outcomes[25], InvalidArgument)
            assert outcomes[26] == 1
            assert isinstance(outcomes[27], InvalidArgument)
            assert str(outcomes[25]) == str(outcomes[27])

    asyncio.run(script())


def test_callers_that_go_away_leave_the_others_alone(cluster: DevCluster) -> None:
    async def script() -> None:
        async with connect(cluster, "cancelled") as memory:
            views = [memory.scoped(f"acme/cancelled-{i}") for i in range(CALLERS)]
            await asyncio.gather(*(view.put("k", 0) for view in views))
            for pause in range(4):
                tasks = [asyncio.create_task(view.put("k", pause)) for view in views]
                for _ in range(pause):
                    await asyncio.sleep(0)
                for task in tasks[::2]:
                    task.cancel()
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
                assert all(isinstance(each, asyncio.CancelledError) for each in outcomes[::2])
                assert all(hasattr(each, "version") for each in outcomes[1::2])
            assert await views[1].get("k") == 3
            await settled()
            assert len(link_of(memory)._exchanges._lanes._gatherer) == 0
            assert all(each.floor == each.next for each in link_of(memory)._router._sessions.values())

    asyncio.run(script())


def test_closing_ends_what_is_queued_and_under_way(cluster: DevCluster) -> None:
    async def script() -> None:
        memory = connect(cluster, "closing")
        views = [memory.scoped(f"acme/closing-{i}") for i in range(CALLERS)]
        await memory.put("first", 0)
        tasks = [asyncio.create_task(view.put("k", 1)) for view in views]
        for _ in range(3):
            await asyncio.sleep(0)
        await memory.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        # On a slow machine the first answer may have come already.
        left = [each for each in outcomes if not isinstance(each, Written)]
        assert left and all(isinstance(each, ClosedError) for each in left)

    asyncio.run(script())


def test_threads_share_exchanges_and_read_their_own_writes(cluster: DevCluster) -> None:
    threads, rounds = 32, 20
    certs = cluster.agent_certs("acme", "support")
    wrong: list[str] = []
    with Memory(cluster.endpoints, certs=certs, namespace="acme/threads", timeout_s=WAIT_S) as memory:
        memory.put("first", 0)
        before = calls(cluster)
        together = threading.Barrier(threads)

        def work(worker: int) -> None:
            view = memory.scoped(f"acme/threads-{worker}")
            together.wait()
            for i in range(rounds):
                view.put("k", i)
                if view.get("k") != i:
                    wrong.append(f"{worker}: {i}")

        workers = [threading.Thread(target=work, args=(worker,)) for worker in range(threads)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        assert wrong == []
        made = calls(cluster) - before
        assert made["Exchange"] >= 1
        assert made["Put"] == threads * rounds


def test_conflicts_reach_the_caller_whose_they_are(cluster: DevCluster) -> None:
    async def script() -> None:
        async with connect(cluster, "conflicts") as memory:
            views = [memory.scoped(f"acme/conflicts-{i}") for i in range(CALLERS)]
            taken = await asyncio.gather(*(view.put("k", 0) for view in views[::2]))
            outcomes = await asyncio.gather(
                *(view.put("k", 1, if_version=0) for view in views), return_exceptions=True
            )
            for first, outcome in zip(taken, outcomes[::2], strict=True):
                assert isinstance(outcome, ConflictError) and outcome.current_version == first.version
            assert all(hasattr(each, "version") for each in outcomes[1::2])

    asyncio.run(script())


def test_nothing_is_lost_or_doubled_when_leaders_die_under_exchanges(cluster: DevCluster) -> None:
    """Increments of counters in many namespaces: each is applied once, whatever became of its exchange."""
    callers, after_kill = 32, 10

    async def script() -> None:
        certs = cluster.agent_certs("acme", "support")
        async with AsyncMemory(
            cluster.endpoints, certs=certs, namespace="acme/faults", timeout_s=WAIT_S
        ) as memory:
            views = [memory.scoped(f"acme/faults-{i}") for i in range(callers)]
            done = [0] * callers
            killed = asyncio.Event()

            async def add(caller: int) -> None:
                left = after_kill
                while left:
                    counted = await views[caller].add("n", 1)
                    done[caller] += 1
                    assert counted == done[caller], "applied once, and not again"
                    left -= killed.is_set()

            async def take_over() -> None:
                while min(done) < 3:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(cluster.kill_node, leader_of(views[0], cluster))
                killed.set()

            await asyncio.gather(take_over(), *(add(caller) for caller in range(callers)))
            for view, count in zip(views, done, strict=True):
                assert await view.counter("n", consistency="linearizable") == count

    asyncio.run(script())

"""Locks and elections for asyncio: what is done beside the block, and what a cancelled waiter leaves."""

import asyncio
import time

import pytest

from memraft import AsyncMemory, LeaseLost


async def _until(memory: AsyncMemory, waiting: int) -> None:
    while len((await memory.lease_info("x")).waiting) != waiting:  # type: ignore[union-attr]
        await asyncio.sleep(0)


def test_a_lock_is_renewed_in_a_task_and_given_back() -> None:
    async def run() -> None:
        async with AsyncMemory() as memory:
            async with memory.lock("x", ttl=2) as lease:
                first = info = await memory.lease_info("x")
                while info == first:
                    await asyncio.sleep(0.01)
                    info = await memory.lease_info("x")
                assert first is not None and info is not None and info.token == first.token
                assert info.expires_at_us > first.expires_at_us and not lease.lost
                await lease.memory.put("a", 1)
            assert await memory.lease_info("x") is None
            assert [each.get_name() for each in asyncio.all_tasks()] == [asyncio.current_task().get_name()]  # type: ignore[union-attr]

    asyncio.run(run())


def test_a_loop_that_stands_still_loses_the_lock_and_its_writes() -> None:
    async def run() -> None:
        async with AsyncMemory() as memory:
            with pytest.raises(LeaseLost, match="before the end"):
                async with memory.lock("x", ttl=0.4) as lease:
                    writes = lease.memory
                    over = time.monotonic() + 0.5  # the holder gives up a little before its lease is over
                    while not lease.lost or time.monotonic() < over:  # nothing else may run meanwhile
                        pass
                    with pytest.raises(LeaseLost, match="was lost"):
                        lease.check()
                    with pytest.raises(LeaseLost) as refused:
                        await writes.put("a", 1)
                    assert refused.value.reason == "STALE_FENCE"
            assert await memory.get("a") is None

    asyncio.run(run())


def test_a_waiter_that_is_cancelled_leaves_the_queue() -> None:
    async def run() -> None:
        async with AsyncMemory() as memory, memory.lock("x", ttl=60):
            waiter = asyncio.create_task(memory.lock("x").acquire())
            await _until(memory, 1)
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
            await _until(memory, 0)

    asyncio.run(run())


def test_a_candidate_that_lost_the_lead_stands_again() -> None:
    async def run() -> None:
        async with AsyncMemory() as memory, memory.elect("x", ttl=0.4) as seat:
            assert await seat.wait(30)
            term = seat.term
            while seat.is_leader:
                pass
            assert seat.term == 0
            assert await seat.wait(30) and seat.term > term

    asyncio.run(run())

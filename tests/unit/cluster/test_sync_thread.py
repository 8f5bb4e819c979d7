"""What runs beside the event loop: in one thread, in order, and its errors come back."""

from __future__ import annotations

import asyncio
import threading

import pytest

from memraft_cluster.sync_thread import SyncThread


def test_jobs_run_in_order_in_one_thread_and_say_how_long_they_took() -> None:
    seen: list[tuple[int, str]] = []

    async def script() -> list[float]:
        thread = SyncThread("beside")
        jobs = [
            lambda number=number: seen.append((number, threading.current_thread().name))
            for number in range(9)
        ]
        took = await asyncio.gather(*map(thread.run, jobs))
        thread.stop()
        thread.stop()
        return took

    took_s = asyncio.run(script())
    assert seen == [(number, "beside") for number in range(9)]
    assert all(each >= 0.0 for each in took_s)


def test_what_a_job_raises_is_raised_to_who_waits_and_the_next_one_runs() -> None:
    async def script() -> None:
        thread = SyncThread("beside")
        with pytest.raises(OSError, match="no room"):
            await thread.run(_fail)
        await thread.run(bool)
        thread.stop()

    asyncio.run(script())


def test_who_gave_up_waiting_is_not_told_and_a_stop_waits_for_what_is_under_way() -> None:
    begun, release = threading.Event(), threading.Event()
    ended: list[bool] = []
    faults: list[object] = []

    def job() -> None:
        begun.set()
        ended.append(release.wait(30))

    async def script() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        thread = SyncThread("beside")
        future = thread.run(job)
        await asyncio.to_thread(begun.wait, 30)
        future.cancel()
        release.set()
        thread.stop()
        assert ended == [True]
        await asyncio.sleep(0)

    asyncio.run(script())
    assert not faults


def _fail() -> None:
    raise OSError("no room")

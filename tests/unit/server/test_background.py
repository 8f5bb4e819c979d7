"""A node's own work: what it costs while there is none, and that nothing is left undone.

The clock is the test's: whenever the loop would wait, it is moved on to what comes next.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from memraft_server.background import Background
from memraft_server.clock import SteadyClock
from memraft_server.machine import Machine
from tests.unit.machine.test_hosted import Latest, Shard


class SkippingLoop(asyncio.SelectorEventLoop):
    """Nobody waits for it; how often it was woken up by time is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s, self.wakes = 1_000.0, 0
        selector: selectors.BaseSelector = self._selector  # type: ignore[attr-defined]
        select = selector.select

        def skip(timeout: float | None = None) -> Any:
            if timeout:
                self.now_s += timeout
                self.wakes += 1
            return select(0)

        selector.select = skip  # type: ignore[method-assign]

    def time(self) -> float:
        return self.now_s


def background_of(*machines: Machine) -> Background:
    shards = [SimpleNamespace(number=each.shard, machine=each) for each in machines]
    return Background(
        shards,
        SimpleNamespace(is_leader=lambda group: True),
        SteadyClock(),
        expiry_interval_ms=100,
        expiry_keys_max=10,
        index_interval_ms=250,
        ballast=SimpleNamespace(restore=lambda: True),
    )


def run(background: Background, play: Callable[[SkippingLoop], Awaitable[None]]) -> None:
    loop = SkippingLoop()

    async def main() -> None:
        background.start()
        try:
            await play(loop)
        finally:
            await background.stop()

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def test_a_node_without_work_is_woken_up_no_oftener_than_it_looks() -> None:
    machines = [Machine(number) for number in range(16)]
    background = background_of(*machines)
    for each in machines:
        each.host({"latest": Latest}, str, background.note_projections)

    async def rest(loop: SkippingLoop) -> None:
        await asyncio.sleep(1)
        before = loop.wakes
        await asyncio.sleep(10)
        # Ten times a second for expiries and retention at once, twice more for indexes.
        assert loop.wakes - before <= 10 * (10 + 2) + 2

    run(background, rest)


def test_projections_are_made_when_there_is_something_to_do() -> None:
    shard = Shard()
    background = background_of(shard.machine)
    shard.machine.host({"latest": Latest}, str, background.note_projections)
    assert shard.machine.hosted is not None
    hosted = shard.machine.hosted

    async def write(loop: SkippingLoop) -> None:
        for number in range(3):
            await asyncio.sleep(5)
            shard.put("k", number)
            assert hosted.pending
            await asyncio.sleep(0.03)
            assert not hosted.pending
            assert shard.ask("latest") == {"k": number}

    run(background, write)


def test_what_failed_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    shard = Shard()
    background = background_of(shard.machine)
    shard.machine.host({"latest": Latest}, str, background.note_projections)
    assert shard.machine.hosted is not None
    hosted, failures = shard.machine.hosted, [OSError("no")]
    step = hosted.step

    def fail_once() -> bool:
        if failures:
            raise failures.pop()
        return step()

    hosted.step = fail_once  # type: ignore[method-assign]

    async def write(loop: SkippingLoop) -> None:
        shard.put("k", 1)
        await asyncio.sleep(0.1)
        assert not failures
        assert not hosted.pending

    run(background, write)
    assert "background work failed" in caplog.text

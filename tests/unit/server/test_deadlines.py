"""Deadlines of calls: read from the wire, kept in slots, looked at when they may be over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from memraft_server.rpc.lean import deadlines
from memraft_server.rpc.lean.deadlines import Deadlines, parse_timeout_s


class Call:
    """Notes when it expired."""

    def __init__(self) -> None:
        self.slot: Any = None
        self.expired: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def expire(self) -> None:
        self.expired.set_result(asyncio.get_running_loop().time())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3_600.0),
        (b"2M", 120.0),
        (b"5S", 5.0),
        (b"250m", 0.25),
        (b"1u", 1e-6),
        (b"99999999n", 0.099999999),
    ],
)
def test_a_timeout_has_one_unit(value: bytes, seconds: float) -> None:
    assert parse_timeout_s(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"5", b"S", b"5s", b"-1S", b"123456789S", b"1.5S", b"5SS", b" 5S"])
def test_what_is_no_timeout_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="grpc-timeout"):
        parse_timeout_s(value)


def test_calls_expire_after_their_time_and_not_before() -> None:
    async def script() -> None:
        loop = asyncio.get_running_loop()
        kept = Deadlines(loop)
        began = loop.time()
        calls = {seconds: Call() for seconds in (0.0, 0.06, 0.12)}
        for seconds, call in calls.items():
            kept.add(call, seconds)
        done = Call()
        kept.add(done, 0.01)
        assert done.slot.pop(done)  # it is over before
        for seconds, call in calls.items():
            assert await call.expired - began >= seconds
            assert call.slot is None
        assert not done.expired.done()
        assert not kept._slots

    asyncio.run(script())


def test_a_deadline_far_ahead_needs_no_slot_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script() -> None:
        loop = asyncio.get_running_loop()
        kept = Deadlines(loop)
        calls = [Call() for _ in range(100)]
        began = loop.time()
        for number, call in enumerate(calls):
            kept.add(call, 0.2 + 0.001 * number)
            assert max(kept._slots) <= (loop.time() + 0.1 + deadlines.SLOT_S) / deadlines.SLOT_S + 2
        for number, call in enumerate(calls):
            assert await call.expired - began >= 0.2 + 0.001 * number

    monkeypatch.setattr(deadlines, "AHEAD_MOST_S", 0.1)
    asyncio.run(script())

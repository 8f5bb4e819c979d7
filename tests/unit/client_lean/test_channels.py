"""Calls over the lean engine, for an event loop and for threads, to servers of grpcio."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from memraft._lean.calls import LeanRpcError
from memraft._lean.link import HELD_BYTES_MAX
from tests.unit.client_lean.servers import (
    DETAILS,
    FACADES,
    WAIT_S,
    Channel,
    Files,
    eventually,
    grpcio_server,
)

Script = Callable[[Channel], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module", params=("plain text", "TLS"))
def server(request: pytest.FixtureRequest, files: Files) -> Iterator[tuple[str, Path | None]]:
    is_secure = request.param == "TLS"
    with grpcio_server(files.node if is_secure else None) as address:
        yield address, files.agent if is_secure else None


@pytest.fixture(params=(*FACADES, "uvloop"))
def run(request: pytest.FixtureRequest, server: tuple[str, Path | None]) -> Callable[[Script], None]:
    """Runs a script with a channel, which is closed after it."""

    def run_one(script: Script, **changes: Any) -> None:
        is_uvloop = request.param == "uvloop"

        async def main() -> None:
            channel = Channel("event loop" if is_uvloop else request.param, *server, **changes)
            try:
                await script(channel)
            finally:
                await channel.close()

        if is_uvloop:
            pytest.importorskip("uvloop").run(main())
        else:
            asyncio.run(main())

    return run_one


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 65_530, 65_536, 300_000, 5 << 20])
def test_messages_of_any_size_come_back(run: Callable[[Script], None], size: int) -> None:
    message = (b"0123456789abcdef" * (size // 16 + 1))[:size]

    async def script(channel: Channel) -> None:
        for _ in range(3):
            assert await channel.call(message) == message

    run(script)


def test_many_calls_at_once_each_get_their_own_answer(run: Callable[[Script], None]) -> None:
    async def script(channel: Channel) -> None:
        requests = [b"%d" % number * (1 + number % 7) for number in range(300)]
        requests[::50] = [bytes(200_000) + each for each in requests[::50]]
        assert await asyncio.gather(*map(channel.call, requests)) == requests

    run(script)


def test_a_status_comes_with_its_message_and_its_trailers(run: Callable[[Script], None]) -> None:
    async def script(channel: Channel) -> None:
        for message in ("plain", "50 % of käse\n", "日本", ""):
            with pytest.raises(LeanRpcError) as raised:
                await channel.call(message.encode(), "/s/Fail")
            assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert raised.value.details() == message
            assert ("grpc-status-details-bin", DETAILS) in raised.value.trailing_metadata()
            assert ("x-text", "plain") in raised.value.trailing_metadata()
        with pytest.raises(LeanRpcError) as raised:
            await channel.call(b"", "/s/Nothing")
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert await channel.call(b"still there") == b"still there"

    run(script)


async def connected(call: Callable[[], Awaitable[object]]) -> LeanRpcError:
    """How a call fails that has a connection: on a busy machine short deadlines end before there is one."""
    deadline_s = time.monotonic() + WAIT_S
    while True:
        with pytest.raises(LeanRpcError) as raised:
            await call()
        if not (raised.value.details() or "").startswith("failed to connect"):
            return raised.value
        assert time.monotonic() < deadline_s, raised.value
        await asyncio.sleep(0.02)


def test_a_deadline_ends_a_call_and_no_other(run: Callable[[Script], None]) -> None:
    async def script(channel: Channel) -> None:
        async def late(timeout_s: float) -> None:
            error = await connected(lambda: channel.call(b"", "/s/Wait", timeout_s))
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED

        await asyncio.gather(late(0.3), late(0.1), late(0.2))
        assert await channel.call(b"after it") == b"after it"

    run(script)


def test_compressed_answers_are_read(run: Callable[[Script], None]) -> None:
    async def script(channel: Channel) -> None:
        for request in (b"", b"x", b"memory " * 100_000):
            assert await channel.call(request, "/s/Zipped") == request

    run(script)


def test_a_message_over_a_limit_is_refused_with_both_sizes(run: Callable[..., None]) -> None:
    async def script(channel: Channel) -> None:
        with pytest.raises(LeanRpcError, match=r"CLIENT: Sent message larger than max \(101 vs. 100\)"):
            await channel.call(bytes(101))
        assert await channel.call(bytes(90)) == bytes(90)
        for path in ("/s/Echo", "/s/Zipped"):
            with pytest.raises(
                LeanRpcError, match=r"CLIENT: Received message larger than max \(9\d vs. 90\)"
            ):
                await channel.call(b"7" * 95 if path == "/s/Echo" else b"7" * 91, path)
        with pytest.raises(LeanRpcError, match="Sent message"):
            await channel.follow(bytes(101)).next()
        assert await channel.call(b"next") == b"next"

    run(script, send_bytes_max=100, receive_bytes_max=90)


def test_many_responses_come_in_order_and_end(run: Callable[[Script], None]) -> None:
    async def script(channel: Channel) -> None:
        for count in (0, 1, 1_000):
            assert await channel.follow(b"%d" % count).rest() == [b"%d" % number for number in range(count)]
        assert await channel.follow(b"1").next() == b"0"

    run(script)


def test_an_error_comes_after_the_responses_before_it(run: Callable[[Script], None]) -> None:
    async def script(channel: Channel) -> None:
        responses = channel.follow(b"why", "/s/FailLate")
        assert await responses.next() == b"first"
        for _ in range(2):
            with pytest.raises(LeanRpcError, match="why") as raised:
                await responses.next()
            assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION

    run(script)


def test_a_call_with_many_responses_has_a_deadline(run: Callable[[Script], None]) -> None:
    async def script(channel: Channel) -> None:
        error = await connected(lambda: channel.follow(b"response", "/s/Endless", 0.3).rest())
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    run(script)


def test_who_reads_slowly_is_waited_for(run: Callable[[Script], None]) -> None:
    """Meanwhile the channel serves others, and what waits to be read is bounded."""

    async def script(channel: Channel) -> None:
        slow = channel.follow(bytes(50_000), "/s/Endless")
        assert await slow.next() == bytes(50_000)
        for number in range(100):
            assert await channel.call(b"%d" % number) == b"%d" % number
        for _ in range(500):
            assert await slow.next() == bytes(50_000)
            if not channel.is_blocking:
                many = next(iter(channel.channel._link.pending.values()))
                assert sum(map(len, many.messages)) == many.held_bytes <= HELD_BYTES_MAX + (1 << 20)
        slow.cancel()

    run(script)


def test_cancelling_ends_a_call_with_many_responses(run: Callable[[Script], None]) -> None:
    async def script(channel: Channel) -> None:
        is_error = pytest.raises(LeanRpcError if channel.is_blocking else asyncio.CancelledError)
        responses = channel.follow(b"0", "/s/Endless")
        assert await responses.next() == b"0"
        responses.cancel()
        with is_error:
            await responses.rest()
        responses.cancel()
        waiting = asyncio.create_task(channel.call(b"", "/s/Wait"))
        never_begun = channel.follow(b"0", "/s/Endless")
        never_begun.cancel()
        with is_error:
            await never_begun.next()
        assert await channel.call(b"x") == b"x"
        if not channel.is_blocking:
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            link = channel.channel._link
            await eventually(lambda: not link.streams and not link.pending, "nothing is left of it")
        await channel.close()
        if channel.is_blocking:
            with pytest.raises(LeanRpcError):
                await waiting

    run(script)


def test_closing_ends_what_is_under_way_and_what_comes_later(run: Callable[[Script], None]) -> None:
    async def script(channel: Channel) -> None:
        under_way = [asyncio.create_task(channel.call(b"", "/s/Wait")) for _ in range(5)]
        responses = channel.follow(b"0", "/s/Endless")
        assert await responses.next() == b"0"
        if channel.is_blocking:
            await eventually(lambda: len(channel.channel._links) == 6, "each has its connection")
        assert await channel.call(b"up") == b"up"
        await channel.close()
        for outcome in await asyncio.gather(*under_way, return_exceptions=True):
            assert isinstance(outcome, LeanRpcError if channel.is_blocking else asyncio.CancelledError)
        with pytest.raises((LeanRpcError, asyncio.CancelledError)):
            await responses.rest()
        for later in (channel.call(b"later"), channel.follow(b"1").next()):
            with pytest.raises(ValueError if channel.is_blocking else grpc.aio.UsageError, match="closed"):
                await later
        await channel.close()

    run(script)

"""The lean engine's client at its limits and at its end: slow nodes, full nodes, and what is left behind."""

import asyncio
import gc
import subprocess
import sys

import grpc
import pytest

from memraft import errors
from memraft._lean import blocking, calls
from memraft._status import CONNECT_FAILED, CONNECTION_LOST, explain
from memraft_proto.http2.connection import Limits
from memraft_proto.http2.frames import Code
from tests.unit.client_lean.scenes import facades, failure, hold, play, reason
from tests.unit.client_lean.servers import (
    HEAD,
    OK,
    Channel,
    Peer,
    Scripted,
    echo,
    eventually,
    grpcio_server,
    scripted,
)

# -- slow and small --------------------------------------------------------------------------------------


@facades
def test_answers_that_come_byte_by_byte(facade: str) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        def drip(peer: Peer, number: int, path: str, request: bytes) -> None:
            peer.send_headers(number, HEAD, False)
            peer.send_message(number, request)
            peer.send_trailers(number, OK)
            data = peer.take()
            loop = asyncio.get_running_loop()
            for position in range(len(data)):
                loop.call_later(0.002 * position, peer.transport.write, data[position : position + 1])

        server.script = drip
        for request in (b"", b"0123456789"):
            assert await channel.call(request) == request

    play(facade, scene)


@facades
def test_large_requests_to_a_node_with_small_windows(facade: str) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        requests = [bytes([number]) * 1_000_000 for number in range(4)]
        assert await asyncio.gather(*map(channel.call, requests)) == requests

    play(facade, scene, Limits(stream_window_bytes=16_384, connection_window_bytes=65_535))


def test_no_more_calls_are_under_way_than_the_node_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "WAITING_MAX", 8)

    async def scene(channel: Channel, server: Scripted) -> None:
        held: list[int] = []
        server.script = lambda peer, number, path, request: held.append(number)
        waiting = [asyncio.create_task(channel.call(b"%d" % number)) for number in range(10)]
        await eventually(lambda: len(held) == 2, "two are with the node")
        (peer,) = server.peers
        error = await failure(channel.call(b"one too many"))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        waiting.pop().cancel()
        assert isinstance(
            explain(await failure(channel.call(b"late", timeout_s=0.05)), ""), errors.Overloaded
        )
        for _ in range(9):
            await eventually(lambda: len(held) > 0, "the next one is with the node")
            assert len(peer.streams) <= 2
            peer.answer(held.pop(0), b"done")
        assert await asyncio.gather(*waiting) == [b"done"] * 9
        assert not peer.was_reset
        assert len(server.peers) == 1

    play("event loop", scene, Limits(streams_max=2))


def test_threads_wait_for_each_others_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "CONNECTIONS_MAX", 3)

    async def scene(channel: Channel, server: Scripted) -> None:
        held: list[tuple[Peer, int]] = []
        server.script = lambda peer, number, path, request: held.append((peer, number))
        waiting = [asyncio.create_task(channel.call(b"%d" % number)) for number in range(10)]
        await eventually(lambda: len(held) == 3, "three are with the node")
        assert isinstance(
            explain(await failure(channel.call(b"late", timeout_s=0.05)), ""), errors.Overloaded
        )
        for _ in range(10):
            await eventually(lambda: len(held) > 0, "the next one is with the node")
            peer, number = held.pop(0)
            peer.answer(number, b"done")
        assert await asyncio.gather(*waiting) == [b"done"] * 10
        assert len(server.peers) == 3
        # Those that are lost make room for others.
        for peer in server.peers:
            peer.abort()
        server.script = echo
        assert await asyncio.gather(*(channel.call(b"%d" % n) for n in range(50))) == [
            b"%d" % n for n in range(50)
        ]

    play("threads", scene)


def test_calls_with_many_responses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "STREAMS_MAX", 2)

    async def scene(channel: Channel, server: Scripted) -> None:
        server.script = lambda peer, number, path, request: (
            peer.send_headers(number, HEAD, False),
            peer.send_message(number, request),
            peer.flush(),
        )  # type: ignore[assignment, return-value]
        first, second = channel.follow(b"1"), channel.follow(b"2")
        assert [await first.next(), await second.next()] == [b"1", b"2"]
        error = await failure(channel.follow(b"3").next())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        first.cancel()
        assert await channel.follow(b"3").next() == b"3"

    play("threads", scene)


# -- the ends of things ----------------------------------------------------------------------------------


@facades
def test_a_connection_whose_stream_numbers_run_out_is_replaced(facade: str) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        assert await channel.call(b"first") == b"first"
        link = channel.channel._idle[0] if channel.is_blocking else channel.channel._link
        link._next_stream = 2**31 - 3
        for number in range(5):
            assert await channel.call(b"%d" % number) == b"%d" % number
        assert len(server.peers) == 2
        await eventually(lambda: server.peers[0].is_lost, "the old connection is closed")

    play(facade, scene)


def test_answers_that_come_when_thousands_of_calls_were_given_up_harm_no_other() -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        held: list[int] = []
        server.script = lambda peer, number, path, request: held.append(number)
        given_up = [asyncio.create_task(channel.call(b"x", timeout_s=600.0)) for _ in range(3_000)]
        await eventually(lambda: len(held) == 3_000, "the node has them")
        (peer,) = server.peers
        answers: list[bytes] = []
        for number in held:  # they are on their way when the calls are given up
            peer.send_headers(number, HEAD, False)
            peer.send_message(number, b"late")
            peer.send_trailers(number, OK)
            answers.append(peer.take())
        for task in given_up:
            task.cancel()
        await asyncio.wait(given_up)
        peer.transport.write(b"".join(answers))
        server.script = echo
        assert await channel.call(b"another") == b"another"
        assert len(server.peers) == 1

    play("event loop", scene)


def test_calls_that_had_not_left_when_the_connection_was_lost_are_surely_not_done() -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        server.script = hold
        assert channel.channel.loop is asyncio.get_running_loop()
        first = asyncio.create_task(channel.call(b"first"))
        await eventually(lambda: bool(server.peers and server.peers[0].streams), "the node has it")
        second = asyncio.create_task(channel.call(b"second"))
        await asyncio.sleep(0)  # it is begun, and leaves with the next turn of the loop
        channel.channel._link.lose(calls.lost("by this test"))
        assert reason(await failure(first)) == CONNECTION_LOST  # type: ignore[arg-type]
        assert reason(await failure(second)) == CONNECT_FAILED  # type: ignore[arg-type]

    play("event loop", scene)


@facades
def test_the_node_is_told_of_calls_that_nobody_waits_for_and_of_the_end(facade: str) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        assert await channel.call(b"up") == b"up"
        (peer,) = server.peers
        held: list[int] = []
        server.script = lambda peer, number, path, request: held.append(number)
        for timeout_s in (0.05, 1.0, 10.0):  # the longer ones where it was over before the node had the call
            error = await failure(channel.call(b"x", timeout_s=timeout_s))
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if held:
                break
        await eventually(lambda: bool(held) and peer.was_reset[-1:] == held[-1:], "the node hears of it")
        server.script = echo
        assert await channel.call(b"y") == b"y"
        await channel.close()
        await eventually(lambda: peer.is_lost, "the connection is closed")
        assert peer.farewells == [Code.NO_ERROR]

    play(facade, scene)


@facades
def test_a_call_that_nobody_holds_any_more_is_ended(facade: str) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        server.script = lambda peer, number, path, request: (
            peer.send_headers(number, HEAD, False),
            peer.send_message(number, request),
            peer.flush(),
        )  # type: ignore[assignment, return-value]
        responses = channel.follow(b"x")
        assert await responses.next() == b"x"
        (peer,) = server.peers
        assert peer.streams
        del responses
        gc.collect()
        await eventually(lambda: not peer.streams or peer.is_lost, "the node hears of it")

    play(facade, scene)


def test_a_caller_that_is_cancelled_when_there_is_room_leaves_its_turn_to_the_next() -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        held: list[int] = []
        server.script = lambda peer, number, path, request: held.append(number)
        waiting = [asyncio.create_task(channel.call(b"%d" % number, timeout_s=600.0)) for number in range(4)]
        await eventually(lambda: len(held) == 1 and len(channel.channel._room) == 3, "three wait")
        waiting[1].cancel()
        await eventually(lambda: len(channel.channel._room) == 2, "two wait")
        server.peers[0].answer(held.pop(), b"done")
        channel.channel._link._on_readable()  # the turn of the third, which is cancelled before it knows
        waiting[2].cancel()
        await eventually(lambda: len(held) == 1, "the last one is with the node")
        server.peers[0].answer(held.pop(), b"done")
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in outcomes] == [False, True, True, False]
        assert not channel.channel._room

    play("event loop", scene, Limits(streams_max=1))


def test_a_channel_can_be_closed_when_its_loop_is_gone() -> None:
    with grpcio_server() as address:
        left: list[Channel] = []

        async def use() -> None:
            channel = Channel("event loop", address)
            left.append(channel)
            assert await channel.call(b"x") == b"x"
            responses = channel.follow(b"x", "/s/Endless")
            assert await responses.next() == b"x"

        asyncio.run(use())
        asyncio.run(left[0].close())


LEFT_OPEN = """
import asyncio, sys
from memraft import AsyncMemory, Memory

async def use():
    memory = AsyncMemory(sys.argv[1], insecure=True, namespace="a/b", engine="lean", timeout_s=0.5)
    waiting = asyncio.create_task(memory.get("k"))
    await asyncio.sleep(0.1)
    return memory, waiting

memory = Memory(sys.argv[1], insecure=True, namespace="a/b", engine="lean", timeout_s=0.2)
try:
    memory.get("k")
except Exception as error:
    print(type(error).__name__)
kept = asyncio.run(use())
print("end")
"""


def test_a_process_ends_with_channels_that_were_left_open() -> None:
    async def main() -> None:
        async with scripted(hold) as server:
            ended = await asyncio.to_thread(
                subprocess.run, [sys.executable, "-c", LEFT_OPEN, server.address],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert ended.stdout.split() == ["Unavailable", "end"]
            assert (ended.returncode, ended.stderr) == (0, "")

    asyncio.run(main())

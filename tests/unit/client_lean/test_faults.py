"""What goes wrong between the lean engine and a node: what is told, and what was surely not done."""

import asyncio
import gc
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest

from memraft import errors
from memraft._lean import blocking, calls
from memraft._lean.calls import LeanRpcError
from memraft._status import CONNECT_FAILED, CONNECTION_LOST, explain
from memraft_proto.http2.connection import Limits
from memraft_proto.http2.frames import Code
from memraft_proto.http2.headers import encode
from memraft_server import certs
from memraft_server.cli.ports import free_ports
from tests.unit.client.test_tls import expire
from tests.unit.client_lean.servers import (
    FACADES,
    HEAD,
    HOST,
    OK,
    Channel,
    Files,
    Peer,
    Scripted,
    echo,
    eventually,
    grpcio_server,
    scripted,
)

Scene = Callable[[Channel, Scripted], Coroutine[Any, Any, None]]

facades = pytest.mark.parametrize("facade", FACADES)


def play(facade: str, scene: Scene, limits: Limits | None = None, **changes: Any) -> None:
    """Runs a scene with a scripted server and a channel to it."""

    async def main() -> None:
        async with scripted(limits=limits) as server:
            channel = Channel(facade, server.address, **changes)
            try:
                await scene(channel, server)
            finally:
                await channel.close()

    asyncio.run(main())


async def failure(call: Coroutine[Any, Any, Any]) -> LeanRpcError:
    """How a call fails."""
    with pytest.raises(LeanRpcError) as raised:
        await call
    return raised.value


def reason(error: LeanRpcError) -> str:
    """What the client makes of it."""
    return explain(error, "n1:1").reason


def hold(peer: Peer, stream_id: int, path: str, request: bytes) -> None:
    """Takes a call and says nothing."""


# -- connections that are lost ---------------------------------------------------------------------------


@facades
def test_a_node_that_dies_during_a_call_leaves_its_outcome_unknown(facade: str) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        for end in (Peer.abort, lambda peer: peer.transport.write_eof()):
            server.script = lambda peer, *call, end=end: end(peer)
            error = await failure(channel.call(b"x"))
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert reason(error) == CONNECTION_LOST
            assert reason(await failure(channel.follow(b"x").next())) == CONNECTION_LOST
            server.script = echo
            assert await channel.call(b"again") == b"again"

    play(facade, scene)


@facades
def test_a_node_that_is_not_there_has_surely_done_nothing(facade: str) -> None:
    async def main() -> None:
        (port,) = free_ports(1)
        channel = Channel(facade, f"{HOST}:{port}", backoff_first_s=0.05, backoff_most_s=0.1)
        for _ in range(3):
            error = await failure(channel.call(b"x"))
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert "Connect" in error.details() or "connect" in error.details()
            assert reason(error) == CONNECT_FAILED
        assert reason(await failure(channel.follow(b"x").next())) == CONNECT_FAILED
        async with scripted(port=port):
            answer = None
            while answer is None:  # it is found again by itself
                try:
                    answer = await channel.call(b"back")
                except LeanRpcError:
                    await asyncio.sleep(0.01)
            assert answer == b"back"
            await channel.close()

    asyncio.run(main())


@facades
def test_a_connection_that_was_lost_in_between_is_noticed_before_the_next_call(facade: str) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        for number in range(5):
            assert await channel.call(b"%d" % number) == b"%d" % number
            assert len(server.peers) == number + 1
            server.peers[-1].abort()
            await eventually(lambda: server.peers[-1].is_lost, "it is gone")
            await asyncio.sleep(0.05)

    play(facade, scene)


@facades
def test_a_port_that_says_nothing_is_given_up(facade: str) -> None:
    async def main() -> None:
        with socket.create_server((HOST, 0)) as silent:
            address = f"{HOST}:{silent.getsockname()[1]}"
            channel = Channel(facade, address, connect_timeout_s=0.1)
            assert reason(await failure(channel.call(b"x"))) == CONNECT_FAILED
            assert reason(await failure(Channel(facade, address).call(b"x", timeout_s=0.1))) == CONNECT_FAILED
            await channel.close()

    asyncio.run(main())


@facades
def test_a_port_that_speaks_something_else(facade: str) -> None:
    async def main() -> None:
        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example.org ESMTP\r\n" * 20)
            writer.close()

        async with await asyncio.start_server(serve, HOST, 0) as listening:
            channel = Channel(facade, f"{HOST}:{listening.sockets[0].getsockname()[1]}")
            error = await failure(channel.call(b"x"))
            assert reason(error) == CONNECT_FAILED
            assert "broke the protocol" in error.details()
            await channel.close()

    asyncio.run(main())


@facades
def test_a_node_that_breaks_the_protocol_is_left(facade: str) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        server.script = lambda peer, *call: peer.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)
        error = await failure(channel.call(b"x"))
        assert reason(error) == CONNECTION_LOST
        assert "broke the protocol" in error.details()
        server.script = echo
        assert await channel.call(b"again") == b"again"

    play(facade, scene)


@facades
def test_a_node_that_has_vanished_is_noticed_by_a_ping(facade: str) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        server.script = lambda peer, *call: peer.transport.pause_reading()
        error = await failure(channel.call(b"x"))
        assert reason(error) == CONNECTION_LOST
        assert "no answer to a ping in 0.1 s" in error.details()

    play(facade, scene, keepalive_s=0.1, keepalive_answer_s=0.1)


@facades
def test_a_node_that_takes_long_but_answers_pings_is_waited_for(facade: str) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        loop = asyncio.get_running_loop()
        server.script = lambda peer, number, path, request: loop.call_later(0.5, peer.answer, number, request)  # type: ignore[assignment]
        assert await channel.call(b"x") == b"x"
        assert len(server.peers) == 1

    play(facade, scene, keepalive_s=0.05, keepalive_answer_s=0.4)


@facades
@pytest.mark.parametrize(
    "fault", ["another name", "another authority", "expired", "no HTTP/2", "no certificate"]
)
def test_nothing_is_sent_to_a_node_whose_certificate_or_protocol_does_not_hold(
    facade: str, fault: str, tmp_path: Path
) -> None:
    files, others = Files(tmp_path / "ours"), Files(tmp_path / "others")
    says = {
        "another name": "mismatch",
        "another authority": "self-signed|unable to get",
        "expired": "expired",
    }
    if fault == "another name":
        certs.issue_node(files.ca, tmp_path / "node", "n2", ["127.0.0.2", "db.example.org"])
        files.node = tmp_path / "node"
    elif fault == "another authority":
        files.node = others.node
    elif fault == "expired":
        expire(files.ca, files.node)
    elif fault == "no certificate":
        (files.agent / "key.pem").write_bytes((others.agent / "key.pem").read_bytes())
    taken: list[bytes] = []

    async def main() -> None:
        protocols = ["http/1.1"] if fault == "no HTTP/2" else ["h2"]
        script = lambda peer, number, path, request: taken.append(request)  # noqa: E731
        async with scripted(script, files=files.node, protocols=protocols) as server:
            channel = Channel(facade, server.address, files.agent)
            for error in (await failure(channel.call(b"x")), await failure(channel.follow(b"x").next())):
                assert reason(error) == CONNECT_FAILED
                assert re.search(says.get(fault, ""), error.details())
            await channel.close()

    asyncio.run(main())
    assert taken == []


@facades
def test_a_node_that_dies_under_tls(facade: str, tmp_path: Path) -> None:
    files = Files(tmp_path)

    async def main() -> None:
        async with scripted(files=files.node) as server:
            channel = Channel(facade, server.address, files.agent)
            assert await channel.call(bytes(200_000)) == bytes(200_000)
            for end in (Peer.abort, lambda peer: peer.transport.close()):
                server.script = lambda peer, *call, end=end: end(peer)  # type: ignore[misc]
                assert reason(await failure(channel.call(b"x"))) == CONNECTION_LOST
                server.script = echo
                assert await channel.call(b"again") == b"again"
            await channel.close()

    asyncio.run(main())


# -- what the node says of streams -----------------------------------------------------------------------


@facades
def test_a_node_that_goes_away_has_not_taken_the_calls_after_the_last_that_it_names(facade: str) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        def leave(peer: Peer, number: int, path: str, request: bytes) -> None:
            if request == b"taken":
                peer.goaway(Code.NO_ERROR, "for repairs", number)
                peer.flush()
                peer.answer(number, request)
            elif request == b"not taken":
                peer.goaway(Code.NO_ERROR, "for repairs", number - 2 if number > 1 else 0)
                peer.flush()

        server.script = leave
        assert await channel.call(b"taken") == b"taken"
        error = await failure(channel.call(b"not taken"))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert reason(error) == CONNECT_FAILED
        assert "for repairs" in error.details()
        assert reason(await failure(channel.follow(b"not taken").next())) == CONNECT_FAILED
        assert len(server.peers) == 3
        server.script = echo
        assert await channel.call(b"elsewhere") == b"elsewhere"
        await eventually(lambda: all(peer.is_lost for peer in server.peers[:3]), "old connections are closed")

    play(facade, scene)


def test_calls_under_way_on_a_connection_that_goes_away_are_answered() -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        held: list[tuple[Peer, int]] = []
        server.script = lambda peer, number, path, request: held.append((peer, number))
        waiting = [asyncio.create_task(channel.call(b"%d" % number)) for number in range(5)]
        await eventually(lambda: len(held) == 5, "the node has them")
        (peer,) = server.peers
        peer.goaway(Code.NO_ERROR, last_stream=2**31 - 1)
        peer.flush()
        server.script = echo
        await eventually(lambda: not channel.channel._link, "the client has heard it")
        assert await channel.call(b"new") == b"new"
        assert len(server.peers) == 2
        for _, number in held[:3]:
            peer.answer(number, b"late")
        assert await asyncio.gather(*waiting[:3]) == [b"late"] * 3
        peer.goaway(Code.NO_ERROR, last_stream=held[3][1])
        peer.flush()
        assert reason(await failure(waiting[4])) == CONNECT_FAILED  # type: ignore[arg-type]
        peer.answer(held[3][1], b"last")
        assert await waiting[3] == b"last"
        await eventually(lambda: peer.is_lost, "the old connection is closed")

    play("event loop", scene)


@facades
@pytest.mark.parametrize(
    ("code", "status", "kind", "why"),
    [
        (Code.REFUSED_STREAM, grpc.StatusCode.UNAVAILABLE, errors.ConnectionFailed, CONNECT_FAILED),
        (Code.CANCEL, grpc.StatusCode.CANCELLED, errors.ConnectionFailed, CONNECTION_LOST),
        (Code.INTERNAL_ERROR, grpc.StatusCode.INTERNAL, errors.ConnectionFailed, CONNECTION_LOST),
        (Code.NO_ERROR, grpc.StatusCode.INTERNAL, errors.ConnectionFailed, CONNECTION_LOST),
        (Code.ENHANCE_YOUR_CALM, grpc.StatusCode.RESOURCE_EXHAUSTED, errors.Overloaded, "OVERLOADED"),
        (99, grpc.StatusCode.INTERNAL, errors.ConnectionFailed, CONNECTION_LOST),
    ],
)
def test_a_stream_that_is_reset(
    facade: str, code: int, status: grpc.StatusCode, kind: type[Exception], why: str
) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        def reset(peer: Peer, number: int, path: str, request: bytes) -> None:
            peer.reset(number, code)
            peer.flush()

        server.script = reset
        error = await failure(channel.call(b"x"))
        assert error.code() is status
        assert type(explain(error, "n1:1")) is kind
        assert reason(error) == why
        server.script = echo
        assert await channel.call(b"same connection") == b"same connection"
        assert len(server.peers) == 1

    play(facade, scene)


def _said(*fields: tuple[bytes, bytes]) -> bytes:
    return encode(fields)


@facades
@pytest.mark.parametrize(
    ("head", "messages", "trailers", "status", "says"),
    [
        (_said((b":status", b"503")), (), None, grpc.StatusCode.UNAVAILABLE, "HTTP status 503"),
        (_said((b":status", b"404")), (), None, grpc.StatusCode.UNIMPLEMENTED, "HTTP status 404"),
        (_said((b":status", b"200"), (b"content-type", b"text/html")), (b"<h1>",), None,
         grpc.StatusCode.UNKNOWN, "text/html"),
        (HEAD, (b"one",), _said((b"x", b"y")), grpc.StatusCode.UNKNOWN, "without a status"),
        (HEAD, (b"one", b"two"), OK, grpc.StatusCode.INTERNAL, "two messages"),
        (HEAD, (), OK, grpc.StatusCode.INTERNAL, "no message"),
        (HEAD, (), _said((b"grpc-status", b"0x"),), grpc.StatusCode.UNKNOWN, ""),
        (HEAD, (), _said((b"grpc-status", b"77"), (b"grpc-message", b"odd")), grpc.StatusCode.UNKNOWN, "odd"),
    ],
)  # fmt: skip
def test_answers_that_are_none(
    facade: str,
    head: bytes,
    messages: tuple[bytes, ...],
    trailers: bytes | None,
    status: grpc.StatusCode,
    says: str,
) -> None:
    async def scene(channel: Channel, server: Scripted) -> None:
        def answer(peer: Peer, number: int, path: str, request: bytes) -> None:
            peer.send_headers(number, head, trailers is None and not messages)
            for message in messages:
                peer.send_message(number, message)
            if trailers is not None:
                peer.send_trailers(number, trailers)
            peer.flush()

        server.script = answer
        for _ in range(2):  # the second time, what was said is known
            error = await failure(channel.call(b"x"))
            assert error.code() is status
            assert says in error.details()
        server.script = echo
        assert await channel.call(b"again") == b"again"
        assert len(server.peers) == 1

    play(facade, scene)


@facades
@pytest.mark.parametrize(
    ("encoding", "message", "says"),
    [(b"gzip", b"no gzip", "damaged"), (b"gzip", b"", "cut off"), (b"snappy", b"x", "'snappy', not gzip")],
)
def test_compressed_answers_that_cannot_be_read(
    facade: str, encoding: bytes, message: bytes, says: str
) -> None:
    head = _said((b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-encoding", encoding))

    async def scene(channel: Channel, server: Scripted) -> None:
        def answer(peer: Peer, number: int, path: str, request: bytes) -> None:
            peer.send_headers(number, head, False)
            peer.send_message(number, message, is_compressed=True)
            peer.send_trailers(number, OK)
            peer.flush()

        server.script = answer
        error = await failure(channel.call(b"x"))
        assert error.code() is grpc.StatusCode.INTERNAL
        assert says in error.details()
        server.script = echo
        assert await channel.call(b"again") == b"again"

    play(facade, scene)


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
        server.script = hold
        assert (await failure(channel.call(b"x", timeout_s=0.05))).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        (peer,) = server.peers
        await eventually(lambda: peer.was_reset == [1], "the node hears of it")
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
            assert ended.stdout.split() == ["ConnectionFailed", "end"]
            assert (ended.returncode, ended.stderr) == (0, "")

    asyncio.run(main())

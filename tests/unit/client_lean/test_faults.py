"""What goes wrong between the lean engine and a node: what is told, and what was surely not done."""

import asyncio
import re
import select
import socket
from pathlib import Path

import grpc
import pytest

from memraft import errors
from memraft._lean.calls import LeanRpcError
from memraft._status import CONNECT_FAILED, CONNECTION_LOST, explain
from memraft_proto.http2.frames import Code
from memraft_proto.http2.headers import encode
from memraft_server import certs
from memraft_server.cli.ports import free_ports
from tests.unit.client.test_tls import expire
from tests.unit.client_lean.scenes import facades, failure, play, reason
from tests.unit.client_lean.servers import (
    HEAD,
    HOST,
    OK,
    WAIT_S,
    Channel,
    Files,
    Peer,
    Scripted,
    echo,
    eventually,
    grpcio_server,
    scripted,
)

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
        held: list[int] = []
        server.script = lambda peer, number, path, request: held.append(number)
        waiting = asyncio.create_task(channel.call(b"x"))
        await eventually(lambda: bool(held), "the node has it")
        (peer,) = server.peers
        # Whoever takes no note of an answer does not ask again.
        await eventually(lambda: peer.pings >= 2, "the node has answered and was asked again")
        peer.answer(held[0], b"x")
        assert await waiting == b"x"
        assert len(server.peers) == 1

    play(facade, scene, keepalive_s=0.05, keepalive_answer_s=1.5)


def test_an_answer_to_a_ping_that_is_yet_unread_counts() -> None:
    """As where an event loop that was held up has its timers go first."""

    async def main() -> None:
        with grpcio_server() as address:
            channel = Channel("event loop", address)
            assert await channel.call(b"x") == b"x"
            waiting = asyncio.create_task(channel.call(b"x", "/s/Wait"))
            link = channel.channel._link
            await eventually(lambda: bool(link.streams), "the call is under way")
            link._heard_s -= 10 * WAIT_S
            link._look()
            assert link._is_asked
            assert select.select([link._socket], [], [], WAIT_S)[0], "the answer is there"
            link._look()
            assert link.is_open and not link._is_asked
            waiting.cancel()
            await channel.close()

    asyncio.run(main())


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
    """Whoever closes TLS says farewell, alone or behind its last data, and may wait for ours to hang up."""
    files = Files(tmp_path)

    def close_behind_data(peer: Peer) -> None:
        peer.ping(b"the last")
        peer.flush()
        peer.transport.close()

    async def main() -> None:
        async with scripted(files=files.node) as server:
            channel = Channel(facade, server.address, files.agent, keepalive_s=10 * WAIT_S)
            assert await channel.call(bytes(200_000)) == bytes(200_000)
            for end in (Peer.abort, lambda peer: peer.transport.close(), close_behind_data):
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
    [
        (b"gzip", b"no gzip", "not gzip: "),
        (b"gzip", b"", "ends too early"),
        (b"snappy", b"x", "'snappy', not gzip"),
    ],
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

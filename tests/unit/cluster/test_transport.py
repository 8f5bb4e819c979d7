"""Streams between nodes: who may speak, what is bounded, what survives a broken connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from memraft_cluster.errors import CertificateError, ListenError, MalformedFrame
from memraft_cluster.framing import (
    PROTOCOL_VERSION,
    FrameReader,
    GroupMessage,
    Hello,
    decode_batch,
    encode_batch,
    encode_hello,
    message_bytes,
)
from memraft_cluster.layout import Layout
from memraft_cluster.raft import Entry, Membership, Message, MessageType, SnapshotMeta
from memraft_cluster.tls import TlsFiles, dialling_context
from memraft_cluster.transport import Peer, Transport, TransportConfig
from tests.unit.cluster.harness import Authority, free_ports, until


class End:
    """A transport and what came in on it."""

    def __init__(self, config: TransportConfig) -> None:
        self.transport = Transport(config)
        self.received: list[tuple[int, GroupMessage]] = []
        self.disconnected: list[int] = []
        self.transport.bind(self._receive, self.disconnected.append)

    def _receive(self, sender: int, batch: list[GroupMessage], size_bytes: int) -> None:
        assert size_bytes > 0
        self.received += [(sender, each) for each in batch]


def heartbeat(sender: int, to: int, commit: int = 0) -> Message:
    return Message(MessageType.HEARTBEAT, sender, to, 1, commit=commit)


def hello(**changes: object) -> Hello:
    """What node 1 says to node 2, or something else."""
    right = Hello(PROTOCOL_VERSION, "test", 1, 2, Layout(1))
    return msgspec.structs.replace(right, **changes)


def make_peers(count: int = 2) -> tuple[Peer, ...]:
    return tuple(
        Peer(node, f"n{node}", "127.0.0.1", port) for node, port in enumerate(free_ports(count), start=1)
    )


def secure(
    authority: Authority, peers: tuple[Peer, ...], node: int, tls: TlsFiles | None = None
) -> TransportConfig:
    return TransportConfig("test", node, peers, tls or authority.issue_node(f"n{node}"))


def run(ends: list[End], script: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        try:
            for end in ends:
                await end.transport.start()
            await script()
        finally:
            await asyncio.gather(*(end.transport.stop() for end in ends))

    asyncio.run(body())


def test_messages_of_many_groups_arrive_in_order_and_in_one_frame(tmp_path: Path) -> None:
    peers, authority = make_peers(), Authority(tmp_path)
    one, two = End(secure(authority, peers, 1)), End(secure(authority, peers, 2))

    async def script() -> None:
        await until(lambda: one.transport.connected() == {2}, "a connection")
        for group in range(100):
            one.transport.send(2, group, heartbeat(1, 2, commit=group))
        one.transport.flush()
        await until(lambda: len(two.received) == 100, "all messages")
        assert two.received == [(1, (group, heartbeat(1, 2, commit=group))) for group in range(100)]

    run([one, two], script)


def test_entries_larger_than_a_frames_target_arrive_whole(tmp_path: Path) -> None:
    peers, authority = make_peers(), Authority(tmp_path)
    one, two = End(secure(authority, peers, 1)), End(secure(authority, peers, 2))
    data = bytes(range(256)) * 12_000

    async def script() -> None:
        await until(lambda: one.transport.connected() == {2}, "a connection")
        for index in (1, 2, 3):
            append = Message(MessageType.APPEND, 1, 2, 1, index=index - 1, entries=(Entry(1, index, data),))
            one.transport.send(2, 0, append)
        one.transport.flush()
        await until(lambda: len(two.received) == 3, "all messages")
        assert all(message.entries[0].data == data for _, (_, message) in two.received)

    run([one, two], script)


def test_a_broken_connection_is_reported_and_comes_back(tmp_path: Path) -> None:
    peers, authority = make_peers(), Authority(tmp_path)
    configs = [secure(authority, peers, node) for node in (1, 2)]
    one, two = End(configs[0]), End(configs[1])

    async def script() -> None:
        await until(lambda: one.transport.connected() == {2}, "a connection")
        await two.transport.stop()
        await until(lambda: not one.transport.connected(), "the break to be noticed")
        assert one.disconnected == [2]
        again = End(configs[1])
        await again.transport.start()
        try:
            await until(lambda: one.transport.connected() == {2}, "the connection to come back")
            one.transport.send(2, 5, heartbeat(1, 2))
            one.transport.flush()
            await until(lambda: len(again.received) == 1, "the message after the break")
        finally:
            await again.transport.stop()

    run([one, two], script)


def test_a_handshake_that_ends_after_the_stop_makes_no_connection(tmp_path: Path) -> None:
    """Whoever is let in by a node that has stopped never dials the node that starts in its place."""
    peers, authority = make_peers(), Authority(tmp_path)
    two = End(secure(authority, peers, 2))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = dialling_context(authority.issue_node("n1")).wrap_bio(incoming, outgoing)

    async def script() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", peers[1].port)
        try:
            is_stopped = False
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    break
                writer.write(outgoing.read())
                incoming.write(await reader.read(1 << 16))
                if not is_stopped:  # the other side has begun its handshake
                    await two.transport.stop()
                    is_stopped = True
            tls.write(encode_hello(hello()))
            writer.write(outgoing.read())
            with contextlib.suppress(OSError):
                while data := await reader.read(1 << 16):
                    incoming.write(data)
                    with contextlib.suppress(ssl.SSLWantReadError):
                        assert tls.read() == b"", "a node that has stopped said hello"
        finally:
            writer.transport.abort()
        assert is_stopped
        assert not two.received

    run([two], script)


def test_queues_are_bounded_and_drop_their_oldest_messages(tmp_path: Path) -> None:
    peers = make_peers()
    one = End(TransportConfig("test", 1, peers, insecure=True))
    two = End(TransportConfig("test", 2, peers, insecure=True))

    async def script() -> None:
        # Nobody listens on the other side yet: only the newest messages are kept.
        for number in range(5_000):
            one.transport.send(2, 0, Message(MessageType.APPEND, 1, 2, 1, commit=number))
        assert one.transport.dropped_total() > 3_000
        await two.transport.start()
        await until(lambda: bool(two.received), "the newest messages")
        await until(lambda: two.received[-1][1][1].commit == 4_999, "the very newest")
        assert len(two.received) == 5_000 - one.transport.dropped_total()
        await two.transport.stop()

    run([one], script)


def test_a_heartbeat_is_not_kept_for_a_peer_that_is_away(tmp_path: Path) -> None:
    peers = make_peers()
    one = End(TransportConfig("test", 1, peers, insecure=True))
    two = End(TransportConfig("test", 2, peers, insecure=True))

    async def script() -> None:
        one.transport.send(2, 0, heartbeat(1, 2, commit=1))  # old news by the time it could be told
        await two.transport.start()
        await until(lambda: one.transport.connected() == {2}, "a connection")
        one.transport.send(2, 0, heartbeat(1, 2, commit=2))
        one.transport.flush()
        await until(lambda: bool(two.received), "a heartbeat")
        assert [message.commit for _, (_, message) in two.received] == [2]
        await two.transport.stop()

    run([one], script)


async def answer_to(port: int, context: ssl.SSLContext, hello: Hello) -> bytes:
    """What a node answers to a hello; nothing when it hangs up instead."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    except OSError:
        return b""
    try:
        writer.write(encode_hello(hello))
        return await reader.read(1000)
    except OSError:
        return b""
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def handshake_rejected(authority: Authority, peers: tuple[Peer, ...], tls: TlsFiles, hello: Hello) -> bool:
    """Whether node 2 hangs up on a client with this certificate and hello, instead of answering it."""
    two = End(secure(authority, peers, 2))
    answers: list[bytes] = []

    async def script() -> None:
        answers.append(await answer_to(peers[1].port, dialling_context(tls), hello))

    run([two], script)
    assert not two.received
    return answers == [b""]


def test_a_node_of_this_cluster_is_let_in(tmp_path: Path) -> None:
    peers, authority = make_peers(), Authority(tmp_path)
    assert not handshake_rejected(authority, peers, authority.issue_node("n1"), hello())


@pytest.mark.parametrize(
    "uris",
    [
        ["spiffe://test/tenant/acme/agent/alice"],
        ["spiffe://test/node/n9"],
        ["spiffe://test/node/n2"],
        ["spiffe://elsewhere/node/n1"],
        ["spiffe://test/node/n1", "spiffe://test/node/n2"],
        ["spiffe://test/node/n1/"],
        [],
    ],
    ids=["an agent", "unknown node", "another node", "other domain", "two URIs", "longer path", "no URI"],
)
def test_certificates_that_are_not_node_1s_are_turned_away(tmp_path: Path, uris: list[str]) -> None:
    peers, authority = make_peers(), Authority(tmp_path)
    tls = authority.issue("wrong", uris or ["urn:nothing"])
    assert handshake_rejected(authority, peers, tls, hello())


def test_a_certificate_of_another_authority_is_turned_away(tmp_path: Path) -> None:
    peers, authority = make_peers(), Authority(tmp_path)
    stranger = Authority(tmp_path, "stranger").issue_node("n1")
    trusting_us = replace(stranger, authority_path=str(authority.path))
    assert handshake_rejected(authority, peers, trusting_us, hello())


@pytest.mark.parametrize(
    "other",
    [
        hello(protocol=1),
        hello(cluster="other"),
        hello(to=3),
        hello(sender=7),
        hello(layout=Layout(4)),
        hello(layout=Layout(1, 1024)),
    ],
    ids=["protocol", "cluster", "wrong address", "unknown sender", "shards", "slots"],
)
def test_a_hello_that_does_not_fit_is_turned_away(tmp_path: Path, other: Hello) -> None:
    peers, authority = make_peers(), Authority(tmp_path)
    assert handshake_rejected(authority, peers, authority.issue_node("n1"), other)


def test_nodes_that_disagree_on_the_layout_stay_apart_and_say_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    peers, authority = make_peers(), Authority(tmp_path)
    one = End(secure(authority, peers, 1))
    two = End(replace(secure(authority, peers, 2), shards=4))

    async def script() -> None:
        said = "its config says 4 shards, this node's says 1"
        await until(lambda: said in [fields_of(each).get("error") for each in caplog.records], said)
        assert not one.transport.connected() and not two.transport.connected()

    run([one, two], script)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    found: dict[str, object] = getattr(record, "fields", {})
    return found


def test_a_client_without_a_certificate_is_turned_away(tmp_path: Path) -> None:
    peers, authority = make_peers(), Authority(tmp_path)
    two = End(secure(authority, peers, 2))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority.path)

    async def script() -> None:
        assert await answer_to(peers[1].port, context, hello()) == b""

    run([two], script)
    assert not two.received


def test_a_dialler_refuses_a_server_that_is_another_node(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    peers, authority = make_peers(3), Authority(tmp_path)
    one = End(secure(authority, (peers[0], replace(peers[1], port=peers[2].port)), 1))
    three = End(secure(authority, peers, 3))

    async def script() -> None:
        await until(lambda: any("unreachable" in each.message for each in caplog.records), "the refusal")
        assert not one.transport.connected()

    with caplog.at_level("WARNING", "memraft.transport"):
        run([one, three], script)
    assert not three.received


def test_a_message_in_anothers_name_ends_the_connection(tmp_path: Path) -> None:
    peers, authority = make_peers(3), Authority(tmp_path)
    one, two = End(secure(authority, peers, 1)), End(secure(authority, peers, 2))

    async def script() -> None:
        await until(lambda: 2 in one.transport.connected(), "a connection")
        one.transport.send(2, 0, heartbeat(3, 2))
        one.transport.flush()
        await until(lambda: two.transport.rejected_total == 1, "the refusal")
        assert not two.received

    run([one, two], script)


def test_a_peer_that_cannot_be_reached_is_logged_once_not_per_attempt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(secure(Authority(tmp_path), make_peers(), 1), backoff_ms_min=1, backoff_ms_max=2)
    one = End(config)
    attempts = 0
    link = one.transport._links[2]
    dial = link._dial

    async def counted() -> object:
        nonlocal attempts
        attempts += 1
        return await dial()

    link._dial = counted  # type: ignore[method-assign,assignment]

    async def script() -> None:
        await until(lambda: attempts > 20, "many attempts")

    with caplog.at_level("INFO", "memraft.transport"):
        run([one], script)
    assert [each.message for each in caplog.records] == ["peer unreachable"]


def test_a_peer_that_joins_is_dialled_and_let_in(tmp_path: Path) -> None:
    peers, authority = make_peers(3), Authority(tmp_path)
    one, two = (End(secure(authority, peers[:2], node)) for node in (1, 2))
    three = End(secure(authority, peers, 3))

    async def script() -> None:
        await until(
            lambda: three.transport.rejected_total == 0 and one.transport.rejected_total > 0, "refusal"
        )
        one.transport.set_peers(peers)
        await until(lambda: one.transport.connected() == {2, 3}, "a connection to the new node")
        await until(lambda: three.transport.connected() == {1}, "a connection from the new node")
        assert two.transport.connected() == {1}

    run([one, two, three], script)


def test_a_peer_that_left_is_cut_off_refused_and_dialled_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    peers, authority = make_peers(3), Authority(tmp_path)
    configs = [
        replace(secure(authority, peers, node), backoff_ms_min=1, backoff_ms_max=2) for node in (1, 2, 3)
    ]
    one, two, three = (End(config) for config in configs)
    ends = [one, two, three]

    async def script() -> None:
        await until(lambda: all(len(end.transport.connected()) == 2 for end in ends), "all connections")
        caplog.clear()
        one.transport.set_peers(peers[:2])
        assert one.transport.connected() == {2}
        await until(lambda: one.transport.rejected_total > 10, "many attempts of the node that left")
        assert 1 not in three.transport.connected()
        assert two.transport.connected() == {1, 3}
        one.transport.send(3, 0, heartbeat(1, 3))  # nowhere to go: not an error

    with caplog.at_level("INFO", "memraft.transport"):
        run(ends, script)
    said = [each for each in caplog.records if "not a peer" in str(fields_of(each).get("error"))]
    assert len(said) == 1
    left = [each for each in caplog.records if each.message == "peer left the cluster"]
    assert [fields_of(each)["peer"] for each in left] == ["n3"]


def test_a_peer_that_moved_is_dialled_where_it_is(tmp_path: Path) -> None:
    peers, authority = make_peers(3), Authority(tmp_path)
    moved = replace(peers[1], port=peers[2].port)
    one = End(secure(authority, peers[:2], 1))
    two = End(secure(authority, (peers[0], moved), 2))

    async def script() -> None:
        await until(lambda: two.transport.connected() == {1}, "node 2 reaches node 1")
        assert not one.transport.connected()
        one.transport.set_peers((peers[0], moved))
        await until(lambda: one.transport.connected() == {2}, "node 1 reaches node 2 where it is now")
        one.transport.send(2, 0, heartbeat(1, 2))
        one.transport.flush()
        await until(lambda: len(two.received) == 1, "a message on the new connection")

    run([one, two], script)


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    peers = make_peers()
    one = End(TransportConfig("test", 1, peers, insecure=True))
    with socket.create_server(("127.0.0.1", peers[0].port)):
        with pytest.raises(ListenError, match=f"127.0.0.1:{peers[0].port}"):
            asyncio.run(one.transport.start())


def test_plain_text_must_be_asked_for() -> None:
    with pytest.raises(ValueError, match="insecure=True"):
        TransportConfig("test", 1, make_peers())


@pytest.mark.parametrize("wrong", ["agent", "other node", "missing file", "not PEM"])
def test_a_node_refuses_to_start_with_a_certificate_that_is_not_its_own(tmp_path: Path, wrong: str) -> None:
    authority = Authority(tmp_path)
    tls = authority.issue_node("n1")
    if wrong == "agent":
        tls = authority.issue("agent", ["spiffe://test/tenant/acme/agent/alice"])
    elif wrong == "other node":
        tls = authority.issue_node("n2")
    elif wrong == "missing file":
        tls = replace(tls, certificate_path=str(tmp_path / "nowhere.pem"))
    else:
        tls = replace(tls, authority_path=tls.key_path)
    with pytest.raises(CertificateError, match=r"certificate file .*\.(pem|key)"):
        Transport(secure(authority, make_peers(), 1, tls))


def test_frames_survive_any_cut_of_the_stream() -> None:
    batches = [[(group, heartbeat(1, 2, commit=group))] * (group + 1) for group in range(4)]
    stream = b"".join(bytes(encode_batch(batch)) for batch in batches)
    for step in (1, 3, 7, len(stream)):
        reader = FrameReader(1000)
        bodies: list[bytes] = []
        for start in range(0, len(stream), step):
            bodies += reader.feed(stream[start : start + step])
        assert [decode_batch(body) for body in bodies] == batches


def test_a_frame_over_its_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(MalformedFrame, match="frame_bytes_max = 1000"):
        list(FrameReader(1000).feed((1001).to_bytes(4, "big")))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x91\x92\x00\x90", b"\x92\x01\x02", b"garbage"])
def test_what_is_not_a_batch_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedFrame):
        decode_batch(body)


def test_the_size_of_a_message_is_never_guessed_too_small() -> None:
    entry = Entry(2**60, 2**60, bytes(1000))
    message = Message(
        MessageType.APPEND, 1, 2, 2**60, 2**60, 2**60, 2**60, (entry,) * 10, True, 2**60, 2**60, 2**60
    )
    assert len(encode_batch([(2**30, message)])) <= message_bytes(message)
    message.snapshot = SnapshotMeta(2**60, 2**60, Membership((2**40, 2**41), (2**50,)))
    message.data = bytes(100_000)
    assert len(encode_batch([(2**30, message)])) <= message_bytes(message)

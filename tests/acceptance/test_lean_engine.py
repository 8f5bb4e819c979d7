"""The lean engine where clients are slow, many, unknown or not clients at all, and when it stops."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import ssl
from pathlib import Path

import grpc
import pytest

from memraft_proto.http2.connection import Limits
from memraft_proto.http2.frames import Code, request_packer
from memraft_proto.http2.headers import encode
from memraft_proto.v1 import cluster_pb2, kv_pb2
from memraft_server import certs
from memraft_server.metrics import CallMetrics
from memraft_server.rpc.engine import ListenFailed
from memraft_server.rpc.lean import protocol, server
from memraft_server.rpc.lean.protocol import LeanConnection
from memraft_server.rpc.lean.server import LeanServer
from memraft_server.rpc.lean.streams import StreamCall
from tests.acceptance.lean_raw import AHEAD, GET, NAMESPACE, PUT, connections, head_of, on_loop, paused, raw
from tests.acceptance.nodes import Nodes, run
from tests.interop.callers import Caller, Failed
from tests.interop.serving import HOST, WAIT_S, Certificates, Nowhere, Serving, eventually


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


# -- who is there --------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_told_with_host_port_and_reason(certificates: Certificates) -> None:
    with Serving("lean", None) as serving:
        config = dataclasses.replace(serving.config, listen=serving.address)
        other = LeanServer(config, serving.server.service, lambda _node: "", CallMetrics())
        with pytest.raises(ListenFailed, match=rf"{serving.address}: Address already in use"):
            other.bind()
        asyncio.run(other.stop(1.0))


@pytest.mark.parametrize("protocols", [[], ["http/1.1"]])
def test_a_client_that_does_not_speak_http2_is_not_let_in(
    certificates: Certificates, protocols: list[str]
) -> None:
    with Serving("lean", certificates) as serving:
        agent = certificates.directory / "agent"
        context = ssl.create_default_context(cafile=str(agent / certs.CA_CERT))
        context.load_cert_chain(agent / certs.CERT, agent / certs.KEY)
        if protocols:
            context.set_alpn_protocols(protocols)
        with socket.create_connection((HOST, serving.server.port), timeout=WAIT_S) as plain:
            with context.wrap_socket(plain, server_hostname=HOST) as secured:
                assert secured.version() in ("TLSv1.2", "TLSv1.3")
                with pytest.raises((ConnectionError, ssl.SSLError)):
                    secured.sendall(b"PRI")
                    if not secured.recv(1):
                        raise ConnectionResetError
        eventually(lambda: not connections(serving), "it is forgotten")


def test_an_older_tls_is_not_spoken(certificates: Certificates) -> None:
    with Serving("lean", certificates) as serving:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with pytest.warns(DeprecationWarning):
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((HOST, serving.server.port), timeout=WAIT_S) as plain:
            with pytest.raises(OSError):
                context.wrap_socket(plain).close()


def test_a_certificate_of_another_domain_is_told_so_call_by_call(certificates: Certificates) -> None:
    with Serving("lean", certificates) as serving, Caller("sync", serving) as caller:
        caller.call("Put", PUT)
        tls = dataclasses.replace(serving.config.tls, trust_domain="elsewhere")  # type: ignore[type-var]
        serving.server.config = dataclasses.replace(serving.config, tls=tls)
        serving.server._callers.clear()
        with Caller("aio", serving) as stranger:
            for _ in range(2):
                with pytest.raises(Failed) as caught:
                    stranger.call("Put", PUT)
                assert caught.value.reason == "NO_IDENTITY"
                assert caught.value.code is grpc.StatusCode.UNAUTHENTICATED


def test_connections_beyond_the_most_there_may_be_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 2)
    with Serving("lean", None) as serving, raw(serving) as first, raw(serving) as second:
        first.read_until(lambda: first._has_settings)
        second.read_until(lambda: second._has_settings)
        eventually(lambda: not serving.server.strangers, "both have said who they are")
        with raw(serving) as third:
            third.read_to_the_end()
            assert not third._has_settings
        assert first.status(first.call("Put", PUT)) == b"0"


# -- how much, and how fast ----------------------------------------------------------------------------


def test_calls_beyond_the_most_there_may_be_are_told_why() -> None:
    with Serving("lean", None, concurrent_calls_max=3) as serving, Caller("aio", serving) as caller:
        caller.call("Put", PUT)
        waiting = [caller.start("Get", AHEAD) for _ in range(2)]
        eventually(lambda: serving.server.running == 2, "two calls wait")
        assert len(list(caller.stream("BackupShard", cluster_pb2.BackupShardRequest(shard=1)))) == 1
        waiting.append(caller.start("Get", AHEAD))
        eventually(lambda: serving.server.running == 3, "three calls wait")
        for name, request in (("Get", GET), ("BackupShard", cluster_pb2.BackupShardRequest(shard=1))):
            with pytest.raises(Failed) as caught:
                caller.call(name, request) if name == "Get" else list(caller.stream(name, request))
            assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert caught.value.reason == "OVERLOADED"
            assert "concurrent_calls_max = 3 is reached" in caught.value.message
        serving.let_go()
        assert [each.result().value for each in waiting] == [b"1"] * 3
        assert caller.call("Get", GET).value == b"1"
        eventually(lambda: serving.server.running == 0, "no call is left")


def test_a_client_that_does_not_read_is_not_read_from_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Limits(stream_window_bytes=1 << 30, connection_window_bytes=1 << 30)
    with Serving("lean", None) as serving, raw(serving, wide) as slow, Caller("sync", serving) as caller:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        value = b'"' + b"v" * (4 << 20) + b'"'
        caller.call("Put", kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=value))
        for _ in range(8):
            slow.call("Get", GET)
        eventually(lambda: bool(paused(serving)), "it is waited for")
        (stuck,) = paused(serving)
        assert caller.call("Get", GET).value == value  # others are served

        def watch(seconds: int) -> None:
            for _ in range(seconds):
                stuck._is_heard = True
                stuck.watch(1.0)

        on_loop(serving, lambda: watch(protocol.STALLED_S // 2))
        assert stuck in connections(serving)
        on_loop(serving, lambda: watch(protocol.STALLED_S))
        eventually(lambda: stuck not in connections(serving), "it is closed")


def test_a_client_that_opens_no_window_gets_no_further_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memraft_server.rpc.lean.unary.QUEUED_BYTES_MAX", 1 << 20)
    monkeypatch.setattr(protocol, "STALLED_BYTES", 1 << 20)
    with Serving("lean", None) as serving, raw(serving) as slow:
        monkeypatch.setattr(slow, "_grant_connection", lambda: None)
        monkeypatch.setattr(slow, "_grant_stream", lambda stream: None)
        value = b'"' + b"v" * (8 << 20) + b'"'
        put = slow.call("Put", kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=value))
        assert slow.status(put) == b"0"
        slow.call("Get", GET)
        eventually(lambda: connections(serving)[0].queued_bytes > 1 << 20, "the answer waits for a window")
        refused = slow.call("Get", GET)
        assert slow.status(refused) == b"8"  # RESOURCE_EXHAUSTED
        stuck = connections(serving)[0]
        for _ in range(protocol.STALLED_S + 2):
            on_loop(serving, lambda: (setattr(stuck, "_is_heard", True), stuck.watch(1.0)))
        eventually(lambda: not connections(serving), "it is closed")


def test_a_client_that_is_gone_without_a_word_is_noticed() -> None:
    with Serving("lean", None) as serving, raw(serving) as client:
        client.read_until(lambda: client._has_settings)
        assert client.status(client.call("Put", PUT)) == b"0"
        gone = connections(serving)[0]

        def watch(seconds: int) -> None:
            for _ in range(seconds):
                gone.watch(1.0)

        on_loop(serving, lambda: watch(protocol.KEEPALIVE_S + 1))
        client.read_until(lambda: bool(client.pinged))
        eventually(lambda: gone._is_heard, "the answer to the ping came")
        on_loop(serving, lambda: watch(protocol.KEEPALIVE_S + protocol.KEEPALIVE_ANSWER_S + 2))
        eventually(lambda: not connections(serving), "it is closed")


def test_a_client_that_never_begins_is_closed() -> None:
    with Serving("lean", None) as serving:
        with socket.create_connection((HOST, serving.server.port), timeout=WAIT_S) as silent:
            eventually(lambda: len(connections(serving)) == 1, "it is there")
            mute = connections(serving)[0]
            on_loop(serving, lambda: [mute.watch(1.0) for _ in range(protocol.GREETING_S + 2)])
            while silent.recv(1_000):
                pass
        eventually(lambda: not connections(serving), "it is closed")


@pytest.mark.parametrize("is_secured", [True, False])
def test_many_calls_of_one_read_leave_others_their_turn(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, is_secured: bool
) -> None:
    """With turns that end at once each call has one of its own, and none is lost."""
    monkeypatch.setattr(protocol, "TURN_S", -1.0)
    with Serving("lean", certificates if is_secured else None) as serving, Caller("aio", serving) as caller:
        puts = [kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"%d" % n) for n in range(300)]
        calls = [caller.start("Put", put) for put in puts]
        versions = [call.result().version for call in calls]
        assert len(set(versions)) == 300


def test_a_turn_ends_within_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "TURN_S", -1.0)
    with Serving("lean", None) as serving, raw(serving) as client:
        turns: list[int] = []
        take_turn = LeanConnection._take_turn

        def counted(connection: LeanConnection, data: bytes) -> None:
            turns.append(len(data))
            take_turn(connection, data)

        head = head_of("Put")
        packer = request_packer(head)
        assert client.status(client.call("Put", PUT)) == b"0"
        monkeypatch.setattr(LeanConnection, "_take_turn", counted)
        streams = [client.send_call(packer, head, PUT.SerializeToString()).id for _ in range(20)]
        client.flush()
        assert {client.status(stream) for stream in streams} == {b"0"}
        assert list(client.ended)[1:] == streams
        assert len(turns) >= 20


# -- what is no call of ours ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")], b"405"),
        (
            [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b"content-type", b"text/html")],
            b"415",
        ),
    ],
)
def test_what_is_not_grpc_is_answered_in_http(fields: list[tuple[bytes, bytes]], status: bytes) -> None:
    with Serving("lean", None) as serving, raw(serving) as client:
        head = encode(fields)
        for _ in range(2):
            stream = client.send_call(request_packer(head), head, b"m")
            client.flush()
            client.read_until(lambda: stream.id in client.ended)  # noqa: B023
            assert client.ended[stream.id][b":status"] == status
        assert client.status(client.call("Put", PUT)) == b"0"


def test_a_timeout_that_is_none_is_refused() -> None:
    with Serving("lean", None) as serving, raw(serving) as client:
        assert client.status(client.call("Put", PUT, (b"grpc-timeout", b"soon"))) == b"13"  # INTERNAL
        assert client.status(client.call("Put", PUT, (b"grpc-timeout", b"5S"))) == b"0"


def test_a_call_of_two_messages_or_none_is_refused() -> None:
    with Serving("lean", None) as serving, raw(serving) as client:
        for messages in (0, 2):
            stream = client.begin(head_of("Put"))
            for _ in range(messages):
                client.send_message(stream.id, PUT.SerializeToString())
            client.send_end(stream.id)
            client.flush()
            assert client.status(stream.id) == b"13"  # INTERNAL
        assert client.status(client.call("Put", PUT)) == b"0"


def test_an_answer_before_the_end_of_the_request_asks_for_no_more() -> None:
    with Serving("lean", None) as serving, raw(serving) as client:
        stream = client.begin(head_of("Put", (b"grpc-timeout", b"soon")))
        client.flush()
        assert client.status(stream.id) == b"13"
        client.read_until(lambda: bool(client.resets))
        assert client.resets == [(stream.id, Code.NO_ERROR)]


def test_a_message_that_lies_about_its_compression_is_refused() -> None:
    with Serving("lean", None) as serving, raw(serving) as client:
        stream = client.begin(head_of("Put", (b"grpc-encoding", b"gzip")))
        client.send_message(stream.id, b"this is not gzip", is_compressed=True, is_end=True)
        client.flush()
        assert client.status(stream.id) == b"13"
        assert b"gzip" in client.ended[stream.id][b"grpc-message"]


def test_a_message_that_is_compressed_in_no_way_that_was_told_is_refused() -> None:
    with Serving("lean", None) as serving, raw(serving) as client:
        stream = client.begin(head_of("Put"))
        client.send_message(stream.id, b"compressed?", is_compressed=True, is_end=True)
        client.flush()
        assert client.status(stream.id) == b"13"
        assert b"grpc-encoding" in client.ended[stream.id][b"grpc-message"]


def test_a_fault_after_the_head_of_the_answer_is_told_in_trailers() -> None:
    with Serving("lean", None) as serving, raw(serving) as client:
        stream = client.begin(
            encode(
                [
                    (b":method", b"POST"),
                    (b":scheme", b"http"),
                    (b":path", b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
                    (b"content-type", b"application/grpc"),
                ]
            )
        )
        client.send_message(stream.id, b"\x3a\0")  # list_services
        client.flush()
        client.read_until(lambda: bool(client.messages))
        client.send_message(stream.id, b"compressed?", is_compressed=True)
        client.flush()
        assert client.status(stream.id) == b"13"
        assert b":status" not in client.ended[stream.id]


def test_a_deadline_that_meets_a_call_just_over_leaves_its_stream_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[StreamCall] = []
    produce = StreamCall.produce

    async def noted(call: StreamCall) -> None:
        made.append(call)
        await produce(call)

    monkeypatch.setattr(StreamCall, "produce", noted)
    with Serving("lean", None) as serving, raw(serving) as client:
        assert client.status(client.call("BackupShard", cluster_pb2.BackupShardRequest(shard=1))) == b"0"
        eventually(lambda: not serving.server.running, "it is over")
        on_loop(serving, made[0].expire)
        assert client.status(client.call("Put", PUT)) == b"0"
        assert not client.is_closed


# -- the end -------------------------------------------------------------------------------------------


def test_calls_that_are_on_their_way_when_it_stops_are_answered() -> None:
    with Serving("lean", None) as serving, raw(serving) as client:
        first = client.call("Get", AHEAD)
        eventually(lambda: len(serving.shard.waiting) == 1, "the first waits")
        stopping = serving.begin(serving.server.stop(WAIT_S))
        client.socket.recv(1, socket.MSG_PEEK)
        eventually(lambda: serving.server.is_stopping, "it stops")
        late = client.call("Put", PUT)  # sent before the client has read that it should not
        assert client.status(late) == b"0"
        assert client.goaways[0] == ((1 << 31) - 1, Code.NO_ERROR)
        client.read_until(lambda: len(client.goaways) == 2)
        assert client.goaways[1] == (late, Code.NO_ERROR)
        serving.let_go()
        assert client.status(first) == b"0"
        client.read_to_the_end()
        stopping.result(WAIT_S)


def test_calls_that_are_not_over_in_time_are_told_where_they_stand() -> None:
    with Serving("lean", None) as serving, Caller("aio", serving) as caller:
        caller.call("Put", PUT)
        read = caller.start("Get", AHEAD)
        eventually(lambda: serving.server.running == 1, "it waits")
        serving.run(serving.server.stop(0.1))
        with pytest.raises(Failed) as caught:
            read.result()
        assert caught.value.reason == "SHUTTING_DOWN"
        assert serving.server.running == 0 and not connections(serving)


def test_a_change_of_the_cluster_that_is_not_over_in_time_may_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        Nowhere, "change_cluster", lambda *_: asyncio.get_running_loop().create_future(), raising=True
    )
    with Serving("lean", None) as serving, Caller("aio", serving) as caller:
        change = caller.start("ChangeCluster", cluster_pb2.ChangeClusterRequest())
        eventually(lambda: serving.server.running == 1, "it waits")
        serving.run(serving.server.stop(0.1))
        with pytest.raises(Failed) as caught:
            change.result()
        assert caught.value.reason == "OUTCOME_UNKNOWN"


def test_watchers_of_health_do_not_keep_it_from_stopping() -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with Serving("lean", None) as serving, Caller("sync", serving) as caller:
        watch = health_pb2_grpc.HealthStub(caller.channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        serving.run(serving.server.stop(WAIT_S))
        with pytest.raises(grpc.RpcError) as caught:
            list(watch)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_one_that_never_served_gives_its_port_back() -> None:
    with Serving("lean", None) as serving:
        never = LeanServer(serving.config, serving.server.service, lambda _node: "", CallMetrics())
        never.bind()
        asyncio.run(never.stop(1.0))
        with socket.create_server((HOST, never.port)):
            pass


def test_one_who_comes_as_it_stops_is_closed() -> None:
    async def come_and_stop(serving: Serving) -> socket.socket:
        late = socket.create_connection((HOST, serving.server.port), timeout=WAIT_S)
        serving.server._accept(serving.server._listeners[0])
        await serving.server.stop(0.1)
        return late

    with Serving("lean", None) as serving, serving.run(come_and_stop(serving)) as late:
        assert late.recv(1) == b""  # closed by name: a socket left to the collector would warn


def test_a_node_serves_by_the_engine_that_is_set(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        assert isinstance(nodes.nodes[0].rpc, LeanServer)
        client = nodes.client("acme", "support")
        await client.call("Put", PUT)
        assert (await client.call("Get", GET)).value == b"1"

    run(Nodes(tmp_path, client={"engine": "lean"}), script)

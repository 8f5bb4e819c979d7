"""What clients can have the lean engine keep: each by itself, and all together."""

from __future__ import annotations

import asyncio
import dataclasses
import resource
import socket

import pytest

from memraft_proto.http2.connection import Limits
from memraft_proto.http2.frames import Code, request_packer
from memraft_proto.http2.headers import encode
from memraft_proto.v1 import common_pb2, kv_pb2
from memraft_server.rpc.lean import protocol, server, unary
from tests.acceptance.lean_raw import AHEAD, GET, NAMESPACE, PUT, connections, head_of, on_loop, paused, raw
from tests.interop.serving import HOST, WAIT_S, Serving, eventually


def test_one_more_has_the_place_of_one_that_has_not_said_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 2)
    with Serving("lean", None) as serving, raw(serving) as first:
        first.read_until(lambda: first._has_settings)
        eventually(lambda: not serving.server.strangers, "it has said who it is")
        with socket.create_connection((HOST, serving.server.port), timeout=WAIT_S) as silent:
            eventually(lambda: len(connections(serving)) == 2, "it is there")
            with raw(serving) as second:
                assert second.status(second.call("Put", PUT)) == b"0"
                try:
                    while silent.recv(1_000):
                        pass
                except ConnectionResetError:
                    pass
        assert first.status(first.call("Put", PUT)) == b"0"


def test_files_are_left_for_what_is_not_a_connection() -> None:
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 1_000) if most > 0 else 1_000, most))
        assert server._connections_max() == 750
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))


def test_deadlines_of_many_calls_at_once_are_no_flood() -> None:
    """Those who give up before their time are."""
    with Serving("lean", None) as serving:
        serving.server.limits = dataclasses.replace(serving.server.limits, resets_max=10, resets_refill=0)
        with raw(serving) as client:
            client.read_until(lambda: client._has_settings)
            (connection,) = connections(serving)
            packer = request_packer(head_of("Get", (b"grpc-timeout", b"100S")))
            head = head_of("Get", (b"grpc-timeout", b"100S"))
            streams = [client.send_call(packer, head, AHEAD.SerializeToString()).id for _ in range(60)]
            client.flush()
            eventually(lambda: serving.server.running == 60, "they wait")

            def let_time_pass() -> None:
                for stream in streams[:40]:
                    connection.streams[stream].owner.began_s -= 90

            on_loop(serving, let_time_pass)
            for stream in streams[:50]:
                client.reset(stream, Code.CANCEL)
            client.flush()
            assert client.status(client.call("Put", PUT)) == b"0"
            client.reset(streams[50], Code.CANCEL)
            client.flush()
            client.read_to_the_end()
            assert [code for _, code in client.goaways] == [Code.ENHANCE_YOUR_CALM]


def test_requests_of_calls_that_wait_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unary, "WAITING_BYTES_MAX", 300)
    with Serving("lean", None) as serving, raw(serving) as client:
        request = common_pb2.ReadContext(min_index=1 << 40)
        ahead = kv_pb2.GetRequest(namespace=NAMESPACE, key="k" * 200, context=request)
        waiting = [client.call("Get", ahead) for _ in range(2)]
        eventually(lambda: serving.server.running == 2, "they wait")
        assert client.status(client.call("Get", ahead)) == b"8"
        for stream in waiting:
            client.reset(stream, Code.CANCEL)
        client.flush()
        assert client.status(client.call("Put", PUT)) == b"0"
        assert serving.server.waiting_bytes == 0


def test_what_was_read_already_waits_too_for_a_client_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many small questions come in one read; their answers together are large."""
    monkeypatch.setattr(protocol, "TURN_S", -1.0)
    wide = Limits(stream_window_bytes=1 << 30, connection_window_bytes=1 << 30)
    with Serving("lean", None) as serving, raw(serving, wide) as slow:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        value = b'"' + b"v" * (2 << 20) + b'"'
        put = slow.call("Put", kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=value))
        assert slow.status(put) == b"0"
        head = head_of("Get")
        packer = request_packer(head)
        streams = [slow.send_call(packer, head, GET.SerializeToString()).id for _ in range(40)]
        slow.flush()
        eventually(lambda: bool(paused(serving)), "it is waited for")
        (stuck,) = connections(serving)

        async def turns() -> int:
            for _ in range(200):
                await asyncio.sleep(0)
            return stuck.held_bytes

        assert serving.run(turns()) < 3 * len(value)
        assert {slow.status(stream) for stream in streams} == {b"0"}


def test_messages_of_calls_that_do_not_end_are_bounded_together() -> None:
    with Serving("lean", None) as serving:
        serving.server.limits = dataclasses.replace(serving.server.limits, buffered_bytes_max=100_000)
        with raw(serving) as client:
            client.read_until(lambda: client._has_settings)
            (connection,) = connections(serving)
            put = kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b'"' + b"v" * 10_000 + b'"')
            streams = [client.begin(head_of("Put")).id for _ in range(12)]
            for stream in streams:
                client.send_message(stream, put.SerializeToString())
            client.flush()
            client.read_until(lambda: len(client.resets) == 3)
            assert client.resets == [(stream, Code.ENHANCE_YOUR_CALM) for stream in streams[9:]]
            assert connection.held_bytes <= 100_000
            client.reset(streams[0], Code.CANCEL)
            for stream in streams[1:9]:
                client.send_end(stream)
            client.flush()
            assert {client.status(stream) for stream in streams[1:9]} == {b"0"}
            eventually(lambda: not connection.held_bytes, "nothing is kept")


def test_requests_that_a_health_check_does_not_read_are_let_go() -> None:
    with Serving("lean", None) as serving, raw(serving) as client:
        client.read_until(lambda: client._has_settings)
        (connection,) = connections(serving)
        head = encode(
            [
                (b":method", b"POST"),
                (b":scheme", b"http"),
                (b":path", b"/grpc.health.v1.Health/Watch"),
                (b"content-type", b"application/grpc"),
            ]
        )
        stream = client.begin(head)
        for _ in range(10):
            client.send_message(stream.id, b"")
            client.send_message(stream.id, b"\x0a\x90\x4e" + b"s" * 10_000)
        client.flush()
        eventually(lambda: connection.held_bytes > 50_000, "they wait")
        client.reset(stream.id, Code.CANCEL)
        client.flush()
        eventually(lambda: not connection.held_bytes and not serving.server.running, "nothing is kept")


def test_where_all_together_hold_too_much_the_one_that_holds_most_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "HELD_BYTES_MAX", 150_000)
    with Serving("lean", None) as serving, raw(serving) as first, raw(serving) as second:
        for client, size in ((first, 100_000), (second, 60_000)):
            stream = client.begin(head_of("Put"))
            client.read_until(lambda client=client: client._has_settings)  # type: ignore[misc]
            client.send_message(stream.id, bytes(size))
            client.flush()
        first.read_to_the_end()
        assert [each.held_bytes for each in connections(serving)] == [60_000]
        assert second.status(second.call("Put", PUT)) == b"0"

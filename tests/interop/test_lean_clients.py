"""Our own clients, for threads and for event loops, get the same from either engine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import pytest

from memraft._async.remote import CHANNEL_OPTIONS
from memraft._lean.blocking import BlockingChannel
from memraft._lean.calls import Options
from memraft._lean.channel import LeanChannel
from memraft._lean.tls import Security
from memraft._target import Certificates
from memraft_proto.methods import METHODS
from memraft_proto.v1 import cluster_pb2, common_pb2, kv_pb2, watch_pb2
from tests.interop.callers import Failed
from tests.interop.serving import CHUNK_BYTES, RECEIVE_BYTES_MAX, WAIT_S, Serving, eventually

NAMESPACE = "acme/lean"
AHEAD = common_pb2.ReadContext(min_index=1 << 40)
"""Of a session that has seen what never comes here."""
OPTIONS = Options.of(CHANNEL_OPTIONS)._replace(connect_timeout_s=WAIT_S)
"""As always, but with time for many handshakes at once on a busy machine."""
THREADS = 16

pytestmark = pytest.mark.parametrize("client", ["threads", "event loop"])


class LeanCaller:
    """A channel of ours, whose asynchronous kind lives on the server's loop."""

    def __init__(self, client: str, serving: Serving, owner: str = "agent") -> None:
        self.is_async = client == "event loop"
        self.serving = serving
        certificates = None
        if serving.certificates is not None:
            authority, certificate, key = serving.certificates.pem(owner)
            directory = serving.certificates.directory / owner
            certificates = Certificates(
                directory=directory, authority=authority, certificate=certificate, key=key
            )
        self.security = Security(certificates)
        self.pool = ThreadPoolExecutor(THREADS)
        self.channel: Any = (
            serving.run(self._open())
            if self.is_async
            else BlockingChannel(serving.address, self.security, OPTIONS)
        )

    async def _open(self) -> LeanChannel:
        return LeanChannel(self.serving.address, self.security, OPTIONS)

    def __enter__(self) -> LeanCaller:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_async:
            self.serving.run(self.channel.close())
        else:
            self.channel.close()
        self.pool.shutdown()

    def _stub(self, kind: str, name: str) -> Callable[..., Any]:
        method = METHODS[name]
        stub: Callable[..., Any] = getattr(self.channel, kind)(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return stub

    def begin(self, name: str, request: Any, timeout_s: float = WAIT_S) -> Future[Any]:
        """Starts a call."""
        stub = self._stub("unary_unary", name)
        if self.is_async:
            return self.serving.begin(stub(request, timeout=timeout_s))
        return self.pool.submit(stub, request, timeout=timeout_s)

    def call(self, name: str, request: Any, timeout_s: float = WAIT_S) -> Any:
        """One call. Raises Failed."""
        try:
            return self.begin(name, request, timeout_s).result()
        except grpc.RpcError as error:
            raise Failed(error) from None

    def stream(self, name: str, request: Any, timeout_s: float = WAIT_S) -> LeanStream:
        """Begins a call with many responses."""
        stub = self._stub("unary_stream", name)

        async def begin() -> Any:
            return stub(request, timeout=timeout_s)

        call = self.serving.run(begin()) if self.is_async else stub(request, timeout=timeout_s)
        return LeanStream(self, call)


class LeanStream:
    """The responses of a call."""

    def __init__(self, caller: LeanCaller, call: Any) -> None:
        self._caller = caller
        self._call = call

    def next(self) -> Any:
        """The next response; None: there are no more. Raises Failed."""
        try:
            if not self._caller.is_async:
                return next(self._call, None)
            response = self._caller.serving.run(self._call.read())
        except grpc.RpcError as error:
            raise Failed(error) from None
        return None if response is grpc.aio.EOF else response

    def rest(self) -> list[Any]:
        """All further ones."""
        found = []
        while (response := self.next()) is not None:
            found.append(response)
        return found

    def cancel(self) -> None:
        """Gives the call up."""
        if self._caller.is_async:
            self._caller.serving.loop.call_soon_threadsafe(self._call.cancel)
        else:
            self._call.cancel()


def put(key: str, value: bytes) -> kv_pb2.PutRequest:
    return kv_pb2.PutRequest(namespace=NAMESPACE, key=key, value=value)


def get(key: str, context: common_pb2.ReadContext | None = None) -> kv_pb2.GetRequest:
    return kv_pb2.GetRequest(namespace=NAMESPACE, key=key, context=context)


def test_messages_of_all_sizes_arrive_as_they_are(client: str, serving: Serving) -> None:
    with LeanCaller(client, serving) as caller:
        for size in (3, 100, 16_380, 16_384, 65_530, 1 << 20, 8 << 20):
            value = b'"' + bytes(97 + i % 26 for i in range(min(size, 1_000) - 2)) * 1
            value += b"x" * (size - len(value) - 1) + b'"'
            caller.call("Put", put("k", value))
            assert caller.call("Get", get("k")).value == value


def test_calls_in_plain_text(client: str, plain: Serving) -> None:
    with LeanCaller(client, plain) as caller:
        for number in range(100):
            caller.call("Put", put("k", b"%d" % number))
            assert caller.call("Get", get("k")).value == b"%d" % number


def test_errors_come_with_code_message_and_details(client: str, serving: Serving) -> None:
    with LeanCaller(client, serving) as caller:
        with pytest.raises(Failed) as caught:
            caller.call("Put", kv_pb2.PutRequest(namespace="globex/x", key="k", value=b"1"))
        refused = caught.value
        assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "WRONG_TENANT")
        with pytest.raises(Failed) as caught:
            caller.call("Put", kv_pb2.PutRequest(namespace="acme/grüße 100% — 東京\n", key="k", value=b"1"))
        assert (
            caught.value.reason == "INVALID_ARGUMENT"
        )  # the details' message was held against the trailer's
        with pytest.raises(Failed) as caught:
            caller.call("Put", put("k", b'"' + b"x" * RECEIVE_BYTES_MAX + b'"'))
        assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        caller.call("Put", put("k", b"1"))


def test_a_deadline_ends_the_call_on_both_sides(client: str, serving: Serving) -> None:
    seen = len(serving.shard.waiting)
    with LeanCaller(client, serving) as caller:
        caller.call("Put", put("k", b"1"))
        with pytest.raises(Failed) as caught:
            caller.call("Get", get("k", AHEAD), timeout_s=0.2)
        assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        eventually(lambda: len(serving.shard.waiting) == seen + 1, "the read waited")
        eventually(lambda: serving.shard.waiting[seen].cancelled(), "the server gave it up")
        caller.call("Put", put("k", b"1"))


def test_streams_bring_everything_in_order_and_end(client: str, serving: Serving) -> None:
    with LeanCaller(client, serving, "operator") as caller:
        for count in (0, 1, 200):
            stream = caller.stream("BackupShard", cluster_pb2.BackupShardRequest(shard=count))
            expected = [bytes([number % 251]) * CHUNK_BYTES for number in range(count)]
            assert [each.chunk for each in stream.rest()] == expected


def test_a_stream_that_nobody_reads_waits_and_cancelling_ends_it(client: str, serving: Serving) -> None:
    begun, ended, made = serving.chunks.begun, serving.chunks.ended, serving.chunks.made
    with LeanCaller(client, serving, "operator") as caller, LeanCaller(client, serving) as others:
        stream = caller.stream("BackupShard", cluster_pb2.BackupShardRequest(shard=4_000))
        assert len(stream.next().chunk) == CHUNK_BYTES
        assert serving.chunks.begun == begun + 1
        for number in range(20):
            others.call("Put", put(f"k{number}", b"1"))
        assert serving.chunks.ended == ended
        stream.cancel()
        eventually(lambda: serving.chunks.ended == ended + 1, "the server gave it up")
        assert serving.chunks.made - made < 4_000


def test_a_follower_gets_changes_as_they_come_and_ends_at_its_deadline(client: str, serving: Serving) -> None:
    namespace = f"acme/watched-{client.replace(' ', '-')}"
    request = watch_pb2.WatchRequest(namespace=namespace, target=watch_pb2.WATCH_TARGET_KV, after_version=0)
    with LeanCaller(client, serving) as caller:
        stream = caller.stream("Watch", request, timeout_s=1.0)
        caller.call("Put", kv_pb2.PutRequest(namespace=namespace, key="k", value=b"1"))
        while not any(change.key == "k" for change in stream.next().changes):
            pass
        with pytest.raises(Failed) as caught:
            stream.rest()
        assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_many_calls_at_once_get_each_its_own_answer(client: str, serving: Serving) -> None:
    with LeanCaller(client, serving) as caller:
        for pending in [caller.begin("Put", put(f"n{i}", b"%d" % i)) for i in range(300)]:
            pending.result()
        answers = [caller.begin("Get", get(f"n{i}")) for i in range(300)]
        assert [each.result().value for each in answers] == [b"%d" % i for i in range(300)]


def test_a_server_that_stops_answers_what_has_come(client: str, serving: Serving) -> None:
    with Serving(serving.engine, serving.certificates) as stopping, LeanCaller(client, stopping) as caller:
        caller.call("Put", put("k", b"1"))
        pending = [caller.begin("Get", get("k", AHEAD)) for _ in range(THREADS)]
        eventually(lambda: len(stopping.shard.waiting) == THREADS, "all reads wait")
        stopped = stopping.begin(stopping.server.stop(2.0))
        stopping.let_go()
        assert all(each.result().value == b"1" for each in pending)
        stopped.result(WAIT_S)
        with pytest.raises(Failed) as caught:
            caller.call("Put", put("k", b"1"), timeout_s=2.0)
        assert caught.value.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

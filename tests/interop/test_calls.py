"""Clients of all kinds, stock ones and our own, get the same from either engine."""

from __future__ import annotations

import dataclasses
from itertools import product

import grpc
import pytest

from memraft_proto.methods import METHODS
from memraft_proto.v1 import cluster_pb2, common_pb2, kv_pb2, watch_pb2
from tests.interop.callers import CLIENTS, LEAN, STOCK, Caller, Failed
from tests.interop.serving import CHUNK_BYTES, DEADLINES_S, RECEIVE_BYTES_MAX, Serving, eventually

NAMESPACE = "acme/support"
AHEAD = common_pb2.ReadContext(min_index=1 << 40)
"""Of a session that has seen what never comes here."""
SIZES = (1, 2, 100, 16_383, 16_384, 16_385, 65_530, 1 << 20, 8 << 20)

every_client = pytest.mark.parametrize("client", CLIENTS)
stock_client = pytest.mark.parametrize("client", STOCK)
every_client_and_compression = pytest.mark.parametrize(
    ("client", "compression"), [*product(CLIENTS, [None]), *product(STOCK, [grpc.Compression.Gzip])]
)


def document(size: int) -> bytes:
    """JSON of so many bytes that neither repeats soon nor says where it is cut."""
    if size < 3:
        return b"7" * size
    return b'"' + (b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHI" * (size // 45 + 1))[: size - 2] + b'"'


def put(key: str, value: bytes) -> kv_pb2.PutRequest:
    return kv_pb2.PutRequest(namespace=NAMESPACE, key=key, value=value)


def get(key: str, context: common_pb2.ReadContext | None = None) -> kv_pb2.GetRequest:
    return kv_pb2.GetRequest(namespace=NAMESPACE, key=key, context=context)


# -- messages ------------------------------------------------------------------------------------------


@every_client_and_compression
def test_messages_of_all_sizes_arrive_as_they_are(
    client: str, serving: Serving, compression: grpc.Compression | None
) -> None:
    with Caller(client, serving) as caller:
        for size in SIZES:
            value = document(size)
            caller.call("Put", put("k", value), compression=compression)
            assert caller.call("Get", get("k"), compression=compression).value == value


@stock_client
def test_a_channel_that_compresses_all_it_says_is_understood(client: str, serving: Serving) -> None:
    with Caller(client, serving, compression=grpc.Compression.Gzip) as caller:
        caller.call("Put", put("k", document(100_000)))
        assert caller.call("Get", get("k")).value == document(100_000)
        with pytest.raises(Failed) as caught:
            caller.call("Put", put("k", b"no json"))
        assert caught.value.reason == "INVALID_ARGUMENT"


@stock_client
def test_an_algorithm_that_is_not_spoken_is_refused_by_name(client: str, serving: Serving) -> None:
    with Caller(client, serving, compression=grpc.Compression.Deflate) as caller:
        if serving.engine == "grpcio":  # grpcio knows deflate as well
            caller.call("Put", put("k", document(100_000)))
            return
        with pytest.raises(Failed) as caught:
            caller.call("Put", put("k", document(100_000)))
        assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED
        assert "deflate" in caught.value.message
        # The next call, uncompressed, is served.
        caller.call("Put", put("k", b"1"), compression=grpc.Compression.NoCompression)


@every_client_and_compression
def test_a_message_over_the_limit_is_refused_and_the_connection_stays(
    client: str, serving: Serving, compression: grpc.Compression | None
) -> None:
    with Caller(client, serving) as caller:
        waiting = caller.start("Get", get("k", AHEAD))
        with pytest.raises(Failed) as caught:
            caller.call("Put", put("k", document(RECEIVE_BYTES_MAX + 1)), compression=compression)
        assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        caller.call("Put", put("k", b"2"))
        eventually(lambda: len(serving.shard.waiting) > 0, "the read waits")
        serving.let_go()
        assert waiting.result().value == b"2"


@every_client
def test_a_message_of_no_bytes_is_a_message(client: str, serving: Serving) -> None:
    with Caller(client, serving) as caller:
        answer = caller.call("GetShardMap", cluster_pb2.GetShardMapRequest())
        assert answer.cluster == "test"


# -- outcomes ------------------------------------------------------------------------------------------


@every_client
def test_errors_come_with_code_message_and_details(client: str, serving: Serving) -> None:
    with Caller(client, serving) as caller:
        foreign = kv_pb2.PutRequest(namespace="globex/x", key="k", value=b"1")
        with pytest.raises(Failed) as caught:
            caller.call("Put", foreign)
        refused = caught.value
        assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "WRONG_TENANT")
        assert refused.metadata == {"tenant": "acme", "namespace": "globex/x"}


@every_client
def test_what_an_error_says_may_be_in_any_script(client: str, serving: Serving) -> None:
    namespace = "acme/grüße 100% — 東京\n"
    with Caller(client, serving) as caller:
        with pytest.raises(Failed) as caught:
            caller.call("Put", kv_pb2.PutRequest(namespace=namespace, key="k", value=b"1"))
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (
            caught.value.reason == "INVALID_ARGUMENT"
        )  # the details' message was held against the trailer's


@every_client
def test_a_method_that_is_not_known_is_unimplemented(client: str, serving: Serving) -> None:
    with Caller(client, serving) as caller:
        for path in ("/memraft.v1.KvService/Nothing", "/no.Service/Put", "/"):
            method = dataclasses.replace(METHODS["Put"], path=path)
            with pytest.raises(Failed) as caught:
                caller.start_method(method, put("k", b"1"), 5.0).result()
            assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED
        caller.call("Put", put("k", b"1"))


@every_client
def test_bytes_that_are_no_message_are_refused(client: str, serving: Serving) -> None:
    class Raw:
        @staticmethod
        def SerializeToString(_: object) -> bytes:
            return b"\xff\xff\xff"

    with Caller(client, serving) as caller:
        method = dataclasses.replace(METHODS["Put"], request=Raw)  # type: ignore[arg-type]
        with pytest.raises(Failed) as caught:
            caller.start_method(method, None, 5.0).result()
        assert caught.value.reason == "INVALID_ARGUMENT"


@stock_client
def test_metadata_of_callers_is_taken_and_ours_is_told(client: str, serving: Serving) -> None:
    said = [
        ("x-request-id", "7"),
        ("x-empty", ""),
        ("x-raw-bin", bytes(range(256))),
        ("x-many", "a"),
        ("x-many", "b"),
    ]
    with Caller(client, serving) as caller:
        for _ in range(3):  # the same header block again: from a cache, or by indexes alone
            pending = caller.start("Put", put("k", b"1"), metadata=said)
            pending.result()
            initial, trailing = pending.metadata()
            assert not {"x-request-id", "x-raw-bin"} & (set(initial) | set(trailing))


# -- deadlines and cancellation ------------------------------------------------------------------------


@every_client
def test_a_deadline_ends_the_call_on_both_sides(client: str, serving: Serving) -> None:
    seen = len(serving.shard.waiting)
    with Caller(client, serving) as caller:
        caller.call("Put", put("k", b"1"))
        for timeout_s in DEADLINES_S:
            with pytest.raises(Failed) as caught:
                caller.call("Get", get("k", AHEAD), timeout_s=timeout_s)
            assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
            if len(serving.shard.waiting) > seen:
                break
        eventually(lambda: serving.shard.waiting[seen].cancelled(), "the server gave it up")
        caller.call("Put", put("k", b"1"))


@stock_client
def test_a_call_that_is_cancelled_ends_on_the_server(client: str, serving: Serving) -> None:
    seen = len(serving.shard.waiting)
    with Caller(client, serving) as caller:
        given_up, kept = (caller.start("Get", get("k", AHEAD)) for _ in range(2))
        eventually(lambda: len(serving.shard.waiting) == seen + 2, "both reads wait")
        given_up.cancel()
        with pytest.raises(Failed) as caught:
            given_up.result()
        assert caught.value.code is grpc.StatusCode.CANCELLED
        waits = serving.shard.waiting[seen:]
        eventually(lambda: any(each.cancelled() for each in waits), "the server gave one up")
        assert sum(each.done() for each in waits) == 1
        serving.let_go()
        kept.result()


@stock_client
def test_a_client_that_goes_away_ends_its_calls(client: str, serving: Serving) -> None:
    seen = len(serving.shard.waiting)
    caller = Caller(client, serving)
    pending = [caller.start("Get", get("k", AHEAD)) for _ in range(5)]
    eventually(lambda: len(serving.shard.waiting) == seen + len(pending), "all reads wait")
    caller.close()
    eventually(lambda: all(each.cancelled() for each in serving.shard.waiting[seen:]), "all were given up")


# -- streams -------------------------------------------------------------------------------------------


@every_client
def test_a_stream_brings_everything_in_order_and_ends(client: str, serving: Serving) -> None:
    with Caller(client, serving, "operator") as caller:
        for count in (0, 1, 200):
            chunks = list(caller.stream("BackupShard", cluster_pb2.BackupShardRequest(shard=count)))
            assert [each.chunk for each in chunks] == [
                bytes([number % 251]) * CHUNK_BYTES for number in range(count)
            ]


@every_client
def test_a_stream_that_is_refused_says_why(client: str, serving: Serving) -> None:
    with Caller(client, serving) as caller:
        with pytest.raises(Failed) as caught:
            list(caller.stream("BackupShard", cluster_pb2.BackupShardRequest(shard=3)))
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.PERMISSION_DENIED, "WRONG_ROLE")


@every_client
def test_a_stream_that_nobody_reads_waits_and_cancelling_ends_it(client: str, serving: Serving) -> None:
    total = 4_000  # 250 MiB, which no window lets through
    begun, ended = serving.chunks.begun, serving.chunks.ended
    with Caller(client, serving, "operator") as caller:
        made = serving.chunks.made
        stream = caller.stream("BackupShard", cluster_pb2.BackupShardRequest(shard=total))
        assert len(stream.next().chunk) == CHUNK_BYTES
        assert serving.chunks.begun == begun + 1
        others = Caller(client, serving)
        with others:
            for number in range(50):  # whoever else calls is served meanwhile
                others.call("Put", put(f"k{number}", b"1"))
        assert serving.chunks.ended == ended
        stream.cancel()
        eventually(lambda: serving.chunks.ended == ended + 1, "the server gave it up")
        assert serving.chunks.made - made < total


@every_client
def test_a_follower_gets_changes_as_they_come(client: str, serving: Serving) -> None:
    request = watch_pb2.WatchRequest(
        namespace="acme/watched", target=watch_pb2.WATCH_TARGET_KV, after_version=0
    )
    with Caller(client, serving) as caller:
        stream = caller.stream("Watch", request)
        found: list[str] = []
        for number in range(10):
            write = kv_pb2.PutRequest(namespace="acme/watched", key=f"k{number}-{client}", value=b"1")
            caller.call("Put", write)
            while f"k{number}-{client}" not in found:
                found += [change.key for change in stream.next().changes]
        stream.cancel()


@every_client
def test_a_stream_ends_at_its_deadline(client: str, serving: Serving) -> None:
    request = watch_pb2.WatchRequest(namespace="acme/quiet", target=watch_pb2.WATCH_TARGET_KV)
    with Caller(client, serving) as caller:
        for timeout_s in DEADLINES_S:
            with pytest.raises(Failed) as caught:
                list(caller.stream("Watch", request, timeout_s=timeout_s))
            if caught.value.code is not grpc.StatusCode.UNAVAILABLE:
                break  # otherwise it was over before there was a connection
        assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        caller.call("Put", put("k", b"1"))


# -- many ----------------------------------------------------------------------------------------------


@every_client
def test_many_calls_at_once_get_each_its_own_answer(client: str, serving: Serving) -> None:
    count = 500
    with Caller(client, serving) as caller:
        for pending in [caller.start("Put", put(f"n{i}", b"%d" % i)) for i in range(count)]:
            pending.result()
        answers = [caller.start("Get", get(f"n{i}")) for i in range(count)]
        assert [each.result().value for each in answers] == [b"%d" % i for i in range(count)]


@stock_client
def test_calls_that_wait_do_not_keep_others(client: str, serving: Serving) -> None:
    seen = len(serving.shard.waiting)
    with Caller(client, serving) as caller:
        waiting = [caller.start("Get", get("k", AHEAD)) for _ in range(300)]
        caller.call("Put", put("k", b"5"))
        eventually(lambda: len(serving.shard.waiting) == seen + 300, "all reads wait")
        serving.let_go()
        assert all(each.result().value == b"5" for each in waiting)


@pytest.mark.parametrize("client", LEAN)
def test_our_clients_call_in_plain_text_as_well(client: str, plain: Serving) -> None:
    with Caller(client, plain) as caller:
        for number in range(100):
            caller.call("Put", put("k", b"%d" % number))
            assert caller.call("Get", get("k")).value == b"%d" % number

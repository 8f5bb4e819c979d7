"""Tools that know nothing of ours: stock health and reflection clients, curl, and a channel that pings."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from memraft_proto.methods import METHODS, SERVICE_FILES
from memraft_proto.v1 import common_pb2, kv_pb2
from memraft_server import certs
from memraft_server.rpc.engine import SERVICES
from tests.interop.callers import LEAN, Caller, Failed
from tests.interop.serving import ENGINES, WAIT_S, Certificates, Serving, eventually

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
PUT = kv_pb2.PutRequest(namespace="acme/support", key="k", value=b"1")
AHEAD = kv_pb2.GetRequest(
    namespace="acme/support", key="k", context=common_pb2.ReadContext(min_index=1 << 40)
)
"""Of a session that has seen what never comes here."""

# -- health --------------------------------------------------------------------------------------------


def test_a_health_client_is_told_how_the_server_stands(serving: Serving) -> None:
    with Caller("sync", serving) as caller:
        stub = health_pb2_grpc.HealthStub(caller.channel)
        for service in ("", *SERVICES):
            assert stub.Check(health_pb2.HealthCheckRequest(service=service)).status == SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="no.such"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_health_watcher_is_told_of_every_change(serving: Serving) -> None:
    with Caller("sync", serving) as caller:
        stub = health_pb2_grpc.HealthStub(caller.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICES[0]))
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="no.such"))
        assert next(watch).status == SERVING
        assert next(unknown).status == SERVICE_UNKNOWN
        try:
            serving.run(serving.server.set_serving(False))
            assert next(watch).status == NOT_SERVING
            assert stub.Check(health_pb2.HealthCheckRequest()).status == NOT_SERVING
        finally:
            serving.run(serving.server.set_serving(True))
        assert next(watch).status == SERVING
        watch.cancel()
        unknown.cancel()


# -- reflection ----------------------------------------------------------------------------------------


def test_a_reflection_client_finds_every_service(serving: Serving) -> None:
    with Caller("sync", serving) as caller:
        database = ProtoReflectionDescriptorDatabase(caller.channel)
        told = set(database.get_services())
        assert told >= {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


def test_a_reflection_client_can_rebuild_every_file(serving: Serving) -> None:
    with Caller("sync", serving) as caller:
        database = ProtoReflectionDescriptorDatabase(caller.channel)
        for file in SERVICE_FILES:
            told = database.FindFileByName(file.DESCRIPTOR.name)
            assert told == descriptor_pb2.FileDescriptorProto.FromString(file.DESCRIPTOR.serialized_pb)
        assert database.FindFileContainingSymbol("memraft.v1.KvService").name.endswith("kv.proto")
        with pytest.raises(KeyError):
            database.FindFileByName("none.proto")


def test_one_reflection_stream_takes_many_questions(serving: Serving) -> None:
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_by_filename="none.proto"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="memraft.v1.PutRequest"),
    ]
    with Caller("sync", serving) as caller:
        stub = reflection_pb2_grpc.ServerReflectionStub(caller.channel)
        kinds = [each.WhichOneof("message_response") for each in stub.ServerReflectionInfo(iter(questions))]
    assert kinds == ["list_services_response", "error_response", "file_descriptor_response"]


# -- curl ----------------------------------------------------------------------------------------------


def curl(serving: Serving, directory: Path, path: str, message: bytes, *more: str) -> tuple[bytes, str, str]:
    """Body, headers and trailers, and the version of HTTP, of one call made by curl."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (directory / "request").write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    scheme, options = "http", ["--http2-prior-knowledge"]
    if serving.certificates is not None:
        agent = serving.certificates.directory / "agent"
        scheme, options = "https", ["--http2", "--cacert", str(agent / certs.CA_CERT)]
        options += ["--cert", str(agent / certs.CERT), "--key", str(agent / certs.KEY)]
    ended = subprocess.run(
        ["curl", "--silent", "--show-error", *options, "--max-time", "20", *more,
         "-H", "content-type: application/grpc", "-H", "te: trailers", "-H", "user-agent: curl",
         "--data-binary", f"@{directory / 'request'}", "--dump-header", str(directory / "head"),
         "--output", str(directory / "body"), "--write-out", "%{http_version}",
         f"{scheme}://{serving.address}{path}"],
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    body = (directory / "body").read_bytes() if (directory / "body").exists() else b""
    return body, (directory / "head").read_text().lower().replace("\r", ""), ended.stdout


def check_curl(serving: Serving, directory: Path) -> None:
    """A write, a read and a refusal, each one call of curl."""
    value = b'"' + b"x" * 200_000 + b'"'
    write = kv_pb2.PutRequest(namespace="acme/curl", key="k", value=value)
    body, head, version = curl(serving, directory, METHODS["Put"].path, write.SerializeToString())
    assert (version, body[:1], int.from_bytes(body[1:5], "big")) == ("2", b"\0", len(body) - 5)
    assert head.startswith("http/2 200") and "\ngrpc-status: 0\n" in head
    assert "\ncontent-type: application/grpc" in head
    assert kv_pb2.PutResponse.FromString(body[5:]).version > 0
    read = kv_pb2.GetRequest(namespace="acme/curl", key="k")
    body, _, _ = curl(serving, directory, METHODS["Get"].path, read.SerializeToString())
    assert kv_pb2.GetResponse.FromString(body[5:]).value == value
    refused = kv_pb2.PutRequest(namespace="acme//", key="k", value=b"1")
    body, head, _ = curl(serving, directory, METHODS["Put"].path, refused.SerializeToString())
    assert "\ngrpc-status: 3\n" in head and "grpc-status-details-bin: " in head


def test_curl_calls_in_plain_text(plain: Serving, tmp_path: Path) -> None:
    check_curl(plain, tmp_path)


def test_curl_calls_with_a_certificate(serving: Serving, tmp_path: Path) -> None:
    check_curl(serving, tmp_path)


def test_curl_is_told_when_its_time_is_over(plain: Serving, tmp_path: Path) -> None:
    seen = len(plain.shard.waiting)
    for timeout_ms in (100, 1_000, 10_000):  # the longer ones where it was over before the read could wait
        timeout = f"grpc-timeout: {timeout_ms}m"
        _, head, _ = curl(plain, tmp_path, METHODS["Get"].path, AHEAD.SerializeToString(), "-H", timeout)
        assert "\ngrpc-status: 4\n" in head
        if len(plain.shard.waiting) > seen:
            break
    eventually(lambda: plain.shard.waiting[seen].cancelled(), "the read was given up")


# -- connections ---------------------------------------------------------------------------------------


def test_a_channel_that_pings_while_it_waits_stays(serving: Serving) -> None:
    """Once is no flood: the first ping of keepalive is answered and the call goes on."""
    seen = len(serving.shard.waiting)
    for timeout_s in (0.8, 4.0, 16.0):  # the longer ones where it was over before the read could wait
        options = [("grpc.keepalive_time_ms", int(375 * timeout_s)), ("grpc.keepalive_timeout_ms", 20_000),
                   ("grpc.keepalive_permit_without_calls", 1)]  # fmt: skip
        with Caller("sync", serving, options=options) as caller:
            with pytest.raises(Failed) as caught:
                caller.call("Get", AHEAD, timeout_s=timeout_s)
            assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
            if len(serving.shard.waiting) > seen:
                caller.call("Put", PUT)
                break
    assert len(serving.shard.waiting) > seen


def test_a_channel_that_pings_without_end_is_told_to_go(serving: Serving) -> None:
    options = [("grpc.keepalive_time_ms", 50), ("grpc.keepalive_timeout_ms", 10_000),
               ("grpc.http2.max_pings_without_data", 0),
               ("grpc.keepalive_permit_without_calls", 1)]  # fmt: skip
    with Caller("sync", serving, options=options) as caller:
        with pytest.raises(Failed) as caught:
            caller.call("Get", AHEAD)
        assert caught.value.code is grpc.StatusCode.UNAVAILABLE
        assert "too_many_pings" in caught.value.message.lower().replace(" ", "_")
        eventually(lambda: all(each.done() for each in serving.shard.waiting), "its call was given up")


@pytest.mark.parametrize("client", ["aio", *LEAN])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_that_stops_answers_what_has_come(
    certificates: Certificates, engine: str, client: str
) -> None:
    with Serving(engine, certificates) as serving, Caller(client, serving) as caller:
        caller.call("Put", PUT)
        pending = [caller.start("Get", AHEAD) for _ in range(20)]
        eventually(lambda: len(serving.shard.waiting) == 20, "all reads wait")
        stopping = serving.begin(serving.server.stop(WAIT_S))
        serving.let_go()
        assert all(each.result().value == b"1" for each in pending)
        stopping.result(2 * WAIT_S)
        with pytest.raises(Failed) as caught:
            caller.call("Put", PUT, timeout_s=2.0)
        assert caught.value.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

"""What a user is told when certificates, ports and addresses do not fit together."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from memraft import (
    AsyncMemory,
    ConfigurationError,
    ConnectionFailed,
    Memory,
    PermissionDenied,
    TlsError,
    Unauthenticated,
    Unavailable,
)
from memraft._diagnose import validity_of
from memraft_server import certs
from tests.acceptance.nodes import Nodes, free_ports, run


def reissued(ca: Path, files: Path, begins: datetime, ends: datetime) -> None:
    """Replaces the certificate in `files` by the same one with another validity."""
    authority_key = load_pem_private_key((ca / "ca-key.pem").read_bytes(), None)
    old = x509.load_pem_x509_certificate((files / "cert.pem").read_bytes())
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(old.serial_number)
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    new = builder.sign(authority_key, hashes.SHA256())  # type: ignore[arg-type]
    (files / "cert.pem").write_bytes(new.public_bytes(Encoding.PEM))


def expire(ca: Path, files: Path) -> None:
    now = datetime.now(UTC)
    reissued(ca, files, now - timedelta(days=30), now - timedelta(days=1))


@contextmanager
def port_with_certificate(files: Path) -> Iterator[str]:
    """The address of a gRPC server that offers the certificate in `files` and has no calls."""
    authority, certificate, key = ((files / f"{name}.pem").read_bytes() for name in ("ca", "cert", "key"))
    credentials = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@pytest.fixture(autouse=True, params=("grpcio", "lean"))
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either engine says the same."""
    for facade in (Memory, AsyncMemory):
        monkeypatch.setitem(facade.__init__.__kwdefaults__, "engine", request.param)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    certs.init_ca(tmp_path / "ca", "memraft.local")
    return tmp_path / "ca"


def refused_by(directory: Path, address: str, **options: object) -> BaseException:
    """What the first call raises."""
    where: dict[str, object] = {"namespace": "acme/x", "timeout_s": 5.0, **options}
    with Memory(address, certs=directory, **where) as memory, pytest.raises(Exception) as raised:  # type: ignore[arg-type]
        memory.get("k")
    return raised.value


def test_an_expired_client_certificate(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    files = nodes.agent_certs("acme", "late")
    expire(nodes.ca, files)

    async def script(nodes: Nodes) -> None:
        error = await asyncio.to_thread(refused_by, files, nodes.address())
        assert isinstance(error, TlsError)
        assert error.kind == "client_certificate_expired"
        assert "cert.pem expired on 20" in str(error)
        assert not error.retryable

    run(nodes, script)


def test_a_client_certificate_of_another_authority(tmp_path: Path, authority: Path) -> None:
    certs.issue_agent(authority, tmp_path / "stranger", "acme", "support")

    async def script(nodes: Nodes) -> None:
        # The client does not trust the node either, and says that first.
        error = await asyncio.to_thread(refused_by, tmp_path / "stranger", nodes.address())
        assert isinstance(error, TlsError)
        assert error.kind == "unknown_authority"
        assert "ca.pem" in str(error)
        # With the node's authority beside the stranger's certificate, the node refuses.
        (tmp_path / "stranger" / "ca.pem").write_bytes((nodes.ca / "ca.pem").read_bytes())
        error = await asyncio.to_thread(refused_by, tmp_path / "stranger", nodes.address())
        assert isinstance(error, TlsError)
        assert error.kind == "client_certificate_refused"

    run(Nodes(tmp_path / "cluster"), script)


def test_a_certificate_without_an_identity_or_of_another_kind(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    certs.issue_operator(nodes.ca, tmp_path / "operator", "alice")

    async def script(nodes: Nodes) -> None:
        error = await asyncio.to_thread(refused_by, tmp_path / "operator", nodes.address())
        assert isinstance(error, PermissionDenied)
        assert "operator" in str(error)

    run(nodes, script)


def test_a_port_for_nodes_is_not_taken_for_a_fault_of_the_certificate(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        files, peer = nodes.agent_certs("acme", "support"), str(nodes.members[0]["peer"])
        error = await asyncio.to_thread(refused_by, files, peer)
        assert isinstance(error, TlsError)
        assert error.kind == "client_certificate_refused"
        assert str(files / "cert.pem") in str(error) and "peer port" in str(error)

    run(Nodes(tmp_path), script)


def test_a_certificate_of_another_trust_domain(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, tls=True)

    async def script(nodes: Nodes) -> None:
        files = nodes.agent_certs("acme", "support")
        key = load_pem_private_key((nodes.ca / "ca-key.pem").read_bytes(), None)
        old = x509.load_pem_x509_certificate((files / "cert.pem").read_bytes())
        builder = (
            x509.CertificateBuilder()
            .subject_name(old.subject)
            .issuer_name(old.issuer)
            .public_key(old.public_key())
            .serial_number(1)
            .not_valid_before(old.not_valid_before_utc)
            .not_valid_after(old.not_valid_after_utc)
        )
        anonymous = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
        (files / "cert.pem").write_bytes(anonymous.public_bytes(Encoding.PEM))
        error = await asyncio.to_thread(refused_by, files, nodes.address())
        assert isinstance(error, Unauthenticated)
        assert "URI" in str(error)

    run(nodes, script)


def test_a_node_whose_certificate_has_expired(tmp_path: Path, authority: Path) -> None:
    certs.issue_agent(authority, tmp_path / "agent", "acme", "support")
    certs.issue_node(authority, tmp_path / "node", "n1", ["127.0.0.1"])
    expire(authority, tmp_path / "node")
    with port_with_certificate(tmp_path / "node") as address:
        error = refused_by(tmp_path / "agent", address)
    assert isinstance(error, TlsError)
    assert error.kind == "server_certificate_expired"
    assert address in str(error)


def test_a_node_whose_certificate_is_for_another_name(tmp_path: Path, authority: Path) -> None:
    certs.issue_agent(authority, tmp_path / "agent", "acme", "support")
    certs.issue_node(authority, tmp_path / "node", "n1", ["db.example.org"])
    with port_with_certificate(tmp_path / "node") as address:
        error = refused_by(tmp_path / "agent", address)
    assert isinstance(error, TlsError)
    assert error.kind == "name_mismatch"


def test_tls_on_a_plain_text_port_and_the_other_way_round(tmp_path: Path, authority: Path) -> None:
    certs.issue_agent(authority, tmp_path / "agent", "acme", "support")

    async def plain(nodes: Nodes) -> None:
        error = await asyncio.to_thread(refused_by, tmp_path / "agent", nodes.address())
        assert isinstance(error, TlsError)
        assert error.kind == "plaintext_port"
        async with AsyncMemory(nodes.address(), insecure=True, namespace="acme/x") as memory:
            await memory.put("k", 1)
            assert await memory.get("k") == 1

    run(Nodes(tmp_path / "plain", tls=False), plain)

    async def secured(nodes: Nodes) -> None:
        async with AsyncMemory(nodes.address(), insecure=True, namespace="acme/x", timeout_s=5.0) as memory:
            with pytest.raises(TlsError, match="certs=") as raised:
                await memory.get("k")
        assert raised.value.kind == "tls_port"

    run(Nodes(tmp_path / "secured"), secured)


def test_nobody_listens(tmp_path: Path, authority: Path) -> None:
    certs.issue_agent(authority, tmp_path / "agent", "acme", "support")
    first, second = free_ports(2)
    targets = f"127.0.0.1:{first},127.0.0.1:{second}"
    error = refused_by(tmp_path / "agent", targets, timeout_s=0.5)
    assert isinstance(error, ConnectionFailed)
    assert f"127.0.0.1:{first}: connection refused" in str(error)
    assert f"127.0.0.1:{second}: connection refused" in str(error)
    assert error.retryable


def hang_up(listener: socket.socket, bytes_taken: int) -> None:
    """Takes every connection and resets it after so many bytes, until the listener is closed."""
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.recv(bytes_taken)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()


@pytest.mark.parametrize("bytes_taken", [0, 1])
def test_who_hangs_up_before_the_handshake_has_not_judged_the_certificate(
    tmp_path: Path, authority: Path, bytes_taken: int
) -> None:
    """A port forwarder whose node is down: Docker's, a load balancer's, `kubectl port-forward`."""
    certs.issue_agent(authority, tmp_path / "agent", "acme", "support")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up, args=(listener, bytes_taken))
        thread.start()
        error = refused_by(tmp_path / "agent", f"127.0.0.1:{listener.getsockname()[1]}", timeout_s=0.5)
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert isinstance(error, ConnectionFailed)
    assert not isinstance(error, TlsError)
    assert error.retryable


def test_a_port_that_says_nothing(tmp_path: Path, authority: Path, request: pytest.FixtureRequest) -> None:
    certs.issue_agent(authority, tmp_path / "agent", "acme", "support")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused_by(tmp_path / "agent", f"127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.5)
    # At a deadline grpcio does not tell whether there was a connection.
    is_told = "lean" in request.node.name
    assert type(error) is (ConnectionFailed if is_told else Unavailable)


def test_another_tenants_namespace_and_another_agent(tmp_path: Path) -> None:
    async def script(nodes: Nodes) -> None:
        files = nodes.agent_certs("acme", "support")
        async with AsyncMemory(nodes.address(), certs=files, namespace="acme/x") as memory:
            with pytest.raises(PermissionDenied, match="'umbrella'") as raised:
                await memory.scoped("umbrella/x").put("k", 1)
            assert raised.value.reason == "WRONG_TENANT"
            with pytest.raises(PermissionDenied, match="'support'") as raised:
                await memory.scoped(agent="billing").put("k", 1)
            assert raised.value.reason == "WRONG_AGENT"
            await memory.scoped(agent="support/worker-3").put("k", 1)
            await memory.put("l", 1)
            assert (await memory.record("k")).agent == "support/worker-3"  # type: ignore[union-attr]
            assert (await memory.record("l")).agent == "support"  # type: ignore[union-attr]

    run(Nodes(tmp_path), script)


Opening = Callable[[Path], object]


@pytest.mark.parametrize(
    ("says", "opening"),
    [
        ("certs= is needed", lambda files: Memory("host:1")),
        ("is not a directory", lambda files: Memory("host:1", certs=files / "nowhere")),
        ("not host:port", lambda files: Memory("host", certs=files)),
        ("not host:port", lambda files: Memory("host:99999", certs=files)),
        ("no address", lambda files: Memory(" , ", certs=files)),
        ("not both", lambda files: Memory("host:1", certs=files, path=files)),
        ("exclude each other", lambda files: Memory("host:1", certs=files, insecure=True)),
        ("for a cluster", lambda files: Memory(certs=files)),
        ("timeout_s", lambda files: Memory("host:1", certs=files, timeout_s=0)),
        ("'grpcio' or 'lean'", lambda files: Memory("host:1", certs=files, engine="h2")),  # type: ignore[arg-type]
        ("'grpcio' or 'lean'", lambda files: Memory(engine="")),  # type: ignore[arg-type]
    ],
)
def test_arguments_that_do_not_fit_are_named_at_once(
    tmp_path: Path, authority: Path, says: str, opening: Opening
) -> None:
    certs.issue_agent(authority, tmp_path / "agent", "acme", "support")
    with pytest.raises(ConfigurationError, match=says):
        opening(tmp_path / "agent")


@pytest.mark.parametrize("name", ["ca.pem", "cert.pem", "key.pem"])
def test_a_missing_or_damaged_certificate_file_is_named(tmp_path: Path, authority: Path, name: str) -> None:
    certs.issue_agent(authority, tmp_path / "agent", "acme", "support")
    (tmp_path / "agent" / name).write_text("nothing")
    with pytest.raises(ConfigurationError, match=f"{name} is not PEM"):
        Memory("host:1", certs=tmp_path / "agent")
    (tmp_path / "agent" / name).unlink()
    with pytest.raises(ConfigurationError, match=f"{name} is missing"):
        Memory("host:1", certs=str(tmp_path / "agent"))


def test_the_validity_of_a_certificate_is_read_without_a_package(tmp_path: Path, authority: Path) -> None:
    certs.issue_agent(authority, tmp_path / "agent", "acme", "support")
    for begins, ends in (
        (datetime(2024, 2, 29, 12, 0, 1, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (datetime(1999, 1, 1, tzinfo=UTC), datetime(2051, 1, 1, tzinfo=UTC)),
    ):
        reissued(authority, tmp_path / "agent", begins, ends)
        assert validity_of((tmp_path / "agent" / "cert.pem").read_bytes()) == (begins, ends)
    assert validity_of(b"no certificate") is None

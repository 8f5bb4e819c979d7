"""The lean engine's TLS, met by those who do not mean it well or have the worst of lines."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from memraft_proto.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, frame, settings_frame
from memraft_proto.http2.headers import encode
from memraft_proto.methods import METHODS
from memraft_proto.v1 import kv_pb2
from memraft_server import certs
from memraft_server.rpc.lean import protocol
from tests.interop.callers import Caller
from tests.interop.serving import HOST, WAIT_S, Certificates, Serving, eventually
from tests.properties.http2_wire import framed, frames_of

PUT = kv_pb2.PutRequest(namespace="acme/support", key="k", value=b"1")
CALL_HEAD = encode(
    [
        (b":method", b"POST"), (b":scheme", b"https"), (b":path", METHODS["Put"].path.encode()),
        (b"te", b"trailers"), (b"content-type", b"application/grpc"),
    ]
)  # fmt: skip
CALL = frame(HEADERS, END_HEADERS, 1, CALL_HEAD) + frame(DATA, END_STREAM, 1, framed(PUT.SerializeToString()))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def serving(certificates: Certificates) -> Iterator[Serving]:
    with Serving("lean", certificates) as server:
        yield server


@pytest.fixture(scope="module")
def others(serving: Serving) -> Iterator[Caller]:
    """Somebody who means no harm."""
    with Caller("sync", serving) as caller:
        caller.call("Put", PUT)
        yield caller


class Client:
    """A client whose TLS and whose socket are apart, so that what travels can be looked at and changed."""

    def __init__(self, serving: Serving, directory: Path) -> None:
        context = ssl.create_default_context(cafile=str(directory / certs.CA_CERT))
        context.load_cert_chain(directory / certs.CERT, directory / certs.KEY)
        context.set_alpn_protocols(["h2"])
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=HOST)
        self.socket = socket.create_connection((HOST, serving.server.port), timeout=WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def sealed(self, data: bytes) -> bytes:
        """What would travel for ``data``."""
        self._tls.write(data)
        return self._outgoing.read()

    def shake_hands(self, send: Callable[[bytes], None]) -> None:
        """The handshake, each flight of which is sent by ``send``."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                send(self._outgoing.read())
                self._incoming.write(self.socket.recv(1 << 16))
        send(self._outgoing.read())

    def hello(self) -> bytes:
        """The first flight."""
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    def read_until(self, condition: Callable[[bytes], bool]) -> bytes:
        """Reads until ``condition`` holds of all that came."""
        received = bytearray()
        while not condition(bytes(received)):
            data = self.socket.recv(1 << 16)
            assert data, "the server closed"
            self._incoming.write(data)
            try:
                while True:
                    received += self._tls.read(1 << 16)
            except ssl.SSLWantReadError:
                pass
        return bytes(received)


@pytest.fixture()
def client(serving: Serving, certificates: Certificates) -> Iterator[Client]:
    made = Client(serving, certificates.directory / "agent")
    yield made
    made.socket.close()


def closed(sock: socket.socket) -> bool:
    """Whether the server has closed; reads what it says before."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


def is_answered(received: bytes) -> bool:
    """Whether there are trailers of stream 1 in whole frames."""
    position = 0
    while len(received) - position >= 9:
        position += 9 + int.from_bytes(received[position : position + 3], "big")
    if position > len(received):
        return False
    return any(kind == HEADERS and flags & END_STREAM for kind, flags, *_ in frames_of(received))


@pytest.mark.parametrize(
    "first",
    [PREFACE + settings_frame({}) + CALL, b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" * 9],
)
def test_what_is_no_tls_is_closed_and_nothing_of_it_is_taken(
    serving: Serving, others: Caller, first: bytes
) -> None:
    with socket.create_connection((HOST, serving.server.port), timeout=WAIT_S) as stranger:
        stranger.sendall(first)
        assert closed(stranger)
    others.call("Put", PUT)
    eventually(lambda: len(serving.server.connections) == 1, "it is forgotten")


def test_bytes_that_come_one_by_one_are_understood(client: Client) -> None:
    def drip(data: bytes) -> None:
        for number in range(len(data)):
            client.socket.sendall(data[number : number + 1])

    client.shake_hands(drip)
    drip(client.sealed(PREFACE + settings_frame({})) + client.sealed(CALL))
    client.read_until(is_answered)


def test_the_end_of_the_handshake_may_come_with_the_first_call(client: Client) -> None:
    held = bytearray()
    flights: list[bytes] = []

    def send(data: bytes) -> None:
        if flights:
            held.extend(data)  # the last flight waits for what follows
        else:
            client.socket.sendall(data)
        flights.append(data)

    client.shake_hands(send)
    held += client.sealed(PREFACE + settings_frame({}) + CALL)
    client.socket.sendall(bytes(held))
    client.read_until(is_answered)


def test_many_small_records_are_one_stream(client: Client) -> None:
    client.shake_hands(client.socket.sendall)
    data = PREFACE + settings_frame({}) + CALL
    client.socket.sendall(b"".join(client.sealed(data[at : at + 1]) for at in range(len(data))))
    client.read_until(is_answered)


def test_a_record_that_was_changed_on_its_way_ends_the_connection(
    serving: Serving, others: Caller, client: Client
) -> None:
    client.shake_hands(client.socket.sendall)
    client.socket.sendall(client.sealed(PREFACE + settings_frame({})))
    record = bytearray(client.sealed(CALL))
    record[len(record) // 2] ^= 1
    client.socket.sendall(bytes(record))
    assert closed(client.socket)
    eventually(lambda: len(serving.server.connections) == 1, "it is forgotten")
    others.call("Put", PUT)


def test_random_bytes_after_the_handshake_end_the_connection(
    serving: Serving, others: Caller, client: Client
) -> None:
    client.shake_hands(client.socket.sendall)
    client.socket.sendall(random.Random(1).randbytes(100_000))
    assert closed(client.socket)
    eventually(lambda: len(serving.server.connections) == 1, "it is forgotten")
    others.call("Put", PUT)


def test_handshakes_that_are_not_gone_on_with_are_closed(
    serving: Serving, others: Caller, certificates: Certificates
) -> None:
    with ExitStack() as stack:
        slow = [Client(serving, certificates.directory / "agent") for _ in range(50)]
        for number, each in enumerate(slow):
            stack.enter_context(each.socket)
            hello = each.hello()
            each.socket.sendall(hello[: len(hello) // 2] if number % 2 else hello)
        eventually(lambda: len(serving.server.connections) == 51, "all are there")
        others.call("Put", PUT)

        async def let_time_pass() -> None:
            for connection in list(serving.server.connections):
                if not connection._has_settings:
                    for _ in range(protocol.GREETING_S + 2):
                        connection._is_heard = True
                        connection.watch(1.0)

        serving.run(let_time_pass())
        eventually(lambda: len(serving.server.connections) == 1, "they had their time")
        assert all(closed(each.socket) for each in slow)
    others.call("Put", PUT)


def test_a_client_that_is_gone_in_the_middle_of_a_handshake_is_forgotten(
    serving: Serving, others: Caller, client: Client
) -> None:
    client.socket.sendall(client.hello())
    client.socket.shutdown(socket.SHUT_WR)
    assert closed(client.socket)
    eventually(lambda: len(serving.server.connections) == 1, "it is forgotten")
    others.call("Put", PUT)

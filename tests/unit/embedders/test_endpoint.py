"""Embeddings from a service, against a real HTTP server on this machine that answers as it is told."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from memraft import ConfigurationError, EmbedderFailed, InvalidArgument, Memory
from memraft.embedders import EndpointEmbedder
from memraft_server import certs

KEY = "sk-0123456789"


def embedded(texts: Sequence[str]) -> dict[str, Any]:
    data = [{"index": i, "embedding": [float(len(text)), 1.0]} for i, text in enumerate(texts)]
    return {"object": "list", "data": data[::-1], "model": "m", "usage": {"total_tokens": 1}}


class Service(ThreadingHTTPServer):
    """Answers as `script` says, a request an entry: a status with headers and a body, or the embeddings."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[dict[str, Any]] = []
        self.headers_seen: list[dict[str, str]] = []
        self.connections: list[socket.socket] = []
        self.is_closing = False
        self.answer: Callable[[Handler], None] | None = None
        self.may_answer = Event()
        self.may_answer.set()

    def embedder(self, **options: Any) -> EndpointEmbedder:
        return EndpointEmbedder(f"http://127.0.0.1:{self.server_port}/v1", "m", **options)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Service

    def setup(self) -> None:
        super().setup()
        self.server.connections.append(self.connection)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append({"path": self.path, **asked})
        self.server.headers_seen.append(dict(self.headers))
        self.server.may_answer.wait(30)
        if self.server.answer is not None:
            self.server.answer(self)
            return
        good: tuple[int, dict[str, str], bytes] = (200, {}, json.dumps(embedded(asked["input"])).encode())
        status, headers, body = self.server.script.pop(0) if self.server.script else good
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        # Without saying so: what a service does with connections that were idle for long.
        self.close_connection = self.server.is_closing

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: failures show what was asked."""


@contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[Service]:
    with Service() as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.may_answer.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as server:
        yield server


def test_texts_become_rows_in_their_order(service: Service) -> None:
    embedder = service.embedder(api_key=KEY, dimensions=2)
    assert np.allclose(embedder.embed(["abc", ""]), np.array([[3 / 10**0.5, 1 / 10**0.5], [0, 1]]))
    [request] = service.requests
    assert request == {
        "path": "/v1/embeddings",
        "model": "m",
        "input": ["abc", ""],
        "encoding_format": "float",
        "dimensions": 2,
    }
    assert service.headers_seen[0]["Authorization"] == f"Bearer {KEY}"
    assert embedder.fingerprint == "endpoint:m:2"
    assert KEY not in repr(embedder)


def test_no_text_asks_nobody(service: Service) -> None:
    assert len(service.embedder().embed([])) == 0
    assert service.requests == []


def test_requests_keep_to_their_limits(service: Service) -> None:
    embedder = service.embedder(texts_max=2, characters_max=10)
    texts = ["a", "b", "c", "d" * 9, "ee", "f" * 50, "g"]
    assert embedder.embed(texts).shape == (7, 2)
    sent = [request["input"] for request in service.requests]
    assert sent == [["a", "b"], ["c", "d" * 9], ["ee"], ["f" * 50], ["g"]]


def test_one_connection_serves_many_requests_and_each_thread_has_its_own(service: Service) -> None:
    embedder = service.embedder(connections_max=3)
    for i in range(5):
        embedder.embed([f"text {i}"])
    assert len(service.connections) == 1
    with ThreadPoolExecutor(8) as threads:
        shapes = list(threads.map(lambda i: embedder.embed([f"text {i}"]).shape, range(40)))
    assert shapes == [(1, 2)] * 40
    assert len(service.connections) <= 3
    embedder.close()


def test_a_connection_that_the_service_let_go_of_is_no_failure(service: Service) -> None:
    service.is_closing = True
    embedder = service.embedder(attempts_max=1)
    for i in range(4):
        embedder.embed([f"text {i}"])
    assert len(service.requests) == 4


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(service: Service, status: int) -> None:
    service.script = [(status, {"Retry-After": "0"}, b"busy")] * 2
    assert service.embedder().embed(["abc"]).shape == (1, 2)
    assert len(service.requests) == 3


def test_tries_are_counted_and_the_last_answer_is_told(service: Service) -> None:
    service.script = [(503, {}, b"over\n capacity" + b"x" * 5000)] * 5
    with pytest.raises(EmbedderFailed, match=r"status 503: over capacityx+ \(after 2 of 2 tries\)") as raised:
        service.embedder(attempts_max=2).embed(["abc"])
    assert raised.value.retryable
    assert len(raised.value.message) < 500
    assert len(service.requests) == 2


def test_nobody_waits_longer_than_the_time_that_is_left(service: Service) -> None:
    service.script = [(429, {"Retry-After": "3600"}, b"")]
    with pytest.raises(EmbedderFailed, match="after 1 of 3 tries"):
        service.embedder().embed(["abc"])
    service.script = [(429, {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}, b"")]
    with pytest.raises(EmbedderFailed, match="after 1 of 3 tries"):
        service.embedder().embed(["abc"])


@pytest.mark.parametrize("status", [400, 401, 404, 302])
def test_a_refusal_is_not_tried_again(service: Service, status: int) -> None:
    service.script = [(status, {"Location": "http://127.0.0.1:1/"}, f"no such key: {KEY}".encode())]
    with pytest.raises(EmbedderFailed, match=f"status {status}.*no such key: ...") as raised:
        service.embedder(api_key=KEY).embed(["abc"])
    assert not raised.value.retryable
    assert KEY not in str(raised.value)
    assert len(service.requests) == 1


def test_a_service_that_does_not_answer_is_given_up(service: Service) -> None:
    service.may_answer.clear()
    with pytest.raises(EmbedderFailed, match="TimeoutError") as raised:
        service.embedder(timeout_s=0.2).embed(["abc"])
    assert raised.value.retryable


def test_a_service_that_drips_is_given_up(service: Service) -> None:
    ended = Event()

    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not ended.wait(0.02):
            handler.wfile.write(b" ")

    service.answer = drip
    with pytest.raises(EmbedderFailed, match="TimeoutError"):
        service.embedder(timeout_s=0.3).embed(["abc"])
    ended.set()


def test_a_certificate_is_verified(tmp_path: Path) -> None:
    certs.init_ca(tmp_path / "ca", "memraft.local")
    certs.issue_node(tmp_path / "ca", tmp_path / "node", "n1", ["localhost", "127.0.0.1"])
    offered = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    offered.load_cert_chain(tmp_path / "node/cert.pem", tmp_path / "node/key.pem")
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ca/ca.pem"))
    with running(offered) as service:
        url = f"https://localhost:{service.server_port}"
        assert EndpointEmbedder(url, "m", api_key=KEY, tls=trusted).embed(["abc"]).shape == (1, 2)
        with pytest.raises(EmbedderFailed, match=r"its certificate: .*certificate") as raised:
            EndpointEmbedder(url, "m", api_key=KEY).embed(["abc"])
        assert not raised.value.retryable
        assert len(service.requests) == 1


def test_all_connections_busy_is_a_failure_of_its_own(service: Service) -> None:
    service.may_answer.clear()
    embedder = service.embedder(connections_max=1, timeout_s=0.3, attempts_max=1)
    with ThreadPoolExecutor(2) as threads:
        errors = [threads.submit(embedder.embed, ["abc"]).exception() for _ in range(2)]
    assert all(isinstance(error, EmbedderFailed) and error.retryable for error in errors)


def test_a_service_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    embedder = EndpointEmbedder(f"http://127.0.0.1:{port}", "m", attempts_max=2)
    with pytest.raises(EmbedderFailed, match=f"127.0.0.1:{port}.*refused.*after 2 of 2") as raised:
        embedder.embed(["abc"])
    assert raised.value.retryable


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"data": [{"index": 0}]}',
        b'{"data": []}',
        b'{"data": [{"index": 1, "embedding": [1]}]}',
        b'{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1]}]}',
    ],
)
def test_an_answer_of_another_form(service: Service, body: bytes) -> None:
    service.script = [(200, {}, body)]
    with pytest.raises(EmbedderFailed, match=r"another form|embeddings for 1 texts"):
        service.embedder().embed(["abc"])


def test_an_answer_that_breaks_off_is_not_taken_for_whole(service: Service) -> None:
    service.is_closing = True
    body = json.dumps(embedded(["abc"])).encode()
    service.script = [(200, {"Content-Length": str(len(body) + 10)}, body)]
    with pytest.raises(EmbedderFailed, match=r"IncompleteRead.*10 more expected"):
        service.embedder(attempts_max=1).embed(["abc"])


def test_an_answer_without_numbers(service: Service) -> None:
    service.script = [(200, {}, b'{"data": [{"index": 0, "embedding": []}]}')]
    with pytest.raises(InvalidArgument, match="one row of numbers"):
        service.embedder().embed(["abc"])


def test_a_text_that_cannot_be_sent(service: Service) -> None:
    with pytest.raises(InvalidArgument, match="not valid Unicode"):
        service.embedder().embed(["\ud800"])


def http_to(host: str, **options: Any) -> Callable[[], EndpointEmbedder]:
    return lambda: EndpointEmbedder(f"http://{host}/v1", "m", **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EndpointEmbedder("ftp://host", "m"), "http"),
        (lambda: EndpointEmbedder("https://", "m"), "http"),
        (lambda: EndpointEmbedder("https://user:secret@host", "m"), "without a password"),
        (lambda: EndpointEmbedder("https://host:port", "m"), "not a URL"),
        (http_to("example.org", api_key=KEY), "plain http"),
        (http_to("localhost", attempts_max=0), "positive"),
        (http_to("localhost", timeout_s=float("nan")), "positive"),
    ],
)
def test_what_is_no_endpoint_is_refused(make: Callable[[], EndpointEmbedder], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        make()
    assert "secret" not in str(raised.value)
    assert KEY not in str(raised.value)


def test_a_memory_embeds_with_it(service: Service) -> None:
    with Memory(embedder=service.embedder()) as memory:
        memory.remember("likes tea")
        [meaning] = [each for each in memory.recall("likes tea")[0].reasons if each.name == "vector"]
        assert meaning.value == pytest.approx(1.0)
        service.script = [(401, {}, b"no")]
        with pytest.raises(EmbedderFailed):
            memory.remember("likes coffee")
        assert len(memory.memories()) == 1
    assert [request["input"] for request in service.requests] == [["likes tea"], ["likes coffee"]]

"""What this machine can do at best: a sync of its disk, round trips over loopback, a chain of hashes."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path

from memraft_server import certs
from memraft_server.cli.figures import latencies

BLOCK = b"x" * 1024
MESSAGE = b"x" * 100
NAMES = {
    "sync": "append of 1 KiB to a file, and fdatasync",
    "tcp": "round trip of 100 bytes over loopback, TCP",
    "tls": "round trip of 100 bytes over loopback, mutual TLS",
    "hashes": "1,000 SHA-256 of 360 bytes, each of the one before: as many events of 200 bytes have",
}
HASHES = 1_000
HASHED = b"x" * 328
"""What an event of 200 bytes adds to the hash of the one before."""


def measure(rounds: int, seconds: float, directory: Path) -> dict[str, list[float]]:
    """The p50 in microseconds of each round, by name of the limit; limits take turns.

    Args:
        rounds: how many.
        seconds: of each limit in a round.
        directory: on the disk that is to be measured.
    """
    with ExitStack() as stack:
        file = stack.enter_context((directory / "sync").open("wb", buffering=0))
        calls: dict[str, Callable[[], object]] = {"sync": lambda: _append(file.fileno())}
        for name, contexts in (("tcp", None), ("tls", _contexts(directory))):
            calls[name] = stack.enter_context(_echo(contexts))
        calls["hashes"] = _hash_chain
        found: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                found[name].append(_p50_us(call, seconds))
        return found


def _p50_us(call: Callable[[], object], seconds: float) -> float:
    clock, durations_s = time.perf_counter, []
    ends = clock() + seconds
    began = clock()
    while began < ends:
        call()
        now = clock()
        durations_s.append(now - began)
        began = now
    return latencies(durations_s).p50_us


def _append(file: int) -> None:
    os.write(file, BLOCK)
    os.fdatasync(file)


def _hash_chain() -> None:
    sha256, hashed, last = hashlib.sha256, HASHED, b"\0" * 32
    for _ in range(HASHES):
        last = sha256(last + hashed).digest()


Contexts = tuple[Path, Path, Path]
"""ca.pem, cert.pem and key.pem, of both ends."""


def _contexts(directory: Path) -> Contexts:
    authority, node = directory / "ca", directory / "node"
    certs.init_ca(authority, "memraft.local")
    certs.issue_node(authority, node, "n1", ["127.0.0.1", "localhost"])
    return node / "ca.pem", node / "cert.pem", node / "key.pem"


def _secured(files: Contexts, is_server: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    authority, certificate, key = files
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextmanager
def _echo(files: Contexts | None) -> Iterator[Callable[[], object]]:
    """A call that sends a message to another process and receives it back, over sockets that block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = get_context("spawn").Process(target=_serve_echo, args=(listener, files), daemon=True)
        other.start()
        raw = socket.create_connection(listener.getsockname())
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = raw if files is None else _secured(files, False).wrap_socket(raw, server_hostname="localhost")

    def call() -> None:
        client.sendall(MESSAGE)
        if not _receive(client):
            raise ConnectionError("the process that echoes is gone")

    try:
        yield call
    finally:
        client.close()
        other.join()


def _receive(end: socket.socket) -> bool:
    """Takes a whole message; False where the other end is gone."""
    missing = len(MESSAGE)
    while missing:
        got = len(end.recv(missing))
        if not got:
            return False
        missing -= got
    return True


def _serve_echo(listener: socket.socket, files: Contexts | None) -> None:
    raw, _ = listener.accept()
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end = raw if files is None else _secured(files, True).wrap_socket(raw, server_side=True)
    with end:
        while _receive(end):
            end.sendall(MESSAGE)

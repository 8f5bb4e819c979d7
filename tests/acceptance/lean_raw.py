"""A client of the lean engine that does as a test says, and what is to be seen of it at the server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from memraft_proto.http2.connection import Connection, Limits
from memraft_proto.http2.frames import request_packer
from memraft_proto.http2.headers import encode
from memraft_proto.methods import METHODS
from memraft_proto.v1 import common_pb2, kv_pb2
from memraft_server.rpc.lean.protocol import LeanConnection
from tests.interop.serving import HOST, WAIT_S, Serving

NAMESPACE = "acme/support"
PUT = kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"1")
GET = kv_pb2.GetRequest(namespace=NAMESPACE, key="k")
AHEAD = kv_pb2.GetRequest(namespace=NAMESPACE, key="k", context=common_pb2.ReadContext(min_index=1 << 40))
"""Waits until the test lets it go."""


def head_of(name: str, *fields: tuple[bytes, bytes]) -> bytes:
    """The header block of a call."""
    return encode(
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", METHODS[name].path.encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            *fields,
        ]
    )


class Raw(Connection):
    """A client that does as a test says, on a socket that blocks."""

    def __init__(self, serving: Serving, limits: Limits | None = None) -> None:
        super().__init__(limits if limits is not None else Limits(), is_client=True)
        self.socket = socket.create_connection((HOST, serving.server.port), timeout=WAIT_S)
        self.messages: list[bytes] = []
        self.ended: dict[int, dict[bytes, bytes]] = {}
        self.goaways: list[tuple[int, int]] = []
        self.resets: list[tuple[int, int]] = []
        self.pinged: list[bytes] = []

    def call(self, name: str, request: Any, *fields: tuple[bytes, bytes]) -> int:
        """Sends a call; returns its stream."""
        head = head_of(name, *fields)
        stream = self.send_call(request_packer(head), head, request.SerializeToString())
        self.flush()
        return stream.id

    def flush(self) -> None:
        self.socket.sendall(self.take())

    def read_until(self, condition: Callable[[], bool]) -> None:
        """Reads until ``condition`` holds, and answers what has to be answered."""
        while not condition():
            data = self.socket.recv(1 << 16)
            assert data, "the server closed the connection"
            self.receive(data)
            self.flush()

    def read_to_the_end(self) -> None:
        try:
            while data := self.socket.recv(1 << 16):
                self.receive(data)
        except ConnectionResetError:
            pass
        self.socket.close()

    def status(self, stream_id: int) -> bytes:
        """The status of a call, when it is there."""
        self.read_until(lambda: stream_id in self.ended)
        return self.ended[stream_id][b"grpc-status"]

    def on_headers(self, stream_id: int, head: Any, is_end: bool) -> None:
        if is_end:
            self.ended[stream_id] = dict(head)

    def on_message(self, stream_id: int, message: bytes) -> None:
        self.messages.append(message)

    def _pong(self, payload: bytes) -> None:
        self.pinged.append(payload)
        super()._pong(payload)

    def on_reset(self, stream_id: int, code: int) -> None:
        self.resets.append((stream_id, code))

    def on_goaway(self, last_stream_id: int, code: int, text: str) -> None:
        self.goaways.append((last_stream_id, code))


@contextmanager
def raw(serving: Serving, limits: Limits | None = None) -> Iterator[Raw]:
    client = Raw(serving, limits)
    try:
        client.flush()
        yield client
    finally:
        client.socket.close()


def connections(serving: Serving) -> list[LeanConnection]:
    return list(serving.server.connections)


def paused(serving: Serving) -> list[LeanConnection]:
    """Connections whose clients do not read."""
    return [each for each in connections(serving) if each._writable is not None]


def on_loop(serving: Serving, work: Callable[[], Any]) -> Any:
    """Does ``work`` on the server's loop."""

    async def do() -> Any:
        return work()

    return serving.run(do())

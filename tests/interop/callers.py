"""Clients of several kinds behind one face, so that one test speaks for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio

from memraft._lean.blocking import BlockingChannel
from memraft._lean.channel import LeanChannel
from memraft._lean.tls import Security
from memraft_proto.methods import METHODS, Method
from memraft_proto.v1 import error_pb2
from tests.interop.serving import WAIT_S, Serving
from tests.unit.client_lean.servers import OPTIONS, certificates

DETAILS_KEY = "grpc-status-details-bin"
STOCK = ("sync", "aio")
"""Clients of grpcio."""
LEAN = ("lean sync", "lean aio")
"""Ours: they neither compress nor tell metadata, and threads cannot cancel a call with one response."""
CLIENTS = (*STOCK, *LEAN)
LEAN_OPTIONS = OPTIONS._replace(connect_timeout_s=WAIT_S)
"""As always, but with time for many handshakes at once on a busy machine."""
THREADS = 32
Metadata = Sequence[tuple[str, str | bytes]]
Options = Sequence[tuple[str, Any]]


class Failed(Exception):
    """What a call failed with: status code, message, reason, and the metadata of the reason."""

    def __init__(self, error: Any) -> None:
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details() or ""
        super().__init__(f"{self.code.name}: {self.message}")
        self.reason = ""
        self.metadata: dict[str, str] = {}
        for key, value in error.trailing_metadata() or ():
            if key == DETAILS_KEY:
                self._read(error_pb2.ErrorStatus.FromString(value))

    def _read(self, status: error_pb2.ErrorStatus) -> None:
        assert (status.code, status.message) == (self.code.value[0], self.message)
        for detail in status.details:
            if detail.type_url == "type.googleapis.com/google.rpc.ErrorInfo":
                info = error_pb2.ErrorInfo.FromString(detail.value)
                self.reason, self.metadata = info.reason, dict(info.metadata)


class Caller:
    """A channel of one kind to a server.

    Args:
        client: one of `CLIENTS`; asynchronous ones run on the server's loop.
        serving: the server.
        owner: whose certificate, where there is TLS.
        options: of a stock channel.
        compression: of a stock channel.
    """

    def __init__(
        self,
        client: str,
        serving: Serving,
        owner: str = "agent",
        options: Options = (),
        compression: grpc.Compression | None = None,
    ) -> None:
        self.is_async = client.endswith("aio")
        self.serving = serving
        self._is_lean = client in LEAN
        self._threads: ThreadPoolExecutor | None = None
        if self._is_lean:
            self._open_lean(owner)
        else:
            self._open_stock(owner, options, compression)

    def _open_lean(self, owner: str) -> None:
        serving = self.serving
        files = serving.certificates
        security = Security(certificates(files.directory / owner) if files is not None else None)
        if self.is_async:
            self.channel: Any = serving.run(_open_lean_aio(serving.address, security))
        else:
            self.channel = BlockingChannel(serving.address, security, LEAN_OPTIONS)
            self._threads = ThreadPoolExecutor(THREADS)

    def _open_stock(self, owner: str, options: Options, compression: grpc.Compression | None) -> None:
        serving = self.serving
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        # Channels of one process otherwise share connections, and with them what becomes of those.
        arguments = [*unlimited, ("grpc.use_local_subchannel_pool", 1), *options]
        files = serving.certificates
        credentials = files.credentials(owner) if files is not None else None
        if self.is_async:
            self.channel = serving.run(_open_aio(serving.address, credentials, arguments, compression))
        elif credentials is None:
            self.channel = grpc.insecure_channel(serving.address, arguments, compression)
        else:
            self.channel = grpc.secure_channel(serving.address, credentials, arguments, compression)

    def close(self) -> None:
        """Closes the channel."""
        if self.is_async:
            self.serving.run(self.channel.close())
        else:
            self.channel.close()
        if self._threads is not None:
            self._threads.shutdown()

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self,
        name: str,
        request: Any,
        timeout_s: float = WAIT_S,
        metadata: Metadata | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """One call of the contract. Raises Failed."""
        return self.start(name, request, timeout_s, metadata, compression).result()

    def start(
        self,
        name: str,
        request: Any,
        timeout_s: float | None = WAIT_S,
        metadata: Metadata | None = None,
        compression: grpc.Compression | None = None,
    ) -> Pending:
        """Begins a call of the contract."""
        return self.start_method(METHODS[name], request, timeout_s, metadata, compression)

    def start_method(self, method: Method, request: Any, timeout_s: float | None, *rest: Any) -> Pending:
        """Begins a call of any method."""
        stub = self.channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        metadata, compression = (*rest, None, None)[:2]
        said = {"timeout": timeout_s, "metadata": metadata, "compression": compression}
        options = {name: value for name, value in said.items() if value is not None}
        if self._threads is not None:
            return Pending(None, self._threads.submit(stub, request, **options))
        if self._is_lean:
            return Pending(None, self.serving.begin(stub(request, **options)))
        if self.is_async:
            return Pending(self.serving, self.serving.run(_begin(stub, request, options)))
        return Pending(None, stub.future(request, **options))

    def stream(self, name: str, request: Any, timeout_s: float | None = WAIT_S) -> Stream:
        """Begins a call with many responses."""
        method = METHODS[name]
        stub = self.channel.unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        if self.is_async:
            options = {"timeout": timeout_s}
            return Stream(self.serving, self.serving.run(_begin(stub, request, options)))
        return Stream(None, stub(request, timeout=timeout_s))


class Pending:
    """A call under way; ``serving`` where it lives on that server's loop."""

    def __init__(self, serving: Serving | None, call: Any) -> None:
        self._serving = serving
        self._raw = call

    def cancel(self) -> None:
        """Gives the call up."""
        if self._serving is None:
            self._raw.cancel()
        else:
            self._serving.loop.call_soon_threadsafe(self._raw.cancel)

    def result(self) -> Any:
        """The response. Raises Failed."""
        try:
            if self._serving is None:
                return self._raw.result()
            return self._serving.run(_await(self._raw))
        except grpc.FutureCancelledError:
            raise Failed(self._raw) from None
        except grpc.RpcError as error:
            raise Failed(error) from None

    def metadata(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Initial and trailing metadata of a call that is done."""
        if self._serving is None:
            return dict(self._raw.initial_metadata()), dict(self._raw.trailing_metadata())
        return self._serving.run(_metadata(self._raw))


class Stream(Pending):
    """A call with many responses."""

    def __iter__(self) -> Iterator[Any]:
        while (response := self.next()) is not None:
            yield response

    def next(self) -> Any:
        """The next response, None where there is no more. Raises Failed."""
        try:
            if self._serving is None:
                return next(self._raw, None)
            response = self._serving.run(_read(self._raw))
        except grpc.RpcError as error:
            raise Failed(error) from None
        return None if response is grpc.aio.EOF else response


async def _open_lean_aio(address: str, security: Security) -> LeanChannel:
    return LeanChannel(address, security, LEAN_OPTIONS)


async def _open_aio(
    address: str,
    credentials: grpc.ChannelCredentials | None,
    arguments: list[tuple[str, Any]],
    compression: grpc.Compression | None,
) -> grpc.aio.Channel:
    if credentials is None:
        return grpc.aio.insecure_channel(address, arguments, compression)
    return grpc.aio.secure_channel(address, credentials, arguments, compression)


async def _begin(stub: Any, request: Any, options: dict[str, Any]) -> Any:
    return stub(request, **options)


async def _await(call: Any) -> Any:
    try:
        return await call
    except asyncio.CancelledError:
        if not call.cancelled():
            raise
        error = grpc.aio.AioRpcError(await call.code(), (), (), await call.details())
        raise error from None


async def _read(call: Any) -> Any:
    try:
        return await call.read()
    except asyncio.CancelledError:
        raise grpc.aio.AioRpcError(grpc.StatusCode.CANCELLED, (), (), "cancelled here") from None


async def _metadata(call: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return dict(await call.initial_metadata()), dict(await call.trailing_metadata())

"""One connection of a client: bytes from the transport to calls, answers to one write a read."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, cast

import grpc

from memraft_proto.http2.compression import GZIP, NotInflatable, TooLarge, inflate
from memraft_proto.http2.connection import Connection, Stream
from memraft_proto.http2.frames import STREAM_ID_MOST, Code, ConnectionFault
from memraft_proto.http2.headers import Fields
from memraft_proto.secured import Secured
from memraft_server.admission.identity import Caller
from memraft_server.machine import Refused
from memraft_server.rpc.engine import KEEPALIVE_ANSWER_S, KEEPALIVE_S
from memraft_server.rpc.lean.heads import IDENTITY, Call, Head
from memraft_server.rpc.lean.replies import error_block

if TYPE_CHECKING:
    from memraft_server.rpc.lean.server import LeanServer

GREETING_S = 10
"""How long a client may take to say who it is (TLS), and then to begin with HTTP/2."""
STALLED_S = 60
"""A client that does not read for so long while it leaves more than ``STALLED_BYTES`` waiting is closed."""
STALLED_BYTES = 4 << 20
TURN_S = 0.002
"""How long the calls of one connection are made before others have the event loop."""
WRITE_BUFFER_BYTES = 1 << 20
"""What may wait in the transport before no more is read from a client."""

_ALIVE = b"memraft?"
_DRAIN = b"memraft!"


class LeanConnection(Connection, asyncio.Protocol):
    """One object a connection: HTTP/2, and the protocol of its transport.

    Attributes:
        caller: who it is; None where the certificate does not say, see `identify`.
        turn_ends_s: when others have the event loop, by time.perf_counter.
    """

    def __init__(self, engine: LeanServer) -> None:
        self._engine = engine
        self._routes = engine.routes
        super().__init__(engine.limits, is_client=False)
        self.caller: Caller | None = None
        self.turn_ends_s = 0.0
        self._uris: tuple[bytes, ...] = ()
        self._tls = engine.secured()
        self._transport: asyncio.Transport | None = None
        self._is_open = False
        self._age_s = 0
        self._is_flush_due = self._is_turn_due = False
        self._is_heard = True
        self._silent_s = 0
        self._stalled_s = 0
        self._queued_seen = 0
        self._writable: asyncio.Future[None] | None = None
        self._is_drained = False

    # -- the transport -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        if self._engine.is_stopping:
            self._transport.abort()
            return
        self._is_open = True
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.tick(self._engine.loop.time())
        self._engine.connections[self] = self._engine.strangers[self] = None
        if self._tls is None:
            self._let_in(())

    def _shake_hands(self, tls: Secured, data: bytes) -> bytes:
        """Goes on with the handshake; returns what the client says after it."""
        try:
            tls.shake_hands(data)
        except ssl.SSLError as error:
            self._engine.note_stranger(error)
            self._write(tls.take())
            self.close()
            return b""
        self._write(tls.take())
        if not tls.is_ready:
            return b""
        if tls.protocol != "h2":
            self.close()
            return b""
        self._let_in(tuple(uri.encode() for uri in tls.peer_uris))
        return self._opened(tls, b"")

    def _let_in(self, uris: tuple[bytes, ...]) -> None:
        """It is known who this is."""
        self._uris = uris
        try:
            self.caller = self._engine.identify(uris)
        except Refused:
            pass  # each call is told
        self.flush()

    def identify(self) -> Caller:
        """The caller. Raises Refused (NO_IDENTITY)."""
        return self._engine.identify(self._uris)

    def _opened(self, tls: Secured, data: bytes) -> bytes:
        try:
            return tls.open(data)
        except ssl.SSLError:  # a farewell, too
            self.close()
            return b""

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._is_heard = True
        tls = self._tls
        if tls is not None and self._is_open:
            data = self._opened(tls, data) if tls.is_ready else self._shake_hands(tls, data)
        if data and self._is_open:
            self._take_turn(data)

    def _take_turn(self, data: bytes) -> None:
        """Makes calls, and leaves what takes longer than a turn for the next."""
        self.turn_ends_s = time.perf_counter() + TURN_S
        self.receive(data)
        self.flush()
        if self.is_closed:
            self.close()
        elif self.has_more and self._transport is not None:
            self._transport.pause_reading()
            self._take_turn_soon()

    def _take_turn_soon(self) -> None:
        if not self._is_turn_due:
            self._is_turn_due = True
            self._engine.loop.call_soon(self._take_next_turn)

    def _take_next_turn(self) -> None:
        """Goes on with what was read, unless the client has to read first: then `resume_writing` does."""
        self._is_turn_due = False
        if self._is_open and self._transport is not None and self._writable is None:
            self._transport.resume_reading()
            self._take_turn(b"")

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.is_closed = True
        self._is_open = False
        self._transport = None
        self._engine.connections.pop(self, None)
        self._engine.strangers.pop(self, None)
        streams = list(self.streams.values())
        self.streams.clear()
        self.resume_writing()
        for stream in streams:
            if stream.owner is not None:
                stream.owner.cancel()

    def pause_writing(self) -> None:
        """See asyncio.Protocol. A client that does not read is not read from either."""
        if self._transport is not None and self._writable is None:
            self._writable = self._engine.loop.create_future()
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
            if self.has_more:
                self._take_turn_soon()
            elif self._transport is not None:
                self._transport.resume_reading()

    async def written(self) -> None:
        """Until the transport takes more; others have the event loop meanwhile."""
        if self._writable is not None:
            await asyncio.shield(self._writable)
        else:
            await asyncio.sleep(0)

    def flush(self) -> None:
        """Writes what has gathered."""
        self._is_flush_due = False
        if self._transport is None or not self._is_open:
            self.out.clear()
            return
        if self.out:
            tls = self._tls
            if tls is None:
                self._transport.write(self.take())
            elif tls.is_ready:
                self._transport.write(tls.seal(self.take()))
        if self._is_drained and not self.streams:
            self.close()

    def flush_soon(self) -> None:
        """Writes what has gathered by the time that the event loop comes to it."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self._engine.loop.call_soon(self.flush)

    def close(self) -> None:
        """Closes, after what has been written has left."""
        if self._transport is not None and self._is_open:
            if self._tls is not None and self._tls.is_ready:
                self._write(self._tls.farewell())
            self._is_open = False
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """Closes at once."""
        self._is_open = False
        if self._transport is not None:
            self._transport.abort()

    # -- as time goes by -----------------------------------------------------------------------------------

    def watch(self, now_s: float) -> None:
        """Once a second: is this client still there, and does it read?"""
        self.tick(now_s)
        self._silent_s = 0 if self._is_heard else self._silent_s + 1
        self._is_heard = False
        self._age_s += 1
        if not self._has_settings and self._age_s > GREETING_S:
            self.abort()
        elif self._silent_s == KEEPALIVE_S:
            self.ping(_ALIVE)
            self.flush()
        elif self._silent_s > KEEPALIVE_S + KEEPALIVE_ANSWER_S:
            self.abort()
        is_stalled = self._writable is not None or (
            self.queued_bytes > STALLED_BYTES and self.queued_bytes >= self._queued_seen
        )
        self._queued_seen = self.queued_bytes
        self._stalled_s = self._stalled_s + 1 if is_stalled else 0
        if self._stalled_s > STALLED_S:
            self.abort()

    @property
    def held_bytes(self) -> int:
        """What is kept for this client: calls that have not come whole, and answers that it has not read."""
        unread = self._transport.get_write_buffer_size() if self._transport is not None else 0
        return self._buffered + len(self._tail) + self.queued_bytes + unread

    def drain(self) -> None:
        """Begins to stop: no more calls, please; what is under way already is answered."""
        self.goaway(Code.NO_ERROR, "this node is shutting down", STREAM_ID_MOST)
        self.ping(_DRAIN)
        for call in self._calls():
            call.shut()
        self.flush()

    def abandon(self) -> None:
        """Answers what is still under way with where it stands, and closes."""
        for call in self._calls():
            call.abandon()
        self._end_calls()
        self.close()

    def on_pong(self, payload: bytes) -> None:
        """See `Connection`. After the answer to `drain` no call is on its way here any more."""
        if payload == _DRAIN and not self._is_drained:
            self._end_calls()

    def _end_calls(self) -> None:
        self.goaway(Code.NO_ERROR, "this node is shutting down")
        self.refuse_calls()
        self._is_drained = True
        self.flush()

    def on_settings(self) -> None:
        """See `Connection`."""
        self._engine.strangers.pop(self, None)

    def on_fault(self, fault: ConnectionFault) -> None:
        """See `Connection`."""
        self._engine.note_fault(fault)

    # -- calls ---------------------------------------------------------------------------------------------

    def interpret(self, fields: Fields) -> Head:
        """See `Connection`."""
        return self._engine.read_head(fields)

    def on_call(self, stream_id: int, head: Head, message: bytes) -> None:
        """See `Connection`."""
        head.whole(self, stream_id, head, message)

    def on_headers(self, stream_id: int, head: Head, is_end: bool) -> None:
        """See `Connection`."""
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        if stream.owner is None:
            if head.route is None:
                self.answer(stream_id, head.refusal)
                return
            stream.owner = head.route.begin(self, stream_id, head)
        if is_end:
            stream.owner.end()

    def on_message(self, stream_id: int, message: bytes) -> None:
        """See `Connection`."""
        self.streams[stream_id].owner.take(message)

    def on_compressed(self, stream_id: int, message: bytes) -> None:
        """See `Connection`."""
        encoding = self.streams[stream_id].owner.head.encoding
        if encoding == IDENTITY:  # gRPC's `compression.md`: this is the client's fault, no lack of ours
            text = "a message says that it is compressed, but its call names no grpc-encoding"
            self._refuse(stream_id, grpc.StatusCode.INTERNAL, text)
            return
        if encoding != GZIP:
            shown = encoding[:40].decode("utf-8", "replace")
            text = f"messages compressed with {shown} are not understood here; gzip and identity are"
            self._refuse(stream_id, grpc.StatusCode.UNIMPLEMENTED, text)
            return
        try:
            inflated = inflate(message, self.limits.message_bytes_max)
        except NotInflatable as error:
            self._refuse(stream_id, grpc.StatusCode.INTERNAL, str(error))
        except TooLarge:
            self.on_oversize(stream_id, self.limits.message_bytes_max + 1)
        else:
            self.on_message(stream_id, inflated)

    def on_oversize(self, stream_id: int, size: int) -> None:
        """See `Connection`."""
        text = f"SERVER: Received message larger than max ({size} vs. {self.limits.message_bytes_max})"
        self._refuse(stream_id, grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    def on_end(self, stream_id: int) -> None:
        """See `Connection`."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.owner.end()

    def on_drop(self, stream: Stream, code: int) -> None:
        """See `Connection`."""
        if stream.owner is not None:
            stream.owner.cancel()

    def is_due(self, stream: Stream) -> bool:
        """See `Connection`."""
        return stream.owner is not None and stream.owner.is_due()

    def on_writable(self, stream_id: int) -> None:
        """See `Connection`."""
        self.streams[stream_id].owner.writable()

    def known(self, stream_id: int) -> Stream:
        """The stream of a call that may have come whole, so that there is none yet."""
        stream = self.streams.get(stream_id)
        if stream is None:
            stream = self.keep(stream_id)
            stream.has_head = stream.is_remote_closed = True
        return stream

    def answer(self, stream_id: int, block: bytes) -> None:
        """Ends a call with ``block``, head or trailers; what the client still sends is not wanted."""
        stream = self.known(stream_id)
        self.send_trailers(stream_id, block)
        if stream_id in self.streams and not stream.queue:
            self.reset(stream_id, Code.NO_ERROR)

    def _refuse(self, stream_id: int, code: grpc.StatusCode, text: str) -> None:
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.answer(stream_id, error_block(code, text, has_head=stream.owner.has_head))
            stream.owner.cancel()

    def _calls(self) -> list[Call]:
        return [stream.owner for stream in self.streams.values() if stream.owner is not None]

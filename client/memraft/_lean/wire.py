"""A client's side of one connection, apart from its socket: gRPC over HTTP/2, with TLS or without.

::

    start_up, then opening(what came) until is_ready; what to_send returns is written after each step
    begin_call -> the pending learns what comes of it, within received(what came), expire or fail_all
"""

from __future__ import annotations

import ssl

from memraft_proto.http2.compression import GZIP, NotInflatable, TooLarge, inflate
from memraft_proto.http2.connection import Connection, Limits, Stream
from memraft_proto.http2.frames import STREAM_ID_MOST, Code, ConnectionFault
from memraft_proto.http2.headers import Fields

from .._target import split_address
from . import calls
from .calls import LeanRpcError, MadeHead, Options, Said
from .tls import Security

READ_BYTES_MAX = 1 << 16
"""Less than what makes malloc map memory anew for each read."""
TICK_S = 1.0


class Pending:
    """One call under way; what has one response overrides `replied` and `ended`, others also `came`.

    Attributes:
        stream_id: on its connection; 0: none yet.
        deadline_s: by the clock of the owner; infinity: never.
        encoding: of messages that come compressed.
        message: the one response.
        is_unary: a second response is a fault.
    """

    __slots__ = ("stream_id", "deadline_s", "encoding", "message")

    is_unary = True

    def __init__(self) -> None:
        self.stream_id = 0
        self.deadline_s = float("inf")
        self.encoding = b""
        self.message: bytes | None = None

    def replied(self, message: bytes) -> None:
        """A response came, and with it the end."""
        self.came(message)
        self.ended(None)

    def came(self, message: bytes) -> None:
        """A response came."""
        self.message = message

    def ended(self, error: LeanRpcError | None) -> None:
        """The call is over: well, or with an error. It may be told twice; the first counts."""

    def abandoned(self) -> None:
        """The channel was closed."""


class Wire(Connection):
    """See the module's docstring.

    Args:
        options: of the channel.
        address: host:port.
        security: TLS, or none.

    Attributes:
        pending: calls under way, by stream.
        is_ready: the node is there, and takes calls.
        fault: why the connection cannot go on; None while it can.
    """

    def __init__(self, options: Options, address: str, security: Security) -> None:
        # What a server may do often that a client may not: ping to measure, as grpcio's does.
        limits = Limits(
            message_bytes_max=options.receive_bytes_max, pings_max=5_000, ping_strikes_max=1 << 30
        )
        super().__init__(limits, True)
        self.pending: dict[int, Pending] = {}
        self.is_ready = False
        self.fault: LeanRpcError | None = None
        self._begun_id = self._sent_id = 0
        self._ticked_s = 0.0
        self._goaway = ""
        self._secured = security.secured(split_address(address)[0])

    # -- bytes -------------------------------------------------------------------------------------------

    def start_up(self) -> None:
        """Makes the first bytes to send."""
        if self._secured is not None:
            self._secured.shake_hands()

    def opening(self, data: bytes) -> None:
        """Takes what came before `is_ready`. Raises OSError: this connection will not be ready."""
        if not data:
            raise ConnectionResetError("the node hung up before it was ready")
        secured = self._secured
        if secured is not None:
            if secured.is_ready:
                data = secured.open(data)
            else:
                secured.shake_hands(data)
                if not secured.is_ready:
                    return
                if secured.protocol != "h2":
                    raise ssl.SSLError("the node does not speak HTTP/2 (h2) over TLS")
                data = secured.open(b"")
        self.receive(data)
        if self.fault is not None:
            raise ConnectionAbortedError(self.fault.details())

    def received(self, data: bytes, now_s: float) -> None:
        """Takes what came. Raises OSError: nothing more will come.

        Args:
            data: empty: the node closed.
            now_s: by the owner's clock.
        """
        if not data:
            raise ConnectionResetError(self._goaway or "Socket closed")
        if now_s - self._ticked_s >= TICK_S:
            self._ticked_s = now_s
            self.tick(now_s)
        secured = self._secured
        if secured is None:
            self.receive(data)
            return
        self.receive(secured.open(data))
        if secured.is_over:
            raise ConnectionResetError(self._goaway or "Socket closed")

    def to_send(self) -> bytes:
        """What is to be written now."""
        secured = self._secured
        if secured is None:
            return self.take()
        if not secured.is_ready or not self.out:
            return secured.take()
        return secured.seal(self.take())

    def has_sent(self) -> None:
        """What `to_send` returned last has been written, or some of it: the node may act on it."""
        self._sent_id = self._begun_id

    # -- calls -------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it takes further calls, now or later."""
        return self.peer_streams_max >= 0 and not self.is_closed

    @property
    def has_room(self) -> bool:
        """Whether it takes a call now."""
        return len(self.streams) < self.peer_streams_max and not self.is_closed

    def begin_call(self, pending: Pending, made: MadeHead, message: bytes, deadline_s: float) -> None:
        """Begins a call.

        Args:
            pending: learns what comes of it.
            made: see `Head`.
            message: the request.
            deadline_s: see `Pending`.
        """
        stream_id = self.send_call(made[0], made[1], message).id
        pending.stream_id = self._begun_id = stream_id
        pending.deadline_s = deadline_s
        self.pending[stream_id] = pending
        if stream_id >= STREAM_ID_MOST - 2:
            self.peer_streams_max = -1  # no numbers are left: others go over another connection

    def cancel(self, pending: Pending) -> bool:
        """Ends a call whose caller has gone; False where it was over."""
        if self.pending.get(pending.stream_id) is not pending:
            return False
        del self.pending[pending.stream_id]
        if not self.is_closed:
            self.reset(pending.stream_id, Code.CANCEL)
        return True

    def expire(self, now_s: float) -> float:
        """Ends calls whose time is up; returns when the time of the next is, infinity where there is none."""
        next_s = float("inf")
        for pending in list(self.pending.values()):
            if pending.deadline_s <= now_s:
                if self.cancel(pending):
                    pending.ended(calls.out_of_time())
            elif pending.deadline_s < next_s:
                next_s = pending.deadline_s
        return next_s

    def fail_all(self, error: LeanRpcError) -> None:
        """Ends all calls: those that had not left know that nothing was done, the others do not."""
        calls_open = list(self.pending.values())
        self.pending.clear()
        for pending in calls_open:
            if pending.stream_id > self._sent_id:
                pending.ended(calls.not_taken(f"it had not left yet: {error.details()}"))
            else:
                pending.ended(error.again())

    def _check_known(self, stream_id: int, what: str) -> None:
        """Lets pass what comes late for calls that were given up: there may be more than are remembered."""
        if not stream_id & 1 or stream_id > self._begun_id:
            super()._check_known(stream_id, what)

    # -- what comes --------------------------------------------------------------------------------------

    def interpret(self, fields: Fields) -> Said:
        return calls.interpret(fields)

    def on_settings(self) -> None:
        self.is_ready = True

    def on_reply(self, stream: Stream, head: Said, message: bytes, trailers: Said) -> None:
        pending = self.pending.pop(stream.id, None)
        if pending is None:
            return
        if head.has_status:
            pending.ended(head.error())
        elif trailers.code is None:
            pending.replied(message)
        else:
            pending.ended(trailers.error())

    def on_headers(self, stream_id: int, head: Said, is_end: bool) -> None:
        pending = self.pending.get(stream_id)
        if pending is None:
            return
        if not is_end and not head.has_status:
            pending.encoding = head.encoding
        elif head.has_status and head.code is not None:
            self._end(pending, head.error())
        elif not head.has_status:
            self._end(pending, calls.malformed("the answer ended without a status"))
        elif pending.is_unary and pending.message is None:
            self._end(pending, calls.malformed("the answer has no message"))
        else:
            self._end(pending, None)

    def on_message(self, stream_id: int, message: bytes) -> None:
        pending = self.pending.get(stream_id)
        if pending is None:
            return
        if pending.is_unary and pending.message is not None:
            self._end(pending, calls.malformed("the answer has two messages"))
        else:
            pending.came(message)

    def on_compressed(self, stream_id: int, message: bytes) -> None:
        pending = self.pending.get(stream_id)
        if pending is None:
            return
        if pending.encoding != GZIP:
            said = pending.encoding.decode("ascii", "replace")
            self._end(pending, calls.malformed(f"the answer is compressed with {said!r}, not gzip"))
            return
        size_max = self.limits.message_bytes_max
        try:
            plain = inflate(message, size_max)
        except NotInflatable as error:
            self._end(pending, calls.malformed(f"the answer: {error}"))
        except TooLarge:
            self._end(pending, calls.too_large("Received", size_max + 1, size_max))
        else:
            self.on_message(stream_id, plain)

    def on_oversize(self, stream_id: int, size: int) -> None:
        pending = self.pending.get(stream_id)
        if pending is not None:
            self._end(pending, calls.too_large("Received", size, self.limits.message_bytes_max))

    def on_end(self, stream_id: int) -> None:
        pending = self.pending.get(stream_id)
        if pending is not None:
            self._end(pending, calls.malformed("the answer ended without a status"))

    def on_reset(self, stream_id: int, code: int) -> None:
        pending = self.pending.pop(stream_id, None)
        if pending is not None:
            pending.ended(calls.was_reset(code, self._goaway))

    def on_goaway(self, last_stream_id: int, code: int, text: str) -> None:
        self._goaway = f"the node is going away: {calls.code_name(code)}{': ' + text if text else ''}"

    def on_fault(self, fault: ConnectionFault) -> None:
        self.fault = calls.lost(f"the node broke the protocol: {fault.text}")

    def _end(self, pending: Pending, error: LeanRpcError | None) -> None:
        """The call is over as far as its caller is concerned; so it is on the wire."""
        stream_id = pending.stream_id
        self.pending.pop(stream_id, None)
        if stream_id in self.streams:
            self.reset(stream_id, Code.NO_ERROR if error is None else Code.CANCEL)
        pending.ended(error)

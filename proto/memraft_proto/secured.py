"""TLS apart from sockets, for client and server alike: bytes of one side in, bytes of the other out."""

from __future__ import annotations

import ssl
from typing import Any

RECORD_BYTES_MAX = 16_384


class Secured:
    """One connection's TLS.

    Args:
        context: says whom to trust and who we are.
        host: whose name the certificate of the other side must have.
        is_server: the role of this side.

    Attributes:
        is_ready: hands are shaken.
        is_over: the other side said farewell, behind what `open` returned last.
    """

    __slots__ = ("is_ready", "is_over", "_incoming", "_outgoing", "_session")

    def __init__(self, context: ssl.SSLContext, host: str | None, is_server: bool = False) -> None:
        self.is_ready = self.is_over = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, is_server, host)

    def shake_hands(self, data: bytes = b"") -> None:
        """Goes on with the handshake; `take` has what to send, even where this raises.

        Args:
            data: what came; empty at the beginning.

        Raises:
            ssl.SSLError: one side refuses the other, or it is no TLS.
        """
        if data:
            self._incoming.write(data)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.is_ready = True

    @property
    def protocol(self) -> str | None:
        """What both sides speak over it (ALPN)."""
        return self._session.selected_alpn_protocol()

    @property
    def peer_uris(self) -> tuple[str, ...]:
        """The URIs among the alternative names of the other side's certificate."""
        names: Any = (self._session.getpeercert() or {}).get("subjectAltName", ())
        return tuple(str(value) for kind, value in names if kind == "URI")

    def take(self) -> bytes:
        """What is to be sent."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def seal(self, data: bytes) -> bytes:
        """What to send for data."""
        self._session.write(data)
        return self._outgoing.read()

    def open(self, data: bytes) -> bytes:
        """The data in what came; empty where it is part of a record, or nothing but TLS's own.

        Raises:
            ssl.SSLError: it was broken, or the other side refuses us; SSLZeroReturnError: it said farewell.
        """
        incoming, read = self._incoming, self._session.read
        incoming.write(data)
        pieces: list[bytes] = []
        try:
            while piece := read(RECORD_BYTES_MAX):
                pieces.append(piece)
                if not incoming.pending:
                    break
            else:
                self.is_over = True  # a farewell is read as nothing
        except ssl.SSLWantReadError:
            pass
        if self.is_over and not pieces:
            raise ssl.SSLZeroReturnError("the other side said farewell")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def end(self) -> None:
        """Nothing more will come.

        Raises:
            ssl.SSLError: what came before says why.
        """
        self._incoming.write_eof()
        self._session.read(1)

    def farewell(self) -> bytes:
        """What to send last, so that the other side knows that nothing is missing."""
        try:
            self._session.unwrap()
        except ssl.SSLError:
            pass  # the other side says farewell later, if at all
        return self.take()

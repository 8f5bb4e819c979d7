"""TLS apart from sockets: bytes of one side in, bytes of the other out."""

from __future__ import annotations

import ssl

from .._target import Certificates

RECORD_BYTES_MAX = 16_384


class Security:
    """What the connections of a client are secured with. Files are read once, when it is made; that they do
    not load is told by whoever connects, as a node that cannot be reached.

    Args:
        certificates: those of the client; None: plain text.
    """

    def __init__(self, certificates: Certificates | None) -> None:
        self.is_on = certificates is not None
        self._context: ssl.SSLContext | None = None
        self._failure: OSError | None = None
        try:
            self._context = certificates.context() if certificates is not None else None
        except OSError as error:
            self._failure = error

    def secured(self, host: str) -> Secured | None:
        """Begins TLS with a node; None: plain text. Raises OSError."""
        if self._failure is not None:
            raise OSError(f"the certificates do not load: {self._failure}")
        return Secured(self._context, host) if self._context is not None else None


class Secured:
    """One connection's TLS, as its client.

    Args:
        context: says whom to trust and who we are.
        host: whose name the certificate must have.
    """

    __slots__ = ("is_ready", "_incoming", "_outgoing", "_session")

    def __init__(self, context: ssl.SSLContext, host: str | None) -> None:
        self.is_ready = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

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
            pieces.append(read(RECORD_BYTES_MAX))
            while incoming.pending:
                pieces.append(read(RECORD_BYTES_MAX))
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            if not pieces:
                raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def end(self) -> None:
        """Nothing more will come.

        Raises:
            ssl.SSLError: what came before says why.
        """
        self._incoming.write_eof()
        self._session.read(1)

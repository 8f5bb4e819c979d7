"""What the connections of a client are secured with."""

from __future__ import annotations

import ssl

from memraft_proto.secured import Secured

from .._target import Certificates


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

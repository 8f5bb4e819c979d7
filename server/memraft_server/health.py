"""A port of its own for those who watch: `/metrics`, `/healthz` (it lives), `/readyz` (it may be asked).

A small HTTP/1.1 server on the node's event loop: GET only, one request a connection, everything bounded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from memraft_server.metrics import Gather, render

logger = logging.getLogger("memraft.health")

HEAD_BYTES_MAX = 8 << 10
CONNECTIONS_MAX = 64
REQUEST_TIMEOUT_S = 5.0
TEXT = "text/plain; charset=utf-8"

Readiness = Callable[[], list[str]]
"""Why this node is not ready; empty: it is."""


class MetricsListenFailed(Exception):
    """The address for metrics cannot be listened on."""


class HealthServer:
    """Serves metrics and health.

    Args:
        host, port: where; port 0 takes a free one.
        gather: what to tell Prometheus.
        readiness: why the node is not ready.
    """

    def __init__(self, host: str, port: int, gather: Gather, readiness: Readiness) -> None:
        self.host = host
        self.port = port
        self._gather = gather
        self._readiness = readiness
        self._open = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens. Raises MetricsListenFailed, naming host and port."""
        try:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=HEAD_BYTES_MAX)
        except OSError as error:
            reason = error.strerror or str(error)
            raise MetricsListenFailed(
                f"cannot listen for metrics on {self.host}:{self.port}: {reason}"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Closes the port."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= CONNECTIONS_MAX:
            writer.close()
            return
        self._open += 1
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answer(head))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError):
            pass  # a client that sends no request gets no answer
        except Exception:
            logger.exception("a request for metrics failed")
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", TEXT, b"only GET\n")
        if path == b"/metrics":
            # Gathered here, where the counters live; rendered in a thread, because that takes milliseconds.
            families = self._gather()
            body = await asyncio.get_running_loop().run_in_executor(None, render, families)
            return _response("200 OK", CONTENT_TYPE_LATEST, body)
        if path == b"/healthz":
            return _response("200 OK", TEXT, b"alive\n")
        if path == b"/readyz":
            reasons = self._readiness()
            if reasons:
                return _response("503 Service Unavailable", TEXT, ("\n".join(reasons) + "\n").encode())
            return _response("200 OK", TEXT, b"ready\n")
        return _response("404 Not Found", TEXT, b"there are /metrics, /healthz and /readyz\n")


def _response(status: str, content_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body

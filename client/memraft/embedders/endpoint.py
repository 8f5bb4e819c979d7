"""Embeddings from a service that speaks OpenAI's protocol: `POST <url>/embeddings`."""

import http.client
import random
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np

from ..errors import ConfigurationError, EmbedderFailed, InvalidArgument
from .base import Vectors, unit_rows

RESPONSE_BYTES_MAX = 64 << 20
ERROR_CHARACTERS_MAX = 300
"""So much of what a service says about an error is told on."""

_RETRIED = frozenset((408, 429, 500, 502, 503, 504))
_FIRST_PAUSE_S = 0.25
_PIECE_BYTES = 1 << 16


class _Item(msgspec.Struct):
    index: int
    embedding: list[float]


class _Reply(msgspec.Struct):
    data: list[_Item]


class EndpointEmbedder:
    """Asks a service, over connections that are kept. Threads may share it.

    A request is tried again, after a pause that doubles or that the service asked for, when the connection
    failed or the service answered 408, 429 or a temporary 5xx; never after another refusal, and never past
    `timeout_s`.

    Args:
        url: the service's base, such as `https://api.openai.com/v1`. Redirects are not followed.
        model: as the service knows it.
        api_key: sent as a bearer token; it is never part of an error or a repr. Over plain http it goes to
            this machine only.
        dimensions: asks for vectors of so many components; None: the model's own.
        fingerprint: names the model where several services serve the same; None:
            `endpoint:<model>[:<dimensions>]`.
        timeout_s: for one request with all its tries.
        attempts_max: tries of one request.
        texts_max: texts of one request; more are sent as several.
        characters_max: characters of one request; a text that is longer goes alone.
        connections_max: requests under way at once; others wait.
        tls: how to verify the service; None: as the system does.

    Raises:
        ConfigurationError: the URL or a number is malformed, or a key would leave this machine in the clear.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None = None,
        dimensions: int | None = None,
        fingerprint: str | None = None,
        timeout_s: float = 30.0,
        attempts_max: int = 3,
        texts_max: int = 128,
        characters_max: int = 200_000,
        connections_max: int = 8,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if min(attempts_max, texts_max, characters_max, connections_max) < 1 or not timeout_s > 0:
            raise ConfigurationError("an endpoint's limits and timeout_s are positive numbers")
        self._host, self._port, self._path, is_tls = _parts(url)
        if api_key and not is_tls and self._host not in ("localhost", "127.0.0.1", "::1"):
            raise ConfigurationError(f"an API key is not sent to {self._host} over plain http: use https")
        self._tls = (tls or ssl.create_default_context()) if is_tls else None
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._secret = (api_key or "").encode()
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._fields: dict[str, Any] = {"model": model, "encoding_format": "float"}
        if dimensions is not None:
            self._fields["dimensions"] = dimensions
        size = f":{dimensions}" if dimensions is not None else ""
        self.fingerprint = fingerprint or f"endpoint:{model}{size}"
        self._timeout_s, self._attempts_max = timeout_s, attempts_max
        self._texts_max, self._characters_max = texts_max, characters_max
        self._slots = BoundedSemaphore(connections_max)
        self._idle: list[http.client.HTTPConnection] = []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._host}:{self._port}, {self._fields['model']!r})"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Returns shape (len(texts), dimension), rows of length 1.

        Raises:
            InvalidArgument: a text is not valid Unicode, or what came is not one row of numbers a text.
            EmbedderFailed: the service refused, could not be reached in time or answered what it should not.
        """
        parts = [self._request(part) for part in self._split(texts)]
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    def close(self) -> None:
        """Closes the connections that are not in use; a later call opens new ones."""
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def __del__(self) -> None:
        if hasattr(self, "_idle"):  # else it was refused when it was made
            self.close()

    def _split(self, texts: Sequence[str]) -> Iterator[list[str]]:
        part: list[str] = []
        characters = 0
        for text in texts:
            if part and (len(part) == self._texts_max or characters + len(text) > self._characters_max):
                yield part
                part, characters = [], 0
            part.append(text)
            characters += len(text)
        if part:
            yield part

    def _request(self, texts: list[str]) -> Vectors:
        try:
            body = msgspec.json.encode(self._fields | {"input": texts})
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"a text is not valid Unicode: {error}") from error
        deadline_s = time.monotonic() + self._timeout_s
        if not self._slots.acquire(timeout=self._timeout_s):
            raise self._failed(f"all its connections were busy for {self._timeout_s:g} s", retryable=True)
        try:
            return self._rows(self._try_until(deadline_s, body), len(texts))
        finally:
            self._slots.release()

    def _try_until(self, deadline_s: float, body: bytes) -> bytes:
        """The body of the first good answer."""
        for attempt in range(1, self._attempts_max + 1):
            # Half to one and a half of it: those who failed together do not come back together.
            pause_s = _FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
            try:
                status, content, asked_s = self._send(body, deadline_s)
            except ssl.SSLCertVerificationError as error:
                raise self._failed(f"its certificate: {error.verify_message}", retryable=False) from error
            except (OSError, http.client.HTTPException) as error:
                told = f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                if status == 200:
                    return content
                told = f"status {status}: {_excerpt(content, self._secret)}"
                if status not in _RETRIED:
                    raise self._failed(told, retryable=False)
                pause_s = max(pause_s, asked_s)
            if attempt == self._attempts_max or time.monotonic() + pause_s >= deadline_s:
                raise self._failed(f"{told} (after {attempt} of {self._attempts_max} tries)", retryable=True)
            time.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    def _send(self, body: bytes, deadline_s: float) -> tuple[int, bytes, float]:
        """Status, content, and the seconds after which the service wants to be asked again."""
        with suppress(IndexError):
            kept = self._idle.pop()
            try:
                return self._exchange(kept, body, deadline_s)
            except ConnectionError:
                self.close()  # a service lets go of idle connections: no failure, and the others went too
        return self._exchange(self._open(), body, deadline_s)

    def _exchange(
        self, connection: http.client.HTTPConnection, body: bytes, deadline_s: float
    ) -> tuple[int, bytes, float]:
        is_kept = False
        try:
            connection.timeout = _left_s(deadline_s)
            if connection.sock is None:
                connection.connect()
            socket = connection.sock
            socket.settimeout(_left_s(deadline_s))
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            content = bytearray()
            # In pieces: a service that drips would keep to the timeout of each read for ever.
            while piece := response.read1(_PIECE_BYTES):
                content += piece
                if len(content) > RESPONSE_BYTES_MAX:
                    raise http.client.HTTPException(f"the answer is longer than {RESPONSE_BYTES_MAX} bytes")
                socket.settimeout(_left_s(deadline_s))
            if response.length:  # what is still to come, where the service said how much it would be
                raise http.client.IncompleteRead(b"", response.length)
            response.close()
            is_kept = not response.will_close
            return response.status, bytes(content), _asked_s(response.headers.get("Retry-After"))
        finally:
            if is_kept:
                self._idle.append(connection)
            else:
                connection.close()

    def _open(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port)
        return http.client.HTTPSConnection(self._host, self._port, context=self._tls)

    def _rows(self, content: bytes, count: int) -> Vectors:
        try:
            items = sorted(msgspec.json.decode(content, type=_Reply).data, key=lambda item: item.index)
        except msgspec.MsgspecError as error:
            raise self._failed(f"an answer of another form: {error}", retryable=False) from error
        if [item.index for item in items] != list(range(count)):
            raise self._failed(f"{len(items)} embeddings for {count} texts", retryable=False)
        return unit_rows([item.embedding for item in items], count)

    def _failed(self, what: str, *, retryable: bool) -> EmbedderFailed:
        error = EmbedderFailed(f"the embeddings of {self._host}:{self._port}: {what}")
        error.retryable = retryable
        return error


def _parts(url: str) -> tuple[str, int, str, bool]:
    """Host, port, path and whether it is https."""
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is not a URL: {error}") from error
    if split.scheme not in ("http", "https") or not host or split.username or split.query or split.fragment:
        raise ConfigurationError("the url of an endpoint is http[s]://host[:port][/path], without a password")
    is_tls = split.scheme == "https"
    return host, port or (443 if is_tls else 80), split.path.rstrip("/") + "/embeddings", is_tls


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("timed out")
    return left_s


def _excerpt(content: bytes, secret: bytes) -> str:
    if secret:  # Services say which key they refuse.
        content = content.replace(secret, b"...")
    return " ".join(content[: 4 * ERROR_CHARACTERS_MAX].decode(errors="replace").split())[
        :ERROR_CHARACTERS_MAX
    ]


def _asked_s(header: str | None) -> float:
    """The seconds that `Retry-After` asks for, as a number or as a date; 0 without a usable one."""
    if not header:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        with suppress(ValueError, TypeError):
            return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
        return 0.0

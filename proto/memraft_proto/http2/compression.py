"""Compression of gRPC messages. gzip is the only way that is spoken beside none."""

from __future__ import annotations

import gzip
import zlib

GZIP = b"gzip"
GAIN_BYTES_MIN = 1_024
"""Smaller messages are not worth the time."""


class NotInflatable(ValueError):
    """A message that is not what gzip makes."""


class TooLarge(ValueError):
    """A message that would be larger than the limit; how much larger is not tried."""


def inflate(data: bytes, bytes_max: int) -> bytes:
    """What was compressed. Raises NotInflatable, TooLarge; no more than ``bytes_max`` is ever made."""
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        message = inflater.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise NotInflatable(f"this is not gzip: {error}") from None
    if len(message) > bytes_max:
        raise TooLarge(f"a message over {bytes_max} bytes")
    if not inflater.eof or inflater.unused_data:
        raise NotInflatable("this is not gzip: it ends too early or too late")
    return message


def deflate(message: bytes) -> bytes | None:
    """``message`` compressed; None where that gains nothing."""
    if len(message) < GAIN_BYTES_MIN:
        return None
    data = gzip.compress(message, 1, mtime=0)
    return data if len(data) < len(message) else None

"""Cursors of pages: opaque to callers, checked when they come back."""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from zlib import crc32

from memraft_server.machine.refused import invalid

CURSOR_CHARACTERS_MAX = 4096
"""Room for the longest name, that of an edge: two ids of 512 bytes and a type."""


def kind_of(name: str, *query: object) -> str:
    """Returns the kind of the pages of one query: a cursor of another query is then refused.

    Args:
        name: Of the call.
        query: What makes the pages what they are: prefix, range, filter, order.
    """
    return f"{name} {crc32(repr(query).encode()):08x}"


def encode(kind: str, text: str) -> str:
    """Returns the cursor of a `kind` of page that continues after `text`."""
    return b2a_base64(f"{kind}:{text}".encode(), newline=False).decode()


def decode(kind: str, cursor: str) -> str:
    """Returns the text that `encode` was given.

    Raises:
        Refused: `INVALID_ARGUMENT`: it is not a cursor of this kind of page.
    """
    if len(cursor) <= CURSOR_CHARACTERS_MAX:
        try:
            text = a2b_base64(cursor.encode(), strict_mode=True).decode()
        except (Error, UnicodeError):
            text = ""
        if text.startswith(f"{kind}:"):
            return text[len(kind) + 1 :]
    raise invalid("cursor: not the next_cursor of a page of this call", field="cursor")


def decode_number(kind: str, cursor: str) -> int:
    """Returns the number whose decimal text `encode` was given; raises as `decode` does."""
    text = decode(kind, cursor)
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise invalid("cursor: not the next_cursor of a page of this call", field="cursor")
    return int(text)

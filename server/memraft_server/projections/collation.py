"""The order of JSON values, as text that sorts the way they do: what sorting and field indexes go by.

Across types: a field that is missing, then null, false, true, numbers, text, lists, objects. Numbers compare
as numbers, whole ones exactly up to 2**64 and as 64-bit floats beyond; text compares by code point, by its
first 128 characters. Lists are all equal, and so are objects.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from memraft_server.projections.filters import MISSING

TEXT_CHARACTERS = 128
"""Of a text that count: they bound what an entry of an index takes."""

RANK_MISSING, RANK_NULL, RANK_FALSE, RANK_TRUE = "0", "1", "2", "3"
RANK_NUMBER, RANK_TEXT, RANK_LIST, RANK_OBJECT = "4", "5", "6", "7"
RANK_END = "8"
"""Above all ranks."""

END = "\0\0"
"""Ends a value where something follows it; no value has it inside, so none begins as another one does."""
AFTER_END = "\0\1"
"""Above everything that begins with `END`."""

_double = Struct(">d")
_bits = Struct(">Q")
_SIGN = 1 << 63
_ALL = (1 << 64) - 1
_REST_MAX = (1 << 15) - 1


def sort_text(value: Any) -> str:
    """Returns text that sorts as a decoded JSON value (or `MISSING`) does, at most `2 * TEXT_CHARACTERS + 1`
    characters of it."""
    if type(value) is str:
        return RANK_TEXT + _escaped(value[:TEXT_CHARACTERS])
    if value is None:
        return RANK_NULL
    if value is True:
        return RANK_TRUE
    if value is False:
        return RANK_FALSE
    if value is MISSING:
        return RANK_MISSING
    if type(value) is list:
        return RANK_LIST
    if type(value) is dict:
        return RANK_OBJECT
    return RANK_NUMBER + _number_text(value)


def text_prefix(prefix: str) -> str:
    """Returns how `sort_text` begins for every text that begins with `prefix`."""
    return RANK_TEXT + _escaped(prefix[:TEXT_CHARACTERS])


def successor(prefix: str) -> str:
    """Returns the least text above every text that begins with `prefix`, which is not empty and does not end
    with the last code point."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def field_of(document: Any, path: tuple[str, ...]) -> Any:
    """Returns what a decoded document has under a path, `MISSING` where there is nothing."""
    for segment in path:
        if type(document) is not dict:
            return MISSING
        document = document.get(segment, MISSING)
    return document


def _escaped(text: str) -> str:
    return text.replace("\0", "\0\1") if "\0" in text else text


def _number_text(value: int | float) -> str:
    """Ten characters: the float nearest to the number, and what the number has beyond that."""
    try:
        near = float(value)
    except OverflowError:
        near = float("inf") if value > 0 else float("-inf")
    rest = 0
    if type(value) is int and near - near == 0:
        rest = max(-_REST_MAX, min(value - int(near), _REST_MAX))
    [bits] = _bits.unpack(_double.pack(near + 0.0))  # -0.0 + 0.0 is 0.0
    bits = bits ^ _ALL if bits & _SIGN else bits | _SIGN
    return (
        _bits.pack(bits).decode("latin-1")
        + chr((rest + _REST_MAX + 1) >> 8)
        + chr((rest + _REST_MAX + 1) & 255)
    )

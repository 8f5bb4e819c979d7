"""Between Python values and JSON text."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from reprlib import repr as shown
from typing import Any

import msgspec
import numpy as np

from .errors import InvalidArgument

_PART_BYTES = 32 << 10
"""What numpy looks through at a time: no more than stays in the processor's cache."""
_N, _U = b"nu"

_encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
decode: Callable[[bytes], Any] = msgspec.json.Decoder().decode
"""Returns the value in JSON text."""


def encode(value: Any, name: str = "value") -> bytes:
    """Returns the JSON text of a value: what msgspec encodes (dicts, lists, dataclasses, datetimes, ...).

    Raises:
        InvalidArgument: the value, called `name`, cannot be written as JSON; NaN and the infinities cannot.
    """
    try:
        data = _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidArgument(f"{name} cannot be written as JSON: {error}") from error
    # msgspec writes null for a float that JSON has no word for. Looking through every value costs more.
    # (`in` takes half as long again: it first tries whether what it looks for is a number.)
    if data.find(b"null") >= 0 and not _is_finite(value):
        # The hook is for msgspec.Raw alone, which is JSON already.
        plain = msgspec.to_builtins(value, enc_hook=lambda _raw: None)
        if not _is_finite(plain):
            _refuse_non_finite(plain, name)
    return data


def encode_each(values: Sequence[Any], name: str) -> list[bytes]:
    """Returns the JSON text of each value; see `encode`."""
    try:
        texts = list(map(_encode, values))
    except (TypeError, ValueError, OverflowError, RecursionError):
        texts = []
    if len(texts) < len(values) or _has_null(b"".join(texts)):
        return [encode(value, name) for value in values]
    return texts


def _has_null(text: bytes) -> bool:
    """Whether `null` is in a text: of a long one in half the time that `in` takes."""
    if len(text) < _PART_BYTES:
        return b"null" in text
    letters = np.frombuffer(text, np.uint8)
    for start in range(0, len(text), _PART_BYTES):
        part = letters[start : start + _PART_BYTES + len(b"null") - 1]
        if ((part[:-1] == _N) & (part[1:] == _U)).any() and b"null" in part.tobytes():
            return True
    return False


def _is_finite(value: Any) -> bool:
    """Whether there are only plain values in `value`, and no float that is not finite."""
    waiting = [value]
    for each in waiting:  # It grows meanwhile.
        kind = type(each)
        if kind is dict:
            waiting += each.values()
        elif kind is list or kind is tuple:
            waiting += each
        elif kind is float:
            if not isfinite(each):
                return False
        elif not (kind is str or kind is int or each is None or kind is bool):
            return False
    return True


def _refuse_non_finite(value: Any, name: str) -> None:
    """Names the first float in a value of builtin types that is not finite, if there is one."""
    waiting: list[tuple[str, Any]] = [(name, value)]
    while waiting:
        path, each = waiting.pop()
        if isinstance(each, float):
            if not isfinite(each):
                raise InvalidArgument(f"{path} is {each}, which JSON cannot say: numbers must be finite")
        elif isinstance(each, dict):
            waiting += [(f"{path}[{key!r}]", inner) for key, inner in each.items()]
        elif isinstance(each, list | tuple | set | frozenset):
            waiting += [(f"{path}[{i}]", inner) for i, inner in enumerate(each)]


def encode_object(value: Mapping[str, Any] | None, name: str) -> bytes:
    """Returns the JSON text of an object; empty bytes for None and for an empty one.

    Raises:
        InvalidArgument: the value, called `name`, is no object or cannot be written as JSON.
    """
    if value is None:
        return b""
    data = encode(value, name)
    if not data.startswith(b"{"):
        raise InvalidArgument(f"{name} must be an object, such as a dict, not {shown(value)}")
    return data if len(data) > len(b"{}") else b""


def decode_object(data: bytes) -> dict[str, Any]:
    """Returns the object in JSON text; an empty one for empty bytes."""
    found: dict[str, Any] = decode(data) if data else {}
    return found


def decode_optional(data: bytes) -> Any:
    """Returns the value in JSON text; None for empty bytes."""
    return decode(data) if data else None

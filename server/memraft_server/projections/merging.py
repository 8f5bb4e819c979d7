"""JSON objects changed and merged field by field. What is not touched keeps its text, numbers above all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum

import msgspec

LEVELS_MAX = 64
"""How deep a patch may be nested: what is applied must not depend on how deep Python may recurse."""

Fields = dict[str, msgspec.Raw]
_fields = msgspec.json.Decoder(Fields).decode
_members = msgspec.json.Decoder(list[msgspec.Raw]).decode
_value = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_canonical = msgspec.json.Encoder(order="deterministic").encode


class Policy(IntEnum):
    """What becomes of a field that both objects have; as `MergePolicy` in the contract."""

    KEEP = 1
    TAKE = 2
    NEWEST = 3
    UNION = 4
    MAX = 5
    MIN = 6


class MergeError(ValueError):
    """An argument is no JSON object, or is nested too deeply."""


def patch(target: bytes, change: bytes) -> bytes:
    """Returns a JSON object changed by another as RFC 7396 says; either may be empty.

    Raises:
        MergeError: one of them is no JSON object, or the change is nested deeper than `LEVELS_MAX`.
    """
    if not change:
        return target
    try:
        fields = _fields(target) if target else {}
        return _patched(fields, _fields(change), 1)
    except msgspec.MsgspecError as error:
        raise MergeError(f"no JSON object: {error}") from None


def _patched(fields: Fields, change: Fields, level: int) -> bytes:
    if level > LEVELS_MAX:
        raise MergeError(f"nested deeper than {LEVELS_MAX} levels")
    for name, raw in change.items():
        data = bytes(raw)
        if data == b"null":
            fields.pop(name, None)
        elif data.startswith(b"{"):
            inner = bytes(fields.get(name, b"{}"))
            into = _fields(inner) if inner.startswith(b"{") else {}
            fields[name] = msgspec.Raw(_patched(into, _fields(data), level + 1))
        else:
            fields[name] = raw
    return _encode(fields)


def merge(
    stays: bytes, goes: bytes, goes_is_newer: bool, default: Policy, policies: Mapping[str, Policy]
) -> bytes:
    """Returns one JSON object made of two; a field that only one has is taken from that.

    Args:
        stays: The object of what stays; empty: no fields.
        goes: The object of what goes; empty: no fields.
        goes_is_newer: Whether the second was written after the first.
        default: For fields that `policies` does not name.
        policies: Field -> what becomes of it.

    Raises:
        MergeError: one of them is no JSON object.
    """
    if not goes:
        return stays
    try:
        mine = _fields(stays) if stays else {}
        for name, theirs in _fields(goes).items():
            if name not in mine:
                mine[name] = theirs
                continue
            policy = policies.get(name, default)
            if policy is Policy.NEWEST:
                policy = Policy.TAKE if goes_is_newer else Policy.KEEP
            mine[name] = _DECIDE[policy](mine[name], theirs)
        return _encode(mine)
    except msgspec.MsgspecError as error:
        raise MergeError(f"no JSON object: {error}") from None


def _union(mine: msgspec.Raw, theirs: msgspec.Raw) -> msgspec.Raw:
    both = [_as_list(mine), _as_list(theirs)]
    seen: dict[bytes, msgspec.Raw] = {}
    for raw in (each for members in both for each in members):
        seen.setdefault(_canonical(_value(raw)), raw)
    if len(seen) == 1 and not bytes(mine).startswith(b"["):
        return mine
    return msgspec.Raw(_encode(list(seen.values())))


def _as_list(raw: msgspec.Raw) -> list[msgspec.Raw]:
    return _members(raw) if bytes(raw).startswith(b"[") else [raw]


def _greater(mine: msgspec.Raw, theirs: msgspec.Raw) -> msgspec.Raw:
    return theirs if _is_less(mine, theirs) else mine


def _lesser(mine: msgspec.Raw, theirs: msgspec.Raw) -> msgspec.Raw:
    return theirs if _is_less(theirs, mine) else mine


def _is_less(one: msgspec.Raw, other: msgspec.Raw) -> bool:
    a, b = _value(one), _value(other)
    if isinstance(a, str) and isinstance(b, str):
        return a < b
    return _is_number(a) and _is_number(b) and bool(a < b)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_DECIDE: dict[Policy, Callable[[msgspec.Raw, msgspec.Raw], msgspec.Raw]] = {
    Policy.KEEP: lambda mine, _theirs: mine,
    Policy.TAKE: lambda _mine, theirs: theirs,
    Policy.UNION: _union,
    Policy.MAX: _greater,
    Policy.MIN: _lesser,
}

"""Checks that several primitives share. Every message names the thing and the limit."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

import msgspec

from memraft_proto.names import is_agent, namespace_fault, unforked
from memraft_proto.v1.common_pb2 import ReadContext, WriteContext
from memraft_server.machine.limits import Limits
from memraft_server.machine.refused import invalid

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SHOWN_CHARACTERS = 60
_CLIENT_ID_BYTES = 16
_TEXTS_A_PART = 256
"""Texts that are looked at together, while they are in the processor's cache."""
_EPOCH = datetime(1970, 1, 1)
WHEN_US_MAX = 253_402_300_800_000_000
"""The year 10,000, in microseconds since the epoch: no calendar of the clients goes on from there."""
_parse = msgspec.json.Decoder(msgspec.Raw).decode  # Checks the syntax and builds nothing.
_parse_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def shown(text: str) -> str:
    """Returns `text` quoted, cut to what a message can bear."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


@lru_cache(maxsize=16_384)
def _namespace_fault(namespace: str, segments_max: int) -> str:
    if not namespace:
        return "namespace: missing; such as 'acme/support'"
    segments = unforked(namespace).count("/") + 1
    if segments > segments_max:
        return f"namespace: {segments} segments, at most {segments_max}"
    fault = namespace_fault(namespace)
    return f"namespace: {fault}" if fault else ""


@lru_cache(maxsize=16_384)
def _is_agent(agent: str) -> bool:
    return is_agent(agent) is not None


def check_namespace(namespace: str, limits: Limits) -> None:
    """Refuses what is not a namespace."""
    if len(namespace) > limits.namespace_bytes_max:  # Before it could be remembered with its fault.
        check_size("namespace", len(namespace.encode()), limits.namespace_bytes_max)
    fault = _namespace_fault(namespace, limits.namespace_segments_max)
    if fault:
        raise invalid(fault, field="namespace")


def check_text(field: str, text: str, bytes_max: int, *, empty: bool = False) -> None:
    """Refuses text over `bytes_max` bytes, with control characters, or empty where it may not be."""
    if not text:
        if empty:
            return
        raise invalid(f"{field}: missing; 1 to {bytes_max} bytes", field=field, limit=str(bytes_max))
    if 4 * len(text) > bytes_max and (size := len(text.encode())) > bytes_max:
        raise invalid(f"{field}: {size} bytes, at most {bytes_max}", field=field, limit=str(bytes_max))
    if not text.isprintable() and _CONTROL.search(text):
        raise invalid(f"{field}: {shown(text)} has a control character", field=field)


def check_size(field: str, size: int, bytes_max: int) -> None:
    """Refuses `size` bytes over `bytes_max`."""
    if size > bytes_max:
        raise invalid(f"{field}: {size} bytes, at most {bytes_max}", field=field, limit=str(bytes_max))


def check_json(field: str, value: bytes, bytes_max: int, *, empty: bool = False) -> None:
    """Refuses a value that is too long or is not one JSON text in UTF-8."""
    if len(value) > bytes_max:
        check_size(field, len(value), bytes_max)
    if not value and empty:
        return
    try:
        _parse(value)
        if not value.isascii():
            value.decode()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"{field}: not JSON in UTF-8: {error}", field=field) from None
    except RecursionError:
        raise invalid(f"{field}: JSON nested too deeply", field=field) from None


def are_json(values: Sequence[bytes], bytes_max: int) -> bool:
    """Whether values are not too long, and surely JSON texts in UTF-8: `check_json` says it of the others."""
    try:
        deque(map(_parse, values), maxlen=0)
    except (msgspec.DecodeError, RecursionError):
        return False
    for start in range(0, len(values), _TEXTS_A_PART):
        part = values[start : start + _TEXTS_A_PART]
        text = b"".join(part)
        if not text.isascii() or (len(text) > bytes_max and max(map(len, part)) > bytes_max):
            return False
    return True


def check_json_each(field: str, values: Sequence[bytes], bytes_max: int) -> None:
    """Refuses values of which one is too long or is not one JSON text in UTF-8; names the first."""
    values = values[:]  # a list: it is read several times, which the messages' own sequences are slow at
    if not are_json(values, bytes_max):
        for i, value in enumerate(values):
            check_json(f"{field}[{i}]", value, bytes_max)


def check_json_object(field: str, value: bytes, bytes_max: int) -> None:
    """Refuses a value that is neither empty nor one JSON object."""
    check_json(field, value, bytes_max, empty=True)
    if value:
        try:
            _parse_object(value)
        except msgspec.DecodeError:
            raise invalid(f"{field}: a JSON object, or nothing", field=field) from None


def check_count(field: str, count: int, count_max: int, *, least: int = 0) -> None:
    """Refuses a count outside `least` to `count_max`."""
    if not least <= count <= count_max:
        raise invalid(
            f"{field}: {count}, {f'from {least} to' if least else 'at most'} {count_max}",
            field=field,
            limit=str(count_max),
        )


def check_columns(field: str, count: int, **columns: int) -> None:
    """Refuses columns whose length is not `count`, the length of the column `field`."""
    for name, length in columns.items():
        if length != count:
            raise invalid(f"{name}: {length} elements, but {field} has {count}", field=name)


def check_now(context: ReadContext) -> None:
    """Refuses a moment of the past where only what comes can be asked for."""
    if context.WhichOneof("at") is not None:
        raise invalid("at: leave it out: only what comes can be followed, not the past", field="context")


def check_write_context(context: WriteContext, limits: Limits) -> None:
    """Refuses a malformed WriteContext."""
    client_id = context.client_id
    if client_id:
        if len(client_id) != _CLIENT_ID_BYTES:
            raise invalid(
                f"context.client_id: {len(client_id)} bytes, exactly {_CLIENT_ID_BYTES} or none",
                field="context.client_id",
            )
        if not 1 <= context.first_unanswered <= context.request_number:
            raise invalid(
                f"context.first_unanswered: {context.first_unanswered}, from 1 to request_number "
                f"{context.request_number}",
                field="context.first_unanswered",
            )
    if agent := context.agent:
        if len(agent) > limits.label_bytes_max:
            check_size("context.agent", len(agent.encode()), limits.label_bytes_max)
        if not _is_agent(agent):
            raise invalid(
                f"context.agent: {shown(agent)}: segments of 1 to 128 letters, digits, '.', '_', '~', ':', "
                "'@' or '-', with '/' between them",
                field="context.agent",
            )
    if run := context.run:
        check_text("context.run", run, limits.label_bytes_max)
    if tool := context.tool:
        check_text("context.tool", tool, limits.label_bytes_max)
    if context.fence_lease or context.fence_token:
        check_text("context.fence_lease", context.fence_lease, limits.key_bytes_max)
        if not context.fence_token:
            raise invalid("context.fence_token: missing; the token of the grant", field="context.fence_token")


def check_validity(place: str, from_us: int, until_us: int) -> None:
    """Refuses a time of being true in the world that no calendar has, or that ends before it begins.

    Args:
        place: What comes after the names of the fields in messages, such as `[3]`.
        from_us: When it begins, in microseconds since the epoch. 0: it always was.
        until_us: When it ends. 0: never.
    """
    for field, time_us in (("valid_from_us", from_us), ("valid_until_us", until_us)):
        check_moment(field, time_us, place)
    refuse_early_end(place, from_us, until_us)


def check_moment(field: str, time_us: int, place: str = "") -> None:
    """Refuses a moment in the world that no calendar has."""
    if not 0 <= time_us < WHEN_US_MAX:
        raise invalid(
            f"{field}{place}: {time_us}, from 0 to {WHEN_US_MAX - 1} microseconds since the Unix epoch",
            field=field,
        )


def refuse_early_end(place: str, from_us: int, until_us: int) -> None:
    """Refuses an end that is not after the beginning."""
    if until_us and until_us <= from_us:
        until, since = _moment(until_us), _moment(from_us)
        raise invalid(
            f"valid_until_us{place}: {until} is not after valid_from_us{place}: {since}",
            field="valid_until_us",
        )


def _moment(time_us: int) -> str:
    return f"{(_EPOCH + timedelta(microseconds=time_us)).isoformat()}Z"

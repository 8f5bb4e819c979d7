"""Batches that only put documents: read, checked and applied without an object for each of them.

Clients gather concurrent puts into such batches, so this is what most writes are under load. The shape of a
batch is looked up in its bytes: where every operation is a put of a key and a value, and nothing else, they
are taken out as two columns, once, where the call arrives: they stand in the entry as columns, so that
followers need not do it again. What is done with them is the same as `handlers_batch` does with the messages,
and the reply the same to the byte, which tests hold against each other: whether a replica takes this way or
the other may not matter.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import Any, NamedTuple

from memraft_proto.v1 import batch_pb2, kv_pb2
from memraft_server.machine.limits import ITEMS_MAX, POSITION_BITS
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.turn import Turn

_VARINT, _BYTES = 0, 2


def _tag(message: Any, field: str, wire_type: int) -> int:
    """The byte before a field; all fields here have numbers below 16."""
    number: int = message.DESCRIPTOR.fields_by_name[field].number
    return number << 3 | wire_type


_NAMESPACE = _tag(batch_pb2.BatchRequest, "namespace", _BYTES)
_CONTEXT = _tag(batch_pb2.BatchRequest, "context", _BYTES)
_OPERATION = _tag(batch_pb2.BatchRequest, "operations", _BYTES)
_PUT = _tag(batch_pb2.Operation, "put", _BYTES)
_KEY = _tag(kv_pb2.PutRequest, "key", _BYTES)
_VALUE = _tag(kv_pb2.PutRequest, "value", _BYTES)
_short_heads = Struct("6B").unpack_from
"""Tag and length of an operation, of the put in it, and of its key."""
_heads = Struct("8B").unpack_from
"""The same where the first two lengths are of two bytes each: 128 to 16,383."""

_RESULT_TAG = bytes([_tag(batch_pb2.BatchResponse, "results", _BYTES)])
_INDEX_TAG = bytes([_tag(batch_pb2.BatchResponse, "log_index", _VARINT)])
_TIME_TAG = bytes([_tag(batch_pb2.BatchResponse, "time_us", _VARINT)])
_PUT_RESULT_TAG = bytes([_tag(batch_pb2.OperationResult, "put", _BYTES)])
_PUT_VERSION_TAG = bytes([_tag(kv_pb2.PutResponse, "version", _VARINT)])
_PUT_TIME_TAG = bytes([_tag(kv_pb2.PutResponse, "time_us", _VARINT)])
_LOW = [bytes([low | 0x80]) for low in range(0x80)]
"""The first byte of a number of several."""


class Puts(NamedTuple):
    """The documents of a batch, in order: ``values[i]`` is to stand at ``keys[i]``; ``head`` is the encoded
    BatchRequest without its operations."""

    keys: list[str]
    values: list[bytes]
    head: bytes


def plain_puts(raw: bytes) -> Puts | None:
    """Returns what an encoded BatchRequest puts; None where there is anything else in it.

    Args:
        raw: The request, which has been parsed: so it is known to be one.
    """
    keys: list[str] = []
    values: list[bytes] = []
    add_key, add_value = keys.append, values.append
    head = b""
    at, end = 0, len(raw)
    try:
        while at < end:
            if raw[at] != _OPERATION:
                if raw[at] not in (_NAMESPACE, _CONTEXT):
                    return None
                begin = at
                size, at = _length(raw, at + 1)
                at += size
                head += raw[begin:at]
                continue
            _, size, put_tag, put_size, key_tag, key_size = _short_heads(raw, at)
            if (size | put_size | key_size) < 0x80:
                at += 6
                stop = at + size - 4
                if size != put_size + 2:
                    return None
            else:
                _, low, high, put_tag, put_low, put_high, key_tag, key_size = _heads(raw, at)
                if (high | put_high | key_size) < 0x80 <= (low & put_low):
                    size = low & 0x7F | high << 7
                    at += 8
                    stop = at + size - 5
                    if size != (put_low & 0x7F | put_high << 7) + 3:
                        return None
                else:
                    size, at = _length(raw, at + 1)
                    stop, put_tag = at + size, raw[at]
                    put_size, at = _length(raw, at + 1)
                    if at + put_size != stop:
                        return None
                    key_tag = raw[at]
                    key_size, at = _length(raw, at + 1)
            if put_tag != _PUT or key_tag != _KEY:
                return None
            after = at + key_size
            if raw[after] != _VALUE:
                return None
            add_key(raw[at:after].decode())
            size = raw[after + 1]
            at = after + 2
            if size > 0x7F:
                size, at = _length(raw, after + 1)
            after = at + size
            if after != stop:
                return None
            add_value(raw[at:after])
            at = after
    except (IndexError, StructError, UnicodeDecodeError):
        return None
    return Puts(keys, values, head) if keys and at == end else None


def put_all(turn: Turn, space: Namespace, puts: Puts) -> bytes | None:
    """Applies a batch of puts and returns the encoded BatchResponse; None where `batch` has to do it."""
    settings = space.settings
    keys, values, _ = puts
    count = len(keys)
    if count > ITEMS_MAX or (settings is not None and settings.ttl_ms):
        return None
    space.kv.put_all(keys, values, turn.version, turn.author)
    if settings is not None:
        turn.note_crowded(space)
    turn.items = count
    return _response(turn.version, count, turn.time_us)


def _response(first: int, count: int, time_us: int) -> bytes:
    """The encoded BatchResponse to puts that made ``count`` versions from ``first`` on."""
    time = varint(time_us)
    parts: list[bytes] = []
    version, end = first, first + count
    while version < end:
        # Of neighbours only the lowest seven bits of the version differ.
        stop = min(end, (version | 0x7F) + 1)
        tail = varint(version >> 7) + _PUT_TIME_TAG + time
        size = len(_PUT_VERSION_TAG) + 1 + len(tail)
        head = b"%b%b%b%b" % (_RESULT_TAG, bytes([size + 2]), _PUT_RESULT_TAG, bytes([size]))
        head += _PUT_VERSION_TAG
        low = version & 0x7F
        parts += (head, (tail + head).join(_LOW[low : low + stop - version]), tail)
        version = stop
    parts += (_INDEX_TAG, varint(first >> POSITION_BITS), _TIME_TAG, time)
    return b"".join(parts)


def varint(number: int) -> bytes:
    """A number as protobuf writes it, seven bits a byte, the lowest first. Not for negative ones."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _length(raw: bytes, at: int) -> tuple[int, int]:
    """A length that begins at ``at``, and where what it measures begins."""
    size = shift = 0
    while True:
        byte = raw[at]
        at += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return size, at
        shift += 7

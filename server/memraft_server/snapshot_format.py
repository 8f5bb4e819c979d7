"""Snapshots as bytes: chunks that travel between nodes and stand in backup files. Pure.

A chunk is ``magic:4 kind:u8 number:u32 size:u32 payload crc:u32``, big-endian; the checksum covers all before
it. The first chunk is a header, the last one a trailer; between them are rows in the order of their keys, and
rows too large for a chunk in pieces. Chunks in a file follow one another without anything between.

Payloads are MessagePack: the header is ``[format, meta, label]``; rows are one flat array of keys and values;
a piece is ``[key, size of the value, bytes of it]``; the trailer is ``[rows, digest]``, the digest being
SHA-256 of all payloads before it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any
from zlib import crc32

import msgspec

from memraft_cluster.raft import SnapshotMeta
from memraft_server.machine.facts import Row, StateLabel, ceiling_of, encode_body, is_beyond

FORMAT = 1
ROWS_BYTES = 256 << 10
"""What of rows goes into a chunk: reading and packing them takes about 2 ms at 150 bytes a row."""
PIECE_BYTES = 512 << 10
CHUNK_BYTES_MAX = 1 << 20

HEADER, ROWS, PIECE, TRAILER = 1, 2, 3, 4

MAGIC = b"MRS1"
_HEAD = struct.Struct(">4sBII")
_CRC = struct.Struct(">I")
HEAD_BYTES = _HEAD.size
OVERHEAD_BYTES = _HEAD.size + _CRC.size


class ChunkDamaged(Exception):
    """A chunk is not one of a snapshot, or not the one that must come next."""


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What a snapshot is of."""

    format: int
    meta: SnapshotMeta
    label: StateLabel


_header = msgspec.msgpack.Decoder(Header).decode
_rows = msgspec.msgpack.Decoder(list[bytes]).decode
_piece = msgspec.msgpack.Decoder(tuple[bytes, int, bytes]).decode
_trailer = msgspec.msgpack.Decoder(tuple[int, bytes]).decode


def encode_chunk(kind: int, number: int, payload: bytes) -> bytes:
    """Returns one chunk."""
    body = _HEAD.pack(MAGIC, kind, number, len(payload)) + payload
    return body + _CRC.pack(crc32(body))


def payload_size(head: bytes) -> int:
    """Returns how many bytes of payload follow the first `HEAD_BYTES` of a chunk. Raises ChunkDamaged."""
    if len(head) < HEAD_BYTES or head[:4] != MAGIC:
        raise ChunkDamaged("these bytes are no chunk of a snapshot")
    size: int = _HEAD.unpack_from(head)[3]
    if size > CHUNK_BYTES_MAX:
        raise ChunkDamaged(f"a chunk that claims {size} bytes, at most {CHUNK_BYTES_MAX}")
    return size


def decode_chunk(data: bytes, number: int) -> tuple[int, bytes]:
    """Returns (kind, payload) of the chunk that must have this number. Raises ChunkDamaged."""
    size = payload_size(data)
    if len(data) != size + OVERHEAD_BYTES:
        raise ChunkDamaged(f"chunk {number}: {len(data)} bytes, it should have {size + OVERHEAD_BYTES}")
    if crc32(data[: -_CRC.size]) != _CRC.unpack_from(data, len(data) - _CRC.size)[0]:
        raise ChunkDamaged(f"chunk {number}: its checksum does not fit")
    _, kind, found, _ = _HEAD.unpack_from(data)
    if found != number:
        raise ChunkDamaged(f"chunk {number}: it has number {found}")
    return kind, data[HEAD_BYTES : -_CRC.size]


def write_chunks(meta: SnapshotMeta, label: StateLabel, read: Callable[[int], list[Row]]) -> Iterator[bytes]:
    """Yields the chunks of a snapshot.

    Args:
        meta: what it is of.
        label: the same for the machine.
        read: returns the next rows, about so many bytes of them, none at the end.

    Raises:
        ChunkDamaged: before the trailer, where `read` did not give as many rows as the label says.
    """
    ceiling = ceiling_of(label)
    digest = sha256()
    count = number = 0

    def chunk(kind: int, payload: bytes) -> bytes:
        nonlocal number
        digest.update(payload)
        number += 1
        return encode_chunk(kind, number - 1, payload)

    yield chunk(HEADER, encode_body(Header(FORMAT, meta, label)))
    while rows := read(ROWS_BYTES):
        flat: list[bytes] = []
        for key, value in rows:
            if is_beyond(key, ceiling):
                continue
            count += 1
            if len(key) + len(value) <= PIECE_BYTES:
                flat += (key, value)
                continue
            yield from (chunk(ROWS, part) for part in _packed(flat))
            flat = []
            for start in range(0, len(value), PIECE_BYTES):
                piece = (key, len(value), value[start : start + PIECE_BYTES])
                yield chunk(PIECE, encode_body(piece))
        yield from (chunk(ROWS, part) for part in _packed(flat))
    if count != label.rows:
        raise ChunkDamaged(f"there are {count} rows of {label.rows}")
    trailer = encode_body((count, digest.digest()))
    yield encode_chunk(TRAILER, number, trailer)


def _packed(flat: list[bytes]) -> Iterator[bytes]:
    """Yields payloads of rows, none over `PIECE_BYTES` or so where one row alone is not."""
    while flat:
        size = sum(map(len, flat))
        if size <= PIECE_BYTES or len(flat) == 2:
            yield encode_body(flat)
            return
        half = len(flat) // 4 * 2
        yield from _packed(flat[:half])
        flat = flat[half:]


class ChunkReader:
    """Takes the chunks of a snapshot one after the other and gives their rows back.

    Attributes:
        header: once the first chunk was taken.
        is_whole: the trailer was taken, and fits.
    """

    def __init__(self) -> None:
        self.header: Header | None = None
        self.is_whole = False
        self._number = 0
        self._count = 0
        self._digest = sha256()
        self._key = b""
        self._size = 0
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> Sequence[Row]:
        """Takes the next chunk; returns the rows that it completes.

        Raises:
            ChunkDamaged: it is damaged, or another one than must come next. Nothing was taken.
        """
        kind, payload = decode_chunk(data, self._number)
        if self.is_whole or (self.header is None) != (kind == HEADER):
            raise ChunkDamaged(f"chunk {self._number}: of kind {kind}, out of place")
        if self._pieces and kind != PIECE:
            raise ChunkDamaged(f"chunk {self._number}: the rest of a row is missing before it")
        try:
            rows = self._take(kind, payload)
        except (msgspec.MsgspecError, ValueError) as error:
            raise ChunkDamaged(f"chunk {self._number}: it cannot be read: {error}") from error
        self._number += 1
        self._count += len(rows)
        if kind != TRAILER:
            self._digest.update(payload)
        return rows

    def _take(self, kind: int, payload: bytes) -> Sequence[Row]:
        if kind == ROWS:
            flat = _rows(payload)
            return list(zip(flat[::2], flat[1::2], strict=True))
        if kind == PIECE:
            return self._take_piece(*_piece(payload))
        if kind == HEADER:
            version = _any(payload)[0]
            if version != FORMAT:
                raise ValueError(f"format {version}; this version reads {FORMAT}")
            self.header = _header(payload)
        elif kind == TRAILER:
            count, digest = _trailer(payload)
            if count != self._count or digest != self._digest.digest():
                raise ValueError(f"{self._count} rows of {count}, or others than were sent")
            self.is_whole = True
        else:
            raise ValueError(f"unknown kind {kind}")
        return ()

    def _take_piece(self, key: bytes, size: int, piece: bytes) -> Sequence[Row]:
        if self._pieces and (key, size) != (self._key, self._size):
            raise ValueError("a piece of another row")
        self._key, self._size = key, size
        self._pieces.append(piece)
        held = sum(map(len, self._pieces))
        if held > size or not piece:
            raise ValueError(f"{held} bytes of a row of {size}")
        if held < size:
            return ()
        value = b"".join(self._pieces)
        self._pieces = []
        return [(key, value)]


def _any(payload: bytes) -> list[Any]:
    return msgspec.msgpack.decode(payload, type=list[Any])

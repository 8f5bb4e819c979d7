"""How the log's files are laid out: records, the frames that carry them, the heads of segments. Pure.

A segment is a head and frames, one for each write; whatever follows the last frame counts for nothing::

    segment   "memraft-" format:u32 id:u64 first_seq:u64 crc:u32
    frame     magic:u32 crc:u32 seq:u64 synced:u64 previous:u32 size:u32 count:u32  record*
    record    crc:u32 group:u32 index:u64 term:u64 size:u32 type:u8 kind:u8  data

Numbers are little-endian. The checksum of a record covers all of it, so that data that is whole but stands in
another's place is as wrong as a flipped bit. That of a frame covers its head and the heads of its records:
data is summed once. ``previous`` is the checksum of the frame before, and ``seq`` rises by one from frame to
frame over all segments, so that none can be missing between two others. ``synced`` is the last frame that
was known to be durable when this one was written: it tells a write that a crash tore, which nobody was
promised, from an older one that is damaged.

The checksum of a frame begins with the log's ``salt``, a number drawn when the log was made. What follows the
last frame may be the rest of a segment used before, with data that clients sent: without the salt they could
send what looks like a later frame, and have a sound log taken for a damaged one.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32

import msgspec

from .layout import Layout
from .raft import Entry, EntryKind, HardState, SnapshotMeta

FORMAT_VERSION = 3
FRAME_MAGIC = 0x9B7C3AE5
FRAME_MARK = FRAME_MAGIC.to_bytes(4, "little")

_SEGMENT = struct.Struct("<8sIQQ")
_CRC = struct.Struct("<I")
SEGMENT_HEAD_BYTES = _SEGMENT.size + _CRC.size
_SEGMENT_MARK = b"memraft-"

_FRAME = struct.Struct("<IIQQIII")
_FRAME_BODY = struct.Struct("<QQIII")
FRAME_HEAD_BYTES = _FRAME.size

_RECORD = struct.Struct("<IIQQIBB")
_RECORD_BODY = struct.Struct("<IQQIBB")
RECORD_HEAD_BYTES = _RECORD.size

_HARD = struct.Struct("<QQB")  # vote, commit, is_whole


class RecordType(IntEnum):
    """What a record does to its group's log."""

    ENTRY = 1
    """Stands at its index, and replaces whatever followed."""
    HARD_STATE = 2
    CUT = 3
    """Everything up to the base in its data is gone."""
    RESET = 4
    """The log is empty, and begins behind the base in its data; at the virgin 0 when there is none."""
    DROP = 5
    """The group is gone, hard state and all."""


class StampFormat(msgspec.Struct, frozen=True):
    """What can be read of a stamp of any version."""

    format: int


class Stamp(msgspec.Struct, frozen=True):
    """Whose directory this is, and what its groups were made for."""

    cluster: str
    node: str
    node_id: int
    layout: Layout

    def __str__(self) -> str:
        return f"node {self.node!r} of cluster {self.cluster!r}"


class FrameHead(NamedTuple):
    """The head of a frame, not yet checked: its checksum covers the heads of its records, too."""

    crc: int
    seq: int
    synced: int
    previous: int
    size: int
    records: int


class Record(NamedTuple):
    """A record found in a frame; ``offset`` is where its head begins, in the buffer that was read."""

    type: int
    kind: int
    group: int
    at: int
    """Index of an entry."""
    term: int
    offset: int
    data: memoryview
    is_sound: bool = True
    """Whether the data is what was written; the head always is."""


class Unsound(Exception):
    """Bytes that are not what was written.

    Args:
        offset: where, in the buffer that was read.
        detail: what is wrong.
        group, index: of the record, where they can be trusted.
        records: those of the frame, where only data in it is not what was written.
    """

    def __init__(
        self,
        offset: int,
        detail: str,
        group: int | None = None,
        index: int | None = None,
        records: list[Record] | None = None,
    ) -> None:
        self.offset = offset
        self.detail = detail
        self.group = group
        self.index = index
        self.records = records
        super().__init__(detail)


# -- segments ----------------------------------------------------------------------------------------------


def encode_segment_head(segment: int, first_seq: int) -> bytes:
    head = _SEGMENT.pack(_SEGMENT_MARK, FORMAT_VERSION, segment, first_seq)
    return head + _CRC.pack(crc32(head))


def decode_segment_head(data: bytes) -> tuple[int, int] | None:
    """(id, first seq); None for anything but a whole head."""
    head = data[: _SEGMENT.size]
    if len(data) < SEGMENT_HEAD_BYTES or data[_SEGMENT.size : SEGMENT_HEAD_BYTES] != _CRC.pack(crc32(head)):
        return None
    mark, version, segment, first_seq = _SEGMENT.unpack(head)
    return (segment, first_seq) if (mark, version) == (_SEGMENT_MARK, FORMAT_VERSION) else None


# -- frames ------------------------------------------------------------------------------------------------


class FrameBuilder:
    """Gathers the records of one write.

    ``parts`` are what is to be written after the head, without a copy of the entries' data.
    """

    __slots__ = ("_crc_parts", "count", "parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.count = 0
        self._crc_parts: list[bytes] = []

    def add(
        self, kind_of_record: RecordType, group: int, index: int, term: int, data: bytes, kind: int = 0
    ) -> int:
        """Add a record; returns its offset within the frame's records."""
        body = _RECORD_BODY.pack(group, index, term, len(data), kind_of_record, kind)
        head = _CRC.pack(crc32(data, crc32(body))) + body
        offset = self.size
        self.parts.append(head)
        self._crc_parts.append(head)
        if data:
            self.parts.append(data)
        self.size = offset + RECORD_HEAD_BYTES + len(data)
        self.count += 1
        return offset

    def add_entry(self, group: int, entry: Entry) -> int:
        return self.add(RecordType.ENTRY, group, entry.index, entry.term, entry.data, entry.kind)

    def add_hard_state(self, group: int, state: HardState) -> None:
        data = _HARD.pack(state.vote, state.commit, state.is_whole)
        self.add(RecordType.HARD_STATE, group, 0, state.term, data)

    def add_base(self, kind_of_record: RecordType, group: int, base: SnapshotMeta | None) -> None:
        """A CUT or RESET."""
        data = b"" if base is None else msgspec.msgpack.encode(base)
        self.add(kind_of_record, group, 0 if base is None else base.index, 0, data)

    def head(self, seq: int, synced: int, previous: int, salt: int) -> tuple[bytes, int]:
        """The frame's head, and its checksum."""
        body = _FRAME_BODY.pack(seq, synced, previous, self.size, self.count)
        crc = crc32(b"".join(self._crc_parts), crc32(body, salt))
        return _CRC.pack(FRAME_MAGIC) + _CRC.pack(crc) + body, crc


def decode_frame_head(data: memoryview, offset: int) -> FrameHead | None:
    """None where no frame begins: other bytes, or too few."""
    if len(data) - offset < FRAME_HEAD_BYTES:
        return None
    magic, crc, seq, synced, previous, size, count = _FRAME.unpack_from(data, offset)
    return FrameHead(crc, seq, synced, previous, size, count) if magic == FRAME_MAGIC else None


def read_frame(data: memoryview, offset: int, head: FrameHead, salt: int) -> list[Record]:
    """The records of a frame, every checksum compared. Raises Unsound."""
    found: list[Record] = []
    bad: Unsound | None = None
    position = offset + FRAME_HEAD_BYTES
    end, crc = position + head.size, crc32(data[offset + 8 : position], salt)
    limit = min(end, len(data))
    for _ in range(head.records):
        after = position + RECORD_HEAD_BYTES
        if after > limit:
            break
        own, group, index, term, size, kind_of_record, kind = _RECORD.unpack_from(data, position)
        crc = crc32(data[position:after], crc)
        body = data[after : after + size]
        is_sound = crc32(body, crc32(data[position + 4 : after])) == own
        if not is_sound and bad is None:
            at = index if kind_of_record == RecordType.ENTRY else None
            bad = Unsound(position, "checksum mismatch", group, at, found)
        found.append(Record(kind_of_record, kind, group, index, term, position, body, is_sound))
        position = after + size
    if crc != head.crc or position != end or end > len(data):
        raise Unsound(offset, "the frame fails its checksum")
    if bad is not None:
        raise bad
    return found


def walk_frame(data: memoryview, offset: int, head: FrameHead, salt: int) -> tuple[bool, int]:
    """(whether this is the head of a frame with its records, whatever became of their data; how many heads of
    records were looked at to tell)"""
    position = offset + FRAME_HEAD_BYTES
    end, left = position + head.size, head.records
    crc = crc32(data[offset + 8 : position], salt)
    while left and position + left * RECORD_HEAD_BYTES <= end <= len(data):
        after = position + RECORD_HEAD_BYTES
        crc = crc32(data[position:after], crc)
        position = after + _RECORD.unpack_from(data, position)[4]
        left -= 1
    return not left and position == end and crc == head.crc, head.records - left


# -- records -----------------------------------------------------------------------------------------------


def decode_entry(data: bytes, group: int, index: int) -> Entry:
    """The entry in the bytes of one record. Raises Unsound when it is not the one that was written there."""
    if len(data) >= RECORD_HEAD_BYTES:
        crc, found_group, found_index, term, size, kind_of_record, kind = _RECORD.unpack_from(data)
        payload = data[RECORD_HEAD_BYTES:]
        if (found_group, found_index, kind_of_record, size) == (
            group,
            index,
            RecordType.ENTRY,
            len(payload),
        ) and crc32(payload, crc32(data[4:RECORD_HEAD_BYTES])) == crc:
            return Entry(term, index, payload, EntryKind(kind))
    raise Unsound(0, "checksum mismatch", group, index)


def decode_hard_state(record: Record) -> HardState:
    vote, commit, is_whole = _HARD.unpack(record.data)
    return HardState(record.term, vote, commit, bool(is_whole))


def decode_base(record: Record) -> SnapshotMeta | None:
    return msgspec.msgpack.decode(record.data, type=SnapshotMeta) if record.data else None

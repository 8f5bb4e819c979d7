"""How entries and hard states are laid out in the log's key-value store. Pure.

Keys sort by group, then index, so that a group's log is one range::

    b"e" group:u32be index:u64be  ->  crc:u32be term:u64be data
    b"h" group:u32be              ->  crc:u32be term:u64be vote:u64be commit:u64be
    b"m"                          ->  the stamp: JSON {"format", "cluster", "node", "node_id", "layout"}

The checksum of an entry covers group, index and term as well as the data: a record that is whole but
stands in another's place is as wrong as one with a flipped bit.
"""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec

from .errors import LogCorrupted
from .layout import Layout
from .raft import Entry, HardState

FORMAT_VERSION = 2
STAMP_KEY = b"m"
INDEX_MAX = 2**64 - 1
GROUP_MAX = 2**32 - 1

_ENTRY_KEY = struct.Struct(">cIQ")
_HARD_KEY = struct.Struct(">cI")
_BOUND = struct.Struct(">IQQ")  # group, index, term: what the checksum binds the data to
_ENTRY_HEAD = struct.Struct(">IQ")  # crc, term
_HARD = struct.Struct(">IQQQ")  # crc, term, vote, commit
_HARD_BODY = struct.Struct(">IQQQ")  # group, term, vote, commit: what the checksum covers


class StampFormat(msgspec.Struct, frozen=True):
    """What can be read of a stamp of any version."""

    format: int


class Stamp(msgspec.Struct, frozen=True):
    """Whose directory this is, and what its groups were made for."""

    format: int
    cluster: str
    node: str
    node_id: int
    layout: Layout

    def __str__(self) -> str:
        return f"node {self.node!r} of cluster {self.cluster!r}"


def entry_key(group: int, index: int) -> bytes:
    return _ENTRY_KEY.pack(b"e", group, index)


def entry_position(key: bytes) -> tuple[int, int]:
    """(group, index) of an entry's key."""
    _, group, index = _ENTRY_KEY.unpack(key)
    return group, index


def hard_state_key(group: int) -> bytes:
    return _HARD_KEY.pack(b"h", group)


def hard_state_group(key: bytes) -> int:
    group: int = _HARD_KEY.unpack(key)[1]
    return group


def encode_entry(group: int, entry: Entry) -> bytes:
    crc = crc32(entry.data, crc32(_BOUND.pack(group, entry.index, entry.term)))
    return _ENTRY_HEAD.pack(crc, entry.term) + entry.data


def decode_entry(path: str, group: int, index: int, record: bytes) -> Entry:
    """Raises LogCorrupted, naming group and index, when the record is not what was written there."""
    if len(record) < _ENTRY_HEAD.size:
        raise LogCorrupted(
            path, f"group {group}, index {index}: a record of {len(record)} bytes", group, index
        )
    crc, term = _ENTRY_HEAD.unpack_from(record)
    data = record[_ENTRY_HEAD.size :]
    if crc32(data, crc32(_BOUND.pack(group, index, term))) != crc:
        raise LogCorrupted(path, f"group {group}, index {index}: checksum mismatch", group, index)
    return Entry(term, index, data)


def encode_hard_state(group: int, state: HardState) -> bytes:
    crc = crc32(_HARD_BODY.pack(group, state.term, state.vote, state.commit))
    return _HARD.pack(crc, state.term, state.vote, state.commit)


def decode_hard_state(path: str, group: int, record: bytes) -> HardState:
    """Raises LogCorrupted when the record is not what was written."""
    if len(record) == _HARD.size:
        crc, term, vote, commit = _HARD.unpack(record)
        if crc32(_HARD_BODY.pack(group, term, vote, commit)) == crc:
            return HardState(term, vote, commit)
    raise LogCorrupted(path, f"group {group}: the record of its term and vote fails its checksum", group)

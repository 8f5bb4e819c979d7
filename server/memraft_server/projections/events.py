"""Events, one by one or many in a block, and the SHA-256 chain that they are in."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from operator import add
from struct import Struct
from typing import overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from memraft_proto.names import unforked
from memraft_server.projections.versions import Author

HASH_BYTES = 32
FIRST_PREV_HASH = bytes(HASH_BYTES)
BLOCK_EVENTS_MIN = 32
"""From so many events of one command on they are kept in blocks: fewer are faster one by one."""
BLOCK_BYTES_MAX = 64 << 10
"""A block ends before its payloads have more bytes, unless it has but one: it is one row on disk."""
BLOCK_EVENTS_MAX = 500
"""And before it has more events: they can only be forgotten together."""

_new_hash = sha256().copy
_FORMAT = b"memraft.event.v1"
_event_key = Struct(">QQ").pack
_block_key = Struct(">QIQ").pack


class EventRecord(msgspec.Struct, gc=False):
    """One event. Its sequence is its place, its id and commit time follow from its version."""

    version: int
    author: Author
    type: str
    payload: bytes


class EventBlock(msgspec.Struct, gc=False):
    """Events of one command that follow one another: the versions of the others follow the first one's.

    Attributes:
        version: Of the first event.
        author: Of all of them.
        types: One for all, or one for each.
        ends: Where each payload ends in `data`, from 0.
        data: The payloads, one after the other.
    """

    version: int
    author: Author
    types: tuple[str, ...]
    ends: array[int]
    data: bytes

    def record(self, item: int) -> EventRecord:
        """Returns the event with this number in the block, from 0."""
        start = self.ends[item - 1] if item else 0
        type_ = self.types[item if len(self.types) > 1 else 0]
        return EventRecord(self.version + item, self.author, type_, self.data[start : self.ends[item]])


def sizes_of(payloads: Sequence[bytes]) -> NDArray[np.uint32]:
    """Returns how many bytes each payload has."""
    return np.fromiter(map(len, payloads), np.uint32, len(payloads))


def blocks_of(
    version: int,
    author: Author,
    types: tuple[str, ...],
    payloads: Sequence[bytes],
    sizes: NDArray[np.uint32],
) -> Iterator[EventBlock]:
    """Yields the blocks of a command's events.

    Args:
        version: Of the first event.
        author: Of all.
        types: One for all, or one for each.
        payloads: The events' payloads.
        sizes: What `sizes_of` gave for them.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    first = start = 0
    while first < len(payloads):
        end = max(int(ends.searchsorted(start + BLOCK_BYTES_MAX, "right")), first + 1)
        end = min(end, first + BLOCK_EVENTS_MAX)
        yield EventBlock(
            version + first,
            author,
            types[first:end] if len(types) > 1 else types,
            array("I", (ends[first:end] - start).astype(np.uintc).tobytes()),
            b"".join(payloads[first:end]),
        )
        first, start = end, int(ends[end - 1])


class Events(Sequence[EventRecord]):
    """The events of a stream behind the first `count`, which another has, or nobody any more.

    Args:
        count: Events before its own.
        first: Of a fork: has these, and may have more. None: they were forgotten.
    """

    __slots__ = ("_before", "_count", "_first", "_parts", "_starts")

    def __init__(self, count: int = 0, first: Events | None = None) -> None:
        self._first = first
        self._before = count
        self._count = count
        self._parts: list[EventRecord | EventBlock] = []
        self._starts = array("q")
        """The place of the first event of each part."""

    def append(self, part: EventRecord | EventBlock) -> None:
        """Adds an event, or the events of a block, at the end."""
        self._starts.append(self._count)
        self._parts.append(part)
        self._count += len(part.ends) if isinstance(part, EventBlock) else 1

    def version(self, place: int) -> int:
        """Returns the version of the event at a place, from 0."""
        part, item = self._find(place)
        return part.version + item

    def count_at(self, ceiling: int) -> int:
        """Returns how many events there were as of version `ceiling`, included."""
        count, gone = self._count, self.forgotten
        if count == gone or self.version(count - 1) <= ceiling:
            return count
        return bisect_right(range(count), ceiling, gone, key=self.version)

    @property
    def forgotten(self) -> int:
        """How many events, the first ones, nobody has any more."""
        return self._before if self._first is None else self._first.forgotten

    def whole_until(self, end: int) -> int:
        """Returns the highest count, `end` at most, of events from the first on that splits no block."""
        if end >= self._count:
            return self._count
        at = bisect_right(self._starts, end)
        return self._starts[at - 1] if at else self._before

    def forget(self, end: int) -> list[tuple[int, EventRecord | EventBlock]]:
        """Lets the first events go up to the count `end`, where a part begins; returns each part with the
        sequence of its first event."""
        at = self._starts.index(end)
        dropped = [(start + 1, part) for start, part in zip(self._starts[:at], self._parts, strict=False)]
        del self._starts[:at], self._parts[:at]
        self._before = end
        return dropped

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> EventRecord: ...
    @overload
    def __getitem__(self, place: slice) -> list[EventRecord]: ...
    def __getitem__(self, place: int | slice) -> EventRecord | list[EventRecord]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(self._count))]
        part, item = self._find(place + self._count if place < 0 else place)
        return part.record(item) if isinstance(part, EventBlock) else part

    def _find(self, place: int) -> tuple[EventRecord | EventBlock, int]:
        if not 0 <= place < self._count:
            raise IndexError(f"event {place} of {self._count}")
        if place < self._before:
            if self._first is not None:
                return self._first._find(place)
            raise IndexError(f"event {place + 1} was forgotten: the first that is kept is {self._before + 1}")
        at = bisect_right(self._starts, place) - 1
        return self._parts[at], place - self._starts[at]


def _field(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def chain_prefix(namespace: str, stream: str) -> bytes:
    """Returns the part that all events of a stream hash after `prev_hash`.

    A fork's events hash the name of what it was forked from: the chain goes on in it, and one rule verifies
    all of it.
    """
    return _field(_FORMAT) + _field(unforked(namespace).encode()) + _field(stream.encode())


def event_key(stream_key: bytes, sequence: int, part: EventRecord | EventBlock) -> bytes:
    """Returns the key of the row of an event or a block whose first event has this sequence; `stream_key` is
    the stream's."""
    if isinstance(part, EventBlock):
        return stream_key + _block_key(sequence, len(part.ends), part.version)
    return stream_key + _event_key(sequence, part.version)


def event_hash(
    prev_hash: bytes, prefix: bytes, sequence: int, event_id: str, time_us: int, event: EventRecord
) -> bytes:
    """Returns SHA-256 of an event and the hash before it, as `Event` in `stream.proto` lays down.

    Args:
        prev_hash: 32 bytes.
        prefix: What `chain_prefix` gave for the stream.
        sequence: The event's place, from 1.
        event_id: Its id.
        time_us: Its commit time in microseconds since the epoch.
        event: The event.
    """
    id_bytes = event_id.encode()
    run = event.author.run.encode()
    agent = event.author.agent.encode()
    type_ = event.type.encode()
    payload = event.payload
    # One join of fixed parts: three quarters of the time of a helper call a field.
    return sha256(
        b"".join(
            (
                prev_hash,
                prefix,
                b"\x00\x00\x00\x08",
                sequence.to_bytes(8, "big"),
                len(id_bytes).to_bytes(4, "big"),
                id_bytes,
                len(run).to_bytes(4, "big"),
                run,
                len(agent).to_bytes(4, "big"),
                agent,
                b"\x00\x00\x00\x08",
                time_us.to_bytes(8, "big"),
                len(type_).to_bytes(4, "big"),
                type_,
                len(payload).to_bytes(4, "big"),
                payload,
            )
        )
    ).digest()


def block_hashes(
    prev_hash: bytes,
    prefix: bytes,
    first_sequence: int,
    ids: NDArray[np.uint8],
    time_us: int,
    author: Author,
    types: Sequence[str],
    payloads: Sequence[bytes],
    sizes: NDArray[np.uint32],
) -> list[bytes]:
    """Returns what `event_hash` gives for one event after the other, in half the time.

    Args:
        prev_hash: 32 bytes, of the event before the first.
        prefix: What `chain_prefix` gave for the stream.
        first_sequence: The place of the first, from 1.
        ids: Their ids in ASCII, shape (events, characters).
        time_us: Their commit time in microseconds since the epoch.
        author: Of all.
        types: One for all, or one for each.
        payloads: Theirs.
        sizes: What `sizes_of` gave for these.
    """
    count = len(payloads)
    sequences = np.arange(first_sequence, first_sequence + count).astype(">u8")
    lengths = sizes.astype(">u4")
    run, agent = _field(author.run.encode()), _field(author.agent.encode())
    time = _field(time_us.to_bytes(8, "big"))
    columns = [prefix, b"\0\0\0\x08", sequences, ids.shape[1].to_bytes(4, "big"), ids, run + agent + time]
    heads: Iterable[bytes]
    if len(types) == 1:
        heads = _rows(count, [*columns, _field(types[0].encode()), lengths])
    else:
        encoded = {type_: _field(type_.encode()) for type_ in dict.fromkeys(types)}
        fields = map(encoded.__getitem__, types)
        heads = map(b"".join, zip(_rows(count, columns), fields, _rows(count, [lengths]), strict=True))
    digest = prev_hash
    digests = []
    # What does not hang on the event before is joined in C. A copy of a hash is quicker than a new one, which
    # looks for the algorithm by its name.
    for rest in map(add, heads, payloads):
        chain = _new_hash()
        chain.update(digest + rest)
        digest = chain.digest()
        digests.append(digest)
    return digests


def _rows(count: int, columns: Sequence[bytes | NDArray[np.generic]]) -> list[bytes]:
    """Returns rows, each the columns one after the other: what is bytes is the same in every row."""
    widths = [len(column) if isinstance(column, bytes) else column.nbytes // count for column in columns]
    same = [
        column if isinstance(column, bytes) else bytes(width)
        for column, width in zip(columns, widths, strict=True)
    ]
    rows = np.empty((count, sum(widths)), np.uint8)
    rows[:] = np.frombuffer(b"".join(same), np.uint8)
    end = 0
    for column, width in zip(columns, widths, strict=True):
        end += width
        if not isinstance(column, bytes):
            rows[:, end - width : end] = column.view(np.uint8).reshape(count, width)
    found: list[bytes] = rows.view(f"V{rows.shape[1]}").ravel().tolist()
    return found

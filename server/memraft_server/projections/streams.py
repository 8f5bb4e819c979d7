"""Append-only streams of events, each chained to the one before by SHA-256."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.events import (
    FIRST_PREV_HASH,
    HASH_BYTES,
    EventBlock,
    EventRecord,
    Events,
    block_hashes,
    blocks_of,
    chain_prefix,
    event_hash,
    event_key,
    sizes_of,
)
from memraft_server.projections.keys import KeyIndex
from memraft_server.projections.notes import EVENT, Notes, escaped
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import Author

HIDDEN = "\1"
"""How the names of streams begin that the machine keeps for itself: callers' have no control characters."""
EVENT_BYTES = 180
"""What an event takes beside its payload, its hash included."""
STREAM_BYTES = 800
"""What a stream takes beside its events and the characters of its name."""


class Stream:
    """The events of one stream and their hashes, 32 bytes each in one buffer.

    Args:
        namespace: Whose.
        name: Its name.
        key: How the facts of its events begin; empty where nobody keeps facts.
        parent: The stream that a fork's goes on from, and how many of its events it has.
    """

    __slots__ = ("_before", "_gone", "_parent", "_shared", "events", "hashes", "key", "prefix")

    def __init__(
        self, namespace: str, name: str, key: bytes, parent: tuple[Stream, int] | None = None
    ) -> None:
        self.key = key
        self._parent: Stream | None = None
        self._shared = 0
        self._gone = 0
        self._before = FIRST_PREV_HASH
        if parent is not None:
            self._parent, self._shared = parent
        self.events: Events = Events() if parent is None else Events(parent[1], parent[0].events)
        self.hashes = bytearray()
        """Of its own events."""
        self.prefix: bytes = chain_prefix(namespace, name) if parent is None else parent[0].prefix

    def hash_of(self, sequence: int) -> bytes:
        """Returns the hash of the event at `sequence`, which was not forgotten; of the one before the first
        that is kept, the `prev_hash` of that."""
        own = sequence - self._shared - self._gone
        if own <= 0:
            return self._parent.hash_of(sequence) if self._parent is not None else self._before
        return bytes(self.hashes[(own - 1) * HASH_BYTES : own * HASH_BYTES])

    @property
    def forgotten(self) -> int:
        """How many events, the first ones, were forgotten."""
        return self._parent.forgotten if self._parent is not None else self._gone

    def begin_behind(self, count: int, digest: bytes) -> None:
        """Makes a stream without events begin behind `count` that were forgotten, the last with this hash."""
        self._gone, self._before, self.events = count, digest, Events(count)

    def whole_until(self, through: int) -> int:
        """Returns up to which sequence events may go where those up to `through` should: a block goes as a
        whole, the last event and none of a fork's ever."""
        if self._parent is not None:
            return self._gone
        return self.events.whole_until(min(through, len(self.events) - 1))

    def forget(self, through: int, pin: int) -> list[tuple[int, EventRecord | EventBlock]]:
        """Forgets the events up to sequence `through`, as far as `whole_until` lets them go and as they are
        not above version `pin`.

        Returns:
            What went: the sequence of its first event, and that event or a block.
        """
        end = self.whole_until(min(through, self.events.count_at(pin)))
        if end <= self._gone:
            return []
        self._before = self.hash_of(end)
        del self.hashes[: (end - self._gone) * HASH_BYTES]
        self._gone = end
        return self.events.forget(end)

    def own_events(self) -> list[EventRecord]:
        """Returns its events, of a fork's stream those that were appended in the fork."""
        return self.events[self._shared :]

    def count_at(self, ceiling: int) -> int:
        """Returns how many events there were as of version `ceiling`, included."""
        return self.events.count_at(ceiling)

    def first_broken(self, ids_and_times: Iterable[tuple[str, int]], first: int) -> int:
        """Recomputes the chain from an event on, after the hash that is stored before it.

        Args:
            ids_and_times: Event id and commit time of each event to check, in order.
            first: The sequence of the first of them.

        Returns:
            The first sequence whose hash does not hold, or 0.
        """
        prev_hash = self.hash_of(first - 1)
        for sequence, (event_id, time_us) in enumerate(ids_and_times, first):
            event = self.events[sequence - 1]
            prev_hash = event_hash(prev_hash, self.prefix, sequence, event_id, time_us, event)
            if prev_hash != self.hash_of(sequence):
                return sequence
        return 0


class StreamsProjection:
    """The streams of one namespace."""

    __slots__ = (
        "_add", "_base", "_delete", "_parent", "_prefix", "_types", "_usage", "appended", "names", "streams",
    )  # fmt: skip

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self._usage = usage
        self._add = notes.add if notes is not None else None
        self._delete = notes.delete if notes is not None else None
        self._prefix = notes.prefix(EVENT) if notes is not None else b""
        self._types: dict[str, str] = {}
        self.appended: Callable[[str], object] | None = None
        """Called with the name of a stream once a command has appended to it; None: nobody follows any."""
        self.streams: dict[str, Stream] = {}
        """Those that were written to here; `find` also finds those that a fork has of its parent."""
        self.names = KeyIndex()
        self._parent: StreamsProjection | None = notes.join(EVENT, self) if notes is not None else None
        self._base = notes.base if notes is not None else 0
        if self._parent is not None:
            self.names.base = self._parent.names

    def find(self, name: str) -> Stream | None:
        """Returns the stream `name` to read it, or None where there is none."""
        stream = self.streams.get(name)
        if stream is None and (shared := self._shared(name)) is not None:
            return Stream("", name, b"", shared)  # made anew for every read, so that reads change nothing
        return stream

    def changed(self, low: int, high: int) -> Iterator[str]:
        """Yields the names of the streams, hidden ones aside, that got events here above `low` and up to
        `high`."""
        for name, stream in self.streams.items():
            if not name.startswith(HIDDEN) and stream.count_at(high) > stream.count_at(low):
                yield name

    def get_or_make(self, namespace: str, name: str) -> Stream:
        """Returns the stream `name`, made if there is none."""
        stream = self.streams.get(name)
        if stream is None:
            key = self._prefix + escaped(name.encode()) if self._prefix else b""
            stream = self.streams[name] = Stream(namespace, name, key, self._shared(name))
            if not name.startswith(HIDDEN):
                self.names.add(name)
            self._usage.bytes += STREAM_BYTES + len(name)
        return stream

    def _shared(self, name: str) -> tuple[Stream, int] | None:
        """The stream of the parent that a fork's goes on from, and how many events they share."""
        stream = self._parent.find(name) if self._parent is not None else None
        count = stream.count_at(self._base) if stream is not None else 0
        return (stream, count) if stream is not None and count else None

    def append(
        self,
        stream: Stream,
        version: int,
        time_us: int,
        event_id: str,
        author: Author,
        type_: str,
        payload: bytes,
    ) -> bytes:
        """Appends one event to `stream` and returns its hash."""
        event = EventRecord(version, author, self.intern(type_), payload)
        sequence = len(stream.events)
        digest = event_hash(stream.hash_of(sequence), stream.prefix, sequence + 1, event_id, time_us, event)
        if self._add is not None:
            self._add((stream.key, sequence + 1, event, digest))
        self.restore(stream, event, digest)
        return digest

    def append_block(
        self,
        stream: Stream,
        version: int,
        time_us: int,
        ids: NDArray[np.uint8],
        author: Author,
        types: Sequence[str],
        payloads: Sequence[bytes],
    ) -> bytes:
        """Appends the events of one command and returns the hash of the last.

        Args:
            stream: To which.
            version: Of the first event.
            time_us: Their commit time in microseconds since the epoch.
            ids: Theirs in ASCII, shape (events, characters).
            author: Of all.
            types: One for all, or one for each.
            payloads: Theirs.
        """
        sequence = len(stream.events)
        sizes = sizes_of(payloads)
        digests = block_hashes(
            stream.hash_of(sequence),
            stream.prefix,
            sequence + 1,
            ids,
            time_us,
            author,
            types,
            payloads,
            sizes,
        )
        hashes = b"".join(digests)
        start = 0
        for block in blocks_of(version, author, tuple(map(self.intern, types)), payloads, sizes):
            end = start + HASH_BYTES * len(block.ends)
            if self._add is not None:
                self._add((stream.key, len(stream.events) + 1, block, hashes[start:end]))
            self.restore(stream, block, hashes[start:end])
            start = end
        return digests[-1]

    def restore(self, stream: Stream, part: EventRecord | EventBlock, hashes: bytes) -> None:
        """Appends an event or a block of them with the hashes that they once got."""
        stream.events.append(part)
        stream.hashes += hashes
        count, size = _weight(part)
        self._usage.bytes += EVENT_BYTES * count + size
        self._usage.records += count

    def trim(self, name: str, through: int, pin: int) -> tuple[int, int]:
        """Forgets events of a stream for ever: up to sequence `through`, but not the last one.

        Args:
            name: Of the stream.
            through: The last sequence to forget.
            pin: A version as of which somebody may still read: events above it stay.

        Returns:
            How many went, and the version from which on reads are as they were; 0 where none went.
        """
        stream = self.streams.get(name)
        dropped = stream.forget(through, pin) if stream is not None else []
        if stream is None or not dropped:
            return 0, 0
        count = version = 0
        for _, part in dropped:
            events, size = _weight(part)
            self._usage.bytes -= EVENT_BYTES * events + size
            count, version = count + events, part.version + events - 1
        self._usage.records -= count
        if self._delete is not None:
            self._delete([event_key(stream.key, first, part) for first, part in dropped])
        return count, version

    def names_from(self, start: str, prefix: str, ceiling: int) -> Iterator[tuple[str, int]]:
        """Yields (name, last sequence as of `ceiling`) of the streams at or after `start`, by name."""
        for name in self.names.from_name(max(start, prefix)):
            if not name.startswith(prefix):
                return
            stream = self.find(name)
            yield name, stream.count_at(ceiling) if stream is not None else 0

    def intern(self, type_: str) -> str:
        """Returns one string for equal types: there are few, on many events."""
        types = self._types
        if len(types) >= 4096:
            types.clear()
        return types.setdefault(type_, type_)


def _weight(part: EventRecord | EventBlock) -> tuple[int, int]:
    """Returns how many events there are, and the bytes of their payloads."""
    return (len(part.ends), len(part.data)) if isinstance(part, EventBlock) else (1, len(part.payload))

"""Append-only streams of events, each chained to the one before by SHA-256."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from struct import Struct
from typing import overload

import msgspec

from memraft_proto.names import unforked
from memraft_server.projections.keys import KeyIndex
from memraft_server.projections.notes import EVENT, Notes, escaped
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import Author

HIDDEN = "\1"
"""How the names of streams begin that the machine keeps for itself: callers' have no control characters."""
HASH_BYTES = 32
FIRST_PREV_HASH = bytes(HASH_BYTES)
EVENT_BYTES = 180
"""What an event takes beside its payload, its hash included."""
STREAM_BYTES = 800
"""What a stream takes beside its events and the characters of its name."""

_FORMAT = b"memraft.event.v1"
_two = Struct(">QQ").pack


class EventRecord(msgspec.Struct, gc=False):
    """One event. Its sequence is its place, its id and commit time follow from its version."""

    version: int
    author: Author
    type: str
    payload: bytes


def _version_of(event: EventRecord) -> int:
    return event.version


def _field(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def chain_prefix(namespace: str, stream: str) -> bytes:
    """Returns the part that all events of a stream hash after `prev_hash`.

    A fork's events hash the name of what it was forked from: the chain goes on in it, and one rule verifies
    all of it.
    """
    return _field(_FORMAT) + _field(unforked(namespace).encode()) + _field(stream.encode())


def event_key(stream_key: bytes, sequence: int, version: int) -> bytes:
    """Returns the key of an event's row; `stream_key` is the stream's."""
    return stream_key + _two(sequence, version)


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


class SharedEvents(Sequence[EventRecord]):
    """The first `count` events of another stream, which may grow, and after them events of its own."""

    __slots__ = ("_count", "_first", "_own")

    def __init__(self, first: Sequence[EventRecord], count: int) -> None:
        self._first = first
        self._count = count
        self._own: list[EventRecord] = []

    def append(self, event: EventRecord) -> None:
        """Adds an event at the end."""
        self._own.append(event)

    def __len__(self) -> int:
        return self._count + len(self._own)

    @overload
    def __getitem__(self, place: int) -> EventRecord: ...
    @overload
    def __getitem__(self, place: slice) -> list[EventRecord]: ...
    def __getitem__(self, place: int | slice) -> EventRecord | list[EventRecord]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        if place < 0:
            place += len(self)
        return self._first[place] if place < self._count else self._own[place - self._count]


class KeptEvents(Sequence[EventRecord]):
    """Events of which the first were forgotten; asking for those is an IndexError."""

    __slots__ = ("_gone", "_own")

    def __init__(self, gone: int, own: list[EventRecord]) -> None:
        self._gone = gone
        self._own = own

    def append(self, event: EventRecord) -> None:
        """Adds an event at the end."""
        self._own.append(event)

    def __len__(self) -> int:
        return self._gone + len(self._own)

    @overload
    def __getitem__(self, place: int) -> EventRecord: ...
    @overload
    def __getitem__(self, place: slice) -> list[EventRecord]: ...
    def __getitem__(self, place: int | slice) -> EventRecord | list[EventRecord]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        if place < 0:
            place += len(self)
        if place < self._gone:
            raise IndexError(f"event {place + 1} was forgotten: the first that is kept is {self._gone + 1}")
        return self._own[place - self._gone]


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
        self.events: list[EventRecord] | SharedEvents | KeptEvents = []
        if parent is not None:
            self._parent, self._shared = parent
            self.events = SharedEvents(self._parent.events, self._shared)
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
        self._gone, self._before, self.events = count, digest, KeptEvents(count, [])

    def forget(self, through: int, pin: int) -> list[EventRecord]:
        """Forgets the events up to sequence `through`, as far as they are not above version `pin`; never the
        last one, and none of a fork's. Returns them."""
        gone, last = self._gone, len(self.events)
        end = gone
        while end < min(through, last - 1) and self.events[end].version <= pin:
            end += 1
        if end == gone or self._parent is not None:
            return []
        dropped, kept = self.events[gone:end], self.events[end:]
        self._before = self.hash_of(end)
        del self.hashes[: (end - gone) * HASH_BYTES]
        self._gone, self.events = end, KeptEvents(end, kept)
        return dropped

    def own_events(self) -> list[EventRecord]:
        """Returns its events, of a fork's stream those that were appended in the fork."""
        return self.events[self._shared :]

    def count_at(self, ceiling: int) -> int:
        """Returns how many events there were as of version `ceiling`, included."""
        events = self.events
        if not events or events[-1].version <= ceiling:
            return len(events)
        return bisect_right(events, ceiling, self.forgotten, key=_version_of)

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
        event = EventRecord(version, author, self._intern(type_), payload)
        sequence = len(stream.events)
        digest = event_hash(stream.hash_of(sequence), stream.prefix, sequence + 1, event_id, time_us, event)
        if self._add is not None:
            self._add((stream.key, sequence + 1, event, digest))
        self._place(stream, event, digest)
        return digest

    def restore(
        self, stream: Stream, version: int, author: Author, type_: str, payload: bytes, digest: bytes
    ) -> None:
        """Appends an event with the hash that it once got."""
        self._place(stream, EventRecord(version, author, self._intern(type_), payload), digest)

    def _place(self, stream: Stream, event: EventRecord, digest: bytes) -> None:
        stream.events.append(event)
        stream.hashes += digest
        self._usage.bytes += EVENT_BYTES + len(event.payload)
        self._usage.records += 1

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
        self._usage.bytes -= sum(EVENT_BYTES + len(event.payload) for event in dropped)
        self._usage.records -= len(dropped)
        if self._delete is not None:
            first = stream.forgotten - len(dropped) + 1
            self._delete(
                [event_key(stream.key, at, event.version) for at, event in enumerate(dropped, first)]
            )
        return len(dropped), dropped[-1].version

    def names_from(self, start: str, prefix: str, ceiling: int) -> Iterator[tuple[str, int]]:
        """Yields (name, last sequence as of `ceiling`) of the streams at or after `start`, by name."""
        for name in self.names.from_name(max(start, prefix)):
            if not name.startswith(prefix):
                return
            stream = self.find(name)
            yield name, stream.count_at(ceiling) if stream is not None else 0

    def _intern(self, type_: str) -> str:
        """Returns one string for equal types: there are few, on many events."""
        types = self._types
        if len(types) >= 4096:
            types.clear()
        return types.setdefault(type_, type_)

"""Verifies an exported stream without a server: recomputes the SHA-256 chain from the file alone.

An export is one line of JSON that says which stream it is, and one for each event, with everything that its
hash covers. `hash` is SHA-256 over the hash before it and the fields in the order that `Event` in
`stream.proto` lays down. A line is written in one way only, so that no line can say two things.

What a chain cannot show is that its end is missing, or that all of it was made anew: for that, compare the
head with one that was noted before (`head=`).
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from memraft_proto.names import unforked

from .errors import InvalidArgument

FORMAT = "memraft.stream.v1"
LINE_BYTES_MAX = 16 << 20
"""Of an export: an event of the largest size, with every character escaped, is shorter."""

_EVENT_FORMAT = b"memraft.event.v1"
_FIRST_PREV_HASH = bytes(32)
_encode = msgspec.json.Encoder().encode


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    format: str
    namespace: str
    stream: str
    count: int
    """The sequence of the last event."""
    head: str
    forgotten: int = 0
    """How many events, the first ones, the stream does not have any more."""
    before: str = ""
    """The hash of the last of those."""


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sequence: int
    event_id: str
    run: str
    agent: str
    time_us: int
    type: str
    payload: str
    prev_hash: str
    hash: str


class ExportVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What recomputing the chain of an exported stream found."""

    intact: bool
    namespace: str
    stream: str
    count: int
    """How many events hold."""
    forgotten: int = 0
    """How many events, the first ones, retention had forgotten before the export: the chain begins behind
    them, and nothing shows what they were."""
    head: bytes
    """The hash of the last of them; empty where there is none."""
    line: int = 0
    """The first line that does not hold, from 1. 0: none."""
    reason: str = ""
    """What is wrong with it."""

    def __bool__(self) -> bool:
        return self.intact


def header_line(namespace: str, stream: str, first: Any | None, last: Any | None) -> bytes:
    """Returns the first line of an export.

    Args:
        namespace: Of the stream.
        stream: Its name.
        first: The `Event` message of the first event that is kept; None: it has none.
        last: That of its last event.
    """
    if first is None or last is None:
        header = _Header(FORMAT, namespace, stream, 0, "")
    else:
        forgotten = first.sequence - 1
        before = first.prev_hash.hex() if forgotten else ""
        header = _Header(FORMAT, namespace, stream, last.sequence, last.hash.hex(), forgotten, before)
    return bytes(_encode(header)) + b"\n"


def event_line(event: Any) -> bytes:
    """Returns the line of an `Event` message."""
    return (
        _encode(
            _Line(
                sequence=event.sequence,
                event_id=event.event_id,
                run=event.run,
                agent=event.agent,
                time_us=event.time_us,
                type=event.type,
                payload=event.payload.decode(),
                prev_hash=event.prev_hash.hex(),
                hash=event.hash.hex(),
            )
        )
        + b"\n"
    )


def verify_file(path: str | Path, *, head: bytes | None = None) -> ExportVerdict:
    """Verifies an export in a file; see `verify_export`. Raises OSError."""
    with Path(path).open("rb") as file:
        return verify_export(iter(lambda: file.readline(LINE_BYTES_MAX), b""), head=head)


def verify_export(lines: Iterable[bytes], *, head: bytes | None = None) -> ExportVerdict:
    """Recomputes the chain of an exported stream.

    Args:
        lines: The export's lines, each with its end of line.
        head: The hash (32 bytes) that its last event has to have, from a source of your own, such as the
            result of an append; None: the one that the export itself names.
    """
    if head is not None and len(head) != len(_FIRST_PREV_HASH):
        raise InvalidArgument(f"head must be a hash of 32 bytes, not {len(head)}")
    checking = _Checking()
    for line in lines:
        checking.take(line)
        if checking.reason:
            break
    else:
        checking.end(head)
    return checking.verdict()


class _Checking:
    """How far a check is."""

    def __init__(self) -> None:
        self.reason = ""
        self._line = 0
        self._count = 0
        self._hash = _FIRST_PREV_HASH
        self._header = _Header("", "", "", 0, "")

    def take(self, line: bytes) -> None:
        """Checks one line."""
        self._line += 1
        if self._line == 1:
            self._begin(line)
        else:
            self._take_event(line)

    def end(self, head: bytes | None) -> None:
        """Checks that all lines are there."""
        header, found = self._header, self._hash.hex() if self._count else ""
        if not self._line:
            self._line, self.reason = 1, "the file is empty"
        elif self._count != header.count:
            self.reason = f"{self._count} events, but the first line says {header.count}"
        elif found != header.head:
            self._line, self.reason = 1, f"the chain ends in {found or 'nothing'}, not in the head named here"
        elif head is not None and head.hex() != found:
            self.reason = f"the chain ends in {found or 'nothing'}, not in {head.hex()}"

    def verdict(self) -> ExportVerdict:
        """What was found."""
        return ExportVerdict(
            intact=not self.reason,
            namespace=self._header.namespace,
            stream=self._header.stream,
            count=self._count - self._header.forgotten,
            forgotten=self._header.forgotten,
            head=self._hash if self._count else b"",
            line=self._line if self.reason else 0,
            reason=self.reason,
        )

    def _begin(self, line: bytes) -> None:
        header = self._read(line, _Header)
        if header is None:
            return
        if header.format != FORMAT:
            self.reason = f"its format is {header.format!r}, not {FORMAT!r}"
            return
        if header.forgotten:
            try:
                self._count, self._hash = header.forgotten, bytes.fromhex(header.before)
            except ValueError:
                self.reason = f"it begins behind event {header.forgotten}, but has no hash of it"
                return
        self._header = header

    def _take_event(self, line: bytes) -> None:
        event = self._read(line, _Line)
        if event is None:
            return
        if event.sequence != self._count + 1:
            self.reason = f"event {event.sequence} stands where {self._count + 1} belongs"
        elif event.prev_hash != self._hash.hex():
            self.reason = f"event {event.sequence} does not follow the event before it: prev_hash differs"
        elif not (0 <= event.time_us < 1 << 63 and event.sequence < 1 << 63):
            self.reason = f"event {event.sequence}: its time is none"
        else:
            found = self._hash_of(event)
            if event.hash != found.hex():
                self.reason = f"event {event.sequence} was changed: its hash is {found.hex()}"
                return
            self._hash = found
            self._count += 1

    def _read(self, line: bytes, kind: type[Any]) -> Any | None:
        try:
            found = msgspec.json.decode(line, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.reason = f"it is no line of an export: {error}"
            return None
        if _encode(found) + b"\n" != line:
            self.reason = "it is not written as an export writes it"
            return None
        return found

    def _hash_of(self, event: _Line) -> bytes:
        header = self._header
        parts = (
            _EVENT_FORMAT,
            unforked(header.namespace).encode(),
            header.stream.encode(),
            event.sequence.to_bytes(8, "big"),
            event.event_id.encode(),
            event.run.encode(),
            event.agent.encode(),
            event.time_us.to_bytes(8, "big"),
            event.type.encode(),
            event.payload.encode(),
        )
        return sha256(self._hash + b"".join(_sized(parts))).digest()


def _sized(parts: Iterable[bytes]) -> Iterator[bytes]:
    for part in parts:
        yield len(part).to_bytes(4, "big")
        yield part

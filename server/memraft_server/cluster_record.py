"""The cluster's own record on this node: the state machine of its group, its file, the newest that is known.

The record is a few kilobytes, so it is kept whole: in memory, in one file beside the log, and as a snapshot
in one chunk. The file is replaced as a whole, with a checksum; what it lacks is replayed from the log.
"""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from memraft_cluster.errors import SnapshotRefused
from memraft_cluster.meta import ChangeRefused, Command, Record, apply
from memraft_cluster.raft import SnapshotMeta
from memraft_cluster.state_machine import LoadProgress, SnapshotSink
from memraft_server.entries import EntryMalformed

logger = logging.getLogger("memraft.cluster")

CHECKSUM_BYTES = 9
"""Eight hexadecimal digits and a line feed before the JSON."""

_decode_commands = msgspec.json.Decoder(list[Command]).decode


class Known:
    """The newest record that this node knows: that of its own replica, or what another node told.

    Records are committed before anybody tells them, and each has a higher epoch than those before it, so the
    one with the highest is the newest wherever it came from.

    Args:
        pinned: the record that a new cluster begins with, epoch 0; None on a node that joins.
    """

    def __init__(self, pinned: Record | None) -> None:
        self.pinned = pinned
        self.record = pinned
        self.on_news: Callable[[], None] = lambda: None
        """Called when there is another record."""

    @property
    def epoch(self) -> int:
        """Of the record; 0 when none that is committed is known."""
        return self.record.epoch if self.record is not None else 0

    def learn(self, record: Record) -> None:
        """Takes over a record that is newer."""
        if self.record is None or record.epoch > self.record.epoch:
            self.record = record
            self.on_news()


class RecordEntryBuilder:
    """Makes an entry out of commands. See ``memraft_cluster.state_machine.EntryBuilder``."""

    def build(self, commands: Sequence[bytes]) -> bytes:
        """A JSON array of the commands."""
        return b"[" + b",".join(commands) + b"]"


class _Saved(msgspec.Struct, frozen=True):
    """What the file and a snapshot hold."""

    meta: SnapshotMeta
    record: Record | None


def _pack(saved: _Saved) -> bytes:
    body = msgspec.json.encode(saved)
    return b"%08x\n" % zlib.crc32(body) + body


def _unpack(data: bytes) -> _Saved:
    """Raises ValueError for what is damaged."""
    body = data[CHECKSUM_BYTES:]
    if data[:CHECKSUM_BYTES] != b"%08x\n" % zlib.crc32(body):
        raise ValueError(f"the checksum of {len(data)} bytes does not match")
    return msgspec.json.decode(body, type=_Saved)


def read_record_file(path: Path) -> tuple[SnapshotMeta, Record | None] | None:
    """What a node's file of the record holds; None where there is no file.

    Raises:
        ValueError: it is damaged.
    """
    try:
        found = _unpack(path.read_bytes())
    except FileNotFoundError:
        return None
    return found.meta, found.record


class RecordMachine:
    """The record as a state machine. See ``memraft_cluster.state_machine.StateMachine``.

    Args:
        path: of its file.
        learned: called with every record that comes into force here.
    """

    def __init__(self, path: Path, learned: Callable[[Record], None]) -> None:
        self.record: Record | None = None
        self._path = path
        self._learned = learned
        self._saved: _Saved | None = None
        self._pending: _Saved | None = None
        self._unsaved = 0

    def apply(self, index: int, data: bytes, local: Sequence[object] | None) -> Sequence[object]:
        """The replies are ``Outcome`` or ``ChangeRefused``. Raises EntryMalformed."""
        try:
            commands = _decode_commands(data)
        except msgspec.MsgspecError as error:
            raise EntryMalformed(f"an entry of {len(data)} bytes of the record: {error}") from error
        return [self._apply(command) for command in commands]

    def _apply(self, command: Command) -> object:
        try:
            outcome = apply(self.record, command)
        except ChangeRefused as refused:
            return refused
        if outcome.changed:
            self._unsaved += 1
            self._take(outcome.record)
        return outcome

    def _take(self, record: Record | None) -> None:
        self.record = record
        if record is not None:
            self._learned(record)

    def saved(self) -> SnapshotMeta | None:
        return self._saved.meta if self._saved is not None else None

    async def load(self, progress: LoadProgress) -> None:
        """A damaged file counts as none: the log, or else another node, has what it held."""
        try:
            found = read_record_file(self._path)
        except (ValueError, OSError) as error:
            fields = {"file": str(self._path), "error": str(error)}
            logger.error(
                "the file of the cluster's record is damaged and is not used", extra={"fields": fields}
            )
            return
        if found is not None:
            self._saved = _Saved(*found)
            self._take(self._saved.record)

    @property
    def fingerprint(self) -> bytes:
        return b""

    def save(self, meta: SnapshotMeta) -> None:
        self._saved = self._pending = _Saved(meta, self.record)
        self._unsaved = 0

    @property
    def unsaved(self) -> int:
        return self._unsaved

    def flush(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            replace_file(self._path, _pack(pending))

    def begin_snapshot(self) -> _Source:
        assert self._saved is not None, "nothing was saved yet"
        return _Source(self._saved)

    def begin_install(self, meta: SnapshotMeta) -> _Sink:
        return _Sink(meta)

    def install(self, sink: SnapshotSink) -> None:
        assert isinstance(sink, _Sink) and sink.found is not None, "not a finished sink of this machine"
        self._saved = self._pending = sink.found
        self._unsaved = 0
        self._take(sink.found.record)

    def drop(self) -> None:
        self.record, self._saved, self._pending, self._unsaved = None, None, None, 0
        self._path.unlink(missing_ok=True)


class _Source:
    """A snapshot in one chunk."""

    def __init__(self, saved: _Saved) -> None:
        self.meta = saved.meta
        self._data = _pack(saved)

    def read(self, chunk: int) -> bytes | None:
        return self._data if chunk == 0 else None

    def close(self) -> None:
        pass


class _Sink:
    """The same on the other side."""

    def __init__(self, meta: SnapshotMeta) -> None:
        self.meta = meta
        self.found: _Saved | None = None

    def write(self, chunk: int, data: bytes) -> None:
        try:
            found = _unpack(data)
        except (ValueError, msgspec.MsgspecError) as error:
            raise SnapshotRefused(f"chunk {chunk} of the cluster's record: {error}") from error
        if chunk or found.meta != self.meta:
            raise SnapshotRefused(f"chunk {chunk} is of index {found.meta.index}, wanted {self.meta.index}")
        self.found = found

    async def finish(self) -> None:
        if self.found is None:
            raise SnapshotRefused("the cluster's record did not come")

    def abort(self) -> None:
        self.found = None


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file so that after a crash there is the old one or the new one, whole. Blocks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes durable which files a directory has. Blocks."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

"""Makes a machine out of the rows that were written of one: the inverse of `facts`.

Rows come in order of their keys, in portions, so that others may run in between. Every row is checked against
its checksum, and at the end their number against the label's, so that neither a flipped bit nor a lost row
goes unseen. Rows of versions above the label's, which a save that was cut short left, are passed over and
reported: they must be deleted before anything else is saved.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappush
from struct import unpack
from zlib import crc32

import msgspec
import numpy as np

from memraft_proto.names import FORK_MARK
from memraft_server.machine.facts import (
    CRC_BYTES,
    HAS_EXPIRY,
    HAS_VALUE,
    NUMBER_BYTES,
    RESIDUE,
    Row,
    StateLabel,
    ceiling_of,
    is_beyond,
)
from memraft_server.machine.journal import Journal
from memraft_server.machine.limits import POSITION_BITS
from memraft_server.machine.machine import Machine
from memraft_server.machine.memory_loader import MemoryLoader
from memraft_server.machine.namespaces import Namespace, Origin
from memraft_server.machine.refused import BrokenInvariant
from memraft_server.machine.sessions import Kept, Session
from memraft_server.machine.tables import RECORD_TABLES, Extend
from memraft_server.projections import notes
from memraft_server.projections.events import HASH_BYTES, EventBlock, EventRecord
from memraft_server.projections.floors import FloorsProjection
from memraft_server.projections.runs import RunsProjection
from memraft_server.projections.streams import Stream, StreamsProjection
from memraft_server.projections.vectors import Collection, Settings, VectorStore
from memraft_server.projections.versions import Author, Record, VersionedRecords
from memraft_server.recall.index import indexing

_SPACE = slice(1, 5)
_ROWS_TOGETHER = 256
_NOT_IN_NAMESPACES = frozenset((notes.ENTRIES, notes.NAMESPACE, notes.SESSION))
_HEAD_BYTES = 5
"""Of kind and namespace."""

_AuthorBody = tuple[str, str, str]
_collection_body = msgspec.msgpack.Decoder(tuple[str, int, int, str]).decode


class _RunBody(msgspec.Struct, array_like=True):
    run_id: str
    author: _AuthorBody
    inputs: bytes
    recorded: bool = False


_run_body = msgspec.msgpack.Decoder(_RunBody).decode
_run_end_body = msgspec.msgpack.Decoder(tuple[int, bytes]).decode
_vector_body = msgspec.msgpack.Decoder(tuple[str, bytes, bytes]).decode
_session_body = msgspec.msgpack.Decoder(tuple[int, int, int]).decode
_kept_body = msgspec.msgpack.Decoder(tuple[int, str, str, bytes]).decode
_fork_body = msgspec.msgpack.Decoder(tuple[str, _AuthorBody]).decode
_types_body = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_author_body = msgspec.msgpack.Decoder(_AuthorBody).decode


class DamagedRow(Exception):
    """What is stored is not what was written.

    Attributes:
        key: Of the row, empty where no single row is to blame.
        detail: What is wrong.
    """

    def __init__(self, key: bytes, detail: str) -> None:
        super().__init__(f"row {key.hex()}: {detail}" if key else detail)
        self.key = key
        self.detail = detail


class Loader:
    """Fills a machine that nothing was applied to.

    Args:
        machine: A new one; its journal, if it has one, is ready for use when all is loaded.
        label: What the rows are the state of.
    """

    def __init__(self, machine: Machine, label: StateLabel) -> None:
        if machine.applied_index:
            raise BrokenInvariant(
                f"shard {machine.shard}: loading over applied index {machine.applied_index}"
            )
        self.rows = 0
        """How many rows were loaded so far."""
        self.beyond: list[bytes] = []
        """Keys of rows that do not belong to the state."""
        self._machine = machine
        self._label = label
        self._ceiling = ceiling_of(label)
        self._spaces: list[Namespace | None] = []
        self._fork_keys: dict[bytes, list[notes.Fact | bytes]] = {}
        """Number of a fork -> the keys of what was written in it."""
        self._floored: dict[str, Namespace] = {}
        """Namespaces of which something was forgotten."""
        self._authors: dict[bytes, Author] = {}
        self._author_row = b"\xff"
        self._author = Author("", "", "")
        self._records: _Names | None = None
        self._stream: Stream | None = None
        self._streams: StreamsProjection | None = None
        self._stream_key = b""
        self._ids: dict[str, str] = {}
        self._ids_of: Collection | None = None
        self._sessions: dict[str, list[tuple[bytes, Session]]] = {}
        self._session_key = b""
        self._session: Session | None = None
        self._memories = memories = MemoryLoader(machine, self._space)
        self._kinds: dict[int, Callable[[Sequence[Row]], None]] = {
            notes.ENTRIES[0]: self._load_entries,
            notes.NAMESPACE[0]: self._load_namespaces,
            notes.COLLECTION[0]: self._load_collections,
            notes.EVENT[0]: self._load_events,
            **{kind[0]: self._load_records for kind in RECORD_TABLES},
            notes.MODEL[0]: memories.load_models,
            notes.MEMORY[0]: memories.load,
            notes.EMBEDDING[0]: memories.load_embeddings,
            notes.RUN[0]: self._load_runs,
            notes.VECTOR[0]: self._load_vectors,
            notes.SESSION[0]: self._load_sessions,
        }

    def feed(self, rows: Sequence[Row]) -> None:
        """Loads the next rows: one to ten microseconds each.

        Raises:
            DamagedRow: naming the row.
        """
        ceiling, session = self._ceiling, notes.SESSION
        for key in [key for key, value in rows if crc32(value, crc32(key)) != RESIDUE]:
            raise DamagedRow(key, "its checksum does not fit")
        belonging = [each for each in rows if each[0][-8:] <= ceiling or each[0][:1] == session]
        if len(belonging) != len(rows):
            self.beyond += [key for key, _ in rows if is_beyond(key, ceiling)]
        for part in _by_kind(belonging):
            load = self._kinds.get(part[0][0][0])
            if load is None:
                raise DamagedRow(part[0][0], "of an unknown kind")
            if part[0][0][:1] not in RECORD_TABLES:
                self._end_name()  # what follows may ask for the records before it
            if self._fork_keys and part[0][0][:1] not in _NOT_IN_NAMESPACES:
                self._note_keys(part)
            try:
                load(part)
            except (LookupError, ValueError, BrokenInvariant, msgspec.MsgspecError) as error:
                raise DamagedRow(part[0][0], f"it or one of the {len(part)} from it on: {error!r}") from error
        self.rows += len(belonging)
        if self._machine.journal is not None:
            self._machine.journal.forget()

    def finish(self) -> None:
        """Ends loading, after the last row: the machine is ready.

        Raises:
            DamagedRow: rows are missing.
        """
        self._end_name()
        machine, label, journal = self._machine, self._label, self._machine.journal
        if self.rows != label.rows:
            raise DamagedRow(b"", f"there are {self.rows} rows of {label.rows}")
        for tenant, sessions in self._sessions.items():
            machine.spaces.tenant(tenant).sessions.restore(sessions)
        for space in self._floored.values():
            self._memories.store_of(space)  # there may be no row left of any memory
        for number, keys in self._fork_keys.items():
            fork_notes = self._space_at(number).notes
            if fork_notes is not None:
                fork_notes.told = keys
        machine.restored(label)
        if journal is not None:
            journal.forget()
            journal.rows = label.rows

    def index_memories(self) -> Iterator[None]:
        """Makes what recalls look in, after `finish`, yielding every few milliseconds. Without it the first
        recall does."""
        for space in self._spaces:
            if space is not None and space.memories is not None:
                yield from indexing(space.memories)

    def _note_keys(self, rows: Sequence[Row]) -> None:
        for key, _ in rows:
            keys = self._fork_keys.get(key[_SPACE])
            if keys is not None:
                keys.append(key)

    # Kinds of rows

    def _load_entries(self, rows: Sequence[Row]) -> None:
        for key, value in rows:
            count = (len(value) - CRC_BYTES) // (2 * NUMBER_BYTES)
            first = int.from_bytes(key[1:]) >> POSITION_BITS
            times_us = np.frombuffer(value, "<i8", count).tolist()
            seeds = np.frombuffer(value, "<u8", count, NUMBER_BYTES * count).tolist()
            self._machine.restore_entries(first, times_us, seeds)

    def _load_namespaces(self, rows: Sequence[Row]) -> None:
        for key, value in rows:
            numbers = unpack(f">{(len(key) - _HEAD_BYTES) // NUMBER_BYTES}Q", key[_HEAD_BYTES:])
            number, spaces = int.from_bytes(key[_SPACE]), self._machine.spaces
            if len(numbers) == 3:
                dropped = self._spaces[number]
                if dropped is not None:
                    spaces.drop(dropped, numbers[2])
                self._spaces[number] = None
                self._fork_keys.pop(key[_SPACE], None)
                continue
            if number != len(self._spaces):
                raise DamagedRow(key, f"namespace number {len(self._spaces)} is missing before it")
            if len(numbers) == 1:
                self._spaces.append(spaces.make(value[:-CRC_BYTES].decode(), numbers[0]))
                continue
            name, author = _fork_body(value[:-CRC_BYTES])
            parent, _, last = name.rpartition(FORK_MARK)
            if parent not in spaces.by_name:  # it was dropped, and so was this fork of it
                spaces.skip()
                self._spaces.append(None)
                continue
            origin = Origin(spaces.by_name[parent], numbers[0], numbers[1], self._machine.author(author))
            fork = spaces.fork(last, origin)
            if fork.notes is not None:
                fork.notes.waiting = []
            self._spaces.append(fork)
            self._fork_keys[key[_SPACE]] = []

    def _load_collections(self, rows: Sequence[Row]) -> None:
        for key, value in rows:
            name, dimension, metric, fingerprint = _collection_body(value[:-CRC_BYTES])
            version = int.from_bytes(key[-NUMBER_BYTES:])
            store = self._space(key).projection(VectorStore)
            time_us = self._machine.time_us(version)
            store.create(name, Settings(dimension, metric, fingerprint), version, time_us)

    def _load_events(self, rows: Sequence[Row]) -> None:
        for key, value in rows:
            stream, streams, start = self._stream, self._streams, len(self._stream_key)
            # Behind the name comes a sequence, whose first byte is none that goes on with an escaped name.
            is_same = key[:start] == self._stream_key and key[start] != 0xFF
            if stream is None or streams is None or not is_same:
                start = _end_of_name(key, _HEAD_BYTES)
                space, stream_key = self._space(key), key[:start]
                streams = self._streams = space.projection(StreamsProjection)
                name = _unescaped(stream_key, _HEAD_BYTES).decode()
                stream = self._stream = streams.get_or_make(space.name, name)
                forgotten = space.projection(FloorsProjection).stream(name)
                if forgotten is not None:
                    stream.begin_behind(*forgotten)
                self._stream_key = stream_key
            sequence = int.from_bytes(key[start : start + NUMBER_BYTES])
            if sequence != len(stream.events) + 1:
                raise DamagedRow(key, f"event {len(stream.events) + 1} of its stream is missing before it")
            version, count = int.from_bytes(key[-NUMBER_BYTES:]), 1
            if len(key) > start + 2 * NUMBER_BYTES:
                count = int.from_bytes(key[start + NUMBER_BYTES : -NUMBER_BYTES])
            author, at = self._author_at(value, HASH_BYTES * count)
            end = at + 4 + int.from_bytes(value[at : at + 4])
            types = value[at + 4 : end]
            part: EventRecord | EventBlock
            if len(key) > start + 2 * NUMBER_BYTES:
                names = tuple(map(streams.intern, _types_body(types)))
                ends = array("I", np.frombuffer(value, "<u4", count, end).astype("I").tobytes())
                part = EventBlock(version, author, names, ends, value[end + 4 * count : -CRC_BYTES])
            else:
                part = EventRecord(version, author, streams.intern(types.decode()), value[end:-CRC_BYTES])
            streams.restore(stream, part, value[: HASH_BYTES * count])

    def _load_records(self, rows: Sequence[Row]) -> None:
        """Of documents and named records: the most frequent rows."""
        for start in range(0, len(rows), _ROWS_TOGETHER):
            part = rows[start : start + _ROWS_TOGETHER]
            if not self._load_records_together(part):
                self._load_records_singly(part)

    def _load_records_together(self, rows: Sequence[Row]) -> bool:
        """Loads rows in half the time, where they are alike; returns False, and loads none, where not.

        Alike are rows of one namespace with a value and no expiry, by one author, of different names. The
        last one is left for the rows to come, which may be of its name, too.
        """
        author_row = self._author_row
        prefix, start = rows[0][0][:_HEAD_BYTES], b"\1" + author_row
        heads = [key[:-9] for key, _ in rows]
        if len(set(heads)) < len(rows) or not heads[-1].startswith(prefix):
            return False
        names = self._records_of(heads[0])
        raw = b"\0".join([head[_HEAD_BYTES:] for head in heads])
        if heads[0] == names.head or raw.count(b"\0") != len(rows) - 1:
            return False
        if sum([value.startswith(start) for _, value in rows]) < len(rows):
            return False
        cut = len(start)
        values = [value[cut:-CRC_BYTES] for _, value in rows]
        versions = unpack(f">{len(rows)}Q", b"".join([key[-NUMBER_BYTES:] for key, _ in rows]))
        author = self._author
        records = [Record(value, version, author, 0) for value, version in zip(values, versions, strict=True)]
        names.take(heads[-1], raw.decode().split("\0"), records)
        return True

    def _load_records_singly(self, rows: Sequence[Row]) -> None:
        machine, names = self._machine, self._records_of(rows[0][0])
        author_row, author = self._author_row, self._author
        for key, value in rows:
            head = key[:-9]
            if head != names.head:
                if not head.startswith(names.prefix):
                    names = self._records_of(key)
                names.begin(head)
            flags = value[0]
            at = 1
            expires_at_us = 0
            if flags & HAS_EXPIRY:
                expires_at_us, at = int.from_bytes(value[1:9]), 9
            if value.startswith(author_row, at):
                at += len(author_row)
            else:
                start = at
                author, at = self._author_at(value, at)
                author_row = value[start:at]
            data = value[at:-CRC_BYTES] if flags & HAS_VALUE else None
            version = int.from_bytes(key[-NUMBER_BYTES:])
            names.records.append(Record(data, version, author, expires_at_us))
            if expires_at_us:
                item = (expires_at_us, version, names.space.name, names.name)
                heappush(machine.lease_expiries if key[:1] == notes.LEASE else machine.expiries, item)
        self._author_row, self._author = author_row, author

    def _load_runs(self, rows: Sequence[Row]) -> None:
        for key, value in rows:
            runs = self._space(key).projection(RunsProjection)
            version = int.from_bytes(key[_HEAD_BYTES : _HEAD_BYTES + NUMBER_BYTES])
            if len(key) > _HEAD_BYTES + NUMBER_BYTES:
                run = runs.in_order[-1]
                if run.began_version != version:
                    raise DamagedRow(key, "the run that it ends is missing")
                runs.end(run, int.from_bytes(key[-NUMBER_BYTES:]), *_run_end_body(value[:-CRC_BYTES]))
            else:
                body = _run_body(value[:-CRC_BYTES])
                author = self._machine.author(body.author)
                runs.begin(body.run_id, version, author, body.inputs, body.recorded)

    def _load_vectors(self, rows: Sequence[Row]) -> None:
        """Rows of one collection after the other, each in one piece."""
        start = 0
        prefix_bytes = _HEAD_BYTES + 4
        for end in range(1, len(rows) + 1):
            if end == len(rows) or rows[end][0][:prefix_bytes] != rows[start][0][:prefix_bytes]:
                key = rows[start][0]
                store = self._space(key).projection(VectorStore)
                number = int.from_bytes(key[_HEAD_BYTES:prefix_bytes])
                self._load_collection(store.numbered(number), rows[start:end])
                start = end

    def _load_collection(self, collection: Collection, rows: Sequence[Row]) -> None:
        if self._ids_of is not collection:
            self._ids_of, self._ids = collection, {}
        one_id = self._ids.setdefault
        ids, metadatas, vectors = [], [], []
        born: list[int] = []
        died: list[tuple[int, int]] = []
        row = collection.rows.count - 1
        for key, value in rows:
            version = int.from_bytes(key[9:17])
            if len(key) > 17:
                if row < 0:  # deaths of a fork's parent's vectors come before all that was born in the fork
                    collection.restore_end(version, int.from_bytes(key[-NUMBER_BYTES:]))
                    continue
                last = born[-1] if born else collection.rows.born(row)
                if last != version:
                    raise DamagedRow(key, "the vector whose death it tells is missing")
                died.append((row, int.from_bytes(key[-NUMBER_BYTES:])))
                continue
            id, metadata, vector = _vector_body(value[:-CRC_BYTES])
            ids.append(one_id(id, id))
            metadatas.append(metadata)
            vectors.append(vector)
            born.append(version)
            row += 1
        shape = (len(ids), collection.settings.dimension)
        components = np.frombuffer(b"".join(vectors), "<f4").reshape(shape)
        collection.restore(ids, components, metadatas, np.array(born, np.int64), died)

    def _load_sessions(self, rows: Sequence[Row]) -> None:
        for key, value in rows:
            session = self._session
            if session is not None and len(key) == len(session.key) + 9 and key.startswith(session.key):
                number = int.from_bytes(key[-NUMBER_BYTES:])
                session.replies[number] = Kept(*_kept_body(value[:-CRC_BYTES]))
                if session.stored is not None:
                    session.stored.add(number)
                continue
            end = _end_of_name(key, 1)
            tenant, client_id = (
                _unescaped(key[:end], 1).decode(),
                _unescaped(key, end + len(notes.CLIENT_MARK)),
            )
            floor, used_at_us, used_version = _session_body(value[:-CRC_BYTES])
            session = Session(floor, used_at_us, {}, 0, used_version, key, set())
            self._session = session
            self._sessions.setdefault(tenant, []).append((client_id, session))

    # Parts of rows

    def _space(self, key: bytes) -> Namespace:
        return self._space_at(key[_SPACE])

    def _space_at(self, number: bytes) -> Namespace:
        space = self._spaces[int.from_bytes(number)]
        if space is None:
            raise LookupError(f"namespace number {int.from_bytes(number)} was dropped")
        return space

    def _author_at(self, value: bytes, at: int) -> tuple[Author, int]:
        end = at + 4 + int.from_bytes(value[at : at + 4])
        body = value[at + 4 : end]
        author = self._authors.get(body)
        if author is None:
            author = self._authors[body] = self._machine.author(_author_body(body))
        return author, end

    def _records_of(self, key: bytes) -> _Names:
        """What the versions of names of one namespace and kind are gathered for."""
        names = self._records
        prefix = key[:_HEAD_BYTES]
        if names is None or names.prefix != prefix:
            self._end_name()
            space = self._space(key)
            if key[:1] == notes.FLOOR:
                self._floored[space.name] = space
            names = self._records = _Names(prefix, space, *RECORD_TABLES[key[:1]](space))
        return names

    def _end_name(self) -> None:
        if self._records is not None:
            self._records.end()
            self._records = None


class _Names:
    """The versions of one name after the other."""

    __slots__ = ("_extend", "_into", "_pending", "head", "name", "prefix", "records", "space")

    def __init__(
        self,
        prefix: bytes,
        space: Namespace,
        into: VersionedRecords,
        extend: Extend | None,
    ) -> None:
        self.prefix = prefix
        self.space = space
        self.head = b""
        self.name = ""
        self.records: list[Record] = []
        self._into = into
        self._extend = extend
        self._pending: list[str] = []

    def begin(self, head: bytes) -> None:
        """The next record is of another name."""
        if self.records:
            self._into.restore(self.name, self.records)
            self.records = []
        self.head = head
        raw = head[_HEAD_BYTES:]
        self.name = (raw.replace(b"\0\xff", b"\0") if b"\0" in raw else raw).decode()
        if self._extend is not None:
            self._pending.append(self.name)
            if len(self._pending) >= 1000:
                self._extend(self._pending)
                self._pending = []

    def take(self, head: bytes, names: list[str], records: list[Record]) -> None:
        """The next records are of names of their own; of the last one, which has this head, more may come."""
        if self.records:
            self._into.restore(self.name, self.records)
        self.head, self.name, self.records = head, names[-1], [records.pop()]
        self._into.restore_heads(names[:-1], records)
        if self._extend is not None:
            self._extend(self._pending)
            self._extend(names)
            self._pending = []

    def end(self) -> None:
        """There are no more names."""
        if self.records:
            self._into.restore(self.name, self.records)
        if self._extend is not None:
            self._extend(self._pending)


def _by_kind(rows: list[Row]) -> Iterator[list[Row]]:
    """Yields runs of rows of one kind."""
    while rows:
        kind = rows[0][0][0]
        if rows[-1][0][0] == kind:
            yield rows
            return
        end = next(i for i, each in enumerate(rows) if each[0][0] != kind)
        yield rows[:end]
        rows = rows[end:]


def _end_of_name(key: bytes, start: int) -> int:
    """Returns where the escaped name that begins at `start` ends, its end mark included."""
    end = key.index(b"\0", start)
    while key[end + 1 : end + 2] == b"\xff":
        end = key.index(b"\0", end + 2)
    return end + 1


def _unescaped(key: bytes, start: int) -> bytes:
    """Returns the name that takes all of a key from `start` on, its end mark included."""
    return key[start:-1].replace(b"\0\xff", b"\0")


def load(
    rows: Iterable[Row], label: StateLabel, shard: int = 0, journal: Journal | None = None
) -> tuple[Machine, list[bytes]]:
    """Returns the machine that rows, sorted by key, were written of, and keys of rows to delete.

    The short way, without pauses. Raises DamagedRow.
    """
    machine = Machine(shard, journal=journal)
    loader = Loader(machine, label)
    loader.feed(list(rows))
    loader.finish()
    return machine, loader.beyond

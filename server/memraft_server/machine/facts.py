"""How facts are written down: each as one row, a key and a value, which sort into the order of loading.

::

    entries      a  version of the first                      -> times, then seeds, 8 bytes an entry each
    namespace    b  number:4  version                         -> its name
    fork         b  number:4  base  version [version of end]  -> its name and who made it
    collection   c  namespace:4  number:4  version            -> name, dimension, metric, fingerprint
    floor        d  namespace:4  name\\0  version             -> how far the past reaches back
    event        e  namespace:4  stream\\0  sequence  version  -> hash, author, type, payload
    events       e  namespace:4  stream\\0  sequence  their number:4  version
                                                              -> hashes, author, types, ends, payloads
    document     k  namespace:4  key\\0  version               -> one version of it
    setting      f, node g, edge h, influence i, lease l, counter n, gate o: likewise
    merge        p, receipt q, trace t: likewise
    memory       m  namespace:4  version [version of death]   -> all of it
    embedded     m  namespace:4  version  version             -> the version of the memory, components
    model        j  namespace:4  version                      -> a step of the move to another embedding model
    run          r  namespace:4  version [version of its end] -> what it began, or ended, with
    state        s  namespace:4  name\\0  version              -> one version of it
    embedding    w  namespace:4  version of its model  version -> the version of the memory, components
    vector       v  namespace:4  collection:4  version [death] -> id, metadata, components
    forgotten    y  namespace:4  number\\0  version            -> why a memory ended; the number counts down
    session      x  tenant\\0  client\\0                        -> floor and last use
    kept reply   x  tenant\\0  client\\0  1  request number      -> the reply

Numbers are big-endian, of 8 bytes where nothing else is said. All but sessions and their replies never change
once written, and end with the version that made them: so a record as of a version is found by a seek, and
what a save that was cut short left behind is known by its versions, which are above the label's index.

A value ends with four bytes of CRC-32 over key and value. The checksum of something with its own checksum is
a constant (`RESIDUE`), which saves cutting it off to check it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from struct import Struct
from typing import Any
from zlib import crc32

import msgspec
import numpy as np

from memraft_server.machine.limits import POSITION_BITS
from memraft_server.projections import notes
from memraft_server.projections.events import EventBlock, event_key
from memraft_server.projections.notes import Fact, end_of_name, escaped
from memraft_server.projections.versions import Author, Record

RESIDUE = 0x2144DF1C
CRC_BYTES = 4
NUMBER_BYTES = 8

HAS_VALUE, HAS_EXPIRY = 1, 2
"""Flags of a version of a document or named record; then come the expiry, the author and the value."""

Row = tuple[bytes, bytes]
Change = tuple[bytes, bytes | None]
"""A row to put, or the key of one to delete."""

_AUTHORS_MAX = 4_096
_two = Struct(">QQ").pack
_number = Struct(">Q").pack
_length = Struct(">I").pack
_crc = Struct("<I").pack
_decode_author = msgspec.msgpack.Decoder(tuple[str, str, str]).decode
encode_body = msgspec.msgpack.Encoder().encode


class StateLabel(msgspec.Struct, frozen=True, array_like=True):
    """What a set of rows is the state of.

    Attributes:
        applied_index: The last entry with commands that was applied. Rows of versions above do not belong.
        applied_hash: The machine's hash after it.
        last_time_us: Its commit time in microseconds since the epoch.
        rows: How many rows there are.
        session_us: The time of client sessions then, in microseconds; 0 where it is not known.
    """

    applied_index: int = 0
    applied_hash: bytes = bytes(16)
    last_time_us: int = 0
    rows: int = 0
    session_us: int = 0


def row(key: bytes, body: bytes) -> Row:
    """Returns a row with its checksum."""
    return key, body + crc32(body, crc32(key)).to_bytes(CRC_BYTES, "little")


def record_of(value: bytes, version: int, author: Callable[[bytes], Author]) -> Record:
    """Returns the version of a record that its row tells of; see `HAS_VALUE`.

    Args:
        value: Of the row.
        version: From its key.
        author: Gives the author whose encoding this is.
    """
    flags, at, expires_at_us = value[0], 1, 0
    if flags & HAS_EXPIRY:
        expires_at_us, at = int.from_bytes(value[1:9]), 9
    end = at + 4 + int.from_bytes(value[at : at + 4])
    data = value[end:-CRC_BYTES] if flags & HAS_VALUE else None
    return Record(data, version, author(value[at + 4 : end]), expires_at_us)


def decode_author(encoded: bytes) -> Author:
    """Returns the author of an encoding in a row."""
    return Author(*_decode_author(encoded))


def is_intact(key: bytes, value: bytes) -> bool:
    """Whether a row is what was once written under this key."""
    return crc32(value, crc32(key)) == RESIDUE


def is_beyond(key: bytes, ceiling: bytes) -> bool:
    """Whether a row is of a version above `ceiling`, 8 bytes, and so not part of the state."""
    return key[-NUMBER_BYTES:] > ceiling and key[:1] != notes.SESSION


def ceiling_of(label: StateLabel) -> bytes:
    """Returns the highest version that belongs to a state, 8 bytes."""
    return (((label.applied_index + 1) << POSITION_BITS) - 1).to_bytes(NUMBER_BYTES, "big")


class Encoder:
    """Turns facts into rows: about a microsecond each."""

    def __init__(self) -> None:
        self._authors: dict[Author, bytes] = {}
        self._kinds: dict[int, Callable[[Any], Row]] = {
            notes.ENTRIES[0]: _entries,
            notes.NAMESPACE[0]: _namespace,
            notes.COLLECTION[0]: _collection,
            notes.EVENT[0]: self._event,
            notes.MODEL[0]: _model,
            notes.MEMORY[0]: _memory,
            notes.EMBEDDING[0]: _embedding,
            notes.RUN[0]: _run,
            notes.VECTOR[0]: _vector,
        }
        self._record_kinds = frozenset(kind[0] for kind in notes.RECORD_KINDS)

    def rows(self, facts: Sequence[Fact]) -> list[Row]:
        """Returns one row a fact."""
        kinds, records = self._kinds, self._record_kinds
        rows: list[Row] = []
        add = rows.append
        known: bytes | None = None
        author: Author | None = None
        encoded = plain = b""
        for fact in facts:
            prefix = fact[0]
            if prefix is not known:
                if prefix[0] not in records:
                    add(kinds[prefix[0]](fact))
                    continue
                known = prefix
            # Nearly all facts are versions of records: no call for each, and its kind and author are those of
            # the last.
            _, name, record = fact
            if record.author is not author:
                author = record.author
                encoded = self._author(author)
                plain = b"\1" + encoded
            value = record.value
            if value is None:
                body = b"\0" + encoded
            elif record.expires_at_us:
                body = b"\3" + _number(record.expires_at_us) + encoded + value
            else:
                body = plain + value
            key = prefix + (name.encode() if "\0" not in name else escaped(name.encode())[:-1])
            key += end_of_name(record.version)
            add((key, body + _crc(crc32(body, crc32(key)))))
        return rows

    def _author(self, author: Author) -> bytes:
        authors = self._authors
        found = authors.get(author)
        if found is None:
            if len(authors) >= _AUTHORS_MAX:
                authors.clear()
            body = encode_body((author.agent, author.run, author.tool))
            found = authors[author] = _length(len(body)) + body
        return found

    def _event(self, fact: Any) -> Row:
        prefix, sequence, event, digest = fact
        if isinstance(event, EventBlock):
            return self._event_block(prefix, sequence, event, digest)
        type_ = event.type.encode()
        author = self._author(event.author)
        body = b"".join((digest, author, _length(len(type_)), type_, event.payload))
        return row(event_key(prefix, sequence, event), body)

    def _event_block(self, prefix: bytes, sequence: int, block: EventBlock, hashes: bytes) -> Row:
        types = encode_body(block.types)
        ends = np.asarray(block.ends, "<u4").tobytes()
        key = event_key(prefix, sequence, block)
        parts = [hashes, self._author(block.author), _length(len(types)), types, ends, block.data]
        checksum = reduce(lambda crc, part: crc32(part, crc), [key, *parts], 0)
        return key, b"".join([*parts, _crc(checksum)])  # as `row`, but copied once: it is up to 100 KB


def _entries(fact: Any) -> Row:
    prefix, first, times_us, seeds = fact
    columns = np.asarray(times_us, "<i8").tobytes() + np.asarray(seeds, "<u8").tobytes()
    return row(prefix + _number(first << POSITION_BITS), columns)


def _namespace(fact: Any) -> Row:
    if len(fact) == 3:
        prefix, origin, dropped = fact
        return row(prefix + _two(origin.base, origin.version) + _number(dropped), b"")
    prefix, version, name, origin = fact
    if origin is None:
        return row(prefix + _number(version), name.encode())
    author = origin.author
    body = encode_body((name, (author.agent, author.run, author.tool)))
    return row(prefix + _two(origin.base, version), body)


def _collection(fact: Any) -> Row:
    prefix, number, collection = fact
    settings = collection.settings
    body = encode_body((collection.name, settings.dimension, settings.metric, settings.fingerprint))
    return row(prefix + _length(number) + _number(collection.version), body)


def _memory(fact: Any) -> Row:
    if len(fact) == 3:
        prefix, item, (died, ender) = fact
        body = b"" if ender is None else encode_body((ender.agent, ender.run, ender.tool))
        return row(prefix + _two(item.version, died), body)
    if len(fact) == 5:
        prefix, born, version, embedding, _ = fact
        return row(prefix + _two(born, born), encode_body((version, embedding.tobytes())))
    prefix, item, embedding, fingerprint = fact
    author = item.author
    fields: tuple[Any, ...] = (
        item.id,
        item.text,
        item.metadata,
        item.about,
        item.kind,
        item.salience,
        (author.agent, author.run, author.tool),
        fingerprint,
        b"" if embedding is None else embedding.tobytes(),
    )
    validity = (item.valid_from_us, item.valid_until_us)
    later = (item.thread, item.speaker, item.pinned, item.expires_at_us)
    if any(later):  # rows of others stay as they always were
        fields += validity + later
    elif any(validity):
        fields += validity
    return row(prefix + _number(item.version), encode_body(fields))


def _model(fact: Any) -> Row:
    prefix, move, first = fact
    author, model = (move.author.agent, move.author.run, move.author.tool), move.model
    fields = (move.step, model.began, model.dimension, model.fingerprint, author, first)
    return row(prefix + _number(move.version), encode_body(fields))


def _embedding(fact: Any) -> Row:
    prefix, model, born, version, embedding = fact
    return row(prefix + _two(model, born), encode_body((version, embedding.tobytes())))


def _run(fact: Any) -> Row:
    if len(fact) == 3:
        prefix, run, ended = fact
        return row(prefix + _two(run.began_version, ended), encode_body((run.status, run.outputs)))
    prefix, run = fact
    author = run.author
    fields: tuple[Any, ...] = (run.run_id, (author.agent, author.run, author.tool), run.inputs)
    if run.recorded:  # rows of others stay as versions before this one wrote them
        fields += (True,)
    return row(prefix + _number(run.began_version), encode_body(fields))


def _vector(fact: Any) -> Row:
    if len(fact) == 3:
        prefix, born, died = fact
        return row(prefix + _two(born, died), b"")
    prefix, born, id, metadata, vector = fact
    return row(prefix + _number(born), encode_body((id, metadata, vector.tobytes())))

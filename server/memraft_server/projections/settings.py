"""Settings of a namespace: records like all others, with what follows from them at hand.

The name of a record says what it sets: `ttl`, `lru`, `schema:` and a prefix, and so on. A primitive with
settings of its own puts its records here too, and follows them (`VersionedRecords.follow`).
"""

from __future__ import annotations

import msgspec

from memraft_server.projections.forgetting import KEEP_ALL, keeping_of
from memraft_server.projections.notes import SETTING, Notes
from memraft_server.projections.recency import Recency
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import OrderedRecords, Record, VersionedRecords

SCHEMA = "schema:"
"""What the names of schemas begin with, before the prefix of the keys that they are for."""
TTL = "ttl"
BOUNDS = "lru"
RECEIPTS_TTL = "receipts_ttl"
RECALL = "recall"
MEMORIES = "memories"
_ALL = SETTING + b"all"


class Bounds(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How many documents there may be, and how many bytes of them; 0: any number."""

    entries_max: int = 0
    bytes_max: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode_bounds = msgspec.msgpack.Decoder(Bounds).decode
_UNBOUNDED = Bounds()


def ttl_of(record: Record | None) -> int:
    """Returns the milliseconds that a record of `TTL` sets; 0 for none."""
    return int(record.value) if record is not None and record.value is not None else 0


def bounds_of(record: Record | None) -> Bounds:
    """Returns what a record of `BOUNDS` sets."""
    return _decode_bounds(record.value) if record is not None and record.value is not None else _UNBOUNDED


def encode_ttl(ttl_ms: int) -> bytes:
    """Returns the value of a record of `TTL`."""
    return b"%d" % ttl_ms


def encode_bounds(bounds: Bounds) -> bytes:
    """Returns the value of a record of `BOUNDS`."""
    return _encode(bounds)


class SettingsProjection:
    """The settings of one namespace.

    Args:
        usage: Of the namespace.
        notes: Of the namespace.
        documents: What the settings are for.
    """

    __slots__ = (
        "_documents", "_version", "bounds", "memories", "receipts_ttl_ms", "recency", "records", "schemas",
        "schemas_version",
        "ttl_ms",
    )  # fmt: skip

    def __init__(self, usage: Usage, notes: Notes | None, documents: VersionedRecords) -> None:
        self.records = OrderedRecords(usage, notes, SETTING)
        self.ttl_ms = 0
        """Until documents expire that are written without a time to live; 0: never."""
        self.receipts_ttl_ms = 0
        """Until receipts of recalls are over; 0: never."""
        self.bounds = _UNBOUNDED
        self.memories = KEEP_ALL
        """How many memories are kept."""
        self.recency: Recency | None = None
        """Where there are bounds: what they count. Of a fork, what was written in it."""
        self.schemas: dict[str, bytes] = {}
        """Prefix of keys -> the JSON Schema of their documents, as JSON text."""
        self.schemas_version = 0
        """Of the last change of a schema; 0: there was none."""
        self._documents = documents
        self._version = 0
        """Of the last change."""
        before: SettingsProjection | None = notes.join(_ALL, self) if notes is not None else None
        is_whole = notes is not None and notes.waiting is None
        if before is not None and is_whole and before._version <= self.records.base:
            self._begin_as(before)
            self.records.follow_own(self)
        else:
            self.records.follow(self)

    def _begin_as(self, before: SettingsProjection) -> None:
        """Takes over what another has, of which nothing is too late: every transaction begins as here, and
        must not go through the past of all settings."""
        self._version, self.ttl_ms = before._version, before.ttl_ms
        self.receipts_ttl_ms = before.receipts_ttl_ms
        self.schemas, self.schemas_version = before.schemas.copy(), before.schemas_version
        self.bounds, self.memories = before.bounds, before.memories
        self._count(self.bounds != _UNBOUNDED)

    def changed(self, name: str, old: Record | None, new: Record) -> None:
        """See `projections.versions.Follower`."""
        self._version = max(self._version, new.version)
        if name.startswith(SCHEMA):
            self.schemas_version = max(self.schemas_version, new.version)
            prefix = name[len(SCHEMA) :]
            if new.value is None:
                self.schemas.pop(prefix, None)
            else:
                self.schemas[prefix] = new.value
        elif name == TTL:
            self.ttl_ms = ttl_of(new)
        elif name == RECEIPTS_TTL:
            self.receipts_ttl_ms = ttl_of(new)
        elif name == BOUNDS:
            self.bounds = bounds_of(new)
            self._count(self.bounds != _UNBOUNDED)
        elif name == MEMORIES:
            self.memories = keeping_of(new)

    @property
    def is_over(self) -> bool:
        """Whether there are more documents than there may be."""
        recency, bounds = self.recency, self.bounds
        return recency is not None and recency.is_over(bounds.entries_max, bounds.bytes_max)

    def victims(self, count_max: int) -> list[str]:
        """Returns the keys of documents that have to go, at most `count_max`."""
        recency, bounds = self.recency, self.bounds
        if recency is None:
            return []
        return recency.victims(bounds.entries_max, bounds.bytes_max, count_max)

    def touch(self, key: str) -> None:
        """A document was read."""
        if self.recency is not None:
            self.recency.touch(key)

    def loaded(self) -> None:
        """All documents are here, told in the order of their keys."""
        if self.recency is not None:
            self.recency.fill(self._documents)

    def _count(self, is_bounded: bool) -> None:
        if is_bounded and self.recency is None:
            self.recency = Recency()
            self._documents.notify(self.recency)
            self.recency.fill(self._documents)
        elif not is_bounded and self.recency is not None:
            self._documents.unfollow(self.recency)
            self.recency = None

"""Records under names, every version kept: the base of documents (kv) and of named state."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

import msgspec

from memraft_server.projections.keys import KeyIndex
from memraft_server.projections.notes import Notes, record_key
from memraft_server.projections.usage import Usage

NOW = 1 << 62
"""The ceiling of a read of now: above every version."""

VERSION_BYTES = 160
NAME_BYTES = 80
"""What a version takes beside its value, and a name beside its characters."""


class Author(msgspec.Struct, frozen=True, gc=False):
    """Who wrote: one object for all records that an agent wrote in the same run with the same tool."""

    agent: str
    run: str
    tool: str


NOBODY = Author("", "", "")
EXPIRED = Author("", "", "expiry")
EVICTED = Author("", "", "eviction")
PRUNED = Author("", "", "pruning")
"""Who ends documents and memories, beside those who delete them."""


class Record(msgspec.Struct, gc=False):
    """One version. `value` is None where the version is a deletion or an expiry."""

    value: bytes | None
    version: int
    author: Author
    expires_at_us: int


def version_of(record: Record) -> int:
    """Returns the record's version; the key of binary searches."""
    return record.version


class Follower(Protocol):
    """An index that is kept up to date with records: the other half of a projection."""

    def changed(self, name: str, old: Record | None, new: Record) -> None:
        """`new` has become the latest version of `name`, after `old` if there was one.

        Either may be a deletion. Called for every version of a name in order: at once when it is applied, or
        for one name after the other when records come from a disk or the follower begins to follow.
        """


def _count_at(cold: array[int], ceiling: int) -> int:
    """Returns how many of the versions in pairs of version and size are not above `ceiling`."""
    return bisect_right(range(0, len(cold), 2), ceiling, key=cold.__getitem__)


class VersionedRecords:
    """Names with their records. The head of a name is one dictionary look-up away; its past is a sorted list.

    The past of a name is a list and not a chain of records: freeing a long chain would recurse in C once a
    version, and a read of the past searches in it instead of walking. Of what is older than the list (see
    `projections.past`), only versions and sizes are in memory.

    The records of a fork hold only what was written in the fork. What is not here is asked of the parent's,
    as of the version of the fork at most: so making a fork copies nothing. All that is here is younger.
    """

    __slots__ = (
        "_add", "_followers", "_leave", "_notes", "_prefix", "cold", "heads", "on_gone", "parent", "past",
        "usage",
    )  # fmt: skip

    def __init__(self, usage: Usage, notes: Notes | None = None, kind: bytes = b"") -> None:
        self.heads: dict[str, Record] = {}
        """The latest version of every name that ever was, deletions included."""
        self.past: dict[str, list[Record]] = {}
        """Older versions, oldest first, of names that have any."""
        self.cold: dict[str, array[int]] = {}
        """Versions that are older still, only on the disk: pairs of version and size, -1 for a deletion."""
        self.on_gone: Callable[[str], object] | None = None
        """Called with a name of which nothing is left."""
        self.usage = usage
        self._notes = notes
        self._add = notes.add if notes is not None else None
        self._prefix = notes.prefix(kind) if notes is not None else b""
        past = notes.past if notes is not None else None
        self._leave = past.add if past is not None else None
        self._followers: tuple[Follower, ...] = ()
        self.parent: VersionedRecords | None = notes.join(kind, self) if notes is not None else None
        """Of a fork: the records that it goes back to."""

    @property
    def reads(self) -> int:
        """How many versions were read from the disk so far, by all records of the machine."""
        past = self._notes.past if self._notes is not None else None
        return past.reads if past is not None else 0

    @property
    def base(self) -> int:
        """Of a fork: the highest version of its parent that it has."""
        return self._notes.base if self._notes is not None else 0

    def follow(self, follower: Follower) -> None:
        """Tells `follower` all that there is, what a fork has of its parent included, and from now on every
        change."""
        if self._notes is not None and self._notes.waiting is not None:
            self._notes.waiting.append(lambda: self.follow(follower))
            return
        self._followers += (follower,)
        self._tell_all(follower, NOW)

    def follow_own(self, follower: Follower) -> None:
        """As `follow`, but without what a fork has of its parent: for an index that asks the parent's."""
        self._followers += (follower,)
        for name, head in self.heads.items():
            self._tell((follower,), name, [*self._replaced(name), head])

    def notify(self, follower: Follower) -> None:
        """Tells `follower` every change from now on, and nothing of what there is."""
        self._followers += (follower,)

    def unfollow(self, follower: Follower) -> None:
        """Tells `follower` nothing any more."""
        self._followers = tuple(each for each in self._followers if each is not follower)

    def head(self, name: str) -> Record | None:
        """Returns the latest version of `name` if it has a value."""
        record = self.heads.get(name)
        if record is None:
            return self._inherited(name)
        return record if record.value is not None else None

    def at(self, name: str, ceiling: int) -> Record | None:
        """Returns the version of `name` as of `ceiling` (included) if it had a value then."""
        record = self.heads.get(name)
        if record is None:
            return self._inherited(name, ceiling)
        if record.version > ceiling:
            past = self.past.get(name)
            position = bisect_right(past, ceiling, key=version_of) if past else 0
            if past is None or position == 0:
                return self._older(name, ceiling)
            record = past[position - 1]
        return record if record.value is not None else None

    def _older(self, name: str, ceiling: int) -> Record | None:
        """What there was as of `ceiling`, which is below all versions that are in memory."""
        cold = self.cold.get(name)
        place = _count_at(cold, ceiling) if cold is not None else 0
        if cold is None or place == 0:
            return self._inherited(name, ceiling)
        if cold[2 * place - 1] < 0:
            return None
        return self._read(name, cold[2 * place - 2])

    def _read(self, name: str, version: int) -> Record:
        """Reads a version that is only on the disk."""
        past = self._notes.past if self._notes is not None else None
        if past is None:
            raise LookupError(f"version {version} of {name!r} is nowhere")
        return past.record(record_key(self._prefix, name, version))

    def _replaced(self, name: str) -> list[Record]:
        """Returns all versions of a name but the latest, oldest first."""
        cold = self.cold.get(name, ())
        found = [self._read(name, version) for version in cold[::2]]
        found += self.past.get(name, ())
        return found

    def since(self, name: str, above: int) -> list[Record]:
        """Returns the versions of a name above version `above`, and the one before them, oldest first."""
        head = self.heads.get(name)
        if head is None or head.version <= above:
            return [head] if head is not None else []
        past = self.past.get(name, [])
        records = [*past, head] if past and past[0].version <= above else [*self._replaced(name), head]
        return records[max(0, bisect_right(records, above, key=version_of) - 1) :]

    def versions_of(self, name: str) -> list[int]:
        """Returns the numbers of all versions of a name that are kept, oldest first."""
        found = [*self.cold.get(name, ())[::2], *map(version_of, self.past.get(name, ()))]
        head = self.heads.get(name)
        return [*found, head.version] if head is not None else found

    def numbers(self, name: str, ceiling: int) -> list[int]:
        """Returns the numbers of all versions of a name that are kept, oldest first, none above `ceiling`; of
        a fork those of its parent, too."""
        found = self.parent.numbers(name, min(ceiling, self.base)) if self.parent is not None else []
        return found + [version for version in self.versions_of(name) if version <= ceiling]

    def _inherited(self, name: str, ceiling: int = NOW) -> Record | None:
        """What a fork has of its parent under `name`, as of `ceiling`."""
        return self.parent.at(name, min(ceiling, self.base)) if self.parent is not None else None

    def versions(self, name: str, ceiling: int, count_max: int) -> list[Record]:
        """Returns up to `count_max` versions of `name`, newest first, none above `ceiling`."""
        head = self.heads.get(name)
        found = []
        if head is not None:
            if head.version <= ceiling:
                found.append(head)
            past = self.past.get(name, [])
            end = bisect_right(past, ceiling, key=version_of)
            start = max(0, end - (count_max - len(found)))
            found.extend(reversed(past[start:end]))
            cold = self.cold.get(name)
            place = _count_at(cold, ceiling) if cold is not None else 0
            while cold is not None and place and len(found) < count_max:
                place -= 1
                found.append(self._read(name, cold[2 * place]))
        if self.parent is not None and len(found) < count_max:
            found += self.parent.versions(name, min(ceiling, self.base), count_max - len(found))
        return found

    def after(self, name: str, version: int) -> Record | None:
        """Returns the first version of `name` above `version`, which may be a deletion, or None."""
        if self.parent is not None and version < self.base:
            inherited = self.parent.after(name, version)
            if inherited is not None and inherited.version <= self.base:
                return inherited
        cold = self.cold.get(name)
        if cold is not None and cold[-2] > version:
            return self._read(name, cold[2 * _count_at(cold, version)])
        past = self.past.get(name, [])
        position = bisect_right(past, version, key=version_of)
        if position < len(past):
            return past[position]
        head = self.heads.get(name)
        return head if head is not None and head.version > version else None

    def changed(self, low: int, high: int) -> Iterator[str]:
        """Yields the names that were written or deleted here above version `low` and up to `high`; of a fork
        those of its parent are left out."""
        for name, head in self.heads.items():
            if head.version > low:
                if head.version <= high:
                    yield name
                    continue
                past = self.past.get(name, [])
                end = bisect_right(past, high, key=version_of)
                if end:
                    if past[end - 1].version > low:
                        yield name
                elif (cold := self.cold.get(name)) is not None:
                    place = _count_at(cold, high)
                    if place and cold[2 * place - 2] > low:
                        yield name

    def store(self, name: str, value: bytes, version: int, author: Author, expires_at_us: int) -> bool:
        """Makes `value` the latest version of `name`; returns whether the name is new to the index."""
        heads = self.heads
        usage = self.usage
        old = heads.get(name)
        record = heads[name] = Record(value, version, author, expires_at_us)
        if self._add is not None:
            self._add((self._prefix, name, record))
        if self._followers:
            before = old or self._inherited(name)
            for follower in self._followers:
                follower.changed(name, before, record)
        if old is None:
            usage.records += 1
            usage.bytes += len(value) + len(name) + VERSION_BYTES + NAME_BYTES
            return True
        usage.bytes += len(value) + VERSION_BYTES
        if old.value is None:
            usage.records += 1
        self._keep(name, old)
        return False

    def store_all(self, names: list[str], values: list[bytes], version: int, author: Author) -> list[str]:
        """Makes each value the latest version of its name, as `store` does, without a call for each.

        Args:
            names: One may stand there several times.
            values: As many.
            version: Of the first; each other one has the next.
            author: Of all.

        Returns:
            The names that are new to the index.
        """
        if self._followers:
            store = self.store
            pairs = enumerate(zip(names, values, strict=True), version)
            return [name for at, (name, value) in pairs if store(name, value, at, author, 0)]
        heads, add, prefix = self.heads, self._add, self._prefix
        fresh: list[str] = []
        revived = 0
        for name, value in zip(names, values, strict=True):
            old = heads.get(name)
            record = heads[name] = Record(value, version, author, 0)
            version += 1
            if add is not None:
                add((prefix, name, record))
            if old is None:
                fresh.append(name)
                continue
            if old.value is None:
                revived += 1
            self._keep(name, old)
        usage = self.usage
        usage.records += len(fresh) + revived
        size = sum(map(len, values)) + len(values) * VERSION_BYTES
        usage.bytes += size + sum(map(len, fresh)) + len(fresh) * NAME_BYTES
        return fresh

    def remove(self, name: str, version: int, author: Author) -> bool:
        """Makes a deletion the latest version of `name`; returns whether there was a value to delete."""
        old = self.heads.get(name)
        before = old or self._inherited(name)
        if before is None or before.value is None:
            return False
        record = self.heads[name] = Record(None, version, author, 0)
        if self._add is not None:
            self._add((self._prefix, name, record))
        for follower in self._followers:
            follower.changed(name, before, record)
        if old is None:
            self.usage.bytes += VERSION_BYTES + NAME_BYTES + len(name)
            return True
        self.usage.records -= 1
        self.usage.bytes += VERSION_BYTES
        self._keep(name, old)
        return True

    def restore(self, name: str, records: list[Record]) -> None:
        """Takes all versions of a name that is not here yet, oldest first, as they once were stored."""
        if self._followers:
            self._tell(self._followers, name, records)
        head = self.heads[name] = records.pop()
        size = len(name) + NAME_BYTES + VERSION_BYTES
        if head.value is not None:
            self.usage.records += 1
            size += len(head.value)
        if records:
            size += len(records) * VERSION_BYTES + sum(len(each.value or b"") for each in records)
            if self._leave is None:
                self.past[name] = records
            else:
                self._to_cold(name, records)
        self.usage.bytes += size

    def cool(self, name: str, record: Record, saved: int) -> None:
        """Lets go of `record`, the oldest version of a name in memory, and of all up to version `saved` that
        newer ones have replaced: they are on the disk. Does nothing where it is gone already."""
        past = self.past.get(name)
        if not past or past[0] is not record:
            return
        end = bisect_right(past, saved, key=version_of)
        self._to_cold(name, past[:end])
        del past[:end]
        if not past:
            del self.past[name]

    def _to_cold(self, name: str, records: list[Record]) -> None:
        cold = self.cold.get(name)
        if cold is None:
            cold = self.cold[name] = array("q")
        for each in records:
            cold.append(each.version)
            cold.append(len(each.value) if each.value is not None else -1)

    def trim(self, name: str, through: int, pin: int) -> tuple[int, int]:
        """Forgets versions of a name for ever: up to `through`, as far as newer ones have replaced them, and
        a deletion that nothing older is left of.

        Args:
            name: Of the record.
            through: The newest version to forget.
            pin: A version as of which somebody may still read: what was replaced above it stays.

        Returns:
            How many versions went, and the version from which on reads are as they were; 0 where none went.
        """
        head = self.heads.get(name)
        if head is None:
            return 0, 0
        gone: list[int] = []
        kept = 0
        for version in self._each_version(name, head):  # of a name with a million only those that go
            if kept:
                if kept > through or version > pin:
                    break
                gone.append(kept)
            kept = version
        is_gone = kept == head.version <= min(through, pin) and head.value is None and self.parent is None
        self._forget(name, len(gone))
        if is_gone:
            gone.append(kept)
            self._forget_name(name)
        if gone and self._notes is not None and self._notes.delete is not None:
            prefix = self._prefix
            self._notes.delete([record_key(prefix, name, version) for version in gone])
        return (len(gone), kept) if gone else (0, 0)

    def _each_version(self, name: str, head: Record) -> Iterator[int]:
        """The numbers of all versions of a name that are kept, oldest first."""
        cold = self.cold.get(name)
        if cold is not None:
            yield from islice(cold, 0, None, 2)
        yield from map(version_of, self.past.get(name, ()))
        yield head.version

    def count_replaced(self, name: str) -> int:
        """Returns how many versions of a name are kept that newer ones have replaced."""
        return len(self.cold.get(name, ())) // 2 + len(self.past.get(name, ()))

    def oldest(self, name: str, count_max: int) -> list[int]:
        """Returns the numbers of the first `count_max` versions of a name that are kept, oldest first."""
        head = self.heads.get(name)
        return list(islice(self._each_version(name, head), count_max)) if head is not None else []

    def _forget(self, name: str, count: int) -> None:
        """Drops the oldest versions of a name, but not the latest."""
        if not count:
            return
        self.usage.bytes -= count * VERSION_BYTES
        cold = self.cold.get(name)
        if cold is not None:
            gone = min(count, len(cold) // 2)
            self.usage.bytes -= sum(max(0, size) for size in cold[1 : 2 * gone : 2])
            del cold[: 2 * gone]
            if not cold:
                del self.cold[name]
            count -= gone
        past = self.past.get(name)
        if count and past is not None:
            self.usage.bytes -= sum(len(each.value or b"") for each in past[:count])
            del past[:count]
            if not past:
                del self.past[name]

    def _forget_name(self, name: str) -> None:
        """Drops a name whose latest version, a deletion, is all that is left."""
        del self.heads[name]
        self.usage.bytes -= VERSION_BYTES + NAME_BYTES + len(name)
        if self.on_gone is not None:
            self.on_gone(name)

    def restore_heads(self, names: list[str], records: list[Record]) -> None:
        """Takes names that are not here yet, each with its only version, which has a value."""
        self.heads.update(zip(names, records, strict=True))
        if self._followers:
            for name, record in zip(names, records, strict=True):
                self._tell(self._followers, name, [record])
        self.usage.records += len(names)
        self.usage.bytes += (NAME_BYTES + VERSION_BYTES) * len(names)
        self.usage.bytes += sum(map(len, names)) + sum([len(record.value or b"") for record in records])

    def _tell_all(self, follower: Follower, ceiling: int) -> None:
        if self.parent is not None:
            self.parent._tell_all(follower, min(self.base, ceiling))
        for name, head in self.heads.items():
            records = [*self._replaced(name), head]
            if head.version > ceiling:
                del records[bisect_right(records, ceiling, key=version_of) :]
            self._tell((follower,), name, records)

    def _tell(self, followers: tuple[Follower, ...], name: str, records: list[Record]) -> None:
        before = self._inherited(name)
        for follower in followers:
            old = before
            for record in records:
                follower.changed(name, old, record)
                old = record

    def _keep(self, name: str, old: Record) -> None:
        if self._leave is not None:
            self._leave((self, name, old))
        past = self.past.get(name)
        if past is None:
            self.past[name] = [old]
        else:
            past.append(old)


class OrderedRecords(VersionedRecords):
    """Records that can also be read in the order of their names."""

    __slots__ = ("keys",)

    def __init__(self, usage: Usage, notes: Notes | None = None, kind: bytes = b"") -> None:
        super().__init__(usage, notes, kind)
        self.keys = KeyIndex()
        """Every name that ever was."""
        if isinstance(self.parent, OrderedRecords):
            self.keys.base = self.parent.keys

    def store(self, name: str, value: bytes, version: int, author: Author, expires_at_us: int) -> bool:
        """As `VersionedRecords.store`."""
        is_new = super().store(name, value, version, author, expires_at_us)
        if is_new:
            self.keys.add(name)
        return is_new

    def restore(self, name: str, records: list[Record]) -> None:
        """As `VersionedRecords.restore`."""
        super().restore(name, records)
        self.keys.add(name)

    def restore_heads(self, names: list[str], records: list[Record]) -> None:
        """As `VersionedRecords.restore_heads`."""
        super().restore_heads(names, records)
        for name in names:
            self.keys.add(name)

    def _forget_name(self, name: str) -> None:
        super()._forget_name(name)
        self.keys.discard(name)

    def scan(self, start: str, end: str, prefix: str, ceiling: int) -> Iterator[tuple[str, Record | None]]:
        """Yields (name, record as of `ceiling` or None) for every name that ever was in the range, in order.

        Args:
            start: The first name, included.
            end: The name to stop before; empty: none.
            prefix: Only names that begin with it.
            ceiling: The highest version to see.
        """
        at = self.at
        for name in self.keys.from_name(max(start, prefix)):
            if (end and name >= end) or not name.startswith(prefix):
                return
            yield name, at(name, ceiling)

"""Receipts of recalls, and which answers were made from what was recalled.

A receipt is a record of kind RECEIPT under its id; it is written once and ends when its time to live is over.
Indexes follow the records: the receipts of every run, and how often each memory was recalled. Those of a fork
hold what was recalled in the fork, and ask the parent's for the rest.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from typing import Any

import msgspec

from memraft_server.projections.notes import INFLUENCE, RECEIPT, Notes
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import NOW, OrderedRecords, Record

SEPARATOR = "\x1f"
"""Between the answer and the receipt in the name of an influence. No id that callers give has it."""
CHANGED_MAX = 4_096
"""Memories that are noted as used; of more nothing is known."""

ACCESS_BYTES = 8
"""What one memory of a receipt takes in the index, or one of an influence."""

_RECEIPT_INDEX = RECEIPT + b"index"
_INFLUENCE_INDEX = INFLUENCE + b"index"
_PORTION_NAMES = 256
_AFTER_ALL = "~"
"""Sorts behind all ids of receipts."""


class ReceiptHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What indexes need of a receipt: the beginning of its body."""

    ids: tuple[str, ...]
    """Of the memories that were returned, best first."""
    versions: tuple[int, ...]
    """The version of each."""
    agent: str
    run: str
    turn: str


class ReceiptBody(ReceiptHead, array_like=True, frozen=True, gc=False):
    """What the record of a receipt holds; `recall.proto` says what it means."""

    recalled_at_us: int
    request: bytes
    applied_index: int
    applied_time_us: int
    fingerprint: str
    pipeline: int
    embedding_hash: bytes
    scores: bytes
    """Of each memory: a float of four bytes, little-endian."""
    signals: bytes
    """Why each memory was found, as it was answered; nothing here reads it. Empty: nothing is said."""
    is_cut: bool = False


class InfluenceBody(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the record of an influence holds: the memories that were used, and which version of each."""

    ids: tuple[str, ...]
    versions: tuple[int, ...]


encode_receipt: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
decode_receipt = msgspec.msgpack.Decoder(ReceiptBody).decode
decode_head = msgspec.msgpack.Decoder(ReceiptHead).decode
decode_influence = msgspec.msgpack.Decoder(InfluenceBody).decode


class Access(msgspec.Struct, frozen=True, gc=False):
    """How often a memory was used, and the version of the newest record that says so; 0: none does."""

    count: int
    last_version: int


_NEVER = Access(0, 0)


def _last(versions: array[int], ceiling: int) -> int:
    """Returns the last of these up to `ceiling`; 0: there is none."""
    if versions[-1] <= ceiling:
        return versions[-1]
    count = bisect_right(versions, ceiling)
    return versions[count - 1] if count else 0


class Uses:
    """How often memories were used: of each, the versions of the records that name it, in order."""

    __slots__ = ("_base", "_newest", "_parent", "_usage", "_versions", "changed")

    def __init__(self, usage: Usage, parent: Uses | None, base: int) -> None:
        self._usage = usage
        self._versions: dict[str, array[int]] = {}
        self._parent = parent
        self._base = base
        self._newest = 0
        self.changed: list[str] | None = None
        """The memories whose uses have changed since `recall.uses` asked for them; None: any may have."""

    def is_now(self, ceiling: int) -> bool:
        """Whether nothing was used after a version, and all uses are here, none in what this is a fork of."""
        return self._parent is None and self._newest <= ceiling

    def of(self, id: str, ceiling: int = NOW) -> Access:
        """Returns the uses of a memory as of version `ceiling`.

        Only records that are still kept count: those of a receipt whose time to live is over do not, whatever
        the ceiling. So replicas agree, however long each of them runs.
        """
        versions = self._versions.get(id)
        own = _NEVER
        if versions is not None:
            count = len(versions) if ceiling >= versions[-1] else bisect_right(versions, ceiling)
            if count:
                own = Access(count, versions[count - 1])
        if self._parent is None:
            return own
        before = self._parent.of(id, min(ceiling, self._base))
        return Access(own.count + before.count, own.last_version or before.last_version)

    def last_versions(self, ids: Sequence[str], ceiling: int = NOW) -> list[int]:
        """Returns `of(id, ceiling).last_version` of each memory."""
        known = self._versions
        if self._parent is not None:
            return [self.of(id, ceiling).last_version for id in ids]
        if not known:
            return [0] * len(ids)
        return [0 if each is None else _last(each, ceiling) for each in map(known.get, ids)]

    def add(self, ids: tuple[str, ...], version: int) -> None:
        """A record names these memories."""
        self._newest = max(self._newest, version)
        self._note(ids)
        for id in ids:
            versions = self._versions.get(id)
            if versions is None:
                self._versions[id] = array("Q", (version,))
            elif versions[-1] <= version:
                versions.append(version)
            else:  # from a disk they come in the order of their names
                insort(versions, version)
        self._usage.bytes += ACCESS_BYTES * len(ids)

    def discard(self, ids: tuple[str, ...], version: int) -> None:
        """A record that named these memories is over."""
        self._note(ids)
        for id in ids:
            versions = self._versions.get(id)
            place = bisect_left(versions, version) if versions is not None else 0
            if versions is None or place == len(versions) or versions[place] != version:
                continue
            del versions[place]
            self._usage.bytes -= ACCESS_BYTES
            if not versions:
                del self._versions[id]

    def _note(self, ids: tuple[str, ...]) -> None:
        changed = self.changed
        if changed is not None:
            changed.extend(ids)
            if len(changed) > CHANGED_MAX:
                self.changed = None


class ReceiptsProjection:
    """The receipts of one namespace."""

    __slots__ = ("_by_run", "_first", "_parent", "_run_of", "accesses", "records")

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.records = OrderedRecords(usage, notes, RECEIPT)
        self._parent: ReceiptsProjection | None = (
            notes.join(_RECEIPT_INDEX, self) if notes is not None else None
        )
        before = self._parent.accesses if self._parent is not None else None
        self.accesses: Uses = Uses(usage, before, self.records.base)
        """How often each memory was recalled."""
        self._by_run: dict[str, list[str]] = {}
        self._run_of: dict[str, str] = {}
        """The runs of those that are over, until they are gone for ever."""
        self._first = ""
        """All that sort before this are over."""
        self.records.follow_own(self)
        self.records.on_gone = self._gone

    def changed(self, name: str, old: Record | None, new: Record) -> None:
        """See `projections.versions.Follower`."""
        if old is not None and old.value is not None:
            head = decode_head(old.value)
            self.accesses.discard(head.ids, old.version)
            if head.run:
                self._run_of[name] = head.run
        if new.value is not None:
            head = decode_head(new.value)
            self.accesses.add(head.ids, new.version)
            self._first = min(self._first, name)
            if head.run:
                names = self._by_run.setdefault(head.run, [])
                if not names or names[-1] < name:
                    names.append(name)
                elif names[bisect_left(names, name)] != name:
                    insort(names, name)

    def names(self, run: str = "", below: str = _AFTER_ALL) -> Iterator[str]:
        """Yields the ids of receipts that ever were, newest first.

        Args:
            run: Only those of this run; empty: all.
            below: Only those that sort before this.
        """
        own = self._of_run(run, below) if run else self._all(below)
        if self._parent is None:
            yield from own
        else:
            yield from merge(own, self._parent.names(run, below), reverse=True)

    def oldest(self, count_max: int) -> list[str]:
        """Returns the ids of the first receipts that were made here and are kept, at most `count_max`."""
        heads, keys = self.records.heads, self.records.keys
        found: list[str] = []
        start = self._first
        while len(found) < count_max and (names := keys.portion(start, _AFTER_ALL, _PORTION_NAMES)):
            found += [name for name in names if heads[name].value is not None]
            start = names[-1] + "\0"
            self._first = found[0] if found else start
        return found[:count_max]

    def _gone(self, name: str) -> None:
        """Nothing is left of a receipt, not even for reads of the past."""
        run = self._run_of.pop(name, "")
        names = self._by_run.get(run, [])
        place = bisect_left(names, name)
        if place < len(names) and names[place] == name:
            del names[place]
            if not names:
                del self._by_run[run]

    def _of_run(self, run: str, below: str) -> Iterator[str]:
        names = self._by_run.get(run, [])
        for place in range(bisect_left(names, below) - 1, -1, -1):
            yield names[place]

    def _all(self, below: str) -> Iterator[str]:
        while names := self.records.keys.portion("", below, _PORTION_NAMES, descending=True):
            yield from names
            below = names[-1]


class InfluencesProjection:
    """Which answers of one namespace were made from which memories of which receipts."""

    __slots__ = ("influences", "records")

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.records = OrderedRecords(usage, notes, INFLUENCE)
        parent: InfluencesProjection | None = notes.join(_INFLUENCE_INDEX, self) if notes else None
        before = parent.influences if parent is not None else None
        self.influences: Uses = Uses(usage, before, self.records.base)
        """How many answers were made from each memory."""
        self.records.follow_own(self)

    def changed(self, name: str, old: Record | None, new: Record) -> None:
        """See `projections.versions.Follower`."""
        if old is not None and old.value is not None:
            self.influences.discard(decode_influence(old.value).ids, old.version)
        if new.value is not None:
            self.influences.add(decode_influence(new.value).ids, new.version)

    def of_answer(self, answer_id: str, ceiling: int) -> Iterator[tuple[str, Record]]:
        """Yields the ids of the receipts that an answer was made from, with the records that say so."""
        prefix = answer_id + SEPARATOR
        for name, record in self.records.scan("", "", prefix, ceiling):
            if record is not None:
                yield name[len(prefix) :], record

"""Which documents a query has to look at: where it begins, what it passes over, in which portions.

A query reads at one version, and so do all pages of it. An index holds what is now; what it held at that
version is the same but for the documents that changed since, which are looked at beside it. In a fork they
are those too that were written there, so that a fork uses the indexes of its parent.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from itertools import islice

import msgspec

from memraft_server.machine.limits import Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.projections.collation import field_of
from memraft_server.projections.confines import Interval, confines, is_points
from memraft_server.projections.field_index import (
    CHANGES_MAX,
    PORTION_KEYS,
    FieldIndex,
    cost_of,
    decoded,
    entry_of,
    key_of,
)
from memraft_server.projections.filters import Predicate
from memraft_server.projections.versions import Record

INDEX_SETTING = "index:"
"""What the names of the settings that declare indexes begin with, before the field."""

GATHERED_MAX = 10_000
"""Up to so many candidates are put in the order of their keys; of more, all documents are gone through."""

Order = tuple[tuple[tuple[str, ...], bool], ...]
"""(path, whether descending) of each field that is sorted by."""


class Lost(Exception):
    """So much has changed that an index no longer knows what it held."""


class Asked(msgspec.Struct, frozen=True):
    """A query, taken apart.

    Attributes:
        space: Where.
        ceiling: The highest version to see.
        predicate: The filter's; None: all pass.
        filter: The filter as it came.
        prefix, start, end: Which keys, as in `kv.list`.
        order: What it is sorted by; empty: by key.
        after: The key of the last document of the page before; None: there was none.
        limit: Documents of a page.
    """

    space: Namespace
    ceiling: int
    predicate: Predicate | None
    filter: bytes
    prefix: str
    start: str
    end: str
    order: Order
    after: str | None
    limit: int

    def has_key(self, key: str) -> bool:
        """Whether a key is within the range."""
        return key.startswith(self.prefix) and key >= self.start and not (self.end and key >= self.end)

    def record(self, key: str) -> Record | None:
        """Returns the document under a key."""
        return self.space.kv.records.at(key, self.ceiling)

    def passes(self, record: Record) -> bool:
        """Whether a document passes the filter."""
        return self.predicate is None or self.predicate(decoded(record.value or b""))


class Seen:
    """An index as a namespace sees it at a version.

    Args:
        index: Of the namespace, or of one that it is a fork of.
        ceiling: The highest version to see there.
        overlays: What was written in the forks between.
    """

    def __init__(self, index: FieldIndex, ceiling: int, overlays: list[Collection[str]]) -> None:
        self.index = index
        self._ceiling = ceiling
        self._overlays = overlays

    def changed(self) -> set[str]:
        """Returns the keys of the documents of which the index says nothing. Raises Lost."""
        changed = self.index.changed_since(self._ceiling)
        if changed is None or not self.index.is_ready:
            raise Lost
        return set(changed).union(*self._overlays)


def seen_index(space: Namespace, field: str, ceiling: int) -> Seen | None:
    """Returns the index on a field, if one is declared, is built, and reaches back to a version."""
    if space.settings is None or space.settings.records.head(INDEX_SETTING + field) is None:
        return None
    overlays: list[Collection[str]] = []
    at = space
    while (index := at.kv.indexes.get(field)) is None:
        heads = at.kv.records.heads
        if at.origin is None or len(heads) > CHANGES_MAX:
            return None
        overlays.append(heads)
        ceiling = min(ceiling, at.origin.base)
        at = at.origin.parent
    seen = Seen(index, ceiling, overlays)
    try:
        seen.changed()
    except Lost:
        return None
    return seen


class Plan(msgspec.Struct, frozen=True):
    """How to find what a query asks for.

    Attributes:
        way: `scan`: all keys in order; `points`: an index, in the order of keys; `gather`: all that lies in
            an index, in the order of keys; `stream`: an index, in its own order.
        seen: The index; None with `scan`.
        intervals: Where to look in it.
    """

    way: str
    seen: Seen | None = None
    intervals: tuple[Interval, ...] = ()


SCAN = Plan("scan")


def plan_of(asked: Asked, limits: Limits) -> Plan:
    """Returns the way with the fewest documents to look at, as far as indexes tell."""
    options: dict[str, tuple[int, Plan]] = {}
    for field, intervals in confines(asked.filter).items():
        seen = seen_index(asked.space, field, asked.ceiling)
        if seen is not None:
            way = "points" if is_points(intervals) else "gather"
            options[field] = seen.index.count(intervals), Plan(way, seen, intervals)
    if not options:
        return SCAN
    best = min(options, key=lambda field: options[field][0])
    count, plan = options[best]
    if not asked.order:
        return plan if plan.way == "points" or count <= GATHERED_MAX else SCAN
    [path, _], is_single = asked.order[0], len(asked.order) == 1
    by_order = options.get(".".join(path)) if is_single else None
    if by_order is not None and (count > GATHERED_MAX or ".".join(path) == best):
        return msgspec.structs.replace(by_order[1], way="stream")
    return msgspec.structs.replace(plan, way="gather") if count <= limits.scan_keys_max else SCAN


def key_portions(asked: Asked, plan: Plan) -> Iterator[list[str]]:
    """Yields candidates in the order of keys, each once: sorted queries have all, others those after the
    page before. Raises Lost."""
    first = max(asked.start, asked.prefix)
    if asked.after is not None and not asked.order:
        first = max(first, f"{asked.after}\0")
    if plan.way == "gather":
        yield from _gathered(asked, plan, first)
        return
    while True:
        keys = _scanned(asked, first) if plan.seen is None else _pointed(plan.seen, plan.intervals, first)
        inside = [key for key in keys if asked.has_key(key)]
        yield inside
        if len(keys) < PORTION_KEYS or len(inside) < len(keys):
            return
        first = f"{keys[-1]}\0"


def _scanned(asked: Asked, first: str) -> list[str]:
    return list(islice(asked.space.kv.keys.from_name(first), PORTION_KEYS))


def _pointed(seen: Seen, intervals: tuple[Interval, ...], first: str) -> list[str]:
    found = {key for key in seen.changed() if key >= first}
    for low, high in intervals:
        found.update(map(key_of, seen.index.entries.portion(low + first, high, PORTION_KEYS)))
    return sorted(found)[:PORTION_KEYS]


def _gathered(asked: Asked, plan: Plan, first: str) -> Iterator[list[str]]:
    if plan.seen is None:
        return
    index, changed = plan.seen.index.entries, plan.seen.changed()
    found: list[str] = []
    for low, high in plan.intervals:
        found += index.portion(low, high, index.count(low, high))
    keys = sorted(changed)
    if not asked.order:
        keys, found = sorted(changed.union(map(key_of, found))), []
    for start in range(0, len(found), PORTION_KEYS):
        part = [key_of(entry) for entry in found[start : start + PORTION_KEYS]]
        yield [key for key in part if key not in changed and asked.has_key(key)]
    keys = keys[bisect_left(keys, first) :]
    for start in range(0, len(keys), PORTION_KEYS):
        yield [key for key in keys[start : start + PORTION_KEYS] if asked.has_key(key)]


class Stream:
    """Goes through an index in its own order, portion by portion.

    Args:
        asked: Sorted by the field of the index.
        plan: Its way is `stream`.
        after: The entry to go on after; None: from the beginning.
    """

    def __init__(self, asked: Asked, plan: Plan, after: str | None) -> None:
        if plan.seen is None:
            raise ValueError("there is no index to go through")
        self._asked = asked
        self._seen = plan.seen
        self._intervals = list(plan.intervals)
        self._is_descending = asked.order[0][1]
        self._at = after
        self._changed: set[str] = set()
        self._extras: list[str] = []
        """Entries that changed documents had, in order."""

    def portions(self) -> Iterator[list[str]]:
        """Yields entries in order: what the index had at the version. Raises Lost."""
        is_descending = self._is_descending
        while True:
            while self._note_changed():
                yield []
            found = self._next()
            is_last = len(found) < PORTION_KEYS
            extras = self._extras_to(None if is_last else found[-1])
            if found:
                self._at = found[-1]
            entries = [each for each in found if key_of(each) not in self._changed] + extras
            yield sorted(entries, reverse=is_descending)
            if is_last:
                return

    def _note_changed(self) -> bool:
        """Notes entries that changed documents had; returns whether there are more of them."""
        path, cost = self._asked.order[0][0], 0
        for key in self._seen.changed() - self._changed:
            if cost >= PORTION_KEYS:
                return True
            self._changed.add(key)
            record = self._asked.record(key)
            cost += cost_of(record)
            if record is not None and self._asked.passes(record):
                self._extras.append(entry_of(field_of(decoded(record.value or b""), path), key))
        self._extras.sort()
        return False

    def _next(self) -> list[str]:
        entries = self._seen.index.entries
        found: list[str] = []
        for low, high in reversed(self._intervals) if self._is_descending else self._intervals:
            room = PORTION_KEYS - len(found)
            if self._is_descending:
                high = high if self._at is None else min(high, self._at)
            else:
                low = low if self._at is None else max(low, f"{self._at}\0")
            if room and low < high:
                found += entries.portion(low, high, room, descending=self._is_descending)
        return found

    def _extras_to(self, last: str | None) -> list[str]:
        """Extras from where the stream is, excluded, to an entry, included; None: to the end."""
        extras, at = self._extras, self._at
        if self._is_descending:
            end = len(extras) if at is None else bisect_left(extras, at)
            return extras[0 if last is None else bisect_left(extras, last) : end]
        start = 0 if at is None else bisect_right(extras, at)
        return extras[start : None if last is None else bisect_right(extras, last)]

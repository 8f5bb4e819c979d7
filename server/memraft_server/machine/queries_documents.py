"""Answers queries of documents: filter, order, page, and which fields.

All pages of a query are read at the version of the first, which the cursor carries; so what is written
between them neither doubles nor drops a document. The work is done in portions, so that others may run in
between: what a query sees does not change meanwhile, because it has a version.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from memraft_proto.v1 import query_pb2
from memraft_server.machine import cursors
from memraft_server.machine.limits import POSITION_BITS
from memraft_server.machine.lookups import (
    SCAN,
    Asked,
    Lost,
    Order,
    Plan,
    Stream,
    key_portions,
    plan_of,
)
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.retention import refuse_before
from memraft_server.machine.turn import PortionedQuery, View
from memraft_server.machine.validate_vectors import parse_filter
from memraft_server.projections.collation import field_of, sort_text
from memraft_server.projections.field_index import PORTION_KEYS, cost_of, decoded, entry_of, key_of
from memraft_server.projections.versions import Record

LIMIT_DEFAULT = 100
_RECORD_WIRE_BYTES = 24
_COLD = 20
"""Documents in memory that one on the disk takes as long as."""

Found = tuple[tuple[str, ...], str, Record]
"""(texts that sort as the fields do, key, record)."""

Tree = dict[str, Any]
"""Name of a member -> the tree of what is wanted of it, empty for all of it."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def query(
    view: View, space: Namespace, request: query_pb2.QueryRequest
) -> Iterator[query_pb2.QueryResponse | None]:
    """Yields None after each portion of the work, and at last the page."""
    asked, kind = _asked(view, space, request)
    response = query_pb2.QueryResponse(at_index=asked.ceiling >> POSITION_BITS)
    plan = plan_of(asked, view.limits)
    while True:
        page = _Page(view, asked, plan)
        steps = page.by_key() if not asked.order else page.streamed() if plan.way == "stream" else page.top()
        try:
            for _ in steps:
                yield None
                refuse_before(view.entries, space, asked.ceiling)  # it may have been forgotten meanwhile
            break
        except Lost:
            plan = SCAN  # it has to be done without the index, from the beginning
    response.scanned = page.looked
    if plan.seen is not None:
        response.index_used = plan.seen.index.field
    last = _fill(view, response, page.found, tuple(request.fields))
    if last is not None or page.goes_on:
        key = last if last is not None else page.last
        response.next_cursor = cursors.encode(kind, f"{asked.ceiling}:{key}")
    yield response


class _Page:
    """Gathers the documents of one page.

    Args:
        view: Of the read.
        asked: The query.
        plan: How to find them.
    """

    def __init__(self, view: View, asked: Asked, plan: Plan) -> None:
        self.found: list[Found] = []
        self.goes_on = False
        """Whether there may be more after `last`."""
        self.last = ""
        """The key of the last document that was looked at in order."""
        self.looked = 0
        self._asked = asked
        self._plan = plan
        self._looked_max = view.limits.scan_keys_max
        self._bytes_left = view.limits.page_bytes_max
        self._cost = 0
        self._cold = asked.space.kv.records.cold

    def by_key(self) -> Iterator[None]:
        """Takes documents in the order of keys until there are enough."""
        for keys in key_portions(self._asked, self._plan):
            for key in keys:
                if self._is_over():
                    return
                self._take(key, True)
                if self._is_due(key):
                    yield
            yield

    def streamed(self) -> Iterator[None]:
        """Takes documents in the order of the index until there are enough."""
        asked = self._asked
        path = asked.order[0][0]
        after = (
            None if asked.after is None else entry_of(field_of(_document_before(asked), path), asked.after)
        )
        for entries in Stream(asked, self._plan, after).portions():
            for entry in entries:
                if self._is_over():
                    return
                key = key_of(entry)
                self._take(key, asked.has_key(key))
                if self._is_due(key):
                    yield
            yield

    def top(self) -> Iterator[None]:
        """Looks at all documents and keeps those that come first, twice as many at most as are asked for."""
        asked = self._asked
        best = _Best(asked.order, asked.limit)
        if asked.after is not None:
            best.after = (_texts(asked.order, _document_before(asked)), asked.after, None)
        for keys in key_portions(asked, self._plan):
            for key in keys:
                if self.looked >= self._looked_max:
                    raise invalid(
                        f"sort: there are more than {self._looked_max} documents to put in order: narrow "
                        "them by prefix or range, or sort by one indexed field that the filter confines",
                        field="sort",
                        limit=str(self._looked_max),
                    )
                self.looked += 1
                record = asked.record(key)
                self._cost += cost_of(record)
                if record is not None:
                    document = decoded(record.value or b"")
                    if asked.predicate is None or asked.predicate(document):
                        best.add((_texts(asked.order, document), key, record))
                if self._is_due(key):
                    yield
            yield
        self.found = best.taken()
        if self.found:
            self.last = self.found[-1][1]
            self.goes_on = best.count > len(self.found)

    def _is_over(self) -> bool:
        """Whether the page ends before the next document; notes that there may be more then."""
        is_full = len(self.found) >= self._asked.limit or self._bytes_left < 0
        # The place to go on at must be a document of the version that is read.
        self.goes_on = is_full or (self.looked >= self._looked_max and bool(self.last))
        return self.goes_on

    def _take(self, key: str, is_inside: bool) -> None:
        self.looked += 1
        record = self._asked.record(key)
        self._cost += cost_of(record)
        if record is None:
            return
        self.last = key
        if is_inside and self._asked.passes(record):
            self.found.append(((), key, record))
            self._bytes_left -= len(record.value or b"")

    def _is_due(self, key: str) -> bool:
        """Whether so much was done that others should have their turn."""
        if key in self._cold:
            self._cost += _COLD
        if self._cost < PORTION_KEYS:
            return False
        self._cost = 0
        return True


class _Best:
    """The documents that come first, of all that are added.

    Args:
        order: What is sorted by.
        limit: How many are wanted.
    """

    def __init__(self, order: Order, limit: int) -> None:
        self.after: Any = None
        """What all must come after; None: nothing."""
        self.count = 0
        """How many do."""
        self._directions = [is_descending for _, is_descending in order]
        self._limit = limit
        self._rows: list[Found] = []
        self._bar: Found | None = None

    def add(self, row: Found) -> None:
        """Takes one in, where it can still be among the first."""
        if self.after is not None and not self._is_before(self.after, row):
            return
        self.count += 1
        if self._bar is not None and not self._is_before(row, self._bar):
            return
        self._rows.append(row)
        if len(self._rows) >= 2 * self._limit + PORTION_KEYS:
            self._bar = self.taken()[-1]

    def taken(self) -> list[Found]:
        """Returns the first of them in order; the others are dropped."""
        rows = self._rows
        rows.sort(key=lambda row: row[1], reverse=self._directions[-1])
        for place in reversed(range(len(self._directions))):
            rows.sort(key=lambda row: row[0][place], reverse=self._directions[place])
        del rows[self._limit :]
        return rows

    def _is_before(self, row: Found, other: Found) -> bool:
        for mine, theirs, is_descending in zip(row[0], other[0], self._directions, strict=True):
            if mine != theirs:
                return mine > theirs if is_descending else mine < theirs
        return row[1] > other[1] if self._directions[-1] else row[1] < other[1]


def _asked(view: View, space: Namespace, request: query_pb2.QueryRequest) -> tuple[Asked, str]:
    """Returns the query taken apart, and the kind of its cursors."""
    order = tuple((tuple(each.field.split(".")), each.descending) for each in request.sort)
    ranges = (request.prefix, request.start, request.end)
    kind = cursors.kind_of("query", request.filter, *ranges, order, tuple(request.fields))
    ceiling = min(view.ceiling, ((view.entries.last_index + 1) << POSITION_BITS) - 1)
    after = None
    if request.cursor:
        pinned, after = _place(kind, request.cursor)
        _check_pinned(view, pinned, ceiling)
        refuse_before(view.entries, space, pinned)
        ceiling = pinned
    asked = Asked(
        space,
        ceiling,
        parse_filter(request.filter, view.limits),
        request.filter,
        *ranges,
        order,
        after,
        min(request.limit or LIMIT_DEFAULT, view.limits.page_items_max),
    )
    return asked, kind


def _place(kind: str, cursor: str) -> tuple[int, str]:
    number, mark, key = cursors.decode(kind, cursor).partition(":")
    if not (mark and number.isascii() and number.isdigit() and len(number) <= 20 and key):
        raise invalid("cursor: not the next_cursor of a page of this call", field="cursor")
    return int(number), key


def _check_pinned(view: View, pinned: int, ceiling: int) -> None:
    """Refuses a page at a version that this replica has not applied, or later than is asked for."""
    index = pinned >> POSITION_BITS
    if pinned <= ceiling:
        return
    if view.is_now:
        raise Refused(
            "LAGGING",
            f"cursor: the first page was read at log index {index}; this replica has applied "
            f"{view.entries.last_index}",
        )
    raise invalid(
        f"cursor: the first page was read at log index {index}, later than context.at: leave that out, or "
        "repeat what the first page was read at",
        field="cursor",
    )


def _texts(order: Order, document: Any) -> tuple[str, ...]:
    return tuple([sort_text(field_of(document, path)) for path, _ in order])


def _document_before(asked: Asked) -> Any:
    """The last document of the page before."""
    record = asked.record(asked.after or "")
    if record is None:
        raise invalid("cursor: not the next_cursor of a page of this call", field="cursor")
    return decoded(record.value or b"")


def _fill(
    view: View, response: query_pb2.QueryResponse, found: list[Found], fields: tuple[str, ...]
) -> str | None:
    """Writes documents into the page as far as it holds them; returns the last key where it does not."""
    tree = _tree(fields)
    size = 0
    for _, key, record in found:
        value = record.value or b""
        if tree:
            value = _encode(_projected(value, tree))
        size += len(key) + len(value) + _RECORD_WIRE_BYTES
        if size > view.limits.page_bytes_max and response.keys:
            return response.keys[-1]
        response.keys.append(key)
        response.values.append(value)
        response.versions.append(record.version)
        response.times_us.append(view.time_us(record.version))
    return None


def _tree(fields: tuple[str, ...]) -> Tree:
    tree: Tree = {}
    for field in sorted(fields, key=len, reverse=True):  # a field whole goes over parts of it
        *path, last = field.split(".")
        at = tree
        for segment in path:
            at = at.setdefault(segment, {})
        at[last] = {}
    return tree


def _projected(value: bytes | msgspec.Raw, tree: Tree) -> dict[str, Any]:
    """Returns those members of a document that are wanted, each as the bytes that it came in."""
    try:
        members = _members(value)
    except msgspec.MsgspecError:
        return {}
    found: dict[str, Any] = {}
    for name, wanted in tree.items():
        member = members.get(name)
        if member is None:
            continue
        if not wanted:
            found[name] = member
        elif bytes(member).lstrip()[:1] == b"{":
            found[name] = _projected(member, wanted)
    return found


PORTIONED: dict[str, PortionedQuery] = {"Query": query}

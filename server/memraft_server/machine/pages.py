"""Pages of named records, in order of name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from memraft_server.machine import cursors
from memraft_server.machine.turn import View
from memraft_server.projections.versions import OrderedRecords

_ITEM_WIRE_BYTES = 32


def named(
    view: View, records: OrderedRecords, call: str, request: Any, response: Any
) -> Iterator[tuple[str, bytes]]:
    """Yields (name, value) of a page of records that exist as of the view.

    A page ends at the first of: records, bytes, names looked at. The response is given the name, version and
    commit time of each, and the cursor of the next page; its values are the caller's to add.

    Args:
        view: As of when.
        records: Which ones.
        call: What cursors of these pages are called.
        request: Has `prefix`, `limit` and `cursor`.
        response: Has `names`, `versions`, `times_us` and `next_cursor`.
    """
    limits = view.limits
    items_max = min(request.limit or 1000, limits.page_items_max)
    kind = cursors.kind_of(call, request.prefix)
    start = cursors.decode(kind, request.cursor) if request.cursor else ""
    size = count = 0
    for looked, (name, record) in enumerate(records.scan(start, "", request.prefix, view.ceiling)):
        value = record.value if record is not None else None
        size += len(name) + len(value) + _ITEM_WIRE_BYTES if value is not None else 0
        is_full = value is not None and (count >= items_max or (size > limits.page_bytes_max and count))
        if is_full or looked >= limits.scan_keys_max:
            response.next_cursor = cursors.encode(kind, name)
            return
        if record is not None and value is not None:
            count += 1
            response.names.append(name)
            response.versions.append(record.version)
            response.times_us.append(view.time_us(record.version))
            yield name, value

"""Which rows of a store are sealed into a segment next, and which segments are made one.

Rows that are coming are sealed by themselves, and segments of about one size made one, so that a row is
encoded about log2(rows) times in its life. Once no more are coming, what is left joins the segment before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from memraft_server.projections.ann import SCANNED_ROWS_MAX, Segment

SEAL_SHARE = 1 / 32
SEAL_ROWS_OF_LARGE = 8192
"""Unsealed rows are left to be more than a store asks for while they are fewer than this part of what is
sealed, up to so many: many small segments of a large store are many to build and to merge, and a search of it
takes as long as of so many rows anyway."""

QUIET_ROWS = 64
QUIET_SHARE = 1 / 32
"""Unsealed rows worth adding to a segment once no more are coming: so many, and this part of the segment."""

SEGMENT_ROWS_MAX = 524_288
"""A segment this large is left alone: it takes two seconds of processor to build, and 3 to 4 ms to search on
a busy machine. Of a million rows two take 7.7 ms there and four 9.1: in each some 220 rows are compared
exactly."""

SEGMENTS_MAX = 4
"""More at the end that would fit into one are merged: each costs a search some 20 us. Wherever some of about
one size fit into one, these are, too."""

Bounds = tuple[int, int]
"""Rows, from the first to before the second."""


def sealed_from(seal_rows: int, sealed_count: int) -> int:
    """Returns how many unsealed rows are worth codes while more are coming, beside these that are sealed."""
    return max(seal_rows, min(int(sealed_count * SEAL_SHARE), SEAL_ROWS_OF_LARGE))


def sealing(segments: Sequence[Segment], count: int, quiet: bool) -> Bounds:
    """Returns the rows of a segment that the unsealed ones are put into.

    Args:
        segments: All there are.
        count: Of all rows, more than are in these.
        quiet: Whether no more rows are coming.
    """
    sealed = segments[-1].stop if segments else 0
    first = _absorbing(segments, len(segments), count - sealed)
    if quiet and first == len(segments) and is_worth_adding(segments, count - sealed):
        first -= 1
    start = segments[first].start if first < len(segments) else sealed
    return start, min(count, start + SEGMENT_ROWS_MAX)


def is_worth_adding(segments: Sequence[Segment], tail: int) -> bool:
    """Whether to build the last segment anew with so many rows behind it: it has to be small."""
    if not segments:
        return False
    last = segments[-1]
    return (
        0 < last.count <= SCANNED_ROWS_MAX
        and tail >= max(QUIET_ROWS, last.count * QUIET_SHARE)
        and last.span + tail <= SEGMENT_ROWS_MAX
    )


def mergeable(segments: Sequence[Segment]) -> Bounds | None:
    """Returns the rows whose segments are to be made one."""
    if (first := _merge_from(segments)) is not None:
        return segments[first].start, segments[-1].stop
    most: Bounds | None = None
    for first in range(len(segments)):
        last, rows, largest = first, 0, 0
        while last < len(segments) and rows + segments[last].span <= SEGMENT_ROWS_MAX:
            rows += segments[last].span
            largest = max(largest, segments[last].span)
            last += 1
        # The new one is twice as large as any of them: so a row is encoded about log2(rows) times.
        if 2 * largest <= rows and last - first >= (most[1] - most[0] if most is not None else 2):
            most = first, last
    return (segments[most[0]].start, segments[most[1] - 1].stop) if most is not None else None


def scattered(segments: Sequence[Segment]) -> Bounds | None:
    """Returns the rows of the last segments that are to be made one once no more rows are coming, so that a
    small store at rest has one."""
    first, rows, rows_max = len(segments), 0, min(SCANNED_ROWS_MAX, SEGMENT_ROWS_MAX)
    while first > 0 and rows + segments[first - 1].span <= rows_max:
        first -= 1
        rows += segments[first].span
    return (segments[first].start, segments[-1].stop) if len(segments) - first > 1 else None


def _merge_from(segments: Sequence[Segment]) -> int | None:
    """From which segment on to make one of those at the end, where there are too many of them."""
    first, rows = len(segments), 0
    while first > 0 and rows + segments[first - 1].span <= SEGMENT_ROWS_MAX:
        first -= 1
        rows += segments[first].span
    if len(segments) - first <= SEGMENTS_MAX:
        return None
    return min(_absorbing(segments, len(segments) - 1, segments[-1].span), len(segments) - 2)


def _absorbing(segments: Sequence[Segment], end: int, rows: int) -> int:
    """From which segment on to build one anew, given `rows` rows behind segment `end`: one that is not larger
    than all that comes behind it is built anew with it."""
    while end > 0 and segments[end - 1].span <= min(rows, SEGMENT_ROWS_MAX - rows):
        end -= 1
        rows += segments[end].span
    return end

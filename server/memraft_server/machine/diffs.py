"""What is not the same: at two moments, in a namespace and its fork, in what two runs did and left behind."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

import msgspec

from memraft_proto.methods import METHODS
from memraft_proto.v1 import fork_pb2, run_pb2
from memraft_server.machine import cursors
from memraft_server.machine.contents import (
    LEASE,
    RUN,
    STREAM,
    TRACE,
    Content,
    Item,
    changed_between,
    contents_of,
    shown_name,
    shown_record,
)
from memraft_server.machine.forks import refuse_unrelated
from memraft_server.machine.limits import POSITION_BITS, POSITIONS_MAX
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import BrokenInvariant, Refused, invalid
from memraft_server.machine.replays import (
    REPLAYED_STEPS_MAX,
    Handlers,
    Replay,
    existing_run,
    ghost_of,
    recorded_steps,
)
from memraft_server.machine.retention import refuse_before
from memraft_server.machine.steps import Likeness, difference, shown_value
from memraft_server.machine.turn import View
from memraft_server.projections.events import EventRecord
from memraft_server.projections.streams import Stream, StreamsProjection
from memraft_server.projections.versions import NOW

PAGE_DEFAULT = 1_000
_WIRE_BYTES = 64
_SHOWN_EVENTS = 5
_COMPARED_MAX = 1_000
_END_OF_KIND = "\0"
_OF_LEASES = frozenset(METHODS[name].kind for name in ("AcquireLease", "RenewLease", "ReleaseLease"))
"""Not compared: when a lock is had and how often it is renewed is a matter of time, and of others."""


def diff(view: View, space: Namespace, request: fork_pb2.DiffRequest) -> fork_pb2.DiffResponse:
    """Lists what is not the same on two sides, as much as fits a page."""
    other = related(view, space, request.from_namespace)
    left = (other, _from_ceiling(view, request))
    refuse_before(view.entries, *left)
    right = (space, view.ceiling)
    lefts, rights = contents_of(other), contents_of(space)
    kinds = [kind for kind in rights if not request.kinds or kind in request.kinds]
    unknown = sorted(set(request.kinds) - set(rights))
    if unknown:
        raise invalid(f"kinds: there is no kind {unknown[0]!r}; there are {', '.join(rights)}", field="kinds")
    pages = cursors.kind_of("diff", request.from_namespace, left[1], *sorted(request.kinds))
    asked = cursors.decode(pages, request.cursor) if request.cursor else ""
    start_kind, _, start_name = asked.partition(_END_OF_KIND)
    items_max = min(request.limit or PAGE_DEFAULT, view.limits.page_items_max)
    response = fork_pb2.DiffResponse()
    size = 0
    for kind in kinds:
        if kind < start_kind:
            continue
        names = changed_between(kind, left, right) or set()
        first = start_name if kind == start_kind else ""
        for name in sorted(name for name in names if name >= first):
            was, now = lefts[kind].at(name, left[1]), rights[kind].at(name, right[1])
            if _is_same(was, now):
                continue
            if kind == STREAM:
                was, now = _from_first_difference(left, right, name, was, now)
            found = _shown(kind, name, was, now)
            size += found.ByteSize() + _WIRE_BYTES
            if response.records and (len(response.records) >= items_max or size > view.limits.page_bytes_max):
                response.next_cursor = cursors.encode(pages, f"{kind}{_END_OF_KIND}{name}")
                return response
            response.records.append(found)
    return response


def related(view: View, space: Namespace, name: str) -> Namespace:
    """Returns the namespace `name`, or `space` where it is empty.

    Raises:
        Refused: `UNRELATED`: they are no forks of one another or of one namespace; `NO_SUCH_FORK`.
    """
    if not name or name == space.name or not space.name:  # without a name: nothing was ever written in it
        return space
    refuse_unrelated(space.name, name)
    found = view.spaces.find(name)
    if found is None:  # the parent of a fork, which there must be
        raise BrokenInvariant(f"namespace {name!r} is missing beside {space.name!r}")
    return found


def _from_ceiling(view: View, request: fork_pb2.DiffRequest) -> int:
    at = request.WhichOneof("from")
    if at is None:
        return NOW
    if at == "from_index":
        index = request.from_index
        if index > view.entries.last_index:
            raise Refused("AT_IN_FUTURE", f"from_index: {index} is above the last, {view.entries.last_index}")
    else:
        if request.from_time_us < 0:
            raise invalid("from_time_us: microseconds since the Unix epoch, not negative")
        index = max(0, view.entries.index_at(request.from_time_us))
    return index << POSITION_BITS | (POSITIONS_MAX - 1)


def _is_same(left: Item | None, right: Item | None) -> bool:
    if left is None or right is None:
        return left is right
    return left.version == right.version or left.value == right.value


def _from_first_difference(
    left: tuple[Namespace, int], right: tuple[Namespace, int], name: str, was: Item | None, now: Item | None
) -> tuple[Item | None, Item | None]:
    """Returns two sides of a stream as what is shown of them: some events from the first that differs."""
    streams = [space.projection(StreamsProjection).find(name) for space, _ in (left, right)]
    mine, other = (each or Stream("", name, b"") for each in streams)
    counts = mine.count_at(left[1]), other.count_at(right[1])
    gone, end = max(mine.forgotten, other.forgotten), min(counts)
    # A hash covers all events before it, so the first that differs is found by halves. Of merged streams the
    # chains differ from the merge on, and events have to be compared.
    sequences = range(gone + 1, end + 1)
    first = (
        gone + 1 + bisect_left(sequences, True, key=lambda each: mine.hash_of(each) != other.hash_of(each))
    )
    last_compared = min(end, first + _COMPARED_MAX)
    while first <= last_compared and _said(mine.events[first - 1]) == _said(other.events[first - 1]):
        first += 1
    sides = []
    for stream, count, item in ((mine, counts[0], was), (other, counts[1], now)):
        if item is not None:
            events = stream.events[first - 1 : min(count, first - 1 + _SHOWN_EVENTS)]
            shown = {"last_sequence": count, "from_sequence": first, "events": _plain_events(events)}
            item = Item(item.version, msgspec.json.encode(shown))
        sides.append(item)
    return sides[0], sides[1]


def _said(event: EventRecord) -> tuple[str, bytes]:
    return event.type, event.payload


def _plain_events(events: Iterable[EventRecord]) -> list[dict[str, Any]]:
    return [{"type": event.type, "payload": msgspec.Raw(event.payload or b"null")} for event in events]


def _shown(kind: str, name: str, left: Item | None, right: Item | None) -> run_pb2.RecordDifference:
    return run_pb2.RecordDifference(
        kind=kind,
        name=shown_name(kind, name),
        left_version=left.version if left is not None else 0,
        right_version=right.version if right is not None else 0,
        left=shown_value(shown_record(kind, left.value) if left is not None else None),
        right=shown_value(shown_record(kind, right.value) if right is not None else None),
    )


def diff_runs(
    view: View, space: Namespace, request: run_pb2.DiffRunsRequest, handlers: Handlers
) -> run_pb2.DiffRunsResponse:
    """Compares the recorded commands of two runs, and what each leaves behind where it is applied alone."""
    other_space = related(view, space, request.other_namespace)
    likeness = Likeness()
    likeness.equate(request.run_id, request.other_run_id)
    likeness.equate(f"run/{request.run_id}", f"run/{request.other_run_id}")
    sides = []
    for each, run_id in ((space, request.run_id), (other_space, request.other_run_id)):
        run, recording = existing_run(view, each, run_id)
        steps = recorded_steps(recording, view.ceiling, REPLAYED_STEPS_MAX)
        replay = Replay(view.entries, ghost_of(each, run.began_version), handlers)
        if not request.steps_only:
            for event, step in steps:
                replay.apply(event, step)
        compared = [step for _, step in steps if step.kind not in _OF_LEASES]
        sides.append((compared, replay.space, run_id))
    (mine, left, _), (theirs, right, _) = sides
    response = run_pb2.DiffRunsResponse(steps=len(mine), other_steps=len(theirs))
    for number, (a, b) in enumerate(zip_longest(mine, theirs), 1):
        if a is None or b is None or not likeness.is_like(a, b):
            response.first_difference.CopyFrom(difference(number, a, b))
            break
        response.common_steps = number
    own = {f"run/{run_id}" for _, _, run_id in sides}
    limit = min(request.limit or PAGE_DEFAULT, view.limits.page_items_max)
    for found in _left_behind(left, right, own):
        if len(response.records) >= limit or response.ByteSize() > view.limits.page_bytes_max:
            response.truncated = True
            break
        response.records.append(found)
    return response


def _left_behind(left: Namespace, right: Namespace, own: set[str]) -> Iterator[run_pb2.RecordDifference]:
    """Yields what two replays wrote differently, their own events and records of the runs and all
    traces aside: those are of a run, too, and were compared with its steps."""
    lefts, rights = contents_of(left), contents_of(right)
    for kind in lefts:
        if kind in (LEASE, RUN, TRACE):
            continue
        for name in sorted({*lefts[kind].changed(0, NOW), *rights[kind].changed(0, NOW)}):
            if kind == STREAM and name in own:
                continue
            was, now = (
                (_events(left, name), _events(right, name))
                if kind == STREAM
                else (_written(lefts[kind], name), _written(rights[kind], name))
            )
            if (was.value if was else None) != (now.value if now else None):
                yield _shown(kind, name, was, now)


def _written(content: Content, name: str) -> Item | None:
    return content.at(name, NOW)


def _events(space: Namespace, name: str) -> Item | None:
    """What a replay appended to a stream, as one item; None where it appended nothing."""
    stream = space.projection(StreamsProjection).streams.get(name)
    events = stream.own_events() if stream is not None else []
    if not events:
        return None
    return Item(events[-1].version, msgspec.json.encode(_plain_events(events)))

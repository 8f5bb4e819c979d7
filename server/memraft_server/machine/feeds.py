"""Answers calls with many responses: what follows a stream or watches changes, as steps that never wait.

A feed holds no data but a place: the next sequence, the last version. Each step reads from there what has
been applied. Who serves it repeats the step whenever the feed's wake was called, so that for a reader that is
slow nobody has to buffer: `following` does so on a node, `embedded` in process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from google.protobuf.message import Message

from memraft_proto.v1 import stream_pb2, watch_pb2
from memraft_server.machine.changes import Change, Wake, changes_after
from memraft_server.machine.handlers_memories import memory_record, memory_wire_bytes
from memraft_server.machine.limits import POSITION_BITS, Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.queries_kv import end_reason
from memraft_server.machine.refused import invalid
from memraft_server.machine.retention import refuse_before
from memraft_server.machine.scans import Scan
from memraft_server.machine.traces import CONTENTS, fill_trace, trace_wire_bytes
from memraft_server.machine.turn import Check, Query, View
from memraft_server.machine.validate_common import check_now, check_text, shown
from memraft_server.projections import notes
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.traces import decode_trace
from memraft_server.projections.versions import NOBODY, Author, Record

if TYPE_CHECKING:
    from memraft_server.machine.machine import Machine

PAGE_CHANGES_MAX = 1_000

KINDS = {
    watch_pb2.WATCH_TARGET_KV: notes.DOCUMENT,
    watch_pb2.WATCH_TARGET_STATE: notes.STATE,
    watch_pb2.WATCH_TARGET_MEMORIES: notes.MEMORY,
    watch_pb2.WATCH_TARGET_TRACES: notes.TRACE,
}
_FILTERS = {notes.DOCUMENT: ("prefix",), notes.STATE: ("prefix",), notes.MEMORY: ("about", "kind")}
_FILTERS[notes.TRACE] = ("run", "kind")
"""Kind -> the fields of a request that say which of it."""
_CHANGE_WIRE_BYTES = 120


class Feed(Protocol):
    """What answers one call with many responses. Not thread-safe, like its machine."""

    is_behind: bool
    """Whether `next` had nothing to say but has more to do: call it again, after others had a turn."""

    def next(self) -> Message | None:
        """Returns the next response, or None where there is nothing to say by now."""

    def quiet(self) -> Message:
        """Returns a response without content, which says how far the replica is."""

    def close(self) -> None:
        """Wakes nobody any more."""


def open_feed(machine: Machine, name: str, request: Any, first: Any, wake: Wake) -> Feed:
    """Begins to follow, directly after the first response of a call.

    Args:
        machine: Which has just answered.
        name: Of the call, as in `METHODS`.
        request: Kept and changed.
        first: What `Machine.query` answered.
        wake: Called whenever there may be more; different for every feed.
    """
    if name == "TailStream":
        return TailFeed(machine, request, first.next_sequence, wake)
    return WatchFeed(machine, request, first.after_version, wake)


class TailFeed:
    """The events of a stream from a sequence on."""

    is_behind = False

    def __init__(
        self, machine: Machine, request: stream_pb2.TailStreamRequest, sequence: int, wake: Wake
    ) -> None:
        self._machine = machine
        self._request = request
        self._wake = wake
        request.from_sequence = sequence
        space = machine.space(request.namespace)
        machine.changes.follow_stream(space, request.namespace, request.stream, wake)

    def next(self) -> Message | None:
        response: Any = self._machine.query("TailStream", self._request)
        if not response.events:
            return None
        self._request.from_sequence = response.next_sequence
        message: Message = response
        return message

    def quiet(self) -> Message:
        return self._machine.query("TailStream", self._request)

    def close(self) -> None:
        request = self._request
        space = self._machine.space(request.namespace)
        self._machine.changes.leave_stream(space, request.namespace, request.stream, self._wake)


class WatchFeed:
    """The changes of what matches a request, above a version."""

    def __init__(self, machine: Machine, request: watch_pb2.WatchRequest, version: int, wake: Wake) -> None:
        self.is_behind = False
        self.version = version
        """All changes up to this one have been given out, or do not match."""
        self.wake = wake
        self._machine = machine
        self._request = request
        self._kind = KINDS[request.target]
        self._matches = _MATCHES[self._kind]
        self._scan: Scan | None = None
        space = machine.space(request.namespace)
        self._log = machine.changes.watch(space, request.namespace, self._kind, self, machine.ceiling)

    def next(self) -> Message | None:
        while True:
            changes = self._upcoming()
            self.is_behind = changes is None
            if not changes:
                return None
            response = self._response(changes)
            if response is not None:
                return response

    def quiet(self) -> Message:
        if self._scan is None and self._log.after(self.version, 1) == []:
            self.version = max(self.version, self._machine.ceiling)
        return self._stamped(watch_pb2.WatchResponse(after_version=self.version))

    def close(self) -> None:
        request = self._request
        space = self._machine.space(request.namespace)
        self._machine.changes.unwatch(space, request.namespace, self._kind, self)

    def _upcoming(self) -> list[Change] | None:
        """Returns the changes that come next; None where a scan for them is not done yet."""
        while True:
            scan = self._scan
            if scan is not None and scan.moves == self._log.moves:
                if not scan.is_done:
                    if not scan.step():
                        return None
                    self._refuse_if_forgotten()  # while it looked
                changes = changes_after(scan.found, self.version, PAGE_CHANGES_MAX)
                if changes:
                    return changes
                self.version = max(self.version, scan.ceiling)
            known = self._log.after(self.version, PAGE_CHANGES_MAX)
            if known is not None:
                self._scan = None
                return known
            space = self._refuse_if_forgotten()
            self._scan = Scan(space, self._kind, self.version, self._machine.ceiling, self._log.moves)

    def _refuse_if_forgotten(self) -> Namespace | None:
        """Refuses to go on where changes may be forgotten; returns the namespace, if it exists."""
        space = self._machine.space(self._request.namespace)
        if space is not None:
            _refuse_forgotten(self._machine.view, space, self.version)
        return space

    def _response(self, changes: list[Change]) -> Message | None:
        """Returns those that match and fit a page, and goes on to the last of them; None where none match."""
        response = watch_pb2.WatchResponse()
        size = 0
        for change in changes:
            if size > self._machine.limits.page_bytes_max and change.version != self.version:
                break
            self.version = change.version
            matched = self._matches(self._request, change)
            if matched is not None:
                size += _CHANGE_WIRE_BYTES + self._add(response, change, matched)
        if not response.changes:
            return None
        response.after_version = self.version
        return self._stamped(response)

    def _add(self, response: watch_pb2.WatchResponse, change: Change, is_there: bool) -> int:
        """Adds a change; returns about how many bytes it takes."""
        view, new = self._machine.view, change.new
        added = response.changes.add(key=change.name, deleted=not is_there)
        author = new.author if new is not None else self._ender(change.version)
        view.fill_provenance(added.provenance, change.version, author)
        if not is_there:
            if self._kind == notes.DOCUMENT:
                added.reason = end_reason(new)
            return len(change.name)
        if self._kind == notes.TRACE:
            fill_trace(view, added.trace, change.name, new)
            return trace_wire_bytes(new)
        if isinstance(new, Record):
            added.value, added.expires_at_us = new.value or b"", new.expires_at_us
            return len(change.name) + len(added.value)
        added.memory.CopyFrom(memory_record(view, new))
        return memory_wire_bytes(new)

    def _ender(self, version: int) -> Author:
        """Who forgot a memory."""
        space = self._machine.space(self._request.namespace)
        return space.projection(MemoryStore).ender(version) if space is not None else NOBODY

    def _stamped(self, response: watch_pb2.WatchResponse) -> Message:
        response.stamp.applied_index = self._machine.applied_index
        response.stamp.applied_time_us = self._machine.last_time_us
        return response


def _matches_record(request: watch_pb2.WatchRequest, change: Change) -> bool | None:
    """Whether there is what was asked for after a change; None: the change is none of it."""
    if not change.name.startswith(request.prefix):
        return None
    return change.new.value is not None


def _matches_memory(request: watch_pb2.WatchRequest, change: Change) -> bool | None:
    """As `_matches_record`. A memory that was replaced by one that is not asked for has ended."""

    def is_asked(item: Remembered | None) -> bool:
        return (
            item is not None
            and (not request.about or item.about == request.about)
            and (not request.kind or item.kind == request.kind)
        )

    if is_asked(change.new):
        return True
    return False if is_asked(change.old) else None


def _matches_trace(request: watch_pb2.WatchRequest, change: Change) -> bool | None:
    """As `_matches_record`."""
    value = change.new.value
    body = decode_trace(value) if value is not None else None
    is_asked = (
        body is not None
        and (not request.run or body.run == request.run)
        and (not request.kind or body.kind == CONTENTS[request.kind])
    )
    return True if is_asked else None


_MATCHES = {
    notes.DOCUMENT: _matches_record,
    notes.STATE: _matches_record,
    notes.MEMORY: _matches_memory,
    notes.TRACE: _matches_trace,
}


def _check_watch(request: watch_pb2.WatchRequest, limits: Limits) -> None:
    check_now(request.context)
    if request.target not in KINDS:
        raise invalid(
            f"target: {request.target}, one of WATCH_TARGET_KV, _STATE, _MEMORIES, _TRACES", field="target"
        )
    check_text("prefix", request.prefix, limits.key_bytes_max, empty=True)
    check_text("about", request.about, limits.key_bytes_max, empty=True)
    check_text("kind", request.kind, limits.name_bytes_max, empty=True)
    check_text("run", request.run, limits.label_bytes_max, empty=True)
    for field in ("prefix", "about", "kind", "run"):
        if getattr(request, field) and field not in _FILTERS[KINDS[request.target]]:
            raise invalid(f"{field}: not of what is watched: leave it out", field=field)
    if request.target == watch_pb2.WATCH_TARGET_TRACES and request.kind and request.kind not in CONTENTS:
        raise invalid(f"kind: {shown(request.kind)}, none of {', '.join(CONTENTS)}", field="kind")


def _refuse_forgotten(view: View, space: Namespace, version: int) -> None:
    """Refuses to go on after a version where changes that came then may be forgotten. To begin at 0 means
    with what is kept."""
    if version:
        refuse_before(view.entries, space, version)


def _watch(view: View, space: Namespace, request: watch_pb2.WatchRequest) -> watch_pb2.WatchResponse:
    """The first response: where the watch begins."""
    if request.HasField("after_version"):
        _refuse_forgotten(view, space, request.after_version)
        return watch_pb2.WatchResponse(after_version=request.after_version)
    return watch_pb2.WatchResponse(after_version=((view.entries.last_index + 1) << POSITION_BITS) - 1)


READ_CHECKS: dict[str, Check] = {"Watch": _check_watch}
QUERIES: dict[str, Query] = {"Watch": _watch}

"""Tells those who follow a machine that something changed, and what it was.

A machine calls nobody but through here: what follows it is woken while an entry is applied, and reads when it
runs. Everything survives `Machine.become`, after which nothing is known of what lies between, and all are
woken. Who leaves may do so at any moment, even in the middle of being woken.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.tables import RECORD_TABLES
from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.notes import EVENT, MEMORY
from memraft_server.projections.streams import StreamsProjection

Wake = Callable[[], object]
"""Called while an entry is applied, often many times; it must only take note."""

CHANGES_MAX = 16_384
"""Changes of one kind that a namespace remembers for those who watch it; who is further behind has to look
through all records for them."""
_TRIM_MIN = 1_024
_HIDDEN = "\1"
"""How the names of streams begin that no caller sees."""


class Change(NamedTuple):
    """One change: `old`, where there was one, was replaced by `new`.

    Both are of the class that the kind's projection keeps. Of the end of a memory, `new` is None.
    """

    version: int
    name: str
    old: Any
    new: Any


class Watcher(Protocol):
    """Who reads a change log."""

    version: int
    """It has had all changes up to this one."""
    wake: Wake


def version_of(change: Change) -> int:
    """Returns the change's version; the key of binary searches and of sorting."""
    return change.version


def changes_after(changes: list[Change], version: int, count_max: int) -> list[Change]:
    """Returns those of some changes in order that are above a version: about `count_max`, for those of one
    version stay together."""
    start = bisect_right(changes, version, key=version_of)
    end = start + count_max
    if end < len(changes):
        end = bisect_right(changes, changes[end - 1].version, key=version_of)
    return changes[start:end]


def events_after(space: Namespace, name: str, above: int) -> Iterator[Change]:
    """Yields the events of a stream above a version, which in a fork is not below that of its parent."""
    stream = space.projection(StreamsProjection).streams.get(name)
    if stream is None or name.startswith(_HIDDEN):
        return
    events = stream.events
    for place in range(max(stream.count_at(above), stream.forgotten), len(events)):
        if place >= stream.forgotten:  # as it is by now: whoever asks may let others have their turn
            yield Change(events[place].version, name, None, events[place])


class ChangeLog:
    """The latest changes of one kind in one namespace, as long as somebody watches them.

    Args:
        since: It begins to be told of changes above this version.
    """

    __slots__ = ("_changes", "_trim_at", "moves", "since", "watchers")

    def __init__(self, since: int) -> None:
        self.since = since
        """All changes above this version are here."""
        self.moves = 0
        """How often the machine has become another."""
        self.watchers: dict[Watcher, None] = {}
        self._changes: list[Change] = []
        self._trim_at = _TRIM_MIN

    def changed(self, name: str, old: Any, new: Any) -> None:
        """See `projections.versions.Follower`."""
        self.note(Change(new.version, name, old, new))

    def note(self, change: Change) -> None:
        """Takes the next change, of a version that is not below the one before."""
        changes = self._changes
        changes.append(change)
        if len(changes) >= self._trim_at:
            self._trim()
        for watcher in tuple(self.watchers):
            watcher.wake()

    def note_events(self, space: Namespace, name: str) -> None:
        """Takes the latest events of a stream."""
        for change in events_after(space, name, self._changes[-1].version if self._changes else self.since):
            self.note(change)

    def after(self, version: int, count_max: int) -> list[Change] | None:
        """Returns what `changes_after` does, or None where not all of that is here."""
        return changes_after(self._changes, version, count_max) if version >= self.since else None

    def begin_anew(self, since: int) -> None:
        """Nothing is known of changes up to `since` any more."""
        self.since = since
        self.moves += 1
        self._changes.clear()

    def _trim(self) -> None:
        """Forgets what all have had, and the older half of too many."""
        changes = self._changes
        floor = min((watcher.version for watcher in self.watchers), default=changes[-1].version)
        count = bisect_right(changes, floor, key=version_of)
        if len(changes) - count > CHANGES_MAX:
            count = len(changes) - CHANGES_MAX // 2
        if count:
            self.since = max(self.since, changes[count - 1].version)
            del changes[:count]
        self._trim_at = max(_TRIM_MIN, 2 * len(changes))


class _Streams:
    """Who is woken when which stream of a namespace grows."""

    __slots__ = ("log", "wakes")

    def __init__(self) -> None:
        self.wakes: dict[str, dict[Wake, None]] = {}
        self.log: Callable[[str], object] | None = None
        """Called with the name of a stream that has grown, where all events are watched."""

    def appended(self, name: str) -> None:
        if self.log is not None:
            self.log(name)
        for wake in tuple(self.wakes.get(name, ())):
            wake()


class Changes:
    """All that follow one machine."""

    def __init__(self) -> None:
        self._logs: dict[str, dict[bytes, ChangeLog]] = {}
        self._streams: dict[str, _Streams] = {}

    def follow_stream(self, space: Namespace | None, namespace: str, stream: str, wake: Wake) -> None:
        """Wakes whenever events are appended to a stream, until `leave_stream`.

        Args:
            space: The namespace, if it exists.
            namespace: Its name.
            stream: Which one; it need not exist.
            wake: Different for everyone who follows.
        """
        found = self._streams_of(space, namespace)
        found.wakes.setdefault(stream, {})[wake] = None

    def leave_stream(self, space: Namespace | None, namespace: str, stream: str, wake: Wake) -> None:
        """Ends what `follow_stream` began."""
        found = self._streams[namespace]
        del found.wakes[stream][wake]
        if not found.wakes[stream]:
            del found.wakes[stream]
        self._leave_streams(space, namespace)

    def _streams_of(self, space: Namespace | None, namespace: str) -> _Streams:
        found = self._streams.get(namespace)
        if found is None:
            found = self._streams[namespace] = _Streams()
        if space is not None:
            space.projection(StreamsProjection).appended = found.appended
        return found

    def _leave_streams(self, space: Namespace | None, namespace: str) -> None:
        """Where nobody follows a stream of a namespace any more, it is not told of them."""
        found = self._streams[namespace]
        if found.wakes or found.log is not None:
            return
        del self._streams[namespace]
        if space is not None:
            space.projection(StreamsProjection).appended = None

    def watch(
        self, space: Namespace | None, namespace: str, kind: bytes, watcher: Watcher, since: int
    ) -> ChangeLog:
        """Returns the log of a kind of changes, which wakes the watcher until `unwatch`.

        Args:
            space: The namespace, if it exists.
            namespace: Its name.
            kind: `notes.EVENT`, `notes.MEMORY` or a kind of records.
            watcher: Who reads it.
            since: The highest version that was applied.
        """
        logs = self._logs.setdefault(namespace, {})
        log = logs.get(kind)
        if log is None:
            log = logs[kind] = ChangeLog(since)
            if space is not None:
                self._attach(space, kind, log)
        log.watchers[watcher] = None
        return log

    def unwatch(self, space: Namespace | None, namespace: str, kind: bytes, watcher: Watcher) -> None:
        """Ends what `watch` began."""
        logs = self._logs[namespace]
        log = logs[kind]
        del log.watchers[watcher]
        if log.watchers:
            return
        del logs[kind]
        if not logs:
            del self._logs[namespace]
        if space is not None:
            self._detach(space, kind, log)

    def attach(self, space: Namespace) -> None:
        """A namespace was made: those who waited for it are told of what happens in it."""
        for kind, log in self._logs.get(space.name, {}).items():
            self._attach(space, kind, log)
        if space.name in self._streams:
            self._streams_of(space, space.name)

    def moved(self, spaces: Iterable[Namespace], since: int) -> None:
        """The machine has become another, which has applied all up to version `since`."""
        for logs in self._logs.values():
            for log in logs.values():
                log.begin_anew(since)
        for space in spaces:
            self.attach(space)
        self.wake_all()

    def wake_all(self) -> None:
        """Wakes all who follow."""
        logs = [log for each in self._logs.values() for log in each.values()]
        found = [watcher.wake for log in logs for watcher in log.watchers]
        found += [wake for each in self._streams.values() for wakes in each.wakes.values() for wake in wakes]
        for wake in found:
            wake()

    def _attach(self, space: Namespace, kind: bytes, log: ChangeLog) -> None:
        if kind == EVENT:
            self._streams_of(space, space.name).log = lambda name: log.note_events(space, name)
        elif kind == MEMORY:
            space.projection(MemoryStore).on_change = lambda *change: log.note(Change(*change))
        else:
            RECORD_TABLES[kind](space)[0].notify(log)

    def _detach(self, space: Namespace, kind: bytes, log: ChangeLog) -> None:
        if kind == EVENT:
            self._streams[space.name].log = None
            self._leave_streams(space, space.name)
        elif kind == MEMORY:
            space.projection(MemoryStore).on_change = None
        else:
            RECORD_TABLES[kind](space)[0].unfollow(log)

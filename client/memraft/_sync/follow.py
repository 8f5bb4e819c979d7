# Generated from _async/follow.py by scripts/generate_sync.py: edit that one.

"""Following what happens: tails of streams, watches of documents, records and memories."""

from typing import Any, Unpack

from .. import _follow, _streams
from .._streams import Scope
from ..types import Consistency, Event, KeyVersion, MemoryChange, Trace, TraceKind
from .base import METHOD, Calls
from .feeds import Feed

_TAIL, _WATCH = METHOD["TailStream"], METHOD["Watch"]


class FollowCalls(Calls):
    """What happens, as it happens. Nothing is lost and nothing comes twice, whichever nodes fail."""

    def tail(
        self,
        stream: str | None = None,
        *,
        from_sequence: int | None = None,
        idle_s: float | None = None,
        consistency: Consistency | None = None,
        **scope: Unpack[Scope],
    ) -> Feed[Event]:
        """Follows a stream: `for event in m.tail("ticket:77"):`.

        Args:
            stream: its name; it need not exist yet.
            from_sequence: the first event to have; the first of all is 1. None: only those that are appended
                once the tail has begun, with its first step or with `with`.
            idle_s: end where there was no event for so many seconds; None: wait for ever.
            consistency: how fresh the replica has to be to begin; None: as this memory was opened with. Later
                events come as soon as the replica that serves has applied them.
            scope: instead of `stream`, what it belongs to: `run=`, `thread=`, `agent=` or `entity=`.
        """
        request = _follow.tail(
            self._from(None, consistency), _streams.stream_name(stream, scope), from_sequence
        )
        source = self._link.follow(_TAIL, request, _follow.advance_tail)
        return Feed(source, _follow.events, _follow.next_sequence, idle_s)

    def watch(
        self,
        prefix: str = "",
        *,
        after_version: int | None = None,
        idle_s: float | None = None,
        consistency: Consistency | None = None,
    ) -> Feed[KeyVersion]:
        """Follows changes of documents, each version of each key in order: `for change in
        m.watch("config/"):`.

        Args:
            prefix: only keys that begin with this.
            after_version: only changes above this version: that of another watch (`position`) or of a listing
                (`version`). 0: all that ever were. None: only those from when the watch has begun, with its
                first step or with `with`.
            idle_s: end where there was no change for so many seconds; None: wait for ever.
            consistency: how fresh the replica has to be to begin; None: as this memory was opened with.
        """
        return self._watched("kv", prefix, after_version, idle_s, consistency)

    def watch_state(
        self,
        prefix: str = "",
        *,
        after_version: int | None = None,
        idle_s: float | None = None,
        consistency: Consistency | None = None,
    ) -> Feed[KeyVersion]:
        """Follows changes of named records; arguments as of `watch`.

        Args:
            prefix: only names that begin with this.
            after_version: only changes above this version; None: only those from now on.
            idle_s: end where there was no change for so many seconds; None: wait for ever.
            consistency: how fresh the replica has to be to begin.
        """
        return self._watched("state", prefix, after_version, idle_s, consistency)

    def watch_memories(
        self,
        *,
        about: str = "",
        kind: str = "",
        after_version: int | None = None,
        idle_s: float | None = None,
        consistency: Consistency | None = None,
    ) -> Feed[MemoryChange]:
        """Follows what is remembered and forgotten; arguments as of `watch`.

        Args:
            about: only memories about this entity; empty: all.
            kind: only memories of this kind; empty: all.
            after_version: only changes above this version; None: only those from now on.
            idle_s: end where there was no change for so many seconds; None: wait for ever.
            consistency: how fresh the replica has to be to begin.
        """
        fields = self._from(None, consistency)
        request = _follow.watch(fields, "memories", after_version, about=about, kind=kind)
        source = self._link.follow(_WATCH, request, _follow.advance_watch)
        return Feed(source, _follow.memory_changes, _follow.reached, idle_s)

    def watch_traces(
        self,
        *,
        run: str = "",
        kind: TraceKind | None = None,
        after_version: int | None = None,
        idle_s: float | None = None,
        consistency: Consistency | None = None,
    ) -> Feed[Trace]:
        """Follows traces as they are written; arguments as of `watch`.

        Args:
            run: only those of this run; empty: all.
            kind: only those of this kind; None: all.
            after_version: only those above this version; None: only those from now on.
            idle_s: end where there was none for so many seconds; None: wait for ever.
            consistency: how fresh the replica has to be to begin.
        """
        fields = self._from(None, consistency)
        request = _follow.watch(fields, "traces", after_version, run=run, kind=kind or "")
        source = self._link.follow(_WATCH, request, _follow.advance_watch)
        return Feed(source, _follow.traces, _follow.reached, idle_s)

    def _watched(
        self,
        target: str,
        prefix: str,
        after_version: int | None,
        idle_s: float | None,
        consistency: Consistency | None,
    ) -> Feed[Any]:
        request = _follow.watch(self._from(None, consistency), target, after_version, prefix=prefix)
        source = self._link.follow(_WATCH, request, _follow.advance_watch)
        return Feed(source, _follow.key_changes, _follow.reached, idle_s)

"""What calls on the past return: frozen values, exported by `memraft.types`."""

from datetime import datetime
from typing import Any

import msgspec

from ._moments import datetime_of


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What of the past of a namespace is kept. Each limit holds by itself; 0 is none."""

    versions: int
    """So many of each record, memory and vector: the newest ones."""
    age_ms: int
    """What was replaced or deleted is kept for so many milliseconds."""
    events: int
    """So many of each stream: the newest ones."""
    floor_index: int = 0
    """Reads as of this log index and later ones are as they were, earlier ones raise BeforeRetention. 0:
    nothing was forgotten yet."""
    floor_time_us: int = 0
    """The commit time of that index, in microseconds since the Unix epoch."""
    held_back_by: tuple[str, ...] = ()
    """Forks that the limits wait for, the one with the oldest base first, at most 20: what was replaced after
    that base stays until the fork is dropped. Of now, whatever `at` was."""

    @property
    def floor(self) -> datetime | None:
        """`floor_time_us`, aware, in UTC; None where nothing was forgotten."""
        return datetime_of(self.floor_time_us) if self.floor_index else None


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened in a namespace."""

    kind: str
    """To what: `document`, `state`, `counter`, `gate`, `node`, `edge`, `memory`, `event` or `trace`."""
    name: str | tuple[str, str, str]
    """A key, an id, a stream; of an edge source, type and target."""
    what: str
    """`written`, `appended`, `deleted`, `expired` or `evicted`."""
    value: Any
    """What was written; None where something ended."""
    sequence: int
    """Of an event, its place in the stream; else 0."""
    version: int
    time_us: int
    """Commit time in microseconds since the Unix epoch."""
    agent: str
    run: str
    tool: str

    @property
    def log_index(self) -> int:
        """The log index of its entry: what `at=` takes."""
        return self.version >> 20

    @property
    def at(self) -> datetime:
        """`time_us`, aware, in UTC."""
        return datetime_of(self.time_us)

"""What calls on forks return: frozen values, exported by `memraft.types`."""

from datetime import datetime
from typing import Protocol

import msgspec

from ._moments import datetime_of


class Versioned(Protocol):
    """Whatever was written: each result of a write and each record that a read returns has a version."""

    @property
    def version(self) -> int:
        """`log_index << 20 | position in the entry`."""


class ForkInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A fork of a namespace."""

    name: str
    """Its name: the last part of its namespace."""
    namespace: str
    """Its whole namespace, such as `acme/support@what-if`."""
    base_version: int
    """The highest version of its parent that it has."""
    base_time_us: int
    """Commit time of that version's entry in microseconds since the Unix epoch."""
    version: int
    """The version of the command that made it."""
    time_us: int
    """When it was made: commit time in microseconds since the Unix epoch."""
    agent: str
    """Who made it."""

    @property
    def base_at(self) -> datetime:
        """`base_time_us`, aware, in UTC."""
        return datetime_of(self.base_time_us)

    @property
    def at(self) -> datetime:
        """When it was made, aware, in UTC."""
        return datetime_of(self.time_us)

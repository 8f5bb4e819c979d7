"""What calls on leases, counters and gates return: frozen values, exported by `memraft.types`."""

from datetime import datetime

import msgspec

from ._moments import datetime_of


class LeaseHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lease, or waits for it."""

    holder: str
    """What tells it from others that want the same lease; made anew for each attempt to get it."""
    agent: str
    token: int
    """The fencing token: higher than that of all who held it before. 0 for one that waits."""
    asked_at_us: int
    """When it asked, in microseconds since the Unix epoch."""
    granted_at_us: int
    """When it got it, in microseconds since the Unix epoch; 0 for one that waits."""
    expires_at_us: int
    """When the lease, or the place in the queue, ends unless it is renewed; in microseconds since the Unix
    epoch."""

    @property
    def expires_at(self) -> datetime:
        """`expires_at_us`, aware, in UTC."""
        return datetime_of(self.expires_at_us)


class LeaseInfo(LeaseHolder, frozen=True, kw_only=True):
    """A lease that is held, and who waits for it."""

    name: str
    waiting: tuple[LeaseHolder, ...] = ()
    """Who waits, the next one first; empty in a listing."""


class CounterInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A counter in a listing."""

    name: str
    value: int
    version: int
    """Of the latest addition."""
    time_us: int
    """Commit time of that in microseconds since the Unix epoch."""

    @property
    def at(self) -> datetime:
        """`time_us`, aware, in UTC."""
        return datetime_of(self.time_us)


class GateInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How a gate stands."""

    name: str
    is_open: bool
    arrived: int
    """How many have arrived since it was last closed."""
    parties: int
    """How many have to for it to open; 0 where nobody has arrived."""
    version: int = 0
    """Of its latest change; 0: there was none."""
    time_us: int = 0
    """Commit time of that in microseconds since the Unix epoch."""
    agent: str = ""
    """Who made that change."""

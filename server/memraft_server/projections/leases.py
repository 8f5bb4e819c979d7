"""Leases: who holds a name, until when, and who waits for it, first come, first served.

A lease is a record under its name. Those who wait have a place in its queue each, a record of its own under
the name, a mark and the number of the place: so one who waits and says that it is still there writes a few
bytes, whatever the length of the queue, and places that were left are used again.

Time is the commit time of what is applied. Nothing here looks at the order in which leases end on their own:
whatever touches a lease first settles what time has changed of it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from memraft_server.projections.notes import LEASE, Notes
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import Author, OrderedRecords, Record

WAITERS_MAX = 128
"""Most places in the queue of a lease. Part of the contract: replicas must agree on it."""

PLACE_MARK = "\1"
"""Stands between a lease's name and the number of a place in its queue; no name has it in it."""


_CLAIMS = LEASE + b"claims"


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A lease that is held, or a place in its queue."""

    holder: str
    agent: str
    ttl_ms: int
    """From the grant, or its renewal, to the end."""
    asked_at_us: int
    asked_version: int
    """Whoever asked first is first."""
    expires_at_us: int
    """When the lease ends, or the place is given up, in microseconds since the epoch."""
    token: int = 0
    """The version of the grant; 0 while it waits."""
    granted_at_us: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Claim).decode

Due = Callable[[int, int, str], None]
"""Is told (expires_at_us, version, name of the record) of each claim that is written."""


class Writing:
    """The versions that one command makes, and when and by whom.

    Args:
        first: Its first version.
        time_us: Commit time in microseconds since the epoch.
        author: Who writes.
        due: Is told when each claim ends.
    """

    __slots__ = ("author", "due", "first", "time_us", "version")

    def __init__(self, first: int, time_us: int, author: Author, due: Due) -> None:
        self.first = first
        self.version = first
        self.time_us = time_us
        self.author = author
        self.due = due

    @property
    def items(self) -> int:
        """How many versions the command takes."""
        return max(1, self.version - self.first)

    def next(self) -> int:
        """Returns the version of the next record that it writes."""
        self.version += 1
        return self.version - 1


class LeasesProjection:
    """The leases of one namespace."""

    __slots__ = ("_queues", "_version", "current", "records")

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.records = OrderedRecords(usage, notes, LEASE)
        self.current: dict[str, Claim] = {}
        """Name -> who holds it, as far as it is settled."""
        self._queues: dict[str, dict[int, Claim]] = {}
        self._version = 0
        before: LeasesProjection | None = notes.join(_CLAIMS, self) if notes is not None else None
        if before is not None and self.records.parent is not None:
            self._begin_as(before)
        self.records.follow_own(self)

    def changed(self, name: str, old: Record | None, new: Record) -> None:
        """Follows the records."""
        self._version = max(self._version, new.version)
        claim = _decode(new.value) if new.value is not None else None
        lease, mark, place = name.partition(PLACE_MARK)
        if not mark:
            if claim is not None:
                self.current[name] = claim
            else:
                self.current.pop(name, None)
            return
        queue = self._queues.setdefault(lease, {})
        if claim is not None:
            queue[int(place)] = claim
        else:
            queue.pop(int(place), None)
        if not queue:
            del self._queues[lease]

    def _begin_as(self, before: LeasesProjection) -> None:
        """Takes over what another holds, as of the base of these records."""
        if before._version <= self.records.base:
            self.current.update(before.current)
            self._queues.update({name: dict(queue) for name, queue in before._queues.items()})
            return
        for name, record in before.records.scan("", "", "", self.records.base):
            if record is not None:
                self.changed(name, None, record)

    def held(self, name: str, time_us: int) -> Claim | None:
        """Returns who holds a lease at a commit time, in microseconds since the epoch."""
        claim = self.current.get(name)
        return claim if claim is not None and claim.expires_at_us > time_us else None

    def waiting(self, name: str) -> list[Claim]:
        """Returns who waits for a lease, the next one first."""
        return [claim for _, claim in self._in_order(name)]

    def at(self, name: str, ceiling: int) -> tuple[Claim | None, list[Claim]]:
        """Returns who held a lease as of a version, and who waited for it, the next one first."""
        record = self.records.at(name, ceiling)
        claim = _decode(record.value) if record is not None and record.value is not None else None
        waiting = []
        for place in range(WAITERS_MAX):
            record = self.records.at(place_name(name, place), ceiling)
            if record is not None and record.value is not None:
                waiting.append(_decode(record.value))
        return claim, sorted(waiting, key=_asked_version_of)

    def settle(self, writing: Writing, name: str) -> None:
        """Does what time has changed: drops places that were given up, and passes an ended lease on."""
        now_us = writing.time_us
        for place, claim in self._in_order(name):
            if claim.expires_at_us <= now_us:
                self.records.remove(place_name(name, place), writing.next(), writing.author)
        if name in self.current and self.held(name, now_us) is None:
            self.pass_on(writing, name)

    def grant(self, writing: Writing, name: str, claim: Claim) -> None:
        """Makes `claim` the holder; its time begins now, and so does a new token."""
        version = writing.next()
        granted = msgspec.structs.replace(
            claim,
            token=version,
            granted_at_us=writing.time_us,
            expires_at_us=writing.time_us + claim.ttl_ms * 1000,
        )
        self._store(writing, name, granted, version)

    def renew(self, writing: Writing, name: str, claim: Claim, ttl_ms: int) -> Claim:
        """Has the holder's time begin anew."""
        expires_at_us = writing.time_us + ttl_ms * 1000
        renewed = msgspec.structs.replace(claim, ttl_ms=ttl_ms, expires_at_us=expires_at_us)
        self._store(writing, name, renewed, writing.next())
        return renewed

    def wait(self, writing: Writing, name: str, claim: Claim) -> int:
        """Gives `claim` a place in the queue, the one it has already where it has one.

        Returns:
            How many are before it, and itself; 0 where there is no place left: then nothing has changed.
        """
        queue = self._queues.get(name, {})
        place = next((place for place, each in queue.items() if each.holder == claim.holder), None)
        if place is not None:
            asked = queue[place]
            claim = msgspec.structs.replace(
                claim, asked_at_us=asked.asked_at_us, asked_version=asked.asked_version
            )
        elif len(queue) >= WAITERS_MAX:
            return 0
        else:
            place = next(each for each in range(WAITERS_MAX) if each not in queue)
        self._store(writing, place_name(name, place), claim, writing.next())
        return [each.holder for each in self.waiting(name)].index(claim.holder) + 1

    def leave(self, writing: Writing, name: str, holder: str) -> bool:
        """Takes a claim back, of the holder or of one that waits; returns whether there was one."""
        claim = self.current.get(name)
        if claim is not None and claim.holder == holder:
            self.pass_on(writing, name)
            return True
        for place, waiting in self._in_order(name):
            if waiting.holder == holder:
                return self.records.remove(place_name(name, place), writing.next(), writing.author)
        return False

    def pass_on(self, writing: Writing, name: str) -> None:
        """Takes a lease from its holder and grants it to the next one that waits."""
        for place, claim in self._in_order(name):
            self.records.remove(place_name(name, place), writing.next(), writing.author)
            self.grant(writing, name, claim)
            return
        self.records.remove(name, writing.next(), writing.author)

    def _in_order(self, name: str) -> list[tuple[int, Claim]]:
        queue = self._queues.get(name)
        return sorted(queue.items(), key=lambda each: each[1].asked_version) if queue else []

    def _store(self, writing: Writing, name: str, claim: Claim, version: int) -> None:
        self.records.store(name, _encode(claim), version, writing.author, claim.expires_at_us)
        writing.due(claim.expires_at_us, version, name)


def _asked_version_of(claim: Claim) -> int:
    return claim.asked_version


def place_name(name: str, place: int) -> str:
    """Returns the name of the record of a place in a lease's queue."""
    return f"{name}{PLACE_MARK}{place:03}"


def lease_of(name: str) -> str:
    """Returns the lease that a record, of itself or of a place in its queue, belongs to."""
    return name.partition(PLACE_MARK)[0]

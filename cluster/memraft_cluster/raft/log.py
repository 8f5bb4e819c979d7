"""The log as the core sees it: the durable part in storage, and in memory its tail.

Positions, always in this order::

    applied <= handed to apply <= committed <= last          durable <= last

The memory tail holds everything that is not durable or not applied, and beyond that the newest durable
entries up to a bound, since those are what followers and the machine ask for next.

The log also knows who belongs to the group: the newest membership in it is in force, committed or not
(thesis §4.1), so that appending one changes it and cutting one away changes it back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

import msgspec

from memraft_cluster.raft.errors import BadMessage, BrokenInvariant, EntriesUnavailable
from memraft_cluster.raft.messages import Entry, EntryKind, Membership, SnapshotMeta

ENTRY_OVERHEAD_BYTES = 32
"""Added to the length of an entry's data in all bounds, so that many small entries are bounded, too."""

NOBODY = Membership(())
"""The membership of a node that waits to be contacted."""


class LogStorage(Protocol):
    """The durable log of one group. Reads see exactly what was synced.

    Its owner may cut it behind the core's back, up to what the machine's durable state covers.
    """

    def base(self) -> SnapshotMeta | None:
        """What the log begins behind: its index is `first_index() - 1`. None for a log never cut."""

    def memberships(self) -> Sequence[tuple[int, Membership]]:
        """Index and content of all entries of kind MEMBERSHIP that are held, ascending."""

    def first_index(self) -> int:
        """The first index that can be read."""

    def last_index(self) -> int:
        """The last index that can be read, `first_index() - 1` when there is none."""

    def term(self, index: int) -> int:
        """The term of the entry at `index`, `first_index() - 1 <= index <= last_index()`."""

    def entries(self, lo: int, hi: int, bytes_max: int) -> list[Entry]:
        """Entries in [lo, hi), at least one, then as many as fit into `bytes_max` bytes of data."""


class Log:
    """The log of one member. Indices start at 1; index 0 stands before the log, in term 0."""

    def __init__(
        self,
        storage: LogStorage,
        committed: int,
        applied: int,
        cache_bytes_max: int,
        bootstrap: Membership = NOBODY,
        is_whole: bool = True,
    ) -> None:
        """`bootstrap` is the membership before any that the log holds. A log that is not whole may end before
        `committed`. Raises `BrokenInvariant` when the log ends before what was committed or applied, or
        begins behind what was applied."""
        self._storage = storage
        self._cache_bytes_max = cache_bytes_max
        base = storage.base()
        base_index = base.index if base is not None else 0
        self.last_index = storage.last_index()
        self.durable = self.last_index
        if not is_whole:
            committed = min(committed, self.last_index)
        self.committed = max(committed, applied, base_index)
        self.handed = applied
        self.applied = applied
        if applied < base_index:
            raise BrokenInvariant(f"{applied} was applied, but the log begins behind entry {base_index}")
        if self.committed > self.last_index:
            raise BrokenInvariant(
                f"the log ends at {self.last_index}, but {self.committed} was committed: entries were lost"
            )
        self.last_term = storage.term(self.last_index) if self.last_index else 0
        # `_tail[i]` is the entry with index `_base + i`; `_ends[i]` counts the bytes of all before it.
        self._base = self.last_index + 1
        self._tail: list[Entry] = []
        self._ends: list[int] = [0]
        # A snapshot that replaces the log, until storage has been reset to it.
        self._label: SnapshotMeta | None = None
        # By the index from which each is in force; the first one is that before the log.
        self._memberships = [(base_index, base.membership if base is not None else bootstrap)]
        self._memberships += [each for each in storage.memberships() if each[0] > base_index]
        self.membership_index, self.membership = self._memberships[-1]

    @property
    def first_index(self) -> int:
        """The first index that can be read."""
        return self._storage.first_index() if self._label is None else self._label.index + 1

    def term(self, index: int) -> int:
        """The term at `index`, 0 for index 0. Raises `EntriesUnavailable` for what is gone."""
        if index >= self._base:
            return self._tail[index - self._base].term
        if index == 0:
            return 0
        first = self.first_index
        if index < first - 1:
            raise EntriesUnavailable(index, first)
        return self._storage.term(index) if self._label is None else self._label.term

    def reaches_back_to(self, index: int) -> bool:
        """Whether everything behind `index` can be read, and the term at it."""
        return index >= self._base or index >= self.first_index - 1

    def matches(self, index: int, term: int) -> bool:
        """Whether this log has the entry (index, term)."""
        if index == self.last_index:
            return term == self.last_term
        return index < self.last_index and self.term(index) == term

    def is_up_to_date(self, index: int, term: int) -> bool:
        """Whether a log that ends in (index, term) is at least as new as this one (thesis §3.6.1)."""
        return term > self.last_term or (term == self.last_term and index >= self.last_index)

    def last_index_at_or_below_term(self, index: int, term: int) -> int:
        """The last index <= `index` whose term is <= `term`; where two logs may meet at the latest.

        Terms never decrease along a log, so a binary search will do (thesis §5.3's optimisation, with the
        term that makes it take one round a term rather than one round an entry). Nothing is known of terms
        before the log begins: then it is where it begins, or `index` itself if that is before.
        """
        lo, hi = min(self.first_index - 1, index), min(index, self.last_index)
        while lo < hi:
            middle = (lo + hi + 1) // 2
            if self.term(middle) <= term:
                lo = middle
            else:
                hi = middle - 1
        return lo

    def append_own(self, term: int, data: bytes) -> int:
        """Appends a leader's entry and returns its index."""
        index = self.last_index + 1
        self._tail.append(Entry(term, index, data))
        self._ends.append(self._ends[-1] + len(data) + ENTRY_OVERHEAD_BYTES)
        self.last_index = index
        self.last_term = term
        return index

    def append_membership(self, term: int, membership: Membership) -> int:
        """Appends a leader's change of membership, which is in force from now on, and returns its index."""
        index = self.last_index + 1
        self._extend((Entry(term, index, membership.encode(), EntryKind.MEMBERSHIP),))
        self._enter([(index, membership)])
        return index

    def append(self, entries: Sequence[Entry]) -> None:
        """Appends entries of a leader that follow an entry which matches. Cuts only what conflicts.

        What is there already stays: an older message that was delayed must not take back entries that
        were acknowledged since (thesis §3.5: "if an existing entry conflicts"). Raises `BadMessage`, having
        changed nothing, when one holds a membership that cannot be.
        """
        changes = [(entry.index, _membership_of(entry)) for entry in entries if entry.kind]
        start = entries[0].index
        if start <= self.last_index:
            keep = self._length_of_agreement(entries)
            if keep == len(entries):
                return
            entries = entries[keep:]
            start = entries[0].index
            if start <= self.last_index:
                self._cut(start)
            changes = [change for change in changes if change[0] >= start]
        self._extend(entries)
        if changes:
            self._enter(changes)

    def _extend(self, entries: Sequence[Entry]) -> None:
        self._tail.extend(entries)
        ends = self._ends
        sizes = [len(entry.data) + ENTRY_OVERHEAD_BYTES for entry in entries]
        sizes[0] += ends[-1]
        ends.extend(accumulate(sizes))
        self.last_index = entries[-1].index
        self.last_term = entries[-1].term

    def _length_of_agreement(self, entries: Sequence[Entry]) -> int:
        for count, entry in enumerate(entries):
            if entry.index > self.last_index or self.term(entry.index) != entry.term:
                return count
        return len(entries)

    def _cut(self, index: int) -> None:
        if index <= self.committed:
            raise BrokenInvariant(f"entry {index} conflicts, but the log is committed up to {self.committed}")
        if index > self._base:
            del self._tail[index - self._base :]
            del self._ends[index - self._base + 1 :]
        else:
            self._base = index
            self._tail = []
            self._ends = [0]
        self.last_index = index - 1
        self.durable = min(self.durable, index - 1)
        if self.membership_index >= index:
            self._memberships = [each for each in self._memberships if each[0] < index]
            self.membership_index, self.membership = self._memberships[-1]

    # Membership and snapshots.

    def _enter(self, changes: list[tuple[int, Membership]]) -> None:
        """Memberships were appended. What was superseded before the log begins is forgotten."""
        known = self._memberships + changes
        begin = self.first_index - 1
        superseded = sum(index <= begin for index, _ in known[1:])
        self._memberships = known[superseded:]
        self.membership_index, self.membership = known[-1]

    @property
    def membership_before(self) -> Membership:
        """The membership that comes back if the newest one is cut away."""
        return self._memberships[-2 if len(self._memberships) > 1 else -1][1]

    def label(self, index: int) -> SnapshotMeta:
        """The label of a state that covers the log up to `index`. Raises `EntriesUnavailable` when the log
        begins behind it."""
        first = self.first_index
        if index < first - 1:
            raise EntriesUnavailable(index, first)
        term = self.term(index)
        in_force = [membership for since, membership in self._memberships if since <= index]
        return SnapshotMeta(index, term, in_force[-1])

    def install(self, label: SnapshotMeta) -> None:
        """A snapshot takes the place of the whole log, in memory at once, in storage before `installed`."""
        self._label = label
        self._base = label.index + 1
        self._tail = []
        self._ends = [0]
        self.last_index = self.durable = self.committed = self.handed = label.index
        self.last_term = label.term
        self._memberships = [(label.index, label.membership)]
        self.membership_index, self.membership = self._memberships[-1]

    def installed(self, label: SnapshotMeta) -> None:
        """Storage begins behind the snapshot, and the machine has its state."""
        if self._label is label:
            self._label = None
        self.applied = max(self.applied, label.index)

    # Commit, reading.

    def commit_to(self, index: int) -> bool:
        """Moves the commit index forward, never back; says whether it moved."""
        if index <= self.committed:
            return False
        if index > self.last_index:
            raise BrokenInvariant(
                f"the leader knows {index} to be committed here, but the log ends at {self.last_index}: "
                "entries that were acknowledged are lost"
            )
        self.committed = index
        return True

    def entries(self, lo: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries from `lo` on for a message: at least one if there is any, at most `bytes_max` bytes."""
        if lo > self.last_index:
            return ()
        return tuple(self._read(lo, self.last_index + 1, bytes_max))

    def bytes_between(self, lo: int, hi: int) -> int:
        """Bytes of the entries in [lo, hi), as far as they are in memory."""
        base = self._base
        return self._ends[max(hi - base, 0)] - self._ends[max(lo - base, 0)]

    def size_bytes(self, entries: Sequence[Entry]) -> int:
        """Bytes of entries that were read from this log just now, in one stretch."""
        first = entries[0].index
        start = first - self._base
        if start >= 0:
            return self._ends[start + len(entries)] - self._ends[start]
        return sum(len(entry.data) + ENTRY_OVERHEAD_BYTES for entry in entries)

    def unstable(self) -> list[Entry]:
        """The entries that are not durable yet."""
        if self.durable == self.last_index:
            return []
        return self._tail[self.durable + 1 - self._base :]

    def take_committed(self, bytes_max: int) -> list[Entry]:
        """The next committed entries to apply, each handed out once."""
        if self.handed >= self.committed:
            return []
        entries = self._read(self.handed + 1, self.committed + 1, bytes_max)
        self.handed = entries[-1].index
        return entries

    def _read(self, lo: int, hi: int, bytes_max: int) -> list[Entry]:
        if lo < self._base:
            first = self.first_index
            if lo < first:
                raise EntriesUnavailable(lo, first)
            return self._storage.entries(lo, min(hi, self._base), bytes_max)
        start = lo - self._base
        stop = hi - self._base
        ends = self._ends
        if ends[stop] - ends[start] > bytes_max:
            stop = max(bisect_right(ends, ends[start] + bytes_max, start + 1, stop) - 1, start + 1)
        return self._tail[start:stop]

    def synced(self, last: Entry) -> None:
        """The entries up to `last` were synced. Entries that were cut meanwhile do not count."""
        if last.index > self.durable and self.matches(last.index, last.term):
            self.durable = last.index

    def applied_to(self, index: int) -> None:
        """The machine has applied everything up to `index`; old entries may leave the memory."""
        self.applied = index
        # Twice the bound before anything goes, so that each cut is paid for by many entries.
        if self._ends[-1] - self._ends[0] > 2 * self._cache_bytes_max:
            self._trim()

    def _trim(self) -> None:
        base = self._base
        count = bisect_right(self._ends, self._ends[-1] - self._cache_bytes_max) - 1
        count = min(count, self.durable + 1 - base, self.applied + 1 - base)
        if count > 0:
            del self._tail[:count]
            del self._ends[:count]
            self._base = base + count


def _membership_of(entry: Entry) -> Membership:
    try:
        return Membership.decode(entry.data)
    except msgspec.MsgspecError as error:
        raise BadMessage(f"entry {entry.index} holds no membership: {error}") from error

"""A simulated disk: what is synced stays, what was under way at a crash may or may not be there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memraft_cluster.raft import Entry, EntryKind, HardState, Membership, SnapshotMeta


class SimDisk:
    """The durable log and hard state of one node; a `LogStorage` for the core.

    One batch can be under way at a time, as the core hands out one Ready at a time. It is atomic, as a
    batch of the real log is.
    """

    def __init__(self) -> None:
        self.on_sync: Callable[[Sequence[Entry]], None] = lambda entries: None
        """Called with entries that have become durable just now."""
        self.hard_state: HardState | None = None
        self.log: list[Entry] = []
        self._pending: tuple[HardState | None, Sequence[Entry]] | None = None

    def base(self) -> SnapshotMeta | None:
        return None

    def memberships(self) -> Sequence[tuple[int, Membership]]:
        return [
            (entry.index, Membership.decode(entry.data))
            for entry in self.log
            if entry.kind is EntryKind.MEMBERSHIP
        ]

    def first_index(self) -> int:
        return 1

    def last_index(self) -> int:
        return len(self.log)

    def term(self, index: int) -> int:
        return self.log[index - 1].term if index else 0

    def entries(self, lo: int, hi: int, bytes_max: int) -> list[Entry]:
        found = self.log[lo - 1 : lo]
        size = len(found[0].data)
        for entry in self.log[lo : hi - 1]:
            size += len(entry.data)
            if size > bytes_max:
                break
            found.append(entry)
        return found

    def has(self, entry: Entry) -> bool:
        """Whether the entry is durable here."""
        return entry.index <= len(self.log) and self.log[entry.index - 1].term == entry.term

    def write(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Starts a batch; it is durable after `sync`."""
        assert self._pending is None
        self._pending = (hard_state, entries)

    def sync(self) -> None:
        """The batch is durable."""
        assert self._pending is not None
        hard_state, entries = self._pending
        self._pending = None
        if hard_state is not None:
            self.hard_state = hard_state
        if entries:
            start = entries[0].index
            assert start <= len(self.log) + 1, f"a hole before entry {start}"
            self.log[start - 1 :] = entries
            self.on_sync(entries)

    def crash(self, is_pending_kept: bool) -> None:
        """The machine dies: a batch under way is lost, or was durable just before anyone could know."""
        if self._pending is not None and is_pending_kept:
            self.sync()
        self._pending = None

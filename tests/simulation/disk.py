"""A simulated disk: what is synced stays, what was under way at a crash may or may not be there.

`SimDisk` keeps the contract of the durable log, not its bytes. A batch is atomic: what a crash tears in the
middle is an incomplete last record, which the log drops on opening. Damage anywhere else is found on opening;
the log is given up then and the replica is not whole (`SimNode.start`). `SimLog` is what the driver sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from memraft_cluster.log import Durability, GroupUpdate
from memraft_cluster.log_group import GroupLog
from memraft_cluster.raft import Entry, EntryKind, HardState, Membership, SnapshotMeta


class SimDisk:
    """The durable log and hard state of one node; a `LogStorage` for the core.

    One synced batch can be under way at a time, as the core hands out one Ready at a time.
    """

    def __init__(self) -> None:
        self.on_sync: Callable[[Sequence[Entry]], None] = lambda entries: None
        """Called with entries that have become durable just now."""
        self.hard_state: HardState | None = None
        self.log: list[Entry] = []
        """The entries behind the base."""
        self.is_damaged = False
        self._base: SnapshotMeta | None = None
        self._base_index = 0
        self._pending: tuple[HardState | None, Sequence[Entry]] | None = None
        self._cached: HardState | None = None

    # Reading; all of it sees what was synced.

    def base(self) -> SnapshotMeta | None:
        return self._base

    def memberships(self) -> Sequence[tuple[int, Membership]]:
        return [
            (entry.index, Membership.decode(entry.data))
            for entry in self.log
            if entry.kind is EntryKind.MEMBERSHIP
        ]

    def first_index(self) -> int:
        return self._base_index + 1

    def last_index(self) -> int:
        return self._base_index + len(self.log)

    def term(self, index: int) -> int:
        place = index - self._base_index
        if place:
            assert place > 0, f"the term of entry {index} is gone"
            return self.log[place - 1].term
        return self._base.term if self._base is not None else 0

    def entries(self, lo: int, hi: int, bytes_max: int) -> list[Entry]:
        assert lo > self._base_index, f"entry {lo} is gone"
        start, stop = lo - self._base_index - 1, hi - self._base_index - 1
        found = self.log[start : start + 1]
        size = len(found[0].data)
        for entry in self.log[start + 1 : stop]:
            size += len(entry.data)
            if size > bytes_max:
                break
            found.append(entry)
        return found

    def has(self, entry: Entry) -> bool:
        """Whether the entry is durable here, in the log or in the state that precedes it."""
        if entry.index <= self._base_index:
            return True
        return entry.index <= self.last_index() and self.term(entry.index) == entry.term

    # Writing.

    def write(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Starts a batch; it is durable after `sync`."""
        assert self._pending is None
        self._pending = (hard_state, entries)

    def note(self, hard_state: HardState) -> None:
        """Writes a hard state without a sync: it survives the end of the process, not that of the power."""
        self._cached = hard_state

    def sync(self) -> None:
        """The batch is durable, and all that was noted before it."""
        assert self._pending is not None
        hard_state, entries = self._pending
        self._pending = None
        if self._cached is not None:
            self.hard_state, self._cached = self._cached, None
        if hard_state is not None:
            self.hard_state = hard_state
        if entries:
            place = entries[0].index - self._base_index - 1
            assert 0 <= place <= len(self.log), f"a hole before entry {entries[0].index}"
            self.log[place:] = entries
            self.on_sync(entries)

    def crash(self, is_pending_kept: bool, is_power_lost: bool = False) -> None:
        """The process dies: a batch under way is lost or torn, or was durable just before anyone could know.
        With the power goes what was not synced."""
        if is_power_lost:
            self._cached = None
        if self._pending is not None and is_pending_kept:
            self.sync()
        self._pending = None
        if self._cached is not None:
            self.hard_state, self._cached = self._cached, None

    # What the driver does beside the core.

    def cut(self, base: SnapshotMeta) -> None:
        """Forgets the entries up to `base`, whose state is durable. A base before the present one is old."""
        keep_from = base.index - self._base_index
        if keep_from < 0:
            return
        assert keep_from <= len(self.log), f"no log can be cut at {base.index}"
        assert self.term(base.index) == base.term, f"the log has another entry {base.index} than the state"
        del self.log[:keep_from]
        self._base, self._base_index = base, base.index

    def reset(self, base: SnapshotMeta | None) -> None:
        """Forgets all entries; the log begins behind `base`, and no more is committed."""
        self.log = []
        self._base, self._base_index = base, base.index if base is not None else 0
        state = self.hard_state
        if state is not None:
            commit = min(state.commit, self._base_index)
            self.hard_state = HardState(state.term, state.vote, commit, state.is_whole)

    def wipe(self) -> None:
        """Another disk, with nothing on it."""
        self.reset(None)
        self.hard_state = self._cached = self._pending = None
        self.is_damaged = False


class SimLog:
    """The durable log as the driver uses it, in one life of a node: `DurableLog` with one group.

    What is durable is on the disk as soon as a write ends; what the core sees changes with `accept`, as the
    loop may run in between.
    """

    path = "simulated"
    durability = Durability.COMMIT

    def __init__(self, disk: SimDisk, group: int) -> None:
        self.disk = disk
        self._group = group
        self._log = GroupLog(group, self._read)
        self._held: dict[int, Entry] = {}
        self._log.reset(disk.base())
        self._log.hard_state = disk.hard_state
        self._accept(disk.log)

    def group(self, group: int) -> GroupLog:
        return self._log

    def hard_state(self, group: int) -> HardState | None:
        return self._log.hard_state

    def replay(self, group: int, lo: int | None = None, hi: int | None = None) -> Iterator[Entry]:
        first = self._log.first_index() if lo is None else lo
        end = self._log.last_index() + 1 if hi is None else hi
        return iter([self._held[index] for index in range(first, end)])

    def _read(self, group: int, lo: int, hi: int, bytes_max: int) -> list[Entry]:
        found: list[Entry] = []
        size = 0
        for index in range(lo, hi):
            entry = self._held[index]
            size += len(entry.data)
            if found and size > bytes_max:
                break
            found.append(entry)
        return found

    def begin_persist(self, updates: Sequence[GroupUpdate]) -> Callable[[], None]:
        """Starts a synced write, which the disk ends."""
        (update,) = updates
        self.disk.write(update.hard_state, update.entries)
        return self.disk.sync

    def persist(self, updates: Sequence[GroupUpdate], sync: bool = True) -> None:
        if sync:
            self.begin_persist(updates)()
            return
        for update in updates:
            assert update.hard_state is not None and not update.entries
            self.disk.note(update.hard_state)

    def append(
        self, group: int, entries: Sequence[Entry], hard_state: HardState | None = None, sync: bool = True
    ) -> None:
        updates = (GroupUpdate(group, hard_state, entries),)
        self.persist(updates, sync)
        self.accept(updates)

    def accept(self, updates: Sequence[GroupUpdate]) -> None:
        for update in updates:
            if update.hard_state is not None:
                self._log.hard_state = update.hard_state
            self._accept(update.entries)

    def _accept(self, entries: Sequence[Entry]) -> None:
        if entries:
            self._log.accept(entries, range(len(entries)))
            self._held.update((entry.index, entry) for entry in entries)

    def cut(self, group: int, base: SnapshotMeta) -> None:
        self.disk.cut(base)
        self._log.cut(base)

    def reset(self, group: int, base: SnapshotMeta | None) -> None:
        self.disk.reset(base)
        self._log.hard_state = self.disk.hard_state
        self._log.reset(base)
        self._held.clear()

    def drop_group(self, group: int) -> None:
        self.disk.wipe()
        self._log.drop()
        self._held.clear()

    def close(self) -> None:
        pass


def begin_blocking(function: Callable[[], object]) -> Callable[[], object]:
    """Begins what a thread is to do: `persist` and `flush` take effect when they end, for what there was when
    they began."""
    target, args = (function.func, function.args) if isinstance(function, partial) else (function, ())
    begin = getattr(getattr(target, "__self__", None), f"begin_{getattr(target, '__name__', '')}", None)
    return begin(*args) if begin is not None else function

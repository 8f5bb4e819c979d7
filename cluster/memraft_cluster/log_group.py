"""What memory holds of one group's durable log: its ends, its terms, and where its entries stand.

The raft core asks for ``term(index)`` on many messages, so that is answered without touching the disk. The
entries themselves are not kept: the core holds the recent tail, and only what is older is read back.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from .raft import Entry, EntryKind, HardState, Membership, SnapshotMeta

ReadEntries = Callable[[int, int, int, int], list[Entry]]
"""(group, lo, hi, bytes_max) -> entries of [lo, hi), at least one, read from disk."""

_OFFSET_BITS = 40


def place(segment: int, offset: int) -> int:
    """Where an entry stands, as one number; they ascend with the order of writing."""
    return segment << _OFFSET_BITS | offset


def segment_of(at: int) -> int:
    return at >> _OFFSET_BITS


def offset_of(at: int) -> int:
    return at & (1 << _OFFSET_BITS) - 1


class GroupLog:
    """The durable part of one group's log: the ``LogStorage`` of its raft core.

    It changes only after the write that it records is on disk; 16 bytes an entry.
    """

    def __init__(self, group: int, read: ReadEntries) -> None:
        self.group = group
        self.hard_state: HardState | None = None
        self._read = read
        self._base: SnapshotMeta | None = None
        self._clear(1)

    def _clear(self, first: int) -> None:
        self._first = first
        self._last = first - 1
        self._places = array("Q")
        # Bytes of data up to and with each entry, counted from _bytes_before on.
        self._ends = array("Q")
        self._bytes_before = 0
        # Run-length encoded: from _term_starts[i] on, the term is _terms[i].
        self._term_starts: list[int] = []
        self._terms: list[int] = []
        self._memberships: list[tuple[int, Membership]] = []

    # -- reading ---------------------------------------------------------------------------------------

    def base(self) -> SnapshotMeta | None:
        """What the log begins behind; None for a log that was never cut."""
        return self._base

    def memberships(self) -> Sequence[tuple[int, Membership]]:
        """Index and content of the entries of kind MEMBERSHIP that are held, ascending."""
        return self._memberships

    def first_index(self) -> int:
        """Index of the first entry held, or of the one that comes next."""
        return self._first

    def last_index(self) -> int:
        """Index of the last durable entry; ``first_index() - 1`` when there is none."""
        return self._last

    @property
    def size_bytes(self) -> int:
        """Bytes of data of the entries held."""
        return self._ends[-1] - self._bytes_before if self._ends else 0

    def bytes_after(self, index: int) -> int:
        """Bytes of data of the entries held that come after ``index``."""
        before = self._ends[index - self._first] if self._first <= index <= self._last else self._bytes_before
        return self._ends[-1] - before if self._ends and index < self._last else 0

    def index_keeping(self, bytes_max: int) -> int:
        """The smallest index such that the entries after it hold at most ``bytes_max`` bytes of data."""
        if self.size_bytes <= bytes_max:
            return self._first - 1
        return self._first + bisect_left(self._ends, self._ends[-1] - bytes_max)

    def term(self, index: int) -> int:
        """Term of the entry at ``index``, or of the base's; 0 for index 0. IndexError for any other."""
        if self._first <= index <= self._last:
            if index >= self._term_starts[-1]:
                return self._terms[-1]
            return self._terms[bisect_right(self._term_starts, index) - 1]
        if index == 0:
            return 0
        if self._base is not None and index == self._base.index:
            return self._base.term
        raise IndexError(f"group {self.group} has entries {self._first}..{self._last}, not {index}")

    def entries(self, lo: int, hi: int, bytes_max: int) -> list[Entry]:
        """Entries of [lo, hi), cut after ``bytes_max`` bytes of data but never before the first one.

        Raises:
            IndexError: the range is not within the log.
            LogCorrupted: a record read from disk is damaged.
        """
        if not self._first <= lo <= hi <= self._last + 1:
            raise IndexError(f"group {self.group} has entries {self._first}..{self._last}, not [{lo}, {hi})")
        return self._read(self.group, lo, hi, bytes_max)

    def place_of(self, index: int) -> tuple[int, int]:
        """Where the entry stands on disk, and how many bytes of data it has."""
        at = index - self._first
        before = self._ends[at - 1] if at else self._bytes_before
        return self._places[at], self._ends[at] - before

    def first_place(self) -> int | None:
        """Where the oldest entry held stands: everything before may go."""
        return self._places[0] if self._places else None

    def problem(self) -> tuple[int, str] | None:
        """What makes this log one that cannot have been written so: (index, words)."""
        base_index, base_term = (self._base.index, self._base.term) if self._base is not None else (0, 0)
        if self._first != base_index + 1:
            return base_index + 1, f"entry {base_index + 1} is missing before entry {self._first}"
        terms = [base_term, *self._terms]
        for number, (before, after) in enumerate(zip(terms, self._terms, strict=False)):
            if after < before:
                index = self._term_starts[number]
                return index, f"term {after} of entry {index} goes back"
        state, last = self.hard_state, self._last
        if state is not None and state.commit > last:
            return last + 1, f"committed up to {state.commit}, but the last entry is {last}"
        if state is not None and terms[-1] > state.term:
            return last, f"entry {last} is of a later term than {state.term}"
        return None

    # -- changing --------------------------------------------------------------------------------------

    def accept(self, entries: Sequence[Entry], places: Sequence[int]) -> None:
        """Record entries just made durable; they replace everything from the first one's index."""
        for entry, at in zip(entries, places, strict=True):
            self.put(entry.index, entry.term, at, len(entry.data))
            if entry.kind != EntryKind.COMMAND:
                self._memberships.append((entry.index, Membership.decode(entry.data)))

    def put(self, index: int, term: int, at: int, size: int) -> None:
        """The entry at ``index`` stands on disk at ``at`` and is the last one."""
        if index != self._last + 1 or not self._places:
            self._make_last(index - 1)
        self._places.append(at)
        self._ends.append((self._ends[-1] if self._ends else self._bytes_before) + size)
        self._last = index
        if not self._terms or self._terms[-1] != term:
            self._term_starts.append(index)
            self._terms.append(term)

    def note_membership(self, index: int, data: bytes) -> None:
        """The entry just put is of kind MEMBERSHIP."""
        self._memberships.append((index, Membership.decode(data)))

    def _make_last(self, index: int) -> None:
        """Forget what is after ``index``; everything, when the log does not reach from there to it."""
        if not self._first - 1 <= index <= self._last or not self._places:
            self._clear(index + 1)
            return
        count = index + 1 - self._first
        del self._places[count:]
        del self._ends[count:]
        if not count:
            self._bytes_before = 0
        self._last = index
        while self._term_starts and self._term_starts[-1] > index:
            self._term_starts.pop()
            self._terms.pop()
        while self._memberships and self._memberships[-1][0] > index:
            self._memberships.pop()

    def move(self, places: Sequence[int]) -> None:
        """All entries held were written again elsewhere."""
        self._places = array("Q", places)

    def cut(self, base: SnapshotMeta) -> None:
        """Entries up to the base go. A base further back than the present one changes nothing."""
        if self._base is None or base.index > self._base.index:
            self._base = base
        self.trim()

    def trim(self) -> None:
        """Forget the entries that the base covers."""
        base = self._base
        if base is None or base.index < self._first:
            return
        if base.index >= self._last:
            self._clear(base.index + 1)
            return
        count = base.index + 1 - self._first
        self._bytes_before = self._ends[count - 1]
        del self._places[:count]
        del self._ends[:count]
        self._first = base.index + 1
        runs = bisect_right(self._term_starts, self._first) - 1
        del self._term_starts[:runs]
        del self._terms[:runs]
        self._term_starts[0] = self._first
        self._memberships = [each for each in self._memberships if each[0] > base.index]

    def reset(self, base: SnapshotMeta | None) -> None:
        """All entries go; the log begins behind the base. The hard state stays."""
        self._base = base
        self._clear(base.index + 1 if base is not None else 1)

    def drop(self) -> None:
        """As if the group had never been."""
        self.hard_state = None
        self.reset(None)

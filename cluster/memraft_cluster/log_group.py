"""What memory holds of one group's durable log: its ends and its terms.

The raft core asks for ``term(index)`` on many messages, so that is answered without touching the disk. The
entries themselves are not kept: the core holds the recent tail, and only what is older is read back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from .raft import Entry, HardState, Membership, SnapshotMeta

ReadEntries = Callable[[int, int, int, int], list[Entry]]
"""(group, lo, hi, bytes_max) -> entries of [lo, hi), at least one, read from disk."""


class GroupLog:
    """The durable part of one group's log: the ``LogStorage`` of its raft core.

    It changes only in :meth:`accept`, which is called after the write that it records is on disk.
    """

    def __init__(self, group: int, read: ReadEntries) -> None:
        self.group = group
        self.hard_state: HardState | None = None
        self._read = read
        self._last = 0
        # Run-length encoded: from _term_starts[i] on, the term is _terms[i].
        self._term_starts: list[int] = []
        self._terms: list[int] = []

    def base(self) -> SnapshotMeta | None:
        """What the log begins behind: None, as it is not cut yet."""
        return None

    def memberships(self) -> Sequence[tuple[int, Membership]]:
        """Index and content of the membership entries held: none, as records carry no kind yet."""
        return ()

    def first_index(self) -> int:
        """Index of the first entry held. The log is not cut yet, so this is 1."""
        return 1

    def last_index(self) -> int:
        """Index of the last durable entry, 0 when there is none."""
        return self._last

    def term(self, index: int) -> int:
        """Term of the entry at ``index``; 0 for index 0. IndexError past the end."""
        if index == 0:
            return 0
        if not 0 < index <= self._last:
            raise IndexError(f"group {self.group} has entries 1..{self._last}, not {index}")
        if index >= self._term_starts[-1]:
            return self._terms[-1]
        return self._terms[bisect_right(self._term_starts, index) - 1]

    def entries(self, lo: int, hi: int, bytes_max: int) -> list[Entry]:
        """Entries of [lo, hi), cut after ``bytes_max`` bytes of data but never before the first one.

        Raises:
            IndexError: the range is not within the log.
            LogCorrupted: a record read from disk is damaged.
        """
        if not 0 < lo <= hi <= self._last + 1:
            raise IndexError(f"group {self.group} has entries 1..{self._last}, not [{lo}, {hi})")
        return self._read(self.group, lo, hi, bytes_max)

    def accept(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Record what was just made durable; entries replace everything from the first one's index."""
        if hard_state is not None:
            self.hard_state = hard_state
        if not entries:
            return
        first = entries[0].index
        while self._term_starts and self._term_starts[-1] >= first:
            self._term_starts.pop()
            self._terms.pop()
        for entry in entries:
            self.note_term(entry.index, entry.term)

    def note_term(self, index: int, term: int) -> None:
        """The entry at ``index`` is on disk with ``term`` and is the last one."""
        self._last = index
        if not self._terms or self._terms[-1] != term:
            self._term_starts.append(index)
            self._terms.append(term)

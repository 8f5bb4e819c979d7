"""Streams and sets: every acknowledged element is there, once, in an order that explains what was seen.

Kinds of operations, `key` naming the stream:

==========  ===========================  =============================================
kind        value                        result
==========  ===========================  =============================================
``append``  the element, unique in key   none; `version`: the position or version it got
``read``    none                         all elements of the stream, in its order
==========  ===========================  =============================================

Elements are unique, so no search is needed: the order of the stream is the order of the longest read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence

from tests.linearizability.check import Verdict
from tests.linearizability.history import NEVER, Operation, Outcome, freeze

_SHOWN_MAX = 5


class _Stream:
    """The operations on one stream."""

    def __init__(self, name: str, operations: Sequence[Operation], is_ordered: bool) -> None:
        self.name = name
        self.is_ordered = is_ordered
        self.problems: list[str] = []
        self.appends: dict[Hashable, Operation] = {}
        for operation in operations:
            if operation.kind not in ("append", "read"):
                raise ValueError(f"a stream has no operation {operation.kind!r}")
            if operation.kind == "append":
                element = freeze(operation.value)
                if element in self.appends:
                    raise ValueError(f"elements of a stream must be unique: {operation}")
                self.appends[element] = operation
        reads = (each for each in operations if each.kind == "read" and each.outcome is Outcome.OK)
        self.reads = [(read, [freeze(element) for element in read.result]) for read in reads]
        self.reads.sort(key=lambda each: each[0].invoked)

    def problem(self, what: str, examples: Sequence[object]) -> None:
        """Notes a violation with some of those that show it."""
        if examples:
            shown = "".join(f"\n    {example}" for example in examples[:_SHOWN_MAX])
            more = f"\n    and {len(examples) - _SHOWN_MAX} more" if len(examples) > _SHOWN_MAX else ""
            self.problems.append(f"stream {self.name!r}: {what}:{shown}{more}")

    def check(self) -> None:
        for read, elements in self.reads:
            self._check_elements(read, elements)
            self._check_presence(read, elements)
        if self.reads and self.is_ordered:
            longest = max((elements for _, elements in self.reads), key=len)
            self._check_prefixes(longest)
            self._check_order(longest)

    def _check_elements(self, read: Operation, elements: Sequence[Hashable]) -> None:
        """None twice, and none that nobody appended or that was refused."""
        twice = [element for element, count in Counter(elements).items() if count > 1]
        self.problem(f"there twice in {_name(read)}", twice)
        unknown = [element for element in elements if element not in self.appends]
        self.problem(f"in {_name(read)} though nobody appended it", unknown)
        appends = [self.appends[element] for element in elements if element in self.appends]
        refused = [append for append in appends if append.outcome is Outcome.FAIL]
        self.problem(f"in {_name(read)} though it was refused", refused)
        end = read.deadline
        early = [append for append in appends if append.invoked > end]
        self.problem(f"in {_name(read)} before it was appended", early)

    def _check_presence(self, read: Operation, elements: Sequence[Hashable]) -> None:
        """All that had been acknowledged when the read began are in it."""
        there = set(elements)
        missing = [
            append
            for element, append in self.appends.items()
            if append.outcome is Outcome.OK and append.deadline < read.invoked and element not in there
        ]
        self.problem(f"acknowledged, but missing in {_name(read)}", missing)

    def _check_prefixes(self, longest: Sequence[Hashable]) -> None:
        """A stream only grows: every read is the beginning of the longest, and of those after it."""
        other = [read for read, elements in self.reads if list(longest[: len(elements)]) != elements]
        self.problem("these reads are no beginning of the longest one", other)
        seen_until, seen = -NEVER, 0
        ends = sorted((read.deadline, len(elements)) for read, elements in self.reads)
        shrunk, position = [], 0
        for read, elements in self.reads:
            while position < len(ends) and ends[position][0] < read.invoked:
                seen_until, seen = ends[position][0], max(seen, ends[position][1])
                position += 1
            if len(elements) < seen:
                shrunk.append(
                    f"{len(elements)} elements, {seen} had been read by {seen_until:g}: {_name(read)}"
                )
        self.problem("elements that were read are gone", shrunk)

    def _check_order(self, longest: Sequence[Hashable]) -> None:
        """Appended after another was acknowledged is after it in the stream; versions grow."""
        latest: Operation | None = None
        highest: Operation | None = None
        wrong = []
        for element in longest:
            append = self.appends.get(element)
            if append is None:
                continue
            if latest is not None and append.deadline < latest.invoked:
                wrong.append(f"{append} stands after {latest}")
            if latest is None or append.invoked > latest.invoked:
                latest = append
            if append.version is not None:
                if highest is not None and append.version <= (highest.version or 0):
                    wrong.append(f"{append} stands after {highest}")
                highest = append
        self.problem("not in the order in which they were acknowledged", wrong)


def _name(read: Operation) -> str:
    return f"the read of {read.process} [{read.invoked:g}, {read.deadline:g}]"


def check_streams(history: Iterable[Operation], *, is_ordered: bool = True) -> Verdict:
    """Checks streams, or sets.

    Args:
        history: operations on any number of streams. To find that nothing was lost, each stream needs a read
            that begins after the last append has been answered.
        is_ordered: False for sets: the order within a read means nothing.

    Raises:
        ValueError: an unknown kind of operation, or an element that is appended twice to one stream.
    """
    by_key = defaultdict[str, list[Operation]](list)
    for operation in history:
        by_key[operation.key].append(operation)
    problems = []
    for name, operations in by_key.items():
        stream = _Stream(name, operations, is_ordered)
        stream.check()
        problems += stream.problems
    return Verdict(not problems, problems, sum(map(len, by_key.values())), len(by_key))

"""Names in order, cheap to add to: what makes prefix and range reads possible."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from heapq import merge

_BLOCK_KEYS_MAX = 2_000
_SETTLE_KEYS_MIN = 4_096
_FEW_KEYS = 64


class KeyIndex:
    """A sorted set of strings in blocks.

    New names gather unsorted and are merged in when a sixteenth of all names wait or someone reads: each
    block then takes its share at once and is sorted again, which is a merge (Timsort) and far cheaper a name
    than inserting one by one. Names that come in ascending order are appended as they are.
    """

    __slots__ = ("_blocks", "_count", "_fresh", "_lasts", "base")

    def __init__(self) -> None:
        self.base: KeyIndex | None = None
        """An index whose names are in this one too, though not counted: the one of a fork's parent."""
        self._blocks: list[list[str]] = []
        self._lasts: list[str] = []
        self._fresh: list[str] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count + len(self._fresh)

    def add(self, name: str) -> None:
        """Adds `name`, which must not be in the index."""
        fresh = self._fresh
        fresh.append(name)
        if len(fresh) >= _SETTLE_KEYS_MIN and len(fresh) * 16 >= self._count:
            self._settle()

    def add_all(self, names: list[str]) -> None:
        """Adds names that must not be in the index, in any order."""
        fresh = self._fresh
        fresh += names
        if len(fresh) >= _SETTLE_KEYS_MIN and len(fresh) * 16 >= self._count:
            self._settle()

    def extend(self, names: list[str]) -> None:
        """Adds names in ascending order, all above every name in the index."""
        if not names:
            return
        if self._fresh:
            self._settle()
        if not self._blocks:
            self._blocks.append([])
            self._lasts.append("")
        self._blocks[-1] += names
        self._count += len(names)
        self._close(len(self._blocks) - 1)

    def discard(self, name: str) -> None:
        """Takes `name` out of the index, if it is in it."""
        if self._fresh:
            self._settle()
        number = bisect_left(self._lasts, name)
        if number == len(self._lasts):
            return
        block = self._blocks[number]
        place = bisect_left(block, name)
        if place == len(block) or block[place] != name:
            return
        del block[place]
        self._count -= 1
        if block:
            self._lasts[number] = block[-1]
        else:
            del self._blocks[number], self._lasts[number]

    def from_name(self, start: str) -> Iterator[str]:
        """Yields the names at or after `start`, by code point. The index must not change meanwhile."""
        return self._own(start) if self.base is None else self._merged(self.base, start)

    def portion(self, low: str, high: str, count_max: int, *, descending: bool = False) -> list[str]:
        """Returns up to `count_max` names from `low`, included, to `high`, excluded: the first of them, or in
        descending order the last. Without those of a base."""
        if self._fresh:
            self._settle()
        blocks = self._blocks
        found: list[str] = []
        step, edge = (-1, high) if descending else (1, low)
        number = min(bisect_left(self._lasts, edge), len(blocks) - 1)
        while 0 <= number < len(blocks) and len(found) < count_max:
            block = blocks[number]
            part = block[bisect_left(block, low) : bisect_left(block, high)]
            found += part[::step]
            if (block[0] < low) if descending else (block[-1] >= high):
                break
            number += step
        return found[:count_max]

    def shrink(self) -> None:
        """Forgets the last names, a block of them: freeing all of an index at once takes long."""
        if self._fresh:
            self._settle()
        if self._blocks:
            self._count -= len(self._blocks.pop())
            self._lasts.pop()

    def count(self, low: str, high: str) -> int:
        """Returns how many names lie from `low`, included, to `high`, excluded. Without those of a base."""
        if self._fresh:
            self._settle()
        return max(0, self._rank(high) - self._rank(low))

    def _rank(self, name: str) -> int:
        """How many names are below `name`."""
        number = bisect_left(self._lasts, name)
        rank = sum([len(block) for block in self._blocks[:number]])
        return rank + bisect_left(self._blocks[number], name) if number < len(self._blocks) else rank

    def _merged(self, base: KeyIndex, start: str) -> Iterator[str]:
        last = None
        for name in merge(base.from_name(start), self._own(start)):
            if name != last:
                yield name
                last = name

    def _own(self, start: str) -> Iterator[str]:
        if self._fresh:
            self._settle()
        number = bisect_left(self._lasts, start)
        if number == len(self._lasts):
            return
        first = self._blocks[number]
        yield from first[bisect_left(first, start) :]
        for block in self._blocks[number + 1 :]:
            yield from block

    def _settle(self) -> None:
        fresh = self._fresh
        self._fresh = []
        self._count += len(fresh)
        if len(fresh) <= _FEW_KEYS and self._blocks:
            for name in fresh:
                number = min(bisect_left(self._lasts, name), len(self._lasts) - 1)
                insort(self._blocks[number], name)
                self._close(number)
            return
        fresh.sort()
        self._merge(fresh)

    def _merge(self, fresh: list[str]) -> None:
        """Gives every block its share of the sorted `fresh`; what lies after the last block extends it."""
        blocks, lasts = self._blocks, self._lasts
        if not blocks:
            blocks.append([])
            lasts.append(fresh[-1])
        end = len(fresh)
        for number in range(len(blocks) - 1, -1, -1):
            start = bisect_left(fresh, lasts[number - 1], 0, end) if number else 0
            if start < end:
                block = blocks[number]
                block += fresh[start:end]
                block.sort()
                self._close(number)
                end = start
            if end == 0:
                return

    def _close(self, number: int) -> None:
        """Notes the last name of a block that has grown, splitting it where it grew too long."""
        block = self._blocks[number]
        if len(block) <= _BLOCK_KEYS_MAX:
            self._lasts[number] = block[-1]
            return
        half = _BLOCK_KEYS_MAX // 2
        parts = [block[at : at + half] for at in range(0, len(block), half)]
        self._blocks[number : number + 1] = parts
        self._lasts[number : number + 1] = [part[-1] for part in parts]

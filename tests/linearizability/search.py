"""Is there an order in which these operations, one after the other, give the answers that were given?

The search of Wing and Gong ("Testing and verifying concurrent objects", 1993) in the just-in-time form of
Lowe ("Testing for linearizability", 2017): events are passed in the order of time, and only when an operation
returns that has not taken effect yet is one of those under way made to. Configurations that were tried are
remembered. Three observations keep the search small:

- An operation that never changes the state (a read, a compare-and-swap that failed) may take effect as soon
  as the state allows it: waiting never opens a way that is closed otherwise.
- Operations with unknown outcome that do the same are interchangeable, and of two configurations that differ
  in them alone, the one that has used fewer can do all that the other can.
- Writes of known version take effect in the order of their versions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.linearizability.history import NEVER, Operation

State = tuple[Hashable, int | None]
"""Value and version; None: the version is not known."""

Step = Callable[[State], State | None]
CONFIGURATIONS_MAX = 5_000_000


@dataclass(frozen=True, slots=True)
class Call:
    """An operation as the search sees it.

    Args:
        operation: what it stands for.
        step: from the state before it to the state after it, or None where it cannot happen in that state
            with the result that it had.
        is_pure: it never changes the state.
        same_as: equal for operations that do the same; used where the outcome is unknown.
        rank: the version of a write, where it is known; writes take effect in this order.
        must: it has certainly taken effect, or will have when it returns.
    """

    operation: Operation
    step: Step
    is_pure: bool
    same_as: Hashable
    rank: int | None = None
    must: bool = True


@dataclass(slots=True)
class Outcome:
    """What the search found.

    Args:
        is_linearizable: None where the search was given up.
        order: a full order that explains the history, or the longest that was found.
        stuck: the operation that cannot follow the longest order, before it must have.
        states: the states that the object can have been in then.
        under_way: operations open at that time that had not taken effect in the longest order.
        configurations: how many were tried.
    """

    is_linearizable: bool | None
    order: list[Operation] = field(default_factory=list)
    stuck: Operation | None = None
    states: list[State] = field(default_factory=list)
    under_way: list[Operation] = field(default_factory=list)
    configurations: int = 0


_Path = tuple[int, "_Path | None"]
_Configuration = tuple[int, State, int, int, _Path | None]
"""Position of the event at hand, state, calls that have happened, those of unknown outcome, and the order."""


class Search:
    """One search over one key's calls."""

    def __init__(self, calls: Sequence[Call], initial: State, configurations_max: int) -> None:
        self._calls = calls
        self._initial = initial
        self._configurations_max = configurations_max
        self._events = self._in_order_of_time()
        self._invoked_at = {number: at for at, (number, returns) in enumerate(self._events) if not returns}
        self._returns_at = {number: at for at, (number, returns) in enumerate(self._events) if returns}
        self._slots = self._give_slots()
        self._twins = self._find_twins()
        self._rank_before = self._find_ranks()
        # Who is open, and may change the state, when event i is at hand.
        self._open_at: dict[int, tuple[list[int], list[int]]] = self._find_open()
        self._seen: dict[tuple[int, State, int], list[int]] = {}

    def _in_order_of_time(self) -> list[tuple[int, bool]]:
        """(call, it returns) in order of time; at the same time calls come before returns: they overlap."""
        events: list[tuple[float, bool, int]] = []
        for number, call in enumerate(self._calls):
            events.append((call.operation.invoked, False, number))
            if call.must:
                events.append((call.operation.deadline, True, number))
        events.sort()
        return [(number, returns) for _, returns, number in events]

    def _give_slots(self) -> list[int]:
        """A bit for each call; those of calls that have returned are used again, to keep numbers small."""
        slots, free, fresh, optional = [0] * len(self._calls), list[int](), 0, 0
        for number, returns in self._events:
            if returns:
                free.append(slots[number])
            elif not self._calls[number].must:
                slots[number] = 1 << optional
                optional += 1
            elif free:
                slots[number] = free.pop()
            else:
                slots[number] = 1 << fresh
                fresh += 1
        return slots

    def _find_twins(self) -> list[int]:
        """For each call of unknown outcome the one before it that does the same and goes first; -1: none."""
        twins, last = [-1] * len(self._calls), dict[Hashable, int]()
        for number, returns in self._events:
            call = self._calls[number]
            if not returns and not call.must:
                twins[number] = last.get(call.same_as, -1)
                last[call.same_as] = number
        return twins

    def _find_ranks(self) -> list[int]:
        """For each ranked call the ranked one just before it; -1: none."""
        before = [-1] * len(self._calls)
        ranked = sorted((call.rank, n) for n, call in enumerate(self._calls) if call.rank is not None)
        for (_, first), (_, second) in pairwise(ranked):
            before[second] = first
        return before

    def _find_open(self) -> dict[int, tuple[list[int], list[int]]]:
        """At each return the open calls that must happen, pure ones apart: (changing, pure)."""
        found = {}
        changing: dict[int, None] = {}
        pure: dict[int, None] = {}
        for position, (number, returns) in enumerate(self._events):
            kind = pure if self._calls[number].is_pure else changing
            if returns:
                found[position] = (list(changing), list(pure))
                del kind[number]
            else:
                kind[number] = None
        return found

    def run(self) -> Outcome:
        """Depth first, until an order is found or nothing is left to try."""
        calls, tried = self._calls, 0
        furthest, best, stuck_in = -1, None, list[tuple[State, int, int]]()
        stack = [self._advance(0, self._initial, 0, 0, None)]
        while stack:
            position, state, done, used, path = stack.pop()
            if position == len(self._events):
                return Outcome(True, self._unroll(path), configurations=tried)
            if position >= furthest:
                if position > furthest:
                    stuck_in.clear()
                    furthest, best = position, path
                stuck_in.append((state, done, used))
            if self._is_known(position, state, done, used):
                continue
            tried += 1
            if tried > self._configurations_max:
                return Outcome(None, self._unroll(best), configurations=tried)
            later: list[_Configuration] = []
            sooner: list[_Configuration] = []
            for candidate in self._candidates(position, done, used):
                after = calls[candidate].step(state)
                if after is None:
                    continue
                more_done, more_used = done, used
                if calls[candidate].must:
                    more_done |= self._slots[candidate]
                else:
                    more_used |= self._slots[candidate]
                next_one = self._settle(position, after, more_done, more_used, (candidate, path))
                (sooner if next_one[0] > position else later).append(next_one)
            stack += later[::-1]
            stack += sooner[::-1]
        return self._explain(furthest, best, stuck_in, tried)

    def _candidates(self, position: int, done: int, used: int) -> list[int]:
        """Open calls that change the state and have not happened: first the one that returns now."""
        now, calls, slots = self._events[position][0], self._calls, self._slots
        found = [] if calls[now].is_pure or not self._is_next(now, position, done) else [now]
        optional = []
        for number in self._open_at[position][0]:
            if number == now:
                continue
            if calls[number].must:
                if not done & slots[number] and self._is_next(number, position, done):
                    found.append(number)
            elif not used & slots[number]:
                twin = self._twins[number]
                if twin < 0 or used & slots[twin]:
                    optional.append(number)
        found.sort(key=lambda each: self._returns_at[each])
        return found + optional

    def _is_next(self, number: int, position: int, done: int) -> bool:
        """Whether the write of the version before it has taken effect, and with it all of lower versions."""
        before = self._rank_before[number]
        if before < 0 or self._returns_at[before] < position:
            return True
        return self._invoked_at[before] < position and bool(done & self._slots[before])

    def _settle(
        self, position: int, state: State, done: int, used: int, path: _Path | None
    ) -> _Configuration:
        """After a change of state: reads that it satisfies take effect, then events pass."""
        calls, slots = self._calls, self._slots
        for number in self._open_at[position][1]:
            if not done & slots[number] and calls[number].step(state) is not None:
                done |= slots[number]
                path = (number, path)
        return self._advance(position, state, done, used, path)

    def _advance(
        self, position: int, state: State, done: int, used: int, path: _Path | None
    ) -> _Configuration:
        """Passes events up to the return of a call that has not happened yet."""
        calls, slots, events = self._calls, self._slots, self._events
        while position < len(events):
            number, returns = events[position]
            if returns:
                if not done & slots[number]:
                    break
                done &= ~slots[number]
            elif calls[number].is_pure and calls[number].step(state) is not None:
                done |= slots[number]
                path = (number, path)
            position += 1
        return position, state, done, used, path

    def _is_known(self, position: int, state: State, done: int, used: int) -> bool:
        """Whether one was tried that can do all that this can; notes this one otherwise."""
        key = (position, state, done)
        known = self._seen.get(key)
        if known is None:
            self._seen[key] = [used]
            return False
        for other in known:
            if other & used == other:
                return True
        known[:] = [other for other in known if other & used != used]
        known.append(used)
        return False

    def _unroll(self, path: _Path | None) -> list[Operation]:
        order = []
        while path is not None:
            number, path = path
            order.append(self._calls[number].operation)
        return order[::-1]

    def _explain(
        self, position: int, best: _Path | None, stuck_in: list[tuple[State, int, int]], tried: int
    ) -> Outcome:
        order = self._unroll(best)
        placed = {id(operation) for operation in order}
        number = self._events[position][0]
        changing, pure = self._open_at[position]
        under_way = [
            self._calls[each].operation
            for each in [*changing, *pure]
            if each != number and id(self._calls[each].operation) not in placed
        ]
        states = list(dict.fromkeys(state for state, _, _ in stuck_in))
        return Outcome(False, order, self._calls[number].operation, states, under_way, tried)


def search(calls: Sequence[Call], initial: State, configurations_max: int = CONFIGURATIONS_MAX) -> Outcome:
    """Looks for a linearization.

    Args:
        calls: those of one key, in any order; reads of unknown outcome left out.
        initial: the state before all of them.
        configurations_max: give up after so many; the problem is NP-complete (Gibbons and Korach, 1997).
    """
    assert all(call.must or not call.is_pure for call in calls)
    assert all(call.operation.invoked < NEVER for call in calls)
    return Search(calls, initial, configurations_max).run()

"""The definition of linearizability, taken literally: for small histories, to check the checker with.

It shares nothing with the search but the format of histories: every subset of the operations of unknown
outcome, every order that respects time, and an interpreter of one cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.linearizability.history import Operation, Outcome


class _Cell:
    """Value and version as a client would see them; a deleted key has neither."""

    def __init__(self) -> None:
        self.value: Any = None
        self.version = 0

    def allows(self, operation: Operation, version: int) -> bool:
        """Applies an operation that writes `version`; False where its answer would have been another."""
        told = operation.outcome is Outcome.OK
        if operation.kind == "read":
            seen = operation.version
            return bool(operation.result == self.value and (seen is None or seen == self.version))
        if operation.kind == "delete":
            existed = self.value is not None
            self.value, self.version = None, 0
            return not told or operation.result is None or operation.result == existed
        if operation.kind == "write":
            self.value, self.version = operation.value, version
            return True
        expected, new = operation.value
        holds = (self.version if operation.kind == "cas_version" else self.value) == expected
        if holds:
            self.value, self.version = new, version
        # One that did not hold, of unknown outcome, is the same as one that never happened.
        return bool(operation.result == holds if told else holds)


def _explains(order: Sequence[tuple[Operation, int]]) -> bool:
    cell, last = _Cell(), 0
    for operation, version in order:
        is_refused = operation.kind.startswith("cas") and operation.result is False
        if operation.kind != "read" and not is_refused and operation.outcome is Outcome.OK:
            if operation.version is not None:
                if version <= last:
                    return False
                last = version
        if not cell.allows(operation, version):
            return False
    return True


def is_linearizable(history: Sequence[Operation]) -> bool:
    """Whether some order of the operations on one key explains it; without versions, or all of them known."""
    certain = [each for each in history if each.outcome is Outcome.OK]
    unknown = [each for each in history if each.outcome is Outcome.INFO and each.kind != "read"]
    for chosen in range(1 << len(unknown)):
        there = certain + [each for bit, each in enumerate(unknown) if chosen >> bit & 1]
        if _any_order([], there):
            return True
    return False


def _any_order(order: list[tuple[Operation, int]], rest: Sequence[Operation]) -> bool:
    if not rest:
        return _explains(order)
    for operation in rest:
        if any(other.deadline < operation.invoked for other in rest):
            continue
        others = [each for each in rest if each is not operation]
        if _any_order([*order, (operation, operation.version or 0)], others):
            return True
    return False

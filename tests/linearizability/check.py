"""Checks a history of registers or keys, key by key (linearizability is local: Herlihy and Wing, 1990)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.linearizability.history import Operation
from tests.linearizability.models import NOTHING, compile_calls
from tests.linearizability.search import CONFIGURATIONS_MAX, Call, Outcome, search

_TAIL = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a checker says of a history.

    Args:
        ok: True: what is promised holds; False: it does not; None: the search was given up undecided.
        problems: one text a violation, each with what is needed to see it.
        operations: how many operations were looked at.
        keys: how many keys or streams there were.
        configurations: what the search has tried.
    """

    ok: bool | None
    problems: list[str] = field(default_factory=list)
    operations: int = 0
    keys: int = 0
    configurations: int = 0

    def __bool__(self) -> bool:
        return self.ok is True

    def __str__(self) -> str:
        words = {True: "ok", False: "NOT ok", None: "undecided"}[self.ok]
        head = f"{words}: {self.operations} operations on {self.keys} keys"
        return "\n".join([head, *self.problems])


def explain(key: str, outcome: Outcome) -> str:
    """Why the operations on a key cannot be put in order: where it ends, and what then cannot follow."""
    where = f"key {key!r}: " if key else ""
    if outcome.is_linearizable is None:
        return f"{where}undecided after {outcome.configurations} configurations"
    lines = [f"{where}{len(outcome.order)} operations can be put in order, ending in"]
    lines += [f"    {operation}" for operation in outcome.order[-_TAIL:]] or ["    (none)"]
    states = ", ".join(
        f"{value!r}" + (f"@{version}" if version else "") for value, version in outcome.states[:_TAIL]
    )
    lines += [f"  where the value can be {states}; then this cannot follow:", f"    {outcome.stuck}"]
    if outcome.under_way:
        lines.append(f"  with {len(outcome.under_way)} under way that had not taken effect:")
        lines += [f"    {operation}" for operation in outcome.under_way[:_TAIL]]
    return "\n".join(lines)


def one_version_twice(calls: Iterable[Call]) -> tuple[Operation, Operation] | None:
    """Two writes that were given the same version, which no order can explain."""
    known: dict[int, Operation] = {}
    for call in calls:
        if (
            call.rank is not None
            and (other := known.setdefault(call.rank, call.operation)) is not call.operation
        ):
            return other, call.operation
    return None


def check_cells(history: Iterable[Operation], configurations_max: int = CONFIGURATIONS_MAX) -> Verdict:
    """Checks registers and kv: see `models` for the kinds of operations.

    Args:
        history: operations of any number of keys, in any order.
        configurations_max: how much to search for one key before it is left undecided.
    """
    by_key = defaultdict[str, list[Operation]](list)
    for operation in history:
        by_key[operation.key].append(operation)
    ok: bool | None = True
    problems, configurations = [], 0
    for key, operations in by_key.items():
        calls = compile_calls(operations)
        if twice := one_version_twice(calls):
            problems.append(f"key {key!r}: two writes have one version:\n    {twice[0]}\n    {twice[1]}")
            ok = False
            continue
        outcome = search(calls, NOTHING, configurations_max)
        configurations += outcome.configurations
        if not outcome.is_linearizable:
            problems.append(explain(key, outcome))
            ok = False if ok is False or outcome.is_linearizable is False else None
    operations_total = sum(map(len, by_key.values()))
    return Verdict(ok, problems, operations_total, len(by_key), configurations)

"""The objects that histories are checked against: a register, and a key of a kv store with versions.

Both are one cell with a value. Kinds of operations, with value and result:

=====================  =====================  ==========================================================
kind                   value                  result
=====================  =====================  ==========================================================
``read``, ``get``      none                   the value, None where there is none
``write``, ``put``     the new value          none
``delete``             none                   whether there was a value; None where the answer does not say
``cas``                [expected, new]        whether the value was the expected one and was replaced
``cas_version``        [version, new]         whether the version was that one (0: none there yet)
=====================  =====================  ==========================================================

A write may carry the version that it got and a read the one that it saw; the state then has it too, and they
must agree. Where the history has no versions, none are looked at. Null is no value to write: it means
that there is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from tests.linearizability.history import Operation, Outcome, freeze
from tests.linearizability.search import Call, State, Step

NOTHING: State = (None, 0)
READS = frozenset({"read", "get"})
WRITES = frozenset({"write", "put"})
KINDS = READS | WRITES | {"delete", "cas", "cas_version"}


def _may_be(version: int | None, other: int | None) -> bool:
    return version is None or other is None or version == other


def _read_step(operation: Operation) -> Step:
    value, version = freeze(operation.result), operation.version

    def step(state: State) -> State | None:
        return state if state[0] == value and _may_be(state[1], version) else None

    return step


def _condition_step(operation: Operation, version: int | None, is_known: bool) -> Step:
    """A compare-and-swap, on the value or on the version."""
    expected, new = operation.value
    on_version = operation.kind == "cas_version"
    after = (freeze(new), version)

    def step(state: State) -> State | None:
        if on_version:
            holds, fails = _may_be(state[1], expected), state[1] is None or state[1] != expected
        else:
            holds = state[0] == freeze(expected)
            fails = not holds
        if is_known and operation.result is False:
            return state if fails else None
        return after if holds and _grows(state[1], version) else None

    return step


def _write_step(operation: Operation, version: int | None, is_known: bool) -> Step:
    value = None if operation.kind == "delete" else freeze(operation.value)
    is_delete = operation.kind == "delete"
    existed = operation.result if is_delete and is_known else None
    # A key that was deleted counts as one that never was, in all that a client sees of it.
    after = NOTHING if is_delete else (value, version)

    def step(state: State) -> State | None:
        if existed is not None and existed != (state[0] is not None):
            return None
        return after if is_delete or _grows(state[1], version) else None

    return step


def _grows(before: int | None, after: int | None) -> bool:
    return before is None or after is None or before < after


def _seen_versions(operations: Sequence[Operation]) -> dict[Hashable, int]:
    """The version of each value that only one operation can have written, where a read has told it."""
    writers = Counter[Hashable]()
    for operation in operations:
        if operation.kind in WRITES:
            writers[freeze(operation.value)] += 1
        elif operation.kind in ("cas", "cas_version"):
            writers[freeze(operation.value[1])] += 1
    return {
        value: operation.version
        for operation in operations
        if operation.kind in READS and operation.outcome is Outcome.OK and operation.version is not None
        if writers[value := freeze(operation.result)] == 1
    }


def compile_calls(operations: Sequence[Operation]) -> list[Call]:
    """What the search needs of the operations on one key; those that cannot matter are left out.

    Raises:
        ValueError: an operation of a kind that is not in the table above.
    """
    seen, calls = _seen_versions(operations), []
    for operation in operations:
        if operation.kind not in KINDS:
            raise ValueError(f"a cell has no operation {operation.kind!r}")
        is_known = operation.outcome is Outcome.OK
        if operation.outcome is Outcome.FAIL or (operation.kind in READS and not is_known):
            continue
        if operation.kind in READS:
            calls.append(Call(operation, _read_step(operation), True, None))
            continue
        is_cas = operation.kind in ("cas", "cas_version")
        is_refused = is_cas and is_known and operation.result is False
        version = None if is_refused else operation.version
        written = freeze(operation.value[1] if is_cas else operation.value)
        if written is None and operation.kind != "delete":
            raise ValueError(f"null cannot be told from nothing: {operation}")
        must = is_known
        if not is_known and operation.kind != "delete" and written in seen:
            # Somebody has read what it wrote: it took effect, and this is its version.
            version, must = seen[written], True
        make = _condition_step if is_cas else _write_step
        same_as = (operation.kind, freeze(operation.value))
        rank = version if must and not is_refused else None
        calls.append(Call(operation, make(operation, version, is_known), is_refused, same_as, rank, must))
    return calls

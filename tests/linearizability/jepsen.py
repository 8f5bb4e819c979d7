"""Reads the logs of Jepsen's etcd test: a register with read, write and compare-and-swap."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.linearizability.history import Operation, Outcome

_LINE = re.compile(r"INFO\s+jepsen\.util\s+-\s+(\d+)\s+:(invoke|ok|fail|info)\s+:(read|write|cas)\s+(.*)")
_TIMED_OUT = ":timed-out"


def _value(text: str) -> object:
    if text == "nil":
        return None
    if text.startswith("["):
        return [int(part) for part in text.strip("[]").split()]
    return int(text)


def parse(lines: Iterable[str]) -> list[Operation]:
    """The history in such a log; a line's number is its time.

    A compare-and-swap that failed did so because the value was another; one that timed out, and a write that
    did, may take effect at any later time. So may one that has no second line.

    Raises:
        ValueError: there is not one operation in it.
    """
    open_calls: dict[int, tuple[int, str, object]] = {}
    history = []
    for time, line in enumerate(lines):
        match = _LINE.match(line.strip())
        if match is None:
            continue
        process, event, kind, text = int(match[1]), match[2], match[3], match[4].strip()
        if event == "invoke":
            open_calls[process] = (time, kind, _value(text))
            continue
        invoked, kind, value = open_calls.pop(process)
        result: object = None
        outcome = Outcome.INFO if text == _TIMED_OUT or event == "info" else Outcome.OK
        if outcome is Outcome.OK and kind == "read":
            result = _value(text)
        elif outcome is Outcome.OK and kind == "cas":
            result = event == "ok"
        history.append(
            Operation(
                process=process, kind=kind, value=value, result=result, invoked=invoked, returned=time,
                outcome=outcome,
            )
        )  # fmt: skip
    for process, (invoked, kind, value) in open_calls.items():
        history.append(
            Operation(process=process, kind=kind, value=value, invoked=invoked, outcome=Outcome.INFO)
        )
    if not history:
        raise ValueError("no operation is in this log")
    return history

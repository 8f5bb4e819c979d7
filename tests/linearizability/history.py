"""What clients asked, when, and what they were told: the input of every checker here.

A history is a list of :class:`Operation`; on disk it is a line of JSON an operation. Times are numbers of any
unit, as long as all processes of a run read one clock (``time.monotonic()`` on one machine).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

NEVER = float("inf")


class Outcome(StrEnum):
    """What the client knows of an operation."""

    OK = "ok"
    """It was acknowledged: it took effect between invocation and return, with the result that is recorded."""
    FAIL = "fail"
    """It was refused: it never took effect and never will. (A compare-and-swap that met another value is
    ``OK`` with the result False: that it failed says something about the value.)"""
    INFO = "info"
    """Unknown: it may have taken effect, may do so at any later time, or never."""


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of one client.

    Args:
        process: who called; one process has one call under way at a time, unless its last one is ``INFO``.
        kind: what was called, in the words of the model (``put``, ``get``, ``append``, ``txn``...).
        key: the register, key or stream; histories are checked key by key. Empty for transactions.
        value: the argument; anything that JSON can carry. Tuples come back as lists.
        result: the answer; None where there is none, or it is unknown.
        invoked: the time of the call.
        returned: the time of the answer; for ``INFO`` it says when the client gave up and is not used.
        outcome: what the client knows.
        version: the version that an acknowledged write got, or a read saw; None where it is not known.
            Versions of one key grow with every write of it, and no two writes have the same (so the index of
            a log entry is none, where an entry may hold several writes).
    """

    process: int | str
    kind: str
    key: str = ""
    value: Any = None
    result: Any = None
    invoked: float
    returned: float | None = None
    outcome: Outcome = Outcome.OK
    version: int | None = None

    @property
    def deadline(self) -> float:
        """The time by which it must have taken effect: never, where the outcome is unknown."""
        return NEVER if self.outcome is Outcome.INFO or self.returned is None else self.returned

    def __str__(self) -> str:
        times = f"[{self.invoked:g}, {'...' if self.deadline == NEVER else f'{self.deadline:g}'}]"
        shown = [self.kind, self.key] if self.key else [self.kind]
        if self.value is not None:
            shown.append(_short(self.value))
        if self.outcome is not Outcome.OK:
            shown.append(f"-> {self.outcome}")
        elif self.result is not None or self.kind in ("get", "read"):
            shown.append(f"-> {_short(self.result)}")
        if self.version is not None:
            shown.append(f"@{self.version}")
        return f"{times} {self.process}: {' '.join(shown)}"


def _short(value: object, chars_max: int = 60) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= chars_max else text[: chars_max - 3] + "..."


def freeze(value: object) -> Hashable:
    """A hashable stand-in for a JSON value: equal values, equal stand-ins, also after a trip through JSON."""
    if isinstance(value, list | tuple):
        return ("[", *(freeze(item) for item in value))
    if isinstance(value, dict):
        return ("{", *sorted((str(name), freeze(item)) for name, item in value.items()))
    if isinstance(value, bool):
        return ("?", value)  # True == 1 in Python, not in JSON
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"not a JSON value: {type(value).__name__}")


class Recorder:
    """Collects a history; each method may be called from any thread or task.

    >>> recorder = Recorder(time.monotonic)
    >>> call = recorder.invoke("client 1", "put", "x", 7)
    >>> recorder.ok(call, version=12)
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: dict[int, Operation] = {}
        self._numbers = iter(range(1 << 62))
        self._closed: list[Operation] = []

    def invoke(self, process: int | str, kind: str, key: str = "", value: object = None) -> int:
        """Notes a call before it is sent.

        Returns:
            its number, for the method that closes it.
        """
        number = next(self._numbers)
        self._open[number] = Operation(
            process=process, kind=kind, key=key, value=value, invoked=self._clock(), outcome=Outcome.INFO
        )
        return number

    def ok(self, call: int, result: object = None, version: int | None = None) -> None:
        """Notes an acknowledgement, as soon as it is there."""
        self._close(call, Outcome.OK, result, version)

    def fail(self, call: int) -> None:
        """Notes that the operation certainly did not and will not take effect."""
        self._close(call, Outcome.FAIL, None, None)

    def info(self, call: int) -> None:
        """Notes that nobody knows."""
        self._close(call, Outcome.INFO, None, None)

    def _close(self, call: int, outcome: Outcome, result: object, version: int | None) -> None:
        returned = self._clock()
        opened = self._open.pop(call)
        self._closed.append(
            msgspec.structs.replace(
                opened, outcome=outcome, result=result, version=version, returned=returned
            )
        )

    def history(self) -> list[Operation]:
        """All operations by time of invocation; calls still open have an unknown outcome."""
        return sorted([*self._closed, *self._open.values()], key=lambda each: each.invoked)


def save(path: Path, history: Iterable[Operation]) -> None:
    """Writes a history, one JSON object a line."""
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for operation in history:
            file.write(encoder.encode(operation) + b"\n")


def load(path: Path) -> list[Operation]:
    """Reads what :func:`save` wrote.

    Raises:
        ValueError: a line is not an operation; the message names file and line.
    """
    decoder = msgspec.json.Decoder(Operation)
    found = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                found.append(decoder.decode(line))
            except msgspec.MsgspecError as error:
                raise ValueError(f"{path}:{number}: {error}") from None
    return found

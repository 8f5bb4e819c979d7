"""What a run records of its calls, and how a replay finds it again. Pure; shared by both facades.

Every call of a tool or a model, and every look at the clock, is one event of the run's stream `run/<id>`:
what went in, and what came out or went wrong. Ids and random numbers are not recorded: they come from a
generator that begins with what the run began with.
"""

import builtins
import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from . import _json
from .errors import InvalidArgument, MemraftError, NotRecorded, RecordedError
from .types import Event, ModelInput, ModelOutput, NewTrace, StepDifference, ToolCall

CALLS = {"tool": "tool_call", "model": "model_call", "clock": "clock"}
"""Kind of a call -> the type of its event."""


FAILURE_CHARACTERS_MAX = 16_000
"""Of an exception's message in a trace: its event has all of it."""


class Diverged(BaseException):
    """An agent does something else than it did. No Exception: the agent's own handlers must not take it."""

    def __init__(self, difference: StepDifference) -> None:
        super().__init__(difference)
        self.difference = difference


def generator_of(run_id: str, began_at_us: int) -> random.Random:
    """Returns the generator of a run's ids and random numbers: the same in every replay."""
    return random.Random(f"memraft.run.v1:{run_id}:{began_at_us}")


def failure_of(error: BaseException) -> dict[str, str]:
    """Returns what is recorded of an exception."""
    return {"type": type(error).__name__, "message": str(error)}


def asked(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is recorded of a call's input. Raises InvalidArgument where it cannot be JSON."""
    try:
        plain: dict[str, Any] = _json.decode(_json.encode({"args": list(args), "kwargs": dict(kwargs)}))
    except InvalidArgument as error:
        raise InvalidArgument(f"{name}: what goes into a recorded call must be JSON: {error}") from error
    return plain


def answered(call: dict[str, Any], output: Any) -> dict[str, Any]:
    """Returns the payload of a call that came back."""
    try:
        return {**call, "output": _json.decode(_json.encode(output, "output"))}
    except InvalidArgument as error:
        return {**call, "missing": str(error)}


def traces_of(
    kind: str, payload: Mapping[str, Any], parent: str, started_at: datetime, ended_at: datetime
) -> list[NewTrace]:
    """Returns the traces of a call: of a model what it was asked and, below, what it answered. Of the clock
    there are none.

    Args:
        kind: `tool`, `model` or `clock`.
        payload: of its event.
        parent: the trace that they are below; empty: none.
        started_at: when the call began, by the caller's clock.
        ended_at: when it ended.
    """
    if kind == "clock":
        return []
    failure: Mapping[str, str] = payload.get("error", {})
    error_type = failure.get("type", "")
    error_message = failure.get("message", "")[:FAILURE_CHARACTERS_MAX]
    name, asked, output = payload["name"], payload["input"], payload.get("output")
    if kind == "tool":
        call = ToolCall(name, asked, output, error_type=error_type, error_message=error_message)
        return [NewTrace(content=call, parent=parent, started_at=started_at, ended_at=ended_at)]
    answer = ModelOutput(name, output, error_type=error_type, error_message=error_message)
    return [
        NewTrace(content=ModelInput(name, asked), parent=parent, started_at=started_at),
        NewTrace(content=answer, parent_item=1, ended_at=ended_at),
    ]


class Script:
    """The recorded calls of a run, given back one after the other.

    Args:
        run_id: of the run.
        events: all of its stream that it wrote.
        is_over: whether the run has ended, so that nothing of the recording can be missing.
    """

    def __init__(self, run_id: str, events: Sequence[Event], is_over: bool) -> None:
        self._run_id = run_id
        self._events = [each for each in events if each.type in CALLS.values()]
        self._is_over = is_over
        self._next = 0

    def take(self, kind: str, call: dict[str, Any]) -> tuple[dict[str, Any], StepDifference | None]:
        """Returns the recorded payload of the call that is made now, and how its input differs, if it does:
        it may name ids and versions of the replay, which stand for the recorded ones.

        Args:
            kind: `tool`, `model` or `clock`.
            call: its name and input.

        Raises:
            Diverged: another call was recorded here, or none.
            NotRecorded: the recording ends here although the run had not, or lacks the output.
        """
        place = self._next
        number = place + 1
        said = f"call {number}, {kind} {call.get('name', '')!r}"
        if place == len(self._events):
            if not self._is_over:
                raise NotRecorded(
                    f"run {self._run_id!r} has no recorded output for {said}: it had not ended, and recorded "
                    f"{place} calls",
                    reason="NOT_RECORDED",
                )
            raise Diverged(self._difference(number, kind, None, call))
        event = self._events[place]
        recorded: dict[str, Any] = event.payload
        difference = self._difference(number, kind, event, call)
        if event.type != CALLS[kind] or recorded.get("name") != call.get("name"):
            raise Diverged(difference)
        if "missing" in recorded:
            raise NotRecorded(
                f"run {self._run_id!r} has no recorded output for {said}: {recorded['missing']}",
                reason="NOT_RECORDED",
            )
        self._next = number
        same = all(recorded.get(field) == value for field, value in call.items())
        return recorded, None if same else difference

    def _difference(
        self, number: int, kind: str, event: Event | None, call: dict[str, Any]
    ) -> StepDifference:
        left = _json.encode({"type": event.type, **event.payload}).decode() if event is not None else ""
        right = _json.encode({"type": CALLS[kind], **call}).decode()
        types = dict.fromkeys((*([event.type] if event is not None else []), CALLS[kind]))
        return StepDifference(step=number, call=" / ".join(types), left=left, right=right)


def raise_recorded(failure: Mapping[str, str]) -> None:
    """Raises what a recorded call raised: the same class where Python has it built in, else RecordedError."""
    kind, message = failure["type"], failure["message"]
    found = getattr(builtins, kind, None)
    if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, MemraftError):
        try:
            error: Exception = found(message)
        except TypeError:  # one that takes more than a message
            error = RecordedError(message, kind)
        raise error
    raise RecordedError(message, kind)

"""Steps of recorded runs side by side: whether two did the same, and how they are shown.

Two runs that do the same are told other versions and ids, and use them in what they ask next. So where two
replies agree in all else, what one was told stands for what the other was told from then on.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from memraft_proto.methods import COMMANDS, METHODS
from memraft_proto.v1 import run_pb2
from memraft_server.machine.ids import ALPHABET, ID_CHARACTERS
from memraft_server.machine.recording import Step
from memraft_server.machine.sessions import kept_refusal

SHOWN_CHARACTERS_MAX = 4_096
"""Of one side of a step, or of a value."""

_CALLS = {method.kind: method for method in METHODS.values() if method.kind}
_HASHES = frozenset(("hash", "last_hash", "prev_hash"))
_TIMES = frozenset(("started_at_us", "ended_at_us"))
"""What traces say by the clock of who wrote them: no two runs agree in it."""
_NOT_COMPARED = _TIMES | {"receipt"}
"""And what a recall told: each has a receipt of its own. What was used of it stands beside."""
_TOLD = frozenset((
    "event_id", "first_sequence", "id", "ids", "log_index", "message", "namespace", "run_id", "sequence",
    "token",
))  # fmt: skip
"""Beside versions and times: what a reply says of where and as what something was written."""
_ID_OR_VERSION = rf"[{ALPHABET}]{{{ID_CHARACTERS}}}|(?<!\w)[0-9]{{7,19}}(?!\w)"
_encode = msgspec.json.Encoder(order="sorted").encode


def call_name(kind: int) -> str:
    """Returns the name of the call that makes commands of a kind."""
    return _CALLS[kind].name if kind in _CALLS else str(kind)


class Likeness:
    """What of one run stands for what of another."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}
        self._names: list[str] = []
        self._parts = re.compile(f"({_ID_OR_VERSION})")
        """What may stand for something else within a text."""

    def equate(self, left: str, right: str) -> None:
        """From now on `left` in the first run is what `right` is in the other, also within texts."""
        if left and left != right:
            self._known[left] = right
            self._names += (left, right)
            names = "|".join(map(re.escape, sorted(self._names, key=len, reverse=True)))
            self._parts = re.compile(rf"((?<!\w)(?:{names})(?!\w)|{_ID_OR_VERSION})")

    def is_like(self, left: Step, right: Step) -> bool:
        """Whether the other run's step asked for the same and was told the same."""
        if left.kind != right.kind:
            return False
        request = COMMANDS[left.kind].FromString
        if not self._same(request(left.request), request(right.request)):
            return False
        refusals = kept_refusal(left.reply), kept_refusal(right.reply)
        if refusals[0] is not None or refusals[1] is not None:
            return getattr(refusals[0], "reason", "") == getattr(refusals[1], "reason", "")
        reply = _CALLS[left.kind].response.FromString
        return self._learn(reply(left.reply), reply(right.reply))

    def _same(self, left: Message, right: Message) -> bool:
        for field in _fields(left, right):
            mine, other = _values(left, field), _values(right, field)
            if len(mine) != len(other):
                return False
            for a, b in zip(mine, other, strict=True):
                if isinstance(a, Message):
                    if not self._same(a, b):
                        return False
                elif a != b and self._known.get(a) != b and not self._same_text(a, b):
                    return False
        return True

    def _same_text(self, left: Any, right: Any) -> bool:
        """Whether texts differ only in ids, versions and names that stand for each other."""
        if isinstance(left, bytes) and isinstance(right, bytes):
            left, right = left.decode(errors="surrogateescape"), right.decode(errors="surrogateescape")
        if not isinstance(left, str) or not isinstance(right, str):
            return False
        mine, other = self._parts.split(left), self._parts.split(right)
        return len(mine) == len(other) and all(map(self._is_for, mine, other))

    def _is_for(self, left: str, right: str) -> bool:
        """Whether a part of a text is that of the other, or stands for it."""
        return left == right or str(self._known.get(int(left) if left.isdigit() else left)) == right

    def _learn(self, left: Message, right: Message) -> bool:
        """Whether two replies agree but for versions, times, ids and hashes, which are equated."""
        for field in _fields(left, right):
            mine, other = _values(left, field), _values(right, field)
            if len(mine) != len(other):
                return False
            for a, b in zip(mine, other, strict=True):
                if isinstance(a, Message):
                    if not self._learn(a, b):
                        return False
                elif a != b and field.name not in _HASHES:
                    if not _is_of_the_place(field.name) or not (a and b):
                        return False
                    self._known[a] = b
        return True


def _is_of_the_place(field: str) -> bool:
    """Whether a field of a reply says where in the log, when, or as what something was written."""
    return field.endswith(("version", "_us")) or field in _TOLD


def _fields(left: Message, right: Message) -> list[FieldDescriptor]:
    names = dict.fromkeys(field for message in (left, right) for field, _ in message.ListFields())
    return [field for field in names if field.name not in _NOT_COMPARED]


def _values(message: Any, field: FieldDescriptor) -> list[Any]:
    value = getattr(message, field.name)
    if hasattr(value, "append"):
        return list(value)
    if isinstance(value, Message):
        return [value] if message.HasField(field.name) else []
    if field.has_presence and not message.HasField(field.name):
        return []
    return [value]


def difference(number: int, left: Step | None, right: Step | None) -> run_pb2.StepDifference:
    """Returns how two steps are shown side by side."""
    names = dict.fromkeys(call_name(step.kind) for step in (left, right) if step is not None)
    return run_pb2.StepDifference(
        step=number, call=" / ".join(names), left=shown_step(left), right=shown_step(right)
    )


def shown_step(step: Step | None) -> str:
    """Returns what a step asked for and was told as JSON text, shortened; empty for none."""
    if step is None:
        return ""
    refusal = kept_refusal(step.reply)
    if refusal is not None:
        told: Any = {"refused": refusal.reason, "message": refusal.message}
    else:
        told = _plain(_CALLS[step.kind].response.FromString(step.reply))
    return _shortened({"request": _plain(COMMANDS[step.kind].FromString(step.request)), "reply": told})


def shown_value(value: bytes | None) -> str:
    """Returns a stored value as JSON text, shortened; empty for none."""
    return _shortened(_text(value)) if value is not None else ""


def _shortened(value: Any) -> str:
    text = _encode(value).decode()
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 1] + "…"


def _plain(message: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for field, value in message.ListFields():
        if hasattr(value, "append"):
            plain[field.name] = [_one(each) for each in value]
        else:
            plain[field.name] = _one(value)
    return plain


def _one(value: Any) -> Any:
    if isinstance(value, Message):
        return _plain(value)
    return _text(value) if isinstance(value, bytes) else value


def _text(value: bytes) -> Any:
    """JSON as it is, MessagePack as JSON, other bytes in hexadecimal."""
    for decode in (msgspec.json.decode, msgspec.msgpack.decode):
        try:
            found = decode(value)
            _encode(found)
            return found
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, TypeError, RecursionError):
            continue
    return value.hex()

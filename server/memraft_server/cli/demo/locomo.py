"""Reads conversations in the LoCoMo form: sessions of turns between two speakers, and questions about them.

The form is that of the LoCoMo dataset (Maharana et al., "Evaluating Very Long-Term Conversational Memory of
LLM Agents", ACL 2024): a JSON list of samples, each with `conversation` (`session_<n>`: a list of turns,
`session_<n>_date_time`: when it took place) and `qa` (question, category, evidence: the ids of the turns that
hold the answer). Evidence is not clean there: one text may hold several ids, and some are no ids at all.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from memraft_server.cli.errors import CliError

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
"""The dataset's categories. The last asks for what was never said and is reported apart."""

ADVERSARIAL = 5
REGULAR = frozenset(CATEGORIES) - {ADVERSARIAL}

FILE_BYTES_MAX = 256 << 20
"""A file is read into memory whole."""

_DATE_FORM = "%I:%M %p on %d %B, %Y"
_SESSION = re.compile(r"^session_(\d+)$")
_EVIDENCE_ID = re.compile(r"D:?(\d+):(\d+)")
_EVIDENCE_SEPARATOR = re.compile(r"[;,\s]+")


class Turn(msgspec.Struct, frozen=True):
    """One thing said. `turn_id` is unique within its conversation, such as `D3:7`."""

    turn_id: str
    session: int
    date: str
    speaker: str
    text: str

    @property
    def said_at(self) -> datetime | None:
        """When its session took place, taken as UTC; None where the date is not in the dataset's form."""
        try:
            return datetime.strptime(self.date, _DATE_FORM).replace(tzinfo=UTC)
        except ValueError:
            return None


class Question(msgspec.Struct, frozen=True):
    """One question. `evidence` are ids of turns that exist; `malformed` counts parts that name none."""

    text: str
    category: int
    evidence: tuple[str, ...]
    malformed: int


class Conversation(msgspec.Struct, frozen=True):
    """One sample: its turns in the order they were said, and its questions."""

    sample_id: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]


def read(path: Path) -> list[Conversation]:
    """Reads all conversations of a file.

    Raises CliError, which names the file and the place, where it is not in the LoCoMo form.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > FILE_BYTES_MAX:
            raise CliError(f"{path} has {size_bytes} bytes; at most {FILE_BYTES_MAX} are read")
        content = msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise CliError(f"{path} is not JSON: {error}") from error
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}") from error
    samples = content if isinstance(content, list) else [content]
    conversations = [_conversation(sample, f"{path}, sample {n}") for n, sample in enumerate(samples, 1)]
    if not any(conversation.turns for conversation in conversations):
        raise CliError(f"{path} holds no turns: is it in the LoCoMo form?")
    names = [conversation.sample_id for conversation in conversations]
    if len(set(names)) != len(names):
        raise CliError(f"{path} holds two samples with the same sample_id")
    return conversations


def _conversation(sample: Any, where: str) -> Conversation:
    try:
        turns = _turns(sample["conversation"])
        known = {turn.turn_id for turn in turns}
        questions = tuple(_question(item, known) for item in sample.get("qa", ()))
        return Conversation(sample_id=str(sample["sample_id"]), turns=turns, questions=questions)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CliError(f"{where} is not in the LoCoMo form ({reason})") from error


def _turns(sessions: dict[str, Any]) -> tuple[Turn, ...]:
    numbers = sorted(int(match[1]) for match in map(_SESSION.match, sessions) if match)
    return tuple(
        Turn(
            turn_id=str(turn["dia_id"]),
            session=number,
            date=str(sessions.get(f"session_{number}_date_time", "")),
            speaker=str(turn["speaker"]),
            text=_said(turn),
        )
        for number in numbers
        for turn in sessions[f"session_{number}"]
    )


def _said(turn: dict[str, Any]) -> str:
    """What the turn says; of a picture, the caption that the dataset gives for it."""
    text = str(turn.get("text", ""))
    caption = turn.get("blip_caption")
    return f"{text} [picture: {caption}]".strip() if caption else text


def _question(item: dict[str, Any], known: set[str]) -> Question:
    evidence, malformed = evidence_ids(item.get("evidence") or (), known)
    return Question(
        text=str(item["question"]), category=int(item["category"]), evidence=evidence, malformed=malformed
    )


def evidence_ids(entries: Sequence[object], known: set[str]) -> tuple[tuple[str, ...], int]:
    """Returns the ids of turns that `entries` name, each once, and how many parts name no turn of `known`.

    An entry may hold several ids (`D8:6; D9:17`), or one with a slip of the pen (`D:11:26`, which is D11:26).
    """
    found: dict[str, None] = {}
    malformed = 0
    for entry in entries:
        for part in _EVIDENCE_SEPARATOR.split(str(entry).strip()):
            match = _EVIDENCE_ID.fullmatch(part)
            turn_id = f"D{int(match[1])}:{int(match[2])}" if match else ""
            if turn_id in known:
                found[turn_id] = None
            else:
                malformed += 1
    return tuple(found), malformed

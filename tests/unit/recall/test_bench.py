"""The benchmark asks the questions of a small conversation and reports every method."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.recall import __main__ as bench
from benchmarks.recall.conversations import remember
from memraft.embedders import StaticEmbedder
from memraft_server.cli.demo import locomo
from memraft_server.recall.fusion import NAMES

SESSIONS = (
    (
        ("Mira", "Hi Tom! How was the week?"),
        ("Tom", "Busy. I repaired the greenhouse roof after the hail."),
        ("Mira", "Oh no, what did the hail break?"),
        ("Tom", "Eleven panes, and my pot of basil."),
        ("Mira", "Sorry to hear. I began to learn the cello yesterday."),
        ("Tom", "Wonderful!"),
    ),
    (
        ("Tom", "Good evening. Did you practise?"),
        ("Mira", "Every day. My teacher is from Lisbon."),
        ("Tom", "I sold the first tomatoes at the market."),
        ("Mira", "Great. Which sort?"),
        ("Tom", "Ox hearts, they weigh a pound each."),
    ),
)
QUESTIONS: tuple[tuple[str, int, list[str]], ...] = (
    ("What did Tom repair?", 4, ["D1:2"]),
    ("What was broken by the hail?", 4, ["D1:4"]),
    ("When did Mira begin with the cello?", 2, ["D1:5"]),
    ("What does Tom grow?", 1, ["D1:4", "D2:3", "D2:5"]),
    ("Has Mira been to Japan?", 5, []),
)


def sample(number: int) -> dict[str, object]:
    conversation: dict[str, object] = {}
    for session, turns in enumerate(SESSIONS, 1):
        conversation[f"session_{session}_date_time"] = f"9:00 am on {session} June, 2024"
        conversation[f"session_{session}"] = [
            {"speaker": speaker, "dia_id": f"D{session}:{turn}", "text": text}
            for turn, (speaker, text) in enumerate(turns, 1)
        ]
    asked = [{"question": text, "category": kind, "evidence": ids} for text, kind, ids in QUESTIONS]
    return {"sample_id": f"garden-{number}", "conversation": conversation, "qa": asked}


def test_every_method_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "talk.json"
    file.write_text(json.dumps([sample(1), sample(2)]))
    monkeypatch.setattr(sys, "argv", ["recall", str(file), "--fit", "--ablate", "--json"])
    bench.main()
    report = json.loads(capsys.readouterr().out)
    results = report["results"]
    assert {"plain BM25", "text index", "exact vectors", "pipeline", "text only"} <= results.keys()
    whole = results["pipeline"]["all"]
    assert whole["questions"] == 8, "the question without evidence is left out"
    assert whole["recall@20"] == 1, "eleven turns all fit"
    assert whole["recall@5"] >= 0.8
    assert results["pipeline"]["temporal"]["mrr"] == 1
    assert report["fitted"]["text"] == 1


def test_turns_are_of_the_day_that_a_question_names(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_text(json.dumps([sample(1)]))
    (conversation,) = locomo.read(file)
    memory = remember(conversation, StaticEmbedder().embed)
    (vector,) = StaticEmbedder().embed(["What was sold on 2 June 2024?"])
    found = memory.candidates("What was sold on 2 June 2024?", vector)
    dated = found.signals[:, NAMES.index("dated")].tolist()
    sessions = [conversation.turns[row].session for row in found.rows.tolist()]
    assert set(sessions) == {1, 2}
    assert dated == [float(session == 2) for session in sessions]

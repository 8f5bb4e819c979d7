"""Conversations in the LoCoMo form, and the odd evidence that comes with them."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from memraft_server.cli.demo import locomo
from memraft_server.cli.errors import CliError

SAMPLE = {
    "sample_id": "garden-1",
    "conversation": {
        "speaker_a": "Gardener",
        "speaker_b": "Neighbour",
        "session_2_date_time": "9:00 am on 2 June, 2024",
        "session_2": [{"speaker": "Gardener", "dia_id": "D2:1", "text": "The tomatoes are ripe."}],
        "session_1_date_time": "8:00 am on 1 May, 2024",
        "session_1": [
            {"speaker": "Gardener", "dia_id": "D1:1", "text": "I planted tomatoes today."},
            {
                "speaker": "Neighbour",
                "dia_id": "D1:2",
                "text": "Look!",
                "blip_caption": "a green watering can",
            },
        ],
    },
    "qa": [
        {
            "question": "When were the tomatoes planted?",
            "answer": "1 May",
            "evidence": ["D1:1"],
            "category": 2,
        },
        {"question": "What is green?", "answer": "a can", "evidence": ["D1:2; D2:1"], "category": 1},
        {"question": "Who plays chess?", "adversarial_answer": "nobody", "evidence": [], "category": 5},
    ],
}


def write(path: Path, content: object) -> Path:
    path.write_bytes(msgspec.json.encode(content))
    return path


def test_turns_come_in_the_order_of_sessions_whatever_the_order_in_the_file(tmp_path: Path) -> None:
    (conversation,) = locomo.read(write(tmp_path / "one.json", [SAMPLE]))
    assert [turn.turn_id for turn in conversation.turns] == ["D1:1", "D1:2", "D2:1"]
    assert conversation.turns[2].date == "9:00 am on 2 June, 2024"
    assert conversation.turns[2].said_at == datetime(2024, 6, 2, 9, tzinfo=UTC)
    assert msgspec.structs.replace(conversation.turns[2], date="one day").said_at is None


def test_of_a_picture_the_caption_is_remembered(tmp_path: Path) -> None:
    (conversation,) = locomo.read(write(tmp_path / "one.json", SAMPLE))
    assert conversation.turns[1].text == "Look! [picture: a green watering can]"


@pytest.mark.parametrize(
    ("entries", "evidence", "malformed"),
    [
        (["D1:1", "D2:1"], ("D1:1", "D2:1"), 0),
        (["D1:1; D2:1"], ("D1:1", "D2:1"), 0),
        (["D1:1 D1:2,D2:1"], ("D1:1", "D1:2", "D2:1"), 0),
        (["D:1:2"], ("D1:2",), 0),
        (["D01:02"], ("D1:2",), 0),
        (["D1:1", "D1:1"], ("D1:1",), 0),
        (["D"], (), 1),
        (["D9:9", "D1:1"], ("D1:1",), 1),
        (["", 7], (), 2),
        ([], (), 0),
    ],
)
def test_evidence_is_read_as_far_as_it_names_turns(
    entries: list[object], evidence: tuple[str, ...], malformed: int
) -> None:
    assert locomo.evidence_ids(entries, {"D1:1", "D1:2", "D2:1"}) == (evidence, malformed)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"sample_id": "x"}, "not in the LoCoMo form"),
        ({"sample_id": "x", "conversation": [], "qa": []}, "holds no turns"),
        ({"sample_id": "x", "conversation": {"session_1": [{"text": "no id"}]}}, "not in the LoCoMo form"),
        ([], "holds no turns"),
        ([SAMPLE, SAMPLE], "same sample_id"),
        (17, "not in the LoCoMo form"),
    ],
)
def test_a_file_in_another_form_is_refused_by_name(tmp_path: Path, content: object, complaint: str) -> None:
    path = write(tmp_path / "odd.json", content)
    with pytest.raises(CliError, match=complaint) as refused:
        locomo.read(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_missing_or_no_json_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"cannot read .*none\.json: No such file"):
        locomo.read(tmp_path / "none.json")
    path = tmp_path / "text.json"
    path.write_text("not json")
    with pytest.raises(CliError, match="is not JSON"):
        locomo.read(path)

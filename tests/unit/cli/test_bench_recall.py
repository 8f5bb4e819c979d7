"""`memraft bench recall`: what it finds in a small conversation set of our own, and how long it takes."""

import json
from pathlib import Path

import numpy as np
import pytest

from memraft_server.cli import main
from memraft_server.cli.bench import recall_speed
from memraft_server.cli.bench.clustered import exact_neighbours
from memraft_server.cli.bench.recall_texts import Nearest, Talk
from memraft_server.cli.demo.evidence import reciprocal_rank

CONVERSATIONS = Path(__file__).parents[2] / "data" / "conversations.json"
METHODS = {"memraft recall", "plain BM25", "exact vectors"}


def test_every_question_is_asked_of_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "recall", "--input", str(CONVERSATIONS), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["conversations"], report["turns"], report["questions"]) == (2, 54, 22)
    assert report["questions_without_evidence"] == 1
    assert report["results"].keys() == METHODS
    for groups in report["results"].values():
        categories = ("multi-hop", "temporal", "open-domain", "single-hop", "adversarial")
        assert list(groups) == [*categories, "1-4", "all"]
        assert groups["all"]["questions"] == sum(groups[name]["questions"] for name in categories) == 21
        assert groups["1-4"]["questions"] == 19
        whole = groups["all"]
        assert 0 < whole["recall@5"] <= whole["recall@10"] <= whole["recall@20"] <= 1
        assert 0 < whole["mrr"] <= 1
    for method in METHODS:
        assert report["latency"][method]["count"] == 22
    assert report["latency"]["remember"]["count"] == 54


def test_the_embedder_is_the_one_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "recall", "--input", str(CONVERSATIONS), "--embedder", "hashed:64", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["embedder"] == "hashed-ngrams-v1:64"
    assert report["results"]["memraft recall"]["all"]["recall@10"] > 0.5


def test_what_is_found_is_shown_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "recall", "--input", str(CONVERSATIONS)]) == 0
    shown = capsys.readouterr().out
    for method in METHODS:
        assert method in shown
    assert "2 conversations, 54 turns, 22 questions" in shown
    assert "1 questions whose evidence names no turn" in shown


def test_a_category_without_questions_has_no_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = json.loads(CONVERSATIONS.read_text())
    for sample in samples:
        for question in sample["qa"]:
            question["category"] = 9 if question["category"] == 3 else question["category"]
    file = tmp_path / "talk.json"
    file.write_text(json.dumps(samples))
    assert main(["bench", "recall", "--input", str(file)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines.count(["open-domain", "0", "-", "-", "-", "-"]) == len(METHODS)
    assert main(["bench", "recall", "--input", str(file), "--json"]) == 0
    groups = json.loads(capsys.readouterr().out)["results"]["memraft recall"]
    assert groups["open-domain"] == {
        "questions": 0,
        "recall@5": None,
        "recall@10": None,
        "recall@20": None,
        "mrr": None,
    }
    regular = ("multi-hop", "temporal", "open-domain", "single-hop")
    assert groups["1-4"]["questions"] == sum(groups[name]["questions"] for name in regular)
    assert groups["all"]["questions"] > groups["1-4"]["questions"] + groups["adversarial"]["questions"]


def test_the_times_of_recall_are_measured_in_process(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recall_speed, "ENTITIES_A_CALL", 1)
    monkeypatch.setattr(recall_speed, "MEMORIES_A_CALL", 90)
    assert main(["bench", "recall", "--quick", "--memories", "200", "--json"]) == 0
    figures = {each["name"]: each for each in json.loads(capsys.readouterr().out)["figures"]}
    assert "200 memories, full pipeline, p50" in figures
    assert figures["200 memories, k-NN, share of the exact ones"]["value"]["median"] == 1
    assert "200 memories, opened again and recalled from" in figures
    # What the process grew by is nothing where memories fit into what earlier tests left free.
    assert "RAM a memory, its text and vector included" in figures
    assert all(each["value"]["median"] > 0 for each in figures.values() if each["unit"] != "bytes")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--input", "nowhere.json"], "nowhere.json"),
        (["--input", str(CONVERSATIONS), "--memories", "5"], "--memories"),
        (["--memories", "0"], "--memories"),
        (["--cluster"], "--input"),
        (["--input", str(CONVERSATIONS), "--embedder", "word2vec"], "--embedder"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "recall", *arguments]) != 0
    assert reason in capsys.readouterr().err


def test_talk_is_the_same_for_the_same_seed() -> None:
    one, other = Talk(300, 16, seed=4), Talk(300, 16, seed=4)
    [whole], [again] = one.chunks(300), other.chunks(300)
    assert whole.texts == again.texts and np.array_equal(whole.vectors, again.vectors)
    assert len(set(whole.threads)) == 15 and len(set(whole.about)) == 3
    assert [query.text for query in one.queries(5)] == [query.text for query in other.queries(5)]


def test_the_nearest_of_vectors_shown_in_parts_are_the_exact_ones() -> None:
    talk = Talk(500, 16, seed=4)
    queries = talk.queries(7)
    nearest, shown = Nearest(queries, 10), []
    for chunk in talk.chunks(120):
        nearest.show(chunk.vectors)
        shown.append(chunk.vectors)
    exact = exact_neighbours(np.concatenate(shown), np.stack([query.vector for query in queries]), 10)
    assert [set(row) for row in nearest.places.tolist()] == [set(row) for row in exact.tolist()]


def test_the_reciprocal_rank_is_that_of_the_first_evidence() -> None:
    assert reciprocal_rank(("b", "c"), ["a", "b", "c"]) == 0.5
    assert reciprocal_rank(("z",), ["a", "b"]) == 0

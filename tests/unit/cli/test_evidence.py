"""How well turns were found, and the baseline they are compared with."""

import math

from memraft_server.cli.demo.bm25 import BM25, words
from memraft_server.cli.demo.evidence import Answered, evaluate, recall_at
from memraft_server.cli.demo.locomo import Question


def answered(category: int, evidence: tuple[str, ...], found: list[str], malformed: int = 0) -> Answered:
    question = Question(text="?", category=category, evidence=evidence, malformed=malformed)
    return Answered(question=question, found={"ours": found})


def test_recall_at_k_is_the_share_of_evidence_among_the_first_k() -> None:
    found = [f"D1:{number}" for number in range(1, 21)]
    assert recall_at(("D1:1", "D1:6"), found, 5) == 0.5
    assert recall_at(("D1:1", "D1:6"), found, 10) == 1.0
    assert recall_at(("D9:9",), found, 20) == 0.0


def test_questions_count_by_category_and_the_adversarial_ones_apart() -> None:
    table = evaluate(
        [
            answered(1, ("a", "b"), ["a"]),
            answered(4, ("a",), ["a"]),
            answered(4, ("a",), ["b"]),
            answered(5, ("a",), ["a"]),
            answered(4, (), ["a"], malformed=2),
        ],
        ["ours"],
    )
    rows = {row.category: row for row in table.rows}
    assert rows["multi-hop"].recall["ours"] == (0.5, 0.5, 0.5)
    assert rows["single-hop"].recall["ours"] == (0.5, 0.5, 0.5)
    assert rows["temporal"].questions == 0
    assert (rows["temporal"].recall["ours"], rows["temporal"].mrr["ours"]) == ((None, None, None), None)
    assert "adversarial" not in rows
    assert (table.overall.questions, table.overall.recall["ours"]) == (3, (0.5, 0.5, 0.5))
    assert (table.adversarial.questions, table.adversarial.recall["ours"]) == (1, (1.0, 1.0, 1.0))
    assert (table.questions_without_evidence, table.evidence_malformed) == (1, 2)


def test_a_category_that_the_dataset_does_not_know_counts_among_all_questions_only() -> None:
    table = evaluate([answered(1, ("a",), ["a"]), answered(9, ("a",), ["b"])], ["ours"])
    assert [row.category for row in table.rows][-1] == "category 9"
    assert (table.overall.questions, table.overall.recall["ours"]) == (1, (1.0, 1.0, 1.0))
    assert (table.everything.questions, table.everything.recall["ours"]) == (2, (0.5, 0.5, 0.5))
    assert table.adversarial.recall["ours"] == (None, None, None)


def test_bm25_puts_the_text_with_the_rarest_words_of_the_query_first() -> None:
    index = BM25(["the cat sleeps", "the dog sleeps", "the dog chases the cat", "rain"])
    assert index.search("dog chases", 2) == [2, 1]
    assert index.search("RAIN!", 5) == [3]
    assert index.search("unheard of", 5) == []


def test_bm25_scores_as_the_formula_says() -> None:
    """One text of two words among two texts; worked out by hand."""
    index = BM25(["red apple", "green pear tree falls"])
    idf = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    norm = 1.5 * (1 - 0.75 + 0.75 * 2 / 3)
    assert index.search("red", 1) == [0]
    assert math.isclose(float(index.scores("red")[0]), idf * 1 * 2.5 / (1 + norm))


def test_bm25_of_nothing_finds_nothing() -> None:
    assert BM25([]).search("anything", 3) == []
    assert BM25(["", "..."]).search("anything", 3) == []


def test_words_are_runs_of_letters_and_digits_in_lower_case() -> None:
    assert words("Order #1458, Émile's DESK_lamp") == ["order", "1458", "émile", "s", "desk", "lamp"]

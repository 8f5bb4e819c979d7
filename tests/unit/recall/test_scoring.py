"""From signals to hits: what scores are made of, what is left out, what fits."""

from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pytest
from msgspec.structs import replace

from memraft_server.projections.memories import Remembered
from memraft_server.projections.vector_math import Floats, unit_rows
from memraft_server.projections.versions import NOBODY
from memraft_server.recall.fusion import NAMES, Weights
from memraft_server.recall.parameters import DEFAULT, Parameters, fault_of, overlaid
from memraft_server.recall.scoring import chosen, faded, fitting, reasons, recent, weighed

DAY_US = 86_400_000_000


class Told(NamedTuple):
    name: str
    rank: float
    value: float
    share: float


def memory(text: str, **fields: Any) -> Remembered:
    return replace(Remembered(text, text, b"", "", "", 0.5, 1, NOBODY), **fields)


def signals(*rows: dict[str, float]) -> Floats:
    return np.array([[row.get(name, 0.0) for name in NAMES] for row in rows], np.float32)


def pick(
    items: list[Remembered], scores: list[float], vectors: Any = None, k: int = 10, **given: float
) -> list[str]:
    known = unit_rows(np.array(vectors, np.float32)) if vectors is not None else None
    places = chosen(
        items,
        np.arange(len(items)),
        np.array(scores, np.float32),
        None if known is None else lambda wanted: known[wanted],
        k,
        overlaid(DEFAULT, given),
    )
    return [items[place].text for place in places]


def test_a_score_is_the_sum_of_what_its_reasons_added() -> None:
    measured = signals(
        {"text": 7, "vector": 0.5, "substance": 1},
        {"text": 3, "vector": 0.9, "question": 1},
        {"text": 1, "vector": 0.1, "author": 1},
    )
    parts = weighed(measured, DEFAULT)
    scores = parts.sum(axis=1)
    why = reasons([0, 1, 2], measured, parts, DEFAULT.weights)
    every = iter(zip(why.places, why.ranks, why.values, why.shares, strict=True))
    told = [[Told(why.names[place], *rest) for place, *rest in islice(every, count)] for count in why.counts]
    for of_one, score in zip(told, scores.tolist(), strict=True):
        assert sum(each.share for each in of_one) == pytest.approx(score, abs=1e-6)
        assert [abs(each.share) for each in of_one] == sorted(
            (abs(each.share) for each in of_one), reverse=True
        )
    assert scores.max() <= 1
    [question] = [each for each in told[1] if each.name == "question"]
    assert question.share < 0
    assert dict(zip(why.names, why.weights, strict=True))["question"] == pytest.approx(
        DEFAULT.weights.question
    )
    assert {each.name: each.rank for each in told[1]} == {"vector": 1, "text": 2, "question": 1}
    assert {each.name: each.value for each in told[0]}["text"] == 7


def test_the_only_candidate_counts_for_all_that_was_measured() -> None:
    [row] = weighed(signals({"text": 0.3, "vector": 0.4}), DEFAULT)
    ways = DEFAULT.weights
    assert row[NAMES.index("text")] / row[NAMES.index("vector")] == pytest.approx(ways.text / ways.vector)
    assert not weighed(signals({"substance": 1}), DEFAULT)[0, NAMES.index("text")]


def test_by_ranks_only_the_order_of_texts_and_vectors_counts() -> None:
    near, far = ({"text": 100.0}, {"text": 2.0}, {"text": 1.0}), ({"text": 3.0}, {"text": 2.0}, {"text": 1.0})
    by_ranks = Parameters(weights=Weights(), by_ranks=True)
    assert weighed(signals(*near), by_ranks).tolist() == weighed(signals(*far), by_ranks).tolist()
    assert weighed(signals(*near), DEFAULT).tolist() != weighed(signals(*far), DEFAULT).tolist()


def test_salience_decays_by_the_day_and_recency_halves() -> None:
    age_us = np.array([0, DAY_US, 69.3147 * DAY_US], np.float32)
    left = faded(np.array([0.8, 0.8, 0.8], np.float32), age_us, 0.01)
    assert left.tolist() == pytest.approx([0.8, 0.8 * np.exp(-0.01), 0.4], rel=1e-4)
    assert recent(np.array([0, 30 * DAY_US, 90 * DAY_US], np.float32), 30).tolist() == pytest.approx(
        [1, 0.5, 0.125]
    )


def test_of_equal_scores_the_older_comes_first() -> None:
    assert pick([memory("a"), memory("b"), memory("c")], [1, 2, 1]) == ["b", "a", "c"]


def test_the_same_words_are_returned_once() -> None:
    items = [memory("Likes Tea"), memory("likes tea"), memory("likes coffee")]
    assert pick(items, [1, 2, 0.5]) == ["likes tea", "likes coffee"]


@pytest.mark.parametrize(
    "field",
    [{"about": "ann"}, {"kind": "fact"}, {"speaker": "Bob"}, {"valid_from_us": 5}, {"valid_until_us": 9}],
)
def test_what_is_of_another_is_no_duplicate(field: dict[str, Any]) -> None:
    assert len(pick([memory("likes tea"), memory("likes tea", **field)], [2, 1], [[1, 0], [1, 0]])) == 2


@pytest.mark.parametrize(
    ("one", "other", "are_the_same"),
    [
        ("Ann likes green tea", "Ann likes her green tea", True),
        ("the order number is 1458", "the order number is 2077", False),
        ("the refund was sent", "the refund was not sent", False),
        ("she eats meat", "she doesn't eat meat", False),
    ],
)
def test_near_vectors_are_duplicates_but_for_numbers_and_negations(
    one: str, other: str, are_the_same: bool
) -> None:
    vectors = [[1, 0.01], [1, 0]]
    found = pick([memory(one), memory(other)], [2, 1], vectors)
    assert found == ([one] if are_the_same else [one, other])
    assert pick([memory(one), memory(other)], [2, 1], vectors, duplicate_cosine=1.5) == [one, other]
    assert pick([memory(one), memory(other)], [2, 1], [[1, 0.5], [1, 0]]) == [one, other]


def test_in_place_of_duplicates_come_the_next_best() -> None:
    items = [memory(f"{'same' if place < 60 else 'other'} {'a ' * place}".strip()) for place in range(70)]
    vectors = [[1, 0] if place < 60 else [place, 1000] for place in range(70)]
    scores = [float(100 - place) for place in range(70)]
    assert pick(items, scores, vectors, k=3, duplicate_cosine=0.9999999) == [
        items[0].text,
        items[60].text,
        items[61].text,
    ]


def test_diversity_puts_what_is_unlike_before_what_is_alike() -> None:
    items = [memory("tea"), memory("teas"), memory("boat")]
    vectors, scores = [[1, 0, 0], [0.95, 0.3, 0], [0, 0, 1]], [1.0, 0.95, 0.6]
    assert pick(items, scores, vectors) == ["tea", "teas", "boat"]
    assert pick(items, scores, vectors, diversity=0.6) == ["tea", "boat", "teas"]


def test_however_many_are_asked_for_so_many_are_compared() -> None:
    items = [memory(f"word{'a' * place}") for place in range(5_000)]
    alike, scores = [[1.0, 0.0]] * 5_000, [float(-place) for place in range(5_000)]
    assert pick(items, scores, alike, k=900) == [items[0].text]
    apart = np.random.default_rng(1).standard_normal((5_000, 40)).tolist()
    diverse = pick(items, scores, apart, k=900, diversity=0.5)
    assert len(set(diverse)) == 900 and diverse[0] == items[0].text
    # Beyond those that diversity chose, the order is that of scores.
    assert diverse[300:] == sorted(diverse[300:], key=len)


def test_what_does_not_fit_leaves_room_for_what_comes_after() -> None:
    texts = ("x" * 8, "y" * 100, "z" * 9, "w")  # 2, 25, 3 and 1 tokens
    assert fitting(texts, 6) == [0, 2, 3]
    assert fitting(texts, 2) == [0]
    assert fitting(texts, 0) == []


def test_what_comes_first_whatever_its_score_says_so_first() -> None:
    measured = signals({"text": 7, "vector": 0.5}, {"text": 3})
    why = reasons([1, 0], measured, weighed(measured, DEFAULT), DEFAULT.weights, profile=1)
    assert [why.names[place] for place in why.places] == ["profile", "text", "vector"]
    assert (why.counts, why.values[0], why.shares[0]) == ([1, 2], 1.0, 0.0)


def test_parameters_lie_over_each_other() -> None:
    space = overlaid(DEFAULT, {"recency": 0.2, "graph_depth": 2.0})
    call = overlaid(space, {"recency": 0.3, "by_ranks": 1.0})
    assert (call.weights.recency, call.weights.text) == (0.3, DEFAULT.weights.text)
    assert (call.graph_depth, call.by_ranks, space.by_ranks) == (2, True, False)
    assert overlaid(space, {}) is space


@pytest.mark.parametrize(
    ("name", "value"),
    [("text", 101), ("salience", float("nan")), ("diversity", 1.1), ("half_life_days", 0), ("graph_depth", 4),
     ("decay_per_day", -1), ("duplicate_cosine", -0.1)],
)  # fmt: skip
def test_parameters_have_bounds(name: str, value: float) -> None:
    fault = fault_of({name: value})
    assert fault is not None and fault[0] == name

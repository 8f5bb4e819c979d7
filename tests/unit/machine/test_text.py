"""The text index finds what a BM25 that looks at every text finds, at every version, small or large."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memraft_server.projections import text as text_module
from memraft_server.projections import text_ranks
from memraft_server.projections.text import (
    SCANNED_MAX,
    Parameters,
    TextIndex,
    Vocabulary,
    Window,
)
from memraft_server.projections.text_places import NO_ROW
from memraft_server.projections.text_postings import TIMES_MAX
from memraft_server.projections.text_terms import STOP_WORDS, WORD_CHARS_MAX, terms_of
from memraft_server.projections.versions import NOW
from memraft_server.projections.word_kinds import KINDS, kinds_of

PARAMETERS = Parameters()
ONE = Window((), ())

Texts = Sequence[Sequence[str]]


def naive(
    texts: Texts, query: dict[str, float], windows: Sequence[dict[int, float]] | None = None
) -> list[float]:
    """The formula, text by text. `windows`: the rows whose words count as said by each row, and how much."""
    counts = [Counter(text) for text in texts]
    mean = sum(map(len, texts)) / len(texts) or 1
    spread = 1.0 if windows is None else max(sum(window.values()) for window in windows)
    idfs = {}
    for term in query:
        holding = sum(term in count for count in counts)
        idfs[term] = math.log1p((len(texts) - holding + 0.5) / (holding + 0.5))
    scores = []
    for row in range(len(texts)):
        window = {row: 1.0} if windows is None else windows[row]
        length = sum(len(texts[other]) * factor for other, factor in window.items())
        score = 0.0
        for term, asked in query.items():
            times = sum(counts[other][term] * factor for other, factor in window.items())
            norm = PARAMETERS.k1 * (1 - PARAMETERS.b + PARAMETERS.b * length / mean / spread)
            score += asked * idfs[term] * times * (PARAMETERS.k1 + 1) / (times + norm) if times else 0.0
        scores.append(score)
    return scores


def filled(texts: Texts, threads: int = 1) -> TextIndex:
    """An index of these texts, born at versions 10, 20, ...; text n is said in thread n modulo `threads`."""
    index = TextIndex(Vocabulary())
    for row, text in enumerate(texts):
        index.add(text, 10 * (row + 1), row - threads if row >= threads else NO_ROW)
    return index


def some_texts(count: int, seed: int, words: int = 40) -> list[list[str]]:
    """Texts of up to 12 words, some of them common and most of them rare."""
    rng = np.random.default_rng(seed)
    odds = 1 / np.arange(2, words + 2)
    odds /= odds.sum()
    return [[f"w{n}" for n in rng.choice(words, rng.integers(0, 13), p=odds)] for _ in range(count)]


def queries(seed: int, words: int = 40) -> Iterator[dict[str, float]]:
    rng = np.random.default_rng(seed)
    for _ in range(5):
        yield {f"w{n}": float(times) for n, times in Counter(rng.integers(0, words + 3, 5).tolist()).items()}


def check(index: TextIndex, query: dict[str, float], scores: list[float], k: int, ceiling: int = NOW) -> None:
    """The rows found are the best of `scores`, in order, with these scores."""
    rows, found = index.search(query, k, ceiling)
    best = sorted((score for score in scores if score > 0), reverse=True)[:k]
    assert found.tolist() == pytest.approx(best, rel=1e-5)
    assert [scores[row] for row in rows.tolist()] == pytest.approx(best, rel=1e-5)
    for (row, score), (later, lower) in pairwise(zip(rows.tolist(), found.tolist(), strict=True)):
        assert score > lower or row < later, "of equal scores the older row comes first"


@pytest.mark.parametrize("count", [1, 30, 1000])
@pytest.mark.parametrize("k", [1, 10, 200])
def test_finds_what_looking_at_every_text_finds(count: int, k: int) -> None:
    texts = some_texts(count, seed=count)
    index = filled(texts)
    for query in queries(seed=k):
        check(index, query, naive(texts, query), k)


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from("abcdef"), max_size=6), min_size=1, max_size=40),
    query=st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from([0.5, 1.0, 2.0]), max_size=5),
    k=st.integers(1, 12),
)
def test_finds_it_in_any_texts(texts: list[list[str]], query: dict[str, float], k: int) -> None:
    check(filled(texts), query, naive(texts, query), k)


@pytest.mark.parametrize("count", [40, 1500])
def test_a_search_as_of_a_version_gives_the_scores_that_were_given_then(count: int) -> None:
    texts = some_texts(count, seed=3)
    index = filled(texts)
    half = count // 2
    for query in queries(seed=4):
        check(index, query, naive(texts[:half], query), 10, ceiling=10 * half + 5)


def test_a_text_that_died_is_found_before_and_not_after() -> None:
    index = filled([["cat"], ["cat", "dog"], ["dog"]])
    index.kill(0, 35)
    assert index.search({"cat": 1.0}, 5, ceiling=34)[0].tolist() == [0, 1]
    assert index.search({"cat": 1.0}, 5, ceiling=35)[0].tolist() == [1]
    assert index.search({"cat": 1.0}, 5)[0].tolist() == [1]


def test_few_allowed_rows_are_found_as_they_are_among_many() -> None:
    texts = some_texts(2000, seed=8)
    index = filled(texts)
    index.kill(64, NOW - 1)
    allowed = np.zeros(2000, np.bool_)
    allowed[::64] = True
    for query in queries(seed=9):
        scores = naive(texts, query)
        few = [score if row % 64 == 0 and row != 64 else 0.0 for row, score in enumerate(scores)]
        rows, found = index.search(query, 7, allowed=allowed)
        best = sorted(((score, -row) for row, score in enumerate(few) if score > 0), reverse=True)[:7]
        assert found.tolist() == pytest.approx([score for score, _ in best], rel=1e-5)
        assert not any(row % 64 or row == 64 for row in rows.tolist())


def test_what_dies_while_texts_come_is_not_found_any_more() -> None:
    index = TextIndex(Vocabulary())
    alive: set[int] = set()
    past: dict[int, set[int]] = {}
    for row in range(300):
        index.add(["cat"] * (row % 3 + 1), 2 * row)
        alive.add(row)
        if row % 2:
            index.kill(row // 2, 2 * row + 1)
            alive.remove(row // 2)
        past[2 * row + 1] = set(alive)
        if row % 29 == 0:
            assert set(index.search({"cat": 1.0}, 300)[0].tolist()) == alive
            allowed = np.arange(row + 1) % 5 == 0
            found = index.search({"cat": 1.0}, 300, allowed=allowed)[0].tolist()
            assert set(found) == {each for each in alive if each % 5 == 0}
            for ceiling in list(past)[-3:] + list(past)[:3]:
                assert set(index.search({"cat": 1.0}, 300, ceiling)[0].tolist()) == past[ceiling]


def test_a_read_that_was_broken_off_is_in_the_way_of_no_write() -> None:
    index = filled([["cat"], ["dog"]])
    with pytest.raises(IndexError) as broken:
        index.windows(np.array([99]))
    assert broken.tb is not None, "it is kept, with all that its frames know"
    assert index.add(["cat"], 30, 1) == 2
    assert index.search({"cat": 1.0}, 5)[0].tolist() == [0, 2]


def test_only_allowed_rows_are_found() -> None:
    texts = some_texts(2000, seed=5)
    index = filled(texts)
    allowed = np.arange(2000) % 7 == 0
    for query in queries(seed=6):
        scores = [score if allowed[row] else 0.0 for row, score in enumerate(naive(texts, query))]
        rows, found = index.search(query, 10, allowed=allowed)
        assert found.tolist() == pytest.approx(sorted(scores, reverse=True)[: len(found)], rel=1e-5)
        assert allowed[rows].all()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_window_counts_what_the_neighbours_said(threads: int) -> None:
    texts = some_texts(400, seed=7)
    index = filled(texts, threads)
    steps = {0: 1.0, -1: 0.6, -2: 0.4, 1: 0.4, 2: 0.25}
    windows = [
        {row + step * threads: factor for step, factor in steps.items() if 0 <= row + step * threads < 400}
        for row in range(400)
    ]
    rows = np.arange(400)
    for query in queries(seed=8):
        assert index.around(query, index.windows(rows)).tolist() == pytest.approx(
            naive(texts, query, windows), rel=1e-4
        )


def test_a_window_of_one_is_the_text_alone() -> None:
    texts = some_texts(300, seed=9)
    index = filled(texts)
    rows = np.arange(300)
    for query in queries(seed=10):
        assert index.around(query, index.windows(rows, window=ONE)).tolist() == pytest.approx(
            naive(texts, query), rel=1e-5
        )


def test_neighbours_end_with_the_thread_and_with_the_version() -> None:
    index = filled([["a"]] * 12, threads=2)
    assert index.neighbours(np.array([4]), 2).tolist() == [0, 2, 4, 6, 8]
    assert index.neighbours(np.array([4]), 2, ceiling=75).tolist() == [0, 2, 4, 6]
    index.kill(2, 130)
    assert index.neighbours(np.array([4]), 1).tolist() == [4, 6]


def test_a_dead_neighbour_says_nothing() -> None:
    index = filled([["cat"], ["dog"]])
    rows = np.array([1])
    assert index.around({"cat": 1.0}, index.windows(rows))[0] > 0
    index.kill(0, 30)
    assert index.around({"cat": 1.0}, index.windows(rows))[0] == 0
    assert index.around({"cat": 1.0}, index.windows(rows, 25), 25)[0] > 0


def test_a_small_index_becomes_a_large_one_without_a_change_in_what_is_found() -> None:
    texts = some_texts(SCANNED_MAX // 4, seed=11)
    index = TextIndex(Vocabulary())
    query = {"w3": 1.0, "w17": 1.0, "w30": 1.0}
    for row, text in enumerate(texts):
        index.add(text, row)
        if row % 331 == 0 or row > len(texts) - 3:
            check(index, query, naive(texts[: row + 1], query), 10)


@pytest.mark.parametrize("together", [1, 7, 500])
def test_texts_that_come_between_searches_are_found_however_many_come(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "SCANNED_MAX", 50)
    texts = some_texts(1200, seed=12)
    index = TextIndex(Vocabulary())
    for row, said in enumerate(texts, 1):
        index.add(said, row)
        if row % together == 0 and (row < 100 or row % 100 < together):
            for query in queries(seed=row):
                check(index, query, naive(texts[:row], query), 10)
    for query in queries(seed=13):
        check(index, query, naive(texts[:77], query), 10, ceiling=77)


def test_a_word_said_more_often_than_is_counted_still_counts() -> None:
    index = filled([["cat"] * (TIMES_MAX + 10), ["cat", "dog"]])
    assert index.search({"cat": 1.0}, 2)[0].tolist() == [0, 1]


def test_nothing_is_found_for_unknown_words_or_in_an_empty_index() -> None:
    assert TextIndex(Vocabulary()).search({"cat": 1.0}, 5)[0].tolist() == []
    index = filled([["cat"]])
    assert index.search({"dog": 1.0}, 5)[0].tolist() == []
    assert index.search({}, 5)[0].tolist() == []
    assert index.around({"dog": 1.0}, index.windows(np.array([0]))).tolist() == [0.0]


def test_an_older_version_or_a_second_follower_is_refused() -> None:
    index = filled([["cat"], ["dog"]])
    with pytest.raises(ValueError, match="version 5 after 20"):
        index.add(["bird"], 5)
    with pytest.raises(ValueError, match="row 0 cannot be followed by row 2"):
        index.add(["bird"], 30, 0)


def test_terms_are_stems_without_stop_words() -> None:
    assert terms_of("When did Jon's dancers go dancing?") == ["jon", "dancer", "go", "danc"]
    assert terms_of("the and of") == []
    assert terms_of("Mom bought, wrote, went") == terms_of("mother buy write go")
    assert terms_of("Žluťoučký kůň 42") == ["žluťoučký", "kůň", "42"]
    assert len(terms_of("x" * 1000)[0]) == 64
    assert not {term for word in STOP_WORDS for term in terms_of(word)}


def test_what_a_text_names_is_found_by_its_kind() -> None:
    terms = terms_of("Two owls in Peru, and an owl's country house")
    assert kinds_of(terms) == ["anim"], "it says country itself"
    assert kinds_of(terms_of("Her tulips and the violin")) == ["flower", "plant", "instrument", "music"]
    assert kinds_of(terms_of("nothing of the kind")) == []
    index = TextIndex(Vocabulary())
    for row, text in enumerate(("I keep two owls", "I keep bees and owls, what an animal", "I keep quiet")):
        terms = terms_of(text)
        index.add(terms + kinds_of(terms), row + 1)
    assert sorted(index.search({"anim": 1.0}, 3)[0].tolist()) == [0, 1]


def test_every_kind_has_terms_of_its_own() -> None:
    assert all(kinds and term not in kinds for term, kinds in KINDS.items())


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_a_word_is_the_same_however_its_letters_are_encoded(
    form: Literal["NFC", "NFD", "NFKC", "NFKD"],
) -> None:
    assert terms_of(normalize(form, "Frau Müller, im Café")) == terms_of("Frau Müller, im Café")
    assert terms_of(normalize(form, "ＡＢＣ１２３")) == ["abc123"]
    assert max(map(len, terms_of("\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 9))) <= WORD_CHARS_MAX


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("我喜欢喝绿茶", "绿茶"),
        ("田中さんは東京に住んでいます", "田中"),
        ("ฉันชอบชาเขียว", "ชาเขียว"),
        ("gpt4模型很好", "模型"),
    ],
)
def test_words_that_no_spaces_set_apart_are_found(text: str, query: str) -> None:
    assert set(terms_of(query)) <= set(terms_of(text))
    assert not set(terms_of(query)) & set(terms_of("今天天气"))


@pytest.mark.parametrize("count", [10, text_ranks.MARKED_MAX + 1])
def test_different_rows_and_which_of_them_each_is(count: int) -> None:
    rows = np.array([[7, 0, 3], [3, 3, count - 1]])
    ordered, places = text_ranks.distinct(rows, count)
    assert ordered.tolist() == [0, 3, 7, count - 1]
    assert places.tolist() == [[2, 0, 1], [1, 1, 3]]

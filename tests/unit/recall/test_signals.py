"""What the pipeline makes of a conversation: candidates, their signals and the order these give."""

import numpy as np
import pytest

from memraft_server.projections.text import TextIndex, Vocabulary, Window
from memraft_server.projections.text_places import NO_ROW
from memraft_server.projections.text_terms import terms_of
from memraft_server.projections.vector_math import Floats
from memraft_server.recall.cues import asks_when, cues_of
from memraft_server.recall.fusion import (
    NAMES,
    Weights,
    diversified,
    min_max,
    reciprocal_ranks,
    row_of,
    scaled,
    shares,
)
from memraft_server.recall.signals import Candidates, Columns, gather

TALK = (
    ("Ada", "Did you ever sail?"),
    ("Ben", "Yes! My uncle taught me on the lake last summer."),
    ("Ada", "Lovely."),
    ("Ben", "And you, what keeps you busy?"),
    ("Ada", "I restore old radios, I started in 2019."),
    ("Ben", "Wow!"),
    ("Ada", "My uncle gave me a broken one."),
)
NONE = np.empty(0, np.int64)


def talk() -> tuple[TextIndex, Columns]:
    index, columns = TextIndex(Vocabulary()), Columns()
    for row, (author, text) in enumerate(TALK):
        terms = terms_of(f"{author}: {text}")
        index.add(terms, row + 1, row - 1 if row else NO_ROW)
        columns.append(author, cues_of(text, terms))
    return index, columns


def ask(query: str) -> Candidates:
    index, columns = talk()
    return gather(query, NONE, None, None, index, columns)


def signal(candidates: Candidates, name: str) -> dict[int, float]:
    values = candidates.signals[:, NAMES.index(name)].tolist()
    return {row: round(value, 5) for row, value in zip(candidates.rows.tolist(), values, strict=True)}


def test_an_answer_is_found_by_the_words_of_its_question() -> None:
    assert ask("Who taught Ben to sail?").best(Weights(), 1).tolist() == [1]


def test_neighbours_of_what_was_found_are_candidates() -> None:
    assert ask("sail").rows.tolist() == [0, 1, 2]
    assert ask("nothing of the kind").rows.tolist() == []


def test_no_more_are_found_by_text_than_asked_for() -> None:
    index, columns = talk()
    found = [gather("uncle", NONE, None, None, index, columns, each=each).rows.tolist() for each in (0, 1, 2)]
    assert found == [[], [4, 5, 6], [0, 1, 2, 3, 4, 5, 6]]


def test_the_author_whom_a_query_names_counts() -> None:
    assert signal(ask("What did Ada get from her uncle?"), "author") == {
        0: 1, 1: 0, 2: 1, 3: 0, 4: 1, 5: 0, 6: 1
    }  # fmt: skip
    assert ask("Ada's uncle").best(Weights(), 1).tolist() == [6]
    assert ask("Ben's uncle").best(Weights(), 1).tolist() == [1]
    assert set(signal(ask("Did Ada or Ben have an uncle?"), "author").values()) == {1}
    assert set(signal(ask("Did anyone have an uncle?"), "author").values()) == {0}


def test_authors_are_named_by_whole_words_of_their_names_as_of_then() -> None:
    columns, nothing = Columns(), cues_of("", [])
    for author in ("Ada Lovelace", "", "Ben", "Ada Lovelace", "Mary Lovelace"):
        columns.append(author, nothing)
    rows = np.arange(5)
    assert columns.named("Did ada call?", 5) == [0]
    assert columns.named("Was Adam there?", 5) == []
    assert columns.named("The Lovelace family and Ben", 5) == [0, 1, 2]
    assert columns.named("The Lovelace family and Ben", 4) == [0, 1], "Mary came with the fifth row"
    assert columns.named("Ben", 2) == []
    assert columns.said_by(rows, [0, 2]).tolist() == [True, False, False, True, True]


def test_cues_reach_the_candidates() -> None:
    asked = ask("When did someone sail?")
    assert signal(asked, "question") == {0: 1, 1: 0, 2: 0}
    assert signal(asked, "reply") == {0: 0, 1: 1, 2: 0}
    assert signal(asked, "time") == signal(asked, "time_asked") == {0: 0, 1: 1, 2: 0}
    assert not any(ask("Who can sail?").signals[:, NAMES.index("time_asked")])


def test_what_hangs_together_shares_how_good_the_best_of_it_is() -> None:
    index, columns = TextIndex(Vocabulary()), Columns()
    said = ("boat", "", "", "", "lake boat", "", "", "", "", "", "", "boat shed", "", "")
    for row, turn in enumerate(said):  # two threads of seven turns, by turns
        terms = terms_of(turn)
        index.add(terms, row + 1, row - 2 if row > 1 else NO_ROW)
        columns.append("", cues_of(turn, terms))
    found = gather("lake", NONE, None, None, index, columns)
    assert found.rows.tolist() == [0, 2, 4, 6, 8]
    assert set(signal(found, "passage").values()) == {round(1 / 1.8, 5)}, "the best by text, none by vector"
    both = gather("lake shed", NONE, None, None, index, columns)
    assert both.rows.tolist() == [0, 2, 4, 6, 7, 8, 9, 11, 13]
    text, passage = signal(both, "text"), signal(both, "passage")
    best = {parity: max(value for row, value in text.items() if row % 2 == parity) for parity in (0, 1)}
    assert best[0] != best[1]
    scale = max(text.values()) - min(text.values())
    expected = {row: (best[row % 2] - min(text.values())) / scale / 1.8 for row in text}
    assert passage == pytest.approx(expected, abs=1e-4)


def test_vectors_find_and_order_over_the_window() -> None:
    index, columns = talk()
    vectors: Floats = np.eye(len(TALK), dtype=np.float32)
    query = vectors[4]
    window = Window((0.5,), (0.25,))
    found = gather("electronics", np.array([4]), query, vectors.__getitem__, index, columns, window)
    assert found.rows.tolist() == [3, 4, 5]
    # Row 4 is itself, the one after row 3 and the one before row 5: cosines with the mean of their windows.
    length = np.sqrt(1 + 0.25 + 0.0625)
    assert signal(found, "vector") == pytest.approx(
        {3: 0.25 / length, 4: 1 / length, 5: 0.5 / length}, abs=1e-4
    )


def test_what_is_not_allowed_is_no_candidate_and_still_counts_as_a_neighbour() -> None:
    index, columns = talk()
    allowed = np.array([author == "Ben" for author, _ in TALK])
    whole, filtered = ask("uncle"), gather("uncle", NONE, None, None, index, columns, allowed=allowed)
    assert filtered.rows.tolist() == [1, 3]
    values = signal(whole, "text")
    assert signal(filtered, "text") == {row: values[row] for row in (1, 3)}


def test_a_query_as_of_a_version_sees_what_was_said_until_then() -> None:
    index, columns = talk()
    then = gather("Ben's radios or Ada's uncle", NONE, None, None, index, columns, ceiling=4)
    assert then.rows.tolist() == [0, 1, 2, 3]
    assert gather("uncle", NONE, None, None, index, columns, ceiling=0).rows.tolist() == []


def test_a_weighted_sum_orders_and_the_older_row_wins_a_tie() -> None:
    signals = np.zeros((3, len(NAMES)), np.float32)
    signals[:, NAMES.index("text")] = [0.5, 1.0, 0.5]
    assert Candidates(np.array([7, 8, 3]), signals).best(Weights(), 3).tolist() == [8, 3, 7]


@pytest.mark.parametrize(
    ("text", "asks", "tells_time"),
    [
        ("Where were you?", True, False),
        ("Look at this, do you like it? [picture: a red kite]", True, False),
        ("Really? I was at home.", False, False),
        ("I moved here three years ago.", False, True),
        ("We met last Tuesday.", False, True),
        ("It was in 1999", False, True),
        ("Room 2 on floor 14", False, False),
        ("", False, False),
    ],
)
def test_cues(text: str, asks: bool, tells_time: bool) -> None:
    cues = cues_of(text, terms_of(text))
    assert (cues.asks, cues.tells_time) == (asks, tells_time)


def test_substance_grows_with_different_terms_up_to_one() -> None:
    values = [cues_of("", [f"t{n}" for n in range(count)] * 2).substance for count in (0, 1, 4, 16, 100)]
    assert values == sorted(values)
    assert (values[0], values[-2], values[-1]) == (0, 1, 1)


def test_what_a_query_asks_for() -> None:
    assert asks_when("When did Ada start?")
    assert asks_when("How long has Ben sailed?")
    assert asks_when("Which year was it?")
    assert not asks_when("Which boat was it?")


def test_scales_of_fusion() -> None:
    assert min_max(np.array([2, 4, 3], np.float32)).tolist() == [0, 1, 0.5]
    assert min_max(np.array([2, 2], np.float32)).tolist() == [1, 1]
    assert min_max(np.array([0, 0], np.float32)).tolist() == [0, 0]
    # What hardly differs stays near: the range is at least 0.3 of the highest.
    assert min_max(np.array([1.94, 2], np.float32)).tolist() == pytest.approx([0.9, 1])
    assert min_max(np.array([-3, -2], np.float32)).tolist() == [0, 1]
    ranks = reciprocal_ranks(np.array([0.1, 0.9, 0, 0.9], np.float32))
    assert ranks.tolist() == pytest.approx([1 / 63, 1 / 61, 0, 1 / 62])


def test_shares_are_scaled_signals_times_weights() -> None:
    signals = np.zeros((3, len(NAMES)), np.float32)
    text, vector, author = (NAMES.index(name) for name in ("text", "vector", "author"))
    signals[:, text], signals[:, vector], signals[:, author] = [4, 8, 6], [-0.5, 0, 0.5], [0, 1, 0]
    assert scaled(signals)[:, [text, vector]].tolist() == [[0, 0], [1, 0.5], [0.5, 1]]
    assert signals[1, text] == 8, "what was measured stays as it is"
    parts = shares(signals, row_of(Weights(text=2.0, vector=1.0, author=0.5)))
    assert parts[1, [text, vector, author]].tolist() == [2, 0.5, 0.5]
    assert parts[2, [text, vector, author]].tolist() == [1, 1, 0]


def test_marginal_relevance_prefers_what_was_not_said_yet() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    scores = np.array([1.0, 0.9, 0.5], np.float32)
    assert diversified(vectors, scores, 3, 1.0).tolist() == [0, 1, 2]
    assert diversified(vectors, scores, 3, 0.5).tolist() == [0, 2, 1]

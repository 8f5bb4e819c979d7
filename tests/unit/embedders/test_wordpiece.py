"""Texts are split as the model's own tokenizer splits them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memraft.embedders.static import DATA, VOCABULARY, vocabulary
from memraft.embedders.wordpiece import WordPiece

PIECES = vocabulary(DATA / VOCABULARY)

# What the package `tokenizers` 0.23 makes of them with the model's tokenizer.json.
EXPECTED: list[tuple[str, list[int]]] = [
    (
        "Refund for order #1458 initiated on 10/20",
        [25416, 8630, 2005, 2344, 1001, 13741, 2620, 7531, 2006, 2184, 1013, 2322],
    ),
    (
        "unaffable embeddings, don't!",
        [14477, 20961, 3468, 7861, 8270, 4667, 2015, 1010, 2123, 1005, 1056, 999],
    ),
    ("snake_case and e-mail@example.org", [7488, 1035, 2553, 1998, 1041, 1011, 5653, 1030, 2742, 1012, 8917]),
    ("Café ÅNGSTRÖM naïve Ñandú", [7668, 17076, 15687, 15743, 16660, 8566]),
    (
        "ΣΊΣΥΦΟΣ Ὀδυσσεύς",
        [
            1173,
            18199,
            29733,
            29735,
            29736,
            29730,
            29733,
            1169,
            29722,
            29735,
            29733,
            29733,
            29723,
            29735,
            19579,
        ],
    ),
    ("日本語のテキスト と 漢字", [1864, 1876, 1950, 1671, 30239, 30227, 30233, 30240, 1666, 1904, 100]),
    (
        "한국어 문장",
        [1469, 30006, 30021, 29991, 30014, 30020, 29999, 30008, 1459, 30014, 30021, 30000, 30006, 30025],
    ),
    (
        "Привет, мир — «да»",
        [1194, 16856, 10325, 25529, 15290, 22919, 1010, 1191, 10325, 16856, 1517, 1077, 1184, 10260, 1090],
    ),
    ("مرحبا بالعالم", [1295, 17149, 29820, 29816, 25573, 1271, 25573, 23673, 29830, 25573, 23673, 22192]),
    ("हिन्दी", [1339, 29877, 29863, 29861, 29878]),
    ("tab\tnew\nline\r\x0b\x0cend", [21628, 2047, 2240, 2203]),
    ("zero\u200bwidth\xadsoft\ufeff", [5717, 9148, 11927, 7898, 15794]),
    ("\x00nul\ufffd", [16371, 2140]),
    ("$5 + 3 = €8 ~ ^`|", [1002, 1019, 1009, 1017, 1027, 1574, 2620, 1066, 1034, 1036, 1064]),
    ("x" * 101, [100]),
    ("x" * 100, [22038, *[20348] * 49]),
    ("İstanbul ẞ ﬁne ½", [9960, 1096, 1984, 2638, 1092]),
    ("a\xa0b\u2003c\u3000d\u2028e", [1037, 1038, 1039, 1040, 1041]),
    ("\U0001f44d\U0001f3fd great", [100, 2307]),
    ("", []),
    ("   ", []),
    ("\U0001f600\U00020000\U0002a700", [100, 100, 100]),
]


@pytest.mark.parametrize(("text", "numbers"), EXPECTED, ids=range(len(EXPECTED)))
def test_pieces_are_those_of_the_models_own_tokenizer(text: str, numbers: list[int]) -> None:
    assert PIECES(text, 1000) == numbers


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=100))
def test_ascii_takes_a_short_way_to_the_same_pieces(text: str) -> None:
    with_accent = PIECES(text + " \u00e9", 1000)  # one letter that is not ASCII: the long way
    assert with_accent == PIECES(text + " e", 1000)


@given(st.text(max_size=200), st.integers(1, 50))
def test_of_a_long_text_the_first_pieces_are_taken(text: str, pieces_max: int) -> None:
    assert PIECES(text, pieces_max) == PIECES(text, 10_000)[:pieces_max]


def test_marks_in_a_text_are_words_like_any_other() -> None:
    marks = {PIECES.number(mark) for mark in ("[CLS]", "[SEP]", "[PAD]", "[MASK]")}
    assert not marks & set(PIECES("[CLS] and [SEP] [PAD] [MASK]", 100))


def test_a_vocabulary_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="every piece once"):
        WordPiece(["[UNK]", "a", "a"])
    with pytest.raises(ValueError, match="UNK"):
        WordPiece(["a", "b"])

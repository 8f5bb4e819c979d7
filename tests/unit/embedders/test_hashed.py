"""Hashed n-grams find shared words and parts of words, and promise no more."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memraft import ConfigurationError, HashedNgrams

DEFAULT = HashedNgrams()


def likeness(one: str, other: str) -> float:
    return float(DEFAULT(one) @ DEFAULT(other))


@given(st.text(max_size=300))
def test_any_text_has_a_vector_of_length_one_or_none(text: str) -> None:
    vector = DEFAULT(text)
    assert vector.shape == (DEFAULT.dimension,)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
    length = float(np.linalg.norm(vector))
    assert length == pytest.approx(1.0, abs=1e-5) or length == 0.0


def test_a_text_is_most_like_itself_whatever_its_case_and_punctuation() -> None:
    text = "Refund for order #1458 initiated on 10/20"
    assert likeness(text, text) == pytest.approx(1.0, abs=1e-5)
    assert likeness(text, "REFUND, for order 1458: initiated on 10 20!") == pytest.approx(1.0, abs=1e-5)


def test_shared_words_count_more_than_common_ones() -> None:
    query = "what is the status of my refund"
    assert likeness(query, "refunds take three days") > likeness(query, "what is the name of my dog")


def test_inflection_and_typing_mistakes_are_forgiven() -> None:
    assert likeness("delivery", "deliveries") > 0.2
    assert likeness("accommodation", "acommodation") > 0.2
    assert abs(likeness("accommodation", "giraffe")) < 0.2


def test_the_same_text_gives_the_same_vector_elsewhere() -> None:
    text = "The quick brown fox; the quick brown dog"
    assert np.array_equal(HashedNgrams()(text), DEFAULT(text))
    assert HashedNgrams(64)(text).shape == (64,)


def test_a_long_text_is_bounded() -> None:
    assert np.isfinite(DEFAULT("word " * 50_000)).all()


def test_many_texts_at_once_have_the_vectors_of_each() -> None:
    texts = ["one text", "", "another"]
    assert np.array_equal(DEFAULT.embed(texts), np.stack([DEFAULT(text) for text in texts]))
    assert DEFAULT.embed([]).shape == (0, 768)
    assert DEFAULT.fingerprint == "hashed-ngrams-v1:768"


@pytest.mark.parametrize("dimension", [0, -1, 4097, 1.5, "768"])
def test_what_is_no_dimension_is_refused(dimension: Any) -> None:
    with pytest.raises(ConfigurationError, match="dimension must be an integer from 1 to 4096, not"):
        HashedNgrams(dimension)

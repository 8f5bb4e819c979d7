"""The default embedder knows words that are alike, and its table is the one its fingerprint names."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memraft import ConfigurationError
from memraft.embedders import Embedder, StaticEmbedder
from memraft.embedders.static import DATA, FINGERPRINT, default

# Another table makes other vectors: it needs another version in FINGERPRINT, and then these.
SHA256 = {
    "table.npy": "5b700c10819dcfe736657d5b0848fae92e530dbc46bfa02afd6119769c6a34ef",
    "scales.npy": "646c5f23633e7efbe53fdedb38ef641909ca83b31e4707b0e831a5e7390b4223",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}


def likeness(one: str, other: str) -> float:
    first, second = default().embed([one, other])
    return float(first @ second)


def test_the_table_is_the_one_that_the_fingerprint_names() -> None:
    assert {name: sha256((DATA / name).read_bytes()).hexdigest() for name in SHA256} == SHA256
    assert FINGERPRINT == "static-minilm-l6-v1:256:unit"
    assert (default().fingerprint, default().dimension) == (FINGERPRINT, 256)
    assert isinstance(default(), Embedder)


@given(st.text(max_size=300))
def test_any_text_has_a_vector_of_length_one_or_none(text: str) -> None:
    [vector] = default().embed([text])
    assert vector.shape == (256,)
    assert vector.dtype == np.float32
    length = float(np.linalg.norm(vector))
    assert length == pytest.approx(1.0, abs=1e-5) or length == 0.0


def test_words_that_mean_the_same_are_near() -> None:
    assert likeness("which car did she buy?", "an automobile was purchased") > 0.4
    assert likeness("refund", "money back") > likeness("refund", "the weather is nice") + 0.05
    assert likeness("my doctor", "a physician") > likeness("my doctor", "a musician") + 0.1


def test_case_and_accents_make_no_difference_and_common_words_little() -> None:
    assert likeness("Café in Málaga", "CAFE IN MALAGA") == pytest.approx(1.0, abs=1e-5)
    assert likeness("the cat", "cat") > 0.9


def test_what_no_piece_is_known_of_has_no_direction() -> None:
    for text in ("", "  \n", "?! ...", "\N{HOT BEVERAGE}", "\U00020000"):
        assert not default().embed([text]).any()


def test_many_texts_at_once_have_the_vectors_of_each() -> None:
    texts = ["one text", "", "another " * 50]
    each = [default().embed([text])[0] for text in texts]
    assert np.array_equal(default().embed(texts), np.stack(each))
    assert default().embed([]).shape == (0, 256)


def test_a_long_text_is_bounded() -> None:
    beginning = "word " * 10_000
    assert np.array_equal(*default().embed([beginning + "cat", beginning + "dog"]))


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[UNK]\nred\nblue\n", encoding="utf-8")
    np.save(tmp_path / "table.npy", np.array([[0, 0], [10, 0], [0, 20]], np.int8))
    np.save(tmp_path / "scales.npy", np.array([0, 0.4, 0.15], np.float32))
    with pytest.raises(ConfigurationError, match="fingerprint"):
        StaticEmbedder(tmp_path)
    own = StaticEmbedder(tmp_path, "colours:2")
    assert own.fingerprint == "colours:2"
    assert np.allclose(own.embed(["Red, blue", "red", "green"]), np.array([[0.8, 0.6], [1, 0], [0, 0]]))


def test_a_table_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"table\.npy"):
        StaticEmbedder(tmp_path, "none")
    (tmp_path / "vocab.txt").write_text("[UNK]\nred\n", encoding="utf-8")
    np.save(tmp_path / "scales.npy", np.ones(2, np.float32))
    np.save(tmp_path / "table.npy", np.zeros((3, 2), np.int8))
    with pytest.raises(ConfigurationError, match=r"one row for each of 2 pieces.*\(3, 2\)"):
        StaticEmbedder(tmp_path, "three rows")
    np.save(tmp_path / "table.npy", np.zeros((2, 2), np.int8))
    np.save(tmp_path / "scales.npy", np.ones(3, np.float32))
    with pytest.raises(ConfigurationError, match="one number for each of 2 pieces"):
        StaticEmbedder(tmp_path, "three scales")

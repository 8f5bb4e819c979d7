"""A transformer from a file: a small one with random weights, in onnxruntime and, by hand, in numpy."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memraft import ConfigurationError
from memraft.embedders import OnnxEmbedder
from memraft.embedders.static import DATA, VOCABULARY, vocabulary

HIDDEN, LAYERS, INNER, POSITIONS = 24, 2, 48, 64
PIECES = vocabulary(DATA / VOCABULARY)
TEXTS = ["Where does the cat sleep?", "", "on the sofa " * 40, "unaffable!"]


def random_weights() -> dict[str, Any]:
    numbers = np.random.default_rng(7)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(PIECES), HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{i}" for i in range(LAYERS)):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes[f"{layer}.attention.{part}.weight"] = (HIDDEN, HIDDEN)
        shapes[f"{layer}.intermediate.dense.weight"] = (INNER, HIDDEN)
        shapes[f"{layer}.output.dense.weight"] = (HIDDEN, INNER)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    shapes |= {
        name.replace("weight", "bias"): shape[:1] for name, shape in shapes.items() if name[:2] == "en"
    }
    shapes |= {f"{norm}.{part}": (HIDDEN,) for norm in norms for part in ("weight", "bias")}
    return {name: numbers.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def scripts() -> Any:
    """The module that makes the file, and with it that which runs the model in numpy."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from scripts import make_minilm_onnx, make_static_table

    return onnx, make_minilm_onnx, make_static_table


@pytest.fixture(scope="module")
def model(scripts: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    onnx, make, _ = scripts
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    onnx.save(make.bert(random_weights()), path)
    return path


def test_the_file_says_what_the_weights_say(scripts: Any, model: Path) -> None:
    embedder = OnnxEmbedder(model, pieces_max=POSITIONS, texts_max=3)
    weights = random_weights()
    expected = []
    for text in TEXTS:
        pieces = [PIECES.number("[CLS]"), *PIECES(text, POSITIONS - 2), PIECES.number("[SEP]")]
        mean = scripts[2].transformed(weights, np.array([pieces])).mean(axis=1)[0]
        expected.append(mean / np.linalg.norm(mean))
    made = embedder.embed(TEXTS)
    assert made.dtype == np.float32
    assert np.allclose(made, np.array(expected), atol=1e-4)


def test_a_text_has_one_vector_whatever_it_is_embedded_with(model: Path) -> None:
    embedder = OnnxEmbedder(model, pieces_max=POSITIONS)
    each = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert np.allclose(embedder.embed(TEXTS), each, atol=1e-5)
    assert len(embedder.embed([])) == 0


def test_the_fingerprint_tells_files_and_lengths_apart(model: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.onnx"
    again.write_bytes(model.read_bytes())
    assert OnnxEmbedder(model).fingerprint == OnnxEmbedder(again).fingerprint
    assert OnnxEmbedder(model).fingerprint != OnnxEmbedder(model, pieces_max=32).fingerprint
    assert OnnxEmbedder(model, fingerprint="mine").fingerprint == "mine"


def test_a_file_that_is_no_model_is_refused(scripts: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.onnx"):
        OnnxEmbedder(tmp_path / "missing.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(ConfigurationError, match=r"broken\.onnx is not a model"):
        OnnxEmbedder(broken)
    helper = scripts[0].helper
    value = helper.make_tensor_value_info("pixels", 1, ["n"])
    node = helper.make_node("Identity", ["pixels"], ["out"])
    graph = helper.make_graph([node], "other", [value], [helper.make_tensor_value_info("out", 1, ["n"])])
    other = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    scripts[0].save(other, tmp_path / "other.onnx")
    with pytest.raises(ConfigurationError, match="pixels"):
        OnnxEmbedder(tmp_path / "other.onnx")


def test_without_onnxruntime_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigurationError, match=r"memraft\[onnx\]"):
        OnnxEmbedder(tmp_path / "model.onnx")


def test_limits_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least"):
        OnnxEmbedder(tmp_path / "model.onnx", pieces_max=2)

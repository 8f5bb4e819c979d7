"""What makes embeddings from text: `Memory(embedder=...)` takes any of these, or any callable `str ->
numbers`.

StaticEmbedder     the default: a table that comes with the package, tens of microseconds a text
HashedNgrams       no table at all: shared words and parts of words, in any language
OnnxEmbedder       a transformer from a local file; `pip install memraft[onnx]`
EndpointEmbedder   a service that speaks OpenAI's protocol
FunctionEmbedder   any callable, with a fingerprint of its own
"""

from .base import Embedder, FunctionEmbedder, Vectors
from .endpoint import EndpointEmbedder
from .hashed import HashedNgrams
from .onnx import OnnxEmbedder
from .static import StaticEmbedder

__all__ = [
    "Embedder",
    "EndpointEmbedder",
    "FunctionEmbedder",
    "HashedNgrams",
    "OnnxEmbedder",
    "StaticEmbedder",
    "Vectors",
]

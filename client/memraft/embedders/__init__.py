"""What makes embeddings from text: `Memory(embedder=...)` takes any of these, or any callable `str ->
numbers`.

StaticEmbedder     the default: a table that comes with the package, tens of microseconds a text
HashedNgrams       no table at all: shared words and parts of words, in any language
OnnxEmbedder       a transformer from a local file; `pip install memraft[onnx]`
EndpointEmbedder   a service that speaks OpenAI's protocol
FunctionEmbedder   any callable, with a fingerprint of its own
"""

from typing import TYPE_CHECKING, Any

from .base import Embedder, FunctionEmbedder, Vectors
from .hashed import HashedNgrams
from .onnx import OnnxEmbedder
from .static import StaticEmbedder

if TYPE_CHECKING:
    from .endpoint import EndpointEmbedder

__all__ = [
    "Embedder",
    "EndpointEmbedder",
    "FunctionEmbedder",
    "HashedNgrams",
    "OnnxEmbedder",
    "StaticEmbedder",
    "Vectors",
]


def __getattr__(name: str) -> Any:
    # Its HTTP client would make up a twentieth of the time that `import memraft` takes.
    if name == "EndpointEmbedder":
        from .endpoint import EndpointEmbedder

        return EndpointEmbedder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

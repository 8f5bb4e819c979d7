# Generated from _async/embedding.py by scripts/generate_sync.py: edit that one.

"""Embeds the texts of a memory, each once."""

from ..embedders.base import AnyEmbedder, Embedder, Vector, as_embedder, fingerprint_of, unit_rows
from ..embedders.cache import VectorCache
from ..embedders.static import FINGERPRINT, default
from .io import call_embedder, in_thread


class Embedding:
    """An embedder with what it made before. All views of a memory share one.

    Args:
        given: an embedder or any callable; None: the default one, opened when it is first needed.

    Raises:
        ConfigurationError: what was given is neither.
    """

    def __init__(self, given: AnyEmbedder | None) -> None:
        self._embedder: Embedder | None = None if given is None else as_embedder(given)
        self._is_default = given is None
        self._cache = VectorCache()

    @property
    def fingerprint(self) -> str | None:
        """Names the model; None where only the first vector will tell."""
        return FINGERPRINT if self._embedder is None else self._embedder.fingerprint or None

    def of_caller(self, dimension: int) -> str:
        """The fingerprint of a vector that the caller made."""
        if self._is_default or self._embedder is None:
            return f"caller:{dimension}"
        return fingerprint_of(self._embedder, dimension)

    def of(self, text: str) -> tuple[Vector, str]:
        """Returns a text's vector, shape (dimension,), and its fingerprint.

        Raises:
            InvalidArgument: the embedder did not return numbers.
            EmbedderFailed: it is a service, which failed.
        """
        if self._embedder is None:
            self._embedder = in_thread(default)
        embedder = self._embedder
        if len(text) <= getattr(embedder, "inline_characters_max", 0):
            # To look it up would take as long; and a thread several times that.
            vector: Vector | None = embedder.embed([text])[0]
        else:
            [vector] = self._cache.find([text])
        if vector is None:
            made = unit_rows(call_embedder(embedder, [text]), 1)
            self._cache.keep([text], made)
            vector = made[0]
        return vector, fingerprint_of(embedder, len(vector))

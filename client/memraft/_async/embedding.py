"""Embeds the texts of a memory, each once."""

from collections.abc import Sequence

import numpy as np

from .. import _left_behind
from ..embedders.base import AnyEmbedder, Embedder, Vector, Vectors, as_embedder, fingerprint_of, unit_rows
from ..embedders.cache import VectorCache
from ..embedders.static import FINGERPRINT, default
from ..errors import ClosedError
from .io import call_embedder, in_thread


class AsyncEmbedding:
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
        self._left_behind = ""
        _left_behind.watch(self)

    def leave_behind(self, reason: str) -> None:
        """See `_left_behind.Opened`: threads that embed, and locks of what was embedded, are the parent's."""
        self._left_behind = reason

    @property
    def fingerprint(self) -> str | None:
        """Names the model; None where only the first vector will tell."""
        return FINGERPRINT if self._embedder is None else self._embedder.fingerprint or None

    def of_caller(self, dimension: int) -> str:
        """The fingerprint of a vector that the caller made."""
        if self._is_default or self._embedder is None:
            return f"caller:{dimension}"
        return fingerprint_of(self._embedder, dimension)

    async def of(self, text: str) -> tuple[Vector, str]:
        """Returns a text's vector, shape (dimension,), and its fingerprint.

        Raises:
            InvalidArgument: the embedder did not return numbers.
            EmbedderFailed: it is a service, which failed.
        """
        embedder = await self._opened()
        if len(text) <= getattr(embedder, "inline_characters_max", 0):
            # To look it up would take as long; and a thread several times that.
            vector: Vector | None = embedder.embed([text])[0]
        else:
            [vector] = self._cache.find([text])
        if vector is None:
            made = unit_rows(await call_embedder(embedder, [text]), 1)
            self._cache.keep([text], made)
            vector = made[0]
        return vector, fingerprint_of(embedder, len(vector))

    async def of_many(self, texts: Sequence[str]) -> tuple[Vectors, str]:
        """Returns the vectors of texts, shape (len(texts), dimension), and their fingerprint: the embedder is
        called once for all that are not known.

        Args:
            texts: at least one.

        Raises:
            InvalidArgument: the embedder did not return numbers.
            EmbedderFailed: it is a service, which failed.
        """
        embedder = await self._opened()
        inline_max = getattr(embedder, "inline_characters_max", 0)
        if inline_max:  # To look texts up would take as long.
            listed = list(texts)
            if sum(map(len, listed)) <= inline_max:
                made: Vectors = embedder.embed(listed)
            else:
                made = unit_rows(await call_embedder(embedder, listed), len(listed))
            return made, fingerprint_of(embedder, made.shape[1])
        known = dict(zip(texts, self._cache.find(texts), strict=True))
        missing = [text for text, vector in known.items() if vector is None]
        if missing:
            made = unit_rows(await call_embedder(embedder, missing), len(missing))
            self._cache.keep(missing, made)
            known.update(zip(missing, made, strict=True))
        vectors = np.array([known[text] for text in texts], dtype=np.float32)
        return vectors, fingerprint_of(embedder, vectors.shape[1])

    async def _opened(self) -> Embedder:
        if self._left_behind:
            raise ClosedError(self._left_behind)
        if self._embedder is None:
            self._embedder = await in_thread(default)
        return self._embedder

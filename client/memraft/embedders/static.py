"""The default embedder: a vector for every piece of a word, added up.

It needs no download, no key and no GPU and takes some tens of microseconds a text. It knows that "car" and
"automobile" are alike, but not what order does to words: no negation, no grammar. The table was made from
all-MiniLM-L6-v2 by `scripts/make_static_table.py`, which says how; the method is that of model2vec (Tulkens
and van Dongen, 2024): each piece alone through the transformer, principal components, weights by how common a
piece is (Arora et al., "A Simple but Tough-to-Beat Baseline for Sentence Embeddings", 2017).
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import ConfigurationError
from .base import Vectors
from .wordpiece import WordPiece

DATA = Path(__file__).parent / "data"
TABLE, SCALES, VOCABULARY = "table.npy", "scales.npy", "vocab.txt"

FINGERPRINT = "static-minilm-l6-v1:256:unit"
"""Of the table that comes with the package: another table gets another version."""

PIECES_MAX = 8192
"""Pieces of a longer text beyond these are not looked at."""


class StaticEmbedder:
    """Adds up the vectors of a text's pieces. The table is mapped, not read: processes share its memory.

    Args:
        directory: with `table.npy` (int8, shape (pieces, dimension)), `scales.npy` (float32, shape (pieces,))
            and `vocab.txt`; None: the one that comes with the package.
        fingerprint: names the table; of another directory than the package's it must be given.

    Raises:
        ConfigurationError: a file is missing or they do not fit together.
    """

    inline_characters_max = 4_000

    def __init__(self, directory: Path | None = None, fingerprint: str | None = None) -> None:
        if directory is not None and not fingerprint:
            raise ConfigurationError("a table of one's own needs a fingerprint= that names it")
        place = DATA if directory is None else directory
        try:
            self._table: npt.NDArray[np.int8] = np.load(place / TABLE, mmap_mode="r").view(np.ndarray)
            self._scales: npt.NDArray[np.float32] = np.load(place / SCALES)
            self._pieces = vocabulary(place / VOCABULARY)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"no table of embeddings in {place}: {error}") from error
        rows = len(self._pieces)
        if self._table.dtype != np.int8 or self._table.ndim != 2 or self._table.shape[0] != rows:
            raise ConfigurationError(
                f"{place / TABLE} must be int8 with one row for each of {rows} pieces, "
                f"not {self._table.dtype} of shape {self._table.shape}"
            )
        if self._scales.dtype != np.float32 or self._scales.shape != (rows,):
            raise ConfigurationError(
                f"{place / SCALES} must be float32 with one number for each of {rows} pieces"
            )
        self.dimension: int = self._table.shape[1]
        self.fingerprint = fingerprint or FINGERPRINT

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Returns shape (len(texts), dimension): rows of length 1, all zeros for a text without a known
        piece.
        """
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            pieces = self._pieces(text, PIECES_MAX)
            if pieces:
                places = np.array(pieces)
                np.dot(self._scales[places], self._table[places].astype(np.float32), out=row)
                length = float(np.sqrt(row @ row))
                if length:
                    row /= length
        return vectors


@lru_cache(maxsize=4)
def vocabulary(path: Path) -> WordPiece:
    """Reads a vocabulary; what the process has read before is shared."""
    return WordPiece.from_file(path)


@lru_cache(maxsize=1)
def default() -> StaticEmbedder:
    """The embedder of memories that were not given one: opened when it is first needed, shared by all."""
    return StaticEmbedder()

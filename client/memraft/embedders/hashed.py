"""An embedder without a table: words, pairs of words and pieces of words, hashed into a vector.

It needs no download, no key and no GPU, and takes some tens of microseconds a text. What it can do: find
texts that share words, word pairs, or parts of words with the query, whatever their inflection or order,
in any language that writes words apart, and forgive most typing mistakes. What it cannot do: know that
"car" and "automobile" mean the same, or understand negation, time or grammar. It suits languages and jargon
that the default's vocabulary does not know.

The method is feature hashing with signs (Weinberger et al., "Feature Hashing for Large Scale Multitask
Learning", 2009) over words, bigrams and character n-grams as in fastText (Bojanowski et al., 2017), with
sublinear term frequency.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import log, sqrt
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ..errors import ConfigurationError
from .base import Vector, Vectors

DIMENSION = 768
DIMENSION_MAX = 4096
"""What a node takes."""
WORDS_MAX = 4096
"""Words of a longer text beyond these are not looked at."""

_WORD = re.compile(r"\w+")
_WORD_WEIGHT = 1.0
_PAIR_WEIGHT = 0.5
_PIECES_WEIGHT = 0.9
"""All pieces of one word together: the length of their part of the word's vector."""
_COMMON_WEIGHT = 0.1
"""What a word counts that almost every text has."""
_PIECE_LENGTHS = (3, 4)
_COMMON = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "he", "her", "him", "his", "how", "i", "if", "in", "is", "it", "its",
    "me", "my", "no", "not", "of", "on", "or", "our", "she", "so", "that", "the", "their", "them", "then",
    "there", "they", "this", "to", "up", "us", "was", "we", "were", "what", "when", "where", "which", "who",
    "will", "with", "would", "you", "your",
))  # fmt: skip


class HashedNgrams:
    """Hashes words, pairs of words and pieces of words into a vector.

    Args:
        dimension: components of each vector, 1 to 4,096; more means fewer collisions and more memory.
    """

    inline_characters_max = 2_000

    def __init__(self, dimension: int = DIMENSION) -> None:
        if not isinstance(dimension, int) or not 1 <= dimension <= DIMENSION_MAX:
            wanted = f"an integer from 1 to {DIMENSION_MAX}"
            raise ConfigurationError(f"dimension must be {wanted}, not {dimension!r}")
        self.dimension = dimension
        self.fingerprint = f"hashed-ngrams-v1:{dimension}"
        self._features = lru_cache(maxsize=16_384)(self._word_features)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Returns shape (len(texts), dimension): rows of length 1, all zeros for a text without a word."""
        return (
            np.stack([self(text) for text in texts]) if texts else np.zeros((0, self.dimension), np.float32)
        )

    def __call__(self, text: str) -> Vector:
        """Returns the vector of `text`, of length 1; all zeros for a text without a word."""
        words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())[:WORDS_MAX]
        if not words:
            return np.zeros(self.dimension, np.float32)
        slots: list[npt.NDArray[np.int64]] = []
        weights: list[npt.NDArray[np.float64]] = []
        for word, count in Counter(words).items():
            word_slots, word_weights = self._features(word)
            slots.append(word_slots)
            weights.append(word_weights if count == 1 else word_weights * (1.0 + log(count)))
        pair_slots, pair_weights = self._pairs(words)
        slots.append(pair_slots)
        weights.append(pair_weights)
        vector = np.bincount(np.concatenate(slots), np.concatenate(weights), self.dimension)
        length = sqrt(float(vector @ vector))
        return (vector / length).astype(np.float32) if length else vector.astype(np.float32)

    def _word_features(self, word: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        scale = _COMMON_WEIGHT if word in _COMMON else 1.0
        slots, weights = [], []
        # A word stands in two places: two words that share one by chance are still told apart by the other.
        for salt in (b"w", b"v"):
            slot, sign = self._place(salt + word.encode(errors="replace"))
            slots.append(slot)
            weights.append(sign * scale * _WORD_WEIGHT / sqrt(2))
        if word not in _COMMON and len(word) > 2:
            bounded = f"<{word}>"
            pieces = {bounded[i : i + n] for n in _PIECE_LENGTHS for i in range(len(bounded) - n + 1)}
            each = _PIECES_WEIGHT / sqrt(len(pieces))
            for piece in sorted(pieces):
                slot, sign = self._place(b"c" + piece.encode(errors="replace"))
                slots.append(slot)
                weights.append(sign * each)
        return np.array(slots, np.int64), np.array(weights, np.float64)

    def _pairs(self, words: list[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        slots, weights = [], []
        for first, second in dict.fromkeys(pairwise(words)):
            common = (first in _COMMON) + (second in _COMMON)
            if common < 2:
                slot, sign = self._place(f"p{first} {second}".encode(errors="replace"))
                slots.append(slot)
                weights.append(sign * (_COMMON_WEIGHT if common else _PAIR_WEIGHT))
        return np.array(slots, np.int64), np.array(weights, np.float64)

    def _place(self, feature: bytes) -> tuple[int, float]:
        # CRC-32 is linear, so that its bits are not independent for similar inputs; the high part of a
        # product (Fibonacci hashing) mixes them before slot and sign are taken.
        mixed = (crc32(feature) * 0x9E3779B97F4A7C15) >> 24 & 0xFFFFFFFF
        return (mixed >> 1) % self.dimension, 1.0 if mixed & 1 else -1.0

"""Vectors of texts that were embedded before, by a hash of the text."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from threading import Lock

import numpy as np

from .base import Vector, Vectors

BYTES_MAX = 8 << 20
_ENTRY_BYTES = 250
"""What an entry costs beside its numbers: key, array object, link."""


class VectorCache:
    """Keeps the vectors used last; threads may share it.

    Args:
        bytes_max: how much memory it takes; what was used longest ago makes room. 0: it keeps nothing.
    """

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._lock = Lock()
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def find(self, texts: Sequence[str]) -> list[Vector | None]:
        """Returns each text's vector of shape (dimension,), None where it is not known."""
        keys = [_key(text) for text in texts]
        with self._lock:
            found = [self._vectors.get(key) for key in keys]
            for key, vector in zip(keys, found, strict=True):
                if vector is not None:
                    self._vectors.move_to_end(key)
        return found

    def keep(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Keeps the vectors of texts, shape (len(texts), dimension)."""
        # A row of its own, not a view that would hold on to the whole array; and nobody may write to it.
        rows = [np.array(row) for row in vectors]
        keys = [_key(text) for text in texts]
        with self._lock:
            for key, row in zip(keys, rows, strict=True):
                row.flags.writeable = False
                self._drop(key)
                self._vectors[key] = row
                self._bytes += row.nbytes + _ENTRY_BYTES
            while self._bytes > self._bytes_max:
                self._drop(next(iter(self._vectors)))

    def _drop(self, key: bytes) -> None:
        row = self._vectors.pop(key, None)
        if row is not None:
            self._bytes -= row.nbytes + _ENTRY_BYTES


def _key(text: str) -> bytes:
    # 16 bytes of a cryptographic hash: nobody finds two texts that meet. Lone surrogates are texts, too.
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()

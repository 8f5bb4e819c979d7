"""Vectors as embeddings are: in clusters. Uniform random vectors of 384 dimensions are all equally far apart,
which flatters no index and resembles no text."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

VECTORS_PER_CLUSTER = 100
NOISE = 0.8
"""Length of the noise against a centre of length 1: neighbours have a cosine of about 0.6."""


@dataclass(frozen=True, slots=True)
class Clustered:
    """`vectors` (n, dimension) and `queries` (q, dimension): float32, of length 1, from the same clusters."""

    vectors: FloatArray
    queries: FloatArray


def clustered(vectors: int, queries: int, dimension: int, seed: int) -> Clustered:
    """Draws vectors and, apart from them, queries around the same centres. Same seed, same numbers."""
    random = np.random.default_rng(seed)
    centres = normalised(random.standard_normal((max(1, vectors // VECTORS_PER_CLUSTER), dimension)))
    return Clustered(
        vectors=_around(random, centres, vectors),
        queries=_around(random, centres, queries),
    )


def _around(random: np.random.Generator, centres: FloatArray, n: int) -> FloatArray:
    dimension = centres.shape[1]
    noise = random.standard_normal((n, dimension), dtype=np.float32) * (NOISE / dimension**0.5)
    return normalised(centres[random.integers(len(centres), size=n)] + noise)


def normalised(rows: npt.NDArray[np.floating]) -> FloatArray:
    """Each row scaled to length 1, as float32."""
    unit: FloatArray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def exact_neighbours(vectors: FloatArray, queries: FloatArray, k: int) -> npt.NDArray[np.int64]:
    """Places of the `k` rows of `vectors` with the greatest cosine to each query: (queries, k), unordered."""
    scores = queries @ vectors.T
    return np.argpartition(-scores, k - 1, axis=1)[:, :k].astype(np.int64)


def recall(found: list[list[int]], exact: npt.NDArray[np.int64]) -> float:
    """The mean share of the exact neighbours that were found, from 0 to 1."""
    shares = [
        len(set(some) & set(truth.tolist())) / len(truth) for some, truth in zip(found, exact, strict=True)
    ]
    return sum(shares) / len(shares)

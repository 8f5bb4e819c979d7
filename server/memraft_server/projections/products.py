"""Products of vectors in portions that BLAS computes in the calling thread.

OpenBLAS shares larger ones out between threads, also in a process that this library is a guest in and whose
threads it must not set. Such a product is soon done, but where other processes keep the cores busy, it waits
20 ms for its threads, and these spin for as long afterwards. Measured with numpy 2.4 (OpenBLAS 0.3.31, two
cores): threads start with a matrix of 0.46 million elements that is multiplied with a vector, not with 0.26,
and with 0.61 million multiplications for two matrices, not with 0.51.
"""

from __future__ import annotations

from math import isqrt

import numpy as np

from memraft_server.projections.vector_math import Floats

PORTION = 1 << 18
"""Multiplications at a time."""

PORTION_OF_TWO = (1 << 19) - 1
"""The same of two matrices, where they are many: smaller portions take longer."""


def dots(vectors: Floats, query: Floats) -> Floats:
    """Returns the products of each of the vectors, shape (count, dimension), with one, shape (dimension,)."""
    count, dimension = vectors.shape
    step = max(1, PORTION // max(1, dimension))
    products: Floats
    if count <= step:
        products = vectors @ query
        return products
    products = np.empty(count, np.float32)
    for start in range(0, count, step):
        np.matmul(vectors[start : start + step], query, out=products[start : start + step])
    return products


def turned(vectors: Floats, matrix: Floats) -> Floats:
    """Returns the products of vectors, shape (count, dimension), with one of shape (dimension, columns)."""
    count, dimension = vectors.shape
    columns = matrix.shape[1]
    step = max(1, PORTION_OF_TWO // max(1, dimension * columns))
    products: Floats
    if count <= step:
        products = vectors @ matrix
        return products
    products = np.empty((count, columns), np.float32)
    whole = count - count % step
    # All in one call: a thread that takes the GIL again after each waits for it longer than it multiplies.
    portions = vectors[:whole].reshape(-1, step, dimension)
    np.matmul(portions, matrix, out=products[:whole].reshape(-1, step, columns))
    np.matmul(vectors[whole:], matrix, out=products[whole:])
    return products


def dots_before(vectors: Floats) -> Floats:
    """Returns the products of each of the vectors, shape (count, dimension), with itself and those before it,
    shape (count, count). With one after it: that, too, or -1."""
    count, dimension = vectors.shape
    products: Floats
    if count * count * dimension <= PORTION:
        products = vectors @ vectors.T
        return products
    products = np.full((count, count), -1, np.float32)
    step = max(1, isqrt(PORTION // dimension))
    for row in range(0, count, step):
        for column in range(0, row + 1, step):
            these, those = vectors[row : row + step], vectors[column : column + step]
            products[row : row + step, column : column + step] = these @ those.T
    return products

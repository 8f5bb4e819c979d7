"""Products in portions are those that one product makes."""

import numpy as np
import pytest

from memraft_server.projections.products import PORTION, dots, dots_before, turned

SHAPES = [(0, 4), (1, 1), (18, 256), (32, 256), (33, 256), (70, 250), (65, 4096), (2, PORTION + 1)]


@pytest.mark.parametrize(("count", "dimension"), SHAPES)
def test_products_with_those_before_are_all_there(count: int, dimension: int) -> None:
    vectors = np.random.default_rng(5).standard_normal((count, dimension)).astype(np.float32)
    found, whole = dots_before(vectors), vectors @ vectors.T
    before = np.tri(count, dtype=bool)
    np.testing.assert_allclose(found[before], whole[before], rtol=1e-3, atol=0.01)
    after = found[~before]
    assert np.all((after == -1) | np.isclose(after, whole[~before], rtol=1e-3, atol=0.01))


@pytest.mark.parametrize(
    ("count", "dimension"), [*SHAPES, (PORTION // 256 + 1, 256), (PORTION // 64 * 3 + 7, 64)]
)
def test_products_with_one_are_in_the_order_of_the_vectors(count: int, dimension: int) -> None:
    numbers = np.random.default_rng(6)
    vectors = numbers.standard_normal((count, dimension)).astype(np.float32)
    query = numbers.standard_normal(dimension).astype(np.float32)
    np.testing.assert_allclose(dots(vectors, query), vectors @ query, rtol=1e-3, atol=0.01)


@pytest.mark.parametrize(
    ("count", "dimension", "columns"), [(0, 4, 3), (1, 256, 80), (710, 256, 80), (3, 900, 900)]
)
def test_products_with_a_matrix_are_all_there(count: int, dimension: int, columns: int) -> None:
    random = np.random.default_rng(5)
    vectors = random.standard_normal((count, dimension)).astype(np.float32)
    matrix = random.standard_normal((dimension, columns)).astype(np.float32)
    np.testing.assert_allclose(turned(vectors, matrix), vectors @ matrix, rtol=1e-3, atol=0.01)

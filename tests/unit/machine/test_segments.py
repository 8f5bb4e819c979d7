"""Which rows are sealed next, and which segments are made one."""

import numpy as np

from memraft_server.projections import segments
from memraft_server.projections.ann import Segment
from memraft_server.projections.rows import COSINE, RowStore

DIMENSION = 8
NONE = np.empty(0, np.int64)


def segment(start: int, stop: int) -> Segment:
    return Segment(np.arange(start, stop), NONE, start, stop)


def test_rows_that_are_coming_are_sealed_without_the_segment_before_them() -> None:
    there = [segment(0, 40_000)]
    assert segments.sealing(there, 42_000, quiet=False) == (40_000, 42_000)
    assert segments.sealing(there, 42_000, quiet=True) == (0, 42_000)


def test_rows_behind_a_segment_that_is_no_larger_take_it_in() -> None:
    assert segments.sealing([segment(0, 40_000), segment(40_000, 42_000)], 44_000, False) == (40_000, 44_000)


def test_a_large_store_seals_more_rows_at_a_time() -> None:
    assert segments.sealed_from(1536, 10_000) == 1536
    assert segments.sealed_from(1536, 96_000) == 3000
    assert segments.sealed_from(1536, 10_000_000) == segments.SEAL_ROWS_OF_LARGE


def test_a_row_is_encoded_a_few_times_while_a_store_is_filled() -> None:
    store = RowStore(DIMENSION, COSINE)
    vectors = np.random.default_rng(1).standard_normal((60_000, DIMENSION)).astype(np.float32)
    encoded = 0
    for start in range(0, len(vectors), 500):
        store.append(vectors[start : start + 500], start + 1)
        job = store.index_job()
        if job is not None:
            encoded += len(job._labels)
            job.run()
            job.install()
    assert encoded <= 6 * len(vectors)


def test_a_store_at_rest_has_one_segment() -> None:
    store = RowStore(DIMENSION, COSINE)
    vectors = np.random.default_rng(1).standard_normal((9_700, DIMENSION)).astype(np.float32)
    for start in range(0, len(vectors), 100):
        store.append(vectors[start : start + 100], start + 1)
        job = store.index_job()
        if job is not None:
            job.run()
            job.install()
    while store.index_pending:
        job = store.index_job()
        if job is not None:
            job.run()
            job.install()
    assert [each.span for each in store._segments] == [store.sealed_count]
    assert store.count - store.sealed_count <= segments.QUIET_SHARE * store.count

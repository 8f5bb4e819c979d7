"""The rows of a collection: what is nearest, now and then, with and without codes."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from memraft_server.cli.bench.recall_texts import Talk
from memraft_server.projections import ann, codes, rows, segments
from memraft_server.projections.rows import COSINE, DOT, L2, RowStore

DIMENSION = 24
CLUSTERS = 20

Scorer = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def _cosine(vectors: NDArray[np.float64], query: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    return (vectors @ query) / np.where(lengths == 0, 1, lengths)


SCORERS: dict[int, Scorer] = {
    COSINE: _cosine,
    DOT: lambda vectors, query: vectors @ query,
    L2: lambda vectors, query: -((vectors - query) ** 2).sum(axis=1),
}


def clustered(count: int, seed: int) -> NDArray[np.float32]:
    """Vectors around twenty centres that are the same for every seed."""
    centres = np.random.default_rng(0).standard_normal((CLUSTERS, DIMENSION))
    random = np.random.default_rng(seed)
    noise = random.standard_normal((count, DIMENSION)) * 0.5
    return (centres[random.integers(CLUSTERS, size=count)] + noise).astype(np.float32)


def build_all(store: RowStore) -> int:
    """Runs jobs until there are none, as an idle owner does; returns how many."""
    jobs = 0
    while store.index_pending:
        job = store.index_job()
        if job is not None:
            job.run()
            job.install()
            jobs += 1
    return jobs


def recall(store: RowStore, vectors: NDArray[np.float32], living: set[int]) -> float:
    """What of the ten truly nearest the store finds."""
    found = 0
    queries = clustered(30, seed=99)
    rows_living = np.array(sorted(living))
    for query in queries:
        scores = SCORERS[store.metric](vectors[rows_living].astype(np.float64), query.astype(np.float64))
        nearest = set(rows_living[np.argsort(-scores, kind="stable")[:10]].tolist())
        answer, answer_scores = store.search(query, 10)
        assert len(set(answer)) == 10 and set(answer) <= living
        assert answer_scores == sorted(answer_scores, reverse=True)
        found += len(nearest & set(answer))
    return found / (10 * len(queries))


@pytest.mark.parametrize("metric", [COSINE, DOT, L2])
def test_a_flat_search_is_exact(metric: int) -> None:
    vectors = clustered(500, seed=1)
    store = RowStore(DIMENSION, metric)
    for i, vector in enumerate(vectors[:100]):
        assert store.append_one(vector, i + 1) == i
    assert store.append(vectors[100:], 101) == 100
    assert store.sealed_count == 0
    query = clustered(1, seed=2)[0]
    exact = SCORERS[metric](vectors.astype(np.float64), query.astype(np.float64))
    found, scores = store.search(query, 7)
    assert found == np.argsort(-exact, kind="stable")[:7].tolist()
    assert scores == pytest.approx(exact[found], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("metric", [COSINE, DOT, L2])
def test_a_segment_finds_nearly_all_before_while_and_after_it_is_built(metric: int) -> None:
    vectors = clustered(6000, seed=1)
    store = RowStore(DIMENSION, metric)
    store.append(vectors[:5000], 1)
    job = store.index_job()
    assert job is not None and len(job._labels) == 5000
    assert store.index_job() is None, "one job at a time"
    store.append(vectors[5000:], 5001)
    living = set(range(6000))
    for row in range(0, 6000, 30):  # both in the snapshot of the job and behind it
        store.kill(row, 20_000 + row)
        living.discard(row)
    assert recall(store, vectors, living) == 1.0
    job.run()
    assert recall(store, vectors, living) == 1.0
    job.install()
    assert store.sealed_count == 5000
    assert recall(store, vectors, living) > 0.95
    build_all(store)
    assert store.sealed_count == 6000, "the tail joins once no rows are coming"
    assert recall(store, vectors, living) > 0.95


def test_a_job_that_is_abandoned_leaves_search_exact_and_another_job_possible() -> None:
    vectors = clustered(5000, seed=1)
    store = RowStore(DIMENSION, COSINE)
    store.append(vectors, 1)
    job = store.index_job()
    assert job is not None
    job.abandon()
    assert store.sealed_count == 0
    assert store.index_pending and store.index_job() is not None


@pytest.mark.parametrize("metric", [COSINE, DOT, L2])
def test_without_numkong_codes_are_floats_and_find_as_much(
    metric: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "load_numkong", lambda: None)
    monkeypatch.setattr(ann, "SCANNED_ROWS_MAX", 2000)
    vectors = clustered(6000, seed=1)
    store = RowStore(DIMENSION, metric)
    store.append(vectors, 1)
    build_all(store)
    assert store.sealed_count == 6000
    assert all(type(segment.block) is codes.FloatBlock for segment in store._segments)
    assert recall(store, vectors, set(range(6000))) > 0.95


def test_a_missing_numkong_is_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numkong", None)
    codes.load_numkong.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match=r"memraft\[server\]"):
            assert codes.load_numkong() is None
        assert codes.load_numkong() is None
    finally:
        codes.load_numkong.cache_clear()


def test_numkong_and_numpy_compare_codes_alike() -> None:
    """For any number of rows: numkong is given multiples of eight."""
    random = np.random.default_rng(7)
    for rows_count in (1, 7, 8, 9, 1300):
        rounded = random.integers(-127, 128, (rows_count, 64)).astype(np.int8)
        query = random.standard_normal(64).astype(np.float32)
        block = codes.block_of(rounded)
        assert isinstance(block, codes.ByteBlock)
        asked = codes.asked(query, block)
        assert asked is not None
        exact = rounded.astype(np.int64) @ asked[0][0].astype(np.int64)
        assert block.dots(asked[0]).tolist() == exact.tolist()
        assert asked[0][0] * asked[1] == pytest.approx(query, abs=asked[1])


def test_rows_left_by_leading_components_are_compared_as_all_are() -> None:
    """One code or many, chosen out of others: what the comparison of a block says of them."""
    random = np.random.default_rng(8)
    rounded = random.integers(-127, 128, (100, 80)).astype(np.int8)
    block = codes.block_of(rounded)
    asked = codes.asked(random.standard_normal(80).astype(np.float32), block)
    assert asked is not None
    for chosen in ([3], [5, 17, 99], list(range(100))):
        dots = codes.dots_of(asked[0], rounded.take(chosen, axis=0))
        assert dots.tolist() == block.dots(asked[0])[chosen].tolist()


@pytest.mark.parametrize("has_numkong", [True, False])
@pytest.mark.parametrize("metric", [COSINE, DOT, L2])
def test_a_large_segment_compares_leading_components_first_and_still_finds_nearly_all(
    metric: int, has_numkong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ann, "SCANNED_ROWS_MAX", 2000)
    monkeypatch.setattr(codes, "COMPONENTS", (16, 48))
    monkeypatch.setattr(ann, "COMPONENTS", (16, 48))
    if not has_numkong:
        monkeypatch.setattr(codes, "load_numkong", lambda: None)
    random = np.random.default_rng(3)
    directions = random.standard_normal((40, 64)) * np.linspace(1, 0.2, 40)[:, None]
    drawn = (random.standard_normal((8030, 40)) @ directions).astype(np.float32)
    vectors, queries = drawn[:8000], drawn[8000:]
    store = RowStore(64, metric)
    store.append(vectors, 1)
    build_all(store)
    (segment,) = store._segments
    assert segment.codes is not None and segment.axes is not None and segment.axes.leading is not None
    assert segment.codes.shape == (8000, 48) and segment.axes.leading.components == 16
    found, found_even = 0, 0
    even = np.arange(0, 8000, 2)
    for query in queries:
        scores = SCORERS[metric](vectors.astype(np.float64), query.astype(np.float64))
        best = np.argsort(-scores, kind="stable").tolist()
        found += len(set(best[:10]) & set(store.search(query, 10)[0]))
        among = store.search(query, 10, rows=even)[0]
        assert all(row % 2 == 0 for row in among)
        found_even += len(set([row for row in best if row % 2 == 0][:10]) & set(among))
    assert found >= 0.95 * 300 and found_even >= 0.95 * 300
    assert sorted(store.search(queries[0], 8000)[0]) == list(range(8000)), "asked for all, all come"


@pytest.mark.parametrize("metric", [COSINE, DOT, L2])
def test_vectors_without_structure_are_found_all_the_same(metric: int) -> None:
    """Nothing to cut and no clusters: the worst that an index can be given."""
    random = np.random.default_rng(4)
    vectors = random.standard_normal((4000, 96)).astype(np.float32)
    store = RowStore(96, metric)
    store.append(vectors, 1)
    build_all(store)
    found = 0
    for query in random.standard_normal((30, 96)).astype(np.float32):
        exact = np.argsort(-SCORERS[metric](vectors.astype(np.float64), query.astype(np.float64)))[:10]
        found += len(set(exact.tolist()) & set(store.search(query, 10)[0]))
    assert found >= 0.98 * 300


def test_codes_are_as_short_as_the_vectors_allow() -> None:
    """Vectors of 256 components that vary in 20 directions need no more than the shortest code."""
    random = np.random.default_rng(6)
    directions = random.standard_normal((20, 256))
    vectors = (random.standard_normal((3000, 20)) @ directions).astype(np.float32)
    store = RowStore(256, COSINE)
    store.append(vectors, 1)
    build_all(store)
    axes = store._segments[0].axes
    assert axes is not None and axes.components == codes.COMPONENTS[0]
    query = vectors[17] + np.float32(0.01)
    exact = np.argsort(-_cosine(vectors.astype(np.float64), query.astype(np.float64)), kind="stable")[:10]
    assert set(store.search(query, 10)[0]) == set(exact.tolist())


def test_of_very_many_equal_rows_the_oldest_come_first_from_a_segment_too() -> None:
    vectors = clustered(5000, seed=1)
    vectors[::2] = vectors[0]
    vectors[4999] = vectors[0] + vectors[1]
    store = RowStore(DIMENSION, COSINE)
    store.append(vectors, 1)
    build_all(store)
    assert store.sealed_count == 5000
    assert store.search(vectors[0], 6)[0] == [0, 2, 4, 6, 8, 10]
    query = vectors[0] + np.float32(0.8) * vectors[1]
    candidates = store._segments[0].candidates(query, 6)
    assert candidates is not None and candidates.tolist() == sorted(candidates.tolist())
    assert {0, 2, 4, 6, 8, 4999} <= set(candidates.tolist())


@pytest.mark.parametrize("metric", [COSINE, DOT, L2])
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_rows_of_any_size_are_found_after_they_are_sealed(metric: int, size: float) -> None:
    vectors = clustered(5000, seed=1)
    vectors[7] *= np.float32(size)
    store = RowStore(DIMENSION, metric)
    store.append(vectors, 1)
    build_all(store)
    assert store.sealed_count == 5000
    with np.errstate(all="ignore"):
        exact = SCORERS[metric](vectors.astype(np.float64), vectors[5].astype(np.float64))
    assert store.search(vectors[5], 1)[0] == [int(exact.argmax())]


def test_all_rows_equal_are_sealed_without_codes() -> None:
    store = RowStore(DIMENSION, COSINE)
    store.append(np.ones((5000, DIMENSION), np.float32), 1)
    build_all(store)
    assert store.sealed_count == 5000 and store._segments[0].axes is None
    assert store.search(np.ones(DIMENSION, np.float32), 3)[0] == [0, 1, 2]


def test_small_tails_join_the_segment_before_them_with_its_axes() -> None:
    vectors = clustered(6000, seed=1)
    store = RowStore(DIMENSION, COSINE)
    store.append(vectors[:5000], 1)
    build_all(store)
    axes = store._segments[0].axes
    store.append(vectors[5000:5080], 5001)
    assert not store.index_pending, "a tail this small is not worth building a segment anew"
    store.append(vectors[5080:5200], 5081)
    build_all(store)
    (segment,) = store._segments
    assert segment.stop == 5200 and segment.axes is axes
    assert recall(store, vectors[:5200], set(range(5200))) > 0.95


def test_a_segment_that_grows_finds_as_much_as_one_that_was_built_at_once() -> None:
    talk = Talk(9_000, 256, seed=1)
    vectors = np.concatenate([chunk.vectors for chunk in talk.chunks(1_000)])
    queries = [query.vector for query in talk.queries(100)]
    store = RowStore(256, DOT)
    for start, stop in ((0, 5_000), (5_000, 9_000)):
        store.append(vectors[start:stop], start + 1)
        build_all(store)
    assert [segment.count for segment in store._segments] == [9_000]
    found = 0
    for query in queries:
        exact = np.argsort(-(vectors @ query), kind="stable")[:10]
        found += len({*exact.tolist()} & {*store.search(query, 10)[0]})
    assert found >= 0.985 * 10 * len(queries)


def test_a_segment_with_many_dead_rows_is_built_anew_without_them() -> None:
    vectors = clustered(5000, seed=1)
    store = RowStore(DIMENSION, COSINE)
    store.append(vectors, 1)
    build_all(store)
    for row in range(0, 4000, 2):
        store.kill(row, 10_000)
    job = store.index_job()
    assert job is not None and len(job._labels) == 3000
    job.run()
    job.install()
    living = set(range(5000)) - set(range(0, 4000, 2))
    assert recall(store, vectors, living) > 0.95
    # The dead rows have no codes any more; a read of the past compares them one by one.
    found, _ = store.search(vectors[0], 1, ceiling=9999)
    assert found == [0]
    assert store.search(vectors[0], 1, ceiling=10_000)[0] != [0]


def test_all_rows_may_die() -> None:
    store = RowStore(DIMENSION, COSINE)
    store.append(clustered(5000, seed=1), 1)
    build_all(store)
    for row in range(5000):
        store.kill(row, 10_000)
    assert store.search(clustered(1, seed=3)[0], 10) == ([], [])
    build_all(store)
    assert store.search(clustered(1, seed=3)[0], 10) == ([], [])
    assert store.append(clustered(1, seed=3), 10_001) == 5000
    assert store.search(clustered(1, seed=3)[0], 10)[0] == [5000]


def test_many_small_additions_leave_few_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SCANNED_ROWS_MAX", 800)
    vectors = clustered(5000, seed=1)
    store = RowStore(DIMENSION, COSINE)
    store.seal_rows = 250
    for start in range(0, len(vectors), 125):
        store.append(vectors[start : start + 125], start + 1)
        job = store.index_job()
        if job is not None:
            job.run()
            job.install()
    build_all(store)
    assert len(store._segments) <= segments.SEGMENTS_MAX
    assert recall(store, vectors, set(range(5000))) > 0.95


def test_a_segment_never_grows_beyond_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_ROWS_MAX", 1000)
    vectors = clustered(6000, seed=1)
    store = RowStore(DIMENSION, COSINE)
    store.seal_rows = 250
    store.append(vectors[:4500], 1)
    for start in range(4500, len(vectors), 125):
        store.append(vectors[start : start + 125], start + 1)
        build_all(store)
    assert max(segment.stop - segment.start for segment in store._segments) <= 1000
    assert len(store._segments) <= 6000 // 1000 + segments.SEGMENTS_MAX
    assert [s.start for s in store._segments[1:]] == [s.stop for s in store._segments[:-1]]
    assert recall(store, vectors, set(range(6000))) > 0.95


def test_segments_of_one_size_that_fit_into_one_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SCANNED_ROWS_MAX", 250)
    monkeypatch.setattr(segments, "SEGMENT_ROWS_MAX", 1000)
    vectors = clustered(4000, seed=1)
    store = RowStore(DIMENSION, COSINE)
    store.seal_rows = 250
    for size in range(330, 318, -1):  # none is absorbed by those behind it
        store.append(vectors[store.count : store.count + size], store.count + 1)
        job = store.index_job()
        assert job is not None
        job.run()
        job.install()
    assert len(store._segments) == 12
    build_all(store)
    assert [segment.span for segment in store._segments] == [987, 978, 969, 960]
    assert [s.start for s in store._segments[1:]] == [s.stop for s in store._segments[:-1]]
    assert recall(store, vectors[: store.count], set(range(store.count))) > 0.95


def test_as_of_a_version_sees_what_lived_then() -> None:
    vectors = clustered(3, seed=1)
    store = RowStore(DIMENSION, COSINE)
    for i in range(3):
        store.append_one(vectors[i], 10 * (i + 1))  # born at 10, 20, 30
    store.kill(0, 25)
    for ceiling, living in {9: [], 10: [0], 24: [0, 1], 25: [1], 30: [1, 2]}.items():
        assert sorted(store.search(vectors[0], 10, ceiling=ceiling)[0]) == living
        assert store.count_alive(ceiling) == len(living)
    assert sorted(store.search(vectors[0], 10)[0]) == [1, 2]


def test_equal_scores_come_oldest_first() -> None:
    store = RowStore(DIMENSION, COSINE)
    store.append(np.ones((50, DIMENSION), np.float32), 1)
    assert store.search(np.ones(DIMENSION, np.float32), 5)[0] == [0, 1, 2, 3, 4]


def test_only_given_rows_are_compared_whether_few_or_many() -> None:
    vectors = clustered(8000, seed=1)
    store = RowStore(DIMENSION, COSINE)
    store.append(vectors, 1)
    build_all(store)
    query = clustered(1, seed=5)[0]
    exact = np.argsort(-_cosine(vectors.astype(np.float64), query.astype(np.float64)), kind="stable")
    few = np.arange(0, 8000, 100)
    assert store.search(query, 5, rows=few)[0] == [r for r in exact.tolist() if r % 100 == 0][:5]
    half = np.arange(0, 8000, 2)
    found = store.search(query, 10, rows=half)[0]
    assert all(row % 2 == 0 for row in found)
    assert len(set(found) & set([r for r in exact.tolist() if r % 2 == 0][:10])) >= 8
    assert store.search(query, 5, rows=np.empty(0, np.int64)) == ([], [])


@pytest.mark.parametrize("metric", [COSINE, DOT, L2])
def test_extreme_but_finite_components_neither_warn_nor_break(metric: int) -> None:
    store = RowStore(2, metric)
    extremes = np.array([[3e38, 3e38], [1e-45, 0], [0, 0], [-3e38, 3e38]], np.float32)
    store.append(extremes, 1)
    found, scores = store.search(np.array([3e38, 3e38], np.float32), 4)
    assert sorted(found) == [0, 1, 2, 3]
    assert not np.isnan(scores).any()
    if metric == COSINE:
        assert scores[0] == pytest.approx(1)


def test_more_wanted_than_there_are() -> None:
    store = RowStore(DIMENSION, COSINE)
    assert store.search(clustered(1, seed=1)[0], 10) == ([], [])
    store.append(clustered(3, seed=1), 1)
    assert len(store.search(clustered(1, seed=1)[0], 1000)[0]) == 3


def test_columns_reserved_for_many_rows_say_what_they_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "RESERVED_FROM_ROWS", 64)
    monkeypatch.setattr(rows, "RESERVED_ROWS", 512)
    vectors = clustered(2000, seed=1)
    store = RowStore(DIMENSION, COSINE)
    for row, vector in enumerate(vectors):
        store.append_one(vector, row + 1)
        if row % 3 == 0:
            store.kill(row, 5000 + row)
    assert [store.born(row) for row in range(2000)] == list(range(1, 2001))
    killed = {row: 5000 + row for row in range(0, 2000, 3)}
    assert [store.died(row) for row in range(2000)] == [killed.get(row, rows.ALIVE) for row in range(2000)]
    assert store.alive_rows(None).tolist() == [row for row in range(2000) if row % 3]

"""Percentiles, spreads, targets; the books of the demo; vectors in clusters."""

import asyncio

import numpy as np
import pytest

from memraft import Unavailable
from memraft_server.cli.bench.clustered import clustered, exact_neighbours, recall
from memraft_server.cli.bench.result import at_least, at_most, figure, render, report
from memraft_server.cli.demo.ledger import Acknowledged, Ledger
from memraft_server.cli.figures import latencies, machine, resident_bytes, spread


def test_latencies_are_percentiles_in_microseconds() -> None:
    found = latencies([number / 1e6 for number in range(1, 102)])
    assert (found.count, found.p50_us, found.p99_us, found.max_us) == (101, 51.0, 100.0, 101.0)
    assert latencies([]).count == 0


def test_of_several_rounds_the_median_counts() -> None:
    assert spread([3.0, 1.0, 2.0]).median == 2.0
    assert (spread([3.0, 1.0, 2.0]).least, spread([3.0, 1.0, 2.0]).greatest) == (1.0, 3.0)


def test_a_figure_says_whether_its_target_is_reached() -> None:
    assert figure("get", "us", [2.0, 2.5, 4.0], at_most(3)).reached is True
    assert figure("put", "per_s", [2_000], at_least(3_000)).reached is False
    assert figure("put", "per_s", [2_000]).reached is None


def test_a_report_shows_figures_targets_and_the_machine() -> None:
    text = render(
        report(
            "kv",
            quick=True,
            figures=[
                figure("get", "us", [2.0, 2.5, 4.0], at_most(3), {"p99": 9.0}),
                figure("put", "per_s", [2_000], at_least(3_000)),
            ],
        )
    )
    assert "get     2.50 µs  2.00 µs to 4.00 µs  at most 3.00 µs   reached  p99 9.00 µs" in text
    assert "put     2,000/s" in text
    assert "MISSED" in text
    assert "too short" in text


def test_the_machine_and_the_process_are_known() -> None:
    assert machine().cores >= 1
    assert machine().memory_bytes > 1 << 20
    assert resident_bytes() > 1 << 20


def test_vectors_in_clusters_are_the_same_for_the_same_seed() -> None:
    one, other = clustered(500, 5, 16, seed=3), clustered(500, 5, 16, seed=3)
    assert np.array_equal(one.vectors, other.vectors)
    assert np.allclose(np.linalg.norm(one.vectors, axis=1), 1, atol=1e-5)
    assert one.vectors.shape == (500, 16)
    assert one.queries.shape == (5, 16)


def test_recall_is_the_share_of_the_exact_neighbours() -> None:
    data = clustered(300, 4, 8, seed=1)
    exact = exact_neighbours(data.vectors, data.queries, 10)
    by_sorting = np.argsort(-(data.queries @ data.vectors.T), axis=1)[:, :10]
    assert {*exact[0].tolist()} == {*by_sorting[0].tolist()}
    assert recall([row.tolist() for row in by_sorting], exact) == 1.0
    assert recall([row.tolist()[:5] for row in by_sorting], exact) == 0.5


def test_the_books_know_the_longest_pause_of_the_namespaces_asked_for() -> None:
    ledger = Ledger()
    moments = iter([1.0, 2.0, 5.5, 6.0, 3.0])
    ledger.now_s = lambda: next(moments)  # type: ignore[method-assign]
    for _ in range(4):
        ledger.acknowledge(Acknowledged("document", "acme/a", "key", 1, 1))
    ledger.acknowledge(Acknowledged("document", "acme/b", "key", 1, 1))
    assert ledger.longest_pause_s({"acme/a"}, 1.5, 7.0) == 3.5
    assert ledger.longest_pause_s({"acme/a", "acme/b"}, 1.5, 7.0) == 2.5
    assert ledger.longest_pause_s({"acme/none"}, 0.0, 4.0) == 4.0


def test_what_failed_is_booked_as_such_and_not_as_a_latency() -> None:
    ledger = Ledger()

    async def fails() -> None:
        raise Unavailable("no leader")

    with pytest.raises(Unavailable):
        asyncio.run(ledger.timed("put", fails()))
    assert ledger.failures == {"put: Unavailable": 1}
    assert ledger.latencies() == {}

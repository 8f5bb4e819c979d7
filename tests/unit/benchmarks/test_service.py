"""The pure parts of `make bench`: what is drawn, what is summed up, what is refused, what is printed."""

import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.service import lines, plots, report, targets, ycsb
from benchmarks.service.bounds import CPU_AN_EVENT, bound
from benchmarks.service.driver import Options
from benchmarks.service.figures import Figure, Outcome, Refused, Round, sum_up
from benchmarks.service.lines import Group, Line
from memraft_server.cli.bench.result import Report, at_most, figure
from memraft_server.cli.bench.result import report as bench_report
from memraft_server.cli.figures import machine

PUT = Line("memraft", "put", 64)


def played(operations: int = 1_000, **changes: Any) -> Round:
    """A round of a second."""
    usual = Round(
        operations=operations,
        took_s=1.0,
        p50_us=500.0,
        p99_us=900.0,
        client_cpu_s=0.5,
        node_cpu_s={"n1": 0.2, "n2": 0.1},
        node_written_bytes={"n1": 4_096_000, "n2": 0},
    )
    return msgspec.structs.replace(usual, **changes)


def figure_of(line: Line, rate: int, **changes: Any) -> Figure:
    found = sum_up(line, [played(rate, **changes)])
    assert isinstance(found, Figure)
    return found


# -- what is drawn ---------------------------------------------------------------------------------------


def test_ranks_are_zipfian() -> None:
    items, draws = 1_000, 200_000
    drawn = np.bincount(ycsb.zipfian_ranks(items, draws, np.random.default_rng(7)), minlength=items)
    weights = 1.0 / np.arange(1, items + 1) ** ycsb.ZIPFIAN
    expected = draws * weights / weights.sum()
    assert len(drawn) == items
    # Chi-squared with 999 degrees of freedom: mean 999, standard deviation 45; held against another exponent,
    # such as 0.9, it is beyond 3,000.
    assert ((drawn - expected) ** 2 / expected).sum() < 1_300
    other = 1.0 / np.arange(1, items + 1) ** 0.9
    wrong = draws * other / other.sum()
    assert ((drawn - wrong) ** 2 / wrong).sum() > 3_000


def draw(letter: str, count: int, operations: int) -> tuple[list[ycsb.Operation], ycsb.Population]:
    population = ycsb.Population(count)
    draws = ycsb.Draws(ycsb.MIXES[letter], population, 1 << 14, seed=3)
    return list(islice(draws, operations)), population


@pytest.mark.parametrize("letter", ycsb.MIXES)
def test_operations_have_the_shares_of_their_workload(letter: str) -> None:
    operations, _ = draw(letter, 1_000, 1 << 14)
    counted = Counter(each.what for each in operations)
    shares = ycsb.MIXES[letter].shares
    assert counted.keys() == shares.keys()
    for what, share in shares.items():
        assert counted[what] / len(operations) == pytest.approx(share, abs=0.02)
    assert all(1 <= each.length <= ycsb.SCAN_RECORDS_MAX for each in operations)


def test_the_same_records_are_popular_whatever_is_drawn() -> None:
    most = []
    for seed in (1, 2):
        draws = ycsb.Draws(ycsb.MIXES["c"], ycsb.Population(1_000), 1 << 14, seed)
        most.append(Counter(each.number for each in islice(draws, 1 << 14)).most_common(1)[0][0])
    assert most[0] == most[1]


def test_the_latest_records_are_read_most_and_only_those_that_are_there() -> None:
    population = ycsb.Population(100)
    draws = iter(ycsb.Draws(ycsb.MIXES["d"], population, 1 << 14, seed=3))
    late = 0
    for operation in islice(draws, 1 << 14):
        if operation.what == "insert":
            population.inserted(operation.number)
        else:
            assert 0 <= operation.number < population.count
            late += operation.number >= population.count - 10
    assert population.count > 800
    assert late / (1 << 14) > 0.4


def test_a_record_is_chosen_once_all_before_it_are_there() -> None:
    population = ycsb.Population(10)
    first, second, third = (population.begin() for _ in range(3))
    assert (first, second, third) == (10, 11, 12)
    population.inserted(second)
    assert population.count == 10
    population.inserted(first)
    assert population.count == 12


def test_records_are_as_large_as_ycsb_has_them() -> None:
    first, second = ycsb.records(2, seed=1)
    assert len(first) == ycsb.FIELDS and {len(each) for each in first.values()} == {ycsb.FIELD_BYTES}
    assert first != second and first == ycsb.records(2, seed=1)[0]
    assert ycsb.KEY_PREFIX < ycsb.key_of(0) < ycsb.key_of(10**12 - 1) < ycsb.KEY_END


# -- what is summed up, and what is refused --------------------------------------------------------------


def test_figures_are_medians_over_rounds_an_operation() -> None:
    found = sum_up(PUT, [played(1_000), played(4_000), played(2_000, took_s=2.0, client_cpu_s=1.9)])
    assert isinstance(found, Figure)
    assert (found.rate.median, found.rate.least, found.rate.greatest) == (1_000.0, 1_000.0, 4_000.0)
    assert found.cpu_us["n1"].median == 100.0
    assert found.written_bytes["n1"].median == 2_048.0
    assert found.busy.greatest == 0.95


@pytest.mark.parametrize(
    ("rounds", "reason"),
    [
        ([], "not measured"),
        ([played(), played(errors=2, first_error="Unavailable: gone")], "2 calls failed.*Unavailable: gone"),
        ([played(), played(0)], "a round was over before an operation was"),
    ],
)
def test_a_figure_with_an_error_is_refused(rounds: list[Round], reason: str) -> None:
    found = sum_up(PUT, rounds)
    assert isinstance(found, Refused)
    assert re.search(reason, found.reason)


# -- what is to be reached -------------------------------------------------------------------------------


def goals_of(outcomes: dict[Line, Outcome], reports: dict[str, Report | str]) -> dict[str, targets.Goal]:
    return {each.title: each for each in targets.goals(outcomes, reports, engine="")}


def test_goals_are_ratios_to_peers_of_the_same_run() -> None:
    mine, theirs = Line("memraft x3", "put", 256), Line("etcd x3", "put", 256)
    outcomes: dict[Line, Outcome] = {
        mine: figure_of(mine, 60_000, p99_us=4_000.0),
        theirs: figure_of(theirs, 5_000, p99_us=2_000.0),
    }
    found = goals_of(outcomes, {"kv": bench_report("kv", False, [figure("embedded get, p50", "us", [1.5])])})
    rate = found["three nodes, durable writes, 256 callers: rate, to etcd's through grpcio"]
    assert (rate.measured, rate.wanted, rate.is_reached) == (12.0, 10, True)
    p99 = found["three nodes, durable writes, 256 callers: p99, to etcd's through grpcio"]
    assert (p99.measured, p99.is_reached) == (2.0, False)
    lean = found["three nodes, durable writes, 256 callers: rate, to etcd's at its own limit"]
    assert lean.is_reached is None and "not measured" in lean.reason
    assert found["embedded get: p50"].is_reached is True


def test_no_goal_is_judged_by_a_refused_figure() -> None:
    mine, theirs = Line("memraft", "put", 64), Line("redis always", "put", 64)
    outcomes: dict[Line, Outcome] = {
        mine: figure_of(mine, 60_000),
        theirs: Refused(theirs, "redis-server is not installed"),
    }
    found = goals_of(outcomes, {})["one node, synced writes, 64 callers: rate, to Redis (always)"]
    assert found.is_reached is None
    assert "redis-server is not installed" in found.reason


def test_every_line_that_a_goal_needs_is_measured() -> None:
    """With a figure for every line of every group and both reports, nothing is left to say but the ratio."""
    groups = [
        *lines.groups_of(lines.ONE_NODE),
        *lines.groups_of(lines.THREE_NODES),
        *lines.vector_groups(),
    ]
    outcomes: dict[Line, Outcome] = {
        line: figure_of(line, 1_000, p50_us=100.0 if line.work == "empty" else 500.0)
        for group in groups
        for line in group.lines
    }
    ingest = "events ingested, 5,000 a call, in a directory, relaxed"
    reports: dict[str, Report | str] = {
        "kv": bench_report("kv", False, [figure("embedded get, p50", "us", [1.5])]),
        "stream": bench_report("stream", False, [figure(ingest, "per_s", [1e6])]),
    }
    for engine in ("", "grpcio", "lean"):
        assert all(each.measured is not None for each in targets.goals(outcomes, reports, engine))


def test_a_quick_run_has_less_of_ycsb_but_every_kind_of_work_and_every_goal() -> None:
    options = Options(1, 0.1, 1_000, 1_000, 1, "", True, ())
    every = [group for systems in (lines.ONE_NODE, lines.THREE_NODES) for group in lines.groups_of(systems)]
    quick = [group for group in every if options.wants(group.name)]
    assert {line.work for group in quick for line in group.lines} == {
        line.work for group in every for line in group.lines
    }
    left_out = {group.name for group in every} - {group.name for group in quick}
    assert left_out == {f"ycsb-{letter}-{callers}" for letter in "abcdef" for callers in (1, 256)}
    named = msgspec.structs.replace(options, only=("ycsb-a-256",))
    assert named.wants("ycsb-a-256") and not named.wants("ycsb-a-64")


def test_a_search_that_is_faster_than_an_empty_call_is_not_judged() -> None:
    times = {"empty": 900.0, "search": 500.0}
    outcomes: dict[Line, Outcome] = {
        line: figure_of(line, 1_000, p50_us=times[line.work])
        for group in lines.vector_groups()
        for line in group.lines
    }
    found = goals_of(outcomes, {})["vector search over gRPC, beyond the empty RPC: to the index's own time"]
    assert found.is_reached is None and "no longer than an empty RPC" in found.reason


def test_names_of_groups_are_told_apart_in_one_stage() -> None:
    for systems in (lines.ONE_NODE, lines.THREE_NODES):
        names = [each.name for each in lines.groups_of(systems)]
        assert len(names) == len(set(names))


# -- what bounds a goal that was missed ------------------------------------------------------------------


def missed(outcomes: dict[Line, Outcome], title: str, limits: dict[str, float], cores: int = 2) -> str:
    goal = goals_of(outcomes, {})[title]
    figures = {line: each for line, each in outcomes.items() if isinstance(each, Figure)}
    assert goal.is_reached is False
    return bound(goal, figures, limits, {}, cores)


def test_a_missed_rate_says_what_processors_could_carry_and_what_the_goal_would_leave() -> None:
    mine, theirs = Line("memraft x3", "put", 256), Line("etcd x3", "put", 256)
    outcomes: dict[Line, Outcome] = {
        # 10 µs of the client, 20 and 10 of the nodes.
        mine: figure_of(mine, 10_000, client_cpu_s=0.1, node_cpu_s={"n1": 0.2, "n2": 0.1}),
        theirs: figure_of(theirs, 5_000),
    }
    text = missed(outcomes, "three nodes, durable writes, 256 callers: rate, to etcd's through grpcio", {})
    assert "10 µs of the client's processor and 20 + 10 of the nodes', 40 µs in all" in text
    assert "at most 50,000 such operations a second, 10 times the peer's rate" in text
    assert "the client, one thread, at most 100,000, 20 times" in text
    assert "50,000 a second, would leave 40 µs of processor for all of an operation, and 20 for" in text


def test_a_missed_lone_write_says_the_shortest_way_there_is() -> None:
    mine, theirs = Line("memraft x3", "put", 1), Line("etcd x3 lean", "put", 1)
    outcomes: dict[Line, Outcome] = {
        mine: figure_of(mine, 1_000, p50_us=1_400.0),
        theirs: figure_of(theirs, 1_000, p50_us=1_100.0),
    }
    title = "three nodes, one caller's write: p50, to etcd's through the same kind of client"
    assert "a sync: 350 µs by the limits" in missed(outcomes, title, {"tls": 100.0, "sync": 150.0})
    assert "limits" not in missed(outcomes, title, {})


def test_a_missed_search_says_what_is_neither_call_nor_index() -> None:
    times = {"empty": 200.0, "search": 500.0}
    outcomes: dict[Line, Outcome] = {
        line: figure_of(line, 1_000, p50_us=100.0 if line.system == "index" else times[line.work])
        for group in lines.vector_groups()
        for line in group.lines
    }
    text = missed(outcomes, "vector search over gRPC, beyond the empty RPC: to the index's own time", {})
    assert "a search takes 200 µs" in text


def test_missed_ingest_says_what_hashes_alone_would_allow() -> None:
    ingest = "events ingested, 5,000 a call, in a directory, relaxed"
    reports: dict[str, Report | str] = {
        "stream": bench_report("stream", False, [figure(ingest, "per_s", [4e5], None, {CPU_AN_EVENT: 2.5})])
    }
    goal = goals_of({}, reports)["embedded, relaxed, events in batches"]
    text = bound(goal, {}, {"hashes": 500.0}, reports, 2)
    assert "2.50 µs of processor. 0.50 of them" in text and "2,000,000 events a second" in text


# -- what is printed -------------------------------------------------------------------------------------


def result() -> report.Result:
    redis = Line("redis always", "put", 64)
    group = Group("put-64", "one node: put of 100 bytes, 64 callers", (PUT, redis))
    outcomes: dict[Line, Outcome] = {
        PUT: figure_of(PUT, 20_000, client_cpu_s=0.97, tries=5_000),
        redis: Refused(redis, "3 calls failed, the first with ConnectionError: gone"),
    }
    embedded: dict[str, Report | str] = {
        "kv": bench_report("kv", False, [figure("embedded get, p50", "us", [2.0, 2.5, 4.0], at_most(2))]),
        "graph": "exit status 1: no room",
    }
    return report.Result(
        made_at="2026-01-01 00:00 UTC",
        machine=machine(),
        options=Options(5, 0.8, 1_000, 1_000, 1, "", False, ()),
        versions={"memraft": "abc"},
        goals=targets.goals(outcomes, embedded, ""),
        limits={"sync": [100.0, 300.0, 200.0]},
        groups=[report.group_result(group, outcomes)],
        memory={"memraft": {"n1": 2_500.0}},
        recall={"memraft": 0.9984},
        absent={"etcd x3": "etcd is not installed"},
        embedded=embedded,
    )


def test_the_report_shows_figures_with_their_spread_and_says_what_it_refused() -> None:
    text = report.render(result(), ["plots/put.svg"])
    table = text.split("## Figures")[1]
    assert "| Memraft, one node, mutual TLS (tried 1.25 times) | 20,000 | 500 | 900 | 48.5 |" in table
    assert "**97%**" in table
    assert (
        "| Redis, appendfsync always | no figure: 3 calls failed, the first with ConnectionError: gone |"
        in table
    )
    assert "200 (100–300)" in text
    assert "Without etcd, three nodes, grpcio: etcd is not installed." in text
    assert "no figures: exit status 1: no room" in text
    assert "| embedded get: p50 | at most 2 µs | 2.5 µs | memraft bench kv | **missed** |" in text
    assert "![plots/put.svg](plots/put.svg)" in text
    assert "### embedded get: p50" in text.split("## What bounds what was missed")[1].split("## Figures")[0]
    assert text == report.render(result(), ["plots/put.svg"])


def test_the_report_shows_the_profile_of_what_was_missed_or_why_there_is_none() -> None:
    title = "embedded get: p50"
    text = report.render(result(), (), {title: [("client", "profiles/get-client.svg")]})
    assert "Profile: [client](profiles/get-client.svg)." in text
    assert "No profile: py-spy is not installed." in report.render(
        result(), (), {title: "py-spy is not installed"}
    )


def test_every_row_of_a_table_has_the_columns_of_its_head() -> None:
    widths: list[int] = []
    for row in report.render(result()).splitlines():
        if not row.startswith("|"):
            widths.clear()
            continue
        widths.append(row.count("|"))
        assert len(set(widths)) == 1, row


def test_plots_are_the_same_bytes_for_the_same_figures(tmp_path: Path) -> None:
    names = plots.draw(result(), tmp_path / "first")
    assert names == ["plots/to-reach.svg", "plots/put-one-node.svg"]
    assert plots.draw(result(), tmp_path / "second") == names
    for name, text in zip(names, (b"embedded get: p50", b"Memraft, one node, mutual TLS"), strict=True):
        first, second = ((tmp_path / each / name).read_bytes() for each in ("first", "second"))
        assert first == second
        assert text in first

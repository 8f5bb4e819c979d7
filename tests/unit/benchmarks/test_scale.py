"""The pure parts of `make bench-scale`: slopes, verdicts, what `ss` prints, the fit, tables, the model."""

from typing import Any

import msgspec
import pytest

from benchmarks.scale import model, points, report, slopes, wire
from benchmarks.scale.client import STRIDE, value_of
from benchmarks.scale.points import Load, Place
from benchmarks.scale.results import (
    CLIENTS,
    PEERS,
    Idle,
    Measured,
    Options,
    Result,
    Seen,
    Size,
    by_role,
    curves,
    lacking,
    summed_up,
)
from benchmarks.service.figures import Round
from memraft_cluster.meta import NODES_MAX
from memraft_server.cli.figures import Spread, machine, spread

OPTIONS = Options(1, 1, 1.0, 1.0, "lean", False, (), 16, 5, 1_000_000, 1_000_000)
PUT = Load("put", "", 256, 100, 32, 64)


def played(**node_cpu_s: float) -> Round:
    """A round of a second, 10,000 operations."""
    nodes = node_cpu_s or {"n1": 0.5}
    return Round(10_000, 1.0, 500.0, 900.0, 0.4, nodes, dict.fromkeys(nodes, 4_096))


def measured(axis: str, at: int, load: Load, leader_us: float, **changes: Any) -> Measured:
    """Of three nodes that take 3 % of a core at rest; followers take half of what the leader takes."""
    at_rest_us = 1.0  # 0.01 of a core each, at 10,000 a second
    nodes = {"n1": leader_us + at_rest_us, "n2": leader_us / 2 + at_rest_us, "n3": leader_us / 2 + at_rest_us}
    seen = Seen([played(**{name: cost * 0.01 for name, cost in nodes.items()})])
    seen.wire_bytes = [
        {CLIENTS: 10_000 * (60 + load.value_bytes), PEERS: 10_000 * (80 + 2 * load.value_bytes)}
    ]
    place = Place(axis, at, changes.get("nodes", 3), changes.get("shards", 1), (load,))
    return summed_up(place, load, seen, 0.03)


def idle(axis: str, at: int, nodes: int, shards: int, cpu: float) -> Idle:
    """A cluster at rest."""
    return Idle(axis, at, nodes, shards, Spread(cpu, cpu, cpu), Spread(cpu, cpu, cpu), None)


def result_of(**changes: Any) -> Result:
    """What a run would find if each cost were as simple as the model."""
    get = msgspec.structs.replace(PUT, work="get", level="linearizable")
    rows = [measured("shards", at, load, 20.0, shards=at) for at in points.SHARDS for load in (PUT, get)]
    for size in points.VALUE_BYTES:
        for load in (PUT, get):
            rows.append(
                measured("value", size, msgspec.structs.replace(load, value_bytes=size), 30 + size / 1_000)
            )
    # 0.5 % a node, 0.1 % a group on it, 0.2 % for each other node.
    at_rest = [idle("shards", at, 3, at, 3 * (0.009 + 0.001 * at)) for at in points.SHARDS]
    at_rest += [idle("nodes", 3, 3, 6, 3 * 0.015), idle("nodes", 5, 5, 10, 5 * 0.019)]
    sizes = []
    for count in points.RECORDS:
        took = spread([1 + count * 1e-5])
        sizes.append(Size(count, 300.0 * count, 200 * count, 9.0, took, took, took, took, 100 * count))
    usual = Result(
        "2026-11-21 23:00 UTC", machine(), "v1", OPTIONS, rows, at_rest, sizes, {1: 0.02, 16: 0.065}, {}
    )
    return msgspec.structs.replace(usual, **changes)


# -- slopes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_a_slope_is_the_power(power: float) -> None:
    assert slopes.slope((1, 10, 100), [7.0 * x**power for x in (1, 10, 100)]) == pytest.approx(power)


def test_what_grows_faster_than_it_should_is_found_behind_a_fixed_part() -> None:
    # Quadratic, but for the small ones hidden behind what is always there.
    hidden = {at: 5.0 + (at / 2e5) ** 2 for at in points.RECORDS}
    verdict = slopes.judge("records", "put: CPU of nodes", hidden)
    assert verdict is not None and verdict.is_too_steep
    assert verdict.upper > verdict.overall > 0
    linear = slopes.judge("records", "memory", {at: 300.0 * at for at in points.RECORDS})
    assert linear is not None and linear.overall == pytest.approx(1.0) and not linear.is_too_steep


def test_scatter_of_a_short_axis_is_no_verdict() -> None:
    scattered = slopes.judge("nodes", "put: CPU of nodes", {1: 10.0, 3: 60.0, 5: 72.0})
    assert scattered is not None and not scattered.is_too_steep  # from three on, where all is replicated
    steep = slopes.judge("nodes", "put: CPU of nodes", {1: 10.0, 3: 60.0, 5: 100.0})
    assert steep is not None and steep.is_too_steep
    assert slopes.judge("nodes", "put: CPU of nodes", {1: 10.0, 3: 60.0}) is None


def test_every_curve_has_a_slope_that_it_should_have_and_the_steepest_is_first() -> None:
    verdicts = slopes.judged(curves(result_of()))
    assert {each.axis for each in verdicts} == {"shards", "nodes", "value", "records"}
    assert not any(each.is_too_steep for each in verdicts)
    shards = [msgspec.structs.replace(each) for each in result_of().idle if each.axis == "shards"]
    steep = [msgspec.structs.replace(each, cpu=spread([each.at**2.0])) for each in shards]
    first = slopes.judged(curves(result_of(idle=steep)))[0]
    assert (first.axis, first.name, first.is_too_steep) == ("shards", "idle: CPU of nodes", True)
    assert report.verdict_lines([first])[-1] == ("grows faster than it should: shards: idle: CPU of nodes")


# -- what is measured --------------------------------------------------------------------------------------


def test_nodes_are_told_apart_by_their_cpu_and_rest_is_taken_off() -> None:
    swapped = by_role(played(n1=0.1, n2=0.7, n3=0.2))
    assert swapped.node_cpu_s == {"busiest": 0.7, "second": 0.2, "third": 0.1}
    row = measured("shards", 1, PUT, 20.0)
    assert row.figure is not None and row.figure.cpu_us["busiest"].median == pytest.approx(0.21e6 / 10_000)
    assert row.cpu_us("busiest") == pytest.approx(20.0)
    assert row.nodes_cpu_us == pytest.approx(40.0)
    assert row.wire_bytes[PEERS].median == pytest.approx(280)


def test_a_round_with_errors_has_no_figure_but_a_reason() -> None:
    place = Place("shards", 1, 1, 1, (PUT,))
    failed = msgspec.structs.replace(played(), errors=2, first_error="OverloadedError: full")
    refused = summed_up(place, PUT, Seen([played(), failed]), 0.0)
    warming = summed_up(place, PUT, Seen([played()], refused="warming up failed"), 0.0)
    assert refused.figure is None and "2 calls failed, the first with OverloadedError" in refused.reason
    assert warming.figure is None and warming.reason == "warming up failed"
    (row,) = report.measured_rows([refused])
    assert len(row) == len(report.HEADERS) and row[2].startswith("no figure: 2 calls failed")


def test_what_has_no_figure_is_told_with_the_reason() -> None:
    assert lacking(result_of()) == []
    place = Place("value", 1_000, 3, 1, (PUT,))
    refused = summed_up(place, PUT, Seen([played()], refused="warming up failed"), 0.0)
    found = lacking(result_of(measured=[refused], absent={"nodes": "not ready"}))
    assert found == ["nodes: not ready", "value 1,000, put: warming up failed"]


def test_nodes_that_are_compared_have_as_many_replicas_and_leaders_as_many_callers() -> None:
    places = list(points.node_places())
    assert [place.shards * min(place.nodes, 3) / place.nodes for place in places] == [6, 6, 6]
    assert {load.callers / place.shards for place in places for load in place.loads} == {32}


def test_values_have_their_size_and_strides_reach_every_key() -> None:
    for size in points.VALUE_BYTES:
        assert len(msgspec.json.encode(value_of(size))) == size
    places = [*points.shard_places(), *points.node_places(), *points.value_places(), *points.record_places()]
    for keys in {load.keys for place in places for load in place.loads}:
        assert len({number * STRIDE % keys for number in range(keys)}) == keys
    assert all(load.callers * load.value_bytes <= 16_000_000 for place in places for load in place.loads)


def test_bytes_are_counted_at_the_ends_that_accept() -> None:
    printed = (
        "0      0      127.0.0.1:7001    127.0.0.1:44080\n"
        "\t bbr rto:208 bytes_sent:600 bytes_retrans:9 bytes_acked:600 bytes_received:40 segs_out:11\n"
        "0      0      127.0.0.1:44080   127.0.0.1:7001\n"
        "\t bbr rto:208 bytes_sent:40 bytes_acked:40 bytes_received:600 segs_out:11\n"
        "0      219    [::ffff:127.0.0.1]:7002  [::ffff:127.0.0.1]:35801\n"
        "\t bbr bytes_received:5\n"
    )
    assert wire.parse(printed, {CLIENTS: [7001], PEERS: [7002]}) == {CLIENTS: 640, PEERS: 5}


# -- the model ---------------------------------------------------------------------------------------------


def test_the_fit_finds_the_constants_that_made_the_figures() -> None:
    found = model.fit(result_of())
    assert isinstance(found, model.Constants)
    assert found.put_leader.each_byte == pytest.approx(1e-3, rel=0.01)
    assert found.put_leader.of(100) == pytest.approx(20.0) and found.put_follower.of(100) == pytest.approx(
        10.0
    )
    assert found.peers_bytes.of(100) == pytest.approx(280, rel=0.01)
    assert found.idle_group == pytest.approx(0.001) and found.idle_link == pytest.approx(0.002)
    assert found.idle_base == pytest.approx(0.005)
    assert found.consensus_group == pytest.approx(0.001)
    assert (found.start_base_s, found.start_s) == pytest.approx((1.0, 1e-5), rel=0.01)
    assert found.thin == pytest.approx(1.0)


def test_a_line_has_no_part_below_zero() -> None:
    assert model.line((1, 2, 3), (5.0, 7.0, 9.0)) == pytest.approx((3.0, 2.0))
    assert model.line((1, 10), (9.0, 3.0))[1] == 0.0
    assert model.line((1, 10), (1.0, 30.0))[0] == 0.0


def test_nodes_carry_in_proportion_but_for_what_they_spend_at_rest() -> None:
    found = model.fit(result_of())
    assert isinstance(found, model.Constants)
    three, hundred = model.carried(found, 3, 100), model.carried(found, 100, 100)
    # 0.5 % + 13 groups + 2 other nodes: 2.2 %; 40 µs a write, of which each node has a third.
    assert three.idle == pytest.approx(0.005 + 0.013 + 0.004)
    assert three.writes_s == pytest.approx(3 * (0.7 - three.idle) / 40e-6)
    assert hundred.idle_record_leader == pytest.approx(0.005 + 0.013 + 0.198)
    assert three.writes_s * 100 / 3 > hundred.writes_s > three.writes_s * 25
    text = model.render(found)
    assert f"| {NODES_MAX} nodes |" in text and "| 100 (not admitted) |" in text


def test_what_costs_too_little_to_be_measured_sets_no_limit() -> None:
    at_rest = [idle("shards", at, 3, at, 3 * (0.009 + 0.001 * at)) for at in points.SHARDS]
    at_rest += [idle("nodes", 3, 3, 6, 3 * 0.015), idle("nodes", 5, 5, 10, 5 * 0.014)]
    found = model.fit(result_of(idle=at_rest))
    assert isinstance(found, model.Constants) and found.idle_link == 0
    limits = dict(model.breaks(found))
    (links,) = [at for what, at in limits.items() if "leader of the record" in what]
    assert links == "too little to be told for any number of nodes"


def test_what_is_missing_for_the_model_is_named() -> None:
    found = model.fit(result_of(sizes=[], idle=[]))
    assert found == "not measured: clusters at rest, stores of several sizes"


def test_the_page_gets_the_model_between_its_marks() -> None:
    page = f"# Page\n{model.BEGIN}\nold\n{model.END}\nafter\n"
    assert model.put_into(page, "new") == f"# Page\n{model.BEGIN}\nnew\n{model.END}\nafter\n"
    assert model.put_into(model.put_into(page, "new"), "new") == model.put_into(page, "new")
    with pytest.raises(ValueError, match="the page has no"):
        model.put_into("# Page", "new")


def test_a_run_is_read_again_as_it_was_written_and_reported() -> None:
    result = result_of(absent={"nodes": "not ready after 30 s"})
    again = msgspec.json.decode(msgspec.json.encode(result), type=Result, strict=False)
    assert again == result
    text = report.render(result, slopes.judged(curves(result)), ["scale-shards.svg"])
    for each in ("Without nodes: not ready after 30 s.", "## At rest", "## Memory, start-up and backup"):
        assert each in text
    assert "2.0% with 1 group; 6.5% with 16 groups" in text

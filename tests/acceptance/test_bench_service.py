"""`make bench` in small: real processes under load, and what comes of a system that is not there."""

import shutil
from pathlib import Path

import pytest

from benchmarks.service import limits, lines
from benchmarks.service.driver import Client, Found, Options, Stage
from benchmarks.service.figures import Figure, Refused, Round, sum_up
from benchmarks.service.lines import Group, Line
from benchmarks.service.products import Unavailable
from benchmarks.service.profiles import draw
from benchmarks.service.stores import Target

TINY = Options(rounds=2, seconds=0.2, records=200, vectors=200, shards=1, engine="", quick=True, only=())
SYSTEMS = ("memraft", "redis always")


def groups() -> list[Group]:
    wanted = (
        "put-1",
        "get-blocking",
        "put_batch-1",
        "get_batch-1",
        "ingest",
        "ycsb-d-64",
        "ycsb-e-1",
        "ycsb-f-64",
    )
    every = {each.name: each for each in lines.groups_of(SYSTEMS)}
    return [every[name] for name in wanted]


def test_every_kind_of_work_is_measured_on_a_node_of_our_own() -> None:
    found = Found()
    with Stage(TINY, found, SYSTEMS) as stage:
        stage.fill()
        stage.measure(groups())
    wanted = [line for group in groups() for line in group.lines if line.system == "memraft"]
    figures = {line: found.outcomes[line] for line in wanted}
    assert [each for each in figures.values() if not isinstance(each, Figure)] == []
    put = figures[Line("memraft", "put", 1)]
    assert isinstance(put, Figure)
    assert put.rounds == 2 and put.rate.least > 0 and put.p50_us.median <= put.p99_us.median
    # A write is synced: a page or more of its log goes to the disk.
    assert put.written_bytes["n1"].least >= 4_096
    assert put.cpu_us["n1"].least > 0 and put.cpu_us["client"].least > 0
    assert found.memory["memraft"]["n1"] > 0
    is_there = shutil.which("redis-server") is not None
    theirs = [each for line, each in found.outcomes.items() if line.system == "redis always"]
    assert {isinstance(each, Figure) for each in theirs} == {is_there}


def test_what_missed_its_goal_is_profiled_while_it_is_played_again(tmp_path: Path) -> None:
    found, line = Found(), Line("memraft", "put", 64)
    with Stage(TINY, found, ("memraft",)) as stage:
        stage.fill()
        stage.measure([Group("put-64", "puts", (line,))])
        try:
            raw = stage.profile(line, 2.0)
        except Unavailable as error:
            if "py-spy ended" in str(error):  # it says itself why, such as that only root may do so
                pytest.skip(f"py-spy cannot look at processes here: {error}")
            raise
    drawn = draw("puts", "put-64", raw, tmp_path)
    assert drawn == [
        ("client", "profiles/put-64-client.svg"),
        ("busiest node", "profiles/put-64-busiest-node.svg"),
    ]
    client, node = ((tmp_path / path).read_text() for _, path in drawn)
    assert "puts, client: " in client and "memraft/" in client
    assert "puts, busiest node: " in node and "memraft_server/" in node


def test_rows_of_a_system_that_is_not_installed_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = Found()
    names = ("redis always", "etcd x3", "etcd x3 lean")
    with Stage(TINY, found, names) as stage:
        stage.fill()
        stage.measure([Group("put", "put", tuple(Line(name, "put", 1) for name in names))])
    assert [type(each) for each in found.outcomes.values()] == [Refused] * 3
    assert "redis-server is not installed" in found.absent["redis always"]
    assert "etcd is not installed" in found.absent["etcd x3"]


def test_a_round_with_an_error_is_refused() -> None:
    line = Line("redis always", "get", 3)
    client = Client(Target("redis", "127.0.0.1:1"))  # where nobody listens
    try:
        played = client.ask("play", line, 0.2, {})
    finally:
        client.stop()
    assert isinstance(played, Round) and played.errors == 3
    outcome = sum_up(line, [played])
    assert isinstance(outcome, Refused) and "ConnectionError" in outcome.reason


def test_limits_of_the_machine_are_measured(tmp_path: Path) -> None:
    found = limits.measure(rounds=2, seconds=0.05, directory=tmp_path)
    assert found.keys() == limits.NAMES.keys()
    assert all(len(each) == 2 and min(each) > 0 for each in found.values())

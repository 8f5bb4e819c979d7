"""Faults of the wall clock: it jumps, forth and back. The clocks that count the time that passes do not."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.acceptance.campaign import needs
from tests.acceptance.campaign.cluster import Cluster
from tests.acceptance.campaign.faults import Stage, Steps, fault

HOUR_S, DAY_S = 3_600, 86_400
OFF_S_MAX = 60
NOTICED = "the wall clock was set"
"""What a node writes to its log when its wall clock has jumped."""


def preload_faketime(stage: Stage) -> None:
    """Starts every node with libfaketime, which adds what stands in a file to the wall clock."""
    for name in stage.names:
        offset = _offset_file(stage.cluster, name)
        offset.parent.mkdir(parents=True, exist_ok=True)
        set_clock(stage, name, 0)
        stage.cluster.environments[name] = {
            "LD_PRELOAD": str(needs.faketime_library()),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_CACHE_DURATION": "1",  # reading the file at every look at the clock stops the show
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            # Waits for conditions on the monotonic clock pass through: Python's own lock rests on them.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }


def _offset_file(cluster: Cluster, name: str) -> Path:
    return cluster.home(name) / "clock"


def set_clock(stage: Stage, name: str, offset_s: int) -> None:
    """The node's wall clock is so many seconds ahead from now on."""
    path = _offset_file(stage.cluster, name)
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{offset_s:+d}s\n", encoding="ascii")
    os.replace(fresh, path)  # never read half written


def expect_commit_time_near(stage: Stage, off_s_max: int) -> None:
    """Commit times stayed near the real clock, though nodes noticed that theirs was set: otherwise the run
    would prove nothing."""
    assert stage.load is not None
    newest_us = max(max(times.values(), default=0) for times in stage.load.commit_times.values())
    ahead_s = newest_us / 1_000_000 - time.time()
    stage.expect(abs(ahead_s) < off_s_max, f"commit time was carried away: it is {ahead_s:+.0f} s from ours")
    noticed = [name for name in stage.names if NOTICED in stage.cluster.log_text(name)]
    stage.expect(bool(noticed), f"no clock jumped: no node wrote {NOTICED!r}")


@fault("clock-forward", "the leader's wall clock jumps a day ahead, and back", needs=[needs.faketime],
       prepare=preload_faketime)  # fmt: skip
def clock_forward(stage: Stage) -> Steps:
    """Commit time does not go with it, or it would wait there until real time has come as far."""
    name = stage.leader()
    set_clock(stage, name, DAY_S)
    yield
    expect_commit_time_near(stage, OFF_S_MAX)
    set_clock(stage, name, 0)


@fault("clock-back", "the leader's wall clock jumps an hour back, and forth", needs=[needs.faketime],
       prepare=preload_faketime)  # fmt: skip
def clock_back(stage: Stage) -> Steps:
    """Commit time must not follow it, nor stand still."""
    name = stage.leader()
    set_clock(stage, name, -HOUR_S)
    yield
    expect_commit_time_near(stage, OFF_S_MAX)
    set_clock(stage, name, 0)


@fault("clock-scatter", "every wall clock jumps within a day, ten times, while leaders are killed",
       needs=[needs.faketime], prepare=preload_faketime, hold_s=0.5)  # fmt: skip
def clock_scatter(stage: Stage) -> Steps:
    """Leadership moves between clocks that disagree: a node takes the wall clock when it starts."""
    for step in range(10):
        for name in stage.names:
            set_clock(stage, name, stage.dice.randint(-DAY_S, DAY_S))
        time.sleep(0.3)
        if step % 5 == 4:
            name = stage.leader()
            stage.cluster.kill(name)
            stage.cluster.start_node(name)
            stage.cluster.wait_ready([name], 20.0)
    yield
    expect_commit_time_near(stage, DAY_S + OFF_S_MAX)
    for name in stage.names:
        set_clock(stage, name, 0)

"""The clock of commit times: in step with a wall clock that is kept well, and not carried away by a jump."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memraft_server.clock import SLEW_PPM_MAX, ClockWatch, SteadyClock, steady_time_us

SECOND_NS = 1_000_000_000
HOUR_S, DAY_S = 3_600, 86_400


class World:
    """Time that passes, and a wall clock that shows it, or something else."""

    def __init__(self) -> None:
        self.passed_ns = 12_345 * SECOND_NS
        self.wall_at_0_ns = 1_700_000_000 * SECOND_NS
        self.clock = SteadyClock(self.wall_ns, lambda: self.passed_ns)

    def wall_ns(self) -> int:
        return self.wall_at_0_ns + self.passed_ns

    def wait(self, seconds: float) -> None:
        self.passed_ns += int(seconds * SECOND_NS)

    def jump(self, seconds: float) -> None:
        self.wall_at_0_ns += int(seconds * SECOND_NS)


def test_it_begins_with_the_wall_clock_and_goes_on_with_the_time_that_passes() -> None:
    world = World()
    assert world.clock.now_us() == world.wall_ns() // 1000
    world.wait(7.5)
    assert world.clock.now_us() == world.wall_ns() // 1000
    assert abs(steady_time_us() - time.time_ns() // 1000) < DAY_S * 1_000_000


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S, 3_650 * DAY_S])
def test_a_jump_of_the_wall_clock_is_followed_by_no_more_than_the_slew(jump_s: int) -> None:
    world = World()
    before_us = world.clock.now_us()
    world.jump(jump_s)
    assert world.clock.now_us() == before_us
    assert world.clock.wall_ahead_us() == jump_s * 1_000_000
    for _ in range(HOUR_S):
        world.wait(1.0)
        world.clock.now_us()
    drawn_us = world.clock.now_us() - before_us - HOUR_S * 1_000_000
    assert drawn_us == (1 if jump_s > 0 else -1) * HOUR_S * SLEW_PPM_MAX
    world.jump(-jump_s)
    assert abs(world.clock.wall_ahead_us()) == HOUR_S * SLEW_PPM_MAX, "and back"


@pytest.mark.parametrize("pause_s", [2e-6, 0.001, 0.011, 0.7, 50.0])
def test_a_wall_clock_that_is_slewed_by_the_kernel_stays_in_step(pause_s: float) -> None:
    """However often it is looked at."""
    world = World()
    for _ in range(1_000):
        world.wait(pause_s)
        world.jump(pause_s * SLEW_PPM_MAX * 0.9 / 1_000_000)
        assert abs(world.clock.wall_ahead_us()) <= 6
    assert world.clock.now_us() == pytest.approx(world.wall_ns() // 1000, abs=6)


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(-(10**18), 10**18)), max_size=50))
def test_it_never_goes_back_whatever_the_wall_clock_does(steps: list[tuple[int, int]]) -> None:
    world = World()
    last_us = world.clock.now_us()
    for wait_ns, jump_ns in steps:
        world.passed_ns += wait_ns
        world.wall_at_0_ns += jump_ns
        now_us = world.clock.now_us()
        assert last_us <= now_us
        assert abs((now_us - last_us) * 1000 - wait_ns) <= wait_ns * SLEW_PPM_MAX // 1_000_000 + 6_000
        last_us = now_us


def test_the_log_tells_once_when_clocks_part(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    watch = ClockWatch(world.clock)

    def look(commit_ahead_s: float = 0.0) -> list[str]:
        caplog.clear()
        watch.look(world.clock.now_us() + int(commit_ahead_s * 1_000_000))
        return [record.getMessage() for record in caplog.records]

    world.jump(0.9)
    assert not look()
    world.jump(DAY_S)
    assert look() == ["the wall clock was set; commit times follow it slowly, a restart takes it over"]
    fields = vars(caplog.records[0])["fields"]
    assert fields["wall"] == "2023-11-16T01:39:05.900+00:00"
    assert fields["used"] == "2023-11-15T01:39:05.000+00:00"
    assert not look(), "once"
    world.jump(-DAY_S)
    assert not look()
    world.jump(-HOUR_S)
    assert len(look()) == 1, "and again when they part again"
    assert not look(0.9)
    assert "commit time lies ahead" in look(HOUR_S)[0]
    assert not look(HOUR_S - 1), "once"
    assert not look()
    assert len(look(10_000 * 365 * DAY_S)) == 1, "however far"

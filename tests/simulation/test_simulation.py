"""The real core in a simulated world, many seeds. A failure prints its seed; to see it again::

MEMRAFT_SIM_SEED=1234 .venv/bin/python -m pytest tests/simulation
MEMRAFT_SIM_SEEDS=5000 .venv/bin/python -m pytest tests/simulation      # a longer hunt
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation.world import World

SEEDS = 80


def seeds() -> list[int]:
    if "MEMRAFT_SIM_SEED" in os.environ:
        return [int(os.environ["MEMRAFT_SIM_SEED"])]
    return list(range(1, int(os.environ.get("MEMRAFT_SIM_SEEDS", SEEDS)) + 1))


def run(seed: int) -> World:
    world = World(seed)
    try:
        world.run()
    except Exception as error:
        error.add_note(f"at tick {world.now:.2f} of seed {seed}; replay with MEMRAFT_SIM_SEED={seed}")
        raise
    return world


@pytest.mark.parametrize("seed", seeds())
def test_raft_keeps_its_promises_whatever_goes_wrong(seed: int) -> None:
    run(seed)


def test_a_seed_repeats_a_run_exactly() -> None:
    first, second = run(7), run(7)
    assert first.counts == second.counts
    assert first.checker.committed == second.checker.committed
    assert first.now == second.now


def test_the_world_is_bad_enough() -> None:
    """A simulation in which nothing happens would prove nothing."""
    total: Counter[str] = Counter()
    for seed in range(1, 11):
        total += run(seed).counts
    for happening in (
        "elections", "truncations", "crashes", "power failures", "pauses", "leaders cut off", "rejections",
        "messages lost", "messages duplicated", "reads served", "reads dropped", "TIMEOUT_NOW",
        "acknowledged", "refused as overload", "bad messages refused",
    ):  # fmt: skip
        assert total[happening] > 0, f"no {happening} in {dict(total)}"

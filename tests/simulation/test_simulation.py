"""The real core and machine in a simulated world, many seeds. A failure prints its seed; to look at it::

MEMRAFT_SIM_SEED=1234 .venv/bin/python -m pytest tests/simulation
.venv/bin/python -m tests.simulation --seed 1234             # makes the schedule shorter
make simulate SECONDS=600 SEED=1                             # a longer hunt
"""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from collections import Counter
from functools import cache

import pytest

from memraft_cluster.raft import Entry, EntryKind, HardState, Membership
from tests.simulation.agenda import Agenda, SimLoop, stream
from tests.simulation.campaign import Failure, Outcome, run, run_seeds, shrink
from tests.simulation.schedule import Fault, Schedule
from tests.simulation.world import World

SEEDS = 200


def seeds() -> list[int]:
    if "MEMRAFT_SIM_SEED" in os.environ:
        return [int(os.environ["MEMRAFT_SIM_SEED"])]
    return list(range(1, int(os.environ.get("MEMRAFT_SIM_SEEDS", SEEDS)) + 1))


@cache
def outcomes() -> dict[int, Outcome]:
    """Of all seeds, run on all cores when the first one is asked for."""
    return {outcome.schedule.seed: outcome for outcome in run_seeds(seeds())}


@pytest.mark.parametrize("seed", seeds())
def test_the_cluster_keeps_its_promises_whatever_goes_wrong(seed: int) -> None:
    failure = outcomes()[seed].failure
    if failure is not None:
        pytest.fail(f"{failure}\nreplay and shrink with: python -m tests.simulation --seed {seed}")


def test_a_seed_repeats_a_run_exactly() -> None:
    first, second = World(7), World(7)
    first.run()
    second.run()
    assert first.counts == second.counts
    assert first.checker.committed == second.checker.committed
    assert first.agenda.now == second.agenda.now
    assert [client.history for client in first.clients] == [client.history for client in second.clients]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, None),
        (HardState(0, 0, 0), HardState(0, 0, 0, is_whole=False)),
        (HardState(4, 1, 0, is_whole=False), HardState(4, 1, 0, is_whole=False)),
        (HardState(4, 3, 15), HardState(4, 3, 0, is_whole=False)),
    ],
)
def test_a_log_that_is_given_up_makes_up_no_vote(before: HardState | None, after: HardState | None) -> None:
    """A disk that was replaced and is damaged before a vote is on it does not know that none was given: the
    one before it may have given any."""
    node = World(7).nodes[1]
    node.disk.hard_state, node.disk.is_damaged = before, True
    node.salvage()
    assert node.disk.hard_state == after and not node.disk.is_damaged


def test_who_is_a_member_does_not_change_while_those_who_know_are_down() -> None:
    """A replaced disk of a founder would be told to join, and have a log that names no member at all; and
    more disks might be lost than a majority of those who vote bears."""
    world = World(7)
    assert len(world.founders) > 1 and not any(node.is_up for node in world.nodes.values())
    assert all(world.is_member(founder) for founder in world.founders)
    assert not any(world.may_lose(founder) for founder in world.founders), "nobody is whole yet"
    changed = Membership.of(world.founders[1:], world.founders[:1])
    for node in world.founders:
        world.disks[node].log = [Entry(1, 1, changed.encode(), EntryKind.MEMBERSHIP)]
    assert all(world.nodes[node].membership == changed for node in world.founders)


def test_a_process_may_die_before_a_task_of_it_has_begun() -> None:
    steps: list[str] = []

    async def task() -> None:
        try:
            steps.append("begun")
            await asyncio.get_running_loop().create_future()
        finally:
            steps.append("ended")

    def live_and_die() -> None:
        agenda = Agenda()
        loop = SimLoop(agenda, lambda: None, lambda function: (0.0, function))
        loop.enter(lambda: loop.create_task(task()))
        agenda.run(1.0, lambda: False, 10)
        loop.enter(lambda: loop.create_task(task()))
        loop.die()

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        live_and_die()
        assert steps == ["begun"], "who dies ends nothing in good order"
        gc.collect()
    assert not [str(each.message) for each in warned]


def test_the_world_is_bad_enough() -> None:
    """A simulation in which nothing happens would prove nothing."""
    total: Counter[str] = Counter()
    for outcome in outcomes().values() if len(seeds()) >= SEEDS else run_seeds(list(range(1, 51))):
        total += outcome.counts
    for happening in (
        "elections", "truncations", "crashes", "power failures", "pauses", "leaders cut off", "rejections",
        "messages lost", "messages duplicated", "reads served", "TIMEOUT_NOW", "transfers to the mute",
        "acknowledged", "unknown", "messages_bad", "clock jumps", "expiries", "evictions", "receipts",
        "failed as OutcomeUnknown",
        "refused as NotLeader", "log_cuts", "snapshots_sent", "snapshots_received", "snapshots_failed",
        "SNAPSHOT_CHUNK", "RECOVER", "RECOVER_REPLY", "changes of membership", "salvages", "damage to log",
        "hurried changes", "late answers", "lost disks beside deposed leaders", "crashes while installing",
        "lost disks while founding", "rival changes",
        "votes before a restart", "votes lost unheard", "reads beside a minority", "answers without entries",
        "damage to state", "damage to both", "damage to disk", "refused as MembershipRefused",
    ):  # fmt: skip
        assert total[happening] > 0, f"no {happening} in {dict(total)}"


def test_a_failure_is_made_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a bug that two faults together bring out, these two are what is left of a schedule."""
    schedule = Schedule.of(12)
    needed = {fault.number for fault in schedule.faults[5:7]}

    def break_down(candidate: Schedule) -> Outcome:
        numbers = {fault.number for fault in candidate.faults}
        failure = None
        if needed <= numbers:
            failure = Failure(candidate, "Violation", "two leaders in term 9", candidate.rounds - 1, 50.0)
        return Outcome(candidate, Counter(), failure)

    monkeypatch.setattr("tests.simulation.campaign.run", break_down)
    found = break_down(schedule).failure
    assert found is not None
    shortest = shrink(found, 60, lambda line: None).schedule
    assert {fault.number for fault in shortest.faults} == needed
    assert f"--faults '{','.join(f'{fault.number}@{fault.round}' for fault in shortest.faults)}'" in str(
        shortest
    )


def test_what_is_left_of_a_schedule_happens_as_before() -> None:
    """A fault draws the same, whatever else is left out of its schedule."""
    schedule = Schedule.of(3)
    kept = schedule.faults[-1]
    shorter = schedule.with_faults((kept,), 0)
    assert shorter.faults == (kept,) and isinstance(kept, Fault)
    draws = [stream(each.seed, "fault", kept.number).random() for each in (schedule, shorter)]
    assert draws[0] == draws[1]
    assert run(shorter).failure is None

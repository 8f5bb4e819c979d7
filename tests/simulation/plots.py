"""Faults of several steps: the coincidences that known mistakes need, which chance alone seldom brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING

from memraft_cluster.raft import Membership

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.world import World

LOOK_TICKS = 0.5
PATIENCE_TICKS = 60.0


def leader_of(world: World) -> SimNode | None:
    """The leader of the latest term."""
    leaders = [node for node in world.nodes.values() if node.leads]
    return max(leaders, key=lambda node: node.core.term if node.core is not None else 0, default=None)


def between(some: Iterable[int], others: Iterable[int]) -> set[tuple[int, int]]:
    """All links between two sides, both ways."""
    others = list(others)
    return {pair for a in some for b in others for pair in ((a, b), (b, a))}


def when(world: World, condition: Callable[[], bool], action: Callable[[], object]) -> None:
    """Does something as soon as it is the case; gives up after a while, or when good times come."""
    deadline = world.agenda.now + PATIENCE_TICKS

    def look() -> None:
        if not world.is_faulty or world.agenda.now > deadline:
            return
        if condition():
            action()
        else:
            world.agenda.schedule(LOOK_TICKS, look)

    look()


def hurried_changes(world: World, random: Random) -> None:
    """An operator takes the votes of those whom the leader does not hear any more, one right after the other,
    while the others are well and elect another leader."""
    leader = leader_of(world)
    if leader is None or world.network.cut or len(leader.membership.voters) < 3:
        return
    members = leader.membership
    others = [voter for voter in members.voters if voter != leader.id]
    world.cut(between([leader.id], [node for node in world.nodes if node != leader.id]), 40.0)
    leader.set_tick_length(10.0)
    voters, learners = set(members.voters), set(members.learners)
    for number, other in enumerate(others):
        voters.discard(other)
        learners.add(other)
        if not world.can_elect(voters):
            break
        changed = Membership.of(voters, learners)
        world.agenda.schedule(
            0.2 * number, lambda changed=changed: world.is_faulty and leader.change(changed)
        )
    world.counts["hurried changes"] += 1


def lost_disk_beside_deposed_leader(world: World, random: Random) -> None:
    """A leader is cut off and deposed. One of those who voted for its successor loses its disk, votes and
    all, and then hears the old leader alone."""
    old = leader_of(world)
    if old is None or world.network.cut or len(old.membership.voters) != 3:
        return
    others = [voter for voter in old.membership.voters if voter != old.id]
    old_term = old.core.term if old.core is not None else 0
    old.set_tick_length(20.0)
    strangers = [node for node in world.nodes if node != old.id]
    world.cut(between([old.id], strangers), PATIENCE_TICKS)

    def is_deposed() -> bool:
        new = leader_of(world)
        return new is not None and new.core is not None and new.core.term > old_term and new.id in others

    def lose() -> None:
        new = leader_of(world)
        if new is None or new.id not in others:
            return
        victim = world.nodes[next(voter for voter in others if voter != new.id)]
        if not victim.is_up or not world.may_lose(victim.id):
            return
        victim.crash(is_power_lost=True)
        world.replace_disk(victim)
        apart = [node for node in world.nodes if node not in (old.id, victim.id)]
        world.cut(between([old.id, victim.id], apart), random.choice((10.0, 30.0)))
        world.restart(victim)
        world.counts["lost disks beside deposed leaders"] += 1

    when(world, is_deposed, lambda: world.agenda.schedule(random.uniform(0, 5), lose))


def rival_changes(world: World, random: Random) -> None:
    """Two leaders in turn change the membership, each in the sight of less than all (Ongaro's note of 2015).

    The first adds a voter that it alone reaches, the second takes the first one's vote as soon as it leads,
    and reaches one other. Then the first comes back with all whom the second did not reach."""
    first = leader_of(world)
    if first is None or world.network.cut:
        return
    members = first.membership
    if len(members.voters) != 4 or not members.learners:
        return
    newcomer = random.choice(members.learners)
    rest = [node for node in world.nodes if node not in (first.id, newcomer)]
    rivals = [voter for voter in members.voters if voter != first.id]
    if not (world.can_elect(rivals) and world.can_elect([*members.voters, newcomer])):
        return
    term = first.core.term if first.core is not None else 0
    world.cut(between([first.id, newcomer], rest), PATIENCE_TICKS)
    first.change(
        Membership.of([*members.voters, newcomer], [each for each in members.learners if each != newcomer])
    )

    def second() -> SimNode | None:
        found = leader_of(world)
        is_rival = found is not None and found.id in rivals and found.core is not None
        return found if is_rival and found.core.term > term else None  # type: ignore[union-attr]

    def answer() -> None:
        rival = second()
        assert rival is not None
        ally = random.choice([voter for voter in rivals if voter != rival.id])
        apart = [node for node in world.nodes if node not in (rival.id, ally)]
        world.cut(between([rival.id, ally], apart), 30.0)
        rival.change(Membership.of(rivals, [*rival.membership.learners, first.id]))
        world.counts["rival changes"] += 1

    when(world, lambda: second() is not None, answer)

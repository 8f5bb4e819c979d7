"""What befalls a world.

A fault draws all it needs from a generator of its own, so that it stays what it is when others are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from memraft_cluster.raft import Membership, Message, MessageType
from tests.simulation.plots import (
    answered_without_entries,
    crash_while_installing,
    hurried_changes,
    late_answers,
    lost_disk_beside_deposed_leader,
    lost_disk_while_founding,
    reads_beside_a_minority,
    rival_changes,
    transfer_to_the_mute,
    two_heirs,
    votes_lost_unheard,
)

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.world import World

CLOCK_JUMP_US_MAX = 1_500_000_000
"""How far clocks jump either way: two such jumps apart no session has been idle for an hour."""

VOTERS_MAX = 5


def _any_node(world: World, random: Random) -> SimNode:
    return random.choice([*world.nodes.values()])


def _any_leader(world: World, random: Random) -> SimNode | None:
    leaders = [node for node in world.nodes.values() if node.leads]
    return random.choice(leaders) if leaders else None


def crash(world: World, random: Random) -> None:
    """A process or a machine dies and comes back some time later."""
    node = _any_node(world, random)
    if node.is_up:
        world.counts["crashes"] += 1
        node.crash(is_power_lost=random.random() < 0.5)
        world.agenda.schedule(random.choice((0.0, 3.0, 30.0)), lambda: world.restart(node))


def crash_leader(world: World, random: Random) -> None:
    """Whoever believes to lead dies, and may be back before anybody noticed."""
    node = _any_leader(world, random)
    if node is not None:
        world.counts["crashes"] += 1
        node.crash(is_power_lost=random.random() < 0.5)
        world.agenda.schedule(random.choice((0.0, 3.0, 30.0)), lambda: world.restart(node))


def power_failure(world: World, random: Random) -> None:
    """All machines die at once."""
    for node in world.nodes.values():
        if node.is_up:
            node.crash(is_power_lost=True)
        world.agenda.schedule(random.uniform(0, 10), lambda node=node: world.restart(node))  # type: ignore[misc]
    world.counts["power failures"] += 1


def partition(world: World, random: Random) -> None:
    """Two sides that do not hear each other, or only one of which hears the other."""
    ids = [*world.nodes]
    side = set(random.sample(ids, random.randint(0, len(ids))))
    is_one_way = random.random() < 0.4
    _cut(
        world,
        random,
        {(a, b) for a in ids for b in ids if (a in side) != (b in side) and not (is_one_way and a in side)},
    )
    world.counts["partitions"] += 1


def isolate_leader(world: World, random: Random) -> None:
    """Whoever believes to lead is cut off together with less than half of the others, and long enough for
    another leader. What the old one says meanwhile, above all if its clock is slow, is where stale reads
    would come from."""
    leader = _any_leader(world, random)
    if leader is None:
        return
    ids = [*world.nodes]
    others = [node for node in ids if node != leader.id]
    side = {leader.id, *random.sample(others, random.randint(0, (len(ids) - 1) // 2))}
    cut = {(a, b) for a in ids for b in ids if (a in side) != (b in side)}
    if _cut(world, random, cut):
        leader.set_tick_length(random.choice((1.0, 10.0)))
        world.counts["leaders cut off"] += 1


def _cut(world: World, random: Random, links: set[tuple[int, int]]) -> bool:
    """Cuts these links for a while; a cut that is there already stays alone."""
    if world.network.cut:
        return False
    world.cut(links, random.choice((5.0, 20.0, 60.0)))
    return True


def pause(world: World, random: Random) -> None:
    """A process is stopped for a while: a leader may wake up long after its successor."""
    node = _any_leader(world, random) if random.random() < 0.5 else None
    (node or _any_node(world, random)).loop.pause(random.uniform(1, 40))
    world.counts["pauses"] += 1


def weather(world: World, random: Random) -> None:
    """Another rate of loss, duplication and delay."""
    world.network.loss = random.choice((0.0, 0.0, 0.05, 0.3))
    world.network.duplication = random.choice((0.0, 0.1, 0.4))
    world.network.slow = random.choice((0.0, 0.0, 0.1, 0.3))


def slow_disks(world: World, random: Random) -> None:
    """Some disks take many ticks to sync."""
    for node in world.nodes.values():
        node.slow_sync = random.choice((0.0, 0.0, 0.2, 0.6))


def slow_clocks(world: World, random: Random) -> None:
    """Time passes faster for some than for others."""
    for node in world.nodes.values():
        node.set_tick_length(random.choice((0.8, 1.0, 1.0, 5.0)))


def clock_jump(world: World, random: Random) -> None:
    """The wall clock of a node is set forward or back."""
    node = _any_leader(world, random) or _any_node(world, random)
    node.clock_offset_us = random.randint(-CLOCK_JUMP_US_MAX, CLOCK_JUMP_US_MAX)
    world.counts["clock jumps"] += 1


def transfer(world: World, random: Random) -> None:
    """An operator moves leadership somewhere."""
    for node in world.nodes.values():
        node.transfer(random.choice([*world.nodes]))


def broken_connection(world: World, random: Random) -> None:
    """A transport reports a broken connection, rightly or not."""
    _any_node(world, random).lose_connection(random.choice([*world.nodes]))


def garbage(world: World, random: Random) -> None:
    """Messages that no correct peer sends, and an answer of one that is no member."""
    node = _any_node(world, random)
    node.receive(Message(MessageType.HEARTBEAT, node.id + 1, node.id, 1 << 62))
    node.receive(Message(MessageType.HEARTBEAT_REPLY, 99, node.id, 1 << 40))
    node.receive(Message(MessageType.APPEND, node.id, node.id, 1 << 40))
    node.receive(Message(MessageType.SNAPSHOT_CHUNK, 99, node.id, 0))


def change_members(world: World, random: Random) -> None:
    """An operator adds a learner, makes it a voter, takes a vote away, or removes a node."""
    leader = _any_leader(world, random)
    if leader is None:
        return
    members = leader.membership
    voters, learners = set(members.voters), set(members.learners)
    kind = random.choice(("add", "add", "promote", "promote", "demote", "remove"))
    strangers = sorted(world.nodes.keys() - voters - learners)
    if kind == "add" and strangers:
        learners.add(random.choice(strangers))
    elif kind == "promote" and learners and len(voters) < VOTERS_MAX:
        node = random.choice(sorted(learners))
        voters.add(node)
        learners.discard(node)
    elif kind == "demote" and len(voters) > 1:
        node = random.choice(sorted(voters))
        voters.discard(node)
        learners.add(node)
    elif kind == "remove":
        node = random.choice(members.members)
        voters.discard(node)
        learners.discard(node)
    # Who takes votes away sees to it that those who are left can elect.
    if voters and (len(voters) > 2 or random.random() < 0.3) and world.can_elect(voters):
        leader.change(Membership.of(voters, learners))


def damage(world: World, random: Random) -> None:
    """A disk comes back from a crash damaged, or another one comes in its place; on a minority."""
    node = _any_node(world, random)
    if not node.is_up or not world.may_lose(node.id):
        return
    node.crash(is_power_lost=True)
    kind = random.choice(("log", "log", "state", "both", "disk"))
    world.counts[f"damage to {kind}"] += 1
    if kind in ("log", "both"):
        node.disk.is_damaged = True
    if kind in ("state", "both"):
        node.store.is_damaged = True
    if kind == "disk":
        world.replace_disk(node)
        if not world.is_member(node.id):
            # Whoever brings up a node that is no member says that it joins, and founds nothing.
            node.shape = replace(node.shape, voters=(), learners=())
    world.agenda.schedule(random.choice((0.0, 3.0, 30.0)), lambda: world.restart(node))


FAULTS: dict[str, Callable[[World, Random], None]] = {
    fault.__name__: fault
    for fault in (
        crash,
        crash_leader,
        power_failure,
        partition,
        isolate_leader,
        pause,
        weather,
        slow_disks,
        slow_clocks,
        clock_jump,
        transfer,
        transfer_to_the_mute,
        broken_connection,
        garbage,
        change_members,
        damage,
        answered_without_entries,
        crash_while_installing,
        hurried_changes,
        late_answers,
        lost_disk_beside_deposed_leader,
        lost_disk_while_founding,
        reads_beside_a_minority,
        rival_changes,
        two_heirs,
        votes_lost_unheard,
    )
}

AT_THE_START = frozenset({lost_disk_while_founding.__name__})
"""Faults that can happen only as the very first one."""

"""Faults of several steps: the coincidences that known mistakes need, which chance alone seldom brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import TYPE_CHECKING

from memraft_cluster.raft import Membership, MessageType, Role
from memraft_proto.v1 import kv_pb2
from memraft_proto.v1.common_pb2 import CONSISTENCY_LINEARIZABLE, ReadContext
from tests.simulation.clients import KEYS, NAMESPACE

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.world import World

CONTENT = frozenset(
    {MessageType.APPEND, MessageType.COMMIT, MessageType.SNAPSHOT, MessageType.SNAPSHOT_CHUNK}
)
"""What brings entries or states to a follower."""
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


def when(
    world: World, condition: Callable[[], bool], action: Callable[[], object], every: float = LOOK_TICKS
) -> None:
    """Does something as soon as it is the case; gives up after a while, or when good times come."""
    deadline = world.agenda.now + PATIENCE_TICKS

    def look() -> None:
        if not world.is_faulty or world.agenda.now > deadline:
            return
        if condition():
            action()
        else:
            world.agenda.schedule(every, look)

    look()


def votes_under_way(world: World, nodes: Iterable[int], above_term: int) -> Iterator[tuple[SimNode, int]]:
    """Candidates among these nodes in terms above one, each with another of them that has given its vote."""
    nodes = list(nodes)
    for node in nodes:
        core = world.nodes[node].core
        if core is None or core.role is not Role.CANDIDATE or core.term <= above_term:
            continue
        for other in nodes:
            state = world.disks[other].hard_state
            if other != node and state is not None and (state.term, state.vote) == (core.term, node):
                yield world.nodes[node], other


def lost_disk_while_founding(world: World, random: Random) -> None:
    """The first leader brings its entries to one of two others, which loses its disk as soon as something is
    committed; then these two others, of which one has voted and has nothing, hear each other alone."""
    if len(world.founders) != 3 or world.checker.commit_index():
        return
    leader: list[SimNode] = []
    deaf: list[int] = []

    def has_voted() -> bool:
        for candidate, voter in votes_under_way(world, world.founders, 0):
            leader.append(candidate)
            deaf.append(voter)
            return True
        return False

    def deafen() -> None:
        link = (leader[0].id, deaf[0])
        # Its heartbeats do arrive, as the other one may have to recover, which takes the answers of all.
        world.withhold(lambda each: (each.sender, each.to) == link and each.type in CONTENT, PATIENCE_TICKS)
        when(world, lambda: world.checker.commit_index() > 3, lose)

    def lose() -> None:
        ally = next(node for node in world.founders if node not in (leader[0].id, deaf[0]))
        node = world.nodes[ally]
        if not node.is_up or not world.may_lose(ally):
            return
        node.crash(is_power_lost=True)
        world.replace_disk(node)
        world.cut(between([leader[0].id], [each for each in world.nodes if each != leader[0].id]), 50.0)
        # Not before what was on its way has arrived nowhere.
        world.agenda.schedule(1.0, lambda: world.restart(node))
        world.counts["lost disks while founding"] += 1

    when(world, has_voted, deafen, every=0.01)


def late_answers(world: World, random: Random) -> None:
    """What is on its way to the leader takes long. Then it is cut off, its clock stands nearly still, and
    what its followers said before it was deposed still arrives, bit by bit. Someone reads there all along."""
    leader = leader_of(world)
    if leader is not None and not world.network.cut:
        _cut_off_with_late_answers(world, random, leader)
        world.counts["late answers"] += 1


def _cut_off_with_late_answers(world: World, random: Random, leader: SimNode) -> None:
    others = [node for node in world.nodes if node != leader.id]
    late = {(other, leader.id) for other in others}
    world.network.slow_links = late

    def cut_off() -> None:
        if world.network.slow_links is late and world.is_faulty:
            world.network.slow_links = set()
            leader.set_tick_length(20.0)
            world.cut(between([leader.id], others), random.choice((30.0, 50.0)))

    keep_reading(world, leader)
    world.agenda.schedule(random.uniform(1, 4), cut_off)


def keep_reading(world: World, node: SimNode) -> None:
    """Someone reads at this node again and again, and wants to see what was written before."""
    context = ReadContext(consistency=CONSISTENCY_LINEARIZABLE)
    request = kv_pb2.GetRequest(namespace=NAMESPACE, context=context, key=KEYS[0])
    end = world.agenda.now + PATIENCE_TICKS

    def ask() -> None:
        if world.is_faulty and world.agenda.now < end:
            node.read("Get", request, lambda reply: None)
            world.agenda.schedule(1.0, ask)

    ask()


def reads_beside_a_minority(world: World, random: Random) -> None:
    """A leader with a slow clock is cut off together with one other, of four or five voters, and someone
    reads there all along, while the rest elect another leader."""
    leader = leader_of(world)
    if leader is None or world.network.cut or len(leader.membership.voters) < 4:
        return
    side = [leader.id, random.choice([each for each in leader.membership.voters if each != leader.id])]
    world.cut(between(side, [node for node in world.nodes if node not in side]), 40.0)
    leader.set_tick_length(20.0)
    keep_reading(world, leader)
    world.counts["reads beside a minority"] += 1


def answered_without_entries(world: World, random: Random) -> None:
    """Of three voters one hears its leader, but gets no entries. The other one loses its log when entries are
    committed that these two alone have, and is answered how far its log must reach. Before it has anything
    the leader is cut off, and these two hear each other."""
    leader = leader_of(world)
    if leader is None or world.network.cut or len(leader.membership.voters) != 3:
        return
    behind, ally = random.sample([each for each in leader.membership.voters if each != leader.id], 2)
    starved = {(leader.id, behind)}
    world.withhold(lambda each: (each.sender, each.to) in starved and each.type in CONTENT, PATIENCE_TICKS)
    start = world.checker.commit_index()
    victim = world.nodes[ally]

    def lose() -> None:
        if not victim.is_up or not world.may_lose(ally):
            return
        victim.crash(is_power_lost=True)
        victim.disk.is_damaged = True
        starved.add((leader.id, ally))
        world.restart(victim)
        when(world, is_answered, cut_off, every=0.05)

    def is_answered() -> bool:
        core = victim.core
        return core is not None and (core.is_whole or core._recovery_index > 0)

    def cut_off() -> None:
        world.cut(between([leader.id], [node for node in world.nodes if node != leader.id]), 40.0)
        world.counts["answers without entries"] += 1

    when(world, lambda: world.checker.commit_index() > start + 2, lose)


def crash_while_installing(world: World, random: Random) -> None:
    """A node is away for so long that it needs a snapshot, and dies while that is put into force."""
    node = random.choice([*world.nodes.values()])
    if not node.is_up or node.leads:
        return
    node.crash(is_power_lost=True)

    def come_back() -> None:
        world.restart(node)
        if not world.is_faulty:
            return
        node.slow_sync = 0.8
        when(world, lambda: node.is_installing, die_again, every=0.1)

    def die_again() -> None:
        world.agenda.schedule(random.uniform(0, 5), strike)

    def strike() -> None:
        if node.is_up and world.is_faulty:
            node.crash(is_power_lost=random.random() < 0.3)
            world.counts["crashes while installing"] += 1
            world.agenda.schedule(random.uniform(0, 3), lambda: world.restart(node))

    world.agenda.schedule(random.uniform(10, 40), come_back)


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


def votes_lost_unheard(world: World, random: Random) -> None:
    """A leader takes one vote and, as soon as that is committed, another one. From then on those who could
    elect before the first change and can no more, of an odd number of voters, hear only each other: some have
    that change and do not know that it is committed, none has the second."""
    leader = leader_of(world)
    if leader is None or world.network.cut:
        return
    members = leader.membership
    others = [voter for voter in members.voters if voter != leader.id]
    if len(others) < 2 or len(others) % 2:
        return
    random.shuffle(others)
    unheard = others[: len(others) // 2 + 1]
    changes = [
        Membership.of([v for v in members.voters if v not in gone], [*members.learners, *gone])
        for gone in (unheard[:1], unheard[:2])
    ]
    if not all(world.can_elect(change.voters) for change in changes):
        return
    apart = between(unheard, [node for node in world.nodes if node not in unheard])

    def has_committed() -> bool:
        core = leader.core
        return (
            core is not None
            and core.role is Role.LEADER
            and core.membership == changes[0]
            and core.log.committed >= core.log.membership_index
        )

    def go_on() -> None:
        if not world.network.cut:
            world.cut(apart, 40.0)
            leader.change(changes[1])
            world.counts["votes lost unheard"] += 1

    leader.change(changes[0])
    when(world, has_committed, go_on, every=0.01)


def lost_disk_beside_deposed_leader(world: World, random: Random) -> None:
    """A leader is cut off with just less than half of the voters, and deposed. One of those who voted for its
    successor loses its disk, votes and all, and then hears that side alone. Its question is there when what
    the others said as followers arrives at last, as if it were an answer."""
    old = leader_of(world)
    if old is None or old.core is None or world.network.cut:
        return
    old_term, voters = old.core.term, old.membership.voters
    others = [voter for voter in voters if voter != old.id]
    if len(voters) < 3 or len(others) % 2:
        return
    random.shuffle(others)
    others = others[: len(voters) // 2 + 1]
    side = [voter for voter in voters if voter not in others]
    late = {(other, old.id) for other in others}
    world.withhold(lambda each: (each.sender, each.to) in late, PATIENCE_TICKS)
    keep_reading(world, old)

    def cut_off() -> None:
        if world.is_faulty and not world.network.cut:
            old.set_tick_length(20.0)
            world.cut(between(side, [node for node in world.nodes if node not in side]), PATIENCE_TICKS)
            when(world, is_deposed, lambda: world.agenda.schedule(random.uniform(0, 5), lose))

    def is_deposed() -> bool:
        new = leader_of(world)
        return new is not None and new.core is not None and new.core.term > old_term and new.id in others

    def voted() -> list[int]:
        new = leader_of(world)
        states = {other: world.disks[other].hard_state for other in others if new and other != new.id}
        return [other for other, state in states.items() if state and new and state.vote == new.id]

    def lose() -> None:
        victims = [voter for voter in voted() if world.nodes[voter].is_up and world.may_lose(voter)]
        if victims and old.leads:
            victim = world.nodes[victims[0]]
            victim.crash(is_power_lost=True)
            world.replace_disk(victim)
            joined = [*side, victim.id]
            apart = [node for node in world.nodes if node not in joined]
            world.cut(between(joined, apart), random.choice((10.0, 30.0)))
            world.network.withholds = None
            old.set_tick_length(2.0)
            world.restart(victim)
            world.counts["lost disks beside deposed leaders"] += 1
            when(world, lambda: has_asked(victim.id), lambda: answer(victim.id), every=0.05)

    def has_asked(victim: int) -> bool:
        return old.core is not None and victim in old.core._recoveries

    def answer(victim: int) -> None:
        for link in late - {(victim, old.id)}:
            world.network.release(link)

    world.agenda.schedule(random.uniform(1, 4), cut_off)


def rival_changes(world: World, random: Random) -> None:
    """Two leaders in turn change the membership, each in the sight of less than all (Ongaro's note of 2015).

    Of four voters the first leader adds a fifth, which it alone reaches. The second, elected by the others,
    takes the first one's vote as soon as it leads, and is heard by one voter of two. Then the first comes
    back, with the fifth and the one that has not heard the second.
    """
    first = leader_of(world)
    if first is None or first.core is None or world.network.cut:
        return
    members, term = first.membership, first.core.term
    rivals = [voter for voter in members.voters if voter != first.id]
    if len(rivals) != 3 or not members.learners:
        return
    newcomer = random.choice(members.learners)
    grown = Membership.of(
        [*members.voters, newcomer], [learner for learner in members.learners if learner != newcomer]
    )
    if not (world.can_elect(rivals) and world.can_elect(grown.voters)):
        return
    side = [first.id, newcomer]
    apart = between(side, [node for node in world.nodes if node not in side])
    world.cut(apart, PATIENCE_TICKS)
    first.change(grown)
    winner: list[SimNode] = []
    deaf: list[int] = []

    def has_voted() -> bool:
        for candidate, voter in votes_under_way(world, rivals, term):
            winner.append(candidate)
            deaf.append(voter)
            return True
        return False

    def take_vote() -> None:
        changed = Membership.of(rivals, {*winner[0].membership.learners, first.id} - set(rivals))
        winner[0].change(changed)
        ally = next(voter for voter in rivals if voter not in (winner[0].id, deaf[0]))
        pair = [winner[0].id, ally]
        world.cut(between(pair, [node for node in world.nodes if node not in pair]), 40.0)
        world.counts["rival changes"] += 1

    def deafen() -> None:
        world.cut(apart | {(winner[0].id, deaf[0])}, PATIENCE_TICKS)
        when(world, lambda: winner[0].leads_its_callers, take_vote, every=0.1)

    when(world, has_voted, deafen, every=0.01)


def two_heirs(world: World, random: Random) -> None:
    """A leader is asked to hand over to one and then at once to another, so that both stand in one election.
    A voter has voted for the one, dies and comes back before the other one's request arrives."""
    leader = leader_of(world)
    if leader is None or leader.core is None or len(leader.membership.voters) < 3:
        return
    term = leader.core.term
    voters = [voter for voter in leader.membership.voters if voter != leader.id]
    first, second = random.sample(voters, 2)
    electors = [voter for voter in leader.membership.voters if voter not in (first, second)]
    late = {(second, elector) for elector in electors}
    world.network.slow_links = late
    leader.transfer(first)
    world.agenda.schedule(0.05, lambda: leader.transfer(second))

    def voted() -> list[int]:
        states = {elector: world.disks[elector].hard_state for elector in electors}
        return [each for each, state in states.items() if state and state.term > term and state.vote == first]

    def strike() -> None:
        node = world.nodes[random.choice(voted())]
        if node.is_up:
            node.crash(is_power_lost=False)
            world.restart(node)
            world.counts["votes before a restart"] += 1

    def no_longer_late() -> None:
        if world.network.slow_links is late:
            world.network.slow_links = set()

    world.agenda.schedule(5.0, no_longer_late)
    when(world, lambda: bool(voted()), strike, every=0.05)


def transfer_to_the_mute(world: World, random: Random) -> None:
    """Leadership moves to a node that nobody hears from the moment it stands for election: it goes on to a
    term that the others do not know, and is heard again late, or not before good times."""
    leader = leader_of(world)
    if leader is None or leader.core is None or world.network.cut:
        return
    heirs = [each for each in leader.membership.voters if each != leader.id]
    if not heirs:
        return
    term = leader.core.term
    heir = world.nodes[random.choice(heirs)]
    ticks = random.choice((20.0, PATIENCE_TICKS))

    def stands() -> bool:
        return heir.core is not None and heir.core.term == term + 1 and heir.core.role is Role.CANDIDATE

    def mute() -> None:
        world.cut({(heir.id, other) for other in world.nodes if other != heir.id}, ticks)
        world.counts["transfers to the mute"] += 1

    leader.transfer(heir.id)
    when(world, stands, mute, every=0.02)

"""Whatever is wanted and whatever happens meanwhile: a group gets there, one safe step at a time; and
whatever operators ask for, the record stays one that can be reached."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memraft_cluster.membership import Facts, PeerFacts, StepKind, next_step
from memraft_cluster.meta import (
    META_GROUP,
    AddNode,
    Bootstrap,
    ChangeRefused,
    Command,
    FinishRemoval,
    MoveReplica,
    NodeEntry,
    Rebalance,
    Record,
    RemoveNode,
    Report,
    TransferLeader,
    apply,
    bootstrap_record,
    decode_command,
    decode_record,
    encode_command,
    meta_wanted,
)
from memraft_cluster.raft import Membership

NODES = range(1, 8)


class Group:
    """A group whose leader takes the steps it is told, among nodes that stop, lag and come back."""

    def __init__(self, voters: Iterable[int], chance: random.Random) -> None:
        self.actual = Membership.of(voters)
        self.leader = min(voters)
        self.chance = chance
        self.commit = 10_000
        self.match = {node: (self.commit if node in self.actual else 0) for node in NODES}
        self.applied = dict(self.match)
        self.down: set[int] = set()
        self.is_settled = True

    def facts(self) -> Facts:
        peers = {
            node: PeerFacts(self.match[node], self.applied[node], node not in self.down)
            for node in (*self.actual.voters, *self.actual.learners)
            if node != self.leader
        }
        return Facts(self.leader, self.actual, self.is_settled, self.commit, peers)

    def disturb(self) -> None:
        """Something happens that the leader has no say in."""
        what = self.chance.randrange(5)
        voters = self.actual.voters
        if what == 0:
            self.commit += self.chance.randrange(600)
            self.match[self.leader] = self.commit
        elif what == 1 and self.chance.random() < 0.3:
            node = self.chance.choice(voters)
            if node != self.leader and len(self.down & set(voters)) < (len(voters) - 1) // 2:
                self.down.add(node)
        elif what == 2 and self.down:
            self.down.discard(self.chance.choice(sorted(self.down)))
        elif what == 3:  # another leader, of those that have everything
            heirs = [node for node in voters if node not in self.down and self.match[node] == self.commit]
            self.leader = self.chance.choice([self.leader, *heirs])
        else:
            self.replicate()

    def replicate(self, entries: int = 0) -> None:
        self.is_settled = True
        for node in (*self.actual.voters, *self.actual.learners):
            if node not in self.down:
                more = entries or self.chance.randrange(1, 5_000)
                self.match[node] = min(self.commit, self.match[node] + more)
                applied = self.applied[node] + (entries or self.chance.randrange(1, 5_000))
                self.applied[node] = min(self.match[node], applied)

    def step(self, wanted: Membership) -> bool:
        """Takes one step, checks that it is a safe one, and says whether the group is where it should be."""
        step = next_step(wanted, 0, self.facts())
        if step.kind is StepKind.TRANSFER:
            assert step.to in self.actual.voters and step.to not in self.down
            assert self.commit - self.applied[step.to] <= 256, "nobody leads who could not serve at once"
            self.match[step.to] = self.applied[step.to] = self.commit
            self.leader = step.to
        elif step.kind is StepKind.CHANGE:
            assert step.membership is not None
            self.change(step.membership, wanted)
        return step.kind is StepKind.NONE

    def change(self, new: Membership, wanted: Membership) -> None:
        old = self.actual
        standing = [
            node for node in NODES
            if (node in old.voters, node in old.learners) != (node in new.voters, node in new.learners)
        ]  # fmt: skip
        assert len(standing) == 1, "one node's standing at a time"
        assert self.is_settled, "one change at a time"
        assert self.leader in new.voters, "a leader does not remove itself"
        assert len(new.voters) >= min(len(old.voters), len(wanted.voters)), "never fewer than wanted"
        for node in set(new.voters) - set(old.voters):
            assert node in old.learners, "nobody votes before it has the log"
            assert self.commit - self.match[node] <= 256
        if set(old.voters) - set(new.voters):
            assert set(wanted.voters) <= set(new.voters), "nobody goes before all that are wanted are there"
            working = [node for node in new.voters if node not in self.down]
            assert len(working) > len(new.voters) // 2, "a majority works without the one that goes"
        self.actual = new
        self.is_settled = False


memberships = st.sets(st.sampled_from(NODES), min_size=1, max_size=7).flatmap(
    lambda ids: st.builds(
        lambda count, order: Membership.of(order[:count], order[count:]),
        st.integers(1, len(ids)),
        st.permutations(sorted(ids)),
    )
)


@given(
    st.sets(st.sampled_from(NODES), min_size=1, max_size=5),
    st.lists(memberships, min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_a_group_gets_where_it_is_wanted_and_is_safe_all_the_way(
    voters: set[int], wishes: list[Membership], chance: random.Random
) -> None:
    group = Group(voters, chance)
    for wanted in wishes:  # the wish changes before the last one is fulfilled
        for _ in range(chance.randrange(30)):
            group.disturb()
            group.step(wanted)
    group.down.clear()
    for _ in range(50):
        group.replicate(entries=2_000)
        if group.step(wanted):
            break
    assert group.actual == wanted


# -- the record ------------------------------------------------------------------------------------------

names = st.sampled_from([f"n{number}" for number in range(1, 9)])
numbers = st.integers(-1, 6)
commands = st.one_of(
    st.builds(lambda name, id_: AddNode(name, f"{name}:7100", f"{name}:7000", id_), names, st.integers(0, 9)),
    st.builds(RemoveNode, names, st.booleans()),
    st.builds(MoveReplica, numbers, names, names),
    st.builds(TransferLeader, numbers, names),
    st.builds(Rebalance, st.integers(0, 5)),
    st.builds(FinishRemoval, st.integers(1, 9)),
    st.just("progress"),
)


def nodes_of(count: int) -> list[NodeEntry]:
    return [NodeEntry(i, f"n{i}", f"n{i}:7100", f"n{i}:7000") for i in range(1, count + 1)]


def check(record: Record) -> None:
    staying = set(record.staying)
    assert staying
    for shard in record.shards:
        assert shard.replicas and shard.leader in shard.replicas
        assert set(shard.replicas) <= staying, "nothing is wanted on a node that leaves"
        assert len(shard.replicas) <= record.replicas
    assert set(meta_wanted(record).voters) <= {node.id for node in record.nodes}
    assert all(node.id < record.next_id for node in record.nodes)
    assert not {node.id for node in record.nodes} & {stone.id for stone in record.removed}
    assert decode_record(record.encode()) == record
    record.shard_map()


def progressed(record: Record) -> Record:
    """All groups get where they are wanted, and those that leave go."""
    for shard in record.shards:
        record = apply(record, Report(shard.shard, shard.replicas, (), shard.actual.index + 1)).record
    wanted = meta_wanted(record)
    record = apply(record, Report(META_GROUP, wanted.voters, wanted.learners, record.meta.index + 1)).record
    for node in record.nodes:
        record = apply(record, FinishRemoval(node.id)).record
    return record


@given(st.integers(1, 5), st.integers(1, 6), st.lists(st.one_of(commands), max_size=25))
def test_whatever_operators_ask_for_the_record_stays_one_that_can_be_reached(
    count: int, shards: int, asked: list[Command | str]
) -> None:
    record = apply(None, Bootstrap(bootstrap_record("test", nodes_of(count), shards))).record
    check(record)
    for command in asked:
        if isinstance(command, str):
            record = progressed(record)
            check(record)
            assert all(shard.is_settled for shard in record.shards)
            assert not any(node.is_leaving for node in record.nodes)
            continue
        try:
            outcome = apply(record, decode_command(encode_command(command)))
        except ChangeRefused:
            continue
        check(outcome.record)
        assert outcome.record.epoch == record.epoch + outcome.changed
        assert outcome.changed or outcome.record == record
        record = outcome.record
        try:
            assert not apply(record, command).changed, "the same again changes nothing"
        except ChangeRefused:
            pytest.fail(f"{command} was done, and is refused when it comes again")


@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 5), st.lists(commands, max_size=12))
def test_rebalancing_spreads_replicas_evenly_and_leaders_as_far_as_replicas_allow(
    count: int, shards: int, replicas: int, asked: list[Command | str]
) -> None:
    record = apply(
        None, Bootstrap(bootstrap_record("test", nodes_of(count), shards, min(count, replicas)))
    ).record
    for command in asked:
        try:
            record = progressed(record) if isinstance(command, str) else apply(record, command).record
        except ChangeRefused:
            continue
    record = apply(record, Rebalance()).record
    check(record)
    staying = record.staying
    held = [sum(node in shard.replicas for shard in record.shards) for node in staying]
    assert max(held) - min(held) <= 1
    assert all(len(shard.replicas) == min(record.replicas, len(staying)) for shard in record.shards)
    if record.replicas >= len(staying):  # every node may lead everything
        led = [sum(node == shard.leader for shard in record.shards) for node in staying]
        assert max(led) - min(led) <= 1

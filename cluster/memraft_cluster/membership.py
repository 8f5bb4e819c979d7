"""The next safe step from where a group is to where it is wanted. Pure.

The leader of a group asks for one step, takes it, and asks again once that is done; so whatever is
interrupted, by a new leader, a restart or another wish, goes on from where the group's own log says that it
is. No step is remembered anywhere. After Ongaro's thesis, chapter 4:

1. nothing as long as a change is under way, or the leader has committed nothing in its term (the core would
   refuse it, too);
2. a learner that nobody wants goes;
3. one node that is missing comes, as a learner: it has no vote before it has the log;
4. a learner that is wanted as a voter, is whole, heard and close behind gets its vote;
5. only when every wanted voter votes does one that is not wanted lose its vote: those that are not heard
   first, the leader last, and that one hands leadership over before, to one whose machine is close behind,
   too: a leader serves only when it has applied what its predecessors committed.

So a group on its way never has fewer voters than are wanted, unless it began with fewer, and each change is
of one node's standing: any majority before overlaps with any majority after it. A vote is taken away only
where those that are left are a working majority without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from .raft import Membership

LAG_MAX = 256
"""How many entries a replica may lack to be given a vote, or have yet to apply to be given leadership: less
than an election timeout's worth."""


class StepKind(Enum):
    """What to do."""

    NONE = "none"
    """The group is where it is wanted."""
    WAIT = "wait"
    CHANGE = "change"
    TRANSFER = "transfer"


class Step(msgspec.Struct, frozen=True):
    """One step. ``membership`` to propose, or the node ``to`` hand leadership to; ``why`` is for a person,
    with nodes as ids in braces, such as ``{4} joins as a learner``."""

    kind: StepKind
    why: str = ""
    membership: Membership | None = None
    to: int = 0


class PeerFacts(msgspec.Struct, frozen=True):
    """A peer as the leader sees it: last entry durable there and last one applied, whether it was heard
    lately, and whether it may lack what it once had."""

    match: int
    applied: int
    active: bool
    is_recovering: bool = False


class Facts(msgspec.Struct, frozen=True):
    """How the leader of a group stands.

    ``node`` is the leader itself, ``actual`` the membership in force, ``is_settled`` whether that and an
    entry of the leader's term are committed, ``commit`` the index that peers are measured by.
    """

    node: int
    actual: Membership
    is_settled: bool
    commit: int
    peers: Mapping[int, PeerFacts]

    def is_heard(self, node: int) -> bool:
        """Whether a node takes part."""
        peer = self.peers.get(node)
        return node == self.node or (peer is not None and peer.active)

    def is_fit(self, node: int) -> bool:
        """Whether a node takes part, whole and close behind."""
        peer = self.peers.get(node)
        if node == self.node:
            return True
        return peer is not None and peer.active and not peer.is_recovering and self.lag(node) <= LAG_MAX

    def may_lead(self, node: int) -> bool:
        """Whether a node is fit, and could serve at once."""
        return self.is_fit(node) and self.apply_lag(node) <= LAG_MAX

    def lag(self, node: int) -> int:
        """Committed entries that a node is not known to have."""
        peer = self.peers.get(node)
        return max(0, self.commit - (peer.match if peer is not None else 0))

    def apply_lag(self, node: int) -> int:
        """Committed entries that a node is not known to have applied; 0 of the leader itself."""
        peer = self.peers.get(node)
        if node == self.node:
            return 0
        return max(0, self.commit - (peer.applied if peer is not None else 0))


def next_step(wanted: Membership, leader: int, facts: Facts) -> Step:
    """What the leader of a group should do now.

    Args:
        wanted: where the group should be; at least one voter.
        leader: who should lead it then, for a leader that has to go; 0 for no preference.
        facts: how the group stands.
    """
    actual = facts.actual
    if not facts.is_settled:
        return Step(StepKind.WAIT, "a change is being committed")
    for node in actual.learners:
        if node not in wanted:
            rest = [each for each in actual.learners if each != node]
            return _change(f"{{{node}}} is wanted no more", actual.voters, rest)
    missing = [node for node in (*wanted.voters, *wanted.learners) if node not in actual]
    if missing:
        node = missing[0]
        return _change(f"{{{node}}} joins as a learner", actual.voters, [*actual.learners, node])
    waiting = [node for node in wanted.voters if node not in actual.voters]
    for node in waiting:
        if facts.is_fit(node):
            rest = [each for each in actual.learners if each != node]
            return _change(f"{{{node}}} gets its vote", [*actual.voters, node], rest)
    if waiting:
        return Step(StepKind.WAIT, "; ".join(_lack(node, facts) for node in waiting))
    surplus = [node for node in actual.voters if node not in wanted.voters]
    if not surplus:
        return Step(StepKind.NONE)
    return _take_vote(wanted, leader, facts, surplus)


def _take_vote(wanted: Membership, leader: int, facts: Facts, surplus: list[int]) -> Step:
    """The step that takes one vote away; all that are wanted vote already."""
    node = min(surplus, key=lambda each: (each == facts.node, facts.is_heard(each), each))
    if node == facts.node:
        heirs = [each for each in wanted.voters if facts.may_lead(each)]
        if not heirs:
            return Step(StepKind.WAIT, _lack_of_heir(node, wanted, facts))
        heir = leader if leader in heirs else min(heirs, key=lambda each: (facts.apply_lag(each), each))
        return Step(StepKind.TRANSFER, f"{{{heir}}} is to lead in place of {{{node}}}", to=heir)
    rest = [each for each in facts.actual.voters if each != node]
    fit = sum(facts.is_fit(each) for each in rest)
    if fit <= len(rest) // 2:
        return Step(
            StepKind.WAIT, f"without {{{node}}} only {fit} of {len(rest)} replicas would be up to date"
        )
    if node in wanted.learners:
        return _change(f"{{{node}}} learns without a vote", rest, [*facts.actual.learners, node])
    return _change(f"{{{node}}} leaves", rest, facts.actual.learners)


def _change(why: str, voters: list[int] | tuple[int, ...], learners: list[int] | tuple[int, ...]) -> Step:
    return Step(StepKind.CHANGE, why, Membership.of(voters, learners))


def _lack_of_heir(node: int, wanted: Membership, facts: Facts) -> str:
    """Why leadership cannot be handed over yet."""
    fit = [each for each in wanted.voters if facts.is_fit(each)]
    if not fit:
        return f"no other node is fit to lead in place of {{{node}}}"
    heir = min(fit, key=lambda each: (facts.apply_lag(each), each))
    lag = facts.apply_lag(heir)
    return f"{{{heir}}} has yet to apply {lag:,} entries before it leads in place of {{{node}}}"


def _lack(node: int, facts: Facts) -> str:
    """Why a learner has no vote yet."""
    peer = facts.peers.get(node)
    if peer is None or not peer.active:
        return f"{{{node}}} does not answer"
    if peer.is_recovering and facts.lag(node) <= LAG_MAX:
        return f"{{{node}}} is to make sure that it lacks nothing"
    return f"{{{node}}} is to catch up, {facts.lag(node):,} entries behind"

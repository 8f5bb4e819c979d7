"""Who is chosen to lead a group next: one that has the log, and has applied it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from memraft_cluster.balance import LOOK_TICKS
from memraft_cluster.driver_config import Counters, DriverConfig
from memraft_cluster.group import Group
from memraft_cluster.group_state import Shared
from memraft_cluster.leadership import Leadership
from memraft_cluster.membership import LAG_MAX
from memraft_cluster.raft import MessageType
from tests.unit.cluster.test_group import Member, run

ENTRIES = 2 * LAG_MAX


class Node:
    """The driver of node 1, with one group."""

    def __init__(self, member: Member) -> None:
        self.config = DriverConfig(1, rebalance=True, rebalance_after_ms=1)
        self.counters = Counters()
        self.groups = {0: member.group}
        self.leadership = Leadership(self, Shared(self.config.group_limits()), None)

    def connected(self) -> frozenset[int]:
        return frozenset({2, 3})

    def mark(self, group: Group) -> None:
        """Nothing to do: the test takes the turns."""

    def look(self) -> int:
        """Lets time pass until leaders are looked at; how often leadership was given back so far."""
        for _ in range(20 * LOOK_TICKS):
            self.leadership.tick(is_stopping=False)
        return self.counters.transfers_total


def play(path: Path, script: Callable[[Member, Node], None]) -> None:
    """Node 1 leads; nodes 2 and 3 hold the whole log, of which they have yet to apply all."""

    def body(member: Member) -> None:
        member.lead(1)
        for _ in range(ENTRIES):
            member.propose(b"x")
            last = member.core.log.last_index
            member.step(MessageType.APPEND_REPLY, 2, 1, index=last)
            member.step(MessageType.APPEND_REPLY, 3, 1, index=last)
        script(member, Node(member))

    run(path / "log", body)


def tell(member: Member, sender: int, applied: int) -> None:
    member.step(MessageType.HEARTBEAT_REPLY, sender, 1, applied=applied)


def test_the_heir_is_one_that_has_applied_the_log(tmp_path: Path) -> None:
    def script(member: Member, node: Node) -> None:
        member.group.preferred_leader = 2
        assert node.leadership.heir(member.group) == 2, "better one that has to catch up than none"
        assert node.leadership.is_heir_behind(member.group)
        last = member.core.log.last_index
        tell(member, 2, last - LAG_MAX - 1)
        tell(member, 3, last - LAG_MAX)
        assert node.leadership.heir(member.group) == 3
        assert not node.leadership.is_heir_behind(member.group)
        tell(member, 2, last)
        assert node.leadership.heir(member.group) == 2

    play(tmp_path, script)


def test_leadership_goes_back_only_to_one_that_has_applied_the_log(tmp_path: Path) -> None:
    def script(member: Member, node: Node) -> None:
        member.group.preferred_leader = 2
        last = member.core.log.last_index
        tell(member, 2, last - LAG_MAX - 1)
        assert node.look() == 0
        tell(member, 2, last - LAG_MAX)
        assert node.look() > 0
        assert member.core.status().transfer_to == 2
        assert member.group.status().peers[2].applied == last - LAG_MAX

    play(tmp_path, script)

"""One group beside its core: what callers are told, and when it is certain enough to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from memraft_cluster import raft
from memraft_cluster.driver_config import DriverConfig
from memraft_cluster.errors import NotLeader, NotYetWritten, OutcomeUnknown, Overloaded
from memraft_cluster.group import Group
from memraft_cluster.group_state import GroupSpec, Shared
from memraft_cluster.log import DurableLog
from memraft_cluster.raft import Entry, Message, MessageType
from memraft_cluster.reads import GATHER_READS, GATHER_ROUNDS, GATHER_S_MAX, INDEX_AHEAD_MAX
from memraft_cluster.startup import make_core
from tests.unit.cluster.harness import NODES, Lines, Recorder


class Member:
    """Node 1 of three, of which the test plays the other two."""

    def __init__(self, path: Path, waiters_max: int = 100) -> None:
        config = DriverConfig(1, seed=1, entries_inflight_target=8, waiters_max=waiters_max)
        self.log = DurableLog(path, cluster="test", node="n1")
        # A disk that is known to be empty, so that a quorum founds the group and not only everyone.
        self.log.append(0, (), raft.HardState(0, 0, 0))
        spec = GroupSpec(Recorder(), Lines(), voters=NODES)
        self.core = make_core(config, self.log, 0, spec, 0, 1)
        shared = Shared(config.group_limits())
        self.group = Group(0, spec, self.core, shared, asyncio.get_running_loop())
        self.now_s = 100.0

    def step(self, kind: MessageType, sender: int, term: int, **fields: object) -> None:
        message = Message(kind, sender, 1, term, **fields)  # type: ignore[arg-type]
        self.core.step(message)
        self.group.heard(message, self.now_s)
        self.turn()

    def turn(self) -> None:
        """What the driver does, without anybody to send to."""
        self.group.take_in(self.now_s)
        while self.core.has_ready():
            ready = self.core.ready()
            if ready.must_sync:
                self.log.append(0, ready.entries, ready.hard_state)
            self.group.finish(ready, self.now_s)

    def lead(self, term: int) -> None:
        """Win an election with the vote of node 2."""
        self.core.campaign()
        self.turn()
        self.step(MessageType.PRE_VOTE_REPLY, 2, term)
        self.step(MessageType.VOTE_REPLY, 2, term)
        assert (self.group.role, self.core.term) == (raft.Role.LEADER, term)

    def answer_round(self, number: int) -> None:
        """Node 2 confirms it."""
        self.step(MessageType.HEARTBEAT_REPLY, 2, self.core.term, context=number)

    def propose(self, command: bytes) -> asyncio.Future[object]:
        future = self.group.propose(command, None)
        self.turn()
        return future  # type: ignore[return-value]


def run(path: Path, script: Callable[[Member], None], **options: int) -> None:
    async def body() -> None:
        member = Member(path, **options)
        script(member)
        member.group.close()
        member.log.close()

    asyncio.run(body())


def test_a_cut_entry_has_an_unknown_outcome_until_another_is_committed_in_its_place(tmp_path: Path) -> None:
    def script(member: Member) -> None:
        member.lead(1)
        futures = [member.propose(b"%d" % index) for index in (2, 3, 4)]
        # Node 3 leads in term 2 and cuts the log from index 2 on; node 2 may still hold all three.
        taken_over = (Entry(2, 2, b""),)
        member.step(MessageType.APPEND, 3, 2, index=1, log_term=1, entries=taken_over)
        assert not any(future.done() for future in futures)
        # Led here again: no-op at 3, then a command at 4, where one of term 1 stood.
        member.lead(3)
        later = member.propose(b"new")
        assert isinstance(futures[2].exception(), OutcomeUnknown)
        assert not futures[0].done() and not futures[1].done()
        # All that is committed now; only so is it certain that the first two never will be.
        member.step(MessageType.APPEND_REPLY, 2, 3, index=4)
        assert isinstance(futures[0].exception(), NotLeader)
        assert isinstance(futures[1].exception(), NotLeader)
        assert later.done() and later.exception() is None

    run(tmp_path / "log", script)


def test_linearizable_reads_count_as_waiting_until_their_round_is_over(tmp_path: Path) -> None:
    def script(member: Member) -> None:
        member.lead(1)
        for _ in range(10):
            member.group.read_barrier()
            member.turn()  # into a round, which nobody answers
        with pytest.raises(Overloaded, match="waiters_max = 10"):
            member.group.read_barrier()
        member.step(MessageType.APPEND_REPLY, 2, 1, index=1)
        for _ in range(5):  # the rounds are answered one after the other
            member.core.tick()
            member.turn()
            for context in range(1, 12):
                member.step(MessageType.HEARTBEAT_REPLY, 2, 1, context=context)
        member.group.read_barrier()

    run(tmp_path / "log", script, waiters_max=10)


def test_a_read_alone_begins_its_round_at_once(tmp_path: Path) -> None:
    def script(member: Member) -> None:
        member.lead(1)
        member.step(MessageType.APPEND_REPLY, 2, 1, index=1)
        for number in (1, 2, 3):
            read = member.group.read_barrier()
            assert member.group.round_wait_s(member.now_s) == 0
            member.turn()
            member.now_s += 0.001
            member.answer_round(number)
            assert read.result() == 1

    run(tmp_path / "log", script)


def test_a_read_never_joins_the_round_under_way(tmp_path: Path) -> None:
    def script(member: Member) -> None:
        member.lead(1)
        member.step(MessageType.APPEND_REPLY, 2, 1, index=1)
        first = member.group.read_barrier()
        member.turn()
        second = member.group.read_barrier()
        member.turn()
        assert member.group.round_wait_s(member.now_s) is None
        member.answer_round(1)
        assert first.done() and not second.done()
        member.turn()
        member.answer_round(1)
        assert not second.done()
        member.answer_round(2)
        assert second.done()

    run(tmp_path / "log", script)


def test_where_several_read_they_gather_for_a_while_and_share_the_next_round(tmp_path: Path) -> None:
    def script(member: Member) -> None:
        member.lead(1)
        member.step(MessageType.APPEND_REPLY, 2, 1, index=1)
        group = member.group
        reads = [group.read_barrier(), group.read_barrier()]
        member.turn()
        member.now_s += 0.001
        member.answer_round(1)
        assert all(read.done() for read in reads)
        reads = [group.read_barrier()]
        assert group.round_wait_s(member.now_s) == pytest.approx(0.001 * GATHER_ROUNDS)
        member.turn()
        member.now_s += 0.0011
        reads.append(group.read_barrier())
        member.turn()
        member.answer_round(2)
        assert not any(read.done() for read in reads)
        member.now_s += 0.001
        member.turn()
        member.now_s += 10.0  # the round takes long, and a read comes in late
        late = group.read_barrier()
        member.answer_round(2)
        assert all(read.done() for read in reads) and not late.done()
        assert group.round_wait_s(member.now_s) == pytest.approx(GATHER_S_MAX)

    run(tmp_path / "log", script)


def test_enough_reads_do_not_wait_for_more(tmp_path: Path) -> None:
    def script(member: Member) -> None:
        member.lead(1)
        member.step(MessageType.APPEND_REPLY, 2, 1, index=1)
        group = member.group
        for number in (1, 2, 3):
            reads = [group.read_barrier() for _ in range(GATHER_READS)]
            assert group.round_wait_s(member.now_s) == 0
            member.turn()
            member.now_s += 0.001
            member.answer_round(number)
            assert all(read.done() for read in reads)

    run(tmp_path / "log", script)


def test_nobody_waits_for_an_index_far_beyond_the_log(tmp_path: Path) -> None:
    def script(member: Member) -> None:
        assert member.group.wait_applied(INDEX_AHEAD_MAX) is not None
        with pytest.raises(NotYetWritten, match=f"index {INDEX_AHEAD_MAX + 1} of group 0"):
            member.group.wait_applied(INDEX_AHEAD_MAX + 1)
        # A replica that lags knows from its leader how far the log has come.
        member.step(MessageType.HEARTBEAT, 2, 1, hint_index=50_000)
        assert member.group.wait_applied(50_000) is not None
        with pytest.raises(NotYetWritten, match="beyond index 50000"):
            member.group.wait_applied(50_001 + INDEX_AHEAD_MAX)

    run(tmp_path / "log", script)

"""One group as the driver sees it: its core, its machine, and everyone who waits for it."""

from __future__ import annotations

from collections.abc import Callable

from . import raft
from .errors import NotLeader, Stopped, TransferRefused
from .group_state import GroupStatus, PeerProgress
from .raft import SnapshotMeta
from .reads import Reads

_FROM_FOLLOWERS = frozenset({raft.MessageType.APPEND_REPLY, raft.MessageType.HEARTBEAT_REPLY})


class Group(Reads):
    """What the driver does with a group, in the order of a turn."""

    @property
    def wants_turn(self) -> bool:
        """Whether another turn would get something done, with nothing new from outside."""
        if self.core.has_ready():
            return True
        return bool(self._queued) and not self._is_refused and self._may_propose()

    def heard(self, message: raft.Message, now: float) -> None:
        """Take note of a message that the core has stepped."""
        core = self.core
        if message.term != core.term:
            return
        if message.type is raft.MessageType.HEARTBEAT:
            self.told = max(self.told, message.hint_index)
            if message.hint_index and message.sender == core.leader:
                self.freshness.told(message.hint_index, self.applied, now)
            if message.reject and message.sender == core.leader:
                self.must_stop = True
        elif message.type in _FROM_FOLLOWERS:
            self.freshness.heard(message.sender, now)
            if message.hint_term and message.type is raft.MessageType.HEARTBEAT_REPLY:
                self._compare(message)

    def take_in(self, now: float) -> None:
        """Close entries over the queued commands and start the round of the waiting reads, if it is due."""
        if self.round_wait_s(now) == 0:
            self.begin_round(now)
        if self._queued:
            self.propose_queued()

    def finish(self, ready: raft.Ready, now: float) -> None:
        """After the Ready is durable: apply, answer, and tell the core so."""
        if ready.role is not self.role or ready.term != self.term:
            self._change_role(ready, now)
        self.leader = ready.leader
        if ready.membership is not self.membership:
            self.membership = ready.membership
            self.freshness.set_voters(ready.membership.voters, now)
        if ready.snapshot is not None:
            self._jump(ready.snapshot)
        if ready.committed:
            for entry in ready.committed:
                self._apply(entry)
            self.freshness.applied(self.applied)
            if self.role is raft.Role.LEADER and ready.committed[-1].term == self.term:
                self.freshness.lead(now)
        if ready.read_states or ready.dropped_reads or self._waiters:
            self._finish_reads(ready, now)
        self.core.advance(ready)

    def _jump(self, meta: SnapshotMeta) -> None:
        """The machine is that of a snapshot now."""
        self._give_up_to(meta.index)
        self.applied = meta.index
        self.freshness.applied(self.applied)
        self.agreement.applied(self.applied, self.machine.fingerprint)

    def _apply(self, entry: raft.Entry) -> None:
        mine = self._take_inflight(entry) if self._inflight else None
        if entry.kind is raft.EntryKind.MEMBERSHIP:
            if mine is not None and not mine.futures[0].done():
                mine.futures[0].set_result(entry.index)
        elif entry.data:
            replies = self.machine.apply(entry.index, entry.data, mine.locals if mine else None)
            if mine is not None:
                self.commands_applied_total += len(mine.futures)
                self.spec.answer(mine.futures, replies, entry.index)
        self.applied = entry.index
        self.agreement.applied(entry.index, self.machine.fingerprint)

    def _compare(self, message: raft.Message) -> None:
        self.agreement.heard(message.sender, message.hint_index, message.hint_term)
        self.wrong = self.agreement.wrong(self.membership.voters)
        if self.core.id in self.wrong:
            self.must_stop = True

    def has_to_stop(self, peer: int) -> bool:
        """Whether a peer is to be told that its machine became another: once for each answer that showed it,
        for the replica that is there next may have been made anew."""
        if peer not in self.wrong:
            return False
        self.agreement.settle(peer)
        self.wrong -= {peer}
        return True

    def _change_role(self, ready: raft.Ready, now: float) -> None:
        if self.role is raft.Role.LEADER:
            self._lost_lead_at = now
            self.freshness.follow(now)
        self.role, self.term = ready.role, ready.term
        self.agreement.forget()
        self.wrong = frozenset()

    # -- between turns ---------------------------------------------------------------------------------

    def label(self) -> SnapshotMeta:
        """Of the machine's state as it is now."""
        return self.core.snapshot_label(self.applied)

    def transfer(self, to: int) -> None:
        """Hand leadership to node ``to``; raises NotLeader when it is not here."""
        try:
            self.core.transfer_leader(to)
        except raft.NotLeader as error:
            raise NotLeader(self.id, error.leader) from error
        except raft.TransferRefused as error:
            raise TransferRefused(self.id, to, str(error), is_retryable=error.retryable) from error

    def status(self) -> GroupStatus:
        status = self.core.status()
        saved = self.machine.saved()
        return GroupStatus(
            group=self.id,
            role=status.role,
            term=status.term,
            leader=status.leader,
            preferred_leader=self.preferred_leader,
            commit=status.commit,
            applied=self.applied,
            last_index=status.last_index,
            base_index=status.first_index - 1,
            saved_index=saved.index if saved is not None else 0,
            queued_commands=len(self._queued),
            entries_proposed_total=self.entries_proposed_total,
            commands_applied_total=self.commands_applied_total,
            membership=status.membership,
            membership_index=status.membership_index,
            is_whole=status.is_whole,
            peers={
                peer: PeerProgress(each.match, each.applied, each.active, each.is_recovering, each.state)
                for peer, each in status.peers.items()
            },
        )

    def is_idle(self) -> bool:
        """Whether nobody waits for an outcome."""
        return not (self._queued or self._inflight or self._readers or self._rounds)

    def close(self, make_error: Callable[[], Exception] | None = None) -> None:
        """Answer everyone who still waits: the node stops, or this group leaves it."""
        error = make_error or (lambda: Stopped(f"the node stopped before group {self.id} answered"))
        self._close_proposals(error)
        self._close_reads(error)

"""Terms and votes: elections with pre-vote, check-quorum and leases, and transfer of leadership.

Thesis §3.4 (election), §3.6.1 (who may win), §3.10 (transfer), §4.2.3 and §9.6 (a node that was cut off must
not depose a healthy leader: it asks before it raises its term, and nobody who heard from a leader lately
listens), §6.2 (a leader without a quorum steps down).

Refused votes within a lease serve stability alone: nothing is read under a lease.
"""

from __future__ import annotations

from memraft_cluster.raft.errors import BrokenInvariant
from memraft_cluster.raft.messages import Message, MessageType, Role
from memraft_cluster.raft.replication import Replication

ASKED_BY_LEADER = 1
"""`context` of a vote request in an election that the leader itself asked for."""
FROM_LEADER = frozenset(
    {
        MessageType.APPEND,
        MessageType.HEARTBEAT,
        MessageType.COMMIT,
        MessageType.TIMEOUT_NOW,
        MessageType.SNAPSHOT,
        MessageType.RECOVER_REPLY,
    }
)
"""What only the leader of a term sends."""
_REPLIES = frozenset(
    {
        MessageType.APPEND_REPLY,
        MessageType.HEARTBEAT_REPLY,
        MessageType.VOTE_REPLY,
        MessageType.PRE_VOTE_REPLY,
        MessageType.RECOVER,
    }
)


class Elections(Replication):
    """The rules by which a group gets a leader and a member its role."""

    # Roles.

    def _become_follower(self, term: int, leader: int) -> None:
        if term != self.term:
            self._enter_term(term)
        self._leave_role()
        self.role = Role.FOLLOWER
        self.leader = leader
        self._reset_election_timer()

    def _enter_term(self, term: int) -> None:
        """No vote is given in it yet. A member whose votes are not known has its own id there: `recovery`."""
        self.term = term
        self.vote = 0 if self._is_vote_known else self.id
        self._forget_recovery()

    def _become_candidate(self, role: Role) -> None:
        self._leave_role()
        self.role = role
        self.leader = 0
        self._votes = {self.id: True} if self.is_voter else {}
        if role is Role.CANDIDATE:
            self._enter_term(self.term + 1)
            self.vote = self.id
            self._note_whole()
        self._reset_election_timer()

    def _become_leader(self) -> None:
        self._leave_role()
        self.role = Role.LEADER
        self.leader = self.id
        self._election_elapsed = 0
        # Entries of older terms commit with this one (thesis §3.6.2); reads wait for it (§6.4).
        self._term_start = self.log.append_own(self.term, b"")
        self._peers = {peer: self._new_progress(is_recovering=False) for peer in self.others}
        self._note_voting()
        self._must_replicate = True

    def _leave_role(self) -> None:
        self._votes = {}
        self._fresh_voters = {}
        self._founders = None
        self._peers = {}
        self._voting = []
        self._recoveries = {}
        self._snapshots_wanted = []
        self._transfer_to = 0
        self._must_replicate = self._must_heartbeat = False
        self._dropped_reads += self._reads.drop()

    # Ticks.

    def _tick_follower(self) -> None:
        self._election_elapsed += 1
        if self._election_elapsed >= self._election_timeout:
            if self._may_campaign:
                self._start_election(Role.PRE_CANDIDATE)
            else:
                self.leader = 0
                self._reset_election_timer()

    def _tick_leader(self) -> None:
        self._heartbeat_elapsed += 1
        self._election_elapsed += 1
        self._transfer_elapsed += 1
        if self._transfer_elapsed >= self.config.election_ticks:
            self._transfer_to = 0
        if self._election_elapsed >= self.config.election_ticks:
            self._election_elapsed = 0
            if not self._has_active_quorum():
                self._become_follower(self.term, 0)
                return
        if self._heartbeat_elapsed >= self.config.heartbeat_ticks:
            self._must_replicate = self._must_heartbeat = True

    @property
    def _may_campaign(self) -> bool:
        """Voters that are whole; fresh ones may try, as only fresh ones listen to them. A voter whose removal
        is not committed may be the only one that can still win (thesis §4.2.2)."""
        return (self.is_whole or self._is_fresh) and (self.is_voter or self._is_being_removed)

    @property
    def _is_being_removed(self) -> bool:
        log = self.log
        return log.membership_index > log.committed and self.id in log.membership_before.voters

    # Candidates.

    def _start_election(self, role: Role, context: int = 0, founders: dict[int, int] | None = None) -> None:
        """Asks everyone: whether they would vote (pre-candidate), or for their vote (candidate).

        `founders`: the numbers of fresh members in an election for which all voters have said yes.
        """
        self._become_candidate(role)
        self._founders = founders
        voters = self.membership.voters
        if voters == (self.id,):
            self._win(role)
            return
        is_asking = role is Role.PRE_CANDIDATE
        for peer in voters:
            if peer == self.id:
                continue
            self._late.append(
                Message(
                    MessageType.PRE_VOTE if is_asking else MessageType.VOTE,
                    self.id,
                    peer,
                    self.term + 1 if is_asking else self.term,
                    log_term=self.log.last_term,
                    index=self.log.last_index,
                    context=context,
                    hint_index=founders.get(peer, 0) if founders else 0,
                )
            )

    def _win(self, role: Role) -> None:
        if role is not Role.PRE_CANDIDATE:
            self._become_leader()
        elif self._has_quorum_with_a_past():
            self._start_election(Role.CANDIDATE)
        else:
            self._start_election(Role.CANDIDATE, founders=self._fresh_voters)

    def _has_quorum_with_a_past(self) -> bool:
        """Fresh members do not count in an ordinary election; see `recovery`."""
        return not self._is_fresh and sum(self._votes.values()) - len(self._fresh_voters) >= self.quorum

    def _has_won(self) -> bool:
        """An ordinary election by a quorum, one that founds the group by everyone."""
        if sum(self._votes.values()) == len(self.membership.voters):
            return True
        return self._founders is None and self._has_quorum_with_a_past()

    def _on_vote_reply(self, message: Message, role: Role) -> None:
        """Counts an answer to the election that is under way in `role`."""
        if self.role is not role or message.sender not in self.membership.voters:
            return
        self._votes.setdefault(message.sender, not message.reject)
        granted = sum(self._votes.values())
        if message.context and not message.reject:
            self._fresh_voters[message.sender] = message.context
        if self._has_won():
            self._win(role)
        elif len(self._votes) - granted >= self.quorum:
            self._become_follower(self.term, 0)

    def _on_pre_vote_reply(self, message: Message) -> None:
        # A grant carries the term that was asked for, a refusal the term of who refuses.
        if message.term == (self.term if message.reject else self.term + 1):
            self._on_vote_reply(message, Role.PRE_CANDIDATE)

    # Voters.

    def _is_in_lease(self) -> bool:
        """Whether a leader was heard lately; leaders count as hearing themselves (thesis §4.2.3)."""
        return self.leader != 0 and self._election_elapsed < self.config.election_ticks

    def _on_pre_vote(self, message: Message) -> None:
        """Would this vote be given? Changes nothing here (thesis §9.6)."""
        is_up_to_date = self.log.is_up_to_date(message.index, message.log_term)
        granted = message.term > self.term and is_up_to_date and self._may_vote_for(message)
        self._late.append(
            Message(
                MessageType.PRE_VOTE_REPLY,
                self.id,
                message.sender,
                message.term if granted else self.term,
                index=message.index,
                reject=not granted,
                context=self._fresh_number if granted and self._is_fresh else 0,
            )
        )

    def _on_vote(self, message: Message) -> None:
        """One vote a term, first come, first served, for a log that is no older (thesis §3.4, §3.6.1)."""
        is_blank = self.vote == 0 or self._is_fresh
        is_free = self.vote == message.sender or (is_blank and self.leader == 0)
        is_up_to_date = self.log.is_up_to_date(message.index, message.log_term)
        granted = is_free and is_up_to_date and self._may_vote_for(message)
        if granted:
            self._note_whole()
            self.vote = message.sender
            self._election_elapsed = 0
        self._reply(MessageType.VOTE_REPLY, message.sender, message.index, reject=not granted)

    def _may_vote_for(self, candidate: Message) -> bool:
        """Not before this member is whole; a fresh one may take part in founding."""
        if self.is_whole or not self._is_fresh or candidate.index != 0:
            return self.is_whole
        return candidate.type is MessageType.PRE_VOTE or candidate.hint_index == self._fresh_number

    def _on_timeout_now(self) -> None:
        """The leader asks this node to take over: no pre-vote, and voters ignore leases (thesis §3.10)."""
        if self.is_whole and self._may_campaign:
            self._start_election(Role.CANDIDATE, context=ASKED_BY_LEADER)

    # Terms of messages.

    def _accepts_term(self, message: Message) -> bool:
        """Follows a higher term, answers a lower one; says whether the message is still to be handled."""
        kind = message.type
        if message.term > self.term:
            return self._on_higher_term(message)
        if message.term == self.term:
            return True
        if kind is MessageType.PRE_VOTE:
            return True
        if kind is MessageType.VOTE:
            self._reply(MessageType.VOTE_REPLY, message.sender, message.index, reject=True)
        elif kind is MessageType.APPEND or kind is MessageType.HEARTBEAT:
            # A leader of an older term that is cut off from news learns the term from this, and steps down.
            # Without an answer a node whose term is ahead would stay out, as its pre-votes stay unheard.
            self._reply(MessageType.APPEND_REPLY, message.sender, message.index, reject=True)
        return False

    def _on_higher_term(self, message: Message) -> bool:
        kind = message.type
        if kind in _REPLIES and message.sender not in self.others:
            # Whoever is no member any more does not get to depose anyone by an answer.
            return False
        if kind is MessageType.PRE_VOTE or kind is MessageType.VOTE:
            if self._is_in_lease() and message.context != ASKED_BY_LEADER:
                return False
            if kind is MessageType.PRE_VOTE:
                return True
        if kind is MessageType.PRE_VOTE_REPLY and not message.reject:
            return True
        self._become_follower(message.term, message.sender if kind in FROM_LEADER else 0)
        return True

    def _follow_sender(self, message: Message) -> None:
        """A message that only the leader of this term sends: candidates give way, two leaders cannot be."""
        if self.role is Role.LEADER:
            raise BrokenInvariant(f"node {message.sender} leads in term {self.term}, too: two leaders")
        if self.role is not Role.FOLLOWER:
            self._become_follower(self.term, message.sender)

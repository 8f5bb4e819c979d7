"""Members that may have lost what they acknowledged: a damaged log, a new disk under an old name.

The idea is that of protocol-aware recovery (Alagappan et al.: Protocol-Aware Recovery for Consensus-Based
Storage, FAST 2018): a replica that knows it is damaged is no ordinary slow follower. Its acknowledgements may
stand behind committed entries that it no longer has, so as a voter it could help a node to win that lacks
them, too. It is not whole (`HardState.is_whole`): until it is, it neither campaigns nor grants a vote or a
pre-vote, nor confirms a leader's reads. It follows, and asks the leader how far its log must reach
(`RECOVER`).

Why that is safe. Let D be the member that is not whole, L the leader of term T that it hears, and e an entry
that D has acknowledged in a term t, lost, and that is committed or can still be.

1. L has e in its log. t is at most T, as D knows its term. If t = T, L made e itself before it heard from D.
   If t < T, the quorum that elected L and the quorum that has acknowledged e share a member. It acknowledged
   e before it voted, and had it still when it voted, because what is not whole does not vote; so L's log was
   not older.
2. So as soon as D's durable log agrees with L's up to the last index that L had when D asked, and D still is
   in term T, D has everything it ever promised. It is whole; that is made durable, and only then does it
   vote. When the term changes before, D asks the next leader.
3. It never votes twice, because its term and vote come from a copy that is intact.

When even those are lost (`_is_vote_known` is False: a new, empty disk), "D knows its term" fails: an old
leader that was deposed with D's own vote could bring D to acknowledge what its successor then takes back. So
L first proves that it was not deposed before D asked: a quorum without D, whole members all, answers a
heartbeat sent after D's question while still in term T. A leader of a later term with a quorum behind it must
have had the vote of one of them. Members that are not whole do not count for this, whatever they lack. Until
L has that proof, D acknowledges nothing. There remains the vote that D may have given, before its loss, to a
candidate that has not won yet. So for such a D that is a voter all other voters must answer, not just a
quorum: then nobody is a candidate of a later term; and for term T itself D counts its vote as given. (A
learner of a committed membership needs only the quorum: nobody that counts its old vote can win against those
who know that it does not vote.)

A `fresh` member knows of no past: its log is empty, its votes are not known. Either the group is just being
founded, or the disk is new; nobody can tell by looking at one node. An election founds the group if it needs
fresh members, and then takes all voters: all must say yes to a pre-vote, which a fresh one says to an empty
log alone, and all must vote. As whoever still has an entry refuses, nothing can be lost that one intact voter
has. A fresh member says yes with a number that it made up at its start, and votes only when its number comes
back, so that the vote is asked of this disk and not of one before it. Voting makes it whole. The price is
that all voters must be up when a group is founded (unless they start whole, with a hard state that says so);
once there is a leader, whoever comes late recovers. Not covered: a majority of new disks, which is a new
group; and a disk that is lost between two attempts to found the group, with votes in a later term than the
attempt that succeeds.

A leader asks no questions here: it is whole, or it could not have campaigned.
"""

from __future__ import annotations

from memraft_cluster.raft.messages import Message, MessageType
from memraft_cluster.raft.state import Confirmation, State


class Recovery(State):
    """Both sides of recovery: the member that is not whole, and the leader that it asks."""

    # The member that may have lost entries.

    def _hear_leader(self, leader: int) -> None:
        self._election_elapsed = 0
        self.leader = leader
        if not self.is_whole and self._nonce == 0:
            self._is_fresh = False
            self._nonce = self._nonces.below(1 << 62) + 1
            self._ask_recovery()

    def _ask_recovery(self) -> None:
        """Asks the leader, anew with each heartbeat until there is a final answer."""
        self._late.append(
            Message(
                MessageType.RECOVER,
                self.id,
                self.leader,
                self.term,
                index=self.log.last_index,
                context=self._nonce,
                reject=not self._is_vote_known,
            )
        )

    def _forget_recovery(self) -> None:
        """In another term the question has to be asked anew."""
        self._nonce = 0
        self._is_confirmed = False
        self._recovery_index = 0
        self._matched = 0

    @property
    def _may_acknowledge(self) -> bool:
        """Whether entries of this leader may be taken; see the module for when not."""
        return self.is_whole or self._is_vote_known or self._is_confirmed

    def _on_recover_reply(self, message: Message) -> None:
        """`reject`: the leader was not deposed, but not all voters have answered."""
        self._hear_leader(message.sender)
        if self.is_whole or message.context != self._nonce:
            return
        self._is_confirmed = True
        if not message.reject:
            self._recovery_index = message.index
            self._become_whole_if_complete()

    def _become_whole_if_complete(self) -> None:
        reached = min(self._matched, self.log.durable)
        if not self.is_whole and self._recovery_index and reached >= self._recovery_index:
            # With a vote that is not known `vote` is this node's own id: none is left to give in this term.
            self._note_whole()

    def _note_whole(self) -> None:
        self.is_whole = self._is_vote_known = True
        self._is_fresh = False

    def _commit_heard(self, commit: int) -> None:
        """The leader says what is committed, no more than it knows to be here; it may know it from before
        the loss."""
        self.log.commit_to(commit if self.is_whole else min(commit, self._matched))

    # The leader.

    def _on_recover(self, message: Message) -> None:
        peer = message.sender
        progress = self._peers.get(peer)
        if progress is None:
            return
        progress.active = True
        asked = self._recoveries.get(peer)
        if asked is None or asked.nonce != message.context:
            progress.begin_recovery(min(message.index, self.log.last_index) + 1)
            # One whose votes are not known takes no entries yet.
            progress.probe_sent = message.reject
            if self._transfer_to == peer:
                self._transfer_to = 0
            asked = Confirmation(message.context, self._reads.want_round(), message.reject)
            self._recoveries[peer] = asked
            self._must_replicate = True
            self._confirm(peer, asked)
        elif asked.index:
            self._answer_recovery(peer, asked)

    def _hear_for_recoveries(self, message: Message) -> None:
        """A member answered a heartbeat: proof that it was in this term after the round began."""
        for peer, asked in list(self._recoveries.items()):
            if message.context < asked.round_min:
                continue
            if peer == message.sender:
                if not message.reject:
                    del self._recoveries[peer]
                continue
            asked.heard.add(message.sender)
            if not message.reject:
                asked.acknowledged.add(message.sender)
            self._confirm(peer, asked)

    def _confirm(self, peer: int, asked: Confirmation) -> None:
        """Answers when there is proof enough, the second time when all voters have answered."""
        if asked.is_final:
            return
        voters = set(self.membership.voters)
        is_news = False
        if not asked.index:
            if len(asked.acknowledged & voters) + self.is_voter < self.quorum:
                return
            asked.index = self.log.last_index
            is_news = True
            # What was sent before it may take entries was lost on it.
            self._peers[peer].probe_sent = False
            self._must_replicate = True
        is_learner = peer not in voters and self.log.membership_index <= self.log.committed
        if is_learner or not asked.wants_all or voters - {self.id, peer} <= asked.heard:
            asked.is_final = is_news = True
        if is_news:
            self._answer_recovery(peer, asked)

    def _answer_recovery(self, peer: int, asked: Confirmation) -> None:
        self._send_early(
            Message(
                MessageType.RECOVER_REPLY,
                self.id,
                peer,
                self.term,
                index=asked.index,
                context=asked.nonce,
                reject=not asked.is_final,
            )
        )

    def _restart_confirmations(self) -> None:
        """The membership changed: other nodes make a quorum, or all."""
        self._reads.restart()
        self._recoveries = {peer: asked for peer, asked in self._recoveries.items() if peer in self._peers}
        for asked in self._recoveries.values():
            if not asked.is_final:
                asked.restart(self._reads.want_round())
        self._must_replicate = True

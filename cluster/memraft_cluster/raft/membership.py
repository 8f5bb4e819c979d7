"""Who belongs to a group, who counts, and how that changes: one node at a time (thesis §4.1 to §4.3).

A change is an entry in the log that holds the whole new membership. Every member uses the newest one in its
log from the moment it is appended, committed or not, and goes back when it is cut away. Majorities before and
after a change of one voter overlap, so there is no term with two leaders and no commit that a later leader
lacks, as long as only one change is under way:

* a leader makes none while the last one is not committed, and
* none before an entry of its own term is: without this rule two leaders could each make a change on top of
  different ones that are not committed, with majorities that do not overlap (Ongaro's note to raft-dev, "bug
  in single-server membership changes", 10 July 2015).

New nodes begin as learners: they receive and do not vote, so that a node that has to catch up first does not
cost availability (thesis §4.2.1). Votes, however, are given to and taken from whoever asks, as a node cannot
know whether its log is behind the change that concerns it (§4.2.3); pre-votes and leases keep a removed node
from disturbing. A leader that removes itself goes on, without counting itself, until the change is committed
(§4.2.2); then it hands over and steps down.
"""

from __future__ import annotations

from memraft_cluster.raft.errors import LeadershipMoving, MembershipRefused, NotLeader
from memraft_cluster.raft.messages import Membership, Message, MessageType, Role
from memraft_cluster.raft.progress import Progress
from memraft_cluster.raft.recovery import Recovery


class Members(Recovery):
    """The rules by which a group changes, and by which entries are committed."""

    def propose_membership(self, membership: Membership) -> int:
        """Changes the standing of one node: adds a learner, promotes one to voter, demotes a voter to
        learner, or removes a node. Returns the index of the entry; the change is in force at once here, and
        holds for good when that index is committed in this term.

        Raises `NotLeader`, `LeadershipMoving`, and `MembershipRefused`, which says whether to try again.
        """
        if self.role is not Role.LEADER:
            raise NotLeader(self.leader)
        if self._transfer_to:
            raise LeadershipMoving(self._transfer_to)
        self._check_change(membership)
        index = self.log.append_membership(self.term, membership)
        self._adopt_membership()
        return index

    def _check_change(self, membership: Membership) -> None:
        changed = _changed_nodes(self.membership, membership)
        if len(changed) != 1:
            raise MembershipRefused(
                f"from {self.membership} to {membership} not one node changes, but {changed}", retryable=False
            )
        node = changed[0]
        if not membership.voters:
            raise MembershipRefused(f"node {node} is the last voter", retryable=False)
        if node in membership.voters and node not in self.membership:
            raise MembershipRefused(f"node {node} must be a learner before it votes", retryable=False)
        committed = self.log.committed
        if committed < self._term_start:
            raise MembershipRefused("this leader has not committed an entry of its term yet", retryable=True)
        if committed < self.log.membership_index:
            raise MembershipRefused(f"the change to {self.membership} is not committed yet", retryable=True)
        progress = self._peers.get(node)
        if node in membership.voters and progress is not None and progress.is_recovering:
            raise MembershipRefused(f"node {node} has not recovered what it may have lost", retryable=True)

    def _adopt_membership(self) -> None:
        """The newest membership in the log changed: by an append, a cut or a snapshot."""
        self._note_membership()
        if self.role is Role.LEADER:
            known = self._peers
            self._peers = {peer: known.get(peer) or self._new_progress() for peer in self.others}
            self._note_voting()
            if self._transfer_to not in self.membership.voters:
                self._transfer_to = 0
            self._restart_confirmations()
            self._update_commit()

    def _new_progress(self, is_recovering: bool = True) -> Progress:
        """Of one that was not heard yet in this term. A newcomer is not whole until it says so."""
        config = self.config
        progress = Progress(self.log.last_index, config.inflight_messages_max, config.inflight_bytes_max)
        progress.active = True
        progress.is_recovering = is_recovering
        return progress

    def _note_voting(self) -> None:
        voters = self.membership.voters
        self._voting = [progress for peer, progress in self._peers.items() if peer in voters]

    def _update_commit(self) -> None:
        """Commits what a quorum of the newest membership has durably, if it is of this term (thesis §3.6.2
        and figure 3.7).

        The no-op at `_term_start` begins the entries of this term, so that comparing indices will do.
        """
        matches = [progress.match for progress in self._voting]
        if self.is_voter:
            matches.append(self.log.durable)
        matches.sort(reverse=True)
        index = matches[self.quorum - 1]
        if index >= self._term_start and self.log.commit_to(index):
            self._must_replicate = True

    def _has_active_quorum(self) -> bool:
        active = sum(progress.active for progress in self._voting) + self.is_voter
        for progress in self._peers.values():
            progress.was_active, progress.active = progress.active, False
        return active >= self.quorum

    @property
    def _is_removed(self) -> bool:
        """Whether this leader has committed that it does not vote any more."""
        return not self.is_voter and self.log.committed >= self.log.membership_index

    def _ask_heir(self) -> None:
        """Asks a voter that has the whole log to take over, so that nobody has to wait for a timeout."""
        for peer in self.membership.voters:
            progress = self._peers[peer]
            if progress.active and not progress.is_recovering and progress.match == self.log.last_index:
                self._send_early(Message(MessageType.TIMEOUT_NOW, self.id, peer, self.term))
                return


def _changed_nodes(old: Membership, new: Membership) -> list[int]:
    """The nodes whose standing differs."""
    return sorted(
        node
        for node in {*old.members, *new.members}
        if (node in old.voters, node in old.learners) != (node in new.voters, node in new.learners)
    )

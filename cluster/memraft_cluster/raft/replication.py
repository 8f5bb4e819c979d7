"""Log replication, heartbeats and reads (thesis §3.5, §6.4, §10.2.1).

A leader makes appends only when a Ready is taken: everything that was proposed since the last one goes out in
one message a follower. The leader's own copy counts only up to what `advance` has told to be durable.

A follower whose next entry is no longer in the log is sent nothing until it has a snapshot. What a slow
follower costs is bounded: a window of entries under way, and for what is older the log on disk, read in
batches.
"""

from __future__ import annotations

from memraft_cluster.raft.errors import BadMessage
from memraft_cluster.raft.messages import Message, MessageType
from memraft_cluster.raft.progress import Progress, ProgressState
from memraft_cluster.raft.snapshots import Snapshots

# Looked up once: an attribute of an enum costs more than a comparison.
_APPEND = MessageType.APPEND
_APPEND_REPLY = MessageType.APPEND_REPLY
_COMMIT = MessageType.COMMIT
_PROBE = ProgressState.PROBE
_REPLICATE = ProgressState.REPLICATE
_SNAPSHOT = ProgressState.SNAPSHOT


class Replication(Snapshots):
    """The rules by which logs become equal and entries committed."""

    # Leader: sending.

    def _replicate(self) -> None:
        """Makes a leader's messages to all followers. Called once a Ready."""
        self._must_replicate = False
        if self._reads.can_begin and self.log.committed >= self._term_start:
            self._begin_read_round()
        if self._must_heartbeat:
            self._send_heartbeats()
        last = self.log.last_index
        for peer, progress in self._peers.items():
            if progress.state is not _REPLICATE:
                if progress.state is _PROBE and not progress.probe_sent:
                    self._send_append(peer, progress)
                continue
            while progress.next <= last and not progress.is_full:
                if not self._send_append(peer, progress):
                    break
            if self.config.commit_notices:
                self._send_commit(peer, progress)
        if self._transfer_to and self._peers[self._transfer_to].match == self.log.last_index:
            # The new leader must have the whole log, or it could not win (thesis §3.10).
            self._send_early(Message(MessageType.TIMEOUT_NOW, self.id, self._transfer_to, self.term))

    def _send_append(self, peer: int, progress: Progress) -> bool:
        """Sends what comes next; False when the log does not have it any more."""
        log = self.log
        previous = progress.next - 1
        if not log.reaches_back_to(previous):
            self._want_snapshot(peer, progress)
            return False
        entries = log.entries(progress.next, self.config.entry_batch_bytes_max)
        last = previous + len(entries)
        if progress.state is not _REPLICATE:
            progress.probe_sent = True
        elif entries:
            progress.sent(last, log.size_bytes(entries))
        progress.commit_sent = max(progress.commit_sent, min(log.committed, last))
        self._send_early(
            Message(
                _APPEND,
                self.id,
                peer,
                self.term,
                log_term=log.term(previous),
                index=previous,
                commit=log.committed,
                entries=entries,
            )
        )
        return True

    def _send_commit(self, peer: int, progress: Progress) -> None:
        """Tells the commit index where no append did. Only up to `match`: what lies there is this log."""
        commit = min(self.log.committed, progress.match)
        if commit > progress.commit_sent:
            progress.commit_sent = commit
            self._send_early(Message(_COMMIT, self.id, peer, self.term, commit=commit))

    def _send_heartbeats(self) -> None:
        """A heartbeat to everyone, which carries the round of reads under way, so that a lost one of its
        messages delays the round, but does not end it."""
        self._must_heartbeat = False
        self._heartbeat_elapsed = 0
        is_asking = self._reads.is_under_way or any(not each.is_final for each in self._recoveries.values())
        context = self._reads.round if is_asking else 0
        all_committed = self.log.committed if self.log.committed >= self._term_start else 0
        for peer, progress in self._peers.items():
            commit = min(self.log.committed, progress.match)
            self._send_early(
                Message(
                    MessageType.HEARTBEAT,
                    self.id,
                    peer,
                    self.term,
                    commit=commit,
                    hint_index=all_committed,
                    context=context,
                )
            )

    def _begin_read_round(self) -> None:
        self._reads.begin(self.log.committed)
        if self.quorum - self.is_voter == 0:
            self._read_states += self._reads.finish_if(True)
        else:
            self._must_heartbeat = True

    # Leader: answers.

    def _on_append_reply(self, message: Message) -> None:
        progress = self._peers.get(message.sender)
        if progress is None:
            return
        progress.active = True
        progress.applied = message.applied
        if message.reject:
            # Where the follower's hint says its log has a lower term, ours cannot meet it in a higher one.
            meeting = message.hint_index
            if message.hint_term > 0:
                meeting = self.log.last_index_at_or_below_term(message.hint_index, message.hint_term)
            if progress.rejected(message.index, meeting):
                self._must_replicate = True
            return
        if message.index > self.log.last_index:
            raise BadMessage(
                f"node {message.sender} acknowledges entry {message.index} in term {message.term}, "
                f"whose leader's log ends at {self.log.last_index}"
            )
        was_full = progress.is_full
        if progress.state is _SNAPSHOT and self.log.reaches_back_to(message.index):
            progress.probe(progress.match + 1)
        if not progress.acknowledged(message.index):
            return
        self._update_commit()
        is_uninformed = self.config.commit_notices and progress.commit_sent < self.log.committed
        if was_full or is_uninformed or progress.next <= self.log.last_index:
            self._must_replicate = True
        if message.sender == self._transfer_to:
            self._must_replicate = True

    def _on_heartbeat_reply(self, message: Message) -> None:
        progress = self._peers.get(message.sender)
        if progress is None:
            return
        progress.active = True
        progress.applied = message.applied
        progress.is_recovering = message.reject
        if message.context:
            if not message.reject and message.sender in self.membership.voters:
                needed = self.quorum - self.is_voter
                self._read_states += self._reads.acknowledge(message.sender, message.context, needed)
            if self._recoveries:
                self._hear_for_recoveries(message)
            if self._reads.can_begin:
                self._must_replicate = True
        if progress.heard_heartbeat():
            if progress.state is _PROBE:
                self._must_replicate = True
            else:
                self._ask_position(message.sender, progress)

    def _ask_position(self, peer: int, progress: Progress) -> None:
        """An append without entries behind all that was sent: refused if any of it was lost."""
        previous = progress.next - 1
        if not self.log.reaches_back_to(previous):
            self._want_snapshot(peer, progress)
            return
        self._send_early(
            Message(
                _APPEND,
                self.id,
                peer,
                self.term,
                log_term=self.log.term(previous),
                index=previous,
                commit=self.log.committed,
            )
        )

    # Follower.

    def _on_append(self, message: Message) -> None:
        self._hear_leader(message.sender)
        if not self.is_whole and not self._may_acknowledge:
            return
        log = self.log
        previous = message.index
        entries = message.entries
        if previous < log.committed:
            # An old message: what is committed here is the leader's log, only the rest can be news.
            entries = entries[log.committed - previous :]
            previous = log.committed
        elif not log.matches(previous, message.log_term):
            self._refuse_append(message)
            return
        last = previous + len(entries)
        if entries:
            log.append(entries)
            if log.membership is not self.membership:
                self._adopt_membership()
        if not self.is_whole:
            self._matched = max(self._matched, last)
        # Not beyond this message: later entries here may be another leader's (thesis §3.5, figure 3.1).
        log.commit_to(min(message.commit, last))
        self._reply(_APPEND_REPLY, message.sender, last)

    def _refuse_append(self, message: Message) -> None:
        """Hints where the logs may meet: the last entry here whose term is not above that of the leader's."""
        hint = self.log.last_index_at_or_below_term(message.index, message.log_term)
        self._late.append(
            Message(
                _APPEND_REPLY,
                self.id,
                message.sender,
                self.term,
                index=message.index,
                reject=True,
                hint_index=hint,
                hint_term=self.log.term(hint),
                applied=self.log.applied,
            )
        )

    def _on_heartbeat(self, message: Message) -> None:
        has_asked = self._nonce != 0
        self._hear_leader(message.sender)
        if has_asked and not self.is_whole and not self._recovery_index:
            self._ask_recovery()
        self._commit_heard(message.commit)
        # Not a promise about the log, only about the term: needs no sync of entries.
        self._send_early(
            Message(
                MessageType.HEARTBEAT_REPLY,
                self.id,
                message.sender,
                self.term,
                commit=message.commit,
                context=message.context,
                reject=not self.is_whole,
                applied=self.log.applied,
            )
        )

    def _on_commit(self, message: Message) -> None:
        self._hear_leader(message.sender)
        self._commit_heard(message.commit)

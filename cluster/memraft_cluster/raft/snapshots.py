"""Snapshots: for followers that need entries which the log no longer has (thesis §5).

The core moves no state. It says who needs one (`Ready.snapshots_wanted`, once a need); the driver sends the
state in the background, at its own pace, while heartbeats go on; the receiver keeps it aside. The last
message, `SNAPSHOT`, goes through the core of the receiver, which decides whether it is still news: if so, the
next Ready carries it in `Ready.snapshot`, otherwise the driver throws the state away.

A snapshot replaces the whole log, so it carries the membership as of its index.
"""

from __future__ import annotations

from memraft_cluster.raft.errors import NotLeader
from memraft_cluster.raft.membership import Members
from memraft_cluster.raft.messages import Message, MessageType, Role, SnapshotMeta
from memraft_cluster.raft.progress import Progress, ProgressState


class Snapshots(Members):
    """The rules by which a state takes the place of a log."""

    def snapshot_label(self, index: int) -> SnapshotMeta:
        """The label of a state that covers the log up to `index`, which is at most the applied index; and
        what to cut the log to. Raises `EntriesUnavailable` when the log begins behind `index`."""
        return self.log.label(index)

    # Leader.

    def snapshot_message(self, to: int, label: SnapshotMeta) -> Message:
        """The message to send when node `to` has the whole state `label`. Raises `NotLeader`."""
        if self.role is not Role.LEADER:
            raise NotLeader(self.leader)
        return Message(MessageType.SNAPSHOT, self.id, to, self.term, snapshot=label)

    def report_snapshot(self, peer: int, index: int | None) -> None:
        """How a snapshot to `peer` went: it has one up to `index` and was sent the message that installs it,
        or None: it failed, and may be wanted again after the next answer to a heartbeat. Says nothing to a
        node that does not lead any more or does not know `peer` any more."""
        progress = self._peers.get(peer)
        if progress is None or progress.state is not ProgressState.SNAPSHOT:
            return
        if index is None:
            progress.lost_snapshot()
        else:
            progress.probe(max(index, progress.match) + 1)
            # The message that installs it is under way; the answer to it, or to a heartbeat, comes first.
            progress.probe_sent = True

    def _want_snapshot(self, peer: int, progress: Progress) -> None:
        progress.await_snapshot()
        self._snapshots_wanted.append(peer)

    # Follower.

    def _on_snapshot(self, message: Message) -> None:
        self._hear_leader(message.sender)
        label = message.snapshot
        if label is None or not self._may_acknowledge:
            return
        log = self.log
        if label.index > log.committed and not log.matches(label.index, label.term):
            log.install(label)
            self._snapshot = label
            self._adopt_membership()
        else:
            log.commit_to(label.index)
        # What is committed here is the leader's log.
        self._matched = max(self._matched, log.committed)
        self._reply(MessageType.APPEND_REPLY, message.sender, log.committed)
